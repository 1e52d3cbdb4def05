%% @private Checks http2_opts, as gun has them. They are without effect as long as there is no
%% HTTP/2, but a value that could never be one is named now.
-module(gun_rs_http2_options).

-export([check/1]).
-export([expected/1]).

-type window() :: 0..16#7fffffff.

%% Timeouts are in milliseconds, sizes in bytes.
-type opts() :: #{
	closing_timeout => gun_rs_options:milliseconds() | infinity,
	connection_window_margin_size => window(),
	connection_window_update_threshold => window(),
	content_handlers => gun_rs_content_handler:handlers(),
	cookie_ignore_informational => boolean(),
	enable_connect_protocol => boolean(),
	flow => pos_integer(),
	initial_connection_window_size => 16#ffff..16#7fffffff,
	initial_stream_window_size => window(),
	keepalive => gun_rs_options:milliseconds() | infinity,
	keepalive_tolerance => non_neg_integer(),
	max_concurrent_streams => non_neg_integer() | infinity,
	max_connection_window_size => window(),
	max_decode_table_size => non_neg_integer(),
	max_encode_table_size => non_neg_integer(),
	max_fragmented_header_block_size => 16#4000..16#7fffffff,
	max_frame_size_received => 16#4000..16#ffffff,
	max_frame_size_sent => 16#4000..16#ffffff | infinity,
	max_headers => non_neg_integer(),
	max_stream_window_size => window(),
	notify_settings_changed => boolean(),
	preface_timeout => gun_rs_options:milliseconds() | infinity,
	settings_timeout => gun_rs_options:milliseconds() | infinity,
	stream_window_data_threshold => window(),
	stream_window_margin_size => window(),
	stream_window_update_threshold => window()
}.
-export_type([opts/0]).

-type kind() :: timeout | positive_timeout | boolean | handlers
	| {integer, Least :: non_neg_integer(), Most :: pos_integer(), [infinity]}.

%% @doc Checks http2_opts, and names the first option that is unknown or ill-typed.
-spec check(map()) -> ok | {error, {Key :: term(), Value :: term()}}.
check(Opts) ->
	case [Opt || Opt={Key, Value} <- lists:sort(maps:to_list(Opts)), not is_valid(kind(Key), Value)] of
		[] -> ok;
		[Opt|_] -> {error, Opt}
	end.

%% @doc In words, what the value of an option must be.
-spec expected(Key :: term()) -> string() | unknown.
expected(Key) ->
	case kind(Key) of
		unknown -> unknown;
		timeout -> "an integer of 0 to 4294967295 milliseconds or infinity";
		positive_timeout -> "an integer of 1 to 4294967295 milliseconds or infinity";
		boolean -> "true or false";
		handlers -> "a list, not empty, of Module or {Module, Opts}, each module one that can be loaded,";
		{integer, Least, Most, Infinity} ->
			lists:flatten(io_lib:format("an integer of ~b to ~b~s", [Least, Most, [" or infinity" || infinity <- Infinity]]))
	end.

-spec kind(Key :: term()) -> kind() | unknown.
kind(closing_timeout) -> positive_timeout;
kind(connection_window_margin_size) -> window();
kind(connection_window_update_threshold) -> window();
kind(content_handlers) -> handlers;
kind(cookie_ignore_informational) -> boolean;
kind(enable_connect_protocol) -> boolean;
kind(flow) -> {integer, 1, 16#7fffffff, []};
kind(initial_connection_window_size) -> {integer, 16#ffff, 16#7fffffff, []};
kind(initial_stream_window_size) -> window();
kind(keepalive) -> positive_timeout;
kind(keepalive_tolerance) -> count([]);
kind(max_concurrent_streams) -> count([infinity]);
kind(max_connection_window_size) -> window();
kind(max_decode_table_size) -> count([]);
kind(max_encode_table_size) -> count([]);
kind(max_fragmented_header_block_size) -> {integer, 16#4000, 16#7fffffff, []};
kind(max_frame_size_received) -> frame_size([]);
kind(max_frame_size_sent) -> frame_size([infinity]);
kind(max_headers) -> count([]);
kind(max_stream_window_size) -> window();
kind(notify_settings_changed) -> boolean;
kind(preface_timeout) -> timeout;
kind(settings_timeout) -> timeout;
kind(stream_window_data_threshold) -> window();
kind(stream_window_margin_size) -> window();
kind(stream_window_update_threshold) -> window();
kind(_) -> unknown.

%% RFC 9113, 6.9.1 and 4.2.
window() -> {integer, 0, 16#7fffffff, []}.
frame_size(Infinity) -> {integer, 16#4000, 16#ffffff, Infinity}.
count(Infinity) -> {integer, 0, 16#ffffffff, Infinity}.

is_valid(unknown, _) -> false;
is_valid(timeout, infinity) -> true;
is_valid(timeout, T) -> is_integer(T) andalso T >= 0 andalso T =< 16#ffffffff;
is_valid(positive_timeout, T) -> T =/= 0 andalso is_valid(timeout, T);
is_valid(boolean, B) -> is_boolean(B);
is_valid(handlers, Handlers) -> gun_rs_content_handler:check_option(Handlers) =:= ok;
is_valid({integer, _, _, [infinity]}, infinity) -> true;
is_valid({integer, Least, Most, _}, N) -> is_integer(N) andalso N >= Least andalso N =< Most.

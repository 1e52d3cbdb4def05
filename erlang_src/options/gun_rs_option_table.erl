%% @private Every option of gun_rs in one row each: what it may be, its default, and whether
%% the native library or Erlang serves it. From the rows come the checks, the defaults, what
%% the native library is given, and the sentences of `gun_rs:format_error/1'.
-module(gun_rs_option_table).

-export([check/2]).
-export([defaults/1]).
-export([native/2]).
-export([expected/2]).
-export([keys/1]).

-type table() :: open | http | http2 | req | ws | ws_upgrade | compress | reupgrade | backoff | cookies_list | socket.
-export_type([table/0]).

-type row() :: {Key :: atom(), kind(), Default :: term() | none, native | erlang}.

%% Beside those of values: options with options of their own, which are named in the place of
%% the map, or as the map; lists of which an element is named; what is not built yet.
-type kind() :: gun_rs_option_kind:kind()
	| {table, table(), Or :: [atom()]}
	| {map, table(), Required :: [atom()], Or :: [atom()], Text :: string()}
	| {elements, fun((term()) -> ok | {error, Element :: term()})}
	| planned.

%% The parser of responses makes room for so many headers.
-define(MAX_HEADERS, 10000).
-define(MAX_UNIT32, 16#ffffffff).
-define(WINDOW, {integer, 0, 16#7fffffff, []}).
-define(COUNT, {integer, 0, ?MAX_UNIT32, []}).

%% @doc Checks options against a table. Of several that are wrong the first in the order of
%% terms is named, so that it is the same one on every OTP.
-spec check(table(), Opts :: map()) -> ok | {error, Reason :: term()}.
%% Most requests have none.
check(_, Opts) when map_size(Opts) =:= 0 ->
	ok;
check(Table, Opts) ->
	case check_each(lists:sort(maps:to_list(Opts)), rows(Table)) of
		ok -> is_consistent(Table, Opts);
		Error -> Error
	end.

check_each([], _) ->
	ok;
check_each([Opt={Key, Value}|Opts], Rows) ->
	Checked = case lists:keyfind(Key, 1, Rows) of
		{_, Kind, _, _} -> check_kind(Kind, Key, Value);
		false -> wrong
	end,
	case Checked of
		ok -> check_each(Opts, Rows);
		wrong -> {error, gun_rs_secrets:option(Opt)};
		Error -> Error
	end.

check_kind(planned, _, _) ->
	wrong;
check_kind({table, Table, _}, _, Value) when is_map(Value) ->
	case check(Table, Value) of
		ok -> ok;
		{error, Reason} -> {error, {Table, Reason}}
	end;
check_kind({table, _, Atoms}, _, Value) ->
	right(lists:member(Value, Atoms));
check_kind({map, Table, Required, _, _}, _, Value) when is_map(Value) ->
	right(check(Table, Value) =:= ok andalso lists:all(fun(Key) -> is_map_key(Key, Value) end, Required));
check_kind({map, _, _, Atoms, _}, _, Value) ->
	right(lists:member(Value, Atoms));
check_kind({elements, Check}, Key, Value) ->
	case Check(Value) of
		ok -> ok;
		{error, Element} -> {error, {Key, Element}}
	end;
check_kind(Kind, _, Value) ->
	right(gun_rs_option_kind:is_valid(Kind, Value)).

right(true) -> ok;
right(false) -> wrong.

%% The native HTTP library takes no trailers that are larger than a header block may be.
is_consistent(http, Opts=#{max_trailer_block_size := Trailers}) ->
	#{max_header_block_size := Headers} = maps:merge(defaults(http), Opts),
	case Trailers > Headers of
		true -> {error, {max_trailer_block_size, Trailers}};
		false -> ok
	end;
%% Pauses that never were, of a retry_fun or below the shortest, would be options without effect.
is_consistent(open, Opts=#{retry_backoff := Backoff=#{max := Max}}) ->
	case maps:merge(defaults(open), Opts) of
		#{retry_fun := undefined, retry_timeout := Shortest} when Max >= Shortest -> ok;
		_ -> {error, {retry_backoff, Backoff}}
	end;
is_consistent(_, _) ->
	ok.

%% @doc The options that have a default, with it.
-spec defaults(table()) -> map().
defaults(Table) ->
	maps:from_list([{Key, Default} || {Key, _, Default, _} <- rows(Table), Default =/= none]).

%% @doc Of complete options, those that the native library takes as they are.
-spec native(table(), Opts :: map()) -> map().
native(Table, Opts) ->
	maps:with([Key || {Key, _, _, native} <- rows(Table)], Opts).

%% @doc What the value of an option must be, in words.
-spec expected(table(), Key :: term()) -> {text, string()} | planned | unknown.
expected(Table, Key) ->
	case lists:keyfind(Key, 1, rows(Table)) of
		false -> unknown;
		{_, planned, _, _} -> planned;
		{_, {table, _, Atoms}, _, _} -> {text, gun_rs_option_kind:alternatives(gun_rs_option_kind:names(Atoms) ++ ["a map"])};
		{_, {map, _, _, _, Text}, _, _} -> {text, Text};
		{_, {elements, _}, _, _} -> {text, "a list"};
		{_, Kind, _, _} -> {text, gun_rs_option_kind:text(Kind)}
	end.

%% @doc The names of a table's options: of those that can be given, and of gun's that are
%% refused because they are not built yet.
-spec keys(table()) -> {[atom()], Planned :: [atom()]}.
keys(Table) ->
	{Planned, Built} = lists:partition(fun(Row) -> element(2, Row) =:= planned end, rows(Table)),
	{[element(1, Row) || Row <- Built], [element(1, Row) || Row <- Planned]}.

%% To build an option that is planned is to give it its kind here.

-spec rows(table()) -> [row()].
rows(open) -> open_rows();
rows(http) -> http_rows();
rows(http2) -> http2_rows();
rows(req) -> req_rows();
rows(ws_upgrade) -> [invalid_request_headers()|ws_rows()];
rows(ws) -> ws_rows();
rows(compress) -> compress_rows();
rows(reupgrade) -> reupgrade_rows();
rows(backoff) -> backoff_rows();
rows(cookies_list) -> cookies_list_rows();
rows(socket) -> [{timeout, timeout, 5000, erlang}].

open_rows() ->
	[
		{connect_timeout, timeout, infinity, erlang},
		{cookie_store, {fun is_cookie_store/1,
			"{Module, State}, the module one that can be loaded and exports the callbacks of gun_rs_cookies,"},
			undefined, erlang},
		{dialect, {one_of, [gun_2, gun_1, gun_1_pre, gun_0]}, none, erlang},
		{domain_lookup_timeout, timeout, infinity, erlang},
		{event_handler, planned, none, erlang},
		{http_opts, {table, http, []}, none, erlang},
		{http2_opts, {table, http2, []}, none, erlang},
		{http3_opts, planned, none, erlang},
		{notify_retries, boolean, false, erlang},
		{protocols, {fun are_protocols/1,
			"a list of http and http2, each given once and alone or with a map of its options; http among them, since "
			"HTTP/2 is not built yet in this release; and without TLS only one of them,"}, none, erlang},
		{raw_opts, planned, none, erlang},
		{retry, {integer, 0, unlimited, []}, 5, erlang},
		{retry_backoff, {map, backoff, [max], [],
			"#{max => Ms, jitter => Part}, Ms no less than retry_timeout, Part a number of 0 to 1, where there is no "
			"retry_fun,"}, undefined, erlang},
		{retry_fun, {function, 2}, undefined, erlang},
		{retry_timeout, milliseconds, 5000, erlang},
		{socks_opts, planned, none, erlang},
		{supervise, boolean, true, erlang},
		{tcp_opts, {elements, fun check_tcp/1}, none, erlang},
		{tls_handshake_timeout, timeout, 30000, erlang},
		{tls_opts, {elements, fun check_tls/1}, none, erlang},
		{trace, {fun(Trace) -> Trace =:= false end, "false, since this release cannot trace,"}, false, erlang},
		{transport, {fun(T) -> lists:member(T, [tcp, tls, ssl]) end,
			"tcp, tls or ssl, and tls or tcp as the scheme of a URL says,"}, none, erlang},
		%% Where they count they are looked at before.
		{transport_opts, {fun(_) -> false end,
			"a list, and in the dialects of gun 1 and before alone, where it stands for tcp_opts and tls_opts,"}, none, erlang},
		{ws_opts, {table, ws, []}, none, erlang}
	].

http_rows() ->
	[
		{closing_timeout, positive_timeout, 15000, native},
		{content_handlers, {fun are_content_handlers/1,
			"a list, not empty, of Module or {Module, Opts}, each module one that can be loaded and exports init/5 and "
			"handle/3, Opts a map of options that it has,"}, [gun_rs_data_h], erlang},
		{cookie_ignore_informational, boolean, false, erlang},
		{flow, {size, "parts of a body", [infinity, auto]}, infinity, native},
		{keepalive, positive_timeout, infinity, native},
		{max_header_block_size, {size, "bytes", [infinity]}, 100000, native},
		{max_headers, {integer, 1, ?MAX_HEADERS, []}, 512, native},
		{max_informs, {integer, 0, ?MAX_UNIT32, [infinity]}, 100, native},
		{max_send_queue, {size, "bytes", [infinity]}, infinity, native},
		{max_trailer_block_size, {size, "bytes", [infinity], "and no more than max_header_block_size"}, 10000, native},
		{transform_header_name, {fun is_spelling/1,
			"a fun that leaves names as they are, in lowercase, or capitalises each of their words, the only spellings "
			"that can be sent,"}, none, erlang},
		{version, {one_of, ['HTTP/1.1', 'HTTP/1.0']}, 'HTTP/1.1', native}
	].

%% RFC 9113: the windows in 6.9.1, the sizes of frames in 4.2.
http2_rows() ->
	[
		{closing_timeout, positive_timeout, none, erlang},
		{connection_window_margin_size, ?WINDOW, none, erlang},
		{connection_window_update_threshold, ?WINDOW, none, erlang},
		{content_handlers, {fun are_content_handlers/1,
			"a list, not empty, of Module or {Module, Opts}, each module one that can be loaded,"}, none, erlang},
		{cookie_ignore_informational, boolean, none, erlang},
		{enable_connect_protocol, boolean, none, erlang},
		{flow, {integer, 1, 16#7fffffff, []}, none, erlang},
		{initial_connection_window_size, {integer, 16#ffff, 16#7fffffff, []}, none, erlang},
		{initial_stream_window_size, ?WINDOW, none, erlang},
		{keepalive, positive_timeout, none, erlang},
		{keepalive_tolerance, ?COUNT, none, erlang},
		{max_concurrent_streams, {integer, 0, ?MAX_UNIT32, [infinity]}, none, erlang},
		{max_connection_window_size, ?WINDOW, none, erlang},
		{max_decode_table_size, ?COUNT, none, erlang},
		{max_encode_table_size, ?COUNT, none, erlang},
		{max_fragmented_header_block_size, {integer, 16#4000, 16#7fffffff, []}, none, erlang},
		{max_frame_size_received, {integer, 16#4000, 16#ffffff, []}, none, erlang},
		{max_frame_size_sent, {integer, 16#4000, 16#ffffff, [infinity]}, none, erlang},
		{max_headers, ?COUNT, none, erlang},
		{max_stream_window_size, ?WINDOW, none, erlang},
		{notify_settings_changed, boolean, none, erlang},
		{preface_timeout, timeout, none, erlang},
		{settings_timeout, timeout, none, erlang},
		{stream_window_data_threshold, ?WINDOW, none, erlang},
		{stream_window_margin_size, ?WINDOW, none, erlang},
		{stream_window_update_threshold, ?WINDOW, none, erlang}
	].

req_rows() ->
	[
		{body_timeout, positive_timeout, none, native},
		{flow, {size, "parts of a body", [infinity, auto]}, none, native},
		invalid_request_headers(),
		{reply_to, reply_to, none, erlang},
		{response_timeout, positive_timeout, none, native},
		{tunnel, planned, none, erlang}
	].

ws_rows() ->
	[
		{closing_timeout, positive_timeout, 15000, native},
		{compress, {table, compress, [true, false, compat]}, false, erlang},
		{default_protocol, {fun gun_rs_ws_protocol:is_module/1,
			"a module that can be loaded and exports init/4 and handle/2"}, gun_rs_ws_h, erlang},
		{flow, {size, "messages", [infinity, auto]}, infinity, native},
		{keepalive, positive_timeout, infinity, native},
		{keepalive_tolerance, {integer, 0, ?MAX_UNIT32, [infinity]}, infinity, native},
		{max_frame_size, {size, "bytes", [infinity]}, infinity, native},
		{max_message_size, {size, "bytes", [infinity]}, 64 * 1024 * 1024, native},
		{max_send_queue, {size, "bytes", [infinity]}, infinity, native},
		{protocols, {fun gun_rs_ws_protocol:are_subprotocols/1,
			"a list of {Name, Module}, not empty, each name a token and given once, each module one that can be loaded "
			"and exports init/4 and handle/2,"}, [], erlang},
		{reply_to, reply_to, none, erlang},
		{reupgrade, {map, reupgrade, [], [true, false],
			"true, false or #{queue => Bytes, retry_statuses => Statuses, max_retry_after => Ms}, Bytes a positive "
			"number, Statuses a list of integers of 300 to 599, Ms an integer of 0 to 4294967295 or infinity,"},
			false, erlang},
		{silence_pings, boolean, true, native},
		{tunnel, planned, none, erlang},
		{upgrade_timeout, positive_timeout, 30000, native},
		{user_opts, any, none, erlang}
	].

%% RFC 7692, 7.1. The client's window is 9 bits at least, because zlib compresses with no smaller
%% one; the server's may be 8.
compress_rows() ->
	[
		{client_max_window_bits, {integer, 9, 15, []}, undefined, native},
		{client_no_context_takeover, boolean, false, native},
		{level, {integer, 0, 9, []}, 6, native},
		{mem_level, {integer, 1, 9, []}, 8, native},
		{server_max_window_bits, {integer, 8, 15, []}, undefined, native},
		{server_no_context_takeover, boolean, false, native}
	].

reupgrade_rows() ->
	[
		{max_retry_after, timeout, 60000, native},
		%% Without one, no frame may wait for the upgrade.
		{queue, {size, "bytes", []}, 0, native},
		{retry_statuses, {list_of, {integer, 300, 599, []}}, [429, 502, 503, 504], native}
	].

backoff_rows() ->
	[
		{jitter, {fun(J) -> is_number(J) andalso J >= 0 andalso J =< 1 end, "a number of 0 to 1"}, 0.5, erlang},
		{max, milliseconds, none, erlang}
	].

cookies_list_rows() ->
	[
		{max_cookies, {integer, 0, unlimited, [infinity]}, 3000, erlang},
		{max_cookies_per_domain, {integer, 0, unlimited, [infinity]}, 50, erlang}
	].

%% `error' is what raise was called at first.
invalid_request_headers() ->
	{invalid_request_headers, {fun(V) -> lists:member(V, [raise, error, ignore]) end, "raise or ignore"}, none, erlang}.

%% What the value of an option must be beside its kind.

%% Each protocol at most once, and http among them: it serves where there is no HTTP/2 yet.
are_protocols(Protocols) when is_list(Protocols), length(Protocols) >= 0 ->
	Names = [protocol(Protocol) || Protocol <- Protocols],
	lists:member(http, Names) andalso not lists:member(error, Names)
		andalso length(lists:usort(Names)) =:= length(Names);
are_protocols(_) ->
	false.

protocol(Name) when Name =:= http; Name =:= http2 ->
	Name;
protocol({Name, Opts}) when is_map(Opts), Name =:= http orelse Name =:= http2 ->
	case check(Name, Opts) of
		ok -> Name;
		_ -> error
	end;
protocol(_) ->
	error.

are_content_handlers(Handlers) ->
	gun_rs_content_handler:check_option(Handlers) =:= ok.

%% Init is of no concern, since the store has been made.
is_cookie_store({Module, _}) when is_atom(Module) ->
	Callbacks = [{query, 2}, {set_cookie_secure_match, 2}, {set_cookie_get_exact_match, 2},
		{store, 2}, {gc, 1}, {session_gc, 1}],
	code:ensure_loaded(Module) =:= {module, Module} andalso lists:all(fun({Name, Arity}) ->
		erlang:function_exported(Module, Name, Arity)
	end, Callbacks);
is_cookie_store(_) ->
	false.

is_spelling(Fun) ->
	is_function(Fun, 1) andalso gun_rs_request:spelling(Fun) =/= other.

check_tcp(TcpOpts) ->
	case gun_rs_tcp_options:check(tcp, TcpOpts) of
		{ok, _} -> ok;
		{error, Element} -> {error, gun_rs_tcp_options:refused(Element)}
	end.

check_tls(TlsOpts) ->
	case gun_rs_tls_options:check(TlsOpts) of
		ok -> ok;
		{error, Element} -> {error, gun_rs_tls_options:refused(Element)}
	end.

%% @private Every option of gun_rs in one row each: what it may be, its default, and whether
%% the native library or Erlang serves it. From the rows come the checks, the defaults, what
%% the native library is given, and the sentences of `gun_rs:format_error/1'.
-module(gun_rs_option_table).

-export([check/2]).
-export([defaults/1]).
-export([native/2]).
-export([expected/2]).
-export([keys/1]).

-type table() :: open | http | http2 | raw | socks | connect | proxy_opts | req | ws | ws_upgrade | compress | reupgrade
	| backoff | cookies_list | socket | pool | pool_req | pool_ws | pool_size | checkout_queue | pool_health.
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
-define(MAX_WINDOW, 16#7fffffff).
-define(COUNT, {integer, 0, ?MAX_UNIT32, []}).
-define(POSITIVE, {integer, 1, ?MAX_UNIT32, []}).
-define(CONNECTIONS, {integer, 1, 10000, []}).

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
%% Every window stays as large as it is at first.
is_consistent(http2, Opts) ->
	Complete = maps:merge(defaults(http2), Opts),
	check_max_windows([{max_connection_window_size, initial_connection_window_size},
		{max_stream_window_size, initial_stream_window_size}], Complete);
%% Pauses that never were, of a retry_fun or below the shortest, would be options without effect.
is_consistent(open, Opts=#{proxy_opts := _}) when not is_map_key(proxy, Opts) ->
	{error, {proxy_opts, no_proxy}};
is_consistent(open, Opts=#{retry_backoff := Backoff=#{max := Max}}) ->
	case maps:merge(defaults(open), Opts) of
		#{retry_fun := undefined, retry_timeout := Shortest} when Max >= Shortest -> ok;
		_ -> {error, {retry_backoff, Backoff}}
	end;
%% A tunnel dies with its connection, and a connection beside it would not lead through the proxy.
is_consistent(ws_upgrade, #{tunnel := _, reupgrade := Reupgrade}) when Reupgrade =/= false ->
	{error, {reupgrade, Reupgrade}};
is_consistent(ws_upgrade, #{tunnel := _, http1_fallback := true}) ->
	{error, {http1_fallback, true}};
is_consistent(_, _) -> ok.

check_max_windows([{Max, Initial}|Windows], Opts) ->
	case Opts of
		#{Max := Most, Initial := Least} when Most < Least -> {error, {Max, Most}};
		_ -> check_max_windows(Windows, Opts)
	end;
check_max_windows([], _) -> ok.

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
rows(raw) -> raw_rows();
rows(socks) -> socks_rows();
rows(connect) -> connect_rows();
rows(proxy_opts) -> [{timeout, timeout, 30000, erlang}, {tls_opts, {elements, fun gun_rs_option_values:check_tls/1}, [], erlang}];
rows(req) -> req_rows();
rows(ws_upgrade) -> [invalid_request_headers(), redirects(), traceparent(), tunnel()|ws_rows()];
rows(ws) -> ws_rows();
rows(compress) -> compress_rows();
rows(reupgrade) -> reupgrade_rows();
rows(backoff) -> backoff_rows();
rows(cookies_list) -> cookies_list_rows();
rows(pool) -> pool_rows();
rows(pool_req) -> pool_req_rows() ++ lists:keydelete(tunnel, 1, req_rows());
rows(pool_ws) -> pool_ws_rows();
rows(pool_size) -> pool_size_rows();
rows(checkout_queue) -> checkout_queue_rows();
rows(pool_health) -> pool_health_rows();
rows(socket) -> [{timeout, timeout, 5000, erlang}].

open_rows() ->
	[
		{connect_timeout, timeout, infinity, erlang},
		{cookie_store, {fun gun_rs_option_values:is_cookie_store/1,
			"{Module, State}, the module one that can be loaded and exports the callbacks of gun_rs_cookies,"},
			undefined, erlang},
		{dialect, {one_of, [gun_2, gun_1, gun_1_pre, gun_0]}, none, erlang},
		{domain_lookup_timeout, timeout, infinity, erlang},
		{event_handler, {fun gun_rs_option_values:is_event_handler/1, "{Module, State}, Module an atom,"}, undefined, erlang},
		{http_opts, {table, http, []}, none, erlang},
		{http2_opts, {table, http2, []}, none, erlang},
		{http3_opts, planned, none, erlang},
		{notify_retries, boolean, false, erlang},
		{protocols, {fun are_protocols/1,
			"a list, not empty, of http and http2, each given once and alone or with a map of its options, and without TLS "
			"only one of them; or raw or socks, which stand by themselves,"}, none, erlang},
		{proxy, {fun gun_rs_proxy_url:is_proxy/1, "environment, or the URL of a proxy,"}, undefined, erlang},
		{proxy_opts, {table, proxy_opts, []}, none, erlang},
		{raw_opts, {table, raw, []}, none, erlang},
		{retry, {integer, 0, unlimited, []}, 5, erlang},
		{retry_backoff, {map, backoff, [max], [],
			"#{max => Ms, jitter => Part}, Ms no less than retry_timeout, Part a number of 0 to 1, where there is no "
			"retry_fun,"}, undefined, erlang},
		{retry_fun, {function, 2}, undefined, erlang},
		{retry_timeout, milliseconds, 5000, erlang},
		%% Looked at by gun_rs_connect_options, where they count.
		{socks_opts, {fun is_map/1, "a map"}, none, erlang},
		{supervise, boolean, true, erlang},
		{tcp_opts, {elements, fun gun_rs_option_values:check_tcp/1}, none, erlang},
		{tls_handshake_timeout, timeout, 30000, erlang},
		{tls_opts, {elements, fun gun_rs_option_values:check_tls/1}, none, erlang},
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
		{content_handlers, content_handlers(), [gun_rs_data_h], erlang},
		{cookie_ignore_informational, boolean, false, erlang},
		{flow, {size, "parts of a body", [infinity, auto]}, infinity, native},
		{keepalive, positive_timeout, infinity, native},
		{max_header_block_size, {size, "bytes", [infinity]}, 100000, native},
		{max_headers, {integer, 1, ?MAX_HEADERS, []}, 512, native},
		{max_informs, {integer, 0, ?MAX_UNIT32, [infinity]}, 100, native},
		{max_send_queue, {size, "bytes", [infinity]}, infinity, native},
		{max_trailer_block_size, {size, "bytes", [infinity], "and no more than max_header_block_size"}, 10000, native},
		{pipeline, {integer, 1, ?MAX_UNIT32, [infinity]}, infinity, native},
		{transform_header_name, {fun gun_rs_option_values:is_spelling/1,
			"a fun that leaves names as they are, in lowercase, or capitalises each of their words, the only spellings "
			"that can be sent,"}, none, erlang},
		{version, {one_of, ['HTTP/1.1', 'HTTP/1.0']}, 'HTTP/1.1', native}
	].

%% RFC 9113: the windows in 6.9.1, the sizes of frames in 4.2.
%% What the native library has no setting for is taken where it asks for what is done anyway: windows are topped up to
%% their initial size when half of them is used, headers are compressed with a table of 4096 bytes at most, frames are
%% as large as the server takes them, and a body is sent as soon as there is room for a part of it.
http2_rows() ->
	[
		{closing_timeout, positive_timeout, 15000, native},
		{connection_window_margin_size, zero("0, since no window has a margin,"), none, erlang},
		{connection_window_update_threshold, threshold(), none, erlang},
		{content_handlers, content_handlers(), [gun_rs_data_h], erlang},
		{cookie_ignore_informational, boolean, false, erlang},
		%% A server does nothing with it (RFC 8441, 3).
		{enable_connect_protocol, boolean, none, erlang},
		{flow, {size, "parts of a body", [infinity, auto]}, infinity, native},
		{initial_connection_window_size, {integer, 16#ffff, ?MAX_WINDOW, []}, 8000000, native},
		{initial_stream_window_size, {integer, 0, ?MAX_WINDOW, []}, 8000000, native},
		{keepalive, positive_timeout, infinity, native},
		{keepalive_tolerance, {integer, 0, ?MAX_UNIT32, [infinity]}, infinity, native},
		{max_concurrent_streams, {integer, 0, ?MAX_UNIT32, [infinity]}, 100, native},
		{max_connection_window_size, max_window(), none, erlang},
		{max_decode_table_size, ?COUNT, 4096, native},
		{max_encode_table_size, {fun(N) -> is_integer(N) andalso N >= 4096 andalso N =< ?MAX_UNIT32 end,
			"an integer of 4096 to 4294967295, since headers are compressed with a table of 4096 bytes, or fewer where the "
			"server wants that,"}, none, erlang},
		{max_fragmented_header_block_size, {integer, 16#4000, 16#7fffffff, []}, 32768, native},
		{max_frame_size_received, {integer, 16#4000, 16#ffffff, []}, 16#4000, native},
		{max_frame_size_sent, {fun(Size) -> Size =:= infinity orelse Size =:= 16#ffffff end,
			"16777215 or infinity, since frames are as large as the server takes them,"}, none, erlang},
		{max_header_list_size, {integer, 1, ?MAX_UNIT32, []}, 100000, native},
		{max_headers, ?COUNT, 100, native},
		{max_informs, {integer, 0, ?MAX_UNIT32, [infinity]}, 100, native},
		{max_send_queue, {size, "bytes", [infinity]}, infinity, native},
		{max_stream_window_size, max_window(), none, erlang},
		{notify_settings_changed, boolean, false, native},
		{preface_timeout, timeout, 5000, native},
		{push, boolean, true, native},
		{settings_timeout, timeout, 5000, native},
		{stream_window_data_threshold, zero("0, since a body is sent as soon as there is room for a part of it,"), none, erlang},
		{stream_window_margin_size, zero("0, since no window has a margin,"), none, erlang},
		{stream_window_update_threshold, threshold(), none, erlang},
		{too_many_streams, {one_of, [wait, error]}, wait, native}
	].

raw_rows() ->
	[
		{flow, {size, "reads", [infinity]}, infinity, native},
		{max_send_queue, {size, "bytes", [infinity]}, infinity, native}
	].

destination_rows() ->
	[
		{host, {fun(Host) -> gun_rs_host:to_binary(Host) =/= error end, "a domain name in ASCII or an IP address,"}, none, erlang},
		{port, {integer, 1, 65535, []}, none, erlang},
		{protocols, {fun are_inside/1,
			"a list, not empty, of http and http2, each given once and alone or with a map of its options, without content "
			"handlers, and without TLS only one of them; or of raw or {socks, Opts} alone,"}, none, erlang},
		{tls_handshake_timeout, timeout, 30000, erlang},
		{tls_opts, {elements, fun gun_rs_option_values:check_tls/1}, [], erlang},
		{transport, {one_of, [tcp, tls, ssl]}, tcp, erlang}
	].

connect_rows() ->
	Text = {fun(Text) -> try iolist_size(Text) >= 0 catch error:badarg -> false end end, "iodata"},
	[{username, Text, none, erlang}, {password, Text, none, erlang}|destination_rows()].

socks_rows() ->
	[
		{auth, {fun gun_rs_option_values:are_methods/1,
			"a list, not empty, of none and {username_password, Name, Password}, each given once, both binaries of 1 to 255 "
			"bytes,"}, [none], erlang},
		{timeout, timeout, 30000, erlang},
		{version, {integer, 5, 5, []}, 5, erlang}
		|destination_rows()
	].

content_handlers() ->
	{fun are_content_handlers/1,
		"a list, not empty, of Module or {Module, Opts}, each module one that can be loaded and exports init/5 and "
		"handle/3, Opts a map of options that it has,"}.

zero(Text) ->
	{fun(Size) -> Size =:= 0 end, Text}.

threshold() ->
	{fun(_) -> false end, "left out, since windows are topped up when half of them is used,"}.

max_window() ->
	{fun(Size) -> is_integer(Size) andalso Size >= 0 andalso Size =< ?MAX_WINDOW end,
		"an integer of 0 to 2147483647, and no less than the initial size, beyond which no window grows,"}.

req_rows() ->
	[
		{body_timeout, positive_timeout, none, native},
		{flow, {size, "parts of a body", [infinity, auto]}, none, native},
		invalid_request_headers(),
		%% What may be in it, open says.
		{redirect_opts, {fun is_map/1, "a map"}, none, erlang},
		redirects(),
		{reply_to, req_reply_to, none, erlang},
		{response_timeout, positive_timeout, none, native},
		{timeout, positive_timeout, none, native},
		traceparent(),
		tunnel()
	].

ws_rows() ->
	[
		{closing_timeout, positive_timeout, 15000, native},
		{compress, {table, compress, [true, false, compat]}, false, erlang},
		{default_protocol, {fun gun_rs_ws_protocol:is_module/1,
			"a module that can be loaded and exports init/4 and handle/2"}, gun_rs_ws_h, erlang},
		{flow, {size, "messages", [infinity, auto]}, infinity, native},
		{http1_fallback, boolean, false, native},
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

pool_rows() ->
	[
		{backoff, {map, backoff, [max], [], "#{max => Ms, jitter => Part}, Part a number of 0 to 1,"},
			#{max => 30000, jitter => 0.5}, erlang},
		{checkout_queue, {map, checkout_queue, [], [false],
			"false or #{max => Callers, timeout => Ms}, both positive integers,"}, false, erlang},
		%% What may be in it, open says.
		{conn_opts, {fun is_map/1, "a map"}, #{}, erlang},
		{health, {map, pool_health, [], [false],
			"false or #{interval => Ms, timeout => Ms}, both positive integers, where conn_opts allow HTTP/2, which has pings,"},
			false, erlang},
		{idle_timeout, positive_timeout, infinity, erlang},
		{max_age, positive_timeout, infinity, erlang},
		{max_age_jitter, {fun(J) -> is_number(J) andalso J >= 0 andalso J =< 1 end, "a number of 0 to 1"}, 0.1, erlang},
		{max_streams, {integer, 1, ?MAX_UNIT32, []}, undefined, erlang},
		{scope, any, default, erlang},
		{setup_fun, {fun gun_rs_option_values:is_setup_fun/1, "{Fun, State}, Fun a fun of three arguments,"}, undefined, erlang},
		{size, {fun is_pool_size/1, "an integer of 1 to 10000, or #{min => N, max => N} with min no more than max,"}, 8, erlang},
		{transport, {fun(T) -> lists:member(T, [tcp, tls, ssl]) end, "tcp, tls or ssl, and that of conn_opts if they have one,"},
			undefined, erlang}
	].

pool_size_rows() -> [{max, ?CONNECTIONS, 8, erlang}, {min, ?CONNECTIONS, 1, erlang}].

checkout_queue_rows() -> [{max, ?POSITIVE, 1000, erlang}, {timeout, ?POSITIVE, 5000, erlang}].

pool_health_rows() -> [{interval, ?POSITIVE, 30000, erlang}, {timeout, ?POSITIVE, 5000, erlang}].

pool_req_rows() ->
	[
		{checkout_call_timeout, timeout, 5000, erlang},
		{checkout_retry, {list_of, milliseconds}, [], erlang},
		{scope, any, default, erlang},
		{start_pool_if_missing, {fun(V) -> is_boolean(V) orelse is_map(V) end, "true, false, or the options of a pool"},
			false, erlang}
	].

pool_ws_rows() ->
	[{authority, {fun is_binary/1, "a binary, the pool's host and port as a host header has them,"}, none, erlang},
		{scope, any, default, erlang}].

%% The reference of a tunnel: of one in another one, with those of that before it.
tunnel() ->
	{tunnel, {fun gun_rs_option_values:is_tunnel/1, "the reference of a stream of connect,"}, none, erlang}.

%% `error' is what raise was called at first.
invalid_request_headers() ->
	{invalid_request_headers, {fun(V) -> lists:member(V, [raise, error, ignore]) end, "raise or ignore"}, none, erlang}.

redirects() ->
	{redirects, ?COUNT, none, erlang}.

traceparent() ->
	{traceparent, {fun gun_rs_traceparent:is_valid/1,
		"a binary, a traceparent of W3C Trace Context such as <<\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\">>,"},
		none, erlang}.

%% What the value of an option must be beside its kind.

%% Each protocol at most once, and those that are no HTTP alone.
are_protocols([Raw]) when Raw =:= raw; element(1, Raw) =:= raw ->
	is_raw(Raw);
are_protocols([socks]) ->
	true;
are_protocols([{socks, Opts}]) ->
	is_map(Opts);
are_protocols(Protocols) when is_list(Protocols), length(Protocols) > 0 ->
	Names = [protocol(Protocol) || Protocol <- Protocols],
	not lists:member(error, Names) andalso length(lists:usort(Names)) =:= length(Names);
are_protocols(_) ->
	false.

%% Those at the end of a tunnel: modules of the user's take no part in what is received there but by the options of open.
are_inside([socks]) ->
	false;
are_inside(Protocols) ->
	are_protocols(Protocols) andalso not lists:any(fun
		({_, Opts}) -> is_map_key(content_handlers, Opts) orelse is_map_key(cookie_ignore_informational, Opts);
		(_) -> false
	end, Protocols).

is_raw(raw) -> true;
is_raw({raw, Opts}) when is_map(Opts) -> check(raw, Opts) =:= ok;
is_raw(_) -> false.

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

is_pool_size(Size) when is_map(Size) ->
	#{min := Min, max := Max} = maps:merge(defaults(pool_size), Size),
	check(pool_size, Size) =:= ok andalso Min =< Max;
is_pool_size(Size) ->
	gun_rs_option_kind:is_valid(?CONNECTIONS, Size).

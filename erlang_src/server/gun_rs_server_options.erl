%% @private The options of a listener: ranch's of its transport, Cowboy's of its protocol in both
%% dialects, and ours. Each is honoured, or known to be without effect here, or refused by name.
-module(gun_rs_server_options).

-export([transport/3]).
-export([protocol/2]).
-export([websocket/2]).
-export([expected/1]).

-type dialect() :: cowboy_1 | cowboy_2.
-export_type([dialect/0]).

%% What a listener works from.
-type transport() :: #{
	address := {inet:ip_address(), inet:port_number()} | {local, binary()},
	backlog := pos_integer(),
	handshake_timeout := timeout(),
	max_connections := pos_integer() | infinity,
	max_connections_per_address := pos_integer() | infinity,
	max_websockets := pos_integer() | infinity,
	shutdown := timeout() | brutal_kill,
	tcp := gun_rs_tcp_options:tcp(),
	tls := undefined | [term()]
}.
-type protocol() :: #{
	compress := boolean(),
	env := map(),
	head_too_large := 400 | 431,
	linger_timeout := timeout(),
	max_header_name := pos_integer(),
	max_header_value := pos_integer(),
	max_headers := pos_integer(),
	max_keepalive := pos_integer() | infinity,
	max_request_line := pos_integer(),
	max_send_queue := pos_integer() | infinity,
	request_timeout := timeout(),
	idle_timeout := timeout(),
	websocket := map()
}.
-export_type([transport/0, protocol/0]).

-type kind() :: gun_rs_option_kind:kind().

-define(COUNT, {integer, 0, 16#ffffffff, [infinity]}).
-define(LIMIT, {integer, 1, 16#ffffffff, [infinity]}).
-define(POSITIVE, {integer, 1, 16#ffffffff, []}).
-define(MAX_HEADERS, 10000).

%% @doc The options of a transport, ranch's: a list of those of the socket, or a map that has
%% them as `socket_opts'.
-spec transport(dialect(), tcp | tls, term()) -> {ok, transport()} | {error, {options, term()}}.
transport(Dialect, Transport, Opts) when is_list(Opts), length(Opts) >= 0 ->
	{Ranch, Socket} = lists:partition(fun is_of_ranch/1, Opts),
	transport(Dialect, Transport, (maps:from_list(Ranch))#{socket_opts => Socket});
transport(_, Transport, Opts) when is_map(Opts) ->
	case check(maps:to_list(maps:remove(socket_opts, Opts)), transport_rows()) of
		ok ->
			Socket = maps:get(socket_opts, Opts, []),
			Defaults = #{handshake_timeout => 5000, max_connections => 1024, max_connections_per_address => infinity,
				max_websockets => infinity, shutdown => 5000},
			socket(Transport, Socket, maps:with(maps:keys(Defaults), maps:merge(Defaults, Opts)));
		Error ->
			Error
	end;
transport(_, _, Opts) ->
	{error, {options, Opts}}.

is_of_ranch({Key, _}) -> is_atom(Key) andalso lists:keymember(Key, 1, transport_rows());
is_of_ranch(_) -> false.

-spec transport_rows() -> [{atom(), kind()}].
transport_rows() ->
	[
		{handshake_timeout, timeout},
		{max_connections, ?LIMIT},
		{max_connections_per_address, ?LIMIT},
		{max_websockets, ?LIMIT},
		{shutdown, {fun(S) -> S =:= brutal_kill orelse gun_rs_option_kind:is_valid(timeout, S) end,
			"a number of milliseconds, infinity or brutal_kill"}},
		%% Ranch's own plumbing: nothing here has it.
		{ack_timeout, timeout},
		{connection_type, {one_of, [worker, supervisor]}},
		{logger, {fun is_atom/1, "a module"}},
		{num_acceptors, ?POSITIVE},
		{num_conns_sups, ?POSITIVE},
		{num_listen_sockets, ?POSITIVE}
	].

socket(Transport, Opts, Common) when is_list(Opts), length(Opts) >= 0 ->
	Own = #{ip => undefined, port => 0, backlog => 1024},
	try lists:foldl(fun(Opt, Acc) -> socket_opt(Transport, Opt, Acc) end, {Own, [], []}, Opts) of
		{#{ip := Ip, port := Port, backlog := Backlog}, Tcp, Tls} ->
			%% Cowboy's defaults.
			case gun_rs_tcp_options:check(kind_of(Ip), [{send_timeout, 30000}|lists:reverse(Tcp)]) of
				{ok, Native} ->
					{ok, Common#{address => address(Ip, Port, Native), backlog => Backlog, tcp => Native,
						tls => tls(Transport, lists:reverse(Tls))}};
				{error, Element} ->
					{error, {options, gun_rs_tcp_options:refused(Element)}}
			end
	catch throw:{refused, Opt} ->
		{error, {options, Opt}}
	end;
socket(_, Opts, _) ->
	{error, {options, {socket_opts, Opts}}}.

socket_opt(_, {port, Port}, {Own, Tcp, Tls}) when is_integer(Port), Port >= 0, Port =< 65535 ->
	{Own#{port := Port}, Tcp, Tls};
socket_opt(_, {backlog, N}, {Own, Tcp, Tls}) when is_integer(N), N > 0, N =< 16#7fffffff ->
	{Own#{backlog := N}, Tcp, Tls};
socket_opt(Transport, {ifaddr, Ip}, Acc) ->
	socket_opt(Transport, {ip, Ip}, Acc);
socket_opt(_, {ip, {local, Path}}, {Own, Tcp, Tls}) when is_binary(Path); is_list(Path) ->
	{Own#{ip := {local, unicode:characters_to_binary(Path)}}, Tcp, Tls};
socket_opt(_, {ip, Ip}, {Own, Tcp, Tls}) ->
	case inet:ntoa(Ip) of
		{error, _} -> throw({refused, {ip, Ip}});
		_ -> {Own#{ip := Ip}, Tcp, Tls}
	end;
socket_opt(_, {Key, _}=Opt, _) when Key =:= port; Key =:= backlog; Key =:= fd ->
	throw({refused, Opt});
socket_opt(Transport, Opt, {Own, Tcp, Tls}) ->
	case gun_rs_tcp_options:check(tcp, [Opt]) of
		{ok, _} -> {Own, [Opt|Tcp], Tls};
		{error, _} when Transport =:= tls -> {Own, Tcp, [Opt|Tls]};
		{error, _} -> throw({refused, gun_rs_tcp_options:refused(Opt)})
	end.

kind_of({local, _}) -> unix;
kind_of(_) -> tcp.

address({local, Path}, _, _) -> {local, Path};
address(undefined, Port, #{family := inet6}) -> {{0, 0, 0, 0, 0, 0, 0, 0}, Port};
address(undefined, Port, _) -> {{0, 0, 0, 0}, Port};
address(Ip, Port, _) -> {Ip, Port}.

tls(tcp, _) -> undefined;
tls(tls, Opts) -> Opts.

%% @doc The options of the protocol: a list in Cowboy 1, a map in Cowboy 2.
-spec protocol(dialect(), term()) -> {ok, protocol()} | {error, {options, term()}}.
protocol(cowboy_1, Opts) when is_list(Opts), length(Opts) >= 0 ->
	case lists:all(fun(Opt) -> is_tuple(Opt) andalso tuple_size(Opt) =:= 2 end, Opts) of
		true -> protocol_1(maps:from_list(lists:reverse(Opts)));
		false -> {error, {options, Opts}}
	end;
protocol(cowboy_2, Opts) when is_map(Opts) ->
	case check(maps:to_list(Opts), protocol_2_rows() ++ common_rows()) of
		ok -> complete(maps:get(env, Opts, #{}), Opts, defaults_2());
		Error -> Error
	end;
protocol(_, Opts) ->
	{error, {options, Opts}}.

protocol_1(Opts) ->
	case check(maps:to_list(Opts), protocol_1_rows() ++ common_rows()) of
		ok ->
			Timeout = maps:get(timeout, Opts, 5000),
			WebSocket = maps:merge(#{compress => maps:get(compress, Opts, false)}, maps:get(websocket, Opts, #{})),
			complete(maps:from_list(maps:get(env, Opts, [])), Opts#{request_timeout => Timeout, websocket => WebSocket},
				defaults_1());
		Error ->
			Error
	end.

complete(Env, Opts, Defaults) ->
	#{websocket := WebSocket} = All = maps:merge(Defaults, Opts),
	case websocket(WebSocket, #{}) of
		{ok, _} ->
			{ok, #{
				compress => maps:get(compress, All, false),
				env => Env,
				head_too_large => maps:get(head_too_large, All),
				idle_timeout => maps:get(idle_timeout, All),
				linger_timeout => maps:get(linger_timeout, All),
				max_header_name => maps:get(max_header_name_length, All),
				max_header_value => maps:get(max_header_value_length, All),
				max_headers => maps:get(max_headers, All),
				max_keepalive => maps:get(max_keepalive, All),
				max_request_line => maps:get(max_request_line_length, All),
				max_send_queue => maps:get(max_send_queue, All),
				request_timeout => maps:get(request_timeout, All),
				websocket => WebSocket
			}};
		{error, {options, Opt}} ->
			{error, {options, {websocket, Opt}}}
	end.

defaults_1() ->
	#{head_too_large => 400, idle_timeout => 60000, linger_timeout => 1000, max_header_name_length => 64,
		max_header_value_length => 4096, max_headers => 100, max_keepalive => 100,
		max_request_line_length => 4096, max_send_queue => 16 * 1024 * 1024, websocket => #{}}.

defaults_2() ->
	(defaults_1())#{head_too_large => 431, max_keepalive => 1000, max_request_line_length => 8000, request_timeout => 5000}.

%% Those of both dialects. What is Cowboy's plumbing is checked, and without effect.
-spec common_rows() -> [{atom(), kind()}].
common_rows() ->
	[
		{idle_timeout, timeout},
		{linger_timeout, timeout},
		{max_empty_lines, ?COUNT},
		{max_header_name_length, ?POSITIVE},
		{max_header_value_length, ?POSITIVE},
		{max_headers, {integer, 1, ?MAX_HEADERS, []}},
		{max_keepalive, ?LIMIT},
		{max_request_line_length, ?POSITIVE},
		{max_send_queue, {integer, 16#20000, 1 bsl 62, [infinity]}},
		{middlewares, {fun(M) -> M =:= [cowboy_router, cowboy_handler] end, "[cowboy_router, cowboy_handler]"}},
		{websocket, {fun is_map/1, "a map of the options of WebSockets"}}
	].

-spec protocol_1_rows() -> [{atom(), kind()}].
protocol_1_rows() ->
	[
		{compress, boolean},
		{env, {fun(Env) -> is_list(Env) andalso lists:all(fun(E) -> is_tuple(E) andalso tuple_size(E) =:= 2 end, Env) end,
			"a list of {Key, Value}"}},
		{timeout, timeout}
	].

-spec protocol_2_rows() -> [{atom(), kind()}].
protocol_2_rows() ->
	[
		{env, {fun is_map/1, "a map"}},
		{request_timeout, timeout},
		{protocols, {fun(P) -> P =:= [http] orelse P =:= [http2, http] orelse P =:= [http, http2] end,
			"a list of http and http2 with http among them, since HTTP/2 is not built yet in this release,"}},
		{proxy_header, {fun(P) -> P =:= false end, "false, since this release reads no PROXY header,"}},
		{stream_handlers, {fun(S) -> S =:= [cowboy_stream_h] end, "[cowboy_stream_h]"}},
		%% Without effect: of HTTP/2, or Cowboy's plumbing.
		{active_n, ?POSITIVE},
		{chunked, {one_of, [true]}},
		{connection_type, {one_of, [worker, supervisor]}},
		{dynamic_buffer, any},
		{enable_connect_protocol, boolean},
		{hibernate, boolean},
		{inactivity_timeout, timeout},
		{initial_stream_flow_size, ?COUNT},
		{logger, {fun is_atom/1, "a module"}},
		{max_authority_length, ?COUNT},
		{max_method_length, ?COUNT},
		{max_skip_body_length, ?COUNT},
		{sendfile, boolean},
		{shutdown_timeout, timeout}
	].

%% @doc The options of a WebSocket: those of the handler over those of the listener.
-spec websocket(Listener :: map(), Handler :: map()) -> {ok, map()} | {error, {options, term()}}.
websocket(Listener, Handler) ->
	Opts = maps:merge(Listener, Handler),
	case check(maps:to_list(Opts), websocket_rows()) of
		ok -> websocket_deflate(maps:merge(websocket_defaults(), Opts));
		Error -> Error
	end.

websocket_deflate(Opts=#{compress := Compress, deflate_opts := Deflate}) ->
	case check(maps:to_list(Deflate), deflate_rows()) of
		ok when Compress -> {ok, native(Opts, deflate(Deflate))};
		ok -> {ok, native(Opts, undefined)};
		{error, {options, Opt}} -> {error, {options, {deflate_opts, Opt}}}
	end.

websocket_defaults() ->
	#{closing_timeout => 5000, compress => false, deflate_opts => #{}, hibernate_after => 5000, idle_timeout => 60000,
		max_frame_size => 1000000, max_message_size => 1000000, max_send_queue => 16 * 1024 * 1024,
		origins => any, ping_interval => infinity, pong_timeout => infinity, slow_client => close}.

are_origins(any) -> true;
are_origins(Origins) when is_list(Origins), length(Origins) >= 0 -> lists:all(fun is_binary/1, Origins);
are_origins(_) -> false.

-spec websocket_rows() -> [{atom(), kind()}].
websocket_rows() ->
	[
		{closing_timeout, positive_timeout},
		{compress, boolean},
		{deflate_opts, {fun is_map/1, "a map"}},
		{hibernate_after, timeout},
		{idle_timeout, timeout},
		{max_frame_size, {size, "bytes", [infinity]}},
		{origins, {fun are_origins/1, "any, or a list of binaries such as <<\"https://example.org\">>"}},
		{max_message_size, {size, "bytes", [infinity]}},
		{max_send_queue, {size, "bytes", [infinity]}},
		{ping_interval, positive_timeout},
		{pong_timeout, positive_timeout},
		{req_filter, {function, 1}},
		{slow_client, {fun(S) -> S =:= close orelse S =:= drop_new
			orelse is_tuple(S) andalso tuple_size(S) =:= 2 andalso element(1, S) =:= tell andalso is_pid(element(2, S)) end,
			"close, drop_new or {tell, Pid}"}},
		{validate_utf8, {one_of, [true]}},
		%% Without effect: Cowboy's plumbing.
		{active_n, ?POSITIVE},
		{data_delivery, {one_of, [stream_handlers, relay]}},
		{data_delivery_flow, ?POSITIVE},
		{dynamic_buffer, any}
	].

-spec deflate_rows() -> [{atom(), kind()}].
deflate_rows() ->
	[
		{client_context_takeover, {one_of, [takeover, no_takeover]}},
		{client_max_window_bits, {integer, 8, 15, []}},
		{level, {fun(L) -> lists:member(L, [none, default, best_compression, best_speed])
			orelse is_integer(L) andalso L >= 0 andalso L =< 9 end,
			"an integer of 0 to 9, none, default, best_compression or best_speed"}},
		{mem_level, {integer, 1, 9, []}},
		{server_context_takeover, {one_of, [takeover, no_takeover]}},
		{server_max_window_bits, {integer, 8, 15, []}},
		{strategy, {one_of, [default]}}
	].

%% The names that the native library has for them. Its window for what it sends is 9 bits at least.
deflate(Opts) ->
	#{
		client_max_window_bits => maps:get(client_max_window_bits, Opts, undefined),
		client_no_context_takeover => maps:get(client_context_takeover, Opts, takeover) =:= no_takeover,
		level => level(maps:get(level, Opts, default)),
		mem_level => maps:get(mem_level, Opts, 8),
		server_max_window_bits => server_window(maps:get(server_max_window_bits, Opts, undefined)),
		server_no_context_takeover => maps:get(server_context_takeover, Opts, takeover) =:= no_takeover
	}.

level(none) -> 0;
level(default) -> 6;
level(best_speed) -> 1;
level(best_compression) -> 9;
level(Level) -> Level.

server_window(8) -> 9;
server_window(Bits) -> Bits.

native(Opts=#{ping_interval := Interval, pong_timeout := Timeout}, Deflate) ->
	(maps:with([closing_timeout, hibernate_after, idle_timeout, max_frame_size, max_message_size, max_send_queue,
		origins, req_filter, slow_client], Opts))#{
		compress => Deflate,
		keepalive => Interval,
		keepalive_tolerance => tolerance(Interval, Timeout)
	}.

%% So many pings may be unanswered when the next one is due: the time is counted in whole intervals.
tolerance(infinity, _) -> infinity;
tolerance(_, infinity) -> infinity;
tolerance(Interval, Timeout) -> max(0, (Timeout + Interval - 1) div Interval - 1).

%% Of several that are wrong the first in the order of terms is named.
check(Opts, Rows) ->
	case [Opt || Opt={Key, Value} <- lists:sort(Opts), not is_valid(Key, Value, Rows)] of
		[] -> ok;
		[Opt|_] -> {error, {options, gun_rs_secrets:option(Opt)}}
	end.

is_valid(Key, Value, Rows) ->
	case lists:keyfind(Key, 1, Rows) of
		{_, Kind} -> gun_rs_option_kind:is_valid(Kind, Value);
		false -> false
	end.

%% @doc What the value of an option must be, in words.
-spec expected(Key :: term()) -> {text, string()} | unknown.
expected(Key) ->
	Rows = transport_rows() ++ common_rows() ++ protocol_2_rows() ++ protocol_1_rows() ++ websocket_rows() ++ deflate_rows(),
	case lists:keyfind(Key, 1, Rows) of
		{_, Kind} -> {text, gun_rs_option_kind:text(Kind)};
		false -> unknown
	end.

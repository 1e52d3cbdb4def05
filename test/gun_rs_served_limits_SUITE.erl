%% What a listener allows and what it refuses, in both dialects: options, the limits of HTTP, numbers of connections,
%% offers of compression, and its end. See test/handlers.config.
-module(gun_rs_served_limits_SUITE).

-define(NEEDS, [gun_rs, crypto, ssl, certs]).
-include("gun_rs_suite.hrl").

-include_lib("stdlib/include/assert.hrl").

-define(TIMEOUT, 60000).

groups() ->
	served_listener:groups(?MODULE).

init_per_group(Dialect, Config) ->
	[{dialect, Dialect}|Config].

end_per_group(_, _) ->
	ok.

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

do_either(Config, One, Two) -> served_listener:either(Config, One, Two).

do_page(Config) ->
	do_either(Config,
		#{init => fun(_, Req, State) -> {ok, Req, State} end, page => fun(Req0, State) ->
			{ok, Req} = gun_rs_req:reply(200, [], <<"page">>, Req0),
			{ok, Req, State}
		end},
		#{init => fun(Req, State) -> {ok, gun_rs_req:reply(200, #{}, <<"page">>, Req), State} end}).

%% Starts a listener that has no routes.
do_listen(tcp, Trans, Proto, Config) ->
	Ref = config('case', Config),
	case config(dialect, Config) of
		cowboy_1 -> gun_rs_server:start_http(Ref, 1, Trans, Proto);
		cowboy_2 -> gun_rs_server:start_clear(Ref, Trans, maps:from_list(Proto))
	end;
do_listen(tls, Trans, Proto, Config) ->
	Ref = config('case', Config),
	case config(dialect, Config) of
		cowboy_1 -> gun_rs_server:start_https(Ref, 1, Trans, Proto);
		cowboy_2 -> gun_rs_server:start_tls(Ref, Trans, maps:from_list(Proto))
	end.

do_taken(Transport, Trans, Proto, Config) ->
	{Trans, Proto, {ok, _}} = {Trans, Proto, do_listen(Transport, Trans, Proto, Config)},
	ok = gun_rs_server:stop_listener(config('case', Config)).

do_refused(Transport, Trans, Proto, Opt, Config) ->
	{Opt, {error, {options, Opt}}} = {Opt, do_listen(Transport, Trans, Proto, Config)},
	[_|_] = gun_rs_server:format_error({options, Opt}).

%% Options.

socket_options(Config) ->
	doc("Every option of a socket that listeners are started with is taken, or refused by its name."),
	_ = [do_taken(tcp, Opts, [], Config) || Opts <- [[], [{port, 0}], [{ip, {127, 0, 0, 1}}], [{ip, {0, 0, 0, 0, 0, 0, 0, 1}}],
		[{ifaddr, {127, 0, 0, 1}}], [inet], [inet6], [inet6, {ipv6_v6only, true}], [{backlog, 10}], [{nodelay, false}],
		[{send_timeout, 1000}], [{send_timeout_close, true}], [{keepalive, true}], [{linger, {true, 0}}], [{reuseaddr, true}],
		[{reuseport, true}], [{sndbuf, 10000}], [{recbuf, 10000}], [{buffer, 10000}], [{raw, 6, 18, <<1000:32/native>>}],
		[{num_acceptors, 10}, {max_connections, 10}]]],
	_ = [do_refused(tcp, [Opt], [], Opt, Config) || Opt <- [{port, 70000}, {ip, "localhost"}, {fd, 3}, {backlog, 0},
		{send_timeout_close, false}, {packet, 4}, {certfile, "a"}, unknown, {unknown, 1}, {max_connections, 0},
		{max_connections_per_address, 0}, {max_websockets, none}, {handshake_timeout, soon}, {shutdown, never}]].

ip_counts(Config) ->
	doc("A listener listens on the address that it is given, by either name, and on no other."),
	Ref = config('case', Config),
	[begin
		{ok, _} = do_listen(tcp, [{Key, {127, 0, 0, 1}}], [], Config),
		{{127, 0, 0, 1}, Port} = gun_rs_server:get_addr(Ref),
		{error, econnrefused} = gen_tcp:connect({127, 0, 0, 2}, Port, []),
		ok = gun_rs_server:stop_listener(Ref)
	end || Key <- [ip, ifaddr]],
	{ok, _} = do_listen(tcp, [inet6], [], Config),
	{ok, Socket} = gen_tcp:connect({0, 0, 0, 0, 0, 0, 0, 1}, gun_rs_server:get_port(Ref), [inet6]),
	ok = gen_tcp:close(Socket).

tls_options(Config) ->
	doc("The same of TLS: what can't be honoured is never passed over."),
	#{good := #{certfile := CertFile, keyfile := KeyFile, der := Der}, root := #{certfile := Root}} = config(certs, Config),
	Cert = [{certfile, CertFile}, {keyfile, KeyFile}],
	_ = [do_taken(tls, Cert ++ Opts, [], Config) || Opts <- [[], [{cacertfile, Root}], [{cacertfile, Root}, {verify, verify_peer}],
		[{cacertfile, Root}, {verify, verify_peer}, {fail_if_no_peer_cert, true}], [{depth, 2}], [{versions, ['tlsv1.2', 'tlsv1.3']}],
		[{ciphers, ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"]}], [{honor_cipher_order, true}],
		[{sni_hosts, [{"a", Cert}]}], [{alpn_preferred_protocols, [<<"h2">>, <<"http/1.1">>]}], [{dhfile, "none.pem"}],
		[{secure_renegotiate, true}], [{reuse_sessions, true}], [{log_alert, false}], [{password, "secret"}], [{port, 0}, {nodelay, true}]]],
	_ = [do_refused(tls, Cert ++ [Opt], [], Opt, Config) || Opt <- [{verify_fun, {fun(_, _, S) -> {valid, S} end, []}},
		{sni_fun, fun(_) -> [] end}, {crl_check, true}, {partial_chain, fun(_) -> unknown_ca end}, {versions, ['tlsv1.1']},
		{verify, verify_peer}, {verify, 'maybe'}, {fail_if_no_peer_cert, 'maybe'}, {alpn_preferred_protocols, [<<"h2">>]},
		{eccs, [x25519]}, {supported_groups, [x25519]}, {signature_algs, [ecdsa_secp256r1_sha256]}, {server_name_indication, "a"},
		{customize_hostname_check, []}, {alpn_advertised_protocols, [<<"http/1.1">>]}, {psk_groups, []}, {unknown, 1}]],
	Host = {verify, verify_peer},
	do_refused(tls, Cert ++ [{sni_hosts, [{"a", [Host|Cert]}]}], [], {sni_hosts, {"a", Host}}, Config),
	_ = [{error, no_cert} = do_listen(tls, Opts, [], Config) || Opts <- [[], [{verify, verify_none}], [{cacertfile, Root}]]],
	{error, {options, {certfile, "none.pem"}}} = do_listen(tls, [{certfile, "none.pem"}, {keyfile, KeyFile}], [], Config),
	{error, {options, _}} = do_listen(tls, [{cert, Der}, {keyfile, "none.pem"}], [], Config).

protocol_options(Config) ->
	doc("The same of the options of the protocol, each in its dialect."),
	{Taken, Refused} = do_either(Config,
		{[{compress, true}, {env, []}, {max_empty_lines, 5}, {max_header_name_length, 64}, {max_header_value_length, 4096},
			{max_headers, 100}, {max_keepalive, 100}, {max_request_line_length, 4096}, {timeout, 5000},
			{middlewares, [cowboy_router, cowboy_handler]}],
		[{onrequest, fun(Req) -> Req end}, {onresponse, fun(_, _, _, Req) -> Req end}, {middlewares, [mine]},
			{timeout, soon}, {compress, 1}, {env, dispatch}, {unknown, 1}]},
		{[{request_timeout, 5000}, {idle_timeout, 60000}, {max_headers, 100}, {env, #{}}, {enable_connect_protocol, true},
			{protocols, [http2, http]}, {proxy_header, false}, {stream_handlers, [cowboy_stream_h]}, {linger_timeout, 1000},
			{middlewares, [cowboy_router, cowboy_handler]}, {inactivity_timeout, 300000}, {active_n, 100}],
		[{proxy_header, true}, {protocols, [http2]}, {stream_handlers, [cowboy_compress_h, cowboy_stream_h]}, {middlewares, []},
			{metrics_callback, fun(_) -> ok end}, {tracer_callback, fun(_, _) -> ok end}, {onrequest, 1}, {env, []}, {unknown, 1}]}),
	_ = [do_taken(tcp, [], [Opt], Config) || Opt <- Taken],
	_ = [do_refused(tcp, [], [Opt], Opt, Config) || Opt <- Refused],
	ok.

two_websocket_options(Config) ->
	doc("Options of WebSockets: each is taken or refused by name, from the listener and from init."),
	_ = [do_taken(tcp, [], [{websocket, #{Key => Value}}], Config) || {Key, Value} <- [{idle_timeout, infinity},
		{max_frame_size, infinity}, {compress, true}, {deflate_opts, #{level => 1, mem_level => 9, strategy => default,
			server_context_takeover => no_takeover, client_context_takeover => takeover, server_max_window_bits => 8,
			client_max_window_bits => 15}}, {validate_utf8, true}, {req_filter, fun(Req) -> Req end}, {active_n, 1},
		{dynamic_buffer, false}, {data_delivery, relay}, {data_delivery_flow, 10}]],
	_ = [do_refused(tcp, [], [{websocket, #{Key => Value}}], {websocket, {Key, Value}}, Config) || {Key, Value} <- [
		{validate_utf8, false}, {idle_timeout, -1}, {max_frame_size, 0}, {compress, 1}, {active_n, 0}, {unknown, 1}]],
	do_refused(tcp, [], [{websocket, #{deflate_opts => #{strategy => huffman_only}}}],
		{websocket, {deflate_opts, {strategy, huffman_only}}}, Config).

names(Config) ->
	doc("A name that is taken, an address that is, a name that nobody has."),
	Ref = config('case', Config),
	{ok, Pid} = do_listen(tcp, [], [], Config),
	{error, {already_started, Pid}} = do_listen(tcp, [], [], Config),
	Port = gun_rs_server:get_port(Ref),
	{error, eaddrinuse} = do_listen(tcp, [{port, Port}], [], [{'case', other}|lists:keydelete('case', 1, Config)]),
	ok = gun_rs_server:stop_listener(Ref),
	{error, not_found} = gun_rs_server:stop_listener(Ref),
	{error, not_found} = gun_rs_server:set_env(Ref, a, 1).

what_info_says(Config) ->
	doc("info has what ranch's has."),
	Ref = config('case', Config),
	{ok, Pid} = do_listen(tcp, [{max_connections, 10}], [], Config),
	#{pid := Pid, status := running, ip := _, port := Port, max_connections := 10, active_connections := 0,
		all_connections := 0, transport := tcp, transport_options := [{max_connections, 10}], protocol_options := _}
		= gun_rs_server:info(Ref),
	Port = gun_rs_server:get_port(Ref).

later_options(Config) ->
	doc("Options of the protocol that are set later count for connections from then on; so do routes."),
	Port = served_listener:start(do_page(Config), Config),
	Ref = config('case', Config),
	Old = raw_ws:connect(Port),
	ok = gen_tcp:send(Old, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
	{{200, _, _}, _} = raw_ws:response(Old),
	#{env := Env} = maps:from_list(do_list(gun_rs_server:get_protocol_options(Ref))),
	ok = gun_rs_server:set_protocol_options(Ref, do_either(Config, [{env, Env}, {max_request_line_length, 30}],
		#{env => Env, max_request_line_length => 30})),
	Long = ["GET /ws?", lists:duplicate(100, $a), " HTTP/1.1\r\nhost: a\r\n\r\n"],
	{{414, _, _}, _} = raw_ws:request(Port, Long),
	ok = gen_tcp:send(Old, Long),
	{{200, _, _}, _} = raw_ws:response(Old),
	{error, {options, {unknown, 1}}} = gun_rs_server:set_protocol_options(Ref, do_either(Config, [{unknown, 1}], #{unknown => 1})),
	ok = gun_rs_server:set_env(Ref, mine, value),
	value = gun_rs_server:get_env(Ref, mine),
	ok = gun_rs_server:set_env(Ref, dispatch, []),
	{{400, _, _}, _} = raw_ws:request(Port, "/ws", []).

do_list(Map) when is_map(Map) -> maps:to_list(Map);
do_list(List) -> List.

%% Limits of HTTP.

statuses(Config) ->
	doc("The status of each limit on a request's head, by default; what is just within is served."),
	Port = served_listener:start(do_page(Config), Config),
	{Line, TooLarge} = do_either(Config, {4096, 400}, {8000, 431}),
	A = fun(N) -> lists:duplicate(N, $a) end,
	Path = fun(N) -> ["GET /ws?", A(N - length("GET /ws? HTTP/1.1")), " HTTP/1.1\r\nhost: a\r\n\r\n"] end,
	Header = fun(Name, Value) -> ["GET /ws HTTP/1.1\r\nhost: a\r\n", A(Name), ": ", A(Value), "\r\n\r\n"] end,
	Headers = fun(N) ->
		["GET /ws HTTP/1.1\r\nhost: a\r\n", [["x-", integer_to_list(I), ": a\r\n"] || I <- lists:seq(2, N)], "\r\n"]
	end,
	[begin
		{What, {{Status, _, _}, <<>>}} = {What, raw_ws:request(Port, Request)}
	end || {What, Request, Status} <- [{line, Path(Line), 200}, {long_line, Path(Line + 1), 414},
		{name, Header(64, 1), 200}, {long_name, Header(65, 1), TooLarge},
		{value, Header(5, 4096), 200}, {long_value, Header(5, 4097), TooLarge},
		{headers, Headers(100), 200}, {many_headers, Headers(101), TooLarge},
		{no_host, "GET /ws HTTP/1.1\r\n\r\n", 400}, {no_host_needed, "GET /ws HTTP/1.0\r\n\r\n", 200}]].

keepalive(Config) ->
	doc("The last request that a connection may make closes it."),
	Port = served_listener:start(do_page(Config), #{max_keepalive => 3}, Config),
	Socket = raw_ws:connect(Port),
	[begin
		ok = gen_tcp:send(Socket, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
		{{200, _, _}, <<>>} = raw_ws:response(Socket)
	end || _ <- [1, 2, 3]],
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT).

slow_heads(Config) ->
	doc("A head that does not come in time: 408; a client that has sent nothing is left without a word."),
	Option = do_either(Config, timeout, request_timeout),
	Port = served_listener:start(do_page(Config), #{Option => 200}, Config),
	Silent = raw_ws:connect(Port),
	Slow = raw_ws:connect(Port),
	ok = gen_tcp:send(Slow, "GET /ws HTTP/1.1\r\nhost"),
	{error, closed} = gen_tcp:recv(Silent, 0, ?TIMEOUT),
	{{408, _, _}, _} = raw_ws:response(Slow),
	{error, closed} = gen_tcp:recv(Slow, 0, ?TIMEOUT).

slow_handshake(Config) ->
	doc("A TLS handshake that does not come in time ends the connection."),
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	{ok, _} = do_listen(tls, [{certfile, CertFile}, {keyfile, KeyFile}, {handshake_timeout, 200}], [], Config),
	Socket = raw_ws:connect(gun_rs_server:get_port(config('case', Config))),
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
	eventually(fun() -> maps:get(handshake_failures, gun_rs_server:info(config('case', Config))) =:= 1 end).

stop_behind_a_request(Config) ->
	doc("A request under way is answered when the listener stops, and the connection closes behind it."),
	Test = self(),
	Wait = fun() -> Test ! {in, self()}, receive go -> ok end end,
	#{init := Init} = Page = do_page(Config),
	Opts = case Page of
		#{page := Reply} -> Page#{page := fun(Req, State) -> Wait(), Reply(Req, State) end};
		_ -> Page#{init := fun(Req, State) -> Wait(), Init(Req, State) end}
	end,
	Port = served_listener:start(Opts, Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
	Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
	_ = spawn_link(fun() -> Test ! {stopped, gun_rs_server:stop_listener(config('case', Config))} end),
	eventually(fun() -> gen_tcp:connect("localhost", Port, []) =:= {error, econnrefused} end),
	Pid ! go,
	{{200, _, <<"page">>}, <<>>} = raw_ws:response(Socket),
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
	receive {stopped, ok} -> ok after ?TIMEOUT -> error(not_stopped) end.

%% Numbers of connections.

per_address(Config) ->
	doc("An address has no more connections than it may, WebSockets included; those that are over make room."),
	Port = served_listener:start(#{}, #{}, #{max_connections_per_address => 2}, Config),
	[{One, _}, _] = [served_listener:open(Port) || _ <- [1, 2]],
	Third = raw_ws:connect(Port),
	{error, Reason} = gen_tcp:recv(Third, 0, ?TIMEOUT),
	true = lists:member(Reason, [closed, econnreset]),
	#{refused := 1, upgraded := 2} = gun_rs_server:info(config('case', Config)),
	ok = gen_tcp:close(One),
	eventually(fun() -> maps:get(upgraded, gun_rs_server:info(config('case', Config))) =:= 1 end),
	{_, _} = served_listener:open(Port).

max_websockets(Config) ->
	doc("A listener has no more WebSockets than it may: 503; pages go on, and those that are over make room."),
	Port = served_listener:start(#{}, #{}, #{max_websockets => 2}, Config),
	[{One, Pid}, _] = [served_listener:open(Port) || _ <- [1, 2]],
	{{503, _, <<>>}, <<>>} = raw_ws:request(Port, raw_ws:upgrade_request("/ws", [])),
	receive {websocket_init, _, _} -> error(unexpected) after 0 -> ok end,
	{{404, _, <<>>}, <<>>} = raw_ws:request(Port, "/none", []),
	%% A listener in the place of one that was killed counts on.
	Ref = config('case', Config),
	#{pid := Listener} = gun_rs_server:info(Ref),
	exit(Listener, kill),
	eventually(fun() -> ?CATCH(length(gun_rs_server:connections(Ref))) =:= 2 end),
	{{503, _, <<>>}, <<>>} = raw_ws:request(Port, raw_ws:upgrade_request("/ws", [])),
	ok = gen_tcp:close(One),
	eventually(fun() -> not lists:member(Pid, gun_rs_server:connections(Ref)) end),
	{_, _} = served_listener:open(Port).

%% Compression.

deflate_answers(Config) ->
	doc("What is answered to offers of permessage-deflate."),
	do_answers(#{}, [
		{"permessage-deflate", ""},
		{"permessage-deflate; client_max_window_bits", "; client_max_window_bits=15"},
		{"permessage-deflate; client_max_window_bits=10", "; client_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits=10", "; server_max_window_bits=10"},
		{"permessage-deflate; server_no_context_takeover", "; server_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover", "; client_no_context_takeover"},
		{"permessage-deflate; server_max_window_bits=16", none},
		{"permessage-deflate; server_max_window_bits=7", none},
		{"permessage-deflate; unknown", none},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", none},
		{"x-webkit-deflate-frame", none},
		{"permessage-deflate; unknown, permessage-deflate", ""}], Config),
	do_answers(#{server_context_takeover => no_takeover, client_context_takeover => no_takeover}, [
		{"permessage-deflate", "; server_no_context_takeover; client_no_context_takeover"}], Config),
	do_answers(#{server_max_window_bits => 11, client_max_window_bits => 12}, [
		{"permessage-deflate; client_max_window_bits", "; server_max_window_bits=11; client_max_window_bits=12"},
		{"permessage-deflate; client_max_window_bits=9; server_max_window_bits=10",
			"; server_max_window_bits=10; client_max_window_bits=9"},
		{"permessage-deflate", none}], Config).

do_answers(DeflateOpts, Rows, Config) ->
	Port = served_listener:start(#{}, #{websocket => #{compress => true, deflate_opts => DeflateOpts}}, Config),
	[begin
		{_, Headers} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-extensions", Offer}]),
		Answer = case lists:keyfind(<<"sec-websocket-extensions">>, 1, Headers) of
			{_, <<"permessage-deflate", Parameters/binary>>} -> binary_to_list(Parameters);
			false -> none
		end,
		{Offer, Expected} = {Offer, Answer}
	end || {Offer, Expected} <- Rows],
	ok = gun_rs_server:stop_listener(config('case', Config)).

deflated_frames(Config) ->
	doc("All data frames are compressed then, empty ones too; uncompressed ones are taken; corrupt ones are bad frames."),
	Port = served_listener:start(#{}, #{websocket => #{compress => true}}, Config),
	{Socket, _} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-extensions", "permessage-deflate"}]),
	ok = raw_ws:send(Socket, text, <<>>),
	{compressed, text, <<0>>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, text, binary:copy(<<"a">>, 1000)),
	{compressed, text, Short} = raw_ws:recv(Socket),
	true = byte_size(Short) < 100,
	ok = gen_tcp:send(Socket, raw_ws:frame(2#1100, binary, <<16#ff, 16#ff, 16#ff>>)),
	{close, 1002, _} = raw_ws:recv(Socket),
	{{error, badframe}, _} = served_listener:terminated().

one_gzip(Config) ->
	doc("The option compress of Cowboy 1 compresses replies too, of more than 300 bytes, where the client takes it."),
	Page = fun(Req0, State) ->
		{Size, _} = gun_rs_req:qs(Req0),
		{ok, Req} = gun_rs_req:reply(200, [], binary:copy(<<"a">>, binary_to_integer(Size)), Req0),
		{ok, Req, State}
	end,
	Opts = #{init => fun(_, Req, State) -> {ok, Req, State} end, page => Page},
	Port = served_listener:start(Opts, #{compress => true}, Config),
	[begin
		{{200, Headers, Body}, <<>>} = raw_ws:request(Port, ["/ws?", integer_to_list(Size)], [{"accept-encoding", Accepted}]),
		Expected = binary:copy(<<"a">>, Size),
		Expected = case lists:keyfind(<<"content-encoding">>, 1, Headers) of
			{_, <<"gzip">>} when Compressed -> zlib:gunzip(Body);
			false when not Compressed -> Body
		end
	end || {Size, Accepted, Compressed} <- [{1000, "gzip", true}, {300, "gzip", false}, {1000, "identity", false}]].

two_deflate_off(Config) ->
	doc("The command deflate says whether what follows it is compressed; it has no effect where nothing was agreed on."),
	Handle = fun({text, Which}, State) -> {[{deflate, Which =:= <<"on">>}, {text, Which}], State} end,
	Port = served_listener:start(#{handle => Handle}, #{websocket => #{compress => true}}, Config),
	[begin
		{Socket, _} = raw_ws:upgrade(Port, "/ws", Headers),
		[begin
			ok = raw_ws:send(Socket, text, Which),
			{Kind, Which} = {element(1, raw_ws:recv(Socket)), Which}
		end || {Which, Kind} <- [{<<"off">>, text}, {<<"on">>, On}, {<<"off">>, text}]]
	end || {Headers, On} <- [{[{"sec-websocket-extensions", "permessage-deflate"}], compressed}, {[], text}]].

inflated_size(Config) ->
	doc("The limit counts what comes of inflating."),
	Port = served_listener:start(#{}, #{websocket => #{compress => true, max_frame_size => 10000, max_message_size => 10000}}, Config),
	{Socket, _} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-extensions", "permessage-deflate"}]),
	Z = zlib:open(),
	ok = zlib:deflateInit(Z, default, deflated, -15, 8, default),
	Bomb = iolist_to_binary(zlib:deflate(Z, binary:copy(<<0>>, 1000000), sync)),
	ok = gen_tcp:send(Socket, raw_ws:frame(2#1100, binary, binary:part(Bomb, 0, byte_size(Bomb) - 4))),
	{close, 1009, _} = raw_ws:recv(Socket),
	{{error, badsize}, _} = served_listener:terminated().

%% The end.

drain(Config) ->
	doc("suspend, wait until all WebSockets are gone, stop."),
	Ref = config('case', Config),
	Port = served_listener:start(#{}, Config),
	{Socket, _} = served_listener:open(Port),
	ok = gun_rs_server:suspend(Ref),
	undefined = gun_rs_server:get_port(Ref),
	Test = self(),
	_ = spawn_link(fun() -> Test ! {drained, gun_rs_server:wait_for_connections(Ref, '==', 0, 10)} end),
	receive {drained, _} -> error(too_early) after 100 -> ok end,
	ok = raw_ws:send(Socket, close, <<1000:16>>),
	receive {drained, ok} -> ok after ?TIMEOUT -> error(not_drained) end,
	ok = gun_rs_server:stop_listener(Ref).

stop_calls_terminate(Config) ->
	doc("terminate is called when the listener stops, whether the handler traps exits or not."),
	[begin
		Init = do_either(Config,
			#{websocket_init => fun(Req, State) -> process_flag(trap_exit, Trap), {ok, Req, State} end},
			#{websocket_init => fun(State) -> process_flag(trap_exit, Trap), {ok, State} end}),
		{Socket, _} = served_listener:open(served_listener:start(Init, Config)),
		ok = gun_rs_server:stop_listener(config('case', Config)),
		Reason = do_either(Config, {normal, shutdown}, shutdown),
		{Reason, _} = served_listener:terminated(),
		{close, 1001, <<>>} = raw_ws:recv(Socket),
		%% Its own close frame is awaited.
		{error, timeout} = gen_tcp:recv(Socket, 0, 100),
		ok = raw_ws:send(Socket, close, <<1001:16>>),
		closed = raw_ws:recv(Socket)
	end || Trap <- [false, true]].

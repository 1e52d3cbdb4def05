%% Listeners: how they start and stop, what they let in, and what they send to many.
-module(gun_rs_server_SUITE).

-define(NEEDS, [gun_rs, crypto, ssl, certs]).
-include("gun_rs_suite.hrl").

-include_lib("stdlib/include/assert.hrl").

-define(TIMEOUT, 60000).

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

do_proto(Opts) ->
	do_proto(Opts, #{}).

do_proto(Opts, Proto) ->
	Dispatch = gun_rs_router:compile([{'_', [{"/ws", served_2_h, Opts#{test => self()}}]}]),
	Proto#{env => #{dispatch => Dispatch}}.

do_start(Opts, Proto, Config) ->
	{ok, _} = gun_rs_server:start_clear(config('case', Config), [{port, 0}, {ip, {127, 0, 0, 1}}], do_proto(Opts, Proto)),
	gun_rs_server:get_port(config('case', Config)).

do_open(Port) ->
	{Socket, _} = raw_ws:upgrade(Port, "/ws"),
	receive {websocket_init, Pid, _} -> {Socket, Pid} after ?TIMEOUT -> error(no_websocket_init) end.

do_page(Status) ->
	#{init => fun(Req, Opts) -> {ok, gun_rs_req:reply(Status, #{}, <<"page">>, Req), Opts} end}.

%% Start and stop.

start_and_stop(Config) ->
	doc("A name is taken once; a listener that is stopped lets nobody in, and its name is free."),
	Ref = config('case', Config),
	{ok, Pid} = gun_rs_server:start_clear(Ref, [{port, 0}], do_proto(#{})),
	Port = gun_rs_server:get_port(Ref),
	{error, {already_started, Pid}} = gun_rs_server:start_clear(Ref, [{port, 0}], do_proto(#{})),
	{error, eaddrinuse} = gun_rs_server:start_clear({Ref, other}, [{port, Port}], do_proto(#{})),
	#{Ref := #{port := Port, status := running}} = gun_rs_server:info(),
	ok = gun_rs_server:stop_listener(Ref),
	{error, not_found} = gun_rs_server:stop_listener(Ref),
	{error, econnrefused} = gen_tcp:connect("localhost", Port, []),
	?assertError(badarg, gun_rs_server:get_port(Ref)),
	{ok, _} = gun_rs_server:start_clear(Ref, #{socket_opts => [{port, Port}]}, do_proto(#{})),
	Port = gun_rs_server:get_port(Ref).

options_are_refused_by_name(Config) ->
	doc("An option that can't be honoured stops the start, and has a sentence."),
	Ref = config('case', Config),
	[begin
		{error, Reason} = gun_rs_server:start_clear(Ref, Trans, Proto),
		[_|_] = gun_rs_server:format_error(Reason)
	end || {Trans, Proto, Reason} <- [
		{[{port, -1}], #{}, {options, {port, -1}}},
		{[{nodelay, perhaps}], #{}, {options, {nodelay, perhaps}}},
		{[{unknown, 1}], #{}, {options, {unknown, 1}}},
		{#{max_connections => 0}, #{}, {options, {max_connections, 0}}},
		{#{unknown => 1}, #{}, {options, {unknown, 1}}},
		{not_options, #{}, {options, not_options}},
		{[], #{unknown => 1}, {options, {unknown, 1}}},
		{[], #{request_timeout => soon}, {options, {request_timeout, soon}}},
		{[], #{stream_handlers => [mine]}, {options, {stream_handlers, [mine]}}},
		{[], #{proxy_header => true}, {options, {proxy_header, true}}},
		{[], #{websocket => #{compress => 'maybe'}}, {options, {websocket, {compress, 'maybe'}}}},
		{[], [], {options, []}}]],
	{error, no_cert} = gun_rs_server:start_tls(Ref, [{port, 0}], #{}),
	{error, {options, {certfile, "missing.pem"}}} =
		gun_rs_server:start_tls(Ref, [{port, 0}, {certfile, "missing.pem"}, {keyfile, "missing.pem"}], #{}).

suspend_and_resume(Config) ->
	doc("A suspended listener refuses, and resumes on its port; its connections go on meanwhile."),
	Ref = config('case', Config),
	Port = do_start(#{}, #{}, Config),
	{Socket, _} = do_open(Port),
	ok = gun_rs_server:suspend(Ref),
	suspended = gun_rs_server:get_status(Ref),
	undefined = gun_rs_server:get_port(Ref),
	eventually(fun() -> gen_tcp:connect("localhost", Port, []) =:= {error, econnrefused} end),
	ok = raw_ws:send(Socket, text, <<"still">>),
	{text, <<"still">>} = raw_ws:recv(Socket),
	ok = gun_rs_server:resume(Ref),
	Port = gun_rs_server:get_port(Ref),
	{_, _} = do_open(Port).

unix_socket(Config) ->
	doc("A Unix domain socket."),
	Ref = config('case', Config),
	Path = filename:join(config(priv_dir, Config), "s"),
	Short = filename:join("/tmp", "gun_rs_" ++ os:getpid() ++ ".sock"),
	_ = file:delete(Short),
	{ok, _} = gun_rs_server:start_clear(Ref, [{ip, {local, Short}}], do_proto(#{})),
	{local, _} = gun_rs_server:get_addr(Ref),
	{ok, ConnPid} = gun_rs:open_unix(Short, #{}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/ws"),
	{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Path}),
	{ws, {text, _}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:close(ConnPid).

crash_of_a_handler(Config) ->
	doc("A handler that crashes ends its own connection alone."),
	Handle = fun(_, _) -> error(crash) end,
	Port = do_start(#{handle => Handle}, #{}, Config),
	{One, _} = do_open(Port),
	{Other, _} = do_open(Port),
	ok = raw_ws:send(One, text, <<>>),
	{close, 1011, <<>>} = raw_ws:recv(One),
	{error, timeout} = gen_tcp:recv(Other, 0, 100),
	{_, _} = do_open(Port).

kill_of_the_listener(Config) ->
	doc("A listener that is killed comes back on its port, and what it has accepted goes on."),
	Ref = config('case', Config),
	Port = do_start(#{}, #{}, Config),
	{Socket, Handler} = do_open(Port),
	#{pid := Pid} = gun_rs_server:info(Ref),
	exit(Pid, kill),
	eventually(fun() -> case ?CATCH(gun_rs_server:info(Ref)) of #{pid := New} -> New =/= Pid; _ -> false end end),
	Port = gun_rs_server:get_port(Ref),
	{New, _} = do_open(Port),
	ok = raw_ws:send(New, text, <<"new">>),
	{text, <<"new">>} = raw_ws:recv(New),
	ok = raw_ws:send(Socket, text, <<"old">>),
	{text, <<"old">>} = raw_ws:recv(Socket),
	%% It has them now, and closes them as it closes its own.
	eventually(fun() -> length(gun_rs_server:connections(Ref)) =:= 2 end),
	exit(Handler, shutdown),
	{close, 1001, <<>>} = raw_ws:recv(Socket).

stop_in_the_middle_of_requests(Config) ->
	doc("A request under way is finished, and the connection closes behind it."),
	Ref = config('case', Config),
	Test = self(),
	Init = fun(Req, Opts) ->
		Test ! {in, self()},
		receive go -> ok end,
		{ok, gun_rs_req:reply(200, #{}, <<"done">>, Req), Opts}
	end,
	Port = do_start(#{init => Init}, #{}, Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
	Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
	spawn_link(fun() -> Test ! {stopped, gun_rs_server:stop_listener(Ref)} end),
	eventually(fun() -> gen_tcp:connect("localhost", Port, []) =:= {error, econnrefused} end),
	Pid ! go,
	{{200, _, <<"done">>}, <<>>} = raw_ws:response(Socket),
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
	receive {stopped, ok} -> ok after ?TIMEOUT -> error(not_stopped) end.

stop_with_a_handler_that_never_ends(Config) ->
	doc("A handler that does not listen is killed in the end; the client has its close frame."),
	Ref = config('case', Config),
	Handle = fun(_, _) -> timer:sleep(infinity) end,
	{ok, _} = gun_rs_server:start_clear(Ref, #{socket_opts => [{port, 0}], shutdown => 200}, do_proto(#{handle => Handle})),
	{Socket, _} = do_open(gun_rs_server:get_port(Ref)),
	ok = raw_ws:send(Socket, text, <<>>),
	ok = gun_rs_server:stop_listener(Ref),
	{close, 1001, <<>>} = raw_ws:recv(Socket).

max_connections(Config) ->
	doc("Beyond max_connections clients wait; WebSockets do not count."),
	Ref = config('case', Config),
	{ok, _} = gun_rs_server:start_clear(Ref, #{socket_opts => [{port, 0}], max_connections => 2}, do_proto(#{})),
	Port = gun_rs_server:get_port(Ref),
	_ = [do_open(Port) || _ <- lists:seq(1, 5)],
	#{all_connections := 5, active_connections := 0, upgraded := 5} = gun_rs_server:info(Ref),
	Idle = [raw_ws:connect(Port) || _ <- lists:seq(1, 2)],
	eventually(fun() -> maps:get(active_connections, gun_rs_server:info(Ref)) =:= 2 end),
	Third = raw_ws:connect(Port),
	ok = gen_tcp:send(Third, "GET /none HTTP/1.1\r\nhost: a\r\n\r\n"),
	{error, timeout} = gen_tcp:recv(Third, 0, 200),
	ok = gen_tcp:close(hd(Idle)),
	{{404, _, _}, _} = raw_ws:response(Third),
	ok = gun_rs_server:set_max_connections(Ref, 100),
	100 = gun_rs_server:get_max_connections(Ref),
	{_, _} = do_open(Port).

environment(Config) ->
	doc("set_env changes what later connections meet."),
	Ref = config('case', Config),
	Port = do_start(do_page(200), #{}, Config),
	{{404, _, _}, _} = raw_ws:request(Port, "/new", []),
	Dispatch = gun_rs_router:compile([{'_', [{"/new", served_2_h, (do_page(201))#{test => self()}}]}]),
	ok = gun_rs_server:set_env(Ref, dispatch, Dispatch),
	Dispatch = gun_rs_server:get_env(Ref, dispatch),
	none = gun_rs_server:get_env(Ref, other, none),
	?assertError({badkey, other}, gun_rs_server:get_env(Ref, other)),
	{{201, _, <<"page">>}, _} = raw_ws:request(Port, "/new", []),
	{{404, _, _}, _} = raw_ws:request(Port, "/ws", []).

persistent_routes(Config) ->
	doc("Routes in a persistent term are read at each request."),
	Ref = config('case', Config),
	Routes = fun(Status) ->
		gun_rs_router:compile([{'_', [{"/", served_2_h, (do_page(Status))#{test => self()}}]}])
	end,
	persistent_term:put(Ref, Routes(200)),
	{ok, _} = gun_rs_server:start_clear(Ref, [{port, 0}], #{env => #{dispatch => {persistent_term, Ref}}}),
	Port = gun_rs_server:get_port(Ref),
	{{200, _, _}, _} = raw_ws:request(Port, "/", []),
	persistent_term:put(Ref, Routes(202)),
	{{202, _, _}, _} = raw_ws:request(Port, "/", []).

waits_for_connections(Config) ->
	doc("wait_for_connections counts WebSockets."),
	Ref = config('case', Config),
	Port = do_start(#{}, #{}, Config),
	ok = gun_rs_server:wait_for_connections(Ref, '==', 0, 10),
	{Socket, Pid} = do_open(Port),
	ok = gun_rs_server:wait_for_connections(Ref, '>', 0, 10),
	[Pid] = gun_rs_server:connections(Ref),
	ok = gen_tcp:close(Socket),
	ok = gun_rs_server:wait_for_connections(Ref, '==', 0, 10),
	{error, not_found} = gun_rs_server:stats(Pid).

%% Pages.

pages(Config) ->
	doc("Several requests on one connection, in order, also sent at once; HEAD; no route."),
	Port = do_start(do_page(200), #{}, Config),
	Socket = raw_ws:connect(Port),
	Get = "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n",
	ok = gen_tcp:send(Socket, [Get, Get, "GET /none HTTP/1.1\r\nhost: a\r\n\r\n", Get]),
	{{200, _, <<"page">>}, Rest1} = raw_ws:response(Socket),
	{{200, _, <<"page">>}, Rest2} = raw_ws:response(Socket, Rest1),
	{{404, _, <<>>}, Rest3} = raw_ws:response(Socket, Rest2),
	{{200, Headers, <<"page">>}, <<>>} = raw_ws:response(Socket, Rest3),
	{_, _} = lists:keyfind(<<"date">>, 1, Headers),
	ok = gen_tcp:send(Socket, "GET /ws HTTP/1.0\r\n\r\n"),
	{{200, _, <<"page">>}, <<>>} = raw_ws:response(Socket),
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT).

upgrade_behind_a_page(Config) ->
	doc("A connection that has served pages becomes a WebSocket."),
	Port = do_start(#{}, #{}, Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, "GET /none HTTP/1.1\r\nhost: a\r\n\r\n"),
	{{404, _, <<>>}, <<>>} = raw_ws:response(Socket),
	ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
	{{101, _, <<>>}, <<>>} = raw_ws:response(Socket),
	ok = raw_ws:send(Socket, text, <<"a">>),
	{text, <<"a">>} = raw_ws:recv(Socket).

bad_requests(Config) ->
	doc("What is no request, or too much of one, has its status, and the connection closes."),
	Port = do_start(do_page(200), #{max_headers => 10, max_request_line_length => 1000}, Config),
	Many = [["x-", integer_to_list(N), ": a\r\n"] || N <- lists:seq(1, 20)],
	[begin
		{What, {{Status, _, _}, _}} = {What, raw_ws:request(Port, Request)}
	end || {What, Request, Status} <- [
		{garbage, "hello\r\n\r\n", 400},
		{no_host, "GET /ws HTTP/1.1\r\n\r\n", 400},
		{two_hosts, "GET /ws HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400},
		{two_lengths, "POST /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na", 400},
		{length_and_chunks, "POST /ws HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{bad_length, "POST /ws HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na", 400},
		{long_line, ["GET /", lists:duplicate(2000, $a), " HTTP/1.1\r\nhost: a\r\n\r\n"], 414},
		{many_headers, ["GET /ws HTTP/1.1\r\nhost: a\r\n", Many, "\r\n"], 431}]].

slow_requests(Config) ->
	doc("A head that does not come in time: 408 for a part of one, nothing for none."),
	Port = do_start(do_page(200), #{request_timeout => 200}, Config),
	Silent = raw_ws:connect(Port),
	Slow = raw_ws:connect(Port),
	ok = gen_tcp:send(Slow, "GET /ws HTT"),
	{error, closed} = gen_tcp:recv(Silent, 0, ?TIMEOUT),
	{{408, _, _}, _} = raw_ws:response(Slow),
	{error, closed} = gen_tcp:recv(Slow, 0, ?TIMEOUT).

%% Many.

broadcast(Config) ->
	doc("One frame to many: to those that there are, by pid and by group."),
	Port = do_start(#{ws => #{compress => true}}, #{}, Config),
	Pairs = [do_open(Port) || _ <- lists:seq(1, 20)],
	{Sockets, Pids} = lists:unzip(Pairs),
	#{sent := 20, full := 0, gone := 1, remote := 0} = gun_rs_server:broadcast([self()|Pids], {text, ["to ", "all"]}),
	[{text, <<"to all">>} = raw_ws:recv(Socket) || Socket <- Sockets],
	{ok, Scope} = pg:start(config('case', Config)),
	ok = pg:join(config('case', Config), group, Pids),
	Large = binary:copy(<<"large">>, 100000),
	#{sent := 20} = gun_rs_server:broadcast({pg, config('case', Config), group}, {binary, Large}),
	[{binary, Large} = raw_ws:recv(Socket) || Socket <- Sockets],
	?assertError({invalid_frame, _, _}, gun_rs_server:broadcast(Pids, {tekst, <<>>})),
	ok = gen_server:stop(Scope).

broadcast_to_compressing(Config) ->
	doc("Those that have agreed on compression are sent it compressed."),
	Port = do_start(#{ws => #{compress => true}}, #{}, Config),
	{Socket, _} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-extensions", "permessage-deflate"}]),
	Pid = receive {websocket_init, Pid0, _} -> Pid0 after ?TIMEOUT -> error(no_websocket_init) end,
	#{sent := 1} = gun_rs_server:broadcast([Pid], {text, binary:copy(<<"a">>, 1000)}),
	{compressed, text, Compressed} = raw_ws:recv(Socket),
	true = byte_size(Compressed) < 100,
	%% Without context takeover all of them are sent the same bytes; those behind are no worse for it.
	Alone = [begin
		{Other, _} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-extensions", "permessage-deflate; server_no_context_takeover"}]),
		receive {websocket_init, OtherPid, _} -> {Other, OtherPid} after ?TIMEOUT -> error(no_websocket_init) end
	end || _ <- [1, 2, 3]],
	{Sockets, Pids} = lists:unzip(Alone),
	#{sent := 3} = gun_rs_server:broadcast(Pids, {text, binary:copy(<<"a">>, 1000)}),
	[Same] = lists:usort([raw_ws:recv(One) || One <- Sockets]),
	{compressed, text, Compressed} = Same,
	_ = [begin
		ok = raw_ws:send(One, text, <<"echo">>),
		{compressed, text, _} = raw_ws:recv(One)
	end || One <- Sockets].

slow_clients(Config) ->
	doc("What has no room in the queue of a client that does not read: each policy."),
	Ref = config('case', Config),
	Test = self(),
	Info = fun({send, N}, Opts) -> {[{binary, binary:copy(<<"a">>, N)}], Opts};
		({tell, From}, Opts) -> From ! told, {[], Opts} end,
	[begin
		Port = do_start(#{info => Info, ws => #{max_send_queue => 100000, slow_client => Policy}}, #{}, Config),
		Socket = raw_ws:connect(Port),
		ok = inet:setopts(Socket, [{recbuf, 4096}]),
		ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
		{{101, _, _}, <<>>} = raw_ws:response(Socket),
		Pid = receive {websocket_init, Pid0, _} -> Pid0 after ?TIMEOUT -> error(no_websocket_init) end,
		do_flood(Policy, Pid),
		ok = gun_rs_server:stop_listener(Ref)
	end || Policy <- [close, drop_new, {tell, Test}]].

do_flood(close, Pid) ->
	_ = [Pid ! {send, 60000} || _ <- lists:seq(1, 1000)],
	receive {terminate, Pid, {error, send_queue_full}, _, _} -> ok after ?TIMEOUT -> error(not_closed) end;
do_flood(drop_new, Pid) ->
	_ = [Pid ! {send, 60000} || _ <- lists:seq(1, 1000)],
	Pid ! {tell, self()},
	receive told -> ok after ?TIMEOUT -> error(stuck) end,
	{ok, #{send_queue := Queued}} = gun_rs_server:stats(Pid),
	true = Queued =< 200000;
do_flood({tell, _}, Pid) ->
	_ = [Pid ! {send, 60000} || _ <- lists:seq(1, 1000)],
	receive {gun_rs_queue, Pid, {dropped, [{binary, _}]}} -> ok after ?TIMEOUT -> error(not_told) end.

slow_handlers(Config) ->
	doc("A handler that does not keep up holds its client back; its mailbox stays small, and nothing is lost."),
	Test = self(),
	Handle = fun
		({text, <<"block">>}, Opts) ->
			Test ! {blocked, self()},
			receive go -> {[], Opts#{state => 0}} end;
		({binary, _}, Opts=#{state := N}) ->
			{[], Opts#{state := N + 1}};
		({text, <<"count">>}, Opts=#{state := N}) ->
			{[{text, integer_to_binary(N)}], Opts}
	end,
	{Socket, Pid} = do_open(do_start(#{handle => Handle}, #{}, Config)),
	ok = raw_ws:send(Socket, text, <<"block">>),
	receive {blocked, Pid} -> ok after ?TIMEOUT -> error(not_blocked) end,
	Flood = [raw_ws:frame(binary, binary:copy(<<"a">>, 10000)) || _ <- lists:seq(1, 20)],
	{Sender, Monitor} = spawn_monitor(fun() ->
		_ = [ok = gen_tcp:send(Socket, Flood) || _ <- lists:seq(1, 200)],
		ok = raw_ws:send(Socket, text, <<"count">>)
	end),
	timer:sleep(1000),
	true = is_process_alive(Sender),
	{message_queue_len, Waiting} = process_info(Pid, message_queue_len),
	true = Waiting < 2000,
	Pid ! go,
	receive {'DOWN', Monitor, process, Sender, normal} -> ok after ?TIMEOUT -> error(still_held_back) end,
	{text, <<"4000">>} = raw_ws:recv(Socket).

many_come_and_go(Config) ->
	doc("Nothing is left of connections that are over."),
	Ref = config('case', Config),
	Port = do_start(#{}, #{}, Config),
	#{tasks := Tasks} = gun_rs_native:stats(),
	[begin
		Sockets = [element(1, do_open(Port)) || _ <- lists:seq(1, 100)],
		[ok = gen_tcp:close(Socket) || Socket <- Sockets]
	end || _ <- lists:seq(1, 5)],
	ok = gun_rs_server:wait_for_connections(Ref, '==', 0, 10),
	eventually(fun() -> maps:get(tasks, gun_rs_native:stats()) =< Tasks end),
	#{accepted := 500, active := 0, upgraded := 0} = gun_rs_server:info(Ref).

%% Handlers as they are written.

guide_example(Config) ->
	doc("The handler of Cowboy's guide, with our client and with gun 1.3.3."),
	Ref = config('case', Config),
	Dispatch = gun_rs_router:compile([{'_', [{"/", my_ws_handler, []}]}]),
	{ok, _} = gun_rs_server:start_http(Ref, 100, [{port, 0}], [{env, [{dispatch, Dispatch}]}]),
	Port = gun_rs_server:get_port(Ref),
	{ok, _} = application:ensure_all_started(gun),
	[begin
		{ok, ConnPid} = Gun:open("localhost", Port),
		{ok, http} = Gun:await_up(ConnPid),
		StreamRef = Gun:ws_upgrade(ConnPid, "/"),
		receive {gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _} -> ok after ?TIMEOUT -> error({Gun, no_upgrade}) end,
		%% The older gun has one WebSocket, and does not ask which.
		ok = case erlang:function_exported(Gun, ws_send, 3) of
			true -> Gun:ws_send(ConnPid, StreamRef, {text, <<"me">>});
			false -> Gun:ws_send(ConnPid, {text, <<"me">>})
		end,
		[receive {gun_ws, ConnPid, StreamRef, {text, Text}} -> ok after ?TIMEOUT -> error({Gun, Text}) end
			|| Text <- [<<"That's what she said! me">>, <<"Hello!">>, <<"How' you doin'?">>]],
		ok = Gun:close(ConnPid)
	end || Gun <- [gun_rs, gun]].

%% TLS.

do_cert(Name, Config) ->
	#{Name := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	[{certfile, CertFile}, {keyfile, KeyFile}].

do_root(Name, Config) ->
	#{Name := #{certfile := CertFile}} = config(certs, Config),
	CertFile.

do_start_tls(Trans, Config) ->
	{ok, _} = gun_rs_server:start_tls(config('case', Config), [{port, 0}|Trans], do_proto(#{})),
	gun_rs_server:get_port(config('case', Config)).

do_open_tls(Port, TlsOpts) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	case gun_rs:await_up(ConnPid, ?WAIT) of
		{ok, http} ->
			StreamRef = gun_rs:ws_upgrade(ConnPid, "/ws"),
			{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
			ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"secret">>}),
			{ws, {text, <<"secret">>}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
			{ok, ConnPid, StreamRef};
		Error ->
			Error
	end.

tls(Config) ->
	doc("A WebSocket over TLS, of our client and of ssl."),
	Port = do_start_tls(do_cert(good, Config), Config),
	{ok, ConnPid, _} = do_open_tls(Port, [{cacertfile, do_root(root, Config)}]),
	ok = gun_rs:close(ConnPid),
	[begin
		{ok, Socket} = ssl:connect("localhost", Port, [binary, {active, false}, {verify, verify_peer}, {versions, [Version]},
			{cacertfile, do_root(root, Config)}, {alpn_advertised_protocols, [<<"h2">>, <<"http/1.1">>]}]),
		{ok, <<"http/1.1">>} = ssl:negotiated_protocol(Socket),
		ok = ssl:send(Socket, raw_ws:upgrade_request("/ws", [])),
		{ok, <<"HTTP/1.1 101 ", _/binary>>} = ssl:recv(Socket, 0, ?TIMEOUT),
		ok = ssl:close(Socket)
	end || Version <- ['tlsv1.2', 'tlsv1.3']].

plain_bytes_on_a_tls_port(Config) ->
	doc("A client that speaks no TLS is sent away, and counted."),
	Port = do_start_tls(do_cert(good, Config), Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
	ok = do_until_closed(Socket),
	eventually(fun() -> maps:get(handshake_failures, gun_rs_server:info(config('case', Config))) =:= 1 end).

do_until_closed(Socket) ->
	case gen_tcp:recv(Socket, 0, ?TIMEOUT) of
		{ok, _} -> do_until_closed(Socket);
		{error, Reason} when Reason =:= closed; Reason =:= econnreset -> ok
	end.

certificate_by_name(Config) ->
	doc("The name that the client wants chooses among certificates."),
	Port = do_start_tls(do_cert(good, Config) ++ [{sni_hosts, [{"a.example.test", do_cert(good_rsa, Config)}]}], Config),
	Certificate = fun(Name) ->
		{ok, Socket} = ssl:connect("localhost", Port, [{verify, verify_none}, {server_name_indication, Name}]),
		{ok, Der} = ssl:peercert(Socket),
		ok = ssl:close(Socket),
		Der
	end,
	#{good := #{der := Good}, good_rsa := #{der := GoodRsa}} = config(certs, Config),
	Good = Certificate("localhost"),
	GoodRsa = Certificate("a.example.test").

client_certificates(Config) ->
	doc("A client's certificate is asked for, and demanded, as the options say; the handler sees it."),
	Test = self(),
	Init = fun(Req, Opts) -> Test ! {cert, gun_rs_req:cert(Req)}, {cowboy_websocket, Req, Opts} end,
	Ref = config('case', Config),
	Roots = [{cacertfile, do_root(client_root, Config)}, {verify, verify_peer}],
	Client = [{cacertfile, do_root(root, Config)}],
	{ok, _} = gun_rs_server:start_tls(Ref, [{port, 0}] ++ do_cert(good, Config) ++ Roots, do_proto(#{init => Init})),
	Port = gun_rs_server:get_port(Ref),
	{ok, None, _} = do_open_tls(Port, Client),
	receive {cert, undefined} -> ok after ?TIMEOUT -> error(no_cert) end,
	{ok, With, _} = do_open_tls(Port, Client ++ do_cert(client_ec, Config)),
	#{client_ec := #{der := Der}} = config(certs, Config),
	receive {cert, Der} -> ok after ?TIMEOUT -> error(no_cert) end,
	_ = [gun_rs:close(ConnPid) || ConnPid <- [None, With]],
	ok = gun_rs_server:stop_listener(Ref),
	{ok, _} = gun_rs_server:start_tls(Ref, [{port, 0}, {fail_if_no_peer_cert, true}] ++ do_cert(good, Config) ++ Roots,
		do_proto(#{init => Init})),
	{ok, _, _} = do_open_tls(gun_rs_server:get_port(Ref), Client ++ do_cert(client_ec, Config)),
	{ok, Refused} = ssl:connect("localhost", gun_rs_server:get_port(Ref), [{verify, verify_none}, {active, false}]),
	{error, _} = ssl:recv(Refused, 0, ?TIMEOUT).

certificates_are_renewed(Config) ->
	doc("New certificates count for new connections, without a restart; bad ones change nothing."),
	Ref = config('case', Config),
	Dir = config(priv_dir, Config),
	[CertFile, KeyFile] = [filename:join(Dir, Name) || Name <- ["renewed.pem", "renewed.key"]],
	Copy = fun(Name) ->
		[{certfile, Cert}, {keyfile, Key}] = do_cert(Name, Config),
		{ok, _} = file:copy(Cert, CertFile),
		{ok, _} = file:copy(Key, KeyFile)
	end,
	Copy(good),
	Port = do_start_tls([{certfile, CertFile}, {keyfile, KeyFile}], Config),
	Client = [{cacertfile, do_root(root, Config)}],
	{ok, Old, OldRef} = do_open_tls(Port, Client),
	Copy(good_rsa),
	ok = gun_rs_server:reload_certificates(Ref),
	{ok, Socket} = ssl:connect("localhost", Port, [{verify, verify_none}]),
	{ok, Der} = ssl:peercert(Socket),
	#{good_rsa := #{der := Der}} = config(certs, Config),
	ok = file:write_file(CertFile, <<"none">>),
	{error, {options, {certfile, _}}} = gun_rs_server:reload_certificates(Ref),
	{ok, New, _} = do_open_tls(Port, Client),
	ok = gun_rs:ws_send(Old, OldRef, {text, <<"still there">>}),
	{ws, {text, <<"still there">>}} = gun_rs:await(Old, OldRef, ?WAIT),
	_ = [gun_rs:close(ConnPid) || ConnPid <- [Old, New]],
	ok.

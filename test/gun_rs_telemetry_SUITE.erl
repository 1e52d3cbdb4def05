%% Events of telemetry: what is executed, by which measurements and metadata, and that each start has one end.
-module(gun_rs_telemetry_SUITE).

-define(NEEDS, [cowboy, certs, {listener, [http_echo_h]}]).
-define(TIMETRAP, {minutes, 3}).
-include("gun_rs_suite.hrl").

-define(TRACEPARENT, <<"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01">>).

init_per_testcase(without_telemetry, Config) ->
	Config;
init_per_testcase(_, Config) ->
	ok = telemetry_stand_in:load(),
	Config.

end_per_testcase(without_telemetry, _) ->
	ok;
end_per_testcase(_, _) ->
	_ = [gun_rs_pools_sup:stop_pool(Pid) || Pid <- gun_rs_pools:all()],
	telemetry_stand_in:unload().

%% Each case attaches itself: the process of init_per_testcase may be another one.
do_attach() ->
	ok = telemetry_stand_in:attach(self()).

%% Connections.

connect(Config) ->
	doc("An attempt to connect has a start, and a stop with what is spoken, or an exception with the reason."),
	ok = do_attach(),
	Port = config(port, Config),
	ConnPid = open(Port),
	#{monotonic_time := Begun, system_time := _} = do_start([gun_rs, connect], #{conn => ConnPid, host => "127.0.0.1",
		port => Port, transport => tcp}),
	{#{monotonic_time := Ended, duration := Duration}, #{protocol := http}} = do_end([gun_rs, connect, stop], ConnPid),
	true = Duration >= 0 andalso Ended >= Begun,
	ok = gun_rs:close(ConnPid),
	{Socket, Refused} = refused_port(),
	{ok, Failing} = gun_rs:open("127.0.0.1", Refused, #{retry => 1, retry_timeout => 1}),
	_ = [begin
		_ = do_start([gun_rs, connect], #{conn => Failing}),
		{_, #{kind := exit, reason := econnrefused, stacktrace := []}} = do_end([gun_rs, connect, exception], Failing)
	end || _ <- [1, 2]],
	release_port(Socket),
	do_none().

tls(Config) ->
	doc("A TLS handshake is a part of the attempt, and has its own start and end."),
	ok = do_attach(),
	Server = http2_servers:cowboy([{transport, tls}|Config], #{}),
	Port = do_server_port(Server),
	{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, tls_opts => [{verify, verify_none}], retry => 0}),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	_ = do_start([gun_rs, connect], #{conn => ConnPid, transport => tls}),
	_ = do_start([gun_rs, tls], #{conn => ConnPid}),
	{_, #{alpn := <<"h2">>}} = do_end([gun_rs, tls, stop], ConnPid),
	{_, #{protocol := http2}} = do_end([gun_rs, connect, stop], ConnPid),
	ok = gun_rs:close(ConnPid),
	{ok, Failing} = gun_rs:open("localhost", Port, #{transport => tls, retry => 0}),
	_ = do_start([gun_rs, connect], #{conn => Failing}),
	_ = do_start([gun_rs, tls], #{conn => Failing}),
	{_, #{reason := Reason}} = do_end([gun_rs, tls, exception], Failing),
	{_, #{reason := Reason}} = do_end([gun_rs, connect, exception], Failing),
	http2_servers:stop(Server),
	do_none().

loaded_later(Config) ->
	doc("A connection that was opened without telemetry has no events; the next one has."),
	ok = telemetry_stand_in:unload(),
	Before = open(config(port, Config)),
	ok = telemetry_stand_in:load(),
	ok = do_attach(),
	{200, _, _} = answer(Before, gun_rs:get(Before, "/echo")),
	ok = do_none(),
	ConnPid = open(config(port, Config)),
	_ = do_start([gun_rs, connect], #{conn => ConnPid}),
	_ = [ok = gun_rs:close(Pid) || Pid <- [Before, ConnPid]],
	ok.

%% Requests.

request(Config) ->
	doc("A request ends with its response, whatever the status, over HTTP/1.1 and HTTP/2."),
	ok = do_attach(),
	Server = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	_ = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{protocols => [Protocol], retry => 0}),
		{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
		StreamRef = gun_rs:get(ConnPid, "/status?code=404", [], #{traceparent => ?TRACEPARENT}),
		{404, _, _} = answer(ConnPid, StreamRef),
		Self = self(),
		_ = do_start([gun_rs, request], #{conn => ConnPid, stream_ref => StreamRef, reply_to => Self, method => <<"GET">>,
			path => <<"/status?code=404">>, traceparent => ?TRACEPARENT,
			authority => iolist_to_binary(["127.0.0.1:", integer_to_list(Port)])}),
		{#{duration := _}, #{status := 404, stream_ref := StreamRef}} = do_end([gun_rs, request, stop], ConnPid),
		%% Over HTTP/1.1 the server ends a request with the connection, and it is told as the end of that.
		Lost = gun_rs:get(ConnPid, "/die"),
		_ = do_start([gun_rs, request], #{stream_ref => Lost, traceparent => undefined}),
		{_, #{stream_ref := Lost, reason := _}} = do_end([gun_rs, request, exception], ConnPid),
		ok = gun_rs:close(ConnPid)
	end || {Protocol, Port} <- [{http, config(port, Config)}, {http2, do_server_port(Server)}]],
	http2_servers:stop(Server).

cancel_and_timeout(Config) ->
	doc("Requests that are cancelled or not answered in time end with an exception."),
	ok = do_attach(),
	Tell = base64:encode(term_to_binary(spawn(fun() -> receive after infinity -> ok end end))),
	ConnPid = open(config(port, Config)),
	Cancelled = gun_rs:get(ConnPid, "/held", [{<<"x-tell">>, Tell}]),
	_ = do_start([gun_rs, request], #{stream_ref => Cancelled}),
	ok = gun_rs:cancel(ConnPid, Cancelled),
	{_, #{stream_ref := Cancelled, reason := cancel}} = do_end([gun_rs, request, exception], ConnPid),
	ok = gun_rs:close(ConnPid),
	ConnPid2 = open(config(port, Config)),
	Late = gun_rs:get(ConnPid2, "/held", [{<<"x-tell">>, Tell}], #{response_timeout => 100}),
	_ = do_start([gun_rs, request], #{stream_ref => Late}),
	{_, #{stream_ref := Late, reason := {timeout, response}}} = do_end([gun_rs, request, exception], ConnPid2),
	gun_rs:close(ConnPid2).

traceparent(Config) ->
	doc("A traceparent is sent as the header, unless there is one among the headers; upgrades have it too."),
	Port = config(port, Config),
	ConnPid = open(Port),
	Opts = #{traceparent => ?TRACEPARENT},
	Sent = fun(StreamRef) ->
		{200, _, Body} = answer(ConnPid, StreamRef),
		maps:get(<<"traceparent">>, maps:get(headers, binary_to_term(Body)), none)
	end,
	?TRACEPARENT = Sent(gun_rs:get(ConnPid, "/request", [], Opts)),
	?TRACEPARENT = Sent(gun_rs:post(ConnPid, "/request", #{}, <<"body">>, Opts)),
	<<"own">> = Sent(gun_rs:get(ConnPid, "/request", [{<<"Traceparent">>, "own"}], Opts)),
	none = Sent(gun_rs:get(ConnPid, "/request")),
	{ok, _} = gun_rs_pool:start_pool("127.0.0.1", Port, #{size => 1}),
	Authority = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	ok = gun_rs_pool:await_up(Authority),
	{async, {Pooled, PoolRef}} = gun_rs_pool:get("/request", #{<<"host">> => Authority}, Opts),
	{200, _, PoolBody} = answer(Pooled, PoolRef),
	#{headers := #{<<"traceparent">> := ?TRACEPARENT}} = binary_to_term(PoolBody),
	ok = do_attach(),
	WsPid = open(Port),
	StreamRef = upgrade(WsPid, "/websocket", [], Opts),
	_ = do_start([gun_rs, ws_upgrade], #{stream_ref => StreamRef, traceparent => ?TRACEPARENT}),
	_ = [ok = gun_rs:close(Pid) || Pid <- [ConnPid, WsPid]],
	ok.

%% WebSockets.

websocket(Config) ->
	doc("An upgrade ends with the answer to it, and the WebSocket with all that it has counted."),
	ok = do_attach(),
	Server = http2_servers:cowboy([{transport, tcp}|Config], #{enable_connect_protocol => true}),
	_ = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{protocols => [Protocol], retry => 0}),
		{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
		StreamRef = upgrade(ConnPid, "/websocket"),
		_ = do_start([gun_rs, ws_upgrade], #{conn => ConnPid, stream_ref => StreamRef, path => <<"/websocket">>}),
		{_, #{accepted := true, status := Status}} = do_end([gun_rs, ws_upgrade, stop], ConnPid),
		ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, <<"a">>}, {text, <<"b">>}]),
		_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, _}}) || _ <- [1, 2]],
		ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 4000, <<>>}),
		{#{frames_out := 3, frames_in := 3, bytes_out := Out, bytes_in := In, duration := _, monotonic_time := _},
			#{close_code := 4000, stream_ref := StreamRef, path := <<"/websocket">>}} = do_end([gun_rs, ws, stop], ConnPid),
		%% Of a mask 4 bytes.
		{Out, In} = {In + 12, In},
		ok = gun_rs:close(ConnPid)
	end || {Protocol, Port, Status} <- [{http, config(port, Config), 101}, {http2, do_server_port(Server), 200}]],
	http2_servers:stop(Server),
	do_balance().

refused_upgrade(Config) ->
	doc("An upgrade that the server refuses stops with the status of its answer."),
	ok = do_attach(),
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	{403, _, _} = answer(ConnPid, StreamRef),
	_ = do_start([gun_rs, ws_upgrade], #{stream_ref => StreamRef}),
	{_, #{accepted := false, status := 403}} = do_end([gun_rs, ws_upgrade, stop], ConnPid),
	ok = gun_rs:close(ConnPid),
	do_balance().

killed(Config) ->
	doc("What a connection has begun ends when its process is killed, or closed, or its owner dies."),
	ok = do_attach(),
	Tell = base64:encode(term_to_binary(spawn(fun() -> receive after infinity -> ok end end))),
	_ = [begin
		ConnPid = open(config(port, Config)),
		_ = gun_rs:get(ConnPid, "/held", [{<<"x-tell">>, Tell}]),
		_ = do_start([gun_rs, request], #{conn => ConnPid}),
		_ = End(ConnPid),
		{_, #{reason := Reason}} = do_end([gun_rs, request, exception], ConnPid)
	end || {End, Reason} <- [{fun(Pid) -> exit(Pid, kill) end, killed}, {fun gun_rs:close/1, shutdown}]],
	{WsPid, _} = open_ws(config(port, Config), "/websocket"),
	%% The upgrade is told to its owner by the native side: the process behind WsPid hears of it by itself.
	{_, #{accepted := true}} = do_end([gun_rs, ws_upgrade, stop], WsPid),
	true = exit(WsPid, kill),
	{#{frames_in := 0, duration := _}, #{reason := killed, close_code := undefined}} = do_end([gun_rs, ws, stop], WsPid),
	do_balance().

switched(_) ->
	doc("A request that the server answers by another protocol stops with the status 101."),
	ok = do_attach(),
	{Server, Port} = lying_server:start([{answer, fun(_) -> "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: odd\r\n\r\n" end}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/", [{<<"connection">>, <<"upgrade">>}, {<<"upgrade">>, <<"odd">>}]),
	{_, #{status := 101, stream_ref := StreamRef}} = do_end([gun_rs, request, stop], ConnPid),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

bad_end(Config) ->
	doc("An end that can't be found is an exception, and the watcher goes on; what a WebSocket ends with outlives its module."),
	ok = do_attach(),
	Watcher = whereis(gun_rs_spans),
	Pid = spawn(fun() ->
		true = gun_rs_spans:open([gun_rs, odd], one, #{conn => self()}, {gun_rs_spans, no_function, [secret]}),
		true = gun_rs_spans:open([gun_rs, even], one, #{conn => self()}, exception)
	end),
	{_, #{reason := _}} = do_end([gun_rs, odd, exception], Pid),
	{_, #{reason := _}} = do_end([gun_rs, even, exception], Pid),
	ok = gen_server:call(gun_rs_spans, sync),
	Watcher = whereis(gun_rs_spans),
	{WsPid, _} = open_ws(config(port, Config), "/websocket"),
	{_, #{accepted := true}} = do_end([gun_rs, ws_upgrade, stop], WsPid),
	[_|_] = Deaths = [Death || {_, _, _, Death} <- ets:tab2list(gun_rs_spans)],
	[] = [Death || Death <- Deaths, is_function(Death)],
	ok = gun_rs:close(WsPid),
	{_, #{close_code := undefined, reason := _}} = do_end([gun_rs, ws, stop], WsPid),
	do_balance().

chaos(Config) ->
	doc("Over many connections that end in every way, each start has one end."),
	Self = self(),
	Counter = spawn_link(fun() -> do_count(#{}) end),
	ok = telemetry_stand_in:attach(Counter),
	Workers = [spawn_monitor(fun() -> do_work(config(port, Config), N, Self) end) || N <- lists:seq(1, 200)],
	_ = [?EXPECT({'DOWN', MRef, process, _, _}) || {_, MRef} <- Workers],
	true = eventually(fun() ->
		ok = gen_server:call(gun_rs_spans, sync),
		[] =:= ets:tab2list(gun_rs_spans)
	end),
	Counter ! {counts, Self},
	Counts = ?EXPECT({counts, C}, C),
	_ = [{Name, true} = {Name, Starts > 0 andalso Starts =:= Ends} || {Name, {Starts, Ends}} <- maps:to_list(Counts)],
	true = is_map_key([gun_rs, connect], Counts) andalso is_map_key([gun_rs, request], Counts)
		andalso is_map_key([gun_rs, ws_upgrade], Counts).

do_work(Port, N, _) ->
	ConnPid = open(Port),
	Requests = [gun_rs:get(ConnPid, "/pieces?count=20&size=1000") || _ <- lists:seq(1, N rem 4)],
	_ = [gun_rs:ws_upgrade(ConnPid, "/websocket") || N rem 3 =:= 0],
	case N rem 7 of
		0 -> exit(ConnPid, kill);
		1 -> gun_rs:close(ConnPid);
		2 -> gun_rs:shutdown(ConnPid);
		3 -> [gun_rs:cancel(ConnPid, StreamRef) || StreamRef <- Requests], gun_rs:shutdown(ConnPid);
		4 -> gun_rs:get(ConnPid, "/die");
		5 -> [answer(ConnPid, StreamRef) || StreamRef <- Requests], exit(ConnPid, kill);
		6 -> ok
	end.

do_count(Counts) ->
	receive
		{telemetry, Name, _, _} ->
			{Span, Kind} = {lists:droplast(Name), lists:last(Name)},
			{Starts, Ends} = maps:get(Span, Counts, {0, 0}),
			do_count(case {Span, Kind} of
				{[gun_rs, ws], stop} -> Counts;
				{_, start} -> Counts#{Span => {Starts + 1, Ends}};
				_ -> Counts#{Span => {Starts, Ends + 1}}
			end);
		{counts, Pid} ->
			Pid ! {counts, Counts}
	end.

%% Pools.

pool_queue(Config) ->
	doc("Who wants a connection of a pool has a start and an end: at once, after a wait, or with the reason of an error."),
	ok = do_attach(),
	Port = config(port, Config),
	Authority = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	{ok, Pool} = gun_rs_pool:start_pool("127.0.0.1", Port, #{size => 1, checkout_queue => #{max => 1, timeout => 60000}}),
	ok = gun_rs_pool:await_up(Authority),
	Headers = #{<<"host">> => Authority, <<"x-tell">> => base64:encode(term_to_binary(self()))},
	Self = self(),
	{async, {ConnPid, StreamRef}} = gun_rs_pool:get("/held", Headers),
	Metadata = #{pool => Pool, authority => Authority, scope => default, caller => Self},
	_ = do_start([gun_rs, pool, queue], Metadata),
	{#{duration := _}, #{conn := ConnPid, caller := Self}} = do_end([gun_rs, pool, queue, stop], Pool, pool),
	Held = ?EXPECT({held, H, _}, H),
	{Waiting, MRef} = spawn_monitor(fun() ->
		{async, {P, S}} = gun_rs_pool:get("/echo", Headers),
		{200, _, _} = answer(P, S)
	end),
	_ = do_start([gun_rs, pool, queue], Metadata#{caller := Waiting}),
	{error, checkout_queue_full, _} = gun_rs_pool:get("/echo", Headers),
	_ = do_start([gun_rs, pool, queue], Metadata),
	{_, #{reason := checkout_queue_full, caller := Self}} = do_end([gun_rs, pool, queue, exception], Pool, pool),
	Held ! {answer, <<"done">>},
	{200, _, _} = answer(ConnPid, StreamRef),
	{_, #{conn := ConnPid, caller := Waiting}} = do_end([gun_rs, pool, queue, stop], Pool, pool),
	?EXPECT({'DOWN', MRef, process, Waiting, normal}),
	%% One that is killed while it waits.
	{async, _} = gun_rs_pool:get("/held", Headers),
	_ = do_start([gun_rs, pool, queue], Metadata),
	_ = do_end([gun_rs, pool, queue, stop], Pool, pool),
	_ = ?EXPECT({held, _, _}),
	Killed = spawn(fun() -> gun_rs_pool:get("/echo", Headers) end),
	_ = do_start([gun_rs, pool, queue], Metadata#{caller := Killed}),
	true = exit(Killed, kill),
	{_, #{reason := caller_down}} = do_end([gun_rs, pool, queue, exception], Pool, pool),
	%% Those who wait when the pool is killed.
	_ = spawn(fun() -> gun_rs_pool:get("/echo", Headers) end),
	_ = do_start([gun_rs, pool, queue], maps:remove(caller, Metadata)),
	true = exit(Pool, kill),
	{_, #{reason := killed}} = do_end([gun_rs, pool, queue, exception], Pool, pool),
	ok.

%% The server.

server(_) ->
	doc("Requests and WebSockets of a listener have the same events, behind [gun_rs, server]."),
	ok = do_attach(),
	Routes = [{'_', [{"/ok", served_2_h, #{test => self(), init => fun(Req, Opts) ->
			{ok, gun_rs_req:reply(201, #{}, <<"ok">>, Req), Opts} end}},
		{"/crash", served_2_h, #{test => self(), init => fun(_, _) -> error(deliberate) end}},
		{"/ws", served_2_h, #{test => self()}}]}],
	{ok, _} = gun_rs_server:start_clear(?FUNCTION_NAME, [{port, 0}], #{env => #{dispatch => gun_rs_router:compile(Routes)}}),
	Port = gun_rs_server:get_port(?FUNCTION_NAME),
	ConnPid = open(Port),
	{201, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/ok", [], #{traceparent => ?TRACEPARENT})),
	_ = do_start([gun_rs, server, request], #{ref => ?FUNCTION_NAME, method => <<"GET">>, path => <<"/ok">>,
		scheme => <<"http">>, traceparent => ?TRACEPARENT}),
	{#{duration := _}, #{status := 201, peer := {{127, 0, 0, 1}, _}}} = do_end([gun_rs, server, request, stop], ?FUNCTION_NAME, ref),
	{404, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/none")),
	_ = do_start([gun_rs, server, request], #{path => <<"/none">>}),
	{_, #{status := 404}} = do_end([gun_rs, server, request, stop], ?FUNCTION_NAME, ref),
	{500, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/crash")),
	_ = do_start([gun_rs, server, request], #{path => <<"/crash">>}),
	{_, #{kind := error, reason := deliberate, stacktrace := [_|_], status := 500}} =
		do_end([gun_rs, server, request, exception], ?FUNCTION_NAME, ref),
	{WsPid, StreamRef} = open_ws(Port, "/ws"),
	_ = do_start([gun_rs, server, ws_upgrade], #{path => <<"/ws">>}),
	{_, #{accepted := true, status := 101}} = do_end([gun_rs, server, ws_upgrade, stop], ?FUNCTION_NAME, ref),
	ok = gun_rs:ws_send(WsPid, StreamRef, {text, <<"a">>}),
	?EXPECT({gun_ws, WsPid, StreamRef, {text, <<"a">>}}),
	ok = gun_rs:ws_send(WsPid, StreamRef, {close, 4001, <<>>}),
	{#{frames_in := 2, frames_out := Out, duration := _}, #{close_code := 4001, reason := {remote, 4001, <<>>}, path := <<"/ws">>}} =
		do_end([gun_rs, server, ws, stop], ?FUNCTION_NAME, ref),
	true = Out >= 1,
	ConnPid2 = open(Port),
	{404, _, _} = answer(ConnPid2, gun_rs:ws_upgrade(ConnPid2, "/none")),
	_ = do_start([gun_rs, server, ws_upgrade], #{path => <<"/none">>}),
	{_, #{accepted := false, status := 404}} = do_end([gun_rs, server, ws_upgrade, stop], ?FUNCTION_NAME, ref),
	ok = gun_rs:close(ConnPid2),
	%% A name that is no text.
	{ok, Socket} = gen_tcp:connect("127.0.0.1", Port, [binary, {active, false}]),
	ok = gen_tcp:send(Socket, <<"GET /none HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ", 255, "\r\n\r\n">>),
	{ok, <<"HTTP/1.1 404", _/binary>>} = gen_tcp:recv(Socket, 0, 30000),
	ok = gen_tcp:close(Socket),
	_ = do_start([gun_rs, server, request], #{path => <<"/none">>}),
	{_, #{status := 404}} = do_end([gun_rs, server, request, stop], ?FUNCTION_NAME, ref),
	gun_rs_server:stop_listener(?FUNCTION_NAME).

server_connections(Config) ->
	doc("A connection of a listener tells with its first request, once, how it was accepted and shook hands."),
	ok = do_attach(),
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	Env = #{env => #{dispatch => []}},
	{ok, _} = gun_rs_server:start_clear(tcp, [{port, 0}], Env),
	{ok, _} = gun_rs_server:start_tls(tls, [{port, 0}, {certfile, CertFile}, {keyfile, KeyFile}], Env),
	_ = [begin
		Before = erlang:monotonic_time(),
		{ok, ConnPid} = gun_rs:open("localhost", gun_rs_server:get_port(Ref),
			#{transport => Ref, tls_opts => [{verify, verify_none}], protocols => [http]}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		{400, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/one")),
		#{monotonic_time := Accepted, system_time := _} = do_start([gun_rs, server, connect], #{ref => Ref}),
		{#{monotonic_time := Up, duration := Whole}, #{protocol := http, peer := {{127, 0, 0, 1}, _}}} =
			do_end([gun_rs, server, connect, stop], Ref, ref),
		true = Before =< Accepted andalso Accepted =< Up andalso Up =< erlang:monotonic_time() andalso Whole >= 0,
		_ = [begin
			#{monotonic_time := Begun} = do_start([gun_rs, server, tls], #{ref => tls}),
			{#{monotonic_time := Up, duration := Handshake}, #{alpn := _}} = do_end([gun_rs, server, tls, stop], tls, ref),
			true = Accepted =< Begun andalso Handshake =< Whole
		end || Ref =:= tls],
		_ = do_start([gun_rs, server, request], #{path => <<"/one">>}),
		{400, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/two")),
		_ = do_start([gun_rs, server, request], #{path => <<"/two">>}),
		{_, _} = do_end([gun_rs, server, request, stop], Ref, ref),
		{_, _} = do_end([gun_rs, server, request, stop], Ref, ref),
		ok = gun_rs:close(ConnPid),
		[] = do_of_server(connect) ++ do_of_server(tls),
		gun_rs_server:stop_listener(Ref)
	end || Ref <- [tcp, tls]],
	ok.

%% What else has been executed of this by a listener.
do_of_server(Span) ->
	receive
		Event = {telemetry, [gun_rs, server, Span, _], _, _} -> [Event]
	after 0 ->
		[]
	end.

without_telemetry(Config) ->
	doc("Without telemetry nothing is loaded, kept or observed."),
	false = gun_rs_telemetry:is_on(),
	{WsPid, _} = open_ws(config(port, Config), "/websocket"),
	ConnPid = open(config(port, Config)),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/echo")),
	{ok, Opts} = gun_rs_options:open("localhost", 80, #{}),
	[] = gun_rs_observers:wanted(Opts),
	undefined = gun_rs_observers:init(Opts, self()),
	[] = ets:tab2list(gun_rs_spans),
	false = code:is_loaded(telemetry),
	_ = [ok = gun_rs:close(Pid) || Pid <- [WsPid, ConnPid]],
	ok.

%% What is executed.

%% The start with at least this metadata: its measurements.
do_start(Name, Metadata) ->
	Start = Name ++ [start],
	receive
		{telemetry, Start, Measurements, Known} ->
			case maps:with(maps:keys(Metadata), Known) of
				Metadata -> Measurements;
				Other -> error({other_metadata, Start, Other, Metadata})
			end
	after 30000 ->
		error({no_event, Start, element(2, process_info(self(), messages))})
	end.

do_end(Name, ConnPid) ->
	do_end(Name, ConnPid, conn).

do_end(Name, Of, Key) ->
	receive
		{telemetry, Name, Measurements, Metadata = #{Key := Of}} -> {Measurements, Metadata}
	after 30000 ->
		error({no_event, Name, element(2, process_info(self(), messages))})
	end.

%% No other event has been executed.
do_none() ->
	ok = gen_server:call(gun_rs_spans, sync),
	receive
		Event = {telemetry, _, _, _} -> error({unexpected, Event})
	after 0 ->
		ok
	end.

%% Nothing that has begun has no end.
do_balance() ->
	true = eventually(fun() ->
		ok = gen_server:call(gun_rs_spans, sync),
		[] =:= ets:tab2list(gun_rs_spans)
	end),
	ok.

do_server_port({Port, _}) -> Port.

%% A request finds its pool by host and scope, goes to a connection with room, or waits for one.
-module(gun_rs_pool_SUITE).

-define(NEEDS, [distribution, {listener, [http_echo_h]}]).
-define(TIMETRAP, {minutes, 3}).
-include("gun_rs_suite.hrl").

end_per_testcase(_, _) ->
	_ = [gun_rs_pools_sup:stop_pool(Pid) || Pid <- gun_rs_pools:all()],
	ok.

%% Pools.

start_and_stop(Config) ->
	doc("A pool opens all its connections at once, and they end with it."),
	Port = config(port, Config),
	Authority = do_authority(Port),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 3}),
	{error, {already_started, Pool}} = gun_rs_pool:start_pool("localhost", Port, #{size => 3}),
	ok = gun_rs_pool:await_up(Pool),
	ok = gun_rs_pool:await_up(Authority),
	{operational, Info} = gun_rs_pool:info(Pool),
	#{authority := Authority, scope := default, host := "localhost", port := Port, opts := #{size := 3}, conns := Conns,
		size := #{min := 3, max := 3}} = Info,
	[{up, http, #{}}, {up, http, #{}}, {up, http, #{}}] = maps:values(Conns),
	Pool = maps:get(owner, gun_rs:info(hd(maps:keys(Conns)))),
	{operational, Info} = gun_rs_pool:info(Authority),
	{operational, Info} = gun_rs_pool:info(Authority, default),
	[All] = gun_rs_pool:info(),
	Info = maps:remove(state, All),
	operational = maps:get(state, All),
	MRefs = [monitor(process, ConnPid) || ConnPid <- maps:keys(Conns)],
	ok = gun_rs_pool:stop_pool("localhost", Port),
	_ = [?EXPECT({'DOWN', MRef, process, _, shutdown}) || MRef <- MRefs],
	{error, pool_not_found, _} = gun_rs_pool:stop_pool("localhost", Port),
	undefined = gun_rs_pool:info(Pool),
	undefined = gun_rs_pool:info(Authority),
	[] = gun_rs_pool:info(),
	{error, pool_not_found, 'No pool was found for the given scope and authority.'} = gun_rs_pool:await_up(Authority),
	ok.

scopes(Config) ->
	doc("Pools of one host stand beside each other in scopes."),
	Port = config(port, Config),
	Authority = do_authority(Port),
	Pools = [begin
		{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1, scope => Scope}),
		ok = gun_rs_pool:await_up(Authority, Scope),
		{operational, #{conns := Conns}} = gun_rs_pool:info(Authority, Scope),
		[ConnPid] = maps:keys(Conns),
		{async, {ConnPid, _}} = gun_rs_pool:get("/request", do_headers(Port), #{scope => Scope}),
		Pool
	end || Scope <- [a, {b, 1}]],
	2 = length(lists:usort(Pools)),
	{error, pool_not_found, _} = gun_rs_pool:get("/request", do_headers(Port)),
	{error, pool_not_found, _} = gun_rs_pool:stop_pool("localhost", Port),
	ok = gun_rs_pool:stop_pool("localhost", Port, #{scope => a}),
	ok = gun_rs_pool:stop_pool("localhost", Port, #{scope => {b, 1}}).

streams_end_with_their_pool(_) ->
	doc("A response that is under way when its pool is stopped is finished; then the connection ends."),
	Self = self(),
	{Server, Port} = pool_server:start(fun(_) -> Self ! requested, {held, "late"} end),
	_ = do_pool(Port, #{size => 1}),
	{async, Ref={ConnPid, _}} = gun_rs_pool:get("/", do_headers(Port)),
	%% One that has not begun yet is refused.
	?EXPECT(requested),
	MRef = monitor(process, ConnPid),
	ok = gun_rs_pool:stop_pool("localhost", Port),
	do_release_until(Server, fun() -> gun_rs_pool:await(Ref, 100) end, {response, nofin, 200, [{<<"content-length">>, <<"4">>}]}),
	{ok, <<"late">>} = gun_rs_pool:await_body(Ref),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	pool_server:stop(Server).

a_server_that_is_not_there_is_tried_with_pauses(_) ->
	doc("Where every connection fails at once, the pool pauses before the next, and says that it is degraded."),
	{Socket, Port} = refused_port(),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 2, conn_opts => #{retry => 0}, backoff => #{max => 60000}}),
	Tracer = spawn(fun() -> do_count(0) end),
	_ = erlang:trace(Pool, true, [procs, {tracer, Tracer}, 'receive']),
	{degraded, _} = gun_rs_pool:info(Pool),
	{'EXIT', {timeout, _}} = ?CATCH(gun_rs_pool_server:await_up(Pool, 1500)),
	{error, no_connection_available, _} = gun_rs_pool:get("/", do_headers(Port)),
	Tracer ! {self(), count},
	Deaths = ?EXPECT({Tracer, N}, N),
	ct:log("~b connections in 1.5 seconds", [Deaths]),
	true = Deaths < 20,
	release_port(Socket).

%% The ends of connections that a pool has been told of.
do_count(N) ->
	receive
		{trace, _, 'receive', {'DOWN', _, _, _, _}} -> do_count(N + 1);
		{From, count} -> From ! {self(), N};
		_ -> do_count(N)
	end.

a_connection_that_dies_is_replaced(Config) ->
	doc("A connection that is killed is replaced, and so is the pool itself."),
	Port = config(port, Config),
	Pool = do_pool(Port, #{size => 2}),
	[Killed, Other] = do_conns(Pool),
	exit(Killed, kill),
	true = eventually(fun() ->
		{State, #{conns := Conns}} = gun_rs_pool:info(Pool),
		State =:= operational andalso map_size(Conns) =:= 2 andalso not is_map_key(Killed, Conns) andalso is_map_key(Other, Conns)
	end),
	exit(Pool, kill),
	true = eventually(fun() ->
		case gun_rs_pool:info(do_authority(Port)) of
			{operational, _} -> true;
			Info -> Info
		end
	end),
	{async, Ref} = gun_rs_pool:get("/request", do_headers(Port)),
	{response, nofin, 200, _} = gun_rs_pool:await(Ref),
	ok.

%% Requests.

requests(Config) ->
	doc("Every function makes its request, with the host header that names the pool."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 2}),
	Authority = do_authority(Port),
	Headers = do_headers(Port),
	_ = [begin
		{async, Ref} = apply(gun_rs_pool, Function, ["/request", Headers|Opts]),
		#{method := Method, headers := #{<<"host">> := Authority}, body := <<>>} = do_seen(Ref)
	end || {Function, Method} <- [{get, <<"GET">>}, {options, <<"OPTIONS">>}, {delete, <<"DELETE">>}], Opts <- [[], [#{}]]],
	{async, Head} = gun_rs_pool:head("/request", Headers),
	{response, fin, 200, _} = gun_rs_pool:await(Head),
	{async, Head2} = gun_rs_pool:head("/request", Headers, #{reply_to => self()}),
	{response, fin, 200, _} = gun_rs_pool:await(Head2, 5000),
	_ = [begin
		{async, Whole} = apply(gun_rs_pool, Function, ["/request", Headers, ["bo", <<"dy">>]|Opts]),
		#{method := Method, body := <<"body">>} = do_seen(Whole),
		{async, Streamed} = apply(gun_rs_pool, Function, ["/request", Headers|Opts]),
		ok = gun_rs_pool:data(Streamed, nofin, "bo"),
		ok = gun_rs_pool:data(Streamed, fin, "dy"),
		#{method := Method, body := <<"body">>} = do_seen(Streamed)
	end || {Function, Method} <- [{post, <<"POST">>}, {put, <<"PUT">>}, {patch, <<"PATCH">>}], Opts <- [[], [#{}]]],
	_ = [begin
		{async, Request} = apply(gun_rs_pool, request, [<<"REPORT">>, "/request", Headers, "body"|Opts]),
		#{method := <<"REPORT">>, body := <<"body">>} = do_seen(Request),
		{async, Streamed} = apply(gun_rs_pool, headers, [<<"REPORT">>, "/request", Headers|Opts]),
		ok = gun_rs_pool:data(Streamed, fin, "body"),
		#{method := <<"REPORT">>, body := <<"body">>} = do_seen(Streamed)
	end || Opts <- [[], [#{}]]],
	ok.

the_host_header(Config) ->
	doc("The name of the host header has any case and kind; without one the error says so."),
	Port = config(port, Config),
	Authority = do_authority(Port),
	_ = do_pool(Port, #{size => 1}),
	_ = [begin
		{async, Ref} = gun_rs_pool:get("/request", Headers),
		#{headers := #{<<"host">> := _}} = do_seen(Ref)
	end || Headers <- [
		#{<<"host">> => Authority},
		[{<<"Host">>, Authority}],
		[{"host", binary_to_list(Authority)}],
		[{host, Authority}],
		[{<<"host">>, string:uppercase(Authority)}]
	]],
	{error, missing_host_header, _} = gun_rs_pool:get("/request", []),
	{error, missing_host_header, _} = gun_rs_pool:get("/request", #{}),
	{error, pool_not_found, _} = gun_rs_pool:get("/request", [{<<"host">>, <<"localhost">>}]),
	ok.

messages_come_to_the_caller(Config) ->
	doc("The messages of a request come from its connection, to the caller or to reply_to; await, flush, cancel, update_flow and "
		"stream_info take what the request returned."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 1}),
	Headers = do_headers(Port),
	{async, {ConnPid, StreamRef}} = gun_rs_pool:get("/request", Headers),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, fin, _}),
	Self = self(),
	{async, {ConnPid, Tagged}} = gun_rs_pool:get("/request", Headers, #{reply_to => fun(Message) -> Self ! {tagged, Message} end}),
	?EXPECT({tagged, {gun_data, ConnPid, Tagged, fin, _}}),
	?EXPECT({tagged, {gun_response, ConnPid, Tagged, nofin, 200, _}}),
	{async, Flushed={_, FlushedRef}} = gun_rs_pool:get("/request", Headers),
	{response, nofin, 200, _} = gun_rs_pool:await(Flushed, 5000, monitor(process, ConnPid)),
	?EXPECT({gun_data, _, FlushedRef, fin, _} = Data, self() ! Data),
	ok = gun_rs_pool:flush(Flushed),
	?REFUTE({gun_data, _, FlushedRef, _, _}),
	{async, Held={_, HeldRef}} = gun_rs_pool:get("/held", do_held_headers(Port)),
	{ok, #{ref := HeldRef, reply_to := Self}} = gun_rs_pool:stream_info(Held),
	ok = gun_rs_pool:update_flow(Held, 1),
	ok = gun_rs_pool:cancel(Held),
	ok.

connections_with_cookies(Config) ->
	doc("Connections whose requests go through their process count as the others do."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 1, conn_opts => #{cookie_store => gun_rs_cookies_list:init()}}),
	_ = [begin
		{async, Ref} = gun_rs_pool:get("/request", do_headers(Port)),
		_ = do_seen(Ref)
	end || _ <- lists:seq(1, 100)],
	{async, _} = gun_rs_pool:get("/held", do_held_headers(Port)),
	?EXPECT({held, _, _}),
	{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Port)),
	ok.

bad_options_raise(Config) ->
	doc("Options that a request can't have raise, before there is one."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 1}),
	{'EXIT', {{badmatch, {error, {options, {pool_req, {checkout_retry, 5}}}}}, _}} =
		?CATCH(gun_rs_pool:get("/", do_headers(Port), #{checkout_retry => 5})),
	{'EXIT', {{badmatch, {error, {options, {pool_ws, {host, <<"a">>}}}}}, _}} = ?CATCH(gun_rs_pool:ws_send(ping, #{host => <<"a">>})),
	{'EXIT', {{invalid_request_header, _, _}, _}} = ?CATCH(gun_rs_pool:get("/", [{<<"a">>, "b\r\n"}|do_headers(Port)])),
	true = do_is_idle(Port),
	ok.

%% Which connection.

all_busy(_) ->
	doc("Each connection has one request at a time; when all are busy the error says so, unless the caller tries again."),
	{Server, Port} = pool_server:start(fun(_) -> {held, "ok"} end),
	Pool = do_pool(Port, #{size => 2}),
	Headers = do_headers(Port),
	{async, Ref1={Conn1, _}} = gun_rs_pool:get("/", Headers),
	{async, Ref2={Conn2, _}} = gun_rs_pool:get("/", Headers),
	true = Conn1 =/= Conn2,
	{error, no_connection_available, _} = gun_rs_pool:get("/", Headers),
	undefined = gun_rs_pool:checkout(Pool, #{}),
	Self = self(),
	_ = spawn_link(fun() -> Self ! {tried, gun_rs_pool:get("/", Headers, #{checkout_retry => lists:duplicate(500, 20)})} end),
	?REFUTE({tried, _}),
	do_release_until(Server, fun() -> gun_rs_pool:await(Ref1, 100) end, {response, nofin, 200, [{<<"content-length">>, <<"2">>}]}),
	{response, nofin, 200, _} = gun_rs_pool:await(Ref2),
	?EXPECT({tried, {async, _}}),
	pool_server:stop(Server).

one_after_another(Config) ->
	doc("Whoever has the end of a response can make the next request: its place is free by then."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 1}),
	Headers = do_headers(Port),
	_ = [begin
		{async, Ref} = gun_rs_pool:get("/request", Headers),
		_ = do_seen(Ref),
		{async, Head} = gun_rs_pool:head("/request", Headers),
		{response, fin, 200, _} = gun_rs_pool:await(Head)
	end || _ <- lists:seq(1, 500)],
	ok.

several_at_a_time(_) ->
	doc("With max_streams a connection has that many requests at a time."),
	{Server, Port} = pool_server:start(fun(_) -> {held, "ok"} end),
	_ = do_pool(Port, #{size => 2, max_streams => 3}),
	Refs = [Ref || _ <- lists:seq(1, 6), {async, Ref} <- [gun_rs_pool:get("/", do_headers(Port))]],
	[3, 3] = [length([1 || {C, _} <- Refs, C =:= ConnPid]) || ConnPid <- lists:usort([C || {C, _} <- Refs])],
	{error, no_connection_available, _} = gun_rs_pool:get("/", do_headers(Port)),
	pool_server:stop(Server).

checkout_reserves_nothing(Config) ->
	doc("checkout gives the same connection to everybody, and what is requested on it counts."),
	Port = config(port, Config),
	Pool = do_pool(Port, #{size => 1}),
	{ConnPid, #{}} = gun_rs_pool:checkout(Pool, #{}),
	{ConnPid, #{}} = gun_rs_pool:checkout(Pool, #{}),
	StreamRef = gun_rs:get(ConnPid, "/held", do_held_headers(Port)),
	?EXPECT({held, _, _}),
	undefined = gun_rs_pool:checkout(Pool, #{}),
	{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Port)),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	undefined = gun_rs_pool:checkout(do_dead(), #{}),
	ok.

a_place_is_given_back(_) ->
	doc("A stream counts until it is over, however it ends: cancelled, by an error, with its caller, with its connection."),
	{Server, Port} = pool_server:start(fun
		(<<"/held">>) -> {held, "ok"};
		(<<"/half">>) -> half;
		(<<"/close">>) -> close;
		(_) -> stall
	end),
	_ = do_pool(Port, #{size => 1}),
	Headers = do_headers(Port),
	{async, Cancelled} = gun_rs_pool:get("/held", Headers),
	%% When the second question is answered, the request has been sent: else it would be taken back.
	_ = [{ok, #{}} = gun_rs_pool:stream_info(Cancelled) || _ <- [1, 2]],
	ok = gun_rs_pool:cancel(Cancelled),
	%% The response is still to come.
	{error, no_connection_available, _} = gun_rs_pool:get("/held", Headers),
	true = eventually(fun() -> ok = pool_server:release(Server), do_is_idle(Port) end),
	_ = [begin
		{async, Ref} = do_eventually_async(fun() -> gun_rs_pool:get(Path, Headers) end),
		do_until_error(Ref),
		true = eventually(fun() -> do_is_idle(Port) end)
	end || Path <- ["/half", "/close"]],
	{async, Stalled} = do_eventually_async(fun() -> gun_rs_pool:get("/stall", Headers, #{response_timeout => 100}) end),
	{error, {stream_error, {timeout, response}}} = gun_rs_pool:await(Stalled, 30000),
	true = eventually(fun() -> do_is_idle(Port) end),
	{Caller, MRef} = spawn_monitor(fun() -> {async, _} = do_eventually_async(fun() -> gun_rs_pool:get("/held", Headers) end) end),
	?EXPECT({'DOWN', MRef, process, Caller, normal}),
	false = do_is_idle(Port),
	true = eventually(fun() -> ok = pool_server:release(Server), do_is_idle(Port) end),
	pool_server:stop(Server).

%% Callers that wait.

first_come_first_served(_) ->
	doc("A thousand callers who wait have their requests made in the order in which they came."),
	Self = self(),
	{Server, Port} = pool_server:start(fun(Path) ->
		Self ! {requested, Path},
		case Path of
			<<"/0">> -> {held, "ok"};
			_ -> {reply, "ok"}
		end
	end),
	Pool = do_pool(Port, #{size => 1, checkout_queue => #{max => 1000, timeout => 120000}}),
	Headers = do_headers(Port),
	{async, First} = gun_rs_pool:get("/0", Headers),
	Callers = [begin
		Caller = spawn_monitor(fun() ->
			{async, Ref} = gun_rs_pool:get("/" ++ integer_to_list(N), Headers, #{checkout_call_timeout => infinity}),
			{response, nofin, 200, _} = gun_rs_pool:await(Ref, 120000),
			{ok, <<"ok">>} = gun_rs_pool:await_body(Ref)
		end),
		ok = do_until_waiting(Pool, N),
		Caller
	end || N <- lists:seq(1, 1000)],
	{error, checkout_queue_full, _} = gun_rs_pool:get("/", Headers),
	do_release_until(Server, fun() -> gun_rs_pool:await(First, 10) end, {response, nofin, 200, [{<<"content-length">>, <<"2">>}]}),
	_ = [?EXPECT({'DOWN', MRef, process, Caller, normal}) || {Caller, MRef} <- Callers],
	Expected = [integer_to_binary(N) || N <- lists:seq(0, 1000)],
	Expected = [Path || <<"/", Path/binary>> <- do_requested()],
	pool_server:stop(Server).

the_queue_has_a_limit_and_a_deadline(_) ->
	doc("One caller more than may wait is refused at once; those who wait are refused when their time is over."),
	{Server, Port} = pool_server:start(fun(_) -> stall end),
	_ = do_pool(Port, #{size => 1, checkout_queue => #{max => 2, timeout => 200}}),
	Headers = do_headers(Port),
	{async, _} = gun_rs_pool:get("/", Headers),
	Self = self(),
	Waiting = fun(N) -> eventually(fun() -> {_, #{waiting := W}} = gun_rs_pool:info(do_authority(Port)), W =:= N end) end,
	Waiters = [spawn(fun() -> gun_rs_pool:get("/", Headers, #{checkout_call_timeout => infinity}) end) || _ <- [1, 2]],
	true = Waiting(2),
	{error, checkout_queue_full, _} = gun_rs_pool:get("/", Headers),
	_ = [exit(Waiter, kill) || Waiter <- Waiters],
	true = Waiting(0),
	%% The deadline of the pool, and a caller's own.
	_ = [begin
		_ = spawn_link(fun() -> Self ! {waited, gun_rs_pool:get("/", Headers, ReqOpts)} end),
		?EXPECT({waited, {error, checkout_timeout, _}}),
		true = Waiting(0)
	end || ReqOpts <- [#{}, #{checkout_call_timeout => 100}]],
	pool_server:stop(Server).

a_caller_that_dies_waits_no_longer(_) ->
	doc("Whoever dies while waiting leaves the queue, and the next one has its turn."),
	{Server, Port} = pool_server:start(fun(_) -> {held, "ok"} end),
	Pool = do_pool(Port, #{size => 1, checkout_queue => #{}}),
	Headers = do_headers(Port),
	{async, First} = gun_rs_pool:get("/", Headers),
	Self = self(),
	[One, _] = [begin
		Pid = spawn(fun() -> Self ! {got, N, gun_rs_pool:get("/", Headers)} end),
		true = eventually(fun() -> {_, #{waiting := Waiting}} = gun_rs_pool:info(Pool), Waiting =:= N end),
		Pid
	end || N <- [1, 2]],
	exit(One, kill),
	true = eventually(fun() -> {_, #{waiting := Waiting}} = gun_rs_pool:info(Pool), Waiting =:= 1 end),
	_ = do_release_until(Server, fun() -> gun_rs_pool:await(First, 10) end, {response, nofin, 200, [{<<"content-length">>, <<"2">>}]}),
	?EXPECT({got, 2, {async, _}}),
	pool_server:stop(Server).

the_pool_stops_while_callers_wait(_) ->
	doc("Callers who wait learn that their pool was stopped."),
	{Server, Port} = pool_server:start(fun(_) -> stall end),
	Pool = do_pool(Port, #{size => 1, checkout_queue => #{}}),
	Headers = do_headers(Port),
	{async, _} = gun_rs_pool:get("/", Headers),
	Self = self(),
	_ = spawn_link(fun() -> Self ! {got, gun_rs_pool:get("/", Headers)} end),
	true = eventually(fun() -> {_, #{waiting := Waiting}} = gun_rs_pool:info(Pool), Waiting =:= 1 end),
	ok = gun_rs_pool:stop_pool("localhost", Port),
	?EXPECT({got, {error, pool_stopped, _}}),
	pool_server:stop(Server).

%% Under load.

a_thousand_callers(_) ->
	doc("A thousand callers with 50 connections to a server that kills, refuses and stalls: each has its answer or an error that "
		"says what happened, in its time, and nothing is left."),
	{Server, Port} = pool_server:start(fun(Path) -> do_fate(Path) end),
	Before = gun_rs_test:resources(),
	Pool = do_pool(Port, #{size => 50, checkout_queue => #{max => 1000, timeout => 60000},
		conn_opts => #{retry => 2, retry_timeout => 10}, backoff => #{max => 100}}),
	Headers = do_headers(Port),
	Self = self(),
	Callers = [spawn_monitor(fun() ->
		Self ! {outcomes, [do_request(["/", integer_to_list(N), "/", integer_to_list(M)], Headers) || M <- lists:seq(1, 10)]}
	end) || N <- lists:seq(1, 1000)],
	_ = [?EXPECT({'DOWN', MRef, process, Caller, normal}) || {Caller, MRef} <- Callers],
	Outcomes = lists:append([?EXPECT({outcomes, List}, List) || _ <- Callers]),
	Counts = [{Kind, length([1 || O <- Outcomes, O =:= Kind])} || Kind <- lists:usort(Outcomes)],
	ct:log("~p", [Counts]),
	10000 = length(Outcomes),
	[] = [Kind || {Kind, _} <- Counts, not lists:member(Kind, [ok, closed, timeout, down])],
	true = proplists:get_value(ok, Counts) > 5000,
	%% It recovers by itself.
	true = eventually(fun() ->
		{State, #{streams := Streams, waiting := Waiting, conns := Conns}} = gun_rs_pool:info(Pool),
		{State, Waiting, map_size(Conns), lists:sum(maps:values(Streams))} =:= {operational, 0, 50, 0}
	end),
	true = eventually(fun() -> pool_server:connections(Server) =:= 50 end),
	ok = gun_rs_pool:stop_pool("localhost", Port),
	true = eventually(fun() -> pool_server:connections(Server) =:= 0 end),
	gun_rs_test:nothing_left(Before),
	pool_server:stop(Server).

%% By the request's number, so that it is the same each time.
do_fate(Path) ->
	case erlang:phash2(Path, 100) of
		N when N < 3 -> half;
		N when N < 6 -> close;
		N when N < 8 -> stall;
		_ -> {reply, "ok"}
	end.

do_request(Path, Headers) ->
	Started = erlang:monotonic_time(millisecond),
	Outcome = case gun_rs_pool:get(Path, Headers, #{response_timeout => 200, checkout_call_timeout => 60000}) of
		{async, Ref} -> do_outcome(gun_rs_pool:await(Ref, 60000), Ref);
		{error, Name, _} -> Name
	end,
	true = erlang:monotonic_time(millisecond) - Started < 60000,
	Outcome.

do_outcome({response, nofin, 200, _}, Ref) -> do_outcome(gun_rs_pool:await_body(Ref, 60000), Ref);
do_outcome({ok, <<"ok">>}, _) -> ok;
do_outcome({error, {stream_error, {timeout, response}}}, _) -> timeout;
do_outcome({error, {stream_error, {closed, _}}}, _) -> closed;
do_outcome({error, {stream_error, closed}}, _) -> closed;
do_outcome({error, {down, _}}, _) -> down;
do_outcome(Other, _) -> {other, Other}.

%% Size, age and health.

the_size_follows_the_load(_) ->
	doc("A pool opens connections up to its most when they are needed, and closes those that nobody has needed for a while."),
	{Server, Port} = pool_server:start(fun(_) -> {held, "ok"} end),
	Pool = do_pool(Port, #{size => #{min => 1, max => 4}, idle_timeout => 300, checkout_queue => #{timeout => 30000}}),
	true = eventually(fun() -> pool_server:connections(Server) =:= 1 end),
	Headers = do_headers(Port),
	Refs = [begin
		{async, Ref} = gun_rs_pool:get("/", Headers),
		Ref
	end || _ <- lists:seq(1, 4)],
	4 = length(lists:usort([ConnPid || {ConnPid, _} <- Refs])),
	{operational, #{size := #{wanted := 4}}} = gun_rs_pool:info(Pool),
	%% As long as they are needed they stay.
	timer:sleep(600),
	true = eventually(fun() -> pool_server:connections(Server) =:= 4 end),
	ok = pool_server:release(Server),
	_ = [{response, nofin, 200, _} = gun_rs_pool:await(Ref) || Ref <- Refs],
	true = eventually(fun() -> pool_server:connections(Server) =:= 1 end),
	true = eventually(fun() -> {State, #{size := #{wanted := Wanted}}} = gun_rs_pool:info(Pool), {State, Wanted} =:= {operational, 1} end),
	timer:sleep(600),
	true = eventually(fun() -> pool_server:connections(Server) =:= 1 end),
	pool_server:stop(Server).

a_pool_without_a_queue_grows_too(_) ->
	doc("Without a queue the caller that finds all busy is refused, and another connection is opened for the next."),
	{Server, Port} = pool_server:start(fun(_) -> stall end),
	_ = do_pool(Port, #{size => #{min => 1, max => 2}}),
	Headers = do_headers(Port),
	{async, {Conn1, _}} = gun_rs_pool:get("/", Headers),
	{async, {Conn2, _}} = gun_rs_pool:get("/", Headers, #{checkout_retry => lists:duplicate(500, 20)}),
	true = Conn1 =/= Conn2,
	{error, no_connection_available, _} = gun_rs_pool:get("/", Headers),
	true = eventually(fun() -> pool_server:connections(Server) =:= 2 end),
	pool_server:stop(Server).

old_connections_are_replaced(_) ->
	doc("A connection that is older than max_age goes when another is up in its place, and its stream is over."),
	{Server, Port} = pool_server:start(fun(<<"/held">>) -> {held, "ok"}; (_) -> {reply, "ok"} end),
	Pool = do_pool(Port, #{size => 1, max_age => 500, max_age_jitter => 0.5}),
	[First] = do_conns(Pool),
	MRef = monitor(process, First),
	Headers = do_headers(Port),
	{async, Held} = gun_rs_pool:get("/held", Headers),
	true = eventually(fun() -> pool_server:accepted(Server) >= 2 end),
	%% There is always one that serves, and all requests are answered.
	{async, Other={Second, _}} = do_eventually_async(fun() -> gun_rs_pool:get("/", Headers) end),
	true = First =/= Second,
	{response, nofin, 200, _} = gun_rs_pool:await(Other),
	do_release_until(Server, fun() -> gun_rs_pool:await(Held, 10) end, {response, nofin, 200, [{<<"content-length">>, <<"2">>}]}),
	?EXPECT({'DOWN', MRef, process, First, shutdown}),
	_ = [begin
		{async, Ref} = gun_rs_pool:get("/", Headers),
		{response, nofin, 200, _} = gun_rs_pool:await(Ref),
		{ok, <<"ok">>} = gun_rs_pool:await_body(Ref),
		timer:sleep(5)
	end || _ <- lists:seq(1, 200)],
	true = pool_server:accepted(Server) >= 4,
	pool_server:stop(Server).

health_needs_http2(Config) ->
	doc("HTTP/1.1 has no pings: health is refused by its name."),
	{error, {options, {pool, {health, #{}}}}} = gun_rs_pool:start_pool("localhost", config(port, Config), #{health => #{}}),
	[] = gun_rs_pool:info(),
	ok.

%% Setup.

setup_of_websockets(Config) ->
	doc("setup_fun upgrades each connection, and ws_send sends on one of the WebSockets."),
	Port = config(port, Config),
	Self = self(),
	Setup = fun
		(ConnPid, {gun_up, _, http}, none) ->
			{setup, gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => self()})};
		(ConnPid, {gun_upgrade, _, StreamRef, _, _}, StreamRef) ->
			Self ! {upgraded, ConnPid, StreamRef},
			{up, ws, #{ws => StreamRef, mine => 1}}
	end,
	Pool = do_pool(Port, #{size => 2, setup_fun => {Setup, none}}),
	Streams = [?EXPECT({upgraded, ConnPid, StreamRef}, {ConnPid, StreamRef}) || _ <- [1, 2]],
	{operational, #{conns := Conns}} = gun_rs_pool:info(Pool),
	Conns = maps:from_list([{C, {up, ws, #{ws => S, mine => 1}}} || {C, S} <- Streams]),
	{ConnPid, #{ws := StreamRef, mine := 1}} = gun_rs_pool:checkout(Pool, #{}),
	true = lists:member({ConnPid, StreamRef}, Streams),
	ok = gun_rs_pool:ws_send([{text, "a"}, {binary, "b"}], #{authority => do_authority(Port)}),
	{error, pool_not_found, _} = gun_rs_pool:ws_send(ping, #{authority => <<"example.org">>}),
	{error, pool_not_found, _} = gun_rs_pool:ws_send(ping, #{authority => do_authority(Port), scope => other}),
	%% What comes when it is over is set up again.
	exit(ConnPid, kill),
	{Again, _} = ?EXPECT({upgraded, C, S}, {C, S}),
	true = eventually(fun() -> {State, _} = gun_rs_pool:info(Pool), State =:= operational end),
	{_, #{conns := #{Again := {up, ws, _}}}} = gun_rs_pool:info(Pool),
	ok.

frames_need_a_websocket(Config) ->
	doc("ws_send on a pool without WebSockets finds no connection."),
	Port = config(port, Config),
	_ = do_pool(Port, #{size => 1}),
	{error, no_connection_available, _} = gun_rs_pool:ws_send(ping, #{authority => do_authority(Port)}),
	ok.

a_setup_that_fails(Config) ->
	doc("Whatever goes wrong in a setup, the pool lives, tries again after a pause, and is up when it goes well."),
	Port = config(port, Config),
	_ = [begin
		Well = counters:new(1, []),
		Setup = fun(ConnPid, Message, State) ->
			case counters:get(Well, 1) of
				0 -> Fails(ConnPid, Message, State);
				_ -> {up, http, #{}}
			end
		end,
		{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1, setup_fun => {Setup, none}, backoff => #{max => 200}}),
		{'EXIT', {timeout, _}} = ?CATCH(gun_rs_pool_server:await_up(Pool, 500)),
		{degraded, _} = gun_rs_pool:info(Pool),
		{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Port)),
		ok = counters:put(Well, 1, 1),
		ok = gun_rs_pool_server:await_up(Pool, ?WAIT),
		ok = gun_rs_pool:stop_pool("localhost", Port)
	end || Fails <- [
		fun(_, _, _) -> error(crash) end,
		fun(_, _, _) -> wrong end,
		fun(ConnPid, {gun_up, _, _}, _) -> {setup, gun_rs:ws_upgrade(ConnPid, "/request")} end,
		fun(ConnPid, _, State) -> _ = gun_rs:get(ConnPid, "/die"), {setup, State} end,
		fun(ConnPid, _, State) -> exit(ConnPid, kill), {setup, State} end
	]],
	ok.

connections_that_are_not_supervised(Config) ->
	doc("A setup that fails ends a connection that nobody supervises, too."),
	Before = gun_rs_test:resources(),
	Setup = {fun(_, _, _) -> error(crash) end, none},
	{ok, Pool} = gun_rs_pool:start_pool("localhost", config(port, Config),
		#{size => 2, setup_fun => Setup, conn_opts => #{supervise => false}, backoff => #{max => 50}}),
	{'EXIT', {timeout, _}} = ?CATCH(gun_rs_pool_server:await_up(Pool, 500)),
	{degraded, #{conns := Conns}} = gun_rs_pool:info(Pool),
	true = map_size(Conns) =< 2,
	ok = gun_rs_pool:stop_pool("localhost", config(port, Config)),
	gun_rs_test:nothing_left(Before).

%% Hosts that have no pool yet, and pools of other nodes.

start_pool_if_missing(Config) ->
	doc("With start_pool_if_missing the first request to a host starts its pool."),
	Port = config(port, Config),
	Headers = do_headers(Port),
	{error, pool_not_found, _} = gun_rs_pool:get("/request", Headers),
	{async, Ref1} = gun_rs_pool:get("/request", Headers, #{start_pool_if_missing => true, checkout_retry => [100, 1000]}),
	_ = do_seen(Ref1),
	{_, #{size := #{min := 8, max := 8}}} = gun_rs_pool:info(do_authority(Port)),
	Opts = #{start_pool_if_missing => #{size => 2, checkout_queue => #{}}, scope => mine},
	Self = self(),
	_ = [spawn_link(fun() ->
		{async, Ref} = gun_rs_pool:get("/request", Headers, Opts),
		_ = do_seen(Ref),
		Self ! done
	end) || _ <- lists:seq(1, 10)],
	_ = [?EXPECT(done) || _ <- lists:seq(1, 10)],
	{_, #{size := #{min := 2}}} = gun_rs_pool:info(do_authority(Port), mine),
	{error, pool_not_found, _} = gun_rs_pool:get("/", [{<<"host">>, <<"not a host">>}], #{start_pool_if_missing => true}),
	ok.

pools_of_other_nodes(Config) ->
	doc("A request finds the pool of another node, if there is none on its own."),
	Port = config(port, Config),
	Headers = do_headers(Port),
	Pool = do_pool(Port, #{size => 1, checkout_queue => #{}}),
	[ConnPid] = do_conns(Pool),
	{Peer, Node} = gun_rs_test:start_node(),
	{ok, _} = erpc:call(Node, application, ensure_all_started, [gun_rs]),
	true = eventually(fun() -> erpc:call(Node, pg, get_members, [gun_rs_pools_pg, {default, do_authority(Port)}]) =:= [Pool] end),
	_ = [<<_/binary>> = erpc:call(Node, fun() ->
		{async, Ref={ConnPid, _}} = gun_rs_pool:post("/echo", Headers, "there and back"),
		{response, nofin, 200, _} = gun_rs_pool:await(Ref),
		{ok, Body= <<"there and back">>} = gun_rs_pool:await_body(Ref),
		Body
	end) || _ <- lists:seq(1, 3)],
	{ConnPid, #{}} = erpc:call(Node, gun_rs_pool, checkout, [Pool, #{}]),
	{operational, _} = erpc:call(Node, gun_rs_pool, info, [Pool]),
	undefined = erpc:call(Node, gun_rs_pool, info, [do_authority(Port)]),
	ok = gun_rs_pool:stop_pool("localhost", Port),
	true = eventually(fun() -> erpc:call(Node, pg, get_members, [gun_rs_pools_pg, {default, do_authority(Port)}]) =:= [] end),
	{error, pool_not_found, _} = erpc:call(Node, gun_rs_pool, get, ["/request", Headers]),
	peer:stop(Peer).

%% Helpers.

do_authority(Port) ->
	iolist_to_binary(["localhost:", integer_to_list(Port)]).

do_headers(Port) ->
	[{<<"host">>, do_authority(Port)}].

%% Cowboy's handler tells this process, and answers when that says so.
do_held_headers(Port) ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}|do_headers(Port)].

do_pool(Port, Opts) ->
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, Opts),
	ok = gun_rs_pool_server:await_up(Pool, ?WAIT),
	Pool.

do_conns(Pool) ->
	{_, #{conns := Conns}} = gun_rs_pool:info(Pool),
	maps:keys(Conns).

do_seen(Ref) ->
	{response, nofin, 200, _} = gun_rs_pool:await(Ref, ?WAIT),
	{ok, Body} = gun_rs_pool:await_body(Ref, ?WAIT),
	binary_to_term(Body).

%% Whether no connection has a stream.
do_is_idle(Port) ->
	{_, #{streams := Streams}} = gun_rs_pool:info(do_authority(Port)),
	lists:sum(maps:values(Streams)) =:= 0.

do_eventually_async(Fun) ->
	true = eventually(fun() ->
		case Fun() of
			{async, Ref} -> self() ! {async, Ref}, true;
			Error -> Error
		end
	end),
	?EXPECT({async, Ref}, {async, Ref}).

do_until_error(Ref) ->
	case gun_rs_pool:await(Ref, ?WAIT) of
		{error, {stream_error, _}} -> ok;
		{response, nofin, 200, _} -> do_until_error(Ref);
		{data, nofin, _} -> do_until_error(Ref)
	end.

%% Releases what the server holds, since it may not have it yet, until there is the result.
do_release_until(Server, Fun, Result) ->
	true = eventually(fun() ->
		ok = pool_server:release(Server),
		case Fun() of
			Result -> true;
			Other -> Other
		end
	end).

%% Each comes behind the one before.
do_until_waiting(Pool, N) ->
	case gun_rs_pool:info(Pool) of
		{_, #{waiting := N}} ->
			ok;
		_ ->
			timer:sleep(1),
			do_until_waiting(Pool, N)
	end.

do_requested() ->
	receive
		{requested, Path} -> [Path|do_requested()]
	after 0 ->
		[]
	end.

do_dead() ->
	{Pid, MRef} = spawn_monitor(fun() -> ok end),
	?EXPECT({'DOWN', MRef, process, Pid, _}, Pid).

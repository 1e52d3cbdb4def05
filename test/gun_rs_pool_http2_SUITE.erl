%% Pools whose connections speak HTTP/2: many streams on each, as many as the server allows.
-module(gun_rs_pool_http2_SUITE).

-import(http2_servers, [lie/2, lie/3]).

-define(NEEDS, [cowboy, certs]).
-define(TIMETRAP, {minutes, 3}).
-include("gun_rs_suite.hrl").

groups() ->
	http2_servers:groups(gun_rs_suite:cases(?MODULE)).

init_per_group(Group, Config0) ->
	Config = [{transport, case Group of http2 -> tcp; https2 -> tls end}|Config0],
	Cowboy = {Port, _} = http2_servers:cowboy(Config, #{}),
	[{servers, [Cowboy]}, {cowboy, Port}|Config].

end_per_group(_, Config) ->
	http2_servers:stop(Config).

end_per_testcase(_, _) ->
	_ = [gun_rs_pools_sup:stop_pool(Pid) || Pid <- gun_rs_pools:all()],
	ok.

as_many_as_the_server_allows(Config) ->
	doc("A connection has as many streams as the server's SETTINGS say; then callers are refused, or wait."),
	http2_servers:with(http2_servers:cowboy(Config, #{max_concurrent_streams => 3}), fun(Port, none) ->
		Pool = do_pool(Config, Port, #{size => 2, scope => refused}),
		true = eventually(fun() -> do_limits(Pool, 3) end),
		{Refs, Handlers} = do_held(Config, Port, refused, 6),
		[3, 3] = [length([1 || {C, _} <- Refs, C =:= ConnPid]) || ConnPid <- lists:usort([C || {C, _} <- Refs])],
		{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Config, Port), #{scope => refused}),
		hd(Handlers) ! {answer, "done"},
		_ = ?EXPECT({gun_data, _, _, fin, <<"done">>}),
		{async, Ref} = gun_rs_pool:get("/request", do_headers(Config, Port), #{scope => refused}),
		{response, nofin, 200, _} = gun_rs_pool:await(Ref, ?WAIT),
		_ = [Handler ! {answer, "done"} || Handler <- tl(Handlers)],

		Waiting = do_pool(Config, Port, #{size => 1, scope => waiting, checkout_queue => #{timeout => ?WAIT}}),
		true = eventually(fun() -> do_limits(Waiting, 3) end),
		{_, [First|_]} = do_held(Config, Port, waiting, 3),
		Self = self(),
		_ = spawn_link(fun() -> Self ! {got, gun_rs_pool:get("/request", do_headers(Config, Port),
			#{scope => waiting, checkout_call_timeout => infinity})} end),
		true = eventually(fun() -> {_, #{waiting := N}} = gun_rs_pool:info(Waiting), N =:= 1 end),
		First ! {answer, "done"},
		?EXPECT({got, {async, _}})
	end, none).

max_streams_is_a_limit_below(Config) ->
	doc("max_streams allows fewer streams than the server does."),
	Port = config(cowboy, Config),
	_ = do_pool(Config, Port, #{size => 1, max_streams => 2}),
	{_, Handlers} = do_held(Config, Port, default, 2),
	{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Config, Port)),
	_ = [Handler ! {answer, "done"} || Handler <- Handlers],
	ok.

a_thousand_requests(Config) ->
	doc("A thousand callers share two connections, and each has its own answer."),
	Port = config(cowboy, Config),
	Pool = do_pool(Config, Port, #{size => 2, max_streams => 50, checkout_queue => #{timeout => ?WAIT}}),
	Callers = [spawn_monitor(fun() ->
		Body = integer_to_binary(N),
		{async, Ref} = gun_rs_pool:post("/echo", do_headers(Config, Port), Body, #{checkout_call_timeout => infinity}),
		{response, nofin, 200, _} = gun_rs_pool:await(Ref, ?WAIT),
		{ok, Body} = gun_rs_pool:await_body(Ref, ?WAIT)
	end) || N <- lists:seq(1, 1000)],
	_ = [?EXPECT({'DOWN', MRef, process, Caller, normal}) || {Caller, MRef} <- Callers],
	2 = length(do_conns(Pool)),
	true = eventually(fun() -> do_streams(Pool) =:= 0 end).

a_place_is_given_back(Config) ->
	doc("A stream that is cancelled, or reset by the server, counts no more."),
	Port = config(cowboy, Config),
	Pool = do_pool(Config, Port, #{size => 1, max_streams => 1, scope => cancelled}),
	_ = [begin
		{[Ref], _} = do_held(Config, Port, cancelled, 1),
		{error, no_connection_available, _} = gun_rs_pool:get("/request", do_headers(Config, Port), #{scope => cancelled}),
		ok = gun_rs_pool:cancel(Ref),
		true = eventually(fun() -> do_streams(Pool) =:= 0 end)
	end || _ <- [1, 2]],
	{Liar, LiarPort} = lie(Config, [open, {answer_all, fun(StreamId, _) -> http2_liar:rst_stream(StreamId, refused_stream) end}]),
	Resets = do_pool(Config, LiarPort, #{size => 1, max_streams => 1, scope => reset}),
	_ = [begin
		{async, Ref} = gun_rs_pool:get("/", do_headers(Config, LiarPort), #{scope => reset}),
		{error, {stream_error, _}} = gun_rs_pool:await(Ref, ?WAIT),
		true = eventually(fun() -> do_streams(Resets) =:= 0 end)
	end || _ <- [1, 2, 3]],
	1 = length(do_conns(Resets)),
	http2_liar:stop(Liar).

health(Config) ->
	doc("Where a server answers no pings, its connection is replaced; where it does, the connection stays."),
	Health = #{interval => 50, timeout => 200},
	{Liar, LiarPort} = lie(Config, [open], [{acks, [settings]}]),
	Sick = do_pool(Config, LiarPort, #{size => 1, health => Health, scope => sick}),
	[ConnPid] = do_conns(Sick),
	MRef = monitor(process, ConnPid),
	?EXPECT({http2_liar, Liar, {ping, _}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	true = eventually(fun() -> {State, _} = gun_rs_pool:info(Sick), State =:= operational orelse do_conns(Sick) =/= [ConnPid] end),
	http2_liar:stop(Liar),
	Well = do_pool(Config, config(cowboy, Config), #{size => 1, health => #{interval => 20, timeout => ?WAIT}, scope => well}),
	[Stays] = do_conns(Well),
	timer:sleep(500),
	[Stays] = do_conns(Well),
	{operational, _} = gun_rs_pool:info(Well),
	ok.

websockets(Config) ->
	doc("A connection may have WebSockets beside its other streams, which setup_fun opens."),
	Port = config(cowboy, Config),
	Self = self(),
	Setup = fun
		(ConnPid, {gun_up, _, http2}, none) ->
			Pool = self(),
			{setup, gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => fun
				(Frame) when element(1, Frame) =:= gun_ws -> Self ! Frame;
				(Answer) -> Pool ! Answer
			end})};
		(ConnPid, {gun_upgrade, _, StreamRef, _, _}, StreamRef) ->
			Self ! {upgraded, ConnPid},
			{up, http2, #{ws => StreamRef}}
	end,
	Pool = do_pool(Config, Port, #{size => 1, setup_fun => {Setup, none}}),
	ConnPid = ?EXPECT({upgraded, C}, C),
	ok = gun_rs_pool:ws_send({text, "Hello!"}, #{authority => do_authority(Config, Port)}),
	?EXPECT({gun_ws, ConnPid, _, {text, <<"Hello!">>}}),
	{async, Ref} = gun_rs_pool:get("/request", do_headers(Config, Port)),
	{response, nofin, 200, _} = gun_rs_pool:await(Ref, ?WAIT),
	true = eventually(fun() -> do_streams(Pool) =:= 1 end).

%% Helpers.

do_authority(_, Port) ->
	iolist_to_binary(["localhost:", integer_to_list(Port)]).

do_headers(Config, Port) ->
	[{<<"host">>, do_authority(Config, Port)}].

do_pool(Config, Port, Opts) ->
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, Opts#{conn_opts => http2_servers:opts(Config, #{})}),
	ok = gun_rs_pool_server:await_up(Pool, ?WAIT),
	Pool.

%% Requests that the handlers hold.
do_held(Config, Port, Scope, Count) ->
	Headers = [{<<"x-tell">>, base64:encode(term_to_binary(self()))}|do_headers(Config, Port)],
	Refs = [begin
		{async, Ref} = gun_rs_pool:get("/held", Headers, #{scope => Scope}),
		Ref
	end || _ <- lists:seq(1, Count)],
	{Refs, [?EXPECT({held, Pid, _}, Pid) || _ <- Refs]}.

do_conns(Pool) ->
	{_, #{conns := Conns}} = gun_rs_pool:info(Pool),
	maps:keys(Conns).

do_streams(Pool) ->
	{_, #{streams := Streams}} = gun_rs_pool:info(Pool),
	lists:sum(maps:values(Streams)).

%% Whether the SETTINGS that say so have come on each connection.
do_limits(Pool, Limit) ->
	{_, #{limits := Limits}} = gun_rs_pool:info(Pool),
	lists:all(fun(L) -> L =:= Limit end, maps:values(Limits)).

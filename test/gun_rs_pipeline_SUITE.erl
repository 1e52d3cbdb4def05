%% Several requests under way on one connection of HTTP/1.1: what is sent, and what is told, as gun does it.
%%
%% Where gun and gun_rs are to tell the same, both talk to the same server: do_talk/3 gives what each was told, in order.
-module(gun_rs_pipeline_SUITE).

-import(lying_server, [ok/1]).
-import(lying_server, [ok/2]).

-define(NEEDS, [{listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

-define(CLOSE, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlast").

%% Beside gun.

many_in_order(Config) ->
	doc("A hundred requests are under way together, and are told of in their order, as by gun."),
	Bodies = [integer_to_binary(N) || N <- lists:seq(1, 100)],
	Ask = fun(Mod, ConnPid) -> [Mod:post(ConnPid, "/echo", [], Body) || Body <- Bodies] end,
	Told = do_talk(gun_rs, config(port, Config), Ask, 100),
	Told = do_talk(gun, config(port, Config), Ask, 100),
	Told = lists:append([[{response, N, nofin, 200}, {data, N, fin, Body}]
		|| {N, Body} <- lists:zip(lists:seq(1, 100), Bodies)]).

all_kinds_in_order(Config) ->
	doc("Responses without a body, in chunks, with informational ones before them and with trailers keep their order, as in gun."),
	Te = [{<<"te">>, <<"trailers">>}],
	Ask = fun(Mod, ConnPid) -> [
		Mod:head(ConnPid, "/request"),
		Mod:get(ConnPid, "/pieces?count=3&size=1000"),
		Mod:get(ConnPid, "/inform?count=2"),
		Mod:get(ConnPid, "/status?code=204"),
		Mod:get(ConnPid, "/trailers", Te),
		Mod:get(ConnPid, "/status?code=304"),
		Mod:delete(ConnPid, "/status?code=404"),
		Mod:post(ConnPid, "/echo", [], "end")
	] end,
	Told = do_talk(gun_rs, config(port, Config), Ask, 8),
	ct:log("~p", [Told]),
	Told = do_talk(gun, config(port, Config), Ask, 8),
	[{response, 1, fin, 200}, {response, 2, nofin, 200}, {data, 2, fin, <<_:3000/binary>>}|_] = Told.

each_response_in_pieces(_) ->
	doc("However the bytes of the responses are cut, each is told of as the answer to its own request, as in gun."),
	Responses = [
		ok("one"),
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", ok("three"),
		"HTTP/1.1 204 No Content\r\n\r\n",
		ok("")
	],
	Requests = lists:duplicate(5, request),
	Ask = fun(Mod, ConnPid) -> [Mod:get(ConnPid, "/") || _ <- Requests] end,
	Told = [{response, 1, nofin, 200}, {data, 1, fin, <<"one">>}, {response, 2, nofin, 200}, {data, 2, fin, <<"two">>},
		{inform, 3, 103}, {response, 3, nofin, 200}, {data, 3, fin, <<"three">>}, {response, 4, fin, 204}],
	_ = [begin
		{Server, Port} = lying_server:start(Requests ++ [{Send, Responses}]),
		Found = do_talk(Mod, Port, Ask, 5),
		%% gun has a message for the end of a body without a byte.
		true = lists:prefix(Told, Found),
		[{response, 5, _, 200}|_] = lists:nthtail(length(Told), Found),
		lying_server:stop(Server)
	end || Mod <- [gun_rs, gun], Send <- [send, send_bytewise]],
	ok.

%% What is sent.

bound(_) ->
	doc("No more requests are under way than `pipeline' says; with 1 each is sent when the one before it is answered."),
	_ = [begin
		{Server, Port} = lying_server:start([request || _ <- lists:seq(1, Bound)] ++ [{send, ok("a")}, request, {send, ok("b")}]),
		ConnPid = open(Port, #{retry => 0, http_opts => #{pipeline => Bound}}),
		[First, Second|_] = [gun_rs:get(ConnPid, ["/", integer_to_list(N)]) || N <- lists:seq(1, Bound + 3)],
		{200, _, <<"a">>} = answer(ConnPid, First),
		{200, _, <<"b">>} = answer(ConnPid, Second),
		%% In the order of their making, and the one after the bound behind the first answer.
		_ = [begin
			Path = iolist_to_binary(["GET /", integer_to_list(N), " "]),
			?EXPECT({lying_server, Server, {request, <<Path:(byte_size(Path))/binary, _/binary>>}})
		end || N <- lists:seq(1, Bound + 1)],
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Bound <- [1, 2, 10]],
	ok.

bodies_do_not_mix(Config) ->
	doc("Requests behind one whose body still comes are sent when it is complete; those behind them may have bodies, too."),
	ConnPid = open(config(port, Config)),
	First = gun_rs:post(ConnPid, "/echo", []),
	Second = gun_rs:post(ConnPid, "/echo", [{<<"content-length">>, <<"6">>}]),
	Third = gun_rs:post(ConnPid, "/echo", [], "third"),
	ok = gun_rs:data(ConnPid, Second, nofin, "sec"),
	ok = gun_rs:data(ConnPid, First, nofin, "fi"),
	ok = gun_rs:data(ConnPid, Second, fin, "ond"),
	ok = gun_rs:data(ConnPid, First, fin, "rst"),
	[{200, _, <<"first">>}, {200, _, <<"second">>}, {200, _, <<"third">>}] =
		[answer(ConnPid, StreamRef) || StreamRef <- [First, Second, Third]],
	ok = gun_rs:close(ConnPid).

large_bodies(Config) ->
	doc("Large bodies of several requests, and of their responses, pass each other whole."),
	ConnPid = open(config(port, Config)),
	Bodies = [crypto:strong_rand_bytes(N * 100000) || N <- lists:seq(1, 10)],
	StreamRefs = [gun_rs:post(ConnPid, "/echo", [], Body) || Body <- Bodies],
	Bodies = [element(3, answer(ConnPid, StreamRef)) || StreamRef <- StreamRefs],
	#{stats := #{send_queue := 0}} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

queue_limit(_) ->
	doc("All but the oldest request under way count for max_send_queue."),
	{Server, Port} = lying_server:start([request, request, request, wait, {send, [ok("a"), ok("b"), ok("c")]}]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{max_send_queue => 1100}}),
	StreamRefs = [gun_rs:get(ConnPid, "/") || _ <- lists:seq(1, 3)],
	_ = [?EXPECT({lying_server, Server, {request, _}}) || _ <- StreamRefs],
	{'EXIT', {Reason, _}} = ?CATCH(do_refused(ConnPid)),
	send_queue_full = Reason,
	lying_server:go(Server),
	[{200, _, <<"a">>}, {200, _, <<"b">>}, {200, _, <<"c">>}] = [answer(ConnPid, StreamRef) || StreamRef <- StreamRefs],
	#{stats := #{send_queue := 0}} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_refused(ConnPid) ->
	StreamRef = gun_rs:get(ConnPid, "/" ++ lists:duplicate(100, $a)),
	{error, Reason} = answer(ConnPid, StreamRef),
	error(Reason).

%% The ends.

closed_under_many(_) ->
	doc("When the server goes away, those that are answered are told of, and gun_down names the others, as in gun."),
	Script = [request, request, request, request, {send, [ok("one"), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ntwo"]}, close],
	_ = [begin
		{Server, Port} = lying_server:start(Script),
		{ok, ConnPid} = Mod:open("127.0.0.1", Port, #{retry => 0}),
		{ok, _} = Mod:await_up(ConnPid),
		[First, Second, Third, Fourth] = [Mod:get(ConnPid, "/") || _ <- lists:seq(1, 4)],
		{200, _, <<"one">>} = answer(ConnPid, First),
		{200, _, <<"two">>, {error, _}} = answer(ConnPid, Second),
		{error, _} = answer(ConnPid, Third),
		{error, _} = answer(ConnPid, Fourth),
		Killed = ?EXPECT(Down when element(1, Down) =:= gun_down, element(5, Down)),
		[Second, Third, Fourth] = [StreamRef || StreamRef <- [Second, Third, Fourth], lists:member(StreamRef, Killed)],
		false = lists:member(First, Killed),
		lying_server:stop(Server)
	end || Mod <- [gun_rs, gun]],
	ok.

last_response_in_the_middle(_) ->
	doc("Behind a response with `connection: close' nothing is answered: the others are refused when its head comes."),
	{Server, Port} = lying_server:start([request, request, request, request, {send, [ok("one"), ?CLOSE, ok("never")]}]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	[First, Second, Third, Fourth] = [gun_rs:get(ConnPid, "/") || _ <- lists:seq(1, 4)],
	{200, _, <<"one">>} = answer(ConnPid, First),
	{200, _, <<"last">>} = answer(ConnPid, Second),
	{error, Why} = answer(ConnPid, Third),
	{error, Why} = answer(ConnPid, Fourth),
	ct:log("~p", [Why]),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	lying_server:stop(Server).

cancelled_in_the_middle(_) ->
	doc("A request that was sent can be cancelled: its response is read, and nothing is told of it."),
	{Server, Port} = lying_server:start([request, request, request, wait, {send, [ok("one"), ok("two"), ok("three")]}]),
	ConnPid = open(Port),
	[First, Second, Third] = StreamRefs = [gun_rs:get(ConnPid, "/") || _ <- "123"],
	_ = [?EXPECT({lying_server, Server, {request, _}}) || _ <- StreamRefs],
	ok = gun_rs:cancel(ConnPid, Second),
	lying_server:go(Server),
	{200, _, <<"one">>} = answer(ConnPid, First),
	{200, _, <<"three">>} = answer(ConnPid, Third),
	?REFUTE(Message when element(3, Message) =:= Second),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

upgrade_in_the_middle(Config) ->
	doc("An upgrade waits for the answers before it; requests behind one that is refused go on, behind a WebSocket they are none."),
	ConnPid = open(config(port, Config)),
	First = gun_rs:get(ConnPid, "/status?code=404"),
	Refused = gun_rs:ws_upgrade(ConnPid, "/status?code=403"),
	Second = gun_rs:post(ConnPid, "/echo", [], "second"),
	Upgraded = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	_ = gun_rs:get(ConnPid, "/request"),
	{404, _, _} = answer(ConnPid, First),
	{403, _, _} = answer(ConnPid, Refused),
	{200, _, <<"second">>} = answer(ConnPid, Second),
	?EXPECT({gun_upgrade, ConnPid, Upgraded, [<<"websocket">>], _}),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	ok = gun_rs:ws_send(ConnPid, Upgraded, {text, "hello"}),
	?EXPECT({gun_ws, ConnPid, Upgraded, {text, <<"hello">>}}),
	ok = gun_rs:close(ConnPid).

shutdown_with_many(Config) ->
	doc("A shutdown awaits the oldest response; those behind it get {closing, shutdown}."),
	ConnPid = open(config(port, Config)),
	MRef = watch(ConnPid),
	[First, Second, Third] = [gun_rs:get(ConnPid, "/held", do_tell()) || _ <- "123"],
	Handler = ?EXPECT({held, Pid, _}, Pid),
	ok = gun_rs:shutdown(ConnPid),
	{error, {closing, shutdown}} = answer(ConnPid, Second),
	{error, {closing, shutdown}} = answer(ConnPid, Third),
	Handler ! {answer, "first"},
	{200, _, <<"first">>} = answer(ConnPid, First),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}).

reconnects(_) ->
	doc("After the end of a connection with many under way the next one begins afresh, and answers what is asked of it."),
	{Server, Port} = lying_server:start([request, request, request, {send, [ok("one"), ?CLOSE]}, close]),
	ConnPid = open(Port, #{}),
	_ = [begin
		[First, Second, Third] = [gun_rs:get(ConnPid, "/") || _ <- "123"],
		{200, _, <<"one">>} = answer(ConnPid, First),
		{200, _, <<"last">>} = answer(ConnPid, Second),
		{error, _} = answer(ConnPid, Third),
		?EXPECT({gun_down, ConnPid, http, normal, []}),
		?EXPECT({gun_up, ConnPid, http})
	end || _ <- lists:seq(1, 5)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% No response is taken for another request's.

more_responses_than_requests(_) ->
	doc("What follows the last response that is awaited ends the connection, and answers nothing."),
	{Server, Port} = lying_server:start([request, request, {send, [ok("one"), ok("two"), ok("three")]}, request, {send, ok("four")}]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	[First, Second] = [gun_rs:get(ConnPid, "/") || _ <- "12"],
	{200, _, <<"one">>} = answer(ConnPid, First),
	{200, _, <<"two">>} = answer(ConnPid, Second),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	lying_server:stop(Server).

a_fault_in_the_middle(_) ->
	doc("Behind a response that can be read in two ways nothing is read: all behind it get the fault."),
	_ = [begin
		{Server, Port} = lying_server:start([request, request, request, {send, [ok("one"), Faulty, ok("three")]}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		[First, Second, Third] = [gun_rs:get(ConnPid, "/") || _ <- "123"],
		{200, _, <<"one">>} = answer(ConnPid, First),
		Killed = case answer(ConnPid, Second) of
			{204, _, <<>>} -> [Third];
			_ -> [Second, Third]
		end,
		{error, {closed, {error, {http_protocol, [_|_]}}}} = answer(ConnPid, Third),
		?EXPECT({gun_down, ConnPid, http, {error, {http_protocol, _}}, Killed}),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		lying_server:stop(Server)
	end || Faulty <- [
		"HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\nabc"
	]],
	%% Two lengths of two kinds: the response is the last one.
	{Server, Port} = lying_server:start([request, request, {send, [
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ok("two")]}]),
	ConnPid = open(Port),
	[First, Second] = [gun_rs:get(ConnPid, "/") || _ <- "12"],
	{200, _, <<"abc">>} = answer(ConnPid, First),
	{error, _} = answer(ConnPid, Second),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	lying_server:stop(Server).

%% Helpers.

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

%% What Mod, which is gun or gun_rs, tells of Count requests: the parts of a body as one.
do_talk(Mod, Port, Ask, Count) ->
	{ok, _} = application:ensure_all_started(Mod),
	{ok, ConnPid} = Mod:open("127.0.0.1", Port, #{retry => 0}),
	{ok, http} = Mod:await_up(ConnPid),
	StreamRefs = Ask(Mod, ConnPid),
	Count = length(StreamRefs),
	Numbers = maps:from_list(lists:zip(StreamRefs, lists:seq(1, Count))),
	Told = do_told(ConnPid, Numbers, Count, []),
	ok = Mod:close(ConnPid),
	Mod:flush(ConnPid),
	Told.

do_told(_, _, 0, Told) ->
	lists:reverse(Told);
do_told(ConnPid, Numbers, Left, Told) ->
	receive
		{gun_inform, ConnPid, Ref, Status, _} ->
			do_told(ConnPid, Numbers, Left, [{inform, maps:get(Ref, Numbers), Status}|Told]);
		{gun_response, ConnPid, Ref, IsFin, Status, _} ->
			do_told(ConnPid, Numbers, do_left(IsFin, Left), [{response, maps:get(Ref, Numbers), IsFin, Status}|Told]);
		{gun_data, ConnPid, Ref, IsFin, Data} ->
			do_told(ConnPid, Numbers, do_left(IsFin, Left), do_join(maps:get(Ref, Numbers), IsFin, Data, Told));
		{gun_trailers, ConnPid, Ref, Trailers} ->
			do_told(ConnPid, Numbers, Left - 1, [{trailers, maps:get(Ref, Numbers), Trailers}|Told])
	after ?WAIT ->
		error({told, lists:reverse(Told), erlang:process_info(self(), messages)})
	end.

do_left(fin, Left) -> Left - 1;
do_left(nofin, Left) -> Left.

do_join(Number, IsFin, Data, [{data, Number, nofin, Before}|Told]) ->
	[{data, Number, IsFin, <<Before/binary, Data/binary>>}|Told];
do_join(Number, IsFin, Data, Told) ->
	[{data, Number, IsFin, Data}|Told].

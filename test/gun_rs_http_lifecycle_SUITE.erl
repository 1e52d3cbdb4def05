%% Whatever ends a connection, each of its requests comes to an end that is told, and the next connection goes on.
-module(gun_rs_http_lifecycle_SUITE).

-import(lying_server, [ok/1]).
-import(lying_server, [ok/2]).

-define(NEEDS, [{listener, [http_echo_h]}]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

%% What may be left of many requests or connections, in bytes: what is kept for the next ones. 400 bytes each, lost
%% for good, would be more.
-define(LEFT, 4 * 16#100000).

-define(HALF, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nHello").

%% The server goes away.

closed_in_a_response(_) ->
	doc("A server that goes away leaves each request with an error, the unsent ones too, and gun_down names them all."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, Part}, wait, End]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef1 = gun_rs:get(ConnPid, "/"),
		StreamRef2 = gun_rs:post(ConnPid, "/", []),
		StreamRef3 = do_settled(ConnPid, gun_rs:ws_upgrade(ConnPid, "/")),
		?EXPECT({lying_server, Server, {request, _}}),
		lying_server:go(Server),
		Reasons = [case answer(ConnPid, StreamRef) of
			{error, Reason} -> Reason;
			{200, _, <<"Hello">>, {error, Reason}} when StreamRef =:= StreamRef1 -> Reason
		end || StreamRef <- [StreamRef1, StreamRef2, StreamRef3]],
		DownReason = ?EXPECT({gun_down, ConnPid, http, R, [StreamRef1, StreamRef2, StreamRef3]}, R),
		true = case {lists:usort(Reasons), DownReason} of
			{[closed], closed} -> true;
			{[{closed, {error, econnreset}}], {error, econnreset}} -> End =:= reset
		end,
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, DownReason}}),
		?REFUTE(Msg when element(1, Msg) =/= lying_server),
		lying_server:stop(Server)
	end || Part <- ["", "HTTP/1.1 200", ?HALF], End <- [close, reset]],
	ok.

closed_between_requests(Config) ->
	doc("A connection that the server ends between requests, or in one, is replaced, and requests go on on the next."),
	ConnPid = open(config(port, Config), #{}),
	_ = [begin
		{200, _, <<"before">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "before")),
		Killed = case How of
			idle ->
				StreamRef = gun_rs:get(ConnPid, "/held", do_tell()),
				{Handler, ServerPid} = ?EXPECT({held, Pid, _}, {Pid, do_connection(Pid)}),
				Handler ! {answer, "held"},
				{200, _, _} = answer(ConnPid, StreamRef),
				exit(ServerPid, kill),
				[];
			busy ->
				StreamRef = gun_rs:get(ConnPid, "/die"),
				{error, closed} = answer(ConnPid, StreamRef),
				[StreamRef]
		end,
		?EXPECT({gun_down, ConnPid, http, closed, Killed}),
		%% As fast as that, it may be kept for the next connection or be sent on it.
		StreamRef2 = gun_rs:post(ConnPid, "/echo", [], "after"),
		?EXPECT({gun_up, ConnPid, http}),
		{200, _, <<"after">>} = answer(ConnPid, StreamRef2)
	end || How <- [idle, busy, busy, idle]],
	ok = gun_rs:close(ConnPid).

%% Cowboy's process of a connection is the parent of its handlers'.
do_connection(Handler) ->
	{dictionary, Dictionary} = process_info(Handler, dictionary),
	hd(proplists:get_value('$ancestors', Dictionary)).

server_gone(_) ->
	doc("When the server is gone for good, the retries end in an exit that says so, and so do requests made meanwhile."),
	{Server, Port} = lying_server:start([request, {send, ?HALF}]),
	ConnPid = open(Port, #{retry => 1, retry_timeout => 10}),
	MRef = watch(ConnPid),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_data, ConnPid, StreamRef1, nofin, <<"Hello">>}),
	lying_server:stop(Server),
	?EXPECT({gun_error, ConnPid, StreamRef1, _}),
	?EXPECT({gun_down, ConnPid, http, _, [StreamRef1]}),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	{error, {down, {shutdown, econnrefused}}} = gun_rs:await(ConnPid, StreamRef2, ?WAIT, MRef).

%% The last response of a connection.

connection_close(_) ->
	doc("A response that says close is the last: requests behind it get an error at once, new ones go on."),
	_ = [begin
		{Server, Port} = lying_server:start([request, wait, {send, Response}]),
		ConnPid = open(Port, #{}),
		StreamRef1 = gun_rs:get(ConnPid, "/"),
		StreamRef2 = gun_rs:get(ConnPid, "/"),
		StreamRef3 = do_settled(ConnPid, gun_rs:post(ConnPid, "/", [])),
		?EXPECT({lying_server, Server, {request, _}}),
		lying_server:go(Server),
		{200, _, Body} = answer(ConnPid, StreamRef1),
		{error, closing} = answer(ConnPid, StreamRef2),
		{error, closing} = answer(ConnPid, StreamRef3),
		?EXPECT({gun_down, ConnPid, http, normal, []}),
		%% Though the server doesn't close.
		?EXPECT({lying_server, Server, closed}),
		?EXPECT({gun_up, ConnPid, http}),
		StreamRef4 = gun_rs:get(ConnPid, "/"),
		?EXPECT({lying_server, Server, {request, _}}),
		lying_server:go(Server),
		{200, _, Body} = answer(ConnPid, StreamRef4),
		?EXPECT({gun_down, ConnPid, http, normal, []}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Response, Body} <- [
		{ok([{"connection", "close"}], "last"), <<"last">>},
		{ok([{"connection", "close"}], ""), <<>>},
		{ok([{"Connection", "x, Close"}], "last"), <<"last">>},
		{"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n4\r\nlast\r\n0\r\n\r\n", <<"last">>},
		{"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nlast", <<"last">>}
	]],
	ok.

request_that_says_close(_) ->
	doc("A request that says close is the last of its connection too."),
	{Server, Port} = lying_server:start([{http, fun(_, _) -> ok("last") end}]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/", [{<<"connection">>, <<"close">>}]),
	{200, _, <<"last">>} = answer(ConnPid, StreamRef),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

close_delimited(_) ->
	doc("A body that ends with the connection is complete by that; requests behind it get an error."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 200 OK\r\n\r\nuntil "}, wait, {send, "then"}, close]),
	ConnPid = open(Port, #{}),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	?EXPECT(Msg = {gun_response, ConnPid, StreamRef1, nofin, 200, _}, self() ! Msg),
	StreamRef2 = do_settled(ConnPid, gun_rs:get(ConnPid, "/")),
	lying_server:go(Server),
	{200, _, <<"until then">>} = answer(ConnPid, StreamRef1),
	{error, closed} = answer(ConnPid, StreamRef2),
	?EXPECT({gun_down, ConnPid, http, closed, [StreamRef2]}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

http_1_0_server(_) ->
	doc("A connection to a server of HTTP/1.0 goes on where the server says keep-alive, and nowhere else."),
	{Server, Port} = lying_server:start([
		{http, fun(_, _) -> "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\none" end},
		{http, fun(_, _) -> "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\ntwo" end}
	]),
	ConnPid = open(Port),
	{200, _, <<"one">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	{200, _, <<"two">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	lying_server:stop(Server).

http_1_0_client(Config) ->
	doc("With version 'HTTP/1.0' each request has a connection of its own, and a streamed body must say its length."),
	ConnPid = open(config(port, Config), #{http_opts => #{version => 'HTTP/1.0'}}),
	_ = [begin
		{200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body")),
		?EXPECT({gun_down, ConnPid, http, normal, []}),
		?EXPECT({gun_up, ConnPid, http})
	end || _ <- [1, 2, 3]],
	StreamRef1 = gun_rs:post(ConnPid, "/echo", []),
	?EXPECT({gun_error, ConnPid, StreamRef1, {badstate, [_|_]}}),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", [{"content-length", "8"}]),
	ok = gun_rs:data(ConnPid, StreamRef2, nofin, "stre"),
	ok = gun_rs:data(ConnPid, StreamRef2, fin, "amed"),
	{200, _, <<"streamed">>} = answer(ConnPid, StreamRef2),
	ok = gun_rs:close(ConnPid).

%% shutdown.

shutdown_in_a_response(_) ->
	doc("shutdown/1 lets the response under way come to its end; unsent requests, and later ones, are told at once."),
	{Server, Port} = lying_server:start([request, {send, ?HALF}, wait, {send, "world"}]),
	ConnPid = open(Port, #{}),
	MRef = watch(ConnPid),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef1, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef1, nofin, <<"Hello">>}),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	StreamRef3 = gun_rs:ws_upgrade(ConnPid, "/"),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({gun_error, ConnPid, StreamRef2, {closing, shutdown}}),
	?EXPECT({gun_error, ConnPid, StreamRef3, {closing, shutdown}}),
	#{state_name := closing, protocol := http} = gun_rs:info(ConnPid),
	StreamRef4 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, StreamRef4, closing}),
	lying_server:go(Server),
	?EXPECT({gun_data, ConnPid, StreamRef1, fin, <<"world">>}),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?EXPECT({lying_server, Server, closed}),
	?REFUTE({gun_down, _, _, _, _}),
	lying_server:stop(Server).

shutdown_in_a_request(_) ->
	doc("So it does with a request whose body is still being sent."),
	{Server, Port} = lying_server:start([{http, fun(_, Body) -> ok(Body) end}]),
	ConnPid = open(Port, #{}),
	MRef = watch(ConnPid),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "first "),
	?EXPECT({lying_server, Server, {request, _}}),
	ok = gun_rs:shutdown(ConnPid),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "and last"),
	{200, _, <<"first and last">>} = answer(ConnPid, StreamRef),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	lying_server:stop(Server).

shutdown_without_an_end(_) ->
	doc("shutdown/1 waits for the response no longer than closing_timeout."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, Part}]),
		ConnPid = open(Port, #{http_opts => #{closing_timeout => 100}}),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({lying_server, Server, {request, _}}),
		ok = gun_rs:shutdown(ConnPid),
		?EXPECT({gun_error, ConnPid, StreamRef, {closed, shutdown}}),
		?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_down, _, _, _, _}),
		lying_server:stop(Server)
	end || Part <- ["", ?HALF]],
	ok.

%% The owner, and those who end ConnPid.

owner_exits(_) ->
	doc("When the owner exits, the response under way still comes to its end, and ConnPid exits with a reason of that."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, ?HALF}, wait, {send, "world"}]),
		Self = self(),
		{Owner, OwnerRef} = spawn_monitor(fun() ->
			ConnPid = open(Port),
			Self ! {self(), ConnPid, gun_rs:get(ConnPid, "/", [], #{reply_to => Self})},
			receive {exit, Why} -> exit(Why) end
		end),
		{ConnPid, StreamRef} = ?EXPECT({Owner, C, S}, {C, S}),
		MRef = watch(ConnPid),
		?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"Hello">>}),
		Owner ! {exit, Exit},
		?EXPECT({'DOWN', OwnerRef, process, Owner, Exit}),
		?REFUTE({'DOWN', MRef, process, ConnPid, _}),
		lying_server:go(Server),
		?EXPECT({gun_data, ConnPid, StreamRef, fin, <<"world">>}),
		?EXPECT({'DOWN', MRef, process, ConnPid, Reason}),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || {Exit, Reason} <- [{normal, normal}, {{shutdown, because}, {shutdown, because}},
		{oops, {shutdown, {owner_down, oops}}}]],
	ok.

owner_exits_without_an_end(_) ->
	doc("When the response does not end after the owner's exit, its stream is told that the owner has gone, as those behind it."),
	{Server, Port} = lying_server:start([request, {send, ?HALF}]),
	Self = self(),
	Owner = spawn(fun() ->
		ConnPid = open(Port, #{http_opts => #{closing_timeout => 100}}),
		Streams = [gun_rs:get(ConnPid, "/", [], #{reply_to => Self}) || _ <- [1, 2]],
		Self ! {self(), ConnPid, Streams},
		receive exit -> ok end
	end),
	{ConnPid, [StreamRef1, StreamRef2]} = ?EXPECT({Owner, C, S}, {C, S}),
	?EXPECT({gun_data, ConnPid, StreamRef1, nofin, <<"Hello">>}),
	Owner ! exit,
	?EXPECT({gun_error, ConnPid, StreamRef2, {closing, owner_down}}),
	?EXPECT({gun_error, ConnPid, StreamRef1, {closed, owner_down}}),
	lying_server:stop(Server).

closed_and_killed(_) ->
	doc("close/1 and a kill end the socket at once, in the middle of a response, and the streams are told nothing."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, ?HALF}]),
		ConnPid = open(Port, #{}),
		MRef = watch(ConnPid),
		_ = gun_rs:post(ConnPid, "/", []),
		_ = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_data, ConnPid, _, nofin, <<"Hello">>}),
		End(ConnPid),
		?EXPECT({'DOWN', MRef, process, ConnPid, Reason}),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_error, _, _, _}),
		?REFUTE({gun_down, _, _, _, _}),
		lying_server:stop(Server)
	end || {End, Reason} <- [{fun gun_rs:close/1, shutdown}, {fun(Pid) -> exit(Pid, kill) end, killed}]],
	ok.

new_owner(_) ->
	doc("After set_owner gun_down goes to the new owner, and the requests under way stay with who made them."),
	{Server, Port} = lying_server:start([request, {send, ?HALF}, wait, close]),
	Self = self(),
	NewOwner = spawn_link(fun() -> receive Msg -> Self ! {self(), Msg} end end),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	ok = gun_rs:set_owner(ConnPid, NewOwner),
	#{owner := NewOwner} = gun_rs:info(ConnPid),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"Hello">>}),
	lying_server:go(Server),
	?EXPECT({gun_error, ConnPid, StreamRef, closed}),
	?EXPECT({NewOwner, {gun_down, ConnPid, http, closed, [StreamRef]}}),
	lying_server:stop(Server).

no_connection(_) ->
	doc("A dead pid is no connection: no function harms the caller, nor leaves it a message."),
	{Dead, MRef} = spawn_monitor(fun() -> ok end),
	?EXPECT({'DOWN', MRef, process, Dead, normal}),
	true = is_reference(gun_rs:get(Dead, "/")),
	true = is_reference(gun_rs:head(Dead, "/", [], #{reply_to => self()})),
	true = is_reference(gun_rs:post(Dead, "/", [], binary:copy(<<0>>, 100000))),
	StreamRef = gun_rs:put(Dead, "/", []),
	ok = gun_rs:data(Dead, StreamRef, nofin, "data"),
	ok = gun_rs:data(Dead, StreamRef, fin, ""),
	ok = gun_rs:cancel(Dead, StreamRef),
	ok = gun_rs:update_flow(Dead, StreamRef, 1),
	{'EXIT', {noproc, _}} = ?CATCH(gun_rs:stream_info(Dead, StreamRef)),
	{error, timeout} = gun_rs:await_body(Dead, StreamRef, 0, make_ref()),
	?REFUTE(_),
	{error, {down, noproc}} = gun_rs:await_body(Dead, make_ref()),
	ok.

%% Nothing is left.

ping(Config) ->
	doc("HTTP/1.1 has no ping: the connection goes down by one, which is named, as in gun; one that is asked for before "
		"the connection is up waits for it."),
	{Server, Port} = lying_server:start([request, wait]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	MRef = monitor(process, ConnPid),
	?EXPECT({gun_up, ConnPid, http}),
	StreamRef = gun_rs:get(ConnPid, "/"),
	PingRef = gun_rs:ping(ConnPid),
	true = is_reference(PingRef),
	Reason = {ping_unsupported_by_protocol, PingRef},
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, Reason}}}),
	?EXPECT({gun_down, ConnPid, http, {error, Reason}, [StreamRef]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, Reason}}}),
	lying_server:stop(Server),
	{ok, Waiting} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 1}),
	WaitingRef = gun_rs:ping(Waiting, #{}),
	?EXPECT({gun_up, Waiting, http}),
	?EXPECT({gun_down, Waiting, http, {error, {ping_unsupported_by_protocol, WaitingRef}}, []}),
	?EXPECT({gun_up, Waiting, http}),
	ok = gun_rs:close(Waiting).

ping_in_another_state(_) ->
	doc("On a WebSocket and in a shutdown, reply_to is told that a ping cannot be sent; gun never answers."),
	Self = self(),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	?EXPECT({gun_up, ConnPid, http}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	_ = gun_rs:ping(ConnPid),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	_ = gun_rs:ping(ConnPid, #{reply_to => fun(Msg) -> Self ! {told, Msg} end}),
	?EXPECT({told, {gun_error, ConnPid, {badstate, _}}}),
	_ = gun_rs:ping(ConnPid, #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, {badstate, "The stream is not a tunnel."}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	{Server2, Port2} = lying_server:start([request, wait]),
	{ok, ConnPid2} = gun_rs:open("127.0.0.1", Port2, #{retry => 0}),
	?EXPECT({gun_up, ConnPid2, http}),
	_ = gun_rs:get(ConnPid2, "/"),
	ok = gun_rs:shutdown(ConnPid2),
	_ = gun_rs:ping(ConnPid2),
	?EXPECT({gun_error, ConnPid2, {badstate, _}}),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server2).

many_requests(Config) ->
	doc("10,000 requests, one after the other on one connection, leave nothing: no process, task, descriptor or memory."),
	ConnPid = open(config(port, Config)),
	%% What the first ones bring to stay is not the others'.
	do_requests(ConnPid, 1000),
	Before = gun_rs_test:resources(),
	Memory = do_memory(),
	do_requests(ConnPid, 10000),
	ok = gun_rs_test:nothing_left(Before),
	do_no_memory_left(Memory),
	ok = gun_rs:close(ConnPid).

many_connections(Config) ->
	doc("So do 1,000 connections of 10 requests each, which end in each of the ways there are."),
	ok = gun_rs_test:enough_fds(1000),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	do_connections(Config),
	Before = do_when_closed(Config),
	Memory = do_memory(),
	do_connections(Config),
	_ = do_when_closed(Config),
	ok = gun_rs_test:nothing_left(Before),
	do_no_memory_left(Memory).

do_requests(ConnPid, Count) ->
	_ = [case N rem 4 of
		0 -> {200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body"));
		1 -> {204, _, <<>>} = answer(ConnPid, gun_rs:get(ConnPid, "/status?code=204"));
		2 -> {200, _, <<_:8000>>} = answer(ConnPid, gun_rs:get(ConnPid, "/pieces?count=10&size=100", [], #{flow => 100}));
		3 ->
			StreamRef = gun_rs:put(ConnPid, "/echo", []),
			ok = gun_rs:data(ConnPid, StreamRef, nofin, "bo"),
			ok = gun_rs:data(ConnPid, StreamRef, fin, "dy"),
			{200, _, <<"body">>} = answer(ConnPid, StreamRef)
	end || N <- lists:seq(1, Count)],
	ok.

do_connections(Config) ->
	Conns = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 0}),
		{ConnPid, [gun_rs:post(ConnPid, "/echo", [], integer_to_binary(M)) || M <- lists:seq(1, 10)]}
	end || _ <- lists:seq(1, 1000)],
	_ = [begin
		Body = integer_to_binary(M),
		{200, _, Body} = answer(ConnPid, StreamRef)
	end || {ConnPid, Refs} <- Conns, {M, StreamRef} <- lists:zip(lists:seq(1, 10), Refs)],
	_ = [case N rem 5 of
		0 -> ok = gun_rs:close(ConnPid);
		1 -> ok = gun_rs:shutdown(ConnPid);
		2 -> exit(ConnPid, kill);
		3 -> gun_rs:get(ConnPid, "/close");
		4 -> gun_rs:get(ConnPid, "/die")
	end || {N, {ConnPid, _}} <- lists:zip(lists:seq(1, 1000), Conns)],
	_ = [begin
		_ = gun_rs_test:await_exit(ConnPid),
		ok = gun_rs:flush(ConnPid)
	end || {ConnPid, _} <- Conns],
	ok.

%% What there is when the server's ends are gone too.
do_when_closed(Config) ->
	true = eventually(fun() -> ranch:procs(config(listener, Config), connections) =:= [] end),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	gun_rs_test:resources().

%% What the VM has, the native library's part included, when all is collected.
do_memory() ->
	_ = [garbage_collect(Pid) || Pid <- processes()],
	erlang:memory(total).

do_no_memory_left(Before) ->
	%% Others collect and give back in their time.
	true = eventually(fun() ->
		Growth = do_memory() - Before,
		Growth < ?LEFT orelse {left, Growth}
	end),
	ct:log("~b bytes more than before", [do_memory() - Before]).

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

%% The stream, once the connection has it.
do_settled(ConnPid, StreamRef) ->
	{ok, #{ref := StreamRef}} = gun_rs:stream_info(ConnPid, StreamRef),
	StreamRef.

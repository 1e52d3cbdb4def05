%% With an alias as reply_to, nothing of a stream arrives after an await has given it up. And start_link/4.
-module(gun_rs_alias_SUITE).

-define(NEEDS, [distribution, {listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

an_answer(Config) ->
	doc("Awaits find the messages of a stream whose receiver is an alias; then the alias is no more."),
	_ = [begin
		ConnPid = open(config(port, Config), Opts),
		StreamRef = gun_rs:post(ConnPid, "/echo", [], "Hello", #{reply_to => alias}),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		{ok, <<"Hello">>} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
		false = unalias(StreamRef),
		ok = gun_rs:close(ConnPid)
	end || Opts <- [#{retry => 0}, #{retry => 0, cookie_store => gun_rs_cookies_list:init()}]],
	?REFUTE(_).

nothing_after_a_timeout(_) ->
	doc("What comes after an await has timed out, and what has come by then, is not in the mailbox."),
	{Server, Port} = lying_server:start([request, wait, {send, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nlat"}, {send, "e.."},
		request, {send, lying_server:ok("next")}]),
	ConnPid = open(Port),
	StreamRef1 = gun_rs:get(ConnPid, "/", [], #{reply_to => alias}),
	{error, timeout} = gun_rs:await(ConnPid, StreamRef1, 10),
	false = unalias(StreamRef1),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	lying_server:go(Server),
	{200, _, <<"next">>} = answer(ConnPid, StreamRef2),
	?REFUTE({_, ConnPid, StreamRef1, _}),
	?REFUTE({_, ConnPid, StreamRef1, _, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

a_body_that_stops(_) ->
	doc("So it is with await_body."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none"}, wait, {send, "two"},
		request, {send, lying_server:ok("next")}]),
	ConnPid = open(Port),
	StreamRef1 = gun_rs:get(ConnPid, "/", [], #{reply_to => alias}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	{error, timeout} = gun_rs:await_body(ConnPid, StreamRef1, 10),
	lying_server:go(Server),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	?REFUTE({gun_data, ConnPid, StreamRef1, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

an_await_of_an_ordinary_stream(_) ->
	doc("Any other stream goes on after a timeout, as in gun."),
	{Server, Port} = lying_server:start([request, wait, {send, lying_server:ok("late")}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	{error, timeout} = gun_rs:await(ConnPid, StreamRef, 10),
	lying_server:go(Server),
	{200, _, <<"late">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

an_alias_of_ones_own(Config) ->
	doc("An alias of the user's is as good as a pid, for WebSockets too, until it is ended."),
	ConnPid = open(config(port, Config)),
	Alias = alias(),
	StreamRef = gun_rs:get(ConnPid, "/request", [], #{reply_to => Alias}),
	{200, _, _} = answer(ConnPid, StreamRef),
	true = unalias(Alias),
	_ = gun_rs:get(ConnPid, "/request", [], #{reply_to => Alias}),
	?REFUTE({gun_response, ConnPid, _, _, _, _}),
	{badmatch, {error, {options, {ws, {reply_to, alias}}}}} = try
		gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => alias})
	catch error:Reason ->
		Reason
	end,
	ok = gun_rs:close(ConnPid).

from_another_node(Config) ->
	doc("An alias of another node's process is reached, and is as silent after a timeout."),
	ConnPid = open(config(port, Config)),
	{Peer, Node} = gun_rs_test:start_node(),
	{{response, nofin, 200, _}, {ok, <<"there">>}, {error, timeout}, nothing} = erpc:call(Node, fun() ->
		StreamRef1 = gun_rs:post(ConnPid, "/echo", [], "there", #{reply_to => alias}),
		Response = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
		Body = gun_rs:await_body(ConnPid, StreamRef1, ?WAIT),
		StreamRef2 = gun_rs:post(ConnPid, "/echo", [], #{reply_to => alias}),
		Timeout = gun_rs:await(ConnPid, StreamRef2, 1),
		ok = gun_rs:data(ConnPid, StreamRef2, fin, "late"),
		{Response, Body, Timeout, receive M={gun_response, _, _, _, _, _} -> M after 200 -> nothing end}
	end),
	ok = gun_rs:close(ConnPid),
	peer:stop(Peer).

none_for_connect_and_ping(Config) ->
	doc("connect and ping refuse to make an alias, by name; the connection goes on, and takes one of the caller's."),
	ConnPid = open(config(port, Config)),
	Destination = #{host => "localhost", port => 80},
	[{badmatch, {error, {options, {req, {reply_to, alias}}}}} = try Call() catch error:Reason -> Reason end || Call <- [
		fun() -> gun_rs:connect(ConnPid, Destination, [], #{reply_to => alias}) end,
		fun() -> gun_rs:ping(ConnPid, #{reply_to => alias}) end]],
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid).

requests_that_are_not_made(_) ->
	doc("Where a request raises, or a pool has no connection for it, its alias is ended."),
	{Peer, Node} = gun_rs_test:start_node(),
	Pid = erlang:spawn(Node, timer, sleep, [infinity]),
	[_] = do_ended_aliases(fun() ->
		{node_too_old, Node} = try gun_rs:get(Pid, "/", [], #{reply_to => alias}) catch error:Reason -> Reason end
	end),
	ok = peer:stop(Peer),
	[_] = do_ended_aliases(fun() ->
		{error, pool_not_found, _} = gun_rs_pool:get("/", [{<<"host">>, "no-pool.invalid"}], #{reply_to => alias})
	end),
	ok.

%% The aliases that the fun has ended, as a tracer sees it.
do_ended_aliases(Fun) ->
	Tracer = spawn_link(fun() -> do_trace([]) end),
	1 = erlang:trace(self(), true, [call, {tracer, Tracer}]),
	1 = erlang:trace_pattern({erlang, unalias, 1}, true, [global]),
	_ = Fun(),
	1 = erlang:trace_pattern({erlang, unalias, 1}, false, [global]),
	1 = erlang:trace(self(), false, [call]),
	Delivered = erlang:trace_delivered(self()),
	receive {trace_delivered, _, Delivered} -> ok after ?WAIT -> error(no_trace) end,
	Tracer ! {seen, self()},
	receive {seen, Tracer, Aliases} -> Aliases after ?WAIT -> error(no_tracer) end.

do_trace(Seen) ->
	receive
		{trace, _, call, {erlang, unalias, [Alias]}} -> do_trace([Alias|Seen]);
		{seen, Pid} -> Pid ! {seen, self(), Seen}
	end.

towards_an_older_node(_) ->
	doc("What a node without this release would not know is refused by name, and not sent to it."),
	{Peer, Node} = gun_rs_test:start_node(),
	Pid = erlang:spawn(Node, timer, sleep, [infinity]),
	Destination = #{host => "localhost", port => 80},
	[{node_too_old, Node} = try Call() catch error:Reason -> Reason end || Call <- [
		fun() -> gun_rs:get(Pid, "/", [], #{timeout => 1000}) end,
		fun() -> gun_rs:get(Pid, "/", [], #{reply_to => alias}) end,
		fun() -> gun_rs:get(Pid, "/", [], #{reply_to => make_ref()}) end,
		fun() -> gun_rs:connect(Pid, Destination) end,
		fun() -> gun_rs:ping(Pid, #{reply_to => make_ref()}) end,
		fun() -> gun_rs:ws_upgrade(Pid, "/", [], #{reply_to => make_ref()}) end,
		fun() -> gun_rs:ws_upgrade(Pid, "/", [], #{redirects => 1}) end,
		fun() -> {error, Reason} = gun_rs:data_sync(Pid, make_ref(), fin, "x"), Reason end]],
	%% As before for all else.
	Ref = gun_rs:get(Pid, "/"),
	true = is_reference(Ref),
	ok = peer:stop(Peer),
	_ = gun_rs:get(Pid, "/", [], #{timeout => 1000}),
	ok.

a_trace_of_connect(_) ->
	doc("connect hands on a traceparent."),
	Traceparent = <<"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01">>,
	{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {packet, line}, {ip, {127, 0, 0, 1}}]),
	{ok, Port} = inet:port(Listener),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	_ = gun_rs:connect(ConnPid, #{host => "localhost", port => 80}, [], #{traceparent => Traceparent}),
	Lines = do_head(Socket),
	true = lists:member(<<"traceparent: ", Traceparent/binary, "\r\n">>, Lines),
	ok = gun_rs:close(ConnPid),
	ok = gen_tcp:close(Socket),
	ok = gen_tcp:close(Listener).

do_head(Socket) ->
	case gen_tcp:recv(Socket, 0, ?WAIT) of
		{ok, <<"\r\n">>} -> [];
		{ok, Line} -> [Line|do_head(Socket)]
	end.

of_a_pool(Config) ->
	doc("A request of a pool takes reply_to => alias too."),
	Port = config(port, Config),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1}),
	ok = gun_rs_pool:await_up(Pool),
	Headers = [{<<"host">>, ["localhost:", integer_to_list(Port)]}],
	{async, Ref={_, StreamRef}} = gun_rs_pool:post("/echo", Headers, "pooled", #{reply_to => alias}),
	{response, nofin, 200, _} = gun_rs_pool:await(Ref, ?WAIT),
	{ok, <<"pooled">>} = gun_rs_pool:await_body(Ref, ?WAIT),
	false = unalias(StreamRef),
	ok = gun_rs_pool:stop_pool("localhost", Port).

%% start_link/4.

linked(Config) ->
	doc("start_link opens a connection of another owner, linked to the caller, that no supervisor knows."),
	Self = self(),
	Owner = spawn_link(fun Loop() -> receive {Self, stop} -> ok; M -> Self ! {owner, M}, Loop() end end),
	{ok, ConnPid} = gun_rs:start_link(Owner, "127.0.0.1", config(port, Config), #{retry => 0}),
	?EXPECT({owner, {gun_up, ConnPid, http}}),
	{links, Links} = process_info(self(), links),
	true = lists:member(ConnPid, Links),
	#{owner := Owner} = gun_rs:info(ConnPid),
	{error, not_found} = gun_rs:close(ConnPid),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	MRef = watch(ConnPid),
	Owner ! {Self, stop},
	?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
	{error, {options, {retry, many}}} = gun_rs:start_link(self(), "127.0.0.1", 80, #{retry => many}).

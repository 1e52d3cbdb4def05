%% The process behind ConnPid lives, answers and ends as an Erlang process should, and its socket ends with it.
-module(gun_rs_lifecycle_SUITE).

-import(lying_server, [frame/2]).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

%% The owner.

owner_exits(_) ->
	doc("When the owner exits, close 1001 goes out, the answer is awaited, and ConnPid exits with a reason of that."),
	_ = [begin
		ct:log("~p ~p", [Exit, Reason]),
		{Server, Port} = lying_server:start([upgrade, frame, {send, frame(close, <<1001:16>>)}]),
		{Owner, ConnPid} = do_owner(Port),
		MRef = watch(ConnPid),
		exit(Owner, Exit),
		?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
		?EXPECT({'DOWN', MRef, process, ConnPid, Reason}),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || {Exit, Reason} <- [
		{{done, normal}, normal},
		{shutdown, shutdown},
		{{shutdown, because}, {shutdown, because}},
		{oops, {shutdown, {owner_down, oops}}},
		{kill, {shutdown, {owner_down, killed}}}
	]],
	ok.

owner_exits_before_the_upgrade(_) ->
	doc("When the owner exits, a connection that isn't upgraded, or isn't up, ends too."),
	{Server, Port} = lying_server:start([]),
	{Socket, RefusedPort} = gun_rs_test:refused_port(),
	Self = self(),
	{Owner, MRef} = spawn_monitor(fun() ->
		Up = open(Port),
		{ok, Waiting} = gun_rs:open("127.0.0.1", RefusedPort, #{retry => 10, retry_timeout => 10 * ?WAIT}),
		Self ! {self(), Up, Waiting},
		receive after infinity -> ok end
	end),
	{Up, Waiting} = ?EXPECT({Owner, Pid1, Pid2}, {Pid1, Pid2}),
	[MRef1, MRef2] = [watch(Pid) || Pid <- [Up, Waiting]],
	exit(Owner, oops),
	?EXPECT({'DOWN', MRef, process, Owner, oops}),
	?EXPECT({'DOWN', MRef1, process, Up, {shutdown, {owner_down, oops}}}),
	?EXPECT({'DOWN', MRef2, process, Waiting, {shutdown, {owner_down, oops}}}),
	?EXPECT({lying_server, Server, closed}),
	gun_rs_test:release_port(Socket),
	lying_server:stop(Server).

%% A process that owns a connection. It exits with any reason it's told; normal can't be sent from outside.
do_owner(Port) ->
	Self = self(),
	Owner = spawn(fun() ->
		process_flag(trap_exit, true),
		{ConnPid, _} = open_ws(Port, "/"),
		Self ! {self(), ConnPid},
		receive
			{'EXIT', Self, {done, Reason}} -> exit(Reason);
			{'EXIT', Self, Reason} -> exit(Reason)
		end
	end),
	{Owner, ?EXPECT({Owner, ConnPid}, ConnPid)}.

set_owner(_) ->
	doc("gun_down goes to the new owner, an open stream keeps its reply_to, and the old owner may go."),
	{Server, Port} = lying_server:start([upgrade, wait, {send, frame(text, "to the stream")}, close]),
	Self = self(),
	{NewOwner, _} = spawn_monitor(fun() -> do_forward(Self) end),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	ok = gun_rs:set_owner(ConnPid, NewOwner),
	#{owner := NewOwner} = gun_rs:info(ConnPid),
	lying_server:go(Server),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"to the stream">>}}),
	?EXPECT({NewOwner, {gun_down, ConnPid, ws, closed, [StreamRef]}}),
	?REFUTE({gun_down, _, _, _, _}),
	exit(NewOwner, kill),
	lying_server:stop(Server).

new_owner_counts(_) ->
	doc("After set_owner the exit of the old owner means nothing, and the exit of the new one ends the connection."),
	{Server, Port} = lying_server:start([upgrade, frame, {send, frame(close, <<>>)}]),
	Self = self(),
	NewOwner = spawn(fun() -> do_forward(Self) end),
	{OldOwner, MRef0} = spawn_monitor(fun() ->
		{ConnPid, _} = open_ws(Port, "/"),
		ok = gun_rs:set_owner(ConnPid, NewOwner),
		Self ! {self(), ConnPid}
	end),
	ConnPid = ?EXPECT({OldOwner, Pid}, Pid),
	?EXPECT({'DOWN', MRef0, process, OldOwner, normal}),
	MRef = watch(ConnPid),
	#{owner := NewOwner} = gun_rs:info(ConnPid),
	?REFUTE({'DOWN', MRef, process, ConnPid, _}),
	exit(NewOwner, shutdown),
	?EXPECT({lying_server, Server, closed}),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	lying_server:stop(Server).

set_owner_from_others(Config) ->
	doc("set_owner from anyone but the owner is ignored."),
	{ConnPid, _} = open_ws(config(port, Config), "/websocket"),
	{Pid, MRef} = spawn_monitor(fun() -> ok = gun_rs:set_owner(ConnPid, self()) end),
	?EXPECT({'DOWN', MRef, process, Pid, normal}),
	Self = self(),
	#{owner := Self} = gun_rs:info(ConnPid),
	true = is_process_alive(ConnPid),
	ok = gun_rs:close(ConnPid).

do_forward(To) ->
	receive Msg -> To ! {self(), Msg} end,
	do_forward(To).

%% reply_to.

reply_to(Config) ->
	doc("reply_to may be a pid, a fun, a fun with more arguments, and a function by name."),
	Self = self(),
	Other = spawn(fun() -> do_forward(Self) end),
	_ = [begin
		ConnPid = open(config(port, Config)),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => ReplyTo}),
		?EXPECT({Tag, {gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, integer_to_binary(N)} || N <- lists:seq(1, 20)]),
		Expected = [{text, integer_to_binary(N)} || N <- lists:seq(1, 20)],
		Expected = [?EXPECT({Tag, {gun_ws, ConnPid, StreamRef, Frame}}, Frame) || _ <- Expected],
		?REFUTE({gun_ws, _, _, _}),
		ok = gun_rs:close(ConnPid)
	end || {Tag, ReplyTo} <- [
		{Other, Other},
		{a_fun, fun(Msg) -> Self ! {a_fun, Msg} end},
		{a_fun_with_args, {fun(Msg, Pid, Tag) -> Pid ! {Tag, Msg} end, [Self, a_fun_with_args]}},
		{an_mfa, {?MODULE, do_reply, [Self, an_mfa]}}
	]],
	exit(Other, kill),
	ok.

do_reply(Msg, Pid, Tag) ->
	Pid ! {Tag, Msg}.

reply_to_of_open(Config) ->
	doc("The reply_to of open's ws_opts is for ws_upgrade/2,3."),
	Self = self(),
	Other = spawn(fun() -> do_forward(Self) end),
	ConnPid = open(config(port, Config), #{ws_opts => #{reply_to => Other}}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	Receiver = receive
		{Other, {gun_upgrade, ConnPid, StreamRef, _, _}} -> Other;
		{gun_upgrade, ConnPid, StreamRef, _, _} -> Self
	after ?WAIT ->
		gun_rs_test:missing("gun_upgrade")
	end,
	ct:log("~p, of ~p", [Receiver, [{caller, Self}, {other, Other}]]),
	exit(Other, kill),
	ok = gun_rs:close(ConnPid).

%% Ways to end.

killed(_) ->
	doc("When ConnPid is killed the socket closes at once, without a close frame."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ConnPid, _} = open_ws(Port, "/"),
	exit(ConnPid, kill),
	?EXPECT({lying_server, Server, closed}),
	?REFUTE({lying_server, Server, {frame, _, _}}),
	?REFUTE({gun_down, ConnPid, _, _, _}),
	lying_server:stop(Server).

killed_before_the_upgrade(_) ->
	doc("So it does when ConnPid is killed before an upgrade, and in the midst of one."),
	{Server, Port} = lying_server:start([request]),
	ConnPid1 = open(Port),
	exit(ConnPid1, kill),
	?EXPECT({lying_server, Server, closed}),
	ConnPid2 = open(Port),
	_ = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	exit(ConnPid2, kill),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

killed_while_sending(_) ->
	doc("So it does when ConnPid is killed with much to send to a server that doesn't read."),
	{Server, Port} = lying_server:start([upgrade, wait, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	#{connections := Before} = gun_rs_native:stats(),
	Large = binary:copy(<<0>>, 16#1000000),
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Large}) || _ <- [1, 2, 3]],
	exit(ConnPid, kill),
	%% Now, and not when the server has read what was sent.
	true = eventually(fun() -> maps:get(connections, gun_rs_native:stats()) < Before end),
	lying_server:go(Server),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

close(_) ->
	doc("close/1 ends the process before it returns, and the socket without a close frame or a gun_down."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ConnPid, _} = open_ws(Port, "/"),
	MRef = watch(ConnPid),
	ok = gun_rs:close(ConnPid),
	false = is_process_alive(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?EXPECT({lying_server, Server, closed}),
	?REFUTE({gun_down, ConnPid, _, _, _}),
	?REFUTE({lying_server, Server, {frame, _, _}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

shutdown(_) ->
	doc("shutdown/1 says 1001, still delivers what comes before the server's close, and exits without a gun_down."),
	{Server, Port} = lying_server:start([upgrade, frame, {send, [
		frame(text, "last words"), frame(close, <<1000:16>>)
	]}]),
	{ConnPid, StreamRef} = open_ws(Port, "/", #{}),
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"last words">>}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?EXPECT({lying_server, Server, closed}),
	?REFUTE({gun_down, ConnPid, _, _, _}),
	lying_server:stop(Server).

shutdown_without_an_answer(_) ->
	doc("shutdown/1 waits for the server's close no longer than closing_timeout."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	_ = upgrade(ConnPid, "/", [], #{closing_timeout => 100}),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

shutdown_before_the_upgrade(_) ->
	doc("shutdown/1 ends an idle connection, and one that isn't up, at once."),
	{Server, Port} = lying_server:start([]),
	{Socket, RefusedPort} = gun_rs_test:refused_port(),
	Up = open(Port),
	{ok, Waiting} = gun_rs:open("127.0.0.1", RefusedPort, #{retry => 10, retry_timeout => 10 * ?WAIT}),
	[begin
		MRef = watch(ConnPid),
		ok = gun_rs:shutdown(ConnPid),
		?EXPECT({'DOWN', MRef, process, ConnPid, shutdown})
	end || ConnPid <- [Up, Waiting]],
	?EXPECT({lying_server, Server, closed}),
	gun_rs_test:release_port(Socket),
	lying_server:stop(Server).

owner_cannot_change_in_shutdown(_) ->
	doc("After shutdown/1 set_owner/2 is refused with badstate, and the shutdown goes on."),
	{Server, Port} = lying_server:start([upgrade, frame, wait, {send, frame(close, <<>>)}]),
	{ConnPid, _} = open_ws(Port, "/"),
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({lying_server, Server, {frame, close, _}}),
	ok = gun_rs:set_owner(ConnPid, spawn(fun() -> ok end)),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	lying_server:go(Server),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	lying_server:stop(Server).

%% The server.

server_process_killed(Config) ->
	doc("When the server's process is killed the user hears gun_down, and gun_up from the next."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/pid", #{}),
	ServerPid = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Bin}}, binary_to_term(Bin)),
	exit(ServerPid, kill),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:close(ConnPid).

server_killed(_) ->
	doc("When the whole server is killed the user hears gun_down, and the exit says that it doesn't come back."),
	{Listener, Port} = gun_rs_test:start_cowboy(),
	{ConnPid, StreamRef} = open_ws(Port, "/websocket", #{retry => 2, retry_timeout => 10}),
	MRef = watch(ConnPid),
	gun_rs_test:stop_cowboy(Listener),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, econnrefused}}).

%% A process among others.

unsupervised(_) ->
	doc("With supervise false ConnPid is linked to the caller: close/1 doesn't find it, shutdown/1 and a kill do."),
	{Server, Port} = lying_server:start([upgrade]),
	{ConnPid, _} = open_ws(Port, "/", #{retry => 0, supervise => false}),
	{links, Links} = process_info(self(), links),
	true = lists:member(ConnPid, Links),
	{error, not_found} = gun_rs:close(ConnPid),
	true = is_process_alive(ConnPid),
	process_flag(trap_exit, true),
	exit(ConnPid, kill),
	?EXPECT({'EXIT', ConnPid, killed}),
	?EXPECT({lying_server, Server, closed}),
	ConnPid2 = open(Port, #{supervise => false}),
	ok = gun_rs:shutdown(ConnPid2),
	?EXPECT({'EXIT', ConnPid2, shutdown}),
	lying_server:stop(Server).

linked_caller_dies(_) ->
	doc("With supervise false the death of the caller ends the connection as a link does."),
	{Server, Port} = lying_server:start([upgrade]),
	{Caller, MRef} = spawn_monitor(fun() ->
		_ = open_ws(Port, "/", #{supervise => false}),
		exit(oops)
	end),
	?EXPECT({'DOWN', MRef, process, Caller, oops}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

sys(Config) ->
	doc("sys works on ConnPid, and frames flow while it is suspended, for they don't pass through it."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = sys:get_state(ConnPid),
	{status, ConnPid, {module, _}, _} = sys:get_status(ConnPid),
	ok = sys:suspend(ConnPid),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "asleep?"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"asleep?">>}}),
	ok = sys:resume(ConnPid),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "awake!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"awake!">>}}),
	#{protocol := ws} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

stray_messages(Config) ->
	doc("ConnPid survives messages and casts that it doesn't know, and answers such a call with an error."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = [ConnPid ! Msg || Msg <- [hello, {'DOWN', make_ref(), process, self(), x}, {'EXIT', self(), x},
		{gun_ws, self(), make_ref(), close}, {timeout, make_ref(), x}]],
	ok = gen_server:cast(ConnPid, unheard_of),
	{error, bad_call} = gen_server:call(ConnPid, unheard_of, ?WAIT),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "still there"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"still there">>}}),
	#{protocol := ws} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

hibernates(Config) ->
	doc("ConnPid hibernates whenever it has nothing to do."),
	ConnPid = open(config(port, Config)),
	true = eventually(fun() -> do_hibernates(ConnPid) end),
	StreamRef = upgrade(ConnPid, "/websocket", [], #{}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	true = eventually(fun() -> do_hibernates(ConnPid) end),
	{memory, Bytes} = process_info(ConnPid, memory),
	ct:log("~p bytes", [Bytes]),
	_ = gun_rs:info(ConnPid),
	true = eventually(fun() -> do_hibernates(ConnPid) end),
	ok = gun_rs:close(ConnPid).

%% From OTP 28 on gen_statem hibernates without leaving its function.
do_hibernates(ConnPid) ->
	{current_function, Function} = process_info(ConnPid, current_function),
	lists:member(Function, [{erlang, hibernate, 3}, {gen_statem, loop_hibernate, 3}]).

%% Pids that are no connection.

no_connection(_) ->
	doc("A dead pid is no connection: no function harms the caller, nor leaves it a message."),
	{Dead, MRef} = spawn_monitor(fun() -> ok end),
	?EXPECT({'DOWN', MRef, process, Dead, normal}),
	ok = do_every_function(Dead),
	ok = gun_rs:close(Dead),
	Dummy = spawn(fun() -> receive after infinity -> ok end end),
	{error, not_found} = gun_rs:close(Dummy),
	{error, {down, noproc}} = gun_rs:await_up(Dead, ?WAIT),
	{error, {down, noproc}} = gun_rs:await(Dead, make_ref()),
	{error, timeout} = gun_rs:await_up(Dummy, 10),
	{error, timeout} = gun_rs:await(Dummy, make_ref(), 10),
	{messages, []} = process_info(Dummy, messages),
	true = is_process_alive(Dummy),
	exit(Dummy, kill),
	ok.

do_every_function(Pid) ->
	Ref = make_ref(),
	ok = gun_rs:ws_send(Pid, {text, "Hello?"}),
	ok = gun_rs:ws_send(Pid, Ref, {text, "Hello?"}),
	ok = gun_rs:ws_send(Pid, Ref, [{binary, binary:copy(<<0>>, 100000)}, close]),
	true = is_reference(gun_rs:ws_upgrade(Pid, "/")),
	true = is_reference(gun_rs:ws_upgrade(Pid, "/", [])),
	true = is_reference(gun_rs:ws_upgrade(Pid, "/", [], #{})),
	ok = gun_rs:set_owner(Pid, self()),
	ok = gun_rs:shutdown(Pid),
	ok = gun_rs:flush(Pid),
	{'EXIT', {noproc, _}} = ?CATCH(gun_rs:info(Pid)),
	{error, timeout} = gun_rs:await(Pid, Ref, 0, Ref),
	{error, timeout} = gun_rs:await_up(Pid, 0, Ref),
	?REFUTE(_).

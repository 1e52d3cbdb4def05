%% @private What stands before a test server: it passes bytes both ways, and cuts connections when it is told to.
-module(gun_rs_test_relay).

-export([start_link/1]).

-define(ACCEPT_PAUSE, 100).
-define(CONNECT, 30000).

%% A cut names the port that the connection has towards the server.
-spec start_link(Server :: inet:port_number()) -> {ok, pid(), inet:port_number()} | {error, inet:posix()}.
start_link(ServerPort) ->
	Parent = self(),
	Ref = make_ref(),
	Pid = spawn_link(fun() -> init(Parent, Ref, ServerPort) end),
	receive
		{Ref, {ok, Port}} -> {ok, Pid, Port};
		{Ref, Error} -> Error
	end.

init(Parent, Ref, ServerPort) ->
	process_flag(trap_exit, true),
	case gen_tcp:listen(0, options() ++ [{ip, {127, 0, 0, 1}}, {backlog, 1024}]) of
		{ok, Listen} ->
			{ok, Port} = inet:port(Listen),
			Relay = self(),
			Acceptor = spawn_link(fun() -> accept(Relay, Listen, ServerPort) end),
			Parent ! {Ref, {ok, Port}},
			loop([Parent, Acceptor], #{});
		{error, Reason} ->
			Parent ! {Ref, {error, Reason}},
			ok
	end.

options() ->
	[binary, {active, false}, {nodelay, true}].

%% Every connection's process, by its port.
loop(Needed, Conns) ->
	receive
		{connected, Port, Pid} ->
			loop(Needed, Conns#{Port => Pid});
		{cut, Port} ->
			_ = case Conns of
				#{Port := Pid} -> exit(Pid, kill);
				_ -> gone
			end,
			loop(Needed, Conns);
		{'EXIT', Pid, Reason} ->
			case lists:member(Pid, Needed) of
				true -> exit(Reason);
				false -> loop(Needed, maps:filter(fun(_, Conn) -> Conn =/= Pid end, Conns))
			end
	end.

accept(Relay, Listen, ServerPort) ->
	case gen_tcp:accept(Listen) of
		{ok, Client} ->
			Pid = spawn(fun() -> receive {go, Socket} -> connect(Relay, Socket, ServerPort) end end),
			_ = case gen_tcp:controlling_process(Client, Pid) of
				ok -> Pid ! {go, Client};
				%% It is gone already.
				{error, _} -> exit(Pid, kill)
			end,
			accept(Relay, Listen, ServerPort);
		%% There are too many files open, or the client is gone.
		{error, Reason} when Reason =/= closed ->
			timer:sleep(?ACCEPT_PAUSE),
			accept(Relay, Listen, ServerPort);
		{error, closed} ->
			ok
	end.

%% It ends with the relay, and by a cut, and both sockets with it.
connect(Relay, Client, ServerPort) ->
	true = link(Relay),
	case gen_tcp:connect({127, 0, 0, 1}, ServerPort, options(), ?CONNECT) of
		{ok, Server} ->
			{ok, Port} = inet:port(Server),
			Relay ! {connected, Port, self()},
			{_, Monitor} = spawn_opt(fun() -> pass(Server, Client) end, [link, monitor]),
			pass(Client, Server),
			ok = drain(Client),
			receive {'DOWN', Monitor, process, _, _} -> ok end;
		{error, _} ->
			gen_tcp:close(Client)
	end.

%% One way: nothing more is read before it is written to the other side. The end of what comes is passed on, too.
pass(From, To) ->
	case gen_tcp:recv(From, 0) of
		{ok, Data} ->
			case gen_tcp:send(To, Data) of
				ok -> pass(From, To);
				{error, _} -> ok
			end;
		{error, _} ->
			_ = gen_tcp:shutdown(To, write),
			ok
	end.

%% What a client still sends to a server that has closed: unread, it would take back what the client has yet to read.
drain(Client) ->
	case gen_tcp:recv(Client, 0) of
		{ok, _} -> drain(Client);
		{error, _} -> ok
	end.

%% What becomes of the connections of listeners that are killed and stopped.
-module(gun_rs_server_life_SUITE).

-define(NEEDS, [gun_rs, crypto]).
-include("gun_rs_suite.hrl").

-define(TIMEOUT, 60000).

init_per_testcase(Case, Config) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

do_start(Opts, Config) ->
	Dispatch = gun_rs_router:compile([{'_', [{"/ws", served_2_h, Opts#{test => self()}}]}]),
	{ok, _} = gun_rs_server:start_clear(config('case', Config), [{port, 0}, {ip, {127, 0, 0, 1}}],
		#{env => #{dispatch => Dispatch}}),
	gun_rs_server:get_port(config('case', Config)).

do_open(Port) ->
	{Socket, _} = raw_ws:upgrade(Port, "/ws"),
	receive {websocket_init, Pid, _} -> {Socket, Pid} after ?TIMEOUT -> error(no_websocket_init) end.

listener_that_is_killed_again(Config) ->
	doc("A listener knows the connections of all that it is in the place of, and closes them as it stops."),
	Ref = config('case', Config),
	Port = do_start(#{}, Config),
	{Socket, Handler} = do_open(Port),
	_ = [begin
		#{pid := Pid} = gun_rs_server:info(Ref),
		exit(Pid, kill),
		true = eventually(fun() -> {ok, Pid} =/= gun_rs_listeners:lookup(Ref) end),
		true = eventually(fun() -> gun_rs_server:connections(Ref) =:= [Handler] end)
	end || _ <- lists:seq(1, 3)],
	ok = gun_rs_server:stop_listener(Ref),
	{close, 1001, <<>>} = raw_ws:recv(Socket),
	receive {terminate, Handler, _, _, _} -> ok after ?TIMEOUT -> error(no_terminate) end.

listener_whose_socket_is_still_there(Config) ->
	doc("A listener that is killed is started again on its port, though nobody has closed the socket yet."),
	Ref = config('case', Config),
	Port = do_start(#{}, Config),
	#{pid := Pid} = gun_rs_server:info(Ref),
	%% As long as we have the native listener, the VM does not close it.
	State = sys:get_state(Pid),
	exit(Pid, kill),
	true = eventually(fun() ->
		case gun_rs_listeners:lookup(Ref) of
			{ok, New} when New =/= Pid -> true;
			Other -> Other
		end
	end),
	Port = gun_rs_server:get_port(Ref),
	{_, _} = do_open(Port),
	listener = element(1, State).

stop_of_the_application(Config) ->
	doc("What a WebSocket was sent before the application stops arrives, and a close frame behind it."),
	Port = do_start(#{}, Config),
	Payload = binary:copy(<<"x">>, 1000000),
	Sockets = [element(1, do_open(Port)) || _ <- lists:seq(1, 10)],
	_ = [ok = raw_ws:send(Socket, text, Payload) || Socket <- Sockets],
	%% It is in the queues by then, and more than the system takes of it.
	true = eventually(fun() ->
		Stats = [gun_rs_server:stats(Pid) || Pid <- gun_rs_server:connections(config('case', Config))],
		[1 || {ok, #{frames_in := 1}} <- Stats] =:= [1 || _ <- Sockets] orelse Stats
	end),
	Test = self(),
	_ = spawn_link(fun() -> Test ! {stopped, application:stop(gun_rs)} end),
	_ = [begin
		{text, Payload} = raw_ws:recv(Socket),
		{close, 1001, <<>>} = raw_ws:recv(Socket),
		ok = raw_ws:send(Socket, close, <<1001:16>>),
		closed = raw_ws:recv(Socket)
	end || Socket <- Sockets],
	receive {stopped, ok} -> ok after ?TIMEOUT -> error(not_stopped) end,
	ok = application:start(gun_rs).

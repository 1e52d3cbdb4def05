%% Many connections that upgrade again, and a server to which everything happens that can: at the end each of them is
%% up, and no message has been seen twice or out of order.
%%
%% CHAOS_SECONDS says how long it goes on (60), CHAOS_SEED what happens: the number that another run has printed, for
%% the same actions in the same order.
-module(gun_rs_chaos_SUITE).

-define(NEEDS, [cowboy]).
-define(TIMETRAP, {seconds, do_seconds() + 600}).
-include("gun_rs_suite.hrl").

-define(CONNECTIONS, 500).

do_seconds() ->
	do_environment("CHAOS_SECONDS", 60).

do_environment(Name, Default) ->
	case os:getenv(Name) of
		false -> Default;
		"" -> Default;
		Value -> list_to_integer(Value)
	end.

chaos(_) ->
	doc("500 connections survive a server that is killed, hangs, refuses, resets and closes at random."),
	ok = gun_rs_test:enough_fds(?CONNECTIONS div 2),
	Seed = do_environment("CHAOS_SEED", erlang:unique_integer([positive]) * 7919 + erlang:system_time(second)),
	_ = rand:seed(exsss, Seed),
	do_print("CHAOS_SEED=~b CHAOS_SECONDS=~b", [Seed, do_seconds()]),
	Port = chaos_server:free_port(),
	Server0 = chaos_server:start(Port),
	%% What comes to stay with the first connections is no leak: the code, the threads, the allocators' blocks.
	[] = [Wrong || {_, #{wrong := Wrong}} <- do_finish(do_clients(Port)), Wrong =/= []],
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	Before = gun_rs_test:resources(),
	MemoryBefore = do_memory(),
	Memory = gun_rs_test:watch_memory(),
	Clients = do_clients(Port),
	Deadline = erlang:monotonic_time(millisecond) + 1000 * do_seconds(),
	{Server, Actions} = do_chaos(Server0, Port, Deadline, #{}),
	Reports = do_finish(Clients),
	{Peak, ResidentPeak} = gun_rs_test:memory_growth(Memory),
	unlink(element(1, Memory)),
	exit(element(1, Memory), kill),
	ok = gun_rs_test:nothing_left(Before),
	MemoryAfter = do_memory(),
	Sums = do_sum([Counts || {_, #{counts := Counts}} <- Reports]),
	MiB = fun(Bytes) -> Bytes div 16#100000 end,
	do_print("actions ~p~ncounts ~p~nresources before ~p~nmemory before and after ~p ~p~n"
		"peak of the VM's own account +~b MiB, of what is resident +~b MiB",
		[Actions, Sums, Before, MemoryBefore, MemoryAfter, MiB(Peak), MiB(ResidentPeak)]),
	ok = chaos_server:kill(Server),
	[] = [{Client, Wrong} || {Client, #{wrong := Wrong}} <- Reports, Wrong =/= []],
	?CONNECTIONS = length(Reports),
	%% It was chaos: everything has happened, and each connection was lost.
	?CONNECTIONS = length([lost || {_, #{counts := #{upgrades := N}}} <- Reports, N > 1]),
	true = maps:get(sync_ok, Sums) > 0,
	%% Of what is left when all connections are closed, a connection that leaked a kilobyte each time that it was made
	%% would be most.
	#{erlang := ErlangBefore} = MemoryBefore,
	#{erlang := ErlangAfter} = MemoryAfter,
	true = ErlangAfter - ErlangBefore < 16#800000,
	#{resident := ResidentBefore} = MemoryBefore,
	#{resident := ResidentAfter} = MemoryAfter,
	true = ResidentAfter - ResidentBefore < 16#4000000.

%% Where the tests are run, and not only in their log: what the seed was, and what came of it.
do_print(Format, Args) ->
	io:format(user, "~ngun_rs_chaos_SUITE: " ++ Format ++ "~n", Args),
	ct:log(Format, Args).

do_memory() ->
	_ = [garbage_collect(Pid) || Pid <- processes()],
	{ok, Status} = file:read_file("/proc/self/status"),
	{match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+) kB", [{capture, [1], list}]),
	#{erlang => erlang:memory(processes) + erlang:memory(binary) + erlang:memory(ets),
		resident => 1024 * list_to_integer(KiB)}.

do_sum(Maps) ->
	lists:foldl(fun(Map, Acc) ->
		maps:fold(fun(Key, N, A) -> maps:update_with(Key, fun(M) -> M + N end, N, A) end, Acc, Map)
	end, #{}, Maps).

%% The server's fate.

do_chaos(Server0, Port, Deadline, Actions0) ->
	timer:sleep(rand:uniform(1000)),
	case erlang:monotonic_time(millisecond) < Deadline of
		true ->
			%% Each kind in turn, in an order that is drawn anew for each turn, so that none is left out for long.
			Kinds = [Kind || {_, Kind} <- lists:sort([{rand:uniform(), Kind} || Kind <- do_kinds()])],
			{Server, Actions} = do_actions(Kinds, Server0, Port, Deadline, Actions0),
			do_chaos(Server, Port, Deadline, Actions);
		false ->
			{Server0, Actions0}
	end.

do_kinds() ->
	[kill, kill_in_hang, hang, long_hang, refuse_connections, refuse_upgrades, reset, reset_all, kill_some, close].

do_actions([], Server, _, _, Actions) ->
	{Server, Actions};
do_actions([Kind|Kinds], Server0, Port, Deadline, Actions) ->
	case erlang:monotonic_time(millisecond) < Deadline of
		true ->
			Server = do_action(Kind, Server0, Port),
			timer:sleep(rand:uniform(1000)),
			do_actions(Kinds, Server, Port, Deadline, maps:update_with(Kind, fun(N) -> N + 1 end, 1, Actions));
		false ->
			{Server0, Actions}
	end.

do_action(kill, Server, Port) ->
	ok = chaos_server:kill(Server),
	timer:sleep(rand:uniform(500)),
	chaos_server:start(Port);
do_action(kill_in_hang, Server, Port) ->
	ok = chaos_server:freeze(Server),
	timer:sleep(rand:uniform(500)),
	do_action(kill, Server, Port);
do_action(hang, Server, _) ->
	do_hang(Server, rand:uniform(500));
%% Longer than the connections' pings may go unanswered.
do_action(long_hang, Server, _) ->
	do_hang(Server, 3000 + rand:uniform(1000));
do_action(refuse_connections, Server, _) ->
	ok = chaos_server:call(Server, do_refuse_connections, []),
	timer:sleep(rand:uniform(1000)),
	ok = chaos_server:call(Server, do_accept, []),
	Server;
do_action(refuse_upgrades, Server, _) ->
	ok = chaos_server:call(Server, do_refuse_upgrades, []),
	ok = chaos_server:call(Server, do_kill, [20]),
	timer:sleep(rand:uniform(500)),
	ok = chaos_server:call(Server, do_take_upgrades, []),
	%% A connection that was made meanwhile would be refused for as long as it lasts.
	ok = chaos_server:call(Server, do_kill, [100]),
	Server;
do_action(reset, Server, _) ->
	ok = chaos_server:call(Server, do_reset, [rand:uniform(50)]),
	Server;
do_action(reset_all, Server, _) ->
	ok = chaos_server:call(Server, do_reset, [100]),
	Server;
do_action(kill_some, Server, _) ->
	ok = chaos_server:call(Server, do_kill, [rand:uniform(50)]),
	Server;
do_action(close, Server, _) ->
	ok = chaos_server:call(Server, do_close, [rand:uniform(100)]),
	Server.

do_hang(Server, Ms) ->
	ok = chaos_server:freeze(Server),
	timer:sleep(Ms),
	ok = chaos_server:thaw(Server),
	Server.

%% The clients: each has a connection, sends numbers, one after the other, and looks at what comes back.

do_clients(Port) ->
	[begin
		Seed = rand:uniform(1 bsl 58),
		{Pid, MRef} = spawn_monitor(fun() ->
			_ = rand:seed(exsss, Seed),
			do_client(N, Port)
		end),
		{Pid, MRef, N}
	end || N <- lists:seq(1, ?CONNECTIONS)].

%% Tells them to come to an end, and has their reports.
do_finish(Clients) ->
	_ = [Pid ! finish || {Pid, _, _} <- Clients],
	[receive
		{'DOWN', MRef, process, Pid, {report, Report}} -> {N, Report};
		{'DOWN', MRef, process, Pid, Reason} -> error({client, N, Reason})
	after 4 * ?WAIT ->
		do_hangs(N, Pid, [Other || {Other, _, _} <- Clients])
	end || {Pid, MRef, N} <- Clients].

%% What is known of it, and of how many others hang with it; they are not left to the suites that follow.
-spec do_hangs(pos_integer(), pid(), [pid()]) -> no_return().
do_hangs(N, Pid, Pids) ->
	{dictionary, Dictionary} = process_info(Pid, dictionary),
	#{state := State = #{conn := ConnPid}} = maps:from_list(Dictionary),
	Info = ?CATCH(gun_rs:info(ConnPid)),
	Process = process_info(ConnPid, [messages, current_stacktrace]),
	Hanging = [Other || Other <- Pids, is_process_alive(Other)],
	_ = [begin
		#{state := #{conn := Conn}} = maps:from_list(D),
		_ = gun_rs:close(Conn),
		exit(Other, kill)
	end || Other <- Hanging, {dictionary, D} <- [process_info(Other, dictionary)]],
	error({client_hangs, N, State, Info, Process, {hanging, length(Hanging)}}).

do_client(N, Port) ->
	%% Pings that go unanswered tell of a server that hangs. With a queue, frames wait for the next upgrade.
	WsOpts = #{keepalive => 1000, keepalive_tolerance => 1, closing_timeout => 1000, reupgrade => case N rem 2 of
		0 -> true;
		1 -> #{queue => 1000}
	end},
	%% By the rules of gun, and by a fun.
	Retry = case N rem 3 of
		0 -> #{retry => 1000000, retry_timeout => 100};
		_ -> #{retry_fun => fun(_, _) -> #{retries => 1, timeout => rand:uniform(300)} end}
	end,
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Retry#{ws_opts => WsOpts}),
	_ = monitor(process, ConnPid),
	do_loop(#{
		conn => ConnPid,
		stream => gun_rs:ws_upgrade(ConnPid, "/echo"),
		%% Whether the WebSocket is there, as far as we know.
		up => false,
		%% The number of the last message that was sent, and of the last one that came back: ever, and in this upgrade.
		sent => 0,
		back => 0,
		%% The numbers of which it was said that they were not sent.
		refused => #{},
		%% The number of the last message of all, once it is time for it.
		last => undefined,
		finishing => false,
		counts => #{},
		wrong => []
	}).

do_loop(State = #{finishing := true, up := true, last := undefined}) ->
	do_loop(do_send(State));
do_loop(State) ->
	%% For whoever wants to know why it hangs.
	_ = put(state, State),
	Pause = 100 + rand:uniform(200),
	case do_receive(State, erlang:monotonic_time(millisecond) + Pause) of
		State1 = #{finishing := false} -> do_loop(do_send(State1));
		%% The last message that counts is the first that comes back after the end of the chaos.
		State1 = #{last := Last, back := Last, up := true} -> do_end(State1);
		State1 = #{up := true} -> do_loop(do_send(State1));
		State1 -> do_loop(State1)
	end.

%% Everything that comes until then.
do_receive(State, Until) ->
	receive
		Msg -> do_receive(do_message(Msg, State), Until)
	after max(0, Until - erlang:monotonic_time(millisecond)) ->
		State
	end.

do_message(finish, State) ->
	State#{finishing => true};
do_message({gun_up, Pid, http}, State = #{conn := Pid}) ->
	do_count(connections, State);
do_message({gun_upgrade, Pid, Ref, _, _}, State = #{conn := Pid, stream := Ref, up := false}) ->
	do_count(upgrades, State#{up => true});
do_message({gun_down, Pid, Protocol, Reason, Killed}, State = #{conn := Pid, up := Up, stream := Ref}) ->
	case {Protocol, Up, Killed} of
		{ws, true, [Ref]} -> do_count({down, Reason}, State#{up => false});
		{http, false, _} -> do_count({down_http, Reason}, State);
		_ -> do_wrong({gun_down, Protocol, Reason, Killed}, State)
	end;
do_message({gun_ws, Pid, Ref, {text, Text}},
		State = #{conn := Pid, stream := Ref, up := true, back := Back, sent := Sent, refused := Refused}) ->
	N = binary_to_integer(Text),
	%% No number is ever sent twice: what holds within one upgrade holds for all of them together.
	case N > Back andalso N =< Sent andalso not is_map_key(N, Refused) of
		true -> do_count(echoes, State#{back => N, refused => maps:filter(fun(M, _) -> M > N end, Refused)});
		false -> do_wrong({echo, N, {back, Back}, {sent, Sent}, maps:find(N, Refused)}, State)
	end;
do_message({gun_ws, Pid, Ref, {close, 1012, <<"restart">>}}, State = #{conn := Pid, stream := Ref, up := true}) ->
	do_count(closes, State);
%% A refusal, which is the end of upgrades that are repeated: another one is ours to ask for.
do_message({gun_response, Pid, Ref, nofin, 503, _}, State = #{conn := Pid, stream := Ref, up := false}) ->
	do_count(refusals, State);
do_message({gun_data, Pid, Ref, fin, <<"Later.">>}, State = #{conn := Pid, stream := Ref, up := false}) ->
	_ = erlang:send_after(rand:uniform(200), self(), upgrade),
	State;
do_message(upgrade, State) ->
	do_upgrade(State);
%% A first upgrade, or the first after a refusal, that was lost with its connection.
do_message({gun_error, Pid, Ref, Reason}, State = #{conn := Pid, stream := Ref, up := false})
		when Reason =:= closed; element(1, Reason) =:= closed ->
	do_upgrade(do_count(lost_upgrades, State));
do_message({gun_error, Pid, {badstate, _}}, State = #{conn := Pid}) ->
	do_count(badstate, State);
do_message({gun_error, Pid, Ref, send_queue_full}, State = #{conn := Pid, stream := Ref}) ->
	do_count(queue_full, State);
do_message(Msg, State) ->
	do_wrong(Msg, State).

do_upgrade(State = #{conn := ConnPid}) ->
	State#{stream => gun_rs:ws_upgrade(ConnPid, "/echo")}.

%% The next number; half of them with an answer, which must come, whatever it is and however long it takes.
do_send(State0 = #{conn := ConnPid, stream := StreamRef, sent := Sent, refused := Refused, finishing := Finishing}) ->
	N = Sent + 1,
	State = State0#{sent => N, last => case Finishing of true -> N; false -> undefined end},
	Frame = {text, integer_to_binary(N)},
	case rand:uniform(2) of
		1 ->
			ok = gun_rs:ws_send(ConnPid, StreamRef, Frame),
			do_count(sent, State);
		2 ->
			case gun_rs:ws_send_sync(ConnPid, StreamRef, Frame, infinity) of
				ok -> do_count(sync_ok, State);
				{error, {badstate, _}} -> do_count({sync, badstate}, State#{refused => Refused#{N => badstate}});
				{error, Reason} -> do_count({sync, Reason}, State#{refused => Refused#{N => Reason}})
			end
	end.

do_end(#{conn := ConnPid, counts := Counts, wrong := Wrong0}) ->
	Wrong = case gun_rs:info(ConnPid) of
		#{protocol := ws, state_name := connected_ws_only} -> Wrong0;
		Info -> [{not_up, Info}|Wrong0]
	end,
	ok = gun_rs:close(ConnPid),
	exit({report, #{counts => Counts, wrong => lists:reverse(Wrong)}}).

do_count(Key, State = #{counts := Counts}) ->
	State#{counts => maps:update_with(Key, fun(N) -> N + 1 end, 1, Counts)}.

%% The first few are enough.
do_wrong(What, State = #{wrong := Wrong}) when length(Wrong) < 5 ->
	State#{wrong => [{What, maps:without([counts, wrong], State)}|Wrong]};
do_wrong(_, State) ->
	State.

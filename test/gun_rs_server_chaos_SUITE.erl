%% A server in a node of its own, to which everything happens that can, while clients of every kind come and go: at the
%% end each that keeps to the rules has had its echoes, each handler has ended, and nothing is left.
%%
%% CHAOS_SECONDS says how long it goes on (10), CHAOS_IDLE how many WebSockets there are that send nothing (2000),
%% CHAOS_SEED what happens: the number that another run has printed, for the same actions in the same order.
-module(gun_rs_server_chaos_SUITE).

-define(NEEDS, [gun_rs, crypto, ssl, certs]).
-define(TIMETRAP, {seconds, do_environment("CHAOS_SECONDS", 10) + 900}).
-include("gun_rs_suite.hrl").

-define(ODD, 40).

do_environment(Name, Default) ->
	case os:getenv(Name) of
		false -> Default;
		"" -> Default;
		Value -> list_to_integer(Value)
	end.

chaos(Config) ->
	doc("A server is killed, stopped, reloaded and flooded at random, and neither loses a frame nor leaves anything."),
	Seconds = do_environment("CHAOS_SECONDS", 10),
	Seed = do_environment("CHAOS_SEED", erlang:unique_integer([positive]) * 7919 + erlang:system_time(second)),
	_ = rand:seed(exsss, Seed),
	Idle = do_idle(),
	do_print("CHAOS_SEED=~b CHAOS_SECONDS=~b CHAOS_IDLE=~b", [Seed, Seconds, Idle]),
	Server = chaos_served:start(#{certs => config(certs, Config), dir => config(priv_dir, Config)}),
	Ports = chaos_served:call(Server, do_ports, []),
	%% What comes to stay with the first connections is no leak: the code, the threads, the allocators' blocks.
	_ = do_round(Server, Ports, Idle, fun(_) -> timer:sleep(2000) end),
	Before = do_left(Server),
	MemoryBefore = chaos_served:call(Server, do_memory, []),
	Versions = atomics:new(1, []),
	Deadline = erlang:monotonic_time(millisecond) + 1000 * Seconds,
	{Actions, Counts, Odd} = do_round(Server, Ports, Idle, fun(V) -> do_chaos(Server, V, Deadline, #{}) end, Versions),
	After = #{counts := Handlers} = do_left(Server),
	%% Nobody is there, so there is nothing to do: a thread that turns round and round is found here.
	true = eventually(fun() -> do_rests(Server) end),
	MemoryAfter = chaos_served:call(Server, do_memory, []),
	do_print("actions ~p~ncounts ~p~nodd clients ~p~nhandlers ~p~nmemory before and after ~p ~p",
		[Actions, Counts, Odd, Handlers, MemoryBefore, MemoryAfter]),
	[] = chaos_served:call(Server, do_errors, []),
	ok = chaos_served:stop(Server),
	#{left := Left} = Before,
	#{left := Left} = After,
	%% 1011 tells of a handler that was killed, and of nothing else.
	#{killed := Killed} = Handlers,
	true = maps:get({close, 1011}, Counts, 0) =< Killed,
	true = maps:get(echoes, Counts) > 0,
	#{erlang := ErlangBefore, resident := ResidentBefore} = MemoryBefore,
	#{erlang := ErlangAfter, resident := ResidentAfter} = MemoryAfter,
	true = ErlangAfter - ErlangBefore < 16#800000,
	%% When all come back at once, the allocators keep a page or so for each.
	true = ResidentAfter - ResidentBefore < 16#6000000 + 4096 * Idle.

%% As many as the system allows: each of the two nodes has one end of each.
do_idle() ->
	Idle = do_environment("CHAOS_IDLE", 2000),
	case gun_rs_test:max_fds() of
		unlimited -> Idle;
		Max -> max(1, min(Idle, Max - 2000))
	end.

%% Where the tests are run, and not only in their log: what the seed was, and what came of it.
do_print(Format, Args) ->
	io:format(user, "~ngun_rs_server_chaos_SUITE: " ++ Format ++ "~n", Args),
	ct:log(Format, Args).

%% For whoever wants to know what happened when.
do_log(What) ->
	ct:log("~b: ~p", [erlang:system_time(millisecond), What]).

%% Clients come, something happens to them, and they go.

do_round(Server, Ports, Idle, Fun) ->
	do_round(Server, Ports, Idle, Fun, atomics:new(1, [])).

do_round(Server, Ports, Idle, Fun, Versions) ->
	do_log(clients),
	Clients = do_clients(Ports, Idle),
	Odd = chaos_odd_clients:start(?ODD, #{ports => Ports, versions => Versions}),
	Actions = Fun(Versions),
	do_log(finish),
	OddCounts = do_sum(chaos_odd_clients:finish(Odd)),
	do_log(odd_clients_are_gone),
	ok = chaos_ws_client:finish(Clients),
	do_log(all_are_there),
	true = eventually(fun() -> chaos_served:call(Server, do_accounts, []) end),
	Reports = chaos_ws_client:close(Clients),
	case [What || #{wrong := Wrong} <- Reports, What <- Wrong] of
		[] -> ok;
		Wrong -> error({wrong, length(Wrong), lists:sublist(Wrong, 10), {actions, Actions}})
	end,
	{Actions, do_sum([Counts || #{counts := Counts} <- Reports]), OddCounts}.

do_clients(Ports, Idle) ->
	Kinds = [{gen_tcp, clear}, {ssl, tls}],
	Active = [{Kind, Pace} || Kind <- Kinds, {Pace, Many} <- [{steady, 20}, {flood, 5}, {slow, 10}], _ <- lists:seq(1, Many)],
	%% A handshake is work.
	IdleOnes = [{lists:nth(case N rem 20 of 0 -> 2; _ -> 1 end, Kinds), idle} || N <- lists:seq(1, Idle)],
	[chaos_ws_client:start(#{transport => Transport, port => proplists:get_value(Ref, Ports), pace => Pace})
		|| {{Transport, Ref}, Pace} <- Active ++ IdleOnes].

do_sum(Maps) ->
	lists:foldl(fun(Map, Acc) ->
		maps:fold(fun(Key, N, A) -> maps:update_with(Key, fun(M) -> M + N end, N, A) end, Acc, Map)
	end, #{}, Maps).

%% Nothing is there but the task that accepts, of each listener.
do_left(Server) ->
	None = #{handlers => 0, connections => 0, processes => 0, native => #{connections => 0, tasks => 2},
		active => [#{active_connections => 0, upgraded => 0}, #{active_connections => 0, upgraded => 0}]},
	true = eventually(fun() ->
		#{left := Left} = chaos_served:call(Server, do_left, []),
		Left =:= None orelse Left
	end),
	chaos_served:call(Server, do_left, []).

do_rests(Server) ->
	Before = chaos_served:call(Server, do_cpu, []),
	timer:sleep(1000),
	Spent = chaos_served:call(Server, do_cpu, []) - Before,
	Spent < 20 orelse {spent, Spent}.

%% The server's fate.

do_chaos(Server, Versions, Deadline, Actions0) ->
	%% Each kind in turn, in an order that is drawn anew for each turn, so that none is left out for long.
	Kinds = [Kind || {_, Kind} <- lists:sort([{rand:uniform(), Kind} || Kind <- do_kinds()])],
	Actions = do_actions(Kinds, Server, Versions, Deadline, Actions0),
	case erlang:monotonic_time(millisecond) < Deadline of
		true -> do_chaos(Server, Versions, Deadline, Actions);
		false -> Actions
	end.

do_kinds() ->
	[restart_application, restart_listener, suspend, kill_listener, kill_listener, kill_handlers, shut_handlers, close,
		reload_modules, reload_modules, reload_certificates, set_env, broadcast, broadcast, broadcast].

do_actions([], _, _, _, Actions) ->
	Actions;
do_actions([Kind|Kinds], Server, Versions, Deadline, Actions) ->
	case erlang:monotonic_time(millisecond) < Deadline of
		true ->
			do_log(Kind),
			ok = do_action(Kind, Server, Versions),
			timer:sleep(rand:uniform(600)),
			do_actions(Kinds, Server, Versions, Deadline, maps:update_with(Kind, fun(N) -> N + 1 end, 1, Actions));
		false ->
			Actions
	end.

do_action(restart_application, Server, _) -> chaos_served:call(Server, do_restart_application, []);
do_action(restart_listener, Server, _) ->
	chaos_served:call(Server, do_restart_listener, [lists:nth(rand:uniform(2), [clear, tls])]);
do_action(suspend, Server, _) -> chaos_served:call(Server, do_suspend, [rand:uniform(500)]);
do_action(kill_listener, Server, _) -> chaos_served:call(Server, do_kill_listener, []);
do_action(kill_handlers, Server, _) -> chaos_served:call(Server, do_kill_handlers, [rand:uniform(20), kill]);
do_action(shut_handlers, Server, _) -> chaos_served:call(Server, do_kill_handlers, [rand:uniform(20), shutdown]);
do_action(close, Server, _) -> chaos_served:call(Server, do_close, [rand:uniform(20)]);
do_action(reload_modules, Server, _) -> chaos_served:call(Server, do_reload_modules, []);
do_action(reload_certificates, Server, _) ->
	chaos_served:call(Server, do_reload_certificates, [lists:nth(rand:uniform(2), [good, good_rsa])]);
do_action(set_env, Server, Versions) ->
	ok = atomics:put(Versions, 1, chaos_served:call(Server, do_set_env, []));
do_action(broadcast, Server, _) -> chaos_served:call(Server, do_broadcast, []).

%% What a checkout of a pool costs the caller, beside gun_pool's where gun 2 is in the code path: scripts/measure-checkout.sh
%% runs it. Nothing is asked of the server but the connections.
-module(measure_checkout).

-export([main/1]).

-define(COUNT, 200000).

%% Far beyond what a pool takes to be up, in ms.
-define(PATIENCE, 30000).

main([Runs]) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	{_, Port} = pool_server:start(fun(_) -> {reply, "ok"} end),
	Pools = [gun_rs_pool] ++ [gun_pool || code:which(gun_pool) =/= non_existing,
		{ok, _} <- [application:ensure_all_started(gun)]],
	io:format("| us for each checkout | 1 connection, 1 caller | 50 connections, 1 caller | 50 connections, 50 callers |~n"
		"|---|---:|---:|---:|~n"),
	_ = [io:format("| ~s | ~s |~n", [Pool, lists:join(" | ", [
		io_lib:format("~.2f", [figures:median([run(Pool, Port, Size, Callers) || _ <- lists:seq(1, list_to_integer(Runs))])])
		|| {Size, Callers} <- [{1, 1}, {50, 1}, {50, 50}]])]) || Pool <- Pools],
	halt().

%% In us of the wall clock, of all callers together.
run(Pool, Port, Size, Callers) ->
	{ok, Pid} = Pool:start_pool("localhost", Port, #{size => Size, conn_opts => #{protocols => [http]}}),
	ok = await_up(Pool, Pid),
	Each = ?COUNT div Callers,
	{Microseconds, ok} = timer:tc(fun() ->
		Monitors = [monitor(process, spawn(fun() -> checkouts(Pool, Pid, Each) end)) || _ <- lists:seq(1, Callers)],
		lists:foreach(fun(MRef) -> receive {'DOWN', MRef, process, _, normal} -> ok end end, Monitors)
	end),
	ok = Pool:stop_pool("localhost", Port),
	Microseconds / (Each * Callers).

await_up(gun_rs_pool, Pid) ->
	gun_rs_pool:await_up(Pid);
await_up(Pool, Pid) ->
	await_up(Pool, Pid, ?PATIENCE).

await_up(Pool, Pid, Left) when Left > 0 ->
	case Pool:info(Pid) of
		{operational, _} -> ok;
		_ -> timer:sleep(10), await_up(Pool, Pid, Left - 10)
	end.

checkouts(_, _, 0) ->
	ok;
checkouts(Pool, Pid, Count) ->
	{ConnPid, _} = Pool:checkout(Pid, #{}),
	true = is_pid(ConnPid),
	checkouts(Pool, Pid, Count - 1).

%% What a checkout of a pool takes, of gun_rs_pool and of gun_pool. Nothing is asked of the server but the connections.
-module(bench_pool).

-export([run/3]).

%% How long the pool's connections may take, in ms.
-define(PATIENCE, 60000).

%% One caller, or one for each connection; together they check out as often as the workload says.
run(Client, #{port := Port}, #{do := Do, connections := Connections, count := Count}) ->
	Pool = pool(Client),
	{ok, Pid} = Pool:start_pool("localhost", Port, #{size => Connections, conn_opts => #{protocols => [http]}}),
	ok = await_up(Pool, Pid, ?PATIENCE),
	Callers = case Do of
		checkout -> 1;
		checkout_each -> Connections
	end,
	%% Nothing is done for the first time.
	ok = checkouts(Pool, Pid, Callers),
	bench_client:timed(fun() -> all_at_once(Callers, fun() -> checkouts(Pool, Pid, Count div Callers) end) end).

pool(gun_rs) -> gun_rs_pool;
pool(gun) -> gun_pool.

%% Until all of its connections are up.
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

all_at_once(1, Do) ->
	Do();
all_at_once(Processes, Do) ->
	MRefs = [element(2, spawn_monitor(fun() -> exit(Do()) end)) || _ <- lists:seq(1, Processes)],
	lists:foreach(fun(MRef) -> receive {'DOWN', MRef, process, _, ok} -> ok end end, MRefs).

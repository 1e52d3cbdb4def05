%% What a connection that floods costs the others: round trips on them, first while nothing else happens, then beside a
%% flood of messages that the node receives or sends as fast as it can.
-module(bench_others).

-export([run/3]).

%% Enough that each of the I/O threads has one of them, the one that has the flood too.
-define(OTHERS, 4).

%% In ms, for the round trips of one connection.
-define(AT_MOST, 2000).

-define(FLOOD_SIZE, 1024).

%% Messages that are sent before the server's count of those before them is awaited: the queues stay short of filling
%% the memory, and never run dry.
-define(BATCH, 1000).

run(Client, Target, #{do := Do, count := Count, size := Size}) ->
	Conns = [bench_conn:open(Client, Target, "/echo") || _ <- lists:seq(1, ?OTHERS)],
	Frames = bench_conn:payloads(Client, Target, Size),
	Medians = fun() -> [median(Client, Conn, Frames, Count div ?OTHERS) || Conn <- Conns] end,
	_ = Medians(),
	Quiet = figures:median(Medians()),
	Flooded = counters:new(1, []),
	_ = spawn_link(fun() -> flood(Do, Client, Target, Flooded) end),
	ok = await_flood(Flooded),
	Observer = start_observer(),
	Before = counters:get(Flooded, 1),
	{Elapsed, Beside} = timer:tc(fun() -> lists:max(Medians()) end),
	Rate = (counters:get(Flooded, 1) - Before) * 1000000 div Elapsed,
	(observed(Observer))#{beside_us => Beside, quiet_us => Quiet, flood_per_sec => Rate}.

median(Client, Conn, Frames, Count) ->
	figures:median(round_trips(Client, Conn, Frames, Count, erlang:monotonic_time(millisecond) + ?AT_MOST)).

round_trips(Client, Conn, Frames, Count, Deadline) ->
	{Took, ok} = timer:tc(fun() -> bench_conn:echo(Client, Conn, Frames, 1, 1) end),
	case Count > 1 andalso erlang:monotonic_time(millisecond) < Deadline of
		true -> [Took|round_trips(Client, Conn, Frames, Count - 1, Deadline)];
		false -> [Took]
	end.

flood(beside_recv, Client, Target, Flooded) ->
	Path = lists:concat(["/flood?wait=1&n=", 1 bsl 63, "&size=", ?FLOOD_SIZE]),
	Conn = bench_conn:open(Client, Target, Path),
	bench_conn:send(Client, Conn, {text, <<"go">>}),
	take(Conn, Flooded);
flood(beside_send, Client, Target, Flooded) ->
	Conn = bench_conn:open(Client, Target, "/sink"),
	Frames = bench_conn:payloads(Client, Target, ?FLOOD_SIZE),
	batch(Client, Conn, Frames),
	give(Client, Conn, Frames, Flooded).

take(Conn, Flooded) ->
	{binary, _} = bench_conn:frame(Conn),
	counters:add(Flooded, 1, 1),
	take(Conn, Flooded).

give(Client, Conn, Frames, Flooded) ->
	batch(Client, Conn, Frames),
	{text, _} = bench_conn:frame(Conn),
	counters:add(Flooded, 1, ?BATCH),
	give(Client, Conn, Frames, Flooded).

batch(Client, Conn, Frames) ->
	ok = bench_conn:send_all(Client, Conn, Frames, ?BATCH),
	bench_conn:send(Client, Conn, {text, <<"count">>}).

await_flood(Flooded) ->
	case counters:get(Flooded, 1) of
		0 -> timer:sleep(10), await_flood(Flooded);
		_ -> ok
	end.

start_observer() ->
	Observer = spawn(fun() -> observe([]) end),
	_ = erlang:system_monitor(Observer, [{long_schedule, 1}]),
	Observer.

observed(Observer) ->
	_ = erlang:system_monitor(undefined),
	Observer ! {tell, self()},
	%% 0 is one of less than a millisecond.
	receive
		{observed, Schedules} ->
			#{longest_schedule_ms => lists:max([0|Schedules]), long_schedules => length(Schedules)}
	end.

observe(Schedules) ->
	receive
		{monitor, _, long_schedule, Info} ->
			{timeout, Milliseconds} = lists:keyfind(timeout, 1, Info),
			observe([Milliseconds|Schedules]);
		{tell, Pid} ->
			Pid ! {observed, Schedules}
	end.

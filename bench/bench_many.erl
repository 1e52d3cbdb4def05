%% The workloads of many connections.
-module(bench_many).

-export([run/3]).

%% So many messages are under way at once on the curve, whatever the connections. From 10 connections on no connection
%% has more than one: what changes is the number of connections, and not how many frames share a write.
-define(UNDER_WAY, 10).

%% In ms, between two messages of a connection.
-define(PACE, 100).

%% A process for each connection, with 8 messages under way.
run(Client, Target, #{do := echo_many, connections := Connections, count := Count, size := Size}) ->
	Frames = bench_conn:payloads(Client, Target, Size),
	{Times, _} = all_at_once(Connections, fun(_) ->
		Conn = bench_conn:open(Client, Target, "/echo"),
		fun() -> bench_conn:echo(Client, Conn, Frames, Count div Connections, 8) end
	end),
	Times;
%% A process for each connection, which sends at a steady pace; all of them are spread over the time between.
run(Client, Target, #{do := paced, connections := Connections, count := Count, size := Size}) ->
	Frames = bench_conn:payloads(Client, Target, Size),
	{Times, Results} = all_at_once(Connections, fun(I) ->
		Conn = bench_conn:open(Client, Target, "/echo"),
		fun() ->
			At = erlang:monotonic_time(millisecond) + I * ?PACE div Connections,
			paced(Client, Conn, Frames, At, Count div Connections, [])
		end
	end),
	Taken = lists:sort(lists:append(Results)),
	Times#{rtt_us => figures:median(Taken), rtt_p99_us => lists:nth(max(1, length(Taken) * 99 div 100), Taken)};
%% A process for each message under way, which goes round its share of the connections.
run(Client, Target, #{do := curve, connections := Connections, count := Count, size := Size}) ->
	Frames = bench_conn:payloads(Client, Target, Size),
	Workers = min(?UNDER_WAY, Connections),
	{Times, _} = all_at_once(Workers, fun(_) ->
		Conns = [bench_conn:open(Client, Target, "/echo") || _ <- lists:seq(1, Connections div Workers)],
		Visit = fun(Conn) ->
			bench_conn:echo(Client, Conn, Frames, ?UNDER_WAY div Workers, ?UNDER_WAY div Workers)
		end,
		%% The first message of a connection takes more than the others.
		ok = lists:foreach(Visit, Conns),
		fun() ->
			_ = [lists:foreach(Visit, Conns) || _ <- lists:seq(1, Count div max(Connections, ?UNDER_WAY))],
			ok
		end
	end),
	Times.

paced(_, _, _, _, 0, Taken) ->
	Taken;
paced(Client, Conn, Frames, At, Count, Taken) ->
	timer:sleep(max(0, At - erlang:monotonic_time(millisecond))),
	Began = erlang:monotonic_time(microsecond),
	ok = bench_conn:echo(Client, Conn, Frames, 1, 1),
	Took = erlang:monotonic_time(microsecond) - Began,
	paced(Client, Conn, Frames, At + ?PACE, Count - 1, [Took|Taken]).

%% Has each of the processes prepare, one after the other, and then all do at once what they have prepared.
all_at_once(Processes, Prepare) ->
	Self = self(),
	Pids = [begin
		Pid = spawn_link(fun() ->
			Do = Prepare(I),
			Self ! {ready, self()},
			receive go -> ok end,
			Result = Do(),
			Self ! {done, self()},
			Self ! {result, self(), Result},
			%% Its connections would end with it, which is no part of the work.
			receive never -> ok end
		end),
		receive {ready, Pid} -> Pid end
	end || I <- lists:seq(1, Processes)],
	Times = bench_client:timed(fun() ->
		_ = [Pid ! go || Pid <- Pids],
		lists:foreach(fun(Pid) -> receive {done, Pid} -> ok end end, Pids)
	end),
	{Times, [receive {result, Pid, Result} -> Result end || Pid <- Pids]}.

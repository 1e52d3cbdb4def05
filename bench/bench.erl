%% The benchmarks: gun_rs, gun, and what limits both, in turn and in one run. `make bench` runs them.
%%
%% Each measurement has a client of its own, a node or a program; the servers stay. A workload's limit is the slower of
%% what the wire takes, with a plain Rust client, and, for what is received, of what the VM takes, with messages from a
%% native thread. The figures are medians. What gun_rs does as a server is in bench_server, beside Cowboy. A checkout of a
%% pool has no limit beside it: nothing goes over the wire.
-module(bench).

-export([main/1]).

%% How long gun may take for what it does one after the other, in us.
-define(AT_MOST, 10000000).

%% Rounds, Scale in percent of the messages, where to write the results, and the workloads, of which none means all.
main([Rounds, Scale, File|Names]) ->
	{ok, _} = application:ensure_all_started(crypto),
	All = workloads(list_to_integer(Scale)),
	_ = [bench_run:stop("bench: there is no workload ~s~n", [Name]) || Name <- Names -- [name(Workload) || Workload <- All]],
	Plain = serve([]),
	Servers = #{
		"" => Plain,
		"pool_" => Plain,
		"tls_" => serve(["--tls", bench_run:env("BENCH_CERT"), bench_run:env("BENCH_KEY")]),
		"deflate_" => serve(["--deflate"]),
		%% Windows as large as those of gun and gun_rs.
		"http2_" => serve(["--http2", "--window", "8000000"])
	},
	io:format("~s~n~n", [bench_report:heading()]),
	Results = [begin
		Result = {Workload, measure(Workload, Servers, list_to_integer(Rounds))},
		ok = bench_report:tell(Result),
		Result
	end || Workload <- All, Names =:= [] orelse lists:member(name(Workload), Names)],
	io:format("~n~ts~n", [bench_report:tables(Results)]),
	ok = bench_report:write(File, Results),
	halt().

name(#{prefix := Prefix, name := Name}) -> Prefix ++ Name.

workloads(Scale) ->
	Clients = [{gun, Prefix, Name, Do, Connections, Count, Size}
		|| Prefix <- ["", "tls_", "deflate_", "http2_", "pool_"], {Name, Do, Connections, Count, Size} <- workloads_with(Prefix)],
	Servers = [{cowboy, Prefix, Name, Do, Connections, Count, Size}
		|| {Prefix, Name, Do, Connections, Count, Size} <- bench_server:workloads()],
	[scaled(Scale, #{beside => Other, prefix => Prefix, name => Name, do => Do, connections => Connections,
			count => Count, size => Size, unit => unit(Do), gun_nodelay => Name =/= "connects_default_per_sec"})
		|| {Other, Prefix, Name, Do, Connections, Count, Size} <- Clients ++ Servers].

%% Its name, what is done, on how many connections, the messages (or what else is counted) and their size in bytes.
workloads_with("") ->
	common() ++ [
		{"idle_memory", idle, 5000, 5000, 0},
		{"recv_flood_rtt", beside_recv, 1, 20000, 16},
		{"send_flood_rtt", beside_send, 1, 20000, 16}
	] ++ [{"curve_cpu_" ++ integer_to_list(N), curve, N, 50000, 64} || N <- [1, 10, 100, 1000, 5000]];
workloads_with("tls_") ->
	[{Name, Do, Connections, tls_count(Do, Count), Size} || {Name, Do, Connections, Count, Size} <- common()]
		++ [{"connects_default_per_sec", connect, 1, 1000, 0}, {"idle_memory", idle, 1500, 1500, 0}];
%% The server is not what these wait for. For a message it takes, in us of CPU time beside those of the plain client, 12
%% beside 26 to echo, 3 beside 20 and 110 beside 1140 (64 KiB) to receive, and less than 1 beside 2 and 5 beside 138 to
%% send: a flood is compressed once, and sent round and round.
workloads_with("deflate_") ->
	[
		{"echo_1k", echo, 1, 20000, 1024},
		{"send_1k", send, 1, 50000, 1024},
		{"send_64k", send, 1, 1000, 16#10000},
		{"recv_1k", recv, 1, 100000, 1024},
		{"recv_64k", recv, 1, 4000, 16#10000}
	];
%% A body of 1 GiB is counted in MiB. gun 1 has no WebSocket there.
workloads_with("http2_") ->
	[
		{"get_1k", http2_get, 1, 10000, 1024},
		{"get_1k_100", http2_get_100, 1, 50000, 1024},
		{"down_1g", http2_down, 1, 1024, 16#100000},
		{"up_1g", http2_up, 1, 1024, 16#100000}
	] ++ [{"echo_1k", http2_echo, 1, 50000, 1024} || not bench_conn:is_gun_1()];
%% gun 1 has no pools. The connections are those of the pool.
workloads_with("pool_") ->
	[{Name, Do, Connections, 200000, 0} || not bench_conn:is_gun_1(), {Name, Do, Connections} <- [
		{"checkout", checkout, 1},
		{"checkout_50", checkout, 50},
		{"checkout_50_callers", checkout_each, 50}
	]].

%% There is enough to receive for some half a second: in the first milliseconds of a flood the VM still takes memory
%% from the system.
common() ->
	[
		{"rtt_16b", rtt, 1, 10000, 16},
		{"echo_1k", echo, 1, 50000, 1024},
		{"send_16b", send, 1, 200000, 16},
		{"send_1k", send, 1, 200000, 1024},
		{"send_64k", send, 1, 10000, 16#10000},
		{"send_1m", send, 1, 500, 16#100000},
		{"recv_16b", recv, 1, 1000000, 16},
		{"recv_1k", recv, 1, 600000, 1024},
		{"recv_64k", recv, 1, 40000, 16#10000},
		{"recv_1m", recv, 1, 4000, 16#100000},
		{"connects_per_sec", connect, 1, 1000, 0},
		{"many_50", echo_many, 50, 100000, 1024},
		{"many_1000", paced, 1000, 100000, 64}
	].

tls_count(send, Count) -> Count div 2;
tls_count(recv, Count) -> Count div 2;
tls_count(_, Count) -> Count.

unit(Do) when Do =:= idle; Do =:= load_idle -> "KiB";
unit(Do) when Do =:= connect; Do =:= load_upgrades -> "/s";
unit(Do) when Do =:= curve; Do =:= paced -> "CPU us";
unit(_) -> "us".

%% A tenth of the messages still goes over all connections.
scaled(Scale, Workload = #{do := Do, connections := Connections0}) when Do =:= idle; Do =:= load_idle ->
	Connections = min(Connections0, max(200, Connections0 * Scale div 10)),
	Workload#{connections := Connections, count := Connections};
scaled(Scale, Workload = #{connections := 1, count := Count}) ->
	Workload#{count := max(10, Count * Scale div 100)};
scaled(Scale, Workload = #{connections := Connections0, count := Count}) ->
	Connections = min(Connections0, max(50, Connections0 * Scale div 10)),
	%% Each connection has as many as the others.
	Workload#{connections := Connections, count := max(1, Count * Scale div 100 div Connections) * Connections}.

clients(#{do := recv}) -> [gun_rs, gun, rust, vm];
clients(#{prefix := "pool_"}) -> [gun_rs, gun];
clients(_) -> [gun_rs, gun, rust].

%% The clients take turns, so that what else the machine does befalls them alike.
measure(Workload = #{beside := cowboy}, _, Rounds) ->
	maps:map(fun(_, Runs) -> medians(Runs) end, bench_server:measure(Workload, Rounds));
measure(Workload = #{prefix := Prefix}, Servers, Rounds) ->
	Port = maps:get(Prefix, Servers),
	Own = [{Client, own(Client, Workload, Port)} || Client <- clients(Workload)],
	Runs = [{Client, each(W, run(Client, Port, W))} || _ <- lists:seq(1, Rounds), {Client, W} <- Own],
	maps:from_list([{Client, medians([Figures || {C, Figures} <- Runs, C =:= Client])} || {Client, _} <- Own]).

medians(Runs = [First|_]) ->
	maps:map(fun(Key, _) -> figures:median([maps:get(Key, Figures) || Figures <- Runs]) end, First).

%% A client that would need minutes does less: its figure is for each message all the same.
own(gun, Workload = #{do := Do, connections := 1, count := Count}, Port)
		when Count > 10000, (Do =:= echo orelse Do =:= send orelse Do =:= http2_get_100 orelse Do =:= http2_echo);
			Count > 1000, (Do =:= recv orelse Do =:= http2_get);
			Count > 100, (Do =:= connect orelse Do =:= http2_down orelse Do =:= http2_up) ->
	Few = max(10, Count div 20),
	#{wall := Wall} = run(gun, Port, Workload#{count := Few}),
	Workload#{count := min(Count, max(Few, round(?AT_MOST / max(1, Wall) * Few)))};
own(_, Workload, _) ->
	Workload.

%% What a run came to, for each message. The figure is what clients are compared by.
each(#{do := idle, connections := Connections}, #{bytes := Bytes}) ->
	#{figure => Bytes / Connections / 1024};
each(_, Told = #{beside_us := Beside, quiet_us := Quiet}) ->
	(maps:remove(beside_us, Told))#{figure => Beside, times_quiet => Beside / Quiet};
each(#{do := Do, count := Count}, Told = #{wall := Wall, cpu := Cpu0}) ->
	Cpu = Cpu0 / Count,
	Figure = case Do of
		connect -> Count * 1000000 / Wall;
		paced -> Cpu;
		curve -> Cpu;
		_ -> Wall / Count
	end,
	(maps:remove(wall, Told))#{figure => Figure, cpu := Cpu}.

run(rust, Port, Workload) ->
	plain_client(Port, Workload);
run(Client, Port, Workload = #{do := Do}) when Do =:= beside_recv; Do =:= beside_send ->
	Told = run_in(["erl"], Client, Port, Workload),
	case bench_run:real_time(["erl"]) of
		not_granted ->
			Told;
		{granted, Command} ->
			%% No other program can take the processors from this one: what is left, the client costs by itself.
			Alone = #{beside_us := Beside, quiet_us := Quiet} = run_in(Command, Client, Port, Workload),
			Schedules = maps:with([long_schedules, longest_schedule_ms], Alone),
			(maps:merge(Told, Schedules))#{times_quiet_real_time => Beside / Quiet}
	end;
run(Client, Port, Workload) ->
	run_in(["erl"], Client, Port, Workload).

run_in(Command, Client, Port, Workload = #{prefix := Prefix, gun_nodelay := GunNodelay}) ->
	Peer = bench_run:start_peer(Command),
	Target = #{port => Port, gun_nodelay => GunNodelay, compress => Prefix =:= "deflate_", root => case Prefix of
		"tls_" -> bench_run:env("BENCH_ROOT");
		_ -> undefined
	end},
	Told = bench_run:call(Peer, bench_client, run, [Client, Target, Workload]),
	peer:stop(Peer),
	Told.

plain_client(Port, #{prefix := Prefix, do := Do, connections := Connections, count := Count, size := Size}) ->
	Args = ["localhost", integer_to_list(Port), atom_to_list(Do)|[integer_to_list(N) || N <- [Connections, Count, Size]]]
		++ case Prefix of
			"tls_" -> ["--root", bench_run:env("BENCH_ROOT")];
			"deflate_" -> ["--deflate"];
			_ -> []
		end,
	bench_run:figures(bench_run:program(bench_run:env("GUN_RS_BENCH_CLIENT"), Args)).

%% A server that ends with this node.
serve(Args) ->
	Server = bench_run:program(bench_run:env("GUN_RS_TESTSERVER"), ["--until-eof"|Args]),
	"listening on " ++ Address = bench_run:line(Server),
	list_to_integer(lists:last(string:lexemes(Address, ":"))).

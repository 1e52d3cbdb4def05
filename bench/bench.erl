%% The benchmarks: gun_rs, gun, and what limits both, in turn and in one run. `make bench` runs them.
%%
%% Each measurement has a client of its own, a node or a program; the servers stay. A workload's limit is the slower of
%% what the wire takes, with a plain Rust client, and, for what is received, of what the VM takes, with messages from a
%% native thread. The figures are medians.
-module(bench).

-export([main/1]).

%% How long one measurement may take, in ms.
-define(PATIENCE, 600000).

%% Rounds, Scale in percent of the messages, where to write the results, and the workloads, of which none means all.
main([Rounds, Scale, File|Names]) ->
	{ok, _} = application:ensure_all_started(crypto),
	Servers = #{"" => serve([]), "tls_" => serve(["--tls", env("BENCH_CERT"), env("BENCH_KEY")])},
	Chosen = [Workload || Workload={Name, _, _, _} <- workloads(), Names =:= [] orelse lists:member(Name, Names)],
	_ = [stop("bench: there is no workload ~s~n", [Name]) || Name <- Names, not lists:keymember(Name, 1, workloads())],
	io:format("~s~n~n", [heading()]),
	Results = [begin
		Result = measure(Workload, Servers, list_to_integer(Rounds), list_to_integer(Scale)),
		tell(Result),
		Result
	end || Workload <- Chosen],
	io:format("~n~ts~n", [table(Results)]),
	ok = write(File, Results),
	halt().

stop(Format, Args) ->
	io:format(standard_error, Format, Args),
	halt(2).

env(Name) ->
	case os:getenv(Name) of
		false -> stop("bench: ~s is not set; run scripts/bench.sh~n", [Name]);
		Value -> Value
	end.

%% What it is called, what it does, how many messages (or connections), and their size in bytes.
workloads() ->
	[{Prefix ++ Name, {Prefix, Do}, Count, Size}
		|| Prefix <- ["", "tls_"], {Name, Do, Count0, Size} <- [
			{"rtt_16b", rtt, 10000, 16},
			{"echo_1k", echo, 50000, 1024},
			{"send_16b", send, 200000, 16},
			{"send_1k", send, 200000, 1024},
			{"send_64k", send, 10000, 16#10000},
			{"send_1m", send, 500, 16#100000},
			{"recv_16b", recv, 1000000, 16},
			{"recv_1k", recv, 300000, 1024},
			{"recv_64k", recv, 10000, 16#10000},
			{"recv_1m", recv, 1000, 16#100000},
			{"connects_per_sec", connect, 1000, 0},
			{"idle_memory", idle, 5000, 0}
		], Count <- [count(Prefix, Do, Count0)]].

count("tls_", idle, _) -> 1500;
count("tls_", send, Count) -> Count div 2;
count("tls_", recv, Count) -> Count div 2;
count(_, _, Count) -> Count.

clients({_, recv}) -> [gun_rs, gun, rust, vm];
clients(_) -> [gun_rs, gun, rust].

%% The clients take turns, so that what else the machine does befalls them alike.
measure({Name, What={Prefix, Do}, Count, Size}, Servers, Rounds, Scale) ->
	Port = maps:get(Prefix, Servers),
	Clients = clients(What),
	Counts = [{Client, own_count(Client, {Name, What, Count, Size}, Port, Scale)} || Client <- Clients],
	Runs = [{Client, run(Client, Prefix, Port, {Do, N, Size})} || _ <- lists:seq(1, Rounds), {Client, N} <- Counts],
	Figures = maps:from_list([begin
		{Walls, Cpus} = lists:unzip([each(Do, Run, N) || {C, Run} <- Runs, C =:= Client]),
		{Client, {figures:median(Walls), figures:median(Cpus)}}
	end || {Client, N} <- Counts]),
	{Name, Do, Figures}.

%% A client that would need minutes does less: its figure is for each message all the same.
own_count(Client, {_, {Prefix, Do}, Count0, Size}, Port, Scale) ->
	Count = max(10, Count0 * Scale div 100),
	case Client =:= gun andalso Do =/= idle andalso Count > 100 of
		true ->
			Few = max(10, Count div 20),
			{Wall, _} = run(Client, Prefix, Port, {Do, Few, Size}),
			%% Ten seconds at most.
			min(Count, max(Few, round(10000000 / max(1, Wall) * Few)));
		false ->
			Count
	end.

each(idle, {Bytes, _}, Count) -> {Bytes / Count / 1024, 0.0};
each(connect, {Wall, Cpu}, Count) -> {Count * 1000000 / Wall, Cpu / Count};
each(_, {Wall, Cpu}, Count) -> {Wall / Count, Cpu / Count}.

run(rust, Prefix, Port, {Do, Count, Size}) ->
	Args = ["localhost", integer_to_list(Port), atom_to_list(Do), integer_to_list(Count), integer_to_list(Size)
		|[env("BENCH_ROOT") || Prefix =:= "tls_"]],
	Program = open_port({spawn_executable, env("GUN_RS_BENCH_CLIENT")},
		[{args, Args}, exit_status, {line, 1000}, use_stdio]),
	[Wall, Cpu] = string:lexemes(line(Program), " "),
	{list_to_integer(Wall), list_to_integer(Cpu)};
run(Client, Prefix, Port, Workload) ->
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["+sbwt", "none", "-pa"|code:get_path()]}),
	Root = case Prefix of
		"tls_" -> env("BENCH_ROOT");
		"" -> undefined
	end,
	Result = peer:call(Peer, bench_client, run, [Client, #{port => Port, root => Root}, Workload], ?PATIENCE),
	peer:stop(Peer),
	Result.

%% A server that ends with this node.
serve(Args) ->
	Server = open_port({spawn_executable, env("GUN_RS_TESTSERVER")},
		[{args, ["--until-eof"|Args]}, exit_status, {line, 1000}, use_stdio]),
	"listening on " ++ Address = line(Server),
	list_to_integer(lists:last(string:lexemes(Address, ":"))).

line(Program) ->
	receive
		{Program, {data, {eol, Line}}} -> Line;
		{Program, {exit_status, Status}} -> error({program_failed, Status})
	after ?PATIENCE ->
		error(no_line)
	end.

%% Ratios above 1 are better for gun_rs.
tell(Result={Name, _, _}) ->
	#{gun_rs := Ours, gun := Guns, limit := Limit, vs_gun := VsGun, vs_limit := VsLimit} = figures(Result),
	io:format("bench ~s gun_rs=~s gun=~s limit=~s vs_gun=~.2f vs_limit=~.2f~n",
		[Name, show(Ours), show(Guns), show(Limit), VsGun, VsLimit]).

figures({_, Do, Clients}) ->
	[{Ours, OurCpu}, {Guns, GunsCpu}, {Rust, _}] = [maps:get(Client, Clients) || Client <- [gun_rs, gun, rust]],
	Limit = case Clients of
		#{vm := {Vm, _}} -> max(Rust, Vm);
		_ -> Rust
	end,
	#{gun_rs => Ours, gun => Guns, limit => Limit, cpu => OurCpu, gun_cpu => GunsCpu,
		vs_gun => ratio(Do, Ours, Guns), vs_limit => ratio(Do, Ours, Limit)}.

ratio(connect, Ours, Theirs) -> Ours / max(0.001, Theirs);
ratio(_, Ours, Theirs) -> Theirs / max(0.001, Ours).

show(Figure) when Figure >= 100 -> integer_to_list(round(Figure));
show(Figure) when Figure >= 10 -> io_lib:format("~.1f", [Figure]);
show(Figure) -> io_lib:format("~.2f", [float(Figure)]).

unit(idle) -> "KiB";
unit(connect) -> "/s";
unit(_) -> "us".

table(Results) ->
	["| workload | unit | gun_rs | gun | limit | to gun | to the limit | CPU us, gun_rs | CPU us, gun |\n"
		"|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
	[begin
		#{gun_rs := Ours, gun := Guns, limit := Limit, cpu := Cpu, gun_cpu := GunCpu, vs_gun := VsGun,
			vs_limit := VsLimit} = figures(Result),
		io_lib:format("| ~s | ~s | ~s | ~s | ~s | ~.1f x | ~.2f x | ~s | ~s |~n",
			[Name, unit(Do), show(Ours), show(Guns), show(Limit), VsGun, VsLimit, show(Cpu), show(GunCpu)])
	end || Result={Name, Do, _} <- Results]].

heading() ->
	_ = application:load(gun),
	{ok, Gun} = application:get_key(gun, vsn),
	io_lib:format("OTP ~s, gun ~s, ~b schedulers, ~s", [erlang:system_info(otp_release), Gun,
		erlang:system_info(schedulers_online), calendar:system_time_to_rfc3339(erlang:system_time(second))]).

write(File, Results) ->
	Rows = [begin
		Figures = figures(Result),
		io_lib:format("  {\"workload\": \"~s\", \"unit\": \"~s\"~s}", [Name, unit(Do),
			[io_lib:format(", \"~s\": ~.4f", [Key, float(maps:get(Key, Figures))])
				|| Key <- [gun_rs, gun, limit, vs_gun, vs_limit, cpu, gun_cpu]]])
	end || Result={Name, Do, _} <- Results],
	ok = filelib:ensure_dir(File),
	Text = io_lib:format("{\"about\": \"~s\", \"results\": [~n~s~n]}~n", [heading(), lists:join(",\n", Rows)]),
	file:write_file(File, Text).

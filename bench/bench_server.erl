%% What gun_rs does as a server, beside Cowboy. Each measurement has a node for the server that has done nothing else
%% before, and a program, the same for both servers, that is its clients: see native/bench/src/client/load.rs.
-module(bench_server).

-export([workloads/0]).
-export([measure/2]).
-export([serve/2]).
-export([settled/0]).

%% Descriptors that are not those of the many connections.
-define(OTHER_DESCRIPTORS, 500).

%% In ms: a connection that is being looked at must not be closed for being idle.
-define(IDLE_TIMEOUT, 3600000).

%% Prefix, name, what is done, on how many connections, how many messages (or what else is counted), and their size.
%% A broadcast counts once for each connection that it goes to.
workloads() ->
	[
		{"server_", "echo_16b", load_echo, 1, 200000, 16},
		{"server_", "echo_1k", load_echo, 1, 100000, 1024},
		{"server_", "echo_16b_1000", load_echo_many, 1000, 300000, 16},
		{"server_", "echo_1k_1000", load_echo_many, 1000, 200000, 1024},
		{"server_", "broadcast_1k_1000", load_broadcast, 1000, 300000, 1024},
		{"server_", "broadcast_1k_10000", load_broadcast, 10000, 300000, 1024},
		{"server_", "broadcast_wait_1k_1000", load_broadcast_wait, 1000, 200000, 1024},
		{"server_", "upgrades_per_sec", load_upgrades, 1, 5000, 0},
		{"server_", "idle_memory", load_idle, 10000, 10000, 0},
		{"server_tls_", "idle_memory", load_idle, 10000, 10000, 0},
		{"server_deflate_", "idle_memory", load_idle, 10000, 10000, 0}
	].

%% The servers take turns, so that what else the machine does befalls them alike.
measure(Workload0, Rounds) ->
	Workload = within_limit(Workload0),
	Runs = [{Server, run(Server, Workload)} || _ <- lists:seq(1, Rounds), Server <- [gun_rs, cowboy]],
	maps:from_list([{Server, [Figures || {S, Figures} <- Runs, S =:= Server]} || Server <- [gun_rs, cowboy]]).

%% The server, and the program with all the clients, have a descriptor for each connection.
within_limit(Workload = #{connections := Connections, count := Count}) ->
	{max_fds, Limit} = lists:keyfind(max_fds, 1, lists:flatten(erlang:system_info(check_io))),
	Allowed = min(Connections, Limit - ?OTHER_DESCRIPTORS),
	Workload#{connections := Allowed, count := Count div Connections * Allowed}.

run(Server, Workload = #{prefix := Prefix}) ->
	Peer = bench_run:start_peer(["erl"]),
	Port = bench_run:call(Peer, ?MODULE, serve, [Server, Prefix]),
	Load = load(Port, Workload),
	"ready" = bench_run:line(Load),
	Told = told(Peer, Load, Workload),
	peer:stop(Peer),
	Told.

load(Port, #{prefix := Prefix, do := Do, connections := Connections, count := Count, size := Size}) ->
	Args = ["localhost", integer_to_list(Port), atom_to_list(Do)|[integer_to_list(N) || N <- [Connections, Count, Size]]],
	bench_run:program(bench_run:env("GUN_RS_BENCH_CLIENT"), Args ++ case Prefix of
		"server_tls_" -> ["--root", bench_run:env("BENCH_ROOT")];
		"server_deflate_" -> ["--deflate"];
		"server_" -> []
	end).

%% What a run came to, for each message. The CPU time is the server's.
told(Peer, Load, #{do := load_idle}) ->
	Before = bench_run:call(Peer, ?MODULE, settled, []),
	ok = bench_run:go_on(Load),
	"ready" = bench_run:line(Load),
	After = bench_run:call(Peer, ?MODULE, settled, []),
	ok = bench_run:go_on(Load),
	#{connections := Connections} = bench_run:figures(Load),
	#{figure => (After - Before) / Connections / 1024};
told(Peer, Load, #{do := Do, count := Count}) ->
	OsPid = bench_run:call(Peer, os, getpid, []),
	Before = figures:cpu(OsPid),
	ok = bench_run:go_on(Load),
	#{wall := Wall, cpu := Cpu} = bench_run:figures(Load),
	After = figures:cpu(OsPid),
	Figure = case Do of
		load_upgrades -> Count * 1000000 / Wall;
		_ -> Wall / Count
	end,
	#{figure => Figure, cpu => 1000 * (After - Before) / Count, clients_cpu => Cpu / Count}.

%% In the server's node: starts it, and returns its port.
serve(Server, Prefix) ->
	{ok, _} = application:ensure_all_started(Server),
	{ok, _} = bench_server_h:start(),
	%% Those that have been upgraded count for Cowboy, and many wait at once.
	Socket = [{port, 0}, {backlog, 4096}|case Prefix of
		"server_tls_" -> [{certfile, bench_run:env("BENCH_CERT")}, {keyfile, bench_run:env("BENCH_KEY")}];
		_ -> []
	end],
	Opts = #{compress => Prefix =:= "server_deflate_", idle_timeout => ?IDLE_TIMEOUT},
	Routes = [{'_', [{[$/|Path], bench_server_h, {Server, Opts}} || Path <- ["echo", "listen", "broadcast"]]}],
	listen(Server, Prefix, #{socket_opts => Socket, max_connections => infinity}, Routes).

listen(cowboy, Prefix, Transport, Routes) ->
	Protocol = #{env => #{dispatch => cowboy_router:compile(Routes)}},
	{ok, _} = case Prefix of
		"server_tls_" -> cowboy:start_tls(?MODULE, Transport, Protocol);
		_ -> cowboy:start_clear(?MODULE, Transport, Protocol)
	end,
	ranch:get_port(?MODULE);
listen(gun_rs, Prefix, Transport, Routes) ->
	Protocol = #{env => #{dispatch => gun_rs_router:compile(Routes)}},
	{ok, _} = case Prefix of
		"server_tls_" -> gun_rs_server:start_tls(?MODULE, Transport, Protocol);
		_ -> gun_rs_server:start_clear(?MODULE, Transport, Protocol)
	end,
	gun_rs_server:get_port(?MODULE).

%% In the server's node: bytes in memory once nothing waits to be collected.
settled() ->
	timer:sleep(500),
	_ = [garbage_collect(Pid) || Pid <- processes()],
	timer:sleep(100),
	figures:resident().

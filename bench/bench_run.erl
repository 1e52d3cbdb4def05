%% Programs and nodes that the benchmarks start.
-module(bench_run).

-export([start_peer/1]).
-export([call/4]).
-export([real_time/1]).
-export([program/2]).
-export([line/1]).
-export([go_on/1]).
-export([figures/1]).
-export([env/1]).
-export([stop/2]).

%% How long one measurement may take, in ms.
-define(PATIENCE, 600000).

%% A node whose schedulers use no CPU time while they wait.
start_peer([Program|Before]) ->
	Args = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-pa"|code:get_path()],
	Exec = {os:find_executable(Program), Before},
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, exec => Exec, args => Args}),
	Peer.

call(Peer, Module, Function, Args) ->
	peer:call(Peer, Module, Function, Args, ?PATIENCE).

%% The command with a priority that not every user may give.
real_time(Command) ->
	RealTime = ["chrt", "--fifo", "1"],
	case os:cmd(lists:join(" ", RealTime ++ ["echo", "granted"])) of
		"granted\n" -> {granted, RealTime ++ Command};
		_ -> not_granted
	end.

%% A program that lines can be read from, and that ends with this node if it reads its input.
program(Path, Args) ->
	open_port({spawn_executable, Path}, [{args, Args}, exit_status, {line, 1000}, use_stdio]).

line(Program) ->
	receive
		{Program, {data, {eol, Line}}} -> Line;
		{Program, {exit_status, Status}} -> error({program_failed, Status})
	after ?PATIENCE ->
		error(no_line)
	end.

%% What waits for a line has one.
go_on(Program) ->
	true = port_command(Program, "go\n"),
	ok.

%% The last line of the plain client: "wall=1234 cpu=1000".
figures(Program) ->
	maps:from_list([begin
		[Key, Value] = string:lexemes(Pair, "="),
		{list_to_atom(Key), list_to_integer(Value)}
	end || Pair <- string:lexemes(line(Program), " ")]).

env(Name) ->
	case os:getenv(Name) of
		false -> stop("bench: ~s is not set; run scripts/bench.sh~n", [Name]);
		Value -> Value
	end.

stop(Format, Args) ->
	io:format(standard_error, Format, Args),
	halt(2).

%% Server programs that scripts/setup.sh has unpacked in _build/peers, for as long as a suite needs them.
-module(other_servers).

-export([find/1]).
-export([free_port/0]).
-export([start/3]).
-export([start_with_libraries/3]).
-export([stop/1]).

-include("gun_rs_test.hrl").

%% Runs a program until standard input ends, so that none outlives the node.
-define(UNTIL_EOF, "exec 3<&0; \"$@\" & server=$!; { cat <&3 >/dev/null; kill -KILL $server; } & wait $server").

%% The path of a program in _build/peers.
find(Path) ->
	File = filename:join([gun_rs_test:root(), "_build/peers", Path]),
	case filelib:is_regular(File) of
		true -> {ok, File};
		false -> none
	end.

%% One that nobody listens on now. Its program listens on it a moment later, and nobody takes it in between unless he asks
%% for it by its number.
free_port() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	ok = gun_rs_test:release_port(Socket),
	Port.

%% A program, once it listens on these ports.
start(File, Args, Ports) ->
	Self = self(),
	%% The process that starts it may be one of Common Test's, which ends.
	{Holder, MRef} = spawn_monitor(fun() -> init(File, Args, Self) end),
	Listening = fun() -> lists:all(fun listens/1, Ports) end,
	receive
		{Holder, started} ->
			case gun_rs_test:eventually(fun() -> Listening() orelse ended(MRef) end) of
				true -> demonitor(MRef, [flush]);
				Other -> error({File, Other})
			end,
			Holder;
		{'DOWN', MRef, process, Holder, Reason} ->
			error({File, Reason})
	end.

%% The same for one whose libraries have been unpacked beside it, in the root of which its file is.
start_with_libraries({Root, File}, Args, Ports) ->
	Libraries = filelib:wildcard(filename:join(Root, "usr/lib/*-linux-*")),
	start(os:find_executable("env"), ["LD_LIBRARY_PATH=" ++ lists:flatten(lists:join(":", Libraries)), File|Args], Ports).

stop(Holder) ->
	MRef = monitor(process, Holder),
	Holder ! stop,
	?EXPECT({'DOWN', MRef, process, Holder, _}).

%% What it has said, if it has ended.
ended(MRef) ->
	receive
		{'DOWN', MRef, process, _, Reason} -> error(Reason)
	after 0 ->
		false
	end.

listens(Port) ->
	case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
		{ok, Socket} -> gen_tcp:close(Socket) =:= ok;
		{error, _} -> false
	end.

init(File, Args, Starter) ->
	Program = open_port({spawn_executable, os:find_executable("sh")},
		[{args, ["-c", ?UNTIL_EOF, "sh", File|Args]}, binary, exit_status, stderr_to_stdout]),
	Starter ! {self(), started},
	hold(Program, <<>>).

hold(Program, Said) ->
	receive
		stop ->
			true = port_close(Program);
		{Program, {data, Data}} ->
			%% The end of it is enough.
			All = <<Said/binary, Data/binary>>,
			hold(Program, binary:part(All, byte_size(All), -min(2000, byte_size(All))));
		{Program, {exit_status, Status}} ->
			exit({exit_status, Status, Said})
	end.

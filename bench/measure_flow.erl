%% How many messages a second reach an owner that does nothing but read, for doc/flow.md: scripts/measure-flow.sh runs
%% it. This node is the server; the client has a node of its own.
-module(measure_flow).

-export([main/1]).
-export([client/3]).

%% Far beyond what a message takes, in ms.
-define(PATIENCE, 30000).

main([Runs]) ->
	io:format("| message | `flow => infinity` | `flow => auto` |~n|---|---:|---:|~n"),
	lists:foreach(fun({Name, Size, Count}) ->
		Rates = [[run(Flow, Size, Count) || _ <- lists:seq(1, list_to_integer(Runs))] || Flow <- [infinity, auto]],
		io:format("| ~s | ~s |~n", [Name, lists:join(" | ", [integer_to_list(median(Of)) || Of <- Rates])])
	end, [{"16 bytes", 16, 1000000}, {"1 KiB", 1024, 300000}, {"1 MiB", 16#100000, 2000}]),
	halt().

median(Rates) ->
	lists:nth((length(Rates) + 1) div 2, lists:sort(Rates)).

%% Messages a second.
run(Flow, Size, Count) ->
	Frame = iolist_to_binary(lying_server:frame(binary, binary:copy(<<0>>, Size))),
	%% Some 64 KiB at a time, so that the server's own work counts for little.
	Each = max(1, 16#10000 div byte_size(Frame)),
	Frames = binary:copy(Frame, Each),
	{Server, Port} = lying_server:start([upgrade, {send_each, fun(_) -> Frames end, Count div Each + 1}]),
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["-pa"|code:get_path()]}),
	Microseconds = peer:call(Peer, ?MODULE, client, [Port, Flow, Count], infinity),
	peer:stop(Peer),
	lying_server:stop(Server),
	Count * 1000000 div Microseconds.

%% In the client's node.
client(Port, Flow, Count) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	ConnPid = gun_rs_test:open(Port),
	{Microseconds, ok} = timer:tc(fun() ->
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{flow => Flow}),
		read(ConnPid, StreamRef, Count)
	end),
	Microseconds.

read(_, _, 0) ->
	ok;
read(ConnPid, StreamRef, Count) ->
	receive
		{gun_ws, ConnPid, StreamRef, {binary, _}} -> read(ConnPid, StreamRef, Count - 1)
	after ?PATIENCE ->
		exit({no_message, Count})
	end.

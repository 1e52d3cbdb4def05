%% What an idle WebSocket connection costs the client, for doc/memory.md: scripts/measure-memory.sh runs it.
%%
%% This node is the server. Each value of the option compress has a client node of its own, so that one leaves nothing
%% to the next, and what is counted there is the client's alone.
-module(measure_memory).

-export([main/1]).
-export([client/3]).

%% How long a node is left alone before it is looked at, in ms: processes hibernate, and what is sent has arrived.
-define(REST, 2000).

%% How many connections come and go before the first look: they load the code, and make what is made once.
-define(WARM, 50).

-include("gun_rs_test.hrl").

main([Connections|Values]) ->
	{_, Port} = gun_rs_test:start_cowboy(),
	_ = [begin
		{ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["-pa"|code:get_path()]}),
		Rows = peer:call(Peer, ?MODULE, client, [Port, list_to_integer(Connections), parse(Value)], infinity),
		_ = [io:format("| `~s` | ~s | ~s |~n", [Value, When, lists:join(" | ", [cell(Figure) || Figure <- Figures])])
			|| {When, Figures} <- Rows],
		peer:stop(Peer)
	end || Value <- Values],
	halt().

parse(Value) ->
	{ok, Tokens, _} = erl_scan:string(Value ++ "."),
	{ok, Term} = erl_parse:parse_term(Tokens),
	Term.

cell(unknown) -> "-";
cell(Figure) -> integer_to_list(Figure).

%% In the client's node.
client(Port, Connections, Compress) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Warm = connect(Port, ?WARM, Compress),
	ok = echo(Warm, 16#10000),
	ok = close(Warm),
	Before = look([]),
	Conns = connect(Port, Connections, Compress),
	Steps = [
		{"never used", fun() -> ok end},
		{"after a message of 100 bytes each way", fun() -> echo(Conns, 100) end},
		{"after one of 64 KiB each way", fun() -> echo(Conns, 16#10000) end},
		{"closed", fun() -> close(Conns) end}
	],
	[begin
		ok = Step(),
		{When, [each(Figure, Connections) || Figure <- lists:zipwith(fun grown/2, look(Conns), Before)]}
	end || {When, Step} <- Steps].

connect(Port, Connections, Compress) ->
	[begin
		ConnPid = gun_rs_test:open(Port),
		{ConnPid, gun_rs_test:upgrade(ConnPid, "/deflate", [], #{compress => Compress})}
	end || _ <- lists:seq(1, Connections)].

echo(Conns, Size) ->
	Message = {text, binary:part(base64:encode(crypto:strong_rand_bytes(Size)), 0, Size)},
	lists:foreach(fun({ConnPid, StreamRef}) ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, Message),
		?EXPECT({gun_ws, ConnPid, StreamRef, Message})
	end, Conns).

close(Conns) ->
	lists:foreach(fun({ConnPid, _}) ->
		ok = gun_rs:close(ConnPid),
		ok = gun_rs:flush(ConnPid)
	end, Conns).

%% The figures of doc/memory.md, in its order, for all connections together.
look(Conns) ->
	timer:sleep(?REST),
	_ = [garbage_collect(Pid) || Pid <- processes() -- [ConnPid || {ConnPid, _} <- Conns]],
	Processes = [Memory || {ConnPid, _} <- Conns, {memory, Memory} <- [process_info(ConnPid, memory)]],
	[{total, Total}, {processes, All}] = erlang:memory([total, processes]),
	[lists:sum(Processes), Total - All, figures:resident(), figures:sockets(), figures:buffers()].

grown(unknown, _) -> unknown;
grown(Now, Before) -> Now - Before.

each(unknown, _) -> unknown;
each(Figure, Connections) -> round(Figure / Connections).

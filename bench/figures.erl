%% What the operating system counts, for the measurements of bench/. It is Linux that has these files.
-module(figures).

-export([resident/0]).
-export([sockets/0]).
-export([buffers/0]).
-export([cpu/1]).
-export([median/1]).
-export([table/2]).

%% Bytes of this node in memory.
resident() ->
	1024 * number("/proc/self/status", "^VmRSS:\\s*(\\d+)").

%% Bytes of one end of all connections, in the kernel. Both ends are on this machine, and the kernel doesn't tell them
%% apart. Only root may read it.
sockets() ->
	case file:read_file("/proc/slabinfo") of
		{ok, Slabs} ->
			Names = "TCP|sock_inode_cache|filp|eventpoll_epi|eventpoll_pwq",
			{match, Found} = re:run(Slabs, ["^(?:", Names, ")\\s+(\\d+)\\s+\\d+\\s+(\\d+)"],
				[global, multiline, {capture, all_but_first, list}]),
			lists:sum([list_to_integer(Objects) * list_to_integer(Size) || [Objects, Size] <- Found]) div 2;
		{error, _} ->
			unknown
	end.

%% Bytes that wait in the kernel to be sent or read, at one end of all connections.
buffers() ->
	4096 * number("/proc/net/sockstat", "^TCP:.* mem (\\d+)") div 2.

%% The time, in ms, that all processors together have given to a process of the operating system, in user and in kernel
%% mode. What stands in parentheses before is its name. A tick is 10 ms on every Linux that runs the BEAM.
cpu(OsPid) ->
	{ok, Stat} = file:read_file(["/proc/", OsPid, "/stat"]),
	{match, [User, Kernel]} = re:run(Stat, "\\) \\S(?: -?\\d+){10} (\\d+) (\\d+)", [{capture, all_but_first, list}]),
	10 * (list_to_integer(User) + list_to_integer(Kernel)).

number(File, Pattern) ->
	{ok, Text} = file:read_file(File),
	{match, [Number]} = re:run(Text, Pattern, [multiline, {capture, all_but_first, list}]),
	list_to_integer(Number).

median(Figures) ->
	lists:nth((length(Figures) + 1) div 2, lists:sort(Figures)).

%% Prints a table in Markdown: the first column is text, the others are numbers.
table(Header = [_|Numbers], Rows) ->
	io:format("~n| ~s |~n|---|~s~n", [lists:join(" | ", Header), ["---:|" || _ <- Numbers]]),
	lists:foreach(fun(Row) ->
		io:format("| ~s |~n", [lists:join(" | ", [cell(Cell) || Cell <- Row])])
	end, Rows).

cell(unknown) -> "-";
cell(Figure) when is_integer(Figure) -> integer_to_list(Figure);
cell(Figure) when is_float(Figure) -> float_to_list(Figure, [{decimals, 1}]);
cell(Text) -> Text.

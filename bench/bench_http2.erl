%% The workloads of HTTP/2, each on one connection.
-module(bench_http2).

-export([run/3]).

%% Far beyond what a request takes, in ms: for what would never end.
-define(PATIENCE, 600000).

%% A body that is sent has so many parts at most: all of it waits in memory.
-define(PARTS, 64).

run(Client, Target, #{do := http2_get, count := Count, size := Size}) ->
	get(Client, Target, Count, Size, 1);
run(Client, Target, #{do := http2_get_100, count := Count, size := Size}) ->
	get(Client, Target, Count, Size, 100);
run(Client, Target, #{do := http2_down, count := Count, size := Size}) ->
	ConnPid = connect(Client, Target),
	bench_client:timed(fun() ->
		_ = Client:get(ConnPid, ["/bytes?n=", integer_to_list(Count * Size)]),
		Whole = Count * Size,
		Whole = body(ConnPid, 0),
		ok
	end);
run(Client, Target, #{do := http2_up, count := Count, size := Size}) ->
	ConnPid = connect(Client, Target),
	Part = binary:copy(<<"x">>, Size),
	bench_client:timed(fun() -> up(Client, ConnPid, Part, Count) end);
run(Client, Target, #{do := http2_echo, count := Count, size := Size}) ->
	ConnPid = connect(Client, Target),
	Conn = {ConnPid, bench_conn:upgrade(Client, Target, ConnPid, "/echo")},
	Frames = bench_conn:payloads(Client, Target, Size),
	bench_client:timed(fun() -> bench_conn:echo(Client, Conn, Frames, Count, 64) end).

%% The server's settings have come when this returns.
connect(Client, Target) ->
	ConnPid = bench_conn:connect(Client, Target, http2),
	_ = Client:get(ConnPid, "/bytes?n=1"),
	1 = body(ConnPid, 0),
	ConnPid.

%% With so many requests under way at once.
get(Client, Target, Count, Size, Ahead) ->
	ConnPid = connect(Client, Target),
	Path = ["/bytes?n=", integer_to_list(Size)],
	Sent = min(Ahead, Count),
	bench_client:timed(fun() ->
		_ = [Client:get(ConnPid, Path) || _ <- lists:seq(1, Sent)],
		get_from(Client, ConnPid, Path, Sent, Count),
		ended(ConnPid, Sent)
	end).

get_from(_, _, _, Count, Count) ->
	ok;
get_from(Client, ConnPid, Path, Sent, Count) ->
	ok = ended(ConnPid, 1),
	_ = Client:get(ConnPid, Path),
	get_from(Client, ConnPid, Path, Sent + 1, Count).

%% The end of so many responses.
ended(_, 0) ->
	ok;
ended(ConnPid, Count) ->
	receive
		{gun_data, ConnPid, _, fin, _} -> ended(ConnPid, Count - 1);
		{gun_data, ConnPid, _, nofin, _} -> ended(ConnPid, Count);
		{gun_response, ConnPid, _, nofin, 200, _} -> ended(ConnPid, Count);
		{gun_error, ConnPid, Reason} -> error(Reason);
		{gun_error, ConnPid, _, Reason} -> error(Reason)
	after ?PATIENCE ->
		error(no_response)
	end.

%% The size of the body of the only response under way.
body(ConnPid, Size) ->
	receive
		{gun_data, ConnPid, _, fin, Data} -> Size + byte_size(Data);
		{gun_data, ConnPid, _, nofin, Data} -> body(ConnPid, Size + byte_size(Data));
		{gun_response, ConnPid, _, nofin, 200, _} -> body(ConnPid, Size);
		{gun_error, ConnPid, Reason} -> error(Reason);
		{gun_error, ConnPid, _, Reason} -> error(Reason)
	after ?PATIENCE ->
		error(no_response)
	end.

up(_, _, _, 0) ->
	ok;
up(Client, ConnPid, Part, Left) ->
	Parts = min(?PARTS, Left),
	_ = Client:post(ConnPid, "/sink", [], lists:duplicate(Parts, Part)),
	Told = body(ConnPid, 0),
	Told = length(integer_to_list(Parts * byte_size(Part))),
	up(Client, ConnPid, Part, Left - Parts).

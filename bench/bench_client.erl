%% What a client does in its node, which has done nothing else before. A workload is #{do, connections, count, size},
%% and what it came to is a map of numbers: the wall time and the node's CPU time in microseconds, or others that the
%% workload has instead or besides.
-module(bench_client).

-export([run/3]).
-export([timed/1]).

run(Client, Target, Workload) ->
	{ok, _} = application:ensure_all_started(start(Client)),
	%% gun 2 starts without its module gun, of which it is asked what it exports.
	_ = code:ensure_loaded(Client),
	do(Client, Target, Workload).

start(vm) -> kernel;
start(Client) -> Client.

do(vm, _, #{do := recv, count := Count, size := Size}) ->
	StreamRef = make_ref(),
	Conn = {self(), StreamRef},
	ok = bench_vm:flood(self(), self(), StreamRef, 1, Size),
	ok = bench_conn:frames(Conn, 1),
	timed(fun() ->
		ok = bench_vm:flood(self(), self(), StreamRef, Count, Size),
		bench_conn:frames(Conn, Count)
	end);
do(Client, Target, #{do := rtt, count := Count, size := Size}) ->
	echo(Client, Target, Count, Size, 1);
do(Client, Target, #{do := echo, count := Count, size := Size}) ->
	echo(Client, Target, Count, Size, 64);
do(Client, Target, #{do := send, count := Count, size := Size}) ->
	Conn = bench_conn:open(Client, Target, "/sink"),
	Frames = bench_conn:payloads(Client, Target, Size),
	ok = await_count(Client, Conn, 0),
	timed(fun() ->
		ok = bench_conn:send_all(Client, Conn, Frames, Count),
		await_count(Client, Conn, Count)
	end);
do(Client, Target = #{compress := Compress}, #{do := recv, count := Count, size := Size}) ->
	Json = case Compress of
		true -> 1;
		false -> 0
	end,
	%% gun 1.3 may lose what comes together with the answer to the upgrade.
	Path = lists:concat(["/flood?wait=1&n=", Count, "&size=", Size, "&json=", Json]),
	Conn = bench_conn:open(Client, Target, Path),
	timed(fun() ->
		bench_conn:send(Client, Conn, {text, <<"go">>}),
		bench_conn:frames(Conn, Count)
	end);
do(Client, Target, #{do := connect, count := Count}) ->
	_ = bench_conn:open(Client, Target, "/echo"),
	timed(fun() ->
		_ = [bench_conn:open(Client, Target, "/echo") || _ <- lists:seq(1, Count)],
		ok
	end);
do(Client, Target, #{do := idle, connections := Connections}) ->
	%% What the first connections leave behind in the allocators is not what a connection takes.
	_ = [bench_conn:open(Client, Target, "/echo") || _ <- lists:seq(1, 100)],
	Before = settled(),
	_ = [bench_conn:open(Client, Target, "/echo") || _ <- lists:seq(1, Connections)],
	#{bytes => settled() - Before};
do(Client, Target, Workload = #{do := Do}) when Do =:= echo_many; Do =:= paced; Do =:= curve ->
	bench_many:run(Client, Target, Workload);
do(Client, Target, Workload = #{do := Do}) when Do =:= beside_recv; Do =:= beside_send ->
	bench_others:run(Client, Target, Workload);
do(Client, Target, Workload = #{do := Do}) when Do =:= checkout; Do =:= checkout_each ->
	bench_pool:run(Client, Target, Workload);
do(Client, Target, Workload) ->
	bench_http2:run(Client, Target, Workload).

echo(Client, Target, Count, Size, Ahead) ->
	Conn = bench_conn:open(Client, Target, "/echo"),
	Frames = bench_conn:payloads(Client, Target, Size),
	timed(fun() -> bench_conn:echo(Client, Conn, Frames, Count, Ahead) end).

await_count(Client, Conn, Count) ->
	bench_conn:send(Client, Conn, {text, <<"count">>}),
	{text, Counted} = bench_conn:frame(Conn),
	Counted = integer_to_binary(Count),
	ok.

%% Bytes in memory once processes have hibernated, and nothing waits to be collected.
settled() ->
	timer:sleep(500),
	_ = [garbage_collect(Pid) || Pid <- processes()],
	timer:sleep(100),
	figures:resident().

%% The wall time, and the CPU time of this node.
timed(Fun) ->
	Cpu = cpu(),
	{Wall, ok} = timer:tc(Fun),
	#{wall => Wall, cpu => cpu() - Cpu}.

cpu() ->
	1000 * figures:cpu(os:getpid()).

%% The workloads, for gun and for gun_rs: each runs in a node of its own, which has done nothing else before.
-module(bench_client).

-export([run/3]).

%% Far beyond what a message takes, in ms: for what would never end.
-define(PATIENCE, 60000).

%% The wall time and the node's CPU time in microseconds; of idle, the bytes of memory that the connections take.
run(Client, Target, {Workload, Count, Size}) ->
	{ok, _} = application:ensure_all_started(start(Client)),
	%% gun 2 starts without its module gun, which is_gun_1/0 asks.
	_ = code:ensure_loaded(Client),
	run(Workload, Client, Target, Count, Size).

start(vm) -> kernel;
start(Client) -> Client.

run(recv, vm, _, Count, Size) ->
	StreamRef = make_ref(),
	ok = bench_vm:flood(self(), self(), StreamRef, 1, Size),
	ok = frames(vm, self(), StreamRef, 1),
	timed(fun() ->
		ok = bench_vm:flood(self(), self(), StreamRef, Count, Size),
		frames(vm, self(), StreamRef, Count)
	end);
run(rtt, Client, Target, Count, Size) ->
	echo(Client, Target, Count, Size, 1);
run(echo, Client, Target, Count, Size) ->
	echo(Client, Target, Count, Size, 64);
run(send, Client, Target, Count, Size) ->
	{ConnPid, StreamRef} = open(Client, Target, "/sink"),
	Frame = {binary, binary:copy(<<"x">>, Size)},
	ok = await_count(Client, ConnPid, StreamRef, 0),
	timed(fun() ->
		_ = [send(Client, ConnPid, StreamRef, Frame) || _ <- lists:seq(1, Count)],
		await_count(Client, ConnPid, StreamRef, Count)
	end);
run(recv, Client, Target, Count, Size) ->
	%% gun 1.3 may lose what comes together with the answer to the upgrade.
	{ConnPid, StreamRef} = open(Client, Target, lists:concat(["/flood?wait=1&n=", Count, "&size=", Size])),
	timed(fun() ->
		send(Client, ConnPid, StreamRef, {text, <<"go">>}),
		frames(Client, ConnPid, StreamRef, Count)
	end);
run(connect, Client, Target, Count, _) ->
	_ = open(Client, Target, "/echo"),
	timed(fun() ->
		_ = [open(Client, Target, "/echo") || _ <- lists:seq(1, Count)],
		ok
	end);
run(idle, Client, Target, Count, _) ->
	_ = [open(Client, Target, "/echo") || _ <- lists:seq(1, 20)],
	Before = figures:resident(),
	_ = [open(Client, Target, "/echo") || _ <- lists:seq(1, Count)],
	%% Processes hibernate, and collect their garbage.
	timer:sleep(2000),
	_ = [garbage_collect(Pid) || Pid <- processes()],
	timer:sleep(500),
	{figures:resident() - Before, 0}.

echo(Client, Target, Count, Size, Ahead) ->
	{ConnPid, StreamRef} = open(Client, Target, "/echo"),
	Frame = {binary, binary:copy(<<"x">>, Size)},
	timed(fun() ->
		_ = [send(Client, ConnPid, StreamRef, Frame) || _ <- lists:seq(1, min(Ahead, Count))],
		echo_loop(Client, ConnPid, StreamRef, Frame, max(0, Count - Ahead), Count)
	end).

echo_loop(_, _, _, _, _, 0) ->
	ok;
echo_loop(Client, ConnPid, StreamRef, Frame, 0, ToReceive) ->
	{binary, _} = frame(Client, ConnPid, StreamRef),
	echo_loop(Client, ConnPid, StreamRef, Frame, 0, ToReceive - 1);
echo_loop(Client, ConnPid, StreamRef, Frame, ToSend, ToReceive) ->
	{binary, _} = frame(Client, ConnPid, StreamRef),
	send(Client, ConnPid, StreamRef, Frame),
	echo_loop(Client, ConnPid, StreamRef, Frame, ToSend - 1, ToReceive - 1).

await_count(Client, ConnPid, StreamRef, Count) ->
	send(Client, ConnPid, StreamRef, {text, <<"count">>}),
	{text, Counted} = frame(Client, ConnPid, StreamRef),
	Counted = integer_to_binary(Count),
	ok.

frames(_, _, _, 0) ->
	ok;
frames(Client, ConnPid, StreamRef, Count) ->
	{binary, _} = frame(Client, ConnPid, StreamRef),
	frames(Client, ConnPid, StreamRef, Count - 1).

frame(_, ConnPid, StreamRef) ->
	receive
		{gun_ws, ConnPid, StreamRef, Frame} -> Frame
	after ?PATIENCE ->
		error(no_frame)
	end.

open(Client, Target, Path) ->
	ConnPid = connect(Client, Target),
	{ConnPid, upgrade(Client, ConnPid, Path)}.

connect(Client, #{port := Port, root := Root}) ->
	{ok, ConnPid} = Client:open("localhost", Port, opts(Client, Root)),
	{ok, http} = Client:await_up(ConnPid, ?PATIENCE),
	ConnPid.

opts(gun_rs, undefined) ->
	#{retry => 0};
opts(gun_rs, Root) ->
	#{retry => 0, transport => tls, tls_opts => [{cacertfile, Root}]};
opts(gun, Root) ->
	%% As gun_rs has it: small messages are not held back by the kernel.
	Tcp = [{nodelay, true}],
	Tls = [{verify, verify_peer}, {cacertfile, Root}, {server_name_indication, "localhost"}|Tcp],
	case {is_gun_1(), Root} of
		{true, undefined} -> #{retry => 0, transport_opts => Tcp};
		{true, _} -> #{retry => 0, transport => tls, protocols => [http], transport_opts => Tls};
		{false, undefined} -> #{retry => 0, tcp_opts => Tcp};
		{false, _} -> #{retry => 0, transport => tls, protocols => [http], tcp_opts => Tcp, tls_opts => Tls -- Tcp}
	end.

upgrade(Client, ConnPid, Path) ->
	StreamRef = Client:ws_upgrade(ConnPid, Path, [], ws_opts(Client)),
	receive
		{gun_upgrade, ConnPid, StreamRef, _, _} -> StreamRef;
		{gun_response, ConnPid, StreamRef, _, Status, _} -> error({refused, Status});
		{gun_error, ConnPid, StreamRef, Reason} -> error(Reason)
	after ?PATIENCE ->
		error(no_upgrade)
	end.

%% gun 2.6 has a limit of 1000000 bytes for frames.
ws_opts(gun) ->
	case lists:member({ws_max_frame_size, 1}, gun:module_info(exports)) orelse not is_gun_1() of
		true -> frame_limit();
		false -> #{}
	end;
ws_opts(gun_rs) ->
	#{}.

frame_limit() ->
	{ok, Vsn} = application:get_key(gun, vsn),
	[Major, Minor|_] = [list_to_integer(N) || N <- string:lexemes(Vsn, ".")],
	case {Major, Minor} >= {2, 6} of
		true -> #{max_frame_size => infinity};
		false -> #{}
	end.

send(gun, ConnPid, StreamRef, Frame) ->
	case is_gun_1() of
		true -> gun:ws_send(ConnPid, Frame);
		false -> gun:ws_send(ConnPid, StreamRef, Frame)
	end;
send(gun_rs, ConnPid, StreamRef, Frame) ->
	gun_rs:ws_send(ConnPid, StreamRef, Frame).

is_gun_1() ->
	not erlang:function_exported(gun, ws_send, 3).

timed(Fun) ->
	Cpu = cpu(),
	{Wall, ok} = timer:tc(Fun),
	{Wall, cpu() - Cpu}.

%% Of this node, in microseconds.
cpu() ->
	1000 * figures:cpu(os:getpid()).

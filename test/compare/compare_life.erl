%% How connections end, and whose they are: owners, shutdown, close and reconnects in each state.
-module(compare_life).

-export([situations/0]).

-import(compare_record, [call/2, quietly/2, note/2, open/1, open/2, watch/1, server/1, until/1, until/2, answer/2,
	served/1, exit_of/1, close/1]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	owners() ++ [
		{close_idle, fun close_idle/0},
		{close_connecting, fun close_connecting/0},
		{close_waiting, fun close_waiting/0},
		{close_during_response, fun close_during_response/0},
		{close_unsupervised, fun close_unsupervised/0},
		{shutdown_idle, fun shutdown_idle/0},
		{shutdown_waiting, fun shutdown_waiting/0},
		{shutdown_during_response, fun shutdown_during_response/0},
		{shutdown_pipelined, fun shutdown_pipelined/0},
		{shutdown_timeout, fun shutdown_timeout/0},
		{shutdown_then_get, fun() -> shutdown_then_get(#{}) end},
		{shutdown_then_get_with_retries, fun() -> shutdown_then_get(#{retry => 3}) end},
		{shutdown_then_set_owner, fun shutdown_then_set_owner/0},
		{set_owner, fun set_owner/0},
		{set_owner_by_other, fun set_owner_by_other/0},
		{set_owner_dead, fun set_owner_dead/0},
		{set_owner_before_up, fun set_owner_before_up/0},
		{down_idle, fun down_idle/0},
		{down_idle_reset, fun down_idle_reset/0},
		{down_reconnects, fun down_reconnects/0},
		{down_retries_spent, fun down_retries_spent/0},
		{down_during_request_reconnects, fun down_during_request_reconnects/0},
		{down_pipelined, fun down_pipelined/0},
		{get_before_up, fun get_before_up/0},
		{get_while_down, fun get_while_down/0},
		{get_after_down_old_ref, fun get_after_down_old_ref/0},
		{upgrade_before_up, fun upgrade_before_up/0},
		{unasked_data, fun unasked_data/0},
		{unasked_data_after_response, fun unasked_data_after_response/0},
		{killed, fun killed/0},
		{exit_signal, fun exit_signal/0},
		{unknown_message, fun unknown_message/0},
		{unknown_call, fun unknown_call/0},
		{connect_timeout, fun connect_timeout/0},
		{retry_timeout_zero, fun retry_timeout_zero/0}
	].

%% The owner dies, with each kind of reason, while the connection is idle, busy, or a WebSocket.
owners() ->
	[{list_to_atom(lists:concat(["owner_", Name, "_", State])), fun() -> owner_dies(Reason, State) end}
		|| {Name, Reason} <- [{normal, normal}, {shutdown, shutdown}, {shutdown_reason, {shutdown, why}}, {crash, crash},
			{killed, kill}],
		State <- [idle, request, ws, closing]].

owner_dies(Reason, State) ->
	Self = self(),
	Client = get(client),
	{_, Port} = server(case State of
		idle -> [];
		request -> [request];
		ws -> [upgrade, frame, {send, lying_server:frame(close, <<1001:16>>)}];
		closing -> [upgrade, frame, wait, {send, lying_server:frame(close, <<1001:16>>)}]
	end),
	Owner = spawn(fun() ->
		{ok, ConnPid} = Client:open("127.0.0.1", Port, #{retry => 0, http_opts => #{closing_timeout => 200}}),
		{ok, http} = Client:await_up(ConnPid),
		Opts = #{reply_to => Self, closing_timeout => 200},
		_ = case State of
			idle -> ok;
			request -> Client:get(ConnPid, "/", [], #{reply_to => Self});
			_ -> Client:ws_upgrade(ConnPid, "/", [], Opts)
		end,
		Self ! {conn, ConnPid},
		receive {close, StreamRef} -> Client:ws_send(ConnPid, StreamRef, close); go -> ok end,
		Self ! going,
		receive go -> exit(Reason) end
	end),
	ConnPid = receive {conn, Pid} -> watch(Pid) end,
	StreamRef = case State of
		idle -> none;
		request -> _ = served({request, '_'}), none;
		_ -> element(3, until({gun_upgrade, '_', '_', '_', '_'}))
	end,
	Owner ! case State of
		closing -> {close, StreamRef};
		_ -> go
	end,
	receive going -> ok end,
	_ = [served({frame, close, '_'}) || State =:= closing],
	case Reason of
		kill -> exit(Owner, kill);
		_ -> Owner ! go
	end,
	_ = exit_of(ConnPid),
	[served({frame, close, '_'}) || State =:= ws].

close_idle() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = close(ConnPid),
	served(closed).

%% The server of TLS never answers the handshake.
close_connecting() ->
	{_, Port} = server([]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{transport => tls, retry => 0}]),
	_ = watch(ConnPid),
	_ = served(accepted),
	close(ConnPid).

waiting() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	Self = self(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 1, retry_fun => fun(Left, _) ->
		Self ! {waits},
		#{retries => Left - 1, timeout => 60000}
	end}]),
	_ = watch(ConnPid),
	_ = until({waits}),
	{ConnPid, Socket}.

close_waiting() ->
	{ConnPid, Socket} = waiting(),
	_ = close(ConnPid),
	gun_rs_test:release_port(Socket).

close_during_response() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello"}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/"]),
	_ = until({gun_data, '_', '_', '_', '_'}),
	close(ConnPid).

close_unsupervised() ->
	{_, Port} = server([]),
	_ = process_flag(trap_exit, true),
	ConnPid = open(Port, #{supervise => false}),
	_ = call(close, [ConnPid]),
	note(alive, is_process_alive(ConnPid)),
	_ = exit(ConnPid, kill),
	_ = until({'EXIT', ConnPid, '_'}),
	ok.

shutdown_idle() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(shutdown, [ConnPid]),
	_ = exit_of(ConnPid),
	served(closed).

shutdown_waiting() ->
	{ConnPid, Socket} = waiting(),
	_ = call(shutdown, [ConnPid]),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

shutdown_during_response() ->
	{Server, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nHello "}, wait, {send, "World"}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/"]),
	_ = until({gun_data, '_', '_', '_', '_'}),
	_ = call(shutdown, [ConnPid]),
	lying_server:go(Server),
	exit_of(ConnPid).

shutdown_pipelined() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("Hello")}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/1"]),
	_ = served({request, '_'}),
	_ = call(get, [ConnPid, "/2"]),
	_ = call(shutdown, [ConnPid]),
	_ = until({gun_error, '_', '_', '_'}),
	lying_server:go(Server),
	exit_of(ConnPid).

shutdown_timeout() ->
	{_, Port} = server([request]),
	ConnPid = open(Port, #{http_opts => #{closing_timeout => 50}}),
	_ = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(shutdown, [ConnPid]),
	exit_of(ConnPid).

shutdown_then_get(Opts) ->
	{_, Port} = server([request]),
	ConnPid = open(Port, Opts#{http_opts => #{closing_timeout => 300}}),
	_ = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(shutdown, [ConnPid]),
	%% When it answers, it has come to the shutdown.
	_ = quietly(info, [ConnPid]),
	_ = call(get, [ConnPid, "/late"]),
	exit_of(ConnPid).

shutdown_then_set_owner() ->
	{_, Port} = server([request]),
	ConnPid = open(Port, #{http_opts => #{closing_timeout => 300}}),
	_ = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(shutdown, [ConnPid]),
	_ = call(set_owner, [ConnPid, self()]),
	exit_of(ConnPid).

%% Another process, which tells us what it receives.
other() ->
	Self = self(),
	spawn_link(fun Loop() -> receive Message -> Self ! {other, Message}, Loop() end end).

set_owner() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("Hello")}, wait, close]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	Other = spawn_link(fun() -> receive {tell, Pid} -> Pid ! {others, element(2, process_info(self(), messages))} end end),
	_ = call(set_owner, [ConnPid, Other]),
	note(owner, maps:get(owner, quietly(info, [ConnPid])) =:= Other),
	lying_server:go(Server),
	_ = answer(ConnPid, StreamRef),
	lying_server:go(Server),
	_ = exit_of(ConnPid),
	Other ! {tell, self()},
	until({others, '_'}).

set_owner_by_other() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	Client = get(client),
	{Pid, MRef} = spawn_monitor(fun() -> exit({result, Client:set_owner(ConnPid, self())}) end),
	receive {'DOWN', MRef, process, Pid, Result} -> note(set_owner, Result) end,
	note(owner, maps:get(owner, quietly(info, [ConnPid])) =:= self()),
	close(ConnPid).

set_owner_dead() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	{Pid, MRef} = spawn_monitor(fun() -> ok end),
	receive {'DOWN', MRef, process, Pid, _} -> ok end,
	_ = call(set_owner, [ConnPid, Pid]),
	exit_of(ConnPid).

set_owner_before_up() ->
	{ConnPid, Socket} = waiting(),
	Other = other(),
	_ = call(set_owner, [ConnPid, Other]),
	note(owner, maps:get(owner, quietly(info, [ConnPid])) =:= Other),
	_ = close(ConnPid),
	gun_rs_test:release_port(Socket).

down_idle() ->
	{Server, Port} = server([wait, close]),
	ConnPid = open(Port),
	lying_server:go(Server),
	exit_of(ConnPid).

down_idle_reset() ->
	{Server, Port} = server([wait, reset]),
	ConnPid = open(Port),
	lying_server:go(Server),
	exit_of(ConnPid).

down_reconnects() ->
	{Server, Port} = server([wait, close]),
	ConnPid = open(Port, #{retry => 2}),
	lying_server:go(Server),
	_ = until({gun_up, '_', '_'}),
	close(ConnPid).

%% The server goes away for good after the first connection.
down_retries_spent() ->
	{Server, Port} = server([wait, close]),
	ConnPid = open(Port, #{retry => 1, retry_timeout => 1}),
	lying_server:stop(Server),
	exit_of(ConnPid).

down_during_request_reconnects() ->
	{_, Port} = server([request, close]),
	ConnPid = open(Port, #{retry => 1}),
	_ = call(get, [ConnPid, "/"]),
	_ = until({gun_up, '_', '_'}),
	close(ConnPid).

down_pipelined() ->
	{Server, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello"}, wait, close]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/1"]),
	_ = call(get, [ConnPid, "/2"]),
	_ = call(get, [ConnPid, "/3"]),
	_ = until({gun_data, '_', '_', '_', '_'}),
	lying_server:go(Server),
	exit_of(ConnPid).

get_before_up() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("one") end}, {http, fun(_, _) -> lying_server:ok("two") end}]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = watch(ConnPid),
	_ = call(get, [ConnPid, "/1"]),
	StreamRef = call(get, [ConnPid, "/2"]),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

get_while_down() ->
	{ConnPid, Socket} = waiting(),
	_ = call(get, [ConnPid, "/"]),
	_ = call(shutdown, [ConnPid]),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

get_after_down_old_ref() ->
	{_, Port} = server([request, close]),
	ConnPid = open(Port, #{retry => 1}),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = until({gun_up, '_', '_'}),
	_ = call(cancel, [ConnPid, StreamRef]),
	_ = until({gun_error, '_', '_', '_'}),
	_ = call(stream_info, [ConnPid, StreamRef]),
	close(ConnPid).

upgrade_before_up() ->
	{_, Port} = server([upgrade]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = watch(ConnPid),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

unasked_data() ->
	{Server, Port} = server([wait, {send, lying_server:ok("unasked")}]),
	ConnPid = open(Port),
	lying_server:go(Server),
	exit_of(ConnPid).

unasked_data_after_response() ->
	{Server, Port} = server([request, {send, lying_server:ok("Hello")}, wait, {send, lying_server:ok("unasked")}]),
	ConnPid = open(Port),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	lying_server:go(Server),
	exit_of(ConnPid).

killed() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = exit(ConnPid, kill),
	_ = exit_of(ConnPid),
	served(closed).

exit_signal() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = exit(ConnPid, why),
	exit_of(ConnPid).

unknown_message() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	ConnPid ! nonsense,
	_ = close(ConnPid),
	ok.

unknown_call() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	note(answer, try gen_statem:call(ConnPid, nonsense, 500) catch exit:{Reason, _} -> {exit, Reason} end),
	quietly(close, [ConnPid]).

%% An address from which nobody answers.
connect_timeout() ->
	{ok, ConnPid} = call(open, ["192.0.2.1", 81, #{retry => 0, connect_timeout => 50}]),
	_ = watch(ConnPid),
	exit_of(ConnPid).

retry_timeout_zero() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 2, retry_timeout => 0}]),
	_ = watch(ConnPid),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

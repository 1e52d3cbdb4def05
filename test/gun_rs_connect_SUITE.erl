%% From open to gun_up, or to an exit that says why not.
-module(gun_rs_connect_SUITE).

-import(gun_rs_test, [await_exit/1]).
-import(gun_rs_test, [exit_of/3]).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

%% Retries.

refused_without_retry(_) ->
	doc("A refused port with retry 0 ends in an exit with the reason, and no message."),
	{Socket, Port} = refused_port(),
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, #{retry => 0}),
	?REFUTE(_),
	release_port(Socket).

first_retry_is_immediate(_) ->
	doc("The first retry comes at once, however long retry_timeout is."),
	{Socket, Port} = refused_port(),
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, #{retry => 1, retry_timeout => 10 * ?WAIT}),
	release_port(Socket).

later_retries_wait(_) ->
	doc("Every later retry waits for retry_timeout, and says so when asked."),
	{Socket, Port} = refused_port(),
	Start = erlang:monotonic_time(millisecond),
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, #{retry => 3, retry_timeout => 300, notify_retries => true}),
	true = erlang:monotonic_time(millisecond) - Start >= 600,
	Notices = do_notices(),
	ct:log("~p", [Notices]),
	%% Four attempts: one and three retries. What follows the last of them is the exit.
	[
		#{reason := econnrefused, retries := 2, timeout := 0},
		#{reason := econnrefused, retries := 1, timeout := 300},
		#{reason := econnrefused, retries := 0, timeout := 300}
		|_] = Notices,
	true = length(Notices) =< 4,
	release_port(Socket).

do_notices() ->
	receive
		{gun_notify, _, retry, Info} -> [Info|do_notices()]
	after 0 ->
		[]
	end.

notices_are_off_by_default(_) ->
	doc("Failed attempts send nothing when they aren't asked to."),
	{Socket, Port} = refused_port(),
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, #{retry => 2, retry_timeout => 10}),
	?REFUTE(_),
	release_port(Socket).

retry_fun(_) ->
	doc("retry_fun is asked before every retry, the first one too, with what is left and the options."),
	{Socket, Port} = refused_port(),
	Self = self(),
	Opts = #{retry => 2, retry_timeout => 10 * ?WAIT, retry_fun => fun(Retries, Given) ->
		Self ! {retry_fun, Retries, Given},
		#{retries => Retries - 1, timeout => 1}
	end},
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, Opts),
	?EXPECT({retry_fun, 2, #{retry := 2, retry_fun := _}}),
	?EXPECT({retry_fun, 1, #{retry := 2, retry_fun := _}}),
	?REFUTE({retry_fun, _, _}),
	release_port(Socket).

retry_fun_gives_up(_) ->
	doc("retry_fun may end the retries early by leaving none."),
	{Socket, Port} = refused_port(),
	{shutdown, econnrefused} = exit_of("127.0.0.1", Port, #{retry => 1000, retry_fun => fun(_, _) ->
		#{retries => 0, timeout => 0}
	end}),
	release_port(Socket).

%% Names and addresses.

host_not_found(_) ->
	doc("A host that doesn't exist ends in nxdomain."),
	{shutdown, nxdomain} = exit_of("no-such-host.invalid", 80, #{retry => 0}).

no_descriptor_left(Config) ->
	doc("A node without a file descriptor left says so, and blames neither the name nor the certificates."),
	#{root := #{certfile := CaFile}} = tls_certs:make(config(priv_dir, Config)),
	Peer = gun_rs_test:start_peer([]),
	try peer:call(Peer, ?MODULE, do_no_descriptor_left, [CaFile], 60000) of
		Results -> [] = [Result || {_, {Said, Text}}=Result <- Results,
			Said =/= emfile orelse string:find(Text, "ulimit -n") =:= nomatch]
	after
		peer:stop(Peer)
	end.

do_no_descriptor_left(CaFile) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Opts = #{retry => 0, transport => tls},
	%% Code that is not loaded yet cannot be later.
	{ok, Modules} = application:get_key(gun_rs, modules),
	_ = [{module, _} = code:ensure_loaded(Module) || Module <- Modules ++ [public_key, pubkey_pem, gun_rs_test, string]],
	{Socket, Port} = refused_port(),
	{shutdown, econnrefused} = exit_of("localhost", Port, Opts#{tls_opts => [{cacertfile, CaFile}]}),
	release_port(Socket),
	[] = os:cmd(lists:concat(["prlimit --pid ", os:getpid(), " --nofile=", gun_rs_test:count_fds() + 20])),
	Held = do_hold_descriptors(),
	_ = process_flag(trap_exit, true),
	Results = [begin
		Reason = case gun_rs:open(Host, Port, HostOpts#{supervise => false}) of
			{ok, ConnPid} ->
				?EXPECT({'EXIT', ConnPid, {shutdown, R}}, R);
			{error, R} ->
				R
		end,
		{{Host, HostOpts}, {Reason, unicode:characters_to_list(gun_rs:format_error(Reason))}}
	end || {Host, HostOpts} <- [
		{"127.0.0.1", #{retry => 0}},
		{"no-such-host.invalid", #{retry => 0}},
		%% What the file holds is not remembered for these options.
		{"localhost", Opts#{tls_opts => [{cacertfile, CaFile}, {depth, 1}]}},
		{"localhost", Opts#{tls_opts => [{certfile, CaFile}, {depth, 1}]}},
		{"localhost", Opts}
	]],
	_ = [ok = file:close(File) || File <- Held],
	Results.

do_hold_descriptors() ->
	case file:open("/dev/null", [read, raw]) of
		{ok, File} -> [File|do_hold_descriptors()];
		{error, emfile} -> []
	end.

hosts_of_every_kind(Config) ->
	doc("A host may be a string, an atom, an address or a binary, and info/1 gives it back as it was."),
	_ = [begin
		{ok, ConnPid} = gun_rs:open(Host, config(port, Config), #{retry => 0}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		#{origin_host := Host} = gun_rs:info(ConnPid),
		_ = gun_rs_test:upgrade(ConnPid, "/websocket"),
		ok = gun_rs:close(ConnPid)
	end || Host <- ["localhost", localhost, "127.0.0.1", {127, 0, 0, 1}, <<"localhost">>, <<"127.0.0.1">>, '127.0.0.1']],
	ok.

ipv6(_) ->
	doc("An IPv6 address may be a tuple, a string or a binary; the host header has it in brackets."),
	case gen_tcp:listen(0, [inet6, {ip, {0, 0, 0, 0, 0, 0, 0, 1}}]) of
		{ok, Listener} ->
			ok = gen_tcp:close(Listener),
			do_ipv6();
		{error, _} ->
			{skip, "This machine has no IPv6 loopback address."}
	end.

do_ipv6() ->
	{Server, Port} = lying_server:start([upgrade], [inet6, {ip, {0, 0, 0, 0, 0, 0, 0, 1}}]),
	Line = iolist_to_binary(["[::1]:", integer_to_list(Port)]),
	_ = [begin
		{ok, ConnPid} = gun_rs:open(Host, Port, #{retry => 0}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		_ = gun_rs_test:upgrade(ConnPid, "/"),
		Request = ?EXPECT({lying_server, Server, {request, R}}, R),
		{match, [Line]} = re:run(Request, "^host: ([^\r]*)", [caseless, multiline, {capture, [1], binary}]),
		#{sock_ip := {0, 0, 0, 0, 0, 0, 0, 1}} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid)
	end || Host <- [{0, 0, 0, 0, 0, 0, 0, 1}, "::1", <<"::1">>]],
	lying_server:stop(Server).

every_address_of_a_name(_) ->
	doc("Whichever address of localhost the server listens on, it is found."),
	Addresses = [A || {Family, A} <- [{inet, {127, 0, 0, 1}}, {inet6, {0, 0, 0, 0, 0, 0, 0, 1}}],
		{ok, As} <- [inet:getaddrs("localhost", Family)], lists:member(A, As)],
	ct:log("localhost is ~p here", [Addresses]),
	_ = [begin
		Family = case tuple_size(Address) of 4 -> []; 8 -> [inet6, {ipv6_v6only, true}] end,
		{Server, Port} = lying_server:start([upgrade], Family ++ [{ip, Address}]),
		{ok, ConnPid} = gun_rs:open("localhost", Port, #{retry => 0}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		#{sock_ip := Address} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Address <- Addresses],
	true = length(Addresses) > 0.

source_address(_) ->
	doc("The ip of tcp_opts is the address that the server sees."),
	{Server, Port} = lying_server:start([upgrade]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0, tcp_opts => [{ip, {127, 0, 0, 2}}]}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	#{sock_ip := {127, 0, 0, 2}, sock_port := SockPort} = gun_rs:info(ConnPid),
	true = SockPort > 0,
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

options_of_gen_tcp(Config) ->
	doc("What programs give to gun in tcp_opts is taken: set on the socket, or without effect where only a port has it."),
	TcpOpts = [binary, {active, false}, {packet, 0}, {mode, binary}, {reuseaddr, true}, {nodelay, true},
		{keepalive, true}, {linger, {true, 5}}, {buffer, 65536}, {recbuf, 65536}, {sndbuf, 65536}, {delay_send, true},
		{high_watermark, 65536}, {low_watermark, 32768}, {exit_on_close, false}, {tos, 16}, {tclass, 16}, {ttl, 64},
		{ipv6_v6only, true}, {show_econnreset, true}, {send_timeout, 5000}, {send_timeout_close, true}]
		++ case os:type() of
			{unix, linux} -> [{priority, 5}, {bind_to_device, <<"lo">>}, {user_timeout, 5000},
				{raw, 6, 18, <<6000:32/native>>}, {raw, 6, 4, <<60:32/native>>}, {raw, 6, 12, <<1:32/native>>}];
			_ -> []
		end,
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 0, tcp_opts => TcpOpts}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	{404, _, _} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid).

linger(_) ->
	doc("With linger 0 a close resets the connection; without it the server sees its end."),
	_ = [begin
		{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}, {show_econnreset, true}]),
		{ok, Port} = inet:port(Listener),
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0, tcp_opts => TcpOpts}),
		{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		ok = gun_rs:close(ConnPid),
		{error, Seen} = gen_tcp:recv(Socket, 0, ?WAIT),
		ok = gen_tcp:close(Listener)
	end || {TcpOpts, Seen} <- [
		{[], closed},
		{[{linger, {false, 0}}], closed},
		{[{linger, {true, 1}}], closed},
		{[{linger, {true, 0}}], econnreset}
	]],
	ok.

device_that_there_is_not(Config) ->
	doc("A bind_to_device that there is not ends in its POSIX reason."),
	case os:type() of
		{unix, linux} ->
			{shutdown, enodev} = exit_of("127.0.0.1", config(port, Config),
				#{retry => 0, tcp_opts => [{bind_to_device, <<"no-such-device">>}]});
		_ ->
			ok
	end.

source_address_of_nobody(_) ->
	doc("An ip of tcp_opts that this host doesn't have ends in its POSIX reason."),
	{Server, Port} = lying_server:start([upgrade]),
	{shutdown, eaddrnotavail} = exit_of("127.0.0.1", Port, #{retry => 0, tcp_opts => [{ip, {192, 0, 2, 1}}]}),
	lying_server:stop(Server).

connect_timeout(_) ->
	doc("A server that never accepts ends in timeout after connect_timeout."),
	%% The queue of a listener that doesn't accept holds one connection; the system leaves others unanswered.
	{ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}, {backlog, 0}, {active, false}]),
	{ok, Port} = inet:port(Listener),
	Fillers = do_fill(Port),
	{shutdown, timeout} = exit_of("127.0.0.1", Port, #{retry => 0, connect_timeout => 200}),
	_ = [gen_tcp:close(Filler) || Filler <- Fillers],
	ok = gen_tcp:close(Listener).

do_fill(Port) ->
	case gen_tcp:connect({127, 0, 0, 1}, Port, [], 500) of
		{ok, Filler} -> [Filler|do_fill(Port)];
		{error, timeout} -> []
	end.

%% Operations before gun_up.

operations_before_gun_up(_) ->
	doc("What is asked before the connection is up is kept, and done in order when it is."),
	{Socket, Port} = refused_port(),
	Self = self(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 1000, retry_fun => fun(Retries, _) ->
		Self ! {failed, Retries},
		#{retries => Retries - 1, timeout => 20}
	end}),
	?EXPECT({failed, 1000}),
	Refused = gun_rs:ws_upgrade(ConnPid, "/1"),
	Upgraded = gun_rs:ws_upgrade(ConnPid, "/2"),
	%% At least one attempt has failed since.
	?EXPECT({failed, 999}),
	?EXPECT({failed, 998}),
	release_port(Socket),
	{Server, Port} = lying_server:start([
		{answer, fun(_) -> "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" end},
		upgrade
	], [{port, Port}]),
	[
		{gun_up, ConnPid, http},
		{gun_response, ConnPid, Refused, fin, 403, _},
		{gun_upgrade, ConnPid, Upgraded, [<<"websocket">>], _}
	] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- lists:seq(1, 3)],
	?EXPECT({lying_server, Server, {request, <<"GET /1 ", _/binary>>}}),
	?EXPECT({lying_server, Server, {request, <<"GET /2 ", _/binary>>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

upgrade_without_waiting(Config) ->
	doc("Nobody has to wait for gun_up before ws_upgrade."),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 0}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid).

%% await_up, await, flush.

await_up(Config) ->
	doc("await_up waits for gun_up, for the end of the process, or for its timeout."),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	{error, timeout} = gun_rs:await_up(ConnPid, 0),
	MRef = watch(ConnPid),
	{error, timeout} = gun_rs:await_up(ConnPid, 10, MRef),
	ok = gun_rs:close(ConnPid),
	{error, {down, shutdown}} = gun_rs:await_up(ConnPid, MRef),
	{error, {down, noproc}} = gun_rs:await_up(ConnPid),
	{error, {down, noproc}} = gun_rs:await_up(ConnPid, 1000),
	{Socket, Port} = refused_port(),
	{ok, ConnPid2} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	{error, {down, Reason}} = gun_rs:await_up(ConnPid2, ?WAIT),
	true = lists:member(Reason, [{shutdown, econnrefused}, noproc]),
	release_port(Socket).

await(Config) ->
	doc("await gives what belongs to the stream, without the pid and the reference, in the order it came."),
	{ConnPid, StreamRef} = gun_rs_test:open_ws(config(port, Config), "/websocket"),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "one"}, {binary, "two"}]),
	MRef = watch(ConnPid),
	{ws, {text, <<"one">>}} = gun_rs:await(ConnPid, StreamRef),
	{error, timeout} = gun_rs:await(ConnPid, make_ref(), 10),
	{ws, {binary, <<"two">>}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 1000, ""}),
	{ws, {close, 1000, <<>>}} = gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef),
	{error, {down, normal}} = gun_rs:await(ConnPid, StreamRef, MRef),
	{error, {down, noproc}} = gun_rs:await(ConnPid, StreamRef),
	%% The messages of the connection are not the stream's.
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}).

await_response(Config) ->
	doc("await gives the answer to a refused upgrade piece by piece, and errors of the stream and the connection."),
	ConnPid = gun_rs_test:open(config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	{response, nofin, 403, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	<<"Members only.">> = do_await_body(ConnPid, StreamRef, <<>>),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "too early"}),
	{error, {connection_error, {badstate, [_|_]}}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:close(ConnPid),
	self() ! {gun_error, ConnPid, StreamRef, made_up},
	{error, {stream_error, made_up}} = gun_rs:await(ConnPid, StreamRef, ?WAIT).

do_await_body(ConnPid, StreamRef, Body) ->
	case gun_rs:await(ConnPid, StreamRef, ?WAIT) of
		{data, nofin, Data} -> do_await_body(ConnPid, StreamRef, <<Body/binary, Data/binary>>);
		{data, fin, Data} -> <<Body/binary, Data/binary>>
	end.

flush(_) ->
	doc("flush removes every message of a connection, or of a stream, and no other."),
	{ConnPid, Other} = {spawn(fun() -> ok end), self()},
	[Ref, OtherRef] = [make_ref(), make_ref()],
	Stream = fun(P, S) -> [
		{gun_inform, P, S, 103, []}, {gun_response, P, S, nofin, 200, []}, {gun_data, P, S, fin, <<>>},
		{gun_trailers, P, S, []}, {gun_push, P, S, make_ref(), <<"GET">>, <<>>, []}, {gun_upgrade, P, S, [], []},
		{gun_ws, P, S, close}, {gun_error, P, S, reason}, {gun_tunnel_up, P, S, http}
	] end,
	Conn = fun(P) -> [
		{gun_up, P, http}, {gun_down, P, http, closed, []}, {gun_error, P, reason}, {gun_notify, P, retry, #{}},
		{'DOWN', make_ref(), process, P, reason}
	] end,
	_ = [self() ! Msg || Msg <- Stream(ConnPid, Ref) ++ Conn(ConnPid) ++ Stream(ConnPid, OtherRef) ++ [unrelated]],
	ok = gun_rs:flush(Ref),
	{messages, Left1} = process_info(self(), messages),
	[] = [Msg || Msg <- Left1, is_tuple(Msg), tuple_size(Msg) > 2, element(3, Msg) =:= Ref],
	15 = length(Left1),
	_ = [self() ! Msg || Msg <- Conn(Other)],
	ok = gun_rs:flush(ConnPid),
	{messages, Left2} = process_info(self(), messages),
	[unrelated|Rest] = Left2,
	[gun_up, gun_down, gun_error, gun_notify, 'DOWN'] = [element(1, Msg) || Msg <- Rest],
	ok.

%% info.

info(Config) ->
	doc("info has gun's keys in every state, and those of the socket only while there is one."),
	Always = [owner, socket, transport, state_name, origin_scheme, origin_host, origin_port, intermediaries,
		cookie_store, event_handler, event_handler_state],
	Connected = [sock_ip, sock_port, protocol],
	Port = config(port, Config),
	Self = self(),
	ConnPid = gun_rs_test:open(Port),
	Info1 = #{
		owner := Self, transport := tcp, state_name := connected, origin_scheme := <<"http">>,
		origin_host := "127.0.0.1", origin_port := Port, intermediaries := [], cookie_store := undefined,
		sock_ip := {127, 0, 0, 1}, protocol := http
	} = gun_rs:info(ConnPid),
	[] = (Always ++ Connected) -- maps:keys(Info1),
	_ = gun_rs_test:upgrade(ConnPid, "/websocket"),
	Info2 = #{state_name := connected_ws_only, protocol := ws} = gun_rs:info(ConnPid),
	[] = (Always ++ Connected) -- maps:keys(Info2),
	ok = gun_rs:close(ConnPid),
	{'EXIT', {noproc, _}} = ?CATCH(gun_rs:info(ConnPid)),
	%% Between two attempts.
	{Socket, RefusedPort} = refused_port(),
	{ok, ConnPid2} = gun_rs:open("127.0.0.1", RefusedPort, #{retry => 5, retry_fun => fun(Retries, _) ->
		Self ! failed,
		#{retries => Retries - 1, timeout => 10 * ?WAIT}
	end}),
	?EXPECT(failed),
	true = eventually(fun() -> maps:get(state_name, gun_rs:info(ConnPid2)) =:= domain_lookup end),
	Info3 = #{socket := undefined} = gun_rs:info(ConnPid2),
	[] = Always -- maps:keys(Info3),
	Connected = Connected -- maps:keys(Info3),
	ok = gun_rs:close(ConnPid2),
	shutdown_or_gone = do_gone(await_exit(ConnPid2)),
	release_port(Socket).

do_gone(noproc) -> shutdown_or_gone;
do_gone(shutdown) -> shutdown_or_gone;
do_gone(Other) -> Other.

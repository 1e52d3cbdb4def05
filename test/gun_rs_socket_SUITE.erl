%% The blocking socket: what each call returns, that a connection that is gone is told and not waited for, and that
%% nothing is left in the caller's mailbox.
-module(gun_rs_socket_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [frame/5]).

-include("gun_rs_suite.hrl").

groups() ->
	Transports = [seed_socket, seed_with_socket, seed_step_by_step, frames_of_every_kind, frames_in_a_list,
		close_frame_of_the_server, close_frame_without_a_code, control_frames_are_skipped, close_throws_away_what_waits,
		close_when_the_server_has_closed, refused_upgrades, killed_server, frames_before_the_end,
		with_socket_closes_after_every_end],
	Examples = [erlang_examples, elixir_examples],
	Rest = gun_rs_suite:cases(?MODULE) -- (Transports ++ Examples),
	[{tcp, [], Transports}, {tls, [], Transports}, {servers, [], Rest}, {examples, [], Examples}].

init_per_suite(Config) ->
	Routes = [{"/echo", ws_echo_h, echo}|ws_echo_h:routes()],
	{Tcp, TcpPort} = gun_rs_test:start_cowboy(Routes, [{port, 0}]),
	{Tls, TlsPort, Roots} = do_start_tls(Routes, Config),
	RootFile = filename:join(config(priv_dir, Config), "root.pem"),
	ok = file:write_file(RootFile, public_key:pem_encode([{'Certificate', Root, not_encrypted} || Root <- Roots])),
	[{listeners, [Tcp, Tls]}, {tcp_port, TcpPort}, {tls_port, TlsPort}, {roots, Roots}, {root_file, RootFile}|Config].

end_per_suite(Config) ->
	_ = [gun_rs_test:stop_cowboy(Ref) || Ref <- config(listeners, Config)],
	ok.

init_per_group(tls, Config) ->
	[{port, config(tls_port, Config)},
		{opts, #{transport => tls, tls_opts => [{cacerts, config(roots, Config)}]}}|Config];
init_per_group(_, Config) ->
	[{port, config(tcp_port, Config)}, {opts, #{}}|Config].

end_per_group(_, _) ->
	ok.

%% A server whose certificate is for localhost, and the roots to verify it by.
do_start_tls(Routes, Config) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}, root := #{der := Root}} = tls_certs:make(config(priv_dir, Config)),
	{ok, _} = application:ensure_all_started(ssl),
	Ref = make_ref(),
	{ok, _} = cowboy:start_tls(Ref, #{
		shutdown => brutal_kill,
		socket_opts => [{port, 0}, {log_level, none}, {certfile, CertFile}, {keyfile, KeyFile}]
	}, #{
		env => #{dispatch => cowboy_router:compile([{'_', Routes}])},
		idle_timeout => infinity,
		request_timeout => infinity
	}),
	{Ref, ranch:get_port(Ref), [Root]}.

%% The examples of the seed.

seed_socket(Config) ->
	doc("A socket is connected, sent to, received from and closed."),
	{ok, Socket} = gun_rs_socket:connect("localhost", config(port, Config), "/echo", config(opts, Config)),
	ok = gun_rs_socket:send_text(Socket, "hello"),
	{ok, {text, <<"hello">>}} = gun_rs_socket:receive_app_frame(Socket),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

seed_with_socket(Config) ->
	doc("with_socket returns what the fun returned, and leaves neither a connection nor a message."),
	Self = self(),
	{ok, {text, <<"hello">>}} = gun_rs_socket:with_socket("localhost", config(port, Config), "/echo", config(opts, Config),
		fun(Socket) ->
			put(socket, Socket),
			#{owner := Self} = gun_rs:info(gun_rs_socket:connection(Socket)),
			ok = gun_rs_socket:send_text(Socket, "hello"),
			gun_rs_socket:receive_app_frame(Socket)
		end),
	do_nothing_is_left(get(socket)).

seed_step_by_step(Config) ->
	doc("The steps can be taken one by one, on a connection of one's own."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config), (config(opts, Config))#{protocols => [http]}),
	Timeout = ?WAIT,
	{ok, Protocol} = gun_rs:await_up(ConnPid, Timeout),
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, Protocol, "/echo", []),
	ok = gun_rs_socket:await_upgrade(ConnPid, StreamRef, Timeout),
	ok = gun_rs_socket:send(ConnPid, StreamRef, {text, "hello"}),
	{ok, {text, <<"hello">>}} = gun_rs_socket:receive_frame(ConnPid, StreamRef, Timeout),
	ok = gun_rs:close(ConnPid),
	do_mailbox_is_empty().

%% Frames.

frames_of_every_kind(Config) ->
	doc("Text and binary come as they went, in order; ping and pong are received where they are not silenced."),
	Socket = do_connect("/command", #{ws_opts => #{silence_pings => false}}, Config),
	Frames = [{text, <<"h\x{e9}"/utf8>>}, {binary, <<0, 255>>}, {text, <<>>}, ping, {ping, <<"p">>}, pong, {pong, <<"q">>}],
	ok = gun_rs_socket:send_binary(Socket, [[term_to_binary(Frames)]]),
	Frames = [element(2, {ok, _} = gun_rs_socket:receive_frame(Socket, ?WAIT)) || _ <- Frames],
	%% What is not binary comes back as it is.
	ok = gun_rs_socket:send_text(Socket, ["h", [<<"\x{e9}"/utf8>>]]),
	%% Cowboy has had two pings' answers from us before.
	do_expect(Socket, {text, <<"h\x{e9}"/utf8>>}),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

do_expect(Socket, Frame) ->
	case gun_rs_socket:receive_app_frame(Socket, ?WAIT) of
		{ok, Frame} -> ok;
		{ok, {text, <<"got pong", _/binary>>}} -> do_expect(Socket, Frame)
	end.

frames_in_a_list(Config) ->
	doc("A list is sent in order; a frame that cannot be sent is an error that harms nothing."),
	Socket = do_connect("/websocket", Config),
	ok = gun_rs_socket:send(Socket, [{text, "1"}, {binary, "2"}, ping, {text, <<"3">>}]),
	[{ok, {text, <<"1">>}}, {ok, {binary, <<"2">>}}, {ok, {text, <<"3">>}}]
		= [gun_rs_socket:receive_frame(Socket, ?WAIT) || _ <- lists:seq(1, 3)],
	_ = [{invalid_frame, Frame, _} = do_error(gun_rs_socket:send(Socket, Frame))
		|| Frame <- [{text, foo}, {text, [8364]}, {unknown, "x"}, {close, 1005, ""}, {ping, binary:copy(<<"a">>, 126)}]],
	ok = gun_rs_socket:send_text(Socket, "still here"),
	{ok, {text, <<"still here">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

close_frame_of_the_server(Config) ->
	doc("The server's close frame is received, after the frames before it; then the socket is closed."),
	Socket = do_connect("/command", Config),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([{text, <<"last">>}, {close, 1001, <<"bye">>}])),
	{ok, {text, <<"last">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	{ok, {close, 1001, <<"bye">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	do_is_closed(Socket),
	do_nothing_is_left(Socket),
	Socket2 = do_connect("/command", Config),
	ok = gun_rs_socket:send_binary(Socket2, term_to_binary([{close, 4000, <<>>}])),
	{close, 4000, <<>>} = do_error(gun_rs_socket:receive_app_frame(Socket2, ?WAIT)),
	do_is_closed(Socket2),
	do_nothing_is_left(Socket2).

close_frame_without_a_code(Config) ->
	doc("A close frame without a code is close; where frames of the application are awaited it has the code 1005."),
	Socket = do_connect("/command", Config),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([close])),
	{ok, close} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	do_is_closed(Socket),
	Socket2 = do_connect("/command", Config),
	ok = gun_rs_socket:send_binary(Socket2, term_to_binary([close])),
	{close, 1005, <<>>} = do_error(gun_rs_socket:receive_app_frame(Socket2, ?WAIT)),
	do_is_closed(Socket2),
	do_mailbox_is_empty().

control_frames_are_skipped(Config) ->
	doc("receive_app_frame skips ping and pong frames."),
	Socket = do_connect("/command", #{ws_opts => #{silence_pings => false}}, Config),
	ok = gun_rs_socket:send_binary(Socket,
		term_to_binary([pong, {pong, <<"p">>}, {text, <<"a">>}, {pong, <<"q">>}, {binary, <<"b">>}])),
	{ok, {text, <<"a">>}} = gun_rs_socket:receive_app_frame(Socket, ?WAIT),
	{ok, {binary, <<"b">>}} = gun_rs_socket:receive_app_frame(Socket, ?WAIT),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([ping, {ping, <<"p">>}, {binary, <<"c">>}])),
	{ok, {binary, <<"c">>}} = gun_rs_socket:receive_app_frame(Socket, ?WAIT),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

close_throws_away_what_waits(Config) ->
	doc("Frames that nobody has received are gone when the socket is closed; to close it again is ok."),
	Socket = do_connect("/command", Config),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([{text, integer_to_binary(N)} || N <- lists:seq(1, 100)])),
	ok = gun_rs_socket:close(Socket),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

close_when_the_server_has_closed(Config) ->
	doc("A socket that the server has closed can be closed, with its close frame received or not."),
	Socket = do_connect("/command", Config),
	MRef = monitor(process, gun_rs_socket:connection(Socket)),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([{text, <<"last">>}, close])),
	?EXPECT({'DOWN', MRef, process, _, _}),
	%% Why is told to who receives.
	closed = do_error(gun_rs_socket:send_text(Socket, "too late")),
	ok = gun_rs_socket:close(Socket),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

%% Refusals.

refused_upgrades(Config) ->
	doc("A refused upgrade is an error with the response in it."),
	{upgrade_refused, 403, Headers, <<"Members only.">>} = do_error(do_try("/refuse", #{}, Config)),
	{_, <<"text/plain">>} = lists:keyfind(<<"content-type">>, 1, Headers),
	{upgrade_refused, 404, _, <<>>} = do_error(do_try("/nowhere", #{}, Config)),
	do_mailbox_is_empty().

killed_server(Config) ->
	doc("A server that dies is told to who waits without a timeout."),
	Socket = do_connect("/pid", Config),
	{ok, {binary, Pid}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	Self = self(),
	Killer = spawn_link(fun() ->
		%% As far as it can be known, the kill comes while we wait.
		_ = eventually(fun() -> process_info(Self, status) =:= {status, waiting} end),
		exit(binary_to_term(Pid), kill)
	end),
	Reason = do_error(gun_rs_socket:receive_frame(Socket, infinity)),
	true = lists:member(Reason, [closed, econnreset]),
	true = eventually(fun() -> not is_process_alive(Killer) end),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

frames_before_the_end(Config) ->
	doc("Frames that came before the connection was lost are received first."),
	Socket = do_connect("/pid", Config),
	ok = gun_rs_socket:send_text(Socket, "one"),
	MRef = monitor(process, gun_rs_socket:connection(Socket)),
	Pid = ?EXPECT({gun_ws, _, _, {binary, P}}, P),
	?EXPECT({gun_ws, _, _, {text, <<"one">>}}),
	ok = gun_rs_socket:send(Socket, [{text, "two"}, {text, "three"}]),
	true = eventually(fun() -> length(do_mailbox()) =:= 2 end),
	exit(binary_to_term(Pid), kill),
	?EXPECT({'DOWN', MRef, process, _, _}),
	{ok, {text, <<"two">>}} = gun_rs_socket:receive_frame(Socket, 0),
	{ok, {text, <<"three">>}} = gun_rs_socket:receive_frame(Socket, 0),
	true = do_error(gun_rs_socket:receive_frame(Socket, 0)) =/= timeout,
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

with_socket_closes_after_every_end(Config) ->
	doc("with_socket closes and cleans up when the fun returns an error or raises, and gives on what that was."),
	Run = fun(Fun) ->
		gun_rs_socket:with_socket("localhost", config(port, Config), "/websocket", config(opts, Config), fun(Socket) ->
			put(socket, Socket),
			ok = gun_rs_socket:send_text(Socket, "never received"),
			Fun(Socket)
		end)
	end,
	_ = [begin
		Result = Run(Fun),
		do_nothing_is_left(get(socket))
	end || {Result, Fun} <- [
		{ok, fun(_) -> ok end},
		{[1], fun(_) -> [1] end},
		{error, fun(_) -> error end},
		{{error, mine}, fun(_) -> {error, mine} end},
		{ok, fun(Socket) -> gun_rs_socket:close(Socket) end},
		{{ok, done}, fun(Socket) -> ok = gun_rs_socket:send(Socket, {close, 4000, "mine"}), {ok, done} end}
	]],
	_ = [begin
		{Class, Reason} = try Run(Fun) catch C:R:Stacktrace ->
			{?MODULE, _, _, _} = hd(Stacktrace),
			{C, R}
		end,
		do_nothing_is_left(get(socket))
	end || {Class, Reason, Fun} <- [
		{throw, ball, fun(_) -> throw(ball) end},
		{error, {crash, 1}, fun(_) -> error({crash, 1}) end},
		{exit, leave, fun(_) -> exit(leave) end}
	]],
	ok.

%% Over tcp alone: servers that do not behave, and what has to do with no server.

with_socket_and_a_server_that_never_closes(_) ->
	doc("When closing fails the fun's result is not lost, and an error of the fun's comes before that of closing."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	Run = fun(Fun) -> gun_rs_socket:with_socket("127.0.0.1", Port, "/", #{timeout => 2000}, fun(Socket) ->
		put(socket, Socket),
		Fun()
	end) end,
	{close_failed, timeout, {ok, 1}} = do_error(Run(fun() -> {ok, 1} end)),
	do_nothing_is_left(get(socket)),
	?EXPECT({lying_server, Server, closed}),
	{error, mine} = Run(fun() -> {error, mine} end),
	do_nothing_is_left(get(socket)),
	ball = try Run(fun() -> throw(ball) end) catch throw:Ball -> Ball end,
	lying_server:stop(Server),
	do_nothing_is_left(get(socket)).

with_socket_that_cannot_connect(_) ->
	doc("with_socket does not call the fun when there is no socket."),
	{Socket, Port} = refused_port(),
	Fun = fun(_) -> error(called) end,
	econnrefused = do_error(gun_rs_socket:with_socket("127.0.0.1", Port, "/", Fun)),
	econnrefused = do_error(gun_rs_socket:with_socket("127.0.0.1", Port, "/", #{}, Fun)),
	Url = "ws://127.0.0.1:" ++ integer_to_list(Port),
	econnrefused = do_error(gun_rs_socket:with_socket(Url, Fun)),
	econnrefused = do_error(gun_rs_socket:with_socket(Url, #{}, Fun)),
	release_port(Socket),
	do_mailbox_is_empty().

urls(Config) ->
	doc("A URL's path and query go into the request line; without a path it is the slash."),
	{Server, Port} = lying_server:start([upgrade]),
	_ = [begin
		Url = ["ws://127.0.0.1:", integer_to_list(Port), Rest],
		{ok, Socket} = gun_rs_socket:connect(Make(lists:flatten(Url)), #{headers => [{"X-Mine", "yes"}]}),
		Request = ?EXPECT({lying_server, Server, {request, R}}, R),
		Line = iolist_to_binary(["GET ", Target, " HTTP/1.1\r\n"]),
		{Line, _} = split_binary(Request, byte_size(Line)),
		{match, _} = re:run(Request, "\r\nx-mine: yes(\r\n|$)"),
		ok = gun_rs:close(gun_rs_socket:connection(Socket))
	end || Make <- [fun(Url) -> Url end, fun unicode:characters_to_binary/1], {Rest, Target} <- [
		{"", "/"},
		{"/", "/"},
		{"/a/b%20c", "/a/b%20c"},
		{"?q", "/?q"},
		{"/a?b=c/?&d=%3f", "/a?b=c/?&d=%3f"},
		{"/a?", "/a?"},
		{"/a#fragment", "/a"},
		{"/a?b#fragment", "/a?b"}
	]],
	lying_server:stop(Server),
	%% wss is over TLS.
	Url = ["wss://localhost:", integer_to_list(config(tls_port, Config)), "/echo"],
	{ok, Socket} = gun_rs_socket:connect(lists:flatten(Url), #{tls_opts => [{cacerts, config(roots, Config)}]}),
	#{transport := tls} = gun_rs:info(gun_rs_socket:connection(Socket)),
	ok = gun_rs_socket:close(Socket),
	{tls_alert, {unknown_ca, _}} = do_error(gun_rs_socket:connect(lists:flatten(Url))),
	do_nothing_is_left(Socket).

connect_without_options(Config) ->
	doc("connect/3 and with_socket/2,3,4 do without options, and take an empty map."),
	Port = config(tcp_port, Config),
	{ok, Socket} = gun_rs_socket:connect(<<"localhost">>, Port, <<"/echo">>),
	ok = gun_rs_socket:close(Socket),
	Url = "ws://localhost:" ++ integer_to_list(Port) ++ "/echo",
	{ok, Socket2} = gun_rs_socket:connect(Url),
	ok = gun_rs_socket:close(Socket2),
	fine = gun_rs_socket:with_socket("localhost", Port, "/echo", fun(_) -> fine end),
	fine = gun_rs_socket:with_socket(Url, fun(_) -> fine end),
	fine = gun_rs_socket:with_socket(Url, #{}, fun(_) -> fine end),
	do_mailbox_is_empty().

refused_connection(_) ->
	doc("Why a connection could not be made is told every time, however soon it was over."),
	{Socket, Port} = refused_port(),
	_ = [econnrefused = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/")) || _ <- lists:seq(1, 200)],
	%% With retries the last failure is the reason when the time is over.
	econnrefused = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/",
		#{retry => 1000000, retry_timeout => 10, timeout => 5000})),
	release_port(Socket),
	do_mailbox_is_empty().

a_server_that_comes_later(_) ->
	doc("With retry a server that does not listen yet is waited for, and failed attempts leave no messages."),
	Self = self(),
	Starter = spawn_link(fun() ->
		{Refused, Port} = refused_port(),
		Self ! {port, Port},
		%% Long enough for a few attempts; with none the case shows less, and does not fail.
		timer:sleep(200),
		release_port(Refused),
		{Server, Port} = lying_server:start([upgrade], [{port, Port}]),
		receive stop -> lying_server:stop(Server) end
	end),
	Port = ?EXPECT({port, P}, P),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/", #{retry => 1000000, retry_timeout => 10, timeout => ?WAIT}),
	ok = gun_rs:close(gun_rs_socket:connection(Socket)),
	Starter ! stop,
	do_mailbox_is_empty().

silent_servers(_) ->
	doc("A server that never answers the upgrade is waited for until the timeout, and the connection is then ended."),
	_ = [begin
		{Server, Port} = lying_server:start(Script),
		timeout = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", #{timeout => 2000})),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server),
		do_mailbox_is_empty()
	end || Script <- [[request], [request, {send, "HTTP/1.1 103 Early Hints\r\n\r\n"}]]],
	ok.

long_refusals(_) ->
	doc("Of a response that refuses the upgrade the beginning is kept: as much as comes in time, and 65536 bytes at most."),
	Whole = binary:copy(<<"a">>, 65536),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, ["HTTP/1.1 500 Oops\r\n", Headers, "\r\n", Sent]}]),
		{upgrade_refused, 500, _, Body} = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", #{timeout => Timeout})),
		lying_server:stop(Server),
		do_mailbox_is_empty()
	end || {Headers, Sent, Timeout, Body} <- [
		{"content-length: 65536\r\n", Whole, infinity, Whole},
		{"content-length: 65537\r\n", [Whole, "b"], infinity, Whole},
		{"content-length: 1000000\r\n", [Whole, Whole], infinity, Whole},
		{"content-length: 65536\r\n", "the beginning", 2000, <<"the beginning">>},
		{"transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\nx-last: 1\r\n\r\n", infinity, <<"abc">>}
	]],
	ok.

a_refusal_after_early_hints(_) ->
	doc("Informational responses before the answer are passed over."),
	Hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
	{Server, Port} = lying_server:start([{answer, fun(Key) -> [Hints, Hints, lying_server:response(Key)] end}]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/"),
	ok = gun_rs:close(gun_rs_socket:connection(Socket)),
	lying_server:stop(Server),
	closed = do_error(gun_rs_socket:receive_frame(Socket)),
	do_mailbox_is_empty().

wrong_answers_to_the_upgrade(_) ->
	doc("An answer that is wrong, or none at all, is told, and leaves nothing behind."),
	_ = [begin
		{Server, Port} = lying_server:start(Script),
		Reason = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", #{timeout => infinity})),
		true = Matches(Reason),
		lying_server:stop(Server),
		do_mailbox_is_empty()
	end || {Script, Matches} <- [
		{[{answer, fun(_) -> lying_server:response(<<"AAAAAAAAAAAAAAAAAAAAAA==">>) end}],
			fun(Reason) -> Reason =:= {ws_handshake, wrong_accept} end},
		{[request, close], fun(Reason) -> Reason =/= timeout end},
		{[request, reset], fun(Reason) -> Reason =/= timeout end},
		{[request, {send, "220 mail.example.org ESMTP\r\n"}], fun(Reason) -> Reason =/= timeout end}
	]],
	ok.

timeouts(Config) ->
	doc("A call waits as long as it is told, else as long as connect was told; then the socket can be used on."),
	Socket = do_connect("/websocket", #{timeout => 6000}, Config),
	timeout = do_error(gun_rs_socket:receive_frame(Socket, 0)),
	timeout = do_error(gun_rs_socket:receive_app_frame(Socket, 10)),
	Began = erlang:monotonic_time(millisecond),
	timeout = do_error(gun_rs_socket:receive_frame(Socket)),
	Between = erlang:monotonic_time(millisecond),
	timeout = do_error(gun_rs_socket:receive_app_frame(Socket)),
	Ended = erlang:monotonic_time(millisecond),
	true = Between - Began >= 6000,
	true = Ended - Between >= 6000,
	ok = gun_rs_socket:send_text(Socket, "still here"),
	{ok, {text, <<"still here">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

control_frames_do_not_prolong_a_timeout(_) ->
	doc("The timeout of receive_app_frame is for all of the frames that it skips together."),
	Ping = fun(_) -> timer:sleep(10), frame(ping, "again") end,
	{Server, Port} = lying_server:start([upgrade, {send_each, Ping, 1000000}]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/", #{ws_opts => #{silence_pings => false}}),
	{ok, {ping, <<"again">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	timeout = do_error(gun_rs_socket:receive_app_frame(Socket, 500)),
	ok = gun_rs:close(gun_rs_socket:connection(Socket)),
	_ = gun_rs_socket:close(Socket),
	lying_server:stop(Server),
	do_nothing_is_left(Socket).

servers_that_do_not_answer_a_close(_) ->
	doc("A server that does not answer the close frame is given its time; then the connection is ended."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/", #{timeout => 2000}),
	timeout = do_error(gun_rs_socket:close(Socket)),
	?EXPECT({lying_server, Server, {frame, close, <<1000:16>>}}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

servers_that_cut_a_close(_) ->
	doc("A server that cuts the connection without a close frame of its own is told."),
	{Server, Port} = lying_server:start([upgrade, frame, close]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/", #{timeout => infinity}),
	closed = do_error(gun_rs_socket:close(Socket)),
	lying_server:stop(Server),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

own_close_codes(_) ->
	doc("A close frame of one's own is the one that is sent, and the server's answer to it is received, or thrown away."),
	Answer = frame(close, <<4001:16, "too">>),
	{Server, Port} = lying_server:start([upgrade, frame, {send, Answer}, close]),
	_ = [begin
		{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/"),
		ok = gun_rs_socket:send(Socket, {close, 4000, "mine"}),
		?EXPECT({lying_server, Server, {frame, close, <<4000:16, "mine">>}}),
		End(Socket),
		do_nothing_is_left(Socket)
	end || End <- [
		fun(Socket) -> {ok, {close, 4001, <<"too">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT), do_is_closed(Socket) end,
		fun(Socket) -> ok = gun_rs_socket:close(Socket), do_is_closed(Socket) end
	]],
	lying_server:stop(Server).

faulty_servers(_) ->
	doc("A fault of the server's is told by name; it is sent a close frame, and the socket is closed."),
	{Server, Port} = lying_server:start([upgrade, {send, [frame(text, "fine"), frame(1, 0, 1, <<1, 2, 3, 4>>, "bad")]}, frame, close]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/"),
	{ok, {text, <<"fine">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	{ws_protocol, masked} = do_error(gun_rs_socket:receive_frame(Socket, ?WAIT)),
	do_is_closed(Socket),
	?EXPECT({lying_server, Server, {frame, close, <<1002:16, _/binary>>}}),
	lying_server:stop(Server),
	do_nothing_is_left(Socket).

faulty_servers_that_do_not_close(_) ->
	doc("A faulty server that does not close is not waited for longer than a moment."),
	{Server, Port} = lying_server:start([upgrade, {send, frame(1, 0, 1, <<1, 2, 3, 4>>, "bad")}, frames]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/"),
	{ws_protocol, masked} = do_error(gun_rs_socket:receive_frame(Socket, infinity)),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

reset_connection(_) ->
	doc("A connection that is reset is told to who waits without a timeout."),
	{Server, Port} = lying_server:start([upgrade, wait, reset]),
	{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port, "/"),
	lying_server:go(Server),
	true = lists:member(do_error(gun_rs_socket:receive_frame(Socket, infinity)), [closed, econnreset]),
	lying_server:stop(Server),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

connection_that_is_gone(Config) ->
	doc("Whoever has ended the connection beneath a socket: each call on it returns at once."),
	_ = [begin
		Socket = do_connect("/websocket", #{timeout => infinity}, Config),
		ConnPid = gun_rs_socket:connection(Socket),
		_ = End(ConnPid),
		true = eventually(fun() -> not is_process_alive(ConnPid) end),
		_ = [closed = do_error(Call(Socket)) || Call <- Calls],
		do_is_closed(Socket),
		do_nothing_is_left(Socket)
	end || End <- [fun gun_rs:close/1, fun(ConnPid) -> exit(ConnPid, kill) end], Calls <- [
		[fun gun_rs_socket:receive_frame/1],
		[fun gun_rs_socket:receive_app_frame/1],
		[fun(Socket) -> gun_rs_socket:send_text(Socket, "x") end, fun gun_rs_socket:receive_frame/1],
		%% The WebSocket's end was not a clean one.
		[fun gun_rs_socket:close/1]
	]],
	%% One that is ended gracefully tells of the server's close frame.
	Socket = do_connect("/websocket", #{timeout => infinity}, Config),
	ok = gun_rs:shutdown(gun_rs_socket:connection(Socket)),
	{ok, {close, 1001, <<>>}} = gun_rs_socket:receive_frame(Socket),
	do_is_closed(Socket),
	do_nothing_is_left(Socket).

other_processes(Config) ->
	doc("Another process may send, and is told that it can do nothing else."),
	Socket = do_connect("/websocket", Config),
	Self = self(),
	_ = spawn_link(fun() ->
		ok = gun_rs_socket:send_text(Socket, "from elsewhere"),
		not_owner = do_error(gun_rs_socket:receive_frame(Socket)),
		not_owner = do_error(gun_rs_socket:receive_frame(Socket, 0)),
		not_owner = do_error(gun_rs_socket:receive_app_frame(Socket)),
		not_owner = do_error(gun_rs_socket:close(Socket)),
		Self ! {done, do_mailbox()}
	end),
	?EXPECT({done, []}),
	{ok, {text, <<"from elsewhere">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

messages_of_others_stay(Config) ->
	doc("What else is in the mailbox, the frames of another socket included, stays there in its order."),
	Other = do_connect("/websocket", Config),
	self() ! one,
	ok = gun_rs_socket:send_text(Other, "other"),
	{gun_ws, _, _, {text, <<"other">>}} = Frame = ?EXPECT(M when element(1, M) =:= gun_ws, M),
	self() ! Frame,
	Foreign = [{gun_up, self(), http}, {gun_ws, self(), make_ref(), close}, {'DOWN', make_ref(), process, self(), x}],
	_ = [self() ! Message || Message <- Foreign],
	Socket = do_connect("/websocket", Config),
	ok = gun_rs_socket:send_text(Socket, "mine"),
	{ok, {text, <<"mine">>}} = gun_rs_socket:receive_frame(Socket, ?WAIT),
	ok = gun_rs_socket:close(Socket),
	{error, _} = do_try("/nowhere", #{}, Config),
	[one, Frame|Foreign] = do_mailbox(),
	{ok, {text, <<"other">>}} = gun_rs_socket:receive_frame(Other, ?WAIT),
	ok = gun_rs_socket:close(Other),
	_ = [?EXPECT(Message) || Message <- [one|Foreign]],
	do_nothing_is_left(Other).

flow(Config) ->
	doc("With flow each frame that is received makes room for another; closing waits for nothing that it holds back."),
	Socket = do_connect("/command", #{ws_opts => #{flow => 1}}, Config),
	Frames = [{text, integer_to_binary(N)} || N <- lists:seq(1, 50)],
	_ = [ok = gun_rs_socket:send_binary(Socket, term_to_binary([Frame])) || Frame <- Frames],
	Frames = [element(2, {ok, _} = gun_rs_socket:receive_frame(Socket, ?WAIT)) || _ <- Frames],
	_ = [ok = gun_rs_socket:send_binary(Socket, term_to_binary([Frame])) || Frame <- Frames],
	ok = gun_rs_socket:close(Socket),
	do_nothing_is_left(Socket).

reconnecting(Config) ->
	doc("With retry the connection outlives the WebSocket that was closed, and is its owner's."),
	Socket = do_connect("/command", #{retry => 1}, Config),
	ConnPid = gun_rs_socket:connection(Socket),
	ok = gun_rs_socket:send_binary(Socket, term_to_binary([{text, <<"thrown away">>}])),
	ok = gun_rs_socket:close(Socket),
	do_is_closed(Socket),
	?EXPECT({gun_notify, ConnPid, retry, #{reason := normal}}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	do_mailbox_is_empty(),
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/websocket", []),
	ok = gun_rs_socket:await_upgrade(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs_socket:send(ConnPid, StreamRef, {text, "again"}),
	{ok, {text, <<"again">>}} = gun_rs_socket:receive_frame(ConnPid, StreamRef, ?WAIT),
	%% The old socket has nothing of it.
	do_is_closed(Socket),
	ok = gun_rs:close(ConnPid),
	do_mailbox_is_empty(),
	%% with_socket ends such a connection too.
	ok = gun_rs_socket:with_socket("localhost", config(tcp_port, Config), "/websocket", #{retry => 1}, fun(S) ->
		put(socket, S),
		ok
	end),
	do_nothing_is_left(get(socket)).

owner_that_exits(Config) ->
	doc("The connection of a socket ends with the socket's owner."),
	Self = self(),
	{_, MRef} = spawn_monitor(fun() ->
		Self ! {connection, gun_rs_socket:connection(do_connect("/websocket", Config))}
	end),
	ConnPid = ?EXPECT({connection, C}, C),
	?EXPECT({'DOWN', MRef, process, _, normal}),
	true = eventually(fun() -> not is_process_alive(ConnPid) end).

bad_arguments(_) ->
	doc("What is wrong with the arguments is said before anything is connected."),
	{Socket, Port} = refused_port(),
	_ = [Reason = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", Opts)) || {Opts, Reason} <- [
		{[], {options, []}},
		{#{timeout => -1}, {options, {socket, {timeout, -1}}}},
		{#{timeout => 1.0}, {options, {socket, {timeout, 1.0}}}},
		{#{timeout => 16#100000000}, {options, {socket, {timeout, 16#100000000}}}},
		{#{timeout => undefined}, {options, {socket, {timeout, undefined}}}},
		{#{supervise => false}, {options, {socket, {supervise, false}}}},
		{#{notify_retries => true}, {options, {socket, {notify_retries, true}}}},
		{#{ws_opts => #{reply_to => self()}}, {options, {socket, {reply_to, self()}}}},
		{#{retry => -1}, {options, {retry, -1}}},
		{#{ws_opts => []}, {options, {ws_opts, []}}},
		{#{ws_opts => #{flow => 0}}, {options, {ws, {flow, 0}}}},
		{#{unknown => 1}, {options, {unknown, 1}}},
		%% These are right.
		{#{timeout => infinity, supervise => true}, econnrefused}
	]],
	{invalid_request_target, "/a b", _} = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/a b")),
	{invalid_request_target, [8364], _} = do_error(gun_rs_socket:connect("127.0.0.1", Port, [8364])),
	{invalid_request_header, <<"a">>, _} = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", #{headers => [{"a", "\r\n"}]})),
	{invalid_request_header, foo, _} = do_error(gun_rs_socket:connect("127.0.0.1", Port, "/", #{headers => foo})),
	{options, {port, 0}} = do_error(gun_rs_socket:connect("127.0.0.1", 0, "/")),
	{options, {host, "a b"}} = do_error(gun_rs_socket:connect("a b", Port, "/")),
	_ = [{options, {url, Url}} = do_error(gun_rs_socket:connect(Url)) || Url <- ["", "localhost", "ftp://localhost/", "ws://", foo]],
	{options, foo} = do_error(gun_rs_socket:connect("ws://localhost/", foo)),
	release_port(Socket),
	do_mailbox_is_empty().

%% Step by step.

other_protocols(Config) ->
	doc("A connection that does not speak HTTP/1.1 is asked for nothing."),
	ConnPid = gun_rs_test:open(config(tcp_port, Config)),
	_ = [{unsupported_protocol, Protocol} = do_error(gun_rs_socket:upgrade_with_protocol(ConnPid, Protocol, "/echo", []))
		|| Protocol <- [http2, raw, socks]],
	{invalid_request_target, "echo", _} = do_error(gun_rs_socket:upgrade_with_protocol(ConnPid, http, "echo", [])),
	{invalid_request_header, <<"a b">>, _} = do_error(gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/", [{"a b", "c"}])),
	%% It can be used on.
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/echo", []),
	ok = gun_rs_socket:await_upgrade(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:close(ConnPid),
	do_mailbox_is_empty().

another_upgrade_after_a_refusal(Config) ->
	doc("A refused upgrade leaves a connection of one's own up, and nothing in the mailbox."),
	ConnPid = gun_rs_test:open(config(tcp_port, Config)),
	{ok, Refused} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/refuse", []),
	{upgrade_refused, 403, _, <<"Members only.">>} = do_error(gun_rs_socket:await_upgrade(ConnPid, Refused, ?WAIT)),
	do_mailbox_is_empty(),
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/websocket", #{"x-mine" => "yes"}),
	ok = gun_rs_socket:await_upgrade(ConnPid, StreamRef, ?WAIT),
	timeout = do_error(gun_rs_socket:receive_frame(ConnPid, StreamRef, 10)),
	{invalid_frame, foo, _} = do_error(gun_rs_socket:send(ConnPid, StreamRef, foo)),
	ok = gun_rs_socket:send(ConnPid, StreamRef, {close, 1000, ""}),
	{ok, {close, 1000, <<>>}} = gun_rs_socket:receive_frame(ConnPid, StreamRef, ?WAIT),
	%% The first to tell is gun_down, or the process that is gone.
	true = lists:member(do_error(gun_rs_socket:receive_frame(ConnPid, StreamRef, infinity)), [closed, noproc]),
	true = eventually(fun() -> not is_process_alive(ConnPid) end),
	noproc = do_error(gun_rs_socket:receive_frame(ConnPid, StreamRef, infinity)),
	do_mailbox_is_empty(),
	noproc = do_error(gun_rs_socket:await_upgrade(ConnPid, make_ref(), infinity)),
	{down, noproc} = do_error(gun_rs_socket:send(ConnPid, StreamRef, close)).

long_refusal_on_a_connection_of_ones_own(_) ->
	doc("What comes of a refusing response after its beginning was returned is told to nobody."),
	Whole = binary:copy(<<"a">>, 65536),
	{Server, Port} = lying_server:start([request,
		{send, ["HTTP/1.1 500 Oops\r\ncontent-length: 1000000\r\n\r\n", Whole]}, wait, {send, "too late"}]),
	ConnPid = gun_rs_test:open(Port),
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/", []),
	{upgrade_refused, 500, _, Whole} = do_error(gun_rs_socket:await_upgrade(ConnPid, StreamRef, infinity)),
	lying_server:go(Server),
	do_mailbox_is_empty(),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

end_of_a_stream_that_the_connection_outlives(Config) ->
	doc("The end of a stream is told to who receives, though the connection connects anew."),
	{ok, ConnPid} = gun_rs:open("localhost", config(tcp_port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	{ok, StreamRef} = gun_rs_socket:upgrade_with_protocol(ConnPid, http, "/pid", []),
	ok = gun_rs_socket:await_upgrade(ConnPid, StreamRef, ?WAIT),
	{ok, {binary, Pid}} = gun_rs_socket:receive_frame(ConnPid, StreamRef, ?WAIT),
	exit(binary_to_term(Pid), kill),
	true = lists:member(do_error(gun_rs_socket:receive_frame(ConnPid, StreamRef, infinity)), [closed, econnreset]),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ok = gun_rs:close(ConnPid),
	do_mailbox_is_empty().

%% The examples of the manual.

erlang_examples(Config) ->
	doc("Every Erlang example of doc/socket.md runs."),
	Examples = do_examples("erlang", Config),
	4 = length(Examples),
	_ = [begin
		{ok, Tokens, _} = erl_scan:string(Example),
		{ok, Exprs} = erl_parse:parse_exprs(Tokens),
		ct:capture_start(),
		{value, ok, _} = erl_eval:exprs(Exprs, #{}),
		ct:capture_stop(),
		Printed = do_printed(Example),
		Printed = lists:append(ct:capture_get()),
		do_mailbox_is_empty()
	end || Example <- Examples],
	ok.

elixir_examples(Config) ->
	doc("Every Elixir example of doc/socket.md runs."),
	Examples = do_examples("elixir", Config),
	4 = length(Examples),
	Ebin = filename:join(code:lib_dir(gun_rs), "ebin"),
	_ = [begin
		File = filename:join(config(priv_dir, Config), "example.exs"),
		ok = file:write_file(File, Example),
		Port = open_port({spawn_executable, os:find_executable("elixir")},
			[{args, ["-pa", Ebin, File]}, {env, [{"ERL_LIBS", false}]}, exit_status, stderr_to_stdout]),
		Printed = do_printed(Example),
		{0, Printed} = do_output(Port, [])
	end || Example <- Examples],
	ok.

%% The echo, where there is something to print.
do_printed(Example) ->
	case string:find(Example, "reply", leading) =:= nomatch andalso string:find(Example, "Reply") =:= nomatch of
		true -> "";
		false -> "hello\n"
	end.

do_output(Port, Acc) ->
	receive
		{Port, {data, Data}} -> do_output(Port, Acc ++ Data);
		{Port, {exit_status, Status}} -> {Status, Acc}
	end.

%% With the ports and the certificate of servers that run.
do_examples(Language, Config) ->
	%% gun_rs is in _build/test/lib.
	Root = lists:foldl(fun(_, Dir) -> filename:dirname(Dir) end, filename:absname(code:lib_dir(gun_rs)), lists:seq(1, 4)),
	{ok, Doc} = file:read_file(filename:join(Root, "doc/socket.md")),
	{match, Examples} = re:run(Doc, ["```", Language, "\\n(.*?)```"], [dotall, global, {capture, all_but_first, list}]),
	[lists:foldl(fun({From, To}, Example) -> lists:flatten(string:replace(Example, From, To, all)) end, Example0, [
		{"8080", integer_to_list(config(tcp_port, Config))},
		{"8443", integer_to_list(config(tls_port, Config))},
		{"/etc/my_app/root.pem", config(root_file, Config)}
	]) || [Example0] <- Examples].

%% Helpers.

do_connect(Path, Config) ->
	do_connect(Path, #{}, Config).

do_connect(Path, Opts, Config) ->
	{ok, Socket} = do_try(Path, Opts, Config),
	Socket.

%% No machine is too slow for this timeout.
do_try(Path, Opts, Config) ->
	gun_rs_socket:connect("localhost", config(port, Config), Path,
		maps:merge(maps:merge(#{timeout => ?WAIT}, config(opts, Config)), Opts)).

%% The reason, for which there is a sentence.
do_error({error, Reason}) ->
	Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
	{nomatch, _} = {string:find(Sentence, "no words"), Reason},
	Reason.

do_is_closed(Socket) ->
	closed = do_error(gun_rs_socket:receive_frame(Socket)),
	closed = do_error(gun_rs_socket:receive_frame(Socket, infinity)),
	closed = do_error(gun_rs_socket:receive_app_frame(Socket)),
	closed = do_error(gun_rs_socket:send_text(Socket, "x")),
	closed = do_error(gun_rs_socket:send_binary(Socket, "x")),
	ok = gun_rs_socket:close(Socket).

%% The connection is over, and nothing of it is in the mailbox, nor comes.
do_nothing_is_left(Socket) ->
	[] = [Message || Message <- do_mailbox(), element(1, Message) =/= lying_server],
	ConnPid = gun_rs_socket:connection(Socket),
	{ConnPid, true} = {ConnPid, eventually(fun() -> not is_process_alive(ConnPid) end)},
	do_mailbox_is_empty().

%% A process does not see what has come until it receives.
do_mailbox() ->
	receive {?MODULE, never} -> ok after 0 -> ok end,
	{messages, Messages} = process_info(self(), messages),
	Messages.

do_mailbox_is_empty() ->
	?REFUTE(_ when element(1, Unwanted) =/= lying_server).

%% What a server may not do for ever: leave a request unanswered, send informational responses, take connections and
%% close them.
-module(gun_rs_deadlines_SUITE).

-import(lying_server, [ok/1]).

-define(NEEDS, [gun_rs, ssl]).
-include("gun_rs_suite.hrl").

%% Answers that do not come.

upgrade_unanswered(_) ->
	doc("An upgrade that is not answered in time is given up, and the connection with it."),
	{Server, Port} = lying_server:start([request, wait]),
	_ = [begin
		ConnPid = open(Port, Opts),
		MRef = watch(ConnPid),
		StreamRef = Upgrade(ConnPid),
		?EXPECT({gun_error, ConnPid, StreamRef, {timeout, upgrade}}),
		?EXPECT({gun_down, ConnPid, http, {error, {timeout, upgrade}}, [StreamRef]}),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {timeout, upgrade}}}})
	end || {Opts, Upgrade} <- [
		{#{retry => 0, ws_opts => #{upgrade_timeout => 50}}, fun(ConnPid) -> gun_rs:ws_upgrade(ConnPid, "/") end},
		{#{retry => 0}, fun(ConnPid) -> gun_rs:ws_upgrade(ConnPid, "/", [], #{upgrade_timeout => 50}) end}
	]],
	lying_server:stop(Server).

response_unanswered(_) ->
	doc("A request that is not answered in time is given up; those behind it go down with the connection."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 102 Processing\r\n\r\n"}, wait]),
	ConnPid = open(Port, #{retry => 0}),
	StreamRef1 = gun_rs:get(ConnPid, "/", [], #{response_timeout => 1000}),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_inform, ConnPid, StreamRef1, 102, _}),
	?EXPECT({gun_error, ConnPid, StreamRef1, {timeout, response}}),
	?EXPECT({gun_error, ConnPid, StreamRef2, {closed, {error, {timeout, response}}}}),
	?EXPECT({gun_down, ConnPid, http, {error, {timeout, response}}, [StreamRef1, StreamRef2]}),
	lying_server:stop(Server).

body_stops(_) ->
	doc("A body that stops is given up; one that goes on slowly, or that flow holds back, is not."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"}, wait,
		{send, "two"}, wait, {send, "end"}]),
	ReqOpts = #{body_timeout => 200},
	ConnPid1 = open(Port, #{retry => 0}),
	StreamRef1 = gun_rs:get(ConnPid1, "/", [], ReqOpts),
	?EXPECT({gun_response, ConnPid1, StreamRef1, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid1, StreamRef1, nofin, <<"one">>}),
	?EXPECT({gun_error, ConnPid1, StreamRef1, {timeout, body}}),
	?EXPECT({gun_down, ConnPid1, http, {error, {timeout, body}}, [StreamRef1]}),
	ConnPid2 = open(Port, #{retry => 0}),
	StreamRef2 = gun_rs:get(ConnPid2, "/", [], ReqOpts#{flow => 1}),
	?EXPECT({gun_data, ConnPid2, StreamRef2, nofin, <<"one">>}),
	timer:sleep(600),
	?REFUTE({gun_error, ConnPid2, StreamRef2, _}),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server).

%% Responses without an end, and before their time.

endless_informs(_) ->
	doc("Informational responses without an end are a limit reached, and take no memory."),
	Memory = gun_rs_test:watch_memory(),
	_ = [begin
		{Server, Port} = lying_server:start([request, {flood, Inform, 1 bsl 30}]),
		ConnPid = open(Port),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, {connection_error, limit_reached, [_|_]}}),
		?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, {connection_error, limit_reached, [_|_]}}}}),
		?EXPECT({gun_down, ConnPid, http, {error, {connection_error, limit_reached, [_|_]}}, [StreamRef]}),
		true = 100 >= length([told || _ <- lists:seq(1, 1000), receive {gun_inform, ConnPid, _, _, _} -> true after 0 -> false end]),
		lying_server:stop(Server)
	end || Inform <- ["HTTP/1.1 102 Processing\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		["HTTP/1.1 103 Early Hints\r\nlink: ", lists:duplicate(20000, $a), "\r\n\r\n"]]],
	{Vm, System} = gun_rs_test:memory_growth(Memory),
	ct:log("The node grew by ~b bytes by its own account, by ~b by the system's.", [Vm, System]),
	true = Vm < 64 * 1024 * 1024.

max_informs(_) ->
	doc("The number is an option: none, some, or as many as there are."),
	Inform = "HTTP/1.1 102 Processing\r\n\r\n",
	{Server, Port} = lying_server:start([request, {send, [lists:duplicate(200, Inform), ok("done")]}]),
	Requested = fun(Max) ->
		ConnPid = open(Port, #{retry => 0, http_opts => #{max_informs => Max}}),
		answer(ConnPid, gun_rs:get(ConnPid, "/"))
	end,
	_ = [{error, {closed, {error, {connection_error, limit_reached, _}}}} = Requested(Max) || Max <- [0, 199]],
	_ = [{200, _, <<"done">>} = Requested(Max) || Max <- [200, infinity]],
	lying_server:stop(Server).

unasked(_) ->
	doc("What a server sends before there is a request is never the answer to one."),
	{Server, Port} = lying_server:start([wait, {send, ok("evil")}, request, {send, ok("honest")}]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
	lying_server:stop(Server).

content_length_beyond_counting(_) ->
	doc("A content-length that cannot be counted is told as what it is, and not as a limit on headers."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n"}]),
	ConnPid = open(Port),
	{error, {closed, {error, {http_protocol, Text}}}} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	{match, _} = re:run(Text, "content-length"),
	lying_server:stop(Server).

%% The last response of a connection.

behind_the_last_response(_) ->
	doc("Requests that come while the last response of a connection is received are made on the next one."),
	{Server, Port} = lying_server:start([request,
		{send, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nla"}, wait, {send, "st"}]),
	ConnPid = open(Port, #{}),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef1, nofin, 200, _}),
	?EXPECT({gun_error, ConnPid, StreamRef2, closing}),
	StreamRef3 = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef3, fin, "body"),
	{ok, #{state := running}} = gun_rs:stream_info(ConnPid, StreamRef3),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({gun_response, ConnPid, StreamRef3, nofin, 200, _}),
	ok = gun_rs:close(ConnPid),
	%% Where no connection follows, there is none to wait for.
	ConnPid2 = open(Port, #{retry => 0}),
	StreamRef4 = gun_rs:get(ConnPid2, "/"),
	?EXPECT({gun_response, ConnPid2, StreamRef4, nofin, 200, _}),
	StreamRef5 = gun_rs:get(ConnPid2, "/"),
	?EXPECT({gun_error, ConnPid2, StreamRef5, closing}),
	lying_server:stop(Server).

%% Reconnecting.

storm(_) ->
	doc("A server that takes connections and closes them is asked as often as one that refuses them."),
	{Server, Port} = lying_server:start([close]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 5, retry_timeout => 500}),
	MRef = watch(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}),
	6 = do_count_ups(ConnPid),
	lying_server:stop(Server).

storm_after_a_tls_handshake(Config) ->
	doc("So is one that refuses the client behind a handshake of TLS 1.3."),
	Dir = config(priv_dir, Config),
	[CertFile, KeyFile] = [filename:join(Dir, Name) || Name <- ["cert.pem", "key.pem"]],
	_ = os:cmd("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=gun_rs"
		" -addext subjectAltName=IP:127.0.0.1 -keyout '" ++ KeyFile ++ "' -out '" ++ CertFile ++ "' 2>&1"),
	{ok, Listener} = ssl:listen(0, [{ip, {127, 0, 0, 1}}, {certfile, CertFile}, {keyfile, KeyFile},
		{versions, ['tlsv1.3']}, {verify, verify_peer}, {fail_if_no_peer_cert, true}, {cacertfile, CertFile},
		{log_level, none}]),
	{ok, {_, Port}} = ssl:sockname(Listener),
	Acceptor = spawn_link(fun Accept() ->
		{ok, Socket} = ssl:transport_accept(Listener),
		_ = ssl:handshake(Socket, ?WAIT),
		Accept()
	end),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{transport => tls, tls_opts => [{verify, verify_none}],
		retry => 3, retry_timeout => 2000, retry_fun => fun(Retries, _) -> #{retries => Retries - 1, timeout => 10} end}),
	MRef = watch(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, _}}),
	true = do_count_ups(ConnPid) =< 4,
	unlink(Acceptor),
	exit(Acceptor, kill),
	ssl:close(Listener).

retries_are_given_back(_) ->
	doc("A connection that has answered, or that has lived for retry_timeout, gives the retries back."),
	{Server1, Port1} = lying_server:start([request, {send, ok("once")}, close]),
	ConnPid1 = open(Port1, #{retry => 1, retry_timeout => 10000}),
	_ = [begin
		{200, _, <<"once">>} = answer(ConnPid1, gun_rs:get(ConnPid1, "/")),
		?EXPECT({gun_down, ConnPid1, http, closed, []}),
		?EXPECT({gun_up, ConnPid1, http})
	end || _ <- lists:seq(1, 5)],
	ok = gun_rs:close(ConnPid1),
	lying_server:stop(Server1),
	{Server2, Port2} = lying_server:start([wait, close]),
	ConnPid2 = open(Port2, #{retry => 1, retry_timeout => 50}),
	_ = [begin
		timer:sleep(200),
		lying_server:go(Server2),
		?EXPECT({gun_down, ConnPid2, http, closed, []}),
		?EXPECT({gun_up, ConnPid2, http})
	end || _ <- lists:seq(1, 5)],
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server2).

backoff(_) ->
	doc("With retry_backoff the pauses double up to the maximum, less a random part that never goes below retry_timeout."),
	{Socket, Port} = gun_rs_test:refused_port(),
	Pauses = fun(Backoff) ->
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 7, retry_timeout => 5, retry_backoff => Backoff,
			notify_retries => true}),
		[?EXPECT({gun_notify, ConnPid, retry, #{timeout := Pause}}, Pause) || _ <- lists:seq(1, 7)]
	end,
	[0, 10, 20, 40, 60, 60, 60] = Pauses(#{max => 60, jitter => 0}),
	All = lists:append([lists:zip([0, 10, 20, 40, 60, 60, 60], Pauses(#{max => 60})) || _ <- lists:seq(1, 5)]),
	[] = [{Longest, Pause} || {Longest, Pause} <- All, Pause > Longest orelse Pause < Longest div 2],
	true = length(lists:usort(All)) > 7,
	_ = [true = Pause =:= 0 orelse Pause >= 5 || Pause <- Pauses(#{max => 60, jitter => 1})],
	gun_rs_test:release_port(Socket).

%% The end of a connection.

refused_before_anybody_could_monitor_it(_) ->
	doc("await_up and await give the reason of a connection that has failed; a linked opener has the time to unlink."),
	{Socket, Port} = gun_rs_test:refused_port(),
	_ = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
		_ = [do_exit_of(ConnPid) || N rem 2 =:= 0],
		{error, {down, {shutdown, econnrefused}}} = gun_rs:await_up(ConnPid, ?WAIT),
		{error, {down, {shutdown, econnrefused}}} = gun_rs:await(ConnPid, make_ref())
	end || N <- lists:seq(1, 200)],
	%% A busy machine may let it come too late now and then.
	Trapped = process_flag(trap_exit, true),
	Late = [ConnPid || _ <- lists:seq(1, 200), {ok, ConnPid} <- [gun_rs:open("127.0.0.1", Port, #{retry => 0, supervise => false})],
		begin
			true = unlink(ConnPid),
			receive {'EXIT', ConnPid, _} -> true after 0 -> false end
		end],
	true = process_flag(trap_exit, Trapped),
	true = length(Late) < 50,
	gun_rs_test:release_port(Socket).

do_exit_of(ConnPid) ->
	true = gun_rs_test:eventually(fun() -> not is_process_alive(ConnPid) end).

failures_that_are_remembered(_) ->
	doc("No more than 1,024 failures are remembered."),
	{Socket, Port} = gun_rs_test:refused_port(),
	ConnPids = [element(2, {ok, _} = gun_rs:open("127.0.0.1", Port, #{retry => 0})) || _ <- lists:seq(1, 1100)],
	_ = [do_exit_of(ConnPid) || ConnPid <- ConnPids],
	2049 = ets:info(gun_rs_exits, size),
	{error, {down, noproc}} = gun_rs:await_up(hd(ConnPids)),
	{error, {down, {shutdown, econnrefused}}} = gun_rs:await_up(lists:last(ConnPids)),
	gun_rs_test:release_port(Socket).

one_sender(_) ->
	doc("The process behind ConnPid sends what ends a connection itself: gun_error, gun_down, and then it exits."),
	{Server, Port} = lying_server:start([request, wait, close]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	1 = erlang:trace(ConnPid, true, [send, procs]),
	lying_server:go(Server),
	Self = self(),
	?EXPECT({trace, ConnPid, send, {gun_error, ConnPid, StreamRef, closed}, Self}),
	?EXPECT({trace, ConnPid, send, {gun_down, ConnPid, http, closed, [StreamRef]}, Self}),
	?EXPECT({trace, ConnPid, exit, {shutdown, closed}}),
	lying_server:stop(Server).

do_count_ups(ConnPid) ->
	receive {gun_up, ConnPid, http} -> 1 + do_count_ups(ConnPid) after 0 -> 0 end.

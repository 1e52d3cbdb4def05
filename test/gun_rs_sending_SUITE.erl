%% Whoever sends can know what becomes of it: sent, waiting, too much, or never to be sent.
-module(gun_rs_sending_SUITE).

-import(lying_server, [frame/2]).

-define(NEEDS, [distribution, {listener, [ws_echo_h]}]).
-define(TIMETRAP, {minutes, 2}).
-include("gun_rs_suite.hrl").

%% Far more than the buffers of the system take: a server that does not read does not get it.
-define(TOO_LARGE, (32 * 16#100000)).

init_per_suite(Config) ->
	{Peer, Node} = gun_rs_test:start_node(),
	[{peer, Peer}, {node, Node}|Config].

end_per_suite(Config) ->
	?CATCH(peer:stop(config(peer, Config))),
	ok.

%% ws_send_sync.

sync_to_a_server_that_reads(Config) ->
	doc("ws_send_sync returns ok for whatever ws_send takes, and the server has it."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Large = crypto:strong_rand_bytes(1000000),
	_ = [begin
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, Frames),
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, Frames, 10000),
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, Frames, infinity),
		_ = [?EXPECT({gun_ws, ConnPid, StreamRef, F}, F = Echo) || _ <- [1, 2, 3], Echo <- Echoes]
	end || {Frames, Echoes} <- [
		{{text, "Hello!"}, [{text, <<"Hello!">>}]},
		{{text, ["He", [<<"ll">>], $o]}, [{text, <<"Hello">>}]},
		{{binary, <<>>}, [{binary, <<>>}]},
		{{binary, Large}, [{binary, Large}]},
		{[], []},
		{ping, []},
		{[pong, {ping, "1"}, {text, "a"}, {binary, Large}, {text, <<"b">>}],
			[{text, <<"a">>}, {binary, Large}, {text, <<"b">>}]}
	]],
	?REFUTE({gun_ws, ConnPid, _, _}),
	ok = gun_rs:close(ConnPid).

sync_compressed(Config) ->
	doc("So it does where messages are compressed."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/deflate", [], #{compress => true}),
	Large = binary:copy(<<"0123456789">>, 100000),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, [{text, "Hello!"}, {binary, Large}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Large}}),
	ok = gun_rs:close(ConnPid).

sync_waits_for_the_system(_) ->
	doc("ws_send_sync returns when the operating system has everything, and not before."),
	{ConnPid, StreamRef, Server} = do_open_unread(#{}),
	Payload = crypto:strong_rand_bytes(?TOO_LARGE),
	Sender = do_send_sync(ConnPid, StreamRef, [{text, "before"}, {binary, Payload}], infinity),
	?EXPECT({lying_server, Server, accepted}),
	?REFUTE({Sender, _}),
	#{stats := #{send_queue := Waiting}} = gun_rs:info(ConnPid),
	true = Waiting > 0 andalso Waiting =< ?TOO_LARGE + 3000,
	lying_server:go(Server),
	?EXPECT({Sender, ok}),
	?EXPECT({lying_server, Server, {frame, text, <<"before">>}}),
	?EXPECT({lying_server, Server, {frame, binary, Payload}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

sync_times_out(_) ->
	doc("After a timeout the frames may still be sent; no answer comes later, whatever becomes of them."),
	{ConnPid, StreamRef, Server} = do_open_unread(#{}),
	Payload = crypto:strong_rand_bytes(?TOO_LARGE),
	{error, timeout} = gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Payload}, 0),
	{error, timeout} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "behind it"}, 100),
	lying_server:go(Server),
	?EXPECT({lying_server, Server, {frame, binary, Payload}}),
	?EXPECT({lying_server, Server, {frame, text, <<"behind it">>}}),
	?REFUTE(Msg when element(1, Msg) =/= lying_server),
	%% Nor when they are never sent.
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	{ConnPid2, StreamRef2, Server2} = do_open_unread(#{}),
	{error, timeout} = gun_rs:ws_send_sync(ConnPid2, StreamRef2, {binary, Payload}, 100),
	lying_server:stop(Server2),
	?EXPECT({gun_down, ConnPid2, ws, closed, [StreamRef2]}),
	?REFUTE(Msg when element(1, Msg) =/= lying_server).

sync_when_the_server_goes_away(_) ->
	doc("Whoever waits when the connection ends is told that it has, and is told so before gun_down."),
	{ConnPid, StreamRef, Server} = do_open_unread(#{}),
	Senders = [do_send_sync(ConnPid, StreamRef, {binary, binary:copy(<<0>>, ?TOO_LARGE)}, infinity) || _ <- [1, 2, 3]],
	true = eventually(fun() -> maps:get(send_queue, do_stats(ConnPid)) > 5 * ?TOO_LARGE div 2 end),
	lying_server:stop(Server),
	_ = [?EXPECT({Sender, Answer}, {error, closed} = Answer) || Sender <- Senders],
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}).

sync_when_the_send_timeout_passes(_) ->
	doc("When the server takes nothing for send_timeout, the answer says so, as gun_down does."),
	{Server, Port} = lying_server:start([upgrade, wait], [{recbuf, 4096}]),
	{ConnPid, StreamRef} = open_ws(Port, "/", #{retry => 0, tcp_opts => [{sndbuf, 4096}, {send_timeout, 200}]}),
	{error, {closed, {error, timeout}}} =
		gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, binary:copy(<<0>>, ?TOO_LARGE)}, infinity),
	?EXPECT({gun_down, ConnPid, ws, {error, timeout}, [StreamRef]}),
	lying_server:stop(Server).

sync_when_the_connection_is_closed(_) ->
	doc("Whoever waits when the user ends the connection is told how it ended."),
	_ = [begin
		{ConnPid, StreamRef, Server} = do_open_unread(#{closing_timeout => 200}),
		Sender = do_send_sync(ConnPid, StreamRef, {binary, binary:copy(<<0>>, ?TOO_LARGE)}, infinity),
		true = eventually(fun() -> maps:get(send_queue, do_stats(ConnPid)) > 0 end),
		_ = End(ConnPid),
		?EXPECT({Sender, Answer}, Expected = Answer),
		lying_server:stop(Server)
	end || {End, Expected} <- [
		{fun gun_rs:close/1, {error, {down, shutdown}}},
		{fun(ConnPid) -> exit(ConnPid, kill) end, {error, {down, killed}}},
		{fun gun_rs:shutdown/1, {error, {closing, shutdown}}},
		%% The close frame can't be sent either, and closing_timeout passes.
		{fun(ConnPid) -> gun_rs:ws_send(ConnPid, close) end, {error, {closed, normal}}}
	]],
	ok.

sync_without_a_websocket(Config) ->
	doc("Where ws_send would send badstate, ws_send_sync answers with it."),
	ConnPid = open(config(port, Config)),
	Early = gun_rs:ws_send_sync(ConnPid, make_ref(), {text, "early"}),
	{error, {badstate, "This connection does not currently accept Websocket frames." ++ _}} = Early,
	StreamRef = upgrade(ConnPid, "/websocket"),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "in time"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"in time">>}}),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	%% Until the server has answered the upgrade, too.
	{Server, Port} = lying_server:start([request, wait]),
	ConnPid2 = open(Port),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	Early = gun_rs:ws_send_sync(ConnPid2, StreamRef2, {text, "early"}),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server).

sync_and_the_close_frame(_) ->
	doc("What stands behind a close frame is not sent, and after it ws_send_sync answers badstate."),
	{Server, Port} = lying_server:start([upgrade, frame, frame, wait, {send, frame(close, "")}]),
	ConnPid = open(Port, #{}),
	StreamRef = upgrade(ConnPid, "/"),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, [{text, "a"}, {close, 4000, "bye"}, {text, "b"}]),
	?EXPECT({lying_server, Server, {frame, text, <<"a">>}}),
	?EXPECT({lying_server, Server, {frame, close, <<4000:16, "bye">>}}),
	{error, {badstate, "The Websocket is closing" ++ _}} = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "late"}),
	lying_server:go(Server),
	?EXPECT({gun_ws, ConnPid, StreamRef, close}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	{error, {badstate, "This connection does not currently" ++ _}} =
		gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "late"}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

sync_before_the_connection_is_up(_) ->
	doc("Before gun_up it waits, as every operation does; when there is no connection, it says why."),
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 1, retry_timeout => 0,
		retry_fun => fun(Retries, _) -> #{retries => Retries - 1, timeout => 1000} end}),
	{error, {down, {shutdown, econnrefused}}} = gun_rs:ws_send_sync(ConnPid, make_ref(), {text, "early"}, infinity),
	gun_rs_test:release_port(Socket).

sync_to_no_connection(_) ->
	doc("A dead pid, and a process that is no connection, are told apart from a living connection."),
	Dead = spawn(fun() -> ok end),
	_ = gun_rs_test:await_exit(Dead),
	Dummy = spawn(fun() -> receive after infinity -> ok end end),
	_ = [{error, {down, noproc}} = gun_rs:ws_send_sync(Pid, make_ref(), {text, "Hello?"}) || Pid <- [Dead, Dummy, self()]],
	{messages, []} = process_info(Dummy, messages),
	?REFUTE(_),
	{'EXIT', {function_clause, _}} = ?CATCH(gun_rs:ws_send_sync(not_a_pid, make_ref(), {text, "Hello?"})),
	exit(Dummy, kill),
	ok.

sync_of_malformed_frames(Config) ->
	doc("A malformed frame raises as it does in ws_send, and nothing of the call is sent."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = [begin
		{'EXIT', {{invalid_frame, Bad, [_|_]}, _}} = ?CATCH(gun_rs:ws_send_sync(ConnPid, StreamRef, Frames))
	end || {Frames, Bad} <- [
		{oops, oops},
		{{text, oops}, {text, oops}},
		{{text, [256]}, {text, [256]}},
		{{ping, binary:copy(<<0>>, 126)}, {ping, binary:copy(<<0>>, 126)}},
		{{close, 1005, ""}, {close, 1005, ""}},
		{[{text, "fine"}, {binary, undefined}], {binary, undefined}},
		{[{text, <<"fine">>}|oops], [{text, <<"fine">>}|oops]}
	]],
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "unharmed"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, F}, F = {text, <<"unharmed">>}),
	ok = gun_rs:close(ConnPid).

sync_from_another_node(Config) ->
	doc("ws_send_sync answers on another node as it does on this one, and raises there."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	There = fun(Fun) -> erpc:call(config(node, Config), Fun) end,
	Large = crypto:strong_rand_bytes(1000000),
	ok = There(fun() -> gun_rs:ws_send_sync(ConnPid, StreamRef, [{text, ["i", $o]}, {binary, Large}]) end),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"io">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Large}}),
	{invalid_frame, {text, oops}, _} = There(fun() ->
		try gun_rs:ws_send_sync(ConnPid, StreamRef, {text, oops}) catch error:Reason -> Reason end
	end),
	%% In order with ws_send.
	ok = There(fun() ->
		_ = [begin
			ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, <<N:32>>}),
			ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, <<(N + 1):32>>})
		end || N <- lists:seq(1, 200, 2)],
		ok
	end),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, B}}, B = <<N:32>>) || N <- lists:seq(1, 200)],
	ConnPid2 = open(config(port, Config)),
	{error, {badstate, [_|_]}} = There(fun() -> gun_rs:ws_send_sync(ConnPid2, make_ref(), {text, "early"}) end),
	ok = gun_rs:close(ConnPid2),
	{error, {down, noproc}} = There(fun() -> gun_rs:ws_send_sync(ConnPid2, make_ref(), {text, "late"}) end),
	{ConnPid3, StreamRef3, Server} = do_open_unread(#{}),
	Payload = binary:copy(<<0>>, ?TOO_LARGE),
	{error, timeout} = There(fun() -> gun_rs:ws_send_sync(ConnPid3, StreamRef3, {binary, Payload}, 100) end),
	ok = gun_rs:close(ConnPid3),
	lying_server:stop(Server),
	ok = gun_rs:close(ConnPid).

sync_from_another_node_to_one_that_dies(Config) ->
	doc("A process of another node that waits is told when the connection dies, however it dies."),
	_ = [begin
		{ConnPid, StreamRef, Server} = do_open_unread(#{}),
		Self = self(),
		Payload = binary:copy(<<0>>, ?TOO_LARGE),
		Sender = spawn(config(node, Config), fun() ->
			Self ! {self(), gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Payload}, infinity)}
		end),
		true = eventually(fun() -> maps:get(send_queue, do_stats(ConnPid)) > 0 end),
		End(ConnPid, Server),
		?EXPECT({Sender, Answer}, Expected = Answer),
		_ = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {End, Expected} <- [
		{fun(_, Server) -> lying_server:stop(Server) end, {error, closed}},
		{fun(ConnPid, _) -> exit(ConnPid, kill) end, {error, {down, killed}}}
	]],
	ok.

sync_and_ws_send_in_order(_) ->
	doc("What one process sends by ws_send and ws_send_sync arrives in the order of its calls."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, <<N:32>>}),
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, <<(N + 1):32>>})
	end || N <- lists:seq(1, 1000, 2)],
	_ = [?EXPECT({lying_server, Server, {frame, binary, B}}, B = <<N:32>>) || N <- lists:seq(1, 1000)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

sync_from_many_processes(Config) ->
	doc("Many processes may wait at the same time, and each gets its own answer."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Self = self(),
	Senders = [spawn_link(fun() ->
		_ = [ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, <<N:32, M:32>>}, infinity) || M <- lists:seq(1, 20)],
		Self ! {self(), done}
	end) || N <- lists:seq(1, 50)],
	_ = [?EXPECT({Sender, done}) || Sender <- Senders],
	All = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<N:32, M:32>>}}, {N, M}) || _ <- lists:seq(1, 1000)],
	Expected = [{N, M} || N <- lists:seq(1, 50), M <- lists:seq(1, 20)],
	Expected = lists:sort(All),
	%% Of each process, in its order.
	true = lists:all(fun(N) -> [M || {N1, M} <- All, N1 =:= N] =:= lists:seq(1, 20) end, lists:seq(1, 50)),
	ok = gun_rs:close(ConnPid).

%% max_send_queue.

queue_full(_) ->
	doc("Beyond max_send_queue nothing of a call is sent, and the caller is told; once the server reads there is room."),
	{ConnPid, StreamRef, Server} = do_open_unread(#{max_send_queue => 1000000}),
	Payload = crypto:strong_rand_bytes(10000),
	Sent = do_fill(ConnPid, StreamRef, Payload, 0),
	ct:log("~p frames", [Sent]),
	%% Each counts for 640 bytes more; how many the system takes before it waits, it decides itself.
	true = Sent >= 1000000 div 10640,
	#{send_queue := Waiting} = do_stats(ConnPid),
	%% What the last call itself counts for, beside its bytes, may be beyond it.
	true = Waiting > 0 andalso Waiting =< 1001000,
	{error, send_queue_full} = gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Payload}),
	%% A list that doesn't fit is not sent in part.
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "no part of it"}, {binary, Payload}]),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	?REFUTE({gun_error, ConnPid, StreamRef, send_queue_full}),
	lying_server:go(Server),
	_ = [?EXPECT({lying_server, Server, {frame, binary, Payload}}) || _ <- lists:seq(1, Sent)],
	true = eventually(fun() -> maps:get(send_queue, do_stats(ConnPid)) =:= 0 end),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Payload}),
	?EXPECT({lying_server, Server, {frame, binary, Payload}}),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "room again"}),
	?EXPECT({lying_server, Server, {frame, text, <<"room again">>}}),
	?REFUTE({lying_server, Server, {frame, _, _}}),
	?REFUTE({gun_error, ConnPid, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% How many frames the queue and the system took, when the system has taken what it can.
do_fill(ConnPid, StreamRef, Payload, Sent) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Payload}),
	receive
		{gun_error, ConnPid, StreamRef, send_queue_full} ->
			Before = maps:get(send_queue, do_stats(ConnPid)),
			timer:sleep(200),
			case maps:get(send_queue, do_stats(ConnPid)) of
				Before -> Sent;
				_ -> do_fill(ConnPid, StreamRef, Payload, Sent)
			end
	after 0 ->
		do_fill(ConnPid, StreamRef, Payload, Sent + 1)
	end.

queue_full_is_told_to_the_caller(Config) ->
	doc("Who is told is the caller and not reply_to, with the stream that it named, on another node too."),
	Receiver = spawn_link(fun() -> receive stop -> ok end end),
	{Server, Port} = lying_server:start([upgrade, wait, frames]),
	ConnPid = open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{max_send_queue => 1000, reply_to => Receiver}),
	true = eventually(fun() -> maps:get(state_name, gun_rs:info(ConnPid)) =:= connected_ws_only end),
	%% More than the whole limit never fits.
	TooMuch = {binary, binary:copy(<<0>>, 1001)},
	ok = gun_rs:ws_send(ConnPid, StreamRef, TooMuch),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	ok = gun_rs:ws_send(ConnPid, TooMuch),
	?EXPECT({gun_error, ConnPid, send_queue_full}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, binary:copy(<<0>>, 100000)}),
	?EXPECT({gun_error, ConnPid, StreamRef, send_queue_full}),
	{gun_error, ConnPid, StreamRef, send_queue_full} = erpc:call(config(node, Config), fun() ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, TooMuch),
		receive Msg -> Msg after ?WAIT -> timeout end
	end),
	{error, send_queue_full} = erpc:call(config(node, Config), gun_rs, ws_send_sync, [ConnPid, StreamRef, TooMuch]),
	{error, {stream_error, send_queue_full}} = begin
		ok = gun_rs:ws_send(ConnPid, StreamRef, TooMuch),
		gun_rs:await(ConnPid, StreamRef, ?WAIT)
	end,
	{message_queue_len, Length} = process_info(Receiver, message_queue_len),
	%% gun_upgrade.
	true = Length =< 1,
	Receiver ! stop,
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

queue_full_for_an_upgrade(Config) ->
	doc("An upgrade for which there is no room is told to the reply_to of its options, or of open's."),
	Self = self(),
	_ = [begin
		Relay = spawn_link(fun Relay() -> receive Message -> Self ! {relayed, Message}, Relay() end end),
		ConnPid = open(config(port, Config), Opts#{http_opts => #{max_send_queue => 5}, ws_opts => #{reply_to => Relay}}),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
		?EXPECT({relayed, {gun_error, ConnPid, StreamRef, send_queue_full}}),
		StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{}),
		?EXPECT({gun_error, ConnPid, StreamRef2, send_queue_full}),
		ok = gun_rs:close(ConnPid)
	end || Opts <- [#{}, #{cookie_store => gun_rs_cookies_list:init()}]],
	ok.

malformed_frames_for_nobody(_) ->
	doc("A malformed frame raises in the caller, whether or not there is a connection."),
	{Pid, MRef} = spawn_monitor(fun() -> ok end),
	?EXPECT({'DOWN', MRef, process, Pid, normal}),
	ok = gun_rs:ws_send(Pid, {text, "Hello!"}),
	{'EXIT', {{invalid_frame, malformed, _}, _}} = ?CATCH(gun_rs:ws_send(Pid, malformed)),
	{'EXIT', {{invalid_frame, malformed, _}, _}} = ?CATCH(gun_rs:ws_send(Pid, make_ref(), [ping, malformed])),
	ok.

queue_limit_of_each_websocket(Config) ->
	doc("The limit is that of the WebSocket's own options, or of open's where it has none."),
	Large = {binary, binary:copy(<<0>>, 100000)},
	ConnPid = open(config(port, Config), #{ws_opts => #{max_send_queue => 1000}}),
	_ = [begin
		StreamRef = case WsOpts of
			undefined -> gun_rs:ws_upgrade(ConnPid, "/websocket");
			_ -> gun_rs:ws_upgrade(ConnPid, "/websocket", [], WsOpts)
		end,
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
		Expected = gun_rs:ws_send_sync(ConnPid, StreamRef, Large),
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, close),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http})
	end || {WsOpts, Expected} <- [
		{undefined, {error, send_queue_full}},
		{#{}, ok},
		{#{max_send_queue => 200000}, ok},
		{#{max_send_queue => 2000}, {error, send_queue_full}},
		{#{max_send_queue => infinity}, ok},
		{undefined, {error, send_queue_full}}
	]],
	ok = gun_rs:close(ConnPid).

queue_account_is_settled(_) ->
	doc("Whatever ends a WebSocket, nothing of what it could not send stays in the account of the queue."),
	Payload = {binary, binary:copy(<<0>>, 100000)},
	{Server, Port} = lying_server:start([upgrade, wait, close], [{recbuf, 4096}]),
	ConnPid = open(Port, #{retry => 100, tcp_opts => [{sndbuf, 4096}]}),
	_ = [begin
		StreamRef = upgrade(ConnPid, "/", [], #{max_send_queue => 2000000}),
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Payload) || _ <- lists:seq(1, 15)],
		{error, timeout} = gun_rs:ws_send_sync(ConnPid, StreamRef, Payload, 20),
		true = maps:get(send_queue, do_stats(ConnPid)) > 0,
		lying_server:go(Server),
		?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http}),
		%% Frames without a WebSocket are accounted for, and refused.
		ok = gun_rs:ws_send(ConnPid, StreamRef, [Payload, Payload]),
		?EXPECT({gun_error, ConnPid, {badstate, _}}),
		true = eventually(fun() -> maps:get(send_queue, do_stats(ConnPid)) =:= 0 end),
		?REFUTE({gun_error, ConnPid, _, send_queue_full})
	end || _ <- lists:seq(1, 3)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% stats.

stats(_) ->
	doc("info/1 tells the frames and the bytes of the WebSocket in each direction, frame headers included."),
	{Server, Port} = lying_server:start([{upgrade, frame(text, "with the 101")}, frame, {send, [
		frame(binary, binary:copy(<<0>>, 200)), frame(ping, "p"), frame(pong, "")
	]}, frames]),
	ConnPid = open(Port),
	Nothing = #{
		frames_in => 0, bytes_in => 0, frames_out => 0, bytes_out => 0, send_queue => 0, compression_ratio => undefined,
		truncated => 0
	},
	Nothing = do_stats(ConnPid),
	StreamRef = upgrade(ConnPid, "/"),
	%% 2 + 12.
	Begun = Nothing#{frames_in := 1, bytes_in := 14},
	true = eventually(fun() -> do_stats(ConnPid) =:= Begun orelse do_stats(ConnPid) end),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "Hello!"}),
	%% 4 + 200, 2 + 1 and 2 have come; 6 + 6, and a pong of 6 + 1, have gone.
	Expected = Nothing#{frames_in := 4, bytes_in := 14 + 204 + 3 + 2, frames_out := 2, bytes_out := 12 + 7},
	true = eventually(fun() -> do_stats(ConnPid) =:= Expected orelse do_stats(ConnPid) end),
	?EXPECT({lying_server, Server, {frame, pong, <<"p">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

stats_of_fragments_and_lists(_) ->
	doc("A fragment is a frame, and so is each frame of a list."),
	{Server, Port} = lying_server:start([{upgrade, [
		lying_server:frame(0, 0, 1, undefined, "a"), lying_server:frame(0, 0, 0, undefined, "b"),
		lying_server:frame(1, 0, 0, undefined, "c")
	]}, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"abc">>}}),
	Large = binary:copy(<<0>>, 100000),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, [ping, {text, "a"}, {binary, Large}, {binary, ""}]),
	Expected = #{
		frames_in => 3, bytes_in => 9, frames_out => 4, bytes_out => 6 + 7 + (100000 + 14) + 6,
		send_queue => 0, compression_ratio => undefined, truncated => 0
	},
	true = eventually(fun() -> do_stats(ConnPid) =:= Expected orelse do_stats(ConnPid) end),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

stats_over_reconnects(Config) ->
	doc("They are counted from the first connection on."),
	ConnPid = open(config(port, Config), #{}),
	_ = [begin
		StreamRef = upgrade(ConnPid, "/websocket"),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, _}}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, close),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http}),
		%% Each time the message and the close frame: 12 + 6 bytes out, 8 + 2 in.
		#{frames_out := Frames, frames_in := Frames, bytes_out := Out, bytes_in := In} = do_stats(ConnPid),
		{Frames, Out, In} = {2 * N, 18 * N, 10 * N}
	end || N <- [1, 2, 3]],
	ok = gun_rs:close(ConnPid).

compression_ratio(Config) ->
	doc("compression_ratio is how much smaller messages have become, undefined while none went compressed."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/deflate", [], #{compress => true}),
	#{compression_ratio := undefined} = do_stats(ConnPid),
	Compressible = binary:copy(<<"0123456789">>, 10000),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Compressible}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Compressible}}),
	true = eventually(fun() -> maps:get(frames_in, do_stats(ConnPid)) =:= 1 end),
	#{compression_ratio := Good, bytes_out := Out} = do_stats(ConnPid),
	true = is_float(Good) andalso Good > 50.0,
	true = Out < byte_size(Compressible) div 50,
	Random = crypto:strong_rand_bytes(100000),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Random}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Random}}),
	true = eventually(fun() -> maps:get(frames_in, do_stats(ConnPid)) =:= 2 end),
	%% Of both together about two.
	#{compression_ratio := Bad} = do_stats(ConnPid),
	true = Bad > 1.5 andalso Bad < 2.5,
	ok = gun_rs:close(ConnPid),
	%% A server that doesn't agree.
	ConnPid2 = open(config(port, Config)),
	StreamRef2 = upgrade(ConnPid2, "/websocket", [], #{compress => true}),
	ok = gun_rs:ws_send(ConnPid2, StreamRef2, {binary, Compressible}),
	?EXPECT({gun_ws, ConnPid2, StreamRef2, {binary, Compressible}}),
	#{compression_ratio := undefined} = do_stats(ConnPid2),
	ok = gun_rs:close(ConnPid2).

%% keepalive_tolerance.

unanswered_pings(_) ->
	doc("A server that leaves more pings unanswered than keepalive_tolerance takes the connection down."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, frames]),
		{ConnPid, StreamRef} = open_ws(Port, "/",
			#{retry => 0, ws_opts => #{keepalive => 30, keepalive_tolerance => Tolerance}}),
		MRef = watch(ConnPid),
		?EXPECT({gun_down, ConnPid, ws, {error, keepalive_timeout}, [StreamRef]}),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, keepalive_timeout}}}),
		_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- lists:seq(0, Tolerance)],
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({lying_server, Server, {frame, ping, _}}),
		?REFUTE({gun_error, ConnPid, _, _}),
		lying_server:stop(Server)
	end || Tolerance <- [0, 1, 5]],
	ok.

whatever_comes_is_life(_) ->
	doc("A server that sends anything lives, though it answers no ping; once it sends nothing, the count begins."),
	Rounds = 12,
	Script = lists:append([[frame, {send, frame(text, "busy")}] || _ <- lists:seq(1, Rounds)]),
	{Server, Port} = lying_server:start([upgrade] ++ Script ++ [frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/",
		#{retry => 0, ws_opts => #{keepalive => 200, keepalive_tolerance => 9}}),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"busy">>}}) || _ <- lists:seq(1, Rounds)],
	?EXPECT({gun_down, ConnPid, ws, {error, keepalive_timeout}, [StreamRef]}),
	_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- lists:seq(1, Rounds + 10)],
	lying_server:stop(Server).

slow_link(Config) ->
	doc("On a slow link a large message goes up, and comes back, for far longer than keepalive_tolerance has patience."),
	{Middle, Port} = tcp_middle:start(config(port, Config), #{slow => 5}),
	ConnPid = open(Port, #{retry => 0, tcp_opts => [{sndbuf, 16384}, {recbuf, 16384}]}),
	Keepalive = 500,
	Tolerance = 1,
	StreamRef = upgrade(ConnPid, "/websocket", [], #{keepalive => Keepalive, keepalive_tolerance => Tolerance}),
	Size = 16#100000,
	{Time, ok} = timer:tc(fun() ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, <<0:(8 * Size)>>}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Data}}, Size = byte_size(Data)),
		ok
	end),
	ct:log("~b ms", [Time div 1000]),
	true = Time div 1000 > 3 * (Tolerance + 2) * Keepalive,
	?REFUTE({gun_down, ConnPid, _, _, _}),
	ok = gun_rs:close(ConnPid),
	tcp_middle:stop(Middle).

answered_pings(_) ->
	doc("A server that answers stays, and the count begins anew with each answer."),
	Rounds = 12,
	Script = lists:append([[frame, {send, frame(pong, "")}] || _ <- lists:seq(1, Rounds)]),
	{Server, Port} = lying_server:start([upgrade] ++ Script ++ [frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/",
		#{retry => 0, ws_opts => #{keepalive => 200, keepalive_tolerance => 9}}),
	%% Once it answers no more, that many and one.
	_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- lists:seq(1, Rounds + 10)],
	?EXPECT({gun_down, ConnPid, ws, {error, keepalive_timeout}, [StreamRef]}),
	lying_server:stop(Server).

pings_without_a_tolerance(_) ->
	doc("Without keepalive_tolerance no number of unanswered pings is too many."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, frames]),
		{ConnPid, StreamRef} = open_ws(Port, "/", #{retry => 0, ws_opts => WsOpts#{keepalive => 20}}),
		_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- lists:seq(1, 20)],
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "still here"}),
		?EXPECT({lying_server, Server, {frame, text, <<"still here">>}}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || WsOpts <- [#{}, #{keepalive_tolerance => infinity}]],
	ok.

unanswered_pings_and_retries(_) ->
	doc("The connection that replaces a dead one has a count of its own."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	ConnPid = open(Port, #{ws_opts => #{keepalive => 30, keepalive_tolerance => 1}}),
	_ = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
		?EXPECT({gun_down, ConnPid, ws, {error, keepalive_timeout}, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http})
	end || _ <- [1, 2, 3]],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

keepalive_of_open_and_of_the_upgrade(_) ->
	doc("keepalive may be given to open, as in gun, or to ws_upgrade."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, frames]),
		ConnPid = open(Port, #{retry => 0, ws_opts => OpenOpts}),
		_ = upgrade(ConnPid, "/", [], WsOpts),
		case Pings of
			true -> ?EXPECT({lying_server, Server, {frame, ping, <<>>}});
			false -> ?REFUTE({lying_server, Server, {frame, _, _}})
		end,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {OpenOpts, WsOpts, Pings} <- [
		{#{keepalive => 30}, #{}, true},
		{#{keepalive => 30}, #{silence_pings => false}, true},
		{#{}, #{keepalive => 30}, true},
		{#{keepalive => 60000}, #{keepalive => 30}, true},
		{#{keepalive => 30}, #{keepalive => infinity}, false},
		{#{}, #{}, false}
	]],
	ok.

%% update_flow.

update_flow_without_flow(Config) ->
	doc("update_flow/3 without the option flow is ignored, as it is on a connection that has ended."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	ok = gun_rs:update_flow(ConnPid, make_ref(), 1000000),
	ok = erpc:call(config(node, Config), gun_rs, update_flow, [ConnPid, StreamRef, 1]),
	Frames = [{binary, <<N:32>>} || N <- lists:seq(1, 100)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, Frames),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, F}, F = Frame) || Frame <- Frames],
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	_ = [{'EXIT', {function_clause, _}} = ?CATCH(gun_rs:update_flow(ConnPid, StreamRef, Bad))
		|| Bad <- [0, -1, 1.0, auto]],
	ConnPid2 = open(config(port, Config)),
	ok = gun_rs:update_flow(ConnPid2, make_ref(), 1),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid2).

%% Helpers.

%% A WebSocket to a server that reads nothing until go/1, and then every frame.
do_open_unread(WsOpts) ->
	{Server, Port} = lying_server:start([upgrade, wait, frames], [{recbuf, 4096}]),
	ConnPid = open(Port, #{retry => 0, tcp_opts => [{sndbuf, 4096}]}),
	{ConnPid, upgrade(ConnPid, "/", [], WsOpts), Server}.

%% In a process of its own, which tells the answer.
do_send_sync(ConnPid, StreamRef, Frames, Timeout) ->
	Self = self(),
	spawn_link(fun() -> Self ! {self(), gun_rs:ws_send_sync(ConnPid, StreamRef, Frames, Timeout)} end).

do_stats(ConnPid) ->
	#{stats := Stats} = gun_rs:info(ConnPid),
	Stats.

%% Whatever a server sends, the user is told what it was, and nothing else breaks.
-module(gun_rs_lying_server_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [frame/5]).
-import(lying_server, [response/1]).
-import(lying_server, [response/2]).

-include("gun_rs_suite.hrl").

%% The order of things.

told_when_the_close_frame_is_sent(_) ->
	doc("A user that closes at once when he is told of a fault, whatever his mailbox holds, leaves the server a close frame."),
	_ = [self() ! {other, N} || N <- lists:seq(1, 100)],
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, wait, {send, [frame(text, "fine"), frame(1, 4, 1, undefined, "")]}, frames]),
		{ConnPid, StreamRef} = open_ws(Port, "/"),
		lying_server:go(Server),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"fine">>}}),
		?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, reserved_bits}}),
		ok = gun_rs:close(ConnPid),
		?EXPECT({lying_server, Server, {frame, close, <<1002:16>>}}),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || _ <- lists:seq(1, 20)],
	_ = [?EXPECT({other, N}) || N <- lists:seq(1, 100)],
	ok.

%% Packets.

data_with_the_101(_) ->
	doc("Frames in the same packet as the 101 arrive after gun_upgrade."),
	{Server, Port} = lying_server:start([{upgrade, [frame(text, "one"), frame(binary, "two"), frame(text, "three")]}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	%% In this order.
	[
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _},
		{gun_ws, ConnPid, StreamRef, {text, <<"one">>}},
		{gun_ws, ConnPid, StreamRef, {binary, <<"two">>}},
		{gun_ws, ConnPid, StreamRef, {text, <<"three">>}}
	] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- lists:seq(1, 4)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

close_with_the_101(_) ->
	doc("A close frame in the same packet as the 101 closes, after gun_upgrade."),
	{Server, Port} = lying_server:start([{upgrade, frame(close, <<1001:16, "full">>)}, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1001, <<"full">>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	lying_server:stop(Server).

cut_at_every_byte(_) ->
	doc("A 101 and the messages after it may be cut at every byte."),
	Length = iolist_size(do_conversation(<<>>)),
	_ = [begin
		{Server, Port} = lying_server:start([{answer_cut, fun do_conversation/1, At}, frames]),
		do_expect_conversation(Port),
		lying_server:stop(Server)
	end || At <- lists:seq(1, Length - 1)],
	ok.

byte_by_byte(_) ->
	doc("A 101 and the messages after it may come byte by byte."),
	{Server, Port} = lying_server:start([{answer_bytewise, fun do_conversation/1}, frames]),
	do_expect_conversation(Port),
	lying_server:stop(Server).

do_conversation(Key) ->
	[
		response(Key, [{"X-Server", "lies"}]),
		frame(text, <<"Hé€llo"/utf8>>), frame(ping, "p"), frame(binary, <<0:1008>>),
		frame(0, 0, 1, undefined, <<226, 130>>), frame(pong, ""), frame(1, 0, 0, undefined, <<172>>),
		frame(text, ""),
		frame(close, <<1000:16, "bye">>)
	].

do_expect_conversation(Port) ->
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	[
		{text, <<"Hé€llo"/utf8>>},
		{binary, <<0:1008>>},
		{text, <<226, 130, 172>>},
		{text, <<>>},
		{close, 1000, <<"bye">>}
	] = [?EXPECT({gun_ws, ConnPid, StreamRef, Frame}, Frame) || _ <- lists:seq(1, 5)],
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}).

large_frame_cut_in_its_header(_) ->
	doc("The longest frame header may be cut at every byte, and its payload anywhere."),
	Payload = crypto:strong_rand_bytes(70000),
	Data = iolist_to_binary(frame(binary, Payload)),
	{Server, Port} = lying_server:start([upgrade] ++
		[{send_cut, Data, At} || At <- lists:seq(1, 12) ++ [511, 512, 513, 16383, 65535, 65536, byte_size(Data) - 1]]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	_ = [Payload = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Bin}}, Bin) || _ <- lists:seq(1, 19)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Answers to the upgrade.

good_handshakes(_) ->
	doc("Header names and tokens are compared without their case, and an answer may say more than it must."),
	_ = [begin
		{Server, Port} = lying_server:start([{answer, Answer}]),
		ConnPid = open(Port),
		_ = upgrade(ConnPid, "/", [], Opts),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Answer, Opts} <- [
		{fun(Key) -> do_101([{"CONNECTION", "UPGRADE"}, {"UPGRADE", "WebSocket"}, do_accept(Key)]) end, #{}},
		{fun(Key) -> do_101([{"connection", "keep-alive, Upgrade"}, {"upgrade", "websocket"}, do_accept(Key)]) end, #{}},
		{fun(Key) -> ["HTTP/1.1 101 \r\n", tl(binary:split(iolist_to_binary(response(Key)), <<"\r\n">>))] end, #{}},
		{fun(Key) -> response(Key, [{"Sec-WebSocket-Protocol", "b"}]) end,
			#{protocols => [{<<"a">>, gun_rs_ws_h}, {<<"b">>, gun_rs_ws_h}]}}
	]],
	ok.

bad_handshakes(_) ->
	doc("A 101 that isn't what was asked for is told by name, and the connection ends."),
	_ = [begin
		ct:log("~p", [What]),
		{Server, Port} = lying_server:start([{answer, Answer}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], Opts),
		?EXPECT({gun_error, ConnPid, StreamRef, {ws_handshake, What}}),
		?EXPECT({gun_down, ConnPid, http, _, _}),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_upgrade, ConnPid, _, _, _}),
		?REFUTE({gun_response, ConnPid, _, _, _, _}),
		lying_server:stop(Server)
	end || {What, Opts, Answer} <- do_bad_handshakes()],
	ok.

do_bad_handshakes() ->
	Good = [{"Connection", "Upgrade"}, {"Upgrade", "websocket"}],
	Chat = #{protocols => [{<<"chat">>, gun_rs_ws_h}]},
	[
		{wrong_accept, #{}, fun(_) -> do_101(Good ++ [do_accept(<<"AAAAAAAAAAAAAAAAAAAAAA==">>)]) end},
		{wrong_accept, #{}, fun(_) -> do_101(Good ++ [{"Sec-WebSocket-Accept", ""}]) end},
		{wrong_accept, #{}, fun(Key) -> do_101(Good ++ [{"Sec-WebSocket-Accept", Key}]) end},
		{missing_accept, #{}, fun(_) -> do_101(Good) end},
		{not_upgrade, #{}, fun(Key) -> do_101([{"Connection", "Upgrade"}, do_accept(Key)]) end},
		{not_upgrade, #{}, fun(Key) -> do_101([{"Connection", "Upgrade"}, {"Upgrade", "h2c"}, do_accept(Key)]) end},
		{connection, #{}, fun(Key) -> do_101([{"Upgrade", "websocket"}, do_accept(Key)]) end},
		{connection, #{}, fun(Key) -> do_101([{"Connection", "close"}, {"Upgrade", "websocket"}, do_accept(Key)]) end},
		{{extension, <<"permessage-deflate">>}, #{},
			fun(Key) -> response(Key, [{"Sec-WebSocket-Extensions", "permessage-deflate"}]) end},
		{{extension, <<"x-unheard-of">>}, #{},
			fun(Key) -> response(Key, [{"Sec-WebSocket-Extensions", "x-unheard-of"}]) end},
		{{subprotocol, <<"chat">>}, #{}, fun(Key) -> response(Key, [{"Sec-WebSocket-Protocol", "chat"}]) end},
		{{subprotocol, <<"other">>}, Chat, fun(Key) -> response(Key, [{"Sec-WebSocket-Protocol", "other"}]) end}
	].

do_101(Headers) ->
	["HTTP/1.1 101 Switching Protocols\r\n", [[Name, ": ", Value, "\r\n"] || {Name, Value} <- Headers], "\r\n"].

do_accept(Key) ->
	{"Sec-WebSocket-Accept", lying_server:accept(Key)}.

%% Answers that are no answer.

response_that_never_ends(_) ->
	doc("A header block that never ends is cut off at its limit, whichever part of it is endless."),
	_ = [begin
		{Server, Port} = lying_server:start([{answer, fun(_) -> First end}, {flood, More, 256 * 16#100000}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, {connection_error, limit_reached, _}}),
		?EXPECT({gun_down, ConnPid, http, {error, {connection_error, limit_reached, _}}, _}),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		%% What is beyond the limit was taken by the system's buffers, not by us.
		Bytes = ?EXPECT({lying_server, Server, {flooded, N}}, N),
		true = Bytes < 256 * 16#100000,
		lying_server:stop(Server)
	end || {First, More} <- [
		{"HTTP/1.1 200 OK\r\n", ["x-header: ", binary:copy(<<"a">>, 1000), "\r\n"]},
		{"HTTP/1.1 200 OK\r\nx-header: ", binary:copy(<<"a">>, 1000)},
		{"HTTP/1.1 200 ", binary:copy(<<"a">>, 1000)}
	]],
	ok.

large_header_block(_) ->
	doc("A header block within the limit is taken: of one large header, or of very many."),
	_ = [begin
		{Server, Port} = lying_server:start([{answer, fun(Key) -> response(Key, Headers) end}]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		Received = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, H}, H),
		[] = [{iolist_to_binary(Name), iolist_to_binary(Value)} || {Name, Value} <- Headers] -- Received,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Headers <- [
		[{"x-large", binary:copy(<<"a">>, 90000)}],
		[{"x-" ++ integer_to_list(N), "many"} || N <- lists:seq(1, 500)]
	]],
	ok.

garbage_instead_of_http(_) ->
	doc("An answer that isn't HTTP ends in a gun_error and a gun_down."),
	_ = [begin
		ct:log("~p", [Garbage]),
		{Server, Port} = lying_server:start([{answer, fun(_) -> Garbage end}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		receive
			{gun_error, ConnPid, StreamRef, _} -> ok;
			{gun_error, ConnPid, _} -> ok
		after ?WAIT ->
			gun_rs_test:missing("gun_error")
		end,
		?EXPECT({gun_down, ConnPid, http, _, _}),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || Garbage <- [
		<<0, 255, 13, 10, 13, 10>>,
		crypto:strong_rand_bytes(3000),
		"SSH-2.0-OpenSSH_9.2p1\r\n",
		"HTTP/9.9 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 abc What\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"<!doctype html><title>Hello</title>\r\n\r\n",
		frame(text, "You are upgraded already")
	]],
	ok.

garbage_without_a_request(_) ->
	doc("Data that nobody asked for ends the connection."),
	{Server, Port} = lying_server:start([{send, "220 mail.example.org ESMTP\r\n"}]),
	ConnPid = open(Port),
	?EXPECT({gun_down, ConnPid, http, _, []}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

refusal_that_ends_with_the_connection(_) ->
	doc("The body of a refusal may end with the connection."),
	{Server, Port} = lying_server:start([
		{answer, fun(_) -> "HTTP/1.1 500 No\r\nConnection: close\r\n\r\nSor" end}, wait, {send, "ry."}, close
	]),
	ConnPid = open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 500, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"Sor">>}),
	lying_server:go(Server),
	<<"ry.">> = do_rest(ConnPid, StreamRef, <<>>),
	?EXPECT({gun_down, ConnPid, http, _, _}),
	lying_server:stop(Server).

do_rest(ConnPid, StreamRef, Body) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_rest(ConnPid, StreamRef, <<Body/binary, Data/binary>>);
		{gun_data, ConnPid, StreamRef, fin, Data} -> <<Body/binary, Data/binary>>
	after ?WAIT ->
		gun_rs_test:missing("gun_data")
	end.

%% Frames that break the protocol.

bad_frames(_) ->
	doc("Each breach of the protocol is told by name and answered with its close code."),
	_ = [begin
		ct:log("~p ~p", [What, Code]),
		{Server, Port} = lying_server:start([{upgrade, [frame(text, "first"), Bad]}, frame, close]),
		do_bad_frame(Server, Port, #{}, {text, <<"first">>}, What, Code),
		lying_server:stop(Server)
	end || {What, Code, Bad} <- do_bad_frames()],
	ok.

%% The frames before the bad one, even in the same packet, are delivered.
do_bad_frame(Server, Port, WsOpts, Good, What, Code) ->
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	StreamRef = upgrade(ConnPid, "/", [], WsOpts),
	?EXPECT({gun_ws, ConnPid, StreamRef, Good}),
	?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, What}}),
	?EXPECT({lying_server, Server, {frame, close, <<Code:16, _/binary>>}}),
	?EXPECT({gun_down, ConnPid, ws, {error, {ws_protocol, What}}, [StreamRef]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, _}}),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok.

do_bad_frames() ->
	Long = binary:copy(<<"a">>, 126),
	[
		{reserved_bits, 1002, frame(1, 2#100, 1, undefined, "rsv1")},
		{reserved_bits, 1002, frame(1, 2#010, 2, undefined, "rsv2")},
		{reserved_bits, 1002, frame(1, 2#001, 9, undefined, "rsv3")},
		{{opcode, 3}, 1002, frame(1, 0, 3, undefined, "data")},
		{{opcode, 7}, 1002, frame(1, 0, 7, undefined, "")},
		{{opcode, 11}, 1002, frame(1, 0, 11, undefined, "control")},
		{{opcode, 15}, 1002, frame(1, 0, 15, undefined, "")},
		{masked, 1002, frame(1, 0, 1, <<1, 2, 3, 4>>, "masked")},
		{masked, 1002, frame(1, 0, 9, <<0, 0, 0, 0>>, "")},
		{length_encoding, 1002, <<1:1, 0:3, 2:4, 0:1, 126:7, 125:16, 0:1000>>},
		{length_encoding, 1002, <<1:1, 0:3, 2:4, 0:1, 127:7, 65535:64, 0:524280>>},
		{length_encoding, 1002, <<1:1, 0:3, 2:4, 0:1, 127:7, 16#8000000000000000:64>>},
		{control_fragmented, 1002, frame(0, 0, 9, undefined, "ping")},
		{control_fragmented, 1002, frame(0, 0, 8, undefined, <<1000:16>>)},
		{control_too_long, 1002, frame(1, 0, 9, undefined, Long)},
		{control_too_long, 1002, frame(1, 0, 8, undefined, [<<1000:16>>, Long])},
		{unexpected_continuation, 1002, frame(1, 0, 0, undefined, "of what?")},
		{unexpected_continuation, 1002, frame(0, 0, 0, undefined, "of what?")},
		{expected_continuation, 1002, [frame(0, 0, 1, undefined, "begun"), frame(1, 0, 1, undefined, "anew")]},
		{expected_continuation, 1002, [frame(0, 0, 2, undefined, "begun"), frame(0, 0, 2, undefined, "anew")]},
		{invalid_utf8, 1007, frame(text, <<255>>)},
		{invalid_utf8, 1007, frame(text, <<"overlong ", 16#c0, 16#af>>)},
		{invalid_utf8, 1007, frame(text, <<"surrogate ", 16#ed, 16#a0, 16#80>>)},
		{invalid_utf8, 1007, frame(text, <<"too high ", 16#f4, 16#90, 16#80, 16#80>>)},
		{invalid_utf8, 1007, frame(text, <<"cut off ", 16#e2, 16#82>>)},
		{invalid_utf8, 1007, [frame(0, 0, 1, undefined, <<16#e2>>), frame(1, 0, 0, undefined, <<16#28>>)]},
		{invalid_utf8, 1007, frame(close, <<1000:16, 255>>)},
		{close_payload, 1002, frame(close, <<3>>)}
	] ++ [
		{{close_code, N}, 1002, frame(close, <<N:16>>)}
	|| N <- [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]].

lengths_beyond_belief(_) ->
	doc("A frame that announces more than max_message_size ends in 1009, and nothing is allocated for it."),
	_ = [begin
		{Server, Port} = lying_server:start([{upgrade, [
			frame(text, "first"), <<1:1, 0:3, Opcode:4, 0:1, 127:7, Len:64, "and so on">>
		]}, frame, close]),
		Before = erlang:memory(total),
		do_bad_frame(Server, Port, #{}, {text, <<"first">>}, message_too_big, 1009),
		true = erlang:memory(total) - Before < 32 * 16#100000,
		lying_server:stop(Server)
	end || Opcode <- [1, 2], Len <- [16#7fffffffffffffff, 1 bsl 40, 64 * 16#100000 + 1]],
	ok.

announced_and_not_sent(_) ->
	doc("Memory is taken as the payload comes, not as the header announces it."),
	Count = 100,
	{Server, Port} = lying_server:start([{upgrade, <<1:1, 0:3, 2:4, 0:1, 127:7, (60 * 16#100000):64, "a few bytes">>}]),
	Before = erlang:memory(total),
	Conns = [open_ws(Port, "/") || _ <- lists:seq(1, Count)],
	timer:sleep(200),
	%% Far less than the 6000 MiB that were announced.
	Growth = erlang:memory(total) - Before,
	ct:log("~p bytes", [Growth]),
	true = Growth < 512 * 16#100000,
	_ = [ok = gun_rs:close(ConnPid) || {ConnPid, _} <- Conns],
	lying_server:stop(Server).

limits_of_the_user(_) ->
	doc("max_frame_size and max_message_size are the user's to set; what is just within them is delivered."),
	Thousand = binary:copy(<<"a">>, 1000),
	Fits = frame(binary, Thousand),
	TooBig = frame(binary, [Thousand, "a"]),
	Parts = fun(Last) ->
		[frame(0, 0, 2, undefined, ""), [frame(0, 0, 0, undefined, "aaaaa") || _ <- lists:seq(1, 199)],
			frame(1, 0, 0, undefined, Last)]
	end,
	_ = [begin
		{Server, Port} = lying_server:start([{upgrade, [Good, Bad]}, frame, close]),
		do_bad_frame(Server, Port, WsOpts, {binary, Thousand}, What, 1009),
		lying_server:stop(Server)
	end || {WsOpts, Good, Bad, What} <- [
		{#{max_frame_size => 1000}, Fits, TooBig, frame_too_big},
		{#{max_message_size => 1000}, Fits, TooBig, message_too_big},
		{#{max_message_size => 1000}, Parts("aaaaa"), Parts("aaaaaa"), message_too_big}
	]],
	ok.

%% Servers that go away.

dropped_without_a_close(_) ->
	doc("A server that drops TCP without a close frame gives gun_down closed, and the exit says so."),
	{Server, Port} = lying_server:start([{upgrade, frame(text, "last words")}, wait, close]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	MRef = watch(ConnPid),
	lying_server:go(Server),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"last words">>}}),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}),
	lying_server:stop(Server).

dropped_in_a_frame(_) ->
	doc("So does one that drops TCP in the middle of a frame, and the half is not delivered."),
	<<Half:1000/binary, _/binary>> = iolist_to_binary(frame(binary, binary:copy(<<"a">>, 70000))),
	{Server, Port} = lying_server:start([{upgrade, Half}, wait, close]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	lying_server:stop(Server).

dropped_with_a_reset(_) ->
	doc("A TCP reset ends in gun_down too."),
	{Server, Port} = lying_server:start([upgrade, wait, reset]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	lying_server:go(Server),
	Reason = ?EXPECT({gun_down, ConnPid, ws, R, [StreamRef]}, R),
	true = lists:member(Reason, [closed, {error, econnreset}]),
	lying_server:stop(Server).

dropped_before_the_answer(_) ->
	doc("A server that drops TCP instead of answering the upgrade gives a gun_error of the stream, and gun_down."),
	_ = [begin
		{Server, Port} = lying_server:start([{answer, fun(_) -> Part end}, close]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, StreamRef, _}),
		?EXPECT({gun_down, ConnPid, http, closed, _}),
		lying_server:stop(Server)
	end || Part <- ["", "HTTP/1.1 101 Swi"]],
	ok.

dropped_on_accept(_) ->
	doc("A server that drops TCP at once gives gun_up and gun_down, as many times as there are retries."),
	{Server, Port} = lying_server:start([close]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 1, retry_timeout => 10, retry_fun => fun do_once/2}),
	MRef = watch(ConnPid),
	_ = [begin
		?EXPECT({gun_up, ConnPid, http}),
		?EXPECT({gun_down, ConnPid, http, closed, []})
	end || _ <- [1, 2]],
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}),
	lying_server:stop(Server).

do_once(Retries, _) ->
	#{retries => Retries - 1, timeout => 10}.

%% permessage-deflate (RFC 7692): what is offered, what is answered, and what then goes over the wire.
-module(gun_rs_deflate_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [frame/5]).
-import(lying_server, [response/2]).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

%% What a bomb may cost on top of max_message_size, in bytes: buffers, the bomb itself, and what the allocators keep.
-define(BOMB_SLACK, 16 * 16#100000).

%% Offers.

offers(_) ->
	doc("What is offered is gun's offer, or what the map says; nothing is offered unless it's asked for."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade]),
		ConnPid = open(Port),
		_ = upgrade(ConnPid, "/", [], #{compress => Compress}),
		Request = ?EXPECT({lying_server, Server, {request, R}}, R),
		{Compress, Offer} = {Compress, do_header("sec-websocket-extensions", Request)},
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Compress, Offer} <- [
		{false, none},
		{true, <<"permessage-deflate; client_max_window_bits">>},
		{#{}, <<"permessage-deflate; client_max_window_bits">>},
		{#{level => 9, mem_level => 1}, <<"permessage-deflate; client_max_window_bits">>},
		{#{server_no_context_takeover => false}, <<"permessage-deflate; client_max_window_bits">>},
		{#{server_no_context_takeover => true},
			<<"permessage-deflate; server_no_context_takeover; client_max_window_bits">>},
		{#{client_no_context_takeover => true},
			<<"permessage-deflate; client_no_context_takeover; client_max_window_bits">>},
		{#{server_max_window_bits => 8},
			<<"permessage-deflate; server_max_window_bits=8; client_max_window_bits">>},
		{#{client_max_window_bits => 9}, <<"permessage-deflate; client_max_window_bits=9">>},
		{#{client_max_window_bits => 15, client_no_context_takeover => true,
				server_max_window_bits => 12, server_no_context_takeover => true},
			<<"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
				"server_max_window_bits=12; client_max_window_bits=15">>}
	]],
	ok.

%% The value of a header, or none.
do_header(Name, Block) ->
	case re:run(Block, ["^", Name, ": *([^\r]*)"], [caseless, multiline, {capture, [1], binary}]) of
		{match, [Value]} -> Value;
		nomatch -> none
	end.

%% Cowboy.

cowboy(Config) ->
	doc("Each parameter, offered to Cowboy or set there, is answered as expected, and messages echo right."),
	_ = [begin
		Answer = do_cowboy(Compress, DeflateOpts, do_messages(), Config),
		ct:log("offered ~p, Cowboy's options ~s: ~p", [Compress, DeflateOpts, Answer]),
		{Compress, DeflateOpts, Expected} = {Compress, DeflateOpts, do_parameters(Answer)}
	end || {Compress, DeflateOpts, Expected} <- do_negotiations()],
	ok.

%% What is offered, Cowboy's deflate_opts, and the parameters of its answer; none when it declines.
do_negotiations() ->
	[
		{false, "", none},
		{true, "", ["client_max_window_bits=15"]},
		%% Offered.
		{#{server_no_context_takeover => true}, "", ["client_max_window_bits=15", "server_no_context_takeover"]},
		{#{client_no_context_takeover => true}, "", ["client_max_window_bits=15", "client_no_context_takeover"]},
		{#{client_no_context_takeover => true, server_no_context_takeover => true}, "",
			["client_max_window_bits=15", "client_no_context_takeover", "server_no_context_takeover"]},
		{#{server_max_window_bits => 15}, "", ["client_max_window_bits=15", "server_max_window_bits=15"]},
		{#{server_max_window_bits => 9}, "", ["client_max_window_bits=15", "server_max_window_bits=9"]},
		{#{server_max_window_bits => 8}, "", ["client_max_window_bits=15", "server_max_window_bits=8"]},
		{#{client_max_window_bits => 15}, "", ["client_max_window_bits=15"]},
		{#{client_max_window_bits => 9}, "", ["client_max_window_bits=9"]},
		{#{client_max_window_bits => 9, server_max_window_bits => 9,
				client_no_context_takeover => true, server_no_context_takeover => true}, "",
			["client_max_window_bits=9", "client_no_context_takeover",
				"server_max_window_bits=9", "server_no_context_takeover"]},
		%% Answered unasked, or with less than was offered.
		{true, "server_context_takeover=no_takeover", ["client_max_window_bits=15", "server_no_context_takeover"]},
		{true, "client_context_takeover=no_takeover", ["client_max_window_bits=15", "client_no_context_takeover"]},
		{true, "server_max_window_bits=10", ["client_max_window_bits=15", "server_max_window_bits=10"]},
		{true, "client_max_window_bits=9", ["client_max_window_bits=9"]},
		{true, "client_max_window_bits=8", ["client_max_window_bits=8"]},
		{#{server_max_window_bits => 12}, "server_max_window_bits=10",
			["client_max_window_bits=15", "server_max_window_bits=10"]},
		{#{server_max_window_bits => 10}, "server_max_window_bits=12",
			["client_max_window_bits=15", "server_max_window_bits=10"]},
		{#{client_max_window_bits => 12}, "client_max_window_bits=10", ["client_max_window_bits=10"]},
		{#{client_max_window_bits => 10}, "client_max_window_bits=12", ["client_max_window_bits=10"]},
		{true, "client_max_window_bits=9&server_max_window_bits=9&client_context_takeover=no_takeover"
				"&server_context_takeover=no_takeover&level=1&mem_level=1&strategy=filtered",
			["client_max_window_bits=9", "client_no_context_takeover",
				"server_max_window_bits=9", "server_no_context_takeover"]},
		%% No parameters.
		{#{level => 9, mem_level => 9}, "level=9&mem_level=9", ["client_max_window_bits=15"]},
		{#{level => 1, mem_level => 1}, "strategy=huffman_only", ["client_max_window_bits=15"]},
		{#{level => 0}, "level=0", ["client_max_window_bits=15"]}
	].

%% Has the messages echoed, and returns the answer to the offer.
do_cowboy(Compress, DeflateOpts, Messages, Config) ->
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, ["/deflate?", DeflateOpts], [], #{compress => Compress}),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, H}, H),
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Message) || Message <- Messages],
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, Message}) || Message <- Messages],
	ok = gun_rs:close(ConnPid),
	proplists:get_value(<<"sec-websocket-extensions">>, Headers).

do_parameters(undefined) ->
	none;
do_parameters(Answer) ->
	["permessage-deflate"|Parameters] = string:lexemes(binary_to_list(Answer), "; "),
	lists:sort(Parameters).

%% 50 of them: text and binary; empty, small, 64 KiB that compress well, 1 MiB that doesn't.
do_messages() ->
	Random = crypto:strong_rand_bytes(16#100000),
	Json = iolist_to_binary(["[", lists:join(",",
		[io_lib:format("{\"id\":~b,\"name\":\"user ~b\",\"active\":~p}", [N, N * N rem 97, N rem 3 =:= 0])
			|| N <- lists:seq(1, 1400)]), "]"]),
	true = byte_size(Json) > 16#10000 - 8192,
	Small = [{lists:nth(1 + N rem 2, [text, binary]), integer_to_binary(N * N)} || N <- lists:seq(1, 40)],
	Small ++ [
		{text, <<>>}, {binary, <<>>}, {text, Json}, {binary, Json}, {binary, Random}, {text, base64:encode(Random)},
		{text, <<>>}, {binary, Random}, {text, Json}, {binary, <<0:16#800000>>}
	].

every_level(Config) ->
	doc("Every level and every mem_level compress what Cowboy inflates, and a higher level doesn't compress worse."),
	Messages = [Message || Message = {_, Payload} <- do_messages(), byte_size(Payload) < 16#80000],
	_ = [do_cowboy(#{mem_level => N}, "", Messages, Config) || N <- lists:seq(1, 9)],
	Sizes = [begin
		ConnPid = open(config(port, Config)),
		StreamRef = upgrade(ConnPid, "/deflate", [], #{compress => #{level => N}}),
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Message) || Message <- Messages],
		_ = [?EXPECT({gun_ws, ConnPid, StreamRef, Message}) || Message <- Messages],
		#{stats := #{bytes_out := Bytes}} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid),
		Bytes
	end || N <- lists:seq(0, 9)],
	ct:log("bytes sent with each level: ~p", [Sizes]),
	[None, Fastest|_] = Sizes,
	true = None > 2 * Fastest,
	true = lists:last(Sizes) =< Fastest,
	ok.

%% Answers.

bad_answers(_) ->
	doc("An answer that the offer doesn't allow fails the upgrade, by name, and the connection ends."),
	_ = [begin
		ct:log("~p answered by ~s", [Compress, Answer]),
		{Server, Port} = lying_server:start([do_answer(Answer)]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{compress => Compress}),
		?EXPECT({gun_error, ConnPid, StreamRef, {ws_handshake, What}}),
		?EXPECT({gun_down, ConnPid, http, {error, {ws_handshake, What}}, _}),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		?EXPECT({lying_server, Server, closed}),
		none = receive {gun_upgrade, ConnPid, _, _, _} -> upgraded after 0 -> none end,
		lying_server:stop(Server)
	end || {Compress, Answer, What} <- do_bad_answers()],
	ok.

do_bad_answers() ->
	Nothing = "permessage-deflate",
	[
		%% Nobody asked for it.
		{false, Nothing, {extension, <<"permessage-deflate">>}},
		{true, "x-webkit-deflate-frame", {extension, <<"x-webkit-deflate-frame">>}},
		{true, "permessage-bzip2; client_max_window_bits=9", {extension, <<"permessage-bzip2; client_max_window_bits=9">>}},
		{true, "permessage-deflate, permessage-deflate", {extension, <<"permessage-deflate">>}},
		{true, "permessage-deflate, x-unheard-of", {extension, <<"x-unheard-of">>}},
		%% It was asked for, and isn't granted.
		{#{server_no_context_takeover => true}, Nothing, {extension_parameter, <<"server_no_context_takeover">>}},
		{#{server_max_window_bits => 10}, Nothing, {extension_parameter, <<"server_max_window_bits">>}},
		{#{server_max_window_bits => 10}, "permessage-deflate; server_max_window_bits=11",
			{extension_parameter, <<"server_max_window_bits">>}}
	] ++ [{true, ["permessage-deflate; ", Parameter], {extension_parameter, iolist_to_binary(Parameter)}} || Parameter <- [
		"x-unheard-of",
		"x-unheard-of=1",
		"server_no_context_takeover=true",
		"client_no_context_takeover=1",
		"server_max_window_bits",
		"client_max_window_bits",
		"server_max_window_bits=",
		"server_max_window_bits=7",
		"server_max_window_bits=16",
		"client_max_window_bits=7",
		"client_max_window_bits=16",
		"client_max_window_bits=09",
		"client_max_window_bits=+9",
		"client_max_window_bits=a",
		"client_max_window_bits=4294967305"
	]] ++ [{true, ["permessage-deflate; ", Parameter, "; ", Parameter], {extension_parameter, iolist_to_binary(Parameter)}}
		|| Parameter <- ["server_no_context_takeover", "client_no_context_takeover",
			"server_max_window_bits=10", "client_max_window_bits=10"]].

good_answers(_) ->
	doc("An answer may be spaced and quoted, may decline, and may say more than was offered where the RFC allows it."),
	_ = [begin
		ct:log("~p answered by ~s", [Compress, Answer]),
		{Server, Port} = lying_server:start([do_answer(Answer), frames]),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [], #{compress => Compress}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello"}),
		?EXPECT({lying_server, Server, {frame, Type, _}}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Compress, Answer, Type} <- [
		{true, "", text},
		{#{server_no_context_takeover => true, server_max_window_bits => 9}, "", text},
		{true, "permessage-deflate", {4, text}},
		{true, "permessage-deflate;server_no_context_takeover;client_no_context_takeover", {4, text}},
		{true, " permessage-deflate ; server_max_window_bits = 9 ; client_max_window_bits = \"10\" ", {4, text}},
		{#{client_no_context_takeover => true, client_max_window_bits => 10}, "permessage-deflate", {4, text}},
		%% Our own window is a hint to the server, and we keep to it in any case: RFC 7692, 7.1.2.2.
		{#{client_max_window_bits => 10}, "permessage-deflate; client_max_window_bits=11", {4, text}}
	]],
	ok.

do_answer(Extensions) ->
	do_answer(Extensions, []).

do_answer(Extensions, Frames) ->
	{answer, fun(Key) -> [response(Key, [{"Sec-WebSocket-Extensions", Extensions}]), Frames] end}.

%% What is sent.

every_message_is_compressed(_) ->
	doc("Once negotiated, every text and binary frame has RSV1, an empty one is <<0>>; control frames are as ever."),
	{Server, Port} = lying_server:start([do_answer("permessage-deflate"), frames]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{compress => true}),
	Large = crypto:strong_rand_bytes(300000),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, ""}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "Hello"}, ping, {binary, <<>>}, {ping, "p"}, {binary, "Hello"}]),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Large}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [pong, {pong, "q"}, {text, <<>>}, {close, 1000, "bye"}]),
	Frames = [?EXPECT({lying_server, Server, {frame, Type, Payload}}, {Type, Payload}) || _ <- lists:seq(1, 11)],
	[
		{{4, text}, <<0>>},
		{{4, text}, Hello},
		{ping, <<>>},
		{{4, binary}, <<0>>},
		{ping, <<"p">>},
		{{4, binary}, HelloAgain},
		{{4, binary}, LargeCompressed},
		{pong, <<>>},
		{pong, <<"q">>},
		{{4, text}, <<0>>},
		{close, <<1000:16, "bye">>}
	] = Frames,
	%% The second Hello refers to the first.
	true = byte_size(HelloAgain) < byte_size(Hello),
	[<<>>, <<"Hello">>, <<>>, <<"Hello">>, Large, <<>>] =
		do_inflate([<<0>>, Hello, <<0>>, HelloAgain, LargeCompressed, <<0>>]),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

context_takeover(_) ->
	doc("A message refers to the ones before it unless client_no_context_takeover is agreed on, by whichever side."),
	Payload = crypto:strong_rand_bytes(300),
	[Kept, Kept2, Offered, Answered] = [begin
		Frames = [First, Second, Third] = do_sent(Compress, Answer, [Payload, Payload, Payload]),
		[Payload, Payload, Payload] = do_inflate(Frames),
		{byte_size(First), byte_size(Second), byte_size(Third)}
	end || {Compress, Answer} <- [
		{true, "permessage-deflate"},
		{#{client_no_context_takeover => false}, "permessage-deflate; server_no_context_takeover"},
		{#{client_no_context_takeover => true}, "permessage-deflate"},
		{true, "permessage-deflate; client_no_context_takeover"}
	]],
	_ = [true = First >= 300 andalso Second < 30 andalso Third < 30 || {First, Second, Third} <- [Kept, Kept2]],
	_ = [true = First >= 300 andalso Second =:= First andalso Third =:= First
		|| {First, Second, Third} <- [Offered, Answered]],
	ok.

client_window(_) ->
	doc("No message refers further back than the window agreed on, whoever has made it small."),
	%% 2 KiB lie between the two that are the same: beyond 9 to 11 bits, within 12 to 15.
	Payload = crypto:strong_rand_bytes(300),
	Between = crypto:strong_rand_bytes(2048),
	_ = [begin
		Sent = do_sent(Compress, Answer, [Payload, Between, Payload]),
		[Payload, Between, Payload] = do_inflate(Sent),
		{Bits, Reaches} = {Bits, byte_size(lists:last(Sent)) < 30}
	end || Bits <- lists:seq(9, 15), Reaches <- [Bits >= 12],
		{Compress, Answer} <- [
			{true, ["permessage-deflate; client_max_window_bits=", integer_to_list(Bits)]},
			{#{client_max_window_bits => Bits}, ["permessage-deflate; client_max_window_bits=", integer_to_list(Bits)]},
			{#{client_max_window_bits => Bits}, "permessage-deflate"}
		]],
	ok.

eight_bit_window(_) ->
	doc("zlib can't compress with a window of 8 bits: when the server asks for one, messages go as they are."),
	Answer = "permessage-deflate; client_max_window_bits=8",
	{Server, Port} = lying_server:start([do_answer(Answer, frame(1, 4, 1, undefined, do_deflate("Hello"))), frames]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{compress => true}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "Hello"}, {binary, <<>>}]),
	?EXPECT({lying_server, Server, {frame, text, <<"Hello">>}}),
	?EXPECT({lying_server, Server, {frame, binary, <<>>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% The payloads of the frames that these messages were sent in.
do_sent(Compress, Answer, Messages) ->
	{Server, Port} = lying_server:start([do_answer(Answer), frames]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{compress => Compress}),
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Message}) || Message <- Messages],
	Payloads = [?EXPECT({lying_server, Server, {frame, {4, binary}, Payload}}, Payload) || _ <- Messages],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	Payloads.

%% What is received.

server_context(_) ->
	doc("A server may keep its context or not, unless it has agreed not to: then what it refers to isn't there."),
	Payload = crypto:strong_rand_bytes(300),
	Kept = do_deflate_all([Payload, Payload]),
	Alone = [do_deflate(Payload), do_deflate(Payload)],
	_ = [begin
		{Server, Port} = lying_server:start([
			do_answer(Answer, [frame(1, 4, 2, undefined, Message) || Message <- Messages]), frames]),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [], #{compress => true}),
		do_empty_mailbox(Server),
		?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}}),
		case Expected of
			right ->
				?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}});
			wrong ->
				?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, compressed_data}}),
				?EXPECT({lying_server, Server, {frame, close, <<1007:16, _/binary>>}})
		end,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Answer, Messages, Expected} <- [
		{"permessage-deflate", Kept, right},
		{"permessage-deflate", Alone, right},
		{"permessage-deflate; server_no_context_takeover", Alone, right},
		{"permessage-deflate; server_no_context_takeover", Kept, wrong}
	]],
	ok.

uncompressed_messages(_) ->
	doc("The server may send any message as it is, and a message in fragments has RSV1 on the first of them alone."),
	<<Start:3/binary, End/binary>> = do_deflate("Hello in fragments"),
	{Server, Port} = lying_server:start([do_answer("permessage-deflate", [
		frame(text, "plain"),
		frame(1, 4, 1, undefined, do_deflate("compressed")),
		frame(binary, ""),
		frame(1, 4, 2, undefined, <<0>>),
		%% Cowboy sends its second empty message, and those after it, without the byte.
		frame(1, 4, 2, undefined, <<>>),
		frame(0, 4, 1, undefined, Start), frame(ping, "between"), frame(0, 0, 0, undefined, ""), frame(1, 0, 0, undefined, End),
		%% A final block ends neither the message nor the context's use (RFC 7692, 7.2.3.4).
		frame(1, 4, 1, undefined, [do_deflate("final", finish), 0]),
		frame(1, 4, 1, undefined, do_deflate("and on"))
	]), frames]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{compress => true}),
	[
		{text, <<"plain">>}, {text, <<"compressed">>}, {binary, <<>>}, {binary, <<>>}, {binary, <<>>},
		{text, <<"Hello in fragments">>}, {text, <<"final">>}, {text, <<"and on">>}
	] = [?EXPECT({gun_ws, ConnPid, StreamRef, Frame}, Frame) || _ <- lists:seq(1, 8)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

bad_data(_) ->
	doc("Data that doesn't inflate ends in 1007, text that inflates to no UTF-8 too; RSV1 out of place ends in 1002."),
	Deflate = "permessage-deflate",
	_ = [do_bad_frame(Answer, #{compress => Compress}, Frames, What, Code)
	|| {Compress, Answer, Frames, What, Code} <- [
		%% A block of the type that there isn't.
		{true, Deflate, frame(1, 4, 2, undefined, <<255, 255, 255, 255>>), compressed_data, 1007},
		%% A stored block whose length and its complement differ.
		{true, Deflate, frame(1, 4, 2, undefined, <<0, 5, 0, 5, 0, "Hello">>), compressed_data, 1007},
		{true, Deflate, frame(1, 4, 1, undefined, "Hello, I am no deflate stream"), compressed_data, 1007},
		%% A reference to before the beginning.
		{true, Deflate, frame(1, 4, 2, undefined, hd(tl(do_deflate_all([<<"Hello">>, <<"Hello">>])))), compressed_data, 1007},
		{true, Deflate, [frame(0, 4, 2, undefined, ""), frame(1, 0, 0, undefined, <<255, 255>>)], compressed_data, 1007},
		{true, Deflate, frame(1, 4, 1, undefined, do_deflate(<<"abc", 255>>)), invalid_utf8, 1007},
		{true, Deflate, frame(1, 4, 1, undefined, do_deflate(<<"cut off ", 16#e2, 16#82>>)), invalid_utf8, 1007},
		{false, "", frame(1, 4, 1, undefined, do_deflate("Hello")), reserved_bits, 1002},
		{true, "", frame(1, 4, 1, undefined, do_deflate("Hello")), reserved_bits, 1002},
		{true, Deflate, frame(1, 2, 1, undefined, "Hello"), reserved_bits, 1002},
		{true, Deflate, frame(1, 5, 1, undefined, do_deflate("Hello")), reserved_bits, 1002},
		{true, Deflate, frame(1, 4, 9, undefined, ""), reserved_bits, 1002},
		{true, Deflate, frame(1, 4, 8, undefined, ""), reserved_bits, 1002},
		{true, Deflate, [frame(0, 4, 1, undefined, ""), frame(1, 4, 0, undefined, <<0>>)], reserved_bits, 1002},
		{true, Deflate, [frame(0, 0, 1, undefined, ""), frame(1, 4, 0, undefined, <<0>>)], reserved_bits, 1002}
	]],
	ok.

do_bad_frame(Answer, WsOpts, Frames, What, Code) ->
	ct:log("~p", [What]),
	{Server, Port} = lying_server:start([do_answer(Answer, [frame(text, "first"), Frames]), frame, close]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	StreamRef = upgrade(ConnPid, "/", [], WsOpts),
	do_empty_mailbox(Server),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"first">>}}),
	?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, What}}),
	?EXPECT({lying_server, Server, {frame, close, <<Code:16, _/binary>>}}),
	?EXPECT({gun_down, ConnPid, ws, {error, {ws_protocol, What}}, [StreamRef]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, _}}),
	lying_server:stop(Server).

%% The close frame waits until whoever receives the messages has dealt with those that it has.
do_empty_mailbox(Server) ->
	?EXPECT({lying_server, Server, accepted}),
	?EXPECT({lying_server, Server, {request, _}}).

%% Bombs.

bomb(_) ->
	doc("1 GiB of zeros in 1 MB is cut off at max_message_size, 64 MiB: close 1009, and memory stays under it and 16 MiB."),
	Bomb = do_bomb(),
	ct:log("the bomb has ~p bytes", [byte_size(Bomb)]),
	true = byte_size(Bomb) < 1100000,
	_ = [begin
		{Erlang, System} = do_bomb_there(frame(1, 4, 2, undefined, Bomb), WsOpts),
		ct:log("max_message_size ~p: the VM counts ~p bytes more at most, the system ~p", [Max, Erlang, System]),
		true = Erlang < Max + ?BOMB_SLACK,
		true = System < Max + ?BOMB_SLACK
	end || {WsOpts, Max} <- [
		{#{}, 64 * 16#100000},
		{#{max_message_size => 16#100000}, 16#100000}
	]],
	ok.

bomb_in_fragments(_) ->
	doc("The limit is the message's, however small the frames are that it comes in."),
	Bomb = do_bomb(),
	Pieces = [binary:part(Bomb, At, min(10000, byte_size(Bomb) - At)) || At <- lists:seq(0, byte_size(Bomb) - 1, 10000)],
	Frames = [frame(0, 4, 1, undefined, hd(Pieces)) | [frame(0, 0, 0, undefined, Piece) || Piece <- tl(Pieces)]],
	{Erlang, System} = do_bomb_there(Frames, #{}),
	ct:log("the VM counts ~p bytes more at most, the system ~p", [Erlang, System]),
	true = Erlang < 64 * 16#100000 + ?BOMB_SLACK,
	true = System < 64 * 16#100000 + ?BOMB_SLACK.

just_within_the_limit(_) ->
	doc("A message of just max_message_size, inflated, is delivered; one byte more is too big."),
	Zeros = binary:copy(<<0>>, 16#100000),
	WsOpts = #{compress => true, max_message_size => byte_size(Zeros)},
	{Server, Port} = lying_server:start([do_answer("permessage-deflate", frame(1, 4, 2, undefined, do_deflate(Zeros)))]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], WsOpts),
	do_empty_mailbox(Server),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Zeros}}),
	ok = gun_rs:close(ConnPid),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server),
	do_bad_frame("permessage-deflate", WsOpts, frame(1, 4, 2, undefined, do_deflate([Zeros, 0])), message_too_big, 1009).

do_bomb() ->
	Z = do_deflate_init(),
	Zeros = binary:copy(<<0>>, 16#100000),
	Parts = [zlib:deflate(Z, Zeros) || _ <- lists:seq(1, 1024)],
	do_without_tail([Parts, zlib:deflate(Z, [], sync)]).

%% In a node of its own, so that the figures are those of the client alone: how much more memory than before it took
%% at most, by the VM's account and by the operating system's.
do_bomb_there(Frames, WsOpts) ->
	{Server, Port} = lying_server:start([do_answer("permessage-deflate", [frame(text, "first"), Frames]), frame, close]),
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 60000, args => ["-pa"|code:get_path()]}),
	Result = peer:call(Peer, ?MODULE, do_take_bomb, [Port, WsOpts], 4 * ?WAIT),
	?EXPECT({lying_server, Server, {frame, close, <<1009:16, _/binary>>}}),
	peer:stop(Peer),
	lying_server:stop(Server),
	Result.

do_take_bomb(Port, WsOpts) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	ConnPid = open(Port),
	Memory = gun_rs_test:watch_memory(),
	StreamRef = upgrade(ConnPid, "/", [], WsOpts#{compress => true}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"first">>}}),
	?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, message_too_big}}),
	?EXPECT({gun_down, ConnPid, ws, {error, {ws_protocol, message_too_big}}, [StreamRef]}),
	gun_rs_test:memory_growth(Memory).

%% The other side's zlib.

do_deflate(Message) ->
	do_deflate(Message, sync).

do_deflate(Message, Flush) ->
	do_without_tail(zlib:deflate(do_deflate_init(), Message, Flush)).

%% With one context for all.
do_deflate_all(Messages) ->
	Z = do_deflate_init(),
	[do_without_tail(zlib:deflate(Z, Message, sync)) || Message <- Messages].

do_deflate_init() ->
	Z = zlib:open(),
	ok = zlib:deflateInit(Z, default, deflated, -15, 8, default),
	Z.

do_without_tail(Parts) ->
	Compressed = iolist_to_binary(Parts),
	Size = byte_size(Compressed) - 4,
	case Compressed of
		<<Front:Size/binary, 0, 0, 255, 255>> -> Front;
		_ -> Compressed
	end.

do_inflate(Payloads) ->
	Z = zlib:open(),
	ok = zlib:inflateInit(Z, -15),
	[iolist_to_binary(zlib:inflate(Z, [Payload, <<0, 0, 255, 255>>])) || Payload <- Payloads].

%% A module of the user's takes the frames of a WebSocket, in the process behind ConnPid.
-module(gun_rs_handlers_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [frame/5]).
-import(lying_server, [response/2]).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-define(TIMETRAP, {minutes, 2}).
-include("gun_rs_suite.hrl").

%% Which module.

module_of_the_subprotocol(_) ->
	doc("The module that stands beside the subprotocol that the server chooses takes the frames."),
	Protocols = [{<<"tell">>, ws_tell_h}, {"upper", ws_upper_h}, {["pl", <<"ain">>], gun_rs_ws_h},
		{<<"gun">>, gun_ws_h}],
	_ = [begin
		{Server, Port} = do_choose(Chosen, frame(text, "hello")),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [{"sec-websocket-protocol", "tell, header"}], #{protocols => Protocols, default_protocol => Default}),
		case Module of
			ws_tell_h -> ?EXPECT({ws_handle, ConnPid, {text, <<"hello">>}});
			ws_upper_h -> ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"HELLO">>}});
			gun_rs_ws_h -> ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"hello">>}})
		end,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Chosen, Default, Module} <- [
		{"tell", gun_rs_ws_h, ws_tell_h},
		{"upper", ws_tell_h, ws_upper_h},
		{"plain", ws_tell_h, gun_rs_ws_h},
		{undefined, gun_rs_ws_h, gun_rs_ws_h},
		{undefined, ws_tell_h, ws_tell_h},
		{"gun", ws_tell_h, gun_rs_ws_h},
		%% What only a header asks for has no module of its own.
		{"header", gun_rs_ws_h, gun_rs_ws_h},
		{"header", gun_ws_h, gun_rs_ws_h},
		{"header", ws_tell_h, ws_tell_h},
		{undefined, ws_upper_h, ws_upper_h}
	]],
	?REFUTE({gun_ws, _, _, _}).

module_of_the_subprotocol_with_cowboy(Config) ->
	doc("So does it with Cowboy."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/mychat", [], #{protocols => [{"other", gun_rs_ws_h}, {"mychat", ws_tell_h}]}),
	Headers = ?EXPECT({ws_init, ConnPid, _, StreamRef, H, _}, H),
	{_, <<"mychat">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
	?EXPECT({ws_handle, ConnPid, {text, <<"Hello!">>}}),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:close(ConnPid).

arguments_of_init(_) ->
	doc("init/4 gets reply_to, the stream, the headers of the answer and the options, after gun_upgrade has been sent."),
	{Server, Port} = lying_server:start([{answer, fun(Key) -> response(Key, [{"X-One", "1"}]) end}, frames]),
	ConnPid = open(Port),
	Self = self(),
	WsOpts = #{default_protocol => ws_tell_h, keepalive => 60000, user_opts => {any, "term"}},
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], WsOpts),
	[
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers},
		{ws_init, ConnPid, Self, StreamRef, Headers, Opts}
	] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- [1, 2]],
	{_, <<"1">>} = lists:keyfind(<<"x-one">>, 1, Headers),
	WsOpts = maps:with(maps:keys(WsOpts), Opts),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

options_of_open(_) ->
	doc("An upgrade without options has those of open, module and user_opts included; one with options has its own."),
	{Server, Port} = lying_server:start([{upgrade, frame(text, "hello")}, frames]),
	WsOpts = #{default_protocol => ws_tell_h, user_opts => of_open},
	{ConnPid1, StreamRef1} = open_ws(Port, "/", #{ws_opts => WsOpts, retry => 0}),
	?EXPECT({ws_init, ConnPid1, _, StreamRef1, _, #{user_opts := of_open}}),
	?EXPECT({ws_handle, ConnPid1, {text, <<"hello">>}}),
	ok = gun_rs:close(ConnPid1),
	ConnPid2 = open(Port, #{ws_opts => WsOpts, retry => 0}),
	StreamRef2 = upgrade(ConnPid2, "/", [], #{default_protocol => ws_tell_h}),
	?EXPECT({ws_init, ConnPid2, _, StreamRef2, _, Opts}, false = is_map_key(user_opts, Opts)),
	ok = gun_rs:close(ConnPid2),
	ConnPid3 = open(Port, #{ws_opts => WsOpts, retry => 0}),
	StreamRef3 = upgrade(ConnPid3, "/", [], #{}),
	?EXPECT({gun_ws, ConnPid3, StreamRef3, {text, <<"hello">>}}),
	?REFUTE({ws_handle, ConnPid3, _}),
	ok = gun_rs:close(ConnPid3),
	lying_server:stop(Server).

reply_to_a_fun(_) ->
	doc("init/4 gets a reply_to of any kind as it was given, be it given to open or to ws_upgrade."),
	{Server, Port} = lying_server:start([{upgrade, frame(text, "hello")}, frames]),
	Self = self(),
	ReplyTo = fun(Msg) -> Self ! {fun_got, Msg} end,
	WsOpts = #{default_protocol => ws_tell_h, reply_to => ReplyTo},
	ConnPid1 = open(Port),
	StreamRef1 = gun_rs:ws_upgrade(ConnPid1, "/", [], WsOpts),
	ConnPid2 = open(Port, #{ws_opts => WsOpts, retry => 0}),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid2, "/"),
	_ = [begin
		[
			{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _},
			{ws_init, ConnPid, ReplyTo, StreamRef, _, _},
			{ws_handle, ConnPid, {text, <<"hello">>}}
		] = [?EXPECT({fun_got, Msg} when element(2, Msg) =:= ConnPid, Msg) || _ <- [1, 2, 3]],
		ok = gun_rs:close(ConnPid)
	end || {ConnPid, StreamRef} <- [{ConnPid1, StreamRef1}, {ConnPid2, StreamRef2}]],
	lying_server:stop(Server).

refused_upgrade(Config) ->
	doc("A refused upgrade starts no module, and the next one may."),
	ConnPid = open(config(port, Config)),
	WsOpts = #{default_protocol => ws_tell_h},
	StreamRef1 = gun_rs:ws_upgrade(ConnPid, "/refuse", [], WsOpts),
	{response, nofin, 403, _} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	{data, fin, <<"Members only.">>} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	?REFUTE({ws_handle, ConnPid, _}),
	StreamRef2 = upgrade(ConnPid, "/websocket", [], WsOpts),
	?EXPECT({ws_init, ConnPid, _, StreamRef2, _, _}),
	ok = gun_rs:close(ConnPid).

%% What handle/2 gets.

fragments(_) ->
	doc("Fragments come one by one as they were received, whole messages as they are, all in order."),
	<<Begin:1/binary, End/binary>> = <<"κόσμε"/utf8>>,
	Large = binary:copy(<<"0123456789">>, 20000),
	Expected = [
		{text, <<"whole">>},
		{fragment, nofin, text, Begin},
		{fragment, nofin, text, <<>>},
		{fragment, fin, text, End},
		{binary, <<0, 255>>},
		{fragment, nofin, binary, <<>>},
		{fragment, nofin, binary, Large},
		{fragment, nofin, binary, <<1>>},
		{fragment, fin, binary, <<>>},
		{text, <<>>},
		{binary, Large},
		{close, 1000, <<"bye">>}
	],
	{ConnPid, Server} = do_open_tell(#{}, [
		frame(text, "whole"),
		frame(0, 0, 1, undefined, Begin), frame(0, 0, 0, undefined, ""), frame(1, 0, 0, undefined, End),
		frame(binary, <<0, 255>>),
		frame(0, 0, 2, undefined, ""), frame(0, 0, 0, undefined, Large), frame(0, 0, 0, undefined, <<1>>),
		frame(1, 0, 0, undefined, ""),
		frame(text, ""),
		frame(binary, Large),
		frame(close, <<1000:16, "bye">>)
	]),
	do_expect_frames(ConnPid, Expected),
	?EXPECT({gun_down, ConnPid, ws, normal, _}),
	lying_server:stop(Server).

fragments_that_come_byte_by_byte(_) ->
	doc("However a frame is cut into packets, it comes as one."),
	{Server, Port} = lying_server:start([upgrade, {send_bytewise, [
		frame(0, 0, 1, undefined, "one"), frame(ping, "ping"), frame(1, 0, 0, undefined, "two"), frame(binary, "three")
	]}]),
	ConnPid = open(Port),
	_ = upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h}),
	do_expect_frames(ConnPid, [
		{fragment, nofin, text, <<"one">>}, {ping, <<"ping">>}, {fragment, fin, text, <<"two">>}, {binary, <<"three">>}
	]),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

fragments_of_a_compressed_message(_) ->
	doc("The fragments of a compressed message come decompressed, each with what it adds to the message."),
	Text = iolist_to_binary([[integer_to_binary(N), " bottles of beer on the wall "] || N <- lists:seq(1, 500)]),
	<<First:100/binary, Second/binary>> = do_deflate(Text),
	{Server, Port} = lying_server:start([{answer, fun(Key) -> [
		response(Key, [{"Sec-WebSocket-Extensions", "permessage-deflate"}]),
		frame(0, 2#100, 1, undefined, First), frame(0, 0, 0, undefined, Second), frame(1, 0, 0, undefined, ""),
		frame(1, 2#100, 1, undefined, do_deflate(<<"whole">>)),
		frame(text, "plain")
	] end}, frames]),
	ConnPid = open(Port),
	_ = upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h, compress => true}),
	?EXPECT({ws_init, ConnPid, _, _, _, _}),
	Parts = [?EXPECT({ws_handle, ConnPid, {fragment, F, text, P}} when F =:= Fin, P) || Fin <- [nofin, nofin, fin]],
	Text = iolist_to_binary(Parts),
	true = byte_size(hd(Parts)) > 0,
	?EXPECT({ws_handle, ConnPid, {text, <<"whole">>}}),
	?EXPECT({ws_handle, ConnPid, {text, <<"plain">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

control_frames(_) ->
	doc("A module is given pings and pongs whatever silence_pings is, as in gun, and pings are answered too."),
	Frames = [
		frame(0, 0, 1, undefined, "a"), frame(ping, ""), frame(ping, "1"), frame(pong, ""), frame(pong, "2"),
		frame(1, 0, 0, undefined, "b"), frame(close, "")
	],
	_ = [begin
		{ConnPid, Server} = do_open_tell(WsOpts, Frames),
		do_expect_frames(ConnPid, [{fragment, nofin, text, <<"a">>}] ++ Control ++ [{fragment, fin, text, <<"b">>}, close]),
		?EXPECT({lying_server, Server, {frame, pong, <<>>}}),
		?EXPECT({lying_server, Server, {frame, pong, <<"1">>}}),
		?EXPECT({lying_server, Server, {frame, close, <<1000:16>>}}),
		lying_server:stop(Server)
	end || Control <- [[ping, {ping, <<"1">>}, pong, {pong, <<"2">>}]],
		WsOpts <- [#{}, #{silence_pings => true}, #{silence_pings => false}]],
	ok.

many_frames(Config) ->
	doc("Ten thousand messages come in order."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/websocket", [], #{default_protocol => ws_tell_h}),
	Frames = [{binary, <<N:32>>} || N <- lists:seq(1, 10000)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, Frames),
	do_expect_frames(ConnPid, Frames),
	ok = gun_rs:close(ConnPid).

broken_protocol(_) ->
	doc("A fault of the server is told behind the frames that came before it, however slow the module is."),
	Handle = fun(_) -> timer:sleep(100), 1 end,
	{ConnPid, Server} = do_open_tell(#{user_opts => #{handle => Handle}},
		[frame(text, "one"), frame(text, "two"), frame(1, 0, 3, undefined, "")]),
	?EXPECT({ws_init, ConnPid, _, _, _, _}),
	[
		{ws_handle, ConnPid, {text, <<"one">>}},
		{ws_handle, ConnPid, {text, <<"two">>}},
		{gun_error, ConnPid, _, {ws_protocol, {opcode, 3}}}
	] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- [1, 2, 3]],
	lying_server:stop(Server).

%% What a module may do.

flow_decrement(_) ->
	doc("A frame costs of the flow what handle/2 says: nothing, one or more."),
	Cost = fun
		({fragment, nofin, _, _}) -> 0;
		({text, <<"dear">>}) -> 2;
		(_) -> 1
	end,
	%% One frame at a time, so that no read brings more of them than the flow allows.
	Frames = [frame(0, 0, 2, undefined, "first")] ++ [frame(0, 0, 0, undefined, <<N:32>>) || N <- lists:seq(1, 10)] ++
		[frame(1, 0, 0, undefined, "last"), frame(text, "dear"), frame(text, "two"), frame(text, "three")],
	{Server, Port} = lying_server:start([upgrade] ++ lists:append([[{send, Frame}, wait] || Frame <- Frames])),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h, flow => 1, user_opts => #{handle => Cost}}),
	?EXPECT({ws_init, ConnPid, _, _, _, _}),
	Next = fun(Frame) ->
		?EXPECT({ws_handle, ConnPid, F}, F = Frame),
		lying_server:go(Server)
	end,
	Next({fragment, nofin, binary, <<"first">>}),
	_ = [Next({fragment, nofin, binary, <<N:32>>}) || N <- lists:seq(1, 10)],
	Next({fragment, fin, binary, <<"last">>}),
	?REFUTE({ws_handle, ConnPid, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	Next({text, <<"dear">>}),
	%% It costs one more than there was.
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?REFUTE({ws_handle, ConnPid, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	Next({text, <<"two">>}),
	?REFUTE({ws_handle, ConnPid, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 5),
	Next({text, <<"three">>}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

delegation(_) ->
	doc("A module may leave frames to gun_rs_ws_h, which joins fragments and sends gun_ws, and silences pings where it is "
		"to."),
	Self = self(),
	_ = [begin
		{Server, Port} = lying_server:start([{upgrade, [
			frame(text, "shout"),
			frame(0, 0, 1, undefined, "whi"), frame(ping, "p"), frame(0, 0, 0, undefined, ""),
			frame(1, 0, 0, undefined, "sper"),
			frame(0, 0, 2, undefined, ""), frame(1, 0, 0, undefined, ""),
			frame(text, "again"),
			frame(close, <<4000:16, "bye">>)
		]}, frames]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [],
			#{default_protocol => ws_upper_h, silence_pings => Silence, reply_to => ReplyTo}),
		[
			{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _},
			{gun_ws, ConnPid, StreamRef, {text, <<"SHOUT">>}}
		] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- [1, 2]],
		_ = [{gun_ws, ConnPid, StreamRef, {ping, <<"p">>}} = ?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg)
			|| not Silence],
		[
			{gun_ws, ConnPid, StreamRef, {text, <<"whisper">>}},
			{gun_ws, ConnPid, StreamRef, {binary, <<>>}},
			{gun_ws, ConnPid, StreamRef, {text, <<"AGAIN">>}},
			{gun_ws, ConnPid, StreamRef, {close, 4000, <<"bye">>}},
			{gun_down, ConnPid, ws, normal, [StreamRef]}
		] = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg) || _ <- lists:seq(1, 5)],
		lying_server:stop(Server)
	end || ReplyTo <- [Self, fun(Msg) -> Self ! Msg end], Silence <- [false, true]],
	ok.

down_comes_last(_) ->
	doc("gun_down comes behind what a slow module makes of the frames before it."),
	Handle = fun(_) -> timer:sleep(50), 1 end,
	_ = [begin
		{ConnPid, Server} = do_open_tell(#{user_opts => #{handle => Handle}}, Frames, Then),
		?EXPECT({ws_init, ConnPid, _, _, _, _}),
		_ = [?EXPECT(Msg when element(2, Msg) =:= ConnPid, ws_handle = element(1, Msg)) || _ <- Frames],
		?EXPECT({gun_down, ConnPid, ws, _, _}),
		lying_server:stop(Server)
	end || {Frames, Then} <- [
		{[frame(text, "one"), frame(text, "two"), frame(close, "")], []},
		{[frame(text, "one"), frame(text, "two")], [close]}
	]],
	ok.

module_that_answers(Config) ->
	doc("A module may send frames itself, on the connection that it runs in."),
	Handle = fun
		({text, <<"0">>}) -> 1;
		({text, N}) -> ok = gun_rs:ws_send(self(), {text, integer_to_binary(binary_to_integer(N) - 1)}), 1
	end,
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/websocket", [], #{default_protocol => ws_tell_h, user_opts => #{handle => Handle}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "9"}),
	do_expect_frames(ConnPid, [{text, integer_to_binary(N)} || N <- lists:seq(9, 0, -1)]),
	ok = gun_rs:close(ConnPid).

module_that_waits_for_itself(Config) ->
	doc("A module that sends synchronously on its own connection is told that this cannot be, and lives."),
	Self = self(),
	Handle = fun
		({text, <<"sync">>}) -> Self ! {answer, gun_rs:ws_send_sync(self(), make_ref(), {text, "never"})}, 1;
		(_) -> 1
	end,
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/websocket", [], #{default_protocol => ws_tell_h, user_opts => #{handle => Handle}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "sync"}, {text, "next"}]),
	?EXPECT({answer, {error, {down, calling_self}}}),
	do_expect_frames(ConnPid, [{text, <<"sync">>}, {text, <<"next">>}]),
	ok = gun_rs:close(ConnPid).

slow_module(_) ->
	doc("While a module takes its time pings are answered, and other connections go on."),
	Self = self(),
	Handle = fun(_) -> Self ! {waiting, self()}, receive go -> 1 end end,
	{ConnPid, Server} = do_open_tell(#{user_opts => #{handle => Handle}}, [frame(text, "wait"), frame(ping, "ping")]),
	?EXPECT({waiting, ConnPid}),
	?EXPECT({lying_server, Server, {frame, pong, <<"ping">>}}),
	ok = gun_rs:ws_send(ConnPid, {text, "sent meanwhile"}),
	?EXPECT({lying_server, Server, {frame, text, <<"sent meanwhile">>}}),
	{OtherPid, _} = do_open_tell(Server, #{}),
	?EXPECT({ws_handle, OtherPid, {text, <<"wait">>}}),
	ConnPid ! go,
	_ = [ok = gun_rs:close(Pid) || Pid <- [ConnPid, OtherPid]],
	lying_server:stop(Server).

%% Modules that crash.

crash_in_init(Config) ->
	doc("A module that crashes in init/4 takes its connection down with its reason, and nothing else."),
	do_crashes(Config, fun(Crash) -> #{init => Crash} end, []).

crash_in_handle(Config) ->
	doc("So does one that crashes in handle/2."),
	do_crashes(Config, fun(Crash) -> #{handle => fun({text, <<"crash">>}) -> Crash(); (_) -> 1 end} end,
		[{text, "fine"}, {text, "crash"}]).

do_crashes(Config, UserOpts, Frames) ->
	{OtherPid, OtherRef} = open_ws(config(port, Config), "/websocket"),
	ThirdPid = open(config(port, Config)),
	ThirdRef = upgrade(ThirdPid, "/websocket", [], #{default_protocol => ws_tell_h}),
	Supervisor = whereis(gun_rs_conns_sup),
	_ = [begin
		ConnPid = open(config(port, Config)),
		MRef = watch(ConnPid),
		WsOpts = #{default_protocol => ws_tell_h, user_opts => UserOpts(Crash)},
		StreamRef = upgrade(ConnPid, "/websocket", [], WsOpts),
		ok = gun_rs:ws_send(ConnPid, StreamRef, Frames),
		Reason = ?EXPECT({'DOWN', MRef, process, ConnPid, R}, R),
		ct:log("~p", [Reason]),
		true = Expected(Reason),
		%% The others go on.
		ok = gun_rs:ws_send(OtherPid, OtherRef, {text, "unharmed"}),
		?EXPECT({gun_ws, OtherPid, OtherRef, {text, <<"unharmed">>}}),
		ok = gun_rs:ws_send(ThirdPid, ThirdRef, {text, "unharmed"}),
		?EXPECT({ws_handle, ThirdPid, {text, <<"unharmed">>}})
	%% Several times, so that no supervisor's patience can hide it.
	end || {Crash, Expected} <- lists:append(lists:duplicate(5, [
		{fun() -> error(oops) end, fun({oops, [_|_]}) -> true end},
		{fun() -> exit(oops) end, fun(oops) -> true end},
		{fun() -> exit({shutdown, oops}) end, fun({shutdown, oops}) -> true end},
		{fun() -> error({badmatch, 1}) end, fun({{badmatch, 1}, [_|_]}) -> true end},
		%% Not what init/4 and handle/2 may answer with.
		{fun() -> oops end, fun({{badmatch, oops}, [_|_]}) -> true end}
	]))],
	Supervisor = whereis(gun_rs_conns_sup),
	_ = [ok = gun_rs:close(Pid) || Pid <- [OtherPid, ThirdPid]],
	ok.

crash_closes_the_socket(_) ->
	doc("When a module crashes the server's end of the connection is closed too."),
	{Server, Port} = lying_server:start([{upgrade, frame(text, "crash")}, frames]),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	_ = upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h, user_opts => #{handle => fun(_) -> exit(oops) end}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, oops}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

%% Again.

after_a_reconnect(Config) ->
	doc("After a reconnect the next upgrade starts the module anew, or another one, or none."),
	ConnPid = open(config(port, Config), #{ws_opts => #{default_protocol => ws_tell_h}}),
	_ = [begin
		StreamRef = case WsOpts of
			undefined -> gun_rs:ws_upgrade(ConnPid, "/websocket");
			_ -> gun_rs:ws_upgrade(ConnPid, "/websocket", [], WsOpts)
		end,
		?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "hello"}),
		case Module of
			ws_tell_h ->
				?EXPECT({ws_init, ConnPid, _, StreamRef, _, _}),
				?EXPECT({ws_handle, ConnPid, {text, <<"hello">>}});
			ws_upper_h ->
				?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"HELLO">>}});
			gun_rs_ws_h ->
				?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"hello">>}})
		end,
		ok = gun_rs:ws_send(ConnPid, StreamRef, close),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http})
	end || {WsOpts, Module} <- [
		{undefined, ws_tell_h},
		{#{}, gun_rs_ws_h},
		{#{default_protocol => ws_upper_h}, ws_upper_h},
		{undefined, ws_tell_h},
		{#{default_protocol => gun_rs_ws_h}, gun_rs_ws_h},
		{undefined, ws_tell_h}
	]],
	ok = gun_rs:close(ConnPid).

state_does_not_outlive_the_websocket(_) ->
	doc("What a module has kept of a message is gone with its WebSocket."),
	Connections = counters:new(1, []),
	{Server, Port} = lying_server:start([{answer, fun(Key) ->
		ok = counters:add(Connections, 1, 1),
		[response(Key, []), case counters:get(Connections, 1) of
			1 -> frame(0, 0, 1, undefined, "half");
			2 -> [frame(0, 0, 1, undefined, "an"), frame(1, 0, 0, undefined, "other")]
		end]
	end}, wait, close]),
	ConnPid = open(Port, #{ws_opts => #{default_protocol => ws_upper_h}}),
	StreamRef1 = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef1, _, _}),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef1]}),
	?EXPECT({gun_up, ConnPid, http}),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef2, {text, <<"another">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

shutdown_with_a_module(_) ->
	doc("shutdown/1 closes the WebSocket gracefully, and the module gets the frames until the end."),
	{Server, Port} = lying_server:start([upgrade, frame, {send, [frame(text, "last"), frame(close, <<1001:16>>)]}]),
	ConnPid = open(Port),
	_ = upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h}),
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
	do_expect_frames(ConnPid, [{text, <<"last">>}, {close, 1001, <<>>}]),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	lying_server:stop(Server).

%% Helpers.

%% A server that chooses this subprotocol, or none, and sends these frames with its answer.
do_choose(undefined, Frames) ->
	lying_server:start([{upgrade, Frames}, frames]);
do_choose(Subprotocol, Frames) ->
	lying_server:start([
		{answer, fun(Key) -> [response(Key, [{"Sec-WebSocket-Protocol", Subprotocol}]), Frames] end}, frames
	]).

%% A connection with ws_tell_h, to a server that sends these frames with its answer.
do_open_tell(WsOpts, Frames) when is_map(WsOpts) ->
	do_open_tell(WsOpts, Frames, [frames]);
do_open_tell(Server, WsOpts) ->
	ConnPid = open(lying_server:port(Server)),
	_ = upgrade(ConnPid, "/", [], WsOpts#{default_protocol => ws_tell_h}),
	{ConnPid, Server}.

do_open_tell(WsOpts, Frames, Then) ->
	{Server, _} = lying_server:start([{upgrade, Frames}|Then]),
	do_open_tell(Server, WsOpts).

%% These are the frames that the module is given, and no others.
do_expect_frames(ConnPid, Frames) ->
	_ = [?EXPECT({ws_handle, ConnPid, F}, F = Frame) || Frame <- Frames],
	?REFUTE({ws_handle, ConnPid, _}).

%% RFC 7692, 7.2.1, without context takeover.
do_deflate(Text) ->
	Z = zlib:open(),
	ok = zlib:deflateInit(Z, default, deflated, -15, 8, default),
	Deflated = iolist_to_binary(zlib:deflate(Z, Text, sync)),
	ok = zlib:close(Z),
	binary:part(Deflated, 0, byte_size(Deflated) - 4).

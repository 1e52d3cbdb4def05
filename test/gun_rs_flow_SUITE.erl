%% flow: a server can't send more than its receiver takes, nothing is lost by it, and the end is noticed all the same.
-module(gun_rs_flow_SUITE).

-import(lying_server, [frame/2]).
-import(lying_server, [frame/5]).

-define(NEEDS, [gun_rs, distribution]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

%% What a node whose process doesn't read may grow by under flow => auto, in bytes.
-define(BOUND, 16 * 16#100000).

%% And while it reads: what it has read is garbage that the VM collects when it sees fit.
-define(READING_BOUND, 64 * 16#100000).

%% How many messages are sent to a process that doesn't read.
-define(WINDOW, 4096).

%% What else may be in its mailbox.
-define(OTHERS, 10).

%% How long nothing is read, in ms.
-define(PAUSE, 1000).

%% flow => N.

spent_and_repaid(_) ->
	doc("What one read brings is delivered whole, even beyond the flow, and must be repaid before more is read."),
	Fifty = [frame(binary, integer_to_binary(N)) || N <- lists:seq(1, 50)],
	{Server, Port} = lying_server:start([{upgrade, Fifty},
		wait, {send, frame(text, "the 51st")}, wait, {send, frame(text, "the 52nd")}]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
	_ = [N = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}}, binary_to_integer(Payload)) || N <- lists:seq(1, 50)],
	lying_server:go(Server),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 49),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"the 51st">>}}),
	lying_server:go(Server),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"the 52nd">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

large_messages(_) ->
	doc("Of large messages, which one read doesn't bring two of, exactly as many arrive as the flow allows."),
	{Server, Port} = lying_server:start([upgrade, {send_each, fun do_large/1, 10}]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 3}),
	do_expect_large(ConnPid, StreamRef, [1, 2, 3]),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 5),
	do_expect_large(ConnPid, StreamRef, [4, 5, 6, 7, 8]),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1000),
	do_expect_large(ConnPid, StreamRef, [9, 10]),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_large(N) ->
	frame(binary, <<N:64, 0:(8 * (16#100000 - 8))>>).

do_expect_large(ConnPid, StreamRef, Numbers) ->
	_ = [N = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<M:64, _/binary>>}}, M) || N <- Numbers],
	ok.

what_counts(_) ->
	doc("A message costs 1, in however many fragments; a ping or a pong does only where it is told."),
	Packet = [frame(ping, ""), frame(pong, "p"), do_fragments("Hello"), frame(ping, "p")],
	_ = [begin
		ct:log("~p", [WsOpts]),
		{Server, Port} = lying_server:start([{upgrade, Packet}, wait, {send, frame(text, "next")}, wait, {send, frame(text, "last")}]),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [], WsOpts#{flow => Cost + 1}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
		lying_server:go(Server),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"next">>}}),
		lying_server:go(Server),
		?REFUTE({gun_ws, ConnPid, StreamRef, {text, _}}),
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"last">>}}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {WsOpts, Cost} <- [{#{}, 1}, {#{silence_pings => false}, 4}]],
	ok.

do_fragments([First|Rest]) ->
	[frame(0, 0, 1, undefined, [First]), [frame(0, 0, 0, undefined, [C]) || C <- Rest], frame(1, 0, 0, undefined, "")].

sending_goes_on(_) ->
	doc("While reading is paused, what is sent goes out."),
	{Server, Port} = lying_server:start([{upgrade, [frame(text, "1"), frame(text, "2")]}, frame, frame]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"2">>}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello"}),
	?EXPECT({lying_server, Server, {frame, text, <<"Hello">>}}),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "Hello again"}, ?WAIT),
	?EXPECT({lying_server, Server, {frame, text, <<"Hello again">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

not_asked_for(_) ->
	doc("Without flow, update_flow means nothing; nor does it under flow => auto, or after the end."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, wait, {send, frame(text, "Hello")}, wait, close]),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [], WsOpts),
		_ = [ok = gun_rs:update_flow(ConnPid, StreamRef, N) || N <- [1, 1 bsl 40]],
		lying_server:go(Server),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
		MRef = watch(ConnPid),
		lying_server:go(Server),
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
		lying_server:stop(Server)
	end || WsOpts <- [#{}, #{flow => infinity}, #{flow => auto}]],
	ok.

%% The end.

close_is_noticed(_) ->
	doc("When the server goes away while the flow is spent, all that it has sent arrives, then gun_down."),
	_ = [begin
		{Server, Port} = lying_server:start([{upgrade, Frames}, wait, {send, [Frames, Last]}, End]),
		ConnPid = open(Port),
		StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
		_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}) || _ <- Frames],
		lying_server:go(Server),
		_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}) || _ <- Frames],
		Last =:= [] orelse ?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1001, <<>>}}),
		Reason = ?EXPECT({gun_down, ConnPid, ws, R, [StreamRef]}, R),
		lying_server:stop(Server)
	end || Frames <- [lists:duplicate(100, frame(text, "Hello"))],
		{Last, End, Reason} <- [{[], close, closed}, {frame(close, <<1001:16>>), close, normal}]],
	ok.

reset_is_noticed(_) ->
	doc("When the server resets the connection while the flow is spent, gun_down says so."),
	{Server, Port} = lying_server:start([{upgrade, [frame(text, "1"), frame(text, "2")]}, wait, reset]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"2">>}}),
	lying_server:go(Server),
	Reason = ?EXPECT({gun_down, ConnPid, ws, R, [StreamRef]}, R),
	true = lists:member(Reason, [closed, {error, econnreset}]),
	lying_server:stop(Server).

users_close(_) ->
	doc("A close of the user's while the flow is spent ends like any other."),
	{Server, Port} = lying_server:start([{upgrade, [frame(text, "1"), frame(text, "2")]},
		frame, {send, [frame(text, "3"), frame(close, <<1000:16>>)]}, close]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"2">>}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({lying_server, Server, {frame, close, _}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"3">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	lying_server:stop(Server).

%% flow => auto.

auto_small_messages(_) ->
	doc("2,000,000 messages for an owner that doesn't read: the VM grows by 16 MiB at most, and all arrive in order."),
	do_flood(2000000, fun do_numbered/1, 1000).

auto_large_messages(_) ->
	doc("So it is with 200 messages of 1 MiB each."),
	do_flood(200, fun do_large/1, 1).

auto_compressed_messages(_) ->
	doc("So it is with compressed messages, each of which inflates to 800 times its size: one read brings 50 MB of them."),
	Zeros = do_deflate(binary:copy(<<0>>, 100000)),
	true = byte_size(Zeros) < 125,
	do_flood(20000, fun(Part) ->
		[frame(1, 4, 2, undefined, [do_stored(<<N:64>>), Zeros]) || N <- do_numbers(Part)]
	end, 1000).

%% Of the two blocks of a message only the first has to be made for each: it isn't compressed, and ends on a byte.
do_stored(Data) ->
	Size = byte_size(Data),
	<<0, Size:16/little, (bnot Size):16/little, Data/binary>>.

do_deflate(Data) ->
	Z = zlib:open(),
	ok = zlib:deflateInit(Z, default, deflated, -15, 8, default),
	Compressed = iolist_to_binary(zlib:deflate(Z, Data, sync)),
	binary:part(Compressed, 0, byte_size(Compressed) - 4).

%% A thousand small messages.
do_numbered(Part) ->
	<< <<130, 16, N:64, N:64>> || N <- do_numbers(Part) >>.

do_numbers(Part) ->
	lists:seq(1000 * (Part - 1) + 1, 1000 * Part).

%% The owner is in a node of its own, so that the figures are the client's alone.
do_flood(Count, Fun, PerPart) ->
	{Server, Port} = lying_server:start([
		{answer, fun(Key) -> lying_server:response(Key, [{"Sec-WebSocket-Extensions", "permessage-deflate"}]) end},
		{send_each, Fun, Count div PerPart}, {send, frame(close, <<1000:16>>)}
	]),
	{Peer, Node} = gun_rs_test:start_node(),
	Result = erpc:call(Node, ?MODULE, do_flooded, [Port, Count]),
	ct:log("~p", [Result]),
	#{queue := Queue, frames_in := Frames, paused := {Erlang, System}, reading := {ErlangReading, SystemReading}} = Result,
	true = Frames =< ?WINDOW,
	true = Queue =< Frames + ?OTHERS,
	true = max(Erlang, System) < ?BOUND,
	true = max(ErlangReading, SystemReading) < ?READING_BOUND,
	peer:stop(Peer),
	lying_server:stop(Server).

do_flooded(Port, Count) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	ConnPid = open(Port),
	Memory = gun_rs_test:watch_memory(),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{flow => auto, compress => true}),
	true = eventually(fun() -> do_queue(self()) > 2 end),
	timer:sleep(?PAUSE),
	#{stats := #{frames_in := FramesIn}} = gun_rs:info(ConnPid),
	Queue = do_queue(self()),
	Paused = gun_rs_test:memory_growth(Memory),
	{Time, ok} = timer:tc(fun() -> do_read(ConnPid, StreamRef, 1, Count) end),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	#{queue => Queue, frames_in => FramesIn, paused => Paused, reading => gun_rs_test:memory_growth(Memory),
		ms => Time div 1000}.

%% Every message, and in order.
do_read(_, _, N, Count) when N > Count ->
	ok;
do_read(ConnPid, StreamRef, N, Count) ->
	N = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<M:64, _/binary>>}}, M),
	do_read(ConnPid, StreamRef, N + 1, Count).

do_queue(Pid) ->
	{message_queue_len, Length} = process_info(Pid, message_queue_len),
	Length.

auto_and_other_messages(_) ->
	doc("A mailbox that is long with messages of others makes reading pause as well, until it is emptied."),
	Others = 3000,
	{Server, Port} = lying_server:start([upgrade, wait, {send_each, fun do_numbered/1, 100}]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => auto}),
	_ = [self() ! {other, N} || N <- lists:seq(1, Others)],
	lying_server:go(Server),
	ok = do_read(ConnPid, StreamRef, 1, ?WINDOW),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	_ = [?EXPECT({other, N}) || N <- lists:seq(1, Others)],
	ok = do_read(ConnPid, StreamRef, ?WINDOW + 1, 100000),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

auto_on_another_node(_) ->
	doc("A reply_to on another node that doesn't read makes reading pause too, and gets all in the end."),
	Count = 100000,
	{Server, Port} = lying_server:start([upgrade, {send_each, fun do_numbered/1, Count div 1000}]),
	{Peer, Node} = gun_rs_test:start_node(),
	Parent = self(),
	Receiver = spawn_link(fun() ->
		{ConnPid, StreamRef} = receive {read, C, S} -> {C, S} end,
		ok = do_read(ConnPid, StreamRef, 1, Count),
		Parent ! {self(), all}
	end),
	Owner = erpc:call(Node, ?MODULE, do_start_owner, [Port, Receiver, self()]),
	{ConnPid, StreamRef} = ?EXPECT({Owner, opened, C, S}, {C, S}),
	true = eventually(fun() -> do_queue(Receiver) > 2 end),
	timer:sleep(?PAUSE),
	Queue = do_queue(Receiver),
	Behind = erpc:call(Node, ?MODULE, do_queue, [ConnPid]),
	ct:log("~p in the receiver's mailbox, ~p in the connection's", [Queue, Behind]),
	true = Queue + Behind =< ?WINDOW + ?OTHERS,
	Receiver ! {read, ConnPid, StreamRef},
	?EXPECT({Receiver, all}),
	Owner ! stop,
	Growth = ?EXPECT({Owner, grown, Erlang, System}, max(Erlang, System)),
	ct:log("the connection's node grew by ~p bytes", [Growth]),
	true = Growth < ?READING_BOUND,
	peer:stop(Peer),
	lying_server:stop(Server).

do_start_owner(Port, ReplyTo, Parent) ->
	spawn(fun() ->
		{ok, _} = application:ensure_all_started(gun_rs),
		ConnPid = open(Port),
		Memory = gun_rs_test:watch_memory(),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{flow => auto, reply_to => ReplyTo}),
		Parent ! {self(), opened, ConnPid, StreamRef},
		receive stop -> ok end,
		{Erlang, System} = gun_rs_test:memory_growth(Memory),
		Parent ! {self(), grown, Erlang, System}
	end).

auto_with_a_fun(_) ->
	doc("A reply_to that is a fun, or a function, is waited for as well: it is called in order, and with all."),
	Count = 100000,
	Self = self(),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, {send_each, fun do_numbered/1, Count div 1000}]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{flow => auto, reply_to => ReplyTo}),
		?EXPECT({upgraded, ConnPid}),
		true = eventually(fun() -> do_queue(ConnPid) > 2 end),
		timer:sleep(?PAUSE),
		Queue = do_queue(ConnPid),
		ct:log("~p in the connection's mailbox", [Queue]),
		true = Queue =< ?WINDOW + ?OTHERS,
		ConnPid ! go,
		ok = do_read(ConnPid, StreamRef, 1, Count),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || ReplyTo <- [
		fun(Message) -> do_slow(Message, Self) end,
		{fun do_slow/2, [Self]},
		{?MODULE, do_slow, [Self]}
	]],
	ok.

%% It is slow with the upgrade.
do_slow({gun_upgrade, ConnPid, _, _, _}, To) ->
	To ! {upgraded, ConnPid},
	receive go -> ok end;
do_slow(Message, To) ->
	To ! Message.

auto_with_nobody(_) ->
	doc("A receiver that is gone holds nothing up: the connection reads on to its end."),
	{Server, Port} = lying_server:start([upgrade, wait, {send_each, fun do_numbered/1, 100}, {send, frame(close, <<1000:16>>)}]),
	ConnPid = open(Port),
	Receiver = spawn(fun() -> ?EXPECT({gun_upgrade, ConnPid, _, _, _}) end),
	_ = gun_rs:ws_upgrade(ConnPid, "/", [], #{flow => auto, reply_to => Receiver}),
	_ = gun_rs_test:await_exit(Receiver),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, normal, _}),
	lying_server:stop(Server).

auto_and_the_end(_) ->
	doc("When the server goes away while a receiver doesn't read, all arrives once it does, then gun_down."),
	{Server, Port} = lying_server:start([upgrade, {send_each, fun do_numbered/1, 20}, close]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => auto}),
	true = eventually(fun() -> do_queue(self()) > 1000 end),
	timer:sleep(?PAUSE),
	true = do_queue(self()) =< ?WINDOW + ?OTHERS,
	ok = do_read(ConnPid, StreamRef, 1, 20000),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	lying_server:stop(Server).

auto_users_close(_) ->
	doc("A user who doesn't read and closes isn't kept waiting beyond closing_timeout."),
	{Server, Port} = lying_server:start([upgrade, {send_each, fun do_numbered/1, 5}, frame, {send, frame(close, <<1000:16>>)}]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => auto, closing_timeout => 100}),
	true = eventually(fun() -> do_queue(self()) > ?WINDOW end),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({lying_server, Server, {frame, close, _}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	ok = do_read(ConnPid, StreamRef, 1, ?WINDOW),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	lying_server:stop(Server).

%% What the process behind ConnPid hands on comes no faster than it does that, with default options: to modules of the
%% user's, to funs, and to processes of other nodes.
-module(gun_rs_relay_SUITE).

-define(NEEDS, [gun_rs, distribution]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

%% What the connection's node may grow by, in bytes.
-define(BOUND, 64 * 16#100000).

%% How many messages the native side tells before the process has come to them, and half of it again, which it may
%% tell once the process has come to the question.
-define(RELAY_WINDOW, 192).

%% And how many a receiver on another node is sent before it has been looked at.
-define(WINDOW, 6144).

%% What else may be in a mailbox.
-define(OTHERS, 20).

%% How long nothing is taken, in ms.
-define(PAUSE, 2000).

%% Modules and funs.

slow_module(_) ->
	doc("A module that is slower than the server holds it back: all frames arrive, in order, and info answers meanwhile."),
	do_slow(module, 1000000).

slow_fun(_) ->
	doc("So does a reply_to that is a fun."),
	do_slow('fun', 1000000).

slow_fun_and_flow(_) ->
	doc("A number of messages counts beside it."),
	do_slow(flow, 200000).

slow_response(_) ->
	doc("So does a fun that takes a response's body."),
	do_slow(response, 200000).

slow_events(_) ->
	doc("And one that takes server-sent events."),
	do_slow(events, 200000).

slow_cookies(_) ->
	doc("And one with a cookie store between."),
	do_slow(cookies, 200000).

do_slow(Kind, Count) ->
	{Server, Port} = do_server(Kind, Count),
	{Peer, Node} = gun_rs_test:start_node(),
	Result = erpc:call(Node, ?MODULE, do_slowed, [Kind, Server, Port, Count]),
	ct:log("~p", [Result]),
	#{queue := Queue, grown := {Erlang, System}, queue_while_slow := SlowQueue} = Result,
	true = Queue =< ?RELAY_WINDOW + ?OTHERS,
	true = SlowQueue =< ?RELAY_WINDOW + ?OTHERS,
	true = max(Erlang, System) < ?BOUND,
	peer:stop(Peer),
	lying_server:stop(Server).

do_server(Kind, Count) when Kind =:= module; Kind =:= 'fun'; Kind =:= flow; Kind =:= ws ->
	lying_server:start([upgrade, wait, {send_each, fun do_messages/1, Count div 1000}]);
do_server(large, Count) ->
	lying_server:start([upgrade, wait, {send_each, fun do_large/1, Count}]);
do_server(Kind, Count) ->
	{Type, Chunk} = case Kind of
		events -> {"text/event-stream", fun(N) -> <<"12\r\ndata: ", N:10/binary, "\n\n\r\n">> end};
		_ -> {"text/plain", fun(N) -> <<"a\r\n", N:10/binary, "\r\n">> end}
	end,
	lying_server:start([
		request, {send, ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: ", Type, "\r\n\r\n"]}, wait,
		{send_each, fun(Part) -> [Chunk(do_text(N)) || N <- do_numbers(Part)] end, Count div 1000},
		{send, "0\r\n\r\n"}
	]).

do_messages(Part) ->
	[<<130, 10, (do_text(N))/binary>> || N <- do_numbers(Part)].

do_large(N) ->
	lying_server:frame(binary, <<(do_text(N))/binary, 0:(8 * 16#100000)>>).

do_numbers(Part) ->
	lists:seq(1000 * (Part - 1) + 1, 1000 * Part).

do_text(N) ->
	iolist_to_binary(io_lib:format("~10..0b", [N])).

do_start(Kind, Port, ReplyTo) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	HttpOpts = case Kind of
		events -> #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]};
		_ -> #{}
	end,
	Opts = case Kind of
		cookies -> #{cookie_store => gun_rs_cookies_list:init()};
		_ -> #{}
	end,
	ConnPid = open(Port, Opts#{http_opts => HttpOpts, retry => 0}),
	StreamRef = case Kind of
		module ->
			gun_rs:ws_upgrade(ConnPid, "/", [], #{default_protocol => ws_tell_h, reply_to => ReplyTo,
				user_opts => #{handle => fun(_) -> 1 end}});
		flow ->
			gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => ReplyTo, flow => 1000});
		_ when Kind =:= 'fun'; Kind =:= ws; Kind =:= large ->
			gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => ReplyTo});
		_ ->
			gun_rs:get(ConnPid, "/", [], #{reply_to => ReplyTo})
	end,
	{ConnPid, StreamRef}.

%% What the process behind ConnPid does comes to a stop with the first message, then it is slow, then quick.
do_slowed(Kind, Server, Port, Count) ->
	Self = self(),
	{ConnPid, StreamRef} = do_start(Kind, Port, fun(Message) -> do_take(do_numbers_in(Message), Self) end),
	?EXPECT(begun),
	Memory = gun_rs_test:watch_memory(),
	ok = lying_server:go(Server),
	true = eventually(fun() -> do_queue(ConnPid) > 1 end),
	timer:sleep(?PAUSE),
	Queue = do_queue(ConnPid),
	Grown = gun_rs_test:memory_growth(Memory),
	ConnPid ! go,
	?EXPECT({number, 1}),
	%% It exits when it isn't answered in time.
	_ = [true = is_map(gun_rs:info(ConnPid)) || _ <- [1, 2, 3]],
	SlowQueue = do_queue(ConnPid),
	ok = do_read(2, Count, fun(N) -> Kind =:= flow andalso N rem 100 =:= 0 andalso
		gun_rs:update_flow(ConnPid, StreamRef, 100) end),
	ok = gun_rs:close(ConnPid),
	#{queue => Queue, grown => Grown, queue_while_slow => SlowQueue}.

do_take(begun, To) ->
	To ! begun;
do_take(Numbers, To) ->
	_ = [begin
		_ = [receive go -> ok end || N =:= 1],
		_ = [timer:sleep(1) || N < 2000],
		To ! {number, N}
	end || N <- Numbers],
	ok.

do_numbers_in({gun_upgrade, _, _, _, _}) -> begun;
do_numbers_in({gun_response, _, _, nofin, 200, _}) -> begun;
do_numbers_in({ws_handle, _, {binary, <<N:10/binary, _/binary>>}}) -> [binary_to_integer(N)];
do_numbers_in({gun_ws, _, _, {binary, <<N:10/binary, _/binary>>}}) -> [binary_to_integer(N)];
do_numbers_in({gun_sse, _, _, #{data := [N]}}) -> [binary_to_integer(N)];
do_numbers_in({gun_data, _, _, _, Data}) -> do_numbers_in_part(Data);
do_numbers_in(_) -> [].

%% A part may end within a number.
do_numbers_in_part(Data0) ->
	Before = case get(cut) of
		undefined -> <<>>;
		Cut -> Cut
	end,
	Data = <<Before/binary, Data0/binary>>,
	Size = byte_size(Data) div 10 * 10,
	<<Whole:Size/binary, Rest/binary>> = Data,
	_ = put(cut, Rest),
	[binary_to_integer(N) || <<N:10/binary>> <= Whole].

%% Every message, and in order.
do_read(N, Count, _) when N > Count ->
	ok;
do_read(N, Count, Fun) ->
	?EXPECT({number, M}, N = M),
	_ = Fun(N),
	do_read(N + 1, Count, Fun).

do_queue(Pid) ->
	{message_queue_len, Length} = process_info(Pid, message_queue_len),
	Length.

%% Other nodes.

process_that_reads_nothing(_) ->
	doc("A process of another node that reads nothing holds the server back; it gets all once it reads."),
	_ = [begin
		{Receiver, Start, Stop} = do_nodes(Kind, Count),
		ConnPid = Start(),
		true = eventually(fun() -> do_queue_there(Receiver) > 2 end),
		timer:sleep(?PAUSE),
		Queue = do_queue_there(Receiver),
		ct:log("~p: ~p in the receiver's mailbox, ~p in the connection's", [Kind, Queue, do_queue_there(ConnPid)]),
		true = Queue =< ?WINDOW + ?OTHERS,
		true = do_queue_there(ConnPid) =< ?RELAY_WINDOW + ?OTHERS,
		true = is_map(gun_rs:info(ConnPid)),
		Receiver ! go,
		?EXPECT({Receiver, all}),
		Stop()
	end || {Kind, Count} <- [{ws, 200000}, {response, 200000}, {large, 200}]],
	ok.

node_that_takes_nothing(_) ->
	doc("A node that is stopped holds the server back, and not the process behind ConnPid; it gets all once it goes on."),
	_ = [begin
		{Receiver, Start, Stop} = do_nodes(Kind, Count),
		OsPid = erpc:call(node(Receiver), os, getpid, []),
		[] = os:cmd("kill -STOP " ++ OsPid),
		try
			ConnPid = Start(),
			timer:sleep(?PAUSE),
			Queue = do_queue_there(ConnPid),
			ct:log("~p: ~p in the connection's mailbox", [Kind, Queue]),
			true = Queue =< ?RELAY_WINDOW + ?OTHERS,
			%% Nor do answers to calls that the node has made.
			ok = erpc:call(node(ConnPid), gun_rs_relay, cast, [ConnPid, {cancel, Receiver, [no_stream]}]),
			true = is_map(gun_rs:info(ConnPid))
		after
			[] = os:cmd("kill -CONT " ++ OsPid)
		end,
		Receiver ! go,
		?EXPECT({Receiver, all}),
		Stop()
	end || {Kind, Count} <- [{ws, 200000}, {response, 200000}, {large, 200}]],
	ok.

do_queue_there(Pid) ->
	erpc:call(node(Pid), ?MODULE, do_queue, [Pid]).

%% A receiver in a node of its own, and a connection in another, which is flooded by the first fun, and checked by the
%% second.
do_nodes(Kind, Count) ->
	{Server, Port} = do_server(Kind, Count),
	{Peer1, Node1} = gun_rs_test:start_node(),
	{Peer2, Node2} = gun_rs_test:start_node(),
	Self = self(),
	Receiver = spawn(Node2, ?MODULE, do_receive, [Self, Count]),
	Owner = spawn(Node1, ?MODULE, do_own, [Self, Kind, Port, Receiver]),
	ConnPid = ?EXPECT({Owner, Pid}, Pid),
	?EXPECT({Receiver, begun}),
	{Receiver, fun() ->
		Owner ! watch,
		?EXPECT({Owner, watching}),
		ok = lying_server:go(Server),
		ConnPid
	end, fun() ->
		Owner ! stop,
		{Erlang, System} = ?EXPECT({Owner, grown, Grown}, Grown),
		ct:log("~p: the connection's node grew by ~p bytes by its own account, and by ~p", [Kind, Erlang, System]),
		true = max(Erlang, System) < ?BOUND,
		peer:stop(Peer1),
		peer:stop(Peer2),
		lying_server:stop(Server)
	end}.

do_own(Parent, Kind, Port, Receiver) ->
	{ConnPid, _} = do_start(Kind, Port, Receiver),
	Parent ! {self(), ConnPid},
	receive watch -> ok end,
	Memory = gun_rs_test:watch_memory(),
	Parent ! {self(), watching},
	receive stop -> ok end,
	Parent ! {self(), grown, gun_rs_test:memory_growth(Memory)},
	gun_rs:close(ConnPid).

do_receive(Parent, Count) ->
	begun = receive First -> do_numbers_in(First) end,
	Parent ! {self(), begun},
	receive go -> ok end,
	ok = do_receive_numbers(1, Count),
	Parent ! {self(), all}.

do_receive_numbers(N, Count) when N > Count ->
	ok;
do_receive_numbers(N, Count) ->
	Numbers = ?EXPECT(Message, do_numbers_in(Message)),
	Next = lists:foldl(fun(M, M) -> M + 1 end, N, Numbers),
	do_receive_numbers(Next, Count).

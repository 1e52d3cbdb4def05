%% A server that breaks HTTP/2 is told how, by GOAWAY or by RST_STREAM, and so is the user; a stream's fault is that of no
%% other stream. Nothing crashes, hangs or is left behind.
-module(gun_rs_http2_faults_SUITE).

-import(http2_liar, [frame/4, settings/1, headers/3, headers_block/4, continuation/3, data/3, padded_data/4, priority/3,
	rst_stream/2, push_promise/3, ping/1, goaway/3, window_update/2, ok/2, block/1]).

-define(NEEDS, [cowboy]).
-include("gun_rs_suite.hrl").

-define(HEAD, [{":status", "200"}]).

%% The ping that follows what a case is about.
-define(LAST, 77).
-define(GET, [{":method", "GET"}, {":scheme", "http"}, {":path", "/p"}]).

init_per_suite(Config) ->
	[{transport, tcp}|Config].

end_per_suite(_) ->
	ok.

%% The states of the stream, which is the first one of its connection:
%%
%%     idle       there is none yet
%%     sent       the request is complete, the answer has not begun
%%     open       the request goes on, the answer has not begun
%%     answered   the request is complete, the head of the answer has come
%%     finished   the answer is complete
%%     cancelled  the user has cancelled the request
%%     promised   there is the stream 2 too, whose answer has not begun
%%
%% What follows from what is sent then:
%%
%%     {connection, Code}   GOAWAY with this code, and the end of the connection, told to each stream and to the owner
%%     {stream, Id, Code}   RST_STREAM with this code for this stream, told to the stream, if it was there
%%     {rst, Id, Code}      the same, and nothing is told
%%     {told, Code}         the stream is told, and nothing is sent: both sides have ended it already
%%     ignored              nothing: the stream comes to its end

frames_of_the_connection(_) ->
	doc("What is wrong with a frame of the connection ends the connection, in whatever state its stream is."),
	do_table([{State, Frames, {connection, Code}} || State <- [idle, sent, open, answered, finished, cancelled],
		{Frames, Code} <- [
			{frame(settings, 0, 1, <<>>), protocol_error},
			{frame(settings, 0, 0, <<0:40>>), frame_size_error},
			{frame(settings, 1, 0, <<0:48>>), frame_size_error},
			{settings([{enable_push, 2}]), protocol_error},
			{settings([{initial_window_size, 16#80000000}]), flow_control_error},
			{settings([{max_frame_size, 16#3fff}]), protocol_error},
			{settings([{max_frame_size, 16#1000000}]), protocol_error},
			{settings([{enable_connect_protocol, 2}]), protocol_error},
			{frame(ping, 0, 1, <<0:64>>), protocol_error},
			{frame(ping, 0, 0, <<0:56>>), frame_size_error},
			{frame(ping, 0, 0, <<0:72>>), frame_size_error},
			{frame(goaway, 0, 1, <<0:64>>), protocol_error},
			{frame(goaway, 0, 0, <<0:56>>), frame_size_error},
			{window_update(0, 0), protocol_error},
			{window_update(0, 16#7fffffff), flow_control_error},
			{frame(window_update, 0, 0, <<0:24>>), frame_size_error},
			{frame(data, 0, 0, "x"), protocol_error},
			{frame(headers, 4, 0, block(?HEAD)), protocol_error},
			{frame(priority, 0, 0, <<0:40>>), protocol_error},
			{frame(rst_stream, 0, 0, <<0:32>>), protocol_error},
			{frame(push_promise, 4, 0, [<<2:32>>, block(?GET)]), protocol_error},
			{continuation(1, true, block(?HEAD)), protocol_error},
			{continuation(0, true, block(?HEAD)), protocol_error}
		]]).

frames_on_idle_streams(_) ->
	doc("Frames on a stream that nobody has opened end the connection."),
	do_table([{State, Frames, {connection, protocol_error}} || State <- [idle, sent, answered, finished],
		StreamId <- [99, 2],
		Frames <- [
			data(StreamId, nofin, "x"),
			headers(StreamId, fin, ?HEAD),
			rst_stream(StreamId, cancel),
			window_update(StreamId, 1)
		]]).

sizes_of_frames(_) ->
	doc("A frame of the wrong size ends the connection, or its stream where it can be left out."),
	do_table([{State, Frames, Expected} || State <- [sent, open, answered], {Frames, Expected} <- [
		{frame(rst_stream, 0, 1, <<0:24>>), {connection, frame_size_error}},
		{frame(rst_stream, 0, 1, <<0:40>>), {connection, frame_size_error}},
		{frame(window_update, 0, 1, <<0:24>>), {connection, frame_size_error}},
		{frame(window_update, 0, 1, <<0:40>>), {connection, frame_size_error}},
		{frame(data, 0, 1, binary:copy(<<"x">>, 16385)), {connection, frame_size_error}},
		{frame(headers, 4, 1, binary:copy(<<0>>, 16385)), {connection, frame_size_error}},
		{frame(77, 0, 1, binary:copy(<<0>>, 16385)), {connection, frame_size_error}},
		{frame(headers, 16#24, 1, <<0:24>>), {connection, protocol_error}},
		{frame(push_promise, 4, 1, <<0:24>>), {connection, protocol_error}},
		{padded_data(1, nofin, 2, "x"), {connection, protocol_error}},
		{frame(headers, 16#c, 1, [200, block(?HEAD)]), {connection, protocol_error}},
		{frame(data, 8, 1, <<>>), {connection, protocol_error}}
	]]).

header_blocks(_) ->
	%% The library below has no other code for what cannot be decompressed.
	doc("A header block that cannot be read, or that others interrupt, ends the connection."),
	Half = headers_block(1, nofin, false, block(?HEAD)),
	do_table([{sent, Frames, {connection, Code}} || {Frames, Code} <- [
		{headers_block(1, nofin, true, <<16#ff, 16#ff, 16#ff, 16#ff, 16#ff>>), protocol_error},
		{headers_block(1, nofin, true, <<16#80>>), protocol_error},
		{headers_block(1, nofin, true, <<16#be>>), protocol_error},
		{headers_block(1, nofin, true, <<0, 5, "x-a">>), protocol_error},
		{headers_block(1, nofin, true, <<0, 16#82, 16#ff, 16#ff, 1, "x">>), protocol_error},
		{headers_block(1, nofin, true, <<16#3f, 16#e1, 16#ff, 16#03>>), protocol_error},
		{[Half, ping(1)], protocol_error},
		{[Half, data(1, fin, "x")], protocol_error},
		{[Half, headers(1, fin, ?HEAD)], protocol_error},
		{[Half, continuation(3, true, <<>>)], protocol_error},
		{[Half, frame(77, 0, 0, <<>>)], protocol_error}
	]]).

heads_of_responses(_) ->
	doc("A response whose head is faulty is reset alone; where both sides have ended the stream, it is told alone."),
	do_table([{State, headers(1, Fin, Head), case {State, Fin} of
		{sent, fin} -> {told, protocol_error};
		_ -> {stream, 1, protocol_error}
	end} || State <- [sent, open], Fin <- [nofin, fin], Head <- [
		[],
		[{"x-a", "1"}],
		?HEAD ++ [{"content-length", "many"}],
		?HEAD ++ [{"content-length", "1"}, {"content-length", "2"}]
	]]),
	do_table([{State, headers(1, Fin, Head), {stream, 1, protocol_error}} || State <- [sent, open], Fin <- [nofin, fin], Head <- [
		[{":status", "200"}, {":status", "200"}],
		[{"x-a", "1"}, {":status", "200"}],
		?HEAD ++ [{"connection", "close"}],
		?HEAD ++ [{"keep-alive", "5"}],
		?HEAD ++ [{"proxy-connection", "close"}],
		?HEAD ++ [{"transfer-encoding", "chunked"}],
		?HEAD ++ [{"upgrade", "tea"}]
	]]).

fields_that_are_none(_) ->
	doc("Fields that cannot be any, by their name or their value, end the connection."),
	do_table([{State, headers(1, Fin, Head), {connection, protocol_error}} || State <- [sent, open], Fin <- [nofin, fin],
		Head <- [
			[{":status", ""}],
			[{":status", "2x0"}],
			[{":status", "20"}],
			[{":status", "2000"}],
			[{":status", "099"}],
			?HEAD ++ [{":unknown", "1"}],
			?HEAD ++ [{"X-Upper", "1"}],
			?HEAD ++ [{"", "1"}],
			?HEAD ++ [{"x y", "1"}],
			?HEAD ++ [{"x-a", "1\r\nx-b: 2"}],
			?HEAD ++ [{"x-a", <<"1", 0>>}]
		]] ++ [{answered, headers(1, fin, [{"X-T", "1"}]), {connection, protocol_error}}]).

informational_heads(_) ->
	doc("An informational response that is the last, or a 101, is a fault of its stream."),
	do_table([{sent, headers(1, fin, [{":status", Status}]), {told, protocol_error}} || Status <- ["100", "103"]]
		++ [{sent, headers(1, nofin, [{":status", "101"}]), {stream, 1, protocol_error}}]).

bodies(_) ->
	doc("A body that does not fit its head, and trailers that are none, are faults of their stream."),
	Length = fun(N) -> headers(1, nofin, ?HEAD ++ [{"content-length", integer_to_list(N)}]) end,
	do_table([{sent, Frames, Expected} || {Frames, Expected} <- [
		{data(1, nofin, "x"), {connection, protocol_error}},
		{data(1, fin, "x"), {connection, protocol_error}},
		{[Length(1), data(1, nofin, "xx")], {stream, 1, protocol_error}},
		{[Length(2), data(1, fin, "x")], {stream, 1, protocol_error}},
		{[Length(2), data(1, nofin, "x"), headers(1, fin, [{"x-t", "1"}])], {told, protocol_error}},
		{headers(1, fin, ?HEAD ++ [{"content-length", "1"}]), {told, protocol_error}}
	]] ++ [{answered, Frames, {stream, 1, protocol_error}} || Frames <- [
		headers(1, nofin, [{"x-t", "1"}]),
		headers(1, nofin, ?HEAD),
		headers(1, fin, [{"x-t", "1"}, {":status", "200"}]),
		headers(1, fin, [{"connection", "close"}])
	]]).

frames_of_streams(_) ->
	doc("Windows that grow too far are faults of their stream, while it needs them; what is only odd is none."),
	do_table([{State, Frames, Expected} || State <- [sent, open, answered], {Frames, Expected} <- [
		{window_update(1, 0), {connection, protocol_error}},
		{window_update(1, 16#7fffffff), case State of open -> {stream, 1, flow_control_error}; _ -> ignored end},
		{http2_liar:settings_ack(), {connection, protocol_error}},
		{priority(1, 0, 1), ignored},
		{priority(99, 0, 1), ignored},
		{frame(77, 255, 1, "unknown"), ignored},
		{frame(77, 255, 0, "unknown"), ignored},
		{http2_liar:ping_ack(12345), ignored},
		{settings([{99, 1}, {3, 1000}]), ignored}
	]]).

frames_on_finished_streams(_) ->
	doc("Frames on a stream that is over are refused, or ignored where they may have been on their way."),
	do_table([{finished, Frames, Expected} || {Frames, Expected} <- [
		{data(1, fin, "x"), {rst, 1, stream_closed}},
		{headers(1, fin, [{"x-t", "1"}]), {rst, 1, stream_closed}},
		{window_update(1, 1), ignored},
		{rst_stream(1, cancel), ignored},
		{priority(1, 0, 1), ignored}
	]]).

frames_on_cancelled_streams(_) ->
	doc("Whatever comes late for a stream that was cancelled is ignored, as often as it comes."),
	do_table([{cancelled, [Frames || _ <- lists:seq(1, Times)], ignored} || Times <- [1, 50], Frames <- [
		headers(1, nofin, ?HEAD),
		headers(1, fin, ?HEAD),
		data(1, nofin, "x"),
		data(1, fin, "x"),
		window_update(1, 1),
		rst_stream(1, cancel),
		priority(1, 0, 1)
	]]).

promises(_) ->
	doc("A promise that cannot be one is refused, alone if that can be told."),
	do_table([
		{sent, push_promise(1, 3, ?GET), {connection, protocol_error}},
		{sent, push_promise(1, 0, ?GET), {connection, protocol_error}},
		{sent, push_promise(99, 2, ?GET), {connection, protocol_error}},
		{promised, push_promise(1, 2, ?GET), {connection, protocol_error}},
		{promised, data(2, nofin, "x"), {connection, protocol_error}},
		{promised, headers(2, nofin, [{"x-a", "1"}]), {stream, 2, protocol_error}},
		{promised, headers(4, nofin, ?HEAD), {connection, protocol_error}},
		{sent, push_promise(1, 2, [{":method", "GET"}]), {rst, 2, protocol_error}},
		%% It is refused by being dropped.
		{sent, push_promise(1, 2, ?GET ++ [{":authority", "elsewhere.example"}]), {rst, 2, cancel}},
		{sent, push_promise(1, 2, lists:keyreplace(":method", 1, ?GET, {":method", "POST"}) ++ [{":authority", "$"}]),
			{rst, 2, protocol_error}}
	]).

promises_that_were_turned_off(_) ->
	doc("A promise after push was turned off ends the connection."),
	do_table([{sent, push_promise(1, 2, ?GET ++ [{":authority", "$"}]), {connection, protocol_error}}],
		#{push => false}).

windows(_) ->
	doc("More data than there is room for is a fault of its stream, or of the connection."),
	do_table([{answered, data(1, nofin, binary:copy(<<"x">>, 101)), {stream, 1, flow_control_error}}],
		#{initial_stream_window_size => 100}),
	do_table([{answered, [data(1, nofin, binary:copy(<<"x">>, 10000)) || _ <- lists:seq(1, 7)],
		{connection, flow_control_error}}], #{initial_connection_window_size => 65535, flow => 1}).

limits_of_heads(_) ->
	doc("More fields, or a longer block in several frames, end the connection; larger fields are a fault of their stream."),
	Fields = fun(N) -> ?HEAD ++ [{"x-" ++ integer_to_list(I), "1"} || I <- lists:seq(1, N)] end,
	Large = binary:copy(<<"x">>, 16000),
	Blocks = fun(Count) ->
		[headers_block(1, nofin, false, block(?HEAD)),
			[continuation(1, false, block([{"x-a", Large}])) || _ <- lists:seq(1, Count)],
			continuation(1, true, <<>>)]
	end,
	%% One field of 4000 bytes in the table, which each byte more repeats: RFC 7541, 7.1.
	Bomb = [block(?HEAD), <<16#40, 3, "x-a">>, <<127, 16#a1, 16#1e>>, binary:copy(<<"x">>, 4000), binary:copy(<<16#be>>, 90)],
	do_table([
		{sent, headers(1, nofin, Fields(101)), {connection, enhance_your_calm}},
		{sent, Blocks(3), {connection, enhance_your_calm}},
		{sent, headers_block(1, nofin, true, Bomb), {stream, 1, protocol_error}}
	]),
	do_fits(headers(1, fin, Fields(100)), #{}),
	do_fits(headers(1, fin, Fields(500)), #{max_headers => 500}),
	do_fits([headers_block(1, fin, false, block(?HEAD)), continuation(1, true, block([{"x-a", Large}]))], #{}).

do_fits(Frames, Opts) ->
	{Server, Port} = http2_liar:start([open, {await, headers}, {send, Frames}]),
	ConnPid = do_open(Port, Opts),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 200, _}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% Floods.

hundreds_at_once(_) ->
	doc("What an honest server may send hundreds of at once does no harm."),
	_ = [begin
		{Server, Port} = http2_liar:start([open, {await, headers}, {send, headers(1, nofin, ?HEAD)},
			{send, [Frame || _ <- lists:seq(1, 500)]}, {send, data(1, fin, "done")},
			{answer, fun(StreamId) -> ok(StreamId, "next") end}]),
		ConnPid = do_open(Port, #{}),
		{200, _, <<"done">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
		{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
		ok = gun_rs:close(ConnPid),
		http2_liar:stop(Server)
	end || Frame <- [ping(1), settings([]), data(1, nofin, ""), window_update(0, 1), window_update(1, 1),
		priority(1, 0, 1), frame(77, 0, 0, "unknown"), http2_liar:ping_ack(1)]],
	ok.

hundreds_of_resets(_) ->
	doc("A server may refuse hundreds of requests at once."),
	{Server, Port} = http2_liar:start([open, {answer_all, fun
		(StreamId, _) when StreamId < 1000 -> rst_stream(StreamId, refused_stream);
		(StreamId, _) -> ok(StreamId, "at last")
	end}]),
	ConnPid = do_open(Port, #{}),
	Refs = [gun_rs:get(ConnPid, "/") || _ <- lists:seq(1, 500)],
	_ = [{error, {stream_error, refused_stream, _}} = answer(ConnPid, StreamRef) || StreamRef <- Refs],
	{200, _, <<"at last">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

floods(_) ->
	doc("What no honest server sends so much of ends the connection, which takes no more memory than it needs."),
	Max = 64 * 16#100000,
	_ = [begin
		ct:log("~p", [Name]),
		{Server, Port} = http2_liar:start([open, {await, headers}, {send, First}, {flood, More, Max}]),
		ConnPid = do_open(Port, #{}),
		MRef = watch(ConnPid),
		Watched = gun_rs_test:watch_memory(),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, StreamRef, _}),
		Killed = ?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, enhance_your_calm, _}}, K}, K),
		%% More informational responses than a request may have end its stream first.
		Killed = [StreamRef || Name =/= informs],
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {connection_error, enhance_your_calm, _}}}}),
		{Vm, _} = gun_rs_test:memory_growth(Watched),
		true = Vm < 64 * 16#100000,
		Bytes = ?EXPECT({http2_liar, Server, {flooded, N}}, N),
		true = Bytes < Max,
		gun_rs:flush(ConnPid),
		http2_liar:stop(Server)
	end || {Name, First, More} <- [
		{pings, <<>>, [ping(1) || _ <- lists:seq(1, 500)]},
		{settings, <<>>, [settings([{4, 65535}]) || _ <- lists:seq(1, 500)]},
		{empty_data, headers(1, nofin, ?HEAD), [data(1, nofin, "") || _ <- lists:seq(1, 500)]},
		{continuations, headers_block(1, nofin, false, block(?HEAD)), [continuation(1, false, <<>>) || _ <- lists:seq(1, 500)]},
		{informs, <<>>, [headers(1, nofin, [{":status", "103"}]) || _ <- lists:seq(1, 500)]},
		{unknown, <<>>, [frame(77, 0, 0, "x") || _ <- lists:seq(1, 500)]},
		{priorities, <<>>, [priority(1, 0, 1) || _ <- lists:seq(1, 500)]},
		{window_updates, <<>>, [window_update(0, 1) || _ <- lists:seq(1, 500)]}
	]],
	ok.

floods_of_promises(_) ->
	doc("Promises and resets of them, without an end, end the connection too."),
	_ = [begin
		{Server, Port} = http2_liar:start([open, {await, headers}, {flood_each, fun(N) ->
			Promise = push_promise(1, 2 * N, ?GET ++ [{":authority", Authority}]),
			[Promise, [rst_stream(2 * N, cancel) || IsReset]]
		end, 1000000}]),
		ConnPid = do_open(Port, #{}),
		StreamRef = gun_rs:get(ConnPid, "/", [], #{reply_to => fun(_) -> ok end}),
		?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, enhance_your_calm, _}}, [StreamRef|_]}),
		gun_rs:flush(ConnPid),
		http2_liar:stop(Server)
	end || Authority <- ["elsewhere.example", "localhost"], IsReset <- [true, false]],
	ok.

no_window_for_ever(_) ->
	doc("A body for which the server never makes room waits, and can be cancelled; others go on."),
	{Server, Port} = http2_liar:start([{open, [{initial_window_size, 0}]}, {answer_all, fun
		(1, _) -> <<>>;
		(StreamId, _) -> ok(StreamId, "next")
	end}]),
	ConnPid = do_open(Port, #{}),
	?EXPECT({http2_liar, Server, settings_ack}),
	StreamRef = gun_rs:post(ConnPid, "/", [], binary:copy(<<"x">>, 1000000)),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	{ok, #{state := running}} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% Windows that change while bodies wait.

windows_that_shrink(_) ->
	doc("Windows may shrink below nothing while a body is under way; it goes on when they are above it again."),
	Body = binary:copy(<<"x">>, 100),
	{Server, Port} = http2_liar:start([{open, [{initial_window_size, 60}]}, {await, data},
		{send, settings([{initial_window_size, 10}])}, wait, {send, window_update(1, 50)}, wait,
		{send, window_update(1, 40)}, {await, data}, {send, ok(1, "received")}]),
	ConnPid = do_open(Port, #{}),
	?EXPECT({http2_liar, Server, settings_ack}),
	StreamRef = gun_rs:post(ConnPid, "/", [], Body),
	?EXPECT({http2_liar, Server, {data, 1, nofin, <<_:60/binary>>}}),
	http2_liar:go(Server),
	?REFUTE({http2_liar, Server, {data, _, _, _}}),
	http2_liar:go(Server),
	?EXPECT({http2_liar, Server, {data, 1, fin, <<_:40/binary>>}}),
	{200, _, <<"received">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

nothing_is_left(_) ->
	doc("Connections that end by faults leave nothing behind."),
	Ends = fun() ->
		do_table([{State, Frames, {connection, protocol_error}} || _ <- lists:seq(1, 10), State <- [sent, open, answered],
			Frames <- [frame(ping, 0, 1, <<0:64>>), window_update(0, 0)]])
	end,
	Ends(),
	Before = gun_rs_test:resources(),
	Ends(),
	ok = gun_rs_test:nothing_left(Before).

%% The tables: all cases are tried, and those that fail are told together.

do_table(Cases) ->
	do_table(Cases, #{}).

do_table(Cases, Opts) ->
	Failed = [{State, Frames, Expected, Reason} || {State, Frames, Expected} <- Cases,
		{'EXIT', Reason} <- [?CATCH(do_case(State, iolist_to_binary(Frames), Expected, Opts))]],
	_ = [ct:pal("~p ~0tp~nexpected ~0tp, ~0tP", [State, do_cut(iolist_to_binary(Frames)), Expected, Reason, 20])
		|| {State, Frames, Expected, Reason} <- Failed],
	case length(Failed) of
		0 -> ok;
		Count -> error({failed, Count, 'of', length(Cases)})
	end.

do_cut(Frames) ->
	binary:part(Frames, 0, min(40, byte_size(Frames))).

do_case(State, Frames0, Expected, Opts) ->
	{Begin, Completion} = do_script(State),
	{Server, Port} = http2_liar:start([open|Begin]
		++ [wait, {send_made, fun(Authority) -> [do_made(Frames0, Authority), ping(?LAST)] end}]
		++ [{send, Completion} || Expected =:= ignored]
		++ [{answer_all, fun(StreamId, _) -> ok(StreamId, "next") end}]),
	ConnPid = do_open(Port, Opts),
	MRef = watch(ConnPid),
	Refs = do_reach(State, Server, ConnPid),
	http2_liar:go(Server),
	try
		do_expect(Expected, State, Server, ConnPid, MRef, Refs)
	after
		ok = gun_rs:close(ConnPid),
		demonitor(MRef, [flush]),
		gun_rs:flush(ConnPid),
		http2_liar:stop(Server),
		do_flush(Server)
	end.

%% A `$' stands for the authority of the request, as a value.
do_made(Frames, Authority) ->
	Literal = iolist_to_binary([10, ":authority", 1, "$"]),
	case binary:split(Frames, Literal) of
		[<<Length:24, Type:8, Flags:8, Id:32, Before/binary>>, After] ->
			Value = iolist_to_binary([10, ":authority", byte_size(Authority), Authority]),
			Longer = Length + byte_size(Value) - byte_size(Literal),
			<<Longer:24, Type:8, Flags:8, Id:32, Before/binary, Value/binary, After/binary>>;
		[_] ->
			Frames
	end.

do_flush(Server) ->
	receive
		{http2_liar, Server, _} -> do_flush(Server)
	after 0 ->
		ok
	end.

%% How the state comes about, and what ends the stream from there.
do_script(idle) ->
	{[], <<>>};
do_script(State) when State =:= sent; State =:= open ->
	{[{await, headers}], ok(1, "done")};
do_script(answered) ->
	{[{await, headers}, {send, headers(1, nofin, ?HEAD)}], data(1, fin, "done")};
do_script(finished) ->
	{[{await, headers}, {send, ok(1, "done")}], <<>>};
do_script(cancelled) ->
	{[{await, headers}, {await, rst_stream}], <<>>};
do_script(promised) ->
	{[{await, headers}, {send_made, fun(Authority) -> do_made(iolist_to_binary(push_promise(1, 2, ?GET ++ [{":authority", "$"}])),
		Authority) end}], [ok(2, "done"), ok(1, "done")]}.

%% The streams that are open then.
do_reach(idle, Server, _) ->
	?EXPECT({http2_liar, Server, settings_ack}),
	[];
do_reach(open, Server, ConnPid) ->
	StreamRef = gun_rs:post(ConnPid, "/", []),
	?EXPECT({http2_liar, Server, {headers, 1, nofin, _}}),
	[StreamRef];
do_reach(State, Server, ConnPid) ->
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({http2_liar, Server, {headers, 1, fin, _}}),
	case State of
		sent ->
			[StreamRef];
		answered ->
			?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
			[StreamRef];
		finished ->
			{200, _, <<"done">>} = answer(ConnPid, StreamRef),
			[];
		cancelled ->
			ok = gun_rs:cancel(ConnPid, StreamRef),
			?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
			[];
		promised ->
			[StreamRef, ?EXPECT({gun_push, ConnPid, StreamRef, NewRef, _, _, _}, NewRef)]
	end.

%% What has followed, as the server and the user see it.
do_expect(Expected, State, Server, ConnPid, MRef, Refs) ->
	case ?EXPECT({http2_liar, Server, E} when E =:= closed; E =:= {ping_ack, ?LAST}; element(1, E) =:= goaway, E) of
		closed ->
			error({got, closed});
		{goaway, _, Code, _} when Expected =:= {connection, Code} ->
			do_ended(Code, Server, ConnPid, MRef, Refs);
		{goaway, _, Code, _} ->
			error({got, {connection, Code}});
		%% What is wrong with a decoded head is found after the frames that came with it.
		{ping_ack, _} when element(1, Expected) =:= connection ->
			{connection, Code} = Expected,
			?EXPECT({http2_liar, Server, {goaway, _, Code, _}}),
			do_ended(Code, Server, ConnPid, MRef, Refs);
		{ping_ack, _} ->
			{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
			#{protocol := http2} = gun_rs:info(ConnPid),
			case do_seen(Server, ConnPid, Refs) of
				Expected when Expected =:= ignored -> do_completed(State, ConnPid, Refs);
				Expected -> ok;
				Got -> error({got, Got})
			end
	end.

%% Whether a stream was reset, and whether it was told.
do_seen(Server, ConnPid, Refs) ->
	Reset = receive {http2_liar, Server, {rst_stream, Id, Code}} -> {Id, Code} after 0 -> none end,
	Told = receive
		{gun_error, ConnPid, Ref, {stream_error, Code2, Text}} when is_atom(Text) ->
			true = lists:member(Ref, Refs),
			Code2;
		{gun_error, ConnPid, Ref, Reason} ->
			{Ref, Reason}
	after 0 ->
		none
	end,
	case {Reset, Told} of
		{none, none} -> ignored;
		{{Id1, Code1}, Code1} -> {stream, Id1, Code1};
		{{Id1, Code1}, none} -> {rst, Id1, Code1};
		{none, Code1} -> {told, Code1};
		Other -> Other
	end.

do_completed(answered, ConnPid, [StreamRef]) ->
	?EXPECT({gun_data, ConnPid, StreamRef, fin, <<"done">>});
do_completed(_, ConnPid, Refs) ->
	[{200, _, <<"done">>} = answer(ConnPid, Ref) || Ref <- Refs].

do_ended(Code, Server, ConnPid, MRef, Refs) ->
	?EXPECT({http2_liar, Server, closed}),
	Text = case Refs of
		[] -> none;
		_ -> ?EXPECT({gun_error, ConnPid, {Code, T}}, T)
	end,
	_ = [?EXPECT({gun_error, ConnPid, Ref, {closed, {error, {connection_error, Code, Text}}}}) || Ref <- Refs],
	Killed = ?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, Code, _}}, K}, K),
	{[], []} = {Killed -- Refs, Refs -- Killed},
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {connection_error, Code, _}}}}).

do_open(Port, Http2Opts) ->
	http2_servers:open([{transport, tcp}], Port, #{http2_opts => Http2Opts}).

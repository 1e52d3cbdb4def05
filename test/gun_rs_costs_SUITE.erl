%% What a call may cost: its memory is in proportion to what it is given, and no scheduler is kept by it.
-module(gun_rs_costs_SUITE).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

-define(MiB, 16#100000).

%% A node that has done nothing else yet, so that what it takes is the case's own.
do_in_node(Function, Args) ->
	Peer = gun_rs_test:start_peer([]),
	{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs]),
	Result = peer:call(Peer, ?MODULE, Function, Args, 8 * ?WAIT),
	peer:stop(Peer),
	Result.

%% Binaries that do not begin at a byte boundary.

unaligned_message(Config) ->
	doc("A message of 16 MiB that does not begin at a byte boundary takes a few times its size, and arrives as it is."),
	do_unaligned(Config, "/websocket", #{}).

unaligned_compressed_message(Config) ->
	doc("So does one that is compressed."),
	do_unaligned(Config, "/deflate", #{compress => true}).

do_unaligned(Config, Path, WsOpts) ->
	_ = [begin
		{Erlang, System, Time} = do_in_node(do_send_unaligned, [config(port, Config), Path, WsOpts, Send]),
		ct:pal("~p of 16 MiB, unaligned, ~s: ~b MiB, ~b MiB resident, ~b ms",
			[Send, Path, Erlang div ?MiB, System div ?MiB, Time div 1000]),
		%% The original, what is sent, the buffers, and the echo, of which the peer's own are not counted.
		true = max(Erlang, System) < 12 * 16 * ?MiB
	end || Send <- [ws_send, ws_send_sync]].

do_send_unaligned(Port, Path, WsOpts, Send) ->
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, Path, [], WsOpts),
	Payload = do_payload(16 * ?MiB),
	<<_:1, Unaligned:(16 * ?MiB)/binary, _/bits>> = <<0:1, Payload/binary, 0:7>>,
	Memory = gun_rs_test:watch_memory(),
	{Time, ok} = timer:tc(fun() ->
		ok = case Send of
			ws_send -> gun_rs:ws_send(ConnPid, StreamRef, {binary, Unaligned});
			ws_send_sync -> gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Unaligned}, ?WAIT)
		end,
		?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}})
	end),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	ok = gun_rs:close(ConnPid),
	{Erlang, System, Time}.

%% Of which some can be compressed.
do_payload(Size) ->
	Block = <<(crypto:strong_rand_bytes(48 * 1024))/binary, 0:(16 * 1024)/unit:8>>,
	binary:copy(Block, Size div byte_size(Block)).

unaligned_messages_in_a_list(Config) ->
	doc("Large and small messages in one list, each at another bit offset, arrive as they are and in order."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Sizes = [1, 64, 65, 1000, 65535, 65536, 65537, 300000, 1000000],
	Payloads = [{Offset, crypto:strong_rand_bytes(Size)} || Size <- Sizes, Offset <- lists:seq(0, 7)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, [begin
		<<_:Offset, Unaligned:(byte_size(Payload))/binary, _/bits>> = <<0:Offset, Payload/binary, 0:(8 - Offset)>>,
		{binary, Unaligned}
	end || {Offset, Payload} <- Payloads]),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}}) || {_, Payload} <- Payloads],
	ok = gun_rs:close(ConnPid).

%% Large arguments.

large_arguments_go_to_dirty_schedulers(Config) ->
	doc("What native code is long about is done on a dirty scheduler; small calls are not, and what is absurd is refused."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	%% It answers nothing, so that nothing ends the connection.
	{Server, Port} = lying_server:start([wait]),
	Http = open(Port),
	List = lists:seq(1, 100000),
	LargeFun = fun(Message) -> {Message, List} end,
	Headers = fun(N) -> [{["x-", integer_to_list(I)], "value"} || I <- lists:seq(1, N)] end,
	Binary = binary:copy(<<"x">>, 16 * ?MiB),
	<<_:1, Unaligned:(byte_size(Binary) - 1)/binary, _/bits>> = Binary,
	Cases = [
		{[ws_send], fun() -> gun_rs:ws_send(ConnPid, StreamRef, [{text, <<"small">>}, ping]) end},
		{[ws_send_dirty], fun() -> gun_rs:ws_send(ConnPid, StreamRef, {binary, Binary}) end},
		{[ws_send_dirty], fun() -> gun_rs:ws_send(ConnPid, StreamRef, [ping, {binary, Unaligned}]) end},
		{[ws_check, ws_send_receipt], fun() -> gun_rs:ws_send_sync(ConnPid, StreamRef, {text, <<"small">>}) end},
		{[ws_check_dirty, ws_send_receipt_dirty], fun() -> gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Binary}) end},
		{[http_request], fun() -> gun_rs:get(Http, "/", Headers(10)) end},
		{[http_request_dirty], fun() -> gun_rs:get(Http, "/", Headers(5000)) end},
		{[http_request_dirty], fun() -> gun_rs:get(Http, "/", [], #{reply_to => LargeFun}) end},
		{[http_request_dirty], fun() -> gun_rs:get(Http, "/", [], #{reply_to => {?MODULE, do_ignore, [List]}}) end},
		{[http_request_dirty], fun() -> gun_rs:post(Http, "/", [], Unaligned) end},
		{[ws_upgrade], fun() -> gun_rs:ws_upgrade(Http, "/websocket") end},
		{[ws_upgrade_dirty], fun() -> gun_rs:ws_upgrade(Http, "/websocket", Headers(5000)) end},
		{[ws_upgrade_dirty], fun() -> gun_rs:ws_upgrade(Http, "/websocket", [], #{reply_to => LargeFun}) end},
		{[ws_upgrade_dirty], fun() -> gun_rs:ws_upgrade(Http, "/websocket", [],
			#{default_protocol => ws_tell_h, user_opts => List}) end},
		{[http_data], fun() -> gun_rs:data(Http, make_ref(), fin, "small") end},
		{[http_data_dirty], fun() -> gun_rs:data(Http, make_ref(), fin, Binary) end},
		{[http_cancel], fun() -> gun_rs:cancel(Http, [make_ref(), make_ref()]) end},
		{[conn_new, conn_dialect], fun() -> {ok, Pid} = gun_rs:open("127.0.0.1", Port), gun_rs:close(Pid) end},
		{[conn_new_dirty, conn_dialect], fun() ->
			{ok, Pid} = gun_rs:open("127.0.0.1", Port, #{ws_opts => #{user_opts => List, reply_to => LargeFun}}),
			gun_rs:close(Pid)
		end},
		{[], fun() -> gun_rs:data(Http, List, nofin, "data") end},
		{[], fun() -> gun_rs:cancel(Http, List) end},
		{[], fun() -> gun_rs:update_flow(Http, [make_ref()|List], 1) end},
		{[stream_info], fun() -> {ok, undefined} = gun_rs:stream_info(Http, List) end},
		{[], fun() -> do_refused(fun() -> gun_rs:get(Http, "/", Headers(100000)) end) end},
		{[], fun() -> do_refused(fun() -> gun_rs:ws_upgrade(Http, "/", Headers(10001), #{}) end) end},
		{[], fun() -> do_refused(fun() -> gun_rs:get(Http, "/", [{"x", Binary}]) end) end},
		{[], fun() -> do_refused(fun() -> gun_rs:ws_upgrade(Http, "/", [{"x", Unaligned}]) end) end}
	],
	Tracer = do_trace([ConnPid, Http]),
	Wrong = [{N, Expected, Called} || {N, {Expected, Fun}} <- lists:zip(lists:seq(1, length(Cases)), Cases),
		Called <- [do_called(Tracer, Fun)], Called =/= Expected],
	[] = Wrong,
	ok = do_untrace(Tracer),
	%% What is no stream's name is told as one that there is not.
	?EXPECT({gun_error, Http, List, {badstate, "The stream cannot be found."}}),
	?EXPECT({gun_error, Http, List, {badstate, "The stream cannot be found."}}),
	ok = gun_rs:close(Http),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_ignore(_, _) ->
	ok.

do_refused(Fun) ->
	{'EXIT', {{invalid_request_header, Name, Text}, _}} = ?CATCH(Fun()),
	true = is_binary(Name) andalso io_lib:printable_list(Text).

%% Of the calls of native functions by this process, by new ones and by Pids.
do_trace(Pids) ->
	Self = self(),
	Tracer = spawn_link(fun() -> do_tracer(Self) end),
	_ = [erlang:trace(Pid, true, [call, {tracer, Tracer}]) || Pid <- [self(), new_processes|Pids]],
	_ = erlang:trace_pattern({gun_rs_native, '_', '_'}, true, [global]),
	Tracer.

do_untrace(Tracer) ->
	_ = erlang:trace_pattern({gun_rs_native, '_', '_'}, false, [global]),
	_ = erlang:trace(all, false, [call]),
	unlink(Tracer),
	exit(Tracer, kill),
	ok.

do_tracer(Parent) ->
	receive
		{trace, _, call, {gun_rs_native, Function, _}} ->
			Parent ! {self(), Function},
			do_tracer(Parent);
		{ping, Ref} ->
			Parent ! {self(), Ref},
			do_tracer(Parent)
	end.

%% Those that are about the call, in order.
do_called(Tracer, Fun) ->
	_ = Fun(),
	Ref = erlang:trace_delivered(all),
	?EXPECT({trace_delivered, all, Ref}),
	Tracer ! {ping, Ref},
	?EXPECT({Tracer, Ref}),
	Called = fun Called() -> receive {Tracer, Function} -> [Function|Called()] after 0 -> [] end end,
	[Function || Function <- Called(),
		not lists:member(Function, [is_conn, load_error, runtime_is_running, conn_silence, conn_connect])].

%% What waits.

empty_messages_are_limited(_) ->
	doc("Messages without a byte fill max_send_queue too, compressed or not; when all are sent, nothing is counted."),
	Deflate = [{"Sec-WebSocket-Extensions", "permessage-deflate"}],
	_ = [begin
		{Server, Port} = lying_server:start([{answer, fun(Key) -> lying_server:response(Key, Headers) end}, wait, frames],
			[{recbuf, 4096}]),
		{Sent, Erlang, System} = do_in_node(do_send_until_full, [Port, WsOpts, Frame]),
		ct:pal("~p with ~p: ~b calls until the queue is full; ~b KiB, ~b KiB resident",
			[Frame, WsOpts, Sent, Erlang div 1024, System div 1024]),
		true = Sent < 500000 andalso Erlang < 32 * ?MiB,
		lying_server:stop(Server)
	end || {Headers, WsOpts, Frame} <- [
		{Deflate, #{compress => true}, {text, <<>>}},
		{Deflate, #{compress => true}, [{text, <<>>}, {binary, <<>>}]},
		{[], #{}, [{binary, <<>>}]}
	]].

do_send_until_full(Port, WsOpts, Frame) ->
	ConnPid = open(Port, #{retry => 0, tcp_opts => [{sndbuf, 4096}]}),
	StreamRef = upgrade(ConnPid, "/", [], WsOpts#{max_send_queue => ?MiB}),
	Memory = gun_rs_test:watch_memory(),
	Sent = do_until_full(fun() -> gun_rs:ws_send(ConnPid, StreamRef, Frame) end, 0),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	ok = gun_rs:close(ConnPid),
	{Sent, Erlang, System}.

do_until_full(_, 2000000) ->
	2000000;
do_until_full(Fun, N) ->
	_ = Fun(),
	receive
		{gun_error, _, _, send_queue_full} -> N
	after 0 ->
		do_until_full(Fun, N + 1)
	end.

small_requests_are_limited(_) ->
	doc("So do requests of a few bytes, and bodies in parts of one byte."),
	_ = [begin
		%% What the operating system takes waits no more: it has room for little.
		{Server, Port} = lying_server:start([request, wait], [{recbuf, 4096}]),
		{Sent, Erlang, System} = do_in_node(do_request_until_full, [Port, What]),
		ct:pal("~p: ~b calls until the queue is full; ~b KiB, ~b KiB resident",
			[What, Sent, Erlang div 1024, System div 1024]),
		true = Sent < Most andalso Erlang < 32 * ?MiB,
		lying_server:stop(Server)
	end || {What, Most} <- [{requests, 10000}, {parts, 500000}]].

do_request_until_full(Port, What) ->
	ConnPid = open(Port, #{retry => 0, tcp_opts => [{sndbuf, 4096}], http_opts => #{max_send_queue => ?MiB}}),
	_ = gun_rs:get(ConnPid, "/"),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	Memory = gun_rs_test:watch_memory(),
	Sent = do_until_full(case What of
		requests -> fun() -> gun_rs:get(ConnPid, "/") end;
		parts -> fun() -> gun_rs:data(ConnPid, StreamRef, nofin, "1") end
	end, 0),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	ok = gun_rs:close(ConnPid),
	{Sent, Erlang, System}.

nothing_is_counted_when_all_is_sent(Config) ->
	doc("When everything is sent, refused or cancelled, send_queue is 0, whatever it was."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Large = binary:copy(<<"x">>, 100000),
	Frames = [{text, "a"}, [], [{text, "b"}, {binary, Large}, ping, {binary, <<>>}], {binary, Large}],
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, F) || F <- Frames],
	_ = [ok = gun_rs:ws_send_sync(ConnPid, StreamRef, F) || F <- Frames],
	_ = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	do_nothing_counted(ConnPid),
	ok = gun_rs:close(ConnPid),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(_, _) -> lying_server:ok("Thanks.") end}]}]),
	Http = open(Port),
	StreamRefs = [gun_rs:post(Http, "/", [], Large), gun_rs:get(Http, "/"), gun_rs:post(Http, "/", [])],
	Upload = lists:last(StreamRefs),
	_ = [ok = gun_rs:data(Http, Upload, nofin, Part) || Part <- ["1", Large, "2"]],
	ok = gun_rs:data(Http, Upload, fin, <<>>),
	ok = gun_rs:data(Http, Upload, fin, "too late"),
	Cancelled = gun_rs:get(Http, "/"),
	ok = gun_rs:cancel(Http, Cancelled),
	_ = [?EXPECT({gun_response, Http, Ref, nofin, 200, _}) || Ref <- StreamRefs],
	do_nothing_counted(Http),
	ok = gun_rs:close(Http),
	lying_server:stop(Server).

do_nothing_counted(ConnPid) ->
	true = gun_rs_test:eventually(fun() ->
		#{stats := #{send_queue := Queue}} = gun_rs:info(ConnPid),
		Queue =:= 0 orelse Queue
	end).

messages_after_a_close_are_limited(_) ->
	doc("Where the flow is a number, what a server sent before it closed is told up to a limit that empty messages reach."),
	Count = 200000,
	{Server, Port} = lying_server:start([
		upgrade, {send, binary:copy(iolist_to_binary(lying_server:frame(text, <<>>)), Count)}, close
	], [{sndbuf, 4 * ?MiB}]),
	ConnPid = open(Port, #{retry => 0, tcp_opts => [{recbuf, 4 * ?MiB}]}),
	StreamRef = upgrade(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]}),
	{message_queue_len, Told} = process_info(self(), message_queue_len),
	ct:pal("~b of ~b empty messages were told", [Told, Count]),
	true = Told > 10000 andalso Told < Count div 2,
	gun_rs:flush(ConnPid),
	lying_server:stop(Server).

%% What an event handler is told, and in which order with the messages.
-module(compare_events).

-export([situations/0]).

-import(compare_record, [call/2, quietly/2, server/1, until/1, watch/1, close/1, exit_of/1]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	[
		{events_get, fun request/0},
		{events_post, fun() -> post([]) end},
		{events_trailers, fun trailers/0},
		{events_cancel, fun cancel/0},
		{events_connect_failed, fun connect_failed/0},
		{events_reconnect, fun reconnect/0},
		{events_shutdown, fun shutdown/0},
		{events_ws, fun() -> ws([]) end},
		{events_ws_ping, fun() -> ws([lying_server:frame(ping, "p")]) end},
		{events_ws_fragments, fun() -> ws([lying_server:frame(0, 0, 1, undefined, "a"),
			lying_server:frame(1, 0, 0, undefined, "b")]) end},
		{events_ws_closed, fun() -> ws([lying_server:frame(close, <<1001:16, "Bye">>)]) end},
		{events_ws_refused, fun ws_refused/0}
	].

open(Port, Opts) ->
	{ok, ConnPid} = quietly(open, ["127.0.0.1", Port,
		maps:merge(#{retry => 0, event_handler => {compare_event_h, self()}}, Opts)]),
	watch(ConnPid).

up(Script) ->
	{_, Port} = server(Script),
	ConnPid = open(Port, #{}),
	_ = until({gun_up, ConnPid, '_'}),
	ConnPid.

request() ->
	ConnPid = up([{http, fun(_, _) ->
		["HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", lying_server:ok("body")] end}]),
	_ = quietly(get, [ConnPid, "/a?b", [{<<"x-one">>, <<"1">>}]]),
	_ = until({response_end, '_'}),
	close(ConnPid).

post(Headers) ->
	ConnPid = up([{http, fun(_, _) -> lying_server:ok("") end}]),
	StreamRef = quietly(post, [ConnPid, "/", Headers]),
	_ = until({request_headers, '_'}),
	_ = quietly(data, [ConnPid, StreamRef, nofin, "Hello "]),
	_ = quietly(data, [ConnPid, StreamRef, fin, "world"]),
	_ = until({response_end, '_'}),
	close(ConnPid).

trailers() ->
	ConnPid = up([request, {send, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n"},
		frames]),
	_ = quietly(get, [ConnPid, "/"]),
	_ = until({response_end, '_'}),
	close(ConnPid).

cancel() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("body")}, frames]),
	ConnPid = open(Port, #{}),
	_ = until({gun_up, ConnPid, '_'}),
	StreamRef = quietly(get, [ConnPid, "/"]),
	_ = until({request_end, '_'}),
	_ = quietly(cancel, [ConnPid, StreamRef]),
	_ = until({cancel, '_'}),
	ok = lying_server:go(Server),
	_ = until({response_end, '_'}),
	close(ConnPid).

connect_failed() ->
	{ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
	{ok, Port} = inet:port(Socket),
	_ = put({port, Port}, 'PORT'),
	ok = gen_tcp:close(Socket),
	_ = open(Port, #{retry => 1, retry_timeout => 1}),
	until({terminate, '_'}).

reconnect() ->
	{_, Port} = server([request, close]),
	ConnPid = open(Port, #{retry => 1, retry_timeout => 1}),
	_ = until({gun_up, ConnPid, '_'}),
	_ = quietly(get, [ConnPid, "/"]),
	_ = until({gun_up, ConnPid, '_'}),
	close(ConnPid).

shutdown() ->
	ConnPid = up([frames]),
	_ = quietly(shutdown, [ConnPid]),
	exit_of(ConnPid).

ws(Frames) ->
	ConnPid = up([{upgrade, Frames}, frames]),
	StreamRef = quietly(ws_upgrade, [ConnPid, "/ws", [{<<"x-one">>, <<"1">>}], #{silence_pings => false}]),
	_ = until({protocol_changed, '_'}),
	_ = [until({gun_ws, ConnPid, StreamRef, '_'}) || Frames =/= []],
	_ = [until({ws_send_frame_end, '_'}) || [<<_:1, _:3, Opcode:4, _/bits>>|_] <- Frames, Opcode >= 8],
	_ = [begin
		_ = quietly(ws_send, [ConnPid, StreamRef, {text, "Hello"}]),
		until({ws_send_frame_end, '_'})
	end || Frames =:= []],
	close(ConnPid).

ws_refused() ->
	ConnPid = up([request, {send, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"}, frames]),
	_ = quietly(ws_upgrade, [ConnPid, "/ws"]),
	_ = until({response_end, '_'}),
	close(ConnPid).

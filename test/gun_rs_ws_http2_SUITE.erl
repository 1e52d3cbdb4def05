%% Any number of WebSockets share a connection that speaks HTTP/2 (RFC 8441), with each other and with requests, and each
%% is as it would be alone.
-module(gun_rs_ws_http2_SUITE).

-import(http2_servers, [lie/2, lie/3]).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

-define(CONNECT, [{enable_connect_protocol, 1}]).
-define(HEAD, [{":status", "200"}]).

groups() ->
	http2_servers:groups(gun_rs_suite:cases(?MODULE)).

init_per_group(Group, Config) ->
	http2_servers:init(Group, Config).

end_per_group(_, Config) ->
	http2_servers:stop(Config).

%% The request, and its answer.

request_on_the_wire(Config) ->
	doc("The request is a CONNECT for the protocol websocket, without what belongs to HTTP/1.1."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end}]),
	ConnPid = http2_servers:open(Config, Port),
	Headers = [{<<"X-One">>, "1"}, {<<"connection">>, "upgrade"}, {<<"upgrade">>, "websocket"}, {<<"host">>, "example.org"}],
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/a?b", Headers, #{compress => true, protocols => [{<<"chat">>, gun_rs_ws_h}]}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], []}),
	Fields = ?EXPECT({http2_liar, Server, {headers, 1, nofin, F}}, F),
	Scheme = case config(transport, Config) of tcp -> <<"http">>; tls -> <<"https">> end,
	Pseudo = [{<<":method">>, <<"CONNECT">>}, {<<":protocol">>, <<"websocket">>}, {<<":scheme">>, Scheme},
		{<<":authority">>, <<"example.org">>}, {<<":path">>, <<"/a?b">>}],
	Pseudo2 = lists:sublist(Fields, 5),
	{[], []} = {Pseudo -- Pseudo2, Pseudo2 -- Pseudo},
	#{<<"sec-websocket-version">> := <<"13">>, <<"sec-websocket-protocol">> := <<"chat">>,
		<<"sec-websocket-extensions">> := <<"permessage-deflate", _/binary>>, <<"x-one">> := <<"1">>} =
		Others = maps:from_list(lists:nthtail(5, Fields)),
	4 = map_size(Others),
	#{protocol := http2, state_name := connected} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

not_enabled(Config) ->
	doc("Where the server's settings lack it, the request is not made; where they have not come, it waits for them."),
	{Server, Port} = lie(Config, [open, {answer_all, fun(Id, _) -> http2_liar:ok(Id, "ok") end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, [_|_]}}),
	{200, _, <<"ok">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	?EXPECT({http2_liar, Server, {headers, 1, fin, _}}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server),
	{Server2, Port2} = lie(Config, [wait, {open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end}],
		[{acks, [ping]}]),
	ConnPid2 = http2_servers:open(Config, Port2),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({http2_liar, Server2, {settings, _}}),
	?REFUTE({http2_liar, Server2, {headers, _, _, _}}),
	http2_liar:go(Server2),
	?EXPECT({gun_upgrade, ConnPid2, StreamRef2, _, _}),
	ok = gun_rs:close(ConnPid2),
	http2_liar:stop(Server2).

fallback(Config) ->
	doc("With http1_fallback, an upgrade to a server without WebSocket over HTTP/2 has a connection of its own, and "
		"the HTTP/2 connection goes on."),
	http2_servers:with(http2_servers:cowboy(Config, #{enable_connect_protocol => false}), fun do_fallback/2, Config).

do_fallback(Port, Config) ->
	ConnPid = http2_servers:open(Config, Port, #{ws_opts => #{http1_fallback => true}}),
	One = do_upgrade(ConnPid, cowboy),
	do_echo(ConnPid, One),
	Without = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{http1_fallback => false}),
	?EXPECT({gun_error, ConnPid, Without, {badstate, [_|_]}}),
	Two = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{http1_fallback => true, compress => true}),
	?EXPECT({gun_upgrade, ConnPid, Two, [<<"websocket">>], _}),
	_ = [do_echo(ConnPid, StreamRef) || StreamRef <- [Two, One]],
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/status?code=200")),
	#{protocol := http2, state_name := connected} = gun_rs:info(ConnPid),
	ok = gun_rs:ws_send(ConnPid, One, close),
	do_await_close(ConnPid, One),
	do_over(ConnPid, One),
	do_echo(ConnPid, Two),
	MRef = monitor(process, ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	do_await_close(ConnPid, Two),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}).

fallback_refused(Config) ->
	doc("Its refusal is a response, and so is any other answer; nothing is left of the connection then."),
	http2_servers:with(http2_servers:cowboy(Config, #{enable_connect_protocol => false}), fun(Port, _) ->
		ConnPid = http2_servers:open(Config, Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/refuse", [], #{http1_fallback => true}),
		{403, _, <<"Members only.">>} = answer(ConnPid, StreamRef),
		do_over(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid)
	end, Config).

fallback_cancelled(Config) ->
	doc("It can be cancelled at any time, and ends with the connection."),
	http2_servers:with(http2_servers:cowboy(Config, #{enable_connect_protocol => false}), fun(Port, _) ->
		ConnPid = http2_servers:open(Config, Port, #{ws_opts => #{http1_fallback => true}}),
		{_, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/status?code=200")),
		Early = gun_rs:ws_upgrade(ConnPid, "/websocket"),
		ok = gun_rs:cancel(ConnPid, Early),
		Open = do_upgrade(ConnPid, cowboy),
		ok = gun_rs:cancel(ConnPid, Open),
		do_over(ConnPid, Open),
		do_echo(ConnPid, do_upgrade(ConnPid, cowboy)),
		?REFUTE({gun_error, ConnPid, Early, _}),
		ok = gun_rs:close(ConnPid)
	end, Config).

refused(Config) ->
	doc("Any other answer is a response, and the connection goes on."),
	_ = [begin
		ConnPid = do_connect(Config, Kind),
		{403, _, Body} = answer(ConnPid, gun_rs:ws_upgrade(ConnPid, "/refuse")),
		do_echo(ConnPid, do_upgrade(ConnPid, Kind)),
		ok = gun_rs:close(ConnPid)
	end || {Kind, Body} <- [{cowboy, <<"Members only.">>}, {rust, <<"The upgrade is refused.">>}]],
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, fin, ?HEAD) end}]),
	ConnPid2 = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({gun_response, ConnPid2, StreamRef, fin, 200, _}),
	ok = gun_rs:close(ConnPid2),
	http2_liar:stop(Server).

reset(Config) ->
	doc("So is a reset of the server's an end of the stream alone."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:rst_stream(Id, protocol_error) end},
		{answer, fun(Id) -> [http2_liar:headers(Id, nofin, ?HEAD), http2_liar:rst_stream(Id, internal_error)] end},
		{answer, fun(Id) -> http2_liar:ok(Id, "next") end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, StreamRef, {stream_error, protocol_error, _}}),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef2, _, _}),
	?EXPECT({gun_error, ConnPid, StreamRef2, {stream_error, internal_error, _}}),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

answers_that_do_not_fit(Config) ->
	doc("An answer with what nobody asked for is an error of its stream, which is reset; the connection goes on."),
	Answers = [
		[{"sec-websocket-protocol", "chat"}],
		[{"sec-websocket-extensions", "permessage-tea"}],
		[{"sec-websocket-extensions", "permessage-deflate; tea"}]
	],
	{Server, Port} = lie(Config, [{open, ?CONNECT}
		|[{answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD ++ Answer) end} || Answer <- Answers]]
		++ [{answer, fun(Id) -> http2_liar:ok(Id, "next") end}]),
	ConnPid = http2_servers:open(Config, Port),
	_ = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{compress => true}),
		?EXPECT({gun_error, ConnPid, StreamRef, _}),
		?EXPECT({http2_liar, Server, {rst_stream, Id, cancel}})
	end || Id <- [1, 3, 5]],
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

frames_with_the_answer(Config) ->
	doc("Frames in the packet of the answer follow it, informational responses come before."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> [
		http2_liar:headers(Id, nofin, [{":status", "103"}]),
		http2_liar:headers(Id, nofin, [{":status", "204"}]),
		http2_liar:data(Id, nofin, [lying_server:frame(text, "one"), lying_server:frame(binary, "two")])
	] end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_inform, ConnPid, StreamRef, 103, _}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"one">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<"two">>}}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% Conversations.

echo(Config) ->
	doc("Messages of every kind and size come back."),
	_ = [begin
		ConnPid = do_connect(Config, Kind),
		StreamRef = do_upgrade(ConnPid, Kind),
		_ = [begin
			ok = gun_rs:ws_send(ConnPid, StreamRef, Frame),
			?EXPECT({gun_ws, ConnPid, StreamRef, Frame})
		end || Size <- [0, 1, 125, 126, 16384, 65535, 65536, 3000000],
			Frame <- [{binary, binary:copy(<<0>>, Size)}, {text, binary:copy(<<"x">>, Size)}]],
		ok = gun_rs:ws_send(ConnPid, StreamRef, [{ping, <<"are you there">>}, {text, <<"after">>}]),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"after">>}}),
		ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, <<"sent">>}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"sent">>}}),
		ok = gun_rs:close(ConnPid)
	end || Kind <- [cowboy, rust]],
	ok.

many(Config) ->
	doc("A hundred WebSockets and as many requests share a connection, and none hears what is meant for another."),
	ConnPid = do_connect(Config, rust),
	Refs = [gun_rs:ws_upgrade(ConnPid, "/echo") || _ <- lists:seq(1, 100)],
	_ = [?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}) || StreamRef <- Refs],
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, integer_to_binary(N)}, {binary, <<M:32, 0:80000>>}])
		|| M <- lists:seq(1, 5), {N, StreamRef} <- lists:enumerate(Refs)],
	Requests = [gun_rs:post(ConnPid, "/echo", [], integer_to_binary(N)) || N <- lists:seq(1, 100)],
	_ = [begin
		Text = integer_to_binary(N),
		%% Each in its order.
		[{text, Text}, {binary, <<M:32, 0:80000>>}] =
			[?EXPECT({gun_ws, ConnPid, StreamRef, Frame}, Frame) || _ <- [text, binary]]
	end || M <- lists:seq(1, 5), {N, StreamRef} <- lists:enumerate(Refs)],
	_ = [begin
		Body = integer_to_binary(N),
		{200, _, Body} = answer(ConnPid, StreamRef)
	end || {N, StreamRef} <- lists:enumerate(Requests)],
	ok = gun_rs:close(ConnPid).

each_has_its_options(Config) ->
	doc("Each has its own options: compression, subprotocols, who receives, whether pings are told."),
	ConnPid = do_connect(Config, cowboy),
	Self = self(),
	Plain = do_upgrade(ConnPid, cowboy),
	Deflated = gun_rs:ws_upgrade(ConnPid, "/deflate", [], #{compress => true}),
	Headers = ?EXPECT({gun_upgrade, ConnPid, Deflated, _, H}, H),
	true = lists:keymember(<<"sec-websocket-extensions">>, 1, Headers),
	Chat = gun_rs:ws_upgrade(ConnPid, "/mychat", [], #{protocols => [{<<"mychat">>, ws_tell_h}], user_opts => Self}),
	?EXPECT({gun_upgrade, ConnPid, Chat, _, _}),
	Fun = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => fun(Msg) -> Self ! {by_fun, Msg} end}),
	?EXPECT({by_fun, {gun_upgrade, ConnPid, Fun, _, _}}),
	Command = gun_rs:ws_upgrade(ConnPid, "/command", [], #{silence_pings => false}),
	?EXPECT({gun_upgrade, ConnPid, Command, _, _}),
	ok = gun_rs:ws_send(ConnPid, Command, {binary, term_to_binary([{ping, <<"ping">>}])}),
	?EXPECT({gun_ws, ConnPid, Command, {ping, <<"ping">>}}),
	Large = binary:copy(<<"compressible ">>, 10000),
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Large}) || StreamRef <- [Plain, Deflated, Fun]],
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, Large}}) || StreamRef <- [Plain, Deflated]],
	?EXPECT({by_fun, {gun_ws, ConnPid, Fun, {text, Large}}}),
	ok = gun_rs:close(ConnPid).

frames_out_of_place(Config) ->
	doc("Frames for what is no WebSocket, and data or a body for one, are errors of their sender's, and nothing else."),
	ConnPid = do_connect(Config, rust),
	StreamRef = do_upgrade(ConnPid, rust),
	Request = gun_rs:get(ConnPid, "/slow"),
	Refused = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	{403, _, _} = answer(ConnPid, Refused),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, Ref, {text, <<"nowhere">>}),
		?EXPECT({gun_error, ConnPid, Ref, {badstate, [_|_]}})
	end || Ref <- [make_ref(), Request, Refused]],
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "data"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, [_|_]}}),
	_ = [{'EXIT', {_, _}} = ?CATCH(gun_rs:ws_send(ConnPid, StreamRef, Bad)) 
		|| Bad <- [{tea, <<>>}, {ping, <<0:1008>>}]],
	do_echo(ConnPid, StreamRef),
	?REFUTE({gun_error, _, _}),
	ok = gun_rs:close(ConnPid).

send_without_a_name(Config) ->
	doc("ws_send/2 goes to the only WebSocket; where there are several, or none, it is refused."),
	ConnPid = do_connect(Config, rust),
	ok = gun_rs:ws_send(ConnPid, {text, <<"nowhere">>}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	StreamRef = do_upgrade(ConnPid, rust),
	ok = gun_rs:ws_send(ConnPid, {text, <<"the only one">>}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"the only one">>}}),
	_ = do_upgrade(ConnPid, rust),
	ok = gun_rs:ws_send(ConnPid, {text, <<"which one">>}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	?REFUTE({gun_ws, _, _, _}),
	ok = gun_rs:close(ConnPid).

%% The end of one is not that of others.

closed_by_the_user(Config) ->
	doc("Our close frame is answered; then the stream is over, and the connection goes on."),
	_ = [begin
		ConnPid = do_connect(Config, Kind),
		Other = do_upgrade(ConnPid, Kind),
		_ = [begin
			StreamRef = do_upgrade(ConnPid, Kind),
			ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, <<"the last">>}, Close]),
			?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"the last">>}}),
			do_await_close(ConnPid, StreamRef),
			do_over(ConnPid, StreamRef)
		end || Close <- [close, {close, 1000, <<"bye">>}, {close, 4000, <<>>}]],
		do_echo(ConnPid, Other),
		?REFUTE(_),
		ok = gun_rs:close(ConnPid)
	end || Kind <- [cowboy, rust]],
	ok.

closed_by_the_server(Config) ->
	doc("The server's close frame is told and answered; then the stream is over, and the connection goes on."),
	ConnPid = do_connect(Config, rust),
	Other = do_upgrade(ConnPid, rust),
	_ = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, Path),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
		?EXPECT({gun_ws, ConnPid, StreamRef, Close}),
		do_over(ConnPid, StreamRef)
	end || {Path, Close} <- [{"/close", close}, {"/close?code=1001", {close, 1001, <<>>}}, {"/close?code=4321", {close, 4321, <<>>}}]],
	do_echo(ConnPid, Other),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

close_on_the_wire(Config) ->
	doc("On the wire, the close frames of both sides are followed by the end of the stream."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> [
		http2_liar:headers(Id, nofin, ?HEAD), http2_liar:data(Id, nofin, lying_server:frame(close, <<1000:16>>))
	] end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
	Sent = do_sent(Server, 1, <<>>),
	<<1:1, 0:3, 8:4, 1:1, 2:7, Mask:16, _:16, Masked:16>> = Sent,
	1000 = Mask bxor Masked,
	#{protocol := http2} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% What was sent up to the end of the stream.
do_sent(Server, Id, Sent) ->
	case ?EXPECT({http2_liar, Server, {data, Id, IsFin, Data}}, {IsFin, Data}) of
		{nofin, Data} -> do_sent(Server, Id, <<Sent/binary, Data/binary>>);
		{fin, Data} -> <<Sent/binary, Data/binary>>
	end.

close_unanswered(Config) ->
	doc("A close that is not answered in time resets the stream, and no other."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end},
		{answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end},
		{answer, fun(Id) -> http2_liar:ok(Id, "next") end}]),
	ConnPid = http2_servers:open(Config, Port, #{ws_opts => #{closing_timeout => 200}}),
	[StreamRef, Other] = [begin
		Ref = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_upgrade, ConnPid, Ref, _, _}),
		Ref
	end || _ <- [1, 2]],
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	true = eventually(fun() -> gun_rs:stream_info(ConnPid, StreamRef) =:= {ok, undefined} end),
	{ok, #{ref := Other}} = gun_rs:stream_info(ConnPid, Other),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

protocol_faults(Config) ->
	doc("A fault is answered by a close frame with its code, and told; the other streams go on."),
	Faults = [
		{lying_server:frame(1, 4, 1, undefined, "reserved bits"), 1002},
		{lying_server:frame(1, 0, 1, <<1, 2, 3, 4>>, "masked"), 1002},
		{lying_server:frame(1, 0, 1, undefined, <<255>>), 1007}
	],
	{Server, Port} = lie(Config, [{open, ?CONNECT}
		|[{answer, fun(Id) -> [http2_liar:headers(Id, nofin, ?HEAD), http2_liar:data(Id, nofin, Frame)] end} || {Frame, _} <- Faults]]
		++ [{answer, fun(Id) -> http2_liar:ok(Id, "next") end}]),
	ConnPid = http2_servers:open(Config, Port, #{ws_opts => #{closing_timeout => 200}}),
	_ = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, StreamRef, {ws_protocol, _}}),
		<<1:1, 0:3, 8:4, 1:1, _:7, Mask:16, _:16, Masked:16, _/binary>> =
			?EXPECT({http2_liar, Server, {data, Id, _, Data}}, Data),
		Code = Mask bxor Masked,
		true = eventually(fun() -> gun_rs:stream_info(ConnPid, StreamRef) =:= {ok, undefined} end)
	end || {Id, {_, Code}} <- lists:zip([1, 3, 5], Faults)],
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

ends_without_a_close_frame(Config) ->
	doc("An end of the stream without a close frame is told as closed, and answered by ours."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> [
		http2_liar:headers(Id, nofin, ?HEAD), http2_liar:data(Id, fin, lying_server:frame(text, "the last"))
	] end}, {answer, fun(Id) -> http2_liar:ok(Id, "next") end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"the last">>}}),
	?EXPECT({gun_error, ConnPid, StreamRef, closed}),
	_ = do_sent(Server, 1, <<>>),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

dropped(Config) ->
	doc("A stream that a server drops is told of as reset."),
	ConnPid = do_connect(Config, rust),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/drop"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"drop">>}),
	?EXPECT({gun_error, ConnPid, StreamRef, {stream_error, cancel, _}}),
	do_echo(ConnPid, do_upgrade(ConnPid, rust)),
	ok = gun_rs:close(ConnPid).

cancel(Config) ->
	doc("cancel resets the stream: nothing more of it is told."),
	ConnPid = do_connect(Config, rust),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/flood?n=1000000000&size=1000"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, _}}),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	gun_rs:flush(StreamRef),
	?REFUTE({gun_ws, _, _, _}),
	do_echo(ConnPid, do_upgrade(ConnPid, rust)),
	ok = gun_rs:close(ConnPid).

connection_lost(Config) ->
	doc("With the connection each WebSocket ends; gun_down names all of them."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end},
		{answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end}, wait, close]),
	ConnPid = http2_servers:open(Config, Port),
	Refs = [gun_rs:ws_upgrade(ConnPid, "/") || _ <- [1, 2]],
	_ = [?EXPECT({gun_upgrade, ConnPid, Ref, _, _}) || Ref <- Refs],
	http2_liar:go(Server),
	_ = [?EXPECT({gun_error, ConnPid, Ref, _}) || Ref <- Refs],
	Killed = ?EXPECT({gun_down, ConnPid, http2, _, K}, K),
	{[], []} = {Killed -- Refs, Refs -- Killed},
	http2_liar:stop(Server).

shutdown(Config) ->
	doc("shutdown closes each WebSocket with 1001, and is done when they are."),
	_ = [begin
		ConnPid = do_connect(Config, Kind),
		MRef = watch(ConnPid),
		Refs = [do_upgrade(ConnPid, Kind) || _ <- [1, 2, 3]],
		ok = gun_rs:shutdown(ConnPid),
		_ = [do_await_close(ConnPid, Ref) || Ref <- Refs],
		?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
		?REFUTE(_)
	end || Kind <- [cowboy, rust]],
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end}]),
	ConnPid2 = http2_servers:open(Config, Port, #{ws_opts => #{closing_timeout => 200}, http2_opts => #{closing_timeout => 1000}}),
	StreamRef = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({gun_upgrade, ConnPid2, StreamRef, _, _}),
	ok = gun_rs:shutdown(ConnPid2),
	<<1:1, 0:3, 8:4, 1:1, _:7, Mask:16, _:16, Masked:16, _/binary>> = ?EXPECT({http2_liar, Server, {data, 1, _, D}}, D),
	1001 = Mask bxor Masked,
	?EXPECT({http2_liar, Server, {goaway, 0, no_error, _}}),
	_ = gun_rs_test:await_exit(ConnPid2),
	gun_rs:flush(ConnPid2),
	http2_liar:stop(Server).

reupgrade(Config) ->
	doc("With reupgrade, all WebSockets of a connection are upgraded again on the next one."),
	ConnPid = http2_servers:open(Config, config(rust, Config),
		#{retry => 5, retry_timeout => 10, ws_opts => #{reupgrade => true}}),
	Refs = [do_upgrade(ConnPid, rust) || _ <- lists:seq(1, 10)],
	End = gun_rs:get(ConnPid, "/goaway?code=2"),
	?EXPECT({gun_error, ConnPid, End, _}),
	?EXPECT({gun_down, ConnPid, http2, _, _}),
	?EXPECT({gun_up, ConnPid, http2}),
	_ = [?EXPECT({gun_upgrade, ConnPid, Ref, _, _}) || Ref <- Refs],
	gun_rs:flush(End),
	_ = [do_echo(ConnPid, Ref) || Ref <- Refs],
	ok = gun_rs:close(ConnPid).

%% Room.

flow(Config) ->
	doc("With flow, so many messages come and then no more, until update_flow; others are not held up."),
	ConnPid = do_connect(Config, rust),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/flood?n=20000&size=1000", [], #{flow => 3}),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, _}}) || _ <- [1, 2, 3]],
	?REFUTE({gun_ws, _, _, _}),
	Other = do_upgrade(ConnPid, rust),
	do_echo(ConnPid, Other),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 2),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, _}}) || _ <- [1, 2]],
	?REFUTE({gun_ws, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, _}}) || _ <- lists:seq(1, 20000 - 5)],
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
	do_echo(ConnPid, Other),
	ok = gun_rs:close(ConnPid).

floods_starve_nobody(Config) ->
	doc("While one WebSocket is flooded in each direction, others and requests have their answers."),
	ConnPid = do_connect(Config, rust),
	%% Nobody reads its messages. A fun for reply_to would run in the process behind ConnPid, which the upgrades pass.
	Drain = spawn_link(fun Drain() -> receive _ -> Drain() end end),
	Flooded = gun_rs:ws_upgrade(ConnPid, "/flood?n=1000000000&size=1000", [], #{reply_to => Drain}),
	Self = self(),
	Sink = gun_rs:ws_upgrade(ConnPid, "/sink"),
	?EXPECT({gun_upgrade, ConnPid, Sink, _, _}),
	Sender = spawn_link(fun() ->
		_ = [ok = gun_rs:ws_send(ConnPid, Sink, {binary, <<0:80000>>}) || _ <- lists:seq(1, 3000)],
		Self ! sent
	end),
	Other = do_upgrade(ConnPid, rust),
	_ = [begin
		do_echo(ConnPid, Other),
		{200, _, <<"x">>} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1"))
	end || _ <- lists:seq(1, 50)],
	?EXPECT(sent),
	unlink(Sender),
	ok = gun_rs:cancel(ConnPid, Flooded),
	ok = gun_rs:ws_send(ConnPid, Sink, {text, <<"count">>}),
	?EXPECT({gun_ws, ConnPid, Sink, {text, <<"3000">>}}),
	unlink(Drain),
	true = exit(Drain, kill),
	ok = gun_rs:close(ConnPid).

keepalive(Config) ->
	doc("The keepalive of a WebSocket pings by its own frames, each by its own."),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end},
		{answer, fun(Id) -> http2_liar:headers(Id, nofin, ?HEAD) end}]),
	ConnPid = http2_servers:open(Config, Port),
	_ = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], WsOpts),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _})
	end || WsOpts <- [#{keepalive => 50}, #{}]],
	_ = [?EXPECT({http2_liar, Server, {data, 1, nofin, <<1:1, 0:3, 9:4, 1:1, 0:7, _:32>>}}) || _ <- [1, 2, 3]],
	?REFUTE({http2_liar, Server, {data, 3, _, _}}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

cut_anywhere(Config) ->
	doc("Frames may be cut by DATA frames anywhere."),
	Frames = iolist_to_binary([lying_server:frame(text, "one"), lying_server:frame(ping, "p"),
		lying_server:frame(0, 0, 2, undefined, "tw"), lying_server:frame(1, 0, 0, undefined, "o")]),
	Count = byte_size(Frames),
	{Server, Port} = lie(Config, [{open, ?CONNECT}, {answer, fun(Id) -> [http2_liar:headers(Id, nofin, ?HEAD)
		|[[http2_liar:data(Id, nofin, binary:part(Frames, 0, N)), http2_liar:data(Id, nofin, <<>>),
			http2_liar:padded_data(Id, nofin, 1, [binary:part(Frames, N, Count - N), 0])]
			|| N <- lists:seq(0, Count)]] end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	_ = [begin
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"one">>}}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<"two">>}})
	end || _ <- lists:seq(0, Count)],
	?REFUTE({gun_ws, _, _, _}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

nothing_is_left(Config) ->
	doc("WebSockets that ended in every way leave nothing behind, while the connection goes on."),
	ConnPid = do_connect(Config, rust),
	do_ends(ConnPid),
	Before = gun_rs_test:resources(),
	do_ends(ConnPid),
	ok = gun_rs_test:nothing_left(Before),
	do_echo(ConnPid, do_upgrade(ConnPid, rust)),
	ok = gun_rs:close(ConnPid).

do_ends(ConnPid) ->
	Refs = [do_upgrade(ConnPid, rust) || _ <- lists:seq(1, 200)],
	_ = [case N rem 2 of
		0 -> ok = gun_rs:cancel(ConnPid, Ref);
		1 -> ok = gun_rs:ws_send(ConnPid, Ref, close)
	end || {N, Ref} <- lists:enumerate(Refs)],
	_ = [true = eventually(fun() -> gun_rs:stream_info(ConnPid, Ref) =:= {ok, undefined} end) || Ref <- Refs],
	gun_rs:flush(ConnPid).

%% Helpers.

%% A connection whose settings have come.
do_connect(Config, Kind) ->
	ConnPid = http2_servers:open(Config, config(Kind, Config)),
	{_, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/status?code=200")),
	ConnPid.

do_upgrade(ConnPid, Kind) ->
	StreamRef = gun_rs:ws_upgrade(ConnPid, case Kind of cowboy -> "/websocket"; rust -> "/echo" end),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	StreamRef.

do_echo(ConnPid, StreamRef) ->
	Text = integer_to_binary(erlang:unique_integer([positive])),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}}).

do_await_close(ConnPid, StreamRef) ->
	receive
		{gun_ws, ConnPid, StreamRef, close} -> ok;
		{gun_ws, ConnPid, StreamRef, {close, _, _}} -> ok
	after ?WAIT ->
		gun_rs_test:missing("a close frame")
	end.

do_over(ConnPid, StreamRef) ->
	true = eventually(fun() -> gun_rs:stream_info(ConnPid, StreamRef) =:= {ok, undefined} end),
	#{protocol := http2} = gun_rs:info(ConnPid).

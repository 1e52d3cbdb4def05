%% A conversation: what one side says in frames, the other hears, whole and in order.
-module(gun_rs_ws_SUITE).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

%% The upgrade request.

header_names(Config) ->
	doc("Header names may be atoms, strings and binaries of any case, and values any iodata."),
	Headers = [
		{'X-Atom', "atom"},
		{"X-String", <<"string">>},
		{<<"X-Binary">>, ["bin", [<<"ar">>], $y]}
	],
	#{
		<<"x-atom">> := <<"atom">>,
		<<"x-string">> := <<"string">>,
		<<"x-binary">> := <<"binary">>
	} = do_headers(Config, Headers),
	ok.

headers_in_a_map(Config) ->
	doc("Headers may come in a map, with names of every kind."),
	Headers = #{
		'X-Atom' => <<"atom">>,
		"x-string" => "string",
		<<"x-binary">> => [<<"bi">>, "nary"]
	},
	#{
		<<"x-atom">> := <<"atom">>,
		<<"x-string">> := <<"string">>,
		<<"x-binary">> := <<"binary">>
	} = do_headers(Config, Headers),
	ok.

do_headers(Config, Headers) ->
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/headers", Headers, #{}),
	Received = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Bin}}, binary_to_term(Bin)),
	ok = gun_rs:close(ConnPid),
	Received.

path_as_iodata(Config) ->
	doc("The path is any iodata."),
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, ["/web", <<"socket">>, "?a=", $b]),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid).

request_on_the_wire(_) ->
	doc("The request has gun's headers first, in gun's order, then the user's, all of them lowercase."),
	{Server, Port} = lying_server:start([upgrade]),
	ConnPid = open(Port),
	_ = upgrade(ConnPid, "/a/path?query", [{<<"X-One">>, "1"}, {"x-two", "2"}, {<<"x-one">>, "3"}], #{}),
	Request = ?EXPECT({lying_server, Server, {request, R}}, R),
	[<<"GET /a/path?query HTTP/1.1">>|Lines] = binary:split(Request, <<"\r\n">>, [global]),
	Headers = [list_to_tuple(binary:split(L, <<": ">>)) || L <- Lines],
	%% The values of a repeated name may stand together.
	[
		<<"host">>, <<"connection">>, <<"upgrade">>, <<"sec-websocket-version">>,
		<<"sec-websocket-key">>, <<"x-one">>|More
	] = [Name || {Name, _} <- Headers],
	[<<"x-one">>, <<"x-two">>] = lists:sort(More),
	[<<"1">>, <<"3">>] = [Value || {<<"x-one">>, Value} <- Headers],
	Host = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	{_, Host} = lists:keyfind(<<"host">>, 1, Headers),
	{_, <<"13">>} = lists:keyfind(<<"sec-websocket-version">>, 1, Headers),
	{_, Key} = lists:keyfind(<<"sec-websocket-key">>, 1, Headers),
	16 = byte_size(base64:decode(Key)),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

user_host_header(_) ->
	doc("A host header of the user's stands in the place of gun's."),
	{Server, Port} = lying_server:start([upgrade]),
	ConnPid = open(Port),
	_ = upgrade(ConnPid, "/", [{host, "example.org"}], #{}),
	Request = ?EXPECT({lying_server, Server, {request, R}}, R),
	{match, [[<<"host: example.org">>]]} =
		re:run(Request, "^host:.*$", [caseless, multiline, global, {newline, anycrlf}, {capture, first, binary}]),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

response_headers(_) ->
	doc("The response's headers arrive lowercase, in order, with duplicates kept and values trimmed."),
	{Server, Port} = lying_server:start([{answer, fun(Key) ->
		lying_server:response(Key, [{"X-One", "  1  "}, {"X-TWO", "2"}, {"x-one", "3"}])
	end}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], H}, H),
	[<<"connection">>, <<"upgrade">>, <<"sec-websocket-accept">>] = [N || {N, _} <- lists:sublist(Headers, 3)],
	[<<"1">>, <<"3">>] = [V || {<<"x-one">>, V} <- Headers],
	[<<"2">>] = [V || {<<"x-two">>, V} <- Headers],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

subprotocol_option(Config) ->
	doc("The protocols option asks for subprotocols, and the one that the server picks is accepted."),
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/mychat", [], #{
		protocols => [{<<"otherchat">>, gun_rs_ws_h}, {<<"mychat">>, gun_rs_ws_h}]
	}),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], H}, H),
	{_, <<"mychat">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	ok = gun_rs:close(ConnPid).

%% Payloads.

payload_sizes(Config) ->
	doc("Payloads of 0, 125, 126, 65535 and 65536 bytes and of 16 MiB go both ways, as text and as binary."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = [do_echo(ConnPid, StreamRef, {Type, do_payload(Type, Size)})
		|| Type <- [text, binary],
		Size <- [0, 1, 2, 125, 126, 127, 65535, 65536, 65537, 16#1000000]],
	ok = gun_rs:close(ConnPid).

do_echo(ConnPid, StreamRef, {Type, Payload}) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {Type, Payload}),
	Echo = ?EXPECT({gun_ws, ConnPid, StreamRef, {Type, Bin}}, Bin),
	%% Compared here, for a pattern that fails would print 16 MiB.
	case iolist_to_binary(Payload) =:= Echo of
		true -> ok;
		false -> error({not_the_same, Type, iolist_size(Payload), byte_size(Echo)})
	end.

do_payload(binary, Size) ->
	crypto:strong_rand_bytes(Size);
do_payload(text, Size) ->
	iolist_to_binary([lists:duplicate(Size rem 3, $a), binary:copy(<<"€"/utf8>>, Size div 3)]).

masking_on_the_wire(_) ->
	doc("Every frame is masked, and unmasks to what was sent, at sizes around every vector width and length form."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	Sizes = lists:seq(0, 130) ++ [65535, 65536, 100003],
	_ = [begin
		Payload = do_payload(binary, Size),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, Payload}),
		Payload = ?EXPECT({lying_server, Server, {frame, binary, P}}, P)
	end || Size <- Sizes],
	?REFUTE({lying_server, Server, {unmasked, _, _}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

iodata_of_odd_shapes(Config) ->
	doc("A payload may be any iodata: nested, improper, empty, unaligned or part of a larger binary."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	<<_:3, Unaligned:500/binary, _:5>> = crypto:strong_rand_bytes(501),
	<<_:1, LargeUnaligned:100000/binary, _:7>> = crypto:strong_rand_bytes(100001),
	Part = binary:part(crypto:strong_rand_bytes(100000), 50000, 1000),
	_ = [do_echo(ConnPid, StreamRef, {binary, Payload}) || Payload <- [
		[],
		[[], <<>>, [[[]]]],
		["Hello", $!],
		[<<"im">>|<<"proper">>],
		[[[[$a]], "b"|<<"c">>], [<<"d">>|[]]|<<"e">>],
		lists:foldl(fun(_, Acc) -> [Acc] end, <<"deep on the left">>, lists:seq(1, 10000)),
		lists:foldl(fun(_, Acc) -> [$., Acc] end, <<"deep on the right">>, lists:seq(1, 10000)),
		lists:duplicate(100000, 255),
		[Unaligned, LargeUnaligned],
		Unaligned,
		LargeUnaligned,
		Part,
		[Part, $x, Part]
	]],
	do_echo(ConnPid, StreamRef, {text, ["Gr"|<<"üße"/utf8>>]}),
	ok = gun_rs:close(ConnPid).

%% Order.

list_of_frames(Config) ->
	doc("A list of frames arrives in order."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Frames = [case N rem 2 of
		0 -> {text, integer_to_binary(N)};
		1 -> {binary, binary:copy(<<N:32>>, N)}
	end || N <- lists:seq(1, 1000)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, Frames),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, F}, F = Frame) || Frame <- Frames],
	ok = gun_rs:ws_send(ConnPid, StreamRef, []),
	?REFUTE({gun_ws, ConnPid, _, _}),
	ok = gun_rs:close(ConnPid).

large_and_small_frames(Config) ->
	doc("Small frames don't overtake large ones."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Sizes = [1000000, 1, 300, 70000, 0, 2000000, 10, 125],
	Frames = [{binary, do_payload(binary, Size)} || Size <- Sizes],
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Frame) || Frame <- Frames],
	Sizes = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Bin}}, byte_size(Bin)) || _ <- Frames],
	ok = gun_rs:close(ConnPid).

many_senders(Config) ->
	doc("Frames sent by 10 processes at once all arrive, each process's own in order."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Senders = [spawn_monitor(fun() ->
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, case N rem 100 of
			0 -> {binary, <<Id, N:32, 0:80000>>};
			_ -> {binary, <<Id, N:32>>}
		end) || N <- lists:seq(1, 1000)]
	end) || Id <- lists:seq(1, 10)],
	_ = [?EXPECT({'DOWN', MRef, process, Pid, normal}) || {Pid, MRef} <- Senders],
	Last = lists:foldl(fun(_, Seen) ->
		{Id, N} = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<I, J:32, _/binary>>}}, {I, J}),
		N = maps:get(Id, Seen, 0) + 1,
		Seen#{Id => N}
	end, #{}, lists:seq(1, 10000)),
	true = Last =:= maps:from_list([{Id, 1000} || Id <- lists:seq(1, 10)]),
	ok = gun_rs:close(ConnPid).

%% Control frames.

pings_are_silent_by_default(Config) ->
	doc("Pings are answered with their payload, and neither pings nor pongs reach the user."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/command"),
	do_command(ConnPid, StreamRef, [ping, {ping, <<"payload">>}, pong, {pong, <<"unasked">>}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"got pong">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"got pong payload">>}}),
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:close(ConnPid).

pings_on_request(Config) ->
	doc("With silence_pings false the user sees them, the empty ones as atoms; they're answered all the same."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/command", [], #{silence_pings => false}),
	do_command(ConnPid, StreamRef, [ping, {ping, <<"payload">>}, pong, {pong, <<"unasked">>}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, ping}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {ping, <<"payload">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, pong}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {pong, <<"unasked">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"got pong">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"got pong payload">>}}),
	ok = gun_rs:close(ConnPid).

user_pings(Config) ->
	doc("The user may send pings and pongs, with and without a payload, of up to 125 bytes."),
	ConnPid = open(config(port, Config)),
	StreamRef = upgrade(ConnPid, "/websocket", [], #{silence_pings => false}),
	Longest = binary:copy(<<"x">>, 125),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [ping, {ping, "some"}, {ping, []}, pong, {pong, "any"}, {ping, Longest}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, pong}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {pong, <<"some">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, pong}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {pong, Longest}}),
	ok = gun_rs:close(ConnPid).

keepalive(_) ->
	doc("The keepalive option of open sends a ping at every interval."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{ConnPid, _} = open_ws(Port, "/", #{retry => 0, ws_opts => #{keepalive => 50}}),
	_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- lists:seq(1, 3)],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Fragments.

fragments(_) ->
	doc("A fragmented message arrives whole, whatever stands between its fragments or is cut by them."),
	<<Euro1:1/binary, Euro2/binary>> = <<"€"/utf8>>,
	Large = do_payload(binary, 70000),
	{Server, Port} = lying_server:start([{upgrade, [
		do_fragment(0, text, "Hel"), do_fragment(1, continuation, "lo"),
		do_fragment(0, text, ""), lying_server:frame(ping, "between"), do_fragment(0, continuation, Euro1),
		do_fragment(0, continuation, ""), lying_server:frame(pong, ""), do_fragment(1, continuation, Euro2),
		do_fragment(0, binary, Large), [do_fragment(0, continuation, <<N>>) || N <- lists:seq(1, 100)],
		do_fragment(0, continuation, Large), do_fragment(1, continuation, ""),
		do_fragment(0, text, ""), do_fragment(1, continuation, ""),
		lying_server:frame(text, "end")
	]}, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"€"/utf8>>}}),
	Whole = iolist_to_binary([Large, lists:seq(1, 100), Large]),
	Whole = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Bin}}, Bin),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<>>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"end">>}}),
	?EXPECT({lying_server, Server, {frame, pong, <<"between">>}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_fragment(Fin, Type, Payload) ->
	Opcode = case Type of continuation -> 0; text -> 1; binary -> 2 end,
	lying_server:frame(Fin, 0, Opcode, undefined, Payload).

%% Closing.

user_closes(Config) ->
	doc("The user closes with a code: the server's close arrives, then gun_down, then gun_up."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket", #{}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 4000, ["b", <<"ye">>]}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4000, <<>>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	%% The old stream is gone for good.
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello?"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	StreamRef2 = upgrade(ConnPid, "/websocket", [], #{}),
	do_echo(ConnPid, StreamRef2, {text, "Hello!"}),
	ok = gun_rs:close(ConnPid).

user_close_frames_on_the_wire(_) ->
	doc("The user's close frames go out with their code and reason, masked."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, frame, {send, lying_server:frame(close, <<1000:16>>)}]),
		{ConnPid, StreamRef} = open_ws(Port, "/"),
		ok = gun_rs:ws_send(ConnPid, StreamRef, Frame),
		?EXPECT({lying_server, Server, {frame, close, Payload}}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
		normal = do_exit(ConnPid),
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || {Frame, Payload} <- [
		{close, <<>>},
		{{close, <<>>}, <<>>},
		{{close, <<4000:16, "payload">>}, <<4000:16, "payload">>},
		{{close, 1000, ""}, <<1000:16>>},
		{{close, 3000, "see you"}, <<3000:16, "see you">>},
		{{close, 4999, binary:copy(<<"x">>, 123)}, <<4999:16, (binary:copy(<<"x">>, 123))/binary>>}
	]],
	ok.

do_exit(ConnPid) ->
	case gun_rs_test:await_exit(ConnPid) of
		noproc -> normal;
		Reason -> Reason
	end.

frames_until_the_server_closes(_) ->
	doc("After the user's close, frames still arrive until the server's close."),
	{Server, Port} = lying_server:start([upgrade, frame, {send, [
		lying_server:frame(text, "one more"),
		lying_server:frame(close, <<1000:16, "bye">>),
		lying_server:frame(text, "too late")
	]}]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 1000, ""}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"one more">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<"bye">>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?REFUTE({gun_ws, ConnPid, StreamRef, {text, <<"too late">>}}),
	lying_server:stop(Server).

list_stops_after_close(_) ->
	doc("What stands after a close in a list is not sent."),
	{Server, Port} = lying_server:start([upgrade, frame, frame, {send, lying_server:frame(close, <<>>)}, frames]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "first"}, {close, 4001, "last"}, {text, "never"}, ping]),
	?EXPECT({lying_server, Server, {frame, text, <<"first">>}}),
	?EXPECT({lying_server, Server, {frame, close, <<4001:16, "last">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, close}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({lying_server, Server, closed}),
	?REFUTE({lying_server, Server, {frame, _, _}}),
	lying_server:stop(Server).

closing_timeout(_) ->
	doc("A server that doesn't answer the close is waited for no longer than closing_timeout."),
	{Server, Port} = lying_server:start([upgrade, frames]),
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, "/", [], #{closing_timeout => 100}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

server_closes(Config) ->
	doc("The server closes with a code: the user sees it, then gun_down, then gun_up, and the old stream is gone."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/command", #{}),
	do_command(ConnPid, StreamRef, [{text, <<"before">>}, {close, 4001, <<"bye">>}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"before">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4001, <<"bye">>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello?"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	ok = gun_rs:close(ConnPid).

server_close_frames(_) ->
	doc("Each close of a server is told in its shape and answered with an empty 1000, after which nothing is heard."),
	_ = [begin
		{Server, Port} = lying_server:start([{upgrade, [
			lying_server:frame(close, Payload), lying_server:frame(text, "too late")
		]}, frames]),
		{ConnPid, StreamRef} = open_ws(Port, "/"),
		?EXPECT({gun_ws, ConnPid, StreamRef, Frame}),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
		?EXPECT({lying_server, Server, {frame, close, <<1000:16>>}}),
		?EXPECT({lying_server, Server, closed}),
		normal = do_exit(ConnPid),
		?REFUTE({gun_ws, _, _, _}),
		lying_server:stop(Server)
	end || {Payload, Frame} <- [
		{<<>>, close},
		{<<1000:16>>, {close, 1000, <<>>}},
		{<<1011:16, "Fünf"/utf8>>, {close, 1011, <<"Fünf"/utf8>>}},
		%% Service restart, registered after RFC 6455.
		{<<1012:16>>, {close, 1012, <<>>}},
		{<<3000:16, "x">>, {close, 3000, <<"x">>}},
		{<<4999:16>>, {close, 4999, <<>>}}
	]],
	ok.

do_command(ConnPid, StreamRef, Frames) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, term_to_binary(Frames)}).

%% What comes in one read.

many_frames_at_once(_) ->
	doc("Many frames that come together, of sizes around those at which a binary is kept elsewhere, are told in order, "
		"and so is what comes between and behind them."),
	Payloads = fun(From, To) -> [binary:copy(<<N>>, N) || N <- lists:seq(From, To)] end,
	Told = [{binary, Payload} || Payload <- Payloads(0, 69)] ++ [{ping, <<"between">>}] ++
		[{text, Payload} || Payload <- Payloads(70, 127)],
	Frames = [lying_server:frame(Type, Payload) || {Type, Payload} <- Told] ++
		[lying_server:frame(1, 0, 3, undefined, "")],
	Self = self(),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, {send, Frames}, frames]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{reply_to => ReplyTo, silence_pings => false}),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
		Told = [receive {gun_ws, ConnPid, StreamRef, Frame} -> Frame after ?WAIT -> missing end || _ <- Told],
		?EXPECT({gun_error, ConnPid, StreamRef, _}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || ReplyTo <- [Self, fun(Message) -> Self ! Message end]],
	ok.

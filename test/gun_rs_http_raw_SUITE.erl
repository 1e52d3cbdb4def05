%% What goes over the wire, byte by byte, and what a server may and may not answer.
-module(gun_rs_http_raw_SUITE).

-import(lying_server, [ok/1]).
-import(lying_server, [ok/2]).

-include("gun_rs_suite.hrl").

-define(CHUNKED, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").

%% Upgrades.

upgrades_on_the_wire(_) ->
	doc("What the handshake has itself stands in the request once, whatever headers are given."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade]),
		ConnPid = open(Port),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/", Headers, WsOpts),
		{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		Request = ?EXPECT({lying_server, Server, {request, R}}, R),
		[<<"GET / HTTP/1.1">>|Lines] = binary:split(Request, <<"\r\n">>, [global, trim_all]),
		Expected = [iolist_to_binary(Line) || Line <- Mid],
		Key = <<"sec-websocket-key: ", (lying_server:key(Request))/binary>>,
		Expected = Lines -- [<<"connection: upgrade">>, <<"upgrade: websocket">>, <<"sec-websocket-version: 13">>, Key,
			<<"host: 127.0.0.1:", (integer_to_binary(Port))/binary>>],
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Headers, WsOpts, Mid} <- [
		{[], #{}, []},
		{[], #{compress => true}, ["sec-websocket-extensions: permessage-deflate; client_max_window_bits"]},
		{[], #{compress => compat}, ["sec-websocket-extensions: permessage-deflate"]},
		{[{"connection", "keep-alive, Upgrade"}, {"upgrade", "websocket"}, {"sec-websocket-version", "13"},
			{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}, {"sec-websocket-extensions", "x-a"}, {"content-length", "0"},
			{"x-b", "c"}], #{compress => compat}, ["sec-websocket-extensions: permessage-deflate", "x-b: c"]},
		{[{"sec-websocket-protocol", "a"}, {"sec-websocket-protocol", "b, c"}], #{}, ["sec-websocket-protocol: a, b, c"]},
		{[{"sec-websocket-protocol", "b, a"}], #{protocols => [{<<"a">>, gun_ws_h}]}, ["sec-websocket-protocol: a, b"]}
	]],
	ok.

upgrades_that_cannot_be(_) ->
	doc("A header that an upgrade cannot have raises by name, or is left out with invalid_request_headers => ignore."),
	{Server, Port} = lying_server:start([upgrade]),
	ConnPid = open(Port),
	Headers = [{"content-length", "5"}, {"transfer-encoding", "chunked"}, {"upgrade", "h2c"}],
	_ = [{'EXIT', {{invalid_request_header, _, [_|_]}, _}} = ?CATCH(Upgrade([Header])) || Header <- Headers, Upgrade <- [
		fun(H) -> gun_rs:ws_upgrade(ConnPid, "/", H) end,
		fun(H) -> gun_rs:ws_upgrade(ConnPid, "/", H, #{}) end,
		fun(H) -> gun_rs:ws_upgrade(ConnPid, "/", maps:from_list(H), #{invalid_request_headers => raise}) end
	]],
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/", Headers, #{invalid_request_headers => ignore}),
	{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	Request = ?EXPECT({lying_server, Server, {request, R}}, R),
	_ = [nomatch = binary:match(Request, Text) || Text <- [<<"content-length">>, <<"transfer-encoding">>, <<"h2c">>]],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Requests.

requests_on_the_wire(_) ->
	doc("A request is its line, the length of its body, host, the user's headers in lowercase, and the body: no byte more."),
	Large = binary:copy(<<"a">>, 256),
	Requests = [
		{fun(P) -> gun_rs:get(P, "/") end, ["GET / HTTP/1.1\r\n", host, "content-length: 0\r\n"], ""},
		{fun(P) -> gun_rs:head(P, "/a?b=c") end, ["HEAD /a?b=c HTTP/1.1\r\n", host, "content-length: 0\r\n"], ""},
		{fun(P) -> gun_rs:options(P, "*") end, ["OPTIONS * HTTP/1.1\r\n", host, "content-length: 0\r\n"], ""},
		{fun(P) -> gun_rs:delete(P, "/a", [{"X-One", "1"}, {<<"x-TWO">>, "2"}]) end,
			["DELETE /a HTTP/1.1\r\n", host, "content-length: 0\r\n", "x-one: 1\r\nx-two: 2\r\n"], ""},
		{fun(P) -> gun_rs:post(P, "/a", [{"b", "2"}, {"a", "1"}], "body") end,
			["POST /a HTTP/1.1\r\n", host, "content-length: 4\r\n", "b: 2\r\na: 1\r\n"], "body"},
		{fun(P) -> gun_rs:put(P, "/a", [], "") end, ["PUT /a HTTP/1.1\r\n", host, "content-length: 0\r\n"], ""},
		{fun(P) -> gun_rs:request(P, "REPORT", "/a", [{"x", ""}], "body") end,
			["REPORT /a HTTP/1.1\r\n", host, "content-length: 4\r\n", "x: \r\n"], "body"},
		%% The length is that of the body, whatever the user says.
		{fun(P) -> gun_rs:patch(P, "/a", [{"content-length", "3"}, {"transfer-encoding", "chunked"}], "body") end,
			["PATCH /a HTTP/1.1\r\n", host, "content-length: 4\r\n"], "body"},
		{fun(P) -> do_data(P, gun_rs:post(P, "/a", [{"a", "1"}]), [{nofin, "Hello"}, {fin, " world!"}]) end,
			["POST /a HTTP/1.1\r\n", host, "transfer-encoding: chunked\r\n", "a: 1\r\n"],
			"5\r\nHello\r\n7\r\n world!\r\n0\r\n\r\n"},
		{fun(P) -> do_data(P, gun_rs:put(P, "/a", []), [{nofin, Large}, {fin, ""}]) end,
			["PUT /a HTTP/1.1\r\n", host, "transfer-encoding: chunked\r\n"], ["100\r\n", Large, "\r\n0\r\n\r\n"]},
		%% The length is the user's to give where gun cannot know it, and what follows is not chunked.
		{fun(P) ->
			do_data(P, gun_rs:post(P, "/a", [{"content-length", "12"}]), [{nofin, "Hello"}, {fin, " world!"}])
		end, ["POST /a HTTP/1.1\r\n", host, "content-length: 12\r\n"], "Hello world!"},
		{fun(P) -> gun_rs:get(P, "/", [{"host", "example.org"}, {"a", "1"}]) end,
			["GET / HTTP/1.1\r\nhost: example.org\r\ncontent-length: 0\r\na: 1\r\n"], ""}
	],
	%% All of them on one connection, so that a byte too many would be the next one's.
	{Server, Port} = lying_server:start(lists:append([[
		{read_to, <<"\r\n\r\n">>}, {read, iolist_size(Body)}, {send, "HTTP/1.1 204 No Content\r\n\r\n"}
	] || {_, _, Body} <- Requests])),
	ConnPid = open(Port),
	?EXPECT({lying_server, Server, accepted}),
	Host = ["host: 127.0.0.1:", integer_to_list(Port), "\r\n"],
	_ = [begin
		StreamRef = Request(ConnPid),
		Head = iolist_to_binary([[case Part of host -> Host; _ -> Part end || Part <- Parts], "\r\n"]),
		{read, Head} = ?EXPECT({lying_server, Server, Event}, Event),
		Body = iolist_to_binary(Body0),
		{read, Body} = ?EXPECT({lying_server, Server, Event}, Event),
		{204, _, _} = answer(ConnPid, StreamRef)
	end || {Request, Parts, Body0} <- Requests],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_data(ConnPid, StreamRef, Parts) ->
	_ = [ok = gun_rs:data(ConnPid, StreamRef, IsFin, Data) || {IsFin, Data} <- Parts],
	StreamRef.

repeated_headers(_) ->
	doc("Of a name that the user repeats each value is sent, in order, and the other headers keep theirs."),
	{Server, Port} = lying_server:start([{http, fun(_, _) -> ok("") end}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/", [{"a", "1"}, {"b", "2"}, {"A", "3"}, {"c", "4"}, {"a", "5"}]),
	Request = ?EXPECT({lying_server, Server, {request, R}}, R),
	Headers = [list_to_tuple(binary:split(L, <<": ">>)) || L <- tl(binary:split(Request, <<"\r\n">>, [global]))],
	%% The values of a repeated name may stand together.
	[<<"1">>, <<"3">>, <<"5">>] = [Value || {<<"a">>, Value} <- Headers],
	[{<<"b">>, <<"2">>}, {<<"c">>, <<"4">>}] = [H || H = {Name, _} <- Headers, Name =:= <<"b">> orelse Name =:= <<"c">>],
	{200, _, _} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

host_header(_) ->
	doc("The host header leaves out port 80, and has an IPv6 address in brackets."),
	_ = [case gen_tcp:listen(Port0, [Family, {ip, Ip}]) of
		{ok, Listener} ->
			ok = gen_tcp:close(Listener),
			{Server, Port} = lying_server:start([{http, fun(_, _) -> ok("") end}], [Family, {ip, Ip}, {port, Port0}]),
			{ok, ConnPid} = gun_rs:open(Ip, Port, #{retry => 0}),
			StreamRef = gun_rs:get(ConnPid, "/"),
			Expected = iolist_to_binary([Host, [[$:, integer_to_list(Port)] || Port =/= 80]]),
			Expected = ?EXPECT({lying_server, Server, {request, R}}, lying_server:header("host", R)),
			{200, _, _} = answer(ConnPid, StreamRef),
			ok = gun_rs:close(ConnPid),
			lying_server:stop(Server);
		{error, Reason} when Port0 =:= 80; Family =:= inet6 ->
			ct:log("~p of ~p, port ~b, is not to be had here: ~p", [Family, Ip, Port0, Reason])
	end || {Family, Ip, Host, Port0} <- [
		{inet, {127, 0, 0, 1}, "127.0.0.1", 0},
		{inet, {127, 0, 0, 80}, "127.0.0.80", 80},
		{inet6, {0, 0, 0, 0, 0, 0, 0, 1}, "[::1]", 0},
		{inet6, {0, 0, 0, 0, 0, 0, 0, 1}, "[::1]", 80}
	]],
	ok.

header_case(_) ->
	doc("transform_header_name may ask for Title-Case, or for the lowercase that there is without it; no other is taken."),
	Title = fun(Name) -> string:titlecase(binary_to_list(Name)) end,
	_ = [begin
		{Server, Port} = lying_server:start([{http, fun(_, _) -> ok("") end}]),
		ConnPid = open(Port, #{retry => 0, http_opts => #{transform_header_name => Fun}}),
		StreamRef = gun_rs:get(ConnPid, "/", [{"x-one", "1"}, {"ACCEPT", "text/html"}]),
		Request = ?EXPECT({lying_server, Server, {request, R}}, R),
		[] = [Name || Name <- Names, binary:match(Request, Name) =:= nomatch],
		{200, _, _} = answer(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Fun, Names} <- [
		{fun(Name) -> Name end, [<<"\r\nhost: ">>, <<"\r\nx-one: 1">>, <<"\r\naccept: text/html">>]},
		{fun(Name) -> iolist_to_binary(lists:join($-, [Title(Part) || Part <- binary:split(Name, <<"-">>, [global])])) end,
			[<<"\r\nHost: ">>, <<"\r\nX-One: 1">>, <<"\r\nAccept: text/html">>]}
	]],
	_ = [{error, {options, {http, {transform_header_name, Fun}}}} =
			gun_rs:open("127.0.0.1", 1, #{http_opts => #{transform_header_name => Fun}})
		|| Fun <- [fun string:uppercase/1, fun(_) -> <<"x">> end, fun(_) -> error(oops) end, fun() -> ok end, undefined]],
	ok.

empty_lines(_) ->
	doc("With keepalive an empty line is sent now and then while nothing else is, and none within a request."),
	{Server, Port} = lying_server:start([
		{read, 6}, {http, fun(_, _) -> ok("first") end}, {read, 2},
		{read_to, <<"\r\n\r\n5\r\nHello\r\n">>}, {read_to, <<"6\r\nworld!\r\n0\r\n\r\n">>}, {send, ok("second")}
	]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{keepalive => 50}}),
	?EXPECT({lying_server, Server, {read, <<"\r\n\r\n\r\n">>}}),
	{200, _, <<"first">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	?EXPECT({lying_server, Server, {read, <<"\r\n">>}}),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "Hello"),
	?EXPECT({lying_server, Server, {read, _}}),
	%% Many times keepalive.
	timer:sleep(500),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "world!"),
	?EXPECT({lying_server, Server, {read, <<"6\r\nworld!\r\n0\r\n\r\n">>}}),
	{200, _, <<"second">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	%% Without the option there is none.
	{Server2, Port2} = lying_server:start([{read, 1}]),
	ConnPid2 = open(Port2),
	?REFUTE({lying_server, Server2, {read, _}}),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server2).

%% Responses.

in_one_piece_and_in_many(_) ->
	doc("A response arrives the same whether it comes in one packet or byte by byte."),
	_ = [begin
		ct:log("~p", [iolist_to_binary(Response)]),
		Last = [close || Ends],
		{Server, Port} = lying_server:start([request, {Send, Response}|Last] ++ [{http, fun(_, _) -> ok("next") end}]),
		ConnPid = open(Port),
		StreamRef = gun_rs:get(ConnPid, "/"),
		_ = [?EXPECT({gun_inform, ConnPid, StreamRef, Status, _}) || Status <- Informs],
		Answer = do_without_headers(answer(ConnPid, StreamRef)),
		?REFUTE({gun_data, ConnPid, StreamRef, _, _}),
		case Ends of
			true -> ?EXPECT({gun_down, ConnPid, http, _, _});
			false -> {200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/"))
		end,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Ends, Informs, Response, Answer} <- do_responses(), Send <- [send, send_bytewise]],
	ok.

%% Whether the connection ends with it, the informational responses, what is sent and what it means.
do_responses() ->
	[
		{false, [], ok("Hello!"), {200, <<"Hello!">>}},
		{false, [], ok(""), {200, <<>>}},
		{false, [], ok(binary:copy(<<"a">>, 20000)), {200, binary:copy(<<"a">>, 20000)}},
		{false, [], "HTTP/1.1 204 \r\nx-empty:\r\nx-spaces:  \t a b \t \r\n\r\n", {204, <<>>}},
		{false, [], "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n", {304, <<>>}},
		{false, [], "HTTP/1.1 599 What is this?\r\nContent-LENGTH: 2\r\n\r\nNo", {599, <<"No">>}},
		{false, [100, 103], ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"|ok("Hello!")],
			{200, <<"Hello!">>}},
		{false, [], ?CHUNKED "6\r\nHello \r\n00006\r\nworld!\r\n0\r\n\r\n", {200, <<"Hello world!">>}},
		{false, [], ?CHUNKED "000a;name=value;x=\"y z\"\r\n0123456789\r\n000\r\n\r\n", {200, <<"0123456789">>}},
		{false, [], ?CHUNKED "0\r\n\r\n", {200, <<>>}},
		{false, [], ?CHUNKED "2\r\n\r\n\r\n0\r\nX-One: 1\r\nx-two: 2\r\n\r\n",
			{200, <<"\r\n">>, [{<<"x-one">>, <<"1">>}, {<<"x-two">>, <<"2">>}]}},
		{false, [], "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", {200, <<"0123456789">>}},
		{true, [], "HTTP/1.1 200 OK\r\n\r\nuntil the end", {200, <<"until the end">>}},
		{true, [], "HTTP/1.1 200 OK\r\n\r\n", {200, <<>>}},
		{true, [], "HTTP/1.0 200 OK\r\n\r\nuntil the end", {200, <<"until the end">>}},
		{true, [], "HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nHello!", {200, <<"Hello!">>}},
		{true, [], ok([{"Connection", "close"}], "Hello!"), {200, <<"Hello!">>}}
	].

do_without_headers({Status, _, Body}) -> {Status, Body};
do_without_headers({Status, _, Body, Trailers}) -> {Status, Body, Trailers}.

cut_at_every_byte(_) ->
	doc("A response may be cut at every byte."),
	Response = iolist_to_binary(["HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" ?CHUNKED
		"6\r\nHello \r\n6;a=b\r\nworld!\r\n0\r\nx-one: 1\r\n\r\n"]),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send_cut, Response, At}]),
		ConnPid = open(Port),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_inform, ConnPid, StreamRef, 103, [{<<"link">>, <<"a">>}]}),
		{200, [{<<"transfer-encoding">>, <<"chunked">>}], <<"Hello world!">>, [{<<"x-one">>, <<"1">>}]} =
			answer(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || At <- lists:seq(1, byte_size(Response) - 1)],
	ok.

response_headers(_) ->
	doc("Names arrive in lowercase, in order and with duplicates; values without the space around them."),
	{Server, Port} = lying_server:start([{http, fun(_, _) ->
		ok([{"X-One", "  1 "}, {"X-TWO", "\t2"}, {"x-empty", ""}, {"x-one", "3"}, {"X-Text", "caf\351 a  b"}], "")
	end}]),
	ConnPid = open(Port),
	{200, Headers, <<>>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	%% The values of a repeated name may stand together.
	[<<"content-length">>, <<"x-one">>, <<"x-two">>, <<"x-empty">>, <<"x-text">>] = do_first([N || {N, _} <- Headers]),
	[<<"1">>, <<"3">>] = [V || {<<"x-one">>, V} <- Headers],
	[<<"2">>, <<>>, <<"caf\351 a  b">>] = [V || {N, V} <- Headers, N =/= <<"x-one">>, N =/= <<"content-length">>],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Each name where it stands first.
do_first([]) -> [];
do_first([Name|Names]) -> [Name|do_first([N || N <- Names, N =/= Name])].

continue(_) ->
	doc("A 100 is told as it comes, before the body that waits for it."),
	{Server, Port} = lying_server:start([
		request, wait, {send, "HTTP/1.1 100 Continue\r\n\r\n"}, {read, 5}, {send, ok("Thanks.")}
	]),
	ConnPid = open(Port),
	StreamRef = gun_rs:put(ConnPid, "/", [{"content-length", "5"}, {"expect", "100-continue"}]),
	Request = ?EXPECT({lying_server, Server, {request, R}}, R),
	<<"100-continue">> = lying_server:header("expect", Request),
	lying_server:go(Server),
	?EXPECT({gun_inform, ConnPid, StreamRef, 100, []}),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "Hello"),
	?EXPECT({lying_server, Server, {read, <<"Hello">>}}),
	{200, _, <<"Thanks.">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

answer_before_the_body_ends(_) ->
	doc("A server may answer before it has the whole body: the answer arrives, and when it closes, its end."),
	{Server, Port} = lying_server:start([
		request, {read_to, <<"5\r\nHello\r\n">>},
		{send, "HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\nconnection: close\r\n\r\nStop"}, wait, close
	]),
	ConnPid = open(Port),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "Hello"),
	{413, _, <<"Stop">>} = answer(ConnPid, StreamRef),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, _, _}),
	lying_server:stop(Server).

answer_before_the_body_ends_and_stays(_) ->
	doc("When the server doesn't close, we do: it may wait for the rest of the body, and take the next request for it."),
	{Server, Port} = lying_server:start([request, {read_to, <<"5\r\nHello\r\n">>}, {send, ok("early")}, wait]),
	ConnPid = open(Port),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "Hello"),
	{200, _, <<"early">>} = answer(ConnPid, StreamRef),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

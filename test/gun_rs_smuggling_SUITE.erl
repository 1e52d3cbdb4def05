%% No request is ever answered out of the bytes of another one's response.
%%
%% Each case is one shape of a response that can be read in two ways. What follows it on the wire is a response that a
%% client would take for the next request's if it read the first one in the wrong way. Two requests are under way when it
%% comes. What the first one gets is the case's to say; the second gets an error, or the answer that it was sent.
-module(gun_rs_smuggling_SUITE).

-import(lying_server, [ok/1]).

-include("gun_rs_suite.hrl").

-define(OK, "HTTP/1.1 200 OK\r\n").
-define(CHUNKED, "transfer-encoding: chunked\r\n").
-define(SMUGGLED, "HTTP/1.1 299 Smuggled\r\ncontent-length: 8\r\n\r\nsmuggled").

%% The length of the body.

length_and_chunked(_) ->
	doc("With both a content-length and chunks, the chunks count, and the connection is not used again."),
	do_last(fun do_get/1, <<"hello">>, closing, [
		[?OK, Headers, "\r\n5\r\nhello\r\n0\r\n\r\n", ?SMUGGLED]
	|| Headers <- [
		["content-length: 5\r\n", ?CHUNKED],
		[?CHUNKED, "content-length: 5\r\n"],
		["content-length: 0\r\n", ?CHUNKED],
		["content-length: 15\r\n", ?CHUNKED],
		["content-length: 1000\r\n", ?CHUNKED],
		["Content-Length: 5\r\nx: y\r\nTransfer-Encoding: CHUNKED\r\n"]
	]]),
	%% Nor when nothing follows: a server that sends both is not to be trusted with where its responses end.
	do_last(fun do_get/1, <<"hello">>, closing, [[?OK, "content-length: 5\r\n", ?CHUNKED, "\r\n5\r\nhello\r\n0\r\n\r\n"]]).

lengths_that_differ(_) ->
	doc("Two content-lengths that differ are a fault, in two headers and in one."),
	do_fault([
		[?OK, Headers, "\r\nhello", ?SMUGGLED]
	|| Headers <- [
		"content-length: 5\r\ncontent-length: 68\r\n",
		"content-length: 68\r\ncontent-length: 5\r\n",
		"content-length: 5\r\nx: y\r\ncontent-length: 0\r\n",
		"content-length: 5, 68\r\n",
		"content-length: 5,\r\ncontent-length: 68\r\n"
	]]).

lengths_that_agree(_) ->
	doc("Two content-lengths that agree are one, or a fault: RFC 9112, 6.3 has it either way."),
	do_either(<<"hello">>, [
		[?OK, Headers, "\r\nhello"]
	|| Headers <- [
		"content-length: 5\r\ncontent-length: 5\r\n",
		"content-length: 5\r\nx: y\r\nCONTENT-LENGTH: 5\r\n",
		"content-length: 5, 5\r\n"
	]]).

lengths_that_are_none(_) ->
	doc("A content-length that isn't a number is a fault, not nothing and not what it begins with."),
	do_fault([
		[?OK, "content-length: ", Length, "\r\n\r\nhello", ?SMUGGLED]
	|| Length <- ["5x", "0x5", "+5", "-5", "5.0", "5 6", "\"5\"", "", "18446744073709551621"]]).

encodings_that_are_not_chunked(_) ->
	doc("A transfer-encoding that doesn't end in chunked, or that nobody knows, never makes the length count."),
	do_gone([
		[?OK, "transfer-encoding: ", Encoding, "\r\ncontent-length: 5\r\n\r\nhello", ?SMUGGLED]
	|| Encoding <- ["identity", "xchunked", "chunkedx", "chunked, identity", "chunked, gzip", "gzip", ",", "",
		"\"chunked\"", "chunked;q=1", "x, chunked x"]]).

chunked_twice(_) ->
	doc("Chunks within chunks, or after another encoding, are taken for nothing else either."),
	do_gone([
		[?OK, Headers, "\r\n5\r\nhello\r\n0\r\n\r\n", ?SMUGGLED]
	|| Headers <- [
		"transfer-encoding: chunked, chunked\r\n",
		"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
		"transfer-encoding: gzip, chunked\r\n",
		"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
		"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n"
	]]).

chunked_in_http_1_0(_) ->
	doc("HTTP/1.0 knows no chunks: what claims to be chunked there is the last response of its connection, or a fault."),
	do_gone([
		["HTTP/1.0 200 OK\r\n", Headers, "\r\n5\r\nhello\r\n0\r\n\r\n", ?SMUGGLED]
	|| Headers <- [?CHUNKED, [?CHUNKED, "connection: keep-alive\r\n"],
		[?CHUNKED, "content-length: 15\r\nconnection: keep-alive\r\n"]]]).

%% The lines of a head.

bare_line_feed(_) ->
	doc("A line of a head that ends in LF alone is a fault, and begins no header."),
	do_fault([
		[Head, "hello", ?SMUGGLED]
	|| Head <- [
		"HTTP/1.1 200 OK\ncontent-length: 5\n\n",
		"HTTP/1.1 200 OK\ncontent-length: 5\r\n\r\n",
		?OK "content-length: 5\n\r\n",
		?OK "content-length: 5\r\n\n",
		?OK "x: y\ncontent-length: 5\r\n\r\n",
		?OK "content-length: 68\r\nx: y\ncontent-length: 5\r\n\r\n",
		?OK ?CHUNKED "x: y\n\n5\r\n"
	]]).

bare_carriage_return(_) ->
	doc("A CR in a head that no LF follows is a fault, and ends no line."),
	do_fault([
		[Head, "hello", ?SMUGGLED]
	|| Head <- [
		?OK "x: y\rcontent-length: 5\r\n\r\n",
		?OK "content-length: 5\r\rx: y\r\n\r\n",
		?OK "content-length: 5\r\n\r\r\n",
		?OK "content-length: 5\r\r\n\r\n",
		"HTTP/1.1 200 OK\rcontent-length: 5\r\n\r\n",
		?OK "content\r-length: 5\r\n\r\n"
	]]).

folded_lines(_) ->
	doc("A header that goes on in a second line is a fault."),
	do_fault([
		[Head, "hello", ?SMUGGLED]
	|| Head <- [
		?OK "content-length: 5\r\n 0\r\n\r\n",
		?OK "content-length:\r\n 5\r\n\r\n",
		?OK "x: y\r\n\tcontent-length: 68\r\ncontent-length: 5\r\n\r\n",
		?OK "content-length: 5\r\nx: y\r\n z\r\n\r\n",
		?OK " content-length: 68\r\ncontent-length: 5\r\n\r\n",
		?OK "transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n\r\n",
		?OK "content-length: 5\r\n \r\n\r\n"
	]]).

space_before_the_colon(_) ->
	doc("Space between a header's name and its colon is a fault, and makes no other header of it."),
	do_fault([
		[Head, "hello", ?SMUGGLED]
	|| Head <- [
		?OK "content-length : 68\r\ncontent-length: 5\r\n\r\n",
		?OK "content-length : 5\r\n\r\n",
		?OK "content-length\t: 5\r\n\r\n",
		?OK "transfer-encoding : chunked\r\ncontent-length: 5\r\n\r\n",
		?OK "x y: z\r\ncontent-length: 5\r\n\r\n"
	]]).

nul_and_other_controls(_) ->
	doc("NUL in a head is a fault, and so is another control character in a name, or in a value that responses end by."),
	do_fault([
		[Head, "hello", ?SMUGGLED]
	|| Head <- [
		?OK "content-length: 5\0\r\n\r\n",
		?OK "content-length\0: 5\r\n\r\n",
		?OK "content-length: 5\r\nx: y\0z\r\n\r\n",
		?OK "content-length: 5\r\nx\0: y\r\n\r\n",
		?OK "content-length: 5\r\nx\1: y\r\n\r\n",
		?OK "content-length: 5\1\r\n\r\n",
		?OK "content-length: 5\r\nConnection: keep-alive\1\r\n\r\n",
		%% A cookie with one is none.
		?OK "content-length: 5\r\nset-cookie: a=\vb\r\n\r\n",
		?OK "transfer-encoding: chunked\177\r\n\r\n",
		?OK "transfer-encoding: \vchunked\r\ncontent-length: 5\r\n\r\n"
	]]).

harmless_controls(_) ->
	doc("Another control character in the value of another header is a space; the response is delivered, as in gun."),
	{Server, Port} = lying_server:start([request, {send, [
		?OK "content-length: 5\r\nx: \1y\177z\e[0m\ta\r\n\r\nhello"
	]}, request, {send_bytewise, [?OK "x: a\1b\r\ncontent-length: 2\r\n\r\n\1\2"]}]),
	ConnPid = open(Port),
	{200, [{<<"content-length">>, <<"5">>}, {<<"x">>, <<"y z [0m\ta">>}], <<"hello">>} =
		answer(ConnPid, gun_rs:get(ConnPid, "/")),
	{200, [{<<"x">>, <<"a b">>}, {<<"content-length">>, <<"2">>}], <<1, 2>>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Chunks.

chunk_sizes(_) ->
	doc("A chunk's size is hexadecimal digits alone; anything else is a fault, and no part of it is taken for a size."),
	do_chunk_fault([
		"0x5\r\nhello\r\n0\r\n\r\n",
		"+5\r\nhello\r\n0\r\n\r\n",
		"-5\r\nhello\r\n0\r\n\r\n",
		" 5\r\nhello\r\n0\r\n\r\n",
		"5 0\r\nhello\r\n0\r\n\r\n",
		"5_0\r\nhello\r\n0\r\n\r\n",
		"5.\r\nhello\r\n0\r\n\r\n",
		"5h\r\nhello\r\n0\r\n\r\n",
		"\r\n0\r\n\r\n",
		"10000000000000005\r\nhello\r\n0\r\n\r\n",
		"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
		"\0005\r\nhello\r\n0\r\n\r\n"
	]).

chunk_line_ends(_) ->
	doc("A chunk's line and its data end in CR and LF; one of them alone is a fault, in an extension too."),
	do_chunk_fault([
		"5\nhello\r\n0\r\n\r\n",
		"5\rhello\r\n0\r\n\r\n",
		"5\n\rhello\r\n0\r\n\r\n",
		"5;a\nhello\r\n0\r\n\r\n",
		"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
		"5;a\rb\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello\r0\r\n\r\n",
		"5\r\nhello0\r\n\r\n",
		"5\r\nhello!\r\n0\r\n\r\n",
		"4\r\nhello\r\n0\r\n\r\n"
	]).

last_chunk(_) ->
	doc("The last chunk and the trailers end in an empty line of CR and LF, and no trailer is a length."),
	do_chunk_fault([
		"5\r\nhello\r\n0\n\n",
		"5\r\nhello\r\n0\r\n\rX"
	]),
	%% A trailer that is badly spelt may be taken, but what follows it is not.
	do_gone([
		[?OK, ?CHUNKED, "\r\n5\r\nhello\r\n0\r\n", Trailer, ?SMUGGLED]
	|| Trailer <- ["x: y\n\n", "x : y\r\n\r\n", "x: y\r\n z\r\n\r\n"]]),
	do_next(<<"hello">>, [
		[?OK, ?CHUNKED, "\r\n5\r\nhello\r\n0\r\ncontent-length: 68\r\n\r\n"],
		[?OK, ?CHUNKED, "\r\n5\r\nhello\r\n0\r\ntransfer-encoding: identity\r\n\r\n"]
	]).

chunks_of_a_kind(_) ->
	doc("What is unusual in a chunk, and right, is taken as it is meant, and the next response is the next one's."),
	do_next(<<"hello">>, [
		[?OK, ?CHUNKED, "\r\n", Chunks]
	|| Chunks <- [
		"0000000000000005\r\nhello\r\n0\r\n\r\n",
		"5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n",
		"5;a=\"HTTP/1.1 299 Smuggled\"\r\nhello\r\n0\r\n\r\n",
		"1\r\nh\r\n4\r\nello\r\n00000\r\n\r\n"
	]]),
	%% A body that looks like a response is a body.
	Inner = ?SMUGGLED,
	do_next(list_to_binary(Inner), [
		[?OK, "content-length: ", integer_to_list(length(Inner)), "\r\n\r\n", Inner],
		[?OK, ?CHUNKED, "\r\n", integer_to_list(length(Inner), 16), "\r\n", Inner, "\r\n0\r\n\r\n"]
	]).

%% Responses that have no body, and more than one.

body_where_there_is_none(_) ->
	doc("What follows the head of a 204 or 304 is not its body, and not the next response."),
	do_last(<<>>, [
		["HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", ?SMUGGLED],
		["HTTP/1.1 204 No Content\r\ncontent-length: 68\r\n\r\n", ?SMUGGLED],
		["HTTP/1.1 204 No Content\r\n", ?CHUNKED, "\r\n0\r\n\r\n", ?SMUGGLED],
		["HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", ?SMUGGLED],
		["HTTP/1.1 304 Not Modified\r\ncontent-length: 68\r\n\r\n", ?SMUGGLED]
	]).

body_of_a_head(_) ->
	doc("So it is with what follows the head of a response to head."),
	do_last(fun(ConnPid) -> gun_rs:head(ConnPid, "/") end, <<>>, [
		[?OK, "content-length: 5\r\n\r\nhello", ?SMUGGLED],
		[?OK, "content-length: 68\r\n\r\n", ?SMUGGLED],
		[?OK, ?CHUNKED, "\r\n5\r\nhello\r\n0\r\n\r\n", ?SMUGGLED],
		[?OK, "\r\n", ?SMUGGLED]
	]).

two_responses_to_one_request(_) ->
	doc("A second response to the first request is not the answer to the second one, which wasn't sent yet."),
	do_last(<<"hello">>, [
		[ok("hello"), ?SMUGGLED],
		[ok("hello"), "\r\n", ?SMUGGLED],
		[?OK, ?CHUNKED, "\r\n5\r\nhello\r\n0\r\n\r\n", ?SMUGGLED],
		[ok("hello"), "HTTP/1.1 103 Early Hints\r\n\r\n", ?SMUGGLED]
	]).

%% Helpers.

%% The first request gets a fault, and the second one too.
do_fault(Responses) ->
	do_each(fun do_get/1, do_scripts(Responses), fun(First, Second) ->
		{error, {closed, {error, {http_protocol, [_|_]}}}} = First,
		{error, {closed, {error, {http_protocol, [_|_]}}}} = Second
	end).

%% The first one gets a head, part of a body at most, and a fault.
do_chunk_fault(Chunks) ->
	Responses = [[?OK, ?CHUNKED, "\r\n", Chunk, ?SMUGGLED] || Chunk <- Chunks],
	do_each(fun do_get/1, do_scripts(Responses), fun(First, Second) ->
		{200, _, Body, {error, {closed, {error, {http_protocol, [_|_]}}}}} = First,
		true = lists:prefix(binary_to_list(Body), "hello"),
		{error, {closed, {error, {http_protocol, [_|_]}}}} = Second
	end).

%% The first one gets the body, and the connection ends without a fault.
do_last(Body, Responses) ->
	do_last(fun do_get/1, Body, Responses).

do_last(Request, Body, Responses) ->
	do_last(Request, Body, {closed, normal}, Responses).

do_last(Request, Body, Why, Responses) ->
	do_each(Request, do_scripts(Responses), fun(First, Second) ->
		{_, _, Body} = First,
		{error, Why} = Second
	end).

%% The first one gets whatever it may, which may be all there is until the server closes, and the connection ends.
do_gone(Responses) ->
	do_each(fun do_get/1, [[request, wait, {send, Response}, close] || Response <- Responses], fun(_, Second) ->
		{error, _} = Second
	end).

%% The first one gets the body, and the second one its own answer.
do_next(Body, Responses) ->
	do_each(fun do_get/1, do_scripts(Responses), fun(First, Second) ->
		Body = element(3, First),
		{200, _, <<"honest">>} = Second
	end).

%% The same, or a fault.
do_either(Body, Responses) ->
	do_each(fun do_get/1, do_scripts(Responses), fun
		(First, {200, _, <<"honest">>}) ->
			{200, _, Body} = First;
		(First, Second) ->
			{error, {closed, {error, {http_protocol, _}}}} = First,
			{error, {closed, {error, {http_protocol, _}}}} = Second
	end).

do_get(ConnPid) ->
	gun_rs:get(ConnPid, "/").

%% A server that goes on to serve who goes on to ask.
do_scripts(Responses) ->
	[[request, wait, {send, Response}, request, {send, ok("honest")}] || Response <- Responses].

do_each(Request, Scripts, Check) ->
	_ = [begin
		[request, wait, {send, Response}|_] = Script,
		ct:log("~p", [iolist_to_binary(Response)]),
		{Server, Port} = lying_server:start(Script),
		ConnPid = open(Port, #{retry => 0, http_opts => #{pipeline => 1}}),
		MRef = watch(ConnPid),
		StreamRef1 = Request(ConnPid),
		StreamRef2 = gun_rs:get(ConnPid, "/second"),
		%% It waits for its turn by now.
		{ok, #{ref := StreamRef2}} = gun_rs:stream_info(ConnPid, StreamRef2),
		?EXPECT({lying_server, Server, {request, _}}),
		lying_server:go(Server),
		First = answer(ConnPid, StreamRef1),
		Second = answer(ConnPid, StreamRef2),
		ct:log("~p~n~p", [First, Second]),
		%% Whatever the case says.
		false = 299 =:= element(1, First),
		false = 299 =:= element(1, Second),
		Check(First, Second),
		_ = [ok = gun_rs:close(ConnPid) || {200, _, _} <- [Second]],
		?EXPECT({'DOWN', MRef, process, ConnPid, _}),
		ok = gun_rs:flush(ConnPid),
		lying_server:stop(Server)
	end || Script <- Scripts],
	ok.

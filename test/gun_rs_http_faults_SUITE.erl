%% A response that is faulty, too large or cut short is told as what it is, and nothing of the next is taken for it.
-module(gun_rs_http_faults_SUITE).

-import(lying_server, [ok/1]).
-import(lying_server, [ok/2]).

-include("gun_rs_suite.hrl").

-define(CHUNKED, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").

%% Faulty responses.

faulty_heads(_) ->
	doc("A response whose head is faulty is told to its stream, and gun_down and the exit say so."),
	_ = [do_faulty([request, wait, {send, Response}], fun(_, ConnPid, StreamRef) ->
		ct:log("~p", [Response]),
		{error, Reason} = answer(ConnPid, StreamRef),
		Reason
	end) || Response <- [
		"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
		"HTTP/9.9 200 OK\r\n\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		"HTTP/1.1 200 OK\r\nna me: value\r\n\r\n",
		"HTTP/1.1 200 OK\r\nname: val\0ue\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nHello",
		"HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nHello",
		"HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\nHello",
		"HTTP/1.1 200 OK\r\ncontent-length: 5;\r\n\r\nHello",
		"HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nHello",
		"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nHello"
	]],
	ok.

faulty_chunks(_) ->
	doc("So is a faulty chunk, after the data before it."),
	_ = [do_faulty([request, wait, {send, ?CHUNKED "5\r\nHello\r\n"}, wait, {send, Chunk}], fun(Server, ConnPid, StreamRef) ->
		ct:log("~p", [Chunk]),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"Hello">>}),
		ok = lying_server:go(Server),
		?EXPECT({gun_error, ConnPid, StreamRef, Reason}, Reason)
	end) || Chunk <- [
		"\r\n",
		"g\r\n",
		"-1\r\n",
		"+5\r\nworld\r\n",
		"0x5\r\nworld\r\n",
		" 5\r\nworld\r\n",
		"5 5\r\nworld\r\n",
		"5,5\r\nworld\r\n",
		";a=b\r\nworld\r\n",
		"5\nworld\r\n",
		"5\rworld\r\n",
		"5;a\nb\r\nworld\r\n",
		"5\r\nworldX\r\n",
		"5\r\nworld\n0\r\n\r\n",
		"5\r\nworld0\r\n\r\n",
		"10000000000000000\r\nworld\r\n",
		"fffffffffffffffff\r\nworld\r\n",
		"0\r\nno colon\r\n\r\n",
		"0\r\nna me: value\r\n\r\n"
	]],
	ok.

%% Of a response that a fun waits for, which gives the stream's reason.
do_faulty(Script, Fun) ->
	{Server, Port} = lying_server:start(Script),
	ConnPid = open(Port),
	MRef = watch(ConnPid),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	%% It waits for its turn by now.
	{ok, #{ref := StreamRef2}} = gun_rs:stream_info(ConnPid, StreamRef2),
	lying_server:go(Server),
	{closed, {error, {http_protocol, [_|_]}}} = Fun(Server, ConnPid, StreamRef1),
	?EXPECT({gun_error, ConnPid, StreamRef2, {closed, {error, {http_protocol, [_|_]}}}}),
	?EXPECT({gun_down, ConnPid, http, {error, {http_protocol, [_|_]}}, [StreamRef1, StreamRef2]}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {http_protocol, [_|_]}}}}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

upgrade_that_nobody_asked_for(_) ->
	doc("A 101 to a request that asked for no upgrade is a fault."),
	{Server, Port} = lying_server:start([request, {send, lying_server:response(<<"key">>)}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	{error, {closed, {error, {http_protocol, _}}}} = answer(ConnPid, StreamRef),
	?EXPECT({gun_down, ConnPid, http, {error, {http_protocol, _}}, [StreamRef]}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

%% Limits.

header_block_limit(_) ->
	doc("A header block within max_header_block_size is taken, whatever it is set to, and one beyond it ends the connection."),
	_ = [begin
		{Server, Port} = lying_server:start([{repeat, [{http, fun(_, _) -> ok(Headers, "body") end}]}]),
		ConnPid = open(Port, #{retry => 0, http_opts => HttpOpts}),
		StreamRef = gun_rs:get(ConnPid, "/"),
		case Fits of
			true ->
				{200, Received, <<"body">>} = answer(ConnPid, StreamRef),
				[] = [{iolist_to_binary(N), iolist_to_binary(V)} || {N, V} <- Headers] -- Received,
				ok = gun_rs:close(ConnPid);
			false ->
				?EXPECT({gun_error, ConnPid, {connection_error, limit_reached, _}}),
				?EXPECT({gun_error, ConnPid, StreamRef, _}),
				?EXPECT({gun_down, ConnPid, http, {error, {connection_error, limit_reached, _}}, [StreamRef]})
		end,
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || {HttpOpts, Headers, Fits} <- [
		{#{}, [{"x-large", binary:copy(<<"a">>, 90000)}], true},
		{#{}, [{"x-large", binary:copy(<<"a">>, 110000)}], false},
		{#{}, [{"x-" ++ integer_to_list(N), "many"} || N <- lists:seq(1, 500)], true},
		%% The server's content-length is one of them.
		{#{}, [{"x-" ++ integer_to_list(N), "many"} || N <- lists:seq(1, 512)], false},
		{#{max_headers => 3}, [{"a", "1"}, {"b", "2"}], true},
		{#{max_headers => 3}, [{"a", "1"}, {"b", "2"}, {"c", "3"}], false},
		{#{max_headers => 2000}, [{"x-" ++ integer_to_list(N), "many"} || N <- lists:seq(1, 1999)], true},
		{#{max_headers => 2000}, [{"x-" ++ integer_to_list(N), "many"} || N <- lists:seq(1, 2000)], false},
		{#{max_header_block_size => 1000}, [{"x-large", binary:copy(<<"a">>, 800)}], true},
		{#{max_header_block_size => 1000}, [{"x-large", binary:copy(<<"a">>, 1100)}], false},
		{#{max_header_block_size => 1000000}, [{"x-large", binary:copy(<<"a">>, 900000)}], true}
	]],
	ok.

trailer_block_limit(_) ->
	doc("So it is with trailers and max_trailer_block_size."),
	_ = [begin
		Trailer = binary:copy(<<"a">>, Size),
		{Server, Port} = lying_server:start([request,
			{send, [?CHUNKED "4\r\nbody\r\n0\r\nx-large: ", Trailer, "\r\n\r\n"]}]),
		ConnPid = open(Port, #{retry => 0, http_opts => HttpOpts}),
		StreamRef = gun_rs:get(ConnPid, "/"),
		case Fits of
			true ->
				{200, _, <<"body">>, [{<<"x-large">>, Trailer}]} = answer(ConnPid, StreamRef),
				ok = gun_rs:close(ConnPid);
			false ->
				?EXPECT({gun_error, ConnPid, {connection_error, limit_reached, _}}),
				{200, _, <<"body">>, {error, _}} = answer(ConnPid, StreamRef),
				?EXPECT({gun_down, ConnPid, http, {error, {connection_error, limit_reached, _}}, [StreamRef]})
		end,
		?EXPECT({lying_server, Server, closed}),
		lying_server:stop(Server)
	end || {HttpOpts, Size, Fits} <- [
		{#{}, 9000, true},
		{#{}, 11000, false},
		{#{max_trailer_block_size => 1000}, 800, true},
		{#{max_trailer_block_size => 1000}, 1100, false},
		{#{max_trailer_block_size => 60000}, 50000, true}
	]],
	ok.

heads_that_never_end(_) ->
	doc("What never ends is cut off at its limit: the head of a response, of an informational one, trailers, an extension."),
	_ = [begin
		Max = 256 * 16#100000,
		{Server, Port} = lying_server:start([request, {send, First}, {flood, More, Max}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_down, ConnPid, http, {error, _}, [StreamRef]}),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, _}}),
		%% What is beyond the limit was taken by the system's buffers, not by us.
		Bytes = ?EXPECT({lying_server, Server, {flooded, N}}, N),
		true = Bytes < Max,
		gun_rs:flush(ConnPid),
		lying_server:stop(Server)
	end || {First, More} <- [
		{"HTTP/1.1 200 OK\r\n", ["x-header: ", binary:copy(<<"a">>, 1000), "\r\n"]},
		{"HTTP/1.1 200 OK\r\nx-header: ", binary:copy(<<"a">>, 1000)},
		{"HTTP/1.1 103 Early Hints\r\nlink: ", binary:copy(<<"a">>, 1000)},
		{?CHUNKED "0\r\n", ["x-trailer: ", binary:copy(<<"a">>, 1000), "\r\n"]},
		{?CHUNKED "0\r\nx-trailer: ", binary:copy(<<"a">>, 1000)},
		{?CHUNKED "5;a=", binary:copy(<<"a">>, 1000)}
	]],
	ok.

%% Bodies of another length.

body_cut_short(_) ->
	doc("A response that the end of the connection cuts short is closed: after its head, in its body, in a chunk, between."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, Response}, close]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		Expected = case answer(ConnPid, StreamRef) of
			{200, _, Body, {error, closed}} -> Body;
			{error, closed} -> none
		end,
		?EXPECT({gun_down, ConnPid, http, closed, [StreamRef]}),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}),
		lying_server:stop(Server)
	end || {Response, Expected} <- [
		{"", none},
		{"HTTP/1.1 2", none},
		{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n", none},
		{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", <<>>},
		{"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nHello", <<"Hello">>},
		{?CHUNKED, <<>>},
		{?CHUNKED "a\r\nHello", <<"Hello">>},
		{?CHUNKED "5\r\nHello", <<"Hello">>},
		{?CHUNKED "5\r\nHello\r\n", <<"Hello">>},
		{?CHUNKED "5\r\nHello\r\n0\r\n", <<"Hello">>},
		{?CHUNKED "5\r\nHello\r\n0\r\nx-trailer: 1\r\n", <<"Hello">>}
	]],
	ok.

longer_than_announced(_) ->
	doc("A response is as long as it says; what follows it, nobody asked for, and the connection ends."),
	_ = [begin
		{Server, Port} = lying_server:start([request, {send, [Response, "and more"]}]),
		ConnPid = open(Port),
		MRef = watch(ConnPid),
		StreamRef = Request(ConnPid),
		{Status, _, Body} = answer(ConnPid, StreamRef),
		?EXPECT({gun_down, ConnPid, http, normal, []}),
		?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_response, _, _, _, _, _}),
		lying_server:stop(Server)
	end || {Request, Response, Status, Body} <- [
		{fun(P) -> gun_rs:get(P, "/") end, ok("Hello"), 200, <<"Hello">>},
		{fun(P) -> gun_rs:get(P, "/") end, ok(""), 200, <<>>},
		{fun(P) -> gun_rs:get(P, "/") end, ?CHUNKED "5\r\nHello\r\n0\r\n\r\n", 200, <<"Hello">>},
		{fun(P) -> gun_rs:get(P, "/") end, "HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\n", 204, <<>>},
		{fun(P) -> gun_rs:get(P, "/") end, "HTTP/1.1 304 Not Modified\r\ncontent-length: 8\r\n\r\n", 304, <<>>},
		{fun(P) -> gun_rs:head(P, "/") end, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n", 200, <<>>}
	]],
	ok.

response_that_nobody_asked_for(_) ->
	doc("A response that comes without a request ends the connection, at its beginning and after another response."),
	{Server, Port} = lying_server:start([{send, ok("Hello!")}]),
	ConnPid = open(Port),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server),
	{Server2, Port2} = lying_server:start([{http, fun(_, _) -> ok("asked for") end}, wait,
		{send, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"}, close]),
	ConnPid2 = open(Port2),
	{200, _, <<"asked for">>} = answer(ConnPid2, gun_rs:get(ConnPid2, "/")),
	lying_server:go(Server2),
	?EXPECT({gun_down, ConnPid2, http, normal, []}),
	?REFUTE({gun_response, _, _, _, _, _}),
	lying_server:stop(Server2).

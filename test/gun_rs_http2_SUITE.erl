%% Over HTTP/2 whatever is asked of a server is what it hears, and its answer is what the user hears, many requests at once.
-module(gun_rs_http2_SUITE).

-import(http2_servers, [lie/2, lie/3]).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

-define(MIB, 16#100000).
-define(NOT_FOUND, {badstate, "The stream cannot be found."}).

groups() ->
	http2_servers:groups(gun_rs_suite:cases(?MODULE)).

init_per_group(Group, Config) ->
	http2_servers:init(Group, Config).

end_per_group(_, Config) ->
	http2_servers:stop(Config).

%% Requests.

up(Config) ->
	doc("A connection that speaks HTTP/2 says so in gun_up and in info/1, and is up before the server has said a word."),
	ConnPid = do_open(Config, cowboy),
	#{protocol := http2, transport := Transport, state_name := connected} = gun_rs:info(ConnPid),
	Transport = config(transport, Config),
	ok = gun_rs:close(ConnPid),
	{Server, Port} = lie(Config, [{await, headers}], [{acks, []}]),
	Silent = http2_servers:open(Config, Port),
	_ = gun_rs:get(Silent, "/"),
	?EXPECT({http2_liar, Server, {headers, 1, fin, _}}),
	ok = gun_rs:close(Silent),
	http2_liar:stop(Server).

methods_without_a_body(Config) ->
	doc("get, options and delete send their method, path, query and headers with a length of 0."),
	ConnPid = do_open(Config, cowboy),
	_ = [begin
		StreamRef = gun_rs:Function(ConnPid, "/request?a=b&c", [{<<"X-Header">>, <<"Yes">>}]),
		#{
			method := Method,
			path := <<"/request">>,
			qs := <<"a=b&c">>,
			version := 'HTTP/2',
			headers := #{<<"content-length">> := <<"0">>, <<"x-header">> := <<"Yes">>},
			body := <<>>
		} = do_seen(ConnPid, StreamRef)
	end || {Function, Method} <- [{get, <<"GET">>}, {options, <<"OPTIONS">>}, {delete, <<"DELETE">>}]],
	ok = gun_rs:close(ConnPid).

methods_with_a_body(Config) ->
	doc("patch, post and put send the body that they are given, at once or by data/4."),
	ConnPid = do_open(Config, cowboy),
	_ = [begin
		Body = iolist_to_binary(Parts),
		Length = integer_to_binary(byte_size(Body)),
		#{method := Method, headers := #{<<"content-length">> := Length}, body := Body} =
			do_seen(ConnPid, gun_rs:Function(ConnPid, "/request", [], Parts)),
		StreamRef = gun_rs:Function(ConnPid, "/request", [{<<"x-header">>, <<"Yes">>}]),
		_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, Part) || Part <- Parts],
		ok = gun_rs:data(ConnPid, StreamRef, fin, <<>>),
		#{method := Method, headers := #{<<"x-header">> := <<"Yes">>}, body := Body} = do_seen(ConnPid, StreamRef)
	end ||
		{Function, Method} <- [{patch, <<"PATCH">>}, {post, <<"POST">>}, {put, <<"PUT">>}],
		Parts <- [[<<"Hello!">>], [], [<<"He">>, ["l", [<<"lo">>]], <<>>, "!"], [binary:copy(<<"a">>, 100000)]]
	],
	ok = gun_rs:close(ConnPid).

request_head(Config) ->
	doc("The pseudo-header fields come first, and what belongs to a connection of HTTP/1.1 is left out."),
	{Server, Port} = lie(Config, [open, {answer_all, fun(StreamId, _) -> http2_liar:ok(StreamId, "ok") end}]),
	ConnPid = http2_servers:open(Config, Port),
	Authority = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	Scheme = case config(transport, Config) of tcp -> <<"http">>; tls -> <<"https">> end,
	Given = [{<<"Connection">>, <<"close, x-hop">>}, {<<"x-one">>, <<"1">>}, {<<"keep-alive">>, <<"5">>},
		{<<"x-hop">>, <<"gone">>}, {<<"proxy-connection">>, <<"close">>}, {<<"transfer-encoding">>, <<"chunked">>},
		{<<"upgrade">>, <<"tea">>}, {<<"x-one">>, <<"2">>}, {<<"te">>, <<"trailers">>}],
	Kept = [{<<"x-one">>, <<"1">>}, {<<"x-one">>, <<"2">>}, {<<"te">>, <<"trailers">>}],
	_ = [begin
		{200, _, <<"ok">>} = answer(ConnPid, Request(Given ++ More)),
		[{<<":method">>, Method}, {<<":scheme">>, Scheme}, {<<":authority">>, Host}, {<<":path">>, <<"/a?b">>}|Fields] =
			?EXPECT({http2_liar, Server, {headers, _, _, H}}, H),
		Fields = Kept ++ Length
	end || {Request, Method, Length, More, Host} <- [
		{fun(H) -> gun_rs:get(ConnPid, "/a?b", H) end, <<"GET">>, [{<<"content-length">>, <<"0">>}], [], Authority},
		{fun(H) -> gun_rs:post(ConnPid, "/a?b", H, "abc") end, <<"POST">>, [{<<"content-length">>, <<"3">>}], [], Authority},
		{fun(H) -> gun_rs:headers(ConnPid, <<"GET">>, "/a?b", H) end, <<"GET">>, [], [], Authority},
		{fun(H) -> gun_rs:get(ConnPid, "/a?b", H) end, <<"GET">>, [{<<"content-length">>, <<"0">>}],
			[{<<"Host">>, <<"example.org">>}], <<"example.org">>}
	]],
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

bad_requests(Config) ->
	doc("A header or a path that cannot be sent raises in the caller, and the connection goes on."),
	ConnPid = do_open(Config, cowboy),
	_ = [{'EXIT', {{invalid_request_header, _, _}, _}} = ?CATCH(gun_rs:get(ConnPid, "/request", [Header]))
		|| Header <- [{"x", "a\r\nb: c"}, {"x\r\ny", "a"}, {"x y", "a"}, {"", "a"}, {":path", "/"}]],
	_ = [{'EXIT', {{invalid_request_target, Path, _}, _}} = ?CATCH(gun_rs:get(ConnPid, Path))
		|| Path <- ["/a b", "/\r\nx: y", ""]],
	?REFUTE(_),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid).

%% Responses.

statuses_without_a_body(Config) ->
	doc("What has no body is complete at once, if the server says so at once."),
	ConnPid = do_open(Config, rust),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, ["/status?code=", integer_to_list(Code)]),
		?EXPECT({gun_response, ConnPid, StreamRef, fin, Code, _})
	end || Code <- [200, 204, 304, 404]],
	StreamRef = gun_rs:head(ConnPid, "/status?code=200"),
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 200, _}),
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:close(ConnPid).

head(Config) ->
	doc("head gives the headers that a get would, and no body."),
	ConnPid = do_open(Config, cowboy),
	StreamRef = gun_rs:head(ConnPid, "/repeated"),
	Headers = ?EXPECT({gun_response, ConnPid, StreamRef, fin, 200, H}, H),
	{_, <<"8">>} = lists:keyfind(<<"content-length">>, 1, Headers),
	{200, Headers2, <<"Cookies!">>} = answer(ConnPid, gun_rs:get(ConnPid, "/repeated")),
	[<<"one=1", _/binary>>, <<"two=2", _/binary>>] = lists:sort([V || {<<"set-cookie">>, V} <- Headers2]),
	ok = gun_rs:close(ConnPid).

trailers(Config) ->
	doc("Trailers end a response in the place of fin; await_body gives them."),
	_ = [begin
		ConnPid = do_open(Config, Kind),
		StreamRef = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
		{200, _, <<"Hello world!">>, Trailers} = answer(ConnPid, StreamRef),
		{_, <<"12">>} = lists:keyfind(<<"x-sum">>, 1, Trailers),
		StreamRef2 = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
		{ok, <<"Hello world!">>, Trailers} = gun_rs:await_body(ConnPid, StreamRef2, ?WAIT),
		?REFUTE({gun_data, _, _, _, _}),
		ok = gun_rs:close(ConnPid)
	end || Kind <- [cowboy, rust]],
	ok.

trailers_in_their_order(Config) ->
	doc("Fields and trailers are told in the order in which they came; the values of a repeated name stand together."),
	Fields = [{<<"x-b">>, <<"1">>}, {<<"x-b">>, <<"2">>}, {<<"grpc-status">>, <<"0">>}, {<<"x-a">>, <<"3">>}],
	{Server, Port} = lie(Config, [open, {answer_all, fun(StreamId, _) -> [
		http2_liar:headers(StreamId, nofin, [{":status", "200"}|Fields]),
		http2_liar:data(StreamId, nofin, "body"),
		http2_liar:headers(StreamId, fin, Fields)
	] end}]),
	ConnPid = http2_servers:open(Config, Port),
	{200, Headers, <<"body">>, Trailers} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	Fields = Headers,
	Fields = Trailers,
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

informational_responses(Config) ->
	doc("Each informational response is told, and then the response."),
	ConnPid = do_open(Config, rust),
	StreamRef = gun_rs:get(ConnPid, "/inform?n=3"),
	_ = [begin
		Link = integer_to_binary(N),
		Headers = ?EXPECT({gun_inform, ConnPid, StreamRef, 103, H}, H),
		{_, Link} = lists:keyfind(<<"link">>, 1, Headers)
	end || N <- [1, 2, 3]],
	{200, _, <<"Informed.">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

frames_are_messages(Config) ->
	doc("Each DATA frame is one gun_data, an empty last one too."),
	{Server, Port} = lie(Config, [open, {answer, fun(StreamId) -> [
		http2_liar:headers(StreamId, nofin, [{":status", "200"}]),
		http2_liar:data(StreamId, nofin, "one"),
		http2_liar:padded_data(StreamId, nofin, 3, ["two", <<0:24>>]),
		http2_liar:data(StreamId, fin, "")
	] end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"one">>}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"two">>}),
	?EXPECT({gun_data, ConnPid, StreamRef, fin, <<>>}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% Many, and much.

hundred_at_once(Config) ->
	doc("A hundred requests are under way at the same time, and are answered in the order that the server likes."),
	ConnPid = do_open(Config, cowboy),
	Sent = [{N, gun_rs:post(ConnPid, "/held", do_tell(), integer_to_binary(N))} || N <- lists:seq(1, 100)],
	Handlers = [?EXPECT({held, Pid, Body}, {binary_to_integer(Body), Pid}) || _ <- Sent],
	_ = [begin
		Answer = <<"answer ", (integer_to_binary(N))/binary>>,
		Handler ! {answer, Answer},
		{N, StreamRef} = lists:keyfind(N, 1, Sent),
		{200, _, Answer} = answer(ConnPid, StreamRef)
	end || {N, Handler} <- lists:reverse(lists:sort(Handlers))],
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:close(ConnPid).

large_bodies(Config) ->
	doc("16 MiB go to the server and come back, whole and in pieces, through the windows of each server."),
	Body = crypto:strong_rand_bytes(16 * ?MIB),
	_ = [begin
		ConnPid = do_open(Config, Kind),
		{200, _, Body} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], Body)),
		StreamRef = gun_rs:post(ConnPid, "/echo", []),
		_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, binary:part(Body, N * 16#8000, 16#8000))
			|| N <- lists:seq(0, 16 * ?MIB div 16#8000 - 1)],
		ok = gun_rs:data(ConnPid, StreamRef, fin, <<>>),
		{200, _, Body} = answer(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid)
	end || Kind <- [cowboy, rust]],
	ok.

large_bodies_at_once(Config) ->
	doc("Ten bodies of 2 MiB in each direction, and small requests between them, share a connection."),
	ConnPid = do_open(Config, rust),
	Bodies = [crypto:strong_rand_bytes(2 * ?MIB) || _ <- lists:seq(1, 10)],
	Large = [{gun_rs:post(ConnPid, "/echo", [], Body), Body} || Body <- Bodies],
	Small = [gun_rs:get(ConnPid, "/bytes?n=10") || _ <- lists:seq(1, 50)],
	_ = [{200, _, <<"xxxxxxxxxx">>} = answer(ConnPid, StreamRef) || StreamRef <- Small],
	_ = [{200, _, Body} = answer(ConnPid, StreamRef) || {StreamRef, Body} <- Large],
	ok = gun_rs:close(ConnPid).

small_windows(Config) ->
	doc("A body leaves byte by byte where the server's window is no larger, and an answer comes all the same."),
	Body = <<"fifteen letters">>,
	{Server, Port} = lie(Config, [{open, [{initial_window_size, 1}]}, {echo_all, fun
		({data, StreamId, nofin, _}) -> http2_liar:window_update(StreamId, 1);
		({data, StreamId, fin, _}) -> http2_liar:ok(StreamId, "received");
		(_) -> <<>>
	end}]),
	ConnPid = http2_servers:open(Config, Port),
	?EXPECT({http2_liar, Server, settings_ack}),
	StreamRef = gun_rs:post(ConnPid, "/", [], Body),
	{200, _, <<"received">>} = answer(ConnPid, StreamRef),
	Body = iolist_to_binary([?EXPECT({http2_liar, Server, {data, 1, _, Data}}, Data) || _ <- lists:seq(1, 15)]),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

too_many_streams_wait(Config) ->
	doc("Streams beyond what the server allows wait their turn, in their order."),
	Server = {Port, _} = http2_servers:rust(Config, ["--max-streams", "2"]),
	ConnPid = http2_servers:open(Config, Port),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	Held = [gun_rs:get(ConnPid, "/slow") || _ <- [1, 2]],
	Waiting = [gun_rs:post(ConnPid, "/echo", [], integer_to_binary(N)) || N <- lists:seq(1, 50)],
	?REFUTE({gun_response, _, _, _, _, _}),
	_ = [ok = gun_rs:cancel(ConnPid, StreamRef) || StreamRef <- Held],
	_ = [begin
		Body = integer_to_binary(N),
		{200, _, Body} = answer(ConnPid, StreamRef)
	end || {N, StreamRef} <- lists:enumerate(Waiting)],
	ok = gun_rs:close(ConnPid),
	http2_servers:stop(Server).

too_many_streams_error(Config) ->
	doc("With too_many_streams => error they fail at once, as in gun, and the others go on."),
	Server = {Port, _} = http2_servers:rust(Config, ["--max-streams", "2"]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{too_many_streams => error}}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	Held = [gun_rs:get(ConnPid, "/slow") || _ <- [1, 2]],
	_ = [{error, {stream_error, too_many_streams, _}} = answer(ConnPid, Request) || Request <- [
		gun_rs:get(ConnPid, "/bytes?n=1"),
		gun_rs:post(ConnPid, "/echo", []),
		gun_rs:ws_upgrade(ConnPid, "/echo")
	]],
	ok = gun_rs:cancel(ConnPid, hd(Held)),
	{200, _, <<"x">>} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	ok = gun_rs:close(ConnPid),
	http2_servers:stop(Server).

%% A stream.

cancel(Config) ->
	doc("A stream that is cancelled is reset, says nothing more, and is unknown; the others go on."),
	{Server, Port} = lie(Config, [open, {await, headers},
		{send, http2_liar:headers(1, nofin, [{":status", "200"}])}, {await, rst_stream},
		{send, [http2_liar:data(1, nofin, "late"), http2_liar:headers(1, fin, [{"x-late", "yes"}])]},
		{answer, fun(StreamId) -> http2_liar:ok(StreamId, "next") end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	{ok, #{ref := StreamRef, state := running}} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	?EXPECT({gun_error, ConnPid, StreamRef, ?NOT_FOUND}),
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

late_frames_of_cancelled_streams(Config) ->
	doc("Whatever comes late for many streams that were cancelled harms none that was not."),
	ConnPid = do_open(Config, rust),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, Path),
		_ = [?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}) || N rem 2 =:= 0],
		ok = gun_rs:cancel(ConnPid, StreamRef)
	end || N <- lists:seq(1, 100), Path <- ["/bytes?n=100000", "/stream?n=100&size=100", "/trailers"]],
	{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=100000")),
	100000 = byte_size(Body),
	#{protocol := http2} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

reset_by_the_server(Config) ->
	doc("A reset is told with the RFC's name of its code; the connection goes on."),
	ConnPid = do_open(Config, rust),
	_ = [begin
		Path = ["/reset?code=", integer_to_list(Code)],
		{error, {stream_error, Name, Text}} = answer(ConnPid, gun_rs:get(ConnPid, Path)),
		true = is_atom(Text),
		{200, _, <<"xxxxx">>, {error, {stream_error, Name, _}}} = answer(ConnPid, gun_rs:get(ConnPid, [Path, "&after=5"]))
	end || {Code, Name} <- [{0, no_error}, {1, protocol_error}, {2, internal_error}, {7, refused_stream}, {8, cancel},
		{11, enhance_your_calm}, {13, http_1_1_required}, {14, unknown_error}, {16#ffffffff, unknown_error}]],
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	ok = gun_rs:close(ConnPid).

data_out_of_place(Config) ->
	doc("data/4 after the last, or for a stream that is not there, is an error of its caller's."),
	ConnPid = do_open(Config, rust),
	StreamRef = gun_rs:post(ConnPid, "/slow", []),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "the end"),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "and more"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, "The stream has already been closed."}}),
	Unknown = make_ref(),
	ok = gun_rs:data(ConnPid, Unknown, nofin, "nowhere"),
	?EXPECT({gun_error, ConnPid, Unknown, ?NOT_FOUND}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	ok = gun_rs:close(ConnPid).

answer_before_the_end_of_the_body(Config) ->
	doc("An answer that is complete before the request is leaves the stream to the rest of the request."),
	{Server, Port} = lie(Config, [open, {answer, fun(StreamId) -> http2_liar:ok(StreamId, "early") end}, {await, data}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	{200, _, <<"early">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "still "),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "sent"),
	Sent = [?EXPECT({http2_liar, Server, {data, 1, _, Data}}, Data) || _ <- [1, 2]],
	<<"still sent">> = iolist_to_binary(Sent),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

flow(Config) ->
	doc("With a flow, of the request or of http2_opts, a body stops after a few parts and goes on; others do not wait."),
	_ = [begin
		ConnPid = http2_servers:open(Config, config(rust, Config), #{http2_opts => Http2Opts}),
		StreamRef = gun_rs:get(ConnPid, "/bytes?n=67108864", [], ReqOpts),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		Before = do_take(ConnPid, StreamRef, 0),
		ct:log("~b bytes before it stopped", [Before]),
		true = Before > 0,
		true = Before < 16 * ?MIB,
		{200, _, <<"next">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "next", #{flow => 100})),
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
		67108864 = Before + do_rest(ConnPid, StreamRef, 0),
		ok = gun_rs:close(ConnPid)
	end || {Http2Opts, ReqOpts} <- [{#{}, #{flow => 2}}, {#{flow => 2}, #{}}]],
	ok.

timeouts(Config) ->
	doc("A request that is not answered in time, or whose answer stops, is reset alone."),
	{Server, Port} = lie(Config, [open, {await, headers}, {await, rst_stream},
		{answer, fun(StreamId) ->
			[http2_liar:headers(StreamId, nofin, [{":status", "200"}]), http2_liar:data(StreamId, nofin, "one")]
		end}, {await, rst_stream},
		{answer, fun(StreamId) -> http2_liar:ok(StreamId, "next") end}]),
	ConnPid = http2_servers:open(Config, Port),
	{error, {timeout, response}} = answer(ConnPid, gun_rs:get(ConnPid, "/", [], #{response_timeout => 100})),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	{200, _, <<"one">>, {error, {timeout, body}}} = answer(ConnPid, gun_rs:get(ConnPid, "/", [], #{body_timeout => 100})),
	?EXPECT({http2_liar, Server, {rst_stream, 3, cancel}}),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

reply_to(Config) ->
	doc("reply_to of a request is a pid or a fun, and receives all of the answer."),
	ConnPid = do_open(Config, cowboy),
	Self = self(),
	_ = [begin
		StreamRef = gun_rs:post(ConnPid, "/echo", [], "body", #{reply_to => fun(Msg) -> Self ! {Tag, Msg} end}),
		?EXPECT({Tag, {gun_response, ConnPid, StreamRef, nofin, 200, _}}),
		?EXPECT({Tag, {gun_data, ConnPid, StreamRef, _, <<"body">>}})
	end || Tag <- lists:seq(1, 10)],
	Other = spawn_link(fun() -> receive Msg -> Self ! {other, Msg} end end),
	StreamRef = gun_rs:get(ConnPid, "/status?code=204", [], #{reply_to => Other}),
	?EXPECT({other, {gun_response, ConnPid, StreamRef, fin, 204, _}}),
	ok = gun_rs:close(ConnPid).

%% Pushes.

push(Config) ->
	doc("What the server pushes is told with its request, then as any answer; a push may be cancelled."),
	ConnPid = do_open(Config, rust),
	StreamRef = gun_rs:get(ConnPid, "/push?n=3"),
	Origin = iolist_to_binary([case config(transport, Config) of tcp -> "http"; tls -> "https" end,
		"://127.0.0.1:", integer_to_list(config(rust, Config))]),
	Pushed = [begin
		Number = integer_to_binary(N),
		Uri = <<Origin/binary, "/pushed?n=", Number/binary>>,
		{NewRef, Headers} = ?EXPECT({gun_push, ConnPid, StreamRef, R, <<"GET">>, Uri, H}, {R, H}),
		{_, Number} = lists:keyfind(<<"x-number">>, 1, Headers),
		false = lists:keymember(<<":path">>, 1, Headers),
		{NewRef, <<"Number ", Number/binary, ".">>}
	end || N <- [1, 2, 3]],
	{200, _, <<"Pushed.">>} = answer(ConnPid, StreamRef),
	_ = [{200, _, Body} = answer(ConnPid, NewRef) || {NewRef, Body} <- Pushed],
	ok = gun_rs:close(ConnPid).

push_cancelled(Config) ->
	doc("A push that is cancelled says nothing more, whatever comes late."),
	{Server, Port} = lie(Config, [open, {echo_all, fun
		({headers, 1, _, Headers}) -> http2_liar:push_promise(1, 2, lists:keyreplace(<<":path">>, 1, Headers, {<<":path">>, "/p"}));
		({rst_stream, 2, _}) -> [http2_liar:ok(2, "late"), http2_liar:ok(1, "answer")];
		(_) -> <<>>
	end}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	NewRef = ?EXPECT({gun_push, ConnPid, StreamRef, R, <<"GET">>, _, _}, R),
	{ok, #{ref := NewRef}} = gun_rs:stream_info(ConnPid, NewRef),
	ok = gun_rs:cancel(ConnPid, NewRef),
	?EXPECT({http2_liar, Server, {rst_stream, 2, cancel}}),
	{200, _, <<"answer">>} = answer(ConnPid, StreamRef),
	?REFUTE({_, ConnPid, NewRef, _, _, _}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

push_turned_off(Config) ->
	doc("With push => false the server is told so, and pushes nothing."),
	ConnPid = http2_servers:open(Config, config(rust, Config), #{http2_opts => #{push => false}}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	{200, _, <<"Pushed.">>} = answer(ConnPid, gun_rs:get(ConnPid, "/push?n=3")),
	?REFUTE({gun_push, _, _, _, _, _, _}),
	ok = gun_rs:close(ConnPid).

%% What goes on the connection beside requests.

cookies(Config) ->
	doc("A cookie store takes part as it does on HTTP/1.1: there is one cookie header, with all of them."),
	Opts = #{cookie_store => gun_rs_cookies_list:init()},
	ConnPid = http2_servers:open(Config, config(cowboy, Config), Opts),
	Asked = http_modules_h:asked(#{set => [<<"one=1">>, <<"two=2">>]}),
	{200, _, First} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies/", Asked)),
	none = binary_to_term(First),
	{200, _, Second} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies/")),
	[<<"one=1">>, <<"two=2">>] = lists:sort(binary:split(binary_to_term(Second), <<"; ">>, [global])),
	ok = gun_rs:close(ConnPid).

content_handlers(Config) ->
	doc("So do content handlers: each event of a stream is a message."),
	Opts = #{http2_opts => #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]}},
	ConnPid = http2_servers:open(Config, config(cowboy, Config), Opts),
	StreamRef = gun_rs:get(ConnPid, "/events?count=10"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	_ = [begin
		Id = integer_to_binary(N),
		?EXPECT({gun_sse, ConnPid, StreamRef, #{last_event_id := Id}})
	end || N <- lists:seq(1, 10)],
	?EXPECT({gun_sse, ConnPid, StreamRef, fin}),
	{200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body")),
	ok = gun_rs:close(ConnPid).

ping(Config) ->
	doc("A ping's answer is told with its reference to who is to know, however many are under way."),
	_ = [begin
		ConnPid = do_open(Config, Kind),
		Refs = [gun_rs:ping(ConnPid) || _ <- lists:seq(1, 20)],
		_ = [?EXPECT({gun_notify, ConnPid, ping_ack, Ref}) || Ref <- Refs],
		Self = self(),
		Ref = gun_rs:ping(ConnPid, #{reply_to => fun(Msg) -> Self ! {by_fun, Msg} end}),
		?EXPECT({by_fun, {gun_notify, ConnPid, ping_ack, Ref}}),
		ok = gun_rs:close(ConnPid)
	end || Kind <- [cowboy, rust]],
	ok.

settings_changed(Config) ->
	doc("Each SETTINGS frame of the server's is told, with all that is known, if it is wanted."),
	{Server, Port} = lie(Config, [{open, [{max_concurrent_streams, 7}]}, wait,
		{send, http2_liar:settings([{enable_connect_protocol, 1}, {initial_window_size, 100000}, {99, 1}])}, wait,
		{send, http2_liar:settings([])}]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{notify_settings_changed => true}}),
	First = #{enable_push => true, header_table_size => 4096, initial_window_size => 65535, max_concurrent_streams => 7,
		max_frame_size => 16384, max_header_list_size => infinity},
	First = ?EXPECT({gun_notify, ConnPid, settings_changed, S}, S),
	http2_liar:go(Server),
	Second = First#{enable_connect_protocol => true, initial_window_size => 100000},
	Second = ?EXPECT({gun_notify, ConnPid, settings_changed, S}, S),
	http2_liar:go(Server),
	Second = ?EXPECT({gun_notify, ConnPid, settings_changed, S}, S),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

nothing_is_left(Config) ->
	doc("What a thousand requests that came to their ends in every way have cost is given back."),
	do_ends(Config),
	Before = gun_rs_test:resources(),
	do_ends(Config),
	ok = gun_rs_test:nothing_left(Before).

do_ends(Config) ->
	ConnPid = do_open(Config, rust),
	Refs = [{N rem 5, gun_rs:get(ConnPid, case N rem 5 of
		0 -> "/bytes?n=1000";
		1 -> "/reset?code=8";
		2 -> "/slow";
		3 -> "/trailers";
		4 -> "/status?code=204"
	end)} || N <- lists:seq(1, 1000)],
	_ = [case Kind of
		1 -> {error, {stream_error, cancel, _}} = answer(ConnPid, StreamRef);
		2 -> ok = gun_rs:cancel(ConnPid, StreamRef);
		3 -> {200, _, _, _} = answer(ConnPid, StreamRef);
		4 -> {204, _, <<>>} = answer(ConnPid, StreamRef);
		0 -> {200, _, _} = answer(ConnPid, StreamRef)
	end || {Kind, StreamRef} <- Refs],
	_ = [{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/push?n=2")) || _ <- lists:seq(1, 20)],
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	gun_rs:flush(ConnPid).

%% Helpers.

do_open(Config, Kind) ->
	http2_servers:open(Config, config(Kind, Config)).

%% What the server says that the request was.
do_seen(ConnPid, StreamRef) ->
	{200, _, Body} = answer(ConnPid, StreamRef),
	binary_to_term(Body).

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

%% What comes before a pause.
do_take(ConnPid, StreamRef, Size) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_take(ConnPid, StreamRef, Size + byte_size(Data))
	after 300 ->
		Size
	end.

do_rest(ConnPid, StreamRef, Size) ->
	case ?EXPECT({gun_data, ConnPid, StreamRef, IsFin, Data}, {IsFin, byte_size(Data)}) of
		{nofin, More} -> do_rest(ConnPid, StreamRef, Size + More);
		{fin, More} -> Size + More
	end.

%% Whatever is asked of a server is what it hears, and its answer is what the user hears, as with gun.
-module(gun_rs_http_SUITE).

-define(NEEDS, [{listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

%% Requests.

methods_without_a_body(Config) ->
	doc("get, options and delete send their method, path, query and headers with a length of 0, in each arity."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		ct:log("~s/~b", [Function, 1 + length(Args)]),
		StreamRef = apply(gun_rs, Function, [ConnPid, "/request?a=b&c"|Args]),
		#{
			method := Method,
			path := <<"/request">>,
			qs := <<"a=b&c">>,
			version := 'HTTP/1.1',
			headers := Headers = #{<<"content-length">> := <<"0">>},
			body := <<>>
		} = do_seen(ConnPid, StreamRef),
		X = case Args of [] -> none; _ -> <<"Yes">> end,
		X = maps:get(<<"x-header">>, Headers, none)
	end ||
		{Function, Method} <- [{get, <<"GET">>}, {options, <<"OPTIONS">>}, {delete, <<"DELETE">>}],
		Args <- [
			[],
			[[{<<"x-header">>, <<"Yes">>}]],
			[#{<<"x-header">> => <<"Yes">>}],
			[[{<<"x-header">>, <<"Yes">>}], #{reply_to => self()}],
			[#{<<"x-header">> => <<"Yes">>}, #{}]
		]
	],
	ok = gun_rs:close(ConnPid).

head(Config) ->
	doc("head gives the headers that a get would, in each arity, and no body."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		StreamRef = apply(gun_rs, head, [ConnPid, "/repeated"|Args]),
		Headers = ?EXPECT({gun_response, ConnPid, StreamRef, fin, 200, H}, H),
		{_, <<"8">>} = lists:keyfind(<<"content-length">>, 1, Headers),
		?REFUTE({gun_data, ConnPid, StreamRef, _, _})
	end || Args <- [[], [[]], [#{}, #{}]]],
	ok = gun_rs:close(ConnPid).

methods_with_a_body(Config) ->
	doc("patch, post and put send the body that they are given, which is any iodata and may be empty."),
	ConnPid = open(config(port, Config)),
	Headers = [{<<"content-type">>, <<"text/plain">>}],
	_ = [begin
		StreamRef = apply(gun_rs, Function, [ConnPid, "/request", Headers, Given|Opts]),
		Body = iolist_to_binary(Given),
		Length = integer_to_binary(byte_size(Body)),
		#{
			method := Method,
			headers := #{<<"content-type">> := <<"text/plain">>, <<"content-length">> := Length},
			body := Body
		} = do_seen(ConnPid, StreamRef)
	end ||
		{Function, Method} <- do_body_methods(),
		Given <- [<<"Hello!">>, "", ["He", [$l, <<"lo">>], $!], binary:copy(<<"a">>, 100000)],
		Opts <- [[], [#{}], [#{reply_to => self()}]]
	],
	ok = gun_rs:close(ConnPid).

methods_with_a_streamed_body(Config) ->
	doc("patch, post and put without a body begin one, which data/4 goes on with and ends."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		StreamRef = apply(gun_rs, Function, [ConnPid, "/request", [{<<"x-header">>, <<"Yes">>}]|Opts]),
		_ = [ok = gun_rs:data(ConnPid, StreamRef, IsFin, Data) || {IsFin, Data} <- Parts],
		Body = iolist_to_binary([Data || {_, Data} <- Parts]),
		#{
			method := Method,
			headers := #{<<"x-header">> := <<"Yes">>},
			body := Body
		} = do_seen(ConnPid, StreamRef)
	end ||
		{Function, Method} <- do_body_methods(),
		Opts <- [[], [#{}], [#{reply_to => self()}]],
		Parts <- [
			[{fin, "all at once"}],
			[{nofin, "one "}, {nofin, [<<"two ">>, ["th", $r, <<"ee">>]]}, {fin, " four"}],
			[{nofin, "the end is"}, {fin, <<>>}],
			[{nofin, ""}, {nofin, "empty data"}, {nofin, []}, {nofin, <<>>}, {fin, " is nothing"}],
			[{fin, ""}]
		]
	],
	ok = gun_rs:close(ConnPid).

do_body_methods() ->
	[{patch, <<"PATCH">>}, {post, <<"POST">>}, {put, <<"PUT">>}].

any_method(Config) ->
	doc("request/5,6 and headers/4,5 send whatever method they are given."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		StreamRef1 = apply(gun_rs, request, [ConnPid, Method, "/request", [{<<"x-header">>, <<"Yes">>}], "body"|Opts]),
		StreamRef2 = apply(gun_rs, headers, [ConnPid, Method, "/request", [{<<"x-header">>, <<"Yes">>}]|Opts]),
		ok = gun_rs:data(ConnPid, StreamRef2, nofin, "bo"),
		ok = gun_rs:data(ConnPid, StreamRef2, fin, "dy"),
		_ = [#{
			method := Method,
			headers := #{<<"x-header">> := <<"Yes">>},
			body := <<"body">>
		} = do_seen(ConnPid, StreamRef) || StreamRef <- [StreamRef1, StreamRef2]]
	end || Method <- [<<"GET">>, <<"POST">>, <<"REPORT">>, <<"M-SEARCH">>], Opts <- [[], [#{}], [#{reply_to => self()}]]],
	ok = gun_rs:close(ConnPid).

header_names_and_values(Config) ->
	doc("Names may be atoms, strings and binaries of any case, and values any iodata, in a list and in a map."),
	ConnPid = open(config(port, Config)),
	Headers = [
		{'X-Atom', "atom"},
		{"X-String", <<"string">>},
		{<<"X-Binary">>, ["bin", [<<"ar">>], $y]}
	],
	_ = [#{headers := #{
		<<"x-atom">> := <<"atom">>,
		<<"x-string">> := <<"string">>,
		<<"x-binary">> := <<"binary">>
	}} = do_seen(ConnPid, StreamRef) || StreamRef <- [
		gun_rs:get(ConnPid, "/request", Headers),
		gun_rs:get(ConnPid, "/request", maps:from_list(Headers)),
		gun_rs:post(ConnPid, "/request", Headers, "body"),
		gun_rs:request(ConnPid, <<"PUT">>, "/request", maps:from_list(Headers), "body")
	]],
	ok = gun_rs:close(ConnPid).

bad_requests(Config) ->
	doc("A header or a path that cannot be sent raises in the caller, and the connection goes on."),
	ConnPid = open(config(port, Config)),
	Empty = <<>>,
	_ = [{'EXIT', {{invalid_request_header, _, _}, _}} = ?CATCH(Call([Header]))
		|| Header <- [{"x", "a\r\nb: c"}, {"x", "a\nb"}, {"x\r\ny", "a"}, {"x y", "a"}, {"", "a"}, {"x", [0]}], Call <- [
			fun(Headers) -> gun_rs:get(ConnPid, "/request", Headers) end,
			fun(Headers) -> gun_rs:post(ConnPid, "/request", Headers, Empty) end,
			fun(Headers) -> gun_rs:put(ConnPid, "/request", Headers) end,
			fun(Headers) -> gun_rs:headers(ConnPid, <<"GET">>, "/request", Headers) end
		]],
	_ = [{'EXIT', {{invalid_request_target, Path, _}, _}} = ?CATCH(gun_rs:get(ConnPid, Path))
		|| Path <- ["/a b", "/\r\nx: y", "", "/a#b", [1000]]],
	?REFUTE(_),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid).

%% Responses.

statuses_without_a_body(Config) ->
	doc("The response to head, 204, 304 and one of length 0 are complete at once."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, ["/status?code=", integer_to_list(Code)]),
		?EXPECT({gun_response, ConnPid, StreamRef, fin, Code, _}),
		?REFUTE({gun_data, ConnPid, StreamRef, _, _})
	end || Code <- [200, 204, 304, 404]],
	ok = gun_rs:close(ConnPid).

response_headers(Config) ->
	doc("Names arrive in lowercase, values as they are, and of a name that is repeated each value arrives."),
	ConnPid = open(config(port, Config)),
	{200, Headers, <<"Cookies!">>} = answer(ConnPid, gun_rs:get(ConnPid, "/repeated")),
	[<<"one=1", _/binary>>, <<"two=2", _/binary>>] = lists:sort([V || {<<"set-cookie">>, V} <- Headers]),
	[<<"Kept">>] = [V || {<<"x-case">>, V} <- Headers],
	ok = gun_rs:close(ConnPid).

chunked_and_sized_bodies(Config) ->
	doc("A body arrives in parts, the last of which says fin, whether it's chunked or of a length that was announced."),
	ConnPid = open(config(port, Config)),
	Body = iolist_to_binary([http_echo_h:piece(N, 1000) || N <- lists:seq(1, 500)]),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, Path),
		{200, Headers, Body} = answer(ConnPid, StreamRef),
		Header = lists:keymember(Header, 1, Headers) andalso Header,
		?REFUTE({gun_data, ConnPid, StreamRef, _, _})
	end || {Path, Header} <- [
		{"/pieces?count=500&size=1000", <<"transfer-encoding">>},
		{"/pieces?count=500&size=1000&length", <<"content-length">>}
	]],
	ok = gun_rs:close(ConnPid).

trailers(Config) ->
	doc("Trailers end a response in the place of fin."),
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
	{200, _, <<"Hello world!">>, [{<<"x-sum">>, <<"12">>}]} = answer(ConnPid, StreamRef),
	?REFUTE({gun_data, ConnPid, StreamRef, _, _}),
	%% And Cowboy sends none to those who don't ask.
	{200, _, <<"Hello world!">>} = answer(ConnPid, gun_rs:get(ConnPid, "/trailers")),
	ok = gun_rs:close(ConnPid).

informational_responses(Config) ->
	doc("Each informational response is told, and then the response."),
	ConnPid = open(config(port, Config)),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, ["/inform?count=", integer_to_list(Count)]),
		_ = [begin
			Link = integer_to_binary(N),
			Msg = ?EXPECT(Any when element(2, Any) =:= ConnPid, Any),
			{gun_inform, ConnPid, StreamRef, 103, Headers} = Msg,
			{_, Link} = lists:keyfind(<<"link">>, 1, Headers)
		end || N <- lists:seq(1, Count)],
		{200, _, <<"Informed.">>} = answer(ConnPid, StreamRef)
	end || Count <- [1, 3]],
	ok = gun_rs:close(ConnPid).

%% Many requests.

many_in_flight(Config) ->
	doc("Requests that nobody waited for in between are answered in their order, each with its own answer."),
	ConnPid = open(config(port, Config)),
	Pieces = iolist_to_binary([http_echo_h:piece(N, 9) || N <- [1, 2, 3]]),
	Sent = [begin
		Body = integer_to_binary(N),
		case N rem 3 of
			0 ->
				{gun_rs:post(ConnPid, "/echo", [], Body), Body};
			1 ->
				StreamRef = gun_rs:post(ConnPid, "/echo", []),
				ok = gun_rs:data(ConnPid, StreamRef, nofin, <<"=">>),
				ok = gun_rs:data(ConnPid, StreamRef, fin, Body),
				{StreamRef, <<"=", Body/binary>>};
			2 ->
				{gun_rs:get(ConnPid, "/pieces?count=3&size=9"), Pieces}
		end
	end || N <- lists:seq(1, 300)],
	Sent = do_bodies(ConnPid, [], length(Sent)),
	ok = gun_rs:close(ConnPid).

%% The bodies in the order in which they came; nothing of one comes before the end of another.
do_bodies(_, Bodies, 0) ->
	lists:reverse(Bodies);
do_bodies(ConnPid, Bodies, Left) ->
	StreamRef = ?EXPECT({gun_response, ConnPid, Ref, nofin, 200, _}, Ref),
	do_bodies(ConnPid, [{StreamRef, do_body(ConnPid, StreamRef, [])}|Bodies], Left - 1).

do_body(ConnPid, StreamRef, Body) ->
	case ?EXPECT(Any when element(2, Any) =:= ConnPid, Any) of
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_body(ConnPid, StreamRef, [Body, Data]);
		{gun_data, ConnPid, StreamRef, fin, Data} -> iolist_to_binary([Body, Data])
	end.

body_before_its_turn(Config) ->
	doc("The body of a request may be given while the response before it is still awaited."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/held", do_tell()),
	Handler = ?EXPECT({held, Pid, _}, Pid),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:data(ConnPid, StreamRef2, nofin, "in "),
	ok = gun_rs:data(ConnPid, StreamRef2, fin, "time"),
	?REFUTE({gun_response, _, _, _, _, _}),
	Handler ! {answer, "at last"},
	{200, _, <<"at last">>} = answer(ConnPid, StreamRef1),
	{200, _, <<"in time">>} = answer(ConnPid, StreamRef2),
	ok = gun_rs:close(ConnPid).

large_bodies(Config) ->
	doc("64 MiB go to the server and come back, in one piece and in many, of a known length and of none."),
	ConnPid = open(config(port, Config)),
	Body = crypto:strong_rand_bytes(64 * 16#100000),
	{200, _, Body} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], Body)),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, binary:part(Body, N * 16#10000, 16#10000))
		|| N <- lists:seq(0, 1023)],
	ok = gun_rs:data(ConnPid, StreamRef, fin, <<>>),
	{200, _, Body} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

%% The connection.

unix_socket(_) ->
	doc("open_unix connects to a socket of the file system; its host is localhost."),
	%% Not in priv_dir, for the name of a socket must be short.
	Path = string:trim(os:cmd("mktemp -u")),
	{Listener, _} = gun_rs_test:start_cowboy(http_echo_h:routes(), [{ip, {local, Path}}, {port, 0}]),
	_ = [begin
		{ok, ConnPid} = gun_rs:open_unix(Name, #{retry => 0}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		#{headers := #{<<"host">> := <<"localhost">>}} = do_seen(ConnPid, gun_rs:get(ConnPid, "/request")),
		{200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body")),
		StreamRef = upgrade(ConnPid, "/websocket"),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
		#{origin_host := <<"localhost">>, transport := tcp} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid)
	end || Name <- [Path, list_to_binary(Path)]],
	gun_rs_test:stop_cowboy(Listener),
	_ = file:delete(Path),
	ok.

unix_socket_that_is_not_there(_) ->
	doc("open_unix of a name that is no socket ends as a refused connection does."),
	Path = string:trim(os:cmd("mktemp -u")),
	Trapped = process_flag(trap_exit, true),
	{ok, ConnPid} = gun_rs:open_unix(Path, #{retry => 0, supervise => false}),
	?EXPECT({'EXIT', ConnPid, {shutdown, enoent}}),
	process_flag(trap_exit, Trapped).

http_1_0(Config) ->
	doc("With version 'HTTP/1.0' the server is told so, and an upgrade is refused with the reason."),
	ConnPid = open(config(port, Config), #{retry => 0, http_opts => #{version => 'HTTP/1.0'}}),
	Upgrade = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_error, ConnPid, Upgrade, {badstate, [_|_]}}),
	#{version := 'HTTP/1.0', method := <<"POST">>, body := <<"body">>} =
		do_seen(ConnPid, gun_rs:post(ConnPid, "/request", [], "body")),
	?EXPECT({gun_down, ConnPid, http, normal, []}).

requests_then_an_upgrade(Config) ->
	doc("A connection that has served requests, and a refused upgrade, can be upgraded; then it takes no request."),
	ConnPid = open(config(port, Config)),
	{200, _, <<"one">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "one")),
	{403, _, <<"Members only.">>} = answer(ConnPid, gun_rs:ws_upgrade(ConnPid, "/refuse")),
	{200, _, <<"two">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "two")),
	{403, _, <<"Members only.">>} = answer(ConnPid, gun_rs:ws_upgrade(ConnPid, "/refuse")),
	%% All at once, too.
	Three = gun_rs:post(ConnPid, "/echo", [], "three"),
	Four = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	Five = gun_rs:post(ConnPid, "/echo", [], "five"),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{200, _, <<"three">>} = answer(ConnPid, Three),
	{403, _, <<"Members only.">>} = answer(ConnPid, Four),
	{200, _, <<"five">>} = answer(ConnPid, Five),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "Hello!"}, {binary, <<0, 1, 2>>}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<0, 1, 2>>}}),
	_ = [begin
		_ = Request(),
		?EXPECT({gun_error, ConnPid, {badstate, "This connection only accepts Websocket frames."}})
	end || Request <- [
		fun() -> gun_rs:get(ConnPid, "/request") end,
		fun() -> gun_rs:post(ConnPid, "/echo", [], "body") end,
		fun() -> gun_rs:post(ConnPid, "/echo", []) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/websocket") end,
		fun() -> gun_rs:data(ConnPid, StreamRef, fin, "data") end
	]],
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "still open"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"still open">>}}),
	ok = gun_rs:close(ConnPid).

requests_after_a_websocket(Config) ->
	doc("When a WebSocket has ended, the connection that follows it takes requests."),
	ConnPid = open(config(port, Config), #{}),
	StreamRef = upgrade(ConnPid, "/websocket"),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	{200, _, <<"again">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "again")),
	ok = gun_rs:close(ConnPid).

%% Helpers.

%% What the server says that the request was.
do_seen(ConnPid, StreamRef) ->
	{200, _, Body} = answer(ConnPid, StreamRef),
	binary_to_term(Body).

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

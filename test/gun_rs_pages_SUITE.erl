%% Pages beside WebSockets, over real sockets: bodies both ways, files, and handlers that answer as messages come.
-module(gun_rs_pages_SUITE).

-define(NEEDS, [gun_rs, crypto]).
-include("gun_rs_suite.hrl").

-define(TIMEOUT, 60000).

groups() ->
	Of = fun(Except) ->
		[Case || Case <- gun_rs_suite:cases(?MODULE),
			not lists:any(fun(Prefix) -> lists:prefix(Prefix, atom_to_list(Case)) end, Except)]
	end,
	[{cowboy_1, [], Of(["two_"])}, {cowboy_2, [], Of(["one_"])}].

init_per_group(Dialect, Config) ->
	[{dialect, Dialect}|Config].

end_per_group(_, _) ->
	ok.

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

%% Starts a listener whose pages are what Page makes of a Req: the Req behind it.
do_start(Page, Config) ->
	do_start(Page, #{}, Config).

do_start(Page, Proto, Config) ->
	case config(dialect, Config) of
		cowboy_1 ->
			Handle = fun(Req, Opts) -> {ok, Page(Req), Opts} end,
			Opts = #{test => self(), page => Handle, init => fun(_, Req, O) -> {ok, Req, O} end},
			do_listen(served_1_h, Opts, Proto, Config);
		cowboy_2 ->
			do_listen(served_2_h, #{test => self(), init => fun(Req, O) -> {ok, Page(Req), O} end}, Proto, Config)
	end.

do_listen(Handler, Opts, Proto, Config) ->
	do_route([{"/[...]", Handler, Opts}], Proto, Config).

do_route(Routes, Proto, Config) ->
	Dispatch = gun_rs_router:compile([{'_', Routes}]),
	Ref = config('case', Config),
	{ok, _} = case config(dialect, Config) of
		cowboy_1 -> gun_rs_server:start_http(Ref, 1, [{port, 0}], [{env, [{dispatch, Dispatch}]}|maps:to_list(Proto)]);
		cowboy_2 -> gun_rs_server:start_clear(Ref, [{port, 0}], Proto#{env => #{dispatch => Dispatch}})
	end,
	gun_rs_server:get_port(Ref).

do_reply(Status, Headers, Body, Req) when is_map(Req) ->
	gun_rs_req:reply(Status, Headers, Body, Req);
do_reply(Status, Headers, Body, Req) ->
	{ok, Req1} = gun_rs_req:reply(Status, maps:to_list(Headers), Body, Req),
	Req1.

%% The whole body, in the dialect's own way.
do_body(Req0) ->
	case do_read(Req0) of
		{ok, Data, Req} -> {Data, Req};
		{more, Data, Req} ->
			{Rest, Req1} = do_body(Req),
			{<<Data/binary, Rest/binary>>, Req1}
	end.

do_read(Req) when is_map(Req) -> gun_rs_req:read_body(Req, #{length => 100000});
do_read(Req) -> gun_rs_req:body(Req, [{length, 100000}]).

do_open(Port) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port, #{retry => 0}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

do_get(ConnPid, Path) ->
	do_get(ConnPid, Path, []).

do_get(ConnPid, Path, Headers) ->
	do_answer(ConnPid, gun_rs:get(ConnPid, Path, Headers)).

do_answer(ConnPid, StreamRef) ->
	case gun_rs:await(ConnPid, StreamRef, ?TIMEOUT) of
		{response, fin, Status, Headers} -> {Status, Headers, <<>>};
		{response, nofin, Status, Headers} ->
			{ok, Body} = gun_rs:await_body(ConnPid, StreamRef, ?TIMEOUT),
			{Status, Headers, Body}
	end.

%% Bodies of requests.

echo(Config) ->
	doc("A body of every size comes whole, with a length and in chunks, and goes back."),
	Page = fun(Req0) ->
		{Body, Req} = do_body(Req0),
		do_reply(200, #{}, Body, Req)
	end,
	ConnPid = do_open(do_start(Page, Config)),
	[begin
		Body = crypto:strong_rand_bytes(Size),
		{Size, {200, _, Body}} = {Size, do_answer(ConnPid, gun_rs:post(ConnPid, "/", [], Body))},
		StreamRef = gun_rs:post(ConnPid, "/", []),
		ok = gun_rs:data(ConnPid, StreamRef, nofin, Body),
		ok = gun_rs:data(ConnPid, StreamRef, fin, <<"end">>),
		Expected = <<Body/binary, "end">>,
		{Size, {200, _, Expected}} = {Size, do_answer(ConnPid, StreamRef)}
	end || Size <- [0, 1, 1000, 65536, 70000, 3000000]],
	ok = gun_rs:close(ConnPid).

unread_bodies(Config) ->
	doc("A body that nobody reads is skipped if it is small; a large one ends the connection behind the answer."),
	Page = fun(Req) -> do_reply(200, #{}, <<"no thanks">>, Req) end,
	ConnPid = do_open(do_start(Page, Config)),
	[{200, _, <<"no thanks">>} = do_answer(ConnPid, gun_rs:post(ConnPid, "/", [], binary:copy(<<"a">>, Size)))
		|| Size <- [10, 100000, 10]],
	{200, _, <<"no thanks">>} = do_answer(ConnPid, gun_rs:post(ConnPid, "/", [], binary:copy(<<"a">>, 20000000))),
	receive {gun_down, ConnPid, http, _, _} -> ok after ?TIMEOUT -> error(still_up) end,
	ok = gun_rs:close(ConnPid).

expects_100(Config) ->
	doc("A client that asks whether to send its body is told so when the body is read."),
	Page = fun(Req0) ->
		{Body, Req} = do_body(Req0),
		do_reply(200, #{}, Body, Req)
	end,
	Socket = raw_ws:connect(do_start(Page, Config)),
	ok = gen_tcp:send(Socket, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n"),
	{{100, _, <<>>}, <<>>} = raw_ws:response(Socket),
	ok = gen_tcp:send(Socket, "body"),
	{{200, _, <<"body">>}, <<>>} = raw_ws:response(Socket).

slow_body(Config) ->
	doc("A body that does not come: the handler goes on after its time, with what has come."),
	Test = self(),
	Page = fun(Req) ->
		Test ! {read, case Req of
			#{} -> gun_rs_req:read_body(Req, #{period => 100, timeout => 10000});
			_ -> gun_rs_req:body(Req, [{read_timeout, 100}])
		end},
		do_reply(200, #{}, <<>>, Req)
	end,
	Socket = raw_ws:connect(do_start(Page, Config)),
	ok = gen_tcp:send(Socket, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfive!"),
	Read = receive {read, Read0} -> Read0 after ?TIMEOUT -> error(stuck) end,
	case config(dialect, Config) of
		cowboy_1 -> {error, timeout} = Read;
		cowboy_2 -> {more, <<"five!">>, _} = Read
	end.

forms(Config) ->
	doc("Urlencoded and multipart bodies."),
	Page = fun
		(Req0=#{path := <<"/form">>}) ->
			{ok, Fields, Req} = gun_rs_req:read_urlencoded_body(Req0),
			do_reply(200, #{}, term_to_binary(Fields), Req);
		(Req0=#{}) ->
			{Parts, Req} = do_parts(Req0),
			do_reply(200, #{}, term_to_binary(Parts), Req);
		(Req0) ->
			case gun_rs_req:path(Req0) of
				{<<"/form">>, _} ->
					{ok, Fields, Req} = gun_rs_req:body_qs(Req0),
					do_reply(200, #{}, term_to_binary(Fields), Req);
				_ ->
					{Parts, Req} = do_parts(Req0),
					do_reply(200, #{}, term_to_binary(Parts), Req)
			end
	end,
	ConnPid = do_open(do_start(Page, Config)),
	Form = [{<<"content-type">>, <<"application/x-www-form-urlencoded">>}],
	{200, _, Fields} = do_answer(ConnPid, gun_rs:post(ConnPid, "/form", Form, <<"a=b&c=%20d">>)),
	[{<<"a">>, <<"b">>}, {<<"c">>, <<" d">>}] = binary_to_term(Fields),
	Multipart = [{<<"content-type">>, <<"multipart/form-data; boundary=xyz">>}],
	Large = binary:copy(<<"0123456789">>, 20000),
	Body = ["--xyz\r\ncontent-disposition: form-data; name=one\r\n\r\nfirst\r\n--xyz\r\n",
		"content-disposition: form-data; name=two\r\n\r\n", Large, "\r\n--xyz--\r\n"],
	{200, _, Parts} = do_answer(ConnPid, gun_rs:post(ConnPid, "/multipart", Multipart, Body)),
	[<<"first">>, Large] = binary_to_term(Parts),
	ok = gun_rs:close(ConnPid).

do_parts(Req0) ->
	Next = case Req0 of #{} -> gun_rs_req:read_part(Req0); _ -> gun_rs_req:part(Req0) end,
	case Next of
		{ok, _, Req} ->
			{Body, Req1} = do_part_body(Req),
			{Bodies, Req2} = do_parts(Req1),
			{[Body|Bodies], Req2};
		{done, Req} ->
			{[], Req}
	end.

do_part_body(Req0) ->
	Next = case Req0 of #{} -> gun_rs_req:read_part_body(Req0); _ -> gun_rs_req:part_body(Req0) end,
	case Next of
		{ok, Data, Req} -> {Data, Req};
		{more, Data, Req} ->
			{Rest, Req1} = do_part_body(Req),
			{<<Data/binary, Rest/binary>>, Req1}
	end.

%% Responses.

headers(Config) ->
	doc("Headers, cookies and a status with a phrase of its own."),
	Page = fun(Req0) ->
		Req1 = gun_rs_req:set_resp_header(<<"x-one">>, <<"set">>, Req0),
		Req2 = gun_rs_req:set_resp_header(<<"x-two">>, <<"set">>, Req1),
		Req3 = case Req2 of
			#{} -> gun_rs_req:set_resp_cookie(<<"name">>, <<"value">>, Req2, #{path => "/", http_only => true});
			_ -> gun_rs_req:set_resp_cookie(<<"name">>, <<"value">>, [{path, "/"}, {http_only, true}], Req2)
		end,
		do_reply(<<"299 Fine">>, #{<<"x-two">> => <<"given">>}, <<"body">>, Req3)
	end,
	Port = do_start(Page, Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
	{{299, Headers, <<"body">>}, <<>>} = raw_ws:response(Socket),
	{_, <<"set">>} = lists:keyfind(<<"x-one">>, 1, Headers),
	[{_, <<"given">>}] = [Header || Header={<<"x-two">>, _} <- Headers],
	{_, <<"name=value", Attributes/binary>>} = lists:keyfind(<<"set-cookie">>, 1, Headers),
	true = lists:all(fun(Part) -> string:find(Attributes, Part) =/= nomatch end, ["Path=/", "HttpOnly"]),
	{_, _} = lists:keyfind(<<"date">>, 1, Headers),
	[_] = [Length || {<<"content-length">>, Length} <- Headers].

no_body(Config) ->
	doc("HEAD, 204 and 304 have no body, and the connection goes on."),
	Page = fun(Req) ->
		{Status, Body} = case do_value(gun_rs_req:qs(Req)) of
			<<"204">> -> {204, <<>>};
			<<"304">> -> {304, <<>>};
			<<>> -> {200, <<"twelve bytes">>}
		end,
		do_reply(Status, #{}, Body, Req)
	end,
	ConnPid = do_open(do_start(Page, Config)),
	{200, Headers, <<>>} = do_answer(ConnPid, gun_rs:head(ConnPid, "/")),
	{_, <<"12">>} = lists:keyfind(<<"content-length">>, 1, Headers),
	{204, _, <<>>} = do_get(ConnPid, "/?204"),
	{304, _, <<>>} = do_get(ConnPid, "/?304"),
	{200, _, <<"twelve bytes">>} = do_get(ConnPid, "/"),
	ok = gun_rs:close(ConnPid).

do_value({Value, _}) -> Value;
do_value(Value) -> Value.

streamed(Config) ->
	doc("A body that is sent piece by piece."),
	Page = fun
		(Req0=#{}) ->
			Req = gun_rs_req:stream_reply(200, #{}, Req0),
			_ = [gun_rs_req:stream_body([integer_to_list(N), $\n], nofin, Req) || N <- lists:seq(1, 1000)],
			gun_rs_req:stream_body(<<"end">>, fin, Req),
			Req;
		(Req0) ->
			{ok, Req} = gun_rs_req:chunked_reply(200, Req0),
			_ = [ok = gun_rs_req:chunk([integer_to_list(N), $\n], Req) || N <- lists:seq(1, 1000)],
			ok = gun_rs_req:chunk(<<"end">>, Req),
			Req
	end,
	ConnPid = do_open(do_start(Page, Config)),
	Expected = iolist_to_binary([[[integer_to_list(N), $\n] || N <- lists:seq(1, 1000)], "end"]),
	[{200, _, Expected} = do_get(ConnPid, "/") || _ <- lists:seq(1, 3)],
	ok = gun_rs:close(ConnPid).

large_to_a_slow_client(Config) ->
	doc("Much to a client that reads slowly waits in a queue that is bounded, and comes whole."),
	Body = crypto:strong_rand_bytes(8 * 1024 * 1024),
	Page = fun(Req) -> do_reply(200, #{}, Body, Req) end,
	Port = do_start(Page, #{max_send_queue => 200000}, Config),
	{ok, Socket} = gen_tcp:connect("localhost", Port, [binary, {active, false}, {recbuf, 8192}]),
	ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
	timer:sleep(300),
	{{200, _, Body}, <<>>} = raw_ws:response(Socket).

client_is_gone(Config) ->
	doc("A client that goes away in the middle of a response: the handler can go on, and the process ends."),
	Test = self(),
	Page = fun(Req0) ->
		Test ! {in, self()},
		Send = case Req0 of
			#{} ->
				Req = gun_rs_req:stream_reply(200, #{}, Req0),
				fun(Data) -> gun_rs_req:stream_body(Data, nofin, Req) end;
			_ ->
				{ok, Req} = gun_rs_req:chunked_reply(200, Req0),
				fun(Data) -> gun_rs_req:chunk(Data, Req) end
		end,
		receive go -> ok end,
		_ = [Send(binary:copy(<<"a">>, 10000)) || _ <- lists:seq(1, 100)],
		Req0
	end,
	Socket = raw_ws:connect(do_start(Page, Config)),
	ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
	Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
	Monitor = gun_rs_test:watch(Pid),
	ok = gen_tcp:close(Socket),
	Pid ! go,
	receive {'DOWN', Monitor, process, Pid, _} -> ok after ?TIMEOUT -> error(still_there) end.

crash(Config) ->
	doc("A crash is answered by 500, unless a reply was sent; the connection closes, and no other."),
	Page = fun(Req) ->
		_ = case do_value(gun_rs_req:qs(Req)) of
			<<"replied">> -> do_reply(200, #{}, <<"first">>, Req);
			_ -> ok
		end,
		error(oops)
	end,
	Port = do_start(Page, Config),
	[begin
		Socket = raw_ws:connect(Port),
		ok = gen_tcp:send(Socket, ["GET /", Query, " HTTP/1.1\r\nhost: a\r\n\r\n"]),
		{{Status, _, Body}, <<>>} = raw_ws:response(Socket),
		receive {terminate, _, Reason, _, _} -> true = lists:member(Reason, [oops, {crash, error, oops}])
		after ?TIMEOUT -> error(no_terminate) end,
		{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT)
	end || {Query, Status, Body} <- [{"", 500, <<>>}, {"?replied", 200, <<"first">>}]].

two_bad_values(Config) ->
	doc("What a function of the Req refuses of the client's is 400."),
	Page = fun(Req) ->
		_ = gun_rs_req:parse_header(<<"content-length">>, Req),
		_ = gun_rs_req:match_qs([{id, int}], Req),
		do_reply(200, #{}, <<>>, Req)
	end,
	Port = do_start(Page, Config),
	{{400, _, _}, _} = raw_ws:request(Port, "/?id=x", []),
	{{400, _, _}, _} = raw_ws:request(Port, "/", []),
	{{200, _, _}, _} = raw_ws:request(Port, "/?id=7", []).

%% Files.

files(Config) ->
	doc("Files: whole, a range, not modified, missing, and none outside the folder."),
	Dir = filename:join(config(priv_dir, Config), "files"),
	ok = filelib:ensure_dir(filename:join(Dir, "sub/x")),
	Content = crypto:strong_rand_bytes(300000),
	ok = file:write_file(filename:join(Dir, "a.html"), Content),
	ok = file:write_file(filename:join(Dir, "sub/empty.css"), <<>>),
	ok = file:write_file(filename:join(config(priv_dir, Config), "secret"), <<"secret">>),
	Port = do_route([{"/[...]", gun_rs_static, {dir, Dir}}], #{}, Config),
	ConnPid = do_open(Port),
	{200, Headers, Content} = do_get(ConnPid, "/a.html"),
	{_, <<"text/html", _/binary>>} = lists:keyfind(<<"content-type">>, 1, Headers),
	{_, Etag} = lists:keyfind(<<"etag">>, 1, Headers),
	{_, Modified} = lists:keyfind(<<"last-modified">>, 1, Headers),
	{304, _, <<>>} = do_get(ConnPid, "/a.html", [{<<"if-none-match">>, Etag}]),
	{304, _, <<>>} = do_get(ConnPid, "/a.html", [{<<"if-modified-since">>, Modified}]),
	Part = binary:part(Content, 1000, 5000),
	{206, _, Part} = do_get(ConnPid, "/a.html", [{<<"range">>, <<"bytes=1000-5999">>}]),
	{416, _, _} = do_get(ConnPid, "/a.html", [{<<"range">>, <<"bytes=300000-">>}]),
	{200, HeadHeaders, <<>>} = do_answer(ConnPid, gun_rs:head(ConnPid, "/a.html")),
	{_, <<"300000">>} = lists:keyfind(<<"content-length">>, 1, HeadHeaders),
	{200, _, <<>>} = do_get(ConnPid, "/sub/empty.css"),
	{404, _, _} = do_get(ConnPid, "/missing"),
	{403, _, _} = do_get(ConnPid, "/sub"),
	{405, _, _} = do_answer(ConnPid, gun_rs:post(ConnPid, "/a.html", [], <<>>)),
	ok = gun_rs:close(ConnPid),
	[begin
		{Path, {{Status, _, Body}, _}} = {Path, raw_ws:request(Port, Path, [])},
		{Path, true} = {Path, lists:member(Status, [400, 403, 404])},
		{Path, nomatch} = {Path, binary:match(Body, <<"secret">>)}
	end || Path <- ["/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub%2f..%2f..%2fsecret", "/a.html%00",
		"/..%5csecret"]].

%% Loops.

loop(Config) ->
	doc("A handler that answers as messages come, past a hibernation."),
	Test = self(),
	{Handler, Opts} = case config(dialect, Config) of
		cowboy_1 -> {served_1_h, #{
			init => fun(_, Req, O) -> Test ! {in, self()}, {loop, Req, O, hibernate} end,
			loop => fun
				({reply, Text}, Req, O) ->
					{ok, Req1} = gun_rs_req:reply(200, [], Text, Req),
					{ok, Req1, O};
				(_, Req, O) ->
					{loop, Req, O, hibernate}
			end}};
		cowboy_2 -> {served_2_h, #{
			init => fun(Req, O) -> Test ! {in, self()}, {cowboy_loop, Req, O, hibernate} end,
			loop => fun
				({reply, Text}, Req, O) -> {stop, gun_rs_req:reply(200, #{}, Text, Req), O};
				(_, Req, O) -> {ok, Req, O, hibernate}
			end}}
	end,
	ConnPid = do_open(do_listen(Handler, Opts#{test => self()}, #{}, Config)),
	[begin
		StreamRef = gun_rs:get(ConnPid, "/"),
		Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
		Pid ! nothing,
		eventually(fun() -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}} end),
		Pid ! {reply, <<"at last">>},
		{200, _, <<"at last">>} = do_answer(ConnPid, StreamRef),
		receive {terminate, Pid, Reason, _, _} -> true = lists:member(Reason, [{normal, shutdown}, stop])
		after ?TIMEOUT -> error(no_terminate) end
	end || _ <- [1, 2]],
	ok = gun_rs:close(ConnPid).

one_loop_timeout(Config) ->
	doc("A loop that takes too long ends with 204."),
	Opts = #{test => self(), init => fun(_, Req, O) -> {loop, Req, O, 100} end, loop => fun(_, Req, O) -> {loop, Req, O} end},
	{{204, _, _}, _} = raw_ws:request(do_listen(served_1_h, Opts, #{}, Config), "/", []),
	receive {terminate, _, {normal, timeout}, _, _} -> ok after ?TIMEOUT -> error(no_terminate) end.

loop_client_is_gone(Config) ->
	doc("A loop whose client goes away ends."),
	Test = self(),
	Init = case config(dialect, Config) of
		cowboy_1 -> fun(_, Req, O) -> Test ! {in, self()}, {loop, Req, O} end;
		cowboy_2 -> fun(Req, O) -> Test ! {in, self()}, {cowboy_loop, Req, O} end
	end,
	Handler = do_handler(Config),
	Socket = raw_ws:connect(do_listen(Handler, #{test => self(), init => Init, loop => fun(_, Req, O) -> {loop, Req, O} end}, #{}, Config)),
	ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
	Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
	ok = gen_tcp:close(Socket),
	receive {terminate, Pid, {error, closed}, _, _} -> ok after ?TIMEOUT -> error(no_terminate) end.

do_handler(Config) ->
	case config(dialect, Config) of
		cowboy_1 -> served_1_h;
		cowboy_2 -> served_2_h
	end.

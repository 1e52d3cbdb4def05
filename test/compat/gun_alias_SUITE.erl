%% A program that calls gun has gun_rs behind it, without a change.
-module(gun_alias_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

%% Far longer than anything these cases do, so that a loaded machine fails none of them.
-define(WAIT, 30000).

-define(EXPECT(Pattern, Result),
	(fun() -> receive Pattern -> Result after ?WAIT -> error({no_message, ??Pattern, process_info(self(), messages)}) end end)()).

suite() ->
	[{timetrap, {minutes, 5}}].

all() ->
	[application, websocket, handlers_of_gun, http, content_handlers, modules_of_the_user, cookies, supervisor, pool,
		unsupervised, refused_options, stand_in, host_header].

init_per_suite(Config) ->
	{ok, _} = application:ensure_all_started(gun),
	Server = open_port({spawn_executable, os:getenv("GUN_RS_TESTSERVER")}, [{args, ["--until-eof"]}, {line, 200}]),
	Port = ?EXPECT({Server, {data, {eol, "listening on 127.0.0.1:" ++ P}}}, list_to_integer(P)),
	%% A process of its own holds the server, since each case is another one.
	Holder = spawn(fun() -> receive stop -> ok end end),
	true = port_connect(Server, Holder),
	true = unlink(Server),
	[{server, Holder}, {port, Port}|Config].

end_per_suite(Config) ->
	do_config(server, Config) ! stop,
	ok = application:stop(gun).

application(_) ->
	ct:comment("The application has gun's name, and a version that those accept who ask for gun 2."),
	{ok, "2.4." ++ _} = application:get_key(gun, vsn),
	{ok, Applications} = application:get_key(gun, applications),
	[] = [kernel, stdlib, public_key, ssl, gun_rs] -- Applications,
	ok.

websocket(Config) ->
	ct:comment("The messages of a WebSocket are those of gun 2."),
	{ok, ConnPid} = gun:open("localhost", do_config(port, Config)),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:ws_upgrade(ConnPid, "/echo", [], #{compress => true}),
	{upgrade, [<<"websocket">>], _} = gun:await(ConnPid, StreamRef),
	ok = gun:ws_send(ConnPid, StreamRef, [{text, "one"}, {binary, <<2>>}]),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"one">>}}, ok),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, <<2>>}}, ok),
	ok = gun:ws_send(ConnPid, {text, "gun 1"}),
	{ws, {text, <<"gun 1">>}} = gun:await(ConnPid, StreamRef),
	#{protocol := ws, state_name := connected_ws_only} = gun:info(ConnPid),
	ok = gun:ws_send(ConnPid, StreamRef, close),
	?EXPECT({gun_ws, ConnPid, StreamRef, close}, ok),
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

handlers_of_gun(Config) ->
	ct:comment("gun_ws_h, named for a subprotocol or as the default, gets what a WebSocket without it gets."),
	_ = [begin
		{ok, ConnPid} = gun:open("localhost", do_config(port, Config)),
		{ok, http} = gun:await_up(ConnPid),
		StreamRef = gun:ws_upgrade(ConnPid, Path, [], WsOpts),
		{upgrade, [<<"websocket">>], _} = gun:await(ConnPid, StreamRef),
		Message = binary:copy(<<"0123456789">>, 1000),
		ok = gun:ws_send(ConnPid, StreamRef, {binary, Message}),
		{ws, {binary, Message}} = gun:await(ConnPid, StreamRef),
		ok = gun:close(ConnPid)
	end || {Path, WsOpts} <- [
		{"/subprotocol", #{protocols => [{<<"mqtt">>, gun_ws_h}]}},
		{"/subprotocol", #{protocols => [{<<"mqtt">>, gun_ws_h}], compress => true}},
		{"/echo", #{default_protocol => gun_ws_h}},
		{"/fragments?size=100", #{default_protocol => gun_ws_h}}
	]],
	ok.

http(_) ->
	ct:comment("Requests go by the methods' functions, gun 1's request/4 included, and are answered by gun 2's messages."),
	_ = [begin
		{Port, Server} = do_serve("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello"),
		{ok, ConnPid} = gun:open("localhost", Port, #{retry => 0}),
		{ok, http} = gun:await_up(ConnPid),
		StreamRef = Request(ConnPid),
		{response, nofin, 200, [{<<"content-length">>, <<"5">>}]} = gun:await(ConnPid, StreamRef),
		{ok, <<"Hello">>} = gun:await_body(ConnPid, StreamRef),
		Got = do_got(Server),
		{0, _} = binary:match(Got, Line),
		ok = gun:close(ConnPid)
	end || {Line, Request} <- [
		{<<"GET / HTTP/1.1\r\n">>, fun(C) -> gun:get(C, "/") end},
		{<<"DELETE /a HTTP/1.1\r\n">>, fun(C) -> gun:delete(C, "/a", [], #{}) end},
		{<<"OPTIONS / HTTP/1.1\r\n">>, fun(C) -> gun:options(C, "/", #{}) end},
		{<<"POST / HTTP/1.1\r\n">>, fun(C) -> gun:post(C, "/", [], "body") end},
		{<<"PUT / HTTP/1.1\r\n">>, fun(C) -> gun:put(C, "/", [], "body", #{}) end},
		{<<"PATCH / HTTP/1.1\r\n">>, fun(C) -> gun:request(C, "PATCH", "/", [], "body") end},
		{<<"POST / HTTP/1.1\r\n">>, fun(C) ->
			StreamRef = gun:request(C, <<"POST">>, "/", [{"content-length", "4"}]),
			ok = gun:data(C, StreamRef, fin, "body"),
			StreamRef
		end}
	]],
	ok.

content_handlers(_) ->
	ct:comment("gun_sse_h and gun_data_h are gun_rs's own."),
	{Port, _} = do_serve("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: one\n\n"),
	{ok, ConnPid} = gun:open("localhost", Port, #{retry => 0, http_opts => #{content_handlers => [gun_sse_h, gun_data_h]}}),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:get(ConnPid, "/"),
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef),
	{sse, #{data := Data}} = gun:await(ConnPid, StreamRef),
	<<"one">> = iolist_to_binary(Data),
	{sse, fin} = gun:await(ConnPid, StreamRef).

modules_of_the_user(Config) ->
	ct:comment("A module for gun's behaviours leaves frames to gun_ws_h, and pieces of a body to gun_data_h."),
	{ok, ConnPid} = gun:open("localhost", do_config(port, Config)),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:ws_upgrade(ConnPid, "/fragments?size=3", [], #{default_protocol => gun_alias_ws_h, user_opts => self()}),
	{upgrade, [<<"websocket">>], _} = gun:await(ConnPid, StreamRef),
	ok = gun:ws_send(ConnPid, StreamRef, {text, "in fragments"}),
	{ws, {text, <<"in fragments">>}} = gun:await(ConnPid, StreamRef),
	?EXPECT({gun_alias_ws_h, {fragment, nofin, text, <<"in ">>}}, ok),
	ok = gun:close(ConnPid),
	{Port, _} = do_serve("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello"),
	{ok, ConnPid2} = gun:open("localhost", Port, #{retry => 0, http_opts => #{content_handlers => [gun_alias_content_h]}}),
	{ok, http} = gun:await_up(ConnPid2),
	StreamRef2 = gun:get(ConnPid2, "/"),
	{response, nofin, 200, _} = gun:await(ConnPid2, StreamRef2),
	{ok, <<"HELLO">>} = gun:await_body(ConnPid2, StreamRef2),
	ok = gun:close(ConnPid2).

cookies(_) ->
	ct:comment("gun_cookies_list keeps its name, and cookies come back to the server."),
	Response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n",
	{Port, Server} = do_serve(Response),
	{ok, ConnPid} = gun:open("localhost", Port, #{retry => 0, cookie_store => gun_cookies_list:init()}),
	{ok, http} = gun:await_up(ConnPid),
	{response, fin, 200, _} = gun:await(ConnPid, gun:get(ConnPid, "/")),
	nomatch = binary:match(do_got(Server), <<"cookie:">>),
	#{cookie_store := Store={gun_cookies_list, _}} = gun:info(ConnPid),
	ok = gun:close(ConnPid),
	URI = #{scheme => <<"http">>, host => <<"localhost">>, path => <<"/">>},
	{ok, [#{name := <<"a">>}], Store2} = gun_cookies:query(Store, URI),
	{[{<<"cookie">>, Cookie}], {gun_cookies_list, _}} = gun_cookies:add_cookie_header(<<"http">>, "localhost", "/", [], Store2),
	<<"a=b">> = iolist_to_binary(Cookie),
	{ok, Empty} = gun_cookies:session_gc(Store2),
	{ok, [], _} = gun_cookies:query(Empty, URI),
	true = gun_cookies:domain_match(<<"a.example.org">>, <<"example.org">>),
	true = gun_cookies:path_match(<<"/a/b">>, <<"/a">>),
	{ok, _} = gun_cookies:gc(Store2),
	ok.

supervisor(Config) ->
	ct:comment("gun_sup and gun_conns_sup are there, and the latter has the connections as children."),
	{gun_conns_sup, Sup, supervisor, [gun_conns_sup]} = lists:keyfind(gun_conns_sup, 1, supervisor:which_children(gun_sup)),
	Sup = whereis(gun_conns_sup),
	Before = supervisor:which_children(gun_conns_sup),
	{ok, ConnPid} = gun:open("localhost", do_config(port, Config)),
	[{undefined, ConnPid, worker, [gun]}] = supervisor:which_children(gun_conns_sup) -- Before,
	Count = length(Before) + 1,
	Count = proplists:get_value(active, supervisor:count_children(gun_conns_sup)),
	ok = supervisor:terminate_child(gun_conns_sup, ConnPid),
	false = is_process_alive(ConnPid),
	Before = supervisor:which_children(gun_conns_sup),
	{error, not_found} = supervisor:terminate_child(gun_conns_sup, self()),
	ok.

pool(Config) ->
	ct:comment("A pool is found by host and scope, and shown by gun_pools_sup."),
	Port = do_config(port, Config),
	Authority = iolist_to_binary(gun_http:host_header(tcp, "localhost", Port)),
	{ok, Pool} = gun_pool:start_pool("localhost", Port, #{scope => bots, size => 2, conn_opts => #{protocols => [http]}}),
	ok = gun_pool:await_up(Authority, bots),
	[{undefined, Pool, worker, [gun_pool]}] = supervisor:which_children(gun_pools_sup),
	Headers = #{<<"host">> => Authority},
	ReqOpts = #{scope => bots, checkout_retry => [10, 100]},
	{async, Ref={ConnPid, StreamRef}} = gun_pool:get(<<"/ok">>, Headers, ReqOpts),
	true = is_pid(ConnPid) andalso is_reference(StreamRef),
	{response, _, _, _} = gun_pool:await(Ref),
	{operational, #{conns := Conns}} = gun_pool:info(Authority, bots),
	2 = map_size(Conns),
	{error, pool_not_found, _} = gun_pool:get(<<"/ok">>, Headers),
	{ConnPid2, #{}} = gun_pool:checkout(Pool, #{}),
	true = is_map_key(ConnPid2, Conns),
	ok = gun_pool:stop_pool("localhost", Port, #{scope => bots}),
	[] = supervisor:which_children(gun_pools_sup),
	undefined = gun_pool:info(Authority, bots).

unsupervised(Config) ->
	ct:comment("A connection that is not supervised is no child."),
	{ok, ConnPid} = gun:open("localhost", do_config(port, Config), #{supervise => false}),
	{ok, http} = gun:await_up(ConnPid),
	true = unlink(ConnPid),
	[] = [Pid || {_, Pid, _, _} <- supervisor:which_children(gun_conns_sup), Pid =:= ConnPid],
	MRef = monitor(process, ConnPid),
	ok = gun:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}, ok).

refused_options(_) ->
	ct:comment("What is refused is refused as in gun."),
	{error, {options, {retry, -1}}} = gun:open("localhost", 1, #{retry => -1}),
	{error, {options, {ws, {oops, 1}}}} = gun:open("localhost", 1, #{ws_opts => #{oops => 1}}),
	ok.

stand_in(_) ->
	ct:comment("The pid of a test stands in for a connection, as with gun."),
	Self = self(),
	Ref = make_ref(),
	ok = gun:ws_send(Self, Ref, {text, "x"}),
	?EXPECT({'$gen_cast', {ws_send, Self, Ref, {text, "x"}}}, ok),
	StreamRef = gun:ws_upgrade(Self, "/", [{"A", "b"}], #{compress => true}),
	?EXPECT({'$gen_cast', {ws_upgrade, Self, StreamRef, "/", [{<<"a">>, "b"}], #{compress := true}}}, ok),
	{error, simple_one_for_one} = gun:close(not_a_pid),
	{error, not_found} = gun:close(Self).

host_header(_) ->
	ct:comment("gun_http:host_header/3 leaves out the port that is the transport's own."),
	_ = [Expected = iolist_to_binary(gun_http:host_header(Transport, Host, Port)) || {Transport, Host, Port, Expected} <- [
		{tcp, "example.org", 80, <<"example.org">>},
		{tls, "example.org", 443, <<"example.org">>},
		{tls, "example.org", 80, <<"example.org:80">>},
		{tcp, localhost, 8080, <<"localhost:8080">>},
		{tcp, {127, 0, 0, 1}, 80, <<"127.0.0.1">>},
		{tcp, {0, 0, 0, 0, 0, 0, 0, 1}, 8080, <<"[::1]:8080">>},
		{tcp, {local, "/socket"}, 80, <<>>}
	]],
	ok.

%% Helpers.

do_config(Key, Config) ->
	{_, Value} = lists:keyfind(Key, 1, Config),
	Value.

%% A server that answers one request, whose bytes do_got/1 has, with what it is given.
do_serve(Response) ->
	Self = self(),
	{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {reuseaddr, true}]),
	{ok, Port} = inet:port(Listener),
	Server = spawn_link(fun() ->
		{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
		Self ! {self(), do_request(Socket, <<>>)},
		ok = gen_tcp:send(Socket, Response),
		case binary:match(iolist_to_binary(Response), <<"connection: close">>) of
			nomatch -> {error, closed} = gen_tcp:recv(Socket, 0, ?WAIT);
			_ -> gen_tcp:close(Socket)
		end
	end),
	{Port, Server}.

do_got(Server) ->
	?EXPECT({Server, Request}, Request).

%% What has a body ends with the word.
do_request(Socket, Acc0) ->
	{ok, Data} = gen_tcp:recv(Socket, 0, ?WAIT),
	Acc = <<Acc0/binary, Data/binary>>,
	case {Acc, re:run(Acc, "\r\n\r\n(body)?$", [{capture, none}])} of
		{<<"P", _/binary>>, match} ->
			case binary:match(Acc, <<"\r\n\r\nbody">>) of
				nomatch -> do_request(Socket, Acc);
				_ -> Acc
			end;
		{_, match} -> Acc;
		{_, nomatch} -> do_request(Socket, Acc)
	end.

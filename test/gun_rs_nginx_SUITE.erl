%% HTTP/2 with nginx, as a server of files and as a proxy before Cowboy.
-module(gun_rs_nginx_SUITE).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

-define(MIB, 16#100000).

groups() ->
	[{Group, gun_rs_suite:cases(?MODULE)} || Group <- [http2, https2]].

init_per_group(Group, Config) ->
	case other_servers:find("nginx/usr/sbin/nginx") of
		{ok, File} -> do_start(File, [{transport, case Group of http2 -> tcp; https2 -> tls end}|Config]);
		none -> {skip, "No nginx is in _build/peers: run `scripts/setup.sh test`."}
	end.

end_per_group(_, Config) ->
	other_servers:stop(config(nginx, Config)),
	gun_rs_test:stop_cowboy(config(cowboy, Config)).

do_start(File, Config) ->
	{Cowboy, CowboyPort} = gun_rs_test:start_cowboy(http_echo_h:routes(), [{port, 0}]),
	Dir = filename:join(config(priv_dir, Config), "nginx_" ++ atom_to_list(config(transport, Config))),
	ok = filelib:ensure_dir(filename:join([Dir, "www", "any"])),
	Large = crypto:strong_rand_bytes(?MIB),
	ok = file:write_file(filename:join([Dir, "www", "large"]), Large),
	ok = file:write_file(filename:join([Dir, "www", "small"]), "small"),
	Port = other_servers:free_port(),
	FewPort = other_servers:free_port(),
	ConfFile = filename:join(Dir, "nginx.conf"),
	ok = file:write_file(ConfFile, do_conf(Dir, CowboyPort, Port, FewPort, Config)),
	Nginx = other_servers:start(File, ["-p", Dir, "-c", ConfFile, "-e", "stderr"], [Port, FewPort]),
	[{nginx, Nginx}, {cowboy, Cowboy}, {port, Port}, {few_port, FewPort}, {large, Large}|Config].

do_conf(Dir, CowboyPort, Port, FewPort, Config) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	{Listen, Tls} = case config(transport, Config) of
		tcp -> {" http2;\n", ""};
		tls -> {" ssl http2;\n", ["ssl_certificate ", CertFile, ";\nssl_certificate_key ", KeyFile, ";\n"]}
	end,
	Server = fun(ServerPort, More) -> [
		"server {\n",
		"listen 127.0.0.1:", integer_to_list(ServerPort), Listen, Tls, More,
		"root ", Dir, "/www;\n",
		"location /pushing { http2_push /small; try_files /large =404; }\n",
		"location /cowboy/ { proxy_pass http://127.0.0.1:", integer_to_list(CowboyPort), "/; proxy_http_version 1.1; }\n",
		"}\n"
	] end,
	[
		"daemon off;\nmaster_process off;\npid ", Dir, "/pid;\nevents {}\n",
		"http {\naccess_log off;\nclient_max_body_size 0;\n",
		[[What, "_temp_path ", Dir, "/temp_", What, ";\n"] || What <- ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]],
		Server(Port, ""), Server(FewPort, "keepalive_requests 20;\n"),
		"}\n"
	].

files(Config) ->
	doc("Files arrive whole, many at once; what is not there is a 404."),
	ConnPid = http2_servers:open(Config, config(port, Config)),
	Large = config(large, Config),
	Refs = [{gun_rs:get(ConnPid, "/large"), gun_rs:get(ConnPid, "/small"), gun_rs:head(ConnPid, "/large")}
		|| _ <- lists:seq(1, 30)],
	_ = [begin
		{200, _, Large} = answer(ConnPid, LargeRef),
		{200, _, <<"small">>} = answer(ConnPid, SmallRef),
		{200, Headers, <<>>} = answer(ConnPid, HeadRef),
		{_, <<"1048576">>} = lists:keyfind(<<"content-length">>, 1, Headers)
	end || {LargeRef, SmallRef, HeadRef} <- Refs],
	{404, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/nothing")),
	ok = gun_rs:close(ConnPid).

through_the_proxy(Config) ->
	doc("Bodies pass a proxy in both directions, whole and in pieces."),
	ConnPid = http2_servers:open(Config, config(port, Config)),
	Body = crypto:strong_rand_bytes(4 * ?MIB),
	{200, _, Body} = answer(ConnPid, gun_rs:post(ConnPid, "/cowboy/echo", [], Body)),
	StreamRef = gun_rs:post(ConnPid, "/cowboy/echo", []),
	_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, binary:part(Body, N * 16#10000, 16#10000)) || N <- lists:seq(0, 63)],
	ok = gun_rs:data(ConnPid, StreamRef, fin, <<>>),
	{200, _, Body} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

push(Config) ->
	doc("nginx pushes a file with another one."),
	ConnPid = http2_servers:open(Config, config(port, Config)),
	StreamRef = gun_rs:get(ConnPid, "/pushing"),
	NewRef = ?EXPECT({gun_push, ConnPid, StreamRef, R, <<"GET">>, _, _}, R),
	{200, _, <<"small">>} = answer(ConnPid, NewRef),
	{200, _, _} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

no_more_requests(Config) ->
	doc("A server that takes a number of requests on a connection goes away after them; the next connection goes on."),
	ConnPid = http2_servers:open(Config, config(few_port, Config), #{retry => 5}),
	_ = [{200, _, <<"small">>} = do_get(ConnPid, 10) || _ <- lists:seq(1, 100)],
	?EXPECT({gun_down, ConnPid, http2, normal, _}),
	?EXPECT({gun_up, ConnPid, http2}),
	ok = gun_rs:close(ConnPid),
	gun_rs:flush(ConnPid).

%% What the server has not begun with can be asked for again.
do_get(ConnPid, Left) when Left > 0 ->
	case answer(ConnPid, gun_rs:get(ConnPid, "/small")) of
		{error, {goaway, no_error, _}} -> do_get(ConnPid, Left - 1);
		Answer -> Answer
	end.

no_websocket(Config) ->
	doc("nginx has no extended CONNECT, and the error says so."),
	ConnPid = http2_servers:open(Config, config(port, Config)),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/cowboy/websocket"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, [_|_]}}),
	{200, _, <<"small">>} = answer(ConnPid, gun_rs:get(ConnPid, "/small")),
	ok = gun_rs:close(ConnPid).

%% Tunnels by way of the proxies of others: tinyproxy, which speaks CONNECT, and microsocks, which speaks SOCKS 5.
-module(gun_rs_proxies_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-define(TIMETRAP, {minutes, 15}).
-include("gun_rs_suite.hrl").

-define(MIB, 16#100000).
-define(FRAMES, 100000).

groups() ->
	[{Group, gun_rs_suite:cases(?MODULE)} || Group <- [tinyproxy, microsocks, both]].

init_per_group(Group, Config) ->
	case {other_servers:find("tinyproxy-bin/usr/bin/tinyproxy"), other_servers:find("microsocks/usr/bin/microsocks")} of
		{{ok, Tinyproxy}, {ok, Microsocks}} -> do_start(Group, Tinyproxy, Microsocks, Config);
		_ -> {skip, "No proxies are in _build/peers: run `scripts/setup.sh test`."}
	end.

end_per_group(_, Config) ->
	_ = [other_servers:stop(Proxy) || Proxy <- config(started, Config)],
	_ = [http2_servers:stop(Server) || Server <- config(servers, Config)],
	ok.

do_start(Group, Tinyproxy, Microsocks, Config) ->
	Tcp = {TcpPort, _} = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	Tls = {TlsPort, _} = http2_servers:cowboy([{transport, tls}|Config], #{}),
	[ConnectPort, SocksPort] = [other_servers:free_port(), other_servers:free_port()],
	File = filename:join(config(priv_dir, Config), "tinyproxy_" ++ atom_to_list(Group) ++ ".conf"),
	ok = file:write_file(File, io_lib:format("Port ~b\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nAllow 127.0.0.1\n"
		"BasicAuth me secret\nConnectPort ~b\nConnectPort ~b\nConnectPort ~b\n", [ConnectPort, TcpPort, TlsPort, SocksPort])),
	Started = [
		other_servers:start(Tinyproxy, ["-d", "-c", File], [ConnectPort]),
		other_servers:start(Microsocks, ["-i", "127.0.0.1", "-p", integer_to_list(SocksPort), "-u", "me", "-P", "secret"],
			[SocksPort])
	],
	[{group, Group}, {started, Started}, {servers, [Tcp, Tls]}, {tcp, TcpPort}, {tls, TlsPort}, {connect, ConnectPort},
		{socks, SocksPort}|Config].

%% A connection to the origin, and the option that its streams need.
do_open(Transport, Protocols, Config) ->
	Origin0 = #{host => "127.0.0.1", port => config(Transport, Config), transport => Transport, protocols => Protocols},
	Origin = case Transport of
		tcp -> Origin0;
		tls -> Origin0#{tls_opts => tunnel_ways:tls_opts(Config)}
	end,
	case config(group, Config) of
		tinyproxy -> do_connect(Origin, Config);
		microsocks -> do_socks(Origin, Config);
		both -> do_connect(#{host => "127.0.0.1", port => config(socks, Config), protocols => [{socks, do_auth(Origin)}]}, Config)
	end.

do_auth(Origin) ->
	Origin#{auth => [{username_password, <<"me">>, <<"secret">>}]}.

do_connect(Destination, Config) ->
	ConnPid = open(config(connect, Config)),
	Tunnel = gun_rs:connect(ConnPid, Destination#{username => "me", password => "secret"}),
	{response, fin, 200, _} = gun_rs:await(ConnPid, Tunnel, ?WAIT),
	{up, Protocol} = gun_rs:await(ConnPid, Tunnel, ?WAIT),
	_ = [{up, _} = gun_rs:await(ConnPid, Tunnel, ?WAIT) || Protocol =:= socks],
	{ConnPid, #{tunnel => Tunnel}}.

do_socks(Origin, Config) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(socks, Config), #{protocols => [{socks, do_auth(Origin)}], retry => 0}),
	{ok, socks} = gun_rs:await_up(ConnPid, ?WAIT),
	{up, _} = gun_rs:await(ConnPid, undefined, ?WAIT),
	{ConnPid, #{}}.

each_origin(Config) ->
	doc("HTTP/1.1 and HTTP/2, over TCP and TLS."),
	_ = [begin
		{ConnPid, ReqOpts} = do_open(Transport, Protocols, Config),
		{200, _, <<"hello">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "hello", ReqOpts)),
		ok = gun_rs:close(ConnPid)
	end || {Transport, Protocols} <- [{tcp, [http]}, {tcp, [http2]}, {tls, [http]}, {tls, [http2, http]}]],
	ok.

large_body(Config) ->
	doc("A request of 100 MiB arrives whole."),
	{ConnPid, ReqOpts} = do_open(tls, [http], Config),
	Part = crypto:strong_rand_bytes(?MIB),
	StreamRef = gun_rs:post(ConnPid, "/hash", [], ReqOpts),
	Hash = lists:foldl(fun(_, Acc) ->
		ok = gun_rs:data(ConnPid, StreamRef, nofin, Part),
		crypto:hash_update(Acc, Part)
	end, crypto:hash_init(sha256), lists:seq(1, 100)),
	ok = gun_rs:data(ConnPid, StreamRef, fin, ""),
	{200, _, Answer} = do_answer(ConnPid, StreamRef),
	{Size, Final} = {100 * ?MIB, crypto:hash_final(Hash)},
	{Size, Final} = binary_to_term(Answer),
	ok = gun_rs:close(ConnPid).

%% It takes as long as it takes.
do_answer(ConnPid, StreamRef) ->
	{response, nofin, Status, Headers} = gun_rs:await(ConnPid, StreamRef, 600000),
	{ok, Body} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	{Status, Headers, Body}.

many_frames(Config) ->
	doc("A WebSocket of 100,000 frames in each direction loses none, and keeps their order."),
	{ConnPid, ReqOpts} = do_open(tcp, [http], Config),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], ReqOpts),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	_ = [begin
		Frames = [{binary, <<N:32, 0:800>>} || N <- lists:seq(From, From + 999)],
		ok = gun_rs:ws_send(ConnPid, WsRef, Frames),
		_ = [{ws, Frame} = gun_rs:await(ConnPid, WsRef, ?WAIT) || Frame <- Frames]
	end || From <- lists:seq(1, ?FRAMES, 1000)],
	ok = gun_rs:close(ConnPid).

wrong_password(Config) ->
	doc("A wrong password is refused by name."),
	case config(group, Config) of
		tinyproxy ->
			ConnPid = open(config(connect, Config)),
			StreamRef = gun_rs:connect(ConnPid, #{host => "127.0.0.1", port => config(tcp, Config), username => "me", password => "x"}),
			{response, _, Status, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
			true = Status =:= 401 orelse Status =:= 407,
			ok = gun_rs:close(ConnPid);
		_ ->
			{ok, ConnPid} = gun_rs:open("127.0.0.1", config(socks, Config), #{retry => 0, protocols => [{socks, #{
				host => "127.0.0.1", port => config(tcp, Config), auth => [{username_password, <<"me">>, <<"x">>}]}}]}),
			?EXPECT({gun_down, ConnPid, socks, {error, {socks5, username_password_auth_failure}}, []})
	end.

nobody_listens(Config) ->
	doc("A destination where nobody listens is the proxy's to tell."),
	{Refused, Port} = refused_port(),
	_ = case config(group, Config) of
		tinyproxy ->
			ConnPid = open(config(connect, Config)),
			StreamRef = gun_rs:connect(ConnPid, #{host => "127.0.0.1", port => Port, username => "me", password => "secret"}),
			{response, _, Status, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
			true = Status >= 400,
			ok = gun_rs:close(ConnPid);
		_ ->
			{ok, ConnPid} = gun_rs:open("127.0.0.1", config(socks, Config), #{retry => 0,
				protocols => [{socks, do_auth(#{host => "127.0.0.1", port => Port})}]}),
			?EXPECT({gun_down, ConnPid, socks, {error, {socks5, connection_refused}}, []})
	end,
	release_port(Refused).

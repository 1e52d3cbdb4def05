%% Tunnels by way of the proxies of others: tinyproxy and squid, which speak CONNECT over HTTP/1.1; nghttpx, which speaks it
%% over HTTP/2, and asks tinyproxy in turn; and microsocks and Dante, which speak SOCKS 5.
-module(gun_rs_proxies_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-define(TIMETRAP, {minutes, 15}).
-include("gun_rs_suite.hrl").
-include_lib("kernel/include/file.hrl").

-define(MIB, 16#100000).
-define(FRAMES, 100000).

%% A port that Dante's rules forbid.
-define(BLOCKED, 9).

%% Dante knows the users of the system alone.
groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	[{dante, Cases -- [wrong_password]}|[{Group, Cases} || Group <- [tinyproxy, nghttpx, microsocks, both, squid]]].

init_per_group(Group, Config) ->
	Programs = [{Name, other_servers:find(Path)} || Name <- do_programs(Group), {N, Path} <- [
		{tinyproxy, "tinyproxy-bin/usr/bin/tinyproxy"},
		{microsocks, "microsocks/usr/bin/microsocks"},
		{squid, "squid/usr/sbin/squid"},
		{nghttpx, "nghttp2-proxy/usr/sbin/nghttpx"},
		{dante, "dante-server/usr/sbin/danted"}
	], N =:= Name],
	case {lists:keymember(none, 2, Programs), Group} of
		{true, _} ->
			{skip, "Not all proxies are in _build/peers: run `scripts/setup.sh test`."};
		{false, squid} ->
			case do_is_open(config(priv_dir, Config)) of
				true -> do_start(Group, [{Name, File} || {Name, {ok, File}} <- Programs], Config);
				false -> {skip, "Squid gives up the rights of root, and may not read a folder of the project then."}
			end;
		{false, nghttpx} ->
			[{ok, Nghttpx}, {ok, Tinyproxy}] = [config(Name, Programs) || Name <- [nghttpx, tinyproxy]],
			do_start_nghttpx(Nghttpx, do_start(nghttpx, [{tinyproxy, Tinyproxy}], Config));
		{false, _} ->
			do_start(Group, [{Name, File} || {Name, {ok, File}} <- Programs], Config)
	end.

%% Whether others than root may reach what is in this folder, if this is root.
do_is_open(Dir) ->
	Parts = filename:split(Dir),
	Above = [filename:join(lists:sublist(Parts, N)) || N <- lists:seq(1, length(Parts))],
	string:trim(os:cmd("id -u")) =/= "0" orelse lists:all(fun(D) ->
		{ok, #file_info{mode = Mode}} = file:read_file_info(D),
		Mode band 8#001 =/= 0
	end, Above).

do_programs(both) -> [tinyproxy, microsocks];
do_programs(nghttpx) -> [nghttpx, tinyproxy];
do_programs(Group) -> [Group].

end_per_group(_, Config) ->
	_ = [other_servers:stop(Proxy) || Proxy <- config(started, Config)],
	_ = [http2_servers:stop(Server) || Server <- config(servers, Config)],
	ok.

do_start(Group, Programs, Config) ->
	Tcp = {TcpPort, _} = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	Tls = {TlsPort, _} = http2_servers:cowboy([{transport, tls}|Config], #{}),
	[ConnectPort, SocksPort] = [other_servers:free_port(), other_servers:free_port()],
	Dir = filename:join(config(priv_dir, Config), Group),
	ok = filelib:ensure_dir(filename:join(Dir, "any")),
	Allowed = [TcpPort, TlsPort, SocksPort],
	Started = [do_start_program(Name, File, Dir, {ConnectPort, SocksPort, Allowed}) || {Name, File} <- Programs],
	Kind = case Group of
		nghttpx -> connect;
		squid -> connect;
		tinyproxy -> connect;
		both -> both;
		_ -> socks
	end,
	[{group, Group}, {kind, Kind}, {started, Started}, {servers, [Tcp, Tls]}, {tcp, TcpPort}, {tls, TlsPort},
		{connect, ConnectPort}, {socks, SocksPort}|Config].

do_start_program(tinyproxy, File, Dir, {Port, _, Allowed}) ->
	Conf = filename:join(Dir, "tinyproxy.conf"),
	ok = file:write_file(Conf, [io_lib:format("Port ~b\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nAllow 127.0.0.1\n"
		"BasicAuth me secret\n", [Port]), [io_lib:format("ConnectPort ~b\n", [P]) || P <- Allowed]]),
	other_servers:start(File, ["-d", "-c", Conf], [Port]);
do_start_program(microsocks, File, _, {_, Port, _}) ->
	other_servers:start(File, ["-i", "127.0.0.1", "-p", integer_to_list(Port), "-u", "me", "-P", "secret"], [Port]);
%% The pages of its errors and its icons belong to other packages.
do_start_program(squid, File, Dir, {Port, _, Allowed}) ->
	[Conf, Passwords] = [filename:join(Dir, Name) || Name <- ["squid.conf", "passwords"]],
	ok = file:write_file(Passwords, ["me:", os:cmd("openssl passwd -apr1 secret")]),
	Helpers = filename:join(do_root(File), "usr/lib/squid"),
	ok = file:write_file(Conf, io_lib:format("http_port 127.0.0.1:~b\n"
		"auth_param basic program ~ts/basic_ncsa_auth ~ts\nacl known proxy_auth REQUIRED\nacl origins port ~ts\n"
		"http_access deny !origins\nhttp_access allow known\nhttp_access deny all\n"
		"dns_timeout 2 seconds\ncache deny all\naccess_log none\ncache_log /dev/null\ncache_store_log none\nnetdb_filename none\npid_filename none\n"
		"pinger_enable off\nunlinkd_program ~ts/unlinkd\nlogfile_daemon ~ts/log_file_daemon\nmime_table /dev/null\n"
		"icon_directory ~ts\nerror_directory ~ts\ncoredump_dir ~ts\n",
		[Port, Helpers, Passwords, lists:join(" ", [integer_to_list(P) || P <- Allowed]), Helpers, Helpers, Dir, Dir, Dir])),
	other_servers:start_with_libraries({do_root(File), File}, ["-N", "-f", Conf], [Port]);
do_start_program(dante, File, Dir, {_, Port, _}) ->
	Conf = filename:join(Dir, "danted.conf"),
	ok = file:write_file(Conf, io_lib:format("logoutput: /dev/null\ninternal: 127.0.0.1 port = ~b\nexternal: 127.0.0.1\n"
		"clientmethod: none\nsocksmethod: none\nclient pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
		"socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = ~b }\n"
		"socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n", [Port, ?BLOCKED])),
	other_servers:start_with_libraries({do_root(File), File}, ["-f", Conf, "-p", filename:join(Dir, "pid")], [Port]).

%% Where the package was unpacked.
do_root(File) ->
	filename:dirname(filename:dirname(filename:dirname(File))).

%% It leads to tinyproxy, without TLS on either side.
do_start_nghttpx(Nghttpx, Config) ->
	Port = other_servers:free_port(),
	Behind = io_lib:format("--backend=127.0.0.1,~b", [config(connect, Config)]),
	Frontend = io_lib:format("--frontend=127.0.0.1,~b;no-tls", [Port]),
	%% Those of its libraries that the system lacks.
	Libraries = filelib:wildcard(filename:join(filename:dirname(Nghttpx), "../lib/*-linux-gnu")),
	Proxy = other_servers:start("env", ["LD_LIBRARY_PATH=" ++ lists:append(lists:join(":", Libraries)), Nghttpx,
		"--http2-proxy", "--single-process", "--workers=1", "--conf=/dev/null", lists:flatten(Frontend),
		lists:flatten(Behind)], [Port]),
	lists:keystore(started, 1, lists:keyreplace(connect, 1, Config, {connect, Port}),
		{started, [Proxy|config(started, Config)]}).

%% A connection to the origin, and the option that its streams need.
do_open(Transport, Protocols, Config) ->
	Origin0 = #{host => "127.0.0.1", port => config(Transport, Config), transport => Transport, protocols => Protocols},
	Origin = case Transport of
		tcp -> Origin0;
		tls -> Origin0#{tls_opts => tunnel_ways:tls_opts(Config)}
	end,
	case config(kind, Config) of
		connect -> do_connect(Origin, Config);
		socks -> do_socks(Origin, Config);
		both -> do_connect(#{host => "127.0.0.1", port => config(socks, Config), protocols => [{socks, do_auth(Origin)}]}, Config)
	end.

do_auth(Origin) ->
	Origin#{auth => [{username_password, <<"me">>, <<"secret">>}, none]}.

do_proxy(Config) ->
	case config(group, Config) of
		nghttpx ->
			{ok, ConnPid} = gun_rs:open("127.0.0.1", config(connect, Config), #{protocols => [http2], retry => 0}),
			{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
			ConnPid;
		_ -> open(config(connect, Config))
	end.

do_connect(Destination, Config) ->
	ConnPid = do_proxy(Config),
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

%% The same by the option proxy of open. With both, SOCKS is spoken behind the first.
do_dial(Transport, Protocols, Opts, Config) ->
	do_dial({"127.0.0.1", config(Transport, Config)}, Transport, Protocols, Opts, Config).

do_dial({Host, Port}, Transport, Protocols, Opts0, Config) ->
	Opts = case Transport of
		tcp -> maps:merge(#{retry => 0}, Opts0);
		tls -> maps:merge(#{retry => 0, tls_opts => tunnel_ways:tls_opts(Config)}, Opts0)
	end,
	{ok, ConnPid} = case config(kind, Config) of
		both ->
			Behind = do_auth(#{host => Host, port => Port, transport => Transport, protocols => Protocols,
				tls_opts => tunnel_ways:tls_opts(Config)}),
			gun_rs:open("127.0.0.1", config(socks, Config), maps:merge(#{proxy => do_url(connect, Config)},
				Opts#{transport => tcp, protocols => [{socks, Behind}]}));
		Kind ->
			gun_rs:open(Host, Port, maps:merge(#{transport => Transport, protocols => Protocols,
				proxy => do_url(Kind, Config)}, Opts))
	end,
	ConnPid.

do_url(connect, Config) ->
	"http://me:secret@127.0.0.1:" ++ integer_to_list(config(connect, Config));
do_url(socks, Config) ->
	"socks5h://me:secret@127.0.0.1:" ++ integer_to_list(config(socks, Config)).

do_up(both, ConnPid) ->
	{ok, socks} = gun_rs:await_up(ConnPid, ?WAIT),
	{up, _} = gun_rs:await(ConnPid, undefined, ?WAIT);
do_up(_, ConnPid) ->
	{ok, _} = gun_rs:await_up(ConnPid, ?WAIT).

dialled(Config) ->
	doc("By the option proxy: each origin, a WebSocket, and 10,000 frames."),
	_ = [begin
		ConnPid = do_dial(Transport, Protocols, #{}, Config),
		do_up(config(kind, Config), ConnPid),
		{200, _, <<"hello">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "hello")),
		WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
		{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
		Frames = [{binary, <<N:32, 0:800>>} || N <- lists:seq(1, 10000)],
		ok = gun_rs:ws_send(ConnPid, WsRef, Frames),
		_ = [{ws, Frame} = gun_rs:await(ConnPid, WsRef, ?WAIT) || Frame <- Frames],
		ok = gun_rs:close(ConnPid)
	end || {Transport, Protocols} <- [{tcp, [http]}, {tcp, [http2]}, {tls, [http]}, {tls, [http2, http]}]],
	ok.

dialled_in_vain(Config) ->
	doc("By the option proxy, what a proxy refuses has a reason: a password, a port, a host that has no address."),
	{Refused, Port} = refused_port(),
	Reason = fun(ConnPid) ->
		{error, {down, {shutdown, {proxy, Why}}}} = gun_rs:await_up(ConnPid, ?WAIT),
		nomatch = string:find(gun_rs:format_error({proxy, Why}), "no words"),
		Why
	end,
	Dial = fun(Host, Opts) -> do_dial({Host, Port}, tcp, [http], Opts, Config) end,
	Wrong = fun(Kind) -> #{proxy => re:replace(do_url(Kind, Config), "secret", "x", [{return, list}])} end,
	_ = case config(kind, Config) of
		both ->
			{status, _} = Reason(Dial("127.0.0.1", Wrong(connect)));
		connect ->
			%% Its rules allow the ports of the origins alone.
			{status, 403} = Reason(Dial("127.0.0.1", #{})),
			{status, Status} = Reason(do_dial(tcp, [http], Wrong(connect), Config)),
			true = Status =:= 401 orelse Status =:= 407,
			{status, NoName} = Reason(do_dial({"origin.invalid", config(tcp, Config)}, tcp, [http], #{}, Config)),
			true = NoName >= 500;
		socks ->
			{socks5, connection_refused} = Reason(Dial("127.0.0.1", #{})),
			{socks5, _} = Reason(Dial("origin.invalid", #{})),
			case config(group, Config) of
				microsocks ->
					{socks5, username_password_auth_failure} = Reason(Dial("127.0.0.1", Wrong(socks)));
				dante ->
					{socks5, connection_not_allowed_by_ruleset} =
						Reason(do_dial({"127.0.0.1", ?BLOCKED}, tcp, [http], #{}, Config))
			end
	end,
	release_port(Refused).

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
	case config(kind, Config) of
		connect ->
			ConnPid = do_proxy(Config),
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
	_ = case config(kind, Config) of
		connect ->
			ConnPid = do_proxy(Config),
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

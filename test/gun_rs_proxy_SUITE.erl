%% Connections that are dialled through a proxy: what is spoken behind it, what goes wrong on the way, and that the way is
%% made again for each attempt.
-module(gun_rs_proxy_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-include("gun_rs_suite.hrl").

-define(PASSWORD, <<"S3cr3t:/@ of the proxy">>).
-define(IN_URL, "S3cr3t%3A%2F%40%20of%20the%20proxy").

groups() ->
	[{proxy, gun_rs_suite:cases(?MODULE)}].

init_per_group(_, Config) ->
	tunnel_ways:init(Config).

end_per_group(_, Config) ->
	tunnel_ways:stop(Config).

%% The schemes, and what kind of proxy each asks for.
do_schemes() ->
	[{http, connect, tcp}, {https, connect, tls}, {socks5, socks, tcp}, {socks5h, socks, tcp}].

do_start(Scheme, Opts, Config) ->
	#{good := Good} = config(certs, Config),
	{_, Kind, Transport} = lists:keyfind(Scheme, 1, do_schemes()),
	proxies:start(Kind, case Transport of tcp -> Opts; tls -> Opts#{tls => Good} end).

do_url(Scheme, {_, Port}) ->
	do_url(Scheme, "", Port).

do_url(Scheme, User, Port) ->
	lists:concat([Scheme, "://", User, "localhost:", Port]).

%% The options of open for an origin behind a proxy.
do_opts(Url, {_, _, Transport, Protocols}, Config) ->
	Tls = tunnel_ways:tls_opts(Config),
	Opts = #{retry => 0, transport => Transport, protocols => Protocols, proxy => Url, proxy_opts => #{tls_opts => Tls}},
	case Transport of
		tcp -> Opts;
		tls -> Opts#{tls_opts => Tls}
	end.

do_open(Url, Opts, Config) ->
	#{tcp := Port} = config(origins, Config),
	{ok, ConnPid} = gun_rs:open("localhost", Port, maps:merge(#{retry => 0, proxy => Url}, Opts)),
	ConnPid.

do_sentence(Reason) ->
	Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
	nomatch = string:find(Sentence, "no words"),
	$. = lists:last(Sentence),
	[] = gun_rs_test:debris(Sentence),
	ok = do_without_secret(Sentence),
	Sentence.

%% What is spoken behind it.

each_way(Config) ->
	doc("By each scheme to each origin: gun_up says what the origin speaks, streams are plain, and info/1 names the proxy."),
	_ = [begin
		ct:log("~p to ~0p", [Scheme, Origin]),
		Proxy = {Pid, ProxyPort} = do_start(Scheme, #{}, Config),
		Port = map_get(PortName, config(origins, Config)),
		{ok, ConnPid} = gun_rs:open("localhost", Port, do_opts(do_url(Scheme, Proxy), Origin, Config)),
		Protocol = tunnel_ways:protocol(OriginKind),
		{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
		?EXPECT({proxy, Pid, {asked, _}}),
		{Type, Spoken} = case Kind of connect -> {connect, http}; socks -> {socks5, socks} end,
		Via = #{type => Type, protocol => Spoken, host => "localhost", port => ProxyPort, transport => ProxyTransport},
		#{origin_host := "localhost", origin_port := Port, transport := Transport, protocol := Protocol,
			intermediaries := [Via]} = gun_rs:info(ConnPid),
		do_talk(Protocol, ConnPid),
		ok = gun_rs:close(ConnPid),
		gun_rs:flush(ConnPid),
		proxies:stop(Proxy)
	end || {Scheme, Kind, ProxyTransport} <- do_schemes(),
		Origin={OriginKind, PortName, Transport, _} <- tunnel_ways:origins()],
	ok.

do_talk(raw, ConnPid) ->
	ok = gun_rs:data(ConnPid, undefined, nofin, "hello"),
	{data, nofin, <<"hello">>} = gun_rs:await(ConnPid, undefined, ?WAIT);
do_talk(_, ConnPid) ->
	{200, _, <<"hello">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "hello")),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{upgrade, [<<"websocket">>], _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, WsRef, {text, Text}),
		{ws, {text, Text}} = gun_rs:await(ConnPid, WsRef, ?WAIT)
	end || Text <- [<<"one">>, <<"two">>]],
	ok.

large(Config) ->
	doc("A message of 8 MiB passes TLS within TLS in both directions."),
	Proxy = do_start(https, #{}, Config),
	#{tls := Port} = config(origins, Config),
	Origin = {https, tls, tls, [http]},
	{ok, ConnPid} = gun_rs:open("localhost", Port, do_opts(do_url(https, Proxy), Origin, Config)),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	Message = {binary, crypto:strong_rand_bytes(8 * 1024 * 1024)},
	ok = gun_rs:ws_send(ConnPid, WsRef, Message),
	{ws, Message} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

who_resolves(Config) ->
	doc("By socks5 the name is resolved here, by socks5h and http at the proxy; an address is nobody's to resolve."),
	#{tcp := Port} = config(origins, Config),
	Target = fun(Host) -> iolist_to_binary([Host, $:, integer_to_list(Port)]) end,
	Connect = fun(Host) ->
		iolist_to_binary(["CONNECT ", Target(Host), " HTTP/1.1\r\nhost: ", Target(Host)])
	end,
	_ = [begin
		Proxy = {Pid, _} = do_start(Scheme, #{}, Config),
		{ok, ConnPid} = gun_rs:open(Host, Port, #{proxy => do_url(Scheme, Proxy), retry => 0, tcp_opts => [inet]}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		?EXPECT({proxy, Pid, {asked, Asked}}),
		ok = gun_rs:close(ConnPid),
		proxies:stop(Proxy)
	end || {Scheme, Host, Asked} <- [
		{socks5, "localhost", {{127, 0, 0, 1}, Port}},
		{socks5h, "localhost", {"localhost", Port}},
		{socks5h, {127, 0, 0, 1}, {{127, 0, 0, 1}, Port}},
		{http, "localhost", Connect("localhost")},
		{http, "127.0.0.1", Connect("127.0.0.1")}
	]],
	ok.

who_asks(Config) ->
	doc("A user and a password in the URL are decoded, and sent to the proxy alone."),
	#{tcp := Port} = config(origins, Config),
	Proxy = {Pid, ProxyPort} = do_start(http, #{}, Config),
	ConnPid = do_open(list_to_binary(do_url(http, "me:" ++ ?IN_URL ++ "@", ProxyPort)), #{}, Config),
	Asked = ?EXPECT({proxy, Pid, {asked, A}}, A),
	Basic = base64:encode(<<"me:", ?PASSWORD/binary>>),
	<<"proxy-authorization: Basic ", Basic/binary>> = lists:last(binary:split(Asked, <<"\r\n">>, [global])),
	{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	#{headers := Headers} = binary_to_term(Body),
	false = maps:is_key(<<"proxy-authorization">>, Headers),
	Host = iolist_to_binary(["localhost:", integer_to_list(Port)]),
	#{<<"host">> := Host} = Headers,
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy),
	Socks = {SocksPid, SocksPort} = do_start(socks5h, #{do => {password, <<"me">>, ?PASSWORD}}, Config),
	SocksConn = do_open(do_url(socks5h, "me:" ++ ?IN_URL ++ "@", SocksPort), #{}, Config),
	{ok, http} = gun_rs:await_up(SocksConn, ?WAIT),
	?EXPECT({proxy, SocksPid, {methods, <<2, 0>>}}),
	ok = gun_rs:close(SocksConn),
	proxies:stop(Socks).

further(Config) ->
	doc("Behind the proxy there may be others: by connect, and by SOCKS. All stand in intermediaries, in their order."),
	#{tcp := OriginPort} = config(origins, Config),
	Proxy = {Pid, Port} = do_start(http, #{}, Config),
	Second = {_, SecondPort} = do_start(http, #{}, Config),
	Socks = {_, SocksPort} = do_start(socks5h, #{}, Config),
	Origin = #{host => "localhost", port => OriginPort},
	{ok, ConnPid} = gun_rs:open("localhost", SecondPort, #{retry => 0, proxy => do_url(http, Proxy)}),
	Tunnel = gun_rs:connect(ConnPid, Origin),
	{response, fin, 200, _} = gun_rs:await(ConnPid, Tunnel, ?WAIT),
	{up, http} = gun_rs:await(ConnPid, Tunnel, ?WAIT),
	#{origin_port := OriginPort, intermediaries := [#{port := Port}, #{port := SecondPort}]} = gun_rs:info(ConnPid),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel})),
	ok = gun_rs:close(ConnPid),
	{ok, ConnPid2} = gun_rs:open("localhost", SocksPort, #{retry => 1, proxy => do_url(http, Proxy),
		protocols => [{socks, Origin}]}),
	{ok, socks} = gun_rs:await_up(ConnPid2, ?WAIT),
	{up, http} = gun_rs:await(ConnPid2, undefined, ?WAIT),
	#{origin_port := OriginPort, intermediaries := [#{type := connect, port := Port}, #{type := socks5, port := SocksPort}]} =
		gun_rs:info(ConnPid2),
	_ = gun_rs:get(ConnPid2, "/die"),
	?EXPECT({gun_down, ConnPid2, http, closed, [_]}),
	?EXPECT({gun_tunnel_up, ConnPid2, undefined, http}),
	#{intermediaries := [_, _]} = gun_rs:info(ConnPid2),
	ok = gun_rs:close(ConnPid2),
	?EXPECT({proxy, Pid, {asked, _}}),
	_ = [proxies:stop(P) || P <- [Proxy, Second, Socks]],
	ok.

fallback(Config) ->
	doc("With http1_fallback the connection of its own leads through the proxy too."),
	Origin = {OriginPort, _} = http2_servers:cowboy([{transport, tls}|Config], #{enable_connect_protocol => false}),
	Proxy = {Pid, _} = do_start(http, #{}, Config),
	Opts = do_opts(do_url(http, Proxy), {http2, tls, tls, [http2, http]}, Config),
	{ok, ConnPid} = gun_rs:open("localhost", OriginPort, Opts#{ws_opts => #{http1_fallback => true}}),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	?EXPECT({proxy, Pid, {asked, _}}),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	?EXPECT({proxy, Pid, {asked, _}}),
	proxies:stop(Proxy),
	%% Closed or reset, as it had read everything or not.
	?EXPECT({gun_error, ConnPid, WsRef, _}),
	?EXPECT({gun_down, ConnPid, http2, _, _}),
	http2_servers:stop(Origin).

others(Config) ->
	doc("gun_rs_socket, gun_rs_ws_client and a pool lead their connections through the proxy as well."),
	#{tcp := Port} = config(origins, Config),
	Proxy = {Pid, ProxyPort} = do_start(http, #{}, Config),
	Url = do_url(http, "me:" ++ ?IN_URL ++ "@", ProxyPort),
	{ok, Socket} = gun_rs_socket:connect("localhost", Port, "/websocket", #{proxy => Url, timeout => ?WAIT}),
	?EXPECT({proxy, Pid, {asked, _}}),
	ok = do_without_secret(Socket),
	ok = gun_rs_socket:close(Socket),
	{ok, Client} = gun_rs_ws_client:start_link("ws://localhost:" ++ integer_to_list(Port) ++ "/websocket", ws_client_h, self(),
		#{open => #{proxy => Url}}),
	?EXPECT({proxy, Pid, {asked, _}}),
	?EXPECT({Client, {text, <<"hello">>}}),
	ok = do_without_secret([sys:get_state(Client), sys:get_status(Client)]),
	ok = gun_rs_ws_client:stop(Client),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1, scope => ?MODULE, conn_opts => #{proxy => Url,
		proxy_opts => #{timeout => ?WAIT}}}),
	true = eventually(fun() ->
		case gun_rs_pool:info(Pool) of
			{operational, _} -> true;
			Other -> Other
		end
	end),
	?EXPECT({proxy, Pid, {asked, _}}),
	ok = do_without_secret([sys:get_state(Pool), sys:get_status(Pool), sys:get_status(gun_rs_pools_sup),
		gun_rs_pool:info(Pool)]),
	ok = gun_rs_pool:stop_pool("localhost", Port, #{scope => ?MODULE}),
	proxies:stop(Proxy).

%% What follows.

again(Config) ->
	doc("A connection that is lost is led through the proxy again, once the proxy is back; a WebSocket is opened again."),
	Proxy = {Pid, Port} = do_start(http, #{}, Config),
	ConnPid = do_open(do_url(http, Proxy), #{retry => 100000, retry_timeout => 1, notify_retries => true,
		ws_opts => #{reupgrade => true}}, Config),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	?EXPECT({proxy, Pid, {asked, _}}),
	_ = gun_rs:get(ConnPid, "/die"),
	?EXPECT({gun_down, ConnPid, http, closed, [_]}),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({proxy, Pid, {asked, _}}),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, WsRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, WsRef, [{text, <<"some traffic">>} || _ <- lists:seq(1, 1000)]),
	?EXPECT({gun_ws, ConnPid, WsRef, {text, _}}),
	proxies:stop(Proxy),
	?EXPECT({gun_down, ConnPid, ws, _, [WsRef]}),
	?EXPECT({gun_notify, ConnPid, retry, #{reason := {proxy, econnrefused}}}),
	Back = {BackPid, _} = do_start(http, #{port => Port}, Config),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({proxy, BackPid, {asked, _}}),
	?EXPECT({gun_upgrade, ConnPid, WsRef, _, _}),
	#{intermediaries := [#{port := Port}]} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Back).

nothing_stays(Config) ->
	doc("Connections that are led, refused and ended leave no socket and no task."),
	Proxy = do_start(http, #{}, Config),
	Refusing = do_start(http, #{do => {answer, "HTTP/1.1 403 Forbidden\r\n\r\n"}}, Config),
	Before = gun_rs_test:resources(),
	_ = [begin
		Led = do_open(do_url(http, Proxy), #{}, Config),
		{ok, http} = gun_rs:await_up(Led, ?WAIT),
		{error, {down, {shutdown, {proxy, {status, 403}}}}} =
			gun_rs:await_up(do_open(do_url(http, Refusing), #{}, Config), ?WAIT),
		ok = gun_rs:close(Led)
	end || _ <- lists:seq(1, 20)],
	gun_rs_test:nothing_left(Before),
	proxies:stop(Proxy),
	proxies:stop(Refusing).

shutdown(Config) ->
	doc("shutdown/1 while the proxy has not answered ends the connection."),
	Proxy = {Pid, _} = do_start(http, #{do => silent}, Config),
	ConnPid = do_open(do_url(http, Proxy), #{}, Config),
	?EXPECT({proxy, Pid, {asked, _}}),
	MRef = watch(ConnPid),
	#{protocol := P} = maps:merge(#{protocol => none}, gun_rs:info(ConnPid)),
	none = P,
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	proxies:stop(Proxy).

steps(Config) ->
	doc("An event handler hears of the proxy's name, of its TLS, and of the origin's."),
	Proxy = do_start(https, #{}, Config),
	#{tls := Port} = config(origins, Config),
	Opts = #{tls_opts := TlsOpts} = do_opts(do_url(https, Proxy), {http2, tls, tls, [http2, http]}, Config),
	{ok, ConnPid} = gun_rs:open("localhost", Port, Opts#{event_handler => {event_recorder_h, {self(), 0}},
		tls_opts => [{server_name_indication, "localhost"}|TlsOpts]}),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	{_, ProxyPort} = Proxy,
	?EXPECT({event, ConnPid, domain_lookup_start, #{port := ProxyPort}}),
	%% The first is the proxy's.
	Tls = tunnel_ways:tls_opts(Config),
	?EXPECT({event, ConnPid, connect_end, E}, false = is_map_key(protocol, E)),
	?EXPECT({event, ConnPid, tls_handshake_start, #{tls_opts := Tls}}),
	?EXPECT({event, ConnPid, tls_handshake_end, #{tls_opts := Tls}}),
	?EXPECT({event, ConnPid, tls_handshake_start, #{tls_opts := [{server_name_indication, "localhost"}|Tls]}}),
	?EXPECT({event, ConnPid, tls_handshake_end, #{protocol := http2}}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

%% What goes wrong.

faults(Config) ->
	doc("Each fault of a proxy has its reason, which is the exit's, await_up's and gun_notify's, and its sentence."),
	Large = ["HTTP/1.1 200 OK\r\nx: ", lists:duplicate(40000, $x)],
	_ = [begin
		ct:log("~p ~0P", [Scheme, Do, 20]),
		Proxy = do_start(Scheme, #{do => Do}, Config),
		ConnPid = do_open(do_url(Scheme, Proxy), #{notify_retries => true, proxy_opts => #{timeout => case Do of
			silent -> 100;
			_ -> infinity
		end, tls_opts => tunnel_ways:tls_opts(Config)}}, Config),
		{error, {down, {shutdown, {proxy, Reason}}}} = gun_rs:await_up(ConnPid, ?WAIT),
		?EXPECT({gun_notify, ConnPid, retry, #{reason := {proxy, Reason}}}),
		_ = do_sentence({proxy, Reason}),
		proxies:stop(Proxy)
	end || {Schemes, Do, Reason} <- [
		{[http, https], {answer, "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"}, {status, 407}},
		{[http], {answer, "HTTP/1.1 403 Forbidden\r\n\r\n"}, {status, 403}},
		{[http], {answer, "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\noops"}, {status, 502}},
		{[http], {answer, <<5, 0>>}, invalid_response},
		{[http], {answer, "SSH-2.0-OpenSSH\r\n"}, invalid_response},
		{[http], {answer, Large}, response_too_large},
		{[http, https, socks5h], close, closed},
		{[http, https, socks5, socks5h], silent, timeout},
		{[socks5h], {answer, "HTTP/1.1 400 Bad Request\r\n\r\n"}, {socks5, invalid_reply}},
		{[socks5h], {answer, <<5, 255>>}, {socks5, no_acceptable_method}},
		{[socks5h], {reply, 2}, {socks5, connection_not_allowed_by_ruleset}},
		{[socks5h], {reply, 4}, {socks5, host_unreachable}},
		{[socks5, socks5h], {reply, 5}, {socks5, connection_refused}},
		{[socks5h], {reply, 77}, {socks5, {unknown_error, 77}}}
	], Scheme <- Schemes],
	ok.

not_there(Config) ->
	doc("A proxy that cannot be reached, or whose name has no address, is named as the proxy."),
	{Refused, Port} = refused_port(),
	_ = [begin
		ConnPid = do_open(Url, #{}, Config),
		{error, {down, {shutdown, {proxy, Reason}}}} = gun_rs:await_up(ConnPid, ?WAIT),
		_ = do_sentence({proxy, Reason})
	end || {Url, Reason} <- [
		{do_url(http, "me:" ++ ?IN_URL ++ "@", Port), econnrefused},
		{do_url(socks5, "", Port), econnrefused},
		{"http://proxy.invalid:3128", nxdomain}
	]],
	release_port(Refused).

no_origin(Config) ->
	doc("What the origin's name, its port or its TLS is to blame for is told from what the proxy is."),
	Proxy = do_start(socks5, #{}, Config),
	{ok, ConnPid} = gun_rs:open("origin.invalid", 80, #{retry => 0, proxy => do_url(socks5, Proxy)}),
	{error, {down, {shutdown, nxdomain}}} = gun_rs:await_up(ConnPid, ?WAIT),
	proxies:stop(Proxy),
	#{tls := Tls, tcp := Tcp} = config(origins, Config),
	Connect = do_start(https, #{}, Config),
	Trusting = #{tls_opts => tunnel_ways:tls_opts(Config)},
	Inside = #{retry => 0, transport => tls, proxy => do_url(https, Connect), proxy_opts => Trusting},
	{ok, Unknown} = gun_rs:open("localhost", Tls, Inside),
	{error, {down, {shutdown, {tls_alert, {unknown_ca, _}}}}} = gun_rs:await_up(Unknown, ?WAIT),
	{ok, NoTls} = gun_rs:open("localhost", Tcp, Inside),
	{error, {down, {shutdown, Reason}}} = gun_rs:await_up(NoTls, ?WAIT),
	true = Reason =:= closed orelse element(1, Reason) =:= tls_alert,
	Untrusted = do_open(do_url(https, Connect), #{}, Config),
	{error, {down, {shutdown, OfProxy={proxy, {tls_alert, {unknown_ca, _}}}}}} = gun_rs:await_up(Untrusted, ?WAIT),
	_ = do_sentence(OfProxy),
	proxies:stop(Connect),
	Plain = do_start(http, #{}, Config),
	NoTlsThere = do_open(do_url(https, Plain), #{tls_handshake_timeout => 100}, Config),
	{error, {down, {shutdown, {proxy, _}}}} = gun_rs:await_up(NoTlsThere, ?WAIT),
	proxies:stop(Plain).

options(Config) ->
	doc("What cannot be a proxy is refused by open with a sentence, and shows no password."),
	{tls_opts, TlsOpt} = {tls_opts, {no_such_option, 1}},
	_ = [begin
		{error, Reason={options, Bad}} = gun_rs:open("localhost", 80, Opts),
		_ = do_sentence(Reason),
		ok = do_without_secret(Reason)
	end || {Opts, Bad} <- [{#{proxy => Url}, {proxy, Shown}} || {Url, Shown} <- [
			{1, 1}, {none, none}, {"", ""}, {"localhost:3128", "localhost:3128"}, {"ftp://localhost", "ftp://localhost"},
			{"socks4://localhost", "socks4://localhost"}, {"http://", "http://"}, {"http://:80", "http://:80"},
			{"http://localhost:0", "http://localhost:0"}, {"http://localhost:65536", "http://localhost:65536"},
			{"http://localhost:x", "http://localhost:x"}, {"http://local host", "http://local host"},
			{"http://localhost/path", "http://localhost/path"}, {"http://localhost?q", "http://localhost?q"},
			{"http://me:" ++ ?IN_URL ++ "@localhost:x", "http://***@localhost:x"},
			{"http://me:S3cr3t%zz@localhost", "http://***@localhost"},
			{"http://m%3Ae:" ++ ?IN_URL ++ "@localhost", "http://***@localhost"},
			{<<"http://me:S3cr3t/pw@localhost">>, <<"http://***@localhost">>},
			{"socks5://:" ++ ?IN_URL ++ "@localhost", "socks5://***@localhost"},
			{"socks5h://me:" ++ lists:duplicate(256, $s) ++ "@localhost", "socks5h://***@localhost"},
			{<<"http://[::1">>, <<"http://[::1">>}, {<<255>>, <<255>>}
		]] ++ [
			{#{proxy_opts => #{timeout => 1}}, {proxy_opts, no_proxy}},
			{#{proxy => "http://a", proxy_opts => [{password, ?PASSWORD}]}, {proxy_opts, hidden}},
			{#{proxy => "http://a", proxy_opts => #{timeout => 0.1}}, {proxy_opts, {timeout, 0.1}}},
			{#{proxy => "http://a", proxy_opts => #{unknown => 1}}, {proxy_opts, {unknown, 1}}},
			{#{proxy => "http://a", proxy_opts => #{tls_opts => [TlsOpt]}}, {proxy_opts, {tls_opts, TlsOpt}}},
			{#{proxy => "https://a", proxy_opts => #{tls_opts => [{alpn_advertised_protocols, [<<"h2">>]}]}},
				{proxy_opts, {tls_opts, {alpn_advertised_protocols, [<<"h2">>]}}}}
		]],
	_ = [begin
		{error, {options, {proxy, unix}}} = gun_rs:open_unix("/tmp/socket", #{proxy => P}),
		_ = do_sentence({options, {proxy, unix}})
	end || P <- [environment, "http://localhost"]],
	{error, {options, {proxy_opts, {tls_opts, Missing={cacertfile, _}}}}} = gun_rs:open("localhost", 80,
		#{proxy => "https://a", proxy_opts => #{tls_opts => [{cacertfile, filename:join(config(priv_dir, Config), "none")}]}}),
	_ = do_sentence({options, {proxy_opts, {tls_opts, Missing}}}),
	ok.

urls(_) ->
	doc("What a URL may leave out has a default; an IPv6 address stands in brackets."),
	_ = [{Url, #{scheme := Scheme, host := Host, port := Port}} = {Url, element(2, gun_rs_proxy_url:parse(Url))}
		|| {Url, Scheme, Host, Port} <- [
			{"http://proxy", http, "proxy", 80}, {"HTTPS://proxy/", https, "proxy", 443}, {"socks5://proxy", socks5, "proxy", 1080},
			{<<"socks5h://proxy.example.org:9050">>, socks5h, "proxy.example.org", 9050},
			{"http://[::1]:3128", http, "::1", 3128}, {"http://[fe80::1%25eth0]", http, "fe80::1%eth0", 80},
			{"http://@127.0.0.1:1", http, "127.0.0.1", 1}]],
	ok.

%% The environment.

environment(Config) ->
	doc("With environment the variables say which proxy there is for tls and for tcp, and which hosts need none."),
	Proxy = {Pid, Port} = do_start(http, #{}, Config),
	Url = do_url(http, Proxy),
	Bare = "localhost:" ++ integer_to_list(Port),
	Tcp = {http, tcp, tcp, [http]},
	Tls = {https, tls, tls, [http]},
	_ = [do_with(Variables, fun() ->
		ct:log("~0p", [Variables]),
		{_, PortName, _, _} = Origin,
		Opts = maps:remove(proxy, do_opts(none, Origin, Config)),
		{ok, ConnPid} = gun_rs:open("localhost", map_get(PortName, config(origins, Config)), Opts#{proxy => environment}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		Intermediaries = [P || #{port := P} <- map_get(intermediaries, gun_rs:info(ConnPid))],
		Intermediaries = [Port || IsLed],
		_ = [?EXPECT({proxy, Pid, {asked, _}}) || IsLed],
		ok = gun_rs:close(ConnPid)
	end) || {Origin, Variables, IsLed} <- [
		{Tcp, [], false},
		{Tcp, [{"HTTP_PROXY", Url}], true},
		{Tcp, [{"http_proxy", Url}], true},
		{Tcp, [{"HTTP_PROXY", Bare}], true},
		{Tcp, [{"HTTP_PROXY", ""}, {"ALL_PROXY", Url}], true},
		{Tcp, [{"HTTPS_PROXY", Url}], false},
		{Tcp, [{"all_proxy", Url}], true},
		{Tls, [{"HTTPS_PROXY", Url}], true},
		{Tls, [{"https_proxy", Url}, {"HTTP_PROXY", "none://"}], true},
		{Tls, [{"HTTP_PROXY", Url}], false},
		{Tls, [{"ALL_PROXY", Url}, {"NO_PROXY", "example.org,10.0.0.0/8"}], true},
		{Tls, [{"ALL_PROXY", Url}, {"NO_PROXY", "example.org, localhost"}], false},
		{Tcp, [{"ALL_PROXY", Url}, {"no_proxy", "*"}], false}
	]],
	proxies:stop(Proxy).

bad_environment(_) ->
	doc("A variable with no URL of a proxy is an error of open that names it, and not a connection without a proxy."),
	_ = [do_with([{Name, Value}], fun() ->
		{error, Reason={options, {proxy, {environment, Name, Fault}}}} =
			gun_rs:open("localhost", 80, #{proxy => environment, transport => Transport}),
		true = string:find(do_sentence(Reason), Name) =/= nomatch,
		ok = do_without_secret(Reason)
	end) || {Transport, Name, Value, Fault} <- [
		{tcp, "HTTP_PROXY", "ftp://localhost", {scheme, "ftp"}},
		{tls, "HTTPS_PROXY", "http://me:" ++ ?IN_URL ++ "@localhost:x", port},
		{tcp, "ALL_PROXY", "me:S3cr3t%zz@localhost", user},
		{tcp, "http_proxy", "me:S3cr3t://x@localhost", scheme},
		{tcp, "http_proxy", "http://", host}
	]],
	ok.

%% The variables are those of the whole VM.
do_with(Variables, Fun) ->
	Names = [Upper ++ "_PROXY" || Upper <- ["HTTP", "HTTPS", "ALL", "NO"]],
	All = Names ++ [string:lowercase(Name) || Name <- Names],
	Before = [{Name, os:getenv(Name)} || Name <- All],
	_ = [os:unsetenv(Name) || Name <- All],
	_ = [os:putenv(Name, Value) || {Name, Value} <- Variables],
	try
		Fun()
	after
		_ = [case Value of
			false -> os:unsetenv(Name);
			_ -> os:putenv(Name, Value)
		end || {Name, Value} <- Before]
	end.

%% Secrets.

bad_calls(_) ->
	doc("A call that is refused for its options shows no password of a proxy, wherever that stands."),
	Url = "http://me:S3cr3t@proxy",
	_ = process_flag(trap_exit, true),
	Client = fun(Opts) -> gun_rs_ws_client:start_link("ws://localhost", ws_client_h, self(), Opts) end,
	Errors = [gun_rs:open("localhost", 80, #{proxy => Bad}) || Bad <- [{Url, 80}, #{url => Url}, [Url, Url]]] ++
		[gun_rs_pool:start_pool("localhost", 80, #{conn_opts => Bad}) || Bad <- [[{proxy, Url}], #{proxy => {Url}}]] ++
		[Client(Bad) || Bad <- [#{proxy => Url}, #{open => [{proxy, Url}]}, [{proxy, Url}]]],
	Sentences = [begin
		{error, Reason} = Error,
		gun_rs:format_error(Reason)
	end || Error <- Errors],
	ok = do_without_secret([Errors, Sentences]),
	{error, Long} = gun_rs:open("localhost", 80, #{proxy => "socks5://:pw@proxy"}),
	true = nomatch =/= string:find(gun_rs:format_error(Long), "1 to 255").

secrets(Config) ->
	doc("The password of a proxy stands in no state, no status, no info/1, no crash report, no exit and no log."),
	Self = self(),
	ok = logger:add_handler(?MODULE, ?MODULE, #{config => Self, level => all}),
	#{level := Level} = logger:get_primary_config(),
	ok = logger:set_primary_config(level, all),
	RetryFun = fun(Left, Opts) ->
		Self ! {retry_opts, Opts},
		#{retries => Left - 1, timeout => 1}
	end,
	_ = [begin
		Proxy = {_, Port} = do_start(Scheme, #{do => Do}, Config),
		Url = do_url(Scheme, "me:" ++ ?IN_URL ++ "@", Port),
		do_with([{"ALL_PROXY", Url}], fun() ->
			ConnPid = do_open(case IsVariable of true -> environment; false -> Url end,
				#{retry => 5, retry_fun => RetryFun, supervise => IsSupervised,
				proxy_opts => #{tls_opts => [{password, ?PASSWORD}|tunnel_ways:tls_opts(Config)]}}, Config),
			{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
			ok = do_without_secret([sys:get_state(ConnPid), sys:get_status(ConnPid), gun_rs:info(ConnPid),
				process_info(ConnPid), process_info(ConnPid, [dictionary, messages]), gun_rs:connections(),
				sys:get_status(gun_rs_conns_sup), supervisor:which_children(gun_rs_conns_sup)]),
			_ = gun_rs:get(ConnPid, "/die"),
			?EXPECT({gun_down, ConnPid, http, closed, _}),
			%% What was given for TLS is handed back as it was.
			ok = do_without_secret(maps:remove(proxy_opts, ?EXPECT({retry_opts, O}, O))),
			{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
			unlink(ConnPid),
			MRef = monitor(process, ConnPid),
			_ = sys:replace_state(ConnPid, fun(_) -> bad end),
			_ = gen_statem:cast(ConnPid, crash),
			ok = do_without_secret(?EXPECT({'DOWN', MRef, process, ConnPid, R}, R))
		end),
		proxies:stop(Proxy)
	end || {Scheme, Do} <- [{http, lead}, {https, lead}, {socks5h, {password, <<"me">>, ?PASSWORD}}],
		IsVariable <- [true, false], IsSupervised <- [true, false]],
	ok = logger:set_primary_config(level, Level),
	ok = logger:remove_handler(?MODULE),
	_ = sys:get_status(gun_rs_conns_sup),
	ok = do_without_secret(do_logged([])).

log(Event, #{config := Pid}) ->
	Pid ! {logged, Event}.

do_logged(Events) ->
	receive
		{logged, Event} -> do_logged([Event|Events])
	after 0 ->
		Events
	end.

do_without_secret(Term) ->
	Text = unicode:characters_to_binary(io_lib:format("~0tp ~0w", [Term, Term])),
	Raw = term_to_binary(Term),
	Numbers = fun(Bin) -> iolist_to_binary(lists:join(",", [integer_to_list(B) || <<B>> <= Bin])) end,
	Forms = [<<"S3cr3t">>, Numbers(<<"S3cr3t">>), base64:encode(<<"me:", ?PASSWORD/binary>>)],
	[] = [Form || Form <- Forms, binary:match(Text, Form) =/= nomatch orelse binary:match(Raw, Form) =/= nomatch],
	ok.

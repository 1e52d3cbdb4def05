%% Connections by way of proxies that speak SOCKS 5: authentication, what goes wrong, and what follows. The ways through
%% several proxies are gun_rs_tunnel_SUITE's.
-module(gun_rs_socks_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-include("gun_rs_suite.hrl").

-define(SECRET, <<"a-secret-of-the-proxy">>).

groups() ->
	[{tcp, gun_rs_suite:cases(?MODULE)}].

init_per_group(_, Config) ->
	tunnel_ways:init(Config).

end_per_group(_, Config) ->
	tunnel_ways:stop(Config).

do_socks(Config) ->
	#{tcp := Port} = config(origins, Config),
	#{host => "127.0.0.1", port => Port}.

do_open({_, Port}, SocksOpts, Opts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, maps:merge(#{retry => 0, protocols => [{socks, SocksOpts}]}, Opts)),
	ConnPid.

messages(Config) ->
	doc("gun_up says socks at once, then gun_tunnel_up what is spoken; streams have plain references; the owner hears it."),
	Proxy = {Pid, ProxyPort} = proxies:start(socks, #{}),
	Socks = #{port := Port} = do_socks(Config),
	ConnPid = do_open(Proxy, Socks, #{}),
	Early = gun_rs:get(ConnPid, "/request"),
	?EXPECT({gun_up, ConnPid, socks}),
	?EXPECT({proxy, Pid, {methods, <<0>>}}),
	?EXPECT({proxy, Pid, {asked, {{127, 0, 0, 1}, Port}}}),
	?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
	{200, _, Body} = answer(ConnPid, Early),
	Host = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	#{headers := #{<<"host">> := Host}} = binary_to_term(Body),
	Via = #{type => socks5, protocol => socks, host => "127.0.0.1", port => ProxyPort, transport => tcp},
	#{protocol := http, intermediaries := [Via], origin_host := "127.0.0.1", origin_port := Port} = gun_rs:info(ConnPid),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

by_socks_opts(Config) ->
	doc("socks_opts say the same where protocols has socks alone; a name goes to the proxy as it is."),
	Proxy = {Pid, Port} = proxies:start(socks, #{}),
	#{port := OriginPort} = Socks = do_socks(Config),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{protocols => [socks], socks_opts => Socks#{host => localhost, version => 5}}),
	?EXPECT({proxy, Pid, {asked, {"localhost", OriginPort}}}),
	{ok, socks} = gun_rs:await_up(ConnPid, ?WAIT),
	{up, http} = gun_rs:await(ConnPid, undefined, ?WAIT),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

a_socket(Config) ->
	doc("gun_rs_socket upgrades when the way is open, through several proxies too; a refusal is its error, and a silence its timeout."),
	Proxy1 = proxies:start(socks, #{}),
	Proxy2 = {_, Port2} = proxies:start(socks, #{}),
	Socks = do_socks(Config),
	{_, Port1} = Proxy1,
	_ = [begin
		{ok, Socket} = gun_rs_socket:connect("127.0.0.1", Port1, "/websocket", #{protocols => [{socks, Way}], timeout => ?WAIT}),
		ok = gun_rs_socket:send_text(Socket, "Hello"),
		{ok, {text, <<"Hello">>}} = gun_rs_socket:receive_app_frame(Socket, ?WAIT),
		ok = gun_rs_socket:close(Socket)
	end || Way <- [Socks, #{host => "127.0.0.1", port => Port2, protocols => [{socks, Socks}]}]],
	proxies:stop(Proxy1),
	proxies:stop(Proxy2),
	Refusing = {_, Port3} = proxies:start(socks, #{do => {password, <<"me">>, ?SECRET}}),
	Wrong = Socks#{auth => [{username_password, <<"me">>, <<"wrong">>}]},
	{error, {socks5, username_password_auth_failure}} =
		gun_rs_socket:connect("127.0.0.1", Port3, "/", #{protocols => [{socks, Wrong}], timeout => ?WAIT}),
	proxies:stop(Refusing),
	{Server, Port4} = lying_server:start([]),
	{error, timeout} = gun_rs_socket:connect("127.0.0.1", Port4, "/", #{protocols => [{socks, Socks}], timeout => 100}),
	lying_server:stop(Server).

cookies(Config) ->
	doc("Cookies are those of the origin behind the proxies, and never those of a proxy, from the first request on."),
	#{port := OriginPort} = do_socks(Config),
	Store = tunnel_ways:cookies(),
	Origin = #{host => "localhost", port => OriginPort},
	_ = [begin
		Proxy = {_, Port} = proxies:start(socks, #{}),
		ConnPid = do_open(Proxy, Way(Port), #{cookie_store => Store}),
		{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
		#{headers := #{<<"cookie">> := <<"origin=1">>}} = binary_to_term(Body),
		ok = gun_rs:close(ConnPid),
		proxies:stop(Proxy)
	end || Way <- [fun(_) -> Origin end, fun(Port) -> #{host => "127.0.0.1", port => Port, protocols => [{socks, Origin}]} end]],
	ok.

authentication(Config) ->
	doc("A name and a password are sent where the proxy wants them; a wrong one is named in gun_down, and in the exit."),
	Proxy = {Pid, _} = proxies:start(socks, #{do => {password, <<"me">>, ?SECRET}}),
	Socks = do_socks(Config),
	ConnPid = do_open(Proxy, Socks#{auth => [{username_password, <<"me">>, ?SECRET}, none]}, #{}),
	?EXPECT({proxy, Pid, {methods, <<2, 0>>}}),
	?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid),
	Wrong = do_open(Proxy, Socks#{auth => [{username_password, <<"me">>, <<"wrong">>}]}, #{}),
	MRef = monitor(process, Wrong),
	Reason = {error, {socks5, username_password_auth_failure}},
	?EXPECT({gun_down, Wrong, socks, Reason, []}),
	?EXPECT({'DOWN', MRef, process, Wrong, {shutdown, Reason}}),
	proxies:stop(Proxy).

errors(Config) ->
	doc("What a proxy answers has its name, and its sentence."),
	Replies = [{1, general_socks_server_failure}, {2, connection_not_allowed_by_ruleset}, {3, network_unreachable},
		{4, host_unreachable}, {5, connection_refused}, {6, ttl_expired}, {7, command_not_supported},
		{8, address_type_not_supported}, {9, {unknown_error, 9}}],
	_ = [begin
		Proxy = proxies:start(socks, #{do => Do}),
		ConnPid = do_open(Proxy, do_socks(Config), #{}),
		?EXPECT({gun_up, ConnPid, socks}),
		?EXPECT({gun_down, ConnPid, socks, Reason, []}),
		Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
		nomatch = string:find(Sentence, "no words"),
		proxies:stop(Proxy)
	end || {Do, Reason} <- [{{reply, N}, {error, {socks5, Name}}} || {N, Name} <- Replies] ++ [
		{{answer, <<5, 255>>}, {error, {socks5, no_acceptable_method}}},
		{{answer, "HTTP/1.1 400 Bad Request\r\n\r\n"}, {error, {socks5, invalid_reply}}},
		{close, closed}
	]],
	ok.

silence(Config) ->
	doc("A proxy that does not answer is given up after the timeout."),
	Proxy = proxies:start(socks, #{do => silent}),
	ConnPid = do_open(Proxy, (do_socks(Config))#{timeout => 100}, #{}),
	?EXPECT({gun_down, ConnPid, socks, {error, timeout}, []}),
	proxies:stop(Proxy).

retry(Config) ->
	doc("After a refusal the connection is tried again, by way of the proxy; what was asked for before waits for that."),
	Proxy = {_, Port} = proxies:start(socks, #{do => {reply, 5}}),
	ConnPid = do_open(Proxy, do_socks(Config), #{retry => 1000, retry_timeout => 1}),
	StreamRef = gun_rs:get(ConnPid, "/request"),
	?EXPECT({gun_down, ConnPid, socks, {error, {socks5, connection_refused}}, []}),
	?EXPECT({gun_up, ConnPid, socks}),
	?EXPECT({gun_down, ConnPid, socks, {error, {socks5, connection_refused}}, []}),
	proxies:stop(Proxy),
	Good = proxies:start(socks, #{port => Port}),
	?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
	{200, _, _} = answer(ConnPid, StreamRef),
	_ = gun_rs:get(ConnPid, "/die"),
	?EXPECT({gun_down, ConnPid, http, closed, [_]}),
	?EXPECT({gun_up, ConnPid, socks}),
	?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Good).

reupgrade(Config) ->
	doc("A WebSocket by way of the proxy is opened again on the next connection, as any other."),
	Proxy = proxies:start(socks, #{}),
	ConnPid = do_open(Proxy, do_socks(Config), #{retry => 1000, retry_timeout => 1, ws_opts => #{reupgrade => true}}),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/pid"),
	?EXPECT({gun_upgrade, ConnPid, WsRef, _, _}),
	Server = ?EXPECT({gun_ws, ConnPid, WsRef, {binary, B}}, binary_to_term(B)),
	exit(Server, kill),
	?EXPECT({gun_down, ConnPid, ws, closed, [WsRef]}),
	?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
	?EXPECT({gun_upgrade, ConnPid, WsRef, _, _}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

tls_fails_behind(Config) ->
	doc("TLS that fails behind the proxy is gun_down's reason."),
	#{tls := Port} = config(origins, Config),
	Proxy = proxies:start(socks, #{}),
	ConnPid = do_open(Proxy, #{host => "localhost", port => Port, transport => tls}, #{}),
	?EXPECT({gun_down, ConnPid, socks, {tls_alert, {unknown_ca, _}}, []}),
	proxies:stop(Proxy).

shutdown(Config) ->
	doc("shutdown/1 while the proxy has not answered ends the connection."),
	Proxy = proxies:start(socks, #{do => silent}),
	ConnPid = do_open(Proxy, do_socks(Config), #{}),
	?EXPECT({gun_up, ConnPid, socks}),
	#{protocol := socks, state_name := connected_no_input, origin_scheme := undefined} = gun_rs:info(ConnPid),
	MRef = monitor(process, ConnPid),
	_ = gun_rs:ping(ConnPid),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	proxies:stop(Proxy).

options(Config) ->
	doc("Options that can be none are named; what is missing, as in gun."),
	Socks = do_socks(Config),
	_ = [begin
		Expected = gun_rs:open("localhost", 1080, Opts),
		Sentence = unicode:characters_to_list(gun_rs:format_error(case Expected of
			{error, Reason} -> Reason;
			Missing -> Missing
		end)),
		nomatch = string:find(Sentence, "no words")
	end || {Expected, Opts} <- [
		{{error, options, {socks, host}}, #{protocols => [socks]}},
		{{error, options, {socks, host}}, #{protocols => [{socks, #{port => 80}}]}},
		{{error, options, {socks, port}}, #{protocols => [{socks, #{host => "localhost"}}]}},
		{{error, options, {socks, port}}, #{socks_opts => #{host => "localhost"}}},
		{{error, {options, {socks, {version, 4}}}}, #{protocols => [{socks, Socks#{version => 4}}]}},
		{{error, {options, {socks, {auth, hidden}}}}, #{protocols => [{socks, Socks#{auth => [{username_password, "me", "x"}]}}]}},
		{{error, {options, {socks, {auth, hidden}}}}, #{protocols => [{socks, Socks#{auth => []}}]}},
		{{error, {options, {socks, {protocols, [http, http2]}}}}, #{protocols => [{socks, Socks#{protocols => [http, http2]}}]}},
		{{error, {options, {socks, {transport, quic}}}}, #{socks_opts => Socks#{transport => quic}}},
		{{error, {options, {socks, {unknown, 1}}}}, #{socks_opts => Socks#{unknown => 1}}},
		{{error, options, {socks, host}}, #{protocols => [{socks, Socks#{protocols => [{socks, #{port => 1}}]}}]}},
		{{error, {options, {ws, {http1_fallback, true}}}}, #{protocols => [{socks, Socks}], ws_opts => #{http1_fallback => true}}},
		{{error, {options, {protocols, [{socks, #{auth => hidden}}, http]}}},
			#{protocols => [{socks, #{auth => [{username_password, <<"me">>, ?SECRET}]}}, http]}},
		{{error, {options, {socks_opts, 1}}}, #{socks_opts => 1}}
	]],
	ok.

secrets(Config) ->
	doc("The password of a proxy stands in no state, no status, no crash report and no log."),
	Proxy = proxies:start(socks, #{do => {password, <<"me">>, ?SECRET}}),
	Socks = (do_socks(Config))#{auth => [{username_password, <<"me">>, ?SECRET}]},
	Self = self(),
	RetryFun = fun(Left, Opts) ->
		Self ! {retry_opts, Opts},
		#{retries => Left, timeout => 1}
	end,
	Handler = #{config => Self, level => all},
	ok = logger:add_handler(?MODULE, ?MODULE, Handler),
	#{level := Level} = logger:get_primary_config(),
	ok = logger:set_primary_config(level, all),
	_ = [begin
		{_, Port} = Proxy,
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Opts#{retry => 1, retry_fun => RetryFun}),
		?EXPECT({gun_tunnel_up, ConnPid, undefined, http}),
		Shown = [sys:get_state(ConnPid), sys:get_status(ConnPid), gun_rs:info(ConnPid), process_info(ConnPid)],
		ok = do_without_secret(Shown),
		_ = gun_rs:get(ConnPid, "/die"),
		ok = do_without_secret(?EXPECT({retry_opts, O}, O)),
		unlink(ConnPid),
		MRef = monitor(process, ConnPid),
		_ = sys:replace_state(ConnPid, fun(_) -> bad end),
		_ = gen_statem:cast(ConnPid, crash),
		ok = do_without_secret(?EXPECT({'DOWN', MRef, process, ConnPid, R}, R))
	end || Opts <- [#{protocols => [{socks, Socks}]}, #{protocols => [socks], socks_opts => Socks}]],
	Connect = {_, Port} = proxies:start(connect, #{do => close}),
	ConnPid = open(Port),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 80, username => "me", password => ?SECRET}),
	ok = do_without_secret(?EXPECT({gun_error, ConnPid, StreamRef, E}, E)),
	ok = logger:set_primary_config(level, Level),
	ok = logger:remove_handler(?MODULE),
	ok = do_without_secret(do_logged([])),
	proxies:stop(Connect),
	proxies:stop(Proxy).

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
	Bytes = list_to_binary(lists:join(",", [integer_to_list(B) || <<B>> <= ?SECRET])),
	Base64 = base64:encode(<<"me:", ?SECRET/binary>>),
	nomatch = binary:match(Text, [?SECRET, Bytes, Base64]),
	ok.

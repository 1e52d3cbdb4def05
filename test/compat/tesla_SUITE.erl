%% What Tesla's adapter does with gun: its calls, its options, and the messages that it matches.
-module(tesla_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

groups() ->
	[{Group, dependents:cases(?MODULE)} || Group <- [http, https]].

init_per_group(http, Config) ->
	[{port, config(http, Config)}, {opts, #{tls_opts => [], tcp_opts => []}}, {protocol, http}|Config];
%% With the option certificates_verification: the fun is of a library that need not be there.
init_per_group(https, Config) ->
	[{port, config(https, Config)}, {protocol, http2}, {opts, #{transport => tls, tcp_opts => [], tls_opts => [
		{verify, verify_peer},
		{cacertfile, config(cacertfile, Config)},
		{depth, 20},
		{reuse_sessions, false},
		{verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "localhost"}]}}
	]}}|Config].

end_per_group(_, _) -> ok.

%% The adapter asks for nothing and takes what comes, also before gun_up.
do_open(Config) ->
	do_open(Config, #{}).

do_open(Config, More) ->
	{ok, ConnPid} = gun:open("localhost", config(port, Config), maps:merge(config(opts, Config), More)),
	_ = monitor(process, ConnPid),
	ConnPid.

do_response(ConnPid, StreamRef) ->
	receive
		{gun_response, ConnPid, StreamRef, fin, Status, Headers} -> {ok, Status, Headers, <<>>};
		{gun_response, ConnPid, StreamRef, nofin, Status, Headers} -> {ok, Status, Headers, do_body(ConnPid, StreamRef, <<>>)};
		{gun_up, ConnPid, _} -> do_response(ConnPid, StreamRef);
		{gun_error, ConnPid, StreamRef, Reason} -> {error, Reason};
		{gun_error, ConnPid, Reason} -> {error, Reason};
		{gun_down, ConnPid, _, _, _} -> do_response(ConnPid, StreamRef);
		{'DOWN', _, _, ConnPid, Reason} -> {error, Reason}
	after ?WAIT ->
		{error, recv_response_timeout}
	end.

do_body(ConnPid, StreamRef, Acc) ->
	receive
		{gun_data, ConnPid, StreamRef, fin, Body} -> <<Acc/binary, Body/binary>>;
		{gun_data, ConnPid, StreamRef, nofin, Part} -> do_body(ConnPid, StreamRef, <<Acc/binary, Part/binary>>);
		{'DOWN', _, _, ConnPid, Reason} -> {error, Reason}
	after ?WAIT ->
		{error, recv_body_timeout}
	end.

version(_) ->
	ct:comment("The adapter reads gun's version when it is compiled, and takes one that is 2 or greater."),
	_ = application:load(gun),
	{ok, "2." ++ _} = application:get_key(gun, vsn),
	{module, gun} = code:ensure_loaded(gun).

methods(Config) ->
	ct:comment("A request before gun_up, whose receiver is named; the body stands in it, and the response comes after gun_up."),
	_ = [begin
		ConnPid = do_open(Config),
		StreamRef = gun:request(ConnPid, Method, "/request?a=b", [{<<"content-type">>, <<"text/plain">>}], Body, #{reply_to => self()}),
		{ok, 200, Headers, Answer} = do_response(ConnPid, StreamRef),
		true = lists:all(fun({Name, Value}) -> is_binary(Name) andalso is_binary(Value) end, Headers),
		#{method := Method, body := Body} = binary_to_term(Answer),
		ok = gun:close(ConnPid),
		ok = gun:flush(ConnPid)
	end || {Method, Body} <- [{<<"GET">>, <<>>}, {<<"POST">>, <<"body">>}, {<<"PUT">>, <<"body">>}, {<<"PATCH">>, <<"body">>},
		{<<"DELETE">>, <<>>}, {<<"OPTIONS">>, <<>>}]],
	ok.

body_as_a_stream(Config) ->
	ct:comment("A body that is a stream goes by headers/5 and data/4, which returns ok."),
	ConnPid = do_open(Config),
	StreamRef = gun:headers(ConnPid, <<"POST">>, "/echo", [{<<"content-type">>, <<"text/plain">>}], #{reply_to => self()}),
	_ = [ok = gun:data(ConnPid, StreamRef, nofin, integer_to_binary(N)) || N <- lists:seq(1, 1000)],
	ok = gun:data(ConnPid, StreamRef, fin, <<>>),
	Expected = iolist_to_binary([integer_to_binary(N) || N <- lists:seq(1, 1000)]),
	{ok, 200, _, Expected} = do_response(ConnPid, StreamRef),
	ok = gun:close(ConnPid).

receiver_of_the_user(Config) ->
	ct:comment("reply_to may be a fun."),
	Self = self(),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/request", [], <<>>, #{reply_to => fun(Message) -> Self ! {told, Message} end}),
	?EXPECT({told, {gun_response, ConnPid, StreamRef, nofin, 200, _}}),
	?EXPECT({told, {gun_data, ConnPid, StreamRef, fin, _}}),
	ok = gun:close(ConnPid).

kept_connection(Config) ->
	ct:comment("A connection that is kept is asked where it goes, and used again."),
	ConnPid = do_open(Config),
	{ok, Protocol} = gun:await_up(ConnPid),
	Protocol = config(protocol, Config),
	Port = config(port, Config),
	Scheme = case Protocol of http -> <<"http">>; http2 -> <<"https">> end,
	#{origin_scheme := Scheme, origin_host := "localhost", origin_port := Port} = gun:info(ConnPid),
	_ = [begin
		StreamRef = gun:request(ConnPid, <<"GET">>, "/request", [], <<>>, #{reply_to => self()}),
		{ok, 200, _, _} = do_response(ConnPid, StreamRef),
		ok = gun:flush(StreamRef)
	end || _ <- lists:seq(1, 10)],
	ok = gun:close(ConnPid).

body_too_large(Config) ->
	ct:comment("A body that is too large for the user is left, and the connection closed."),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/pieces?count=100&size=100000", [], <<>>, #{reply_to => self()}),
	?EXPECT({gun_up, ConnPid, _}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, _}),
	ok = gun:close(ConnPid),
	?EXPECT({'DOWN', _, _, ConnPid, shutdown}),
	ok = gun:flush(ConnPid),
	{messages, []} = process_info(self(), messages).

failures(Config) ->
	ct:comment("Nobody listens, or no name is found: the monitor tells why."),
	{Socket, Port} = gun_rs_test:refused_port(),
	_ = [begin
		{ok, ConnPid} = gun:open(Host, P, maps:merge(config(opts, Config), #{retry => 0})),
		_ = monitor(process, ConnPid),
		StreamRef = gun:request(ConnPid, <<"GET">>, "/", [], <<>>, #{reply_to => self()}),
		{error, Reason} = do_response(ConnPid, StreamRef),
		ct:log("~p", [Reason])
	end || {Host, P} <- [{"localhost", Port}, {"name.invalid", 80}]],
	gun_rs_test:release_port(Socket).

%% What the adapter says of the origin behind a proxy: with TLS it asks for HTTP/2.
do_origin(Config) ->
	Origin = #{host => "localhost", port => config(port, Config)},
	case config(opts, Config) of
		#{transport := tls, tls_opts := TlsOpts} -> Origin#{protocols => [http2], transport => tls, tls_opts => TlsOpts};
		_ -> Origin
	end.

proxy_of_socks(Config) ->
	ct:comment("Behind a proxy that speaks SOCKS requests are made as without one, at once after gun_up."),
	Proxy = {Pid, Port} = proxies:start(socks, #{}),
	{ok, ConnPid} = gun:open("localhost", Port, #{protocols => [socks], socks_opts => (do_origin(Config))#{version => 5}}),
	{ok, socks} = gun:await_up(ConnPid),
	_ = monitor(process, ConnPid),
	StreamRef = gun:request(ConnPid, <<"POST">>, "/request", [], <<"body">>, #{reply_to => self()}),
	{ok, 200, _, Answer} = do_response(ConnPid, StreamRef),
	#{method := <<"POST">>, body := <<"body">>} = binary_to_term(Answer),
	OriginPort = config(port, Config),
	?EXPECT({proxy, Pid, {asked, {"localhost", OriginPort}}}),
	ok = gun:close(ConnPid),
	?EXPECT({'DOWN', _, _, ConnPid, shutdown}),
	proxies:stop(Proxy).

proxy_of_socks_with_a_password(Config) ->
	ct:comment("The adapter gives its proxy_auth as gun does not take it, nor does gun_rs: the caller is told."),
	Auth = {username_password, <<"me">>, <<"secret">>},
	{error, {options, {socks, {auth, hidden}}}} = gun:open("localhost", 1080,
		#{protocols => [socks], socks_opts => (do_origin(Config))#{version => 5, auth => Auth}}),
	{error, {options, {socks, {version, 4}}}} = gun:open("localhost", 1080,
		#{protocols => [socks], socks_opts => (do_origin(Config))#{version => 4}}).

proxy_of_http(Config) ->
	ct:comment("The tunnel comes up. The adapter's request doesn't name it: gun 2 crashes, and here it gets an error."),
	Proxy = {_, Port} = proxies:start(connect, #{}),
	{ok, ConnPid} = gun:open("localhost", Port, #{}),
	{ok, http} = gun:await_up(ConnPid),
	Tunnel = gun:connect(ConnPid, (do_origin(Config))#{username => <<"me">>, password => <<"secret">>}),
	{response, fin, 200, _} = gun:await(ConnPid, Tunnel),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/request", [], <<>>, #{reply_to => self()}),
	{error, {badstate, _}} = do_response(ConnPid, StreamRef),
	Protocol = config(protocol, Config),
	{up, Protocol} = gun:await(ConnPid, Tunnel, ?WAIT),
	Named = gun:request(ConnPid, <<"GET">>, "/request", [], <<>>, #{reply_to => self(), tunnel => Tunnel}),
	{ok, 200, _, _} = do_response(ConnPid, Named),
	ok = gun:close(ConnPid),
	proxies:stop(Proxy).

proxy_refuses(Config) ->
	ct:comment("A proxy that refuses does so with a body, as the adapter expects of 403 and 407."),
	_ = [begin
		Proxy = {_, Port} = proxies:start(connect, #{do => {answer, ["HTTP/1.1 ", Status, " No\r\ncontent-length: 2\r\n\r\nno"]}}),
		{ok, ConnPid} = gun:open("localhost", Port, #{}),
		{ok, _} = gun:await_up(ConnPid),
		Number = list_to_integer(Status),
		{response, nofin, Number, _} = gun:await(ConnPid, gun:connect(ConnPid, do_origin(Config))),
		ok = gun:close(ConnPid),
		proxies:stop(Proxy)
	end || Status <- ["407", "403"]],
	ok.

wrong_name(Config) ->
	ct:comment("A certificate for another name than the fun is given is refused, as the fun would."),
	_ = [begin
		#{tls_opts := TlsOpts0} = Opts = config(opts, Config),
		TlsOpts = lists:keystore(verify_fun, 1, TlsOpts0,
			{verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "example.org"}]}}),
		{ok, ConnPid} = gun:open("localhost", config(port, Config), Opts#{tls_opts => TlsOpts, retry => 0}),
		{error, {down, {shutdown, {tls_alert, _}}}} = gun:await_up(ConnPid)
	end || config(protocol, Config) =:= http2],
	ok.

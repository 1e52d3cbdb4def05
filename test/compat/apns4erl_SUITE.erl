%% What apns4erl does with gun: its calls, its options, and the messages that it matches.
-module(apns4erl_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

do_open(Config, More) ->
	#{client_ec := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	{ok, ConnPid} = gun:open("localhost", config(https, Config), maps:merge(#{
		http2_opts => #{notify_settings_changed => true},
		protocols => [http2],
		retry => 0,
		tls_opts => [{certfile, CertFile}, {keyfile, KeyFile}, {cacertfile, config(cacertfile, Config)}, {verify, verify_peer}],
		transport => tls
	}, More)),
	MRef = monitor(process, ConnPid),
	?EXPECT({gun_up, ConnPid, http2}),
	?EXPECT({gun_notify, ConnPid, settings_changed, _}),
	{ConnPid, MRef}.

do_push(ConnPid, Token, Headers) ->
	gun:post(ConnPid, ["/3/device/", Token], Headers, <<"{\"aps\":{\"alert\":\"Hello\"}}">>).

pushes(Config) ->
	ct:comment("A notification that is taken has a response without a body; one that is not has the reason in it."),
	{ConnPid, MRef} = do_open(Config, #{}),
	Headers = [{<<"apns-id">>, <<"id-1">>}, {<<"apns-topic">>, <<"topic">>}, {<<"authorization">>, <<"bearer token">>}],
	Good = do_push(ConnPid, <<"good">>, Headers),
	Taken = ?EXPECT({gun_response, ConnPid, Good, fin, 200, H}, H),
	{_, <<"id-1">>} = lists:keyfind(<<"apns-id">>, 1, Taken),
	Bad = do_push(ConnPid, <<"bad">>, Headers),
	?EXPECT({gun_response, ConnPid, Bad, nofin, 400, _}),
	?EXPECT({gun_data, ConnPid, Bad, fin, <<"{\"reason\":\"BadDeviceToken\"}">>}),
	ok = gun:close(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}).

many_pushes(Config) ->
	ct:comment("A thousand notifications are under way at once, as far as the server lets them."),
	{ConnPid, _} = do_open(Config, #{}),
	Refs = [do_push(ConnPid, <<"good">>, []) || _ <- lists:seq(1, 1000)],
	_ = [?EXPECT({gun_response, ConnPid, Ref, fin, 200, _}) || Ref <- Refs],
	ok = gun:close(ConnPid).

gives_up(Config) ->
	ct:comment("A notification that is not answered in time is cancelled, and others go on."),
	{ConnPid, _} = do_open(Config, #{}),
	Held = gun:post(ConnPid, "/held", [{<<"x-tell">>, base64:encode(term_to_binary(self()))}], <<"body">>),
	ok = gun:cancel(ConnPid, Held),
	Good = do_push(ConnPid, <<"good">>, []),
	?EXPECT({gun_response, ConnPid, Good, fin, 200, _}),
	ok = gun:close(ConnPid).

goes_away(Config) ->
	ct:comment("The server says goodbye with a reason: gun_down, and the exit, after which the library backs off and opens anew."),
	Server = tls_servers:start(rust, maps:get(good, config(certs, Config)), #{alpn => [<<"h2">>], args => ["--http2"]}),
	{ConnPid, MRef} = do_open([{https, tls_servers:port(Server)}|lists:keydelete(https, 1, Config)], #{}),
	StreamRef = gun:post(ConnPid, "/goaway?code=2", [], <<"body">>),
	?EXPECT({gun_error, ConnPid, StreamRef, _}),
	?EXPECT({gun_down, ConnPid, http2, _, _}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	tls_servers:stop(Server).

proxy(Config) ->
	ct:comment("Behind a proxy HTTP/2 is spoken over TLS, with the certificate. The library's own pushes don't name the tunnel: "
		"with gun 2 they crash the connection, and here they get an error."),
	#{client_ec := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	Proxy = {Pid, Port} = proxies:start(connect, #{}),
	{ok, ConnPid} = gun:open("localhost", Port, #{protocols => [http], retry => 0, transport => tcp}),
	MRef = monitor(process, ConnPid),
	?EXPECT({gun_up, ConnPid, http}),
	Tunnel = gun:connect(ConnPid, #{
		host => "localhost",
		port => config(https, Config),
		protocols => [http2],
		transport => tls,
		tls_opts => [{certfile, CertFile}, {keyfile, KeyFile}, {verify, verify_peer}, {cacertfile, config(cacertfile, Config)}],
		username => "me",
		password => "secret"
	}),
	?EXPECT({gun_response, ConnPid, Tunnel, fin, 200, _}),
	Head = ?EXPECT({proxy, Pid, {asked, H}}, H),
	{match, _} = re:run(Head, "proxy-authorization: Basic bWU6c2VjcmV0"),
	Lost = do_push(ConnPid, <<"good">>, []),
	?EXPECT({gun_error, ConnPid, Lost, {badstate, _}}),
	?EXPECT({gun_tunnel_up, ConnPid, Tunnel, http2}),
	Refs = [gun:post(ConnPid, ["/3/device/", "good"], [], <<"{}">>, #{tunnel => Tunnel}) || _ <- lists:seq(1, 100)],
	_ = [?EXPECT({gun_response, ConnPid, Ref, fin, 200, _}) || Ref <- Refs],
	ok = gun:close(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	proxies:stop(Proxy).

no_http2(Config) ->
	ct:comment("A server without HTTP/2 is none for this library."),
	Server = tls_servers:start(rust, maps:get(good, config(certs, Config)), #{alpn => [<<"http/1.1">>]}),
	{ok, ConnPid} = gun:open("localhost", tls_servers:port(Server), #{protocols => [http2], retry => 0, transport => tls,
		tls_opts => [{cacertfile, config(cacertfile, Config)}]}),
	{error, {down, {shutdown, _}}} = gun:await_up(ConnPid, ?WAIT),
	tls_servers:stop(Server).

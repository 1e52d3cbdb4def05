%% What Gluegun does with gun: its calls, its options, and what it expects of await.
-module(gluegun_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

groups() ->
	[{Group, dependents:cases(?MODULE)} || Group <- [http, http2]].

%% The library fills in its own options of TLS where the user gives none, and where it does not know that it is TCP.
init_per_group(http, Config) ->
	[{port, config(http, Config)}, {protocol, http}, {opts, #{connect_timeout => 5000, protocols => [http], retry => 0,
		tls_opts => do_tls_opts(Config)}}|Config];
init_per_group(http2, Config) ->
	[{port, config(https, Config)}, {protocol, http2}, {opts, #{connect_timeout => 5000, protocols => [http2, http], retry => 0,
		transport => tls, tls_opts => do_tls_opts(Config)}}|Config].

end_per_group(_, _) -> ok.

do_tls_opts(Config) ->
	[
		{customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]},
		{server_name_indication, "localhost"},
		{depth, 10},
		{versions, ['tlsv1.3', 'tlsv1.2']},
		{cacerts, [config(root, Config)]},
		{verify, verify_peer}
	].

do_open(Config) ->
	{ok, ConnPid} = gun:open("localhost", config(port, Config), config(opts, Config)),
	Protocol = config(protocol, Config),
	{ok, Protocol} = gun:await_up(ConnPid, 5000),
	ConnPid.

requests(Config) ->
	ct:comment("A request with a body, and await for its response, its data and its end."),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"POST">>, <<"/echo">>, [{<<"content-type">>, <<"text/plain">>}], <<"body">>, #{}),
	{response, nofin, 200, [_|_]} = gun:await(ConnPid, StreamRef, ?WAIT),
	{data, fin, <<"body">>} = gun:await(ConnPid, StreamRef, ?WAIT),
	Empty = gun:request(ConnPid, <<"GET">>, <<"/status?code=204">>, [], <<>>, #{}),
	{response, fin, 204, _} = gun:await(ConnPid, Empty, ?WAIT),
	{error, timeout} = gun:await(ConnPid, Empty, 0),
	ok = gun:close(ConnPid).

bodies(Config) ->
	ct:comment("A body that goes by headers/5 and data/4 comes back, whole or with trailers, by await_body."),
	ConnPid = do_open(Config),
	StreamRef = gun:headers(ConnPid, <<"POST">>, <<"/echo">>, [], #{}),
	ok = gun:data(ConnPid, StreamRef, nofin, <<"Hello, ">>),
	ok = gun:data(ConnPid, StreamRef, fin, <<"world!">>),
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	{ok, <<"Hello, world!">>} = gun:await_body(ConnPid, StreamRef, ?WAIT),
	Trailers = gun:request(ConnPid, <<"GET">>, <<"/trailers">>, [{<<"te">>, <<"trailers">>}], <<>>, #{}),
	{response, nofin, 200, _} = gun:await(ConnPid, Trailers, ?WAIT),
	{ok, <<"Hello world!">>, [{<<"x-sum">>, <<"12">>}]} = gun:await_body(ConnPid, Trailers, ?WAIT),
	ok = gun:close(ConnPid).

informational(Config) ->
	ct:comment("Informational responses come before the one that counts."),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, <<"/inform?count=2">>, [], <<>>, #{}),
	_ = [{inform, 103, [{<<"link">>, _}]} = gun:await(ConnPid, StreamRef, ?WAIT) || _ <- [1, 2]],
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	ok = gun:close(ConnPid).

flow(Config) ->
	ct:comment("With flow, data comes as it is asked for; a stream is cancelled, and what it has sent is flushed."),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, <<"/pieces?count=200&size=100000">>, [], <<>>, #{flow => 1}),
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	{data, nofin, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	ok = gun:update_flow(ConnPid, StreamRef, 1),
	{data, nofin, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	ok = gun:cancel(ConnPid, StreamRef),
	ok = gun:shutdown(ConnPid),
	ok = gun:flush(ConnPid).

errors(Config) ->
	ct:comment("The reasons that await gives for a stream and for a connection that end."),
	ConnPid = do_open(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, <<"/die">>, [], <<>>, #{}),
	{error, {stream_error, _}} = gun:await(ConnPid, StreamRef, ?WAIT),
	{error, {down, _}} = gun:await(ConnPid, make_ref(), ?WAIT),
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, Refused} = gun:open("localhost", Port, config(opts, Config)),
	{error, {down, {shutdown, _}}} = gun:await_up(Refused, ?WAIT),
	gun_rs_test:release_port(Socket).

websocket(Config) ->
	ct:comment("A WebSocket with all options that the library has; lists of frames, pings, and a close frame with a code."),
	ConnPid = do_open(Config),
	StreamRef = gun:ws_upgrade(ConnPid, <<"/mychat">>, [], #{
		closing_timeout => 1000, compress => true, default_protocol => gun_ws_h, flow => 100, keepalive => infinity,
		protocols => [{<<"mychat">>, gun_ws_h}], reply_to => self(), silence_pings => false, user_opts => []
	}),
	{upgrade, [<<"websocket">>], Headers} = gun:await(ConnPid, StreamRef, ?WAIT),
	{_, <<"mychat">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	ok = gun:ws_send(ConnPid, StreamRef, [{text, <<"one">>}, {binary, <<2>>}, {ping, <<"three">>}]),
	Frames = [begin {ws, Frame} = gun:await(ConnPid, StreamRef, ?WAIT), Frame end || _ <- [1, 2, 3]],
	[] = [{text, <<"one">>}, {binary, <<2>>}, {pong, <<"three">>}] -- Frames,
	ok = gun:update_flow(ConnPid, StreamRef, 10),
	ok = gun:ws_send(ConnPid, StreamRef, [{close, 1001, <<"going away">>}]),
	{ws, {close, 1001, _}} = gun:await(ConnPid, StreamRef, ?WAIT),
	ok = gun:shutdown(ConnPid).

refused_options(_) ->
	ct:comment("Options that are wrong are named as the library reads it."),
	{error, {options, {retry, -1}}} = gun:open("localhost", 1, #{retry => -1}),
	{error, {options, {oops, 1}}} = gun:open("localhost", 1, #{oops => 1}),
	try gun:ws_upgrade(self(), <<"/ws">>, [], #{compress => <<"yes">>}) of
		_ -> error(accepted)
	catch
		error:{badmatch, {error, {options, {ws, {compress, <<"yes">>}}}}} -> ok
	end.

stand_ins(_) ->
	ct:comment("In the library's own tests a process stands in for a connection, and gets gun's casts."),
	Self = self(),
	StreamRef = make_ref(),
	ok = gun:ws_send(Self, StreamRef, [{text, <<"one">>}, close]),
	?EXPECT({'$gen_cast', {ws_send, Self, StreamRef, [{text, <<"one">>}, close]}}),
	Upgrade = gun:ws_upgrade(Self, <<"/ws">>, [], #{silence_pings => false, keepalive => 5000}),
	?EXPECT({'$gen_cast', {ws_upgrade, Self, Upgrade, <<"/ws">>, [], #{silence_pings := false, keepalive := 5000}}}),
	{error, simple_one_for_one} = gun:close(not_a_pid).

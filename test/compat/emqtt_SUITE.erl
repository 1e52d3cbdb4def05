%% What emqtt does with gun: its calls, its options, and the messages that it matches, with a real broker and with servers
%% that have none.
-module(emqtt_SUITE).
-include("dependents.hrl").

init_per_suite(Config0) ->
	Config = dependents:start_server(Config0),
	case other_servers:find("mosquitto/usr/sbin/mosquitto") of
		{ok, File} ->
			Dir = filename:dirname(filename:dirname(filename:dirname(File))),
			Holder = spawn(fun gun_mqtt_SUITE:do_hold_broker/0),
			[{dir, Dir}, {broker, Holder}, {port, gun_mqtt_SUITE:do_start_broker(Dir, Holder, Config)}|Config];
		none ->
			ok = dependents:stop_server(Config),
			{skip, "No broker is in _build/peers."}
	end.

end_per_suite(Config) ->
	ok = gun_mqtt_SUITE:do_stop_broker(config(broker, Config)),
	dependents:stop_server(Config).

%% The library's way to a WebSocket. The user's own options come first, and cannot change those of the library.
do_connect(Port, Path, TransportOpts, Headers) ->
	{ok, _} = application:ensure_all_started(gun),
	Opts = maps:merge(TransportOpts, #{connect_timeout => ?WAIT, retry => 0}),
	{ok, ConnPid} = gun:open("127.0.0.1", Port, Opts),
	case gun:await_up(ConnPid, ?WAIT) of
		{ok, _} -> do_upgrade(ConnPid, Path, Headers);
		{error, Reason} -> {error, Reason}
	end.

do_upgrade(ConnPid, Path, Headers) ->
	StreamRef = gun:ws_upgrade(ConnPid, Path, [{<<"cache-control">>, <<"no-cache">>}|Headers],
		#{compress => false, protocols => [{<<"mqtt">>, gun_ws_h}]}),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _} ->
			{ok, {ConnPid, StreamRef}};
		{gun_response, ConnPid, _, _, Status, ResponseHeaders} ->
			{error, {ws_upgrade_failed, Status, ResponseHeaders}};
		{gun_error, ConnPid, StreamRef, Reason} ->
			{error, {ws_upgrade_failed, Reason}}
	after ?WAIT ->
		{error, timeout}
	end.

do_send({ConnPid, StreamRef}, Packet) ->
	gun:ws_send(ConnPid, StreamRef, {binary, Packet}).

do_receive(Client, Version) ->
	do_receive(Client, Version, <<>>).

do_receive(Client={ConnPid, StreamRef}, Version, Buffer) ->
	case mqtt_packets:parse(Version, Buffer) of
		{Packet, <<>>} ->
			Packet;
		more ->
			receive
				{gun_ws, ConnPid, StreamRef, {binary, Data}} -> do_receive(Client, Version, <<Buffer/binary, Data/binary>>);
				{gun_ws, ConnPid, StreamRef, {close, Code, _}} -> {closed, Code};
				{gun_down, ConnPid, _, Reason, _} -> {down, Reason}
			after ?WAIT ->
				error({no_message, process_info(self(), messages)})
			end
	end.

do_session(Config, Version, Id) ->
	{ok, Client} = do_connect(config(port, Config), "/mqtt", #{}, []),
	ok = do_send(Client, mqtt_packets:connect(Version, Id, 60)),
	{connack, 0} = do_receive(Client, Version),
	Client.

publishes(Config) ->
	ct:comment("Messages of each quality of service go from one client to another, in MQTT 3.1.1 and 5."),
	_ = [begin
		Id = list_to_binary(io_lib:format("emqtt_~b_~b", [Version, QoS])),
		Sub = do_session(Config, Version, <<Id/binary, "_sub">>),
		Pub = do_session(Config, Version, <<Id/binary, "_pub">>),
		ok = do_send(Sub, mqtt_packets:subscribe(Version, 1, Id, QoS)),
		{suback, 1, [QoS]} = do_receive(Sub, Version),
		PacketId = case QoS of 0 -> undefined; _ -> 5 end,
		%% The library gives the pieces of a packet as they are.
		<<Head:4/binary, Tail/binary>> = mqtt_packets:publish(Version, Id, QoS, PacketId, <<"payload">>),
		ok = do_send(Pub, [Head, [Tail]]),
		_ = [begin
			{pubrec, 5} = do_receive(Pub, Version),
			ok = do_send(Pub, mqtt_packets:ack(pubrel, 5)),
			{pubcomp, 5} = do_receive(Pub, Version)
		end || QoS =:= 2],
		_ = [{puback, 5} = do_receive(Pub, Version) || QoS =:= 1],
		{publish, Id, QoS, _, <<"payload">>} = do_receive(Sub, Version),
		_ = [do_stop(Client) || Client <- [Sub, Pub]]
	end || Version <- [4, 5], QoS <- [0, 1, 2]],
	ok.

%% The library watches the connection, and ends it gracefully.
do_stop({ConnPid, _}) ->
	MRef = monitor(process, ConnPid),
	ok = gun:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	gun:flush(ConnPid).

keeps_alive(Config) ->
	ct:comment("The broker answers pings."),
	Client = do_session(Config, 5, <<"emqtt_ping">>),
	_ = [begin
		ok = do_send(Client, mqtt_packets:pingreq()),
		pingresp = do_receive(Client, 5)
	end || _ <- lists:seq(1, 100)],
	do_stop(Client).

options_of_the_user(Config) ->
	ct:comment("Options of the transport, and headers, are the user's."),
	{ok, Client} = do_connect(config(port, Config), "/mqtt",
		#{tcp_opts => [{nodelay, true}, {sndbuf, 100000}, {recbuf, 100000}], retry => 3, retry_timeout => 30000},
		[{<<"x-user">>, <<"joe">>}]),
	do_stop(Client).

no_such_path(Config) ->
	ct:comment("A server that does not upgrade: its response is what the library reports."),
	{error, {ws_upgrade_failed, 404, Headers}} = do_connect(config(http, Config), "/nowhere", #{}, []),
	true = is_list(Headers).

refused(Config) ->
	ct:comment("A port that refuses: await_up says so, once, since nothing is tried again."),
	_ = Config,
	{Socket, Port} = gun_rs_test:refused_port(),
	{error, {down, {shutdown, econnrefused}}} = do_connect(Port, "/mqtt", #{}, []),
	gun_rs_test:release_port(Socket).

tls(Config) ->
	ct:comment("Over TLS, with the user's options for it, the library has the broker's certificate checked."),
	Tls = #{transport => tls, protocols => [http], tls_opts => [{verify, verify_peer}, {cacertfile, config(cacertfile, Config)}]},
	{error, {ws_upgrade_failed, 404, _}} = do_connect(config(https, Config), "/nowhere", Tls, []),
	{error, {down, {shutdown, {tls_alert, _}}}} = do_connect(config(https, Config), "/nowhere",
		#{transport => tls, tls_opts => [{verify, verify_peer}, {cacerts, [maps:get(der, maps:get(other_root, config(certs, Config)))]}]}, []).

broker_dies(Config) ->
	ct:comment("The broker is killed: gun_down, and the exit of the connection, end the client."),
	Holder = spawn(fun gun_mqtt_SUITE:do_hold_broker/0),
	Port = gun_mqtt_SUITE:do_start_broker(config(dir, Config), Holder, Config),
	Client={ConnPid, _} = do_session([{port, Port}], 4, <<"emqtt_dies">>),
	MRef = monitor(process, ConnPid),
	ok = gun_mqtt_SUITE:do_stop_broker(Holder),
	{down, closed} = do_receive(Client, 4),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}).

%% A real RabbitMQ, whose WebSockets are its plugins' for MQTT and STOMP, with the calls and the options by which its own
%% tests reach them.
-module(rabbitmq_SUITE).
-include("dependents.hrl").

groups() ->
	[{mqtt, [mqtt_publishes, mqtt_many, mqtt_ends]}, {stomp, [stomp_publishes, stomp_errors, stomp_heartbeats]}].

init_per_suite(Config) ->
	dependents_rabbitmq:start([
		{Name, lists:concat(["web_", Name, ".tcp.ip = 127.0.0.1\nweb_", Name, ".tcp.port = ~b\n"])} || Name <- [mqtt, stomp]
	], [rabbitmq_web_mqtt, rabbitmq_web_stomp], dependents:start(Config)).

end_per_suite(Config) ->
	ok = dependents_rabbitmq:stop(Config),
	dependents:stop(Config).

init_per_group(Group, Config) ->
	[{port, config(Group, Config)}|Config].

end_per_group(_, _) ->
	ok.

do_open(Config, Subprotocol) ->
	{ok, ConnPid} = gun:open("127.0.0.1", config(port, Config), #{
		http2_opts => #{notify_settings_changed => true},
		tcp_opts => [{nodelay, true}],
		retry => 0
	}),
	MRef = monitor(process, ConnPid),
	{ok, http} = gun:await_up(ConnPid, MRef),
	StreamRef = gun:ws_upgrade(ConnPid, "/ws", [], #{protocols => [{Subprotocol, gun_ws_h}]}),
	{upgrade, [<<"websocket">>], _} = gun:await(ConnPid, StreamRef, ?WAIT),
	{ConnPid, StreamRef}.

do_close({ConnPid, _}) ->
	MRef = monitor(process, ConnPid),
	ok = gun:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	gun:flush(ConnPid).

%% MQTT.

do_mqtt(Config, Id) ->
	Client = {ConnPid, StreamRef} = do_open(Config, <<"mqtt">>),
	ok = gun:ws_send(ConnPid, StreamRef, {binary, mqtt_packets:connect(4, Id, 60)}),
	{{connack, 0}, <<>>} = do_packet(Client, <<>>),
	Client.

do_packet(Client={ConnPid, StreamRef}, Buffer) ->
	case mqtt_packets:parse(4, Buffer) of
		more ->
			Data = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, D}}, D),
			do_packet(Client, <<Buffer/binary, Data/binary>>);
		Packet ->
			Packet
	end.

mqtt_publishes(Config) ->
	ct:comment("Messages go from one client to another, with both qualities of service that this broker has."),
	_ = [begin
		Topic = <<"topic/", (integer_to_binary(QoS))/binary>>,
		Sub = {SubPid, SubRef} = do_mqtt(Config, <<Topic/binary, "/sub">>),
		Pub = {PubPid, PubRef} = do_mqtt(Config, <<Topic/binary, "/pub">>),
		ok = gun:ws_send(SubPid, SubRef, {binary, mqtt_packets:subscribe(4, 1, Topic, QoS)}),
		{{suback, 1, [QoS]}, <<>>} = do_packet(Sub, <<>>),
		Id = case QoS of 0 -> undefined; 1 -> 7 end,
		Payload = crypto:strong_rand_bytes(100000),
		ok = gun:ws_send(PubPid, PubRef, {binary, mqtt_packets:publish(4, Topic, QoS, Id, Payload)}),
		_ = [{{puback, 7}, <<>>} = do_packet(Pub, <<>>) || QoS =:= 1],
		{{publish, Topic, QoS, _, Payload}, <<>>} = do_packet(Sub, <<>>),
		_ = [do_close(Client) || Client <- [Sub, Pub]]
	end || QoS <- [0, 1]],
	ok.

mqtt_many(Config) ->
	ct:comment("A thousand messages come in order."),
	Client = {ConnPid, StreamRef} = do_mqtt(Config, <<"many">>),
	ok = gun:ws_send(ConnPid, StreamRef, {binary, mqtt_packets:subscribe(4, 1, <<"many">>, 0)}),
	{{suback, 1, [0]}, <<>>} = do_packet(Client, <<>>),
	Numbers = lists:seq(1, 1000),
	ok = gun:ws_send(ConnPid, StreamRef,
		[{binary, mqtt_packets:publish(4, <<"many">>, 0, undefined, <<N:32>>)} || N <- Numbers]),
	<<>> = lists:foldl(fun(N, Buffer0) ->
		{{publish, <<"many">>, 0, undefined, <<N:32>>}, Buffer} = do_packet(Client, Buffer0),
		Buffer
	end, <<>>, Numbers),
	do_close(Client).

mqtt_ends(Config) ->
	ct:comment("After DISCONNECT the broker closes."),
	{ConnPid, StreamRef} = do_mqtt(Config, <<"ends">>),
	MRef = monitor(process, ConnPid),
	ok = gun:ws_send(ConnPid, StreamRef, {binary, mqtt_packets:disconnect()}),
	?EXPECT({gun_down, ConnPid, ws, _, _}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	gun:flush(ConnPid).

%% STOMP.

do_stomp(Config, HeartBeat) ->
	Client = do_open(Config, <<"v12.stomp">>),
	ok = do_send(Client, "CONNECT", [{"login", "guest"}, {"passcode", "guest"}, {"accept-version", "1.2"}, {"host", "/"},
		{"heart-beat", HeartBeat}], ""),
	{<<"CONNECTED">>, _, <<>>} = do_frame(Client),
	Client.

do_send({ConnPid, StreamRef}, Command, Headers, Body) ->
	gun:ws_send(ConnPid, StreamRef, {text, [Command, $\n, [[Name, $:, Value, $\n] || {Name, Value} <- Headers], $\n, Body, 0]}).

%% One frame of STOMP comes in one message; line feeds between them are heart-beats.
do_frame(Client={ConnPid, StreamRef}) ->
	case ?EXPECT({gun_ws, ConnPid, StreamRef, {text, T}}, T) of
		<<"\n">> ->
			do_frame(Client);
		Text ->
			[Head, Rest] = binary:split(Text, <<"\n\n">>),
			[Command|Headers] = binary:split(Head, <<"\n">>, [global]),
			[Body|_] = binary:split(Rest, <<0>>),
			{Command, maps:from_list([list_to_tuple(binary:split(Header, <<":">>)) || Header <- Headers]), Body}
	end.

stomp_publishes(Config) ->
	ct:comment("Messages are sent to a queue, received, and acknowledged; receipts come for what asks for them."),
	Client = do_stomp(Config, "0,0"),
	ok = do_send(Client, "SUBSCRIBE", [{"id", "1"}, {"destination", "/queue/stomp"}, {"ack", "client"}, {"receipt", "s"}], ""),
	{<<"RECEIPT">>, #{<<"receipt-id">> := <<"s">>}, _} = do_frame(Client),
	_ = [begin
		Body = iolist_to_binary(["message ", integer_to_list(N)]),
		ok = do_send(Client, "SEND", [{"destination", "/queue/stomp"}, {"content-type", "text/plain"}], Body),
		{<<"MESSAGE">>, #{<<"ack">> := Ack}, Body} = do_frame(Client),
		ok = do_send(Client, "ACK", [{"id", Ack}], "")
	end || N <- lists:seq(1, 100)],
	ok = do_send(Client, "DISCONNECT", [], ""),
	{ConnPid, StreamRef} = Client,
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, _}}),
	?EXPECT({gun_down, ConnPid, ws, _, [StreamRef]}),
	gun:flush(ConnPid).

stomp_errors(Config) ->
	ct:comment("What the broker refuses it says in a frame."),
	Client = do_stomp(Config, "0,0"),
	ok = do_send(Client, "NONSENSE", [], ""),
	{<<"ERROR">>, _, _} = do_frame(Client),
	do_close(Client).

stomp_heartbeats(Config) ->
	ct:comment("Heart-beats come when they were asked for."),
	Client = {ConnPid, StreamRef} = do_stomp(Config, "0,200"),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"\n">>}}) || _ <- [1, 2, 3]],
	do_close(Client).

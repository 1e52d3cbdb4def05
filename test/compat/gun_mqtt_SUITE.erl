%% MQTT over WebSocket, with a real broker and the calls, options and messages that MQTT clients on gun use.
-module(gun_mqtt_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

-import(mqtt_packets, [ack/2]).
-import(mqtt_packets, [connect/3]).
-import(mqtt_packets, [disconnect/0]).
-import(mqtt_packets, [pingreq/0]).
-import(mqtt_packets, [publish/5]).
-import(mqtt_packets, [subscribe/4]).

%% Far longer than anything these cases do, so that a loaded machine fails none of them.
-define(WAIT, 30000).

%% Runs the broker until standard input ends, so that none outlives the node.
-define(UNTIL_EOF, "exec 3<&0; \"$@\" & broker=$!; { cat <&3 >/dev/null; kill -KILL $broker; } & wait $broker").

-record(client, {
	conn :: pid(),
	mref :: reference(),
	stream :: reference(),
	version :: 4 | 5,
	%% What has come of a packet that is not complete.
	buffer = <<>> :: binary()
}).

suite() ->
	[{timetrap, {minutes, 5}}].

all() ->
	[{group, mqtt_3_1_1}, {group, mqtt_5}, subprotocol_not_offered, broker_goes_away].

groups() ->
	Cases = [qos_0, qos_1, qos_2, large_message, many_messages, packets_and_frames, ping, ends],
	[{mqtt_3_1_1, Cases}, {mqtt_5, Cases}].

init_per_suite(Config) ->
	Dir = filename:join(do_root(), "_build/peers/mosquitto"),
	case filelib:is_regular(filename:join(Dir, "usr/sbin/mosquitto")) of
		true ->
			{ok, _} = application:ensure_all_started(gun),
			Holder = spawn(fun do_hold_broker/0),
			Port = do_start_broker(Dir, Holder, Config),
			[{dir, Dir}, {broker, Holder}, {port, Port}|Config];
		false ->
			{skip, "No broker is in _build/peers."}
	end.

end_per_suite(Config) ->
	ok = do_stop_broker(do_config(broker, Config)),
	ok = application:stop(gun).

init_per_group(mqtt_3_1_1, Config) -> [{version, 4}|Config];
init_per_group(mqtt_5, Config) -> [{version, 5}|Config].

end_per_group(_, _) ->
	ok.

qos_0(Config) ->
	ct:comment("A message is published at most once."),
	{Publisher, Subscriber} = do_pair(Config, 0),
	ok = do_send(Publisher, publish(Publisher#client.version, <<"t/qos_0">>, 0, undefined, <<"zero">>)),
	{{publish, <<"t/qos_0">>, 0, undefined, <<"zero">>}, _} = do_receive(Subscriber),
	do_end([Publisher, Subscriber]).

qos_1(Config) ->
	ct:comment("A message is published at least once, and each side acknowledges it."),
	{Publisher, Subscriber} = do_pair(Config, 1),
	ok = do_send(Publisher, publish(Publisher#client.version, <<"t/qos_1">>, 1, 7, <<"one">>)),
	{{puback, 7}, _} = do_receive(Publisher),
	{{publish, <<"t/qos_1">>, 1, Id, <<"one">>}, _} = do_receive(Subscriber),
	ok = do_send(Subscriber, ack(puback, Id)),
	do_end([Publisher, Subscriber]).

qos_2(Config) ->
	ct:comment("A message is published exactly once, by a handshake of four packets on each side."),
	{Publisher, Subscriber} = do_pair(Config, 2),
	ok = do_send(Publisher, publish(Publisher#client.version, <<"t/qos_2">>, 2, 8, <<"two">>)),
	{{pubrec, 8}, Publisher2} = do_receive(Publisher),
	ok = do_send(Publisher2, ack(pubrel, 8)),
	{{pubcomp, 8}, _} = do_receive(Publisher2),
	{{publish, <<"t/qos_2">>, 2, Id, <<"two">>}, Subscriber2} = do_receive(Subscriber),
	ok = do_send(Subscriber2, ack(pubrec, Id)),
	{{pubrel, Id}, Subscriber3} = do_receive(Subscriber2),
	ok = do_send(Subscriber3, ack(pubcomp, Id)),
	do_end([Publisher, Subscriber]).

large_message(Config) ->
	ct:comment("A large message arrives whole. This broker takes a second for each 40 KiB that it sends."),
	{Publisher, Subscriber} = do_pair(Config, 1),
	Payload = crypto:strong_rand_bytes(40 * 1024),
	ok = do_send(Publisher, publish(Publisher#client.version, <<"t/large">>, 1, 9, Payload)),
	{{publish, <<"t/large">>, 1, _, Payload}, _} = do_receive(Subscriber),
	{{puback, 9}, _} = do_receive(Publisher),
	do_end([Publisher, Subscriber]).

many_messages(Config) ->
	ct:comment("Many messages arrive, and in order."),
	{Publisher, Subscriber} = do_pair(Config, 0),
	Numbers = lists:seq(1, 1000),
	_ = [ok = do_send(Publisher, publish(Publisher#client.version, <<"t/many">>, 0, undefined, <<N:32>>)) || N <- Numbers],
	_ = lists:foldl(fun(N, Client0) ->
		{{publish, <<"t/many">>, 0, undefined, <<N:32>>}, Client} = do_receive(Client0),
		Client
	end, Subscriber, Numbers),
	do_end([Publisher, Subscriber]).

packets_and_frames(Config) ->
	ct:comment("Several packets go in one frame, and one packet goes in several."),
	{Publisher=#client{version=Version}, Subscriber} = do_pair(Config, 0),
	<<First:3/binary, Second/binary>> = publish(Version, <<"t/split">>, 0, undefined, <<"split">>),
	ok = do_send(Publisher, [publish(Version, <<"t/joined">>, 0, undefined, <<"joined">>), First]),
	ok = do_send(Publisher, Second),
	{{publish, <<"t/joined">>, 0, undefined, <<"joined">>}, Subscriber2} = do_receive(Subscriber),
	{{publish, <<"t/split">>, 0, undefined, <<"split">>}, _} = do_receive(Subscriber2),
	do_end([Publisher, Subscriber]).

ping(Config) ->
	ct:comment("The broker answers MQTT's ping."),
	Client = do_connect(Config),
	ok = do_send(Client, pingreq()),
	{pingresp, _} = do_receive(Client),
	do_end([Client]).

ends(Config) ->
	ct:comment("After DISCONNECT the broker ends the WebSocket, and the connection goes down without a fault."),
	Client = #client{conn=ConnPid, mref=MRef} = do_connect(Config),
	ok = do_send(Client, disconnect()),
	ok = do_down(Client),
	receive
		{'DOWN', MRef, process, ConnPid, Reason} ->
			ct:log("~p", [Reason]),
			true = Reason =:= normal orelse Reason =:= {shutdown, closed}
	after ?WAIT ->
		error(do_mailbox())
	end.

subprotocol_not_offered(Config) ->
	ct:comment("The broker's answer to an upgrade without the subprotocol is told in gun's messages."),
	ConnPid = do_open(do_config(port, Config)),
	StreamRef = gun:ws_upgrade(ConnPid, "/mqtt", [], #{compress => false}),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers} ->
			false = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers);
		{gun_response, ConnPid, StreamRef, _, Status, _} ->
			true = Status >= 400;
		{gun_error, ConnPid, StreamRef, Reason} ->
			ct:log("~p", [Reason]);
		{gun_down, ConnPid, http, Reason, _} ->
			ct:log("~p", [Reason])
	after ?WAIT ->
		error(do_mailbox())
	end,
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

broker_goes_away(Config) ->
	ct:comment("The broker is killed: gun_down says closed, and the process exits, as there are no retries."),
	Holder = spawn(fun do_hold_broker/0),
	Port = do_start_broker(do_config(dir, Config), Holder, Config),
	#client{conn=ConnPid, stream=StreamRef, mref=MRef} = do_connect([{port, Port}, {version, 5}]),
	ok = do_stop_broker(Holder),
	receive
		{gun_down, ConnPid, ws, closed, [StreamRef]} -> ok
	after ?WAIT ->
		error(do_mailbox())
	end,
	receive
		{'DOWN', MRef, process, ConnPid, {shutdown, closed}} -> ok
	after ?WAIT ->
		error(do_mailbox())
	end.

%% The client.

do_pair(Config, QoS) ->
	Subscriber = do_connect(Config),
	ok = do_send(Subscriber, subscribe(Subscriber#client.version, 1, <<"t/#">>, QoS)),
	{{suback, 1, [QoS]}, Subscriber2} = do_receive(Subscriber),
	{do_connect(Config), Subscriber2}.

do_connect(Config) ->
	Version = do_config(version, Config),
	ConnPid = do_open(do_config(port, Config)),
	MRef = monitor(process, ConnPid),
	StreamRef = gun:ws_upgrade(ConnPid, "/mqtt", [], #{compress => false, protocols => [{<<"mqtt">>, gun_ws_h}]}),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers} ->
			{_, <<"mqtt">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers)
	after ?WAIT ->
		error(do_mailbox())
	end,
	Client0 = #client{conn=ConnPid, mref=MRef, stream=StreamRef, version=Version},
	ClientId = integer_to_binary(erlang:unique_integer([positive])),
	ok = do_send(Client0, connect(Version, <<"client", ClientId/binary>>, 60)),
	{{connack, 0}, Client} = do_receive(Client0),
	Client.

do_open(Port) ->
	{ok, ConnPid} = gun:open("127.0.0.1", Port, #{retry => 0, connect_timeout => ?WAIT}),
	{ok, http} = gun:await_up(ConnPid, ?WAIT),
	ConnPid.

do_send(#client{conn=ConnPid, stream=StreamRef}, Data) ->
	gun:ws_send(ConnPid, StreamRef, {binary, Data}).

do_receive(Client=#client{conn=ConnPid, stream=StreamRef, version=Version, buffer=Buffer}) ->
	case mqtt_packets:parse(Version, Buffer) of
		{Packet, Rest} ->
			{Packet, Client#client{buffer=Rest}};
		more ->
			receive
				{gun_ws, ConnPid, StreamRef, {binary, Data}} ->
					do_receive(Client#client{buffer= <<Buffer/binary, Data/binary>>});
				{gun_ws, ConnPid, StreamRef, Close} ->
					error({closed, Close});
				{gun_down, ConnPid, _, Reason, _} ->
					error({down, Reason})
			after ?WAIT ->
				error(do_mailbox())
			end
	end.

do_down(Client=#client{conn=ConnPid, stream=StreamRef}) ->
	receive
		{gun_ws, ConnPid, StreamRef, Frame} ->
			true = Frame =:= close orelse element(1, Frame) =:= close,
			do_down(Client);
		{gun_down, ConnPid, ws, Reason, _} ->
			ct:log("~p", [Reason]),
			true = Reason =:= closed orelse Reason =:= normal,
			ok
	after ?WAIT ->
		error(do_mailbox())
	end.

%% As a program does that has no more to say.
do_end(Clients) ->
	_ = [begin
		ok = do_send(Client, disconnect()),
		ok = gun:shutdown(ConnPid),
		%% The broker may be faster.
		receive
			{'DOWN', MRef, process, ConnPid, shutdown} -> ok;
			{'DOWN', MRef, process, ConnPid, {shutdown, closed}} -> ok
		after ?WAIT ->
			error(do_mailbox())
		end,
		ok = gun:flush(ConnPid)
	end || Client=#client{conn=ConnPid, mref=MRef} <- Clients],
	ok.

do_mailbox() ->
	{messages, Messages} = process_info(self(), messages),
	{no_message, Messages}.

%% The broker.

do_start_broker(Dir, Holder, Config) ->
	do_start_broker(Dir, Holder, do_config(priv_dir, Config), 5).

%% Another process may have the port by the time that the broker asks for it.
do_start_broker(Dir, Holder, PrivDir, Tries) ->
	{ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
	{ok, Port} = inet:port(Socket),
	ok = gen_tcp:close(Socket),
	Name = integer_to_list(Port),
	ok = file:write_file(filename:join(PrivDir, Name ++ ".conf"), [
		%% To root it would be nobody, who may not write here.
		"user root\n"
		%% A broker with WebSocket alone does not start; this listener is for nobody. The path of a socket is short.
		"listener 0 ", Name, ".socket\n"
		"listener ", Name, " 127.0.0.1\n"
		"socket_domain ipv4\n"
		"protocol websockets\n"
		"allow_anonymous true\n"
		"persistence false\n"
		"max_queued_messages 0\n"
		"log_dest stderr\n"
	]),
	Holder ! {start, self(), Dir, PrivDir, Name ++ ".conf"},
	receive
		{Holder, running} -> Port;
		{Holder, exited} when Tries > 1 -> do_start_broker(Dir, Holder, PrivDir, Tries - 1)
	after ?WAIT ->
		error(no_broker)
	end.

do_stop_broker(Holder) ->
	MRef = monitor(process, Holder),
	Holder ! stop,
	receive {'DOWN', MRef, process, Holder, _} -> ok end.

do_hold_broker() ->
	receive
		{start, Starter, Dir, PrivDir, File} ->
			Libraries = lists:join(":", [Found || Lib <- ["lib", "usr/lib"],
				Found <- filelib:wildcard(filename:join([Dir, Lib, "*-linux-*"]))]),
			Broker = open_port({spawn_executable, "/bin/sh"}, [
				{args, ["-c", ?UNTIL_EOF, "sh", filename:join(Dir, "usr/sbin/mosquitto"), "-c", File]},
				{cd, PrivDir}, {env, [{"LD_LIBRARY_PATH", lists:append(Libraries)}]},
				{line, 1000}, exit_status, stderr_to_stdout, hide
			]),
			do_broker_starts(Broker, Starter, []);
		stop ->
			ok
	end.

do_broker_starts(Broker, Starter, Lines) ->
	receive
		{Broker, {data, {_, Line}}} ->
			case string:find(Line, " running") of
				nomatch ->
					do_broker_starts(Broker, Starter, [Line|Lines]);
				_ ->
					Starter ! {self(), running},
					do_broker_runs(Broker)
			end;
		{Broker, {exit_status, Status}} ->
			io:format(user, "The broker exited with ~b:~n~ts~n", [Status, lists:join("\n", lists:reverse(Lines))]),
			Starter ! {self(), exited},
			do_hold_broker()
	end.

do_broker_runs(Broker) ->
	receive
		stop ->
			true = port_close(Broker),
			ok;
		_ ->
			do_broker_runs(Broker)
	end.

do_config(Key, Config) ->
	{_, Value} = lists:keyfind(Key, 1, Config),
	Value.

do_root() ->
	filename:join(lists:takewhile(fun(Name) -> Name =/= "_build" end, filename:split(filename:absname(code:lib_dir(gun))))).

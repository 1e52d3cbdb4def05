%% amqp10_client of RabbitMQ 4.3, unchanged, by WebSocket. The broker, a RabbitMQ 3.10, speaks AMQP 1.0 on TCP: a handler
%% of Cowboy stands in front of it and passes the bytes on, as in the first group a listener of gun_rs, and in the others
%% Cowboy itself, over TLS and over HTTP/2.
-module(amqp10_SUITE).
-include("dependents.hrl").

groups() ->
	Cases = dependents:cases(?MODULE),
	[{Group, Cases} || Group <- [served_by_gun_rs, http, tls, http2, http2_tls]].

init_per_suite(Config0) ->
	Libraries = [{"dependents", "amqp10_common"}, {"dependents", "amqp10_client"}],
	case dependents_rabbitmq:plugins() of
		{ok, Plugins, _} ->
			case filelib:wildcard(filename:join(Plugins, "credentials_obfuscation-*/ebin")) of
				[Obfuscation] -> do_start(Libraries, [Obfuscation], Config0);
				_ -> {skip, "This RabbitMQ has no credentials_obfuscation."}
			end;
		none ->
			{skip, "No RabbitMQ for this OTP is in _build/peers."}
	end.

do_start([{Folder, App}|Libraries], Ebins, Config) ->
	case dependents:library(Folder, App) of
		{ok, Ebin} -> do_start(Libraries, [Ebin|Ebins], Config);
		none -> do_skip(App ++ " is not in _build/peers.", Ebins);
		old -> do_skip("This OTP cannot compile " ++ App ++ ".", Ebins)
	end;
do_start([], Ebins, Config0) ->
	%% The first is not one of those that dependents has put there.
	true = code:add_pathz(lists:last(Ebins)),
	Config = dependents_rabbitmq:start([{amqp, "listeners.tcp.1 = 127.0.0.1:~b\n"}], [rabbitmq_amqp1_0],
		dependents:start_server([{ebins, Ebins}|Config0])),
	{ok, _} = application:ensure_all_started(amqp10_client),
	{ok, _} = application:ensure_all_started(cowboy),
	{ok, Vsn} = application:get_key(amqp10_client, vsn),
	ct:comment("amqp10_client " ++ Vsn),
	Config.

do_skip(Why, Ebins) ->
	_ = [dependents:forget(Ebin) || Ebin <- lists:droplast(Ebins)],
	{skip, Why}.

end_per_suite(Config) ->
	_ = [ok = application:stop(App) || App <- [amqp10_client, credentials_obfuscation]],
	_ = [application:unload(App) || App <- [amqp10_client, amqp10_common, credentials_obfuscation]],
	ok = dependents_rabbitmq:stop(Config),
	lists:foreach(fun dependents:forget/1, config(ebins, Config)),
	dependents:stop_server(Config).

init_per_group(served_by_gun_rs, Config) ->
	Dispatch = cowboy_router:compile([{'_', [{"/amqp/:port", dependents_h, amqp}]}]),
	{ok, _} = cowboy:start_clear(?MODULE, [{ip, {127, 0, 0, 1}}, {port, 0}], #{env => #{dispatch => Dispatch}}),
	[{ws, {ranch:get_port(?MODULE), #{protocols => [http]}}}|Config];
init_per_group(http, Config) ->
	[{ws, {config(http, Config), #{protocols => [http]}}}|Config];
init_per_group(tls, Config) ->
	[{ws, {config(https, Config), #{protocols => [http], transport => tls, tls_opts => do_tls(Config)}}}|Config];
init_per_group(http2, Config) ->
	[{ws, {config(http, Config), #{protocols => [http2]}}}|Config];
init_per_group(http2_tls, Config) ->
	[{ws, {config(https, Config), #{transport => tls, tls_opts => do_tls(Config)}}}|Config].

do_tls(Config) ->
	[{cacertfile, config(cacertfile, Config)}, {server_name_indication, "localhost"}].

end_per_group(served_by_gun_rs, _) ->
	cowboy:stop_listener(?MODULE);
end_per_group(_, _) ->
	ok.

do_open(Config) ->
	do_open(#{}, Config).

do_open(Opts, Config) ->
	{Port, WsOpts} = config(ws, Config),
	{ok, Connection} = do_connect(Opts#{port => Port, ws_opts => WsOpts}, Config),
	?EXPECT({amqp10_event, {connection, Connection, opened}}),
	Connection.

do_connect(Opts, Config) ->
	amqp10_client:open_connection(maps:merge(#{
		address => "localhost",
		container_id => <<"suite">>,
		sasl => {plain, <<"guest">>, <<"guest">>},
		ws_path => lists:concat(["/amqp/", config(amqp, Config)])
	}, Opts)).

do_session(Connection) ->
	{ok, Session} = amqp10_client:begin_session_sync(Connection, ?WAIT),
	Session.

%% Links to and from a queue of the case's own.
do_links(Session, Name) ->
	Queue = iolist_to_binary(["/queue/", atom_to_list(Name), integer_to_list(erlang:unique_integer([positive]))]),
	{ok, Sender} = amqp10_client:attach_sender_link(Session, <<"out">>, Queue, unsettled),
	ok = do_attached(Sender),
	?EXPECT({amqp10_event, {link, Sender, credited}}),
	{ok, Receiver} = amqp10_client:attach_receiver_link(Session, <<"in">>, Queue, unsettled),
	ok = do_attached(Receiver),
	{Sender, Receiver}.

do_attached(Link) ->
	?EXPECT({amqp10_event, {link, Link, attached}}).

do_close(Connection) ->
	MRef = monitor(process, Connection),
	ok = amqp10_client:close_connection(Connection),
	?EXPECT({amqp10_event, {connection, Connection, {closed, normal}}}),
	?EXPECT({'DOWN', MRef, process, Connection, normal}).

messages_are_settled(Config) ->
	ct:comment("Each message is accepted by the broker, comes, and is accepted by the receiver."),
	Connection = do_open(Config),
	{Sender, Receiver} = do_links(do_session(Connection), ?FUNCTION_NAME),
	Numbers = lists:seq(1, 100),
	ok = amqp10_client:flow_link_credit(Receiver, 10, 5),
	_ = [begin
		Tag = integer_to_binary(N),
		ok = amqp10_client:send_msg(Sender, amqp10_msg:new(Tag, <<"message ", Tag/binary>>, false)),
		?EXPECT({amqp10_disposition, {accepted, Tag}})
	end || N <- Numbers],
	_ = [begin
		Msg = ?EXPECT({amqp10_msg, Receiver, M}, M),
		Body = <<"message ", (integer_to_binary(N))/binary>>,
		[Body] = amqp10_msg:body(Msg),
		ok = amqp10_client:accept_msg(Receiver, Msg)
	end || N <- Numbers],
	do_close(Connection).

large_messages(Config) ->
	ct:comment("A message of a megabyte takes many frames of AMQP, which leave in one of the WebSocket and come back in many."),
	Connection = do_open(#{max_frame_size => 16384}, Config),
	{Sender, Receiver} = do_links(do_session(Connection), ?FUNCTION_NAME),
	Body = crypto:strong_rand_bytes(1000000),
	ok = amqp10_client:send_msg(Sender, amqp10_msg:new(<<"large">>, Body, false)),
	?EXPECT({amqp10_disposition, {accepted, <<"large">>}}),
	{ok, Msg} = amqp10_client:get_msg(Receiver, ?WAIT),
	Body = iolist_to_binary(amqp10_msg:body(Msg)),
	ok = amqp10_client:accept_msg(Receiver, Msg),
	do_close(Connection).

sessions(Config) ->
	ct:comment("Several sessions share the connection; a session ends, the others go on."),
	Connection = do_open(Config),
	[First|Others] = [do_session(Connection) || _ <- lists:seq(1, 5)],
	ok = amqp10_client:end_session(First),
	?EXPECT({amqp10_event, {session, First, {ended, _}}}),
	_ = [begin
		{Sender, Receiver} = do_links(Session, ?FUNCTION_NAME),
		ok = amqp10_client:send_msg(Sender, amqp10_msg:new(<<"t">>, <<"one">>, false)),
		?EXPECT({amqp10_disposition, {accepted, <<"t">>}}),
		{ok, Msg} = amqp10_client:get_msg(Receiver, ?WAIT),
		[<<"one">>] = amqp10_msg:body(Msg),
		ok = amqp10_client:accept_msg(Receiver, Msg)
	end || Session <- Others],
	do_close(Connection).

wrong_password(Config) ->
	ct:comment("The broker refuses who has not the password."),
	{Port, WsOpts} = config(ws, Config),
	{ok, Connection} = do_connect(#{port => Port, ws_opts => WsOpts, sasl => {plain, <<"guest">>, <<"wrong">>}}, Config),
	?EXPECT({amqp10_event, {connection, Connection, {closed, Reason}}}, true = Reason =/= normal).

upgrade_refused(Config) ->
	ct:comment("Where there is no WebSocket, the answer is told to the caller."),
	{Port, WsOpts} = config(ws, Config),
	{error, {ws_upgrade, 404, _}} = do_connect(#{port => Port, ws_opts => WsOpts, ws_path => "/nowhere"}, Config).

nobody_listens(Config) ->
	ct:comment("Where nobody listens, the caller is told why."),
	{_, WsOpts} = config(ws, Config),
	{Socket, Port} = gun_rs_test:refused_port(),
	{error, _} = do_connect(#{port => Port, ws_opts => WsOpts#{retry => 0}}, Config),
	gun_rs_test:release_port(Socket).

connection_is_lost(Config) ->
	ct:comment("The way to the WebSocket is cut: who has opened the connection hears of it."),
	{Port, WsOpts} = config(ws, Config),
	{Middle, Way} = tcp_middle:start(Port, #{}),
	do_ends(#{ws => {Way, WsOpts}}, Middle, Config).

broker_goes_away(Config) ->
	ct:comment("The broker's end makes the server close the WebSocket: who has opened the connection hears of it."),
	{Middle, Way} = tcp_middle:start(config(amqp, Config), #{}),
	do_ends(#{amqp => Way}, Middle, Config).

do_ends(Ports, Middle, Config) ->
	Connection = do_open(maps:to_list(Ports) ++ Config),
	_ = do_session(Connection),
	MRef = monitor(process, Connection),
	ok = tcp_middle:cut(Middle),
	?EXPECT({amqp10_event, {connection, Connection, {closed, _}}}),
	?EXPECT({'DOWN', MRef, process, Connection, _}),
	tcp_middle:stop(Middle).

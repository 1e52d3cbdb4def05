%% What escalus, and the tests of MongooseIM, do with gun: XMPP over WebSocket, and server-sent events.
-module(escalus_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

groups() ->
	[{Group, dependents:cases(?MODULE)} || Group <- [http, https]].

init_per_group(http, Config) ->
	[{port, config(http, Config)}, {opts, #{protocols => [http]}}|Config];
init_per_group(https, Config) ->
	[{port, config(https, Config)}, {opts, #{protocols => [http], transport => tls, tls_opts => [{verify, verify_none}]}}|Config].

end_per_group(_, _) -> ok.

xmpp(Config) ->
	ct:comment("A stream of XMPP opens, carries stanzas and closes, each in a text frame of its own."),
	{ok, ConnPid} = gun:open("localhost", config(port, Config), config(opts, Config)),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:ws_upgrade(ConnPid, "/xmpp", [], #{protocols => [{<<"xmpp">>, gun_ws_h}]}),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _} -> ok;
		{gun_response, ConnPid, _, _, Status, _} -> error({refused, Status});
		{gun_error, ConnPid, StreamRef, Reason} -> error(Reason)
	after ?WAIT ->
		error(timeout)
	end,
	ok = gun:ws_send(ConnPid, StreamRef, {text, ["<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'", <<"/>">>]}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"<open", _/binary>>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"<features/>">>}}),
	_ = [begin
		Stanza = iolist_to_binary(["<message id='", integer_to_list(N), "'/>"]),
		ok = gun:ws_send(ConnPid, StreamRef, {text, Stanza}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, Stanza}})
	end || N <- lists:seq(1, 100)],
	ok = gun:ws_send(ConnPid, StreamRef, {text, <<"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>">>}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"<close", _/binary>>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1000, <<>>}}),
	_ = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

events(Config) ->
	ct:comment("Server-sent events come as maps, by the handlers of gun that the connection names, and then their end."),
	Opts = (config(opts, Config))#{http_opts => #{content_handlers => [gun_sse_h, gun_data_h]}},
	{ok, ConnPid} = gun:open("localhost", config(port, Config), Opts),
	{ok, http} = gun:await_up(ConnPid),
	StreamRef = gun:get(ConnPid, "/events?count=3", [{<<"accept">>, <<"text/event-stream">>}]),
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef),
	_ = [begin
		{sse, #{data := Data, event_type := <<"count">>}} = gun:await(ConnPid, StreamRef),
		<<"one of\n3">> = iolist_to_binary(Data)
	end || _ <- [1, 2, 3]],
	{sse, fin} = gun:await(ConnPid, StreamRef),
	ok = gun:close(ConnPid).

requests(Config) ->
	ct:comment("Requests to an API, one after the other, and their bodies."),
	{ok, ConnPid} = gun:open("localhost", config(port, Config), config(opts, Config)),
	{ok, http} = gun:await_up(ConnPid),
	_ = [begin
		{response, nofin, 200, _} = gun:await(ConnPid, StreamRef, ?WAIT),
		{ok, <<"body">>} = gun:await_body(ConnPid, StreamRef)
	end || StreamRef <- [gun:post(ConnPid, "/echo", [], <<"body">>), gun:put(ConnPid, "/echo", [], "body")]],
	ok = gun:close(ConnPid).

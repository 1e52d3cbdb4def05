%% The Websocket chapter of the Gun 1.2 user guide: every example of it runs, with `gun` read as `gun_rs`.
-module(gun_rs_seed_SUITE).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

upgrade(Config) ->
	doc("Upgrade to Websocket."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	gun_rs:ws_upgrade(ConnPid, "/websocket"),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers} ->
			upgrade_success(ConnPid, StreamRef, Headers);
		{gun_response, ConnPid, _, _, Status, Headers} ->
			exit({ws_upgrade_failed, Status, Headers});
		{gun_error, _ConnPid, _StreamRef, Reason} ->
			exit({ws_upgrade_failed, Reason})
		%% More clauses here as needed.
	after ?WAIT ->
		exit(timeout)
	end,
	gun_rs:close(ConnPid).

upgrade_success(ConnPid, StreamRef, Headers) ->
	true = is_reference(StreamRef),
	#{owner := Owner} = gun_rs:info(ConnPid),
	Owner = self(),
	{_, <<"websocket">>} = lists:keyfind(<<"upgrade">>, 1, Headers),
	ok.

upgrade_returns_the_stream_ref(Config) ->
	doc("The reference that ws_upgrade returns is the one in gun_upgrade."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{upgrade, [<<"websocket">>], _} = gun_rs:await(ConnPid, StreamRef),
	gun_rs:close(ConnPid).

upgrade_with_subprotocol(Config) ->
	doc("Upgrade to Websocket and request a protocol."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/mychat", [
		{<<"sec-websocket-protocol">>, "mychat"}
	]),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], H}, H),
	{_, <<"mychat">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	ok = gun_rs:ws_send(ConnPid, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	gun_rs:close(ConnPid).

subprotocol_that_the_server_ignores(Config) ->
	doc("A server may leave the requested protocol unanswered."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/mychat", [
		{<<"sec-websocket-protocol">>, "otherchat"}
	]),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], H}, H),
	false = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	gun_rs:close(ConnPid).

options_at_open(Config) ->
	doc("You can pass the Websocket options as part of the open call."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config), #{
		ws_opts => #{silence_pings => false}
	}),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/command"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, {binary, term_to_binary([ping])}),
	?EXPECT({gun_ws, ConnPid, StreamRef, ping}),
	gun_rs:close(ConnPid).

options_at_upgrade(Config) ->
	doc("Or using ws_upgrade/4: the fourth argument is those same options."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/command", [], #{silence_pings => false}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, {binary, term_to_binary([ping])}),
	?EXPECT({gun_ws, ConnPid, StreamRef, ping}),
	gun_rs:close(ConnPid).

refused_upgrade(Config) ->
	doc("If the server refused the upgrade, a gun_response message is sent, with the body after it."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/refuse"),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], Headers} ->
			error({upgraded, Headers});
		{gun_response, ConnPid, _, nofin, Status, Headers} ->
			403 = Status,
			{_, <<"text/plain">>} = lists:keyfind(<<"content-type">>, 1, Headers);
		{gun_error, ConnPid, StreamRef, Reason} ->
			exit({ws_upgrade_failed, Reason})
	after ?WAIT ->
		exit(timeout)
	end,
	<<"Members only.">> = do_body(ConnPid, StreamRef, <<>>),
	%% The connection stays usable.
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef2, [<<"websocket">>], _}),
	ok = gun_rs:ws_send(ConnPid, StreamRef2, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef2, {text, <<"Hello!">>}}),
	?REFUTE({gun_down, ConnPid, _, _, _}),
	gun_rs:close(ConnPid).

do_body(ConnPid, StreamRef, Body) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} ->
			do_body(ConnPid, StreamRef, <<Body/binary, Data/binary>>);
		{gun_data, ConnPid, StreamRef, fin, Data} ->
			<<Body/binary, Data/binary>>
	after ?WAIT ->
		gun_rs_test:missing("gun_data")
	end.

route_not_found(Config) ->
	doc("A response without a body is final at once."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/nowhere"),
	?EXPECT({gun_response, ConnPid, StreamRef, fin, 404, _}),
	gun_rs:close(ConnPid).

upgrade_on_http_1_0(Config) ->
	doc("Attempting to upgrade to Websocket on an HTTP/1.0 connection ends in a gun_error message."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config), #{
		http_opts => #{version => 'HTTP/1.0'}
	}),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, [_|_]}}),
	gun_rs:close(ConnPid).

send(Config) ->
	doc("Send a text frame with ws_send/2, and with the ws_send/3 of Gun 2."),
	{ConnPid, StreamRef} = gun_rs_test:open_ws(config(port, Config), "/websocket"),
	ok = gun_rs:ws_send(ConnPid, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello again!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello again!">>}}),
	gun_rs:close(ConnPid).

receive_loop(Config) ->
	doc("Receive one message for every Websocket message."),
	{ConnPid, StreamRef} = gun_rs_test:open_ws(config(port, Config), "/websocket"),
	ok = gun_rs:ws_send(ConnPid, [{text, integer_to_binary(N)} || N <- lists:seq(1, 5)]),
	[<<"1">>, <<"2">>, <<"3">>, <<"4">>, <<"5">>] = do_loop(ConnPid, StreamRef, 5),
	gun_rs:close(ConnPid).

do_loop(_, _, 0) ->
	[];
do_loop(ConnPid, StreamRef, Left) ->
	receive
		{gun_ws, ConnPid, StreamRef, Frame} ->
			handle_frame(ConnPid, StreamRef, Frame) ++ do_loop(ConnPid, StreamRef, Left - 1)
	after ?WAIT ->
		gun_rs_test:missing("gun_ws")
	end.

handle_frame(_, _, {text, Text}) ->
	[Text].

close_reconnects(Config) ->
	doc("If you send a close frame, the connection closes cleanly and reconnects afterwards."),
	{ok, ConnPid} = gun_rs:open("localhost", config(port, Config)),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = gun_rs:ws_send(ConnPid, close),
	?EXPECT({gun_ws, ConnPid, StreamRef, close}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef2, _, _}),
	gun_rs:close(ConnPid).

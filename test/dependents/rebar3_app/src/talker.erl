-module(talker).

-export([echo/2]).

%% What the server at the port answers to a text.
-spec echo(inet:port_number(), binary()) -> binary().
echo(Port, Text) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port),
	{ok, http} = gun_rs:await_up(ConnPid),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/echo"),
	{upgrade, [<<"websocket">>], _} = gun_rs:await(ConnPid, StreamRef),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
	{ws, {text, Echo}} = gun_rs:await(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	Echo.

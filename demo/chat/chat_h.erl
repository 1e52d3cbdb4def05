%% A chat room: what one says, all of its WebSockets receive.
-module(chat_h).
-behaviour(gun_rs_websocket).

-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

-define(ROOM, {pg, chat, room}).

init(Req, _) ->
	{gun_rs_websocket, Req, gun_rs_req:binding(name, Req), #{compress => true, ping_interval => 30000}}.

websocket_init(Name) ->
	ok = pg:join(chat, room, self()),
	say([Name, " is here."]),
	{[], Name}.

websocket_handle({text, Text}, Name) ->
	say([Name, ": ", Text]),
	{[], Name};
websocket_handle(_, Name) ->
	{[], Name}.

websocket_info(_, Name) ->
	{[], Name}.

%% It is encoded once for all who receive it, on every node of the cluster.
say(Text) ->
	gun_rs_server:broadcast(?ROOM, {text, Text}).

%% A module of gun_rs_ws_client's that tells a test what it is called with.
-module(ws_client_h).
-behaviour(gun_rs_ws_client).

-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).
-export([websocket_down/2]).
-export([terminate/2]).

websocket_init(Test) ->
	Test ! {self(), init},
	{[{text, <<"hello">>}], Test}.

websocket_handle(Frame, Test) ->
	Test ! {self(), Frame},
	{[], Test, hibernate}.

websocket_info({send, Frame}, Test) ->
	{[Frame], Test};
websocket_info(crash, _) ->
	error(crash);
websocket_info(stop, Test) ->
	{stop, Test};
websocket_info(Message, Test) ->
	Test ! {self(), {info, Message}},
	{[], Test}.

websocket_down(Reason, Test) ->
	Test ! {self(), {down, Reason}},
	{reconnect, Test}.

terminate(Reason, Test) ->
	Test ! {self(), {terminate, Reason}},
	ok.

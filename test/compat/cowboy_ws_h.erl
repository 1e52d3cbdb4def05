%% A handler of Cowboy 2.
-module(cowboy_ws_h).
-behaviour(cowboy_websocket).

-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

init(Req=#{method := <<"GET">>, qs := Qs}, _) ->
	{cowboy_websocket, cowboy_req:set_resp_header(<<"x-qs">>, Qs, Req), cowboy_req:binding(name, Req), #{idle_timeout => 30000}}.

websocket_init(Name) ->
	{[{text, ["Hello, ", Name]}], Name}.

websocket_handle(Frame, Name) ->
	{reply, Frame, Name}.

websocket_info(_, Name) ->
	{ok, Name}.

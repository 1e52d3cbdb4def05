%% A handler of frames that changes some and leaves the rest to gun_rs_ws_h.
-module(ws_upper_h).
-behaviour(gun_rs_ws_protocol).

-export([init/4]).
-export([handle/2]).

init(ReplyTo, StreamRef, Headers, Opts) ->
	gun_rs_ws_h:init(ReplyTo, StreamRef, Headers, Opts).

handle({text, Text}, State) ->
	gun_rs_ws_h:handle({text, string:uppercase(Text)}, State);
handle(Frame, State) ->
	gun_rs_ws_h:handle(Frame, State).

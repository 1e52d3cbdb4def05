%% @doc The handler of a WebSocket's frames where there is no other: `gun_rs_ws_h'. Named in
%% ws_opts, it stands for native code; it is here for modules that leave some frames to it.
-module(gun_ws_h).
-behaviour(gun_ws_protocol).

-export([init/4]).
-export([handle/2]).

-spec init(gun:reply_to(), reference(), [{binary(), binary()}], gun:ws_opts()) -> {ok, term()}.
init(ReplyTo, StreamRef, Headers, Opts) ->
	gun_rs_ws_h:init(ReplyTo, StreamRef, Headers, Opts).

-spec handle(gun_rs_ws_protocol:frame(), term()) -> {ok, non_neg_integer(), term()}.
handle(Frame, State) ->
	gun_rs_ws_h:handle(Frame, State).

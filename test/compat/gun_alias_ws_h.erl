%% Tells of every frame, and leaves it to gun's own module.
-module(gun_alias_ws_h).
-behaviour(gun_ws_protocol).

-export([init/4]).
-export([handle/2]).

init(ReplyTo, StreamRef, Headers, Opts=#{user_opts := Pid}) ->
	{ok, State} = gun_ws_h:init(ReplyTo, StreamRef, Headers, Opts),
	{ok, {Pid, State}}.

handle(Frame, {Pid, State0}) ->
	Pid ! {?MODULE, Frame},
	{ok, Flow, State} = gun_ws_h:handle(Frame, State0),
	{ok, Flow, {Pid, State}}.

%% A handler of frames that tells the stream's reply_to what it is called with:
%%
%%     {ws_init, ConnPid, ReplyTo, StreamRef, Headers, Opts}
%%     {ws_handle, ConnPid, Frame}
%%
%% Where user_opts is a map, its init is a fun that init/4 runs, and its handle a fun of a frame, which answers with the
%% frame's cost, or with anything else, which handle/2 then gives as its result.
-module(ws_tell_h).
-behaviour(gun_rs_ws_protocol).

-export([init/4]).
-export([handle/2]).

init(ReplyTo, StreamRef, Headers, Opts) ->
	tell(ReplyTo, {ws_init, self(), ReplyTo, StreamRef, Headers, Opts}),
	{Init, Handle} = case Opts of
		#{user_opts := UserOpts = #{}} ->
			{maps:get(init, UserOpts, fun() -> ok end), maps:get(handle, UserOpts, fun(_) -> 1 end)};
		_ ->
			{fun() -> ok end, fun(_) -> 1 end}
	end,
	ok = Init(),
	{ok, {ReplyTo, Handle}}.

handle(Frame, State = {ReplyTo, Handle}) ->
	tell(ReplyTo, {ws_handle, self(), Frame}),
	case Handle(Frame) of
		FlowDecrement when is_integer(FlowDecrement) -> {ok, FlowDecrement, State};
		Other -> Other
	end.

tell(ReplyTo, Msg) ->
	_ = gun_rs_delivery:deliver(ReplyTo, Msg),
	ok.

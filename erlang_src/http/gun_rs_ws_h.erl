%% @doc The handler of a WebSocket's frames where there is no other: it joins fragments
%% and sends `{gun_ws, ConnPid, StreamRef, Frame}' for each message.
%%
%% A connection whose handler this is does not call it: native code does the same, and
%% sends the messages itself. It is here for modules that handle some frames and leave
%% the others to it.
-module(gun_rs_ws_h).
-behaviour(gun_rs_ws_protocol).

-export([init/4]).
-export([handle/2]).

-record(state, {
	reply_to :: gun_rs_options:reply_to(),
	stream_ref :: reference(),
	silence_pings :: boolean(),
	%% The fragments so far, the last one first.
	fragments = [] :: [binary()]
}).

-spec init(gun_rs_options:reply_to(), reference(), [{binary(), binary()}], gun_rs_options:ws_opts())
	-> {ok, #state{}}.
init(ReplyTo, StreamRef, _Headers, Opts) ->
	{ok, #state{reply_to=ReplyTo, stream_ref=StreamRef, silence_pings=maps:get(silence_pings, Opts, true)}}.

-spec handle(gun_rs_ws_protocol:frame(), #state{}) -> {ok, 0 | 1, #state{}}.
handle({fragment, nofin, _, Payload}, State=#state{fragments=Fragments}) ->
	{ok, 0, State#state{fragments=[Payload|Fragments]}};
handle({fragment, fin, Type, Payload}, State=#state{fragments=Fragments}) ->
	Message = iolist_to_binary(lists:reverse(Fragments, [Payload])),
	send({Type, Message}, State#state{fragments=[]});
handle(Frame, State=#state{silence_pings=true})
		when Frame =:= ping; Frame =:= pong; element(1, Frame) =:= ping; element(1, Frame) =:= pong ->
	{ok, 0, State};
handle(Frame, State) ->
	send(Frame, State).

send(Frame, State=#state{reply_to=ReplyTo, stream_ref=StreamRef}) ->
	_ = gun_rs_delivery:deliver(ReplyTo, {gun_ws, self(), StreamRef, Frame}),
	{ok, 1, State}.

%% @doc Sends the events of a text/event-stream as gun_sse: `gun_rs_sse_h'.
-module(gun_sse_h).
-behaviour(gun_content_handler).

-export([init/5]).
-export([handle/3]).

-spec init(gun:reply_to(), reference(), 100..999, [{binary(), binary()}], map()) -> {ok, term()} | disable.
init(ReplyTo, StreamRef, Status, Headers, Opts) ->
	gun_rs_sse_h:init(ReplyTo, StreamRef, Status, Headers, Opts).

-spec handle(fin | nofin, binary(), term()) -> {done, non_neg_integer(), term()}.
handle(IsFin, Data, State) ->
	gun_rs_sse_h:handle(IsFin, Data, State).

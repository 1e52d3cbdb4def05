%% @doc Sends each piece of a response's body as gun_data: `gun_rs_data_h'.
-module(gun_data_h).
-behaviour(gun_content_handler).

-export([init/5]).
-export([handle/3]).

-spec init(gun:reply_to(), reference(), 100..999, [{binary(), binary()}], map()) -> {ok, term()} | disable.
init(ReplyTo, StreamRef, Status, Headers, Opts) ->
	gun_rs_data_h:init(ReplyTo, StreamRef, Status, Headers, Opts).

-spec handle(fin | nofin, binary(), term()) -> {done, non_neg_integer(), term()}.
handle(IsFin, Data, State) ->
	gun_rs_data_h:handle(IsFin, Data, State).

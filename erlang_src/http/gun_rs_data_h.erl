%% @doc The content handler where there is no other: it takes every body, and sends
%% `{gun_data, ConnPid, StreamRef, fin | nofin, Data}' for each piece, which costs 1 of
%% the flow. It has no options.
-module(gun_rs_data_h).
-behaviour(gun_rs_content_handler).

-export([init/5]).
-export([handle/3]).
-export([check_options/1]).

-record(state, {
	reply_to :: gun_rs_options:reply_to(),
	stream_ref :: reference()
}).

-spec init(gun_rs_options:reply_to(), reference(), 100..999, [{binary(), binary()}], map())
	-> {ok, #state{}}.
init(ReplyTo, StreamRef, _Status, _Headers, _Opts) ->
	{ok, #state{reply_to=ReplyTo, stream_ref=StreamRef}}.

-spec handle(fin | nofin, term(), #state{}) -> {done, 1, #state{}}.
handle(IsFin, Data, State=#state{reply_to=ReplyTo, stream_ref=StreamRef}) ->
	_ = gun_rs_delivery:deliver(ReplyTo, {gun_data, self(), StreamRef, IsFin, Data}),
	{done, 1, State}.

%% @private
-spec check_options(map()) -> ok | error.
check_options(Opts) when map_size(Opts) =:= 0 -> ok;
check_options(_) -> error.

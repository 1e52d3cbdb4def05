%% @doc The behaviour of modules that take the bodies of responses, and the chain of such
%% modules that one response has: `gun_rs_content_handler'.
-module(gun_content_handler).

-export([init/5]).
-export([handle/3]).
-export([check_option/1]).

-type opt() :: gun_rs_content_handler:handlers().
-export_type([opt/0]).

-type state() :: gun_rs_content_handler:state().
-export_type([state/0]).

-callback init(ReplyTo :: gun:reply_to(), gun:stream_ref(), Status :: 100..999,
	Headers :: [{binary(), binary()}], Opts :: map()) -> {ok, State :: any()} | disable.

-callback handle(fin | nofin, Data :: any(), State)
	-> {ok, NewData :: any(), FlowDecrement :: non_neg_integer(), State}
	| {done, FlowDecrement :: non_neg_integer(), State}
	when State :: any().

-spec init(gun:reply_to(), reference(), 100..999, [{binary(), binary()}], opt()) -> state().
init(ReplyTo, StreamRef, Status, Headers, Handlers) ->
	gun_rs_content_handler:init(ReplyTo, StreamRef, Status, Headers, Handlers).

-spec handle(fin | nofin, Data :: term(), state()) -> {ok, Flow :: non_neg_integer(), state()}.
handle(IsFin, Data, State) ->
	gun_rs_content_handler:handle(IsFin, Data, State).

-spec check_option(term()) -> ok | error.
check_option(Handlers) ->
	gun_rs_content_handler:check_option(Handlers).

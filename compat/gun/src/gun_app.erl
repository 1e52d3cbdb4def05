%% @private
-module(gun_app).
-behaviour(application).

-export([start/2]).
-export([stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_, _) ->
	gun_sup:start_link().

-spec stop(term()) -> ok.
stop(_) ->
	ok.

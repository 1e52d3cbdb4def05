%% @private
-module(gun_rs_app).
-behaviour(application).

-export([start/2]).
-export([stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
	case gun_rs_runtime:start() of
		ok -> gun_rs_sup:start_link();
		{error, _} = Error -> Error
	end.

-spec stop(term()) -> ok.
stop(_State) ->
	gun_rs_runtime:stop().

%% @private What gun has and gun_rs has not yet.
-module(gun_not_built).

-export([raise/3]).

-spec raise(module(), Function :: atom(), arity()) -> no_return().
raise(Module, Function, Arity) ->
	Text = io_lib:format("gun_rs takes the place of gun here, and has no ~s:~s/~b yet.", [Module, Function, Arity]),
	error({not_built, {Module, Function, Arity}, lists:flatten(Text)}).

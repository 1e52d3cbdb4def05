%% @doc The types of files that routes name, by gun_rs_mimetypes.
-module(cow_mimetypes).

-export([all/1]).
-export([web/1]).

-spec all(Path :: binary()) -> {binary(), binary(), list()}.
all(Path) ->
	gun_rs_mimetypes:all(Path).

-spec web(Path :: binary()) -> {binary(), binary(), list()}.
web(Path) ->
	gun_rs_mimetypes:web(Path).

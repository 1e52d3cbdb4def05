%% @doc Cowboy's routes, by gun_rs_router.
-module(cowboy_router).

-export([compile/1]).

-type routes() :: gun_rs_router:routes().
-type dispatch_rules() :: gun_rs_router:dispatch().
-type bindings() :: gun_rs_router:bindings().
-type tokens() :: [binary()].
-export_type([routes/0, dispatch_rules/0, bindings/0, tokens/0]).

-spec compile(routes()) -> dispatch_rules().
compile(Routes) ->
	gun_rs_router:compile(Routes).

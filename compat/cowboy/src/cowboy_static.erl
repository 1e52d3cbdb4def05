%% @doc Cowboy's files, by gun_rs_static.
-module(cowboy_static).

-export([init/2]).
-export([init/3]).
-export([handle/2]).
-export([terminate/3]).

-type opts() :: gun_rs_static:opts().
-export_type([opts/0]).

-spec init(gun_rs_req:req(), term()) -> {ok, gun_rs_req:req(), term()}.
init(Req, Opts) ->
	gun_rs_static:init(Req, Opts).

-spec init({tcp | ssl, http}, gun_rs_req:req(), term()) -> {ok, gun_rs_req:req(), term()}.
init(Transport, Req, Opts) ->
	gun_rs_static:init(Transport, Req, Opts).

-spec handle(gun_rs_req:req(), term()) -> {ok, gun_rs_req:req(), term()}.
handle(Req, State) ->
	gun_rs_static:handle(Req, State).

-spec terminate(term(), gun_rs_req:req(), term()) -> ok.
terminate(Reason, Req, State) ->
	gun_rs_static:terminate(Reason, Req, State).

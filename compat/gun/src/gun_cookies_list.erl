%% @doc A cookie store in the memory of one connection: `gun_rs_cookies_list'.
-module(gun_cookies_list).
-behaviour(gun_cookies).

-export([init/0]).
-export([init/1]).
-export([query/2]).
-export([set_cookie_secure_match/2]).
-export([set_cookie_get_exact_match/2]).
-export([store/2]).
-export([gc/1]).
-export([session_gc/1]).

-type opts() :: gun_rs_cookies_list:opts().
-export_type([opts/0]).

-spec init() -> {?MODULE, State :: term()}.
init() ->
	init(#{}).

-spec init(opts()) -> {?MODULE, State :: term()}.
init(Opts) ->
	{gun_rs_cookies_list, State} = gun_rs_cookies_list:init(Opts),
	{?MODULE, State}.

-spec query(State, uri_string:uri_map()) -> {ok, [gun_cookies:cookie()], State} when State :: any().
query(State, URI) ->
	gun_rs_cookies_list:query(State, URI).

-spec set_cookie_secure_match(State :: any(), map()) -> match | nomatch.
set_cookie_secure_match(State, Match) ->
	gun_rs_cookies_list:set_cookie_secure_match(State, Match).

-spec set_cookie_get_exact_match(State, map()) -> {ok, gun_cookies:cookie(), State} | error when State :: any().
set_cookie_get_exact_match(State, Match) ->
	gun_rs_cookies_list:set_cookie_get_exact_match(State, Match).

-spec store(State, gun_cookies:cookie()) -> {ok, State} | {error, any()} when State :: any().
store(State, Cookie) ->
	gun_rs_cookies_list:store(State, Cookie).

-spec gc(State) -> {ok, State} when State :: any().
gc(State) ->
	gun_rs_cookies_list:gc(State).

-spec session_gc(State) -> {ok, State} when State :: any().
session_gc(State) ->
	gun_rs_cookies_list:session_gc(State).

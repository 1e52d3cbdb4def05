%% @doc Cookies, and the behaviour of modules that store them: `gun_rs_cookies'.
-module(gun_cookies).

-export([add_cookie_header/5]).
-export([domain_match/2]).
-export([gc/1]).
-export([path_match/2]).
-export([query/2]).
-export([session_gc/1]).
-export([set_cookie/5]).
-export([set_cookie_header/7]).

-type store_state() :: any().

-type store() :: gun_rs_cookies:store().
-export_type([store/0]).

-type cookie() :: gun_rs_cookies:cookie().
-export_type([cookie/0]).

-callback init(any()) -> store().
-callback query(State, uri_string:uri_map()) -> {ok, [cookie()], State} when State :: store_state().
-callback set_cookie_secure_match(store_state(), #{name := binary(), domain := binary(), path := binary()})
	-> match | nomatch.
-callback set_cookie_get_exact_match(State,
	#{name := binary(), domain := binary(), host_only := boolean(), path := binary()})
	-> {ok, cookie(), State} | error when State :: store_state().
-callback store(State, cookie()) -> {ok, State} | {error, any()} when State :: store_state().
-callback gc(State) -> {ok, State} when State :: store_state().
-callback session_gc(State) -> {ok, State} when State :: store_state().

-spec add_cookie_header(Scheme :: binary(), Authority :: iodata(), PathWithQuery :: iodata(),
	[{binary(), iodata()}], Store) -> {[{binary(), iodata()}], Store} when Store :: undefined | store().
add_cookie_header(Scheme, Authority, PathWithQuery, Headers, Store) ->
	gun_rs_cookies:add_cookie_header(Scheme, Authority, PathWithQuery, Headers, Store).

-spec domain_match(binary(), binary()) -> boolean().
domain_match(Host, Domain) ->
	gun_rs_cookies:domain_match(Host, Domain).

-spec gc(Store) -> {ok, Store} when Store :: store().
gc(Store) ->
	gun_rs_cookies:gc(Store).

-spec path_match(binary(), binary()) -> boolean().
path_match(RequestPath, CookiePath) ->
	gun_rs_cookies:path_match(RequestPath, CookiePath).

-spec query(Store, uri_string:uri_map()) -> {ok, [cookie()], Store} when Store :: store().
query(Store, URI) ->
	gun_rs_cookies:query(Store, URI).

-spec session_gc(Store) -> {ok, Store} when Store :: store().
session_gc(Store) ->
	gun_rs_cookies:session_gc(Store).

-spec set_cookie(Store, uri_string:uri_map(), binary(), binary(), gun_rs_cookie_parser:attrs())
	-> {ok, Store} | {error, any()} when Store :: store().
set_cookie(Store, URI, Name, Value, Attrs) ->
	gun_rs_cookies:set_cookie(Store, URI, Name, Value, Attrs).

-spec set_cookie_header(Scheme :: binary(), Authority :: iodata(), PathWithQuery :: iodata(), Status :: integer(),
	[{binary(), iodata()}], Store, Opts :: map()) -> Store when Store :: undefined | store().
set_cookie_header(Scheme, Authority, PathWithQuery, Status, Headers, Store, Opts) ->
	gun_rs_cookies:set_cookie_header(Scheme, Authority, PathWithQuery, Status, Headers, Store, Opts).

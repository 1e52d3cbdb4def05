%% A cookie store that does what it is told: the callback whose name is the key crash crashes, that under refuse is
%% refused, and the rest is gun_rs_cookies_list's.
-module(cookie_store_h).
-behaviour(gun_rs_cookies).

-export([init/1]).
-export([query/2]).
-export([set_cookie_secure_match/2]).
-export([set_cookie_get_exact_match/2]).
-export([store/2]).
-export([gc/1]).
-export([session_gc/1]).

init(Told) ->
	{_, State} = gun_rs_cookies_list:init(),
	{?MODULE, {Told, State}}.

query({Told, State0}, URI) ->
	ok = crash(?FUNCTION_NAME, Told),
	{ok, Cookies, State} = gun_rs_cookies_list:query(State0, URI),
	{ok, Cookies, {Told, State}}.

set_cookie_secure_match({Told, State}, Match) ->
	ok = crash(?FUNCTION_NAME, Told),
	gun_rs_cookies_list:set_cookie_secure_match(State, Match).

set_cookie_get_exact_match({Told, State0}, Match) ->
	ok = crash(?FUNCTION_NAME, Told),
	case gun_rs_cookies_list:set_cookie_get_exact_match(State0, Match) of
		{ok, Cookie, State} -> {ok, Cookie, {Told, State}};
		error -> error
	end.

store({#{refuse := Name}, _}, #{name := Name}) ->
	{error, refused};
store({Told, State0}, Cookie) ->
	ok = crash(?FUNCTION_NAME, Told),
	{ok, State} = gun_rs_cookies_list:store(State0, Cookie),
	{ok, {Told, State}}.

gc({Told, State0}) ->
	{ok, State} = gun_rs_cookies_list:gc(State0),
	{ok, {Told, State}}.

session_gc({Told, State0}) ->
	{ok, State} = gun_rs_cookies_list:session_gc(State0),
	{ok, {Told, State}}.

crash(Callback, #{crash := Callback}) -> error({crashed, Callback});
crash(_, _) -> ok.

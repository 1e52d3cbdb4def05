%% What the tests of cookies have in common: a client that is given cookies, and sends them.
-module(cookie_client).

-include_lib("eunit/include/eunit.hrl").

-export([store/0]).
-export([set_at/3]).
-export([sent_to/2]).
-export([sent/1]).
-export([count/1]).
-export([cookie/1]).
-export([earlier/1]).
-export([seconds/1]).
-export([random/1]).
-export([noise/1]).
-export([random_date/0]).

-define(HOST, <<"www.example.org">>).

store() ->
	gun_rs_cookies_list:init().

%% The store after the response to a request.
set_at({Scheme, Authority, Path}, SetCookies, Store) ->
	gun_rs_cookies:set_cookie_headers(scheme(Scheme), iolist_to_binary(Authority), iolist_to_binary(Path),
		200, [{<<"set-cookie">>, iolist_to_binary(SetCookie)} || SetCookie <- SetCookies], Store, #{}).

%% What the cookie header of a request has.
sent_to({Scheme, Authority, Path}, Store) ->
	case gun_rs_cookies:cookie_header(scheme(Scheme), iolist_to_binary(Authority), iolist_to_binary(Path),
			[], Store) of
		{[], _} -> none;
		{[{<<"cookie">>, Value}], _} -> binary_to_list(Value)
	end.

%% The same after these cookies were set, at a URL in the same directory.
sent(SetCookies) ->
	sent_to({http, ?HOST, "/dir/b"}, set_at({http, ?HOST, "/dir/a"}, SetCookies, store())).

scheme(Scheme) when is_atom(Scheme) -> atom_to_binary(Scheme);
scheme(Scheme) -> Scheme.

%% How many cookies there are; that the store knows it too.
count({gun_rs_cookies_list, #{cookies := Cookies, count := Count}}) ->
	?assertEqual(Count, length(lists:append(maps:values(Cookies)))),
	Count.

cookie(Name) ->
	Now = erlang:universaltime(),
	#{name => Name, value => <<"v">>, domain => ?HOST, path => <<"/">>, creation_time => Now,
		last_access_time => Now, expiry_time => infinity, persistent => false, host_only => true,
		secure_only => false, http_only => false, same_site => none}.

earlier(Seconds) ->
	calendar:gregorian_seconds_to_datetime(seconds(erlang:universaltime()) - Seconds).

seconds(Time) ->
	calendar:datetime_to_gregorian_seconds(Time).

random(List) ->
	lists:nth(rand:uniform(length(List)), List).

noise(Max) ->
	rand:bytes(rand:uniform(Max + 1) - 1).

random_date() ->
	[[random(["1", "31", "99", "2031", "0", "Jan", "feb", "Dec", "12:59:59", "1:2:3", "25:00:00", "::", noise(3)]),
		random([" ", "-", ",", ""])] || _ <- lists:seq(1, rand:uniform(7))].

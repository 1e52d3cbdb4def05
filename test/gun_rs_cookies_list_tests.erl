%% The store in memory keeps cookies in order, until they expire or there are too many.
-module(gun_rs_cookies_list_tests).

-include_lib("eunit/include/eunit.hrl").

-import(cookie_client, [cookie/1]).
-import(cookie_client, [count/1]).
-import(cookie_client, [earlier/1]).
-import(cookie_client, [seconds/1]).
-import(cookie_client, [sent/1]).
-import(cookie_client, [sent_to/2]).
-import(cookie_client, [set_at/3]).
-import(cookie_client, [store/0]).
-import(gun_rs_test, [title/1]).

-define(HOST, <<"www.example.org">>).

%% Order: RFC 6265bis, 5.8.3.

longer_paths_come_first_and_older_cookies_of_these_test() ->
	Store = set_at({http, ?HOST, "/"}, ["a=1; Path=/", "b=2; Path=/a", "c=3; Path=/a/b", "d=4; Path=/",
		"e=5; Path=/a/b; Domain=example.org", "f=6; Path=/a/b/", "g=7; Path=/a; Domain=example.org",
		"h=8; Domain=example.org", "i=9; Path=/a"], store()),
	?assertEqual("f=6; c=3; e=5; b=2; g=7; i=9; a=1; d=4; h=8",
		sent_to({http, ?HOST, "/a/b/c"}, Store)).

a_cookie_set_again_keeps_its_place_test() ->
	Store = set_at({http, ?HOST, "/"}, ["a=1", "b=2", "c=3", "a=4", "b=5"], store()),
	?assertEqual("a=4; b=5; c=3", sent_to({http, ?HOST, "/"}, Store)).

cookies_of_one_name_differ_by_domain_path_and_host_only_test() ->
	Store = set_at({http, ?HOST, "/"}, ["a=1", "a=2; Domain=www.example.org", "a=3; Domain=example.org",
		"a=4; Path=/p", "a=5"], store()),
	?assertEqual("a=4; a=5; a=2; a=3", sent_to({http, ?HOST, "/p"}, Store)),
	?assertEqual("a=2; a=3", sent_to({http, "sub.www.example.org", "/"}, Store)).

%% The end of a cookie.

an_expired_cookie_removes_its_like_test_() ->
	[{SetCookie, ?_assertEqual(Expected, sent(["a=1", "b=2", SetCookie]))} || {SetCookie, Expected} <- [
		{"a=; Max-Age=0", "b=2"},
		{"a=x; Max-Age=-1", "b=2"},
		{"a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"},
		{"A=x; Max-Age=0", "a=1; b=2"},
		{"a=x; Max-Age=0; Path=/other", "a=1; b=2"},
		{"a=x; Max-Age=0; Domain=www.example.org", "a=1; b=2"},
		{"c=x; Max-Age=0", "a=1; b=2"}
	]].

a_cookie_ends_with_its_time_test() ->
	Store0 = set_at({https, ?HOST, "/"}, ["a=1; Max-Age=3; Secure", "b=2; Max-Age=1000", "c=3",
		"d=4; Max-Age=3; Domain=example.org"], store()),
	?assertEqual("a=1; b=2; c=3; d=4", sent_to({https, ?HOST, "/"}, Store0)),
	{ok, Store0} = gun_rs_cookies:gc(Store0),
	timer:sleep(3100),
	?assertEqual("b=2; c=3", sent_to({https, ?HOST, "/"}, Store0)),
	?assertEqual(4, count(Store0)),
	{ok, Store} = gun_rs_cookies:gc(Store0),
	?assertEqual(2, count(Store)),
	%% A request and a cookie drop what they come upon.
	{_, Queried} = gun_rs_cookies:cookie_header(<<"https">>, ?HOST, <<"/">>, [], Store0),
	?assertEqual(2, count(Queried)),
	?assertEqual(4, count(set_at({http, ?HOST, "/"}, ["e=5"], Store0))),
	%% What has expired is no cookie to be found or hidden.
	Match = #{name => <<"a">>, domain => ?HOST, path => <<"/">>, host_only => true},
	?assertEqual(error, gun_rs_cookies_list:set_cookie_get_exact_match(element(2, Store0), Match)),
	?assertEqual("b=2; c=3; a=5", sent_to({http, ?HOST, "/"}, set_at({http, ?HOST, "/"}, ["a=5"], Store0))).

the_end_of_the_session_leaves_what_has_a_time_test() ->
	Store0 = set_at({http, ?HOST, "/"}, ["a=1", "b=2; Max-Age=1000",
		"c=3; Expires=Fri, 31 Dec 9999 23:59:59 GMT", "d=4; Domain=example.org"], store()),
	{ok, Store} = gun_rs_cookies:session_gc(Store0),
	?assertEqual("b=2; c=3", sent_to({http, ?HOST, "/"}, Store)),
	?assertEqual(2, count(Store)).

%% Limits: RFC 6265bis, 5.7 and 6.1.

a_domain_has_50_cookies_at_most_test() ->
	Store = set_at({http, ?HOST, "/"}, [["n", integer_to_list(N), "=v"] || N <- lists:seq(1, 60)], store()),
	?assertEqual(50, count(Store)),
	?assertEqual(lists:flatten(lists:join("; ", ["n" ++ integer_to_list(N) ++ "=v" || N <- lists:seq(11, 60)])),
		sent_to({http, ?HOST, "/"}, Store)),
	%% Other domains have their own.
	More = set_at({http, ?HOST, "/"}, [["m", integer_to_list(N), "=v; Domain=example.org"]
		|| N <- lists:seq(1, 60)], Store),
	?assertEqual(100, count(More)).

a_store_has_3000_cookies_at_most_test_() ->
	{timeout, 60, fun() ->
		Store = lists:foldl(fun(N, Acc) ->
			set_at({http, ["h", integer_to_list(N), ".example.org"], "/"},
				[["n", integer_to_list(M), "=v"] || M <- lists:seq(1, 50)], Acc)
		end, store(), lists:seq(1, 61)),
		?assertEqual(3000, count(Store)),
		?assertEqual(none, sent_to({http, "h1.example.org", "/"}, Store)),
		?assertNotEqual(none, sent_to({http, "h61.example.org", "/"}, Store))
	end}.

the_limits_are_options_test_() ->
	[{title(Opts), fun() ->
		Store0 = gun_rs_cookies_list:init(Opts),
		Store1 = set_at({http, ?HOST, "/"}, ["a=1", "b=2", "c=3", "d=4; Domain=example.org", "a=5"], Store0),
		?assertEqual(Expected, sent_to({http, ?HOST, "/"}, Store1)),
		{ok, Store} = gun_rs_cookies:gc(Store1),
		?assertEqual(Expected, sent_to({http, ?HOST, "/"}, Store))
	end} || {Opts, Expected} <- [
		{#{}, "a=5; b=2; c=3; d=4"},
		{#{max_cookies => 4}, "a=5; b=2; c=3; d=4"},
		{#{max_cookies => 3}, "c=3; d=4; a=5"},
		{#{max_cookies => 2}, "d=4; a=5"},
		{#{max_cookies => 1}, "a=5"},
		{#{max_cookies => 0}, none},
		{#{max_cookies => infinity, max_cookies_per_domain => infinity}, "a=5; b=2; c=3; d=4"},
		{#{max_cookies_per_domain => 3}, "a=5; b=2; c=3; d=4"},
		{#{max_cookies_per_domain => 2}, "c=3; d=4; a=5"},
		{#{max_cookies_per_domain => 1}, "d=4; a=5"},
		{#{max_cookies_per_domain => 0}, none}
	]].

what_is_no_limit_raises_test_() ->
	[{title(Opt), ?_assertError({options, {cookies_list, Opt}},
		gun_rs_cookies_list:init(maps:from_list([Opt])))} || Opt <- [
		{max_cookies, -1}, {max_cookies, 1.0}, {max_cookies, undefined}, {max_cookies_per_domain, "1"},
		{max_cookie, 1}, {1, 1}
	]].

the_cookie_not_used_for_longest_goes_first_test() ->
	{Module, State0} = gun_rs_cookies_list:init(#{max_cookies => 3}),
	State = store_all([(cookie(Name))#{last_access_time := earlier(Age), path := Path}
		|| {Name, Age, Path} <- [{<<"a">>, 30, <<"/">>}, {<<"b">>, 50, <<"/p">>}, {<<"c">>, 40, <<"/q">>}]],
		State0),
	%% Being sent is being used.
	{_, Store} = gun_rs_cookies:cookie_header(<<"http">>, ?HOST, <<"/p">>, [], {Module, State}),
	?assertEqual("b=v; a=v", sent_to({http, ?HOST, "/p"}, set_at({http, ?HOST, "/"}, ["d=4; Path=/d"], Store))),
	?assertEqual("a=v", sent_to({http, ?HOST, "/q"}, set_at({http, ?HOST, "/"}, ["d=4; Path=/d"], Store))).

expired_cookies_go_before_any_other_test() ->
	{Module, State0} = gun_rs_cookies_list:init(#{max_cookies => 2}),
	Soon = calendar:gregorian_seconds_to_datetime(seconds(erlang:universaltime()) + 1),
	State = store_all([(cookie(<<"a">>))#{last_access_time := earlier(50)},
		(cookie(<<"b">>))#{expiry_time := Soon, domain := <<"example.org">>}], State0),
	timer:sleep(1100),
	?assertEqual("a=v; c=3", sent_to({http, ?HOST, "/"}, set_at({http, ?HOST, "/"}, ["c=3"], {Module, State}))).

secure_cookies_of_a_domain_go_after_the_others_test() ->
	Store0 = gun_rs_cookies_list:init(#{max_cookies_per_domain => 2}),
	Store1 = set_at({https, ?HOST, "/"}, ["a=1; Secure", "b=2", "c=3; Secure"], Store0),
	?assertEqual("a=1; c=3", sent_to({https, ?HOST, "/"}, Store1)),
	%% So that an insecure connection cannot drive them out.
	Store = set_at({http, ?HOST, "/"}, ["d=4", "e=5"], Store1),
	?assertEqual("a=1; c=3", sent_to({https, ?HOST, "/"}, Store)).

%% Helpers.

store_all(Cookies, State) ->
	lists:foldl(fun(Cookie, Acc0) ->
		{ok, Acc} = gun_rs_cookies_list:store(Acc0, Cookie),
		Acc
	end, State, Cookies).

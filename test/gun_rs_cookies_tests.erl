%% A store sends back the cookies that it may, in the order that RFC 6265bis asks for, and
%% nothing that a server sends does harm.
-module(gun_rs_cookies_tests).
-behaviour(gun_rs_cookies).

-include_lib("eunit/include/eunit.hrl").

-export([init/1]).
-export([query/2]).
-export([set_cookie_secure_match/2]).
-export([set_cookie_get_exact_match/2]).
-export([store/2]).
-export([gc/1]).
-export([session_gc/1]).

-import(cookie_client, [cookie/1]).
-import(cookie_client, [count/1]).
-import(cookie_client, [earlier/1]).
-import(cookie_client, [noise/1]).
-import(cookie_client, [random/1]).
-import(cookie_client, [random_date/0]).
-import(cookie_client, [seconds/1]).
-import(cookie_client, [sent/1]).
-import(cookie_client, [sent_to/2]).
-import(cookie_client, [set_at/3]).
-import(cookie_client, [store/0]).
-import(gun_rs_test, [title/1]).

-define(HOST, <<"www.example.org">>).

%% Names and values: RFC 6265bis, 5.6.

the_cookies_that_were_set_are_sent_test_() ->
	[{title(SetCookies), ?_assertEqual(flat(Sent), sent(SetCookies))} || {SetCookies, Sent} <- [
		{["a=b"], "a=b"},
		{["a=b", "z=y"], "a=b; z=y"},
		{["z=y", "a=b"], "z=y; a=b"},
		{["a=b", "a=c"], "a=c"},
		{["a=b", "A=c"], "a=b; A=c"},
		{["  a  =  b c  ; Path=/"], "a=b c"},
		{["\ta\t=\tb\tc\t"], "a=b\tc"},
		{["a=b=c==d"], "a=b=c==d"},
		{["a=== b  ;x;;;   y"], "a=== b"},
		{["a="], "a="},
		{["a= ; Path=/"], "a="},
		{["a"], "a"},
		{["=a"], "a"},
		{["= a = b"], "a = b"},
		{["a=1", "a"], "a=1; a"},
		{["a", "b"], "b"},
		{["a=b, c=d"], "a=b, c=d"},
		{["a=\"b; c\""], "a=\"b"},
		{["a=\"b\"  \"c\" ;"], "a=\"b\"  \"c\""},
		{["a=\"b"], "a=\"b"},
		{["a=b;"], "a=b"},
		{["a=b; ; ;; ;=; ,,, ===,c,=; !;="], "a=b"},
		{["a=b; Version=1; x=y; Path\"=/no"], "a=b"},
		{["!#$%&'()*+-./09:<>?@[\\]^_`{|}~=x"], "!#$%&'()*+-./09:<>?@[\\]^_`{|}~=x"},
		{[[252, "=", 255, 128]], [252, "=", 255, 128]},
		{[<<"\x{6625}=\x{8282}; \x{56de}"/utf8>>], <<"\x{6625}=\x{8282}"/utf8>>},
		%% Neither name nor value.
		{[""], none},
		{["  "], none},
		{["\t"], none},
		{["="], none},
		{[" = "], none},
		{["; a=b"], none},
		{["=; Path=/"], none},
		{["a=b", "", "=", "  ;", "c=d"], "a=b; c=d"}
	]].

a_control_character_in_name_or_value_is_refused_test_() ->
	[{integer_to_list(C), fun() ->
		?assertEqual({error, control_character}, set(<<"a", C>>, <<"b">>, #{})),
		?assertEqual({error, control_character}, set(<<"a">>, <<C, "b">>, #{}))
	end} || C <- [127|lists:seq(0, 31)], C =/= $\t].

name_and_value_have_4096_bytes_at_most_test_() ->
	[{title({Name, Value}), fun() ->
		SetCookie = [x(Name), $=, x(Value), "; Path=/"],
		?assertEqual(Fits, sent([SetCookie]) =/= none),
		?assertEqual(Fits, ok =:= element(1, set(x(Name), x(Value), #{}))),
		Fits orelse ?assertEqual({error, larger_than_4096_bytes}, set(x(Name), x(Value), #{}))
	end} || {Name, Value, Fits} <- [
		{4096, 0, true}, {4097, 0, false}, {0, 4096, true}, {0, 4097, false},
		{2048, 2048, true}, {2048, 2049, false}, {1, 4096, false}, {1, 1000000, false}
	]].

what_surrounds_name_and_value_does_not_count_for_their_size_test() ->
	Space = lists:duplicate(5000, $\s),
	?assertEqual(flat(["a=", x(4095)]), sent([[Space, "a", Space, "=", Space, x(4095), Space, ";", Space]])).

max_age_counts_more_than_expires_test_() ->
	Past = "Expires=Thu, 10 Apr 1980 16:33:12 GMT",
	[
		?_assertEqual("a=b", sent(["a=b; Max-Age=60; " ++ Past])),
		?_assertEqual("a=b", sent(["a=b; " ++ Past ++ "; Max-Age=60"])),
		?_assertEqual(none, sent(["a=b; Max-Age=0; Expires=Fri, 31 Dec 9999 00:00:00 GMT"])),
		?_assertEqual(none, sent(["a=b; Max-Age=x; " ++ Past]))
	].

%% Paths: RFC 6265bis, 5.1.4.

a_cookie_goes_to_the_paths_below_its_own_test_() ->
	[{title({SetAt, Path, SentTo}), fun() ->
		SetCookie = ["a=b", [["; Path=", Path] || Path =/= none]],
		Store = set_at({http, ?HOST, SetAt}, [SetCookie], store()),
		?assertEqual(Expected, sent_to({http, ?HOST, SentTo}, Store))
	end} || {SetAt, Path, SentTo, Expected} <- [
		{"/", none, "/", "a=b"},
		{"/", none, "/any/thing", "a=b"},
		{"/a", none, "/", "a=b"},
		{"/a/b", none, "/a", "a=b"},
		{"/a/b", none, "/a/", "a=b"},
		{"/a/b", none, "/a/c/d?e", "a=b"},
		{"/a/b", none, "/", none},
		{"/a/b", none, "/ab", none},
		{"/a/", none, "/a", "a=b"},
		{"/a/b/", none, "/a/b", "a=b"},
		{"/a/b/", none, "/a", none},
		{"/a?b/c", none, "/d", "a=b"},
		{"*", none, "/d", "a=b"},
		{"/", none, "*", "a=b"},
		{"/a/b", none, "*", none},
		{"/a/b", "", "/", none},
		{"/a/b", "x", "/a/x", "a=b"},
		{"/a/b", "/", "/", "a=b"},
		{"/a/b", "/x", "/x", "a=b"},
		{"/a/b", "/x", "/x?y", "a=b"},
		{"/a/b", "/x", "/xy", none},
		{"/a/b", "/x/", "/x", none},
		{"/a/b", "/x/", "/x/y", "a=b"},
		{"/a/b", "/X", "/x", none},
		{"/a/b", "/x; Path=/y", "/y", "a=b"},
		{"/a/b", "/x; Path=/y", "/x", none},
		%% Compared after the URI is normalised, as in gun.
		{"/", "/x", "/y/../x", "a=b"},
		{"/", "/x", "/%78", "a=b"},
		{"/a/../b/c", none, "/b", "a=b"},
		%% What cannot be normalised is taken as it is.
		{"/%zz/c", none, "/%zz", "a=b"},
		{<<"/", 255, "/c">>, none, <<"/", 255>>, "a=b"}
	]].

paths_match_as_the_rfc_says_test_() ->
	[{title({Path, CookiePath}), ?_assertEqual(Expected, gun_rs_cookies:path_match(Path, CookiePath))}
	|| {Path, CookiePath, Expected} <- [
		{<<"/">>, <<"/">>, true},
		{<<"/a">>, <<"/">>, true},
		{<<"/a">>, <<"/a">>, true},
		{<<"/a/">>, <<"/a">>, true},
		{<<"/a/b">>, <<"/a">>, true},
		{<<"/a/b">>, <<"/a/">>, true},
		{<<"/a">>, <<"/a/">>, false},
		{<<"/ab">>, <<"/a">>, false},
		{<<"/">>, <<"/a">>, false},
		{<<"/b">>, <<"/a">>, false},
		{<<>>, <<>>, true},
		{<<"/">>, <<>>, false},
		{<<>>, <<"/">>, false}
	]].

%% Secure cookies and name prefixes: RFC 6265bis, 5.4 and 5.7.

a_secure_cookie_is_set_and_sent_over_tls_alone_test_() ->
	[{title({SetBy, SentBy}), fun() ->
		Store = set_at({SetBy, ?HOST, "/"}, ["a=b; Secure"], store()),
		?assertEqual(Expected, sent_to({SentBy, ?HOST, "/"}, Store))
	end} || {SetBy, SentBy, Expected} <- [{https, https, "a=b"}, {https, http, none},
		{https, wss, "a=b"}, {https, ws, none}, {wss, https, "a=b"},
		{http, https, none}, {http, http, none}, {ws, wss, none}]].

an_insecure_cookie_hides_no_secure_one_test_() ->
	[{title({Secure, Insecure}), fun() ->
		Store0 = set_at({https, ?HOST, "/"}, [Secure], store()),
		Store = set_at({http, ?HOST, "/"}, [Insecure], Store0),
		?assertEqual(Accepted, sent_to({http, ?HOST, "/p/q"}, Store) =/= none),
		%% Over TLS it may.
		?assertNotEqual(none, sent_to({http, ?HOST, "/p/q"},
			set_at({https, ?HOST, "/"}, [Insecure], Store0)))
	end} || {Secure, Insecure, Accepted} <- [
		{"a=1; Secure", "a=2", false},
		{"a=1; Secure", "b=2", true},
		{"a=1; Secure", "A=2", true},
		{"a=1; Secure; Max-Age=0", "a=2", true},
		{"a=1; Secure; Domain=example.org", "a=2", false},
		{"a=1; Secure", "a=2; Domain=example.org", false},
		{"a=1; Secure; Path=/p", "a=2; Path=/p", false},
		{"a=1; Secure; Path=/p", "a=2; Path=/p/q", false},
		{"a=1; Secure; Path=/p", "a=2; Path=/", true},
		{"a=1", "a=2", true}
	]].

the_prefixes_of_names_hold_what_they_promise_test_() ->
	[{title({Scheme, SetCookie}), fun() ->
		Store = set_at({Scheme, ?HOST, "/p/q"}, [SetCookie], store()),
		?assertEqual(Accepted, sent_to({https, ?HOST, "/p/q"}, Store) =/= none)
	end} || {Scheme, SetCookie, Accepted} <- [
		{https, "__Secure-a=b; Secure", true},
		{https, "__Secure-a=b; Secure; Domain=example.org; Path=/p", true},
		{https, "__Secure-a=b", false},
		{https, "__SECURE-a=b", false},
		{https, "__secure-=b; Secure", true},
		{http, "__Secure-a=b; Secure", false},
		{http, "__Secure-a=b", false},
		{https, "__Host-a=b; Secure; Path=/", true},
		{https, "__hOST-a=b; Secure; Path=/", true},
		{https, "__Host-a=b; Secure; Path=/; Domain=", true},
		{https, "__Host-a=b; Secure; Path=/; Max-Age=10; HttpOnly; SameSite=Strict", true},
		{https, "__Host-a=b; Secure; Path=/; Domain=www.example.org", false},
		{https, "__host-a=b; Secure; Path=/; Domain=example.org", false},
		{https, "__Host-a=b; Secure; Path=/p", false},
		{https, "__Host-a=b; Secure", false},
		{https, "__Host-a=b; Secure; Path=", false},
		{https, "__Host-a=b; Path=/", false},
		{http, "__Host-a=b; Secure; Path=/", false},
		{http, "__Host-a=b; Path=/", false},
		%% Without a name, such a value would be taken for name and value.
		{https, "=__Secure-a=b; Secure", false},
		{https, "__Host-a; Secure; Path=/", false},
		{https, "=__HOST-=b", false},
		{https, "=_Host-a=b", true},
		{https, "c=__Host-a", true},
		{https, "__Hos-a=b", true},
		{https, "_Secure-a=b", true},
		{https, "a__Secure-=b", true}
	]].

a_host_prefix_needs_a_path_attribute_even_at_the_root_test() ->
	?assertEqual(none, sent_to({https, ?HOST, "/"},
		set_at({https, ?HOST, "/"}, ["__Host-a=b; Secure"], store()))).

a_refusal_has_a_reason_test_() ->
	[{atom_to_list(Reason), fun() ->
		{ok, Name, Value, Attrs} = gun_rs_cookie_parser:set_cookie(SetCookie),
		?assertEqual({error, Reason}, gun_rs_cookies:set_cookie(
			set_at({https, ?HOST, "/"}, ["a=b; Secure"], store()), uri(Scheme), Name, Value, Attrs))
	end} || {Scheme, SetCookie, Reason} <- [
		{<<"https">>, <<"a=b; Domain=org">>, domain_is_public_suffix},
		{<<"https">>, <<"a=b; Domain=example.com">>, domain_match_failed},
		{<<"https">>, <<"a=b; Domain=", 228, ".org">>, domain_not_ascii},
		{<<"http">>, <<"b=c; Secure">>, secure_scheme_only},
		{<<"http">>, <<"a=c">>, secure_cookie_matches},
		{<<"https">>, <<"__Secure-a=b">>, name_prefix_secure_requires_secure_only},
		{<<"https">>, <<"__Host-a=b">>, name_prefix_host_requires_secure_only},
		{<<"https">>, <<"__Host-a=b; Secure; Domain=example.org">>, name_prefix_host_requires_host_only},
		{<<"https">>, <<"__Host-a=b; Secure">>, name_prefix_host_requires_top_level_path},
		{<<"https">>, <<"__Host-a">>, nameless_with_name_prefix}
	]].

a_cookie_without_name_and_value_is_refused_test() ->
	?assertEqual({error, empty}, set(<<>>, <<>>, #{})).

%% What a store is given.

a_cookie_has_every_field_of_guns_test_() ->
	[{title(SetCookie), fun() ->
		{_, Stored} = set_at({https, ?HOST, "/p/q"}, [SetCookie], {?MODULE, []}),
		[#{creation_time := Time, last_access_time := Time} = Cookie] = Stored,
		?assert(abs(seconds(Time) - seconds(erlang:universaltime())) =< 2),
		?assertEqual(maps:merge(#{name => <<"a">>, value => <<"b">>, domain => ?HOST, path => <<"/p">>,
			persistent => false, expiry_time => infinity, host_only => true, secure_only => false,
			http_only => false, same_site => none}, Fields),
			maps:without([creation_time, last_access_time], Cookie))
	end} || {SetCookie, Fields} <- [
		{"a=b", #{}},
		{"a=b; Secure; HttpOnly", #{secure_only => true, http_only => true}},
		{"a=b; Domain=.Example.org; Path=/", #{domain => <<"example.org">>, host_only => false, path => <<"/">>}},
		{"a=b; SameSite=Strict", #{same_site => strict}},
		{"a=b; SameSite=Lax", #{same_site => lax}},
		%% Not refused without Secure, as in gun.
		{"a=b; SameSite=None", #{same_site => none}},
		{"a=b; SameSite=x", #{same_site => none}},
		{"a=b; Expires=Thu, 10 Apr 1980 16:33:12 GMT",
			#{persistent => true, expiry_time => {{1980, 4, 10}, {16, 33, 12}}}}
	]].

a_module_written_for_gun_is_called_as_gun_calls_it_test() ->
	_ = erase(?MODULE),
	Store0 = {?MODULE, []},
	Store1 = set_at({http, "WWW.example.org:8080", "/p/q?r"}, ["a=1", "b=2"], Store0),
	?assertEqual([
		{set_cookie_secure_match, #{name => <<"a">>, domain => ?HOST, path => <<"/p">>}},
		{set_cookie_get_exact_match, #{name => <<"a">>, domain => ?HOST, path => <<"/p">>, host_only => true}},
		{store, <<"a">>},
		{set_cookie_secure_match, #{name => <<"b">>, domain => ?HOST, path => <<"/p">>}},
		{set_cookie_get_exact_match, #{name => <<"b">>, domain => ?HOST, path => <<"/p">>, host_only => true}},
		{store, <<"b">>}
	], calls()),
	?assertEqual("a=1; b=2", sent_to({ws, "WWW.example.org:8080", "/p/../p?r"}, Store1)),
	?assertEqual([{query, #{scheme => <<"http">>, host => ?HOST, path => <<"/p">>}}], calls()),
	%% Over TLS nothing needs to be asked about secure cookies.
	_ = set_at({https, ?HOST, "/"}, ["c=3"], Store0),
	?assertMatch([{set_cookie_get_exact_match, _}, {store, <<"c">>}], calls()),
	?assertMatch({ok, {?MODULE, [_, _]}}, gun_rs_cookies:gc(Store1)),
	?assertMatch({ok, {?MODULE, []}}, gun_rs_cookies:session_gc(Store1)),
	?assertEqual([gc, session_gc], calls()).

a_store_that_refuses_a_cookie_goes_on_without_it_test() ->
	?assertEqual({?MODULE, []}, set_at({http, ?HOST, "/"}, ["refuse=me"], {?MODULE, []})),
	?assertEqual({error, refused}, gun_rs_cookies:set_cookie({?MODULE, []}, uri(<<"http">>),
		<<"refuse">>, <<"me">>, #{})).

what_a_store_keeps_too_long_is_not_sent_test() ->
	Cookie = cookie(<<"old">>),
	Store = {?MODULE, [Cookie#{expiry_time := earlier(1)}, cookie(<<"new">>)]},
	?assertEqual("new=v", sent_to({http, ?HOST, "/"}, Store)).

what_could_end_the_header_is_not_sent_test_() ->
	[{title({Name, Value}), fun() ->
		Cookie = cookie(Name),
		Store = {?MODULE, [Cookie#{value := Value}, cookie(<<"good">>)]},
		?assertEqual("good=v", sent_to({http, ?HOST, "/"}, Store)),
		?assertEqual(none, sent_to({http, ?HOST, "/"}, {?MODULE, [Cookie#{value := Value}]}))
	end} || {Name, Value} <- [{<<"a">>, <<"b\r\nc: d">>}, {<<"a\n">>, <<"b">>}, {<<"a">>, <<0>>}]].

%% Order: RFC 6265bis, 5.8.3.

a_longer_path_comes_first_also_where_it_sorts_later_test() ->
	URI = uri(<<"http">>),
	Cookies = [(cookie(Name))#{path := Path} || {Name, Path} <- [{<<"a">>, <<"/z">>}, {<<"b">>, <<"/aa">>}]],
	{ok, Sorted, _} = gun_rs_cookies:query({?MODULE, Cookies}, URI#{path := <<"/">>}),
	?assertEqual([<<"b">>, <<"a">>], [Name || #{name := Name} <- Sorted]).

the_time_of_creation_decides_and_not_the_order_of_the_store_test() ->
	Cookies = [(cookie(<<"a">>))#{creation_time := earlier(5)}, cookie(<<"b">>),
		(cookie(<<"c">>))#{creation_time := earlier(9)}],
	?assertEqual("c=v; a=v; b=v", sent_to({http, ?HOST, "/"}, {?MODULE, Cookies})).

a_cookie_set_again_keeps_its_time_of_creation_and_nothing_else_test() ->
	Time = earlier(100),
	Old = (cookie(<<"a">>))#{creation_time := Time, last_access_time := Time, http_only := true},
	{?MODULE, [Cookie]} = set_at({http, ?HOST, "/"}, ["a=w; SameSite=Lax"], {?MODULE, [Old]}),
	?assertMatch(#{creation_time := Time, value := <<"w">>, http_only := false, same_site := lax}, Cookie),
	?assert(maps:get(last_access_time, Cookie) > Time).

%% Headers.

the_cookie_header_is_the_last_one_test() ->
	Store = set_at({http, ?HOST, "/"}, ["a=1", "b=2"], store()),
	Headers = [{<<"host">>, ?HOST}, {<<"cookie">>, <<"mine=1">>}, {<<"x">>, <<"y">>}],
	{All, _} = gun_rs_cookies:cookie_header(<<"http">>, ?HOST, <<"/">>, Headers, Store),
	?assertEqual(Headers ++ [{<<"cookie">>, <<"a=1; b=2">>}], All).

without_a_store_nothing_happens_test() ->
	Headers = [{<<"set-cookie">>, <<"a=b">>}],
	?assertEqual({Headers, undefined},
		gun_rs_cookies:cookie_header(<<"http">>, ?HOST, <<"/">>, Headers, undefined)),
	?assertEqual(undefined,
		gun_rs_cookies:set_cookie_headers(<<"http">>, ?HOST, <<"/">>, 200, Headers, undefined, #{})).

without_a_host_there_are_no_cookies_test_() ->
	[{title(Authority), fun() ->
		Store = set_at({http, Authority, "/"}, ["a=b"], {?MODULE, []}),
		?assertEqual({?MODULE, []}, Store),
		?assertEqual(none, sent_to({http, Authority, "/"}, {?MODULE, [cookie(<<"a">>)]}))
	end} || Authority <- ["", ":80", "[]", "[]:80"]].

the_cookies_of_a_response_are_set_in_order_whatever_its_status_test_() ->
	[{integer_to_list(Status), fun() ->
		Headers = [{<<"set-cookie">>, <<"a=1">>}, {<<"x">>, <<"b=2">>}, {<<"set-cookie">>, <<"c=3; Secure">>},
			{<<"set-cookie">>, <<"d=4">>}, {<<"set-cookie2">>, <<"e=5">>}],
		_ = [?assertEqual(Expected, sent_to({http, ?HOST, "/"}, gun_rs_cookies:set_cookie_headers(
			<<"http">>, ?HOST, <<"/">>, Status, Headers, store(), Opts)))
		|| {Opts, Expected} <- [
			{#{}, "a=1; d=4"},
			{#{cookie_ignore_informational => false, version => 'HTTP/1.1'}, "a=1; d=4"},
			{#{cookie_ignore_informational => true}, case Status < 200 of true -> none; false -> "a=1; d=4" end}
		]],
		ok
	end} || Status <- [100, 101, 103, 199, 200, 204, 301, 404, 500]].

the_names_of_gun_do_the_same_test() ->
	Store = gun_rs_cookies:set_cookie_header(<<"http">>, ["www", ".example.org"], ["/", "p"], 200,
		[{<<"set-cookie">>, ["a", "=b"]}], store(), #{}),
	?assertMatch({[{<<"cookie">>, <<"a=b">>}], _},
		gun_rs_cookies:add_cookie_header(<<"http">>, ["www", ".example.org"], "/p", [], Store)),
	?assertMatch({[], undefined}, gun_rs_cookies:add_cookie_header(<<"http">>, "h", "/", [], undefined)).

%% Whatever comes.

random_bytes_never_crash_and_never_break_the_header_test_() ->
	{timeout, 60, fun() ->
		_ = rand:seed(exsss, {6265, 2, 3}),
		_ = lists:foldl(fun(_, Store0) ->
			Url = {random([http, https, ws, wss, <<>>]), random_authority(), [$/|noise(8)]},
			Store = set_at(Url, [random_set_cookie() || _ <- lists:seq(1, 3)], Store0),
			case sent_to(Url, Store) of
				none -> ok;
				Sent -> ?assertEqual(nomatch, re:run(Sent, "[\\x00-\\x08\\x0a-\\x1f\\x7f]"))
			end,
			?assert(count(Store) =< 3000),
			Store
		end, store(), lists:seq(1, 5000)),
		ok
	end}.

%% A store as a user of gun might have written it: a list, the newest cookie first.

init(Opts) ->
	{?MODULE, Opts}.

query(State, URI) ->
	call({query, URI}),
	{ok, lists:reverse(State), State}.

set_cookie_secure_match(_, Match) ->
	call({set_cookie_secure_match, Match}),
	nomatch.

set_cookie_get_exact_match(State, Match) ->
	call({set_cookie_get_exact_match, Match}),
	case [Cookie || Cookie <- State, maps:with(maps:keys(Match), Cookie) =:= Match] of
		[Cookie] -> {ok, Cookie, State -- [Cookie]};
		[] -> error
	end.

store(_, #{name := <<"refuse">>}) ->
	{error, refused};
store(State, Cookie = #{name := Name}) ->
	call({store, Name}),
	{ok, [Cookie|State]}.

gc(State) ->
	call(gc),
	{ok, State}.

session_gc(State) ->
	call(session_gc),
	{ok, [Cookie || Cookie = #{persistent := true} <- State]}.

call(Call) ->
	put(?MODULE, [Call|case get(?MODULE) of undefined -> []; Calls -> Calls end]).

calls() ->
	lists:reverse(erase(?MODULE)).

%% Helpers.

flat(none) -> none;
flat(IoData) -> binary_to_list(iolist_to_binary(IoData)).

set(Name, Value, Attrs) ->
	gun_rs_cookies:set_cookie(store(), uri(<<"http">>), Name, Value, Attrs).

uri(Scheme) ->
	#{scheme => Scheme, host => ?HOST, path => <<"/p/q">>}.

x(Size) ->
	binary:copy(<<"x">>, Size).

random_authority() ->
	random([?HOST, "example.org", "[::1]:80", "127.0.0.1", noise(6), [noise(3), ".example.org"], "%41.%zz",
		"a b", "@", "[", "]", "..", "a..b.", "::", "h:99999999999"]).

random_set_cookie() ->
	[random(["a", "__Host-", "__Secure-x", "", noise(5)]), random(["=", "", "=="]), random(["b", noise(9), ""]),
		[[";", random(["", " ", "\t", noise(2)]), random_attribute()] || _ <- lists:seq(1, rand:uniform(5))]].

random_attribute() ->
	Name = random(["Path", "Domain", "Expires", "Max-Age", "Secure", "HttpOnly", "SameSite", noise(4)]),
	Value = random([noise(9), "/", "/p", "example.org", ".org", "127.0.0.1", "60", "-", "-5", "Lax", random_date()]),
	[Name, random(["=", "", " = ", "=="]), Value].

%% A request finds the handler that Cowboy would find for it.
-module(gun_rs_router_tests).

-include_lib("eunit/include/eunit.hrl").

-define(HOST, <<"www.example.org">>).

paths_match_test_() ->
	[{title(cowboy_2, Pattern, Path), ?_assertEqual(Expected, path(cowboy_2, Pattern, Path))}
	|| {Pattern, Path, Expected} <- [
		{'_', <<"/">>, {#{}, undefined}},
		{'_', <<"/%zz">>, {#{}, undefined}},
		{"/", <<"/">>, {#{}, undefined}},
		{"/", <<"/a">>, 404},
		{"/", <<"//">>, 404},
		{"/a", <<"/a">>, {#{}, undefined}},
		{<<"/a">>, <<"/a">>, {#{}, undefined}},
		{"/a/", <<"/a">>, {#{}, undefined}},
		{"/a", <<"/a/">>, {#{}, undefined}},
		{"/a", <<"/a//">>, 404},
		{"/a", <<"/A">>, 404},
		{"/a/b", <<"/a//b">>, 404},
		{"/a/:x/b", <<"/a//b">>, {#{x => <<>>}, undefined}},
		{"/:x", <<"/a">>, {#{x => <<"a">>}, undefined}},
		{"/:x", <<"/a/b">>, 404},
		{"/:_/b", <<"/a/b">>, {#{}, undefined}},
		{"/_", <<"/a">>, 404},
		{"/_", <<"/_">>, {#{}, undefined}},
		{"/:a/:a", <<"/x/x">>, {#{a => <<"x">>}, undefined}},
		{"/:a/:a", <<"/x/y">>, 404},
		{"/:a:b", <<"/x">>, {#{'a:b' => <<"x">>}, undefined}},
		{"/a:b", <<"/a:b">>, {#{}, undefined}},
		{"/[a]", <<"/">>, {#{}, undefined}},
		{"/[a]", <<"/a">>, {#{}, undefined}},
		{"/x[/:a]", <<"/x">>, {#{}, undefined}},
		{"/x[/:a]", <<"/x/y">>, {#{a => <<"y">>}, undefined}},
		{"/x/[:a/[:b]]", <<"/x">>, {#{}, undefined}},
		{"/x/[:a/[:b]]", <<"/x/y">>, {#{a => <<"y">>}, undefined}},
		{"/x/[:a/[:b]]", <<"/x/y/z">>, {#{a => <<"y">>, b => <<"z">>}, undefined}},
		{"/x/[:a/[:b]]", <<"/x/y/z/z">>, 404},
		%% The short one is tried first.
		{"/[:a/]:b", <<"/y/z">>, {#{a => <<"y">>, b => <<"z">>}, undefined}},
		{"/[:a/][...]", <<"/y/z">>, {#{}, [<<"y">>, <<"z">>]}},
		{"/[...]", <<"/">>, {#{}, []}},
		{"/[...]", <<"/a//b/">>, {#{}, [<<"a">>, <<>>, <<"b">>]}},
		{"/a/[...]", <<"/a">>, {#{}, []}},
		{"/a/[...]", <<"/a/b/c">>, {#{}, [<<"b">>, <<"c">>]}},
		{"/[...]/a", <<"/b/a">>, 404},
		{"/[...]", <<"/a%2Fb">>, {#{}, [<<"a/b">>]}},
		{"/a b", <<"/a%20b">>, {#{}, undefined}},
		{"/a+b", <<"/a+b">>, {#{}, undefined}},
		{[$/, 16#20AC], <<"/%e2%82%AC">>, {#{}, undefined}},
		{"/a/c", <<"/a/./b/../c">>, {#{}, undefined}},
		{"/a", <<"/%2e%2e/a">>, {#{}, undefined}},
		{"/", <<"/..">>, {#{}, undefined}},
		{"/:a", <<"/%">>, 400},
		{"/:a", <<"/%4">>, 400},
		{"/:a", <<"/%4g">>, 400},
		{"/:a", <<"a">>, 400},
		{"/:a", <<>>, 400},
		{"*", <<"*">>, {#{}, undefined}},
		{"*", <<"/a">>, 404},
		{'_', <<"*">>, {#{}, undefined}},
		{"/[...]", <<"*">>, 404}
	]].

cowboy_1_matches_otherwise_test_() ->
	[{title(cowboy_1, Pattern, Path), ?_assertEqual(Expected, path(cowboy_1, Pattern, Path))}
	|| {Pattern, Path, Expected} <- [
		{"/:a/:b", <<"/x/y">>, {[{b, <<"y">>}, {a, <<"x">>}], undefined}},
		{"/a b", <<"/a+b">>, {[], undefined}},
		{"/[...]", <<"/a/../b">>, {[], [<<"a">>, <<"..">>, <<"b">>]}},
		{"/:a", <<"/%zz">>, 400},
		{"/[...]", <<"*">>, 400}
	]].

hosts_match_test_() ->
	[{title(cowboy_2, Pattern, Host), ?_assertEqual(Expected, host(Pattern, Host))} || {Pattern, Host, Expected} <- [
		{'_', <<"a.b">>, {#{}, undefined}},
		{'_', <<>>, {#{}, undefined}},
		{'_', <<"a..b">>, {#{}, undefined}},
		{"a.b", <<"a.b">>, {#{}, undefined}},
		{"A.b", <<"a.b">>, {#{}, undefined}},
		{".a.b.", <<"a.b">>, {#{}, undefined}},
		{"a.b", <<"a.b.">>, {#{}, undefined}},
		{"a.b", <<"x.a.b">>, 400},
		{"a.b", <<"b">>, 400},
		{"a.b", <<"a..b">>, 400},
		{":x.b", <<"a.b">>, {#{x => <<"a">>}, undefined}},
		{":_.b", <<"a.b">>, {#{}, undefined}},
		{"[:x.]b", <<"b">>, {#{}, undefined}},
		{"[:x.]b", <<"a.b">>, {#{x => <<"a">>}, undefined}},
		{"[...].b", <<"x.y.b">>, {#{}, [<<"x">>, <<"y">>]}},
		{"[...]b", <<"x.y.b">>, {#{}, [<<"x">>, <<"y">>]}},
		{"[...].b", <<"b">>, {#{}, []}},
		{"b.[...]", <<"b.x">>, 400},
		{"[...]", <<"[::1]">>, {#{}, [<<"[::1]">>]}}
	]].

names_of_host_and_path_must_be_equal_test() ->
	Dispatch = gun_rs_router:compile([{":a.org", [{"/:a", same, []}, {"/:b", other, []}]}]),
	?assertEqual({ok, same, [], #{a => <<"x">>}, undefined, undefined},
		gun_rs_router:match(cowboy_2, Dispatch, <<"x.org">>, <<"/x">>)),
	?assertEqual({ok, other, [], #{a => <<"x">>, b => <<"y">>}, undefined, undefined},
		gun_rs_router:match(cowboy_2, Dispatch, <<"x.org">>, <<"/y">>)),
	?assertEqual({ok, other, [], [{b, <<"y">>}, {a, <<"x">>}], undefined, undefined},
		gun_rs_router:match(cowboy_1, Dispatch, <<"x.org">>, <<"/y">>)).

the_first_match_in_order_wins_test() ->
	Dispatch = gun_rs_router:compile([
		{"a.org", [{"/a", first, 1}, {"/:x", second, 2}, {"/a", third, 3}]},
		{'_', [{'_', last, 4}]}
	]),
	?assertMatch({ok, first, 1, _, _, _}, gun_rs_router:match(cowboy_2, Dispatch, <<"a.org">>, <<"/a">>)),
	?assertMatch({ok, second, 2, _, _, _}, gun_rs_router:match(cowboy_2, Dispatch, <<"a.org">>, <<"/b">>)),
	?assertMatch({ok, last, 4, _, _, _}, gun_rs_router:match(cowboy_2, Dispatch, <<"b.org">>, <<"/a">>)),
	%% A host that matched is not left again.
	?assertEqual({error, 404}, gun_rs_router:match(cowboy_2, Dispatch, <<"a.org">>, <<"/a/b">>)).

the_next_route_is_tried_where_a_constraint_fails_test_() ->
	Digits = fun(<<"1">>) -> true; (<<"2">>) -> {true, two}; (_) -> false end,
	Dispatch = gun_rs_router:compile([
		{":host.org", [{host, int}], [{"/", host_is_int, []}]},
		{'_', [
			{"/i/:id", [{id, int}], int, []},
			{"/i/:id", [{id, nonempty}], text, []},
			{"/f/:id", [{id, function, Digits}], function, []},
			{"/o/[:id]", [{id, int}], optional, []},
			{'_', rest, []}
		]}
	]),
	[{lists:concat([Dialect, binary_to_list(Host), binary_to_list(Path)]), fun() ->
		{ok, Handler, [], Bindings, undefined, undefined} = gun_rs_router:match(Dialect, Dispatch, Host, Path),
		?assertEqual(Expected, {Handler, Bindings})
	end} || {Dialect, Host, Path, Expected} <- [
		{cowboy_2, <<"5.org">>, <<"/">>, {host_is_int, #{host => 5}}},
		{cowboy_2, <<"a.org">>, <<"/">>, {rest, #{}}},
		{cowboy_2, ?HOST, <<"/i/7">>, {int, #{id => 7}}},
		{cowboy_2, ?HOST, <<"/i/x">>, {text, #{id => <<"x">>}}},
		{cowboy_1, ?HOST, <<"/f/1">>, {function, [{id, <<"1">>}]}},
		{cowboy_1, ?HOST, <<"/f/2">>, {function, [{id, two}]}},
		{cowboy_1, ?HOST, <<"/f/3">>, {rest, []}},
		{cowboy_1, ?HOST, <<"/i/7">>, {int, [{id, 7}]}},
		{cowboy_2, ?HOST, <<"/o">>, {optional, #{}}},
		{cowboy_2, ?HOST, <<"/o/8">>, {optional, #{id => 8}}},
		{cowboy_2, ?HOST, <<"/o/x">>, {rest, #{}}}
	]].

routes_in_a_persistent_term_are_read_at_each_request_test() ->
	Key = {?MODULE, routes},
	try
		_ = [begin
			ok = persistent_term:put(Key, gun_rs_router:compile([{'_', [{'_', Handler, []}]}])),
			?assertMatch({ok, Handler, _, _, _, _},
				gun_rs_router:match(cowboy_2, {persistent_term, Key}, ?HOST, <<"/">>))
		end || Handler <- [one, two]],
		ok
	after
		persistent_term:erase(Key)
	end.

no_routes_match_nothing_test() ->
	?assertEqual({error, 400}, gun_rs_router:match(cowboy_2, gun_rs_router:compile([]), ?HOST, <<"/">>)),
	?assertEqual({error, 404}, gun_rs_router:match(cowboy_2, gun_rs_router:compile([{'_', []}]), ?HOST, <<"/">>)).

faults_of_patterns_are_found_test_() ->
	[{lists:flatten(io_lib:format("~p", [Pattern])),
		?_assertError(badarg, gun_rs_router:compile([{'_', [{Pattern, h, []}]}]))}
	|| Pattern <- ["/[a", "/a]", "/[a]]", "/[[a]", "/x[a]", "/:", "/:/a", "/[:]", "/:[a]", "/:a[b]"]]
	++ [?_assertError(badarg, gun_rs_router:compile([{Pattern, []}])) || Pattern <- ["[a", "a]", ":", "a[b]", ":.a"]]
	++ [?_assertError({badarg, _}, gun_rs_router:compile([{'_', [{Pattern, h, []}]}]))
		|| Pattern <- ["", "a", <<"a/b">>, "[/a]", ":a"]].

path(Dialect, Pattern, Path) ->
	Dispatch = gun_rs_router:compile([{'_', [{Pattern, h, opts}]}]),
	case gun_rs_router:match(Dialect, Dispatch, ?HOST, Path) of
		{ok, h, opts, Bindings, undefined, PathInfo} -> {Bindings, PathInfo};
		{error, Status} -> Status
	end.

host(Pattern, Host) ->
	Dispatch = gun_rs_router:compile([{Pattern, [{'_', h, opts}]}]),
	case gun_rs_router:match(cowboy_2, Dispatch, Host, <<"/">>) of
		{ok, h, opts, Bindings, HostInfo, undefined} -> {Bindings, HostInfo};
		{error, Status} -> Status
	end.

title(Dialect, Pattern, Text) ->
	lists:flatten(io_lib:format("~p ~0tp ~p", [Dialect, Pattern, Text])).

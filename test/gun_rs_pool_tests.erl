%% The parts of pools that need no connection.
-module(gun_rs_pool_tests).

-include_lib("eunit/include/eunit.hrl").
-include("gun_rs_test.hrl").

%% The queue.

first_come_first_served_test() ->
	Queue = lists:foldl(fun(N, Q0) -> {ok, Q} = gun_rs_pool_queue:in(N, [make_ref(), make_ref()], Q0), Q end,
		gun_rs_pool_queue:new(100), lists:seq(1, 100)),
	?assertEqual(full, gun_rs_pool_queue:in(101, [make_ref()], Queue)),
	?assertEqual(lists:seq(1, 100), gun_rs_pool_queue:to_list(Queue)),
	?assertEqual(lists:seq(1, 100), all_out(Queue)).

all_out(Queue0) ->
	case gun_rs_pool_queue:out(Queue0) of
		{From, [_, _], Queue} -> [From|all_out(Queue)];
		empty -> []
	end.

who_waits_no_longer_leaves_its_place_test() ->
	[A, B, C, D] = [make_ref() || _ <- "abcd"],
	{ok, Queue1} = gun_rs_pool_queue:in(one, [A, B], gun_rs_pool_queue:new(2)),
	{ok, Queue2} = gun_rs_pool_queue:in(two, [C, D], Queue1),
	{one, [A, B], Queue3} = gun_rs_pool_queue:drop(B, Queue2),
	?assertEqual(none, gun_rs_pool_queue:drop(A, Queue3)),
	?assertEqual(1, gun_rs_pool_queue:count(Queue3)),
	{ok, Queue4} = gun_rs_pool_queue:in(three, [A, B], Queue3),
	?assertEqual([two, three], all_out(Queue4)).

%% How many streams a connection may have.

limits_test_() ->
	[{lists:flatten(io_lib:format("~p", [Case])), ?_assertEqual(Limit, limit(Protocol, Settings, MaxStreams))}
		|| Case={Protocol, Settings, MaxStreams, Limit} <- [
			{http, none, undefined, 1},
			{http, none, 5, 5},
			{http2, none, undefined, 100},
			{http2, none, 7, 7},
			{http2, #{max_concurrent_streams => 250}, undefined, 250},
			{http2, #{max_concurrent_streams => 250}, 7, 7},
			{http2, #{max_concurrent_streams => 3}, 7, 3},
			{http2, #{max_concurrent_streams => 0}, undefined, 0},
			{http2, #{}, undefined, infinity},
			{http2, #{}, 7, 7},
			{ws, none, undefined, infinity},
			{raw, none, 1, infinity}
		]].

limit(Protocol, Settings, MaxStreams) ->
	{ok, Member0} = gun_rs_pool_member:setup({gun_up, self(), Protocol}, undefined, new(infinity)),
	Member = case Settings of
		none -> Member0;
		_ -> gun_rs_pool_member:settings(Settings, Member0)
	end,
	gun_rs_pool_member:limit(MaxStreams, Member).

new(MaxAge) ->
	gun_rs_pool_member:new(self(), make_ref(), 0, MaxAge).

a_connection_that_is_down_or_retires_has_no_room_test() ->
	{ok, Member} = gun_rs_pool_member:setup({gun_up, self(), http}, undefined, new(infinity)),
	?assertEqual(0, gun_rs_pool_member:limit(undefined, new(infinity))),
	?assertEqual(0, gun_rs_pool_member:limit(undefined, gun_rs_pool_member:down(Member))),
	?assertEqual(0, gun_rs_pool_member:limit(undefined, gun_rs_pool_member:retire(1, Member))).

%% SETTINGS that come during the setup count, and those of a connection that is gone do not.
settings_during_the_setup_test() ->
	Setup = {fun(_, {gun_up, _, _}, State) -> {setup, State}; (_, _, _) -> {up, http2, #{}} end, none},
	{ok, Member1} = gun_rs_pool_member:setup({gun_up, self(), http2}, Setup, new(infinity)),
	?assertEqual(0, gun_rs_pool_member:limit(undefined, Member1)),
	Member2 = gun_rs_pool_member:settings(#{max_concurrent_streams => 3}, Member1),
	{ok, Member3} = gun_rs_pool_member:setup({gun_upgrade, self(), make_ref(), [], []}, Setup, Member2),
	?assertEqual(3, gun_rs_pool_member:limit(undefined, Member3)),
	{ok, Member4} = gun_rs_pool_member:setup({gun_up, self(), http2}, undefined, gun_rs_pool_member:down(Member3)),
	?assertEqual(100, gun_rs_pool_member:limit(undefined, Member4)).

a_setup_that_fails_test_() ->
	[?_assertMatch({error, _}, gun_rs_pool_member:setup({gun_up, self(), http}, {Fun, state}, new(infinity))) || Fun <- [
		fun(_, _, _) -> error(bad) end,
		fun(_, _, _) -> throw(bad) end,
		fun(_, _, _) -> up end,
		fun(_, _, _) -> {up, http, not_a_map} end
	]].

age_test() ->
	Member = new(1000),
	?assert(gun_rs_pool_member:serves(gun_rs_pool_member:age(999, Member))),
	Aged = gun_rs_pool_member:age(1000, Member),
	?assert(gun_rs_pool_member:is_replaced(Aged)),
	Retired = gun_rs_pool_member:retire(1200, Aged),
	?assert(gun_rs_pool_member:retires(Retired)),
	?assertNot(gun_rs_pool_member:is_overdue(2199, Retired)),
	?assert(gun_rs_pool_member:is_overdue(2200, Retired)),
	?assert(gun_rs_pool_member:serves(gun_rs_pool_member:age(1 bsl 40, new(infinity)))).

idle_test() ->
	Counted = gun_rs_pool_member:count(10, 0, 5, new(infinity)),
	?assertEqual(20, gun_rs_pool_member:idle_for(30, Counted)),
	?assertEqual(20, gun_rs_pool_member:idle_for(30, gun_rs_pool_member:count(25, 0, 5, Counted))),
	?assertEqual(5, gun_rs_pool_member:idle_for(30, gun_rs_pool_member:count(25, 1, 5, Counted))),
	?assertEqual(5, gun_rs_pool_member:idle_for(30, gun_rs_pool_member:count(25, 0, 6, Counted))).

health_test() ->
	Health = #{interval => 100, timeout => 10},
	{ok, Member0} = gun_rs_pool_member:setup({gun_up, self(), http2}, undefined, new(infinity)),
	PingRef = make_ref(),
	Now = erlang:monotonic_time(millisecond),
	?assertEqual(ok, gun_rs_pool_member:health(Now - 1, Health, Member0)),
	?assertEqual(ping, gun_rs_pool_member:health(Now + 200, Health, Member0)),
	Member = gun_rs_pool_member:ping(Now + 200, PingRef, Member0),
	?assertEqual(ok, gun_rs_pool_member:health(Now + 210, Health, Member)),
	?assertEqual(dead, gun_rs_pool_member:health(Now + 211, Health, Member)),
	?assertEqual(dead, gun_rs_pool_member:health(Now + 211, Health, gun_rs_pool_member:pong(make_ref(), Member))),
	?assertEqual(ok, gun_rs_pool_member:health(Now + 211, Health, gun_rs_pool_member:pong(PingRef, Member))),
	{ok, Http} = gun_rs_pool_member:setup({gun_up, self(), http}, undefined, new(infinity)),
	?assertEqual(ok, gun_rs_pool_member:health(Now + 100000, Health, Http)).

%% Options.

bad_options_are_named_and_have_a_sentence_test_() ->
	[{lists:flatten(io_lib:format("~p", [Opts])), fun() ->
		{error, {options, Bad}} = gun_rs_pool_options:pool("localhost", 8080, Opts),
		?assertEqual(Expected, Bad),
		Text = unicode:characters_to_list(gun_rs_error:format({options, Bad})),
		?assertEqual(nomatch, string:find(Text, "has no words")),
		?assertEqual($., lists:last(Text))
	end} || {Opts, Expected} <- [
		{[], {pool, []}},
		{#{sise => 1}, {pool, {sise, 1}}},
		{#{size => 0}, {pool, {size, 0}}},
		{#{size => #{min => 3, max => 2}}, {pool, {size, #{min => 3, max => 2}}}},
		{#{size => #{least => 3}}, {pool, {size, #{least => 3}}}},
		{#{checkout_queue => true}, {pool, {checkout_queue, true}}},
		{#{checkout_queue => #{timeout => infinity}}, {pool, {checkout_queue, #{timeout => infinity}}}},
		{#{max_age => 0}, {pool, {max_age, 0}}},
		{#{max_age_jitter => 2}, {pool, {max_age_jitter, 2}}},
		{#{idle_timeout => soon}, {pool, {idle_timeout, soon}}},
		{#{backoff => #{}}, {pool, {backoff, #{}}}},
		{#{transport => udp}, {pool, {transport, udp}}},
		{#{transport => tcp, conn_opts => #{transport => tls}}, {pool, {transport, tcp}}},
		{#{conn_opts => []}, {pool, {conn_opts, []}}},
		{#{conn_opts => #{retries => 3}}, {conn_opts, {retries, 3}}},
		{#{conn_opts => #{http_opts => #{keepalive => 0}}}, {conn_opts, {http, {keepalive, 0}}}},
		{#{conn_opts => #{protocols => [raw]}}, {conn_opts, {protocols, [raw]}}},
		{#{conn_opts => #{protocols => [{raw, #{flow => 1}}]}}, {conn_opts, {protocols, [raw]}}},
		{#{conn_opts => #{protocols => [socks]}}, {conn_opts, {protocols, [socks]}}},
		{#{conn_opts => #{protocols => [{socks, #{auth => [secret]}}]}}, {conn_opts, {protocols, [socks]}}},
		{#{conn_opts => #{socks_opts => #{}}}, {conn_opts, {socks_opts, hidden}}},
		{#{health => #{interval => 1}}, {pool, {health, #{interval => 1}}}},
		{#{health => true, transport => tls}, {pool, {health, true}}},
		{#{health => #{}, transport => tls, conn_opts => #{protocols => [http]}}, {pool, {health, #{}}}}
	]].

the_setup_fun_is_checked_test() ->
	Fun = fun(_) -> ok end,
	?assertEqual({error, {options, {pool, {setup_fun, Fun}}}}, gun_rs_pool_options:pool("localhost", 8080, #{setup_fun => Fun})).

hosts_and_ports_are_those_of_open_test() ->
	?assertEqual({error, {options, {host, "a b"}}}, gun_rs_pool_options:pool("a b", 8080, #{})),
	?assertEqual({error, {options, {port, 0}}}, gun_rs_pool_options:pool("localhost", 0, #{})).

health_goes_with_http2_test() ->
	{ok, #{health := #{interval := 5, timeout := 5000}}} =
		gun_rs_pool_options:pool("localhost", 443, #{health => #{interval => 5}}).

keys_test_() ->
	[?_assertMatch({ok, #{key := {Scope, Authority}}}, gun_rs_pool_options:pool(Host, Port, Opts))
		|| {Host, Port, Opts, Scope, Authority} <- [
			{"LocalHost", 8080, #{}, default, <<"localhost:8080">>},
			{"example.org", 80, #{}, default, <<"example.org">>},
			{"example.org", 443, #{}, default, <<"example.org">>},
			{"example.org", 443, #{transport => tcp}, default, <<"example.org:443">>},
			{"example.org", 80, #{conn_opts => #{transport => tls}}, default, <<"example.org:80">>},
			{{127, 0, 0, 1}, 80, #{scope => {a, 1}}, {a, 1}, <<"127.0.0.1">>},
			{{0, 0, 0, 0, 0, 0, 0, 1}, 8080, #{}, default, <<"[::1]:8080">>}
		]].

the_servers_settings_are_asked_for_test() ->
	{ok, #{conn_opts := Beside}} = gun_rs_pool_options:pool("localhost", 443, #{conn_opts => #{http2_opts => #{flow => 7}}}),
	?assertMatch(#{http2_opts := #{flow := 7, notify_settings_changed := true}}, Beside),
	{ok, #{conn_opts := Within}} = gun_rs_pool_options:pool("localhost", 443,
		#{conn_opts => #{protocols => [{http2, #{flow => 7}}, http]}}),
	?assertMatch(#{protocols := [{http2, #{flow := 7, notify_settings_changed := true}}, http]}, Within).

secrets_are_hidden_test() ->
	ok = gun_rs_secrets:start(),
	{ok, Config} = gun_rs_pool_options:pool("localhost", 443, #{conn_opts => #{tls_opts => [{password, "abracadabra"}]}}),
	Hidden = gun_rs_pool_options:hide(Config),
	?assertEqual(nomatch, string:find(io_lib:format("~p", [Hidden]), "abracadabra")),
	?assertEqual(Config, gun_rs_pool_options:reveal(Hidden)).

bad_request_options_raise_test_() ->
	[?_assertMatch({'EXIT', {{badmatch, {error, {options, {pool_req, {Key, Value}}}}}, _}},
		?CATCH(gun_rs_pool_options:request(#{Key => Value}))) || {Key, Value} <- [
			{checkout_retry, 5}, {checkout_retry, [-1]}, {checkout_call_timeout, -1}, {start_pool_if_missing, yes},
			{flow, 0}, {unknown, 1}, {tunnel, make_ref()}]].

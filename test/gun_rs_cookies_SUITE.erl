%% A connection with a cookie store sends what servers have set, where and as long as it may, and with nothing else.
-module(gun_rs_cookies_SUITE).

-import(http_modules_h, [asked/1]).

-define(NEEDS, [{listener, [http_modules_h, http_echo_h]}]).
-include("gun_rs_suite.hrl").

%% Set and sent.

every_request_has_them(Config) ->
	doc("The cookies that a response sets are in each later request of the connection, and in its WebSocket upgrades."),
	ConnPid = do_open(Config),
	none = do_get(ConnPid, "/cookies/a", #{set => ["one=1; Path=/", "two=2; Path=/"]}),
	Cookies = <<"one=1; two=2">>,
	_ = [Cookies = do_seen(ConnPid, Request()) || Request <- [
		fun() -> gun_rs:get(ConnPid, "/cookies/a") end,
		fun() -> gun_rs:get(ConnPid, "/cookies/b?c", #{"x" => "y"}, #{flow => 10}) end,
		fun() -> gun_rs:options(ConnPid, "/cookies/") end,
		fun() -> gun_rs:delete(ConnPid, "/cookies/a") end,
		fun() -> gun_rs:post(ConnPid, "/cookies/a", [], "body") end,
		fun() -> gun_rs:request(ConnPid, <<"REPORT">>, "/cookies/a", [], binary:copy(<<0>>, 1000000)) end,
		fun() ->
			StreamRef = gun_rs:put(ConnPid, "/cookies/a", []),
			ok = gun_rs:data(ConnPid, StreamRef, nofin, "bo"),
			ok = gun_rs:data(ConnPid, StreamRef, fin, "dy"),
			StreamRef
		end
	]],
	{Cookies, _} = do_upgrade(ConnPid, "/cookies/ws", #{}),
	ok = gun_rs:close(ConnPid).

without_a_store(Config) ->
	doc("Without a store no cookie is sent but the user's own, and info/1 has none."),
	ConnPid = open(config(port, Config)),
	none = do_get(ConnPid, "/cookies/a", #{set => ["one=1; Path=/"]}),
	none = do_get(ConnPid, "/cookies/a", #{}),
	<<"mine=1">> = do_seen(ConnPid, gun_rs:get(ConnPid, "/cookies/a", [{"cookie", "mine=1"}])),
	#{cookie_store := undefined} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

replaced_and_removed(Config) ->
	doc("A cookie that is set again has its new value, and one that has expired is sent no more."),
	ConnPid = do_open(Config),
	_ = do_get(ConnPid, "/cookies/a", #{set => ["a=1", "b=2", "c=3", "d=4; Max-Age=3600", "e=5; Max-Age=1"]}),
	%% The last one may have expired by then.
	<<"a=1; b=2; c=3; d=4", _/binary>> = do_get(ConnPid, "/cookies/a", #{
		set => ["a=new", "b=; Max-Age=0", "c=gone; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
	}),
	true = eventually(fun() ->
		Sent = do_get(ConnPid, "/cookies/a", #{}),
		Sent =:= <<"a=new; d=4">> orelse Sent
	end),
	ok = gun_rs:close(ConnPid).

paths(Config) ->
	doc("A cookie goes where its path says, or where the request was that got it; longer paths come first."),
	ConnPid = do_open(Config),
	_ = do_get(ConnPid, "/cookies/dir/page?query=/x/y", #{set => [
		"root=1; Path=/", "default=2", "sub=3; Path=/cookies/dir/sub", "other=4; Path=/cookies/other", "bad=5; Path=relative"
	]}),
	_ = [Expected = do_get(ConnPid, Path, #{}) || {Path, Expected} <- [
		{"/cookies/", <<"root=1">>},
		{"/cookies/dir", <<"default=2; bad=5; root=1">>},
		{"/cookies/dir/page2", <<"default=2; bad=5; root=1">>},
		{"/cookies/dir/sub", <<"sub=3; default=2; bad=5; root=1">>},
		{"/cookies/dir/sub/a?b", <<"sub=3; default=2; bad=5; root=1">>},
		{"/cookies/dir/subway", <<"default=2; bad=5; root=1">>},
		{"/cookies/directory", <<"root=1">>},
		{"/cookies/other", <<"other=4; root=1">>}
	]],
	ok = gun_rs:close(ConnPid).

hosts(Config) ->
	doc("The host is that of the host header: a cookie goes to it, or to its domain, and no cookie is set for another."),
	ConnPid = do_open(Config),
	Get = fun(Host, Asked) ->
		do_seen(ConnPid, gun_rs:get(ConnPid, "/cookies/a", [{"host", Host}|asked(Asked)]))
	end,
	none = Get("www.example.org", #{set => [
		"host=1", "domain=2; Domain=example.org",
		"tld=3; Domain=org", "other=4; Domain=example.com", "sub=5; Domain=a.example.org"
	]}),
	none = Get("example.com", #{set => ["host=6"]}),
	_ = [Expected = Get(Host, #{}) || {Host, Expected} <- [
		{"www.example.org", <<"host=1; domain=2">>},
		{"WWW.Example.org:8080", <<"host=1; domain=2">>},
		{"a.www.example.org", <<"domain=2">>},
		{"example.org", <<"domain=2">>},
		{"example.com", <<"host=6">>},
		{"notexample.org", none}
	]],
	none = do_get(ConnPid, "/cookies/a", #{}),
	ok = gun_rs:close(ConnPid).

secure(Config) ->
	doc("Over plain TCP no secure cookie is taken, nor one whose name says that it must be; HttpOnly and SameSite are."),
	ConnPid = do_open(Config),
	none = do_get(ConnPid, "/cookies/a", #{set => [
		"secure=1; Secure", "__Secure-a=2; Secure", "__Secure-b=3", "__Host-c=4; Path=/",
		"http=5; HttpOnly", "site=6; SameSite=Strict"
	]}),
	<<"http=5; site=6">> = do_get(ConnPid, "/cookies/a", #{}),
	ok = gun_rs:close(ConnPid).

beside_the_users_own(Config) ->
	doc("A cookie header of the user's own stays, beside the store's."),
	ConnPid = do_open(Config),
	_ = do_get(ConnPid, "/cookies/a", #{set => ["one=1"]}),
	Seen = do_seen(ConnPid, gun_rs:get(ConnPid, "/cookies/a", [{"cookie", "mine=2"}])),
	%% Cowboy joins the two.
	[<<"mine=2">>, <<"one=1">>] = binary:split(Seen, [<<"; ">>, <<", ">>], [global]),
	ok = gun_rs:close(ConnPid).

%% Responses of every kind.

informational_responses(Config) ->
	doc("An informational response sets cookies too, and with cookie_ignore_informational it doesn't."),
	_ = [begin
		ConnPid = do_open(Config, #{http_opts => #{cookie_ignore_informational => Ignored}}),
		StreamRef = gun_rs:get(ConnPid, "/cookies/a", asked(#{inform => ["early=1"], set => ["late=2"]})),
		?EXPECT({gun_inform, ConnPid, StreamRef, 103, _}),
		{200, _, _} = answer(ConnPid, StreamRef),
		Expected = do_get(ConnPid, "/cookies/a", #{}),
		ok = gun_rs:close(ConnPid)
	end || {Ignored, Expected} <- [{false, <<"early=1; late=2">>}, {true, <<"late=2">>}]],
	ok.

upgrades(Config) ->
	doc("The answer to an upgrade sets cookies, and with cookie_ignore_informational it doesn't; a refusal always does."),
	_ = [begin
		ConnPid = do_open(Config, #{retry => 5, http_opts => #{cookie_ignore_informational => Ignored}}),
		StreamRef1 = gun_rs:ws_upgrade(ConnPid, "/cookies/a", asked(#{refuse => true, set => ["refused=1"]})),
		{403, _, None} = answer(ConnPid, StreamRef1),
		none = binary_to_term(None),
		{<<"refused=1">>, StreamRef2} = do_upgrade(ConnPid, "/cookies/a", #{set => ["upgraded=2"]}),
		ok = gun_rs:ws_send(ConnPid, StreamRef2, close),
		?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef2]}),
		?EXPECT({gun_up, ConnPid, http}),
		Expected = do_get(ConnPid, "/cookies/a", #{}),
		{Expected, _} = do_upgrade(ConnPid, "/cookies/a", #{}),
		ok = gun_rs:close(ConnPid)
	end || {Ignored, Expected} <- [{false, <<"refused=1; upgraded=2">>}, {true, <<"refused=1">>}]],
	ok.

no_body_and_cancelled(Config) ->
	doc("A response without a body sets cookies; one to a request that was cancelled sets none, and is not told."),
	ConnPid = do_open(Config, #{http_opts => #{pipeline => 1}}),
	StreamRef1 = gun_rs:head(ConnPid, "/cookies/a", asked(#{set => ["head=1"]})),
	?EXPECT({gun_response, ConnPid, StreamRef1, fin, 200, _}),
	StreamRef2 = gun_rs:get(ConnPid, "/held", do_tell()),
	Handler = ?EXPECT({held, Pid, _}, Pid),
	StreamRef3 = gun_rs:get(ConnPid, "/cookies/a", asked(#{set => ["cancelled=2"]})),
	ok = gun_rs:cancel(ConnPid, StreamRef3),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef3),
	Handler ! {answer, "held"},
	{200, _, <<"held">>} = answer(ConnPid, StreamRef2),
	<<"head=1">> = do_get(ConnPid, "/cookies/a", #{}),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

%% How long a store lives.

kept_over_reconnects(Config) ->
	doc("The store is kept when the connection is lost, and the next connection goes on with it."),
	ConnPid = do_open(Config, #{retry => 5}),
	_ = [begin
		Name = integer_to_list(N),
		Seen = do_get(ConnPid, "/cookies/a", #{set => ["n" ++ Name ++ "=" ++ Name]}),
		N = case Seen of none -> 0; _ -> length(binary:split(Seen, <<"; ">>, [global])) end,
		StreamRef = gun_rs:get(ConnPid, "/die"),
		{error, closed} = answer(ConnPid, StreamRef),
		?EXPECT({gun_down, ConnPid, http, closed, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http})
	end || N <- [0, 1, 2]],
	<<"n0=0; n1=1; n2=2">> = do_get(ConnPid, "/cookies/a", #{}),
	ok = gun_rs:close(ConnPid).

requests_over_a_reconnect(Config) ->
	doc("Requests made while the connection is lost, before it is known or after, lose neither cookies nor handlers."),
	ConnPid = do_open(Config, #{
		%% The connections that are killed at once were of no use, and give no retry back.
		retry => 1000,
		retry_timeout => 10,
		http_opts => #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]}
	}),
	_ = do_get(ConnPid, "/cookies/a", #{set => ["kept=1"]}),
	_ = [begin
		Killed = gun_rs:get(ConnPid, "/die"),
		_ = [?EXPECT({gun_down, ConnPid, http, closed, _}) || gun_down <- [When]],
		%% Those that wait behind the killed one are killed with it; the others are served by the next connection.
		StreamRefs = [gun_rs:get(ConnPid, "/cookies/a", asked(#{set => ["n=" ++ integer_to_list(N)]}))
			|| N <- lists:seq(1, 20)],
		Events = gun_rs:get(ConnPid, "/events?count=1"),
		{error, closed} = answer(ConnPid, Killed),
		_ = [?EXPECT({gun_down, ConnPid, http, closed, _}) || at_once <- [When]],
		?EXPECT({gun_up, ConnPid, http}),
		_ = [case answer(ConnPid, StreamRef) of
			{error, closed} -> ok;
			{200, _, Seen} -> <<"kept=1", _/binary>> = binary_to_term(Seen)
		end || StreamRef <- StreamRefs],
		ok = receive
			{gun_sse, ConnPid, Events, #{event_type := <<"count">>}} ->
				?EXPECT({gun_sse, ConnPid, Events, fin});
			{gun_error, ConnPid, Events, closed} ->
				ok
		after ?WAIT ->
			gun_rs_test:missing("gun_sse")
		end,
		ok = gun_rs:flush(ConnPid)
	end || When <- [gun_down, at_once], _ <- lists:seq(1, 20)],
	<<"kept=1; n=20">> = do_get(ConnPid, "/cookies/a", #{}),
	ok = gun_rs:close(ConnPid).

given_to_another(Config) ->
	doc("info/1 shows the store as it is, and another connection goes on with it; from then on each has its own."),
	ConnPid1 = do_open(Config),
	_ = do_get(ConnPid1, "/cookies/a", #{set => ["one=1", "kept=2; Max-Age=3600"]}),
	#{cookie_store := Store} = gun_rs:info(ConnPid1),
	ConnPid2 = do_open(Config, #{cookie_store => Store}),
	<<"one=1; kept=2">> = do_get(ConnPid2, "/cookies/a", #{set => ["two=2"]}),
	<<"one=1; kept=2">> = do_get(ConnPid1, "/cookies/a", #{}),
	<<"one=1; kept=2; two=2">> = do_get(ConnPid2, "/cookies/a", #{}),
	{ok, Store3} = gun_rs_cookies:session_gc(Store),
	ConnPid3 = do_open(Config, #{cookie_store => Store3}),
	<<"kept=2">> = do_get(ConnPid3, "/cookies/a", #{}),
	_ = [ok = gun_rs:close(ConnPid) || ConnPid <- [ConnPid1, ConnPid2, ConnPid3]],
	ok.

%% A store of the user's.

own_store(Config) ->
	doc("A store of the user's is asked and told, and what it refuses to store is left out."),
	ConnPid = do_open(Config, #{cookie_store => cookie_store_h:init(#{refuse => <<"two">>})}),
	_ = do_get(ConnPid, "/cookies/a", #{set => ["one=1", "two=2", "three=3"]}),
	<<"one=1; three=3">> = do_get(ConnPid, "/cookies/a", #{}),
	#{cookie_store := {cookie_store_h, _}} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

crash(Config) ->
	doc("A callback that crashes ends its own connection with its reason, and the socket; other connections go on."),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(_, _) ->
		lying_server:ok([{"set-cookie", "a=b"}], "")
	end}]}]),
	Other = do_open(Config),
	_ = [begin
		ct:log("~p", [Callback]),
		ConnPid = open(Port, #{cookie_store => cookie_store_h:init(#{crash => Callback})}),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		{error, {down, {{crashed, Callback}, _}}} = gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_down, _, _, _, _}),
		none = do_get(Other, "/cookies/a", #{})
	end || Callback <- [query, set_cookie_secure_match, set_cookie_get_exact_match, store]],
	ok = gun_rs:close(Other),
	lying_server:stop(Server).

%% Nothing is left.

nothing_is_left(Config) ->
	doc("Whatever becomes of requests, the process keeps nothing of them: answered, cancelled, refused, too large."),
	ConnPid = do_open(Config, #{http_opts => #{max_send_queue => 100000}}),
	%% More than the limit.
	TooMuch = binary:copy(<<0>>, 100001),
	Requests = [
		fun() -> {200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies/a")) end,
		fun() -> {200, _, _} = answer(ConnPid, gun_rs:head(ConnPid, "/cookies/a")) end,
		fun() -> {200, _, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/trailers", [{"te", "trailers"}])) end,
		fun() -> {error, send_queue_full} = answer(ConnPid, gun_rs:post(ConnPid, "/cookies/a", [], TooMuch)) end,
		fun() ->
			StreamRef = gun_rs:get(ConnPid, "/cookies/a"),
			ok = gun_rs:cancel(ConnPid, StreamRef),
			{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies/a")),
			gun_rs:flush(StreamRef)
		end
	],
	do_memory_stays(ConnPid, Requests),
	{_, _} = do_upgrade(ConnPid, "/cookies/a", #{}),
	do_memory_stays(ConnPid, [fun() ->
		_ = gun_rs:get(ConnPid, "/cookies/a"),
		?EXPECT({gun_error, ConnPid, {badstate, _}})
	end]),
	ok = gun_rs:close(ConnPid).

no_stream_stays(Config) ->
	doc("In whichever way streams end, nothing is kept for them: refused, cancelled, lost, upgraded, in each dialect."),
	N = 100,
	Each = fun(Fun) -> [Fun() || _ <- lists:seq(1, N)] end,
	Badstate = fun(ConnPid, StreamRef) -> ?EXPECT({gun_error, ConnPid, StreamRef, {badstate, _}}) end,
	%% Over HTTP/1.0.
	ConnPid1 = do_open(Config, #{http_opts => #{version => 'HTTP/1.0'}}),
	_ = Each(fun() -> Badstate(ConnPid1, gun_rs:post(ConnPid1, "/cookies/a", [])) end),
	_ = Each(fun() -> Badstate(ConnPid1, gun_rs:ws_upgrade(ConnPid1, "/cookies/a")) end),
	do_none_left(ConnPid1),
	%% Behind a request that is not answered: too short, refused, cancelled; then the connection is lost.
	{Server, Port} = lying_server:start([request, wait, close]),
	ConnPid2 = open(Port, #{cookie_store => gun_rs_cookies_list:init(), http_opts => #{max_send_queue => 10000000, pipeline => 1}}),
	StreamRef2 = gun_rs:get(ConnPid2, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	_ = Each(fun() ->
		StreamRef = gun_rs:post(ConnPid2, "/", [{"content-length", "8"}]),
		ok = gun_rs:data(ConnPid2, StreamRef, fin, "short"),
		Badstate(ConnPid2, StreamRef)
	end),
	TooMuch = binary:copy(<<0>>, 10000001),
	_ = [?EXPECT({gun_error, ConnPid2, S, send_queue_full})
		|| S <- [gun_rs:post(ConnPid2, "/", [], TooMuch) || _ <- [1, 2, 3]]],
	_ = Each(fun() -> gun_rs:cancel(ConnPid2, gun_rs:get(ConnPid2, "/")) end),
	1 = do_left(ConnPid2, 1),
	Waiting = Each(fun() -> gun_rs:get(ConnPid2, "/") end),
	%% The native side has all of them.
	{ok, #{state := running}} = gun_rs:stream_info(ConnPid2, lists:last(Waiting)),
	_ = do_left(ConnPid2, N + 1),
	lying_server:go(Server),
	_ = [?EXPECT({gun_error, ConnPid2, S, closed}) || S <- [StreamRef2|Waiting]],
	do_none_left(ConnPid2),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server),
	%% Before and after an upgrade.
	_ = [begin
		ct:log("~p", [Dialect]),
		ConnPid3 = do_open(Config, #{dialect => Dialect}),
		Refused = gun_rs:ws_upgrade(ConnPid3, "/echo"),
		{200, _, _} = answer(ConnPid3, gun_rs:get(ConnPid3, "/cookies/a")),
		ok = gun_rs:flush(Refused),
		do_none_left(ConnPid3),
		_ = gun_rs:ws_upgrade(ConnPid3, "/cookies/a"),
		_ = Each(fun() -> gun_rs:get(ConnPid3, "/cookies/a") end),
		_ = [?EXPECT({gun_error, ConnPid3, {badstate, _}}) || _ <- lists:seq(1, N)],
		_ = Each(fun() -> gun_rs:get(ConnPid3, "/cookies/a") end),
		_ = [?EXPECT({gun_error, ConnPid3, {badstate, _}}) || _ <- lists:seq(1, N)],
		do_none_left(ConnPid3),
		ok = gun_rs:close(ConnPid3)
	end || Dialect <- [gun_2, gun_1, gun_1_pre, gun_0]],
	ok.

do_none_left(ConnPid) ->
	0 = do_left(ConnPid, 0).

do_left(ConnPid, Expected) ->
	true = eventually(fun() ->
		{_, Data} = sys:get_state(ConnPid),
		[Streams] = [lists:last(tuple_to_list(State)) || State <- tuple_to_list(Data), is_tuple(State), element(1, State) =:= state],
		map_size(Streams) =:= Expected orelse {left, map_size(Streams)}
	end),
	Expected.

%% In bytes: one word of each of the requests would be more.
do_memory_stays(ConnPid, Requests) ->
	Memory = fun() ->
		true = erlang:garbage_collect(ConnPid),
		{memory, Bytes} = process_info(ConnPid, memory),
		Bytes
	end,
	_ = [Request() || Request <- Requests, _ <- lists:seq(1, 10)],
	Before = Memory(),
	_ = [begin
		_ = [Request() || _ <- lists:seq(1, 1000)],
		true = eventually(fun() -> Memory() - Before < 8000 orelse {left, Memory() - Before} end)
	end || Request <- Requests],
	ok.

%% Helpers.

do_open(Config) ->
	do_open(Config, #{}).

do_open(Config, Opts) ->
	open(config(port, Config), maps:merge(#{retry => 0, cookie_store => gun_rs_cookies_list:init()}, Opts)).

%% The cookie header that the server has seen.
do_get(ConnPid, Path, Asked) ->
	do_seen(ConnPid, gun_rs:get(ConnPid, Path, asked(Asked))).

do_seen(ConnPid, StreamRef) ->
	{200, _, Body} = answer(ConnPid, StreamRef),
	binary_to_term(Body).

do_upgrade(ConnPid, Path, Asked) ->
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path, asked(Asked)),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Seen}}, {binary_to_term(Seen), StreamRef}).

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

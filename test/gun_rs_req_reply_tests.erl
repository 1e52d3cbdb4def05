%% Responses leave as in Cowboy, and what must not be sent is refused.
-module(gun_rs_req_reply_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_served_stand_in, [req/2, req/3, calls/0]).

%% Each case runs in a process of its own, with nothing else in its mailbox.
-define(CASE(Body), {spawn, ?_test(Body)}).

reply_test_() ->
	{setup, fun gun_rs_served_stand_in:load/0, fun gun_rs_served_stand_in:unload/1,
		[whole_2(), whole_1(), statuses(), refusals(), headers(), cookies(), streams(), chunks(), sse(), informs(),
			gone(), queues(), states(), compression(), files()]}.

whole_2() -> [?CASE(begin
	Req0 = Set(req(cowboy_2, #{})),
	Req = Reply(Req0),
	?assertMatch(#{has_sent_resp := true}, Req),
	?assertEqual({Status, <<>>, lists:sort([{<<"server">>, <<"gun_rs">>}|Headers]), Body}, sent(calls())),
	?assertEqual(replied, gun_rs_served:state(7)),
	?assertEqual(replied, gun_rs_served:finish(7)),
	?assertEqual([], calls())
end) || {Set, Reply, Status, Headers, Body} <- [
	{fun same/1, fun(R) -> gun_rs_req:reply(200, R) end, 200, [], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(200, #{<<"a">> => [$b]}, R) end, 200, [{<<"a">>, <<"b">>}], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(404, #{}, ["n", <<"o">>], R) end, 404, [], <<"no">>},
	{fun same/1, fun(R) -> gun_rs_req:reply(204, #{}, R) end, 204, [], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(304, #{}, "", R) end, 304, [], <<>>},
	{fun(R) -> gun_rs_req:set_resp_body(<<"set">>, R) end, fun(R) -> gun_rs_req:reply(200, R) end, 200, [], <<"set">>},
	{fun(R) -> gun_rs_req:set_resp_body(<<"set">>, R) end,
		fun(R) -> gun_rs_req:reply(200, #{}, <<"given">>, R) end, 200, [], <<"given">>},
	{fun(R) -> gun_rs_req:set_resp_header(<<"a">>, "set", R) end,
		fun(R) -> gun_rs_req:reply(200, #{<<"a">> => "given"}, R) end, 200, [{<<"a">>, <<"given">>}], <<>>},
	%% What is framed and how is not a handler's business.
	{fun same/1, fun(R) -> gun_rs_req:reply(200, #{<<"content-length">> => <<"9">>, <<"Transfer-Encoding">> => <<"x">>},
		<<"ab">>, R) end, 200, [], <<"ab">>}
]] ++ [?CASE(begin
	_ = gun_rs_req:reply(200, #{<<"server">> => <<"mine">>}, req(cowboy_2, #{})),
	?assertEqual({200, <<>>, [{<<"server">>, <<"mine">>}], <<>>}, sent(calls()))
end)].

whole_1() -> [?CASE(begin
	Req0 = Set(req(cowboy_1, #{})),
	{ok, Req} = Reply(Req0),
	?assertEqual({Status, <<>>, lists:sort([{<<"server">>, <<"gun_rs">>}|Headers]), Body}, sent(calls())),
	?assertNot(gun_rs_req:has_resp_header(<<"a">>, Req)),
	?assertEqual(replied, gun_rs_served:state(7))
end) || {Set, Reply, Status, Headers, Body} <- [
	{fun same/1, fun(R) -> gun_rs_req:reply(200, R) end, 200, [], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(200, [{<<"A">>, "b"}], R) end, 200, [{<<"a">>, <<"b">>}], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(404, [], ["n", <<"o">>], R) end, 404, [], <<"no">>},
	{fun same/1, fun(R) -> gun_rs_req:reply(204, [], <<"dropped">>, R) end, 204, [], <<>>},
	{fun same/1, fun(R) -> gun_rs_req:reply(200, [{<<"a">>, <<"1">>}, {<<"a">>, <<"2">>}], R) end, 200,
		[{<<"a">>, <<"1">>}, {<<"a">>, <<"2">>}], <<>>},
	{fun(R) -> gun_rs_req:set_resp_body(<<"set">>, R) end, fun(R) -> gun_rs_req:reply(200, [], R) end, 200, [], <<"set">>},
	{fun(R) -> gun_rs_req:set_resp_header(<<"a">>, "new", gun_rs_req:set_resp_header(<<"a">>, "old", R)) end,
		fun(R) -> gun_rs_req:reply(200, R) end, 200, [{<<"a">>, <<"new">>}], <<>>},
	{fun(R) -> gun_rs_req:set_resp_header(<<"a">>, "set", R) end,
		fun(R) -> gun_rs_req:reply(200, [{<<"a">>, "given"}], R) end, 200, [{<<"a">>, <<"given">>}], <<>>}
]].

statuses() ->
	[?CASE(begin
		_ = gun_rs_req:reply(Status, req(Dialect, #{})),
		?assertMatch({Number, Reason, _, _}, sent(calls()))
	end) || Dialect <- [cowboy_1, cowboy_2], {Status, Number, Reason} <- [
		{<<"299 Fine">>, 299, <<"Fine">>}, {<<"299 Very fine">>, 299, <<"Very fine">>}, {<<"200">>, 200, <<>>}, {999, 999, <<>>}
	]] ++ [?CASE(begin
		?assertExit({response_error, invalid_status, _}, gun_rs_req:reply(Status, req(Dialect, #{}))),
		?assertEqual([], calls())
	end) || Dialect <- [cowboy_1, cowboy_2], Status <- [99, 1000, ok, <<"20">>, <<"2x0 Fine">>, <<"200 a\r\nb: c">>, <<>>]].

refusals() -> [
	?CASE(begin
		%% Twice, with the Req from before too.
		Req0 = req(cowboy_2, #{}),
		Req = gun_rs_req:reply(200, Req0),
		_ = [?assertExit({response_error, response_already_sent, _}, Fun()) || R <- [Req0, Req], Fun <- [
			fun() -> gun_rs_req:reply(200, R) end,
			fun() -> gun_rs_req:stream_reply(200, R) end,
			fun() -> gun_rs_req:inform(103, R) end
		]],
		?assertError(function_clause, gun_rs_req:stream_body(<<"x">>, fin, Req)),
		?assertMatch([{respond, _}], calls())
	end),
	?CASE(begin
		{ok, Req} = gun_rs_req:reply(200, req(cowboy_1, #{})),
		?assertExit({response_error, response_already_sent, _}, gun_rs_req:reply(200, Req)),
		?assertExit({response_error, response_already_sent, _}, gun_rs_req:chunked_reply(200, Req)),
		?assertExit({response_error, response_not_open, _}, gun_rs_req:chunk(<<"x">>, Req))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{}),
		_ = [?assertExit({response_error, body_not_allowed, _}, gun_rs_req:reply(Status, #{}, <<"x">>, Req))
			|| Status <- [204, 304, <<"204 No">>]],
		put(respond, {error, {invalid_header, <<"a b">>}}),
		?assertExit({response_error, {invalid_header, <<"a b">>}, _}, gun_rs_req:reply(200, Req)),
		?assertEqual(none, gun_rs_served:state(7))
	end),
	?CASE(begin
		Req = req(cowboy_2, #{}),
		Cookie = #{<<"set-cookie">> => <<"a=b">>},
		_ = [?assertExit({response_error, invalid_header, _}, Fun()) || Fun <- [
			fun() -> gun_rs_req:set_resp_header(<<"set-cookie">>, <<"a=b">>, Req) end,
			fun() -> gun_rs_req:set_resp_headers(Cookie, Req) end,
			fun() -> gun_rs_req:reply(200, Cookie, Req) end,
			fun() -> gun_rs_req:stream_reply(200, Cookie, Req) end,
			fun() -> gun_rs_req:inform(103, Cookie, Req) end,
			fun() -> gun_rs_req:stream_trailers(Cookie, Req#{has_sent_resp => headers}) end
		]],
		?assertEqual([], calls())
	end)
].

headers() -> [
	?CASE(begin
		Req0 = gun_rs_req:set_resp_header(<<"a">>, <<"1">>, req(cowboy_2, #{})),
		Req1 = gun_rs_req:set_resp_headers(#{<<"b">> => <<"2">>}, Req0),
		Req2 = gun_rs_req:set_resp_headers([{<<"c">>, <<"3">>}, {<<"c">>, "4"}, {<<"set-cookie">>, <<"x=y; Path=/">>}], Req1),
		?assertEqual({<<"1">>, undefined, d, true, false}, {gun_rs_req:resp_header(<<"a">>, Req2),
			gun_rs_req:resp_header(<<"z">>, Req2), gun_rs_req:resp_header(<<"z">>, Req2, d),
			gun_rs_req:has_resp_header(<<"b">>, Req2), gun_rs_req:has_resp_header(<<"z">>, Req2)}),
		Req3 = gun_rs_req:delete_resp_header(<<"z">>, gun_rs_req:delete_resp_header(<<"b">>, Req2)),
		?assertEqual([<<"a">>, <<"c">>], lists:sort(maps:keys(gun_rs_req:resp_headers(Req3)))),
		_ = gun_rs_req:reply(200, Req3),
		?assertEqual([{<<"a">>, <<"1">>}, {<<"c">>, <<"3, 4">>}, {<<"server">>, <<"gun_rs">>}, {<<"set-cookie">>, <<"x=y; Path=/">>}],
			element(3, sent(calls()))),
		?assertEqual(#{}, gun_rs_req:resp_headers(req(cowboy_2, #{}))),
		?assertMatch(#{}, gun_rs_req:delete_resp_header(<<"z">>, req(cowboy_2, #{})))
	end),
	?CASE(begin
		Req0 = gun_rs_req:set_resp_header(<<"a">>, <<"1">>, req(cowboy_1, #{})),
		?assert(gun_rs_req:has_resp_header(<<"a">>, Req0)),
		Req1 = gun_rs_req:delete_resp_header(<<"a">>, Req0),
		?assertNot(gun_rs_req:has_resp_header(<<"a">>, Req1))
	end),
	?CASE(_ = [begin
		Req = req(Dialect, #{}),
		?assertEqual([false, false, true], [gun_rs_req:has_resp_body(R)
			|| R <- [Req, gun_rs_req:set_resp_body("", Req), gun_rs_req:set_resp_body(["a"], Req)]])
	end || Dialect <- [cowboy_1, cowboy_2]])
].

cookies() -> [?CASE(begin
	Value = cookie(Opts),
	?assertEqual(Expected, Value),
	{ok, _} = gun_rs_req:reply(200, gun_rs_req:set_resp_cookie(<<"n">>, <<"v">>, maps:to_list(Opts), req(cowboy_1, #{}))),
	?assertMatch({<<"set-cookie">>, Expected}, lists:keyfind(<<"set-cookie">>, 1, element(3, sent(calls()))))
end) || {Opts, Expected} <- [
	{#{}, <<"n=v">>},
	{#{max_age => 0}, <<"n=v; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0">>},
	{#{domain => "d"}, <<"n=v; Domain=d">>},
	{#{path => <<"/">>}, <<"n=v; Path=/">>},
	{#{secure => true}, <<"n=v; Secure">>},
	{#{secure => false, http_only => false}, <<"n=v">>},
	{#{http_only => true}, <<"n=v; HttpOnly">>},
	{#{same_site => strict}, <<"n=v; SameSite=Strict">>},
	{#{same_site => lax}, <<"n=v; SameSite=Lax">>},
	{#{same_site => none}, <<"n=v; SameSite=None">>},
	{#{same_site => default}, <<"n=v">>}
]] ++ [
	?CASE(begin
		[<<"n=v">>, <<"Expires=", Date/binary>>, <<"Max-Age=100">>] = binary:split(cookie(#{max_age => 100}), <<"; ">>, [global]),
		{ok, Expires} = gun_rs_cookie_parser:date(Date),
		Left = calendar:datetime_to_gregorian_seconds(Expires)
			- calendar:datetime_to_gregorian_seconds(calendar:universal_time()),
		?assert(Left > 0 andalso Left =< 100)
	end),
	?CASE(begin
		%% In Cowboy 2 the newest of a name counts; in Cowboy 1 all are sent, in order.
		Req2 = gun_rs_req:set_resp_cookie(<<"a">>, <<"2">>, gun_rs_req:set_resp_cookie(<<"a">>, <<"1">>, req(cowboy_2, #{}))),
		_ = gun_rs_req:reply(200, gun_rs_req:set_resp_cookie("b", "3", Req2)),
		?assertEqual([<<"a=2">>, <<"b=3">>], set_cookies(calls())),
		Set = fun(V, R) -> gun_rs_req:set_resp_cookie(<<"a">>, V, [], R) end,
		_ = gun_rs_req:reply(200, Set(<<"2">>, Set(<<"1">>, req(cowboy_1, #{})))),
		?assertEqual([<<"a=1">>, <<"a=2">>], set_cookies(calls()))
	end)
	|[?CASE(?assertError({Error, _}, gun_rs_req:set_resp_cookie(Name, Value, req(cowboy_2, #{}), Opts)))
		|| {Name, Value, Opts, Error} <- [
			{<<"n=">>, <<"v">>, #{}, invalid_cookie},
			{<<"n">>, <<"v;x">>, #{}, invalid_cookie},
			{<<"n">>, <<"v\r\n">>, #{}, invalid_cookie},
			{<<"n">>, <<"v w">>, #{}, invalid_cookie},
			{<<"n">>, <<"v">>, #{domain => "a;b"}, invalid_cookie_option},
			{<<"n">>, <<"v">>, #{path => "a\r\nb"}, invalid_cookie_option},
			{<<"n">>, <<"v">>, #{max_age => -1}, invalid_cookie_option},
			{<<"n">>, <<"v">>, #{secure => 1}, invalid_cookie_option},
			{<<"n">>, <<"v">>, #{same_site => x}, invalid_cookie_option},
			{<<"n">>, <<"v">>, #{other => x}, invalid_cookie_option}
		]]
].

streams() -> [
	?CASE(begin
		Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
		?assertEqual(streaming, gun_rs_served:state(7)),
		ok = gun_rs_req:stream_body(["a", <<"b">>], nofin, Req),
		ok = gun_rs_req:stream_body(<<>>, nofin, Req),
		ok = gun_rs_req:stream_body(<<"c">>, fin, Req),
		?assertMatch([{respond, [200, <<>>, _, {stream, undefined}]},
			{data, [nofin, <<"ab">>]}, {data, [fin, <<"c">>]}], calls()),
		?assertExit({response_error, response_not_open, _}, gun_rs_req:stream_body(<<"d">>, fin, Req))
	end),
	?CASE(begin
		Req = gun_rs_req:stream_reply(200, #{<<"content-length">> => <<"5">>}, req(cowboy_2, #{})),
		ok = gun_rs_req:stream_trailers(#{<<"a">> => "b"}, Req),
		?assertMatch([{respond, [200, <<>>, [{<<"server">>, _}], {stream, 5}]}, {trailers, [[{<<"a">>, <<"b">>}]]}], calls()),
		?assertEqual(replied, gun_rs_served:finish(7))
	end),
	?CASE(begin
		%% An unfinished body is ended by the connection.
		_ = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
		?assertEqual(replied, gun_rs_served:finish(7)),
		?assertMatch([_, {data, [fin, <<>>]}], calls())
	end),
	?CASE(begin
		Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{method => <<"HEAD">>})),
		ok = gun_rs_req:stream_body(<<"a">>, nofin, Req),
		ok = gun_rs_req:stream_body(<<"a">>, fin, Req),
		?assertMatch([_, {data, [fin, <<>>]}], calls())
	end),
	?CASE(begin
		?assertMatch(#{has_sent_resp := true}, gun_rs_req:stream_reply(204, #{}, req(cowboy_2, #{}))),
		?assertMatch([{respond, [204, <<>>, _, <<>>]}], calls())
	end),
	?CASE(begin
		?assertExit({response_error, invalid_header, _},
			gun_rs_req:stream_reply(200, #{<<"content-length">> => <<"x">>}, req(cowboy_2, #{}))),
		?assertError(function_clause, gun_rs_req:stream_body(<<"x">>, fin, req(cowboy_2, #{})))
	end)
].

chunks() -> [
	?CASE(begin
		{ok, Req} = gun_rs_req:chunked_reply(200, [{<<"a">>, <<"b">>}, {<<"content-length">>, <<"1">>}], req(cowboy_1, #{})),
		?assertEqual(ok, gun_rs_req:chunk(["x", $y], Req)),
		?assertMatch([{respond, [200, <<>>, [{<<"server">>, _}, {<<"a">>, <<"b">>}], {stream, undefined}]},
			{data, [nofin, <<"xy">>]}], calls()),
		put(data, gone),
		?assertEqual({error, closed}, gun_rs_req:chunk(<<"z">>, Req)),
		?assertEqual(gone, gun_rs_served:finish(7))
	end),
	?CASE(begin
		Fun = fun(Send) -> ok = Send("a"), ok = Send(<<"b">>) end,
		Req = gun_rs_req:set_resp_body_fun(chunked, Fun, req(cowboy_1, #{})),
		?assert(gun_rs_req:has_resp_body(Req)),
		{ok, _} = gun_rs_req:reply(200, [], Req),
		?assertMatch([{respond, [200, _, _, {stream, undefined}]}, {data, [nofin, <<"a">>]},
			{data, [nofin, <<"b">>]}, {data, [fin, <<>>]}], calls()),
		%% A body that is given overrides it.
		{ok, _} = gun_rs_req:reply(200, [], <<"x">>, gun_rs_req:set_resp_body_fun({chunked, Fun}, req(cowboy_1, #{}))),
		?assertMatch([{respond, [200, _, _, <<"x">>]}], calls())
	end),
	?CASE(begin
		{ok, Req} = gun_rs_req:chunked_reply(200, req(cowboy_1, #{method => <<"HEAD">>})),
		?assertEqual(ok, gun_rs_req:chunk(<<"a">>, Req)),
		?assertMatch([{respond, _}], calls())
	end)
].

sse() -> [?CASE(begin
	Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
	_ = calls(),
	ok = gun_rs_req:stream_events(Events, nofin, Req),
	?assertEqual([{data, [nofin, Expected]}], calls())
end) || {Events, Expected} <- [
	{#{data => "a"}, <<"data: a\n\n">>},
	{#{data => "a\r\nb\nc\rd"}, <<"data: a\ndata: b\ndata: c\ndata: d\n\n">>},
	{#{}, <<"\n">>},
	{[#{comment => "x\ny", id => "1", event => e, data => <<"z">>, retry => 5}, #{event => "f", data => ""}],
		<<": x\n: y\nid: 1\nevent: e\ndata: z\nretry: 5\n\nevent: f\ndata: \n\n">>}
]] ++ [?CASE(begin
	Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
	?assertError({badarg, _}, gun_rs_req:stream_events(Event, nofin, Req))
end) || Event <- [#{event => "a\nb"}, #{id => "a\rb"}]].

informs() -> [
	?CASE(begin
		Req = req(cowboy_2, #{}),
		ok = gun_rs_req:inform(<<"103 Early">>, #{<<"link">> => "x"}, Req),
		ok = gun_rs_req:inform(100, Req),
		?assertEqual([{inform, [103, [{<<"link">>, <<"x">>}]]}, {inform, [100, []]}], calls()),
		?assertEqual(none, gun_rs_served:state(7)),
		?assertExit({response_error, invalid_status, _}, gun_rs_req:inform(200, Req))
	end),
	?CASE(begin
		?assertEqual(ok, gun_rs_req:continue(req(cowboy_1, #{}))),
		?assertEqual([{inform, [100, []]}], calls())
	end)
].

%% A client that is gone is no error of the handler's.
gone() -> [
	?CASE(begin
		put(respond, gone),
		?assertMatch(#{has_sent_resp := true}, gun_rs_req:reply(200, req(cowboy_2, #{}))),
		?assertEqual(gone, gun_rs_served:state(7))
	end),
	?CASE(begin
		put(data, gone),
		Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
		?assertEqual([ok, ok], [gun_rs_req:stream_body(<<"a">>, nofin, Req) || _ <- [1, 2]]),
		?assertMatch([_, {data, _}], calls())
	end)
].

%% A full queue is waited for, whether or not somebody says when there is room.
queues() -> [
	?CASE(begin
		put(respond, [send_queue_full, send_queue_full]),
		Req = req(cowboy_2, #{}),
		self() ! {gun_rs_served, {queue, low}},
		_ = gun_rs_req:reply(200, Req),
		?assertEqual([respond, respond, respond], [Name || {Name, _} <- calls()]),
		?assertEqual(replied, gun_rs_served:state(7))
	end),
	?CASE(begin
		put(data, send_queue_full),
		{ok, Req} = gun_rs_req:chunked_reply(200, req(cowboy_1, #{})),
		self() ! {gun_rs_served, {stream_error, 7, closed}},
		?assertEqual({error, closed}, gun_rs_req:chunk(<<"a">>, Req))
	end)
].

states() -> [
	?CASE(begin
		?assertEqual(gone, gun_rs_served:state(8)),
		_ = req(cowboy_2, #{}),
		?assertEqual(none, gun_rs_served:state(7)),
		?assertEqual(none, gun_rs_served:finish(7)),
		ok = gun_rs_served:forget(7),
		?assertEqual(undefined, get(gun_rs_served))
	end),
	?CASE(begin
		%% Also a request that no Req could be made of is answered.
		{error, 400} = req(cowboy_2, #{headers => []}),
		?assertEqual(ok, gun_rs_served:refuse(7, 400, [{<<"connection">>, <<"close">>}])),
		?assertEqual({400, <<>>, [{<<"connection">>, <<"close">>}, {<<"server">>, <<"gun_rs">>}], <<>>}, sent(calls())),
		?assertEqual({error, already_sent}, gun_rs_served:refuse(7, 500, [])),
		?assertEqual(gone, gun_rs_served:refuse(8, 500, []))
	end),
	?CASE(begin
		%% Another process may answer, and the connection's knows.
		Req = req(cowboy_2, #{}),
		_ = in_another(fun() -> gun_rs_req:reply(200, Req) end),
		?assertEqual(replied, gun_rs_served:state(7)),
		?assertExit({response_error, response_already_sent, _}, gun_rs_req:reply(200, Req))
	end),
	?CASE(begin
		Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
		ok = in_another(fun() -> gun_rs_req:stream_body(<<"a">>, nofin, Req) end),
		?assertEqual(streaming, gun_rs_served:state(7)),
		ok = in_another(fun() -> gun_rs_req:stream_body(<<"a">>, fin, Req) end),
		?assertEqual(replied, gun_rs_served:state(7))
	end)
	|[?_assertEqual(Status, gun_rs_req_reply:error_status(Reason)) || {Reason, Status} <- [
		{{request_error, payload_too_large, text}, 413}, {{request_error, timeout, text}, 408},
		{{request_error, {header, <<"a">>}, text}, 400}, {{response_error, x, text}, 500}, {badarg, 500}
	]]
].

compression() -> [?CASE(begin
	Req = req(cowboy_1, #{headers => [{<<"host">>, <<"h">>}|Accept]}, #{compress => Compress}),
	Body = binary:copy(<<"x">>, Size),
	{ok, _} = gun_rs_req:reply(200, Given, Body, Req),
	{200, <<>>, Headers, Sent} = sent(calls()),
	case Compressed of
		true ->
			?assertEqual({<<"content-encoding">>, <<"gzip">>}, lists:keyfind(<<"content-encoding">>, 1, Headers)),
			?assertEqual(Body, zlib:gunzip(Sent));
		false ->
			?assertEqual(Body, Sent)
	end
end) || {Compress, Accept, Size, Given, Compressed} <- [
	{true, [{<<"accept-encoding">>, <<"deflate, gzip;q=0.5">>}], 301, [], true},
	{true, [{<<"accept-encoding">>, <<"gzip">>}], 300, [], false},
	{false, [{<<"accept-encoding">>, <<"gzip">>}], 301, [], false},
	{true, [], 301, [], false},
	{true, [{<<"accept-encoding">>, <<"gzip;q=0">>}], 301, [], false},
	{true, [{<<"accept-encoding">>, <<"gz ip">>}], 301, [], false},
	{true, [{<<"accept-encoding">>, <<"gzip">>}], 301, [{<<"content-encoding">>, <<"x">>}], false}
]].

files() ->
	Path = filename:absname(filename:join("/tmp", "gun_rs_reply_" ++ os:getpid())),
	{setup, fun() -> file:write_file(Path, binary:copy(<<"0123456789">>, 10000)) end, fun(_) -> file:delete(Path) end, [
		?CASE(begin
			Req = gun_rs_req:set_resp_body({sendfile, 1, 5, Path}, req(cowboy_2, #{})),
			?assert(gun_rs_req:has_resp_body(Req)),
			_ = gun_rs_req:reply(200, Req),
			Binary = list_to_binary(Path),
			?assertMatch({200, _, _, {file, Binary, 1, 5}}, sent(calls()))
		end),
		?CASE(begin
			_ = gun_rs_req:reply(200, #{}, {sendfile, 0, 1, <<"a">>}, req(cowboy_2, #{})),
			{_, _, _, {file, Absolute, 0, 1}} = sent(calls()),
			?assertEqual(absolute, filename:pathtype(Absolute))
		end),
		?CASE(begin
			Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
			ok = gun_rs_req:stream_body({sendfile, 5, 70000, Path}, fin, Req),
			[_, {data, [nofin, First]}, {data, [nofin, Second]}, {data, [fin, <<>>]}] = calls(),
			?assertEqual({65536, 4464, <<"56789">>}, {byte_size(First), byte_size(Second), binary:part(First, 0, 5)})
		end),
		?CASE(begin
			Req = gun_rs_req:stream_reply(200, req(cowboy_2, #{})),
			?assertError({sendfile, enoent, _}, gun_rs_req:stream_body({sendfile, 0, 5, "/no/such/file"}, fin, Req)),
			?assertError({sendfile, eof}, gun_rs_req:stream_body({sendfile, 200000, 5, Path}, fin, Req))
		end)
	]}.

same(Req) -> Req.

sent([{respond, [Status, Reason, Headers, Body]}]) ->
	{Status, Reason, lists:sort(Headers), Body}.

set_cookies([{respond, [_, _, Headers, _]}]) ->
	[Value || {<<"set-cookie">>, Value} <- Headers].

cookie(Opts) ->
	_ = gun_rs_req:reply(200, gun_rs_req:set_resp_cookie(<<"n">>, <<"v">>, req(cowboy_2, #{}), Opts)),
	[Cookie] = set_cookies(calls()),
	Cookie.

in_another(Fun) ->
	Self = self(),
	_ = spawn_link(fun() -> Self ! {result, Fun()} end),
	receive {result, Result} -> Result end.

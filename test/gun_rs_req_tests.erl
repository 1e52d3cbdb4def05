%% The functions of cowboy_req give what they give in Cowboy, in either dialect.
-module(gun_rs_req_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_served_stand_in, [req/2, req/3]).

-define(ON_STAND_IN(Tests), {setup, fun gun_rs_served_stand_in:load/0, fun gun_rs_served_stand_in:unload/1, Tests}).

%% What both dialects have: the second one wraps it.

values_of_both_dialects_test_() ->
	Changes = #{method => <<"POST">>, path => <<"/a%20b">>, qs => <<"x=1">>,
		headers => [{<<"host">>, <<"Example.ORG:8080">>}, {<<"x">>, <<"1">>}, {<<"x">>, <<"2">>}], body => 5},
	Expected = #{method => <<"POST">>, version => 'HTTP/1.1', host => <<"example.org">>, port => 8080,
		path => <<"/a%20b">>, qs => <<"x=1">>, peer => {{127, 0, 0, 1}, 1234}, host_info => undefined,
		path_info => undefined, body_length => 5},
	[[?_test(begin
		?assertEqual(Value, gun_rs_req:Function(req(cowboy_2, Changes))),
		Req = req(cowboy_1, Changes),
		?assertEqual({Value, Req}, gun_rs_req:Function(Req))
	end)] || {Function, Value} <- maps:to_list(Expected)].

values_of_cowboy_2_test() ->
	Req = req(cowboy_2, #{}, #{cert => <<"der">>, scheme => <<"https">>, ref => my_ref}),
	?assertEqual(<<"https">>, gun_rs_req:scheme(Req)),
	?assertEqual({{127, 0, 0, 1}, 80}, gun_rs_req:sock(Req)),
	?assertEqual(<<"der">>, gun_rs_req:cert(Req)),
	Self = self(),
	?assertMatch(#{ref := my_ref, pid := Self, streamid := 7, method := <<"GET">>, qs := <<>>, has_body := false,
		body_length := 0, headers := #{<<"host">> := <<"example.org">>}, port := 443}, Req).

hosts_test_() ->
	[{binary_to_list(Host), ?_assertEqual(Expected, host(Dialect, [{<<"host">>, Host}]))}
	|| Dialect <- [cowboy_1, cowboy_2], {Host, Expected} <- [
		{<<"A.b">>, {<<"a.b">>, 80}},
		{<<"a:81">>, {<<"a">>, 81}},
		{<<"a:">>, {<<"a">>, 80}},
		{<<>>, {<<>>, 80}},
		{<<":81">>, {<<>>, 81}},
		{<<"a_b">>, {<<"a_b">>, 80}},
		{<<"[::1]">>, {<<"[::1]">>, 80}},
		{<<"[::A]:81">>, {<<"[::a]">>, 81}},
		{<<"::1">>, {error, 400}},
		{<<"[::1">>, {error, 400}},
		{<<"[x]">>, {error, 400}},
		{<<"[fe80::1%25lo]">>, {error, 400}},
		{<<"[::1]x">>, {error, 400}},
		{<<"a:65536">>, {error, 400}},
		{<<"a:+1">>, {error, 400}},
		{<<"a:x">>, {error, 400}},
		{<<"u@a">>, {error, 400}},
		{<<"a b">>, {error, 400}},
		{<<"a/b">>, {error, 400}},
		{<<"a%41">>, {error, 400}},
		{<<"a, b">>, {error, 400}}
	]].

a_request_has_one_host_test_() ->
	[?_assertEqual(Expected, case req(cowboy_2, #{version => Version, headers => Headers}) of
		#{host := Host, port := Port} -> {Host, Port};
		Error -> Error
	end) || {Version, Headers, Expected} <- [
		{'HTTP/1.1', [], {error, 400}},
		{'HTTP/1.0', [], {<<>>, 80}},
		{'HTTP/1.0', [{<<"host">>, <<"a">>}], {<<"a">>, 80}},
		{'HTTP/1.1', [{<<"host">>, <<"a">>}, {<<"host">>, <<"a">>}], {error, 400}}
	]].

headers_test() ->
	Headers = [{<<"host">>, <<"h">>}, {<<"a">>, <<"1">>}, {<<"cookie">>, <<"x=1">>}, {<<"a">>, <<"2">>},
		{<<"cookie">>, <<"y=2">>}],
	Req2 = req(cowboy_2, #{headers => Headers}),
	?assertEqual(#{<<"host">> => <<"h">>, <<"a">> => <<"1, 2">>, <<"cookie">> => <<"x=1; y=2">>},
		gun_rs_req:headers(Req2)),
	?assertEqual(<<"1, 2">>, gun_rs_req:header(<<"a">>, Req2)),
	?assertEqual(undefined, gun_rs_req:header(<<"b">>, Req2)),
	?assertEqual(default, gun_rs_req:header(<<"b">>, Req2, default)),
	?assertEqual([{<<"x">>, <<"1">>}, {<<"y">>, <<"2">>}], gun_rs_req:parse_cookies(Req2)),
	Req1 = req(cowboy_1, #{headers => Headers}),
	?assertEqual({Headers, Req1}, gun_rs_req:headers(Req1)),
	?assertEqual({<<"1">>, Req1}, gun_rs_req:header(<<"a">>, Req1)),
	?assertEqual({undefined, Req1}, gun_rs_req:header(<<"b">>, Req1)),
	?assertEqual({default, Req1}, gun_rs_req:header(<<"b">>, Req1, default)),
	?assertEqual({[{<<"x">>, <<"1">>}, {<<"y">>, <<"2">>}], Req1}, gun_rs_req:cookies(Req1)),
	?assertEqual({<<"2">>, Req1}, gun_rs_req:cookie(<<"y">>, Req1)),
	?assertEqual({undefined, Req1}, gun_rs_req:cookie(<<"z">>, Req1)),
	?assertEqual({none, Req1}, gun_rs_req:cookie(<<"z">>, Req1, none)).

bindings_test() ->
	Req2 = gun_rs_req_new:with_route(req(cowboy_2, #{}), #{a => 1}, [<<"h">>], [<<"p">>]),
	?assertEqual({1, undefined, d, #{a => 1}, [<<"h">>], [<<"p">>]}, {gun_rs_req:binding(a, Req2),
		gun_rs_req:binding(b, Req2), gun_rs_req:binding(b, Req2, d), gun_rs_req:bindings(Req2),
		gun_rs_req:host_info(Req2), gun_rs_req:path_info(Req2)}),
	Req1 = gun_rs_req_new:with_route(req(cowboy_1, #{}), [{a, 1}], [<<"h">>], undefined),
	?assertEqual([{V, Req1} || V <- [1, undefined, d, [{a, 1}], [<<"h">>], undefined]], [gun_rs_req:binding(a, Req1),
		gun_rs_req:binding(b, Req1), gun_rs_req:binding(b, Req1, d), gun_rs_req:bindings(Req1),
		gun_rs_req:host_info(Req1), gun_rs_req:path_info(Req1)]).

meta_test() ->
	Req0 = req(cowboy_1, #{}),
	?assertEqual({undefined, Req0}, gun_rs_req:meta(a, Req0)),
	?assertEqual({d, Req0}, gun_rs_req:meta(a, Req0, d)),
	Req1 = gun_rs_req:set_meta(a, 2, gun_rs_req:set_meta(a, 1, Req0)),
	?assertEqual({2, Req1}, gun_rs_req:meta(a, Req1)).

query_strings_test_() ->
	[{binary_to_list(Qs), fun() ->
		Req2 = req(cowboy_2, #{qs => Qs}),
		Req1 = req(cowboy_1, #{qs => Qs}),
		case Expected of
			error ->
				?assertExit({request_error, qs, _}, gun_rs_req:parse_qs(Req2)),
				?assertExit({request_error, qs, _}, gun_rs_req:match_qs([a], Req2)),
				?assertExit({request_error, qs, _}, gun_rs_req:qs_vals(Req1));
			_ ->
				?assertEqual(Expected, gun_rs_req:parse_qs(Req2)),
				?assertEqual({Expected, Req1}, gun_rs_req:qs_vals(Req1))
		end
	end} || {Qs, Expected} <- [
		{<<>>, []},
		{<<"&">>, []},
		{<<"a">>, [{<<"a">>, true}]},
		{<<"a&&b=">>, [{<<"a">>, true}, {<<"b">>, <<>>}]},
		{<<"a=b=c&a=d">>, [{<<"a">>, <<"b=c">>}, {<<"a">>, <<"d">>}]},
		{<<"a+b=%41+%e2%82%ac">>, [{<<"a b">>, <<"A ", 16#20AC/utf8>>}]},
		{<<"a=b;c=d">>, [{<<"a">>, <<"b;c=d">>}]},
		{<<"=b">>, error},
		{<<"a=%">>, error},
		{<<"a=%4x">>, error}
	]].

qs_val_test() ->
	Req = req(cowboy_1, #{qs => <<"a=1&a=2&b">>}),
	?assertEqual([{V, Req} || V <- [<<"1">>, true, undefined, d]], [gun_rs_req:qs_val(<<"a">>, Req),
		gun_rs_req:qs_val(<<"b">>, Req), gun_rs_req:qs_val(<<"c">>, Req), gun_rs_req:qs_val(<<"c">>, Req, d)]).

match_qs_test_() ->
	Req = req(cowboy_2, #{qs => <<"a=1&b=&a=2&c&d=x">>, headers => [{<<"host">>, <<"h">>}, {<<"cookie">>, <<"a=b; a=c; d=5">>}]}),
	[?_assertEqual(Expected, matched(fun() -> gun_rs_req:match_qs(Fields, Req) end)) || {Fields, Expected} <- [
		{[], #{}},
		{[a, b], #{a => [<<"2">>, <<"1">>], b => <<>>}},
		{[c], #{c => true}},
		{[{zz, [], def}], #{zz => def}},
		{[{zz, int, def}, {d, nonempty, y}], #{zz => def, d => <<"x">>}},
		{[zz], {match_qs, #{zz => required}}},
		{[{b, nonempty}], {match_qs, #{b => {nonempty, empty, <<>>}}}},
		{[{d, int, 9}, {b, int, 8}, zz], {match_qs, #{b => {int, not_an_integer, <<>>},
			d => {int, not_an_integer, <<"x">>}, zz => required}}}
	]] ++ [?_assertEqual(Expected, matched(fun() -> gun_rs_req:match_cookies(Fields, Req) end)) || {Fields, Expected} <- [
		{[a, {d, int}], #{a => [<<"c">>, <<"b">>], d => 5}},
		{[x], {match_cookies, #{x => required}}}
	]].

filter_cookies_test_() ->
	[?_assertEqual(Expected, gun_rs_req:header(<<"cookie">>, gun_rs_req:filter_cookies(Names,
		req(cowboy_2, #{headers => [{<<"host">>, <<"h">>}, {<<"cookie">>, <<"a=b; a=c;d=e; f">>}]})))) || {Names, Expected} <- [
		{[a], <<"a=b; a=c">>},
		{[<<"d">>, a], <<"a=b; a=c; d=e">>},
		{[x], <<>>}
	]] ++ [?_test(begin Req = req(cowboy_2, #{}), ?assertEqual(Req, gun_rs_req:filter_cookies([a], Req)) end)].

urls_test_() ->
	[?_test(begin
		Req = req(cowboy_1, #{qs => Qs, headers => [{<<"host">>, Host}]}, #{scheme => Scheme}),
		?assertEqual({<<HostUrl/binary, "/p">>, {HostUrl, Req}}, {hd(binary:split(element(1, gun_rs_req:url(Req)), <<"?">>)),
			gun_rs_req:host_url(Req)}),
		?assertEqual(<<HostUrl/binary, Rest/binary>>, element(1, gun_rs_req:url(Req))),
		Req2 = req(cowboy_2, #{qs => Qs, headers => [{<<"host">>, Host}]}, #{scheme => Scheme}),
		?assertEqual(<<HostUrl/binary, Rest/binary>>, iolist_to_binary(gun_rs_req:uri(Req2)))
	end) || {Scheme, Host, Qs, HostUrl, Rest} <- [
		{<<"http">>, <<"a">>, <<>>, <<"http://a">>, <<"/p">>},
		{<<"http">>, <<"a:80">>, <<"x=y">>, <<"http://a">>, <<"/p?x=y">>},
		{<<"http">>, <<"a:443">>, <<>>, <<"http://a:443">>, <<"/p">>},
		{<<"https">>, <<"a">>, <<>>, <<"https://a">>, <<"/p">>},
		{<<"https">>, <<"[::1]:80">>, <<>>, <<"https://[::1]:80">>, <<"/p">>}
	]].

uri_parts_test_() ->
	Req = req(cowboy_2, #{qs => <<"a=b">>, headers => [{<<"host">>, <<"localhost:8080">>}]}),
	[?_assertEqual(Expected, iolist_to_binary(gun_rs_req:uri(Req, Opts))) || {Opts, Expected} <- [
		{#{}, <<"http://localhost:8080/p?a=b">>},
		{#{qs => undefined}, <<"http://localhost:8080/p">>},
		{#{qs => ""}, <<"http://localhost:8080/p">>},
		{#{fragment => "x"}, <<"http://localhost:8080/p?a=b#x">>},
		{#{fragment => undefined}, <<"http://localhost:8080/p?a=b">>},
		{#{port => 80}, <<"http://localhost/p?a=b">>},
		{#{port => undefined}, <<"http://localhost/p?a=b">>},
		{#{host => undefined}, <<"/p?a=b">>},
		{#{host => "h"}, <<"http://h:8080/p?a=b">>},
		{#{scheme => undefined}, <<"//localhost:8080/p?a=b">>},
		{#{scheme => "https", port => 443}, <<"https://localhost/p?a=b">>},
		{#{scheme => <<"ws">>, port => 80}, <<"ws://localhost/p?a=b">>},
		{#{path => undefined}, <<"http://localhost:8080?a=b">>},
		{#{host => undefined, path => undefined, qs => undefined}, <<>>}
	]].

compact_keeps_little_test() ->
	Req = gun_rs_req:compact(gun_rs_req_new:with_route(gun_rs_req:set_meta(m, 1, req(cowboy_1, #{})), [{a, 1}], undefined, [])),
	?assertMatch({<<"/p">>, _}, gun_rs_req:path(Req)),
	?assertMatch({undefined, _}, gun_rs_req:path_info(Req)),
	?assertMatch({1, _}, gun_rs_req:meta(m, Req)),
	?assertMatch({undefined, _}, gun_rs_req:header(<<"host">>, Req)),
	?assertMatch({[], _}, gun_rs_req:cookies(Req)),
	?assertError(_, gun_rs_req:binding(a, Req)).

what_belongs_to_the_inside_is_refused_by_name_test_() ->
	Req1 = req(cowboy_1, #{}),
	Req2 = req(cowboy_2, #{}),
	[?_assertError({not_supported, {Function, Arity}, "" ++ _}, apply(gun_rs_req, Function, Args))
	|| {Function, Args} <- [
		{get, [method, Req1]}, {get, [[method, socket], Req1]}, {get, [socket, Req2]},
		{set, [[{connection, close}], Req1]}, {to_list, [Req1]}, {upgrade_reply, [101, [], Req1]},
		{set_resp_body_fun, [fun(_, _) -> ok end, Req1]}, {set_resp_body_fun, [5, fun(_, _) -> ok end, Req1]},
		{init_stream, [fun(_) -> ok end, [], fun(_) -> ok end, Req1]},
		{cast, [msg, Req2]}, {push, [<<"/">>, #{}, Req2]}, {push, [<<"/">>, #{}, Req2, #{}]}
	], Arity <- [length(Args)]].

a_library_may_set_options_of_a_socket_and_close_it_test_() ->
	?ON_STAND_IN(fun() ->
		Req = req(cowboy_1, #{}),
		[Socket, Transport] = gun_rs_req:get([socket, transport], Req),
		?assertEqual(Transport, gun_rs_req:get(transport, Req)),
		?assertEqual(ok, Transport:setopts(Socket, [{nodelay, true}])),
		?assertEqual(ok, Transport:close(Socket)),
		?assertEqual([{close_with, [1000]}], gun_rs_served_stand_in:calls())
	end).

host(Dialect, Headers) ->
	case req(Dialect, #{headers => Headers}) of
		{error, Status} -> {error, Status};
		#{host := Host, port := Port} -> {Host, Port};
		Req -> {element(1, gun_rs_req:host(Req)), element(1, gun_rs_req:port(Req))}
	end.

matched(Match) ->
	try
		Match()
	catch exit:{request_error, Reason, _} ->
		Reason
	end.

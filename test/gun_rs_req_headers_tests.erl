%% Headers become the terms that Cowboy makes of them.
-module(gun_rs_req_headers_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_served_stand_in, [req/2]).

values_of_both_dialects_test_() ->
	[[{title(Name, Value), ?_assertEqual(Expected, parsed(Dialect, Name, Value))} || Dialect <- [cowboy_1, cowboy_2]]
	|| {Name, Value, Expected} <- [
		{<<"accept">>, <<>>, []},
		{<<"accept">>, <<",, ,">>, []},
		{<<"accept">>, <<"text/html">>, [{{<<"text">>, <<"html">>, []}, 1000, []}]},
		{<<"accept">>, <<"text/html;level=1;q=0.5;x=y;z, */*, Text/*;q=1.000">>, [
			{{<<"text">>, <<"html">>, [{<<"level">>, <<"1">>}]}, 500, [{<<"x">>, <<"y">>}, <<"z">>]},
			{{<<"*">>, <<"*">>, []}, 1000, []},
			{{<<"text">>, <<"*">>, []}, 1000, []}]},
		{<<"accept">>, <<"a/b;C=\"x\\\"y,;z\"">>, [{{<<"a">>, <<"b">>, [{<<"c">>, <<"x\"y,;z">>}]}, 1000, []}]},
		{<<"accept">>, <<"a/b ; charset=UTF-8 ; q=0">>, [{{<<"a">>, <<"b">>, [{<<"charset">>, <<"utf-8">>}]}, 0, []}]},
		{<<"accept">>, <<"a/b;q=.5">>, [{{<<"a">>, <<"b">>, []}, 500, []}]},
		{<<"accept">>, <<"a/b;q=0.">>, [{{<<"a">>, <<"b">>, []}, 0, []}]},
		{<<"accept">>, <<"*;q=0.2, *">>, [{{<<"*">>, <<"*">>, []}, 200, []}, {{<<"*">>, <<"*">>, []}, 1000, []}]},
		{<<"accept">>, <<"text">>, error},
		{<<"accept">>, <<"text/">>, error},
		{<<"accept">>, <<"a/b;q=2">>, error},
		{<<"accept">>, <<"a/b;q=1.001">>, error},
		{<<"accept">>, <<"a/b;q=0.1234">>, error},
		{<<"accept">>, <<"a/b;q=">>, error},
		{<<"accept">>, <<"a/b;c=\"d">>, error},
		{<<"accept">>, <<"a/b;c">>, error},
		{<<"accept-charset">>, <<"UTF-8, *;q=0.5">>, [{<<"utf-8">>, 1000}, {<<"*">>, 500}]},
		{<<"accept-charset">>, <<>>, error},
		{<<"accept-encoding">>, <<>>, []},
		{<<"accept-encoding">>, <<"GZIP;q=1.0, identity; q=0.5, *;q=0">>,
			[{<<"gzip">>, 1000}, {<<"identity">>, 500}, {<<"*">>, 0}]},
		{<<"accept-encoding">>, <<"gz ip">>, error},
		{<<"accept-encoding">>, <<"gzip;x=1">>, error},
		{<<"accept-encoding">>, <<"gzip;q=1;q=1">>, error},
		{<<"accept-language">>, <<"en-US, da;q=0.8, *;q=0.1">>, [{<<"en-us">>, 1000}, {<<"da">>, 800}, {<<"*">>, 100}]},
		{<<"accept-language">>, <<>>, error},
		{<<"accept-language">>, <<"e1">>, error},
		{<<"accept-language">>, <<"abcdefghi">>, error},
		{<<"accept-language">>, <<"en-">>, error},
		{<<"connection">>, <<"Upgrade, Keep-Alive">>, [<<"upgrade">>, <<"keep-alive">>]},
		{<<"connection">>, <<>>, error},
		{<<"content-length">>, <<"12">>, 12},
		{<<"content-length">>, <<"+12">>, error},
		{<<"content-length">>, <<>>, error},
		{<<"content-length">>, binary:copy(<<"9">>, 21), error},
		{<<"content-type">>, <<"text/HTML; charset=UTF-8; Foo=\"Bar baz\"">>,
			{<<"text">>, <<"html">>, [{<<"charset">>, <<"utf-8">>}, {<<"foo">>, <<"Bar baz">>}]}},
		{<<"content-type">>, <<"text/html;">>, error},
		{<<"content-type">>, <<"text">>, error},
		{<<"content-type">>, <<"*">>, error},
		{<<"content-type">>, <<"text/html; a=\"b\"c">>, error},
		{<<"cookie">>, <<"a=b; c=d=e;f; $v=\"1\" ;;">>,
			[{<<"a">>, <<"b">>}, {<<"c">>, <<"d=e">>}, {<<>>, <<"f">>}, {<<"$v">>, <<"\"1\"">>}]},
		{<<"cookie">>, <<>>, []},
		{<<"if-match">>, <<"*">>, '*'},
		{<<"if-match">>, <<"\"a\", W/\"b,c\"">>, [{strong, <<"a">>}, {weak, <<"b,c">>}]},
		{<<"if-none-match">>, <<"\"\"">>, [{strong, <<>>}]},
		{<<"if-none-match">>, <<>>, error},
		{<<"if-none-match">>, <<"a">>, error},
		{<<"if-none-match">>, <<"w/\"a\"">>, error},
		{<<"if-none-match">>, <<"\"a\"b">>, error},
		{<<"if-modified-since">>, <<"Sun, 06 Nov 1994 08:49:37 GMT">>, {{1994, 11, 6}, {8, 49, 37}}},
		{<<"if-modified-since">>, <<"Sunday, 06-Nov-94 08:49:37 GMT">>, {{1994, 11, 6}, {8, 49, 37}}},
		{<<"if-unmodified-since">>, <<"Sun Nov  6 08:49:37 1994">>, {{1994, 11, 6}, {8, 49, 37}}},
		{<<"if-unmodified-since">>, <<"x">>, error},
		{<<"if-modified-since">>, <<"Sun, 31 Feb 1994 08:49:37 GMT">>, error},
		{<<"sec-websocket-extensions">>, <<"permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\", foo">>,
			[{<<"permessage-deflate">>, [<<"client_max_window_bits">>, {<<"server_max_window_bits">>, <<"10">>}]}, {<<"foo">>, []}]},
		{<<"sec-websocket-extensions">>, <<>>, error},
		{<<"sec-websocket-extensions">>, <<"a;">>, error},
		{<<"sec-websocket-protocol">>, <<"Chat, b">>, [<<"Chat">>, <<"b">>]},
		{<<"sec-websocket-protocol">>, <<"a b">>, error},
		{<<"sec-websocket-protocol">>, <<>>, error},
		{<<"transfer-encoding">>, <<"GZIP, Chunked">>, [<<"gzip">>, <<"chunked">>]},
		{<<"transfer-encoding">>, <<>>, error},
		{<<"upgrade">>, <<"WebSocket, h2c/1.0">>, [<<"websocket">>, <<"h2c/1.0">>]},
		{<<"upgrade">>, <<"a/">>, error},
		{<<"upgrade">>, <<>>, error},
		{<<"x-forwarded-for">>, <<"1.2.3.4, [::1]:80, Unknown">>, [<<"1.2.3.4">>, <<"[::1]:80">>, <<"Unknown">>]},
		{<<"x-forwarded-for">>, <<>>, error},
		{<<"x-forwarded-for">>, <<"a b">>, error},
		{<<"x-forwarded-for">>, <<"a;b">>, error},
		{<<"x-unknown">>, <<"a">>, unknown}
	]].

values_of_one_dialect_test_() ->
	[{title(Name, Value), ?_assertEqual(Expected, parsed(Dialect, Name, Value))} || {Dialect, Name, Value, Expected} <- [
		{cowboy_1, <<"authorization">>, <<"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==">>,
			{<<"basic">>, {<<"Aladdin">>, <<"open sesame">>}}},
		{cowboy_1, <<"authorization">>, <<"Bearer abc">>, error},
		{cowboy_2, <<"authorization">>, <<"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==">>, {basic, <<"Aladdin">>, <<"open sesame">>}},
		{cowboy_2, <<"authorization">>, <<"basic  QTpCOkM=">>, {basic, <<"A">>, <<"B:C">>}},
		{cowboy_2, <<"authorization">>, <<"Basic QQ==">>, error},
		{cowboy_2, <<"authorization">>, <<"Basic Q">>, error},
		{cowboy_2, <<"authorization">>, <<"Bearer a.B-c_d~e+f/g==">>, {bearer, <<"a.B-c_d~e+f/g==">>}},
		{cowboy_2, <<"authorization">>, <<"Bearer a b">>, error},
		{cowboy_2, <<"authorization">>, <<"Bearer ">>, error},
		{cowboy_2, <<"authorization">>, <<"Bearer">>, error},
		{cowboy_2, <<"authorization">>, <<"Foo bar">>, error},
		{cowboy_2, <<"authorization">>, <<"Digest a=b, c=\"d, e\"">>, {digest, [{<<"a">>, <<"b">>}, {<<"c">>, <<"d, e">>}]}},
		{cowboy_2, <<"proxy-authorization">>, <<"Bearer x">>, {bearer, <<"x">>}},
		{cowboy_1, <<"expect">>, <<"100-Continue">>, [<<"100-continue">>]},
		{cowboy_1, <<"expect">>, <<"a=b;c=d">>, [{<<"a">>, <<"b">>, [{<<"c">>, <<"d">>}]}]},
		{cowboy_1, <<"expect">>, <<>>, error},
		{cowboy_2, <<"expect">>, <<"100-Continue">>, continue},
		{cowboy_2, <<"expect">>, <<"foo">>, error},
		{cowboy_1, <<"range">>, <<"bytes=-500, 5-, 7-9">>, {<<"bytes">>, [-500, {5, infinity}, {7, 9}]}},
		{cowboy_1, <<"range">>, <<"bytes=">>, error},
		{cowboy_2, <<"range">>, <<"bytes=-500, 5-, 7-9">>, {bytes, [-500, {5, infinity}, {7, 9}]}},
		{cowboy_2, <<"range">>, <<"items=abc">>, {<<"items">>, <<"abc">>}},
		{cowboy_2, <<"range">>, <<"bytes=a-b">>, error},
		{cowboy_2, <<"range">>, <<"bytes">>, error},
		{cowboy_2, <<"sec-websocket-version">>, <<"13">>, 13},
		{cowboy_2, <<"sec-websocket-version">>, <<"256">>, error},
		{cowboy_1, <<"sec-websocket-version">>, <<"13">>, unknown},
		{cowboy_2, <<"access-control-request-headers">>, <<"X-A, b">>, [<<"x-a">>, <<"b">>]},
		{cowboy_2, <<"access-control-request-method">>, <<"PUT">>, <<"PUT">>},
		{cowboy_2, <<"content-encoding">>, <<"GZip">>, [<<"gzip">>]},
		{cowboy_2, <<"content-language">>, <<"En-US">>, [<<"en-us">>]},
		{cowboy_2, <<"if-range">>, <<"\"a\"">>, {strong, <<"a">>}},
		{cowboy_2, <<"if-range">>, <<"W/\"a\"">>, {weak, <<"a">>}},
		{cowboy_2, <<"if-range">>, <<"Sun, 06 Nov 1994 08:49:37 GMT">>, {{1994, 11, 6}, {8, 49, 37}}},
		{cowboy_2, <<"max-forwards">>, <<"12">>, 12},
		{cowboy_2, <<"origin">>, <<"https://A.org http://[::1]:8080">>, [{<<"https">>, <<"a.org">>, 443}, {<<"http">>, <<"[::1]">>, 8080}]},
		{cowboy_2, <<"origin">>, <<"http://a:c">>, error},
		{cowboy_2, <<"trailer">>, <<"X-Foo">>, [<<"x-foo">>]}
	]] ++ [?_assertMatch([Ref] when is_reference(Ref), parsed(cowboy_2, <<"origin">>, <<"null">>))].

what_is_not_there_has_a_default_test_() ->
	Req2 = req(cowboy_2, #{}),
	Req1 = req(cowboy_1, #{}),
	[?_assertEqual(Expected, gun_rs_req:parse_header(Name, Req2)) || {Name, Expected} <- [
		{<<"accept">>, undefined}, {<<"content-length">>, 0}, {<<"cookie">>, []}, {<<"upgrade">>, undefined}
	]] ++ [
		?_assertEqual(d, gun_rs_req:parse_header(<<"accept">>, Req2, d)),
		?_assertExit({request_error, {header, <<"x-unknown">>}, _}, gun_rs_req:parse_header(<<"x-unknown">>, Req2)),
		?_assertEqual({ok, undefined, Req1}, gun_rs_req:parse_header(<<"accept">>, Req1)),
		?_assertEqual({ok, undefined, Req1}, gun_rs_req:parse_header(<<"content-length">>, Req1)),
		?_assertEqual({ok, [<<"identity">>], Req1}, gun_rs_req:parse_header(<<"transfer-encoding">>, Req1)),
		?_assertEqual({ok, d, Req1}, gun_rs_req:parse_header(<<"accept">>, Req1, d)),
		?_assertEqual({undefined, undefined, Req1}, gun_rs_req:parse_header(<<"x-unknown">>, Req1)),
		?_assertEqual({undefined, d, Req1}, gun_rs_req:parse_header(<<"x-unknown">>, Req1, d))
	].

%% Whatever comes.

random_bytes_never_crash_test_() ->
	{timeout, 60, fun() ->
		_ = rand:seed(exsss, {9110, 5, 6}),
		Names = [<<"accept">>, <<"accept-language">>, <<"authorization">>, <<"content-type">>, <<"cookie">>, <<"expect">>,
			<<"if-match">>, <<"if-modified-since">>, <<"if-range">>, <<"origin">>, <<"range">>, <<"sec-websocket-extensions">>,
			<<"upgrade">>, <<"x-forwarded-for">>],
		Pieces = [<<"\"">>, <<"\\">>, <<",">>, <<";">>, <<"=">>, <<"/">>, <<"q=0.5">>, <<"a">>, <<"*">>, <<" ">>, <<"W/">>,
			<<"-">>, <<"1">>, <<"bytes=">>, <<"Basic ">>, <<"http://">>, <<"Sun, ">>, <<255>>, <<0>>],
		_ = [begin
			Value = iolist_to_binary([lists:nth(rand:uniform(length(Pieces)), Pieces) || _ <- lists:seq(1, rand:uniform(8))]),
			_ = [?assertMatch({true, _}, {lists:member(kind(gun_rs_req_headers:parse(Dialect, Name, Value)), [ok, error, unknown]), Value})
				|| Dialect <- [cowboy_1, cowboy_2], Name <- Names],
			ok
		end || _ <- lists:seq(1, 3000)],
		ok
	end}.

kind({ok, _}) -> ok;
kind(Other) -> Other.

parsed(cowboy_2, Name, Value) ->
	Req = req(cowboy_2, #{headers => [{<<"host">>, <<"h">>}, {Name, Value}]}),
	try
		gun_rs_req:parse_header(Name, Req)
	catch exit:{request_error, {header, Name}, _} ->
		case gun_rs_req_headers:parse(cowboy_2, Name, Value) of
			unknown -> unknown;
			_ -> error
		end
	end;
parsed(cowboy_1, Name, Value) ->
	Req = req(cowboy_1, #{headers => [{<<"host">>, <<"h">>}, {Name, Value}]}),
	case gun_rs_req:parse_header(Name, Req) of
		{ok, Parsed, Req} -> Parsed;
		{error, badarg} -> error;
		{undefined, Value, Req} -> unknown
	end.

title(Name, Value) ->
	lists:flatten(io_lib:format("~s: ~s", [Name, Value])).

%% Headers and paths reach the wire in one form, and bad ones never leave the caller.
-module(gun_rs_request_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_test, [title/1]).

%% Headers.

header_names_of_every_form_are_lowercased_test_() ->
	[{title(Name), fun() ->
		?assertEqual([{Expected, <<"v">>}],
			gun_rs_request:headers([{Name, <<"v">>}], error)),
		?assertEqual([{Expected, <<"v">>}],
			gun_rs_request:headers(#{Name => <<"v">>}, error))
	end} || {Name, Expected} <- [
		{<<"accept">>, <<"accept">>},
		{<<"Accept">>, <<"accept">>},
		{<<"SEC-WebSocket-Protocol">>, <<"sec-websocket-protocol">>},
		{"X-Custom", <<"x-custom">>},
		{["X-", <<"Custom">>], <<"x-custom">>},
		{'User-Agent', <<"user-agent">>},
		{authorization, <<"authorization">>},
		{<<"x!#$%&'*+-.^_`|~9">>, <<"x!#$%&'*+-.^_`|~9">>}
	]].

header_values_of_every_form_become_binaries_test_() ->
	[{title(Value), ?_assertEqual([{<<"n">>, Expected}],
		gun_rs_request:headers([{<<"n">>, Value}], error))}
	|| {Value, Expected} <- [
		{<<"v">>, <<"v">>},
		{"v", <<"v">>},
		{["a", $b, [<<"c">>|<<"d">>]], <<"abcd">>},
		{<<>>, <<>>},
		{[], <<>>},
		{"with space, and\ttab", <<"with space, and\ttab">>},
		{<<"b\x{fc}cher"/utf8>>, <<"b\x{fc}cher"/utf8>>},
		{[252, 128, 255], <<252, 128, 255>>},
		{<<"Kept AS it Is">>, <<"Kept AS it Is">>}
	]].

a_list_of_headers_keeps_its_order_and_its_duplicates_test() ->
	?assertEqual([{<<"b">>, <<"1">>}, {<<"a">>, <<"2">>}, {<<"b">>, <<"3">>}],
		gun_rs_request:headers([{<<"B">>, "1"}, {a, "2"}, {"b", "3"}], error)).

a_map_of_headers_with_names_of_every_form_is_taken_test() ->
	?assertEqual([{<<"a">>, <<"1">>}, {<<"b">>, <<"2">>}, {<<"c">>, <<"3">>}],
		lists:sort(gun_rs_request:headers(#{<<"A">> => "1", "B" => <<"2">>, c => ["3"]}, error))).

no_headers_are_no_headers_test_() ->
	[?_assertEqual([], gun_rs_request:headers(Headers, Invalid))
		|| Headers <- [[], #{}], Invalid <- [error, ignore]].

a_control_character_in_a_value_raises_in_the_caller_test_() ->
	[{integer_to_list(C), fun() ->
		Value = [<<"before">>, C, <<"after">>],
		?assertError({invalid_request_header, <<"x-name">>, [_|_]},
			gun_rs_request:headers([{"X-Name", Value}], error)),
		?assertError({invalid_request_header, <<"x-name">>, [_|_]},
			gun_rs_request:headers(#{'X-Name' => iolist_to_binary(Value)}, error)),
		?assertEqual([], gun_rs_request:headers([{"X-Name", Value}], ignore))
	end} || C <- [127|lists:seq(0, 31)], C =/= $\t].

a_line_break_at_either_end_of_a_value_raises_test_() ->
	[?_assertError({invalid_request_header, <<"n">>, _},
		gun_rs_request:headers([{<<"n">>, Value}], error))
	|| Value <- ["\r\nv", "v\r\n", "v\n", "\r", <<"v", 0>>, "\r\n\r\nGET / HTTP/1.1\r\n"]].

every_byte_that_is_no_token_character_raises_in_a_name_test_() ->
	[{integer_to_list(C), fun() ->
		Name = <<"x", C, "y">>,
		?assertError({invalid_request_header, Name, [_|_]},
			gun_rs_request:headers([{Name, "v"}], error)),
		?assertEqual([], gun_rs_request:headers([{Name, "v"}], ignore))
	end} || C <- lists:seq(0, 255), not lists:member(C, token_chars())].

every_token_character_passes_in_a_name_test_() ->
	[?_assertEqual([{string:lowercase(<<C>>), <<"v">>}],
		gun_rs_request:headers([{<<C>>, "v"}], error)) || C <- token_chars()].

a_bad_name_of_every_form_raises_test_() ->
	[{title(Name), fun() ->
		?assertError({invalid_request_header, Reported, [_|_]},
			gun_rs_request:headers([{Name, "v"}], error)),
		?assertEqual([], gun_rs_request:headers([{Name, "v"}], ignore))
	end} || {Name, Reported} <- [
		{<<>>, <<>>},
		{"", <<>>},
		{'', <<>>},
		{"X-A: b", <<"x-a: b">>},
		{'x y', <<"x y">>},
		{"x\r\ny", <<"x\r\ny">>},
		{<<":path">>, <<":path">>},
		{"b\x{fc}cher", <<"b\x{fc}cher"/utf8>>},
		{'b\x{fc}cher', <<"b\x{fc}cher"/utf8>>},
		{1, 1},
		{{a, b}, {a, b}},
		{[a, b], [a, b]},
		{[$a|$b], [$a|$b]},
		{[16#d800], [16#d800]},
		{[<<255>>], [<<255>>]},
		{<<1:1>>, <<1:1>>}
	]].

a_value_that_is_no_iodata_raises_test_() ->
	[{title(Value), fun() ->
		?assertError({invalid_request_header, <<"n">>, [_|_]},
			gun_rs_request:headers([{"N", Value}], error)),
		?assertEqual([], gun_rs_request:headers([{"N", Value}], ignore))
	end} || Value <- [1, 1.0, atom, undefined, [8364], [256], [-1], [a], [$a|$b], {a, b}, #{},
		<<1:1>>, self()]].

what_is_no_header_raises_test_() ->
	[{title(Header), fun() ->
		?assertError({invalid_request_header, Header, [_|_]},
			gun_rs_request:headers([{"a", "b"}, Header], error)),
		?assertEqual([{<<"a">>, <<"b">>}],
			gun_rs_request:headers([{"a", "b"}, Header], ignore))
	end} || Header <- [<<"a: b">>, {"a", "b", "c"}, {"a"}, {}, a, 1, [{"a", "b"}]]].

what_is_no_list_of_headers_raises_whatever_the_option_test_() ->
	[?_assertError({invalid_request_header, Reported, [_|_]},
		gun_rs_request:headers(Headers, Invalid))
	|| {Headers, Reported} <- [
		{undefined, undefined},
		{{"a", "b"}, {"a", "b"}},
		{<<"a: b">>, <<"a: b">>},
		{[{"a", "b"}|tail], tail}
	], Invalid <- [error, ignore]].

ignore_leaves_out_the_bad_headers_alone_test() ->
	?assertEqual([{<<"a">>, <<"1">>}, {<<"c">>, <<"3">>}],
		gun_rs_request:headers([{"a", "1"}, {"b", "2\r\n"}, {"b b", "2"}, {"b", 2}, {"c", "3"}],
			ignore)).

normalised_headers_stay_as_they_are_test() ->
	Headers = gun_rs_request:headers([{"A", "1"}, {b, <<"2">>}, {<<"C-d">>, ["3"]}], error),
	?assertEqual(Headers, gun_rs_request:headers(Headers, error)).

random_bytes_either_raise_or_leave_nothing_that_could_end_a_line_test() ->
	_ = rand:seed(exsss, {1, 2, 3}),
	_ = [begin
		Name = rand:bytes(rand:uniform(3)),
		Value = rand:bytes(rand:uniform(8)),
		try gun_rs_request:headers([{Name, Value}], raise) of
			[{N, V}] ->
				?assertEqual(Value, V),
				?assert(gun_rs_request:is_token(N)),
				?assertEqual(nomatch, re:run(V, <<"[\\x00-\\x08\\x0a-\\x1f\\x7f]">>))
		catch error:{invalid_request_header, _, _} ->
			?assertEqual([], gun_rs_request:headers([{Name, Value}], ignore))
		end
	end || _ <- lists:seq(1, 5000)],
	ok.

%% The headers of an upgrade.

what_the_handshake_has_itself_is_left_out_test() ->
	%% As a browser's developer tools copy them.
	Browsers = [
		{"Host", "example.org"}, {"Connection", "Upgrade"}, {"Pragma", "no-cache"}, {"Upgrade", "WebSocket"},
		{"Origin", "https://example.org"}, {"Sec-WebSocket-Version", "13"}, {"User-Agent", "Mozilla/5.0"},
		{"Accept-Encoding", "gzip, deflate, br"}, {"Cookie", "a=b"}, {"Content-Length", "0"},
		{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		{"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"},
		{"Sec-WebSocket-Protocol", "chat"}
	],
	?assertEqual([<<"host">>, <<"pragma">>, <<"origin">>, <<"user-agent">>, <<"accept-encoding">>, <<"cookie">>,
		<<"sec-websocket-protocol">>], [Name || {Name, _} <- gun_rs_request:upgrade_headers(Browsers, raise)]).

what_an_upgrade_cannot_be_is_named_test_() ->
	[{title({Name, Value}), fun() ->
		?assertError({invalid_request_header, Name, [_|_]}, gun_rs_request:upgrade_headers([{Name, Value}], raise)),
		?assertError({invalid_request_header, Name, [_|_]}, gun_rs_request:upgrade_headers(#{Name => Value}, error)),
		?assertEqual([{<<"a">>, <<"b">>}], gun_rs_request:upgrade_headers([{Name, Value}, {"a", "b"}], ignore))
	end} || {Name, Value} <- [
		{<<"content-length">>, <<"5">>},
		{<<"transfer-encoding">>, <<"chunked">>},
		{<<"transfer-encoding">>, <<>>},
		{<<"upgrade">>, <<"h2c">>},
		{<<"sec-websocket-version">>, <<"8">>},
		{<<"sec-websocket-accept">>, <<"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=">>}
	]].

%% Tokens.

a_token_is_one_or_more_token_characters_test() ->
	?assertNot(gun_rs_request:is_token(<<>>)),
	_ = [?assertEqual(lists:member(C, token_chars()), gun_rs_request:is_token(<<C>>))
		|| C <- lists:seq(0, 255)],
	_ = [?assertEqual(lists:member(C, token_chars()), gun_rs_request:is_token(<<"ab", C>>))
		|| C <- lists:seq(0, 255)],
	ok.

%% Paths.

a_path_is_flattened_and_otherwise_left_alone_test_() ->
	[{title(Path), ?_assertEqual(Expected, gun_rs_request:path(Path))} || {Path, Expected} <- [
		{"/", <<"/">>},
		{<<"/websocket">>, <<"/websocket">>},
		{["/", <<"web">>, "socket", $?, [<<"a=">>|<<"b">>]], <<"/websocket?a=b">>},
		{"/a%20b?c=%0D%0A", <<"/a%20b?c=%0D%0A">>},
		{"/a/../b//c;d=e,f@g:h!$&'()*+~", <<"/a/../b//c;d=e,f@g:h!$&'()*+~">>},
		{"/?q=a?b/c", <<"/?q=a?b/c">>},
		{"/{\"a\":[1|2]}\\^", <<"/{\"a\":[1|2]}\\^">>},
		{"/?`{}|\\^[]", <<"/?`{}|\\^[]">>},
		{<<"/b\x{fc}cher?\x{20ac}"/utf8>>, <<"/b\x{fc}cher?\x{20ac}"/utf8>>},
		{"*", <<"*">>},
		{["/", binary:copy(<<"a">>, 65533)], <<"/", (binary:copy(<<"a">>, 65533))/binary>>}
	]].

a_bad_path_raises_in_the_caller_test_() ->
	[{title(Path), ?_assertError({invalid_request_target, Path, [_|_]},
		gun_rs_request:path(Path))} || Path <- [
		"", <<>>, [[], <<>>], "websocket", "?a=b", "#", "http://localhost/", "**", " /",
		"/ ", "/a b", "/a?b c", "/a\r\nHost: b", "/a HTTP/1.1\r\n\r\n", "/a\tb", <<"/", 0>>,
		"/a#b", "/a?b#c", "/<", "/>", "/`", "/?<", "/?>", "/?\"",
		"/\x{fc}", <<"/", 255>>, <<"/?", 16#c3>>, <<"/", 16#ed, 16#a0, 16#80>>,
		[$/, 8364], '/', undefined, 1, {path}, #{}, [$/|$a], [$/, a], <<1:1>>,
		["/", binary:copy(<<"a">>, 65534)]
	]].

every_control_character_raises_in_a_path_and_in_a_query_test_() ->
	[?_assertError({invalid_request_target, Path, _}, gun_rs_request:path(Path))
		|| C <- [127|lists:seq(0, 32)], Path <- [[$/, C], [$/, C, $a], "/?" ++ [C], [C, $/]]].

%% Helpers.

%% RFC 9110, 5.6.2.
token_chars() ->
	"!#$%&'*+-.^_`|~" ++ lists:seq($0, $9) ++ lists:seq($a, $z) ++ lists:seq($A, $Z).

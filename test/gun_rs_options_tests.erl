%% Every option passes with each valid value, and is refused by name with each other.
-module(gun_rs_options_tests).

-include_lib("eunit/include/eunit.hrl").

-export([init/4]).
-export([handle/2]).

-import(gun_rs_test, [title/2]).

-define(HOST, "localhost").
-define(TRACEPARENT, <<"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01">>).
-define(MAX_MS, 16#ffffffff).
-define(MAX_SIZE, (1 bsl 62)).

%% Options of open.

open_takes_every_valid_value_test_() ->
	[{title("open takes", Opt), fun() ->
		{ok, Config} = gun_rs_options:open(?HOST, 80, maps:from_list([Opt])),
		assert_in_config(Opt, Config)
	end} || Opt <- valid_open()].

open_refuses_every_other_value_by_name_test_() ->
	[{title("open refuses", Opt), fun() ->
		?assertEqual({error, {options, Opt}},
			gun_rs_options:open(?HOST, 80, maps:from_list([Opt]))),
		%% Also among good options.
		?assertEqual({error, {options, Opt}},
			gun_rs_options:open(?HOST, 80, maps:from_list([Opt|others(Opt)])))
	end} || Opt <- invalid_open()].

valid_open() ->
	cases([
		{connect_timeout, [infinity, 0, 1, 5000, ?MAX_MS]},
		{cookie_store, [gun_rs_cookies_list:init(), {gun_rs_cookies_list, anything}]},
		{dialect, [gun_2, gun_1, gun_1_pre, gun_0]},
		{domain_lookup_timeout, [infinity, 0, 1, 5000, ?MAX_MS]},
		{notify_retries, [true, false]},
		{proxy, [environment]},
		{retry, [0, 1, 5, 1 bsl 70]},
		{retry_fun, [fun(N, _) -> #{retries => N - 1, timeout => 0} end, fun maps:get/2]},
		{retry_timeout, [0, 1, 5000, ?MAX_MS]},
		{supervise, [true, false]},
		{tls_handshake_timeout, [infinity, 0, 1, 5000, ?MAX_MS]},
		{tls_opts, [[], [{verify, verify_none}]]},
		{trace, [false]},
		{transport, [tcp, tls]}
	]) ++ cases([
		{http_opts, [#{}, #{version => 'HTTP/1.1'}, #{version => 'HTTP/1.0'},
			#{content_handlers => [gun_sse_h, gun_rs_data_h]},
			#{cookie_ignore_informational => true}, #{cookie_ignore_informational => false}]},
		{protocols, [[http], [{http, #{}}], [{http, #{version => 'HTTP/1.0'}}], [http2], [{http2, #{}}],
			[{http2, #{flow => 1, push => false}}]]},
		{tcp_opts, [[], [inet]]},
		{ws_opts, [#{}, #{silence_pings => false}]}
	]).

invalid_open() ->
	cases([
		{connect_timeout, [-1, ?MAX_MS + 1, 1.0, undefined, "5000", <<"1">>]},
		{cookie_store, [undefined, gun_rs_cookies_list, {gun_rs_cookies_list}, {gun_rs_no_module, #{}},
			{gun_rs_cookies, #{}}, {lists, []}, {"gun_rs_cookies_list", #{}}, {<<"lists">>, []},
			{gun_rs_cookies_list, #{}, 1}, [], #{}]},
		{dialect, [gun_3, gun, 2, undefined, "gun_2"]},
		{domain_lookup_timeout, [-1, ?MAX_MS + 1, 1.0, undefined, "5000", <<"1">>]},
		{http_opts, [[], [{version, 'HTTP/1.1'}], undefined, 'HTTP/1.1']},
		{notify_retries, [1, undefined, "true"]},
		{protocols, [[], [http, http], [http2, http, http2], [raw, http], [http, raw], [raw, raw], [{raw, #{flow => 0}}], [{raw, []}], [socks, http], [{socks, []}],
			http, undefined, [http|http], [{http, []}], [{http, #{version => 2}}],
			[{http, #{keepalive => 0}}], [{http2, #{}}, raw], [{http2, #{flow => 0}}], [{http2, []}], [http3], [http3, http], [{http, #{}, 1}], [http|http2], #{}]},
		{retry, [-1, 1.0, infinity, undefined, "5"]},
		{retry_backoff, [#{}, #{max => infinity}, #{jitter => 0.5}, #{max => 60000, jitter => 1.5},
			#{max => 60000, jitter => -0.5}, #{max => 60000, jitter => true}, #{max => 60000, more => 1},
			[{max, 60000}], 60000, undefined]},
		{retry_fun, [fun() -> ok end, fun(_) -> ok end, fun(_, _, _) -> ok end,
			undefined, {maps, get}]},
		{retry_timeout, [-1, ?MAX_MS + 1, 1.0, infinity, undefined]},
		{supervise, [0, undefined, "false"]},
		{trace, [true, undefined, 1]},
		{tls_handshake_timeout, [-1, ?MAX_MS + 1, 1.0, undefined, "5000"]},
		{transport, [quic, unix, "tcp", undefined]},
		{ws_opts, [[], [{silence_pings, true}], undefined]},
		{event_handler, [gun_rs_default_event_h, {"module", 1}, undefined]},
		%% Of gun, and not built yet.
		{http2_opts, [[], undefined, 1]},
		{proxy, [undefined, none, 1, "localhost:3128", <<"ftp://localhost">>, "http://localhost:0"]},
		{raw_opts, [[], undefined, 1]},
		{socks_opts, [[], undefined]},
		%% Unknown.
		{unknown, [true, undefined]},
		{conect_timeout, [5000]},
		{http3_opts, [#{}]},
		{keepalive, [5000]},
		{host, ["localhost"]},
		{owner, [self()]},
		{<<"retry">>, [5]},
		{"retry", [5]},
		{1, [1]},
		{{retry, 1}, [1]}
	]).

others({Key, _}) ->
	maps:to_list(maps:remove(Key, #{retry => 3, supervise => true, connect_timeout => 1000,
		transport => tcp, ws_opts => #{keepalive => 1000}})).

assert_in_config({http_opts, Opts}, #{http_opts := HttpOpts}) ->
	?assertEqual(maps:merge(http_defaults(), Opts), HttpOpts);
assert_in_config({protocols, [{Name, _}]}, #{protocols := Protocols}) ->
	?assertEqual([Name], Protocols);
assert_in_config({protocols, Names}, #{protocols := Protocols}) ->
	?assertEqual(Names, Protocols);
assert_in_config({tcp_opts, _}, #{tcp_opts := Tcp}) ->
	?assert(is_map(Tcp));
assert_in_config({ws_opts, Opts}, #{ws_opts := WsOpts}) ->
	?assertEqual(Opts, maps:with(maps:keys(Opts), WsOpts));
assert_in_config({Key, Value}, Config) ->
	?assertEqual(Value, maps:get(Key, Config)).

http_defaults() ->
	#{closing_timeout => 15000, content_handlers => [gun_rs_data_h],
		cookie_ignore_informational => false, flow => infinity, keepalive => infinity,
		max_header_block_size => 100000, max_headers => 512, max_informs => 100, max_send_queue => infinity,
		max_trailer_block_size => 10000, pipeline => infinity,
		version => 'HTTP/1.1'}.

http2_defaults() ->
	#{closing_timeout => 15000, content_handlers => [gun_rs_data_h], cookie_ignore_informational => false,
		flow => infinity, initial_connection_window_size => 8000000, initial_stream_window_size => 8000000,
		keepalive => infinity, keepalive_tolerance => infinity, max_concurrent_streams => 100,
		max_decode_table_size => 4096, max_fragmented_header_block_size => 32768, max_frame_size_received => 16384,
		max_header_list_size => 100000, max_headers => 100, max_informs => 100, max_send_queue => infinity,
		notify_settings_changed => false, preface_timeout => 5000, push => true, settings_timeout => 5000,
		too_many_streams => wait}.

open_fills_in_every_default_test() ->
	{ok, Config} = gun_rs_options:open("example.org", 8080, #{}),
	?assertEqual(#{
		connect_timeout => infinity,
		cookie_store => undefined,
		dialect => gun_2,
		domain_lookup_timeout => infinity,
		event_handler => undefined,
		host => "example.org",
		http_opts => http_defaults(),
		http2_opts => http2_defaults(),
		notify_retries => false,
		opts => #{},
		port => 8080,
		protocols => [http],
		proxy => undefined,
		raw_opts => #{flow => infinity, max_send_queue => infinity},
		retry => 5,
		retry_backoff => undefined,
		retry_fun => undefined,
		retry_timeout => 5000,
		supervise => true,
		tcp_opts => (tcp_defaults())#{send_timeout := 15000},
		tls_handshake_timeout => 30000,
		tls_opts => [],
		trace => false,
		transport => tcp,
		ws_opts => #{
			closing_timeout => 15000,
			compress => false,
			default_protocol => gun_rs_ws_h,
			flow => infinity,
			http1_fallback => false,
			keepalive => infinity,
			keepalive_tolerance => infinity,
			max_frame_size => infinity,
			max_message_size => 67108864,
			max_send_queue => infinity,
			protocols => [],
			reupgrade => false,
			silence_pings => true,
			upgrade_timeout => 30000
		}
	}, Config).

a_backoff_goes_with_a_retry_timeout_below_it_and_no_retry_fun_test() ->
	_ = [{ok, _} = gun_rs_options:open(?HOST, 80, #{retry_backoff => Valid}) || Valid <- [#{max => 5000},
		#{max => ?MAX_MS, jitter => 0}, #{max => 60000, jitter => 0.25}, #{max => 60000, jitter => 1}]],
	Backoff = #{max => 100},
	{ok, #{retry_backoff := #{max := 100, jitter := 0.5}}} =
		gun_rs_options:open(?HOST, 80, #{retry_backoff => Backoff, retry_timeout => 100}),
	Error = {error, {options, {retry_backoff, Backoff}}},
	?assertEqual(Error, gun_rs_options:open(?HOST, 80, #{retry_backoff => Backoff, retry_timeout => 101})),
	?assertEqual(Error, gun_rs_options:open(?HOST, 80, #{retry_backoff => Backoff, retry_timeout => 1,
		retry_fun => fun maps:get/2})).

open_keeps_the_users_own_map_and_host_test_() ->
	Opts = #{retry => 2, ws_opts => #{keepalive => 5000}},
	[fun() ->
		{ok, Config} = gun_rs_options:open(Host, 80, Opts),
		?assertMatch(#{opts := Opts, host := Host}, Config)
	end || Host <- ["localhost", localhost, <<"localhost">>, {127, 0, 0, 1}]].

open_refuses_options_that_are_no_map_test_() ->
	[{lists:flatten(io_lib:format("~0tp", [Opts])), ?_assertEqual(
		{error, {options, Opts}}, gun_rs_options:open(?HOST, 80, Opts))}
	|| Opts <- [[], [{retry, 1}], undefined, 1, <<"retry">>]].

open_names_one_of_several_bad_options_and_always_the_same_test() ->
	Opts = #{retry => -1, unknown => 1, supervise => maybe_so},
	Error = gun_rs_options:open(?HOST, 80, Opts),
	?assertEqual({error, {options, {retry, -1}}}, Error),
	?assertEqual(Error, gun_rs_options:open(?HOST, 80, Opts)).

options_beside_a_protocol_replace_http_opts_test() ->
	{ok, #{http_opts := HttpOpts}} = gun_rs_options:open(?HOST, 80, #{
		http_opts => #{version => 'HTTP/1.0'}, protocols => [{http, #{}}]}),
	?assertEqual(http_defaults(), HttpOpts).

%% In gun keepalive counts only in http2_opts.
options_beside_a_protocol_replace_http2_opts_test() ->
	{ok, #{http_opts := HttpOpts, http2_opts := Http2Opts}} = gun_rs_options:open(?HOST, 443, #{
		http2_opts => #{flow => 1, push => false}, protocols => [{http2, #{keepalive => 3000}}, http]}),
	?assertEqual(http_defaults(), HttpOpts),
	?assertEqual((http2_defaults())#{keepalive := 3000}, Http2Opts).

the_older_dialects_keep_http2_alive_test() ->
	{ok, #{http2_opts := Http2Opts}} = gun_rs_options:open(?HOST, 443, #{dialect => gun_1}),
	?assertEqual((http2_defaults())#{keepalive := 5000}, Http2Opts).

%% Transport.

port_443_implies_tls_test_() ->
	[?_assertMatch({ok, #{transport := Transport, port := Port}}, gun_rs_options:open(?HOST, Port, Opts))
	|| {Port, Opts, Transport} <- [
		{443, #{}, tls},
		{443, #{retry => 0}, tls},
		{443, #{transport => tcp}, tcp},
		{80, #{}, tcp},
		{4430, #{}, tcp},
		{80, #{transport => tls}, tls},
		{80, #{transport => ssl}, tls}
	]].

every_element_of_tls_opts_is_checked_with_and_without_tls_test_() ->
	[?_assertEqual({error, {options, {tls_opts, Bad}}},
		gun_rs_options:open(?HOST, Port, #{tls_opts => TlsOpts}))
	|| Port <- [80, 443], {TlsOpts, Bad} <- [
		{[{verify, verify_none}, {verify_fun, none}], {verify_fun, none}},
		{[{versions, ['tlsv1.1']}], {versions, ['tlsv1.1']}},
		{#{verify => verify_none}, #{verify => verify_none}},
		{undefined, undefined}
	]].

%% Each connection's process has a copy of its options.
roots_are_kept_without_what_public_key_made_of_them_test() ->
	TlsOpts = [{cacerts, [{cert, <<16#30, 0>>, decoded}, <<16#30, 0>>]}],
	Kept = [{cacerts, [<<16#30, 0>>, <<16#30, 0>>]}],
	?assertMatch({ok, #{tls_opts := Kept, opts := #{tls_opts := Kept}}},
		gun_rs_options:open(?HOST, 443, #{tls_opts => TlsOpts})).

%% URLs.

a_url_gives_host_port_and_transport_test_() ->
	[?_assertEqual({ok, Host, Port, #{transport => Transport}}, url(Url))
	|| {Url, Host, Port, Transport} <- [
		{"wss://example.org", "example.org", 443, tls},
		{<<"wss://example.org/path?q=1#f">>, "example.org", 443, tls},
		{"WSS://example.org:8443/", "example.org", 8443, tls},
		{"https://example.org", "example.org", 443, tls},
		{"ws://example.org", "example.org", 80, tcp},
		{"http://example.org:443", "example.org", 443, tcp},
		{"ws://[::1]:81/", "::1", 81, tcp},
		{"ws://[::1]", "::1", 80, tcp},
		{"ws://[fe80::1%eth0]:81/", "fe80::1%eth0", 81, tcp},
		{<<"wss://[fe80::1%25eth0]?q">>, "fe80::1%eth0", 443, tls},
		{"ws://h:", "h", 80, tcp}
	]].

url(Url) ->
	{ok, Host, Port, _, Opts} = gun_rs_options:url(Url, #{}),
	{ok, Host, Port, maps:remove(protocols, Opts)}.

a_url_has_the_target_of_its_requests_test_() ->
	[?_assertMatch({ok, _, _, Target, _}, gun_rs_options:url("ws://[fe80::1%25lo]:1" ++ Tail, #{}))
	|| {Tail, Target} <- [{"", "/"}, {"/", "/"}, {"/a/b%20c", "/a/b%20c"}, {"?q=1", "/?q=1"}, {"/a?b=c?d#e", "/a?b=c?d"}]].

every_fault_of_a_url_has_its_sentence_test_() ->
	[{title("URL", Url), fun() ->
		{error, Reason={options, {url, _}}} = gun_rs:open(Url),
		Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
		?assertNotEqual(nomatch, string:find(Sentence, Text)),
		?assertEqual(nomatch, string:find(Sentence, "secret"))
	end} || {Url, Text} <- [
		{"ws://example.org/a b", "it has a space"},
		{" ws://example.org", "it has a space"},
		{"ws://example.org\n", "it has a line break"},
		{<<"ws://exa\tmple.org">>, "it has a line break or another control character"},
		{"wss://me:secret@example.org", "it has a user"},
		{"wss://me:sec:secret@example.org:443/x", "it has a user"},
		{"ftp://example.org", "its scheme is \"ftp\" and not"},
		{"example.org", "it has no scheme"},
		{"example.org:443", "it has no scheme"},
		{"wss://", "it has no host"},
		{"wss:///path", "it has no host"},
		{"wss://:443/path", "it has no host"},
		{"wss://b\x{fc}cher.example", "its host has characters beyond ASCII"},
		{<<"wss://b\x{fc}cher.example"/utf8>>, "begins with xn--"},
		{"wss://example.org/b\x{fc}cher", "percent-encode"},
		{"wss://example.org:0", "its port must be"},
		{"wss://example.org:65536/", "its port must be"},
		{"wss://example.org:https", "its port must be"},
		{"wss://[::1]:x", "its port must be"},
		{"wss://[::1", "no URL may have there"},
		{"wss://example.org/a|b", "no URL may have there"},
		{<<"wss://", 255>>, "a string or a binary in UTF-8"},
		{undefined, "a string or a binary in UTF-8"}
	]].

what_is_no_url_of_a_known_scheme_is_refused_test_() ->
	[?_assertEqual({error, {options, {url, Url}}}, gun_rs_options:url(Url, #{})) || Url <- [
		"", "example.org", "//example.org", "wss://", "wss:///path", "ftp://example.org", <<"wss://", 255>>, undefined, 1, ["wss"|"://"], "wss://[::1"]].

who_the_user_is_is_not_in_the_reason_test_() ->
	[?_assertEqual({error, {options, {url, Shown}}}, gun_rs_options:url(Url, #{})) || {Url, Shown} <- [
		{"wss://user:word@example.org", "wss://***@example.org"},
		{"wss://user@example.org/path", "wss://***@example.org/path"},
		{<<"wss://user:word@example.org">>, <<"wss://***@example.org">>},
		{"wss://user:w@rd@example.org", "wss://***@example.org"},
		{"user:word@example.org", "***@example.org"},
		{'wss://user:word@example.org', 'wss://***@example.org'},
		{#{host => "a", userinfo => "user:word"}, #{host => "a", userinfo => "***"}},
		{["wss", "://user:word@a"|<<255>>], "***"}
	]].

what_may_be_a_secret_is_not_in_the_reason_test_() ->
	[?_assertEqual({error, {options, Shown}}, gun_rs_options:open(?HOST, 443, Opts)) || {Opts, Shown} <- [
		{#{tls_opts => [{key, word}]}, {tls_opts, {key, {hidden, "it must be {Type, Der}, Type one of 'RSAPrivateKey', "
			"'ECPrivateKey' and 'PrivateKeyInfo'"}}}},
		{#{tls_opts => #{password => word, verify => verify_none}},
			{tls_opts, #{password => hidden, verify => verify_none}}},
		{#{tls_opts => [{password, word}|improper]}, {tls_opts, hidden}},
		{#{transport_opts => [{password, word}]}, {transport_opts, hidden}},
		{[{retry, 1}, {tls_opts, [{password, word}]}], [{retry, 1}, {tls_opts, hidden}]}
	]].

a_transport_that_contradicts_the_url_is_refused_test_() ->
	[?_assertEqual(Result, gun_rs_options:url(Url, #{transport => Transport})) || {Url, Transport, Result} <- [
		{"https://a", tls, {ok, "a", 443, "/", #{transport => tls}}},
		{"https://a", ssl, {ok, "a", 443, "/", #{transport => tls}}},
		{"wss://a", tcp, {error, {options, {transport, tcp}}}},
		{"ws://a", tls, {error, {options, {transport, tls}}}},
		{"ws://a", quic, {error, {options, {transport, quic}}}}
	]].

%% Hosts and ports.

open_takes_every_form_of_host_test_() ->
	[{title("host", Host), fun() ->
		{ok, Config} = gun_rs_options:open(Host, 8080, #{}),
		?assertMatch(#{endpoint := {tcp, Native, _}, authority := Authority},
			gun_rs_options:native_open(Config, gun_rs_streams:is_needed(Config), []))
	end} || {Host, Native, Authority} <- [
		{"example.org", <<"example.org">>, <<"example.org:8080">>},
		{"Example.ORG.", <<"Example.ORG.">>, <<"Example.ORG.:8080">>},
		{"xn--bcher-kva.example", <<"xn--bcher-kva.example">>,
			<<"xn--bcher-kva.example:8080">>},
		{"my_service-1", <<"my_service-1">>, <<"my_service-1:8080">>},
		{localhost, <<"localhost">>, <<"localhost:8080">>},
		{'example.org', <<"example.org">>, <<"example.org:8080">>},
		{<<"example.org">>, <<"example.org">>, <<"example.org:8080">>},
		{"127.0.0.1", <<"127.0.0.1">>, <<"127.0.0.1:8080">>},
		{{127, 0, 0, 1}, <<"127.0.0.1">>, <<"127.0.0.1:8080">>},
		{{0, 0, 0, 0}, <<"0.0.0.0">>, <<"0.0.0.0:8080">>},
		{{255, 255, 255, 255}, <<"255.255.255.255">>, <<"255.255.255.255:8080">>},
		{"::1", <<"::1">>, <<"[::1]:8080">>},
		{<<"2001:db8::1">>, <<"2001:db8::1">>, <<"[2001:db8::1]:8080">>},
		{"fe80::1%eth0", <<"fe80::1%eth0">>, <<"[fe80::1]:8080">>},
		{{0, 0, 0, 0, 0, 0, 0, 1}, <<"::1">>, <<"[::1]:8080">>},
		{{16#2001, 16#db8, 0, 0, 0, 0, 0, 16#ffff}, <<"2001:db8::ffff">>,
			<<"[2001:db8::ffff]:8080">>},
		{lists:duplicate(255, $a), binary:copy(<<"a">>, 255),
			<<(binary:copy(<<"a">>, 255))/binary, ":8080">>}
	]].

open_refuses_every_bad_host_test_() ->
	[{title("bad host", Host), fun() ->
		?assertEqual({error, {options, {host, Host}}}, gun_rs_options:open(Host, 80, #{}))
	end} || Host <- [
		"", <<>>, '', [], "a b", " localhost", "localhost\n", "local\r\nhost", [$a, 0],
		<<"a", 0>>, <<"a b">>, 'a b', [127], "localhost/path", "localhost:80", "user:host",
		"a?b", "a#b", "[::1]", "::1::", "::1%", "fe80::1%a b", "fe80::1%a\r\n", "b\x{fc}cher",
		[8364], <<"b\x{fc}cher"/utf8>>, 'b\x{fc}cher', ["localhost"], ["local", <<"host">>],
		[$a|$b], [a], [-1], lists:duplicate(256, $a), 127, 1.0, self(), make_ref(), #{},
		{127, 0, 0}, {127, 0, 0, 256}, {127, 0, 0, -1}, {127, 0, 0, "1"}, {127.0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 65536}, {0, 0, 0, 0, 0, 0, 0, -1}, {},
		{local, "/tmp/socket"}, <<1:1>>, fun() -> ok end
	]].

open_refuses_every_control_character_in_a_host_test_() ->
	[?_assertEqual({error, {options, {host, Host}}}, gun_rs_options:open(Host, 80, #{}))
		|| C <- [127|lists:seq(0, 32)], Host <- [[$a, C, $b], <<"a", C, "b">>]].

open_takes_every_port_test_() ->
	[?_assertMatch({ok, #{port := Port}}, gun_rs_options:open(?HOST, Port, #{}))
		|| Port <- [1, 80, 8080, 65535]].

open_refuses_every_bad_port_test_() ->
	[{title("bad port", Port), ?_assertEqual({error, {options, {port, Port}}},
		gun_rs_options:open(?HOST, Port, #{}))}
	|| Port <- [0, -1, 65536, 80.0, "80", <<"80">>, http, undefined]].

the_authority_leaves_out_the_port_of_its_scheme_test_() ->
	[?_assertEqual(Authority, maps:get(authority, native(Host, Port, #{transport => tcp})))
		|| {Host, Port, Authority} <- [
			{"localhost", 80, <<"localhost">>},
			{"localhost", 443, <<"localhost:443">>},
			{"localhost", 81, <<"localhost:81">>},
			{"::1", 80, <<"[::1]">>},
			{{0, 0, 0, 0, 0, 0, 0, 1}, 80, <<"[::1]">>},
			{{127, 0, 0, 1}, 80, <<"127.0.0.1">>}
		]].

the_authority_leaves_out_port_443_on_tls_test_() ->
	[?_assertMatch(#{authority := Authority}, native("localhost", Port, #{transport => tls}))
	|| {Port, Authority} <- [{443, <<"localhost">>}, {80, <<"localhost:80">>}]].

%% tcp_opts.

every_element_of_tcp_opts_reaches_the_native_library_test_() ->
	[{title("tcp_opts", L), fun() ->
		Expected = maps:merge(tcp_defaults(), Changes),
		?assertEqual(Expected, maps:get(tcp, native(?HOST, 80, #{tcp_opts => L})))
	end} || {L, Changes} <- [
		{[], #{}},
		{[inet], #{family => inet}},
		{[inet6], #{family => inet6}},
		{[inet, inet], #{family => inet}},
		{[{ip, {127, 0, 0, 1}}], #{family => inet, ip => <<"127.0.0.1">>}},
		{[{ifaddr, {127, 0, 0, 1}}], #{family => inet, ip => <<"127.0.0.1">>}},
		{[{ip, {0, 0, 0, 0, 0, 0, 0, 1}}], #{family => inet6, ip => <<"::1">>}},
		{[inet, {ip, {127, 0, 0, 1}}], #{family => inet, ip => <<"127.0.0.1">>}},
		{[{ip, {0, 0, 0, 0, 0, 0, 0, 1}}, inet6], #{family => inet6, ip => <<"::1">>}},
		{[{nodelay, true}], #{}},
		{[{nodelay, false}], #{nodelay => false}},
		{[{keepalive, true}], #{keepalive => true}},
		{[{keepalive, false}], #{}},
		{[{sndbuf, 1}], #{sndbuf => 1}},
		{[{sndbuf, 16#7fffffff}], #{sndbuf => 16#7fffffff}},
		{[{recbuf, 65536}], #{recbuf => 65536}},
		{[{send_timeout, 1}], #{send_timeout => 1}},
		{[{send_timeout, ?MAX_MS}], #{send_timeout => ?MAX_MS}},
		{[{send_timeout, infinity}], #{}},
		{[{send_timeout_close, true}], #{}},
		{[{reuseaddr, true}, {reuseport, true}], #{reuseaddr => true, reuseport => true}},
		{[{reuseport_lb, true}], #{reuseport => true}},
		{[{linger, {false, 0}}], #{linger => false}},
		{[{linger, {true, 0}}], #{linger => true}},
		%% The system sends what is left without being waited for.
		{[{linger, {true, 5}}], #{linger => false}},
		{[{tos, 0}, {tclass, 255}, {ttl, 64}], #{tos => 0, tclass => 255, ttl => 64}},
		{[{ipv6_v6only, false}], #{ipv6_v6only => false}},
		{[{priority, 6}], #{priority => 6}},
		{[{bind_to_device, <<"lo">>}], #{bind_to_device => <<"lo">>}},
		{[{user_timeout, 5000}], #{user_timeout => 5000}},
		{[{raw, 6, 18, <<5000:32/native>>}], #{user_timeout => 5000}},
		{[{raw, 6, 4, <<60:32/native>>}, {raw, 6, 5, <<10:32/native>>}, {raw, 6, 6, <<3:32/native>>}],
			#{keepidle => 60, keepintvl => 10, keepcnt => 3}},
		{[{raw, 6, 12, <<1:32/native>>}, {raw, 6, 1, <<0:32>>}], #{quickack => true, nodelay => false}},
		{[{raw, 1, 9, <<1:32/native>>}, {raw, 1, 7, <<4096:32/native>>}], #{keepalive => true, sndbuf => 4096}},
		{[{raw, 0, 1, <<16:32/native>>}, {raw, 41, 67, <<32:32/native>>}], #{tos => 16, tclass => 32}},
		%% What only concerns a port.
		{[binary, {mode, binary}, {packet, 0}, {packet, raw}, {active, true}, {active, once}, {active, -5},
			{active, false}, {delay_send, true}, {exit_on_close, false}, {show_econnreset, true}, {buffer, 65536},
			{high_watermark, 8192}, {low_watermark, 4096}, {high_msgq_watermark, 8192}, {low_msgq_watermark, 4096},
			{deliver, term}, {header, 0}, {line_delimiter, $\n}, {packet_size, 0}], #{}},
		{[{keepalive, true}, {nodelay, false}, {sndbuf, 4096}, inet],
			#{keepalive => true, nodelay => false, sndbuf => 4096, family => inet}},
		%% The last one counts.
		{[{sndbuf, 1}, {sndbuf, 2}], #{sndbuf => 2}}
	]].

tcp_defaults() ->
	Undefined = [bind_to_device, ip, ipv6_v6only, keepcnt, keepidle, keepintvl, linger, priority, quickack, recbuf,
		sndbuf, tclass, tos, ttl, user_timeout],
	maps:merge(maps:from_list([{Key, undefined} || Key <- Undefined]), #{family => any, keepalive => false,
		nodelay => true, reuseaddr => false, reuseport => false, send_timeout => infinity}).

without_tcp_opts_a_send_times_out_after_15_seconds_test() ->
	?assertMatch(#{tcp := #{send_timeout := 15000}}, native(?HOST, 80, #{})).

every_other_element_of_tcp_opts_is_refused_by_name_test_() ->
	[{title("tcp_opts", Element), fun() ->
		Error = {error, {options, {tcp_opts, Element}}},
		?assertEqual(Error, gun_rs_options:open(?HOST, 80, #{tcp_opts => [Element]})),
		?assertEqual(Error, gun_rs_options:open(?HOST, 80,
			#{tcp_opts => [{nodelay, true}, Element, unknown]}))
	end} || Element <- cases([
		{ip, ["127.0.0.1", <<"127.0.0.1">>, any, loopback, {127, 0, 0}, {127, 0, 0, 256},
			{0, 0, 0, 0, 0, 0, 0, 65536}, undefined]},
		{ifaddr, ["127.0.0.1", {1, 2}, #{family => inet}]},
		{nodelay, [1, undefined]},
		{keepalive, [1, undefined]},
		{sndbuf, [0, -1, 1.0, 16#80000000, infinity]},
		{recbuf, [0, -1, 1.0, 16#80000000, infinity]},
		{send_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{send_timeout_close, [false, 1, undefined]},
		{active, [undefined, 32768, -32769]},
		{packet, [4, line, http]},
		{mode, [list, octets]},
		{header, [1]},
		{reuseaddr, [1, undefined]},
		{linger, [true, {true}, {true, -1}, {true, 65536}, {1, 1}]},
		{priority, [-1, 16, 1.0]},
		{tos, [-1, 256]},
		{tclass, [-1, 256]},
		{ttl, [0, 256]},
		{ipv6_v6only, [1]},
		{bind_to_device, ["lo", <<>>, <<"a", 0>>, <<"0123456789abcdef">>]},
		{user_timeout, [0, -1, infinity]},
		{buffer, [0, infinity]},
		{delay_send, [1]},
		{high_watermark, [0]},
		{fd, [3]},
		{port, [1024]},
		{netns, ["/var/run/netns/x"]},
		{unknown, [1]}
	]) ++ [list, inet7, local, {raw, 6, 2, <<1:32/native>>}, {raw, 6, 18, <<1>>}, {raw, 6, 18, <<0:32>>},
		{raw, 6, 4, <<0:32>>}, {raw, 6, 4, <<32768:32/native>>}, {raw, 6, 6, <<128:32/native>>}, {raw, 0, 1, <<256:32/native>>},
		{raw, a, b, c}, {nodelay}, {ip, 1, 2}, 1, "x", #{}]].

contradicting_address_families_are_refused_by_name_test_() ->
	V4 = {ip, {127, 0, 0, 1}},
	V6 = {ip, {0, 0, 0, 0, 0, 0, 0, 1}},
	[?_assertEqual({error, {options, {tcp_opts, Element}}},
		gun_rs_options:open(?HOST, 80, #{tcp_opts => L}))
	|| {L, Element} <- [
		{[inet, inet6], inet6},
		{[inet6, inet], inet},
		{[inet, V6], V6},
		{[inet6, V4], V4},
		{[V4, inet6], inet6},
		{[V6, inet], inet},
		{[V4, V6], V6}
	]].

tcp_opts_that_are_no_list_are_refused_by_name_test_() ->
	[?_assertEqual({error, {options, {tcp_opts, L}}},
		gun_rs_options:open(?HOST, 80, #{tcp_opts => L}))
	|| L <- [undefined, #{}, {nodelay, true}, [{nodelay, true}|inet], <<"inet">>]].

%% http_opts.

valid_http() ->
	cases([
		{closing_timeout, [1, 15000, ?MAX_MS, infinity]},
		{cookie_ignore_informational, [true, false]},
		{content_handlers, [[gun_data_h], [gun_rs_sse_h, {gun_rs_data_h, #{}}]]},
		{flow, [1, 1 bsl 40, infinity, auto]},
		{keepalive, [1, 5000, infinity]},
		{max_header_block_size, [10000, 1 bsl 40, infinity]},
		{max_headers, [1, 100, 10000]},
		{max_informs, [0, 1, 16#ffffffff, infinity]},
		{max_send_queue, [1, 1 bsl 40, infinity]},
		{max_trailer_block_size, [1, 10000, 100000]},
		{pipeline, [1, 100, 16#ffffffff, infinity]},
		{transform_header_name, [fun(N) -> N end, fun do_title/1]},
		{version, ['HTTP/1.1', 'HTTP/1.0']}
	]).

do_title(Name) ->
	iolist_to_binary(lists:join("-", [string:titlecase(Word) || Word <- binary:split(Name, <<"-">>, [global])])).

every_valid_http_option_passes_test_() ->
	[?_assertMatch({ok, #{http_opts := #{Key := Value}}}, gun_rs_options:open(?HOST, 80, #{http_opts => #{Key => Value}}))
		|| {Key, Value} <- valid_http()].

every_other_http_option_is_refused_by_name_test_() ->
	[{title("http_opts", Opt), fun() ->
		?assertEqual({error, {options, {http, Opt}}},
			gun_rs_options:open(?HOST, 80, #{http_opts => maps:from_list([Opt])}))
	end} || Opt <- cases([
		{version, ['HTTP/2', 'HTTP/1.2', "HTTP/1.1", <<"HTTP/1.1">>, 1, undefined]},
		{closing_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{content_handlers, [[], gun_rs_data_h, [no_such_module], [lists], [gun_data_h|gun_sse_h],
			[{gun_rs_sse_h, [{max_event_size, 1}]}], [{gun_rs_sse_h, #{max_event_size => 0}}]]},
		{cookie_ignore_informational, [0, undefined, "true"]},
		{flow, [0, -1, 1.0, 1 bsl 63, "auto"]},
		{keepalive, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{max_header_block_size, [0, -1, 1.0, 1 bsl 63, undefined]},
		{max_headers, [0, -1, 1.0, 10001, infinity, undefined]},
		{max_informs, [-1, 1.0, 16#ffffffff + 1, undefined]},
		{max_send_queue, [0, -1, 1.0, 1 bsl 63, undefined]},
		%% No more than a header block may have.
		{max_trailer_block_size, [0, -1, 1.0, 100001, infinity, undefined]},
		{pipeline, [0, -1, 1.0, 16#ffffffff + 1, undefined]},
		{transform_header_name, [fun(N) -> [N] end, fun string:uppercase/1, fun(_) -> error(no) end, fun(_, _) -> ok end, undefined]},
		{unknown, [1]},
		{<<"version">>, ['HTTP/1.1']}
	])].

trailers_may_be_as_large_as_a_header_block_test() ->
	{ok, _} = gun_rs_options:open(?HOST, 80, #{http_opts => #{
		max_header_block_size => infinity, max_trailer_block_size => infinity}}),
	Bad = {max_trailer_block_size, 2},
	?assertEqual({error, {options, {http, Bad}}}, gun_rs_options:open(?HOST, 80, #{http_opts => #{
		max_header_block_size => 1, max_trailer_block_size => 2}})),
	?assertMatch(#{http := #{max_header_block_size := 1, max_trailer_block_size := 1}},
		native(?HOST, 80, #{http_opts => #{max_header_block_size => 1}})).

the_spelling_of_header_names_reaches_the_native_library_test() ->
	?assertMatch(#{http := #{title_case_headers := false}}, native(?HOST, 80, #{})),
	_ = [?assertMatch(#{http := #{title_case_headers := Title}},
			native(?HOST, 80, #{http_opts => #{transform_header_name => Fun}}))
		|| {Fun, Title} <- [{fun(N) -> N end, false}, {fun do_title/1, true}]],
	ok.

the_http_version_reaches_the_native_library_test_() ->
	[?_assertMatch(#{http := #{version := Version}}, native(?HOST, 80, Opts))
	|| {Opts, Version} <- [
		{#{}, 'HTTP/1.1'},
		{#{http_opts => #{}}, 'HTTP/1.1'},
		{#{http_opts => #{version => 'HTTP/1.0'}}, 'HTTP/1.0'},
		{#{protocols => [{http, #{version => 'HTTP/1.0'}}]}, 'HTTP/1.0'}
	]].

%% http2_opts, and protocols that HTTP/2 is among.

every_valid_http2_option_passes_test_() ->
	[{title("http2_opts", Opt), ?_assertMatch({ok, #{http2_opts := #{Key := Value}}},
		gun_rs_options:open(?HOST, 80, #{protocols => [http2], http2_opts => #{Key => Value}}))} || Opt={Key, Value} <- cases([
			{closing_timeout, [1, 15000, infinity]},
			{content_handlers, [[gun_sse_h, gun_data_h], [{gun_rs_sse_h, #{}}, gun_data], [gun_sse, gun_data]]},
			{cookie_ignore_informational, [true, false]},
			{enable_connect_protocol, [true, false]},
			{flow, [1, 1000, infinity, auto]},
			{initial_connection_window_size, [65535, 16#7fffffff]},
			{initial_stream_window_size, [0, 16#7fffffff]},
			{keepalive, [1, 5000, infinity]},
			{keepalive_tolerance, [0, 3, infinity]},
			{max_concurrent_streams, [0, 100, infinity]},
			{max_fragmented_header_block_size, [16384, 16#7fffffff]},
			{max_frame_size_received, [16384, 16777215]},
			{max_header_list_size, [1, 16#ffffffff]},
			{max_informs, [0, 100, infinity]},
			{max_send_queue, [1, infinity]},
			{notify_settings_changed, [true, false]},
			{push, [true, false]},
			{too_many_streams, [wait, error]},
			%% What is done anyway.
			{max_connection_window_size, [8000000, 16#7fffffff]},
			{max_encode_table_size, [4096, 16#ffffffff]},
			{max_frame_size_sent, [16777215, infinity]},
			{max_stream_window_size, [8000000, 16#7fffffff]}
		|[{Key, [0]} || Key <- [connection_window_margin_size, stream_window_margin_size, stream_window_data_threshold]] ++
		[{Timeout, [0, 5000, infinity]} || Timeout <- [preface_timeout, settings_timeout]] ++
		[{Count, [0, 4096]} || Count <- [max_decode_table_size, max_headers]]])].

every_other_http2_option_is_refused_by_name_test_() ->
	[{title("http2_opts", Opt), fun() ->
		Reason = {options, {http2, Opt}},
		?assertEqual({error, Reason}, gun_rs_options:open(?HOST, 80, #{http2_opts => maps:from_list([Opt])})),
		Sentence = unicode:characters_to_list(gun_rs_error:format(Reason)),
		IsUnknown = lists:member(element(1, Opt), [stream_ref, tunnel_transport, unknown]),
		?assertEqual(IsUnknown, nomatch =/= string:find(Sentence, "is unknown")),
		Protocols = [{http2, maps:from_list([Opt])}, http],
		?assertEqual({error, {options, {protocols, Protocols}}}, gun_rs_options:open(?HOST, 443, #{protocols => Protocols}))
	end} || Opt <- cases([
		{closing_timeout, [0, -1, undefined]},
		{connection_window_margin_size, [-1, 1, 65535]},
		{connection_window_update_threshold, [0, 163840, 4000000]},
		{content_handlers, [[], [no_such_module], gun_data_h]},
		{cookie_ignore_informational, [1]},
		{enable_connect_protocol, [undefined]},
		{flow, [0, 1.0, wait]},
		{initial_connection_window_size, [65534, 16#80000000]},
		{initial_stream_window_size, [foo, -1, 16#80000000]},
		{keepalive, [0, 1.0]},
		{keepalive_tolerance, [-1, 1.0]},
		{max_concurrent_streams, [-1, undefined]},
		{max_connection_window_size, [7999999, 16#80000000, infinity]},
		{max_decode_table_size, [-1]},
		{max_encode_table_size, [0, 4095, 16#100000000]},
		{max_fragmented_header_block_size, [16383]},
		{max_frame_size_received, [16383, 16777216, infinity]},
		{max_frame_size_sent, [1, 16384]},
		{max_header_list_size, [0, infinity]},
		{max_headers, [-1, infinity]},
		{max_informs, [-1]},
		{max_send_queue, [0]},
		{max_stream_window_size, [7999999, 16#80000000, infinity]},
		{notify_settings_changed, ["true"]},
		{preface_timeout, [-1]},
		{push, [1]},
		{settings_timeout, [-1]},
		{stream_ref, [make_ref()]},
		{stream_window_data_threshold, [-1, 16384]},
		{stream_window_margin_size, [65535]},
		{stream_window_update_threshold, [163840]},
		{too_many_streams, [queue, true]},
		{tunnel_transport, [tcp]},
		{unknown, [1]}
	])].

a_window_may_be_limited_to_what_it_is_at_first_test() ->
	{ok, _} = gun_rs_options:open(?HOST, 443, #{http2_opts => #{initial_stream_window_size => 65535,
		max_stream_window_size => 65535, initial_connection_window_size => 65535, max_connection_window_size => 70000}}),
	?assertEqual({error, {options, {http2, {max_stream_window_size, 65534}}}}, gun_rs_options:open(?HOST, 443,
		#{http2_opts => #{initial_stream_window_size => 65535, max_stream_window_size => 65534}})).

protocols_keep_their_order_test_() ->
	[?_assertMatch({ok, #{protocols := Names}}, gun_rs_options:open(?HOST, Port, Opts)) || {Port, Opts, Names} <- [
		{443, #{}, [http2, http]},
		{8443, #{transport => tls}, [http2, http]},
		{443, #{dialect => gun_1}, [http2, http]},
		{80, #{}, [http]},
		{443, #{transport => tcp}, [http]},
		{443, #{protocols => [http2, http]}, [http2, http]},
		{443, #{protocols => [http, {http2, #{}}]}, [http, http2]},
		{443, #{protocols => [http2]}, [http2]},
		{443, #{protocols => [http]}, [http]},
		{80, #{protocols => [http2]}, [http2]},
		{80, #{protocols => [{http2, #{push => false}}]}, [http2]}
	]] ++
	%% On tcp nothing says which it is: in gun the process crashes.
	[?_assertEqual({error, {options, {protocols, [http2, http]}}}, gun_rs_options:open(?HOST, Port,
		Opts#{protocols => [http2, http]})) || {Port, Opts} <- [{80, #{}}, {443, #{transport => tcp}}]] ++
	[?_assertEqual({error, {options, {protocols, [http2, http]}}},
		gun_rs_options:open_unix("/tmp/s", #{protocols => [http2, http]}))].

a_websockets_url_speaks_http_unless_it_is_asked_not_to_test_() ->
	[?_assertMatch({ok, _, _, _, #{protocols := Protocols}}, gun_rs_options:url(Url, Opts)) || {Url, Opts, Protocols} <- [
		{"wss://example.org", #{}, [http]},
		{"WS://example.org", #{}, [http]},
		{"wss://example.org", #{protocols => [http2, http]}, [http2, http]}
	]] ++
	[?_assertMatch({ok, _, _, _, Opts} when not is_map_key(protocols, Opts), gun_rs_options:url(Url, #{}))
		|| Url <- ["https://example.org", "http://example.org"]].

what_tls_opts_advertise_is_among_the_protocols_test_() ->
	[?_assertMatch({ok, _}, gun_rs_options:open(?HOST, 443, Opts#{tls_opts => [{alpn_advertised_protocols, Alpn}]}))
		|| {Opts, Alpn} <- [
			{#{}, [<<"h2">>]}, {#{}, [<<"http/1.1">>]}, {#{}, []}, {#{protocols => [http]}, [<<"http/1.0">>, <<"http/1.1">>]},
			{#{protocols => [http2]}, [<<"h2">>]}, {#{protocols => [http2]}, []}]] ++
	[fun() ->
		Element = {alpn_advertised_protocols, Alpn},
		Reason = {options, {tls_opts, Element}},
		?assertEqual({error, Reason}, gun_rs_options:open(?HOST, 443, #{protocols => Protocols, tls_opts => [Element]})),
		?assertNotEqual(nomatch, string:find(gun_rs_error:format(Reason), "option protocols"))
	end || {Protocols, Alpn} <- [{[http], [<<"h2">>]}, {[http2], [<<"h2">>, <<"http/1.1">>]}, {[{http2, #{}}], [<<"http/1.0">>]}]].

http2_reaches_the_native_library_where_it_may_be_spoken_test_() ->
	Complete = maps:without([content_handlers, cookie_ignore_informational], http2_defaults()),
	[?_assertMatch(#{http1 := IsHttp1, http2 := Http2}, native(?HOST, 443, Opts)) || {Opts, IsHttp1, Http2} <- [
		{#{}, true, Complete},
		{#{protocols => [http], http2_opts => #{flow => 1}}, true, undefined},
		{#{protocols => [http2]}, false, Complete},
		{#{protocols => [{http2, #{flow => 1}}, http]}, true, Complete#{flow := 1}},
		{#{http2_opts => #{enable_connect_protocol => true, max_frame_size_sent => infinity, push => false}}, true,
			Complete#{push := false}}
	]].

%% The options of a request.

every_valid_request_option_passes_test_() ->
	[?_assertEqual(ok, gun_rs_options:request(ReqOpts)) || ReqOpts <- [#{}|[#{Key => Value} || {Key, Value} <- cases([
		{body_timeout, [1, 5000, ?MAX_MS, infinity]},
		{flow, [1, 1 bsl 40, infinity, auto]},
		{invalid_request_headers, [raise, error, ignore]},
		{response_timeout, [1, 5000, ?MAX_MS, infinity]},
		{traceparent, [?TRACEPARENT, <<"01", (binary:part(?TRACEPARENT, 2, 53))/binary, "-more">>]},
		{timeout, [1, 5000, ?MAX_MS, infinity]},
		{reply_to, [alias, make_ref(), self(), fun(_) -> ok end, {fun(_, _) -> ok end, [1]}, {maps, get, [#{}]}]}
	])]]].

every_other_request_option_is_refused_by_name_test_() ->
	[?_assertEqual({error, {options, {req, {Key, Value}}}}, gun_rs_options:request(#{Key => Value}))
	|| {Key, Value} <- cases([
		{body_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{flow, [0, -1, 1.0, 1 bsl 63, "auto"]},
		{invalid_request_headers, [true, undefined]},
		{response_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{traceparent, [<<>>, true, binary_to_list(?TRACEPARENT), string:uppercase(?TRACEPARENT), <<?TRACEPARENT/binary, "-more">>,
			<<"ff", (binary:part(?TRACEPARENT, 2, 53))/binary>>, <<"01", (binary:part(?TRACEPARENT, 2, 53))/binary, "-a\r\nb: c">>,
			<<"00-00000000000000000000000000000000-b7ad6b7169203331-01">>,
			<<"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01">>]},
		{timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{reply_to, [undefined, self, fun() -> ok end, {fun(_) -> ok end, [1]}, {maps, get}, {maps, get, 1}]},
		{tunnel, [1, [], [1], undefined, [make_ref()|make_ref()]]},
		{unknown, [1]}
	])] ++
	[?_assertEqual({error, {options, {req, ReqOpts}}}, gun_rs_options:request(ReqOpts)) || ReqOpts <- [[], undefined, 1]].

an_alias_is_for_requests_test() ->
	?assertEqual({error, {options, {req, {reply_to, alias}}}}, gun_rs_options:request_without_alias(#{reply_to => alias})),
	?assertEqual({error, {options, {req, {flow, 0}}}}, gun_rs_options:request_without_alias(#{flow => 0})),
	?assertEqual(ok, gun_rs_options:request_without_alias(#{reply_to => make_ref()})),
	?assertEqual({error, {options, {ws, {reply_to, alias}}}}, gun_rs_options:ws_upgrade(#{reply_to => alias})).

%% Unix domain sockets.

every_path_of_a_socket_passes_test_() ->
	[?_assertMatch({ok, #{host := {local, Path}, port := 80}}, gun_rs_options:open_unix(Given, #{}))
	|| {Given, Path} <- [{"/tmp/socket", <<"/tmp/socket">>}, {<<"s">>, <<"s">>}, {[252], <<"\x{fc}"/utf8>>},
		{lists:duplicate(107, $a), binary:copy(<<"a">>, 107)}]].

every_other_path_is_refused_test_() ->
	[?_assertEqual({error, {options, {path, Path}}}, gun_rs_options:open_unix(Path, #{}))
	|| Path <- ["", <<>>, [0], <<"a", 0>>, lists:duplicate(108, $a), [16#d800], undefined, 1]].

the_options_of_open_unix_are_those_of_open_but_for_tcp_test_() ->
	[?_assertEqual({error, {options, Bad}}, gun_rs_options:open_unix("s", Opts)) || {Opts, Bad} <- [
		{#{retry => -1}, {retry, -1}},
		{#{transport => quic}, {transport, quic}},
		{#{tcp_opts => [{send_timeout, 1}, {nodelay, true}]}, {tcp_opts, {nodelay, true}}},
		{#{tcp_opts => [inet]}, {tcp_opts, inet}},
		{#{tcp_opts => [binary, {sndbuf, 4096}, {recbuf, 4096}, {buffer, 1}, {linger, {true, 0}}]},
			{tcp_opts, {linger, {true, 0}}}},
		{#{tcp_opts => inet}, {tcp_opts, inet}},
		{[], []}
	]].

%% ws_opts.

every_valid_ws_option_passes_in_open_and_in_ws_upgrade_test_() ->
	[{title("ws_opts", Opt), fun() ->
		WsOpts = maps:from_list([Opt]),
		?assertEqual(ok, gun_rs_options:ws_upgrade(WsOpts)),
		{ok, #{ws_opts := Complete}} = gun_rs_options:open(?HOST, 80, #{ws_opts => WsOpts}),
		?assertEqual(WsOpts, maps:with(maps:keys(WsOpts), Complete)),
		%% An upgrade leaves keepalive to open, where it must stand.
		Native = gun_rs_options:native_ws(WsOpts),
		Keepalive = maps:get(keepalive, WsOpts, undefined),
		?assertMatch(#{keepalive := Keepalive}, Native),
		?assertEqual(Native#{keepalive := maps:get(keepalive, WsOpts, infinity)},
			gun_rs_options:native_ws(Complete))
	end} || Opt <- valid_ws()].

every_other_ws_option_is_refused_by_name_in_open_and_in_ws_upgrade_test_() ->
	[{title("ws_opts", Opt), fun() ->
		Error = {error, {options, {ws, Opt}}},
		?assertEqual(Error, gun_rs_options:ws_upgrade(maps:from_list([Opt]))),
		?assertEqual(Error, gun_rs_options:open(?HOST, 80,
			#{ws_opts => maps:from_list([Opt]), supervise => true}))
	end} || Opt <- invalid_ws()].

valid_ws() ->
	cases([
		{closing_timeout, [infinity, 1, 15000, ?MAX_MS]},
		{compress, [false, true, compat, #{}, #{
			client_max_window_bits => 9, client_no_context_takeover => true, level => 1,
			mem_level => 9, server_max_window_bits => 8, server_no_context_takeover => false
		}|[#{Key => Value} || {Key, Value} <- valid_compress()]]},
		{default_protocol, [gun_rs_ws_h, gun_ws_h, ?MODULE]},
		{flow, [infinity, auto, 1, 1000, ?MAX_SIZE]},
		{http1_fallback, [true, false]},
		{keepalive, [infinity, 1, 5000, ?MAX_MS]},
		{keepalive_tolerance, [infinity, 0, 1, 16#ffffffff]},
		{max_frame_size, [infinity, 1, 1000000, ?MAX_SIZE]},
		{max_message_size, [infinity, 1, 67108864, ?MAX_SIZE]},
		{max_send_queue, [infinity, 1, 1000000, ?MAX_SIZE]},
		{protocols, [
			[{<<"mychat">>, gun_rs_ws_h}],
			[{"mychat", gun_rs_ws_h}],
			[{["my", <<"chat">>], gun_rs_ws_h}],
			[{<<"v1.chat">>, gun_rs_ws_h}, {<<"v2.chat">>, gun_rs_ws_h}],
			[{<<"chat">>, gun_rs_ws_h}, {<<"CHAT">>, gun_rs_ws_h}],
			[{<<"mychat">>, ?MODULE}],
			[{<<"mychat">>, gun_ws_h}],
			[{<<"v1.chat">>, ?MODULE}, {<<"v2.chat">>, gun_rs_ws_h}, {<<"v3.chat">>, ?MODULE}]
		]},
		{reply_to, [make_ref(), self(), fun(_) -> ok end, fun erlang:display/1,
			{fun(_) -> ok end, []}, {fun(_, _) -> ok end, [a]}, {fun(_, _, _) -> ok end, [a, b]},
			{erlang, send, []}, {erlang, send, [self()]}]},
		{reupgrade, [true, false, #{}, #{queue => 1}, #{queue => ?MAX_SIZE}, #{retry_statuses => []},
			#{retry_statuses => [300, 599], max_retry_after => 0, queue => 1}, #{max_retry_after => infinity}]},
		{silence_pings, [true, false]},
		{upgrade_timeout, [1, 30000, ?MAX_MS, infinity]},
		{user_opts, [undefined, #{}, [{room, 1}], {a, b}, self(), fun() -> ok end]}
	]).

valid_compress() ->
	cases([
		{client_max_window_bits, [9, 10, 15]},
		{client_no_context_takeover, [true, false]},
		{level, [0, 1, 6, 9]},
		{mem_level, [1, 8, 9]},
		{server_max_window_bits, [8, 9, 15]},
		{server_no_context_takeover, [true, false]}
	]).

invalid_compress() ->
	cases([
		%% zlib compresses with no window of 8 bits.
		{client_max_window_bits, [8, 16, 0, -1, 15.0, true, undefined, "15"]},
		{client_no_context_takeover, [1, undefined, "true"]},
		{level, [-1, 10, 6.0, default, best_speed, undefined]},
		{mem_level, [0, 10, 8.0, undefined]},
		{server_max_window_bits, [7, 16, 0, -1, 15.0, true, undefined, "15"]},
		{server_no_context_takeover, [0, undefined, "false"]},
		{strategy, [default]},
		{server_context_takeover, [takeover]},
		{<<"level">>, [6]}
	]).

invalid_ws() ->
	cases([
		{closing_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{compress, [undefined, 1, "true", [], [{level, 1}], {level, 1}, permessage_deflate]},
		%% Modules without the callbacks, modules that are not there, and no modules at all.
		{default_protocol, [lists, gun_rs_options, no_such_module, undefined, '', "gun_rs_ws_h",
			<<"gun_rs_ws_h">>, {gun_rs_ws_h, []}, [gun_rs_ws_h]]},
		{flow, [0, -1, 1.0, ?MAX_SIZE + 1, undefined, true, "auto"]},
		{http1_fallback, [1, undefined, "true", http]},
		{keepalive, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{keepalive_tolerance, [-1, 1.0, 16#ffffffff + 1, undefined, "3"]},
		{max_frame_size, [0, -1, 1.0, ?MAX_SIZE + 1, undefined]},
		{max_message_size, [0, -1, 1.0, ?MAX_SIZE + 1, undefined]},
		{max_send_queue, [0, -1, 1.0, ?MAX_SIZE + 1, undefined]},
		{protocols, [
			[], undefined, #{}, <<"mychat">>, [<<"mychat">>], [{<<"mychat">>}],
			[{<<"mychat">>, no_such_module}], [{<<"mychat">>, lists}], [{<<"mychat">>, "lists"}],
			[{<<"chat">>, ?MODULE}, {<<"mychat">>, no_such_module}],
			[{<<"mychat">>, gun_rs_ws_h, []}], [{<<>>, gun_rs_ws_h}], [{"", gun_rs_ws_h}],
			[{<<"my chat">>, gun_rs_ws_h}], [{<<"my,chat">>, gun_rs_ws_h}],
			[{<<"my\r\nchat">>, gun_rs_ws_h}], [{<<"chat", 0>>, gun_rs_ws_h}],
			[{<<"b\x{fc}cher"/utf8>>, gun_rs_ws_h}], [{[8364], gun_rs_ws_h}],
			[{mychat, gun_rs_ws_h}], [{1, gun_rs_ws_h}],
			[{<<"chat">>, gun_rs_ws_h}|tail],
			[{<<"chat">>, gun_rs_ws_h}, {<<"chat">>, gun_rs_ws_h}],
			[{<<"chat">>, gun_rs_ws_h}, {"chat", gun_rs_ws_h}],
			[{<<"chat">>, gun_rs_ws_h}, other]
		]},
		{reply_to, [undefined, name, fun() -> ok end, fun(_, _) -> ok end,
			{fun(_) -> ok end, [a]}, {fun(_, _) -> ok end, []}, {fun(_) -> ok end, undefined},
			{fun(_, _) -> ok end, [a|b]}, {name, []}, {erlang, send}, {erlang, send, undefined},
			{erlang, send, [a|b]}, {"erlang", send, []}, {erlang, "send", []},
			{erlang, send, [], []}, alias]},
		{silence_pings, [1, undefined, "true"]},
		{reupgrade, [undefined, 1, #{queue => 0}, #{queue => infinity}, #{queue => 1, more => 1}, [{queue, 1}],
			#{retry_statuses => 503}, #{retry_statuses => [200]}, #{retry_statuses => [503|504]},
			#{max_retry_after => -1}, #{max_retry_after => undefined}]},
		{upgrade_timeout, [0, -1, 1.0, ?MAX_MS + 1, undefined]},
		{tunnel, [1, [], [[make_ref()]]]},
		%% Unknown.
		{unknown, [true]},
		{retry, [5]},
		{<<"keepalive">>, [5000]}
	]).

every_other_option_of_compress_is_refused_by_name_test_() ->
	[{title("compress", Opt), fun() ->
		Error = {error, {options, {ws, {compress, Opt}}}},
		Good = #{level => 1, server_max_window_bits => 15, mem_level => 8},
		Bad = maps:from_list([Opt]),
		_ = [begin
			?assertEqual(Error, gun_rs_options:ws_upgrade(#{compress => Compress})),
			?assertEqual(Error,
				gun_rs_options:open(?HOST, 80, #{ws_opts => #{compress => Compress}}))
		end || Compress <- [Bad, maps:merge(Good, Bad)]]
	end} || Opt <- invalid_compress()].

a_module_with_one_of_the_two_callbacks_is_refused_test_() ->
	Exports = [{only_init, [{init, 4}]}, {only_handle, [{handle, 2}]},
		{other_arities, [{init, 3}, {handle, 3}]}],
	{setup,
		fun() -> [do_load(Module, Functions) || {Module, Functions} <- Exports] end,
		fun(Modules) -> [{code:delete(Module), code:purge(Module)} || Module <- Modules] end,
		[fun() ->
			Opts = [{default_protocol, Module}, {protocols, [{<<"mychat">>, Module}]}],
			_ = [?assertEqual({error, {options, {ws, Opt}}},
				gun_rs_options:ws_upgrade(maps:from_list([Opt]))) || Opt <- Opts]
		end || {Module, _} <- Exports]}.

traceparent_is_an_option_of_ws_upgrade_alone_test_() ->
	Open = fun(V) -> gun_rs_options:open(?HOST, 80, #{ws_opts => #{traceparent => V}}) end,
	[?_assertEqual(ok, gun_rs_options:ws_upgrade(#{traceparent => ?TRACEPARENT})),
		?_assertEqual({error, {options, {ws, {traceparent, <<"1">>}}}}, gun_rs_options:ws_upgrade(#{traceparent => <<"1">>})),
		?_assertEqual({error, {options, {ws, {traceparent, ?TRACEPARENT}}}}, Open(?TRACEPARENT))].

invalid_request_headers_is_an_option_of_ws_upgrade_alone_test_() ->
	[{title("ws_opts", {invalid_request_headers, V}), fun() ->
		WsOpts = #{invalid_request_headers => V},
		?assertEqual(Upgrade, gun_rs_options:ws_upgrade(WsOpts)),
		?assertEqual({error, {options, {ws, {invalid_request_headers, V}}}},
			gun_rs_options:open(?HOST, 80, #{ws_opts => WsOpts}))
	end} || {V, Upgrade} <- [{raise, ok}, {error, ok}, {ignore, ok}]
		++ [{V, {error, {options, {ws, {invalid_request_headers, V}}}}}
			|| V <- [true, undefined, "ignore"]]].

tunnel_is_an_option_of_ws_upgrade_alone_test() ->
	Ref = make_ref(),
	Error = {error, {options, {ws, {tunnel, Ref}}}},
	?assertEqual(ok, gun_rs_options:ws_upgrade(#{tunnel => Ref})),
	?assertEqual(ok, gun_rs_options:ws_upgrade(#{tunnel => [Ref, Ref]})),
	?assertEqual({error, {options, {ws, {reupgrade, true}}}}, gun_rs_options:ws_upgrade(#{tunnel => Ref, reupgrade => true})),
	?assertEqual(Error, gun_rs_options:open(?HOST, 80, #{ws_opts => #{tunnel => Ref}})).

ws_upgrade_refuses_options_that_are_no_map_test_() ->
	[?_assertEqual({error, {options, {ws, WsOpts}}}, gun_rs_options:ws_upgrade(WsOpts))
		|| WsOpts <- [[], undefined, [{keepalive, 1}]]].

ws_upgrade_takes_an_empty_map_test() ->
	?assertEqual(ok, gun_rs_options:ws_upgrade(#{})).

%% What the native library gets.

native_open_is_complete_test() ->
	?assertEqual(#{
		authority => <<"localhost">>,
		connect_timeout => infinity,
		dialect => gun_2,
		domain_lookup_timeout => infinity,
		endpoint => {tcp, <<"localhost">>, 80},
		first => http,
		raw_opts => #{flow => infinity, max_send_queue => infinity},
		socks => undefined,
		proxy => undefined,
		http2_inside => gun_rs_option_table:native(http2, http2_defaults()),
		http => #{closing_timeout => 15000, flow => infinity, keepalive => infinity,
			max_header_block_size => 100000, max_headers => 512, max_informs => 100, max_send_queue => infinity,
			max_trailer_block_size => 10000, pipeline => infinity, title_case_headers => false, version => 'HTTP/1.1'},
		http1 => true,
		http2 => undefined,
		observed => [],
		processed => false,
		reconnects => true,
		tcp => (tcp_defaults())#{send_timeout := 15000},
		tls_handshake_timeout => 30000,
		ws => #{closing_timeout => 15000, compress => undefined, flow => infinity,
			fragments => [], fragments_by_default => false, http1_fallback => false, keepalive => infinity,
			keepalive_tolerance => infinity, max_frame_size => infinity,
			max_message_size => 67108864, max_send_queue => infinity, reupgrade => undefined,
			silence_pings => true, subprotocols => [], upgrade_timeout => 30000}
	}, native("localhost", 80, #{})).

without_retries_there_is_no_connection_to_wait_for_test() ->
	?assertMatch(#{reconnects := false}, native(?HOST, 80, #{retry => 0})).

what_a_repeated_upgrade_is_made_with_is_complete_test_() ->
	Defaults = #{queue => 0, retry_statuses => [429, 502, 503, 504], max_retry_after => 60000},
	[?_assertMatch(#{reupgrade := Native}, gun_rs_options:native_ws(#{reupgrade => Reupgrade}))
	|| {Reupgrade, Native} <- [{false, undefined}, {true, Defaults}, {#{}, Defaults},
		{#{queue => 7}, Defaults#{queue := 7}}, {#{retry_statuses => [500]}, Defaults#{retry_statuses := [500]}}]].

native_open_carries_the_users_values_test() ->
	?assertMatch(#{
		connect_timeout := 1,
		domain_lookup_timeout := 2,
		ws := #{closing_timeout := 3, flow := 7, keepalive := 4, keepalive_tolerance := 8,
			max_frame_size := 5, max_message_size := 6, max_send_queue := 9,
			silence_pings := false, subprotocols := [<<"a">>, <<"b">>]}
	}, native(?HOST, 80, #{connect_timeout => 1, domain_lookup_timeout => 2, ws_opts => #{
		closing_timeout => 3, keepalive => 4, max_frame_size => 5, max_message_size => 6,
		flow => 7, keepalive_tolerance => 8, max_send_queue => 9,
		silence_pings => false, protocols => [{"a", gun_rs_ws_h}, {<<"b">>, gun_rs_ws_h}]}})).

native_ws_has_the_same_keys_whatever_the_user_gave_test_() ->
	Keys = lists:sort(maps:keys(gun_rs_options:native_ws(#{}))),
	?assertEqual([closing_timeout, compress, flow, fragments, fragments_by_default, http1_fallback, keepalive,
		keepalive_tolerance, max_frame_size, max_message_size, max_send_queue, reupgrade, silence_pings,
		subprotocols, upgrade_timeout], Keys),
	[?_assertEqual(Keys, lists:sort(maps:keys(gun_rs_options:native_ws(maps:from_list([Opt])))))
		|| Opt <- valid_ws()].

the_options_of_compress_are_complete_whatever_the_user_gave_test_() ->
	Defaults = #{
		client_max_window_bits => undefined, client_no_context_takeover => false, level => 6,
		mem_level => 8, server_max_window_bits => undefined, server_no_context_takeover => false
	},
	[?_assertEqual(Native, maps:get(compress, gun_rs_options:native_ws(#{compress => Compress})))
	|| {Compress, Native} <- [
		{false, undefined},
		{true, Defaults},
		{compat, Defaults#{client_max_window_bits := not_offered}},
		{#{}, Defaults}
	|[{#{Key => Value}, Defaults#{Key := Value}} || {Key, Value} <- valid_compress()]]].

only_messages_for_a_module_of_the_users_are_told_in_fragments_test_() ->
	[?_assertMatch(#{fragments := Names, fragments_by_default := ByDefault},
		gun_rs_options:native_ws(WsOpts))
	|| {WsOpts, Names, ByDefault} <- [
		{#{}, [], false},
		{#{default_protocol => gun_rs_ws_h}, [], false},
		{#{default_protocol => gun_ws_h, protocols => [{"a", gun_ws_h}]}, [], false},
		{#{default_protocol => ?MODULE}, [], true},
		{#{protocols => [{"a", gun_rs_ws_h}]}, [], false},
		{#{protocols => [{"a", ?MODULE}, {"b", gun_rs_ws_h}, {["c"], ?MODULE}]},
			[<<"a">>, <<"c">>], false},
		{#{protocols => [{"a", gun_rs_ws_h}], default_protocol => ?MODULE}, [], true}
	]].

what_stays_in_erlang_is_not_told_to_the_native_library_test() ->
	Native = gun_rs_options:native_ws(#{user_opts => secret, reply_to => self(),
		default_protocol => ?MODULE, invalid_request_headers => ignore}),
	?assertEqual([], [Key || Key <- [user_opts, reply_to, default_protocol, protocols,
		invalid_request_headers], is_map_key(Key, Native)]).

a_handler_is_kept_only_where_a_module_of_the_users_may_take_the_frames_test_() ->
	[?_assertEqual(undefined, gun_rs_options:handler(WsOpts)) || WsOpts <- [
		#{},
		#{user_opts => 1, keepalive => 1000},
		#{default_protocol => gun_rs_ws_h},
		#{default_protocol => gun_ws_h, protocols => [{"a", gun_ws_h}, {"b", gun_rs_ws_h}]},
		#{protocols => []},
		#{protocols => [{"a", gun_rs_ws_h}], default_protocol => gun_rs_ws_h}
	]] ++
	%% Init gets these.
	[?_assertEqual(WsOpts, gun_rs_options:handler(WsOpts)) || WsOpts <- [
		#{default_protocol => ?MODULE},
		#{default_protocol => ?MODULE, user_opts => 1, keepalive => 1000},
		#{protocols => [{"a", ?MODULE}]},
		#{protocols => [{"a", gun_rs_ws_h}, {"b", ?MODULE}], default_protocol => gun_rs_ws_h},
		#{protocols => [{"a", gun_rs_ws_h}], default_protocol => ?MODULE}
	]].

the_module_is_that_of_the_subprotocol_or_the_default_test_() ->
	Protocols = [{<<"a">>, ?MODULE}, {["b"], gun_rs_ws_h}, {"A", gun_rs_ws_h}],
	[?_assertEqual(Module, gun_rs_options:handler_module(Subprotocol, WsOpts))
	|| {Subprotocol, WsOpts, Module} <- [
		{undefined, #{}, gun_rs_ws_h},
		{undefined, #{default_protocol => ?MODULE}, ?MODULE},
		{undefined, #{protocols => Protocols}, gun_rs_ws_h},
		{<<"a">>, #{protocols => Protocols}, ?MODULE},
		{<<"a">>, #{protocols => Protocols, default_protocol => gun_rs_ws_h}, ?MODULE},
		{<<"A">>, #{protocols => Protocols, default_protocol => ?MODULE}, gun_rs_ws_h},
		{<<"b">>, #{protocols => Protocols, default_protocol => ?MODULE}, gun_rs_ws_h},
		%% What a header alone has asked for.
		{<<"z">>, #{}, gun_rs_ws_h},
		{<<"z">>, #{protocols => Protocols, default_protocol => ?MODULE}, ?MODULE},
		%% Gun's own names.
		{<<"g">>, #{protocols => [{<<"g">>, gun_ws_h}]}, gun_rs_ws_h},
		{undefined, #{default_protocol => gun_ws_h}, gun_rs_ws_h}
	]].

%% transport_opts, of gun 1.

transport_opts_stand_for_tcp_opts_and_tls_opts_test_() ->
	Old = [gun_1, gun_1_pre, gun_0],
	[?_assertMatch({ok, #{tcp_opts := #{nodelay := false}, tls_opts := []}}, gun_rs_options:open(?HOST, 80,
		#{dialect => Dialect, transport_opts => [{nodelay, false}]})) || Dialect <- Old] ++
	[?_assertMatch({ok, #{tcp_opts := #{nodelay := false, keepalive := true}, tls_opts := [{depth, 2}, {verify, verify_none}]}},
		gun_rs_options:open(?HOST, 443, #{dialect => Dialect, tcp_opts => [{keepalive, true}], tls_opts => [{depth, 2}],
			transport_opts => [{nodelay, false}, {verify, verify_none}]})) || Dialect <- Old] ++
	%% A send has its deadline still where nothing is said of the socket.
	[?_assertMatch({ok, #{tcp_opts := #{send_timeout := 15000}}}, gun_rs_options:open(?HOST, 443,
		#{dialect => gun_1, transport_opts => [{verify, verify_none}]}))] ++
	[?_assertEqual({error, {options, {transport_opts, Named}}}, gun_rs_options:open(?HOST, Port,
		#{dialect => gun_1, transport_opts => TransportOpts})) || {Port, TransportOpts, Named} <- [
			{80, [{nodelay, 1}], {nodelay, 1}},
			{80, [{verify, verify_none}], {verify, verify_none}},
			{443, [{nodelay, 1}], {nodelay, 1}},
			{443, [{depth, -1}], {depth, -1}},
			{443, [{key, word}], {key, {hidden, "it must be {Type, Der}, Type one of 'RSAPrivateKey', "
				"'ECPrivateKey' and 'PrivateKeyInfo'"}}},
			{443, undefined, hidden}
		]] ++
	[?_assertEqual({error, {options, {transport_opts, hidden}}}, gun_rs_options:open(?HOST, 443, #{transport_opts => []}))] ++
	[?_assertMatch({ok, #{tcp_opts := #{send_timeout := 100}}},
		gun_rs_options:open_unix("/tmp/s", #{dialect => gun_1, transport_opts => [{send_timeout, 100}]})),
	?_assertEqual({error, {options, {transport_opts, {nodelay, true}}}},
		gun_rs_options:open_unix("/tmp/s", #{dialect => gun_1, transport_opts => [{nodelay, true}]}))] ++
	[?_assertNotEqual(nomatch, string:find(gun_rs_error:format({options, {transport_opts, Element}}), Text))
		|| {Element, Text} <- [{hidden, "in the dialects of gun 1"}, {{nodelay, 1}, "nodelay"}, {{depth, -1}, "0 to 255"}]].

%% What libraries that use gun open connections with.

the_options_of_libraries_pass_test_() ->
	MatchFun = public_key:pkix_verify_hostname_match_fun(https),
	[{Library, ?_assertMatch({ok, _}, gun_rs_options:open("example.org", Port, Opts))} || {Library, Port, Opts} <- [
		{"emqtt", 8083, #{retry => 0, connect_timeout => 60000, transport => tcp, tcp_opts => [{nodelay, true}]}},
		{"shotgun", 443, #{transport => ssl, retry => 1, retry_timeout => 1, http_opts => #{}, tcp_opts => [], tls_opts => []}},
		{"tesla", 443, #{transport => tls, protocols => [http], retry => 0, tls_opts => [{verify, verify_peer}, {depth, 20},
			{cacertfile, "/etc/ssl/certs/ca-certificates.crt"}, {reuse_sessions, false},
			{verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "example.org"}]}}]}},
		{"nostrum", 443, #{retry => 0, protocols => [http], connect_timeout => 5000, domain_lookup_timeout => 5000,
			tls_handshake_timeout => 5000, tls_opts => [{verify, verify_peer}, {depth, 3},
			{customize_hostname_check, [{match_fun, MatchFun}]}]}},
		{"amqp10_client", 5671, #{transport => tls, tcp_opts => [{nodelay, true}],
			http2_opts => #{notify_settings_changed => true}, tls_opts => [{verify, verify_none}]}},
		{"escalus", 5285, #{transport => tls, protocols => [http],
			http_opts => #{content_handlers => [gun_sse_h, gun_data_h]}}},
		{"arweave", 1984, #{retry => 0, connect_timeout => 5000, http_opts => #{closing_timeout => 5000, keepalive => 60000},
			tcp_opts => [{delay_send, true}, {linger, {true, 0}}, {keepalive, true}, {nodelay, true},
				{send_timeout, 30000}, {send_timeout_close, true}]}},
		{"ehttpc", 80, #{retry => 0, connect_timeout => 5000, supervise => false, transport => tcp,
			http_opts => #{keepalive => infinity},
			tcp_opts => [{linger, {false, 0}}, {buffer, 4096}, {delay_send, false}, {reuseaddr, true}, binary]}},
		{"gluegun", 443, #{transport => tls, protocols => [http2, http], retry => 2, connect_timeout => 5000,
			tls_opts => [{verify, verify_peer}, {cacerts, public_key:cacerts_get()}, {depth, 10},
			{server_name_indication, "example.org"}, {versions, ['tlsv1.2', 'tlsv1.3']},
			{customize_hostname_check, [{match_fun, MatchFun}]}]}}
	]].

%% Any two valid options together are valid, and any bad one spoils any good one.

options_do_not_influence_each_other_test() ->
	_ = [?assertMatch({ok, _}, gun_rs_options:open(?HOST, 80, #{K1 => V1, K2 => V2}))
		|| {K1, V1} <- valid_open(), {K2, V2} <- valid_open(), K1 =/= K2],
	_ = [?assertEqual({error, {options, {K1, V1}}},
			gun_rs_options:open(?HOST, 80, #{K1 => V1, K2 => V2}))
		|| {K1, V1} <- invalid_open(), {K2, V2} <- valid_open(), K1 =/= K2],
	_ = [?assertEqual({error, {options, {ws, {K1, V1}}}},
			gun_rs_options:ws_upgrade(#{K1 => V1, K2 => V2}))
		%% One of each kind: to look for a module that is not there takes its time.
		|| {K1, V1} <- lists:ukeysort(1, invalid_ws()), {K2, V2} <- valid_ws(), K1 =/= K2],
	ok.

defaults_of_tunnels_test() ->
	[?assertMatch(#{tls_handshake_timeout := 30000, transport := tcp, tls_opts := []}, gun_rs_option_table:defaults(Table))
		|| Table <- [connect, socks]],
	?assertMatch(#{auth := [none], timeout := 30000, version := 5}, gun_rs_option_table:defaults(socks)).

a_planned_option_is_refused_test_() ->
	[?_assertEqual({error, {options, {K, 1}}}, gun_rs_options:open(?HOST, 80, #{K => 1}))
		|| K <- element(2, gun_rs_option_table:keys(open))] ++
	[?_assertEqual({error, {options, {http, {K, 1}}}},
			gun_rs_options:open(?HOST, 80, #{http_opts => #{K => 1}}))
		|| K <- element(2, gun_rs_option_table:keys(http))] ++
	[?_assertEqual({error, {options, {ws, {K, 1}}}}, gun_rs_options:ws_upgrade(#{K => 1}))
		|| K <- element(2, gun_rs_option_table:keys(ws))].

%% Helpers.

%% This module may stand where one that implements gun_rs_ws_protocol does.
init(_, _, _, _) ->
	{ok, undefined}.

handle(_, State) ->
	{ok, 1, State}.

%% A module that exports these and nothing else.
do_load(Module, Functions) ->
	Forms = [{attribute, 1, module, Module}, {attribute, 1, export, Functions}|
		[{function, 1, Name, Arity, [{clause, 1, [{var, 1, '_'} || _ <- lists:seq(1, Arity)], [],
			[{atom, 1, ok}]}]} || {Name, Arity} <- Functions]],
	{ok, Module, Binary} = compile:forms(Forms),
	{module, Module} = code:load_binary(Module, atom_to_list(Module), Binary),
	Module.

cases(Table) ->
	[{Key, Value} || {Key, Values} <- Table, Value <- Values].

native(Host, Port, Opts) ->
	{ok, Config} = gun_rs_options:open(Host, Port, Opts),
	gun_rs_options:native_open(Config, gun_rs_streams:is_needed(Config), []).

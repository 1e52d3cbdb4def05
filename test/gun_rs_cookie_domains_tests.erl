%% A cookie goes to the hosts that its domain covers, and no host sets one for a domain that
%% is not its own.
-module(gun_rs_cookie_domains_tests).

-include_lib("eunit/include/eunit.hrl").

-import(cookie_client, [sent_to/2]).
-import(cookie_client, [set_at/3]).
-import(cookie_client, [store/0]).
-import(gun_rs_test, [title/1]).

-define(HOST, <<"www.example.org">>).

a_cookie_goes_to_the_hosts_of_its_domain_test_() ->
	[{title({Domain, Host}), fun() ->
		SetCookie = ["a=b", [["; Domain=", Domain] || Domain =/= none]],
		Store = set_at({http, ?HOST, "/"}, [SetCookie], store()),
		?assertEqual(Expected, sent_to({http, Host, "/"}, Store))
	end} || {Domain, Host, Expected} <- [
		{none, "www.example.org", "a=b"},
		{none, "WWW.Example.ORG:8080", "a=b"},
		{none, "example.org", none},
		{none, "sub.www.example.org", none},
		{"", "www.example.org", "a=b"},
		{"", "sub.www.example.org", none},
		{".", "sub.www.example.org", none},
		{"www.example.org", "www.example.org", "a=b"},
		{"www.example.org", "sub.www.example.org", "a=b"},
		{"www.example.org", "sub.sub.www.example.org", "a=b"},
		{"www.example.org", "wwww.example.org", none},
		{"www.example.org", "example.org", none},
		{".www.example.org", "sub.www.example.org", "a=b"},
		{"EXAMPLE.org", "mail.example.org", "a=b"},
		{" .example.org ", "example.org", "a=b"},
		{"example.org", "badexample.org", none},
		{"example.org", "example.org.", none},
		{"example.org", "example.com", none},
		{"example.com; Domain=example.org", "example.org", "a=b"},
		{"example.org; Domain=example.com", "www.example.org", none}
	]].

a_domain_that_is_not_the_hosts_own_is_refused_test_() ->
	[{Domain, fun() ->
		Store = set_at({http, ?HOST, "/"}, ["a=b; Domain=" ++ Domain], store()),
		?assertEqual(store(), Store)
	end} || Domain <- [
		"sub.www.example.org", "mail.example.org", "example.com", "ample.org", "xample.org",
		"ww.example.org", "..example.org", "www..example.org", "example.org.", "www.example.org.",
		"example.org..", ". example.org", "example.org .", "\"example.org\"", "example.org:80",
		"http://example.org", "*.example.org", "ex\x{e4}mple.org", "org", ".org", "org.", "127.0.0.1"
	]].

a_public_suffix_is_no_domain_of_a_cookie_test_() ->
	[{Host ++ " " ++ Domain, fun() ->
		Url = {https, Host, "/"},
		Store = set_at(Url, ["a=b; Domain=" ++ Domain], store()),
		case Expected of
			refused ->
				?assertEqual(store(), Store);
			host_only ->
				?assertEqual("a=b", sent_to(Url, Store)),
				?assertEqual(none, sent_to({https, "sub." ++ Host, "/"}, Store));
			domain ->
				?assertEqual("a=b", sent_to(Url, Store)),
				?assertEqual("a=b", sent_to({https, "sub." ++ Domain, "/"}, Store))
		end
	end} || {Host, Domain, Expected} <- [
		{"shop.co.uk", "co.uk", refused},
		{"shop.co.uk", ".CO.UK", refused},
		{"shop.co.uk", "uk", refused},
		{"shop.co.uk", "shop.co.uk", domain},
		{"www.shop.co.uk", "shop.co.uk", domain},
		{"co.uk", "co.uk", host_only},
		{"someone.github.io", "github.io", refused},
		{"github.io", "github.io", host_only},
		{"www.shop.foo.ck", "foo.ck", refused},
		{"www.www.ck", "www.ck", domain},
		{"shop.xn--55qx5d.cn", "xn--55qx5d.cn", refused},
		%% Not on the list: the last label.
		{"localhost", "localhost", host_only},
		{"app.localhost", "localhost", refused},
		{"server.lan", "lan", refused},
		{"a.server.lan", "server.lan", domain}
	]].

an_address_is_a_domain_of_its_own_test_() ->
	[{title({Host, Domain}), fun() ->
		Url = {http, Host, "/"},
		Store = set_at(Url, [["a=b", [["; Domain=", Domain] || Domain =/= none]]], store()),
		?assertEqual(Expected, sent_to(Url, Store)),
		_ = [?assertEqual(none, sent_to({http, Other, "/"}, Store))
			|| Other <- ["10.0.0.1", "1.127.0.0.1", "0.0.1", "[::2]", "localhost"]],
		ok
	end} || {Host, Domain, Expected} <- [
		{"127.0.0.1", none, "a=b"},
		{"127.0.0.1:8080", "127.0.0.1", "a=b"},
		{"127.0.0.1", ".127.0.0.1", "a=b"},
		{"127.0.0.1", "0.0.1", none},
		{"127.0.0.1", "1", none},
		{"127.0.1", "0.1", none},
		{"0x7f.0.1", "0.1", none},
		{"[::1]", none, "a=b"},
		{"[::1]:8080", "::1", "a=b"},
		{"[::ffff:127.0.0.1]", "0.0.1", none}
	]].

domains_match_as_the_rfc_says_test_() ->
	[{title({Host, Domain}), ?_assertEqual(Expected, gun_rs_cookies:domain_match(Host, Domain))}
	|| {Host, Domain, Expected} <- [
		{<<"example.org">>, <<"example.org">>, true},
		{<<"a.example.org">>, <<"example.org">>, true},
		{<<"a.b.example.org">>, <<"example.org">>, true},
		{<<"aexample.org">>, <<"example.org">>, false},
		{<<".example.org">>, <<"example.org">>, true},
		{<<"example.org">>, <<"a.example.org">>, false},
		{<<"example.org">>, <<"org">>, true},
		{<<"example.org">>, <<".org">>, false},
		{<<>>, <<"example.org">>, false},
		{<<"10.0.0.1">>, <<"10.0.0.1">>, true},
		{<<"10.0.0.1">>, <<"0.0.1">>, false},
		{<<"10.1">>, <<"1">>, false},
		{<<"::ffff:10.0.0.1">>, <<"0.1">>, false},
		{<<"10.0.0.1.example.org">>, <<"example.org">>, true},
		{<<"a.255">>, <<"255">>, false},
		{<<"1.10.0.0.1">>, <<"10.0.0.1">>, false},
		{<<255, ".example.org">>, <<"example.org">>, true}
	]].

public_suffixes_are_known_test_() ->
	[{Domain, ?_assertEqual(Expected, gun_rs_native:is_public_suffix(list_to_binary(Domain)))}
	|| {Domain, Expected} <- [
		{"com", true}, {"COM", true}, {"com.", true}, {"co.uk", true}, {"Co.Uk", true},
		{"example.com", false}, {"example.co.uk", false}, {"github.io", true}, {"a.github.io", false},
		{"ck", true}, {"foo.ck", true}, {"www.ck", false}, {"a.foo.ck", false},
		{"city.kawasaki.jp", false}, {"foo.kawasaki.jp", true}, {"xn--p1ai", true},
		{"localhost", true}, {"a.localhost", false}, {"test", true}, {"a.test", false},
		{"127.0.0.1", false}, {"::1", false}, {"", false}, {".com", false}, {"*", true}
	]].

%% Every option of ssl has a decision, and what is honoured reaches the native library.
-module(gun_rs_tls_options_tests).

-include_lib("eunit/include/eunit.hrl").

-import(gun_rs_test, [title/2]).

-define(ALPN, [<<"http/1.1">>]).
%% As much of a certificate as the options look at: one DER sequence.
-define(DER, <<16#30, 3, 2, 1, 0>>).

%% Decisions.

%% The options of ssl:tls_client_option() in OTP 24 to 29, those of the socket left out.
decisions() ->
	#{
		honoured => [alpn_advertised_protocols, cacertfile, cacerts, cert, certfile, certs_keys,
			ciphers, customize_hostname_check, depth, eccs, key, keyfile, password,
			reuse_sessions, server_name_indication, session_tickets, signature_algs,
			supported_groups, verify, verify_fun, versions],
		meaningless => [fail_if_no_peer_cert, hibernate_after, log_alert, log_level, max_handshake_size,
			receiver_spawn_opts, sender_spawn_opts, ssl_imp],
		refused => [allow_any_ca_purpose, beast_mitigation, cb_info, cert_policy_opts,
			certificate_authorities, client_preferred_next_protocols, crl_cache, crl_check,
			early_data, fallback, handshake, keep_secrets, key_update_at, max_fragment_length,
			middlebox_comp_mode, ocsp_nonce, ocsp_responder_certs, ocsp_stapling, padding_check,
			partial_chain, protocol, psk_groups,
			psk_identity, reuse_session, secure_renegotiate, signature_algs_cert,
			srp_identity, stapling, use_srtp, use_ticket, user_lookup_fun]
	}.

decided() ->
	lists:append(maps:values(decisions())).

every_option_of_ssl_has_a_decision_test_() ->
	[{title("decided", Name), fun() ->
		Text = refusal({Name, {no, value, has, this, shape}}),
		?assertEqual(nomatch, string:find(Text, "unknown")),
		?assertEqual({error, {Name, {no, value, has, this, shape}}},
			gun_rs_tls_options:check([{Name, {no, value, has, this, shape}}]))
	end} || Name <- decided()].

%% A release of OTP that has new options fails here, and asks for a decision.
the_installed_ssl_has_no_other_option_test() ->
	case beam_lib:chunks(code:which(ssl), [abstract_code]) of
		{ok, {ssl, [{abstract_code, {_, Forms}}]}} ->
			Names = lists:usort(option_names(tls_client_option, types(Forms))),
			?assert(lists:member(verify, Names)),
			?assert(lists:member(versions, Names)),
			?assertEqual([], Names -- decided());
		_ ->
			ok
	end.

every_honoured_and_every_meaningless_option_has_values_that_are_taken_test() ->
	#{honoured := Honoured, meaningless := Meaningless} = decisions(),
	?assertEqual([], (Honoured ++ Meaningless) -- [Key || {Key, _} <- valid()]).

a_refused_option_is_taken_with_no_value_but_its_default_test() ->
	#{refused := Refused} = decisions(),
	?assertEqual([
		{allow_any_ca_purpose, false},
		{beast_mitigation, one_n_minus_one},
		{cert_policy_opts, []},
		{certificate_authorities, false},
		{crl_check, false},
		{fallback, false},
		{handshake, full},
		{keep_secrets, false},
		{max_fragment_length, undefined},
		{middlebox_comp_mode, true},
		{ocsp_nonce, false},
		{ocsp_responder_certs, []},
		{ocsp_stapling, false},
		{padding_check, true},
		{protocol, tls},
		{secure_renegotiate, true},
		{stapling, no_staple}
	], lists:sort([Opt || Opt={Key, _} <- valid(), lists:member(Key, Refused)])).

%% The table of the manual has a line for every option, in order, that says what is done.
the_manual_says_of_every_option_what_becomes_of_it_test() ->
	#{honoured := Honoured, meaningless := Meaningless, refused := Refused} = decisions(),
	{ok, Manual} = file:read_file("doc/tls.md"),
	{match, Lines} = re:run(Manual, "^\\| `(\\w+)` \\| (honoured|meaningless|refused)(?:, but for `(.*?)`)? ",
		[global, multiline, {capture, all_but_first, list}]),
	Told = [{list_to_atom(Name), Decision, Default} || [Name, Decision|Default] <- Lines],
	?assertEqual(lists:sort(decided()), [Name || {Name, _, _} <- Told]),
	?assertEqual(Honoured, [Name || {Name, "honoured", []} <- Told]),
	?assertEqual(Meaningless, [Name || {Name, "meaningless", []} <- Told]),
	?assertEqual([{Name, [lists:flatten(io_lib:format("~0tp", [Value])) || {Key, Value} <- valid(), Key =:= Name]}
		|| Name <- Refused], [{Name, Default} || {Name, "refused", Default} <- Told]).

every_valid_value_is_taken_test_() ->
	[{title("taken", Opt), fun() ->
		?assertEqual(ok, gun_rs_tls_options:check([Opt])),
		?assertEqual(ok, gun_rs_tls_options:check([{verify, verify_none}, Opt, {log_level, error}]))
	end} || Opt <- valid()].

every_other_value_is_refused_by_name_and_with_a_reason_test_() ->
	[{title("refused", Opt), fun() ->
		?assertEqual({error, Opt}, gun_rs_tls_options:check([Opt])),
		?assertEqual({error, Opt}, gun_rs_tls_options:check(
			[{verify, verify_none}, Opt, {log_level, error}, {verify, unknown}])),
		?assertEqual({error, Opt}, gun_rs_tls_options:native([Opt], ?ALPN)),
		Text = refusal(Opt),
		?assertNotEqual(nomatch, string:find(Text, " is refused: ")),
		?assertEqual(nomatch, string:find(Text, "it cannot be honoured"))
	end} || Opt <- invalid()].

valid() ->
	cases([
		{alpn_advertised_protocols, [[], [<<"http/1.1">>], [<<"http/1.0">>], [<<"h2">>],
			[<<"http/1.1">>, <<"http/1.0">>], [<<"h2">>, <<"http/1.1">>]]},
		{cacertfile, ["/no/such/file", <<"roots.pem">>, [8364]]},
		{cacerts, [[], [?DER], [?DER, ?DER], [{cert, ?DER, decoded}], [{cert, ?DER, decoded}, ?DER]]},
		{cert, [?DER, [?DER], [?DER, ?DER]]},
		{certfile, ["/no/such/file", <<"cert.pem">>]},
		{certs_keys, [[], [#{cert => ?DER, key => {'ECPrivateKey', ?DER}}],
			[#{certfile => "cert.pem"}, #{certfile => "a", keyfile => <<"b">>, password => "c"}]]},
		{ciphers, [[], "TLS_AES_128_GCM_SHA256", ["TLS_AES_128_GCM_SHA256"],
			"ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA",
			[#{key_exchange => any, cipher => aes_256_gcm, mac => aead, prf => sha384}],
			[{ecdhe_rsa, aes_128_gcm, null, sha256}], [<<16#13, 1>>]]},
		{customize_hostname_check, [[],
			[{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]]},
		{depth, [0, 1, 3, 10, 255]},
		{eccs, [[secp256r1], [sect571r1, secp384r1]]},
		{key, [{'RSAPrivateKey', ?DER}, {'ECPrivateKey', ?DER}, {'PrivateKeyInfo', ?DER},
			{'OneAsymmetricKey', ?DER}]},
		{keyfile, ["/no/such/file", <<"key.pem">>]},
		{password, ["", "secret", <<"secret">>, ["se", <<"cret">>], fun() -> "secret" end]},
		{reuse_sessions, [true, false, save]},
		{server_name_indication, [disable, "example.org", "example.org.", "localhost",
			<<"example.org">>, "xn--bcher-kva.example", "my_service-1", "1.2.example", "1a",
			"127.0.0.1", "::1", <<"2001:db8::1">>, lists:duplicate(63, $a)]},
		{session_tickets, [auto, disabled]},
		{signature_algs, [[rsa_pss_rsae_sha256], [{sha256, rsa}], [eddsa_ed25519, eddsa_ed448],
			[{sha, rsa}, {sha384, ecdsa}]]},
		{supported_groups, [[x25519], [x448, secp521r1, secp256r1]]},
		{verify, [verify_peer, verify_none]},
		{verify_fun, [undefined, {fun ssl_verify_hostname:verify_fun/3, []},
			{fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "example.org"}]},
			{fun ssl_verify_hostname:verify_fun/3, [{check_hostname, <<"127.0.0.1">>}]}]},
		{versions, [['tlsv1.2'], ['tlsv1.3'], ['tlsv1.3', 'tlsv1.2'], ['tlsv1.2', 'tlsv1.2']]},

		{fail_if_no_peer_cert, [true, false]},
		{hibernate_after, [0, 5000, infinity]},
		{log_alert, [true, false]},
		{log_level, [all, none, emergency, alert, critical, error, warning, notice, info, debug]},
		{max_handshake_size, [65535, 256 * 1024, 16#ffffff]},
		{receiver_spawn_opts, [[], [{fullsweep_after, 0}]]},
		{sender_spawn_opts, [[], [{priority, high}]]},
		{ssl_imp, [new, old]},

		{allow_any_ca_purpose, [false]},
		{beast_mitigation, [one_n_minus_one]},
		{cert_policy_opts, [[]]},
		{certificate_authorities, [false]},
		{crl_check, [false]},
		{fallback, [false]},
		{handshake, [full]},
		{keep_secrets, [false]},
		{max_fragment_length, [undefined]},
		{middlebox_comp_mode, [true]},
		{ocsp_nonce, [false]},
		{ocsp_responder_certs, [[]]},
		{ocsp_stapling, [false]},
		{padding_check, [true]},
		{protocol, [tls]},
		{secure_renegotiate, [true]},
		{stapling, [no_staple]}
	]).

invalid() ->
	Fun = fun(_, _, State) -> {valid, State} end,
	cases([
		{alpn_advertised_protocols, [[<<"h2c">>], [<<"h2">>, <<"spdy/3">>], ["http/1.1"], [<<>>],
			[http], <<"http/1.1">>, undefined, [<<"http/1.1">>|<<"http/1.0">>]]},
		{cacertfile, ["", <<>>, undefined, [a], ["roots", ".pem"], [0], $a, ["a"|"b"]]},
		{cacerts, [undefined, ?DER, [<<>>], [<<"-----BEGIN CERTIFICATE-----">>], ["roots.pem"],
			[{cert, <<>>, decoded}], [{certificate, ?DER}], [?DER|?DER], [<<16#30, 4, 2, 1, 0>>],
			[<<?DER/binary, 0>>]]},
		{cert, [[], <<>>, undefined, "cert.pem", [?DER, <<>>], [?DER|?DER]]},
		{certfile, ["", <<>>, undefined, 1]},
		{certs_keys, [undefined, #{}, [#{}], [#{key => {'ECPrivateKey', ?DER}}],
			[#{certfile => "a", verify => verify_none}], [#{certfile => ""}],
			[#{certfile => "a", key => {'DSAPrivateKey', ?DER}}], [[{certfile, "a"}]],
			[#{certfile => "a", password => 1}], [#{certfile => "a"}|#{}]]},
		{ciphers, [undefined, ["ECDHE-RSA-AES128-GCM-SHA265"], "DHE-RSA-AES128-GCM-SHA256",
			[{ecdhe_rsa, aes_128_gcm, sha256}], [{rsa, aes_128_gcm, null, sha256}],
			[#{key_exchange => any, cipher => aes_128_ccm, mac => aead, prf => sha256}],
			[#{}], [any], [<<0, 0>>], [<<"TLS_AES_128_GCM_SHA256">>], <<"TLS_AES_128_GCM_SHA256">>,
			[$A, 1 bsl 21], "TLS_AES_128_GCM_SHA256\n", ["TLS_AES_128_GCM_SHA256"|any], ":"]},
		{customize_hostname_check, [[{match_fun, fun(_, _) -> true end}],
			[{match_fun, undefined}], [{fqdn_fun, fun(_) -> undefined end}],
			[{match_fun, public_key:pkix_verify_hostname_match_fun(https)},
				{fail_callback, fun(_) -> true end}], undefined, #{}]},
		{depth, [-1, 256, 3.0, infinity, undefined, "3"]},
		{eccs, [[], [sect571r1], undefined, ["secp256r1"], [secp256r1|secp384r1]]},
		{key, [?DER, {'DSAPrivateKey', ?DER}, {'RSAPrivateKey', <<>>}, {rsa, ?DER}, undefined,
			{'ECPrivateKey', "der"}, #{algorithm => rsa, engine => make_ref(), key_id => "1"},
			#{algorithm => rsa, sign_fun => Fun}, {'SubjectPublicKeyInfo', ?DER}]},
		{keyfile, ["", <<>>, undefined]},
		{password, [undefined, 1, [8364], fun(_) -> "secret" end, {m, f, []}]},
		{reuse_sessions, [undefined, 1, "true"]},
		{server_name_indication, ["", <<>>, undefined, 'example.org', "a..b", ".a", "-a", "a-",
			"a b", "a\n", "a\n.b", "1.2.3", "1", "b\x{fc}cher", "*.example.org", "fe80::1%eth0",
			"https://a", "a:80", {127, 0, 0, 1}, lists:duplicate(64, $a), [a], "a"|
			[lists:flatten(lists:duplicate(127, "a."))]] -- ["a"]},
		{session_tickets, [manual, stateless, true, undefined]},
		{signature_algs, [[], [rsa_pkcs1_sha1], [{sha512, ecdsa}], [rsa_pss_pss_sha256], undefined,
			["ed25519"], [{sha256, rsa, 1}], [eddsa_ed25519|{sha, rsa}]]},
		{supported_groups, [[], [x448], undefined, ["x25519"], x25519, [x25519|x448]]},
		{verify, [undefined, 0, 1, 2, peer, true]},
		{versions, [[], ['tlsv1.1'], [tlsv1], ['tlsv1.3', 'tlsv1.2', 'tlsv1.1'], ['dtlsv1.2'],
			'tlsv1.3', undefined, ["tlsv1.3"], ['tlsv1.3'|'tlsv1.2']]},

		{hibernate_after, [-1, 1.0, undefined]},
		{log_alert, [1, undefined]},
		{log_level, [verbose, 7, undefined]},
		{max_handshake_size, [0, 65534, 16#1000000, infinity]},
		{receiver_spawn_opts, [undefined, #{}, [a|b]]},
		{sender_spawn_opts, [undefined, #{}, [a|b]]},
		{ssl_imp, [newest, undefined]},

		{allow_any_ca_purpose, [true]},
		{beast_mitigation, [zero_n, disabled]},
		{cb_info, [{gen_tcp, tcp, tcp_closed, tcp_error}, {gen_tcp, tcp, tcp_closed, tcp_error, tcp_passive}]},
		{cert_policy_opts, [[{explicit_policy, true}]]},
		{certificate_authorities, [true]},
		{client_preferred_next_protocols, [{client, [<<"http/1.1">>]}]},
		{crl_cache, [{ssl_crl_cache, {internal, [{http, 1000}]}}]},
		{crl_check, [true, peer, best_effort]},
		{early_data, [<<"GET / HTTP/1.1\r\n\r\n">>]},
		{fallback, [true]},
		{handshake, [hello]},
		{keep_secrets, [true, {keylog, fun(_) -> ok end}, {keylog_hs, fun(_) -> ok end}]},
		{key_update_at, [1, 388736063997]},
		{max_fragment_length, [512, 1024, 2048, 4096]},
		{middlebox_comp_mode, [false]},
		{ocsp_nonce, [true]},
		{ocsp_responder_certs, [[?DER]]},
		{ocsp_stapling, [true]},
		{padding_check, [false]},
		{partial_chain, [fun(_) -> unknown_ca end]},
		{protocol, [dtls]},
		{psk_groups, [[x25519]]},
		{psk_identity, ["me"]},
		{reuse_session, [<<1, 2, 3>>, {<<1, 2, 3>>, <<4>>}]},
		{secure_renegotiate, [false]},
		{signature_algs_cert, [[rsa_pkcs1_sha256]]},
		{srp_identity, [{"me", "secret"}]},
		{stapling, [staple, #{ocsp_nonce => true}]},
		{use_srtp, [#{protection_profiles => [<<0, 2>>]}]},
		{use_ticket, [[<<1>>]]},
		{user_lookup_fun, [{Fun, state}]},
		{verify_fun, [{Fun, state}, Fun, {Fun, [{check_hostname, "example.org"}]},
			{fun ssl_verify_hostname:verify_fun/3, undefined},
			{fun ssl_verify_hostname:verify_fun/3, [{check_hostname, undefined}]},
			{fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "a"}, {check_hostname, "b"}]},
			{fun ssl_verify_hostname:verify_fun/3, [{check_fingerprint, <<>>}]},
			{fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "a"}|b]},
			{fun ssl_verify_fingerprint:verify_fun/3, [{check_hostname, "example.org"}]},
			{fun ssl_verify_hostname:verify_fun/2, [{check_hostname, "example.org"}]}]},

		%% Of servers, of the socket, and of nothing.
		{dh, [?DER]},
		{fail_if_no_peer_cert, [undefined]},
		{honor_cipher_order, [true]},
		{sni_hosts, [[]]},
		{active, [false]},
		{mode, [binary]},
		{nodelay, [true]},
		{renegotiate_at, [1000]},
		{unknown, [1]},
		{<<"verify">>, [verify_peer]},
		{"verify", [verify_peer]}
	]) ++ [binary, inet6, verify_none, {verify}, {verify, verify_none, 1}, 1, <<"verify">>,
		make_ref(), {raw, 6, 1, <<1:32>>}].

options_that_are_no_list_are_refused_test_() ->
	[{title("no list", TlsOpts), fun() ->
		?assertEqual({error, TlsOpts}, gun_rs_tls_options:check(TlsOpts)),
		?assertEqual({error, TlsOpts}, gun_rs_tls_options:native(TlsOpts, ?ALPN)),
		?assert(is_list(refusal(TlsOpts)))
	end} || TlsOpts <- [undefined, #{}, #{verify => verify_none}, {verify, verify_none},
		[{verify, verify_none}|{depth, 3}], <<>>, 1]].

no_list_of_garbage_raises_test() ->
	Atoms = [verify, cacerts, ciphers, versions, key, certs_keys, match_fun, 'tlsv1.2', undefined],
	_ = [begin
		Garbage = garbage(3, Atoms),
		case gun_rs_tls_options:check(Garbage) of
			ok -> ok;
			{error, Element} -> refusal(Element)
		end,
		_ = gun_rs_tls_options:native([{lists:nth(rand:uniform(length(Keys)), Keys), Garbage}], ?ALPN)
	end || Keys <- [decided()], _ <- lists:seq(1, 5000)].

garbage(0, Atoms) ->
	lists:nth(rand:uniform(length(Atoms)), Atoms);
garbage(Depth, Atoms) ->
	Below = fun() -> garbage(Depth - 1, Atoms) end,
	case rand:uniform(8) of
		1 -> [Below() || _ <- lists:seq(1, rand:uniform(3))];
		2 -> {Below(), Below()};
		3 -> #{Below() => Below()};
		4 -> rand:uniform(300) - 20;
		5 -> rand:bytes(rand:uniform(4));
		6 -> [Below()|Below()];
		7 -> list_to_tuple([Below() || _ <- lists:seq(1, rand:uniform(5) - 1)]);
		8 -> Below()
	end.

%% What reaches the native library.

without_options_everything_is_verified_test() ->
	?assertEqual({ok, defaults()}, gun_rs_tls_options:native([], ?ALPN)).

defaults() ->
	#{
		alpn => [<<"http/1.1">>],
		ciphers => default,
		depth => 10,
		groups => default,
		identities => [],
		resume => true,
		roots => system,
		further_names => [],
		server_name => host,
		signature_algs => default,
		verify => peer,
		versions => ['tlsv1.2', 'tlsv1.3']
	}.

every_option_reaches_the_native_library_test_() ->
	[{title("native", TlsOpts), fun() ->
		?assertEqual({ok, maps:merge(defaults(), Changes)},
			gun_rs_tls_options:native(TlsOpts, ?ALPN))
	end} || {TlsOpts, Changes} <- [
		{[{verify, verify_none}], #{verify => none}},
		{[{verify, verify_peer}], #{}},
		{[{alpn_advertised_protocols, [<<"http/1.0">>]}], #{alpn => [<<"http/1.0">>]}},
		{[{alpn_advertised_protocols, []}], #{alpn => []}},
		{[{cacerts, [?DER]}], #{roots => [?DER]}},
		{[{cacerts, [{cert, ?DER, decoded}, ?DER]}], #{roots => [?DER, ?DER]}},
		{[{verify, verify_none}, {cacerts, [?DER]}], #{verify => none, roots => [?DER]}},
		{[{verify, verify_none}, {cacerts, []}], #{verify => none, roots => []}},
		%% cacerts comes before cacertfile, which is not read then.
		{[{cacertfile, "/no/such/file"}, {cacerts, [?DER]}], #{roots => [?DER]}},
		{[{depth, 0}], #{depth => 0}},
		{[{depth, 255}], #{depth => 255}},
		{[{server_name_indication, disable}], #{server_name => disable}},
		{[{server_name_indication, "Example.org"}], #{server_name => <<"Example.org">>}},
		{[{server_name_indication, <<"::1">>}], #{server_name => <<"::1">>}},
		{[{versions, ['tlsv1.3']}], #{versions => ['tlsv1.3']}},
		{[{versions, ['tlsv1.3', 'tlsv1.2', 'tlsv1.3']}], #{}},
		{[{customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]}],
			#{}},
		{[{reuse_sessions, true}], #{}},
		{[{reuse_sessions, save}], #{}},
		{[{reuse_sessions, false}], #{resume => false}},
		{[{session_tickets, auto}], #{}},
		{[{session_tickets, disabled}], #{resume => false}},
		{[{reuse_sessions, false}, {session_tickets, auto}], #{resume => false}},
		{[{signature_algs, [{sha256, rsa}]}], #{signature_algs => [<<"rsa_pkcs1_sha256">>]}},
		{[{supported_groups, [secp384r1, x448, x25519]}], #{groups => [secp384r1, x25519]}},
		{[{eccs, [secp256r1]}], #{groups => [secp256r1]}},
		{[{eccs, [secp256r1]}, {supported_groups, [x25519]}], #{groups => [x25519]}},
		{[{eccs, [secp256r1]}, {supported_groups, [x25519]}, {versions, ['tlsv1.2']}],
			#{groups => [secp256r1], versions => ['tlsv1.2']}},
		{[{ciphers, []}], #{}},
		{[{ciphers, "ECDHE-RSA-AES128-GCM-SHA256"}],
			#{ciphers => [<<"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256">>]}},
		{[{password, "secret"}], #{}},
		{[{certs_keys, []}], #{}},
		{[{certs_keys, []}, {certfile, "/no/such/file"}], #{}}
	] ++ [{[Opt], #{}} || Key <- maps:get(meaningless, decisions()) ++ maps:get(refused, decisions()),
		Opt={K, _} <- valid(), K =:= Key]].

the_last_of_two_elements_counts_as_in_ssl_test() ->
	?assertMatch({ok, #{verify := none, depth := 2}}, gun_rs_tls_options:native(
		[{verify, verify_peer}, {depth, 1}, {verify, verify_none}, {depth, 2}], ?ALPN)),
	?assertMatch({ok, #{verify := peer}}, gun_rs_tls_options:native(
		[{verify, verify_none}, {verify, verify_peer}], ?ALPN)),
	%% The one that does not count must still be one that is taken.
	?assertEqual({error, {depth, -1}}, gun_rs_tls_options:native([{depth, -1}, {depth, 2}], ?ALPN)).

what_users_of_gun_give_is_taken_test_() ->
	Roots = [?DER, ?DER],
	MatchFun = public_key:pkix_verify_hostname_match_fun(https),
	[{title("given", TlsOpts), fun() ->
		{ok, Native} = gun_rs_tls_options:native(TlsOpts, ?ALPN),
		?assertEqual(Native, maps:merge(Native, Expected))
	end} || {TlsOpts, Expected} <- [
		{[{verify, verify_none}], #{verify => none}},
		{[{verify, verify_peer}, {cacerts, Roots}, {depth, 3},
			{customize_hostname_check, [{match_fun, MatchFun}]}],
			#{verify => peer, roots => Roots, depth => 3}},
		{[{verify, verify_none}, {log_level, error}, {reuse_sessions, false},
			{secure_renegotiate, true}], #{verify => none, resume => false}},
		{[{server_name_indication, "host"}, {versions, ['tlsv1.2', 'tlsv1.3']}],
			#{server_name => <<"host">>}},
		{[{verify, verify_peer}, {cacerts, Roots}, {depth, 20}, {reuse_sessions, false},
			{verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "host"}]}}],
			#{depth => 20, further_names => [<<"host">>], resume => false, server_name => host, verify => peer}},
		{[{verify_fun, undefined}, {fail_if_no_peer_cert, true}], #{further_names => [], verify => peer}}
	]].

the_match_fun_of_https_is_known_whoever_made_it_test() ->
	Self = self(),
	_ = spawn(fun() -> Self ! {match_fun, public_key:pkix_verify_hostname_match_fun(https)} end),
	Fun = receive {match_fun, F} -> F end,
	Remembered = binary_to_term(term_to_binary(Fun)),
	[?assertEqual(ok, gun_rs_tls_options:check([{customize_hostname_check, [{match_fun, M}]}]))
		|| M <- [Fun, Remembered]].

a_host_name_is_not_checked_where_nothing_is_verified_test() ->
	Opt = {verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, "host"}]}},
	?assertEqual({error, Opt}, gun_rs_tls_options:native([{verify, verify_none}, Opt], ?ALPN)),
	?assertNotEqual(nomatch, string:find(refusal(Opt), "with verify_none nothing is verified")).

no_roots_at_all_are_refused_unless_nothing_is_verified_test() ->
	?assertEqual({error, {cacerts, []}}, gun_rs_tls_options:native([{cacerts, []}], ?ALPN)),
	?assertNotEqual(nomatch, string:find(refusal({cacerts, []}), "no server can be verified")).

the_records_of_public_key_are_taken_as_roots_test() ->
	case erlang:function_exported(public_key, cacerts_get, 0) of
		true ->
			try public_key:cacerts_get() of
				Records ->
					{ok, #{roots := Roots}} = gun_rs_tls_options:native([{cacerts, Records}], ?ALPN),
					?assertEqual([element(2, Record) || Record <- Records], Roots)
			catch _:_ ->
				%% This machine has none.
				ok
			end;
		false ->
			ok
	end.

what_the_native_library_cannot_use_is_named_test_() ->
	[{title("at fault", TlsOpts), fun() ->
		?assertEqual(Element, gun_rs_tls_options:at_fault(What, TlsOpts)),
		Text = refusal(Element),
		?assertNotEqual(nomatch, string:find(Text, " is refused: "))
	end} || {What, TlsOpts, Element} <- [
		{roots, [{cacertfile, "a"}, {verify, verify_peer}], {cacertfile, "a"}},
		{roots, [{cacertfile, "a"}, {cacerts, [?DER]}], {cacerts, [?DER]}},
		%% The system has none.
		{roots, [], {cacerts, []}},
		{identities, [{certfile, "a"}], {certfile, "a"}},
		{identities, [{certfile, "a"}, {keyfile, "b"}, {keyfile, "c"}], {keyfile, "c"}},
		{identities, [{cert, ?DER}, {keyfile, "b"}, {key, {'ECPrivateKey', ?DER}}],
			{key, {'ECPrivateKey', ?DER}}},
		{identities, [{certs_keys, [#{certfile => "b"}]}, {certfile, "a"}],
			{certs_keys, [#{certfile => "b"}]}},
		{alpn, [{alpn_advertised_protocols, [<<"http/1.0">>]}],
			{alpn_advertised_protocols, [<<"http/1.0">>]}},
		{server_name, [{server_name_indication, "a"}], {server_name_indication, "a"}},
		{groups, [{eccs, [secp256r1]}, {supported_groups, [x25519]}], {supported_groups, [x25519]}},
		{groups, [{eccs, [secp256r1]}, {supported_groups, [x25519]}, {versions, ['tlsv1.2']}],
			{eccs, [secp256r1]}},
		{resume, [{session_tickets, auto}], {session_tickets, auto}},
		{ciphers, [{ciphers, "a"}, {depth, 1}], {ciphers, "a"}}
	]].

every_option_of_the_native_library_comes_from_one_of_the_users_test_() ->
	{ok, Native} = gun_rs_tls_options:native([], ?ALPN),
	[{title("option of", What), fun() ->
		{Key, []} = gun_rs_tls_options:at_fault(What, []),
		?assert(lists:member(Key, decided()))
	end} || What <- maps:keys(Native)].

%% Algorithms.

every_suite_of_rustls_is_known_by_each_of_its_names_test_() ->
	[{title("suite", Name), fun() ->
		{ok, #{ciphers := Ciphers}} = gun_rs_tls_options:native([{ciphers, Form}], ?ALPN),
		?assertEqual([list_to_binary(Iana)], Ciphers)
	end} || {Iana, Suite} <- rustls_suites(), {Name, Form} <- forms(Iana, Suite)].

forms(Iana, Suite=#{key_exchange := Kex, cipher := Cipher, prf := Hash}) ->
	OpenSsl = ssl:suite_to_openssl_str(Suite),
	[
		{Iana, [Iana]},
		{Iana ++ ", alone", Iana},
		{Iana ++ ", twice", Iana ++ ":" ++ OpenSsl},
		{Iana ++ ", among others", "DHE-RSA-AES128-SHA:" ++ Iana ++ ":TLS_AES_128_CCM_SHA256"},
		{OpenSsl, [OpenSsl]},
		{OpenSsl ++ ", alone", OpenSsl},
		{Iana ++ ", a map", [Suite]},
		{Iana ++ ", a tuple", [{Kex, Cipher, null, Hash}]},
		{Iana ++ ", another tuple", [{Kex, Cipher, aead, Hash}]}
	].

%% What ssl itself calls these suites.
rustls_suites() ->
	Ciphers = [aes_128_gcm, aes_256_gcm, chacha20_poly1305],
	[{ssl:suite_to_str(Suite), Suite}
		|| Version <- ['tlsv1.3', 'tlsv1.2'],
			Suite=#{cipher := Cipher, key_exchange := Kex} <- ssl:cipher_suites(exclusive, Version),
			lists:member(Cipher, Ciphers), lists:member(Kex, [any, ecdhe_ecdsa, ecdhe_rsa])].

rustls_has_nine_suites_test() ->
	?assertEqual(9, length(rustls_suites())).

the_suites_of_ssl_are_those_that_rustls_has_in_the_order_of_ssl_test_() ->
	[{title("suites of", Version), fun() ->
		Suites = ssl:cipher_suites(default, Version),
		{ok, #{ciphers := Ciphers}} = gun_rs_tls_options:native([{ciphers, Suites}], ?ALPN),
		?assertEqual([list_to_binary(Name) || Name <- [ssl:suite_to_str(Suite) || Suite <- Suites],
			lists:keymember(Name, 1, rustls_suites())], Ciphers)
	end} || Version <- ['tlsv1.2', 'tlsv1.3']].

suites_of_another_version_are_left_out_test() ->
	Both = {ciphers, ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]},
	?assertMatch({ok, #{ciphers := [<<"TLS_AES_128_GCM_SHA256">>]}},
		gun_rs_tls_options:native([Both, {versions, ['tlsv1.3']}], ?ALPN)),
	?assertMatch({ok, #{ciphers := [<<"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256">>]}},
		gun_rs_tls_options:native([Both, {versions, ['tlsv1.2']}], ?ALPN)),
	Old = {ciphers, "ECDHE-RSA-AES128-GCM-SHA256"},
	?assertEqual({error, Old}, gun_rs_tls_options:native([Old, {versions, ['tlsv1.3']}], ?ALPN)),
	?assertNotEqual(nomatch, string:find(refusal(Old), "versions")).

every_signature_algorithm_of_rustls_is_known_test_() ->
	[{title("signature", Alg), fun() ->
		?assertMatch({ok, #{signature_algs := [Name]}},
			gun_rs_tls_options:native([{signature_algs, [Alg]}], ?ALPN))
	end} || {Alg, Name} <- [
		{{sha256, ecdsa}, <<"ecdsa_secp256r1_sha256">>},
		{{sha384, ecdsa}, <<"ecdsa_secp384r1_sha384">>},
		{{sha256, rsa}, <<"rsa_pkcs1_sha256">>},
		{{sha384, rsa}, <<"rsa_pkcs1_sha384">>},
		{{sha512, rsa}, <<"rsa_pkcs1_sha512">>},
		{eddsa_ed25519, <<"ed25519">>}
	] ++ [{Scheme, atom_to_binary(Scheme)} || Scheme <- [ecdsa_secp256r1_sha256,
		ecdsa_secp384r1_sha384, rsa_pss_rsae_sha256, rsa_pss_rsae_sha384, rsa_pss_rsae_sha512,
		rsa_pkcs1_sha256, rsa_pkcs1_sha384, rsa_pkcs1_sha512]]].

signature_algorithms_that_rustls_does_not_have_are_left_out_test() ->
	{ok, #{signature_algs := Names}} = gun_rs_tls_options:native([{signature_algs,
		[eddsa_ed448, eddsa_ed25519, ecdsa_secp521r1_sha512, ecdsa_secp256r1_sha256,
			rsa_pss_pss_sha512, rsa_pss_rsae_sha512, mldsa87, {sha512, ecdsa}, {sha512, rsa},
			{sha256, ecdsa}, {sha, rsa}, rsa_pkcs1_sha1]}], ?ALPN),
	?assertEqual([<<"ed25519">>, <<"ecdsa_secp256r1_sha256">>, <<"rsa_pss_rsae_sha512">>,
		<<"rsa_pkcs1_sha512">>], Names).

%% Files.

files_test_() ->
	{setup, fun make_files/0, fun remove_files/1, fun(Files) -> [
		{"roots", fun() -> roots_are_read(Files) end},
		{"identities", fun() -> identities_are_read(Files) end},
		{"encrypted keys", fun() -> encrypted_keys_need_their_password(Files) end},
		{"files at fault", fun() -> files_at_fault_are_named(Files) end},
		{"halves", fun() -> half_an_identity_is_refused(Files) end},
		{"order", fun() -> what_stands_in_the_options_comes_before_files(Files) end},
		{"chains", fun() -> a_chain_is_built_from_the_roots(Files) end}
	] end}.

%% A client's certificate with its key; as roots, the two certificates above it, the root
%% above those, and that of the server.
make_files() ->
	Name = "gun_rs_tls_options_tests-" ++ os:getpid() ++ "-"
		++ integer_to_list(erlang:unique_integer([positive])),
	Dir = filename:join(temporary(), Name),
	ok = file:make_dir(Dir),
	Spec = #{root => [], intermediates => [[], []], peer => []},
	#{client_config := Client} =
		public_key:pkix_test_data(#{client_chain => Spec, server_chain => Spec}),
	Cert = proplists:get_value(cert, Client),
	Key = {'ECPrivateKey', KeyDer} = proplists:get_value(key, Client),
	#{dir => Dir, cert => Cert, key => Key, key_der => KeyDer,
		roots => proplists:get_value(cacerts, Client)}.

remove_files(#{dir := Dir}) ->
	_ = [file:delete(File) || File <- filelib:wildcard(filename:join(Dir, "*"))],
	ok = file:del_dir(Dir).

temporary() ->
	case os:getenv("TMPDIR") of
		false -> "/tmp";
		Dir -> Dir
	end.

roots_are_read(Files=#{cert := Cert, roots := Roots}) ->
	Path = write(Files, "roots.pem", certificates(Roots)),
	?assertMatch({ok, #{roots := Roots}}, native([{cacertfile, Path}])),
	?assertMatch({ok, #{roots := Roots}}, native([{cacertfile, list_to_binary(Path)}])),
	?assertMatch({ok, #{roots := Roots}}, native([{cacertfile, Path}, {verify, verify_none}])),
	%% What is no certificate does not matter, nor does text around them.
	Mixed = write(Files, "mixed.pem", ["Roots\n\n", pem([{'ECPrivateKey', ?DER, not_encrypted}]),
		"\nThe first:\n", certificates([Cert])]),
	?assertMatch({ok, #{roots := [Cert]}}, native([{cacertfile, Mixed}])),
	%% A file that has changed is read anew.
	_ = write(Files, "roots.pem", certificates([Cert])),
	?assertMatch({ok, #{roots := [Cert]}}, native([{cacertfile, Path}])).

identities_are_read(Files=#{cert := Cert, key := Key, key_der := KeyDer, roots := Roots}) ->
	Chain = [Cert|Roots],
	CertFile = write(Files, "cert.pem", certificates([Cert])),
	ChainFile = write(Files, "chain.pem", certificates(Chain)),
	KeyFile = write(Files, "key.pem", pem([{'ECPrivateKey', KeyDer, not_encrypted}])),
	BothFile = write(Files, "both.pem", [pem([{'ECPrivateKey', KeyDer, not_encrypted}]),
		certificates(Chain)]),
	Sec1 = {sec1, KeyDer},
	_ = [?assertEqual({TlsOpts, {ok, Identities}}, {TlsOpts, identities(TlsOpts)})
		|| {TlsOpts, Identities} <- [
			{[{cert, Cert}, {key, Key}], [{[Cert], Sec1}]},
			{[{cert, Chain}, {key, Key}], [{Chain, Sec1}]},
			{[{certfile, CertFile}, {keyfile, KeyFile}], [{[Cert], Sec1}]},
			{[{certfile, list_to_binary(ChainFile)}, {keyfile, KeyFile}], [{Chain, Sec1}]},
			{[{certfile, BothFile}], [{Chain, Sec1}]},
			{[{certfile, BothFile}, {password, "not needed"}], [{Chain, Sec1}]},
			{[{cert, Cert}, {keyfile, KeyFile}], [{[Cert], Sec1}]},
			{[{certfile, ChainFile}, {key, Key}], [{Chain, Sec1}]},
			{[{cert, Cert}, {key, {'RSAPrivateKey', ?DER}}], [{[Cert], {pkcs1, ?DER}}]},
			{[{cert, Cert}, {key, {'PrivateKeyInfo', ?DER}}], [{[Cert], {pkcs8, ?DER}}]},
			{[{cert, Cert}, {key, {'OneAsymmetricKey', ?DER}}], [{[Cert], {pkcs8, ?DER}}]},
			{[{certs_keys, [#{cert => Cert, key => Key}]}], [{[Cert], Sec1}]},
			{[{certs_keys, [#{certfile => BothFile}, #{cert => [Cert], key => {'RSAPrivateKey', ?DER}},
				#{certfile => CertFile, keyfile => KeyFile, password => ""}]}],
				[{Chain, Sec1}, {[Cert], {pkcs1, ?DER}}, {[Cert], Sec1}]}
		]],
	%% A key by openssl has its curve beside it.
	_ = [?assertEqual({ok, [{[Cert], {Format, ?DER}}]}, identities([{cert, Cert}, {keyfile,
			write(Files, "key2.pem", pem(Entries))}]))
		|| {Format, Entries} <- [
			{sec1, [{'EcpkParameters', <<6, 8, 42, 134, 72, 206, 61, 3, 1, 7>>, not_encrypted},
				{'ECPrivateKey', ?DER, not_encrypted}]},
			{pkcs1, [{'RSAPrivateKey', ?DER, not_encrypted}]},
			{pkcs8, [{'PrivateKeyInfo', ?DER, not_encrypted}]}
		]].

encrypted_keys_need_their_password(Files=#{cert := Cert, key_der := KeyDer}) ->
	EcKey = public_key:der_decode('ECPrivateKey', KeyDer),
	RsaKey = public_key:generate_key({rsa, 1024, 65537}),
	RsaDer = public_key:der_encode('RSAPrivateKey', RsaKey),
	_ = [begin
		Path = write(Files, Name, Pem),
		Identity = {ok, [{[Cert], Key}]},
		_ = [?assertEqual({Name, Password, Identity}, {Name, Password, identities(
				[{cert, Cert}, {keyfile, Path}, {password, Password}])})
			|| Password <- ["secret", <<"secret">>, ["sec", <<"ret">>], fun() -> "secret" end,
				fun() -> <<"secret">> end]],
		?assertEqual(Identity, identities(
			[{certs_keys, [#{cert => Cert, keyfile => Path, password => "secret"}]}])),
		_ = [?assertEqual({error, {keyfile, Path}}, identities([{cert, Cert}, {keyfile, Path}|Password]))
			|| Password <- [[], [{password, ""}], [{password, "other"}]]],
		?assertEqual({error, {keyfile, Path}}, identities(
			[{password, "secret"}, {certs_keys, [#{cert => Cert, keyfile => Path}]}])),
		_ = [?assertEqual({error, {password, Fun}}, identities(
				[{cert, Cert}, {keyfile, Path}, {password, Fun}]))
			|| Fun <- [fun() -> error(lost) end, fun() -> undefined end]]
	end || {Name, Pem, Key} <- [
		{"ec.pem", pem([encrypted('ECPrivateKey', EcKey)]), {sec1, KeyDer}},
		{"rsa.pem", pem([encrypted('RSAPrivateKey', RsaKey)]), {pkcs1, RsaDer}},
		{"ed25519.pem", encrypted_ed25519(), {pkcs8, ed25519()}}
	]].

encrypted(Type, Key) ->
	public_key:pem_entry_encode(Type, Key,
		{{"AES-128-CBC", crypto:strong_rand_bytes(16)}, "secret"}).

%% Made for this test by openssl genpkey and openssl pkcs8 -topk8 (PBES2).
encrypted_ed25519() ->
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjo9ptjY0FTXwICCAAw\n"
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENekOdg/l3qvwU7wLIw2NvAEQBmj\n"
	"v956mg3SQDkEnYEUTXKn0DO+dYGZAM2D9Pp1MxD/X/YRtuO/WlWe7S+cFUb+yzzl\n"
	"uTMWESlcDy409vAqYsI=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n".

ed25519() ->
	base64:decode("MC4CAQAwBQYDK2VwBCIEIKXF0syyN4n80gUqvSu9fAUZqWX4oc8LeLVXaH8BWkSS").

files_at_fault_are_named(Files=#{dir := Dir, cert := Cert, key := Key}) ->
	Missing = filename:join(Dir, "missing.pem"),
	Empty = write(Files, "empty.pem", ""),
	NoPem = write(Files, "no.pem", rand:bytes(1000)),
	BadBase64 = write(Files, "base64.pem",
		"-----BEGIN CERTIFICATE-----\n$$$$\n-----END CERTIFICATE-----\n"),
	BadDer = write(Files, "der.pem", certificates([<<1, 2, 3>>])),
	BadKey = write(Files, "badkey.pem", pem([{'ECPrivateKey', <<1, 2, 3>>, not_encrypted}])),
	CertFile = write(Files, "cert.pem", certificates([Cert])),
	Two = write(Files, "two.pem", pem([{'ECPrivateKey', ?DER, not_encrypted},
		{'RSAPrivateKey', ?DER, not_encrypted}])),
	Dsa = write(Files, "dsa.pem", pem([{'DSAPrivateKey', ?DER, not_encrypted}])),
	Bad = [Missing, Empty, NoPem, BadBase64, BadDer, Dir],
	_ = [?assertEqual({error, Fault}, native(TlsOpts)) || {TlsOpts, Fault} <-
		[{[{cacertfile, Path}], {cacertfile, Path}} || Path <- [BadKey|Bad]]
		++ [{[{verify, verify_none}, {cacertfile, Path}], {cacertfile, Path}} || Path <- Bad]
		++ [{[{certfile, Path}, {key, Key}], {certfile, Path}} || Path <- [BadKey|Bad]]
		++ [{[{cert, Cert}, {keyfile, Path}], {keyfile, Path}} || Path <- [CertFile, BadKey, Two, Dsa|Bad]]
		++ [{[{certfile, CertFile}], {certfile, CertFile}}]
		++ [{[{certs_keys, [#{cert => Cert, key => Key}, #{certfile => CertFile, keyfile => Path}]}],
			{keyfile, Path}} || Path <- Bad]
		++ [{[{certs_keys, [#{certfile => Path, key => Key}]}], {certfile, Path}} || Path <- Bad]],
	_ = [?assertNotEqual(nomatch, string:find(refusal({Option, Missing}), "missing.pem\"} is refused: "))
		|| Option <- [cacertfile, certfile, keyfile]],
	ok.

half_an_identity_is_refused(Files=#{cert := Cert, key := Key, key_der := KeyDer}) ->
	KeyFile = write(Files, "key.pem", pem([{'ECPrivateKey', KeyDer, not_encrypted}])),
	_ = [?assertEqual({error, Fault}, native(TlsOpts)) || {TlsOpts, Fault} <- [
		{[{cert, Cert}], {cert, Cert}},
		{[{key, Key}], {key, Key}},
		{[{keyfile, KeyFile}], {keyfile, KeyFile}},
		{[{certs_keys, [#{cert => Cert}]}], {cert, Cert}}
	]],
	ok.

what_stands_in_the_options_comes_before_files(#{cert := Cert, key := Key, key_der := KeyDer}) ->
	Identities = {ok, [{[Cert], {sec1, KeyDer}}]},
	?assertEqual(Identities, identities([{cert, Cert}, {key, Key}, {certfile, "/no/such/file"},
		{keyfile, "/no/such/file"}])),
	?assertEqual(Identities, identities([{certfile, "/no/such/file"},
		{certs_keys, [#{cert => Cert, key => Key}]}])).

%% As ssl does. The root itself is not sent.
a_chain_is_built_from_the_roots(Files=#{cert := Cert, key := Key, key_der := KeyDer, roots := Roots}) ->
	SelfIssued = [Root || Root <- Roots, public_key:pkix_is_issuer(Root, Root)],
	Intermediates = Roots -- SelfIssued,
	?assertMatch({[_, _], [_, _]}, {SelfIssued, Intermediates}),
	Path = write(Files, "roots.pem", certificates(Roots)),
	_ = [begin
		{ok, [{[Cert|Chain], {sec1, KeyDer}}]} = identities([{cert, Cert}, {key, Key}|Given]),
		?assertEqual(lists:sort(Intermediates), lists:sort(Chain)),
		[First, Second] = Chain,
		?assert(public_key:pkix_is_issuer(Cert, First)),
		?assert(public_key:pkix_is_issuer(First, Second))
	end || Given <- [[{cacerts, Roots}], [{cacerts, lists:reverse(Roots)}], [{cacertfile, Path}],
		[{cacerts, [?DER|Roots] ++ Roots}]]],
	%% A chain that was given stays as it is.
	?assertEqual({ok, [{[Cert, ?DER], {sec1, KeyDer}}]},
		identities([{cert, [Cert, ?DER]}, {key, Key}, {cacerts, Roots}])),
	%% As does a certificate that public_key cannot decode.
	?assertEqual({ok, [{[?DER], {sec1, KeyDer}}]},
		identities([{cert, ?DER}, {key, Key}, {cacerts, Roots}])).

%% Sentences.

a_sentence_shows_no_secret_test_() ->
	[{title("secret", Key), fun() ->
		Text = refusal({Key, Value}),
		?assertEqual(nomatch, string:find(Text, "hunter2")),
		?assertEqual(nomatch, string:find(Text, "104,117,110")),
		?assertNotEqual(nomatch, string:find(Text, atom_to_list(Key)))
	end} || Key <- [cacerts, cert, certs_keys, early_data, key, password, psk_identity,
		reuse_session, srp_identity, use_ticket], Value <- ["hunter2", <<"hunter2">>,
		{'ECPrivateKey', <<"hunter2">>}, {"me", "hunter2"}, [#{password => "hunter2"}]]].

a_sentence_is_one_line_of_text_whatever_it_shows_test_() ->
	[{title("sentence", Opt), fun() ->
		Text = refusal(Opt),
		?assert(length(Text) < 500),
		?assertEqual(nomatch, string:find(Text, "\n")),
		?assertNotEqual($., lists:last(Text))
	end} || Opt <- [{unknown, lists:seq(1, 10000)}, {verify_fun, {fun(_, _, _) -> ok end, []}},
		{cacertfile, "b\x{fc}cher.pem"}, {cacertfile, [8364]}|invalid()]].

%% Helpers.

cases(Cases) ->
	[{Key, Value} || {Key, Values} <- Cases, Value <- Values].

refusal(Element) ->
	unicode:characters_to_list(gun_rs_tls_options:refusal(Element)).

native(TlsOpts) ->
	gun_rs_tls_options:native(TlsOpts, ?ALPN).

identities(TlsOpts) ->
	case native(TlsOpts) of
		{ok, #{identities := Identities}} -> {ok, Identities};
		Error -> Error
	end.

write(#{dir := Dir}, Name, Text) ->
	Path = filename:join(Dir, Name),
	ok = file:write_file(Path, Text),
	Path.

certificates(Ders) ->
	pem([{'Certificate', Der, not_encrypted} || Der <- Ders]).

pem(Entries) ->
	public_key:pem_encode(Entries).

types(Forms) ->
	maps:from_list([{Name, Type} || {attribute, _, type, {Name, Type, _}} <- Forms]).

%% The names in a union of pairs, through the types of ssl itself but not through those
%% of the socket.
option_names(Name, Types) ->
	pair_names(maps:get(Name, Types), Types).

pair_names({type, _, union, Members}, Types) ->
	lists:append([pair_names(Member, Types) || Member <- Members]);
pair_names({type, _, tuple, [{atom, _, Name}, _]}, _) ->
	[Name];
pair_names({user_type, _, socket_option, _}, _) ->
	[];
pair_names({user_type, _, Name, _}, Types) ->
	option_names(Name, Types);
pair_names(_, _) ->
	[].

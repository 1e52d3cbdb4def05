%% @private The check of each option of `ssl:tls_client_option()', one clause per option: whether
%% it can be honoured, and why not.
-module(gun_rs_tls_option_check).

-export([check/1]).
-export([is_socket_option/1]).

%% rustls takes no handshake message that is longer.
-define(MAX_HANDSHAKE_SIZE, 16#ffff).
-define(MAX_UNIT24, 16#ffffff).
-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc Whether an element of tls_opts can be honoured, or the end of a sentence that says why
%% it cannot.
-spec check(Element :: term()) -> ok | (Refusal :: string()).
check(Element) ->
	check(Element, [fun identity/1, fun verification/1, fun handshake/1, fun without_meaning/1, fun refused/1]).

check(Element, []) ->
	case is_socket_option(Element) of
		true -> "it is an option of the socket, and tcp_opts has those";
		false -> "it is unknown"
	end;
check(Element, [Group|Groups]) ->
	case Group(Element) of
		unknown -> check(Element, Groups);
		Result -> Result
	end.

%% @doc Whether it is an option of the socket and not of TLS: ssl takes both.
-spec is_socket_option(Element :: term()) -> boolean().
is_socket_option(Element) when is_tuple(Element), tuple_size(Element) > 0 ->
	is_socket_option(element(1, Element));
is_socket_option(Key) ->
	lists:member(Key, [active, binary, bind_to_device, buffer, delay_send, deliver, exit_on_close,
		fd, header, high_msgq_watermark, high_watermark, ifaddr, inet, inet6, inet_backend, ip, ipv6_v6only,
		keepalive, line_delimiter, linger, list, local, low_msgq_watermark, low_watermark, mode, nodelay, packet,
		packet_size, port, priority, raw, recbuf, reuseaddr, reuseport, reuseport_lb, send_timeout,
		send_timeout_close, show_econnreset, sndbuf, tclass, tos, ttl, user_timeout]).

%% Options that are honoured: the client's certificates and keys.

identity({cert, Cert}) ->
	expect(is_chain(Cert), "a certificate in DER, or a list of them");
identity({certfile, Path}) ->
	expect(is_path(Path), "the name of a file");
identity({certs_keys, Confs}) ->
	expect(is_list_of(fun is_cert_key_conf/1, Confs),
		"a list of maps with cert or certfile, key or keyfile, and password, each of which "
		"could stand alone in tls_opts");
identity({key, {'DSAPrivateKey', _}}) ->
	"rustls has no DSA";
identity({key, #{algorithm := _}}) ->
	"keys in an engine and funs that sign cannot be used by rustls";
identity({key, Key}) ->
	expect(is_key(Key), "{Type, Der}, Type one of 'RSAPrivateKey', 'ECPrivateKey' and "
		"'PrivateKeyInfo'");
identity({keyfile, Path}) ->
	expect(is_path(Path), "the name of a file");
identity({password, Password}) ->
	expect(is_function(Password, 0) orelse is_iodata(Password),
		"iodata, or a fun of no arguments that returns it");
identity(_) ->
	unknown.

%% Options that are honoured: how the server is verified.

verification({cacertfile, Path}) ->
	expect(is_path(Path), "the name of a file");
verification({cacerts, CACerts}) ->
	expect(is_list_of(fun is_cacert/1, CACerts),
		"a list of certificates in DER, or of what public_key:cacerts_get/0 returns");
verification({customize_hostname_check, []}) ->
	ok;
verification({customize_hostname_check, [{match_fun, Fun}]}) ->
	case public_key:pkix_verify_hostname_match_fun(https) of
		Fun -> ok;
		_ -> "names are matched as for https, and in no other way"
	end;
verification({customize_hostname_check, _}) ->
	"names are matched as for https, and in no other way";
verification({depth, Depth}) ->
	expect(is_integer(Depth) andalso Depth >= 0 andalso Depth =< 255,
		"an integer of 0 to 255");
verification({server_name_indication, disable}) ->
	ok;
verification({server_name_indication, Name}) ->
	expect(is_server_name(Name), "a domain name in ASCII, an IP address, or disable");
verification({verify, Verify}) ->
	expect(Verify =:= verify_peer orelse Verify =:= verify_none,
		"verify_peer or verify_none");
verification({verify_fun, undefined}) ->
	ok;
verification({verify_fun, VerifyFun}) ->
	case is_hostname_check(VerifyFun) of
		true -> ok;
		false ->
			"no Erlang fun takes part in a handshake; the only one that is known is fun "
			"ssl_verify_hostname:verify_fun/3 with [{check_hostname, Name}], which is checked without it"
	end;
verification(_) ->
	unknown.

%% Options that are honoured: what is offered in the handshake.

handshake({alpn_advertised_protocols, Protocols}) ->
	expect(is_list_of(fun(P) -> lists:member(P, [<<"h2">>, <<"http/1.1">>, <<"http/1.0">>]) end, Protocols),
		"a list of the binaries \"h2\", \"http/1.1\" and \"http/1.0\", the protocols of this release");
handshake({ciphers, Suites}) ->
	case gun_rs_tls_algorithms:ciphers(Suites, ['tlsv1.2', 'tlsv1.3']) of
		{ok, _} -> ok;
		error -> "there is no cipher suite among them that rustls has"
	end;
handshake({eccs, Groups}) ->
	check_groups(Groups);
handshake({reuse_sessions, Reuse}) ->
	expect(is_boolean(Reuse) orelse Reuse =:= save, "true, false or save");
handshake({session_tickets, manual}) ->
	"tickets are kept by gun_rs, and cannot be given or taken";
handshake({session_tickets, Tickets}) ->
	expect(Tickets =:= auto orelse Tickets =:= disabled, "auto or disabled");
handshake({signature_algs, Algs}) ->
	case gun_rs_tls_algorithms:signature_algs(Algs) of
		{ok, _} -> ok;
		error -> "there is no signature algorithm among them that rustls has"
	end;
handshake({supported_groups, Groups}) ->
	check_groups(Groups);
handshake({versions, Versions}) ->
	Old = is_list_of(fun is_atom/1, Versions)
		andalso (lists:member('tlsv1.1', Versions) orelse lists:member(tlsv1, Versions)),
	case Old of
		true -> "rustls has TLS 1.2 and 1.3, and none of the older versions";
		false -> expect(Versions =/= [] andalso is_list_of(
			fun(V) -> V =:= 'tlsv1.2' orelse V =:= 'tlsv1.3' end, Versions),
			"a list, not empty, of 'tlsv1.2' and 'tlsv1.3'")
	end;
handshake(_) ->
	unknown.

%% Options without a meaning here: nothing is logged, no process stands behind a
%% connection's TLS, and a client verifies no client.

without_meaning({fail_if_no_peer_cert, Fail}) ->
	expect(is_boolean(Fail), "true or false");
without_meaning({hibernate_after, Timeout}) ->
	expect(Timeout =:= infinity orelse (is_integer(Timeout) andalso Timeout >= 0),
		"a number of milliseconds or infinity");
without_meaning({log_alert, Bool}) ->
	expect(is_boolean(Bool), "true or false");
without_meaning({log_level, Level}) ->
	expect(lists:member(Level, [all, none, emergency, alert, critical, error, warning,
		notice, info, debug]), "a level of logger, all or none");
without_meaning({max_handshake_size, Size}) ->
	expect(is_integer(Size) andalso Size >= ?MAX_HANDSHAKE_SIZE andalso Size =< ?MAX_UNIT24,
		"a number of bytes not below 65535, the limit that holds anyway");
without_meaning({receiver_spawn_opts, Opts}) ->
	expect(is_list_of(fun(_) -> true end, Opts), "a list");
without_meaning({sender_spawn_opts, Opts}) ->
	expect(is_list_of(fun(_) -> true end, Opts), "a list");
without_meaning({ssl_imp, Imp}) ->
	expect(Imp =:= new orelse Imp =:= old, "new or old");
without_meaning(_) ->
	unknown.

%% Options that are refused, unless their value is what is done anyway.

refused({allow_any_ca_purpose, false}) -> ok;
refused({allow_any_ca_purpose, _}) -> "rustls counts the purposes of every certificate";
refused({beast_mitigation, one_n_minus_one}) -> ok;
refused({beast_mitigation, _}) -> "it belongs to TLS 1.0, which rustls does not have";
refused({cb_info, _}) -> "the socket is the native library's";
refused({cert_policy_opts, []}) -> ok;
refused({cert_policy_opts, _}) -> "rustls does not look at certificate policies";
refused({certificate_authorities, false}) -> ok;
refused({certificate_authorities, _}) -> "the names of the roots are not sent to a server";
refused({client_preferred_next_protocols, _}) ->
	"rustls has ALPN (alpn_advertised_protocols) and not its predecessor NPN";
refused({crl_cache, _}) -> "revocation lists are not looked at";
refused({crl_check, false}) -> ok;
refused({crl_check, _}) -> "revocation lists are not looked at";
refused({early_data, _}) -> "nothing is sent before the handshake is done";
refused({fallback, false}) -> ok;
refused({fallback, _}) -> "no connection falls back to an older version";
refused({handshake, full}) -> ok;
refused({handshake, _}) -> "a handshake cannot be paused";
refused({keep_secrets, false}) -> ok;
refused({keep_secrets, _}) ->
	"secrets are logged to the file that SSLKEYLOGFILE names, and in no other way";
refused({key_update_at, _}) -> "rustls renews keys at the limits of each cipher suite";
refused({max_fragment_length, undefined}) -> ok;
refused({max_fragment_length, _}) -> "rustls does not ask a server for shorter records";
refused({middlebox_comp_mode, true}) -> ok;
refused({middlebox_comp_mode, _}) -> "rustls always does what middleboxes need";
refused({padding_check, true}) -> ok;
refused({padding_check, _}) -> "it belongs to TLS 1.0, which rustls does not have";
refused({ocsp_nonce, false}) -> ok;
refused({ocsp_nonce, _}) -> "the status of certificates (OCSP) is not looked at";
refused({ocsp_responder_certs, []}) -> ok;
refused({ocsp_responder_certs, _}) -> "the status of certificates (OCSP) is not looked at";
refused({ocsp_stapling, false}) -> ok;
refused({ocsp_stapling, _}) -> "the status of certificates (OCSP) is not looked at";
refused({partial_chain, _}) ->
	"no Erlang fun takes part in a handshake; put the trusted certificate into cacerts";
refused({protocol, tls}) -> ok;
refused({protocol, _}) -> "there is no DTLS here";
refused({psk_groups, _}) -> "rustls has no pre-shared keys of the user's";
refused({psk_identity, _}) -> "rustls has no pre-shared keys of the user's";
refused({reuse_session, _}) -> "sessions are kept by gun_rs, and cannot be given or taken";
refused({secure_renegotiate, true}) -> ok;
refused({secure_renegotiate, _}) -> "rustls never renegotiates";
refused({signature_algs_cert, _}) ->
	"signature_algs holds for certificates and handshakes alike";
refused({srp_identity, _}) -> "rustls has no SRP";
refused({stapling, no_staple}) -> ok;
refused({stapling, _}) -> "the status of certificates (OCSP) is not looked at";
refused({use_srtp, _}) -> "it belongs to DTLS, which is not here";
refused({use_ticket, _}) -> "tickets are kept by gun_rs, and cannot be given or taken";
refused({user_lookup_fun, _}) -> "rustls has neither pre-shared keys nor SRP";
refused(_) ->
	unknown.

check_groups(Groups) ->
	case gun_rs_tls_algorithms:groups(Groups) of
		{ok, _} -> ok;
		error -> "there is no group among them that rustls has: x25519, secp256r1, secp384r1"
	end.

expect(true, _) -> ok;
expect(false, Expected) -> "it must be " ++ Expected.

%% Types.

is_path(Path) when is_binary(Path) ->
	Path =/= <<>>;
is_path(Path) ->
	Path =/= [] andalso is_list_of(
		fun(C) -> is_integer(C) andalso C > 0 andalso C =< 16#10ffff end, Path).

is_list_of(Is, List) when ?IS_PROPER_LIST(List) -> lists:all(Is, List);
is_list_of(_, _) -> false.

is_cacert({cert, Der, _}) -> gun_rs_tls_files:is_der(Der);
is_cacert(Der) -> gun_rs_tls_files:is_der(Der).

is_chain(Cert) when is_binary(Cert) ->
	gun_rs_tls_files:is_der(Cert);
is_chain(Certs) ->
	Certs =/= [] andalso is_list_of(fun gun_rs_tls_files:is_der/1, Certs).

is_key({Type, Der}) ->
	gun_rs_tls_files:key_format(Type) =/= undefined andalso gun_rs_tls_files:is_der(Der);
is_key(_) ->
	false.

%% A certificate and a key: either may be in a file, and the key in that of the certificate.
is_cert_key_conf(Conf) when is_map(Conf) ->
	Keys = [cert, certfile, key, keyfile, password],
	maps:without(Keys, Conf) =:= #{}
		andalso (is_map_key(cert, Conf) orelse is_map_key(certfile, Conf))
		andalso lists:all(fun(Opt) -> check(Opt) =:= ok end, maps:to_list(Conf));
is_cert_key_conf(_) ->
	false.

is_iodata(Term) ->
	try iolist_size(Term) of
		_ -> true
	catch error:badarg ->
		false
	end.

%% The fun of the library ssl_verify_fun, which need not be there: it is not called.
is_hostname_check({Fun, Opts}) when is_function(Fun, 3) ->
	Info = [erlang:fun_info(Fun, Item) || Item <- [type, module, name]],
	Info =:= [{type, external}, {module, ssl_verify_hostname}, {name, verify_fun}]
		andalso is_list_of(fun
			({check_hostname, Name}) -> is_server_name(Name);
			(_) -> false
		end, Opts) andalso length(Opts) =< 1;
is_hostname_check(_) ->
	false.

%% RFC 1035, 2.3.1, with the underscores that some names have. The last label of a name
%% is no number, so that no address passes for a name.
is_server_name(Name) when is_binary(Name) ->
	is_server_name(binary_to_list(Name));
is_server_name(Name) when ?IS_PROPER_LIST(Name), length(Name) =< 253 ->
	Label = "(?!-)[A-Za-z0-9_-]{1,63}(?<!-)",
	lists:all(fun(C) -> is_integer(C) andalso C > $\s andalso C < 127 end, Name)
		andalso (re:run(Name, ["^(", Label, "\\.)*(?![0-9]+\\.?\\z)", Label, "\\.?\\z"],
			[{capture, none}]) =:= match orelse is_address(Name));
is_server_name(_) ->
	false.

%% A zone means nothing to a certificate.
is_address(Name) ->
	not lists:member($%, Name) andalso element(1, inet:parse_strict_address(Name)) =:= ok.

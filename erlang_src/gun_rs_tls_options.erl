%% @doc Every option of `ssl:tls_client_option()', and what becomes of it here.
%%
%% One clause per option. An option is honoured; or it has no meaning here, so that to
%% ignore it changes nothing; or it is refused, unless its value asks for no more than
%% what is done anyway. An element that is no option of ssl is refused as well.
%%
%% Of two elements for one option the last counts, as in ssl; the other one must still
%% be one that is taken.
-module(gun_rs_tls_options).

-export([check/1]).
-export([is_socket_option/1]).
-export([native/2]).
-export([is_constant/1]).
-export([without_decoded/1]).
-export([at_fault/2]).
-export([refusal/1]).
-export([refused/1]).

-type key() :: {'RSAPrivateKey' | 'ECPrivateKey' | 'PrivateKeyInfo', Der :: binary()}.

-type password() :: iodata() | fun(() -> iodata()).

-type path() :: string() | binary().

-type cert_key_conf() :: #{
	cert => binary() | [binary()],
	certfile => path(),
	key => key(),
	keyfile => path(),
	password => password()
}.
-export_type([cert_key_conf/0]).

%% The options that are taken: those that are honoured, and then those that have no
%% meaning here, or are refused but for this value. doc/tls.md has all the others.
-type tls_opt() :: {alpn_advertised_protocols, [binary()]}
	| {cacertfile, path()}
	| {cacerts, [binary() | {cert, Der :: binary(), Decoded :: term()}]}
	| {cert, binary() | [binary()]}
	| {certfile, path()}
	| {certs_keys, [cert_key_conf()]}
	| {ciphers, string() | [string() | map() | tuple()]}
	| {customize_hostname_check, [{match_fun, fun()}]}
	| {depth, 0..255}
	| {eccs, [atom()]}
	| {key, key()}
	| {keyfile, path()}
	| {password, password()}
	| {reuse_sessions, boolean() | save}
	| {server_name_indication, string() | binary() | disable}
	| {session_tickets, auto | disabled}
	| {signature_algs, [atom() | {atom(), atom()}]}
	| {supported_groups, [atom()]}
	| {verify, verify_peer | verify_none}
	| {verify_fun, undefined | {fun(), [{check_hostname, string() | binary()}]}}
	| {versions, ['tlsv1.2' | 'tlsv1.3']}
	| {fail_if_no_peer_cert, boolean()}
	| {hibernate_after, timeout()}
	| {log_alert, boolean()}
	| {log_level, logger:level() | all | none}
	| {max_handshake_size, pos_integer()}
	| {receiver_spawn_opts | sender_spawn_opts, list()}
	| {ssl_imp, new | old}
	| {allow_any_ca_purpose | certificate_authorities | crl_check | fallback | keep_secrets
		| ocsp_nonce | ocsp_stapling, false}
	| {beast_mitigation, one_n_minus_one}
	| {cert_policy_opts | ocsp_responder_certs, []}
	| {handshake, full}
	| {max_fragment_length, undefined}
	| {middlebox_comp_mode | padding_check | secure_renegotiate, true}
	| {protocol, tls}
	| {stapling, no_staple}.
-export_type([tls_opt/0]).

%% What the native library works from. An identity is a certificate with its chain, and
%% the key that belongs to it; the server chooses among several.
-type native() :: #{
	alpn := [binary()],
	ciphers := default | [binary()],
	depth := 0..255,
	further_names := [binary()],
	groups := default | [gun_rs_tls_algorithms:group()],
	identities := [gun_rs_tls_files:identity()],
	resume := boolean(),
	roots := system | [binary()],
	server_name := host | disable | binary(),
	signature_algs := default | [binary()],
	verify := peer | none,
	versions := [gun_rs_tls_algorithms:version()]
}.
-export_type([native/0]).

-type native_key() :: alpn | ciphers | depth | further_names | groups | identities | resume | roots
	| server_name | signature_algs | verify | versions.

%% rustls takes no handshake message that is longer.
-define(MAX_HANDSHAKE_SIZE, 16#ffff).
-define(MAX_UNIT24, 16#ffffff).
-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc Whether these options can be honoured, without a look at any file. Else the
%% first element that cannot, or the options themselves when they are no list.
-spec check(TlsOpts :: term()) -> ok | {error, Element :: term()}.
check(TlsOpts) when ?IS_PROPER_LIST(TlsOpts) ->
	case [Opt || Opt <- TlsOpts, decide(Opt) =/= ok] of
		[] -> ok;
		[Opt|_] -> {error, Opt}
	end;
check(TlsOpts) ->
	{error, TlsOpts}.

%% @doc The options for the native library: complete, with every file read. Alpn are the
%% protocols to advertise unless the options have their own.
%%
%% The element in an error is one of TlsOpts; of an element of certs_keys it is the one
%% pair that is at fault, such as `{keyfile, Path}'.
-spec native(TlsOpts :: term(), Alpn :: [binary()])
	-> {ok, native()} | {error, Element :: term()}.
native(TlsOpts, Alpn) ->
	case check(TlsOpts) of
		ok -> native_checked(maps:from_list(TlsOpts), Alpn);
		Error -> Error
	end.

native_checked(#{verify := verify_none, verify_fun := VerifyFun}, _) when VerifyFun =/= undefined ->
	{error, {verify_fun, VerifyFun}};
native_checked(Opts, Alpn) ->
	Versions = versions(Opts),
	case {roots(Opts), ciphers(Opts, Versions)} of
		{{ok, Roots}, {ok, Ciphers}} ->
			case gun_rs_tls_files:identities(Opts, Roots) of
				{ok, Identities} ->
					{ok, #{
						alpn => maps:get(alpn_advertised_protocols, Opts, Alpn),
						ciphers => Ciphers,
						depth => maps:get(depth, Opts, 10),
						further_names => further_names(Opts),
						groups => groups(Opts, Versions),
						identities => Identities,
						resume => resume(Opts),
						roots => Roots,
						server_name => server_name(Opts),
						signature_algs => signature_algs(Opts),
						verify => verify(Opts),
						versions => Versions
					}};
				Error ->
					Error
			end;
		{{ok, _}, Error} ->
			Error;
		{Error, _} ->
			Error
	end.

%% In the order in which rustls has them, so that equal sets are equal terms.
versions(#{versions := Versions}) ->
	[Version || Version <- ['tlsv1.2', 'tlsv1.3'], lists:member(Version, Versions)];
versions(_) ->
	['tlsv1.2', 'tlsv1.3'].

verify(#{verify := verify_none}) -> none;
verify(_) -> peer.

%% Without roots every server would be turned away.
roots(Opts=#{cacerts := []}) ->
	case verify(Opts) of
		none -> {ok, []};
		peer -> {error, {cacerts, []}}
	end;
roots(#{cacerts := CACerts}) ->
	{ok, [der(CACert) || CACert <- CACerts]};
roots(#{cacertfile := Path}) ->
	case gun_rs_tls_files:certificates(Path) of
		{ok, Ders} -> {ok, Ders};
		error -> {error, {cacertfile, Path}}
	end;
roots(_) ->
	{ok, system}.

der({cert, Der, _}) -> Der;
der(Der) -> Der.

%% Suites of the one version say nothing about the other: without a suite it is not
%% offered.
ciphers(#{ciphers := Suites}, Versions) ->
	case gun_rs_tls_algorithms:ciphers(Suites, Versions) of
		{ok, Ciphers} -> {ok, Ciphers};
		error -> {error, {ciphers, Suites}}
	end;
ciphers(_, _) ->
	{ok, default}.

signature_algs(#{signature_algs := Algs}) ->
	{ok, Names} = gun_rs_tls_algorithms:signature_algs(Algs),
	Names;
signature_algs(_) ->
	default.

%% One extension carries the groups of TLS 1.3 and the curves of TLS 1.2 (RFC 8446,
%% 4.2.7). What is said for the newest version counts.
groups(Opts, Versions) ->
	case [maps:get(Key, Opts) || Key <- group_options(Versions), is_map_key(Key, Opts)] of
		[Groups|_] ->
			{ok, Names} = gun_rs_tls_algorithms:groups(Groups),
			Names;
		[] ->
			default
	end.

group_options(Versions) ->
	case lists:member('tlsv1.3', Versions) of
		true -> [supported_groups, eccs];
		false -> [eccs, supported_groups]
	end.

resume(Opts) ->
	maps:get(reuse_sessions, Opts, true) =/= false
		andalso maps:get(session_tickets, Opts, auto) =/= disabled.

server_name(#{server_name_indication := disable}) -> disable;
server_name(#{server_name_indication := Name}) -> iolist_to_binary(Name);
server_name(_) -> host.

%% Beside the host's own name, as in ssl, whose own check is made where there is a
%% verify_fun too.
further_names(#{verify_fun := {_, Opts}}) -> [iolist_to_binary(Name) || {check_hostname, Name} <- Opts];
further_names(_) -> [].

%% @doc Whether good options stand for the same whenever they are looked at: the roots of
%% the system and the contents of files may change.
-spec is_constant(TlsOpts :: [tls_opt()]) -> boolean().
is_constant(TlsOpts) ->
	Opts = maps:from_list(TlsOpts),
	is_map_key(cacerts, Opts) andalso maps:with([certfile, certs_keys, keyfile, password], Opts) =:= #{}.

%% @doc Good options without what public_key has made of the certificates in them, which
%% takes many times their room.
-spec without_decoded(TlsOpts :: [tls_opt()]) -> [tls_opt()].
without_decoded(TlsOpts) ->
	[case Opt of
		{cacerts, CACerts} -> {cacerts, [der(CACert) || CACert <- CACerts]};
		_ -> Opt
	end || Opt <- TlsOpts].

%% @doc The element of options that check/1 takes from which the native library's option
%% came, for when it cannot be honoured. Of several the one that counts; an empty list
%% stands for one that is not there, as where the system has no roots.
-spec at_fault(native_key() | atom(), TlsOpts :: [tls_opt()]) -> Element :: {atom(), term()}.
at_fault(What, TlsOpts) ->
	Opts = maps:from_list(TlsOpts),
	Keys = options_of(What, Opts),
	case [{Key, maps:get(Key, Opts)} || Key <- Keys, is_map_key(Key, Opts)] of
		[Element|_] -> Element;
		[] -> {hd(Keys), []}
	end.

options_of(alpn, _) -> [alpn_advertised_protocols];
options_of(further_names, _) -> [verify_fun];
options_of(groups, Opts) -> group_options(versions(Opts));
options_of(identities, _) -> [certs_keys, key, keyfile, certfile];
options_of(resume, _) -> [reuse_sessions, session_tickets];
options_of(roots, _) -> [cacerts, cacertfile];
options_of(server_name, _) -> [server_name_indication];
options_of(Key, _) -> [Key].

%% @doc An English sentence, without its period, for an element that was refused. It
%% shows no password and no key.
-spec refusal(Element :: term()) -> unicode:chardata().
refusal(Element) when is_list(Element); is_map(Element); Element =:= hidden ->
	"The TLS options (tls_opts) must be a list";
refusal(Element) ->
	["The TLS option ", shown(Element), " is refused: ", why(Element)].

why({_, {hidden, Why}}) ->
	Why;
why(Element) ->
	case decide(Element) of
		ok -> native_refusal(Element);
		Text -> Text
	end.

%% @doc An element that was refused, as it stands in a reason: one that may have a secret
%% in it has the text of its refusal in the place of its value.
-spec refused(Element :: term()) -> term().
refused(Element) when is_list(Element) ->
	hidden;
refused(Element) when is_map(Element) ->
	maps:map(fun(Key, Value) ->
		case gun_rs_secrets:is_secret(Key) of
			true -> hidden;
			false -> Value
		end
	end, Element);
refused(Element) when is_tuple(Element), tuple_size(Element) > 0 ->
	case gun_rs_secrets:is_secret(element(1, Element)) of
		true -> {element(1, Element), {hidden, unicode:characters_to_list(why(Element))}};
		false -> Element
	end;
refused(Element) ->
	Element.

%% What can be said of a value only with the other options, with the files, or by rustls.
native_refusal({cacertfile, _}) ->
	"the file cannot be read, has no certificate in PEM, or has one that rustls cannot use";
native_refusal({cacerts, []}) ->
	"without a root certificate no server can be verified; where tls_opts has neither cacerts "
	"nor cacertfile the system has none that can be read (they are in the package ca-certificates)";
native_refusal({cacerts, _}) ->
	"there is a certificate among them that rustls cannot use";
native_refusal({cert, _}) ->
	"there is no key or keyfile for this certificate";
native_refusal({certfile, _}) ->
	"the file cannot be read, has no certificate in PEM, or there is no key for it that "
	"rustls can use and that is the key of the first certificate";
native_refusal({certs_keys, _}) ->
	"rustls cannot use one of the keys, or it is not the key of its certificate";
native_refusal({ciphers, _}) ->
	"none of these suites is one of the versions asked for";
native_refusal({key, _}) ->
	"there is no cert or certfile for this key, rustls cannot use it, or it is the key of another certificate";
native_refusal({keyfile, _}) ->
	"the file cannot be read, has not exactly one private key in PEM, is encrypted with "
	"another password or none, there is no cert or certfile for it, rustls cannot use it, or it is the "
	"key of another certificate";
native_refusal({verify_fun, _}) ->
	"it has a host name checked, and with verify_none nothing is verified";
native_refusal({password, _}) ->
	"the fun has raised, or has not returned iodata";
native_refusal(_) ->
	"it cannot be honoured".

%% What may be a secret is not shown, nor what is long and tells nothing.
shown({Key, _}) when Key =:= cacerts; Key =:= cert; Key =:= certs_keys; Key =:= early_data;
		Key =:= key; Key =:= password; Key =:= psk_identity; Key =:= reuse_session;
		Key =:= srp_identity; Key =:= use_ticket ->
	atom_to_list(Key);
shown(Element) ->
	gun_rs_text:term(Element).

%% Options that are honoured. A text says why a value is not.

decide({alpn_advertised_protocols, Protocols}) ->
	expect(is_list_of(fun(P) -> P =:= <<"http/1.1">> orelse P =:= <<"http/1.0">> end, Protocols),
		"a list of the binaries \"http/1.1\" and \"http/1.0\", the protocols of this release");
decide({cacertfile, Path}) ->
	expect(is_path(Path), "the name of a file");
decide({cacerts, CACerts}) ->
	expect(is_list_of(fun is_cacert/1, CACerts),
		"a list of certificates in DER, or of what public_key:cacerts_get/0 returns");
decide({cert, Cert}) ->
	expect(is_chain(Cert), "a certificate in DER, or a list of them");
decide({certfile, Path}) ->
	expect(is_path(Path), "the name of a file");
decide({certs_keys, Confs}) ->
	expect(is_list_of(fun is_cert_key_conf/1, Confs),
		"a list of maps with cert or certfile, key or keyfile, and password, each of which "
		"could stand alone in tls_opts");
decide({ciphers, Suites}) ->
	case gun_rs_tls_algorithms:ciphers(Suites, ['tlsv1.2', 'tlsv1.3']) of
		{ok, _} -> ok;
		error -> "there is no cipher suite among them that rustls has"
	end;
decide({customize_hostname_check, []}) ->
	ok;
decide({customize_hostname_check, [{match_fun, Fun}]}) ->
	case public_key:pkix_verify_hostname_match_fun(https) of
		Fun -> ok;
		_ -> "names are matched as for https, and in no other way"
	end;
decide({customize_hostname_check, _}) ->
	"names are matched as for https, and in no other way";
decide({depth, Depth}) ->
	expect(is_integer(Depth) andalso Depth >= 0 andalso Depth =< 255,
		"an integer of 0 to 255");
decide({eccs, Groups}) ->
	decide_groups(Groups);
decide({key, {'DSAPrivateKey', _}}) ->
	"rustls has no DSA";
decide({key, #{algorithm := _}}) ->
	"keys in an engine and funs that sign cannot be used by rustls";
decide({key, Key}) ->
	expect(is_key(Key), "{Type, Der}, Type one of 'RSAPrivateKey', 'ECPrivateKey' and "
		"'PrivateKeyInfo'");
decide({keyfile, Path}) ->
	expect(is_path(Path), "the name of a file");
decide({password, Password}) ->
	expect(is_function(Password, 0) orelse is_iodata(Password),
		"iodata, or a fun of no arguments that returns it");
decide({reuse_sessions, Reuse}) ->
	expect(is_boolean(Reuse) orelse Reuse =:= save, "true, false or save");
decide({server_name_indication, disable}) ->
	ok;
decide({server_name_indication, Name}) ->
	expect(is_server_name(Name), "a domain name in ASCII, an IP address, or disable");
decide({session_tickets, manual}) ->
	"tickets are kept by gun_rs, and cannot be given or taken";
decide({session_tickets, Tickets}) ->
	expect(Tickets =:= auto orelse Tickets =:= disabled, "auto or disabled");
decide({signature_algs, Algs}) ->
	case gun_rs_tls_algorithms:signature_algs(Algs) of
		{ok, _} -> ok;
		error -> "there is no signature algorithm among them that rustls has"
	end;
decide({supported_groups, Groups}) ->
	decide_groups(Groups);
decide({verify, Verify}) ->
	expect(Verify =:= verify_peer orelse Verify =:= verify_none,
		"verify_peer or verify_none");
decide({verify_fun, undefined}) ->
	ok;
decide({verify_fun, VerifyFun}) ->
	case is_hostname_check(VerifyFun) of
		true -> ok;
		false ->
			"no Erlang fun takes part in a handshake; the only one that is known is fun "
			"ssl_verify_hostname:verify_fun/3 with [{check_hostname, Name}], which is checked without it"
	end;
decide({versions, Versions}) ->
	Old = is_list_of(fun is_atom/1, Versions)
		andalso (lists:member('tlsv1.1', Versions) orelse lists:member(tlsv1, Versions)),
	case Old of
		true -> "rustls has TLS 1.2 and 1.3, and none of the older versions";
		false -> expect(Versions =/= [] andalso is_list_of(
			fun(V) -> V =:= 'tlsv1.2' orelse V =:= 'tlsv1.3' end, Versions),
			"a list, not empty, of 'tlsv1.2' and 'tlsv1.3'")
	end;

%% Options without a meaning here: nothing is logged, no process stands behind a
%% connection's TLS, and a client verifies no client.

decide({fail_if_no_peer_cert, Fail}) ->
	expect(is_boolean(Fail), "true or false");
decide({hibernate_after, Timeout}) ->
	expect(Timeout =:= infinity orelse (is_integer(Timeout) andalso Timeout >= 0),
		"a number of milliseconds or infinity");
decide({log_alert, Bool}) ->
	expect(is_boolean(Bool), "true or false");
decide({log_level, Level}) ->
	expect(lists:member(Level, [all, none, emergency, alert, critical, error, warning,
		notice, info, debug]), "a level of logger, all or none");
decide({max_handshake_size, Size}) ->
	expect(is_integer(Size) andalso Size >= ?MAX_HANDSHAKE_SIZE andalso Size =< ?MAX_UNIT24,
		"a number of bytes not below 65535, the limit that holds anyway");
decide({receiver_spawn_opts, Opts}) ->
	expect(is_list_of(fun(_) -> true end, Opts), "a list");
decide({sender_spawn_opts, Opts}) ->
	expect(is_list_of(fun(_) -> true end, Opts), "a list");
decide({ssl_imp, Imp}) ->
	expect(Imp =:= new orelse Imp =:= old, "new or old");

%% Options that are refused, unless their value is what is done anyway.

decide({allow_any_ca_purpose, false}) -> ok;
decide({allow_any_ca_purpose, _}) -> "rustls counts the purposes of every certificate";
decide({beast_mitigation, one_n_minus_one}) -> ok;
decide({beast_mitigation, _}) -> "it belongs to TLS 1.0, which rustls does not have";
decide({cb_info, _}) -> "the socket is the native library's";
decide({cert_policy_opts, []}) -> ok;
decide({cert_policy_opts, _}) -> "rustls does not look at certificate policies";
decide({certificate_authorities, false}) -> ok;
decide({certificate_authorities, _}) -> "the names of the roots are not sent to a server";
decide({client_preferred_next_protocols, _}) ->
	"rustls has ALPN (alpn_advertised_protocols) and not its predecessor NPN";
decide({crl_cache, _}) -> "revocation lists are not looked at";
decide({crl_check, false}) -> ok;
decide({crl_check, _}) -> "revocation lists are not looked at";
decide({early_data, _}) -> "nothing is sent before the handshake is done";
decide({fallback, false}) -> ok;
decide({fallback, _}) -> "no connection falls back to an older version";
decide({handshake, full}) -> ok;
decide({handshake, _}) -> "a handshake cannot be paused";
decide({keep_secrets, false}) -> ok;
decide({keep_secrets, _}) ->
	"secrets are logged to the file that SSLKEYLOGFILE names, and in no other way";
decide({key_update_at, _}) -> "rustls renews keys at the limits of each cipher suite";
decide({max_fragment_length, undefined}) -> ok;
decide({max_fragment_length, _}) -> "rustls does not ask a server for shorter records";
decide({middlebox_comp_mode, true}) -> ok;
decide({middlebox_comp_mode, _}) -> "rustls always does what middleboxes need";
decide({padding_check, true}) -> ok;
decide({padding_check, _}) -> "it belongs to TLS 1.0, which rustls does not have";
decide({ocsp_nonce, false}) -> ok;
decide({ocsp_nonce, _}) -> "the status of certificates (OCSP) is not looked at";
decide({ocsp_responder_certs, []}) -> ok;
decide({ocsp_responder_certs, _}) -> "the status of certificates (OCSP) is not looked at";
decide({ocsp_stapling, false}) -> ok;
decide({ocsp_stapling, _}) -> "the status of certificates (OCSP) is not looked at";
decide({partial_chain, _}) ->
	"no Erlang fun takes part in a handshake; put the trusted certificate into cacerts";
decide({protocol, tls}) -> ok;
decide({protocol, _}) -> "there is no DTLS here";
decide({psk_groups, _}) -> "rustls has no pre-shared keys of the user's";
decide({psk_identity, _}) -> "rustls has no pre-shared keys of the user's";
decide({reuse_session, _}) -> "sessions are kept by gun_rs, and cannot be given or taken";
decide({secure_renegotiate, true}) -> ok;
decide({secure_renegotiate, _}) -> "rustls never renegotiates";
decide({signature_algs_cert, _}) ->
	"signature_algs holds for certificates and handshakes alike";
decide({srp_identity, _}) -> "rustls has no SRP";
decide({stapling, no_staple}) -> ok;
decide({stapling, _}) -> "the status of certificates (OCSP) is not looked at";
decide({use_srtp, _}) -> "it belongs to DTLS, which is not here";
decide({use_ticket, _}) -> "tickets are kept by gun_rs, and cannot be given or taken";
decide({user_lookup_fun, _}) -> "rustls has neither pre-shared keys nor SRP";

%% What is no option of TLS.

decide(Opt) ->
	case is_socket_option(Opt) of
		true -> "it is an option of the socket, and tcp_opts has those";
		false -> "it is unknown"
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

decide_groups(Groups) ->
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
		andalso check(maps:to_list(Conf)) =:= ok;
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

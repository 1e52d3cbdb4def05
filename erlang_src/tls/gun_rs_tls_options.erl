%% @doc Every option of `ssl:tls_client_option()', and what becomes of it here.
%%
%% `gun_rs_tls_option_check' has one clause per option. An option is honoured; or it has no meaning here, so that to
%% ignore it changes nothing; or it is refused, unless its value asks for no more than
%% what is done anyway. An element that is no option of ssl is refused as well.
%%
%% Of two elements for one option the last counts, as in ssl; the other one must still
%% be one that is taken.
-module(gun_rs_tls_options).

-export([check/1]).
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

-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc Whether these options can be honoured, without a look at any file. Else the
%% first element that cannot, or the options themselves when they are no list.
-spec check(TlsOpts :: term()) -> ok | {error, Element :: term()}.
check(TlsOpts) when ?IS_PROPER_LIST(TlsOpts) ->
	case [Opt || Opt <- TlsOpts, gun_rs_tls_option_check:check(Opt) =/= ok] of
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
at_fault(NativeKey, TlsOpts) ->
	Opts = maps:from_list(TlsOpts),
	Keys = options_of(NativeKey, Opts),
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
	case gun_rs_tls_option_check:check(Element) of
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
native_refusal({alpn_advertised_protocols, _}) ->
	"there is a protocol among them that the option protocols does not have: http2 stands for h2, and http for the others";
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

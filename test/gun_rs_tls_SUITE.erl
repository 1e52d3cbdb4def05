%% A server's certificate is verified unless the user says otherwise, and each way in which one can be wrong has its
%% alert and its sentence; so have the certificates that servers want of clients.
-module(gun_rs_tls_SUITE).

-include_lib("public_key/include/public_key.hrl").

-define(NEEDS, [cowboy, certs]).
-define(TIMETRAP, {minutes, 2}).
-include("gun_rs_suite.hrl").

%% The same of each server.
groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	[{cowboy, Cases}, {openssl, Cases}, {rust, Cases}].

init_per_group(Group, Config) ->
	[{kind, Group}|Config].

end_per_group(_, _) ->
	ok.

%% Good certificates.

good_chain_by_name(Config) ->
	doc("A chain that ends in a given root is trusted for the name in it: a string, an atom or a binary."),
	do_with(Config, good, fun(Server, Port) ->
		_ = [do_use(Server, do_open(Host, Port, do_roots(Config))) || Host <- ["localhost", localhost, <<"localhost">>]]
	end).

good_chain_by_address(Config) ->
	doc("A chain is trusted for an IP address in it: a tuple, a string or a binary."),
	do_with(Config, good, fun(Server, Port) ->
		_ = [do_use(Server, do_open(Host, Port, do_roots(Config)))
			|| Host <- [{127, 0, 0, 1}, "127.0.0.1", <<"127.0.0.1">>]]
	end).

good_chain_with_rsa(Config) ->
	doc("A key may be RSA of 2048 bits, with TLS 1.2 and 1.3."),
	do_with(Config, good_rsa, fun(Server, Port) ->
		_ = [do_use(Server, do_open("localhost", Port, [{versions, [Version]}|do_roots(Config)]))
			|| Version <- ['tlsv1.2', 'tlsv1.3']]
	end).

wildcard_in_its_place(Config) ->
	doc("A wildcard stands for one label, the first."),
	do_with(Config, good, fun(Server, Port) ->
		Match = public_key:pkix_verify_hostname_match_fun(https),
		_ = [do_use(Server, do_open("localhost", Port, TlsOpts ++ do_roots(Config))) || TlsOpts <- [
			[{server_name_indication, "www.example.test"}],
			[{server_name_indication, "WWW.Example.Test"}],
			[{server_name_indication, "www.example.test"}, {customize_hostname_check, [{match_fun, Match}]}]
		]]
	end).

roots_in_every_form(Config) ->
	doc("Roots are given in a file, as DER, or as public_key's records, alone or among others."),
	#{root := #{der := Root, certfile := File}, other_root := #{der := Other}} = config(certs, Config),
	Record = fun(Der) -> #cert{der = Der, otp = public_key:pkix_decode_cert(Der, otp)} end,
	Both = filename:join(config(priv_dir, Config), "both.pem"),
	ok = file:write_file(Both, tls_certs:pem([Other, Root])),
	do_with(Config, good, fun(Server, Port) ->
		_ = [do_use(Server, do_open("localhost", Port, [Roots])) || Roots <- [
			{cacertfile, File},
			{cacertfile, unicode:characters_to_binary(File)},
			{cacertfile, Both},
			{cacerts, [Root]},
			{cacerts, [Other, Root]},
			{cacerts, [Record(Root)]},
			{cacerts, [Record(Root)|public_key:cacerts_get()]}
		]],
		_ = [{unknown_ca, _} = do_alert("localhost", Port, [Roots]) || Roots <- [
			{cacerts, [Other]},
			{cacerts, [Record(Other)]}
		]]
	end).

options_of_other_libraries(Config) ->
	doc("What libraries over gun give in tls_opts is taken, and what it asks for is done."),
	#{root := #{certfile := File, der := Root}, other_root := #{der := Other}} = config(certs, Config),
	Match = {customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]},
	Tesla = fun(Name) ->
		[{verify, verify_peer}, {cacertfile, File}, {depth, 20}, {reuse_sessions, false},
			{verify_fun, {fun ssl_verify_hostname:verify_fun/3, [{check_hostname, Name}]}}]
	end,
	Nostrum = fun(Roots) -> [{verify, verify_peer}, {cacerts, Roots}, {depth, 3}, Match] end,
	Gluegun = fun(Roots, Name) ->
		[{verify, verify_peer}, {cacerts, Roots}, {server_name_indication, Name}, {depth, 3},
			{versions, ['tlsv1.3', 'tlsv1.2']}, Match]
	end,
	Hackney = [{verify, verify_peer}, {cacerts, [Root]}, {fail_if_no_peer_cert, false}, {server_name_indication, "localhost"}],
	do_with(Config, good, fun(Server, Port) ->
		_ = [do_use(Server, do_open("localhost", Port, TlsOpts)) || TlsOpts <- [
			Tesla("localhost"),
			Tesla("www.example.test"),
			[{server_name_indication, disable}|Tesla("localhost")],
			Nostrum([Root]),
			Gluegun([Other, Root], "www.example.test"),
			Hackney
		]],
		_ = [do_says([Name], element(2, {Alert, _} = do_alert("localhost", Port, TlsOpts)))
			|| {Alert, Name, TlsOpts} <- [
			{handshake_failure, "for another host than elsewhere.test", Tesla("elsewhere.test")},
			{handshake_failure, "for another host than elsewhere.test",
				[{server_name_indication, disable}|Tesla("elsewhere.test")]},
			{handshake_failure, "for another host than elsewhere.test",
				[{server_name_indication, "elsewhere.test"}|Tesla("localhost")]},
			{unknown_ca, "localhost", Nostrum([Other])},
			{handshake_failure, "for another host than elsewhere.test", Gluegun([Root], "elsewhere.test")}
		]],
		ok
	end).

self_signed_as_a_root(Config) ->
	doc("A self-signed certificate is trusted once it is among the roots."),
	#{self_signed := #{certfile := File}} = config(certs, Config),
	do_with(Config, self_signed, fun(Server, Port) ->
		do_use(Server, do_open("localhost", Port, [{cacertfile, File}]))
	end).

certificate_as_its_own_root(Config) ->
	doc("A certificate that is itself among the roots is trusted, an authority's and one that another has signed too."),
	_ = [begin
		#{der := Der, certfile := File} = maps:get(Name, config(certs, Config)),
		do_with(Config, Name, fun(Server, Port) ->
			do_use(Server, do_open("localhost", Port, [{cacertfile, File}])),
			do_use(Server, do_open("localhost", Port, [{cacerts, [Der]}, {depth, 0}]))
		end)
	end || Name <- [self_signed_authority, authority_as_a_leaf, unknown_root]],
	ok.

certificate_as_its_own_root_is_verified(Config) ->
	doc("Of a certificate that is itself among the roots the dates, the host and the purpose must still be right."),
	_ = [begin
		#{certfile := File} = maps:get(Name, config(certs, Config)),
		do_refuses(Config, Name, "localhost", [{cacertfile, File}], [Alert], ["gun_rs " ++ atom_to_list(Name)|Words])
	end || {Name, Alert, Words} <- [
		{pinned_expired, certificate_expired, ["2001-01-01", "2002-02-02"]},
		{pinned_elsewhere, handshake_failure, ["elsewhere.test"]},
		{client_purpose, unsupported_certificate, []}
	]],
	ok.

%% Bad ones.

expired(Config) ->
	doc("An expired certificate is refused; the sentence says whose it is and when it ended."),
	do_refuses(Config, expired, "localhost", [], [certificate_expired], ["localhost", "gun_rs expired", "2002"]).

not_yet_valid(Config) ->
	doc("A certificate of the future is refused; the sentence says whose it is and when it begins."),
	do_refuses(Config, not_yet_valid, "localhost", [], [certificate_expired],
		["localhost", "gun_rs not_yet_valid", "2101"]).

wrong_host(Config) ->
	doc("A certificate for others is refused, by name and by address; the sentence says who was asked for."),
	do_refuses(Config, wrong_host, "localhost", [], [handshake_failure], ["localhost", "gun_rs wrong_host"]),
	do_refuses(Config, wrong_host, {127, 0, 0, 1}, [], [handshake_failure], ["127.0.0.1", "gun_rs wrong_host"]).

self_signed(Config) ->
	doc("A self-signed certificate is refused."),
	do_refuses(Config, self_signed, "localhost", [], [bad_certificate], ["localhost", "its own key"]),
	do_refuses(Config, self_signed_authority, "localhost", [], [bad_certificate], ["localhost", "its own key"]).

unknown_root(Config) ->
	doc("A chain that ends in a root that was not given is refused."),
	do_refuses(Config, unknown_root, "localhost", [], [unknown_ca], ["localhost"]).

missing_intermediate(Config) ->
	doc("A chain with a gap is refused."),
	do_refuses(Config, missing_intermediate, "localhost", [], [unknown_ca], ["localhost"]).

wildcard_out_of_place(Config) ->
	doc("A wildcard inside a name, in part of a label or alone stands for nothing, and none stands for two labels."),
	_ = [do_refuses(Config, Name, "localhost", [{server_name_indication, Host}], [handshake_failure], [Host])
		|| {Name, Host} <- [
			{wildcard_inside, "a.b.example.test"},
			{wildcard_partial, "bar.example.test"},
			{wildcard_alone, "localhost"},
			{good, "a.b.example.test"},
			{good, "example.test"}
		]],
	ok.

address_in_the_subject(Config) ->
	doc("An IP address counts as a subjectAltName, and not as the subject's common name."),
	do_refuses(Config, ip_in_subject, {127, 0, 0, 1}, [], [handshake_failure], ["127.0.0.1"]).

host_in_the_subject(Config) ->
	doc("A host name counts as a subjectAltName, and not as the subject's common name."),
	do_refuses(Config, host_in_subject, "localhost", [], [handshake_failure], ["localhost"]).

weak_authority(Config) ->
	doc("An authority whose key is RSA of 1024 bits is refused; the sentence says that the key is weak."),
	do_refuses(Config, weak_authority, "localhost", [], [insufficient_security], ["localhost", "key", "2048"]).

weak_key(Config) ->
	doc("A server whose key is RSA of 1024 bits is refused, with verify_none too: its signatures cannot be verified."),
	case config(kind, Config) of
		rust ->
			%% It does not serve such a key.
			ok;
		_ ->
			do_with(Config, weak_key, fun(_, Port) ->
				%% OTP has no signature that short a key can make, in TLS 1.2.
				Versions = ['tlsv1.2' || config(kind, Config) =/= cowboy] ++ ['tlsv1.3'],
				_ = [begin
					{insufficient_security, Sentence} = do_alert("localhost", Port, [{versions, [Version]}|TlsOpts]),
					do_says(["localhost", "CN=gun_rs weak_key, ", "an RSA key of 1024 bits", "2048"], Sentence)
				end || Version <- Versions, TlsOpts <- [do_roots(Config), [{verify, verify_none}]]],
				ok
			end)
	end.

wrong_purpose(Config) ->
	doc("A certificate that is for clients is refused from a server."),
	do_refuses(Config, client_purpose, "localhost", [], [unsupported_certificate],
		["localhost", "gun_rs client_purpose"]).

issued_by_a_leaf(Config) ->
	doc("A certificate that is no authority's cannot sign another; the sentence names it."),
	_ = do_refuses(Config, issued_by_a_leaf, "localhost", [], [bad_certificate],
		["localhost", "intermediate certificate (CN=gun_rs good, ", "authority"]),
	ok.

fault_of_an_authority(Config) ->
	doc("The certificate at fault is named where it is not the server's, with its issuer and what is wrong with it."),
	_ = [begin
		{_, Sentence} = do_refuses(Config, Name, "localhost", [], Alerts, ["localhost", "gun_rs root "|Words]),
		ct:log("~ts", [Sentence]),
		nomatch = string:find(Sentence, "server's certificate (")
	end || {Name, Alerts, Words} <- [
		{expired_authority, [certificate_expired], ["gun_rs authority_of_expired_authority", "2001-01-01", "2002-02-02"]},
		{future_authority, [certificate_expired], ["gun_rs authority_of_future_authority", "2101-01-01", "2102-02-02"]},
		{clients_authority, [unsupported_certificate], ["gun_rs authority_of_clients_authority", "for servers"]},
		{critical_authority, [unknown_ca], ["gun_rs authority_of_critical_authority", "critical extension"]},
		{sha1_authority, [insufficient_security], ["gun_rs authority_of_sha1_authority", "is signed with SHA-1 and ECDSA, which is not accepted"]},
		{forged_authority, [bad_certificate], ["gun_rs forged", "signature that is wrong"]},
		{too_long, [bad_certificate], ["gun_rs lowest", "allows 0"]},
		{weak_authority, [insufficient_security], ["gun_rs weak_intermediate", "1024", "2048"]}
	]],
	ok.

fault_between_two(Config) ->
	doc("What an authority may not vouch for, and what it has not signed, is told with its name."),
	_ = [do_refuses(Config, Name, "localhost", [], Alerts, ["localhost", "gun_rs " ++ atom_to_list(Name)|Words])
	|| {Name, Alerts, Words} <- [
		{constrained_authority, [bad_certificate], ["gun_rs authority_of_constrained_authority", "localhost, *.example.test"]},
		{wrong_signature, [bad_certificate], ["gun_rs intermediate", "signature that is wrong"]},
		{authority_as_a_leaf, [unknown_ca], ["gun_rs other_root", "authority"]}
	]],
	ok.

end_of_the_chain(Config) ->
	doc("A chain that leads to no root is told by its last certificate, and by the issuer that is missing."),
	_ = [do_refuses(Config, Name, "localhost", [], [unknown_ca], ["localhost"|Words]) || {Name, Words} <- [
		{unknown_authority, ["gun_rs stranger", "gun_rs other_root", "nor has the server sent it"]},
		{unknown_root_sent, ["root certificate that the server sent (CN=gun_rs other_root"]},
		{missing_intermediate, ["gun_rs missing_intermediate", "gun_rs intermediate", "nor has the server sent it"]}
	]],
	ok.

roots_of_the_system(Config) ->
	doc("Without roots in tls_opts, and without tls_opts, the system's are trusted, and no others."),
	do_with(Config, good, fun(_, Port) ->
		{unknown_ca, _} = do_alert("localhost", Port, []),
		{shutdown, {tls_alert, {unknown_ca, _}}} =
			gun_rs_test:exit_of("localhost", Port, #{transport => tls, retry => 0})
	end).

chain_longer_than_depth(Config) ->
	doc("depth is how many certificates may stand between the server's and the root."),
	do_with(Config, good, fun(Server, Port) ->
		do_use(Server, do_open("localhost", Port, [{depth, 1}|do_roots(Config)])),
		{_, _} = do_alert("localhost", Port, [{depth, 0}|do_roots(Config)])
	end).

failed_handshake_is_tried_again(Config) ->
	doc("A handshake that fails is an attempt that fails: as many as retry says, and then the alert is told."),
	do_with(Config, expired, fun(_, Port) ->
		{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
		{shutdown, {tls_alert, {certificate_expired, _}}} = gun_rs_test:exit_of("localhost", MiddlePort,
			#{transport => tls, tls_opts => do_roots(Config), retry => 2, retry_timeout => 10}),
		_ = [?EXPECT({tcp_middle, Middle, accepted}) || _ <- [1, 2, 3]],
		?REFUTE({tcp_middle, Middle, accepted}),
		tcp_middle:stop(Middle)
	end).

%% Certificates of clients.

client_certificate(Config) ->
	doc("A server that wants a certificate gets it: from files, as DER, and in certs_keys."),
	#{client_ec := Ec, client_rsa := Rsa} = config(certs, Config),
	#{certfile := EcFile, keyfile := EcKeyFile, der := EcDer, key := EcKey} = Ec,
	#{certfile := RsaFile, keyfile := RsaKeyFile, der := RsaDer, key := RsaKey} = Rsa,
	EcKeyDer = {'ECPrivateKey', public_key:der_encode('ECPrivateKey', EcKey)},
	RsaKeyDer = {'RSAPrivateKey', public_key:der_encode('RSAPrivateKey', RsaKey)},
	{'PrivateKeyInfo', EcInfo, _} = public_key:pem_entry_encode('PrivateKeyInfo', EcKey),
	do_with_client_ca(Config, [], fun(Server, Port) ->
		_ = [do_use(Server, do_open("localhost", Port, [{versions, [Version]}|ClientOpts] ++ do_roots(Config)), 1)
			|| Version <- ['tlsv1.2', 'tlsv1.3'], ClientOpts <- [
				[{certfile, EcFile}, {keyfile, EcKeyFile}],
				[{certfile, RsaFile}, {keyfile, RsaKeyFile}],
				[{cert, EcDer}, {key, EcKeyDer}],
				[{cert, [RsaDer]}, {key, RsaKeyDer}],
				[{cert, EcDer}, {key, {'PrivateKeyInfo', EcInfo}}],
				[{certs_keys, [#{certfile => EcFile, keyfile => EcKeyFile}]}],
				[{certs_keys, [#{cert => RsaDer, key => RsaKeyDer}]}]
			]]
	end).

client_certificate_with_password(Config) ->
	doc("A key that is encrypted, in PKCS #8 or PKCS #1, is opened with the password."),
	#{client_encrypted := #{certfile := Pkcs8File, keyfile := Pkcs8KeyFile},
		client_encrypted_pkcs1 := #{certfile := Pkcs1File, keyfile := Pkcs1KeyFile}} = config(certs, Config),
	do_with_client_ca(Config, [], fun(Server, Port) ->
		_ = [do_use(Server, do_open("localhost", Port, ClientOpts ++ do_roots(Config)), 1) || ClientOpts <- [
			[{certfile, Pkcs8File}, {keyfile, Pkcs8KeyFile}, {password, "secret"}],
			[{certfile, Pkcs1File}, {keyfile, Pkcs1KeyFile}, {password, "secret"}],
			[{certfile, Pkcs8File}, {keyfile, Pkcs8KeyFile}, {password, fun() -> "secret" end}],
			[{certs_keys, [#{certfile => Pkcs8File, keyfile => Pkcs8KeyFile, password => "secret"}]}]
		]]
	end).

client_certificate_missing(Config) ->
	doc("A server that wants a certificate and gets none says so: in the handshake, or in TLS 1.3 after gun_up."),
	do_with_client_ca(Config, [], fun(_, Port) ->
		_ = [begin
			{When, Alert, Sentence} = do_server_alert(Port, [{versions, [Version]}|do_roots(Config)]),
			ct:log("~p ~p ~p~n~ts", [Version, When, Alert, Sentence]),
			true = lists:member(When, Times),
			true = lists:member(Alert, [certificate_required, handshake_failure, bad_certificate]),
			do_says(["localhost", "certificate"|["certfile and keyfile" || Alert =:= certificate_required]], Sentence)
		end || {Version, Times} <- [{'tlsv1.2', [before_up]}, {'tlsv1.3', [before_up, after_up]}]]
	end).

client_certificate_of_another_authority(Config) ->
	doc("A server that does not trust the client's certificate says so."),
	#{client_purpose := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	do_with_client_ca(Config, [], fun(_, Port) ->
		_ = [begin
			{When, Alert, Sentence} = do_server_alert(Port,
				[{versions, [Version]}, {certfile, CertFile}, {keyfile, KeyFile}|do_roots(Config)]),
			ct:log("~p ~p ~p~n~ts", [Version, When, Alert, Sentence]),
			true = lists:member(Alert, [unknown_ca, bad_certificate, certificate_unknown, certificate_required,
				handshake_failure]),
			do_says(["localhost"], Sentence)
		end || Version <- ['tlsv1.2', 'tlsv1.3']]
	end).

%% Helpers.

do_with(Config, Name, Fun) ->
	_ = do_result(Config, Name, Fun),
	ok.

do_result(Config, Name, Fun) ->
	tls_servers:with(config(kind, Config), maps:get(Name, config(certs, Config)), #{}, Fun).

do_with_client_ca(Config, SslOpts, Fun) ->
	#{good := Good, client_root := ClientRoot} = config(certs, Config),
	tls_servers:with(config(kind, Config), Good, #{client_ca => ClientRoot, ssl => SslOpts}, Fun),
	ok.

do_roots(Config) ->
	#{root := #{certfile := File}} = config(certs, Config),
	[{cacertfile, File}].

do_open(Host, Port, TlsOpts) ->
	{ok, ConnPid} = gun_rs:open(Host, Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	%% Cowboy has HTTP/2, and the others have not.
	{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
	true = lists:member(Protocol, [http, http2]),
	ConnPid.

%% The server answers, so that it is content with the handshake too.
do_use(Server, ConnPid) ->
	do_use(Server, ConnPid, 0).

do_use(#{kind := cowboy}, ConnPid, _) ->
	{204, _, _} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/status?code=204")),
	ok = gun_rs:close(ConnPid);
do_use(Server, ConnPid, ClientCertificates) ->
	#{client_certificates := ClientCertificates} = tls_servers:facts(Server, ConnPid),
	ok = gun_rs:close(ConnPid).

%% The alert with which the client refuses the server, and the sentence for it.
do_alert(Host, Port, TlsOpts) ->
	{shutdown, Reason} = gun_rs_test:exit_of(Host, Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	do_alert(Reason).

do_alert(Reason = {tls_alert, {Alert, Text}}) ->
	true = io_lib:printable_unicode_list(Text),
	Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
	[] = gun_rs_test:debris(Sentence),
	{Alert, Sentence}.

%% That the server is taken with verify_none shows that it is the certificate which is refused.
do_refuses(Config, Name, Host, TlsOpts, Alerts, Words) ->
	do_result(Config, Name, fun(Server, Port) ->
		Told = {Alert, Sentence} = do_alert(Host, Port, do_roots(Config) ++ TlsOpts),
		ct:log("~p ~p~n~ts", [Name, Alert, Sentence]),
		case lists:member(Alert, Alerts) of
			true -> ok;
			false -> error({alert, Alert, Sentence})
		end,
		do_says(Words, Sentence),
		do_use(Server, do_open(Host, Port, [{verify, verify_none}|TlsOpts])),
		Told
	end).

do_says(Words, Sentence) ->
	[] = [{not_in, Sentence, Word} || Word <- Words, string:find(Sentence, Word) =:= nomatch],
	$. = lists:last(Sentence),
	ok.

%% The alert with which the server refuses the client, and when.
do_server_alert(Port, TlsOpts) ->
	Trapped = process_flag(trap_exit, true),
	{ok, ConnPid} = gun_rs:open("localhost", Port,
		#{transport => tls, tls_opts => TlsOpts, retry => 0, supervise => false}),
	{When, Reason} = receive
		{gun_down, ConnPid, Protocol, {error, R}, []} ->
			?EXPECT({gun_up, ConnPid, Protocol}),
			?EXPECT({'EXIT', ConnPid, {shutdown, _}}),
			{after_up, R};
		{'EXIT', ConnPid, {shutdown, R}} ->
			?REFUTE({gun_up, ConnPid, _}),
			{before_up, R}
	after ?WAIT ->
		gun_rs_test:missing("gun_down or an exit")
	end,
	_ = process_flag(trap_exit, Trapped),
	{Alert, Sentence} = do_alert(Reason),
	{When, Alert, Sentence}.

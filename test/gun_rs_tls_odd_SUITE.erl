%% Who asks for no verification needs a server's key and nothing else of its certificate, however odd it is; and what a
%% client's own certificate looks like is for the server to judge.
-module(gun_rs_tls_odd_SUITE).

-define(NEEDS, [cowboy, certs]).
-define(TIMETRAP, {minutes, 2}).
-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	[{odd, tls_odd_certs:make(config(priv_dir, Config))}|Config].

end_per_suite(_) ->
	ok.

server_with_an_odd_certificate(Config) ->
	doc("With verify_none a server is talked to whatever its certificate is like, in TLS 1.2 and 1.3."),
	[] = [{Name, Kind, Version, Reason}
		|| {Name, Cert} <- maps:to_list(config(odd, Config)), Version <- ['tlsv1.2', 'tlsv1.3'],
		Kind <- do_kinds(Name, Cert, Version),
		{error, Reason} <- [do_use(Kind, Cert, [{verify, verify_none}, {versions, [Version]}])]],
	ok.

server_whose_signature_is_anothers(Config) ->
	doc("With verify_none too the server must have the key of its certificate."),
	#{version_1 := V1, negative_serial := #{keyfile := OtherKey}} = config(odd, Config),
	%% OTP's ssl doesn't look whether the two belong together.
	_ = [begin
		{error, {tls_alert, {bad_certificate, Text}}} = do_use(erlang, V1#{keyfile := OtherKey},
			[{verify, verify_none}, {versions, [Version]}]),
		"localhost: the server's signature of the handshake is not by the key of its certificate" = Text
	end || Version <- ['tlsv1.2', 'tlsv1.3']],
	ok.

odd_certificate_that_is_verified(Config) ->
	doc("Where the server must be verified the sentence says what is odd; what changes nothing is accepted."),
	#{root := #{certfile := Root}} = config(certs, Config),
	_ = [begin
		{error, Reason} = do_use(openssl, maps:get(Name, config(odd, Config)), [{cacertfile, Root}]),
		Sentence = unicode:characters_to_list(gun_rs:format_error(Reason)),
		{[_|_], _} = {string:find(Sentence, "localhost: the server's certificate (CN=local, issued by itself) " ++ What), Sentence}
	end || {Name, What} <- [
		{version_1, "is of version 1, and no other than version 3 can be verified"},
		{version_2, "is of version 2, and no other than version 3 can be verified"},
		{unknown_critical_extension, "has a critical extension that is not known here"},
		{same_extension_twice, "has an extension that cannot be read"}
	]],
	_ = [{ok, _} = {do_use(Kind, Cert, [{cacertfile, File}]), Name}
		|| Name <- [negative_serial, long_serial, missing_null, bmp_string, teletex_string, nul_in_its_name, no_utf8,
			missing_null_chain],
		Cert = #{rootfile := File} <- [maps:get(Name, config(odd, Config))],
		Kind <- do_kinds(Name, Cert, 'tlsv1.3')],
	ok.

certificates_of_public_key(Config) ->
	doc("The test certificates that public_key makes with RSA of 2048 bits and SHA-256 are good, a client's too."),
	Spec = [{digest, sha256}, {key, {rsa, 2048, 65537}}],
	Chain = #{root => Spec, intermediates => [Spec], peer => Spec},
	#{server_config := ServerConfig, client_config := ClientConfig} =
		public_key:pkix_test_data(#{server_chain => Chain, client_chain => Chain}),
	{_, Roots} = lists:keyfind(cacerts, 1, ServerConfig),
	Opts = #{ssl => [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {cacerts, Roots}]},
	tls_servers:with(erlang, do_write(ServerConfig, Config), Opts, fun(Server, Port) ->
		#{client_certificates := 1} = do_facts(Server, Port, [{server_name_indication, disable}|ClientConfig])
	end),
	ok.

own_odd_certificate(Config) ->
	doc("A client's certificate is sent however odd it is: what OpenSSL cannot read is refused by the server."),
	#{good := Good, root := #{certfile := Root}} = config(certs, Config),
	%% It asks for a certificate, and takes any.
	tls_servers:with(openssl, Good, #{args => ["-verify", "1"]}, fun(Server, Port) ->
		_ = [begin
			TlsOpts = [{cacertfile, Root}, {certfile, CertFile}, {keyfile, KeyFile}, {versions, [Version]}],
			case do_openssl_reads(Cert) of
				true -> {#{client_certificates := 1}, _} = {do_facts(Server, Port, TlsOpts), Name};
				false when Version =:= 'tlsv1.2' -> {{error, {tls_alert, {decode_error, _}}}, _} = {do_open(Port, TlsOpts), Name};
				%% There it says so after the handshake.
				false -> ok
			end
		end || {Name, Cert = #{certfile := CertFile, keyfile := KeyFile}} <- maps:to_list(config(odd, Config)),
			Version <- ['tlsv1.2', 'tlsv1.3']]
	end),
	ok.

own_key_of_another_certificate(Config) ->
	doc("An odd certificate of one's own must still have one's own key."),
	#{version_1 := #{certfile := CertFile}, negative_serial := #{keyfile := OtherKey}} = config(odd, Config),
	{error, {options, {tls_opts, {keyfile, OtherKey}}}} = gun_rs:open("localhost", 443,
		#{transport => tls, tls_opts => [{certfile, CertFile}, {keyfile, OtherKey}]}),
	ok.

%% Helpers.

%% OpenSSL does not serve what it cannot read, nor this one in TLS 1.2.
do_kinds(same_extension_twice, _, 'tlsv1.2') -> [erlang];
do_kinds(_, Cert, _) -> [openssl || do_openssl_reads(Cert)] ++ [erlang].

%% Its releases differ in that.
do_openssl_reads(#{certfile := CertFile}) ->
	"0\n" =:= os:cmd("openssl x509 -noout -in '" ++ CertFile ++ "' >/dev/null 2>&1; echo $?").

%% With all that is above it, of which a client asks for no more than it needs.
do_write(ServerConfig, Config) ->
	{_, {KeyType, Key}} = lists:keyfind(key, 1, ServerConfig),
	{_, Cert} = lists:keyfind(cert, 1, ServerConfig),
	{_, CACerts} = lists:keyfind(cacerts, 1, ServerConfig),
	Path = filename:join(config(priv_dir, Config), "test_data"),
	ok = file:write_file(Path ++ ".pem", tls_certs:pem([Cert|CACerts])),
	ok = file:write_file(Path ++ ".key", public_key:pem_encode([{KeyType, Key, not_encrypted}])),
	#{certfile => Path ++ ".pem", keyfile => Path ++ ".key"}.

do_facts(Server, Port, TlsOpts) ->
	case do_open(Port, TlsOpts) of
		{ok, ConnPid} ->
			Facts = tls_servers:facts(Server, ConnPid),
			ok = gun_rs:close(ConnPid),
			Facts;
		Error ->
			Error
	end.

do_use(Kind, Cert, TlsOpts) ->
	try
		tls_servers:with(Kind, Cert, #{}, fun(Server, Port) ->
			case do_facts(Server, Port, TlsOpts) of
				#{} -> ok;
				Error -> Error
			end
		end)
	catch error:Reason ->
		{error, {server, Reason}}
	end.

do_open(Port, TlsOpts) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	case gun_rs:await_up(ConnPid, ?WAIT) of
		{ok, http} -> {ok, ConnPid};
		{error, {down, {shutdown, Reason}}} -> {error, Reason}
	end.

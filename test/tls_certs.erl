%% Certificates for the TLS suites, made when they run: two roots, an intermediate authority, and a leaf for each way in
%% which a certificate is right or wrong. A leaf is right for localhost, 127.0.0.1, ::1 and *.example.test, signed by the
%% intermediate, and sent with it, but for what its name says.
-module(tls_certs).

-export([make/1]).
-export([pem/1]).

-include_lib("public_key/include/public_key.hrl").

-export_type([cert/0]).

%% certfile has the certificates that a server sends, the leaf first, and chainfile those without the leaf.
-type cert() :: #{
	name := atom(),
	subject := binary(),
	issuer := self | map(),
	der := public_key:der_encoded(),
	chain := [public_key:der_encoded()],
	key := public_key:private_key(),
	certfile := file:filename(),
	chainfile := file:filename(),
	keyfile := file:filename()
}.

-define(NAMES, [{dNSName, "localhost"}, {dNSName, "*.example.test"},
	{iPAddress, <<127, 0, 0, 1>>}, {iPAddress, <<1:128>>}]).
-define(VALID, {{2020, 1, 1}, {2120, 1, 1}}).

%% All of them, also as files in a new directory in Parent.
-spec make(file:filename()) -> #{atom() => cert()}.
make(Parent) ->
	%% Suites that run together may have the same Parent, and OTP's ssl keeps what it has read of a file: neither names of
	%% files nor those of authorities come twice.
	Series = binary:encode_hex(crypto:strong_rand_bytes(4)),
	Dir = filename:join(Parent, "certs_" ++ binary_to_list(Series)),
	ok = file:make_dir(Dir),
	Authority = fun(Issuer, Name, Opts) ->
		issue(Issuer, Opts#{name => Name, ca => true, names => [],
			subject => <<"gun_rs ", (atom_to_binary(Name))/binary, " ", Series/binary>>})
	end,
	Root = Authority(self, root, #{}),
	OtherRoot = Authority(self, other_root, #{}),
	ClientRoot = Authority(self, client_root, #{}),
	Intermediate = Authority(Root, intermediate, #{}),
	WeakIntermediate = Authority(Root, weak_intermediate, #{key => {rsa, 1024}}),
	Leaf = fun(Name, Opts) -> issue(Intermediate, Opts#{name => Name}) end,
	%% A leaf that is right, below an authority that is not.
	Below = fun(Name, Opts) ->
		issue(Authority(Root, list_to_atom("authority_of_" ++ atom_to_list(Name)), Opts), #{name => Name})
	end,
	Lowest = Authority(Root, lowest, #{path_len => 0}),
	RootTwin = Root#{key := key(ec)},
	Sent = #{chain := SentChain} = issue(Authority(OtherRoot, second, #{}), #{name => unknown_root_sent}),
	Good = Leaf(good, #{}),
	ClientEc = issue(ClientRoot, #{name => client_ec, names => [], usage => client}),
	ClientRsa = issue(ClientRoot, #{name => client_rsa, names => [], usage => client, key => {rsa, 2048}}),
	Certs = [
		Root,
		OtherRoot,
		ClientRoot,
		Good,
		Leaf(good_rsa, #{key => {rsa, 2048}}),
		Leaf(expired, #{validity => {{2001, 1, 1}, {2002, 2, 2}}}),
		Leaf(not_yet_valid, #{validity => {{2101, 1, 1}, {2102, 2, 2}}}),
		Leaf(wrong_host, #{names => [{dNSName, "elsewhere.test"}, {iPAddress, <<192, 0, 2, 1>>}]}),
		Leaf(wildcard_inside, #{names => [{dNSName, "a.*.example.test"}]}),
		Leaf(wildcard_alone, #{names => [{dNSName, "*"}]}),
		Leaf(wildcard_partial, #{names => [{dNSName, "b*.example.test"}]}),
		Leaf(ip_in_subject, #{names => [], subject => <<"127.0.0.1">>}),
		Leaf(host_in_subject, #{names => [], subject => <<"localhost">>}),
		Leaf(client_purpose, #{usage => client}),
		Leaf(weak_key, #{key => {rsa, 1024}}),
		issue(WeakIntermediate, #{name => weak_authority}),
		Below(expired_authority, #{validity => {{2001, 1, 1}, {2002, 2, 2}}}),
		Below(future_authority, #{validity => {{2101, 1, 1}, {2102, 2, 2}}}),
		Below(clients_authority, #{usage => client}),
		Below(constrained_authority, #{permitted => "example.test"}),
		Below(critical_authority, #{critical => true}),
		Below(sha1_authority, #{digest => sha}),
		issue(Authority(Lowest, too_low, #{}), #{name => too_long}),
		%% Signed with another key than the one that its issuer has.
		issue(Intermediate#{key := key(ec)}, #{name => wrong_signature}),
		issue(Authority(RootTwin, forged, #{}), #{name => forged_authority}),
		issue(Authority(OtherRoot, stranger, #{}), #{name => unknown_authority}),
		Sent#{chain := SentChain ++ [maps:get(der, OtherRoot)]},
		issue(self, #{name => pinned_expired, ca => true, names => ?NAMES, validity => {{2001, 1, 1}, {2002, 2, 2}}}),
		issue(self, #{name => pinned_elsewhere, ca => true, names => [{dNSName, "elsewhere.test"}]}),
		issue(OtherRoot, #{name => authority_as_a_leaf, ca => true, names => ?NAMES}),
		issue(OtherRoot, #{name => unknown_root}),
		issue(Good, #{name => issued_by_a_leaf}),
		issue(self, #{name => self_signed}),
		issue(self, #{name => self_signed_authority, ca => true, names => ?NAMES}),
		(Leaf(missing_intermediate, #{}))#{chain := []},
		ClientEc,
		ClientRsa,
		%% The same, with its key in a file that the password "secret" opens.
		ClientEc#{name := client_encrypted},
		ClientRsa#{name := client_encrypted_pkcs1},
		%% A key of another certificate's.
		ClientEc#{name := client_wrong_key, key := maps:get(key, Good)}
	],
	maps:from_list([{Name, write(Dir, Cert)} || Cert = #{name := Name} <- Certs]).

%% Certificates as a PEM file has them.
-spec pem([public_key:der_encoded()]) -> binary().
pem(Ders) ->
	public_key:pem_encode([{'Certificate', Der, not_encrypted} || Der <- Ders]).

write(Dir, Cert = #{name := Name, der := Der, chain := Chain, key := Key}) ->
	CertFile = filename:join(Dir, atom_to_list(Name) ++ ".pem"),
	ChainFile = filename:join(Dir, atom_to_list(Name) ++ ".chain.pem"),
	KeyFile = filename:join(Dir, atom_to_list(Name) ++ ".key"),
	ok = file:write_file(CertFile, pem([Der|Chain])),
	ok = file:write_file(ChainFile, pem(Chain)),
	ok = file:write_file(KeyFile, public_key:pem_encode([key_entry(Name, Key)])),
	Cert#{certfile => CertFile, chainfile => ChainFile, keyfile => KeyFile}.

%% In each of the formats that tools write: PKCS #8, also encrypted, PKCS #1 and SEC 1.
key_entry(client_encrypted, Key) ->
	Params = #'PBES2-params'{
		keyDerivationFunc = #'PBES2-params_keyDerivationFunc'{
			algorithm = ?'id-PBKDF2',
			parameters = #'PBKDF2-params'{
				salt = {specified, crypto:strong_rand_bytes(8)},
				iterationCount = 2048,
				prf = #'PBKDF2-params_prf'{algorithm = ?'id-hmacWithSHA256', parameters = {asn1_OPENTYPE, <<5, 0>>}}
			}
		},
		encryptionScheme = #'PBES2-params_encryptionScheme'{
			algorithm = ?'id-aes256-CBC',
			parameters = {asn1_OPENTYPE, <<4, 16, (crypto:strong_rand_bytes(16))/binary>>}
		}
	},
	public_key:pem_entry_encode('PrivateKeyInfo', Key, {{"AES-256-CBC", Params}, "secret"});
key_entry(client_encrypted_pkcs1, Key) ->
	public_key:pem_entry_encode('RSAPrivateKey', Key, {{"AES-128-CBC", crypto:strong_rand_bytes(16)}, "secret"});
key_entry(client_ec, Key) ->
	public_key:pem_entry_encode('ECPrivateKey', Key);
key_entry(client_rsa, Key) ->
	public_key:pem_entry_encode('RSAPrivateKey', Key);
key_entry(_, Key) ->
	public_key:pem_entry_encode('PrivateKeyInfo', Key).

issue(Issuer, Opts = #{name := Name}) ->
	Subject = maps:get(subject, Opts, <<"gun_rs ", (atom_to_binary(Name))/binary>>),
	Key = key(maps:get(key, Opts, ec)),
	{IssuerName, IssuerKey, Chain} = case Issuer of
		self ->
			{Subject, Key, []};
		#{issuer := self} ->
			#{subject := S, key := K} = Issuer,
			{S, K, []};
		#{subject := S, key := K, der := D, chain := C} ->
			{S, K, [D|C]}
	end,
	Der = public_key:pkix_sign(#'OTPTBSCertificate'{
		version = v3,
		serialNumber = binary:decode_unsigned(crypto:strong_rand_bytes(8)),
		signature = signature(IssuerKey, maps:get(digest, Opts, sha256)),
		issuer = rdn(IssuerName),
		validity = validity(maps:get(validity, Opts, ?VALID)),
		subject = rdn(Subject),
		subjectPublicKeyInfo = public_part(Key),
		extensions = extensions(Opts)
	}, IssuerKey),
	#{name => Name, subject => Subject, issuer => Issuer, der => Der, chain => Chain, key => Key}.

key(ec) ->
	public_key:generate_key({namedCurve, secp256r1});
key({rsa, Bits}) ->
	public_key:generate_key({rsa, Bits, 65537}).

public_part(#'ECPrivateKey'{parameters = Params, publicKey = Point}) ->
	#'OTPSubjectPublicKeyInfo'{
		algorithm = #'PublicKeyAlgorithm'{algorithm = ?'id-ecPublicKey', parameters = Params},
		subjectPublicKey = #'ECPoint'{point = Point}
	};
public_part(#'RSAPrivateKey'{modulus = N, publicExponent = E}) ->
	#'OTPSubjectPublicKeyInfo'{
		algorithm = #'PublicKeyAlgorithm'{algorithm = ?'rsaEncryption', parameters = 'NULL'},
		subjectPublicKey = #'RSAPublicKey'{modulus = N, publicExponent = E}
	}.

signature(#'ECPrivateKey'{}, sha) ->
	#'SignatureAlgorithm'{algorithm = ?'ecdsa-with-SHA1'};
signature(#'ECPrivateKey'{}, sha256) ->
	#'SignatureAlgorithm'{algorithm = ?'ecdsa-with-SHA256'};
signature(#'RSAPrivateKey'{}, sha256) ->
	%% OTP 28 and later read and write this one as an open type.
	#'SignatureAlgorithm'{algorithm = ?'sha256WithRSAEncryption', parameters =
		case gun_rs_test:otp() of
			Otp when Otp >= 28 -> {asn1_OPENTYPE, <<5, 0>>};
			_ -> 'NULL'
		end}.

rdn(CommonName) ->
	{rdnSequence, [[#'AttributeTypeAndValue'{type = ?'id-at-commonName', value = {utf8String, CommonName}}]]}.

%% RFC 5280, 4.1.2.5: from 2050 on in four digits.
validity({NotBefore, NotAfter}) ->
	#'Validity'{notBefore = time(NotBefore), notAfter = time(NotAfter)}.

time({Year, Month, Day}) when Year < 2050 ->
	{utcTime, lists:flatten(io_lib:format("~2..0b~2..0b~2..0b000000Z", [Year rem 100, Month, Day]))};
time({Year, Month, Day}) ->
	{generalTime, lists:flatten(io_lib:format("~4..0b~2..0b~2..0b000000Z", [Year, Month, Day]))}.

extensions(Opts) ->
	Authority = maps:get(ca, Opts, false),
	Names = maps:get(names, Opts, case Authority of true -> []; false -> ?NAMES end),
	Basic = [
		#'Extension'{extnID = ?'id-ce-basicConstraints', critical = true,
			extnValue = #'BasicConstraints'{cA = Authority, pathLenConstraint = maps:get(path_len, Opts, asn1_NOVALUE)}},
		#'Extension'{extnID = ?'id-ce-keyUsage', critical = true, extnValue = case Authority of
			true -> [digitalSignature, keyCertSign, cRLSign];
			false -> [digitalSignature]
		end}
	],
	Purpose = [#'Extension'{extnID = ?'id-ce-extKeyUsage', critical = false, extnValue = [case Opts of
		#{usage := client} -> ?'id-kp-clientAuth';
		_ -> ?'id-kp-serverAuth'
	end]} || not Authority orelse is_map_key(usage, Opts)],
	Alternatives = [#'Extension'{extnID = ?'id-ce-subjectAltName', critical = false, extnValue = Names} || Names =/= []],
	Constraints = [#'Extension'{extnID = ?'id-ce-nameConstraints', critical = true, extnValue = #'NameConstraints'{
		permittedSubtrees = [#'GeneralSubtree'{base = {dNSName, Name}, minimum = 0}]}} || #{permitted := Name} <- [Opts]],
	Unknown = [#'Extension'{extnID = {1, 3, 6, 1, 4, 1, 32473, 1}, critical = true, extnValue = <<5, 0>>}
		|| #{critical := true} <- [Opts]],
	Basic ++ Purpose ++ Alternatives ++ Constraints ++ Unknown.

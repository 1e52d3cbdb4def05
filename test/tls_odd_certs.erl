%% Certificates that are not as RFC 5280 wants them, encoded here by hand since no library would: each is self-signed, for
%% localhost, and odd in what its name says.
-module(tls_odd_certs).

-export([make/1]).

-include_lib("public_key/include/public_key.hrl").

-define(OID(Bytes), (tlv(16#06, Bytes))).
-define(NULL, (tlv(16#05, <<>>))).
-define(RSA, (<<16#2a, 16#86, 16#48, 16#86, 16#f7, 16#0d, 1, 1, 1>>)).
-define(SHA256_RSA, (<<16#2a, 16#86, 16#48, 16#86, 16#f7, 16#0d, 1, 1, 11>>)).
-define(SHA256_ECDSA, (<<16#2a, 16#86, 16#48, 16#ce, 16#3d, 4, 3, 2>>)).

%% The parts of a certificate (RFC 5280, 4.1.2) in which one may be odd.
-type parts() :: #{
	key => ec | rsa,
	version => none | byte(),
	serial => binary(),
	null => boolean(),
	name => binary(),
	not_before => binary(),
	unique_id => boolean(),
	extensions => [binary()],
	issuer => {Name :: binary(), public_key:private_key()}
}.

%% Each of them with the files of a server's.
-spec make(file:filename()) -> #{atom() => #{certfile := file:filename(), chainfile := file:filename(),
	keyfile := file:filename(), rootfile := file:filename(), der := binary()}}.
make(Parent) ->
	Dir = filename:join(Parent, "odd_" ++ binary_to_list(binary:encode_hex(crypto:strong_rand_bytes(4)))),
	ok = file:make_dir(Dir),
	Odd = maps:map(fun(Name, Parts) -> write(filename:join(Dir, atom_to_list(Name)), Parts) end, odd()),
	Odd#{missing_null_chain => chain(filename:join(Dir, "missing_null_chain"))}.

%% A root, an authority below it and a server's certificate, each with a key of RSA that lacks its NULL: so are the
%% certificates that OTP 28 and later make.
chain(Path) ->
	Parts = #{key => rsa, null => false},
	[RootKey, AuthorityKey, Key] = [key(rsa) || _ <- [1, 2, 3]],
	[RootName, AuthorityName] = [common_name(tlv(16#0c, Name)) || Name <- [<<"root">>, <<"authority">>]],
	Root = certificate(RootKey, Parts#{name => tlv(16#0c, <<"root">>)}),
	Constraints = extension(<<16#55, 16#1d, 19>>, true, tlv(16#30, tlv(16#01, <<255>>))),
	Authority = certificate(AuthorityKey, Parts#{name => tlv(16#0c, <<"authority">>), extensions => [Constraints],
		issuer => {RootName, RootKey}}),
	Leaf = certificate(Key, Parts#{issuer => {AuthorityName, AuthorityKey}}),
	write_files(Path, Key, [Leaf, Authority], Root).

-spec odd() -> #{atom() => parts()}.
odd() ->
	#{
		version_1 => #{version => none, extensions => none},
		version_1_rsa => #{version => none, extensions => none, key => rsa},
		version_2 => #{version => 1, extensions => none, unique_id => true},
		unknown_critical_extension => #{extensions => [extension(<<16#2b, 6, 1, 4, 1, 129, 253, 89, 1>>, true, ?NULL)]},
		same_extension_twice => #{extensions => [alternatives(), alternatives()]},
		negative_serial => #{serial => <<16#ff, 1>>},
		empty_serial => #{serial => <<>>},
		long_serial => #{serial => binary:copy(<<1>>, 40)},
		missing_null => #{key => rsa, null => false},
		bmp_string => #{name => tlv(16#1e, <<0, $l, 0, $o, 0, $c, 0, $a, 0, $l>>)},
		teletex_string => #{name => tlv(16#14, <<"l", 16#f6, "cal">>)},
		no_utf8 => #{name => tlv(16#0c, <<"l", 16#ff, "cal">>)},
		nul_in_its_name => #{name => tlv(16#0c, <<"localhost", 0, ".test">>)},
		time_without_seconds => #{not_before => tlv(16#17, <<"2001010000Z">>)},
		time_with_offset => #{not_before => tlv(16#17, <<"200101000000+0100">>)}
	}.

write(Path, Parts) ->
	Key = key(maps:get(key, Parts, ec)),
	Der = certificate(Key, Parts),
	write_files(Path, Key, [Der], Der).

write_files(Path, Key, [Der|Chain], Root) ->
	CertFile = Path ++ ".pem",
	RootFile = Path ++ ".root.pem",
	ChainFile = Path ++ ".chain.pem",
	KeyFile = Path ++ ".key",
	ok = file:write_file(CertFile, tls_certs:pem([Der|Chain])),
	ok = file:write_file(ChainFile, tls_certs:pem(Chain)),
	ok = file:write_file(RootFile, tls_certs:pem([Root])),
	ok = file:write_file(KeyFile, public_key:pem_encode([public_key:pem_entry_encode('PrivateKeyInfo', Key)])),
	#{certfile => CertFile, chainfile => ChainFile, keyfile => KeyFile, rootfile => RootFile, der => Der}.

key(ec) -> public_key:generate_key({namedCurve, secp256r1});
key(rsa) -> public_key:generate_key({rsa, 2048, 65537}).

certificate(Key, Parts) ->
	Name = common_name(maps:get(name, Parts, tlv(16#0c, <<"local">>))),
	{Issuer, IssuerKey} = maps:get(issuer, Parts, {Name, Key}),
	Algorithm = algorithm(IssuerKey, Parts),
	Tbs = tlv(16#30, [
		case maps:get(version, Parts, 2) of
			none -> [];
			Version -> tlv(16#a0, tlv(16#02, <<Version>>))
		end,
		tlv(16#02, maps:get(serial, Parts, <<1>>)),
		Algorithm,
		Issuer,
		tlv(16#30, [maps:get(not_before, Parts, tlv(16#17, <<"200101000000Z">>)), tlv(16#18, <<"21200101000000Z">>)]),
		Name,
		spki(Key, Parts),
		[tlv(16#81, <<0, 1>>) || maps:get(unique_id, Parts, false)],
		case maps:get(extensions, Parts, [alternatives()]) of
			none -> [];
			Extensions -> tlv(16#a3, tlv(16#30, Extensions))
		end
	]),
	tlv(16#30, [Tbs, Algorithm, tlv(16#03, [0, public_key:sign(Tbs, sha256, IssuerKey)])]).

common_name(String) ->
	tlv(16#30, tlv(16#31, tlv(16#30, [?OID(<<16#55, 4, 3>>), String]))).

alternatives() ->
	extension(<<16#55, 16#1d, 17>>, false, tlv(16#30, tlv(16#82, <<"localhost">>))).

extension(Oid, Critical, Value) ->
	tlv(16#30, [?OID(Oid), [tlv(16#01, <<255>>) || Critical], tlv(16#04, Value)]).

algorithm(#'ECPrivateKey'{}, _) -> tlv(16#30, ?OID(?SHA256_ECDSA));
algorithm(#'RSAPrivateKey'{}, Parts) -> tlv(16#30, [?OID(?SHA256_RSA), null(Parts)]).

spki(#'ECPrivateKey'{parameters = Params, publicKey = Point}, _) ->
	tlv(16#30, [
		tlv(16#30, [?OID(<<16#2a, 16#86, 16#48, 16#ce, 16#3d, 2, 1>>), public_key:der_encode('EcpkParameters', Params)]),
		tlv(16#03, [0, Point])
	]);
spki(#'RSAPrivateKey'{modulus = N, publicExponent = E}, Parts) ->
	Numbers = public_key:der_encode('RSAPublicKey', #'RSAPublicKey'{modulus = N, publicExponent = E}),
	tlv(16#30, [tlv(16#30, [?OID(?RSA), null(Parts)]), tlv(16#03, [0, Numbers])]).

null(Parts) ->
	[?NULL || maps:get(null, Parts, true)].

%% X.690, 8.1: a tag, a length, a value.
tlv(Tag, Value0) ->
	Value = iolist_to_binary(Value0),
	Length = case byte_size(Value) of
		Size when Size < 128 -> <<Size>>;
		Size ->
			Bytes = binary:encode_unsigned(Size),
			<<1:1, (byte_size(Bytes)):7, Bytes/binary>>
	end,
	<<Tag, Length/binary, Value/binary>>.

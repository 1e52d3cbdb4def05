%% @doc The algorithms of TLS by the names that ssl and rustls have for them.
%%
%% A list may name algorithms that rustls, with its provider ring, does not have: they
%% are left out, since a list says what may be used and not what must. What remains
%% keeps its order. `error' says that nothing remains, or that the list is none.
-module(gun_rs_tls_algorithms).

-export([ciphers/2]).
-export([signature_algs/1]).
-export([groups/1]).

-type version() :: 'tlsv1.2' | 'tlsv1.3'.
-export_type([version/0]).

-type group() :: x25519 | secp256r1 | secp384r1.
-export_type([group/0]).

-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc The cipher suites of these versions, by the names that IANA has registered. The
%% empty list means the default, as in ssl.
%%
%% Suites may be maps, tuples of four, names of RFCs and of OpenSSL, codes of two bytes,
%% or names in one string with colons between them.
-spec ciphers(Suites :: term(), [version()]) -> {ok, default | [binary()]} | error.
ciphers([], _) ->
	{ok, default};
ciphers(Suites=[C|_], Versions) when is_integer(C), ?IS_PROPER_LIST(Suites) ->
	case is_text(Suites) andalso string:lexemes(Suites, ":") of
		Names=[_|_] -> ciphers(Names, Versions);
		_ -> error
	end;
ciphers(Suites, Versions) when ?IS_PROPER_LIST(Suites) ->
	case lists:all(fun is_suite/1, Suites) of
		true -> known([suite(Suite, Versions) || Suite <- Suites]);
		false -> error
	end;
ciphers(_, _) ->
	error.

is_suite(#{cipher := _, key_exchange := _, mac := _, prf := _}) -> true;
is_suite(Suite) when is_tuple(Suite) ->
	(tuple_size(Suite) =:= 3 orelse tuple_size(Suite) =:= 4)
		andalso lists:all(fun is_atom/1, tuple_to_list(Suite));
is_suite(<<_:16>>) -> true;
is_suite(Suite) -> is_text(Suite).

is_text(Text=[_|_]) when ?IS_PROPER_LIST(Text) ->
	lists:all(fun(C) -> is_integer(C) andalso C >= $\s andalso C < 127 end, Text);
is_text(_) ->
	false.

suite(Suite, Versions) ->
	case [Iana || {Version, Iana, OpenSsl, Code, Kex, Cipher, Hash} <- suites(),
			is_named(Suite, Iana, OpenSsl, Code, Kex, Cipher, Hash),
			lists:member(Version, Versions)] of
		[Iana] -> list_to_binary(Iana);
		[] -> undefined
	end.

is_named(#{key_exchange := Kex, cipher := Cipher, mac := aead, prf := Hash},
		_, _, _, Kex, Cipher, Hash) -> true;
%% ssl takes any MAC in a tuple with an AEAD cipher.
is_named({Kex, Cipher, _, Hash}, _, _, _, Kex, Cipher, Hash) -> true;
is_named(Iana, Iana, _, _, _, _, _) -> true;
is_named(OpenSsl, _, OpenSsl, _, _, _, _) -> true;
is_named(<<Code:16>>, _, _, Code, _, _, _) -> true;
is_named(_, _, _, _, _, _, _) -> false.

%% RFC 8446, B.4, RFC 5289 and RFC 7905.
suites() ->
	[
		{'tlsv1.3', "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384",
			16#1302, any, aes_256_gcm, sha384},
		{'tlsv1.3', "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256",
			16#1301, any, aes_128_gcm, sha256},
		{'tlsv1.3', "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
			16#1303, any, chacha20_poly1305, sha256},
		{'tlsv1.2', "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384",
			16#c02c, ecdhe_ecdsa, aes_256_gcm, sha384},
		{'tlsv1.2', "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
			16#c02b, ecdhe_ecdsa, aes_128_gcm, sha256},
		{'tlsv1.2', "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
			"ECDHE-ECDSA-CHACHA20-POLY1305", 16#cca9, ecdhe_ecdsa, chacha20_poly1305, sha256},
		{'tlsv1.2', "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
			16#c030, ecdhe_rsa, aes_256_gcm, sha384},
		{'tlsv1.2', "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
			16#c02f, ecdhe_rsa, aes_128_gcm, sha256},
		{'tlsv1.2', "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
			16#cca8, ecdhe_rsa, chacha20_poly1305, sha256}
	].

%% @doc The signature algorithms by the names of RFC 8446, 4.2.3.
-spec signature_algs(Algs :: term()) -> {ok, [binary()]} | error.
signature_algs(Algs) when ?IS_PROPER_LIST(Algs) ->
	case lists:all(fun is_signature_alg/1, Algs) of
		true -> known([signature_alg(Alg) || Alg <- Algs]);
		false -> error
	end;
signature_algs(_) ->
	error.

is_signature_alg({Hash, Sign}) -> is_atom(Hash) andalso is_atom(Sign);
is_signature_alg(Scheme) -> is_atom(Scheme).

%% A pair of TLS 1.2 has the code of the scheme of TLS 1.3, whatever the curve.
signature_alg({sha256, ecdsa}) -> <<"ecdsa_secp256r1_sha256">>;
signature_alg({sha384, ecdsa}) -> <<"ecdsa_secp384r1_sha384">>;
signature_alg({sha256, rsa}) -> <<"rsa_pkcs1_sha256">>;
signature_alg({sha384, rsa}) -> <<"rsa_pkcs1_sha384">>;
signature_alg({sha512, rsa}) -> <<"rsa_pkcs1_sha512">>;
signature_alg({sha256, rsa_pss_rsae}) -> <<"rsa_pss_rsae_sha256">>;
signature_alg({sha384, rsa_pss_rsae}) -> <<"rsa_pss_rsae_sha384">>;
signature_alg({sha512, rsa_pss_rsae}) -> <<"rsa_pss_rsae_sha512">>;
signature_alg(eddsa_ed25519) -> <<"ed25519">>;
signature_alg(ecdsa_secp256r1_sha256) -> <<"ecdsa_secp256r1_sha256">>;
signature_alg(ecdsa_secp384r1_sha384) -> <<"ecdsa_secp384r1_sha384">>;
signature_alg(rsa_pss_rsae_sha256) -> <<"rsa_pss_rsae_sha256">>;
signature_alg(rsa_pss_rsae_sha384) -> <<"rsa_pss_rsae_sha384">>;
signature_alg(rsa_pss_rsae_sha512) -> <<"rsa_pss_rsae_sha512">>;
signature_alg(rsa_pkcs1_sha256) -> <<"rsa_pkcs1_sha256">>;
signature_alg(rsa_pkcs1_sha384) -> <<"rsa_pkcs1_sha384">>;
signature_alg(rsa_pkcs1_sha512) -> <<"rsa_pkcs1_sha512">>;
signature_alg(_) -> undefined.

%% @doc The groups, which TLS 1.2 calls curves.
-spec groups(Groups :: term()) -> {ok, [group()]} | error.
groups(Groups) when ?IS_PROPER_LIST(Groups) ->
	case lists:all(fun is_atom/1, Groups) of
		true -> known([group(Group) || Group <- Groups]);
		false -> error
	end;
groups(_) ->
	error.

group(x25519) -> x25519;
group(secp256r1) -> secp256r1;
group(secp384r1) -> secp384r1;
group(_) -> undefined.

%% The names that there are, each once.
known(Names) ->
	case unique([Name || Name <- Names, Name =/= undefined]) of
		[] -> error;
		Known -> {ok, Known}
	end.

unique([]) -> [];
unique([Name|Tail]) -> [Name|unique([Other || Other <- Tail, Other =/= Name])].

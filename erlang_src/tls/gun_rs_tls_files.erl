%% @doc Certificates and keys of tls_opts, as they are given or from files.
%%
%% What they contain is looked at by the native library; here they are only cut out of
%% PEM, and decrypted. Where the node has no descriptor or no memory left to read a file,
%% `{posix, Reason}' is thrown.
-module(gun_rs_tls_files).

-export([certificates/1]).
-export([identities/2]).
-export([is_der/1]).
-export([key_format/1]).

-type identity() :: {[Der :: binary()], {pkcs1 | sec1 | pkcs8, Der :: binary()}}.
-export_type([identity/0]).

%% @doc The certificates of a file in PEM, of which there must be one at least.
-spec certificates(Path :: file:name_all()) -> {ok, [Der :: binary()]} | error.
certificates(Path) ->
	case [Der || {'Certificate', Der, not_encrypted} <- pem(Path)] of
		[] -> error;
		Ders -> all_der(Ders)
	end.

all_der(Ders) ->
	case lists:all(fun is_der/1, Ders) of
		true -> {ok, Ders};
		false -> error
	end.

%% @doc The client certificates of these options, with their keys.
%%
%% As in ssl, certs_keys comes before all the others, cert before certfile, key before
%% keyfile, and a key may stand in the file of the certificate. A certificate without a
%% chain gets the one that can be built from the roots that were given.
-spec identities(Opts :: map(), Roots :: system | [binary()])
	-> {ok, [identity()]} | {error, {atom(), term()}}.
identities(#{certs_keys := Confs}, Roots) ->
	identities(Confs, Roots, []);
identities(Opts, Roots) ->
	case maps:with([cert, certfile, key, keyfile], Opts) of
		None when None =:= #{} -> {ok, []};
		_ -> identities([Opts], Roots, [])
	end.

identities([], _, Acc) ->
	{ok, lists:reverse(Acc)};
identities([Conf|Tail], Roots, Acc) ->
	case identity(Conf) of
		{ok, Chain, Key} -> identities(Tail, Roots, [{complete(Chain, Roots), Key}|Acc]);
		Error -> Error
	end.

identity(Conf) ->
	case chain(Conf) of
		{ok, Chain} ->
			case key(Conf) of
				{ok, Key} -> {ok, Chain, Key};
				Error -> Error
			end;
		Error ->
			Error
	end.

chain(#{cert := Cert}) when is_binary(Cert) ->
	{ok, [Cert]};
chain(#{cert := Certs}) ->
	{ok, Certs};
chain(#{certfile := Path}) ->
	case certificates(Path) of
		{ok, Chain} -> {ok, Chain};
		error -> {error, {certfile, Path}}
	end;
chain(#{key := Key}) ->
	{error, {key, Key}};
chain(#{keyfile := Path}) ->
	{error, {keyfile, Path}}.

key(#{key := {Type, Der}}) ->
	{ok, {key_format(Type), Der}};
key(Conf=#{keyfile := Path}) ->
	key_in_file(keyfile, Path, Conf);
key(Conf=#{certfile := Path}) ->
	key_in_file(certfile, Path, Conf);
key(#{cert := Cert}) ->
	{error, {cert, Cert}}.

key_in_file(Option, Path, Conf) ->
	case {password(Conf), [Entry || Entry={Type, _, _} <- pem(Path), is_key_type(Type)]} of
		{{ok, Password}, [Entry={Type, _, _}]} ->
			case decrypt(Entry, Password) of
				{ok, Der} -> {ok, {key_format(Type), Der}};
				error -> {error, {Option, Path}}
			end;
		{{ok, _}, _} ->
			{error, {Option, Path}};
		{error, _} ->
			{error, {password, maps:get(password, Conf)}}
	end.

is_key_type('DSAPrivateKey') -> true;
is_key_type(Type) -> key_format(Type) =/= undefined.

%% A string, which is what public_key takes on every OTP.
password(#{password := Password0}) ->
	try
		Password = case is_function(Password0, 0) of
			true -> Password0();
			false -> Password0
		end,
		{ok, binary_to_list(iolist_to_binary(Password))}
	catch _:_ ->
		error
	end;
password(_) ->
	{ok, undefined}.

%% A key that was encrypted is decoded by public_key and then encoded anew.
decrypt({Type, _, _}, _) when Type =:= 'DSAPrivateKey' ->
	error;
decrypt({_, Der, not_encrypted}, _) ->
	case is_der(Der) of
		true -> {ok, Der};
		false -> error
	end;
decrypt(_, undefined) ->
	error;
decrypt(Entry={Type, _, _}, Password) ->
	try
		{ok, public_key:der_encode(Type, public_key:pem_entry_decode(Entry, Password))}
	catch _:_ ->
		error
	end.

%% A server need not have what lies between a certificate and a root.
complete([Cert], Roots) when is_list(Roots) ->
	[Cert|issuers(Cert, [Root || Root <- Roots, Root =/= Cert])];
complete(Chain, _) ->
	Chain.

%% The root itself is not sent: RFC 8446, 4.4.2.
issuers(Cert, Candidates) ->
	case [Issuer || Issuer <- Candidates, has_issued(Issuer, Cert)] of
		[Issuer|_] ->
			case has_issued(Issuer, Issuer) of
				true -> [];
				false -> [Issuer|issuers(Issuer, Candidates -- [Issuer])]
			end;
		[] ->
			[]
	end.

has_issued(Issuer, Cert) ->
	try
		public_key:pkix_is_issuer(Cert, Issuer)
	catch _:_ ->
		false
	end.

%% A file that cannot be read has no entries, unless the node has just no descriptor or no
%% memory left to read it: that is thrown, for it is no fault of the options.
pem(Path) ->
	case read_file(Path) of
		{ok, Bin} ->
			try
				public_key:pem_decode(Bin)
			catch _:_ ->
				[]
			end;
		{error, Reason} when Reason =:= emfile; Reason =:= enfile; Reason =:= enomem ->
			throw({posix, Reason});
		{error, _} ->
			[]
	end.

read_file(Path) ->
	try
		file:read_file(Path)
	catch _:_ ->
		{error, badarg}
	end.

%% @doc Whether this is one DER sequence, as certificates and keys are, and no more: a
%% look at its length that tells PEM and paths from DER, without decoding it.
-spec is_der(term()) -> boolean().
is_der(<<16#30, 0:1, Length:7, Value/binary>>) ->
	byte_size(Value) =:= Length;
is_der(<<16#30, 1:1, N:7, Length:N/unit:8, Value/binary>>) when N > 0, N =< 4 ->
	byte_size(Value) =:= Length;
is_der(_) ->
	false.

%% @doc How a private key of this ASN.1 type is encoded. PrivateKeyInfo has two names,
%% since OneAsymmetricKey (RFC 5958) has taken its place in newer releases of OTP.
-spec key_format(Type :: term()) -> pkcs1 | sec1 | pkcs8 | undefined.
key_format('RSAPrivateKey') -> pkcs1;
key_format('ECPrivateKey') -> sec1;
key_format('PrivateKeyInfo') -> pkcs8;
key_format('OneAsymmetricKey') -> pkcs8;
key_format(_) -> undefined.

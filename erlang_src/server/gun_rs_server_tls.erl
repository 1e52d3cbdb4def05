%% @private The TLS of a listener, from the options of ssl that a server has.
-module(gun_rs_server_tls).

-export([config/1]).

%% @doc The configuration, with every file read.
-spec config(Opts :: [term()])
	-> {ok, gun_rs_native:server_tls()} | {error, no_cert | {options, term()} | atom()}.
config(Opts) ->
	{Own, Common} = lists:partition(fun is_of_servers/1, Opts),
	case gun_rs_tls_options:native([{verify, verify_none}|Common], [<<"http/1.1">>]) of
		{ok, Native} -> with_own(Own, Opts, Native);
		{error, Element} -> {error, {options, gun_rs_tls_options:refused(Element)}}
	end.

%% Those that clients have otherwise, or alone, or that are not built for servers: they are refused below.
is_of_servers({Key, _}) ->
	lists:member(Key, [alpn_advertised_protocols, alpn_preferred_protocols, client_renegotiation, customize_hostname_check,
		dh, dhfile, eccs, fail_if_no_peer_cert, honor_cipher_order, honor_ecc_order, next_protocols_advertised,
		server_name_indication, signature_algs, sni_fun, sni_hosts, supported_groups, verify, verify_fun]);
is_of_servers(_) ->
	false.

with_own(Own, Opts, Native=#{identities := Identities}) ->
	try
		ok = lists:foreach(fun check/1, Own),
		Settings = maps:from_list(Own),
		Verify = maps:get(verify, Settings, verify_none),
		Fail = maps:get(fail_if_no_peer_cert, Settings, false),
		Certificates = [{default, Identity} || Identity <- Identities] ++ sni(maps:get(sni_hosts, Settings, []), authorities(Opts)),
		ok = at_least_one(Certificates),
		Tls = (maps:with([ciphers, depth, resume, versions], Native))#{
			alpn => alpn(maps:get(alpn_preferred_protocols, Settings, undefined)),
			certificates => Certificates,
			client_auth => client_auth(Verify, Fail),
			client_roots => client_roots(Verify, Opts),
			honor_cipher_order => maps:get(honor_cipher_order, Settings, false)
		},
		gun_rs_native:server_tls(Tls)
	of
		{ok, Config} -> {ok, Config};
		{error, Reason} -> {error, {options, Reason}}
	catch
		throw:{refused, Opt} -> {error, {options, gun_rs_secrets:option(Opt)}};
		throw:no_cert -> {error, no_cert}
	end.

%% Those that ask for what is done anyway, or have no meaning with rustls, which has no DHE and no renegotiation.
check({verify, Verify}) when Verify =:= verify_none; Verify =:= verify_peer -> ok;
check({fail_if_no_peer_cert, Fail}) when is_boolean(Fail) -> ok;
check({honor_cipher_order, Honor}) when is_boolean(Honor) -> ok;
check({honor_ecc_order, Honor}) when is_boolean(Honor) -> ok;
check({client_renegotiation, Allowed}) when is_boolean(Allowed) -> ok;
check({dh, Dh}) when is_binary(Dh) -> ok;
check({dhfile, File}) when is_list(File); is_binary(File) -> ok;
check({alpn_preferred_protocols, Protocols}=Opt) ->
	ok_if(is_list(Protocols) andalso lists:member(<<"http/1.1">>, Protocols), Opt);
check({sni_hosts, Hosts}=Opt) ->
	ok_if(is_list(Hosts) andalso lists:all(fun is_host/1, Hosts), Opt);
check(Opt) -> throw({refused, Opt}).

ok_if(true, _) -> ok;
ok_if(false, Opt) -> throw({refused, Opt}).

at_least_one([]) -> throw(no_cert);
at_least_one(_) -> ok.

with_authorities([]) -> throw({refused, {verify, verify_peer}});
with_authorities(_) -> ok.

is_host({Host, Opts}) -> (is_list(Host) orelse is_binary(Host)) andalso is_list(Opts);
is_host(_) -> false.

authorities(Opts) ->
	[Opt || {Key, _}=Opt <- Opts, Key =:= cacerts orelse Key =:= cacertfile].

%% The certificates of a host alone: everything else holds for all of them.
is_of_hosts({Key, _}) -> lists:member(Key, [cacertfile, cacerts, cert, certfile, certs_keys, key, keyfile, password]);
is_of_hosts(_) -> false.

sni(Hosts, Authorities) ->
	lists:append([begin
		_ = [throw({refused, {sni_hosts, {Host, Opt}}}) || Opt <- Opts, not is_of_hosts(Opt)],
		case gun_rs_tls_options:native([{verify, verify_none}|Authorities] ++ Opts, []) of
			{ok, #{identities := []}} -> throw({refused, {sni_hosts, Host}});
			{ok, #{identities := Identities}} ->
				[{[unicode:characters_to_binary(Host)], Identity} || Identity <- Identities];
			{error, Element} -> throw({refused, Element})
		end
	end || {Host, Opts} <- Hosts]).

%% HTTP/2 is not offered before it is spoken.
alpn(_) -> [<<"http/1.1">>].

client_auth(verify_none, _) -> none;
client_auth(verify_peer, false) -> optional;
client_auth(verify_peer, true) -> required.

client_roots(verify_none, _) ->
	undefined;
client_roots(verify_peer, Opts) ->
	Authorities = authorities(Opts),
	ok = with_authorities(Authorities),
	case gun_rs_tls_options:native([{verify, verify_peer}|Authorities], []) of
		{ok, #{roots := Roots}} when is_list(Roots) -> Roots;
		{ok, _} -> throw({refused, {verify, verify_peer}});
		{error, Element} -> throw({refused, Element})
	end.

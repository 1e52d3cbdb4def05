%% @private Where tunnels lead: the destination of `gun_rs:connect/2,3,4', and the options of SOCKS, which name one too. They
%% are checked in the caller, before anything is sent.
-module(gun_rs_connect_options).

-export([check/1]).
-export([check_socks/1]).
-export([request/2]).
-export([socks/1]).
-export([origin/1]).
-export([reveal/1]).

%% The host is the proxy's to resolve. Without TLS one protocol is spoken; with TLS the server chooses.
-type destination() :: #{
	host := gun_rs_host:host(),
	port := inet:port_number(),
	username => iodata(),
	password => iodata(),
	protocols => [protocol()],
	transport => tcp | tls | ssl,
	tls_opts => [gun_rs_tls_options:tls_opt()],
	tls_handshake_timeout => gun_rs_options:milliseconds() | infinity
}.
-export_type([destination/0]).

-type protocol() :: http | {http, gun_rs_options:http_opts()} | http2 | {http2, gun_rs_options:http2_opts()}
	| raw | {raw, gun_rs_options:raw_opts()} | {socks, socks_opts()}.
-export_type([protocol/0]).

%% The host and the port are those of the origin, or of the next proxy. The timeout is for what the proxy has to say.
-type socks_opts() :: #{
	host := gun_rs_host:host(),
	port := inet:port_number(),
	auth => [none | {username_password, Name :: binary(), Password :: binary()}],
	protocols => [protocol()],
	timeout => gun_rs_options:milliseconds() | infinity,
	tls_handshake_timeout => gun_rs_options:milliseconds() | infinity,
	tls_opts => [gun_rs_tls_options:tls_opt()],
	transport => tcp | tls | ssl,
	version => 5
}.
-export_type([socks_opts/0]).

%% Gun names what is missing of SOCKS in its own way.
-type bad() :: {error, {options, {connect | socks, Bad :: term()}}} | {error, options, {socks, host | port}}.
-export_type([bad/0]).

-type native() :: map().

%% @doc Checks the destination of a tunnel.
-spec check(Destination :: term()) -> ok | bad().
check(Destination) when is_map(Destination) ->
	case check(connect, Destination) of
		ok -> check_protocols(connect, Destination);
		{missing, Key} -> {error, {options, {connect, {Key, undefined}}}};
		Error -> Error
	end;
check(Destination) ->
	{error, {options, {connect, gun_rs_secrets:options(Destination)}}}.

%% @doc Checks the options of SOCKS.
-spec check_socks(SocksOpts :: term()) -> ok | bad().
check_socks(SocksOpts) ->
	case check(socks, SocksOpts) of
		ok -> check_protocols(socks, SocksOpts);
		{missing, Key} -> {error, options, {socks, Key}};
		Error -> Error
	end.

check(Table, Opts) ->
	case gun_rs_option_table:check(Table, Opts) of
		ok when not is_map_key(host, Opts) -> {missing, host};
		ok when not is_map_key(port, Opts) -> {missing, port};
		ok -> ok;
		{error, Reason} -> {error, {options, {Table, Reason}}}
	end.

check_protocols(Table, Opts) ->
	Protocols = protocols(Opts),
	case transport(Opts) of
		tcp when length(Protocols) > 1 -> {error, {options, {Table, {protocols, Protocols}}}};
		Transport -> check_alpn(Table, gun_rs_protocols:check(Transport, Opts#{protocols => Protocols}), Protocols)
	end.

%% The server may choose no other protocol than those.
check_alpn(_, ok, Protocols) -> check_next(Protocols);
check_alpn(Table, {error, {options, Bad}}, _) -> {error, {options, {Table, Bad}}}.

check_next([{socks, SocksOpts}]) -> check_socks(SocksOpts);
check_next(_) -> ok.

transport(Opts) ->
	case maps:get(transport, Opts, tcp) of
		ssl -> tls;
		Transport -> Transport
	end.

protocols(#{protocols := Protocols}) ->
	Protocols;
protocols(Opts) ->
	case transport(Opts) of
		tcp -> [http];
		tls -> [http2, http]
	end.

%% @doc The request that asks for a tunnel, to a destination that is checked already. What the TLS of it stands for may still
%% be wrong.
-spec request(destination(), Headers :: [{binary(), binary()}])
	-> {ok, gun_rs_native:request()} | bad() | {error, Posix :: atom()}.
request(Destination=#{host := Host, port := Port}, Headers) ->
	try native(connect, Destination) of
		Native ->
			{ok, HostBin} = gun_rs_host:to_binary(Host),
			Target = gun_rs_host:with_port(HostBin, Port),
			{ok, {<<"CONNECT">>, Target, authorization(Destination, Headers), {tunnel, Native}}}
	catch throw:{?MODULE, Error} ->
		Error
	end.

%% A header of the user's counts (RFC 9110, 11.7.2), and what says how long a body is counts for nothing (9.3.6).
authorization(Destination, Headers0) ->
	Headers = [Header || Header={Name, _} <- Headers0, Name =/= <<"content-length">>, Name =/= <<"transfer-encoding">>],
	case {Destination, lists:keymember(<<"proxy-authorization">>, 1, Headers)} of
		{#{username := Name, password := Password}, false} ->
			Credentials = base64:encode(iolist_to_binary([Name, $:, Password])),
			[{<<"proxy-authorization">>, <<"Basic ", Credentials/binary>>}|Headers];
		_ ->
			Headers
	end.

%% @doc The proxy that a connection leads through, if it does, for the native library; who the user is is hidden.
-spec socks(gun_rs_options:opts()) -> {ok, native() | undefined} | bad() | {error, Posix :: atom()}.
socks(Opts) ->
	try
		case gun_rs_protocols:socks_opts(Opts) of
			undefined -> {ok, undefined};
			SocksOpts -> {ok, native_socks(SocksOpts, fun gun_rs_secrets:hide/1)}
		end
	catch throw:{?MODULE, Error} ->
		Error
	end.

%% @doc What a connection of open is for: by way of SOCKS the last of the destinations.
-spec origin(gun_rs_options:config()) -> Origin when Origin :: #{host := gun_rs_host:host() | {local, binary()},
	port := inet:port_number(), transport := tcp | tls}.
origin(Config=#{opts := Opts}) ->
	case gun_rs_protocols:socks_opts(Opts) of
		undefined -> maps:with([host, port, transport], Config);
		SocksOpts -> last(SocksOpts)
	end.

last(#{protocols := [{socks, SocksOpts}]}) -> last(SocksOpts);
last(SocksOpts=#{host := Host, port := Port}) -> #{host => Host, port => Port, transport => transport(SocksOpts)}.

%% @doc The same for the native library.
-spec reveal(native() | undefined) -> native() | undefined.
reveal(undefined) -> undefined;
reveal(Socks=#{auth := Auth, destination := Destination}) ->
	Socks#{auth := gun_rs_secrets:reveal(Auth), destination := reveal_next(Destination)}.

reveal_next(Destination=#{speaks := {socks, Socks}}) -> Destination#{speaks := {socks, reveal(Socks)}};
reveal_next(Destination) -> Destination.

native(Type, Opts) ->
	native(Type, Opts, fun(Auth) -> Auth end).

%% The label comes back with the report that the tunnel is up.
native(Type, Opts=#{host := Host, port := Port}, Hide) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	Transport = transport(Opts),
	#{
		host => HostBin,
		port => Port,
		authority => gun_rs_host:authority(HostBin, Port, Transport),
		tls => tls(Type, Transport, Opts),
		tls_handshake_timeout => maps:get(tls_handshake_timeout, Opts, default(tls_handshake_timeout)),
		speaks => speaks(protocols(Opts), Hide),
		label => term_to_binary(#{type => label(Type), host => Host, port => Port, transport => Transport})
	}.

label(connect) -> connect;
label(socks) -> socks5.

default(Key) ->
	map_get(Key, gun_rs_option_table:defaults(socks)).

native_socks(SocksOpts, Hide) ->
	#{
		auth => Hide([case Method of
			{username_password, Name, Password} -> {Name, Password};
			none -> none
		end || Method <- maps:get(auth, SocksOpts, default(auth))]),
		timeout => maps:get(timeout, SocksOpts, default(timeout)),
		destination => native(socks, SocksOpts, Hide)
	}.

tls(Type, Transport, Opts) ->
	Names = [gun_rs_protocols:name(Protocol) || Protocol <- protocols(Opts)],
	TlsOpts = gun_rs_tls_options:without_decoded(maps:get(tls_opts, Opts, [])),
	case gun_rs_tls:new(#{transport => Transport, tls_opts => TlsOpts, protocols => Names}) of
		{ok, Tls} -> gun_rs_tls:config(Tls);
		{error, {options, Bad}} -> throw({?MODULE, {error, {options, {Type, Bad}}}});
		Error -> throw({?MODULE, Error})
	end.

speaks([raw], _) -> {raw, default};
speaks([{raw, Opts}], _) -> {raw, gun_rs_option_table:native(raw, maps:merge(gun_rs_option_table:defaults(raw), Opts))};
speaks([{socks, SocksOpts}], Hide) -> {socks, native_socks(SocksOpts, Hide)};
speaks(Protocols, _) ->
	{http, own(http, Protocols), own(http2, Protocols)}.

own(Name, Protocols) ->
	case lists:keyfind(Name, 1, Protocols) of
		{_, Opts} -> gun_rs_protocols:native(Name, maps:merge(gun_rs_option_table:defaults(Name), Opts));
		false ->
			case lists:member(Name, Protocols) of
				true -> default;
				false -> none
			end
	end.

%% @doc The TLS configuration of a connection: what every attempt to connect needs of its
%% tls_opts. Connections with the same options have the same one.
-module(gun_rs_tls).

-export([new/1]).
-export([config/1]).
-export([renew/1]).

%% The options are kept where what they stand for may change: certificates in files, or
%% the system's roots. Their secrets are hidden: this is in the state of a process.
-opaque tls() :: undefined | {gun_rs_native:tls_config(), constant | {alpn(), [gun_rs_tls_options:tls_opt()]}}.
-export_type([tls/0]).

%% The protocols to advertise, unless the options have their own: those that the connection may speak, the best first.
-type alpn() :: [binary()].

%% @doc The configuration for the options of a connection: files are read, unless they
%% have been within the last second, and what they hold is checked. The element is the
%% one of tls_opts that cannot be honoured. A node that has no descriptor or no memory left
%% for the files is an error of its own.
-spec new(gun_rs_options:config() | #{transport := tcp | tls, tls_opts := [gun_rs_tls_options:tls_opt()], protocols := [atom()]}) -> {ok, tls()} | {error, {options, {tls_opts, Element :: term()}} | Posix :: atom()}.
new(#{transport := tcp}) ->
	{ok, undefined};
new(#{tls_opts := TlsOpts, protocols := Protocols}) ->
	make(alpn(Protocols), TlsOpts).

alpn(Protocols) ->
	[case Protocol of
		http -> <<"http/1.1">>;
		http2 -> <<"h2">>
	end || Protocol <- Protocols, Protocol =/= raw, Protocol =/= socks].

make(Alpn, TlsOpts) ->
	case has_secret(TlsOpts) of
		true -> make_new(Alpn, TlsOpts);
		false -> make_remembered(Alpn, TlsOpts)
	end.

%% What only the connection should know is not left in a table for everybody.
has_secret(TlsOpts) ->
	lists:any(fun(Opt) -> is_tuple(Opt) andalso gun_rs_secrets:is_secret(element(1, Opt)) end, TlsOpts).

make_remembered(Alpn, TlsOpts) ->
	Now = erlang:monotonic_time(millisecond),
	case gun_rs_tls_cache:find(Alpn, TlsOpts) of
		{ok, Tls} -> {ok, Tls};
		error -> remember(Alpn, TlsOpts, make_new(Alpn, TlsOpts), Now)
	end.

remember(Alpn, TlsOpts, Made={ok, Tls}, Since) ->
	ok = gun_rs_tls_cache:keep(Alpn, TlsOpts, Tls, Since),
	Made;
remember(_, _, Error, _) ->
	Error.

make_new(Alpn, TlsOpts) ->
	try gun_rs_tls_options:native(TlsOpts, Alpn) of
		{ok, Native} -> made(Alpn, TlsOpts, gun_rs_native:tls_config(Native));
		{error, Element} -> {error, {options, {tls_opts, gun_rs_tls_options:refused(Element)}}}
	catch throw:{posix, Posix} ->
		{error, Posix}
	end.

made(Alpn, TlsOpts, {ok, Config}) ->
	case gun_rs_tls_options:is_constant(TlsOpts) of
		true -> {ok, {Config, constant}};
		false -> {ok, {Config, {Alpn, gun_rs_secrets:hide_tls(TlsOpts)}}}
	end;
made(_, _, {error, Posix}) when is_atom(Posix) ->
	{error, Posix};
made(_, TlsOpts, {error, {Key, _}}) ->
	{error, {options, {tls_opts, gun_rs_tls_options:refused(gun_rs_tls_options:at_fault(Key, TlsOpts))}}}.

%% @doc What the native library takes.
-spec config(tls()) -> gun_rs_native:tls_config() | undefined.
config(undefined) -> undefined;
config({Config, _}) -> Config.

%% @doc The same for the next attempt: files are read anew, with the same exception.
-spec renew(tls()) -> {ok, tls()} | {error, {options, {tls_opts, Element :: term()}} | Posix :: atom()}.
renew(undefined) -> {ok, undefined};
renew(Tls={_, constant}) -> {ok, Tls};
renew({_, {Alpn, TlsOpts}}) -> make(Alpn, gun_rs_secrets:reveal_tls(TlsOpts)).

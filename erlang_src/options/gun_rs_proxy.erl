%% @private The proxy that a connection is dialled through: the options proxy and proxy_opts of open.
-module(gun_rs_proxy).

-export([of_config/1]).
-export([native/1]).
-export([reveal/1]).

%% What the native library is given, the user and the password hidden.
-type native() :: map().

%% @doc The configuration, its options checked, without a password that could be printed.
-spec of_config(gun_rs_options:config()) -> {ok, gun_rs_options:config()} | {error, {options, {proxy, unix}}}.
of_config(#{host := {local, _}, opts := #{proxy := _}}) ->
	{error, {options, {proxy, unix}}};
of_config(Config=#{opts := Opts=#{proxy := Url}}) when Url =/= environment ->
	{ok, Proxy} = gun_rs_proxy_url:parse(Url),
	{ok, Config#{proxy := Proxy, opts := Opts#{proxy := gun_rs_secrets:url(Url)}}};
of_config(Config) ->
	{ok, Config}.

%% @doc What the native library needs, and what info/1 says of it. The variables of the environment are read now: those of
%% the VM, which are not those of its operating system process.
-spec native(gun_rs_options:config()) -> {ok, undefined | {native(), Via :: map()}} | {error, Reason :: term()}.
native(#{proxy := undefined}) ->
	{ok, undefined};
native(Config=#{proxy := environment}) ->
	case of_environment(Config) of
		{ok, Proxy} -> native(Config#{proxy := Proxy});
		Error -> Error
	end;
native(Config=#{proxy := Proxy=#{scheme := Scheme}}) ->
	ProxyOpts = maps:merge(gun_rs_option_table:defaults(proxy_opts), maps:get(proxy_opts, Config, #{})),
	case tls(Scheme, ProxyOpts) of
		{ok, Tls} -> {ok, {native(Proxy, Tls, ProxyOpts), via(Proxy)}};
		Error -> Error
	end.

native(#{scheme := Scheme, host := Host, port := Port, auth := Auth}, Tls, #{timeout := Timeout}) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	#{host => HostBin, port => Port, tls => Tls, timeout => Timeout, speaks => speaks(Scheme), auth => Auth}.

speaks(socks5) -> {socks5, false};
speaks(socks5h) -> {socks5, true};
speaks(_) -> http.

tls(https, #{tls_opts := TlsOpts0}) ->
	TlsOpts = gun_rs_tls_options:without_decoded(TlsOpts0),
	Spoken = #{transport => tls, tls_opts => TlsOpts, protocols => [http]},
	case gun_rs_protocols:check(tls, Spoken) of
		ok -> named(gun_rs_tls:new(Spoken));
		Error -> named(Error)
	end;
tls(_, _) ->
	{ok, undefined}.

named({ok, Tls}) -> {ok, gun_rs_tls:config(Tls)};
named({error, {options, Bad}}) -> {error, {options, {proxy_opts, Bad}}};
named(Error) -> Error.

via(#{scheme := Scheme, host := Host, port := Port}) ->
	Via = case speaks(Scheme) of
		http -> #{type => connect, protocol => http};
		_ -> #{type => socks5, protocol => socks}
	end,
	Via#{host => Host, port => Port, transport => case Scheme of https -> tls; _ -> tcp end}.

%% @doc The proxy of a configuration as the native library takes it.
-spec reveal(gun_rs_options:config() | #{proxy := native() | undefined, atom() => term()}) -> map() | undefined.
reveal(#{proxy := Proxy=#{auth := Auth0, speaks := Speaks}}) ->
	Auth = case Auth0 of
		undefined -> undefined;
		_ -> gun_rs_secrets:reveal(Auth0)
	end,
	(maps:remove(auth, Proxy))#{speaks := case {Speaks, Auth} of
		{{socks5, Resolves}, _} -> {socks5, Auth, Resolves};
		{http, undefined} -> {http, undefined};
		{http, {User, Password}} -> {http, <<"Basic ", (base64:encode(<<User/binary, $:, Password/binary>>))/binary>>}
	end};
reveal(_) ->
	undefined.

%% The proxy that the variables name for this origin, as curl and others read them.
of_environment(#{host := Host, transport := Transport}) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	case variable(names(Transport)) of
		none ->
			{ok, undefined};
		{Name, Value} ->
			case is_excepted(variable(["NO_PROXY", "no_proxy"]), HostBin) of
				true -> {ok, undefined};
				false -> of_variable(Name, gun_rs_proxy_url:parse_variable(Value))
			end
	end.

names(tls) -> ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
names(tcp) -> ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].

of_variable(_, {ok, Proxy}) -> {ok, Proxy};
of_variable(Name, {error, Fault}) -> {error, {options, {proxy, {environment, Name, Fault}}}}.

is_excepted(none, _) -> false;
is_excepted({_, Rules}, Host) -> gun_rs_native:proxy_is_excepted(unicode:characters_to_binary(Rules), Host).

%% The first that has a value; an empty one is none.
variable([]) ->
	none;
variable([Name|Names]) ->
	case os:getenv(Name) of
		Value when Value =:= false; Value =:= "" -> variable(Names);
		Value -> {Name, Value}
	end.

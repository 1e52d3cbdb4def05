%% @private What a connection leads to, once it leads through tunnels: for `gun_rs:info/1' and `gun_rs:stream_info/2'.
-module(gun_rs_tunnels).

-export([new/1]).
-export([up/5]).
-export([origin/2]).
-export([intermediaries/1]).
-export([stream/2]).
-export([scheme/1]).
-export([change/1]).

%% The outermost first. Via is the proxy that has made it.
-type tunnels() :: [{StreamRef :: gun_rs_native:stream_ref() | undefined | {proxy}, Via :: map(), origin()}].
-export_type([tunnels/0]).

-type origin() :: #{host := gun_rs_host:host() | {local, binary()}, port := inet:port_number(), transport := tcp | tls,
	protocol := gun_rs_native:protocol() | undefined}.
-export_type([origin/0]).

%% @doc Those that a connection begins with: the proxy that it is dialled through, if there is one. No stream has its name.
-spec new(Config :: map()) -> tunnels().
new(Config=#{via := Via}) -> [{{proxy}, Via, origin(Config, [])}];
new(_) -> [].

%% @doc A tunnel is up. Config is that of the connection.
-spec up(gun_rs_native:stream_ref() | undefined, gun_rs_native:protocol(), Label :: map(), Config :: map(), tunnels())
	-> tunnels().
up(StreamRef, Protocol, #{type := Type, host := Host, port := Port, transport := Transport}, Config, Tunnels) ->
	#{host := ViaHost, port := ViaPort, transport := ViaTransport} = origin(Config, Tunnels),
	Via = #{type => Type, host => ViaHost, port => ViaPort, transport => ViaTransport, protocol => spoken(Type)},
	Tunnels ++ [{StreamRef, Via, #{host => Host, port => Port, transport => Transport, protocol => Protocol}}].

spoken(connect) -> http;
spoken(socks5) -> socks.

%% @doc Where the connection leads in the end.
-spec origin(Config :: map(), tunnels()) -> origin().
origin(#{host := Host, port := Port, transport := Transport}, []) ->
	#{host => Host, port => Port, transport => Transport, protocol => undefined};
origin(_, Tunnels) ->
	{_, _, Origin} = lists:last(Tunnels),
	Origin.

%% @doc The proxies on the way, in the order in which the data passes them.
-spec intermediaries(tunnels()) -> [map()].
intermediaries(Tunnels) ->
	[Via || {_, Via, _} <- Tunnels].

%% @doc What is known of the stream of a tunnel.
-spec stream(gun_rs_native:stream_ref(), tunnels()) -> {ok, map()} | none.
stream(StreamRef, Tunnels) ->
	{Before, From} = lists:splitwith(fun({Ref, _, _}) -> Ref =/= StreamRef end, Tunnels),
	case From of
		[{_, _, Origin=#{host := Host, port := Port, transport := Transport, protocol := Protocol}}|_] ->
			{ok, #{ref => StreamRef, reply_to => undefined, state => running, intermediaries => intermediaries(Before),
				tunnel => #{transport => Transport, protocol => Protocol, origin_scheme => scheme(Origin),
					origin_host => Host, origin_port => Port}}};
		[] ->
			none
	end.

%% @doc The scheme of requests there; what is no HTTP has none.
-spec scheme(origin()) -> binary() | undefined.
scheme(#{protocol := Protocol}) when Protocol =:= raw; Protocol =:= socks -> undefined;
scheme(#{transport := tcp}) -> <<"http">>;
scheme(#{transport := tls}) -> <<"https">>.

%% @doc What has changed by the newest tunnel, as event handlers are told it.
-spec change(tunnels()) -> map().
change(Tunnels) ->
	{_, #{type := Type}, Origin=#{host := Host, port := Port}} = lists:last(Tunnels),
	#{type => Type, origin_scheme => scheme(Origin), origin_host => Host, origin_port => Port}.

%% @private What a connection leads to, and its streams, once they lead through tunnels: for `gun_rs:info/1' and
%% `gun_rs:stream_info/2'.
-module(gun_rs_tunnels).

-export([new/1]).
-export([up/5]).
-export([over/2]).
-export([origin/2]).
-export([intermediaries/1]).
-export([stream/2]).
-export([about/2]).
-export([scheme/1]).
-export([newest/1]).
-export([change/1]).

%% The outermost first. Via is the proxy that has made it. One that is beside the connection is on a stream of it.
-type tunnels() :: [{StreamRef :: gun_rs_native:stream_ref() | undefined | {proxy}, Via :: map(), origin(),
	Beside :: boolean()}].
-export_type([tunnels/0]).

-type origin() :: #{host := gun_rs_host:host() | {local, binary()}, port := inet:port_number(), transport := tcp | tls,
	protocol := gun_rs_native:protocol() | undefined}.
-export_type([origin/0]).

%% What has come to lead there: the connection, or a stream of it.
-type place() :: connection | {stream, gun_rs_native:stream_ref()}.
-export_type([place/0]).

%% @doc Those that a connection begins with: the proxy that it is dialled through, if there is one. No stream has its name.
-spec new(Config :: map()) -> tunnels().
new(Config=#{via := Via}) -> [{{proxy}, Via, last(Config, []), false}];
new(_) -> [].

%% @doc A tunnel is up. Config is that of the connection.
-spec up({gun_rs_native:stream_ref() | undefined, Beside :: boolean()}, gun_rs_native:protocol(), Label :: map(),
	Config :: map(), tunnels()) -> tunnels().
up({StreamRef, Beside}, Protocol, #{type := Type, host := Host, port := Port, transport := Transport}, Config, Tunnels) ->
	Before = case Beside of
		true -> way(StreamRef, Tunnels);
		false -> whole(Tunnels)
	end,
	#{host := ViaHost, port := ViaPort, transport := ViaTransport} = Last = last(Config, Before),
	Via = #{type => Type, host => ViaHost, port => ViaPort, transport => ViaTransport,
		protocol => spoken(Type, Beside, Before, Last)},
	Tunnels ++ [{StreamRef, Via, #{host => Host, port => Port, transport => Transport, protocol => Protocol}, Beside}].

%% What a proxy speaks. A connection that gives up a stream alone speaks HTTP/2; behind it either may.
spoken(socks5, _, _, _) -> socks;
spoken(connect, false, _, _) -> http;
spoken(connect, true, Before, #{protocol := Protocol}) ->
	case Before =/= [] andalso lists:last(Before) of
		{_, _, _, true} -> Protocol;
		_ -> http2
	end.

%% @doc The tunnel on this stream is over.
-spec over(gun_rs_native:stream_ref(), tunnels()) -> tunnels().
over(StreamRef, Tunnels) ->
	[Tunnel || Tunnel={Ref, _, _, Beside} <- Tunnels, not Beside orelse Ref =/= StreamRef].

%% @doc Where the connection leads in the end.
-spec origin(Config :: map(), tunnels()) -> origin().
origin(Config, Tunnels) ->
	last(Config, whole(Tunnels)).

last(#{host := Host, port := Port, transport := Transport}, []) ->
	#{host => Host, port => Port, transport => Transport, protocol => undefined};
last(_, Tunnels) ->
	{_, _, Origin, _} = lists:last(Tunnels),
	Origin.

%% Those that the connection itself leads through.
whole(Tunnels) ->
	[Tunnel || Tunnel={_, _, _, false} <- Tunnels].

%% Those that a stream of this name leads through, be it a tunnel itself.
way(StreamRef, Tunnels) ->
	[Tunnel || Tunnel={Ref, _, _, Beside} <- Tunnels, not Beside orelse lists:prefix(refs(Ref), refs(StreamRef))].

refs(Refs) when is_list(Refs) -> Refs;
refs(Ref) -> [Ref].

%% @doc The proxies on the way of the connection, in the order in which the data passes them.
-spec intermediaries(tunnels()) -> [map()].
intermediaries(Tunnels) ->
	vias(whole(Tunnels)).

vias(Tunnels) ->
	[Via || {_, Via, _, _} <- Tunnels].

%% @doc What is known of the stream of a tunnel that the connection has become.
-spec stream(gun_rs_native:stream_ref(), tunnels()) -> {ok, map()} | none.
stream(StreamRef, Tunnels) ->
	case split(StreamRef, whole(Tunnels)) of
		{Before, Origin} ->
			{ok, #{ref => StreamRef, reply_to => undefined, state => running, intermediaries => vias(Before),
				tunnel => tunnel(Origin)}};
		none ->
			none
	end.

%% @doc What there is to add to what is known of any other stream.
-spec about(gun_rs_native:stream_ref(), tunnels()) -> map().
about(StreamRef, Tunnels) ->
	case split(StreamRef, way(StreamRef, Tunnels)) of
		{[], Origin} -> #{tunnel => tunnel(Origin)};
		{Before, Origin} -> #{tunnel => tunnel(Origin), intermediaries => vias(Before)};
		none when is_list(StreamRef) -> #{intermediaries => vias(way(StreamRef, Tunnels))};
		none -> #{}
	end.

%% What is before the tunnel of this name, and where it leads.
split(StreamRef, Tunnels) ->
	case lists:splitwith(fun({Ref, _, _, _}) -> Ref =/= StreamRef end, Tunnels) of
		{Before, [{_, _, Origin, _}|_]} -> {Before, Origin};
		{_, []} -> none
	end.

tunnel(Origin=#{host := Host, port := Port, transport := Transport, protocol := Protocol}) ->
	#{transport => Transport, protocol => Protocol, origin_scheme => scheme(Origin), origin_host => Host,
		origin_port => Port}.

%% @doc The scheme of requests there; what is no HTTP has none.
-spec scheme(origin()) -> binary() | undefined.
scheme(#{protocol := Protocol}) when Protocol =:= raw; Protocol =:= socks -> undefined;
scheme(#{transport := tcp}) -> <<"http">>;
scheme(#{transport := tls}) -> <<"https">>.

%% @doc What leads to somewhere else by the newest tunnel, and where to.
-spec newest(tunnels()) -> {place(), origin()}.
newest(Tunnels) ->
	case lists:last(Tunnels) of
		{_, _, Origin, false} -> {connection, Origin};
		{StreamRef, _, Origin, true} -> {{stream, StreamRef}, Origin}
	end.

%% @doc What has changed by the newest tunnel, as event handlers are told it.
-spec change(tunnels()) -> map().
change(Tunnels) ->
	{StreamRef, #{type := Type}, Origin=#{host := Host, port := Port}, Beside} = lists:last(Tunnels),
	Change = #{type => Type, origin_scheme => scheme(Origin), origin_host => Host, origin_port => Port},
	case Beside of
		true -> Change#{stream_ref => StreamRef};
		false -> Change
	end.

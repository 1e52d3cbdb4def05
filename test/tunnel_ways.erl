%% Ways through proxies, for the suites of tunnels: which there are, and how a connection is led along one.
%%
%% A hop is {connect | connect2 | socks, tcp | tls}; connect2 is CONNECT over HTTP/2. In a suite's Config, `origins' has the ports of what the ways lead to, and
%% `proxies' those of a proxy of each kind.
-module(tunnel_ways).

-export([init/1]).
-export([stop/1]).
-export([hops/0]).
-export([hops2/0]).
-export([check/2]).
-export([origins/0]).
-export([open/4]).
-export([open/5]).
-export([destination/3]).
-export([protocol/1]).
-export([tls_opts/1]).
-export([cookies/0]).

-include("gun_rs_test.hrl").

-import(gun_rs_test, [answer/2, config/2]).

init(Config) ->
	#{good := Good} = config(certs, Config),
	Tcp = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	Tls = http2_servers:cowboy([{transport, tls}|Config], #{}),
	Raw = {_, RawPort} = echo(),
	Proxies = [{Hop, proxies:start(Kind, case Transport of tcp -> #{}; tls -> #{tls => Good} end)}
		|| Hop={Kind, Transport} <- hops()],
	%% The process that begins a group ends before its cases.
	_ = [unlink(Pid) || {Pid, _} <- [Raw|[Proxy || {_, Proxy} <- Proxies]]],
	Proxies2 = [{Hop, http2_servers:rust([{transport, Transport}|Config], [])} || Hop={_, Transport} <- hops2()],
	[{servers, [Tcp, Tls|[Proxy || {_, Proxy} <- Proxies2]]}, {raw, Raw}, {started, Proxies},
		{proxies, [{Hop, Port} || {Hop, {_, Port}} <- Proxies] ++ [{Hop, Port} || {Hop, {Port, _}} <- Proxies2]},
		{origins, #{tcp => element(1, Tcp), tls => element(1, Tls), raw => RawPort}}|Config].

stop(Config) ->
	_ = [http2_servers:stop(Server) || Server <- config(servers, Config)],
	_ = [proxies:stop(Proxy) || {_, Proxy} <- config(started, Config)],
	proxies:stop(config(raw, Config)).

echo() ->
	Self = self(),
	Pid = spawn_link(fun() ->
		{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
		{ok, Port} = inet:port(Listener),
		Self ! {self(), Port},
		echo(Listener)
	end),
	?EXPECT({Pid, Port}, {Pid, Port}).

echo(Listener) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	Pid = spawn_link(fun() -> receive go -> proxies:carry(gen_tcp, Socket, gen_tcp, Socket) end end),
	ok = gen_tcp:controlling_process(Socket, Pid),
	Pid ! go,
	echo(Listener).

%% All kinds of hops that have the connection for themselves.
hops() -> [{connect, tcp}, {connect, tls}, {socks, tcp}, {socks, tls}].

%% Those that are streams of a connection.
hops2() -> [{connect2, tcp}, {connect2, tls}].

%% Leads a connection along each of these ways to each origin, and speaks there.
check(Ways, Config) ->
	_ = [begin
		ct:log("~0p to ~0p", [Hops, Origin]),
		check(Hops, Origin, Config)
	end || Hops <- Ways, Origin <- origins()],
	ok.

check(Hops, Origin, Config) ->
	{ConnPid, ReqOpts} = open(Hops, Origin, #{}, Config),
	%% What the connection leads to as a whole is before the first stream.
	{Whole, Rest} = lists:splitwith(fun({Kind, _}) -> Kind =/= connect2 end, Hops),
	Vias = vias(Hops, Config),
	check_info(gun_rs:info(ConnPid), lists:sublist(Vias, length(Whole)), Rest, Origin, Config),
	talk(protocol(element(1, Origin)), ConnPid, ReqOpts, Vias, Rest =/= []),
	ok = gun_rs:close(ConnPid),
	gun_rs:flush(ConnPid).

vias(Hops, Config) ->
	[#{type => case Type of socks -> socks5; _ -> connect end, host => "localhost",
		port => config(Hop, config(proxies, Config)), transport => Transport,
		protocol => case Type of connect -> http; connect2 -> http2; socks -> socks end} || Hop={Type, Transport} <- Hops].

check_info(Info, Vias, [], {Kind, PortName, Transport, _}, Config) ->
	Scheme = case {Kind, Transport} of {raw, _} -> undefined; {_, tcp} -> <<"http">>; {_, tls} -> <<"https">> end,
	check_info(Info, {"localhost", map_get(PortName, config(origins, Config)), Scheme, Transport, protocol(Kind), Vias});
check_info(Info, Vias, [Hop={connect2, Transport}|_], _, Config) ->
	Scheme = case Transport of tcp -> <<"http">>; tls -> <<"https">> end,
	check_info(Info, {"localhost", config(Hop, config(proxies, Config)), Scheme, Transport, http2, Vias}).

check_info(#{origin_host := Host, origin_port := Port, origin_scheme := Scheme, transport := Transport,
		protocol := Protocol, intermediaries := Vias}, Expected) ->
	{Host, Port, Scheme, Transport, Protocol, Vias} = Expected.

talk(raw, ConnPid, ReqOpts, Vias, Beside) ->
	Tunnel = maps:get(tunnel, ReqOpts, undefined),
	_ = [#{state_name := connected_data_only} = gun_rs:info(ConnPid) || not Beside],
	_ = [check_tunnel(gun_rs:stream_info(ConnPid, Tunnel), Tunnel, Vias) || Beside],
	ok = gun_rs:data(ConnPid, Tunnel, nofin, "hello"),
	{data, nofin, <<"hello">>} = gun_rs:await(ConnPid, Tunnel, ?WAIT);
talk(Protocol, ConnPid, ReqOpts, Vias, Beside) ->
	StreamRef = gun_rs:post(ConnPid, "/echo", [], "hello", ReqOpts),
	case ReqOpts of
		#{tunnel := Tunnel} when is_list(Tunnel) -> true = lists:prefix(Tunnel, StreamRef);
		#{tunnel := Tunnel} -> [Tunnel, _] = StreamRef;
		_ -> true = is_reference(StreamRef)
	end,
	{200, _, <<"hello">>} = answer(ConnPid, StreamRef),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], ReqOpts),
	{upgrade, [<<"websocket">>], _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, WsRef, {text, Text}),
		{ws, {text, Text}} = gun_rs:await(ConnPid, WsRef, ?WAIT)
	end || Text <- [<<"one">>, <<"two">>]],
	_ = [case gun_rs:stream_info(ConnPid, WsRef) of
		{ok, #{ref := WsRef, intermediaries := Seen}} -> Seen = Vias
	end || is_list(WsRef), Beside orelse Protocol =:= http2],
	_ = [check_tunnel(gun_rs:stream_info(ConnPid, Tunnel2), Tunnel2, Vias)
		|| Beside, Tunnel2 <- [maps:get(tunnel, ReqOpts)]],
	ok.

%% SOCKS behind it has its name.
check_tunnel({ok, Info=#{ref := Tunnel, state := running, reply_to := ReplyTo, tunnel := #{origin_host := "localhost"}}},
		Tunnel, Vias) ->
	ReplyTo = self(),
	Before = maps:get(intermediaries, Info, []),
	true = lists:prefix(Before, Vias),
	[#{type := connect}|Behind] = lists:nthtail(length(Before), Vias),
	true = lists:all(fun(#{type := Type}) -> Type =:= socks5 end, Behind).

%% What may be at the end: the kind, the port's name, the transport, and the protocols.
origins() ->
	[
		{http, tcp, tcp, [http]},
		{https, tls, tls, [http]},
		{h2c, tcp, tcp, [http2]},
		{http2, tls, tls, [http2, http]},
		{raw, raw, tcp, [raw]}
	].

protocol(raw) -> raw;
protocol(Kind) when Kind =:= h2c; Kind =:= http2 -> http2;
protocol(_) -> http.

%% A store with a cookie of proxies, which are at 127.0.0.1, and one of origins, which are at localhost.
cookies() ->
	lists:foldl(fun({Host, Cookie}, Store) ->
		gun_rs_cookies:set_cookie_headers(<<"http">>, Host, <<"/">>, 200, [{<<"set-cookie">>, Cookie}], Store, #{})
	end, gun_rs_cookies_list:init(), [{<<"127.0.0.1">>, <<"proxy=1">>}, {<<"localhost">>, <<"origin=1">>}]).

tls_opts(Config) ->
	#{root := #{certfile := Root}} = config(certs, Config),
	[{cacertfile, Root}].

%% What connect, or SOCKS, is given to lead along the rest of a way.
destination([], {_, PortName, Transport, Protocols}, Config) ->
	map(Transport, map_get(PortName, config(origins, Config)), Protocols, Config);
destination([Hop={connect, Transport}|_], _, Config) ->
	map(Transport, config(Hop, config(proxies, Config)), [http], Config);
destination([Hop={connect2, Transport}|_], _, Config) ->
	map(Transport, config(Hop, config(proxies, Config)), [http2], Config);
destination([Hop={socks, Transport}|Rest], Origin, Config) ->
	map(Transport, config(Hop, config(proxies, Config)), [{socks, destination(Rest, Origin, Config)}], Config).

map(Transport, Port, Protocols, Config) ->
	Map = #{host => "localhost", port => Port, transport => Transport, protocols => Protocols},
	case Transport of
		tcp -> Map;
		tls -> Map#{tls_opts => tls_opts(Config)}
	end.

%% A connection along the way, and the option that streams at its end need.
open(Hops, Origin, Opts, Config) ->
	open(Hops, Origin, Opts, #{}, Config).

open(Hops, Origin, Opts, Extra, Config) ->
	#{host := Host, port := Port} = First = destination(Hops, Origin, Config),
	{ok, ConnPid} = gun_rs:open(Host, Port, maps:merge(maps:without([host, port], First#{retry => 0}), Opts)),
	Spoken = next(Hops, Origin),
	{ok, Spoken} = gun_rs:await_up(ConnPid, ?WAIT),
	{ConnPid, walk(ConnPid, undefined, Hops, Origin, Extra, Config)}.

walk(_, undefined, [], _, _, _) ->
	#{};
walk(_, Tunnel, [], _, _, _) ->
	#{tunnel => Tunnel};
walk(ConnPid, Tunnel, [{Kind, _}|Rest], Origin, Extra, Config) when Kind =:= connect; Kind =:= connect2 ->
	ReqOpts = case Tunnel of undefined -> #{}; _ -> #{tunnel => Tunnel} end,
	StreamRef = gun_rs:connect(ConnPid, maps:merge(destination(Rest, Origin, Config), Extra), [], ReqOpts),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	Next = next(Rest, Origin),
	{up, Next} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	walk(ConnPid, StreamRef, Rest, Origin, Extra, Config);
walk(ConnPid, Tunnel, [{socks, _}|Rest], Origin, Extra, Config) ->
	Next = next(Rest, Origin),
	{up, Next} = gun_rs:await(ConnPid, Tunnel, ?WAIT),
	walk(ConnPid, Tunnel, Rest, Origin, Extra, Config).

next([], {Kind, _, _, _}) -> protocol(Kind);
next([{connect, _}|_], _) -> http;
next([{connect2, _}|_], _) -> http2;
next([{socks, _}|_], _) -> socks.

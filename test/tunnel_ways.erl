%% Ways through proxies, for the suites of tunnels: which there are, and how a connection is led along one.
%%
%% A hop is {connect | socks, tcp | tls}. In a suite's Config, `origins' has the ports of what the ways lead to, and
%% `proxies' those of a proxy of each kind.
-module(tunnel_ways).

-export([init/1]).
-export([stop/1]).
-export([hops/0]).
-export([origins/0]).
-export([open/4]).
-export([open/5]).
-export([destination/3]).
-export([protocol/1]).
-export([tls_opts/1]).
-export([cookies/0]).

-include("gun_rs_test.hrl").

-import(gun_rs_test, [config/2]).

init(Config) ->
	#{good := Good} = config(certs, Config),
	Tcp = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	Tls = http2_servers:cowboy([{transport, tls}|Config], #{}),
	Raw = {_, RawPort} = echo(),
	Proxies = [{Hop, proxies:start(Kind, case Transport of tcp -> #{}; tls -> #{tls => Good} end)}
		|| Hop={Kind, Transport} <- hops()],
	%% The process that begins a group ends before its cases.
	_ = [unlink(Pid) || {Pid, _} <- [Raw|[Proxy || {_, Proxy} <- Proxies]]],
	[{servers, [Tcp, Tls]}, {raw, Raw}, {started, Proxies}, {proxies, [{Hop, Port} || {Hop, {_, Port}} <- Proxies]},
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

%% All kinds of hops.
hops() -> [{connect, tcp}, {connect, tls}, {socks, tcp}, {socks, tls}].

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
	Spoken = case hd(Hops) of {connect, _} -> http; {socks, _} -> socks end,
	{ok, Spoken} = gun_rs:await_up(ConnPid, ?WAIT),
	{ConnPid, walk(ConnPid, undefined, Hops, Origin, Extra, Config)}.

walk(_, undefined, [], _, _, _) ->
	#{};
walk(_, Tunnel, [], _, _, _) ->
	#{tunnel => Tunnel};
walk(ConnPid, Tunnel, [{connect, _}|Rest], Origin, Extra, Config) ->
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
next([{socks, _}|_], _) -> socks.

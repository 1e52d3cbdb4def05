%% @private What `gun_rs:info/1' answers.
-module(gun_rs_conn_info).

-export([ask/1]).
-export([dialect/1]).
-export([map/6]).
-export([stream/2]).
-export([all/0]).
-export([about/1]).
-export([set_label/2]).

%% In ms: as long as gun's own call.
-define(CALL_TIMEOUT, 5000).

%% @doc Asks a connection of this node. The exit is that of gun:info/1, which asks by
%% sys:get_state/1.
-spec ask(pid()) -> map().
ask(ConnPid) ->
	try
		true = gun_rs_native:is_conn(ConnPid) orelse exit({noproc, undefined}),
		gen_statem:call(ConnPid, info, ?CALL_TIMEOUT)
	catch exit:{Reason, _} ->
		exit({Reason, {sys, get_state, [ConnPid]}})
	end.

%% @doc The dialect of a connection of this node, also of one that has ended not long ago.
-spec dialect(pid()) -> gun_rs_options:dialect().
dialect(ConnPid) ->
	%% Without the native library there is no connection.
	Living = [gun_rs_native:conn_dialect(ConnPid) || gun_rs_native:load_error() =:= undefined],
	hd([Dialect || Dialect <- Living ++ [gun_rs_exits:dialect(ConnPid)], Dialect =/= undefined]
		++ [gun_rs_options:default_dialect()]).

%% @doc The map with gun's keys. What the connection is doing is asked of the native side:
%% whoever has received the message of a change finds it here, whether or not the process
%% behind ConnPid has received it yet.
-spec map(gun_rs_native:conn(), Config :: map(), Owner :: pid(), gun_rs_native:sockname(),
	gun_rs_cookies:store() | undefined, gun_rs_tunnels:tunnels()) -> map().
map(Conn, Config, Owner, SockName, CookieStore, Tunnels) ->
	Origin = #{host := Host, port := Port, transport := Transport} = gun_rs_tunnels:origin(Config, Tunnels),
	NativeState = gun_rs_native:conn_state(Conn),
	Info = #{
		stats => stats(gun_rs_native:conn_stats(Conn)),
		owner => Owner,
		socket => socket(NativeState, Conn),
		transport => Transport,
		state_name => state_name(NativeState),
		origin_scheme => gun_rs_tunnels:scheme(Origin#{protocol := protocol(NativeState)}),
		origin_host => origin_host(Host),
		origin_port => Port,
		intermediaries => gun_rs_tunnels:intermediaries(Tunnels),
		cookie_store => CookieStore
	},
	case {protocol(NativeState), SockName} of
		{undefined, _} -> Info;
		{Protocol, undefined} -> Info#{protocol => Protocol};
		{Protocol, {SockIP, SockPort}} -> Info#{protocol => Protocol, sock_ip => SockIP, sock_port => SockPort}
	end.

%% @doc What `gun_rs:stream_info/2' answers, by what the native side does: a WebSocket among others has its own counts, a
%% stream in a tunnel has proxies before it, and one that is a tunnel leads somewhere.
-spec stream(Answer, gun_rs_tunnels:tunnels()) -> Answer
	when Answer :: {ok, map() | undefined} | {error, not_connected}.
stream({ok, Info=#{ref := Ref}}, Tunnels) ->
	Counted = case Info of
		#{stats := Stats} -> Info#{stats := stats(Stats)};
		_ -> Info
	end,
	{ok, maps:merge(Counted, gun_rs_tunnels:about(Ref, Tunnels))};
stream(Answer, _) ->
	Answer.

%% @doc What `gun_rs:connections/0' answers: what the native side knows.
-spec all() -> [map()].
all() ->
	case gun_rs_native:load_error() of
		undefined -> [line(Known) || Known <- gun_rs_native:conn_list()];
		_ -> []
	end.

line({ConnPid, State, UpSince, SendQueue, Owner, About}) ->
	{Host, Port, Transport} = binary_to_term(About),
	Protocol = protocol(State),
	#{pid => ConnPid, label => label(Host, Port, Protocol), host => Host, port => Port, transport => Transport,
		protocol => Protocol, state => state_name(State), up_since => UpSince, send_queue => SendQueue, owner => Owner}.

%% @doc What a connection is to, as the native side keeps it.
-spec about(Config :: map()) -> binary().
about(#{host := Host, port := Port, transport := Transport}) ->
	term_to_binary({Host, Port, Transport}).

%% @doc Labels the process behind a connection, which has come up, or is down.
-spec set_label(Config :: map(), gun_rs_native:protocol() | undefined) -> ok.
set_label(#{host := Host, port := Port}, Protocol) ->
	gun_rs_label:set(fun() -> label(Host, Port, Protocol) end).

label(Host, Port, Protocol) ->
	{gun_rs, conn, place(Host, Port), Protocol}.

place({local, Path}, _) ->
	Path;
place(Host, Port) ->
	{ok, HostBin} = gun_rs_host:to_binary(Host),
	gun_rs_host:with_port(HostBin, Port).

origin_host({local, _}) -> <<"localhost">>;
origin_host(Host) -> Host.

%% The ratio is of the messages that went compressed, in both directions together.
stats(#{uncompressed := Uncompressed, compressed := Compressed}=Stats) ->
	Ratio = case Compressed of
		0 -> undefined;
		_ -> Uncompressed / Compressed
	end,
	(maps:without([uncompressed, compressed], Stats))#{compression_ratio => Ratio}.

%% As in gun there is none where there is no connection.
socket(idle, _) -> undefined;
socket(connecting, _) -> undefined;
socket(_, Conn) -> Conn.

state_name(idle) -> domain_lookup;
state_name(connecting) -> connecting;
state_name(http) -> connected;
state_name(http2) -> connected;
state_name(ws) -> connected_ws_only;
state_name(closing) -> closing;
state_name(raw) -> connected_data_only;
state_name(socks) -> connected_no_input.

protocol(http) -> http;
protocol(http2) -> http2;
protocol(ws) -> ws;
protocol(raw) -> raw;
protocol(socks) -> socks;
protocol(closing) -> ws;
protocol(_) -> undefined.

%% @private What `gun_rs:info/1' answers.
-module(gun_rs_conn_info).

-export([ask/1]).
-export([dialect/1]).
-export([map/5]).

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
	gun_rs_cookies:store() | undefined) -> map().
map(Conn, Config, Owner, SockName, CookieStore) ->
	#{host := Host, port := Port, transport := Transport} = Config,
	NativeState = gun_rs_native:conn_state(Conn),
	Info = #{
		stats => stats(gun_rs_native:conn_stats(Conn)),
		owner => Owner,
		socket => socket(NativeState, Conn),
		transport => Transport,
		state_name => state_name(NativeState),
		origin_scheme => gun_rs_options:scheme(Config),
		origin_host => origin_host(Host),
		origin_port => Port,
		intermediaries => [],
		cookie_store => CookieStore,
		event_handler => undefined,
		event_handler_state => undefined
	},
	case {protocol(NativeState), SockName} of
		{undefined, _} -> Info;
		{Protocol, undefined} -> Info#{protocol => Protocol};
		{Protocol, {SockIP, SockPort}} -> Info#{protocol => Protocol, sock_ip => SockIP, sock_port => SockPort}
	end.

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
state_name(ws) -> connected_ws_only;
state_name(closing) -> closing.

protocol(http) -> http;
protocol(ws) -> ws;
protocol(closing) -> ws;
protocol(_) -> undefined.

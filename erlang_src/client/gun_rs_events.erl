%% @private The event handler of a connection: a module of the user's, with its state. It is called in the process behind
%% ConnPid, with what the native side reports as steps and with what that does not know.
-module(gun_rs_events).

-export([is_needed/1]).
-export([wanted/0]).
-export([init/2]).
-export([started/2]).
-export([ws_upgrade/3]).
-export([forget/2]).
-export([step/3]).
-export([disconnect/2]).
-export([terminate/3]).
-export([handler/1]).

-record(events, {
	module :: module(),
	state :: term(),
	%% What is dialled: a proxy, or else what was given to open.
	host :: gun_rs_options:host() | {local, binary()},
	port :: inet:port_number(),
	%% How the proxy is spoken to, if there is one.
	proxy :: tcp | tls | undefined,
	%% Whose TLS comes next.
	tls = origin :: proxy | origin,
	%% The options that events have, as they were given to open.
	transport :: tcp | tls,
	protocols :: [gun_rs_native:protocol()],
	opts :: gun_rs_options:opts(),
	timeouts :: #{domain_lookup | connect | tls_handshake => timeout()},
	%% What stands for the socket.
	socket :: gun_rs_native:conn() | undefined,
	%% Whether the last connection is down.
	is_down = false :: boolean(),
	%% Of the dial under way.
	lookup :: map() | undefined,
	%% The options of upgrades that have not begun.
	ws_opts = #{} :: #{reference() => gun_rs_options:ws_opts()}
}).
-opaque state() :: #events{}.
-export_type([state/0]).

-spec is_needed(gun_rs_options:config()) -> boolean().
is_needed(#{event_handler := EventHandler}) -> EventHandler =/= undefined.

%% @doc The steps that it is given: all that gun has a callback for.
-spec wanted() -> [gun_rs_event:step()].
wanted() ->
	[domain_lookup_start, domain_lookup_end, connect_start, connect_end, tls_handshake_start, tls_handshake_end,
		request_start, request_headers, request_end, push_promise_start, push_promise_end, response_start,
		response_inform, response_headers, response_trailers, response_end, ws_upgrade, ws_recv_frame_start,
		ws_recv_frame_header, ws_recv_frame_end, ws_send_frame_start, ws_send_frame_end, protocol_changed,
		origin_changed, cancel].

%% @doc Calls the handler for the first time. What it raises, the caller raises.
-spec init(gun_rs_options:config(), Owner :: pid()) -> state().
init(Config, Owner) ->
	#{event_handler := {Module, State0}, host := Host, port := Port, transport := Transport, protocols := Protocols,
		opts := Opts, domain_lookup_timeout := LookupTimeout, connect_timeout := ConnectTimeout,
		tls_handshake_timeout := HandshakeTimeout} = Config,
	State = Module:init(#{
		owner => Owner,
		transport => Transport,
		origin_scheme => gun_rs_options:scheme(Config),
		origin_host => Host,
		origin_port => Port,
		opts => gun_rs_secrets:reveal_opts(Opts)
	}, State0),
	Dialled = maps:get(via, Config, #{host => Host, port => Port, transport => undefined}),
	#events{module=Module, state=State, host=map_get(host, Dialled), port=map_get(port, Dialled),
		proxy=map_get(transport, Dialled), transport=Transport, protocols=Protocols, opts=Opts,
		timeouts=#{domain_lookup => LookupTimeout, connect => ConnectTimeout, tls_handshake => HandshakeTimeout}}.

%% @doc The native side has begun with the first attempt to connect.
-spec started(gun_rs_native:conn(), state()) -> state().
started(Conn, Events) ->
	Events#events{socket=Conn}.

%% @doc An upgrade with these options is asked for. It may have to wait for a connection.
-spec ws_upgrade(reference(), gun_rs_options:ws_opts(), state()) -> state().
ws_upgrade(StreamRef, WsOpts, Events=#events{ws_opts=All}) ->
	Events#events{ws_opts=All#{StreamRef => WsOpts}}.

%% @doc Upgrades among these streams do not begin any more.
-spec forget([gun_rs_native:stream_ref() | undefined], state()) -> state().
forget(_, Events=#events{ws_opts=All}) when map_size(All) =:= 0 -> Events;
forget(StreamRefs, Events=#events{ws_opts=All}) -> Events#events{ws_opts=maps:without(StreamRefs, All)}.

%% @doc Hands a step to the handler.
-spec step(gun_rs_event:step(), map(), state()) -> state().
%% Of a socket that is a file nothing is looked up; gun does it all the same.
step(connect_start, Step, Events=#events{host={local, _}=Host, port=Port, lookup=undefined}) ->
	Start = step(domain_lookup_start, #{host => Host, port => Port}, Events),
	step(connect_start, Step, step(domain_lookup_end, #{ip_addresses => [Host]}, Start));
step(Name, Step, Events) ->
	{Event, NewEvents} = event(Name, Step, Events),
	call(Name, Event, NewEvents).

event(domain_lookup_start, _, Events) ->
	{lookup(Events), Events#events{lookup=undefined}};
event(domain_lookup_end, #{error := Reason}, Events) ->
	{(lookup(Events))#{error => Reason}, Events};
event(domain_lookup_end, #{ip_addresses := Addresses}, Events=#events{port=Port}) ->
	Info = #{ip_addresses => Addresses, port => Port, tcp_module => gen_tcp, tcp_opts => tcp_opts(Events)},
	{(lookup(Events))#{lookup_info => Info}, Events#events{lookup=Info}};
event(connect_start, _, Events=#events{proxy=Proxy}) ->
	{connect(Events), Events#events{is_down=false, tls=case Proxy of tls -> proxy; _ -> origin end}};
event(connect_end, #{error := Reason}, Events) ->
	{(connect(Events))#{error => Reason}, Events#events{lookup=undefined}};
event(connect_end, _, Events=#events{proxy=Proxy, transport=Transport, socket=Socket, protocols=Protocols}) ->
	Event = (connect(Events))#{socket => Socket},
	{case {Proxy, Transport} of
		{undefined, tcp} -> Event#{protocol => hd(Protocols)};
		_ -> Event
	end, Events#events{lookup=undefined}};
event(tls_handshake_start, _, Events) ->
	{tls_handshake(Events), Events};
event(tls_handshake_end, #{error := Reason}, Events) ->
	{(tls_handshake(Events))#{error => Reason}, Events};
event(tls_handshake_end, _, Events=#events{tls=proxy}) ->
	{(tls_handshake(Events))#{protocol => http}, Events#events{tls=origin}};
event(tls_handshake_end, #{protocol := Alpn}, Events=#events{protocols=Protocols}) ->
	{(tls_handshake(Events))#{protocol => protocol(Alpn, Protocols)}, Events};
event(ws_upgrade, Step=#{stream_ref := StreamRef}, Events=#events{opts=Opts, ws_opts=All}) ->
	WsOpts = maps:get(StreamRef, All, maps:get(ws_opts, Opts, #{})),
	{Step#{opts => WsOpts}, Events#events{ws_opts=maps:remove(StreamRef, All)}};
event(ws_recv_frame_start, Step=#{frag_state := FragState}, Events) ->
	{Step#{frag_state := frag_state(FragState)}, Events};
event(ws_recv_frame_header, Step=#{frag_state := FragState, rsv := Rsv}, Events) ->
	{Step#{frag_state := frag_state(FragState), rsv := <<Rsv:3>>}, Events};
%% Of ws_send_sync, whose caller waits for a reply.
event(Name, Step=#{reply_to := {Caller, _}}, Events)
		when is_pid(Caller), Name =:= ws_send_frame_start orelse Name =:= ws_send_frame_end ->
	{Step#{reply_to := Caller}, Events};
event(_, Step, Events) ->
	{Step, Events}.

lookup(Events=#events{host=Host, port=Port, timeouts=#{domain_lookup := Timeout}}) ->
	#{host => Host, port => Port, tcp_opts => tcp_opts(Events), timeout => Timeout}.

connect(#events{lookup=Info, timeouts=#{connect := Timeout}}) ->
	#{lookup_info => Info, timeout => Timeout}.

tls_handshake(#events{socket=Socket, tls=Whose, opts=Opts, timeouts=#{tls_handshake := Timeout}}) ->
	Of = case Whose of
		proxy -> maps:get(proxy_opts, Opts, #{});
		origin -> Opts
	end,
	#{socket => Socket, tls_opts => gun_rs_secrets:reveal_tls(maps:get(tls_opts, Of, [])), timeout => Timeout}.

tcp_opts(#events{opts=Opts}) -> maps:get(tcp_opts, Opts, []).

protocol(<<"h2">>, _) -> http2;
protocol(undefined, [Protocol]) -> Protocol;
protocol(_, _) -> http.

frag_state({IsFin, Type, Rsv}) -> {IsFin, Type, <<Rsv:3>>};
frag_state(undefined) -> undefined.

%% @doc The connection is down.
-spec disconnect(Reason :: term(), state()) -> state().
disconnect(Reason, Events) ->
	call(disconnect, #{reason => Reason}, Events#events{is_down=true}).

%% @doc The process ends.
-spec terminate(StateName :: atom(), Reason :: term(), state()) -> ok.
terminate(StateName, Reason, Events=#events{is_down=true}) when StateName =/= closing ->
	ended(not_connected, Reason, Events);
terminate(StateName, Reason, Events) ->
	ended(state_name(StateName), Reason, Events).

%% The names that gun has for them.
state_name(waiting) -> not_connected;
state_name(connecting) -> not_connected;
state_name(StateName) -> StateName.

ended(StateName, Reason, Events) ->
	_ = call(terminate, #{state => StateName, reason => Reason}, Events),
	ok.

%% @doc The module, and its state by now.
-spec handler(state()) -> {module(), State :: term()}.
handler(#events{module=Module, state=State}) ->
	{Module, State}.

call(Name, Event, Events=#events{module=Module, state=State}) ->
	Events#events{state=Module:Name(Event, State)}.

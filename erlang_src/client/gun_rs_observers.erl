%% @private Who observes a connection. Each observer names the steps that it wants, and is given those that the native side
%% reports, in the order of what has happened, in the process behind ConnPid. A connection that nobody observes has no
%% observers, and the native side reports nothing.
-module(gun_rs_observers).

-export([are_processing/1]).
-export([wanted/1]).
-export([init/2]).
-export([started/2]).
-export([connecting/1]).
-export([up/2]).
-export([connect_failed/2]).
-export([ws_upgrade/3]).
-export([forget/2]).
-export([tunnel_up/3]).
-export([step/3]).
-export([disconnect/2]).
-export([terminate/3]).
-export([event_handler/1]).

-record(observers, {
	events :: gun_rs_events:state() | undefined,
	telemetry :: gun_rs_conn_telemetry:state() | undefined
}).
-opaque state() :: #observers{}.
-export_type([state/0]).

%% @doc Whether all messages go through the process behind ConnPid, so that they keep their place among the steps. It has
%% nothing to do with whether steps are reported.
-spec are_processing(gun_rs_options:config()) -> boolean().
are_processing(Config) ->
	gun_rs_events:is_needed(Config).

%% @doc The steps that the native side is to report: of all observers together.
-spec wanted(gun_rs_options:config()) -> [gun_rs_event:step()].
wanted(Config) ->
	Events = case gun_rs_events:is_needed(Config) of
		true -> gun_rs_events:wanted();
		false -> []
	end,
	case gun_rs_telemetry:is_on() of
		true -> lists:usort(Events ++ gun_rs_conn_telemetry:wanted());
		false -> Events
	end.

%% @doc The connection is about to begin.
-spec init(gun_rs_options:config(), Owner :: pid()) -> state() | undefined.
init(Config, Owner) ->
	Events = case gun_rs_events:is_needed(Config) of
		true -> gun_rs_events:init(Config, Owner);
		false -> undefined
	end,
	case gun_rs_conn_telemetry:init(Config) of
		undefined when Events =:= undefined -> undefined;
		Telemetry -> #observers{events=Events, telemetry=Telemetry}
	end.

%% @doc It has begun: the native side may report steps.
-spec started(gun_rs_native:conn(), state() | undefined) -> state() | undefined.
started(Conn, State) ->
	ok = connecting(State),
	events(fun(Events) -> gun_rs_events:started(Conn, Events) end, State).

%% @doc An attempt to connect begins.
-spec connecting(state() | undefined) -> ok.
connecting(State) ->
	telemetry(fun gun_rs_conn_telemetry:connecting/1, State).

%% @doc It has succeeded.
-spec up(gun_rs_native:protocol(), state() | undefined) -> ok.
up(Protocol, State) ->
	telemetry(fun(_) -> gun_rs_conn_telemetry:up(Protocol) end, State).

%% @doc It has failed.
-spec connect_failed(Reason :: term(), state() | undefined) -> ok.
connect_failed(Reason, State) ->
	telemetry(fun(_) -> gun_rs_conn_telemetry:failed(Reason) end, State).

%% @doc An upgrade with these options, or with those of open, is asked for.
-spec ws_upgrade(reference(), Options :: {map(), term()} | undefined, state() | undefined) -> state() | undefined.
ws_upgrade(StreamRef, {#{opts := WsOpts}, _}, State) ->
	events(fun(Events) -> gun_rs_events:ws_upgrade(StreamRef, WsOpts, Events) end, State);
%% Those of open; an older node does not say.
ws_upgrade(_, _, State) ->
	State.

%% @doc Nothing more of these streams will come.
-spec forget([gun_rs_native:stream_ref() | undefined], state() | undefined) -> state() | undefined.
forget(StreamRefs, State) ->
	events(fun(Events) -> gun_rs_events:forget(StreamRefs, Events) end, State).

%% @doc The connection, or a stream of it, leads through another tunnel, and this is spoken in it.
-spec tunnel_up(gun_rs_native:protocol(), Change :: map(), state() | undefined) -> state() | undefined.
tunnel_up(Protocol, Change, State) ->
	Stream = maps:with([stream_ref], Change),
	step(protocol_changed, Stream#{protocol => Protocol}, step(origin_changed, Change, State)).

%% @doc The native side reports a step.
-spec step(gun_rs_event:step(), map(), state() | undefined) -> state() | undefined.
step(Name, Step, State) ->
	ok = telemetry(fun(Telemetry) -> gun_rs_conn_telemetry:step(Name, Step, Telemetry) end, State),
	case Name of
		%% They are none of gun's.
		_ when Name =:= stream_error; Name =:= ws_end -> State;
		_ -> events(fun(Events) -> gun_rs_events:step(Name, Step, Events) end, State)
	end.

%% @doc The connection was up, and is down.
-spec disconnect(Reason :: term(), state() | undefined) -> state() | undefined.
disconnect(Reason, State) ->
	ok = telemetry(fun(_) -> gun_rs_conn_telemetry:failed(Reason) end, State),
	events(fun(Events) -> gun_rs_events:disconnect(Reason, Events) end, State).

%% @doc The process ends.
-spec terminate(StateName :: atom(), Reason :: term(), state() | undefined) -> ok.
terminate(StateName, Reason, #observers{events=Events}) when Events =/= undefined ->
	gun_rs_events:terminate(StateName, Reason, Events);
terminate(_, _, _) ->
	ok.

events(Do, State=#observers{events=Events}) when Events =/= undefined -> State#observers{events=Do(Events)};
events(_, State) -> State.

telemetry(Do, #observers{telemetry=Telemetry}) when Telemetry =/= undefined -> Do(Telemetry);
telemetry(_, _) -> ok.

%% @doc What info/1 shows.
-spec event_handler(state() | undefined) -> {module(), State :: term()} | {undefined, undefined}.
event_handler(#observers{events=Events}) when Events =/= undefined -> gun_rs_events:handler(Events);
event_handler(_) -> {undefined, undefined}.

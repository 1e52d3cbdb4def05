%% @doc What others call of ranch, by gun_rs_server. There are no other protocols than Cowboy's: start_listener raises.
-module(ranch).

-export([get_port/1]).
-export([get_addr/1]).
-export([get_status/1]).
-export([info/0]).
-export([info/1]).
-export([procs/2]).
-export([get_max_connections/1]).
-export([set_max_connections/2]).
-export([get_protocol_options/1]).
-export([set_protocol_options/2]).
-export([wait_for_connections/3]).
-export([wait_for_connections/4]).
-export([suspend_listener/1]).
-export([resume_listener/1]).
-export([stop_listener/1]).
-export([start_listener/5]).
-export([start_listener/6]).

-type ref() :: gun_rs_server:ref().
-export_type([ref/0]).

-spec get_port(ref()) -> inet:port_number() | undefined.
get_port(Ref) -> gun_rs_server:get_port(Ref).

-spec get_addr(ref()) -> {inet:ip_address() | undefined, inet:port_number() | undefined} | {local, binary()}.
get_addr(Ref) -> gun_rs_server:get_addr(Ref).

-spec get_status(ref()) -> running | suspended.
get_status(Ref) -> gun_rs_server:get_status(Ref).

-spec info() -> #{ref() => map()}.
info() -> gun_rs_server:info().

-spec info(ref()) -> map().
info(Ref) -> gun_rs_server:info(Ref).

%% @doc There are no processes that accept.
-spec procs(ref(), acceptors | connections) -> [pid()].
procs(Ref, connections) -> gun_rs_server:connections(Ref);
procs(_, acceptors) -> [].

-spec get_max_connections(ref()) -> pos_integer() | infinity.
get_max_connections(Ref) -> gun_rs_server:get_max_connections(Ref).

-spec set_max_connections(ref(), pos_integer() | infinity) -> ok | {error, not_found}.
set_max_connections(Ref, Max) -> gun_rs_server:set_max_connections(Ref, Max).

-spec get_protocol_options(ref()) -> term().
get_protocol_options(Ref) -> gun_rs_server:get_protocol_options(Ref).

-spec set_protocol_options(ref(), term()) -> ok | {error, term()}.
set_protocol_options(Ref, Opts) -> gun_rs_server:set_protocol_options(Ref, Opts).

-spec wait_for_connections(ref(), '>' | '>=' | '==' | '=<' | '<', non_neg_integer()) -> ok.
wait_for_connections(Ref, Op, N) -> gun_rs_server:wait_for_connections(Ref, Op, N).

-spec wait_for_connections(ref(), '>' | '>=' | '==' | '=<' | '<', non_neg_integer(), pos_integer()) -> ok.
wait_for_connections(Ref, Op, N, Interval) -> gun_rs_server:wait_for_connections(Ref, Op, N, Interval).

-spec suspend_listener(ref()) -> ok | {error, not_found}.
suspend_listener(Ref) -> gun_rs_server:suspend(Ref).

-spec resume_listener(ref()) -> ok | {error, term()}.
resume_listener(Ref) -> gun_rs_server:resume(Ref).

-spec stop_listener(ref()) -> ok | {error, not_found}.
stop_listener(Ref) -> gun_rs_server:stop_listener(Ref).

-spec start_listener(ref(), term(), term(), module(), term()) -> no_return().
start_listener(_, _, _, _, _) -> error({not_supported, {ranch, start_listener, 5}, "gun_rs runs no protocols of others."}).

-spec start_listener(ref(), term(), term(), term(), module(), term()) -> no_return().
start_listener(_, _, _, _, _, _) -> error({not_supported, {ranch, start_listener, 6}, "gun_rs runs no protocols of others."}).

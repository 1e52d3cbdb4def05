%% @doc Cowboy's API, by gun_rs_server: each function is the one of the same name there, for programs and libraries
%% that call Cowboy and are not to be changed.
-module(cowboy).

-export([start_clear/3]).
-export([start_tls/3]).
-export([start_clear/4]).
-export([start_tls/4]).
-export([start_http/4]).
-export([start_https/4]).
-export([start_spdy/4]).
-export([start_quic/3]).
-export([stop_listener/1]).
-export([set_env/3]).
-export([get_env/2]).
-export([get_env/3]).

-type opts() :: map().
-type fields() :: [gun_rs_constraints:field()].
-type http_headers() :: #{binary() => iodata()}.
-type http_status() :: non_neg_integer() | binary().
-type http_version() :: 'HTTP/2' | 'HTTP/1.1' | 'HTTP/1.0'.
-export_type([opts/0, fields/0, http_headers/0, http_status/0, http_version/0]).

-spec start_clear(gun_rs_server:ref(), gun_rs_server:opts(), opts()) -> {ok, pid()} | {error, gun_rs_server:error()}.
start_clear(Ref, TransOpts, ProtoOpts) ->
	gun_rs_server:start_clear(Ref, TransOpts, ProtoOpts).

-spec start_tls(gun_rs_server:ref(), gun_rs_server:opts(), opts()) -> {ok, pid()} | {error, gun_rs_server:error()}.
start_tls(Ref, TransOpts, ProtoOpts) ->
	gun_rs_server:start_tls(Ref, TransOpts, ProtoOpts).

%% The two of the first versions of Cowboy 2.

-spec start_clear(gun_rs_server:ref(), pos_integer(), [term()], opts()) -> {ok, pid()} | {error, gun_rs_server:error()}.
start_clear(Ref, NbAcceptors, TransOpts, ProtoOpts) ->
	gun_rs_server:start_clear(Ref, [{num_acceptors, NbAcceptors}|TransOpts], ProtoOpts).

-spec start_tls(gun_rs_server:ref(), pos_integer(), [term()], opts()) -> {ok, pid()} | {error, gun_rs_server:error()}.
start_tls(Ref, NbAcceptors, TransOpts, ProtoOpts) ->
	gun_rs_server:start_tls(Ref, [{num_acceptors, NbAcceptors}|TransOpts], ProtoOpts).

-spec start_http(gun_rs_server:ref(), pos_integer(), [term()], [{atom(), term()}])
	-> {ok, pid()} | {error, gun_rs_server:error()}.
start_http(Ref, NbAcceptors, TransOpts, ProtoOpts) ->
	gun_rs_server:start_http(Ref, NbAcceptors, TransOpts, ProtoOpts).

-spec start_https(gun_rs_server:ref(), pos_integer(), [term()], [{atom(), term()}])
	-> {ok, pid()} | {error, gun_rs_server:error()}.
start_https(Ref, NbAcceptors, TransOpts, ProtoOpts) ->
	gun_rs_server:start_https(Ref, NbAcceptors, TransOpts, ProtoOpts).

-spec start_spdy(gun_rs_server:ref(), term(), term(), term()) -> no_return().
start_spdy(_, _, _, _) ->
	error({not_supported, {cowboy, start_spdy, 4}, "gun_rs does not speak SPDY."}).

-spec start_quic(gun_rs_server:ref(), term(), term()) -> no_return().
start_quic(_, _, _) ->
	error({not_supported, {cowboy, start_quic, 3}, "gun_rs does not speak HTTP/3."}).

-spec stop_listener(gun_rs_server:ref()) -> ok | {error, not_found}.
stop_listener(Ref) ->
	gun_rs_server:stop_listener(Ref).

-spec set_env(gun_rs_server:ref(), atom(), term()) -> ok | {error, not_found}.
set_env(Ref, Name, Value) ->
	gun_rs_server:set_env(Ref, Name, Value).

-spec get_env(gun_rs_server:ref(), atom()) -> term().
get_env(Ref, Name) ->
	gun_rs_server:get_env(Ref, Name).

-spec get_env(gun_rs_server:ref(), atom(), term()) -> term().
get_env(Ref, Name, Default) ->
	gun_rs_server:get_env(Ref, Name, Default).

%% @doc gun's pools, by gun_rs_pool: each function is the one of the same name there.
-module(gun_pool).

-export([start_pool/3]).
-export([stop_pool/2]).
-export([stop_pool/3]).
-export([info/0]).
-export([info/1]).
-export([info/2]).
-export([await_up/1]).
-export([await_up/2]).
-export([checkout/2]).
-export([delete/2]).
-export([delete/3]).
-export([get/2]).
-export([get/3]).
-export([head/2]).
-export([head/3]).
-export([options/2]).
-export([options/3]).
-export([patch/2]).
-export([patch/3]).
-export([patch/4]).
-export([post/2]).
-export([post/3]).
-export([post/4]).
-export([put/2]).
-export([put/3]).
-export([put/4]).
-export([headers/3]).
-export([headers/4]).
-export([request/4]).
-export([request/5]).
-export([data/3]).
-export([await/1]).
-export([await/2]).
-export([await/3]).
-export([await_body/1]).
-export([await_body/2]).
-export([await_body/3]).
-export([flush/1]).
-export([update_flow/2]).
-export([cancel/1]).
-export([stream_info/1]).
-export([ws_send/2]).

-type opts() :: gun_rs_pool:opts().
-type req_opts() :: gun_rs_pool:req_opts().
-type ws_send_opts() :: gun_rs_pool:ws_send_opts().
-type pool_stream_ref() :: {pid(), gun:stream_ref()}.
-export_type([opts/0, req_opts/0, ws_send_opts/0, pool_stream_ref/0]).

-type failure() :: {error, Reason :: atom(), HumanReadable :: atom()}.

-spec start_pool(Host :: inet:hostname() | inet:ip_address(), inet:port_number(), opts()) -> {ok, pid()} | {error, any()}.
start_pool(Host, Port, Opts) ->
	gun_rs_pool:start_pool(Host, Port, Opts).

-spec stop_pool(inet:hostname() | inet:ip_address(), inet:port_number()) -> ok | failure().
stop_pool(Host, Port) ->
	gun_rs_pool:stop_pool(Host, Port).

-spec stop_pool(inet:hostname() | inet:ip_address(), inet:port_number(), opts()) -> ok | failure().
stop_pool(Host, Port, Opts) ->
	gun_rs_pool:stop_pool(Host, Port, Opts).

-spec info() -> [map()].
info() ->
	gun_rs_pool:info().

-spec info(pid() | binary()) -> undefined | {degraded | operational, map()}.
info(Pool) ->
	gun_rs_pool:info(Pool).

-spec info(binary(), Scope :: any()) -> undefined | {degraded | operational, map()}.
info(Authority, Scope) ->
	gun_rs_pool:info(Authority, Scope).

-spec await_up(pid() | binary()) -> ok | failure().
await_up(Pool) ->
	gun_rs_pool:await_up(Pool).

-spec await_up(binary(), Scope :: any()) -> ok | failure().
await_up(Authority, Scope) ->
	gun_rs_pool:await_up(Authority, Scope).

-spec checkout(pid(), req_opts()) -> undefined | {pid(), map()}.
checkout(Pool, ReqOpts) ->
	gun_rs_pool:checkout(Pool, ReqOpts).

-spec delete(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
delete(Path, Headers) ->
	gun_rs_pool:delete(Path, Headers).

-spec delete(iodata(), gun:req_headers(), req_opts()) -> {async, pool_stream_ref()} | failure().
delete(Path, Headers, ReqOpts) ->
	gun_rs_pool:delete(Path, Headers, ReqOpts).

-spec get(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
get(Path, Headers) ->
	gun_rs_pool:get(Path, Headers).

-spec get(iodata(), gun:req_headers(), req_opts()) -> {async, pool_stream_ref()} | failure().
get(Path, Headers, ReqOpts) ->
	gun_rs_pool:get(Path, Headers, ReqOpts).

-spec head(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
head(Path, Headers) ->
	gun_rs_pool:head(Path, Headers).

-spec head(iodata(), gun:req_headers(), req_opts()) -> {async, pool_stream_ref()} | failure().
head(Path, Headers, ReqOpts) ->
	gun_rs_pool:head(Path, Headers, ReqOpts).

-spec options(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
options(Path, Headers) ->
	gun_rs_pool:options(Path, Headers).

-spec options(iodata(), gun:req_headers(), req_opts()) -> {async, pool_stream_ref()} | failure().
options(Path, Headers, ReqOpts) ->
	gun_rs_pool:options(Path, Headers, ReqOpts).

-spec patch(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
patch(Path, Headers) ->
	gun_rs_pool:patch(Path, Headers).

-spec patch(iodata(), gun:req_headers(), iodata() | req_opts()) -> {async, pool_stream_ref()} | failure().
patch(Path, Headers, BodyOrReqOpts) ->
	gun_rs_pool:patch(Path, Headers, BodyOrReqOpts).

-spec patch(iodata(), gun:req_headers(), iodata(), req_opts()) -> {async, pool_stream_ref()} | failure().
patch(Path, Headers, Body, ReqOpts) ->
	gun_rs_pool:patch(Path, Headers, Body, ReqOpts).

-spec post(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
post(Path, Headers) ->
	gun_rs_pool:post(Path, Headers).

-spec post(iodata(), gun:req_headers(), iodata() | req_opts()) -> {async, pool_stream_ref()} | failure().
post(Path, Headers, BodyOrReqOpts) ->
	gun_rs_pool:post(Path, Headers, BodyOrReqOpts).

-spec post(iodata(), gun:req_headers(), iodata(), req_opts()) -> {async, pool_stream_ref()} | failure().
post(Path, Headers, Body, ReqOpts) ->
	gun_rs_pool:post(Path, Headers, Body, ReqOpts).

-spec put(iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
put(Path, Headers) ->
	gun_rs_pool:put(Path, Headers).

-spec put(iodata(), gun:req_headers(), iodata() | req_opts()) -> {async, pool_stream_ref()} | failure().
put(Path, Headers, BodyOrReqOpts) ->
	gun_rs_pool:put(Path, Headers, BodyOrReqOpts).

-spec put(iodata(), gun:req_headers(), iodata(), req_opts()) -> {async, pool_stream_ref()} | failure().
put(Path, Headers, Body, ReqOpts) ->
	gun_rs_pool:put(Path, Headers, Body, ReqOpts).

-spec headers(iodata(), iodata(), gun:req_headers()) -> {async, pool_stream_ref()} | failure().
headers(Method, Path, Headers) ->
	gun_rs_pool:headers(Method, Path, Headers).

-spec headers(iodata(), iodata(), gun:req_headers(), req_opts()) -> {async, pool_stream_ref()} | failure().
headers(Method, Path, Headers, ReqOpts) ->
	gun_rs_pool:headers(Method, Path, Headers, ReqOpts).

-spec request(iodata(), iodata(), gun:req_headers(), iodata()) -> {async, pool_stream_ref()} | failure().
request(Method, Path, Headers, Body) ->
	gun_rs_pool:request(Method, Path, Headers, Body).

-spec request(iodata(), iodata(), gun:req_headers(), iodata(), req_opts()) -> {async, pool_stream_ref()} | failure().
request(Method, Path, Headers, Body, ReqOpts) ->
	gun_rs_pool:request(Method, Path, Headers, Body, ReqOpts).

-spec data(pool_stream_ref(), fin | nofin, iodata()) -> ok.
data(Ref, IsFin, Data) ->
	gun_rs_pool:data(Ref, IsFin, Data).

-spec await(pool_stream_ref()) -> gun_rs:await_result().
await(Ref) ->
	gun_rs_pool:await(Ref).

-spec await(pool_stream_ref(), timeout() | reference()) -> gun_rs:await_result().
await(Ref, TimeoutOrMRef) ->
	gun_rs_pool:await(Ref, TimeoutOrMRef).

-spec await(pool_stream_ref(), timeout(), reference()) -> gun_rs:await_result().
await(Ref, Timeout, MRef) ->
	gun_rs_pool:await(Ref, Timeout, MRef).

-spec await_body(pool_stream_ref()) -> gun_rs:await_body_result().
await_body(Ref) ->
	gun_rs_pool:await_body(Ref).

-spec await_body(pool_stream_ref(), timeout() | reference()) -> gun_rs:await_body_result().
await_body(Ref, TimeoutOrMRef) ->
	gun_rs_pool:await_body(Ref, TimeoutOrMRef).

-spec await_body(pool_stream_ref(), timeout(), reference()) -> gun_rs:await_body_result().
await_body(Ref, Timeout, MRef) ->
	gun_rs_pool:await_body(Ref, Timeout, MRef).

-spec flush(pool_stream_ref()) -> ok.
flush(Ref) ->
	gun_rs_pool:flush(Ref).

-spec update_flow(pool_stream_ref(), pos_integer()) -> ok.
update_flow(Ref, Flow) ->
	gun_rs_pool:update_flow(Ref, Flow).

-spec cancel(pool_stream_ref()) -> ok.
cancel(Ref) ->
	gun_rs_pool:cancel(Ref).

-spec stream_info(pool_stream_ref()) -> {ok, map() | undefined} | {error, not_connected}.
stream_info(Ref) ->
	gun_rs_pool:stream_info(Ref).

-spec ws_send(gun:ws_frame() | [gun:ws_frame()], ws_send_opts()) -> ok | failure().
ws_send(Frames, Opts) ->
	gun_rs_pool:ws_send(Frames, Opts).

%% @doc gun's pools, which are not built yet: each function raises
%% `{not_built, {gun_pool, Function, Arity}, Text}'.
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

-type opts() :: map().
-type req_opts() :: map().
-type ws_send_opts() :: map().
-type pool_stream_ref() :: {pid(), gun:stream_ref()}.
-export_type([opts/0, req_opts/0, ws_send_opts/0, pool_stream_ref/0]).

-define(NOT_BUILT(Function, Arity), gun_not_built:raise(?MODULE, Function, Arity)).

-spec start_pool(any(), any(), any()) -> no_return().
start_pool(_, _, _) -> ?NOT_BUILT(start_pool, 3).

-spec stop_pool(any(), any()) -> no_return().
stop_pool(_, _) -> ?NOT_BUILT(stop_pool, 2).

-spec stop_pool(any(), any(), any()) -> no_return().
stop_pool(_, _, _) -> ?NOT_BUILT(stop_pool, 3).

-spec info() -> no_return().
info() -> ?NOT_BUILT(info, 0).

-spec info(any()) -> no_return().
info(_) -> ?NOT_BUILT(info, 1).

-spec info(any(), any()) -> no_return().
info(_, _) -> ?NOT_BUILT(info, 2).

-spec await_up(any()) -> no_return().
await_up(_) -> ?NOT_BUILT(await_up, 1).

-spec await_up(any(), any()) -> no_return().
await_up(_, _) -> ?NOT_BUILT(await_up, 2).

-spec checkout(any(), any()) -> no_return().
checkout(_, _) -> ?NOT_BUILT(checkout, 2).

-spec delete(any(), any()) -> no_return().
delete(_, _) -> ?NOT_BUILT(delete, 2).

-spec delete(any(), any(), any()) -> no_return().
delete(_, _, _) -> ?NOT_BUILT(delete, 3).

-spec get(any(), any()) -> no_return().
get(_, _) -> ?NOT_BUILT(get, 2).

-spec get(any(), any(), any()) -> no_return().
get(_, _, _) -> ?NOT_BUILT(get, 3).

-spec head(any(), any()) -> no_return().
head(_, _) -> ?NOT_BUILT(head, 2).

-spec head(any(), any(), any()) -> no_return().
head(_, _, _) -> ?NOT_BUILT(head, 3).

-spec options(any(), any()) -> no_return().
options(_, _) -> ?NOT_BUILT(options, 2).

-spec options(any(), any(), any()) -> no_return().
options(_, _, _) -> ?NOT_BUILT(options, 3).

-spec patch(any(), any()) -> no_return().
patch(_, _) -> ?NOT_BUILT(patch, 2).

-spec patch(any(), any(), any()) -> no_return().
patch(_, _, _) -> ?NOT_BUILT(patch, 3).

-spec patch(any(), any(), any(), any()) -> no_return().
patch(_, _, _, _) -> ?NOT_BUILT(patch, 4).

-spec post(any(), any()) -> no_return().
post(_, _) -> ?NOT_BUILT(post, 2).

-spec post(any(), any(), any()) -> no_return().
post(_, _, _) -> ?NOT_BUILT(post, 3).

-spec post(any(), any(), any(), any()) -> no_return().
post(_, _, _, _) -> ?NOT_BUILT(post, 4).

-spec put(any(), any()) -> no_return().
put(_, _) -> ?NOT_BUILT(put, 2).

-spec put(any(), any(), any()) -> no_return().
put(_, _, _) -> ?NOT_BUILT(put, 3).

-spec put(any(), any(), any(), any()) -> no_return().
put(_, _, _, _) -> ?NOT_BUILT(put, 4).

-spec headers(any(), any(), any()) -> no_return().
headers(_, _, _) -> ?NOT_BUILT(headers, 3).

-spec headers(any(), any(), any(), any()) -> no_return().
headers(_, _, _, _) -> ?NOT_BUILT(headers, 4).

-spec request(any(), any(), any(), any()) -> no_return().
request(_, _, _, _) -> ?NOT_BUILT(request, 4).

-spec request(any(), any(), any(), any(), any()) -> no_return().
request(_, _, _, _, _) -> ?NOT_BUILT(request, 5).

-spec data(any(), any(), any()) -> no_return().
data(_, _, _) -> ?NOT_BUILT(data, 3).

-spec await(any()) -> no_return().
await(_) -> ?NOT_BUILT(await, 1).

-spec await(any(), any()) -> no_return().
await(_, _) -> ?NOT_BUILT(await, 2).

-spec await(any(), any(), any()) -> no_return().
await(_, _, _) -> ?NOT_BUILT(await, 3).

-spec await_body(any()) -> no_return().
await_body(_) -> ?NOT_BUILT(await_body, 1).

-spec await_body(any(), any()) -> no_return().
await_body(_, _) -> ?NOT_BUILT(await_body, 2).

-spec await_body(any(), any(), any()) -> no_return().
await_body(_, _, _) -> ?NOT_BUILT(await_body, 3).

-spec flush(any()) -> no_return().
flush(_) -> ?NOT_BUILT(flush, 1).

-spec update_flow(any(), any()) -> no_return().
update_flow(_, _) -> ?NOT_BUILT(update_flow, 2).

-spec cancel(any()) -> no_return().
cancel(_) -> ?NOT_BUILT(cancel, 1).

-spec stream_info(any()) -> no_return().
stream_info(_) -> ?NOT_BUILT(stream_info, 1).

-spec ws_send(any(), any()) -> no_return().
ws_send(_, _) -> ?NOT_BUILT(ws_send, 2).

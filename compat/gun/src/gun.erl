%% @doc gun's API, by gun_rs: each function is the one of the same name there, for programs
%% and libraries that call gun and are not to be changed.
%%
-module(gun).

-export([open/2]).
-export([open/3]).
-export([open_unix/2]).
-export([start_link/4]).
-export([set_owner/2]).
-export([info/1]).
-export([close/1]).
-export([shutdown/1]).
-export([delete/2]).
-export([delete/3]).
-export([delete/4]).
-export([get/2]).
-export([get/3]).
-export([get/4]).
-export([head/2]).
-export([head/3]).
-export([head/4]).
-export([options/2]).
-export([options/3]).
-export([options/4]).
-export([patch/3]).
-export([patch/4]).
-export([patch/5]).
-export([post/3]).
-export([post/4]).
-export([post/5]).
-export([put/3]).
-export([put/4]).
-export([put/5]).
-export([headers/4]).
-export([headers/5]).
-export([request/4]).
-export([request/5]).
-export([request/6]).
-export([data/4]).
-export([ping/1]).
-export([ping/2]).
-export([connect/2]).
-export([connect/3]).
-export([connect/4]).
-export([await/2]).
-export([await/3]).
-export([await/4]).
-export([await_body/2]).
-export([await_body/3]).
-export([await_body/4]).
-export([await_up/1]).
-export([await_up/2]).
-export([await_up/3]).
-export([flush/1]).
-export([update_flow/3]).
-export([cancel/2]).
-export([stream_info/2]).
-export([ws_upgrade/2]).
-export([ws_upgrade/3]).
-export([ws_upgrade/4]).
-export([ws_send/2]).
-export([ws_send/3]).
-export([reply/2]).

-type stream_ref() :: reference() | [reference()].
-export_type([stream_ref/0]).

-type reply_to() :: gun_rs_options:reply_to().
-export_type([reply_to/0]).

-type req_headers() :: gun_rs:headers().
-export_type([req_headers/0]).

-type ws_frame() :: gun_rs:frame().
-export_type([ws_frame/0]).

-type opts() :: gun_rs:opts().
-export_type([opts/0]).

-type req_opts() :: gun_rs:req_opts().
-export_type([req_opts/0]).

-type http_opts() :: gun_rs_options:http_opts().
-export_type([http_opts/0]).

-type ws_opts() :: gun_rs:ws_opts().
-export_type([ws_opts/0]).

-type await_result() :: gun_rs:await_result().
-export_type([await_result/0]).

-type await_body_result() :: gun_rs:await_body_result().
-export_type([await_body_result/0]).

-type http2_opts() :: gun_rs_options:http2_opts().

%% What these options are for is not built yet.
-type http3_opts() :: map().
-type raw_opts() :: map().
-type socks_opts() :: map().
-export_type([http2_opts/0, http3_opts/0, raw_opts/0, socks_opts/0]).

-type protocol() :: http | http2 | http3 | raw | socks
	| {http, http_opts()} | {http2, http2_opts()} | {http3, http3_opts()} | {raw, raw_opts()} | {socks, socks_opts()}.
-type protocols() :: [protocol()].
-export_type([protocol/0, protocols/0]).

-type connect_destination() :: #{
	host := inet:hostname() | inet:ip_address(),
	port := inet:port_number(),
	username => iodata(),
	password => iodata(),
	protocols => protocols(),
	transport => tcp | tls,
	tls_opts => [ssl:tls_client_option()],
	tls_handshake_timeout => timeout()
}.
-export_type([connect_destination/0]).

-type tunnel_info() :: #{
	host := inet:hostname() | inet:ip_address(),
	port := inet:port_number(),
	origin_host => inet:hostname() | inet:ip_address(),
	origin_port => inet:port_number()
}.
-export_type([tunnel_info/0]).

-spec open(inet:hostname() | inet:ip_address(), inet:port_number()) -> {ok, pid()} | {error, any()}.
open(Host, Port) ->
	gun_rs:open(Host, Port).

-spec open(inet:hostname() | inet:ip_address(), inet:port_number(), opts()) -> {ok, pid()} | {error, any()}.
open(Host, Port, Opts) ->
	gun_rs:open(Host, Port, Opts).

-spec open_unix(Path :: string(), opts()) -> {ok, pid()} | {error, any()}.
open_unix(Path, Opts) ->
	gun_rs:open_unix(Path, Opts).

-spec start_link(pid(), inet:hostname() | inet:ip_address(), inet:port_number(), opts()) -> {ok, pid()} | {error, any()}.
start_link(Owner, Host, Port, Opts) ->
	gun_rs:start_link(Owner, Host, Port, Opts).

-spec set_owner(pid(), pid()) -> ok.
set_owner(ConnPid, NewOwner) ->
	gun_rs:set_owner(ConnPid, NewOwner).

-spec info(pid()) -> map().
info(ConnPid) ->
	gun_rs:info(ConnPid).

-spec close(pid()) -> ok | {error, not_found | simple_one_for_one}.
close(ConnPid) ->
	gun_rs:close(ConnPid).

-spec shutdown(pid()) -> ok.
shutdown(ConnPid) ->
	gun_rs:shutdown(ConnPid).

-spec delete(pid(), iodata()) -> stream_ref().
delete(ConnPid, Path) ->
	gun_rs:delete(ConnPid, Path).

-spec delete(pid(), iodata(), req_headers()) -> stream_ref().
delete(ConnPid, Path, Headers) ->
	gun_rs:delete(ConnPid, Path, Headers).

-spec delete(pid(), iodata(), req_headers(), req_opts()) -> stream_ref().
delete(ConnPid, Path, Headers, ReqOpts) ->
	gun_rs:delete(ConnPid, Path, Headers, ReqOpts).

-spec get(pid(), iodata()) -> stream_ref().
get(ConnPid, Path) ->
	gun_rs:get(ConnPid, Path).

-spec get(pid(), iodata(), req_headers()) -> stream_ref().
get(ConnPid, Path, Headers) ->
	gun_rs:get(ConnPid, Path, Headers).

-spec get(pid(), iodata(), req_headers(), req_opts()) -> stream_ref().
get(ConnPid, Path, Headers, ReqOpts) ->
	gun_rs:get(ConnPid, Path, Headers, ReqOpts).

-spec head(pid(), iodata()) -> stream_ref().
head(ConnPid, Path) ->
	gun_rs:head(ConnPid, Path).

-spec head(pid(), iodata(), req_headers()) -> stream_ref().
head(ConnPid, Path, Headers) ->
	gun_rs:head(ConnPid, Path, Headers).

-spec head(pid(), iodata(), req_headers(), req_opts()) -> stream_ref().
head(ConnPid, Path, Headers, ReqOpts) ->
	gun_rs:head(ConnPid, Path, Headers, ReqOpts).

-spec options(pid(), iodata()) -> stream_ref().
options(ConnPid, Path) ->
	gun_rs:options(ConnPid, Path).

-spec options(pid(), iodata(), req_headers()) -> stream_ref().
options(ConnPid, Path, Headers) ->
	gun_rs:options(ConnPid, Path, Headers).

-spec options(pid(), iodata(), req_headers(), req_opts()) -> stream_ref().
options(ConnPid, Path, Headers, ReqOpts) ->
	gun_rs:options(ConnPid, Path, Headers, ReqOpts).

-spec patch(pid(), iodata(), req_headers()) -> stream_ref().
patch(ConnPid, Path, Headers) ->
	gun_rs:patch(ConnPid, Path, Headers).

-spec patch(pid(), iodata(), req_headers(), iodata() | req_opts()) -> stream_ref().
patch(ConnPid, Path, Headers, BodyOrOpts) ->
	gun_rs:patch(ConnPid, Path, Headers, BodyOrOpts).

-spec patch(pid(), iodata(), req_headers(), iodata(), req_opts()) -> stream_ref().
patch(ConnPid, Path, Headers, Body, ReqOpts) ->
	gun_rs:patch(ConnPid, Path, Headers, Body, ReqOpts).

-spec post(pid(), iodata(), req_headers()) -> stream_ref().
post(ConnPid, Path, Headers) ->
	gun_rs:post(ConnPid, Path, Headers).

-spec post(pid(), iodata(), req_headers(), iodata() | req_opts()) -> stream_ref().
post(ConnPid, Path, Headers, BodyOrOpts) ->
	gun_rs:post(ConnPid, Path, Headers, BodyOrOpts).

-spec post(pid(), iodata(), req_headers(), iodata(), req_opts()) -> stream_ref().
post(ConnPid, Path, Headers, Body, ReqOpts) ->
	gun_rs:post(ConnPid, Path, Headers, Body, ReqOpts).

-spec put(pid(), iodata(), req_headers()) -> stream_ref().
put(ConnPid, Path, Headers) ->
	gun_rs:put(ConnPid, Path, Headers).

-spec put(pid(), iodata(), req_headers(), iodata() | req_opts()) -> stream_ref().
put(ConnPid, Path, Headers, BodyOrOpts) ->
	gun_rs:put(ConnPid, Path, Headers, BodyOrOpts).

-spec put(pid(), iodata(), req_headers(), iodata(), req_opts()) -> stream_ref().
put(ConnPid, Path, Headers, Body, ReqOpts) ->
	gun_rs:put(ConnPid, Path, Headers, Body, ReqOpts).

-spec headers(pid(), iodata(), iodata(), req_headers()) -> stream_ref().
headers(ConnPid, Method, Path, Headers) ->
	gun_rs:headers(ConnPid, Method, Path, Headers).

-spec headers(pid(), iodata(), iodata(), req_headers(), req_opts()) -> stream_ref().
headers(ConnPid, Method, Path, Headers, ReqOpts) ->
	gun_rs:headers(ConnPid, Method, Path, Headers, ReqOpts).

%% gun 1's: a request whose body follows.
-spec request(pid(), iodata(), iodata(), req_headers()) -> stream_ref().
request(ConnPid, Method, Path, Headers) ->
	gun_rs:headers(ConnPid, Method, Path, Headers).

-spec request(pid(), iodata(), iodata(), req_headers(), iodata()) -> stream_ref().
request(ConnPid, Method, Path, Headers, Body) ->
	gun_rs:request(ConnPid, Method, Path, Headers, Body).

-spec request(pid(), iodata(), iodata(), req_headers(), iodata(), req_opts()) -> stream_ref().
request(ConnPid, Method, Path, Headers, Body, ReqOpts) ->
	gun_rs:request(ConnPid, Method, Path, Headers, Body, ReqOpts).

-spec data(pid(), stream_ref(), fin | nofin, iodata()) -> ok.
data(ConnPid, StreamRef, IsFin, Data) ->
	gun_rs:data(ConnPid, StreamRef, IsFin, Data).

-spec ping(pid()) -> reference().
ping(ConnPid) ->
	gun_rs:ping(ConnPid).

-spec ping(pid(), req_opts()) -> reference().
ping(ConnPid, ReqOpts) ->
	gun_rs:ping(ConnPid, ReqOpts).

-spec connect(pid(), connect_destination()) -> stream_ref().
connect(ConnPid, Destination) ->
	gun_rs:connect(ConnPid, Destination).

-spec connect(pid(), connect_destination(), req_headers()) -> stream_ref().
connect(ConnPid, Destination, Headers) ->
	gun_rs:connect(ConnPid, Destination, Headers).

-spec connect(pid(), connect_destination(), req_headers(), req_opts()) -> stream_ref().
connect(ConnPid, Destination, Headers, ReqOpts) ->
	gun_rs:connect(ConnPid, Destination, Headers, ReqOpts).

-spec await(pid(), stream_ref()) -> await_result().
await(ConnPid, StreamRef) ->
	gun_rs:await(ConnPid, StreamRef).

-spec await(pid(), stream_ref(), timeout() | reference()) -> await_result().
await(ConnPid, StreamRef, TimeoutOrMRef) ->
	gun_rs:await(ConnPid, StreamRef, TimeoutOrMRef).

-spec await(pid(), stream_ref(), timeout(), reference()) -> await_result().
await(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs:await(ConnPid, StreamRef, Timeout, MRef).

-spec await_body(pid(), stream_ref()) -> await_body_result().
await_body(ConnPid, StreamRef) ->
	gun_rs:await_body(ConnPid, StreamRef).

-spec await_body(pid(), stream_ref(), timeout() | reference()) -> await_body_result().
await_body(ConnPid, StreamRef, TimeoutOrMRef) ->
	gun_rs:await_body(ConnPid, StreamRef, TimeoutOrMRef).

-spec await_body(pid(), stream_ref(), timeout(), reference()) -> await_body_result().
await_body(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs:await_body(ConnPid, StreamRef, Timeout, MRef).

-spec await_up(pid()) -> {ok, Protocol :: atom()} | {error, {down, any()} | timeout}.
await_up(ConnPid) ->
	gun_rs:await_up(ConnPid).

-spec await_up(pid(), timeout() | reference()) -> {ok, Protocol :: atom()} | {error, {down, any()} | timeout}.
await_up(ConnPid, TimeoutOrMRef) ->
	gun_rs:await_up(ConnPid, TimeoutOrMRef).

-spec await_up(pid(), timeout(), reference()) -> {ok, Protocol :: atom()} | {error, {down, any()} | timeout}.
await_up(ConnPid, Timeout, MRef) ->
	gun_rs:await_up(ConnPid, Timeout, MRef).

-spec flush(pid() | stream_ref()) -> ok.
flush(ConnPidOrStreamRef) ->
	gun_rs:flush(ConnPidOrStreamRef).

-spec update_flow(pid(), stream_ref(), pos_integer()) -> ok.
update_flow(ConnPid, StreamRef, Flow) ->
	gun_rs:update_flow(ConnPid, StreamRef, Flow).

-spec cancel(pid(), stream_ref()) -> ok.
cancel(ConnPid, StreamRef) ->
	gun_rs:cancel(ConnPid, StreamRef).

-spec stream_info(pid(), stream_ref()) -> {ok, map() | undefined} | {error, not_connected}.
stream_info(ConnPid, StreamRef) ->
	gun_rs:stream_info(ConnPid, StreamRef).

-spec ws_upgrade(pid(), iodata()) -> stream_ref().
ws_upgrade(ConnPid, Path) ->
	gun_rs:ws_upgrade(ConnPid, Path).

-spec ws_upgrade(pid(), iodata(), req_headers()) -> stream_ref().
ws_upgrade(ConnPid, Path, Headers) ->
	gun_rs:ws_upgrade(ConnPid, Path, Headers).

-spec ws_upgrade(pid(), iodata(), req_headers(), ws_opts()) -> stream_ref().
ws_upgrade(ConnPid, Path, Headers, WsOpts) ->
	gun_rs:ws_upgrade(ConnPid, Path, Headers, WsOpts).

%% gun 1's.
-spec ws_send(pid(), ws_frame() | [ws_frame()]) -> ok.
ws_send(ConnPid, Frames) ->
	gun_rs:ws_send(ConnPid, Frames).

-spec ws_send(pid(), stream_ref(), ws_frame() | [ws_frame()]) -> ok.
ws_send(ConnPid, StreamRef, Frames) ->
	gun_rs:ws_send(ConnPid, StreamRef, Frames).

%% For modules that handle frames and bodies.
-spec reply(reply_to(), any()) -> any().
reply(ReplyTo, Message) ->
	gun_rs_delivery:deliver(ReplyTo, Message).

%% @doc Pools of connections: gun_pool's API, and more.
%%
%% A pool has connections to one host and port. A request names the pool by its host header and by a scope; it goes to
%% a connection that has room, and its messages come to the caller from there, as those of `gun_rs' do. A caller for whom
%% a connection is free asks no process for it. doc/pool.md has each option.
-module(gun_rs_pool).

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

-type opts() :: gun_rs_pool_options:opts().
-type req_opts() :: gun_rs_pool_options:req_opts().
-type ws_send_opts() :: gun_rs_pool_options:ws_send_opts().
-type pool_stream_ref() :: {ConnPid :: pid(), StreamRef :: reference()}.
-type authority() :: binary().
-type failure() :: {error, pool_not_found | no_connection_available | checkout_queue_full | checkout_timeout | pool_stopped
	| missing_host_header, Text :: atom()}.
-type result() :: {async, pool_stream_ref()} | failure().
-export_type([opts/0, req_opts/0, ws_send_opts/0, pool_stream_ref/0, authority/0, failure/0, result/0]).

-define(AWAIT_TIMEOUT, 5000).

%% @doc Starts a pool of connections to a host and a port. They are opened at once; await_up/1 waits for them. Errors are
%% `{options, Bad}', `{already_started, Pid}' and `{not_started, gun_rs}'.
-spec start_pool(Host :: gun_rs_options:host(), inet:port_number(), opts()) -> {ok, PoolPid :: pid()} | {error, term()}.
start_pool(Host, Port, Opts) ->
	case gun_rs_pool_options:pool(Host, Port, Opts) of
		{ok, Config} -> gun_rs_pool_checkout:start(Config);
		Error -> Error
	end.

%% @doc Stops a pool. Its connections end as those whose owner ends: gracefully.
-spec stop_pool(Host :: gun_rs_options:host(), inet:port_number()) -> ok | failure().
stop_pool(Host, Port) ->
	stop_pool(Host, Port, #{}).

%% @doc The same; of the options, scope and transport say which pool it is.
-spec stop_pool(Host :: gun_rs_options:host(), inet:port_number(), #{scope => term(), transport => tcp | tls | ssl, _ => _})
	-> ok | failure().
stop_pool(Host, Port, Opts) ->
	Transport = case maps:get(transport, Opts, default) of
		default when Port =:= 443 -> tls;
		default -> tcp;
		ssl -> tls;
		Given -> Given
	end,
	Key = {maps:get(scope, Opts, default), gun_rs_pool_options:authority(Host, Port, Transport)},
	case gun_rs_pool_checkout:process(Key) of
		undefined -> gun_rs_pool_checkout:failure(pool_not_found);
		Pid ->
			case gun_rs_pools_sup:stop_pool(Pid) of
				ok -> ok;
				{error, not_found} -> gun_rs_pool_checkout:failure(pool_not_found)
			end
	end.

%% @doc What there is to know of each pool of this node.
-spec info() -> [map()].
info() ->
	[Info#{state => State} || Pid <- gun_rs_pools:all(), {State, Info} <- [info(Pid)]].

%% @doc What there is to know of a pool, by its process or by its authority in the scope default.
-spec info(PoolPid :: pid() | authority()) -> undefined | {degraded | operational, map()}.
info(Pid) when is_pid(Pid) ->
	try
		gun_rs_pool_server:info(Pid)
	catch exit:{Reason, _} when Reason =/= timeout ->
		undefined
	end;
info(Authority) ->
	info(Authority, default).

-spec info(authority(), Scope :: term()) -> undefined | {degraded | operational, map()}.
info(Authority, Scope) ->
	case gun_rs_pool_checkout:process(gun_rs_pool_options:key(Scope, Authority)) of
		undefined -> undefined;
		Pid -> info(Pid)
	end.

%% @doc Waits until all connections of the pool are up and set up. Exits after 5000 ms, as gen_server:call/3 does.
-spec await_up(PoolPid :: pid() | authority()) -> ok | failure().
await_up(Pid) when is_pid(Pid) ->
	gun_rs_pool_server:await_up(Pid, ?AWAIT_TIMEOUT);
await_up(Authority) ->
	await_up(Authority, default).

-spec await_up(authority(), Scope :: term()) -> ok | failure().
await_up(Authority, Scope) ->
	case gun_rs_pool_checkout:process(gun_rs_pool_options:key(Scope, Authority)) of
		undefined -> gun_rs_pool_checkout:failure(pool_not_found);
		Pid -> await_up(Pid)
	end.

%% @doc A connection that has room, and what setup_fun has said of it. Nothing is reserved: a request of somebody else's may
%% come first.
-spec checkout(PoolPid :: pid(), req_opts()) -> undefined | {ConnPid :: pid(), Meta :: map()}.
checkout(Pid, ReqOpts) ->
	{Wait, _} = gun_rs_pool_options:request(ReqOpts),
	case gun_rs_pool_checkout:pick(Pid, Wait) of
		{ok, Picked} -> Picked;
		{error, _, _} -> undefined
	end.

%% @doc Makes a request, as `gun_rs:delete/4' does.
-spec delete(Path :: iodata(), gun_rs:headers()) -> result().
delete(Path, Headers) ->
	delete(Path, Headers, #{}).

-spec delete(Path :: iodata(), gun_rs:headers(), req_opts()) -> result().
delete(Path, Headers, ReqOpts) ->
	request(<<"DELETE">>, Path, Headers, <<>>, ReqOpts).

-spec get(Path :: iodata(), gun_rs:headers()) -> result().
get(Path, Headers) ->
	get(Path, Headers, #{}).

-spec get(Path :: iodata(), gun_rs:headers(), req_opts()) -> result().
get(Path, Headers, ReqOpts) ->
	request(<<"GET">>, Path, Headers, <<>>, ReqOpts).

-spec head(Path :: iodata(), gun_rs:headers()) -> result().
head(Path, Headers) ->
	head(Path, Headers, #{}).

-spec head(Path :: iodata(), gun_rs:headers(), req_opts()) -> result().
head(Path, Headers, ReqOpts) ->
	request(<<"HEAD">>, Path, Headers, <<>>, ReqOpts).

-spec options(Path :: iodata(), gun_rs:headers()) -> result().
options(Path, Headers) ->
	options(Path, Headers, #{}).

-spec options(Path :: iodata(), gun_rs:headers(), req_opts()) -> result().
options(Path, Headers, ReqOpts) ->
	request(<<"OPTIONS">>, Path, Headers, <<>>, ReqOpts).

%% @doc Makes a request whose body follows by data/3; with a third argument that is no map, a request with that body.
-spec patch(Path :: iodata(), gun_rs:headers()) -> result().
patch(Path, Headers) ->
	patch(Path, Headers, #{}).

-spec patch(Path :: iodata(), gun_rs:headers(), Body :: iodata() | req_opts()) -> result().
patch(Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(<<"PATCH">>, Path, Headers, ReqOpts);
patch(Path, Headers, Body) ->
	patch(Path, Headers, Body, #{}).

-spec patch(Path :: iodata(), gun_rs:headers(), Body :: iodata(), req_opts()) -> result().
patch(Path, Headers, Body, ReqOpts) ->
	request(<<"PATCH">>, Path, Headers, Body, ReqOpts).

-spec post(Path :: iodata(), gun_rs:headers()) -> result().
post(Path, Headers) ->
	post(Path, Headers, #{}).

-spec post(Path :: iodata(), gun_rs:headers(), Body :: iodata() | req_opts()) -> result().
post(Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(<<"POST">>, Path, Headers, ReqOpts);
post(Path, Headers, Body) ->
	post(Path, Headers, Body, #{}).

-spec post(Path :: iodata(), gun_rs:headers(), Body :: iodata(), req_opts()) -> result().
post(Path, Headers, Body, ReqOpts) ->
	request(<<"POST">>, Path, Headers, Body, ReqOpts).

-spec put(Path :: iodata(), gun_rs:headers()) -> result().
put(Path, Headers) ->
	put(Path, Headers, #{}).

-spec put(Path :: iodata(), gun_rs:headers(), Body :: iodata() | req_opts()) -> result().
put(Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(<<"PUT">>, Path, Headers, ReqOpts);
put(Path, Headers, Body) ->
	put(Path, Headers, Body, #{}).

-spec put(Path :: iodata(), gun_rs:headers(), Body :: iodata(), req_opts()) -> result().
put(Path, Headers, Body, ReqOpts) ->
	request(<<"PUT">>, Path, Headers, Body, ReqOpts).

%% @doc Makes a request whose body follows by data/3.
-spec headers(Method :: iodata(), Path :: iodata(), gun_rs:headers()) -> result().
headers(Method, Path, Headers) ->
	headers(Method, Path, Headers, #{}).

-spec headers(Method :: iodata(), Path :: iodata(), gun_rs:headers(), req_opts()) -> result().
headers(Method, Path, Headers, ReqOpts) ->
	Request = gun_rs_request:streamed(Method, Path, Headers, invalid(ReqOpts)),
	gun_rs_pool_checkout:request(Request, authority(Request), ReqOpts).

%% @doc Makes a request with any method but CONNECT, and a body.
-spec request(Method :: iodata(), Path :: iodata(), gun_rs:headers(), Body :: iodata()) -> result().
request(Method, Path, Headers, Body) ->
	request(Method, Path, Headers, Body, #{}).

-spec request(Method :: iodata(), Path :: iodata(), gun_rs:headers(), Body :: iodata(), req_opts()) -> result().
request(Method, Path, Headers, Body, ReqOpts) ->
	Request = gun_rs_request:whole(Method, Path, Headers, Body, invalid(ReqOpts)),
	gun_rs_pool_checkout:request(Request, authority(Request), ReqOpts).

invalid(ReqOpts) when is_map(ReqOpts) -> maps:get(invalid_request_headers, ReqOpts, raise);
invalid(_) -> raise.

%% The names are in lowercase here, however the user has given them.
authority({_, _, Headers, _}) ->
	case lists:keyfind(<<"host">>, 1, Headers) of
		{_, Authority} -> Authority;
		false -> undefined
	end.

%% @doc Goes on with the body of a request; fin ends it.
-spec data(pool_stream_ref(), fin | nofin, Data :: iodata()) -> ok.
data({ConnPid, StreamRef}, IsFin, Data) ->
	gun_rs:data(ConnPid, StreamRef, IsFin, Data).

%% @doc Waits for the next message of a stream, as `gun_rs:await/4' does.
-spec await(pool_stream_ref()) -> gun_rs:await_result().
await({ConnPid, StreamRef}) ->
	gun_rs:await(ConnPid, StreamRef).

-spec await(pool_stream_ref(), timeout() | reference()) -> gun_rs:await_result().
await({ConnPid, StreamRef}, TimeoutOrMRef) ->
	gun_rs:await(ConnPid, StreamRef, TimeoutOrMRef).

-spec await(pool_stream_ref(), timeout(), MRef :: reference()) -> gun_rs:await_result().
await({ConnPid, StreamRef}, Timeout, MRef) ->
	gun_rs:await(ConnPid, StreamRef, Timeout, MRef).

%% @doc Waits for the whole body of a response.
-spec await_body(pool_stream_ref()) -> gun_rs:await_body_result().
await_body({ConnPid, StreamRef}) ->
	gun_rs:await_body(ConnPid, StreamRef).

-spec await_body(pool_stream_ref(), timeout() | reference()) -> gun_rs:await_body_result().
await_body({ConnPid, StreamRef}, TimeoutOrMRef) ->
	gun_rs:await_body(ConnPid, StreamRef, TimeoutOrMRef).

-spec await_body(pool_stream_ref(), timeout(), MRef :: reference()) -> gun_rs:await_body_result().
await_body({ConnPid, StreamRef}, Timeout, MRef) ->
	gun_rs:await_body(ConnPid, StreamRef, Timeout, MRef).

%% @doc Removes from the caller's mailbox, as in gun, what has come from the connection: of all its streams.
-spec flush(pool_stream_ref()) -> ok.
flush({ConnPid, _}) ->
	gun_rs:flush(ConnPid).

-spec update_flow(pool_stream_ref(), Flow :: pos_integer()) -> ok.
update_flow({ConnPid, StreamRef}, Flow) ->
	gun_rs:update_flow(ConnPid, StreamRef, Flow).

%% @doc Lets no more messages of a request be sent. On HTTP/1.1 its place is free when the response has been received.
-spec cancel(pool_stream_ref()) -> ok.
cancel({ConnPid, StreamRef}) ->
	gun_rs:cancel(ConnPid, StreamRef).

-spec stream_info(pool_stream_ref()) -> {ok, map() | undefined} | {error, not_connected}.
stream_info({ConnPid, StreamRef}) ->
	gun_rs:stream_info(ConnPid, StreamRef).

%% @doc Sends frames on a WebSocket of the pool, whose stream setup_fun has given as `ws' in Meta.
-spec ws_send(gun_rs:frame() | [gun_rs:frame()], ws_send_opts()) -> ok | failure().
ws_send(Frames, Opts) ->
	Key = gun_rs_pool_options:ws_send(Opts),
	{Wait, _} = gun_rs_pool_options:request(#{}),
	case gun_rs_pool_checkout:pick(Key, Wait) of
		{ok, {ConnPid, #{ws := StreamRef}}} -> gun_rs:ws_send(ConnPid, StreamRef, Frames);
		{ok, _} -> gun_rs_pool_checkout:failure(no_connection_available);
		Failure -> Failure
	end.

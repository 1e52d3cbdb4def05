%% @doc The functions of the native library, and the only module that loads it.
%%
%% None of them waits for the network. Those whose names end in _dirty do the same for terms that are too
%% much for a normal scheduler. A library that cannot be loaded does not stop
%% this module from being loaded: its functions then raise `{nif_not_loaded, Reason}'.
-module(gun_rs_native).

%% Of the library and its threads.
-export([load_error/0, runtime_start/1, runtime_stop/1, runtime_is_running/0, stats/0, tls_config/1,
	is_public_suffix/1, proxy_is_excepted/2]).
%% Of connections.
-export([conn_new/5, conn_new_dirty/5, conn_connect/2, conn_shutdown/2, conn_end/1, conn_set_owner/2, conn_ping/4,
	conn_state/1, conn_stats/1, conn_list/0, conn_silence/1, is_conn/1, conn_dialect/1, debug_panic/1, relay_grant/1]).
%% Of streams.
-export([http_request/5, http_request_dirty/5, http_data/5, http_data_dirty/5, http_cancel/3, stream_info/3,
	update_flow/3, ws_upgrade/6, ws_upgrade_dirty/6, ws_send/4, ws_send_dirty/4, ws_send_receipt/4,
	ws_send_receipt_dirty/4, ws_check/1, ws_check_dirty/1, flow_grant/2, ws_settled/2]).
%% Of pools.
-export([pool_new/0, pool_set/3, pool_take/1, pool_next/1, pool_waiting/2, pool_pick/1, pool_streams/1,
	lease_drop/1]).
%% Of the server.
-export([server_tls/1, server_listen/4, server_suspend/1, server_resume/1, server_close/1,
	server_set_max_connections/2, server_set_tls/2, server_set_serve/2, server_info/1, served_own/1, served_pids/1,
	served_respond/6, served_respond_dirty/6, served_data/4, served_data_dirty/4, served_inform/4, served_trailers/3,
	served_read/3, served_accept/6, served_ws_send/2, served_ws_send_dirty/2, served_ws_tune/2, served_flow_grant/2,
	served_settled/2, served_close_with/2, served_shutdown/1, served_stats/1, served_broadcast/2]).

-nifs([runtime_start/1, runtime_stop/1, runtime_is_running/0, stats/0, tls_config/1, conn_new/5, conn_new_dirty/5,
	conn_connect/2, conn_shutdown/2, conn_end/1, conn_set_owner/2, conn_ping/4, conn_state/1, conn_stats/1,
	conn_list/0, conn_silence/1, is_conn/1, conn_dialect/1, debug_panic/1, http_request/5, http_request_dirty/5, http_data/5,
	http_data_dirty/5, http_cancel/3, stream_info/3, update_flow/3, ws_upgrade/6, ws_upgrade_dirty/6, ws_send/4,
	ws_send_dirty/4, ws_send_receipt/4, ws_send_receipt_dirty/4, ws_check/1, ws_check_dirty/1, flow_grant/2,
	relay_grant/1, ws_settled/2, pool_new/0, pool_set/3, pool_take/1, pool_next/1, pool_waiting/2, pool_pick/1,
	pool_streams/1, lease_drop/1, is_public_suffix/1, proxy_is_excepted/2, server_tls/1, server_listen/4, server_suspend/1,
	server_resume/1, server_close/1, server_set_max_connections/2, server_set_tls/2, server_set_serve/2,
	server_info/1, served_own/1, served_pids/1, served_respond/6, served_respond_dirty/6, served_data/4,
	served_data_dirty/4, served_inform/4, served_trailers/3, served_read/3, served_accept/6, served_ws_send/2,
	served_ws_send_dirty/2, served_ws_tune/2, served_flow_grant/2, served_settled/2, served_close_with/2,
	served_shutdown/1, served_stats/1, served_broadcast/2]).

-export_type([conn/0, tls_config/0, pool/0, lease/0, server_tls/0, listener/0, served/0, headers/0, responded/0,
	response_body/0, handler/0, stream_ref/0, refused/0, request/0, limits/0, requested/0, protocol/0, sockname/0,
	next/0, event/0]).
-on_load(load/0).

-opaque conn() :: reference().
-opaque tls_config() :: {reference(), non_neg_integer()}.
%% A pool, and the place of one stream on one of its connections.
-opaque pool() :: reference().
-opaque lease() :: reference().
%% A listener, its TLS, and a connection that it has accepted; the last two of these are closed when nobody
%% has them any more.
-opaque server_tls() :: reference().
-opaque listener() :: reference().
-opaque served() :: reference().
-type headers() :: [{Name :: binary(), Value :: binary()}].
%% gone: the connection is over.
-type responded() :: ok | gone | send_queue_full | {error, {invalid_header, Name :: binary()}}.
-type response_body() :: binary() | {stream, Length :: non_neg_integer() | undefined}
	| {file, Path :: binary(), Offset :: non_neg_integer(), Length :: non_neg_integer()}.

%% What the handler of a WebSocket's frames is started with, where it isn't gun_rs_ws_h.
-type handler() :: map() | undefined.

-type refused() :: iodata | too_much | remote
	| {invalid, Frame :: term(), Text :: string()}
	| {send_queue_full, ToCaller :: tuple()}.

%% A body that is to follow has a length or, in chunks, none. A tunnel follows a CONNECT.
-type request() :: {Method :: binary(), Target :: binary(), Headers :: [{binary(), binary()}],
	Body :: binary() | {streamed, non_neg_integer() | undefined} | {tunnel, map()}}.

%% Of the response: how many parts of its body may be received (undefined stands for what the option flow of open says), and
%% how long the server may take to begin with it, and from one part to the next, in ms; Timeout is for all of it, from the
%% call on. A request that comes from a pool has a lease, which its stream takes over.
-type limits() :: {Flow :: flow(), ResponseTimeout :: timeout(), BodyTimeout :: timeout()}
	| {Flow :: flow(), ResponseTimeout :: timeout(), BodyTimeout :: timeout(), Timeout :: timeout()}
	| {Flow :: flow(), ResponseTimeout :: timeout(), BodyTimeout :: timeout(), Timeout :: timeout(), lease()}.
-type flow() :: pos_integer() | infinity | auto | undefined.

%% relay: the process behind the connection must do it, which has something to add.
%% no_conn: the pid is no connection, or is one no more.
-type requested() :: ok | relay | no_conn
	| {send_queue_full, Message :: tuple(), gun_rs_options:reply_to()}
	| {error, invalid_method | invalid_target | {invalid_header, Name :: binary()}}.

%% Of a connection that is up.
-type protocol() :: http | http2 | raw | socks | ws.

%% Within tunnels, those of the tunnels stand before it, the outermost first.
-type stream_ref() :: reference() | [reference()].

-type sockname() :: {inet:ip_address(), inet:port_number()} | undefined.

%% What follows the end of a connection: nothing, an end that a close frame has asked for, or an upgrade after so many ms.
-type next() :: undefined | closed_by_user | {reupgrade, After :: non_neg_integer()}.

%% What the process behind a connection receives, as `{gun_rs_native, Event}'.
-type event() ::
	%% The attempt to connect has succeeded. The owner has received gun_up.
	{up, protocol(), sockname()}
	%% It has failed.
	| {connect_failed, Reason :: term()}
	%% A tunnel is up, or the way through a proxy that has no stream; Label is what it was asked for with. One on a stream ends.
	| {tunnel_up, stream_ref() | undefined, protocol(), Label :: map(), Beside :: boolean()} | {tunnel_over, stream_ref()}
	%% The connection is down; Killed are the streams that ended with it, Served whether a response or a frame has come.
	| {down, protocol(), Reason :: term(), next(), Killed :: [stream_ref()], Served :: boolean()}
	%% The graceful end that conn_shutdown/2 began is done, and no protocol was up.
	| shut_down
	%% The native task has panicked, with a protocol if it was up.
	| {panic, protocol() | undefined, Reason :: {panic, Text :: binary() | string()}, Killed :: [stream_ref()]}
	%% A message to be delivered by the process: to a fun, to another node, or with work of the user's modules before it.
	| {deliver, gun_rs_options:reply_to(), Message :: tuple()}
	%% Nothing more need be kept for the stream, of which not the last message itself says so.
	| {forget, StreamRef :: stream_ref()}
	%% The upgrade is done, and a module is going to take the frames.
	| {ws_init, StreamRef :: stream_ref(), gun_rs_options:reply_to(), Subprotocol :: binary() | undefined,
		Headers :: [{binary(), binary()}], gun_rs_options:ws_opts()}
	%% A frame for that module, or a fragment of a message.
	| {ws_frame, StreamRef :: stream_ref(), gun_rs_ws_protocol:frame()}
	%% Does ReplyTo keep up? Messages and Bytes have been sent since the last question. Answered by flow_grant/2.
	| {flow_check, StreamRef :: stream_ref() | undefined, gun_rs_options:reply_to(), Messages :: non_neg_integer(),
		Bytes :: non_neg_integer()}
	%% The server has broken the protocol: has ReplyTo answered what came before? Answered by ws_settled/2.
	| {settle, StreamRef :: stream_ref(), gun_rs_options:reply_to()}
	%% Answered by relay_grant/1 when everything that came before has been handed on.
	| relay_check
	%% The answer to ws_send_receipt/4, and to http_data/5 with a receipt.
	| {sent, Receipt :: term(), ok | {error, Reason :: term()}}
	%% The answer to stream_info/3.
	| {stream_info, Receipt :: term(), {ok, map() | undefined} | {error, not_connected}}
	%% A step that is observed, with what of gun's event this side knows; bits are integers. See gun_rs_events.
	| {step, gun_rs_event:step(), map()}
	%% The library has been loaded, perhaps another copy of it: see gun_rs_reload.
	| loaded.

-define(NOT_LOADED, erlang:nif_error({nif_not_loaded, load_error()})).

%% How often the library is tried to be loaded while the code of before still has it, and
%% the pause in between in ms.
-define(LOAD_TRIES, 100).
-define(LOAD_PAUSE, 10).

%% The library is loaded once. When the module is loaded again, this refuses the new
%% code, and the code that runs stays. Code that was deleted goes first: whoever calls a
%% function before it is purged has the module loaded again.
-spec load() -> ok | {error, term()}.
load() ->
	load(?LOAD_TRIES).

load(Tries) ->
	case erlang:load_nif(filename:join(priv_dir(), "gun_rs_native"), 0) of
		ok ->
			ok = persistent_term:put(?MODULE, ok),
			%% Not before this function has returned can anybody call the others.
			_ = spawn(gun_rs_reload, loaded, []),
			ok;
		{error, {Reason, _}} = Error when Reason =:= upgrade; Reason =:= load ->
			case erlang:module_loaded(?MODULE) of
				false when Tries > 0 -> load_after_purge(Tries);
				_ -> Error
			end;
		{error, {reload, _}} = Error ->
			Error;
		Error ->
			persistent_term:put(?MODULE, Error)
	end.

%% The purger is asked itself: the code server may wait for this function. There is a pause
%% only where somebody is still in the old code: OTP's code server loses a request to load
%% a module that comes while its on_load function runs.
load_after_purge(Tries) ->
	_ = case erts_code_purger:soft_purge(?MODULE) of
		true -> ok;
		false -> receive after ?LOAD_PAUSE -> ok end
	end,
	load(Tries - 1).

%% Before the application is in the code path under its own name, priv is a neighbour of ebin.
priv_dir() ->
	case code:priv_dir(gun_rs) of
		{error, bad_name} ->
			filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
		Dir ->
			Dir
	end.

%% @doc Why the library could not be loaded, or undefined when it could.
-spec load_error() -> undefined | term().
load_error() ->
	case persistent_term:get(?MODULE, {error, not_tried}) of
		ok -> undefined;
		{error, Reason} -> Reason
	end.

%% @doc Starts the I/O threads, unless they run already.
-spec runtime_start(Threads :: pos_integer()) -> ok | {error, Text :: string()}.
runtime_start(_Threads) -> ?NOT_LOADED.

%% @doc Stops the I/O threads; every connection is closed. Waits for Timeout ms at most.
-spec runtime_stop(Timeout :: non_neg_integer()) -> ok.
runtime_stop(_Timeout) -> ?NOT_LOADED.

-spec runtime_is_running() -> boolean().
runtime_is_running() -> ?NOT_LOADED.
%% @doc How many connections and tasks there are.
-spec stats() -> #{connections := non_neg_integer(), tasks := non_neg_integer()}.
stats() -> ?NOT_LOADED.

%% @doc Makes the calling process the one behind a new connection. ReplyTo and Handler
%% are those of upgrades that bring no options; undefined stands for their caller, and
%% for no handler but gun_rs_ws_h. The connection makes its first attempt to connect, over
%% TLS where there is a configuration, and reports what becomes of it by
%% `{gun_rs_native, Event}': see event().
-spec conn_new(Owner :: pid(), ReplyTo :: gun_rs_options:reply_to() | undefined, handler(), Options :: map(),
	tls_config() | undefined) -> {ok, conn()} | {error, not_started}.
conn_new(_Owner, _ReplyTo, _Handler, _Options, _Tls) -> ?NOT_LOADED.
-spec conn_new_dirty(Owner :: pid(), ReplyTo :: gun_rs_options:reply_to() | undefined, handler(), Options :: map(),
	tls_config() | undefined) -> {ok, conn()} | {error, not_started}.
conn_new_dirty(_Owner, _ReplyTo, _Handler, _Options, _Tls) -> ?NOT_LOADED.

%% @doc The configuration of TLS for these options. In an error, the key is the one whose
%% value cannot be honoured.
-spec tls_config(gun_rs_tls_options:native())
	-> {ok, tls_config()} | {error, {Key :: atom(), Text :: string()} | Posix :: atom()}.
tls_config(_Options) -> ?NOT_LOADED.

%% The functions that take a conn() are for the process behind the connection. They raise `native_reloaded' where it
%% belongs to another copy of the library: the file was replaced before the module was loaded again.

%% @doc Makes one attempt to connect; over TLS where there is a configuration.
-spec conn_connect(conn(), tls_config() | undefined) -> ok.
conn_connect(_Conn, _Tls) -> ?NOT_LOADED.

%% @doc Begins the graceful end. Cause is what the reasons of the streams that it ends say.
-spec conn_shutdown(conn(), Cause :: shutdown | owner_down) -> ok.
conn_shutdown(_Conn, _Cause) -> ?NOT_LOADED.

%% @doc Ends the connection at once, for the process behind it, which is about to end.
%% Nobody finds the connection any more, so that nothing more is sent to the process.
-spec conn_end(conn()) -> ok.
conn_end(_Conn) -> ?NOT_LOADED.

-spec conn_set_owner(conn(), Owner :: pid()) -> ok.
conn_set_owner(_Conn, _Owner) -> ?NOT_LOADED.

%% @doc ReplyTo receives the answer, or an error where the state allows no ping. Where the protocol has
%% none, the owner's gun_down names PingRef.
-spec conn_ping(conn(), gun_rs_options:reply_to(), PingRef :: reference(), Tunnel :: stream_ref() | undefined) -> ok.
conn_ping(_Conn, _ReplyTo, _PingRef, _Tunnel) -> ?NOT_LOADED.

-spec conn_state(conn()) -> idle | connecting | http | http2 | raw | socks | ws | closing.
conn_state(_Conn) -> ?NOT_LOADED.

%% @doc What has been received and sent, and waits to be; the bytes of compressed messages before and after.
-spec conn_stats(conn()) -> #{frames_in | bytes_in | frames_out | bytes_out | send_queue
	| uncompressed | compressed | truncated := non_neg_integer()}.
conn_stats(_Conn) -> ?NOT_LOADED.

%% @doc All connections of this node. No process is asked. UpSince is in ms of the system's time, About from the options.
-spec conn_list() -> [{pid(), State :: atom(), UpSince :: undefined | integer(), SendQueue :: integer(), Owner :: pid(),
	About :: binary()}].
conn_list() -> ?NOT_LOADED.

%% @doc From now on no message of the connection begins: for after close.
-spec conn_silence(ConnPid :: pid()) -> ok.
conn_silence(_ConnPid) -> ?NOT_LOADED.

%% @doc Whether the pid is a connection of this node.
-spec is_conn(pid()) -> boolean().
is_conn(_Pid) -> ?NOT_LOADED.

%% @doc Which gun's messages it sends; undefined where it is no connection of this node.
-spec conn_dialect(pid()) -> gun_rs_options:dialect() | undefined.
conn_dialect(_ConnPid) -> ?NOT_LOADED.

%% @doc Makes the connection's native task panic, to test what follows.
-spec debug_panic(pid()) -> ok.
debug_panic(_ConnPid) -> ?NOT_LOADED.

%% @doc Makes a request.
-spec http_request(ConnPid :: pid(), StreamRef :: stream_ref(), gun_rs_options:reply_to(), request(), limits())
	-> requested().
http_request(_ConnPid, _StreamRef, _ReplyTo, _Request, _Limits) -> ?NOT_LOADED.
-spec http_request_dirty(ConnPid :: pid(), StreamRef :: stream_ref(), gun_rs_options:reply_to(), request(), limits())
	-> requested().
http_request_dirty(_ConnPid, _StreamRef, _ReplyTo, _Request, _Limits) -> ?NOT_LOADED.

%% @doc Goes on with the body of a request. Caller receives an error where there is none to go on with;
%% whoever has a receipt, `{gun_rs_native, {sent, Receipt, Result}}'.
-spec http_data(pid(), pid() | {receipt, term()}, StreamRef :: stream_ref() | undefined, fin | nofin, Data :: binary())
	-> ok | relay | no_conn | {send_queue_full, ToCaller :: tuple()}.
http_data(_ConnPid, _Caller, _StreamRef, _IsFin, _Data) -> ?NOT_LOADED.
-spec http_data_dirty(pid(), pid() | {receipt, term()}, StreamRef :: stream_ref() | undefined, fin | nofin, Data :: binary())
	-> ok | relay | no_conn | {send_queue_full, ToCaller :: tuple()}.
http_data_dirty(_ConnPid, _Caller, _StreamRef, _IsFin, _Data) -> ?NOT_LOADED.

%% @doc From now on no message of the stream is sent. Caller receives an error where there is
%% no such stream.
-spec http_cancel(ConnPid :: pid(), Caller :: pid() | reference(), StreamRef :: stream_ref() | undefined) -> ok | relay | no_conn.
http_cancel(_ConnPid, _Caller, _StreamRef) -> ?NOT_LOADED.

%% @doc Asks for what is known of a stream. The process behind the connection receives
%% it: `{gun_rs_native, {stream_info, Receipt, Result}}'.
-spec stream_info(conn(), Receipt :: term(), StreamRef :: stream_ref()) -> ok.
stream_info(_Conn, _Receipt, _StreamRef) -> ?NOT_LOADED.

%% @doc Raises the number of messages, or of parts of a body, that may be received. The
%% stream of a WebSocket need not be named.
-spec update_flow(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, Flow :: integer())
	-> ok | no_conn.
update_flow(_ConnPid, _StreamRef, _Flow) -> ?NOT_LOADED.

%% @doc Without options, those that were given to open count, reply_to and handler
%% included.
-spec ws_upgrade(ConnPid :: pid(), StreamRef :: stream_ref(), ReplyTo :: gun_rs_options:reply_to(),
	Target :: binary(), Headers :: [{binary(), binary()}], {Options :: map(), handler()} | undefined)
	-> requested().
ws_upgrade(_ConnPid, _StreamRef, _ReplyTo, _Target, _Headers, _Options) -> ?NOT_LOADED.
-spec ws_upgrade_dirty(ConnPid :: pid(), StreamRef :: stream_ref(), ReplyTo :: gun_rs_options:reply_to(),
	Target :: binary(), Headers :: [{binary(), binary()}], {Options :: map(), handler()} | undefined)
	-> requested().
ws_upgrade_dirty(_ConnPid, _StreamRef, _ReplyTo, _Target, _Headers, _Options) -> ?NOT_LOADED.

%% @doc Sends a frame or a list of frames; Caller receives an error where there is no
%% WebSocket.
-spec ws_send(ConnPid :: pid(), Caller :: pid(), StreamRef :: term(), Frames :: term())
	-> ok | no_conn | refused().
ws_send(_ConnPid, _Caller, _StreamRef, _Frames) -> ?NOT_LOADED.
-spec ws_send_dirty(ConnPid :: pid(), Caller :: pid(), StreamRef :: term(), Frames :: term())
	-> ok | no_conn | refused().
ws_send_dirty(_ConnPid, _Caller, _StreamRef, _Frames) -> ?NOT_LOADED.

%% @doc Sends frames for the process behind the connection, which receives
%% `{gun_rs_native, {sent, Receipt, Result}}' when the operating system has them.
-spec ws_send_receipt(conn(), Receipt :: term(), StreamRef :: stream_ref() | undefined, Frames :: term())
	-> ok | send_queue_full | refused().
ws_send_receipt(_Conn, _Receipt, _StreamRef, _Frames) -> ?NOT_LOADED.
-spec ws_send_receipt_dirty(conn(), Receipt :: term(), StreamRef :: stream_ref() | undefined, Frames :: term())
	-> ok | send_queue_full | refused().
ws_send_receipt_dirty(_Conn, _Receipt, _StreamRef, _Frames) -> ?NOT_LOADED.

%% @doc Answers as ws_send/4 would, and sends nothing.
-spec ws_check(Frames :: term()) -> ok | refused().
ws_check(_Frames) -> ?NOT_LOADED.
-spec ws_check_dirty(Frames :: term()) -> ok | refused().
ws_check_dirty(_Frames) -> ?NOT_LOADED.

%% @doc The receiver keeps up: the answer to flow_check.
-spec flow_grant(conn(), StreamRef :: stream_ref() | undefined) -> ok.
flow_grant(_Conn, _StreamRef) -> ?NOT_LOADED.

%% @doc The process has handed on what it was sent: the answer to relay_check.
-spec relay_grant(conn()) -> ok.
relay_grant(_Conn) -> ?NOT_LOADED.

%% @doc The stream's receiver has had its chance to answer: the answer to settle.
-spec ws_settled(conn(), StreamRef :: stream_ref()) -> ok.
ws_settled(_Conn, _StreamRef) -> ?NOT_LOADED.

%% @doc A pool, whose process the caller becomes: it receives `{gun_rs_native, stream_over}' when a stream of one of its
%% connections is over while callers wait.
-spec pool_new() -> {ok, pool()} | {error, not_started}.
pool_new() -> ?NOT_LOADED.

%% @doc These are the connections now, and so many streams each of them may have at a time. The load is spread over the
%% first Shared of them; those behind are used when these are busy.
-spec pool_set(pool(), [{ConnPid :: pid(), Max :: non_neg_integer() | infinity}], Shared :: non_neg_integer()) -> ok.
pool_set(_Pool, _Members, _Shared) -> ?NOT_LOADED.

%% @doc A connection that is up and has room for a stream, whose place the lease keeps. With `waiting' others have come
%% before.
-spec pool_take(pool()) -> {ConnPid :: pid(), lease()} | full | waiting.
pool_take(_Pool) -> ?NOT_LOADED.

%% @doc The same for the process of the pool, whoever waits.
-spec pool_next(pool()) -> {ConnPid :: pid(), lease()} | full.
pool_next(_Pool) -> ?NOT_LOADED.

%% @doc Whether callers wait from now on.
-spec pool_waiting(pool(), boolean()) -> ok.
pool_waiting(_Pool, _Waiting) -> ?NOT_LOADED.

%% @doc A connection that is up and has room for a stream, whose place nobody keeps.
-spec pool_pick(pool()) -> ConnPid :: pid() | full.
pool_pick(_Pool) -> ?NOT_LOADED.

%% @doc How many streams each connection has, and how many it has had; of these the number wraps around.
-spec pool_streams(pool()) -> [{ConnPid :: pid(), Open :: non_neg_integer(), Opened :: non_neg_integer()}].
pool_streams(_Pool) -> ?NOT_LOADED.

%% @doc No request comes for this lease. One that nobody has any more is given back by itself, though not at once.
-spec lease_drop(lease()) -> ok.
lease_drop(_Lease) -> ?NOT_LOADED.

%% @doc Whether all of the domain is a public suffix (publicsuffix.org), such as `com' and
%% `co.uk'. A domain under no rule of the list is one if it has one label. IP addresses
%% are none. A dot at the end counts for nothing, nor does the case of letters.
-spec is_public_suffix(Domain :: binary()) -> boolean().
is_public_suffix(_Domain) -> ?NOT_LOADED.
%% @doc Whether these rules of NO_PROXY except the host.
-spec proxy_is_excepted(Rules :: binary(), Host :: binary()) -> boolean().
proxy_is_excepted(_Rules, _Host) -> ?NOT_LOADED.
%% Listeners. What they are given has been checked, and is complete (gun_rs_server_options).

%% @doc The configuration of TLS for these options, as tls_config/1.
-spec server_tls(map()) -> {ok, server_tls()} | {error, {Key :: atom(), Text :: string()} | Posix :: atom()}.
server_tls(_Options) -> ?NOT_LOADED.
%% @doc Listens. Listener, a process, receives `{gun_rs_native, {accepted, Served, Peer, Id, Request}}'
%% with the first request of each connection, and `{gun_rs_native, {accept_failed, ok | Posix}}'. Peer has its `ages' in ns,
%% `{Accepted, Begun, Up}'. First is the first of the listeners that have been in this one's place, or itself.
-spec server_listen(Listener :: pid(), First :: pid(), Options :: map(), server_tls() | undefined)
	-> {ok, listener(), sockname()} | {error, Posix :: atom()}.
server_listen(_Listener, _First, _Options, _Tls) -> ?NOT_LOADED.

%% @doc Closes the listening socket. Connections go on.
-spec server_suspend(listener()) -> ok.
server_suspend(_Listener) -> ?NOT_LOADED.

%% @doc Listens again, on the same port.
-spec server_resume(listener()) -> ok | {error, Posix :: atom()}.
server_resume(_Listener) -> ?NOT_LOADED.
-spec server_close(listener()) -> ok.
server_close(_Listener) -> ?NOT_LOADED.
-spec server_set_max_connections(listener(), pos_integer() | infinity) -> ok.
server_set_max_connections(_Listener, _Max) -> ?NOT_LOADED.
-spec server_set_tls(listener(), server_tls()) -> ok.
server_set_tls(_Listener, _Tls) -> ?NOT_LOADED.
-spec server_set_serve(listener(), map()) -> ok.
server_set_serve(_Listener, _Serve) -> ?NOT_LOADED.
-spec server_info(listener()) -> #{active | upgraded | accepted | handshake_failures := non_neg_integer()}.
server_info(_Listener) -> ?NOT_LOADED.

%% The connections of listeners, for their processes. Id names a request.

%% @doc The caller becomes the process of the connection: it receives `{gun_rs_served, Event}'.
-spec served_own(served()) -> ok | gone.
served_own(_Served) -> ?NOT_LOADED.
%% @doc Of the connections that a listener has accepted, and those that have come into its place.
-spec served_pids(First :: pid()) -> [pid()].
served_pids(_First) -> ?NOT_LOADED.
%% @doc Answers. What follows of a body that is streamed comes by served_data/4.
-spec served_respond(served(), Id :: non_neg_integer(), 200..999, Reason :: binary(), headers(), response_body())
	-> responded().
served_respond(_Served, _Id, _Status, _Reason, _Headers, _Body) -> ?NOT_LOADED.
%% @doc The same, for a body that is too much for a normal scheduler.
-spec served_respond_dirty(served(), Id :: non_neg_integer(), Status :: 200..999, Reason :: binary(), headers(),
	response_body()) -> responded().
served_respond_dirty(_Served, _Id, _Status, _Reason, _Headers, _Body) -> ?NOT_LOADED.
-spec served_data(served(), Id :: non_neg_integer(), fin | nofin, binary()) -> ok | gone | send_queue_full.
served_data(_Served, _Id, _IsFin, _Data) -> ?NOT_LOADED.
%% @doc The same, for data that is too much for a normal scheduler.
-spec served_data_dirty(served(), Id :: non_neg_integer(), fin | nofin, binary()) -> ok | gone | send_queue_full.
served_data_dirty(_Served, _Id, _IsFin, _Data) -> ?NOT_LOADED.
-spec served_inform(served(), Id :: non_neg_integer(), Status :: 100..199, headers()) -> responded().
served_inform(_Served, _Id, _Status, _Headers) -> ?NOT_LOADED.
%% @doc Ends a body that is streamed.
-spec served_trailers(served(), Id :: non_neg_integer(), headers()) -> responded().
served_trailers(_Served, _Id, _Headers) -> ?NOT_LOADED.
%% @doc So many more parts of the request's body may come.
-spec served_read(served(), Id :: non_neg_integer(), Parts :: pos_integer()) -> ok | gone | send_queue_full.
served_read(_Served, _Id, _Parts) -> ?NOT_LOADED.

%% @doc Answers by 101. Offers are the extensions that the client offers.
-spec served_accept(served(), Id :: non_neg_integer(), Key :: binary(), headers(), Options :: map(),
	Offers :: binary() | undefined) -> responded().
served_accept(_Served, _Id, _Key, _Headers, _Options, _Offers) -> ?NOT_LOADED.
-spec served_ws_send(served(), Frames :: term())
	-> ok | gone | send_queue_full | iodata | too_much | {invalid, Frame :: term(), Text :: string()}.
served_ws_send(_Served, _Frames) -> ?NOT_LOADED.
%% @doc The same, for frames that are too much for a normal scheduler.
-spec served_ws_send_dirty(served(), Frames :: term())
	-> ok | gone | send_queue_full | iodata | {invalid, Frame :: term(), Text :: string()}.
served_ws_send_dirty(_Served, _Frames) -> ?NOT_LOADED.
%% @doc Changes `active', `deflate', `idle_timeout' or `max_frame_size' of the WebSocket.
-spec served_ws_tune(served(), map()) -> ok | gone.
served_ws_tune(_Served, _Options) -> ?NOT_LOADED.

%% @doc The process keeps up: the answer to flow_check.
-spec served_flow_grant(served(), Id :: non_neg_integer()) -> ok.
served_flow_grant(_Served, _Id) -> ?NOT_LOADED.

%% @doc The process has had its chance to answer: the answer to settle.
-spec served_settled(served(), Id :: non_neg_integer()) -> ok.
served_settled(_Served, _Id) -> ?NOT_LOADED.

%% @doc Closes a WebSocket with this code; ends any other connection behind the answers that it was given.
-spec served_close_with(served(), Code :: 1000..4999) -> ok.
served_close_with(_Served, _Code) -> ?NOT_LOADED.
%% @doc Begins the graceful end, behind which comes shut_down.
-spec served_shutdown(served()) -> ok.
served_shutdown(_Served) -> ?NOT_LOADED.
%% @doc As conn_stats/1, of the connection that has this process.
-spec served_stats(pid() | served()) -> map() | gone.
served_stats(_Served) -> ?NOT_LOADED.

%% @doc Sends a frame to the WebSockets of these processes: how many it is queued for, have no room, and are none.
-spec served_broadcast([pid()], Frame :: term())
	-> {non_neg_integer(), non_neg_integer(), non_neg_integer()} | iodata | {invalid, Frame :: term(), Text :: string()}.
served_broadcast(_Pids, _Frame) -> ?NOT_LOADED.

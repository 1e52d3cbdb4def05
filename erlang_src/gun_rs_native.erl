%% @doc The functions of the native library, and the only module that loads it.
%%
%% None of them waits for the network. A library that cannot be loaded does not stop
%% this module from being loaded: its functions then raise `{nif_not_loaded, Reason}'.
-module(gun_rs_native).

-export([load_error/0]).
-export([runtime_start/1]).
-export([runtime_stop/1]).
-export([runtime_is_running/0]).
-export([stats/0]).
-export([conn_new/5]).
-export([conn_new_dirty/5]).
-export([tls_config/1]).
-export([conn_connect/2]).
-export([conn_shutdown/2]).
-export([conn_end/1]).
-export([conn_set_owner/2]).
-export([conn_ping/3]).
-export([conn_state/1]).
-export([conn_stats/1]).
-export([conn_silence/1]).
-export([is_conn/1]).
-export([conn_dialect/1]).
-export([debug_panic/1]).
-export([http_request/5]).
-export([http_request_dirty/5]).
-export([http_data/5]).
-export([http_data_dirty/5]).
-export([http_cancel/3]).
-export([stream_info/3]).
-export([update_flow/3]).
-export([ws_upgrade/6]).
-export([ws_upgrade_dirty/6]).
-export([ws_send/4]).
-export([ws_send_dirty/4]).
-export([ws_send_receipt/3]).
-export([ws_send_receipt_dirty/3]).
-export([ws_check/1]).
-export([ws_check_dirty/1]).
-export([flow_grant/2]).
-export([relay_grant/1]).
-export([ws_settled/2]).
-export([is_public_suffix/1]).

-nifs([runtime_start/1, runtime_stop/1, runtime_is_running/0, stats/0,
	tls_config/1, conn_new/5, conn_new_dirty/5, conn_connect/2, conn_shutdown/2, conn_end/1, conn_set_owner/2,
	conn_ping/3,
	conn_state/1, conn_stats/1,
	conn_silence/1, is_conn/1, conn_dialect/1, debug_panic/1, http_request/5, http_request_dirty/5, http_data/5, http_data_dirty/5,
	http_cancel/3,
	stream_info/3, update_flow/3, ws_upgrade/6, ws_upgrade_dirty/6, ws_send/4, ws_send_dirty/4, ws_send_receipt/3,
	ws_send_receipt_dirty/3, ws_check/1, ws_check_dirty/1, flow_grant/2, relay_grant/1, ws_settled/2,
	is_public_suffix/1]).

-on_load(load/0).

-opaque conn() :: reference().
-export_type([conn/0]).

-opaque tls_config() :: {reference(), non_neg_integer()}.
-export_type([tls_config/0]).

%% What the handler of a WebSocket's frames is started with, where it isn't gun_rs_ws_h.
-type handler() :: map() | undefined.
-export_type([handler/0]).

-type refused() :: iodata | too_much | remote
	| {invalid, Frame :: term(), Text :: string()}
	| {send_queue_full, ToCaller :: tuple()}.
-export_type([refused/0]).

%% A body that is to follow has a length or, in chunks, none.
-type request() :: {Method :: binary(), Target :: binary(), Headers :: [{binary(), binary()}],
	Body :: binary() | {streamed, non_neg_integer() | undefined}}.
-export_type([request/0]).

%% Of the response: how many parts of its body may be received (undefined stands for what the
%% option flow of open says), and how long the server may take to begin with it, and from
%% one part to the next, in ms.
-type limits() :: {Flow :: pos_integer() | infinity | auto | undefined, ResponseTimeout :: timeout(),
	BodyTimeout :: timeout()}.
-export_type([limits/0]).

%% relay: the process behind the connection must do it, which has something to add.
%% no_conn: the pid is no connection, or is one no more.
-type requested() :: ok | relay | no_conn
	| {send_queue_full, Message :: tuple(), gun_rs_options:reply_to()}
	| {error, invalid_method | invalid_target | {invalid_header, Name :: binary()}}.
-export_type([requested/0]).

%% Of a connection that is up.
-type protocol() :: http | ws.
-export_type([protocol/0]).

-type sockname() :: {inet:ip_address(), inet:port_number()} | undefined.
-export_type([sockname/0]).

%% What follows the end of a connection: nothing, an end that a close frame of the user's
%% has asked for, or another upgrade after so many ms.
-type next() :: undefined | closed_by_user | {reupgrade, After :: non_neg_integer()}.
-export_type([next/0]).

%% What the process behind a connection receives, as `{gun_rs_native, Event}'.
-type event() ::
	%% The attempt to connect has succeeded. The owner has received gun_up.
	{up, protocol(), sockname()}
	%% It has failed.
	| {connect_failed, Reason :: term()}
	%% The connection is down; Killed are the streams that ended with it. Served says whether
	%% the connection was of use: a response or a frame has come.
	| {down, protocol(), Reason :: term(), next(), Killed :: [reference()], Served :: boolean()}
	%% The graceful end that conn_shutdown/2 began is done, and no protocol was up.
	| shut_down
	%% The native task has panicked. The protocol is http or ws, if one was up.
	| {panic, protocol() | undefined, Reason :: {panic, Text :: binary() | string()}, Killed :: [reference()]}
	%% A message to be delivered by the process: to a fun, to another node, or with work of the
	%% user's modules before it.
	| {deliver, gun_rs_options:reply_to(), Message :: tuple()}
	%% Nothing more need be kept for the stream, of which not the last message itself says so.
	| {forget, StreamRef :: reference()}
	%% The upgrade is done, and a module is going to take the frames.
	| {ws_init, StreamRef :: reference(), gun_rs_options:reply_to(), Subprotocol :: binary() | undefined,
		Headers :: [{binary(), binary()}], gun_rs_options:ws_opts()}
	%% A frame for that module, or a fragment of a message.
	| {ws_frame, StreamRef :: reference(), gun_rs_ws_protocol:frame()}
	%% Does ReplyTo keep up? Messages and Bytes have been sent since the last question. Answered
	%% by flow_grant/2.
	| {flow_check, StreamRef :: reference(), gun_rs_options:reply_to(), Messages :: non_neg_integer(),
		Bytes :: non_neg_integer()}
	%% The server has broken the protocol: has ReplyTo had its chance to answer what came before?
	%% Answered by ws_settled/2.
	| {settle, StreamRef :: reference(), gun_rs_options:reply_to()}
	%% Answered by relay_grant/1 when everything that came before has been handed on.
	| relay_check
	%% The answer to ws_send_receipt/3.
	| {sent, Receipt :: term(), ok | {error, Reason :: term()}}
	%% The answer to stream_info/3.
	| {stream_info, Receipt :: term(), {ok, map() | undefined} | {error, not_connected}}
	%% The library has been loaded, perhaps another copy of it: see gun_rs_reload.
	| loaded.
-export_type([event/0]).

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

%% @doc The same, for terms that are too much for a normal scheduler.
-spec conn_new_dirty(Owner :: pid(), ReplyTo :: gun_rs_options:reply_to() | undefined, handler(), Options :: map(),
	tls_config() | undefined) -> {ok, conn()} | {error, not_started}.
conn_new_dirty(_Owner, _ReplyTo, _Handler, _Options, _Tls) -> ?NOT_LOADED.

%% @doc The configuration of TLS for these options. In an error, the key is the one whose
%% value cannot be honoured.
-spec tls_config(gun_rs_tls_options:native())
	-> {ok, tls_config()} | {error, {Key :: atom(), Text :: string()} | Posix :: atom()}.
tls_config(_Options) -> ?NOT_LOADED.

%% The functions that take a conn() are for the process behind the connection. They raise
%% `native_reloaded' where it belongs to another copy of the library: the file was replaced
%% before the module was loaded again.

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

%% @doc The owner's gun_down names PingRef where the protocol has no ping. ReplyTo receives an error
%% where the state allows none.
-spec conn_ping(conn(), ReplyTo :: gun_rs_options:reply_to(), PingRef :: reference()) -> ok.
conn_ping(_Conn, _ReplyTo, _PingRef) -> ?NOT_LOADED.

-spec conn_state(conn()) -> idle | connecting | http | ws | closing.
conn_state(_Conn) -> ?NOT_LOADED.

%% @doc Frames and bytes received and sent, what waits to be sent as it is counted, and the bytes
%% of compressed messages before and after compression.
-spec conn_stats(conn()) -> #{frames_in | bytes_in | frames_out | bytes_out | send_queue
	| uncompressed | compressed | truncated := non_neg_integer()}.
conn_stats(_Conn) -> ?NOT_LOADED.

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
-spec http_request(ConnPid :: pid(), StreamRef :: reference(), gun_rs_options:reply_to(), request(), limits())
	-> requested().
http_request(_ConnPid, _StreamRef, _ReplyTo, _Request, _Limits) -> ?NOT_LOADED.

%% @doc The same, for headers and a body that are too much for a normal scheduler.
-spec http_request_dirty(ConnPid :: pid(), StreamRef :: reference(), gun_rs_options:reply_to(), request(), limits())
	-> requested().
http_request_dirty(_ConnPid, _StreamRef, _ReplyTo, _Request, _Limits) -> ?NOT_LOADED.

%% @doc Goes on with the body of a request. Caller receives an error where there is none to go
%% on with.
-spec http_data(ConnPid :: pid(), Caller :: pid(), StreamRef :: reference(), fin | nofin, Data :: binary())
	-> ok | relay | no_conn | {send_queue_full, ToCaller :: tuple()}.
http_data(_ConnPid, _Caller, _StreamRef, _IsFin, _Data) -> ?NOT_LOADED.

%% @doc The same, for data that is too much for a normal scheduler.
-spec http_data_dirty(ConnPid :: pid(), Caller :: pid(), StreamRef :: reference(), fin | nofin, Data :: binary())
	-> ok | relay | no_conn | {send_queue_full, ToCaller :: tuple()}.
http_data_dirty(_ConnPid, _Caller, _StreamRef, _IsFin, _Data) -> ?NOT_LOADED.

%% @doc From now on no message of the stream is sent. Caller receives an error where there is
%% no such stream.
-spec http_cancel(ConnPid :: pid(), Caller :: pid(), StreamRef :: reference()) -> ok | relay | no_conn.
http_cancel(_ConnPid, _Caller, _StreamRef) -> ?NOT_LOADED.

%% @doc Asks for what is known of a stream. The process behind the connection receives
%% it: `{gun_rs_native, {stream_info, Receipt, Result}}'.
-spec stream_info(conn(), Receipt :: term(), StreamRef :: reference()) -> ok.
stream_info(_Conn, _Receipt, _StreamRef) -> ?NOT_LOADED.

%% @doc Raises the number of messages, or of parts of a body, that may be received. The
%% stream of a WebSocket need not be named.
-spec update_flow(ConnPid :: pid(), StreamRef :: reference() | undefined, Flow :: integer())
	-> ok | no_conn.
update_flow(_ConnPid, _StreamRef, _Flow) -> ?NOT_LOADED.

%% @doc Without options, those that were given to open count, reply_to and handler
%% included.
-spec ws_upgrade(ConnPid :: pid(), StreamRef :: reference(), ReplyTo :: gun_rs_options:reply_to(),
	Target :: binary(), Headers :: [{binary(), binary()}], {Options :: map(), handler()} | undefined)
	-> requested().
ws_upgrade(_ConnPid, _StreamRef, _ReplyTo, _Target, _Headers, _Options) -> ?NOT_LOADED.

%% @doc The same, for headers and options that are too much for a normal scheduler.
-spec ws_upgrade_dirty(ConnPid :: pid(), StreamRef :: reference(), ReplyTo :: gun_rs_options:reply_to(),
	Target :: binary(), Headers :: [{binary(), binary()}], {Options :: map(), handler()} | undefined)
	-> requested().
ws_upgrade_dirty(_ConnPid, _StreamRef, _ReplyTo, _Target, _Headers, _Options) -> ?NOT_LOADED.

%% @doc Sends a frame or a list of frames; Caller receives an error where there is no
%% WebSocket.
-spec ws_send(ConnPid :: pid(), Caller :: pid(), StreamRef :: term(), Frames :: term())
	-> ok | no_conn | refused().
ws_send(_ConnPid, _Caller, _StreamRef, _Frames) -> ?NOT_LOADED.

%% @doc The same, for frames that are too much for a normal scheduler.
-spec ws_send_dirty(ConnPid :: pid(), Caller :: pid(), StreamRef :: term(), Frames :: term())
	-> ok | no_conn | refused().
ws_send_dirty(_ConnPid, _Caller, _StreamRef, _Frames) -> ?NOT_LOADED.

%% @doc Sends frames for the process behind the connection, which receives
%% `{gun_rs_native, {sent, Receipt, Result}}' when the operating system has them.
-spec ws_send_receipt(conn(), Receipt :: term(), Frames :: term()) -> ok | send_queue_full | refused().
ws_send_receipt(_Conn, _Receipt, _Frames) -> ?NOT_LOADED.

%% @doc The same, for frames that are too much for a normal scheduler.
-spec ws_send_receipt_dirty(conn(), Receipt :: term(), Frames :: term()) -> ok | send_queue_full | refused().
ws_send_receipt_dirty(_Conn, _Receipt, _Frames) -> ?NOT_LOADED.

%% @doc Answers as ws_send/4 would, and sends nothing.
-spec ws_check(Frames :: term()) -> ok | refused().
ws_check(_Frames) -> ?NOT_LOADED.

%% @doc The same, for frames that are too much for a normal scheduler.
-spec ws_check_dirty(Frames :: term()) -> ok | refused().
ws_check_dirty(_Frames) -> ?NOT_LOADED.

%% @doc The receiver keeps up: the answer to flow_check.
-spec flow_grant(conn(), StreamRef :: reference()) -> ok.
flow_grant(_Conn, _StreamRef) -> ?NOT_LOADED.

%% @doc The process has handed on what it was sent: the answer to relay_check.
-spec relay_grant(conn()) -> ok.
relay_grant(_Conn) -> ?NOT_LOADED.

%% @doc The stream's receiver has had its chance to answer: the answer to settle.
-spec ws_settled(conn(), StreamRef :: reference()) -> ok.
ws_settled(_Conn, _StreamRef) -> ?NOT_LOADED.

%% @doc Whether all of the domain is a public suffix (publicsuffix.org), such as `com' and
%% `co.uk'. A domain under no rule of the list is one if it has one label. IP addresses
%% are none. A dot at the end counts for nothing, nor does the case of letters.
-spec is_public_suffix(Domain :: binary()) -> boolean().
is_public_suffix(_Domain) -> ?NOT_LOADED.

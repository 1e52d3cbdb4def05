%% @doc The API of gun, by connections that live in native code.
%%
%% An application that uses gun replaces the module's name; functions, options and
%% messages keep theirs. The process that opens a connection is its owner and receives
%% gun_up and gun_down; what belongs to a stream goes to the process that made it, or
%% to its `reply_to'.
-module(gun_rs).

-export([open/1, open/2, open/3, open_unix/2]).
-export([start_link/4]).
-export([await_up/1, await_up/2, await_up/3]).
-export([info/1]).
-export([connections/0]).
-export([set_owner/2]).
-export([shutdown/1]).
-export([close/1]).
-export([get/2, get/3, get/4]).
-export([head/2, head/3, head/4]).
-export([options/2, options/3, options/4]).
-export([delete/2, delete/3, delete/4]).
-export([patch/3, patch/4, patch/5]).
-export([post/3, post/4, post/5]).
-export([put/3, put/4, put/5]).
-export([request/5, request/6]).
-export([headers/4, headers/5]).
-export([data/4]).
-export([connect/2, connect/3, connect/4]).
-export([data_sync/4, data_sync/5]).
-export([ws_upgrade/2, ws_upgrade/3, ws_upgrade/4]).
-export([ws_send/2, ws_send/3]).
-export([ws_send_sync/3, ws_send_sync/4]).
-export([update_flow/3]).
-export([cancel/2]).
-export([stream_info/2]).
-export([ping/1, ping/2]).
-export([await/2, await/3, await/4]).
-export([await_body/2, await_body/3, await_body/4]).
-export([flush/1]).
-export([format_error/1]).

-type opts() :: gun_rs_options:opts().
-type ws_opts() :: gun_rs_options:ws_opts().
-type frame() :: gun_rs_frames:frame().
-type headers() :: gun_rs_request:headers().
-type req_opts() :: gun_rs_options:req_opts().
-type stream_ref() :: gun_rs_native:stream_ref().
-export_type([opts/0, ws_opts/0, frame/0, headers/0, req_opts/0, stream_ref/0]).

%% Gun names what is missing of SOCKS in its own way.
-type opened() :: {ok, ConnPid :: pid()} | {error, Reason :: term()} | {error, options, {socks, host | port}}.

%% In the older dialects the reason stands alone.
-type failure() :: timeout | {stream_error | connection_error | down, Reason :: term()} | term().
-export_type([opened/0, failure/0]).

-type await_result() :: gun_rs_await:result().
-type await_body_result() :: gun_rs_await:body_result().
-type resp_headers() :: [{binary(), binary()}].
-export_type([await_result/0, await_body_result/0, resp_headers/0]).

-define(AWAIT_TIMEOUT, 5000).

%% @doc Opens a connection to the host and port of a URL, with TLS where its scheme is wss
%% or https, without it where that is ws or http. The path is for the request or the upgrade.
-spec open(Url :: string() | binary()) -> opened().
open(Url) ->
	open_url(Url, #{}).

%% @doc Opens a connection to a URL with options, or to Host, which is a string, an atom, a
%% binary or an IP tuple. Returns before the connection is up; the caller is its owner.
%% Errors are `{options, _}', `{not_started, gun_rs}' and `{nif_not_loaded, _}'.
-spec open(Host :: gun_rs_options:host(), inet:port_number()) -> opened();
	(Url :: string() | binary(), opts()) -> opened().
open(Url, Opts) when is_map(Opts) ->
	open_url(Url, Opts);
open(Host, Port) ->
	open(Host, Port, #{}).

%% @doc Opens a connection to a host and a port with options, of which doc/manual/opts.md has
%% each. Returns before the connection is up, which gun_up reports; the caller is its owner.
%% A bad option is `{error, {options, Bad}}', and nothing is connected.
-spec open(Host :: gun_rs_options:host(), inet:port_number(), opts()) -> opened().
open(Host, Port, Opts) ->
	case gun_rs_options:open(Host, Port, Opts) of
		{ok, Config} -> gun_rs_opener:open(Config);
		Error -> Error
	end.

open_url(Url, Opts) ->
	case gun_rs_options:url(Url, Opts) of
		{ok, Host, Port, _, OptsWithTransport} -> open(Host, Port, OptsWithTransport);
		Error -> Error
	end.

%% @doc Opens a connection to a Unix domain socket. The host of its requests is localhost.
-spec open_unix(Path :: string() | binary(), opts()) -> opened().
open_unix(Path, Opts) ->
	case gun_rs_options:open_unix(Path, Opts) of
		{ok, Config} -> gun_rs_opener:open(Config);
		Error -> Error
	end.

%% @doc Opens a connection of another owner, linked to the caller and without a supervisor.
-spec start_link(Owner :: pid(), Host :: gun_rs_options:host(), inet:port_number(), opts()) -> opened().
start_link(Owner, Host, Port, Opts) when is_pid(Owner) ->
	case gun_rs_options:open(Host, Port, Opts) of
		{ok, Config} -> gun_rs_opener:start_link(Owner, Config);
		Error -> Error
	end.

%% @doc Waits for gun_up. The second argument is a timeout in ms or a monitor
%% reference; the default timeout is 5000.
-spec await_up(ConnPid :: pid()) -> {ok, Protocol :: atom()} | {error, failure()}.
await_up(ConnPid) ->
	await_up(ConnPid, ?AWAIT_TIMEOUT).

-spec await_up(ConnPid :: pid(), timeout() | reference())
	-> {ok, Protocol :: atom()} | {error, failure()}.
await_up(ConnPid, MRef) when is_reference(MRef) ->
	await_up(ConnPid, ?AWAIT_TIMEOUT, MRef);
await_up(ConnPid, Timeout) ->
	gun_rs_await:with_monitor(ConnPid, fun(MRef) -> await_up(ConnPid, Timeout, MRef) end).

-spec await_up(ConnPid :: pid(), timeout(), MRef :: reference())
	-> {ok, Protocol :: atom()} | {error, failure()}.
await_up(ConnPid, Timeout, MRef) ->
	gun_rs_await:up(ConnPid, Timeout, MRef).

%% @doc What there is to know about a connection, as a map with gun's keys. Exits
%% `noproc' when there is none.
-spec info(ConnPid :: pid()) -> map().
info(ConnPid) ->
	gun_rs_caller:info(ConnPid).

%% @doc The connections of this node, a map for each. No process is asked, so that none can keep the caller waiting.
-spec connections() -> [map()].
connections() ->
	gun_rs_conn_info:all().

%% @doc Gives the connection another owner. Only the owner can; the streams that are
%% open keep their receivers.
-spec set_owner(ConnPid :: pid(), NewOwner :: pid()) -> ok.
set_owner(ConnPid, NewOwner) when is_pid(ConnPid), is_pid(NewOwner) ->
	done(gun_rs_caller:set_owner(ConnPid, NewOwner), ConnPid, {set_owner, self(), NewOwner}).

%% @doc Ends the connection gracefully: a WebSocket is closed with code 1001, a
%% response under way is finished; each within closing_timeout.
-spec shutdown(ConnPid :: pid()) -> ok.
shutdown(ConnPid) when is_pid(ConnPid) ->
	done(gun_rs_caller:shutdown(ConnPid), ConnPid, shutdown).

%% What is no connection may stand in for one, in a test.
done(ok, _, _) -> ok;
done(no_conn, Pid, Cast) -> gun_rs_stand_in:cast(Pid, Cast).

%% @doc Ends the connection at once. `{error, not_found}' if it lives and is not
%% supervised, or is no connection; `{error, simple_one_for_one}' if it is no pid.
-spec close(ConnPid :: pid() | term()) -> ok | {error, not_found | simple_one_for_one}.
close(ConnPid) ->
	gun_rs_opener:close(ConnPid).

%% @doc Makes a request: answered by gun_response, then by gun_data unless that says fin,
%% or by gun_error. Requests of a connection are answered in order. The request says that
%% it has no body. Bad options, headers, methods and paths raise.
-spec get(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: stream_ref().
get(ConnPid, Path) ->
	get(ConnPid, Path, [], #{}).

-spec get(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
get(ConnPid, Path, Headers) ->
	get(ConnPid, Path, Headers, #{}).

-spec get(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: stream_ref().
get(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"GET">>, Path, Headers, <<>>, ReqOpts).

-spec head(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: stream_ref().
head(ConnPid, Path) ->
	head(ConnPid, Path, [], #{}).

-spec head(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
head(ConnPid, Path, Headers) ->
	head(ConnPid, Path, Headers, #{}).

-spec head(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: stream_ref().
head(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"HEAD">>, Path, Headers, <<>>, ReqOpts).

-spec options(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: stream_ref().
options(ConnPid, Path) ->
	options(ConnPid, Path, [], #{}).

-spec options(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
options(ConnPid, Path, Headers) ->
	options(ConnPid, Path, Headers, #{}).

-spec options(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: stream_ref().
options(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"OPTIONS">>, Path, Headers, <<>>, ReqOpts).

-spec delete(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: stream_ref().
delete(ConnPid, Path) ->
	delete(ConnPid, Path, [], #{}).

-spec delete(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
delete(ConnPid, Path, Headers) ->
	delete(ConnPid, Path, Headers, #{}).

-spec delete(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: stream_ref().
delete(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"DELETE">>, Path, Headers, <<>>, ReqOpts).

%% @doc Makes a request whose body follows by data/4; with a fourth argument that is no
%% map, a request with that body. The body goes in chunks, unless the headers have a
%% content-length.
-spec patch(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
patch(ConnPid, Path, Headers) ->
	patch(ConnPid, Path, Headers, #{}).

-spec patch(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: stream_ref().
patch(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"PATCH">>, Path, Headers, ReqOpts);
patch(ConnPid, Path, Headers, Body) ->
	patch(ConnPid, Path, Headers, Body, #{}).

-spec patch(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: stream_ref().
patch(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"PATCH">>, Path, Headers, Body, ReqOpts).

-spec post(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
post(ConnPid, Path, Headers) ->
	post(ConnPid, Path, Headers, #{}).

-spec post(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: stream_ref().
post(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"POST">>, Path, Headers, ReqOpts);
post(ConnPid, Path, Headers, Body) ->
	post(ConnPid, Path, Headers, Body, #{}).

-spec post(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: stream_ref().
post(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"POST">>, Path, Headers, Body, ReqOpts).

-spec put(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
put(ConnPid, Path, Headers) ->
	put(ConnPid, Path, Headers, #{}).

-spec put(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: stream_ref().
put(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"PUT">>, Path, Headers, ReqOpts);
put(ConnPid, Path, Headers, Body) ->
	put(ConnPid, Path, Headers, Body, #{}).

-spec put(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: stream_ref().
put(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"PUT">>, Path, Headers, Body, ReqOpts).

%% @doc Makes a request with any method but CONNECT, and a body.
-spec request(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), Body :: iodata())
	-> StreamRef :: stream_ref().
request(ConnPid, Method, Path, Headers, Body) ->
	request(ConnPid, Method, Path, Headers, Body, #{}).

-spec request(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: stream_ref().
request(ConnPid, Method, Path, Headers, Body, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request(ReqOpts),
	Invalid = maps:get(invalid_request_headers, ReqOpts, raise),
	Request = case gun_rs_request:may_announce(Headers, Body) andalso gun_rs_caller:dialect(ConnPid) =/= gun_2 of
		true -> gun_rs_request:streamed(Method, Path, Headers, Invalid);
		false -> gun_rs_request:whole(Method, Path, Headers, Body, Invalid)
	end,
	make_request(ConnPid, Request, {request, Method, Path, Headers, Body}, ReqOpts).

%% @doc Makes a request whose body follows by data/4.
-spec headers(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
headers(ConnPid, Method, Path, Headers) ->
	headers(ConnPid, Method, Path, Headers, #{}).

-spec headers(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), req_opts())
	-> StreamRef :: stream_ref().
headers(ConnPid, Method, Path, Headers, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request(ReqOpts),
	Invalid = maps:get(invalid_request_headers, ReqOpts, raise),
	Request = gun_rs_request:streamed(Method, Path, Headers, Invalid),
	make_request(ConnPid, Request, {headers, Method, Path, Headers}, ReqOpts).

make_request(ConnPid, Request, AsGiven, ReqOpts) ->
	Sent = gun_rs_traceparent:request(ReqOpts, Request),
	{StreamRef, ReplyTo} = gun_rs_await:receiver(ReqOpts),
	try gun_rs_redirects:request(ConnPid, StreamRef, ReplyTo, Sent, ReqOpts) of
		ok -> StreamRef;
		no_conn -> _ = gun_rs_stand_in:request(ConnPid, StreamRef, ReplyTo, AsGiven, ReqOpts), StreamRef
	catch Class:Reason:Stacktrace ->
		ok = gun_rs_await:no_receiver(ReqOpts, ReplyTo),
		erlang:raise(Class, Reason, Stacktrace)
	end.

%% @doc Asks the server, which is a proxy, for a tunnel to the destination: answered by gun_response, and if that is a
%% success by gun_tunnel_up, or by gun_error. Streams in it are opened with the option `tunnel', the StreamRef of it. Over
%% HTTP/1.1 the whole connection becomes the tunnel. A destination that can be none raises.
-spec connect(ConnPid :: pid(), gun_rs_connect_options:destination()) -> StreamRef :: stream_ref().
connect(ConnPid, Destination) ->
	connect(ConnPid, Destination, [], #{}).

-spec connect(ConnPid :: pid(), gun_rs_connect_options:destination(), headers()) -> StreamRef :: stream_ref().
connect(ConnPid, Destination, Headers) ->
	connect(ConnPid, Destination, Headers, #{}).

-spec connect(ConnPid :: pid(), gun_rs_connect_options:destination(), headers(), req_opts()) -> StreamRef :: stream_ref().
connect(ConnPid, Destination, Headers, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request_without_alias(ReqOpts),
	ok = gun_rs_connect_options:check(Destination),
	Checked0 = gun_rs_request:headers(Headers, maps:get(invalid_request_headers, ReqOpts, raise)),
	Checked = gun_rs_traceparent:headers(ReqOpts, Checked0),
	StreamRef = gun_rs_caller:new_stream(ReqOpts),
	ReplyTo = maps:get(reply_to, ReqOpts, self()),
	_ = case gun_rs_caller:connect(ConnPid, StreamRef, ReplyTo, Destination, Checked, gun_rs_request:limits(ReqOpts)) of
		ok -> ok;
		no_conn -> gun_rs_stand_in:connect(ConnPid, StreamRef, ReplyTo, Destination, Headers, ReqOpts)
	end,
	StreamRef.

%% @doc Goes on with the body of a request; fin ends it. With `undefined', the data is sent as it is on a
%% connection that speaks raw, and fin closes the connection for what is sent. Data for which the option
%% max_send_queue leaves no room is not sent: the caller receives
%% `{gun_error, ConnPid, StreamRef, send_queue_full}', and may try again.
-spec data(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, fin | nofin, Data :: iodata()) -> ok.
data(ConnPid, StreamRef, IsFin, Data) when is_pid(ConnPid), IsFin =:= fin orelse IsFin =:= nofin ->
	case gun_rs_request:body(Data) of
		<<>> when IsFin =:= nofin -> ok;
		Bin -> done(gun_rs_caller:data(ConnPid, StreamRef, IsFin, Bin), ConnPid, {data, self(), StreamRef, IsFin, Data})
	end.

%% @doc The same, but returns when the operating system has the data, or says why it never will.
%% The default timeout is 5000 ms; after a timeout the data may still be sent.
-spec data_sync(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, fin | nofin, Data :: iodata()) -> ok | {error, term()}.
data_sync(ConnPid, StreamRef, IsFin, Data) ->
	data_sync(ConnPid, StreamRef, IsFin, Data, ?AWAIT_TIMEOUT).

-spec data_sync(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, fin | nofin, Data :: iodata(), timeout())
	-> ok | {error, Reason :: term()}.
data_sync(ConnPid, StreamRef, IsFin, Data, Timeout)
		when is_pid(ConnPid), IsFin =:= fin orelse IsFin =:= nofin ->
	gun_rs_caller:data_sync(ConnPid, StreamRef, IsFin, gun_rs_request:body(Data), Timeout).

%% @doc Asks for an upgrade to WebSocket: answered by gun_upgrade, gun_response or
%% gun_error. The options are those given to open. Over HTTP/1.1 it is the connection that
%% becomes a WebSocket, over HTTP/2 a stream of it.
-spec ws_upgrade(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: stream_ref().
ws_upgrade(ConnPid, Path) ->
	ws_upgrade(ConnPid, Path, []).

-spec ws_upgrade(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: stream_ref().
ws_upgrade(ConnPid, Path, Headers) when is_pid(ConnPid) ->
	AsGiven = {Path, Headers, undefined},
	ws_upgrade(ConnPid, make_ref(), self(), gun_rs_request:path(Path),
		gun_rs_request:upgrade_headers(Headers, raise), undefined, AsGiven).

%% @doc The same with options, which take the place of those given to open. Bad ones
%% raise.
-spec ws_upgrade(ConnPid :: pid(), Path :: iodata(), headers(), ws_opts()) -> StreamRef :: stream_ref().
ws_upgrade(ConnPid, Path, Headers, WsOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:ws_upgrade(WsOpts),
	ReplyTo = maps:get(reply_to, WsOpts, self()),
	Invalid = maps:get(invalid_request_headers, WsOpts, raise),
	%% As they were given they are an event handler's to see.
	Options = {(gun_rs_options:native_ws(WsOpts))#{opts => WsOpts}, gun_rs_options:handler(WsOpts)},
	AsGiven = {Path, Headers, WsOpts},
	Sent = gun_rs_traceparent:headers(WsOpts, gun_rs_request:upgrade_headers(Headers, Invalid)),
	ws_upgrade(ConnPid, gun_rs_caller:new_stream(WsOpts), ReplyTo, gun_rs_request:path(Path), Sent, Options, AsGiven).

ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options, {GivenPath, GivenHeaders, GivenOpts}) ->
	_ = case gun_rs_redirects:upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options, GivenOpts) of
		ok -> ok;
		no_conn -> gun_rs_stand_in:ws_upgrade(ConnPid, StreamRef, GivenPath, GivenHeaders, GivenOpts)
	end,
	StreamRef.

%% @doc Sends a frame, or a list of frames in order, on the connection's only WebSocket; what
%% stands behind a close frame is not sent. A malformed frame raises
%% `{invalid_frame, Frame, Text}'. The caller receives `{gun_error, ConnPid, {badstate, _}}'
%% when there is no WebSocket, and send_queue_full when max_send_queue leaves no room.
-spec ws_send(ConnPid :: pid(), frame() | [frame()]) -> ok.
ws_send(ConnPid, Frames) ->
	done(gun_rs_frames:send(ConnPid, self(), undefined, Frames), ConnPid, {ws_send, self(), Frames}).

%% @doc The same, on a WebSocket of several over HTTP/2. Over HTTP/1.1 the stream is not looked
%% at, as in gun, since such a connection has one WebSocket at most.
-spec ws_send(ConnPid :: pid(), StreamRef :: stream_ref(), frame() | [frame()]) -> ok.
ws_send(ConnPid, StreamRef, Frames) ->
	done(gun_rs_frames:send(ConnPid, self(), StreamRef, Frames), ConnPid, {ws_send, self(), StreamRef, Frames}).

%% @doc The same, but returns when the frames have been handed to the operating system,
%% or says why they will not be. The default timeout is 5000 ms; after a timeout the
%% frames may still be sent.
-spec ws_send_sync(ConnPid :: pid(), StreamRef :: stream_ref(), frame() | [frame()])
	-> ok | {error, Reason :: term()}.
ws_send_sync(ConnPid, StreamRef, Frames) ->
	ws_send_sync(ConnPid, StreamRef, Frames, ?AWAIT_TIMEOUT).

-spec ws_send_sync(ConnPid :: pid(), StreamRef :: stream_ref(), frame() | [frame()], timeout())
	-> ok | {error, Reason :: term()}.
ws_send_sync(ConnPid, StreamRef, Frames, Timeout) when is_pid(ConnPid) ->
	gun_rs_caller:ws_send_sync(ConnPid, StreamRef, Frames, Timeout).

%% @doc Allows that many more messages to be received, where the option flow is a
%% number: frames of a WebSocket, parts of a response's body. Without it, nothing happens.
-spec update_flow(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, Flow :: pos_integer()) -> ok.
update_flow(ConnPid, StreamRef, Flow) when is_pid(ConnPid), is_integer(Flow), Flow > 0 ->
	done(gun_rs_caller:update_flow(ConnPid, StreamRef, Flow), ConnPid, {update_flow, self(), StreamRef, Flow}).

%% @doc Lets no more messages of a request be sent. One that waits for its turn is not sent
%% any more. Over HTTP/2 any other stream is reset. Over HTTP/1.1 the response to a request
%% that was sent is received and thrown away; if its body was not complete, the connection
%% closes. For a stream that there is not, the caller receives a gun_error.
-spec cancel(ConnPid :: pid(), StreamRef :: stream_ref()) -> ok.
cancel(ConnPid, StreamRef) when is_pid(ConnPid) ->
	done(gun_rs_caller:cancel(ConnPid, StreamRef), ConnPid, {cancel, self(), StreamRef}).

%% @doc What there is to know about a stream: `ref', `reply_to', and `state', which is
%% `stopping' once it was cancelled. Undefined if there is no such stream. Exits `noproc'
%% when there is no connection.
-spec stream_info(ConnPid :: pid(), StreamRef :: stream_ref())
	-> {ok, map() | undefined} | {error, not_connected}.
stream_info(ConnPid, StreamRef) when is_pid(ConnPid) ->
	gun_rs_caller:stream_info(ConnPid, StreamRef).

%% @doc Pings the server over HTTP/2: answered by `{gun_notify, ConnPid, ping_ack, PingRef}'.
%% HTTP/1.1 has no ping: the connection goes down with
%% `{error, {ping_unsupported_by_protocol, PingRef}}', as in gun. On a connection that has
%% become a WebSocket, which is pinged by `ws_send', and while the connection is being shut
%% down, the answer is a gun_error.
-spec ping(ConnPid :: pid()) -> PingRef :: reference().
ping(ConnPid) ->
	ping(ConnPid, #{}).

%% @doc The same; of the options of a request, reply_to and tunnel count.
-spec ping(ConnPid :: pid(), req_opts()) -> PingRef :: reference().
ping(ConnPid, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request_without_alias(ReqOpts),
	PingRef = make_ref(),
	ReplyTo = maps:get(reply_to, ReqOpts, self()),
	Tunnel = maps:get(tunnel, ReqOpts, undefined),
	ok = done(gun_rs_caller:ping(ConnPid, ReplyTo, PingRef, Tunnel), ConnPid, {ping, ReplyTo, Tunnel, PingRef}),
	PingRef.

%% @doc Waits for the next message of a stream. The third argument is a timeout in ms
%% or a monitor reference; the default timeout is 5000.
-spec await(ConnPid :: pid(), StreamRef :: stream_ref() | undefined) -> await_result().
await(ConnPid, StreamRef) ->
	await(ConnPid, StreamRef, ?AWAIT_TIMEOUT).

-spec await(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, timeout() | reference())
	-> await_result().
await(ConnPid, StreamRef, MRef) when is_reference(MRef) ->
	await(ConnPid, StreamRef, ?AWAIT_TIMEOUT, MRef);
await(ConnPid, StreamRef, Timeout) ->
	gun_rs_await:with_monitor(ConnPid, fun(MRef) -> await(ConnPid, StreamRef, Timeout, MRef) end).

-spec await(ConnPid :: pid(), StreamRef :: stream_ref() | undefined, timeout(), MRef :: reference())
	-> await_result().
await(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs_await:message(ConnPid, StreamRef, Timeout, MRef).

%% @doc Waits for the whole body of a response, and for its trailers if it has them. The
%% third argument is a timeout in ms, for each part of it, or a monitor reference; the
%% default timeout is 5000.
-spec await_body(ConnPid :: pid(), StreamRef :: stream_ref()) -> await_body_result().
await_body(ConnPid, StreamRef) ->
	await_body(ConnPid, StreamRef, ?AWAIT_TIMEOUT).

-spec await_body(ConnPid :: pid(), StreamRef :: stream_ref(), timeout() | reference())
	-> await_body_result().
await_body(ConnPid, StreamRef, MRef) when is_reference(MRef) ->
	await_body(ConnPid, StreamRef, ?AWAIT_TIMEOUT, MRef);
await_body(ConnPid, StreamRef, Timeout) ->
	gun_rs_await:with_monitor(ConnPid, fun(MRef) -> await_body(ConnPid, StreamRef, Timeout, MRef) end).

-spec await_body(ConnPid :: pid(), StreamRef :: stream_ref(), timeout(), MRef :: reference())
	-> await_body_result().
await_body(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs_await:body(ConnPid, StreamRef, Timeout, MRef).

%% @doc Removes every message of a connection, its 'DOWN' included, or of a stream,
%% from the caller's mailbox.
-spec flush(ConnPid :: pid()) -> ok; (StreamRef :: stream_ref()) -> ok.
flush(ConnPidOrStreamRef) ->
	gun_rs_await:flush(ConnPidOrStreamRef).

%% @doc An English sentence for a reason that gun_rs gave.
-spec format_error(Reason :: term()) -> iolist().
format_error(Reason) ->
	gun_rs_error:format(Reason).

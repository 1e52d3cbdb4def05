%% @doc The API of gun, by connections that live in native code.
%%
%% An application that uses gun replaces the module's name; functions, options and
%% messages keep theirs. The process that opens a connection is its owner and receives
%% gun_up and gun_down; what belongs to a stream goes to the process that made it, or
%% to its `reply_to'.
-module(gun_rs).

-export([open/1]).
-export([open/2]).
-export([open/3]).
-export([open_unix/2]).
-export([await_up/1]).
-export([await_up/2]).
-export([await_up/3]).
-export([info/1]).
-export([set_owner/2]).
-export([shutdown/1]).
-export([close/1]).
-export([get/2]).
-export([get/3]).
-export([get/4]).
-export([head/2]).
-export([head/3]).
-export([head/4]).
-export([options/2]).
-export([options/3]).
-export([options/4]).
-export([delete/2]).
-export([delete/3]).
-export([delete/4]).
-export([patch/3]).
-export([patch/4]).
-export([patch/5]).
-export([post/3]).
-export([post/4]).
-export([post/5]).
-export([put/3]).
-export([put/4]).
-export([put/5]).
-export([request/5]).
-export([request/6]).
-export([headers/4]).
-export([headers/5]).
-export([data/4]).
-export([ws_upgrade/2]).
-export([ws_upgrade/3]).
-export([ws_upgrade/4]).
-export([ws_send/2]).
-export([ws_send/3]).
-export([ws_send_sync/3]).
-export([ws_send_sync/4]).
-export([update_flow/3]).
-export([cancel/2]).
-export([stream_info/2]).
-export([ping/1]).
-export([ping/2]).
-export([await/2]).
-export([await/3]).
-export([await/4]).
-export([await_body/2]).
-export([await_body/3]).
-export([await_body/4]).
-export([flush/1]).
-export([format_error/1]).

-type opts() :: gun_rs_options:opts().
-type ws_opts() :: gun_rs_options:ws_opts().
-type frame() :: gun_rs_frames:frame().
-type headers() :: gun_rs_request:headers().
-type req_opts() :: gun_rs_options:req_opts().
-export_type([opts/0, ws_opts/0, frame/0, headers/0, req_opts/0]).

%% In the older dialects the reason stands alone.
-type failure() :: timeout | {stream_error | connection_error | down, Reason :: term()} | term().
-export_type([failure/0]).

-type resp_headers() :: [{binary(), binary()}].
-type await_result() ::
	{inform, 100..199, resp_headers()} |
	{response, fin | nofin, non_neg_integer(), resp_headers()} |
	{data, fin | nofin, binary()} |
	{sse, term()} |
	{trailers, resp_headers()} |
	{push, reference(), binary(), binary(), resp_headers()} |
	{upgrade, [binary()], resp_headers()} |
	{ws, frame()} |
	{up, http | http2 | raw | socks} |
	{notify, Type :: atom(), Info :: term()} |
	{error, failure()}.
-export_type([await_result/0]).

-type await_body_result() ::
	{ok, Body :: binary()} |
	{ok, Body :: binary(), Trailers :: resp_headers()} |
	{error, failure()}.
-export_type([await_body_result/0]).

-define(AWAIT_TIMEOUT, 5000).

%% @doc Opens a connection to the host and port of a URL, with TLS where its scheme is wss
%% or https, without it where that is ws or http. The path is for the request or the upgrade.
-spec open(Url :: string() | binary()) -> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
open(Url) ->
	open_url(Url, #{}).

%% @doc Opens a connection to a URL with options, or to Host, which is a string, an atom, a
%% binary or an IP tuple. Returns before the connection is up; the caller is its owner.
%% Errors are `{options, _}', `{not_started, gun_rs}' and `{nif_not_loaded, _}'.
-spec open(Host :: gun_rs_options:host(), inet:port_number()) -> {ok, ConnPid :: pid()} | {error, Reason :: term()};
	(Url :: string() | binary(), opts()) -> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
open(Url, Opts) when is_map(Opts) ->
	open_url(Url, Opts);
open(Host, Port) ->
	open(Host, Port, #{}).

%% @doc Opens a connection to a host and a port with options, of which doc/manual/opts.md has
%% each. Returns before the connection is up, which gun_up reports; the caller is its owner.
%% A bad option is `{error, {options, Bad}}', and nothing is connected.
-spec open(Host :: gun_rs_options:host(), inet:port_number(), opts())
	-> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
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
-spec open_unix(Path :: string() | binary(), opts())
	-> {ok, ConnPid :: pid()} | {error, Reason :: term()}.
open_unix(Path, Opts) ->
	case gun_rs_options:open_unix(Path, Opts) of
		{ok, Config} -> gun_rs_opener:open(Config);
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
-spec get(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: reference().
get(ConnPid, Path) ->
	get(ConnPid, Path, [], #{}).

-spec get(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
get(ConnPid, Path, Headers) ->
	get(ConnPid, Path, Headers, #{}).

-spec get(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: reference().
get(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"GET">>, Path, Headers, <<>>, ReqOpts).

-spec head(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: reference().
head(ConnPid, Path) ->
	head(ConnPid, Path, [], #{}).

-spec head(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
head(ConnPid, Path, Headers) ->
	head(ConnPid, Path, Headers, #{}).

-spec head(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: reference().
head(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"HEAD">>, Path, Headers, <<>>, ReqOpts).

-spec options(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: reference().
options(ConnPid, Path) ->
	options(ConnPid, Path, [], #{}).

-spec options(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
options(ConnPid, Path, Headers) ->
	options(ConnPid, Path, Headers, #{}).

-spec options(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: reference().
options(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"OPTIONS">>, Path, Headers, <<>>, ReqOpts).

-spec delete(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: reference().
delete(ConnPid, Path) ->
	delete(ConnPid, Path, [], #{}).

-spec delete(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
delete(ConnPid, Path, Headers) ->
	delete(ConnPid, Path, Headers, #{}).

-spec delete(ConnPid :: pid(), Path :: iodata(), headers(), req_opts()) -> StreamRef :: reference().
delete(ConnPid, Path, Headers, ReqOpts) ->
	request(ConnPid, <<"DELETE">>, Path, Headers, <<>>, ReqOpts).

%% @doc Makes a request whose body follows by data/4; with a fourth argument that is no
%% map, a request with that body. The body goes in chunks, unless the headers have a
%% content-length.
-spec patch(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
patch(ConnPid, Path, Headers) ->
	patch(ConnPid, Path, Headers, #{}).

-spec patch(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: reference().
patch(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"PATCH">>, Path, Headers, ReqOpts);
patch(ConnPid, Path, Headers, Body) ->
	patch(ConnPid, Path, Headers, Body, #{}).

-spec patch(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: reference().
patch(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"PATCH">>, Path, Headers, Body, ReqOpts).

-spec post(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
post(ConnPid, Path, Headers) ->
	post(ConnPid, Path, Headers, #{}).

-spec post(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: reference().
post(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"POST">>, Path, Headers, ReqOpts);
post(ConnPid, Path, Headers, Body) ->
	post(ConnPid, Path, Headers, Body, #{}).

-spec post(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: reference().
post(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"POST">>, Path, Headers, Body, ReqOpts).

-spec put(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
put(ConnPid, Path, Headers) ->
	put(ConnPid, Path, Headers, #{}).

-spec put(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata() | req_opts())
	-> StreamRef :: reference().
put(ConnPid, Path, Headers, ReqOpts) when is_map(ReqOpts) ->
	headers(ConnPid, <<"PUT">>, Path, Headers, ReqOpts);
put(ConnPid, Path, Headers, Body) ->
	put(ConnPid, Path, Headers, Body, #{}).

-spec put(ConnPid :: pid(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: reference().
put(ConnPid, Path, Headers, Body, ReqOpts) ->
	request(ConnPid, <<"PUT">>, Path, Headers, Body, ReqOpts).

%% @doc Makes a request with any method but CONNECT, and a body.
-spec request(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), Body :: iodata())
	-> StreamRef :: reference().
request(ConnPid, Method, Path, Headers, Body) ->
	request(ConnPid, Method, Path, Headers, Body, #{}).

-spec request(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), Body :: iodata(), req_opts())
	-> StreamRef :: reference().
request(ConnPid, Method, Path, Headers, Body, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request(ReqOpts),
	Invalid = maps:get(invalid_request_headers, ReqOpts, raise),
	Request = gun_rs_request:whole(Method, Path, Headers, Body, Invalid),
	make_request(ConnPid, Request, {request, Method, Path, Headers, Body}, ReqOpts).

%% @doc Makes a request whose body follows by data/4.
-spec headers(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers()) -> StreamRef :: reference().
headers(ConnPid, Method, Path, Headers) ->
	headers(ConnPid, Method, Path, Headers, #{}).

-spec headers(ConnPid :: pid(), Method :: iodata(), Path :: iodata(), headers(), req_opts())
	-> StreamRef :: reference().
headers(ConnPid, Method, Path, Headers, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request(ReqOpts),
	Invalid = maps:get(invalid_request_headers, ReqOpts, raise),
	Request = gun_rs_request:streamed(Method, Path, Headers, Invalid),
	make_request(ConnPid, Request, {headers, Method, Path, Headers}, ReqOpts).

make_request(ConnPid, Request, AsGiven, ReqOpts) ->
	StreamRef = make_ref(),
	ReplyTo = maps:get(reply_to, ReqOpts, self()),
	Limits = {maps:get(flow, ReqOpts, undefined), maps:get(response_timeout, ReqOpts, infinity),
		maps:get(body_timeout, ReqOpts, infinity)},
	_ = case gun_rs_caller:request(ConnPid, StreamRef, ReplyTo, Request, Limits) of
		ok -> ok;
		no_conn -> gun_rs_stand_in:request(ConnPid, StreamRef, ReplyTo, AsGiven, ReqOpts)
	end,
	StreamRef.

%% @doc Goes on with the body of a request; fin ends it. Data for which the option
%% max_send_queue leaves no room is not sent: the caller receives
%% `{gun_error, ConnPid, StreamRef, send_queue_full}', and may try again.
-spec data(ConnPid :: pid(), StreamRef :: reference(), fin | nofin, Data :: iodata()) -> ok.
data(ConnPid, StreamRef, IsFin, Data) when is_pid(ConnPid), IsFin =:= fin orelse IsFin =:= nofin ->
	case gun_rs_request:body(Data) of
		<<>> when IsFin =:= nofin -> ok;
		Bin -> done(gun_rs_caller:data(ConnPid, StreamRef, IsFin, Bin), ConnPid, {data, self(), StreamRef, IsFin, Data})
	end.

%% @doc Asks for an upgrade to WebSocket: answered by gun_upgrade, gun_response or
%% gun_error. The options are those given to open.
-spec ws_upgrade(ConnPid :: pid(), Path :: iodata()) -> StreamRef :: reference().
ws_upgrade(ConnPid, Path) ->
	ws_upgrade(ConnPid, Path, []).

-spec ws_upgrade(ConnPid :: pid(), Path :: iodata(), headers()) -> StreamRef :: reference().
ws_upgrade(ConnPid, Path, Headers) when is_pid(ConnPid) ->
	AsGiven = {Path, Headers, undefined},
	ws_upgrade(ConnPid, self(), gun_rs_request:path(Path), gun_rs_request:upgrade_headers(Headers, raise), undefined, AsGiven).

%% @doc The same with options, which take the place of those given to open. Bad ones
%% raise.
-spec ws_upgrade(ConnPid :: pid(), Path :: iodata(), headers(), ws_opts()) -> StreamRef :: reference().
ws_upgrade(ConnPid, Path, Headers, WsOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:ws_upgrade(WsOpts),
	ReplyTo = maps:get(reply_to, WsOpts, self()),
	Invalid = maps:get(invalid_request_headers, WsOpts, raise),
	Options = {gun_rs_options:native_ws(WsOpts), gun_rs_options:handler(WsOpts)},
	AsGiven = {Path, Headers, WsOpts},
	ws_upgrade(ConnPid, ReplyTo, gun_rs_request:path(Path), gun_rs_request:upgrade_headers(Headers, Invalid), Options, AsGiven).

ws_upgrade(ConnPid, ReplyTo, Path, Headers, Options, {GivenPath, GivenHeaders, GivenOpts}) ->
	StreamRef = make_ref(),
	_ = case gun_rs_caller:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) of
		ok -> ok;
		no_conn -> gun_rs_stand_in:ws_upgrade(ConnPid, StreamRef, GivenPath, GivenHeaders, GivenOpts)
	end,
	StreamRef.

%% @doc Sends a frame, or a list of frames in order, on the connection's WebSocket; what
%% stands behind a close frame is not sent. A malformed frame raises
%% `{invalid_frame, Frame, Text}'. The caller receives `{gun_error, ConnPid, {badstate, _}}'
%% when there is no WebSocket, and send_queue_full when max_send_queue leaves no room.
-spec ws_send(ConnPid :: pid(), frame() | [frame()]) -> ok.
ws_send(ConnPid, Frames) ->
	done(gun_rs_frames:send(ConnPid, self(), undefined, Frames), ConnPid, {ws_send, self(), Frames}).

%% @doc The same; as in gun, the stream is not looked at, since an HTTP/1.1 connection
%% has one WebSocket at most.
-spec ws_send(ConnPid :: pid(), StreamRef :: reference(), frame() | [frame()]) -> ok.
ws_send(ConnPid, StreamRef, Frames) ->
	done(gun_rs_frames:send(ConnPid, self(), StreamRef, Frames), ConnPid, {ws_send, self(), StreamRef, Frames}).

%% @doc The same, but returns when the frames have been handed to the operating system,
%% or says why they will not be. The default timeout is 5000 ms; after a timeout the
%% frames may still be sent.
-spec ws_send_sync(ConnPid :: pid(), StreamRef :: reference(), frame() | [frame()])
	-> ok | {error, Reason :: term()}.
ws_send_sync(ConnPid, StreamRef, Frames) ->
	ws_send_sync(ConnPid, StreamRef, Frames, ?AWAIT_TIMEOUT).

-spec ws_send_sync(ConnPid :: pid(), StreamRef :: reference(), frame() | [frame()], timeout())
	-> ok | {error, Reason :: term()}.
ws_send_sync(ConnPid, _StreamRef, Frames, Timeout) when is_pid(ConnPid) ->
	gun_rs_caller:ws_send_sync(ConnPid, Frames, Timeout).

%% @doc Allows that many more messages to be received, where the option flow is a
%% number: frames of a WebSocket, parts of a response's body. Without it, nothing happens.
-spec update_flow(ConnPid :: pid(), StreamRef :: reference(), Flow :: pos_integer()) -> ok.
update_flow(ConnPid, StreamRef, Flow) when is_pid(ConnPid), is_integer(Flow), Flow > 0 ->
	done(gun_rs_caller:update_flow(ConnPid, StreamRef, Flow), ConnPid, {update_flow, self(), StreamRef, Flow}).

%% @doc Lets no more messages of a request be sent. One that waits for its turn is not sent
%% any more; the response to one that was sent is received and thrown away; if its body
%% was not complete, the connection closes. For a stream that there is not, the caller
%% receives a gun_error.
-spec cancel(ConnPid :: pid(), StreamRef :: reference()) -> ok.
cancel(ConnPid, StreamRef) when is_pid(ConnPid) ->
	done(gun_rs_caller:cancel(ConnPid, StreamRef), ConnPid, {cancel, self(), StreamRef}).

%% @doc What there is to know about a stream: `ref', `reply_to', and `state', which is
%% `stopping' once it was cancelled. Undefined if there is no such stream. Exits `noproc'
%% when there is no connection.
-spec stream_info(ConnPid :: pid(), StreamRef :: reference())
	-> {ok, map() | undefined} | {error, not_connected}.
stream_info(ConnPid, StreamRef) when is_pid(ConnPid) ->
	gun_rs_caller:stream_info(ConnPid, StreamRef).

%% @doc Pings the server with a ping of HTTP, which HTTP/1.1 does not have: the connection
%% goes down with `{error, {ping_unsupported_by_protocol, PingRef}}', as in gun. On a
%% WebSocket, which is pinged by `ws_send', and while the connection is being shut down,
%% the answer is a gun_error.
-spec ping(ConnPid :: pid()) -> PingRef :: reference().
ping(ConnPid) ->
	ping(ConnPid, #{}).

%% @doc The same; of the options of a request, reply_to counts.
-spec ping(ConnPid :: pid(), req_opts()) -> PingRef :: reference().
ping(ConnPid, ReqOpts) when is_pid(ConnPid) ->
	ok = gun_rs_options:request(ReqOpts),
	PingRef = make_ref(),
	ReplyTo = maps:get(reply_to, ReqOpts, self()),
	ok = done(gun_rs_caller:ping(ConnPid, ReplyTo, PingRef), ConnPid, {ping, ReplyTo, undefined, PingRef}),
	PingRef.

%% @doc Waits for the next message of a stream. The third argument is a timeout in ms
%% or a monitor reference; the default timeout is 5000.
-spec await(ConnPid :: pid(), StreamRef :: reference() | undefined) -> await_result().
await(ConnPid, StreamRef) ->
	await(ConnPid, StreamRef, ?AWAIT_TIMEOUT).

-spec await(ConnPid :: pid(), StreamRef :: reference() | undefined, timeout() | reference())
	-> await_result().
await(ConnPid, StreamRef, MRef) when is_reference(MRef) ->
	await(ConnPid, StreamRef, ?AWAIT_TIMEOUT, MRef);
await(ConnPid, StreamRef, Timeout) ->
	gun_rs_await:with_monitor(ConnPid, fun(MRef) -> await(ConnPid, StreamRef, Timeout, MRef) end).

-spec await(ConnPid :: pid(), StreamRef :: reference() | undefined, timeout(), MRef :: reference())
	-> await_result().
await(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs_await:message(ConnPid, StreamRef, Timeout, MRef).

%% @doc Waits for the whole body of a response, and for its trailers if it has them. The
%% third argument is a timeout in ms, for each part of it, or a monitor reference; the
%% default timeout is 5000.
-spec await_body(ConnPid :: pid(), StreamRef :: reference()) -> await_body_result().
await_body(ConnPid, StreamRef) ->
	await_body(ConnPid, StreamRef, ?AWAIT_TIMEOUT).

-spec await_body(ConnPid :: pid(), StreamRef :: reference(), timeout() | reference())
	-> await_body_result().
await_body(ConnPid, StreamRef, MRef) when is_reference(MRef) ->
	await_body(ConnPid, StreamRef, ?AWAIT_TIMEOUT, MRef);
await_body(ConnPid, StreamRef, Timeout) ->
	gun_rs_await:with_monitor(ConnPid, fun(MRef) -> await_body(ConnPid, StreamRef, Timeout, MRef) end).

-spec await_body(ConnPid :: pid(), StreamRef :: reference(), timeout(), MRef :: reference())
	-> await_body_result().
await_body(ConnPid, StreamRef, Timeout, MRef) ->
	gun_rs_await:body(ConnPid, StreamRef, Timeout, MRef).

%% @doc Removes every message of a connection, its 'DOWN' included, or of a stream,
%% from the caller's mailbox.
-spec flush(ConnPid :: pid()) -> ok; (StreamRef :: reference()) -> ok.
flush(ConnPidOrStreamRef) ->
	gun_rs_await:flush(ConnPidOrStreamRef).

%% @doc An English sentence for a reason that gun_rs gave.
-spec format_error(Reason :: term()) -> iolist().
format_error(Reason) ->
	gun_rs_error:format(Reason).

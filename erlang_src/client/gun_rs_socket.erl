%% @doc A WebSocket for programs that wait: scripts, tests, simple clients.
%%
%% Every function returns when it is done. What fails is `{error, Reason}', with a sentence
%% for Reason in `gun_rs:format_error/1'. A socket belongs to the process that connected it:
%% the frames wait in that one's mailbox, from which only what concerns the socket is taken,
%% and nothing is left there once the socket is closed or has failed. The manual is
%% doc/socket.md.
-module(gun_rs_socket).

-export([connect/1]).
-export([connect/2]).
-export([connect/3]).
-export([connect/4]).
-export([with_socket/2]).
-export([with_socket/3]).
-export([with_socket/4]).
-export([with_socket/5]).
-export([send_text/2]).
-export([send_binary/2]).
-export([send/2]).
-export([send/3]).
-export([receive_frame/1]).
-export([receive_frame/2]).
-export([receive_frame/3]).
-export([receive_app_frame/1]).
-export([receive_app_frame/2]).
-export([close/1]).
-export([connection/1]).
-export([upgrade_with_protocol/4]).
-export([await_upgrade/3]).

-record(socket, {
	conn_pid :: pid(),
	stream_ref :: reference(),
	%% Whose mailbox the frames come to.
	owner :: pid(),
	%% In ms, of each operation that isn't given another one.
	timeout :: timeout(),
	%% Whether the connection lives on without the WebSocket, because retry says so.
	reconnects :: boolean(),
	%% Whether each frame that is taken must be made good.
	flow :: boolean(),
	%% 1 once the WebSocket has ended. The record is the user's, who may keep an old one.
	ended :: atomics:atomics_ref()
}).

-opaque socket() :: #socket{}.
-export_type([socket/0]).

%% Those of gun_rs:open/3, and two of the socket's own: timeout is in ms, headers go with
%% the upgrade.
-type opts() :: map().
-export_type([opts/0]).

-type url() :: string() | binary().

-type error() :: {error, Reason :: term()} | {error, options, {socks, host | port}}.

-type frame() :: close | ping | pong
	| {text | binary | ping | pong, binary()}
	| {close, Code :: 1000..4999, Reason :: binary()}.

-type app_frame() :: {text | binary, binary()}.
-export_type([frame/0, app_frame/0]).

-define(TIMEOUT, 5000).

%% In ms: how long a connection may take to end when its WebSocket has, if the server doesn't
%% do its part. A close frame for a fault may itself wait for two seconds, while the mailbox
%% has other messages.
-define(LINGER, 3000).

%% In bytes: how much of the body of a response that refuses the upgrade is kept.
-define(MAX_BODY, 65536).

%% @doc Connects to the host, port and path of a URL: `ws://', or `wss://' for TLS.
-spec connect(url()) -> {ok, socket()} | error().
connect(Url) ->
	connect(Url, #{}).

-spec connect(url(), opts()) -> {ok, socket()} | error().
connect(Url, Opts) when is_map(Opts) ->
	case gun_rs_options:url(Url, Opts) of
		{ok, Host, Port, Target, OptsWithTransport} -> connect(Host, Port, Target, OptsWithTransport);
		Error -> Error
	end;
connect(_, Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}}.

%% @doc Connects and upgrades, within the timeout. The caller is the socket's owner.
-spec connect(gun_rs_options:host(), inet:port_number(), Path :: iodata())
	-> {ok, socket()} | error().
connect(Host, Port, Path) ->
	connect(Host, Port, Path, #{}).

-spec connect(gun_rs_options:host(), inet:port_number(), Path :: iodata(), opts())
	-> {ok, socket()} | error().
connect(Host, Port, Path, Opts) ->
	case gun_rs_socket_options:split(Path, Opts) of
		{ok, Headers, Timeout, OpenOpts} ->
			Deadline = deadline(Timeout),
			case gun_rs:open(Host, Port, OpenOpts) of
				{ok, ConnPid} ->
					case connect_stream(ConnPid, Path, Headers, Deadline) of
						{ok, StreamRef} -> {ok, new(ConnPid, StreamRef, Timeout, OpenOpts)};
						Error -> end_connection(ConnPid), Error
					end;
				Error ->
					Error
			end;
		Error ->
			Error
	end.

new(ConnPid, StreamRef, Timeout, OpenOpts=#{retry := Retry}) ->
	Flow = maps:get(flow, maps:get(ws_opts, OpenOpts, #{}), infinity),
	#socket{conn_pid=ConnPid, stream_ref=StreamRef, owner=self(), timeout=Timeout,
		reconnects=Retry > 0, flow=is_integer(Flow), ended=atomics:new(1, [])}.

connect_stream(ConnPid, Path, Headers, Deadline) ->
	case await_up(ConnPid, Deadline) of
		{ok, Protocol} ->
			case upgrade_with_protocol(ConnPid, Protocol, Path, Headers) of
				{ok, StreamRef} ->
					case await_upgrade(ConnPid, StreamRef, left(Deadline)) of
						ok -> {ok, StreamRef};
						Error -> Error
					end;
				Error ->
					Error
			end;
		Error ->
			Error
	end.

%% A connection may have failed before anybody could monitor it, and its exit reason is then
%% lost: notify_retries reports every failed attempt.
await_up(ConnPid, Deadline) ->
	Result = gun_rs:await_up(ConnPid, left(Deadline)),
	case {Result, last_failure(ConnPid, undefined)} of
		{{ok, socks}, _} -> await_tunnel(ConnPid, Deadline);
		{{ok, Protocol}, _} -> {ok, Protocol};
		{{error, timeout}, undefined} -> {error, timeout};
		{{error, {down, Reason}}, undefined} -> {error, down_reason(Reason)};
		{{error, _}, Reason} -> {error, Reason}
	end.

%% One proxy may lead to the next.
await_tunnel(ConnPid, Deadline) ->
	MRef = monitor(process, ConnPid),
	Result = receive
		{gun_tunnel_up, ConnPid, undefined, Protocol} -> {ok, Protocol};
		{'DOWN', MRef, process, ConnPid, Reason} -> {error, down_reason(Reason)}
	after left(Deadline) ->
		{error, timeout}
	end,
	true = demonitor(MRef, [flush]),
	case Result of
		{ok, socks} -> await_tunnel(ConnPid, Deadline);
		_ -> Result
	end.

last_failure(ConnPid, Last) ->
	receive
		{gun_notify, ConnPid, retry, #{reason := Reason}} -> last_failure(ConnPid, Reason)
	after 0 ->
		Last
	end.

%% @doc Connects, calls the fun with the socket, then closes the socket and its connection,
%% whatever the fun did. Returns what the fun returned, or raises what it raised. If the
%% fun returned no error and closing gave one, returns
%% `{error, {close_failed, Reason, Result}}'.
-spec with_socket(url(), fun((socket()) -> Result)) -> Result | error().
with_socket(Url, Fun) when is_function(Fun, 1) ->
	run(connect(Url), Fun).

-spec with_socket(url(), opts(), fun((socket()) -> Result)) -> Result | error().
with_socket(Url, Opts, Fun) when is_function(Fun, 1) ->
	run(connect(Url, Opts), Fun).

-spec with_socket(gun_rs_options:host(), inet:port_number(), Path :: iodata(),
	fun((socket()) -> Result)) -> Result | error().
with_socket(Host, Port, Path, Fun) when is_function(Fun, 1) ->
	run(connect(Host, Port, Path), Fun).

-spec with_socket(gun_rs_options:host(), inet:port_number(), Path :: iodata(), opts(),
	fun((socket()) -> Result)) -> Result | error().
with_socket(Host, Port, Path, Opts, Fun) when is_function(Fun, 1) ->
	run(connect(Host, Port, Path, Opts), Fun).

run({ok, Socket}, Fun) ->
	try Fun(Socket) of
		Result -> result(Result, clean_up(Socket))
	catch Class:Reason:Stacktrace ->
		_ = clean_up(Socket),
		erlang:raise(Class, Reason, Stacktrace)
	end;
run(Error, _) ->
	Error.

result(error, _) -> error;
result(Error={error, _}, _) -> Error;
result(Result, ok) -> Result;
result(Result, {error, Reason}) -> {error, {close_failed, Reason, Result}}.

clean_up(Socket=#socket{conn_pid=ConnPid}) ->
	Result = close(Socket),
	end_connection(ConnPid),
	Result.

%% @doc Sends a text frame; the text must be UTF-8.
-spec send_text(socket(), Text :: iodata()) -> ok | error().
send_text(Socket, Text) ->
	send(Socket, {text, Text}).

-spec send_binary(socket(), Data :: iodata()) -> ok | error().
send_binary(Socket, Data) ->
	send(Socket, {binary, Data}).

%% @doc Sends a frame, or a list of frames in order; returns when the operating system has
%% them. Any process may send. After `{error, timeout}' the frames may still be sent.
-spec send(socket(), gun_rs_frames:frame() | [gun_rs_frames:frame()]) -> ok | error().
send(Socket=#socket{conn_pid=ConnPid, stream_ref=StreamRef, timeout=Timeout}, Frames) ->
	case has_ended(Socket) of
		true ->
			{error, closed};
		false ->
			case send(ConnPid, StreamRef, Frames, Timeout) of
				%% Whoever receives is given the reason of its end.
				{error, {badstate, _}} -> {error, closed};
				{error, {down, _}} -> {error, closed};
				Result -> Result
			end
	end.

%% @doc The same, on a connection of one's own; the timeout is 5000 ms.
-spec send(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(),
	gun_rs_frames:frame() | [gun_rs_frames:frame()]) -> ok | error().
send(ConnPid, StreamRef, Frames) ->
	send(ConnPid, StreamRef, Frames, ?TIMEOUT).

send(ConnPid, StreamRef, Frames, Timeout) ->
	try
		gun_rs:ws_send_sync(ConnPid, StreamRef, Frames, Timeout)
	catch error:Reason={invalid_frame, _, _} ->
		{error, Reason}
	end.

%% @doc The next frame, the server's close frame included. After that one, and after any
%% error but timeout and not_owner, the socket is closed: `{error, closed}'.
-spec receive_frame(socket()) -> {ok, frame()} | error().
receive_frame(Socket=#socket{timeout=Timeout}) ->
	receive_frame(Socket, Timeout).

-spec receive_frame(socket(), timeout()) -> {ok, frame()} | error().
receive_frame(Socket=#socket{owner=Owner}, Timeout) when Owner =:= self() ->
	case has_ended(Socket) of
		true -> {error, closed};
		false -> receive_open(Socket, Timeout)
	end;
receive_frame(#socket{}, _) ->
	{error, not_owner}.

receive_open(Socket=#socket{conn_pid=ConnPid, stream_ref=StreamRef, flow=Flow}, Timeout) ->
	case next(ConnPid, StreamRef, Timeout) of
		{ok, Frame} ->
			case is_close(Frame) of
				true -> await_end(Socket);
				false when Flow -> gun_rs:update_flow(ConnPid, StreamRef, 1);
				false -> ok
			end,
			{ok, Frame};
		{error, timeout} ->
			{error, timeout};
		{error, Reason} ->
			await_end(Socket),
			{error, Reason};
		{down, noproc} ->
			ended(Socket),
			{error, closed};
		{down, Reason} ->
			ended(Socket),
			{error, Reason}
	end.

is_close(close) -> true;
is_close({close, _, _}) -> true;
is_close(_) -> false.

%% @doc The next frame of an upgraded stream, on a connection of one's own. Takes the
%% gun_down of this stream too.
-spec receive_frame(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(), timeout())
	-> {ok, frame()} | error().
receive_frame(ConnPid, StreamRef, Timeout) when is_pid(ConnPid) ->
	case next(ConnPid, StreamRef, Timeout) of
		{down, Reason} -> {error, Reason};
		Result -> Result
	end.

%% With down, the connection itself has reported its end, and nothing follows.
next(ConnPid, StreamRef, Timeout) ->
	MRef = monitor(process, ConnPid),
	Result = receive
		{gun_ws, ConnPid, StreamRef, Frame} ->
			{ok, Frame};
		{gun_error, ConnPid, StreamRef, Reason} ->
			{error, Reason};
		{gun_error, ConnPid, Reason} ->
			{error, Reason};
		{gun_down, ConnPid, ws, Reason, [StreamRef]} ->
			{down, down_reason(Reason)};
		{'DOWN', MRef, process, ConnPid, Reason} ->
			{down, down_reason(Reason)}
	after Timeout ->
		{error, timeout}
	end,
	true = demonitor(MRef, [flush]),
	Result.

%% @doc The next text or binary frame. The timeout is for all of the control frames before
%% it together. The server's close frame is an error: `{error, {close, Code, Reason}}'; a
%% close frame without a code has 1005 (RFC 6455, 7.1.5).
-spec receive_app_frame(socket()) -> {ok, app_frame()} | error().
receive_app_frame(Socket=#socket{timeout=Timeout}) ->
	receive_app_frame(Socket, Timeout).

-spec receive_app_frame(socket(), timeout()) -> {ok, app_frame()} | error().
receive_app_frame(Socket, Timeout) ->
	next_app_frame(Socket, deadline(Timeout)).

next_app_frame(Socket, Deadline) ->
	case receive_frame(Socket, left(Deadline)) of
		{ok, close} -> {error, {close, 1005, <<>>}};
		{ok, Close={close, _, _}} -> {error, Close};
		{ok, ping} -> next_app_frame(Socket, Deadline);
		{ok, pong} -> next_app_frame(Socket, Deadline);
		{ok, {ping, _}} -> next_app_frame(Socket, Deadline);
		{ok, {pong, _}} -> next_app_frame(Socket, Deadline);
		Result -> Result
	end.

%% @doc Closes the WebSocket: sends a close frame with the code 1000, unless one was sent,
%% and waits for the server's. Frames before that one are thrown away. Does not close the
%% connection: with `retry => 0' it ends when the WebSocket does. A socket that is closed
%% or has failed is ok.
-spec close(socket()) -> ok | error().
close(Socket=#socket{owner=Owner}) when Owner =:= self() ->
	case has_ended(Socket) of
		true -> ok;
		false -> close_open(Socket)
	end;
close(#socket{}) ->
	{error, not_owner}.

close_open(Socket=#socket{conn_pid=ConnPid, stream_ref=StreamRef, timeout=Timeout}) ->
	Deadline = deadline(Timeout),
	Result = case send(ConnPid, StreamRef, {close, 1000, <<>>}, left(Deadline)) of
		ok -> await_close(Socket, Deadline);
		%% Either side has closed before; how it ended is in the mailbox.
		{error, {badstate, _}} -> await_close(Socket, Deadline);
		{error, {down, _}} -> await_close(Socket, Deadline);
		Error -> Error
	end,
	%% A server that has let the time pass is given no more of it.
	case has_ended(Socket) of
		true -> ok;
		false -> ended(Socket)
	end,
	Result.

await_close(Socket, Deadline) ->
	case receive_open(Socket, left(Deadline)) of
		{ok, Frame} ->
			case is_close(Frame) of
				true -> ok;
				false -> await_close(Socket, Deadline)
			end;
		Error ->
			Error
	end.

%% @doc The connection: for `gun_rs:info/1', `gun_rs:close/1'.
-spec connection(socket()) -> ConnPid :: pid().
connection(#socket{conn_pid=ConnPid}) ->
	ConnPid.

%% @doc Asks for the upgrade on a connection of one's own, if its protocol, which
%% `gun_rs:await_up/2' returned, is HTTP/1.1.
-spec upgrade_with_protocol(ConnPid :: pid(), Protocol :: atom(), Path :: iodata(),
	gun_rs:headers()) -> {ok, StreamRef :: gun_rs_native:stream_ref()} | error().
upgrade_with_protocol(ConnPid, http, Path, Headers) ->
	try
		{ok, gun_rs:ws_upgrade(ConnPid, Path, Headers)}
	catch error:Reason={Invalid, _, _}
			when Invalid =:= invalid_request_target; Invalid =:= invalid_request_header ->
		{error, Reason}
	end;
upgrade_with_protocol(_, Protocol, _, _) ->
	{error, {unsupported_protocol, Protocol}}.

%% @doc Waits for the answer to the upgrade. A refused one is
%% `{error, {upgrade_refused, Status, Headers, Body}}', Body being what came of it within
%% the timeout, 65536 bytes at most; the connection stays up.
-spec await_upgrade(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(), timeout()) -> ok | error().
await_upgrade(ConnPid, StreamRef, Timeout) ->
	MRef = monitor(process, ConnPid),
	Result = await_upgrade(ConnPid, StreamRef, deadline(Timeout), MRef),
	true = demonitor(MRef, [flush]),
	Result.

await_upgrade(ConnPid, StreamRef, Deadline, MRef) ->
	case gun_rs:await(ConnPid, StreamRef, left(Deadline), MRef) of
		{upgrade, _, _} ->
			ok;
		{response, fin, Status, Headers} ->
			{error, {upgrade_refused, Status, Headers, <<>>}};
		{response, nofin, Status, Headers} ->
			Body = body(ConnPid, StreamRef, Deadline, MRef, <<>>),
			{error, {upgrade_refused, Status, Headers, Body}};
		{error, {down, Reason}} ->
			{error, down_reason(Reason)};
		{error, {_, Reason}} ->
			{error, Reason};
		{error, timeout} ->
			{error, timeout};
		%% An informational response.
		_ ->
			await_upgrade(ConnPid, StreamRef, Deadline, MRef)
	end.

body(ConnPid, StreamRef, Deadline, MRef, Body) when byte_size(Body) < ?MAX_BODY ->
	case gun_rs:await(ConnPid, StreamRef, left(Deadline), MRef) of
		{data, nofin, Data} ->
			body(ConnPid, StreamRef, Deadline, MRef, <<Body/binary, Data/binary>>);
		{data, fin, Data} ->
			truncated(<<Body/binary, Data/binary>>);
		{trailers, _} ->
			Body;
		_ ->
			abandon(ConnPid, StreamRef),
			Body
	end;
body(ConnPid, StreamRef, _, _, Body) ->
	abandon(ConnPid, StreamRef),
	truncated(Body).

truncated(Body) ->
	binary:part(Body, 0, min(byte_size(Body), ?MAX_BODY)).

abandon(ConnPid, StreamRef) ->
	ok = gun_rs:cancel(ConnPid, StreamRef),
	gun_rs:flush(StreamRef).

%% Why there is no connection any more, without what wraps it.
down_reason({shutdown, Reason}) -> down_reason(Reason);
down_reason({error, Reason}) -> Reason;
down_reason(normal) -> closed;
down_reason(Reason) -> Reason.

%% The WebSocket ends, and gun_down is going to report it.
await_end(Socket=#socket{conn_pid=ConnPid, stream_ref=StreamRef}) ->
	MRef = monitor(process, ConnPid),
	receive
		{gun_down, ConnPid, ws, _, [StreamRef]} -> ok;
		{'DOWN', MRef, process, ConnPid, _} -> ok
	after ?LINGER ->
		ok
	end,
	true = demonitor(MRef, [flush]),
	ended(Socket).

%% A connection that connects anew is the user's, who asked for that, and so are its
%% messages; any other one is of no use.
ended(#socket{ended=Ended, reconnects=true, stream_ref=StreamRef}) ->
	ok = atomics:put(Ended, 1, 1),
	gun_rs:flush(StreamRef);
ended(#socket{ended=Ended, conn_pid=ConnPid}) ->
	ok = atomics:put(Ended, 1, 1),
	end_connection(ConnPid).

has_ended(#socket{ended=Ended}) ->
	atomics:get(Ended, 1) =:= 1.

end_connection(ConnPid) ->
	_ = gun_rs:close(ConnPid),
	gun_rs:flush(ConnPid).

%% Time, in ms.

deadline(infinity) -> infinity;
deadline(Timeout) -> erlang:monotonic_time(millisecond) + Timeout.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

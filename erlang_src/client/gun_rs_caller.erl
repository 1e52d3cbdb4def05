%% @private What callers ask of a connection. The native library is asked directly where the
%% connection is of this node. From another node, and where the process behind the connection
%% has something to add to a request, the process does it in the caller's name.
-module(gun_rs_caller).

-export([info/1]).
-export([dialect/1]).
-export([exit_reason/1]).
-export([set_owner/2]).
-export([shutdown/1]).
-export([request/5]).
-export([data/4]).
-export([data/5]).
-export([data_sync/5]).
-export([cancel/2]).
-export([cancel/3]).
-export([stream_info/2]).
-export([ws_upgrade/6]).
-export([ws_send_sync/4]).
-export([update_flow/3]).
-export([ping/4]).
-export([connect/6]).
-export([new_stream/1]).
-export([new_stream/2]).

%% In ms: as long as gun's own call.
-define(CALL_TIMEOUT, 5000).

%% A stream's name has so many references at most.
-define(MAX_STREAM_REFS, 16).

%% @doc What `gun_rs:info/1' does.
-spec info(pid()) -> map().
info(ConnPid) ->
	case is_other(ConnPid) of
		true ->
			%% As gun asks any process. One that answers is no connection either.
			_ = sys:get_state(ConnPid),
			no_info(noproc, ConnPid);
		false ->
			try
				%% By the name that nodes with 0.3.0 know too.
				gun_rs_relay:apply(ConnPid, gun_rs_conn, conn_info, [ConnPid])
			catch
				exit:{exception, {Reason, {sys, get_state, _}}} -> no_info(Reason, ConnPid);
				error:{erpc, Reason} -> no_info(Reason, ConnPid)
			end
	end.

%% The exit of gun:info/1, which asks by sys:get_state/1.
-spec no_info(term(), pid()) -> no_return().
no_info(Reason, ConnPid) ->
	exit({Reason, {sys, get_state, [ConnPid]}}).

%% Whether it is a process of this node that is no connection.
is_other(Pid) ->
	gun_rs_relay:is_here(Pid) andalso not gun_rs_native:is_conn(Pid).

%% @doc The dialect of a connection, also of one that has ended not long ago.
-spec dialect(pid()) -> gun_rs_options:dialect().
dialect(ConnPid) ->
	case gun_rs_relay:is_here(ConnPid) of
		true ->
			gun_rs_conn_info:dialect(ConnPid);
		false ->
			%% Whoever waits for a connection does not wait for a node that is gone.
			case lists:member(node(ConnPid), nodes(connected)) of
				true -> remote_dialect(ConnPid);
				false -> gun_rs_options:default_dialect()
			end
	end.

remote_dialect(ConnPid) ->
	try
		gun_rs_relay:apply(ConnPid, gun_rs_conn, dialect, [ConnPid])
	catch _:_ ->
		gun_rs_options:default_dialect()
	end.

%% @doc With which reason the connection has exited; noproc if that is not known.
-spec exit_reason(pid()) -> Reason :: term().
exit_reason(ConnPid) ->
	try
		gun_rs_relay:apply(ConnPid, gun_rs_exits, reason, [ConnPid])
	catch _:_ ->
		noproc
	end.

-spec set_owner(pid(), pid()) -> gun_rs_relay:done().
set_owner(ConnPid, NewOwner) ->
	gun_rs_relay:cast(ConnPid, {set_owner, self(), NewOwner}).

-spec shutdown(pid()) -> gun_rs_relay:done().
shutdown(ConnPid) ->
	gun_rs_relay:cast(ConnPid, shutdown).

-spec request(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_native:request(), gun_rs_native:limits())
	-> gun_rs_relay:done().
request(ConnPid, StreamRef, ReplyTo, Request, Limits) ->
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		requested(gun_rs_dirty:http_request(ConnPid, StreamRef, ReplyTo, Request, Limits), Request)
	end, {request, StreamRef, ReplyTo, Request, Limits}).

-spec ws_upgrade(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), binary(), [{binary(), binary()}],
	{Options :: map(), gun_rs_options:ws_opts() | undefined} | undefined) -> gun_rs_relay:done().
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) ->
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		Result = gun_rs_dirty:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options),
		requested(Result, {<<"GET">>, Path, Headers, <<>>})
	end, {ws_upgrade, StreamRef, ReplyTo, Path, Headers, Options}).

requested({send_queue_full, Message, ReplyTo}, _) ->
	_ = gun_rs_delivery:deliver(ReplyTo, Message),
	ok;
requested({error, Why}, Request) ->
	error(gun_rs_request:refusal(Why, Request));
requested(Done, _) ->
	Done.

-spec data(pid(), gun_rs_native:stream_ref() | undefined, fin | nofin, binary()) -> gun_rs_relay:done().
data(ConnPid, StreamRef, IsFin, Data) ->
	data(ConnPid, self(), StreamRef, IsFin, Data).

%% @doc The same in the name of Caller.
-spec data(pid(), Caller :: pid(), gun_rs_native:stream_ref() | undefined, fin | nofin, binary()) -> gun_rs_relay:done().
data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		case is_stream_ref(StreamRef) of
			true -> send_data(ConnPid, Caller, StreamRef, IsFin, Data);
			%% As for the end of a body that is complete without it.
			false when Data =:= <<>> -> nothing(ConnPid);
			false -> no_stream(ConnPid, Caller, StreamRef)
		end
	end, {data, Caller, StreamRef, IsFin, Data}).

send_data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	case gun_rs_dirty:http_data(ConnPid, Caller, StreamRef, IsFin, Data) of
		{send_queue_full, Message} ->
			_ = gun_rs_delivery:deliver(Caller, Message),
			ok;
		Done ->
			Done
	end.

%% @doc By the process, as ws_send_sync/4.
-spec data_sync(pid(), gun_rs_native:stream_ref() | undefined, fin | nofin, binary(), timeout()) -> ok | {error, term()}.
data_sync(ConnPid, StreamRef, IsFin, Data, Timeout) ->
	case {is_other(ConnPid), is_stream_ref(StreamRef)} of
		{true, _} -> {error, {down, noproc}};
		{false, true} -> call_sync(ConnPid, {data_sync, {StreamRef, IsFin, Data}}, Timeout);
		{false, false} when Data =:= <<>> -> ok;
		{false, false} -> {error, {badstate, "The stream cannot be found."}}
	end.

-spec cancel(pid(), gun_rs_native:stream_ref() | undefined) -> gun_rs_relay:done().
cancel(ConnPid, StreamRef) ->
	case gun_rs_redirected:find(StreamRef) of
		{Follower, _, _} -> gun_rs_redirected:cancel(Follower);
		none -> cancel(ConnPid, self(), StreamRef)
	end.

%% @doc The same in the name of Caller.
-spec cancel(pid(), Caller :: pid() | reference(), gun_rs_native:stream_ref() | undefined) -> gun_rs_relay:done().
cancel(ConnPid, Caller, StreamRef) ->
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		case is_stream_ref(StreamRef) of
			true -> gun_rs_native:http_cancel(ConnPid, Caller, StreamRef);
			false -> no_stream(ConnPid, Caller, StreamRef)
		end
	end, {cancel, Caller, StreamRef}).

%% What is no name of a stream names none. It may be large, and goes no further.
is_stream_ref(StreamRef) when is_reference(StreamRef) -> true;
%% The bytes of a connection that carries them as they are.
is_stream_ref(undefined) -> true;
is_stream_ref(StreamRef) -> is_stream_ref(StreamRef, ?MAX_STREAM_REFS).

is_stream_ref([], _) -> true;
is_stream_ref([Ref|Tail], N) when is_reference(Ref), N > 0 -> is_stream_ref(Tail, N - 1);
is_stream_ref(_, _) -> false.

no_stream(ConnPid, Caller, StreamRef) ->
	Done = nothing(ConnPid),
	Message = {gun_error, ConnPid, StreamRef, {badstate, "The stream cannot be found."}},
	_ = [gun_rs_delivery:deliver(Caller, Message) || Done =:= ok],
	Done.

%% Where a connection has nothing to do.
nothing(ConnPid) ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> ok;
		false -> no_conn
	end.

-spec stream_info(pid(), gun_rs_native:stream_ref()) -> {ok, map() | undefined} | {error, not_connected}.
stream_info(ConnPid, StreamRef) ->
	case gun_rs_redirected:find(StreamRef) of
		{_, {Conn, Ref}, ReplyTo} when Ref =/= StreamRef ->
			renamed(call_stream_info(Conn, Ref), StreamRef, ReplyTo);
		{_, _, ReplyTo} ->
			renamed(call_stream_info(ConnPid, StreamRef), StreamRef, ReplyTo);
		none ->
			any_stream_info(ConnPid, StreamRef)
	end.

renamed({ok, Info=#{}}, StreamRef, ReplyTo) -> {ok, Info#{ref := StreamRef, reply_to := ReplyTo}};
renamed(Answer, _, _) -> Answer.

any_stream_info(ConnPid, StreamRef) ->
	case is_stream_ref(StreamRef) of
		true -> call_stream_info(ConnPid, StreamRef);
		%% One of which nobody knows either.
		false -> call_stream_info(ConnPid, make_ref())
	end.

call_stream_info(ConnPid, StreamRef) ->
	case gun_rs_relay:call(ConnPid, {stream_info, StreamRef}, ?CALL_TIMEOUT) of
		{error, {down, Reason}} -> exit({Reason, {gen_statem, call, [ConnPid, {stream_info, StreamRef}, ?CALL_TIMEOUT]}});
		Result -> Result
	end.

%% @doc The process sends the frames, and answers when they are sent: an answer that comes
%% after the timeout is then dropped by OTP, and not left in the caller's mailbox.
-spec ws_send_sync(pid(), gun_rs_native:stream_ref(), gun_rs_frames:frame() | [gun_rs_frames:frame()], timeout())
	-> ok | {error, term()}.
ws_send_sync(ConnPid, StreamRef, Frames, Timeout) ->
	Checked = gun_rs_frames:check(Frames),
	case is_other(ConnPid) of
		true -> {error, {down, noproc}};
		false -> call_sync(ConnPid, {ws_send_sync, {{stream, StreamRef}, Checked}}, Timeout)
	end.

call_sync(ConnPid, Request, Timeout) ->
	try
		gun_rs_relay:call(ConnPid, Request, Timeout)
	catch
		exit:{timeout, _} -> {error, timeout};
		exit:{{nodedown, _}, _} -> {error, {down, noconnection}};
		exit:{Reason, _} -> {error, {down, Reason}}
	end.

-spec update_flow(pid(), gun_rs_native:stream_ref() | undefined, integer()) -> gun_rs_relay:done().
update_flow(ConnPid0, StreamRef0, Flow) ->
	{ConnPid, StreamRef} = case gun_rs_redirected:find(StreamRef0) of
		{_, Place, _} -> Place;
		none -> {ConnPid0, StreamRef0}
	end,
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		%% For a stream that there is not, nothing happens.
		case is_stream_ref(StreamRef) of
			true -> gun_rs_native:update_flow(ConnPid, StreamRef, Flow);
			false -> nothing(ConnPid)
		end
	end, {update_flow, StreamRef, Flow}).

%% @doc By the process, so that it comes behind a shutdown.
-spec ping(pid(), gun_rs_options:reply_to(), reference(), Tunnel :: gun_rs_native:stream_ref() | undefined)
	-> gun_rs_relay:done().
%% As nodes with 0.3.0 know it.
ping(ConnPid, ReplyTo, PingRef, undefined) ->
	gun_rs_relay:cast(ConnPid, {ping, ReplyTo, PingRef});
ping(ConnPid, ReplyTo, PingRef, Tunnel) ->
	gun_rs_relay:cast(ConnPid, {ping, ReplyTo, PingRef, Tunnel}).

%% @doc Asks for a tunnel. What cannot be honoured of its TLS raises, where the connection is of this node and has no modules
%% of the user's; otherwise ReplyTo receives it.
-spec connect(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_connect_options:destination(),
	[{binary(), binary()}], gun_rs_native:limits()) -> gun_rs_relay:done().
connect(ConnPid, StreamRef, ReplyTo, Destination, Headers, Limits) ->
	gun_rs_relay:do_or_cast(ConnPid, fun() ->
		case gun_rs_connect_options:request(Destination, Headers) of
			{ok, Request} -> requested(gun_rs_dirty:http_request(ConnPid, StreamRef, ReplyTo, Request, Limits), Request);
			Error -> error({badmatch, Error})
		end
	end, {connect, StreamRef, ReplyTo, Destination, Headers, Limits}).

%% @doc The reference of a new stream. Within a tunnel, those of the tunnel stand before it.
-spec new_stream(gun_rs_options:req_opts() | gun_rs_options:ws_opts()) -> gun_rs_native:stream_ref().
new_stream(Opts) ->
	new_stream(make_ref(), Opts).

-spec new_stream(reference(), gun_rs_options:req_opts() | gun_rs_options:ws_opts()) -> gun_rs_native:stream_ref().
new_stream(Ref, #{tunnel := Tunnel}) when is_list(Tunnel) -> Tunnel ++ [Ref];
new_stream(Ref, #{tunnel := Tunnel}) -> [Tunnel, Ref];
new_stream(Ref, _) -> Ref.

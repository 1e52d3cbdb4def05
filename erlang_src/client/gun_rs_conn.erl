%% @private The process behind ConnPid. It monitors the owner, decides about retries,
%% and delivers what native code cannot deliver itself: to funs and to other nodes.
%% One attempt to connect, and all work on a connection, is done by the native side,
%% which tells of it by `{gun_rs_native, Event}'. When this process dies, for any
%% reason, the native side closes the socket.
-module(gun_rs_conn).
-behaviour(gen_statem).

-export([start_link/3]).
-export([info/1]).
-export([dialect/1]).
-export([conn_info/1]).
-export([set_owner/2]).
-export([shutdown/1]).
-export([request/5]).
-export([data/4]).
-export([cancel/2]).
-export([stream_info/2]).
-export([ws_upgrade/6]).
-export([ws_send_sync/3]).
-export([update_flow/3]).
-export([ping/3]).
-export([deliver/2]).
-export([cast/2]).
-export([native_loaded/0]).

-export([callback_mode/0]).
-export([init/1]).
-export([handle_event/4]).
-export([terminate/3]).
-export([format_status/1]).
-export([waiting/3]).
-export([connecting/3]).
-export([connected/3]).
-export([closing/3]).

-record(data, {
	conn :: gun_rs_native:conn(),
	%% In ms of monotonic time.
	started = erlang:monotonic_time(millisecond) :: integer(),
	config :: map(),
	tls :: gun_rs_tls:tls(),
	owner :: pid(),
	owner_ref :: reference(),
	%% A connection that is not supervised ends with the application all the same.
	sup_ref :: undefined | reference(),
	%% How many retries are left.
	retries :: non_neg_integer(),
	sockname :: undefined | {inet:ip_address(), inet:port_number()},
	%% In ms of monotonic time.
	up_since :: undefined | integer(),
	%% Whether the connection before this one was short-lived.
	hasty = false :: boolean(),
	%% By WebSocket, the user's module that takes its frames, with the module's state.
	handlers = #{} :: #{reference() => {module(), term()}},
	%% What the native side has asked about the receivers of streams, and has not been
	%% answered: whose mailbox to look into, and how many messages in it are few.
	asked = #{} :: #{question() => {gun_rs_options:reply_to(), Few :: non_neg_integer()}},
	%% Whether the native side waits until all that it has sent has been handed on.
	relay_asked = false :: boolean(),
	%% Where modules of the user's take part in requests and their responses.
	streams :: gun_rs_streams:state() | undefined,
	%% The exit reason, once the end has begun.
	status = shutdown :: term()
}).

%% In ms: long enough not to hibernate between the frames that a module handles.
-define(HIBERNATE_AFTER, 10).

%% In ms: a process that fails sooner waits so long, since its opener may not have
%% monitored it, or unlinked from it, before.
-define(GRACE, 10).

%% How long to wait until a mailbox is looked at again, in ms.
-define(MAILBOX_POLL, 2).
-define(REMOTE_MAILBOX_POLL, 10).

%% In ms: as long as gun's own call.
-define(CALL_TIMEOUT, 5000).

%% In bytes: what is more is copied on a dirty scheduler.
-define(MAX_COPIED, 16#20000).

%% In bytes of the external format: what is more is taken apart on a dirty scheduler.
-define(MAX_DECODED, 16#4000).

%% A stream's name has so many references at most.
-define(MAX_STREAM_REFS, 16).

-type question() :: {flow_check | settle, StreamRef :: reference()}.
-type state() :: waiting | connecting | connected | closing.
-type result() :: gen_statem:event_handler_result(state()).

-spec start_link(Owner :: pid(), gun_rs_options:config(), gun_rs_tls:tls()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Owner, Config, Tls) ->
	gen_statem:start_link(?MODULE, {Owner, Config, Tls}, [{hibernate_after, ?HIBERNATE_AFTER}]).

%% What asks for something to be done answers no_conn where the pid is no connection of
%% this node. Of another node's pids only that node knows: one that is no connection is
%% treated as a dead one, and sent nothing.
-type done() :: ok | no_conn.

-spec info(pid()) -> map().
info(ConnPid) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true ->
			conn_info(ConnPid);
		false ->
			%% As gun asks any process. One that answers is no connection either.
			_ = sys:get_state(ConnPid),
			no_info(noproc, ConnPid)
	end;
info(ConnPid) ->
	try
		erpc:call(node(ConnPid), ?MODULE, conn_info, [ConnPid], ?CALL_TIMEOUT)
	catch
		exit:{exception, {Reason, {sys, get_state, _}}} -> no_info(Reason, ConnPid);
		error:{erpc, Reason} -> no_info(Reason, ConnPid)
	end.

-spec conn_info(pid()) -> map().
conn_info(ConnPid) ->
	case gun_rs_native:is_conn(ConnPid) of
		true ->
			try
				gen_statem:call(ConnPid, info, ?CALL_TIMEOUT)
			catch exit:{Reason, _} ->
				no_info(Reason, ConnPid)
			end;
		false ->
			no_info(noproc, ConnPid)
	end.

%% The exit of gun:info/1, which asks by sys:get_state/1.
-spec no_info(term(), pid()) -> no_return().
no_info(Reason, ConnPid) ->
	exit({Reason, {sys, get_state, [ConnPid]}}).

%% @doc The dialect of a connection, also of one that has ended not long ago.
-spec dialect(pid()) -> gun_rs_options:dialect().
dialect(ConnPid) when node(ConnPid) =:= node() ->
	%% Without the native library there is no connection.
	Living = [gun_rs_native:conn_dialect(ConnPid) || gun_rs_native:load_error() =:= undefined],
	hd([Dialect || Dialect <- Living ++ [gun_rs_exits:dialect(ConnPid)], Dialect =/= undefined]
		++ [gun_rs_options:default_dialect()]);
dialect(ConnPid) ->
	%% Whoever waits for a connection does not wait for a node that is gone.
	case lists:member(node(ConnPid), nodes(connected)) andalso remote_dialect(ConnPid) of
		false -> gun_rs_options:default_dialect();
		Dialect -> Dialect
	end.

remote_dialect(ConnPid) ->
	try
		erpc:call(node(ConnPid), ?MODULE, dialect, [ConnPid], ?CALL_TIMEOUT)
	catch _:_ ->
		false
	end.

-spec set_owner(pid(), pid()) -> done().
set_owner(ConnPid, NewOwner) ->
	cast(ConnPid, {set_owner, self(), NewOwner}).

-spec shutdown(pid()) -> done().
shutdown(ConnPid) ->
	cast(ConnPid, shutdown).

%% From this node the native library is asked directly. From another one, and where the
%% process has something to add to a request, it does so in our name.
-spec request(pid(), reference(), gun_rs_options:reply_to(), gun_rs_native:request(), gun_rs_native:limits()) -> done().
request(ConnPid, StreamRef, ReplyTo, Request, Limits) when node(ConnPid) =:= node() ->
	case native_request(ConnPid, StreamRef, ReplyTo, Request, Limits) of
		ok -> ok;
		no_conn -> no_conn;
		relay -> cast(ConnPid, {request, StreamRef, ReplyTo, Request, Limits});
		Refused -> refused(Refused, Request)
	end;
request(ConnPid, StreamRef, ReplyTo, Request, Limits) ->
	cast(ConnPid, {request, StreamRef, ReplyTo, Request, Limits}).

native_request(ConnPid, StreamRef, ReplyTo, Request={_, _, _, Body}, Limits)
		when is_binary(Body), byte_size(Body) > ?MAX_COPIED ->
	gun_rs_native:http_request_dirty(ConnPid, StreamRef, ReplyTo, Request, Limits);
native_request(ConnPid, StreamRef, ReplyTo, Request={Method, _, Headers, _}, Limits) ->
	case is_much([ReplyTo, Method|Headers]) of
		false -> gun_rs_native:http_request(ConnPid, StreamRef, ReplyTo, Request, Limits);
		true -> gun_rs_native:http_request_dirty(ConnPid, StreamRef, ReplyTo, Request, Limits)
	end.

native_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) ->
	case is_much([ReplyTo, Options|Headers]) of
		false -> gun_rs_native:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options);
		true -> gun_rs_native:ws_upgrade_dirty(ConnPid, StreamRef, ReplyTo, Path, Headers, Options)
	end.

%% Whether native code would be long about the term. The VM yields while it measures it.
is_much(Term) ->
	erlang:external_size(Term) > ?MAX_DECODED.

refused({send_queue_full, Message, Pid}, _) when is_pid(Pid) ->
	Pid ! Message,
	ok;
refused({send_queue_full, Message, ReplyTo}, _) ->
	_ = deliver(ReplyTo, Message),
	ok;
refused({error, Why}, Request) ->
	error(invalid(Why, Request)).

invalid(invalid_method, {Method, _, _, _}) ->
	{invalid_request_method, Method, "The method cannot stand in a request line."};
invalid(invalid_target, {_, Path, _, _}) ->
	{invalid_request_target, Path, "The path cannot stand in a request line."};
invalid({invalid_header, Name}, _) ->
	{invalid_request_header, Name, "The name or the value cannot stand in a header."}.

-spec data(pid(), reference(), fin | nofin, binary()) -> done().
data(ConnPid, StreamRef, IsFin, Data) ->
	data(ConnPid, self(), StreamRef, IsFin, Data).

data(ConnPid, Caller, StreamRef, IsFin, Data) when node(ConnPid) =:= node() ->
	case is_stream_ref(StreamRef) of
		true -> do_data(ConnPid, Caller, StreamRef, IsFin, Data);
		%% As for the end of a body that is complete without it.
		false when Data =:= <<>> -> is_done(ConnPid);
		false -> no_stream(ConnPid, Caller, StreamRef)
	end;
data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	cast(ConnPid, {data, Caller, StreamRef, IsFin, Data}).

do_data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	case native_data(ConnPid, Caller, StreamRef, IsFin, Data) of
		ok ->
			ok;
		no_conn ->
			no_conn;
		relay ->
			cast(ConnPid, {data, Caller, StreamRef, IsFin, Data});
		{send_queue_full, Message} ->
			_ = deliver(Caller, Message),
			ok
	end.

%% What is no name of a stream names none. It may be large, and goes no further.
is_stream_ref(StreamRef) when is_reference(StreamRef) -> true;
is_stream_ref(StreamRef) -> is_stream_ref(StreamRef, ?MAX_STREAM_REFS).

is_stream_ref([], _) -> true;
is_stream_ref([Ref|Tail], N) when is_reference(Ref), N > 0 -> is_stream_ref(Tail, N - 1);
is_stream_ref(_, _) -> false.

no_stream(ConnPid, Caller, StreamRef) ->
	Done = is_done(ConnPid),
	_ = [deliver(Caller, {gun_error, ConnPid, StreamRef, {badstate, "The stream cannot be found."}}) || Done =:= ok],
	Done.

%% Where a connection has nothing to do.
is_done(ConnPid) ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> ok;
		false -> no_conn
	end.

native_data(ConnPid, Caller, StreamRef, IsFin, Data) when byte_size(Data) > ?MAX_COPIED ->
	gun_rs_native:http_data_dirty(ConnPid, Caller, StreamRef, IsFin, Data);
native_data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	gun_rs_native:http_data(ConnPid, Caller, StreamRef, IsFin, Data).

-spec cancel(pid(), reference()) -> done().
cancel(ConnPid, StreamRef) ->
	cancel(ConnPid, self(), StreamRef).

cancel(ConnPid, Caller, StreamRef) when node(ConnPid) =:= node() ->
	case is_stream_ref(StreamRef) andalso gun_rs_native:http_cancel(ConnPid, Caller, StreamRef) of
		ok -> ok;
		no_conn -> no_conn;
		relay -> cast(ConnPid, {cancel, Caller, StreamRef});
		false -> no_stream(ConnPid, Caller, StreamRef)
	end;
cancel(ConnPid, Caller, StreamRef) ->
	cast(ConnPid, {cancel, Caller, StreamRef}).

-spec stream_info(pid(), reference()) -> {ok, map() | undefined} | {error, not_connected}.
stream_info(ConnPid, StreamRef) ->
	case is_stream_ref(StreamRef) of
		true -> do_stream_info(ConnPid, StreamRef);
		%% One of which nobody knows either.
		false -> do_stream_info(ConnPid, make_ref())
	end.

do_stream_info(ConnPid, StreamRef) when node(ConnPid) =:= node() ->
	gen_statem:call(ConnPid, {stream_info, StreamRef}, ?CALL_TIMEOUT);
do_stream_info(ConnPid, StreamRef) ->
	case gun_rs_relay:call(ConnPid, {stream_info, StreamRef}, ?CALL_TIMEOUT) of
		{error, {down, Reason}} -> exit({Reason, {gen_statem, call, [ConnPid, {stream_info, StreamRef}, ?CALL_TIMEOUT]}});
		Result -> Result
	end.

-spec ws_upgrade(pid(), reference(), gun_rs_options:reply_to(), binary(), [{binary(), binary()}],
	{Options :: map(), gun_rs_options:ws_opts() | undefined} | undefined) -> done().
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) when node(ConnPid) =:= node() ->
	case native_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) of
		ok -> ok;
		no_conn -> no_conn;
		relay -> cast(ConnPid, {ws_upgrade, StreamRef, ReplyTo, Path, Headers, Options});
		Refused -> refused(Refused, {<<"GET">>, Path, Headers, <<>>})
	end;
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) ->
	cast(ConnPid, {ws_upgrade, StreamRef, ReplyTo, Path, Headers, Options}).

%% The process sends the frames and is told when they are sent: an answer that comes
%% after the timeout is then dropped by OTP, and not left in the caller's mailbox.
-spec ws_send_sync(pid(), gun_rs_frames:frame() | [gun_rs_frames:frame()], timeout())
	-> ok | {error, term()}.
ws_send_sync(ConnPid, Frames0, Timeout) ->
	Frames = gun_rs_frames:check(Frames0),
	try
		ws_send_sync_call(ConnPid, {ws_send_sync, Frames}, Timeout)
	catch
		exit:{timeout, _} -> {error, timeout};
		exit:{{nodedown, _}, _} -> {error, {down, noconnection}};
		exit:{Reason, _} -> {error, {down, Reason}}
	end.

ws_send_sync_call(ConnPid, Message, Timeout) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> gen_statem:call(ConnPid, Message, Timeout);
		false -> {error, {down, noproc}}
	end;
ws_send_sync_call(ConnPid, Message, Timeout) ->
	gun_rs_relay:call(ConnPid, Message, Timeout).

-spec update_flow(pid(), reference(), integer()) -> done().
update_flow(ConnPid, StreamRef, Flow) when node(ConnPid) =:= node() ->
	%% For a stream that there is not, nothing happens.
	case is_stream_ref(StreamRef) of
		true -> gun_rs_native:update_flow(ConnPid, StreamRef, Flow);
		false -> is_done(ConnPid)
	end;
update_flow(ConnPid, StreamRef, Flow) ->
	cast(ConnPid, {update_flow, StreamRef, Flow}).

%% By the process, so that it comes behind a shutdown.
-spec ping(pid(), gun_rs_options:reply_to(), reference()) -> done().
ping(ConnPid, ReplyTo, PingRef) ->
	cast(ConnPid, {ping, ReplyTo, PingRef}).

-spec cast(pid(), term()) -> done().
cast(ConnPid, Message) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> gen_statem:cast(ConnPid, Message);
		false -> no_conn
	end;
cast(ConnPid, Message) ->
	gun_rs_relay:cast(ConnPid, Message).

%% The native library has been loaded, perhaps another copy of it, which knows nothing of
%% the connections that there are: each sees for itself. Those that are not supervised
%% monitor the supervisor.
-spec native_loaded() -> ok.
native_loaded() ->
	ok = gun_rs_tls:forget(),
	Supervised = try
		[Pid || {_, Pid, _, _} <- supervisor:which_children(gun_rs_conns_sup), is_pid(Pid)]
	catch exit:_ ->
		[]
	end,
	Monitors = case [process_info(Sup, monitored_by) || Sup <- [whereis(gun_rs_sup)], is_pid(Sup)] of
		[{monitored_by, Pids}] -> Pids;
		_ -> []
	end,
	_ = [Pid ! {gun_rs_native, loaded} || Pid <- Supervised ++ Monitors, is_pid(Pid), node(Pid) =:= node(),
		proc_lib:translate_initial_call(Pid) =:= {?MODULE, init, 1}],
	ok.

-spec callback_mode() -> handle_event_function.
callback_mode() -> handle_event_function.

%% Each state has a function. What it was called with is nobody's to see when it crashes.
%% What another copy of the native library holds is lost to this one; its socket is closed
%% when this process is gone.
-spec handle_event(gen_statem:event_type(), term(), state(), #data{}) -> result().
handle_event(Type, Event, State, Data) ->
	try
		?MODULE:State(Type, Event, Data)
	catch
		error:native_reloaded ->
			ok = tell_lost(State, Data),
			{stop, {shutdown, native_reloaded}};
		error:Reason:Stacktrace ->
			erlang:raise(error, Reason, gun_rs_secrets:without_arguments(Stacktrace))
	end.

%% Which streams there were is not known here.
tell_lost(State, Data=#data{handlers=Handlers}) when State =:= connected; State =:= closing ->
	Protocol = case map_size(Handlers) of
		0 -> http;
		_ -> ws
	end,
	gun_down(Protocol, {error, native_reloaded}, [], Data);
tell_lost(_, _) ->
	ok.

%% An attempt may fail before anybody can monitor the process.
-spec terminate(Reason :: term(), state(), #data{}) -> ok.
terminate(Reason, _, #data{conn=Conn, up_since=UpSince, config=#{dialect := Dialect}}) ->
	_ = [ok = gun_rs_exits:remember(self(), Reason, Dialect) || UpSince =:= undefined orelse Dialect =/= gun_2],
	ok = gun_rs_remote:flush(),
	hide_messages(Reason, Conn).

%% The report of a crash shows the mailbox, in which are requests.
hide_messages(Reason, _) when Reason =:= normal; Reason =:= shutdown; element(1, Reason) =:= shutdown ->
	ok;
hide_messages(_, Conn) ->
	_ = try
		gun_rs_native:conn_end(Conn)
	catch error:_ ->
		ok
	end,
	gun_rs_secrets:drop_messages().

%% For crash reports and sys:get_status/1: without the options, the cookies, and what
%% requests and responses carry.
-spec format_status(gen_statem:format_status()) -> gen_statem:format_status().
format_status(Status) ->
	maps:map(fun
		(data, Data=#data{config=Config}) ->
			Data#data{config=maps:remove(opts, Config), streams=undefined, handlers=#{}, asked=#{}};
		(Key, Events) when Key =:= queue; Key =:= postponed; Key =:= log ->
			[gun_rs_secrets:event(Event) || Event <- Events];
		(message, Message) ->
			gun_rs_secrets:event({message, Message});
		(_, Value) ->
			Value
	end, Status).

-spec init({pid(), gun_rs_options:config(), gun_rs_tls:tls()}) -> gen_statem:init_result(state()).
init({Owner, Config=#{retry := Retries, ws_opts := WsOpts, dialect := Dialect}, Tls}) ->
	%% It may be killed.
	_ = [ok = gun_rs_exits:remember(self(), noproc, Dialect) || Dialect =/= gun_2],
	OwnerRef = monitor(process, Owner),
	ReplyTo = maps:get(reply_to, WsOpts, undefined),
	Handler = gun_rs_options:handler(WsOpts),
	Native = gun_rs_options:native_open(Config),
	New = case is_much([ReplyTo, Handler, Native]) of
		false -> fun gun_rs_native:conn_new/5;
		true -> fun gun_rs_native:conn_new_dirty/5
	end,
	case New(Owner, ReplyTo, Handler, Native, gun_rs_tls:config(Tls)) of
		{ok, Conn} ->
			{ok, connecting, #data{conn=Conn, config=kept(Config), tls=Tls, owner=Owner, owner_ref=OwnerRef,
				sup_ref=monitor_sup(Config), retries=Retries, streams=gun_rs_streams:init(Config)}};
		%% The application stops. An exit would be one of whoever is linked, too.
		{error, not_started} ->
			ignore
	end.

%% What is needed once the connection has been made: every connection has a copy of it.
kept(Config=#{retry_fun := RetryFun}) ->
	maps:with([dialect, host, notify_retries, port, retry, retry_backoff, retry_fun, retry_timeout, transport
		|[opts || RetryFun =/= undefined]], Config).

monitor_sup(#{supervise := true}) -> undefined;
monitor_sup(_) -> monitor(process, gun_rs_sup).

%% The time until the next attempt runs.
-spec waiting(gen_statem:event_type(), term(), #data{}) -> result().
waiting(state_timeout, connect, Data=#data{conn=Conn, tls=Tls0}) ->
	case gun_rs_tls:renew(Tls0) of
		{ok, Tls} ->
			ok = gun_rs_native:conn_connect(Conn, gun_rs_tls:config(Tls)),
			{next_state, connecting, Data#data{tls=Tls}};
		%% A file that is being replaced may be there the next time.
		{error, Reason} ->
			retry(Reason, Data)
	end;
waiting(state_timeout, {stop, Reason}, _) ->
	{stop, Reason};
waiting(Type, Event, Data) ->
	handle_not_connected(Type, Event, Data).

-spec connecting(gen_statem:event_type(), term(), #data{}) -> result().
connecting(info, {gun_rs_native, {up, _Protocol, SockName}}, Data) ->
	{next_state, connected, Data#data{sockname=SockName, up_since=erlang:monotonic_time(millisecond)}};
connecting(info, {gun_rs_native, {connect_failed, Reason}}, Data) ->
	retry(Reason, Data);
connecting(Type, Event, Data) ->
	handle_not_connected(Type, Event, Data).

-spec connected(gen_statem:event_type(), term(), #data{}) -> result().
connected(info, {gun_rs_native, {down, Protocol, Reason, Next, Killed, Served}}, Data=#data{streams=Streams}) ->
	gun_down(Protocol, Reason, Killed, Data),
	down(Reason, Next, Served, Data#data{sockname=undefined, handlers=#{}, asked=#{},
		streams=gun_rs_streams:down(Killed, Streams)});
connected(cast, shutdown, Data) ->
	start_closing(shutdown, shutdown, Data);
connected(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	start_closing(owner_down, owner_down(Reason), Data);
connected(Type, Event, Data) ->
	handle_common(Type, Event, Data).

%% The graceful end is under way.
-spec closing(gen_statem:event_type(), term(), #data{}) -> result().
closing(info, {gun_rs_native, shut_down}, #data{status=Status}) ->
	{stop, Status};
closing(info, {gun_rs_native, {down, Protocol, Reason, _, Killed, _}}, Data=#data{status=Status}) ->
	gun_down(Protocol, Reason, Killed, Data),
	{stop, Status};
closing(cast, shutdown, Data) ->
	{keep_state, Data#data{status=shutdown}};
closing(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	{keep_state, Data#data{status=owner_down(Reason)}};
closing(cast, {set_owner, Caller, _}, _) ->
	_ = deliver(Caller, {gun_error, self(), {badstate,
		"The owner of the connection cannot be changed once the connection is being shut down."}}),
	keep_state_and_data;
%% As in gun, also while a response is waited for.
closing({call, From}, info, Data) ->
	{keep_state_and_data, {reply, From, (info_map(Data))#{state_name := closing}}};
closing(Type, Event, Data) ->
	handle_common(Type, Event, Data).

handle_not_connected(cast, shutdown, _) ->
	{stop, shutdown};
handle_not_connected(info, {'DOWN', OwnerRef, process, _, Reason}, #data{owner_ref=OwnerRef}) ->
	{stop, owner_down(Reason)};
handle_not_connected(Type, Event, Data) ->
	handle_common(Type, Event, Data).

handle_common(info, {gun_rs_native, {deliver, ReplyTo, Message}}, Data=#data{streams=Streams}) ->
	{keep_state, Data#data{streams=gun_rs_streams:message(ReplyTo, Message, Streams)}};
handle_common(info, {gun_rs_native, {forget, StreamRef}}, Data=#data{streams=Streams}) ->
	{keep_state, Data#data{streams=gun_rs_streams:forget(StreamRef, Streams)}};
handle_common(info, {gun_rs_native, {ws_init, StreamRef, ReplyTo, Subprotocol, Headers, WsOpts}},
		Data=#data{handlers=Handlers}) ->
	Module = gun_rs_options:handler_module(Subprotocol, WsOpts),
	{ok, State} = Module:init(ReplyTo, StreamRef, Headers, WsOpts),
	{keep_state, Data#data{handlers=Handlers#{StreamRef => {Module, State}}}};
handle_common(info, {gun_rs_native, {ws_frame, StreamRef, Frame}}, Data=#data{handlers=Handlers})
		when is_map_key(StreamRef, Handlers) ->
	#{StreamRef := {Module, State0}} = Handlers,
	{ok, FlowDecrement, State} = Module:handle(Frame, State0),
	%% The native side has counted the frame as one.
	_ = [gun_rs_native:update_flow(self(), StreamRef, 1 - FlowDecrement) || FlowDecrement =/= 1],
	{keep_state, Data#data{handlers=Handlers#{StreamRef := {Module, State}}}};
handle_common(info, {gun_rs_native, {sent, From, Result}}, _) ->
	{keep_state_and_data, {reply, From, Result}};
handle_common(info, {gun_rs_native, relay_check}, Data) ->
	handed_on(Data#data{relay_asked=true});
handle_common(info, {gun_rs_remote, Interval}, Data) ->
	ok = gun_rs_remote:retry(Interval),
	handed_on(Data);
handle_common(info, {gun_rs_native, {flow_check, StreamRef, ReplyTo, Messages, Bytes}}, Data) ->
	ask({flow_check, StreamRef}, ReplyTo, short_mailbox(Messages, Bytes), Data);
handle_common(info, {gun_rs_native, {settle, StreamRef, ReplyTo}}, Data) ->
	ask({settle, StreamRef}, ReplyTo, 0, Data);
handle_common({timeout, {mailbox, Question}}, look, #data{asked=Asked}) when is_map_key(Question, Asked) ->
	#{Question := {ReplyTo, _}} = Asked,
	{keep_state_and_data, look_into_mailbox(ReplyTo, Question)};
handle_common({timeout, {mailbox, _}}, look, _) ->
	keep_state_and_data;
handle_common(info, {mailbox, Question, Mailbox}, Data=#data{asked=Asked}) when is_map_key(Question, Asked) ->
	judge_mailbox(Question, Mailbox, Data);
handle_common(info, {mailbox, _, _}, _) ->
	keep_state_and_data;
handle_common({call, From}, {ws_send_sync, Frames}, Data) ->
	send_sync(From, Frames, Data);
handle_common(cast, {call, From, {ws_send_sync, Frames}}, Data) ->
	send_sync(From, Frames, Data);
handle_common({call, From}, {stream_info, StreamRef}, #data{conn=Conn}) ->
	ok = gun_rs_native:stream_info(Conn, From, StreamRef),
	keep_state_and_data;
handle_common(cast, {call, From, {stream_info, StreamRef}}, #data{conn=Conn}) ->
	ok = gun_rs_native:stream_info(Conn, From, StreamRef),
	keep_state_and_data;
handle_common(info, {gun_rs_native, {stream_info, From, Result}}, _) ->
	{keep_state_and_data, {reply, From, Result}};
handle_common(cast, {request, StreamRef, ReplyTo, Request0={Method, Path, Headers0, Body}, Limits}, Data0) ->
	{Headers, Data} = with_cookies(StreamRef, Path, Headers0, Data0),
	Request = {Method, Path, Headers, Body},
	in_our_name(native_request(self(), StreamRef, ReplyTo, Request, Limits), StreamRef, ReplyTo, Request0, Data);
handle_common(cast, {data, Caller, StreamRef, IsFin, Data}, _) ->
	_ = data(self(), Caller, StreamRef, IsFin, Data),
	keep_state_and_data;
handle_common(cast, {cancel, Caller, StreamRef}, Data=#data{streams=Streams}) ->
	_ = cancel(self(), Caller, StreamRef),
	{keep_state, Data#data{streams=gun_rs_streams:forget(StreamRef, Streams)}};
handle_common(cast, {ping, ReplyTo, PingRef}, #data{conn=Conn}) ->
	ok = gun_rs_native:conn_ping(Conn, ReplyTo, PingRef),
	keep_state_and_data;
handle_common(cast, {update_flow, StreamRef, Flow}, _) ->
	_ = update_flow(self(), StreamRef, Flow),
	keep_state_and_data;
handle_common(info, {gun_rs_native, loaded}, #data{conn=Conn}) ->
	_ = gun_rs_native:conn_state(Conn),
	keep_state_and_data;
handle_common(info, {gun_rs_native, {panic, Protocol, Reason, Killed}}, Data=#data{owner=Owner}) ->
	_ = deliver(Owner, {gun_error, self(), Reason}),
	_ = [gun_down(Protocol, {error, Reason}, Killed, Data) || Protocol =/= undefined],
	{stop, {shutdown, Reason}};
handle_common(info, {'DOWN', SupRef, process, _, _}, #data{sup_ref=SupRef}) ->
	{stop, shutdown};
handle_common({call, From}, info, Data) ->
	{keep_state_and_data, {reply, From, info_map(Data)}};
handle_common(cast, {set_owner, Owner, NewOwner}, Data=#data{conn=Conn, owner=Owner, owner_ref=OwnerRef}) ->
	true = demonitor(OwnerRef, [flush]),
	ok = gun_rs_native:conn_set_owner(Conn, NewOwner),
	{keep_state, Data#data{owner=NewOwner, owner_ref=monitor(process, NewOwner)}};
handle_common(cast, {set_owner, _NotTheOwner, _}, _) ->
	keep_state_and_data;
handle_common(cast, {ws_upgrade, StreamRef, ReplyTo, Path, Headers0, Options}, Data0) ->
	{Headers, Data} = with_cookies(StreamRef, Path, Headers0, Data0),
	Result = native_upgrade(self(), StreamRef, ReplyTo, Path, Headers, Options),
	in_our_name(Result, StreamRef, ReplyTo, {<<"GET">>, Path, Headers0, <<>>}, Data);
handle_common(cast, {ws_send, Caller, StreamRef, Frames}, _) ->
	_ = gun_rs_frames:send(self(), Caller, StreamRef, Frames),
	keep_state_and_data;
handle_common({call, From}, _, _) ->
	{keep_state_and_data, {reply, From, {error, bad_call}}};
handle_common(Type, Event, _) ->
	%% Whoever sent it finds it here; nothing is lost in silence.
	logger:warning("gun_rs connection ~p received an unexpected ~tp: ~tp", [self(), Type, Event]),
	keep_state_and_data.

with_cookies(StreamRef, Path, Headers0, Data=#data{streams=Streams0}) ->
	{Headers, Streams} = gun_rs_streams:request(StreamRef, Path, Headers0, Streams0),
	{Headers, Data#data{streams=Streams}}.

%% What would have raised in the caller is told to it.
in_our_name(Done, _, _, _, Data) when Done =:= ok; Done =:= no_conn ->
	{keep_state, Data};
in_our_name({send_queue_full, Message, ReplyTo}, StreamRef, _, _, Data=#data{streams=Streams}) ->
	_ = deliver(ReplyTo, Message),
	{keep_state, Data#data{streams=gun_rs_streams:forget(StreamRef, Streams)}};
in_our_name({error, Why}, StreamRef, ReplyTo, Request, Data=#data{streams=Streams}) ->
	Message = {gun_error, self(), StreamRef, invalid(Why, Request)},
	{keep_state, Data#data{streams=gun_rs_streams:message(ReplyTo, Message, Streams)}}.

start_closing(Cause, Status, Data=#data{conn=Conn}) ->
	ok = gun_rs_native:conn_shutdown(Conn, Cause),
	{next_state, closing, Data#data{status=Status}}.

%% The older ones had a list for what the server had not begun with, which HTTP/1.1 cannot
%% know, and did not name the stream of a WebSocket.
gun_down(Protocol, Reason, Killed, #data{owner=Owner, config=#{dialect := gun_2}}) ->
	_ = deliver(Owner, {gun_down, self(), Protocol, Reason, Killed}),
	ok;
gun_down(ws, Reason, _, #data{owner=Owner}) ->
	_ = deliver(Owner, {gun_down, self(), ws, Reason, [], []}),
	ok;
gun_down(Protocol, Reason, Killed, #data{owner=Owner}) ->
	_ = deliver(Owner, {gun_down, self(), Protocol, Reason, Killed, []}),
	ok.

%% In the oldest dialects a close frame of the user's ends the connection.
down(_, closed_by_user, _, #data{config=#{dialect := Dialect}}) when Dialect =:= gun_1_pre; Dialect =:= gun_0 ->
	{stop, normal};
%% The retries begin anew only after a connection that was of use: a server that takes
%% connections, or upgrades, and then goes away would be asked without an end, and without
%% a rest.
down(Reason, Next, Served, Data=#data{up_since=Since, hasty=Hasty, retries=Retries,
		config=#{retry := Retry, retry_fun := RetryFun, retry_timeout := Timeout}}) ->
	Lived = erlang:monotonic_time(millisecond) - Since >= max(1, Timeout),
	{IsRepeated, After} = case Next of
		{reupgrade, Ms} -> {true, Ms};
		_ -> {false, 0}
	end,
	Short = not Lived andalso (IsRepeated orelse not Served),
	Rest = case Short andalso Hasty andalso RetryFun =:= undefined of
		true -> Timeout;
		false -> 0
	end,
	Left = case Lived orelse Served of
		true -> Retry;
		false -> Retries
	end,
	retry(Reason, max(After, Rest), Data#data{hasty=Short, retries=Left}).

%% The attempts are counted as in gun: each retry asks retry_fun, the first one too.
retry(Reason, Data) ->
	retry(Reason, 0, Data).

retry(normal, _, Data=#data{retries=0}) ->
	stop(normal, Data);
retry(Reason, _, Data=#data{retries=0}) ->
	notify_retry(Reason, 0, 0, Data),
	stop({shutdown, Reason}, Data);
retry(Reason, Shortest, Data=#data{retries=Retries0, config=Config}) ->
	#{retries := Retries, timeout := Timeout0} = retry_fun(Retries0, Config),
	Timeout = max(Timeout0, Shortest),
	notify_retry(Reason, Retries, Timeout, Data),
	{next_state, waiting, Data#data{retries=Retries}, {state_timeout, Timeout, connect}}.

stop(Reason, Data=#data{up_since=undefined, started=Started}) ->
	case Started + ?GRACE - erlang:monotonic_time(millisecond) of
		Left when Left > 0 -> {next_state, waiting, Data, {state_timeout, Left, {stop, Reason}}};
		_ -> {stop, Reason}
	end;
stop(Reason, _) ->
	{stop, Reason}.

retry_fun(Retries, #{retry_fun := Fun, opts := Opts=#{tls_opts := TlsOpts}}) when is_function(Fun, 2) ->
	Fun(Retries, Opts#{tls_opts := gun_rs_secrets:reveal_tls(TlsOpts)});
retry_fun(Retries, #{retry_fun := Fun, opts := Opts}) when is_function(Fun, 2) ->
	Fun(Retries, Opts);
%% The first retry after a disconnect, or after the first failure, is immediate.
retry_fun(Retries, #{retry := Retries}) ->
	#{retries => Retries - 1, timeout => 0};
retry_fun(Retries, #{retry_backoff := undefined, retry_timeout := Timeout}) ->
	#{retries => Retries - 1, timeout => Timeout};
retry_fun(Retries, #{retry_backoff := Backoff, retry := Retry, retry_timeout := Timeout}) ->
	#{retries => Retries - 1, timeout => backoff(Retry - Retries, Timeout, Backoff)}.

%% The pauses double, up to the longest; a part of each is left to chance, so that those
%% who have lost the same server do not come back together.
backoff(Attempt, Shortest, #{max := Max, jitter := Jitter}) ->
	Longest = min(Max, Shortest bsl min(Attempt, 32)),
	Random = round(min(Longest - Shortest, Longest * Jitter)),
	Longest - rand:uniform(Random + 1) + 1.

notify_retry(Reason, Retries, Timeout, #data{owner=Owner, config=#{notify_retries := true}}) ->
	_ = deliver(Owner, {gun_notify, self(), retry, #{reason => Reason, retries => Retries, timeout => Timeout}}),
	ok;
notify_retry(_, _, _, _) ->
	ok.

owner_down(normal) -> normal;
owner_down(shutdown) -> shutdown;
owner_down(Shutdown = {shutdown, _}) -> Shutdown;
owner_down(Reason) -> {shutdown, {owner_down, Reason}}.

send_sync(From, Frames, #data{conn=Conn}) ->
	case gun_rs_frames:send_receipt(Conn, From, Frames) of
		ok -> keep_state_and_data;
		Error -> {keep_state_and_data, {reply, From, {error, Error}}}
	end.

%% flow => auto. A mailbox is short when it holds no more than half of the messages that
%% were sent since the last look, or than so few that they do not matter: few enough for
%% 8 MiB of them, 16 at most, but one in any case.
short_mailbox(Messages, Bytes) ->
	Average = max(1, Bytes div max(1, Messages)),
	max(Messages div 2, max(1, min(16, 8 * 1024 * 1024 div Average))).

ask(Question, ReplyTo, Few, Data=#data{asked=Asked}) ->
	{keep_state, Data#data{asked=Asked#{Question => {ReplyTo, Few}}}, look_into_mailbox(ReplyTo, Question)}.

%% The number of the receiver's messages, and what it does; undefined when there is no such
%% process, unknown when its node does not answer in time. A fun is run by this process,
%% before it looks. Another node is asked by a process of its own, so that a slow one
%% delays nobody else.
look_into_mailbox(Pid, Question) when is_pid(Pid), node(Pid) =/= node() ->
	Self = self(),
	_ = spawn(fun() ->
		Mailbox = try
			erpc:call(node(Pid), erlang, process_info, [Pid, [message_queue_len, status]], ?CALL_TIMEOUT)
		catch
			error:{erpc, timeout} -> unknown;
			_:_ -> undefined
		end,
		Self ! {mailbox, Question, Mailbox}
	end),
	[];
look_into_mailbox(Pid, Question) when is_pid(Pid) ->
	Mailbox = process_info(Pid, [message_queue_len, status]),
	[{next_event, info, {mailbox, Question, Mailbox}}];
look_into_mailbox(_Fun, Question) ->
	[{next_event, info, {mailbox, Question, undefined}}].

judge_mailbox(Question, Mailbox, Data=#data{conn=Conn, asked=Asked}) ->
	#{Question := {ReplyTo, Few}} = Asked,
	case is_ready(Question, Mailbox, Few) of
		true ->
			ok = answer(Question, Conn),
			{keep_state, Data#data{asked=maps:remove(Question, Asked)}};
		false ->
			{keep_state_and_data, {{timeout, {mailbox, Question}}, poll(ReplyTo), look}}
	end.

is_ready({flow_check, _}, [{message_queue_len, Length}|_], Few) ->
	Length =< Few;
%% A node that takes nothing is waited for until it is known to be away.
is_ready({flow_check, _}, unknown, _) ->
	false;
%% The server has broken the protocol. Its last messages are in the receiver's mailbox;
%% when the receiver waits for others it has sent what it had to say to them.
is_ready({settle, _}, [{message_queue_len, Length}, {status, Status}], Few) ->
	Length =< Few andalso Status =:= waiting;
is_ready(_, _, _) ->
	true.

answer({flow_check, StreamRef}, Conn) -> gun_rs_native:flow_grant(Conn, StreamRef);
answer({settle, StreamRef}, Conn) -> gun_rs_native:ws_settled(Conn, StreamRef).

poll(Pid) when is_pid(Pid), node(Pid) =/= node() -> ?REMOTE_MAILBOX_POLL;
poll(_) -> ?MAILBOX_POLL.

%% The native side tells more only when this process has come to what it was told.
handed_on(Data=#data{relay_asked=true, conn=Conn}) ->
	case gun_rs_remote:is_empty() of
		true ->
			ok = gun_rs_native:relay_grant(Conn),
			{keep_state, Data#data{relay_asked=false}};
		false ->
			{keep_state, Data}
	end;
handed_on(Data) ->
	{keep_state, Data}.

-spec deliver(gun_rs_options:reply_to(), term()) -> term().
deliver(Pid, Message) when is_pid(Pid), node(Pid) =/= node() -> gun_rs_remote:send(Pid, Message);
deliver(Pid, Message) when is_pid(Pid) -> Pid ! Message;
deliver(Fun, Message) when is_function(Fun, 1) -> Fun(Message);
deliver({Fun, Args}, Message) when is_function(Fun) -> apply(Fun, [Message|Args]);
deliver({Module, Function, Args}, Message) -> apply(Module, Function, [Message|Args]).

%% What the connection is doing is asked of the native side: whoever has been told of a
%% change by a message finds it here, whether or not this process has been told yet.
info_map(#data{conn=Conn, config=Config, owner=Owner, sockname=SockName, streams=Streams}) ->
	#{host := Host, port := Port, transport := Transport} = Config,
	NativeState = gun_rs_native:conn_state(Conn),
	Info = #{
		stats => stats(gun_rs_native:conn_stats(Conn)),
		owner => Owner,
		socket => socket(NativeState, Conn),
		transport => Transport,
		state_name => state_name(NativeState),
		origin_scheme => gun_rs_options:scheme(Config),
		origin_host => origin_host(Host),
		origin_port => Port,
		intermediaries => [],
		cookie_store => gun_rs_streams:cookie_store(Streams),
		event_handler => undefined,
		event_handler_state => undefined
	},
	case {protocol(NativeState), SockName} of
		{undefined, _} -> Info;
		{Protocol, undefined} -> Info#{protocol => Protocol};
		{Protocol, {SockIP, SockPort}} -> Info#{protocol => Protocol, sock_ip => SockIP, sock_port => SockPort}
	end.

origin_host({local, _}) -> <<"localhost">>;
origin_host(Host) -> Host.

%% The ratio is of the messages that went compressed, in both directions together.
stats(#{uncompressed := Uncompressed, compressed := Compressed}=Stats) ->
	Ratio = case Compressed of
		0 -> undefined;
		_ -> Uncompressed / Compressed
	end,
	(maps:without([uncompressed, compressed], Stats))#{compression_ratio => Ratio}.

%% As in gun there is none where there is no connection.
socket(idle, _) -> undefined;
socket(connecting, _) -> undefined;
socket(_, Conn) -> Conn.

state_name(idle) -> domain_lookup;
state_name(connecting) -> connecting;
state_name(http) -> connected;
state_name(ws) -> connected_ws_only;
state_name(closing) -> closing.

protocol(http) -> http;
protocol(ws) -> ws;
protocol(closing) -> ws;
protocol(_) -> undefined.

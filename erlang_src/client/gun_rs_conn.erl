%% @private The process behind ConnPid: its state machine. It monitors the owner, decides about
%% retries, and delivers what native code cannot deliver itself: to funs and to other nodes.
%% One attempt to connect, and all work on a connection, is done by the native side, whose
%% events are those of `gun_rs_native:event()'. When this process dies, for any reason, the
%% native side closes the socket.
-module(gun_rs_conn).
-behaviour(gen_statem).

%%             up                     down
%% connecting ----> connected ------------------+
%%   |    ^             | shutdown, or the end  |
%%   |    |             | of the owner          |
%%   |    | the next    v                       |
%%   |    | attempt  closing ---> exit          |
%%   v    |                                     |
%% waiting <------------------------------------+
%%
%% Where no retry is left, and where there is no connection to close, the process exits.

-export([start_link/3]).
-export([conn_info/1]).
-export([dialect/1]).

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
	retry :: gun_rs_retry:state(),
	sockname :: gun_rs_native:sockname(),
	%% What it has spoken at first, if it is or was up.
	protocol :: undefined | gun_rs_native:protocol(),
	tunnels = [] :: gun_rs_tunnels:tunnels(),
	%% The modules of the user's that take the frames of WebSockets.
	handlers = #{} :: gun_rs_ws_handlers:handlers(),
	%% What the native side has asked about the mailboxes of receivers.
	questions = #{} :: gun_rs_mailbox:questions(),
	%% Whether the native side waits until all that it has sent has been handed on.
	relay_asked = false :: boolean(),
	%% Where modules of the user's take part in requests and their responses.
	streams :: gun_rs_streams:state() | undefined,
	%% Those who are told what happens.
	observers :: gun_rs_observers:state() | undefined,
	%% The exit reason, once the end has begun.
	status = shutdown :: term()
}).

%% In ms: long enough not to hibernate between the frames that a module handles.
-define(HIBERNATE_AFTER, 10).

%% In ms: a process that fails sooner waits so long, since its opener may not have
%% monitored it, or unlinked from it, before.
-define(GRACE, 10).

-type state() :: waiting | connecting | connected | closing.
-type result() :: gen_statem:event_handler_result(state()).

-spec start_link(Owner :: pid(), gun_rs_options:config(), gun_rs_tls:tls()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Owner, Config, Tls) ->
	gen_statem:start_link(?MODULE, {Owner, Config, Tls}, [{hibernate_after, ?HIBERNATE_AFTER}]).

%% What other nodes call, and nodes with another version of gun_rs too: the names stay.

-spec conn_info(pid()) -> map().
conn_info(ConnPid) -> gun_rs_conn_info:ask(ConnPid).

-spec dialect(pid()) -> gun_rs_options:dialect().
dialect(ConnPid) -> gun_rs_conn_info:dialect(ConnPid).

-spec callback_mode() -> handle_event_function.
callback_mode() -> handle_event_function.

-spec init({pid(), gun_rs_options:config(), gun_rs_tls:tls()}) -> gen_statem:init_result(state()).
init(Args={Owner, Config, _}) ->
	try gun_rs_observers:init(Config, Owner) of
		Observers -> init(Args, Observers)
	%% As in gun this is what open returns, on each OTP.
	catch error:Reason:Stacktrace ->
		{stop, {Reason, gun_rs_secrets:without_arguments(Stacktrace)}}
	end.

init({Owner, Config=#{ws_opts := WsOpts, dialect := Dialect}, Tls}, Observers) ->
	%% It may be killed.
	_ = [ok = gun_rs_exits:remember(self(), noproc, Dialect) || Dialect =/= gun_2],
	OwnerRef = monitor(process, Owner),
	ReplyTo = maps:get(reply_to, WsOpts, undefined),
	ok = gun_rs_conn_info:set_label(Config, undefined),
	Processed = gun_rs_streams:is_needed(Config) orelse gun_rs_observers:are_processing(Config),
	Native = gun_rs_options:native_open(Config, Processed, gun_rs_observers:wanted(Config)),
	About = gun_rs_conn_info:about(Config),
	case gun_rs_dirty:conn_new(Owner, ReplyTo, gun_rs_options:handler(WsOpts), Native#{about => About}, gun_rs_tls:config(Tls)) of
		{ok, Conn} ->
			{ok, connecting, #data{conn=Conn, config=needed(Config), tls=Tls, owner=Owner, owner_ref=OwnerRef,
				sup_ref=monitor_sup(Config), retry=gun_rs_retry:new(Config), streams=gun_rs_streams:init(Config),
				tunnels=gun_rs_tunnels:new(Config), observers=gun_rs_observers:started(Conn, Observers)}};
		%% The application stops. An exit would be one of whoever is linked, too.
		{error, not_started} ->
			ignore
	end.

%% What is needed once the connection has been made: every connection has a copy of it.
needed(Config=#{retry_backoff := Backoff, retry_fun := RetryFun}) ->
	maps:with([dialect, host, notify_retries, port, retry, retry_timeout, transport, via]
		++ [retry_backoff || Backoff =/= undefined]
		++ [Key || RetryFun =/= undefined, Key <- [opts, retry_fun]], Config).

monitor_sup(#{supervise := true}) -> undefined;
monitor_sup(_) -> monitor(process, gun_rs_sup).

%% Each state has a function. What it was called with is nobody's to see when it crashes.
%% What another copy of the native library holds is lost to this one; its socket is closed
%% when this process is gone.
-spec handle_event(gen_statem:event_type(), term(), state(), #data{}) -> result().
handle_event(Type, Event, State, Data) ->
	try
		?MODULE:State(Type, Event, Data)
	catch
		error:native_reloaded ->
			ok = report_lost(State, Data),
			{stop, {shutdown, native_reloaded}};
		error:Reason:Stacktrace ->
			erlang:raise(error, Reason, gun_rs_secrets:without_arguments(Stacktrace))
	end.

%% Which streams there were is not known here.
report_lost(State, Data=#data{protocol=Protocol0, handlers=Handlers}) when State =:= connected; State =:= closing ->
	Protocol = case Protocol0 of http when map_size(Handlers) > 0 -> ws; _ -> Protocol0 end,
	gun_down(Protocol, {error, native_reloaded}, [], Data);
report_lost(_, _) ->
	ok.

-spec terminate(Reason :: term(), state(), #data{}) -> ok.
terminate(Reason, State, Data=#data{observers=Observers}) ->
	try gun_rs_observers:terminate(State, Reason, Observers) of
		ok -> ended(Reason, Data)
	catch Class:Fault:Stacktrace0 ->
		Stacktrace = gun_rs_secrets:without_arguments(Stacktrace0),
		ok = ended({Fault, Stacktrace}, Data),
		erlang:raise(Class, Fault, Stacktrace)
	end.

%% An attempt may fail before anybody can monitor the process.
ended(Reason, #data{conn=Conn, retry=Retry, config=#{dialect := Dialect}}) ->
	_ = [ok = gun_rs_exits:remember(self(), Reason, Dialect) || not gun_rs_retry:was_up(Retry) orelse Dialect =/= gun_2],
	ok = gun_rs_remote:flush(),
	hide_messages(Reason, Conn).

%% The report of a crash shows the mailbox, in which are requests.
hide_messages(Reason, _) when Reason =:= normal; Reason =:= shutdown; element(1, Reason) =:= shutdown ->
	ok;
hide_messages(_, Conn) ->
	_ = try gun_rs_native:conn_end(Conn) catch error:_ -> ok end,
	gun_rs_secrets:drop_messages().

%% For crash reports and sys:get_status/1: without the options, the cookies, and what
%% requests and responses carry.
-spec format_status(gen_statem:format_status()) -> gen_statem:format_status().
format_status(Status) ->
	maps:map(fun
		(data, Data=#data{config=Config}) ->
			Data#data{config=maps:remove(opts, Config), streams=undefined, observers=undefined, handlers=#{}, questions=#{}};
		(Key, Events) when Key =:= queue; Key =:= postponed; Key =:= log ->
			[gun_rs_secrets:event(Event) || Event <- Events];
		(message, Message) ->
			gun_rs_secrets:event({message, Message});
		(_, Value) ->
			Value
	end, Status).

%% The states.

%% The time until the next attempt runs.
-spec waiting(gen_statem:event_type(), term(), #data{}) -> result().
waiting(state_timeout, connect, Data=#data{conn=Conn, tls=Tls0, observers=Observers}) ->
	case gun_rs_tls:renew(Tls0) of
		{ok, Tls} ->
			ok = gun_rs_observers:connecting(Observers),
			ok = gun_rs_native:conn_connect(Conn, gun_rs_tls:config(Tls)),
			{next_state, connecting, Data#data{tls=Tls}};
		%% A file that is being replaced may be there the next time.
		{error, Reason} ->
			retry(Reason, 0, Data)
	end;
waiting(state_timeout, {stop, Reason}, _) ->
	{stop, Reason};
waiting(Type, Event, Data) ->
	not_connected(Type, Event, Data).

-spec connecting(gen_statem:event_type(), term(), #data{}) -> result().
connecting(info, {gun_rs_native, {up, Protocol, SockName}}, Data) ->
	#data{config=Config, retry=Retry, streams=Streams, observers=Observers} = Data,
	ok = gun_rs_conn_info:set_label(Config, Protocol),
	ok = gun_rs_observers:up(Protocol, Observers),
	{next_state, connected, Data#data{sockname=SockName, protocol=Protocol, retry=gun_rs_retry:up(Retry),
		streams=gun_rs_streams:up(Protocol, Streams)}};
connecting(info, {gun_rs_native, {connect_failed, Reason}}, Data=#data{observers=Observers}) ->
	ok = gun_rs_observers:connect_failed(Reason, Observers),
	retry(Reason, 0, Data);
connecting(Type, Event, Data) ->
	not_connected(Type, Event, Data).

not_connected(cast, shutdown, _) ->
	{stop, shutdown};
not_connected(info, {'DOWN', OwnerRef, process, _, Reason}, #data{owner_ref=OwnerRef}) ->
	{stop, owner_down(Reason)};
not_connected(Type, Event, Data) ->
	any_state(Type, Event, Data).

-spec connected(gen_statem:event_type(), term(), #data{}) -> result().
connected(info, {gun_rs_native, {down, Protocol, Reason, Next, Killed, Served}}, Data=#data{streams=Streams}) ->
	NewData = disconnected(Reason, Data),
	ok = gun_down(Protocol, Reason, Killed, Data),
	down(Reason, Next, Served, NewData#data{sockname=undefined, handlers=#{}, questions=#{},
		tunnels=gun_rs_tunnels:new(Data#data.config), streams=gun_rs_streams:down(Killed, Streams),
		observers=gun_rs_observers:forget(Killed, NewData#data.observers)});
connected(cast, shutdown, Data) ->
	start_closing(shutdown, shutdown, Data);
connected(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	start_closing(owner_down, owner_down(Reason), Data);
connected(Type, Event, Data) ->
	any_state(Type, Event, Data).

%% The graceful end is under way.
-spec closing(gen_statem:event_type(), term(), #data{}) -> result().
closing(info, {gun_rs_native, shut_down}, Data=#data{status=Status}) ->
	{stop, Status, disconnected(normal, Data)};
closing(info, {gun_rs_native, {down, Protocol, Reason, _, Killed, _}}, Data=#data{status=Status}) ->
	NewData = disconnected(Reason, Data),
	ok = gun_down(Protocol, Reason, Killed, Data),
	{stop, Status, NewData};
closing(cast, shutdown, Data) ->
	{keep_state, Data#data{status=shutdown}};
closing(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	{keep_state, Data#data{status=owner_down(Reason)}};
closing(cast, {set_owner, Caller, _}, _) ->
	_ = gun_rs_delivery:deliver(Caller, {gun_error, self(), {badstate,
		"The owner of the connection cannot be changed once the connection is being shut down."}}),
	keep_state_and_data;
%% As in gun, also while a response is waited for.
closing({call, From}, info, Data) ->
	{keep_state_and_data, {reply, From, (info_map(Data))#{state_name := closing}}};
closing(Type, Event, Data) ->
	any_state(Type, Event, Data).

%% From one state to another.

disconnected(Reason, Data=#data{observers=Observers}) ->
	Data#data{observers=gun_rs_observers:disconnect(Reason, Observers)}.

start_closing(Cause, Status, Data=#data{conn=Conn}) ->
	ok = gun_rs_native:conn_shutdown(Conn, Cause),
	{next_state, closing, Data#data{status=Status}}.

owner_down(normal) -> normal;
owner_down(shutdown) -> shutdown;
owner_down(Shutdown = {shutdown, _}) -> Shutdown;
owner_down(Reason) -> {shutdown, {owner_down, Reason}}.

%% The older ones had a list for what the server had not begun with, which HTTP/1.1 cannot know and of which HTTP/2
%% has told each stream before, and did not name the stream of a WebSocket.
gun_down(Protocol, Reason, Killed, #data{owner=Owner, config=#{dialect := Dialect}}) ->
	Message = case Dialect of
		gun_2 -> {gun_down, self(), Protocol, Reason, Killed};
		_ when Protocol =:= ws -> {gun_down, self(), ws, Reason, [], []};
		_ -> {gun_down, self(), Protocol, Reason, Killed, []}
	end,
	_ = gun_rs_delivery:deliver(Owner, Message),
	ok.

%% In the oldest dialects a close frame of the user's ends the connection.
down(_, closed_by_user, _, Data=#data{config=#{dialect := Dialect}}) when Dialect =:= gun_1_pre; Dialect =:= gun_0 ->
	{stop, normal, Data};
down(Reason, Next, Served, Data=#data{config=Config, retry=Retry0}) ->
	ok = gun_rs_conn_info:set_label(Config, undefined),
	{Pause, Retry} = gun_rs_retry:down(Next, Served, Config, Retry0),
	retry(Reason, Pause, Data#data{retry=Retry}).

retry(Reason, Pause, Data=#data{config=Config, retry=Retry0}) ->
	case gun_rs_retry:next(Pause, Config, Retry0) of
		{Timeout, Retry} ->
			ok = notify_retry(Reason, gun_rs_retry:left(Retry), Timeout, Data),
			{next_state, waiting, Data#data{retry=Retry}, {state_timeout, Timeout, connect}};
		none when Reason =:= normal ->
			stop(normal, Data);
		none ->
			ok = notify_retry(Reason, 0, 0, Data),
			stop({shutdown, Reason}, Data)
	end.

notify_retry(Reason, Retries, Timeout, #data{owner=Owner, config=#{notify_retries := true}}) ->
	Info = #{reason => Reason, retries => Retries, timeout => Timeout},
	_ = gun_rs_delivery:deliver(Owner, {gun_notify, self(), retry, Info}),
	ok;
notify_retry(_, _, _, _) ->
	ok.

stop(Reason, Data=#data{retry=Retry, started=Started}) ->
	Left = case gun_rs_retry:was_up(Retry) of
		true -> 0;
		false -> Started + ?GRACE - erlang:monotonic_time(millisecond)
	end,
	case Left > 0 of
		true -> {next_state, waiting, Data, {state_timeout, Left, {stop, Reason}}};
		false -> {stop, Reason, Data}
	end.

%% What is the same in any state.

any_state(info, {gun_rs_native, Event}, Data) ->
	native_event(Event, Data);
any_state({call, From}, Request, Data) ->
	call(Request, From, Data);
%% From another node.
any_state(cast, {call, From, Request={Name, _}}, Data) when Name =:= ws_send_sync; Name =:= data_sync; Name =:= stream_info ->
	call(Request, From, Data);
any_state(cast, Request, Data) ->
	cast(Request, Data);
any_state({timeout, {mailbox, Question}}, look, #data{questions=Questions}) ->
	{keep_state_and_data, gun_rs_mailbox:look(Question, Questions)};
any_state(info, {mailbox, Question, Mailbox}, Data=#data{conn=Conn, questions=Questions}) ->
	asked(gun_rs_mailbox:seen(Question, Mailbox, Conn, Questions), Data);
any_state(info, {gun_rs_remote, Interval}, Data) ->
	ok = gun_rs_remote:retry(Interval),
	handed_on(Data);
any_state(info, {'DOWN', SupRef, process, _, _}, #data{sup_ref=SupRef}) ->
	{stop, shutdown};
any_state(Type, Event, _) ->
	unexpected(Type, Event).

%% Whoever sent it finds it here; nothing is lost in silence.
unexpected(Type, Event) ->
	{_, Shown} = gun_rs_secrets:event({Type, Event}),
	logger:warning("gun_rs connection ~p received an unexpected ~tp: ~tp", [self(), Type, Shown]),
	keep_state_and_data.

-spec native_event(gun_rs_native:event(), #data{}) -> result().
native_event({deliver, ReplyTo, Message}, Data=#data{streams=Streams}) ->
	{keep_state, Data#data{streams=gun_rs_streams:message(ReplyTo, Message, Streams)}};
native_event({tunnel_up, StreamRef, Protocol, Label, Beside}, Data=#data{config=Config, streams=Streams}) ->
	Tunnels = gun_rs_tunnels:up({StreamRef, Beside}, Protocol, Label, Config, Data#data.tunnels),
	{keep_state, Data#data{protocol=case Beside of true -> Data#data.protocol; false -> Protocol end, tunnels=Tunnels,
		streams=gun_rs_streams:tunnel_up(gun_rs_tunnels:newest(Tunnels), Streams),
		observers=gun_rs_observers:tunnel_up(Protocol, gun_rs_tunnels:change(Tunnels), Data#data.observers)}};
native_event({tunnel_over, Ref}, Data=#data{tunnels=Tunnels, streams=Streams}) ->
	{keep_state, Data#data{tunnels=gun_rs_tunnels:over(Ref, Tunnels), streams=gun_rs_streams:tunnel_over(Ref, Streams)}};
native_event({step, Name, Step}, Data=#data{observers=Observers}) ->
	{keep_state, Data#data{observers=gun_rs_observers:step(Name, Step, Observers)}};
native_event({forget, StreamRef}, Data=#data{handlers=Handlers}) ->
	{keep_state, forget(StreamRef, Data#data{handlers=maps:remove(StreamRef, Handlers)})};
native_event({ws_init, StreamRef, ReplyTo, Subprotocol, Headers, WsOpts}, Data=#data{handlers=Handlers}) ->
	{keep_state, Data#data{
		handlers=gun_rs_ws_handlers:init(StreamRef, ReplyTo, Subprotocol, Headers, WsOpts, Handlers)}};
native_event({ws_frame, StreamRef, Frame}, Data=#data{handlers=Handlers}) when is_map_key(StreamRef, Handlers) ->
	{keep_state, Data#data{handlers=gun_rs_ws_handlers:frame(StreamRef, Frame, Handlers)}};
native_event({flow_check, StreamRef, ReplyTo, Messages, Bytes}, Data=#data{questions=Questions}) ->
	asked(gun_rs_mailbox:flow_check(StreamRef, ReplyTo, Messages, Bytes, Questions), Data);
native_event({settle, StreamRef, ReplyTo}, Data=#data{questions=Questions}) ->
	asked(gun_rs_mailbox:settle(StreamRef, ReplyTo, Questions), Data);
native_event(relay_check, Data) ->
	handed_on(Data#data{relay_asked=true});
native_event({sent, From, Result}, _) ->
	{keep_state_and_data, {reply, From, Result}};
native_event({stream_info, From, Result}, #data{tunnels=Tunnels}) ->
	{keep_state_and_data, {reply, From, gun_rs_conn_info:stream(Result, Tunnels)}};
%% It raises where the connection belongs to another copy of the library.
native_event(loaded, #data{conn=Conn}) ->
	_ = gun_rs_native:conn_state(Conn),
	keep_state_and_data;
native_event({panic, Protocol, Reason, Killed}, Data=#data{owner=Owner}) ->
	_ = gun_rs_delivery:deliver(Owner, {gun_error, self(), Reason}),
	_ = [ok = gun_down(Protocol, {error, Reason}, Killed, Data) || Protocol =/= undefined],
	{stop, {shutdown, Reason}};
native_event(Event, _) ->
	unexpected(info, {gun_rs_native, Event}).

asked({Questions, Actions}, Data) ->
	{keep_state, Data#data{questions=Questions}, Actions}.

%% The native side sends more only when this process has come to what it was sent.
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

call({ws_send_sync, {{stream, StreamRef}, Frames}}, From, Data) ->
	ws_send_sync(StreamRef, Frames, From, Data);
%% Of a node with 0.3.0, where a connection had one WebSocket.
call({ws_send_sync, Frames}, From, Data) ->
	ws_send_sync(undefined, Frames, From, Data);
call({data_sync, {StreamRef, IsFin, Data}}, From, _) ->
	case gun_rs_dirty:http_data(self(), {receipt, From}, StreamRef, IsFin, Data) of
		ok -> keep_state_and_data;
		_ -> {keep_state_and_data, {reply, From, {error, send_queue_full}}}
	end;
call({stream_info, StreamRef}, From, #data{conn=Conn, tunnels=Tunnels}) ->
	case gun_rs_tunnels:stream(StreamRef, Tunnels) of
		none ->
			ok = gun_rs_native:stream_info(Conn, From, StreamRef),
			keep_state_and_data;
		Info ->
			{keep_state_and_data, {reply, From, Info}}
	end;
call(info, From, Data) ->
	{keep_state_and_data, {reply, From, info_map(Data)}};
call(_, From, _) ->
	{keep_state_and_data, {reply, From, {error, bad_call}}}.

ws_send_sync(StreamRef, Frames, From, #data{conn=Conn}) ->
	case gun_rs_frames:send_receipt(Conn, From, StreamRef, Frames) of
		ok -> keep_state_and_data;
		Error -> {keep_state_and_data, {reply, From, {error, Error}}}
	end.

info_map(Data=#data{conn=Conn, config=Config, owner=Owner, sockname=SockName, tunnels=Tunnels, streams=Streams}) ->
	Info = gun_rs_conn_info:map(Conn, Config, Owner, SockName, gun_rs_streams:cookie_store(Streams), Tunnels),
	{Module, State} = gun_rs_observers:event_handler(Data#data.observers),
	Info#{event_handler => Module, event_handler_state => State}.

%% What callers could not do themselves is done in their name.
cast({request, StreamRef, ReplyTo, Request0={Method, Path, Headers0, Body}, Limits}, Data0) ->
	{Headers, Data} = with_cookies(StreamRef, Path, Headers0, Data0),
	Result = gun_rs_dirty:http_request(self(), StreamRef, ReplyTo, {Method, Path, Headers, Body}, Limits),
	requested(Result, StreamRef, ReplyTo, Request0, Data);
cast({ws_upgrade, StreamRef, ReplyTo, Path, Headers0, Options}, Data00=#data{observers=Observers}) ->
	Data0 = Data00#data{observers=gun_rs_observers:ws_upgrade(StreamRef, Options, Observers)},
	{Headers, Data} = with_cookies(StreamRef, Path, Headers0, Data0),
	Result = gun_rs_dirty:ws_upgrade(self(), StreamRef, ReplyTo, Path, Headers, Options),
	requested(Result, StreamRef, ReplyTo, {<<"GET">>, Path, Headers0, <<>>}, Data);
cast({data, Caller, StreamRef, IsFin, Data}, _) ->
	_ = gun_rs_caller:data(self(), Caller, StreamRef, IsFin, Data),
	keep_state_and_data;
cast({cancel, Caller, StreamRef}, Data) ->
	_ = gun_rs_caller:cancel(self(), Caller, StreamRef),
	{keep_state, forget(StreamRef, Data)};
cast({update_flow, StreamRef, Flow}, _) ->
	_ = gun_rs_caller:update_flow(self(), StreamRef, Flow),
	keep_state_and_data;
cast({ws_send, Caller, StreamRef, Frames}, _) ->
	_ = gun_rs_frames:send(self(), Caller, StreamRef, Frames),
	keep_state_and_data;
cast({connect, StreamRef, ReplyTo, Destination, Headers, Limits}, Data) ->
	case gun_rs_connect_options:request(Destination, Headers) of
		{ok, Request} ->
			requested(gun_rs_dirty:http_request(self(), StreamRef, ReplyTo, Request, Limits), StreamRef, ReplyTo, Request, Data);
		{error, Reason} ->
			_ = gun_rs_delivery:deliver(ReplyTo, {gun_error, self(), StreamRef, Reason}),
			keep_state_and_data
	end;
cast({ping, ReplyTo, PingRef}, Data) ->
	cast({ping, ReplyTo, PingRef, undefined}, Data);
cast({ping, ReplyTo, PingRef, Tunnel}, #data{conn=Conn}) ->
	ok = gun_rs_native:conn_ping(Conn, ReplyTo, PingRef, Tunnel),
	keep_state_and_data;
cast({set_owner, Owner, NewOwner}, Data=#data{conn=Conn, owner=Owner, owner_ref=OwnerRef}) ->
	true = demonitor(OwnerRef, [flush]),
	ok = gun_rs_native:conn_set_owner(Conn, NewOwner),
	{keep_state, Data#data{owner=NewOwner, owner_ref=monitor(process, NewOwner)}};
cast({set_owner, _NotTheOwner, _}, _) ->
	keep_state_and_data;
cast(Request, _) ->
	unexpected(cast, Request).

with_cookies(StreamRef, Path, Headers0, Data=#data{streams=Streams0}) ->
	{Headers, Streams} = gun_rs_streams:request(StreamRef, Path, Headers0, Streams0),
	{Headers, Data#data{streams=Streams}}.

%% The receiver is sent what would have raised in the caller.
requested(Done, _, _, _, Data) when Done =:= ok; Done =:= no_conn ->
	{keep_state, Data};
requested({send_queue_full, Message, ReplyTo}, StreamRef, _, _, Data) ->
	_ = gun_rs_delivery:deliver(ReplyTo, Message),
	{keep_state, forget(StreamRef, Data)};
requested({error, Why}, StreamRef, ReplyTo, Request, Data=#data{streams=Streams}) ->
	Message = {gun_error, self(), StreamRef, gun_rs_request:refusal(Why, Request)},
	{keep_state, forget(StreamRef, Data#data{streams=gun_rs_streams:message(ReplyTo, Message, Streams)})}.

forget(StreamRef, Data=#data{streams=Streams, observers=Observers}) ->
	Data#data{streams=gun_rs_streams:forget(StreamRef, Streams),
		observers=gun_rs_observers:forget([StreamRef], Observers)}.

%% @private The process behind ConnPid. It monitors the owner, decides about retries,
%% and delivers what native code cannot deliver itself: to funs and to other nodes.
%% One attempt to connect, and all work on a connection, is done by the native side,
%% which tells of it by `{gun_rs_native, Event}'. When this process dies, for any
%% reason, the native side closes the socket.
-module(gun_rs_conn).
-behaviour(gen_statem).

-export([start_link/2]).
-export([info/1]).
-export([set_owner/2]).
-export([shutdown/1]).
-export([ws_upgrade/6]).
-export([ws_send/3]).
-export([cast/2]).

-export([callback_mode/0]).
-export([init/1]).
-export([waiting/3]).
-export([connecting/3]).
-export([connected/3]).
-export([closing/3]).

-record(data, {
	conn :: gun_rs_native:conn(),
	config :: gun_rs_options:config(),
	owner :: pid(),
	owner_ref :: reference(),
	%% How many retries are left.
	retries :: non_neg_integer(),
	sockname :: undefined | {inet:ip_address(), inet:port_number()},
	%% The exit reason, once the end has begun.
	status = shutdown :: term()
}).

%% In ms: as long as gun's own call.
-define(CALL_TIMEOUT, 5000).

-type state() :: waiting | connecting | connected | closing.
-type result() :: gen_statem:event_handler_result(state()).

-spec start_link(Owner :: pid(), gun_rs_options:config()) -> {ok, pid()} | {error, term()}.
start_link(Owner, Config) ->
	gen_statem:start_link(?MODULE, {Owner, Config}, [{hibernate_after, 0}]).

%% A pid that is no connection is treated as a dead one: it is sent nothing.
-spec info(pid()) -> map().
info(ConnPid) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true ->
			try
				gen_statem:call(ConnPid, info, ?CALL_TIMEOUT)
			catch exit:{Reason, _} ->
				no_info(Reason, ConnPid)
			end;
		false ->
			no_info(noproc, ConnPid)
	end;
info(ConnPid) ->
	try
		erpc:call(node(ConnPid), ?MODULE, info, [ConnPid], ?CALL_TIMEOUT)
	catch
		exit:{exception, {Reason, {sys, get_state, _}}} -> no_info(Reason, ConnPid);
		error:{erpc, Reason} -> no_info(Reason, ConnPid)
	end.

%% The exit of gun:info/1, which asks by sys:get_state/1.
-spec no_info(term(), pid()) -> no_return().
no_info(Reason, ConnPid) ->
	exit({Reason, {sys, get_state, [ConnPid]}}).

-spec set_owner(pid(), pid()) -> ok.
set_owner(ConnPid, NewOwner) ->
	cast(ConnPid, {set_owner, self(), NewOwner}).

-spec shutdown(pid()) -> ok.
shutdown(ConnPid) ->
	cast(ConnPid, shutdown).

%% From this node the native library is asked directly; from another one, the process
%% does it in our name.
-spec ws_upgrade(pid(), reference(), gun_rs_options:reply_to(), binary(), [{binary(), binary()}],
	map() | undefined) -> ok.
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) when node(ConnPid) =:= node() ->
	case gun_rs_native:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) of
		ok ->
			ok;
		{error, invalid_target} ->
			error({invalid_request_target, Path, "The path cannot stand in a request line."});
		{error, {invalid_header, Name}} ->
			error({invalid_request_header, Name, "The name or the value cannot stand in a header."})
	end;
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) ->
	cast(ConnPid, {ws_upgrade, StreamRef, ReplyTo, Path, Headers, Options}).

-spec ws_send(pid(), pid(), gun_rs_frames:frame() | [gun_rs_frames:frame()]) -> ok.
ws_send(ConnPid, Caller, Frames) ->
	gun_rs_frames:send(ConnPid, Caller, Frames).

%% The same holds for casts.
-spec cast(pid(), term()) -> ok.
cast(ConnPid, Message) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> gen_statem:cast(ConnPid, Message);
		false -> ok
	end;
cast(ConnPid, Message) ->
	gun_rs_relay:cast(ConnPid, Message).

-spec callback_mode() -> state_functions.
callback_mode() -> state_functions.

-spec init({pid(), gun_rs_options:config()}) -> gen_statem:init_result(state()).
init({Owner, Config=#{retry := Retries, ws_opts := WsOpts}}) ->
	OwnerRef = monitor(process, Owner),
	ReplyTo = maps:get(reply_to, WsOpts, undefined),
	case gun_rs_native:conn_new(Owner, ReplyTo, gun_rs_options:native_open(Config)) of
		{ok, Conn} ->
			ok = gun_rs_native:conn_connect(Conn),
			{ok, connecting, #data{conn=Conn, config=Config, owner=Owner, owner_ref=OwnerRef,
				retries=Retries}};
		{error, Reason} ->
			{stop, {shutdown, Reason}}
	end.

%% The time until the next attempt runs.
-spec waiting(gen_statem:event_type(), term(), #data{}) -> result().
waiting(state_timeout, connect, Data=#data{conn=Conn}) ->
	ok = gun_rs_native:conn_connect(Conn),
	{next_state, connecting, Data};
waiting(Type, Event, Data) ->
	handle_not_connected(Type, Event, Data).

-spec connecting(gen_statem:event_type(), term(), #data{}) -> result().
connecting(info, {gun_rs_native, {up, _Protocol, SockName}}, Data) ->
	{next_state, connected, Data#data{sockname=SockName}};
connecting(info, {gun_rs_native, {connect_failed, Reason}}, Data) ->
	retry(Reason, Data);
connecting(Type, Event, Data) ->
	handle_not_connected(Type, Event, Data).

-spec connected(gen_statem:event_type(), term(), #data{}) -> result().
connected(info, {gun_rs_native, {down, Reason}}, Data=#data{config=#{retry := Retries}}) ->
	retry(Reason, Data#data{retries=Retries, sockname=undefined});
connected(cast, shutdown, Data) ->
	start_closing(shutdown, Data);
connected(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	start_closing(owner_down(Reason), Data);
connected(Type, Event, Data) ->
	handle_common(Type, Event, Data).

%% The graceful end is under way.
-spec closing(gen_statem:event_type(), term(), #data{}) -> result().
closing(info, {gun_rs_native, shut_down}, #data{status=Status}) ->
	{stop, Status};
closing(info, {gun_rs_native, {down, _}}, #data{status=Status}) ->
	{stop, Status};
closing(cast, shutdown, Data) ->
	{keep_state, Data#data{status=shutdown}};
closing(info, {'DOWN', OwnerRef, process, _, Reason}, Data=#data{owner_ref=OwnerRef}) ->
	{keep_state, Data#data{status=owner_down(Reason)}};
closing(cast, {set_owner, Caller, _}, _) ->
	Caller ! {gun_error, self(), {badstate,
		"The owner of the connection cannot be changed once the connection is being shut down."}},
	keep_state_and_data;
closing(Type, Event, Data) ->
	handle_common(Type, Event, Data).

handle_not_connected(cast, shutdown, _) ->
	{stop, shutdown};
handle_not_connected(info, {'DOWN', OwnerRef, process, _, Reason}, #data{owner_ref=OwnerRef}) ->
	{stop, owner_down(Reason)};
handle_not_connected(Type, Event, Data) ->
	handle_common(Type, Event, Data).

handle_common(info, {gun_rs_native, {deliver, ReplyTo, Message}}, _) ->
	deliver(ReplyTo, Message),
	keep_state_and_data;
handle_common(info, {gun_rs_native, {panic, Reason}}, _) ->
	{stop, {shutdown, Reason}};
handle_common({call, From}, info, Data) ->
	{keep_state_and_data, {reply, From, info_map(Data)}};
handle_common(cast, {set_owner, Owner, NewOwner}, Data=#data{conn=Conn, owner=Owner, owner_ref=OwnerRef}) ->
	true = demonitor(OwnerRef, [flush]),
	ok = gun_rs_native:conn_set_owner(Conn, NewOwner),
	{keep_state, Data#data{owner=NewOwner, owner_ref=monitor(process, NewOwner)}};
handle_common(cast, {set_owner, _NotTheOwner, _}, _) ->
	keep_state_and_data;
handle_common(cast, {ws_upgrade, StreamRef, ReplyTo, Path, Headers, Options}, _) ->
	ok = ws_upgrade(self(), StreamRef, ReplyTo, Path, Headers, Options),
	keep_state_and_data;
handle_common(cast, {ws_send, Caller, Frames}, _) ->
	ok = ws_send(self(), Caller, Frames),
	keep_state_and_data;
handle_common(Type, Event, _) ->
	%% Whoever sent it finds it here; nothing is lost in silence.
	logger:warning("gun_rs connection ~p received an unexpected ~tp: ~tp", [self(), Type, Event]),
	keep_state_and_data.

start_closing(Status, Data=#data{conn=Conn}) ->
	ok = gun_rs_native:conn_shutdown(Conn),
	{next_state, closing, Data#data{status=Status}}.

%% The attempts are counted as in gun: each retry asks retry_fun, the first one too.
retry(normal, #data{retries=0}) ->
	{stop, normal};
retry(Reason, Data=#data{retries=0}) ->
	notify_retry(Reason, 0, 0, Data),
	{stop, {shutdown, Reason}};
retry(Reason, Data=#data{retries=Retries0, config=Config}) ->
	#{retries := Retries, timeout := Timeout} = retry_fun(Retries0, Config),
	notify_retry(Reason, Retries, Timeout, Data),
	{next_state, waiting, Data#data{retries=Retries}, {state_timeout, Timeout, connect}}.

retry_fun(Retries, #{retry_fun := Fun, opts := Opts}) when is_function(Fun, 2) ->
	Fun(Retries, Opts);
%% The first retry after a disconnect, or after the first failure, is immediate.
retry_fun(Retries, #{retry := Retries}) ->
	#{retries => Retries - 1, timeout => 0};
retry_fun(Retries, #{retry_timeout := Timeout}) ->
	#{retries => Retries - 1, timeout => Timeout}.

notify_retry(Reason, Retries, Timeout, #data{owner=Owner, config=#{notify_retries := true}}) ->
	Owner ! {gun_notify, self(), retry, #{reason => Reason, retries => Retries, timeout => Timeout}},
	ok;
notify_retry(_, _, _, _) ->
	ok.

owner_down(normal) -> normal;
owner_down(shutdown) -> shutdown;
owner_down(Shutdown = {shutdown, _}) -> Shutdown;
owner_down(Reason) -> {shutdown, {owner_down, Reason}}.

deliver(Pid, Message) when is_pid(Pid) -> Pid ! Message;
deliver(Fun, Message) when is_function(Fun, 1) -> Fun(Message);
deliver({Fun, Args}, Message) when is_function(Fun) -> apply(Fun, [Message|Args]);
deliver({Module, Function, Args}, Message) -> apply(Module, Function, [Message|Args]).

%% What the connection is doing is asked of the native side: whoever has been told of a
%% change by a message finds it here, whether or not this process has been told yet.
info_map(#data{conn=Conn, config=Config, owner=Owner, sockname=SockName}) ->
	#{host := Host, port := Port, transport := Transport} = Config,
	NativeState = gun_rs_native:conn_state(Conn),
	Info = #{
		owner => Owner,
		socket => Conn,
		transport => Transport,
		state_name => state_name(NativeState),
		origin_scheme => <<"http">>,
		origin_host => Host,
		origin_port => Port,
		intermediaries => [],
		cookie_store => undefined,
		event_handler => undefined,
		event_handler_state => undefined
	},
	case {protocol(NativeState), SockName} of
		{undefined, _} -> Info;
		{Protocol, undefined} -> Info#{protocol => Protocol};
		{Protocol, {SockIP, SockPort}} -> Info#{protocol => Protocol, sock_ip => SockIP, sock_port => SockPort}
	end.

state_name(idle) -> domain_lookup;
state_name(connecting) -> connecting;
state_name(http) -> connected;
state_name(ws) -> connected_ws_only;
state_name(closing) -> closing.

protocol(http) -> http;
protocol(ws) -> ws;
protocol(closing) -> ws;
protocol(_) -> undefined.

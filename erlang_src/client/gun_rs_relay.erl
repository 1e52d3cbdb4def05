%% @private What is asked of a connection, from its own node and from others.
%%
%% Only the node of a pid knows whether it is a connection, and one that is none must
%% not be sent anything. One process per node takes what other nodes ask, so that what a
%% caller asks for is done in the order in which it asked.
-module(gun_rs_relay).
-behaviour(gen_server).

-export([is_here/1]).
-export([do_or_cast/3]).
-export([cast/2]).
-export([call/3]).
-export([apply/4]).
-export([is_current/1]).
-export([start_link/0]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).

%% In ms: as long as gun's own call.
-define(CALL_TIMEOUT, 5000).

%% no_conn: the pid is no connection of this node. Of another node's pids only that node knows:
%% one that is no connection is treated as a dead one, and sent nothing.
-type done() :: ok | no_conn.
-export_type([done/0]).

%% Who waits for a connection's answer, by the monitor of the connection.
-type state() :: #{reference() => gen_server:from()}.

%% @doc Whether the pid is one of this node.
-spec is_here(pid()) -> boolean().
is_here(Pid) ->
	node(Pid) =:= node().

%% @doc Does what the fun does. Where it answers relay, and for a connection of another node,
%% the process behind the connection is sent the message, and does it.
-spec do_or_cast(ConnPid :: pid(), fun(() -> done() | relay), Message :: term()) -> done().
do_or_cast(ConnPid, Do, Message) when node(ConnPid) =:= node() ->
	case Do() of
		relay -> cast(ConnPid, Message);
		Done -> Done
	end;
do_or_cast(ConnPid, _, Message) ->
	cast(ConnPid, Message).

%% @doc Sends the process behind the connection a cast. On a node without gun_rs there is no
%% connection to cast to.
-spec cast(ConnPid :: pid(), Message :: term()) -> done().
cast(ConnPid, Message) when node(ConnPid) =:= node() ->
	case gun_rs_native:is_conn(ConnPid) of
		true -> gen_statem:cast(ConnPid, Message);
		false -> no_conn
	end;
cast(ConnPid, Message) ->
	case is_known_there(ConnPid, Message) of
		true -> gen_server:cast({?MODULE, node(ConnPid)}, {ConnPid, Message});
		false -> error({node_too_old, node(ConnPid)})
	end.

%% @doc Calls the process behind the connection. When that of another node dies before it has
%% answered, its exit is the answer: `{error, {down, Reason}}'.
-spec call(ConnPid :: pid(), Message :: term(), timeout()) -> term().
call(ConnPid, Message, Timeout) when node(ConnPid) =:= node() ->
	gen_statem:call(ConnPid, Message, Timeout);
call(ConnPid, Message, Timeout) ->
	case is_known_there(ConnPid, Message) of
		true -> gen_server:call({?MODULE, node(ConnPid)}, {ConnPid, Message}, Timeout);
		false -> {error, {node_too_old, node(ConnPid)}}
	end.

%% A node with 0.3.0 would answer nothing, or end the connection.
is_known_there(ConnPid, Message) ->
	not is_new(Message) orelse is_current(ConnPid).

%% What came after 0.3.0.
is_new({request, StreamRef, ReplyTo, _, Limits}) ->
	is_list(StreamRef) orelse is_reference(ReplyTo) orelse tuple_size(Limits) > 3;
is_new({ws_upgrade, _, _, _, _, {#{follower := _}, _}}) -> true;
is_new({ws_upgrade, StreamRef, ReplyTo, _, _, _}) -> is_list(StreamRef) orelse is_reference(ReplyTo);
is_new({connect, _, _, _, _, _}) -> true;
is_new({ping, _, _, _}) -> true;
is_new({ping, ReplyTo, _}) -> is_reference(ReplyTo);
is_new({data_sync, _}) -> true;
is_new(_) -> false.

%% @doc Whether the node of the process runs a gun_rs that is no older than this one. One that is gone is told nothing.
-spec is_current(pid()) -> boolean().
is_current(Pid) when node(Pid) =:= node() ->
	true;
is_current(Pid) ->
	try
		erpc:call(node(Pid), erlang, function_exported, [?MODULE, is_current, 1], ?CALL_TIMEOUT)
	catch error:{erpc, Reason} ->
		Reason =:= noconnection
	end.

%% @doc Applies the function on the connection's node, which may take as long as gun's own call.
%% What can fail on another node raises as in erpc:call/5.
-spec apply(ConnPid :: pid(), module(), Function :: atom(), Args :: [term()]) -> term().
apply(ConnPid, Module, Function, Args) when node(ConnPid) =:= node() ->
	erlang:apply(Module, Function, Args);
apply(ConnPid, Module, Function, Args) ->
	erpc:call(node(ConnPid), Module, Function, Args, ?CALL_TIMEOUT).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	gen_server:start_link({local, ?MODULE}, ?MODULE, [], [{hibernate_after, 1000}]).

-spec init([]) -> {ok, state()}.
init([]) ->
	{ok, #{}}.

-spec handle_call({pid(), term()}, gen_server:from(), state()) -> {noreply, state()}.
handle_call({ConnPid, Message}, From, Waiting) ->
	case gun_rs_native:is_conn(ConnPid) of
		true ->
			MRef = monitor(process, ConnPid),
			_ = cast(ConnPid, {call, {self(), MRef}, Message}),
			{noreply, Waiting#{MRef => From}};
		false ->
			ok = reply(From, {error, {down, noproc}}),
			{noreply, Waiting}
	end.

-spec handle_cast({pid(), term()}, state()) -> {noreply, state()}.
handle_cast({ConnPid, Message}, Waiting) ->
	_ = cast(ConnPid, Message),
	{noreply, Waiting}.

-spec handle_info(term(), state()) -> {noreply, state()}.
handle_info({MRef, Answer}, Waiting) when is_map_key(MRef, Waiting) ->
	true = demonitor(MRef, [flush]),
	answer(MRef, Answer, Waiting);
handle_info({'DOWN', MRef, process, _, Reason}, Waiting) when is_map_key(MRef, Waiting) ->
	answer(MRef, {error, {down, Reason}}, Waiting);
handle_info(_, Waiting) ->
	{noreply, Waiting}.

answer(MRef, Answer, Waiting0) ->
	{From, Waiting} = maps:take(MRef, Waiting0),
	ok = reply(From, Answer),
	{noreply, Waiting}.

%% A node that takes nothing suspends whoever sends to it, and this process serves all nodes.
reply(From, Answer) ->
	_ = spawn(gen_server, reply, [From, Answer]),
	ok.

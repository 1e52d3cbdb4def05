%% @private Takes what processes of other nodes ask of the connections of this one.
%%
%% Only the node of a pid knows whether it is a connection, and one that is none must
%% not be sent anything. One process per node, so that what a caller asks for is done
%% in the order in which it asked.
-module(gun_rs_relay).
-behaviour(gen_server).

-export([start_link/0]).
-export([cast/2]).
-export([call/3]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).

%% Who waits for a connection's answer, by the monitor of the connection.
-type state() :: #{reference() => gen_server:from()}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	gen_server:start_link({local, ?MODULE}, ?MODULE, [], [{hibernate_after, 1000}]).

%% On a node without gun_rs there is no connection to cast to.
-spec cast(ConnPid :: pid(), Message :: term()) -> ok.
cast(ConnPid, Message) ->
	gen_server:cast({?MODULE, node(ConnPid)}, {ConnPid, Message}).

%% When the connection dies before it has answered, its exit is the answer.
-spec call(ConnPid :: pid(), Message :: term(), timeout()) -> term().
call(ConnPid, Message, Timeout) ->
	gen_server:call({?MODULE, node(ConnPid)}, {ConnPid, Message}, Timeout).

-spec init([]) -> {ok, state()}.
init([]) ->
	{ok, #{}}.

-spec handle_call({pid(), term()}, gen_server:from(), state()) -> {noreply, state()}.
handle_call({ConnPid, Message}, From, Waiting) ->
	case gun_rs_native:is_conn(ConnPid) of
		true ->
			MRef = monitor(process, ConnPid),
			_ = gun_rs_conn:cast(ConnPid, {call, {self(), MRef}, Message}),
			{noreply, Waiting#{MRef => From}};
		false ->
			ok = reply(From, {error, {down, noproc}}),
			{noreply, Waiting}
	end.

-spec handle_cast({pid(), term()}, state()) -> {noreply, state()}.
handle_cast({ConnPid, Message}, Waiting) ->
	_ = gun_rs_conn:cast(ConnPid, Message),
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

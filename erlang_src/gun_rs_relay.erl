%% @private Takes casts from other nodes for the connections of this one.
%%
%% Only the node of a pid knows whether it is a connection, and one that is none must
%% not be sent anything. One process per node, so that what a caller asks for is done
%% in the order in which it asked.
-module(gun_rs_relay).
-behaviour(gen_server).

-export([start_link/0]).
-export([cast/2]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	gen_server:start_link({local, ?MODULE}, ?MODULE, [], [{hibernate_after, 1000}]).

%% On a node without gun_rs there is no connection to cast to.
-spec cast(ConnPid :: pid(), Message :: term()) -> ok.
cast(ConnPid, Message) ->
	gen_server:cast({?MODULE, node(ConnPid)}, {ConnPid, Message}).

-spec init([]) -> {ok, undefined}.
init([]) ->
	{ok, undefined}.

-spec handle_call(term(), gen_server:from(), undefined) -> {noreply, undefined}.
handle_call(_, _, State) ->
	{noreply, State}.

-spec handle_cast({pid(), term()}, undefined) -> {noreply, undefined}.
handle_cast({ConnPid, Message}, State) ->
	ok = gun_rs_conn:cast(ConnPid, Message),
	{noreply, State}.

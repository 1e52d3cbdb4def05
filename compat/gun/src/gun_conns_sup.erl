%% @private Answers as the supervisor of gun's connections, or of its pools, for those who ask it
%% which there are: it has what gun_rs's supervisor has.
-module(gun_conns_sup).
-behaviour(gen_server).

-export([start_link/0]).
-export([start_link/3]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	start_link(?MODULE, gun_rs_conns_sup, gun).

%% @doc The supervisor of this name has what another one has, as processes of this module.
-spec start_link(Name :: atom(), Of :: atom(), Module :: module()) -> {ok, pid()} | {error, term()}.
start_link(Name, Of, Module) ->
	case gen_server:start_link({local, Name}, ?MODULE, {Of, Module}, []) of
		{ok, Pid} -> {ok, Pid};
		{error, Reason} -> {error, Reason}
	end.

-type state() :: {Of :: atom(), Module :: module()}.

-spec init(state()) -> {ok, state()}.
init(State) ->
	{ok, State}.

%% The calls are those of the module supervisor. All but one are handed on as they are, so
%% that a connection that takes its time to end delays nobody else.
-spec handle_call(term(), gen_server:from(), state()) -> {reply, term(), state()} | {noreply, state()}.
handle_call(which_children, _, State={Of, Module}) ->
	%% Without gun_rs there is no connection.
	Children = try supervisor:which_children(Of) catch exit:_ -> [] end,
	{reply, [{Id, Pid, Type, [Module]} || {Id, Pid, Type, _} <- Children], State};
handle_call(Request, From, State={Of, _}) ->
	case whereis(Of) of
		undefined ->
			{reply, {error, {not_started, gun_rs}}, State};
		Supervisor ->
			_ = erlang:send(Supervisor, {'$gen_call', From, Request}),
			{noreply, State}
	end.

-spec handle_cast(term(), state()) -> {noreply, state()}.
handle_cast(_, State) ->
	{noreply, State}.

%% @private Answers as the supervisor of gun's connections, for those who ask it which there
%% are: it has what gun_rs's supervisor has.
-module(gun_conns_sup).
-behaviour(gen_server).

-export([start_link/0]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
		{ok, Pid} -> {ok, Pid};
		{error, Reason} -> {error, Reason}
	end.

-spec init([]) -> {ok, undefined}.
init([]) ->
	{ok, undefined}.

%% The calls are those of the module supervisor. All but one are handed on as they are, so
%% that a connection that takes its time to end delays nobody else.
-spec handle_call(term(), gen_server:from(), undefined) -> {reply, term(), undefined} | {noreply, undefined}.
handle_call(which_children, _, State) ->
	%% Without gun_rs there is no connection.
	Children = try supervisor:which_children(gun_rs_conns_sup) catch exit:_ -> [] end,
	{reply, [{Id, Pid, Type, [gun]} || {Id, Pid, Type, _} <- Children], State};
handle_call(Request, From, State) ->
	case whereis(gun_rs_conns_sup) of
		undefined ->
			{reply, {error, {not_started, gun_rs}}, State};
		Supervisor ->
			_ = erlang:send(Supervisor, {'$gen_call', From, Request}),
			{noreply, State}
	end.

-spec handle_cast(term(), undefined) -> {noreply, undefined}.
handle_cast(_, State) ->
	{noreply, State}.

%% @private The listeners of the node, each under its name.
-module(gun_rs_listeners_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([start_listener/2]).
-export([stop_listener/1]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
	supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec start_listener(Ref :: term(), gun_rs_listeners:config())
	-> {ok, pid()} | {error, {already_started, pid()} | term()}.
start_listener(Ref, Config=#{transport := #{shutdown := Shutdown}}) ->
	Child = #{id => Ref, start => {gun_rs_listener, start_link, [Ref, Config]}, shutdown => patience(Shutdown)},
	case supervisor:start_child(?MODULE, Child) of
		{error, already_present} ->
			%% It was stopped half-way.
			_ = supervisor:delete_child(?MODULE, Ref),
			start_listener(Ref, Config);
		{error, {already_started, Pid}} -> {error, {already_started, Pid}};
		{error, {Reason, _Child}} -> {error, Reason};
		{error, Reason} -> {error, Reason};
		{ok, Pid} -> {ok, Pid}
	end.

%% Its connections have their time first.
patience(Shutdown) when is_integer(Shutdown) -> Shutdown + 5000;
patience(infinity) -> infinity;
patience(brutal_kill) -> 5000.

-spec stop_listener(Ref :: term()) -> ok | {error, not_found}.
stop_listener(Ref) ->
	case supervisor:terminate_child(?MODULE, Ref) of
		ok ->
			_ = supervisor:delete_child(?MODULE, Ref),
			gun_rs_listeners:forget(Ref);
		{error, not_found} ->
			{error, not_found}
	end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
	ok = gun_rs_listeners:new_table(),
	{ok, {#{strategy => one_for_one, intensity => 10, period => 10}, []}}.

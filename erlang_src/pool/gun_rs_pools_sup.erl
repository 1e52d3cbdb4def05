%% @private
-module(gun_rs_pools_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([start_pool/1]).
-export([stop_pool/1]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
	supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec start_pool(gun_rs_pool_options:config()) -> {ok, pid()} | {error, term()}.
start_pool(Config) ->
	try supervisor:start_child(?MODULE, [gun_rs_pool_options:hide(Config)]) of
		{ok, Pid} when is_pid(Pid) -> {ok, Pid};
		%% Somebody else has started it just now.
		{ok, undefined} -> {error, already_started};
		{error, Reason} -> {error, Reason}
	catch exit:{Reason, _} when Reason =:= noproc; Reason =:= shutdown; Reason =:= killed; Reason =:= normal ->
		{error, {not_started, gun_rs}}
	end.

-spec stop_pool(pid()) -> ok | {error, not_found}.
stop_pool(Pid) ->
	try supervisor:terminate_child(?MODULE, Pid) of
		ok -> ok;
		{error, _} -> {error, not_found}
	catch exit:_ ->
		{error, not_found}
	end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
	Pool = #{id => gun_rs_pool_server, start => {gun_rs_pool_server, start_link, []}, restart => transient, shutdown => 5000},
	{ok, {#{strategy => simple_one_for_one, intensity => 10, period => 1}, [Pool]}}.

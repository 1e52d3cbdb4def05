%% @private Here for its name, and for those of its children.
-module(gun_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
	case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
		{ok, Pid} -> {ok, Pid};
		{error, Reason} -> {error, Reason}
	end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
	{ok, {#{}, [
		#{id => gun_conns_sup, start => {gun_conns_sup, start_link, []}, type => supervisor},
		#{id => gun_pools_sup, start => {gun_conns_sup, start_link, [gun_pools_sup, gun_rs_pools_sup, gun_pool]},
			type => supervisor}
	]}}.

%% @private
-module(gun_rs_conns_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([start_conn/3]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
	supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec start_conn(Owner :: pid(), gun_rs_options:config(), gun_rs_tls:tls()) -> supervisor:startchild_ret().
start_conn(Owner, Config, Tls) ->
	supervisor:start_child(?MODULE, [Owner, Config, Tls]).

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
	Conn = #{id => gun_rs_conn, start => {gun_rs_conn, start_link, []}, restart => temporary, shutdown => 5000},
	{ok, {#{strategy => simple_one_for_one}, [Conn]}}.

%% @private
-module(gun_rs_sup).
-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
	supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
	ok = gun_rs_exits:start(),
	ok = gun_rs_secrets:start(),
	ok = gun_rs_spans:new_table(),
	ok = gun_rs_tls_cache:start(),
	ok = gun_rs_pools:start(),
	ok = gun_rs_redirected:new_table(),
	%% It outlives those whose ends it executes.
	Spans = #{id => gun_rs_spans, start => {gun_rs_spans, start_link, []}},
	Conns = #{id => gun_rs_conns_sup, start => {gun_rs_conns_sup, start_link, []}, type => supervisor},
	Relay = #{id => gun_rs_relay, start => {gun_rs_relay, start_link, []}},
	Listeners = #{id => gun_rs_listeners_sup, start => {gun_rs_listeners_sup, start_link, []}, type => supervisor},
	{ok, {#{intensity => 10, period => 10}, [Spans, Conns, Relay, Listeners|gun_rs_pools:child_specs()]}}.

%% @private Where the pools of this node are found, without asking a process; and those of other nodes, by groups of pg.
-module(gun_rs_pools).

-export([start/0]).
-export([child_specs/0]).
-export([enter/2]).
-export([join/1]).
-export([leave/1]).
-export([find/1]).
-export([of_process/1]).
-export([key/1]).
-export([all/0]).
-export([set_meta/2]).
-export([meta/1]).
-export([forget/1]).

%% The scope of pg.
-define(PG, gun_rs_pools_pg).

-type pool() :: {pid(), gun_rs_native:pool()}.
-export_type([pool/0]).

%% @doc Makes the table. It belongs to the calling process.
-spec start() -> ok.
start() ->
	?MODULE = ets:new(?MODULE, [named_table, public, {read_concurrency, true}]),
	ok.

%% @doc What runs for pools: the scope of pg, by which nodes know the pools of each other, and their supervisor.
-spec child_specs() -> [supervisor:child_spec()].
child_specs() ->
	[
		#{id => ?PG, start => {pg, start_link, [?PG]}},
		#{id => gun_rs_pools_sup, start => {gun_rs_pools_sup, start_link, []}, type => supervisor}
	].

%% @doc Makes the caller the process of this pool, unless there is one.
-spec enter(gun_rs_pool_options:key(), gun_rs_native:pool()) -> ok | {error, {already_started, pid()}}.
enter(Key, Native) ->
	case ets:insert_new(?MODULE, {{pool, Key}, self(), Native}) of
		true ->
			true = ets:insert(?MODULE, {{process, self()}, Native, Key}),
			join(Key);
		false ->
			case ets:lookup(?MODULE, {pool, Key}) of
				[{_, Pid, _}] when Pid =/= self() ->
					case is_process_alive(Pid) of
						true ->
							{error, {already_started, Pid}};
						%% It was killed.
						false ->
							true = ets:match_delete(?MODULE, {{pool, Key}, Pid, '_'}),
							true = ets:delete(?MODULE, {process, Pid}),
							enter(Key, Native)
					end;
				_ ->
					enter(Key, Native)
			end
	end.

%% @doc Lets other nodes find the pool of the caller. Where pg has been started again, it knows nothing.
-spec join(gun_rs_pool_options:key()) -> ok.
join(Key) ->
	case lists:member(self(), pg:get_local_members(?PG, Key)) of
		true -> ok;
		false -> pg:join(?PG, Key, self())
	end.

%% @doc The pool of the caller is no more.
-spec leave(gun_rs_pool_options:key()) -> ok.
leave(Key) ->
	true = ets:match_delete(?MODULE, {{pool, Key}, self(), '_'}),
	true = ets:delete(?MODULE, {process, self()}),
	ok.

%% @doc The pool, or else one of another node.
-spec find(gun_rs_pool_options:key()) -> {here, pool()} | {elsewhere, pid()} | none | not_started.
find(Key) ->
	try ets:lookup(?MODULE, {pool, Key}) of
		[{_, Pid, Native}] -> {here, {Pid, Native}};
		[] -> elsewhere([Pid || Pid <- pg:get_members(?PG, Key), node(Pid) =/= node()])
	catch error:badarg ->
		not_started
	end.

elsewhere([]) -> none;
elsewhere(Pids) -> {elsewhere, lists:nth(rand:uniform(length(Pids)), Pids)}.

%% @doc The pool of this node that has this process.
-spec of_process(pid()) -> {here, pool()} | none.
of_process(Pid) ->
	try
		{here, {Pid, ets:lookup_element(?MODULE, {process, Pid}, 2)}}
	catch error:badarg ->
		none
	end.

%% @doc By what the pool of this process is found.
-spec key(pid()) -> gun_rs_pool_options:key() | {undefined, undefined}.
key(Pid) ->
	try
		ets:lookup_element(?MODULE, {process, Pid}, 3)
	catch error:badarg ->
		{undefined, undefined}
	end.

%% @doc The processes of the pools of this node.
-spec all() -> [pid()].
all() ->
	try
		[Pid || [Pid] <- ets:match(?MODULE, {{pool, '_'}, '$1', '_'})]
	catch error:badarg ->
		[]
	end.

%% @doc What the setup_fun of a pool says of a connection.
-spec set_meta(ConnPid :: pid(), Meta :: map()) -> ok.
set_meta(ConnPid, Meta) when map_size(Meta) =:= 0 ->
	forget(ConnPid);
set_meta(ConnPid, Meta) ->
	true = ets:insert(?MODULE, {{meta, ConnPid}, Meta}),
	ok.

-spec meta(ConnPid :: pid()) -> map().
meta(ConnPid) ->
	try
		ets:lookup_element(?MODULE, {meta, ConnPid}, 2)
	catch error:badarg ->
		#{}
	end.

-spec forget(ConnPid :: pid()) -> ok.
forget(ConnPid) ->
	true = ets:delete(?MODULE, {meta, ConnPid}),
	ok.

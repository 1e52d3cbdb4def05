%% @private How the last connections of this node ended that never were up, or that speak an
%% older dialect: for those who wait for a connection that is gone.
-module(gun_rs_exits).

-export([start/0]).
-export([remember/3]).
-export([reason/1]).
-export([dialect/1]).

%% How many are remembered.
-define(MAX, 1024).

%% @doc Makes the table. It belongs to the calling process.
-spec start() -> ok.
start() ->
	?MODULE = ets:new(?MODULE, [named_table, public, {write_concurrency, true}]),
	true = ets:insert(?MODULE, {last, 0}),
	ok.

%% @doc Remembers with which reason the connection exits, or noproc as long as it does not, and
%% its dialect, in place of the oldest one.
-spec remember(ConnPid :: pid(), Reason :: term(), gun_rs_options:dialect()) -> ok.
remember(ConnPid, Reason, Dialect) ->
	try ets:update_element(?MODULE, ConnPid, [{2, Reason}, {3, Dialect}]) of
		true -> ok;
		false -> remember_new(ConnPid, Reason, Dialect)
	%% Without the application there is nobody to remember it for.
	catch error:badarg ->
		ok
	end.

remember_new(ConnPid, Reason, Dialect) ->
	try
		Slot = ets:update_counter(?MODULE, last, {2, 1, ?MAX, 1}),
		_ = [ets:delete(?MODULE, Oldest) || {_, Oldest} <- ets:lookup(?MODULE, Slot)],
		true = ets:insert(?MODULE, [{Slot, ConnPid}, {ConnPid, Reason, Dialect}]),
		ok
	catch error:badarg ->
		ok
	end.

%% @doc With which reason a connection of this node has exited; noproc if that is not known.
-spec reason(ConnPid :: pid()) -> Reason :: term().
reason(ConnPid) ->
	try
		ets:lookup_element(?MODULE, ConnPid, 2)
	catch error:badarg ->
		noproc
	end.

%% @doc In which dialect the connection spoke; undefined if that is not known.
-spec dialect(ConnPid :: pid()) -> gun_rs_options:dialect() | undefined.
dialect(ConnPid) ->
	try
		ets:lookup_element(?MODULE, ConnPid, 3)
	catch error:badarg ->
		undefined
	end.

%% @private Why the last connections of this node ended that never were up: for those who wait
%% for a connection that has failed before they could monitor it.
-module(gun_rs_exits).

-export([start/0]).
-export([remember/1]).
-export([reason/1]).

%% How many are remembered.
-define(MAX, 1024).

%% @doc Makes the table. It belongs to the calling process.
-spec start() -> ok.
start() ->
	?MODULE = ets:new(?MODULE, [named_table, public, {write_concurrency, true}]),
	true = ets:insert(?MODULE, {last, 0}),
	ok.

%% @doc Remembers with which reason the calling process exits, in place of the oldest one.
-spec remember(Reason :: term()) -> ok.
remember(Reason) ->
	try
		Slot = ets:update_counter(?MODULE, last, {2, 1, ?MAX, 1}),
		_ = [ets:delete(?MODULE, Oldest) || {_, Oldest} <- ets:lookup(?MODULE, Slot)],
		true = ets:insert(?MODULE, [{Slot, self()}, {self(), Reason}]),
		ok
	%% Without the application there is nobody to remember it for.
	catch error:badarg ->
		ok
	end.

%% @doc With which reason the connection has exited; noproc if that is not known.
-spec reason(ConnPid :: pid()) -> Reason :: term().
reason(ConnPid) when node(ConnPid) =/= node() ->
	try
		erpc:call(node(ConnPid), ?MODULE, reason, [ConnPid], 5000)
	catch _:_ ->
		noproc
	end;
reason(ConnPid) ->
	try
		ets:lookup_element(?MODULE, ConnPid, 2)
	catch error:badarg ->
		noproc
	end.

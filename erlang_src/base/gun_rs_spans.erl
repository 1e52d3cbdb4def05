%% @private What has a beginning and an end for telemetry: each has one end, also if the process that has begun it dies.
%%
%% A process executes its events itself, and keeps what it has begun in a table. Of processes that have died, however
%% they have, this one executes the ends that are missing.
-module(gun_rs_spans).
-behaviour(gen_server).

-export([new_table/0]).
-export([start_link/0]).
-export([start/3]).
-export([open/4]).
-export([stop/4]).
-export([exception/4]).
-export([annotate/3]).
-export([metadata/2]).
-export([end_all/1]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).

%% How it ends with its process: by an exception, or by a stop with the measurements and metadata that an exported function
%% returns, to which the reason is given before Args. No fun: its module may be purged before the end.
-type death() :: exception | {module(), Function :: atom(), Args :: [term()]}.

-type key() :: {pid(), gun_rs_telemetry:name(), Key :: term()}.
-type row() :: {key(), Start :: integer(), gun_rs_telemetry:metadata(), death()}.

%% @doc Makes the table. It belongs to the calling process.
-spec new_table() -> ok.
new_table() ->
	?MODULE = ets:new(?MODULE, [named_table, public, ordered_set, {write_concurrency, true}]),
	ok.

-spec start_link() -> gen_server:start_ret().
start_link() ->
	gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc Begins a span of the calling process, and executes its start. False where no events are executed.
-spec start(gun_rs_telemetry:name(), Key :: term(), gun_rs_telemetry:metadata()) -> boolean().
start(Name, Key, Metadata) ->
	case insert(Name, Key, Metadata, exception) of
		{true, Now} ->
			Measurements = #{monotonic_time => Now, system_time => erlang:system_time()},
			ok = gun_rs_telemetry:execute(Name ++ [start], Measurements, Metadata),
			true;
		false ->
			false
	end.

%% @doc Begins one of which only the end is executed.
-spec open(gun_rs_telemetry:name(), Key :: term(), gun_rs_telemetry:metadata(), death()) -> boolean().
open(Name, Key, Metadata, Death) ->
	insert(Name, Key, Metadata, Death) =/= false.

%% It stands in the table before anybody hears of it: whoever hears of a start hears of its end.
insert(Name, Key, Metadata, Death) ->
	case gun_rs_telemetry:is_on() andalso is_watched() of
		true ->
			Now = erlang:monotonic_time(),
			try
				true = ets:insert(?MODULE, {{self(), Name, Key}, Now, Metadata, Death}),
				{true, Now}
			%% The application stops.
			catch error:badarg ->
				false
			end;
		false ->
			false
	end.

%% The watcher may have been started again.
is_watched() ->
	case whereis(?MODULE) of
		undefined ->
			false;
		Watcher ->
			_ = [gen_server:cast(Watcher, {watch, self()}) || put(?MODULE, Watcher) =/= Watcher],
			true
	end.

%% @doc Ends a span with these measurements and metadata beside those that it has. Without effect if it has ended.
-spec stop(gun_rs_telemetry:name(), Key :: term(), gun_rs_telemetry:measurements(), gun_rs_telemetry:metadata()) -> ok.
stop(Name, Key, Measurements, Metadata) ->
	_ = [stopped(Row, Measurements, Metadata) || Row <- take({self(), Name, Key})],
	ok.

%% @doc Ends it by an exception.
-spec exception(gun_rs_telemetry:name(), Key :: term(), Reason :: term(), gun_rs_telemetry:metadata()) -> ok.
exception(Name, Key, Reason, Metadata) ->
	_ = [failed(Row, Reason, Metadata) || Row <- take({self(), Name, Key})],
	ok.

%% @doc Adds to the metadata of its end.
-spec annotate(gun_rs_telemetry:name(), Key :: term(), gun_rs_telemetry:metadata()) -> ok.
annotate(Name, Key, More) ->
	_ = try
		[ets:update_element(?MODULE, {self(), Name, Key}, {3, maps:merge(Metadata, More)}) || Metadata <- metadata(Name, Key)]
	catch error:badarg ->
		ok
	end,
	ok.

%% @doc The metadata of a span that has not ended, in a list, which is empty if it has.
-spec metadata(gun_rs_telemetry:name(), Key :: term()) -> [gun_rs_telemetry:metadata()].
metadata(Name, Key) ->
	try
		[Metadata || {_, _, Metadata, _} <- ets:lookup(?MODULE, {self(), Name, Key})]
	catch error:badarg ->
		[]
	end.

%% @doc Ends all of the calling process, as its death would.
-spec end_all(Reason :: term()) -> ok.
end_all(Reason) ->
	end_all(self(), Reason).

%% The last begun first, since it may be a part of those before.
end_all(Pid, Reason) ->
	Rows = rows(Pid),
	_ = [ended(Row, Reason) || {_, Key} <- lists:reverse(lists:sort([{Start, Key} || {Key, Start, _, _} <- Rows])),
		Row <- take(Key)],
	ok.

-spec rows(pid() | '_') -> [row()].
rows(Pid) ->
	try
		ets:select(?MODULE, [{{{Pid, '_', '_'}, '_', '_', '_'}, [], ['$_']}])
	catch error:badarg ->
		[]
	end.

-spec take(key()) -> [row()].
take(Key) ->
	try
		ets:take(?MODULE, Key)
	catch error:badarg ->
		[]
	end.

ended(Row={_, _, _, exception}, Reason) ->
	failed(Row, Reason, #{});
ended(Row={_, _, _, {Module, Function, Args}}, Reason) ->
	try apply(Module, Function, [Reason|Args]) of
		{Measurements, Metadata} -> stopped(Row, Measurements, Metadata)
	%% The watcher has others to end.
	catch Class:Fault:Stacktrace ->
		logger:error("gun_rs telemetry: ~p:~p/~p failed: ~p:~p at ~p", [Module, Function, length(Args) + 1, Class, Fault,
			gun_rs_secrets:without_arguments(Stacktrace)]),
		failed(Row, Reason, #{})
	end.

stopped({{_, Name, _}, Start, Metadata, _}, Measurements, More) ->
	gun_rs_telemetry:execute(Name ++ [stop], maps:merge(times(Start), Measurements), maps:merge(Metadata, More)).

failed({{_, Name, _}, Start, Metadata, _}, Reason, More) ->
	Cause = gun_rs_telemetry:cause(Reason),
	gun_rs_telemetry:execute(Name ++ [exception], times(Start), maps:merge(maps:merge(Metadata, More), Cause)).

times(Start) ->
	Now = erlang:monotonic_time(),
	#{monotonic_time => Now, duration => Now - Start}.

%% The watcher.

-spec init([]) -> {ok, []}.
init([]) ->
	_ = process_flag(trap_exit, true),
	_ = [monitor(process, Pid) || Pid <- lists:usort([Pid || {{Pid, _, _}, _, _, _} <- rows('_')])],
	{ok, []}.

-spec handle_call(term(), gen_server:from(), []) -> {reply, ok | {error, bad_call}, []}.
%% All that has died before has its ends.
handle_call(sync, _, State) ->
	{reply, ok, State};
handle_call(_, _, State) ->
	{reply, {error, bad_call}, State}.

-spec handle_cast(term(), []) -> {noreply, []}.
handle_cast({watch, Pid}, State) ->
	_ = monitor(process, Pid),
	{noreply, State};
handle_cast(_, State) ->
	{noreply, State}.

-spec handle_info(term(), []) -> {noreply, []}.
handle_info({'DOWN', _, process, Pid, Reason}, State) ->
	ok = end_all(Pid, Reason),
	{noreply, State};
handle_info(_, State) ->
	{noreply, State}.

%% It is the last to be ended: what there is has no process any more.
-spec terminate(term(), []) -> ok.
terminate(Reason, _) ->
	_ = [ok = end_all(Pid, Reason) || Pid <- lists:usort([Pid || {{Pid, _, _}, _, _, _} <- rows('_')])],
	ok.

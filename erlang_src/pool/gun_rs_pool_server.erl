%% @private The process of a pool. It owns the connections, opens them, replaces them, and serves the callers that wait;
%% callers for whom a connection is free do not ask it.
-module(gun_rs_pool_server).
-behaviour(gen_server).

-export([start_link/1]).
-export([checkout/2]).
-export([await_up/2]).
-export([info/1]).
-export([init/1]).
-export([handle_continue/2]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).

-record(pool, {
	config :: gun_rs_pool_options:config(),
	native :: gun_rs_native:pool(),
	members = #{} :: #{pid() => gun_rs_pool_member:member()},
	%% How many connections there are to be.
	wanted :: pos_integer(),
	queue :: gun_rs_pool_queue:queue(),
	%% Those in a row that were of no use, and the timer until the next is opened.
	failures = 0 :: non_neg_integer(),
	pause :: undefined | reference(),
	%% Who waits until the pool is operational, and until when.
	awaiting = [] :: [{gen_server:from(), Deadline :: integer()}]
}).

%% In ms.
-define(CALL_TIMEOUT, 5000).
-define(SETUP_TIMEOUT, 60000).
-define(FIRST_PAUSE, 100).
-define(TICK, 1000).

-spec start_link(gun_rs_pool_options:config()) -> {ok, pid()} | ignore | {error, term()}.
start_link(Hidden) ->
	gen_server:start_link(?MODULE, Hidden, []).

%% @doc Waits for a connection, behind those who have come before, for so many ms at most.
-spec checkout(pid(), Ms :: timeout()) -> {ok, ConnPid :: pid(), gun_rs_native:lease()} | {error, atom()}.
checkout(Pid, Ms) ->
	try
		gen_server:call(Pid, {checkout, Ms}, case Ms of infinity -> infinity; _ -> Ms + ?CALL_TIMEOUT end)
	catch
		exit:{timeout, _} -> {error, checkout_timeout};
		exit:_ -> {error, pool_stopped}
	end.

%% @doc Waits until the pool is operational. Exits when that takes longer.
-spec await_up(pid(), Ms :: non_neg_integer()) -> ok.
await_up(Pid, Ms) ->
	gen_server:call(Pid, {await_up, Ms}, Ms).

-spec info(pid()) -> {degraded | operational, map()}.
info(Pid) ->
	gen_server:call(Pid, info, ?CALL_TIMEOUT).

-spec init(gun_rs_pool_options:config()) -> {ok, #pool{}, {continue, open}} | ignore | {stop, term()}.
init(Config=#{key := Key, min := Min}) ->
	_ = process_flag(trap_exit, true),
	ok = gun_rs_label:set(fun() -> {Scope, Authority} = Key, {gun_rs, pool, Authority, Scope} end),
	case gun_rs_native:pool_new() of
		{ok, Native} ->
			case gun_rs_pools:enter(Key, Native) of
				ok ->
					_ = erlang:send_after(interval(Config), self(), tick),
					Queue = gun_rs_pool_queue:new(max_waiting(Config)),
					{ok, #pool{config=Config, native=Native, wanted=Min, queue=Queue}, {continue, open}};
				{error, {already_started, _}} ->
					ignore
			end;
		{error, not_started} ->
			{stop, {not_started, gun_rs}}
	end.

max_waiting(#{checkout_queue := #{max := Max}}) -> Max;
max_waiting(_) -> 1.

%% Often enough for what has the shortest time.
interval(#{idle_timeout := Idle, max_age := MaxAge, health := Health}) ->
	Times = [Idle div 4 || Idle =/= infinity] ++ [MaxAge div 10 || MaxAge =/= infinity]
		++ case Health of
			false -> [];
			#{interval := Interval, timeout := Timeout} -> [Interval div 4, Timeout div 2]
		end,
	max(10, lists:min([?TICK|Times])).

-spec handle_continue(open, #pool{}) -> {noreply, #pool{}}.
handle_continue(open, Pool) ->
	{noreply, open_missing(Pool)}.

%% Where a stream was over just now, whoever asks need not wait.
-spec handle_call(term(), gen_server:from(), #pool{}) -> {noreply, #pool{}} | {reply, term(), #pool{}}.
handle_call({checkout, Ms}, From, Pool=#pool{config=#{checkout_queue := Queue}}) when is_map(Queue) ->
	enqueue(From, min(Ms, maps:get(timeout, Queue)), Pool);
handle_call({checkout, _}, {Caller, _}, Pool=#pool{config=#{key := Key}, native=Native}) ->
	case gun_rs_native:pool_next(Native) of
		{ConnPid, Lease} ->
			ok = gun_rs_pool_telemetry:answered(Key, Caller, {ok, ConnPid}),
			{reply, {ok, ConnPid, Lease}, Pool};
		full ->
			ok = gun_rs_pool_telemetry:answered(Key, Caller, {error, no_connection_available}),
			{reply, {error, no_connection_available}, grow(1, Pool)}
	end;
handle_call({await_up, Ms}, From, Pool=#pool{awaiting=Awaiting}) ->
	case state_name(Pool) of
		operational -> {reply, ok, Pool};
		degraded -> {noreply, Pool#pool{awaiting=[{From, now_ms() + Ms}|Awaiting]}}
	end;
handle_call(info, _, Pool) ->
	{reply, {state_name(Pool), info_map(Pool)}, Pool};
handle_call(_, _, Pool) ->
	{reply, {error, bad_call}, Pool}.

-spec handle_cast(term(), #pool{}) -> {noreply, #pool{}}.
handle_cast(_, Pool) ->
	{noreply, Pool}.

%% What the setup of a connection has to do with other streams is its own concern: their messages are not looked at.
-spec handle_info(term(), #pool{}) -> {noreply, #pool{}}.
handle_info({gun_rs_native, stream_over}, Pool) ->
	{noreply, serve(drain(Pool))};
handle_info(Message={gun_up, ConnPid, _}, Pool) ->
	{noreply, setup(ConnPid, Message, Pool)};
handle_info(Message={gun_upgrade, ConnPid, _, _, _}, Pool) ->
	{noreply, setup(ConnPid, Message, Pool)};
handle_info({gun_response, ConnPid, _, _, Status, _}, Pool) ->
	{noreply, setup_failed(ConnPid, {refused, Status}, Pool)};
handle_info({gun_error, ConnPid, _, Reason}, Pool) ->
	{noreply, setup_failed(ConnPid, Reason, Pool)};
handle_info({gun_error, ConnPid, Reason}, Pool) ->
	{noreply, setup_failed(ConnPid, Reason, Pool)};
handle_info({gun_down, ConnPid, _, _, _}, Pool) ->
	{noreply, down(ConnPid, Pool)};
%% In the older dialects.
handle_info({gun_down, ConnPid, _, _, _, _}, Pool) ->
	{noreply, down(ConnPid, Pool)};
handle_info({gun_notify, ConnPid, settings_changed, Settings}, Pool) ->
	{noreply, with_member(ConnPid, fun(Member) -> gun_rs_pool_member:settings(Settings, Member) end, Pool)};
handle_info({gun_notify, ConnPid, ping_ack, PingRef}, Pool) ->
	{noreply, with_member(ConnPid, fun(Member) -> gun_rs_pool_member:pong(PingRef, Member) end, Pool)};
handle_info({timeout, Timer, checkout}, Pool) ->
	{noreply, waits_no_longer(Timer, {error, checkout_timeout}, Pool)};
handle_info({timeout, Timer, open}, Pool=#pool{pause=Timer}) ->
	{noreply, open_missing(Pool#pool{pause=undefined})};
handle_info({'DOWN', Monitor, process, Pid, _}, Pool=#pool{members=Members}) ->
	case Members of
		#{Pid := Member} -> {noreply, gone(Pid, Member, Pool)};
		_ -> {noreply, waits_no_longer(Monitor, dead, Pool)}
	end;
handle_info(tick, Pool=#pool{config=Config}) ->
	_ = erlang:send_after(interval(Config), self(), tick),
	%% The lease of a caller that has died is given back when nobody has it any more: this process had it too.
	true = erlang:garbage_collect(),
	{noreply, serve(tick(now_ms(), Pool))};
handle_info(_, Pool) ->
	{noreply, Pool}.

%% The connections end with their owner, as any connection does.
-spec terminate(term(), #pool{}) -> ok.
terminate(_, #pool{config=#{key := Key}, members=Members, queue=Queue}) ->
	ok = gun_rs_pools:leave(Key),
	_ = [ok = gun_rs_pools:forget(ConnPid) || ConnPid <- maps:keys(Members)],
	_ = [gen_server:reply(From, {error, pool_stopped}) || From <- gun_rs_pool_queue:to_list(Queue)],
	gun_rs_spans:end_all(pool_stopped).

now_ms() ->
	erlang:monotonic_time(millisecond).

%% Callers that wait.

enqueue(From={Caller, _}, Ms, Pool=#pool{config=#{key := Key}, native=Native, queue=Queue0}) ->
	Ref = monitor(process, Caller),
	Marks = [Ref, erlang:start_timer(Ms, self(), checkout)],
	case gun_rs_pool_queue:in(From, Marks, Queue0) of
		{ok, Queue} ->
			ok = gun_rs_pool_telemetry:waits(Ref, Key, Caller),
			%% Before it is looked again, so that no stream ends unseen in between.
			ok = gun_rs_native:pool_waiting(Native, true),
			{noreply, serve(Pool#pool{queue=Queue})};
		full ->
			ok = unmark(Marks),
			ok = gun_rs_pool_telemetry:answered(Key, Caller, {error, checkout_queue_full}),
			{reply, {error, checkout_queue_full}, Pool}
	end.

unmark([Monitor, Timer]) ->
	true = demonitor(Monitor, [flush]),
	_ = erlang:cancel_timer(Timer, [{async, true}, {info, false}]),
	ok.

%% Gives those who wait what is free, in their order.
serve(Pool=#pool{native=Native, queue=Queue0}) ->
	case gun_rs_pool_queue:count(Queue0) of
		0 ->
			ok = gun_rs_native:pool_waiting(Native, false),
			Pool;
		Waiting ->
			case gun_rs_native:pool_next(Native) of
				{ConnPid, Lease} ->
					{From, Marks=[Ref|_], Queue} = gun_rs_pool_queue:out(Queue0),
					ok = unmark(Marks),
					ok = gun_rs_pool_telemetry:served(Ref, ConnPid),
					_ = gen_server:reply(From, {ok, ConnPid, Lease}),
					serve(Pool#pool{queue=Queue});
				full ->
					grow(Waiting, Pool)
			end
	end.

waits_no_longer(Mark, Answer, Pool=#pool{queue=Queue0}) ->
	case gun_rs_pool_queue:drop(Mark, Queue0) of
		{From, Marks=[Ref|_], Queue} ->
			ok = unmark(Marks),
			ok = gun_rs_pool_telemetry:left(Ref, case Answer of {error, Reason} -> Reason; dead -> caller_down end),
			_ = [gen_server:reply(From, Answer) || Answer =/= dead],
			serve(Pool#pool{queue=Queue});
		none ->
			Pool
	end.

%% Connections.

%% So many streams have no place: connections that come up soon count for one each.
grow(_, Pool=#pool{config=#{max := Max}, wanted=Max}) ->
	Pool;
grow(Streams, Pool=#pool{config=#{max := Max}, members=Members, wanted=Wanted}) ->
	Coming = length([M || M <- maps:values(Members), gun_rs_pool_member:serves(M), not gun_rs_pool_member:is_up(M)]),
	open_missing(Pool#pool{wanted=min(Max, Wanted + max(0, Streams - Coming))}).

open_missing(Pool=#pool{pause=Pause, members=Members, wanted=Wanted}) ->
	Serving = length([M || M <- maps:values(Members), gun_rs_pool_member:serves(M)]),
	case Pause =:= undefined andalso Serving < Wanted of
		true -> open_missing(open(Pool));
		false -> Pool
	end.

open(Pool=#pool{config=Config, members=Members}) ->
	#{host := Host, port := Port, conn_opts := ConnOpts} = gun_rs_pool_options:reveal(Config),
	case gun_rs:open(Host, Port, ConnOpts) of
		{ok, ConnPid} ->
			Member = gun_rs_pool_member:new(ConnPid, monitor(process, ConnPid), now_ms(), max_age(Config)),
			Pool#pool{members=Members#{ConnPid => Member}};
		{error, _} ->
			pause(Pool)
	end.

%% Not all of them come to their age together.
max_age(#{max_age := infinity}) -> infinity;
max_age(#{max_age := MaxAge, max_age_jitter := Jitter}) -> max(1, MaxAge - round(rand:uniform() * Jitter * MaxAge)).

%% The pauses double, and a part of each is left to chance, so that the clients of a server do not come back together.
pause(Pool=#pool{pause=undefined, failures=Failures, config=#{backoff := #{max := Max, jitter := Jitter}}}) ->
	Longest = min(Max, ?FIRST_PAUSE bsl min(Failures, 24)),
	Pause = Longest - round(rand:uniform() * Jitter * Longest),
	Pool#pool{failures=Failures + 1, pause=erlang:start_timer(Pause, self(), open)};
pause(Pool) ->
	Pool.

setup(ConnPid, Message, Pool=#pool{config=#{setup_fun := Setup}, members=Members}) ->
	case Members of
		#{ConnPid := Member0} ->
			case gun_rs_pool_member:setup(Message, Setup, Member0) of
				{ok, Member} -> changed(ConnPid, Member, Pool);
				{error, Reason} -> give_up(ConnPid, Reason, Pool)
			end;
		_ ->
			Pool
	end.

setup_failed(ConnPid, Reason, Pool=#pool{members=Members}) ->
	case [M || #{ConnPid := M} <- [Members], {setup, _} <- [gun_rs_pool_member:state(M)]] of
		[_] -> give_up(ConnPid, Reason, Pool);
		[] -> Pool
	end.

%% Another connection takes its place, after a pause.
give_up(ConnPid, Reason, Pool=#pool{config=#{key := {_, Authority}}}) ->
	logger:warning("The setup of a connection of the gun_rs pool ~ts failed: ~tp", [Authority, Reason]),
	ok = end_now(ConnPid),
	down(ConnPid, Pool).

%% One that isn't supervised can't be closed.
end_now(ConnPid) ->
	case gun_rs:close(ConnPid) of
		ok ->
			ok;
		{error, _} ->
			true = exit(ConnPid, kill),
			ok
	end.

changed(ConnPid, Member, Pool0=#pool{members=Members}) ->
	ok = case gun_rs_pool_member:state(Member) of
		{up, _, Meta} -> gun_rs_pools:set_meta(ConnPid, Meta);
		_ -> ok
	end,
	Pool = publish(retire_aged(Member, Pool0#pool{members=Members#{ConnPid := Member}})),
	serve(drain(tell_awaiting(Pool))).

tell_awaiting(Pool=#pool{awaiting=Awaiting}) ->
	case state_name(Pool) of
		operational ->
			_ = [gen_server:reply(From, ok) || {From, _} <- Awaiting],
			Pool#pool{awaiting=[]};
		degraded ->
			Pool
	end.

with_member(ConnPid, Change, Pool=#pool{members=Members}) ->
	case Members of
		#{ConnPid := Member} -> changed(ConnPid, Change(Member), Pool);
		_ -> Pool
	end.

down(ConnPid, Pool) ->
	ok = gun_rs_pools:forget(ConnPid),
	with_member(ConnPid, fun gun_rs_pool_member:down/1, Pool).

%% The process of a connection is no more.
gone(ConnPid, Member, Pool0=#pool{config=#{min := Min}, members=Members, queue=Queue, wanted=Wanted}) ->
	ok = gun_rs_pools:forget(ConnPid),
	Pool = publish(Pool0#pool{members=maps:remove(ConnPid, Members)}),
	case {gun_rs_pool_member:serves(Member), gun_rs_pool_member:has_lived(now_ms(), Member)} of
		{false, _} ->
			Pool;
		{true, HasLived} ->
			%% Those beyond the least number come again when they are needed.
			Needed = case gun_rs_pool_queue:count(Queue) of
				0 -> max(Min, Wanted - 1);
				_ -> Wanted
			end,
			replace(HasLived, Pool#pool{wanted=Needed})
	end.

replace(true, Pool) -> open_missing(Pool#pool{failures=0});
replace(false, Pool) -> pause(Pool).

%% Tells the native side which connections there are, the oldest first, so that the surplus is used last.
publish(Pool=#pool{native=Native, config=#{min := Min, max_streams := MaxStreams}, members=Members}) ->
	Sorted = lists:sort([{not gun_rs_pool_member:is_replaced(M), Pid, gun_rs_pool_member:limit(MaxStreams, M)}
		|| {Pid, M} <- maps:to_list(Members)]),
	ok = gun_rs_native:pool_set(Native, [{Pid, Limit} || {_, Pid, Limit} <- Sorted], shared(Sorted, Min)),
	Pool.

%% Those that retire have their place in the list, too.
shared(Sorted, Min) ->
	shared(Sorted, Min, 0).

shared(_, 0, N) -> N;
shared([], _, N) -> N;
shared([{_, _, 0}|Tail], Min, N) -> shared(Tail, Min, N + 1);
shared([_|Tail], Min, N) -> shared(Tail, Min - 1, N + 1).

%% What time brings.

tick(Now, Pool0=#pool{config=#{key := Key}, native=Native, members=Members0, awaiting=Awaiting}) ->
	ok = gun_rs_pools:join(Key),
	Counted = lists:foldl(fun({ConnPid, Open, Opened}, Members) ->
		case Members of
			#{ConnPid := Member} -> Members#{ConnPid := gun_rs_pool_member:count(Now, Open, Opened, Member)};
			_ -> Members
		end
	end, Members0, gun_rs_native:pool_streams(Native)),
	Members = maps:map(fun(_, Member) -> gun_rs_pool_member:age(Now, Member) end, Counted),
	Pool1 = evict(Now, Pool0#pool{members=Members, awaiting=[A || A={_, Deadline} <- Awaiting, Now < Deadline]}),
	Pool = lists:foldl(fun(Member, Pool2) -> look_after(Now, Member, Pool2) end, Pool1, maps:values(Pool1#pool.members)),
	drain(publish(open_missing(Pool))).

%% Those beyond the least number that nobody has needed for so long.
evict(_, Pool=#pool{config=#{idle_timeout := infinity}}) ->
	Pool;
evict(Now, Pool=#pool{config=#{idle_timeout := Timeout, min := Min}, members=Members, wanted=Wanted}) ->
	Idle = [{Pid, M} || {Pid, M} <- maps:to_list(Members), gun_rs_pool_member:serves(M),
		gun_rs_pool_member:idle_for(Now, M) >= Timeout],
	Surplus = lists:sublist(lists:reverse(lists:sort(Idle)), max(0, Wanted - Min)),
	Retired = maps:from_list([{Pid, gun_rs_pool_member:retire(Now, M)} || {Pid, M} <- Surplus]),
	Pool#pool{members=maps:merge(Members, Retired), wanted=Wanted - length(Surplus)}.

look_after(Now, Member, Pool=#pool{config=#{health := Health}, members=Members}) ->
	ConnPid = gun_rs_pool_member:pid(Member),
	case gun_rs_pool_member:setup_for(Now, Member) > ?SETUP_TIMEOUT of
		true ->
			give_up(ConnPid, timeout, Pool);
		false when Health =:= false ->
			Pool;
		false ->
			case gun_rs_pool_member:health(Now, Health, Member) of
				ping ->
					Pinged = gun_rs_pool_member:ping(Now, gun_rs:ping(ConnPid), Member),
					Pool#pool{members=Members#{ConnPid := Pinged}};
				dead ->
					ok = end_now(ConnPid),
					Pool;
				ok ->
					Pool
			end
	end.

%% One that is too old goes when another one is up.
retire_aged(New, Pool=#pool{members=Members}) ->
	case gun_rs_pool_member:is_up(New) andalso gun_rs_pool_member:serves(New) of
		true ->
			Aged = [Pid || {Pid, M} <- maps:to_list(Members), gun_rs_pool_member:is_replaced(M)],
			Serving = length([M || M <- maps:values(Members), gun_rs_pool_member:serves(M), gun_rs_pool_member:is_up(M)]),
			Retired = lists:sublist(lists:sort(Aged), max(0, length(Aged) + Serving - Pool#pool.wanted)),
			Pool#pool{members=maps:map(fun(Pid, M) ->
				case lists:member(Pid, Retired) of
					true -> gun_rs_pool_member:retire(now_ms(), M);
					false -> M
				end
			end, Members)};
		false ->
			Pool
	end.

%% Those that retire end when their last stream is over.
drain(Pool=#pool{native=Native, members=Members}) ->
	Now = now_ms(),
	Retiring = [Pid || {Pid, M} <- maps:to_list(Members), gun_rs_pool_member:retires(M)],
	Open = case Retiring of
		[] -> #{};
		_ -> maps:from_list([{Pid, N} || {Pid, N, _} <- gun_rs_native:pool_streams(Native)])
	end,
	_ = [ok = gun_rs:shutdown(Pid) || Pid <- Retiring,
		maps:get(Pid, Open, 0) =:= 0 orelse gun_rs_pool_member:is_overdue(Now, maps:get(Pid, Members))],
	Pool.

%% What there is to know.

%% operational: as many connections as there are to be are up, and set up.
state_name(#pool{members=Members, wanted=Wanted}) ->
	Up = [M || M <- maps:values(Members), gun_rs_pool_member:is_up(M), not gun_rs_pool_member:retires(M)],
	case length(Up) >= Wanted of
		true -> operational;
		false -> degraded
	end.

info_map(#pool{config=Config, native=Native, members=Members, wanted=Wanted, queue=Queue}) ->
	#{key := {Scope, Authority}, host := Host, port := Port, transport := Transport, min := Min, max := Max,
		max_streams := MaxStreams} = Config,
	#{
		authority => Authority,
		conns => maps:map(fun(_, Member) -> gun_rs_pool_member:state(Member) end, Members),
		host => Host,
		limits => maps:map(fun(_, Member) -> gun_rs_pool_member:limit(MaxStreams, Member) end, Members),
		opts => gun_rs_pool_options:shown(Config),
		port => Port,
		scope => Scope,
		size => #{min => Min, max => Max, wanted => Wanted},
		streams => maps:from_list([{Pid, Open} || {Pid, Open, _} <- gun_rs_native:pool_streams(Native)]),
		transport => Transport,
		waiting => gun_rs_pool_queue:count(Queue)
	}.

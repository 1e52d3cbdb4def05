%% @private Sends to processes of this node and of others, for the process behind ConnPid.
%%
%% A node that takes nothing would suspend whoever sends to it, and with it all else that
%% the process does. What can't be sent is kept instead, by node, and is tried again.
%% Nothing is lost or overtaken by it. How much there can be is limited by what the native
%% side sends before it is granted more.
%%
%% It is kept in the process dictionary, because modules of the user's send too.
-module(gun_rs_remote).

-export([send/2]).
-export([retry/1]).
-export([is_empty/0]).
-export([flush/0]).

%% In ms: how soon it is tried again, and how late when nothing has been taken for long.
-define(SOON, 2).
-define(LATE, 64).

%% @doc Sends, or keeps what to send to another node: the process then gets
%% `{gun_rs_remote, Interval}', for retry/1.
-spec send(pid() | reference(), term()) -> term().
send(Pid, Message) when node(Pid) =:= node() ->
	Pid ! Message;
send(Pid, Message) ->
	Node = node(Pid),
	Waiting = waiting(),
	case Waiting of
		#{Node := Queue} ->
			keep(Waiting#{Node := queue:in({Pid, Message}, Queue)});
		_ ->
			case erlang:send(Pid, Message, [nosuspend]) of
				ok ->
					ok;
				nosuspend ->
					_ = [try_again(?SOON) || map_size(Waiting) =:= 0],
					keep(Waiting#{Node => queue:from_list([{Pid, Message}])})
			end
	end.

%% @doc Sends what is kept, as far as it is taken now.
-spec retry(Interval :: pos_integer()) -> ok.
retry(Interval) ->
	Before = waiting(),
	case send_waiting() of
		Left when map_size(Left) =:= 0 -> ok;
		Before -> try_again(min(2 * Interval, ?LATE));
		_ -> try_again(?SOON)
	end.

%% @doc Whether nothing is kept.
-spec is_empty() -> boolean().
is_empty() ->
	map_size(waiting()) =:= 0.

%% @doc Sends all that is kept, for a process that is about to exit: its exit must not come
%% first. A node that is gone for good takes everything, at the latest after net_ticktime.
-spec flush() -> ok.
flush() ->
	case send_waiting() of
		Left when map_size(Left) =:= 0 -> ok;
		_ -> timer:sleep(?SOON), flush()
	end.

waiting() ->
	case get(?MODULE) of
		undefined -> #{};
		Waiting -> Waiting
	end.

keep(Waiting) when map_size(Waiting) =:= 0 ->
	_ = erase(?MODULE),
	ok;
keep(Waiting) ->
	_ = put(?MODULE, Waiting),
	ok.

try_again(Interval) ->
	_ = erlang:send_after(Interval, self(), {?MODULE, Interval}),
	ok.

send_waiting() ->
	Left = maps:filtermap(fun(_, Queue) -> send_queue(Queue) end, waiting()),
	ok = keep(Left),
	Left.

send_queue(Queue) ->
	case queue:peek(Queue) of
		empty ->
			false;
		{value, {Pid, Message}} ->
			case erlang:send(Pid, Message, [nosuspend]) of
				ok -> send_queue(queue:drop(Queue));
				nosuspend -> {true, Queue}
			end
	end.

%% @private The callers that wait for a connection of a pool: first come, first served, no more than a limit, each until
%% its deadline or its death.
-module(gun_rs_pool_queue).

-export([new/1]).
-export([in/3]).
-export([out/1]).
-export([drop/2]).
-export([count/1]).
-export([to_list/1]).

-record(queue, {
	max :: pos_integer(),
	next = 0 :: non_neg_integer(),
	waiting = gb_trees:empty() :: gb_trees:tree(non_neg_integer(), {gen_server:from(), Marks :: [reference()]}),
	%% By the monitor of the caller, and by its timer.
	places = #{} :: #{reference() => non_neg_integer()}
}).
-opaque queue() :: #queue{}.
-export_type([queue/0]).

%% @doc A queue for so many callers.
-spec new(Max :: pos_integer()) -> queue().
new(Max) ->
	#queue{max=Max}.

%% @doc The caller waits behind the others. Marks are references by which drop/2 finds it.
-spec in(gen_server:from(), Marks :: [reference()], queue()) -> {ok, queue()} | full.
in(From, Marks, Queue=#queue{max=Max, next=Next, waiting=Waiting, places=Places}) ->
	case gb_trees:size(Waiting) < Max of
		true ->
			{ok, Queue#queue{
				next=Next + 1,
				waiting=gb_trees:insert(Next, {From, Marks}, Waiting),
				places=maps:merge(Places, maps:from_list([{Mark, Next} || Mark <- Marks]))
			}};
		false ->
			full
	end.

%% @doc The caller that has waited longest.
-spec out(queue()) -> {gen_server:from(), Marks :: [reference()], queue()} | empty.
out(Queue=#queue{waiting=Waiting0, places=Places}) ->
	case gb_trees:is_empty(Waiting0) of
		true ->
			empty;
		false ->
			{_, {From, Marks}, Waiting} = gb_trees:take_smallest(Waiting0),
			{From, Marks, Queue#queue{waiting=Waiting, places=maps:without(Marks, Places)}}
	end.

%% @doc The caller with this mark waits no longer.
-spec drop(Mark :: reference(), queue()) -> {gen_server:from(), Marks :: [reference()], queue()} | none.
drop(Mark, Queue=#queue{waiting=Waiting0, places=Places}) ->
	case Places of
		#{Mark := Place} ->
			{{From, Marks}, Waiting} = gb_trees:take(Place, Waiting0),
			{From, Marks, Queue#queue{waiting=Waiting, places=maps:without(Marks, Places)}};
		_ ->
			none
	end.

-spec count(queue()) -> non_neg_integer().
count(#queue{waiting=Waiting}) ->
	gb_trees:size(Waiting).

%% @doc All of them in their order.
-spec to_list(queue()) -> [gen_server:from()].
to_list(#queue{waiting=Waiting}) ->
	[From || {From, _} <- gb_trees:values(Waiting)].

%% @private One connection of a pool, as the pool's process knows it.
-module(gun_rs_pool_member).

-export([new/4]).
-export([pid/1]).
-export([setup/3]).
-export([down/1]).
-export([settings/2]).
-export([limit/2]).
-export([state/1]).
-export([is_up/1]).
-export([serves/1]).
-export([is_replaced/1]).
-export([retires/1]).
-export([age/2]).
-export([retire/2]).
-export([is_overdue/2]).
-export([has_lived/2]).
-export([count/4]).
-export([idle_for/2]).
-export([setup_for/2]).
-export([health/3]).
-export([ping/3]).
-export([pong/2]).

%% serving --> aging --> retiring --> shut down
%%    |                     ^
%%    +--- not needed ------+
%%
%% One that ages is used until another is up in its place; one that retires has no streams but those that it had.
-type role() :: serving | aging | retiring.

-type state() :: down | {setup, term()} | {up, Protocol :: atom(), Meta :: map()}.
-export_type([state/0]).

-record(member, {
	pid :: pid(),
	monitor :: reference(),
	role = serving :: role(),
	state = down :: state(),
	%% In ms of monotonic time, as all that follow.
	opened :: integer(),
	expires :: integer() | infinity,
	up_since :: undefined | integer(),
	setup_since :: undefined | integer(),
	retired :: undefined | integer(),
	%% How many streams the server of HTTP/2 allows.
	settings = unknown :: unknown | non_neg_integer() | infinity,
	%% How many streams there had been when they were counted last, and since when there has been none.
	counted = 0 :: non_neg_integer(),
	idle_since :: undefined | integer(),
	pinged :: integer(),
	%% The ping that is not answered yet.
	ping :: undefined | reference()
}).
-opaque member() :: #member{}.
-export_type([member/0]).

%% Until SETTINGS have come: no server should allow less (RFC 9113, 6.5.2).
-define(STREAMS, 100).

%% In ms: one that was up for a shorter time has not been of use.
-define(LIVED, 1000).

-spec new(pid(), Monitor :: reference(), Now :: integer(), MaxAge :: pos_integer() | infinity) -> member().
new(Pid, Monitor, Now, infinity) ->
	#member{pid=Pid, monitor=Monitor, opened=Now, pinged=Now, expires=infinity};
new(Pid, Monitor, Now, MaxAge) ->
	#member{pid=Pid, monitor=Monitor, opened=Now, pinged=Now, expires=Now + MaxAge}.

-spec pid(member()) -> pid().
pid(#member{pid=Pid}) -> Pid.

%% @doc Lets the setup_fun see gun_up or gun_upgrade. In an error, it has crashed or returned what it must not.
-spec setup(Message :: tuple(), {gun_rs_pool_options:setup_fun(), term()} | undefined, member())
	-> {ok, member()} | {error, Reason :: term()}.
setup({gun_up, _, Protocol}, undefined, Member) ->
	{ok, up(Protocol, #{}, Member)};
setup(Message={gun_up, _, _}, {Fun, State}, Member) ->
	run(Fun, Message, State, Member#member{setup_since=now_ms()});
setup(Message, {Fun, _}, Member=#member{state={setup, State}}) ->
	run(Fun, Message, State, Member);
%% The connection has been set up, and what its owner does with it besides is not the pool's concern.
setup(_, _, Member) ->
	{ok, Member}.

run(Fun, Message, State0, Member=#member{pid=Pid}) ->
	try Fun(Pid, Message, State0) of
		{setup, State} -> {ok, Member#member{state={setup, State}}};
		{up, Protocol, Meta} when is_atom(Protocol), is_map(Meta) -> {ok, up(Protocol, Meta, Member)};
		Other -> {error, {bad_return_value, Other}}
	catch Class:Reason ->
		{error, {Class, Reason}}
	end.

up(Protocol, Meta, Member) ->
	Now = now_ms(),
	Member#member{state={up, Protocol, Meta}, up_since=Now, setup_since=undefined, idle_since=Now, ping=undefined,
		pinged=Now}.

now_ms() ->
	erlang:monotonic_time(millisecond).

%% @doc The connection is down, and may come up again.
-spec down(member()) -> member().
down(Member) ->
	Member#member{state=down, setup_since=undefined, settings=unknown, ping=undefined}.

%% @doc The server's SETTINGS have come, perhaps during the setup.
-spec settings(Settings :: map(), member()) -> member().
settings(Settings, Member) ->
	Member#member{settings=maps:get(max_concurrent_streams, Settings, infinity)}.

%% @doc How many streams it may have.
-spec limit(MaxStreams :: pos_integer() | undefined, member()) -> non_neg_integer() | infinity.
limit(_, #member{role=retiring}) -> 0;
limit(undefined, #member{state={up, http, _}}) -> 1;
limit(MaxStreams, #member{state={up, http, _}}) -> MaxStreams;
limit(MaxStreams, #member{state={up, http2, _}, settings=unknown}) -> least(?STREAMS, MaxStreams);
limit(MaxStreams, #member{state={up, http2, _}, settings=Streams}) -> least(Streams, MaxStreams);
limit(_, #member{state={up, _, _}}) -> infinity;
limit(_, _) -> 0.

least(Streams, undefined) -> Streams;
least(infinity, MaxStreams) -> MaxStreams;
least(Streams, MaxStreams) -> min(Streams, MaxStreams).

-spec state(member()) -> state().
state(#member{state=State}) -> State.

-spec is_up(member()) -> boolean().
is_up(#member{state=State}) -> is_tuple(State) andalso element(1, State) =:= up.

%% @doc Whether it counts for the size of the pool.
-spec serves(member()) -> boolean().
serves(#member{role=Role}) -> Role =:= serving.

%% @doc Whether another is to take its place.
-spec is_replaced(member()) -> boolean().
is_replaced(#member{role=Role}) -> Role =:= aging.

-spec retires(member()) -> boolean().
retires(#member{role=Role}) -> Role =:= retiring.

%% @doc It ages when it is as old as it may become.
-spec age(Now :: integer(), member()) -> member().
age(Now, Member=#member{role=serving, expires=Expires}) when Now >= Expires -> Member#member{role=aging};
age(_, Member) -> Member.

-spec retire(Now :: integer(), member()) -> member().
retire(Now, Member) -> Member#member{role=retiring, retired=Now}.

%% @doc Whether its last streams have had as long for their end as it had for its life.
-spec is_overdue(Now :: integer(), member()) -> boolean().
is_overdue(_, #member{expires=infinity}) -> false;
is_overdue(Now, #member{role=retiring, opened=Opened, expires=Expires, retired=Retired}) -> Now - Retired >= Expires - Opened;
is_overdue(_, _) -> false.

%% @doc Whether it was of use, so that the next is opened without a pause.
-spec has_lived(Now :: integer(), member()) -> boolean().
has_lived(_, #member{up_since=undefined}) -> false;
has_lived(Now, #member{up_since=Since}) -> Now - Since >= ?LIVED.

%% @doc So many streams there are, and so many there have been.
-spec count(Now :: integer(), Open :: non_neg_integer(), Opened :: non_neg_integer(), member()) -> member().
count(_, 0, Opened, Member=#member{counted=Opened}) -> Member;
count(Now, _, Opened, Member) -> Member#member{counted=Opened, idle_since=Now}.

%% @doc For how many ms there has been no stream.
-spec idle_for(Now :: integer(), member()) -> non_neg_integer().
idle_for(Now, #member{idle_since=undefined, opened=Opened}) -> Now - Opened;
idle_for(Now, #member{idle_since=Since}) -> Now - Since.

%% @doc For how many ms it has been set up.
-spec setup_for(Now :: integer(), member()) -> non_neg_integer().
setup_for(Now, #member{state={setup, _}, setup_since=Since}) when is_integer(Since) -> Now - Since;
setup_for(_, _) -> 0.

%% @doc What its health asks for: a ping, or its end.
-spec health(Now :: integer(), #{interval := pos_integer(), timeout := pos_integer()}, member()) -> ping | dead | ok.
health(Now, #{timeout := Timeout}, #member{ping=Ping, pinged=Pinged}) when Ping =/= undefined, Now - Pinged > Timeout -> dead;
health(Now, #{interval := Interval}, #member{state={up, http2, _}, ping=undefined, pinged=Pinged})
		when Now - Pinged >= Interval -> ping;
health(_, _, _) -> ok.

-spec ping(Now :: integer(), PingRef :: reference(), member()) -> member().
ping(Now, PingRef, Member) -> Member#member{ping=PingRef, pinged=Now}.

-spec pong(PingRef :: reference(), member()) -> member().
pong(PingRef, Member=#member{ping=PingRef}) -> Member#member{ping=undefined};
pong(_, Member) -> Member.

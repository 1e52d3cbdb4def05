%% @private When a connection is tried again, and how often.
-module(gun_rs_retry).

-export([new/1]).
-export([up/1]).
-export([was_up/1]).
-export([left/1]).
-export([down/4]).
-export([next/3]).

-record(retry, {
	%% How many retries are left.
	left :: non_neg_integer(),
	%% In ms of monotonic time; undefined before the connection was up for the first time.
	up_since :: undefined | integer(),
	%% Whether the connection before this one was short-lived.
	hasty = false :: boolean()
}).
-opaque state() :: #retry{}.
-export_type([state/0]).

%% What a connection keeps of its configuration: the options that the user has not given and
%% that have no default are not there.
-type config() :: #{
	retry := non_neg_integer(),
	retry_timeout := gun_rs_options:milliseconds(),
	retry_backoff => #{max := gun_rs_options:milliseconds(), jitter := number()},
	retry_fun => gun_rs_options:retry_fun(),
	opts => gun_rs_options:opts(),
	atom() => term()
}.

-spec new(gun_rs_options:config()) -> state().
new(#{retry := Retries}) ->
	#retry{left=Retries}.

%% @doc The connection is up.
-spec up(state()) -> state().
up(State) ->
	State#retry{up_since=erlang:monotonic_time(millisecond)}.

-spec was_up(state()) -> boolean().
was_up(#retry{up_since=UpSince}) ->
	UpSince =/= undefined.

-spec left(state()) -> non_neg_integer().
left(#retry{left=Left}) ->
	Left.

%% @doc The connection is down, and has served or not. The pause, in ms, is the shortest one
%% before the next attempt.
%%
%% The retries begin anew only after a connection that was of use: a server that takes
%% connections, or upgrades, and then goes away would be asked without an end, and without
%% a rest.
-spec down(gun_rs_native:next(), Served :: boolean(), config(), state()) -> {Pause :: non_neg_integer(), state()}.
down(Next, Served, Config=#{retry := Retry, retry_timeout := Timeout},
		State=#retry{up_since=Since, hasty=Hasty, left=Left}) ->
	Lived = erlang:monotonic_time(millisecond) - Since >= max(1, Timeout),
	{IsRepeated, After} = case Next of
		{reupgrade, Ms} -> {true, Ms};
		_ -> {false, 0}
	end,
	Short = not Lived andalso (IsRepeated orelse not Served),
	Rest = case Short andalso Hasty andalso not is_map_key(retry_fun, Config) of
		true -> Timeout;
		false -> 0
	end,
	NewLeft = case Lived orelse Served of
		true -> Retry;
		false -> Left
	end,
	{max(After, Rest), State#retry{hasty=Short, left=NewLeft}}.

%% @doc After how many ms the next attempt is made, but not before the pause is over. The
%% attempts are counted as in gun: each retry asks retry_fun, the first one too.
-spec next(Pause :: non_neg_integer(), config(), state()) -> none | {Timeout :: non_neg_integer(), state()}.
next(_, _, #retry{left=0}) ->
	none;
next(Pause, Config, State=#retry{left=Left}) ->
	#{retries := NewLeft, timeout := Timeout} = ask(Left, Config),
	{max(Timeout, Pause), State#retry{left=NewLeft}}.

ask(Left, #{retry_fun := Fun, opts := Opts}) ->
	Fun(Left, gun_rs_secrets:reveal_opts(Opts));
%% The first retry after a disconnect, or after the first failure, is immediate.
ask(Left, #{retry := Left}) ->
	#{retries => Left - 1, timeout => 0};
ask(Left, #{retry_backoff := Backoff, retry := Retry, retry_timeout := Timeout}) ->
	#{retries => Left - 1, timeout => backoff(Retry - Left, Timeout, Backoff)};
ask(Left, #{retry_timeout := Timeout}) ->
	#{retries => Left - 1, timeout => Timeout}.

%% The pauses double, up to the longest; a part of each is left to chance, so that those
%% who have lost the same server do not come back together.
backoff(Attempt, Shortest, #{max := Max, jitter := Jitter}) ->
	Longest = min(Max, Shortest bsl min(Attempt, 32)),
	Random = round(min(Longest - Shortest, Longest * Jitter)),
	Longest - rand:uniform(Random + 1) + 1.

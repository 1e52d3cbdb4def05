%% @private The events of telemetry of those who want a connection of a pool: see doc/telemetry.md. Where one is free, the
%% caller executes both; otherwise the process of the pool does, which knows what becomes of those who wait.
-module(gun_rs_pool_telemetry).

-export([taken/3]).
-export([waits/3]).
-export([served/2]).
-export([left/2]).
-export([answered/3]).

-define(QUEUE, [gun_rs, pool, queue]).

%% @doc The calling process has taken a connection that was free. Start is the time before that.
-spec taken(Start :: integer(), Pool :: pid(), ConnPid :: pid()) -> ok.
taken(Start, Pool, ConnPid) ->
	Metadata = metadata(gun_rs_pools:key(Pool), Pool, self()),
	Now = erlang:monotonic_time(),
	ok = gun_rs_telemetry:execute(?QUEUE ++ [start], #{monotonic_time => Start, system_time => erlang:system_time()}, Metadata),
	gun_rs_telemetry:execute(?QUEUE ++ [stop], #{monotonic_time => Now, duration => Now - Start}, Metadata#{conn => ConnPid}).

%% @doc A caller begins to wait, whom this reference names.
-spec waits(reference(), gun_rs_pool_options:key(), Caller :: pid()) -> ok.
waits(Ref, Key, Caller) ->
	_ = gun_rs_telemetry:is_on() andalso gun_rs_spans:start(?QUEUE, Ref, metadata(Key, self(), Caller)),
	ok.

metadata({Scope, Authority}, Pool, Caller) ->
	#{pool => Pool, authority => Authority, scope => Scope, caller => Caller}.

%% @doc It is given a connection.
-spec served(reference(), ConnPid :: pid()) -> ok.
served(Ref, ConnPid) ->
	gun_rs_spans:stop(?QUEUE, Ref, #{}, #{conn => ConnPid}).

%% @doc It is given none.
-spec left(reference(), Reason :: atom()) -> ok.
left(Ref, Reason) ->
	gun_rs_spans:exception(?QUEUE, Ref, Reason, #{}).

%% @doc A caller has its answer at once.
-spec answered(gun_rs_pool_options:key(), Caller :: pid(), {ok, ConnPid :: pid()} | {error, Reason :: atom()}) -> ok.
answered(Key, Caller, Answer) ->
	case gun_rs_telemetry:is_on() of
		true ->
			Ref = make_ref(),
			ok = waits(Ref, Key, Caller),
			case Answer of
				{ok, ConnPid} -> served(Ref, ConnPid);
				{error, Reason} -> left(Ref, Reason)
			end;
		false ->
			ok
	end.

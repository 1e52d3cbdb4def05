%% @private The I/O threads of the native library.
-module(gun_rs_runtime).

-export([start/0]).
-export([resume/0]).
-export([stop/0]).

%% How long the I/O threads may take to end, in ms. They wait for nothing themselves.
-define(STOP_TIMEOUT, 5000).

%% How long connections that are closing may take, and how often it is looked at, in ms: as long as a client has by
%% default for its close frame.
-define(LEAVE_TIMEOUT, 5000).
-define(LEAVE_PERIOD, 10).

%% @doc Starts them, as many as the environment says.
-spec start() -> ok | {error, term()}.
start() ->
	case gun_rs_native:load_error() of
		undefined ->
			start(application:get_env(gun_rs, io_threads, default));
		Reason ->
			%% A node boots without its connections; gun_rs:open/3 says why it has none.
			logger:error("gun_rs has no native library: ~ts", [gun_rs_error:format({nif_not_loaded, Reason})])
	end.

start(default) ->
	gun_rs_native:runtime_start(min(4, erlang:system_info(schedulers_online)));
start(Threads) when is_integer(Threads), Threads > 0, Threads =< 1024 ->
	gun_rs_native:runtime_start(Threads);
start(Threads) ->
	{error, {bad_env, {io_threads, Threads}}}.

%% @doc Starts those of a library that was loaded while the application ran.
-spec resume() -> ok | {error, term()}.
resume() ->
	case whereis(gun_rs_sup) of
		undefined -> {error, {not_started, gun_rs}};
		_ -> start()
	end.

-spec stop() -> ok.
stop() ->
	case gun_rs_native:load_error() of
		undefined ->
			ok = leave(erlang:monotonic_time(millisecond) + ?LEAVE_TIMEOUT),
			gun_rs_native:runtime_stop(?STOP_TIMEOUT);
		_ ->
			ok
	end.

%% What listeners have told their clients as they stopped, the close frames above all, is still on its way: the I/O
%% threads would not wait for it.
leave(Deadline) ->
	case gun_rs_native:stats() of
		#{tasks := 0} ->
			ok;
		_ ->
			case erlang:monotonic_time(millisecond) < Deadline of
				true ->
					timer:sleep(?LEAVE_PERIOD),
					leave(Deadline);
				false ->
					ok
			end
	end.

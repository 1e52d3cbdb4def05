%% @private
-module(gun_rs_app).
-behaviour(application).

-export([start/2]).
-export([stop/1]).
-export([resume/0]).

%% How long the I/O threads may take to end, in ms. They wait for nothing themselves.
-define(STOP_TIMEOUT, 5000).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
	case start_runtime() of
		ok -> gun_rs_sup:start_link();
		{error, _} = Error -> Error
	end.

-spec stop(term()) -> ok.
stop(_State) ->
	case gun_rs_native:load_error() of
		undefined -> gun_rs_native:runtime_stop(?STOP_TIMEOUT);
		_ -> ok
	end.

%% Starts the I/O threads of a library that was loaded while the application ran.
-spec resume() -> ok | {error, term()}.
resume() ->
	case whereis(gun_rs_sup) of
		undefined -> {error, {not_started, gun_rs}};
		_ -> start_runtime()
	end.

start_runtime() ->
	case gun_rs_native:load_error() of
		undefined ->
			start_runtime(application:get_env(gun_rs, io_threads, default));
		Reason ->
			%% A node boots without its connections; gun_rs:open/3 says why it has none.
			logger:error("gun_rs has no native library: ~ts", [gun_rs_error:format({nif_not_loaded, Reason})])
	end.

start_runtime(default) ->
	gun_rs_native:runtime_start(min(4, erlang:system_info(schedulers_online)));
start_runtime(Threads) when is_integer(Threads), Threads > 0, Threads =< 1024 ->
	gun_rs_native:runtime_start(Threads);
start_runtime(Threads) ->
	{error, {bad_env, {io_threads, Threads}}}.

%% Listeners of both dialects for the suites of the server: started under the name of the case, with handlers that do what
%% their options say (served_1_h, served_2_h).
-module(served_listener).

-export([groups/1]).
-export([start/2]).
-export([start/3]).
-export([start/4]).
-export([open/1]).
-export([terminated/0]).
-export([handle/2]).
-export([info/2]).
-export([either/3]).

-define(TIMEOUT, 60000).

%% Every case in both dialects, but for those whose names begin with that of one.
groups(Suite) ->
	Of = fun(Except) ->
		[Case || Case <- gun_rs_suite:cases(Suite), not lists:prefix(Except, atom_to_list(Case))]
	end,
	[{cowboy_1, [], Of("two_")}, {cowboy_2, [], Of("one_")}].

start(Opts, Config) ->
	start(Opts, #{}, Config).

start(Opts, Proto, Config) ->
	start(Opts, Proto, #{}, Config).

%% The WebSocket, or the page, is at /ws.
start(Opts0, Proto, Trans, Config) ->
	Ref = gun_rs_test:config('case', Config),
	Opts = Opts0#{test => self()},
	Options = maps:to_list(Trans#{port => 0}),
	{ok, _} = case gun_rs_test:config(dialect, Config) of
		cowboy_1 ->
			Dispatch = gun_rs_router:compile([{'_', [{"/ws/[:name]", served_1_h, Opts}]}]),
			gun_rs_server:start_http(Ref, 10, Options, [{env, [{dispatch, Dispatch}]}|maps:to_list(Proto)]);
		cowboy_2 ->
			Dispatch = gun_rs_router:compile([{'_', [{"/ws/[:name]", served_2_h, Opts}]}]),
			gun_rs_server:start_clear(Ref, Options, Proto#{env => #{dispatch => Dispatch}})
	end,
	gun_rs_server:get_port(Ref).

open(Port) ->
	{Socket, _} = raw_ws:upgrade(Port, "/ws"),
	receive {websocket_init, Pid, _} -> {Socket, Pid} after ?TIMEOUT -> error(no_websocket_init) end.

%% What terminate was called with: the reason, and the state.
terminated() ->
	receive {terminate, _, Reason, State, _} -> {Reason, State} after ?TIMEOUT -> error(no_terminate) end.

%% The option for websocket_handle: Fun gives ok, or frames to send.
handle(Fun, Config) ->
	#{handle => callback(Fun, Config)}.

info(Fun, Config) ->
	#{info => callback(Fun, Config)}.

callback(Fun, Config) ->
	case gun_rs_test:config(dialect, Config) of
		cowboy_1 -> fun(Argument, Req, State) -> one(Fun(Argument), Req, State) end;
		cowboy_2 -> fun(Argument, State) -> two(Fun(Argument), State) end
	end.

one(ok, Req, State) -> {ok, Req, State};
one(hibernate, Req, State) -> {ok, Req, State, hibernate};
one({reply, Frames}, Req, State) -> {reply, Frames, Req, State}.

two(ok, State) -> {ok, State};
two(hibernate, State) -> {[], State, hibernate};
two({reply, Frames}, State) when is_list(Frames) -> {Frames, State};
two({reply, Frame}, State) -> {[Frame], State}.

either(Config, One, Two) ->
	case gun_rs_test:config(dialect, Config) of
		cowboy_1 -> One;
		cowboy_2 -> Two
	end.

#!/usr/bin/env escript
%% Serves what the fuzzing client of the Autobahn Testsuite talks to: every message is echoed. Prints the port, and ends
%% with its standard input.
%%
%% usage: server.escript

-mode(compile).

-export([init/2]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

%% The largest messages have 16 MiB, and their echo has to fit into the queue of what waits to be sent.
-define(WEBSOCKET, #{compress => true, max_frame_size => infinity, max_message_size => 32 bsl 20,
	max_send_queue => 64 bsl 20}).

main([]) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Dispatch = gun_rs_router:compile([{'_', [{"/", ?MODULE, []}]}]),
	{ok, _} = gun_rs_server:start_clear(autobahn, [{ip, {127, 0, 0, 1}}],
		#{env => #{dispatch => Dispatch}, websocket => ?WEBSOCKET}),
	io:format("listening on ~b~n", [gun_rs_server:get_port(autobahn)]),
	eof = io:get_line("").

init(Req, State) ->
	{gun_rs_websocket, Req, State}.

websocket_handle({Kind, _} = Frame, State) when Kind =:= text; Kind =:= binary ->
	{[Frame], State};
websocket_handle(_, State) ->
	{[], State}.

websocket_info(_, State) ->
	{[], State}.

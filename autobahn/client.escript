#!/usr/bin/env escript
%% Runs the cases of a fuzzing server of the Autobahn Testsuite against gun_rs: every message is echoed until the
%% server closes. Prints how many cases there were, and how long they took in seconds.
%%
%% usage: client.escript PORT AGENT [COMPRESS]      (the value of the option compress; true if not given)

-mode(compile).

%% In milliseconds. The slowest cases send and receive a thousand messages of 128 KiB.
-define(QUIET, 120000).

main([Port, Agent]) ->
	main([Port, Agent, "true"]);
main([PortArg, Agent, CompressArg]) ->
	Port = list_to_integer(PortArg),
	{ok, Tokens, _} = erl_scan:string(CompressArg ++ "."),
	{ok, Compress} = erl_parse:parse_term(Tokens),
	{ok, _} = application:ensure_all_started(gun_rs),
	Started = erlang:monotonic_time(millisecond),
	Count = binary_to_integer(case_count(Port)),
	[run_case(Port, Agent, Case, Compress) || Case <- lists:seq(1, Count)],
	converse(Port, ["/updateReports?agent=", Agent], #{}),
	Took = erlang:monotonic_time(millisecond) - Started,
	io:format("~b ~.1f~n", [Count, Took / 1000]).

case_count(Port) ->
	[Count] = converse(Port, "/getCaseCount", #{}),
	Count.

run_case(Port, Agent, Case, Compress) ->
	Path = ["/runCase?case=", integer_to_list(Case), "&agent=", Agent],
	converse(Port, Path, #{compress => Compress}).

%% Every case has a connection of its own. The texts that were received are returned.
converse(Port, Path, WsOpts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0}),
	MRef = monitor(process, ConnPid),
	{ok, http} = gun_rs:await_up(ConnPid, MRef),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path, [], WsOpts),
	{upgrade, _, _} = gun_rs:await(ConnPid, StreamRef, ?QUIET, MRef),
	Texts = echo(ConnPid, StreamRef, MRef, []),
	gun_rs:flush(ConnPid),
	Texts.

echo(ConnPid, StreamRef, MRef, Texts) ->
	receive
		{gun_ws, ConnPid, StreamRef, {text, Text}} ->
			gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
			echo(ConnPid, StreamRef, MRef, [Text|Texts]);
		{gun_ws, ConnPid, StreamRef, {binary, _} = Frame} ->
			gun_rs:ws_send(ConnPid, StreamRef, Frame),
			echo(ConnPid, StreamRef, MRef, Texts);
		{'DOWN', MRef, process, ConnPid, _} ->
			Texts;
		%% The close frame, the fault that a case makes, and gun_down: the end of ConnPid follows.
		Message when element(2, Message) =:= ConnPid ->
			echo(ConnPid, StreamRef, MRef, Texts)
	after ?QUIET ->
		exit({the_server_is_silent, ConnPid})
	end.

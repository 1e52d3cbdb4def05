#!/usr/bin/env escript
%% A WebSocket conversation through gun_rs, with every message printed as the owner received it.
%%
%% usage: demo.escript ws://host:port/path
%%        demo.escript --server FILE      starts that test server and talks to it

-mode(compile).

%% In milliseconds. A server need not echo, so the demo waits for an echo only briefly.
-define(WAIT, 5000).
-define(WAIT_FOR_ECHO, 1000).

main(["--server", File]) ->
	talk(start_server(File) ++ "/echo");
main([Url]) ->
	talk(Url);
main(_) ->
	stop("give it a URL, such as ws://localhost:8080/echo").

%% The server ends with its standard input, hence with this program.
start_server(File) ->
	Server = open_port({spawn_executable, File}, [{args, ["--until-eof"]}, {line, 200}]),
	receive
		{Server, {data, {eol, "listening on " ++ Address}}} -> "ws://" ++ Address
	after ?WAIT ->
		stop("~ts does not start", [File])
	end.

talk(Url) ->
	{Host, Port, Path} = parse(Url),
	{ok, _} = application:ensure_all_started(gun_rs),
	%% Linked to us: however early it ends, we are told why.
	process_flag(trap_exit, true),
	Opts = #{retry => 0, supervise => false, ws_opts => #{silence_pings => false}},
	say("gun_rs:open(~0p, ~0p, ~0p)", [Host, Port, Opts]),
	ConnPid = open(Url, Host, Port, Opts),
	up(Url, ConnPid),
	say("gun_rs:ws_upgrade(ConnPid, ~0p)", [Path]),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path),
	upgraded(Url, ConnPid, StreamRef),
	Frames = fun(Sent) ->
		say("gun_rs:ws_send(ConnPid, StreamRef, ~0p)", [Sent]),
		ok = gun_rs:ws_send(ConnPid, StreamRef, Sent)
	end,
	Frames({text, <<"Hello!">>}),
	echoed(ConnPid, 1),
	Frames({binary, <<0, 1, 2, 254, 255>>}),
	echoed(ConnPid, 1),
	Frames([{text, <<"one">>}, {text, <<"two">>}, {binary, <<"three">>}]),
	echoed(ConnPid, 3),
	Frames({ping, <<"still there?">>}),
	ponged(Url, ConnPid),
	Frames(close),
	closed(Url, ConnPid),
	say("~nDone: Rust sent the gun_upgrade and gun_ws messages above straight to ~0p.", [self()]).

parse(Url) ->
	case uri_string:parse(Url) of
		#{scheme := "ws", host := Host, path := Path} = Parts when Host =/= "" ->
			Query = case Parts of
				#{query := Value} -> "?" ++ Value;
				#{} -> ""
			end,
			{address(Host), maps:get(port, Parts, 80), nonempty(Path) ++ Query};
		_ ->
			stop("~ts is no URL of the form ws://host:port/path", [Url])
	end.

nonempty("") -> "/";
nonempty(Path) -> Path.

address(Host) ->
	case inet:parse_address(Host) of
		{ok, Address} -> Address;
		{error, einval} -> Host
	end.

open(Url, Host, Port, Opts) ->
	case gun_rs:open(Host, Port, Opts) of
		{ok, ConnPid} -> ConnPid;
		{error, Reason} -> stop("~ts cannot be opened: ~0p", [Url, Reason])
	end.

up(Url, ConnPid) ->
	receive
		{gun_up, ConnPid, _} = Message ->
			show(Message);
		{'EXIT', ConnPid, {shutdown, econnrefused}} ->
			stop("nobody listens at ~ts: econnrefused", [Url]);
		{'EXIT', ConnPid, {shutdown, nxdomain}} ->
			stop("nobody knows the host of ~ts: nxdomain", [Url]);
		{'EXIT', ConnPid, {shutdown, Reason}} ->
			stop("there is no way to ~ts: ~0p", [Url, Reason]);
		{'EXIT', ConnPid, Reason} ->
			stop("the connection to ~ts ended: ~0p", [Url, Reason])
	after ?WAIT ->
		stop("nobody answers at ~ts: timeout", [Url])
	end.

upgraded(Url, ConnPid, StreamRef) ->
	receive
		{gun_upgrade, ConnPid, StreamRef, _, _} = Message ->
			show(Message);
		{gun_response, ConnPid, StreamRef, _, Status, _} = Message ->
			show(Message),
			stop("~ts does not speak WebSocket, it answered with status ~b", [Url, Status]);
		{gun_error, ConnPid, StreamRef, Reason} = Message ->
			show(Message),
			stop("~ts does not speak WebSocket: ~0p", [Url, Reason]);
		{gun_down, ConnPid, _, Reason, _} = Message ->
			show(Message),
			stop("~ts hung up: ~0p", [Url, Reason])
	after ?WAIT ->
		stop("~ts does not answer the upgrade", [Url])
	end.

echoed(_, 0) ->
	ok;
echoed(ConnPid, Count) ->
	receive
		{gun_ws, ConnPid, _, _} = Message ->
			show(Message),
			echoed(ConnPid, Count - 1)
	after ?WAIT_FOR_ECHO ->
		io:format("    (no echo came)~n")
	end.

%% Every server answers a ping, RFC 6455, 5.5.2.
ponged(Url, ConnPid) ->
	receive
		{gun_ws, ConnPid, _, {pong, <<"still there?">>}} = Message ->
			show(Message);
		{gun_ws, ConnPid, _, _} = Message ->
			show(Message),
			ponged(Url, ConnPid)
	after ?WAIT ->
		stop("~ts does not answer a ping", [Url])
	end.

closed(Url, ConnPid) ->
	receive
		{'EXIT', ConnPid, normal} = Message ->
			show(Message);
		{'EXIT', ConnPid, Reason} = Message ->
			show(Message),
			stop("the connection to ~ts ended: ~0p", [Url, Reason]);
		Message when element(2, Message) =:= ConnPid ->
			show(Message),
			closed(Url, ConnPid)
	after ?WAIT ->
		stop("~ts does not answer a close frame", [Url])
	end.

say(Format, Args) ->
	io:format(Format ++ "~n", Args).

show(Message) ->
	io:format("    ~0p~n", [Message]).

stop(Sentence) ->
	stop(Sentence, []).

stop(Sentence, Args) ->
	io:format(standard_error, "demo: " ++ Sentence ++ ".~n", Args),
	halt(1).

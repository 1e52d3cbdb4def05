%% Many connections leave nothing behind, and no call holds a scheduler.
-module(gun_rs_scale_SUITE).

-import(gun_rs_test, [nothing_left/1]).
-import(gun_rs_test, [resources/0]).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

-define(CONNECTIONS, 2000).
-define(LARGE, 16#1000000).

many_connections(Config) ->
	doc("2,000 connections at once are opened, used and closed: no process, task, thread or descriptor is left."),
	ok = gun_rs_test:enough_fds(?CONNECTIONS),
	%% What the first connection brings to stay is not the 2,000's.
	{First, _} = open_ws(config(port, Config), "/websocket"),
	ok = gun_rs:close(First),
	do_all_closed(Config),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	Before = resources(),
	Conns = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 0}),
		{ConnPid, gun_rs:ws_upgrade(ConnPid, "/websocket")}
	end || _ <- lists:seq(1, ?CONNECTIONS)],
	_ = [?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}) || {ConnPid, StreamRef} <- Conns],
	During = resources(),
	ct:log("before ~p~nduring ~p", [Before, During]),
	#{connections := ?CONNECTIONS} = During,
	%% Of which each has two ends here. This says that what is counted below is the right thing.
	true = maps:get(fds, During) - maps:get(fds, Before) >= 2 * ?CONNECTIONS,
	true = maps:get(processes, During) - maps:get(processes, Before) >= ?CONNECTIONS,
	%% A connection costs no thread.
	true = maps:get(threads, During) - maps:get(threads, Before) =< 2,
	_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, {text, ["Hello ", integer_to_list(N)]})
		|| {N, {ConnPid, StreamRef}} <- lists:zip(lists:seq(1, ?CONNECTIONS), Conns)],
	_ = [begin
		Text = iolist_to_binary(["Hello ", integer_to_list(N)]),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}})
	end || {N, {ConnPid, StreamRef}} <- lists:zip(lists:seq(1, ?CONNECTIONS), Conns)],
	%% In each of the ways there are.
	_ = [case N rem 4 of
		0 -> ok = gun_rs:close(ConnPid);
		1 -> ok = gun_rs:shutdown(ConnPid);
		2 -> ok = gun_rs:ws_send(ConnPid, StreamRef, close);
		3 -> exit(ConnPid, kill)
	end || {N, {ConnPid, StreamRef}} <- lists:zip(lists:seq(1, ?CONNECTIONS), Conns)],
	_ = [gun_rs_test:await_exit(ConnPid) || {ConnPid, _} <- Conns],
	nothing_left(Before).

%% The server's ends too.
do_all_closed(Config) ->
	true = eventually(fun() -> ranch:procs(config(listener, Config), connections) =:= [] end).

many_refused(_) ->
	doc("Connections that are never up leave nothing either."),
	{Socket, Port} = gun_rs_test:refused_port(),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	Before = resources(),
	Conns = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 1}),
		ConnPid
	end || _ <- lists:seq(1, 500)],
	_ = [gun_rs_test:await_exit(ConnPid) || ConnPid <- Conns],
	nothing_left(Before),
	gun_rs_test:release_port(Socket).

%% How long a call holds its caller, and a scheduler.

ws_send_returns_at_once(_) ->
	doc("Sending 16 MiB again and again waits for no server, and copies nothing: a binary, text, a list of large binaries."),
	One = binary:copy(<<0>>, ?LARGE),
	Many = lists:duplicate(256, binary:copy(<<0>>, ?LARGE div 256)),
	_ = [begin
		%% It reads nothing, so that a call that waited for it would never return.
		{Server, Port} = lying_server:start([upgrade, wait], [{recbuf, 4096}]),
		{ConnPid, StreamRef} = open_ws(Port, "/", #{retry => 0, tcp_opts => [{sndbuf, 4096}]}),
		Memory = gun_rs_test:watch_memory(),
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Frames) || _ <- lists:seq(1, 20)],
		#{stats := #{send_queue := Waiting}} = gun_rs:info(ConnPid),
		{Erlang, System} = gun_rs_test:memory_growth(Memory),
		ct:pal("20 times ~ts: ~b MiB wait, in ~b MiB of memory, ~b MiB resident",
			[Name, Waiting bsr 20, Erlang bsr 20, System bsr 20]),
		true = Waiting > 19 * ?LARGE,
		true = max(Erlang, System) < 4 * ?LARGE,
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || {Name, Frames} <- [
		{"a binary of 16 MiB", {binary, One}},
		{"a list of 256 frames of 64 KiB", [{binary, Part} || Part <- Many]},
		{"a text of 16 MiB", {text, One}}
	]].

schedules_are_short(Config) ->
	doc("Whatever is sent and received, no process of ours is longer on a scheduler than one that only counts."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Jobs = [
		{"16 MiB in one binary", {binary, binary:copy(<<0>>, ?LARGE)}, 1},
		{"16 MiB of text", {text, binary:copy(<<"€"/utf8>>, ?LARGE div 3)}, 1},
		{"16 MiB in 256 binaries", {binary, lists:duplicate(256, binary:copy(<<0>>, ?LARGE div 256))}, 1},
		{"16 MiB in 16384 binaries", {binary, lists:duplicate(16384, binary:copy(<<0>>, 1024))}, 1},
		{"32 KiB in bytes", {binary, lists:duplicate(?LARGE div 512, 0)}, 1},
		{"10,000 frames of 10 bytes", [{text, <<"0123456789">>} || _ <- lists:seq(1, 10000)], 10000},
		{"100 frames of 64 KiB", [{binary, binary:copy(<<0>>, 65536)} || _ <- lists:seq(1, 100)], 100}
	],
	Monitor = do_watch(),
	Longest = [begin
		%% A literal: no garbage collection of the sender's copies it.
		Key = {?MODULE, Name},
		persistent_term:put(Key, Frames),
		Worst = lists:sort([begin
			{Sender, MRef} = spawn_monitor(fun() ->
				ok = gun_rs:ws_send(ConnPid, StreamRef, persistent_term:get(Key))
			end),
			?EXPECT({'DOWN', MRef, process, Sender, normal}),
			_ = [?EXPECT({gun_ws, ConnPid, StreamRef, _}) || _ <- lists:seq(1, Replies)],
			do_longest(Monitor, Sender)
		end || _ <- lists:seq(1, 5)]),
		true = persistent_term:erase(Key),
		do_report(Config, "long_schedule while sending ~ts: ~b ms at best, ~b ms at worst (0: none seen)",
			[Name, hd(Worst), lists:last(Worst)]),
		{hd(Worst), Name}
	end || {Name, Frames, Replies} <- Jobs],
	%% What a loaded machine adds, it adds to any process: to one whose every stay is short, too.
	Control = lists:max([begin
		{Counter, MRef} = spawn_monitor(fun() -> do_count(10000000) end),
		?EXPECT({'DOWN', MRef, process, Counter, normal}),
		do_longest(Monitor, Counter)
	end || _ <- lists:seq(1, 10)]),
	do_report(Config, "long_schedule of a process that counts: ~b ms at worst", [Control]),
	do_report(Config, "long_schedule of ConnPid and of the receiver: ~b ms and ~b ms",
		[do_longest(Monitor, ConnPid), do_longest(Monitor, self())]),
	ok = do_unwatch(Monitor),
	ok = gun_rs:close(ConnPid),
	%% The best of five, in whole milliseconds.
	[] = [Job || Job = {Best, _} <- Longest, Best > 1 + Control].

do_count(0) -> ok;
do_count(N) -> do_count(N - 1).

%% The system monitor reports every stay on a scheduler of more than a millisecond, of Erlang code and NIFs alike.
do_watch() ->
	Self = self(),
	Monitor = spawn_link(fun() ->
		_ = process_flag(priority, high),
		_ = erlang:system_monitor(self(), [{long_schedule, 1}]),
		Self ! {self(), watching},
		do_watch_loop(#{})
	end),
	?EXPECT({Monitor, watching}),
	Monitor.

do_watch_loop(Seen) ->
	receive
		{monitor, Pid, long_schedule, Info} ->
			{timeout, Ms} = lists:keyfind(timeout, 1, Info),
			do_watch_loop(maps:update_with(Pid, fun(N) -> max(N, Ms) end, Ms, Seen));
		{longest, From, Pid} ->
			From ! {self(), longest, maps:get(Pid, Seen, 0)},
			do_watch_loop(Seen);
		{stop, From} ->
			_ = erlang:system_monitor(undefined),
			From ! {self(), stopped}
	end.

do_longest(Monitor, Pid) ->
	Monitor ! {longest, self(), Pid},
	?EXPECT({Monitor, longest, Ms}, Ms).

do_unwatch(Monitor) ->
	Monitor ! {stop, self()},
	?EXPECT({Monitor, stopped}).

do_report(Config, Format, Args) ->
	Line = io_lib:format(Format, Args),
	ct:pal("~ts", [Line]),
	ok = file:write_file(filename:join(config(priv_dir, Config), "nif_durations.txt"),
		unicode:characters_to_binary([Line, $\n]), [append]).

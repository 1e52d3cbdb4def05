%% The node that gun_rs runs in: it starts and stops with connections open, takes new code under traffic, and does
%% without the native library when there is none.
-module(gun_rs_node_life_SUITE).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

%% A node that takes what happens to it alone.
do_node(Path) ->
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 60000, args => ["-pa"|Path]}),
	Peer.

do_node() ->
	do_node(code:get_path()).

do_talks(ConnPid, StreamRef) ->
	Text = integer_to_binary(erlang:unique_integer()),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}}).

%% Stops and starts.

stop_in_every_state(Config) ->
	doc("The application stops with connections in every state: each ends, its socket closes, and it starts again."),
	Trapped = process_flag(trap_exit, true),
	{Socket, RefusedPort} = gun_rs_test:refused_port(),
	{Server, Port} = lying_server:start([upgrade, frames]),
	{Silent, SilentPort} = lying_server:start([request]),
	{ok, Waiting} = gun_rs:open("127.0.0.1", RefusedPort, #{retry => 1000, retry_timeout => 100 * ?WAIT}),
	{ok, Tls} = gun_rs:open("127.0.0.1", SilentPort, #{transport => tls}),
	Idle = gun_rs_test:open(Port),
	Busy = gun_rs_test:open(SilentPort),
	_ = gun_rs:get(Busy, "/"),
	?EXPECT({lying_server, Silent, {request, _}}),
	Upgrading = gun_rs_test:open(SilentPort),
	_ = gun_rs:ws_upgrade(Upgrading, "/"),
	?EXPECT({lying_server, Silent, {request, _}}),
	{Ws, _} = open_ws(Port, "/", #{ws_opts => #{reupgrade => true}}),
	{Closing, ClosingRef} = open_ws(Port, "/"),
	ok = gun_rs:ws_send(Closing, ClosingRef, close),
	?EXPECT({lying_server, Server, {frame, close, _}}),
	{ShuttingDown, _} = open_ws(Port, "/"),
	ok = gun_rs:shutdown(ShuttingDown),
	?EXPECT({lying_server, Server, {frame, close, _}}),
	{Linked, _} = open_ws(Port, "/", #{supervise => false}),
	Conns = [Waiting, Tls, Idle, Busy, Upgrading, Ws, Closing, ShuttingDown, Linked],
	MRefs = [{ConnPid, watch(ConnPid)} || ConnPid <- Conns],
	ok = application:stop(gun_rs),
	_ = [?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}) || {ConnPid, MRef} <- MRefs],
	?EXPECT({'EXIT', Linked, shutdown}),
	_ = [?EXPECT({lying_server, Server, closed}) || _ <- [Idle, Ws, Closing, ShuttingDown, Linked]],
	_ = [?EXPECT({lying_server, Silent, closed}) || _ <- [Tls, Busy, Upgrading]],
	{error, {not_started, gun_rs}} = gun_rs:open("127.0.0.1", Port),
	_ = [begin
		ok = gun_rs:ws_send(ConnPid, {text, "Hello?"}),
		ok = gun_rs:shutdown(ConnPid),
		ok = gun_rs:close(ConnPid),
		{'EXIT', {noproc, _}} = ?CATCH(gun_rs:info(ConnPid))
	end || ConnPid <- Conns],
	ok = application:start(gun_rs),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	do_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	lying_server:stop(Silent),
	gun_rs_test:release_port(Socket),
	process_flag(trap_exit, Trapped).

opened_and_closed_while_it_stops(Config) ->
	doc("open and close say what they always do while the application stops and starts: they never exit."),
	Peer = do_node(),
	Outcomes = peer:call(Peer, ?MODULE, do_race, [config(port, Config)], 8 * ?WAIT),
	ct:pal("~p", [Outcomes]),
	[] = [Outcome || {Outcome, _} <- Outcomes, not lists:member(Outcome,
		[{open, ok}, {open, {error, {not_started, gun_rs}}}, {close, ok}, {close, {error, not_found}}])],
	%% Both were seen, or nothing was shown.
	[_, _] = [open || {{open, _}, _} <- Outcomes],
	peer:stop(Peer).

%% How often each outcome was seen.
do_race(Port) ->
	Self = self(),
	Racers = [spawn_link(fun() ->
		%% A connection that is linked ends with the application.
		_ = process_flag(trap_exit, not Supervise),
		do_racer(Self, Port, #{supervise => Supervise}, #{})
	end) || Supervise <- [true, true, true, false]],
	_ = [begin
		{ok, _} = application:ensure_all_started(gun_rs),
		%% Until some have been opened.
		_ = [?EXPECT({Racer, opened}) || Racer <- Racers],
		ok = application:stop(gun_rs)
	end || _ <- lists:seq(1, 100)],
	_ = [Racer ! stop || Racer <- Racers],
	Counts = [?EXPECT({Racer, counts, Count}, Count) || Racer <- Racers],
	maps:to_list(lists:foldl(fun(Count, Sum) -> maps:merge_with(fun(_, A, B) -> A + B end, Count, Sum) end, #{}, Counts)).

do_racer(Parent, Port, Opts, Counts0) ->
	{Opened, Counts} = case ?CATCH(gun_rs:open("127.0.0.1", Port, Opts)) of
		{ok, ConnPid} ->
			Parent ! {self(), opened},
			Closed = ?CATCH(gun_rs:close(ConnPid)),
			_ = gun_rs:flush(ConnPid),
			_ = [exit(ConnPid, shutdown) || Closed =/= ok],
			{ok, do_count({close, Closed}, Counts0)};
		Error ->
			{Error, Counts0}
	end,
	receive
		stop -> Parent ! {self(), counts, do_count({open, Opened}, Counts)}
	after 0 ->
		do_racer(Parent, Port, Opts, do_count({open, Opened}, Counts))
	end.

do_count(Outcome, Counts) ->
	maps:update_with(Outcome, fun(N) -> N + 1 end, 1, Counts).

renamed_node(Config) ->
	doc("A stream keeps its reference while the node is given a name, and loses it."),
	Peer = gun_rs_test:start_peer([]),
	ok = peer:call(Peer, ?MODULE, do_renamed, [config(port, Config)], 10 * ?WAIT),
	peer:stop(Peer).

do_renamed(Port) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Nameless = open_ws(Port, "/websocket"),
	do_talks_of(Nameless),
	Started = gun_rs_test:start_distribution(),
	true = is_alive(),
	do_talks_of(Nameless),
	Named = open_ws(Port, "/websocket"),
	do_talks_of(Named),
	ok = gun_rs_test:stop_distribution(Started),
	false = is_alive(),
	do_talks_of(Named),
	do_talks_of(Nameless),
	ok.

do_talks_of({ConnPid, StreamRef}) ->
	do_talks(ConnPid, StreamRef),
	{ok, #{ref := StreamRef}} = gun_rs:stream_info(ConnPid, StreamRef).

fifty_cycles(Config) ->
	doc("50 stops with connections open, and starts, leave no thread, descriptor or process."),
	_ = do_cycle(Config),
	ok = do_all_closed(Config),
	Before = gun_rs_test:resources(),
	_ = [do_cycle(Config) || _ <- lists:seq(1, 50)],
	ok = do_all_closed(Config),
	ok = gun_rs_test:nothing_left(Before),
	ct:log("before ~p~nafter ~p", [Before, gun_rs_test:resources()]).

handles_keep_no_descriptor(Config) ->
	doc("Whoever has the native handles of closed connections keeps nothing open, nor the runtime that they were on."),
	_ = do_cycle(Config),
	ok = do_all_closed(Config),
	Before = gun_rs_test:resources(),
	Handles = do_cycle(Config, fun(ConnPid, _) -> sys:get_state(ConnPid) end),
	ok = do_all_closed(Config),
	ok = gun_rs_test:nothing_left(Before),
	ct:log("~p", [Handles]).

room_for_descriptors(_) ->
	doc("Where it runs the kernel need not enlarge the table of descriptors while connections are opened, up to 16,384."),
	Peer = do_node(),
	{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs]),
	{ok, Status} = file:read_file(["/proc/", peer:call(Peer, os, getpid, []), "/status"]),
	{match, [Size]} = re:run(Status, "FDSize:\\s+(\\d+)", [{capture, all_but_first, list}]),
	true = list_to_integer(Size) >= min(16384, gun_rs_test:max_fds()),
	peer:stop(Peer).

do_cycle(Config) ->
	do_cycle(Config, fun do_talks/2).

%% What was done on each connection, when all are closed.
do_cycle(Config, Do) ->
	Conns = [open_ws(config(port, Config), "/websocket", #{}) || _ <- lists:seq(1, 10)],
	Done = [Do(ConnPid, StreamRef) || {ConnPid, StreamRef} <- Conns],
	ok = application:stop(gun_rs),
	_ = [gun_rs:flush(ConnPid) || {ConnPid, _} <- Conns],
	ok = application:start(gun_rs),
	Done.

do_all_closed(Config) ->
	true = eventually(fun() -> ranch:procs(config(listener, Config), connections) =:= [] end),
	ok.

stop_of_the_node(Config) ->
	doc("init:stop() of a node with 1,000 connections, half of them with a WebSocket that is upgraded again, ends it."),
	ok = gun_rs_test:enough_fds(500),
	Peer = do_node(),
	true = unlink(Peer),
	OsPid = peer:call(Peer, os, getpid, []),
	ok = peer:call(Peer, ?MODULE, do_thousand, [config(port, Config)], 4 * ?WAIT),
	MRef = monitor(process, Peer),
	ok = peer:call(Peer, init, stop, []),
	?EXPECT({'DOWN', MRef, process, Peer, _}),
	true = eventually(fun() -> not filelib:is_dir("/proc/" ++ OsPid) end),
	ok = do_all_closed(Config).

%% In the node; its owner outlives the call.
do_thousand(Port) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	Self = self(),
	Owner = spawn(fun() ->
		Conns = [begin
			{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{ws_opts => #{reupgrade => N rem 2 =:= 0}}),
			{ConnPid, gun_rs:ws_upgrade(ConnPid, "/websocket")}
		end || N <- lists:seq(1, 1000)],
		_ = [?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}) || {ConnPid, StreamRef} <- Conns],
		Self ! {self(), up},
		receive after infinity -> ok end
	end),
	?EXPECT({Owner, up}),
	#{connections := 1000} = gun_rs_native:stats(),
	ok.

%% New code.

every_module_reloaded(Config) ->
	doc("Every module is loaded again and purged while connections talk, come and go: none is lost, or keeps old code."),
	Peer = do_node(),
	ok = peer:call(Peer, ?MODULE, do_reload, [config(port, Config)], 8 * ?WAIT),
	peer:stop(Peer).

do_reload(Port) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	{ok, Modules} = application:get_key(gun_rs, modules),
	true = length(Modules) > 10,
	Self = self(),
	{ConnPid, StreamRef} = open_ws(Port, "/websocket"),
	%% A WebSocket that talks all the time, one that is lost and upgraded again all the time, one with a module of its
	%% own, one with compression, and connections that are opened and closed.
	Workers = [spawn_link(fun() -> do_worker(Self, Fun, 0) end) || Fun <- [
		do_talker(Port, "/websocket", #{}),
		do_talker(Port, "/deflate", #{ws_opts => #{compress => true}}),
		do_talker(Port, "/websocket", #{ws_opts => #{default_protocol => gun_rs_ws_h}}),
		do_talker(Port, "/websocket", #{cookie_store => gun_rs_cookies_list:init()}),
		do_returner(Port),
		fun() ->
			{Conn, Ref} = open_ws(Port, "/websocket"),
			do_talks(Conn, Ref),
			ok = gun_rs:close(Conn),
			gun_rs:flush(Conn)
		end
	]],
	_ = [begin
		case code:load_file(Module) of
			{module, Module} -> ok;
			%% The library is loaded once: the code that runs stays.
			{error, on_load_failure} when Module =:= gun_rs_native -> ok
		end,
		%% A hard purge would kill whoever is in a function of gun_rs just now, such as await.
		true = eventually(fun() -> code:soft_purge(Module) end),
		do_talks(ConnPid, StreamRef)
	end || _ <- lists:seq(1, 10), Module <- Modules],
	_ = [Worker ! stop || Worker <- Workers],
	Counts = [?EXPECT({Worker, stopped, N}, N) || Worker <- Workers],
	[] = [N || N <- Counts, N < 2],
	#{protocol := ws} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

do_worker(Self, Fun, N) ->
	receive
		stop -> Self ! {self(), stopped, N}
	after 0 ->
		_ = Fun(),
		do_worker(Self, Fun, N + 1)
	end.

%% Opened when it is first run, by the process that runs it.
do_talker(Port, Path, Opts) ->
	fun() ->
		{ConnPid, StreamRef} = case get(conn) of
			undefined -> Conn = open_ws(Port, Path, Opts), put(conn, Conn), Conn;
			Conn -> Conn
		end,
		do_talks(ConnPid, StreamRef)
	end.

do_returner(Port) ->
	fun() ->
		{ConnPid, StreamRef} = case get(conn) of
			undefined ->
				Conn = open_ws(Port, "/command", #{retry_timeout => 1, ws_opts => #{reupgrade => true}}),
				put(conn, Conn),
				Conn;
			Conn ->
				Conn
		end,
		do_return({ConnPid, StreamRef})
	end.

%% Lost, and upgraded again.
do_return({ConnPid, StreamRef}) ->
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, term_to_binary([{close, 1012, <<>>}])}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 1012, <<>>}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}).

native_module_deleted(Config) ->
	doc("Without its native module gun_rs does nothing, and the node is unharmed; loaded again, it works again."),
	Peer = do_node(),
	ok = peer:call(Peer, ?MODULE, do_delete, [config(port, Config)], 8 * ?WAIT),
	peer:stop(Peer).

do_delete(Port) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	_ = [begin
		{ConnPid, StreamRef} = open_ws(Port, "/websocket", #{}),
		do_talks(ConnPid, StreamRef),
		ok = application:stop(gun_rs),
		true = code:delete(gun_rs_native),
		_ = code:purge(gun_rs_native),
		{module, gun_rs_native} = code:load_file(gun_rs_native),
		undefined = gun_rs_native:load_error(),
		ok = application:start(gun_rs),
		{ConnPid2, StreamRef2} = open_ws(Port, "/websocket"),
		do_talks(ConnPid2, StreamRef2),
		ok = gun_rs:close(ConnPid2)
	end || _ <- [1, 2, 3]],
	ok.

native_module_reloaded_under_connections(Config) ->
	doc("The native module is deleted, purged and loaded again under connections, as rebar3 does it: none notices."),
	Peer = do_node(),
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = tls_certs:make(config(priv_dir, Config)),
	ServerOpts = [{certfile, CertFile}, {keyfile, KeyFile}],
	ok = peer:call(Peer, ?MODULE, do_reload_native, [config(port, Config), ServerOpts], 8 * ?WAIT),
	peer:stop(Peer).

do_reload_native(Port, ServerOpts) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	_ = process_flag(trap_exit, true),
	Conns = [open_ws(Port, "/websocket", Opts) || Opts <- [
		#{}, #{supervise => false}, #{ws_opts => #{default_protocol => gun_rs_ws_h}}, #{ws_opts => #{compress => true}}
	]],
	Commanded = open_ws(Port, "/command", #{retry_timeout => 1, ws_opts => #{reupgrade => true}}),
	{ok, _} = application:ensure_all_started(ssl),
	{Server, TlsPort} = lying_server:start([wait, close], [{tls, ServerOpts}]),
	Tls = gun_rs_test:open(TlsPort, #{transport => tls, tls_opts => [{verify, verify_none}], retry_timeout => 1}),
	?EXPECT({lying_server, Server, accepted}),
	_ = [begin
		true = code:delete(gun_rs_native),
		%% Whoever calls it now has it loaded before it is purged.
		_ = [#{protocol := ws} = gun_rs:info(ConnPid) || Early, {ConnPid, _} <- Conns],
		_ = code:purge(gun_rs_native),
		_ = code:load_file(gun_rs_native),
		undefined = gun_rs_native:load_error(),
		_ = [begin
			#{protocol := ws} = gun_rs:info(ConnPid),
			ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, "sync"}),
			?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"sync">>}}),
			do_talks_of(Conn)
		end || Conn={ConnPid, StreamRef} <- Conns],
		do_return(Commanded),
		%% The next connection has the configuration of the first.
		lying_server:go(Server),
		?EXPECT({gun_down, Tls, http, closed, []}),
		?EXPECT({gun_up, Tls, http}),
		?EXPECT({lying_server, Server, accepted})
	end || Early <- [false, true, false, true, true]],
	_ = [gun_rs:shutdown(ConnPid) || ConnPid <- [Tls|[Pid || {Pid, _} <- [Commanded|Conns]]]],
	lying_server:stop(Server),
	true = eventually(fun() -> gun_rs_native:stats() =:= #{connections => 0, tasks => 0} end),
	ok.

library_replaced_under_connections(Config) ->
	doc("When the library of another release is loaded, connections end with native_reloaded; new ones can be opened."),
	[Ebin|_] = do_application(replaced, same, Config),
	Peer = do_node(),
	ok = peer:call(Peer, ?MODULE, do_replace, [config(port, Config), Ebin], 8 * ?WAIT),
	peer:stop(Peer).

do_replace(Port, Ebin) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	_ = process_flag(trap_exit, true),
	Conns = [open_ws(Port, "/websocket", Opts) || Opts <- [#{}, #{supervise => false}, #{dialect => gun_1}]],
	MRefs = [watch(ConnPid) || {ConnPid, _} <- Conns],
	Tls = fun() -> gun_rs:open("127.0.0.1", Port, #{transport => tls, tls_opts => [{verify, verify_none}], retry => 0}) end,
	{ok, _} = Tls(),
	true = code:add_patha(Ebin),
	true = code:delete(gun_rs_native),
	_ = code:purge(gun_rs_native),
	{module, gun_rs_native} = code:load_file(gun_rs_native),
	_ = [?EXPECT({'DOWN', MRef, process, _, {shutdown, native_reloaded}}) || MRef <- MRefs],
	%% The configuration of before was the other library's.
	{ok, _} = Tls(),
	[{A, _}, {B, _}, {C, _}] = Conns,
	?EXPECT({gun_down, A, http, {error, native_reloaded}, []}),
	?EXPECT({gun_down, B, http, {error, native_reloaded}, []}),
	?EXPECT({gun_down, C, http, {error, native_reloaded}, [], []}),
	{ConnPid, StreamRef} = open_ws(Port, "/websocket"),
	do_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

%% No library.

library_that_cannot_be_loaded(Config) ->
	doc("A library that is missing, none at all, or another version's: the node boots, and open says why it has none."),
	_ = [begin
		ct:log("~p", [What]),
		Path = do_application(What, File, Config),
		Peer = do_node(Path),
		{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs], 60000),
		{error, {nif_not_loaded, Reason}} = peer:call(Peer, gun_rs, open, ["127.0.0.1", config(port, Config)]),
		{error, {nif_not_loaded, Reason}} = peer:call(Peer, gun_rs, open, ["127.0.0.1", 443, #{retry => 0}]),
		{error, {nif_not_loaded, Reason}} = peer:call(Peer, gun_rs, open, ["wss://127.0.0.1/"]),
		{error, {nif_not_loaded, Reason}} = peer:call(Peer, gun_rs, open_unix, ["/tmp/nowhere", #{}]),
		%% What is wrong with the options is still said.
		{error, {options, {unheard_of, 1}}} = peer:call(Peer, gun_rs, open, ["127.0.0.1", 80, #{unheard_of => 1}]),
		Sentence = unicode:characters_to_list(peer:call(Peer, gun_rs, format_error, [{nif_not_loaded, Reason}])),
		ct:log("~ts", [Sentence]),
		true = io_lib:printable_unicode_list(Sentence) andalso length(Sentence) > 20,
		true = lists:keymember(gun_rs, 1, peer:call(Peer, application, which_applications, [])),
		ok = peer:call(Peer, application, stop, [gun_rs]),
		ok = peer:call(Peer, application, start, [gun_rs]),
		{error, {nif_not_loaded, Reason}} = peer:call(Peer, gun_rs, open, ["127.0.0.1", 80]),
		ok = peer:stop(Peer)
	end || {What, File} <- [
		{missing, none},
		{text, <<"This is no library.\n">>},
		{empty, <<>>},
		%% One that is cut short and begins well is no case: the system's linker itself kills the program with SIGBUS.
		{zeros, binary:copy(<<0>>, 100000)},
		{other_version, other_version}
	]],
	ok.

%% The application elsewhere, with that for its library; the code path with it.
do_application(What, File, Config) ->
	Ebin = filename:dirname(code:which(gun_rs)),
	Dir = filename:join([config(priv_dir, Config), What, "gun_rs"]),
	Library = filename:join([Dir, "priv", "gun_rs_native.so"]),
	ok = filelib:ensure_dir(Library),
	ok = filelib:ensure_dir(filename:join([Dir, "ebin", "gun_rs.app"])),
	_ = [{ok, _} = file:copy(Beam, filename:join([Dir, "ebin", filename:basename(Beam)]))
		|| Beam <- filelib:wildcard(filename:join(Ebin, "*.{app,beam}"))],
	case File of
		none -> ok;
		same -> {ok, _} = file:copy(filename:join(code:priv_dir(gun_rs), "gun_rs_native.so"), Library), ok;
		other_version -> ok = do_other_library(Dir, Library);
		_ -> ok = file:write_file(Library, File)
	end,
	[filename:join(Dir, "ebin")|[P || P <- code:get_path(), filename:absname(P) =/= filename:absname(Ebin)]].

%% A library of the right name, as of a gun_rs with other functions.
do_other_library(Dir, Library) ->
	Source = filename:join(Dir, "other.c"),
	ok = file:write_file(Source,
		"#include <erl_nif.h>\n"
		"static ERL_NIF_TERM f(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) { return argv[0]; }\n"
		"static ErlNifFunc funcs[] = {{\"of_another_version\", 1, f, 0}};\n"
		"ERL_NIF_INIT(gun_rs_native, funcs, NULL, NULL, NULL, NULL)\n"),
	Output = os:cmd(["cc -shared -fPIC -I '", filename:join(code:root_dir(), "usr/include"), "' -o '", Library, "' '",
		Source, "' 2>&1"]),
	{true, _} = {filelib:is_regular(Library), Output},
	ok.

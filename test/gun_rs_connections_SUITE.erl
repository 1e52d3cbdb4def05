%% gun_rs:connections/0 knows every connection of the node, and asks none; processes have labels.
-module(gun_rs_connections_SUITE).

-define(NEEDS, [certs, {listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

each_has_its_map(Config) ->
	doc("Each connection has a map, supervised or not, up or not, with what info/1 knows of it."),
	%% One that isn't supervised is linked.
	_ = process_flag(trap_exit, true),
	Port = config(port, Config),
	Before = erlang:system_time(millisecond),
	Supervised = open(Port),
	Other = open(Port, #{retry => 0, supervise => false}),
	{Socket, RefusedPort} = refused_port(),
	{ok, Waiting} = gun_rs:open({127, 0, 0, 1}, RefusedPort, #{retry => 1000, retry_timeout => 60000}),
	After = erlang:system_time(millisecond),
	Self = self(),
	HostPort = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	_ = [begin
		#{pid := ConnPid, label := {gun_rs, conn, HostPort, http}, host := "127.0.0.1", port := Port, transport := tcp,
			protocol := http, state := connected, up_since := UpSince, send_queue := 0, owner := Self} = Line = do_line(ConnPid),
		10 = map_size(Line),
		true = Before =< UpSince andalso UpSince =< After
	end || ConnPid <- [Supervised, Other]],
	true = eventually(fun() ->
		#{host := {127, 0, 0, 1}, protocol := undefined, state := State, up_since := undefined} = do_line(Waiting),
		State =:= domain_lookup
	end),
	_ = [ok = gun_rs:shutdown(ConnPid) || ConnPid <- [Supervised, Other]],
	ok = gun_rs:close(Waiting),
	true = eventually(fun() -> [] =:= [x || ConnPid <- [Supervised, Other, Waiting], do_line(ConnPid) =/= none] end),
	release_port(Socket).

what_changes(Config) ->
	doc("The map shows an upgrade, another owner, and what waits to be sent."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	#{label := {gun_rs, conn, _, ws}, protocol := ws, state := connected_ws_only} = do_line(ConnPid),
	New = spawn(fun() -> receive stop -> ok end end),
	ok = gun_rs:set_owner(ConnPid, New),
	true = eventually(fun() -> maps:get(owner, do_line(ConnPid)) =:= New end),
	ok = gun_rs:ws_send(ConnPid, StreamRef, close),
	New ! stop,
	ok.

a_stuck_process(Config) ->
	doc("A connection whose process does nothing keeps nobody waiting."),
	ConnPid = open(config(port, Config)),
	true = erlang:suspend_process(ConnPid),
	#{protocol := http, state := connected} = do_line(ConnPid),
	true = erlang:resume_process(ConnPid),
	ok = gun_rs:close(ConnPid).

unix(Config) ->
	doc("The path of a Unix domain socket is its host, and names it."),
	Path = string:trim(os:cmd("mktemp -u")),
	{Listener, _} = gun_rs_test:start_cowboy(http_echo_h:routes(), [{ip, {local, Path}}, {port, 0}]),
	{ok, ConnPid} = gun_rs:open_unix(Path, #{}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	PathBin = list_to_binary(Path),
	#{label := {gun_rs, conn, PathBin, http}, host := {local, PathBin}, port := 80} = do_line(ConnPid),
	ok = gun_rs:close(ConnPid),
	gun_rs_test:stop_cowboy(Listener),
	file:delete(Path),
	Config.

labels(Config) ->
	doc("From OTP 27 on the processes of connections, pools and listeners have labels."),
	Port = config(port, Config),
	ConnPid = open(Port),
	{ok, Pool} = gun_rs_pool:start_pool("127.0.0.1", Port, #{size => 1, scope => labels}),
	{ok, Listener} = gun_rs_server:start_clear(labels, [{port, 0}], #{}),
	HostPort = iolist_to_binary(["127.0.0.1:", integer_to_list(Port)]),
	Labels = [{ConnPid, {gun_rs, conn, HostPort, http}}, {Pool, {gun_rs, pool, HostPort, labels}},
		{Listener, {gun_rs, listener, labels}}],
	_ = [{Pid, Label} = {Pid, do_label(Pid, Label)} || {Pid, Label} <- Labels],
	ok = gun_rs:close(ConnPid),
	ok = gun_rs_server:stop_listener(labels),
	gun_rs_pool:stop_pool("127.0.0.1", Port, #{scope => labels}).

do_line(ConnPid) ->
	case [Line || Line = #{pid := Pid} <- gun_rs:connections(), Pid =:= ConnPid] of
		[Line] -> Line;
		[] -> none
	end.

do_label(Pid, Expected) ->
	case erlang:function_exported(proc_lib, get_label, 1) of
		true -> apply(proc_lib, get_label, [Pid]);
		false -> Expected
	end.

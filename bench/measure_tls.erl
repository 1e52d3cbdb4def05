%% What TLS costs gun_rs, and what it costs gun on the same server, for doc/tls.md: scripts/measure-tls.sh runs it.
%%
%% The server is this node, with Cowboy on Erlang's ssl, or a program, the test server on rustls. Every measurement of
%% a client has a node of its own, so that one leaves nothing to the next, and what is counted there is the client's
%% alone.
-module(measure_tls).

-export([main/1]).

%% In the client's node.
-export([agree/2]).
-export([memory/3]).
-export([warm/3]).
-export([open_for/4]).
-export([first_frames/4]).
-export([burst/3]).

%% For Ranch and Cowboy.
-export([start_link/3]).
-export([serve/4]).
-export([init/2]).

%% Longer than anything here takes, in ms.
-define(PATIENCE, 60000).

%% How long a node is left alone before its memory is looked at, in ms.
-define(REST, 3000).

%% How many connections come and go first: they load the code, and make what is made once.
-define(WARM, 20).

%% How long connections are opened one after the other, in ms.
-define(OPENING, 10000).

%% Of how many connections the time to the first frame is the median.
-define(FIRST_FRAMES, 200).

%% How many handshakes are begun at once.
-define(BURST, 500).

main([Server, Dir, Connections|Clients]) ->
	Target = start(Server, Dir),
	io:format("Server: ~s. Each client verifies the server's chain, against ~b roots, and its name.~n~n",
		[Server, length(certificates(filename:join(Dir, "roots.pem")))]),
	_ = [io:format("- ~s~n", [in_node(agree, [Client, Target])]) || Client <- Clients],
	measure_memory(Target, list_to_integer(Connections), Clients),
	measure_opening(Target, Clients),
	measure_first_frames(Target, Clients),
	measure_burst(Target, Clients),
	halt().

in_node(Function, Args) ->
	with_node(fun(Node) -> call(Node, Function, Args) end).

with_node(Fun) ->
	%% A scheduler that spins while it waits would be counted as work.
	{ok, Peer, _} = peer:start_link(#{connection => standard_io,
		args => ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-pa"|code:get_path()]}),
	try
		Fun(Peer)
	after
		peer:stop(Peer)
	end.

call(Peer, Function, Args) ->
	peer:call(Peer, ?MODULE, Function, Args, infinity).

%% The measurements.

measure_memory(Target, Connections, Clients) ->
	figures:table(["bytes per connection", "processes", "rest of the VM", "both", "VmRSS", "sockets", "buffers"],
		[[[Name, ", ", When]|Figures]
			|| {Name, Client, More} <- lists:append([hibernating(Client) || Client <- Clients]),
			{When, Figures} <- in_node(memory, [{Client, More}, Target, Connections])]).

%% The processes of ssl keep what they have used unless they are told otherwise.
hibernating("gun") ->
	[{"gun", "gun", []}, {"gun with `{hibernate_after, 1000}`", "gun", [{hibernate_after, 1000}]}];
hibernating(Client) ->
	[{Client, Client, []}].

measure_opening(Target, Clients) ->
	figures:table(["WebSocket connections opened", "a second", "ms of the client's CPU", "ms of the server's CPU"],
		[[io_lib:format("~s, ~b process(es), ~s", [Client, Processes, sessions(Resume)])
				|opening(Client, Target, Resume, Processes)]
			|| Processes <- [1, 50], Resume <- [false, true], Client <- Clients]).

%% The store of tickets in the ssl of OTP 25 crashes when many processes resume sessions at once.
opening(Client, Target = #{os_pid := Server}, Resume, Processes) ->
	with_node(fun(Peer) ->
		ok = call(Peer, warm, [Client, Target, Resume]),
		Before = figures:cpu(Server),
		case call(Peer, open_for, [Client, Target, Resume, Processes]) of
			{ok, Count, Elapsed, Cpu} ->
				[Count * 1000 / Elapsed, Cpu / Count, (figures:cpu(Server) - Before) / Count];
			error ->
				[unknown, unknown, unknown]
		end
	end).

sessions(false) -> "every session new";
sessions(true) -> "sessions resumed".

measure_first_frames(Target, Clients) ->
	figures:table(["ms from open to the first frame", "median", "slowest of 20", "resumed, %"],
		[[[Client, ", ", sessions(Resume)]|in_node(first_frames, [Client, Target, Resume, ?FIRST_FRAMES])]
			|| Resume <- [false, true], Client <- Clients]).

measure_burst(Target, Clients) ->
	figures:table([io_lib:format("~b handshakes at once", [?BURST]), "ms until all are done", "longest schedule, ms",
			"latest tick, ms", "latest of 100 ticks, ms", "longest run queue", "ms of the client's CPU"],
		[[Client|in_node(burst, [Client, Target, ?BURST])] || Client <- ["nobody"|Clients]]).

%% In the client's node: connections.

%% A client is gun, gun_rs, gun_rs_alone, or one of them with options of its own. gun_rs_alone is gun_rs that is given
%% no roots, and has those of the system: for this node SSL_CERT_FILE says where they are.
connect({Client, More}, #{port := Port, roots := Roots}, Resume) ->
	Module = module(Client),
	TlsOpts = More ++ roots(Client, Roots) ++ [
		{verify, verify_peer},
		{customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]},
		{server_name_indication, "localhost"}
	] ++ case Resume of
		true -> [{session_tickets, auto}, {reuse_sessions, true}];
		false -> [{session_tickets, disabled}, {reuse_sessions, false}]
	end,
	%% gun 1 upgrades no connection that was opened to a tuple.
	{ok, ConnPid} = Module:open("127.0.0.1", Port, #{
		http_opts => #{keepalive => infinity},
		protocols => [http],
		retry => 0,
		transport => tls,
		case Module of
			gun -> transport_opts;
			gun_rs -> tls_opts
		end => TlsOpts
	}),
	case Module:await_up(ConnPid, ?PATIENCE) of
		{ok, http} -> {ok, Module, ConnPid};
		{error, {down, Reason}} -> {error, Reason};
		%% gun 1.
		{error, Reason} -> {error, Reason}
	end;
connect(Client, Target, Resume) ->
	connect({Client, []}, Target, Resume).

module("gun") -> gun;
module(_) -> gun_rs.

roots("gun_rs_alone", "roots.pem") -> [];
roots(_, Name) -> [{cacerts, persistent_term:get({?MODULE, Name})}].

open_ws(Client, Target = #{path := Path}, Resume) ->
	{ok, Module, ConnPid} = connect(Client, Target, Resume),
	StreamRef = Module:ws_upgrade(ConnPid, Path),
	receive
		{gun_upgrade, ConnPid, StreamRef, _, _} -> {Module, ConnPid}
	after ?PATIENCE ->
		exit({no_upgrade, Client})
	end.

echo({Module, ConnPid}, Frame) ->
	ok = Module:ws_send(ConnPid, Frame),
	receive
		{gun_ws, ConnPid, _, Frame} -> ok
	after ?PATIENCE ->
		exit(no_frame)
	end.

close({Module, ConnPid}) ->
	ok = Module:close(ConnPid),
	ok = Module:flush(ConnPid).

start_client({Client, _}, Target) ->
	start_client(Client, Target);
start_client(Client, #{dir := Dir}) ->
	%% Where public_key:cacerts_get/0 has its own: a term there is not copied from process to process.
	lists:foreach(fun(Name) ->
		persistent_term:put({?MODULE, Name}, certificates(filename:join(Dir, Name)))
	end, ["roots.pem", "other.pem"]),
	%% gun tells of each connection that fails.
	ok = logger:set_primary_config(level, none),
	{ok, _} = application:ensure_all_started(module(Client)),
	{ok, _} = application:ensure_all_started(ssl),
	ok.

warm(Client, Target, Resume) ->
	ok = start_client(Client, Target),
	lists:foreach(fun(_) ->
		Conn = open_ws(Client, Target, Resume),
		ok = echo(Conn, {text, binary:copy(<<"x">>, 16#10000)}),
		ok = close(Conn)
	end, lists:seq(1, ?WARM)).

%% What the server says of a connection.
facts(Client, Target, Resume) ->
	{ok, Module, ConnPid} = connect(Client, Target, Resume),
	StreamRef = Module:get(ConnPid, "/tls"),
	{response, nofin, 200, _} = Module:await(ConnPid, StreamRef),
	{ok, Told} = Module:await_body(ConnPid, StreamRef),
	ok = close({Module, ConnPid}),
	maps:from_list([list_to_tuple(binary:split(Line, <<" ">>))
		|| Line <- binary:split(Told, <<"\n">>, [global, trim_all])]).

%% In the client's node: measurements.

%% The same work is done by all of them: that a chain is verified is seen by one that isn't taken.
agree(Client, Target) ->
	ok = start_client(Client, Target),
	#{<<"version">> := Version, <<"cipher">> := Cipher} = facts(Client, Target, false),
	{error, {shutdown, {tls_alert, {Alert, _}}}} = connect(Client, Target#{roots := "other.pem"}, false),
	{ok, Vsn} = application:get_key(module(Client), vsn),
	io_lib:format("~s ~s: ~s, ~s; with another root: ~s", [Client, Vsn, Version, Cipher, Alert]).

memory(Client, Target, Connections) ->
	ok = warm(Client, Target, false),
	Others = processes(),
	Before = look(Others),
	Conns = [open_ws(Client, Target, false) || _ <- lists:seq(1, Connections)],
	[begin
		ok = Step(),
		Figures = [Processes, Rest|System] = lists:zipwith(fun(Now, Then) ->
			case is_integer(Now) of
				true -> round((Now - Then) / Connections);
				false -> Now
			end
		end, look(Others), Before),
		3 = length(Figures) - 2,
		{When, [Processes, Rest, Processes + Rest|System]}
	end || {When, Step} <- [
		{"never used", fun() -> ok end},
		{"after 100 bytes each way", fun() -> echo_all(Conns, 100) end},
		{"after 64 KiB each way", fun() -> echo_all(Conns, 16#10000) end},
		{"after a garbage collection", fun() -> _ = [garbage_collect(Pid) || Pid <- processes()], ok end}
	]].

echo_all(Conns, Size) ->
	Frame = {binary, binary:copy(<<"x">>, Size)},
	lists:foreach(fun(Conn) -> ok = echo(Conn, Frame) end, Conns).

%% Only what doesn't belong to a connection is tidied.
look(Others) ->
	timer:sleep(?REST),
	_ = [garbage_collect(Pid) || Pid <- Others],
	[{total, Total}, {processes, Processes}] = erlang:memory([total, processes]),
	[Processes, Total - Processes, figures:resident(), figures:sockets(), figures:buffers()].

open_for(Client, Target, Resume, Processes) ->
	Cpu = figures:cpu(os:getpid()),
	Began = erlang:monotonic_time(millisecond),
	try in_parallel(Processes, fun() -> open_until(Began + ?OPENING, Client, Target, Resume, 0) end) of
		Counts ->
			{ok, lists:sum(Counts), erlang:monotonic_time(millisecond) - Began, figures:cpu(os:getpid()) - Cpu}
	catch exit:{{badmatch, {error, _}}, _} ->
		error
	end.

open_until(Deadline, Client, Target, Resume, Count) ->
	ok = close(open_ws(Client, Target, Resume)),
	case erlang:monotonic_time(millisecond) < Deadline of
		true -> open_until(Deadline, Client, Target, Resume, Count + 1);
		false -> Count + 1
	end.

in_parallel(Processes, Fun) ->
	Started = [spawn_monitor(fun() -> exit({ok, Fun()}) end) || _ <- lists:seq(1, Processes)],
	[receive
		{'DOWN', MRef, process, Pid, {ok, Result}} -> Result;
		{'DOWN', MRef, process, Pid, Reason} -> exit(Reason)
	end || {Pid, MRef} <- Started].

first_frames(Client, Target, Resume, Times) ->
	ok = warm(Client, Target, Resume),
	Taken = lists:sort([begin
		{Microseconds, Conn} = timer:tc(fun() ->
			Conn = open_ws(Client, Target, Resume),
			ok = echo(Conn, {text, <<"first">>}),
			Conn
		end),
		ok = close(Conn),
		Microseconds / 1000
	end || _ <- lists:seq(1, Times)]),
	Resumed = [1 || _ <- lists:seq(1, ?WARM), #{<<"resumed">> := <<"true">>} <- [facts(Client, Target, Resume)]],
	[figures:median(Taken), lists:nth(Times * 19 div 20, Taken), 100 * length(Resumed) div ?WARM].

%% Handshakes at once, and how the rest of the node fares meanwhile: system_monitor tells of what has kept a scheduler
%% for a millisecond or more, and a process of high priority wants to run each millisecond and tells how late it is.
%% Nobody is a node that only waits.
burst(Client, Target, Handshakes) ->
	ok = case Client of
		"nobody" -> ok;
		_ -> warm(Client, Target, false)
	end,
	Observer = spawn_opt(fun() -> observe([], [], 0) end, [{priority, high}]),
	_ = erlang:system_monitor(Observer, [{long_schedule, 1}]),
	Cpu = figures:cpu(os:getpid()),
	{Elapsed, Conns} = timer:tc(fun() -> handshakes(Client, Target, Handshakes) end),
	Used = figures:cpu(os:getpid()) - Cpu,
	_ = erlang:system_monitor(undefined),
	Observer ! {tell, self()},
	{Schedules, Ticks, RunQueue} = receive {observed, Observed} -> Observed end,
	Handshakes =:= length(Conns) orelse Client =:= "nobody" orelse exit({only, length(Conns)}),
	Late = lists:sort(Ticks),
	[
		Elapsed div 1000,
		case Schedules of
			[] -> "under 1";
			_ -> lists:max(Schedules)
		end,
		lists:last(Late) / 1000,
		lists:nth(max(1, length(Late) * 99 div 100), Late) / 1000,
		RunQueue,
		Used
	].

handshakes("nobody", _, _) ->
	timer:sleep(2000),
	[];
handshakes(Client, Target, Handshakes) ->
	in_parallel(Handshakes, fun() ->
		{ok, _, ConnPid} = connect(Client, Target, false),
		ConnPid
	end).

observe(Schedules, Ticks, RunQueue0) ->
	Began = erlang:monotonic_time(microsecond),
	{Schedules1, Asked} = wait(Schedules, 1),
	Late = max(0, erlang:monotonic_time(microsecond) - Began - 1000),
	RunQueue = max(RunQueue0, erlang:statistics(total_run_queue_lengths_all)),
	case Asked of
		nobody -> observe(Schedules1, [Late|Ticks], RunQueue);
		Pid -> Pid ! {observed, {Schedules1, [Late|Ticks], RunQueue}}
	end.

wait(Schedules, Timeout) ->
	receive
		{monitor, _, long_schedule, Info} ->
			{_, Milliseconds} = lists:keyfind(timeout, 1, Info),
			wait([Milliseconds|Schedules], 0);
		{tell, Pid} ->
			{Schedules, Pid}
	after Timeout ->
		{Schedules, nobody}
	end.

%% Servers. The directory has their certificates: server.pem with server.key, signed by an authority that the last root
%% in roots.pem has signed, and other.pem, a root that has signed nothing.

start(Server, Dir) ->
	CertFile = filename:join(Dir, "server.pem"),
	KeyFile = filename:join(Dir, "server.key"),
	Target = case Server of
		"cowboy" -> start_cowboy(CertFile, KeyFile);
		"rust" -> start_rust(CertFile, KeyFile)
	end,
	Target#{dir => Dir, roots => "roots.pem"}.

%% As public_key:cacerts_get/0 has them, which is what ssl has the least work with.
certificates(File) ->
	{ok, Pem} = file:read_file(File),
	[{cert, Der, public_key:pkix_decode_cert(Der, otp)}
		|| {'Certificate', Der, not_encrypted} <- public_key:pem_decode(Pem)].

start_cowboy(CertFile, KeyFile) ->
	{ok, _} = application:ensure_all_started(cowboy),
	ok = logger:set_primary_config(level, none),
	{ok, _} = ranch:start_listener(?MODULE, ranch_ssl, #{
		handshake_timeout => infinity,
		max_connections => infinity,
		num_acceptors => 16,
		shutdown => brutal_kill,
		socket_opts => [{ip, {127, 0, 0, 1}}, {port, 0}, {backlog, 4096}, {nodelay, true},
			{certfile, CertFile}, {keyfile, KeyFile}, {session_tickets, stateless}]
	}, ?MODULE, #{
		idle_timeout => infinity,
		max_keepalive => infinity,
		request_timeout => infinity
	}),
	#{port => ranch:get_port(?MODULE), path => "/websocket", os_pid => os:getpid()}.

%% As cowboy_tls, but each connection can also be asked what its handshake came to.
start_link(Ref, Transport, Opts) ->
	{ok, proc_lib:spawn_link(?MODULE, serve, [self(), Ref, Transport, Opts])}.

serve(Parent, Ref, Transport, Opts) ->
	{ok, Socket} = ranch:handshake(Ref),
	{ok, Facts} = ssl:connection_information(Socket, [protocol, selected_cipher_suite, session_resumption]),
	_ = process_flag(trap_exit, true),
	cowboy_http:init(Parent, Ref, Socket, Transport, undefined, Opts#{env => #{
		dispatch => cowboy_router:compile([{'_', [{"/tls", ?MODULE, Facts}|ws_echo_h:routes()]}])
	}}).

init(Req, Facts) ->
	[{protocol, Version}, {selected_cipher_suite, Suite}, {session_resumption, Resumed}] = lists:sort(Facts),
	{ok, cowboy_req:reply(200, #{}, io_lib:format("version ~s~ncipher ~s~nresumed ~s~n",
		[Version, ssl:suite_to_str(Suite), Resumed]), Req), Facts}.

start_rust(CertFile, KeyFile) ->
	Program = open_port({spawn_executable, os:getenv("GUN_RS_TESTSERVER")}, [binary, stderr_to_stdout, exit_status,
		{line, 1000}, {args, ["--until-eof", "--tls", CertFile, KeyFile]}]),
	{os_pid, OsPid} = erlang:port_info(Program, os_pid),
	receive
		{Program, {data, {eol, Line}}} ->
			{match, [Port]} = re:run(Line, "^listening on .*:(\\d+)$", [{capture, all_but_first, list}]),
			#{port => list_to_integer(Port), path => "/echo", os_pid => integer_to_list(OsPid)}
	after ?PATIENCE ->
		exit(no_server)
	end.

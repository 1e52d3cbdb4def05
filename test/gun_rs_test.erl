%% Helpers for the suites.
-module(gun_rs_test).

%% What cases say and ask for.
-export([doc/1]).
-export([title/1]).
-export([title/2]).
-export([config/2]).
-export([require_cowboy/0]).
-export([otp/0]).

%% Servers.
-export([start_cowboy/0]).
-export([start_cowboy/2]).
-export([stop_cowboy/1]).
-export([root/0]).
-export([refused_port/0]).
-export([release_port/1]).

%% Connections.
-export([open/1]).
-export([open/2]).
-export([upgrade/2]).
-export([upgrade/4]).
-export([open_ws/2]).
-export([open_ws/3]).
-export([answer/2]).
-export([watch/1]).
-export([await_exit/1]).
-export([exit_of/3]).

%% Nodes.
-export([start_distribution/0]).
-export([stop_distribution/1]).
-export([start_node/0]).
-export([start_peer/1]).

%% Looking around.
-export([eventually/1]).
-export([eventually/2]).
-export([missing/1]).
-export([debris/1]).
-export([caught/1]).
-export([resources/0]).
-export([nothing_left/1]).
-export([enough_fds/1]).
-export([max_fds/0]).
-export([count_fds/0]).
-export([count_threads/0]).
-export([watch_memory/0]).
-export([memory_growth/1]).

-include("gun_rs_test.hrl").

%% The sentence that says what a case shows.
doc(Sentence) ->
	ct:comment(Sentence),
	ct:log(Sentence).

%% The title of one of many tests: what it is about, cut short.
title(Term) ->
	lists:flatten(io_lib:format("~0tp", [Term], [{chars_limit, 80}])).

title(What, Term) ->
	lists:flatten(io_lib:format("~s ~0tp", [What, Term], [{chars_limit, 80}])).

%% What stands in a sentence for people and belongs into a program: binaries, funs, pids of Erlang's; names, paths and
%% values of Rust's.
-spec debris(string()) -> [string()].
debris(Sentence) ->
	Patterns = ["<<", "#(Fun|Ref|Port)", "<\\d+\\.\\d+", "\\w::\\w", "\\b(Some|None|Ok|Err)\\(", "[A-Z]\\w+\\(\"",
		"\\b[A-Z][a-z]+([A-Z][a-z]+)+\\b"],
	%% These are words of the field, and of the manual.
	Words = ["WebSocket", "ConnPid", "HttpOpts"],
	Rest = lists:foldl(fun(Word, S) -> string:replace(S, Word, "", all) end, Sentence, Words),
	[Found || Pattern <- Patterns,
		{match, [Found|_]} <- [re:run(unicode:characters_to_binary(Rest), Pattern, [{capture, all, list}])]].

config(Key, Config) ->
	{_, Value} = lists:keyfind(Key, 1, Config),
	Value.

require_cowboy() ->
	case code:ensure_loaded(cowboy) of
		{module, _} ->
			{ok, _} = application:ensure_all_started(cowboy),
			{ok, _} = application:ensure_all_started(gun_rs),
			ok;
		{error, _} ->
			exit("Cowboy is not in the code path: run `make test`, or ERL_LIBS=_build/peers/lib rebar3 ct.")
	end.

otp() ->
	list_to_integer(erlang:system_info(otp_release)).

%% Cowboy on a port of its own choosing, with every route of ws_echo_h.
start_cowboy() ->
	start_cowboy(ws_echo_h:routes(), [{port, 0}]).

%% No timeout or limit of its own ends a connection.
start_cowboy(Routes, SocketOpts) ->
	ok = require_cowboy(),
	Ref = make_ref(),
	{ok, _} = cowboy:start_clear(Ref, #{
		max_connections => infinity,
		num_acceptors => 16,
		shutdown => brutal_kill,
		socket_opts => [{backlog, 4096}, {nodelay, true}, {send_timeout, infinity}|SocketOpts]
	}, #{
		env => #{dispatch => cowboy_router:compile([{'_', Routes}])},
		idle_timeout => infinity,
		max_keepalive => infinity,
		request_timeout => infinity
	}),
	{Ref, ranch:get_port(Ref)}.

%% The listener and every connection of it.
stop_cowboy(Ref) ->
	ok = cowboy:stop_listener(Ref).

%% Where the project is: gun_rs is in _build/test/lib.
root() ->
	lists:foldl(fun(_, Dir) -> filename:dirname(Dir) end,
		filename:absname(code:lib_dir(gun_rs)), lists:seq(1, 4)).

%% A port that refuses: bound, so that nobody else gets it, and not listened on.
refused_port() ->
	{ok, Socket} = socket:open(inet, stream, tcp),
	ok = socket:bind(Socket, #{family => inet, addr => {127, 0, 0, 1}, port => 0}),
	{ok, #{port := Port}} = socket:sockname(Socket),
	{Socket, Port}.

release_port(Socket) ->
	_ = socket:close(Socket),
	ok.

open(Port) ->
	open(Port, #{retry => 0}).

open(Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Opts),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

upgrade(ConnPid, Path) ->
	upgrade(ConnPid, Path, [], #{}).

upgrade(ConnPid, Path, Headers, WsOpts) ->
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path, Headers, WsOpts),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _} ->
			StreamRef;
		{gun_response, ConnPid, StreamRef, _, Status, _} ->
			error({refused, Status});
		{gun_error, ConnPid, StreamRef, Reason} ->
			error(Reason);
		{gun_error, ConnPid, Reason} ->
			error(Reason)
	after ?WAIT ->
		missing("gun_upgrade")
	end.

open_ws(Port, Path) ->
	open_ws(Port, Path, #{retry => 0}).

open_ws(Port, Path, Opts) ->
	ConnPid = open(Port, Opts),
	StreamRef = gun_rs:ws_upgrade(ConnPid, Path),
	ok = ?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
	{ConnPid, StreamRef}.

%% What a request came to: its status, headers and body, and its trailers where there are any. An error stands where
%% the trailers would, or alone when there was no response.
answer(ConnPid, StreamRef) ->
	receive
		{gun_response, ConnPid, StreamRef, fin, Status, Headers} ->
			{Status, Headers, <<>>};
		{gun_response, ConnPid, StreamRef, nofin, Status, Headers} ->
			answer(ConnPid, StreamRef, Status, Headers, []);
		{gun_error, ConnPid, StreamRef, Reason} ->
			{error, Reason}
	after ?WAIT ->
		missing("gun_response")
	end.

answer(ConnPid, StreamRef, Status, Headers, Body) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} ->
			answer(ConnPid, StreamRef, Status, Headers, [Body, Data]);
		{gun_data, ConnPid, StreamRef, fin, Data} ->
			{Status, Headers, iolist_to_binary([Body, Data])};
		{gun_trailers, ConnPid, StreamRef, Trailers} ->
			{Status, Headers, iolist_to_binary(Body), Trailers};
		{gun_error, ConnPid, StreamRef, Reason} ->
			{Status, Headers, iolist_to_binary(Body), {error, Reason}}
	after ?WAIT ->
		missing("gun_data")
	end.

%% A monitor that is set when this returns. A scheduler may hold that of monitor/2 back until its caller rests, and
%% what the caller asks of others before may end the process first.
watch(ConnPid) ->
	MRef = monitor(process, ConnPid),
	receive after 1 -> MRef end.

%% The reason with which a process ended; noproc when it was gone before we looked.
await_exit(Pid) ->
	MRef = monitor(process, Pid),
	?EXPECT({'DOWN', MRef, process, Pid, Reason}, Reason).

%% The reason with which a connection ends that nobody can monitor early enough.
exit_of(Host, Port, Opts) ->
	Trapped = process_flag(trap_exit, true),
	{ok, ConnPid} = gun_rs:open(Host, Port, Opts#{supervise => false}),
	Reason = ?EXPECT({'EXIT', ConnPid, R}, R),
	_ = process_flag(trap_exit, Trapped),
	Reason.

%% Loopback only, long names, so that no resolver has a say.
start_distribution() ->
	case is_alive() of
		true ->
			[];
		false ->
			Epmd = case erl_epmd:names({127, 0, 0, 1}) of
				{ok, _} ->
					[];
				{error, _} ->
					[] = os:cmd("ERL_EPMD_ADDRESS=127.0.0.1 '" ++ os:find_executable("epmd") ++ "' -daemon"),
					[epmd]
			end,
			ok = application:set_env(kernel, inet_dist_use_interface, {127, 0, 0, 1}),
			Name = list_to_atom(peer:random_name("gun_rs_ct") ++ "@127.0.0.1"),
			true = eventually(fun() ->
				case net_kernel:start([Name, longnames]) of
					{ok, _} -> true;
					{error, Reason} -> Reason
				end
			end),
			[net_kernel|Epmd]
	end.

stop_distribution(Started) ->
	_ = [case What of
		net_kernel -> net_kernel:stop();
		%% It refuses while anybody else's node is registered.
		epmd -> os:cmd("'" ++ os:find_executable("epmd") ++ "' -kill")
	end || What <- Started],
	ok.

start_node() ->
	{ok, Peer, Node} = peer:start(#{
		name => peer:random_name("gun_rs_peer"),
		host => "127.0.0.1",
		longnames => true,
		wait_boot => 60000,
		args => ["-setcookie", atom_to_list(erlang:get_cookie()),
			"-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-pa"|code:get_path()]
	}),
	{Peer, Node}.

%% A node that is not part of a cluster, with gun_rs and what the suites have; to be called with peer:call/4.
start_peer(Env) ->
	{ok, Peer, _} = peer:start_link(#{
		connection => standard_io,
		wait_boot => 60000,
		env => Env,
		args => ["-pa"|code:get_path()]
	}),
	Peer.

eventually(Fun) ->
	eventually(Fun, ?WAIT).

%% True once the fun says true; its last other answer when it never does.
eventually(Fun, Left) ->
	case Fun() of
		true ->
			true;
		Other when Left =< 0 ->
			Other;
		_ ->
			timer:sleep(20),
			eventually(Fun, Left - 20)
	end.

%% Common Test prints a reason many times, and a megabyte in it would cost minutes and gigabytes: messages are told cut
%% short, as text.
missing(Pattern) ->
	{messages, Mailbox} = process_info(self(), messages),
	Last = lists:nthtail(max(0, length(Mailbox) - 20), Mailbox),
	error({no_message, Pattern, {mailbox, [lists:flatten(io_lib:format("~0tP", [Message, 40])) || Message <- Last]}}).

caught(Fun) ->
	try
		Fun()
	catch
		throw:Value -> Value;
		exit:Reason -> {'EXIT', Reason};
		error:Reason:Stacktrace -> {'EXIT', {Reason, Stacktrace}}
	end.

%% What connections could leave behind.
resources() ->
	#{connections := Connections, tasks := Tasks} = gun_rs_native:stats(),
	#{
		connections => Connections,
		tasks => Tasks,
		processes => erlang:system_info(process_count),
		fds => count_fds(),
		threads => count_threads()
	}.

%% There is no more of anything than before, at last.
nothing_left(Before) ->
	case eventually(fun() ->
		After = resources(),
		case [Key || {Key, N} <- maps:to_list(After), N > maps:get(Key, Before)] of
			[] -> true;
			More -> {left, More, Before, After}
		end
	end) of
		true -> ok;
		Left -> error(Left)
	end.

%% Each connection has two ends in this VM.
enough_fds(Connections) ->
	Enough = 2 * Connections + 500,
	case max_fds() >= Enough of
		true -> ok;
		false -> exit(lists:concat(["This case needs ", Enough, " file descriptors: say `ulimit -n ", Enough, "` first."]))
	end.

%% How many the system allows: a number or, which is greater, an atom.
max_fds() ->
	case string:trim(os:cmd("ulimit -n")) of
		"unlimited" -> unlimited;
		Limit -> list_to_integer(Limit)
	end.

%% Of the whole VM: its files and its threads, as the operating system counts them.
count_fds() ->
	count("/proc/" ++ os:getpid() ++ "/fd").

count_threads() ->
	count("/proc/" ++ os:getpid() ++ "/task").

count(Dir) ->
	{ok, Names} = file:list_dir_all(Dir),
	length(Names).

%% From here on, how much memory the VM takes at most: by its own account, looked at every few milliseconds, and by
%% the operating system's, which misses nothing.
watch_memory() ->
	_ = [garbage_collect(Pid) || Pid <- processes()],
	%% The highest mark is set back to what is resident now; where that is not allowed, it is close to it anyway.
	_ = file:write_file("/proc/self/clear_refs", "5"),
	Before = erlang:memory(total),
	Watcher = spawn_link(fun() -> watch_memory(Before) end),
	{Watcher, Before, resident("VmRSS")}.

watch_memory(Peak) ->
	receive
		{peak, From} ->
			From ! {self(), Peak},
			watch_memory(Peak)
	after 5 ->
		watch_memory(max(Peak, erlang:memory(total)))
	end.

%% In bytes, up to now: {the VM's account, the operating system's}.
memory_growth({Watcher, Before, Resident}) ->
	Watcher ! {peak, self()},
	receive {Watcher, Peak} -> {Peak - Before, resident("VmHWM") - Resident} end.

resident(Name) ->
	{ok, Status} = file:read_file("/proc/self/status"),
	{match, [KiB]} = re:run(Status, [Name, ":\\s*(\\d+) kB"], [{capture, [1], list}]),
	1024 * list_to_integer(KiB).

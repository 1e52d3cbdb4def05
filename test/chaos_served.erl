%% A node of its own with listeners of gun_rs to which everything happens that can: handlers, for both dialects, whose
%% beginnings and ends are counted, and what happens to them. The functions of the first group are for the suite; those
%% of the second run in the server's node.
-module(chaos_served).

-export([start/1]).
-export([call/3]).
-export([stop/1]).

-export([do_start/1]).
-export([do_ports/0]).
-export([do_restart_application/0]).
-export([do_restart_listener/1]).
-export([do_suspend/1]).
-export([do_kill_listener/0]).
-export([do_kill_handlers/2]).
-export([do_close/1]).
-export([do_reload_modules/0]).
-export([do_reload_certificates/1]).
-export([do_set_env/0]).
-export([do_broadcast/0]).
-export([do_accounts/0]).
-export([do_left/0]).
-export([do_memory/0]).
-export([do_cpu/0]).
-export([do_errors/0]).
-export([log/2]).

-export([init/2]).
-export([init/3]).
-export([terminate/3]).
-export([websocket_init/1]).
-export([websocket_init/3]).
-export([websocket_handle/2]).
-export([websocket_handle/3]).
-export([websocket_info/2]).
-export([websocket_info/3]).
-export([websocket_terminate/3]).

-define(LISTENERS, [clear, tls]).
-define(CALL, 240000).

-spec start(#{certs := map(), dir := file:filename()}) -> pid().
start(Settings) ->
	{ok, Peer, _} = peer:start(#{
		connection => standard_io,
		wait_boot => 120000,
		args => ["-pa"|code:get_path()]
	}),
	ok = peer:call(Peer, ?MODULE, do_start, [Settings], ?CALL),
	Peer.

call(Peer, Function, Args) ->
	peer:call(Peer, ?MODULE, Function, Args, ?CALL).

-spec stop(pid()) -> ok.
stop(Peer) ->
	peer:stop(Peer).

%% In the server's node.

do_start(Settings) ->
	Self = self(),
	%% What is known of handlers, and must outlive all that is killed.
	_ = spawn(fun() ->
		%% {handler, Pid}, of those that have begun and not ended; {killed, Pid}; {errors, Count}; what is set.
		_ = ets:new(?MODULE, [named_table, public, {write_concurrency, true}]),
		true = ets:insert(?MODULE, [{settings, Settings}, {killed, 0}, {began, 0}, {ended, 0}, {version, 0}, {broadcasts, 0}]),
		Self ! kept,
		receive never -> ok end
	end),
	receive kept -> ok end,
	ok = logger:set_primary_config(level, error),
	ok = logger:add_handler(?MODULE, ?MODULE, #{}),
	ok = logger:remove_handler(default),
	ok = do_certificate(good),
	{ok, _} = application:ensure_all_started(gun_rs),
	ok = start_listeners().

start_listeners() ->
	_ = [ok = start_listener(Ref) || Ref <- ?LISTENERS],
	ok.

%% The ports are those that they had. The dialects are one each.
start_listener(clear) ->
	{ok, _} = gun_rs_server:start_clear(clear, transport(clear, []), #{
		env => #{dispatch => dispatch()},
		request_timeout => 2000,
		websocket => #{idle_timeout => infinity, max_send_queue => 16#800000}
	}),
	remember(clear);
start_listener(tls) ->
	[{_, #{dir := Dir}}] = ets:lookup(?MODULE, settings),
	{ok, _} = gun_rs_server:start_https(tls, 10, transport(tls, [
		{certfile, filename:join(Dir, "cert.pem")},
		{keyfile, filename:join(Dir, "key.pem")}
	]), [{env, [{dispatch, dispatch()}]}, {timeout, 2000}, {websocket, #{max_send_queue => 16#800000}}]),
	remember(tls).

transport(Ref, Opts) ->
	Port = case ets:lookup(?MODULE, {port, Ref}) of
		[{_, Known}] -> Known;
		[] -> chaos_server:free_port()
	end,
	#{socket_opts => [{ip, {127, 0, 0, 1}}, {port, Port}, {backlog, 4096}, {nodelay, true}|Opts],
		max_connections => infinity, shutdown => 60000}.

remember(Ref) ->
	true = ets:insert(?MODULE, {{port, Ref}, gun_rs_server:get_port(Ref)}),
	ok.

dispatch() ->
	[{_, Version}] = ets:lookup(?MODULE, version),
	gun_rs_router:compile([{'_', [{"/echo", ?MODULE, echo}, {"/version", ?MODULE, {version, Version}}]}]).

do_ports() ->
	[{Ref, Port} || Ref <- ?LISTENERS, {_, Port} <- ets:lookup(?MODULE, {port, Ref})].

%% What happens to it.

do_restart_application() ->
	ok = application:stop(gun_rs),
	ok = application:start(gun_rs),
	start_listeners().

do_restart_listener(Ref) ->
	ok = gun_rs_server:stop_listener(Ref),
	start_listener(Ref).

do_suspend(Ms) ->
	_ = [ok = gun_rs_server:suspend(Ref) || Ref <- ?LISTENERS],
	timer:sleep(Ms),
	_ = [ok = gun_rs_server:resume(Ref) || Ref <- ?LISTENERS],
	ok.

%% Returns when another is in its place.
do_kill_listener() ->
	Ref = any(?LISTENERS),
	#{pid := Pid} = gun_rs_server:info(Ref),
	exit(Pid, kill),
	true = gun_rs_test:eventually(fun() ->
		case gun_rs_listeners:lookup(Ref) of
			{ok, New} -> New =/= Pid;
			error -> false
		end
	end),
	ok.

%% What ends a process that traps no exits: terminate is not called.
do_kill_handlers(Percent, Reason) ->
	some(Percent, fun(Pid) ->
		true = ets:insert(?MODULE, {{killed, Pid}}),
		_ = ets:update_counter(?MODULE, killed, 1),
		exit(Pid, Reason)
	end).

do_close(Percent) ->
	some(Percent, fun(Pid) -> Pid ! {close, 1012, <<"restart">>} end).

some(Percent, Fun) ->
	_ = [Fun(Pid) || Pid <- connections(), rand:uniform(100) =< Percent],
	ok.

connections() ->
	lists:append([gun_rs_server:connections(Ref) || Ref <- ?LISTENERS]).

any(List) ->
	lists:nth(rand:uniform(length(List)), List).

do_reload_modules() ->
	{ok, Modules} = application:get_key(gun_rs, modules),
	Reloaded = [gun_rs_native|[M || M <- Modules, lists:prefix("gun_rs_", atom_to_list(M)), rand:uniform(4) =:= 1]],
	%% No process is at home in the first one: what is old of it goes, as those leave who are in it.
	true = gun_rs_test:eventually(fun() -> code:soft_purge(gun_rs_native) end),
	_ = [code:load_file(M) || M <- Reloaded, code:soft_purge(M)],
	ok.

%% Those who come later see the new one.
do_reload_certificates(Name) ->
	ok = do_certificate(Name),
	ok = gun_rs_server:reload_certificates(tls).

do_certificate(Name) ->
	[{_, #{dir := Dir, certs := Certs}}] = ets:lookup(?MODULE, settings),
	#{Name := #{certfile := Cert, keyfile := Key}} = Certs,
	{ok, _} = file:copy(Cert, filename:join(Dir, "cert.pem")),
	{ok, _} = file:copy(Key, filename:join(Dir, "key.pem")),
	ok.

%% The number that pages of connections which come later have at least.
do_set_env() ->
	Version = ets:update_counter(?MODULE, version, 1),
	_ = [ok = gun_rs_server:set_env(Ref, dispatch, dispatch()) || Ref <- ?LISTENERS],
	Version.

do_broadcast() ->
	N = ets:update_counter(?MODULE, broadcasts, 1),
	Pids = connections(),
	_ = gun_rs_server:broadcast(Pids, {binary, integer_to_binary(N)}),
	ok.

%% What is there, and what is left.

%% While there is no chaos: whether the listeners know each handler, and know no others.
do_accounts() ->
	Known = lists:sort(connections()),
	Alive = lists:sort(processes_of_connections()),
	Began = lists:sort([Pid || {{handler, Pid}} <- ets:tab2list(?MODULE), not ets:member(?MODULE, {killed, Pid})]),
	case Known =:= Alive andalso Began -- Alive =:= [] of
		true -> true;
		false -> {listeners, length(Known), processes, length(Alive), handlers, length(Began),
			{unknown, length(Alive -- Known)}, {gone, length(Known -- Alive)}, {not_ended, length(Began -- Alive)}}
	end.

%% When all clients are gone.
do_left() ->
	Began = [Pid || {{handler, Pid}} <- ets:tab2list(?MODULE), not ets:member(?MODULE, {killed, Pid})],
	[{_, Killed}] = ets:lookup(?MODULE, killed),
	[{_, Begun}] = ets:lookup(?MODULE, began),
	[{_, Ended}] = ets:lookup(?MODULE, ended),
	#{
		left => #{handlers => length(Began), connections => length(connections()),
			processes => length(processes_of_connections()), native => gun_rs_native:stats(),
			active => [maps:with([active_connections, upgraded], gun_rs_server:info(Ref)) || Ref <- ?LISTENERS]},
		counts => #{killed => Killed, began => Begun, ended => Ended}
	}.

processes_of_connections() ->
	[Pid || Pid <- processes(), {dictionary, Dictionary} <- [process_info(Pid, dictionary)],
		proplists:get_value('$initial_call', Dictionary) =:= {gun_rs_served_conn, init, 3}].

do_memory() ->
	_ = ets:match_delete(?MODULE, {{killed, '_'}}),
	_ = ets:match_delete(?MODULE, {{handler, '_'}}),
	_ = [garbage_collect(Pid) || Pid <- processes()],
	{ok, Status} = file:read_file("/proc/self/status"),
	{match, [KiB]} = re:run(Status, "VmRSS:\\s*(\\d+) kB", [{capture, [1], list}]),
	#{erlang => erlang:memory(processes) + erlang:memory(binary) + erlang:memory(ets),
		resident => 1024 * list_to_integer(KiB)}.

%% The time of the processors that it has had, in hundredths of a second.
do_cpu() ->
	{ok, Stat} = file:read_file("/proc/self/stat"),
	[_, Rest] = binary:split(Stat, <<") ">>),
	[User, System] = lists:sublist(binary:split(Rest, <<" ">>, [global]), 12, 2),
	binary_to_integer(User) + binary_to_integer(System).

%% The first few errors that were logged.
do_errors() ->
	[Error || {{error, _}, Error} <- ets:tab2list(?MODULE)].

%% For logger. A supervisor tells of each listener that is killed.
log(#{msg := {report, #{label := {supervisor, child_terminated}, report := Report}}}, _) ->
	case proplists:get_value(reason, Report) of
		killed -> ok;
		_ -> keep(Report)
	end;
log(#{msg := Msg}, _) ->
	keep(Msg).

keep(What) ->
	case ets:update_counter(?MODULE, errors, 1, {errors, 0}) of
		N when N =< 10 -> ets:insert(?MODULE, {{error, N}, lists:flatten(io_lib:format("~0tP", [What, 60]))});
		_ -> ok
	end.

%% The handler, of Cowboy 2 and of Cowboy 1.

init(Req, echo) ->
	{cowboy_websocket, Req, echo};
init(Req, {version, Version}) ->
	{ok, gun_rs_req:reply(200, #{}, integer_to_binary(Version), Req), page}.

init(_, Req, echo) ->
	{upgrade, protocol, cowboy_websocket, Req, echo};
init(_, Req, {version, Version}) ->
	{ok, Reply} = gun_rs_req_1:reply(200, [], integer_to_binary(Version), Req),
	{shutdown, Reply, page}.

terminate(_, _, page) -> ok;
terminate(_, _, echo) -> ended().

websocket_init(echo) ->
	ok = began(),
	{[], echo}.

websocket_init(_, Req, echo) ->
	ok = began(),
	{ok, Req, echo}.

websocket_handle(Frame = {text, _}, echo) -> {[Frame], echo};
websocket_handle(_, echo) -> {[], echo}.

websocket_handle(Frame = {text, _}, Req, echo) -> {reply, Frame, Req, echo};
websocket_handle(_, Req, echo) -> {ok, Req, echo}.

websocket_info(Frame = {close, _, _}, echo) -> {[Frame], echo};
websocket_info(_, echo) -> {[], echo}.

websocket_info(Frame = {close, _, _}, Req, echo) -> {reply, Frame, Req, echo};
websocket_info(_, Req, echo) -> {ok, Req, echo}.

websocket_terminate(_, _, echo) -> ended().

began() ->
	true = ets:insert_new(?MODULE, {{handler, self()}}),
	_ = ets:update_counter(?MODULE, began, 1),
	ok.

ended() ->
	true = ets:delete(?MODULE, {handler, self()}),
	_ = ets:update_counter(?MODULE, ended, 1),
	ok.

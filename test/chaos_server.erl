%% An echo server that comes to grief: Cowboy in a node of its own, which is an operating system's process that can be
%% killed, stopped and started again on its port. The functions of the first group are for the suite; those of the
%% second run in the server's node.
-module(chaos_server).

-export([free_port/0]).
-export([start/1]).
-export([kill/1]).
-export([freeze/1]).
-export([thaw/1]).
-export([call/3]).

-export([do_start/1]).
-export([do_accept/0]).
-export([do_refuse_connections/0]).
-export([do_take_upgrades/0]).
-export([do_refuse_upgrades/0]).
-export([do_reset/1]).
-export([do_kill/1]).
-export([do_close/1]).

-export([init/2]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

-type server() :: #{peer := pid(), os_pid := string()}.
-export_type([server/0]).

%% Below the ports that the system gives to clients: one that connects again and again to a port which nobody listens
%% on would come to have it itself, and connect to itself.
free_port() ->
	Port = 15000 + rand:uniform(15000),
	case gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}]) of
		{ok, Listener} ->
			ok = gen_tcp:close(Listener),
			Port;
		{error, _} ->
			free_port()
	end.

%% The port may still be the killed one's for a moment.
-spec start(inet:port_number()) -> server().
start(Port) ->
	{ok, Peer, _} = peer:start(#{
		connection => standard_io,
		wait_boot => 120000,
		args => ["-pa"|code:get_path()]
	}),
	OsPid = peer:call(Peer, os, getpid, [], 120000),
	true = gun_rs_test:eventually(fun() -> peer:call(Peer, ?MODULE, do_start, [Port], 120000) end),
	#{peer => Peer, os_pid => OsPid}.

%% Returns when the system has taken everything from it.
-spec kill(server()) -> ok.
kill(Server = #{peer := Peer, os_pid := OsPid}) ->
	MRef = monitor(process, Peer),
	ok = signal("KILL", Server),
	receive {'DOWN', MRef, process, Peer, _} -> ok end,
	true = gun_rs_test:eventually(fun() -> not filelib:is_dir("/proc/" ++ OsPid) end),
	ok.

-spec freeze(server()) -> ok.
freeze(Server) ->
	signal("STOP", Server).

-spec thaw(server()) -> ok.
thaw(Server) ->
	signal("CONT", Server).

signal(Name, #{os_pid := OsPid}) ->
	[] = os:cmd("kill -" ++ Name ++ " " ++ OsPid),
	ok.

call(#{peer := Peer}, Function, Args) ->
	peer:call(Peer, ?MODULE, Function, Args, 120000).

%% In the server's node.

do_start(Port) ->
	%% Connections that are killed are what it is for, and no news.
	ok = logger:set_primary_config(level, none),
	{ok, _} = application:ensure_all_started(cowboy),
	case cowboy:start_clear(?MODULE, #{
		max_connections => infinity,
		num_acceptors => 16,
		shutdown => brutal_kill,
		socket_opts => [{ip, {127, 0, 0, 1}}, {port, Port}, {backlog, 4096}, {nodelay, true}]
	}, #{
		env => #{dispatch => dispatch(echo)},
		idle_timeout => infinity,
		max_keepalive => infinity,
		request_timeout => infinity
	}) of
		{ok, _} -> true;
		{error, Reason} -> Reason
	end.

dispatch(Mode) ->
	cowboy_router:compile([{'_', [{"/echo", ?MODULE, Mode}]}]).

do_refuse_connections() ->
	ok = ranch:suspend_listener(?MODULE),
	do_kill(100).

do_accept() ->
	ok = ranch:resume_listener(?MODULE).

do_refuse_upgrades() ->
	ok = cowboy:set_env(?MODULE, dispatch, dispatch(refuse)).

do_take_upgrades() ->
	ok = cowboy:set_env(?MODULE, dispatch, dispatch(echo)).

%% A reset: what has been sent and not read yet is lost.
do_reset(Percent) ->
	some(Percent, fun(Pid) ->
		{links, Links} = process_info(Pid, links),
		_ = [inet:setopts(Socket, [{linger, {true, 0}}]) || Socket <- Links, is_port(Socket)],
		exit(Pid, kill)
	end).

do_kill(Percent) ->
	some(Percent, fun(Pid) -> exit(Pid, kill) end).

%% Service restart.
do_close(Percent) ->
	some(Percent, fun(Pid) -> Pid ! {close, 1012, <<"restart">>} end).

some(Percent, Fun) ->
	%% A connection may go away while we look.
	_ = [gun_rs_test:caught(fun() -> Fun(Pid) end) || Pid <- ranch:procs(?MODULE, connections), rand:uniform(100) =< Percent],
	ok.

%% Its handler.

init(Req, refuse) ->
	{ok, cowboy_req:reply(503, #{}, <<"Later.">>, Req), refuse};
init(Req, echo) ->
	{cowboy_websocket, Req, echo, #{idle_timeout => infinity}}.

websocket_handle(Frame = {text, _}, State) ->
	{[Frame], State};
websocket_handle(_, State) ->
	{[], State}.

websocket_info(Frame = {close, _, _}, State) ->
	{[Frame], State};
websocket_info(_, State) ->
	{[], State}.

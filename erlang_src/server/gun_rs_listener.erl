%% @private A listener: it has the native one, starts a process for each connection that has sent
%% a request, and closes the connection of a process that has died.
-module(gun_rs_listener).
-behaviour(gen_server).

-export([start_link/2]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).
-export([format_status/1]).

%% By their processes. Of those that another listener has accepted, the native side comes when they have it.
-type connections() :: #{pid() => gun_rs_native:served() | unknown}.

-record(listener, {
	ref :: term(),
	%% The first listener of this name, whose place this one has.
	first :: pid(),
	config :: gun_rs_listeners:config(),
	native :: gun_rs_native:listener(),
	address :: {inet:ip_address(), inet:port_number()} | {local, binary()},
	status = running :: running | suspended,
	%% Those that were allowed where there is a limit, and those of the listener before.
	websockets = #{} :: #{pid() => []},
	connections = #{} :: connections()
}).

%% In bytes: what a request's head may have at most, whatever the limits of its parts.
-define(MAX_HEAD, 64 * 1024).

%% How long what the connections send may take to leave, behind what they were given, in ms.
-define(KILLED, 1000).

-spec start_link(Ref :: term(), gun_rs_listeners:config()) -> gen_server:start_ret().
start_link(Ref, Config) ->
	gen_server:start_link(?MODULE, {Ref, Config}, []).

-spec init({term(), gun_rs_listeners:config()}) -> {ok, #listener{}} | {stop, term()}.
init({Ref, Config0}) ->
	process_flag(trap_exit, true),
	ok = gun_rs_label:set(fun() -> {gun_rs, listener, Ref} end),
	{Config, Port, First} = case gun_rs_listeners:find(Ref) of
		{ok, #{config := Known, port := KnownPort, first := KnownFirst, native := Before}} ->
			ok = leave_port(Before),
			{Known, KnownPort, KnownFirst};
		error ->
			{Config0, undefined, self()}
	end,
	case listen(First, Config, Port) of
		{ok, Native, Address} ->
			Listener = #listener{ref = Ref, first = First, config = Config, native = Native, address = Address},
			%% A connection whose process is not known to the library yet finds this listener here.
			ok = remember(Listener),
			{ok, adopt(Listener)};
		{error, Reason} ->
			{stop, Reason}
	end.

%% That of a process that is gone is closed by the VM's collection of garbage, which may come later than we do.
leave_port(Native) ->
	try
		gun_rs_native:server_close(Native)
	catch error:_ ->
		%% It belongs to another copy of the library.
		ok
	end.

%% The connections of the listeners in whose place this one is.
adopt(Listener=#listener{first = First, connections = Connections}) ->
	Listener#listener{connections = lists:foldl(fun(Pid, Acc) ->
		Pid ! {gun_rs_served, {adopt, self()}},
		watch(Pid, unknown, Acc)
	end, Connections, gun_rs_native:served_pids(First))}.

remember(#listener{ref = Ref, first = First, config = Config, native = Native, address = Address}) ->
	gun_rs_listeners:put(Ref,
		#{pid => self(), first => First, config => Config, native => Native, port => port(Address)}).

port({local, _}) -> undefined;
port({_, Port}) -> Port.

listen(First, Config=#{transport := Transport}, Port) ->
	case tls(Transport) of
		{ok, Tls} ->
			Options = native(Config, Port),
			case gun_rs_native:server_listen(self(), First, Options, Tls) of
				{ok, Native, undefined} -> {ok, Native, maps:get(address, Transport)};
				{ok, Native, Address} -> {ok, Native, Address};
				{error, Reason} -> {error, Reason}
			end;
		Error ->
			Error
	end.

tls(#{tls := undefined}) ->
	{ok, undefined};
tls(#{tls := Opts}) ->
	gun_rs_server_tls:config(gun_rs_secrets:reveal_tls(Opts)).

native(#{transport := Transport, protocol := Protocol}, Port) ->
	#{max_connections_per_address := PerAddress} = Transport,
	Common = maps:with([backlog, handshake_timeout, max_connections, tcp], Transport),
	Common#{max_per_address => PerAddress, address => address(maps:get(address, Transport), Port), serve => serve(Transport, Protocol)}.

%% One that is started again has the port that it had.
address({local, Path}, _) -> {unix, Path};
address({Ip, 0}, Port) when is_integer(Port) -> address({Ip, Port}, Port);
address({Ip, Port}, _) -> {tcp, list_to_binary(inet:ntoa(Ip)), Port}.

serve(#{tcp := #{send_timeout := SendTimeout}, shutdown := Shutdown}, Protocol) ->
	#{max_headers := Headers, max_header_value := Value, max_header_name := Name, max_request_line := Line} = Protocol,
	Common = maps:with([head_too_large, idle_timeout, linger_timeout, max_header_name, max_header_value, max_headers, max_keepalive,
		max_request_line, max_send_queue, request_timeout], Protocol),
	%% What the limits of its parts allow, and no more.
	Size = min(?MAX_HEAD, Line + Headers * (Name + Value + 4)),
	Common#{max_head_size => Size, send_timeout => SendTimeout, closing_timeout => patience(Shutdown)}.

patience(brutal_kill) -> 0;
patience(Shutdown) -> Shutdown.

-spec handle_call(term(), gen_server:from(), #listener{}) -> {reply, term(), #listener{}}.
handle_call(info, _, Listener) ->
	{reply, info(Listener), Listener};
handle_call(connections, _, Listener=#listener{connections = Connections}) ->
	{reply, maps:keys(Connections), Listener};
handle_call(count, _, Listener=#listener{connections = Connections}) ->
	{reply, map_size(Connections), Listener};
%% A process asks whether it may become a WebSocket.
handle_call(may_upgrade, {Pid, _}, Listener=#listener{config = Config, websockets = WebSockets}) ->
	#{transport := #{max_websockets := Max}} = Config,
	case map_size(WebSockets) < Max of
		true -> {reply, true, Listener#listener{websockets = WebSockets#{Pid => []}}};
		false -> {reply, false, Listener}
	end;
handle_call(suspend, _, Listener=#listener{native = Native}) ->
	{reply, gun_rs_native:server_suspend(Native), Listener#listener{status = suspended}};
handle_call(resume, _, Listener=#listener{native = Native}) ->
	case gun_rs_native:server_resume(Native) of
		ok -> {reply, ok, Listener#listener{status = running}};
		Error -> {reply, Error, Listener}
	end;
handle_call({set_env, Key, Value}, _, Listener=#listener{config = Config=#{protocol := Protocol=#{env := Env}}}) ->
	{reply, ok, configure(Config#{protocol := Protocol#{env := Env#{Key => Value}}}, Listener)};
handle_call({set_protocol, Protocol, Opts}, _, Listener=#listener{config = Config, native = Native}) ->
	#{transport := Transport} = Config,
	ok = gun_rs_native:server_set_serve(Native, serve(Transport, Protocol)),
	{reply, ok, configure(Config#{protocol := Protocol, protocol_opts := Opts}, Listener)};
handle_call({set_max_connections, Max}, _, Listener=#listener{config = Config, native = Native}) ->
	ok = gun_rs_native:server_set_max_connections(Native, Max),
	#{transport := Transport} = Config,
	{reply, ok, configure(Config#{transport := Transport#{max_connections := Max}}, Listener)};
%% Certificates are read again; where they can't be, those from before stay.
handle_call(reload_certificates, _, Listener=#listener{config = #{transport := Transport}, native = Native}) ->
	case tls(Transport) of
		{ok, undefined} -> {reply, {error, no_tls}, Listener};
		{ok, Tls} -> {reply, gun_rs_native:server_set_tls(Native, Tls), Listener};
		Error -> {reply, Error, Listener}
	end;
handle_call(_, _, Listener) ->
	{reply, {error, unknown_call}, Listener}.

configure(Config, Listener) ->
	Configured = Listener#listener{config = Config},
	ok = remember(Configured),
	Configured.

info(#listener{config = Config, native = Native, address = Address, status = Status, connections = Connections}) ->
	#{transport := #{max_connections := Max, tls := Tls}, transport_opts := TransportOpts,
		protocol_opts := ProtocolOpts, dialect := Dialect} = Config,
	{Ip, Port} = case {Address, Status} of
		{{local, Path}, _} -> {{local, Path}, undefined};
		{_, suspended} -> {undefined, undefined};
		_ -> Address
	end,
	Counts = gun_rs_native:server_info(Native),
	maps:merge(Counts, #{
		active_connections => maps:get(active, Counts),
		all_connections => map_size(Connections),
		dialect => Dialect,
		ip => Ip,
		max_connections => Max,
		pid => self(),
		port => Port,
		protocol_options => ProtocolOpts,
		status => Status,
		transport => case Tls of undefined -> tcp; _ -> tls end,
		transport_options => TransportOpts
	}).

-spec handle_cast(term(), #listener{}) -> {noreply, #listener{}}.
handle_cast(_, Listener) ->
	{noreply, Listener}.

-spec handle_info(term(), #listener{}) -> {noreply, #listener{}} | {stop, term(), #listener{}}.
handle_info({gun_rs_native, {accepted, Conn, Peer, Id, Request}}, Listener) ->
	#listener{ref = Ref, config = Config, connections = Connections} = Listener,
	%% They are copied: not the options as they were given.
	Served = #{ref => Ref, config => maps:with([dialect, transport, protocol], Config), conn => Conn, peer => Peer,
		listener => self()},
	Pid = gun_rs_served_conn:start(Served, Id, Request),
	{noreply, Listener#listener{connections = watch(Pid, Conn, Connections)}};
handle_info({gun_rs_native, {adopted, Pid, Conn, http}}, Listener=#listener{connections = Connections}) ->
	{noreply, Listener#listener{connections = watch(Pid, Conn, Connections)}};
handle_info({gun_rs_native, {adopted, Pid, Conn, websocket}}, Listener) ->
	#listener{connections = Connections, websockets = WebSockets} = Listener,
	{noreply, Listener#listener{connections = watch(Pid, Conn, Connections), websockets = WebSockets#{Pid => []}}};
handle_info({'DOWN', _, process, Pid, Reason}, Listener=#listener{connections = Connections, websockets = WebSockets}) ->
	case maps:take(Pid, Connections) of
		{Conn, Rest} ->
			ok = close(Conn, close_code(Reason)),
			{noreply, Listener#listener{connections = Rest, websockets = maps:remove(Pid, WebSockets)}};
		error ->
			{noreply, Listener}
	end;
handle_info({gun_rs_native, {accept_failed, Reason}}, Listener=#listener{ref = Ref}) ->
	ok = log_accept(Reason, Ref),
	{noreply, Listener};
handle_info({'EXIT', _, Reason}, Listener) ->
	{stop, Reason, Listener};
handle_info(_, Listener) ->
	{noreply, Listener}.

-spec watch(pid(), gun_rs_native:served() | unknown, connections()) -> connections().
watch(Pid, Conn, Connections) when is_map_key(Pid, Connections) ->
	Connections#{Pid := Conn};
watch(Pid, Conn, Connections) ->
	_ = monitor(process, Pid),
	Connections#{Pid => Conn}.

%% One that is unknown goes with its process.
close(unknown, _) -> ok;
close(Conn, Code) -> gun_rs_native:served_close_with(Conn, Code).

log_accept(ok, Ref) ->
	logger:notice("The listener ~tp accepts connections again.", [Ref]);
log_accept(Reason, Ref) ->
	logger:error("The listener ~tp can accept no connections for now: ~ts. They wait.", [Ref, inet:format_error(Reason)]).

%% What a connection is closed with whose process has ended; without effect where it is closed already.
close_code(normal) -> 1000;
close_code(shutdown) -> 1001;
close_code({shutdown, _}) -> 1001;
close_code(_) -> 1011.

%% Nothing is accepted any more; each connection has its time to end.
-spec terminate(term(), #listener{}) -> ok.
terminate(_, #listener{native = Native, config = #{transport := #{shutdown := Shutdown}}, connections = Connections}) ->
	_ = gun_rs_native:server_close(Native),
	case Shutdown of
		brutal_kill ->
			kill(Connections);
		_ ->
			_ = [Pid ! {gun_rs_served, shutdown} || Pid <- maps:keys(Connections)],
			kill(await(Connections, deadline(Shutdown)))
	end.

deadline(infinity) -> infinity;
deadline(Time) -> erlang:monotonic_time(millisecond) + Time.

await(Connections, _) when map_size(Connections) =:= 0 ->
	Connections;
await(Connections, Deadline) ->
	receive
		{'DOWN', _, process, Pid, _} when is_map_key(Pid, Connections) ->
			await(maps:remove(Pid, Connections), Deadline);
		{gun_rs_native, {adopted, Pid, Conn, _}} when is_map_key(Pid, Connections) ->
			await(Connections#{Pid := Conn}, Deadline);
		{gun_rs_native, {adopted, Pid, Conn, _}} ->
			Pid ! {gun_rs_served, shutdown},
			await(watch(Pid, Conn, Connections), Deadline);
		%% It came too late to be served.
		{gun_rs_native, {accepted, Conn, _, _, _}} ->
			_ = gun_rs_native:served_close_with(Conn, 1001),
			await(Connections, Deadline)
	after left(Deadline) ->
		Connections
	end.

left(infinity) -> infinity;
left(Deadline) -> max(0, Deadline - erlang:monotonic_time(millisecond)).

kill(Connections) ->
	_ = [begin
		exit(Pid, kill),
		close(Conn, 1001)
	end || {Pid, Conn} <- maps:to_list(Connections)],
	_ = await(Connections, deadline(?KILLED)),
	ok.

%% Keys stay out of what is printed.
-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
	maps:map(fun
		(state, #listener{ref = Ref, status = Running, address = Address, connections = Connections}) ->
			#{ref => Ref, status => Running, address => Address, connections => map_size(Connections)};
		(_, Value) ->
			Value
	end, Status).

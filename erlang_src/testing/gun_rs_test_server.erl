%% @doc Servers for your own tests: each answers requests by scripts, and tells what its clients have sent.
%%
%% ```
%% {ok, Server, Port} = gun_rs_test_server:start([{send, {text, <<"hello">>}}, echo]),
%% %% What is under test connects to localhost and Port.
%% {ok, _} = gun_rs_test_server:await(Server, {frame, 1, {text, <<"bye">>}}),
%% ok = gun_rs_test_server:stop(Server).
%% '''
-module(gun_rs_test_server).
-behaviour(gen_server).

-export([start/1]).
-export([start_link/1]).
-export([child_spec/1]).
-export([stop/1]).
-export([port/1]).
-export([root/1]).
-export([received/1]).
-export([await/2]).
-export([await/3]).
-export([run/2]).
-export([format_error/1]).
-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).

%% What a WebSocket that is accepted does, step by step; it stays open and silent behind the last of them. await: nothing
%% before the client sends a frame, or this one. echo: every message goes back from now on. drop: the socket closes
%% without a close frame, when the client has what was sent before.
-type step() :: {send, gun_rs_frames:frame()} | await | {await, gun_rs_ws_protocol:frame()} | echo
	| {close, Code :: 1000..4999, Text :: binary()} | drop.
%% How one request is answered. A list accepts a WebSocket; accept does so with headers of the response. stall: never.
-type script() :: [step()] | {accept, headers(), [step()]}
	| {refuse, Status :: 200..599} | {refuse, Status :: 200..599, headers(), Body :: iodata()}
	| stall | drop.
-type headers() :: #{binary() => iodata()}.
%% scripts: the first request follows the first script, and so on, all later ones the last. tls_opts: options of
%% gun_rs_server:start_tls/3, such as certfile and keyfile; without them a certificate for localhost is made. max_received:
%% how much is kept of what clients send, in events.
-type opts() :: #{
	scripts := [script(), ...],
	transport => tcp | tls,
	tls_opts => [term()],
	max_received => pos_integer()
}.
%% Requests are counted from 1, by the order they come in. Of a
%% request that is to stall no body is read, of others a megabyte.
-type event() :: {request, N :: pos_integer(), #{method := binary(), path := binary(), qs := binary(),
		headers := #{binary() => binary()}, body := binary()}}
	| {open, N :: pos_integer()}
	| {frame, N :: pos_integer(), gun_rs_ws_protocol:frame() | ping | pong}
	| {closed, N :: pos_integer(), gun_rs_websocket:reason()}.
%% Why a server does not start.
-type error() :: {script, term()} | {options, term()} | not_started | inet:posix() | gun_rs_server:error().
-export_type([step/0, script/0, opts/0, event/0, error/0]).

-define(MAX_RECEIVED, 10000).
-define(WAIT, 30000).

-record(server, {
	listener :: reference(),
	relay :: pid(),
	port :: inet:port_number(),
	root :: binary() | undefined,
	scripts :: [script(), ...],
	max :: pos_integer(),
	requests = 0 :: non_neg_integer(),
	%% The newest first.
	events = queue:new() :: queue:queue(event()),
	count = 0 :: non_neg_integer(),
	dropped = 0 :: non_neg_integer(),
	open = #{} :: #{pid() => reference()},
	waiting = [] :: [{gen_server:from(), awaited(), reference()}]
}).

-type awaited() :: event() | fun((event()) -> boolean()).

%% @doc Starts a server on any free port of the loopback interface. It lives until stop/1.
-spec start(script() | opts()) -> {ok, pid(), inet:port_number()} | {error, error()}.
start(ScriptOrOpts) ->
	started(gen_server:start(?MODULE, ScriptOrOpts, [])).

%% @doc The same, linked to the caller, as supervisors and ExUnit's start_supervised want it.
-spec start_link(script() | opts()) -> {ok, pid(), inet:port_number()} | {error, error()}.
start_link(ScriptOrOpts) ->
	started(gen_server:start_link(?MODULE, ScriptOrOpts, [])).

started({ok, Server}) -> {ok, Server, port(Server)};
started({error, {shutdown, Reason}}) -> {error, Reason};
started(Error) -> Error.

%% @doc A child of a supervisor.
-spec child_spec(script() | opts()) -> supervisor:child_spec().
child_spec(ScriptOrOpts) ->
	#{id => make_ref(), start => {?MODULE, start_link, [ScriptOrOpts]}}.

%% @doc Stops the server. Its clients lose their connections.
-spec stop(pid()) -> ok.
stop(Server) ->
	gen_server:stop(Server, normal, ?WAIT).

%% @doc The port it listens on.
-spec port(pid()) -> inet:port_number().
port(Server) ->
	gen_server:call(Server, port, ?WAIT).

%% @doc The certificate that clients have to trust, for their option cacerts, where the server has made its own.
-spec root(pid()) -> Der :: binary() | undefined.
root(Server) ->
	gen_server:call(Server, root, ?WAIT).

%% @doc What clients have sent until now, the oldest first. Where more has come than is kept, the oldest are gone, and
%% `{dropped, Count}' stands in their place.
-spec received(pid()) -> [event() | {dropped, pos_integer()}].
received(Server) ->
	gen_server:call(Server, received, ?WAIT).

%% @doc Waits for 30 seconds at most until something has been received: see await/3.
-spec await(pid(), awaited()) -> {ok, event()} | {error, timeout}.
await(Server, Awaited) ->
	await(Server, Awaited, ?WAIT).

%% @doc Waits until an event has been received, or one that a fun is true of. What has come before the call counts.
-spec await(pid(), awaited(), Timeout :: non_neg_integer()) -> {ok, event()} | {error, timeout}.
await(Server, Awaited, Timeout) when is_tuple(Awaited); is_function(Awaited, 1) ->
	gen_server:call(Server, {await, Awaited, Timeout}, infinity).

%% @doc Has every WebSocket that is open take more steps, behind those it has.
-spec run(pid(), [step()]) -> ok | {error, not_open | {script, term()}}.
run(Server, Steps) ->
	case gun_rs_test_script:check(Steps) of
		ok when is_list(Steps) -> gen_server:call(Server, {run, Steps}, ?WAIT);
		ok -> {error, {script, Steps}};
		Error -> Error
	end.

%% @doc An English sentence for an error of this module.
-spec format_error(error() | timeout | not_open | {error, term()}) -> string().
format_error({error, Reason}) -> format_error(Reason);
format_error(timeout) -> "Nothing of that kind was received in time.";
format_error(not_open) -> "No WebSocket is open.";
format_error({script, Script}) -> format("This is not a script, nor a step of one: ~tp.", [Script]);
format_error({options, {scripts, Scripts}}) ->
	format("The option scripts must be a list of one script or more; it is ~tp.", [Scripts]);
format_error({options, {transport, Transport}}) -> format("The option transport must be tcp or tls; it is ~tp.", [Transport]);
format_error({options, {max_received, Max}}) ->
	format("The option max_received must be a positive integer; it is ~tp.", [Max]);
format_error(Reason) -> gun_rs_server:format_error(Reason).

format(Format, Args) ->
	unicode:characters_to_list(io_lib:format(Format, Args)).

%% @private
-spec init(script() | opts()) -> {ok, #server{}} | {stop, {shutdown, error()}}.
init(Opts) when is_map(Opts) ->
	case check(Opts) of
		ok -> listen(Opts);
		{error, Reason} -> {stop, {shutdown, Reason}}
	end;
init(Script) ->
	init(#{scripts => [Script]}).

check(Opts=#{scripts := [_|_] = Scripts}) ->
	Known = maps:without([scripts, tls_opts], Opts),
	case [Error || {error, _} = Error <- [gun_rs_test_script:check(Script) || Script <- Scripts]]
			++ [{error, {options, Opt}} || Opt <- maps:to_list(Known), not is_option(Opt)] of
		[] -> ok;
		[Error|_] -> Error
	end;
check(#{scripts := Scripts}) -> {error, {options, {scripts, Scripts}}};
check(_) -> {error, {options, {scripts, []}}}.

is_option({transport, Transport}) -> lists:member(Transport, [tcp, tls]);
is_option({max_received, Max}) -> is_integer(Max) andalso Max > 0;
is_option(_) -> false.

%% Our server listens behind a relay, which alone can cut a connection as a network does.
listen(Opts=#{scripts := Scripts}) ->
	process_flag(trap_exit, true),
	Listener = make_ref(),
	{Start, TlsOpts, Root} = transport(Opts),
	TransOpts = #{
		socket_opts => [{ip, {127, 0, 0, 1}}, {port, 0}|TlsOpts], max_connections => infinity, shutdown => brutal_kill
	},
	Routes = gun_rs_router:compile([{'_', [{'_', gun_rs_test_handler, self()}]}]),
	ProtoOpts = #{env => #{dispatch => Routes}, idle_timeout => infinity, request_timeout => infinity},
	case gun_rs_server:Start(Listener, TransOpts, ProtoOpts) of
		{ok, _} ->
			keep(Listener),
			case gun_rs_test_relay:start_link(gun_rs_server:get_port(Listener)) of
				{ok, Relay, Port} ->
					{ok, #server{listener = Listener, relay = Relay, port = Port, root = Root, scripts = Scripts,
						max = maps:get(max_received, Opts, ?MAX_RECEIVED)}};
				{error, Reason} ->
					{stop, {shutdown, Reason}}
			end;
		{error, Reason} ->
			{stop, {shutdown, Reason}}
	end.

transport(#{transport := tls, tls_opts := TlsOpts}) ->
	{start_tls, TlsOpts, undefined};
transport(#{transport := tls}) ->
	%% What public_key takes by itself is too weak for TLS. One key does for all, as it takes a while to make.
	Strong = [{digest, sha256}, {key, public_key:generate_key({rsa, 2048, 65537})}],
	Chain = #{root => Strong, intermediates => [], peer => Strong},
	#{server_config := Config, client_config := Client} =
		public_key:pkix_test_data(#{server_chain => Chain#{peer => [extensions()|Strong]}, client_chain => Chain}),
	[Root|_] = proplists:get_value(cacerts, Client),
	{start_tls, [lists:keyfind(Key, 1, Config) || Key <- [cert, key]], Root};
transport(_) ->
	{start_clear, [], undefined}.

%% id-ce-subjectAltName
extensions() ->
	{extensions, [{'Extension', {2, 5, 29, 17}, false, [{dNSName, "localhost"}, {iPAddress, <<127, 0, 0, 1>>}]}]}.

%% However the server ends, its listener ends too.
keep(Listener) ->
	Server = self(),
	_ = spawn(fun() ->
		Monitor = monitor(process, Server),
		receive {'DOWN', Monitor, process, _, _} -> _ = gun_rs_server:stop_listener(Listener), ok end
	end),
	ok.

%% @private
-spec handle_call(term(), gen_server:from(), #server{}) -> {reply, term(), #server{}} | {noreply, #server{}}.
handle_call(port, _, Server=#server{port = Port}) ->
	{reply, Port, Server};
handle_call(root, _, Server=#server{root = Root}) ->
	{reply, Root, Server};
handle_call(received, _, Server=#server{events = Events, dropped = Dropped}) ->
	{reply, [{dropped, Dropped} || Dropped > 0] ++ queue:to_list(Events), Server};
handle_call({await, Awaited, Timeout}, From, Server=#server{events = Events, waiting = Waiting}) ->
	case [Event || Event <- queue:to_list(Events), is_awaited(Awaited, Event)] of
		[Event|_] ->
			{reply, {ok, Event}, Server};
		[] ->
			Timer = erlang:start_timer(Timeout, self(), From),
			{noreply, Server#server{waiting = [{From, Awaited, Timer}|Waiting]}}
	end;
handle_call({run, Steps}, _, Server=#server{open = Open}) ->
	_ = [Pid ! {steps, Steps} || Pid <- maps:keys(Open)],
	{reply, case map_size(Open) of 0 -> {error, not_open}; _ -> ok end, Server};
%% Of the handler: which script it follows.
handle_call(request, _, Server=#server{requests = N0, scripts = Scripts}) ->
	N = N0 + 1,
	{reply, {N, lists:nth(min(N, length(Scripts)), Scripts)}, Server#server{requests = N}};
handle_call({open, N, Pid}, _, Server=#server{open = Open}) ->
	Opened = Server#server{open = Open#{Pid => monitor(process, Pid)}},
	{reply, ok, event({open, N}, Opened)};
handle_call({event, Event}, _, Server) ->
	{reply, ok, event(Event, Server)};
handle_call({cut, Port}, _, Server=#server{relay = Relay}) ->
	Relay ! {cut, Port},
	{reply, ok, Server}.

is_awaited(Awaited, Event) when is_function(Awaited) -> Awaited(Event) =:= true;
is_awaited(Awaited, Event) -> Awaited =:= Event.

event(Event, Server0=#server{waiting = Waiting}) ->
	Server = kept(Event, Server0),
	{Done, Rest} = lists:partition(fun({_, Awaited, _}) -> is_awaited(Awaited, Event) end, Waiting),
	_ = [begin
		_ = erlang:cancel_timer(Timer),
		gen_server:reply(From, {ok, Event})
	end || {From, _, Timer} <- Done],
	Server#server{waiting = Rest}.

kept(Event, Server=#server{events = Events, count = Max, max = Max, dropped = Dropped}) ->
	Server#server{events = queue:in(Event, queue:drop(Events)), dropped = Dropped + 1};
kept(Event, Server=#server{events = Events, count = Count}) ->
	Server#server{events = queue:in(Event, Events), count = Count + 1}.

%% @private
-spec handle_cast(term(), #server{}) -> {noreply, #server{}}.
handle_cast(_, Server) ->
	{noreply, Server}.

%% @private
-spec handle_info(term(), #server{}) -> {noreply, #server{}} | {stop, term(), #server{}}.
handle_info({timeout, Timer, From}, Server=#server{waiting = Waiting0}) ->
	case lists:keytake(Timer, 3, Waiting0) of
		{value, {From, _, _}, Waiting} ->
			gen_server:reply(From, {error, timeout}),
			{noreply, Server#server{waiting = Waiting}};
		false ->
			{noreply, Server}
	end;
handle_info({'DOWN', _, process, Pid, _}, Server=#server{open = Open}) ->
	{noreply, Server#server{open = maps:remove(Pid, Open)}};
handle_info({'EXIT', Relay, Reason}, Server=#server{relay = Relay}) ->
	{stop, Reason, Server};
%% Of whoever has started it by start_link.
handle_info({'EXIT', _, Reason}, Server) ->
	{stop, Reason, Server};
handle_info(_, Server) ->
	{noreply, Server}.

%% @private
-spec terminate(term(), #server{}) -> ok.
terminate(_, #server{listener = Listener, relay = Relay}) ->
	exit(Relay, shutdown),
	_ = gun_rs_server:stop_listener(Listener),
	ok.

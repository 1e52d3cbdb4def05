%% @doc A WebSocket of a client that runs a module of yours, with the callbacks of a server's handler: it opens the
%% connection, upgrades, and does both again when the connection is lost.
%%
%% ```
%% -module(prices).
%% -behaviour(gun_rs_ws_client).
%%
%% websocket_init(State) -> {[{text, "subscribe"}], State}.
%% websocket_handle({text, Price}, State) -> {[], State#{price => Price}}.
%% websocket_info(_, State) -> {[], State}.
%% '''
%%
%% `gun_rs_ws_client:start_link({local, prices}, "wss://example.org/prices", prices, #{}, #{})' starts it; in a supervisor,
%% `{gun_rs_ws_client, Name, Url, Module, State, Opts}' is what child_spec/1 makes a child of.
-module(gun_rs_ws_client).
-behaviour(gen_server).

-export([start_link/3]).
-export([start_link/4]).
-export([start_link/5]).
-export([child_spec/1]).
-export([send/2]).
-export([stop/1]).
-export([init/1]).
-export([handle_continue/2]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).
-export([format_status/1]).

-type name() :: {local, atom()} | {global, term()} | {via, module(), term()}.

%% open: options of gun_rs:open/3; headers: of the upgrade; backoff: the longest pause between two attempts, in ms, and
%% retries: how often a lost connection is tried again, before the process ends.
-type opts() :: #{
	open => map(),
	headers => [{binary(), iodata()}],
	backoff => pos_integer(),
	retries => non_neg_integer()
}.
-export_type([name/0, opts/0]).

%% Frames are sent; close ends the WebSocket, and the process with it.
-type result(State) :: {[gun_rs_frames:frame()], State}
	| {[gun_rs_frames:frame()], State, hibernate}
	| {stop, State}.

%% The WebSocket is open: at first, and after each reconnect.
-callback websocket_init(State) -> result(State) when State :: term().
-optional_callbacks([websocket_init/1]).

-callback websocket_handle(gun_rs_ws_protocol:frame(), State) -> result(State) when State :: term().

-callback websocket_info(Message :: term(), State) -> result(State) when State :: term().

%% The connection is lost; it is tried again unless the answer is stop.
-callback websocket_down(Reason :: term(), State) -> {reconnect, State} | {stop, State} when State :: term().
-optional_callbacks([websocket_down/2]).

-callback terminate(Reason :: term(), State :: term()) -> term().
-optional_callbacks([terminate/2]).

-record(client, {
	conn :: pid() | undefined,
	monitor :: reference() | undefined,
	stream :: reference() | undefined,
	url :: string() | binary(),
	module :: module(),
	state :: term(),
	opts :: opts(),
	is_open = false :: boolean()
}).

-define(BACKOFF, 30000).
-define(RETRIES, 1000000).

-spec start_link(Url :: string() | binary(), module(), State :: term()) -> gen_server:start_ret().
start_link(Url, Module, State) ->
	start_link(Url, Module, State, #{}).

-spec start_link(Url :: string() | binary(), module(), State :: term(), opts()) -> gen_server:start_ret().
start_link(Url, Module, State, Opts) ->
	gen_server:start_link(?MODULE, {Url, Module, State, Opts}, []).

-spec start_link(name(), Url :: string() | binary(), module(), State :: term(), opts()) -> gen_server:start_ret().
start_link(Name, Url, Module, State, Opts) ->
	gen_server:start_link(Name, ?MODULE, {Url, Module, State, Opts}, []).

%% @doc A child of a supervisor.
-spec child_spec({name(), Url :: string() | binary(), module(), State :: term(), opts()}) -> supervisor:child_spec().
child_spec({Name, Url, Module, State, Opts}) ->
	#{id => Name, start => {?MODULE, start_link, [Name, Url, Module, State, Opts]}}.

%% @doc Sends frames. Where the WebSocket is not open, they are not sent: `{error, not_open}'.
-spec send(gen_server:server_ref(), gun_rs_frames:frame() | [gun_rs_frames:frame()]) -> ok | {error, not_open}.
send(Client, Frames) ->
	gen_server:call(Client, {send, Frames}, infinity).

%% @doc Closes the WebSocket with 1000, and ends the process.
-spec stop(gen_server:server_ref()) -> ok.
stop(Client) ->
	gen_server:stop(Client).

-spec init({Url :: string() | binary(), module(), State :: term(), opts()})
	-> {ok, #client{}, {continue, open}} | {stop, term()}.
init({Url, Module, State, Opts}) ->
	process_flag(trap_exit, true),
	case {code:ensure_loaded(Module), check(Opts)} of
		{{module, Module}, ok} ->
			{ok, #client{url = Url, module = Module, state = State, opts = Opts}, {continue, open}};
		{{error, Reason}, _} ->
			{stop, {Module, Reason}};
		{_, {error, Reason}} ->
			{stop, Reason}
	end.

check(Opts) when is_map(Opts) ->
	case maps:to_list(maps:without([open, headers, backoff, retries], Opts)) of
		[] when is_map(map_get(open, Opts)); not is_map_key(open, Opts) -> ok;
		[] -> {error, {options, {open, gun_rs_secrets:options(maps:get(open, Opts))}}};
		[Opt|_] -> {error, {options, gun_rs_secrets:option(Opt)}}
	end;
check(Opts) ->
	{error, {options, gun_rs_secrets:options(Opts)}}.

-spec handle_continue(open, #client{}) -> {noreply, #client{}} | {stop, term(), #client{}}.
handle_continue(open, Client0=#client{url = Url, opts = Opts}) ->
	%% They are needed once, and may have secrets.
	Client = Client0#client{opts = #{}},
	Given = maps:get(open, Opts, #{}),
	Retry = #{
		retry => maps:get(retries, Opts, ?RETRIES),
		retry_timeout => min(1000, maps:get(backoff, Opts, ?BACKOFF)),
		retry_backoff => #{max => maps:get(backoff, Opts, ?BACKOFF)}
	},
	WsOpts = maps:merge(#{reupgrade => true}, maps:get(ws_opts, Given, #{})),
	case gun_rs:open(Url, maps:merge(Retry, Given#{ws_opts => WsOpts})) of
		{ok, Conn} ->
			Monitor = monitor(process, Conn),
			Stream = gun_rs:ws_upgrade(Conn, path(Url), maps:get(headers, Opts, [])),
			{noreply, Client#client{conn = Conn, monitor = Monitor, stream = Stream}};
		{error, Reason} ->
			{stop, Reason, Client};
		Error={error, options, _} ->
			{stop, Error, Client}
	end.

path(Url) ->
	case uri_string:parse(unicode:characters_to_binary(Url)) of
		#{path := <<>>, query := Query} -> <<"/?", Query/binary>>;
		#{path := Path, query := Query} -> <<Path/binary, "?", Query/binary>>;
		#{path := Path} when Path =/= <<>> -> Path;
		_ -> <<"/">>
	end.

-spec handle_call(term(), gen_server:from(), #client{}) -> {reply, term(), #client{}}.
handle_call({send, Frames}, _, Client=#client{is_open = true, conn = Conn, stream = Stream}) ->
	{reply, gun_rs:ws_send(Conn, Stream, Frames), Client};
handle_call({send, _}, _, Client) ->
	{reply, {error, not_open}, Client};
handle_call(_, _, Client) ->
	{reply, {error, unknown_call}, Client}.

-spec handle_cast(term(), #client{}) -> {noreply, #client{}} | {noreply, #client{}, hibernate} | {stop, term(), #client{}}.
handle_cast(Message, Client) ->
	call(websocket_info, [{'$gen_cast', Message}], Client).

-spec handle_info(term(), #client{}) -> {noreply, #client{}} | {noreply, #client{}, hibernate} | {stop, term(), #client{}}.
handle_info({gun_up, Conn, _}, Client=#client{conn = Conn}) ->
	{noreply, Client};
handle_info({gun_upgrade, Conn, Stream, _, _}, Client=#client{conn = Conn, stream = Stream}) ->
	opened(Client#client{is_open = true});
handle_info({gun_ws, Conn, Stream, Frame}, Client=#client{conn = Conn, stream = Stream}) ->
	call(websocket_handle, [Frame], Client);
handle_info({gun_down, Conn, _, Reason, _}, Client=#client{conn = Conn}) ->
	down(Reason, Client#client{is_open = false});
handle_info({gun_response, Conn, Stream, _, Status, _}, Client=#client{conn = Conn, stream = Stream}) ->
	{stop, {upgrade_refused, Status}, Client};
handle_info({gun_error, Conn, Stream, Reason}, Client=#client{conn = Conn, stream = Stream, is_open = false}) ->
	{stop, Reason, Client};
%% Of a WebSocket that is open, gun_down says the rest.
handle_info({gun_error, Conn, _, _}, Client=#client{conn = Conn}) ->
	{noreply, Client};
handle_info({gun_error, Conn, _}, Client=#client{conn = Conn}) ->
	{noreply, Client};
handle_info({'DOWN', Monitor, process, _, Reason}, Client=#client{monitor = Monitor}) ->
	{stop, Reason, Client#client{conn = undefined, is_open = false}};
handle_info(Message, Client) ->
	call(websocket_info, [Message], Client).

opened(Client=#client{module = Module}) ->
	case erlang:function_exported(Module, websocket_init, 1) of
		true -> call(websocket_init, [], Client);
		false -> {noreply, Client}
	end.

down(Reason, Client=#client{module = Module, state = State}) ->
	case erlang:function_exported(Module, websocket_down, 2) of
		true ->
			case Module:websocket_down(Reason, State) of
				{reconnect, State1} -> {noreply, Client#client{state = State1}};
				{stop, State1} -> {stop, normal, Client#client{state = State1}};
				Other -> error({bad_return_value, {Module, websocket_down, Other}})
			end;
		false ->
			{noreply, Client}
	end.

call(Callback, Arguments, Client=#client{module = Module, state = State}) ->
	case apply(Module, Callback, Arguments ++ [State]) of
		{stop, State1} -> {stop, normal, Client#client{state = State1}};
		{Frames, State1} when is_list(Frames) -> send_all(Frames, [], Client#client{state = State1});
		{Frames, State1, hibernate} when is_list(Frames) -> send_all(Frames, [hibernate], Client#client{state = State1});
		Other -> error({bad_return_value, {Module, Callback, Other}})
	end.

send_all([], Hibernate, Client) ->
	noreply(Hibernate, Client);
send_all(Frames, Hibernate, Client=#client{is_open = true, conn = Conn, stream = Stream}) ->
	_ = gun_rs:ws_send(Conn, Stream, Frames),
	noreply(Hibernate, Client);
%% What would be lost without a word is a fault of the module's, which knows by websocket_down/2.
send_all(Frames, _, #client{module = Module}) ->
	error({not_open, {Module, Frames}}).

noreply([], Client) -> {noreply, Client};
noreply([hibernate], Client) -> {noreply, Client, hibernate}.

-spec terminate(term(), #client{}) -> ok.
terminate(Reason, #client{module = Module, state = State, conn = Conn, stream = Stream, is_open = IsOpen}) ->
	_ = IsOpen andalso gun_rs:ws_send(Conn, Stream, {close, close_code(Reason), <<>>}),
	_ = is_pid(Conn) andalso gun_rs:shutdown(Conn),
	case erlang:function_exported(Module, terminate, 2) of
		true ->
			_ = Module:terminate(Reason, State),
			ok;
		false ->
			ok
	end.

close_code(normal) -> 1000;
close_code(shutdown) -> 1001;
close_code({shutdown, _}) -> 1001;
close_code(_) -> 1011.

-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
	maps:map(fun
		(state, #client{url = Url, module = Module, state = State, is_open = IsOpen}) ->
			#{url => gun_rs_secrets:url(Url), module => Module, state => State, is_open => IsOpen};
		(_, Value) ->
			Value
	end, Status).

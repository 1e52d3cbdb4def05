%% A chat client, as a library has it that knows of gun alone.
-module(chat_lib).
-behaviour(gen_server).

-export([connect/3]).
-export([say/2]).
-export([leave/1]).
-export([status/3]).

-export([init/1]).
-export([handle_call/3]).
-export([handle_cast/2]).
-export([handle_info/2]).
-export([terminate/2]).

-record(state, {
	listener :: pid(),
	conn :: pid(),
	mref :: reference(),
	stream :: gun:stream_ref() | undefined,
	waiting = [] :: [gun:ws_frame()] | undefined
}).

%% The listener gets {chat, Client, Message}.
-spec connect(inet:hostname(), inet:port_number(), Path :: iodata()) -> {ok, pid()} | {error, term()}.
connect(Host, Port, Path) ->
	gen_server:start_link(?MODULE, {self(), Host, Port, Path}, []).

-spec say(pid(), iodata()) -> ok.
say(Client, Text) ->
	gen_server:cast(Client, {say, Text}).

-spec leave(pid()) -> ok.
leave(Client) ->
	gen_server:call(Client, leave).

%% The status and the body of a page.
-spec status(inet:hostname(), inet:port_number(), Path :: iodata()) -> {100..999, binary()} | {error, term()}.
status(Host, Port, Path) ->
	{ok, ConnPid} = gun:open(Host, Port, #{retry => 0, protocols => [http]}),
	MRef = monitor(process, ConnPid),
	try
		{ok, http} = gun:await_up(ConnPid, MRef),
		StreamRef = gun:get(ConnPid, Path, [{<<"accept">>, <<"*/*">>}]),
		case gun:await(ConnPid, StreamRef, MRef) of
			{response, fin, Status, _} ->
				{Status, <<>>};
			{response, nofin, Status, _} ->
				{ok, Body} = gun:await_body(ConnPid, StreamRef, MRef),
				{Status, Body};
			{error, Reason} ->
				{error, Reason}
		end
	after
		gun:close(ConnPid),
		gun:flush(ConnPid)
	end.

init({Listener, Host, Port, Path}) ->
	Opts = #{
		retry => 3,
		retry_timeout => 1000,
		protocols => [http],
		ws_opts => #{keepalive => 30000, silence_pings => false}
	},
	case gun:open(Host, Port, Opts) of
		{ok, ConnPid} ->
			MRef = monitor(process, ConnPid),
			{ok, http} = gun:await_up(ConnPid, 30000),
			StreamRef = gun:ws_upgrade(ConnPid, Path, [{<<"x-client">>, "chat_lib"}],
				#{compress => true, protocols => [{<<"chat">>, gun_ws_h}]}),
			{ok, #state{listener=Listener, conn=ConnPid, mref=MRef, stream=StreamRef}};
		{error, Reason} ->
			{stop, Reason}
	end.

handle_call(leave, _, State=#state{conn=ConnPid, stream=StreamRef}) ->
	ok = gun:ws_send(ConnPid, StreamRef, {close, 1000, <<"bye">>}),
	{reply, ok, State}.

%% What is said too early is said later.
handle_cast({say, Text}, State=#state{waiting=Waiting}) when is_list(Waiting) ->
	{noreply, State#state{waiting=Waiting ++ [{text, Text}]}};
handle_cast({say, Text}, State=#state{conn=ConnPid, stream=StreamRef}) ->
	ok = gun:ws_send(ConnPid, StreamRef, {text, Text}),
	{noreply, State}.

handle_info({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}, State=#state{conn=ConnPid, stream=StreamRef}) ->
	ok = gun:ws_send(ConnPid, StreamRef, State#state.waiting),
	{noreply, State#state{waiting=undefined}};
handle_info({gun_response, ConnPid, _, _, Status, _}, State=#state{conn=ConnPid}) ->
	{stop, {shutdown, {refused, Status}}, State};
handle_info({gun_ws, ConnPid, _, {text, Text}}, State=#state{conn=ConnPid}) ->
	State#state.listener ! {chat, self(), Text},
	{noreply, State};
handle_info({gun_ws, ConnPid, _, {close, Code, _}}, State=#state{conn=ConnPid}) ->
	State#state.listener ! {chat, self(), {closed, Code}},
	{stop, normal, State};
handle_info({gun_ws, ConnPid, _, _}, State=#state{conn=ConnPid}) ->
	{noreply, State};
handle_info({gun_error, ConnPid, _, Reason}, State=#state{conn=ConnPid}) ->
	{stop, {shutdown, Reason}, State};
handle_info({gun_down, ConnPid, ws, closed, _}, State=#state{conn=ConnPid}) ->
	State#state.listener ! {chat, self(), down},
	{stop, normal, State};
handle_info({'DOWN', MRef, process, ConnPid, Reason}, State=#state{conn=ConnPid, mref=MRef}) ->
	{stop, Reason, State}.

terminate(_, #state{conn=ConnPid}) ->
	gun:close(ConnPid).

%% @private The process of a WebSocket: it runs the handler's callbacks, one at a time, on what
%% comes, and does what they return. What differs between the two dialects of handlers is in
%% gun_rs_ws_1 and gun_rs_ws_2.
-module(gun_rs_ws_loop).

-export([enter/3]).
-export([loop/1]).
-export([rested/2]).
-export([system_continue/3]).
-export([system_terminate/4]).
-export([system_code_change/4]).
-export([system_get_state/1]).
-export([format_status/2]).

-record(ws, {
	conn :: gun_rs_native:served(),
	parent :: pid(),
	dialect :: gun_rs_ws_1 | gun_rs_ws_2,
	%% What a client that does not keep up makes of frames that the queue has no room for.
	slow :: slow(),
	hibernate_after :: timeout() | {first, timeout()},
	exit = normal :: term(),
	%% Of the close frame that the handler has sent.
	close_code :: undefined | 1000..4999,
	handler :: handler()
}).

%% The handler, its newest state, and the Req: that of its callbacks, or what terminate/3 is given.
-type handler() :: {module(), State :: term(), Req :: term()}.
-type slow() :: close | drop_new | {tell, pid()}.
-type command() :: gun_rs_frames:frame() | {active | deflate, boolean()} | {set_options, map()}
	| {shutdown_reason, term()} | stop.
%% Commands to do, the handler behind the call, and whether it wants to hibernate.
-type result() :: {[command()], handler(), awake | hibernate}.
%% Why it ends; a dialect has its own words for it.
-type ending() :: stop | shutdown | timeout | remote | {remote, Code :: 1000..4999, Text :: binary()}
	| {error, atom()} | {crash, Callback :: atom(), Class :: error | exit | throw, Reason :: term()}.
-export_type([handler/0, slow/0, command/0, result/0, ending/0]).

%% @doc The WebSocket is open, and the caller is its process, to the end. `First' is the first call.
-spec enter(gun_rs_native:served(), #{parent := pid(), dialect := gun_rs_ws_1 | gun_rs_ws_2, slow := slow(),
	hibernate_after := timeout(), handler := handler()}, First :: init | hibernate | none) -> no_return().
enter(Conn, #{parent := Parent, dialect := Dialect, slow := Slow, hibernate_after := After, handler := Handler}, First) ->
	Ws = #ws{conn = Conn, parent = Parent, dialect = Dialect, slow = Slow, hibernate_after = {first, After},
		handler = Handler},
	case First of
		init -> call(websocket_init, none, Ws);
		hibernate -> proc_lib:hibernate(?MODULE, loop, [Ws]);
		none -> loop(Ws)
	end.

-spec loop(#ws{}) -> no_return().
loop(Ws=#ws{hibernate_after = {first, After}}) ->
	receive
		Message -> message(Message, Ws)
	after 0 ->
		%% The request has left ten times as much behind as an idle process has.
		proc_lib:hibernate(?MODULE, rested, [After, Ws])
	end;
loop(Ws=#ws{hibernate_after = After}) ->
	receive
		Message -> message(Message, Ws)
	after After ->
		proc_lib:hibernate(?MODULE, loop, [Ws])
	end.

%% @doc The process has hibernated once.
-spec rested(timeout(), #ws{}) -> no_return().
rested(After, Ws) ->
	loop(Ws#ws{hibernate_after = After}).

message({gun_rs_served, Event}, Ws) -> event(Event, Ws);
message({system, From, Request}, Ws=#ws{parent = Parent}) ->
	sys:handle_system_msg(Request, From, Parent, ?MODULE, [], Ws);
message(Message, Ws) -> call(websocket_info, Message, Ws).

event({adopt, Listener}, Ws=#ws{conn = Conn}) ->
	ok = gun_rs_served:adopted(Listener, Conn, websocket),
	loop(Ws#ws{parent = Listener});
event({flow_check, Id}, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_flow_grant(Conn, Id),
	loop(Ws);
event({settle, Id}, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_settled(Conn, Id),
	loop(Ws);
event(close, Ws) ->
	terminate(remote, Ws);
event({close, Code, Text}, Ws) ->
	terminate({remote, Code, Text}, Ws);
event({ws_error, Reason}, Ws) ->
	terminate({error, Reason}, Ws);
event({down, Reason}, Ws) ->
	terminate(down(Reason), Ws);
event(shut_down, Ws) ->
	terminate(shutdown, Ws);
%% The listener is being stopped: the client's answer to our close frame is awaited behind terminate.
event(shutdown, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_shutdown(Conn),
	terminate(shutdown, Ws);
event(Frame, Ws) when Frame =:= ping; Frame =:= pong; element(1, Frame) =:= text; element(1, Frame) =:= binary;
		element(1, Frame) =:= ping; element(1, Frame) =:= pong ->
	call(websocket_handle, Frame, Ws);
%% What is left of the request that the WebSocket has come of.
event(_, Ws) ->
	loop(Ws).

down(closed) -> {error, closed};
down(normal) -> {error, closed};
down({error, idle_timeout}) -> timeout;
down({error, keepalive_timeout}) -> {error, keepalive_timeout};
down({error, send_queue_full}) -> {error, send_queue_full};
down({error, Reason}) when is_atom(Reason) -> {error, Reason};
down({error, _}) -> {error, closed}.

%% A callback, and what it wants. Everything that the handler gives is looked at within the try: what it may
%% not give is a crash of the callback like any other.
call(Callback, Argument, Ws=#ws{dialect = Dialect, handler = Handler}) ->
	try
		{Commands, Handler1, Rest} = Dialect:call(Callback, Argument, Handler),
		{do(Commands, Ws), Handler1, Rest}
	of
		{{ok, Ws1}, Handler1, awake} ->
			loop(Ws1#ws{handler = Handler1});
		{{ok, Ws1}, Handler1, hibernate} ->
			proc_lib:hibernate(?MODULE, loop, [Ws1#ws{handler = Handler1}]);
		{{stop, Reason, Ws1}, Handler1, _} ->
			terminate(Reason, Ws1#ws{handler = Handler1})
	catch Class:Reason:Stacktrace ->
		%% With the state from before the call.
		_ = gun_rs_native:served_close_with(Ws#ws.conn, 1011),
		Ending = {crash, Callback, Class, Reason},
		ok = gun_rs_server_telemetry:ws_ended(Ws#ws.conn, Ending, undefined),
		ok = Dialect:terminate(Ending, Handler),
		Dialect:crash(Callback, {Class, Reason, Stacktrace}, Argument, Handler)
	end.

%% Frames that stand together leave together.
do(Commands, Ws) ->
	{Frames, Rest} = lists:splitwith(fun is_frame/1, Commands),
	case send(Frames, Ws) of
		{ok, Ws1} when Rest =:= [] -> {ok, Ws1};
		{ok, Ws1} -> do_one(Rest, Ws1);
		Stop -> Stop
	end.

do_one([stop|_], Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_ws_send(Conn, {close, 1000, <<>>}),
	{stop, stop, Ws#ws{close_code = 1000}};
do_one([{active, Active}|Rest], Ws) when is_boolean(Active) ->
	tune(#{active => Active}, Rest, Ws);
do_one([{deflate, Deflate}|Rest], Ws) when is_boolean(Deflate) ->
	tune(#{deflate => Deflate}, Rest, Ws);
do_one([{set_options, Options}|Rest], Ws) when is_map(Options) ->
	tune(gun_rs_ws_upgrade:set_options(Options), Rest, Ws);
do_one([{shutdown_reason, Reason}|Rest], Ws) ->
	do(Rest, Ws#ws{exit = {shutdown, Reason}});
do_one([Command|_], _) ->
	error({invalid_command, Command}).

tune(Options, Rest, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_ws_tune(Conn, Options),
	do(Rest, Ws).

is_frame({Name, _}) -> not lists:member(Name, [active, deflate, set_options, shutdown_reason]);
is_frame(stop) -> false;
is_frame(_) -> true.

send([], Ws) ->
	{ok, Ws};
send(Frames0, Ws=#ws{conn = Conn}) ->
	{Frames, Closes} = up_to_close(Frames0),
	case gun_rs_frames:send_served(Conn, Frames) of
		send_queue_full -> slow(Frames, Closes, Ws);
		%% That the connection is over comes as a message of its own.
		_ when Closes -> {stop, stop, Ws#ws{close_code = close_code(lists:last(Frames))}};
		_ -> {ok, Ws}
	end.

%% What follows a close frame is dropped. A close frame with a text alone has the code 1000.
up_to_close([close|_]) -> {[close], true};
up_to_close([{close, Text}|_]) -> {[{close, 1000, Text}], true};
up_to_close([Close={close, _, _}|_]) -> {[Close], true};
up_to_close([Frame|Rest]) ->
	{Frames, Closes} = up_to_close(Rest),
	{[Frame|Frames], Closes};
up_to_close([]) -> {[], false}.

close_code(close) -> undefined;
close_code({close, Code, _}) -> Code.

%% The queue has no room: a client that does not keep up.
slow(_, _, Ws=#ws{conn = Conn, slow = close}) ->
	_ = gun_rs_native:served_close_with(Conn, 1008),
	{stop, {error, send_queue_full}, Ws};
%% Control frames are never dropped.
slow(_, true, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_close_with(Conn, 1008),
	{stop, stop, Ws};
slow(_, false, Ws=#ws{slow = drop_new}) ->
	{ok, Ws};
slow(Frames, false, Ws=#ws{slow = {tell, Pid}}) ->
	Pid ! {gun_rs_queue, self(), {dropped, Frames}},
	{ok, Ws}.

-spec terminate(ending(), #ws{}) -> no_return().
terminate(Reason, #ws{conn = Conn, dialect = Dialect, handler = Handler, exit = Exit, close_code = Code}) ->
	ok = gun_rs_server_telemetry:ws_ended(Conn, Reason, Code),
	ok = Dialect:terminate(Reason, Handler),
	exit(Exit).

%% For sys.

-spec system_continue(pid(), [sys:dbg_opt()], #ws{}) -> no_return().
system_continue(_, _, Ws) ->
	loop(Ws).

-spec system_terminate(term(), pid(), [sys:dbg_opt()], #ws{}) -> no_return().
system_terminate(Reason, _, _, Ws=#ws{conn = Conn}) ->
	_ = gun_rs_native:served_shutdown(Conn),
	terminate(shutdown, Ws#ws{exit = Reason}).

-spec system_code_change(#ws{}, module(), term(), term()) -> {ok, #ws{}}.
system_code_change(Ws, _, _, _) ->
	{ok, Ws}.

-spec system_get_state(#ws{}) -> {ok, handler()}.
system_get_state(#ws{handler = Handler}) ->
	{ok, Handler}.

-spec format_status(normal | terminate, [term()]) -> term().
format_status(_, [_, _, _, _, #ws{handler = {Module, State, _}}]) ->
	#{handler => Module, state => State}.

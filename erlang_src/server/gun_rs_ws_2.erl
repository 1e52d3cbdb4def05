%% @private WebSocket handlers of Cowboy 2: commands, and no Req behind init/2.
-module(gun_rs_ws_2).

-export([call/3]).
-export([terminate/2]).
-export([crash/4]).

-spec call(websocket_init | websocket_handle | websocket_info, term(), gun_rs_ws_loop:handler())
	-> gun_rs_ws_loop:result().
call(websocket_init, _, Handler={Module, State, Req}) ->
	case erlang:function_exported(Module, websocket_init, 1) of
		true -> result(websocket_init, Module:websocket_init(State), Module, Req);
		false -> {[], Handler, awake}
	end;
call(websocket_handle, Frame, {Module, State, Req}) ->
	result(websocket_handle, Module:websocket_handle(bare(Frame), State), Module, Req);
call(websocket_info, Message, {Module, State, Req}) ->
	result(websocket_info, Module:websocket_info(Message, State), Module, Req).

%% An empty ping or pong is the bare atom.
bare({Name, <<>>}) when Name =:= ping; Name =:= pong -> Name;
bare(Frame) -> Frame.

result(_, {ok, State}, Module, Req) -> {[], {Module, State, Req}, awake};
result(_, {ok, State, hibernate}, Module, Req) -> {[], {Module, State, Req}, hibernate};
result(_, {reply, Frames, State}, Module, Req) -> {commands(Frames), {Module, State, Req}, awake};
result(_, {reply, Frames, State, hibernate}, Module, Req) -> {commands(Frames), {Module, State, Req}, hibernate};
result(_, {stop, State}, Module, Req) -> {[stop], {Module, State, Req}, awake};
result(_, {Commands, State}, Module, Req) when is_list(Commands) ->
	{commands(Commands), {Module, State, Req}, awake};
result(_, {Commands, State, hibernate}, Module, Req) when is_list(Commands) ->
	{commands(Commands), {Module, State, Req}, hibernate};
result(Callback, Other, Module, _) ->
	error({bad_return_value, {Module, Callback, Other}}).

commands(Commands) when is_list(Commands) -> gun_rs_frames:each_frame(Commands);
commands(Frame) -> [Frame].

-spec terminate(gun_rs_ws_loop:ending(), gun_rs_ws_loop:handler()) -> ok.
terminate(Ending, {Module, State, Req}) ->
	case erlang:function_exported(Module, terminate, 3) of
		true ->
			_ = Module:terminate(reason(Ending), Req, State),
			ok;
		false ->
			ok
	end.

reason({crash, _, Class, Reason}) -> {crash, Class, Reason};
reason(Reason) -> Reason.

%% @doc Ends the process by the exception of a callback, so that it is logged.
-spec crash(atom(), {Class :: error | exit | throw, Reason :: term(), erlang:stacktrace()}, term(),
	gun_rs_ws_loop:handler()) -> no_return().
crash(_, {Class, Reason, Stacktrace}, _, _) ->
	erlang:raise(Class, Reason, Stacktrace).

%% @private WebSocket handlers of Cowboy 0.8 to 1.1: the Req goes through every callback.
-module(gun_rs_ws_1).

-export([init/3]).
-export([timeout/1]).
-export([call/3]).
-export([terminate/2]).
-export([crash/4]).

%% @doc websocket_init/3: what it returns, or what it was refused with.
-spec init(tcp | ssl, module(), {Req :: term(), Opts :: term()})
	-> {ok, gun_rs_ws_loop:handler(), timeout(), awake | hibernate} | {shutdown, Req :: term()}.
init(Transport, Module, {Req, Opts}) ->
	case Module:websocket_init(Transport, Req, Opts) of
		{ok, Req1, State} -> {ok, {Module, State, Req1}, infinity, awake};
		{ok, Req1, State, hibernate} -> {ok, {Module, State, Req1}, infinity, hibernate};
		{ok, Req1, State, Timeout} -> {ok, {Module, State, Req1}, timeout(Timeout), awake};
		{ok, Req1, State, Timeout, hibernate} -> {ok, {Module, State, Req1}, timeout(Timeout), hibernate};
		{shutdown, Req1} -> {shutdown, Req1};
		Other -> error({bad_return_value, {Module, websocket_init, Other}})
	end.

%% @doc A time that a handler gives, in ms or infinity.
-spec timeout(term()) -> timeout().
timeout(Timeout) ->
	case gun_rs_option_kind:is_valid(timeout, Timeout) of
		true -> Timeout;
		false -> error({invalid_timeout, Timeout})
	end.

-spec call(websocket_handle | websocket_info, term(), gun_rs_ws_loop:handler()) -> gun_rs_ws_loop:result().
call(websocket_handle, Frame, {Module, State, Req}) ->
	result(Module, websocket_handle, Module:websocket_handle(pair(Frame), Req, State));
call(websocket_info, Message, {Module, State, Req}) ->
	result(Module, websocket_info, Module:websocket_info(Message, Req, State)).

%% Frames are always pairs here.
pair(Name) when is_atom(Name) -> {Name, <<>>};
pair(Frame) -> Frame.

result(Module, _, {ok, Req, State}) -> {[], {Module, State, Req}, awake};
result(Module, _, {ok, Req, State, hibernate}) -> {[], {Module, State, Req}, hibernate};
result(Module, _, {reply, Frames, Req, State}) -> {frames(Frames), {Module, State, Req}, awake};
result(Module, _, {reply, Frames, Req, State, hibernate}) -> {frames(Frames), {Module, State, Req}, hibernate};
result(Module, _, {shutdown, Req, State}) -> {[stop], {Module, State, Req}, awake};
result(Module, Callback, Other) -> error({bad_return_value, {Module, Callback, Other}}).

frames(Frames) when is_list(Frames) -> gun_rs_frames:each_frame(Frames);
frames(Frame) -> gun_rs_frames:each_frame([Frame]).

-spec terminate(gun_rs_ws_loop:ending(), gun_rs_ws_loop:handler()) -> ok.
terminate(Ending, {Module, State, Req}) ->
	_ = Module:websocket_terminate(reason(Ending), Req, State),
	ok.

reason(stop) -> {normal, shutdown};
reason(shutdown) -> {normal, shutdown};
reason(timeout) -> {normal, timeout};
reason(remote) -> {remote, closed};
reason({crash, _, _, _}) -> {error, handler};
reason(Reason) -> Reason.

%% @doc Ends the process by the crash of a callback, so that it is logged.
-spec crash(atom(), {Class :: atom(), Reason :: term(), erlang:stacktrace()}, term(), gun_rs_ws_loop:handler())
	-> no_return().
crash(Callback, {_, Reason, Stacktrace}, Argument, {Module, State, Req}) ->
	Message = [{msg, Argument} || Argument =/= none],
	exit([{reason, Reason}, {mfa, {Module, Callback, 3}}, {stacktrace, Stacktrace}] ++ Message
		++ [{req, gun_rs_req_new:shown(Req)}, {state, State}]).

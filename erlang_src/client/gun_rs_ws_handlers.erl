%% @private The modules of the user's that take the frames of WebSockets, each with its state.
-module(gun_rs_ws_handlers).

-export([init/6]).
-export([frame/3]).

-type handlers() :: #{StreamRef :: gun_rs_native:stream_ref() => {module(), State :: term()}}.
-export_type([handlers/0]).

%% @doc Starts the module of a WebSocket whose upgrade is done.
-spec init(StreamRef :: gun_rs_native:stream_ref(), gun_rs_options:reply_to(), Subprotocol :: binary() | undefined,
	Headers :: [{binary(), binary()}], gun_rs_options:ws_opts(), handlers()) -> handlers().
init(StreamRef, ReplyTo, Subprotocol, Headers, WsOpts, Handlers) ->
	Module = gun_rs_options:handler_module(Subprotocol, WsOpts),
	{ok, State} = Module:init(ReplyTo, StreamRef, Headers, WsOpts),
	Handlers#{StreamRef => {Module, State}}.

%% @doc Gives the WebSocket's module a frame.
-spec frame(StreamRef :: gun_rs_native:stream_ref(), gun_rs_ws_protocol:frame(), handlers()) -> handlers().
frame(StreamRef, Frame, Handlers) ->
	#{StreamRef := {Module, State0}} = Handlers,
	{ok, FlowDecrement, State} = Module:handle(Frame, State0),
	%% The native side has counted the frame as one.
	_ = [gun_rs_native:update_flow(self(), StreamRef, 1 - FlowDecrement) || FlowDecrement =/= 1],
	Handlers#{StreamRef := {Module, State}}.

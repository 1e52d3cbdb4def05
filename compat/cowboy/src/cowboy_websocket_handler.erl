%% @doc The behaviour of WebSocket handlers of Cowboy 1: that of gun_rs_websocket_handler.
-module(cowboy_websocket_handler).

-type frames() :: gun_rs_frames:frame() | [gun_rs_frames:frame()].

-type call_result(Req, State) :: {ok, Req, State} | {ok, Req, State, hibernate}
	| {reply, frames(), Req, State} | {reply, frames(), Req, State, hibernate}
	| {shutdown, Req, State}.

-type reason() :: {normal, shutdown | timeout}
	| {remote, closed} | {remote, Code :: 1000..4999, Text :: binary()}
	| {error, badencoding | badframe | badsize | closed | handler | send_queue_full | keepalive_timeout | atom()}.
-export_type([reason/0]).

-callback init({tcp | ssl, http}, Req, Opts) -> {upgrade, protocol, module()}
	| {upgrade, protocol, module(), Req, Opts}
	when Req :: gun_rs_req:req(), Opts :: term().

-callback websocket_init(tcp | ssl, Req, Opts :: term()) -> {ok, Req, State :: term()}
	| {ok, Req, State :: term(), hibernate | timeout()}
	| {ok, Req, State :: term(), timeout(), hibernate}
	| {shutdown, Req}
	when Req :: gun_rs_req:req().

-callback websocket_handle({text | binary | ping | pong, binary()}, Req, State) -> call_result(Req, State)
	when Req :: gun_rs_req:req(), State :: term().

-callback websocket_info(Message :: term(), Req, State) -> call_result(Req, State)
	when Req :: gun_rs_req:req(), State :: term().

-callback websocket_terminate(reason(), Req :: gun_rs_req:req(), State :: term()) -> term().

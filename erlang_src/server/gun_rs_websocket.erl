%% @doc The behaviour of WebSocket handlers of Cowboy 2, for listeners that `gun_rs_server:start_clear/3'
%% and `start_tls/3' start.
%%
%% init/2 makes a WebSocket of a request by `{gun_rs_websocket, Req, State}', or Cowboy's own
%% name in its place; with options in a fourth element. Every callback runs in the process of the connection.
-module(gun_rs_websocket).

-export_type([command/0, commands/0, reason/0, opts/0]).

-type command() :: gun_rs_frames:frame()
	| {active, boolean()}
	| {deflate, boolean()}
	| {set_options, #{idle_timeout => timeout(), max_frame_size => pos_integer() | infinity}}
	| {shutdown_reason, term()}.
-type commands() :: [command()].

-type call_result(State) :: {commands(), State} | {commands(), State, hibernate}
	| {ok, State} | {ok, State, hibernate}
	| {reply, gun_rs_frames:frame() | [gun_rs_frames:frame()], State}
	| {reply, gun_rs_frames:frame() | [gun_rs_frames:frame()], State, hibernate}
	| {stop, State}.

%% Sizes are in bytes, times in ms. doc/server.md says what each does.
-type opts() :: #{
	closing_timeout => timeout(),
	compress => boolean(),
	deflate_opts => map(),
	hibernate_after => timeout(),
	idle_timeout => timeout(),
	max_frame_size => pos_integer() | infinity,
	max_message_size => pos_integer() | infinity,
	max_send_queue => pos_integer() | infinity,
	ping_interval => timeout(),
	pong_timeout => timeout(),
	req_filter => fun((gun_rs_req:req()) -> map()),
	slow_client => close | drop_new | {tell, pid()}
}.

%% `{error, send_queue_full}': the client did not keep up; `{error, keepalive_timeout}': it answered no ping.
-type reason() :: normal | stop | timeout | remote | shutdown
	| {remote, Code :: 1000..4999, Text :: binary()}
	| {error, badencoding | badframe | badsize | closed | send_queue_full | keepalive_timeout | atom()}
	| {crash, error | exit | throw, Reason :: term()}.

-callback init(Req, State) -> {ok, Req, State}
	| {cowboy_websocket | gun_rs_websocket, Req, State}
	| {cowboy_websocket | gun_rs_websocket, Req, State, opts()}
	when Req :: gun_rs_req:req(), State :: term().

-callback websocket_init(State) -> call_result(State) when State :: term().
-optional_callbacks([websocket_init/1]).

-callback websocket_handle(ping | pong | {text | binary | ping | pong, binary()}, State)
	-> call_result(State) when State :: term().

-callback websocket_info(Message :: term(), State) -> call_result(State) when State :: term().

-callback terminate(reason(), PartialReq :: map(), State :: term()) -> term().
-optional_callbacks([terminate/3]).

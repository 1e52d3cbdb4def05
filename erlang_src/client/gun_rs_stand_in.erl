%% @private What a process is sent that is no connection, but stands in for one.
%%
%% Tests of programs that use gun give them the pid of the test for ConnPid, and then see
%% what the program has asked for: the casts that gun's connections take.
-module(gun_rs_stand_in).

-export([cast/2]).
-export([request/5]).
-export([connect/6]).
-export([ws_upgrade/5]).

%% A connection may have ended just now. What its process is sent yet stands in the report
%% of its crash, where requests must not be seen.
-spec cast(pid(), term()) -> ok.
cast(Pid, Message) ->
	case proc_lib:translate_initial_call(Pid) of
		{gun_rs_conn, init, _} -> ok;
		_ -> gen_statem:cast(Pid, Message)
	end.

%% Everything is as the user gave it, but for the names of headers.
-spec request(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(),
	{request, iodata(), iodata(), gun_rs_request:headers(), Body :: iodata()}
		| {headers, iodata(), iodata(), gun_rs_request:headers()},
	gun_rs_options:req_opts()) -> ok.
request(Pid, StreamRef, ReplyTo, {request, Method, Path, Headers, Body}, ReqOpts) ->
	cast(Pid, {request, ReplyTo, StreamRef, Method, Path, names(Headers), Body, flow(ReqOpts)});
request(Pid, StreamRef, ReplyTo, {headers, Method, Path, Headers}, ReqOpts) ->
	cast(Pid, {headers, ReplyTo, StreamRef, Method, Path, names(Headers), flow(ReqOpts)}).

-spec connect(pid(), gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_connect_options:destination(),
	gun_rs_request:headers(), gun_rs_options:req_opts()) -> ok.
connect(Pid, StreamRef, ReplyTo, Destination, Headers, ReqOpts) ->
	cast(Pid, {connect, ReplyTo, StreamRef, Destination, names(Headers), flow(ReqOpts)}).

-spec ws_upgrade(pid(), gun_rs_native:stream_ref(), iodata(), gun_rs_request:headers(), gun_rs_options:ws_opts() | undefined) -> ok.
ws_upgrade(Pid, StreamRef, Path, Headers, undefined) ->
	cast(Pid, {ws_upgrade, self(), StreamRef, Path, names(Headers)});
ws_upgrade(Pid, StreamRef, Path, Headers, WsOpts) ->
	ReplyTo = maps:get(reply_to, WsOpts, self()),
	Opts = maps:without([invalid_request_headers, tunnel], WsOpts),
	cast(Pid, {ws_upgrade, ReplyTo, StreamRef, Path, names(Headers), Opts}).

flow(ReqOpts) ->
	maps:get(flow, ReqOpts, infinity).

%% Those that a connection would not be given are left out.
names(Headers) when is_map(Headers) ->
	names(maps:to_list(Headers));
names(Headers) ->
	[{Lowercase, Value} || Header={_, Value} <- Headers, {Lowercase, _} <- gun_rs_request:headers([Header], ignore)].

%% @private Runs a handler of Cowboy 2 on a request: pages, loops, and WebSockets.
-module(gun_rs_handler_2).

-export([run/5]).

%% @doc Comes back when the request is done. A WebSocket does not come back.
-spec run(Req :: map(), module(), Opts :: term(), gun_rs_ws_upgrade:request(), Served :: map()) -> ok.
run(Req, Handler, Opts, Request, Served=#{id := Id}) ->
	try init(Handler, Req, Opts) of
		{ok, Req1, State} -> terminate(Handler, normal, Req1, State);
		{loop, Req1, State, Hibernate} ->
			#{listener := Listener, conn := Conn, next := Next} = Served,
			gun_rs_loop_conn:enter(#{dialect => cowboy_2, conn => Conn, id => Id, handler => Handler, req => Req1, state => State,
				timeout => infinity, parent => Listener, next => Next}, Hibernate);
		{websocket, Req1, State, WsOpts} -> websocket(Handler, Req1, State, WsOpts, Request, Served)
	catch
		%% A value of the client's that a function of the Req has refused.
		exit:{request_error, _, _}=Reason ->
			ok = gun_rs_refusal:unless_replied(Id, gun_rs_req_reply:error_status(Reason)),
			terminate(Handler, {crash, exit, Reason}, Req, Opts);
		throw:{bad_return, Other} ->
			ok = gun_rs_refusal:crashed(Id),
			error(bad_return(Handler, Other));
		Class:Reason:Stacktrace ->
			ok = gun_rs_refusal:crashed(Id),
			ok = terminate(Handler, {crash, Class, Reason}, Req, Opts),
			erlang:raise(Class, Reason, Stacktrace)
	end.

init(Handler, Req, Opts) ->
	case Handler:init(Req, Opts) of
		{ok, Req1, State} -> {ok, Req1, State};
		{Protocol, Req1, State} when Protocol =:= cowboy_websocket; Protocol =:= gun_rs_websocket ->
			{websocket, Req1, State, #{}};
		{Protocol, Req1, State, WsOpts}
				when Protocol =:= cowboy_websocket, is_map(WsOpts); Protocol =:= gun_rs_websocket, is_map(WsOpts) ->
			{websocket, Req1, State, WsOpts};
		{Protocol, Req1, State} when Protocol =:= cowboy_loop; Protocol =:= gun_rs_loop ->
			{loop, Req1, State, awake};
		{Protocol, Req1, State, hibernate} when Protocol =:= cowboy_loop; Protocol =:= gun_rs_loop ->
			{loop, Req1, State, hibernate};
		Other ->
			throw({bad_return, Other})
	end.

%% What Cowboy would call another module for is named.
bad_return(_, Return) when is_atom(element(1, Return)), element(1, Return) =/= ok, tuple_size(Return) >= 3 ->
	{unsupported_protocol, element(1, Return)};
bad_return(Handler, Return) ->
	{bad_return_value, {Handler, init, Return}}.

terminate(Handler, Reason, Req, State) ->
	case erlang:function_exported(Handler, terminate, 3) of
		true ->
			_ = Handler:terminate(Reason, Req, State),
			ok;
		false ->
			ok
	end.

websocket(Handler, Req, State, WsOpts, Request, Served=#{id := Id}) ->
	case gun_rs_served:state(Id) of
		none ->
			try prepare(Req, WsOpts, Served) of
				{Options, Filtered} -> open({Handler, State, Filtered}, Req, Options, Request, Served)
			catch Class:Reason:Stacktrace ->
				ok = gun_rs_refusal:crashed(Id),
				erlang:raise(Class, Reason, Stacktrace)
			end;
		%% The reply stands.
		_ ->
			ok
	end.

prepare(Req, WsOpts, #{config := #{protocol := #{websocket := Listener}}}) ->
	case gun_rs_server_options:websocket(Listener, WsOpts) of
		{ok, Options} -> {Options, filter(Req, Options)};
		{error, Reason} -> error(Reason)
	end.

open(Connection, Req, Options, Request, Served=#{conn := Conn, listener := Listener, id := Id}) ->
	case gun_rs_ws_upgrade:check(cowboy_2, Request, Options, Served) of
		{ok, Key} ->
			case gun_rs_ws_upgrade:accept(Conn, Id, {Key, Request, headers(Req)}, Options) of
				ok ->
					ok = gun_rs_served:forget(Id),
					#{slow_client := Slow, hibernate_after := After} = Options,
					gun_rs_ws_loop:enter(Conn, #{parent => Listener, dialect => gun_rs_ws_2, slow => Slow,
						hibernate_after => After, handler => Connection}, init);
				gone ->
					exit(normal)
			end;
		{error, {Status, Headers}} ->
			gun_rs_refusal:refuse(Id, Status, Headers)
	end.

%% Those of Cowboy 2 alone name the server.
headers(Req) ->
	Set = gun_rs_req_reply:headers(Req),
	case lists:keymember(<<"server">>, 1, Set) of
		true -> Set;
		false -> [{<<"server">>, <<"gun_rs">>}|Set]
	end.

%% What terminate/3 is given of the Req.
filter(Req, #{req_filter := Filter}) -> Filter(Req);
filter(Req, _) -> maps:with([method, version, scheme, host, port, path, qs, peer, streamid], Req).

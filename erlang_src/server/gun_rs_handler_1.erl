%% @private Runs a handler of Cowboy 0.8 to 1.1 on a request: pages, loops, and WebSockets.
-module(gun_rs_handler_1).

-export([run/5]).

%% @doc Comes back when the request is done. A WebSocket does not come back.
-spec run(Req :: term(), module(), Opts :: term(), gun_rs_ws_upgrade:request(), Served :: map()) -> ok.
run(Req, Handler, Opts, Request, Served) ->
	case guard(fun() -> init(Handler, Req, Opts, Served) end, {Handler, init, Req, Opts}, none, Served) of
		{ok, Req1, State} -> page(Handler, Req1, State, Served);
		{loop, Req1, State, Timeout, Hibernate} ->
			#{listener := Listener, conn := Conn, next := Next, id := Id} = Served,
			gun_rs_loop_conn:enter(#{dialect => cowboy_1, conn => Conn, id => Id, handler => Handler, req => Req1, state => State,
				timeout => Timeout, parent => Listener, next => Next}, Hibernate);
		{shutdown, Req1, State} -> terminate(Handler, {normal, shutdown}, Req1, State);
		{websocket, Req1, Opts1} -> websocket(Handler, Req1, Opts1, Request, Served)
	end.

init(Handler, Req, Opts, Served) ->
	case Handler:init({transport(Served), http}, Req, Opts) of
		{upgrade, protocol, Protocol} -> upgrade(Protocol, Req, Opts);
		{upgrade, protocol, Protocol, Req1, Opts1} -> upgrade(Protocol, Req1, Opts1);
		{ok, Req1, State} -> {ok, Req1, State};
		{shutdown, Req1, State} -> {shutdown, Req1, State};
		{loop, Req1, State} -> {loop, Req1, State, infinity, awake};
		{loop, Req1, State, hibernate} -> {loop, Req1, State, infinity, hibernate};
		{loop, Req1, State, Timeout} -> {loop, Req1, State, gun_rs_ws_1:timeout(Timeout), awake};
		{loop, Req1, State, Timeout, hibernate} -> {loop, Req1, State, gun_rs_ws_1:timeout(Timeout), hibernate};
		Other -> error({bad_return_value, {Handler, init, Other}})
	end.

upgrade(Protocol, Req, Opts) when Protocol =:= cowboy_websocket; Protocol =:= gun_rs_websocket -> {websocket, Req, Opts};
upgrade(Protocol, _, _) -> error({unsupported_protocol, Protocol}).

transport(#{config := #{transport := #{tls := undefined}}}) -> tcp;
transport(_) -> ssl.

page(Handler, Req, State, Served) ->
	Call = fun() ->
		case Handler:handle(Req, State) of
			{ok, Req1, State1} -> {Req1, State1};
			Other -> error({bad_return_value, {Handler, handle, Other}})
		end
	end,
	{Req1, State1} = guard(Call, {Handler, handle, Req, State}, fun(Reason) ->
		terminate(Handler, Reason, Req, State)
	end, Served),
	terminate(Handler, {normal, shutdown}, Req1, State1).

terminate(Handler, Reason, Req, State) ->
	_ = Handler:terminate(Reason, Req, State),
	ok.

%% What a callback crashes with is answered by 500, unless a reply was sent, and then it is in the log, since the
%% process ends by it.
guard(Call, {Handler, Callback, Req, State}, Terminate, #{id := Id}) ->
	try
		Call()
	catch _:Reason:Stacktrace ->
		ok = gun_rs_refusal:crashed(Id),
		_ = is_function(Terminate) andalso Terminate(Reason),
		exit([{reason, Reason}, {mfa, {Handler, Callback, arity(Callback)}}, {stacktrace, Stacktrace},
			{req, gun_rs_req_new:shown(Req)}, {state, State}])
	end.

arity(handle) -> 2;
arity(_) -> 3.

websocket(Handler, Req, Opts, Request, Served=#{config := #{protocol := #{websocket := Listener}}}) ->
	case gun_rs_ws_upgrade:check(cowboy_1, Request, #{origins => maps:get(origins, Listener, any)}, Served) of
		{ok, Key} ->
			Call = fun() ->
				Init = gun_rs_ws_1:init(transport(Served), Handler, {with_version(Req, Request), Opts}),
				{Init, options(Listener, Init)}
			end,
			open(guard(Call, {Handler, websocket_init, Req, Opts}, none, Served), Key, Request, Served);
		{error, {Status, Headers}} ->
			#{id := Id} = Served,
			gun_rs_refusal:refuse(Id, Status, [{<<"connection">>, <<"close">>}|Headers])
	end.

with_version(Req, #{headers := Headers}) ->
	{_, Version} = lists:keyfind(<<"sec-websocket-version">>, 1, Headers),
	gun_rs_req:set_meta(websocket_compress, false,
		gun_rs_req:set_meta(websocket_version, binary_to_integer(Version), Req)).

options(_, {shutdown, _}) ->
	none;
options(Listener, {ok, _, Timeout, _}) ->
	Defaults = #{idle_timeout => infinity, max_frame_size => infinity, max_message_size => 64 * 1024 * 1024},
	Handler = case Timeout of infinity -> #{}; _ -> #{idle_timeout => Timeout} end,
	case gun_rs_server_options:websocket(maps:merge(Defaults, Listener), Handler) of
		{ok, Options} -> Options;
		{error, Reason} -> error(Reason)
	end.

open({{shutdown, _}, _}, _, _, Served=#{id := Id}) ->
	%% The connection closes, whatever was sent.
	ok = gun_rs_refusal:unless_replied(Id, 400, [{<<"connection">>, <<"close">>}]),
	_ = gun_rs_served:finish(Id),
	_ = gun_rs_server_telemetry:done(Served),
	exit(normal);
open({{ok, Connection={_, _, Req}, _, Hibernate}, Options}, Key, Request, Served) ->
	#{conn := Conn, listener := Listener, id := Id} = Served,
	case gun_rs_ws_upgrade:accept(Conn, Id, {Key, Request, gun_rs_req_reply:headers(fields(Req))}, Options) of
		ok ->
			ok = gun_rs_served:forget(Id),
			#{slow_client := Slow, hibernate_after := After} = Options,
			gun_rs_ws_loop:enter(Conn, #{parent => Listener, dialect => gun_rs_ws_1, slow => Slow,
				hibernate_after => After, handler => Connection}, first(Hibernate));
		gone ->
			exit(normal)
	end.

first(hibernate) -> hibernate;
first(awake) -> none.

fields({gun_rs_req_1, Fields}) -> Fields.

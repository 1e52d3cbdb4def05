%% @private Loop handlers of both dialects: they answer a request as messages come.
-module(gun_rs_loop_conn).

-export([enter/2]).
-export([loop/1]).
-export([system_continue/3]).
-export([system_terminate/4]).
-export([system_code_change/4]).

-record(loop, {
	dialect :: gun_rs_server_options:dialect(),
	conn :: gun_rs_native:served(),
	id :: non_neg_integer(),
	handler :: module(),
	req :: term(),
	state :: term(),
	parent :: pid(),
	%% Cowboy 1 alone has one.
	timer :: reference() | undefined,
	%% What comes behind the request.
	next :: {module(), atom(), [term()]}
}).

%% @doc Runs the loop to its end, and then what comes next.
-spec enter(#{dialect := gun_rs_server_options:dialect(), conn := gun_rs_native:served(), id := non_neg_integer(), handler := module(),
	req := term(), state := term(),
	timeout := timeout(), parent := pid(), next := {module(), atom(), [term()]}}, awake | hibernate) -> no_return().
enter(#{dialect := Dialect, conn := Conn, id := Id, handler := Handler, req := Req, state := State, timeout := Timeout,
		parent := Parent, next := Next}, Hibernate) ->
	continue(Hibernate, #loop{dialect = Dialect, conn = Conn, id = Id, handler = Handler, req = Req, state = State, parent = Parent,
		timer = timer(Timeout), next = Next}).

timer(infinity) -> undefined;
timer(Timeout) -> erlang:start_timer(Timeout, self(), ?MODULE).

continue(awake, Loop) -> loop(Loop);
continue(hibernate, Loop) -> proc_lib:hibernate(?MODULE, loop, [Loop]).

-spec loop(#loop{}) -> no_return().
loop(Loop=#loop{timer = Timer, parent = Parent}) ->
	receive
		{timeout, Timer, ?MODULE} when is_reference(Timer) -> stop({normal, timeout}, Loop);
		{gun_rs_served, {adopt, Listener}} ->
			ok = gun_rs_served:adopted(Listener, Loop#loop.conn, http),
			loop(Loop#loop{parent = Listener});
		{gun_rs_served, {down, _}} -> gone(Loop);
		{gun_rs_served, {stream_error, _, _}} -> gone(Loop);
		{gun_rs_served, shut_down} -> gone(Loop);
		{gun_rs_served, shutdown} -> stop(shutdown, Loop);
		{gun_rs_served, _} -> loop(Loop);
		{system, From, Request} -> sys:handle_system_msg(Request, From, Parent, ?MODULE, [], Loop);
		Message -> call(Message, Loop)
	end.

-spec gone(#loop{}) -> no_return().
gone(Loop) ->
	ok = terminate({error, closed}, Loop),
	exit(normal).

call(Message, Loop=#loop{id = Id, dialect = Dialect, handler = Handler, req = Req, state = State}) ->
	try result(Dialect, Handler, Handler:info(Message, Req, State)) of
		{Continue, Req1, State1} when Continue =:= awake; Continue =:= hibernate ->
			continue(Continue, Loop#loop{req = Req1, state = State1});
		{stop, Req1, State1} ->
			stop(stop, Loop#loop{req = Req1, state = State1})
	catch Class:Reason:Stacktrace ->
		ok = gun_rs_refusal:crashed(Id),
		crash(Class, Reason, Stacktrace, Message, Loop)
	end.

result(_, _, {loop, Req, State}) -> {awake, Req, State};
result(_, _, {loop, Req, State, hibernate}) -> {hibernate, Req, State};
result(cowboy_1, _, {ok, Req, State}) -> {stop, Req, State};
result(cowboy_2, _, {ok, Req, State}) -> {awake, Req, State};
result(cowboy_2, _, {ok, Req, State, hibernate}) -> {hibernate, Req, State};
result(cowboy_2, _, {stop, Req, State}) -> {stop, Req, State};
result(_, Handler, Other) -> error({bad_return_value, {Handler, info, Other}}).

-spec crash(error | exit | throw, term(), erlang:stacktrace(), term(), #loop{}) -> no_return().
crash(_, Reason, Stacktrace, Message, Loop=#loop{dialect = cowboy_1, handler = Handler, req = Req, state = State}) ->
	ok = terminate({error, Reason}, Loop),
	exit([{reason, Reason}, {mfa, {Handler, info, 3}}, {stacktrace, Stacktrace}, {msg, Message},
		{req, gun_rs_req_new:shown(Req)}, {state, State}]);
crash(Class, Reason, Stacktrace, _, Loop=#loop{dialect = cowboy_2}) ->
	ok = terminate({crash, Class, Reason}, Loop),
	erlang:raise(Class, Reason, Stacktrace).

stop(Reason, Loop=#loop{timer = Timer, next = {Module, Function, Arguments}}) ->
	ok = cancel(Timer),
	ok = terminate(Reason, Loop),
	apply(Module, Function, Arguments).

%% A timer that has run out meanwhile leaves nothing for the next request.
cancel(undefined) ->
	ok;
cancel(Timer) ->
	_ = erlang:cancel_timer(Timer),
	receive {timeout, Timer, ?MODULE} -> ok after 0 -> ok end.

terminate(Reason, #loop{dialect = Dialect, handler = Handler, req = Req, state = State}) ->
	case Dialect =:= cowboy_1 orelse erlang:function_exported(Handler, terminate, 3) of
		true ->
			_ = Handler:terminate(reason(Dialect, Reason), Req, State),
			ok;
		false ->
			ok
	end.

reason(cowboy_1, stop) -> {normal, shutdown};
reason(cowboy_1, shutdown) -> {normal, shutdown};
reason(_, Reason) -> Reason.

%% For sys.

-spec system_continue(pid(), [sys:dbg_opt()], #loop{}) -> no_return().
system_continue(_, _, Loop) ->
	loop(Loop).

-spec system_terminate(term(), pid(), [sys:dbg_opt()], #loop{}) -> no_return().
system_terminate(Reason, _, _, Loop) ->
	ok = terminate(shutdown, Loop),
	exit(Reason).

-spec system_code_change(#loop{}, module(), term(), term()) -> {ok, #loop{}}.
system_code_change(Loop, _, _, _) ->
	{ok, Loop}.

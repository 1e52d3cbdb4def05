%% A process that is no connection stands in for one: it is sent what gun sends its connections.
-module(gun_rs_stand_in_SUITE).

-include("gun_rs_suite.hrl").

casts(_) ->
	doc("What a program asks of the pid of a test comes to it as gun's casts, everything as it was given."),
	_ = [begin
		ct:log("~0p", [Cast]),
		Cast = do_cast(Call(gun_rs))
	end || {Call, Cast} <- do_calls()],
	ok = gun_rs:data(self(), make_ref(), nofin, []),
	ok = gun_rs:ws_send(self(), {text, "gun 1"}),
	?EXPECT({'$gen_cast', {ws_send, Caller, {text, "gun 1"}}}, Caller = self()),
	?REFUTE(_).

casts_are_those_of_gun(_) ->
	doc("gun 2 itself, where it is there, sends the same."),
	case do_is_gun_2() of
		true ->
			_ = [begin
				ct:log("~0p", [Cast]),
				Cast = do_cast(Call(gun))
			end || {Call, Cast} <- do_calls()],
			?REFUTE(_);
		false ->
			{skip, "gun 2 is there on OTP 29 alone."}
	end.

large_payloads(_) ->
	doc("However large what is sent is, it is cast as it was given."),
	Self = self(),
	Ref = make_ref(),
	Large = binary:copy(<<0>>, 16#100000),
	Frames = [{binary, [Large, $a]}, {text, Large}, {ping, "io"}, close],
	ok = gun_rs:ws_send(Self, Ref, Frames),
	?EXPECT({'$gen_cast', {ws_send, Self, Ref, F}}, F = Frames),
	StreamRef = gun_rs:post(Self, "/", [], [Large, Large]),
	?EXPECT({'$gen_cast', {request, Self, StreamRef, <<"POST">>, "/", [], [Large, Large], infinity}}),
	ok = gun_rs:data(Self, StreamRef, nofin, [Large, "b"]),
	?EXPECT({'$gen_cast', {data, Self, StreamRef, nofin, [Large, "b"]}}).

what_is_wrong_raises(_) ->
	doc("What would raise with a connection raises, and is not cast."),
	{'EXIT', {{invalid_frame, oops, _}, _}} = ?CATCH(gun_rs:ws_send(self(), make_ref(), oops)),
	{'EXIT', {{invalid_request_header, <<"a b">>, _}, _}} = ?CATCH(gun_rs:get(self(), "/", [{"a b", "c"}])),
	{'EXIT', {{badmatch, {error, {options, {ws, {oops, 1}}}}}, _}} =
		?CATCH(gun_rs:ws_upgrade(self(), "/", [], #{oops => 1})),
	?REFUTE(_).

calls(_) ->
	doc("info, stream_info and close treat a process that is no connection as gun does."),
	Self = self(),
	Ref = make_ref(),
	{'EXIT', {calling_self, {sys, get_state, [Self]}}} = ?CATCH(gun_rs:info(Self)),
	{'EXIT', {calling_self, {gen_statem, call, [Self, {stream_info, Ref}|_]}}} = ?CATCH(gun_rs:stream_info(Self, Ref)),
	{error, not_found} = gun_rs:close(Self),
	{error, simple_one_for_one} = gun_rs:close(not_a_pid),
	{error, timeout} = gun_rs:await(Self, Ref, 0),
	{error, timeout} = gun_rs:await_up(Self, 0),
	{error, timeout} = gun_rs:await_body(Self, Ref, 0),
	%% It may answer.
	Dummy = spawn_link(fun() ->
		receive {'$gen_call', From, {stream_info, R}} -> gen_statem:reply(From, {ok, #{ref => R}}) end
	end),
	{ok, #{ref := Ref}} = gun_rs:stream_info(Dummy, Ref),
	?REFUTE(_).

info_of_a_process_that_does_not_answer(_) ->
	doc("info waits as long as gun's does, then exits the same; one that answers is no connection all the same."),
	Dummy = spawn_link(fun() -> receive stop -> ok end end),
	{'EXIT', {timeout, {sys, get_state, [Dummy]}}} = ?CATCH(gun_rs:info(Dummy)),
	Dummy ! stop,
	Server = whereis(gun_rs_relay),
	{'EXIT', {noproc, {sys, get_state, [Server]}}} = ?CATCH(gun_rs:info(Server)),
	ok.

connection_that_has_ended(_) ->
	doc("One that has been a connection is sent nothing more, neither dead nor about to be."),
	{Server, Port} = lying_server:start([]),
	ConnPid = open(Port),
	#{socket := Conn} = gun_rs:info(ConnPid),
	%% As in the moment before the process ends.
	_ = sys:replace_state(ConnPid, fun(State) -> ok = gun_rs_native:conn_end(Conn), State end),
	false = gun_rs_native:is_conn(ConnPid),
	ok = sys:suspend(ConnPid),
	_ = [Call(gun_rs, ConnPid) || {Call, _} <- do_calls_to()],
	{messages, []} = process_info(ConnPid, messages),
	exit(ConnPid, kill),
	_ = gun_rs_test:await_exit(ConnPid),
	_ = [Call(gun_rs, ConnPid) || {Call, _} <- do_calls_to()],
	{'EXIT', {noproc, {sys, get_state, [ConnPid]}}} = ?CATCH(gun_rs:info(ConnPid)),
	ok = gun_rs:close(ConnPid),
	?REFUTE({'$gen_cast', _}),
	lying_server:stop(Server).

%% What is called, and what comes of it. The references differ.
do_calls() ->
	Self = self(),
	[{fun(Module) -> Call(Module, Self) end, Cast} || {Call, Cast} <- do_calls_to()].

do_calls_to() ->
	Self = self(),
	Headers = #{'Ab' => "C", "X" => [<<"y">>]},
	Names = [{<<"ab">>, "C"}, {<<"x">>, [<<"y">>]}],
	Ref = make_ref(),
	[
		{fun(M, Pid) -> M:get(Pid, "/a") end, {request, Self, ref, <<"GET">>, "/a", [], <<>>, infinity}},
		{fun(M, Pid) -> M:get(Pid, "/a", Headers) end, {request, Self, ref, <<"GET">>, "/a", Names, <<>>, infinity}},
		{fun(M, Pid) -> M:get(Pid, <<"/a">>, [], #{flow => 3, reply_to => Self}) end,
			{request, Self, ref, <<"GET">>, <<"/a">>, [], <<>>, 3}},
		{fun(M, Pid) -> M:head(Pid, "/") end, {request, Self, ref, <<"HEAD">>, "/", [], <<>>, infinity}},
		{fun(M, Pid) -> M:options(Pid, "/") end, {request, Self, ref, <<"OPTIONS">>, "/", [], <<>>, infinity}},
		{fun(M, Pid) -> M:delete(Pid, "/") end, {request, Self, ref, <<"DELETE">>, "/", [], <<>>, infinity}},
		{fun(M, Pid) -> M:post(Pid, "/", []) end, {headers, Self, ref, <<"POST">>, "/", [], infinity}},
		{fun(M, Pid) -> M:post(Pid, "/", [], ["b", $c]) end, {request, Self, ref, <<"POST">>, "/", [], ["b", $c], infinity}},
		{fun(M, Pid) -> M:put(Pid, "/", [], #{flow => 2}) end, {headers, Self, ref, <<"PUT">>, "/", [], 2}},
		{fun(M, Pid) -> M:patch(Pid, "/", [], "b", #{}) end, {request, Self, ref, <<"PATCH">>, "/", [], "b", infinity}},
		{fun(M, Pid) -> M:request(Pid, "GET", ["/", "a"], [], <<"b">>) end,
			{request, Self, ref, "GET", ["/", "a"], [], <<"b">>, infinity}},
		{fun(M, Pid) -> M:headers(Pid, "POST", "/", [{<<"Content-Length">>, <<"1">>}]) end,
			{headers, Self, ref, "POST", "/", [{<<"content-length">>, <<"1">>}], infinity}},
		{fun(M, Pid) -> M:data(Pid, Ref, nofin, ["a", $b]) end, {data, Self, Ref, nofin, ["a", $b]}},
		{fun(M, Pid) -> M:data(Pid, Ref, fin, []) end, {data, Self, Ref, fin, []}},
		{fun(M, Pid) -> M:data(Pid, no_ref, fin, []) end, {data, Self, no_ref, fin, []}},
		{fun(M, Pid) -> M:cancel(Pid, Ref) end, {cancel, Self, Ref}},
		{fun(M, Pid) -> M:cancel(Pid, no_ref) end, {cancel, Self, no_ref}},
		{fun(M, Pid) -> M:update_flow(Pid, Ref, 2) end, {update_flow, Self, Ref, 2}},
		{fun(M, Pid) -> M:ws_upgrade(Pid, "/a") end, {ws_upgrade, Self, ref, "/a", []}},
		{fun(M, Pid) -> M:ws_upgrade(Pid, "/a", Headers) end, {ws_upgrade, Self, ref, "/a", Names}},
		{fun(M, Pid) -> M:ws_upgrade(Pid, "/a", [], #{compress => true, reply_to => Self, invalid_request_headers => ignore}) end,
			{ws_upgrade, Self, ref, "/a", [], #{compress => true, reply_to => Self}}},
		{fun(M, Pid) -> M:ws_send(Pid, Ref, {text, "x"}) end, {ws_send, Self, Ref, {text, "x"}}},
		{fun(M, Pid) -> M:ws_send(Pid, Ref, [ping, {binary, <<"x">>}]) end, {ws_send, Self, Ref, [ping, {binary, <<"x">>}]}},
		{fun(M, Pid) -> M:ws_send(Pid, Ref, []) end, {ws_send, Self, Ref, []}},
		{fun(M, Pid) -> M:set_owner(Pid, Self) end, {set_owner, Self, Self}},
		{fun(M, Pid) -> M:shutdown(Pid) end, shutdown},
		{fun(M, Pid) -> M:ping(Pid) end, {ping, Self, undefined, ref}},
		{fun(M, Pid) -> M:ping(Pid, #{reply_to => Self}) end, {ping, Self, undefined, ref}}
	].

%% What has been cast, with ref where it has the reference that the call has returned.
do_cast(Returned) ->
	case ?EXPECT({'$gen_cast', C}, C) of
		Cast when is_reference(Returned), element(3, Cast) =:= Returned -> setelement(3, Cast, ref);
		Cast when is_reference(Returned), element(4, Cast) =:= Returned -> setelement(4, Cast, ref);
		Cast when Returned =:= ok -> Cast
	end.

do_is_gun_2() ->
	_ = application:load(gun),
	case application:get_key(gun, vsn) of
		{ok, "2." ++ _} -> true;
		_ -> false
	end.

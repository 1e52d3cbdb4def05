%% A ConnPid works from any node, and owners and receivers may live on any node.
-module(gun_rs_nodes_SUITE).

-define(NEEDS, [distribution, {listener, [http_echo_h]}]).
-define(TIMETRAP, {minutes, 1}).
-include("gun_rs_suite.hrl").

%% The other node has the application's code, and in the second group the application too.
groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	[{code_only, Cases}, {application, Cases}].

init_per_group(Group, Config) ->
	{Peer, Node} = gun_rs_test:start_node(),
	case Group of
		code_only -> ok;
		application -> {ok, _} = erpc:call(Node, application, ensure_all_started, [gun_rs])
	end,
	[{peer, Peer}, {node, Node}|Config].

end_per_group(_, Config) ->
	?CATCH(peer:stop(config(peer, Config))),
	ok.

%% A process of the other node that does what it's told, and says what it gets.
do_remote(Config) ->
	Self = self(),
	spawn(config(node, Config), fun() -> ?MODULE:do_remote_loop(Self) end).

do_remote_loop(Self) ->
	receive
		{Self, do, Fun} ->
			Self ! {self(), done, ?CATCH(Fun())},
			?MODULE:do_remote_loop(Self);
		Msg ->
			Self ! {self(), got, Msg},
			?MODULE:do_remote_loop(Self)
	end.

do_there(Remote, Fun) ->
	Remote ! {self(), do, Fun},
	?EXPECT({Remote, done, Result}, Result).

%% WebSockets, owners and ends.

upgrade_from_another_node(Config) ->
	doc("A process of another node upgrades, sends, receives and closes."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	StreamRef = do_there(Remote, fun() -> gun_rs:ws_upgrade(ConnPid, "/websocket") end),
	?EXPECT({Remote, got, {gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}}),
	Large = crypto:strong_rand_bytes(1000000),
	Frames = [{text, integer_to_binary(N)} || N <- lists:seq(1, 100)] ++ [{binary, Large}],
	ok = do_there(Remote, fun() ->
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Frame) || Frame <- Frames],
		gun_rs:ws_send(ConnPid, Frames)
	end),
	_ = [?EXPECT({Remote, got, {gun_ws, ConnPid, StreamRef, F}}, F = Frame) || Frame <- Frames ++ Frames],
	ok = do_there(Remote, fun() -> gun_rs:ws_send(ConnPid, StreamRef, {close, 4000, "bye"}) end),
	?EXPECT({Remote, got, {gun_ws, ConnPid, StreamRef, {close, 4000, <<>>}}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [StreamRef]}),
	exit(Remote, kill),
	ok.

info_from_another_node(Config) ->
	doc("info works from another node."),
	{ConnPid, _} = open_ws(config(port, Config), "/websocket"),
	Self = self(),
	Remote = do_remote(Config),
	#{owner := Self, protocol := ws, state_name := connected_ws_only} =
		do_there(Remote, fun() -> gun_rs:info(ConnPid) end),
	ok = gun_rs:close(ConnPid),
	{'EXIT', {noproc, _}} = do_there(Remote, fun() -> gun_rs:info(ConnPid) end),
	exit(Remote, kill),
	ok.

await_on_another_node(Config) ->
	doc("await and flush work on another node."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	{ws, {text, <<"Hello!">>}} = do_there(Remote, fun() ->
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
		{upgrade, [<<"websocket">>], _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "Hello!"}),
		Result = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		ok = gun_rs:flush(ConnPid),
		Result
	end),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

malformed_frame_on_another_node(Config) ->
	doc("A malformed frame raises where it was sent from, on another node too."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Remote = do_remote(Config),
	{'EXIT', {{invalid_frame, {text, oops}, _}, _}} =
		do_there(Remote, fun() -> gun_rs:ws_send(ConnPid, StreamRef, {text, oops}) end),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, "unharmed"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"unharmed">>}}),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

send_before_the_upgrade_from_another_node(Config) ->
	doc("badstate goes to the process of another node that sent."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	ok = do_there(Remote, fun() -> gun_rs:ws_send(ConnPid, make_ref(), {text, "early"}) end),
	?EXPECT({Remote, got, {gun_error, ConnPid, {badstate, [_|_]}}}),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

reply_to_another_node(Config) ->
	doc("reply_to may be a pid of another node; its messages arrive in order."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => Remote}),
	?EXPECT({Remote, got, {gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}}),
	Frames = [{binary, binary:copy(<<N:32>>, N)} || N <- lists:seq(1, 1000)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, Frames),
	_ = [?EXPECT({Remote, got, {gun_ws, ConnPid, StreamRef, F}}, F = Frame) || Frame <- Frames],
	?REFUTE({gun_ws, _, _, _}),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

owner_on_another_node(Config) ->
	doc("An owner of another node gets gun_down and gun_up, may pass the connection on, and its exit ends it."),
	ConnPid = open(config(port, Config), #{}),
	Remote = do_remote(Config),
	ok = gun_rs:set_owner(ConnPid, Remote),
	#{owner := Remote} = gun_rs:info(ConnPid),
	StreamRef = upgrade(ConnPid, "/command", [], #{}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, term_to_binary([{close, 4001, <<>>}])}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4001, <<>>}}),
	?EXPECT({Remote, got, {gun_down, ConnPid, ws, normal, [StreamRef]}}),
	?EXPECT({Remote, got, {gun_up, ConnPid, http}}),
	Remote2 = do_remote(Config),
	ok = do_there(Remote, fun() -> gun_rs:set_owner(ConnPid, Remote2) end),
	#{owner := Remote2} = do_there(Remote, fun() -> gun_rs:info(ConnPid) end),
	exit(Remote, kill),
	MRef = watch(ConnPid),
	?REFUTE({'DOWN', MRef, process, ConnPid, _}),
	exit(Remote2, oops),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, oops}}}).

owner_node_stops(Config) ->
	doc("When the owner's node goes away the connection closes and ends."),
	{Peer, Node} = gun_rs_test:start_node(),
	{Server, Port} = lying_server:start([upgrade, frame, {send, lying_server:frame(close, <<>>)}]),
	{ConnPid, StreamRef} = open_ws(Port, "/"),
	MRef = watch(ConnPid),
	Remote = do_remote([{node, Node}|Config]),
	ok = gun_rs:set_owner(ConnPid, Remote),
	#{owner := Remote} = gun_rs:info(ConnPid),
	ok = peer:stop(Peer),
	?EXPECT({lying_server, Server, {frame, close, <<1001:16>>}}),
	?EXPECT({gun_ws, ConnPid, StreamRef, close}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, noconnection}}}),
	lying_server:stop(Server).

close_from_another_node(Config) ->
	doc("shutdown/1 and close/1 work from another node."),
	Remote = do_remote(Config),
	_ = [begin
		{ConnPid, _} = open_ws(config(port, Config), "/websocket"),
		MRef = watch(ConnPid),
		ok = do_there(Remote, fun() -> gun_rs:Function(ConnPid) end),
		?EXPECT({'DOWN', MRef, process, ConnPid, shutdown})
	end || Function <- [shutdown, close]],
	exit(Remote, kill),
	ok.

%% Requests.

requests_from_another_node(Config) ->
	doc("A process of another node makes requests of every kind, and gets their responses in its mailbox."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	Large = crypto:strong_rand_bytes(3000000),
	_ = [begin
		StreamRef = do_there(Remote, Request),
		?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef, IsFin, 200, _}}, IsFin = do_fin(Body)),
		Body = do_body(Remote, ConnPid, StreamRef, Body)
	end || {Request, Body} <- [
		{fun() -> gun_rs:get(ConnPid, "/status?code=200") end, <<>>},
		{fun() -> gun_rs:head(ConnPid, "/repeated", [{"x", "y"}]) end, <<>>},
		{fun() -> gun_rs:get(ConnPid, "/repeated", #{"x" => "y"}, #{flow => 10}) end, <<"Cookies!">>},
		{fun() -> gun_rs:post(ConnPid, "/echo", [], "small") end, <<"small">>},
		{fun() -> gun_rs:post(ConnPid, "/echo", [], Large) end, Large},
		{fun() -> gun_rs:request(ConnPid, <<"REPORT">>, "/echo", [], "body") end, <<"body">>},
		{fun() ->
			StreamRef = gun_rs:put(ConnPid, "/echo", []),
			_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, binary:part(Large, N * 1000, 1000)) || N <- lists:seq(0, 2999)],
			ok = gun_rs:data(ConnPid, StreamRef, fin, ""),
			StreamRef
		end, Large},
		{fun() ->
			StreamRef = gun_rs:headers(ConnPid, <<"PATCH">>, "/echo", [{"content-length", "8"}]),
			ok = gun_rs:data(ConnPid, StreamRef, nofin, "half"),
			ok = gun_rs:data(ConnPid, StreamRef, fin, "half"),
			StreamRef
		end, <<"halfhalf">>}
	]],
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

do_fin(<<>>) -> fin;
do_fin(_) -> nofin.

do_body(_, _, _, <<>>) ->
	<<>>;
do_body(Remote, ConnPid, StreamRef, Body) when is_binary(Body) ->
	iolist_to_binary(do_parts(Remote, ConnPid, StreamRef)).

do_parts(Remote, ConnPid, StreamRef) ->
	case ?EXPECT({Remote, got, {gun_data, ConnPid, StreamRef, IsFin, Data}}, {IsFin, Data}) of
		{nofin, Part} -> [Part|do_parts(Remote, ConnPid, StreamRef)];
		{fin, Part} -> [Part]
	end.

await_responses_on_another_node(Config) ->
	doc("await, await_body and flush of a stream work on another node."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	_ = [Expected = do_there(Remote, fun() ->
		StreamRef = Request(),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		Result = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
		ok = gun_rs:flush(StreamRef),
		Result
	end) || {Request, Expected} <- [
		{fun() -> gun_rs:post(ConnPid, "/echo", [], "body") end, {ok, <<"body">>}},
		{fun() -> gun_rs:get(ConnPid, "/trailers", [{"te", "trailers"}]) end,
			{ok, <<"Hello world!">>, [{<<"x-sum">>, <<"12">>}]}}
	]],
	ok = gun_rs:close(ConnPid),
	{error, {down, noproc}} = do_there(Remote, fun() -> gun_rs:await_body(ConnPid, make_ref(), ?WAIT) end),
	exit(Remote, kill),
	ok.

response_to_another_node(Config) ->
	doc("reply_to of a request may be of another node, and a caller of another node may name one of ours."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	Self = self(),
	StreamRef1 = gun_rs:post(ConnPid, "/echo", [], "there", #{reply_to => Remote}),
	?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef1, nofin, 200, _}}),
	<<"there">> = iolist_to_binary(do_parts(Remote, ConnPid, StreamRef1)),
	StreamRef2 = do_there(Remote, fun() -> gun_rs:post(ConnPid, "/echo", [], "here", #{reply_to => Self}) end),
	{200, _, <<"here">>} = answer(ConnPid, StreamRef2),
	%% A receiver that is gone holds up nobody.
	Gone = do_remote(Config),
	exit(Gone, kill),
	_ = [gun_rs:get(ConnPid, "/pieces?count=100&size=10000", [], #{reply_to => Gone}) || _ <- [1, 2, 3]],
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "next")),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

flow_from_another_node(Config) ->
	doc("flow and update_flow hold a response back from another node."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	StreamRef = do_there(Remote, fun() ->
		gun_rs:get(ConnPid, "/pieces?count=1024&size=65536", [], #{flow => 1})
	end),
	?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef, nofin, 200, _}}),
	Part = ?EXPECT({Remote, got, {gun_data, ConnPid, StreamRef, nofin, Data}}, byte_size(Data)),
	?REFUTE({Remote, got, _}),
	ok = do_there(Remote, fun() -> gun_rs:update_flow(ConnPid, StreamRef, 1000000) end),
	Rest = iolist_size(do_parts(Remote, ConnPid, StreamRef)),
	16#4000000 = Part + Rest,
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

ping_from_another_node(Config) ->
	doc("A ping from another node ends the connection too, by the name that it was given there."),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), #{retry => 1}),
	?EXPECT({gun_up, ConnPid, http}),
	PingRef = do_there(do_remote(Config), fun() -> gun_rs:ping(ConnPid) end),
	?EXPECT({gun_down, ConnPid, http, {error, {ping_unsupported_by_protocol, PingRef}}, []}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:close(ConnPid).

no_connection_of_another_node(Config) ->
	doc("A process of another node that is no connection is sent nothing; one of this node is sent gun's casts."),
	Remote = do_remote(Config),
	Calls = [fun(Pid) -> gun_rs:shutdown(Pid) end, fun(Pid) -> gun_rs:ws_send(Pid, make_ref(), ping) end,
		fun(Pid) -> gun_rs:get(Pid, "/") end],
	_ = [Call(Remote) || Call <- Calls],
	?REFUTE({Remote, got, _}),
	_ = [begin
		_ = Call(self()),
		?EXPECT({'$gen_cast', _})
	end || Call <- Calls],
	exit(Remote, kill).

await_of_a_node_that_is_gone(Config) ->
	doc("Who waits for a connection of a node that goes does not wait for the node."),
	{Peer, Node} = gun_rs_test:start_node(),
	Remote = do_remote([{node, Node}|Config]),
	MRef = monitor(process, Remote),
	true = erlang:disconnect_node(Node),
	{error, {down, noconnection}} = gun_rs:await(Remote, make_ref(), ?WAIT, MRef),
	%% To ask it would connect to it again.
	false = lists:member(Node, nodes()),
	?CATCH(peer:stop(Peer)),
	ok.

cancel_from_another_node(Config) ->
	doc("cancel works from another node, and what it cannot find is told there; stream_info is answered there."),
	ConnPid = open(config(port, Config)),
	Remote = do_remote(Config),
	StreamRef1 = do_there(Remote, fun() -> gun_rs:get(ConnPid, "/pieces?count=1000&size=10000", [], #{flow => 1}) end),
	?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef1, nofin, 200, _}}),
	?EXPECT({Remote, got, {gun_data, ConnPid, StreamRef1, nofin, _}}),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", [], "next"),
	Self = self(),
	_ = [begin
		{ok, Expected} = do_there(Remote, fun() -> gun_rs:stream_info(ConnPid, StreamRef) end)
	end || {StreamRef, Expected} <- [
		{StreamRef1, #{ref => StreamRef1, reply_to => Remote, state => running}},
		{StreamRef2, #{ref => StreamRef2, reply_to => Self, state => running}},
		{make_ref(), undefined}
	]],
	ok = do_there(Remote, fun() -> gun_rs:cancel(ConnPid, StreamRef1) end),
	{200, _, <<"next">>} = answer(ConnPid, StreamRef2),
	Unknown = make_ref(),
	_ = [begin
		ok = do_there(Remote, Call),
		?EXPECT({Remote, got, {gun_error, ConnPid, Unknown, {badstate, "The stream cannot be found."}}})
	end || Call <- [
		fun() -> gun_rs:cancel(ConnPid, Unknown) end,
		fun() -> gun_rs:data(ConnPid, Unknown, nofin, "data") end,
		fun() -> gun_rs:data(ConnPid, Unknown, fin, binary:copy(<<"data">>, 100000)) end
	]],
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	{'EXIT', {noproc, _}} = do_there(Remote, fun() -> gun_rs:stream_info(ConnPid, Unknown) end),
	exit(Remote, kill),
	ok.

refused_requests_from_another_node(Config) ->
	doc("What a connection refuses is told to who asked, on another node too; what is malformed raises or is told there."),
	ConnPid = open(config(port, Config), #{retry => 0, http_opts => #{max_send_queue => 100000}}),
	Remote = do_remote(Config),
	TooMuch = binary:copy(<<0>>, 100001),
	StreamRef1 = do_there(Remote, fun() -> gun_rs:post(ConnPid, "/echo", [], TooMuch) end),
	?EXPECT({Remote, got, {gun_error, ConnPid, StreamRef1, send_queue_full}}),
	StreamRef2 = do_there(Remote, fun() -> gun_rs:post(ConnPid, "/echo", []) end),
	ok = do_there(Remote, fun() -> gun_rs:data(ConnPid, StreamRef2, nofin, TooMuch) end),
	?EXPECT({Remote, got, {gun_error, ConnPid, StreamRef2, send_queue_full}}),
	ok = do_there(Remote, fun() -> gun_rs:data(ConnPid, StreamRef2, fin, "fits") end),
	?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef2, nofin, 200, _}}),
	<<"fits">> = iolist_to_binary(do_parts(Remote, ConnPid, StreamRef2)),
	_ = [case do_there(Remote, Call) of
		{'EXIT', {{invalid_request_header, _, _}, _}} -> ok;
		{'EXIT', {{invalid_request_target, _, _}, _}} -> ok;
		StreamRef -> ?EXPECT({Remote, got, {gun_error, ConnPid, StreamRef, {_, _, _}}})
	end || Call <- [
		fun() -> gun_rs:get(ConnPid, "/echo", [{"x", "a\r\nb: c"}]) end,
		fun() -> gun_rs:post(ConnPid, "/echo", [{"x y", "a"}], "body") end,
		fun() -> gun_rs:get(ConnPid, "/a b") end
	]],
	{'EXIT', {{badmatch, {error, {options, {req, {unheard_of, 1}}}}}, _}} =
		do_there(Remote, fun() -> gun_rs:get(ConnPid, "/", [], #{unheard_of => 1}) end),
	{200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body")),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid),
	exit(Remote, kill),
	ok.

requests_and_an_owner_of_another_node(Config) ->
	doc("An owner of another node hears which streams were lost, and the streams' callers that they were."),
	ConnPid = open(config(port, Config), #{cookie_store => gun_rs_cookies_list:init()}),
	Remote = do_remote(Config),
	ok = gun_rs:set_owner(ConnPid, Remote),
	#{owner := Remote} = gun_rs:info(ConnPid),
	StreamRef1 = do_there(Remote, fun() -> gun_rs:get(ConnPid, "/die") end),
	?EXPECT({Remote, got, {gun_error, ConnPid, StreamRef1, closed}}),
	?EXPECT({Remote, got, {gun_down, ConnPid, http, closed, [StreamRef1]}}),
	?EXPECT({Remote, got, {gun_up, ConnPid, http}}),
	StreamRef2 = do_there(Remote, fun() -> gun_rs:post(ConnPid, "/echo", [], "again") end),
	?EXPECT({Remote, got, {gun_response, ConnPid, StreamRef2, nofin, 200, _}}),
	<<"again">> = iolist_to_binary(do_parts(Remote, ConnPid, StreamRef2)),
	MRef = watch(ConnPid),
	exit(Remote, kill),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, killed}}}).

%% Pids that are no connection.

no_connection_on_another_node(Config) ->
	doc("Pids of other nodes that are no connection, dead, or of a node that is gone, are like dead ones."),
	{Peer, GoneNode} = gun_rs_test:start_node(),
	Gone = spawn(GoneNode, fun() -> receive after infinity -> ok end end),
	ok = peer:stop(Peer),
	Dead = spawn(config(node, Config), fun() -> ok end),
	Dummy = spawn(config(node, Config), fun() -> receive after infinity -> ok end end),
	_ = [begin
		ct:log("~p", [Pid]),
		Ref = make_ref(),
		ok = gun_rs:ws_send(Pid, {text, "Hello?"}),
		ok = gun_rs:ws_send(Pid, Ref, [{text, "Hello?"}, close]),
		true = is_reference(gun_rs:ws_upgrade(Pid, "/", [], #{})),
		true = is_reference(gun_rs:get(Pid, "/")),
		true = is_reference(gun_rs:post(Pid, "/", [], binary:copy(<<0>>, 100000))),
		ok = gun_rs:data(Pid, Ref, fin, "Hello?"),
		ok = gun_rs:cancel(Pid, Ref),
		ok = gun_rs:update_flow(Pid, Ref, 1),
		true = is_reference(gun_rs:ping(Pid)),
		{'EXIT', _} = ?CATCH(gun_rs:stream_info(Pid, Ref)),
		ok = gun_rs:set_owner(Pid, self()),
		ok = gun_rs:shutdown(Pid),
		ok = gun_rs:flush(Pid),
		{'EXIT', _} = ?CATCH(gun_rs:info(Pid)),
		?REFUTE(_)
	end || Pid <- [Dead, Dummy, Gone]],
	{messages, []} = erpc:call(node(Dummy), erlang, process_info, [Dummy, messages]),
	{error, {down, noproc}} = gun_rs:await_up(Dead, ?WAIT),
	{error, {down, noconnection}} = gun_rs:await_up(Gone, ?WAIT),
	exit(Dummy, kill),
	ok.

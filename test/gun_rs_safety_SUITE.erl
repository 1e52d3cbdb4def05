%% Nothing that a caller passes, and nothing that goes wrong in native code, harms the node or another connection.
-module(gun_rs_safety_SUITE).

-define(NEEDS, [{listener, [ws_echo_h]}]).
-include("gun_rs_suite.hrl").

do_still_works(Config) ->
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	do_still_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

do_still_talks(ConnPid, StreamRef) ->
	Text = integer_to_binary(erlang:unique_integer()),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, Text}}).

%% Panics.

panic(Config) ->
	doc("A panic in a connection's task becomes gun_error, gun_down and an exit; other connections don't notice."),
	{Other, OtherRef} = open_ws(config(port, Config), "/websocket"),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	MRef = watch(ConnPid),
	_ = gun_rs_native:debug_panic(ConnPid),
	[
		{gun_error, ConnPid, {panic, Text}},
		{gun_down, ConnPid, ws, {error, {panic, Text}}, [StreamRef]},
		{'DOWN', MRef, process, ConnPid, {shutdown, _}}
	] = [
		?EXPECT(Msg = {gun_error, ConnPid, {panic, _}}, Msg),
		?EXPECT(Msg = {gun_down, ConnPid, _, _, _}, Msg),
		?EXPECT(Msg = {'DOWN', MRef, _, _, _}, Msg)
	],
	true = io_lib:printable_unicode_list(Text),
	do_still_talks(Other, OtherRef),
	ok = gun_rs:close(Other),
	do_still_works(Config).

panic_closes_the_socket(_) ->
	doc("The socket of a task that panicked is closed, whatever its state."),
	{Server, Port} = lying_server:start([request]),
	ConnPid = open(Port),
	_ = gun_rs_native:debug_panic(ConnPid),
	?EXPECT({gun_error, ConnPid, {panic, _}}),
	?EXPECT({gun_down, ConnPid, http, {error, {panic, _}}, _}),
	?EXPECT({lying_server, Server, closed}),
	lying_server:stop(Server).

panics_leave_nothing(Config) ->
	doc("Many panics leave no connection, task or thread behind, and don't wear the runtime out."),
	Threads = gun_rs_test:count_threads(),
	_ = [begin
		{ConnPid, _} = open_ws(config(port, Config), "/websocket"),
		_ = gun_rs_native:debug_panic(ConnPid),
		?EXPECT({gun_error, ConnPid, {panic, _}}),
		_ = gun_rs_test:await_exit(ConnPid)
	end || _ <- lists:seq(1, 50)],
	true = eventually(fun() -> maps:get(connections, gun_rs_native:stats()) =:= 0 end),
	true = gun_rs_test:count_threads() =< Threads,
	do_still_works(Config).

%% The application.

restart(Config) ->
	doc("The application stops with connections open: they end, their sockets close, and it starts again."),
	{Server, Port} = lying_server:start([upgrade]),
	Conns = [open_ws(Port, "/", #{}) || _ <- lists:seq(1, 20)],
	MRefs = [{ConnPid, watch(ConnPid)} || {ConnPid, _} <- Conns],
	ok = application:stop(gun_rs),
	_ = [?EXPECT({'DOWN', MRef, process, ConnPid, _}) || {ConnPid, MRef} <- MRefs],
	_ = [?EXPECT({lying_server, Server, closed}) || _ <- Conns],
	%% Calls meet no application.
	{ConnPid1, StreamRef1} = hd(Conns),
	ok = gun_rs:ws_send(ConnPid1, StreamRef1, {text, "Hello?"}),
	{error, _} = gun_rs:open("127.0.0.1", Port),
	ok = application:start(gun_rs),
	do_still_works(Config),
	lying_server:stop(Server).

restarts_leave_no_threads(Config) ->
	doc("Starting and stopping the application again and again leaves no thread behind."),
	do_still_works(Config),
	Before = gun_rs_test:count_threads(),
	_ = [begin
		ok = application:stop(gun_rs),
		ok = application:start(gun_rs),
		do_still_works(Config)
	end || _ <- lists:seq(1, 10)],
	true = eventually(fun() -> gun_rs_test:count_threads() =< Before end).

reload(Config) ->
	doc("Erlang modules may be loaded again and purged under traffic."),
	%% In a node of its own: what goes wrong with a module goes wrong for every suite after this one.
	{ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 60000, args => ["-pa"|code:get_path()]}),
	ok = peer:call(Peer, ?MODULE, do_reload, [config(port, Config)], 4 * ?WAIT),
	peer:stop(Peer).

do_reload(Port) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	{ConnPid, StreamRef} = open_ws(Port, "/websocket"),
	Self = self(),
	Traffic = spawn_link(fun() ->
		{Other, OtherRef} = open_ws(Port, "/websocket"),
		do_traffic(Self, Other, OtherRef, 0)
	end),
	_ = [begin
		_ = code:soft_purge(Module),
		_ = code:load_file(Module),
		do_still_talks(ConnPid, StreamRef)
	end || _ <- lists:seq(1, 5), Module <- [gun_rs, gun_rs_opener, gun_rs_caller, gun_rs_await, gun_rs_conn, gun_rs_retry,
		gun_rs_mailbox, gun_rs_ws_handlers, gun_rs_conn_info, gun_rs_frames, gun_rs_dirty, gun_rs_relay, gun_rs_delivery,
		gun_rs_options, gun_rs_native]],
	Traffic ! stop,
	Count = ?EXPECT({Traffic, N}, N),
	true = Count > 0,
	#{protocol := ws} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	do_still_works([{port, Port}]).

do_traffic(Self, ConnPid, StreamRef, N) ->
	receive
		stop ->
			ok = gun_rs:close(ConnPid),
			Self ! {self(), N}
	after 0 ->
		do_still_talks(ConnPid, StreamRef),
		do_traffic(Self, ConnPid, StreamRef, N + 1)
	end.

%% What callers pass.

malformed_frames(Config) ->
	doc("A malformed frame raises in its caller, names itself, and nothing of it is sent; the connection goes on."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Wrong = [{Bad, Outcome} || Bad <- do_malformed(), Outcome <- [
		do_invalid(Bad, fun() -> gun_rs:ws_send(ConnPid, StreamRef, Bad) end),
		do_invalid(Bad, fun() -> gun_rs:ws_send(ConnPid, Bad) end),
		do_invalid(Bad, fun() -> gun_rs:ws_send(ConnPid, StreamRef, [{text, "before"}, Bad, {text, "after"}]) end)
	], Outcome =/= ok],
	[] = Wrong,
	do_still_talks(ConnPid, StreamRef),
	%% Not even the good frames of a list that had a bad one.
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:close(ConnPid).

do_invalid(Bad, Fun) ->
	try Fun() of
		Result -> {not_refused, Result}
	catch
		error:{invalid_frame, Named, Text} ->
			case {do_flat(Named) =:= do_flat(Bad), io_lib:printable_unicode_list(Text)} of
				{true, true} -> ok;
				_ -> {named, Named, Text}
			end;
		Class:Reason ->
			{Class, Reason}
	end.

%% The frame that is named may have a binary for the list that was its payload.
do_flat({Type, Payload}) ->
	{Type, do_flat_payload(Payload)};
do_flat({Type, Code, Payload}) ->
	{Type, Code, do_flat_payload(Payload)};
do_flat(Frame) ->
	Frame.

do_flat_payload(Payload) ->
	try iolist_to_binary(Payload) catch error:badarg -> Payload end.

do_malformed() ->
	Long = binary:copy(<<"x">>, 126),
	[
		hello, <<"hello">>, 17, #{}, {}, {text}, {text, "a", "b"}, {close, 1000, "a", "b"}, self(), make_ref(),
		text, binary, {continuation, "a"}, {fragment, fin, text, "a"}, {"text", "a"}, {<<"text">>, <<"a">>},
		{text, hello}, {text, 17}, {text, #{}}, {text, self()}, {binary, {}}, {binary, 1.5}, {text, undefined},
		{text, [256]}, {text, "€"}, {text, [-1]}, {binary, [<<"a">>, [hello]]}, {text, [$a|$b]}, {binary, ["a"|hello]},
		{binary, [<<"a">>, 300|<<"b">>]}, {text, <<1:1>>}, {binary, [<<"a">>, <<1:3>>]}, {binary, [[[[[256]]]]]},
		{ping, Long}, {pong, Long}, {ping, [Long]}, {ping, hello}, {pong, [256]},
		{close, Long}, {close, hello}, {close, <<3>>}, {close, <<999:16>>},
		{close, 0, ""}, {close, 999, ""}, {close, 1004, ""}, {close, 1005, ""}, {close, 1006, ""}, {close, 1015, ""},
		{close, 5000, ""}, {close, -1, ""}, {close, 66536, ""}, {close, 1 bsl 70, ""}, {close, normal, ""},
		{close, "1000", ""}, {close, 1000.0, ""},
		{close, 1000, <<255>>}, {close, 1000, [<<"a">>, 200]}, {close, 1000, hello}, {close, 1000, [256]},
		{close, 1000, binary:copy(<<"x">>, 124)}
	].

improper_lists_of_frames(Config) ->
	doc("A list of frames that isn't proper raises in its caller."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = [begin
		{'EXIT', {{invalid_frame, _, [_|_]}, _}} = ?CATCH(gun_rs:ws_send(ConnPid, StreamRef, Frames)),
		do_still_talks(ConnPid, StreamRef)
	end || Frames <- [[{text, "a"}|{text, "b"}], [{text, "a"}|hello], [[{text, "a"}]], [ping|ping]]],
	?REFUTE({gun_ws, ConnPid, StreamRef, _}),
	ok = gun_rs:close(ConnPid).

deep_payloads(Config) ->
	doc("A payload that is nested a million deep neither overflows a stack nor passes unread."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Deep = fun(Inner) -> lists:foldl(fun(_, Acc) -> [Acc] end, Inner, lists:seq(1, 1000000)) end,
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Deep(<<"bottom">>)}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"bottom">>}}),
	{'EXIT', {{invalid_frame, _, _}, _}} = ?CATCH(gun_rs:ws_send(ConnPid, StreamRef, {text, Deep(hello)})),
	do_still_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

bad_arguments(Config) ->
	doc("Arguments of the wrong type raise in the caller or come back as errors, and harm nothing."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	_ = [{'EXIT', _} = ?CATCH(Fun()) || Fun <- [
		fun() -> gun_rs:ws_send(not_a_pid, StreamRef, {text, "a"}) end,
		fun() -> gun_rs:ws_send("<0.1.0>", {text, "a"}) end,
		fun() -> gun_rs:ws_upgrade(not_a_pid, "/") end,
		fun() -> gun_rs:ws_upgrade(ConnPid, not_a_path) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, ["/", 256]) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", not_headers) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", [not_a_header]) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", [{"name", not_a_value}]) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", [{17, "value"}]) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", [], not_a_map) end
	]],
	do_still_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

cr_in_a_header(Config) ->
	doc("A CR or LF in a header's name or value raises in the caller; nothing is sent."),
	{Server, Port} = lying_server:start([request]),
	ConnPid = open(Port),
	_ = [begin
		{'EXIT', {{invalid_request_header, _, _}, _}} = ?CATCH(gun_rs:ws_upgrade(ConnPid, "/", Headers)),
		{'EXIT', {{invalid_request_header, _, _}, _}} = ?CATCH(gun_rs:ws_upgrade(ConnPid, "/", Headers, #{}))
	end || Headers <- [
		[{<<"x">>, <<"a\r\nx-smuggled: 1">>}],
		[{<<"x">>, <<"a\r">>}],
		[{<<"x">>, ["a", [$\n]]}],
		[{"x\r\nx-smuggled", "a"}],
		[{'x\ny', "a"}],
		[{<<"good">>, <<"value">>}, {<<"x">>, "a\nb"}],
		#{<<"x">> => <<"a\r\nb">>}
	]],
	?REFUTE({lying_server, Server, {request, _}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	do_still_works(Config).

cr_in_the_path(_) ->
	doc("A CR, LF or space in the path never splits the request."),
	{Server, Port} = lying_server:start([request]),
	_ = [begin
		ConnPid = open(Port),
		_ = ?CATCH(gun_rs:ws_upgrade(ConnPid, Path)),
		receive
			{lying_server, Server, {request, Request}} ->
				nomatch = re:run(Request, "^x-smuggled", [multiline, {newline, any}])
		after 200 ->
			ok
		end,
		ok = gun_rs:close(ConnPid)
	end || Path <- ["/\r\nx-smuggled: 1", "/ HTTP/1.1\r\nx-smuggled: 1", "/\nx-smuggled: 1"]],
	lying_server:stop(Server).

bad_upgrade_options(Config) ->
	doc("An unknown or ill-typed option of ws_upgrade/4 raises as gun's does, and names itself."),
	ConnPid = open(config(port, Config)),
	_ = [{'EXIT', {{badmatch, {error, {options, {ws, {Key, Value}}}}}, _}} =
		?CATCH(gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{Key => Value}))
	|| {Key, Value} <- [
		{unheard_of, true}, {closing_timeout, soon}, {closing_timeout, -1}, {silence_pings, 1}, {protocols, [<<"chat">>]},
		{reply_to, nobody}, {max_message_size, -1}, {max_frame_size, lots}, {<<"silence_pings">>, true}
	]],
	_ = upgrade(ConnPid, "/websocket", [], #{}),
	ok = gun_rs:close(ConnPid).

bad_hosts_and_ports(_) ->
	doc("A host or a port that can't be one is an error of open, or ends in an exit with a reason; it never crashes."),
	_ = [case ?CATCH(gun_rs:open(Host, Port, #{retry => 0})) of
		{ok, ConnPid} ->
			%% It may look like a host until it's looked up.
			case gun_rs_test:await_exit(ConnPid) of
				noproc -> ok;
				{shutdown, _} -> ok
			end;
		{error, _} ->
			ok;
		{'EXIT', {Reason, _}} ->
			ct:log("~p ~p: ~p", [Host, Port, Reason])
	end || {Host, Port} <- [
		{"", 80}, {<<>>, 80}, {"no such host", 80}, {"bad\0host", 80}, {"bad\r\nhost", 80}, {[256, 1000], 80},
		{{1, 2, 3}, 80}, {{1, 2, 3, 256}, 80}, {{1, 2, 3, 4, 5, 6, 7, 70000}, 80}, {17, 80}, {#{}, 80},
		{[hello], 80}, {binary:copy(<<"a">>, 100000), 80}, {"..", 80},
		{"127.0.0.1", -1}, {"127.0.0.1", 65536}, {"127.0.0.1", 1 bsl 70}, {"127.0.0.1", "80"},
		{"127.0.0.1", http}, {"127.0.0.1", 80.0}, {"127.0.0.1", 0}
	]],
	?REFUTE({gun_up, _, _}).

bad_ports_by_name(_) ->
	doc("A port out of range is refused before any process exists."),
	_ = [begin
		Before = length(supervisor:which_children(gun_rs_conns_sup)),
		case ?CATCH(gun_rs:open("127.0.0.1", Port)) of
			{error, _} -> ok;
			{'EXIT', _} -> ok
		end,
		Before = length(supervisor:which_children(gun_rs_conns_sup))
	end || Port <- [-1, 65536, 1 bsl 70, "80", http, 80.0]],
	ok.

%% Calls at the wrong time.

send_before_the_upgrade(Config) ->
	doc("ws_send before an upgrade gives badstate to the caller, whoever the owner is."),
	ConnPid = open(config(port, Config)),
	ok = gun_rs:ws_send(ConnPid, {text, "early"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	{Caller, MRef} = spawn_monitor(fun() ->
		ok = gun_rs:ws_send(ConnPid, make_ref(), {text, "early"}),
		ok = ?EXPECT({gun_error, ConnPid, {badstate, [_|_]}})
	end),
	?EXPECT({'DOWN', MRef, process, Caller, normal}),
	?REFUTE({gun_error, _, _}),
	%% Nor between the request and its answer.
	{Server, Port} = lying_server:start([request]),
	ConnPid2 = open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid2, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	ok = gun_rs:ws_send(ConnPid2, StreamRef, {text, "early"}),
	?EXPECT({gun_error, ConnPid2, {badstate, [_|_]}}),
	ok = gun_rs:close(ConnPid2),
	lying_server:stop(Server),
	_ = upgrade(ConnPid, "/websocket", [], #{}),
	ok = gun_rs:close(ConnPid).

upgrade_twice(Config) ->
	doc("ws_upgrade on an upgraded connection gives badstate to its reply_to, without a stream; the first goes on."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	StreamRef2 = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	true = StreamRef2 =/= StreamRef,
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	Self = self(),
	Other = spawn_link(fun() -> ok = ?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}), Self ! {self(), told} end),
	_ = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => Other}),
	?EXPECT({Other, told}),
	?REFUTE({gun_error, ConnPid, _}),
	do_still_talks(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

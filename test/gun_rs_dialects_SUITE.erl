%% Programs that were written for an older gun: the Websocket chapters of its user guides, with `gun' read as `gun_rs',
%% and gun 1.3 itself beside it.
-module(gun_rs_dialects_SUITE).

-import(lying_server, [frame/2]).

-define(NEEDS, [{listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

groups() ->
	[
		{gun_0, [oldest_upgrade, oldest_subprotocol, oldest_refusal, oldest_sending, oldest_close, oldest_receiving,
			oldest_reconnect]},
		{gun_1_pre, [pre_upgrade, pre_subprotocol, pre_options, pre_refusal, pre_http_1_0, pre_sending, pre_close,
			pre_receiving, pre_reconnect]},
		{gun_1, [gun_1_upgrade, gun_1_close]},
		{beside_gun, [the_same_messages, known_differences]},
		{all_dialects, [await, flush, down, failures, refused_with_a_body, reply_to, keepalive, keepalive_defaults, environment,
			repeated_upgrade, servers_close, bodies_that_headers_announce]}
	].

%% The application's environment says the dialect, as it would in a program that is not changed.
init_per_group(Dialect, Config) when Dialect =:= gun_0; Dialect =:= gun_1_pre; Dialect =:= gun_1 ->
	ok = application:set_env(gun_rs, dialect, Dialect),
	Config;
init_per_group(beside_gun, Config) ->
	{ok, _} = application:ensure_all_started(gun),
	case application:get_key(gun, vsn) of
		{ok, "1.3" ++ _} ->
			Config;
		%% Debian has no older one for OTP 29.
		{ok, "2." ++ _ = Vsn} ->
			ok = application:stop(gun),
			{skip, "gun " ++ Vsn ++ " is here, and it speaks otherwise than gun 1.3."}
	end;
init_per_group(_, Config) ->
	Config.

end_per_group(beside_gun, _) ->
	ok = application:stop(gun);
end_per_group(_, _) ->
	application:unset_env(gun_rs, dialect).

%% A connection as the chapters have it, that is up.
do_open(Config) ->
	do_open(config(port, Config), #{}).

do_open(Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port, Opts),
	?EXPECT({gun_up, ConnPid, http}),
	ConnPid.

%% The chapter of gun_0.

oldest_upgrade(Config) ->
	doc("gun_0, upgrade to Websocket: the success is sent as a message, which has no headers."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/websocket"),
	receive
		{gun_ws_upgrade, ConnPid, ok} ->
			upgrade_success(ConnPid);
		{gun_ws_upgrade, ConnPid, error, _IsFin, Status, Headers} ->
			exit({ws_upgrade_failed, Status, Headers})
		%% More clauses here as needed.
	after ?WAIT ->
		exit(timeout)
	end,
	gun_rs:close(ConnPid).

upgrade_success(ConnPid) ->
	#{protocol := ws} = gun_rs:info(ConnPid),
	ok.

oldest_subprotocol(Config) ->
	doc("gun_0, upgrade to Websocket and request a protocol."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/headers", [
		{<<"sec-websocket-protocol">>, "mychat"}
	]),
	?EXPECT({gun_ws_upgrade, ConnPid, ok}),
	Headers = ?EXPECT({gun_ws, ConnPid, {binary, Bin}}, binary_to_term(Bin)),
	<<"mychat">> = maps:get(<<"sec-websocket-protocol">>, Headers),
	gun_rs:close(ConnPid).

oldest_refusal(Config) ->
	doc("gun_0, the failure of the operation is sent as a message."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/nowhere"),
	{fin, 404, [_|_]} = receive
		{gun_ws_upgrade, ConnPid, ok} ->
			error(upgraded);
		{gun_ws_upgrade, ConnPid, error, IsFin, Status, Headers} ->
			{IsFin, Status, Headers}
	after ?WAIT ->
		exit(timeout)
	end,
	?REFUTE({gun_response, _, _, _, _, _}),
	gun_rs:close(ConnPid).

oldest_sending(Config) ->
	doc("gun_0, send a text frame; send a text frame, a binary frame and then close the connection."),
	do_sending(Config).

do_sending(Config) ->
	ConnPid = do_open(Config),
	MRef = watch(ConnPid),
	_ = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT(Upgrade when element(1, Upgrade) =:= gun_ws_upgrade),
	gun_rs:ws_send(ConnPid, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, {text, <<"Hello!">>}}),
	BinaryValue = <<0, 1, 2, 255>>,
	gun_rs:ws_send(ConnPid, [
		{text, "Hello!"},
		{binary, BinaryValue},
		close
	]),
	?EXPECT({gun_ws, ConnPid, {text, <<"Hello!">>}}),
	?EXPECT({gun_ws, ConnPid, {binary, BinaryValue}}),
	?EXPECT({gun_down, ConnPid, ws, normal, [], []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, normal}).

oldest_close(_) ->
	doc("gun_0, if you send a close frame, the connection is closed cleanly, and no attempt is made to reconnect."),
	do_user_close().

do_user_close() ->
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, frame|Answer]),
		ConnPid = do_open(Port, #{retry => 100, retry_timeout => 10}),
		?EXPECT({lying_server, Server, accepted}),
		MRef = watch(ConnPid),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT(Upgrade when element(1, Upgrade) =:= gun_ws_upgrade),
		gun_rs:ws_send(ConnPid, Close),
		?EXPECT({lying_server, Server, {frame, close, _}}),
		?EXPECT({gun_down, ConnPid, ws, _, [], []}),
		?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
		?REFUTE({gun_up, _, _}),
		?REFUTE({lying_server, Server, accepted}),
		lying_server:stop(Server)
	end || Close <- [close, {close, 1000, "bye"}], Answer <- [[{send, frame(close, <<1000:16>>)}], [close]]],
	ok.

oldest_receiving(Config) ->
	doc("gun_0, an Erlang message comes for every Websocket message."),
	do_receiving(Config).

do_receiving(Config) ->
	ConnPid = do_open(Config),
	_ = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT(Upgrade when element(1, Upgrade) =:= gun_ws_upgrade),
	gun_rs:ws_send(ConnPid, [{text, integer_to_list(N)} || N <- lists:seq(1, 10)]),
	_ = [receive
		{gun_ws, ConnPid, Frame} ->
			handle_frame(ConnPid, Frame, N)
	after ?WAIT ->
		gun_rs_test:missing("gun_ws")
	end || N <- lists:seq(1, 10)],
	gun_rs:close(ConnPid).

handle_frame(_ConnPid, {text, Text}, N) ->
	N = binary_to_integer(Text).

oldest_reconnect(_) ->
	doc("gun_0, when the connection dies it is made again, and not upgraded: gun_error says that it has to be."),
	do_reconnect().

do_reconnect() ->
	{Server, Port} = lying_server:start([upgrade, wait, close]),
	ConnPid = do_open(Port, #{}),
	_ = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT(Upgrade when element(1, Upgrade) =:= gun_ws_upgrade),
	?EXPECT({lying_server, Server, {request, _}}),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, ws, closed, [], []}),
	?EXPECT({gun_up, ConnPid, http}),
	?REFUTE({lying_server, Server, {request, _}}),
	gun_rs:ws_send(ConnPid, {text, "Hello?"}),
	?EXPECT({gun_error, ConnPid, {badstate, [_|_]}}),
	_ = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT(Upgrade when element(1, Upgrade) =:= gun_ws_upgrade),
	gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% The chapter of gun_1_pre.

pre_upgrade(Config) ->
	doc("gun_1_pre, upgrade to Websocket: a gun_ws_upgrade message is sent, with the headers."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/websocket"),
	ok = do_pre_receive(ConnPid),
	gun_rs:close(ConnPid).

do_pre_receive(ConnPid) ->
	receive
		{gun_ws_upgrade, ConnPid, ok, Headers} ->
			{_, <<"websocket">>} = lists:keyfind(<<"upgrade">>, 1, Headers),
			upgrade_success(ConnPid);
		{gun_response, ConnPid, _, _, Status, Headers} ->
			{ws_upgrade_failed, Status, Headers};
		{gun_error, ConnPid, _StreamRef, Reason} ->
			{ws_upgrade_failed, Reason}
		%% More clauses here as needed.
	after ?WAIT ->
		exit(timeout)
	end.

pre_subprotocol(Config) ->
	doc("gun_1_pre, upgrade to Websocket and request a protocol."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/mychat", [
		{<<"sec-websocket-protocol">>, "mychat"}
	]),
	Headers = ?EXPECT({gun_ws_upgrade, ConnPid, ok, H}, H),
	{_, <<"mychat">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	gun_rs:close(ConnPid).

pre_options(Config) ->
	doc("gun_1_pre, ws_upgrade/4 crashes if the options are incorrect, unlike when passing them through open."),
	Bad = #{compress => 'maybe'},
	{error, {options, {ws, {compress, 'maybe'}}}} = gun_rs:open("localhost", config(port, Config), #{ws_opts => Bad}),
	ConnPid = do_open(Config),
	{'EXIT', {{badmatch, {error, {options, {ws, {compress, 'maybe'}}}}}, _}} =
		?CATCH(gun_rs:ws_upgrade(ConnPid, "/websocket", [], Bad)),
	%% "Those same options."
	gun_rs:ws_upgrade(ConnPid, "/deflate", [], #{compress => true}),
	Headers = ?EXPECT({gun_ws_upgrade, ConnPid, ok, H}, H),
	{_, <<"permessage-deflate", _/binary>>} = lists:keyfind(<<"sec-websocket-extensions">>, 1, Headers),
	gun_rs:close(ConnPid),
	ConnPid2 = do_open(config(port, Config), #{ws_opts => #{compress => true}}),
	gun_rs:ws_upgrade(ConnPid2, "/deflate"),
	Headers2 = ?EXPECT({gun_ws_upgrade, ConnPid2, ok, H}, H),
	{_, <<"permessage-deflate", _/binary>>} = lists:keyfind(<<"sec-websocket-extensions">>, 1, Headers2),
	gun_rs:close(ConnPid2).

pre_refusal(Config) ->
	doc("gun_1_pre, if the server refused the upgrade, a gun_response message is sent."),
	ConnPid = do_open(Config),
	gun_rs:ws_upgrade(ConnPid, "/nowhere"),
	{ws_upgrade_failed, 404, [_|_]} = do_pre_receive(ConnPid),
	gun_rs:close(ConnPid).

pre_http_1_0(Config) ->
	doc("gun_1_pre, attempting to upgrade to Websocket on an HTTP/1.0 connection ends in a gun_error message."),
	ConnPid = do_open(config(port, Config), #{http_opts => #{version => 'HTTP/1.0'}}),
	gun_rs:ws_upgrade(ConnPid, "/websocket"),
	{ws_upgrade_failed, {badstate, [_|_]}} = do_pre_receive(ConnPid),
	gun_rs:close(ConnPid).

pre_sending(Config) ->
	doc("gun_1_pre, send a text frame; send a text frame, a binary frame and then close the connection."),
	do_sending(Config).

pre_close(_) ->
	doc("gun_1_pre, a close frame of yours ends the connection, which is not made again."),
	do_user_close().

pre_receiving(Config) ->
	doc("gun_1_pre, an Erlang message comes for every Websocket message."),
	do_receiving(Config).

pre_reconnect(_) ->
	doc("gun_1_pre, when the connection dies it is made again, and not upgraded: gun_error says that it has to be."),
	do_reconnect().

%% The chapter of gun_1 is gun_rs_seed_SUITE's; here is what it has of its own.

gun_1_upgrade(Config) ->
	doc("gun_1, upgrade to Websocket: gun_upgrade has the stream."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	receive
		{gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _Headers} ->
			upgrade_success(ConnPid);
		{gun_response, ConnPid, _, _, Status, Headers} ->
			exit({ws_upgrade_failed, Status, Headers});
		{gun_error, ConnPid, StreamRef, Reason} ->
			exit({ws_upgrade_failed, Reason})
		%% More clauses here as needed.
	after ?WAIT ->
		exit(timeout)
	end,
	gun_rs:ws_send(ConnPid, {text, "Hello!"}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}),
	gun_rs:close(ConnPid).

gun_1_close(Config) ->
	doc("gun_1, if you send a close frame the connection closes cleanly but is made again."),
	ConnPid = do_open(Config),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	gun_rs:ws_send(ConnPid, close),
	?EXPECT({gun_down, ConnPid, ws, normal, [], []}),
	?EXPECT({gun_up, ConnPid, http}),
	gun_rs:close(ConnPid).

%% Beside gun 1.3: the same script with either module, against the same server, and the messages one by one.

the_same_messages(Config) ->
	doc("What gun 1.3 sends, gun_rs sends with the dialect gun_1."),
	_ = [begin
		ct:pal("~ts", [Name]),
		[OfGun, OfGunRs] = [do_script(Mod, Script, Config) || Mod <- [gun, gun_rs]],
		ct:log("~p", [OfGunRs]),
		case OfGunRs of
			OfGun -> ok;
			_ -> error({Name, {gun, OfGun}, {gun_rs, OfGunRs}})
		end
	end || {Name, Script} <- do_same_scripts(Config)],
	ok.

known_differences(Config) ->
	doc("Where gun_rs says more than gun 1.3, or says it better, it is this and nothing else."),
	_ = [begin
		ct:pal("~ts", [Name]),
		_ = [case do_script(Mod, Script, Config) of
			Expected -> ok;
			Messages -> error({Name, Mod, {expected, Expected}, {got, Messages}})
		end || {Mod, Expected} <- [{gun, OfGun}, {gun_rs, OfGunRs}]]
	end || {Name, Script, OfGun, OfGunRs} <- do_different_scripts(Config)],
	ok.

%% A script is {Cowboy or the lying server's script, options of open, fun}; the fun has what it takes, and returns the
%% stream references in it, which are then told from one another.
do_script(Mod, {ServerScript, Opts0, Fun}, Config) ->
	{Server, Port} = case ServerScript of
		cowboy -> {undefined, config(port, Config)};
		nobody -> gun_rs_test:refused_port();
		_ -> lying_server:start(ServerScript)
	end,
	Opts = case Mod of
		gun -> Opts0;
		gun_rs -> Opts0#{dialect => gun_1}
	end,
	Self = self(),
	%% In a process of its own, so that nothing of one run is in the mailbox of another. The script's messages are all
	%% that comes to it.
	{Pid, MRef} = spawn_monitor(fun() ->
		{ok, ConnPid} = Mod:open("localhost", Port, Opts),
		ConnRef = monitor(process, ConnPid),
		put(seen, []),
		Go = fun() -> Self ! {self(), go}, receive {Self, gone} -> ok end end,
		Refs = Fun(Mod, ConnPid, Go),
		_ = Mod:close(ConnPid),
		Self ! {self(), done, [do_normal(Msg, ConnPid, Refs) || Msg <- lists:reverse(get(seen)),
			is_map(Msg) orelse element(2, Msg) =/= ConnRef]}
	end),
	Messages = do_play(Pid, MRef, Server),
	case ServerScript of
		cowboy -> ok;
		nobody -> gun_rs_test:release_port(Server);
		_ -> lying_server:stop(Server)
	end,
	Messages.

do_play(Pid, MRef, Server) ->
	receive
		{Pid, go} ->
			?EXPECT({lying_server, Server, accepted}),
			lying_server:go(Server),
			Pid ! {self(), gone},
			do_play(Pid, MRef, Server);
		{Pid, done, Messages} ->
			true = demonitor(MRef, [flush]),
			Messages;
		{'DOWN', MRef, process, Pid, Reason} ->
			error(Reason)
	after 4 * ?WAIT ->
		error(script_hangs)
	end.

%% Everything up to the message of that name, and for the last one, what still comes behind it.
until(Tag) ->
	receive
		Msg ->
			put(seen, [Msg|get(seen)]),
			case element(1, Msg) of
				Tag -> Msg;
				_ -> until(Tag)
			end
	after ?WAIT ->
		error({missing, Tag, lists:reverse(get(seen))})
	end.

rest() ->
	receive
		Msg ->
			put(seen, [Msg|get(seen)]),
			rest()
	after 500 ->
		ok
	end.

%% Without what cannot be the same: pids, references, dates, and the sentences of errors, which are for people.
do_normal(Term, ConnPid, Refs) ->
	case Term of
		ConnPid -> conn_pid;
		Map when is_map(Map) -> Map;
		%% In the body of a refused upgrade, gun 1.3 names the stream by a tuple of its own.
		{websocket, Ref, _, _, _} -> do_normal(Ref, ConnPid, Refs);
		{badstate, [_|_]} -> {badstate, text};
		Ref when is_reference(Ref) -> {stream, string:str(Refs, [Ref])};
		{<<"date">>, _} -> {<<"date">>, date};
		{<<"sec-websocket-accept">>, _} -> {<<"sec-websocket-accept">>, accept};
		Tuple when is_tuple(Tuple) -> list_to_tuple(do_normal(tuple_to_list(Tuple), ConnPid, Refs));
		[Head|Tail] -> [do_normal(Head, ConnPid, Refs)|do_normal(Tail, ConnPid, Refs)];
		_ -> Term
	end.

do_same_scripts(_) ->
	[
		{"an upgrade, echoes, a ping of ours", {cowboy, #{}, fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/websocket"),
			_ = until(gun_upgrade),
			%% gun 1.3 takes one frame at a time.
			_ = [begin
				ok = Mod:ws_send(ConnPid, Frame),
				until(gun_ws)
			end || Frame <- [{text, "Hello!"}, {binary, <<0, 1, 2>>}, {text, ""}, {text, ["io", <<"data">>]},
				{text, binary:copy(<<"long">>, 100000)}]],
			ok = Mod:ws_send(ConnPid, ping),
			ok = Mod:ws_send(ConnPid, {text, "after a ping"}),
			_ = until(gun_ws),
			rest(),
			[Ref]
		end}},
		{"an upgrade with headers", {cowboy, #{}, fun(Mod, ConnPid, _) ->
			Ref = Mod:ws_upgrade(ConnPid, "/headers", [{<<"x-token">>, "secret"}]),
			{gun_ws, _, _, {binary, Bin}} = until(gun_ws),
			#{<<"x-token">> := <<"secret">>} = Headers = binary_to_term(Bin),
			put(seen, [maps:without([<<"host">>, <<"sec-websocket-key">>], Headers)|tl(get(seen))]),
			rest(),
			[Ref]
		end}},
		{"a refused upgrade, with its body, and another upgrade", {cowboy, #{}, fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/refuse"),
			_ = until(gun_data),
			Ref2 = Mod:ws_upgrade(ConnPid, "/websocket"),
			_ = until(gun_upgrade),
			rest(),
			[Ref, Ref2]
		end}},
		{"requests, one after the other", {cowboy, #{}, fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Refs = [begin
				Ref = Mod:request(ConnPid, Method, "/echo", [{<<"content-type">>, <<"text/plain">>}], "Hello!"),
				_ = until(gun_data),
				Ref
			end || Method <- [<<"POST">>, <<"PUT">>, <<"PATCH">>]],
			Ref4 = Mod:head(ConnPid, "/status?code=204"),
			_ = until(gun_response),
			rest(),
			Refs ++ [Ref4]
		end}},
		{"ws_send before an upgrade", {cowboy, #{}, fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			ok = Mod:ws_send(ConnPid, {text, "early"}),
			_ = until(gun_error),
			rest(),
			[]
		end}},
		{"ws_send after a reconnect", {[upgrade, wait, close], #{retry => 3, retry_timeout => 10}, fun(Mod, ConnPid, Go) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/"),
			_ = until(gun_upgrade),
			Go(),
			_ = until(gun_up),
			ok = Mod:ws_send(ConnPid, {text, "lost"}),
			_ = until(gun_error),
			Ref2 = Mod:ws_upgrade(ConnPid, "/"),
			_ = until(gun_upgrade),
			rest(),
			[Ref, Ref2]
		end}},
		{"the server drops an idle connection", {[wait, close], #{retry => 3, retry_timeout => 10}, fun(_, _, Go) ->
			_ = until(gun_up),
			Go(),
			_ = until(gun_up),
			rest(),
			[]
		end}},
		{"the server drops a connection with requests", {[request, wait, close], #{retry => 3, retry_timeout => 10},
				fun(Mod, ConnPid, Go) ->
			_ = until(gun_up),
			Refs = [Mod:get(ConnPid, "/") || _ <- [1, 2, 3]],
			%% Requests that it has not begun with when it is dropped are kept for the next, and gun 1.3 begins at once.
			_ = [{ok, #{}} = gun_rs:stream_info(ConnPid, Ref) || Ref <- Refs, Mod =:= gun_rs],
			Go(),
			_ = until(gun_up),
			rest(),
			Refs
		end}},
		{"the server drops a connection in the midst of a body", {
				[request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"}, wait, close],
				#{retry => 3, retry_timeout => 10}, fun(Mod, ConnPid, Go) ->
			_ = until(gun_up),
			Refs = [Mod:get(ConnPid, "/") || _ <- [1, 2]],
			_ = until(gun_data),
			Go(),
			_ = until(gun_up),
			rest(),
			Refs
		end}},
		{"the server drops a WebSocket in the midst of a frame", {[upgrade, {send, <<16#81, 10, "half">>}, wait, close],
				#{retry => 3, retry_timeout => 10}, fun(Mod, ConnPid, Go) ->
			Ref = Mod:ws_upgrade(ConnPid, "/"),
			_ = until(gun_upgrade),
			Go(),
			_ = until(gun_up),
			rest(),
			[Ref]
		end}},
		{"fragments", {[upgrade, {send, [lying_server:frame(0, 0, 1, undefined, "one, "),
				frame(ping, "in between"), lying_server:frame(0, 0, 0, undefined, "two, "),
				lying_server:frame(1, 0, 0, undefined, "three")]}], #{}, fun(Mod, ConnPid, _) ->
			Ref = Mod:ws_upgrade(ConnPid, "/"),
			_ = until(gun_ws),
			rest(),
			[Ref]
		end}},
		{"nobody listens", {nobody, #{retry => 1, retry_timeout => 10}, fun(_, _, _) ->
			{'DOWN', _, process, _, {shutdown, econnrefused}} = until('DOWN'),
			rest(),
			[]
		end}}
	].

%% doc/dialects.md and doc/differences.md say why.
do_different_scripts(_) ->
	Up = {gun_up, conn_pid, http},
	UpgradeHeaders = [{<<"connection">>, <<"Upgrade">>}, {<<"upgrade">>, <<"websocket">>},
		{<<"sec-websocket-accept">>, accept}],
	Upgrade = {gun_upgrade, conn_pid, {stream, 1}, [<<"websocket">>], UpgradeHeaders},
	Upgraded = fun(Mod, ConnPid) ->
		_ = until(gun_up),
		Ref = Mod:ws_upgrade(ConnPid, "/"),
		_ = until(gun_upgrade),
		Ref
	end,
	Retry = #{retry => 3, retry_timeout => 10},
	[
		{"the server's answer to our close frame is delivered", {
				[upgrade, frame, {send, frame(close, <<1000:16>>)}, close], Retry, fun(Mod, ConnPid, _) ->
			Ref = Upgraded(Mod, ConnPid),
			ok = Mod:ws_send(ConnPid, {close, 1000, <<"bye">>}),
			_ = until(gun_up),
			rest(),
			[Ref]
		end},
			[Up, Upgrade, {gun_down, conn_pid, ws, normal, [], []}, Up],
			[Up, Upgrade, {gun_ws, conn_pid, {stream, 1}, {close, 1000, <<>>}},
				{gun_down, conn_pid, ws, normal, [], []}, Up]},
		{"a server's fault is told", {
				[upgrade, wait, {send, lying_server:frame(1, 0, 3, undefined, "")}, frame, close], Retry,
				fun(Mod, ConnPid, Go) ->
			Ref = Upgraded(Mod, ConnPid),
			Go(),
			_ = until(gun_up),
			rest(),
			[Ref]
		end},
			[Up, Upgrade, {gun_down, conn_pid, ws, normal, [], []}, Up],
			[Up, Upgrade, {gun_error, conn_pid, {stream, 1}, {ws_protocol, {opcode, 3}}},
				{gun_down, conn_pid, ws, {error, {ws_protocol, {opcode, 3}}}, [], []}, Up]},
		{"a wrong answer to the upgrade is told", {[request, {send, "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\n"
				"upgrade: websocket\r\nsec-websocket-accept: no\r\n\r\n"}, frames], Retry, fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/"),
			_ = until(gun_up),
			rest(),
			[Ref]
		end},
			[Up, {gun_down, conn_pid, http, normal, [{stream, 1}], []}, Up],
			[Up, {gun_error, conn_pid, {stream, 1}, {ws_handshake, wrong_accept}},
				{gun_down, conn_pid, http, {error, {ws_handshake, wrong_accept}}, [{stream, 1}], []}, Up]},
		{"a request on a WebSocket is refused for its state, not for its owner", {[upgrade], #{}, fun(Mod, ConnPid, _) ->
			Ref = Upgraded(Mod, ConnPid),
			_ = Mod:get(ConnPid, "/"),
			_ = until(gun_error),
			rest(),
			[Ref]
		end},
			[Up, Upgrade, {gun_error, conn_pid, {notowner, "Operations are restricted to the owner of the connection."}}],
			[Up, Upgrade, {gun_error, conn_pid, {badstate, text}}]},
		{"an upgrade over HTTP/1.0 is refused, as gun's guide has it", {cowboy, #{http_opts => #{version => 'HTTP/1.0'}},
				fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/websocket"),
			_ = [until(gun_error) || Mod =:= gun_rs],
			rest(),
			[Ref]
		end},
			[Up],
			[Up, {gun_error, conn_pid, {stream, 1}, {badstate, text}}]},
		{"a subprotocol that the headers alone ask for is taken, as gun's guide has it", {[{answer, fun(Key) ->
				lying_server:response(Key, [{"sec-websocket-protocol", "mychat"}]) end}, frames], Retry,
				fun(Mod, ConnPid, _) ->
			_ = until(gun_up),
			Ref = Mod:ws_upgrade(ConnPid, "/", [{<<"sec-websocket-protocol">>, "mychat"}]),
			_ = until(case Mod of gun -> gun_up; gun_rs -> gun_upgrade end),
			rest(),
			[Ref]
		end},
			[Up, {gun_down, conn_pid, http, normal, [{stream, 1}], []}, Up],
			[Up, {gun_upgrade, conn_pid, {stream, 1}, [<<"websocket">>],
				UpgradeHeaders ++ [{<<"sec-websocket-protocol">>, <<"mychat">>}]}]}
	].

%% In each dialect.

-define(DIALECTS, [gun_2, gun_1, gun_1_pre, gun_0]).

await(Config) ->
	doc("await_up and await understand the messages of each dialect."),
	_ = [begin
		{ok, ConnPid} = gun_rs:open("localhost", config(port, Config), #{dialect => Dialect}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		Refused = gun_rs:ws_upgrade(ConnPid, "/refuse"),
		{response, nofin, 403, [_|_]} = gun_rs:await(ConnPid, Refused, ?WAIT),
		{ok, <<"Members only.">>} = gun_rs:await_body(ConnPid, Refused, ?WAIT),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
		{upgrade, [<<"websocket">>], Headers} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		%% This message has none.
		true = (Headers =:= []) =:= (Dialect =:= gun_0),
		ok = gun_rs:ws_send(ConnPid, {text, "Hello!"}),
		{ws, {text, <<"Hello!">>}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		_ = gun_rs:get(ConnPid, "/"),
		{error, Failure} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		{badstate, [_|_]} = do_reason(Dialect, connection_error, Failure),
		MRef = watch(ConnPid),
		ok = gun_rs:close(ConnPid),
		{error, Down} = gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef),
		shutdown = do_reason(Dialect, down, Down),
		{messages, []} = process_info(self(), messages)
	end || Dialect <- ?DIALECTS],
	ok.

%% Gun 1 does not say what the reason is of.
do_reason(gun_2, What, {What, Reason}) -> Reason;
do_reason(Dialect, _, Reason) when Dialect =/= gun_2 -> Reason.

flush(_) ->
	doc("flush/1 of a ConnPid removes the messages of each dialect."),
	_ = [begin
		{Server, Port} = lying_server:start([
			request, {send, lying_server:ok("Hello!")},
			request, {send, "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"},
			upgrade, {send, frame(text, "news")}, wait, close
		]),
		{ok, ConnPid} = gun_rs:open("localhost", Port, #{dialect => Dialect, retry => 0}),
		MRef = watch(ConnPid),
		_ = gun_rs:get(ConnPid, "/"),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		true = gun_rs_test:eventually(fun() -> do_mailbox_has(gun_ws) end),
		lying_server:go(Server),
		true = gun_rs_test:eventually(fun() -> do_mailbox_has('DOWN') end),
		true = do_mailbox_has(gun_down),
		true = do_mailbox_has(gun_up),
		true = do_mailbox_has(gun_data),
		true = do_mailbox_has(case Dialect of gun_2 -> gun_upgrade; gun_1 -> gun_upgrade; _ -> gun_ws_upgrade end),
		ok = gun_rs:flush(ConnPid),
		lying_server:stop(Server),
		_ = (fun Flush() -> receive {lying_server, Server, _} -> Flush() after 0 -> ok end end)(),
		{messages, []} = process_info(self(), messages),
		true = demonitor(MRef)
	end || Dialect <- ?DIALECTS],
	ok.

do_mailbox_has(Tag) ->
	%% A process sees its own mailbox as it was when it last looked for a message.
	receive {?MODULE, never} -> ok after 0 -> ok end,
	{messages, Messages} = process_info(self(), messages),
	lists:keymember(Tag, 1, Messages).

down(_) ->
	doc("gun_down has gun_2's shape, or that of before, and so have the errors of the streams that end with it."),
	_ = [begin
		%% An idle connection, one with requests, and a WebSocket.
		{Server, Port} = lying_server:start([wait, close]),
		Idle = do_open(Port, #{dialect => Dialect, retry => 0}),
		?EXPECT({lying_server, Server, accepted}),
		lying_server:go(Server),
		do_expect_down(Dialect, Idle, http, closed, []),
		lying_server:stop(Server),
		{Server2, Port2} = lying_server:start([request, close]),
		Busy = do_open(Port2, #{dialect => Dialect, retry => 0}),
		StreamRef = gun_rs:get(Busy, "/"),
		Reason = ?EXPECT({gun_error, Busy, StreamRef, R}, R),
		case Dialect of
			gun_2 -> closed = Reason;
			_ -> {closed, [_|_]} = Reason
		end,
		do_expect_down(Dialect, Busy, http, closed, [StreamRef]),
		lying_server:stop(Server2),
		{Server3, Port3} = lying_server:start([upgrade, wait, close]),
		Ws = do_open(Port3, #{dialect => Dialect, retry => 0}),
		WsRef = gun_rs:ws_upgrade(Ws, "/"),
		{upgrade, _, _} = gun_rs:await(Ws, WsRef, ?WAIT),
		lying_server:go(Server3),
		do_expect_down(Dialect, Ws, ws, closed, case Dialect of gun_2 -> [WsRef]; _ -> [] end),
		lying_server:stop(Server3)
	end || Dialect <- ?DIALECTS],
	ok.

do_expect_down(gun_2, ConnPid, Protocol, Reason, Killed) ->
	?EXPECT({gun_down, ConnPid, Protocol, Reason, Killed}),
	?REFUTE({gun_down, _, _, _, _, _});
do_expect_down(_, ConnPid, Protocol, Reason, Killed) ->
	?EXPECT({gun_down, ConnPid, Protocol, Reason, Killed, []}),
	?REFUTE({gun_down, _, _, _, _}).

failures(_) ->
	doc("What await, await_body and await_up return of a failure stands alone in the older dialects, as in gun 1."),
	{Socket, Closed} = gun_rs_test:refused_port(),
	_ = [begin
		Opts = #{dialect => Dialect, retry => 0},
		{ok, Refused} = gun_rs:open("127.0.0.1", Closed, Opts),
		MRef = monitor(process, Refused),
		{error, Down} = gun_rs:await_up(Refused, ?WAIT),
		{shutdown, econnrefused} = do_reason(Dialect, down, Down),
		?EXPECT({'DOWN', MRef, process, Refused, _}),
		%% It is gone.
		{error, Down} = gun_rs:await_up(Refused, ?WAIT),
		{error, Down} = gun_rs:await(Refused, make_ref()),
		{error, Down} = gun_rs:await_body(Refused, make_ref()),
		{Server, Port} = lying_server:start([request, close]),
		Busy = do_open(Port, Opts),
		StreamRef = gun_rs:get(Busy, "/"),
		Reason = ?EXPECT({gun_error, Busy, StreamRef, R}, begin self() ! {gun_error, Busy, StreamRef, R}, R end),
		{error, Failure} = gun_rs:await(Busy, StreamRef, ?WAIT),
		Reason = do_reason(Dialect, stream_error, Failure),
		self() ! {gun_error, Busy, StreamRef, Reason},
		{error, Failure} = gun_rs:await_body(Busy, StreamRef, ?WAIT),
		do_expect_down(Dialect, Busy, http, closed, [StreamRef]),
		lying_server:stop(Server),
		{error, timeout} = gun_rs:await(Busy, make_ref(), 0, make_ref()),
		%% However it ends, it is known.
		_ = [begin
			{Server2, Port2} = lying_server:start([wait]),
			Idle = do_open(Port2, Opts#{supervise => Supervise}),
			MRef2 = monitor(process, Idle),
			true = unlink(Idle),
			true = exit(Idle, Kill),
			{error, Down2} = gun_rs:await(Idle, make_ref(), ?WAIT, MRef2),
			Seen = do_reason(Dialect, down, Down2),
			lying_server:stop(Server2)
		end || {Supervise, Kill, Seen} <- [{true, kill, killed}, {false, kill, killed}, {false, shutdown, shutdown}]]
	end || Dialect <- ?DIALECTS],
	gun_rs_test:release_port(Socket).

refused_with_a_body(Config) ->
	doc("A refusal is a gun_response, in gun_0 a gun_ws_upgrade; the body follows; a request's answer is gun_response."),
	_ = [begin
		ConnPid = do_open(config(port, Config), #{dialect => Dialect}),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/refuse"),
		Headers = case Dialect of
			gun_0 -> ?EXPECT({gun_ws_upgrade, ConnPid, error, nofin, 403, H}, H);
			_ -> ?EXPECT({gun_response, ConnPid, StreamRef, nofin, 403, H}, H)
		end,
		{_, <<"text/plain">>} = lists:keyfind(<<"content-type">>, 1, Headers),
		?EXPECT({gun_data, ConnPid, StreamRef, fin, <<"Members only.">>}),
		StreamRef2 = gun_rs:get(ConnPid, "/status?code=404"),
		?EXPECT({gun_response, ConnPid, StreamRef2, fin, 404, _}),
		ok = gun_rs:close(ConnPid)
	end || Dialect <- ?DIALECTS],
	ok.

bodies_that_headers_announce(Config) ->
	doc("To gun 1 an empty binary is no body yet, where the headers speak of one: the body follows. To gun 2 it is all of it."),
	Headers = [{<<"content-type">>, <<"text/plain">>}],
	_ = [begin
		ConnPid = do_open(config(port, Config), #{dialect => Dialect}),
		StreamRef = gun_rs:request(ConnPid, <<"POST">>, "/echo", Headers, <<>>),
		ok = gun_rs:data(ConnPid, StreamRef, nofin, "Hello, "),
		ok = gun_rs:data(ConnPid, StreamRef, fin, "world!"),
		{200, _, <<"Hello, world!">>} = answer(ConnPid, StreamRef),
		{200, _, <<>>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", Headers, [])),
		{200, _, <<>>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [{<<"content-length">>, <<"0">>}], <<>>)),
		ok = gun_rs:close(ConnPid)
	end || Dialect <- [gun_1, gun_1_pre, gun_0]],
	ConnPid = do_open(config(port, Config), #{}),
	{200, _, <<>>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", Headers, <<>>)),
	ok = gun_rs:close(ConnPid).

reply_to(Config) ->
	doc("A reply_to of any form gets the messages of the dialect."),
	Self = self(),
	_ = [begin
		ConnPid = do_open(config(port, Config), #{dialect => Dialect}),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{reply_to => fun(Msg) -> Self ! {told, Msg} end}),
		case {Dialect, ?EXPECT({told, Told}, Told)} of
			{gun_0, {gun_ws_upgrade, ConnPid, ok}} -> ok;
			{gun_1_pre, {gun_ws_upgrade, ConnPid, ok, [_|_]}} -> ok;
			{_, {gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], [_|_]}} -> ok
		end,
		ok = gun_rs:ws_send(ConnPid, {text, "Hello!"}),
		case {Dialect, ?EXPECT({told, Told}, Told)} of
			{Old, {gun_ws, ConnPid, {text, <<"Hello!">>}}} when Old =:= gun_0; Old =:= gun_1_pre -> ok;
			{_, {gun_ws, ConnPid, StreamRef, {text, <<"Hello!">>}}} -> ok
		end,
		ok = gun_rs:close(ConnPid)
	end || Dialect <- ?DIALECTS],
	ok.

keepalive(_) ->
	doc("The older dialects send a ping, or on HTTP an empty line, every 5 seconds without being asked; gun_2 none."),
	{Ws, WsPort} = lying_server:start([upgrade, frames]),
	{Http, HttpPort} = lying_server:start([{read, 2}]),
	Began = erlang:monotonic_time(millisecond),
	Old = [gun_1, gun_1_pre, gun_0],
	Conns = [begin
		WsConn = do_open(WsPort, #{dialect => Dialect}),
		{upgrade, _, _} = gun_rs:await(WsConn, gun_rs:ws_upgrade(WsConn, "/"), ?WAIT),
		[WsConn, do_open(HttpPort, #{dialect => Dialect})]
	end || Dialect <- [gun_2|Old]],
	_ = [?EXPECT({lying_server, Ws, {frame, ping, <<>>}}) || _ <- Old],
	_ = [?EXPECT({lying_server, Http, {read, <<"\r\n">>}}) || _ <- Old],
	true = erlang:monotonic_time(millisecond) - Began >= 5000,
	%% The connections of gun_2 are as old as the others.
	?REFUTE({lying_server, Http, {read, _}}),
	_ = [ok = gun_rs:close(ConnPid) || ConnPid <- lists:append(Conns)],
	lying_server:stop(Ws),
	lying_server:stop(Http).

keepalive_defaults(_) ->
	doc("That is a default, in ws_opts and http_opts: what the program says itself comes before it."),
	Keepalive = fun(Opts) ->
		{ok, #{ws_opts := #{keepalive := Ws}, http_opts := #{keepalive := Http}}} =
			gun_rs_options:open("localhost", 80, Opts),
		{Ws, Http}
	end,
	{infinity, infinity} = Keepalive(#{}),
	{infinity, infinity} = Keepalive(#{dialect => gun_2}),
	_ = [begin
		{5000, 5000} = Keepalive(#{dialect => Dialect}),
		{50, 5000} = Keepalive(#{dialect => Dialect, ws_opts => #{keepalive => 50}}),
		{5000, infinity} = Keepalive(#{dialect => Dialect, http_opts => #{keepalive => infinity}}),
		{5000, 5000} = Keepalive(#{dialect => Dialect, ws_opts => #{compress => true}, http_opts => #{}}),
		{Server, Port} = lying_server:start([upgrade, frames]),
		ConnPid = do_open(Port, #{dialect => Dialect, ws_opts => #{keepalive => 50}}),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		_ = [?EXPECT({lying_server, Server, {frame, ping, <<>>}}) || _ <- [1, 2, 3]],
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Dialect <- [gun_1, gun_1_pre, gun_0]],
	ok.

environment(Config) ->
	doc("The environment's dialect is for connections that name none; one that is none is refused by open."),
	try
		_ = [begin
			ok = application:set_env(gun_rs, dialect, Env),
			ConnPid = do_open(config(port, Config), Opts),
			_ = gun_rs:ws_upgrade(ConnPid, "/websocket"),
			case Dialect of
				gun_0 -> ?EXPECT({gun_ws_upgrade, ConnPid, ok});
				gun_1_pre -> ?EXPECT({gun_ws_upgrade, ConnPid, ok, _});
				gun_2 -> ?EXPECT({gun_upgrade, ConnPid, _, _, _})
			end,
			%% A change is for the connections after it.
			ok = application:set_env(gun_rs, dialect, gun_2),
			ok = gun_rs:ws_send(ConnPid, {text, "Hello!"}),
			case Dialect of
				gun_2 -> ?EXPECT({gun_ws, ConnPid, _, {text, <<"Hello!">>}});
				_ -> ?EXPECT({gun_ws, ConnPid, {text, <<"Hello!">>}})
			end,
			ok = gun_rs:close(ConnPid)
		end || {Env, Opts, Dialect} <- [
			{gun_0, #{}, gun_0}, {gun_1_pre, #{}, gun_1_pre}, {gun_0, #{dialect => gun_2}, gun_2},
			{gun_2, #{dialect => gun_0}, gun_0}
		]],
		ok = application:set_env(gun_rs, dialect, gun_3),
		{error, {options, {dialect, gun_3}}} = gun_rs:open("localhost", config(port, Config)),
		{error, {options, {dialect, gun_4}}} = gun_rs:open("localhost", config(port, Config), #{dialect => gun_4})
	after
		application:unset_env(gun_rs, dialect)
	end,
	ok.

repeated_upgrade(_) ->
	doc("What came after them is there in the older dialects too: an upgrade that is repeated is told in their words."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, wait, close]),
		ConnPid = do_open(Port, #{dialect => Dialect, retry_timeout => 10, ws_opts => #{reupgrade => true}}),
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
		Expect = fun() ->
			case Dialect of
				gun_0 -> ?EXPECT({gun_ws_upgrade, ConnPid, ok});
				gun_1_pre -> ?EXPECT({gun_ws_upgrade, ConnPid, ok, _});
				_ -> ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _})
			end
		end,
		Expect(),
		_ = [begin
			lying_server:go(Server),
			case Dialect of
				gun_2 -> ?EXPECT({gun_down, ConnPid, ws, closed, [StreamRef]});
				_ -> ?EXPECT({gun_down, ConnPid, ws, closed, [], []})
			end,
			?EXPECT({gun_up, ConnPid, http}),
			Expect()
		end || _ <- [1, 2]],
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Dialect <- ?DIALECTS],
	ok.

servers_close(_) ->
	doc("In the oldest dialects the server's close, unlike the user's, is followed by a reconnect."),
	_ = [begin
		{Server, Port} = lying_server:start([upgrade, {send, frame(close, <<1000:16>>)}, frame, wait]),
		ConnPid = do_open(Port, #{dialect => Dialect}),
		_ = gun_rs:ws_upgrade(ConnPid, "/"),
		?EXPECT({gun_ws, ConnPid, {close, 1000, <<>>}}),
		?EXPECT({gun_down, ConnPid, ws, normal, [], []}),
		?EXPECT({gun_up, ConnPid, http}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || Dialect <- [gun_1_pre, gun_0]],
	ok.

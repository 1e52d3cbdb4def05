%% Cowboy's WebSocket handlers, of both dialects, on our listeners: every callback, every return, every end.
-module(gun_rs_handlers_served_SUITE).

-define(NEEDS, [gun_rs, crypto]).
-include("gun_rs_suite.hrl").

-define(TIMEOUT, 60000).

groups() ->
	Of = fun(Except) ->
		[Case || Case <- gun_rs_suite:cases(?MODULE),
			not lists:any(fun(Prefix) -> lists:prefix(Prefix, atom_to_list(Case)) end, Except)]
	end,
	[{cowboy_1, [], Of(["two_"])}, {cowboy_2, [], Of(["one_"])}].

init_per_group(Dialect, Config) ->
	[{dialect, Dialect}|Config].

end_per_group(_, _) ->
	ok.

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	ok.

%% Starts a listener whose handler does what Opts say.
do_start(Opts, Config) ->
	do_start(Opts, #{}, Config).

do_start(Opts0, Proto, Config) ->
	{Ref, Dialect} = {config('case', Config), config(dialect, Config)},
	Opts = Opts0#{test => self()},
	{ok, _} = case Dialect of
		cowboy_1 ->
			Dispatch = gun_rs_router:compile([{'_', [{"/ws/[...]", served_1_h, Opts}]}]),
			Options = [{env, [{dispatch, Dispatch}]}|maps:to_list(Proto)],
			gun_rs_server:start_http(Ref, 10, [{port, 0}], Options);
		cowboy_2 ->
			Dispatch = gun_rs_router:compile([{'_', [{"/ws/[...]", served_2_h, Opts}]}]),
			gun_rs_server:start_clear(Ref, [{port, 0}], Proto#{env => #{dispatch => Dispatch}})
	end,
	gun_rs_server:get_port(Ref).

%% What a callback of either dialect returns, from what it is in that of Cowboy 2.
do_handle(Fun, Config) ->
	case config(dialect, Config) of
		cowboy_1 -> fun(Frame, Req, Opts) -> do_result(Fun(Frame), Req, Opts) end;
		cowboy_2 -> fun(Frame, Opts) -> do_result(Fun(Frame), Opts) end
	end.

do_result(ok, Req, Opts) -> {ok, Req, Opts};
do_result(hibernate, Req, Opts) -> {ok, Req, Opts, hibernate};
do_result(stop, Req, Opts) -> {shutdown, Req, Opts};
do_result({state, State}, Req, Opts) -> {ok, Req, Opts#{state => State}};
do_result({return, Return}, _, _) -> Return;
do_result({reply, Frames}, Req, Opts) -> {reply, Frames, Req, Opts}.

do_result(ok, Opts) -> {ok, Opts};
do_result(hibernate, Opts) -> {ok, Opts, hibernate};
do_result(stop, Opts) -> {stop, Opts};
do_result({state, State}, Opts) -> {ok, Opts#{state => State}};
do_result({return, Return}, _) -> Return;
do_result({reply, Frames}, Opts) -> {reply, Frames, Opts}.

do_reason(Config, One, Two) ->
	case config(dialect, Config) of
		cowboy_1 -> One;
		cowboy_2 -> Two
	end.

do_terminated() ->
	receive {terminate, Pid, Reason, Opts, _} -> {Pid, Reason, maps:get(state, Opts, none)}
	after ?TIMEOUT -> error(no_terminate) end.

do_open(Port) ->
	{Socket, _} = raw_ws:upgrade(Port, "/ws/"),
	receive {websocket_init, Pid, _} -> {Socket, Pid} after ?TIMEOUT -> error(no_websocket_init) end.

do_ends_by(Reason, Config) ->
	{_, Reason, _} = do_terminated(),
	eventually(fun() -> gun_rs_server:connections(config('case', Config)) =:= [] end).

%% Frames.

echo(Config) ->
	doc("Frames come and go as they are, of every size; a ping is answered before the handler has it."),
	Port = do_start(#{}, Config),
	{Socket, _} = do_open(Port),
	[begin
		Payload = binary:copy(<<"a">>, Size),
		ok = raw_ws:send(Socket, Kind, Payload),
		{Size, {Kind, Payload}} = {Size, raw_ws:recv(Socket)}
	end || Size <- [0, 1, 125, 126, 65535, 65536, 300000], Kind <- [text, binary]],
	ok = raw_ws:send(Socket, close, <<1000:16>>),
	{close, 1000, <<>>} = raw_ws:recv(Socket),
	closed = raw_ws:recv(Socket),
	do_ends_by({remote, 1000, <<>>}, Config).

control_frames_in(Config) ->
	doc("A ping is answered, and comes to the handler; an empty one as each dialect has it."),
	Test = self(),
	Handle = do_handle(fun(Frame) -> Test ! {frame, Frame}, ok end, Config),
	{Socket, _} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, ping, <<"x">>),
	{pong, <<"x">>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, ping, <<>>),
	{pong, <<>>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, pong, <<>>),
	ok = raw_ws:send(Socket, pong, <<"y">>),
	{EmptyPing, EmptyPong} = do_reason(Config, {{ping, <<>>}, {pong, <<>>}}, {ping, pong}),
	[receive {frame, Frame} -> ok after ?TIMEOUT -> error({missing, Frame}) end
		|| Frame <- [{ping, <<"x">>}, EmptyPing, EmptyPong, {pong, <<"y">>}]].

fragments_in(Config) ->
	doc("Fragments are joined; a control frame between them is handled when it comes."),
	{Socket, _} = do_open(do_start(#{}, Config)),
	ok = gen_tcp:send(Socket, [raw_ws:frame(2#0000, text, <<"one ">>), raw_ws:frame(ping, <<"p">>),
		raw_ws:frame(2#1000, continuation, <<"two">>)]),
	{pong, <<"p">>} = raw_ws:recv(Socket),
	{ping, <<"p">>} = raw_ws:recv(Socket),
	{text, <<"one two">>} = raw_ws:recv(Socket).

frame_behind_the_request(Config) ->
	doc("A frame in the same packet as the request is handled."),
	Port = do_start(#{}, Config),
	Socket = raw_ws:connect(Port),
	ok = gen_tcp:send(Socket, [raw_ws:upgrade_request("/ws/", []), raw_ws:frame(text, <<"early">>)]),
	{{101, _, _}, Rest} = raw_ws:response(Socket),
	Expected = <<16#81, 5, "early">>,
	Expected = do_at_least(Socket, Rest, byte_size(Expected)).

do_at_least(_, Data, N) when byte_size(Data) >= N -> Data;
do_at_least(Socket, Data, N) ->
	{ok, More} = gen_tcp:recv(Socket, 0, ?TIMEOUT),
	do_at_least(Socket, <<Data/binary, More/binary>>, N).

frames_out(Config) ->
	doc("Frames leave in the order of the list, in every shape that they may have."),
	Frames = [{text, [<<"a">>, "b"]}, {binary, <<1>>}, ping, pong, {ping, "p"}, {pong, <<"q">>}, {text, <<>>}],
	Handle = do_handle(fun(_) -> {reply, Frames} end, Config),
	{Socket, _} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, text, <<"go">>),
	[{text, <<"ab">>}, {binary, <<1>>}, {ping, <<>>}, {pong, <<>>}, {ping, <<"p">>}, {pong, <<"q">>}, {text, <<>>}]
		= [raw_ws:recv(Socket) || _ <- Frames].

no_frames_out(Config) ->
	doc("An empty list sends nothing."),
	Handle = do_handle(fun({text, <<"none">>}) -> {reply, []}; (Frame) -> {reply, Frame} end, Config),
	{Socket, _} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, text, <<"none">>),
	ok = raw_ws:send(Socket, text, <<"one">>),
	{text, <<"one">>} = raw_ws:recv(Socket).

info(Config) ->
	doc("Whatever reaches the mailbox goes to websocket_info, in order, whatever it looks like."),
	Test = self(),
	Info = do_handle(fun(Message) -> Test ! {info, Message}, ok end, Config),
	{_, Pid} = do_open(do_start(#{info => Info}, Config)),
	Messages = [1, hello, {tcp, a, b}, {gun_ws, 1, 2, 3}, {timeout, make_ref(), cowboy_websocket},
		{'DOWN', make_ref(), process, self(), normal}, {'EXIT', self(), shutdown}, {'$gen_call', {self(), make_ref()}, x}],
	_ = [Pid ! Message || Message <- Messages],
	Messages = [receive {info, Message} -> Message after ?TIMEOUT -> timeout end || _ <- Messages].

info_replies(Config) ->
	doc("websocket_info may send."),
	Info = do_handle(fun(Message) -> {reply, {text, Message}} end, Config),
	{Socket, Pid} = do_open(do_start(#{info => Info}, Config)),
	Pid ! <<"from outside">>,
	{text, <<"from outside">>} = raw_ws:recv(Socket).

state_and_hibernate(Config) ->
	doc("The state goes from call to call, also past a hibernation."),
	Handle = do_handle(fun({text, <<"sleep">>}) -> hibernate; ({text, State}) -> {state, State} end, Config),
	{Socket, Pid} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, text, <<"one">>),
	ok = raw_ws:send(Socket, text, <<"sleep">>),
	eventually(fun() -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}} end),
	ok = raw_ws:send(Socket, close, <<>>),
	{Pid, _, <<"one">>} = do_terminated().

sleeps_when_idle(Config) ->
	doc("A process that has nothing to do hibernates by itself, and wakes up."),
	{Socket, Pid} = do_open(do_start(#{}, #{websocket => #{hibernate_after => 10}}, Config)),
	eventually(fun() -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}} end),
	ok = raw_ws:send(Socket, text, <<"still there">>),
	{text, <<"still there">>} = raw_ws:recv(Socket).

one_process(Config) ->
	doc("All callbacks of a connection run in one process, which traps no exits."),
	Test = self(),
	Handle = do_handle(fun(_) -> Test ! {handle, self(), process_info(self(), trap_exit)}, ok end, Config),
	{Socket, Pid} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, text, <<>>),
	receive {handle, Pid, {trap_exit, false}} -> ok after ?TIMEOUT -> error(no_handle) end,
	ok = gen_tcp:close(Socket),
	{Pid, _, _} = do_terminated().

%% Ends of ours.

stop(Config) ->
	doc("shutdown and stop close by 1000, without text and without waiting for an answer."),
	Handle = do_handle(fun(_) -> stop end, Config),
	{Socket, _} = do_open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, text, <<"stop">>),
	{close, 1000, <<>>} = raw_ws:recv(Socket),
	closed = raw_ws:recv(Socket),
	do_ends_by(do_reason(Config, {normal, shutdown}, stop), Config).

close_frames_out(Config) ->
	doc("Every shape of a close frame, and nothing behind it."),
	Handle = do_handle(fun({binary, Which}) -> {reply, [binary_to_term(Which), {text, <<"never">>}]} end, Config),
	Port = do_start(#{handle => Handle}, Config),
	[begin
		{Socket, _} = do_open(Port),
		ok = raw_ws:send(Socket, binary, term_to_binary(Frame)),
		{Frame, [Seen, closed]} = {Frame, raw_ws:rest(Socket)},
		{_, Reason, _} = do_terminated(),
		Reason = do_reason(Config, {normal, shutdown}, stop)
	end || {Frame, Seen} <- [{close, close}, {{close, <<"bye">>}, {close, 1000, <<"bye">>}},
		{{close, 4321, "text"}, {close, 4321, <<"text">>}}]].

%% Ends of the client's.

client_closes(Config) ->
	doc("The client's code is echoed without its text, an empty close with an empty one; then TCP closes."),
	Port = do_start(#{}, Config),
	[begin
		{Socket, _} = do_open(Port),
		ok = gen_tcp:send(Socket, [raw_ws:frame(close, Payload), raw_ws:frame(text, <<"too late">>)]),
		{Payload, [Answer, closed]} = {Payload, raw_ws:rest(Socket)},
		{_, Reason, _} = do_terminated()
	end || {Payload, Answer, Reason} <- [
		{<<>>, close, do_reason(Config, {remote, closed}, remote)},
		{<<1000:16>>, {close, 1000, <<>>}, {remote, 1000, <<>>}},
		{<<4999:16, "text">>, {close, 4999, <<>>}, {remote, 4999, <<"text">>}}]].

client_is_gone(Config) ->
	doc("TCP ends without a close frame, by its end or by a reset."),
	Port = do_start(#{}, Config),
	{One, _} = do_open(Port),
	ok = gen_tcp:close(One),
	do_ends_by({error, closed}, Config),
	{Other, _} = do_open(Port),
	ok = inet:setopts(Other, [{linger, {true, 0}}]),
	ok = gen_tcp:close(Other),
	do_ends_by({error, closed}, Config).

bad_frames(Config) ->
	doc("What breaks the protocol is answered by the close code for it, and has its reason."),
	Port = do_start(#{}, #{websocket => #{max_frame_size => 1000, max_message_size => 1500}}, Config),
	Unmasked = <<16#81, 1, "a">>,
	[begin
		{Socket, _} = do_open(Port),
		ok = gen_tcp:send(Socket, Bytes),
		{What, {close, Code, _}} = {What, raw_ws:recv(Socket)},
		{What, {_, {error, Reason}, _}} = {What, do_terminated()},
		ok = gen_tcp:close(Socket)
	end || {What, Bytes, Code, Reason} <- [
		{unmasked, Unmasked, 1002, badframe},
		{reserved_bit, raw_ws:frame(2#1010, text, <<>>), 1002, badframe},
		{reserved_opcode, raw_ws:frame(3, <<>>), 1002, badframe},
		{compressed, raw_ws:frame(2#1100, text, <<"a">>), 1002, badframe},
		{continuation, raw_ws:frame(continuation, <<>>), 1002, badframe},
		{new_message, [raw_ws:frame(2#0000, text, <<>>), raw_ws:frame(text, <<>>)], 1002, badframe},
		{fragmented_ping, raw_ws:frame(2#0000, ping, <<>>), 1002, badframe},
		{long_ping, raw_ws:frame(ping, binary:copy(<<"a">>, 126)), 1002, badframe},
		{close_of_a_byte, raw_ws:frame(close, <<1>>), 1002, badframe},
		{close_code, raw_ws:frame(close, <<1005:16>>), 1002, badframe},
		{close_text, raw_ws:frame(close, <<1000:16, 16#ff>>), 1007, badencoding},
		{text, raw_ws:frame(text, <<16#ff>>), 1007, badencoding},
		{frame_size, raw_ws:frame(binary, binary:copy(<<"a">>, 1001)), 1009, badsize},
		{message_size, [raw_ws:frame(2#0000, binary, binary:copy(<<"a">>, 900)),
			raw_ws:frame(continuation, binary:copy(<<"a">>, 900))], 1009, badsize}]].

%% Crashes.

crash(Config) ->
	doc("A crash closes with 1011; terminate has the state from before the call; the process ends by it."),
	Handle = do_handle(fun
		({text, <<"state">>}) -> {state, before};
		({text, <<"error">>}) -> error(oops);
		({text, <<"exit">>}) -> exit(oops);
		({text, <<"throw">>}) -> throw(oops);
		({text, <<"normal">>}) -> exit(normal)
	end, Config),
	Port = do_start(#{handle => Handle}, Config),
	[begin
		{Socket, Pid} = do_open(Port),
		Monitor = gun_rs_test:watch(Pid),
		ok = raw_ws:send(Socket, text, <<"state">>),
		ok = raw_ws:send(Socket, text, Which),
		{Which, {close, 1011, <<>>}} = {Which, raw_ws:recv(Socket)},
		Expected = do_reason(Config, {error, handler}, {crash, Class, Reason}),
		{Pid, Expected, before} = do_terminated(),
		receive {'DOWN', Monitor, process, Pid, Down} -> do_check_down(config(dialect, Config), Class, Reason, Down)
		after ?TIMEOUT -> error(still_there) end
	end || {Which, Class, Reason} <- [{<<"error">>, error, oops}, {<<"exit">>, exit, oops}, {<<"throw">>, throw, oops},
		{<<"normal">>, exit, normal}]].

do_check_down(cowboy_1, _, Reason, Down) ->
	[{reason, Reason}, {mfa, {served_1_h, websocket_handle, 3}}, {stacktrace, [_|_]}, {msg, {text, _}}, {req, [_|_]},
		{state, #{state := before}}] = Down;
do_check_down(cowboy_2, exit, Reason, Down) -> Reason = Down;
do_check_down(cowboy_2, error, Reason, {Down, [_|_]}) -> Reason = Down;
do_check_down(cowboy_2, throw, Reason, {{nocatch, Down}, [_|_]}) -> Reason = Down.

bad_returns(Config) ->
	doc("A return that is none, and a frame that is none, are a crash of the callback: with its 1011, and its state."),
	Handle = do_handle(fun({binary, Which}) -> case binary_to_term(Which) of
		state -> {state, before};
		{frames, Frames} -> {reply, Frames};
		Return -> {return, Return}
	end end, Config),
	Port = do_start(#{handle => Handle}, Config),
	[begin
		{Socket, Pid} = do_open(Port),
		ok = raw_ws:send(Socket, binary, term_to_binary(state)),
		ok = raw_ws:send(Socket, binary, term_to_binary(What)),
		{What, {close, 1011, <<>>}} = {What, raw_ws:recv(Socket)},
		case {config(dialect, Config), do_terminated()} of
			{cowboy_1, {Pid, {error, handler}, before}} -> ok;
			{cowboy_2, {Pid, {crash, error, _}, before}} -> ok
		end
	end || What <- [nothing, {ok}, {frames, {tekst, <<>>}}, {frames, [{text, not_iodata}]}, {frames, nothing},
		{frames, {ping, binary:copy(<<"a">>, 126)}}, {frames, {close, 999, <<>>}}, {frames, {close, 1005, <<>>}},
		{frames, [{text, <<>>}|tail]}]].

killed(Config) ->
	doc("A process that dies by a signal leaves a close frame: 1001 for a shutdown, else 1011."),
	Port = do_start(#{}, Config),
	[begin
		{Socket, Pid} = do_open(Port),
		exit(Pid, Reason),
		{Reason, {close, Code, <<>>}} = {Reason, raw_ws:recv(Socket)}
	end || {Reason, Code} <- [{kill, 1011}, {shutdown, 1001}, {{shutdown, x}, 1001}, {other, 1011}]],
	eventually(fun() -> gun_rs_server:connections(config('case', Config)) =:= [] end).

%% Time.

one_timeout(Config) ->
	doc("The timeout of websocket_init ends with 1000."),
	Init = fun(Req, Opts) -> {ok, Req, Opts, 100} end,
	{Socket, _} = do_open(do_start(#{websocket_init => Init}, Config)),
	{close, 1000, <<>>} = raw_ws:recv(Socket),
	do_ends_by({normal, timeout}, Config).

two_timeout(Config) ->
	doc("The idle timeout ends with 1000."),
	{Socket, _} = do_open(do_start(#{ws => #{idle_timeout => 100}}, Config)),
	{close, 1000, <<>>} = raw_ws:recv(Socket),
	do_ends_by(timeout, Config).

two_timeout_set_later(Config) ->
	doc("set_options gives it another."),
	Handle = fun(_, Opts) -> {[{set_options, #{idle_timeout => 100}}], Opts} end,
	{Socket, _} = do_open(do_start(#{handle => Handle, ws => #{idle_timeout => infinity}}, Config)),
	ok = raw_ws:send(Socket, text, <<>>),
	{close, 1000, <<>>} = raw_ws:recv(Socket),
	do_ends_by(timeout, Config).

pings(Config) ->
	doc("A client that answers no ping is gone."),
	Port = do_start(#{}, #{websocket => #{ping_interval => 100, pong_timeout => 100}}, Config),
	{Socket, _} = do_open(Port),
	{ping, <<>>} = raw_ws:recv(Socket),
	do_ends_by({error, keepalive_timeout}, Config).

own_pongs(Config) ->
	doc("The pong that answers a ping of the server's own is not the handler's, and another one is."),
	Test = self(),
	Handle = do_handle(fun(Frame) -> Test ! {frame, Frame}, ok end, Config),
	{Socket, _} = do_open(do_start(#{handle => Handle}, #{websocket => #{ping_interval => 100}}, Config)),
	{ping, <<>>} = raw_ws:recv(Socket),
	ok = gen_tcp:send(Socket, [raw_ws:frame(pong, <<>>), raw_ws:frame(pong, <<"mine">>)]),
	receive {frame, {pong, <<"mine">>}} -> ok; {frame, Other} -> error({unexpected, Other}) after ?TIMEOUT -> error(no_pong) end.

%% Upgrades.

headers_of_the_answer(Config) ->
	doc("The 101 has what the handler has set on the Req."),
	Init = case config(dialect, Config) of
		cowboy_1 -> #{websocket_init => fun(Req, Opts) ->
			{ok, gun_rs_req:set_resp_header(<<"sec-websocket-protocol">>, <<"chat">>, Req), Opts}
		end};
		cowboy_2 -> #{init => fun(Req, Opts) ->
			{cowboy_websocket, gun_rs_req:set_resp_header(<<"sec-websocket-protocol">>, <<"chat">>, Req), Opts}
		end}
	end,
	{_, Headers} = raw_ws:upgrade(do_start(Init, Config), "/ws/", [{"sec-websocket-protocol", "a, chat"}]),
	[{_, <<"chat">>}] = [Header || Header={<<"sec-websocket-protocol">>, _} <- Headers],
	[{_, <<"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=">>}] = [Header || Header={<<"sec-websocket-accept">>, _} <- Headers],
	[] = [Header || Header={<<"sec-websocket-extensions">>, _} <- Headers].

bad_upgrades(Config) ->
	doc("Every request that is no good upgrade has its status, and no WebSocket comes of it."),
	Port = do_start(#{}, Config),
	[begin
		Request = case What of
			post -> ["POST", string:prefix(iolist_to_binary(raw_ws:upgrade_request("/ws/", [])), "GET")];
			old -> string:replace(raw_ws:upgrade_request("/ws/", []), "HTTP/1.1", "HTTP/1.0");
			_ -> raw_ws:upgrade_request("/ws/", [What])
		end,
		{What, {{Status, _, _}, _}} = {What, raw_ws:request(Port, Request)}
	end || {What, Status} <- do_reason(Config,
		[{post, 400}, {old, 400}, {{"connection", "keep-alive"}, 400}, {{"upgrade", undefined}, 400}, {{"upgrade", "h2c"}, 400},
			{{"upgrade", "h2c, websocket"}, 400}, {{"sec-websocket-version", undefined}, 400}, {{"sec-websocket-version", "12"}, 400},
			{{"sec-websocket-key", undefined}, 400}],
		[{post, 426}, {old, 501}, {{"connection", "keep-alive"}, 426}, {{"upgrade", undefined}, 400}, {{"upgrade", "h2c"}, 426},
			{{"sec-websocket-version", undefined}, 400}, {{"sec-websocket-version", "12"}, 400}, {{"sec-websocket-version", "x"}, 400},
			{{"sec-websocket-key", undefined}, 400}])],
	receive {websocket_init, _, _} -> error(unexpected) after 0 -> ok end.

good_upgrades(Config) ->
	doc("Names in any case, and other tokens beside upgrade."),
	Port = do_start(#{}, Config),
	_ = [raw_ws:upgrade(Port, "/ws/", Headers) || Headers <- [[{"upgrade", "WebSocket"}],
		[{"connection", "keep-alive, UPGRADE"}], [{"sec-websocket-version", "8"}]]
		++ do_reason(Config, [], [[{"upgrade", "h2c, websocket"}]])],
	ok.

origins(Config) ->
	doc("Pages of other origins are refused; who names none is no page."),
	Port = do_start(#{}, #{websocket => #{origins => [<<"https://example.org">>]}}, Config),
	[begin
		{Origin, {{Status, _, _}, _}} = {Origin, raw_ws:request(Port, raw_ws:upgrade_request("/ws/", [{"origin", Origin}]))}
	end || {Origin, Status} <- [{"https://example.org", 101}, {"HTTPS://Example.org", 101}, {undefined, 101},
		{"https://example.com", 403}, {"null", 403}]].

crash_before_the_answer(Config) ->
	doc("A crash before the 101 is answered by 500, and there is no websocket_terminate."),
	Crash = case config(dialect, Config) of
		cowboy_1 -> #{websocket_init => fun(_, _) -> error(oops) end};
		cowboy_2 -> #{init => fun(_, _) -> error(oops) end}
	end,
	Port = do_start(Crash, Config),
	{{500, _, _}, _} = raw_ws:request(Port, raw_ws:upgrade_request("/ws/", [])),
	case config(dialect, Config) of
		cowboy_1 -> receive {terminate, _, _, _, _} -> error(unexpected) after 100 -> ok end;
		cowboy_2 -> {_, {crash, error, oops}, none} = do_terminated()
	end.

one_shutdown_in_init(Config) ->
	doc("shutdown in websocket_init: 400, or the reply that was sent."),
	Reply = fun(Req, #{reply := Reply}) ->
		case Reply of
			none -> {shutdown, Req};
			Status ->
				{ok, Req1} = gun_rs_req:reply(Status, Req),
				{shutdown, Req1}
		end
	end,
	[begin
		Port = do_start(#{websocket_init => Reply, reply => Status}, Config),
		{{Seen, _, _}, _} = raw_ws:request(Port, raw_ws:upgrade_request("/ws/", [])),
		ok = gun_rs_server:stop_listener(config('case', Config))
	end || {Status, Seen} <- [{none, 400}, {401, 401}]],
	receive {terminate, _, _, _, _} -> error(unexpected) after 100 -> ok end.

two_reply_instead(Config) ->
	doc("init/2 may reply instead; a reply stands, whatever is returned behind it."),
	[begin
		Init = fun(Req, Opts) -> Return(gun_rs_req:reply(401, Req), Opts) end,
		Port = do_start(#{init => Init}, Config),
		{{401, _, _}, _} = raw_ws:request(Port, raw_ws:upgrade_request("/ws/", [])),
		ok = gun_rs_server:stop_listener(config('case', Config))
	end || Return <- [fun(Req, Opts) -> {ok, Req, Opts} end, fun(Req, Opts) -> {cowboy_websocket, Req, Opts} end]].

two_no_reply(Config) ->
	doc("Without a reply it is 204."),
	Port = do_start(#{init => fun(Req, Opts) -> {ok, Req, Opts} end}, Config),
	{{204, _, _}, _} = raw_ws:request(Port, "/ws/", []),
	{_, normal, none} = do_terminated().

two_bad_return_of_init(Config) ->
	doc("A bad return of init/2 is answered by 500, without terminate."),
	Port = do_start(#{init => fun(_, _) -> nothing end}, Config),
	{{500, _, _}, _} = raw_ws:request(Port, "/ws/", []),
	receive {terminate, _, _, _, _} -> error(unexpected) after 100 -> ok end.

two_bad_options(Config) ->
	doc("An option that is none is answered by 500."),
	Port = do_start(#{ws => #{idle_timeout => soon}}, Config),
	{{500, _, _}, _} = raw_ws:request(Port, raw_ws:upgrade_request("/ws/", [])).

%% Commands.

two_commands(Config) ->
	doc("Frames and commands in one list."),
	Handle = fun(_, Opts) -> {[{text, <<"one">>}, {deflate, false}, {binary, <<"two">>}, {shutdown_reason, enough}, close], Opts} end,
	{Socket, Pid} = do_open(do_start(#{handle => Handle}, Config)),
	Monitor = gun_rs_test:watch(Pid),
	ok = raw_ws:send(Socket, text, <<>>),
	[{text, <<"one">>}, {binary, <<"two">>}, close, closed] = raw_ws:rest(Socket),
	receive {'DOWN', Monitor, process, Pid, {shutdown, enough}} -> ok after ?TIMEOUT -> error(still_there) end.

two_active(Config) ->
	doc("With active false nothing more is read; sending goes on, and so does reading with active true."),
	Test = self(),
	Handle = fun({text, Text}, Opts) -> Test ! {seen, Text}, {[{active, false}], Opts} end,
	Info = fun(resume, Opts) -> {[{text, <<"resumed">>}, {active, true}], Opts} end,
	{Socket, Pid} = do_open(do_start(#{handle => Handle, info => Info}, Config)),
	ok = raw_ws:send(Socket, text, <<"one">>),
	receive {seen, <<"one">>} -> ok after ?TIMEOUT -> error(nothing_seen) end,
	_ = sys:get_state(Pid),
	eventually(fun() -> {ok, _} = gun_rs_server:stats(Pid), true end),
	timer:sleep(100),
	ok = raw_ws:send(Socket, text, <<"two">>),
	receive {seen, <<"two">>} -> error(still_active) after 300 -> ok end,
	Pid ! resume,
	{text, <<"resumed">>} = raw_ws:recv(Socket),
	receive {seen, <<"two">>} -> ok after ?TIMEOUT -> error(nothing_seen) end.

two_bad_commands(Config) ->
	doc("A command that is none is a crash of the callback."),
	Handle = fun({binary, Which}, Opts) -> {[binary_to_term(Which)], Opts} end,
	Port = do_start(#{handle => Handle}, Config),
	[begin
		{Socket, _} = do_open(Port),
		ok = raw_ws:send(Socket, binary, term_to_binary(Command)),
		{Command, {close, 1011, <<>>}} = {Command, raw_ws:recv(Socket)},
		{_, {crash, error, _}, none} = do_terminated()
	end || Command <- [{active, 'maybe'}, {deflate, 1}, {set_options, #{other => 1}}, {set_options, #{idle_timeout => -1}}, unknown]].

%% Compression.

deflate(Config) ->
	doc("Both sides compress, where both want to."),
	Port = do_start(#{ws => #{compress => true}}, #{websocket => #{compress => true}}, Config),
	{ok, ConnPid} = gun_rs:open("localhost", Port, #{ws_opts => #{compress => true}}),
	{ok, _} = gun_rs:await_up(ConnPid, ?WAIT),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/ws/"),
	{upgrade, [<<"websocket">>], Headers} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{_, <<"permessage-deflate", _/binary>>} = lists:keyfind(<<"sec-websocket-extensions">>, 1, Headers),
	Texts = [binary:copy(<<"compress me ">>, N) || N <- [1, 100, 10000]],
	[begin
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Text}),
		{ws, {text, Text}} = gun_rs:await(ConnPid, StreamRef, ?WAIT)
	end || Text <- Texts],
	#{stats := #{compression_ratio := Ratio}} = gun_rs:info(ConnPid),
	true = Ratio > 10,
	ok = gun_rs:close(ConnPid).

%% The end of the listener.

drained(Config) ->
	doc("A listener that is stopped closes its WebSockets with 1001."),
	{Socket, _} = do_open(do_start(#{}, Config)),
	Test = self(),
	Stopper = spawn_link(fun() -> Test ! {stopped, gun_rs_server:stop_listener(config('case', Config))} end),
	{close, 1001, <<>>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, close, <<1001:16>>),
	closed = raw_ws:recv(Socket),
	{_, Reason, _} = do_terminated(),
	Reason = do_reason(Config, {normal, shutdown}, shutdown),
	receive {stopped, ok} -> ok after ?TIMEOUT -> error({not_stopped, Stopper}) end.

%% The Req.

request(Config) ->
	doc("The Req tells what the request is."),
	Test = self(),
	Tell = fun(Req) ->
		Test ! {req, [gun_rs_req:F(Req) || F <- [method, path, qs, host, path_info]] ++ [gun_rs_req:header(<<"x-test">>, Req)]}
	end,
	Init = case config(dialect, Config) of
		cowboy_1 -> #{websocket_init => fun(Req, Opts) -> Tell(Req), {ok, Req, Opts} end};
		cowboy_2 -> #{init => fun(Req, Opts) -> Tell(Req), {cowboy_websocket, Req, Opts} end}
	end,
	_ = raw_ws:upgrade(do_start(Init, Config), "/ws/a/b?c=d", [{"x-test", "yes"}, {"host", "Example.org:81"}]),
	Expected = [<<"GET">>, <<"/ws/a/b">>, <<"c=d">>, <<"example.org">>, [<<"a">>, <<"b">>], <<"yes">>],
	receive {req, Values} ->
		Expected = case config(dialect, Config) of
			cowboy_1 -> [Value || {Value, _} <- Values];
			cowboy_2 -> Values
		end
	after ?TIMEOUT -> error(no_req) end.

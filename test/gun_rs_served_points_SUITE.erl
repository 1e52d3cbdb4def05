%% Points of the specification of handlers that the other suites of the server do not come by, in both dialects. See
%% test/handlers.config.
-module(gun_rs_served_points_SUITE).

-define(NEEDS, [gun_rs, crypto]).
-include("gun_rs_suite.hrl").

-define(TIMEOUT, 60000).

groups() ->
	served_listener:groups(?MODULE).

init_per_group(Dialect, Config) ->
	[{dialect, Dialect}|Config].

end_per_group(_, _) ->
	ok.

init_per_testcase(Case, Config) ->
	[{'case', Case}|Config].

end_per_testcase(Case, _) ->
	_ = gun_rs_server:stop_listener(Case),
	_ = logger:remove_handler(?MODULE),
	ok.

do_start(Opts, Config) -> served_listener:start(Opts, Config).

do_either(Config, One, Two) -> served_listener:either(Config, One, Two).

%% The option for what comes first in both dialects with a Req: websocket_init/3, and init/2.
do_with_req(Fun, Config) ->
	do_either(Config, #{websocket_init => fun(Req, State) -> {ok, Fun(Req), State} end},
		#{init => fun(Req, State) -> {cowboy_websocket, Fun(Req), State} end}).

%% Frames and messages.

message_between_packets(Config) ->
	doc("A message that comes between two packets of one frame is handled when it comes."),
	Test = self(),
	Opts = maps:merge(served_listener:info(fun(Message) -> Test ! {info, Message}, ok end, Config),
		served_listener:handle(fun(Frame) -> Test ! {frame, Frame}, ok end, Config)),
	{Socket, Pid} = served_listener:open(do_start(Opts, Config)),
	<<Begin:4/binary, End/binary>> = raw_ws:frame(text, <<"in two packets">>),
	ok = gen_tcp:send(Socket, Begin),
	Pid ! between,
	receive {info, between} -> ok; {frame, Early} -> error({early, Early}) after ?TIMEOUT -> error(no_info) end,
	ok = gen_tcp:send(Socket, End),
	receive {frame, {text, <<"in two packets">>}} -> ok after ?TIMEOUT -> error(no_frame) end.

text_is_not_checked(Config) ->
	doc("What a handler sends as text is its own business."),
	Opts = served_listener:handle(fun(_) -> {reply, {text, <<16#ff>>}} end, Config),
	{Socket, _} = served_listener:open(do_start(Opts, Config)),
	ok = raw_ws:send(Socket, text, <<>>),
	{text, <<16#ff>>} = raw_ws:recv(Socket).

close_codes_in(Config) ->
	doc("The codes that a client may close by, and those that are bad frames."),
	Port = do_start(#{}, Config),
	[begin
		{Socket, _} = served_listener:open(Port),
		ok = raw_ws:send(Socket, close, <<Code:16>>),
		{Code, [{close, Code, <<>>}, closed]} = {Code, raw_ws:rest(Socket)},
		{{remote, Code, <<>>}, _} = served_listener:terminated()
	end || Code <- [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]],
	[begin
		{Socket, _} = served_listener:open(Port),
		ok = raw_ws:send(Socket, close, <<Code:16>>),
		{Code, {close, 1002, _}} = {Code, raw_ws:recv(Socket)},
		{Code, {{error, badframe}, _}} = {Code, served_listener:terminated()}
	end || Code <- [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]].

parts_of_a_frame_are_life(Config) ->
	doc("The idle timeout counts from the last bytes, of a part of a frame too; what is sent and messages do not count."),
	Idle = 1500,
	Test = self(),
	Opts0 = do_either(Config, #{websocket_init => fun(Req, State) -> {ok, Req, State, Idle} end}, #{ws => #{idle_timeout => Idle}}),
	Info = served_listener:info(fun(send) -> erlang:send_after(50, self(), send), {reply, {text, <<>>}} end, Config),
	Handle = served_listener:handle(fun(Frame) -> Test ! {frame, Frame}, self() ! send, ok end, Config),
	{Socket, _} = served_listener:open(do_start(maps:merge(maps:merge(Opts0, Info), Handle), Config)),
	[begin
		ok = gen_tcp:send(Socket, <<Byte>>),
		timer:sleep(100)
	end || <<Byte>> <= raw_ws:frame(text, binary:copy(<<"a">>, 20))],
	receive {frame, {text, _}} -> ok after ?TIMEOUT -> error(no_frame) end,
	{close, 1000, <<>>} = do_behind_texts(Socket),
	Reason = do_either(Config, {normal, timeout}, timeout),
	{Reason, _} = served_listener:terminated().

do_behind_texts(Socket) ->
	case raw_ws:recv(Socket) of
		{text, <<>>} -> do_behind_texts(Socket);
		Other -> Other
	end.

send_timeout(Config) ->
	doc("A client that takes nothing for the time of send_timeout is gone."),
	Opts = served_listener:info(fun(Frame) -> {reply, Frame} end, Config),
	Port = served_listener:start(Opts, #{}, #{send_timeout => 300}, Config),
	{ok, Socket} = gen_tcp:connect("localhost", Port, [binary, {active, false}, {recbuf, 4096}]),
	ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
	Pid = receive {websocket_init, Pid0, _} -> Pid0 after ?TIMEOUT -> error(no_websocket_init) end,
	Pid ! {binary, binary:copy(<<"a">>, 8000000)},
	{{error, timeout}, _} = served_listener:terminated(),
	ok = gen_tcp:close(Socket).

hibernation_lasts(Config) ->
	doc("No timer of ours wakes a process that hibernates."),
	Test = self(),
	Opts = served_listener:handle(fun(_) -> Test ! handled, hibernate end, Config),
	Ws = do_either(Config, #{websocket_init => fun(Req, State) -> {ok, Req, State, 2000, hibernate} end}, #{ws => #{idle_timeout => 2000}}),
	{Socket, Pid} = served_listener:open(do_start(maps:merge(Opts, Ws), Config)),
	ok = raw_ws:send(Socket, text, <<>>),
	receive handled -> ok after ?TIMEOUT -> error(no_frame) end,
	eventually(fun() -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}} end),
	Reductions = process_info(Pid, reductions),
	timer:sleep(700),
	Reductions = process_info(Pid, reductions).

idle_memory(Config) ->
	doc("An idle WebSocket costs its process less than a third of Cowboy's."),
	Port = served_listener:start(#{}, #{websocket => #{hibernate_after => 10}}, Config),
	Pids = [Pid || {_, Pid} <- [served_listener:open(Port) || _ <- lists:seq(1, 50)]],
	eventually(fun() ->
		lists:all(fun(Pid) -> process_info(Pid, current_function) =:= {current_function, {erlang, hibernate, 3}} end, Pids)
	end),
	Memory = lists:sum([element(2, process_info(Pid, memory)) || Pid <- Pids]) div length(Pids),
	{true, Memory} = {Memory < 4400, Memory}.

stats(Config) ->
	doc("What a connection has received and sent is counted."),
	{Socket, Pid} = served_listener:open(do_start(#{}, Config)),
	[begin
		ok = raw_ws:send(Socket, binary, <<0:800>>),
		{binary, <<0:800>>} = raw_ws:recv(Socket)
	end || _ <- [1, 2, 3]],
	%% What was written may be counted a moment later.
	eventually(fun() ->
		{ok, Stats} = gun_rs_server:stats(Pid),
		maps:with([frames_in, frames_out, bytes_in, bytes_out, send_queue], Stats) =:=
			#{frames_in => 3, frames_out => 3, bytes_in => 3 * 106, bytes_out => 3 * 102, send_queue => 0}
	end),
	{error, not_found} = gun_rs_server:stats(self()).

%% Crashes, and what is in the log.

do_watch_log() ->
	ok = logger:add_handler(?MODULE, ?MODULE, #{config => #{test => self()}}).

%% A handler of logger's.
log(Event=#{level := error, meta := #{pid := Pid}}, #{config := #{test := Test}}) ->
	Text = unicode:characters_to_list(logger_formatter:format(Event, #{single_line => true})),
	Test ! {logged, Pid, Text};
log(_, _) ->
	ok.

%% What is in the log of a process, whose end is behind it.
do_logged(Pid) ->
	Monitor = monitor(process, Pid),
	receive {'DOWN', Monitor, process, Pid, _} -> ok after ?TIMEOUT -> error(still_there) end,
	%% The report is written by the process before it is gone.
	do_logged_of(Pid).

do_logged_of(Pid) ->
	receive {logged, Pid, Text} -> [Text|do_logged_of(Pid)] after 0 -> [] end.

crash_is_logged_once(Config) ->
	doc("Each crash of a callback is in the log, once, with its reason; what is no crash is not."),
	ok = do_watch_log(),
	Handle = served_listener:handle(fun
		({text, <<"error">>}) -> error(oops);
		({text, <<"exit">>}) -> exit(oops);
		({text, <<"throw">>}) -> throw(oops);
		({text, <<"normal">>}) -> exit(normal);
		({text, <<"stop">>}) -> {reply, close}
	end, Config),
	Port = do_start(Handle, Config),
	[begin
		{Socket, Pid} = served_listener:open(Port),
		ok = raw_ws:send(Socket, text, What),
		Logged = do_logged(Pid),
		{What, Expected, Logged} = {What, length(Logged), Logged},
		[{Text, true} = {Text, string:find(Text, "oops") =/= nomatch} || Text <- Logged, What =/= <<"normal">>]
	end || {What, Expected} <- [{<<"error">>, 1}, {<<"exit">>, 1}, {<<"throw">>, 1}, {<<"normal">>, do_either(Config, 1, 0)},
		{<<"stop">>, 0}]].

crash_in_terminate(Config) ->
	doc("A crash of the last callback ends the process, and sends nothing more."),
	ok = do_watch_log(),
	%% No test is told: the handler fails for want of it.
	Handle = do_either(Config, #{handle => fun(_, Req, State) -> {shutdown, Req, maps:remove(test, State)} end},
		#{handle => fun(_, State) -> {stop, maps:remove(test, State)} end}),
	{Socket, Pid} = served_listener:open(do_start(Handle, Config)),
	ok = raw_ws:send(Socket, text, <<>>),
	[_] = do_logged(Pid),
	[{close, 1000, <<>>}, closed] = raw_ws:rest(Socket).

crash_of_init(Config) ->
	doc("A crash of init is answered by 500, logged once, and terminate is that of the dialect."),
	ok = do_watch_log(),
	Test = self(),
	Opts = do_either(Config, #{init => fun(_, _, _) -> Test ! {in, self()}, error(oops) end},
		#{init => fun(_, _) -> Test ! {in, self()}, error(oops) end}),
	{{500, _, <<>>}, <<>>} = raw_ws:request(do_start(Opts, Config), "/ws", []),
	[Text] = do_logged(receive {in, Pid} -> Pid end),
	true = string:find(Text, "oops") =/= nomatch,
	case config(dialect, Config) of
		cowboy_1 -> receive {terminate, _, _, _, _} -> error(unexpected) after 0 -> ok end;
		cowboy_2 -> {{crash, error, oops}, #{test := Test}} = served_listener:terminated()
	end.

crash_of_a_loop(Config) ->
	doc("A crash of a handler that answers as messages come: 500, and once in the log."),
	ok = do_watch_log(),
	Test = self(),
	Init = do_either(Config, #{init => fun(_, Req, State) -> Test ! {in, self()}, {loop, Req, State} end},
		#{init => fun(Req, State) -> Test ! {in, self()}, {cowboy_loop, Req, State} end}),
	Socket = raw_ws:connect(do_start(Init#{loop => fun(Message, _, _) -> error(Message) end}, Config)),
	ok = gen_tcp:send(Socket, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
	Pid = receive {in, Pid0} -> Pid0 after ?TIMEOUT -> error(no_request) end,
	Pid ! oops,
	{{500, _, <<>>}, <<>>} = raw_ws:response(Socket),
	[Text] = do_logged(Pid),
	true = string:find(Text, "oops") =/= nomatch,
	Reason = do_either(Config, {error, oops}, {crash, error, oops}),
	{Reason, _} = served_listener:terminated().

bad_return_of_websocket_init(Config) ->
	doc("A return of websocket_init that is none: 500 where there is no 101 yet, else 1011."),
	case config(dialect, Config) of
		cowboy_1 ->
			Port = do_start(#{websocket_init => fun(_, _) -> nothing end}, Config),
			{{500, _, <<>>}, <<>>} = raw_ws:request(Port, raw_ws:upgrade_request("/ws", [])),
			receive {terminate, _, _, _, _} -> error(unexpected) after 100 -> ok end;
		cowboy_2 ->
			{Socket, _} = raw_ws:upgrade(do_start(#{websocket_init => fun(_) -> nothing end}, Config), "/ws"),
			{close, 1011, <<>>} = raw_ws:recv(Socket),
			{{crash, error, {bad_return_value, {served_2_h, websocket_init, nothing}}}, _} = served_listener:terminated()
	end.

other_protocols(Config) ->
	doc("What Cowboy would hand over to another module is refused by its name."),
	ok = do_watch_log(),
	Test = self(),
	Opts = do_either(Config, #{init => fun(_, _, _) -> Test ! {in, self()}, {upgrade, protocol, cowboy_rest} end},
		#{init => fun(Req, State) -> Test ! {in, self()}, {cowboy_rest, Req, State} end}),
	{{500, _, <<>>}, <<>>} = raw_ws:request(do_start(Opts, Config), "/ws", []),
	[Text] = do_logged(receive {in, Pid} -> Pid end),
	[{Part, true} = {Part, string:find(Text, Part) =/= nomatch} || Part <- ["unsupported_protocol", "cowboy_rest"]].

trapped_exit(Config) ->
	doc("A handler that traps exits has them as messages, of processes that it is linked to or not."),
	Test = self(),
	Init = do_either(Config, #{websocket_init => fun(Req, State) -> process_flag(trap_exit, true), {ok, Req, State} end},
		#{websocket_init => fun(State) -> process_flag(trap_exit, true), {ok, State} end}),
	Info = served_listener:info(fun(Message) -> Test ! {info, Message}, ok end, Config),
	{_, Pid} = served_listener:open(do_start(maps:merge(Init, Info), Config)),
	Linked = spawn(fun() -> link(Pid), exit(because) end),
	receive {info, {'EXIT', Linked, because}} -> ok after ?TIMEOUT -> error(no_info) end,
	exit(Pid, shutdown),
	receive {info, {'EXIT', Test, shutdown}} -> ok after ?TIMEOUT -> error(no_info) end.

%% Upgrades.

headers_of_the_101(Config) ->
	doc("The 101 has these headers, and what was set: in Cowboy 2 the server, too."),
	Fun = fun(Req0) ->
		Req = gun_rs_req:set_resp_header(<<"x-set">>, <<"yes">>, Req0),
		case config(dialect, Config) of
			cowboy_1 -> gun_rs_req:set_resp_cookie(<<"a">>, <<"b">>, [], Req);
			cowboy_2 -> gun_rs_req:set_resp_cookie(<<"a">>, <<"b">>, Req)
		end
	end,
	{_, Headers} = raw_ws:upgrade(do_start(do_with_req(Fun, Config), Config), "/ws"),
	Names = ["connection", "date", "sec-websocket-accept", "set-cookie", "upgrade", "x-set"],
	Expected = do_either(Config, Names, lists:sort(["server"|Names])),
	Expected = lists:sort([binary_to_list(Name) || {Name, _} <- Headers]),
	{_, <<"Upgrade">>} = do_lower(lists:keyfind(<<"connection">>, 1, Headers)),
	{_, <<"websocket">>} = lists:keyfind(<<"upgrade">>, 1, Headers),
	{_, <<"a=b", _/binary>>} = lists:keyfind(<<"set-cookie">>, 1, Headers).

do_lower({Name, Value}) ->
	true = string:equal(Value, "upgrade", true),
	{Name, <<"Upgrade">>}.

two_own_date_and_server(_Config) ->
	doc("Those that a handler has set stand instead of ours."),
	Init = fun(Req, State) ->
		{cowboy_websocket, gun_rs_req:set_resp_headers(#{<<"server">> => <<"mine">>, <<"date">> => <<"now">>}, Req), State}
	end,
	{_, Headers} = raw_ws:upgrade(do_start(#{init => Init}, [{'case', ?FUNCTION_NAME}, {dialect, cowboy_2}]), "/ws"),
	[<<"mine">>, <<"now">>] = [Value || Wanted <- [<<"server">>, <<"date">>], {Name, Value} <- Headers, Name =:= Wanted].

subprotocol(Config) ->
	doc("The subprotocols that a client offers, the choice of the handler, and the version."),
	Test = self(),
	Fun = fun(Req) ->
		Test ! {offered, gun_rs_req:parse_header(<<"sec-websocket-protocol">>, Req)},
		_ = is_map(Req) orelse (Test ! {meta, [element(1, gun_rs_req:meta(Key, Req)) || Key <- [websocket_version, websocket_compress]]}),
		gun_rs_req:set_resp_header(<<"sec-websocket-protocol">>, <<"Second">>, Req)
	end,
	Port = do_start(do_with_req(Fun, Config), Config),
	{_, Headers} = raw_ws:upgrade(Port, "/ws", [{"sec-websocket-protocol", "first, Second"}]),
	{_, <<"Second">>} = lists:keyfind(<<"sec-websocket-protocol">>, 1, Headers),
	receive
		{offered, {ok, [<<"first">>, <<"Second">>], _}} -> receive {meta, [13, false]} -> ok end;
		{offered, [<<"first">>, <<"Second">>]} -> ok
	end,
	_ = raw_ws:upgrade(Port, "/ws"),
	receive {offered, {ok, undefined, _}} -> ok; {offered, undefined} -> ok end.

after_a_bad_upgrade(Config) ->
	doc("init has run before a bad upgrade is refused; then Cowboy 1 closes the connection, and Cowboy 2 serves on."),
	Test = self(),
	Opts = do_either(Config, #{init => fun(_, _, _) -> Test ! init, {upgrade, protocol, cowboy_websocket} end},
		#{init => fun(Req, State) -> Test ! init, {cowboy_websocket, Req, State} end}),
	Socket = raw_ws:connect(do_start(Opts, Config)),
	ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [{"upgrade", "other"}])),
	{{Status, Headers, <<>>}, <<>>} = raw_ws:response(Socket),
	receive init -> ok end,
	case config(dialect, Config) of
		cowboy_1 ->
			400 = Status,
			{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT);
		cowboy_2 ->
			426 = Status,
			[<<"upgrade">>, <<"websocket">>] = [string:lowercase(element(2, lists:keyfind(Name, 1, Headers)))
				|| Name <- [<<"connection">>, <<"upgrade">>]],
			ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
			{{101, _, _}, _} = raw_ws:response(Socket)
	end.

any_key(Config) ->
	doc("A key need not be 16 bytes in base64."),
	{_, Headers} = raw_ws:upgrade(do_start(#{}, Config), "/ws", [{"sec-websocket-key", "short"}]),
	Expected = base64:encode(crypto:hash(sha, "short258EAFA5-E914-47DA-95CA-C5AB0DC85B11")),
	{_, Expected} = lists:keyfind(<<"sec-websocket-accept">>, 1, Headers).

one_shutdown_closes(Config) ->
	doc("shutdown of websocket_init: the connection closes behind the answer."),
	Socket = raw_ws:connect(do_start(#{websocket_init => fun(Req, _) -> {shutdown, Req} end}, Config)),
	ok = gen_tcp:send(Socket, raw_ws:upgrade_request("/ws", [])),
	{{400, _, <<>>}, <<>>} = raw_ws:response(Socket),
	{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT).

one_compact(Config) ->
	doc("After compact/1 a Req has no bindings: to ask for one is a crash, as in Cowboy; the path stays."),
	Init = fun(Req, State) ->
		{<<"joe">>, _} = gun_rs_req:binding(name, Req),
		{ok, gun_rs_req:compact(Req), State}
	end,
	Handle = fun
		({text, <<"path">>}, Req, State) ->
			{Path, _} = gun_rs_req:path(Req),
			{reply, {text, Path}, Req, State};
		(_, Req, State) ->
			{Name, _} = gun_rs_req:binding(name, Req),
			{reply, {text, Name}, Req, State}
	end,
	{Socket, _} = raw_ws:upgrade(do_start(#{websocket_init => Init, handle => Handle}, Config), "/ws/joe"),
	ok = raw_ws:send(Socket, text, <<"path">>),
	{text, <<"/ws/joe">>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, text, <<"name">>),
	{close, 1011, <<>>} = raw_ws:recv(Socket),
	{{error, handler}, _} = served_listener:terminated().

two_req_filter(Config) ->
	doc("terminate is given what req_filter leaves of the Req."),
	[begin
		Port = do_start(#{ws => Ws}, Config),
		{Socket, _} = served_listener:open(Port),
		ok = gen_tcp:close(Socket),
		Req = receive {terminate, _, {error, closed}, _, Req0} -> Req0 after ?TIMEOUT -> error(no_terminate) end,
		ok = Check(Req),
		ok = gun_rs_server:stop_listener(config('case', Config))
	end || {Ws, Check} <- [
		{#{req_filter => fun(#{path := Path}) -> {only, Path} end}, fun({only, <<"/ws">>}) -> ok end},
		{#{}, fun(#{path := <<"/ws">>, method := <<"GET">>, peer := {_, _}} = Req) -> error = maps:find(headers, Req), ok end}]].

two_max_frame_size_set_later(Config) ->
	doc("set_options gives it another limit on frames."),
	Handle = fun(_, State) -> {[{set_options, #{max_frame_size => 10}}, {text, <<"set">>}], State} end,
	{Socket, _} = served_listener:open(do_start(#{handle => Handle}, Config)),
	ok = raw_ws:send(Socket, binary, binary:copy(<<"a">>, 100)),
	{text, <<"set">>} = raw_ws:recv(Socket),
	ok = raw_ws:send(Socket, binary, binary:copy(<<"a">>, 11)),
	{close, 1009, _} = raw_ws:recv(Socket),
	{{error, badsize}, _} = served_listener:terminated().

%% Pages.

no_reply(Config) ->
	doc("A handler that has answered nothing: 204, and its terminate."),
	[begin
		Port = do_start(Opts, Config),
		{{204, _, <<>>}, <<>>} = raw_ws:request(Port, "/ws", []),
		{Reason, _} = served_listener:terminated(),
		ok = gun_rs_server:stop_listener(config('case', Config))
	end || {Opts, Reason} <- do_either(Config,
		[{#{init => fun(_, Req, State) -> {ok, Req, State} end, page => fun(Req, State) -> {ok, Req, State} end}, {normal, shutdown}},
			{#{init => fun(_, Req, State) -> {shutdown, Req, State} end}, {normal, shutdown}}],
		[{#{init => fun(Req, State) -> {ok, Req, State} end}, normal}])].

cut_body(Config) ->
	doc("A chunked body stays cut where the handler crashes; the connection closes."),
	Opts = case config(dialect, Config) of
		cowboy_1 -> #{init => fun(_, Req, State) -> {ok, Req, State} end, page => fun(Req0, _) ->
			{ok, Req} = gun_rs_req:chunked_reply(200, Req0),
			ok = gun_rs_req:chunk(<<"part">>, Req),
			error(oops)
		end};
		cowboy_2 -> #{init => fun(Req0, _) ->
			Req = gun_rs_req:stream_reply(200, Req0),
			ok = gun_rs_req:stream_body(<<"part">>, nofin, Req),
			error(oops)
		end}
	end,
	Socket = raw_ws:connect(do_start(Opts, Config)),
	ok = gen_tcp:send(Socket, "GET /ws HTTP/1.1\r\nhost: a\r\n\r\n"),
	Sent = do_all(Socket, <<>>),
	{match, _} = re:run(Sent, "\r\n\r\n4\r\npart\r\n$"),
	Reason = do_either(Config, oops, {crash, error, oops}),
	{Reason, _} = served_listener:terminated().

do_all(Socket, Data) ->
	case gen_tcp:recv(Socket, 0, ?TIMEOUT) of
		{ok, More} -> do_all(Socket, <<Data/binary, More/binary>>);
		{error, closed} -> Data
	end.

no_route(Config) ->
	doc("No host: 400; no path: 404; a bad escape: 400. Cowboy 1 then closes the connection."),
	Ref = config('case', Config),
	Dispatch = gun_rs_router:compile([{"example.org", [{"/page/:name", served_2_h, #{}}]}]),
	{ok, _} = case config(dialect, Config) of
		cowboy_1 -> gun_rs_server:start_http(Ref, 1, [{port, 0}], [{env, [{dispatch, Dispatch}]}]);
		cowboy_2 -> gun_rs_server:start_clear(Ref, [{port, 0}], #{env => #{dispatch => Dispatch}})
	end,
	Port = gun_rs_server:get_port(Ref),
	[begin
		Socket = raw_ws:connect(Port),
		ok = gen_tcp:send(Socket, ["GET ", Path, " HTTP/1.1\r\nhost: ", Host, "\r\n\r\n"]),
		{Path, {{Status, _, <<>>}, <<>>}} = {Path, raw_ws:response(Socket)},
		case config(dialect, Config) of
			cowboy_1 ->
				{error, closed} = gen_tcp:recv(Socket, 0, ?TIMEOUT);
			cowboy_2 ->
				ok = gen_tcp:send(Socket, "GET /none HTTP/1.1\r\nhost: example.org\r\n\r\n"),
				{{404, _, <<>>}, <<>>} = raw_ws:response(Socket)
		end
	end || {Host, Path, Status} <- [{"example.com", "/page/a", 400}, {"example.org", "/none", 404}, {"example.org", "/page/%zz", 400}]].

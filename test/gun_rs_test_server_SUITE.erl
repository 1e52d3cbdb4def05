%% The test servers that ship: what their scripts say clients see, and what clients send is told.
-module(gun_rs_test_server_SUITE).

-define(NEEDS, [gun_rs, certs]).
-include("gun_rs_suite.hrl").

-define(S, gun_rs_test_server).

do_start(Script) ->
	{ok, Server, Port} = ?S:start(Script),
	Port = ?S:port(Server),
	{Server, Port}.

do_upgrade(Port) ->
	do_upgrade(Port, #{retry => 0}).

do_upgrade(Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port, Opts),
	{ConnPid, gun_rs:ws_upgrade(ConnPid, "/prices?of=BTC", [{<<"x-test">>, <<"yes">>}])}.

do_open(Port) ->
	{ConnPid, StreamRef} = do_upgrade(Port),
	ok = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	{ConnPid, StreamRef}.

says_in_order(_) ->
	doc("Steps run in their order, those behind await when the client has sent."),
	{Server, Port} = do_start([{send, {text, <<"a">>}}, {send, {binary, <<1>>}}, {await, {text, <<"go">>}},
		{send, {text, <<"b">>}}, await, {close, 4000, <<"done">>}]),
	{ConnPid, StreamRef} = do_open(Port),
	_ = [ok = ?EXPECT({gun_ws, ConnPid, StreamRef, Frame}) || Frame <- [{text, <<"a">>}, {binary, <<1>>}]],
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "other"}, {text, "go"}]),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"b">>}}),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {binary, <<2>>}),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4000, <<"done">>}}),
	{ok, _} = ?S:await(Server, fun(Event) -> element(1, Event) =:= closed end),
	[
		{request, 1, #{method := <<"GET">>, path := <<"/prices">>, qs := <<"of=BTC">>, body := <<>>,
			headers := #{<<"x-test">> := <<"yes">>}}},
		{open, 1}, {frame, 1, {text, <<"other">>}}, {frame, 1, {text, <<"go">>}}, {frame, 1, {binary, <<2>>}}, {closed, 1, _}
	] = ?S:received(Server),
	ok = ?S:stop(Server).

echoes(_) ->
	doc("Echo sends back each message, and large ones both ways at once."),
	{Server, Port} = do_start([echo]),
	{ConnPid, StreamRef} = do_open(Port),
	Large = binary:copy(<<"0123456789">>, 300000),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{binary, Large} || _ <- lists:seq(1, 5)] ++ [{text, "end"}]),
	_ = [ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Large}}) || _ <- lists:seq(1, 5)],
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"end">>}}),
	ok = ?S:stop(Server).

refuses(_) ->
	doc("A refusal has its status, headers and body; a body that was sent is told."),
	{Server, Port} = do_start(#{scripts => [{refuse, 403, #{<<"x-why">> => <<"no">>}, <<"Go away.">>}, {refuse, 404},
		{refuse, 200, #{}, <<"Hello!">>}]}),
	{ConnPid, StreamRef} = do_upgrade(Port),
	Headers = ?EXPECT({gun_response, ConnPid, StreamRef, nofin, 403, H}, H),
	{_, <<"no">>} = lists:keyfind(<<"x-why">>, 1, Headers),
	{ok, <<"Go away.">>} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	{404, _, <<>>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	_ = [{200, _, <<"Hello!">>} = answer(ConnPid, gun_rs:post(ConnPid, "/", [], <<"body">>)) || _ <- [1, 2]],
	{ok, {request, 3, #{method := <<"POST">>, body := <<"body">>}}} =
		?S:await(Server, fun(Event) -> element(2, Event) =:= 3 end, ?WAIT),
	ok = gun_rs:close(ConnPid),
	ok = ?S:stop(Server).

accepts_with_headers(_) ->
	doc("A script may add headers to the answer that accepts, such as the subprotocol."),
	{Server, Port} = do_start({accept, #{<<"x-session">> => <<"7">>}, [{send, {text, <<"hi">>}}]}),
	{ConnPid, StreamRef} = do_upgrade(Port),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, H}, H),
	{_, <<"7">>} = lists:keyfind(<<"x-session">>, 1, Headers),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"hi">>}}),
	ok = ?S:stop(Server).

stalls(_) ->
	doc("A server that stalls answers nothing, and stops at once all the same."),
	{Server, Port} = do_start(stall),
	{ConnPid, StreamRef} = do_upgrade(Port),
	{ok, {request, 1, _}} = ?S:await(Server, fun(Event) -> element(1, Event) =:= request end),
	{error, timeout} = gun_rs:await(ConnPid, StreamRef, 200),
	ok = ?S:stop(Server),
	ok = ?EXPECT({gun_down, ConnPid, _, _, _}).

drops(_) ->
	doc("A drop comes behind what was sent, without a close frame; the next request follows the next script."),
	{Server, Port} = do_start(#{scripts => [
		[{send, {text, <<"last words">>}}, drop], drop, [{send, {text, <<"back">>}}]
	]}),
	{ConnPid, StreamRef} = do_upgrade(Port, #{retry => 100, retry_timeout => 10, ws_opts => #{reupgrade => true}}),
	ok = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"last words">>}}),
	ok = ?EXPECT({gun_down, ConnPid, ws, _, _}),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"back">>}}),
	{ok, {open, 3}} = ?S:await(Server, {open, 3}),
	?REFUTE({gun_ws, ConnPid, _, _}),
	false = lists:member({open, 2}, ?S:received(Server)),
	ok = ?S:stop(Server).

runs_more(_) ->
	doc("A test has the server take steps when it says so."),
	{Server, Port} = do_start([]),
	{error, not_open} = ?S:run(Server, [drop]),
	{ConnPid, StreamRef} = do_open(Port),
	{ok, _} = ?S:await(Server, {open, 1}),
	ok = ?S:run(Server, [{send, {text, <<"one">>}}]),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"one">>}}),
	ok = ?S:run(Server, [{send, {text, <<"two">>}}, drop]),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"two">>}}),
	ok = ?EXPECT({gun_down, ConnPid, ws, _, _}),
	ok = ?S:stop(Server).

tls(Config) ->
	doc("Over TLS by a certificate that the server makes, which is trusted by its root alone; or by one that is given."),
	{Server, Port} = do_start(#{transport => tls, scripts => [[{send, {text, <<"secret">>}}, drop]]}),
	Opts = #{retry => 0, transport => tls, protocols => [http], tls_opts => [{cacerts, [?S:root(Server)]}]},
	{ConnPid, StreamRef} = do_upgrade(Port, Opts),
	ok = ?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"secret">>}}),
	ok = ?EXPECT({gun_down, ConnPid, ws, _, _}),
	#{root := #{der := Other}} = config(certs, Config),
	{ok, Distrustful} = gun_rs:open("localhost", Port, Opts#{tls_opts => [{cacerts, [Other]}]}),
	{error, {down, _}} = gun_rs:await_up(Distrustful, ?WAIT),
	ok = ?S:stop(Server),
	do_given(Config).

do_given(Config) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}, root := #{der := Root}} = config(certs, Config),
	{Server, Port} = do_start(#{transport => tls, tls_opts => [{certfile, CertFile}, {keyfile, KeyFile}], scripts => [[echo]]}),
	undefined = ?S:root(Server),
	{ConnPid, StreamRef} = do_upgrade(Port, #{retry => 0, transport => tls, protocols => [http], tls_opts => [{cacerts, [Root]}]}),
	ok = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, _}),
	ok = ?S:stop(Server).

waits_end(_) ->
	doc("A wait has a deadline, and a server keeps no more events than it says, and tells how many are gone."),
	{Server, Port} = do_start(#{scripts => [[]], max_received => 2}),
	{error, timeout} = ?S:await(Server, {open, 1}, 50),
	{ConnPid, StreamRef} = do_open(Port),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, "1"}, {text, "2"}, {text, "3"}]),
	{ok, _} = ?S:await(Server, {frame, 1, {text, <<"3">>}}),
	[{dropped, 3}, {frame, 1, {text, <<"2">>}}, {frame, 1, {text, <<"3">>}}] = ?S:received(Server),
	ok = ?S:stop(Server).

mistakes(_) ->
	doc("What is no script is refused by name, with a sentence."),
	[begin
		{error, Reason} = Error = ?S:start(Script),
		{Script, Expected} = {Script, Reason},
		true = length(?S:format_error(Error)) > 20
	end || {Script, Expected} <- [
		{[{send, text}], {script, {send, text}}},
		{[{close, 1005, <<>>}], {script, {close, 1005, <<>>}}},
		{[{send, {text, <<255>>}}], {script, {send, {text, <<255>>}}}},
		{[{send, {text, [8364]}}], {script, {send, {text, [8364]}}}},
		{[{close, 1000, binary:copy(<<"a">>, 124)}], {script, {close, 1000, binary:copy(<<"a">>, 124)}}},
		{{refuse, 101}, {script, {refuse, 101}}},
		{#{scripts => []}, {options, {scripts, []}}},
		{#{scripts => [stall], transport => udp}, {options, {transport, udp}}},
		{#{scripts => [stall], max_received => 0}, {options, {max_received, 0}}},
		{#{scripts => [stall], color => red}, {options, {color, red}}}
	]],
	{Server, _} = do_start(stall),
	{error, {script, {say, hi}}} = ?S:run(Server, [{say, hi}]),
	ok = ?S:stop(Server).

leaves_nothing(_) ->
	doc("A server under a supervisor, and one that is killed, leave no listener and no open port."),
	Before = lists:sort(maps:keys(gun_rs_server:info())),
	#{start := {M, F, A}} = ?S:child_spec([echo]),
	{ok, Linked, _} = apply(M, F, A),
	true = unlink(Linked),
	{Server, Port} = do_start([echo]),
	{ConnPid, _} = do_open(Port),
	_ = [exit(Pid, kill) || Pid <- [Linked, Server]],
	ok = ?EXPECT({gun_down, ConnPid, _, _, _}),
	true = eventually(fun() -> lists:sort(maps:keys(gun_rs_server:info())) =:= Before end),
	true = eventually(fun() -> gen_tcp:connect("localhost", Port, []) =:= {error, econnrefused} end).

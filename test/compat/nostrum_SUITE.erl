%% What nostrum does with gun: the gateway's WebSocket, and requests over HTTP/2 beside it.
-module(nostrum_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

do_tls_opts(Config) ->
	[
		{verify, verify_peer},
		{cacerts, [config(root, Config)]},
		{depth, 3},
		{customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]}
	].

do_gateway(Config, WsOpts) ->
	{ok, ConnPid} = gun:open("localhost", config(https, Config), #{
		connect_timeout => 10000,
		domain_lookup_timeout => 10000,
		protocols => [http],
		retry => 0,
		tls_handshake_timeout => 10000,
		tls_opts => do_tls_opts(Config),
		transport => tls
	}),
	{ok, http} = gun:await_up(ConnPid, 10000),
	StreamRef = case WsOpts of
		none -> gun:ws_upgrade(ConnPid, "/gateway?compress=zlib-stream&encoding=etf&v=10");
		_ -> gun:ws_upgrade(ConnPid, "/gateway?v=4", [], WsOpts)
	end,
	{upgrade, [<<"websocket">>], _} = gun:await(ConnPid, StreamRef, 10000),
	Z = zlib:open(),
	ok = zlib:inflateInit(Z),
	{Hello, _} = do_receive(ConnPid, StreamRef, Z),
	#{op := 10, heartbeat_interval := 41250} = Hello,
	{ConnPid, StreamRef, Z}.

%% One stream of zlib goes through all frames.
do_receive(ConnPid, StreamRef, Z) ->
	Frame = ?EXPECT({gun_ws, ConnPid, StreamRef, {binary, F}}, F),
	{binary_to_term(iolist_to_binary(zlib:inflate(Z, Frame))), Frame}.

do_send(ConnPid, StreamRef, Term) ->
	ok = gun:ws_send(ConnPid, StreamRef, {binary, term_to_binary(Term)}).

heartbeats(Config) ->
	ct:comment("Hello, heartbeats, and events of all sizes, in one stream of zlib over all frames."),
	{ConnPid, StreamRef, Z} = do_gateway(Config, none),
	_ = [begin
		do_send(ConnPid, StreamRef, #{op => 1, d => N}),
		{#{op := 11, d := N}, _} = do_receive(ConnPid, StreamRef, Z)
	end || N <- lists:seq(1, 100)],
	_ = [begin
		do_send(ConnPid, StreamRef, #{op => 2, d => Size}),
		Expected = binary:copy(<<"guild">>, Size),
		{#{op := 0, d := Expected}, _} = do_receive(ConnPid, StreamRef, Z)
	end || Size <- [1, 1000, 1000000]],
	ok = gun:close(ConnPid).

flow(Config) ->
	ct:comment("With flow the library asks for one more frame whenever it is ready for it, and has them all."),
	{ConnPid, StreamRef, Z} = do_gateway(Config, #{flow => 1}),
	_ = [do_send(ConnPid, StreamRef, #{op => 1, d => N}) || N <- lists:seq(1, 20)],
	_ = [begin
		ok = gun:update_flow(ConnPid, StreamRef, 1),
		{#{op := 11, d := N}, _} = do_receive(ConnPid, StreamRef, Z)
	end || N <- lists:seq(1, 20)],
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

reconnect(Config) ->
	ct:comment("The gateway closes with a code: the frame, gun_down, and the exit, since nothing is tried again."),
	{ConnPid, StreamRef, _} = do_gateway(Config, none),
	MRef = monitor(process, ConnPid),
	do_send(ConnPid, StreamRef, #{op => 7}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4000, <<"Unknown error">>}}),
	?EXPECT({gun_down, ConnPid, ws, _, _}),
	?EXPECT({'DOWN', MRef, process, ConnPid, _}),
	ok = gun:flush(ConnPid).

closes(Config) ->
	ct:comment("The library closes with a code of its own, and ends the connection."),
	{ConnPid, StreamRef, _} = do_gateway(Config, none),
	ok = gun:ws_send(ConnPid, StreamRef, {close, 4000, <<"">>}),
	?EXPECT({gun_ws, ConnPid, StreamRef, {close, 4000, _}}),
	_ = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

do_rest(Config) ->
	{ok, ConnPid} = gun:open("localhost", config(https, Config), #{retry => 3, tls_opts => do_tls_opts(Config), transport => tls}),
	{ok, http2} = gun:await_up(ConnPid, ?WAIT),
	ConnPid.

requests(Config) ->
	ct:comment("Requests of the bot's go over HTTP/2, with answers awaited or received, several at once."),
	ConnPid = do_rest(Config),
	Headers = [{<<"authorization">>, "Bot token"}, {<<"content-type">>, <<"application/json">>}],
	StreamRef = gun:request(ConnPid, <<"POST">>, "/echo", Headers, "{}"),
	{response, nofin, 200, _} = gun:await(ConnPid, StreamRef, ?WAIT),
	{ok, <<"{}">>} = gun:await_body(ConnPid, StreamRef, ?WAIT),
	Refs = [gun:request(ConnPid, <<"PUT">>, "/echo", Headers, integer_to_binary(N)) || N <- lists:seq(1, 50)],
	_ = [begin
		?EXPECT({gun_response, ConnPid, Ref, nofin, 200, _}),
		?EXPECT({gun_data, ConnPid, Ref, fin, _})
	end || Ref <- Refs],
	ok = gun:close(ConnPid).

cancels(Config) ->
	ct:comment("A request that takes too long is cancelled and flushed; to cancel it again is an error that the library knows."),
	ConnPid = do_rest(Config),
	StreamRef = gun:request(ConnPid, <<"GET">>, "/held", [{<<"x-tell">>, base64:encode(term_to_binary(self()))}], <<>>),
	{error, timeout} = gun:await(ConnPid, StreamRef, 100),
	ok = gun:cancel(ConnPid, StreamRef),
	ok = gun:flush(StreamRef),
	ok = gun:cancel(ConnPid, StreamRef),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, _}}),
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

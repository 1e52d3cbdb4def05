%% Connections that carry bytes as they are: protocols => [raw], and what follows a 101 that a request has asked for.
-module(gun_rs_raw_SUITE).

-define(NEEDS, [gun_rs, certs]).
-include("gun_rs_suite.hrl").

groups() ->
	[{tcp, both_ways()}, {tls, both_ways()}, {http, [switched, switched_unasked]}, {options, [options]}].

both_ways() ->
	[bytes, half_close, flow, refused, reconnect, shutdown, owner_changes, large, reply_to_of_the_owner, send_queue].

init_per_group(Group, Config) ->
	[{transport, case Group of tls -> tls; _ -> tcp end}|Config].

end_per_group(_, _) ->
	ok.

%% A server: each connection is given to the fun.
do_start(Config, Serve) ->
	Transport = config(transport, Config),
	Opts = [binary, {active, false}, {ip, {127, 0, 0, 1}}],
	{Module, ListenOpts} = case Transport of
		tcp -> {gen_tcp, [{exit_on_close, false}|Opts]};
		tls ->
			#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
			{ssl, [{certfile, CertFile}, {keyfile, KeyFile}|Opts]}
	end,
	Self = self(),
	_ = spawn_link(fun() ->
		{ok, Listener} = Module:listen(0, ListenOpts),
		{ok, {_, Port}} = case Module of gen_tcp -> inet:sockname(Listener); ssl -> ssl:sockname(Listener) end,
		Self ! {listening, Port},
		do_accept(Module, Listener, Serve)
	end),
	?EXPECT({listening, Port}, Port).

do_accept(gen_tcp, Listener, Serve) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	_ = Serve(gen_tcp, Socket),
	_ = gen_tcp:close(Socket),
	do_accept(gen_tcp, Listener, Serve);
do_accept(ssl, Listener, Serve) ->
	{ok, Accepted} = ssl:transport_accept(Listener),
	_ = case ssl:handshake(Accepted, ?WAIT) of
		{ok, Socket} -> {Serve(ssl, Socket), ssl:close(Socket)};
		{error, _} -> ok
	end,
	do_accept(ssl, Listener, Serve).

do_echo(Module, Socket) ->
	case Module:recv(Socket, 0) of
		{ok, Bytes} ->
			ok = Module:send(Socket, Bytes),
			do_echo(Module, Socket);
		{error, _} ->
			ok
	end.

do_open(Config, Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, maps:merge(#{transport => config(transport, Config),
		tls_opts => [{verify, verify_none}], protocols => [raw], retry => 0}, Opts)),
	{ok, raw} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

bytes(Config) ->
	doc("Bytes go both ways as they are; info/1 says what the connection is."),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{}),
	ok = gun_rs:data(ConnPid, undefined, nofin, ["hel", <<"lo">>]),
	<<"hello">> = do_collect(ConnPid, 5),
	#{protocol := raw, state_name := connected_data_only, origin_scheme := undefined, intermediaries := []} =
		gun_rs:info(ConnPid),
	{ok, undefined} = gun_rs:stream_info(ConnPid, undefined),
	ok = gun_rs:close(ConnPid).

do_collect(ConnPid, Size) ->
	do_collect(ConnPid, Size, <<>>).

do_collect(_, Size, Bytes) when byte_size(Bytes) >= Size ->
	Bytes;
do_collect(ConnPid, Size, Bytes) ->
	{data, nofin, More} = gun_rs:await(ConnPid, undefined, ?WAIT),
	do_collect(ConnPid, Size, <<Bytes/binary, More/binary>>).

half_close(Config) ->
	doc("fin ends what is sent; what the server sends afterwards arrives."),
	Self = self(),
	Port = do_start(Config, fun(Module, Socket) ->
		Question = do_read_all(Module, Socket, <<>>),
		_ = Module:send(Socket, ["you said ", Question]),
		Self ! {server, self(), Question},
		receive stop -> ok end
	end),
	ConnPid = do_open(Config, Port, #{}),
	ok = gun_rs:data(ConnPid, undefined, nofin, "all "),
	ok = gun_rs:data(ConnPid, undefined, fin, "of it"),
	Server = ?EXPECT({server, S, <<"all of it">>}, S),
	%% The server's TLS closes when it is told of the end, in both directions.
	_ = [begin
		<<"you said all of it">> = do_collect(ConnPid, 18),
		ok = gun_rs:data(ConnPid, undefined, nofin, "more"),
		?EXPECT({gun_error, ConnPid, undefined, {badstate, "The stream has already been closed."}})
	end || config(transport, Config) =:= tcp],
	Server ! stop,
	?EXPECT({gun_down, ConnPid, raw, _, []}).

do_read_all(Module, Socket, Acc) ->
	case Module:recv(Socket, 0) of
		{ok, Bytes} -> do_read_all(Module, Socket, <<Acc/binary, Bytes/binary>>);
		{error, closed} -> Acc
	end.

flow(Config) ->
	doc("With a flow, as many reads are received as it allows; update_flow, with any stream, allows more."),
	Self = self(),
	Port = do_start(Config, fun(Module, Socket) ->
		ok = Module:send(Socket, "one"),
		Self ! {server, self()},
		receive more -> ok end,
		ok = Module:send(Socket, "two"),
		do_echo(Module, Socket)
	end),
	ConnPid = do_open(Config, Port, #{raw_opts => #{flow => 1}}),
	<<"one">> = do_collect(ConnPid, 3),
	?EXPECT({server, Server}, Server) ! more,
	?REFUTE({gun_data, ConnPid, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, make_ref(), 1),
	<<"two">> = do_collect(ConnPid, 3),
	ok = gun_rs:close(ConnPid).

refused(Config) ->
	doc("Whatever needs streams is answered with badstate, and the connection stays."),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{}),
	Text = "This connection does not accept new requests to be opened nor does it accept Websocket frames.",
	_ = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, {badstate, Text}}),
	_ = gun_rs:ws_upgrade(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, {badstate, Text}}),
	ok = gun_rs:ws_send(ConnPid, make_ref(), {text, "a"}),
	?EXPECT({gun_error, ConnPid, {badstate, Text}}),
	_ = gun_rs:ping(ConnPid),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	Ref = make_ref(),
	ok = gun_rs:cancel(ConnPid, Ref),
	?EXPECT({gun_error, ConnPid, Ref, {badstate, _}}),
	ok = gun_rs:data(ConnPid, Ref, nofin, "x"),
	?EXPECT({gun_error, ConnPid, Ref, {badstate, _}}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, Ref),
	ok = gun_rs:data(ConnPid, undefined, nofin, "still"),
	<<"still">> = do_collect(ConnPid, 5),
	ok = gun_rs:close(ConnPid).

reconnect(Config) ->
	doc("After the server has closed, the next connection speaks raw again."),
	Port = do_start(Config, fun(Module, Socket) ->
		case Module:recv(Socket, 0) of
			{ok, <<"end">>} -> ok;
			{ok, Bytes} -> Module:send(Socket, Bytes);
			{error, _} -> ok
		end
	end),
	ConnPid = do_open(Config, Port, #{retry => 5, retry_timeout => 1}),
	ok = gun_rs:data(ConnPid, undefined, nofin, "end"),
	?EXPECT({gun_down, ConnPid, raw, closed, []}),
	?EXPECT({gun_up, ConnPid, raw}),
	ok = gun_rs:data(ConnPid, undefined, nofin, "again"),
	<<"again">> = do_collect(ConnPid, 5),
	ok = gun_rs:close(ConnPid).

shutdown(Config) ->
	doc("shutdown/1 closes at once."),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{}),
	MRef = monitor(process, ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}).

owner_changes(Config) ->
	doc("A new owner receives the bytes from then on."),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{}),
	Self = self(),
	Owner = spawn_link(fun() -> receive {gun_data, ConnPid, undefined, nofin, Bytes} -> Self ! {owner, Bytes} end end),
	ok = gun_rs:set_owner(ConnPid, Owner),
	_ = gun_rs:info(ConnPid),
	ok = gun_rs:data(ConnPid, undefined, nofin, "hi"),
	?EXPECT({owner, <<"hi">>}),
	ok = gun_rs:close(ConnPid).

large(Config) ->
	doc("Much data arrives whole and in order in both directions."),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{}),
	Parts = [crypto:strong_rand_bytes(100000) || _ <- lists:seq(1, 50)],
	_ = [ok = gun_rs:data(ConnPid, undefined, nofin, Part) || Part <- Parts],
	All = iolist_to_binary(Parts),
	All = do_collect(ConnPid, byte_size(All)),
	ok = gun_rs:close(ConnPid).

reply_to_of_the_owner(Config) ->
	doc("Where modules of the user's take part in what is received, bytes arrive all the same."),
	Store = gun_rs_cookies_list:init(),
	ConnPid = do_open(Config, do_start(Config, fun do_echo/2), #{cookie_store => Store}),
	ok = gun_rs:data(ConnPid, undefined, nofin, "hi"),
	<<"hi">> = do_collect(ConnPid, 2),
	ok = gun_rs:close(ConnPid).

send_queue(Config) ->
	doc("What max_send_queue has no room for is not sent, and the caller learns it."),
	Self = self(),
	Port = do_start(Config, fun(_, _) ->
		Self ! {server, self()},
		receive stop -> ok end
	end),
	ConnPid = do_open(Config, Port, #{raw_opts => #{max_send_queue => 1000}}),
	ok = gun_rs:data(ConnPid, undefined, nofin, binary:copy(<<"a">>, 10000)),
	?EXPECT({gun_error, ConnPid, send_queue_full}),
	ok = gun_rs:close(ConnPid),
	?EXPECT({server, Server}, Server) ! stop.

switched(Config) ->
	doc("A 101 that the request has asked for makes the connection raw; the bytes go to whoever made the request."),
	Port = do_start(Config, fun(Module, Socket) ->
		{ok, <<"GET / HTTP/1.1\r\n", _/binary>>} = Module:recv(Socket, 0),
		ok = Module:send(Socket, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: custom\r\n\r\nfirst"),
		do_echo(Module, Socket)
	end),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/", [{"connection", "upgrade"}, {"upgrade", "other, custom"}]),
	{upgrade, [<<"custom">>], Headers} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{_, <<"custom">>} = lists:keyfind(<<"upgrade">>, 1, Headers),
	<<"first">> = do_collect(ConnPid, 5),
	ok = gun_rs:data(ConnPid, undefined, nofin, "second"),
	<<"second">> = do_collect(ConnPid, 6),
	#{protocol := raw} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid).

switched_unasked(Config) ->
	doc("Any other 101 ends the connection."),
	Port = do_start(Config, fun(Module, Socket) ->
		{ok, _} = Module:recv(Socket, 0),
		Module:send(Socket, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: custom\r\n\r\n")
	end),
	ConnPid = open(Port, #{retry => 0}),
	StreamRef = gun_rs:get(ConnPid, "/", [{"connection", "upgrade"}, {"upgrade", "other"}]),
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, {http_protocol, _}}}}),
	?EXPECT({gun_down, ConnPid, http, {error, {http_protocol, _}}, [StreamRef]}).

options(_) ->
	doc("raw stands by itself; bad options are named."),
	_ = [{error, {options, Bad}} = gun_rs:open("localhost", 80, Opts) || {Bad, Opts} <- [
		{{protocols, [raw, http]}, #{protocols => [raw, http]}},
		{{protocols, [{raw, #{flow => 0}}]}, #{protocols => [{raw, #{flow => 0}}]}},
		{{raw, {flow, 0}}, #{raw_opts => #{flow => 0}}},
		{{raw, {flow, -1}}, #{protocols => [raw], raw_opts => #{flow => -1}}},
		{{raw, {keepalive, 1}}, #{raw_opts => #{keepalive => 1}}},
		{{raw_opts, []}, #{raw_opts => []}}
	]],
	ok.

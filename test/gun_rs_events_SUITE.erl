%% An event handler is called in the process behind ConnPid for all that happens on a connection, in order with the
%% messages of gun, and with gun's names and keys.
-module(gun_rs_events_SUITE).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

init_per_suite(Config) ->
	http2_servers:init(http2, Config).

end_per_suite(Config) ->
	http2_servers:stop(Config).

https_request(Config) ->
	doc("A request over TLS, from the first look-up to the end of the process."),
	{Port, Stop} = http2_servers:cowboy(lists:keyreplace(transport, 1, Config, {transport, tls}), #{}),
	{ok, ConnPid} = do_open(Port, #{transport => tls, protocols => [http], retry => 0, tls_opts => [{verify, verify_none}]}),
	StreamRef = gun_rs:get(ConnPid, "/request?b", [{<<"x-one">>, <<"1">>}]),
	Self = self(),
	Dial = do_until(gun_up),
	[{init, #{owner := Self, transport := tls, origin_scheme := <<"https">>, origin_host := "localhost",
			origin_port := Port, opts := #{transport := tls}}},
		{domain_lookup_start, #{host := "localhost", port := Port, tcp_opts := [], timeout := infinity}},
		{domain_lookup_end, #{host := "localhost", lookup_info := #{ip_addresses := [_|_], port := Port,
			tcp_module := gen_tcp, tcp_opts := []}=Info}},
		{connect_start, #{lookup_info := Info, timeout := infinity}},
		{connect_end, #{lookup_info := Info, socket := Socket}=ConnectEnd},
		{tls_handshake_start, #{socket := Socket, tls_opts := [{verify, verify_none}], timeout := 30000}},
		{tls_handshake_end, #{socket := Socket, protocol := http}}, gun_up] = Dial,
	false = is_map_key(protocol, ConnectEnd),
	[{request_start, Request}, {request_headers, Request}, {request_end, Stream}, {response_start, Stream}, gun_response,
		{response_headers, #{stream_ref := StreamRef, reply_to := Self, status := 200, headers := [_|_]}}|Rest] =
		do_until(response_end),
	#{stream_ref := StreamRef, reply_to := Self} = Stream,
	2 = map_size(Stream),
	#{stream_ref := StreamRef, reply_to := Self, function := request, method := <<"GET">>, path := <<"/request?b">>,
		authority := Authority, headers := Headers} = Request,
	Authority = iolist_to_binary(["localhost:", integer_to_list(Port)]),
	{_, <<"1">>} = lists:keyfind(<<"x-one">>, 1, Headers),
	{response_end, Stream} = lists:last(Rest),
	[] = [Other || Other <- lists:droplast(Rest), Other =/= gun_data],
	#{event_handler := event_recorder_h, event_handler_state := {Self, 13}} = gun_rs:info(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	[{disconnect, #{reason := _}}, {terminate, #{reason := shutdown}}] = do_until(terminate),
	Stop().

failed_connect(_) ->
	doc("A connect that fails is looked up again for each retry; the end is told, and no disconnect."),
	{Socket, Port} = refused_port(),
	{ok, _} = do_open(Port, #{retry => 1, retry_timeout => 1}),
	[init, domain_lookup_start, domain_lookup_end, connect_start, connect_end,
		domain_lookup_start, domain_lookup_end, connect_start, connect_end, terminate] = Events = do_names(do_until(terminate, [])),
	10 = length(Events),
	#{error := econnrefused} = get({last, connect_end}),
	#{state := not_connected, reason := {shutdown, econnrefused}} = get({last, terminate}),
	release_port(Socket).

failed_handshake(_) ->
	doc("A TLS handshake that fails says why."),
	{Server, Port} = lying_server:start([{send, "no TLS"}, close]),
	{ok, _} = do_open(Port, #{transport => tls, retry => 0}),
	Names = do_names(do_until(terminate)),
	[tls_handshake_start, tls_handshake_end, terminate] = lists:nthtail(length(Names) - 3, Names),
	#{error := Reason, socket := _} = get({last, tls_handshake_end}),
	#{reason := {shutdown, Reason}} = get({last, terminate}),
	lying_server:stop(Server).

websocket(Config) ->
	doc("A WebSocket over HTTP/1.1: its upgrade, the frames both ways, automatic ones too, and its end."),
	{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [http]}),
	[_|_] = do_until(gun_up),
	WsOpts = #{silence_pings => false},
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [{<<"x-one">>, <<"1">>}], WsOpts),
	Self = self(),
	[{ws_upgrade, #{stream_ref := StreamRef, reply_to := Self, opts := WsOpts}},
		{request_start, #{function := ws_upgrade, method := <<"GET">>, path := <<"/websocket">>, headers := Headers}},
		{request_headers, _}, {request_end, _}, {response_start, _},
		{response_inform, #{status := 101, headers := [_|_], stream_ref := StreamRef}}, gun_upgrade,
		{protocol_changed, #{protocol := ws, stream_ref := StreamRef}}] = do_until(protocol_changed),
	{_, <<"websocket">>} = lists:keyfind(<<"upgrade">>, 1, Headers),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"Hello">>}),
	Sent = #{stream_ref => StreamRef, reply_to => Self, extensions => #{}, frame => {text, <<"Hello">>}},
	Common = #{stream_ref => StreamRef, reply_to => Self, extensions => #{}},
	Start = Common#{frag_state => undefined},
	Header = Start#{type => text, rsv => <<0:3>>, len => 5, mask_key => undefined},
	End = Common#{close_code => undefined, payload => <<"Hello">>},
	[{ws_send_frame_start, Sent}, {ws_send_frame_end, Sent}, {ws_recv_frame_start, Start}, {ws_recv_frame_header, Header},
		{ws_recv_frame_end, End}, gun_ws] = do_until(gun_ws),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {close, 1000, <<"Bye">>}),
	[ws_send_frame_start, ws_send_frame_end, ws_recv_frame_start, ws_recv_frame_header, ws_recv_frame_end, gun_ws,
		disconnect, gun_down] = do_names(do_until(gun_down)),
	#{frame := {close, 1000, <<"Bye">>}} = get({last, ws_send_frame_end}),
	#{close_code := 1000} = get({last, ws_recv_frame_end}),
	ok = gun_rs:close(ConnPid).

tunnel(Config) ->
	doc("A tunnel: the CONNECT, then what the connection leads to and what is spoken there; and a request in it."),
	{TlsPort, Stop} = http2_servers:cowboy(lists:keyreplace(transport, 1, Config, {transport, tls}), #{}),
	_ = [do_tunnel(Scheme, Port, Destination) || {Scheme, Port, Destination} <- [
		{<<"http">>, config(cowboy, Config), #{}},
		%% The handshake with the origin has no events.
		{<<"https">>, TlsPort, #{transport => tls, protocols => [http], tls_opts => [{verify, verify_none}]}}]],
	Stop().

do_tunnel(Scheme, Port, Destination) ->
	Proxy = {_, ProxyPort} = proxies:start(connect, #{}),
	{ok, ConnPid} = do_open(ProxyPort, #{protocols => [http]}),
	[_|_] = do_until(gun_up),
	Self = self(),
	Tunnel = gun_rs:connect(ConnPid, Destination#{host => "localhost", port => Port}, []),
	[{request_start, Request}, {request_headers, Request}, {request_end, _}, {response_start, _},
		{response_headers, #{status := 200, stream_ref := Tunnel}}, {response_end, _},
		{origin_changed, Change}, {protocol_changed, #{protocol := http}}] =
		[Event || Event={_, _} <- do_until(protocol_changed)],
	Authority = iolist_to_binary(["localhost:", integer_to_list(Port)]),
	#{stream_ref := Tunnel, reply_to := Self, function := connect, method := <<"CONNECT">>, authority := Authority} = Request,
	false = is_map_key(path, Request),
	{Change, Change} = {Change, #{type => connect, origin_scheme => Scheme, origin_host => "localhost", origin_port => Port}},
	Inner = gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel}),
	[Tunnel, _] = Inner,
	[{request_start, #{stream_ref := Inner, path := <<"/request">>}}|_] =
		[Event || Event={_, _} <- do_until(response_end)],
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

tunnel_http2(Config) ->
	doc("A tunnel on a stream of HTTP/2: the same, with the stream's name; what ends it is told as the end of a stream."),
	{ProxyPort, Stop} = http2_servers:rust(lists:keyreplace(transport, 1, Config, {transport, tcp}), []),
	{ok, ConnPid} = do_open(ProxyPort, #{protocols => [http2]}),
	[_|_] = do_until(gun_up),
	Port = config(cowboy, Config),
	Tunnel = gun_rs:connect(ConnPid, #{host => "localhost", port => Port, protocols => [http]}, []),
	[{request_start, Request}, {request_headers, Request}, {request_end, _}, {response_start, _},
		{response_headers, #{status := 200, stream_ref := Tunnel}}, {response_end, _},
		{origin_changed, #{stream_ref := Tunnel, type := connect, origin_host := "localhost", origin_port := Port}},
		{protocol_changed, #{protocol := http, stream_ref := Tunnel}}] = [Event || Event={_, _} <- do_until(protocol_changed)],
	#{stream_ref := Tunnel, function := connect, method := <<"CONNECT">>} = Request,
	false = is_map_key(path, Request),
	Inner = [Tunnel, _] = gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel}),
	[{request_start, #{stream_ref := Inner, path := <<"/request">>}}|_] = [Event || Event={_, _} <- do_until(response_end)],
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{tunnel => Tunnel}),
	[{response_inform, #{status := 101, stream_ref := WsRef}}, {protocol_changed, #{protocol := ws, stream_ref := WsRef}}] =
		[Event || Event={Name, _} <- do_until(protocol_changed), Name =:= response_inform orelse Name =:= protocol_changed],
	ok = gun_rs:cancel(ConnPid, Tunnel),
	[_|_] = do_until(cancel),
	#{stream_ref := Tunnel, endpoint := local, reason := cancel} = get({last, cancel}),
	ok = gun_rs:close(ConnPid),
	Stop().

fragments(_) ->
	doc("Each fragment of a message is a frame of its own; a ping between them is answered, and both are told."),
	Frames = [lying_server:frame(0, 0, 1, undefined, "Hel"), lying_server:frame(ping, "x"),
		lying_server:frame(0, 0, 0, undefined, "l"), lying_server:frame(1, 0, 0, undefined, "o")],
	{Server, Port} = lying_server:start([{upgrade, Frames}, frames]),
	{ok, ConnPid} = do_open(Port, #{}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/"),
	[_|_] = do_until(protocol_changed),
	?EXPECT({lying_server, Server, {frame, pong, <<"x">>}}),
	All = do_until(ws_send_frame_end),
	No = <<0:3>>,
	[{undefined, {nofin, text, No}, fragment, <<"Hel">>},
		{{nofin, text, No}, {nofin, text, No}, ping, <<"x">>},
		{{nofin, text, No}, {nofin, text, No}, fragment, <<"l">>},
		{{nofin, text, No}, {fin, text, No}, fragment, <<"o">>}] = do_frames([Event || Event={_, _} <- All]),
	gun_ws = hd([gun_ws || gun_ws <- All]),
	Self = self(),
	#{frame := {pong, <<"x">>}, reply_to := Self, stream_ref := StreamRef} = get({last, ws_send_frame_end}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

do_frames([{ws_recv_frame_start, #{frag_state := Before}}, {ws_recv_frame_header, #{frag_state := Now, type := Type}},
		{ws_recv_frame_end, #{payload := Payload}}|Tail]) ->
	[{Before, Now, Type, Payload}|do_frames(Tail)];
do_frames([_|Tail]) -> do_frames(Tail);
do_frames([]) -> [].

compressed(Config) ->
	doc("Of compressed frames the payload is told as it was before, and which context each end keeps."),
	{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [http]}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/deflate", [], #{compress => true}),
	[_|_] = do_until(protocol_changed),
	Large = binary:copy(<<"compress me">>, 20000),
	ok = gun_rs:ws_send(ConnPid, StreamRef, [{text, <<"Hello">>}, {binary, Large}]),
	[_|_] = do_until(gun_ws),
	[_|_] = do_until(gun_ws),
	Extensions = #{deflate_takeover => takeover, inflate_takeover => takeover},
	#{frame := {binary, Large}, extensions := Extensions} = get({last, ws_send_frame_end}),
	#{payload := Large, extensions := Extensions} = get({last, ws_recv_frame_end}),
	#{rsv := <<1:1, 0:2>>} = get({last, ws_recv_frame_header}),
	ok = gun_rs:close(ConnPid).

sync(Config) ->
	doc("The caller of ws_send_sync is who sends the frame."),
	{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [http]}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	[_|_] = do_until(protocol_changed),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, <<"Hello">>}),
	[_|_] = do_until(gun_ws),
	Self = self(),
	#{reply_to := Self} = get({last, ws_send_frame_start}),
	ok = gun_rs:close(ConnPid).

websocket_http2(Config) ->
	doc("A WebSocket over HTTP/2: the answer is a response, and the stream is named."),
	{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [http2]}),
	[_|_] = do_until(gun_up),
	#{protocol := http2} = get({last, connect_end}),
	StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	[{ws_upgrade, #{opts := Empty}}, {request_start, #{method := <<"CONNECT">>, function := ws_upgrade}},
		{request_headers, _}, {request_end, _}, {response_start, _}, {response_headers, #{status := 200}},
		{response_end, _}, gun_upgrade, {protocol_changed, #{protocol := ws, stream_ref := StreamRef}}] =
		do_until(protocol_changed),
	0 = map_size(Empty),
	ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"Hello">>}),
	[ws_send_frame_start, ws_send_frame_end, ws_recv_frame_start, ws_recv_frame_header, ws_recv_frame_end, gun_ws] =
		do_names(do_until(gun_ws)),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	[{cancel, #{stream_ref := StreamRef, endpoint := local, reason := cancel}}] = do_until(cancel),
	ok = gun_rs:close(ConnPid).

body_in_parts(Config) ->
	doc("A request whose body follows ends with its last part, over both versions of HTTP."),
	_ = [begin
		{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [Protocol]}),
		[_|_] = do_until(gun_up),
		StreamRef = gun_rs:post(ConnPid, "/echo", [{<<"content-type">>, <<"text/plain">>}]),
		[request_start, request_headers] = do_names(do_until(request_headers)),
		#{function := headers, method := <<"POST">>} = get({last, request_headers}),
		ok = gun_rs:data(ConnPid, StreamRef, nofin, <<"Hello ">>),
		ok = gun_rs:data(ConnPid, StreamRef, fin, <<"world!">>),
		[request_end, response_start, gun_response, response_headers|_] = do_names(do_until(response_end)),
		ok = gun_rs:close(ConnPid)
	end || Protocol <- [http, http2]],
	ok.

informs_and_trailers(Config) ->
	doc("Each informational response has a start of its own; trailers come before the end."),
	_ = [begin
		{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [Protocol]}),
		[_|_] = do_until(gun_up),
		_ = gun_rs:get(ConnPid, "/inform?count=2"),
		[request_start, request_headers, request_end, response_start, response_inform, gun_inform, response_start,
			response_inform, gun_inform, response_start, gun_response, response_headers|_] = do_names(do_until(response_end)),
		_ = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
		Names = do_names(do_until(response_end)),
		[gun_trailers, response_trailers, response_end] = lists:nthtail(length(Names) - 3, Names),
		#{headers := [{<<"x-sum">>, <<"12">>}]} = get({last, response_trailers}),
		ok = gun_rs:close(ConnPid)
	end || Protocol <- [http, http2]],
	ok.

cancel_http1(_) ->
	doc("What is cancelled over HTTP/1.1 is answered all the same, and only its events say so."),
	{Server, Port} = lying_server:start([request, wait, {send, lying_server:ok("one")}, frames]),
	{ok, ConnPid} = do_open(Port, #{}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:get(ConnPid, "/"),
	[_|_] = do_until(request_end),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	Self = self(),
	[{cancel, #{stream_ref := StreamRef, reply_to := Self, endpoint := local, reason := cancel}}] = do_until(cancel),
	ok = lying_server:go(Server),
	[response_start, response_end] = do_names(do_until(response_end)),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

cancel_http2(_) ->
	doc("A stream that the server resets is cancelled with its code; so is one that is above the last of a GOAWAY."),
	{Server, Port} = http2_liar:start([open, {answer, fun(Id) -> http2_liar:rst_stream(Id, enhance_your_calm) end},
		{answer, fun(_) -> http2_liar:goaway(1, no_error, <<>>) end}]),
	{ok, ConnPid} = do_open(Port, #{protocols => [http2]}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:get(ConnPid, "/"),
	[{cancel, #{stream_ref := StreamRef, endpoint := remote, reason := enhance_your_calm}}] =
		[Event || Event={cancel, _} <- do_until(cancel)],
	StreamRef2 = gun_rs:get(ConnPid, "/"),
	[{cancel, #{stream_ref := StreamRef2, endpoint := remote, reason := no_error}}] =
		[Event || Event={cancel, _} <- do_until(cancel)],
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

push(Config) ->
	doc("A promise has a start and an end, with the stream of the response that is to come."),
	{ok, ConnPid} = do_open(config(rust, Config), #{protocols => [http2]}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:get(ConnPid, "/push?n=1"),
	Names = do_names(do_until(push_promise_end)),
	[push_promise_start, gun_push, push_promise_end] = lists:nthtail(length(Names) - 3, Names),
	#{stream_ref := StreamRef, promised_stream_ref := NewRef, method := <<"GET">>, uri := <<"http://", _/binary>>,
		headers := [_|_]} = get({last, push_promise_end}),
	true = is_reference(NewRef),
	ok = gun_rs:close(ConnPid).

reconnect(_) ->
	doc("The handler and its state are kept over reconnects; it is initialised once."),
	{Server, Port} = lying_server:start([request, close]),
	{ok, ConnPid} = do_open(Port, #{retry => 5, retry_timeout => 1}),
	[_|_] = do_until(gun_up),
	_ = gun_rs:get(ConnPid, "/"),
	Names = do_names(do_until(gun_up)),
	[request_start, request_headers, request_end, gun_error, disconnect, gun_down, domain_lookup_start, domain_lookup_end,
		connect_start, connect_end, gun_up] = Names,
	#{reason := closed} = get({last, disconnect}),
	ok = gun_rs:close(ConnPid),
	?REFUTE({event, _, terminate, _}),
	lying_server:stop(Server).

switched(_) ->
	doc("A request that the server answers by another protocol: an informational response, and then bytes."),
	{Server, Port} = lying_server:start([{answer, fun(_) -> "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: odd\r\n\r\n" end}]),
	{ok, ConnPid} = do_open(Port, #{protocols => [http]}),
	[_|_] = do_until(gun_up),
	StreamRef = gun_rs:get(ConnPid, "/", [{<<"connection">>, <<"upgrade">>}, {<<"upgrade">>, <<"odd">>}]),
	[{request_start, _}, {request_headers, _}, {request_end, Stream}, {response_start, Stream},
		{response_inform, #{stream_ref := StreamRef, status := 101, headers := [_|_]}}, gun_upgrade,
		{protocol_changed, #{protocol := raw, stream_ref := StreamRef}}] = do_until(protocol_changed),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

raw_over_tls(Config) ->
	doc("The end of a handshake names what is spoken where nothing was agreed on."),
	{Port, Stop} = http2_servers:cowboy(lists:keyreplace(transport, 1, Config, {transport, tls}), #{}),
	{ok, ConnPid} = do_open(Port, #{transport => tls, protocols => [raw], tls_opts => [{verify, verify_none}]}),
	[_|_] = do_until(gun_up),
	#{protocol := raw} = get({last, tls_handshake_end}),
	ok = gun_rs:close(ConnPid),
	Stop().

forgotten_upgrades(Config) ->
	doc("Of upgrades that are cancelled before they begin, or refused, nothing is kept."),
	Marker = <<"a-marker-of-the-upgrade">>,
	WsOpts = #{protocols => [{Marker, gun_ws_h}]},
	Kept = fun(ConnPid) -> binary:match(term_to_binary(sys:get_state(ConnPid)), Marker) =/= nomatch end,
	{Socket, Refused} = refused_port(),
	{ok, Waiting} = do_open(Refused, #{retry => 1000, retry_timeout => 60000}),
	Cancelled = gun_rs:ws_upgrade(Waiting, "/websocket", [], WsOpts),
	true = Kept(Waiting),
	ok = gun_rs:cancel(Waiting, Cancelled),
	true = eventually(fun() -> not Kept(Waiting) end),
	{ok, ConnPid} = do_open(config(cowboy, Config), #{protocols => [http]}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	Bad = gun_rs:ws_upgrade(ConnPid, "/websocket", [], WsOpts#{tunnel => make_ref()}),
	?EXPECT({gun_error, ConnPid, Bad, {badstate, _}}),
	true = eventually(fun() -> not Kept(ConnPid) end),
	_ = [ok = gun_rs:close(Pid) || Pid <- [Waiting, ConnPid]],
	release_port(Socket).

crash_at_the_end(_) ->
	doc("A crash of terminate is the exit reason, without what it was called with, and is remembered as any other."),
	{Socket, Port} = refused_port(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 0, event_handler => {event_recorder_h, {undefined, terminate, self()}}}),
	MRef = monitor(process, ConnPid),
	Reason = ?EXPECT({'DOWN', MRef, process, ConnPid, R}, R),
	{undef, [{no_module, terminate, 2, _}|_]} = Reason,
	{error, {down, Reason}} = gun_rs:await_up(ConnPid, ?WAIT),
	release_port(Socket).

crash(Config) ->
	doc("A crash of a callback is the connection's; in init it is open's error, as is a module that is not there."),
	Opts = #{event_handler => {event_recorder_h, {crash, init, self()}}},
	{error, {{told_to_crash, init}, [_|_]}} = gun_rs:open("localhost", config(cowboy, Config), Opts),
	{error, {undef, [_|_]}} = gun_rs:open("localhost", config(cowboy, Config), #{event_handler => {no_such_module, []}}),
	{ok, ConnPid} = gun_rs:open("localhost", config(cowboy, Config),
		#{event_handler => {event_recorder_h, {crash, request_start, self()}}}),
	MRef = monitor(process, ConnPid),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	_ = gun_rs:get(ConnPid, "/"),
	{told_to_crash, request_start} = ?EXPECT({'DOWN', MRef, process, ConnPid, {Reason, _}}, Reason).

owner_down(Config) ->
	doc("The end of the owner ends the process, and is told."),
	Self = self(),
	Owner = spawn(fun() ->
		{ok, _} = gun_rs:open("localhost", config(cowboy, Config), #{event_handler => {event_recorder_h, {Self, 0}}}),
		receive stop -> ok end
	end),
	_ = do_until(connect_end),
	Owner ! stop,
	Names = do_names(do_until(terminate)),
	terminate = lists:last(Names).

unix_socket(Config) ->
	doc("A Unix domain socket is looked up as in gun, without being looked up."),
	Path = filename:join("/tmp", "gun_rs_events_" ++ os:getpid()),
	_ = file:delete(Path),
	_ = config(cowboy, Config),
	{Server, _} = lying_server:start([request, {send, lying_server:ok("one")}, frames], [{ifaddr, {local, Path}}]),
	{ok, ConnPid} = gun_rs:open_unix(Path, #{event_handler => {event_recorder_h, {self(), 0}}}),
	[init, domain_lookup_start, domain_lookup_end, connect_start, connect_end, gun_up] = do_names(do_until(gun_up)),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	_ = file:delete(Path),
	ok.

nothing_without_a_handler(Config) ->
	doc("Without a handler info/1 shows none, and nothing is reported."),
	{ok, ConnPid} = gun_rs:open("localhost", config(cowboy, Config), #{protocols => [http]}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	#{event_handler := undefined, event_handler_state := undefined} = gun_rs:info(ConnPid),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid).

do_open(Port, Opts) ->
	gun_rs:open("localhost", Port, maps:merge(#{event_handler => {event_recorder_h, {self(), 0}}}, Opts)).

%% The events, and the names of the messages among them, up to this one.
do_until(Last) ->
	do_until(Last, []).

do_until(Last, Seen) ->
	receive
		{event, _, Name, Event} ->
			_ = put({last, Name}, Event),
			do_next(Name, Last, [{Name, Event}|Seen]);
		Message when element(1, Message) =/= lying_server, element(1, Message) =/= http2_liar,
				element(1, Message) =/= '$gen_call' ->
			do_next(element(1, Message), Last, [element(1, Message)|Seen])
	after ?WAIT ->
		error({no_event, Last, lists:reverse(Seen)})
	end.

do_next(Last, Last, Seen) -> lists:reverse(Seen);
do_next(_, Last, Seen) -> do_until(Last, Seen).

do_names(Seen) ->
	[case Entry of {Name, _} -> Name; Name -> Name end || Entry <- Seen].

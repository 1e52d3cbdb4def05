%% Tunnels by way of proxies that speak HTTP/2: each is a stream of a connection, which goes on beside it.
-module(gun_rs_tunnel_http2_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

-define(ORIGIN, {http, tcp, tcp, [http]}).
-define(HTTPS, {https, tls, tls, [http]}).
-define(HTTP2, {h2c, tcp, tcp, [http2]}).
-define(RAW, {raw, raw, tcp, [raw]}).
-define(NO_TUNNEL, {badstate, "The stream is not a tunnel."}).

init_per_suite(Config) ->
	tunnel_ways:init(Config).

end_per_suite(Config) ->
	tunnel_ways:stop(Config).

%% The table of ways.

one_proxy(Config) ->
	doc("Through one proxy that speaks HTTP/2, to each origin."),
	tunnel_ways:check([[Hop] || Hop <- tunnel_ways:hops2()], Config).

two_proxies(Config) ->
	doc("Through two proxies of which one or both speak HTTP/2, to each origin."),
	All = tunnel_ways:hops() ++ tunnel_ways:hops2(),
	tunnel_ways:check([[A, B] || A <- All, B <- All, do_is_http2([A, B])], Config).

three_proxies(Config) ->
	doc("Through three proxies, some of which speak HTTP/2, to each origin."),
	Some = [{connect, tcp}, {socks, tls}|tunnel_ways:hops2()],
	tunnel_ways:check([[A, B, C] || A <- Some, B <- Some, C <- Some, do_is_http2([A, B, C])], Config).

do_is_http2(Hops) ->
	lists:keymember(connect2, 1, Hops).

%% One proxy.

do_proxy(Config) ->
	do_proxy(Config, #{}).

do_proxy(Config, Opts) ->
	do_open(config({connect2, tcp}, config(proxies, Config)), Opts).

do_open(Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, maps:merge(#{protocols => [http2], retry => 0}, Opts)),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

do_origin(Config) ->
	#{tcp := Port} = config(origins, Config),
	#{host => "localhost", port => Port}.

do_up(ConnPid, Destination) ->
	do_up(ConnPid, Destination, #{}).

do_up(ConnPid, Destination, ReqOpts) ->
	StreamRef = gun_rs:connect(ConnPid, Destination, [], ReqOpts),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{up, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	StreamRef.

%% A proxy that grants a tunnel, and then does this.
do_lie(Steps) ->
	do_lie([], Steps).

do_lie(Settings, Steps) ->
	http2_liar:start([{open, Settings}, {answer, fun(StreamId) -> do_granted(StreamId) end}|Steps]).

do_granted(StreamId) ->
	http2_liar:headers(StreamId, nofin, [{":status", "200"}]).

do_is_alive(ConnPid, Config) ->
	Other = do_up(ConnPid, do_origin(Config)),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Other})),
	ok.

beside(Config) ->
	doc("Many tunnels, what is in them, and requests to the proxy go on beside each other; the connection stays the proxy's."),
	ConnPid = do_proxy(Config),
	Before = gun_rs:info(ConnPid),
	#{tls := TlsPort, raw := RawPort} = config(origins, Config),
	One = do_up(ConnPid, do_origin(Config)),
	Two = do_up(ConnPid, (do_origin(Config))#{protocols => [http2]}),
	Three = do_up(ConnPid, #{host => "localhost", port => TlsPort, transport => tls, tls_opts => tunnel_ways:tls_opts(Config)}),
	Four = do_up(ConnPid, #{host => "localhost", port => RawPort, protocols => [raw]}),
	Held = [gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], #{tunnel => Tunnel, flow => 1})
		|| Tunnel <- [One, Two, Three]],
	_ = [{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT) || StreamRef <- Held],
	{200, _, <<"hello">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "hello")),
	ok = gun_rs:data(ConnPid, Four, nofin, "raw"),
	{data, nofin, <<"raw">>} = gun_rs:await(ConnPid, Four, ?WAIT),
	{200, _, <<"inner">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "inner", #{tunnel => Two})),
	_ = [begin
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
		{ok, Body} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
		10000000 = byte_size(Body)
	end || StreamRef <- Held],
	Ping = gun_rs:ping(ConnPid, #{tunnel => Two}),
	?EXPECT({gun_notify, ConnPid, ping_ack, Ping}),
	_ = gun_rs:ping(ConnPid, #{tunnel => One}),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	Same = [protocol, origin_host, origin_port, origin_scheme, transport, intermediaries, state_name],
	After = gun_rs:info(ConnPid),
	{Kept, Kept} = {maps:with(Same, Before), maps:with(Same, After)},
	ok = gun_rs:close(ConnPid).

names(Config) ->
	doc("A stream by way of what is no tunnel, or not yet, is refused by its whole name; so is another tunnel."),
	{Server, Port} = http2_liar:start([open, wait]),
	Pending = do_open(Port, #{}),
	PendingRef = gun_rs:connect(Pending, do_origin(Config)),
	Early = [PendingRef, _] = gun_rs:get(Pending, "/", [], #{tunnel => PendingRef}),
	?EXPECT({gun_error, Pending, Early, ?NO_TUNNEL}),
	Self = self(),
	{ok, Known=#{ref := PendingRef, reply_to := Self, state := running}} = gun_rs:stream_info(Pending, PendingRef),
	[] = maps:keys(maps:with([tunnel, intermediaries], Known)),
	ok = gun_rs:close(Pending),
	http2_liar:stop(Server),
	ConnPid = do_proxy(Config),
	Tunnel = do_up(ConnPid, do_origin(Config)),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, "/", [], #{tunnel => Wrong}),
		?EXPECT({gun_error, ConnPid, StreamRef, ?NO_TUNNEL})
	end || Wrong <- [make_ref(), [Tunnel, make_ref()], [make_ref(), Tunnel]]],
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{tunnel => make_ref()}),
	?EXPECT({gun_error, ConnPid, WsRef, ?NO_TUNNEL}),
	ok = gun_rs:data(ConnPid, Tunnel, nofin, "no"),
	?EXPECT({gun_error, ConnPid, Tunnel, {badstate, _}}),
	ok = gun_rs:ws_send(ConnPid, [Tunnel, make_ref()], {text, "no"}),
	?EXPECT({gun_error, ConnPid, {badstate, _}}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, [Tunnel, make_ref()]),
	#{tcp := OriginPort} = config(origins, Config),
	{ok, Info=#{ref := Tunnel, tunnel := #{transport := tcp, protocol := http, origin_scheme := <<"http">>,
		origin_host := "localhost", origin_port := OriginPort}}} = gun_rs:stream_info(ConnPid, Tunnel),
	false = is_map_key(intermediaries, Info),
	ok = gun_rs:cancel(ConnPid, Tunnel),
	{ok, undefined} = gun_rs:stream_info(ConnPid, Tunnel),
	ok = gun_rs:close(ConnPid).

on_the_wire(_) ->
	doc("The CONNECT has its method and its authority alone, who the user is, and the user's headers without a host."),
	{Server, Port} = http2_liar:start([open, {answer_all, fun(StreamId, _) ->
		http2_liar:headers(StreamId, fin, [{":status", "204"}])
	end}]),
	ConnPid = do_open(Port, #{}),
	Basic = <<"Basic ", (base64:encode("me:secret"))/binary>>,
	_ = [begin
		StreamRef = gun_rs:connect(ConnPid, Destination, Headers),
		{response, fin, 204, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		Expected = ?EXPECT({http2_liar, Server, {headers, _, nofin, Asked}}, Asked)
	end || {Destination, Headers, Expected} <- [
		{#{host => "origin", port => 443}, [], [{<<":method">>, <<"CONNECT">>}, {<<":authority">>, <<"origin:443">>}]},
		{#{host => {0, 0, 0, 0, 0, 0, 0, 1}, port => 80, username => "me", password => "secret"},
			[{"host", "other"}, {"content-length", "5"}, {"x-a", "b"}],
			[{<<":method">>, <<"CONNECT">>}, {<<":authority">>, <<"[::1]:80">>},
				{<<"proxy-authorization">>, Basic}, {<<"x-a">>, <<"b">>}]}
	]],
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

host_of_requests(Config) ->
	doc("Requests in the tunnel name the destination, without a default port, and HTTP/2 in TLS the scheme https."),
	{Server, Port} = do_lie([]),
	ConnPid = do_open(Port, #{}),
	Tunnel = do_up(ConnPid, #{host => "origin.example", port => 80}),
	_ = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	Sent = ?EXPECT({http2_liar, Server, {data, 1, nofin, D}}, D),
	{_, _} = binary:match(Sent, <<"\r\nhost: origin.example\r\n">>),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server),
	_ = [begin
		{Through, ReqOpts} = tunnel_ways:open([{connect2, tcp}], Origin, #{}, Config),
		{200, _, Body} = answer(Through, gun_rs:get(Through, "/request", [], ReqOpts)),
		#{scheme := Scheme, host := <<"localhost">>, port := OriginPort} = binary_to_term(Body),
		OriginPort = map_get(element(2, Origin), config(origins, Config)),
		ok = gun_rs:close(Through)
	end || {Origin, Scheme} <- [{?HTTP2, <<"http">>}, {{http2, tls, tls, [http2]}, <<"https">>}]],
	ok.

options(Config) ->
	doc("What a destination says of HTTP/1.1 counts there, and not behind it, where the options of open do."),
	ConnPid = do_proxy(Config),
	Http10 = [http2, {http, #{version => 'HTTP/1.0'}}],
	Proxy = #{host => "localhost", port => config({connect2, tls}, config(proxies, Config)), transport => tls,
		tls_opts => tunnel_ways:tls_opts(Config), protocols => Http10},
	Tunnel = do_up(ConnPid, Proxy),
	Inner = do_up(ConnPid, do_origin(Config), #{tunnel => Tunnel}),
	{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Inner})),
	#{version := 'HTTP/1.1'} = binary_to_term(Body),
	Old = do_up(ConnPid, (do_origin(Config))#{protocols => tl(Http10)}, #{tunnel => Tunnel}),
	{200, _, OldBody} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Old})),
	#{version := 'HTTP/1.0'} = binary_to_term(OldBody),
	ok = gun_rs:close(ConnPid).

switched(_) ->
	doc("A request in a tunnel that is answered with a 101 goes on as raw, by its own name."),
	Head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
	{Server, Port} = do_lie([{await, data}, {send, http2_liar:data(1, nofin, [Head, "early"])}, {await, data},
		{send, http2_liar:data(1, fin, "late")}]),
	ConnPid = do_open(Port, #{}),
	Tunnel = do_up(ConnPid, #{host => "localhost", port => 80}),
	StreamRef = gun_rs:get(ConnPid, "/", [{"connection", "upgrade"}, {"upgrade", "echo"}], #{tunnel => Tunnel}),
	{upgrade, [<<"echo">>], _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{data, nofin, <<"early">>} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "hello"),
	?EXPECT({http2_liar, Server, {data, 1, nofin, <<"hello">>}}),
	{data, nofin, <<"late">>} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	_ = [?EXPECT({gun_error, ConnPid, Ended, {stream_error, closed, _}}) || Ended <- [StreamRef, Tunnel]],
	#{protocol := http2} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

refused(Config) ->
	doc("A refusal is a response with its body, and nothing else changes; so is a success that ends the stream."),
	ConnPid = do_proxy(Config),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 1}),
	{502, _, <<"There is no way", _/bits>>} = answer(ConnPid, StreamRef),
	Inner = gun_rs:get(ConnPid, "/", [], #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, Inner, ?NO_TUNNEL}),
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid),
	{Server, Port} = http2_liar:start([open, {answer, fun(StreamId) -> http2_liar:rst_stream(StreamId, refused_stream) end}]),
	Reset = do_open(Port, #{}),
	ResetRef = gun_rs:connect(Reset, do_origin(Config)),
	?EXPECT({gun_error, Reset, ResetRef, {stream_error, refused_stream, _}}),
	ok = gun_rs:close(Reset),
	http2_liar:stop(Server).

no_answer(_) ->
	doc("A proxy that does not answer in time is left by a reset, and the connection stays."),
	{Server, Port} = http2_liar:start([open]),
	ConnPid = do_open(Port, #{}),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 80}, [], #{response_timeout => 100}),
	?EXPECT({gun_error, ConnPid, StreamRef, {timeout, response}}),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

reset(_) ->
	doc("A tunnel that is reset ends its streams with that, and then itself; the connection stays."),
	{Server, Port} = do_lie([{await, data}, wait, {send, http2_liar:rst_stream(1, connect_error)}]),
	ConnPid = do_open(Port, #{}),
	Tunnel = do_up(ConnPid, #{host => "localhost", port => 80}),
	Inner = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	?EXPECT({http2_liar, Server, {data, 1, nofin, <<"GET / HTTP/1.1\r\n", _/bits>>}}),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/", [], #{tunnel => Tunnel}),
	http2_liar:go(Server),
	_ = [?EXPECT({gun_error, ConnPid, StreamRef, {stream_error, connect_error, _}}) || StreamRef <- [Inner, WsRef, Tunnel]],
	Late = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	?EXPECT({gun_error, ConnPid, Late, ?NO_TUNNEL}),
	#{state_name := connected} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

ended(_) ->
	doc("The end of the stream is the end of the bytes: a body that has no length is complete, and the tunnel is over."),
	Response = "HTTP/1.1 200 OK\r\n\r\nto the end",
	{Server, Port} = do_lie([{await, data}, {send, http2_liar:data(1, fin, Response)}]),
	ConnPid = do_open(Port, #{}),
	Tunnel = do_up(ConnPid, #{host => "localhost", port => 80}),
	Inner = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	{200, _, <<"to the end">>} = answer(ConnPid, Inner),
	Reason = ?EXPECT({gun_error, ConnPid, Tunnel, R={stream_error, closed, 'Tunnel closed unexpectedly.'}}, R),
	[_|_] = unicode:characters_to_list(gun_rs:format_error(Reason)),
	?EXPECT({http2_liar, Server, {data, 1, fin, <<>>}}),
	#{state_name := connected} = gun_rs:info(ConnPid),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

going_away(_) ->
	doc("A proxy that goes away has its tunnels until closing_timeout; those that it has not begun with end at once."),
	{Server, Port} = do_lie([{await, headers}, {send, http2_liar:goaway(1, no_error, <<>>)}]),
	ConnPid = do_open(Port, #{http2_opts => #{closing_timeout => 300}}),
	Tunnel = do_up(ConnPid, #{host => "localhost", port => 80}),
	Inner = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	Refused = gun_rs:connect(ConnPid, #{host => "localhost", port => 80}),
	?EXPECT({gun_error, ConnPid, Refused, {goaway, no_error, _}}),
	?EXPECT({gun_error, ConnPid, Inner, {closed, normal}}),
	?EXPECT({gun_error, ConnPid, Tunnel, {closed, normal}}),
	Killed = ?EXPECT({gun_down, ConnPid, http2, normal, K}, K),
	[Inner, Tunnel] = Killed,
	http2_liar:stop(Server).

lost(Config) ->
	doc("A connection that is lost ends all in its tunnels by their whole names; the next one has none of them."),
	{Server, Port} = do_lie([{await, data}, reset]),
	ConnPid = do_open(Port, #{retry => 1000, retry_timeout => 20}),
	Tunnel = do_up(ConnPid, do_origin(Config)),
	Inner = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	_ = [?EXPECT({gun_error, ConnPid, StreamRef, _}) || StreamRef <- [Inner, Tunnel]],
	?EXPECT({gun_down, ConnPid, http2, _, [Inner, Tunnel]}),
	?EXPECT({gun_up, ConnPid, http2}),
	Dead = gun_rs:get(ConnPid, "/", [], #{tunnel => Tunnel}),
	?EXPECT({gun_error, ConnPid, Dead, ?NO_TUNNEL}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, Tunnel),
	_ = do_up(ConnPid, do_origin(Config)),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

cancel(Config) ->
	doc("A tunnel is cancelled by a reset, before it is up and afterwards: its streams learn that, and the others go on."),
	{Server, Port} = http2_liar:start([open]),
	Pending = do_open(Port, #{}),
	PendingRef = gun_rs:connect(Pending, do_origin(Config)),
	?EXPECT({http2_liar, Server, {headers, 1, nofin, _}}),
	ok = gun_rs:cancel(Pending, PendingRef),
	?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
	ok = gun_rs:close(Pending),
	http2_liar:stop(Server),
	ConnPid = do_proxy(Config),
	[One, Two] = [do_up(ConnPid, do_origin(Config)) || _ <- [1, 2]],
	[Inner, Other] = [gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], #{tunnel => Tunnel, flow => 1})
		|| Tunnel <- [One, Two]],
	_ = [{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT) || StreamRef <- [Inner, Other]],
	ok = gun_rs:cancel(ConnPid, One),
	?EXPECT({gun_error, ConnPid, Inner, {closed, normal}}),
	ok = gun_rs:update_flow(ConnPid, Other, 1000000),
	{ok, _} = gun_rs:await_body(ConnPid, Other, ?WAIT),
	ok = gun_rs:cancel(ConnPid, One),
	?EXPECT({gun_error, ConnPid, One, {badstate, "The stream cannot be found."}}),
	?REFUTE({gun_error, ConnPid, _, _}),
	ok = gun_rs:close(ConnPid).

tls_fails_inside(Config) ->
	doc("TLS that fails in the tunnel ends the tunnel alone, by its alert; so does one that takes too long."),
	ConnPid = do_proxy(Config),
	#{tls := Port} = config(origins, Config),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => Port, transport => tls}),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	Reason = ?EXPECT({gun_error, ConnPid, StreamRef, R={stream_error, {tls_alert, {unknown_ca, _}}, _}}, R),
	[_|_] = unicode:characters_to_list(gun_rs:format_error(Reason)),
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid),
	{Server, SlowPort} = do_lie([]),
	Slow = do_open(SlowPort, #{}),
	SlowRef = gun_rs:connect(Slow, #{host => "localhost", port => 443, transport => tls, tls_handshake_timeout => 100}),
	?EXPECT({gun_error, Slow, SlowRef, {stream_error, {error, timeout}, _}}),
	#{state_name := connected} = gun_rs:info(Slow),
	ok = gun_rs:close(Slow),
	http2_liar:stop(Server).

http1_closes(Config) ->
	doc("What ends HTTP/1.1 in a tunnel ends the tunnel alone: a closing server, and one that dies."),
	ConnPid = do_proxy(Config),
	Closing = do_up(ConnPid, do_origin(Config)),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [{"connection", "close"}], #{tunnel => Closing})),
	?EXPECT({gun_error, ConnPid, Closing, {stream_error, _, _}}),
	Dying = do_up(ConnPid, do_origin(Config)),
	Inner = gun_rs:get(ConnPid, "/die", [], #{tunnel => Dying}),
	?EXPECT({gun_error, ConnPid, Inner, closed}),
	?EXPECT({gun_error, ConnPid, Dying, {stream_error, closed, _}}),
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid).

websockets(Config) ->
	doc("A WebSocket over HTTP/1.1 in a tunnel ends with it; one over HTTP/2 leaves it."),
	ConnPid = do_proxy(Config),
	_ = [begin
		Tunnel = do_up(ConnPid, (do_origin(Config))#{protocols => [Protocol]}),
		WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{tunnel => Tunnel, compress => true}),
		{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
		Frames = [{binary, <<N:32>>} || N <- lists:seq(1, 1000)],
		ok = gun_rs:ws_send(ConnPid, WsRef, Frames),
		_ = [{ws, Frame} = gun_rs:await(ConnPid, WsRef, ?WAIT) || Frame <- Frames],
		ok = gun_rs:ws_send_sync(ConnPid, WsRef, {text, "last"}),
		{ws, {text, <<"last">>}} = gun_rs:await(ConnPid, WsRef, ?WAIT),
		{ok, #{ref := WsRef, stats := #{frames_in := 1001}}} = gun_rs:stream_info(ConnPid, WsRef),
		ok = gun_rs:ws_send(ConnPid, WsRef, close),
		?EXPECT({gun_ws, ConnPid, WsRef, close}),
		_ = [?EXPECT({gun_error, ConnPid, Tunnel, {stream_error, normal, _}}) || Protocol =:= http],
		_ = [{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel})) || Protocol =:= http2]
	end || Protocol <- [http, http2]],
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid).

raw(Config) ->
	doc("Raw in a tunnel goes by the tunnel's name; fin ends what is sent, and what is received still comes."),
	ConnPid = do_proxy(Config),
	#{raw := Port} = config(origins, Config),
	Tunnel = do_up(ConnPid, #{host => "localhost", port => Port, protocols => [raw]}),
	Bytes = crypto:strong_rand_bytes(1000000),
	ok = gun_rs:data(ConnPid, Tunnel, nofin, Bytes),
	ok = gun_rs:data_sync(ConnPid, Tunnel, fin, <<"end">>),
	Expected = <<Bytes/binary, "end">>,
	Expected = do_collect(ConnPid, Tunnel, byte_size(Expected), <<>>),
	?EXPECT({gun_error, ConnPid, Tunnel, {stream_error, closed, _}}),
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid).

do_collect(_, _, Size, Acc) when byte_size(Acc) >= Size -> Acc;
do_collect(ConnPid, StreamRef, Size, Acc) ->
	{data, nofin, Bytes} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	do_collect(ConnPid, StreamRef, Size, <<Acc/binary, Bytes/binary>>).

much(Config) ->
	doc("Much goes through tunnels, whole, within small windows: a large body each way."),
	Body = crypto:strong_rand_bytes(16#1000000),
	Hash = crypto:hash(sha256, Body),
	Small = #{initial_connection_window_size => 65535, initial_stream_window_size => 65535},
	_ = [begin
		{ConnPid, ReqOpts} = tunnel_ways:open(Hops, Origin, #{http2_opts => Small}, Config),
		{200, _, Answer} = answer(ConnPid, gun_rs:post(ConnPid, "/hash", [], Body, ReqOpts)),
		{16#1000000, Hash} = binary_to_term(Answer),
		StreamRef = gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], ReqOpts),
		{200, _, Pieces} = answer(ConnPid, StreamRef),
		10000000 = byte_size(Pieces),
		ok = gun_rs:close(ConnPid)
	end || {Hops, Origin} <- [{[{connect2, tls}], ?HTTPS}, {[{connect2, tcp}, {connect2, tls}], ?HTTP2}]],
	ok.

shutdown(Config) ->
	doc("shutdown/1 ends gracefully what is spoken in the tunnels."),
	Patient = #{closing_timeout => ?WAIT},
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect2, tcp}], ?ORIGIN, #{http_opts => Patient, http2_opts => Patient}, Config),
	MRef = monitor(process, ConnPid),
	_ = do_up(ConnPid, do_origin(Config)),
	StreamRef = gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], ReqOpts#{flow => 1}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:shutdown(ConnPid),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
	{ok, Body} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	10000000 = byte_size(Body),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}).

socks_fails_inside(Config) ->
	doc("A SOCKS proxy behind it that refuses ends the tunnel alone, with its reason."),
	Socks = {_, Port} = proxies:start(socks, #{do => {reply, 5}}),
	ConnPid = do_proxy(Config),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => Port, protocols => [{socks, do_origin(Config)}]}),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{up, socks} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	?EXPECT({gun_error, ConnPid, StreamRef, {stream_error, {error, {socks5, connection_refused}}, _}}),
	do_is_alive(ConnPid, Config),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Socks).

receivers(Config) ->
	doc("What a tunnel says goes to its reply_to, what its streams say to theirs."),
	ConnPid = do_proxy(Config),
	Self = self(),
	ReplyTo = fun(Message) -> Self ! {told, Message} end,
	StreamRef = gun_rs:connect(ConnPid, do_origin(Config), [], #{reply_to => ReplyTo}),
	?EXPECT({told, {gun_response, ConnPid, StreamRef, fin, 200, _}}),
	?EXPECT({told, {gun_tunnel_up, ConnPid, StreamRef, http}}),
	Inner = gun_rs:get(ConnPid, "/die", [], #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, Inner, closed}),
	?EXPECT({told, {gun_error, ConnPid, StreamRef, {stream_error, closed, _}}}),
	ok = gun_rs:close(ConnPid).

cookies(Config) ->
	doc("Cookies in a tunnel are those of its origin, and beside it those of the proxy."),
	ConnPid = do_proxy(Config, #{cookie_store => tunnel_ways:cookies()}),
	Tunnel = do_up(ConnPid, do_origin(Config)),
	{200, _, Inside} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies", [], #{tunnel => Tunnel})),
	{match, _} = re:run(Inside, "origin=1"),
	nomatch = re:run(Inside, "proxy=1"),
	{200, _, Beside} = answer(ConnPid, gun_rs:get(ConnPid, "/headers")),
	{match, _} = re:run(Beside, "proxy=1"),
	nomatch = re:run(Beside, "origin=1"),
	Asked = http_modules_h:asked(#{set => [<<"set=1; path=/">>]}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies", Asked, #{tunnel => Tunnel})),
	{200, _, Again} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies", [], #{tunnel => Tunnel})),
	{match, _} = re:run(Again, "set=1"),
	ok = gun_rs:close(ConnPid).

too_many(Config) ->
	doc("A tunnel is a stream that counts for the server's limit, until it is over."),
	{Port, Stop} = http2_servers:rust([{transport, tcp}|Config], ["--max-streams", "1"]),
	ConnPid = do_open(Port, #{http2_opts => #{notify_settings_changed => true}}),
	?EXPECT({gun_notify, ConnPid, settings_changed, _}),
	Tunnel = do_up(ConnPid, do_origin(Config)),
	Waiting = gun_rs:get(ConnPid, "/bytes?n=1"),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel})),
	{error, timeout} = gun_rs:await(ConnPid, Waiting, 100),
	ok = gun_rs:cancel(ConnPid, Tunnel),
	{200, _, _} = answer(ConnPid, Waiting),
	ok = gun_rs:close(ConnPid),
	Stop().

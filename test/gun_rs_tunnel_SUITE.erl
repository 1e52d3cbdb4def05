%% Tunnels by way of proxies that speak HTTP/1.1 and SOCKS, one behind the other, and what is spoken at their ends.
-module(gun_rs_tunnel_SUITE).

-define(NEEDS, [cowboy, gun_rs, certs]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

-define(ORIGIN, {http, tcp, tcp, [http]}).

groups() ->
	[{ways, [one_proxy, two_proxies, three_proxies]},
		{http1, gun_rs_suite:cases(?MODULE) -- [one_proxy, two_proxies, three_proxies]}].

init_per_group(_, Config) ->
	tunnel_ways:init(Config).

end_per_group(_, Config) ->
	tunnel_ways:stop(Config).

%% The table of ways.

one_proxy(Config) ->
	doc("Through one proxy of each kind to each origin."),
	tunnel_ways:check([[Hop] || Hop <- tunnel_ways:hops()], Config).

two_proxies(Config) ->
	doc("Through two proxies of all kinds to each origin."),
	tunnel_ways:check([[A, B] || A <- tunnel_ways:hops(), B <- tunnel_ways:hops()], Config).

three_proxies(Config) ->
	doc("Through three proxies of all kinds to each origin."),
	tunnel_ways:check([[A, B, C] || A <- tunnel_ways:hops(), B <- tunnel_ways:hops(), C <- tunnel_ways:hops()], Config).

%% One proxy that speaks HTTP/1.1.

do_open({_, Port}) ->
	do_open(Port, #{}).

do_open({_, Port}, Opts) ->
	do_open(Port, Opts);
do_open(Port, Opts) ->
	open(Port, maps:merge(#{retry => 0}, Opts)).

do_origin(Config) ->
	#{tcp := Port} = config(origins, Config),
	#{host => "127.0.0.1", port => Port}.

do_up(ConnPid, Destination) ->
	StreamRef = gun_rs:connect(ConnPid, Destination),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{up, http} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	StreamRef.

on_the_wire(Config) ->
	doc("The proxy is asked for the host and the port; what the user gives stands there once."),
	Proxy = {Pid, _} = proxies:start(connect, #{do => close}),
	#{tcp := Port} = config(origins, Config),
	Basic = base64:encode("me:secret:too"),
	Target = ["127.0.0.1:", integer_to_list(Port)],
	_ = [begin
		ConnPid = do_open(Proxy),
		_ = gun_rs:connect(ConnPid, maps:merge(do_origin(Config), More), Headers),
		Asked = ?EXPECT({proxy, Pid, {asked, A}}, A),
		[Line|Lines] = binary:split(Asked, <<"\r\n">>, [global]),
		[Line, Lines0] = [iolist_to_binary(["CONNECT ", Target, " HTTP/1.1"]), lists:sort(Lines)],
		Lines0 = lists:sort([iolist_to_binary(E) || E <- Expected]),
		ok = gun_rs:close(ConnPid)
	end || {More, Headers, Expected} <- [
		{#{}, [], [["host: ", Target]]},
		{#{username => "me", password => [<<"secret">>, ":too"]}, [{"x-a", "b"}],
			[["host: ", Target], ["proxy-authorization: Basic ", Basic], "x-a: b"]},
		{#{username => "me"}, [{"content-length", "5"}, {"transfer-encoding", "chunked"}, {"host", "other"}], ["host: other"]},
		{#{username => "me", password => "x"}, #{<<"proxy-authorization">> => "Bearer y"},
			[["host: ", Target], "proxy-authorization: Bearer y"]}
	]],
	ConnPid = do_open(Proxy),
	_ = gun_rs:connect(ConnPid, #{host => {0, 0, 0, 0, 0, 0, 0, 1}, port => 80}),
	?EXPECT({proxy, Pid, {asked, <<"CONNECT [::1]:80 HTTP/1.1\r\nhost: [::1]:80">>}}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

host_of_requests(Config) ->
	doc("Requests in the tunnel name the destination, and no length is missing from what follows them."),
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect, tcp}], ?ORIGIN, #{}, Config),
	#{tcp := Port} = config(origins, Config),
	{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], ReqOpts)),
	Host = iolist_to_binary(["localhost:", integer_to_list(Port)]),
	#{headers := #{<<"host">> := Host}} = binary_to_term(Body),
	StreamRef = gun_rs:post(ConnPid, "/echo", [], ReqOpts),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "a"),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "b"),
	{200, _, <<"ab">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

refused(_) ->
	doc("A refusal is a response with its body; the connection stays what it is, and the tunnel is none."),
	Proxy = proxies:start(connect, #{do => {answer, "HTTP/1.1 407 Who\r\ncontent-length: 4\r\n\r\nwho?"}}),
	ConnPid = do_open(Proxy),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 80}),
	{407, _, <<"who?">>} = answer(ConnPid, StreamRef),
	#{intermediaries := [], protocol := http} = gun_rs:info(ConnPid),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	Inner = [StreamRef, _] = gun_rs:get(ConnPid, "/", [], #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, Inner, {badstate, "The stream is not a tunnel."}}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

names(Config) ->
	doc("Streams are named by the tunnel that they are in: with none, or a wrong one, they are refused."),
	{ConnPid, #{tunnel := Tunnel}} = tunnel_ways:open([{connect, tcp}], ?ORIGIN, #{}, Config),
	Bare = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, Bare, {badstate, _}}),
	BareWs = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_error, ConnPid, BareWs, {badstate, _}}),
	Wrong = gun_rs:get(ConnPid, "/", [], #{tunnel => make_ref()}),
	?EXPECT({gun_error, ConnPid, Wrong, {badstate, "The stream is not a tunnel."}}),
	Deep = gun_rs:get(ConnPid, "/", [], #{tunnel => [Tunnel, make_ref()]}),
	?EXPECT({gun_error, ConnPid, Deep, {badstate, "The stream is not a tunnel."}}),
	Other = gun_rs:connect(ConnPid, do_origin(Config)),
	?EXPECT({gun_error, ConnPid, Other, {badstate, _}}),
	_ = gun_rs:ping(ConnPid, #{tunnel => make_ref()}),
	?EXPECT({gun_error, ConnPid, {badstate, "The stream is not a tunnel."}}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, make_ref()),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Tunnel})),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => [Tunnel]})),
	ok = gun_rs:close(ConnPid).

not_alone(Config) ->
	doc("A connection that speaks HTTP/1.1 becomes the tunnel as a whole: no other stream may be open on it."),
	Proxy = proxies:start(connect, #{}),
	{Server, Port} = lying_server:start([{read_to, <<"\r\n\r\n">>}, wait]),
	ConnPid = do_open(Port, #{}),
	_ = gun_rs:get(ConnPid, "/"),
	StreamRef = gun_rs:connect(ConnPid, do_origin(Config)),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate,
		"CONNECT can only be used with HTTP/1.1 when no other streams are active."}}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server),
	proxies:stop(Proxy).

info(Config) ->
	doc("stream_info/2 says where a tunnel leads, and what stands before a stream in it; the host is as the user gave it."),
	Proxy = {_, Port} = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	#{tcp := OriginPort} = config(origins, Config),
	_ = [begin
		#{origin_host := "127.0.0.1", intermediaries := []} = gun_rs:info(ConnPid)
	end],
	StreamRef = do_up(ConnPid, #{host => <<"localhost">>, port => OriginPort}),
	#{origin_host := <<"localhost">>, origin_port := OriginPort, state_name := connected} = gun_rs:info(ConnPid),
	Via = #{type => connect, host => "127.0.0.1", port => Port, transport => tcp, protocol => http},
	{ok, #{ref := StreamRef, reply_to := undefined, state := running, intermediaries := [], tunnel := Tunnel}} =
		gun_rs:stream_info(ConnPid, StreamRef),
	#{transport := tcp, protocol := http, origin_scheme := <<"http">>, origin_host := <<"localhost">>,
		origin_port := OriginPort} = Tunnel,
	Inner = gun_rs:post(ConnPid, "/echo", [], #{tunnel => StreamRef}),
	Self = self(),
	{ok, #{ref := Inner, reply_to := Self, state := running, intermediaries := [Via]}} =
		gun_rs:stream_info(ConnPid, Inner),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

early_bytes(Config) ->
	doc("What follows the proxy's answer in the same packet, or comes piece by piece, is the tunnel's."),
	#{raw := Port} = config(origins, Config),
	_ = [begin
		Proxy = proxies:start(connect, #{do => Do}),
		ConnPid = do_open(Proxy),
		StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => Port, protocols => [raw]}),
		{response, fin, 201, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		{up, raw} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
		<<"early">> = do_collect(ConnPid, StreamRef, 5, <<>>),
		ok = gun_rs:data(ConnPid, StreamRef, nofin, "late"),
		<<"late">> = do_collect(ConnPid, StreamRef, 4, <<>>),
		ok = gun_rs:close(ConnPid),
		proxies:stop(Proxy)
	end || Do <- [{lead, "HTTP/1.1 201 Yes\r\ncontent-length: 3\r\n\r\nearly"},
		{pieces, <<"HTTP/1.1 201 Yes\r\n\r\nearly">>}, {lead, "HTTP/1.0 201 Yes\r\n\r\nearly"}]],
	ok.

do_collect(_, _, Size, Acc) when byte_size(Acc) >= Size -> Acc;
do_collect(ConnPid, StreamRef, Size, Acc) ->
	{data, nofin, Bytes} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	do_collect(ConnPid, StreamRef, Size, <<Acc/binary, Bytes/binary>>).

tls_fails_inside(Config) ->
	doc("TLS that fails in the tunnel is the tunnel's error, by its alert, and the connection's end."),
	#{tls := Port, tcp := TcpPort} = config(origins, Config),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	Tls = #{host => "localhost", transport => tls},
	StreamRef = gun_rs:connect(ConnPid, Tls#{port => Port}),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	Reason = ?EXPECT({gun_error, ConnPid, StreamRef, {closed, R={tls_alert, {unknown_ca, _}}}}, R),
	?EXPECT({gun_down, ConnPid, http, Reason, [StreamRef]}),
	_ = Reason,
	Plain = do_open(Proxy),
	PlainRef = gun_rs:connect(Plain, Tls#{port => TcpPort, tls_opts => tunnel_ways:tls_opts(Config)}),
	?EXPECT({gun_error, Plain, PlainRef, {closed, {tls_alert, _}}}),
	proxies:stop(Proxy).

tls_is_slow_inside(_) ->
	doc("tls_handshake_timeout of the destination counts in the tunnel."),
	Proxy = proxies:start(connect, #{do => {answer, "HTTP/1.1 200 OK\r\n\r\n"}}),
	ConnPid = do_open(Proxy),
	StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 443, transport => tls, tls_handshake_timeout => 100}),
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, timeout}}}),
	?EXPECT({gun_down, ConnPid, http, {error, timeout}, [StreamRef]}),
	proxies:stop(Proxy).

proxy_fails(_) ->
	doc("A proxy that closes, or says what is no HTTP, or says nothing in time, has its reason."),
	_ = [begin
		Proxy = proxies:start(connect, #{do => Do}),
		ConnPid = do_open(Proxy),
		StreamRef = gun_rs:connect(ConnPid, #{host => "localhost", port => 80}, [], #{response_timeout => 300}),
		?EXPECT({gun_error, ConnPid, StreamRef, R} when R =:= Error; element(1, element(2, element(2, R))) =:= Error),
		?EXPECT({gun_down, ConnPid, http, _, [StreamRef]}),
		proxies:stop(Proxy)
	end || {Do, Error} <- [{close, closed}, {{answer, "garbage\r\n\r\n"}, http_protocol}, {silent, {timeout, response}}]],
	ok.

lost(Config) ->
	doc("A connection that is lost under a tunnel takes its streams along, by their full names; the next one is the proxy's."),
	Proxy = {_, Port} = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy, #{retry => 5, retry_timeout => 1}),
	StreamRef = do_up(ConnPid, do_origin(Config)),
	Inner = gun_rs:get(ConnPid, "/die", [], #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, Inner, closed}),
	?EXPECT({gun_down, ConnPid, http, closed, [Inner]}),
	?EXPECT({gun_up, ConnPid, http}),
	#{origin_port := Port, intermediaries := []} = gun_rs:info(ConnPid),
	Dead = gun_rs:get(ConnPid, "/request", [], #{tunnel => StreamRef}),
	?EXPECT({gun_error, ConnPid, Dead, {badstate, "The stream is not a tunnel."}}),
	Again = do_up(ConnPid, do_origin(Config)),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{tunnel => Again})),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{tunnel => Again}),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	ok = gun_rs:ws_send(ConnPid, WsRef, close),
	?EXPECT({gun_ws, ConnPid, WsRef, close}),
	?EXPECT({gun_down, ConnPid, ws, normal, [WsRef]}),
	?EXPECT({gun_up, ConnPid, http}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

proxy_dies(Config) ->
	doc("A proxy that dies under traffic is a lost connection."),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	StreamRef = do_up(ConnPid, do_origin(Config)),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], #{tunnel => StreamRef}),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	_ = [ok = gun_rs:ws_send(ConnPid, WsRef, {binary, binary:copy(<<"a">>, 10000)}) || _ <- lists:seq(1, 100)],
	proxies:stop(Proxy),
	?EXPECT({gun_down, ConnPid, ws, closed, [WsRef]}),
	gun_rs:flush(ConnPid).

cancel(Config) ->
	doc("A tunnel can be cancelled before it is up and afterwards; the streams in it can by themselves."),
	Silent = proxies:start(connect, #{do => silent}),
	Pending = do_open(Silent),
	PendingRef = gun_rs:connect(Pending, do_origin(Config)),
	ok = gun_rs:cancel(Pending, PendingRef),
	?REFUTE({gun_error, Pending, _, _}),
	ok = gun_rs:close(Pending),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	StreamRef = do_up(ConnPid, do_origin(Config)),
	Inner = gun_rs:get(ConnPid, "/held", [], #{tunnel => StreamRef}),
	ok = gun_rs:cancel(ConnPid, [StreamRef, make_ref()]),
	?EXPECT({gun_error, ConnPid, [StreamRef, _], {badstate, "The stream cannot be found."}}),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	?EXPECT({gun_error, ConnPid, Inner, {closed, normal}}),
	?EXPECT({gun_down, ConnPid, http, normal, [Inner]}),
	proxies:stop(Silent),
	proxies:stop(Proxy).

shutdown(Config) ->
	doc("shutdown/1 in a tunnel ends gracefully what is spoken there."),
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect, tcp}], ?ORIGIN, #{}, Config),
	MRef = monitor(process, ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], ReqOpts#{flow => 1}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:shutdown(ConnPid),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
	{ok, Body} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	10000000 = byte_size(Body),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}).

flow(Config) ->
	doc("A response in a tunnel that its flow holds up goes on when it is updated by its full name."),
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect, tcp}], ?ORIGIN, #{}, Config),
	StreamRef = gun_rs:get(ConnPid, "/pieces?count=100&size=100000", [], ReqOpts#{flow => 1}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{data, nofin, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{error, timeout} = gun_rs:await(ConnPid, StreamRef, 200),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 100000),
	{ok, _} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	ok = gun_rs:close(ConnPid).

receivers(Config) ->
	doc("gun_tunnel_up goes to the reply_to of the tunnel, what happens in it to that of the stream; flush takes each."),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	Self = self(),
	ReplyTo = fun(Message) -> Self ! {told, Message} end,
	StreamRef = gun_rs:connect(ConnPid, do_origin(Config), [], #{reply_to => ReplyTo}),
	?EXPECT({told, {gun_response, ConnPid, StreamRef, fin, 200, _}}),
	?EXPECT({told, {gun_tunnel_up, ConnPid, StreamRef, http}}),
	Inner = gun_rs:get(ConnPid, "/request", [], #{tunnel => StreamRef}),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, Inner, ?WAIT),
	{data, fin, _} = gun_rs:await(ConnPid, Inner, ?WAIT),
	Flushed = gun_rs:get(ConnPid, "/request", [], #{tunnel => StreamRef}),
	receive Response={gun_response, ConnPid, Flushed, _, _, _} -> self() ! Response after ?WAIT -> error(missing) end,
	gun_rs:flush(Flushed),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

cookies(Config) ->
	doc("Cookies belong to the origin at the end of the tunnel, and not to the proxy."),
	#{root := #{certfile := Root}} = config(certs, Config),
	Store = gun_rs_cookies_list:init(),
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect, tls}], ?ORIGIN,
		#{cookie_store => Store, tls_opts => [{cacertfile, Root}]}, Config),
	Asked = http_modules_h:asked(#{set => [<<"plain=1; path=/">>, <<"secure=1; path=/; secure">>]}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies", Asked, ReqOpts)),
	{200, _, Body} = answer(ConnPid, gun_rs:get(ConnPid, "/cookies", [], ReqOpts)),
	{match, _} = re:run(Body, "plain=1"),
	nomatch = re:run(Body, "secure=1"),
	ok = gun_rs:close(ConnPid).

cookies_after_loss(Config) ->
	doc("A request that waits for the connection after that of a tunnel is the proxy's, and has no cookie of the origin."),
	Proxy = {_, Port} = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy, #{retry => 1000, retry_timeout => 50, cookie_store => tunnel_ways:cookies()}),
	Tunnel = gun_rs:connect(ConnPid, (do_origin(Config))#{host => "localhost"}),
	?EXPECT({gun_tunnel_up, ConnPid, Tunnel, http}),
	proxies:stop(Proxy),
	?EXPECT({gun_down, ConnPid, http, _, _}),
	_ = gun_rs:get(ConnPid, "/request"),
	{ok, Listener} = gen_tcp:listen(Port, [binary, {active, false}, {ip, {127, 0, 0, 1}}, {reuseaddr, true}]),
	{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
	{ok, Request} = gen_tcp:recv(Socket, 0, ?WAIT),
	nomatch = binary:match(Request, <<"origin=1">>),
	{_, _} = binary:match(Request, <<"cookie: proxy=1">>),
	ok = gun_rs:close(ConnPid),
	_ = [ok = gen_tcp:close(Closed) || Closed <- [Socket, Listener]],
	ok.

bad_destinations(Config) ->
	doc("A destination that can be none raises in the caller, by name; no password stands in what it raises."),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	Good = do_origin(Config),
	_ = [begin
		{'EXIT', {{badmatch, {error, {options, {connect, Bad}}}}, _}} = ?CATCH(gun_rs:connect(ConnPid, Destination)),
		[_|_] = unicode:characters_to_list(gun_rs:format_error({options, {connect, Bad}}))
	end || {Bad, Destination} <- [
		{{host, undefined}, #{port => 80}},
		{{port, undefined}, #{host => "localhost"}},
		{{host, "a b"}, Good#{host => "a b"}},
		{{port, 0}, Good#{port => 0}},
		{{protocols, [http, http2]}, Good#{protocols => [http, http2]}},
		{{protocols, [spdy]}, Good#{protocols => [spdy]}},
		{{protocols, [socks]}, Good#{protocols => [socks]}},
		{{protocols, [{http, #{content_handlers => [gun_rs_sse_h]}}]}, Good#{protocols => [{http, #{content_handlers => [gun_rs_sse_h]}}]}},
		{{protocols, []}, Good#{protocols => []}},
		{{transport, quic}, Good#{transport => quic}},
		{{tls_opts, {verify, 1}}, Good#{tls_opts => [{verify, 1}]}},
		{{tls_opts, {alpn_advertised_protocols, [<<"h2">>]}},
			Good#{transport => tls, protocols => [http], tls_opts => [{alpn_advertised_protocols, [<<"h2">>]}]}},
		{{unknown, 1}, Good#{unknown => 1}},
		{{password, hidden}, Good#{password => secret}},
		{[{host, "localhost"}, {password, hidden}], [{host, "localhost"}, {password, "secret"}]}
	]],
	{'EXIT', {{badmatch, {error, {options, {req, {tunnel, 1}}}}}, _}} = ?CATCH(gun_rs:connect(ConnPid, Good, [], #{tunnel => 1})),
	{'EXIT', {{badmatch, {error, {options, {ws, {reupgrade, true}}}}}, _}} =
		?CATCH(gun_rs:ws_upgrade(ConnPid, "/", [], #{tunnel => make_ref(), reupgrade => true})),
	{'EXIT', {{badmatch, {error, {options, {connect, {tls_opts, _}}}}}, _}} =
		?CATCH(gun_rs:connect(ConnPid, Good#{transport => tls, tls_opts => [{cacertfile, "/no/such/file"}]})),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy).

other_node(Config) ->
	doc("A tunnel can be asked for from another node, and so can its streams; what is wrong with TLS is told there."),
	Distribution = gun_rs_test:start_distribution(),
	{Peer, Node} = gun_rs_test:start_node(),
	Proxy = proxies:start(connect, #{}),
	ConnPid = do_open(Proxy),
	Origin = do_origin(Config),
	StreamRef = erpc:call(Node, gun_rs, connect, [ConnPid, Origin, [], #{reply_to => self()}]),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{up, http} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	Inner = erpc:call(Node, gun_rs, get, [ConnPid, "/request", [], #{reply_to => self(), tunnel => StreamRef}]),
	[StreamRef, _] = Inner,
	{200, _, _} = answer(ConnPid, Inner),
	Bad = Origin#{transport => tls, tls_opts => [{cacertfile, "/no/such/file"}]},
	BadRef = erpc:call(Node, gun_rs, connect, [ConnPid, Bad, [], #{reply_to => self(), tunnel => StreamRef}]),
	?EXPECT({gun_error, ConnPid, BadRef, {options, {connect, {tls_opts, _}}}}),
	ok = gun_rs:close(ConnPid),
	proxies:stop(Proxy),
	_ = peer:stop(Peer),
	gun_rs_test:stop_distribution(Distribution).

much(Config) ->
	doc("Much goes through a tunnel, whole: a large body each way, and many frames."),
	{ConnPid, ReqOpts} = tunnel_ways:open([{connect, tls}, {connect, tcp}], {https, tls, tls, [http]}, #{}, Config),
	Body = crypto:strong_rand_bytes(16#1000000),
	Hash = crypto:hash(sha256, Body),
	{200, _, Answer} = answer(ConnPid, gun_rs:post(ConnPid, "/hash", [], Body, ReqOpts)),
	{16#1000000, Hash} = binary_to_term(Answer),
	WsRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], ReqOpts),
	{upgrade, _, _} = gun_rs:await(ConnPid, WsRef, ?WAIT),
	Frames = [{binary, <<N:32>>} || N <- lists:seq(1, 10000)],
	ok = gun_rs:ws_send(ConnPid, WsRef, Frames),
	_ = [{ws, Frame} = gun_rs:await(ConnPid, WsRef, ?WAIT) || Frame <- Frames],
	ok = gun_rs:close(ConnPid).

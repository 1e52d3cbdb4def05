%% With the option timeout a request has that long, from the call to the end of its response, wherever the time is spent.
-module(gun_rs_request_timeouts_SUITE).

-define(NEEDS, [gun_rs, ssl, certs, distribution]).
-include("gun_rs_suite.hrl").

groups() ->
	Each = [silent, slow_body, behind_another, in_time, cancelled, from_another_node],
	[{http, Each}, {https, Each}, {http2, Each}, {https2, Each},
		{others, [not_connected_yet, retried, lost, bad_values, with_cookies, pools, pools_that_are_busy]}].

init_per_group(Group, Config) ->
	#{root := #{certfile := Root}} = config(certs, Config),
	Tls = #{transport => tls, tls_opts => [{cacertfile, Root}]},
	Opts = case Group of
		http -> #{protocols => [http]};
		https -> Tls#{protocols => [http]};
		http2 -> #{protocols => [http2]};
		https2 -> Tls#{protocols => [http2]};
		others -> #{}
	end,
	[{opts, Opts#{retry => 0}}|Config].

end_per_group(_, _) ->
	ok.

%% A server that answers what comes after so many requests that it leaves unanswered.

%% What is left unanswered gets this much of an answer.
do_server(Config, Begun) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	#{protocols := [Protocol]} = Opts = config(opts, Config),
	Tls = [{tls, [{certfile, CertFile}, {keyfile, KeyFile}, {log_level, none}]
		++ [{alpn_preferred_protocols, [<<"h2">>]} || Protocol =:= http2]} || is_map_key(transport, Opts)],
	case Protocol of
		http ->
			Answer = case Begun of
				nothing -> [];
				part -> [{send, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"}]
			end,
			{Server, Port} = lying_server:start([request|Answer], Tls),
			{lying_server, Server, Port};
		http2 ->
			Answer = case Begun of
				nothing -> {await, headers};
				part -> {answer, fun(StreamId) ->
					[http2_liar:headers(StreamId, nofin, [{":status", "200"}]), http2_liar:data(StreamId, nofin, "one")]
				end}
			end,
			{Server, Port} = http2_liar:start([open, Answer, {await, rst_stream},
				{answer, fun(StreamId) -> http2_liar:ok(StreamId, "next") end}], Tls),
			{http2_liar, Server, Port}
	end.

do_open(Config, Port) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, config(opts, Config)),
	{ok, _} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

%% HTTP/1.1 cannot go on; HTTP/2 has reset the stream.
do_after(Config, {Module, Server, _}, ConnPid, StreamRef) ->
	case config(opts, Config) of
		#{protocols := [http]} ->
			?EXPECT({gun_down, ConnPid, http, {error, timeout}, [StreamRef]}),
			%% It may be gone by now.
			true = lists:member(gun_rs_test:await_exit(ConnPid), [noproc, {shutdown, {error, timeout}}]);
		#{protocols := [http2]} ->
			?EXPECT({http2_liar, Server, {rst_stream, 1, cancel}}),
			{200, _, <<"next">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
			?REFUTE({_, ConnPid, StreamRef, _}),
			ok = gun_rs:close(ConnPid)
	end,
	Module:stop(Server).

silent(Config) ->
	doc("A server that says nothing."),
	Server = {_, _, Port} = do_server(Config, nothing),
	ConnPid = do_open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 100}),
	?EXPECT({gun_error, ConnPid, StreamRef, timeout}),
	do_after(Config, Server, ConnPid, StreamRef).

slow_body(Config) ->
	doc("A server that stops in the midst of its response; the other limits are not reached."),
	Server = {_, _, Port} = do_server(Config, part),
	ConnPid = do_open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 1000, response_timeout => ?WAIT, body_timeout => ?WAIT}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"one">>}),
	{error, {stream_error, timeout}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	do_after(Config, Server, ConnPid, StreamRef).

behind_another(Config) ->
	doc("A request that waits for its turn ends alone."),
	#{protocols := [Protocol]} = Opts = config(opts, Config),
	{Module, Server, Port} = do_server(Config, nothing),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Opts#{http_opts => #{pipeline => 1}}),
	{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	StreamRef2 = gun_rs:post(ConnPid, "/", [], #{timeout => 100}),
	StreamRef3 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, StreamRef2, timeout}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef2),
	{ok, #{state := running}} = gun_rs:stream_info(ConnPid, StreamRef1),
	{ok, _} = gun_rs:stream_info(ConnPid, StreamRef3),
	ok = gun_rs:data(ConnPid, StreamRef2, fin, "late"),
	?EXPECT({gun_error, ConnPid, StreamRef2, {badstate, "The stream cannot be found."}}),
	?REFUTE({_, ConnPid, StreamRef2, _}),
	ok = gun_rs:close(ConnPid),
	Module:stop(Server).

in_time(Config) ->
	doc("A response in time is not touched, and nothing follows it."),
	Server = {Module, Pid, Port} = case config(opts, Config) of
		#{protocols := [http]} ->
			#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
			Tls = [{tls, [{certfile, CertFile}, {keyfile, KeyFile}, {log_level, none}]} || is_map_key(transport, config(opts, Config))],
			{S, P} = lying_server:start([{repeat, [request, {send, lying_server:ok("fine")}]}], Tls),
			{lying_server, S, P};
		_ ->
			do_server(Config, nothing)
	end,
	ConnPid = do_open(Config, Port),
	case Server of
		{http2_liar, _, _} ->
			%% The first one is left unanswered.
			{error, timeout} = answer(ConnPid, gun_rs:get(ConnPid, "/", [], #{timeout => 1}));
		_ ->
			ok
	end,
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => ?WAIT}),
	{200, _, _} = answer(ConnPid, StreamRef),
	?REFUTE({gun_error, ConnPid, StreamRef, _}),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	Module:stop(Pid).

cancelled(Config) ->
	doc("Of a request that was cancelled nothing is told when its time is over."),
	{Module, Server, Port} = do_server(Config, nothing),
	ConnPid = do_open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 100}),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	?REFUTE({gun_error, ConnPid, StreamRef, _}),
	ok = gun_rs:close(ConnPid),
	Module:stop(Server).

from_another_node(Config) ->
	doc("A process of another node is told too."),
	Server = {_, _, Port} = do_server(Config, nothing),
	ConnPid = do_open(Config, Port),
	{Peer, Node} = gun_rs_test:start_node(),
	{StreamRef, Told} = erpc:call(Node, fun() ->
		StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 100}),
		{StreamRef, gun_rs:await(ConnPid, StreamRef, ?WAIT)}
	end),
	{error, {stream_error, timeout}} = Told,
	peer:stop(Peer),
	do_after(Config, Server, ConnPid, StreamRef).

%% While there is no connection.

not_connected_yet(_) ->
	doc("The time counts while the connection is being made: one that waits is told before it is up."),
	%% Nobody answers the TLS handshake.
	{Server, Port} = lying_server:start([wait]),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{transport => tls, retry => 0}),
	StreamRef1 = gun_rs:post(ConnPid, "/", [], #{timeout => 100}),
	ok = gun_rs:data(ConnPid, StreamRef1, fin, "body"),
	StreamRef2 = gun_rs:get(ConnPid, "/", [], #{timeout => 50}),
	StreamRef3 = gun_rs:get(ConnPid, "/", [], #{timeout => 70}),
	ok = gun_rs:cancel(ConnPid, StreamRef3),
	?EXPECT({gun_error, ConnPid, StreamRef1, timeout}),
	?EXPECT({gun_error, ConnPid, StreamRef2, timeout}),
	?REFUTE({gun_error, ConnPid, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

retried(_) ->
	doc("So it does between attempts to connect."),
	{Socket, Port} = refused_port(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 100, retry_timeout => 60000, notify_retries => true}),
	?EXPECT({gun_notify, ConnPid, retry, #{retries := 99}}),
	?EXPECT({gun_notify, ConnPid, retry, #{retries := 98}}),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 100}),
	?EXPECT({gun_error, ConnPid, StreamRef, timeout}),
	ok = gun_rs:close(ConnPid),
	release_port(Socket).

lost(_) ->
	doc("A request that waits while the connection is lost keeps its time; on the next connection it is made if that lasts."),
	{Server, Port} = lying_server:start([request, {send, ["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n"]},
		wait, {send, "a"}]),
	ConnPid = open(Port, #{retry => 5}),
	_ = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, _, nofin, 200, _}),
	StreamRef1 = gun_rs:get(ConnPid, "/", [], #{timeout => 50}),
	?EXPECT({gun_error, ConnPid, StreamRef1, timeout}),
	StreamRef2 = gun_rs:get(ConnPid, "/", [], #{timeout => 2000}),
	lying_server:go(Server),
	?EXPECT({gun_down, ConnPid, http, normal, []}),
	?EXPECT({gun_response, ConnPid, StreamRef2, nofin, 200, _}),
	?EXPECT({gun_error, ConnPid, StreamRef2, timeout}),
	?EXPECT({gun_down, ConnPid, http, {error, timeout}, [StreamRef2]}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

bad_values(_) ->
	doc("What is no time raises, 0 too: nobody can answer at once."),
	{Socket, Port} = refused_port(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{}),
	_ = [{badmatch, {error, {options, {req, {timeout, Value}}}}} = try
		gun_rs:get(ConnPid, "/", [], #{timeout => Value})
	catch error:Reason ->
		Reason
	end || Value <- [0, -1, 1.0, soon, 16#100000000]],
	_ = gun_rs:get(ConnPid, "/", [], #{timeout => infinity}),
	ok = gun_rs:close(ConnPid),
	release_port(Socket).

with_cookies(_) ->
	doc("A connection whose process takes part in each request keeps the time too."),
	{Server, Port} = lying_server:start([request]),
	ConnPid = open(Port, #{retry => 0, cookie_store => gun_rs_cookies_list:init()}),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{timeout => 100}),
	?EXPECT({gun_error, ConnPid, StreamRef, timeout}),
	?EXPECT({gun_down, ConnPid, http, {error, timeout}, [StreamRef]}),
	lying_server:stop(Server).

%% Pools.

pools(_) ->
	doc("A request of a pool has its time, and gives its place back."),
	{Server, Port} = pool_server:start(fun(<<"/stall">>) -> stall; (_) -> {reply, "ok"} end),
	{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1, checkout_queue => #{}, conn_opts => #{retry => 5, retry_timeout => 1}}),
	ok = gun_rs_pool:await_up(Pool),
	Headers = [{<<"host">>, ["localhost:", integer_to_list(Port)]}],
	{async, Ref} = gun_rs_pool:get("/stall", Headers, #{timeout => 100}),
	{error, {stream_error, timeout}} = gun_rs_pool:await(Ref, ?WAIT),
	true = eventually(fun() ->
		case gun_rs_pool:get("/", Headers, #{timeout => ?WAIT}) of
			{async, Next} -> element(1, gun_rs_pool:await(Next, ?WAIT)) =:= response;
			{error, _, _} -> false
		end
	end),
	ok = gun_rs_pool:stop_pool("localhost", Port),
	pool_server:stop(Server).

pools_that_are_busy(_) ->
	doc("The wait for a connection of a pool counts, and ends with it."),
	{Server, Port} = pool_server:start(fun(_) -> stall end),
	_ = [begin
		{ok, Pool} = gun_rs_pool:start_pool("localhost", Port, #{size => 1, checkout_queue => Queue}),
		ok = gun_rs_pool:await_up(Pool),
		Headers = [{<<"host">>, ["localhost:", integer_to_list(Port)]}],
		{async, _} = gun_rs_pool:get("/", Headers),
		{error, checkout_timeout, _} = gun_rs_pool:get("/", Headers,
			#{timeout => 50, checkout_call_timeout => infinity, checkout_retry => [10, 20, 60000]}),
		ok = gun_rs_pool:stop_pool("localhost", Port)
	end || Queue <- [#{timeout => 60000}, false]],
	pool_server:stop(Server).

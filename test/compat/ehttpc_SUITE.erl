%% What ehttpc does with gun: its calls, its options, and the messages that it matches.
-module(ehttpc_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

do_open(Config) ->
	do_open(Config, #{}).

%% The worker is linked to its connection, and traps exits.
do_open(Config, More) ->
	_ = process_flag(trap_exit, true),
	{ok, ConnPid} = gun:open("127.0.0.1", config(http, Config), maps:merge(#{
		connect_timeout => 5000,
		http_opts => #{keepalive => infinity},
		protocols => [http],
		retry => 0,
		supervise => false,
		tcp_opts => [{nodelay, true}]
	}, More)),
	?EXPECT({gun_up, ConnPid, http}),
	ConnPid.

do_answer(ConnPid, StreamRef) ->
	receive
		{gun_response, ConnPid, StreamRef, fin, Status, _} -> {Status, <<>>};
		{gun_response, ConnPid, StreamRef, nofin, Status, _} -> {Status, do_data(ConnPid, StreamRef, [])};
		{gun_error, ConnPid, StreamRef, Reason} -> {error, Reason}
	after ?WAIT ->
		error({no_message, process_info(self(), messages)})
	end.

do_data(ConnPid, StreamRef, Acc) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_data(ConnPid, StreamRef, [Acc, Data]);
		{gun_data, ConnPid, StreamRef, fin, Data} -> iolist_to_binary([Acc, Data])
	after ?WAIT ->
		error({no_message, process_info(self(), messages)})
	end.

methods(Config) ->
	ct:comment("Requests go by the methods' functions, with options of the request that are empty without a proxy."),
	ConnPid = do_open(Config),
	Headers = [{<<"content-type">>, <<"application/json">>}, {"x-list", "value"}],
	_ = [begin
		{200, Answer} = do_answer(ConnPid, StreamRef),
		#{method := Method, body := Body} = binary_to_term(Answer)
	end || {Method, Body, StreamRef} <- [
		{<<"GET">>, <<>>, gun:get(ConnPid, <<"/request">>, Headers, #{})},
		{<<"DELETE">>, <<>>, gun:delete(ConnPid, <<"/request">>, Headers, #{})},
		{<<"POST">>, <<"body">>, gun:post(ConnPid, <<"/request">>, Headers, <<"body">>, #{})},
		{<<"PUT">>, <<"body">>, gun:put(ConnPid, <<"/request">>, Headers, ["bo", <<"dy">>], #{})},
		{<<"PATCH">>, <<"body">>, gun:patch(ConnPid, <<"/request">>, Headers, <<"body">>, #{})},
		{<<"POST">>, <<>>, gun:post(ConnPid, <<"/request">>, Headers, <<>>, #{})}
	]],
	{200, <<>>} = do_answer(ConnPid, gun:head(ConnPid, <<"/request">>, Headers, #{})),
	do_close(ConnPid).

%% As in gun, close/1 does not find what is not supervised; that the worker ends does it.
do_close(ConnPid) ->
	{error, not_found} = gun:close(ConnPid),
	ok = gun:shutdown(ConnPid),
	?EXPECT({'EXIT', ConnPid, _}),
	gun:flush(ConnPid).

pipelining(Config) ->
	ct:comment("A hundred requests are under way at once, and their answers come in order."),
	ConnPid = do_open(Config),
	Refs = [{N, gun:post(ConnPid, <<"/echo">>, [], integer_to_binary(N), #{})} || N <- lists:seq(1, 100)],
	_ = [begin
		Body = integer_to_binary(N),
		{200, Body} = do_answer(ConnPid, Ref)
	end || {N, Ref} <- Refs],
	do_close(ConnPid).

options_of_the_socket(Config) ->
	ct:comment("Any option of gen_tcp may be the user's."),
	_ = [do_close(do_open(Config, #{tcp_opts => [Option]})) || Option <- [{nodelay, true}, {keepalive, true}, {sndbuf, 65536},
		{recbuf, 65536}, {reuseaddr, true}, {send_timeout, 15000}, {send_timeout_close, true}, {linger, {true, 0}},
		{delay_send, true}, {buffer, 65536}, {high_watermark, 8192}, inet]],
	ok.

expired(Config) ->
	ct:comment("A call that has timed out is cancelled when its answer comes; the next ones are served."),
	ConnPid = do_open(Config),
	StreamRef = gun:get(ConnPid, <<"/pieces?count=100&size=100000">>, [], #{}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	ok = gun:cancel(ConnPid, StreamRef),
	{200, <<"next">>} = do_answer(ConnPid, gun:post(ConnPid, <<"/echo">>, [], <<"next">>, #{})),
	do_close(ConnPid).

cancelled_too_late(Config) ->
	ct:comment("To cancel what is answered already brings gun_error at most, which the library passes over."),
	ConnPid = do_open(Config),
	StreamRef = gun:get(ConnPid, <<"/request">>, [], #{}),
	{200, _} = do_answer(ConnPid, StreamRef),
	ok = gun:cancel(ConnPid, StreamRef),
	{200, _} = do_answer(ConnPid, gun:get(ConnPid, <<"/request">>, [], #{})),
	receive {gun_error, ConnPid, StreamRef, {badstate, _}} -> ok after 0 -> ok end,
	do_close(ConnPid).

goes_down(Config) ->
	ct:comment("The server goes: gun_down names the streams whose callers are answered with the reason, then comes the exit."),
	ConnPid = do_open(Config),
	Refs = [gun:get(ConnPid, <<"/die">>, [], #{}), gun:get(ConnPid, <<"/request">>, [], #{})],
	%% It may go before it is asked for the second.
	Killed = ?EXPECT({gun_down, ConnPid, http, _, K}, K),
	true = lists:member(hd(Refs), Killed) andalso [] =:= Killed -- Refs,
	_ = [?EXPECT({gun_error, ConnPid, Ref, _}) || Ref <- Killed],
	?EXPECT({'EXIT', ConnPid, {shutdown, _}}).

proxy(Config) ->
	ct:comment("With a proxy, connect asks for the origin, gun_tunnel_up has the tunnel, and each request names it."),
	Proxy = {Pid, Port} = proxies:start(connect, #{}),
	ConnPid = do_open([{http, Port}|lists:keydelete(http, 1, Config)]),
	Origin = #{host => "127.0.0.1", port => config(http, Config), username => <<"me">>, password => <<"secret">>},
	Asked = gun:connect(ConnPid, Origin),
	?EXPECT({gun_response, ConnPid, Asked, fin, 200, _}),
	Tunnel = ?EXPECT({gun_tunnel_up, ConnPid, T, http}, T),
	Head = ?EXPECT({proxy, Pid, {asked, H}}, H),
	{match, _} = re:run(Head, "proxy-authorization: Basic bWU6c2VjcmV0"),
	ReqOpts = #{tunnel => Tunnel},
	Refs = [{N, gun:post(ConnPid, <<"/echo">>, [], integer_to_binary(N), ReqOpts)} || N <- lists:seq(1, 100)],
	_ = [begin
		Body = integer_to_binary(N),
		{200, Body} = do_answer(ConnPid, Ref)
	end || {N, Ref} <- Refs],
	Expired = gun:get(ConnPid, <<"/pieces?count=100&size=100000">>, [], ReqOpts),
	?EXPECT({gun_response, ConnPid, Expired, nofin, 200, _}),
	ok = gun:cancel(ConnPid, Expired),
	{200, _} = do_answer(ConnPid, gun:delete(ConnPid, <<"/request">>, [], ReqOpts)),
	do_close(ConnPid),
	proxies:stop(Proxy).

proxy_refuses(Config) ->
	ct:comment("A proxy that refuses says so by its status, and the connection stays for the rest of its answer."),
	_ = [begin
		Proxy = {_, Port} = proxies:start(connect, #{do => {answer, ["HTTP/1.1 ", Status, " No\r\ncontent-length: 2\r\n\r\nno"]}}),
		ConnPid = do_open([{http, Port}|lists:keydelete(http, 1, Config)]),
		Asked = gun:connect(ConnPid, #{host => "127.0.0.1", port => config(http, Config)}),
		Number = list_to_integer(Status),
		?EXPECT({gun_response, ConnPid, Asked, nofin, Number, _}),
		?EXPECT({gun_data, ConnPid, Asked, fin, <<"no">>}),
		do_close(ConnPid),
		proxies:stop(Proxy)
	end || Status <- ["407", "403"]],
	ok.

refused(_) ->
	ct:comment("Nobody listens: the exit has the reason, at once."),
	_ = process_flag(trap_exit, true),
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = gun:open("127.0.0.1", Port, #{retry => 0, supervise => false, protocols => [http], connect_timeout => 5000}),
	?EXPECT({'EXIT', ConnPid, {shutdown, econnrefused}}),
	gun_rs_test:release_port(Socket).

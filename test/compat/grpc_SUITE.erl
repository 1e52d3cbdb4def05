%% What grpc-erl does with gun: calls and streams of gRPC, and the messages that it matches.
-module(grpc_SUITE).
-include("dependents.hrl").

init_per_suite(Config) -> dependents:start_server(Config).

end_per_suite(Config) -> dependents:stop_server(Config).

groups() ->
	[{Group, dependents:cases(?MODULE)} || Group <- [http2, https2]].

init_per_group(http2, Config) ->
	[{port, config(http, Config)}, {opts, #{transport => tcp}}|Config];
init_per_group(https2, Config) ->
	[{port, config(https, Config)}, {opts, #{transport => tls, tls_opts => [{cacertfile, config(cacertfile, Config)}]}}|Config].

end_per_group(_, _) -> ok.

do_open(Config) ->
	{ok, ConnPid} = gun:open("127.0.0.1", config(port, Config), maps:merge(#{
		connect_timeout => 5000,
		http2_opts => #{keepalive => 60000},
		protocols => [http2],
		tcp_opts => [{nodelay, true}]
	}, config(opts, Config))),
	MRef = monitor(process, ConnPid),
	{ok, http2} = gun:await_up(ConnPid, 5000, MRef),
	{ConnPid, MRef}.

do_call(ConnPid, Path) ->
	gun:post(ConnPid, Path, [
		{<<"grpc-encoding">>, <<"identity">>},
		{<<"grpc-message-type">>, <<"Hello">>},
		{<<"content-type">>, <<"application/grpc+proto">>},
		{<<"user-agent">>, <<"grpc-erlang/0.1.0">>},
		{<<"te">>, <<"trailers">>}
	]).

do_message(Bin) ->
	<<0, (byte_size(Bin)):32, Bin/binary>>.

unary(Config) ->
	ct:comment("A call opens a stream, sends its one message, and has the answer and the trailers."),
	{ConnPid, _} = do_open(Config),
	StreamRef = do_call(ConnPid, <<"/grpc/unary">>),
	Message = do_message(<<"hello">>),
	ok = gun:data(ConnPid, StreamRef, fin, Message),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, Message}),
	Trailers = ?EXPECT({gun_trailers, ConnPid, StreamRef, T}, T),
	{_, <<"0">>} = lists:keyfind(<<"grpc-status">>, 1, Trailers),
	ok = gun:close(ConnPid).

streams(Config) ->
	ct:comment("Messages go both ways on one stream, for as long as both like; the end of ours brings the trailers."),
	{ConnPid, _} = do_open(Config),
	StreamRef = do_call(ConnPid, <<"/grpc/stream">>),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	_ = [begin
		Message = do_message(integer_to_binary(N)),
		ok = gun:data(ConnPid, StreamRef, nofin, [Message]),
		?EXPECT({gun_data, ConnPid, StreamRef, nofin, Message})
	end || N <- lists:seq(1, 100)],
	ok = gun:data(ConnPid, StreamRef, fin, <<>>),
	?EXPECT({gun_trailers, ConnPid, StreamRef, _}),
	ok = gun:close(ConnPid).

errors(Config) ->
	ct:comment("A call that fails has its status in the headers, and no body."),
	{ConnPid, _} = do_open(Config),
	StreamRef = do_call(ConnPid, <<"/grpc/error">>),
	ok = gun:data(ConnPid, StreamRef, fin, do_message(<<"hello">>)),
	Headers = ?EXPECT({gun_response, ConnPid, StreamRef, fin, 200, H}, H),
	{_, <<"5">>} = lists:keyfind(<<"grpc-status">>, 1, Headers),
	ok = gun:close(ConnPid).

many_calls(Config) ->
	ct:comment("Calls are under way together."),
	{ConnPid, _} = do_open(Config),
	Refs = [begin
		Ref = do_call(ConnPid, <<"/grpc/unary">>),
		ok = gun:data(ConnPid, Ref, fin, do_message(<<N:32>>)),
		{N, Ref}
	end || N <- lists:seq(1, 100)],
	_ = [begin
		Message = do_message(<<N:32>>),
		?EXPECT({gun_data, ConnPid, Ref, nofin, Message}),
		?EXPECT({gun_trailers, ConnPid, Ref, _})
	end || {N, Ref} <- Refs],
	ok = gun:close(ConnPid),
	ok = gun:flush(ConnPid).

reset(Config) ->
	ct:comment("The server resets the stream without a fault: the reason is the one that the library looks for."),
	{Port, Stop} = http2_servers:rust([{transport, tcp}|Config], []),
	{ok, ConnPid} = gun:open("127.0.0.1", Port, #{protocols => [http2]}),
	{ok, http2} = gun:await_up(ConnPid, 5000),
	StreamRef = do_call(ConnPid, <<"/reset?code=0">>),
	?EXPECT({gun_error, ConnPid, StreamRef, {stream_error, no_error, 'Stream reset by server.'}}),
	ok = gun:close(ConnPid),
	Stop().

goes_down(Config) ->
	ct:comment("The server dies: gun_down names the streams that were under way, and gun_up comes when it is back."),
	{Port, Stop} = http2_servers:rust([{transport, tcp}|Config], []),
	{ok, ConnPid} = gun:open("127.0.0.1", Port, #{protocols => [http2], retry => 0}),
	{ok, http2} = gun:await_up(ConnPid, 5000),
	StreamRef = do_call(ConnPid, <<"/slow">>),
	%% The server has it when it has answered what comes behind it.
	PingRef = gun:ping(ConnPid),
	?EXPECT({gun_notify, ConnPid, ping_ack, PingRef}),
	_ = Stop(),
	?EXPECT({gun_down, ConnPid, http2, _, [StreamRef]}).

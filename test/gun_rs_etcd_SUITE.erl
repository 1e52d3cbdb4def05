%% The calls that Erlang's client of etcd makes, with a real etcd: gRPC is requests over HTTP/2 whose answers end with
%% trailers, and streams that go both ways for as long as both like.
-module(gun_rs_etcd_SUITE).

-define(NEEDS, [gun_rs, certs]).
-include("gun_rs_suite.hrl").

-define(HEADERS, [
	{<<"grpc-encoding">>, <<"identity">>},
	{<<"content-type">>, <<"application/grpc+proto">>},
	{<<"user-agent">>, <<"eetcd/0.1.0">>},
	{<<"te">>, <<"trailers">>}
]).

groups() ->
	[{Group, gun_rs_suite:cases(?MODULE)} || Group <- [http2, https2]].

init_per_group(Group, Config) ->
	case other_servers:find("etcd-server/usr/bin/etcd") of
		{ok, File} -> do_start(File, [{transport, case Group of http2 -> tcp; https2 -> tls end}|Config]);
		none -> {skip, "No etcd is in _build/peers: run `scripts/setup.sh test`."}
	end.

end_per_group(_, Config) ->
	other_servers:stop(config(etcd, Config)).

do_start(File, Config) ->
	[Port, PeerPort] = [other_servers:free_port() || _ <- [client, peer]],
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	{Scheme, Tls} = case config(transport, Config) of
		tcp -> {"http", []};
		tls -> {"https", ["--cert-file", CertFile, "--key-file", KeyFile]}
	end,
	Url = lists:concat([Scheme, "://127.0.0.1:", Port]),
	PeerUrl = lists:concat(["http://127.0.0.1:", PeerPort]),
	Dir = filename:join(config(priv_dir, Config), "etcd_" ++ Scheme),
	Etcd = other_servers:start(File, ["--data-dir", Dir, "--listen-client-urls", Url, "--advertise-client-urls", Url,
		"--listen-peer-urls", PeerUrl, "--initial-advertise-peer-urls", PeerUrl, "--initial-cluster",
		"default=" ++ PeerUrl, "--log-level", "error"|Tls], [Port]),
	[{etcd, Etcd}, {port, Port}|Config].

put_and_get(Config) ->
	doc("A key is put, read with its value, and deleted; await_body gives the trailers as the client wants them."),
	{ConnPid, MRef} = do_open(Config),
	_ = [begin
		_ = do_call(ConnPid, MRef, "KV/Put", [{1, <<"key">>}, {2, Value}]),
		[Kv] = do_values(2, do_call(ConnPid, MRef, "KV/Range", [{1, <<"key">>}])),
		{[<<"key">>], [Value]} = {do_values(1, do_fields(Kv)), do_values(5, do_fields(Kv))},
		[1] = do_values(2, do_call(ConnPid, MRef, "KV/DeleteRange", [{1, <<"key">>}])),
		[] = do_values(2, do_call(ConnPid, MRef, "KV/Range", [{1, <<"key">>}]))
	end || Value <- [<<"value">>, binary:copy(<<"large">>, 200000)]],
	ok = gun_rs:close(ConnPid).

many_puts(Config) ->
	doc("A hundred calls are under way at once, and each has its own answer."),
	{ConnPid, MRef} = do_open(Config),
	Put = fun(N) ->
		do_request(ConnPid, "KV/Put", [{1, <<"many/", (integer_to_binary(N))/binary>>}, {2, integer_to_binary(N)}])
	end,
	_ = [[_] = do_values(1, do_answer(ConnPid, MRef, StreamRef)) || StreamRef <- [Put(N) || N <- lists:seq(1, 100)]],
	Answer = do_call(ConnPid, MRef, "KV/Range", [{1, <<"many/">>}, {2, <<"many0">>}]),
	[100] = do_values(4, Answer),
	Values = [hd(do_values(5, do_fields(Kv))) || Kv <- do_values(2, Answer)],
	Expected = lists:sort([integer_to_binary(N) || N <- lists:seq(1, 100)]),
	Expected = lists:sort(Values),
	ok = gun_rs:close(ConnPid).

errors(Config) ->
	doc("A call that fails has its status in the headers or, over TLS, where it is another part of etcd that answers, in trailers."),
	{ConnPid, MRef} = do_open(Config),
	_ = [begin
		StreamRef = do_request(ConnPid, Method, Fields),
		Headers = case gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef) of
			{response, fin, 200, H} ->
				H;
			{response, nofin, 200, _} ->
				tls = config(transport, Config),
				{ok, <<>>, Trailers} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT, MRef),
				Trailers
		end,
		{_, Status} = lists:keyfind(<<"grpc-status">>, 1, Headers),
		{_, <<_, _/binary>>} = lists:keyfind(<<"grpc-message">>, 1, Headers)
	end || {Method, Fields, Status} <- [{"KV/Put", [], <<"3">>}, {"KV/Nothing", [], <<"12">>}, {"Lease/LeaseRevoke", [{1, 12345}], <<"5">>}]],
	ok = gun_rs:close(ConnPid).

watch_keys(Config) ->
	doc("A watch tells what changes, for as long as it is open, while other calls go on; then it is cancelled."),
	{ConnPid, MRef} = do_open(Config),
	StreamRef = gun_rs:headers(ConnPid, <<"POST">>, "/etcdserverpb.Watch/Watch", ?HEADERS),
	Create = do_message([{1, do_message([{1, <<"watched/">>}, {2, <<"watched0">>}])}]),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, do_frame(Create)),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	{[Created], Buffer0} = do_next(ConnPid, StreamRef, 1, <<>>),
	[1] = do_values(3, do_fields(Created)),
	Buffer = lists:foldl(fun(N, Buffer1) ->
		Key = <<"watched/", (integer_to_binary(N))/binary>>,
		_ = do_call(ConnPid, MRef, "KV/Put", [{1, Key}, {2, <<"new">>}]),
		{[Told], Buffer2} = do_next(ConnPid, StreamRef, 1, Buffer1),
		[Event] = do_values(11, do_fields(Told)),
		[Kv] = do_values(2, do_fields(Event)),
		{[Key], [<<"new">>]} = {do_values(1, do_fields(Kv)), do_values(5, do_fields(Kv))},
		Buffer2
	end, Buffer0, lists:seq(1, 20)),
	<<>> = Buffer,
	ok = gun_rs:cancel(ConnPid, StreamRef),
	_ = do_call(ConnPid, MRef, "KV/Put", [{1, <<"watched/late">>}, {2, <<"new">>}]),
	?REFUTE({gun_data, _, StreamRef, _, _}),
	ok = gun_rs:close(ConnPid).

lease(Config) ->
	doc("A lease is granted, kept alive over a stream, and revoked, and with it its keys."),
	{ConnPid, MRef} = do_open(Config),
	[Id] = do_values(2, do_call(ConnPid, MRef, "Lease/LeaseGrant", [{1, 60}])),
	_ = do_call(ConnPid, MRef, "KV/Put", [{1, <<"leased">>}, {2, <<"for a while">>}, {3, Id}]),
	StreamRef = gun_rs:headers(ConnPid, <<"POST">>, "/etcdserverpb.Lease/LeaseKeepAlive", ?HEADERS),
	<<>> = lists:foldl(fun(_, Buffer0) ->
		ok = gun_rs:data(ConnPid, StreamRef, nofin, do_frame(do_message([{1, Id}]))),
		{[Kept], Buffer} = do_next(ConnPid, StreamRef, 1, Buffer0),
		{[Id], [60]} = {do_values(2, do_fields(Kept)), do_values(3, do_fields(Kept))},
		Buffer
	end, <<>>, lists:seq(1, 10)),
	%% The end of ours is followed by that of the server's.
	ok = gun_rs:data(ConnPid, StreamRef, fin, <<>>),
	Trailers = ?EXPECT({gun_trailers, ConnPid, StreamRef, T}, T),
	{_, <<"0">>} = lists:keyfind(<<"grpc-status">>, 1, Trailers),
	_ = do_call(ConnPid, MRef, "Lease/LeaseRevoke", [{1, Id}]),
	[] = do_values(2, do_call(ConnPid, MRef, "KV/Range", [{1, <<"leased">>}])),
	ok = gun_rs:close(ConnPid).

%% Calls, as the client makes them.

do_open(Config) ->
	#{root := #{certfile := Root}} = config(certs, Config),
	Opts = case config(transport, Config) of
		tcp -> #{transport => tcp};
		tls -> #{transport => tls, tls_opts => [{cacertfile, Root}]}
	end,
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(port, Config), Opts#{
		protocols => [http2],
		connect_timeout => 5000,
		http2_opts => #{keepalive => 45000},
		retry => 0
	}),
	MRef = monitor(process, ConnPid),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	{ConnPid, MRef}.

do_call(ConnPid, MRef, Method, Fields) ->
	do_answer(ConnPid, MRef, do_request(ConnPid, Method, Fields)).

do_request(ConnPid, Method, Fields) ->
	gun_rs:request(ConnPid, <<"POST">>, ["/etcdserverpb.", Method], ?HEADERS, do_frame(do_message(Fields))).

do_answer(ConnPid, MRef, StreamRef) ->
	{response, nofin, 200, Headers} = gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef),
	{_, <<"application/grpc", _/binary>>} = lists:keyfind(<<"content-type">>, 1, Headers),
	{ok, <<0, Length:32, Message:Length/binary>>, Trailers} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT, MRef),
	%% Over TLS the message is left out where there is none.
	case {gun_rs:info(ConnPid), Trailers} of
		{#{transport := tcp}, [{<<"grpc-status">>, <<"0">>}, {<<"grpc-message">>, <<>>}]} -> do_fields(Message);
		{#{transport := tls}, [{<<"grpc-status">>, <<"0">>}]} -> do_fields(Message)
	end.

%% So many messages of a stream's, and what there is of the next.
do_next(_, _, 0, Buffer) ->
	{[], Buffer};
do_next(ConnPid, StreamRef, Count, <<0, Length:32, Message:Length/binary, Rest/binary>>) ->
	{Messages, Buffer} = do_next(ConnPid, StreamRef, Count - 1, Rest),
	{[Message|Messages], Buffer};
do_next(ConnPid, StreamRef, Count, Buffer) ->
	Data = ?EXPECT({gun_data, ConnPid, StreamRef, nofin, D}, D),
	do_next(ConnPid, StreamRef, Count, <<Buffer/binary, Data/binary>>).

do_frame(Message) ->
	<<0, (byte_size(Message)):32, Message/binary>>.

%% Protocol buffers, as far as these calls need them: numbers, and what has a length.

do_message(Fields) ->
	iolist_to_binary([case Value of
		_ when is_integer(Value) -> [do_varint(Number bsl 3), do_varint(Value)];
		_ -> [do_varint(Number bsl 3 bor 2), do_varint(byte_size(Value)), Value]
	end || {Number, Value} <- Fields]).

do_varint(N) when N < 128 -> <<N>>;
do_varint(N) -> [<<1:1, N:7>>|do_varint(N bsr 7)].

do_fields(<<>>) ->
	[];
do_fields(Message) ->
	{Key, Rest0} = do_read_varint(Message, 0, 0),
	case Key band 7 of
		0 ->
			{Value, Rest} = do_read_varint(Rest0, 0, 0),
			[{Key bsr 3, Value}|do_fields(Rest)];
		2 ->
			{Length, Rest1} = do_read_varint(Rest0, 0, 0),
			<<Value:Length/binary, Rest/binary>> = Rest1,
			[{Key bsr 3, Value}|do_fields(Rest)]
	end.

do_read_varint(<<1:1, Bits:7, Rest/binary>>, Shift, N) ->
	do_read_varint(Rest, Shift + 7, N bor (Bits bsl Shift));
do_read_varint(<<0:1, Bits:7, Rest/binary>>, Shift, N) ->
	{N bor (Bits bsl Shift), Rest}.

do_values(Number, Fields) ->
	[Value || {N, Value} <- Fields, N =:= Number].

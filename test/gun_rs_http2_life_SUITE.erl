%% However a connection that speaks HTTP/2 begins and ends, each of its streams comes to an end that is told, and the next
%% connection goes on.
-module(gun_rs_http2_life_SUITE).

-import(http2_servers, [lie/2, lie/3]).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

groups() ->
	[{tls, do_cases("tls_")}|http2_servers:groups(gun_rs_suite:cases(?MODULE) -- do_cases("tls_"))].

do_cases(Prefix) ->
	[Case || Case <- gun_rs_suite:cases(?MODULE), lists:prefix(Prefix, atom_to_list(Case))].

init_per_group(tls, Config) ->
	[{transport, tls}|Config];
init_per_group(Group, Config) ->
	http2_servers:init(Group, Config).

end_per_group(tls, _) ->
	ok;
end_per_group(_, Config) ->
	http2_servers:stop(Config).

%% The choice of the protocol.

tls_server_chooses(Config) ->
	doc("The server chooses among the protocols, in the order of the user's; without a choice HTTP/1.1 is spoken."),
	_ = [begin
		#{good := Good} = config(certs, Config),
		ServerOpts = maps:from_list([{alpn, Alpn} || Alpn =/= []]),
		tls_servers:with(rust, Good, ServerOpts#{args => ["--http2" || Http2]}, fun(_, Port) ->
			{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, http2_servers:opts(Config, Opts)),
			{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
			{200, _, Told} = answer(ConnPid, gun_rs:get(ConnPid, "/tls")),
			match = re:run(Told, Line, [multiline, {capture, none}]),
			ok = gun_rs:close(ConnPid)
		end)
	end || {Alpn, Http2, Opts, Protocol, Line} <- [
		{[<<"h2">>, <<"http/1.1">>], true, #{}, http2, "^alpn h2$"},
		{[<<"http/1.1">>, <<"h2">>], true, #{}, http, "^alpn http/1.1$"},
		{[<<"http/1.1">>], true, #{}, http, "^alpn http/1.1$"},
		{[<<"h2">>, <<"http/1.1">>], true, #{protocols => [http]}, http, "^alpn http/1.1$"},
		{[<<"h2">>], true, #{protocols => [http2]}, http2, "^alpn h2$"},
		{[], true, #{protocols => [http2]}, http2, "^version"},
		{[], false, #{}, http, "^version"}
	]],
	ok.

tls_server_refuses(Config) ->
	doc("A server that has none of the protocols refuses the handshake."),
	#{good := Good} = config(certs, Config),
	tls_servers:with(rust, Good, #{alpn => [<<"tea">>]}, fun(_, Port) ->
		_ = [{shutdown, {tls_alert, {no_application_protocol, _}}} =
			gun_rs_test:exit_of("127.0.0.1", Port, http2_servers:opts(Config, Opts))
			|| Opts <- [#{}, #{protocols => [http2]}]]
	end).

tls_order_of_the_user(Config) ->
	doc("The protocols are offered in the order of the user's."),
	_ = [begin
		{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
		{ok, Port} = inet:port(Listener),
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, http2_servers:opts(Config, Opts)),
		{ok, Socket} = gen_tcp:accept(Listener, ?WAIT),
		Extension = <<16:16, (byte_size(Names) + 2):16, (byte_size(Names)):16, Names/binary>>,
		ok = do_read_until(Socket, Extension, <<>>),
		ok = gun_rs:close(ConnPid),
		ok = gen_tcp:close(Listener)
	end || {Opts, Names} <- [
		{#{}, <<2, "h2", 8, "http/1.1">>},
		{#{protocols => [http, http2]}, <<8, "http/1.1", 2, "h2">>},
		{#{protocols => [{http2, #{}}, http]}, <<2, "h2", 8, "http/1.1">>},
		{#{protocols => [http2]}, <<2, "h2">>}
	]],
	ok.

do_read_until(Socket, Part, Read) ->
	case binary:match(Read, Part) of
		nomatch ->
			{ok, Data} = gen_tcp:recv(Socket, 0, ?WAIT),
			do_read_until(Socket, Part, <<Read/binary, Data/binary>>);
		_ ->
			ok
	end.

%% The beginning.

not_http2(Config) ->
	doc("A server that speaks something else is told of, HTTP/1.1 by its name."),
	_ = [begin
		{Server, Port} = lie(Config, [{await, headers}, {send, First}], [{acks, []}]),
		ConnPid = http2_servers:open(Config, Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		Text = ?EXPECT({gun_error, ConnPid, {protocol_error, T}}, T),
		match = re:run(atom_to_list(Text), Words, [{capture, none}]),
		?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, {connection_error, protocol_error, Text}}}}),
		?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, protocol_error, Text}}, [StreamRef]}),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {connection_error, protocol_error, Text}}}}),
		?EXPECT({http2_liar, Server, closed}),
		http2_liar:stop(Server)
	end || {First, Words} <- [
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "preface.*HTTP/1"},
		{http2_liar:ping(1), "preface"},
		{http2_liar:settings_ack(), "preface"},
		{"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "preface"}
	]],
	ok.

silent_servers(Config) ->
	doc("A server that says nothing, or does not acknowledge the settings, is given up in time."),
	_ = [begin
		{Server, Port} = lie(Config, Script, [{acks, []}]),
		ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{Option => 300}}),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_error, ConnPid, {Code, _}}),
		?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, Code, _}}, [StreamRef]}),
		?EXPECT({http2_liar, Server, {goaway, 0, Code, _}}),
		gun_rs:flush(ConnPid),
		http2_liar:stop(Server)
	end || {Script, Option, Code} <- [
		{[{await, closed}], preface_timeout, protocol_error},
		{[{send, http2_liar:settings([])}, {await, closed}], settings_timeout, settings_timeout}
	]],
	ok.

cut_anywhere(Config) ->
	doc("It makes no difference how what the server sends is cut."),
	Answer = fun(StreamId) -> iolist_to_binary([
		http2_liar:headers_block(StreamId, nofin, false, http2_liar:block([{":status", "200"}])),
		http2_liar:continuation(StreamId, true, http2_liar:block([{"x-late", "yes"}])),
		http2_liar:frame(77, 0, StreamId, "unknown"),
		http2_liar:ping(7),
		http2_liar:data(StreamId, nofin, "he"),
		http2_liar:window_update(0, 100),
		http2_liar:data(StreamId, nofin, "llo"),
		http2_liar:headers(StreamId, fin, [{"x-end", "yes"}])
	]) end,
	Steps = [{send_cut, Answer(2 * N - 1), N} || N <- lists:seq(1, byte_size(Answer(1)) - 1)]
		++ [{send_bytewise, Answer(2 * byte_size(Answer(1)) - 1)}],
	{Server, Port} = lie(Config, [open|lists:append([[{await, headers}, Step] || Step <- Steps])]),
	ConnPid = http2_servers:open(Config, Port),
	_ = [begin
		{200, Headers, <<"hello">>, [{<<"x-end">>, <<"yes">>}]} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
		[{<<"x-late">>, <<"yes">>}] = Headers,
		?EXPECT({http2_liar, Server, {ping_ack, 7}})
	end || _ <- Steps],
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

%% Keepalive.

keepalive(Config) ->
	doc("Pings go out while nothing and while something is under way; a server that answers them is kept."),
	{Server, Port} = lie(Config, [open]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{keepalive => 50, keepalive_tolerance => 2}}),
	_ = [?EXPECT({http2_liar, Server, {ping, _}}) || _ <- lists:seq(1, 5)],
	_ = gun_rs:get(ConnPid, "/"),
	_ = [?EXPECT({http2_liar, Server, {ping, _}}) || _ <- lists:seq(1, 5)],
	#{protocol := http2} = gun_rs:info(ConnPid),
	?REFUTE({gun_notify, _, _, _}),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

keepalive_tolerance(Config) ->
	doc("When as many pings as are tolerated are unanswered, the connection ends at the next."),
	{Server, Port} = lie(Config, [open], [{acks, [settings]}]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{keepalive => 50, keepalive_tolerance => 3}}),
	StreamRef = gun_rs:get(ConnPid, "/"),
	Text = ?EXPECT({gun_error, ConnPid, {no_error, T}}, T),
	"The number of unacknowledged pings" ++ _ = atom_to_list(Text),
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, {error, {connection_error, no_error, Text}}}}),
	?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, no_error, Text}}, [StreamRef]}),
	_ = [?EXPECT({http2_liar, Server, {ping, _}}) || _ <- [1, 2, 3]],
	?EXPECT({http2_liar, Server, {goaway, 0, no_error, _}}),
	?REFUTE({http2_liar, Server, {ping, _}}),
	http2_liar:stop(Server).

%% The server goes away.

goaway(Config) ->
	doc("Streams above the last are told that they may be repeated; the others go on to their end, then the next connection."),
	{Server, Port} = lie(Config, [open, {await, headers}, {await, headers}, {await, headers},
		{send, [http2_liar:goaway(3, no_error, ""), http2_liar:ping(9)]}, wait,
		{send, [http2_liar:ok(1, "one"), http2_liar:ok(3, "two")]}]),
	ConnPid = http2_servers:open(Config, Port, #{retry => 5}),
	[Ref1, Ref2, Ref3] = [gun_rs:get(ConnPid, "/") || _ <- [1, 2, 3]],
	Text = ?EXPECT({gun_error, ConnPid, Ref3, {goaway, no_error, T}}, T),
	match = re:run(atom_to_list(Text), "repeated", [{capture, none}]),
	?EXPECT({http2_liar, Server, {ping_ack, 9}}),
	%% It waits for the next connection.
	Ref4 = gun_rs:get(ConnPid, "/"),
	?REFUTE({gun_error, _, _, _}),
	http2_liar:go(Server),
	{200, _, <<"one">>} = answer(ConnPid, Ref1),
	{200, _, <<"two">>} = answer(ConnPid, Ref2),
	?EXPECT({gun_down, ConnPid, http2, normal, []}),
	?EXPECT({gun_up, ConnPid, http2}),
	?EXPECT({http2_liar, Server, accepted}),
	?EXPECT({http2_liar, Server, accepted}),
	{ok, #{ref := Ref4}} = gun_rs:stream_info(ConnPid, Ref4),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

goaway_without_retries(Config) ->
	doc("Without a connection to follow, a request made then is refused, and the process exits normally."),
	{Server, Port} = lie(Config, [open, {await, headers}, 
		{send, [http2_liar:goaway(1, enhance_your_calm, "too much"), http2_liar:ping(9)]}, wait, {send, http2_liar:ok(1, "done")}]),
	ConnPid = http2_servers:open(Config, Port),
	MRef = watch(ConnPid),
	Ref1 = gun_rs:get(ConnPid, "/"),
	?EXPECT({http2_liar, Server, {ping_ack, 9}}),
	?EXPECT({gun_notify, ConnPid, goaway, #{code := enhance_your_calm, debug_data := <<"too much">>}}),
	Ref2 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, Ref2, closing}),
	http2_liar:go(Server),
	{200, _, <<"done">>} = answer(ConnPid, Ref1),
	?EXPECT({gun_down, ConnPid, http2, normal, []}),
	?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
	http2_liar:stop(Server).

goaway_of_real_servers(Config) ->
	doc("A server that ends gracefully answers what it has begun with, and one that ends at once says why."),
	ConnPid = http2_servers:open(Config, config(rust, Config), #{retry => 5}),
	{200, _, <<"The connection is going away.">>} = answer(ConnPid, gun_rs:get(ConnPid, "/goaway")),
	?EXPECT({gun_down, ConnPid, http2, normal, []}),
	?EXPECT({gun_up, ConnPid, http2}),
	{200, _, <<"x">>} = answer(ConnPid, gun_rs:get(ConnPid, "/bytes?n=1")),
	StreamRef = gun_rs:get(ConnPid, "/goaway?code=11"),
	?EXPECT({gun_error, ConnPid, StreamRef, _}),
	?EXPECT({gun_down, ConnPid, http2, _, [StreamRef]}),
	?EXPECT({gun_up, ConnPid, http2}),
	ok = gun_rs:close(ConnPid).

goaway_and_silence(Config) ->
	doc("The streams that a server leaves unfinished are ended by closing_timeout."),
	{Server, Port} = lie(Config, [open, {await, headers}, {send, http2_liar:goaway(1, no_error, "")}]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{closing_timeout => 200}}),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, normal}}),
	?EXPECT({gun_down, ConnPid, http2, normal, [StreamRef]}),
	http2_liar:stop(Server).

goaway_twice(Config) ->
	doc("A second GOAWAY with a lower id drops more streams."),
	{Server, Port} = lie(Config, [open, {await, headers}, {await, headers},
		{send, [http2_liar:goaway(16#7fffffff, no_error, ""), http2_liar:ping(9)]}, wait,
		{send, [http2_liar:goaway(1, no_error, ""), http2_liar:ok(1, "first")]}]),
	ConnPid = http2_servers:open(Config, Port),
	[Ref1, Ref2] = [gun_rs:get(ConnPid, "/") || _ <- [1, 2]],
	?EXPECT({http2_liar, Server, {ping_ack, 9}}),
	?REFUTE({gun_error, _, _, _}),
	http2_liar:go(Server),
	?EXPECT({gun_error, ConnPid, Ref2, {goaway, no_error, _}}),
	{200, _, <<"first">>} = answer(ConnPid, Ref1),
	?EXPECT({gun_down, ConnPid, http2, normal, []}),
	http2_liar:stop(Server).

lost(Config) ->
	doc("A connection that is lost ends each stream, and gun_down names them all; the next one goes on."),
	_ = [begin
		{Server, Port} = lie(Config, [open, {await, headers}, {await, headers}, {send, Part}, wait, close]),
		ConnPid = http2_servers:open(Config, Port, #{retry => 5}),
		Ref1 = gun_rs:get(ConnPid, "/"),
		Ref2 = gun_rs:post(ConnPid, "/", []),
		{ok, #{ref := Ref2}} = gun_rs:stream_info(ConnPid, Ref2),
		_ = [?EXPECT({http2_liar, Server, {headers, Id, _, _}}) || Id <- [1, 3]],
		http2_liar:go(Server),
		Reasons = [case answer(ConnPid, Ref) of
			{error, Reason} -> Reason;
			{200, _, <<"He">>, {error, Reason}} -> Reason
		end || Ref <- [Ref1, Ref2]],
		[] = [R || R <- Reasons, R =/= closed, not is_tuple(R)],
		Killed = ?EXPECT({gun_down, ConnPid, http2, _, K}, K),
		{[], []} = {Killed -- [Ref1, Ref2], [Ref1, Ref2] -- Killed},
		?EXPECT({gun_up, ConnPid, http2}),
		ok = gun_rs:close(ConnPid),
		http2_liar:stop(Server)
	end || Part <- [<<>>, <<0>>, [http2_liar:headers(1, nofin, [{":status", "200"}]), http2_liar:data(1, nofin, "He")],
		binary:part(iolist_to_binary(http2_liar:headers(1, nofin, [{":status", "200"}])), 0, 12)]],
	ok.

%% The user ends it.

shutdown(Config) ->
	doc("shutdown says so to the server, lets the streams come to their end, and takes no more."),
	{Server, Port} = lie(Config, [open, {await, headers}, wait, {send, http2_liar:ok(1, "done")}]),
	ConnPid = http2_servers:open(Config, Port),
	MRef = watch(ConnPid),
	Ref1 = gun_rs:post(ConnPid, "/", []),
	{ok, #{ref := Ref1}} = gun_rs:stream_info(ConnPid, Ref1),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({http2_liar, Server, {goaway, 0, no_error, _}}),
	Ref2 = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_error, ConnPid, Ref2, Closing} when Closing =:= closing; Closing =:= {closing, shutdown}),
	ok = gun_rs:data(ConnPid, Ref1, fin, "the last"),
	?EXPECT({http2_liar, Server, {data, 1, fin, <<"the last">>}}),
	http2_liar:go(Server),
	{200, _, <<"done">>} = answer(ConnPid, Ref1),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?REFUTE({gun_down, _, _, _, _}),
	http2_liar:stop(Server).

shutdown_of_what_rests(Config) ->
	doc("Where nothing is under way, shutdown is done at once."),
	{Server, Port} = lie(Config, [open]),
	ConnPid = http2_servers:open(Config, Port),
	?EXPECT({http2_liar, Server, settings_ack}),
	MRef = watch(ConnPid),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?EXPECT({http2_liar, Server, {goaway, 0, no_error, _}}),
	http2_liar:stop(Server).

shutdown_and_silence(Config) ->
	doc("A stream that does not end is ended by closing_timeout."),
	{Server, Port} = lie(Config, [open]),
	ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{closing_timeout => 200}}),
	MRef = watch(ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/"),
	{ok, #{ref := StreamRef}} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({gun_error, ConnPid, StreamRef, {closed, shutdown}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	http2_liar:stop(Server).

close(Config) ->
	doc("close says nothing to anyone."),
	ConnPid = http2_servers:open(Config, config(rust, Config)),
	MRef = watch(ConnPid),
	_ = gun_rs:get(ConnPid, "/slow"),
	ok = gun_rs:close(ConnPid),
	?EXPECT({'DOWN', MRef, process, ConnPid, shutdown}),
	?REFUTE(_).

owner_death(Config) ->
	doc("When its owner dies, the connection ends as by shutdown, and the requests of others come to their end."),
	{Server, Port} = lie(Config, [open, {await, headers}, wait, {send, http2_liar:ok(1, "done")}]),
	Self = self(),
	Owner = spawn(fun() ->
		Self ! {open, http2_servers:open(Config, Port)},
		receive stop -> exit(stopped) end
	end),
	ConnPid = ?EXPECT({open, P}, P),
	MRef = watch(ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{reply_to => Self}),
	{ok, #{ref := StreamRef}} = gun_rs:stream_info(ConnPid, StreamRef),
	Owner ! stop,
	?EXPECT({http2_liar, Server, {goaway, 0, no_error, _}}),
	http2_liar:go(Server),
	{200, _, <<"done">>} = answer(ConnPid, StreamRef),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {owner_down, stopped}}}),
	http2_liar:stop(Server).

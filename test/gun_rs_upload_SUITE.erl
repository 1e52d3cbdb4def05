%% A body goes out no faster than the server takes it, and with max_send_queue it costs no more memory than that.
-module(gun_rs_upload_SUITE).

-import(lying_server, [ok/1]).

-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

-define(MIB, 16#100000).

-define(UPLOAD, (1024 * ?MIB)).
-define(MAX_SEND_QUEUE, (8 * ?MIB)).

%% What the upload may cost at most, in bytes, by the VM's account and by the operating system's: the queue, the
%% buffers, what the sender has made and not collected, and what the allocators keep.
-define(UPLOAD_MEMORY, (64 * ?MIB)).

%% After how many bytes the server pauses: far more than the queue and the system's buffers hold.
-define(PAUSE_AFTER, (64 * ?MIB)).

%% What a large body costs.

upload_of_1_gib(_) ->
	doc("With max_send_queue of 8 MiB an upload of 1 GiB to a server that pauses stays under 64 MiB, and arrives whole."),
	_ = [begin
		{Server, Port} = lying_server:start([{sink, ?PAUSE_AFTER}, {send, ok("Thanks.")}]),
		%% In a node of its own, so that the figures are those of the client alone.
		{ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 60000, args => ["-pa"|code:get_path()]}),
		Upload = peer:call(Peer, ?MODULE, do_start, [Port, Headers, Part], ?WAIT),
		_ = [begin
			ok = do_wait_for_a_stop(Peer),
			lying_server:go(Server)
		end || _ <- lists:seq(1, ?UPLOAD div ?PAUSE_AFTER)],
		{Hash, Refused, Erlang, System} = peer:call(Peer, ?MODULE, do_result, [Upload], 20 * ?WAIT),
		peer:stop(Peer),
		ct:log("Parts of ~b bytes: ~b were refused, the VM counts ~b bytes more at most, the system ~b",
			[Part, Refused, Erlang, System]),
		?EXPECT({lying_server, Server, {sunk, ?UPLOAD, Hash}}),
		true = Erlang < ?UPLOAD_MEMORY,
		true = System < ?UPLOAD_MEMORY,
		lying_server:stop(Server)
	end || {Headers, Part} <- [
		{[], ?MIB},
		{[{"content-length", integer_to_list(?UPLOAD)}], 64 * 1024}
	]],
	ok.

%% The sender, which shows to others how many parts were taken, and how many refused.
do_start(Port, Headers, Part) ->
	persistent_term:put(?MODULE, counters:new(2, [])),
	spawn(fun() -> exit({done, do_upload(Port, Headers, Part)}) end).

do_result(Upload) ->
	{done, Result} = gun_rs_test:await_exit(Upload),
	Result.

do_progress() ->
	Counters = persistent_term:get(?MODULE),
	{counters:get(Counters, 1), counters:get(Counters, 2)}.

do_count(What) ->
	counters:add(persistent_term:get(?MODULE), What, 1).

%% For some time, all that the sender hears is that there is no room. A machine that is slow to run it may make it look
%% so where it isn't: then there is a pause less.
do_wait_for_a_stop(Peer) ->
	Progress = fun() -> peer:call(Peer, ?MODULE, do_progress, [], ?WAIT) end,
	true = eventually(fun() ->
		{Taken, Refused} = Progress(),
		timer:sleep(100),
		case Progress() of
			{Taken, More} when More > Refused -> true;
			Other -> {goes_on, Other}
		end
	end),
	ok.

do_upload(Port, Headers, Part) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	ConnPid = open(Port, #{retry => 0, http_opts => #{max_send_queue => ?MAX_SEND_QUEUE}}),
	%% What crypto brings to stay is not the upload's.
	Hash0 = crypto:hash_update(crypto:hash_init(sha256), ""),
	Memory = gun_rs_test:watch_memory(),
	StreamRef = gun_rs:post(ConnPid, "/", Headers),
	Hash = lists:foldl(fun(N, Acc) ->
		Data = http_echo_h:piece(N, Part),
		ok = do_data(ConnPid, StreamRef, nofin, Data),
		crypto:hash_update(Acc, Data)
	end, Hash0, lists:seq(1, ?UPLOAD div Part)),
	ok = do_data(ConnPid, StreamRef, fin, <<>>),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	{200, _, <<"Thanks.">>} = answer(ConnPid, StreamRef),
	{_, Refused} = do_progress(),
	{crypto:hash_final(Hash), Refused, Erlang, System}.

%% Again and again, until there is room. The refusal is in the mailbox when data/4 returns.
do_data(ConnPid, StreamRef, IsFin, Data) ->
	ok = gun_rs:data(ConnPid, StreamRef, IsFin, Data),
	receive
		{gun_error, ConnPid, StreamRef, send_queue_full} ->
			do_count(2),
			timer:sleep(1),
			do_data(ConnPid, StreamRef, IsFin, Data)
	after 0 ->
		do_count(1)
	end.

without_a_limit(_) ->
	doc("Without max_send_queue nothing is refused: all that the server doesn't take waits, and goes when it does."),
	_ = [begin
		{Server, ConnPid} = do_open_unread(HttpOpts, [{sink, 16 * ?MIB}, {send, ok("Thanks.")}]),
		StreamRef = gun_rs:post(ConnPid, "/", []),
		Parts = [http_echo_h:piece(N, ?MIB) || N <- lists:seq(1, 32)],
		_ = [ok = gun_rs:data(ConnPid, StreamRef, nofin, Part) || Part <- Parts],
		%% Of 32 MiB the system has taken the least.
		true = do_queue(ConnPid) > 16 * ?MIB,
		ok = gun_rs:data(ConnPid, StreamRef, fin, ""),
		_ = [lying_server:go(Server) || _ <- [1, 2]],
		Hash = crypto:hash(sha256, Parts),
		?EXPECT({lying_server, Server, {sunk, 32 * ?MIB, Hash}}),
		{200, _, <<"Thanks.">>} = answer(ConnPid, StreamRef),
		0 = do_queue(ConnPid),
		?REFUTE({gun_error, _, _, _}),
		ok = gun_rs:close(ConnPid),
		lying_server:stop(Server)
	end || HttpOpts <- [#{}, #{max_send_queue => infinity}]],
	ok.

%% What is refused, and who is told.

nothing_of_it_is_sent(_) ->
	doc("Of a call that is refused nothing is sent, and of one that is not, all: what arrives is what was taken."),
	{Server, ConnPid} = do_open_unread(#{max_send_queue => 100000}, [{sink, 1000 * ?MIB}, {send, ok("Thanks.")}]),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	%% Of several sizes, so that a small one fits where a large one has not.
	{Taken, Refused} = do_fill(ConnPid, StreamRef, 1, [], 0),
	ct:log("~b taken, ~b refused", [length(Taken), Refused]),
	%% What the last part itself counts for, beside its bytes, may be beyond it.
	true = do_queue(ConnPid) =< 101000,
	lying_server:go(Server),
	ok = do_await_room(ConnPid),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "the end"),
	Body = iolist_to_binary([lists:reverse(Taken), "the end"]),
	{Size, Hash} = {byte_size(Body), crypto:hash(sha256, Body)},
	?EXPECT({lying_server, Server, {sunk, Size, Hash}}),
	{200, _, <<"Thanks.">>} = answer(ConnPid, StreamRef),
	?REFUTE({gun_error, _, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Until nothing has been taken for a while: the parts, the last one first, and how many were refused.
do_fill(ConnPid, StreamRef, N, Taken, Refused) ->
	Part = http_echo_h:piece(N, 8 + (N * 7919) rem 30000),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, Part),
	receive
		{gun_error, ConnPid, StreamRef, send_queue_full} when N rem 100 =:= 0 ->
			Before = do_queue(ConnPid),
			timer:sleep(200),
			case do_queue(ConnPid) of
				Before -> {Taken, Refused + 1};
				_ -> do_fill(ConnPid, StreamRef, N + 1, Taken, Refused + 1)
			end;
		{gun_error, ConnPid, StreamRef, send_queue_full} ->
			do_fill(ConnPid, StreamRef, N + 1, Taken, Refused + 1)
	after 0 ->
		do_fill(ConnPid, StreamRef, N + 1, [Part|Taken], Refused)
	end.

larger_than_the_limit(_) ->
	doc("What alone is more than the limit never fits, whole bodies too; reply_to is told, and the stream is none."),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(_, Body) -> ok(Body) end}]}]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{max_send_queue => 1000}}),
	Self = self(),
	ReplyTo = fun(Msg) -> Self ! {reply, Msg} end,
	TooMuch = binary:copy(<<"a">>, 1001),
	_ = [begin
		StreamRef = Request(),
		?EXPECT({reply, {gun_error, ConnPid, StreamRef, send_queue_full}}),
		{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef)
	end || Request <- [
		fun() -> gun_rs:post(ConnPid, "/", [], TooMuch, #{reply_to => ReplyTo}) end,
		fun() -> gun_rs:post(ConnPid, "/", [], binary:copy(TooMuch, 1000), #{reply_to => ReplyTo}) end,
		%% The path and the headers count.
		fun() -> gun_rs:post(ConnPid, "/", [{"x", binary:copy(<<"a">>, 500)}], binary:copy(<<"a">>, 500),
			#{reply_to => ReplyTo}) end,
		fun() -> gun_rs:get(ConnPid, "/", [{"x", TooMuch}], #{reply_to => ReplyTo}) end,
		fun() -> gun_rs:get(ConnPid, ["/", TooMuch], [], #{reply_to => ReplyTo}) end,
		fun() -> gun_rs:put(ConnPid, "/", [{"x", TooMuch}], #{reply_to => ReplyTo}) end,
		fun() -> gun_rs:ws_upgrade(ConnPid, "/", [{"x", TooMuch}], #{reply_to => ReplyTo}) end
	]],
	%% Of a body's part it is the caller who is told, whoever gets the response.
	StreamRef1 = gun_rs:post(ConnPid, "/", [], #{reply_to => ReplyTo}),
	ok = gun_rs:data(ConnPid, StreamRef1, fin, TooMuch),
	?EXPECT({gun_error, ConnPid, StreamRef1, send_queue_full}),
	ok = gun_rs:data(ConnPid, StreamRef1, fin, "it fits"),
	?EXPECT({reply, {gun_response, ConnPid, StreamRef1, nofin, 200, _}}),
	?EXPECT({reply, {gun_data, ConnPid, StreamRef1, fin, <<"it fits">>}}),
	Fits = binary:copy(<<"a">>, 900),
	{200, _, Fits} = answer(ConnPid, gun_rs:post(ConnPid, "/", [], Fits)),
	{error, {stream_error, send_queue_full}} = gun_rs:await(ConnPid, gun_rs:post(ConnPid, "/", [], TooMuch)),
	?REFUTE({gun_error, _, _, _}),
	?REFUTE({reply, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

requests_that_wait(_) ->
	doc("What waits behind an unanswered request counts, until its turn or its end has come."),
	{Server, Port} = lying_server:start([{repeat, [request, wait, {send, ok("")}]}]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{max_send_queue => 10000, pipeline => 1}}),
	Body = binary:copy(<<"a">>, 4000),
	StreamRef1 = gun_rs:get(ConnPid, "/"),
	?EXPECT({lying_server, Server, {request, _}}),
	StreamRef2 = gun_rs:post(ConnPid, "/", [], Body),
	StreamRef3 = gun_rs:post(ConnPid, "/", []),
	ok = gun_rs:data(ConnPid, StreamRef3, nofin, Body),
	Refused = gun_rs:post(ConnPid, "/", [], Body),
	?EXPECT({gun_error, ConnPid, Refused, send_queue_full}),
	ok = gun_rs:data(ConnPid, StreamRef3, nofin, Body),
	?EXPECT({gun_error, ConnPid, StreamRef3, send_queue_full}),
	true = do_queue(ConnPid) >= 8000,
	%% A request that is cancelled makes room.
	ok = gun_rs:cancel(ConnPid, StreamRef3),
	{ok, undefined} = gun_rs:stream_info(ConnPid, StreamRef3),
	true = eventually(fun() -> do_queue(ConnPid) < 5000 end),
	StreamRef4 = gun_rs:get(ConnPid, "/", [{"x", Body}]),
	lying_server:go(Server),
	{200, _, _} = answer(ConnPid, StreamRef1),
	?EXPECT({lying_server, Server, {request, _}}),
	?REFUTE({gun_error, _, _, _}),
	true = do_queue(ConnPid) >= 4000,
	%% So does one that a shutdown leaves unsent.
	ok = gun_rs:shutdown(ConnPid),
	?EXPECT({gun_error, ConnPid, StreamRef4, {closing, shutdown}}),
	true = eventually(fun() -> do_queue(ConnPid) =:= 0 end),
	lying_server:go(Server),
	{200, _, _} = answer(ConnPid, StreamRef2),
	lying_server:stop(Server).

account_is_settled(_) ->
	doc("Whatever ends a connection, nothing of what it could not send stays in the account of the next one."),
	{Server, Port} = lying_server:start([request, wait, close], [{recbuf, 4096}]),
	ConnPid = open(Port, #{retry => 100, tcp_opts => [{sndbuf, 4096}], http_opts => #{max_send_queue => 2 * ?MIB}}),
	_ = [begin
		StreamRef1 = gun_rs:post(ConnPid, "/", []),
		?EXPECT({lying_server, Server, {request, _}}),
		_ = [ok = gun_rs:data(ConnPid, StreamRef1, nofin, binary:copy(<<0>>, 100000)) || _ <- lists:seq(1, 15)],
		StreamRef2 = gun_rs:post(ConnPid, "/", [{"x", "header"}], binary:copy(<<0>>, 100000)),
		StreamRef3 = gun_rs:put(ConnPid, "/", []),
		ok = gun_rs:data(ConnPid, StreamRef3, nofin, binary:copy(<<0>>, 100000)),
		%% What the connection has not come to when it ends would wait for the next one.
		{ok, #{}} = gun_rs:stream_info(ConnPid, StreamRef3),
		true = do_queue(ConnPid) > 200000,
		lying_server:go(Server),
		?EXPECT({gun_down, ConnPid, http, _, [StreamRef1, StreamRef2, StreamRef3]}),
		?EXPECT({gun_up, ConnPid, http}),
		%% Data without a stream are accounted for, and refused.
		ok = gun_rs:data(ConnPid, StreamRef1, fin, binary:copy(<<0>>, ?MIB)),
		?EXPECT({gun_error, ConnPid, StreamRef1, {badstate, _}}),
		true = eventually(fun() -> do_queue(ConnPid) =:= 0 end),
		?REFUTE({gun_error, ConnPid, _, send_queue_full}),
		ok = gun_rs:flush(ConnPid)
	end || _ <- [1, 2, 3]],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

limit_by_way_of_the_process(_) ->
	doc("Where data go through ConnPid, which has a cookie store, a refusal comes before ConnPid's next answer."),
	{Server, Port} = lying_server:start([{sink, 1000 * ?MIB}, {send, ok("Thanks.")}]),
	ConnPid = open(Port, #{
		retry => 0,
		cookie_store => gun_rs_cookies_list:init(),
		http_opts => #{max_send_queue => 8 * ?MIB}
	}),
	StreamRef = gun_rs:post(ConnPid, "/", []),
	Parts = [http_echo_h:piece(N, ?MIB) || N <- lists:seq(1, 64)],
	Told = lists:sum([do_data_and_ask(Server, ConnPid, StreamRef, Part, 0) || Part <- Parts]),
	true = Told > 0,
	ok = gun_rs:data(ConnPid, StreamRef, fin, ""),
	Hash = crypto:hash(sha256, Parts),
	?EXPECT({lying_server, Server, {sunk, 64 * ?MIB, Hash}}),
	{200, _, <<"Thanks.">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% The server begins to read when the first part is refused. How often this one was.
do_data_and_ask(Server, ConnPid, StreamRef, Part, Told) ->
	ok = gun_rs:data(ConnPid, StreamRef, nofin, Part),
	{ok, #{state := running}} = gun_rs:stream_info(ConnPid, StreamRef),
	receive
		{gun_error, ConnPid, StreamRef, send_queue_full} ->
			lying_server:go(Server),
			timer:sleep(1),
			do_data_and_ask(Server, ConnPid, StreamRef, Part, Told + 1)
	after 0 ->
		Told
	end.

%% Helpers.

%% A connection to a server that takes little of what it doesn't read.
do_open_unread(HttpOpts, Script) ->
	{Server, Port} = lying_server:start(Script, [{recbuf, 4096}]),
	{Server, open(Port, #{retry => 0, tcp_opts => [{sndbuf, 4096}], http_opts => HttpOpts})}.

do_await_room(ConnPid) ->
	true = eventually(fun() -> do_queue(ConnPid) =:= 0 end),
	ok.

do_queue(ConnPid) ->
	#{stats := #{send_queue := Bytes}} = gun_rs:info(ConnPid),
	Bytes.

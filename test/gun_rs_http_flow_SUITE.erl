%% A response comes no faster than its receiver takes it, where it says so, and costs no more memory than that.
-module(gun_rs_http_flow_SUITE).

-import(lying_server, [ok/1]).

-define(NEEDS, [{listener, [http_echo_h]}]).
-define(TIMETRAP, {minutes, 10}).
-include("gun_rs_suite.hrl").

%% What a download may cost at most, in bytes, by the VM's account and by the operating system's: the messages that flow
%% allows, the buffers, what the receiver has taken and not collected, and what the allocators keep.
-define(DOWNLOAD_MEMORY, 64 * 16#100000).

-define(PIECES, 1024).
-define(PIECE, 16#100000).

%% What flow does.

parts_are_reads(_) ->
	doc("What one read brings of a body is one gun_data and costs one of the flow, in however many chunks it came."),
	{Server, Port} = lying_server:start([
		request,
		{send, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3\r\nd"},
		wait, {send, "ef\r\n1\r\ng\r\n"},
		wait, {send, "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"}
	]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"abcd">>}),
	lying_server:go(Server),
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 2),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"efg">>}),
	lying_server:go(Server),
	?EXPECT({gun_data, ConnPid, StreamRef, fin, <<"hi">>}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

one_by_one(_) ->
	doc("With flow 1, one part of the body arrives, and the next after update_flow; other messages cost nothing."),
	{Server, Port} = lying_server:start([
		request,
		{send, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"},
		wait, {send, "3\r\ntwo\r\n"},
		wait, {send, "5\r\nthree\r\n"},
		wait, {send, "0\r\nx-trailer: yes\r\n\r\n"}
	]),
	ConnPid = open(Port),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_inform, ConnPid, StreamRef, 103, _}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"one">>}),
	lying_server:go(Server),
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"two">>}),
	%% What is granted in advance counts too.
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?REFUTE({gun_data, _, _, _, _}),
	lying_server:go(Server),
	?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"three">>}),
	lying_server:go(Server),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?EXPECT({gun_trailers, ConnPid, StreamRef, [{<<"x-trailer">>, <<"yes">>}]}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

stops_and_goes_on(Config) ->
	doc("With the flow of a request, or of http_opts where it has none, a body stops after a few parts, and goes on."),
	_ = [begin
		ConnPid = open(config(port, Config), #{retry => 0, http_opts => HttpOpts}),
		StreamRef = gun_rs:get(ConnPid, "/pieces?count=1024&size=65536", [], ReqOpts),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		Before = do_take(ConnPid, StreamRef, 0),
		?REFUTE({gun_data, _, _, _, _}),
		ct:log("~b bytes before it stopped", [Before]),
		%% Of 64 MiB.
		true = Before > 0,
		true = Before < 4 * 16#100000,
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
		More = ?EXPECT({gun_data, ConnPid, StreamRef, nofin, Data}, byte_size(Data)),
		ok = gun_rs:update_flow(ConnPid, StreamRef, 1000000),
		Rest = do_rest(ConnPid, StreamRef, 0),
		64 * 16#100000 = Before + More + Rest,
		ok = gun_rs:close(ConnPid)
	end || {HttpOpts, ReqOpts} <- [
		{#{}, #{flow => 2}},
		{#{flow => 2}, #{}},
		{#{flow => 1000000}, #{flow => 2}}
	]],
	ok.

%% What comes before a pause.
do_take(ConnPid, StreamRef, Size) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} -> do_take(ConnPid, StreamRef, Size + byte_size(Data))
	after 300 ->
		Size
	end.

do_rest(ConnPid, StreamRef, Size) ->
	case ?EXPECT({gun_data, ConnPid, StreamRef, IsFin, Data}, {IsFin, byte_size(Data)}) of
		{nofin, More} -> do_rest(ConnPid, StreamRef, Size + More);
		{fin, More} -> Size + More
	end.

each_stream_has_its_own(Config) ->
	doc("A stream's flow is its own: update_flow of another does not count, and one given before its turn does."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/pieces?count=100&size=65536", [], #{flow => 1}),
	StreamRef2 = gun_rs:get(ConnPid, "/pieces?count=100&size=65536", [], #{flow => 1}),
	StreamRef3 = gun_rs:post(ConnPid, "/echo", [], "no limit"),
	?EXPECT({gun_response, ConnPid, StreamRef1, nofin, 200, _}),
	Before = do_take(ConnPid, StreamRef1, 0),
	ok = gun_rs:update_flow(ConnPid, StreamRef2, 1000000),
	ok = gun_rs:update_flow(ConnPid, make_ref(), 1000000),
	?REFUTE(_),
	ok = gun_rs:update_flow(ConnPid, StreamRef1, 1000000),
	Rest = do_rest(ConnPid, StreamRef1, 0),
	6553600 = Before + Rest,
	{200, _, Body} = answer(ConnPid, StreamRef2),
	6553600 = byte_size(Body),
	{200, _, <<"no limit">>} = answer(ConnPid, StreamRef3),
	ok = gun_rs:close(ConnPid).

flow_and_ends(Config) ->
	doc("A stream whose flow is used up can be cancelled, its connection closed and shut down, and its owner may go."),
	Port = config(port, Config),
	[{ConnPid1, StreamRef1}, {ConnPid2, _}, {ConnPid3, StreamRef3}] = [do_used_up(Port) || _ <- [1, 2, 3]],
	Next = gun_rs:post(ConnPid1, "/echo", [], "next"),
	ok = gun_rs:cancel(ConnPid1, StreamRef1),
	{200, _, <<"next">>} = answer(ConnPid1, Next),
	ok = gun_rs:close(ConnPid1),
	MRef2 = watch(ConnPid2),
	ok = gun_rs:close(ConnPid2),
	?EXPECT({'DOWN', MRef2, process, ConnPid2, shutdown}),
	MRef3 = watch(ConnPid3),
	ok = gun_rs:shutdown(ConnPid3),
	?EXPECT({gun_error, ConnPid3, StreamRef3, {closed, shutdown}}),
	?EXPECT({'DOWN', MRef3, process, ConnPid3, shutdown}),
	Self = self(),
	Owner = spawn(fun() ->
		Self ! {self(), do_used_up(Port)},
		receive after infinity -> ok end
	end),
	ConnPid4 = ?EXPECT({Owner, {Pid, _}}, Pid),
	MRef4 = watch(ConnPid4),
	exit(Owner, oops),
	?EXPECT({'DOWN', MRef4, process, ConnPid4, {shutdown, {owner_down, oops}}}).

%% A connection whose one stream has come to a stop.
do_used_up(Port) ->
	ConnPid = open(Port, #{retry => 0, http_opts => #{closing_timeout => 100}}),
	StreamRef = gun_rs:get(ConnPid, "/pieces?count=1024&size=65536", [], #{flow => 1}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	_ = do_take(ConnPid, StreamRef, 0),
	{ConnPid, StreamRef}.

last_part_is_granted(_) ->
	doc("A body of as many parts as flow allows is complete, without an update_flow."),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(_, _) -> ok("just this") end}]}]),
	ConnPid = open(Port),
	_ = [{200, _, <<"just this">>} = answer(ConnPid, gun_rs:get(ConnPid, "/", [], #{flow => Flow})) || Flow <- [1, 2, 100]],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% flow => auto.

auto(Config) ->
	doc("With flow auto, of a request or of http_opts, a body stops while its receiver reads nothing, and arrives whole."),
	_ = [begin
		ConnPid = open(config(port, Config), #{retry => 0, http_opts => HttpOpts}),
		StreamRef = gun_rs:get(ConnPid, "/pieces?count=1024&size=65536", [], ReqOpts),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		?REFUTE(nothing),
		{message_queue_len, Length} = process_info(self(), message_queue_len),
		#{stats := #{bytes_in := BytesIn}} = gun_rs:info(ConnPid),
		ct:log("~b parts in the mailbox, ~b bytes", [Length, BytesIn]),
		%% Of 64 MiB.
		{messages, Parts} = process_info(self(), messages),
		true = lists:sum([byte_size(Data) || {gun_data, _, _, nofin, Data} <- Parts]) < 16 * 16#100000,
		64 * 16#100000 = do_rest(ConnPid, StreamRef, 0),
		%% What it means to a number it means not to this.
		Next = gun_rs:get(ConnPid, "/pieces?count=1024&size=65536", [], ReqOpts),
		?EXPECT({gun_response, ConnPid, Next, nofin, 200, _}),
		ok = gun_rs:update_flow(ConnPid, Next, 1000000),
		?REFUTE(nothing),
		{messages, NextParts} = process_info(self(), messages),
		true = lists:sum([byte_size(Data) || {gun_data, _, _, nofin, Data} <- NextParts]) < 16 * 16#100000,
		ok = gun_rs:cancel(ConnPid, Next),
		ok = gun_rs:flush(Next),
		{200, _, <<"next">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "next")),
		ok = gun_rs:close(ConnPid)
	end || {HttpOpts, ReqOpts} <- [{#{}, #{flow => auto}}, {#{flow => auto}, #{}}]],
	ok.

%% What it costs.

download_of_1_gib(Config) ->
	doc("A download of 1 GiB to a receiver that takes a few parts at a time stays under 64 MiB, and arrives whole."),
	Hash = lists:foldl(fun(N, H) ->
		crypto:hash_update(H, http_echo_h:piece(N, ?PIECE))
	end, crypto:hash_init(sha256), lists:seq(1, ?PIECES)),
	Expected = {?PIECES * ?PIECE, crypto:hash_final(Hash)},
	_ = [begin
		%% In a node of its own, so that the figures are those of the client alone.
		{ok, Peer, _} = peer:start_link(#{connection => standard_io, wait_boot => 60000, args => ["-pa"|code:get_path()]}),
		{Received, Erlang, System} = peer:call(Peer, ?MODULE, do_download, [config(port, Config), Query], 20 * ?WAIT),
		peer:stop(Peer),
		ct:log("~s: the VM counts ~b bytes more at most, the system ~b", [Query, Erlang, System]),
		Expected = Received,
		true = Erlang < ?DOWNLOAD_MEMORY,
		true = System < ?DOWNLOAD_MEMORY
	end || Query <- ["", "&length"]],
	ok.

do_download(Port, Query) ->
	{ok, _} = application:ensure_all_started(gun_rs),
	ConnPid = open(Port),
	%% What crypto brings to stay is not the download's.
	_ = crypto:hash(sha256, "Hello!"),
	Memory = gun_rs_test:watch_memory(),
	Path = io_lib:format("/pieces?count=~b&size=~b~s", [?PIECES, ?PIECE, Query]),
	StreamRef = gun_rs:get(ConnPid, Path, [], #{flow => 8}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	Received = do_download_loop(ConnPid, StreamRef, 0, crypto:hash_init(sha256)),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	{Received, Erlang, System}.

%% The pauses are what makes an unlimited flow pile up.
do_download_loop(ConnPid, StreamRef, Size0, Hash0) ->
	{IsFin, Data} = ?EXPECT({gun_data, ConnPid, StreamRef, F, D}, {F, D}),
	Size = Size0 + byte_size(Data),
	Hash = crypto:hash_update(Hash0, Data),
	_ = [begin
		garbage_collect(),
		timer:sleep(400)
	end || Size0 div 16#8000000 < Size div 16#8000000],
	case IsFin of
		fin ->
			{Size, crypto:hash_final(Hash)};
		nofin ->
			ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
			do_download_loop(ConnPid, StreamRef, Size, Hash)
	end.

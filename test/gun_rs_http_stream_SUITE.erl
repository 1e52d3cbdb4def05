%% A request under way can be waited for, asked about, sent to somebody else and cancelled, as with gun.
-module(gun_rs_http_stream_SUITE).

-import(lying_server, [ok/1]).

-define(NEEDS, [{listener, [http_echo_h]}]).
-include("gun_rs_suite.hrl").

-define(NOT_FOUND, {badstate, "The stream cannot be found."}).

%% reply_to.

reply_to(Config) ->
	doc("reply_to of a request may be a pid, a fun, a fun with more arguments, and a function by name."),
	Self = self(),
	Other = spawn_link(fun() -> do_forward(Self) end),
	_ = [begin
		ConnPid = open(config(port, Config)),
		ReqOpts = #{reply_to => ReplyTo},
		_ = [begin
			StreamRef = Request(ConnPid),
			Body = iolist_to_binary(do_bodies(Tag, ConnPid, StreamRef, Expected))
		end || {Expected, Body, Request} <- [
			{[response, data], <<"body">>, fun(P) -> gun_rs:post(P, "/echo", [], "body", ReqOpts) end},
			{[response, data], <<"body">>, fun(P) -> gun_rs:request(P, <<"PUT">>, "/echo", [], "body", ReqOpts) end},
			{[response, data], <<"more">>, fun(P) -> do_streamed(P, gun_rs:patch(P, "/echo", [], ReqOpts)) end},
			{[response, data], <<"more">>, fun(P) -> do_streamed(P, gun_rs:headers(P, <<"PUT">>, "/echo", [], ReqOpts)) end},
			{[inform, response, data], <<"Informed.">>, fun(P) -> gun_rs:get(P, "/inform?count=1", [], ReqOpts) end},
			{[response, data, data, trailers], <<"Hello world!">>,
				fun(P) -> gun_rs:get(P, "/trailers", [{<<"te">>, <<"trailers">>}], ReqOpts) end},
			{[fin], <<>>, fun(P) -> gun_rs:options(P, "/status?code=204", [], ReqOpts) end},
			{[error], <<>>, fun(P) -> gun_rs:get(P, "/die", [], ReqOpts) end}
		]],
		?EXPECT({gun_down, ConnPid, http, closed, [_]}),
		?REFUTE(_)
	end || {Tag, ReplyTo} <- [
		{Other, Other},
		{a_fun, fun(Msg) -> Self ! {a_fun, Msg} end},
		{a_fun_with_args, {fun(Msg, Pid, Tag) -> Pid ! {Tag, Msg} end, [Self, a_fun_with_args]}},
		{an_mfa, {?MODULE, do_reply, [Self, an_mfa]}}
	]],
	unlink(Other),
	exit(Other, kill),
	ok.

do_reply(Msg, Pid, Tag) ->
	Pid ! {Tag, Msg}.

do_forward(To) ->
	receive Msg -> To ! {self(), Msg} end,
	do_forward(To).

do_streamed(ConnPid, StreamRef) ->
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "mo"),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "re"),
	StreamRef.

%% The data of the messages that come by way of reply_to. These are as expected; of the data there may be more parts.
do_bodies(_, _, _, []) ->
	[];
do_bodies(Tag, ConnPid, StreamRef, Expected = [First|More]) ->
	case {First, ?EXPECT({Tag, M}, M)} of
		{inform, {gun_inform, ConnPid, StreamRef, 103, _}} -> do_bodies(Tag, ConnPid, StreamRef, More);
		{response, {gun_response, ConnPid, StreamRef, nofin, 200, _}} -> do_bodies(Tag, ConnPid, StreamRef, More);
		{fin, {gun_response, ConnPid, StreamRef, fin, 204, _}} -> [];
		{data, {gun_data, ConnPid, StreamRef, nofin, Data}} -> [Data|do_bodies(Tag, ConnPid, StreamRef, Expected)];
		{data, {gun_data, ConnPid, StreamRef, fin, Data}} -> [Data|[] = do_bodies(Tag, ConnPid, StreamRef, More)];
		{_, {gun_trailers, ConnPid, StreamRef, [_]}} when First =:= data; First =:= trailers -> [];
		{error, {gun_error, ConnPid, StreamRef, closed}} -> []
	end.

%% await.

await(Config) ->
	doc("await gives each message of a stream without the pid and the reference."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/inform?count=2"),
	{inform, 103, [_|_]} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	{inform, 103, [_|_]} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	{response, nofin, 200, [_|_]} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
	{ok, <<"Informed.">>} = do_await_data(ConnPid, StreamRef1, []),
	StreamRef2 = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
	{ok, <<"Hello world!">>, [{<<"x-sum">>, <<"12">>}]} = do_await_data(ConnPid, StreamRef2, []),
	StreamRef3 = gun_rs:head(ConnPid, "/echo"),
	{response, fin, 200, _} = gun_rs:await(ConnPid, StreamRef3, ?WAIT),
	%% Only that of the stream that is asked for.
	StreamRef4 = gun_rs:get(ConnPid, "/status?code=404"),
	StreamRef5 = gun_rs:get(ConnPid, "/status?code=204"),
	{response, fin, 204, _} = gun_rs:await(ConnPid, StreamRef5, ?WAIT),
	{response, fin, 404, _} = gun_rs:await(ConnPid, StreamRef4, ?WAIT),
	ok = gun_rs:close(ConnPid).

do_await_data(ConnPid, StreamRef, Body) ->
	case gun_rs:await(ConnPid, StreamRef, ?WAIT) of
		{data, nofin, Data} -> do_await_data(ConnPid, StreamRef, [Body, Data]);
		{data, fin, Data} -> {ok, iolist_to_binary([Body, Data])};
		{trailers, Trailers} -> {ok, iolist_to_binary(Body), Trailers}
	end.

await_body(Config) ->
	doc("await_body gives the whole body, and the trailers where there are any, in each arity."),
	ConnPid = open(config(port, Config)),
	MRef = monitor(process, ConnPid),
	Pieces = iolist_to_binary([http_echo_h:piece(N, 10000) || N <- lists:seq(1, 100)]),
	_ = [begin
		StreamRef1 = gun_rs:get(ConnPid, "/pieces?count=100&size=10000"),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef1, ?WAIT),
		{ok, Pieces} = apply(gun_rs, await_body, [ConnPid, StreamRef1|Args]),
		StreamRef2 = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
		{ok, <<"Hello world!">>, [{<<"x-sum">>, <<"12">>}]} = apply(gun_rs, await_body, [ConnPid, StreamRef2|Args])
	end || Args <- [[], [?WAIT], [MRef], [?WAIT, MRef]]],
	ok = gun_rs:close(ConnPid).

await_errors(_) ->
	doc("await and await_body say what became of the stream, of the connection and of the process, or that time is up."),
	{Server, Port} = lying_server:start([
		request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nHello"}, wait, close
	]),
	ConnPid = open(Port),
	MRef = monitor(process, ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/"),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{error, timeout} = gun_rs:await_body(ConnPid, StreamRef, 10),
	{error, timeout} = gun_rs:await_body(ConnPid, StreamRef, 10, MRef),
	{error, timeout} = gun_rs:await(ConnPid, make_ref(), 10),
	Self = self(),
	Waiting = spawn_link(fun() ->
		Self ! {self(), gun_rs:await_body(ConnPid, StreamRef, ?WAIT), gun_rs:await_body(ConnPid, StreamRef, ?WAIT)}
	end),
	lying_server:go(Server),
	{error, {stream_error, closed}} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT, MRef),
	%% Another process gets the end of the process alone, by its own monitor.
	?EXPECT({Waiting, {error, {down, {shutdown, closed}}}, {error, {down, noproc}}}),
	{error, {down, {shutdown, closed}}} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT, MRef),
	{error, {down, noproc}} = gun_rs:await_body(ConnPid, StreamRef, ?WAIT),
	lying_server:stop(Server),
	%% A faulty response of a size that is the connection's fault.
	{Server2, Port2} = lying_server:start([request, {send, ["HTTP/1.1 200 ", binary:copy(<<"a">>, 200000)]}]),
	ConnPid2 = open(Port2),
	StreamRef2 = gun_rs:get(ConnPid2, "/"),
	{error, {connection_error, {connection_error, limit_reached, _}}} = gun_rs:await(ConnPid2, StreamRef2, ?WAIT),
	lying_server:stop(Server2).

%% flush.

flush_a_stream(Config) ->
	doc("flush/1 of a stream removes every message of it, and none of another."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/inform?count=2"),
	StreamRef2 = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
	StreamRef3 = gun_rs:post(ConnPid, "/echo", [], "kept"),
	?EXPECT(Msg = {gun_data, ConnPid, StreamRef3, fin, _}, self() ! Msg),
	ok = gun_rs:flush(StreamRef1),
	ok = gun_rs:flush(StreamRef2),
	{200, _, <<"kept">>} = answer(ConnPid, StreamRef3),
	{messages, []} = process_info(self(), messages),
	ok = gun_rs:close(ConnPid).

flush_a_connection(Config) ->
	doc("flush/1 of a connection removes every message of it, its end included, and none of another."),
	[ConnPid1, ConnPid2] = [open(config(port, Config)) || _ <- [1, 2]],
	MRef = monitor(process, ConnPid1),
	_ = [begin
		_ = gun_rs:get(ConnPid, "/inform?count=2"),
		_ = gun_rs:get(ConnPid, "/trailers", [{<<"te">>, <<"trailers">>}]),
		_ = gun_rs:get(ConnPid, "/die"),
		?EXPECT(Msg = {gun_down, ConnPid, http, closed, _}, self() ! Msg)
	end || ConnPid <- [ConnPid1, ConnPid2]],
	?EXPECT(Msg = {'DOWN', MRef, process, ConnPid1, _}, self() ! Msg),
	ok = gun_rs:flush(ConnPid1),
	{messages, Messages} = process_info(self(), messages),
	[ConnPid2] = lists:usort([element(2, Msg) || Msg <- Messages]),
	ok = gun_rs:flush(ConnPid2),
	{messages, []} = process_info(self(), messages).

%% cancel.

cancel(Config) ->
	doc("Nothing of a cancelled stream arrives any more, and the next request is answered on the same connection."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/held", do_tell()),
	Handler = ?EXPECT({held, Pid, _}, Pid),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", [], "next"),
	ok = gun_rs:cancel(ConnPid, StreamRef1),
	%% The connection has it: its answer to the next call comes behind.
	{ok, #{state := stopping}} = gun_rs:stream_info(ConnPid, StreamRef1),
	Handler ! {answer, binary:copy(<<"unwanted">>, 10000)},
	{200, _, <<"next">>} = answer(ConnPid, StreamRef2),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

cancel_in_a_body(Config) ->
	doc("So it is with a stream that is cancelled in the middle of its response, and of its own body."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/pieces?count=1000&size=10000"),
	?EXPECT({gun_data, ConnPid, StreamRef1, nofin, _}),
	ok = gun_rs:cancel(ConnPid, StreamRef1),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", [], "next"),
	{200, _, <<"next">>} = answer(ConnPid, StreamRef2),
	%% What was on its way when it was cancelled.
	ok = gun_rs:flush(StreamRef1),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

cancel_before_its_turn(Config) ->
	doc("A request that is cancelled before its turn gets no answer, and those around it get theirs."),
	ConnPid = open(config(port, Config)),
	StreamRef1 = gun_rs:get(ConnPid, "/held", do_tell()),
	Handler = ?EXPECT({held, Pid, _}, Pid),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", [], "cancelled"),
	StreamRef3 = gun_rs:post(ConnPid, "/echo", [], "last"),
	ok = gun_rs:cancel(ConnPid, StreamRef2),
	Handler ! {answer, "first"},
	{200, _, <<"first">>} = answer(ConnPid, StreamRef1),
	{200, _, <<"last">>} = answer(ConnPid, StreamRef3),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

cancel_what_is_not_there(Config) ->
	doc("To cancel a stream that is unknown, or that has ended, is answered by a gun_error of that stream."),
	ConnPid = open(config(port, Config)),
	Unknown = make_ref(),
	ok = gun_rs:cancel(ConnPid, Unknown),
	?EXPECT({gun_error, ConnPid, Unknown, ?NOT_FOUND}),
	Ended = gun_rs:get(ConnPid, "/request"),
	{200, _, _} = answer(ConnPid, Ended),
	ok = gun_rs:cancel(ConnPid, Ended),
	?EXPECT({gun_error, ConnPid, Ended, ?NOT_FOUND}),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request")),
	ok = gun_rs:close(ConnPid).

%% stream_info.

stream_info(Config) ->
	doc("stream_info tells a stream's reply_to and state while there is one, its turn come or not, and then undefined."),
	ConnPid = open(config(port, Config)),
	Self = self(),
	StreamRef1 = gun_rs:get(ConnPid, "/held", do_tell()),
	Handler = ?EXPECT({held, Pid, _}, Pid),
	Other = spawn_link(fun() -> receive stop -> ok end end),
	StreamRef2 = gun_rs:get(ConnPid, "/request", [], #{reply_to => Other}),
	StreamRef3 = gun_rs:get(ConnPid, "/request"),
	{ok, #{ref := StreamRef1, reply_to := Self, state := running}} = gun_rs:stream_info(ConnPid, StreamRef1),
	{ok, #{ref := StreamRef2, reply_to := Other, state := running}} = gun_rs:stream_info(ConnPid, StreamRef2),
	{ok, undefined} = gun_rs:stream_info(ConnPid, make_ref()),
	ok = gun_rs:cancel(ConnPid, StreamRef1),
	{ok, #{ref := StreamRef1, reply_to := Self, state := stopping}} = gun_rs:stream_info(ConnPid, StreamRef1),
	Handler ! {answer, "unwanted"},
	{200, _, _} = answer(ConnPid, StreamRef3),
	%% The last one's end may be told a little before it is done with.
	_ = [true = eventually(fun() -> {ok, undefined} =:= gun_rs:stream_info(ConnPid, StreamRef) end)
		|| StreamRef <- [StreamRef1, StreamRef2, StreamRef3]],
	Other ! stop,
	ok = gun_rs:close(ConnPid),
	{'EXIT', {noproc, _}} = ?CATCH(gun_rs:stream_info(ConnPid, StreamRef1)),
	ok.

%% data.

data_of_no_stream(Config) ->
	doc("Data of a stream that is unknown, or whose body has ended, is answered by a gun_error; no data is nothing."),
	ConnPid = open(config(port, Config)),
	Unknown = make_ref(),
	ok = gun_rs:data(ConnPid, Unknown, nofin, "data"),
	?EXPECT({gun_error, ConnPid, Unknown, ?NOT_FOUND}),
	ok = gun_rs:data(ConnPid, Unknown, fin, "data"),
	?EXPECT({gun_error, ConnPid, Unknown, ?NOT_FOUND}),
	ok = gun_rs:data(ConnPid, Unknown, nofin, ""),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "body"),
	{200, _, <<"body">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "more"),
	?EXPECT({gun_error, ConnPid, StreamRef, ?NOT_FOUND}),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, [[], <<>>]),
	{200, _, <<"next">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "next")),
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

data_after_its_end(_) ->
	doc("Data after fin is answered by a gun_error, and nothing of it is sent, though the response is still awaited."),
	{Server, Port} = lying_server:start([{http, fun(_, _) -> ok("first") end}, {http, fun(_, _) -> ok("second") end}]),
	ConnPid = open(Port),
	StreamRef = gun_rs:post(ConnPid, "/", [{<<"content-length">>, <<"8">>}]),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "1234"),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "5678"),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "9"),
	?EXPECT({gun_error, ConnPid, StreamRef, {badstate, [_|_]}}),
	?EXPECT({lying_server, Server, {body, <<"12345678">>}}),
	{200, _, <<"first">>} = answer(ConnPid, StreamRef),
	{200, _, <<"second">>} = answer(ConnPid, gun_rs:get(ConnPid, "/")),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

bad_data(Config) ->
	doc("What is no iodata, or neither fin nor nofin, raises in the caller and harms nobody."),
	ConnPid = open(config(port, Config)),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	_ = [{'EXIT', {_, _}} = ?CATCH(Call()) || Call <- [
		fun() -> gun_rs:data(ConnPid, StreamRef, nofin, [1000]) end,
		fun() -> gun_rs:data(ConnPid, StreamRef, nofin, hello) end,
		fun() -> gun_rs:data(ConnPid, StreamRef, maybe_fin, "data") end,
		fun() -> gun_rs:post(ConnPid, "/echo", [], [1000]) end,
		fun() -> gun_rs:request(ConnPid, <<"PUT">>, "/echo", [], [<<1:1>>]) end
	]],
	ok = gun_rs:data(ConnPid, StreamRef, fin, "good"),
	{200, _, <<"good">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

%% Before the connection is up.

requests_before_gun_up(_) ->
	doc("Whatever is asked before the connection is up is kept and done in order when it is."),
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{retry => 1000, retry_timeout => 10}),
	StreamRef1 = gun_rs:get(ConnPid, "/one"),
	StreamRef2 = gun_rs:post(ConnPid, "/two", []),
	ok = gun_rs:data(ConnPid, StreamRef2, nofin, "bo"),
	ok = gun_rs:data(ConnPid, StreamRef2, fin, "dy"),
	StreamRef3 = gun_rs:get(ConnPid, "/three"),
	?REFUTE({gun_error, _, _, _}),
	gun_rs_test:release_port(Socket),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(Request, Body) ->
		ok([hd(binary:split(Request, <<" HTTP">>)), " ", Body])
	end}]}], [{port, Port}]),
	?EXPECT({gun_up, ConnPid, http}),
	{200, _, <<"GET /one ">>} = answer(ConnPid, StreamRef1),
	{200, _, <<"POST /two body">>} = answer(ConnPid, StreamRef2),
	{200, _, <<"GET /three ">>} = answer(ConnPid, StreamRef3),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

options_of_a_request(Config) ->
	doc("A bad option of a request raises in the caller and names the option."),
	ConnPid = open(config(port, Config), #{retry => 0}),
	_ = [begin
		{'EXIT', {Reason, _}} = ?CATCH(gun_rs:get(ConnPid, "/request", [], #{Key => Value})),
		ct:log("~p", [Reason]),
		true = string:find(io_lib:format("~p", [Reason]), atom_to_list(Key)) =/= nomatch
	end || {Key, Value} <- [{flow, 0}, {flow, many}, {reply_to, nobody}, {reply_to, fun() -> ok end}, {unheard_of, 1}]],
	?REFUTE(_),
	{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/request", [], #{flow => 100, reply_to => self()})),
	ok = gun_rs:close(ConnPid).

%% Helpers.

do_tell() ->
	[{<<"x-tell">>, base64:encode(term_to_binary(self()))}].

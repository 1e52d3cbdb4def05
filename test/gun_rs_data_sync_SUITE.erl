%% gun_rs:data_sync returns when the operating system has the data, or says why it never will.
-module(gun_rs_data_sync_SUITE).

-define(NEEDS, [gun_rs, cowboy, certs, distribution]).
-include("gun_rs_suite.hrl").

-define(NOT_FOUND, {error, {badstate, "The stream cannot be found."}}).
-define(CLOSED, {error, {badstate, "The stream has already been closed."}}).

groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	[{http, Cases}, {http2, Cases}, {https2, Cases}].

init_per_group(http, Config) ->
	Cowboy = {Port, _} = http2_servers:cowboy([{transport, tcp}|Config], #{}),
	[{servers, [Cowboy]}, {cowboy, Port}, {transport, tcp}, {protocol, http}|Config];
init_per_group(Group, Config) ->
	[{protocol, http2}|http2_servers:init(Group, Config)].

end_per_group(_, Config) ->
	http2_servers:stop(Config).

do_opts(Config) ->
	case config(protocol, Config) of
		http -> #{retry => 0, protocols => [http]};
		http2 -> http2_servers:opts(Config, #{})
	end.

do_open(Config) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(cowboy, Config), do_opts(Config)),
	{ok, _} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

parts(Config) ->
	doc("Each part is sent when the call returns, and the server has them in their order."),
	ConnPid = do_open(Config),
	_ = [begin
		StreamRef = gun_rs:post(ConnPid, "/echo", Headers),
		ok = gun_rs:data_sync(ConnPid, StreamRef, nofin, "Hello"),
		ok = gun_rs:data_sync(ConnPid, StreamRef, nofin, <<>>),
		ok = gun_rs:data(ConnPid, StreamRef, nofin, [" ", <<"wor">>]),
		ok = gun_rs:data_sync(ConnPid, StreamRef, Fin, "ld", infinity),
		_ = [ok = gun_rs:data_sync(ConnPid, StreamRef, fin, <<>>, ?WAIT) || Fin =:= nofin],
		{200, _, <<"Hello world">>} = answer(ConnPid, StreamRef)
	end || Headers <- [[], [{<<"content-length">>, "11"}]], Fin <- [fin, nofin]],
	ok = gun_rs:close(ConnPid).

much(Config) ->
	doc("What is much is sent as the server takes it; nothing of it waits when the call has returned."),
	ConnPid = do_open(Config),
	Part = binary:copy(<<"0123456789abcdef">>, 65536),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	_ = [begin
		ok = gun_rs:data_sync(ConnPid, StreamRef, nofin, Part, ?WAIT),
		#{stats := #{send_queue := 0}} = gun_rs:info(ConnPid)
	end || _ <- lists:seq(1, 4)],
	ok = gun_rs:data_sync(ConnPid, StreamRef, fin, <<>>),
	{200, _, Body} = answer(ConnPid, StreamRef),
	true = Body =:= binary:copy(Part, 4),
	ok = gun_rs:close(ConnPid).

after_the_end(Config) ->
	doc("After the end of the body, of the stream, or of none that there was, the call says so, and nobody is sent a message."),
	ConnPid = do_open(Config),
	StreamRef1 = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:data_sync(ConnPid, StreamRef1, fin, "all"),
	true = lists:member(gun_rs:data_sync(ConnPid, StreamRef1, fin, "more"), [?CLOSED, ?NOT_FOUND]),
	{200, _, <<"all">>} = answer(ConnPid, StreamRef1),
	?NOT_FOUND = gun_rs:data_sync(ConnPid, StreamRef1, fin, "more"),
	ok = gun_rs:data_sync(ConnPid, StreamRef1, fin, <<>>),
	?NOT_FOUND = gun_rs:data_sync(ConnPid, make_ref(), fin, "more"),
	?NOT_FOUND = gun_rs:data_sync(ConnPid, no_ref, fin, "more"),
	StreamRef2 = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:cancel(ConnPid, StreamRef2),
	{error, _} = gun_rs:data_sync(ConnPid, StreamRef2, fin, "more"),
	{invalid_request_body, [nothing], _} = try gun_rs:data_sync(ConnPid, StreamRef2, fin, [nothing]) catch error:Reason -> Reason end,
	?REFUTE({gun_error, ConnPid, _, {badstate, _}}),
	ok = gun_rs:close(ConnPid),
	{error, {down, noproc}} = gun_rs:data_sync(ConnPid, StreamRef2, fin, "more"),
	{error, {down, noproc}} = gun_rs:data_sync(self(), StreamRef2, fin, "more").

lost(Config) ->
	doc("When the connection is lost, or the time is over, before the server has taken the data, the call says so."),
	{ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}, {recbuf, 4096}]),
	{ok, Port} = inet:port(Listen),
	Opts = #{retry => 0, protocols => [config(protocol, Config)]},
	_ = [begin
		{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, Opts),
		{ok, _} = gun_rs:await_up(ConnPid, ?WAIT),
		{ok, Socket} = gen_tcp:accept(Listen),
		StreamRef = gun_rs:post(ConnPid, "/", []),
		Self = self(),
		Caller = spawn_link(fun() ->
			Self ! {self(), gun_rs:data_sync(ConnPid, StreamRef, fin, binary:copy(<<0>>, 32 * 1024 * 1024), Timeout)}
		end),
		case Timeout of
			infinity ->
				?REFUTE({Caller, _}),
				ok = gen_tcp:close(Socket),
				{error, _} = ?EXPECT({Caller, Result}, Result);
			_ ->
				{error, timeout} = ?EXPECT({Caller, Result}, Result),
				gun_rs:close(ConnPid)
		end
	end || Timeout <- [infinity, 50]],
	gen_tcp:close(Listen).

no_room(Config) ->
	doc("Data for which max_send_queue leaves no room is not sent."),
	Protocol = config(protocol, Config),
	Limit = #{max_send_queue => 10000},
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(cowboy, Config), (do_opts(Config))#{http_opts => Limit, http2_opts => Limit}),
	{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	{error, send_queue_full} = gun_rs:data_sync(ConnPid, StreamRef, nofin, binary:copy(<<0>>, 20000)),
	ok = gun_rs:data_sync(ConnPid, StreamRef, fin, "less"),
	{200, _, <<"less">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

from_another_node(Config) ->
	doc("It works from any node."),
	ConnPid = do_open(Config),
	{Peer, Node} = gun_rs_test:start_node(),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	ok = erpc:call(Node, gun_rs, data_sync, [ConnPid, StreamRef, nofin, "there "]),
	ok = erpc:call(Node, gun_rs, data_sync, [ConnPid, StreamRef, fin, "and back", ?WAIT]),
	{200, _, <<"there and back">>} = answer(ConnPid, StreamRef),
	?NOT_FOUND = erpc:call(Node, gun_rs, data_sync, [ConnPid, StreamRef, fin, "more"]),
	ok = gun_rs:close(ConnPid),
	{error, {down, noproc}} = erpc:call(Node, gun_rs, data_sync, [ConnPid, StreamRef, fin, "more"]),
	peer:stop(Peer).

with_cookies(Config) ->
	doc("A connection with a cookie store has it too."),
	Protocol = config(protocol, Config),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(cowboy, Config), (do_opts(Config))#{cookie_store => gun_rs_cookies_list:init()}),
	{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:data_sync(ConnPid, StreamRef, fin, "crumbs"),
	{200, _, <<"crumbs">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

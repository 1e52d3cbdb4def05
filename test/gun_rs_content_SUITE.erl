%% Content handlers make of the bodies of a real server's responses what they promise, and harm nothing but their own
%% connection.
-module(gun_rs_content_SUITE).
-behaviour(gun_rs_content_handler).

-define(NEEDS, [{listener, [http_modules_h, http_echo_h]}]).
-include("gun_rs_suite.hrl").

-define(EVENTS, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").

%% Server-sent events.

events(Config) ->
	doc("Each event of a stream is a message of its own, and so is its end; gun's names of the handlers mean the same."),
	_ = [begin
		ConnPid = do_open(Config, Handlers),
		StreamRef = gun_rs:get(ConnPid, "/events?count=100"),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		Events = [do_event(integer_to_binary(N), <<"one of\n100">>) || N <- lists:seq(1, 100)],
		Events = [do_joined(?EXPECT({gun_sse, ConnPid, StreamRef, E}, E)) || _ <- Events],
		?EXPECT({gun_sse, ConnPid, StreamRef, fin}),
		%% The next request may go on where this one has ended.
		StreamRef2 = gun_rs:get(ConnPid, "/events?count=1", [{"last-event-id", "100"}]),
		{response, nofin, 200, _} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
		{sse, Event} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
		Event2 = do_event(<<"101">>, <<"one of\n1">>),
		Event2 = do_joined(Event),
		{sse, fin} = gun_rs:await(ConnPid, StreamRef2, ?WAIT),
		?REFUTE(_),
		ok = gun_rs:close(ConnPid)
	end || Handlers <- [[gun_rs_sse_h, gun_rs_data_h], [gun_sse_h, gun_data_h], [{gun_sse_h, #{}}]]],
	ok.

do_event(Id, Data) ->
	#{last_event_id => Id, event_type => <<"count">>, data => Data}.

do_joined(Event=#{data := Data}) ->
	Event#{data := iolist_to_binary(Data)}.

other_bodies(Config) ->
	doc("Other bodies are left to the next handler; where there is none, only the response is told."),
	ConnPid1 = do_open(Config, [gun_rs_sse_h, gun_rs_data_h]),
	{200, _, <<"body">>} = answer(ConnPid1, gun_rs:post(ConnPid1, "/echo", [{"content-type", "text/plain"}], "body")),
	{200, _, <<"Hello world!">>, [_]} = answer(ConnPid1, gun_rs:get(ConnPid1, "/trailers", [{"te", "trailers"}])),
	{204, _, <<>>} = answer(ConnPid1, gun_rs:get(ConnPid1, "/status?code=204")),
	{403, _, <<"Members only.">>} = answer(ConnPid1, gun_rs:ws_upgrade(ConnPid1, "/refuse")),
	ok = gun_rs:close(ConnPid1),
	ConnPid2 = do_open(Config, [gun_rs_sse_h]),
	_ = [begin
		StreamRef = gun_rs:post(ConnPid2, "/echo", [], "body"),
		?EXPECT({gun_response, ConnPid2, StreamRef, nofin, 200, _})
	end || _ <- [1, 2, 3]],
	?REFUTE(_),
	ok = gun_rs:close(ConnPid2).

events_and_reply_to(Config) ->
	doc("Events go to the reply_to of their request, of every kind."),
	Self = self(),
	ConnPid = do_open(Config, [gun_rs_sse_h, gun_rs_data_h]),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, "/events?count=1", [], #{reply_to => ReplyTo}),
		?EXPECT({reply, {gun_response, ConnPid, StreamRef, nofin, 200, _}}),
		?EXPECT({reply, {gun_sse, ConnPid, StreamRef, #{last_event_id := <<"1">>}}}),
		?EXPECT({reply, {gun_sse, ConnPid, StreamRef, fin}})
	end || ReplyTo <- [
		fun(Msg) -> Self ! {reply, Msg} end,
		{fun(Msg, Pid) -> Pid ! {reply, Msg} end, [Self]},
		{?MODULE, do_reply, [Self]}
	]],
	?REFUTE(_),
	ok = gun_rs:close(ConnPid).

do_reply(Msg, Pid) ->
	Pid ! {reply, Msg}.

events_and_flow(_) ->
	doc("Each event costs 1 of the flow, however the body is cut, and a part without an event costs nothing."),
	Chunk = fun(Data) -> [integer_to_list(length(Data), 16), "\r\n", Data, "\r\n"] end,
	{Server, Port} = lying_server:start([
		request, {send, ?EVENTS},
		{send, Chunk(": nothing\n")}, wait, {send, Chunk("data: 1\n")}, wait, {send, Chunk("\n")},
		wait, {send, Chunk("data: 2\n\ndata: 3\n\n")}, wait, {send, [Chunk("data: 4\n\n"), "0\r\n\r\n"]}
	]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{content_handlers => [gun_rs_sse_h]}}),
	StreamRef = gun_rs:get(ConnPid, "/", [], #{flow => 1}),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?REFUTE({gun_sse, _, _, _}),
	lying_server:go(Server),
	?REFUTE({gun_sse, _, _, _}),
	lying_server:go(Server),
	Expect = fun(Data) -> ?EXPECT({gun_sse, ConnPid, StreamRef, #{data := [D]}}, D = Data) end,
	Expect(<<"1">>),
	%% The flow is used up.
	lying_server:go(Server),
	?REFUTE({gun_sse, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	%% What one part has, comes at once, and the second has to be paid for.
	Expect(<<"2">>),
	Expect(<<"3">>),
	lying_server:go(Server),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 1),
	?REFUTE({gun_sse, _, _, _}),
	ok = gun_rs:update_flow(ConnPid, StreamRef, 2),
	Expect(<<"4">>),
	?EXPECT({gun_sse, ConnPid, StreamRef, fin}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

event_too_big(_) ->
	doc("An event beyond max_event_size is told, after the events before it, and ends the connection."),
	{Server, Port} = lying_server:start([request, {send, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
		"data: fits\n\n"}, {flood, binary:copy(<<"data: does not\n">>, 1000), 256 * 16#100000}]),
	ConnPid = open(Port, #{http_opts => #{content_handlers => [{gun_rs_sse_h, #{max_event_size => 1000000}}]}}),
	MRef = watch(ConnPid),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
	?EXPECT({gun_sse, ConnPid, StreamRef, #{data := [<<"fits">>]}}),
	?EXPECT({gun_error, ConnPid, StreamRef, {sse_event_too_big, 1000000}}),
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {sse_event_too_big, 1000000}}}),
	Flooded = ?EXPECT({lying_server, Server, {flooded, Bytes}}, Bytes),
	true = Flooded < 256 * 16#100000,
	?REFUTE({gun_sse, _, _, _}),
	lying_server:stop(Server).

events_cut_short(_) ->
	doc("When the connection is lost in the midst of events, the stream gets an error, and the next request new ones."),
	{Server, Port} = lying_server:start([request, {send, [?EVENTS, "9\r\ndata: 1\n\n\r\n6\r\ndata: \r\n"]}, wait, close]),
	ConnPid = open(Port, #{http_opts => #{content_handlers => [gun_rs_sse_h]}}),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		?EXPECT({gun_sse, ConnPid, StreamRef, #{data := [<<"1">>]}}),
		lying_server:go(Server),
		?EXPECT({gun_error, ConnPid, StreamRef, closed}),
		?EXPECT({gun_down, ConnPid, http, closed, [StreamRef]}),
		?EXPECT({gun_up, ConnPid, http})
	end || _ <- [1, 2, 3]],
	?REFUTE({gun_sse, _, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

cancelled_events(_) ->
	doc("After cancel/2 and its answer no more events of a stream come, nor of its body."),
	{Server, Port} = lying_server:start([request, {send, ?EVENTS}, {flood, "9\r\ndata: 1\n\n\r\n", 1 bsl 40}]),
	ConnPid = open(Port, #{retry => 0, http_opts => #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]}}),
	StreamRef = gun_rs:get(ConnPid, "/"),
	?EXPECT({gun_sse, ConnPid, StreamRef, _}),
	ok = gun_rs:cancel(ConnPid, StreamRef),
	%% What was on its way comes before this.
	{ok, #{state := stopping}} = gun_rs:stream_info(ConnPid, StreamRef),
	ok = gun_rs:flush(StreamRef),
	?REFUTE({gun_sse, _, _, _}),
	?REFUTE({gun_data, _, _, _, _}),
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% Handlers of the user's.

own_handler(Config) ->
	doc("A handler of the user's is given the response, its options and each part, and the next one what it makes of it."),
	Self = self(),
	ConnPid = do_open(Config, [{content_lower_h, #{tell => self()}}, gun_rs_data_h]),
	StreamRef = gun_rs:post(ConnPid, "/echo", [{"content-type", "text/plain"}], "HELLO World"),
	Headers = ?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, H}, H),
	?EXPECT({content_lower_h, {init, Self, StreamRef, 200, Headers}}),
	?EXPECT({content_lower_h, {handle, _, <<"HELLO World">>, 0}}),
	?EXPECT({gun_data, ConnPid, StreamRef, _, <<"hello world">>}),
	ok = gun_rs:flush(ConnPid),
	%% It has no use for failures.
	{404, _, <<>>} = answer(ConnPid, gun_rs:get(ConnPid, "/status?code=404")),
	{403, _, <<"Members only.">>} = answer(ConnPid, gun_rs:ws_upgrade(ConnPid, "/refuse")),
	Upgrade = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, Upgrade, _, _}),
	ok = gun_rs:ws_send(ConnPid, Upgrade, {text, "NOT LOWER"}),
	?EXPECT({gun_ws, ConnPid, Upgrade, {text, <<"NOT LOWER">>}}),
	ok = gun_rs:close(ConnPid).

own_handler_and_flow(Config) ->
	doc("What the handlers say that a part costs is what it costs: nothing, one, or more than there is left."),
	Size = 16 * 16#100000,
	_ = [begin
		ConnPid = do_open(Config, [{content_lower_h, #{cost => Cost}}]),
		StreamRef = gun_rs:get(ConnPid, "/pieces?count=16&size=1048576", [], #{flow => 4}),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		Next = gun_rs:post(ConnPid, "/echo", [], "next"),
		_ = [begin
			?REFUTE({gun_response, _, Next, _, _, _}),
			ok = gun_rs:update_flow(ConnPid, StreamRef, Cost * Size)
		end || Cost > 0],
		?EXPECT({gun_response, ConnPid, Next, nofin, 200, _}),
		ok = gun_rs:close(ConnPid)
	end || Cost <- [0, 1, 100]],
	ok.

crash(_) ->
	doc("A handler that crashes ends its own connection with its reason, and the socket; other connections go on."),
	{Server, Port} = lying_server:start([{repeat, [{http, fun(_, _) -> lying_server:ok("body") end}]}]),
	Other = open(Port),
	_ = [begin
		ct:log("~p", [Crash]),
		ConnPid = open(Port, #{http_opts => #{content_handlers => [{?MODULE, #{crash => Crash}}, gun_rs_data_h]}}),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		{error, {down, {{crashed, Crash}, _}}} = gun_rs:await(ConnPid, StreamRef, ?WAIT, MRef),
		?EXPECT({lying_server, Server, closed}),
		?REFUTE({gun_down, _, _, _, _}),
		{200, _, <<"body">>} = answer(Other, gun_rs:get(Other, "/"))
	end || Crash <- [init, handle]],
	ok = gun_rs:close(Other),
	lying_server:stop(Server).

%% This module may stand where a content handler does: it crashes where it is told.
init(_, _, _, _, #{crash := init}) ->
	error({crashed, init});
init(_, _, _, _, Opts) ->
	{ok, Opts}.

handle(_, _, #{crash := handle}) ->
	error({crashed, handle}).

%% Helpers.

do_open(Config, Handlers) ->
	open(config(port, Config), #{retry => 0, http_opts => #{content_handlers => Handlers}}).

%% Over HTTP/2 whoever is to hear of something hears of it, once, in the order of its happening, wherever and whatever it
%% is: owners and receivers of other nodes, funs, modules, and programs for an older gun.
-module(gun_rs_http2_users_SUITE).

-import(http2_servers, [lie/2]).

-define(NEEDS, [distribution, cowboy, certs]).
-include("gun_rs_suite.hrl").

groups() ->
	http2_servers:groups(gun_rs_suite:cases(?MODULE)).

init_per_group(Group, Config) ->
	{Peer, Node} = gun_rs_test:start_node(),
	[{peer, Peer}, {node, Node}|http2_servers:init(Group, Config)].

end_per_group(_, Config) ->
	?CATCH(peer:stop(config(peer, Config))),
	http2_servers:stop(Config).

%% Sends on what it gets.
do_forwarder(Node, Tag) ->
	Self = self(),
	spawn(Node, fun() -> ?MODULE:do_forward(Self, Tag) end).

do_forward(Pid, Tag) ->
	receive Msg ->
		Pid ! {Tag, Msg},
		?MODULE:do_forward(Pid, Tag)
	end.

do_told(Msg, Pid, Tag) ->
	Pid ! {Tag, Msg}.

%% A pid, a fun, and what else a reply_to may be.
do_receivers(Config) ->
	Self = self(),
	[
		{local, do_forwarder(node(), local)},
		{remote, do_forwarder(config(node, Config), remote)},
		{a_fun, fun(Msg) -> Self ! {a_fun, Msg} end},
		{with_args, {fun ?MODULE:do_told/3, [Self, with_args]}},
		{mfa, {?MODULE, do_told, [Self, mfa]}}
	].

%% What goes to the owner or to a caller.

pings(Config) ->
	doc("The answer to a ping goes to its reply_to, whatever that is, and await takes it."),
	ConnPid = http2_servers:open(Config, config(cowboy, Config)),
	_ = [begin
		PingRef = gun_rs:ping(ConnPid, #{reply_to => ReplyTo}),
		?EXPECT({Tag, {gun_notify, ConnPid, ping_ack, PingRef}})
	end || {Tag, ReplyTo} <- do_receivers(Config)],
	Own = gun_rs:ping(ConnPid),
	{notify, ping_ack, Own} = gun_rs:await(ConnPid, undefined, ?WAIT),
	ok = gun_rs:close(ConnPid).

pings_from_another_node(Config) ->
	doc("A process of another node pings, requests, sends a body, cancels, and asks for a stream."),
	ConnPid = http2_servers:open(Config, config(cowboy, Config)),
	Self = self(),
	Remote = spawn(config(node, Config), fun() -> ?MODULE:do_requests(ConnPid, Self) end),
	?EXPECT({Remote, done}),
	ok = gun_rs:close(ConnPid).

do_requests(ConnPid, Pid) ->
	PingRef = gun_rs:ping(ConnPid),
	?EXPECT({gun_notify, ConnPid, ping_ack, PingRef}),
	StreamRef = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:data(ConnPid, StreamRef, nofin, "Hello, "),
	{ok, #{ref := StreamRef, reply_to := Self}} = gun_rs:stream_info(ConnPid, StreamRef),
	Self = self(),
	ok = gun_rs:data(ConnPid, StreamRef, fin, "world!"),
	{200, _, <<"Hello, world!">>} = gun_rs_test:answer(ConnPid, StreamRef),
	Held = gun_rs:post(ConnPid, "/echo", []),
	ok = gun_rs:cancel(ConnPid, Held),
	{ok, undefined} = gun_rs:stream_info(ConnPid, Held),
	Pid ! {self(), done}.

owners(Config) ->
	doc("After set_owner the new owner, of any node, hears of the server's settings, of its going, and of the end."),
	_ = [begin
		{Server, Port} = lie(Config, [open, wait, {send, http2_liar:settings([{max_frame_size, 20000}])}, wait,
			{send, http2_liar:goaway(0, enhance_your_calm, <<"Too loud.">>)}]),
		ConnPid = http2_servers:open(Config, Port, #{http2_opts => #{notify_settings_changed => true}}),
		?EXPECT({gun_notify, ConnPid, settings_changed, #{max_frame_size := 16384}}),
		ok = gun_rs:set_owner(ConnPid, do_forwarder(Node, new)),
		%% It is done when what is asked behind it is.
		PingRef = gun_rs:ping(ConnPid),
		?EXPECT({gun_notify, ConnPid, ping_ack, PingRef}),
		http2_liar:go(Server),
		?EXPECT({new, {gun_notify, ConnPid, settings_changed, #{max_frame_size := 20000}}}),
		http2_liar:go(Server),
		?EXPECT({new, {gun_notify, ConnPid, goaway, #{code := enhance_your_calm, debug_data := <<"Too loud.">>}}}),
		?EXPECT({new, {gun_down, ConnPid, http2, normal, []}}),
		?REFUTE({_, ConnPid, _, _}),
		http2_liar:stop(Server)
	end || Node <- [node(), config(node, Config)]],
	ok.

goaway_with_a_text(Config) ->
	doc("What a server says when it closes the connection is told before the streams that end by that; no text, no word."),
	_ = [begin
		{Server, Port} = lie(Config, [open, {await, headers}, {send, http2_liar:goaway(0, no_error, Text)}]),
		ConnPid = http2_servers:open(Config, Port),
		MRef = watch(ConnPid),
		StreamRef = gun_rs:get(ConnPid, "/"),
		Told = ?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg),
		case Text of
			<<>> ->
				{gun_error, ConnPid, StreamRef, {goaway, no_error, _}} = Told;
			_ ->
				{gun_notify, ConnPid, goaway, #{code := no_error, debug_data := Text}} = Told,
				?EXPECT({gun_error, ConnPid, StreamRef, {goaway, no_error, _}})
		end,
		?EXPECT({gun_down, ConnPid, http2, normal, _}),
		?EXPECT({'DOWN', MRef, process, ConnPid, normal}),
		http2_liar:stop(Server)
	end || Text <- [<<>>, <<"Maintenance.">>]],
	ok.

%% What goes to several.

faults(Config) ->
	doc("A fault of the connection is told to each receiver once; then comes the end of each of its streams, then gun_down."),
	{Server, Port} = lie(Config, [open, wait, {send, http2_liar:window_update(0, 0)}]),
	ConnPid = http2_servers:open(Config, Port),
	MRef = watch(ConnPid),
	Receivers = do_receivers(Config),
	Refs = [{Tag, gun_rs:get(ConnPid, "/", [], #{reply_to => ReplyTo})} || _ <- [1, 2, 3], {Tag, ReplyTo} <- Receivers],
	_ = [?EXPECT({http2_liar, Server, {headers, _, _, _}}) || _ <- Refs],
	http2_liar:go(Server),
	{Text, Killed} = ?EXPECT({gun_down, ConnPid, http2, {error, {connection_error, protocol_error, T}}, K}, {T, K}),
	true = is_atom(Text),
	{[], []} = {[Ref || {_, Ref} <- Refs] -- Killed, Killed -- [Ref || {_, Ref} <- Refs]},
	_ = [begin
		?EXPECT({Tag, {gun_error, ConnPid, {protocol_error, Text}}}),
		_ = [?EXPECT({Tag, {gun_error, ConnPid, Ref, {closed, {error, {connection_error, protocol_error, Text}}}}})
			|| {T, Ref} <- Refs, T =:= Tag]
	end || {Tag, _} <- Receivers],
	?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, {error, {connection_error, protocol_error, Text}}}}),
	?REFUTE({_, {gun_error, ConnPid, _}}),
	http2_liar:stop(Server).

faults_in_order(Config) ->
	doc("To a receiver that is the owner too, they come in that order."),
	{Server, Port} = lie(Config, [open, {await, headers}, {send, http2_liar:window_update(0, 0)}]),
	ConnPid = http2_servers:open(Config, Port),
	StreamRef = gun_rs:get(ConnPid, "/"),
	{error, {connection_error, {protocol_error, _}}} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{error, {stream_error, {closed, {error, {connection_error, protocol_error, _}}}}} =
		gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{gun_down, ConnPid, http2, {error, _}, [StreamRef]} = ?EXPECT(Msg when element(2, Msg) =:= ConnPid, Msg),
	http2_liar:stop(Server).

lost(Config) ->
	doc("So do the ends of streams of a connection that is lost, for receivers of every kind."),
	{Server, Port} = lie(Config, [open, wait, close]),
	ConnPid = http2_servers:open(Config, Port),
	Refs = [{Tag, gun_rs:get(ConnPid, "/", [], #{reply_to => ReplyTo})} || {Tag, ReplyTo} <- do_receivers(Config)],
	_ = [?EXPECT({http2_liar, Server, {headers, _, _, _}}) || _ <- Refs],
	http2_liar:go(Server),
	_ = [?EXPECT({Tag, {gun_error, ConnPid, Ref, closed}}) || {Tag, Ref} <- Refs],
	Killed = ?EXPECT({gun_down, ConnPid, http2, closed, K}, K),
	true = lists:sort(Killed) =:= lists:sort([Ref || {_, Ref} <- Refs]),
	http2_liar:stop(Server).

pushes(Config) ->
	doc("What is pushed goes to the receiver of the request, whatever that is; await and flush know it."),
	ConnPid = http2_servers:open(Config, config(rust, Config)),
	_ = [begin
		StreamRef = gun_rs:get(ConnPid, "/push?n=2", [], #{reply_to => ReplyTo}),
		New = [?EXPECT({Tag, {gun_push, ConnPid, StreamRef, Ref, <<"GET">>, _, _}}, Ref) || _ <- [1, 2]],
		_ = [?EXPECT({Tag, {gun_data, ConnPid, Ref, fin, _}}) || Ref <- [StreamRef|New]]
	end || {Tag, ReplyTo} <- do_receivers(Config)],
	StreamRef = gun_rs:get(ConnPid, "/push?n=1"),
	{push, NewRef, <<"GET">>, _, _} = gun_rs:await(ConnPid, StreamRef, ?WAIT),
	{response, nofin, 200, _} = gun_rs:await(ConnPid, NewRef, ?WAIT),
	{ok, <<"Number 1.">>} = gun_rs:await_body(ConnPid, NewRef, ?WAIT),
	{200, _, _} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid),
	ok = gun_rs:flush(ConnPid).

%% Modules of the user's.

pushes_with_cookies(Config) ->
	doc("A cookie that comes with what is pushed is kept, and sent with the next request."),
	{Server, Port} = lie(Config, [open, {echo_all, fun
		({headers, 1, _, Headers}) ->
			[http2_liar:push_promise(1, 2, lists:keyreplace(<<":path">>, 1, Headers, {<<":path">>, "/pushed"})),
				http2_liar:headers(2, fin, [{":status", "200"}, {"set-cookie", "one=1; path=/"}]), http2_liar:ok(1, "answer")];
		({headers, 3, _, _}) ->
			http2_liar:ok(3, "answer");
		(_) ->
			<<>>
	end}]),
	ConnPid = http2_servers:open(Config, Port, #{cookie_store => gun_rs_cookies_list:init()}),
	StreamRef = gun_rs:get(ConnPid, "/"),
	NewRef = ?EXPECT({gun_push, ConnPid, StreamRef, Ref, _, _, _}, Ref),
	?EXPECT({gun_response, ConnPid, NewRef, fin, 200, _}),
	{200, _, <<"answer">>} = answer(ConnPid, StreamRef),
	{200, _, <<"answer">>} = answer(ConnPid, gun_rs:get(ConnPid, "/next")),
	Headers = ?EXPECT({http2_liar, Server, {headers, 3, _, H}}, H),
	{_, <<"one=1">>} = lists:keyfind(<<"cookie">>, 1, Headers),
	ok = gun_rs:close(ConnPid),
	http2_liar:stop(Server).

handlers_of_each_protocol(Config) ->
	doc("The content handlers that count are those of the protocol that is spoken."),
	Sse = #{content_handlers => [gun_rs_sse_h, gun_rs_data_h]},
	_ = [begin
		Protocols = [Protocol],
		{ok, ConnPid} = gun_rs:open("127.0.0.1", config(cowboy, Config),
			(http2_servers:opts(Config, Opts))#{protocols => Protocols}),
		{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
		StreamRef = gun_rs:get(ConnPid, "/events?count=1"),
		case IsSse of
			true -> ?EXPECT({gun_sse, ConnPid, StreamRef, fin});
			false -> ?EXPECT({gun_data, ConnPid, StreamRef, fin, _})
		end,
		ok = gun_rs:close(ConnPid)
	end || {Protocol, Opts, IsSse} <- [
		{http2, #{http_opts => Sse}, false},
		{http2, #{http2_opts => Sse}, true},
		{http, #{http_opts => Sse}, true},
		{http, #{http2_opts => Sse}, false}
	]],
	ok.

%% Choices of the user's.

urls(Config) ->
	doc("The URL of a WebSocket asks for HTTP/1.1, that of a page for HTTP/2 where TLS can tell; protocols comes before both."),
	Port = integer_to_list(config(cowboy, Config)),
	{Ws, Page} = case config(transport, Config) of
		tcp -> {"ws", "http"};
		tls -> {"wss", "https"}
	end,
	Default = case config(transport, Config) of
		tcp -> http;
		tls -> http2
	end,
	_ = [begin
		Base = maps:without([protocols], http2_servers:opts(Config, #{})),
		{ok, ConnPid} = gun_rs:open(Scheme ++ "://127.0.0.1:" ++ Port ++ "/websocket", maps:merge(Base, Opts)),
		{ok, Protocol} = gun_rs:await_up(ConnPid, ?WAIT),
		#{protocol := Protocol} = gun_rs:info(ConnPid),
		ok = gun_rs:close(ConnPid)
	end || {Scheme, Opts, Protocol} <- [
		{Ws, #{}, http},
		{Page, #{}, Default},
		{Ws, #{protocols => [http2]}, http2},
		{Page, #{protocols => [http]}, http}
	]],
	ok.

older_dialects(Config) ->
	doc("The older dialects have HTTP/2 too, in the shapes of their own."),
	_ = [begin
		{Server, Port} = lie(Config, [open, {await, headers}, {await, headers}, wait, close]),
		ConnPid = http2_servers:open(Config, Port, #{dialect => Dialect}),
		MRef = watch(ConnPid),
		Refs = [One, Other] = [gun_rs:get(ConnPid, "/"), gun_rs:get(ConnPid, "/")],
		_ = [?EXPECT({http2_liar, Server, {headers, _, _, _}}) || _ <- Refs],
		http2_liar:go(Server),
		{error, {closed, Text}} = gun_rs:await(ConnPid, One, ?WAIT),
		true = io_lib:printable_list(Text),
		?EXPECT({gun_error, ConnPid, Other, {closed, Text}}),
		Killed = ?EXPECT({gun_down, ConnPid, http2, closed, K, []}, K),
		true = lists:sort(Killed) =:= lists:sort(Refs),
		?EXPECT({'DOWN', MRef, process, ConnPid, {shutdown, closed}}),
		http2_liar:stop(Server)
	end || Dialect <- [gun_1, gun_1_pre, gun_0]],
	ok.

kept_requests(Config) ->
	doc("What is asked before the connection is up is done when it is, on whatever protocol that speaks."),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", config(cowboy, Config), http2_servers:opts(Config, #{})),
	PingRef = gun_rs:ping(ConnPid),
	StreamRef = gun_rs:post(ConnPid, "/echo", [], "body"),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	?EXPECT({gun_notify, ConnPid, ping_ack, PingRef}),
	{200, _, <<"body">>} = answer(ConnPid, StreamRef),
	ok = gun_rs:close(ConnPid).

%% WebSockets.

modules_of_websockets(Config) ->
	doc("Several WebSockets have a module each, which ends with its WebSocket; requests go on beside them."),
	ConnPid = http2_servers:open(Config, config(cowboy, Config)),
	Opts = #{default_protocol => ws_tell_h},
	[One, Other, Third] = [begin
		StreamRef = gun_rs:ws_upgrade(ConnPid, "/websocket", [], Opts),
		?EXPECT({gun_upgrade, ConnPid, StreamRef, [<<"websocket">>], _}),
		?EXPECT({ws_init, ConnPid, _, StreamRef, _, _}),
		StreamRef
	end || _ <- [1, 2, 3]],
	ok = gun_rs:ws_send(ConnPid, One, {text, "one"}),
	?EXPECT({ws_handle, ConnPid, {text, <<"one">>}}),
	ok = gun_rs:ws_send(ConnPid, One, {close, 4000, "bye"}),
	?EXPECT({ws_handle, ConnPid, {close, 4000, _}}),
	true = eventually(fun() -> {ok, undefined} =:= gun_rs:stream_info(ConnPid, One) end),
	ok = gun_rs:ws_send(ConnPid, Other, {text, "other"}),
	?EXPECT({ws_handle, ConnPid, {text, <<"other">>}}),
	{200, _, <<"body">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", [], "body")),
	{ok, #{ref := Third, state := running, stats := #{frames_out := 0, compression_ratio := undefined}}} =
		gun_rs:stream_info(ConnPid, Third),
	%% What it was started with is kept as long as the WebSocket.
	Kept = fun() ->
		{_, Data} = sys:get_state(ConnPid),
		[Refs] = [maps:keys(Map) || Map <- tuple_to_list(Data), is_map(Map), is_map_key(Other, Map)],
		lists:sort(Refs)
	end,
	true = Kept() =:= lists:sort([Other, Third]),
	ok = gun_rs:cancel(ConnPid, Third),
	true = eventually(fun() -> Kept() =:= [Other] end),
	ok = gun_rs:close(ConnPid).

receipts(Config) ->
	doc("ws_send_sync says which WebSocket it is for, also as a node with 0.3.0 asks, where there is one alone."),
	ConnPid = http2_servers:open(Config, config(cowboy, Config)),
	One = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, One, _, _}),
	ok = gen_statem:call(ConnPid, {ws_send_sync, {text, <<"old">>}}),
	?EXPECT({gun_ws, ConnPid, One, {text, <<"old">>}}),
	Other = gun_rs:ws_upgrade(ConnPid, "/websocket"),
	?EXPECT({gun_upgrade, ConnPid, Other, _, _}),
	{error, {badstate, _}} = gen_statem:call(ConnPid, {ws_send_sync, {text, <<"old">>}}),
	_ = [begin
		ok = gun_rs:ws_send_sync(ConnPid, Ref, {text, Text}, ?WAIT),
		?EXPECT({gun_ws, ConnPid, Ref, {text, Text}})
	end || {Ref, Text} <- [{One, <<"one">>}, {Other, <<"other">>}]],
	{error, {badstate, _}} = gun_rs:ws_send_sync(ConnPid, make_ref(), {text, "none"}, ?WAIT),
	ok = gun_rs:close(ConnPid).

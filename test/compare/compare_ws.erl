%% WebSockets: the upgrade and its answers, frames of every kind, and how they close.
-module(compare_ws).

-export([situations/0]).

-import(compare_record, [call/2, quietly/2, note/2, open/1, open/2, server/1, until/1, until/2, answer/2, served/1,
	exit_of/1, close/1, ordered/0]).

-import(lying_server, [response/1, response/2, frame/2, frame/5]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	answers() ++ frames() ++ sends() ++ upgrade_options() ++ [
		{upgrade_header_order, fun upgrade_header_order/0},
		{upgrade_header_order_all, fun upgrade_header_order_all/0},
		{upgrade_headers_map, fun() -> upgrade_request(#{<<"x-a">> => <<"1">>, "X-B" => "2", x_c => <<"3">>}) end},
		{upgrade_host_header, fun upgrade_host_header/0},
		{upgrade_own_key, fun upgrade_own_key/0},
		{upgrade_own_version, fun upgrade_own_version/0},
		{upgrade_own_length, fun upgrade_own_length/0},
		{upgrade_own_transfer_encoding, fun upgrade_own_transfer_encoding/0},
		{upgrade_own_subprotocol, fun upgrade_own_subprotocol/0},
		{upgrade_own_extensions, fun upgrade_own_extensions/0},
		{upgrade_bad_header, fun upgrade_bad_header/0},
		{upgrade_path_space, fun upgrade_path_space/0},
		{upgrade_http_1_0, fun upgrade_http_1_0/0},
		{upgrade_during_request, fun upgrade_during_request/0},
		{upgrade_twice, fun upgrade_twice/0},
		{upgrade_refused_then_get, fun upgrade_refused_then_get/0},
		{upgrade_refused_then_upgrade, fun upgrade_refused_then_upgrade/0},
		{upgrade_frame_at_once, fun upgrade_frame_at_once/0},
		{upgrade_send_before, fun upgrade_send_before/0},
		{upgrade_await, fun upgrade_await/0},
		{upgrade_await_refused, fun upgrade_await_refused/0},
		{upgrade_reply_to_fun, fun upgrade_reply_to_fun/0},
		{upgrade_cowboy, fun upgrade_cowboy/0},
		{upgrade_cowboy_compressed, fun upgrade_cowboy_compressed/0},
		{upgrade_options_of_open, fun upgrade_options_of_open/0},
		{upgrade_cancelled, fun upgrade_cancelled/0},
		{ws_get, fun ws_get/0},
		{ws_post, fun ws_post/0},
		{ws_data, fun ws_data/0},
		{ws_upgrade_again, fun ws_upgrade_again/0},
		{ws_cancel, fun ws_cancel/0},
		{ws_stream_info, fun ws_stream_info/0},
		{ws_ping_function, fun ws_ping_function/0},
		{ws_other_ref, fun ws_other_ref/0},
		{ws_shutdown, fun ws_shutdown/0},
		{ws_shutdown_timeout, fun ws_shutdown_timeout/0},
		{ws_shutdown_frames, fun ws_shutdown_frames/0},
		{ws_close, fun ws_close/0},
		{ws_close_timeout, fun ws_close_timeout/0},
		{ws_close_dropped, fun ws_close_dropped/0},
		{ws_close_frames, fun ws_close_frames/0},
		{ws_close_then_send, fun ws_close_then_send/0},
		{ws_close_then_get, fun ws_close_then_get/0},
		{ws_close_then_upgrade, fun ws_close_then_upgrade/0},
		{ws_close_then_shutdown, fun ws_close_then_shutdown/0},
		{ws_close_in_list, fun ws_close_in_list/0},
		{ws_close_reconnects, fun ws_close_reconnects/0},
		{ws_dropped, fun ws_dropped/0},
		{ws_dropped_reconnects, fun ws_dropped_reconnects/0},
		{ws_reset, fun ws_reset/0},
		{ws_keepalive, fun ws_keepalive/0},
		{ws_keepalive_upgrade, fun ws_keepalive_upgrade/0},
		{ws_flow, fun ws_flow/0},
		{ws_flow_ping, fun ws_flow_ping/0},
		{ws_max_frame_size, fun ws_max_frame_size/0},
		{ws_max_frame_size_default, fun ws_max_frame_size_default/0},
		{ws_max_frame_size_fragments, fun ws_max_frame_size_fragments/0},
		{ws_max_frame_size_inflated, fun ws_max_frame_size_inflated/0},
		{ws_subprotocol_module, fun ws_subprotocol_module/0},
		{ws_compressed, fun ws_compressed/0},
		{ws_compressed_bad, fun ws_compressed_bad/0},
		{ws_handler_pings, fun ws_handler_pings/0}
	].

%% What an answer to the upgrade comes to. The server's headers stand behind the right ones, or the answer is its own.
answers() ->
	[{list_to_atom("upgrade_" ++ Name), fun() -> answered(WsOpts, Answer) end} || {Name, WsOpts, Answer} <- [
		{"accepted", #{}, fun lying_server:response/1},
		{"accepted_headers", #{}, fun(Key) -> response(Key, [{"x-a", "1"}, {"set-cookie", "a=1"}]) end},
		{"refused", #{}, fun(_) -> "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n" end},
		{"refused_body", #{}, fun(_) -> "HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\nWrong" end},
		{"refused_until_close", #{}, fun(_) -> {"HTTP/1.1 401 Unauthorized\r\n\r\nWrong", close} end},
		{"refused_close", #{}, fun(_) -> {"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 5\r\n\r\nWrong", close} end},
		{"redirected", #{}, fun(_) -> "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n" end},
		{"not_needed", #{}, fun(_) -> "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK" end},
		{"inform_first", #{}, fun(Key) -> ["HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", response(Key)] end},
		{"accept_wrong", #{}, fun(_) -> response(<<"wrong">>) end},
		{"accept_missing", #{}, fun(_) -> "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n" end},
		{"connection_missing", #{}, fun(Key) -> ["HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
			"sec-websocket-accept: ", lying_server:accept(Key), "\r\n\r\n"] end},
		{"upgrade_missing", #{}, fun(Key) -> ["HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
			"sec-websocket-accept: ", lying_server:accept(Key), "\r\n\r\n"] end},
		{"http_1_0_answer", #{}, fun(Key) -> ["HTTP/1.0 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
			"sec-websocket-accept: ", lying_server:accept(Key), "\r\n\r\n"] end},
		{"subprotocol", #{protocols => [{<<"chat">>, gun_ws_h}, {<<"soap">>, gun_ws_h}]},
			fun(Key) -> response(Key, [{"sec-websocket-protocol", "soap"}]) end},
		{"subprotocol_none", #{protocols => [{<<"chat">>, gun_ws_h}]}, fun lying_server:response/1},
		{"subprotocol_other", #{protocols => [{<<"chat">>, gun_ws_h}]},
			fun(Key) -> response(Key, [{"sec-websocket-protocol", "other"}]) end},
		{"subprotocol_unasked", #{}, fun(Key) -> response(Key, [{"sec-websocket-protocol", "chat"}]) end},
		{"extension", #{compress => true}, fun(Key) -> response(Key, [{"sec-websocket-extensions", "permessage-deflate"}]) end},
		{"extension_unasked", #{}, fun(Key) -> response(Key, [{"sec-websocket-extensions", "permessage-deflate"}]) end},
		{"extension_unknown", #{compress => true}, fun(Key) -> response(Key, [{"sec-websocket-extensions", "x-snappy"}]) end},
		{"extension_parameter", #{compress => true},
			fun(Key) -> response(Key, [{"sec-websocket-extensions", "permessage-deflate; unknown=1"}]) end},
		{"cut", #{}, fun(_) -> {"", close} end}
	]].

answered(WsOpts0, Answer0) ->
	WsOpts = own_modules(WsOpts0),
	{Answer, End} = case Answer0(<<>>) of
		{Bytes, close} -> {fun(_) -> Bytes end, [close]};
		_ -> {Answer0, []}
	end,
	{_, Port} = server([{answer, Answer}|End]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/", [], WsOpts]),
	_ = served({request, '_'}),
	case answer(ConnPid, StreamRef) of
		{gun_upgrade, _, _, _, _} ->
			note(info, maps:with([state_name, protocol], quietly(info, [ConnPid]))),
			close(ConnPid);
		{'DOWN', _, _, _, _} ->
			ok;
		{gun_error, _, _, _} ->
			exit_of(ConnPid);
		_ when End =:= [close] ->
			exit_of(ConnPid);
		_ ->
			close(ConnPid)
	end.

%% Each client's own module for subprotocols.
own_modules(WsOpts) ->
	maps:map(fun
		(protocols, Protocols) when is_list(Protocols) -> [{Name, own_module(Module)} || {Name, Module} <- Protocols];
		(default_protocol, Module) -> own_module(Module);
		(_, Value) -> Value
	end, WsOpts).

own_module(gun_ws_h) ->
	case get(client) of
		gun -> gun_ws_h;
		gun_rs -> gun_rs_ws_h
	end;
own_module(Module) ->
	Module.

%% An upgraded connection to a server that goes on with a script.
upgraded(Script) ->
	upgraded(Script, #{}, #{}).

upgraded(Script, Opts, WsOpts) ->
	{Server, Port} = server([upgrade|Script]),
	ConnPid = open(Port, Opts),
	StreamRef = case map_size(WsOpts) of
		0 -> quietly(ws_upgrade, [ConnPid, "/"]);
		_ -> quietly(ws_upgrade, [ConnPid, "/", [], WsOpts])
	end,
	_ = until({gun_upgrade, ConnPid, StreamRef, '_', '_'}),
	{ConnPid, StreamRef, Server}.

%% What the server's frames come to; a text frame "end" follows where the WebSocket goes on.
frames() ->
	[{list_to_atom("frame_" ++ Name), fun() -> received(WsOpts, Frames) end} || {Name, WsOpts, Frames} <- [
		{"text", #{}, frame(text, "Hello")},
		{"text_empty", #{}, frame(text, "")},
		{"text_utf8", #{}, frame(text, <<"ä€"/utf8>>)},
		{"binary", #{}, frame(binary, <<0, 255>>)},
		{"large", #{}, frame(binary, binary:copy(<<"a">>, 70000))},
		{"two", #{}, [frame(text, "one"), frame(text, "two")]},
		{"fragments", #{}, [frame(0, 0, 1, undefined, "Hel"), frame(0, 0, 0, undefined, "l"), frame(1, 0, 0, undefined, "o")]},
		{"fragments_binary", #{}, [frame(0, 0, 2, undefined, "Hel"), frame(1, 0, 0, undefined, "lo")]},
		{"fragments_ping", #{silence_pings => false}, [frame(0, 0, 1, undefined, "Hel"), frame(ping, "p"), frame(1, 0, 0, undefined, "lo")]},
		{"fragments_utf8", #{}, [frame(0, 0, 1, undefined, <<"a", 195>>), frame(1, 0, 0, undefined, <<164>>)]},
		{"ping_silent", #{}, frame(ping, "p")},
		{"ping", #{silence_pings => false}, frame(ping, "p")},
		{"ping_empty", #{silence_pings => false}, frame(ping, "")},
		{"pong", #{silence_pings => false}, frame(pong, "p")},
		{"pong_empty", #{silence_pings => false}, frame(pong, "")},
		{"pong_silent", #{}, frame(pong, "p")},
		{"close", #{}, frame(close, <<1000:16>>)},
		{"close_empty", #{}, frame(close, "")},
		{"close_reason", #{}, frame(close, <<1001:16, "Going away">>)},
		{"close_own_code", #{}, frame(close, <<4001:16, "Own">>)},
		{"close_1012", #{}, frame(close, <<1012:16>>)},
		{"close_1013", #{}, frame(close, <<1013:16>>)},
		{"close_1005", #{}, frame(close, <<1005:16>>)},
		{"close_999", #{}, frame(close, <<999:16>>)},
		{"close_one_byte", #{}, frame(close, <<3>>)},
		{"close_bad_utf8", #{}, frame(close, <<1000:16, 255>>)},
		{"close_then_text", #{}, [frame(close, <<1000:16>>), frame(text, "late")]},
		{"text_then_close", #{}, [frame(text, "early"), frame(close, <<1000:16>>)]},
		{"bad_utf8", #{}, frame(text, <<255>>)},
		{"bad_utf8_cut", #{}, frame(text, <<195>>)},
		{"text_then_bad", #{}, [frame(text, "good"), frame(text, <<255>>)]},
		{"masked", #{}, frame(1, 0, 1, <<1, 2, 3, 4>>, "Hello")},
		{"rsv", #{}, frame(1, 4, 1, undefined, "Hello")},
		{"opcode", #{}, frame(1, 0, 3, undefined, "Hello")},
		{"continuation", #{}, frame(1, 0, 0, undefined, "Hello")},
		{"text_in_fragments", #{}, [frame(0, 0, 1, undefined, "Hel"), frame(1, 0, 1, undefined, "lo")]},
		{"ping_fragment", #{}, frame(0, 0, 9, undefined, "p")},
		{"ping_long", #{}, frame(ping, binary:copy(<<"p">>, 126))}
	]].

%% The server then reads what comes, and closes when a close frame did.
received(WsOpts, Frames) ->
	IsEnd = is_end(Frames),
	{ConnPid, _, _} = upgraded([{send, Frames}|case IsEnd of
		true -> [frame, close];
		false -> [{send, frame(text, "end")}]
	end], #{ws_opts => #{closing_timeout => 500}}, WsOpts#{closing_timeout => 500}),
	case until(fun
		({gun_ws, _, _, {text, <<"end">>}}) -> true;
		({'DOWN', _, _, _, _}) -> true;
		(_) -> false
	end) of
		{gun_ws, _, _, _} -> close(ConnPid);
		_ -> served(fun({frame, close, _}) -> true; (closed) -> true; (_) -> false end)
	end.

%% A close frame, or what makes the client send one.
is_end(Frames) ->
	Bin = iolist_to_binary(Frames),
	Good = [frame(text, "Hello"), frame(text, ""), frame(text, <<"ä€"/utf8>>), frame(binary, <<0, 255>>),
		frame(binary, binary:copy(<<"a">>, 70000)), [frame(text, "one"), frame(text, "two")],
		frame(ping, "p"), frame(ping, ""), frame(pong, "p"), frame(pong, "")],
	IsFragmented = binary:first(Bin) band 16#80 =:= 0 andalso (binary:first(Bin) band 16#0f) < 3,
	not lists:member(Bin, [iolist_to_binary(Frame) || Frame <- Good])
		andalso not (IsFragmented andalso binary:matches(Bin, <<128>>) =/= []).

%% What ws_send takes, and the frame that the server sees.
sends() ->
	[{list_to_atom("send_" ++ Name), fun() -> sent(Frames) end} || {Name, Frames} <- [
		{"text", {text, <<"Hello">>}},
		{"text_iodata", {text, ["He", $l, <<"lo">>]}},
		{"text_empty", {text, ""}},
		{"binary", {binary, <<0, 255>>}},
		{"large", {binary, binary:copy(<<"a">>, 70000)}},
		{"list", [{text, <<"one">>}, {text, <<"two">>}]},
		{"list_empty", []},
		{"ping", ping},
		{"ping_payload", {ping, "p"}},
		{"pong", pong},
		{"pong_payload", {pong, <<"p">>}},
		{"close", close},
		{"close_code", {close, 1000, <<"bye">>}},
		{"close_own_code", {close, 4000, ""}},
		{"close_payload", {close, <<1000:16, "bye">>}},
		{"close_bad_code", {close, 1005, ""}},
		{"close_code_small", {close, 1, ""}},
		{"bad_utf8", {text, <<255>>}},
		{"unknown", {unknown, <<"x">>}},
		{"atom", unknown},
		{"code_points", {text, [8364]}},
		{"no_iodata", {text, nonsense}},
		{"ping_long", {ping, binary:copy(<<"p">>, 126)}}
	]].

sent(Frames) ->
	{ConnPid, StreamRef, _} = upgraded([frames], #{}, #{closing_timeout => 300}),
	_ = call(ws_send, [ConnPid, StreamRef, Frames]),
	_ = call(ws_send, [ConnPid, StreamRef, {text, <<"end">>}]),
	IsClose = is_tuple(Frames) andalso element(1, Frames) =:= close orelse Frames =:= close,
	_ = [served(fun({frame, text, <<"end">>}) -> true; ({_, close, _}) -> true; (closed) -> true; (_) -> false end)
		|| not IsClose orelse is_process_alive(ConnPid)],
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

%% Options of ws_upgrade/4 that raise, or do not.
upgrade_options() ->
	[{list_to_atom("ws_option_" ++ Name), fun() -> upgrade_option(WsOpts) end} || {Name, WsOpts} <- [
		{"unknown", #{unknown => 1}},
		{"no_map", []},
		{"compress", #{compress => 1}},
		{"flow", #{flow => 0}},
		{"keepalive", #{keepalive => 0}},
		{"protocols_empty", #{protocols => []}},
		{"protocols_missing_module", #{protocols => [{<<"chat">>, no_such_module}]}},
		{"invalid_request_headers", #{invalid_request_headers => ignore}},
		{"tunnel", #{tunnel => undefined}},
		{"reply_to", #{reply_to => nonsense}},
		{"user_opts", #{user_opts => anything}}
	]].

upgrade_option(WsOpts) ->
	{_, Port} = server([upgrade]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/", [], WsOpts]),
	_ = answer(ConnPid, StreamRef),
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

upgrade_request(Headers) ->
	upgrade_request("/", Headers, #{}).

upgrade_request(Path, Headers, WsOpts) ->
	{_, Port} = server([upgrade]),
	ConnPid = open(Port),
	case call(ws_upgrade, [ConnPid, Path, Headers, WsOpts]) of
		{raised, _, _} ->
			ok;
		StreamRef ->
			_ = served({request, '_'}),
			_ = answer(ConnPid, StreamRef)
	end,
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

upgrade_header_order() ->
	ordered(),
	upgrade_request([{<<"x-b">>, <<"1">>}, {<<"x-a">>, <<"2">>}]).

upgrade_header_order_all() ->
	ordered(),
	upgrade_request("/", [{<<"origin">>, <<"http://localhost">>}],
		own_modules(#{compress => true, protocols => [{<<"chat">>, gun_ws_h}, {<<"soap">>, gun_ws_h}]})).

upgrade_host_header() -> upgrade_request([{<<"host">>, <<"example.org">>}]).

upgrade_own_key() -> upgrade_request([{<<"sec-websocket-key">>, <<"AAAAAAAAAAAAAAAAAAAAAA==">>}]).

upgrade_own_version() -> upgrade_request([{<<"sec-websocket-version">>, <<"8">>}]).

upgrade_own_length() -> upgrade_request([{<<"content-length">>, <<"0">>}]).

upgrade_own_transfer_encoding() -> upgrade_request([{<<"transfer-encoding">>, <<"chunked">>}]).

upgrade_own_subprotocol() -> upgrade_request([{<<"sec-websocket-protocol">>, <<"chat">>}]).

upgrade_own_extensions() -> upgrade_request([{<<"sec-websocket-extensions">>, <<"permessage-deflate">>}]).

upgrade_bad_header() -> upgrade_request([{<<"x-a">>, <<"1\r\nx-b: 2">>}]).

upgrade_path_space() -> upgrade_request("/a b", [], #{}).

upgrade_http_1_0() ->
	{_, Port} = server([]),
	ConnPid = open(Port, #{http_opts => #{version => 'HTTP/1.0'}}),
	_ = answer(ConnPid, call(ws_upgrade, [ConnPid, "/"])),
	close(ConnPid).

upgrade_during_request() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("one")}, upgrade]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	StreamRef = call(ws_upgrade, [ConnPid, "/ws"]),
	lying_server:go(Server),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

upgrade_twice() ->
	{_, Port} = server([{answer, fun(_) -> "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n" end}, upgrade]),
	ConnPid = open(Port),
	_ = call(ws_upgrade, [ConnPid, "/1"]),
	StreamRef = call(ws_upgrade, [ConnPid, "/2"]),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

upgrade_refused_then_get() ->
	{_, Port} = server([{answer, fun(_) -> "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nNo" end},
		{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	_ = answer(ConnPid, call(ws_upgrade, [ConnPid, "/"])),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	close(ConnPid).

upgrade_refused_then_upgrade() ->
	{_, Port} = server([{answer, fun(_) -> "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n" end}, upgrade]),
	ConnPid = open(Port),
	_ = answer(ConnPid, call(ws_upgrade, [ConnPid, "/"])),
	_ = answer(ConnPid, call(ws_upgrade, [ConnPid, "/"])),
	close(ConnPid).

upgrade_frame_at_once() ->
	{_, Port} = server([{upgrade, frame(text, "at once")}]),
	ConnPid = open(Port),
	_ = call(ws_upgrade, [ConnPid, "/"]),
	_ = until({gun_ws, '_', '_', '_'}),
	close(ConnPid).

upgrade_send_before() ->
	{Server, Port} = server([request, wait]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = call(ws_send, [ConnPid, StreamRef, {text, <<"early">>}]),
	_ = until({gun_error, '_', '_'}),
	lying_server:go(Server),
	close(ConnPid).

upgrade_await() ->
	{_, Port} = server([{upgrade, frame(text, "Hello")}]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await, [ConnPid, StreamRef]),
	close(ConnPid).

upgrade_await_refused() ->
	{_, Port} = server([{answer, fun(_) -> "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nNo" end}]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await_body, [ConnPid, StreamRef]),
	close(ConnPid).

upgrade_reply_to_fun() ->
	Self = self(),
	{_, Port} = server([{upgrade, frame(text, "Hello")}]),
	ConnPid = open(Port),
	_ = call(ws_upgrade, [ConnPid, "/", [], #{reply_to => fun(Message) -> Self ! {by_fun, Message} end}]),
	_ = until({by_fun, {gun_ws, '_', '_', '_'}}),
	close(ConnPid).

cowboy(Path, WsOpts) ->
	Ref = make_ref(),
	{ok, _} = cowboy:start_clear(Ref, #{socket_opts => [{port, 0}, {ip, {127, 0, 0, 1}}]},
		#{env => #{dispatch => cowboy_router:compile([{'_', ws_echo_h:routes()}])}}),
	Port = ranch:get_port(Ref),
	_ = put({port, Port}, 'PORT'),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, Path, [], WsOpts]),
	_ = answer(ConnPid, StreamRef),
	_ = [begin
		_ = call(ws_send, [ConnPid, StreamRef, {text, Text}]),
		_ = until({gun_ws, '_', '_', '_'})
	end || Text <- [<<"Hello">>, <<>>, binary:copy(<<"Hello">>, 1000)]],
	_ = call(ws_send, [ConnPid, StreamRef, {close, 1000, <<>>}]),
	_ = exit_of(ConnPid),
	cowboy:stop_listener(Ref).

upgrade_cowboy() -> cowboy("/websocket", #{silence_pings => false}).

upgrade_cowboy_compressed() -> cowboy("/deflate", #{compress => true}).

upgrade_options_of_open() ->
	{_, Port} = server([{upgrade, frame(ping, "p")}, frame]),
	ConnPid = open(Port, #{ws_opts => #{silence_pings => false}}),
	_ = call(ws_upgrade, [ConnPid, "/"]),
	_ = until({gun_ws, '_', '_', '_'}),
	_ = served({frame, '_', '_'}),
	close(ConnPid).

upgrade_cancelled() ->
	{Server, Port} = server([request, wait, {send, "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"},
		{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(cancel, [ConnPid, StreamRef]),
	lying_server:go(Server),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	quietly(close, [ConnPid]).

ws_only(Function, Args) ->
	{ConnPid, _, _} = upgraded([]),
	_ = call(Function, [ConnPid|Args]),
	_ = until({gun_error, '_', '_'}),
	close(ConnPid).

ws_get() -> ws_only(get, ["/"]).

ws_post() -> ws_only(post, ["/", []]).

ws_data() -> ws_only(data, [make_ref(), fin, <<"data">>]).

ws_upgrade_again() -> ws_only(ws_upgrade, ["/"]).

ws_cancel() ->
	{ConnPid, StreamRef, _} = upgraded([]),
	_ = call(cancel, [ConnPid, StreamRef]),
	_ = until({'DOWN', '_', '_', '_', '_'}, 500),
	quietly(close, [ConnPid]).

ws_stream_info() ->
	{ConnPid, StreamRef, _} = upgraded([]),
	_ = call(stream_info, [ConnPid, StreamRef]),
	quietly(close, [ConnPid]).

ws_ping_function() ->
	{ConnPid, _, _} = upgraded([]),
	_ = call(ping, [ConnPid]),
	close(ConnPid).

ws_other_ref() ->
	{ConnPid, _, _} = upgraded([frame]),
	_ = call(ws_send, [ConnPid, make_ref(), {text, <<"Hello">>}]),
	_ = served({frame, '_', '_'}),
	close(ConnPid).

ws_shutdown() ->
	{ConnPid, _, _} = upgraded([frame, {send, frame(close, <<1001:16>>)}]),
	_ = call(shutdown, [ConnPid]),
	_ = exit_of(ConnPid),
	served({frame, close, '_'}).

ws_shutdown_timeout() ->
	{ConnPid, _, _} = upgraded([frame], #{}, #{closing_timeout => 50}),
	_ = call(shutdown, [ConnPid]),
	_ = exit_of(ConnPid),
	served({frame, close, '_'}).

ws_shutdown_frames() ->
	{ConnPid, _, _} = upgraded([frame, {send, [frame(text, "last"), frame(close, <<1001:16>>)]}]),
	_ = call(shutdown, [ConnPid]),
	exit_of(ConnPid).

ws_close() ->
	{ConnPid, StreamRef, _} = upgraded([frame, {send, frame(close, <<1000:16, "bye">>)}]),
	_ = call(ws_send, [ConnPid, StreamRef, {close, 1000, <<"bye">>}]),
	exit_of(ConnPid).

ws_close_timeout() ->
	{ConnPid, StreamRef, _} = upgraded([frame], #{}, #{closing_timeout => 50}),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	exit_of(ConnPid).

ws_close_dropped() ->
	{ConnPid, StreamRef, _} = upgraded([frame, close]),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	exit_of(ConnPid).

ws_close_frames() ->
	{ConnPid, StreamRef, _} = upgraded([frame, {send, [frame(text, "last"), frame(ping, "p"), frame(close, <<1000:16>>)]}]),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	exit_of(ConnPid).

closing_then(Function, Args, Opts) ->
	{ConnPid, StreamRef, _} = upgraded([frame], Opts, #{closing_timeout => 300}),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	_ = served({frame, close, '_'}),
	_ = call(Function, [ConnPid|[case Arg of stream_ref -> StreamRef; _ -> Arg end || Arg <- Args]]),
	exit_of(ConnPid).

ws_close_then_send() -> closing_then(ws_send, [stream_ref, {text, <<"late">>}], #{}).

ws_close_then_get() -> closing_then(get, ["/"], #{}).

ws_close_then_upgrade() -> closing_then(ws_upgrade, ["/"], #{}).

ws_close_then_shutdown() -> closing_then(shutdown, [], #{}).

ws_close_in_list() ->
	{ConnPid, StreamRef, _} = upgraded([frames], #{}, #{closing_timeout => 100}),
	_ = call(ws_send, [ConnPid, StreamRef, [{text, <<"one">>}, close, {text, <<"two">>}]]),
	_ = exit_of(ConnPid),
	served(closed).

ws_close_reconnects() ->
	{ConnPid, StreamRef, _} = upgraded([frame, {send, frame(close, <<1000:16>>)}], #{retry => 1}, #{}),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	_ = until({gun_up, '_', '_'}),
	_ = call(ws_send, [ConnPid, StreamRef, {text, <<"late">>}]),
	_ = until({gun_error, '_', '_'}),
	close(ConnPid).

ws_dropped() ->
	{ConnPid, _, Server} = upgraded([{send, frame(text, "last")}, wait, close]),
	_ = until({gun_ws, '_', '_', '_'}),
	lying_server:go(Server),
	exit_of(ConnPid).

ws_dropped_reconnects() ->
	{ConnPid, _, Server} = upgraded([wait, close], #{retry => 1}, #{}),
	lying_server:go(Server),
	_ = until({gun_up, '_', '_'}),
	close(ConnPid).

ws_reset() ->
	{ConnPid, _, Server} = upgraded([wait, reset]),
	lying_server:go(Server),
	exit_of(ConnPid).

ws_keepalive() ->
	{ConnPid, _, _} = upgraded([frame, {send, frame(pong, "")}, frame], #{ws_opts => #{keepalive => 20, silence_pings => false}}, #{}),
	_ = served({frame, ping, '_'}),
	_ = until({gun_ws, '_', '_', pong}),
	_ = served({frame, ping, '_'}),
	close(ConnPid).

ws_keepalive_upgrade() ->
	{ConnPid, _, _} = upgraded([frame], #{}, #{keepalive => 20}),
	note(ping, receive {lying_server, _, {frame, ping, _}} -> true after 300 -> false end),
	close(ConnPid).

ws_flow() ->
	{ConnPid, StreamRef, Server} = upgraded([wait, {send, frame(text, "one")}, wait, {send, frame(text, "two")}], #{}, #{flow => 1}),
	lying_server:go(Server),
	_ = until({gun_ws, '_', '_', '_'}),
	lying_server:go(Server),
	_ = until({gun_ws, '_', '_', '_'}, 200),
	_ = call(update_flow, [ConnPid, StreamRef, 1]),
	_ = until({gun_ws, '_', '_', '_'}),
	close(ConnPid).

ws_flow_ping() ->
	{ConnPid, _, Server} = upgraded([wait, {send, frame(ping, "p")}, frame, {send, frame(text, "one")}], #{}, #{flow => 1}),
	lying_server:go(Server),
	_ = until({gun_ws, '_', '_', {text, '_'}}),
	close(ConnPid).

too_large(WsOpts, Frames) ->
	{ConnPid, _, _} = upgraded([{send, Frames}, frame, close], #{}, WsOpts#{closing_timeout => 300}),
	_ = until(fun
		({gun_ws, _, _, _}) -> true;
		({'DOWN', _, _, _, _}) -> true;
		(_) -> false
	end),
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

ws_max_frame_size() -> too_large(#{max_frame_size => 100}, frame(text, binary:copy(<<"a">>, 101))).

ws_max_frame_size_default() -> too_large(#{silence_pings => true}, frame(binary, binary:copy(<<"a">>, 1000001))).

%% Two fragments, each within the limit: whether the client closes after them.
ws_max_frame_size_fragments() ->
	{ConnPid, _, _} = upgraded([{send, [frame(0, 0, 1, undefined, binary:copy(<<"a">>, 60)),
		frame(1, 0, 0, undefined, binary:copy(<<"a">>, 60))]}, frame], #{}, #{max_frame_size => 100}),
	_ = until({gun_ws, '_', '_', '_'}),
	note(close, receive {lying_server, _, {frame, close, Code}} -> Code after 300 -> none end),
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

ws_max_frame_size_inflated() ->
	deflated(#{max_frame_size => 100}, deflate(binary:copy(<<"a">>, 1000))).

%% A module that the user gives sees every fragment.
ws_subprotocol_module() ->
	{_, Port} = server([{answer, fun(Key) -> [response(Key, [{"sec-websocket-protocol", "tell"}]),
		frame(0, 0, 1, undefined, "Hel"), frame(1, 0, 0, undefined, "lo"), frame(close, <<1000:16>>)] end}, frame, close]),
	ConnPid = open(Port),
	_ = call(ws_upgrade, [ConnPid, "/", [], #{protocols => [{<<"tell">>, compare_tell_h}], user_opts => mine}]),
	exit_of(ConnPid).

ws_handler_pings() ->
	{_, Port} = server([{upgrade, [frame(ping, "p"), frame(pong, ""), frame(close, <<1000:16>>)]}, frame, frame, close]),
	ConnPid = open(Port),
	_ = call(ws_upgrade, [ConnPid, "/", [], #{default_protocol => compare_tell_h}]),
	exit_of(ConnPid).

ws_compressed() -> deflated(#{}, deflate(<<"Hello Hello Hello">>)).

ws_compressed_bad() -> deflated(#{}, <<255, 255, 255>>).

deflated(WsOpts, Payload) ->
	{_, Port} = server([{answer, fun(Key) -> [response(Key, [{"sec-websocket-extensions", "permessage-deflate"}]),
		frame(1, 4, 1, undefined, Payload)] end}, frame, close]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/", [], WsOpts#{compress => true, closing_timeout => 300}]),
	_ = until(fun
		({gun_ws, _, _, _}) -> true;
		({'DOWN', _, _, _, _}) -> true;
		(_) -> false
	end),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	_ = until({'DOWN', '_', '_', '_', '_'}),
	served(fun({frame, close, _}) -> true; (closed) -> true; (_) -> false end).

deflate(Data) ->
	Z = zlib:open(),
	ok = zlib:deflateInit(Z, default, deflated, -15, 8, default),
	Deflated = iolist_to_binary(zlib:deflate(Z, Data, sync)),
	zlib:close(Z),
	binary:part(Deflated, 0, byte_size(Deflated) - 4).

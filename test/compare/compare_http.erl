%% Requests, their bodies, and every kind of response.
-module(compare_http).

-export([situations/0]).

-import(compare_record, [call/2, quietly/2, note/2, open/1, open/2, server/1, until/1, answer/2, served/1, exit_of/1,
	close/1, ordered/0, texts/0, unjoined/0]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	methods() ++ responses() ++ bad_requests() ++ [
		{request_header_order, fun request_header_order/0},
		{streamed_header_order, fun streamed_header_order/0},
		{request_headers, fun request_headers/0},
		{request_header_names, fun request_header_names/0},
		{request_host_header, fun request_host_header/0},
		{request_own_length, fun request_own_length/0},
		{request_transfer_encoding_chunked, fun request_transfer_encoding_chunked/0},
		{request_transfer_encoding_gzip, fun request_transfer_encoding_gzip/0},
		{request_connection_close, fun request_connection_close/0},
		{request_connection_upgrade, fun request_connection_upgrade/0},
		{request_upgrade_to_other, fun request_upgrade_to_other/0},
		{request_options_as_body, fun request_options_as_body/0},
		{reply_to_dead, fun reply_to_dead/0},
		{request_connect, fun request_connect/0},
		{request_http_1_0, fun request_http_1_0/0},
		{request_http_1_0_streamed, fun request_http_1_0_streamed/0},
		{request_transform, fun request_transform/0},
		{request_path_space, fun request_path_space/0},
		{request_path_relative, fun request_path_relative/0},
		{request_header_control, fun request_header_control/0},
		{request_header_control_ignore, fun request_header_control_ignore/0},
		{request_opts_unknown, fun request_opts_unknown/0},
		{upload_chunked, fun upload_chunked/0},
		{upload_sized, fun upload_sized/0},
		{upload_empty_fin, fun upload_empty_fin/0},
		{upload_empty_nofin, fun upload_empty_nofin/0},
		{upload_too_long, fun upload_too_long/0},
		{upload_too_short, fun upload_too_short/0},
		{upload_answered_early, fun upload_answered_early/0},
		{data_unknown_stream, fun data_unknown_stream/0},
		{data_after_fin, fun data_after_fin/0},
		{data_not_iodata, fun data_not_iodata/0},
		{pipelined, fun pipelined/0},
		{pipelined_wire, fun pipelined_wire/0},
		{pipelined_connection_close, fun pipelined_connection_close/0},
		{keep_alive, fun keep_alive/0},
		{pieces, fun pieces/0},
		{pieces_fin, fun pieces_fin/0},
		{flow, fun flow/0},
		{flow_http_opts, fun flow_http_opts/0},
		{flow_without, fun flow_without/0},
		{cancel_before_response, fun cancel_before_response/0},
		{cancel_during_body, fun cancel_during_body/0},
		{cancel_waiting, fun cancel_waiting/0},
		{cancel_unknown, fun cancel_unknown/0},
		{stream_info_running, fun stream_info_running/0},
		{stream_info_cancelled, fun stream_info_cancelled/0},
		{stream_info_unknown, fun stream_info_unknown/0},
		{stream_info_done, fun stream_info_done/0},
		{reply_to_pid, fun reply_to_pid/0},
		{reply_to_fun, fun reply_to_fun/0},
		{reply_to_fun_args, fun reply_to_fun_args/0},
		{reply_to_mfa, fun reply_to_mfa/0},
		{reply_to_bad, fun reply_to_bad/0},
		{await_response, fun await_response/0},
		{await_inform, fun await_inform/0},
		{await_body_trailers, fun await_body_trailers/0},
		{await_timeout, fun await_timeout/0},
		{await_down, fun await_down/0},
		{await_other_stream_error, fun await_other_stream_error/0},
		{await_body_cut, fun await_body_cut/0},
		{flush_conn, fun flush_conn/0},
		{flush_conn_notify, fun flush_conn_notify/0},
		{flush_stream, fun flush_stream/0},
		{flush_stream_error, fun flush_stream_error/0},
		{cookies, fun cookies/0},
		{keepalive, fun keepalive/0},
		{max_header_block_size, fun max_header_block_size/0},
		{max_trailer_block_size, fun max_trailer_block_size/0},
		{many_headers, fun many_headers/0},
		{content_handler_sse, fun content_handler_sse/0},
		{ws_send_before_upgrade, fun ws_send_before_upgrade/0},
		{badstate_texts, fun badstate_texts/0},
		{limit_texts, fun limit_texts/0},
		{header_texts, fun header_texts/0},
		{ping, fun ping/0}
	].

%% Every function that makes a request: what it gives, and what goes over the wire.
methods() ->
	[{list_to_atom(lists:concat(["method_", Function, "_", length(Args)])), fun() -> method(Function, Args) end}
		|| {Function, Args} <- [
		{get, ["/"]},
		{get, ["/a?b=c", [{<<"x-a">>, <<"1">>}]]},
		{get, ["/", #{<<"x-a">> => <<"1">>}, #{}]},
		{head, ["/"]},
		{options, ["/"]},
		{options, ["*", []]},
		{delete, ["/"]},
		{patch, ["/", [], <<"body">>]},
		{post, ["/", [{<<"content-type">>, <<"text/plain">>}], ["bo", <<"dy">>]]},
		{put, ["/", [], <<>>]},
		{put, ["/", [], <<"body">>, #{}]},
		{request, [<<"PROPFIND">>, <<"/">>, [], <<"body">>]},
		{request, ["get", "/", [], "", #{}]}
	]].

method(Function, Args) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port),
	StreamRef = call(Function, [ConnPid|Args]),
	_ = answer(ConnPid, StreamRef),
	_ = [served({request, '_'}) || is_reference(StreamRef)],
	close(ConnPid).

%% What a response comes to: the bytes that the server sends, and whether it closes the connection behind them.
responses() ->
	[{list_to_atom("response_" ++ Name), fun() -> response(Function, Bytes, Then) end} || {Name, Function, Bytes, Then} <- [
		{"sized", get, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello", stay},
		{"empty", get, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", stay},
		{"chunked", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n6\r\n World\r\n0\r\n\r\n", stay},
		{"chunk_extension", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nHello\r\n0\r\n\r\n", stay},
		{"chunked_empty", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", stay},
		{"trailers", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nHello\r\n0\r\nx-sum: 5\r\n\r\n", stay},
		{"until_close", get, "HTTP/1.1 200 OK\r\n\r\nHello", close},
		{"until_close_empty", get, "HTTP/1.1 200 OK\r\n\r\n", close},
		{"connection_close", get, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nHello", close},
		{"connection_close_empty", get, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", close},
		{"connection_close_stays", get, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nHello", ends},
		{"no_content", get, "HTTP/1.1 204 No Content\r\n\r\n", stay},
		{"no_content_length", get, "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", stay},
		{"not_modified", get, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", stay},
		{"head_length", head, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", stay},
		{"head_chunked", head, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", stay},
		{"inform", get, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", stay},
		{"continue", get, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", stay},
		{"informs_two", get, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", stay},
		{"http_1_0", get, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nHello", ends},
		{"http_1_0_until_close", get, "HTTP/1.0 200 OK\r\n\r\nHello", close},
		{"http_1_0_keep_alive", get, "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nHello", stay},
		{"http_1_0_chunked", get, "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", close},
		{"length_and_chunked", get, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n", stay},
		{"lengths_same", get, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nHello", stay},
		{"lengths_differ", get, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nHello", close},
		{"length_bad", get, "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nHello", close},
		{"length_huge", get, "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nHello", close},
		{"chunk_bad", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nHello\r\n0\r\n\r\n", close},
		{"coding_unknown", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", close},
		{"header_case", get, "HTTP/1.1 200 OK\r\nX-Case:  Kept \r\ncontent-length: 0\r\n\r\n", stay},
		{"header_order", get, "HTTP/1.1 200 OK\r\nx-b: 1\r\nx-a: 2\r\ncontent-length: 0\r\nx-c: 3\r\n\r\n", stay},
		{"header_repeated", get, "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n", stay},
		{"header_repeated_apart", get, "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nx-a: 1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n", stay},
		{"header_latin1", get, <<"HTTP/1.1 200 OK\r\nx-a: caf", 233, "\r\ncontent-length: 0\r\n\r\n">>, stay},
		{"header_empty", get, "HTTP/1.1 200 OK\r\nx-a:\r\ncontent-length: 0\r\n\r\n", stay},
		{"header_folded", get, "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n", close},
		{"header_space_colon", get, "HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n", close},
		{"header_bare_lf", get, "HTTP/1.1 200 OK\nx-a: 1\ncontent-length: 0\n\n", close},
		{"header_without_colon", get, "HTTP/1.1 200 OK\r\nnonsense\r\ncontent-length: 0\r\n\r\n", close},
		{"header_name_bad", get, "HTTP/1.1 200 OK\r\nx(a): 1\r\ncontent-length: 0\r\n\r\n", close},
		{"reason_empty", get, "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", stay},
		{"reason_missing", get, "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", stay},
		{"status_999", get, "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", stay},
		{"status_two_digits", get, "HTTP/1.1 20 Odd\r\ncontent-length: 0\r\n\r\n", close},
		{"http_2_0", get, "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", close},
		{"not_http", get, "SSH-2.0-OpenSSH_9.2\r\n\r\n", close},
		{"switching", get, "HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n", close},
		{"none", get, "", close},
		{"cut_head", get, "HTTP/1.1 200 OK\r\ncontent-le", close},
		{"cut_body", get, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello", close},
		{"cut_chunk", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\nHello", close},
		{"cut_trailers", get, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\nx-s", close},
		{"reset", get, "", reset},
		{"reset_body", get, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello", reset},
		{"too_much", get, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello World", close}
	]].

%% The connection is told of while a response is under way; a reset would overtake it.
response(Function, Bytes, Then) ->
	{Server, Port} = server([request, {send, Bytes}|case Then of
		stay -> [];
		ends -> [];
		close -> [close];
		reset -> [wait, reset]
	end]),
	ConnPid = open(Port),
	StreamRef = call(Function, [ConnPid, "/"]),
	case Then of
		stay ->
			_ = answer(ConnPid, StreamRef),
			note(stream_info, quietly(stream_info, [ConnPid, StreamRef])),
			close(ConnPid);
		reset ->
			_ = [until({gun_data, '_', '_', nofin, '_'}) || Bytes =/= ""],
			_ = served({request, '_'}),
			lying_server:go(Server),
			exit_of(ConnPid);
		_ ->
			exit_of(ConnPid)
	end.

%% What no request can be made of.
bad_requests() ->
	[{list_to_atom("bad_" ++ Name), fun() -> bad_request(Function, Args) end} || {Name, Function, Args} <- [
		{"header_no_tuple", get, ["/", [nonsense]]},
		{"header_value_integer", get, ["/", [{<<"x-a">>, 1}]]},
		{"header_name_integer", get, ["/", [{1, <<"x">>}]]},
		{"header_value_newline", get, ["/", [{<<"x-a">>, <<"1\r\nx-b: 2">>}]]},
		{"header_name_newline", get, ["/", [{<<"x-a\r\nx-b">>, <<"1">>}]]},
		{"headers_no_list", get, ["/", nonsense]},
		{"body_no_iodata", post, ["/", [], body]},
		{"path_no_iodata", get, [path]},
		{"path_newline", get, ["/a\r\nx-b: 1"]},
		{"method_space", request, [<<"GE T">>, "/", [], <<>>]},
		{"options_no_map", get, ["/", [], []]}
	]].

bad_request(Function, Args) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port),
	case call(Function, [ConnPid|Args]) of
		{raised, _, _} -> close(ConnPid);
		StreamRef -> _ = answer(ConnPid, StreamRef), close(ConnPid)
	end.

request_header_order() ->
	ordered(),
	method(post, ["/", [{<<"x-b">>, <<"1">>}, {<<"x-a">>, <<"2">>}], <<"body">>]).

streamed_header_order() ->
	ordered(),
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", [{<<"x-b">>, <<"1">>}, {<<"x-a">>, <<"2">>}]]),
	_ = call(data, [ConnPid, StreamRef, fin, <<"body">>]),
	_ = answer(ConnPid, StreamRef),
	_ = served({body, '_'}),
	close(ConnPid).

request_headers() ->
	method(get, ["/", [{"X-String", "a"}, {x_atom, ["b", <<"c">>]}, {<<"x-tab">>, <<"a\tb">>}, {<<"x-empty">>, <<>>}]]).

request_header_names() ->
	method(get, ["/", [{<<"X-Repeated">>, <<"1">>}, {<<"x-repeated">>, <<"2">>}]]).

request_host_header() ->
	method(get, ["/", [{<<"host">>, <<"example.org">>}]]).

request_own_length() ->
	method(post, ["/", [{<<"content-length">>, <<"9">>}], <<"body">>]).

request_transfer_encoding_chunked() ->
	method(post, ["/", [{<<"transfer-encoding">>, <<"chunked">>}], <<"body">>]).

request_transfer_encoding_gzip() ->
	method(post, ["/", [{<<"transfer-encoding">>, <<"gzip">>}], <<"body">>]).

request_connection_close() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/", [{<<"connection">>, <<"close">>}]]),
	_ = exit_of(ConnPid),
	served({request, '_'}).

request_connection_upgrade() ->
	method(get, ["/", [{<<"connection">>, <<"upgrade">>}, {<<"upgrade">>, <<"other">>}]]).

%% An upgrade to something else than WebSocket, which the server takes.
request_upgrade_to_other() ->
	{_, Port} = server([request, {send, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nHello"}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/", [{<<"connection">>, <<"upgrade">>}, {<<"upgrade">>, <<"other">>}]]),
	_ = answer(ConnPid, StreamRef),
	quietly(close, [ConnPid]).

%% A map in the place of the body: the body follows.
request_options_as_body() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port),
	StreamRef = call(put, [ConnPid, "/", [], #{reply_to => self()}]),
	_ = call(data, [ConnPid, StreamRef, fin, <<"body">>]),
	_ = answer(ConnPid, StreamRef),
	_ = served({body, '_'}),
	close(ConnPid).

%% A receiver that is dead holds nothing up.
reply_to_dead() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("one") end}, {http, fun(_, _) -> lying_server:ok("two") end}]),
	ConnPid = open(Port),
	{Pid, MRef} = spawn_monitor(fun() -> ok end),
	receive {'DOWN', MRef, process, Pid, _} -> ok end,
	_ = call(get, [ConnPid, "/", [], #{reply_to => Pid}]),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	close(ConnPid).

request_connect() ->
	method(request, [<<"CONNECT">>, "example.org:80", [], <<>>]).

request_http_1_0() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port, #{http_opts => #{version => 'HTTP/1.0'}}),
	_ = call(get, [ConnPid, "/"]),
	_ = exit_of(ConnPid),
	served({request, '_'}).

request_http_1_0_streamed() ->
	{_, Port} = server([request, {send, lying_server:ok("")}]),
	ConnPid = open(Port, #{http_opts => #{version => 'HTTP/1.0'}}),
	StreamRef = call(post, [ConnPid, "/", []]),
	_ = call(data, [ConnPid, StreamRef, fin, <<"body">>]),
	_ = answer(ConnPid, StreamRef),
	quietly(close, [ConnPid]).

request_transform() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port, #{http_opts => #{transform_header_name => fun(Name) ->
		iolist_to_binary(lists:join("-", [string:titlecase(Word) || Word <- string:split(Name, "-", all)]))
	end}}),
	StreamRef = call(get, [ConnPid, "/", [{<<"x-first-name">>, <<"1">>}]]),
	_ = answer(ConnPid, StreamRef),
	_ = served({request, '_'}),
	close(ConnPid).

request_path_space() -> method(get, ["/a b"]).

request_path_relative() -> method(get, ["a"]).

request_header_control() -> method(get, ["/", [{<<"x-a">>, <<"a", 1, "b">>}]]).

request_header_control_ignore() ->
	method(get, ["/", [{<<"x-a">>, <<"a", 1, "b">>}, {<<"x-b">>, <<"2">>}], #{invalid_request_headers => ignore}]).

request_opts_unknown() -> method(get, ["/", [], #{unknown => 1}]).

upload(Headers, Parts) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", Headers]),
	_ = [call(data, [ConnPid, StreamRef, IsFin, Data]) || {IsFin, Data} <- Parts],
	_ = answer(ConnPid, StreamRef),
	_ = served({body, '_'}),
	close(ConnPid).

upload_chunked() -> upload([], [{nofin, <<"Hello ">>}, {fin, ["Wor", <<"ld">>]}]).

upload_sized() -> upload([{<<"content-length">>, <<"11">>}], [{nofin, <<"Hello ">>}, {fin, <<"World">>}]).

upload_empty_fin() -> upload([], [{nofin, <<"Hello">>}, {fin, <<>>}]).

upload_empty_nofin() -> upload([], [{nofin, <<>>}, {nofin, <<"Hello">>}, {nofin, <<>>}, {fin, <<>>}]).

upload_bad(Parts) ->
	{_, Port} = server([request]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", [{<<"content-length">>, <<"5">>}]]),
	_ = [call(data, [ConnPid, StreamRef, IsFin, Data]) || {IsFin, Data} <- Parts],
	_ = answer(ConnPid, StreamRef),
	_ = call(close, [ConnPid]),
	exit_of(ConnPid).

upload_too_long() -> upload_bad([{fin, <<"Hello World">>}]).

upload_too_short() -> upload_bad([{fin, <<"Hell">>}]).

upload_answered_early() ->
	{_, Port} = server([request, {send, lying_server:ok("early")}]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", []]),
	_ = answer(ConnPid, StreamRef),
	_ = call(data, [ConnPid, StreamRef, fin, <<"late">>]),
	_ = until({gun_down, '_', '_', '_', '_'}, 500),
	quietly(close, [ConnPid]).

until(Pattern, Wait) -> compare_record:until(Pattern, Wait).

data_unknown_stream() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(data, [ConnPid, make_ref(), fin, <<"data">>]),
	_ = until({gun_error, '_', '_', '_'}),
	close(ConnPid).

data_after_fin() ->
	{_, Port} = server([{http, fun(_, _) -> "" end}]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", []]),
	_ = call(data, [ConnPid, StreamRef, fin, <<"data">>]),
	_ = served({body, '_'}),
	_ = call(data, [ConnPid, StreamRef, fin, <<"data">>]),
	_ = until({gun_error, '_', '_', '_'}),
	close(ConnPid).

data_not_iodata() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	StreamRef = call(post, [ConnPid, "/", []]),
	_ = call(data, [ConnPid, StreamRef, fin, nonsense]),
	_ = call(close, [ConnPid]),
	exit_of(ConnPid).

%% The second is answered after the first.
pipelined() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("one") end}, {http, fun(_, _) -> lying_server:ok("two") end}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/1"]),
	Second = call(get, [ConnPid, "/2"]),
	_ = answer(ConnPid, Second),
	close(ConnPid).

%% Two requests before the first answer: whether the second is sent.
pipelined_wire() ->
	{_, Port} = server([request, request]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/1"]),
	_ = call(get, [ConnPid, "/2"]),
	_ = served({request, '_'}),
	note(second, receive {lying_server, _, {request, _}} -> sent after 300 -> waits end),
	close(ConnPid).

pipelined_connection_close() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nHello"}, close]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/1"]),
	_ = call(get, [ConnPid, "/2"]),
	exit_of(ConnPid).

keep_alive() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("one") end}, {http, fun(_, _) -> lying_server:ok("two") end}]),
	ConnPid = open(Port),
	_ = answer(ConnPid, call(get, [ConnPid, "/1"])),
	_ = answer(ConnPid, call(get, [ConnPid, "/2"])),
	close(ConnPid).

%% One gun_data for what comes at one time.
pieces() ->
	pieces("content-length: 11\r\n\r\n", "Hello ", "World").

%% The end of a chunked body that comes by itself.
pieces_fin() ->
	pieces("transfer-encoding: chunked\r\n\r\n", "5\r\nHello\r\n", "0\r\n\r\n").

pieces(Head, First, Last) ->
	unjoined(),
	{Server, Port} = server([request, {send, ["HTTP/1.1 200 OK\r\n", Head]}, wait, {send, First}, wait, {send, Last}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = until({gun_response, '_', '_', '_', '_', '_'}),
	lying_server:go(Server),
	_ = until({gun_data, '_', '_', '_', '_'}),
	lying_server:go(Server),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

flow() -> flow(#{}, #{flow => 1}).

flow_http_opts() -> flow(#{http_opts => #{flow => 1}}, #{}).

flow(Opts, ReqOpts) ->
	unjoined(),
	{Server, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"}, wait, {send, "Hello "}, wait,
		{send, "World"}]),
	ConnPid = open(Port, Opts),
	StreamRef = call(get, [ConnPid, "/", [], ReqOpts]),
	_ = until({gun_response, '_', '_', '_', '_', '_'}),
	lying_server:go(Server),
	_ = until({gun_data, '_', '_', '_', '_'}),
	lying_server:go(Server),
	_ = until({gun_data, '_', '_', '_', '_'}, 200),
	_ = call(update_flow, [ConnPid, StreamRef, 1]),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

flow_without() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(update_flow, [ConnPid, StreamRef, 1]),
	_ = call(update_flow, [ConnPid, make_ref(), 1]),
	_ = answer(ConnPid, StreamRef),
	close(ConnPid).

%% The response to a cancelled request is thrown away, and the next request is answered.
cancel_before_response() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("one")}, {http, fun(_, _) -> lying_server:ok("two") end}]),
	ConnPid = open(Port),
	First = call(get, [ConnPid, "/1"]),
	_ = served({request, '_'}),
	_ = call(cancel, [ConnPid, First]),
	lying_server:go(Server),
	Second = call(get, [ConnPid, "/2"]),
	_ = answer(ConnPid, Second),
	close(ConnPid).

cancel_during_body() ->
	{Server, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nHello "}, wait, {send, "World"},
		{http, fun(_, _) -> lying_server:ok("two") end}]),
	ConnPid = open(Port),
	First = call(get, [ConnPid, "/1"]),
	_ = until({gun_data, '_', '_', '_', '_'}),
	_ = call(cancel, [ConnPid, First]),
	lying_server:go(Server),
	Second = call(get, [ConnPid, "/2"]),
	_ = answer(ConnPid, Second),
	close(ConnPid).

%% Of two requests the second is cancelled while the first is under way: whether the server sees it.
cancel_waiting() ->
	{Server, Port} = server([request, wait, {send, lying_server:ok("one")}, request, {send, lying_server:ok("two")},
		request, {send, lying_server:ok("three")}]),
	ConnPid = open(Port),
	First = call(get, [ConnPid, "/1"]),
	Second = call(get, [ConnPid, "/2"]),
	_ = call(cancel, [ConnPid, Second]),
	lying_server:go(Server),
	_ = answer(ConnPid, First),
	Third = call(get, [ConnPid, "/3"]),
	_ = answer(ConnPid, Third),
	_ = served({request, '_'}),
	_ = served({request, '_'}),
	close(ConnPid).

cancel_unknown() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(cancel, [ConnPid, make_ref()]),
	_ = until({gun_error, '_', '_', '_'}),
	close(ConnPid).

stream_info_running() ->
	{_, Port} = server([request]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(stream_info, [ConnPid, StreamRef]),
	close(ConnPid).

stream_info_cancelled() ->
	{_, Port} = server([request]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = served({request, '_'}),
	_ = call(cancel, [ConnPid, StreamRef]),
	_ = call(stream_info, [ConnPid, StreamRef]),
	close(ConnPid).

stream_info_unknown() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(stream_info, [ConnPid, make_ref()]),
	close(ConnPid).

stream_info_done() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = answer(ConnPid, StreamRef),
	_ = call(stream_info, [ConnPid, StreamRef]),
	close(ConnPid).

reply_to_pid() ->
	Self = self(),
	Other = spawn_link(fun Loop() -> receive Message -> Self ! {other, Message}, Loop() end end),
	reply_to(Other, fun({other, {gun_data, _, _, fin, _}}) -> true; (_) -> false end).

reply_to_fun() ->
	Self = self(),
	reply_to(fun(Message) -> Self ! {by_fun, Message} end, fun({by_fun, {gun_data, _, _, fin, _}}) -> true; (_) -> false end).

reply_to_fun_args() ->
	Self = self(),
	reply_to({fun(Message, A, B) -> Self ! {by_fun, A, B, Message} end, [a, b]},
		fun({by_fun, a, b, {gun_data, _, _, fin, _}}) -> true; (_) -> false end).

reply_to_mfa() ->
	reply_to({lists, foreach, [[]]}, none).

reply_to_bad() ->
	reply_to(nonsense, none).

reply_to(ReplyTo, Until) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/", [], #{reply_to => ReplyTo}]),
	_ = case Until of
		none -> until({'DOWN', '_', '_', '_', '_'}, 1000);
		_ -> until(Until)
	end,
	_ = quietly(close, [ConnPid]),
	exit_of(ConnPid).

await_response() ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await_body, [ConnPid, StreamRef]),
	close(ConnPid).

await_inform() ->
	{_, Port} = server([request, {send, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 None\r\n\r\n"}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await, [ConnPid, StreamRef, 5000]),
	close(ConnPid).

await_body_trailers() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\nx-a: 1\r\n\r\n"}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await_body, [ConnPid, StreamRef]),
	close(ConnPid).

await_timeout() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef, 1]),
	_ = call(await_body, [ConnPid, StreamRef, 1]),
	close(ConnPid).

await_down() ->
	{_, Port} = server([request, close]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = call(await_up, [ConnPid]),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	_ = call(await_body, [ConnPid, StreamRef]),
	call(await, [ConnPid, make_ref()]).

await_other_stream_error() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(ws_send, [ConnPid, make_ref(), {text, "x"}]),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	close(ConnPid).

await_body_cut() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello"}, close]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = call(await_up, [ConnPid]),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = call(await, [ConnPid, StreamRef]),
	call(await_body, [ConnPid, StreamRef]).

%% What flush leaves of every message that there is.
flush_conn() ->
	flush(fun(ConnPid, _) -> ConnPid end, []).

flush_conn_notify() ->
	flush(fun(ConnPid, _) -> ConnPid end, [gun_sse, gun_push, gun_notify]).

flush_stream() ->
	flush(fun(_, StreamRef) -> StreamRef end, []).

flush_stream_error() ->
	flush(fun(_, StreamRef) -> StreamRef end, [gun_sse, gun_push, gun_notify]).

flush(Which, Also) ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	StreamRef = make_ref(),
	Messages = [
		{gun_up, ConnPid, http},
		{gun_down, ConnPid, http, closed, []},
		{gun_inform, ConnPid, StreamRef, 103, []},
		{gun_response, ConnPid, StreamRef, fin, 200, []},
		{gun_data, ConnPid, StreamRef, fin, <<>>},
		{gun_trailers, ConnPid, StreamRef, []},
		{gun_upgrade, ConnPid, StreamRef, [], []},
		{gun_ws, ConnPid, StreamRef, close},
		{gun_tunnel_up, ConnPid, StreamRef, http},
		{gun_error, ConnPid, StreamRef, reason},
		{gun_error, ConnPid, reason},
		{'DOWN', make_ref(), process, ConnPid, normal}
	] ++ [case Name of
		gun_sse -> {gun_sse, ConnPid, StreamRef, fin};
		gun_push -> {gun_push, ConnPid, StreamRef, make_ref(), <<"GET">>, <<"/">>, []};
		gun_notify -> {gun_notify, ConnPid, settings_changed, #{}}
	end || Name <- Also],
	_ = [self() ! Message || Message <- Messages],
	_ = call(flush, [Which(ConnPid, StreamRef)]),
	{messages, Left} = process_info(self(), messages),
	note(left, [Name || Message <- Left, Name <- [element(1, Message)], Name =/= lying_server]),
	quietly(close, [ConnPid]).

cookies() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\nset-cookie: a=1; path=/\r\nset-cookie: b=2; path=/x\r\n"
		"content-length: 0\r\n\r\n"}, request, {send, "HTTP/1.1 204 None\r\n\r\n"}]),
	Store = case get(client) of
		gun -> gun_cookies_list:init();
		gun_rs -> gun_rs_cookies_list:init()
	end,
	ConnPid = open(Port, #{cookie_store => Store}),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	_ = answer(ConnPid, call(get, [ConnPid, "/", [{<<"cookie">>, <<"c=3">>}]])),
	_ = served({request, '_'}),
	_ = served({request, '_'}),
	#{cookie_store := {Module, _}} = quietly(info, [ConnPid]),
	note(cookie_store, Module),
	close(ConnPid).

%% An idle connection is kept alive by empty lines.
keepalive() ->
	{_, Port} = server([{read, 4}]),
	ConnPid = open(Port, #{http_opts => #{keepalive => 20}}),
	_ = served({read, '_'}),
	close(ConnPid).

max_header_block_size() ->
	{_, Port} = server([request, {send, ["HTTP/1.1 200 OK\r\nx-a: ", lists:duplicate(20000, $a)]}]),
	ConnPid = open(Port, #{http_opts => #{max_header_block_size => 10000}}),
	_ = call(get, [ConnPid, "/"]),
	exit_of(ConnPid).

max_trailer_block_size() ->
	{_, Port} = server([request, {send, ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: ",
		lists:duplicate(20000, $a), "\r\n\r\n"]}]),
	ConnPid = open(Port, #{http_opts => #{max_trailer_block_size => 10000}}),
	_ = call(get, [ConnPid, "/"]),
	exit_of(ConnPid).

many_headers() ->
	{_, Port} = server([request, {send, ["HTTP/1.1 200 OK\r\n", [["x-", integer_to_list(N), ": 1\r\n"] || N <- lists:seq(1, 101)],
		"content-length: 0\r\n\r\n"]}]),
	ConnPid = open(Port),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = answer(ConnPid, StreamRef),
	quietly(close, [ConnPid]).

content_handler_sse() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
		"id: 1\nevent: hello\ndata: a\ndata: b\n\ndata: c\n\n"}, close]),
	ConnPid = open(Port, #{http_opts => #{content_handlers => [gun_sse_h, gun_data_h]}}),
	_ = call(get, [ConnPid, "/"]),
	exit_of(ConnPid).

ws_send_before_upgrade() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(ws_send, [ConnPid, make_ref(), {text, <<"x">>}]),
	_ = until({gun_error, '_', '_'}),
	close(ConnPid).

%% The sentences that stand beside badstate.
badstate_texts() ->
	texts(),
	{_, Port} = server([upgrade]),
	ConnPid = open(Port),
	_ = call(ws_send, [ConnPid, make_ref(), {text, <<"x">>}]),
	_ = until({gun_error, '_', '_'}),
	_ = call(cancel, [ConnPid, make_ref()]),
	_ = until({gun_error, '_', '_', '_'}),
	_ = call(data, [ConnPid, make_ref(), fin, <<"data">>]),
	_ = until({gun_error, '_', '_', '_'}),
	_ = answer(ConnPid, call(ws_upgrade, [ConnPid, "/"])),
	_ = call(get, [ConnPid, "/"]),
	_ = until({gun_error, '_', '_'}),
	close(ConnPid).

limit_texts() ->
	texts(),
	max_header_block_size().

header_texts() ->
	texts(),
	bad_request(get, ["/", [{<<"x-a">>, <<"1\r\nx-b: 2">>}]]).

ping() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(ping, [ConnPid]),
	_ = until(fun({gun_down, _, _, _, _}) -> true; (_) -> false end, 500),
	quietly(close, [ConnPid]).

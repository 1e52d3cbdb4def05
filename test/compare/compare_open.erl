%% What open takes and refuses, and how connections come to be, or do not.
-module(compare_open).

-export([situations/0]).

-import(compare_record, [call/2, quietly/2, note/2, open/1, open/2, watch/1, server/1, until/1, exit_of/1, close/1]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	options() ++ hosts() ++ [
		{functions, fun functions/0},
		{open_no_map, fun() -> call(open, ["127.0.0.1", 80, []]) end},
		{open_bad_port, fun open_bad_port/0},
		{open_refused, fun open_refused/0},
		{open_retries, fun open_retries/0},
		{open_retry_fun, fun open_retry_fun/0},
		{open_retry_fun_arguments, fun open_retry_fun_arguments/0},
		{open_no_such_host, fun open_no_such_host/0},
		{open_unsupervised, fun open_unsupervised/0},
		{open_unix, fun open_unix/0},
		{open_unix_no_such_file, fun open_unix_no_such_file/0},
		{await_up, fun await_up/0},
		{await_up_monitor, fun await_up_monitor/0},
		{await_up_timeout, fun await_up_timeout/0},
		{await_up_down, fun await_up_down/0},
		{await_up_dead, fun await_up_dead/0},
		{info_keys, fun info_keys/0},
		{info_values, fun info_values/0},
		{info_socket, fun info_socket/0},
		{info_not_connected, fun info_not_connected/0},
		{info_shutdown, fun info_shutdown/0},
		{info_dead, fun info_dead/0},
		{info_closing, fun info_closing/0},
		{dead_calls, fun dead_calls/0},
		{dead_stream_info, fun dead_stream_info/0},
		{dead_close, fun dead_close/0},
		{dead_await, fun dead_await/0},
		{not_a_pid, fun not_a_pid/0},
		{no_connection_close, fun no_connection_close/0}
	].

%% What one option comes to.
options() ->
	[{list_to_atom("option_" ++ Name), fun() -> option(Opts) end} || {Name, Opts} <- [
		{"none", #{}},
		{"unknown", #{unknown => true}},
		{"connect_timeout", #{connect_timeout => -1}},
		{"connect_timeout_infinity", #{connect_timeout => infinity}},
		{"cookie_store", #{cookie_store => bad}},
		{"domain_lookup_timeout", #{domain_lookup_timeout => a}},
		{"event_handler", #{event_handler => {gun_default_event_h, #{}}}},
		{"event_handler_bad", #{event_handler => 1}},
		{"http_opts_unknown", #{http_opts => #{unknown => 1}}},
		{"http_opts_version", #{http_opts => #{version => 'HTTP/2'}}},
		{"http_opts_keepalive", #{http_opts => #{keepalive => 0}}},
		{"http_opts_flow", #{http_opts => #{flow => 0}}},
		{"http_opts_closing_timeout", #{http_opts => #{closing_timeout => 0}}},
		{"http_opts_max_header_block_size", #{http_opts => #{max_header_block_size => 0}}},
		{"http_opts_content_handlers", #{http_opts => #{content_handlers => [1]}}},
		{"http_opts_transform", #{http_opts => #{transform_header_name => fun(Name) -> <<"x", Name/binary>> end}}},
		{"http_opts_no_map", #{http_opts => []}},
		{"protocols_empty", #{protocols => []}},
		{"protocols_http", #{protocols => [http]}},
		{"protocols_unknown", #{protocols => [spdy]}},
		{"protocols_http_opts", #{protocols => [{http, #{version => 'HTTP/1.0'}}]}},
		{"protocols_http_bad_opts", #{protocols => [{http, #{unknown => 1}}]}},
		{"protocols_raw", #{protocols => [raw]}},
		{"protocols_socks", #{protocols => [{socks, #{host => "localhost", port => 80}}]}},
		{"protocols_http2", #{protocols => [http2]}},
		{"protocols_http2_http", #{protocols => [http2, http]}},
		{"http2_opts", #{http2_opts => #{keepalive => 1000}}},
		{"http2_opts_unknown", #{http2_opts => #{unknown => 1}}},
		{"raw_opts", #{raw_opts => #{flow => 1}}},
		{"socks_opts", #{socks_opts => #{host => "localhost", port => 1080}}},
		{"retry", #{retry => -1}},
		{"retry_infinity", #{retry => infinity}},
		{"retry_timeout", #{retry_timeout => infinity}},
		{"retry_fun", #{retry_fun => fun(_) -> ok end}},
		{"supervise", #{supervise => yes}},
		{"tcp_opts", #{tcp_opts => [{nodelay, true}, {keepalive, true}, {send_timeout, 1000}, {send_timeout_close, true}]}},
		{"tcp_opts_unknown", #{tcp_opts => [{unknown, true}]}},
		{"tcp_opts_no_list", #{tcp_opts => #{}}},
		{"tls_handshake_timeout", #{tls_handshake_timeout => -1}},
		{"tls_opts_no_list", #{tls_opts => #{}}},
		{"tls_opts_unknown", #{tls_opts => [{unknown, true}], transport => tls}},
		{"trace_false", #{trace => false}},
		{"trace_bad", #{trace => 1}},
		{"transport_unknown", #{transport => udp}},
		{"ws_opts_unknown", #{ws_opts => #{unknown => 1}}},
		{"ws_opts_compress", #{ws_opts => #{compress => yes}}},
		{"ws_opts_compress_compat", #{ws_opts => #{compress => compat}}},
		{"ws_opts_flow", #{ws_opts => #{flow => -1}}},
		{"ws_opts_protocols", #{ws_opts => #{protocols => [a]}}},
		{"ws_opts_protocols_string", #{ws_opts => #{protocols => [{"chat", gun_ws_h}]}}},
		{"ws_opts_protocols_gun_ws_h", #{ws_opts => #{protocols => [{<<"chat">>, gun_ws_h}]}}},
		{"ws_opts_default_protocol_missing", #{ws_opts => #{default_protocol => no_such_module}}},
		{"ws_opts_reply_to", #{ws_opts => #{reply_to => 1}}},
		{"ws_opts_tunnel", #{ws_opts => #{tunnel => make_ref()}}},
		{"ws_opts_invalid_request_headers", #{ws_opts => #{invalid_request_headers => ignore}}},
		{"ws_opts_max_frame_size", #{ws_opts => #{max_frame_size => 0}}},
		{"ws_opts_user_opts", #{ws_opts => #{user_opts => anything}}}
	]].

option(Opts) ->
	{_, Port} = server([]),
	case call(open, ["127.0.0.1", Port, Opts#{retry => maps:get(retry, Opts, 0), supervise => maps:get(supervise, Opts, true)}]) of
		{ok, ConnPid} -> _ = watch(ConnPid), _ = until(fun
				({gun_up, _, _}) -> true;
				({'DOWN', _, _, _, _}) -> true
			end), quietly(close, [ConnPid]);
		_ -> ok
	end.

%% Each kind of host, as info shows it and as the server sees it.
hosts() ->
	[{list_to_atom("host_" ++ Name), fun() -> host(Host) end} || {Name, Host} <- [
		{"string", "localhost"},
		{"atom", localhost},
		{"tuple", {127, 0, 0, 1}},
		{"binary", <<"localhost">>},
		{"empty", ""},
		{"integer", 1},
		{"space", "local host"}
	]].

host(Host) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("") end}]),
	case call(open, [Host, Port, #{retry => 0}]) of
		{ok, ConnPid} ->
			_ = watch(ConnPid),
			case until(fun
				({gun_up, _, _}) -> true;
				({'DOWN', _, _, _, _}) -> true
			end) of
				{gun_up, _, _} ->
					#{origin_host := Origin} = quietly(info, [ConnPid]),
					note(origin_host, Origin),
					StreamRef = call(get, [ConnPid, "/"]),
					_ = compare_record:answer(ConnPid, StreamRef),
					_ = compare_record:served({request, '_'}),
					close(ConnPid);
				_ ->
					ok
			end;
		_ ->
			ok
	end.

%% Which of gun's functions there are; ping has a situation of its own.
functions() ->
	Functions = [{open, [2, 3]}, {open_unix, [2]}, {await_up, [1, 2, 3]}, {info, [1]}, {set_owner, [2]}, {shutdown, [1]},
		{close, [1]}, {get, [2, 3, 4]}, {head, [2, 3, 4]}, {options, [2, 3, 4]}, {delete, [2, 3, 4]}, {patch, [3, 4, 5]},
		{post, [3, 4, 5]}, {put, [3, 4, 5]}, {request, [5, 6]}, {headers, [4, 5]}, {data, [4]}, {connect, [2, 3, 4]},
		{ws_upgrade, [2, 3, 4]}, {ws_send, [3]}, {await, [2, 3, 4]}, {await_body, [2, 3, 4]}, {flush, [1]},
		{update_flow, [3]}, {cancel, [2]}, {stream_info, [2]}],
	Exports = (get(client)):module_info(exports),
	note(missing, [{Name, Arity} || {Name, Arities} <- Functions, Arity <- Arities, not lists:member({Name, Arity}, Exports)]).

open_bad_port() ->
	case call(open, ["127.0.0.1", 70000, #{retry => 0}]) of
		{ok, ConnPid} -> _ = watch(ConnPid), exit_of(ConnPid);
		_ -> ok
	end.

open_refused() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = watch(ConnPid),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

open_retries() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 2, retry_timeout => 10}]),
	_ = watch(ConnPid),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

open_retry_fun() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	Self = self(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 3, retry_fun => fun(Left, _) ->
		Self ! {retry_fun, Left},
		#{retries => Left - 1, timeout => 1}
	end}]),
	_ = watch(ConnPid),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

open_retry_fun_arguments() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	Self = self(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 1, transport => tcp, retry_fun => fun(_, Opts) ->
		Self ! {opts, maps:remove(retry_fun, Opts)},
		#{retries => 0, timeout => 1}
	end}]),
	_ = watch(ConnPid),
	_ = exit_of(ConnPid),
	gun_rs_test:release_port(Socket).

open_no_such_host() ->
	{ok, ConnPid} = call(open, ["no-such-host.invalid", 80, #{retry => 0}]),
	_ = watch(ConnPid),
	exit_of(ConnPid).

open_unsupervised() ->
	{_, Port} = server([]),
	ConnPid = open(Port, #{supervise => false}),
	_ = process_flag(trap_exit, true),
	_ = call(close, [ConnPid]),
	_ = call(shutdown, [ConnPid]),
	exit_of(ConnPid).

open_unix() ->
	Path = filename:join("/tmp", "compare-" ++ os:getpid() ++ ".sock"),
	_ = file:delete(Path),
	{_, _} = lying_server:start([{http, fun(_, _) -> lying_server:ok("") end}], [{ifaddr, {local, Path}}]),
	{ok, ConnPid} = call(open_unix, [Path, #{retry => 0}]),
	_ = watch(ConnPid),
	_ = until({gun_up, ConnPid, '_'}),
	note(info, maps:with([origin_host, origin_scheme, transport, protocol, state_name], quietly(info, [ConnPid]))),
	StreamRef = call(get, [ConnPid, "/"]),
	_ = compare_record:answer(ConnPid, StreamRef),
	_ = compare_record:served({request, '_'}),
	_ = close(ConnPid),
	file:delete(Path).

open_unix_no_such_file() ->
	{ok, ConnPid} = call(open_unix, ["/tmp/no-such-socket", #{retry => 0}]),
	_ = watch(ConnPid),
	exit_of(ConnPid).

await_up() ->
	{_, Port} = server([]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	_ = call(await_up, [ConnPid]),
	quietly(close, [ConnPid]).

await_up_monitor() ->
	{_, Port} = server([]),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 0}]),
	MRef = monitor(process, ConnPid),
	_ = call(await_up, [ConnPid, MRef]),
	quietly(close, [ConnPid]).

await_up_timeout() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	_ = call(await_up, [ConnPid, 1]),
	close(ConnPid).

await_up_down() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 1, retry_timeout => 1}]),
	_ = call(await_up, [ConnPid]),
	gun_rs_test:release_port(Socket).

await_up_dead() ->
	call(await_up, [dead()]).

%% The keys of info/1 that a program of gun's looks at.
info_keys() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	note(keys, lists:sort(maps:keys(quietly(info, [ConnPid])))),
	close(ConnPid).

info_values() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	note(info, maps:without([stats, socket, sock_port, event_handler, event_handler_state], quietly(info, [ConnPid]))),
	note(sock_port, is_integer(maps:get(sock_port, quietly(info, [ConnPid])))),
	close(ConnPid).

info_socket() ->
	{_, Port} = server([]),
	ConnPid = open(Port),
	#{socket := Socket, event_handler := EventHandler, event_handler_state := State} = quietly(info, [ConnPid]),
	note(socket, is_port(Socket)),
	note(event_handler, {EventHandler, State}),
	close(ConnPid).

info_not_connected() ->
	{Socket, Port} = gun_rs_test:refused_port(),
	{ok, ConnPid} = call(open, ["127.0.0.1", Port, #{retry => 5, retry_timeout => 60000}]),
	_ = watch(ConnPid),
	note(waits, gun_rs_test:eventually(fun() ->
		case quietly(info, [ConnPid]) of
			#{state_name := domain_lookup} -> true;
			Info -> maps:get(state_name, Info)
		end
	end)),
	note(keys, lists:sort(maps:keys(maps:remove(stats, quietly(info, [ConnPid]))))),
	note(socket, maps:get(socket, quietly(info, [ConnPid]))),
	_ = close(ConnPid),
	gun_rs_test:release_port(Socket).

info_shutdown() ->
	{_, Port} = server([request]),
	ConnPid = open(Port),
	_ = call(get, [ConnPid, "/"]),
	_ = compare_record:served({request, '_'}),
	_ = call(shutdown, [ConnPid]),
	note(info, maps:with([state_name, protocol, owner], quietly(info, [ConnPid]))),
	close(ConnPid).

info_dead() ->
	call(info, [dead()]).

info_closing() ->
	{_, Port} = server([upgrade, frame]),
	ConnPid = open(Port),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = until({gun_upgrade, '_', '_', '_', '_'}),
	note(info, maps:with([state_name, protocol], quietly(info, [ConnPid]))),
	_ = call(ws_send, [ConnPid, StreamRef, close]),
	_ = compare_record:served({frame, close, '_'}),
	note(info, maps:with([state_name, protocol], quietly(info, [ConnPid]))),
	close(ConnPid).

dead_calls() ->
	ConnPid = dead(),
	_ = call(get, [ConnPid, "/"]),
	_ = call(post, [ConnPid, "/", [], <<"body">>]),
	_ = call(data, [ConnPid, make_ref(), fin, <<>>]),
	_ = call(cancel, [ConnPid, make_ref()]),
	_ = call(update_flow, [ConnPid, make_ref(), 1]),
	_ = call(ws_upgrade, [ConnPid, "/"]),
	_ = call(ws_send, [ConnPid, make_ref(), {text, "x"}]),
	_ = call(shutdown, [ConnPid]),
	_ = call(set_owner, [ConnPid, self()]),
	call(flush, [ConnPid]).

dead_stream_info() ->
	call(stream_info, [dead(), make_ref()]).

dead_close() ->
	call(close, [dead()]).

dead_await() ->
	ConnPid = dead(),
	_ = call(await, [ConnPid, make_ref()]),
	call(await_body, [ConnPid, make_ref()]).

not_a_pid() ->
	_ = call(info, [not_a_pid]),
	_ = call(close, [not_a_pid]),
	call(stream_info, [not_a_pid, make_ref()]).

no_connection_close() ->
	call(close, [self()]).

dead() ->
	{Pid, MRef} = spawn_monitor(fun() -> ok end),
	receive {'DOWN', MRef, process, Pid, _} -> Pid end.

%% TLS, with certificates that are trusted and those that are not, and the ways in which it ends.
-module(compare_tls).

-export([situations/0]).
-export([prepare/0]).
-export([server_opts/2]).
-export([roots/0]).

-import(compare_record, [call/2, quietly/2, note/2, watch/1, server/2, until/1, answer/2, served/1, exit_of/1, close/1]).

-spec situations() -> [{atom(), fun(() -> term())}].
situations() ->
	[
		{tls_get, fun tls_get/0},
		{tls_verify_none, fun tls_verify_none/0},
		{tls_verify_none_self_signed, fun tls_verify_none_self_signed/0},
		{tls_ssl, fun tls_ssl/0},
		{tls_info, fun tls_info/0},
		{tls_alpn_http, fun tls_alpn_http/0},
		{tls_unknown_authority, fun() -> refused(unknown_root, "localhost", []) end},
		{tls_expired, fun() -> refused(expired, "localhost", []) end},
		{tls_wrong_host, fun() -> refused(wrong_host, "localhost", []) end},
		{tls_self_signed, fun() -> refused(self_signed, "localhost", []) end},
		{tls_no_roots, fun() -> refused(good, "localhost", [{cacerts, []}]) end},
		{tls_no_common_version, fun tls_no_common_version/0},
		{tls_alert, fun tls_alert/0},
		{tls_not_tls, fun tls_not_tls/0},
		{tls_closed_in_handshake, fun tls_closed_in_handshake/0},
		{tls_handshake_timeout, fun tls_handshake_timeout/0},
		{tls_websocket, fun tls_websocket/0},
		{tls_websocket_dropped, fun tls_websocket_dropped/0},
		{tls_websocket_cut, fun tls_websocket_cut/0},
		{tls_idle_dropped, fun tls_idle_dropped/0},
		{tls_idle_cut, fun tls_idle_cut/0},
		{tls_response_until_close, fun tls_response_until_close/0},
		{tls_response_cut, fun tls_response_cut/0},
		{tls_client_certificate_missing, fun tls_client_certificate_missing/0},
		{tls_texts, fun() -> compare_record:texts(), refused(expired, "localhost", []) end},
		{tls_client_certificate, fun tls_client_certificate/0}
	].

cert(Name) ->
	maps:get(Name, persistent_term:get(?MODULE)).

%% Makes the certificates, once for all situations.
-spec prepare() -> ok.
prepare() ->
	persistent_term:put(?MODULE, tls_certs:make("_build/compare")).

roots() ->
	[{cacerts, [maps:get(der, cert(root))]}].

server_opts(Name, Opts) ->
	#{certfile := CertFile, keyfile := KeyFile} = cert(Name),
	[{tls, [{certfile, CertFile}, {keyfile, KeyFile}|Opts]}].

open(Port, Host, TlsOpts) ->
	open(Port, Host, TlsOpts, #{}).

open(Port, Host, TlsOpts, Opts) ->
	case call(open, [Host, Port, Opts#{transport => tls, retry => 0, protocols => [http], tls_opts => TlsOpts}]) of
		{ok, ConnPid} ->
			_ = watch(ConnPid),
			_ = until(fun
				({gun_up, _, _}) -> true;
				({'DOWN', _, _, _, _}) -> true
			end),
			ConnPid;
		_ ->
			self()
	end.

get_once(Name, Host, TlsOpts) ->
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}], server_opts(Name, [])),
	ConnPid = open(Port, Host, TlsOpts),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	_ = served({request, '_'}),
	close(ConnPid).

tls_get() -> get_once(good, "localhost", roots()).

tls_verify_none() -> get_once(unknown_root, "localhost", [{verify, verify_none}]).

tls_verify_none_self_signed() -> get_once(self_signed, "127.0.0.1", [{verify, verify_none}]).

tls_ssl() ->
	{_, Port} = server([], server_opts(good, [])),
	{ok, ConnPid} = call(open, ["localhost", Port, #{transport => ssl, retry => 0, protocols => [http], tls_opts => roots()}]),
	_ = watch(ConnPid),
	_ = until({gun_up, '_', '_'}),
	close(ConnPid).

tls_info() ->
	{_, Port} = server([], server_opts(good, [])),
	ConnPid = open(Port, "localhost", roots()),
	note(info, maps:without([stats, socket, sock_port, event_handler, event_handler_state], quietly(info, [ConnPid]))),
	close(ConnPid).

tls_alpn_http() ->
	{_, Port} = server([], server_opts(good, [{alpn_preferred_protocols, [<<"http/1.1">>]}])),
	ConnPid = open(Port, "localhost", roots()),
	close(ConnPid).

refused(Name, Host, TlsOpts) ->
	{_, Port} = server([], server_opts(Name, [{log_level, none}])),
	ConnPid = open(Port, Host, case TlsOpts of [] -> roots(); _ -> TlsOpts end),
	quietly(close, [ConnPid]).

tls_no_common_version() ->
	{_, Port} = server([], server_opts(good, [{versions, ['tlsv1.2']}, {log_level, none}])),
	ConnPid = open(Port, "localhost", [{versions, ['tlsv1.3']}|roots()]),
	quietly(close, [ConnPid]).

%% A server that knows no application protocol of ours ends the handshake with an alert.
tls_alert() ->
	{_, Port} = server([], server_opts(good, [{alpn_preferred_protocols, [<<"other">>]}, {log_level, none}])),
	ConnPid = open(Port, "localhost", roots()),
	quietly(close, [ConnPid]).

tls_not_tls() ->
	{_, Port} = server([{read, 1}, {send, lying_server:ok("Hello")}, close], []),
	ConnPid = open(Port, "localhost", roots()),
	quietly(close, [ConnPid]).

tls_closed_in_handshake() ->
	{_, Port} = server([{read, 1}, close], []),
	ConnPid = open(Port, "localhost", roots()),
	quietly(close, [ConnPid]).

tls_handshake_timeout() ->
	{_, Port} = server([], []),
	ConnPid = open(Port, "localhost", roots(), #{tls_handshake_timeout => 100}),
	quietly(close, [ConnPid]).

tls_websocket() ->
	{_, Port} = server([{upgrade, lying_server:frame(text, "Hello")}, frame, {send, lying_server:frame(close, <<1000:16>>)}],
		server_opts(good, [])),
	ConnPid = open(Port, "localhost", roots()),
	StreamRef = call(ws_upgrade, [ConnPid, "/"]),
	_ = until({gun_ws, '_', '_', '_'}),
	_ = call(ws_send, [ConnPid, StreamRef, {close, 1000, <<>>}]),
	_ = served({frame, close, '_'}),
	exit_of(ConnPid).

tls_websocket_dropped() ->
	{_, Port} = server([upgrade, close], server_opts(good, [])),
	ConnPid = open(Port, "localhost", roots()),
	_ = call(ws_upgrade, [ConnPid, "/"]),
	exit_of(ConnPid).

%% A server behind a middle that cuts the TCP connection, so that no close_notify comes.
cut(Script, Use) ->
	{_, ServerPort} = server(Script, server_opts(good, [])),
	{Middle, Port} = tcp_middle:start(ServerPort, #{}),
	_ = put({port, Port}, 'PORT'),
	ConnPid = open(Port, "localhost", roots()),
	_ = Use(ConnPid),
	_ = tcp_middle:cut(Middle),
	_ = exit_of(ConnPid),
	tcp_middle:stop(Middle).

tls_websocket_cut() ->
	cut([upgrade], fun(ConnPid) ->
		_ = call(ws_upgrade, [ConnPid, "/"]),
		until({gun_upgrade, '_', '_', '_', '_'})
	end).

tls_idle_dropped() ->
	{Server, Port} = server([wait, close], server_opts(good, [])),
	ConnPid = open(Port, "localhost", roots()),
	lying_server:go(Server),
	exit_of(ConnPid).

tls_idle_cut() ->
	cut([{http, fun(_, _) -> lying_server:ok("Hello") end}], fun(ConnPid) ->
		answer(ConnPid, call(get, [ConnPid, "/"]))
	end).

tls_response_until_close() ->
	{_, Port} = server([request, {send, "HTTP/1.1 200 OK\r\n\r\nHello"}, close], server_opts(good, [])),
	ConnPid = open(Port, "localhost", roots()),
	_ = call(get, [ConnPid, "/"]),
	exit_of(ConnPid).

tls_response_cut() ->
	cut([request, {send, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nHello"}], fun(ConnPid) ->
		_ = call(get, [ConnPid, "/"]),
		until({gun_data, '_', '_', '_', '_'})
	end).

tls_client_certificate_missing() ->
	{_, Port} = server([], server_opts(good, [{verify, verify_peer}, {fail_if_no_peer_cert, true}, {versions, ['tlsv1.2']},
		{cacerts, [maps:get(der, cert(client_root))]}, {log_level, none}])),
	ConnPid = open(Port, "localhost", roots()),
	quietly(close, [ConnPid]).

tls_client_certificate() ->
	#{certfile := CertFile, keyfile := KeyFile} = cert(client_ec),
	{_, Port} = server([{http, fun(_, _) -> lying_server:ok("Hello") end}], server_opts(good, [{verify, verify_peer},
		{fail_if_no_peer_cert, true}, {cacerts, [maps:get(der, cert(client_root))]}])),
	ConnPid = open(Port, "localhost", [{certfile, CertFile}, {keyfile, KeyFile}|roots()]),
	_ = answer(ConnPid, call(get, [ConnPid, "/"])),
	close(ConnPid).

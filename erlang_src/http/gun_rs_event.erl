%% @doc The behaviour of event handlers, which are gun's: see the manual's page on the option event_handler. Each callback
%% is called in the process behind ConnPid, with a map and the handler's state, and returns the next state. A crash of one
%% is the connection's.
-module(gun_rs_event).

%% What the native side reports of a connection: those of gun's events that are not of the process behind ConnPid, and
%% stream_error, with the reason of gun_error, and ws_end, with the stats of a WebSocket.
-type step() :: domain_lookup_start | domain_lookup_end | connect_start | connect_end | tls_handshake_start
	| tls_handshake_end | request_start | request_headers | request_end | push_promise_start | push_promise_end
	| response_start | response_inform | response_headers | response_trailers | response_end | ws_upgrade
	| ws_recv_frame_start | ws_recv_frame_header | ws_recv_frame_end | ws_send_frame_start | ws_send_frame_end
	| protocol_changed | origin_changed | cancel | stream_error | ws_end.
-export_type([step/0]).

-type stream_ref() :: gun_rs_native:stream_ref().
-type protocol() :: gun_rs_native:protocol().
-type stream_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to()}.
-type frag_state() :: undefined | {nofin | fin, text | binary, Rsv :: <<_:3>>}.

-type init_event() :: #{owner := pid(), transport := tcp | tls, origin_scheme := binary(),
	origin_host := gun_rs_options:host() | {local, binary()}, origin_port := inet:port_number(), opts := gun_rs_options:opts()}.
-type domain_lookup_event() :: #{host := term(), port := inet:port_number(), tcp_opts := list(), timeout := timeout(),
	lookup_info => map(), error => term()}.
-type connect_event() :: #{lookup_info := map() | undefined, timeout := timeout(), socket => term(),
	protocol => protocol(),
	error => term()}.
-type tls_handshake_event() :: #{socket := term(), tls_opts := list(), timeout := timeout(), protocol => protocol(),
	error => term()}.
-type request_start_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	function := request | headers | ws_upgrade | connect, method := binary(), authority := binary(), path => binary(),
	headers := [{binary(), binary()}]}.
-type request_end_event() :: stream_event().
-type push_promise_start_event() :: stream_event().
-type push_promise_end_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(), method := binary(),
	uri := binary(), headers := [{binary(), binary()}], promised_stream_ref => stream_ref()}.
-type response_start_event() :: stream_event().
-type response_headers_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(), status := 100..999,
	headers := [{binary(), binary()}]}.
-type response_trailers_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	headers := [{binary(), binary()}]}.
-type response_end_event() :: stream_event().
-type ws_upgrade_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	opts := gun_rs_options:ws_opts()}.
-type ws_recv_frame_start_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	frag_state := frag_state(), extensions := map()}.
-type ws_recv_frame_header_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	frag_state := frag_state(), extensions := map(), type := text | binary | fragment | close | ping | pong,
	rsv := <<_:3>>, len := non_neg_integer(), mask_key := undefined | non_neg_integer()}.
-type ws_recv_frame_end_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(),
	extensions := map(),
	close_code := undefined | 1000..4999, payload := binary()}.
-type ws_send_frame_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(), extensions := map(),
	frame := gun_rs_frames:frame()}.
-type protocol_changed_event() :: #{protocol := protocol(), stream_ref => stream_ref()}.
-type origin_changed_event() :: #{type := connect | socks5, origin_scheme := binary() | undefined, origin_host := term(),
	origin_port := inet:port_number(), stream_ref => stream_ref()}.
-type cancel_event() :: #{stream_ref := stream_ref(), reply_to := gun_rs_options:reply_to(), endpoint := local | remote,
	reason := atom()}.
-type disconnect_event() :: #{reason := normal | closed | {tls_alert, term()} | {error, term()}}.
-type terminate_event() :: #{state := not_connected | connected | closing, reason := term()}.
-export_type([
	init_event/0,
	domain_lookup_event/0,
	connect_event/0,
	tls_handshake_event/0,
	request_start_event/0,
	request_end_event/0,
	push_promise_start_event/0,
	push_promise_end_event/0,
	response_start_event/0,
	response_headers_event/0,
	response_trailers_event/0,
	response_end_event/0,
	ws_upgrade_event/0,
	ws_recv_frame_start_event/0,
	ws_recv_frame_header_event/0,
	ws_recv_frame_end_event/0,
	ws_send_frame_event/0,
	protocol_changed_event/0,
	origin_changed_event/0,
	cancel_event/0,
	disconnect_event/0,
	terminate_event/0
]).

-callback init(init_event(), State) -> State.
-callback domain_lookup_start(domain_lookup_event(), State) -> State.
-callback domain_lookup_end(domain_lookup_event(), State) -> State.
-callback connect_start(connect_event(), State) -> State.
-callback connect_end(connect_event(), State) -> State.
-callback tls_handshake_start(tls_handshake_event(), State) -> State.
-callback tls_handshake_end(tls_handshake_event(), State) -> State.
-callback request_start(request_start_event(), State) -> State.
-callback request_headers(request_start_event(), State) -> State.
-callback request_end(request_end_event(), State) -> State.
-callback push_promise_start(push_promise_start_event(), State) -> State.
-callback push_promise_end(push_promise_end_event(), State) -> State.
-callback response_start(response_start_event(), State) -> State.
-callback response_inform(response_headers_event(), State) -> State.
-callback response_headers(response_headers_event(), State) -> State.
-callback response_trailers(response_trailers_event(), State) -> State.
-callback response_end(response_end_event(), State) -> State.
-callback ws_upgrade(ws_upgrade_event(), State) -> State.
-callback ws_recv_frame_start(ws_recv_frame_start_event(), State) -> State.
-callback ws_recv_frame_header(ws_recv_frame_header_event(), State) -> State.
-callback ws_recv_frame_end(ws_recv_frame_end_event(), State) -> State.
-callback ws_send_frame_start(ws_send_frame_event(), State) -> State.
-callback ws_send_frame_end(ws_send_frame_event(), State) -> State.
-callback protocol_changed(protocol_changed_event(), State) -> State.
-callback origin_changed(origin_changed_event(), State) -> State.
-callback cancel(cancel_event(), State) -> State.
-callback disconnect(disconnect_event(), State) -> State.
-callback terminate(terminate_event(), State) -> State.

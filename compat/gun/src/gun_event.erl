%% @doc gun's name for the behaviour of event handlers, `gun_rs_event'.
-module(gun_event).

-type init_event() :: gun_rs_event:init_event().
-type domain_lookup_event() :: gun_rs_event:domain_lookup_event().
-type connect_event() :: gun_rs_event:connect_event().
-type tls_handshake_event() :: gun_rs_event:tls_handshake_event().
-type request_start_event() :: gun_rs_event:request_start_event().
-type request_end_event() :: gun_rs_event:request_end_event().
-type push_promise_start_event() :: gun_rs_event:push_promise_start_event().
-type push_promise_end_event() :: gun_rs_event:push_promise_end_event().
-type response_start_event() :: gun_rs_event:response_start_event().
-type response_headers_event() :: gun_rs_event:response_headers_event().
-type response_trailers_event() :: gun_rs_event:response_trailers_event().
-type response_end_event() :: gun_rs_event:response_end_event().
-type ws_upgrade_event() :: gun_rs_event:ws_upgrade_event().
-type ws_recv_frame_start_event() :: gun_rs_event:ws_recv_frame_start_event().
-type ws_recv_frame_header_event() :: gun_rs_event:ws_recv_frame_header_event().
-type ws_recv_frame_end_event() :: gun_rs_event:ws_recv_frame_end_event().
-type ws_send_frame_event() :: gun_rs_event:ws_send_frame_event().
-type protocol_changed_event() :: gun_rs_event:protocol_changed_event().
-type origin_changed_event() :: gun_rs_event:origin_changed_event().
-type cancel_event() :: gun_rs_event:cancel_event().
-type disconnect_event() :: gun_rs_event:disconnect_event().
-type terminate_event() :: gun_rs_event:terminate_event().
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

%% @doc gun's name for the event handler that does nothing, `gun_rs_default_event_h'.
-module(gun_default_event_h).
-behaviour(gun_event).

-export([init/2]).
-export([domain_lookup_start/2]).
-export([domain_lookup_end/2]).
-export([connect_start/2]).
-export([connect_end/2]).
-export([tls_handshake_start/2]).
-export([tls_handshake_end/2]).
-export([request_start/2]).
-export([request_headers/2]).
-export([request_end/2]).
-export([push_promise_start/2]).
-export([push_promise_end/2]).
-export([response_start/2]).
-export([response_inform/2]).
-export([response_headers/2]).
-export([response_trailers/2]).
-export([response_end/2]).
-export([ws_upgrade/2]).
-export([ws_recv_frame_start/2]).
-export([ws_recv_frame_header/2]).
-export([ws_recv_frame_end/2]).
-export([ws_send_frame_start/2]).
-export([ws_send_frame_end/2]).
-export([protocol_changed/2]).
-export([origin_changed/2]).
-export([cancel/2]).
-export([disconnect/2]).
-export([terminate/2]).

-spec init(gun_event:init_event(), State) -> State.
init(Event, State) -> gun_rs_default_event_h:init(Event, State).

-spec domain_lookup_start(gun_event:domain_lookup_event(), State) -> State.
domain_lookup_start(Event, State) -> gun_rs_default_event_h:domain_lookup_start(Event, State).

-spec domain_lookup_end(gun_event:domain_lookup_event(), State) -> State.
domain_lookup_end(Event, State) -> gun_rs_default_event_h:domain_lookup_end(Event, State).

-spec connect_start(gun_event:connect_event(), State) -> State.
connect_start(Event, State) -> gun_rs_default_event_h:connect_start(Event, State).

-spec connect_end(gun_event:connect_event(), State) -> State.
connect_end(Event, State) -> gun_rs_default_event_h:connect_end(Event, State).

-spec tls_handshake_start(gun_event:tls_handshake_event(), State) -> State.
tls_handshake_start(Event, State) -> gun_rs_default_event_h:tls_handshake_start(Event, State).

-spec tls_handshake_end(gun_event:tls_handshake_event(), State) -> State.
tls_handshake_end(Event, State) -> gun_rs_default_event_h:tls_handshake_end(Event, State).

-spec request_start(gun_event:request_start_event(), State) -> State.
request_start(Event, State) -> gun_rs_default_event_h:request_start(Event, State).

-spec request_headers(gun_event:request_start_event(), State) -> State.
request_headers(Event, State) -> gun_rs_default_event_h:request_headers(Event, State).

-spec request_end(gun_event:request_end_event(), State) -> State.
request_end(Event, State) -> gun_rs_default_event_h:request_end(Event, State).

-spec push_promise_start(gun_event:push_promise_start_event(), State) -> State.
push_promise_start(Event, State) -> gun_rs_default_event_h:push_promise_start(Event, State).

-spec push_promise_end(gun_event:push_promise_end_event(), State) -> State.
push_promise_end(Event, State) -> gun_rs_default_event_h:push_promise_end(Event, State).

-spec response_start(gun_event:response_start_event(), State) -> State.
response_start(Event, State) -> gun_rs_default_event_h:response_start(Event, State).

-spec response_inform(gun_event:response_headers_event(), State) -> State.
response_inform(Event, State) -> gun_rs_default_event_h:response_inform(Event, State).

-spec response_headers(gun_event:response_headers_event(), State) -> State.
response_headers(Event, State) -> gun_rs_default_event_h:response_headers(Event, State).

-spec response_trailers(gun_event:response_trailers_event(), State) -> State.
response_trailers(Event, State) -> gun_rs_default_event_h:response_trailers(Event, State).

-spec response_end(gun_event:response_end_event(), State) -> State.
response_end(Event, State) -> gun_rs_default_event_h:response_end(Event, State).

-spec ws_upgrade(gun_event:ws_upgrade_event(), State) -> State.
ws_upgrade(Event, State) -> gun_rs_default_event_h:ws_upgrade(Event, State).

-spec ws_recv_frame_start(gun_event:ws_recv_frame_start_event(), State) -> State.
ws_recv_frame_start(Event, State) -> gun_rs_default_event_h:ws_recv_frame_start(Event, State).

-spec ws_recv_frame_header(gun_event:ws_recv_frame_header_event(), State) -> State.
ws_recv_frame_header(Event, State) -> gun_rs_default_event_h:ws_recv_frame_header(Event, State).

-spec ws_recv_frame_end(gun_event:ws_recv_frame_end_event(), State) -> State.
ws_recv_frame_end(Event, State) -> gun_rs_default_event_h:ws_recv_frame_end(Event, State).

-spec ws_send_frame_start(gun_event:ws_send_frame_event(), State) -> State.
ws_send_frame_start(Event, State) -> gun_rs_default_event_h:ws_send_frame_start(Event, State).

-spec ws_send_frame_end(gun_event:ws_send_frame_event(), State) -> State.
ws_send_frame_end(Event, State) -> gun_rs_default_event_h:ws_send_frame_end(Event, State).

-spec protocol_changed(gun_event:protocol_changed_event(), State) -> State.
protocol_changed(Event, State) -> gun_rs_default_event_h:protocol_changed(Event, State).

-spec origin_changed(gun_event:origin_changed_event(), State) -> State.
origin_changed(Event, State) -> gun_rs_default_event_h:origin_changed(Event, State).

-spec cancel(gun_event:cancel_event(), State) -> State.
cancel(Event, State) -> gun_rs_default_event_h:cancel(Event, State).

-spec disconnect(gun_event:disconnect_event(), State) -> State.
disconnect(Event, State) -> gun_rs_default_event_h:disconnect(Event, State).

-spec terminate(gun_event:terminate_event(), State) -> State.
terminate(Event, State) -> gun_rs_default_event_h:terminate(Event, State).

%% @doc An event handler that does nothing, for those that handle some events and leave the
%% others to it.
-module(gun_rs_default_event_h).
-behaviour(gun_rs_event).

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

-spec init(gun_rs_event:init_event(), State) -> State.
init(_, State) -> State.

-spec domain_lookup_start(gun_rs_event:domain_lookup_event(), State) -> State.
domain_lookup_start(_, State) -> State.

-spec domain_lookup_end(gun_rs_event:domain_lookup_event(), State) -> State.
domain_lookup_end(_, State) -> State.

-spec connect_start(gun_rs_event:connect_event(), State) -> State.
connect_start(_, State) -> State.

-spec connect_end(gun_rs_event:connect_event(), State) -> State.
connect_end(_, State) -> State.

-spec tls_handshake_start(gun_rs_event:tls_handshake_event(), State) -> State.
tls_handshake_start(_, State) -> State.

-spec tls_handshake_end(gun_rs_event:tls_handshake_event(), State) -> State.
tls_handshake_end(_, State) -> State.

-spec request_start(gun_rs_event:request_start_event(), State) -> State.
request_start(_, State) -> State.

-spec request_headers(gun_rs_event:request_start_event(), State) -> State.
request_headers(_, State) -> State.

-spec request_end(gun_rs_event:request_end_event(), State) -> State.
request_end(_, State) -> State.

-spec push_promise_start(gun_rs_event:push_promise_start_event(), State) -> State.
push_promise_start(_, State) -> State.

-spec push_promise_end(gun_rs_event:push_promise_end_event(), State) -> State.
push_promise_end(_, State) -> State.

-spec response_start(gun_rs_event:response_start_event(), State) -> State.
response_start(_, State) -> State.

-spec response_inform(gun_rs_event:response_headers_event(), State) -> State.
response_inform(_, State) -> State.

-spec response_headers(gun_rs_event:response_headers_event(), State) -> State.
response_headers(_, State) -> State.

-spec response_trailers(gun_rs_event:response_trailers_event(), State) -> State.
response_trailers(_, State) -> State.

-spec response_end(gun_rs_event:response_end_event(), State) -> State.
response_end(_, State) -> State.

-spec ws_upgrade(gun_rs_event:ws_upgrade_event(), State) -> State.
ws_upgrade(_, State) -> State.

-spec ws_recv_frame_start(gun_rs_event:ws_recv_frame_start_event(), State) -> State.
ws_recv_frame_start(_, State) -> State.

-spec ws_recv_frame_header(gun_rs_event:ws_recv_frame_header_event(), State) -> State.
ws_recv_frame_header(_, State) -> State.

-spec ws_recv_frame_end(gun_rs_event:ws_recv_frame_end_event(), State) -> State.
ws_recv_frame_end(_, State) -> State.

-spec ws_send_frame_start(gun_rs_event:ws_send_frame_event(), State) -> State.
ws_send_frame_start(_, State) -> State.

-spec ws_send_frame_end(gun_rs_event:ws_send_frame_event(), State) -> State.
ws_send_frame_end(_, State) -> State.

-spec protocol_changed(gun_rs_event:protocol_changed_event(), State) -> State.
protocol_changed(_, State) -> State.

-spec origin_changed(gun_rs_event:origin_changed_event(), State) -> State.
origin_changed(_, State) -> State.

-spec cancel(gun_rs_event:cancel_event(), State) -> State.
cancel(_, State) -> State.

-spec disconnect(gun_rs_event:disconnect_event(), State) -> State.
disconnect(_, State) -> State.

-spec terminate(gun_rs_event:terminate_event(), State) -> State.
terminate(_, State) -> State.

%% An event handler that tells its owner each event, as it comes, without what each client has of its own: its socket, the
%% options of its own defaults, and what its extensions hold.
-module(compare_event_h).

-export([init/2, domain_lookup_start/2, domain_lookup_end/2, connect_start/2, connect_end/2, tls_handshake_start/2,
	tls_handshake_end/2, request_start/2, request_headers/2, request_end/2, push_promise_start/2, push_promise_end/2,
	response_start/2, response_inform/2, response_headers/2, response_trailers/2, response_end/2, ws_upgrade/2,
	ws_recv_frame_start/2, ws_recv_frame_header/2, ws_recv_frame_end/2, ws_send_frame_start/2, ws_send_frame_end/2,
	protocol_changed/2, origin_changed/2, cancel/2, disconnect/2, terminate/2]).

init(Event, State) -> tell(init, Event, State).
domain_lookup_start(Event, State) -> tell(domain_lookup_start, Event, State).
domain_lookup_end(Event, State) -> tell(domain_lookup_end, Event, State).
connect_start(Event, State) -> tell(connect_start, Event, State).
connect_end(Event, State) -> tell(connect_end, Event, State).
tls_handshake_start(Event, State) -> tell(tls_handshake_start, Event, State).
tls_handshake_end(Event, State) -> tell(tls_handshake_end, Event, State).
request_start(Event, State) -> tell(request_start, Event, State).
request_headers(Event, State) -> tell(request_headers, Event, State).
request_end(Event, State) -> tell(request_end, Event, State).
push_promise_start(Event, State) -> tell(push_promise_start, Event, State).
push_promise_end(Event, State) -> tell(push_promise_end, Event, State).
response_start(Event, State) -> tell(response_start, Event, State).
response_inform(Event, State) -> tell(response_inform, Event, State).
response_headers(Event, State) -> tell(response_headers, Event, State).
response_trailers(Event, State) -> tell(response_trailers, Event, State).
response_end(Event, State) -> tell(response_end, Event, State).
ws_upgrade(Event, State) -> tell(ws_upgrade, Event, State).
ws_recv_frame_start(Event, State) -> tell(ws_recv_frame_start, Event, State).
ws_recv_frame_header(Event, State) -> tell(ws_recv_frame_header, Event, State).
ws_recv_frame_end(Event, State) -> tell(ws_recv_frame_end, Event, State).
ws_send_frame_start(Event, State) -> tell(ws_send_frame_start, Event, State).
ws_send_frame_end(Event, State) -> tell(ws_send_frame_end, Event, State).
protocol_changed(Event, State) -> tell(protocol_changed, Event, State).
origin_changed(Event, State) -> tell(origin_changed, Event, State).
cancel(Event, State) -> tell(cancel, Event, State).
disconnect(Event, State) -> tell(disconnect, Event, State).
terminate(Event, State) -> tell(terminate, Event, State).

tell(Name, Event, Owner) ->
	Owner ! {Name, maps:map(fun value/2, maps:without([extensions, opts, socket, tcp_opts, timeout], Event))},
	Owner.

%% The order of headers is compared elsewhere.
value(headers, Headers) ->
	lists:sort([{Name, iolist_to_binary(Value)} || {Name, Value} <- Headers, Name =/= <<"sec-websocket-key">>]);
value(frame, {text, Text}) -> {text, iolist_to_binary(Text)};
value(Key, Text) when Key =:= authority; Key =:= path; Key =:= method -> iolist_to_binary(Text);
value(lookup_info, Info) when is_map(Info) -> maps:without([tcp_opts, tcp_module], Info);
value(_, Value) -> Value.

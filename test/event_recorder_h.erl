%% An event handler that records everything: its state is the process that is sent each event, as {event, ConnPid, Name, Event}.
%% With {crash, Name} in its state it crashes there.
-module(event_recorder_h).
-behaviour(gun_rs_event).

-export([init/2, domain_lookup_start/2, domain_lookup_end/2, connect_start/2, connect_end/2, tls_handshake_start/2,
	tls_handshake_end/2, request_start/2, request_headers/2, request_end/2, push_promise_start/2, push_promise_end/2,
	response_start/2, response_inform/2, response_headers/2, response_trailers/2, response_end/2, ws_upgrade/2,
	ws_recv_frame_start/2, ws_recv_frame_header/2, ws_recv_frame_end/2, ws_send_frame_start/2, ws_send_frame_end/2,
	protocol_changed/2, origin_changed/2, cancel/2, disconnect/2, terminate/2]).

init(Event, State) -> record(init, Event, State).
domain_lookup_start(Event, State) -> record(domain_lookup_start, Event, State).
domain_lookup_end(Event, State) -> record(domain_lookup_end, Event, State).
connect_start(Event, State) -> record(connect_start, Event, State).
connect_end(Event, State) -> record(connect_end, Event, State).
tls_handshake_start(Event, State) -> record(tls_handshake_start, Event, State).
tls_handshake_end(Event, State) -> record(tls_handshake_end, Event, State).
request_start(Event, State) -> record(request_start, Event, State).
request_headers(Event, State) -> record(request_headers, Event, State).
request_end(Event, State) -> record(request_end, Event, State).
push_promise_start(Event, State) -> record(push_promise_start, Event, State).
push_promise_end(Event, State) -> record(push_promise_end, Event, State).
response_start(Event, State) -> record(response_start, Event, State).
response_inform(Event, State) -> record(response_inform, Event, State).
response_headers(Event, State) -> record(response_headers, Event, State).
response_trailers(Event, State) -> record(response_trailers, Event, State).
response_end(Event, State) -> record(response_end, Event, State).
ws_upgrade(Event, State) -> record(ws_upgrade, Event, State).
ws_recv_frame_start(Event, State) -> record(ws_recv_frame_start, Event, State).
ws_recv_frame_header(Event, State) -> record(ws_recv_frame_header, Event, State).
ws_recv_frame_end(Event, State) -> record(ws_recv_frame_end, Event, State).
ws_send_frame_start(Event, State) -> record(ws_send_frame_start, Event, State).
ws_send_frame_end(Event, State) -> record(ws_send_frame_end, Event, State).
protocol_changed(Event, State) -> record(protocol_changed, Event, State).
origin_changed(Event, State) -> record(origin_changed, Event, State).
cancel(Event, State) -> record(cancel, Event, State).
disconnect(Event, State) -> record(disconnect, Event, State).
terminate(Event, State) -> record(terminate, Event, State).

record(Name, _, {crash, Name, _}) ->
	error({told_to_crash, Name});
%% As if the module had no such function.
record(Name, Event, State={undefined, Name, _}) ->
	no_module:Name(Event, State);
record(Name, Event, State={_, _, Pid}) when is_pid(Pid) ->
	Pid ! {event, self(), Name, Event},
	State;
record(Name, Event, {Pid, Count}) ->
	Pid ! {event, self(), Name, Event},
	{Pid, Count + 1}.

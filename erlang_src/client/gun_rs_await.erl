%% @private Takes the messages of connections and streams from the caller's mailbox.
-module(gun_rs_await).

-export([with_monitor/2]).
-export([up/3]).
-export([message/4]).
-export([body/4]).
-export([flush/1]).

%% @doc What the fun returns, which is given a monitor of the connection.
-spec with_monitor(ConnPid :: pid(), fun((MRef :: reference()) -> Result)) -> Result.
with_monitor(ConnPid, Fun) ->
	MRef = monitor(process, ConnPid),
	Result = Fun(MRef),
	true = demonitor(MRef, [flush]),
	Result.

%% @doc What `gun_rs:await_up/3' does.
-spec up(ConnPid :: pid(), timeout(), MRef :: reference()) -> {ok, Protocol :: atom()} | {error, gun_rs:failure()}.
up(ConnPid, Timeout, MRef) ->
	receive
		{gun_up, ConnPid, Protocol} ->
			{ok, Protocol};
		{'DOWN', MRef, process, ConnPid, Reason} ->
			failure(ConnPid, down, exit_reason(ConnPid, Reason))
	after Timeout ->
		{error, timeout}
	end.

%% @doc What `gun_rs:await/4' does.
-spec message(ConnPid :: pid(), StreamRef :: reference() | undefined, timeout(), MRef :: reference())
	-> gun_rs:await_result().
message(ConnPid, StreamRef, Timeout, MRef) ->
	receive
		{gun_inform, ConnPid, StreamRef, Status, Headers} ->
			{inform, Status, Headers};
		{gun_response, ConnPid, StreamRef, IsFin, Status, Headers} ->
			{response, IsFin, Status, Headers};
		{gun_data, ConnPid, StreamRef, IsFin, Data} ->
			{data, IsFin, Data};
		{gun_sse, ConnPid, StreamRef, Event} ->
			{sse, Event};
		{gun_trailers, ConnPid, StreamRef, Trailers} ->
			{trailers, Trailers};
		{gun_push, ConnPid, StreamRef, NewStreamRef, Method, URI, Headers} ->
			{push, NewStreamRef, Method, URI, Headers};
		{gun_upgrade, ConnPid, StreamRef, Protocols, Headers} ->
			{upgrade, Protocols, Headers};
		{gun_ws, ConnPid, StreamRef, Frame} ->
			{ws, Frame};
		%% The older dialects do not name the stream.
		{gun_ws_upgrade, ConnPid, ok, Headers} ->
			{upgrade, [<<"websocket">>], Headers};
		{gun_ws_upgrade, ConnPid, ok} ->
			{upgrade, [<<"websocket">>], []};
		{gun_ws_upgrade, ConnPid, error, IsFin, Status, Headers} ->
			{response, IsFin, Status, Headers};
		{gun_ws, ConnPid, Frame} ->
			{ws, Frame};
		{gun_tunnel_up, ConnPid, StreamRef, Protocol} ->
			{up, Protocol};
		{gun_notify, ConnPid, Type, Info} ->
			{notify, Type, Info};
		{gun_error, ConnPid, StreamRef, Reason} ->
			failure(ConnPid, stream_error, Reason);
		{gun_error, ConnPid, Reason} ->
			failure(ConnPid, connection_error, Reason);
		{'DOWN', MRef, process, ConnPid, Reason} ->
			failure(ConnPid, down, exit_reason(ConnPid, Reason))
	after Timeout ->
		{error, timeout}
	end.

%% @doc What `gun_rs:await_body/4' does.
-spec body(ConnPid :: pid(), StreamRef :: reference(), timeout(), MRef :: reference()) -> gun_rs:await_body_result().
body(ConnPid, StreamRef, Timeout, MRef) ->
	body(ConnPid, StreamRef, Timeout, MRef, []).

body(ConnPid, StreamRef, Timeout, MRef, Acc) ->
	receive
		{gun_data, ConnPid, StreamRef, nofin, Data} ->
			body(ConnPid, StreamRef, Timeout, MRef, [Data|Acc]);
		{gun_data, ConnPid, StreamRef, fin, Data} ->
			{ok, iolist_to_binary(lists:reverse(Acc, [Data]))};
		{gun_trailers, ConnPid, StreamRef, Trailers} ->
			{ok, iolist_to_binary(lists:reverse(Acc)), Trailers};
		{gun_error, ConnPid, StreamRef, Reason} ->
			failure(ConnPid, stream_error, Reason);
		{gun_error, ConnPid, Reason} ->
			failure(ConnPid, connection_error, Reason);
		{'DOWN', MRef, process, ConnPid, Reason} ->
			failure(ConnPid, down, exit_reason(ConnPid, Reason))
	after Timeout ->
		{error, timeout}
	end.

%% Gun 1 does not say what the reason is of.
failure(ConnPid, Of, Reason) ->
	case gun_rs_caller:dialect(ConnPid) of
		gun_2 -> {error, {Of, Reason}};
		_ -> {error, Reason}
	end.

%% One that was gone before it was monitored.
exit_reason(ConnPid, noproc) -> gun_rs_caller:exit_reason(ConnPid);
exit_reason(_, Reason) -> Reason.

%% @doc What `gun_rs:flush/1' does.
-spec flush(ConnPid :: pid()) -> ok; (StreamRef :: reference()) -> ok.
flush(ConnPid) when is_pid(ConnPid) ->
	receive
		{gun_up, ConnPid, _} -> flush(ConnPid);
		{gun_down, ConnPid, _, _, _} -> flush(ConnPid);
		{gun_down, ConnPid, _, _, _, _} -> flush(ConnPid);
		{gun_ws_upgrade, ConnPid, ok} -> flush(ConnPid);
		{gun_ws_upgrade, ConnPid, ok, _} -> flush(ConnPid);
		{gun_ws_upgrade, ConnPid, error, _, _, _} -> flush(ConnPid);
		{gun_ws, ConnPid, _} -> flush(ConnPid);
		{gun_inform, ConnPid, _, _, _} -> flush(ConnPid);
		{gun_response, ConnPid, _, _, _, _} -> flush(ConnPid);
		{gun_data, ConnPid, _, _, _} -> flush(ConnPid);
		{gun_sse, ConnPid, _, _} -> flush(ConnPid);
		{gun_trailers, ConnPid, _, _} -> flush(ConnPid);
		{gun_push, ConnPid, _, _, _, _, _} -> flush(ConnPid);
		{gun_upgrade, ConnPid, _, _, _} -> flush(ConnPid);
		{gun_ws, ConnPid, _, _} -> flush(ConnPid);
		{gun_tunnel_up, ConnPid, _, _} -> flush(ConnPid);
		{gun_notify, ConnPid, _, _} -> flush(ConnPid);
		{gun_error, ConnPid, _, _} -> flush(ConnPid);
		{gun_error, ConnPid, _} -> flush(ConnPid);
		{'DOWN', _, process, ConnPid, _} -> flush(ConnPid)
	after 0 ->
		ok
	end;
flush(StreamRef) ->
	receive
		{gun_inform, _, StreamRef, _, _} -> flush(StreamRef);
		{gun_response, _, StreamRef, _, _, _} -> flush(StreamRef);
		{gun_data, _, StreamRef, _, _} -> flush(StreamRef);
		{gun_sse, _, StreamRef, _} -> flush(StreamRef);
		{gun_trailers, _, StreamRef, _} -> flush(StreamRef);
		{gun_push, _, StreamRef, _, _, _, _} -> flush(StreamRef);
		{gun_upgrade, _, StreamRef, _, _} -> flush(StreamRef);
		{gun_ws, _, StreamRef, _} -> flush(StreamRef);
		{gun_tunnel_up, _, StreamRef, _} -> flush(StreamRef);
		{gun_error, _, StreamRef, _} -> flush(StreamRef)
	after 0 ->
		ok
	end.

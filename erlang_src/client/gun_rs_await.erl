%% @private Takes the messages of connections and streams from the caller's mailbox.
-module(gun_rs_await).

-export([receiver/1]).
-export([no_receiver/2]).
-export([with_monitor/2]).
-export([up/3]).
-export([message/4]).
-export([body/4]).
-export([flush/1]).

-type result() ::
	{inform, 100..199, gun_rs:resp_headers()} |
	{response, fin | nofin, non_neg_integer(), gun_rs:resp_headers()} |
	{data, fin | nofin, binary()} |
	{sse, term()} |
	{trailers, gun_rs:resp_headers()} |
	{push, gun_rs_native:stream_ref(), binary(), binary(), gun_rs:resp_headers()} |
	{upgrade, [binary()], gun_rs:resp_headers()} |
	{ws, gun_rs:frame()} |
	{up, http | http2 | raw | socks} |
	{notify, Type :: atom(), Info :: term()} |
	{error, gun_rs:failure()}.
-export_type([result/0]).

-type body_result() ::
	{ok, Body :: binary()} |
	{ok, Body :: binary(), Trailers :: gun_rs:resp_headers()} |
	{error, gun_rs:failure()}.
-export_type([body_result/0]).

%% @doc The name of a new stream, and who its messages are for. With alias the name is an alias of the
%% caller's, which an await ends when it has timed out, or when the stream is over.
-spec receiver(gun_rs_options:req_opts()) -> {gun_rs_native:stream_ref(), gun_rs_options:reply_to()}.
receiver(ReqOpts=#{reply_to := alias}) ->
	Alias = alias(),
	{gun_rs_caller:new_stream(Alias, ReqOpts), Alias};
receiver(ReqOpts) ->
	{gun_rs_caller:new_stream(make_ref(), ReqOpts), maps:get(reply_to, ReqOpts, self())}.

%% @doc Ends the alias of a stream that could not be made.
-spec no_receiver(gun_rs_options:req_opts(), gun_rs_options:reply_to()) -> ok.
no_receiver(#{reply_to := alias}, Alias) ->
	_ = unalias(Alias),
	ok;
no_receiver(_, _) ->
	ok.

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
-spec message(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref() | undefined, timeout(), MRef :: reference())
	-> result().
message(ConnPid, StreamRef, Timeout, MRef) ->
	ended(ConnPid, StreamRef, next(ConnPid, StreamRef, Timeout, MRef)).

next(ConnPid, StreamRef, Timeout, MRef) ->
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
-spec body(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(), timeout(), MRef :: reference()) -> body_result().
body(ConnPid, StreamRef, Timeout, MRef) ->
	ended(ConnPid, StreamRef, body(ConnPid, StreamRef, Timeout, MRef, [])).

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

%% In a tunnel it is the last of the references that would be an alias.
ended(ConnPid, StreamRef=[_|_], Result) -> ended(ConnPid, StreamRef, lists:last(StreamRef), Result);
ended(ConnPid, StreamRef, Result) -> ended(ConnPid, StreamRef, StreamRef, Result).

%% Whether it is one only the VM knows.
ended(ConnPid, StreamRef, Alias, {error, timeout}) when is_reference(Alias) ->
	case unalias(Alias) of
		true ->
			%% What the cancellation has to say is for nobody either.
			_ = gun_rs_caller:cancel(ConnPid, Alias, StreamRef),
			ok = flush(StreamRef);
		false ->
			ok
	end,
	{error, timeout};
ended(_, _, Alias, Result) when is_reference(Alias) ->
	_ = is_last(Result) andalso unalias(Alias),
	Result;
ended(_, _, _, Result) ->
	Result.

is_last({response, fin, _, _}) -> true;
is_last({data, fin, _}) -> true;
is_last({trailers, _}) -> true;
is_last({error, _}) -> true;
is_last({ok, _}) -> true;
is_last({ok, _, _}) -> true;
is_last(_) -> false.

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
-spec flush(ConnPid :: pid()) -> ok; (StreamRef :: gun_rs_native:stream_ref()) -> ok.
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

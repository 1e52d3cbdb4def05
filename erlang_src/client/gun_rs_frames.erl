%% @private Hands the frames of ws_send to the native library.
-module(gun_rs_frames).

-export([send/4]).
-export([send_receipt/4]).
-export([check/1]).
-export([send_served/2]).
-export([broadcast/2]).
-export([each_frame/1]).

-type frame() :: close | ping | pong
	| {text | binary | close | ping | pong, iodata()}
	| {close, Code :: 1000..4999, Reason :: iodata()}.
-export_type([frame/0]).

%% In bytes. A payload that does not begin at a byte boundary is copied by the VM when
%% native code looks at it, and is known to be one only then: what is larger than this is
%% looked at on a dirty scheduler.
-define(MAX_LOOKED_AT, 16#40000).

%% Malformed frames raise `{invalid_frame, Frame, Text}' in the caller.
-spec send(ConnPid :: pid(), Caller :: pid(), StreamRef :: term(), frame() | [frame()]) -> ok | no_conn.
send(ConnPid, Caller, StreamRef, Frames) ->
	case is_large(Frames) orelse gun_rs_native:ws_send(ConnPid, Caller, StreamRef, Frames) of
		ok -> ok;
		no_conn -> no_conn;
		true -> send_dirty(ConnPid, Caller, StreamRef, Frames);
		iodata -> send(ConnPid, Caller, StreamRef, flatten(Frames));
		too_much -> send_dirty(ConnPid, Caller, StreamRef, Frames);
		remote -> gun_rs_relay:cast(ConnPid, {ws_send, Caller, StreamRef, check(Frames)});
		Refused -> refused(Caller, Refused)
	end.

send_dirty(ConnPid, Caller, StreamRef, Frames) ->
	case gun_rs_native:ws_send_dirty(ConnPid, Caller, StreamRef, Frames) of
		ok -> ok;
		no_conn -> no_conn;
		iodata -> send_dirty(ConnPid, Caller, StreamRef, flatten(Frames));
		remote -> gun_rs_relay:cast(ConnPid, {ws_send, Caller, StreamRef, check(Frames)});
		Refused -> refused(Caller, Refused)
	end.

refused(_, {invalid, Frame, Text}) ->
	error({invalid_frame, Frame, Text});
refused(Caller, {send_queue_full, Message}) ->
	_ = gun_rs_delivery:deliver(Caller, Message),
	ok.

%% The same for frames that have been checked, with a receipt.
-spec send_receipt(gun_rs_native:conn(), Receipt :: term(), StreamRef :: gun_rs_native:stream_ref() | undefined, frame() | [frame()])
	-> ok | send_queue_full.
send_receipt(Conn, Receipt, StreamRef, Frames) ->
	case is_large(Frames) orelse gun_rs_native:ws_send_receipt(Conn, Receipt, StreamRef, Frames) of
		true -> gun_rs_native:ws_send_receipt_dirty(Conn, Receipt, StreamRef, Frames);
		too_much -> gun_rs_native:ws_send_receipt_dirty(Conn, Receipt, StreamRef, Frames);
		Sent -> Sent
	end.

%% The frames, in the shape that native code takes them in. For those that another
%% process will send: what is malformed raises here, where the mistake is.
-spec check(frame() | [frame()]) -> frame() | [frame()].
check(Frames) ->
	case is_large(Frames) of
		false -> check(fun gun_rs_native:ws_check/1, Frames);
		true -> check(fun gun_rs_native:ws_check_dirty/1, Frames)
	end.

check(Check, Frames) ->
	case Check(Frames) of
		ok -> Frames;
		iodata -> check(flatten(Frames));
		too_much -> check(fun gun_rs_native:ws_check_dirty/1, Frames);
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text})
	end.

is_large([Frame|Tail]) -> is_large_frame(Frame) orelse is_large(Tail);
is_large(Frame) -> is_large_frame(Frame).

is_large_frame({_, Payload}) when is_binary(Payload) -> byte_size(Payload) > ?MAX_LOOKED_AT;
is_large_frame({_, _, Payload}) when is_binary(Payload) -> byte_size(Payload) > ?MAX_LOOKED_AT;
is_large_frame(_) -> false.

%% Payloads that are lists become binaries. Erlang's own function does it because it
%% yields, however large the list; a native one would have to keep its scheduler.
%% What follows a close frame is not sent, so it is left out.
flatten(Frames) when is_list(Frames) -> flatten_list(Frames);
flatten(Frame) -> flatten_frame(Frame).

flatten_list([]) ->
	[];
flatten_list([Frame0|Tail]) ->
	case flatten_frame(Frame0) of
		close -> [close];
		{close, _} = Frame -> [Frame];
		{close, _, _} = Frame -> [Frame];
		Frame -> [Frame|flatten_list(Tail)]
	end;
flatten_list(Tail) ->
	error({invalid_frame, Tail, "The list of frames is not a proper list."}).

flatten_frame({Type, Payload} = Frame) when is_list(Payload) ->
	{Type, to_binary(Payload, Frame)};
flatten_frame({close, Code, Reason} = Frame) when is_list(Reason) ->
	{close, Code, to_binary(Reason, Frame)};
flatten_frame(Frame) ->
	Frame.

to_binary(IoData, Frame) ->
	try
		iolist_to_binary(IoData)
	catch error:badarg ->
		error({invalid_frame, Frame, "The payload is not iodata."})
	end.

%% @doc Sends frames of a server, for the process of the connection.
-spec send_served(gun_rs_native:served(), [frame()]) -> ok | gone | send_queue_full.
send_served(Conn, Frames) ->
	case is_large(Frames) orelse gun_rs_native:served_ws_send(Conn, Frames) of
		true -> send_served_dirty(Conn, Frames);
		too_much -> send_served_dirty(Conn, Frames);
		iodata -> send_served(Conn, flatten(Frames));
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text});
		Sent -> Sent
	end.

send_served_dirty(Conn, Frames) ->
	case gun_rs_native:served_ws_send_dirty(Conn, Frames) of
		iodata -> send_served_dirty(Conn, flatten(Frames));
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text});
		Sent -> Sent
	end.

%% @doc Sends a frame, encoded once, to the WebSockets of a server that have these processes.
-spec broadcast([pid()], frame()) -> {Sent :: non_neg_integer(), Full :: non_neg_integer(), Gone :: non_neg_integer()}.
broadcast(Pids, Frame) ->
	case gun_rs_native:served_broadcast(Pids, Frame) of
		iodata -> broadcast(Pids, flatten(Frame));
		{invalid, Invalid, Text} -> error({invalid_frame, Invalid, Text});
		Counts -> Counts
	end.

%% @doc The elements of a list of frames and commands; a tail that is no list raises.
-spec each_frame(maybe_improper_list()) -> [term()].
each_frame([Frame|Frames]) -> [Frame|each_frame(Frames)];
each_frame([]) -> [];
each_frame(Tail) -> error({invalid_frame, Tail, "The list of frames is not a proper list."}).

%% @private Hands the frames of ws_send to the native library.
-module(gun_rs_frames).

-export([send/3]).
-export([flatten/1]).

-type frame() :: close | ping | pong
	| {text | binary | close | ping | pong, iodata()}
	| {close, Code :: 1000..4999, Reason :: iodata()}.
-export_type([frame/0]).

%% Malformed frames raise `{invalid_frame, Frame, Text}' in the caller.
-spec send(ConnPid :: pid(), Caller :: pid(), frame() | [frame()]) -> ok.
send(ConnPid, Caller, Frames) ->
	case gun_rs_native:ws_send(ConnPid, Caller, Frames) of
		ok -> ok;
		iodata -> send(ConnPid, Caller, flatten(Frames));
		too_much -> send_dirty(ConnPid, Caller, Frames);
		remote -> send_remote(ConnPid, Caller, Frames);
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text})
	end.

send_dirty(ConnPid, Caller, Frames) ->
	case gun_rs_native:ws_send_dirty(ConnPid, Caller, Frames) of
		ok -> ok;
		iodata -> send_dirty(ConnPid, Caller, flatten(Frames));
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text})
	end.

%% What is malformed raises here, where the mistake is, not on the other node.
send_remote(ConnPid, Caller, Frames) ->
	case gun_rs_native:ws_check(Frames) of
		ok -> gun_rs_conn:cast(ConnPid, {ws_send, Caller, Frames});
		iodata -> send_remote(ConnPid, Caller, flatten(Frames));
		{invalid, Frame, Text} -> error({invalid_frame, Frame, Text})
	end.

%% Payloads that are lists become binaries. Erlang's own function does it because it
%% yields, however large the list; a native one would have to keep its scheduler.
%% What follows a close frame is not sent, so it is left out.
-spec flatten(frame() | [frame()]) -> frame() | [frame()].
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

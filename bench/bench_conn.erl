%% A WebSocket connection of gun or of gun_rs, as the workloads use it: what differs between the two, and between gun 1
%% and gun 2, is here.
-module(bench_conn).

-export([open/3]).
-export([send/3]).
-export([send_all/4]).
-export([frame/1]).
-export([frames/2]).
-export([echo/5]).
-export([payloads/3]).
-export([connect/3]).
-export([upgrade/4]).
-export([is_gun_1/0]).

%% Far beyond what a message takes, in ms: for what would never end.
-define(PATIENCE, 60000).

%% The target is #{port, root, compress, gun_nodelay}: root names the file of the authority of a server that has TLS.
open(Client, Target, Path) ->
	ConnPid = connect(Client, Target, http),
	{ConnPid, upgrade(Client, Target, ConnPid, Path)}.

send(gun, {ConnPid, StreamRef}, Frame) ->
	case is_gun_1() of
		true -> gun:ws_send(ConnPid, Frame);
		false -> gun:ws_send(ConnPid, StreamRef, Frame)
	end;
send(gun_rs, {ConnPid, StreamRef}, Frame) ->
	gun_rs:ws_send(ConnPid, StreamRef, Frame).

frame({ConnPid, StreamRef}) ->
	receive
		{gun_ws, ConnPid, StreamRef, Frame} -> Frame
	after ?PATIENCE ->
		error(no_frame)
	end.

%% Sends that many messages, each of the frames in its turn.
send_all(Client, Conn, Frames, Count) ->
	send_from(Client, Conn, Frames, 0, Count).

send_from(_, _, _, Count, Count) ->
	ok;
send_from(Client, Conn, Frames, I, Count) ->
	send(Client, Conn, nth(I, Frames)),
	send_from(Client, Conn, Frames, I + 1, Count).

nth(I, Frames) ->
	element(I rem tuple_size(Frames) + 1, Frames).

%% Waits for that many.
frames(_, 0) ->
	ok;
frames(Conn, Count) ->
	{_, _} = frame(Conn),
	frames(Conn, Count - 1).

%% Has that many messages echoed, with at most Ahead of them under way.
echo(Client, Conn, Frames, Count, Ahead) ->
	Sent = min(Ahead, Count),
	send_from(Client, Conn, Frames, 0, Sent),
	echo_from(Client, Conn, Frames, Sent, Count),
	frames(Conn, Sent).

echo_from(_, _, _, Count, Count) ->
	ok;
echo_from(Client, Conn, Frames, I, Count) ->
	{_, _} = frame(Conn),
	send(Client, Conn, nth(I, Frames)),
	echo_from(Client, Conn, Frames, I + 1, Count).

%% What is sent, in turn: where it is compressed, JSON that the server has, and else one payload. The server has at
%% least 8 messages and 128 KiB of them.
payloads(_, #{compress := false}, Size) ->
	{{binary, binary:copy(<<"x">>, Size)}};
payloads(Client, Target, Size) ->
	Count = max(8, 16#20000 div Size),
	Conn = open(Client, Target#{compress := false}, lists:concat(["/flood?json=1&wait=1&n=", Count, "&size=", Size])),
	send(Client, Conn, {text, <<"go">>}),
	list_to_tuple([{binary, element(2, frame(Conn))} || _ <- lists:seq(1, Count)]).

%% The protocol is http or http2.
connect(Client, Target=#{port := Port}, Protocol) ->
	Opts = opts(Client, Target),
	{ok, ConnPid} = Client:open("localhost", Port, Opts#{protocols => [Protocol]}),
	{ok, Protocol} = Client:await_up(ConnPid, ?PATIENCE),
	ConnPid.

opts(gun_rs, #{root := undefined}) ->
	#{retry => 0};
opts(gun_rs, #{root := Root}) ->
	#{retry => 0, transport => tls, tls_opts => [{cacerts, roots(Root)}]};
opts(gun, #{root := Root, gun_nodelay := Nodelay}) ->
	%% As gun_rs has it by default: small messages are not held back by the kernel.
	Tcp = [{nodelay, true} || Nodelay],
	Tls = [{verify, verify_peer}, {cacerts, roots(Root)}, {server_name_indication, "localhost"}|Tcp],
	case {is_gun_1(), Root} of
		{true, undefined} -> #{retry => 0, transport_opts => Tcp};
		{true, _} -> #{retry => 0, transport => tls, transport_opts => Tls};
		{false, undefined} -> #{retry => 0, tcp_opts => Tcp};
		{false, _} -> #{retry => 0, transport => tls, tcp_opts => Tcp, tls_opts => Tls -- Tcp}
	end.

%% The system's, as by default in gun 2 and in gun_rs, and that of the server.
roots(undefined) ->
	[];
roots(Root) ->
	case persistent_term:get(?MODULE, undefined) of
		undefined ->
			{ok, Pem} = file:read_file(Root),
			Roots = [Der || {'Certificate', Der, _} <- public_key:pem_decode(Pem)] ++ public_key:cacerts_get(),
			ok = persistent_term:put(?MODULE, Roots),
			Roots;
		Roots ->
			Roots
	end.

upgrade(Client, Target, ConnPid, Path) ->
	StreamRef = Client:ws_upgrade(ConnPid, Path, [], ws_opts(Client, Target)),
	receive
		{gun_upgrade, ConnPid, StreamRef, _, _} -> StreamRef;
		{gun_response, ConnPid, StreamRef, _, Status, _} -> error({refused, Status});
		{gun_error, ConnPid, StreamRef, Reason} -> error(Reason)
	after ?PATIENCE ->
		error(no_upgrade)
	end.

ws_opts(gun, #{compress := Compress}) -> (frame_limit())#{compress => Compress};
ws_opts(gun_rs, #{compress := Compress}) -> #{compress => Compress}.

%% gun 2.6 has a limit of 1000000 bytes for frames.
frame_limit() ->
	{ok, Vsn} = application:get_key(gun, vsn),
	[Major, Minor|_] = [list_to_integer(N) || N <- string:lexemes(Vsn, ".")],
	case {Major, Minor} >= {2, 6} of
		true -> #{max_frame_size => infinity};
		false -> #{}
	end.

%% gun 2 starts without its module gun, of which it is asked what it exports.
is_gun_1() ->
	_ = code:ensure_loaded(gun),
	not erlang:function_exported(gun, ws_send, 3).

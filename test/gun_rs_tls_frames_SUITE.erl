%% What goes through TLS comes out as it was, wherever a record begins and ends, in TLS 1.2 and 1.3.
-module(gun_rs_tls_frames_SUITE).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

-define(VERSIONS, ['tlsv1.2', 'tlsv1.3']).

%% Cowboy on Erlang's ssl or Erlang's ssl alone, OpenSSL, rustls.
groups() ->
	Cases = gun_rs_suite:cases(?MODULE),
	%% The test server reads no bodies and neither compresses nor updates its keys.
	Rust = Cases -- [bodies_both_ways, compressed, key_updates, every_boundary_of_the_answer, every_boundary_of_frames],
	[
		{erlang, Cases},
		{openssl, Cases -- [every_boundary_of_the_answer]},
		{rust, Rust}
	].

init_per_group(Group, Config) ->
	[{group, Group}|Config].

end_per_group(_, _) ->
	ok.

%% Echoes.

sizes(Config) ->
	doc("Messages of every size come back as they were, around the limits of frames and records and up to 16 MiB."),
	do_echo(Config, #{}, fun(ConnPid, StreamRef) ->
		_ = [begin
			Message = {Type, do_payload(Type, Size)},
			ok = gun_rs:ws_send(ConnPid, StreamRef, Message),
			do_expect(ConnPid, StreamRef, [Message])
		end ||
			Size <- [0, 1, 2, 125, 126, 127, 16367, 16368, 16369, 16379, 16380, 16381, 16382, 16383, 16384, 16385,
				32768, 65535, 65536, 1000000, 16#1000000],
			Type <- [text, binary]]
	end).

many_small_ones(Config) ->
	doc("2,000 small messages that are sent at once come back in their order."),
	Messages = [{binary, <<N:32, 0:(8 * (N rem 50))>>} || N <- lists:seq(1, 2000)],
	do_echo(Config, #{}, fun(ConnPid, StreamRef) ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, Messages),
		do_expect(ConnPid, StreamRef, Messages)
	end).

both_ways_at_once(Config) ->
	doc("Large messages come back while others are being sent."),
	do_echo(Config, #{}, fun(ConnPid, StreamRef) ->
		Messages = [{binary, do_payload(binary, 50000 + N)} || N <- lists:seq(1, 100)],
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Message) || Message <- Messages],
		do_expect(ConnPid, StreamRef, Messages)
	end).

compressed(Config) ->
	doc("Compressed messages come back as they were, small ones and large ones."),
	Messages = [
		{text, <<"Hello">>},
		{binary, <<0:(8 * 16#100000)>>},
		{binary, crypto:strong_rand_bytes(200000)},
		{text, binary:copy(<<"Hé€llo"/utf8>>, 20000)},
		{text, <<>>}
	],
	do_echo(Config, #{compress => true}, fun(ConnPid, StreamRef) ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, Messages),
		do_expect(ConnPid, StreamRef, Messages)
	end).

fragmented(Config) ->
	doc("A message in fragments of any size is one message, with a ping between two of them or without."),
	Message = do_payload(text, 40000),
	Sizes = [1000, 16383, 16384, 16385],
	_ = [case config(group, Config) of
		rust ->
			do_with(Config, rust, #{versions => [Version]}, fun(_, Port) ->
				_ = [begin
					{ConnPid, StreamRef} = do_open_ws(Config, Port, "/fragments?size=" ++ integer_to_list(Size), #{}),
					ok = gun_rs:ws_send(ConnPid, StreamRef, {text, Message}),
					do_expect(ConnPid, StreamRef, [{text, Message}]),
					ok = gun_rs:close(ConnPid)
				end || Size <- Sizes]
			end);
		_ ->
			Frames = iolist_to_binary([[do_fragments(16#01, Message, Size), do_fragments(16#02, <<>>, Size)]
				|| Size <- Sizes]),
			do_play(Config, #{versions => [Version]}, fun(Conn, Response) ->
				ok = tls_servers:send(Conn, [Response, Frames])
			end, fun(ConnPid, StreamRef) ->
				do_expect(ConnPid, StreamRef, [M || _ <- Sizes, M <- [{text, Message}, {binary, <<>>}]])
			end)
	end || Version <- ?VERSIONS],
	ok.

%% The first byte's FIN bit is set in the last one.
do_fragments(Head, Payload, Size) when byte_size(Payload) > Size ->
	<<Part:Size/binary, Rest/binary>> = Payload,
	[tls_servers:unmasked(Head, Part), tls_servers:unmasked(16#89, <<"ping">>), do_fragments(16#00, Rest, Size)];
do_fragments(Head, Payload, _) ->
	tls_servers:unmasked(16#80 bor Head, Payload).

%% Records.

every_boundary_of_the_answer(Config) ->
	doc("The answer to the upgrade, with frames behind it, is understood in records of any size from one byte on."),
	{Frames, Messages} = do_frames(),
	_ = [begin
		do_play(Config, #{versions => [Version]}, fun(Conn, Response) ->
			tls_servers:send_in_records(Conn, <<Response/binary, Frames/binary>>, Size)
		end, fun(ConnPid, StreamRef) ->
			do_expect(ConnPid, StreamRef, Messages)
		end)
	end || Version <- ?VERSIONS, Size <- lists:seq(1, 40) ++ [64, 100, 128, 129, 130, 131, 132, 200]],
	ok.

every_boundary_of_frames(Config) ->
	doc("Frames are understood wherever a record ends between or within them."),
	{Frames, Messages} = do_frames(),
	Length = byte_size(Frames),
	_ = [case config(group, Config) of
		erlang ->
			%% Records of one byte, of two, and so on: each place is the end of one.
			do_play(Config, #{versions => [Version]}, fun(Conn, Response) ->
				ok = tls_servers:send(Conn, Response),
				_ = [ok = tls_servers:send_in_records(Conn, Frames, Size) || Size <- lists:seq(1, Length)],
				ok
			end, fun(ConnPid, StreamRef) ->
				do_expect(ConnPid, StreamRef, lists:append(lists:duplicate(Length, Messages)))
			end);
		openssl ->
			%% It makes none below 512 bytes. The length of these frames is odd, so that in as many records of 512
			%% as it is, the ends are at all places.
			1 = Length rem 2,
			Copies = 512 + 1,
			_ = [do_play(Config, #{versions => [Version], max_fragment => Size}, fun(Conn, Response) ->
				ok = tls_servers:send(Conn, [Response, binary:copy(Frames, Copies)])
			end, fun(ConnPid, StreamRef) ->
				do_expect(ConnPid, StreamRef, lists:append(lists:duplicate(Copies, Messages)))
			end) || Size <- [512, 513, 1024]]
	end || Version <- ?VERSIONS],
	ok.

small_records(Config) ->
	doc("Echoes come in records of any size, headers of every length across them."),
	Messages = [{binary, do_payload(binary, Size)} || Size <- [0, 1, 2, 3, 125, 126, 127, 300, 65536]],
	Sizes = case config(group, Config) of
		%% It has no option for this, and OpenSSL's begins there.
		erlang -> [16384];
		openssl -> [512, 513, 1000, 16384];
		rust -> [1, 2, 3, 4, 5, 7, 10, 13, 125, 126, 127, 512, 16384]
	end,
	_ = [do_echo(Config, #{}, #{max_fragment => Size, versions => [Version]}, fun(ConnPid, StreamRef) ->
		ok = gun_rs:ws_send(ConnPid, StreamRef, Messages),
		do_expect(ConnPid, StreamRef, Messages)
	end) || Size <- Sizes, Version <- ?VERSIONS],
	ok.

small_packets(Config) ->
	doc("A handshake and echoes that come in TCP packets of a few bytes are understood."),
	Messages = [{binary, do_payload(binary, Size)} || Size <- [0, 1, 126, 3000]],
	_ = [do_with(Config, do_kind(Config), #{versions => [Version], serve => fun tls_servers:echo/1}, fun(_, Port) ->
		{Middle, MiddlePort} = tcp_middle:start(Port, #{packet => Size}),
		{ConnPid, StreamRef} = do_open_ws(Config, MiddlePort, do_path(Config, #{}), #{}),
		ok = gun_rs:ws_send(ConnPid, StreamRef, Messages),
		do_expect(ConnPid, StreamRef, Messages),
		ok = gun_rs:close(ConnPid),
		tcp_middle:stop(Middle)
	end) || Version <- ?VERSIONS, Size <- [1, 3, 5, 6, 100]],
	ok.

%% Keys.

key_updates(Config) ->
	doc("In TLS 1.3 either side's keys may change at any time while frames flow."),
	case config(group, Config) of
		erlang -> do_key_updates_at_once(Config);
		openssl -> do_key_updates_in_turn(Config)
	end.

do_key_updates_at_once(Config) ->
	Messages = [{binary, do_payload(binary, 20000 + N)} || N <- lists:seq(1, 200)],
	do_play(Config, #{versions => ['tlsv1.3']}, fun(Conn, Response) ->
		ok = tls_servers:send(Conn, Response),
		do_echo_updating(Conn, 1, <<>>)
	end, fun(ConnPid, StreamRef) ->
		_ = [ok = gun_rs:ws_send(ConnPid, StreamRef, Message) || Message <- Messages],
		do_expect(ConnPid, StreamRef, Messages)
	end).

do_echo_updating(Conn, N, Buffer0) ->
	case tls_servers:frame(Conn, Buffer0) of
		closed ->
			closed;
		{Head, Payload, Buffer1} ->
			<<First:10000/binary, Second/binary>> = iolist_to_binary(tls_servers:unmasked(Head, Payload)),
			ok = tls_servers:send(Conn, First),
			Buffer = case N rem 10 of
				3 -> tls_servers:update_keys(Conn, write, Buffer1);
				6 -> tls_servers:update_keys(Conn, read_write, Buffer1);
				_ -> Buffer1
			end,
			ok = tls_servers:send(Conn, Second),
			do_echo_updating(Conn, N + 1, Buffer)
	end.

%% The next message is sent when the one before is back: what the server sent has gone out when the next one comes.
%% None of its commands is a byte above 127.
do_key_updates_in_turn(Config) ->
	Messages = [{binary, << <<(Byte bor 128)>> || <<Byte>> <= do_payload(binary, 100000 + N) >>}
		|| N <- lists:seq(1, 30)],
	do_play(Config, #{versions => ['tlsv1.3'], commands => true}, fun(Conn, Response) ->
		ok = tls_servers:send(Conn, Response),
		do_update_echoing(Conn, 1)
	end, fun(ConnPid, StreamRef) ->
		_ = [begin
			ok = gun_rs:ws_send(ConnPid, StreamRef, Message),
			do_expect(ConnPid, StreamRef, [Message])
		end || Message <- Messages]
	end).

do_update_echoing(Conn, N) ->
	case tls_servers:recv(Conn, 0) of
		closed ->
			closed;
		Begun ->
			Buffer = case N rem 3 of
				0 -> Begun;
				1 -> tls_servers:update_keys(Conn, write, Begun);
				2 -> tls_servers:update_keys(Conn, read_write, Begun)
			end,
			{Head, Payload, <<>>} = tls_servers:frame(Conn, Buffer),
			ok = tls_servers:send(Conn, tls_servers:unmasked(Head, Payload)),
			do_update_echoing(Conn, N + 1)
	end.

%% HTTP.

bodies_both_ways(Config) ->
	doc("16 MiB in a request, and 16 MiB in the answer to it."),
	Body = crypto:strong_rand_bytes(16#1000000),
	Headers = [{<<"content-type">>, <<"application/octet-stream">>}],
	_ = [do_with(Config, do_kind(Config), #{versions => [Version], serve => fun do_echo_body/1}, fun(_, Port) ->
		ConnPid = do_open(Config, Port),
		{200, _, Body} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", Headers, Body)),
		{200, _, <<"Hello!">>} = answer(ConnPid, gun_rs:post(ConnPid, "/echo", Headers, <<"Hello!">>)),
		ok = gun_rs:close(ConnPid)
	end) || Version <- ?VERSIONS],
	ok.

do_echo_body(Conn) ->
	do_echo_body(Conn, <<>>).

do_echo_body(Conn, Buffer0) ->
	case tls_servers:body(Conn, Buffer0) of
		closed ->
			closed;
		{Body, Buffer} ->
			ok = tls_servers:send(Conn, lying_server:ok(Body)),
			do_echo_body(Conn, Buffer)
	end.

%% Helpers.

do_with(Config, Kind, Opts, Fun) ->
	#{good := Good} = config(certs, Config),
	tls_servers:with(Kind, Good, Opts, Fun).

%% A server that answers an upgrade and plays what it's told.
do_play(Config, Opts, Play, Fun) ->
	Kind = case config(group, Config) of
		erlang -> erlang;
		openssl -> relay
	end,
	Serve = fun(Conn) ->
		case tls_servers:upgrade(Conn) of
			closed -> closed;
			Response -> _ = Play(Conn, Response), do_drain(Conn)
		end
	end,
	do_with(Config, Kind, Opts#{serve => Serve}, fun(_, Port) ->
		{ConnPid, StreamRef} = do_open_ws(Config, Port, "/", #{}),
		Fun(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid)
	end),
	ok.

do_drain(Conn) ->
	case tls_servers:recv(Conn, 0) of
		closed -> ok;
		_ -> do_drain(Conn)
	end.

%% A server that sends messages back, with each version of TLS.
do_echo(Config, WsOpts, Fun) ->
	_ = [do_echo(Config, WsOpts, #{versions => [Version]}, Fun) || Version <- ?VERSIONS],
	ok.

do_echo(Config, WsOpts, ServerOpts, Fun) ->
	Extensions = [{"Sec-WebSocket-Extensions",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}
		|| #{compress := true} <- [WsOpts]],
	Serve = fun(Conn) -> tls_servers:echo(Conn, Extensions) end,
	do_with(Config, do_kind(Config), ServerOpts#{serve => Serve}, fun(_, Port) ->
		{ConnPid, StreamRef} = do_open_ws(Config, Port, do_path(Config, WsOpts), WsOpts),
		Fun(ConnPid, StreamRef),
		ok = gun_rs:close(ConnPid)
	end).

do_kind(Config) ->
	case config(group, Config) of
		erlang -> cowboy;
		openssl -> relay;
		rust -> rust
	end.

do_path(Config, WsOpts) ->
	case {config(group, Config), WsOpts} of
		{erlang, #{compress := true}} -> "/deflate";
		{erlang, _} -> "/websocket";
		{openssl, _} -> "/";
		{rust, _} -> "/echo"
	end.

do_open(Config, Port) ->
	#{root := #{certfile := RootFile}} = config(certs, Config),
	{ok, ConnPid} = gun_rs:open("localhost", Port,
		#{transport => tls, protocols => [http], tls_opts => [{cacertfile, RootFile}], retry => 0}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

do_open_ws(Config, Port, Path, WsOpts) ->
	ConnPid = do_open(Config, Port),
	{ConnPid, upgrade(ConnPid, Path, [], WsOpts)}.

%% Not the mailbox, which would be megabytes.
do_expect(ConnPid, StreamRef, Messages) ->
	_ = [receive
		{gun_ws, ConnPid, StreamRef, Message} ->
			ok;
		{gun_ws, ConnPid, StreamRef, {Type, Data}} ->
			{ExpectedType, Expected} = Message,
			error({another_message, Type, byte_size(Data), instead_of, ExpectedType, byte_size(Expected)});
		Other when element(2, Other) =:= ConnPid ->
			error({another, Other})
	after ?WAIT ->
		gun_rs_test:missing("gun_ws")
	end || Message <- Messages],
	ok.

do_payload(text, Size) ->
	do_text(crypto:strong_rand_bytes(Size));
do_payload(binary, Size) ->
	crypto:strong_rand_bytes(Size).

do_text(Bytes) ->
	<< <<($  + Byte rem 95)>> || <<Byte>> <= Bytes >>.

%% Short frames of each kind, and the messages that they are.
do_frames() ->
	Frames = iolist_to_binary([
		tls_servers:unmasked(16#81, <<"Hé€llo"/utf8>>),
		tls_servers:unmasked(16#89, <<"p">>),
		tls_servers:unmasked(16#01, <<226, 130>>),
		tls_servers:unmasked(16#8a, <<>>),
		tls_servers:unmasked(16#80, <<172>>),
		tls_servers:unmasked(16#82, <<>>),
		tls_servers:unmasked(16#82, <<0:(8 * 126)>>),
		tls_servers:unmasked(16#81, <<"odd!">>)
	]),
	{Frames, [
		{text, <<"Hé€llo"/utf8>>},
		{text, <<226, 130, 172>>},
		{binary, <<>>},
		{binary, <<0:(8 * 126)>>},
		{text, <<"odd!">>}
	]}.

%% What Cowboy and gun_rs agree on, and what they then do, for doc/permessage-deflate.md: scripts/deflate-table.sh runs
%% it. The offers, and Cowboy's options, are those of gun_rs_deflate_SUITE.
-module(deflate_table).

-export([main/0]).

-include("gun_rs_test.hrl").

main() ->
	{_, Port} = gun_rs_test:start_cowboy(),
	io:format("| `compress` | Cowboy's `deflate_opts` | offered | answered | our window | Cowboy's window |~n"
		"|---|---|---|---|---|---|~n"),
	lists:foreach(fun({Compress, DeflateOpts, _}) ->
		row(Port, Compress, DeflateOpts)
	end, gun_rs_deflate_SUITE:do_negotiations()),
	halt().

row(Port, Compress, DeflateOpts) ->
	ConnPid = gun_rs_test:open(Port),
	StreamRef = gun_rs:ws_upgrade(ConnPid, ["/deflate?", DeflateOpts], [], #{compress => Compress}),
	Headers = ?EXPECT({gun_upgrade, ConnPid, StreamRef, _, H}, H),
	%% Twice, it fits the smallest window.
	Message = random(100),
	_ = cost(ConnPid, StreamRef, Message),
	Again = cost(ConnPid, StreamRef, Message),
	Reaches = [{Bits, reaches(ConnPid, StreamRef, Bits)} || Bits <- lists:seq(9, 15)],
	Windows = [window(Direction, Again, Reaches) || Direction <- [out, in]],
	Cells = [code(io_lib:format("~0p", [Compress])), code(lists:join(" ", string:lexemes(DeflateOpts, "&"))),
		header(<<"x-offer">>, Headers), header(<<"sec-websocket-extensions">>, Headers) | Windows],
	io:format("| ~s |~n", [lists:join(" | ", Cells)]),
	ok = gun_rs:close(ConnPid),
	ok = gun_rs:flush(ConnPid).

header(Name, Headers) ->
	case proplists:get_value(Name, Headers, <<>>) of
		<<>> -> "nothing";
		<<"permessage-deflate; ", Parameters/binary>> -> code(Parameters)
	end.

code(Text) ->
	case iolist_to_binary(Text) of
		<<>> -> "-";
		Binary -> ["`", Binary, "`"]
	end.

%% The largest window, in bits, that a direction refers through, and whether it reaches into the message before.
window(Direction, Again, Reaches) ->
	case [Bits || {Bits, #{Direction := true}} <- Reaches] of
		[] -> "none";
		Found ->
			Kept = case Again of
				#{Direction := Cost} when Cost < 50 -> ", kept";
				_ -> ""
			end,
			[integer_to_list(lists:max(Found)), Kept]
	end.

%% Whether a repetition at the greatest distance that a window of so many bits has, and half of it has not, is noticed.
%% zlib keeps 262 bytes of a window free.
reaches(ConnPid, StreamRef, Bits) ->
	[Repeated, Other] = [random(64), random(64)],
	Between = random((1 bsl Bits) - 280 - 64),
	Same = cost(ConnPid, StreamRef, [Repeated, Between, Repeated]),
	Different = cost(ConnPid, StreamRef, [Other, Between, random(64)]),
	maps:map(fun(Direction, Cost) -> Cost + 24 < maps:get(Direction, Different) end, Same).

%% Text that compresses to three quarters and no further: of random bytes zlib makes stored blocks, without references.
random(Size) ->
	binary:part(base64:encode(crypto:strong_rand_bytes(Size)), 0, Size).

%% The bytes that a message takes, there and back.
cost(ConnPid, StreamRef, Message) ->
	#{frames_in := Frames, bytes_in := In, bytes_out := Out} = stats(ConnPid),
	ok = gun_rs:ws_send_sync(ConnPid, StreamRef, {text, Message}, ?WAIT),
	?EXPECT({gun_ws, ConnPid, StreamRef, {text, _}}),
	%% It is counted when the thread that has delivered it is done.
	true = gun_rs_test:eventually(fun() -> maps:get(frames_in, stats(ConnPid)) =:= Frames + 1 end),
	#{bytes_in := InNow, bytes_out := OutNow} = stats(ConnPid),
	#{in => InNow - In, out => OutNow - Out}.

stats(ConnPid) ->
	#{stats := Stats} = gun_rs:info(ConnPid),
	Stats.

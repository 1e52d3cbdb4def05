%% What a call may cost: its memory is in proportion to what it is given, and no scheduler is kept by it.
-module(gun_rs_costs_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

-import(gun_rs_test, [config/2]).
-import(gun_rs_test, [doc/1]).
-import(gun_rs_test, [open/1]).
-import(gun_rs_test, [open_ws/2]).
-import(gun_rs_test, [upgrade/4]).

-include("gun_rs_test.hrl").

-define(MiB, 16#100000).

%% Far beyond what the slowest case takes: for what would never end.
suite() ->
	[{timetrap, {minutes, 5}}].

all() ->
	gun_rs_test:all(?MODULE).

init_per_suite(Config) ->
	{Listener, Port} = gun_rs_test:start_cowboy(),
	[{listener, Listener}, {port, Port}|Config].

end_per_suite(Config) ->
	gun_rs_test:stop_cowboy(config(listener, Config)).

%% A node that has done nothing else yet, so that what it takes is the case's own.
do_in_node(Function, Args) ->
	Peer = gun_rs_test:start_peer([]),
	{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs]),
	Result = peer:call(Peer, ?MODULE, Function, Args, 8 * ?WAIT),
	peer:stop(Peer),
	Result.

%% Binaries that do not begin at a byte boundary.

unaligned_message(Config) ->
	doc("A message of 16 MiB that does not begin at a byte boundary takes a few times its size, and arrives as it is."),
	do_unaligned(Config, "/websocket", #{}).

unaligned_compressed_message(Config) ->
	doc("So does one that is compressed."),
	do_unaligned(Config, "/deflate", #{compress => true}).

do_unaligned(Config, Path, WsOpts) ->
	_ = [begin
		{Erlang, System, Time} = do_in_node(do_send_unaligned, [config(port, Config), Path, WsOpts, Send]),
		ct:pal("~p of 16 MiB, unaligned, ~s: ~b MiB, ~b MiB resident, ~b ms",
			[Send, Path, Erlang div ?MiB, System div ?MiB, Time div 1000]),
		%% The original, what is sent, the buffers, and the echo, of which the peer's own are not counted.
		true = max(Erlang, System) < 12 * 16 * ?MiB
	end || Send <- [ws_send, ws_send_sync]].

do_send_unaligned(Port, Path, WsOpts, Send) ->
	ConnPid = open(Port),
	StreamRef = upgrade(ConnPid, Path, [], WsOpts),
	Payload = do_payload(16 * ?MiB),
	<<_:1, Unaligned:(16 * ?MiB)/binary, _/bits>> = <<0:1, Payload/binary, 0:7>>,
	Memory = gun_rs_test:watch_memory(),
	{Time, ok} = timer:tc(fun() ->
		ok = case Send of
			ws_send -> gun_rs:ws_send(ConnPid, StreamRef, {binary, Unaligned});
			ws_send_sync -> gun_rs:ws_send_sync(ConnPid, StreamRef, {binary, Unaligned}, ?WAIT)
		end,
		?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}})
	end),
	{Erlang, System} = gun_rs_test:memory_growth(Memory),
	ok = gun_rs:close(ConnPid),
	{Erlang, System, Time}.

%% Of which some can be compressed.
do_payload(Size) ->
	Block = <<(crypto:strong_rand_bytes(48 * 1024))/binary, 0:(16 * 1024)/unit:8>>,
	binary:copy(Block, Size div byte_size(Block)).

unaligned_messages_in_a_list(Config) ->
	doc("Large and small messages in one list, each at another bit offset, arrive as they are and in order."),
	{ConnPid, StreamRef} = open_ws(config(port, Config), "/websocket"),
	Sizes = [1, 64, 65, 1000, 65535, 65536, 65537, 300000, 1000000],
	Payloads = [{Offset, crypto:strong_rand_bytes(Size)} || Size <- Sizes, Offset <- lists:seq(0, 7)],
	ok = gun_rs:ws_send(ConnPid, StreamRef, [begin
		<<_:Offset, Unaligned:(byte_size(Payload))/binary, _/bits>> = <<0:Offset, Payload/binary, 0:(8 - Offset)>>,
		{binary, Unaligned}
	end || {Offset, Payload} <- Payloads]),
	_ = [?EXPECT({gun_ws, ConnPid, StreamRef, {binary, Payload}}) || {_, Payload} <- Payloads],
	ok = gun_rs:close(ConnPid).

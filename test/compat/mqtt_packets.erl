%% As much of MQTT 3.1.1 (version 4) and MQTT 5 (version 5) as a client needs that subscribes and publishes.
-module(mqtt_packets).

-export([connect/3]).
-export([subscribe/4]).
-export([publish/5]).
-export([ack/2]).
-export([pingreq/0]).
-export([disconnect/0]).
-export([parse/2]).

-type version() :: 4 | 5.
-type qos() :: 0..2.

-type packet() :: {connack, Reason :: byte()}
	| {suback, Id :: 1..65535, [byte()]}
	| {publish, Topic :: binary(), qos(), Id :: undefined | 1..65535, Payload :: binary()}
	| {puback | pubrec | pubrel | pubcomp, Id :: 1..65535}
	| pingresp
	| {disconnect, Reason :: byte()}.
-export_type([packet/0]).

-spec connect(version(), ClientId :: binary(), KeepaliveSeconds :: 0..65535) -> binary().
connect(Version, ClientId, Keepalive) ->
	packet(1, 0, [string(<<"MQTT">>), Version, 2#10, <<Keepalive:16>>, properties(Version), string(ClientId)]).

-spec subscribe(version(), Id :: 1..65535, Topic :: binary(), qos()) -> binary().
subscribe(Version, Id, Topic, QoS) ->
	packet(8, 2, [<<Id:16>>, properties(Version), string(Topic), QoS]).

-spec publish(version(), Topic :: binary(), qos(), Id :: undefined | 1..65535, Payload :: binary()) -> binary().
publish(Version, Topic, 0, undefined, Payload) ->
	packet(3, 0, [string(Topic), properties(Version), Payload]);
publish(Version, Topic, QoS, Id, Payload) ->
	packet(3, QoS bsl 1, [string(Topic), <<Id:16>>, properties(Version), Payload]).

-spec ack(puback | pubrec | pubrel | pubcomp, Id :: 1..65535) -> binary().
ack(puback, Id) -> packet(4, 0, <<Id:16>>);
ack(pubrec, Id) -> packet(5, 0, <<Id:16>>);
ack(pubrel, Id) -> packet(6, 2, <<Id:16>>);
ack(pubcomp, Id) -> packet(7, 0, <<Id:16>>).

-spec pingreq() -> binary().
pingreq() ->
	packet(12, 0, <<>>).

-spec disconnect() -> binary().
disconnect() ->
	packet(14, 0, <<>>).

%% The first packet, if all of it is there: frames and packets need not begin together.
-spec parse(version(), binary()) -> {packet(), Rest :: binary()} | more.
parse(Version, <<Type:4, Flags:4, Tail/binary>>) ->
	case length_prefix(Tail) of
		{Length, Packet} when byte_size(Packet) >= Length ->
			<<Body:Length/binary, Rest/binary>> = Packet,
			{parse(Version, Type, Flags, Body), Rest};
		_ ->
			more
	end;
parse(_, _) ->
	more.

parse(_, 2, _, <<_, Reason, _/binary>>) ->
	{connack, Reason};
parse(Version, 3, Flags, <<Size:16, Topic:Size/binary, Tail0/binary>>) ->
	QoS = (Flags bsr 1) band 2#11,
	{Id, Tail} = case {QoS, Tail0} of
		{0, _} -> {undefined, Tail0};
		{_, <<I:16, T/binary>>} -> {I, T}
	end,
	{publish, Topic, QoS, Id, without_properties(Version, Tail)};
parse(_, 4, _, <<Id:16, _/binary>>) ->
	{puback, Id};
parse(_, 5, _, <<Id:16, _/binary>>) ->
	{pubrec, Id};
parse(_, 6, _, <<Id:16, _/binary>>) ->
	{pubrel, Id};
parse(_, 7, _, <<Id:16, _/binary>>) ->
	{pubcomp, Id};
parse(Version, 9, _, <<Id:16, Tail/binary>>) ->
	{suback, Id, binary_to_list(without_properties(Version, Tail))};
parse(_, 13, _, <<>>) ->
	pingresp;
parse(5, 14, _, <<Reason, _/binary>>) ->
	{disconnect, Reason}.

properties(4) -> <<>>;
properties(5) -> <<0>>.

without_properties(4, Bin) ->
	Bin;
without_properties(5, Bin) ->
	{Length, Tail} = length_prefix(Bin),
	<<_:Length/binary, Rest/binary>> = Tail,
	Rest.

packet(Type, Flags, Body0) ->
	Body = iolist_to_binary(Body0),
	<<Type:4, Flags:4, (varint(byte_size(Body)))/binary, Body/binary>>.

string(Bin) ->
	<<(byte_size(Bin)):16, Bin/binary>>.

varint(N) when N < 128 -> <<N>>;
varint(N) -> <<1:1, (N rem 128):7, (varint(N div 128))/binary>>.

length_prefix(Bin) ->
	length_prefix(Bin, 0, 0).

length_prefix(<<0:1, N:7, Tail/binary>>, Shift, Acc) -> {Acc + (N bsl Shift), Tail};
length_prefix(<<1:1, N:7, Tail/binary>>, Shift, Acc) -> length_prefix(Tail, Shift + 7, Acc + (N bsl Shift));
length_prefix(<<>>, _, _) -> more.

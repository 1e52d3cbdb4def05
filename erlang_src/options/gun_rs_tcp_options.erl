%% @private The elements of tcp_opts, which are those of gen_tcp: checked, and as the
%% native library takes them.
%%
%% What the socket has is set on it. What is only about an Erlang port, which there is
%% not, is taken without effect where nobody can be harmed by that. The rest is refused.
-module(gun_rs_tcp_options).

-export([check/2]).
-export([native/1]).
-export([refused/1]).
-export([refusal/1]).

%% The system closes a connection whose send timed out, always, so that
%% `{send_timeout_close, false}' is refused. The address family follows `ip';
%% without either, both families are tried. Those from binary on have no effect. Of raw, the
%% options of Linux are known that have a number below.
-type tcp_opt() :: inet | inet6
	| {ip | ifaddr, inet:ip_address()}
	| {keepalive | nodelay, boolean()}
	| {recbuf | sndbuf, pos_integer()}
	| {send_timeout, 1..16#ffffffff | infinity}
	| {send_timeout_close, true}
	| {reuseaddr | reuseport | reuseport_lb, boolean()}
	| {linger, {boolean(), 0..65535}}
	| {priority, 0..15}
	| {tos | tclass, 0..255}
	| {ttl, 1..255}
	| {ipv6_v6only, boolean()}
	| {bind_to_device, binary()}
	| {user_timeout, 1..16#7fffffff}
	| {raw, Protocol :: non_neg_integer(), Option :: non_neg_integer(), binary()}
	| binary | {mode, binary} | {packet, 0 | raw} | {active, boolean() | once | -32768..32767}
	| {delay_send | exit_on_close | show_econnreset, boolean()}
	| {buffer | high_watermark | low_watermark | high_msgq_watermark | low_msgq_watermark, pos_integer()}
	| {deliver, port | term} | {header, 0} | {line_delimiter, 0..255} | {packet_size, non_neg_integer()}.
-export_type([tcp_opt/0]).

-type tcp() :: #{
	bind_to_device := undefined | binary(),
	family := any | inet | inet6,
	ip := undefined | inet:ip_address(),
	ipv6_v6only := undefined | boolean(),
	keepalive := boolean(),
	keepcnt | keepidle | keepintvl := undefined | pos_integer(),
	linger := undefined | boolean(),
	nodelay := boolean(),
	priority | tclass | tos | ttl := undefined | non_neg_integer(),
	quickack := undefined | boolean(),
	recbuf := undefined | pos_integer(),
	reuseaddr := boolean(),
	reuseport := boolean(),
	send_timeout := pos_integer() | infinity,
	sndbuf := undefined | pos_integer(),
	user_timeout := undefined | pos_integer()
}.
-export_type([tcp/0]).

%% A socket's buffer size is a C int.
-define(IS_INT(N), (is_integer(N) andalso N > 0 andalso N =< 16#7fffffff)).
-define(IS_OCTET(N), (is_integer(N) andalso N >= 0 andalso N =< 255)).
-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% Linux's numbers: those of IPPROTO_IP, SOL_SOCKET, IPPROTO_TCP and IPPROTO_IPV6.
-define(IP, 0).
-define(SOCKET, 1).
-define(TCP, 6).
-define(IPV6, 41).

%% @doc Of an option given twice the last one counts, as in gen_tcp, except for the
%% address family, which must not contradict itself. A Unix domain socket has not all of them.
-spec check(tcp | unix, TcpOpts :: term()) -> {ok, tcp()} | {error, Element :: term()}.
check(For, L) when ?IS_PROPER_LIST(L) ->
	check(For, L, #{
		bind_to_device => undefined, family => any, ip => undefined, ipv6_v6only => undefined, keepalive => false,
		keepcnt => undefined, keepidle => undefined, keepintvl => undefined, linger => undefined, nodelay => true,
		priority => undefined, quickack => undefined, recbuf => undefined, reuseaddr => false, reuseport => false,
		send_timeout => infinity, sndbuf => undefined, tclass => undefined, tos => undefined, ttl => undefined,
		user_timeout => undefined
	});
check(_, NoList) ->
	{error, NoList}.

check(_, [], Tcp) ->
	{ok, Tcp};
check(For, [Opt|Tail], Tcp0) ->
	case is_without_effect(Opt) of
		true ->
			check(For, Tail, Tcp0);
		false ->
			case opt(For, Opt, Tcp0) of
				error -> {error, Opt};
				Tcp -> check(For, Tail, Tcp)
			end
	end.

is_without_effect(binary) -> true;
is_without_effect({mode, binary}) -> true;
is_without_effect({packet, Packet}) -> Packet =:= 0 orelse Packet =:= raw;
is_without_effect({active, Active}) ->
	is_boolean(Active) orelse Active =:= once
		orelse is_integer(Active) andalso Active >= -32768 andalso Active =< 32767;
is_without_effect({Key, B}) when Key =:= delay_send; Key =:= exit_on_close; Key =:= show_econnreset ->
	is_boolean(B);
is_without_effect({Key, N}) when Key =:= buffer; Key =:= high_watermark; Key =:= low_watermark;
		Key =:= high_msgq_watermark; Key =:= low_msgq_watermark ->
	?IS_INT(N);
is_without_effect({deliver, Deliver}) -> Deliver =:= port orelse Deliver =:= term;
is_without_effect({header, 0}) -> true;
is_without_effect({line_delimiter, Char}) -> ?IS_OCTET(Char);
is_without_effect({packet_size, N}) -> is_integer(N) andalso N >= 0 andalso N =< 16#7fffffff;
is_without_effect(_) -> false.

%% Those of every socket.
opt(_, {Key, N}, Tcp) when Key =:= recbuf, ?IS_INT(N); Key =:= sndbuf, ?IS_INT(N) ->
	Tcp#{Key := N};
opt(_, {send_timeout, T}, Tcp) when T =:= infinity; is_integer(T), T > 0, T =< 16#ffffffff ->
	Tcp#{send_timeout := T};
opt(_, {send_timeout_close, true}, Tcp) ->
	Tcp;
opt(tcp, Opt, Tcp) ->
	tcp_opt(Opt, Tcp);
opt(unix, _, _) ->
	error.

tcp_opt(Family, Tcp) when Family =:= inet; Family =:= inet6 ->
	family(Family, Tcp);
tcp_opt({Key, IP}, Tcp) when Key =:= ip; Key =:= ifaddr ->
	case gun_rs_host:is_ip(IP) of
		true -> family(family_of(IP), Tcp#{ip := IP});
		false -> error
	end;
tcp_opt({Key, B}, Tcp) when is_boolean(B) andalso
		(Key =:= keepalive orelse Key =:= nodelay orelse Key =:= reuseaddr orelse Key =:= reuseport
			orelse Key =:= ipv6_v6only) ->
	Tcp#{Key := B};
tcp_opt({reuseport_lb, B}, Tcp) when is_boolean(B) ->
	Tcp#{reuseport := B};
%% Where it is not 0, a close would wait, and every other connection of the thread with it.
%% The system sends what is left in any case.
tcp_opt({linger, {B, Seconds}}, Tcp) when is_boolean(B), is_integer(Seconds), Seconds >= 0, Seconds =< 65535 ->
	Tcp#{linger := B andalso Seconds =:= 0};
tcp_opt({Key, N}, Tcp) when Key =:= tos, ?IS_OCTET(N); Key =:= tclass, ?IS_OCTET(N) ->
	Tcp#{Key := N};
tcp_opt({ttl, N}, Tcp) when ?IS_OCTET(N), N > 0 ->
	Tcp#{ttl := N};
tcp_opt(Opt, Tcp) ->
	case os:type() of
		{unix, linux} -> linux_opt(Opt, Tcp);
		_ -> error
	end.

linux_opt({priority, N}, Tcp) when is_integer(N), N >= 0, N =< 15 ->
	Tcp#{priority := N};
%% IFNAMSIZ, with the NUL.
linux_opt({bind_to_device, Name}, Tcp) when is_binary(Name), Name =/= <<>>, byte_size(Name) =< 15 ->
	case binary:match(Name, <<0>>) of
		nomatch -> Tcp#{bind_to_device := Name};
		_ -> error
	end;
linux_opt({user_timeout, T}, Tcp) when ?IS_INT(T) ->
	Tcp#{user_timeout := T};
linux_opt({raw, Protocol, Option, <<N:32/native>>}, Tcp) ->
	case raw(Protocol, Option, N) of
		{quickack, B} -> Tcp#{quickack := B};
		%% What Linux takes of them.
		{keepcnt, Count} when Count > 0, Count =< 127 -> Tcp#{keepcnt := Count};
		{Key, Seconds} when Key =:= keepidle orelse Key =:= keepintvl, Seconds > 0, Seconds =< 32767 -> Tcp#{Key := Seconds};
		{Key, _} when Key =:= keepcnt; Key =:= keepidle; Key =:= keepintvl -> error;
		unknown -> error;
		Opt -> opt(tcp, Opt, Tcp)
	end;
linux_opt(_, _) ->
	error.

%% The option with this number.
raw(?IP, 1, N) -> {tos, N};
raw(?IP, 2, N) -> {ttl, N};
raw(?SOCKET, 2, N) -> {reuseaddr, N =/= 0};
raw(?SOCKET, 7, N) -> {sndbuf, N};
raw(?SOCKET, 8, N) -> {recbuf, N};
raw(?SOCKET, 9, N) -> {keepalive, N =/= 0};
raw(?SOCKET, 12, N) -> {priority, N};
raw(?SOCKET, 15, N) -> {reuseport, N =/= 0};
raw(?TCP, 1, N) -> {nodelay, N =/= 0};
raw(?TCP, 4, N) -> {keepidle, N};
raw(?TCP, 5, N) -> {keepintvl, N};
raw(?TCP, 6, N) -> {keepcnt, N};
raw(?TCP, 12, N) -> {quickack, N =/= 0};
raw(?TCP, 18, N) -> {user_timeout, N};
raw(?IPV6, 26, N) -> {ipv6_v6only, N =/= 0};
raw(?IPV6, 67, N) -> {tclass, N};
raw(_, _, _) -> unknown.

family(Family, Tcp=#{family := F}) when F =:= any; F =:= Family ->
	Tcp#{family := Family};
family(_, _) ->
	error.

family_of(IP) when tuple_size(IP) =:= 4 -> inet;
family_of(_) -> inet6.

%% @doc As the native library takes them.
-spec native(tcp()) -> map().
native(Tcp=#{ip := undefined}) ->
	Tcp;
native(Tcp=#{ip := IP}) ->
	{ok, Address} = gun_rs_host:to_binary(IP),
	Tcp#{ip := Address}.

%% @doc An element that was refused, as it stands in a reason: an option of TLS may have a secret
%% in it.
-spec refused(Element :: term()) -> term().
refused(Element) when is_tuple(Element), tuple_size(Element) > 0 ->
	case gun_rs_secrets:is_secret(element(1, Element)) of
		true -> {element(1, Element), {hidden, "it is an option of TLS and not of the socket"}};
		false -> Element
	end;
refused(Element) ->
	Element.

%% @doc What is wrong with an element that was refused, or with what should have been a list,
%% as the end of a sentence that begins with it.
-spec refusal(Element :: term()) -> Fault :: string().
refusal({_, {hidden, Why}}) ->
	"cannot be taken: " ++ Why;
refusal(L) when is_list(L); is_map(L); is_number(L); is_binary(L) ->
	"is no option, or no list of options";
refusal(Opt) ->
	case check(tcp, [Opt]) of
		{ok, _} when Opt =:= inet; Opt =:= inet6; element(1, Opt) =:= ip; element(1, Opt) =:= ifaddr ->
			"contradicts another element's address family, or a Unix domain socket, or stands in no list";
		{ok, _} -> "must stand in a list, and not in the options of a Unix domain socket";
		{error, _} -> fault(Opt)
	end.

fault({raw, Protocol, Option, Value}) when is_integer(Protocol), is_integer(Option), is_binary(Value) ->
	"is an option that gun_rs cannot set, or not to that value";
fault({Key, Value}) ->
	case expected(Key) of
		unknown -> "is unknown to gun_rs, or cannot be honoured by it";
		Expected -> lists:flatten(io_lib:format("must have the value ~ts and not ~0tp",
			[Expected, Value], [{chars_limit, 200}]))
	end;
fault(_) ->
	"is unknown to gun_rs, or cannot be honoured by it".

expected(Key) when Key =:= ip; Key =:= ifaddr -> "an IP address as a tuple";
expected(Key) when Key =:= keepalive; Key =:= nodelay; Key =:= reuseaddr; Key =:= reuseport; Key =:= reuseport_lb;
		Key =:= ipv6_v6only; Key =:= delay_send; Key =:= exit_on_close; Key =:= show_econnreset ->
	"true or false";
expected(Key) when Key =:= recbuf; Key =:= sndbuf; Key =:= buffer; Key =:= high_watermark; Key =:= low_watermark;
		Key =:= high_msgq_watermark; Key =:= low_msgq_watermark ->
	"an integer of 1 to 2147483647";
expected(send_timeout) -> "a positive number of milliseconds or infinity";
expected(send_timeout_close) -> "true, since a connection whose send timed out is always closed,";
expected(linger) -> "{true | false, Seconds}";
expected(priority) -> "an integer of 0 to 15, on Linux,";
expected(Key) when Key =:= tos; Key =:= tclass -> "an integer of 0 to 255";
expected(ttl) -> "an integer of 1 to 255";
expected(bind_to_device) -> "a name of 1 to 15 bytes as a binary, on Linux,";
expected(user_timeout) -> "an integer of 1 to 2147483647 milliseconds, on Linux,";
expected(mode) -> "binary, since data always arrives as binaries,";
expected(packet) -> "raw or 0, since HTTP has no such packets,";
expected(active) -> "a value that gen_tcp takes";
expected(header) -> "0, since data always arrives as binaries,";
expected(Key) when Key =:= deliver; Key =:= line_delimiter; Key =:= packet_size -> "a value that gen_tcp takes";
expected(_) -> unknown.

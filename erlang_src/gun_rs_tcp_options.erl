%% @private
-module(gun_rs_tcp_options).
-export([check/1]).
-export([parse/1]).
-export([native/1]).

-type tcp_opt() :: term().
-export_type([tcp_opt/0]).
-define(MAX_MS, 16#ffffffff).
-define(IS_BUFFER(N), (is_integer(N) andalso N > 0 andalso N =< 16#7fffffff)).
-define(IS_POS_TIMEOUT(T), (T =:= infinity orelse (is_integer(T) andalso T > 0 andalso T =< ?MAX_MS))).

-spec check(term()) -> ok | {error, term()}.
check(L) when is_list(L), length(L) >= 0 ->
	case parse(L) of
		{ok, _} -> ok;
		Error -> Error
	end;
check(L) ->
	{error, L}.

-spec parse(list()) -> {ok, map()} | {error, term()}.
parse(L) ->
	tcp(L).

%% TCP: of an option given twice the last one counts, as in gen_tcp, except for the
%% address family, which must not contradict itself.

tcp(L) ->
	tcp(L, #{family => any, ip => undefined, keepalive => false, nodelay => true,
		recbuf => undefined, send_timeout => infinity, sndbuf => undefined}).

tcp([], Tcp) ->
	{ok, Tcp};
tcp([Family|Tail], Tcp) when Family =:= inet; Family =:= inet6 ->
	tcp_family(Family, Family, Tail, Tcp);
tcp([Opt={Key, IP}|Tail], Tcp) when Key =:= ip; Key =:= ifaddr ->
	case gun_rs_host:is_ip(IP) of
		true -> tcp_family(family(IP), Opt, Tail, Tcp#{ip := IP});
		false -> {error, Opt}
	end;
tcp([{keepalive, B}|Tail], Tcp) when is_boolean(B) ->
	tcp(Tail, Tcp#{keepalive := B});
tcp([{nodelay, B}|Tail], Tcp) when is_boolean(B) ->
	tcp(Tail, Tcp#{nodelay := B});
tcp([{recbuf, N}|Tail], Tcp) when ?IS_BUFFER(N) ->
	tcp(Tail, Tcp#{recbuf := N});
tcp([{send_timeout, T}|Tail], Tcp) when ?IS_POS_TIMEOUT(T) ->
	tcp(Tail, Tcp#{send_timeout := T});
tcp([{send_timeout_close, true}|Tail], Tcp) ->
	tcp(Tail, Tcp);
tcp([{sndbuf, N}|Tail], Tcp) when ?IS_BUFFER(N) ->
	tcp(Tail, Tcp#{sndbuf := N});
tcp([Opt|_], _) ->
	{error, Opt}.

tcp_family(Family, _, Tail, Tcp=#{family := F}) when F =:= any; F =:= Family ->
	tcp(Tail, Tcp#{family := Family});
tcp_family(_, Opt, _, _) ->
	{error, Opt}.

-spec native(map()) -> map().
native(Tcp=#{ip := undefined}) ->
	Tcp;
native(Tcp=#{ip := IP}) ->
	Tcp#{ip := list_to_binary(inet:ntoa(IP))}.


family(IP) when tuple_size(IP) =:= 4 -> inet;
family(_) -> inet6.

%% @private What a connection is made to: a host's name or address, or a Unix domain socket.
-module(gun_rs_host).

-export([to_binary/1]).
-export([unix_path/1]).
-export([authority/3]).
-export([with_port/2]).
-export([is_ip/1]).

-type host() :: inet:hostname() | inet:ip_address() | binary().
-export_type([host/0]).

-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc The path of a Unix domain socket: what fits into its address.
-spec unix_path(Path :: term()) -> {ok, binary()} | error.
unix_path(Path) when is_list(Path) ->
	case unicode:characters_to_binary(Path) of
		Bin when is_binary(Bin) -> unix_path(Bin);
		_ -> error
	end;
unix_path(Path) when is_binary(Path), Path =/= <<>>, byte_size(Path) =< 107 ->
	case binary:match(Path, <<0>>) of
		nomatch -> {ok, Path};
		_ -> error
	end;
unix_path(_) ->
	error.

%% @doc A host in the form that the resolver takes.
-spec to_binary(Host :: term()) -> {ok, binary()} | error.
to_binary(Host) when is_tuple(Host) ->
	case is_ip(Host) of
		true -> {ok, ip_to_binary(Host)};
		false -> error
	end;
to_binary(Host) when is_atom(Host) ->
	to_binary(atom_to_list(Host));
to_binary(Host) when is_binary(Host) ->
	to_binary(binary_to_list(Host));
to_binary(Host) when ?IS_PROPER_LIST(Host), Host =/= [], length(Host) =< 255 ->
	case lists:all(fun is_host_char/1, Host) orelse is_ipv6_text(Host) of
		true -> {ok, list_to_binary(Host)};
		false -> error
	end;
to_binary(_) ->
	error.

%% The characters of domain names, and the underscore that service names have.
%% Internationalised names are given in their ASCII form (RFC 5890, A-labels).
is_host_char(C) when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $0, C =< $9 -> true;
is_host_char(C) -> C =:= $- orelse C =:= $. orelse C =:= $_.

%% With or without a zone, as in fe80::1%eth0.
is_ipv6_text(Host) ->
	lists:all(fun(C) -> C =:= $: orelse C =:= $% orelse is_host_char(C) end, Host)
		andalso element(1, inet:parse_ipv6strict_address(Host)) =:= ok.

%% @doc Whether this is an IP address as a tuple.
-spec is_ip(term()) -> boolean().
is_ip(IP) when tuple_size(IP) =:= 4 ->
	lists:all(fun(N) -> is_integer(N) andalso N >= 0 andalso N =< 16#ff end,
		tuple_to_list(IP));
is_ip(IP) when tuple_size(IP) =:= 8 ->
	lists:all(fun(N) -> is_integer(N) andalso N >= 0 andalso N =< 16#ffff end,
		tuple_to_list(IP));
is_ip(_) ->
	false.

ip_to_binary(IP) ->
	list_to_binary(inet:ntoa(IP)).

%% @doc The value of the Host header. The port of the scheme is left out: RFC 9110, 4.2.3. The zone of an address means
%% nothing to another host: RFC 6874, 4.
-spec authority(Host :: binary(), inet:port_number(), tcp | tls) -> binary().
authority(Host, Port, Transport) ->
	case {Transport, Port} of
		{tcp, 80} -> name(Host);
		{tls, 443} -> name(Host);
		_ -> with_port(Host, Port)
	end.

%% @doc The same with any port.
-spec with_port(Host :: binary(), inet:port_number()) -> binary().
with_port(Host, Port) ->
	iolist_to_binary([name(Host), $:, integer_to_list(Port)]).

name(Host) ->
	case binary:match(Host, <<":">>) of
		nomatch -> Host;
		_ -> iolist_to_binary([$[, hd(binary:split(Host, <<"%">>)), $]])
	end.

%% @doc Makes the Req of a request, of the kind that a handler's dialect has.
%%
%% The Req of Cowboy 2 is a map, that of Cowboy 1 a tuple around one. Both maps have the same
%% keys, but the headers of Cowboy 1 are a list, and so are its bindings.
-module(gun_rs_req_new).

-export([new/3]).
-export([with_route/4]).
-export([parse_host/1]).
-export([shown/1]).

-type dialect() :: cowboy_1 | cowboy_2.
-export_type([dialect/0]).

-type req_1() :: {gun_rs_req_1, map()}.
-type req() :: map() | req_1().
-export_type([req_1/0, req/0]).

%% A request as the native library reports it.
-type request() :: #{
	method := binary(),
	path := binary(),
	qs := binary(),
	version := 'HTTP/1.0' | 'HTTP/1.1',
	headers := [{Name :: binary(), Value :: binary()}],
	body := none | chunked | non_neg_integer(),
	_ => _
}.
-export_type([request/0]).

-type peer() :: #{
	peer => {inet:ip_address(), inet:port_number()} | undefined,
	sock => {inet:ip_address(), inet:port_number()} | undefined,
	cert => binary() | undefined,
	_ => _
}.
-export_type([peer/0]).

%% @doc The Req, or 400 if the request has no host, more than one, or an invalid one.
%%
%% Extra is put into the map as it is: the peer, what the listener adds (`scheme', by default
%% http; `ref'; `compress', which makes Cowboy 1 compress its replies), and what gun_rs_served
%% needs to find the request again.
-spec new(dialect(), request(), Extra :: map()) -> req() | {error, 400}.
new(Dialect, #{headers := Headers} = Request, Extra0) ->
	Extra = maps:merge(#{scheme => <<"http">>, peer => undefined, sock => undefined, cert => undefined}, Extra0),
	case host(Request, [Value || {<<"host">>, Value} <- Headers]) of
		{ok, Host, Port} ->
			req(Dialect, Headers, Extra#{
				method => maps:get(method, Request),
				version => maps:get(version, Request),
				host => Host,
				port => port(Port, Extra),
				path => maps:get(path, Request),
				qs => maps:get(qs, Request),
				has_body => has_body(Request),
				body_length => body_length(Request)
			});
		error ->
			{error, 400}
	end.

req(cowboy_1, Headers, Map) ->
	{gun_rs_req_1, Map#{headers => Headers, bindings => [], host_info => undefined, path_info => undefined,
		meta => [], resp_headers => []}};
req(cowboy_2, Headers, Map) ->
	Map#{headers => joined(Headers, #{})}.

%% @doc The same Req with what the router has found.
-spec with_route(req(), gun_rs_router:bindings(), HostInfo :: gun_rs_router:rest(), PathInfo :: gun_rs_router:rest()) ->
	req().
with_route({gun_rs_req_1, Map}, Bindings, HostInfo, PathInfo) ->
	{gun_rs_req_1, with_route(Map, Bindings, HostInfo, PathInfo)};
with_route(Map, Bindings, HostInfo, PathInfo) ->
	Map#{bindings => Bindings, host_info => HostInfo, path_info => PathInfo}.

joined([], Joined) ->
	Joined;
joined([{Name, Value}|Headers], Joined) ->
	case Joined of
		#{Name := Before} when Name =:= <<"cookie">> ->
			joined(Headers, Joined#{Name := <<Before/binary, "; ", Value/binary>>});
		#{Name := Before} ->
			joined(Headers, Joined#{Name := <<Before/binary, ", ", Value/binary>>});
		#{} ->
			joined(Headers, Joined#{Name => Value})
	end.

has_body(#{body := none}) -> false;
has_body(#{body := 0}) -> false;
has_body(_) -> true.

body_length(#{body := none}) -> 0;
body_length(#{body := chunked}) -> undefined;
body_length(#{body := Length}) -> Length.

%% RFC 9112, 3.2: only HTTP/1.0 knows requests without a host.
host(#{version := 'HTTP/1.0'}, []) -> {ok, <<>>, undefined};
host(_, [Value]) -> parse_host(Value);
host(_, _) -> error.

port(undefined, #{scheme := <<"https">>}) -> 443;
port(undefined, _) -> 80;
port(Port, _) -> Port.

%% @doc The host in lower case and the port of a Host header. The brackets of an IPv6 address
%% stay.
-spec parse_host(binary()) -> {ok, Host :: binary(), inet:port_number() | undefined} | error.
parse_host(Value) ->
	case Value of
		<<"[", Tail/binary>> -> parse_ipv6(binary:split(Tail, <<"]">>));
		_ -> parse_name(binary:split(Value, <<":">>))
	end.

parse_ipv6([Address, Tail]) ->
	case inet:parse_ipv6strict_address(binary_to_list(Address)) of
		{ok, _} ->
			case binary:match(Address, <<"%">>) of
				nomatch -> with_port(<<"[", (gun_rs_req_text:lowercase(Address))/binary, "]">>, Tail);
				_ -> error
			end;
		{error, _} ->
			error
	end;
parse_ipv6(_) ->
	error.

parse_name([Name|Port]) ->
	case is_name(Name) of
		true when Port =:= [] -> with_port(gun_rs_req_text:lowercase(Name), <<>>);
		true -> with_port(gun_rs_req_text:lowercase(Name), <<":", (hd(Port))/binary>>);
		false -> error
	end.

with_port(Host, <<>>) ->
	{ok, Host, undefined};
with_port(Host, <<":">>) ->
	{ok, Host, undefined};
with_port(Host, <<":", Digits/binary>>) ->
	case gun_rs_req_text:digits(Digits) of
		{ok, Port} when Port =< 65535 -> {ok, Host, Port};
		_ -> error
	end;
with_port(_, _) ->
	error.

%% RFC 3986, 3.2.2, but no percent-encoding: no resolver takes it.
is_name(<<C, Tail/binary>>) when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $0, C =< $9 -> is_name(Tail);
is_name(<<C, Tail/binary>>) -> lists:member(C, "-._~!$&'()*+,;=") andalso is_name(Tail);
is_name(<<>>) -> true.

%% @doc What crash reports show of a Req: no headers and no query string, which may have secrets in them.
-spec shown(req()) -> [{atom(), term()}].
shown({gun_rs_req_1, Map}) -> shown(Map);
shown(Map) -> maps:to_list(maps:with([host, method, path, peer, port, ref, scheme, version], Map)).

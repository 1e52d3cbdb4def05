%% @private The header traceparent (W3C Trace Context), which a request hands on if it is asked to.
-module(gun_rs_traceparent).

-export([is_valid/1]).
-export([request/2]).
-export([headers/2]).

-define(NAME, <<"traceparent">>).

%% @doc Whether the value is a traceparent. Of later versions only the beginning is known.
-spec is_valid(term()) -> boolean().
is_valid(<<Version:2/binary, $-, Trace:32/binary, $-, Parent:16/binary, $-, Flags:2/binary, Rest/binary>>) ->
	are_hex(<<Version/binary, Trace/binary, Parent/binary, Flags/binary>>)
		andalso not is_zero(Trace) andalso not is_zero(Parent) andalso is_end(Version, Rest);
is_valid(_) ->
	false.

are_hex(Digits) ->
	lists:all(fun(C) -> (C >= $0 andalso C =< $9) orelse (C >= $a andalso C =< $f) end, binary_to_list(Digits)).

is_zero(Digits) ->
	lists:all(fun(C) -> C =:= $0 end, binary_to_list(Digits)).

%% ff is no version.
is_end(<<"ff">>, _) -> false;
is_end(_, <<>>) -> true;
is_end(<<"00">>, _) -> false;
is_end(_, <<$-, Rest/binary>>) -> byte_size(Rest) =< 200 andalso gun_rs_request:is_token(Rest);
is_end(_, _) -> false.

%% @doc The request with the traceparent of its options, unless it has one among its headers.
-spec request(Opts :: map(), gun_rs_native:request()) -> gun_rs_native:request().
request(Opts=#{traceparent := _}, {Method, Path, Headers, Body}) ->
	{Method, Path, headers(Opts, Headers), Body};
request(_, Request) ->
	Request.

%% @doc The same for headers alone, whose names are in lowercase.
-spec headers(Opts :: map(), Headers) -> Headers when Headers :: [{binary(), binary()}].
headers(#{traceparent := Traceparent}, Headers) ->
	case lists:keymember(?NAME, 1, Headers) of
		true -> Headers;
		false -> Headers ++ [{?NAME, Traceparent}]
	end;
headers(_, Headers) ->
	Headers.

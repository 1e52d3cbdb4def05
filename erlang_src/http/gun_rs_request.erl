%% @doc What a user gives to a request, in the form that goes onto the wire.
%%
%% Checks and normalises in the caller, so that a bad header or path raises there
%% and never reaches a connection that others share.
-module(gun_rs_request).

-export([whole/5]).
-export([streamed/4]).
-export([may_announce/2]).
-export([headers/2]).
-export([upgrade_headers/2]).
-export([path/1]).
-export([body/1]).
-export([limits/1]).
-export([refusal/2]).
-export([is_token/1]).
-export([spelling/1]).

-type header_name() :: binary() | string() | atom().

-type headers() :: [{header_name(), iodata()}] | #{header_name() => iodata()}.
-export_type([headers/0]).

%% What becomes of a header that cannot be sent; error is what raise was called at first.
-type invalid() :: raise | error | ignore.

%% The longest request target the native HTTP library takes, in bytes.
-define(MAX_PATH, 65534).

%% The most headers of a request, of which the native HTTP library takes some 24,000, and the
%% most bytes of them. Servers take far less.
-define(MAX_HEADERS, 10000).
-define(MAX_HEADERS_SIZE, 16#100000).

%% @doc A request with its whole body. What the user says of the body's length counts for
%% nothing, as in gun: it is known. Raises as headers/2 and path/1 do, and
%% `error({invalid_request_method, Method, Text})', `error({invalid_request_body, Body, Text})'.
-spec whole(Method :: iodata(), Path :: iodata(), headers(), Body :: iodata(), Invalid :: invalid())
	-> gun_rs_native:request().
whole(Method, Path, Headers0, Body, Invalid) ->
	Headers = [Header || Header={Name, _} <- headers(Headers0, Invalid), Name =/= <<"content-length">>],
	{method(Method), path(Path), without_coding(Headers), body(Body)}.

%% @doc Whether a request without a body is one to the older gun whose body follows: it took the
%% headers for it, by these names, and an empty binary for no body.
-spec may_announce(headers(), Body :: term()) -> boolean().
may_announce(Headers, <<>>) when is_list(Headers), length(Headers) > 0 ->
	lists:keymember(<<"content-type">>, 1, Headers)
		orelse not lists:member(lists:keyfind(<<"content-length">>, 1, Headers), [false, {<<"content-length">>, <<"0">>}]);
may_announce(_, _) ->
	false.

%% @doc A request whose body is to follow: in chunks, unless there is a content-length
%% header, which must be a number.
-spec streamed(Method :: iodata(), Path :: iodata(), headers(), Invalid :: invalid())
	-> gun_rs_native:request().
streamed(Method, Path, Headers0, Invalid) ->
	Headers = headers(Headers0, Invalid),
	Length = case [Value || {<<"content-length">>, Value} <- Headers] of
		[] -> undefined;
		[Value] -> content_length(Value);
		_ -> error({invalid_request_header, <<"content-length">>, "There can be one content-length only."})
	end,
	Rest = [Header || Header={Name, _} <- Headers, Name =/= <<"content-length">>],
	{method(Method), path(Path), without_coding(Rest), {streamed, Length}}.

%% RFC 9110, 8.6. What a server may hold is less than 64 bits can count.
content_length(Value) ->
	case re:run(Value, "^[0-9]{1,18}$", [dollar_endonly, {capture, none}]) of
		match -> binary_to_integer(Value);
		nomatch -> error({invalid_request_header, <<"content-length">>, "The content-length must be a number of bytes."})
	end.

%% The transfer coding is ours to choose. To leave out another one than chunked would
%% be to send a body as what it isn't.
without_coding(Headers) ->
	_ = [error({invalid_request_header, Name, "The only transfer coding of a request is chunked, and is chosen for you."})
		|| {Name= <<"transfer-encoding">>, Value} <- Headers, lowercase(Value) =/= <<"chunked">>],
	[Header || Header={Name, _} <- Headers, Name =/= <<"transfer-encoding">>].

method(Method) ->
	try iolist_to_binary(Method) of
		Bin ->
			case is_token(Bin) of
				true when Bin =:= <<"CONNECT">> -> error({invalid_request_method, Method,
					"A tunnel is no request: CONNECT is not one of the methods."});
				true -> Bin;
				false -> error({invalid_request_method, Method, "The method must be a token: letters, digits and "
					"!#$%&'*+-.^_`|~, without space or line break."})
			end
	catch error:badarg ->
		error({invalid_request_method, Method, "The method must be iodata."})
	end.

%% @doc Flattens a body, or a part of one.
-spec body(Body :: iodata()) -> binary().
body(Body) ->
	try
		iolist_to_binary(Body)
	catch error:badarg ->
		error({invalid_request_body, Body, "The body must be iodata; encode other text as UTF-8."})
	end.

%% @doc Lowercases the names and flattens the values, keeping the order of a list.
%%
%% A name must be a token (RFC 9110, 5.1), a value must be iodata without control
%% characters except tab (RFC 9110, 5.5). Anything else raises
%% `error({invalid_request_header, Name, Text})', Text being an English string;
%% with `ignore' such a header is left out. More than 10,000 headers, or than 1 MiB of
%% them, raise in any case, naming the first one beyond. Differs: gun sends it as it is, and a CR
%% and LF in it begins a header, or a request, of whoever chose the value.
-spec headers(Headers :: headers(), Invalid :: invalid()) -> [{binary(), binary()}].
headers(Headers, Invalid) when is_map(Headers) ->
	headers(maps:to_list(Headers), Invalid, 0, 0);
headers(Headers, Invalid) ->
	headers(Headers, Invalid, 0, 0).

headers([], _, _, _) ->
	[];
headers([Header|Tail], Invalid, Count, Size0) ->
	case {header(Header), Invalid} of
		{{ok, Name, Value}, _} ->
			Size = Size0 + byte_size(Name) + byte_size(Value),
			ok = check_size(Name, Count + 1, Size),
			[{Name, Value}|headers(Tail, Invalid, Count + 1, Size)];
		{{error, _, _}, ignore} ->
			headers(Tail, ignore, Count, Size0);
		{{error, Name, Text}, _} ->
			error({invalid_request_header, Name, Text})
	end;
headers(Headers, _, _, _) ->
	error({invalid_request_header, Headers, "The headers must be a list or a map."}).

check_size(Name, Count, _) when Count > ?MAX_HEADERS ->
	error({invalid_request_header, Name, "The request has more than 10000 headers."});
check_size(Name, _, Size) when Size > ?MAX_HEADERS_SIZE ->
	error({invalid_request_header, Name, "The headers of the request have more than 1 MiB in all."});
check_size(_, _, _) ->
	ok.

%% @doc The headers of an upgrade to WebSocket, without those that the handshake has itself
%% (RFC 6455, 4.1): who copies a browser's gives them too. What they ask for that an upgrade
%% cannot be raises `error({invalid_request_header, Name, Text})'.
-spec upgrade_headers(Headers :: headers(), Invalid :: invalid()) -> [{binary(), binary()}].
upgrade_headers(Headers, Invalid) ->
	lists:filter(fun({Name, Value}) ->
		case handshake_header(Name, lowercase(Value)) of
			users -> true;
			ours -> false;
			{error, _} when Invalid =:= ignore -> false;
			{error, Text} -> error({invalid_request_header, Name, Text})
		end
	end, headers(Headers, Invalid)).

handshake_header(<<"connection">>, _) -> ours;
handshake_header(<<"sec-websocket-key">>, _) -> ours;
%% It is the option compress that offers one.
handshake_header(<<"sec-websocket-extensions">>, _) -> ours;
handshake_header(<<"sec-websocket-version">>, <<"13">>) -> ours;
handshake_header(<<"sec-websocket-version">>, _) -> {error, "The only version of WebSocket is 13, and is sent for you."};
handshake_header(<<"sec-websocket-accept">>, _) -> {error, "It is the server's to send."};
handshake_header(<<"upgrade">>, <<"websocket">>) -> ours;
handshake_header(<<"upgrade">>, _) -> {error, "The upgrade is to websocket, which is sent for you."};
handshake_header(<<"content-length">>, <<"0">>) -> ours;
handshake_header(<<"content-length">>, _) -> {error, "An upgrade has no body."};
handshake_header(<<"transfer-encoding">>, _) -> {error, "An upgrade has no body."};
handshake_header(_, _) -> users.

%% @doc Flattens a request target.
%%
%% It must begin with a slash (or be `*'), have at most 65534 bytes, and consist of
%% characters that may stand in the path and query of a URI, or of UTF-8. Anything
%% else raises `error({invalid_request_target, Path, Text})'.
-spec path(Path :: iodata()) -> binary().
path(Path) ->
	try iolist_to_binary(Path) of
		PathBin ->
			case check_path(PathBin) of
				ok -> PathBin;
				{error, Text} -> error({invalid_request_target, Path, Text})
			end
	catch error:badarg ->
		error({invalid_request_target, Path,
			"The path must be iodata; encode other text as UTF-8."})
	end.

%% @doc The limits that the options of a request set. Nodes with 0.3.0 know those without timeout.
-spec limits(gun_rs_options:req_opts()) -> gun_rs_native:limits().
limits(ReqOpts) when map_size(ReqOpts) =:= 0 ->
	{undefined, infinity, infinity};
limits(ReqOpts) ->
	Flow = maps:get(flow, ReqOpts, undefined),
	Response = maps:get(response_timeout, ReqOpts, infinity),
	Body = maps:get(body_timeout, ReqOpts, infinity),
	case ReqOpts of
		#{timeout := Timeout} when Timeout =/= infinity -> {Flow, Response, Body, Timeout};
		_ -> {Flow, Response, Body}
	end.

%% @doc The error for a request that native code cannot send.
-spec refusal(invalid_method | invalid_target | {invalid_header, Name :: binary()}, gun_rs_native:request())
	-> {invalid_request_method | invalid_request_target | invalid_request_header, term(), Text :: string()}.
refusal(invalid_method, {Method, _, _, _}) ->
	{invalid_request_method, Method, "The method cannot stand in a request line."};
refusal(invalid_target, {_, Path, _, _}) ->
	{invalid_request_target, Path, "The path cannot stand in a request line."};
refusal({invalid_header, Name}, _) ->
	{invalid_request_header, Name, "The name or the value cannot stand in a header."}.

%% @doc Whether this is a token: RFC 9110, 5.6.2.
-spec is_token(binary()) -> boolean().
is_token(<<>>) -> false;
is_token(Bin) -> are_token_chars(Bin).

%% @doc How a fun of the user's spells the names of headers, as far as the native HTTP library
%% can: these names show it.
-spec spelling(fun((binary()) -> term())) -> lowercase | title | other.
spelling(Fun) ->
	Names = [{<<"host">>, <<"Host">>}, {<<"content-length">>, <<"Content-Length">>},
		{<<"sec-websocket-key">>, <<"Sec-Websocket-Key">>}, {<<"x-a1-te">>, <<"X-A1-Te">>}],
	Transformed = try [Fun(Name) || {Name, _} <- Names] catch _:_ -> [] end,
	case lists:unzip(Names) of
		{Transformed, _} -> lowercase;
		{_, Transformed} -> title;
		_ -> other
	end.

%% Headers.

header({Name0, Value}) ->
	case header_name(Name0) of
		error ->
			{error, Name0, "The name must be a binary, string or atom."};
		{ok, Name} ->
			case is_token(Name) of
				true ->
					header_value(Name, Value);
				false ->
					{error, Name, "The name must be a token: letters, digits and "
						"!#$%&'*+-.^_`|~, without space or line break."}
			end
	end;
header(Header) ->
	{error, Header, "A header must be a tuple of a name and a value."}.

header_name(Name) when is_atom(Name) ->
	{ok, lowercase(atom_to_binary(Name))};
header_name(Name) when is_binary(Name) ->
	{ok, lowercase(Name)};
header_name(Name) when is_list(Name) ->
	try unicode:characters_to_binary(Name) of
		Bin when is_binary(Bin) -> {ok, lowercase(Bin)};
		_ -> error
	catch error:badarg ->
		error
	end;
header_name(_) ->
	error.

header_value(Name, Value0) ->
	try iolist_to_binary(Value0) of
		%% It is refused for its size.
		Value when byte_size(Value) > ?MAX_HEADERS_SIZE ->
			{ok, Name, Value};
		Value ->
			case has_control(Value) of
				false -> {ok, Name, Value};
				true -> {error, Name, "The value contains a line break or another "
					"control character."}
			end
	catch error:badarg ->
		{error, Name, "The value must be iodata; encode other text as UTF-8."}
	end.

lowercase(Bin) ->
	<< <<(lowercase_char(C))>> || <<C>> <= Bin >>.

lowercase_char(C) when C >= $A, C =< $Z -> C + 32;
lowercase_char(C) -> C.

are_token_chars(<<C, Tail/bits>>)
		when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $0, C =< $9;
			C =:= $!; C =:= $#; C =:= $$; C =:= $%; C =:= $&; C =:= $'; C =:= $*;
			C =:= $+; C =:= $-; C =:= $.; C =:= $^; C =:= $_; C =:= $`; C =:= $|;
			C =:= $~ ->
	are_token_chars(Tail);
are_token_chars(Tail) ->
	Tail =:= <<>>.

has_control(<<C, _/bits>>) when C < $\s, C =/= $\t; C =:= 127 -> true;
has_control(<<_, Tail/bits>>) -> has_control(Tail);
has_control(<<>>) -> false.

%% Paths.

check_path(<<"*">>) ->
	ok;
check_path(Path) when byte_size(Path) > ?MAX_PATH ->
	{error, "The path is longer than 65534 bytes."};
check_path(Path = <<"/", Tail/bits>>) ->
	case check_path_chars(Tail) of
		ok ->
			case unicode:characters_to_binary(Path) of
				Path -> ok;
				_ -> {error, "The path is not valid UTF-8; percent-encode other bytes."}
			end;
		Error ->
			Error
	end;
check_path(<<>>) ->
	{error, "The path is empty."};
check_path(_) ->
	{error, "The path must begin with a slash."}.

check_path_chars(<<>>) ->
	ok;
check_path_chars(<<$?, Tail/bits>>) ->
	check_query_chars(Tail);
check_path_chars(<<C, _/bits>>) when C =:= $<; C =:= $>; C =:= $` ->
	unencoded(C);
check_path_chars(<<C, Tail/bits>>) ->
	check_char(C, Tail, fun check_path_chars/1).

check_query_chars(<<>>) ->
	ok;
check_query_chars(<<C, _/bits>>) when C =:= $<; C =:= $>; C =:= $" ->
	unencoded(C);
check_query_chars(<<C, Tail/bits>>) ->
	check_char(C, Tail, fun check_query_chars/1).

check_char(C, _, _) when C < $\s; C =:= 127 ->
	{error, "The path contains a line break or another control character."};
check_char($\s, _, _) ->
	{error, "The path contains a space; write it as %20."};
check_char($#, _, _) ->
	{error, "The path contains a fragment, which is never sent; "
		"write the character # as %23."};
check_char(_, Tail, Continue) ->
	Continue(Tail).

unencoded(C) ->
	{error, lists:flatten(io_lib:format(
		"The path contains the character ~c; write it as %~2.16.0B.", [C, C]))}.

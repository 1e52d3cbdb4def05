%% @doc Reads the parts of a multipart body, one after the other: RFC 2046, 5.1.
%%
%% Takes and gives the map of a Req, in which the place in the body is kept.
-module(gun_rs_req_multipart).

-export([part/2]).
-export([body/3]).

%% Reads on in the body.
-type read() :: fun((map()) -> {ok | more, binary(), map()} | {error, term()}).
-export_type([read/0]).

%% The buffer is what has come and is not used. A line break is put before the first
%% delimiter, so that all begin with one.
-record(multipart, {
	delimiter :: binary(),
	buffer :: binary(),
	at :: content | delimiter | done,
	ended = false :: boolean()
}).

%% In bytes: the headers of one part, and padding behind a delimiter.
-define(MAX_HEADERS, 64000).

%% @doc The headers of the next part, in order and with their names in lower case. What is
%% left of the part before it is skipped.
-spec part(map(), read()) -> {ok, [{binary(), binary()}], map()} | {done, map()}.
part(Map0, Read) ->
	{Multipart, Map} = opened(Map0),
	next(Multipart, Map, Read).

%% @doc The body of the part whose headers were read, or as much of it as has so many bytes.
-spec body(map(), read(), Length :: non_neg_integer() | infinity) -> {ok | more, binary(), map()}.
body(#{multipart := #multipart{at = content} = Multipart} = Map, Read, Length) ->
	content(Multipart, Map, Read, Length, 0, []);
body(Map, _, _) ->
	{ok, <<>>, Map}.

opened(#{multipart := Multipart} = Map) ->
	{Multipart, Map};
opened(#{headers := Headers} = Map) ->
	case boundary(Headers) of
		{ok, Boundary} ->
			{#multipart{delimiter = <<"\r\n--", Boundary/binary>>, buffer = <<"\r\n">>, at = content}, Map};
		error ->
			exit({request_error, {header, <<"content-type">>}, 'The body is not multipart, or has no boundary.'})
	end.

boundary(Headers) when is_map(Headers) ->
	boundary_of(maps:get(<<"content-type">>, Headers, <<>>));
boundary(Headers) ->
	boundary_of(proplists:get_value(<<"content-type">>, Headers, <<>>)).

boundary_of(Value) ->
	case gun_rs_req_headers:parse(cowboy_2, <<"content-type">>, Value) of
		{ok, {<<"multipart">>, _, Params}} ->
			case lists:keyfind(<<"boundary">>, 1, Params) of
				{_, Boundary} when byte_size(Boundary) >= 1, byte_size(Boundary) =< 70 -> {ok, Boundary};
				_ -> error
			end;
		_ ->
			error
	end.

next(#multipart{at = done} = Multipart, Map, _) ->
	{done, kept(Multipart, Map)};
next(#multipart{at = content} = Multipart, Map, Read) ->
	case split(Multipart) of
		{_, AtDelimiter} ->
			next(AtDelimiter, Map, Read);
		{more, _, Rest} ->
			{More, MapMore} = more(Multipart#multipart{buffer = Rest}, Map, Read),
			next(More, MapMore, Read)
	end;
next(#multipart{at = delimiter, delimiter = Delimiter, buffer = Buffer} = Multipart, Map, Read) ->
	Size = byte_size(Delimiter),
	case Buffer of
		<<_:Size/binary, "--", _/binary>> ->
			{done, kept(Multipart#multipart{at = done, buffer = <<>>}, Map)};
		<<_:Size/binary, Tail/binary>> ->
			case headers(Tail) of
				{ok, Headers, Rest} ->
					{ok, Headers, kept(Multipart#multipart{at = content, buffer = Rest}, Map)};
				more when byte_size(Tail) =< ?MAX_HEADERS ->
					{More, MapMore} = more(Multipart, Map, Read),
					next(More, MapMore, Read);
				more ->
					exit({request_error, {multipart, headers}, 'The headers of a part are too large.'})
			end
	end.

content(Multipart, Map, Read, Length, Size, Parts) ->
	case split(Multipart) of
		{Part, AtDelimiter} ->
			{ok, iolist_to_binary(lists:reverse(Parts, [Part])), kept(AtDelimiter, Map)};
		{more, Part, Rest} ->
			Total = Size + byte_size(Part),
			Left = Multipart#multipart{buffer = Rest},
			case Total >= Length andalso Total > 0 of
				true ->
					{more, iolist_to_binary(lists:reverse(Parts, [Part])), kept(Left, Map)};
				false ->
					{More, MapMore} = more(Left, Map, Read),
					content(More, MapMore, Read, Length, Total, [Part|Parts])
			end
	end.

%% What stands before the next delimiter; or what surely does, and the rest, in which a
%% delimiter may begin.
split(#multipart{delimiter = Delimiter, buffer = Buffer} = Multipart) ->
	case binary:match(Buffer, Delimiter) of
		{Pos, _} ->
			<<Part:Pos/binary, Rest/binary>> = Buffer,
			{Part, Multipart#multipart{at = delimiter, buffer = Rest}};
		nomatch ->
			Sure = max(0, byte_size(Buffer) - byte_size(Delimiter) + 1),
			<<Part:Sure/binary, Rest/binary>> = Buffer,
			{more, Part, Rest}
	end.

more(#multipart{ended = true}, _, _) ->
	exit({request_error, {multipart, body}, 'The body ends before its last delimiter.'});
more(#multipart{buffer = Buffer} = Multipart, Map, Read) ->
	case Read(Map) of
		{Result, Data, MapRead} ->
			{Multipart#multipart{buffer = <<Buffer/binary, Data/binary>>, ended = Result =:= ok}, MapRead};
		{error, Reason} ->
			exit({request_error, {multipart, Reason}, 'The body cannot be read.'})
	end.

kept(Multipart, Map) ->
	Map#{multipart => Multipart}.

%% Padding may stand between a delimiter and its line break.
headers(Tail) ->
	case binary:split(Tail, <<"\r\n">>) of
		[Padding, Rest] ->
			_ = gun_rs_req_text:trim(Padding) =:= <<>> orelse malformed(),
			header_lines(Rest);
		[_] ->
			more
	end.

%% A part may have no headers.
header_lines(<<"\r\n", Rest/binary>>) ->
	{ok, [], Rest};
header_lines(Text) ->
	case binary:split(Text, <<"\r\n\r\n">>) of
		[Lines, Rest] ->
			Unfolded = binary:replace(Lines, [<<"\r\n ">>, <<"\r\n\t">>], <<" ">>, [global]),
			{ok, [header(Line) || Line <- binary:split(Unfolded, <<"\r\n">>, [global])], Rest};
		[_] ->
			more
	end.

header(Line) ->
	case binary:split(Line, <<":">>) of
		[Name, Value] ->
			_ = gun_rs_req_text:is_token(Name) orelse malformed(),
			{gun_rs_req_text:lowercase(Name), gun_rs_req_text:trim(Value)};
		_ ->
			malformed()
	end.

-spec malformed() -> no_return().
malformed() ->
	exit({request_error, {multipart, headers}, 'The headers of a part are invalid.'}).

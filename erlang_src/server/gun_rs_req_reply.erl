%% @doc Sends responses, for both dialects.
%%
%% Takes the map of a Req. What nobody gets because the client is gone counts as sent, as in
%% Cowboy; what must not be sent is an exit `{response_error, Reason, Text}'.
-module(gun_rs_req_reply).

-export([headers/1]).
-export([whole/4]).
-export([stream/3]).
-export([data/3]).
-export([trailers/2]).
-export([inform/3]).
-export([events/1]).
-export([error_status/1]).

%% With the phrase behind the number or without it.
-type status() :: 100..999 | binary().
-type headers() :: [{iodata(), iodata()}].
-type body() :: iodata()
	| {sendfile, Offset :: non_neg_integer(), Length :: non_neg_integer(), file:name_all()}.
-export_type([status/0, headers/0, body/0]).

-type event() :: #{
	comment => iodata(),
	data => iodata(),
	event => iodata() | atom(),
	id => iodata(),
	retry => non_neg_integer()
}.
-export_type([event/0]).

%% Shorter replies are not worth compressing, as in Cowboy 1.
-define(MIN_COMPRESSED, 300).

%% A file that is streamed is read in pieces of so many bytes.
-define(PIECE, 65536).

%% @doc What was set for the response: headers, and cookies behind them. Also the response
%% that begins a WebSocket has them.
-spec headers(map()) -> headers().
headers(#{resp_headers := List}) when is_list(List) ->
	{Cookies, Others} = lists:partition(fun({Name, _}) -> Name =:= <<"set-cookie">> end, List),
	%% The newest is the first; of a header set twice it counts.
	lists:reverse(newest(Others, [])) ++ lists:reverse(Cookies);
headers(Map) ->
	maps:to_list(maps:get(resp_headers, Map, #{}))
		++ [{<<"set-cookie">>, Cookie} || Cookie <- maps:values(maps:get(resp_cookies, Map, #{}))].

newest([], Done) ->
	lists:reverse(Done);
newest([{Name, _} = Header|Headers], Done) ->
	case lists:keymember(Name, 1, Done) of
		true -> newest(Headers, Done);
		false -> newest(Headers, [Header|Done])
	end.

%% @doc All of a response. Headers that are given here win over those set before.
-spec whole(map(), status(), headers(), body()) -> ok.
whole(Map, Status0, Given, Body0) ->
	{Status, Reason} = status(Status0),
	Headers0 = merged(Map, Given),
	{Headers, Body} = case Status =:= 204 orelse Status =:= 304 of
		true -> {Headers0, <<>>};
		false -> body(Map, Headers0, Body0)
	end,
	done(gun_rs_served:respond(Map, Status, Reason, without_framing(Headers), Body)).

body(_, Headers, {sendfile, Offset, Length, File}) ->
	%% The working directory of the native library may be another one.
	{Headers, {file, path(filename:absname(File)), Offset, Length}};
body(Map, Headers, Data) ->
	compressed(Map, Headers, iolist_to_binary(Data)).

path(File) when is_binary(File) -> File;
path(File) -> unicode:characters_to_binary(File, unicode, file:native_name_encoding()).

compressed(#{compress := true, headers := Request} = _Map, Headers, Body)
		when is_list(Request), byte_size(Body) > ?MIN_COMPRESSED ->
	case accepts_gzip(Request) andalso not lists:keymember(<<"content-encoding">>, 1, Headers) of
		true -> {[{<<"content-encoding">>, <<"gzip">>}|Headers], zlib:gzip(Body)};
		false -> {Headers, Body}
	end;
compressed(_, Headers, Body) ->
	{Headers, Body}.

accepts_gzip(Request) ->
	Value = proplists:get_value(<<"accept-encoding">>, Request, <<>>),
	case gun_rs_req_headers:parse(cowboy_1, <<"accept-encoding">>, Value) of
		{ok, Encodings} -> proplists:get_value(<<"gzip">>, Encodings, 0) > 0;
		error -> false
	end.

%% @doc Begins a response whose body is streamed. A content-length that is given is its
%% length; without one the body is sent in chunks.
-spec stream(map(), status(), headers()) -> ok.
stream(Map, Status0, Given) ->
	{Status, Reason} = status(Status0),
	Headers = merged(Map, Given),
	Length = case lists:keyfind(<<"content-length">>, 1, Headers) of
		{_, Value} ->
			case gun_rs_req_text:digits(Value) of
				{ok, Number} -> Number;
				error -> invalid(invalid_header, 'The content-length is not a number.')
			end;
		false ->
			undefined
	end,
	done(gun_rs_served:respond(Map, Status, Reason, without_framing(Headers), {stream, Length})).

%% @doc More of a streamed body. A response to HEAD has none, whatever is given here.
-spec data(map(), fin | nofin, body()) -> ok | {error, closed}.
data(#{method := <<"HEAD">>} = Map, Fin, _) ->
	send(Map, Fin, <<>>);
data(Map, Fin, {sendfile, Offset, Length, File}) ->
	case file:open(File, [read, raw, binary]) of
		{ok, Device} ->
			try
				pieces(Map, Fin, Device, Offset, Length)
			after
				file:close(Device)
			end;
		{error, Reason} ->
			error({sendfile, Reason, File})
	end;
data(Map, Fin, Data) ->
	send(Map, Fin, iolist_to_binary(Data)).

pieces(Map, Fin, _, _, 0) ->
	send(Map, Fin, <<>>);
pieces(Map, Fin, Device, Offset, Length) ->
	case file:pread(Device, Offset, min(Length, ?PIECE)) of
		{ok, Data} ->
			case send(Map, nofin, Data) of
				ok -> pieces(Map, Fin, Device, Offset + byte_size(Data), Length - byte_size(Data));
				{error, closed} -> {error, closed}
			end;
		eof ->
			error({sendfile, eof});
		{error, Reason} ->
			error({sendfile, Reason})
	end.

send(_, nofin, <<>>) ->
	ok;
send(Map, Fin, Data) ->
	case gun_rs_served:data(Map, Fin, Data) of
		gone -> {error, closed};
		Result -> done(Result)
	end.

%% @doc Ends a streamed body with trailers.
-spec trailers(map(), headers()) -> ok.
trailers(Map, Trailers) ->
	done(gun_rs_served:trailers(Map, checked(Trailers))).

%% @doc An informational response.
-spec inform(map(), status(), headers()) -> ok.
inform(Map, Status0, Headers) ->
	case status(Status0) of
		{Status, _} when Status =< 199 -> done(gun_rs_served:inform(Map, Status, checked(Headers)));
		_ -> invalid(invalid_status, 'The status of an informational response is 1xx.')
	end.

%% @doc Server-sent events as text.
-spec events(event() | [event()]) -> iodata().
events(Events) when is_list(Events) -> [event(Event) || Event <- Events];
events(Event) -> event(Event).

event(Event) ->
	[
		[lines(<<": ">>, Comment) || #{comment := Comment} <- [Event]],
		[[<<"id: ">>, one_line(Id), $\n] || #{id := Id} <- [Event]],
		[[<<"event: ">>, one_line(Name), $\n] || #{event := Name} <- [Event]],
		[lines(<<"data: ">>, Data) || #{data := Data} <- [Event]],
		[[<<"retry: ">>, integer_to_binary(Retry), $\n] || #{retry := Retry} <- [Event]],
		$\n
	].

lines(Prefix, Text) ->
	[[Prefix, Line, $\n] || Line <- binary:split(iolist_to_binary(Text), [<<"\r\n">>, <<"\r">>, <<"\n">>], [global])].

one_line(Name) when is_atom(Name) ->
	one_line(atom_to_binary(Name, utf8));
one_line(Text) ->
	Line = iolist_to_binary(Text),
	case binary:match(Line, [<<"\r">>, <<"\n">>]) of
		nomatch -> Line;
		_ -> error({badarg, Line})
	end.

%% @doc The status of the response where a handler has ended with this exit or error, and
%% nothing was sent.
-spec error_status(Reason :: term()) -> 400 | 408 | 413 | 500.
error_status({request_error, payload_too_large, _}) -> 413;
error_status({request_error, timeout, _}) -> 408;
error_status({request_error, _, _}) -> 400;
error_status(_) -> 500.

%% Headers.

status(Status) when is_integer(Status), Status >= 100, Status =< 999 ->
	{Status, <<>>};
status(<<H, T, O>>) when H >= $1, H =< $9, T >= $0, T =< $9, O >= $0, O =< $9 ->
	{(H - $0) * 100 + (T - $0) * 10 + O - $0, <<>>};
status(<<Number:3/binary, $\s, Reason/binary>>) ->
	case gun_rs_req_text:is_value(Reason) of
		true -> {element(1, status(Number)), Reason};
		false -> invalid(invalid_status, 'The phrase of a status is one line.')
	end;
status(_) ->
	invalid(invalid_status, 'A status is a number of three digits, and a phrase if it is a binary.').

%% What is given, what was set, what we add: of each name the first of them counts.
merged(Map, Given0) ->
	Given = checked(Given0),
	Set = [Header || {Name, _} = Header <- checked(headers(Map)),
		Name =:= <<"set-cookie">> orelse not lists:keymember(Name, 1, Given)],
	All = Given ++ Set,
	case lists:keymember(<<"server">>, 1, All) of
		true -> All;
		false -> [{<<"server">>, <<"gun_rs">>}|All]
	end.

checked(Headers) ->
	[{gun_rs_req_text:lowercase(iolist_to_binary(Name)), iolist_to_binary(Value)} || {Name, Value} <- Headers].

%% The native library says how a body is framed, and knows how long it is.
without_framing(Headers) ->
	[Header || {Name, _} = Header <- Headers, Name =/= <<"content-length">>, Name =/= <<"transfer-encoding">>].

done(ok) -> ok;
done(gone) -> ok;
done({error, already_sent}) -> invalid(response_already_sent, 'The response was sent already.');
done({error, not_open}) -> invalid(response_not_open, 'No body is open: stream_reply or chunked_reply begins one.');
done({error, {invalid_header, Name}}) -> invalid({invalid_header, Name}, 'The header has a name or value that none may have.');
%% The client takes nothing any more: the process ends, and the connection with it.
done({error, timeout}) -> exit({shutdown, {response, timeout}}).

-spec invalid(term(), atom()) -> no_return().
invalid(Reason, Text) ->
	exit({response_error, Reason, Text}).

%% @doc The texts of a request and of a response: what HTTP and URIs make of bytes.
-module(gun_rs_req_text).

-export([lowercase/1]).
-export([trim/1]).
-export([decode/2]).
-export([is_token/1]).
-export([is_value/1]).
-export([parse_qs/1]).
-export([digits/1]).
-export([date/1]).

%% @doc In lower case; only ASCII has a case here.
-spec lowercase(binary()) -> binary().
lowercase(Binary) ->
	case is_lowercase(Binary) of
		true -> Binary;
		false -> << <<(lower(C))>> || <<C>> <= Binary >>
	end.

is_lowercase(<<C, _/binary>>) when C >= $A, C =< $Z -> false;
is_lowercase(<<_, Tail/binary>>) -> is_lowercase(Tail);
is_lowercase(<<>>) -> true.

lower(C) when C >= $A, C =< $Z -> C + 32;
lower(C) -> C.

%% @doc Without spaces and tabs at both ends: OWS of RFC 9110, 5.6.3.
-spec trim(binary()) -> binary().
trim(<<C, Tail/binary>>) when C =:= $\s; C =:= $\t -> trim(Tail);
trim(Binary) -> trim_end(Binary, byte_size(Binary)).

trim_end(_, 0) ->
	<<>>;
trim_end(Binary, Size) ->
	case binary:at(Binary, Size - 1) of
		C when C =:= $\s; C =:= $\t -> trim_end(Binary, Size - 1);
		_ -> binary:part(Binary, 0, Size)
	end.

%% @doc Without percent-encoding. In forms and in Cowboy 1 a plus sign is a space.
-spec decode(binary(), PlusIsSpace :: boolean()) -> {ok, binary()} | error.
decode(Binary, Plus) ->
	case is_plain(Binary) of
		true -> {ok, Binary};
		false -> decode(Binary, Plus, <<>>)
	end.

%% To look for both at once, binary:match/2 would make a table that takes longer than most texts.
is_plain(<<C, _/binary>>) when C =:= $%; C =:= $+ -> false;
is_plain(<<_, Tail/binary>>) -> is_plain(Tail);
is_plain(<<>>) -> true.

decode(<<$%, H, L, Tail/binary>>, Plus, Done) ->
	case {hex(H), hex(L)} of
		{High, Low} when is_integer(High), is_integer(Low) ->
			decode(Tail, Plus, <<Done/binary, (High * 16 + Low)>>);
		_ ->
			error
	end;
decode(<<$%, _/binary>>, _, _) -> error;
decode(<<$+, Tail/binary>>, true, Done) -> decode(Tail, true, <<Done/binary, $\s>>);
decode(<<C, Tail/binary>>, Plus, Done) -> decode(Tail, Plus, <<Done/binary, C>>);
decode(<<>>, _, Done) -> {ok, Done}.

hex(C) when C >= $0, C =< $9 -> C - $0;
hex(C) when C >= $A, C =< $F -> C - $A + 10;
hex(C) when C >= $a, C =< $f -> C - $a + 10;
hex(_) -> error.

%% @doc Whether it is a token: RFC 9110, 5.6.2.
-spec is_token(binary()) -> boolean().
is_token(<<>>) -> false;
is_token(Binary) -> all_token(Binary).

all_token(<<C, Tail/binary>>) -> is_token_char(C) andalso all_token(Tail);
all_token(<<>>) -> true.

is_token_char(C) when C >= $a, C =< $z; C >= $A, C =< $Z; C >= $0, C =< $9 -> true;
is_token_char(C) -> lists:member(C, "!#$%&'*+-.^_`|~").

%% @doc Whether it may be the value of a header: no control character but tab.
-spec is_value(binary()) -> boolean().
is_value(<<C, _/binary>>) when C < $\s, C =/= $\t; C =:= 127 -> false;
is_value(<<_, Tail/binary>>) -> is_value(Tail);
is_value(<<>>) -> true.

%% @doc The names and values of a query string or of a form; true is the value where there
%% is no equals sign. An equals sign without a name is an error.
-spec parse_qs(binary()) -> {ok, [{binary(), binary() | true}]} | error.
parse_qs(Binary) ->
	parse_qs(binary:split(Binary, <<"&">>, [global]), []).

parse_qs([], Done) ->
	{ok, lists:reverse(Done)};
parse_qs([<<>>|Parts], Done) ->
	parse_qs(Parts, Done);
parse_qs([Part|Parts], Done) ->
	case pair(binary:split(Part, <<"=">>)) of
		{ok, Pair} -> parse_qs(Parts, [Pair|Done]);
		error -> error
	end.

pair([Name0]) ->
	case decode(Name0, true) of
		{ok, Name} -> {ok, {Name, true}};
		error -> error
	end;
pair([<<>>, _]) ->
	error;
pair([Name0, Value0]) ->
	case {decode(Name0, true), decode(Value0, true)} of
		{{ok, Name}, {ok, Value}} -> {ok, {Name, Value}};
		_ -> error
	end.

%% @doc A number of digits and nothing else, which Erlang's own conversion is not strict about.
-spec digits(binary()) -> {ok, non_neg_integer()} | error.
digits(Binary) when byte_size(Binary) > 0, byte_size(Binary) =< 20 ->
	case << <<C>> || <<C>> <= Binary, C >= $0, C =< $9 >> of
		Binary -> {ok, binary_to_integer(Binary)};
		_ -> error
	end;
digits(_) ->
	error.

%% @doc A date in UTC as headers have it: RFC 9110, 5.6.7.
-spec date(calendar:datetime()) -> binary().
date({{Year, Month, Day} = Date, {Hour, Minute, Second}}) ->
	Weekday = element(calendar:day_of_the_week(Date), {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}),
	Name = element(Month, {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}),
	iolist_to_binary(io_lib:format("~s, ~2..0w ~s ~4..0w ~2..0w:~2..0w:~2..0w GMT",
		[Weekday, Day, Name, Year, Hour, Minute, Second])).

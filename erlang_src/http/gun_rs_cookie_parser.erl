%% @doc Reads the value of a Set-Cookie header as RFC 6265bis, 5.6 says, which takes much
%% more than 4.1 lets servers send.
-module(gun_rs_cookie_parser).

-export([set_cookie/1]).
-export([date/1]).
-export([has_control/1]).
-export([lowercase/1]).

%% What the server asked for, the last attribute of a name counting. Dates are in UTC; a
%% max_age is the date that it means. `default' is a same_site that is unknown or empty.
-type attrs() :: #{
	expires => calendar:datetime(),
	max_age => calendar:datetime(),
	domain => binary(),
	path => binary(),
	secure => true,
	http_only => true,
	same_site => strict | lax | none | default
}.
-export_type([attrs/0]).

%% In bytes: RFC 6265bis, 5.6.
-define(MAX_COOKIE, 4096).
-define(MAX_ATTRIBUTE, 1024).

%% 400 days in seconds: RFC 6265bis, 5.5.
-define(MAX_AGE, 400 * 24 * 60 * 60).

%% The earliest date that the module calendar knows.
-define(EARLIEST, {{0, 1, 1}, {0, 0, 0}}).

%% @doc The name, value and attributes of a cookie: RFC 6265bis, 5.6.
%%
%% A cookie without a name is valid, one without name and value is not. `ignore' is the
%% answer also to control characters other than tab, and to a name and value that have
%% more than 4096 bytes together. An attribute of more than 1024 bytes, or that means
%% nothing, is left out. No date is more than 400 days ahead.
-spec set_cookie(binary()) -> {ok, Name :: binary(), Value :: binary(), attrs()} | ignore.
set_cookie(SetCookie) ->
	case has_control(SetCookie) of
		true ->
			ignore;
		false ->
			[Pair|Attributes] = binary:split(SetCookie, <<";">>, [global]),
			case name_and_value(Pair) of
				{<<>>, <<>>} ->
					ignore;
				{Name, Value} when byte_size(Name) + byte_size(Value) > ?MAX_COOKIE ->
					ignore;
				{Name, Value} ->
					%% Copied, or a stored cookie would keep all of a response's headers.
					{ok, binary:copy(Name), binary:copy(Value), attributes(Attributes)}
			end
	end.

%% @doc Whether there are control characters other than tab: RFC 6265bis, 5.6.
-spec has_control(binary()) -> boolean().
has_control(<<C, _/bits>>) when C < $\s, C =/= $\t; C =:= 127 -> true;
has_control(<<_, Tail/bits>>) -> has_control(Tail);
has_control(<<>>) -> false.

name_and_value(Pair) ->
	case binary:split(Pair, <<"=">>) of
		[Name, Value] -> {trim(Name), trim(Value)};
		[Value] -> {<<>>, trim(Value)}
	end.

%% Attributes.

attributes(Attributes) ->
	Now = erlang:universaltime(),
	lists:foldl(fun(Attribute, Attrs) ->
		[Name|Value] = binary:split(Attribute, <<"=">>),
		attribute(lowercase(trim(Name)), trim(iolist_to_binary(Value)), Now, Attrs)
	end, #{}, Attributes).

attribute(_, Value, _, Attrs) when byte_size(Value) > ?MAX_ATTRIBUTE ->
	Attrs;
attribute(<<"expires">>, Value, Now, Attrs) ->
	case date(Value) of
		{ok, Date} -> Attrs#{expires => min(Date, later(Now, ?MAX_AGE))};
		error -> Attrs
	end;
attribute(<<"max-age">>, Value, Now, Attrs) ->
	case max_age(Value) of
		{ok, Seconds} when Seconds > 0 -> Attrs#{max_age => later(Now, min(Seconds, ?MAX_AGE))};
		{ok, _} -> Attrs#{max_age => ?EARLIEST};
		error -> Attrs
	end;
attribute(<<"domain">>, <<$., Domain/binary>>, _, Attrs) ->
	Attrs#{domain => lowercase(Domain)};
attribute(<<"domain">>, Domain, _, Attrs) ->
	Attrs#{domain => lowercase(Domain)};
attribute(<<"path">>, Path = <<"/", _/bits>>, _, Attrs) ->
	Attrs#{path => binary:copy(Path)};
%% It asks for the default path, as no attribute does: RFC 6265bis, 5.6.4.
attribute(<<"path">>, _, _, Attrs) ->
	maps:remove(path, Attrs);
attribute(<<"secure">>, _, _, Attrs) ->
	Attrs#{secure => true};
attribute(<<"httponly">>, _, _, Attrs) ->
	Attrs#{http_only => true};
attribute(<<"samesite">>, Value, _, Attrs) ->
	Attrs#{same_site => same_site(lowercase(Value))};
attribute(_, _, _, Attrs) ->
	Attrs.

same_site(<<"strict">>) -> strict;
same_site(<<"lax">>) -> lax;
same_site(<<"none">>) -> none;
same_site(_) -> default.

%% RFC 6265bis, 5.6.2: unlike what Erlang takes for an integer, no plus sign.
max_age(<<$-, Digits/bits>>) -> integer(Digits, -1);
max_age(Digits) -> integer(Digits, 1).

integer(Digits = <<_, _/bits>>, Sign) ->
	case << <<C>> || <<C>> <= Digits, C >= $0, C =< $9 >> of
		Digits -> {ok, Sign * binary_to_integer(Digits)};
		_ -> error
	end;
integer(<<>>, _) ->
	error.

later(Date, Seconds) ->
	calendar:gregorian_seconds_to_datetime(calendar:datetime_to_gregorian_seconds(Date) + Seconds).

%% Dates.

%% @doc Reads the date of an Expires attribute, in any of the forms that servers send:
%% RFC 6265bis, 5.1.1.
-spec date(binary()) -> {ok, calendar:datetime()} | error.
date(Bin) ->
	case date(tokens(Bin), undefined, undefined, undefined, undefined) of
		{{Hour, Minute, Second} = Time, Day, Month, Year0}
				when Hour =< 23, Minute =< 59, Second =< 59, is_integer(Day),
					is_integer(Month), is_integer(Year0) ->
			Date = {full_year(Year0), Month, Day},
			case calendar:valid_date(Date) of
				true when element(1, Date) >= 1601 -> {ok, {Date, Time}};
				_ -> error
			end;
		_ ->
			error
	end.

%% Each token is the first of time, day, month and year that it can be and that no
%% token has been before; one that can be none is skipped.
date([], Time, Day, Month, Year) ->
	{Time, Day, Month, Year};
date([Token|Tail], Time, Day, Month, Year) ->
	case {Time =:= undefined andalso time(Token), Day =:= undefined andalso number(Token, 1, 2)} of
		{{ok, T}, _} ->
			date(Tail, T, Day, Month, Year);
		{_, {ok, D}} ->
			date(Tail, Time, D, Month, Year);
		_ ->
			case {Month =:= undefined andalso month(Token), Year =:= undefined andalso number(Token, 2, 4)} of
				{{ok, M}, _} -> date(Tail, Time, Day, M, Year);
				{_, {ok, Y}} -> date(Tail, Time, Day, Month, Y);
				_ -> date(Tail, Time, Day, Month, Year)
			end
	end.

full_year(Year) when Year =< 69 -> Year + 2000;
full_year(Year) when Year =< 99 -> Year + 1900;
full_year(Year) -> Year.

time(Token) ->
	case field(Token, 1, 2) of
		{Hour, <<$:, Tail0/bits>>} ->
			case field(Tail0, 1, 2) of
				{Minute, <<$:, Tail/bits>>} ->
					case number(Tail, 1, 2) of
						{ok, Second} -> {ok, {Hour, Minute, Second}};
						error -> error
					end;
				_ ->
					error
			end;
		_ ->
			error
	end.

month(<<Name:3/binary, _/bits>>) -> month_number(lowercase(Name));
month(_) -> error.

month_number(<<"jan">>) -> {ok, 1};
month_number(<<"feb">>) -> {ok, 2};
month_number(<<"mar">>) -> {ok, 3};
month_number(<<"apr">>) -> {ok, 4};
month_number(<<"may">>) -> {ok, 5};
month_number(<<"jun">>) -> {ok, 6};
month_number(<<"jul">>) -> {ok, 7};
month_number(<<"aug">>) -> {ok, 8};
month_number(<<"sep">>) -> {ok, 9};
month_number(<<"oct">>) -> {ok, 10};
month_number(<<"nov">>) -> {ok, 11};
month_number(<<"dec">>) -> {ok, 12};
month_number(_) -> error.

%% The number at the beginning of a token, with Min to Max digits. What follows is of no
%% interest, unless it is a digit.
number(Token, Min, Max) ->
	case field(Token, Min, Max) of
		{_, <<C, _/bits>>} when C >= $0, C =< $9 -> error;
		{N, _} -> {ok, N};
		error -> error
	end.

field(Bin, Min, Max) ->
	field(Bin, 0, 0, Min, Max).

field(<<C, Tail/bits>>, N, Digits, Min, Max) when C >= $0, C =< $9, Digits < Max ->
	field(Tail, N * 10 + C - $0, Digits + 1, Min, Max);
field(Tail, N, Digits, Min, _) when Digits >= Min ->
	{N, Tail};
field(_, _, _, _, _) ->
	error.

tokens(Bin) ->
	tokens(Bin, <<>>, []).

tokens(<<C, Tail/bits>>, Token, Tokens)
		when C =:= $\t; C >= $\s, C =< $/; C >= $;, C =< $@; C >= $[, C =< $`; C >= ${, C =< $~ ->
	tokens(Tail, <<>>, [Token|Tokens]);
tokens(<<C, Tail/bits>>, Token, Tokens) ->
	tokens(Tail, <<Token/binary, C>>, Tokens);
tokens(<<>>, Token, Tokens) ->
	[T || T <- lists:reverse([Token|Tokens]), T =/= <<>>].

%% Text. The functions of the module string raise for bytes that are no UTF-8.

trim(<<C, Tail/binary>>) when C =:= $\s; C =:= $\t ->
	trim(Tail);
trim(Bin) ->
	trim_trailing(Bin, byte_size(Bin)).

trim_trailing(Bin, Size) when Size > 0 ->
	case binary:at(Bin, Size - 1) of
		C when C =:= $\s; C =:= $\t -> trim_trailing(Bin, Size - 1);
		_ -> binary:part(Bin, 0, Size)
	end;
trim_trailing(_, 0) ->
	<<>>.

%% @doc In lower case, of the letters of ASCII alone.
-spec lowercase(binary()) -> binary().
lowercase(Bin) ->
	<< <<(if C >= $A, C =< $Z -> C + 32; true -> C end)>> || <<C>> <= Bin >>.

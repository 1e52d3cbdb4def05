%% @doc What Cowboy has for binaries, of which others call the letters.
-module(cowboy_bstr).

-export([to_lower/1]).
-export([to_upper/1]).
-export([capitalize_token/1]).
-export([char_to_lower/1]).
-export([char_to_upper/1]).

-spec to_lower(binary()) -> binary().
to_lower(Text) ->
	<< <<(lower(Char))>> || <<Char>> <= Text >>.

-spec to_upper(binary()) -> binary().
to_upper(Text) ->
	<< <<(upper(Char))>> || <<Char>> <= Text >>.

%% @doc As headers are written: `Content-Type'.
-spec capitalize_token(binary()) -> binary().
capitalize_token(Text) ->
	Words = [case Word of
		<<First, Rest/binary>> -> <<(upper(First)), (to_lower(Rest))/binary>>;
		<<>> -> <<>>
	end || Word <- binary:split(Text, <<"-">>, [global])],
	iolist_to_binary(lists:join($-, Words)).

-spec char_to_lower(char()) -> char().
char_to_lower(Char) ->
	lower(Char).

-spec char_to_upper(char()) -> char().
char_to_upper(Char) ->
	upper(Char).

lower(Char) when Char >= $A, Char =< $Z -> Char + ($a - $A);
lower(Char) -> Char.

upper(Char) when Char >= $a, Char =< $z -> Char - ($a - $A);
upper(Char) -> Char.

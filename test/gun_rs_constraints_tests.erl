%% A constraint checks and converts what a client sent, and says what is wrong with it.
-module(gun_rs_constraints_tests).

-include_lib("eunit/include/eunit.hrl").

a_value_is_checked_and_converted_test_() ->
	[?_assertEqual(Expected, gun_rs_constraints:validate(Value, Constraints)) || {Value, Constraints, Expected} <- [
		{<<"12">>, int, {ok, 12}},
		{<<"-12">>, int, {ok, -12}},
		{<<"12">>, [nonempty, int], {ok, 12}},
		{<<"a">>, [], {ok, <<"a">>}},
		{<<"a">>, int, {error, {int, not_an_integer, <<"a">>}}},
		{<<>>, int, {error, {int, not_an_integer, <<>>}}},
		{[<<"1">>, <<"2">>], int, {error, {int, not_an_integer, [<<"1">>, <<"2">>]}}},
		{<<>>, nonempty, {error, {nonempty, empty, <<>>}}},
		{<<>>, [nonempty, int], {error, {nonempty, empty, <<>>}}},
		{<<"a">>, nonempty, {ok, <<"a">>}},
		{<<"ab">>, fun upper/2, {ok, <<"AB">>}},
		{<<"12">>, [fun upper/2, int], {ok, 12}},
		{<<"x y">>, fun upper/2, {error, {fun upper/2, spaces, <<"x y">>}}}
	]].

a_value_is_turned_back_test_() ->
	[?_assertEqual(Expected, gun_rs_constraints:reverse(Value, Constraints)) || {Value, Constraints, Expected} <- [
		{12, int, {ok, <<"12">>}},
		{a, int, {error, {int, not_an_integer, a}}},
		{<<"a">>, nonempty, {ok, <<"a">>}},
		{<<>>, [nonempty], {error, {nonempty, empty, <<>>}}},
		{<<"AB">>, fun upper/2, {ok, <<"ab">>}}
	]].

every_error_has_a_text_test_() ->
	[?_assertEqual(Expected, text(gun_rs_constraints:validate(Value, Constraint))) || {Value, Constraint, Expected} <- [
		{<<"a">>, int, "The value \"a\" is not an integer."},
		{<<>>, nonempty, "The value \"\" is empty."},
		{<<"x y">>, fun upper/2, "There are spaces in x y."}
	]].

bindings_are_checked_test_() ->
	Even = fun(N) -> N rem 2 =:= 0 end,
	[?_assertEqual(Expected, gun_rs_constraints:bindings(Fields, #{a => <<"2">>, b => 3})) || {Fields, Expected} <- [
		{[], {ok, #{a => <<"2">>, b => 3}}},
		{[{a, int}], {ok, #{a => 2, b => 3}}},
		{[a, {a, [nonempty, int]}, {zz, int}], {ok, #{a => 2, b => 3}}},
		{[{a, int}, {a, function, Even}], {ok, #{a => 2, b => 3}}},
		{[{b, function, Even}], error},
		{[{b, function, fun(N) -> {true, N + 1} end}], {ok, #{a => <<"2">>, b => 4}}},
		{[{zz, function, Even}], {ok, #{a => <<"2">>, b => 3}}},
		{[{a, int}, {b, nonempty}, {b, int}], error}
	]].

text({error, Reason}) ->
	lists:flatten(io_lib:format("~s", [gun_rs_constraints:format_error(Reason)])).

upper(format_error, {spaces, Value}) ->
	["There are spaces in ", Value, "."];
upper(forward, Value) ->
	case binary:match(Value, <<" ">>) of
		nomatch -> {ok, string:uppercase(Value)};
		_ -> {error, spaces}
	end;
upper(reverse, Value) ->
	{ok, string:lowercase(Value)}.

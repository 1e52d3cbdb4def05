%% @doc Cowboy's constraints, by gun_rs_constraints.
-module(cowboy_constraints).

-export([validate/2]).
-export([reverse/2]).
-export([format_error/1]).

-type constraint() :: gun_rs_constraints:constraint().
-type reason() :: gun_rs_constraints:reason().
-export_type([constraint/0, reason/0]).

-spec validate(term(), constraint() | [constraint()]) -> {ok, term()} | {error, reason()}.
validate(Value, Constraints) ->
	gun_rs_constraints:validate(Value, Constraints).

-spec reverse(term(), constraint() | [constraint()]) -> {ok, term()} | {error, reason()}.
reverse(Value, Constraints) ->
	gun_rs_constraints:reverse(Value, Constraints).

-spec format_error(reason()) -> iodata().
format_error(Reason) ->
	gun_rs_constraints:format_error(Reason).

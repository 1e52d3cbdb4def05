%% @private Answers that handlers have not given: to requests that are no good, and to those whose handler has crashed.
-module(gun_rs_refusal).

-export([refuse/3]).
-export([unless_replied/2]).
-export([unless_replied/3]).
-export([crashed/1]).

%% @doc Answers with this status, and no body.
-spec refuse(Id :: non_neg_integer(), Status :: 200..599, gun_rs_native:headers()) -> ok.
refuse(Id, Status, Headers) ->
	%% A client that is gone needs no answer.
	_ = gun_rs_served:refuse(Id, Status, Headers),
	ok.

%% @doc The same, unless the handler has answered.
-spec unless_replied(Id :: non_neg_integer(), Status :: 200..599) -> ok.
unless_replied(Id, Status) ->
	unless_replied(Id, Status, []).

-spec unless_replied(Id :: non_neg_integer(), Status :: 200..599, gun_rs_native:headers()) -> ok.
unless_replied(Id, Status, Headers) ->
	case gun_rs_served:state(Id) of
		none -> refuse(Id, Status, Headers);
		_ -> ok
	end.

%% @doc The handler has crashed: 500, unless it has answered, and the connection closes. A body that is not whole
%% stays so.
-spec crashed(Id :: non_neg_integer()) -> ok.
crashed(Id) ->
	unless_replied(Id, 500, [{<<"connection">>, <<"close">>}]).

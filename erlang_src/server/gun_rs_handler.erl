%% @doc The behaviour of plain handlers of Cowboy 2: init/2 answers the request.
-module(gun_rs_handler).

-callback init(Req, State) -> {ok, Req, State} when Req :: gun_rs_req:req(), State :: term().

-callback terminate(Reason :: normal | {crash, error | exit | throw, term()}, Req :: gun_rs_req:req(), State :: term())
	-> term().
-optional_callbacks([terminate/3]).

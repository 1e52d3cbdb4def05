%% @doc The behaviour of plain handlers of Cowboy 2: that of gun_rs_handler.
-module(cowboy_handler).

-callback init(Req, State) -> {ok, Req, State} when Req :: gun_rs_req:req(), State :: term().

-callback terminate(Reason :: normal | {crash, error | exit | throw, term()}, Req :: gun_rs_req:req(), State :: term())
	-> term().
-optional_callbacks([terminate/3]).

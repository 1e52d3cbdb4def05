%% @doc The behaviour of loop handlers of Cowboy 2: they answer a request as messages come, and
%% begin with `{gun_rs_loop, Req, State}', or Cowboy's own name in its place.
-module(gun_rs_loop).

-callback init(Req, State) -> {cowboy_loop | gun_rs_loop, Req, State}
	| {cowboy_loop | gun_rs_loop, Req, State, hibernate}
	when Req :: gun_rs_req:req(), State :: term().

-callback info(Message :: term(), Req, State) -> {ok, Req, State} | {ok, Req, State, hibernate} | {stop, Req, State}
	when Req :: gun_rs_req:req(), State :: term().

-callback terminate(Reason :: term(), Req :: gun_rs_req:req(), State :: term()) -> term().
-optional_callbacks([terminate/3]).

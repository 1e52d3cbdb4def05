%% @doc The behaviour of loop handlers of Cowboy 2: that of gun_rs_loop.
-module(cowboy_loop).

-callback init(Req, State) -> {cowboy_loop | gun_rs_loop, Req, State}
	| {cowboy_loop | gun_rs_loop, Req, State, hibernate}
	when Req :: gun_rs_req:req(), State :: term().

-callback info(Message :: term(), Req, State) -> {ok, Req, State} | {ok, Req, State, hibernate} | {stop, Req, State}
	when Req :: gun_rs_req:req(), State :: term().

-callback terminate(Reason :: term(), Req :: gun_rs_req:req(), State :: term()) -> term().
-optional_callbacks([terminate/3]).

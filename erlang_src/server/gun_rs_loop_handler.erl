%% @doc The behaviour of loop handlers of Cowboy 0.8 to 1.1: they answer a request as messages come.
-module(gun_rs_loop_handler).

-callback init({tcp | ssl, http}, Req, Opts :: term()) -> {loop, Req, State :: term()}
	| {loop, Req, State :: term(), hibernate | timeout()}
	| {loop, Req, State :: term(), timeout(), hibernate}
	| {shutdown, Req, State :: term()}
	when Req :: gun_rs_req:req().

-callback info(Message :: term(), Req, State) -> {ok | loop, Req, State} | {loop, Req, State, hibernate}
	when Req :: gun_rs_req:req(), State :: term().

-callback terminate(Reason, Req :: gun_rs_req:req(), State :: term()) -> term()
	when Reason :: {normal, shutdown | timeout} | {error, closed} | {error, term()}.

%% @doc The behaviour of plain handlers of Cowboy 0.8 to 1.1.
-module(gun_rs_http_handler).

-callback init({tcp | ssl, http}, Req, Opts :: term()) -> {ok, Req, State :: term()}
	| {shutdown, Req, State :: term()}
	when Req :: gun_rs_req:req().

-callback handle(Req, State) -> {ok, Req, State} when Req :: gun_rs_req:req(), State :: term().

%% With the reason of a crash of handle/2 as it is.
-callback terminate(Reason :: {normal, shutdown} | term(), Req :: gun_rs_req:req(), State :: term()) -> term().

%% @doc The behaviour of plain handlers of Cowboy 1: that of gun_rs_http_handler.
-module(cowboy_http_handler).

-callback init({tcp | ssl, http}, Req, Opts :: term()) -> {ok, Req, State :: term()}
	| {shutdown, Req, State :: term()}
	when Req :: gun_rs_req:req().

-callback handle(Req, State) -> {ok, Req, State} when Req :: gun_rs_req:req(), State :: term().

%% With the reason of a crash of handle/2 as it is.
-callback terminate(Reason :: {normal, shutdown} | term(), Req :: gun_rs_req:req(), State :: term()) -> term().

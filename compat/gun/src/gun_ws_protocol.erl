%% @doc The behaviour of modules that take a WebSocket's frames: `gun_rs_ws_protocol'.
-module(gun_ws_protocol).

-type protocol_state() :: any().
-export_type([protocol_state/0]).

-callback init(ReplyTo :: gun:reply_to(), gun:stream_ref(), Headers :: [{binary(), binary()}], gun:ws_opts())
	-> {ok, protocol_state()}.

-callback handle(gun_rs_ws_protocol:frame(), State) -> {ok, FlowDecrement :: non_neg_integer(), State}
	when State :: protocol_state().

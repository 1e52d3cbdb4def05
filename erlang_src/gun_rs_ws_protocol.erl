%% @doc What a module that takes a WebSocket's frames provides, as gun's
%% `gun_ws_protocol' behaviour has it.
%%
%% Such a module is named by the options protocols and default_protocol of ws_opts. It
%% runs in the process behind ConnPid; when it crashes, that connection goes down with
%% its reason, and nothing else does. The fragments of a message come one by one, as
%% they are received; whole messages come as they are told without a module.
-module(gun_rs_ws_protocol).

-type frame() :: gun_rs_frames:frame()
	| {fragment, fin | nofin, text | binary, Payload :: binary()}.
-export_type([frame/0]).

%% Called when the upgrade is done, after gun_upgrade has been sent to ReplyTo. Opts are
%% the ws_opts in force; what is meant for the module stands in its user_opts.
-callback init(ReplyTo :: gun_rs_options:reply_to(), StreamRef :: reference(),
	Headers :: [{binary(), binary()}], Opts :: gun_rs_options:ws_opts())
	-> {ok, State :: term()}.

%% Called for each frame. FlowDecrement is what the frame costs of the flow.
-callback handle(frame(), State :: term())
	-> {ok, FlowDecrement :: non_neg_integer(), NewState :: term()}.

%% @doc What a module that takes a WebSocket's frames provides, as gun's
%% `gun_ws_protocol' behaviour has it.
%%
%% Such a module is named by the options protocols and default_protocol of ws_opts. It
%% runs in the process behind ConnPid; when it crashes, that connection goes down with
%% its reason, and nothing else does. The fragments of a message come one by one, as
%% they are received; whole messages come as they are delivered without a module.
-module(gun_rs_ws_protocol).

-export([module/1]).
-export([is_module/1]).
-export([are_subprotocols/1]).

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

%% @private What a program that was written for gun calls it.
-spec module(module()) -> module().
module(gun_ws_h) -> gun_rs_ws_h;
module(Module) -> Module.

%% @private Whether the module can take frames: one that is not there is better known now than at
%% the upgrade.
-spec is_module(term()) -> boolean().
is_module(Name) when is_atom(Name) ->
	Module = module(Name),
	code:ensure_loaded(Module) =:= {module, Module}
		andalso erlang:function_exported(Module, init, 4)
		andalso erlang:function_exported(Module, handle, 2);
is_module(_) ->
	false.

%% @private Whether these are subprotocols, each with a module. The names must be tokens, and
%% unique: RFC 6455, 4.1, 10.
-spec are_subprotocols(term()) -> boolean().
are_subprotocols(L=[_|_]) when length(L) >= 0 ->
	Names = [subprotocol(Element) || Element <- L],
	lists:all(fun gun_rs_request:is_token/1, Names) andalso length(lists:usort(Names)) =:= length(Names);
are_subprotocols(_) ->
	false.

subprotocol({Name, Module}) ->
	case is_module(Module) of
		true -> try iolist_to_binary(Name) catch error:badarg -> <<>> end;
		false -> <<>>
	end;
subprotocol(_) ->
	<<>>.

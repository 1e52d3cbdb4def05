%% @doc What a module that takes the bodies of responses provides, as gun's
%% `gun_content_handler' behaviour has it, and the chain of such modules that one
%% response has.
%%
%% Such modules are named by the option content_handlers of http_opts, as Module or
%% `{Module, Opts}' with a map of options. They run in the process behind ConnPid, one
%% after the other: each is given what the one before it has made of the body, until one
%% is done with it. When one crashes, that connection goes down with its reason, and
%% nothing else does. A body that no module takes is dropped: `gun_rs_data_h', which
%% takes every one and is the default, stands last where that must not be.
%%
%% The names gun_data_h and gun_sse_h, and gun_data and gun_sse, mean `gun_rs_data_h' and
%% `gun_rs_sse_h', whether or not gun is there too.
-module(gun_rs_content_handler).

-export([init/5]).
-export([handle/3]).
-export([check_option/1]).

-type handlers() :: [module() | {module(), Opts :: map()}].
-export_type([handlers/0]).

-type state() :: [{module(), term()}].
-export_type([state/0]).

%% Called when a response with a body begins, after gun_response has been sent to
%% ReplyTo. A module that is not for this response answers disable, and is not called for
%% it again.
-callback init(ReplyTo :: gun_rs_options:reply_to(), StreamRef :: reference(),
	Status :: 100..999, Headers :: [{binary(), binary()}], Opts :: map())
	-> {ok, State :: term()} | disable.

%% Called for each piece of the body, or of what the module before this one has made of
%% it. With fin it is the last piece, and may be empty; a body that trailers follow has
%% none. Answered with ok, NewData goes on to the next module; with done, nothing does.
%% FlowDecrement is what the piece costs of the flow: one for each message sent.
-callback handle(fin | nofin, Data :: term(), State :: term())
	-> {ok, NewData :: term(), FlowDecrement :: non_neg_integer(), NewState :: term()}
	| {done, FlowDecrement :: non_neg_integer(), NewState :: term()}.

%% @doc Starts the modules for one response.
-spec init(gun_rs_options:reply_to(), reference(), 100..999, [{binary(), binary()}], handlers())
	-> state().
init(ReplyTo, StreamRef, Status, Headers, Handlers) ->
	lists:flatmap(fun(Handler) ->
		{Module, Opts} = module_and_opts(Handler),
		case Module:init(ReplyTo, StreamRef, Status, Headers, Opts) of
			{ok, State} -> [{Module, State}];
			disable -> []
		end
	end, Handlers).

%% @doc Gives the modules one piece of the body. Flow is what it costs altogether.
-spec handle(fin | nofin, Data :: term(), state()) -> {ok, Flow :: non_neg_integer(), state()}.
handle(_, _, []) ->
	{ok, 0, []};
handle(IsFin, Data0, [{Module, State0}|Tail0]) ->
	case Module:handle(IsFin, Data0, State0) of
		{ok, Data, Flow, State} ->
			{ok, TailFlow, Tail} = handle(IsFin, Data, Tail0),
			{ok, Flow + TailFlow, [{Module, State}|Tail]};
		{done, Flow, State} ->
			{ok, Flow, [{Module, State}|Tail0]}
	end.

%% @doc Checks the option content_handlers: one module or more, each of which can be
%% loaded and exports init/5 and handle/3. The options of gun_rs's own modules are
%% checked too.
-spec check_option(Handlers :: term()) -> ok | error.
check_option(Handlers) when length(Handlers) > 0 ->
	case lists:all(fun is_handler/1, Handlers) of
		true -> ok;
		false -> error
	end;
check_option(_) ->
	error.

is_handler(Handler) ->
	case module_and_opts(Handler) of
		{Module, Opts} when is_atom(Module), is_map(Opts) ->
			%% A module that is not there is better known now than at the first response.
			code:ensure_loaded(Module) =:= {module, Module}
				andalso erlang:function_exported(Module, init, 5)
				andalso erlang:function_exported(Module, handle, 3)
				andalso are_options(Module, Opts);
		_ ->
			false
	end.

are_options(gun_rs_data_h, Opts) -> gun_rs_data_h:check_options(Opts) =:= ok;
are_options(gun_rs_sse_h, Opts) -> gun_rs_sse_h:check_options(Opts) =:= ok;
are_options(_, _) -> true.

module_and_opts({Module, Opts}) -> {module(Module), Opts};
module_and_opts(Module) -> {module(Module), #{}}.

module(Name) when Name =:= gun_data_h; Name =:= gun_data -> gun_rs_data_h;
module(Name) when Name =:= gun_sse_h; Name =:= gun_sse -> gun_rs_sse_h;
module(Module) -> Module.

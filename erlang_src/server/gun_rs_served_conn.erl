%% @private The process of a connection that a listener has accepted: it runs the handlers of its
%% requests, one after the other, and becomes the process of the WebSocket that one of them opens.
-module(gun_rs_served_conn).

-export([start/3]).
-export([init/3]).
-export([idle/1]).
-export([finished/2]).
-export([system_continue/3]).
-export([system_terminate/4]).
-export([system_code_change/4]).

-type served() :: #{
	ref := gun_rs_server:ref(),
	config := gun_rs_listeners:serving(),
	conn := gun_rs_native:served(),
	peer := map(),
	listener := pid(),
	%% Of the request that is being answered, for telemetry.
	span => [atom()]
}.
-export_type([served/0]).

%% In ms: for so long a process that waits for the next request stays awake.
-define(AWAKE, 1000).

%% @doc Starts the process, with the first request.
-spec start(served(), Id :: non_neg_integer(), Request :: map()) -> pid().
start(Served, Id, Request) ->
	proc_lib:spawn(?MODULE, init, [Served, Id, Request]).

-spec init(served(), Id :: non_neg_integer(), Request :: map()) -> no_return().
init(Served=#{conn := Conn, ref := Ref}, Id, Request) ->
	ok = gun_rs_label:set(fun() -> {gun_rs, served, Ref} end),
	case gun_rs_native:served_own(Conn) of
		ok -> request(Id, Request, follow(gun_rs_server_telemetry:connected(Served)));
		gone -> exit(normal)
	end.

%% The listener that has started this process may have been killed, and the one in its place may have looked for its
%% connections before this one could be found.
follow(Served=#{conn := Conn, ref := Ref, listener := Listener}) ->
	case gun_rs_listeners:lookup(Ref) of
		{ok, New} when New =/= Listener ->
			ok = gun_rs_served:adopted(New, Conn, http),
			Served#{listener := New};
		_ ->
			Served
	end.

%% @doc Waits for the next request.
-spec idle(served()) -> no_return().
idle(Served=#{conn := Conn, listener := Listener}) ->
	receive
		{gun_rs_served, {request, Id, Request}} ->
			request(Id, Request, Served);
		{gun_rs_served, {adopt, New}} ->
			ok = gun_rs_served:adopted(New, Conn, http),
			idle(Served#{listener := New});
		{gun_rs_served, {down, _}} ->
			exit(normal);
		{gun_rs_served, shut_down} ->
			exit(normal);
		{gun_rs_served, shutdown} ->
			_ = gun_rs_native:served_shutdown(Conn),
			idle(Served);
		{system, From, Request} ->
			sys:handle_system_msg(Request, From, Listener, ?MODULE, [], Served);
		%% Left over from a request that was: nobody waits for it any more.
		_ ->
			idle(Served)
	after ?AWAKE ->
		proc_lib:hibernate(?MODULE, idle, [Served])
	end.

request(Id, Request, Served0=#{config := Config, conn := Conn, peer := Peer, ref := Ref}) ->
	Served = gun_rs_server_telemetry:request(Request, Served0),
	#{dialect := Dialect, transport := Transport, protocol := #{compress := Compress}} = Config,
	Extra = #{ref => Ref, scheme => scheme(Transport), compress => Compress},
	case gun_rs_served:new_request(Dialect, Id, Conn, Request, Peer, Extra) of
		{error, Status} -> refuse(Status, Id, Served);
		Req -> route(Req, Id, Request, Served)
	end.

scheme(#{tls := undefined}) -> <<"http">>;
scheme(_) -> <<"https">>.

route(Req, Id, Request, Served=#{config := #{dialect := Dialect, protocol := #{env := Env}}}) ->
	#{host := Host, path := Path} = fields(Req),
	Dispatch = maps:get(dispatch, Env, []),
	case gun_rs_router:match(Dialect, Dispatch, Host, Path) of
		{ok, Handler, Opts, Bindings, HostInfo, PathInfo} ->
			handle(gun_rs_req_new:with_route(Req, Bindings, HostInfo, PathInfo), Handler, Opts, Id, Request, Served);
		{error, Status} ->
			refuse(Status, Id, Served)
	end.

fields({gun_rs_req_1, Fields}) -> Fields;
fields(Fields) -> Fields.

%% A WebSocket does not come back; nor does a handler that crashes, which is in the log by then.
handle(Req, Handler, Opts, Id, Request, Served=#{config := #{dialect := cowboy_1}}) ->
	ok = gun_rs_handler_1:run(Req, Handler, Opts, Request, for_handler(Id, Served)),
	finished(Id, Served);
handle(Req, Handler, Opts, Id, Request, Served=#{config := #{dialect := cowboy_2}}) ->
	ok = gun_rs_handler_2:run(Req, Handler, Opts, Request, for_handler(Id, Served)),
	finished(Id, Served).

%% With what names the request, and what a handler that does not come back goes on with.
for_handler(Id, Served) ->
	Served#{id => Id, next => {?MODULE, finished, [Id, Served]}}.

%% @doc A request is done: the next one has its turn.
-spec finished(Id :: non_neg_integer(), served()) -> no_return().
finished(Id, Served) ->
	ok = case gun_rs_served:finish(Id) of
		none -> gun_rs_refusal:refuse(Id, 204, []);
		_ -> ok
	end,
	over(Id, Served).

over(Id, Served) ->
	ok = gun_rs_served:forget(Id),
	idle(gun_rs_server_telemetry:done(Served)).

refuse(Status, Id, Served=#{config := #{dialect := Dialect}}) ->
	Headers = case Dialect of
		cowboy_1 -> [{<<"connection">>, <<"close">>}];
		cowboy_2 -> []
	end,
	ok = gun_rs_refusal:refuse(Id, Status, Headers),
	over(Id, Served).

%% For sys.

-spec system_continue(pid(), [sys:dbg_opt()], served()) -> no_return().
system_continue(_, _, Served) ->
	idle(Served).

-spec system_terminate(term(), pid(), [sys:dbg_opt()], served()) -> no_return().
system_terminate(Reason, _, _, #{conn := Conn}) ->
	_ = gun_rs_native:served_shutdown(Conn),
	exit(Reason).

-spec system_code_change(served(), module(), term(), term()) -> {ok, served()}.
system_code_change(Served, _, _, _) ->
	{ok, Served}.

%% The handler that bench_server has both servers run.
-module(bench_server_h).

-export([start/0]).
-export([init/2]).
-export([websocket_init/1]).
-export([websocket_handle/2]).
-export([websocket_info/2]).

%% Starts the scope of pg that has those in a group that listen.
start() ->
	pg:start(?MODULE).

init(Req = #{path := Path, qs := Qs}, {Server, Opts}) ->
	State = case Path of
		<<"/echo">> -> echo;
		<<"/listen">> -> listen;
		<<"/broadcast">> ->
			[{<<"size">>, Size}, {<<"listeners">>, Listeners}] = uri_string:dissect_query(Qs),
			ok = await(binary_to_integer(Listeners)),
			{Server, binary:copy(<<"x">>, binary_to_integer(Size))}
	end,
	{cowboy_websocket, Req, State, Opts}.

%% A client has its 101 before the process joins the group.
await(Listeners) ->
	case length(pg:get_local_members(?MODULE, listen)) of
		Listeners ->
			ok;
		_ ->
			timer:sleep(10),
			await(Listeners)
	end.

websocket_init(listen) ->
	ok = pg:join(?MODULE, listen, self()),
	{[], listen};
websocket_init(State) ->
	{[], State}.

websocket_handle(Frame = {binary, _}, echo) ->
	{[Frame], echo};
websocket_handle({text, <<"next">>}, State = {Server, Payload}) ->
	ok = broadcast(Server, pg:get_local_members(?MODULE, listen), {binary, Payload}),
	{[], State}.

websocket_info({broadcast, Frame}, listen) ->
	{[Frame], listen}.

%% Cowboy's way is a message to each process, which sends the frame.
broadcast(cowboy, Pids, Frame) ->
	_ = [Pid ! {broadcast, Frame} || Pid <- Pids],
	ok;
broadcast(gun_rs, Pids, Frame) ->
	Listeners = length(Pids),
	#{sent := Listeners} = gun_rs_server:broadcast(Pids, Frame),
	ok.

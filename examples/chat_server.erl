%% Rooms: what one says, all in the room receive, on every node of the cluster.
%%
%%     {ok, _} = chat_server:start(8080).
%%
%% A client opens ws://localhost:8080/room/lobby?name=ada and sends texts.
-module(chat_server).
-behaviour(gun_rs_websocket).

-export([start/1, stop/0, port/0]).
-export([init/2, websocket_init/1, websocket_handle/2, websocket_info/2, terminate/3]).

-spec start(inet:port_number()) -> {ok, pid()} | {error, term()}.
start(Port) ->
	_ = pg:start(?MODULE),
	Dispatch = gun_rs_router:compile([{'_', [{"/room/:room", ?MODULE, []}]}]),
	gun_rs_server:start_clear(?MODULE, #{socket_opts => [{port, Port}], max_websockets => 10000}, #{
		env => #{dispatch => Dispatch},
		websocket => #{
			max_message_size => 4000,
			ping_interval => 30000,
			%% Whoever does not keep up loses what is new, and stays.
			slow_client => drop_new
		}
	}).

%% The clients are told, by a close frame with 1001.
-spec stop() -> ok | {error, not_found}.
stop() ->
	gun_rs_server:stop_listener(?MODULE).

-spec port() -> inet:port_number().
port() ->
	gun_rs_server:get_port(?MODULE).

%% Without a name the answer is 400.
init(Req, _) ->
	#{name := Name} = gun_rs_req:match_qs([{name, nonempty}], Req),
	{gun_rs_websocket, Req, {gun_rs_req:binding(room, Req), Name}}.

websocket_init(State = {Room, Name}) ->
	ok = pg:join(?MODULE, Room, self()),
	say(Room, [Name, " is here."]),
	{[], State}.

websocket_handle({text, Text}, State = {Room, Name}) ->
	say(Room, [Name, ": ", Text]),
	{[], State};
websocket_handle(_Frame, State) ->
	{[], State}.

websocket_info(_Message, State) ->
	{[], State}.

terminate(_Reason, _Req, {Room, Name}) -> say(Room, [Name, " has left."]);
terminate(_Reason, _Req, _) -> ok.

say(Room, Text) -> gun_rs_server:broadcast({pg, ?MODULE, Room}, {text, Text}).

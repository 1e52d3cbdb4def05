%% An HTTP bridge, as programs that use gun are written: a few pooled connections without retries, requests that wait for
%% their answers, streamed bodies in both directions, and a new connection in the place of one that has gone.
%%
%% GUN is the client's module.
-module(compare_bridge).

-export([start/2]).
-export([stop/1]).
-export([request/5]).
-export([upload/4]).
-export([download/3]).

-ifndef(GUN).
-define(GUN, gun_rs).
-endif.

-define(OPTS, #{
	retry => 0,
	connect_timeout => 5000,
	protocols => [http],
	http_opts => #{keepalive => infinity, closing_timeout => 1000}
}).
-define(REQ_OPTS, #{invalid_request_headers => raise}).

start({Host, Port}, Size) ->
	{{Host, Port}, [connect(Host, Port) || _ <- lists:seq(1, Size)]}.

stop({_, Conns}) ->
	[?GUN:close(ConnPid) || {ConnPid, MRef} <- Conns, demonitor(MRef, [flush])].

connect(Host, Port) ->
	{ok, ConnPid} = ?GUN:open(Host, Port, ?OPTS),
	MRef = monitor(process, ConnPid),
	case ?GUN:await_up(ConnPid, 5000, MRef) of
		{ok, http} -> {ConnPid, MRef};
		{error, Reason} -> {down, Reason}
	end.

%% One request; the connection goes to the end of the pool, or another takes its place.
request(Pool, Method, Path, Headers, Body) ->
	with_conn(Pool, fun(ConnPid, MRef) ->
		StreamRef = ?GUN:request(ConnPid, Method, Path, Headers, Body, ?REQ_OPTS),
		response(ConnPid, StreamRef, MRef)
	end).

upload(Pool, Path, Headers, Parts) ->
	with_conn(Pool, fun(ConnPid, MRef) ->
		StreamRef = ?GUN:headers(ConnPid, <<"POST">>, Path, Headers, ?REQ_OPTS),
		{First, [Last]} = lists:split(length(Parts) - 1, Parts),
		_ = [ok = ?GUN:data(ConnPid, StreamRef, nofin, Part) || Part <- First],
		ok = ?GUN:data(ConnPid, StreamRef, fin, Last),
		response(ConnPid, StreamRef, MRef)
	end).

%% The body part by part, each of which is paid for.
download(Pool, Path, Fun) ->
	with_conn(Pool, fun(ConnPid, MRef) ->
		StreamRef = ?GUN:get(ConnPid, Path, [], maps:put(flow, 1, ?REQ_OPTS)),
		case ?GUN:await(ConnPid, StreamRef, 1000, MRef) of
			{response, fin, Status, _} -> {ok, Status};
			{response, nofin, Status, _} -> {ok, Status, parts(ConnPid, StreamRef, MRef, Fun)};
			Error -> Error
		end
	end).

parts(ConnPid, StreamRef, MRef, Fun) ->
	case ?GUN:await(ConnPid, StreamRef, 1000, MRef) of
		{data, nofin, Data} ->
			_ = Fun(Data),
			ok = ?GUN:update_flow(ConnPid, StreamRef, 1),
			parts(ConnPid, StreamRef, MRef, Fun);
		{data, fin, Data} ->
			_ = Fun(Data),
			done;
		{trailers, Trailers} ->
			{done, Trailers};
		{error, Reason} ->
			{error, Reason}
	end.

response(ConnPid, StreamRef, MRef) ->
	case ?GUN:await(ConnPid, StreamRef, 1000, MRef) of
		{inform, _, _} ->
			response(ConnPid, StreamRef, MRef);
		{response, fin, Status, Headers} ->
			{ok, Status, Headers, <<>>};
		{response, nofin, Status, Headers} ->
			case ?GUN:await_body(ConnPid, StreamRef, 1000, MRef) of
				{ok, Body} -> {ok, Status, Headers, Body};
				{ok, Body, Trailers} -> {ok, Status, Headers, Body, Trailers};
				{error, Reason} -> {error, {body, Reason}}
			end;
		{error, timeout} ->
			ok = ?GUN:cancel(ConnPid, StreamRef),
			ok = ?GUN:flush(StreamRef),
			{error, timeout};
		{error, Reason} ->
			{error, Reason}
	end.

with_conn({Address={Host, Port}, [{ConnPid, MRef}|Conns]}, Fun) ->
	Result = try
		Fun(ConnPid, MRef)
	catch error:{invalid_request_header, Name, _} ->
		{error, {bad_header, Name}}
	end,
	Conn = case Result of
		{error, {Kind, _}} when Kind =:= bad_header -> {ConnPid, MRef};
		{error, _} -> ok = ?GUN:close(ConnPid), true = demonitor(MRef, [flush]), ok = ?GUN:flush(ConnPid), connect(Host, Port);
		_ -> keep(ConnPid, MRef, Host, Port)
	end,
	{Result, {Address, Conns ++ [Conn]}}.

%% One that the server has closed behind its answer is of no more use.
keep(ConnPid, MRef, Host, Port) ->
	receive
		{gun_down, ConnPid, http, _, _} ->
			receive {'DOWN', MRef, process, ConnPid, _} -> ok end,
			connect(Host, Port)
	after 0 ->
		{ConnPid, MRef}
	end.

%% A server of HTTP/1.1 that does with each request what a fun says, for the tests of pools: it may answer, wait, say
%% nothing, or close the connection.
-module(pool_server).

-export([start/1]).
-export([stop/1]).
-export([connections/1]).
-export([accepted/1]).
-export([release/1]).

%% What becomes of a request: an answer, an answer when release/1 says so, half an answer and the end of the connection,
%% the end at once, or nothing at all.
-type fate() :: {reply, iodata()} | {held, iodata()} | half | close | stall.

-spec start(fun((Path :: binary()) -> fate())) -> {Server :: pid(), inet:port_number()}.
start(Fate) ->
	Self = self(),
	Server = spawn(fun() ->
		{ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {packet, http_bin}, {reuseaddr, true}, {backlog, 1024},
			{ip, {127, 0, 0, 1}}]),
		{ok, Port} = inet:port(Listen),
		Self ! {self(), port, Port},
		Server = self(),
		_ = spawn_link(fun() -> accept(Listen, Fate, Server) end),
		loop(#{}, 0)
	end),
	receive
		{Server, port, Port} -> {Server, Port}
	after 30000 ->
		error(no_server)
	end.

stop(Server) ->
	MRef = monitor(process, Server),
	exit(Server, kill),
	receive {'DOWN', MRef, _, _, _} -> ok end.

%% How many connections there are.
connections(Server) -> call(Server, connections).

%% How many there have been.
accepted(Server) -> call(Server, accepted).

%% Answers all requests that are held, and waits until that is done.
release(Server) -> call(Server, release).

call(Server, What) ->
	Server ! {self(), What},
	receive {Server, What, Answer} -> Answer after 30000 -> error(no_answer) end.

loop(Connections, Accepted) ->
	receive
		{accepted, Pid} ->
			loop(Connections#{monitor(process, Pid) => Pid}, Accepted + 1);
		{'DOWN', MRef, process, _, _} ->
			loop(maps:remove(MRef, Connections), Accepted);
		{From, connections} ->
			From ! {self(), connections, map_size(Connections)},
			loop(Connections, Accepted);
		{From, accepted} ->
			From ! {self(), accepted, Accepted},
			loop(Connections, Accepted);
		{From, release} ->
			_ = [Pid ! release || Pid <- maps:values(Connections)],
			From ! {self(), release, ok},
			loop(Connections, Accepted)
	end.

accept(Listen, Fate, Server) ->
	case gen_tcp:accept(Listen) of
		{ok, Socket} ->
			Pid = spawn(fun() ->
				Watched = monitor(process, Server),
				receive {socket, Given} -> serve(Given, Fate, Watched) end
			end),
			ok = gen_tcp:controlling_process(Socket, Pid),
			Server ! {accepted, Pid},
			Pid ! {socket, Socket},
			accept(Listen, Fate, Server);
		{error, _} ->
			ok
	end.

serve(Socket, Fate, Watched) ->
	ok = inet:setopts(Socket, [{active, once}]),
	receive
		{http, Socket, {http_request, _, {abs_path, Path}, _}} ->
			serve(Socket, Fate, Path, Watched);
		release ->
			serve(Socket, Fate, Watched);
		_ ->
			ok
	end.

serve(Socket, Fate, Path, Watched) ->
	ok = inet:setopts(Socket, [{active, once}]),
	receive
		{http, Socket, http_eoh} -> answer(Fate(Path), Socket, Fate, Watched);
		{http, Socket, _} -> serve(Socket, Fate, Path, Watched);
		release -> serve(Socket, Fate, Path, Watched);
		_ -> ok
	end.

answer({reply, Body}, Socket, Fate, Watched) ->
	_ = gen_tcp:send(Socket, ["HTTP/1.1 200 OK\r\ncontent-length: ", integer_to_list(iolist_size(Body)), "\r\n\r\n", Body]),
	serve(Socket, Fate, Watched);
answer({held, Body}, Socket, Fate, Watched) ->
	ok = inet:setopts(Socket, [{active, once}]),
	%% The next request may come meanwhile, and waits in the mailbox.
	receive
		release -> answer({reply, Body}, Socket, Fate, Watched);
		{tcp_closed, Socket} -> ok;
		{tcp_error, Socket, _} -> ok;
		{'DOWN', Watched, _, _, _} -> ok
	end;
answer(half, Socket, _, _) ->
	_ = gen_tcp:send(Socket, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
	gen_tcp:close(Socket);
answer(close, Socket, _, _) ->
	gen_tcp:close(Socket);
answer(stall, Socket, _, _) ->
	ok = inet:setopts(Socket, [{active, once}]),
	receive
		{tcp_closed, Socket} -> ok;
		{tcp_error, Socket, _} -> ok;
		{'DOWN', _, _, _, _} -> ok
	end.

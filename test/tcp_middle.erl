%% What stands between a client and a server on TCP: it passes their bytes on, and can cut or spoil them.
%%
%% What it sees it tells the process that started it, as {tcp_middle, Middle, Event}:
%%
%%     accepted            a client came
%%     {closed, Bytes}     one of the two closed, after the server had sent that many
%%
%% The options:
%%
%%     packet => Size      pass at most so many bytes at a time, in both directions
%%     slow => Ms          rest so long before each packet, and hold little meanwhile: a slow link
%%     cut => Bytes        close after so many bytes of the server's, without passing what came with them
%%     spoil => Bytes      change the byte that follows so many of the server's
%%     path => File        listen there, on a Unix socket
-module(tcp_middle).

-export([start/2]).
-export([cut/1]).
-export([spoil/2]).
-export([stop/1]).

start(ServerPort, Opts) ->
	Parent = self(),
	{Middle, MRef} = spawn_monitor(fun() -> init(Parent, ServerPort, Opts) end),
	receive
		{Middle, Port} ->
			demonitor(MRef, [flush]),
			{Middle, Port};
		{'DOWN', MRef, process, Middle, Reason} ->
			error({tcp_middle, Reason})
	end.

%% Closes every connection, to both sides.
cut(Middle) ->
	Middle ! {all, cut},
	ok.

%% Changes a byte that a server sends, the one after the next Skip bytes.
spoil(Middle, Skip) ->
	Middle ! {all, {spoil, Skip}},
	ok.

stop(Middle) ->
	MRef = monitor(process, Middle),
	exit(Middle, shutdown),
	receive {'DOWN', MRef, process, Middle, _} -> ok end.

init(Parent, ServerPort, Opts) ->
	_ = monitor(process, Parent),
	Address = case Opts of
		#{path := File} -> [{ifaddr, {local, File}}];
		_ -> [{ip, {127, 0, 0, 1}}, {nodelay, true}]
	end,
	Buffers = [Buffer || Buffer <- [{recbuf, 16384}, {buffer, 1460}], is_map_key(slow, Opts)],
	{ok, Listener} = gen_tcp:listen(0, [binary, {active, false}, {backlog, 1024}|Buffers ++ Address]),
	{ok, Port} = inet:port(Listener),
	Parent ! {self(), Port},
	Middle = self(),
	spawn_link(fun() -> accept(Middle, Listener, Parent, ServerPort, Opts) end),
	loop([]).

loop(Pairs) ->
	receive
		{pair, Pid} ->
			loop([Pid|Pairs]);
		{all, What} ->
			_ = [Pid ! What || Pid <- Pairs],
			loop(Pairs);
		{'DOWN', _, process, _, _} ->
			exit(shutdown)
	end.

accept(Middle, Listener, Parent, ServerPort, Opts) ->
	{ok, Client} = gen_tcp:accept(Listener),
	Parent ! {tcp_middle, Middle, accepted},
	Pid = spawn_link(fun() ->
		receive start -> ok end,
		{ok, Server} = gen_tcp:connect({127, 0, 0, 1}, ServerPort, [binary, {active, once}, {nodelay, true}]),
		ok = inet:setopts(Client, [{active, once}]),
		Sent = pass(Client, Server, 0, Opts),
		ok = gen_tcp:close(Client),
		ok = gen_tcp:close(Server),
		Parent ! {tcp_middle, Middle, {closed, Sent}}
	end),
	ok = gen_tcp:controlling_process(Client, Pid),
	Middle ! {pair, Pid},
	Pid ! start,
	accept(Middle, Listener, Parent, ServerPort, Opts).

pass(_, _, Sent, #{cut := Sent}) ->
	Sent;
pass(Client, Server, Sent, Opts) ->
	receive
		{tcp, Client, Data} ->
			ok = inet:setopts(Client, [{active, once}]),
			send(Server, Data, Opts),
			pass(Client, Server, Sent, Opts);
		{tcp, Server, Data0} ->
			ok = inet:setopts(Server, [{active, once}]),
			Size = byte_size(Data0),
			Data = changed(Data0, Sent, Opts),
			case Opts of
				#{cut := Cut} when Sent + Size >= Cut ->
					send(Client, binary:part(Data, 0, Cut - Sent), Opts),
					Sent + Size;
				_ ->
					send(Client, Data, Opts),
					pass(Client, Server, Sent + Size, Opts)
			end;
		cut ->
			Sent;
		{spoil, Skip} ->
			pass(Client, Server, Sent, Opts#{spoil => Sent + Skip});
		{tcp_closed, _} ->
			Sent;
		{tcp_error, _, _} ->
			Sent
	end.

changed(Data, Sent, #{spoil := At}) when At >= Sent, At < Sent + byte_size(Data) ->
	Skip = At - Sent,
	<<Before:Skip/binary, Byte, After/binary>> = Data,
	<<Before/binary, (Byte bxor 1), After/binary>>;
changed(Data, _, _) ->
	Data.

send(Socket, Data, Opts=#{slow := Ms}) ->
	timer:sleep(Ms),
	send(Socket, Data, maps:remove(slow, Opts));
send(Socket, Data, #{packet := Size}) when byte_size(Data) > Size ->
	<<Part:Size/binary, Rest/binary>> = Data,
	_ = gen_tcp:send(Socket, Part),
	%% A chance to read it before the next; no sleep, which a loaded machine makes long.
	erlang:yield(),
	send(Socket, Rest, #{packet => Size});
send(Socket, Data, _) ->
	_ = gen_tcp:send(Socket, Data),
	ok.

%% Proxies and origins for the suites of tunnels: they speak CONNECT and SOCKS 5 over TCP and TLS, lead to where they are
%% asked to, or do what a fault of a proxy's is. Each tells whoever has started it what it is asked.
-module(proxies).

-export([start/2]).
-export([stop/1]).
-export([carry/4]).

-include("gun_rs_test.hrl").

%% What a proxy is: connect | socks, over tcp or tls, and with which behaviour:
%%     lead                       it leads to the host and port that it is asked for
%%     {answer, Bytes}            it answers with these bytes, and then leads nowhere
%%     {lead, Bytes}              it answers a CONNECT with these bytes, and leads on
%%     {pieces, Bytes}            the same, byte by byte
%%     close                      it closes when it is asked
%%     silent                     it never answers
%%     {password, Name, Password} of SOCKS: it wants them, and leads if they are right
%%     {reply, N}                 of SOCKS: it refuses with this number
%% It listens on `port', if that is given. `{proxy, Pid, {asked, Request}}' is sent to the caller for each connection.
start(Kind, Opts) ->
	Self = self(),
	Pid = spawn_link(fun() ->
		{Module, Listener} = listen(Opts),
		Self ! {self(), port(Module, Listener)},
		accept(Module, Listener, {Kind, maps:get(do, Opts, lead), Self})
	end),
	?EXPECT({Pid, Port}, {Pid, Port}).

stop({Pid, _}) ->
	unlink(Pid),
	MRef = monitor(process, Pid),
	exit(Pid, kill),
	?EXPECT({'DOWN', MRef, process, Pid, _}).

listen(Opts) ->
	Common = [binary, {active, false}, {ip, {127, 0, 0, 1}}, {backlog, 128}, {reuseaddr, true}],
	Port = maps:get(port, Opts, 0),
	case Opts of
		#{tls := #{certfile := CertFile, keyfile := KeyFile}} ->
			{ok, Listener} = ssl:listen(Port, [{certfile, CertFile}, {keyfile, KeyFile}|Common]),
			{ssl, Listener};
		_ ->
			{ok, Listener} = gen_tcp:listen(Port, Common),
			{gen_tcp, Listener}
	end.

port(gen_tcp, Listener) ->
	{ok, Port} = inet:port(Listener),
	Port;
port(ssl, Listener) ->
	{ok, {_, Port}} = ssl:sockname(Listener),
	Port.

accept(gen_tcp, Listener, How) ->
	{ok, Socket} = gen_tcp:accept(Listener),
	begin_with(gen_tcp, Socket, How),
	accept(gen_tcp, Listener, How);
accept(ssl, Listener, How) ->
	{ok, Accepted} = ssl:transport_accept(Listener),
	begin_with(ssl, Accepted, How),
	accept(ssl, Listener, How).

begin_with(Module, Socket, How) ->
	Parent = self(),
	%% It dies with the proxy, which dies with whoever has started it.
	Pid = spawn_link(fun() ->
		receive go -> ok end,
		case shake(Module, Socket) of
			{ok, Ready} -> ?CATCH(serve(Module, Ready, How, Parent));
			{error, _} -> ok
		end
	end),
	ok = Module:controlling_process(Socket, Pid),
	Pid ! go.

shake(gen_tcp, Socket) -> {ok, Socket};
shake(ssl, Accepted) -> ssl:handshake(Accepted, ?WAIT).

serve(Module, Socket, {connect, Do, Tester}, Parent) ->
	{Head, Rest} = read_head(Module, Socket, <<>>),
	Tester ! {proxy, Parent, {asked, Head}},
	[<<"CONNECT">>, Target|_] = binary:split(Head, <<" ">>, [global]),
	case Do of
		lead -> lead(Module, Socket, Target, Rest, <<"HTTP/1.1 200 OK\r\n\r\n">>);
		{lead, Bytes} -> lead(Module, Socket, Target, Rest, Bytes);
		{pieces, Bytes} -> lead(Module, Socket, Target, Rest, {pieces, Bytes});
		_ -> fail(Module, Socket, Do)
	end;
serve(Module, Socket, {socks, Do, Tester}, Parent) ->
	{ok, <<5, N>>} = Module:recv(Socket, 2),
	{ok, Methods} = Module:recv(Socket, N),
	Tester ! {proxy, Parent, {methods, Methods}},
	socks(Module, Socket, Do, {Tester, Parent}).

socks(Module, Socket, {password, Name, Password}, To) ->
	ok = Module:send(Socket, <<5, 2>>),
	{ok, <<1, N>>} = Module:recv(Socket, 2),
	{ok, GivenName} = Module:recv(Socket, N),
	{ok, <<P>>} = Module:recv(Socket, 1),
	{ok, GivenPassword} = Module:recv(Socket, P),
	case {GivenName, GivenPassword} of
		{Name, Password} ->
			ok = Module:send(Socket, <<1, 0>>),
			asked(Module, Socket, lead, To);
		_ ->
			Module:send(Socket, <<1, 1>>)
	end;
socks(Module, Socket, Do, To) when Do =:= lead; element(1, Do) =:= reply ->
	ok = Module:send(Socket, <<5, 0>>),
	asked(Module, Socket, Do, To);
socks(Module, Socket, Do, _) ->
	fail(Module, Socket, Do).

asked(Module, Socket, Do, {Tester, Parent}) ->
	{ok, <<5, 1, 0, Type>>} = Module:recv(Socket, 4),
	Host = case Type of
		1 -> {ok, <<A, B, C, D>>} = Module:recv(Socket, 4), {A, B, C, D};
		3 -> {ok, <<N>>} = Module:recv(Socket, 1), {ok, Name} = Module:recv(Socket, N), binary_to_list(Name);
		4 -> {ok, Bin} = Module:recv(Socket, 16), list_to_tuple([Word || <<Word:16>> <= Bin])
	end,
	{ok, <<Port:16>>} = Module:recv(Socket, 2),
	Tester ! {proxy, Parent, {asked, {Host, Port}}},
	case Do of
		lead ->
			{ok, Far} = gen_tcp:connect(Host, Port, [binary, {active, false}]),
			ok = Module:send(Socket, <<5, 0, 0, 1, 127, 0, 0, 1, 1, 2>>),
			relay(Module, Socket, gen_tcp, Far);
		{reply, N2} ->
			Module:send(Socket, <<5, N2, 0, 1, 0:48>>)
	end.

read_head(Module, Socket, Acc) ->
	case binary:split(Acc, <<"\r\n\r\n">>) of
		[Head, Rest] ->
			{Head, Rest};
		[_] ->
			{ok, More} = Module:recv(Socket, 0),
			read_head(Module, Socket, <<Acc/binary, More/binary>>)
	end.

lead(Module, Socket, Target, Early, Answer) ->
	[Host0, Port] = string:split(Target, ":", trailing),
	Host = string:trim(binary_to_list(Host0), both, "[]"),
	{ok, Far} = gen_tcp:connect(Host, binary_to_integer(Port), [binary, {active, false}]),
	case Answer of
		{pieces, Bytes} -> [begin ok = Module:send(Socket, <<Byte>>), erlang:yield() end || <<Byte>> <= Bytes];
		Bytes -> ok = Module:send(Socket, Bytes)
	end,
	ok = gen_tcp:send(Far, Early),
	relay(Module, Socket, gen_tcp, Far).

fail(_, _, silent) ->
	receive never -> ok end;
fail(_, _, close) ->
	ok;
fail(Module, Socket, {answer, Bytes}) ->
	ok = Module:send(Socket, Bytes),
	drain(Module, Socket).

drain(Module, Socket) ->
	case Module:recv(Socket, 0) of
		{ok, _} -> drain(Module, Socket);
		{error, _} -> ok
	end.

%% Carries bytes both ways until one side closes.
relay(Module, Near, FarModule, Far) ->
	_ = spawn_link(fun() -> carry(FarModule, Far, Module, Near) end),
	carry(Module, Near, FarModule, Far).

carry(FromModule, From, ToModule, To) ->
	case FromModule:recv(From, 0) of
		{ok, Bytes} ->
			case ToModule:send(To, Bytes) of
				ok -> carry(FromModule, From, ToModule, To);
				{error, _} -> close(FromModule, From, ToModule, To)
			end;
		{error, _} ->
			close(FromModule, From, ToModule, To)
	end.

close(FromModule, From, ToModule, To) ->
	_ = ToModule:close(To),
	_ = FromModule:close(From),
	ok.

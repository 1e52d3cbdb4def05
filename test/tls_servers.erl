%% TLS servers for the suites, of three implementations that have nothing in common:
%%
%%     cowboy     Cowboy on Erlang's ssl, with the routes of http_echo_h
%%     erlang     Erlang's ssl alone: each connection runs the fun serve, of the options, with a conn()
%%     openssl    `openssl s_server -www`: one connection after the other, each answers one GET / with a page that tells
%%                of the handshake
%%     relay      `openssl s_server` for one connection: what goes over its standard input and output is what goes over
%%                TLS, and the fun serve plays the server; with `commands' it updates keys when it is told to, and what
%%                is sent must then hold no letter that is a command
%%     rust       the test server, on rustls; with `none' for a certificate, it has no TLS
%%
%% Each has a port of its own choosing on 127.0.0.1. Where there is no fun, `erlang' does as the test server's /tls.
-module(tls_servers).

-export([start/3]).
-export([port/1]).
-export([stop/1]).
-export([with/4]).
-export([facts/2]).

%% For the fun serve.
-export([tell/1]).
-export([head/1]).
-export([upgrade/1]).
-export([upgrade/2]).
-export([echo/1]).
-export([echo/2]).
-export([frame/2]).
-export([unmasked/2]).
-export([body/2]).
-export([send/2]).
-export([send_in_records/3]).
-export([recv/2]).
-export([update_keys/3]).
-export([close/1]).

-include("gun_rs_test.hrl").

-type kind() :: cowboy | erlang | openssl | relay | rust.

%% client_ca: ask for a certificate that this one signed, and take no client without. max_fragment: the bytes of data in
%% a record at most, which openssl takes from 512 on; Erlang's ssl has send_in_records/3 for it. args and ssl: what else
%% the program or Erlang's ssl is started with.
-type opts() :: #{
	client_ca => tls_certs:cert(),
	versions => ['tlsv1.2' | 'tlsv1.3'],
	alpn => [binary()],
	max_fragment => pos_integer(),
	commands => boolean(),
	args => [string()],
	ssl => [term()],
	serve => fun((conn()) -> term())
}.

-opaque server() :: #{kind := kind(), port := inet:port_number(), pid := pid() | ranch:ref()}.
-opaque conn() :: {ssl, ssl:sslsocket()} | {port | commands, port()}.
-export_type([server/0, conn/0]).

-spec start(kind(), tls_certs:cert() | none, opts()) -> server().
start(cowboy, Cert, Opts) ->
	ok = gun_rs_test:require_cowboy(),
	Ref = make_ref(),
	{ok, _} = cowboy:start_tls(Ref, #{
		max_connections => infinity,
		num_acceptors => 16,
		shutdown => brutal_kill,
		socket_opts => [{port, 0}, {ip, {127, 0, 0, 1}}, {backlog, 4096}, {nodelay, true}|ssl_opts(Cert, Opts)]
	}, #{
		env => #{dispatch => cowboy_router:compile([{'_', http_echo_h:routes()}])},
		idle_timeout => infinity,
		request_timeout => infinity
	}),
	#{kind => cowboy, port => ranch:get_port(Ref), pid => Ref};
start(Kind, Cert, Opts) ->
	Self = self(),
	{Pid, MRef} = spawn_monitor(fun() -> init(Kind, Cert, Opts, Self) end),
	receive
		{Pid, Port} ->
			demonitor(MRef, [flush]),
			#{kind => Kind, port => Port, pid => Pid};
		{'DOWN', MRef, process, Pid, Reason} ->
			error({Kind, Reason})
	end.

-spec port(server()) -> inet:port_number().
port(#{port := Port}) ->
	Port.

-spec stop(server()) -> ok.
stop(#{kind := cowboy, pid := Ref}) ->
	ok = cowboy:stop_listener(Ref);
stop(#{pid := Pid}) ->
	MRef = monitor(process, Pid),
	exit(Pid, shutdown),
	receive {'DOWN', MRef, process, Pid, _} -> ok end.

%% A server for as long as the fun takes, which gets the server and its port.
-spec with(kind(), tls_certs:cert(), opts(), fun((server(), inet:port_number()) -> Result)) -> Result.
with(Kind, Cert, Opts, Fun) ->
	Server = #{port := Port} = start(Kind, Cert, Opts),
	try
		Fun(Server, Port)
	after
		stop(Server)
	end.

%% What the server says of the connection's handshake.
-spec facts(server(), pid()) -> #{
	version := 'tlsv1.2' | 'tlsv1.3',
	cipher := string(),
	resumed := boolean(),
	client_certificates := non_neg_integer(),
	%% Not those of openssl.
	sni => binary() | none,
	alpn => binary() | none
}.
facts(#{kind := openssl}, ConnPid) ->
	{200, _, Page} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/")),
	{match, [New, Version, Cipher]} = re:run(Page, "^(New|Reused), (\\S+), Cipher is (\\S+)",
		[multiline, {capture, all_but_first, list}]),
	#{
		version => version(Version),
		cipher => ssl:suite_to_str(ssl:str_to_suite(Cipher)),
		resumed => New =:= "Reused",
		client_certificates => length(binary:matches(Page, <<"-----BEGIN CERTIFICATE-----">>))
	};
facts(#{kind := Kind}, ConnPid) when Kind =:= erlang; Kind =:= rust ->
	{200, _, Told} = gun_rs_test:answer(ConnPid, gun_rs:get(ConnPid, "/tls")),
	Facts = maps:from_list([list_to_tuple(binary:split(Line, <<" ">>))
		|| Line <- binary:split(Told, <<"\n">>, [global, trim_all])]),
	#{<<"version">> := Version, <<"cipher">> := Cipher, <<"resumed">> := Resumed} = Facts,
	#{
		version => version(binary_to_list(Version)),
		cipher => re:replace(Cipher, "^TLS13_", "TLS_", [{return, list}]),
		resumed => binary_to_atom(Resumed),
		client_certificates => binary_to_integer(maps:get(<<"client_certificates">>, Facts, <<"0">>)),
		sni => maps:get(<<"sni">>, Facts, none),
		alpn => maps:get(<<"alpn">>, Facts, none)
	}.

%% As OpenSSL, rustls and Erlang spell it.
version("TLSv1.2") -> 'tlsv1.2';
version("TLSv1_2") -> 'tlsv1.2';
version("tlsv1.2") -> 'tlsv1.2';
version("TLSv1.3") -> 'tlsv1.3';
version("TLSv1_3") -> 'tlsv1.3';
version("tlsv1.3") -> 'tlsv1.3'.

%% The process behind a server.

init(erlang, Cert, Opts, Starter) ->
	_ = process_flag(trap_exit, true),
	{ok, Listener} = ssl:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}, {nodelay, true}, {backlog, 1024}
		|ssl_opts(Cert, Opts)]),
	{ok, {_, Port}} = ssl:sockname(Listener),
	Serve = maps:get(serve, Opts, fun tell/1),
	_ = [spawn_link(fun() -> accept(Listener, Serve) end) || _ <- lists:seq(1, 8)],
	Starter ! {self(), Port},
	receive {'EXIT', _, shutdown} -> exit(shutdown) end;
init(rust, Cert, Opts, Starter) ->
	_ = process_flag(trap_exit, true),
	Program = open_program(test_server(), ["--until-eof"|rust_args(Cert, Opts)], [stderr_to_stdout]),
	Port = listening(Program, "^listening on .*:(\\d+)\n", <<>>),
	Starter ! {self(), Port},
	hold(Program);
init(openssl, Cert, Opts, Starter) ->
	_ = process_flag(trap_exit, true),
	%% It doesn't read its standard input.
	Program = open_program(executable("sh"), ["-c", "\"$@\" & cat >/dev/null; kill $!", "sh", executable("openssl"),
		"s_server", "-www", "-accept", "127.0.0.1:0"|openssl_args(Cert, Opts)], [stderr_to_stdout]),
	Port = listening(Program, "^ACCEPT .*:(\\d+)$", <<>>),
	Starter ! {self(), Port},
	hold(Program);
init(relay, Cert, Opts = #{serve := Serve, commands := true}, Starter) ->
	_ = process_flag(trap_exit, true),
	%% Each line at once, because it says so in a line when a command is done.
	Program = open_program(executable("sh"), ["-c", "exec \"$@\" 2>/dev/null", "sh", executable("stdbuf"), "-oL",
		executable("openssl"), "s_server", "-naccept", "1", "-accept", "127.0.0.1:0"|openssl_args(Cert, Opts)], []),
	Port = listening(Program, "^ACCEPT .*:(\\d+)$", <<>>),
	Starter ! {self(), Port},
	_ = Serve({commands, Program}),
	relay(Program);
init(relay, Cert, Opts = #{serve := Serve}, Starter) ->
	_ = process_flag(trap_exit, true),
	%% It says where it listens only where it also takes commands from what is to be sent.
	{Socket, Port} = gun_rs_test:refused_port(),
	ok = gun_rs_test:release_port(Socket),
	%% One connection to see that it listens, and one to serve.
	Program = open_program(executable("sh"), ["-c", "exec \"$@\" 2>/dev/null", "sh", executable("openssl"),
		"s_server", "-quiet", "-naccept", "2", "-accept", "127.0.0.1:" ++ integer_to_list(Port)
		|openssl_args(Cert, Opts)], []),
	true = gun_rs_test:eventually(fun() ->
		case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
			{ok, Probe} -> gen_tcp:close(Probe) =:= ok;
			{error, Reason} -> Reason
		end
	end),
	Starter ! {self(), Port},
	_ = Serve({port, Program}),
	relay(Program).

accept(Listener, Serve) ->
	{ok, Socket0} = ssl:transport_accept(Listener),
	Pid = spawn(fun() ->
		receive {socket, Socket1} ->
			case ssl:handshake(Socket1, ?WAIT) of
				{ok, Socket} -> Serve({ssl, Socket});
				{error, _} -> ok
			end
		end
	end),
	ok = ssl:controlling_process(Socket0, Pid),
	Pid ! {socket, Socket0},
	accept(Listener, Serve).

open_program(File, Args, Opts) ->
	open_port({spawn_executable, File}, [{args, Args}, binary, exit_status, hide|Opts]).

executable(Name) ->
	case os:find_executable(Name) of
		false -> exit(Name ++ " is not installed: run `scripts/setup.sh test`.");
		File -> File
	end.

%% gun_rs is in _build/test/lib.
test_server() ->
	Root = filename:join(filename:absname(code:lib_dir(gun_rs)), "../../../.."),
	Target = filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), Root),
	os:getenv("GUN_RS_TESTSERVER", filename:join(Target, "debug/gun_rs_testserver")).

%% Waits for the line that has the port.
listening(Program, Pattern, Output) ->
	case re:run(Output, Pattern, [multiline, {capture, [1], list}]) of
		{match, [Port]} ->
			list_to_integer(Port);
		nomatch ->
			receive
				{Program, {data, Data}} -> listening(Program, Pattern, <<Output/binary, Data/binary>>);
				{Program, {exit_status, Status}} -> exit({exit_status, Status, Output})
			after ?WAIT ->
				exit({silent, Output})
			end
	end.

%% Each program but the relay's ends with its standard input.
hold(Program) ->
	receive
		{'EXIT', _, shutdown} -> exit(shutdown);
		_ -> hold(Program)
	end.

relay(Program) ->
	receive
		{'EXIT', _, shutdown} ->
			kill(Program),
			exit(shutdown);
		_ ->
			relay(Program)
	end.

kill(Program) ->
	_ = case erlang:port_info(Program, os_pid) of
		{os_pid, OsPid} -> os:cmd("kill -9 " ++ integer_to_list(OsPid));
		undefined -> ok
	end,
	ok.

%% The options of each.

ssl_opts(#{certfile := CertFile, keyfile := KeyFile}, Opts) ->
	lists:append([
		[{certfile, CertFile}, {keyfile, KeyFile}, {log_level, none}],
		[{versions, Versions} || #{versions := Versions} <- [Opts]],
		[{alpn_preferred_protocols, Alpn} || #{alpn := Alpn} <- [Opts]],
		lists:append([[{verify, verify_peer}, {fail_if_no_peer_cert, true}, {cacertfile, CaFile}]
			|| #{client_ca := #{certfile := CaFile}} <- [Opts]]),
		maps:get(ssl, Opts, [])
	]).

%% It would not serve weak keys otherwise.
openssl_args(#{certfile := CertFile, chainfile := ChainFile, keyfile := KeyFile}, Opts) ->
	lists:append([
		["-cert", CertFile, "-key", KeyFile, "-cipher", "DEFAULT@SECLEVEL=0"],
		lists:append([["-cert_chain", ChainFile] || filelib:file_size(ChainFile) > 0]),
		lists:append([["-no_tls1_2" || not lists:member('tlsv1.2', Versions)]
			++ ["-no_tls1_3" || not lists:member('tlsv1.3', Versions)] || #{versions := Versions} <- [Opts]]),
		lists:append([["-alpn", lists:flatten(lists:join(",", [binary_to_list(Name) || Name <- Alpn]))]
			|| #{alpn := Alpn} <- [Opts]]),
		lists:append([["-Verify", "3", "-verify_return_error", "-CAfile", CaFile]
			|| #{client_ca := #{certfile := CaFile}} <- [Opts]]),
		lists:append([["-max_send_frag", integer_to_list(Size)] || #{max_fragment := Size} <- [Opts]]),
		maps:get(args, Opts, [])
	]).

rust_args(none, Opts) ->
	maps:get(args, Opts, []);
rust_args(#{certfile := CertFile, keyfile := KeyFile}, Opts) ->
	lists:append([
		["--tls", CertFile, KeyFile],
		lists:append([["--tls-version", Version] || #{versions := [One]} <- [Opts],
			{V, Version} <- [{'tlsv1.2', "1.2"}, {'tlsv1.3', "1.3"}], V =:= One]),
		lists:append([["--alpn", lists:flatten(lists:join(",", [binary_to_list(Name) || Name <- Alpn]))]
			|| #{alpn := Alpn} <- [Opts]]),
		lists:append([["--client-ca", CaFile] || #{client_ca := #{certfile := CaFile}} <- [Opts]]),
		lists:append([["--max-fragment", integer_to_list(Size)] || #{max_fragment := Size} <- [Opts]]),
		maps:get(args, Opts, [])
	]).

%% What a server does with a connection.

%% Answers every request with what the handshake agreed on, as the test server does.
-spec tell(conn()) -> ok.
tell(Conn = {ssl, Socket}) ->
	case head(Conn) of
		closed ->
			ok;
		_ ->
			{ok, Info} = ssl:connection_information(Socket,
				[protocol, selected_cipher_suite, session_resumption, sni_hostname]),
			#{protocol := Version, selected_cipher_suite := Suite, session_resumption := Resumed} = maps:from_list(Info),
			ok = send(Conn, lying_server:ok([
				io_lib:format("version ~s\ncipher ~s\nresumed ~s\n", [Version, ssl:suite_to_str(Suite), Resumed]),
				["client_certificates 1\n" || {ok, _} <- [ssl:peercert(Socket)]],
				[["sni ", Name, $\n] || {sni_hostname, Name} <- Info, Name =/= undefined],
				[["alpn ", Name, $\n] || {ok, Name} <- [ssl:negotiated_protocol(Socket)]]
			])),
			tell(Conn)
	end.

%% A request's header block. What follows it is the client's next word, which it does not say before it is answered.
-spec head(conn()) -> binary() | closed.
head(Conn) ->
	case head(Conn, <<>>) of
		{Request, <<>>} -> Request;
		closed -> closed
	end.

%% openssl that takes commands tells of the handshake first.
head(Conn, Buffer) ->
	case binary:split(Buffer, <<"\r\n\r\n">>) of
		[Told, Rest] ->
			{match, [Request]} = re:run(Told, "(?:GET|POST) [^\n]* HTTP/1\\.1(?:\r\n.*)?$",
				[dotall, {capture, first, binary}]),
			{Request, Rest};
		[_] ->
			case recv(Conn, 0) of
				closed -> closed;
				Data -> head(Conn, <<Buffer/binary, Data/binary>>)
			end
	end.

%% Reads an upgrade and returns a right answer to it, which is yet to be sent.
-spec upgrade(conn()) -> binary() | closed.
upgrade(Conn) ->
	upgrade(Conn, []).

-spec upgrade(conn(), [{iodata(), iodata()}]) -> binary() | closed.
upgrade(Conn, Headers) ->
	case head(Conn) of
		closed -> closed;
		Request -> iolist_to_binary(lying_server:response(lying_server:key(Request), Headers))
	end.

%% An upgrade, and then every frame goes back as it came but for the mask: fragments, compressed ones, and the close
%% frame, which ends it.
-spec echo(conn()) -> ok | closed.
echo(Conn) ->
	echo(Conn, []).

-spec echo(conn(), [{iodata(), iodata()}]) -> ok | closed.
echo(Conn, Headers) ->
	case upgrade(Conn, Headers) of
		closed ->
			closed;
		Response ->
			ok = send(Conn, Response),
			echo_frames(Conn, <<>>)
	end.

echo_frames(Conn, Buffer0) ->
	case frame(Conn, Buffer0) of
		{Head, Payload, Buffer} ->
			case send(Conn, unmasked(Head, Payload)) of
				ok when Head =:= 16#88 -> close(Conn);
				ok -> echo_frames(Conn, Buffer);
				closed -> closed
			end;
		closed ->
			closed
	end.

%% Reads a masked frame: its first byte, which has the opcode and the bits, its payload, and what follows it.
-spec frame(conn(), binary()) -> {byte(), binary(), Rest :: binary()} | closed.
frame(Conn, Buffer) ->
	case Buffer of
		<<Head, 1:1, 127:7, Size:64, Key:4/binary, Rest/binary>> ->
			payload(Conn, Head, Key, Size, Rest);
		<<Head, 1:1, 126:7, Size:16, Key:4/binary, Rest/binary>> ->
			payload(Conn, Head, Key, Size, Rest);
		<<Head, 1:1, Size:7, Key:4/binary, Rest/binary>> when Size < 126 ->
			payload(Conn, Head, Key, Size, Rest);
		_ ->
			case recv(Conn, 0) of
				closed -> closed;
				Data -> frame(Conn, <<Buffer/binary, Data/binary>>)
			end
	end.

payload(Conn, Head, Key, Size, Rest0) ->
	case read(Conn, Size, Rest0) of
		closed ->
			closed;
		{Masked, Rest} ->
			Mask = binary:part(binary:copy(Key, Size div 4 + 1), 0, Size),
			{Head, crypto:exor(Masked, Mask), Rest}
	end.

%% A frame of the server's with that first byte.
-spec unmasked(byte(), binary()) -> iodata().
unmasked(Head, Payload) ->
	[Head, case byte_size(Payload) of
		Size when Size < 126 -> Size;
		Size when Size < 65536 -> <<126, Size:16>>;
		Size -> <<127, Size:64>>
	end, Payload].

%% Reads a request with a body that has its length in a header: the body, and what follows it.
-spec body(conn(), binary()) -> {binary(), Rest :: binary()} | closed.
body(Conn, Buffer) ->
	case head(Conn, Buffer) of
		{Request, Rest} -> read(Conn, binary_to_integer(lying_server:header("content-length", Request)), Rest);
		closed -> closed
	end.

read(Conn, Size, Buffer) ->
	case more(Conn, Size - byte_size(Buffer), [Buffer]) of
		closed ->
			closed;
		Parts ->
			<<Data:Size/binary, Rest/binary>> = iolist_to_binary(lists:reverse(Parts)),
			{Data, Rest}
	end.

more(_, Missing, Parts) when Missing =< 0 ->
	Parts;
more(Conn, Missing, Parts) ->
	case recv(Conn, 0) of
		closed -> closed;
		Data -> more(Conn, Missing - byte_size(Data), [Data|Parts])
	end.

%% Erlang's ssl makes one record of it, if it isn't too long for that.
-spec send(conn(), iodata()) -> ok | closed.
send({ssl, Socket}, Data) ->
	case ssl:send(Socket, Data) of
		ok -> ok;
		{error, _} -> closed
	end;
send({_, Program}, Data) ->
	try
		true = port_command(Program, Data),
		ok
	catch error:badarg ->
		closed
	end.

%% So many bytes in each.
-spec send_in_records(conn(), binary(), pos_integer()) -> ok | closed.
send_in_records(Conn = {ssl, _}, Data, Size) when byte_size(Data) > Size ->
	<<Part:Size/binary, Rest/binary>> = Data,
	case send(Conn, Part) of
		ok -> send_in_records(Conn, Rest, Size);
		closed -> closed
	end;
send_in_records(Conn = {ssl, _}, Data, _) ->
	send(Conn, Data).

%% 0: what there is.
-spec recv(conn(), non_neg_integer()) -> binary() | closed.
recv({ssl, Socket}, Size) ->
	case ssl:recv(Socket, Size) of
		{ok, Data} -> Data;
		{error, _} -> closed
	end;
recv({port, Program}, 0) ->
	receive
		{Program, {data, Data}} -> Data;
		{Program, {exit_status, _}} -> closed;
		{'EXIT', _, shutdown} -> kill(Program), exit(shutdown)
	end;
recv({commands, Program}, 0) ->
	case recv({port, Program}, 0) of
		closed -> closed;
		Data -> said(Program, Data)
	end.

%% It says this where it has read a record without data, as those are that update keys.
said(Program, Data0) ->
	Said = <<"Read BLOCK\n">>,
	case binary:replace(Data0, Said, <<>>, [global]) of
		<<>> -> recv({commands, Program}, 0);
		Data -> ended(Program, Data, Said)
	end.

%% What ends like the beginning of it may be that: the rest then comes at once.
ended(Program, Data, Said) ->
	case [N || N <- lists:seq(1, byte_size(Said) - 1), is_suffix(binary:part(Said, 0, N), Data)] of
		[] ->
			Data;
		_ ->
			receive
				{Program, {data, More}} -> said(Program, <<Data/binary, More/binary>>)
			after 500 ->
				Data
			end
	end.

is_suffix(Suffix, Data) ->
	binary:longest_common_suffix([Suffix, Data]) =:= byte_size(Suffix).

%% From the next record on, and the client shall update its own when read_write says so. Returns the buffer with what the
%% client sent meanwhile. To a relay, everything that was sent before must have gone out: it takes a command for one at
%% the beginning of what it reads.
-spec update_keys(conn(), write | read_write, binary()) -> binary() | closed.
update_keys({ssl, Socket}, How, Buffer) ->
	case ssl:update_keys(Socket, How) of
		ok -> Buffer;
		{error, _} -> closed
	end;
update_keys(Conn = {commands, _}, How, Buffer) ->
	case send(Conn, case How of write -> "k\n"; read_write -> "K\n" end) of
		ok -> updated(Conn, Buffer);
		closed -> closed
	end.

updated(Conn, Buffer) ->
	case binary:split(Buffer, <<"SSL_do_handshake -> 1\n">>) of
		[Before, After] ->
			<<Before/binary, After/binary>>;
		[_] ->
			case recv(Conn, 0) of
				closed -> closed;
				Data -> updated(Conn, <<Buffer/binary, Data/binary>>)
			end
	end.

%% Erlang's ssl sends close_notify before; a relay that is killed cannot.
-spec close(conn()) -> ok.
close({ssl, Socket}) ->
	_ = ssl:close(Socket),
	ok;
close({_, Program}) ->
	kill(Program).

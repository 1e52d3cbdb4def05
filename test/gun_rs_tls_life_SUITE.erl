%% A TLS connection from its first byte to its last: what the handshake says and agrees on, how it fails, what is kept
%% of it for the next one, and how it ends.
-module(gun_rs_tls_life_SUITE).

-import(gun_rs_test, [eventually/2]).

-define(NEEDS, [cowboy, certs]).
-include("gun_rs_suite.hrl").

-define(VERSIONS, ['tlsv1.2', 'tlsv1.3']).

%% How long a renewed file of roots may go unnoticed, in milliseconds.
-define(RENEWED, 90000).

%% How much more memory a connection may take with many roots than with one, in bytes. Those of a system are 200 KB.
-define(SHARE, 5000).

%% Opening.

transports(Config) ->
	doc("The transport may be called tls or ssl, and wss in a URL asks for it."),
	do_with(Config, rust, #{}, fun(Server, Port) ->
		Opts = #{tls_opts => do_roots(Config), retry => 0},
		Url = "wss://localhost:" ++ integer_to_list(Port),
		_ = [begin
			{ok, ConnPid} = apply(gun_rs, open, Args),
			{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
			#{transport := tls, origin_scheme := <<"https">>, origin_port := Port} = gun_rs:info(ConnPid),
			#{sni := <<"localhost">>} = tls_servers:facts(Server, ConnPid),
			ok = gun_rs:close(ConnPid)
		end || Args <- [
			["localhost", Port, Opts#{transport => tls}],
			["localhost", Port, Opts#{transport => ssl}],
			[Url, Opts],
			[Url ++ "/echo", Opts],
			[unicode:characters_to_binary(Url), Opts]
		]]
	end).

unix_socket(Config) ->
	doc("TLS on a Unix socket verifies the certificate for localhost, the origin's name there."),
	Path = lists:concat(["/tmp/gun_rs_tls_", os:getpid(), "_", erlang:unique_integer([positive])]),
	try
		_ = [do_with(Config, rust, Name, #{}, fun(Server, Port) ->
			{Middle, _} = tcp_middle:start(Port, #{path => Path}),
			{ok, ConnPid} = gun_rs:open_unix(Path, #{transport => tls, tls_opts => do_roots(Config), retry => 0}),
			case {Name, gun_rs:await_up(ConnPid, ?WAIT)} of
				{good, {ok, http}} ->
					#{sni := <<"localhost">>} = tls_servers:facts(Server, ConnPid),
					ok = gun_rs:close(ConnPid);
				{wrong_host, {error, {down, {shutdown, {tls_alert, {handshake_failure, _}}}}}} ->
					ok
			end,
			tcp_middle:stop(Middle),
			ok = file:delete(Path)
		end) || Name <- [good, wrong_host]],
		ok
	after
		file:delete(Path)
	end.

versions(Config) ->
	doc("The highest version is chosen that the server has and that versions allows."),
	_ = [do_with(Config, Kind, #{versions => Offered}, fun(Server, Port) ->
		ConnPid = do_open(Config, Port, [{versions, Allowed} || Allowed =/= default]),
		#{version := Version} = tls_servers:facts(Server, ConnPid),
		ok = gun_rs:close(ConnPid)
	end) || Kind <- [erlang, openssl, rust], {Offered, Allowed, Version} <- [
		{?VERSIONS, default, 'tlsv1.3'},
		{?VERSIONS, ['tlsv1.3', 'tlsv1.2'], 'tlsv1.3'},
		{?VERSIONS, ['tlsv1.2'], 'tlsv1.2'},
		{?VERSIONS, ['tlsv1.3'], 'tlsv1.3'},
		{['tlsv1.2'], default, 'tlsv1.2'},
		{['tlsv1.3'], default, 'tlsv1.3'}
	]],
	ok.

no_version_in_common(Config) ->
	doc("A server that has no version of TLS that is allowed, or none above TLS 1.1, is told from others."),
	%% An OTP after 25 looks for a cipher suite first: TLS 1.1 has none of those that we offer.
	Oldest = case gun_rs_test:otp() of
		Otp when Otp > 25 -> insufficient_security;
		_ -> protocol_version
	end,
	_ = [do_with(Config, Kind, Opts, fun(_, Port) ->
		{Alert, _} = do_alert(Config, Port, TlsOpts)
	end) || {Kind, Opts, TlsOpts, Alert} <- [
		{erlang, #{versions => ['tlsv1.1']}, [], Oldest},
		{openssl, #{args => ["-tls1_1"]}, [], protocol_version},
		{erlang, #{versions => ['tlsv1.3']}, [{versions, ['tlsv1.2']}], protocol_version},
		{openssl, #{versions => ['tlsv1.2']}, [{versions, ['tlsv1.3']}], protocol_version},
		{rust, #{versions => ['tlsv1.3']}, [{versions, ['tlsv1.2']}], protocol_version}
	]],
	ok.

ciphers(Config) ->
	doc("The cipher suite is one of those in ciphers, by OpenSSL's name, by its own, or as OTP's map."),
	_ = [do_with(Config, Kind, #{versions => [Version]}, fun(Server, Port) ->
		Suite = ssl:suite_to_str(ssl:str_to_suite(Name)),
		_ = [begin
			ConnPid = do_open(Config, Port, [{versions, [Version]}, {ciphers, [Cipher]}]),
			#{cipher := Suite} = tls_servers:facts(Server, ConnPid),
			ok = gun_rs:close(ConnPid)
		end || Cipher <- [Name, Suite, ssl:str_to_suite(Name)]]
	end) || Kind <- [erlang, openssl, rust], {Version, Name} <- [
		{'tlsv1.2', "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{'tlsv1.2', "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{'tlsv1.3', "TLS_CHACHA20_POLY1305_SHA256"},
		{'tlsv1.3', "TLS_AES_128_GCM_SHA256"}
	]],
	ok.

server_name(Config) ->
	doc("Names are told to the server, addresses are not; server_name_indication gives another name, or disables it."),
	_ = [do_with(Config, Kind, #{versions => [Version]}, fun(Server, Port) ->
		_ = [begin
			ConnPid = do_open(Config, Host, Port, TlsOpts),
			#{sni := Name} = tls_servers:facts(Server, ConnPid),
			ok = gun_rs:close(ConnPid)
		end || {Host, TlsOpts, Name} <- [
			{"localhost", [], <<"localhost">>},
			{localhost, [], <<"localhost">>},
			{<<"localhost">>, [], <<"localhost">>},
			{{127, 0, 0, 1}, [], none},
			{"127.0.0.1", [], none},
			{<<"127.0.0.1">>, [], none},
			{"localhost", [{server_name_indication, "www.example.test"}], <<"www.example.test">>},
			{{127, 0, 0, 1}, [{server_name_indication, "www.example.test"}], <<"www.example.test">>},
			{"localhost", [{server_name_indication, disable}, {verify, verify_none}], none}
		]]
	end) || Kind <- [erlang, rust], Version <- ?VERSIONS],
	ok.

application_protocol(Config) ->
	doc("What protocols has is offered by ALPN; a server need not choose, and one that chooses from others is refused."),
	_ = [do_with(Config, Kind, Opts, fun(Server, Port) ->
		{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, protocols => [http],
			tls_opts => TlsOpts ++ do_roots(Config), retry => 0}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		#{alpn := Protocol} = tls_servers:facts(Server, ConnPid),
		ok = gun_rs:close(ConnPid)
	end) || Kind <- [erlang, rust], {Opts, TlsOpts, Protocol} <- [
		{#{}, [], none},
		{#{alpn => [<<"http/1.1">>]}, [], <<"http/1.1">>},
		{#{alpn => [<<"h2">>, <<"http/1.1">>]}, [], <<"http/1.1">>},
		{#{alpn => [<<"h2">>, <<"http/1.1">>]}, [{alpn_advertised_protocols, [<<"http/1.1">>]}], <<"http/1.1">>}
	]],
	_ = [do_with(Config, Kind, #{alpn => [<<"h2">>]}, fun(_, Port) ->
		Opts = #{transport => tls, protocols => [http], tls_opts => do_roots(Config), retry => 0},
		{shutdown, {tls_alert, {no_application_protocol, _}}} = gun_rs_test:exit_of("localhost", Port, Opts)
	end) || Kind <- [erlang, rust]],
	ok.

%% Handshakes that fail.

silent_server(Config) ->
	doc("tls_handshake_timeout ends a handshake with a server that says nothing, as often as retry says."),
	{Server, Port} = lying_server:start([]),
	{shutdown, timeout} = gun_rs_test:exit_of("localhost", Port, #{transport => tls, tls_opts => do_roots(Config),
		tls_handshake_timeout => 100, retry => 2, retry_timeout => 10}),
	_ = [?EXPECT({lying_server, Server, accepted}) || _ <- [1, 2, 3]],
	?REFUTE({lying_server, Server, accepted}),
	lying_server:stop(Server).

slow_handshakes_hold_nobody_up(Config) ->
	doc("While 200 handshakes wait for their servers, others are done."),
	{Silent, SilentPort} = lying_server:start([]),
	Opts = #{transport => tls, tls_opts => do_roots(Config), retry => 0},
	Waiting = [begin
		{ok, ConnPid} = gun_rs:open("localhost", SilentPort, Opts#{tls_handshake_timeout => infinity}),
		ConnPid
	end || _ <- lists:seq(1, 200)],
	_ = [?EXPECT({lying_server, Silent, accepted}) || _ <- Waiting],
	do_with(Config, rust, #{}, fun(Server, Port) ->
		ConnPid = do_open(Config, Port, []),
		#{version := 'tlsv1.3'} = tls_servers:facts(Server, ConnPid),
		ok = gun_rs:close(ConnPid)
	end),
	_ = [ok = gun_rs:close(ConnPid) || ConnPid <- Waiting],
	lying_server:stop(Silent).

no_tls_at_all(Config) ->
	doc("A server that speaks something else is an alert, and the sentence names the host."),
	_ = [begin
		{Server, Port} = lying_server:start([{read, 5}, {send, Said}]),
		{Alert, Sentence} = do_alert(Config, Port, []),
		ct:log("~p~n~ts", [Alert, Sentence]),
		true = string:find(Sentence, "localhost") =/= nomatch,
		lying_server:stop(Server)
	end || Said <- [
		"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
		"220 mail.example.test ESMTP\r\n",
		"SSH-2.0-OpenSSH_9.2p1\r\n",
		<<0:4096>>,
		%% Records that are none: a type, a version and a length that TLS doesn't have.
		<<99, 3, 3, 0, 5, "Hello">>,
		<<22, 99, 99, 0, 5, "Hello">>,
		<<22, 3, 3, 255, 255, 0:(8 * 65535)>>,
		%% A handshake that begins with what only comes later, or with nothing known.
		<<22, 3, 3, 0, 4, 14, 0, 0, 0>>,
		<<22, 3, 3, 0, 4, 99, 0, 0, 0>>,
		<<23, 3, 3, 0, 5, "Hello">>
	]],
	ok.

a_server_s_alerts(Config) ->
	doc("Each alert with which a server may end a handshake has the name that Erlang's ssl gives it."),
	_ = [begin
		%% One for each client.
		{Server, Port} = lying_server:start([{read, 5}, {send, <<21, 3, 3, 0, 2, 2, Code>>}, close]),
		{error, {tls_alert, {Name, _}}} = ssl:connect("localhost", Port, [{verify, verify_none}, {log_level, none}]),
		{Got, Sentence} = do_alert(Config, Port, []),
		ct:log("~b: ~p~n~ts", [Code, Got, Sentence]),
		{Code, Name} = {Code, Got},
		true = string:find(Sentence, "localhost") =/= nomatch,
		lying_server:stop(Server)
	end || Code <- [10, 20, 22, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 70, 71, 80, 86, 109, 110, 112, 113, 115, 116,
		120]],
	ok.

cut_at_every_byte(Config) ->
	doc("A server that goes away after any number of bytes ends the connection, before gun_up or after it."),
	_ = [do_with(Config, rust, #{versions => [Version]}, fun(_, Port) ->
		Total = do_server_bytes(Config, Port),
		Outcomes = [begin
			{Middle, MiddlePort} = tcp_middle:start(Port, #{cut => At}),
			Outcome = do_outcome(Config, MiddlePort, #{}, ?WAIT),
			tcp_middle:stop(Middle),
			true = lists:member(Outcome, [refused, up_and_down]),
			Outcome
		end || At <- do_places(Total)],
		ct:log("~p: ~b bytes, ~p", [Version, Total, do_count(Outcomes)])
	end) || Version <- ?VERSIONS],
	ok.

spoilt_at_every_byte(Config) ->
	doc("A handshake in which a bit of the server's was changed on the way fails, unless the bit means nothing."),
	_ = [do_with(Config, rust, #{versions => [Version]}, fun(_, Port) ->
		Total = do_server_bytes(Config, Port),
		Outcomes = [begin
			{Middle, MiddlePort} = tcp_middle:start(Port, #{spoil => At}),
			%% A record that says to be longer is waited for, after gun_up too.
			Outcome = do_outcome(Config, MiddlePort, #{tls_handshake_timeout => 500}, 1000),
			tcp_middle:stop(Middle),
			Outcome
		end || At <- do_places(Total)],
		Count = do_count(Outcomes),
		ct:log("~p: ~b bytes, ~p", [Version, Total, Count]),
		%% The version of a record may be any.
		true = maps:get(up_and_well, Count, 0) < length(Outcomes) div 10,
		true = maps:get(refused, Count, 0) > length(Outcomes) div 2
	end) || Version <- ?VERSIONS],
	ok.

%% What the server sends until it has answered one request.
do_server_bytes(Config, Port) ->
	{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
	up_and_well = do_outcome(Config, MiddlePort, #{}, ?WAIT),
	Total = ?EXPECT({tcp_middle, Middle, {closed, Bytes}}, Bytes),
	tcp_middle:stop(Middle),
	Total.

%% All where the handshake is in plain text and many of the others, but for the last: an
%% ECDSA signature may be some bytes shorter the next time, and a close_notify that was
%% counted now (of at most 31 bytes) may not be sent then.
do_places(Total) ->
	lists:seq(0, 150) ++ lists:seq(151, Total - 48, 11).

do_count(Outcomes) ->
	lists:foldl(fun(Outcome, Count) -> maps:update_with(Outcome, fun(N) -> N + 1 end, 1, Count) end, #{}, Outcomes).

do_outcome(Config, Port, Opts, Wait) ->
	{ok, ConnPid} = gun_rs:open("localhost", Port,
		Opts#{transport => tls, tls_opts => [{reuse_sessions, false}|do_roots(Config)], retry => 0}),
	case gun_rs:await_up(ConnPid, ?WAIT) of
		{ok, http} ->
			MRef = monitor(process, ConnPid),
			StreamRef = gun_rs:get(ConnPid, "/tls"),
			Outcome = receive
				{gun_response, ConnPid, StreamRef, nofin, 200, _} ->
					receive
						{gun_data, ConnPid, StreamRef, fin, _} -> up_and_well;
						{gun_error, ConnPid, StreamRef, _} -> up_and_down
					after Wait ->
						up_and_waiting
					end;
				{gun_error, ConnPid, StreamRef, _} ->
					up_and_down;
				{gun_down, ConnPid, http, _, _} ->
					up_and_down;
				{'DOWN', MRef, process, ConnPid, _} ->
					up_and_down
			after Wait ->
				up_and_waiting
			end,
			ok = gun_rs:close(ConnPid),
			demonitor(MRef, [flush]),
			gun_rs:flush(ConnPid),
			Outcome;
		%% Or it was gone before it could be watched.
		{error, {down, Reason}} when Reason =:= noproc; element(1, Reason) =:= shutdown ->
			refused
	end.

server_killed_in_a_handshake(Config) ->
	doc("A server that resets the connection in the middle of a handshake is an error like any other."),
	{Server, Port} = lying_server:start([{read, 5}, reset]),
	{shutdown, Reason} = gun_rs_test:exit_of("localhost", Port,
		#{transport => tls, tls_opts => do_roots(Config), retry => 0}),
	ct:log("~p~n~ts", [Reason, gun_rs:format_error(Reason)]),
	true = lists:member(Reason, [closed, econnreset]),
	lying_server:stop(Server).

%% What is kept.

resumption(Config) ->
	doc("A later connection with the same options resumes the session of an earlier one."),
	_ = [do_with(Config, Kind, do_resumable(Version), fun(Server, Port) ->
		false = do_resumed(Config, Server, Port, []),
		%% A server may take its time to store a session.
		{Kind, Version, true} = {Kind, Version, eventually(fun() -> do_resumed(Config, Server, Port, []) end)}
	end) || Kind <- [erlang, openssl, rust], Version <- ?VERSIONS],
	ok.

no_resumption(Config) ->
	doc("With reuse_sessions false every handshake is a whole one."),
	_ = [do_with(Config, Kind, do_resumable(Version), fun(Server, Port) ->
		_ = [false = do_resumed(Config, Server, Port, [{reuse_sessions, false}]) || _ <- lists:seq(1, 4)]
	end) || Kind <- [erlang, openssl, rust], Version <- ?VERSIONS],
	ok.

resumption_verifies(Config) ->
	doc("A session that was begun without verification is none for those who verify, or who trust other roots."),
	#{other_root := #{certfile := OtherFile}} = config(certs, Config),
	_ = [do_with(Config, rust, do_resumable(Version), fun(Server, Port) ->
		_ = [do_resumed_with(Server, Port, [{verify, verify_none}]) || _ <- [1, 2]],
		false = do_resumed(Config, Server, Port, []),
		true = eventually(fun() -> do_resumed(Config, Server, Port, []) end),
		{unknown_ca, _} = do_alert_with(Port, [{cacertfile, OtherFile}]),
		{unknown_ca, _} = do_alert_with(Port, [])
	end) || Version <- ?VERSIONS],
	ok.

two_servers_of_one_name(Config) ->
	doc("What one server gave to resume with does no harm with another of the same name."),
	_ = [do_with(Config, rust, good, do_resumable(Version), fun(One, OnePort) ->
		do_with(Config, rust, good_rsa, do_resumable(Version), fun(Other, OtherPort) ->
			_ = [begin
				_ = do_resumed(Config, One, OnePort, []),
				_ = do_resumed(Config, Other, OtherPort, [])
			end || _ <- lists:seq(1, 5)]
		end)
	end) || Version <- ?VERSIONS],
	ok.

%% Erlang's ssl has no tickets of its own accord.
do_resumable('tlsv1.2') ->
	#{versions => ['tlsv1.2']};
do_resumable('tlsv1.3') ->
	#{versions => ['tlsv1.3'], ssl => [{session_tickets, stateless}]}.

do_resumed(Config, Server, Port, TlsOpts) ->
	do_resumed_with(Server, Port, TlsOpts ++ do_roots(Config)).

%% Erlang's ssl says no of every session of TLS 1.2. But it then sends no certificates, of which two are longer than all
%% of the rest.
do_resumed_with(Server, Port, TlsOpts) ->
	{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
	ConnPid = do_open_with(MiddlePort, TlsOpts),
	Facts = tls_servers:facts(Server, ConnPid),
	ok = gun_rs:close(ConnPid),
	Bytes = ?EXPECT({tcp_middle, Middle, {closed, B}}, B),
	tcp_middle:stop(Middle),
	case {Server, Facts} of
		{#{kind := erlang}, #{version := 'tlsv1.2'}} -> Bytes < 600;
		{_, #{resumed := Resumed}} -> Resumed
	end.

a_thousand_share_the_roots(Config) ->
	doc("1,000 connections take as much memory with all the roots of a system as with a single one: they share them."),
	ok = gun_rs_test:enough_fds(1000),
	#{root := #{der := Root, certfile := One}} = config(certs, Config),
	Many = filename:join(config(priv_dir, Config), "many.pem"),
	ok = file:write_file(Many, tls_certs:pem([Root|[Der || {cert, Der, _} <- public_key:cacerts_get()]])),
	true = filelib:file_size(Many) > 20 * ?SHARE,
	do_with(Config, rust, #{}, fun(Server, Port) ->
		%% What there is once is not counted: the first thousand is for the allocators.
		[_, WithOne, WithMany] = [do_memory_of(1000, Server, Port, [{cacertfile, File}]) || File <- [One, One, Many]],
		ct:log("1,000 connections: ~b bytes with one root, ~b with ~b bytes of them",
			[WithOne, WithMany, filelib:file_size(Many)]),
		true = WithMany < WithOne + 1000 * ?SHARE
	end),
	ok.

do_memory_of(Count, Server, Port, TlsOpts) ->
	#{version := 'tlsv1.3'} = do_facts(Server, Port, TlsOpts),
	Before = do_memory(),
	ConnPids = [begin
		{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
		ConnPid
	end || _ <- lists:seq(1, Count)],
	_ = [{ok, http} = gun_rs:await_up(ConnPid, ?WAIT) || ConnPid <- ConnPids],
	Growth = do_memory() - Before,
	_ = [#{version := 'tlsv1.3'} = tls_servers:facts(Server, ConnPid) || ConnPid <- lists:sublist(ConnPids, 10)],
	_ = [ok = gun_rs:close(ConnPid) || ConnPid <- ConnPids],
	Growth.

%% What the native library takes is in it. The least of some looks: what a handshake has
%% left behind goes by and by.
do_memory() ->
	lists:min([begin
		timer:sleep(200),
		_ = [garbage_collect(Pid) || Pid <- processes()],
		erlang:memory(total)
	end || _ <- lists:seq(1, 5)]).

do_facts(Server, Port, TlsOpts) ->
	ConnPid = do_open_with(Port, TlsOpts),
	Facts = tls_servers:facts(Server, ConnPid),
	ok = gun_rs:close(ConnPid),
	Facts.

renewed_file(Config) ->
	doc("A renewed cacertfile counts for new connections, and for those that are retried, once it is a second old."),
	#{root := #{der := Root}, other_root := #{der := Other}} = config(certs, Config),
	File = filename:join(config(priv_dir, Config), "renewed.pem"),
	TlsOpts = [{cacertfile, File}, {reuse_sessions, false}],
	_ = [do_with(Config, Kind, #{}, fun(_, Port) ->
		do_renew(File, [Other]),
		{unknown_ca, _} = do_alert_with(Port, TlsOpts),
		{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
		{ok, Retrying} = gun_rs:open("localhost", MiddlePort,
			#{transport => tls, tls_opts => TlsOpts, retry => 1000000, retry_timeout => 10}),
		_ = [?EXPECT({tcp_middle, Middle, accepted}) || _ <- [1, 2, 3]],
		do_replace(File, [Root]),
		{ok, http} = gun_rs:await_up(Retrying, ?WAIT),
		ok = gun_rs:close(do_open_with(Port, TlsOpts)),
		%% What is up stays up.
		do_renew(File, [Other]),
		{unknown_ca, _} = do_alert_with(Port, TlsOpts),
		{200, _, _} = answer(Retrying, gun_rs:get(Retrying, "/tls")),
		ok = gun_rs:close(Retrying),
		tcp_middle:stop(Middle)
	end) || Kind <- [erlang, rust]],
	ok.

renewed_roots(Config) ->
	doc("Roots of the system that are renewed count for new connections, without a restart."),
	#{root := #{der := Root}, other_root := #{der := Other}} = config(certs, Config),
	File = filename:join(config(priv_dir, Config), "system.pem"),
	do_replace(File, [Other]),
	Peer = gun_rs_test:start_peer([{"SSL_CERT_FILE", File}]),
	{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs]),
	do_with(Config, rust, #{}, fun(_, Port) ->
		Try = fun() -> peer:call(Peer, ?MODULE, do_try, [Port], ?WAIT) end,
		unknown_ca = Try(),
		do_replace(File, [Other, Root]),
		true = eventually(fun() -> Try() =:= up orelse Try() end, ?RENEWED)
	end),
	peer:stop(Peer).

%% As package managers do it: there is always a whole file.
do_replace(File, Ders) ->
	ok = file:write_file(File ++ ".new", tls_certs:pem(Ders)),
	ok = file:rename(File ++ ".new", File).

%% The same for a file that has just been read: within a second it is not read again.
do_renew(File, Ders) ->
	do_replace(File, Ders),
	timer:sleep(1100).

do_try(Port) ->
	_ = process_flag(trap_exit, true),
	{ok, ConnPid} = gun_rs:open("localhost", Port,
		#{transport => tls, tls_opts => [{reuse_sessions, false}], retry => 0, supervise => false}),
	receive
		{gun_up, ConnPid, http} -> up;
		{'EXIT', ConnPid, {shutdown, {tls_alert, {Alert, _}}}} -> Alert
	after ?WAIT ->
		gun_rs_test:missing("gun_up")
	end.

key_log(Config) ->
	doc("With SSLKEYLOGFILE the secrets of a connection are in that file, the same that the server has."),
	Ours = filename:join(config(priv_dir, Config), "client.keys"),
	Peer = gun_rs_test:start_peer([{"SSLKEYLOGFILE", Ours}]),
	{ok, _} = peer:call(Peer, application, ensure_all_started, [gun_rs]),
	_ = [begin
		Theirs = filename:join(config(priv_dir, Config), lists:concat([Version, ".keys"])),
		do_with(Config, openssl, #{versions => [Version], args => ["-keylogfile", Theirs]}, fun(Server, Port) ->
			ok = peer:call(Peer, ?MODULE, do_use, [Server, Port, do_roots(Config)], ?WAIT)
		end),
		Secrets = do_secrets(Theirs),
		ct:log("~p", [Secrets]),
		%% An empty file would have them all.
		true = length(Secrets) >= case Version of 'tlsv1.2' -> 1; 'tlsv1.3' -> 4 end,
		[] = Secrets -- do_secrets(Ours)
	end || Version <- ?VERSIONS],
	peer:stop(Peer).

%% The lines of a file in NSS's format, whose words are a label, the client's random and the secret.
do_secrets(File) ->
	{ok, Text} = file:read_file(File),
	[begin
		{match, _} = re:run(Line, "^[A-Z0-9_]+ [0-9a-fA-F]{64} [0-9a-fA-F]{64,}$"),
		string:lowercase(Line)
	end || Line <- binary:split(Text, <<"\n">>, [global, trim_all]), binary:first(Line) =/= $#].

do_use(Server, Port, TlsOpts) ->
	ConnPid = do_open_with(Port, TlsOpts),
	_ = tls_servers:facts(Server, ConnPid),
	gun_rs:close(ConnPid).

%% The end.

our_end(Config) ->
	doc("However we end a connection, the server is told that this is its end."),
	_ = [begin
		ct:log("~p ~p", [Version, End]),
		<<"DONE\n">> = do_end(Config, Version, End)
	end || Version <- ?VERSIONS, End <- [close, shutdown, owner, ws_close, ws_shutdown]],
	%% So that it is known to be able to say something else.
	_ = [<<"ERROR\n">> = do_end(Config, Version, cut) || Version <- ?VERSIONS],
	ok.

%% How openssl says that it ended: DONE after close_notify, ERROR without.
do_end(Config, Version, End) ->
	Self = self(),
	Serve = fun(Conn) ->
		Response = case tls_servers:head(Conn) of
			closed ->
				"";
			Request ->
				case lying_server:key(Request) of
					<<>> -> lying_server:ok("Hello!");
					Key -> lying_server:response(Key)
				end
		end,
		_ = tls_servers:send(Conn, Response),
		Self ! {said, do_said(Conn, <<>>)}
	end,
	do_with(Config, relay, #{versions => [Version], commands => true, serve => Serve}, fun(_, Port) ->
		{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
		Owner = spawn(fun() ->
			receive open -> ok end,
			ConnPid = do_open(Config, MiddlePort, []),
			case End of
				_ when End =:= ws_close; End =:= ws_shutdown ->
					_ = upgrade(ConnPid, "/");
				_ ->
					{200, _, _} = answer(ConnPid, gun_rs:get(ConnPid, "/"))
			end,
			case End of
				close -> gun_rs:close(ConnPid);
				shutdown -> gun_rs:shutdown(ConnPid);
				owner -> exit(normal);
				ws_close -> gun_rs:close(ConnPid);
				%% The server answers no close frame.
				ws_shutdown -> gun_rs:shutdown(ConnPid), timer:sleep(200), gun_rs:close(ConnPid);
				cut -> tcp_middle:cut(Middle)
			end,
			receive after infinity -> ok end
		end),
		%% Common Test shall see when it fails.
		link(Owner),
		Owner ! open,
		Said = ?EXPECT({said, S}, S),
		unlink(Owner),
		exit(Owner, kill),
		tcp_middle:stop(Middle),
		{match, [Last]} = re:run(Said, "(DONE|ERROR)\n", [{capture, first, binary}]),
		Last
	end).

do_said(Conn, Said) ->
	case tls_servers:recv(Conn, 0) of
		closed -> Said;
		Data -> do_said(Conn, <<Said/binary, Data/binary>>)
	end.

their_end(Config) ->
	doc("A server that ends the connection is told from one whose connection was cut, if something is missing then; "
		"of a WebSocket that was cut, gun_down says no more than over TCP, and the stats tell."),
	_ = [begin
		ct:log("~p ~p ~p", [Version, Protocol, End]),
		Reason = do_down(Config, Version, Protocol, End)
	end || Version <- ?VERSIONS, {Protocol, End, Reason} <- [
		{http, close, closed},
		%% Nothing is missing between two requests.
		{http, cut, closed},
		{ws, close, closed},
		{ws, cut, closed},
		{ws_closing, cut, closed}
	]],
	ok.

do_down(Config, Version, Protocol, End) ->
	do_with_ending(Config, Version, fun tls_servers:upgrade/1, fun(Port, EndIt) ->
		%% It lives on, to be asked.
		{ok, ConnPid} = gun_rs:open("localhost", Port, #{transport => tls, tls_opts => do_roots(Config), retry => 1}),
		{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
		{Spoken, Killed} = case Protocol of
			http -> {http, []};
			_ -> {ws, [upgrade(ConnPid, "/")]}
		end,
		%% The server answers no close frame.
		_ = [ok = gun_rs:ws_send_sync(ConnPid, StreamRef, close) || Protocol =:= ws_closing, StreamRef <- Killed],
		_ = EndIt(End),
		Down = ?EXPECT({gun_down, ConnPid, Spoken, Reason, Killed}, Reason),
		#{stats := #{truncated := Truncated}} = gun_rs:info(ConnPid),
		true = lists:member(Truncated, case {Protocol, End} of
			{ws, cut} -> [1];
			%% With our close frame unread, the system may reset the connection.
			{ws_closing, cut} -> [0, 1];
			_ -> [0]
		end),
		ok = gun_rs:close(ConnPid),
		Down
	end).

body_to_the_end(Config) ->
	doc("A body that lasts to the connection's end is whole when the server says so, and cut short when it does not."),
	Respond = fun(Conn) ->
		_ = tls_servers:head(Conn),
		<<"HTTP/1.1 200 OK\r\n\r\nHello">>
	end,
	_ = [do_with_ending(Config, Version, Respond, fun(Port, EndIt) ->
		ConnPid = do_open(Config, Port, []),
		StreamRef = gun_rs:get(ConnPid, "/"),
		?EXPECT({gun_response, ConnPid, StreamRef, nofin, 200, _}),
		?EXPECT({gun_data, ConnPid, StreamRef, nofin, <<"Hello">>}),
		EndIt(End),
		case End of
			close ->
				?EXPECT({gun_data, ConnPid, StreamRef, fin, <<>>}),
				?EXPECT({gun_down, ConnPid, http, closed, []});
			cut ->
				Reason = ?EXPECT({gun_error, ConnPid, StreamRef, R}, R),
				ct:log("~p~n~ts", [Reason, gun_rs:format_error(Reason)]),
				?EXPECT({gun_down, ConnPid, http, {error, truncated}, [StreamRef]}),
				?REFUTE({gun_data, ConnPid, StreamRef, fin, _})
		end
	end) || Version <- ?VERSIONS, End <- [close, cut]],
	ok.

%% A server that sends what the fun returns, if there is a request, and a fun that ends its connection, after which
%% nothing comes.
do_with_ending(Config, Version, Respond, Fun) ->
	Self = self(),
	Serve = fun(Conn) ->
		Self ! {serving, self()},
		%% What a server waits for shall not keep it from ending.
		Reader = spawn_link(fun() ->
			case Respond(Conn) of
				closed -> closed;
				Data -> tls_servers:send(Conn, Data)
			end
		end),
		receive close -> tls_servers:close(Conn) end,
		unlink(Reader)
	end,
	Result0 = do_with(Config, erlang, #{versions => [Version], serve => Serve}, fun(_, Port) ->
		{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
		Result = Fun(MiddlePort, fun(End) ->
			Server = ?EXPECT({serving, Pid}, Pid),
			case End of
				close -> Server ! close;
				cut -> tcp_middle:cut(Middle)
			end
		end),
		tcp_middle:stop(Middle),
		Result
	end),
	%% A connection that was tried again may have come as far as that.
	do_forget_serving(),
	Result0.

do_forget_serving() ->
	receive
		{serving, _} -> do_forget_serving()
	after 0 ->
		ok
	end.

spoilt_later(Config) ->
	doc("A record that was changed on the way ends the connection with an alert, and nothing of it is delivered."),
	_ = [do_with(Config, rust, #{versions => [Version]}, fun(_, Port) ->
		{Middle, MiddlePort} = tcp_middle:start(Port, #{}),
		ConnPid = do_open(Config, MiddlePort, []),
		StreamRef = upgrade(ConnPid, "/echo"),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"Hello">>}),
		?EXPECT({gun_ws, ConnPid, StreamRef, {text, <<"Hello">>}}),
		%% After a record's header, in what is encrypted.
		tcp_middle:spoil(Middle, 10),
		ok = gun_rs:ws_send(ConnPid, StreamRef, {text, <<"Bye">>}),
		Reason = ?EXPECT({gun_down, ConnPid, ws, R, [StreamRef]}, R),
		ct:log("~p ~p~n~ts", [Version, Reason, gun_rs:format_error(Reason)]),
		{error, {tls_alert, {bad_record_mac, _}}} = Reason,
		?REFUTE({gun_ws, ConnPid, StreamRef, _}),
		tcp_middle:stop(Middle)
	end) || Version <- ?VERSIONS],
	ok.

%% Helpers.

do_with(Config, Kind, Opts, Fun) ->
	do_with(Config, Kind, good, Opts, Fun).

do_with(Config, Kind, Name, Opts, Fun) ->
	tls_servers:with(Kind, maps:get(Name, config(certs, Config)), Opts, Fun).

do_roots(Config) ->
	#{root := #{certfile := File}} = config(certs, Config),
	[{cacertfile, File}].

do_open(Config, Port, TlsOpts) ->
	do_open(Config, "localhost", Port, TlsOpts).

do_open(Config, Host, Port, TlsOpts) ->
	do_open_with(Host, Port, TlsOpts ++ do_roots(Config)).

do_open_with(Port, TlsOpts) ->
	do_open_with("localhost", Port, TlsOpts).

do_open_with(Host, Port, TlsOpts) ->
	{ok, ConnPid} = gun_rs:open(Host, Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	{ok, http} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

%% The alert that a handshake ends with, and the sentence for it.
do_alert(Config, Port, TlsOpts) ->
	do_alert_with(Port, TlsOpts ++ do_roots(Config)).

do_alert_with(Port, TlsOpts) ->
	{shutdown, Reason} = gun_rs_test:exit_of("localhost", Port, #{transport => tls, tls_opts => TlsOpts, retry => 0}),
	{tls_alert, {Alert, Text}} = Reason,
	true = io_lib:printable_unicode_list(Text),
	{Alert, unicode:characters_to_list(gun_rs:format_error(Reason))}.

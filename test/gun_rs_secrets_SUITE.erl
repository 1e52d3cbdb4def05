%% Keys, passwords, headers and cookies are in no report, no log, no reason and no state that is printed.
-module(gun_rs_secrets_SUITE).

-define(NEEDS, [gun_rs, certs]).
-include("gun_rs_suite.hrl").

%% What is planted. A report may show a binary or a string, in characters or in numbers, or in Base64.
-define(PASSWORD, "S3cr3t-key-file-password").
-define(TOKEN, <<"S3cr3t-bearer-token">>).
-define(COOKIE, <<"S3cr3t-cookie-value">>).

%% This module is a handler of logger's.

log(Event, #{config := #{collector := Collector}}) ->
	Collector ! {log, Event},
	ok.

%% A cookie store that fails at its first question.
do_store() ->
	cookie_store_h:init(#{crash => query, planted => ?COOKIE}).

%% Cases.

the_state_of_a_connection_that_waits(Config) ->
	doc("While a connection waits for its next attempt, its state has neither keys nor passwords."),
	do_watched(fun() ->
		_ = [begin
			{Socket, Port} = gun_rs_test:refused_port(),
			{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, #{transport => tls, tls_opts => TlsOpts, retry => 5,
				retry_timeout => 3600000, notify_retries => true, retry_fun => Fun}),
			?EXPECT({gun_notify, ConnPid, retry, #{reason := econnrefused, timeout := T}} when T > 0),
			Seen = [sys:get_status(ConnPid), sys:get_state(ConnPid), gun_rs:info(ConnPid),
				process_info(ConnPid, [messages, dictionary]), sys:get_status(gun_rs_conns_sup), ets:tab2list(gun_rs_tls_cache)],
			do_refute(Config, Seen),
			ok = gun_rs:close(ConnPid),
			gun_rs_test:release_port(Socket)
		end || TlsOpts <- do_options(Config), Fun <- [fun do_retry/2]],
		[]
	end, Config).

do_retry(Retries, #{tls_opts := TlsOpts}) ->
	%% The fun itself is given what open was.
	true = lists:any(fun({password, P}) -> P =:= ?PASSWORD;
		({key, {_, Der}}) -> is_binary(Der);
		({certs_keys, [#{key := {_, Der}}]}) -> is_binary(Der);
		(_) -> false
	end, TlsOpts),
	#{retries => Retries - 1, timeout => 3600000}.

the_options_are_used_as_they_were_given(Config) ->
	doc("A file that is encrypted is read again for each attempt, with its password."),
	{Server, Port} = lying_server:start([]),
	do_watched(fun() ->
		[TlsOpts|_] = do_options(Config),
		{shutdown, timeout} = gun_rs_test:exit_of("localhost", Port, #{transport => tls, tls_opts => TlsOpts,
			tls_handshake_timeout => 100, retry => 2, retry_timeout => 1100}),
		[]
	end, Config),
	lying_server:stop(Server).

refused_options(Config) ->
	doc("Options that are refused are named, and their secrets are not."),
	#{client_ec := #{certfile := CertFile}, client_encrypted := #{keyfile := KeyFile}} = config(certs, Config),
	Wrong = "another " ++ ?PASSWORD,
	do_watched(fun() ->
		[begin
			{error, Reason} = gun_rs:open("localhost", 443, Opts),
			{Reason, unicode:characters_to_binary(gun_rs:format_error(Reason))}
		end || Opts <- [
			#{tls_opts => [{certfile, CertFile}, {keyfile, KeyFile}, {password, Wrong}]},
			#{tls_opts => [{password, {?PASSWORD}}]},
			#{tls_opts => [{key, ?PASSWORD}]},
			#{tls_opts => [{key, {'ECPrivateKey', do_der(Config)}}]},
			#{tls_opts => [{certs_keys, [#{key => {'ECPrivateKey', do_der(Config)}}]}]},
			#{tls_opts => [{password, ?PASSWORD, more}]},
			#{tls_opts => #{password => ?PASSWORD}},
			#{tls_opts => [{password, ?PASSWORD}|improper]},
			#{transport_opts => [{password, ?PASSWORD}]},
			#{dialect => gun_1, transport => tcp, transport_opts => [{password, ?PASSWORD}]},
			#{dialect => gun_1, transport => tcp, transport_opts => [{keepalive, true}, {key, {'RSAPrivateKey', ?PASSWORD}}]},
			#{dialect => gun_1, transport => tls, transport_opts => [{password, {?PASSWORD}}]},
			#{transport => tcp, tcp_opts => [{password, ?PASSWORD}]},
			[{tls_opts, [{password, ?PASSWORD}]}]
		]]
	end, Config).

urls(Config) ->
	doc("A URL, or a host, that has a user and a password is refused, and neither is shown."),
	do_watched(fun() ->
		[begin
			Text = unicode:characters_to_binary(gun_rs:format_error(Reason)),
			{Text, {_, _}} = {Text, binary:match(Text, <<"***@">>)},
			{Reason, Text}
		end || Url <- ["wss://user:" ++ ?PASSWORD ++ "@example.org/path", <<"wss://user:", ?PASSWORD, "@example.org">>,
			"ftp://user:" ++ ?PASSWORD ++ "@example.org",
			"user:" ++ ?PASSWORD ++ "@example.org", "wss://user:@" ++ ?PASSWORD ++ "@example.org:x"],
			{error, Reason} <- [gun_rs:open(Url), gun_rs:open(Url, 443), gun_rs_socket:connect(Url, #{})]]
	end, Config).

crashes(Config) ->
	doc("A connection that crashes in a module or a fun of the user's shows no secret in its report or its exit."),
	{Ref, Port} = gun_rs_test:start_cowboy(),
	do_watched(fun() ->
		[do_crash(fun() -> gun_rs:open("127.0.0.1", Port, Opts#{retry => 0, supervise => Supervise}) end, Request) ||
			Supervise <- [true, false], {Opts, Request} <- [
				%% The requests behind the one at which the store fails are still in the mailbox.
				{#{cookie_store => do_store()}, fun(ConnPid) ->
					true = erlang:suspend_process(ConnPid),
					_ = [gun_rs:get(ConnPid, "/", [{<<"authorization">>, ?TOKEN}]) || _ <- lists:seq(1, 100)],
					true = erlang:resume_process(ConnPid)
				end},
				{#{}, fun(ConnPid) ->
					gun_rs:get(ConnPid, "/", [], #{reply_to => {fun do_broken/2, [?TOKEN]}})
				end}
			]]
	end, Config),
	gun_rs_test:stop_cowboy(Ref).

unexpected_messages(_) ->
	doc("What a connection does not know is logged by its kind alone."),
	{Server, Port} = lying_server:start([]),
	Handler = unexpected_messages,
	ok = logger:add_handler(Handler, ?MODULE, #{config => #{collector => self()}, level => all}),
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port),
	_ = [ConnPid ! Message || Message <- [{what, ?PASSWORD}, {gun_rs_native, {what, ?TOKEN}}]],
	gen_statem:cast(ConnPid, {connect_by, ?PASSWORD}),
	Logged = [receive {log, Event=#{msg := {"gun_rs connection ~p received" ++ _, _}}} -> Event after ?WAIT -> error(nothing) end
		|| _ <- lists:seq(1, 3)],
	ok = logger:remove_handler(Handler),
	_ = [nomatch = string:find(logger_formatter:format(Event, #{}), "S3cr3t") || Event <- Logged],
	ok = gun_rs:close(ConnPid),
	lying_server:stop(Server).

%% It has no clause for a response.
do_broken({no_message, _}, _) ->
	ok.

a_crash_while_it_waits(Config) ->
	doc("A retry_fun that fails is given the options, and its failure shows none of their secrets."),
	do_watched(fun() ->
		[do_crash(fun() ->
			gun_rs:open("127.0.0.1", 1, #{transport => tls, tls_opts => TlsOpts, retry => 5, retry_fun => Fun})
		end, fun(_) -> ok end) || TlsOpts <- do_options(Config), Fun <- [fun do_no_clause/2, fun(_, _) -> error(oops) end]]
	end, Config).

do_no_clause(none, none) ->
	#{}.

killed(Config) ->
	doc("Nor does a connection that is told to terminate by somebody else, or whose native side panics."),
	{Server, Port} = lying_server:start([]),
	do_watched(fun() ->
		[do_crash(fun() ->
			gun_rs:open("localhost", Port, #{transport => tls, tls_opts => TlsOpts, retry => 0, cookie_store => do_store()})
		end, fun(ConnPid) ->
			_ = [gun_rs:get(ConnPid, "/", [{<<"authorization">>, ?TOKEN}]) || _ <- lists:seq(1, 10)],
			End(ConnPid)
		end) || TlsOpts <- do_options(Config), End <- [
			fun(ConnPid) -> ?CATCH(sys:terminate(ConnPid, some_reason)) end,
			fun(ConnPid) -> gun_rs_native:debug_panic(ConnPid) end,
			fun(ConnPid) -> exit(ConnPid, crash) end
		]]
	end, Config),
	lying_server:stop(Server).

%% A connection that ends; its exit reason.
do_crash(Open, Work) ->
	Trapped = process_flag(trap_exit, true),
	{ok, ConnPid} = Open(),
	MRef = monitor(process, ConnPid),
	_ = Work(ConnPid),
	Reason = ?EXPECT({'DOWN', MRef, process, ConnPid, R}, R),
	_ = process_flag(trap_exit, Trapped),
	Reason.

%% With a key in a file and its password, with the key itself, and with both in a list.
do_options(Config) ->
	#{client_ec := #{certfile := CertFile}} = config(certs, Config),
	KeyFile = do_encrypted(Config),
	Key = {'ECPrivateKey', do_der(Config)},
	[
		[{verify, verify_none}, {certfile, CertFile}, {keyfile, KeyFile}, {password, ?PASSWORD}],
		[{verify, verify_none}, {certfile, CertFile}, {key, Key}],
		[{verify, verify_none}, {certs_keys, [#{certfile => CertFile, key => Key}]}]
	].

do_der(Config) ->
	#{client_ec := #{key := Key}} = config(certs, Config),
	public_key:der_encode('ECPrivateKey', Key).

do_encrypted(Config) ->
	#{client_ec := #{key := Key}} = config(certs, Config),
	File = filename:join(config(priv_dir, Config), "encrypted.pem"),
	Salt = crypto:strong_rand_bytes(8),
	Entry = public_key:pem_entry_encode('ECPrivateKey', Key, {{"DES-EDE3-CBC", Salt}, ?PASSWORD}),
	ok = file:write_file(File, public_key:pem_encode([Entry])),
	File.

%% Runs the fun, and looks for secrets in what it returns and in every event that was logged meanwhile.
do_watched(Fun, Config) ->
	Handler = list_to_atom(lists:concat([?MODULE, "_", erlang:unique_integer([positive])])),
	#{level := Level} = logger:get_primary_config(),
	ok = logger:set_primary_config(level, debug),
	ok = logger:add_handler(Handler, ?MODULE, #{config => #{collector => self()}, level => all}),
	try Fun() of
		Seen -> do_refute(Config, [Seen|do_logged()])
	after
		ok = logger:remove_handler(Handler),
		ok = logger:set_primary_config(level, Level)
	end.

%% Reports are logged by the process that has died, before its end is told; supervisors are asked once more.
do_logged() ->
	_ = sys:get_status(gun_rs_conns_sup),
	do_received().

do_received() ->
	receive
		{log, Event=#{meta := Meta}} ->
			Text = logger_formatter:format(Event, #{single_line => false, depth => unlimited}),
			[maps:remove(meta, Event), maps:remove(error_logger, Meta), unicode:characters_to_binary(Text)|do_received()]
	after 0 ->
		[]
	end.

%% The terms as they are, which is more than what is printed of them, and as they are printed.
do_refute(Config, Seen) ->
	Printed = unicode:characters_to_binary([io_lib:format("~tp~n~0tp~n~w~n", [S, S, S]) || S <- lists:flatten([Seen])]),
	Raw = term_to_binary(Seen),
	Der = do_der(Config),
	Secrets = [{"the password", list_to_binary(?PASSWORD)}, {"the token", ?TOKEN}, {"the cookie", ?COOKIE},
		{"the key", binary:part(Der, 7, 32)}],
	Numbers = fun(Bin) -> lists:join($,, [integer_to_list(B) || <<B>> <= Bin]) end,
	[] = [Name || {Name, Secret} <- Secrets,
		Form <- [Secret, iolist_to_binary(Numbers(Secret)), base64:encode(Secret)],
		binary:match(Printed, Form) =/= nomatch orelse binary:match(Raw, Form) =/= nomatch],
	ok.

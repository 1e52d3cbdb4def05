%% Servers that speak HTTP/2, and connections to them, for suites whose groups are
%%
%%     http2      by prior knowledge, on TCP
%%     https2     by ALPN, on TLS
%%
%% The suite needs `cowboy' and `certs'. In a group's Config, `cowboy' and `rust' are the ports of Cowboy, with the routes
%% of http_echo_h, and of the test server. Both offer extended CONNECT.
-module(http2_servers).

-export([groups/1]).
-export([init/2]).
-export([stop/1]).

-export([cowboy/2]).
-export([rust/2]).
-export([lie/2]).
-export([lie/3]).
-export([with/3]).

-export([open/2]).
-export([open/3]).
-export([opts/2]).

-include("gun_rs_test.hrl").

-import(gun_rs_test, [config/2]).

%% The same cases in each.
groups(Cases) ->
	[{http2, Cases}, {https2, Cases}].

init(Group, Config0) ->
	Config = [{transport, case Group of http2 -> tcp; https2 -> tls end}|Config0],
	Cowboy = cowboy(Config, #{}),
	Rust = rust(Config, []),
	[{servers, [Cowboy, Rust]}, {cowboy, port(Cowboy)}, {rust, port(Rust)}|Config].

stop(Config) when is_list(Config) ->
	_ = [stop(Server) || Server <- config(servers, Config)],
	ok;
stop({_, Stop}) ->
	Stop().

port({Port, _}) -> Port.

%% Cowboy, with options for its protocol. No limit or timeout of its own ends a connection.
cowboy(Config, Opts) ->
	Ref = make_ref(),
	TransportOpts = #{max_connections => infinity, num_acceptors => 16, shutdown => brutal_kill},
	SocketOpts = [{port, 0}, {ip, {127, 0, 0, 1}}, {backlog, 4096}, {nodelay, true}],
	ProtoOpts = maps:merge(#{
		enable_connect_protocol => true,
		env => #{dispatch => cowboy_router:compile([{'_', http_echo_h:routes() ++ http_modules_h:routes()}])},
		idle_timeout => infinity,
		inactivity_timeout => infinity,
		max_concurrent_streams => infinity,
		max_received_frame_rate => {100000000, 1000},
		max_reset_stream_rate => {100000000, 1000},
		request_timeout => infinity
	}, Opts),
	{ok, _} = case config(transport, Config) of
		tcp ->
			cowboy:start_clear(Ref, TransportOpts#{socket_opts => SocketOpts}, ProtoOpts);
		tls ->
			Tls = certificate(Config) ++ [{log_level, none}],
			cowboy:start_tls(Ref, TransportOpts#{socket_opts => Tls ++ SocketOpts}, ProtoOpts)
	end,
	{ranch:get_port(Ref), fun() -> ok = cowboy:stop_listener(Ref) end}.

%% The test server, with more arguments.
rust(Config, Args) ->
	Server = case config(transport, Config) of
		tcp ->
			tls_servers:start(rust, none, #{args => ["--http2"|Args]});
		tls ->
			#{good := Good} = config(certs, Config),
			tls_servers:start(rust, Good, #{alpn => [<<"h2">>], args => ["--http2"|Args]})
	end,
	{tls_servers:port(Server), fun() -> tls_servers:stop(Server) end}.

%% What plays a script of http2_liar.
lie(Config, Script) ->
	lie(Config, Script, []).

lie(Config, Script, Opts) ->
	http2_liar:start(Script, case config(transport, Config) of
		tcp -> Opts;
		tls -> [{tls, certificate(Config) ++ [{alpn_preferred_protocols, [<<"h2">>]}, {log_level, none}]}|Opts]
	end).

certificate(Config) ->
	#{good := #{certfile := CertFile, keyfile := KeyFile}} = config(certs, Config),
	[{certfile, CertFile}, {keyfile, KeyFile}].

%% A server of cowboy/2 or rust/2 for as long as the fun takes, which gets its port.
with(Server = {Port, _}, Fun, Arg) ->
	try
		Fun(Port, Arg)
	after
		stop(Server)
	end.

%% A connection to it.
open(Config, Port) ->
	open(Config, Port, #{}).

open(Config, Port, Opts) ->
	{ok, ConnPid} = gun_rs:open("127.0.0.1", Port, opts(Config, Opts)),
	{ok, http2} = gun_rs:await_up(ConnPid, ?WAIT),
	ConnPid.

%% On TLS the protocols are those of the default.
opts(Config, Opts) ->
	maps:merge(case config(transport, Config) of
		tcp ->
			#{retry => 0, protocols => [http2]};
		tls ->
			#{root := #{certfile := Root}} = config(certs, Config),
			#{retry => 0, transport => tls, tls_opts => [{cacertfile, Root}]}
	end, Opts).

%% What the suites of libraries that use gun share: the libraries themselves, where Debian has them, and a real Cowboy in
%% a node of its own, since the application cowboy of this one is gun_rs.
-module(dependents).

-export([all/1]).
-export([cases/1]).
-export([start/1]).
-export([stop/1]).
-export([start_server/1]).
-export([stop_server/1]).
-export([library/2]).
-export([forget/1]).

%% Called in other processes.
-export([compile/2]).

%% In the node of the server.
-export([serve/2]).

%% The groups of a suite or, where it has none, its cases.
-spec all(module()) -> [atom() | {group, atom()}].
all(Suite) ->
	case erlang:function_exported(Suite, groups, 0) of
		true -> [{group, element(1, Group)} || Group <- Suite:groups()];
		false -> cases(Suite)
	end.

%% Every exported function of one argument that isn't Common Test's own is a case.
-spec cases(module()) -> [atom()].
cases(Suite) ->
	lists:usort([F || {F, 1} <- Suite:module_info(exports), F =/= module_info, F =/= init_per_suite,
		F =/= end_per_suite, not lists:prefix("do_", atom_to_list(F))]).

%% The application gun, and the modules that all suites of the project share.
-spec start([{atom(), term()}]) -> [{atom(), term()}].
start(Config) ->
	true = code:add_pathz(filename:join(code:lib_dir(gun_rs), "test")),
	{ok, _} = application:ensure_all_started(gun),
	Config.

-spec stop([{atom(), term()}]) -> ok.
stop(_) ->
	_ = code:del_path(filename:join(code:lib_dir(gun_rs), "test")),
	application:stop(gun).

%% start/1, and Cowboy: `http' and `https' are its ports, `cacertfile' names the certificate of its authority, and `root'
%% has the certificate itself.
-spec start_server([{atom(), term()}]) -> [{atom(), term()}].
start_server(Config0) ->
	Config = start(Config0),
	#{good := Good, root := Root} = Certs = tls_certs:make(gun_rs_test:config(priv_dir, Config)),
	Dir = filename:join(gun_rs_test:root(), "_build/peers/lib"),
	Paths = lists:append([filelib:wildcard(filename:join([Dir, App ++ "-*", "ebin"])) || App <- ["cowboy", "cowlib", "ranch"]]),
	3 = length(Paths),
	Test = filename:join(code:lib_dir(gun_rs), "test"),
	{ok, Peer, _} = peer:start(#{connection => standard_io, wait_boot => 60000,
		args => ["-pa", Test, filename:join(Test, "compat")|Paths]}),
	{Http, Https} = peer:call(Peer, ?MODULE, serve, [maps:get(certfile, Good), maps:get(keyfile, Good)], 60000),
	[{peer, Peer}, {http, Http}, {https, Https}, {certs, Certs}, {cacertfile, maps:get(certfile, Root)},
		{root, maps:get(der, Root)}|Config].

-spec stop_server([{atom(), term()}]) -> ok.
stop_server(Config) ->
	ok = peer:stop(gun_rs_test:config(peer, Config)),
	stop(Config).

%% Cowboy's, on TCP and on TLS, for both versions of HTTP. No limit or timeout of its own ends a connection.
-spec serve(CertFile :: string(), KeyFile :: string()) -> {inet:port_number(), inet:port_number()}.
serve(CertFile, KeyFile) ->
	{ok, _} = application:ensure_all_started(cowboy),
	Socket = [{port, 0}, {ip, {127, 0, 0, 1}}],
	Opts = #{
		enable_connect_protocol => true,
		env => #{dispatch => cowboy_router:compile([{'_', dependents_h:routes() ++ http_modules_h:routes() ++ http_echo_h:routes()}])},
		idle_timeout => infinity,
		max_keepalive => infinity,
		request_timeout => infinity
	},
	{ok, _} = cowboy:start_clear(http, #{socket_opts => Socket}, Opts),
	{ok, _} = cowboy:start_tls(https, #{socket_opts => [{certfile, CertFile}, {keyfile, KeyFile}, {log_level, none}|Socket]},
		Opts),
	{ranch:get_port(http), ranch:get_port(https)}.

%% A library of those that scripts/setup.sh has unpacked into this folder of _build/peers: it is in the code path now.
%% Modules that a newer OTP has compiled, and that this one cannot load, are compiled here from the source that is among
%% their debug information; `old' says that this OTP cannot compile them either.
-spec library(Folder :: string(), App :: string()) -> {ok, Ebin :: string()} | none | old.
library(Folder, App) ->
	Root = filename:join(gun_rs_test:root(), "_build/peers"),
	case filelib:wildcard(filename:join([Root, Folder, App ++ "-[0-9]*", "ebin"])) of
		[] ->
			none;
		[Ebin|_] ->
			case compiled(Ebin, App) of
				old ->
					old;
				Dir ->
					true = code:add_patha(Dir),
					{ok, Dir}
			end
	end.

%% It is no longer in the code path, nor are its modules loaded.
-spec forget(Ebin :: string()) -> ok.
forget(Ebin) ->
	_ = [begin
		Module = list_to_atom(filename:basename(File, ".beam")),
		_ = code:purge(Module),
		code:delete(Module) andalso code:purge(Module)
	end || File <- filelib:wildcard(filename:join(Ebin, "*.beam"))],
	true = code:del_path(Ebin),
	ok.

compiled(Ebin, App) ->
	Files = filelib:wildcard(filename:join(Ebin, "*.beam")),
	Dir = filename:join([filename:dirname(filename:dirname(code:lib_dir(gun_rs))), "dependents",
		filename:basename(filename:dirname(Ebin)), "ebin"]),
	%% What says that all is there comes last.
	Done = filename:join(Dir, App ++ ".app"),
	case lists:all(fun is_loadable/1, Files) of
		true ->
			Ebin;
		false ->
			ok = filelib:ensure_dir(Done),
			case filelib:is_regular(Done) orelse lists:all(fun(Is) -> Is end, rpc:pmap({?MODULE, compile}, [Dir], Files)) of
				true ->
					{ok, _} = file:copy(filename:join(Ebin, App ++ ".app"), Done),
					Dir;
				false ->
					old
			end
	end.

is_loadable(File) ->
	{ok, Beam} = file:read_file(File),
	Module = list_to_atom(filename:basename(File, ".beam")),
	try code:prepare_loading([{Module, File, Beam}]) of
		{ok, _} -> true;
		{error, _} -> false
	catch
		error:_ -> false
	end.

%% A module from the source in its debug information; false where this OTP does not know what that is.
-spec compile(File :: string(), Dir :: string()) -> boolean().
compile(File, Dir) ->
	{ok, Packed} = file:read_file(File),
	Beam = case Packed of
		<<16#1f, 16#8b, _/binary>> -> zlib:gunzip(Packed);
		_ -> Packed
	end,
	<<"FOR1", _:32, "BEAM", Chunks/binary>> = Beam,
	{debug_info_v1, erl_abstract_code, {Forms, _}} = binary_to_term(chunk(<<"Dbgi">>, Chunks)),
	case compile:forms(older(Forms), [return]) of
		{ok, Module, New, _} -> ok =:= file:write_file(filename:join(Dir, atom_to_list(Module) ++ ".beam"), New);
		{error, _, _} -> false
	end.

%% OTP 25 has no comprehensions that make maps; what it has instead is the same.
older({mc, Anno, {map_field_assoc, _, Key, Value}, Qualifiers}) ->
	Pairs = {lc, Anno, {tuple, Anno, [older(Key), older(Value)]}, older(Qualifiers)},
	{call, Anno, {remote, Anno, {atom, Anno, maps}, {atom, Anno, from_list}}, [Pairs]};
older(Form) when is_tuple(Form) -> list_to_tuple(older(tuple_to_list(Form)));
older([Form|Forms]) -> [older(Form)|older(Forms)];
older(Form) -> Form.

%% beam_lib of an older OTP does not know the atoms of a newer one.
chunk(Name, <<Name:4/binary, Size:32, Data:Size/binary, _/binary>>) ->
	Data;
chunk(Name, <<_:4/binary, Size:32, Rest/binary>>) ->
	Padded = (Size + 3) band bnot 3,
	<<_:Padded/binary, Next/binary>> = Rest,
	chunk(Name, Next).

%% What gun exports is there under the same names: functions, types and callbacks.
-module(gun_exports_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

all() ->
	[exports_of_gun_2, exports_of_the_gun_that_is_here, connect_is_cast_as_in_gun].

exports_of_gun_2(_) ->
	ct:comment("Whatever gun 2.6 exports for others is exported."),
	{ok, Modules} = file:consult(filename:join(filename:dirname(code:which(?MODULE)), "gun_2.6.0.exports")),
	_ = [ok = do_has(Module, Functions, Types, Callbacks) || {Module, Functions, Types, Callbacks} <- Modules],
	ok.

exports_of_the_gun_that_is_here(_) ->
	ct:comment("So is what the gun exports with which gun_rs is compared on this OTP, but for what its processes are made of."),
	case filelib:wildcard("_build/peers/lib/gun-*/ebin/*.beam", do_root()) of
		[] ->
			{skip, "No gun is in _build/peers."};
		Beams ->
			_ = [ok = do_has_what(filename:join(do_root(), Beam)) || Beam <- Beams],
			ok
	end.

connect_is_cast_as_in_gun(_) ->
	ct:comment("connect of the alias asks for a tunnel; who stands in for a connection is cast what gun casts."),
	{ok, _} = application:ensure_all_started(gun),
	Self = self(),
	Destination = #{host => "localhost", port => 1},
	StreamRef = gun:connect(Self, Destination),
	receive
		{'$gen_cast', {connect, Self, StreamRef, Destination, [], infinity}} -> ok
	after 5000 ->
		error(no_cast)
	end.

%% Helpers.

do_has_what(Beam) ->
	{ok, {Module, [{exports, Exports}]}} = beam_lib:chunks(Beam, [exports]),
	{Types, Callbacks} = do_types(Beam),
	Internal = do_internal(Module),
	case Internal of
		all -> ok;
		_ -> do_has(Module, [Export || Export={Name, _} <- Exports, not lists:member(Name, Internal)], Types, Callbacks)
	end.

%% The functions of the processes, and the modules that nobody calls from outside.
do_internal(gun) ->
	[callback_mode, init, default_transport, not_connected, domain_lookup, connecting, initial_tls_handshake,
		ensure_tls_opts, tls_handshake, connected_protocol_init, connected, connected_data_only, connected_no_input,
		connected_ws_only, closing, terminate, proc_lib_hack, system_continue, system_terminate, system_code_change,
		module_info];
do_internal(gun_pool) ->
	[callback_mode, start_link, init, degraded, operational, terminate, module_info];
do_internal(Module) when Module =:= gun_content_handler; Module =:= gun_cookies; Module =:= gun_cookies_list;
		Module =:= gun_data_h; Module =:= gun_default_event_h; Module =:= gun_event; Module =:= gun_sse_h;
		Module =:= gun_ws_h; Module =:= gun_ws_protocol ->
	[module_info, behaviour_info];
do_internal(_) ->
	all.

do_has(Module, Functions, Types, Callbacks) ->
	{module, Module} = code:ensure_loaded(Module),
	Beam = code:which(Module),
	{OurTypes, OurCallbacks} = do_types(Beam),
	[] = [{Module, function, Function} || Function <- Functions -- Module:module_info(exports)],
	[] = [{Module, type, Type} || Type <- Types -- OurTypes],
	[] = [{Module, callback, Callback} || Callback <- Callbacks -- OurCallbacks],
	ok.

do_types(Beam) ->
	{ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(Beam, [abstract_code]),
	{lists:append([Types || {attribute, _, export_type, Types} <- Forms]),
		[Callback || {attribute, _, callback, {Callback, _}} <- Forms]}.

do_root() ->
	filename:join(lists:takewhile(fun(Name) -> Name =/= "_build" end, filename:split(filename:absname(code:lib_dir(gun))))).

%% What Cowboy exports is there under the same names: functions, types and callbacks; what is not is refused by name here.
-module(cowboy_exports_SUITE).
-compile(export_all).
-compile(nowarn_export_all).

all() ->
	[exports_of_cowboy_2_8, exports_of_the_cowboy_that_is_here, letters].

exports_of_cowboy_2_8(_) ->
	ct:comment("What Cowboy 2.8 exports is exported, but for what is refused, and nothing is refused that is there."),
	{ok, Modules} = file:consult(filename:join(filename:dirname(code:which(?MODULE)), "cowboy_2.8.0.exports")),
	[] = do_differences(Modules),
	ok.

exports_of_the_cowboy_that_is_here(_) ->
	ct:comment("So is what the Cowboy exports with which the tests run on this OTP."),
	case filelib:wildcard("_build/peers/lib/cowboy-2.*/ebin/*.beam", do_root()) of
		[] ->
			{skip, "No Cowboy is in _build/peers."};
		Beams ->
			Modules = [do_exports(filename:join(do_root(), Beam)) || Beam <- Beams],
			Missing = [D || D={missing, _, _, _} <- do_differences([M || M <- Modules, not do_is_left_out(element(1, M))])],
			[] = Missing,
			ok
	end.

letters(_) ->
	ct:comment("The letters of cowboy_bstr."),
	$a = cowboy_bstr:char_to_lower($A),
	$Z = cowboy_bstr:char_to_upper($z),
	$1 = cowboy_bstr:char_to_upper($1),
	ok.

%% What is refused, by module. Its processes, middlewares, protocols and REST are what Cowboy is made of, and not what handlers
%% call.
do_refused() -> #{
	%% Of the log of Cowboy's processes.
	cowboy => [{log, 2}, {log, 4}],
	%% Middlewares, of which there are none.
	cowboy_handler => [{execute, 2}, {terminate, 4}],
	cowboy_router => [{execute, 2}],
	%% Protocols that a process becomes.
	cowboy_loop => [{loop, 4}, {system_code_change, 4}, {system_continue, 3}, {system_terminate, 4}, {upgrade, 4}, {upgrade, 5}],
	cowboy_websocket => [{is_upgrade_request, 1}, {loop, 3}, {system_code_change, 4}, {system_continue, 3},
		{system_terminate, 4}, {takeover, 7}, {upgrade, 4}, {upgrade, 5}],
	%% Of cowboy_rest.
	cowboy_static => [{charsets_provided, 2}, {content_types_provided, 2}, {forbidden, 2}, {generate_etag, 2}, {get_file, 2},
		{last_modified, 2}, {malformed_request, 2}, {ranges_provided, 2}, {resource_exists, 2}],
	%% Of its stream handlers.
	cowboy_req => [{response_headers, 2}]
}.

%% Modules that no handler names: protocols, stream handlers, processes, REST.
do_is_left_out(Module) ->
	lists:member(Module, [cowboy_app, cowboy_children, cowboy_clear, cowboy_clock, cowboy_compress_h, cowboy_decompress_h,
		cowboy_dynamic_buffer, cowboy_http, cowboy_http2, cowboy_http3, cowboy_metrics_h, cowboy_middleware, cowboy_quicer,
		cowboy_rest, cowboy_stream, cowboy_stream_h, cowboy_sub_protocol, cowboy_sup, cowboy_tls, cowboy_tracer_h,
		cowboy_webtransport]).

do_differences(Modules) ->
	lists:append([do_differences(Module, Functions, Types, Callbacks) || {Module, Functions, Types, Callbacks} <- Modules]).

do_differences(Module, Functions, Types, Callbacks) ->
	{module, Module} = code:ensure_loaded(Module),
	{Module, OurFunctions, OurTypes, OurCallbacks} = do_exports(code:which(Module)),
	Refused = maps:get(Module, do_refused(), []),
	[{missing, Module, function, F} || F <- (Functions -- OurFunctions) -- Refused]
		++ [{missing, Module, type, T} || T <- Types -- OurTypes]
		++ [{missing, Module, callback, C} || C <- Callbacks -- OurCallbacks]
		++ [{refused_in_vain, Module, F} || F <- Refused, lists:member(F, OurFunctions)].

do_exports(Beam) ->
	{ok, {Module, [{exports, Exports}, {abstract_code, {_, Forms}}]}} = beam_lib:chunks(Beam, [exports, abstract_code]),
	{Module,
		[Export || Export={Name, _} <- Exports, Name =/= module_info, Name =/= behaviour_info],
		lists:append([Types || {attribute, _, export_type, Types} <- Forms]),
		[Callback || {attribute, _, callback, {Callback, _}} <- Forms]}.

do_root() ->
	filename:join(lists:takewhile(fun(Name) -> Name =/= "_build" end, filename:split(filename:absname(code:lib_dir(cowboy))))).

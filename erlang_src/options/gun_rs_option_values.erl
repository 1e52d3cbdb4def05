%% @private What the values of some options must be beside their kind.
-module(gun_rs_option_values).

-export([are_methods/1]).
-export([is_tunnel/1]).
-export([is_cookie_store/1]).
-export([is_event_handler/1]).
-export([is_setup_fun/1]).
-export([is_spelling/1]).
-export([check_tcp/1]).
-export([check_tls/1]).

%% @doc Whether these are ways of telling a SOCKS proxy who the user is: RFC 1929.
-spec are_methods(term()) -> boolean().
are_methods(Methods) when is_list(Methods), length(Methods) > 0 ->
	lists:all(fun
		(none) -> true;
		({username_password, Name, Password}) -> is_short(Name) andalso is_short(Password);
		(_) -> false
	end, Methods) andalso length(lists:usort([is_tuple(Method) || Method <- Methods])) =:= length(Methods);
are_methods(_) ->
	false.

is_short(Text) -> is_binary(Text) andalso byte_size(Text) > 0 andalso byte_size(Text) < 256.

%% @doc Whether this may be the reference of a tunnel.
-spec is_tunnel(term()) -> boolean().
is_tunnel(Ref) when is_reference(Ref) -> true;
is_tunnel([_|_]=Refs) when length(Refs) < 16 -> lists:all(fun is_reference/1, Refs);
is_tunnel(_) -> false.

%% @doc Whether this is a store of cookies. Init is of no concern, since the store has been made.
-spec is_cookie_store(term()) -> boolean().
is_cookie_store({Module, _}) when is_atom(Module) ->
	Callbacks = [{query, 2}, {set_cookie_secure_match, 2}, {set_cookie_get_exact_match, 2},
		{store, 2}, {gc, 1}, {session_gc, 1}],
	code:ensure_loaded(Module) =:= {module, Module} andalso lists:all(fun({Name, Arity}) ->
		erlang:function_exported(Module, Name, Arity)
	end, Callbacks);
is_cookie_store(_) ->
	false.

%% @doc Whether this is a handler of events. As in gun, a module that is not there, or does not have a callback, raises where
%% it is called.
-spec is_event_handler(term()) -> boolean().
is_event_handler({Module, _}) -> is_atom(Module);
is_event_handler(_) -> false.

%% @doc Whether this sets the connections of a pool up.
-spec is_setup_fun(term()) -> boolean().
is_setup_fun({Fun, _}) -> is_function(Fun, 3);
is_setup_fun(_) -> false.

%% @doc Whether this spells the names of headers in a way that native code knows.
-spec is_spelling(term()) -> boolean().
is_spelling(Fun) ->
	is_function(Fun, 1) andalso gun_rs_request:spelling(Fun) =/= other.

%% @doc Checks the options of a socket; an error has the one that is refused.
-spec check_tcp(term()) -> ok | {error, Element :: term()}.
check_tcp(TcpOpts) ->
	case gun_rs_tcp_options:check(tcp, TcpOpts) of
		{ok, _} -> ok;
		{error, Element} -> {error, gun_rs_tcp_options:refused(Element)}
	end.

%% @doc The same of TLS.
-spec check_tls(term()) -> ok | {error, Element :: term()}.
check_tls(TlsOpts) ->
	case gun_rs_tls_options:check(TlsOpts) of
		ok -> ok;
		{error, Element} -> {error, gun_rs_tls_options:refused(Element)}
	end.

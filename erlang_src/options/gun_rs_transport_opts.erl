%% @private The option transport_opts of gun 1, which stands for tcp_opts and tls_opts.
-module(gun_rs_transport_opts).

-export([spread/2]).
-export([name/2]).

-define(IS_PROPER_LIST(L), (is_list(L) andalso length(L) >= 0)).

%% @doc The options in which those of the socket, and with TLS those of both, stand where gun 2 has them. The transport is
%% that of the options, in their dialect.
-spec spread({gun_rs_options:dialect() | term(), tcp | tls | term()}, map()) -> map().
spread(Transport, Opts=#{transport_opts := TransportOpts}) when ?IS_PROPER_LIST(TransportOpts) ->
	case Transport of
		{gun_2, _} ->
			Opts;
		{_, tls} ->
			{Tcp, Tls} = lists:partition(fun gun_rs_tls_option_check:is_socket_option/1, TransportOpts),
			add(tls_opts, Tls, add(tcp_opts, Tcp, maps:remove(transport_opts, Opts)));
		{_, _} ->
			add(tcp_opts, TransportOpts, maps:remove(transport_opts, Opts))
	end;
spread(_, Opts) ->
	Opts.

add(_, [], Opts) ->
	Opts;
add(Key, Elements, Opts) ->
	case maps:get(Key, Opts, []) of
		Given when ?IS_PROPER_LIST(Given) -> Opts#{Key => Given ++ Elements};
		%% It is refused.
		_ -> Opts
	end.

%% @doc The error names an element with the option that the user gave it by.
-spec name(Error, Opts :: map()) -> Error when Error :: {error, {options, term()}} | {error, options, term()}.
name(Error={error, {options, {Key, Element}}}, #{transport_opts := TransportOpts})
		when Key =:= tcp_opts; Key =:= tls_opts ->
	case ?IS_PROPER_LIST(TransportOpts) andalso is_of(Element, TransportOpts) of
		true -> {error, {options, {transport_opts, Element}}};
		false -> Error
	end;
name(Error, _) ->
	Error.

%% One whose value may be a secret is known by its key.
is_of({Key, {hidden, _}}, TransportOpts) -> lists:keymember(Key, 1, TransportOpts);
is_of(Element, TransportOpts) -> lists:member(Element, TransportOpts).

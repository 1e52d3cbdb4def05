%% @doc The one function of gun's `gun_http' that others call.
-module(gun_http).

-export([host_header/3]).

%% @doc The value of a host header: the port is left out where it is the transport's own.
-spec host_header(tcp | tls, Host :: inet:hostname() | inet:ip_address() | {local, term()} | binary(),
	inet:port_number()) -> iodata().
host_header(Transport, Host, Port) when Transport =:= tcp, Port =:= 80; Transport =:= tls, Port =:= 443 ->
	host(Host);
host_header(_, Host, Port) ->
	[host(Host), $:, integer_to_binary(Port)].

host({local, _}) -> <<>>;
host(Address) when tuple_size(Address) =:= 8 -> [$[, inet:ntoa(Address), $]];
host(Address) when tuple_size(Address) =:= 4 -> inet:ntoa(Address);
host(Host) when is_atom(Host) -> atom_to_list(Host);
host(Host) -> Host.

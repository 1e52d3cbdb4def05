%% @private English for what goes wrong with SOCKS: RFC 1928, 6, and RFC 1929.
-module(gun_rs_socks_error).

-export([clause/1]).

%% @doc What the proxy has answered, to stand behind a colon.
-spec clause(term()) -> iolist().
clause(general_socks_server_failure) -> "it failed; its log may say why";
clause(connection_not_allowed_by_ruleset) -> "its rules do not allow the connection";
clause(network_unreachable) -> "the network is unreachable from there";
clause(host_unreachable) -> "the host is unreachable from there, or its name has no address; check the host";
clause(connection_refused) -> "the destination refused the connection; check that a server listens on this host and port";
clause(ttl_expired) -> "the destination did not answer (the time to live expired)";
clause(command_not_supported) -> "it makes no connections";
clause(address_type_not_supported) -> "it does not take this type of address";
clause({unknown_error, Number}) -> ["it answered with the number ", gun_rs_text:term(Number), ", which has no meaning"];
clause(username_password_auth_failure) -> "it does not accept the user's name and password; check auth in the options of SOCKS";
clause(no_acceptable_method) -> "it accepts none of the methods of auth in the options of SOCKS";
clause(invalid_reply) -> "what it says is not SOCKS 5; check the host and the port";
clause(Reason) -> gun_rs_text:term(Reason).

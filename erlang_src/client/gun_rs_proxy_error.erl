%% @private English for what goes wrong with the proxy that a connection is dialled through.
-module(gun_rs_proxy_error).

-export([option/1]).
-export([sentence/2]).

%% @doc Why the option proxy is refused.
-spec option(term()) -> iolist().
option(unix) ->
	"No proxy leads to a Unix domain socket; leave the option proxy out of the call of open_unix.";
option(no_proxy) ->
	"There are proxy_opts but no proxy; correct the call.";
option({environment, Name, Fault}) ->
	["The proxy in the variable ", Name, " of the environment cannot be used: ", gun_rs_proxy_url:text(Fault),
		"; correct the variable, or give the proxy in the call."];
option(Url) ->
	["The proxy ", gun_rs_text:term(Url), " cannot be used: ", gun_rs_proxy_url:refusal(Url), "; correct the call."].

%% @doc Why the proxy has not led to the origin. Clause gives the sentence of any other reason, to stand in this one.
-spec sentence(term(), fun((Reason :: term()) -> iolist())) -> iolist().
sentence({status, 407}, _) ->
	"The proxy wants to know who asks (status 407), or does not accept the user and the password; check them in its URL.";
sentence({status, Status}, _) ->
	["The proxy refuses to lead to the origin, with the status ", gun_rs_text:term(Status),
		"; check that its rules allow the host and the port, and that a server listens there."];
sentence(invalid_response, _) ->
	"What the proxy answers is not HTTP; check the scheme and the port in its URL.";
sentence(response_too_large, _) ->
	"The answer of the proxy has more headers, or longer ones, than are accepted; check that it is a proxy.";
sentence(closed, _) ->
	"The proxy closed the connection before it had led to the origin; its log may say why.";
sentence(timeout, _) ->
	"The proxy did not lead to the origin in time; check that it runs, and that the origin can be reached from there, or "
	"allow more time.";
sentence({socks5, username_password_auth_failure}, _) ->
	"The proxy does not accept the user and the password; check them in its URL.";
sentence({socks5, no_acceptable_method}, _) ->
	"The proxy wants to know who asks, in a way that is not supported, or its URL has no user and password; check the URL.";
sentence({socks5, Reason}, _) ->
	["The proxy has not led to the origin: ", gun_rs_socks_error:clause(Reason), "."];
sentence({tls_alert, {certificate_required, _}}, _) ->
	"The proxy wants a certificate; give it one with certfile and keyfile in the tls_opts of proxy_opts.";
sentence(Reason, Clause) ->
	["The proxy cannot be reached: ", Clause(Reason), "."].

%% @private Keeps keys, passwords and headers out of what is printed: error reasons, crash
%% reports, logs, and the state of processes.
-module(gun_rs_secrets).

-export([start/0]).
-export([hide_tls/1]).
-export([reveal_tls/1]).
-export([reveal_opts/1]).
-export([hide/1]).
-export([reveal/1]).
-export([without_proxies/1]).
-export([hide_proxy/1]).
-export([reveal_proxy/1]).
-export([is_secret/1]).
-export([options/1]).
-export([option/1]).
-export([url/1]).
-export([without_arguments/1]).
-export([event/1]).
-export([drop_messages/0]).

-define(IV_SIZE, 16).

%% @doc Makes the key with which secrets are encrypted. It stays for the life of the node.
-spec start() -> ok.
start() ->
	case persistent_term:get(?MODULE, undefined) of
		undefined -> persistent_term:put(?MODULE, crypto:strong_rand_bytes(32));
		_ -> ok
	end.

%% @doc The same options with their secrets encrypted, for the state of a process. A fun
%% would hide them too, but when this module is loaded again the VM kills every process
%% that holds one.
-spec hide_tls([tuple()]) -> [tuple()].
hide_tls(TlsOpts) ->
	[in_pair(fun hide/1, Opt) || Opt <- TlsOpts].

%% @doc The options that were hidden.
-spec reveal_tls([tuple()]) -> [tuple()].
reveal_tls(TlsOpts) ->
	[in_pair(fun reveal/1, Opt) || Opt <- TlsOpts].

%% @doc The options of open, with the hidden options of TLS, those with the proxy too, as they were given.
-spec reveal_opts(map()) -> map().
reveal_opts(Opts) ->
	maps:map(fun
		(tls_opts, TlsOpts) -> reveal_tls(TlsOpts);
		(proxy_opts, ProxyOpts) when is_map(ProxyOpts) -> reveal_opts(ProxyOpts);
		(_, Value) -> Value
	end, Opts).

in_pair(Change, {certs_keys, Confs}) ->
	{certs_keys, [maps:from_list([in_pair(Change, Opt) || Opt <- maps:to_list(Conf)]) || Conf <- Confs]};
in_pair(Change, {Key, Value}) when not is_function(Value) ->
	case is_secret(Key) of
		true -> {Key, Change(Value)};
		false -> {Key, Value}
	end;
in_pair(_, Opt) ->
	Opt.

%% @doc Whether an option of tls_opts has a secret in its value.
-spec is_secret(Key :: term()) -> boolean().
is_secret(Key) ->
	lists:member(Key, [certs_keys, early_data, key, password, psk_identity, reuse_session, srp_identity, use_ticket]).

%% @doc A term, encrypted.
-spec hide(term()) -> {hidden, binary()}.
hide(Value) ->
	Iv = crypto:strong_rand_bytes(?IV_SIZE),
	{hidden, <<Iv/binary, (crypt(Iv, term_to_binary(Value), true))/binary>>}.

%% @doc The term that was hidden.
-spec reveal({hidden, binary()}) -> term().
reveal({hidden, <<Iv:?IV_SIZE/binary, Hidden/binary>>}) ->
	binary_to_term(crypt(Iv, Hidden, false)).

crypt(Iv, Data, Encrypt) ->
	crypto:crypto_one_time(aes_256_ctr, persistent_term:get(?MODULE), Iv, Data, Encrypt).

%% @doc The options proxy and proxy_opts, for the state of a process.
-spec hide_proxy(map()) -> map().
hide_proxy(Opts) ->
	maps:map(fun
		(Key, Value) when Key =:= proxy; Key =:= proxy_opts -> hide(Value);
		(_, Value) -> Value
	end, Opts).

%% @doc The options that were hidden.
-spec reveal_proxy(map()) -> map().
reveal_proxy(Opts) ->
	maps:map(fun
		(Key, Hidden={hidden, _}) when Key =:= proxy; Key =:= proxy_opts -> reveal(Hidden);
		(_, Value) -> Value
	end, Opts).

%% @doc What was given in the place of a map of options, as it stands in a reason.
-spec options(term()) -> term().
options(Opts) when is_list(Opts), length(Opts) >= 0 ->
	[option(Opt) || Opt <- Opts];
options(Opts) ->
	Opts.

%% @doc An option that is unknown, as it stands in a reason. Older guns have the options of
%% TLS under another name.
-spec option(term()) -> term().
option({Key, _}) when Key =:= tls_opts; Key =:= transport_opts; Key =:= auth; Key =:= username; Key =:= password;
		Key =:= proxy_opts ->
	{Key, hidden};
option({Key, Opts}) when Key =:= conn_opts; Key =:= open ->
	{Key, options(Opts)};
option({proxy, Url}) ->
	{proxy, url(Url)};
option({socks_opts, Value}) ->
	{socks_opts, without_auth(Value)};
option({protocols, Protocols}) when is_list(Protocols), length(Protocols) >= 0 ->
	{protocols, [without_auth(Protocol) || Protocol <- Protocols]};
option(Opt) ->
	Opt.

%% @doc The options of open without who the user is for a proxy.
-spec without_proxies(map()) -> map().
without_proxies(Opts) ->
	maps:map(fun
		(Key, Value) when Key =:= socks_opts; Key =:= protocols; Key =:= proxy ->
			element(2, option({Key, Value}));
		(proxy_opts, ProxyOpts=#{tls_opts := TlsOpts}) ->
			ProxyOpts#{tls_opts := hide_tls(TlsOpts)};
		(_, Value) ->
			Value
	end, Opts).

%% Of SOCKS, which may stand in SOCKS.
without_auth({socks, Opts}) ->
	{socks, without_auth(Opts)};
without_auth(Opts=#{}) ->
	maps:map(fun
		(auth, _) -> hidden;
		(protocols, Protocols) -> element(2, option({protocols, Protocols}));
		(_, Value) -> Value
	end, Opts);
without_auth(Opts) when is_list(Opts), length(Opts) >= 0 ->
	[option(Opt) || Opt <- Opts];
without_auth(Protocol) ->
	Protocol.

%% @doc A URL, or what was taken for one or for a host, without its user and password.
%% They end at the last @: who forgets to escape a character in a password is the one
%% whose URL is refused.
-spec url(Url :: term()) -> term().
url(#{userinfo := _}=Url) ->
	Url#{userinfo := "***"};
url(Url) when is_binary(Url) ->
	case binary:matches(Url, <<"@">>) of
		[] ->
			Url;
		Matches ->
			{At, _} = lists:last(Matches),
			<<Before:At/binary, After/binary>> = Url,
			Scheme = case binary:split(Before, <<"//">>) of
				[S, _] -> <<S/binary, "//">>;
				_ -> <<>>
			end,
			<<Scheme/binary, "***", After/binary>>
	end;
url(Url) when is_atom(Url) ->
	binary_to_atom(url(atom_to_binary(Url)));
url(Url) when is_list(Url) ->
	try unicode:characters_to_binary(Url) of
		Bin when is_binary(Bin) ->
			case url(Bin) of
				Bin -> Url;
				Hidden -> unicode:characters_to_list(Hidden)
			end;
		_ ->
			no_text(Url)
	catch error:_ ->
		no_text(Url)
	end;
url(Url) when is_tuple(Url); is_map(Url) ->
	no_text(Url);
url(Url) ->
	Url.

%% What cannot be looked through is shown only if there is nothing to hide.
no_text(Url) ->
	case string:find(io_lib:format("~w", [Url]), "64") of
		nomatch -> Url;
		_ -> "***"
	end.

%% @doc A stack trace without the arguments of its functions.
-spec without_arguments(Stacktrace :: [tuple()]) -> [tuple()].
without_arguments(Stacktrace) ->
	[case Entry of
		{M, F, Args, Where} when is_list(Args) -> {M, F, length(Args), Where};
		{Fun, Args, Where} when is_list(Args) -> {Fun, length(Args), Where};
		_ -> Entry
	end || Entry <- Stacktrace].

%% @doc What an event is, without what it carries: headers, cookies, payloads.
-spec event(term()) -> term().
event({Type, Content}) -> {Type, kind(Content)};
event(_) -> '...'.

kind({gun_rs_native, Event}) -> {gun_rs_native, kind(Event)};
kind(Content) when is_tuple(Content), is_atom(element(1, Content)) -> {element(1, Content), '...'};
kind(Content) when is_atom(Content) -> Content;
kind(_) -> '...'.

%% @doc Empties the mailbox of a process that is about to crash: its report would show it.
-spec drop_messages() -> ok.
drop_messages() ->
	{message_queue_len, Length} = process_info(self(), message_queue_len),
	drop_messages(Length).

drop_messages(0) ->
	ok;
drop_messages(Left) ->
	receive
		_ -> drop_messages(Left - 1)
	after 0 ->
		ok
	end.

%% @private Which protocols a connection may speak, and how, by the options of open.
-module(gun_rs_protocols).

-export([names/2]).
-export([opts/3]).
-export([check/2]).
-export([native_http/1]).
-export([native_http2/1]).
-export([first/1]).
-export([name/1]).
-export([native/2]).
-export([socks_opts/1]).

%% @doc Their names, in the order in which the server is told them.
-spec names(tcp | tls, gun_rs_options:opts()) -> [http | http2 | raw | socks].
names(_, #{protocols := Protocols}) ->
	[name(Protocol) || Protocol <- Protocols];
names(tls, _) ->
	[http2, http];
names(tcp, _) ->
	[http].

%% @doc The options of a protocol, without the defaults. Those beside its name replace those that are given by a
%% key, as in gun.
-spec opts(http | http2 | raw, Key :: http_opts | http2_opts | raw_opts, gun_rs_options:opts()) -> map().
opts(Protocol, Key, Opts) ->
	case lists:keyfind(Protocol, 1, maps:get(protocols, Opts, [])) of
		{Protocol, ProtocolOpts} -> ProtocolOpts;
		false -> maps:get(Key, Opts, #{})
	end.

%% @doc Whether something says which of them is spoken. Without TLS nothing does, and gun takes one alone. With
%% TLS the server chooses, and from no others where the user has a list for it.
-spec check(tcp | tls, gun_rs_options:opts()) -> ok | {error, {options, {protocols | tls_opts, term()}}}.
check(tcp, #{protocols := [_, _|_] = Protocols}) ->
	{error, {options, {protocols, Protocols}}};
check(tls, Opts=#{tls_opts := TlsOpts}) ->
	Names = names(tls, Opts),
	case [Alpn || {alpn_advertised_protocols, Advertised}=Alpn <- TlsOpts, Protocol <- Advertised,
			not lists:member(of_alpn(Protocol), Names)] of
		[] -> ok;
		[Alpn|_] -> {error, {options, {tls_opts, Alpn}}}
	end;
check(_, _) ->
	ok.

of_alpn(<<"h2">>) -> http2;
of_alpn(_) -> http.

%% @doc The name of a protocol that may have options beside it.
-spec name(gun_rs_connect_options:protocol() | socks) -> http | http2 | raw | socks.
name({Name, _}) -> Name;
name(Name) -> Name.

%% @doc The options of SOCKS, where that is spoken at first.
-spec socks_opts(gun_rs_options:opts()) -> gun_rs_connect_options:socks_opts() | undefined.
socks_opts(#{protocols := [{socks, SocksOpts}]}) -> SocksOpts;
socks_opts(Opts=#{protocols := [socks]}) -> maps:get(socks_opts, Opts, #{});
socks_opts(_) -> undefined.

%% @doc The options of HTTP for the native library, of which none is missing.
-spec native(http | http2, map()) -> map().
native(http, HttpOpts) -> native_http(#{http_opts => HttpOpts});
native(http2, Http2Opts) -> gun_rs_option_table:native(http2, Http2Opts).

%% @doc The options of HTTP/1.1 for the native library.
-spec native_http(gun_rs_options:config() | #{http_opts := map()}) -> map().
native_http(#{http_opts := HttpOpts=#{max_header_block_size := Headers, max_trailer_block_size := Trailers}}) ->
	Native = gun_rs_option_table:native(http, HttpOpts),
	Native#{
		max_trailer_block_size => min(Headers, Trailers),
		title_case_headers => title_case(HttpOpts)
	}.

title_case(#{transform_header_name := Fun}) -> gun_rs_request:spelling(Fun) =:= title;
title_case(_) -> false.

%% @doc Those of HTTP/2, where it may be spoken.
-spec native_http2(gun_rs_options:config()) -> map() | undefined.
native_http2(#{protocols := Protocols, http2_opts := Http2Opts}) ->
	case lists:member(http2, Protocols) of
		true -> gun_rs_option_table:native(http2, Http2Opts);
		false -> undefined
	end.

%% @doc What is spoken at first.
-spec first(gun_rs_options:config()) -> http | raw.
first(#{protocols := [raw]}) -> raw;
first(_) -> http.

%% @private The URLs that a connection is opened to.
-module(gun_rs_url).

-export([parse/1]).
-export([refusal/1]).

-type parts() :: #{transport := tcp | tls, websocket := boolean(), host := string(), port := 1..65535,
	target := string()}.

-type fault() :: no_text | line_break | space | user | scheme | {scheme, string()} | host | idn | port | encoding
	| syntax.

%% @doc What a URL says: target is its path and query, as they are sent; websocket says whether
%% its scheme is ws or wss. A user is refused: who gives one means a header. An IPv6 address may
%% have a zone, as in `[fe80::1%eth0]' or, by RFC 6874, `[fe80::1%25eth0]'. In an error, the URL
%% is without its user and password.
-spec parse(Url :: term()) -> {ok, parts()} | {error, Url :: term()}.
parse(Url) ->
	case split(Url) of
		{ok, Parts} -> {ok, Parts};
		{fault, _} -> {error, gun_rs_secrets:url(Url)}
	end.

%% @doc In words, what is wrong with a URL that was refused.
-spec refusal(Url :: term()) -> string().
refusal(Url) ->
	case split(Url) of
		{fault, Fault} -> text(Fault);
		%% Somebody else has refused it.
		{ok, _} -> text(syntax)
	end.

-spec split(Url :: term()) -> {ok, parts()} | {fault, fault()}.
split(Url) when is_list(Url), length(Url) >= 0; is_binary(Url) ->
	try unicode:characters_to_list(Url) of
		Text when is_list(Text) -> split_text(Text);
		_ -> {fault, no_text}
	catch error:_ ->
		{fault, no_text}
	end;
split(_) ->
	{fault, no_text}.

split_text(Text) ->
	Faults = [
		{line_break, fun(C) -> C < $\s orelse C =:= 127 end},
		{space, fun(C) -> C =:= $\s end}
	],
	case [Fault || {Fault, IsFaulty} <- Faults, lists:any(IsFaulty, Text)] of
		[] -> split_scheme(string:split(Text, "://"));
		[Fault|_] -> {fault, Fault}
	end.

split_scheme([Scheme, Rest]) ->
	case string:lowercase(Scheme) of
		S when S =:= "ws"; S =:= "http" -> split_authority(tcp, 80, S, Rest);
		S when S =:= "wss"; S =:= "https" -> split_authority(tls, 443, S, Rest);
		_ -> {fault, {scheme, Scheme}}
	end;
split_scheme([_]) ->
	{fault, scheme}.

split_authority(Transport, DefaultPort, Scheme, Rest) ->
	Authority = lists:takewhile(fun(C) -> C =/= $/ andalso C =/= $? andalso C =/= $# end, Rest),
	Tail = lists:nthtail(length(Authority), Rest),
	{Address, Zone} = split_zone(Authority),
	Faults = [
		{user, lists:member($@, Authority)},
		{idn, not is_ascii(Authority)},
		{encoding, not is_ascii(Tail)},
		{port, re:run(Address, "^(\\[[^\\]]*\\]|[^\\[\\]:]*):.*[^0-9]", [{capture, none}]) =:= match}
	],
	case lists:keyfind(true, 2, Faults) of
		{Fault, true} -> {fault, Fault};
		false -> parts(uri_string:parse(Scheme ++ "://" ++ Address ++ Tail), Zone, Transport, DefaultPort)
	end.

is_ascii(Text) ->
	lists:all(fun(C) -> C < 128 end, Text).

%% The parser of OTP knows no zones.
split_zone(Authority) ->
	case re:run(Authority, "^(\\[[^\\]%]+)%(?:25)?([A-Za-z0-9._-]+)(\\].*)$", [{capture, all_but_first, list}]) of
		{match, [Address, Zone, End]} -> {Address ++ End, "%" ++ Zone};
		nomatch -> {Authority, ""}
	end.

parts(#{host := ""}, _, _, _) ->
	{fault, host};
parts(#{host := Host, path := Path}=Uri, Zone, Transport, DefaultPort) ->
	case maps:get(port, Uri, undefined) of
		undefined -> {ok, parts(Transport, Host ++ Zone, DefaultPort, Path, Uri)};
		Port when Port > 0, Port =< 65535 -> {ok, parts(Transport, Host ++ Zone, Port, Path, Uri)};
		_ -> {fault, port}
	end;
parts(_, _, _, _) ->
	{fault, syntax}.

parts(Transport, Host, Port, "", Uri) ->
	parts(Transport, Host, Port, "/", Uri);
parts(Transport, Host, Port, Path, Uri=#{scheme := Scheme}) ->
	Target = case Uri of
		#{query := Query} -> Path ++ "?" ++ Query;
		_ -> Path
	end,
	#{transport => Transport, websocket => hd(Scheme) =:= $w, host => Host, port => Port, target => Target}.

text(no_text) -> "it must be a string or a binary in UTF-8";
text(line_break) -> "it has a line break or another control character";
text(space) -> "it has a space; write it as %20";
text(user) -> "it has a user; leave it out, and send an authorization header or a cookie";
text(scheme) -> "it has no scheme; begin it with ws://, wss://, http:// or https://";
text({scheme, Scheme}) ->
	lists:flatten(["its scheme is ", gun_rs_text:term(Scheme), " and not ws, wss, http or https"]);
text(host) -> "it has no host";
text(idn) -> "its host has characters beyond ASCII; write the name in its ASCII form, which begins with xn--";
text(encoding) -> "its path has characters beyond ASCII; percent-encode their UTF-8";
text(port) -> "its port must be an integer from 1 to 65535";
text(syntax) -> "it has a character, or an address, that no URL may have there".

%% @private The URLs of proxies. They may have a user and a password, which are hidden from here on.
-module(gun_rs_proxy_url).

-export([is_proxy/1]).
-export([parse/1]).
-export([parse_variable/1]).
-export([refusal/1]).
-export([text/1]).

%% Auth is {User, Password} once it is revealed.
-type proxy() :: #{scheme := scheme(), host := string(), port := 1..65535, auth := undefined | {hidden, binary()}}.
-type scheme() :: http | https | socks5 | socks5h.
-type fault() :: no_text | character | scheme | {scheme, string()} | host | port | path | user | long_user.
-export_type([proxy/0, fault/0]).

%% @doc Whether it is what the option proxy may be.
-spec is_proxy(term()) -> boolean().
is_proxy(environment) -> true;
is_proxy(Url) -> element(1, parse(Url)) =:= ok.

%% @doc What a URL says.
-spec parse(Url :: term()) -> {ok, proxy()} | {error, fault()}.
parse(Url) ->
	parse(Url, fun(_) -> {error, scheme} end).

%% @doc The same for the value of a variable of the environment, which may lack the scheme: then it is http.
-spec parse_variable(Value :: string()) -> {ok, proxy()} | {error, fault()}.
parse_variable(Value) ->
	parse(Value, fun(Rest) -> authority(http, Rest) end).

parse(Url, WithoutScheme) when is_list(Url), length(Url) >= 0; is_binary(Url) ->
	try unicode:characters_to_binary(Url) of
		Text when is_binary(Text) ->
			case re:run(Text, "[\\x00-\\x20\\x7f]", [{capture, none}]) of
				match -> {error, character};
				nomatch -> scheme(binary:split(Text, <<"://">>), WithoutScheme)
			end;
		_ ->
			{error, no_text}
	catch error:_ ->
		{error, no_text}
	end;
parse(_, _) ->
	{error, no_text}.

scheme([Scheme, Rest], _) ->
	case string:lowercase(Scheme) of
		<<"http">> -> authority(http, Rest);
		<<"https">> -> authority(https, Rest);
		<<"socks5">> -> authority(socks5, Rest);
		<<"socks5h">> -> authority(socks5h, Rest);
		Other ->
			%% What is no name of a scheme may be a part of a password.
			case re:run(Other, "^[a-z][a-z0-9+.-]*$", [{capture, none}]) of
				match -> {error, {scheme, binary_to_list(Other)}};
				nomatch -> {error, scheme}
			end
	end;
scheme([Rest], WithoutScheme) ->
	WithoutScheme(Rest).

authority(Scheme, Rest) ->
	[Authority|Path] = binary:split(Rest, [<<"/">>, <<"?">>, <<"#">>]),
	case Path of
		[More] when More =/= <<>> -> {error, path};
		_ -> user(Scheme, string:split(Authority, "@", trailing))
	end.

user(Scheme, [Address]) ->
	address(Scheme, undefined, Address);
user(Scheme, [<<>>, Address]) ->
	address(Scheme, undefined, Address);
user(Scheme, [UserInfo, Address]) ->
	[User0|Password0] = binary:split(UserInfo, <<":">>),
	try {decode(User0), decode(iolist_to_binary(Password0))} of
		{User, Password} when Scheme =:= socks5 orelse Scheme =:= socks5h,
				User =:= <<>> orelse byte_size(User) > 255 orelse byte_size(Password) > 255 ->
			{error, long_user};
		Auth={User, _} ->
			%% The first colon ends the name (RFC 7617, 2).
			case binary:match(User, <<":">>) of
				{_, _} when Scheme =:= http; Scheme =:= https -> {error, user};
				%% The application may not have been started yet.
				_ -> ok = gun_rs_secrets:start(), address(Scheme, gun_rs_secrets:hide(Auth), Address)
			end
	catch throw:no_encoding ->
		{error, user}
	end.

decode(<<$%, Hex:2/binary, Rest/binary>>) ->
	case re:run(Hex, "^[0-9A-Fa-f]{2}$", [{capture, none}]) of
		match -> <<(binary_to_integer(Hex, 16)), (decode(Rest))/binary>>;
		nomatch -> throw(no_encoding)
	end;
decode(<<$%, _/binary>>) ->
	throw(no_encoding);
decode(<<C, Rest/binary>>) ->
	<<C, (decode(Rest))/binary>>;
decode(<<>>) ->
	<<>>.

address(Scheme, Auth, Address) ->
	Pattern = "^(?:\\[([0-9A-Fa-f:.]+)(?:%(?:25)?([A-Za-z0-9._-]+))?\\]|([^:\\[\\]]*))(?::(.*))?$",
	case re:run(Address, Pattern, [{capture, [1, 2, 3, 4], list}]) of
		{match, [Ip, Zone, Name, Port]} ->
			host(Scheme, Auth, case {Ip, Zone} of {"", _} -> Name; {_, ""} -> Ip; _ -> Ip ++ "%" ++ Zone end, Port);
		_ ->
			{error, host}
	end.

host(Scheme, Auth, Host, Port0) ->
	case {gun_rs_host:to_binary(Host), port(Scheme, Port0)} of
		{error, _} -> {error, host};
		{_, error} -> {error, port};
		{_, Port} -> {ok, #{scheme => Scheme, host => Host, port => Port, auth => Auth}}
	end.

port(Scheme, "") -> default_port(Scheme);
port(_, Digits) ->
	case re:run(Digits, "^[0-9]{1,5}$", [{capture, none}]) of
		match ->
			case list_to_integer(Digits) of
				Port when Port > 0, Port =< 65535 -> Port;
				_ -> error
			end;
		nomatch ->
			error
	end.

default_port(http) -> 80;
default_port(https) -> 443;
default_port(_) -> 1080.

%% @doc In words, what is wrong with a URL that was refused. Its user and password are not in it any more.
-spec refusal(Url :: term()) -> string().
refusal(Url) ->
	case parse(Url) of
		{error, Fault} -> text(Fault);
		{ok, #{scheme := Scheme}} when Scheme =:= socks5; Scheme =:= socks5h -> text(user) ++ "; " ++ text(long_user);
		{ok, _} -> text(user)
	end.

%% @doc In words, what is wrong.
-spec text(fault()) -> string().
text(no_text) -> "it must be the atom environment, or a string or a binary in UTF-8";
text(character) -> "it has a space or a control character; percent-encode it";
text(scheme) -> "it has no scheme; begin it with http://, https://, socks5:// or socks5h://";
text({scheme, Scheme}) -> "its scheme is " ++ Scheme ++ " and not http, https, socks5 or socks5h";
text(host) -> "it has no host that is a domain name in ASCII or an IP address, an IPv6 address in brackets";
text(port) -> "its port must be an integer from 1 to 65535";
text(path) -> "a proxy has no path; leave it out, and percent-encode what a password has of /, ? and #";
text(user) -> "its user or password is not percent-encoded as it must be, or the user has a colon";
text(long_user) -> "of SOCKS, a user has 1 to 255 bytes, and a password no more than 255".

%% @private What a redirect asks for (RFC 9110, 15.4): where the next request goes, and what of the first one goes there.
-module(gun_rs_redirect).

-export([is_redirect/1]).
-export([origin/1]).
-export([without_path/1]).
-export([target/4]).
-export([next/3]).

%% Who is asked. Names are in lowercase.
-type origin() :: {tcp | tls, Host :: string(), inet:port_number()}.

%% Where a redirect leads; url is that of the origin alone, for errors: what stands behind it may be a secret.
-type target() :: #{origin := origin(), url := string(), location := string(), path := binary()}.
-export_type([origin/0, target/0]).

%% What goes to no other origin.
-define(CREDENTIALS, [<<"authorization">>, <<"cookie">>, <<"cookie2">>, <<"host">>, <<"proxy-authorization">>]).

-spec is_redirect(Status :: non_neg_integer()) -> boolean().
is_redirect(Status) ->
	lists:member(Status, [301, 302, 303, 307, 308]).

%% @doc The origin of a URL; none of what is no URL.
-spec origin(Url :: string() | binary()) -> origin() | none.
origin(Url) ->
	case gun_rs_url:parse(Url) of
		{ok, Parts} -> origin_of(Parts);
		{error, _} -> none
	end.

origin_of(#{transport := Transport, host := Host, port := Port}) ->
	{Transport, string:lowercase(Host), Port}.

%% @doc Where a response leads that has come from Base, the URL of its request: nowhere, unless it is a redirect to an http or
%% https URL, or where that is what is asked for to a ws or wss URL, and not from TLS to none.
-spec target(request | upgrade, Status :: non_neg_integer(), [{binary(), binary()}], Base :: string()) -> {ok, target()} | none.
target(Kind, Status, Headers, Base) ->
	case is_redirect(Status) andalso [Location || {<<"location">>, Location} <- Headers] of
		[Location] -> resolve(Kind, Location, Base);
		%% None, or several, of which nobody knows which one is meant.
		_ -> none
	end.

resolve(Kind, Location, Base) ->
	try uri_string:resolve(binary_to_list(Location), Base) of
		Url when is_list(Url) -> parse(Kind, hd(string:split(Url, "#")), origin(Base));
		_ -> none
	catch error:_ ->
		none
	end.

parse(Kind, Url, Origin) ->
	case gun_rs_url:parse(Url) of
		{ok, #{transport := tcp}} when element(1, Origin) =:= tls -> none;
		{ok, Parts=#{websocket := IsWebsocket, target := Path}} when not IsWebsocket; Kind =:= upgrade ->
			{ok, #{origin => origin_of(Parts), url => without_path(Url), location => Url, path => unicode:characters_to_binary(Path)}};
		_ -> none
	end.

%% @doc The scheme and the authority of a URL: what stands behind them may be a secret.
-spec without_path(Url :: string()) -> string().
without_path(Url) ->
	[Scheme, Rest] = string:split(Url, "://"),
	Scheme ++ "://" ++ lists:takewhile(fun(C) -> not lists:member(C, "/?") end, Rest).

%% @doc The request that follows. As browsers do, a POST that is answered by 301 or 302 becomes a GET, and by 303 all but
%% HEAD do; what is said of a body goes with it. IsOther says whether it goes to another origin.
-spec next(Status :: 301..308, gun_rs_native:request(), {target(), IsOther :: boolean()}) -> gun_rs_native:request().
next(Status, {Method0, _, Headers0, Body0}, {#{path := Path}, IsOther}) ->
	Headers1 = case IsOther of
		true -> [Header || Header={Name, _} <- Headers0, not lists:member(Name, ?CREDENTIALS)];
		false -> Headers0
	end,
	case method(Status, Method0) of
		Method0 -> {Method0, Path, Headers1, Body0};
		Method -> {Method, Path, [Header || Header={Name, _} <- Headers1, not is_of_body(Name)], <<>>}
	end.

method(303, <<"HEAD">>) -> <<"HEAD">>;
method(303, _) -> <<"GET">>;
method(Status, <<"POST">>) when Status =:= 301; Status =:= 302 -> <<"GET">>;
method(_, Method) -> Method.

is_of_body(<<"content-", _/binary>>) -> true;
is_of_body(<<"digest">>) -> true;
is_of_body(<<"expect">>) -> true;
is_of_body(<<"last-modified">>) -> true;
is_of_body(_) -> false.

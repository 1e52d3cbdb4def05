%% @doc Cookies as RFC 6265bis (draft-ietf-httpbis-rfc6265bis) has them, and what a module
%% that stores them provides: the behaviour has gun's `gun_cookies' callbacks, so that a
%% module written for gun works as it is. `gun_rs_cookies_list' is such a module.
%%
%% A connection has the store that its option cookie_store names. The callbacks run in
%% the process behind ConnPid; when one crashes, that connection goes down with its reason.
%%
%% This client has no page that requests come from, so that same_site and http_only are
%% kept for the store and otherwise make no difference.
-module(gun_rs_cookies).

-export([add_cookie_header/5]).
-export([cookie_header/5]).
-export([domain_match/2]).
-export([gc/1]).
-export([path_match/2]).
-export([query/2]).
-export([session_gc/1]).
-export([set_cookie/5]).
-export([set_cookie_header/7]).
-export([set_cookie_headers/7]).

-type store_state() :: any().

-type store() :: {module(), store_state()}.
-export_type([store/0]).

%% Times are in UTC. The domain is in lower case and has no dot in front.
-type cookie() :: #{
	name := binary(),
	value := binary(),
	domain := binary(),
	path := binary(),
	creation_time := calendar:datetime(),
	last_access_time := calendar:datetime(),
	expiry_time := calendar:datetime() | infinity,
	persistent := boolean(),
	host_only := boolean(),
	secure_only := boolean(),
	http_only := boolean(),
	same_site := strict | lax | none
}.
-export_type([cookie/0]).

%% Makes a store; called by whoever wants one, and by no connection.
-callback init(any()) -> store().

%% The cookies for a URI, in any order. The URI has the keys scheme (http or https), host
%% and path, as binaries and normalised. A URI is matched as RFC 6265bis, 5.8.3, step 1
%% says: domain_match/2 and path_match/2 are for that.
-callback query(State, uri_string:uri_map())
	-> {ok, [gun_rs_cookies:cookie()], State}
	when State :: store_state().

%% Whether there is a cookie with this name whose secure_only is true, whose domain
%% domain-matches this domain or the reverse, and whose path is path-matched by this path.
-callback set_cookie_secure_match(store_state(), #{
	name := binary(),
	domain := binary(),
	path := binary()
}) -> match | nomatch.

%% The cookie with just this name, domain, host_only and path. What store/2 is given next
%% replaces it.
-callback set_cookie_get_exact_match(State, #{
	name := binary(),
	domain := binary(),
	host_only := boolean(),
	path := binary()
}) -> {ok, gun_rs_cookies:cookie(), State} | error
	when State :: store_state().

%% Stores a cookie; one whose expiry_time has passed is a cookie to be removed.
-callback store(State, gun_rs_cookies:cookie())
	-> {ok, State} | {error, any()}
	when State :: store_state().

%% Removes the cookies whose expiry_time has passed.
-callback gc(State) -> {ok, State} when State :: store_state().

%% Removes the cookies whose persistent is false.
-callback session_gc(State) -> {ok, State} when State :: store_state().

%% In bytes, of name and value: RFC 6265bis, 5.7.
-define(MAX_COOKIE, 4096).

%% Requests.

%% @doc The headers of a request, with a cookie header after the others when the store has
%% cookies for it: RFC 6265bis, 5.8.
%%
%% Authority is the value of the host header, of which the port counts for nothing. A
%% cookie header that is there already stays, and this one is a second, as in gun.
-spec cookie_header(Scheme :: binary(), Authority :: binary(), PathWithQuery :: binary(),
	Headers :: [{binary(), binary()}], Store) -> {Headers :: [{binary(), binary()}], Store}
	when Store :: store() | undefined.
cookie_header(_, _, _, Headers, undefined) ->
	{Headers, undefined};
cookie_header(Scheme, Authority, PathWithQuery, Headers, Store0) ->
	case uri(Scheme, Authority, PathWithQuery) of
		{ok, URI} ->
			{ok, Cookies, Store} = query(Store0, URI),
			case [pair(Name, Value) || #{name := Name, value := Value} <- Cookies,
					not gun_rs_cookie_parser:has_control(Name), not gun_rs_cookie_parser:has_control(Value)] of
				[] -> {Headers, Store};
				Pairs -> {Headers ++ [{<<"cookie">>, iolist_to_binary(lists:join("; ", Pairs))}], Store}
			end;
		error ->
			{Headers, Store0}
	end.

%% @doc cookie_header/5, under gun's name.
-spec add_cookie_header(Scheme :: binary(), Authority :: iodata(), PathWithQuery :: iodata(),
	Headers :: [{binary(), iodata()}], Store) -> {Headers :: [{binary(), iodata()}], Store}
	when Store :: store() | undefined.
add_cookie_header(Scheme, Authority, PathWithQuery, Headers, Store) ->
	cookie_header(Scheme, iolist_to_binary(Authority), iolist_to_binary(PathWithQuery),
		Headers, Store).

%% RFC 6265bis, 5.8.3, step 4.
pair(<<>>, Value) -> Value;
pair(Name, Value) -> [Name, $=, Value].

%% @doc The cookies for a URI that have not expired: those with longer paths first, and of
%% these the older ones first (RFC 6265bis, 5.8.3). The URI is what uri_string:normalize
%% makes, with scheme, host and path as binaries.
-spec query(Store, uri_string:uri_map()) -> {ok, [cookie()], Store} when Store :: store().
query({Module, State0}, URI) ->
	{ok, Cookies, State} = Module:query(State0, URI),
	Now = erlang:universaltime(),
	Sorted = lists:sort(fun is_before/2, [Cookie || Cookie <- Cookies, is_alive(Cookie, Now)]),
	{ok, Sorted, {Module, State}}.

%% Never false for what is equal, so that the order of the store stays then.
is_before(#{path := A, creation_time := TimeA}, #{path := B, creation_time := TimeB}) ->
	{-byte_size(A), TimeA} =< {-byte_size(B), TimeB}.

is_alive(#{expiry_time := infinity}, _) -> true;
is_alive(#{expiry_time := Time}, Now) -> Time > Now.

%% Responses.

%% @doc Stores the cookies of a response: RFC 6265bis, 5.6 and 5.7.
%%
%% The URI is that of the request. Cookies that may not be set are left out, and with the
%% option cookie_ignore_informational those of every response with a 1xx status, that is,
%% also of one that upgrades the connection.
-spec set_cookie_headers(Scheme :: binary(), Authority :: binary(), PathWithQuery :: binary(),
	Status :: integer(), ResponseHeaders :: [{binary(), binary()}], Store,
	Opts :: #{cookie_ignore_informational => boolean(), any() => any()}) -> Store
	when Store :: store() | undefined.
set_cookie_headers(_, _, _, _, _, undefined, _) ->
	undefined;
set_cookie_headers(_, _, _, Status, _, Store, #{cookie_ignore_informational := true})
		when Status >= 100, Status =< 199 ->
	Store;
set_cookie_headers(Scheme, Authority, PathWithQuery, _, Headers, Store0, _) ->
	SetCookies = [Value || {<<"set-cookie">>, Value} <- Headers],
	case SetCookies =/= [] andalso uri(Scheme, Authority, PathWithQuery) of
		{ok, URI} ->
			lists:foldl(fun(SetCookie, Store) -> receive_cookie(Store, URI, SetCookie) end,
				Store0, SetCookies);
		_ ->
			Store0
	end.

receive_cookie(Store0, URI, SetCookie) ->
	case gun_rs_cookie_parser:set_cookie(iolist_to_binary(SetCookie)) of
		{ok, Name, Value, Attrs} ->
			case set_cookie(Store0, URI, Name, Value, Attrs) of
				{ok, Store} -> Store;
				{error, _} -> Store0
			end;
		ignore ->
			Store0
	end.

%% @doc set_cookie_headers/7, under gun's name.
-spec set_cookie_header(Scheme :: binary(), Authority :: iodata(), PathWithQuery :: iodata(),
	Status :: integer(), ResponseHeaders :: [{binary(), iodata()}], Store,
	Opts :: #{cookie_ignore_informational => boolean(), any() => any()}) -> Store
	when Store :: store() | undefined.
set_cookie_header(Scheme, Authority, PathWithQuery, Status, Headers, Store, Opts) ->
	set_cookie_headers(Scheme, iolist_to_binary(Authority), iolist_to_binary(PathWithQuery),
		Status, Headers, Store, Opts).

%% @doc Stores one cookie that a response to a request for the URI has set, unless
%% RFC 6265bis, 5.7 forbids it. The URI is as for query/2. The error is an atom that names
%% the rule, or what the store answers.
-spec set_cookie(Store, uri_string:uri_map(), Name :: binary(), Value :: binary(),
	gun_rs_cookie_parser:attrs()) -> {ok, Store} | {error, any()}
	when Store :: store().
set_cookie(Store, URI = #{host := Host}, Name, Value, Attrs) ->
	case domain(Host, maps:get(domain, Attrs, <<>>)) of
		{error, Reason} ->
			{error, Reason};
		{HostOnly, Domain} ->
			Now = erlang:universaltime(),
			{Persistent, ExpiryTime} = expiry(Attrs),
			Cookie = #{
				name => Name,
				value => Value,
				domain => Domain,
				path => maps:get(path, Attrs, default_path(URI)),
				creation_time => Now,
				last_access_time => Now,
				expiry_time => ExpiryTime,
				persistent => Persistent,
				host_only => HostOnly,
				secure_only => maps:get(secure, Attrs, false),
				http_only => maps:get(http_only, Attrs, false),
				same_site => same_site(Attrs)
			},
			case check(Cookie, URI, Attrs, Store) of
				ok -> store(Store, Cookie);
				Error -> Error
			end
	end.

%% Steps 7 to 10.
domain(Host, <<>>) ->
	{true, Host};
domain(Host, Domain) ->
	case is_ascii(Domain) of
		true -> domain(Host, Domain, gun_rs_native:is_public_suffix(Domain));
		false -> {error, domain_not_ascii}
	end.

domain(Host, Host, true) ->
	{true, Host};
domain(_, _, true) ->
	{error, domain_is_public_suffix};
domain(Host, Domain, false) ->
	case domain_match(Host, Domain) of
		true -> {false, Domain};
		false -> {error, domain_match_failed}
	end.

is_ascii(Bin) ->
	<< <<C>> || <<C>> <= Bin, C < 128 >> =:= Bin.

%% Step 6.
expiry(#{max_age := Time}) -> {true, Time};
expiry(#{expires := Time}) -> {true, Time};
expiry(_) -> {false, infinity}.

%% A default and no attribute are none, as in gun.
same_site(#{same_site := SameSite}) when SameSite =:= strict; SameSite =:= lax -> SameSite;
same_site(_) -> none.

%% RFC 6265bis, 5.1.4.
default_path(#{path := Path = <<"/", _/bits>>}) ->
	case lists:last(binary:matches(Path, <<"/">>)) of
		{0, _} -> <<"/">>;
		{Position, _} -> binary:copy(binary:part(Path, 0, Position))
	end;
default_path(_) ->
	<<"/">>.

%% The other steps that end in ignoring the cookie; the reasons are gun's where it has them.
check(#{name := <<>>, value := <<>>}, _, _, _) ->
	{error, empty};
check(#{name := Name, value := Value}, _, _, _)
		when byte_size(Name) + byte_size(Value) > ?MAX_COOKIE ->
	{error, larger_than_4096_bytes};
check(Cookie = #{name := Name, value := Value}, URI, Attrs, Store) ->
	case gun_rs_cookie_parser:has_control(Name) orelse gun_rs_cookie_parser:has_control(Value) of
		true ->
			{error, control_character};
		false ->
			check_secure(maps:get(scheme, URI) =:= <<"https">>, Cookie, Attrs, Store)
	end.

%% Steps 13 and 16: what comes over an insecure connection hides no secure cookie.
check_secure(true, Cookie, Attrs, _) ->
	check_prefix(Cookie, Attrs);
check_secure(false, #{secure_only := true}, _, _) ->
	{error, secure_scheme_only};
check_secure(false, Cookie, Attrs, {Module, State}) ->
	case Module:set_cookie_secure_match(State, maps:with([name, domain, path], Cookie)) of
		match -> {error, secure_cookie_matches};
		nomatch -> check_prefix(Cookie, Attrs)
	end.

%% Steps 20 to 22. A cookie without a name whose value is a pair would be taken for one
%% that has the name.
check_prefix(#{name := <<>>, value := Value}, _) ->
	case prefix(Value) of
		none -> ok;
		_ -> {error, nameless_with_name_prefix}
	end;
check_prefix(Cookie = #{name := Name}, Attrs) ->
	check_prefix(prefix(Name), Cookie, Attrs).

check_prefix(none, _, _) ->
	ok;
check_prefix(secure, #{secure_only := true}, _) ->
	ok;
check_prefix(secure, _, _) ->
	{error, name_prefix_secure_requires_secure_only};
check_prefix(host, #{secure_only := false}, _) ->
	{error, name_prefix_host_requires_secure_only};
check_prefix(host, #{host_only := false}, _) ->
	{error, name_prefix_host_requires_host_only};
check_prefix(host, _, #{path := <<"/">>}) ->
	ok;
check_prefix(host, _, _) ->
	{error, name_prefix_host_requires_top_level_path}.

%% In any case, since there are servers to which the case of a name makes no difference:
%% RFC 6265bis, 5.4.
prefix(Bin) ->
	case gun_rs_cookie_parser:lowercase(binary:part(Bin, 0, min(byte_size(Bin), 9))) of
		<<"__secure-">> -> secure;
		<<"__host-", _/bits>> -> host;
		_ -> none
	end.

%% Steps 23 and 24.
store({Module, State0}, Cookie0) ->
	Match = maps:with([name, domain, host_only, path], Cookie0),
	{Cookie, State1} = case Module:set_cookie_get_exact_match(State0, Match) of
		{ok, #{creation_time := Time}, State} -> {Cookie0#{creation_time := Time}, State};
		error -> {Cookie0, State0}
	end,
	case Module:store(State1, Cookie) of
		{ok, State2} -> {ok, {Module, State2}};
		Error -> Error
	end.

%% Stores.

%% @doc Removes the cookies that have expired.
-spec gc(Store) -> {ok, Store} when Store :: store().
gc({Module, State0}) ->
	{ok, State} = Module:gc(State0),
	{ok, {Module, State}}.

%% @doc Ends the session: removes the cookies that came without Expires and Max-Age.
-spec session_gc(Store) -> {ok, Store} when Store :: store().
session_gc({Module, State0}) ->
	{ok, State} = Module:session_gc(State0),
	{ok, {Module, State}}.

%% Matching.

%% @doc Whether the host domain-matches the domain, both in lower case: RFC 6265bis, 5.1.3.
-spec domain_match(Host :: binary(), Domain :: binary()) -> boolean().
domain_match(Domain, Domain) ->
	true;
domain_match(Host, Domain) ->
	Size = byte_size(Host) - byte_size(Domain) - 1,
	case Host of
		<<_:Size/binary, $., Domain/binary>> -> not is_address(Host) andalso not is_address(Domain);
		_ -> false
	end.

%% In the short forms too that resolvers take, such as 127.1.
is_address(Name) ->
	element(1, inet:parse_address(binary_to_list(Name))) =:= ok.

%% @doc Whether the path of a request path-matches that of a cookie: RFC 6265bis, 5.1.4.
-spec path_match(RequestPath :: binary(), CookiePath :: binary()) -> boolean().
path_match(Path, Path) ->
	true;
path_match(_, <<>>) ->
	false;
path_match(RequestPath, CookiePath) ->
	Size = byte_size(CookiePath),
	case RequestPath of
		<<CookiePath:Size/binary, $/, _/bits>> -> true;
		<<CookiePath:Size/binary, _/bits>> -> binary:last(CookiePath) =:= $/;
		_ -> false
	end.

%% URIs.

%% Without a host there are no cookies. What cannot be normalised stays as it is.
uri(Scheme, Authority, PathWithQuery) ->
	case host(Authority) of
		<<>> ->
			error;
		Host ->
			[Path|_] = binary:split(PathWithQuery, [<<"?">>, <<"#">>]),
			URI = #{scheme => scheme(Scheme), host => gun_rs_cookie_parser:lowercase(Host), path => path(Path)},
			case uri_string:normalize(URI, [return_map]) of
				#{host := _, path := _} = Normalized -> {ok, Normalized};
				_ -> {ok, URI}
			end
	end.

scheme(<<"ws">>) -> <<"http">>;
scheme(<<"wss">>) -> <<"https">>;
scheme(Scheme) -> Scheme.

host(<<"[", Tail/bits>>) -> hd(binary:split(Tail, <<"]">>));
host(Authority) -> hd(binary:split(Authority, <<":">>)).

%% The asterisk of OPTIONS is no path.
path(Path = <<"/", _/bits>>) -> Path;
path(_) -> <<"/">>.

%% @doc A cookie store in the memory of one connection, as gun's `gun_cookies_list'.
%%
%% It is given to open: `#{cookie_store => gun_rs_cookies_list:init()}', and ends with the
%% connection. `gun_rs:info/1' shows it, so that another connection can go on with it.
-module(gun_rs_cookies_list).
-behaviour(gun_rs_cookies).

-export([init/0]).
-export([init/1]).
-export([query/2]).
-export([set_cookie_secure_match/2]).
-export([set_cookie_get_exact_match/2]).
-export([store/2]).
-export([gc/1]).
-export([session_gc/1]).

%% How many cookies there may be: in all (3000), and with the same domain (50). These are
%% the least that RFC 6265bis, 6.1 asks for.
-type opts() :: #{
	max_cookies => non_neg_integer() | infinity,
	max_cookies_per_domain => non_neg_integer() | infinity
}.
-export_type([opts/0]).

%% The number of a cookie stays when the cookie is replaced. It orders cookies of the same
%% second, since times are in seconds.
-type entry() :: {Number :: non_neg_integer(), gun_rs_cookies:cookie()}.

%% By domain, so that a request and a response look at few cookies, however many there are.
-type state() :: #{
	cookies := #{Domain :: binary() => [entry(), ...]},
	count := non_neg_integer(),
	next := non_neg_integer(),
	max_cookies := non_neg_integer() | infinity,
	max_cookies_per_domain := non_neg_integer() | infinity
}.

-define(IS_LIMIT(N), (N =:= infinity orelse is_integer(N) andalso N >= 0)).

%% @doc An empty store with the default limits.
-spec init() -> {?MODULE, state()}.
init() ->
	init(#{}).

%% @doc An empty store. An option that is unknown or no limit raises
%% `error({options, {cookies_list, {Key, Value}}})'.
-spec init(opts()) -> {?MODULE, state()}.
init(Opts) ->
	case gun_rs_option_table:check(cookies_list, Opts) of
		ok ->
			Complete = maps:merge(gun_rs_option_table:defaults(cookies_list), Opts),
			{?MODULE, Complete#{cookies => #{}, count => 0, next => 0}};
		{error, Opt} ->
			error({options, {cookies_list, Opt}})
	end.

%% @doc The cookies for a URI, in the order in which they were set: RFC 6265bis, 5.8.3.
-spec query(State, uri_string:uri_map()) -> {ok, [gun_rs_cookies:cookie()], State}
	when State :: state().
query(State0, URI = #{host := Host}) ->
	Now = erlang:universaltime(),
	{Found, State} = lists:foldl(fun(Domain, {Found0, State1}) ->
		Entries = [used(Entry, URI, Now) || Entry <- entries(Domain, State1), is_alive(Entry, Now)],
		{[Entry || {true, Entry} <- Entries] ++ Found0,
			put_entries(Domain, [Entry || {_, Entry} <- Entries], State1)}
	end, {[], State0}, domains(Host)),
	{ok, [Cookie || {_, Cookie} <- lists:keysort(1, Found)], State}.

used({Number, Cookie}, URI, Now) ->
	case is_for(Cookie, URI) of
		true -> {true, {Number, Cookie#{last_access_time := Now}}};
		false -> {false, {Number, Cookie}}
	end.

is_for(#{domain := Domain, host_only := HostOnly, secure_only := SecureOnly, path := CookiePath},
		#{scheme := Scheme, host := Host, path := Path}) ->
	(Domain =:= Host orelse not HostOnly andalso gun_rs_cookies:domain_match(Host, Domain))
		andalso (not SecureOnly orelse Scheme =:= <<"https">>)
		andalso gun_rs_cookies:path_match(Path, CookiePath).

%% The host and what it is a subdomain of.
domains(Host) ->
	case binary:split(Host, <<".">>) of
		[_, Parent] -> [Host|domains(Parent)];
		[_] -> [Host]
	end.

%% @doc Whether a secure cookie would be hidden: RFC 6265bis, 5.7, step 16.
-spec set_cookie_secure_match(state(), #{
	name := binary(),
	domain := binary(),
	path := binary()
}) -> match | nomatch.
set_cookie_secure_match(#{cookies := Cookies}, #{name := Name, domain := Domain, path := Path}) ->
	Now = erlang:universaltime(),
	Hides = fun
		({_, #{name := N, secure_only := true, path := P}} = Entry) when N =:= Name ->
			is_alive(Entry, Now) andalso gun_rs_cookies:path_match(Path, P);
		(_) ->
			false
	end,
	IsMatch = lists:any(fun({D, Entries}) ->
		(gun_rs_cookies:domain_match(Domain, D) orelse gun_rs_cookies:domain_match(D, Domain))
			andalso lists:any(Hides, Entries)
	end, maps:to_list(Cookies)),
	case IsMatch of
		true -> match;
		false -> nomatch
	end.

%% @doc The cookie with just this name, domain, host_only and path. It stays in the store
%% until store/2 replaces it.
-spec set_cookie_get_exact_match(State, #{
	name := binary(),
	domain := binary(),
	host_only := boolean(),
	path := binary()
}) -> {ok, gun_rs_cookies:cookie(), State} | error
	when State :: state().
set_cookie_get_exact_match(State, Match = #{domain := Domain}) ->
	case take(Match, live_entries(Domain, State)) of
		{{_, Cookie}, _} -> {ok, Cookie, State};
		error -> error
	end.

%% @doc Stores a cookie, in the place of the one that has the same name, domain, host_only
%% and path; an expired one just removes that. Where there are too many then, others go:
%% see gc/1.
-spec store(State, gun_rs_cookies:cookie()) -> {ok, State} | {error, any()}
	when State :: state().
store(State = #{next := Next}, Cookie = #{domain := Domain}) ->
	Entries0 = live_entries(Domain, State),
	{Number, Entries} = case take(Cookie, Entries0) of
		{{N, _}, Others} -> {N, Others};
		error -> {Next, Entries0}
	end,
	case is_alive({Number, Cookie}, erlang:universaltime()) of
		true ->
			{ok, trim(trim_domain(Domain, put_entries(Domain, [{Number, Cookie}|Entries],
				State#{next := max(Next, Number + 1)})))};
		false ->
			{ok, put_entries(Domain, Entries, State)}
	end.

take(Cookie, Entries) ->
	Key = key(Cookie),
	case lists:partition(fun({_, C}) -> key(C) =:= Key end, Entries) of
		{[Entry], Others} -> {Entry, Others};
		{[], _} -> error
	end.

key(#{name := Name, host_only := HostOnly, path := Path}) ->
	{Name, HostOnly, Path}.

%% @doc Removes the cookies that have expired, and what is too much after that: of a domain
%% those that are not secure_only first, and of equals those not used for longest
%% (RFC 6265bis, 5.7).
-spec gc(State) -> {ok, State} when State :: state().
gc(State) ->
	{ok, trim(expire(State))}.

expire(State) ->
	Now = erlang:universaltime(),
	filter(fun(Entry) -> is_alive(Entry, Now) end, State).

%% @doc Removes the cookies that came without Expires and Max-Age: the session is over.
-spec session_gc(State) -> {ok, State} when State :: state().
session_gc(State) ->
	{ok, filter(fun({_, #{persistent := Persistent}}) -> Persistent end, State)}.

filter(Keep, State = #{cookies := Cookies}) ->
	lists:foldl(fun({Domain, Entries}, Acc) ->
		put_entries(Domain, lists:filter(Keep, Entries), Acc)
	end, State, maps:to_list(Cookies)).

%% Limits.

trim_domain(Domain, State = #{max_cookies_per_domain := Max}) ->
	Entries = entries(Domain, State),
	case length(Entries) of
		Length when Length > Max ->
			Order = fun({Number, #{secure_only := Secure, last_access_time := Time}}) ->
				{Secure, Time, Number}
			end,
			put_entries(Domain, drop(Length - Max, Order, Entries), State);
		_ ->
			State
	end.

%% The expired ones go before any other.
trim(State = #{count := Count, max_cookies := Max}) when Count > Max ->
	case expire(State) of
		#{count := Rest} = Expired when Rest > Max -> trim_all(Rest - Max, Expired);
		Expired -> Expired
	end;
trim(State) ->
	State.

trim_all(Excess, State = #{cookies := Cookies}) ->
	Order = fun({Number, #{last_access_time := Time}}) -> {Time, Number} end,
	Numbers = sets:from_list([Number || {Number, _} <-
		drop(Excess, Order, lists:append(maps:values(Cookies)))], [{version, 2}]),
	filter(fun({Number, _}) -> sets:is_element(Number, Numbers) end, State).

drop(N, Order, Entries) ->
	Sorted = lists:keysort(1, [{Order(Entry), Entry} || Entry <- Entries]),
	[Entry || {_, Entry} <- lists:nthtail(N, Sorted)].

%% Entries.

entries(Domain, #{cookies := Cookies}) ->
	maps:get(Domain, Cookies, []).

live_entries(Domain, State) ->
	Now = erlang:universaltime(),
	[Entry || Entry <- entries(Domain, State), is_alive(Entry, Now)].

is_alive({_, #{expiry_time := infinity}}, _) -> true;
is_alive({_, #{expiry_time := Time}}, Now) -> Time > Now.

put_entries(Domain, Entries, State = #{cookies := Cookies, count := Count}) ->
	NewCount = Count - length(entries(Domain, State)) + length(Entries),
	case Entries of
		[] -> State#{cookies := maps:remove(Domain, Cookies), count := NewCount};
		_ -> State#{cookies := Cookies#{Domain => Entries}, count := NewCount}
	end.

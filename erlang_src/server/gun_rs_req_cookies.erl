%% @doc Cookies that come with a request, and cookies that a response sets: RFC 6265.
-module(gun_rs_req_cookies).

-export([parse/1]).
-export([format/1]).
-export([set/3]).

%% max_age is in seconds; 0 deletes the cookie.
-type options() :: #{
	max_age => non_neg_integer(),
	domain => iodata(),
	path => iodata(),
	secure => boolean(),
	http_only => boolean(),
	same_site => strict | lax | none | default
}.
-export_type([options/0]).

-define(SEPARATORS, [<<",">>, <<";">>, <<" ">>, <<"\t">>, <<"\r">>, <<"\n">>, <<"\v">>, <<"\f">>, <<0>>]).

%% @doc The cookies of a Cookie header, in order. What has no equals sign is a value without
%% a name.
-spec parse(binary()) -> [{Name :: binary(), Value :: binary()}].
parse(Header) ->
	[pair(Part) || Part0 <- binary:split(Header, <<";">>, [global]),
		Part <- [gun_rs_req_text:trim(Part0)], Part =/= <<>>].

pair(Part) ->
	case binary:split(Part, <<"=">>) of
		[Name, Value] -> {Name, Value};
		[Value] -> {<<>>, Value}
	end.

%% @doc A Cookie header of these cookies.
-spec format([{Name :: binary(), Value :: binary()}]) -> binary().
format(Cookies) ->
	iolist_to_binary(lists:join(<<"; ">>, [case Name of
		<<>> -> Value;
		_ -> [Name, $=, Value]
	end || {Name, Value} <- Cookies])).

%% @doc The value of a Set-Cookie header.
%%
%% Raises `{invalid_cookie, Name}' where the name or the value have characters that would end
%% them, and `{invalid_cookie_option, Option}'.
-spec set(Name :: iodata(), Value :: iodata(), options()) -> binary().
set(Name0, Value0, Options) ->
	Name = iolist_to_binary(Name0),
	Value = iolist_to_binary(Value0),
	_ = binary:match(Name, [<<"=">>|?SEPARATORS]) =:= nomatch
		andalso binary:match(Value, ?SEPARATORS) =:= nomatch
		orelse error({invalid_cookie, Name}),
	Attributes = lists:append([attribute(Option) || Option <- maps:to_list(Options)]),
	iolist_to_binary([Name, $=, Value, [[<<"; ">>, Attribute] || Attribute <- Attributes]]).

%% Expires is for clients that do not know Max-Age.
attribute({max_age, 0}) ->
	[<<"Expires=Thu, 01 Jan 1970 00:00:01 GMT">>, <<"Max-Age=0">>];
attribute({max_age, Seconds}) when is_integer(Seconds), Seconds > 0 ->
	Expires = calendar:system_time_to_universal_time(erlang:system_time(second) + Seconds, second),
	[[<<"Expires=">>, gun_rs_req_text:date(Expires)], [<<"Max-Age=">>, integer_to_binary(Seconds)]];
attribute({domain, Domain}) ->
	[[<<"Domain=">>, attribute_value(domain, Domain)]];
attribute({path, Path}) ->
	[[<<"Path=">>, attribute_value(path, Path)]];
attribute({secure, true}) -> [<<"Secure">>];
attribute({secure, false}) -> [];
attribute({http_only, true}) -> [<<"HttpOnly">>];
attribute({http_only, false}) -> [];
attribute({same_site, strict}) -> [<<"SameSite=Strict">>];
attribute({same_site, lax}) -> [<<"SameSite=Lax">>];
attribute({same_site, none}) -> [<<"SameSite=None">>];
attribute({same_site, default}) -> [];
attribute(Option) -> error({invalid_cookie_option, Option}).

attribute_value(Key, Value0) ->
	Value = iolist_to_binary(Value0),
	case binary:match(Value, <<";">>) =:= nomatch andalso gun_rs_req_text:is_value(Value) of
		true -> Value;
		false -> error({invalid_cookie_option, {Key, Value}})
	end.

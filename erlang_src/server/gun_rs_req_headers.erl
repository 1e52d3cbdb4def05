%% @doc Parses the values of request headers into the terms that Cowboy makes of them.
-module(gun_rs_req_headers).

-export([parse/3]).

-type media() :: {{Type :: binary(), SubType :: binary(), params()}, quality(), Ext :: [binary() | {binary(), binary()}]}.
-type params() :: [{Key :: binary(), Value :: binary()}].
-type quality() :: 0..1000.
-type etag() :: {strong | weak, binary()}.
-type range() :: {non_neg_integer(), non_neg_integer() | infinity} | integer().
-export_type([media/0, params/0, quality/0, etag/0, range/0]).

%% @doc The parsed value of a header, whose name is in lower case. Some values have another
%% form in Cowboy 1.
-spec parse(gun_rs_req_new:dialect(), Name :: binary(), Value :: binary()) -> {ok, term()} | error | unknown.
parse(Dialect, Name, Value) ->
	case parser(Dialect, Name) of
		unknown ->
			unknown;
		Parser ->
			try
				{ok, Parser(Value)}
			catch throw:malformed ->
				error
			end
	end.

parser(_, <<"accept">>) -> fun(V) -> [media(Part) || Part <- list(V)] end;
parser(_, <<"accept-charset">>) -> fun(V) -> [weighted(Part, fun token/1) || Part <- nonempty(list(V))] end;
parser(_, <<"accept-encoding">>) -> fun(V) -> [weighted(Part, fun token/1) || Part <- list(V)] end;
parser(_, <<"accept-language">>) -> fun(V) -> [weighted(Part, fun language/1) || Part <- nonempty(list(V))] end;
parser(cowboy_1, <<"authorization">>) -> fun authorization_1/1;
parser(cowboy_2, <<"authorization">>) -> fun authorization_2/1;
parser(cowboy_2, <<"proxy-authorization">>) -> fun authorization_2/1;
parser(_, <<"connection">>) -> fun tokens/1;
parser(_, <<"content-length">>) -> fun number/1;
parser(_, <<"content-type">>) -> fun content_type/1;
parser(_, <<"cookie">>) -> fun gun_rs_req_cookies:parse/1;
parser(cowboy_1, <<"expect">>) -> fun expectations/1;
parser(cowboy_2, <<"expect">>) -> fun continue/1;
parser(_, <<"if-match">>) -> fun etags/1;
parser(_, <<"if-none-match">>) -> fun etags/1;
parser(_, <<"if-modified-since">>) -> fun date/1;
parser(_, <<"if-unmodified-since">>) -> fun date/1;
parser(cowboy_1, <<"range">>) -> fun range_1/1;
parser(cowboy_2, <<"range">>) -> fun range_2/1;
parser(_, <<"sec-websocket-extensions">>) -> fun(V) -> [extension(Part) || Part <- nonempty(list(V))] end;
parser(_, <<"sec-websocket-protocol">>) -> fun(V) -> [checked_token(Part) || Part <- nonempty(list(V))] end;
parser(cowboy_2, <<"sec-websocket-version">>) -> fun websocket_version/1;
parser(_, <<"transfer-encoding">>) -> fun tokens/1;
parser(_, <<"upgrade">>) -> fun(V) -> [product(Part) || Part <- nonempty(list(V))] end;
parser(_, <<"x-forwarded-for">>) -> fun(V) -> [node_name(Part) || Part <- nonempty(list(V))] end;
parser(cowboy_2, Name) -> parser_2(Name);
parser(cowboy_1, _) -> unknown.

parser_2(<<"access-control-request-headers">>) -> fun tokens/1;
parser_2(<<"access-control-request-method">>) -> fun checked_token/1;
parser_2(<<"content-encoding">>) -> fun tokens/1;
parser_2(<<"content-language">>) -> fun(V) -> [language(Part) || Part <- nonempty(list(V))] end;
parser_2(<<"if-range">>) -> fun if_range/1;
parser_2(<<"max-forwards">>) -> fun number/1;
parser_2(<<"origin">>) -> fun origins/1;
parser_2(<<"trailer">>) -> fun tokens/1;
parser_2(_) -> unknown.

%% Lists and tokens: RFC 9110, 5.6.

%% The parts between commas; empty ones mean nothing.
list(Value) ->
	[Part || Part <- split(Value, $,), Part =/= <<>>].

nonempty([]) -> throw(malformed);
nonempty(List) -> List.

tokens(Value) ->
	[token(Part) || Part <- nonempty(list(Value))].

token(Part) ->
	gun_rs_req_text:lowercase(checked_token(Part)).

checked_token(Part) ->
	case gun_rs_req_text:is_token(Part) of
		true -> Part;
		false -> throw(malformed)
	end.

%% Splits where no quoted string is open, and trims the parts.
split(Value, Separator) ->
	split(Value, Separator, <<>>, []).

split(<<Separator, Tail/binary>>, Separator, Part, Done) ->
	split(Tail, Separator, <<>>, [gun_rs_req_text:trim(Part)|Done]);
split(<<$", Tail/binary>>, Separator, Part, Done) ->
	quoted(Tail, Separator, <<Part/binary, $">>, Done);
split(<<C, Tail/binary>>, Separator, Part, Done) ->
	split(Tail, Separator, <<Part/binary, C>>, Done);
split(<<>>, _, Part, Done) ->
	lists:reverse([gun_rs_req_text:trim(Part)|Done]).

quoted(<<$", Tail/binary>>, Separator, Part, Done) ->
	split(Tail, Separator, <<Part/binary, $">>, Done);
quoted(<<$\\, C, Tail/binary>>, Separator, Part, Done) ->
	quoted(Tail, Separator, <<Part/binary, $\\, C>>, Done);
quoted(<<C, Tail/binary>>, Separator, Part, Done) ->
	quoted(Tail, Separator, <<Part/binary, C>>, Done);
quoted(<<>>, _, _, _) ->
	throw(malformed).

%% A parameter: the key in lower case, the value a token or a quoted string.
param(Part) ->
	case param_or_key(Part) of
		{Key, Value} -> {Key, Value};
		_ -> throw(malformed)
	end.

param_or_key(Part) ->
	case binary:split(Part, <<"=">>) of
		[Key] -> token(Key);
		[Key, Value] -> {token(Key), value(Value)}
	end.

value(<<$", Tail/binary>>) -> unquote(Tail, <<>>);
value(Value) -> checked_token(Value).

unquote(<<$">>, Done) -> Done;
unquote(<<$\\, C, Tail/binary>>, Done) -> unquote(Tail, <<Done/binary, C>>);
unquote(<<C, Tail/binary>>, Done) when C =/= $" -> unquote(Tail, <<Done/binary, C>>);
unquote(_, _) -> throw(malformed).

number(Value) ->
	case gun_rs_req_text:digits(Value) of
		{ok, Number} -> Number;
		error -> throw(malformed)
	end.

date(Value) ->
	case gun_rs_cookie_parser:date(Value) of
		{ok, Date} -> Date;
		error -> throw(malformed)
	end.

%% Content negotiation: RFC 9110, 12.

media(Part) ->
	[Range|Rest] = split(Part, $;),
	{Type, SubType} = type(Range),
	media_params(Rest, {Type, SubType}, []).

media_params([], {Type, SubType}, Params) ->
	{{Type, SubType, lists:reverse(Params)}, 1000, []};
media_params([Part|Parts], {Type, SubType} = Media, Params) ->
	case param(Part) of
		{<<"q">>, Value} ->
			{{Type, SubType, lists:reverse(Params)}, quality(Value), [param_or_key(Ext) || Ext <- Parts]};
		Param ->
			media_params(Parts, Media, [charset(Param)|Params])
	end.

%% Old clients send a lone asterisk for any type.
type(<<"*">>) ->
	{<<"*">>, <<"*">>};
type(Range) ->
	case binary:split(Range, <<"/">>) of
		[Type, SubType] -> {token(Type), token(SubType)};
		_ -> throw(malformed)
	end.

%% The only parameter whose value has no case.
charset({<<"charset">>, Value}) -> {<<"charset">>, gun_rs_req_text:lowercase(Value)};
charset(Param) -> Param.

content_type(Value) ->
	[Range|Params] = split(Value, $;),
	_ = Range =/= <<"*">> orelse throw(malformed),
	{Type, SubType} = type(Range),
	{Type, SubType, [charset(param(Param)) || Param <- Params]}.

weighted(Part, Convert) ->
	case split(Part, $;) of
		[Name] ->
			{Convert(Name), 1000};
		[Name, Weight] ->
			case param(Weight) of
				{<<"q">>, Value} -> {Convert(Name), quality(Value)};
				_ -> throw(malformed)
			end;
		_ ->
			throw(malformed)
	end.

quality(<<"0">>) -> 0;
quality(<<"1">>) -> 1000;
quality(<<"1.", Zeros/binary>>) when byte_size(Zeros) =< 3 ->
	case thousandths(Zeros) of
		0 -> 1000;
		_ -> throw(malformed)
	end;
quality(<<"0.", Digits/binary>>) when byte_size(Digits) =< 3 -> thousandths(Digits);
quality(<<".", Digits/binary>>) when byte_size(Digits) >= 1, byte_size(Digits) =< 3 -> thousandths(Digits);
quality(_) -> throw(malformed).

thousandths(<<>>) -> 0;
thousandths(Digits) -> number(<<Digits/binary, (binary:copy(<<"0">>, 3 - byte_size(Digits)))/binary>>).

language(<<"*">>) ->
	<<"*">>;
language(Part) ->
	Tag = gun_rs_req_text:lowercase(Part),
	[Primary|Subtags] = binary:split(Tag, <<"-">>, [global]),
	case is_subtag(Primary, false) andalso lists:all(fun(Subtag) -> is_subtag(Subtag, true) end, Subtags) of
		true -> Tag;
		false -> throw(malformed)
	end.

is_subtag(Subtag, Digits) ->
	byte_size(Subtag) >= 1 andalso byte_size(Subtag) =< 8 andalso
		lists:all(fun(C) -> C >= $a andalso C =< $z orelse Digits andalso C >= $0 andalso C =< $9 end,
			binary_to_list(Subtag)).

%% Credentials: RFC 7617, RFC 6750, RFC 7616.

authorization_1(Value) ->
	case authorization_2(Value) of
		{basic, User, Password} -> {<<"basic">>, {User, Password}};
		_ -> throw(malformed)
	end.

authorization_2(Value) ->
	case binary:split(Value, <<" ">>) of
		[Scheme, Rest] -> credentials(gun_rs_req_text:lowercase(Scheme), gun_rs_req_text:trim(Rest));
		_ -> throw(malformed)
	end.

credentials(<<"basic">>, Encoded) ->
	try binary:split(base64:decode(Encoded), <<":">>) of
		[User, Password] -> {basic, User, Password};
		_ -> throw(malformed)
	catch error:_ ->
		throw(malformed)
	end;
credentials(<<"bearer">>, Token) ->
	case is_token68(Token) of
		true -> {bearer, Token};
		false -> throw(malformed)
	end;
credentials(<<"digest">>, Params) ->
	{digest, [param(Param) || Param <- nonempty(list(Params))]};
credentials(_, _) ->
	throw(malformed).

is_token68(<<>>) ->
	false;
is_token68(Token) ->
	lists:all(fun(C) ->
		C >= $a andalso C =< $z orelse C >= $A andalso C =< $Z orelse C >= $0 andalso C =< $9
			orelse lists:member(C, "-._~+/=")
	end, binary_to_list(Token)).

%% Conditions and ranges: RFC 9110, 13 and 14.

continue(Value) ->
	case gun_rs_req_text:lowercase(Value) of
		<<"100-continue">> -> continue;
		_ -> throw(malformed)
	end.

expectations(Value) ->
	[case split(Part, $;) of
		[First] ->
			expectation(First, []);
		[First|Params] ->
			expectation(First, [param_or_key(Param) || Param <- Params])
	end || Part <- nonempty(list(Value))].

expectation(First, Params) ->
	case param_or_key(First) of
		{Key, Value} -> {Key, Value, Params};
		Key when Params =:= [] -> Key;
		_ -> throw(malformed)
	end.

etags(<<"*">>) ->
	'*';
etags(Value) ->
	[etag(Part) || Part <- nonempty(list(Value))].

etag(<<"W/\"", Tail/binary>>) -> {weak, opaque_tag(Tail)};
etag(<<"\"", Tail/binary>>) -> {strong, opaque_tag(Tail)};
etag(_) -> throw(malformed).

opaque_tag(Tail) ->
	case binary:split(Tail, <<"\"">>) of
		[Tag, <<>>] -> Tag;
		_ -> throw(malformed)
	end.

if_range(<<"W/", _/binary>> = Value) -> etag(Value);
if_range(<<"\"", _/binary>> = Value) -> etag(Value);
if_range(Value) -> date(Value).

range_1(Value) ->
	{Unit, Set} = range_unit(Value),
	{Unit, [range(Part) || Part <- nonempty(list(Set))]}.

range_2(Value) ->
	case range_unit(Value) of
		{<<"bytes">>, Set} -> {bytes, [range(Part) || Part <- list(Set)]};
		Other -> Other
	end.

range_unit(Value) ->
	case binary:split(Value, <<"=">>) of
		[Unit, Set] -> {token(Unit), Set};
		_ -> throw(malformed)
	end.

range(Part) ->
	case binary:split(Part, <<"-">>) of
		[<<>>, Last] -> -number(Last);
		[First, <<>>] -> {number(First), infinity};
		[First, Last] -> {number(First), number(Last)};
		_ -> throw(malformed)
	end.

%% WebSocket: RFC 6455, 9.1.

extension(Part) ->
	[Name|Params] = split(Part, $;),
	{checked_token(Name), [extension_param(Param) || Param <- Params]}.

extension_param(Part) ->
	case binary:split(Part, <<"=">>) of
		[Key] -> checked_token(Key);
		[Key, Value] -> {checked_token(Key), value(Value)}
	end.

websocket_version(Value) ->
	case number(Value) of
		Version when Version =< 255 -> Version;
		_ -> throw(malformed)
	end.

product(Part) ->
	case binary:split(Part, <<"/">>) of
		[Name] -> token(Name);
		[Name, Version] -> <<(token(Name))/binary, $/, (token(Version))/binary>>
	end.

%% Addresses with ports and brackets, and names that proxies make up.
node_name(Part) ->
	_ = checked_token(binary:replace(Part, [<<"[">>, <<"]">>, <<":">>], <<"-">>, [global])),
	Part.

%% An origin that is no URI with a host is known to nobody else: RFC 6454, 4.
origins(Value) ->
	[origin(Part) || Part <- nonempty(binary:split(Value, <<" ">>, [global, trim_all]))].

origin(<<"http://", Authority/binary>>) -> origin(<<"http">>, Authority, 80);
origin(<<"https://", Authority/binary>>) -> origin(<<"https">>, Authority, 443);
origin(_) -> make_ref().

origin(Scheme, Authority, Default) ->
	case gun_rs_req_new:parse_host(Authority) of
		{ok, Host, undefined} -> {Scheme, Host, Default};
		{ok, Host, Port} -> {Scheme, Host, Port};
		error -> throw(malformed)
	end.

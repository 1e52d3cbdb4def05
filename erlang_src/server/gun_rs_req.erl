%% @doc Requests and responses, as Cowboy's `cowboy_req': the same functions for both of its
%% dialects.
%%
%% A Req of Cowboy 2 is a map, and functions return a value or a Req. A Req of Cowboy 1 is a
%% tuple, and functions that only read return `{Value, Req}'. The kind of the Req decides,
%% so that one module serves handlers of both. What is there for one dialect only fails with
%% the Req of the other.
%%
%% What Cowboy 1 lets handlers do to its sockets is refused: `{not_supported, Function, Text}'.
-module(gun_rs_req).

%% The request.
-export([method/1]).
-export([version/1]).
-export([scheme/1]).
-export([host/1]).
-export([host_info/1]).
-export([port/1]).
-export([path/1]).
-export([path_info/1]).
-export([qs/1]).
-export([peer/1]).
-export([sock/1]).
-export([cert/1]).
-export([uri/1]).
-export([uri/2]).
-export([url/1]).
-export([host_url/1]).

%% Its query string, bindings, headers, cookies.
-export([parse_qs/1]).
-export([match_qs/2]).
-export([qs_val/2]).
-export([qs_val/3]).
-export([qs_vals/1]).
-export([binding/2]).
-export([binding/3]).
-export([bindings/1]).
-export([header/2]).
-export([header/3]).
-export([headers/1]).
-export([parse_header/2]).
-export([parse_header/3]).
-export([cookie/2]).
-export([cookie/3]).
-export([cookies/1]).
-export([parse_cookies/1]).
-export([match_cookies/2]).
-export([filter_cookies/2]).
-export([meta/2]).
-export([meta/3]).
-export([set_meta/3]).

%% Its body.
-export([has_body/1]).
-export([body_length/1]).
-export([read_body/1]).
-export([read_body/2]).
-export([read_urlencoded_body/1]).
-export([read_urlencoded_body/2]).
-export([read_and_match_urlencoded_body/2]).
-export([read_and_match_urlencoded_body/3]).
-export([read_part/1]).
-export([read_part/2]).
-export([read_part_body/1]).
-export([read_part_body/2]).
-export([body/1]).
-export([body/2]).
-export([body_qs/1]).
-export([body_qs/2]).
-export([part/1]).
-export([part/2]).
-export([part_body/1]).
-export([part_body/2]).
-export([stream_body/1]).
-export([stream_body/2]).
-export([skip_body/1]).
-export([multipart_data/1]).
-export([multipart_skip/1]).

%% The response.
-export([set_resp_header/3]).
-export([set_resp_headers/2]).
-export([resp_header/2]).
-export([resp_header/3]).
-export([resp_headers/1]).
-export([has_resp_header/2]).
-export([delete_resp_header/2]).
-export([set_resp_cookie/3]).
-export([set_resp_cookie/4]).
-export([set_resp_body/2]).
-export([has_resp_body/1]).
-export([set_resp_body_fun/2]).
-export([set_resp_body_fun/3]).
-export([reply/2]).
-export([reply/3]).
-export([reply/4]).
-export([inform/2]).
-export([inform/3]).
-export([stream_reply/2]).
-export([stream_reply/3]).
-export([stream_body/3]).
-export([stream_events/3]).
-export([stream_trailers/2]).
-export([chunked_reply/2]).
-export([chunked_reply/3]).
-export([chunk/2]).
-export([continue/1]).
-export([compact/1]).

%% Of Cowboy's inside.
-export([get/2]).
-export([set/2]).
-export([to_list/1]).
-export([upgrade_reply/3]).
-export([init_stream/4]).
-export([cast/2]).
-export([push/3]).
-export([push/4]).

-type req() :: gun_rs_req_new:req().
-export_type([req/0]).

%% A value, and behind it the Req where it is one of Cowboy 1.
-type value(Value) :: Value | {Value, gun_rs_req_new:req_1()}.

-define(IS_1(Req), element(1, Req) =:= gun_rs_req_1).

%% The request.

-spec method(req()) -> value(binary()).
method(Req) -> get_value(method, Req).

-spec version(req()) -> value('HTTP/1.0' | 'HTTP/1.1').
version(Req) -> get_value(version, Req).

-spec host(req()) -> value(binary()).
host(Req) -> get_value(host, Req).

-spec host_info(req()) -> value(gun_rs_router:rest()).
host_info(Req) -> get_value(host_info, Req).

-spec port(req()) -> value(inet:port_number()).
port(Req) -> get_value(port, Req).

-spec path(req()) -> value(binary()).
path(Req) -> get_value(path, Req).

-spec path_info(req()) -> value(gun_rs_router:rest()).
path_info(Req) -> get_value(path_info, Req).

-spec qs(req()) -> value(binary()).
qs(Req) -> get_value(qs, Req).

-spec peer(req()) -> value({inet:ip_address(), inet:port_number()} | undefined).
peer(Req) -> get_value(peer, Req).

get_value(Key, Req) when is_map(Req) -> maps:get(Key, Req, undefined);
get_value(Key, Req) -> gun_rs_req_1:get(Key, Req).

-spec scheme(map()) -> binary().
scheme(#{scheme := Scheme}) -> Scheme.

-spec sock(map()) -> {inet:ip_address(), inet:port_number()} | undefined.
sock(#{sock := Sock}) -> Sock.

%% @doc The certificate of the client, in DER.
-spec cert(map()) -> binary() | undefined.
cert(#{cert := Cert}) -> Cert.

-spec uri(map()) -> iodata().
uri(Req) -> uri(Req, #{}).

-spec uri(map(), map()) -> iodata().
uri(Req, Opts) -> gun_rs_req_2:uri(Req, Opts).

-spec url(gun_rs_req_new:req_1()) -> {binary(), gun_rs_req_new:req_1()}.
url(Req) -> gun_rs_req_1:url(Req).

-spec host_url(gun_rs_req_new:req_1()) -> {binary(), gun_rs_req_new:req_1()}.
host_url(Req) -> gun_rs_req_1:host_url(Req).

%% Its query string, bindings, headers, cookies.

-spec parse_qs(map()) -> [{binary(), binary() | true}].
parse_qs(Req) -> gun_rs_req_2:parse_qs(Req).

-spec match_qs(gun_rs_req_2:fields(), map()) -> #{atom() => term()}.
match_qs(Fields, Req) -> gun_rs_req_2:match_qs(Fields, Req).

-spec qs_val(binary(), gun_rs_req_new:req_1()) -> {binary() | true | undefined, gun_rs_req_new:req_1()}.
qs_val(Name, Req) -> qs_val(Name, Req, undefined).

-spec qs_val(binary(), gun_rs_req_new:req_1(), Default) -> {binary() | true | Default, gun_rs_req_new:req_1()}.
qs_val(Name, Req, Default) -> gun_rs_req_1:qs_val(Name, Req, Default).

-spec qs_vals(gun_rs_req_new:req_1()) -> {[{binary(), binary() | true}], gun_rs_req_new:req_1()}.
qs_vals(Req) -> gun_rs_req_1:qs_vals(Req).

-spec binding(atom(), req()) -> value(term()).
binding(Name, Req) -> binding(Name, Req, undefined).

-spec binding(atom(), req(), Default :: term()) -> value(term()).
binding(Name, Req, Default) when is_map(Req) -> maps:get(Name, maps:get(bindings, Req, #{}), Default);
binding(Name, Req, Default) -> gun_rs_req_1:binding(Name, Req, Default).

-spec bindings(req()) -> value(gun_rs_router:bindings()).
bindings(Req) when is_map(Req) -> maps:get(bindings, Req, #{});
bindings(Req) -> gun_rs_req_1:get(bindings, Req).

-spec header(binary(), req()) -> value(binary() | undefined).
header(Name, Req) -> header(Name, Req, undefined).

-spec header(binary(), req(), Default) -> value(binary() | Default).
header(Name, Req, Default) when is_map(Req) -> gun_rs_req_2:header(Name, Req, Default);
header(Name, Req, Default) -> gun_rs_req_1:header(Name, Req, Default).

-spec headers(req()) -> value(#{binary() => binary()} | [{binary(), binary()}]).
headers(Req) -> get_value(headers, Req).

%% @doc The terms that a header stands for. A header that is invalid or unknown is an exit in
%% Cowboy 2, which the client gets a 400 for.
-spec parse_header(binary(), req()) -> term().
parse_header(Name, Req) when is_map(Req) -> gun_rs_req_2:parse_header(Name, Req);
parse_header(Name, Req) -> gun_rs_req_1:parse_header(Name, Req).

-spec parse_header(binary(), req(), Default :: term()) -> term().
parse_header(Name, Req, Default) when is_map(Req) -> gun_rs_req_2:parse_header(Name, Req, Default);
parse_header(Name, Req, Default) -> gun_rs_req_1:parse_header(Name, Req, Default).

-spec cookie(binary(), gun_rs_req_new:req_1()) -> {binary() | undefined, gun_rs_req_new:req_1()}.
cookie(Name, Req) -> cookie(Name, Req, undefined).

-spec cookie(binary(), gun_rs_req_new:req_1(), Default) -> {binary() | Default, gun_rs_req_new:req_1()}.
cookie(Name, Req, Default) -> gun_rs_req_1:cookie(Name, Req, Default).

-spec cookies(gun_rs_req_new:req_1()) -> {[{binary(), binary()}], gun_rs_req_new:req_1()}.
cookies(Req) -> gun_rs_req_1:cookies(Req).

-spec parse_cookies(map()) -> [{binary(), binary()}].
parse_cookies(Req) -> gun_rs_req_2:parse_cookies(Req).

-spec match_cookies(gun_rs_req_2:fields(), map()) -> #{atom() => term()}.
match_cookies(Fields, Req) -> gun_rs_req_2:match_cookies(Fields, Req).

-spec filter_cookies([atom() | binary()], map()) -> map().
filter_cookies(Names, Req) -> gun_rs_req_2:filter_cookies(Names, Req).

-spec meta(atom(), gun_rs_req_new:req_1()) -> {term(), gun_rs_req_new:req_1()}.
meta(Name, Req) -> meta(Name, Req, undefined).

-spec meta(atom(), gun_rs_req_new:req_1(), Default :: term()) -> {term(), gun_rs_req_new:req_1()}.
meta(Name, Req, Default) -> gun_rs_req_1:meta(Name, Req, Default).

-spec set_meta(atom(), term(), gun_rs_req_new:req_1()) -> gun_rs_req_new:req_1().
set_meta(Name, Value, Req) -> gun_rs_req_1:set_meta(Name, Value, Req).

%% Its body.

-spec has_body(req()) -> boolean().
has_body({_, Map}) -> has_body(Map);
has_body(#{has_body := HasBody}) -> HasBody.

-spec body_length(req()) -> value(non_neg_integer() | undefined).
body_length(Req) -> get_value(body_length, Req).

-spec read_body(map()) -> {ok | more, binary(), map()}.
read_body(Req) -> read_body(Req, #{}).

-spec read_body(map(), gun_rs_req_body:opts_2()) -> {ok | more, binary(), map()}.
read_body(Req, Opts) -> gun_rs_req_body:read_2(Req, Opts, #{}).

-spec read_urlencoded_body(map()) -> {ok, [{binary(), binary() | true}], map()}.
read_urlencoded_body(Req) -> read_urlencoded_body(Req, #{}).

-spec read_urlencoded_body(map(), gun_rs_req_body:opts_2()) -> {ok, [{binary(), binary() | true}], map()}.
read_urlencoded_body(Req, Opts) -> gun_rs_req_body:form_2(Req, Opts).

-spec read_and_match_urlencoded_body(gun_rs_req_2:fields(), map()) -> {ok, #{atom() => term()}, map()}.
read_and_match_urlencoded_body(Fields, Req) -> read_and_match_urlencoded_body(Fields, Req, #{}).

-spec read_and_match_urlencoded_body(gun_rs_req_2:fields(), map(), gun_rs_req_body:opts_2()) ->
	{ok, #{atom() => term()}, map()}.
read_and_match_urlencoded_body(Fields, Req, Opts) -> gun_rs_req_2:read_and_match_form(Fields, Req, Opts).

-spec read_part(map()) -> {ok, #{binary() => binary()}, map()} | {done, map()}.
read_part(Req) -> read_part(Req, #{}).

-spec read_part(map(), gun_rs_req_body:opts_2()) -> {ok, #{binary() => binary()}, map()} | {done, map()}.
read_part(Req, Opts) -> gun_rs_req_2:read_part(Req, Opts).

-spec read_part_body(map()) -> {ok | more, binary(), map()}.
read_part_body(Req) -> read_part_body(Req, #{}).

-spec read_part_body(map(), gun_rs_req_body:opts_2()) -> {ok | more, binary(), map()}.
read_part_body(Req, Opts) -> gun_rs_req_2:read_part_body(Req, Opts).

-spec body(gun_rs_req_new:req_1()) -> {ok | more, binary(), gun_rs_req_new:req_1()} | {error, term()}.
body(Req) -> gun_rs_req_1:body(Req, []).

%% @doc `body(Req, Opts)'; `body(MaxLength, Req)' in Cowboy 0.9 and before.
-spec body(gun_rs_req_new:req_1(), gun_rs_req_body:opts_1()) ->
		{ok | more, binary(), gun_rs_req_new:req_1()} | {error, term()};
	(non_neg_integer() | infinity, gun_rs_req_new:req_1()) -> {ok, binary(), gun_rs_req_new:req_1()} | {error, term()}.
body(Req, Opts) when ?IS_1(Req) -> gun_rs_req_1:body(Req, Opts);
body(MaxLength, Req) -> gun_rs_req_1:body_within(MaxLength, Req).

-spec body_qs(gun_rs_req_new:req_1()) ->
	{ok, [{binary(), binary() | true}], gun_rs_req_new:req_1()} | {badlength, gun_rs_req_new:req_1()} | {error, term()}.
body_qs(Req) -> gun_rs_req_1:body_qs(Req, []).

%% @doc `body_qs(Req, Opts)'; `body_qs(MaxLength, Req)' in Cowboy 0.9 and before.
-spec body_qs(gun_rs_req_new:req_1() | non_neg_integer() | infinity, gun_rs_req_body:opts_1() | gun_rs_req_new:req_1()) ->
	{ok, [{binary(), binary() | true}], gun_rs_req_new:req_1()} | {badlength, gun_rs_req_new:req_1()} | {error, term()}.
body_qs(Req, Opts) when ?IS_1(Req) -> gun_rs_req_1:body_qs(Req, Opts);
body_qs(MaxLength, Req) -> gun_rs_req_1:body_qs_within(MaxLength, Req).

-spec part(gun_rs_req_new:req_1()) ->
	{ok, [{binary(), binary()}], gun_rs_req_new:req_1()} | {done, gun_rs_req_new:req_1()}.
part(Req) -> part(Req, []).

-spec part(gun_rs_req_new:req_1(), gun_rs_req_body:opts_1()) ->
	{ok, [{binary(), binary()}], gun_rs_req_new:req_1()} | {done, gun_rs_req_new:req_1()}.
part(Req, Opts) -> gun_rs_req_1:part(Req, Opts).

-spec part_body(gun_rs_req_new:req_1()) -> {ok | more, binary(), gun_rs_req_new:req_1()}.
part_body(Req) -> part_body(Req, []).

-spec part_body(gun_rs_req_new:req_1(), gun_rs_req_body:opts_1()) -> {ok | more, binary(), gun_rs_req_new:req_1()}.
part_body(Req, Opts) -> gun_rs_req_1:part_body(Req, Opts).

%% The four of Cowboy 0.9 and before.

-spec stream_body(gun_rs_req_new:req_1()) ->
	{ok, binary(), gun_rs_req_new:req_1()} | {done, gun_rs_req_new:req_1()} | {error, term()}.
stream_body(Req) -> stream_body(1000000, Req).

-spec stream_body(pos_integer(), gun_rs_req_new:req_1()) ->
	{ok, binary(), gun_rs_req_new:req_1()} | {done, gun_rs_req_new:req_1()} | {error, term()}.
stream_body(Length, Req) -> gun_rs_req_1:stream_body(Length, Req).

-spec skip_body(gun_rs_req_new:req_1()) -> {ok, gun_rs_req_new:req_1()} | {error, term()}.
skip_body(Req) -> gun_rs_req_1:skip_body(Req).

-spec multipart_data(gun_rs_req_new:req_1()) -> {headers, [{binary(), binary()}], gun_rs_req_new:req_1()}
	| {body, binary(), gun_rs_req_new:req_1()} | {end_of_part | eof, gun_rs_req_new:req_1()}.
multipart_data(Req) -> gun_rs_req_1:multipart_data(Req).

-spec multipart_skip(gun_rs_req_new:req_1()) -> {ok, gun_rs_req_new:req_1()}.
multipart_skip(Req) -> gun_rs_req_1:multipart_skip(Req).

%% The response.

-spec set_resp_header(iodata(), iodata(), req()) -> req().
set_resp_header(Name, Value, Req) when is_map(Req) -> gun_rs_req_2:set_resp_header(Name, Value, Req);
set_resp_header(Name, Value, Req) -> gun_rs_req_1:set_resp_header(Name, Value, Req).

-spec set_resp_headers(gun_rs_req_2:headers() | [{binary(), iodata()}], map()) -> map().
set_resp_headers(Headers, Req) -> gun_rs_req_2:set_resp_headers(Headers, Req).

-spec resp_header(binary(), map()) -> iodata() | undefined.
resp_header(Name, Req) -> resp_header(Name, Req, undefined).

-spec resp_header(binary(), map(), Default) -> iodata() | Default.
resp_header(Name, Req, Default) -> maps:get(Name, resp_headers(Req), Default).

-spec resp_headers(map()) -> gun_rs_req_2:headers().
resp_headers(Req) -> maps:get(resp_headers, Req, #{}).

-spec has_resp_header(binary(), req()) -> boolean().
has_resp_header(Name, Req) when is_map(Req) -> is_map_key(Name, resp_headers(Req));
has_resp_header(Name, Req) -> gun_rs_req_1:has_resp_header(Name, Req).

-spec delete_resp_header(binary(), req()) -> req().
delete_resp_header(Name, #{resp_headers := Headers} = Req) -> Req#{resp_headers := maps:remove(Name, Headers)};
delete_resp_header(_, Req) when is_map(Req) -> Req;
delete_resp_header(Name, Req) -> gun_rs_req_1:delete_resp_header(Name, Req).

-spec set_resp_cookie(iodata(), iodata(), map()) -> map().
set_resp_cookie(Name, Value, Req) -> gun_rs_req_2:set_resp_cookie(Name, Value, Req, #{}).

%% @doc `set_resp_cookie(Name, Value, Req, Map)' in Cowboy 2, and in Cowboy 1
%% `set_resp_cookie(Name, Value, List, Req)'.
-spec set_resp_cookie(iodata(), iodata(), map(), gun_rs_req_cookies:options()) -> map();
	(iodata(), iodata(), [{atom(), term()}], gun_rs_req_new:req_1()) -> gun_rs_req_new:req_1().
set_resp_cookie(Name, Value, Req, Opts) when is_map(Req) -> gun_rs_req_2:set_resp_cookie(Name, Value, Req, Opts);
set_resp_cookie(Name, Value, Opts, Req) -> gun_rs_req_1:set_resp_cookie(Name, Value, Opts, Req).

-spec set_resp_body(gun_rs_req_reply:body(), req()) -> req().
set_resp_body(Body, Req) when is_map(Req) -> Req#{resp_body => Body};
set_resp_body(Body, Req) -> gun_rs_req_1:set_resp_body(Body, Req).

-spec has_resp_body(req()) -> boolean().
has_resp_body(Req) when is_map(Req) -> gun_rs_req_2:has_resp_body(Req);
has_resp_body(Req) -> gun_rs_req_1:has_resp_body(Req).

%% @doc `{chunked, Fun}' is the same as with set_resp_body_fun/3. A fun that writes to the
%% socket is refused.
-spec set_resp_body_fun({chunked, fun()} | fun(), gun_rs_req_new:req_1()) -> gun_rs_req_new:req_1().
set_resp_body_fun({chunked, Fun}, Req) -> set_resp_body_fun(chunked, Fun, Req);
set_resp_body_fun(_, _) -> not_supported({set_resp_body_fun, 2}, "handlers have no socket to write to").

-spec set_resp_body_fun(chunked | non_neg_integer(), fun(), gun_rs_req_new:req_1()) -> gun_rs_req_new:req_1().
set_resp_body_fun(chunked, Fun, Req) when is_function(Fun, 1) -> gun_rs_req_1:set_resp_body({chunked, Fun}, Req);
set_resp_body_fun(_, _, _) -> not_supported({set_resp_body_fun, 3}, "handlers have no socket to write to").

-spec reply(gun_rs_req_reply:status(), req()) -> req() | {ok, req()}.
reply(Status, Req) when is_map(Req) -> reply(Status, #{}, Req);
reply(Status, Req) -> gun_rs_req_1:reply(Status, [], Req).

-spec reply(gun_rs_req_reply:status(), gun_rs_req_2:headers() | gun_rs_req_1:headers(), req()) -> req() | {ok, req()}.
reply(Status, Headers, Req) when is_map(Req) ->
	gun_rs_req_2:reply(Status, Headers, maps:get(resp_body, Req, <<>>), Req);
reply(Status, Headers, Req) ->
	gun_rs_req_1:reply(Status, Headers, Req).

-spec reply(gun_rs_req_reply:status(), gun_rs_req_2:headers() | gun_rs_req_1:headers(), gun_rs_req_reply:body(), req()) ->
	req() | {ok, req()}.
reply(Status, Headers, Body, Req) when is_map(Req) -> gun_rs_req_2:reply(Status, Headers, Body, Req);
reply(Status, Headers, Body, Req) -> gun_rs_req_1:reply(Status, Headers, Body, Req).

-spec inform(gun_rs_req_reply:status(), map()) -> ok.
inform(Status, Req) -> inform(Status, #{}, Req).

-spec inform(gun_rs_req_reply:status(), gun_rs_req_2:headers(), map()) -> ok.
inform(Status, Headers, Req) -> gun_rs_req_2:inform(Status, Headers, Req).

-spec stream_reply(gun_rs_req_reply:status(), map()) -> map().
stream_reply(Status, Req) -> stream_reply(Status, #{}, Req).

-spec stream_reply(gun_rs_req_reply:status(), gun_rs_req_2:headers(), map()) -> map().
stream_reply(Status, Headers, Req) -> gun_rs_req_2:stream_reply(Status, Headers, Req).

-spec stream_body(gun_rs_req_reply:body(), fin | nofin, map()) -> ok.
stream_body(Data, Fin, Req) -> gun_rs_req_2:stream_body(Data, Fin, Req).

-spec stream_events(gun_rs_req_reply:event() | [gun_rs_req_reply:event()], fin | nofin, map()) -> ok.
stream_events(Events, Fin, Req) -> stream_body(gun_rs_req_reply:events(Events), Fin, Req).

-spec stream_trailers(gun_rs_req_2:headers(), map()) -> ok.
stream_trailers(Trailers, Req) -> gun_rs_req_2:stream_trailers(Trailers, Req).

-spec chunked_reply(gun_rs_req_reply:status(), gun_rs_req_new:req_1()) -> {ok, gun_rs_req_new:req_1()}.
chunked_reply(Status, Req) -> chunked_reply(Status, [], Req).

-spec chunked_reply(gun_rs_req_reply:status(), gun_rs_req_1:headers(), gun_rs_req_new:req_1()) ->
	{ok, gun_rs_req_new:req_1()}.
chunked_reply(Status, Headers, Req) -> gun_rs_req_1:chunked_reply(Status, Headers, Req).

-spec chunk(iodata(), gun_rs_req_new:req_1()) -> ok | {error, closed}.
chunk(Data, Req) -> gun_rs_req_1:chunk(Data, Req).

-spec continue(gun_rs_req_new:req_1()) -> ok.
continue(Req) -> gun_rs_req_1:continue(Req).

-spec compact(gun_rs_req_new:req_1()) -> gun_rs_req_new:req_1().
compact(Req) -> gun_rs_req_1:compact(Req).

%% Of Cowboy's inside.

%% @doc The socket and the transport alone, for libraries that set socket options through
%% them: see gun_rs_req_transport. Nothing else of a Req is given out.
-spec get(socket | transport | [socket | transport], gun_rs_req_new:req_1()) -> term().
get(socket, {gun_rs_req_1, #{gun_rs_conn := Conn}}) -> gun_rs_req_transport:socket(Conn);
get(transport, {gun_rs_req_1, _}) -> gun_rs_req_transport;
get([_|_] = Keys, Req) -> [get(Key, Req) || Key <- Keys];
get(_, _) -> not_supported({get, 2}, "a Req gives out its socket and transport alone").

-spec set(term(), req()) -> no_return().
set(_, _) -> not_supported({set, 2}, "the functions set_resp_header and others change a Req").

-spec to_list(req()) -> no_return().
to_list(_) -> not_supported({to_list, 1}, "a Req has no fields to list").

-spec upgrade_reply(term(), term(), req()) -> no_return().
upgrade_reply(_, _, _) -> not_supported({upgrade_reply, 3}, "a handler upgrades by what its init returns").

-spec init_stream(term(), term(), term(), req()) -> no_return().
init_stream(_, _, _, _) -> not_supported({init_stream, 4}, "the transfer-encoding is decoded already").

-spec cast(term(), req()) -> no_return().
cast(_, _) -> not_supported({cast, 2}, "there are no stream handlers").

-spec push(term(), term(), req()) -> no_return().
push(_, _, _) -> not_supported({push, 3}, "nothing can be pushed over HTTP/1.1").

-spec push(term(), term(), req(), term()) -> no_return().
push(_, _, _, _) -> not_supported({push, 4}, "nothing can be pushed over HTTP/1.1").

-spec not_supported({atom(), arity()}, string()) -> no_return().
not_supported({Name, Arity} = Function, Why) ->
	error({not_supported, Function, lists:flatten(io_lib:format("~s/~b is not supported: ~s.", [Name, Arity, Why]))}).

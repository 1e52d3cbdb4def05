%% @doc Cowboy's requests, of both dialects: each function is the one of the same name in gun_rs_req.
-module(cowboy_req).

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
-export([get/2]).
-export([set/2]).
-export([to_list/1]).
-export([upgrade_reply/3]).
-export([init_stream/4]).
-export([cast/2]).
-export([push/3]).
-export([push/4]).

-type req() :: gun_rs_req:req().
-type read_body_opts() :: gun_rs_req_body:opts_2().
-type resp_body() :: gun_rs_req_reply:body().
-type push_opts() :: #{method => binary(), scheme => binary(), host => binary(), port => inet:port_number(), qs => binary()}.
-export_type([req/0, read_body_opts/0, resp_body/0, push_opts/0]).

-spec method(term()) -> term().
method(A) -> gun_rs_req:method(A).

-spec version(term()) -> term().
version(A) -> gun_rs_req:version(A).

-spec scheme(term()) -> term().
scheme(A) -> gun_rs_req:scheme(A).

-spec host(term()) -> term().
host(A) -> gun_rs_req:host(A).

-spec host_info(term()) -> term().
host_info(A) -> gun_rs_req:host_info(A).

-spec port(term()) -> term().
port(A) -> gun_rs_req:port(A).

-spec path(term()) -> term().
path(A) -> gun_rs_req:path(A).

-spec path_info(term()) -> term().
path_info(A) -> gun_rs_req:path_info(A).

-spec qs(term()) -> term().
qs(A) -> gun_rs_req:qs(A).

-spec peer(term()) -> term().
peer(A) -> gun_rs_req:peer(A).

-spec sock(term()) -> term().
sock(A) -> gun_rs_req:sock(A).

-spec cert(term()) -> term().
cert(A) -> gun_rs_req:cert(A).

-spec uri(term()) -> term().
uri(A) -> gun_rs_req:uri(A).

-spec uri(term(), term()) -> term().
uri(A, B) -> gun_rs_req:uri(A, B).

-spec url(term()) -> term().
url(A) -> gun_rs_req:url(A).

-spec host_url(term()) -> term().
host_url(A) -> gun_rs_req:host_url(A).

-spec parse_qs(term()) -> term().
parse_qs(A) -> gun_rs_req:parse_qs(A).

-spec match_qs(term(), term()) -> term().
match_qs(A, B) -> gun_rs_req:match_qs(A, B).

-spec qs_val(term(), term()) -> term().
qs_val(A, B) -> gun_rs_req:qs_val(A, B).

-spec qs_val(term(), term(), term()) -> term().
qs_val(A, B, C) -> gun_rs_req:qs_val(A, B, C).

-spec qs_vals(term()) -> term().
qs_vals(A) -> gun_rs_req:qs_vals(A).

-spec binding(term(), term()) -> term().
binding(A, B) -> gun_rs_req:binding(A, B).

-spec binding(term(), term(), term()) -> term().
binding(A, B, C) -> gun_rs_req:binding(A, B, C).

-spec bindings(term()) -> term().
bindings(A) -> gun_rs_req:bindings(A).

-spec header(term(), term()) -> term().
header(A, B) -> gun_rs_req:header(A, B).

-spec header(term(), term(), term()) -> term().
header(A, B, C) -> gun_rs_req:header(A, B, C).

-spec headers(term()) -> term().
headers(A) -> gun_rs_req:headers(A).

-spec parse_header(term(), term()) -> term().
parse_header(A, B) -> gun_rs_req:parse_header(A, B).

-spec parse_header(term(), term(), term()) -> term().
parse_header(A, B, C) -> gun_rs_req:parse_header(A, B, C).

-spec cookie(term(), term()) -> term().
cookie(A, B) -> gun_rs_req:cookie(A, B).

-spec cookie(term(), term(), term()) -> term().
cookie(A, B, C) -> gun_rs_req:cookie(A, B, C).

-spec cookies(term()) -> term().
cookies(A) -> gun_rs_req:cookies(A).

-spec parse_cookies(term()) -> term().
parse_cookies(A) -> gun_rs_req:parse_cookies(A).

-spec match_cookies(term(), term()) -> term().
match_cookies(A, B) -> gun_rs_req:match_cookies(A, B).

-spec filter_cookies(term(), term()) -> term().
filter_cookies(A, B) -> gun_rs_req:filter_cookies(A, B).

-spec meta(term(), term()) -> term().
meta(A, B) -> gun_rs_req:meta(A, B).

-spec meta(term(), term(), term()) -> term().
meta(A, B, C) -> gun_rs_req:meta(A, B, C).

-spec set_meta(term(), term(), term()) -> term().
set_meta(A, B, C) -> gun_rs_req:set_meta(A, B, C).

-spec has_body(term()) -> term().
has_body(A) -> gun_rs_req:has_body(A).

-spec body_length(term()) -> term().
body_length(A) -> gun_rs_req:body_length(A).

-spec read_body(term()) -> term().
read_body(A) -> gun_rs_req:read_body(A).

-spec read_body(term(), term()) -> term().
read_body(A, B) -> gun_rs_req:read_body(A, B).

-spec read_urlencoded_body(term()) -> term().
read_urlencoded_body(A) -> gun_rs_req:read_urlencoded_body(A).

-spec read_urlencoded_body(term(), term()) -> term().
read_urlencoded_body(A, B) -> gun_rs_req:read_urlencoded_body(A, B).

-spec read_and_match_urlencoded_body(term(), term()) -> term().
read_and_match_urlencoded_body(A, B) -> gun_rs_req:read_and_match_urlencoded_body(A, B).

-spec read_and_match_urlencoded_body(term(), term(), term()) -> term().
read_and_match_urlencoded_body(A, B, C) -> gun_rs_req:read_and_match_urlencoded_body(A, B, C).

-spec read_part(term()) -> term().
read_part(A) -> gun_rs_req:read_part(A).

-spec read_part(term(), term()) -> term().
read_part(A, B) -> gun_rs_req:read_part(A, B).

-spec read_part_body(term()) -> term().
read_part_body(A) -> gun_rs_req:read_part_body(A).

-spec read_part_body(term(), term()) -> term().
read_part_body(A, B) -> gun_rs_req:read_part_body(A, B).

-spec body(term()) -> term().
body(A) -> gun_rs_req:body(A).

-spec body(term(), term()) -> term().
body(A, B) -> gun_rs_req:body(A, B).

-spec body_qs(term()) -> term().
body_qs(A) -> gun_rs_req:body_qs(A).

-spec body_qs(term(), term()) -> term().
body_qs(A, B) -> gun_rs_req:body_qs(A, B).

-spec part(term()) -> term().
part(A) -> gun_rs_req:part(A).

-spec part(term(), term()) -> term().
part(A, B) -> gun_rs_req:part(A, B).

-spec part_body(term()) -> term().
part_body(A) -> gun_rs_req:part_body(A).

-spec part_body(term(), term()) -> term().
part_body(A, B) -> gun_rs_req:part_body(A, B).

-spec stream_body(term()) -> term().
stream_body(A) -> gun_rs_req:stream_body(A).

-spec stream_body(term(), term()) -> term().
stream_body(A, B) -> gun_rs_req:stream_body(A, B).

-spec skip_body(term()) -> term().
skip_body(A) -> gun_rs_req:skip_body(A).

-spec multipart_data(term()) -> term().
multipart_data(A) -> gun_rs_req:multipart_data(A).

-spec multipart_skip(term()) -> term().
multipart_skip(A) -> gun_rs_req:multipart_skip(A).

-spec set_resp_header(term(), term(), term()) -> term().
set_resp_header(A, B, C) -> gun_rs_req:set_resp_header(A, B, C).

-spec set_resp_headers(term(), term()) -> term().
set_resp_headers(A, B) -> gun_rs_req:set_resp_headers(A, B).

-spec resp_header(term(), term()) -> term().
resp_header(A, B) -> gun_rs_req:resp_header(A, B).

-spec resp_header(term(), term(), term()) -> term().
resp_header(A, B, C) -> gun_rs_req:resp_header(A, B, C).

-spec resp_headers(term()) -> term().
resp_headers(A) -> gun_rs_req:resp_headers(A).

-spec has_resp_header(term(), term()) -> term().
has_resp_header(A, B) -> gun_rs_req:has_resp_header(A, B).

-spec delete_resp_header(term(), term()) -> term().
delete_resp_header(A, B) -> gun_rs_req:delete_resp_header(A, B).

-spec set_resp_cookie(term(), term(), term()) -> term().
set_resp_cookie(A, B, C) -> gun_rs_req:set_resp_cookie(A, B, C).

-spec set_resp_cookie(term(), term(), term(), term()) -> term().
set_resp_cookie(A, B, C, D) -> gun_rs_req:set_resp_cookie(A, B, C, D).

-spec set_resp_body(term(), term()) -> term().
set_resp_body(A, B) -> gun_rs_req:set_resp_body(A, B).

-spec has_resp_body(term()) -> term().
has_resp_body(A) -> gun_rs_req:has_resp_body(A).

-spec set_resp_body_fun(term(), term()) -> term().
set_resp_body_fun(A, B) -> gun_rs_req:set_resp_body_fun(A, B).

-spec set_resp_body_fun(term(), term(), term()) -> term().
set_resp_body_fun(A, B, C) -> gun_rs_req:set_resp_body_fun(A, B, C).

-spec reply(term(), term()) -> term().
reply(A, B) -> gun_rs_req:reply(A, B).

-spec reply(term(), term(), term()) -> term().
reply(A, B, C) -> gun_rs_req:reply(A, B, C).

-spec reply(term(), term(), term(), term()) -> term().
reply(A, B, C, D) -> gun_rs_req:reply(A, B, C, D).

-spec inform(term(), term()) -> term().
inform(A, B) -> gun_rs_req:inform(A, B).

-spec inform(term(), term(), term()) -> term().
inform(A, B, C) -> gun_rs_req:inform(A, B, C).

-spec stream_reply(term(), term()) -> term().
stream_reply(A, B) -> gun_rs_req:stream_reply(A, B).

-spec stream_reply(term(), term(), term()) -> term().
stream_reply(A, B, C) -> gun_rs_req:stream_reply(A, B, C).

-spec stream_body(term(), term(), term()) -> term().
stream_body(A, B, C) -> gun_rs_req:stream_body(A, B, C).

-spec stream_events(term(), term(), term()) -> term().
stream_events(A, B, C) -> gun_rs_req:stream_events(A, B, C).

-spec stream_trailers(term(), term()) -> term().
stream_trailers(A, B) -> gun_rs_req:stream_trailers(A, B).

-spec chunked_reply(term(), term()) -> term().
chunked_reply(A, B) -> gun_rs_req:chunked_reply(A, B).

-spec chunked_reply(term(), term(), term()) -> term().
chunked_reply(A, B, C) -> gun_rs_req:chunked_reply(A, B, C).

-spec chunk(term(), term()) -> term().
chunk(A, B) -> gun_rs_req:chunk(A, B).

-spec continue(term()) -> term().
continue(A) -> gun_rs_req:continue(A).

-spec compact(term()) -> term().
compact(A) -> gun_rs_req:compact(A).

-spec get(term(), term()) -> term().
get(A, B) -> gun_rs_req:get(A, B).

-spec set(term(), term()) -> no_return().
set(A, B) -> gun_rs_req:set(A, B).

-spec to_list(term()) -> no_return().
to_list(A) -> gun_rs_req:to_list(A).

-spec upgrade_reply(term(), term(), term()) -> no_return().
upgrade_reply(A, B, C) -> gun_rs_req:upgrade_reply(A, B, C).

-spec init_stream(term(), term(), term(), term()) -> no_return().
init_stream(A, B, C, D) -> gun_rs_req:init_stream(A, B, C, D).

-spec cast(term(), term()) -> no_return().
cast(A, B) -> gun_rs_req:cast(A, B).

-spec push(term(), term(), term()) -> no_return().
push(A, B, C) -> gun_rs_req:push(A, B, C).

-spec push(term(), term(), term(), term()) -> no_return().
push(A, B, C, D) -> gun_rs_req:push(A, B, C, D).

%% @private What the process of a connection asks of the native library: what is much to copy is copied on a dirty
%% scheduler.
-module(gun_rs_served_io).

-export([respond/6]).
-export([data/4]).
-export([inform/4]).
-export([trailers/3]).
-export([read/3]).
-export([close_with/2]).

%% In bytes: what is more is copied on a dirty scheduler.
-define(MAX_COPIED, 16#20000).

-spec respond(gun_rs_native:served(), Id :: non_neg_integer(), Status :: 200..999, Reason :: binary(),
	gun_rs_native:headers(), gun_rs_native:response_body()) -> gun_rs_native:responded().
respond(Conn, Id, Status, Reason, Headers, Body) when is_binary(Body), byte_size(Body) > ?MAX_COPIED ->
	gun_rs_native:served_respond_dirty(Conn, Id, Status, Reason, Headers, Body);
respond(Conn, Id, Status, Reason, Headers, Body) ->
	gun_rs_native:served_respond(Conn, Id, Status, Reason, Headers, Body).

-spec data(gun_rs_native:served(), Id :: non_neg_integer(), fin | nofin, binary()) -> ok | gone | send_queue_full.
data(Conn, Id, IsFin, Data) when byte_size(Data) > ?MAX_COPIED ->
	gun_rs_native:served_data_dirty(Conn, Id, IsFin, Data);
data(Conn, Id, IsFin, Data) ->
	gun_rs_native:served_data(Conn, Id, IsFin, Data).

-spec inform(gun_rs_native:served(), Id :: non_neg_integer(), Status :: 100..199, gun_rs_native:headers())
	-> gun_rs_native:responded().
inform(Conn, Id, Status, Headers) ->
	gun_rs_native:served_inform(Conn, Id, Status, Headers).

-spec trailers(gun_rs_native:served(), Id :: non_neg_integer(), gun_rs_native:headers()) -> gun_rs_native:responded().
trailers(Conn, Id, Headers) ->
	gun_rs_native:served_trailers(Conn, Id, Headers).

-spec read(gun_rs_native:served(), Id :: non_neg_integer(), Parts :: pos_integer()) -> ok | gone | send_queue_full.
read(Conn, Id, Parts) ->
	gun_rs_native:served_read(Conn, Id, Parts).

-spec close_with(gun_rs_native:served(), Code :: 1000..4999) -> ok.
close_with(Conn, Code) ->
	gun_rs_native:served_close_with(Conn, Code).

%% @private Functions of the native library that take terms of any size: those that would keep
%% a scheduler for long run on a dirty one.
-module(gun_rs_dirty).

-export([conn_new/5]).
-export([http_request/5]).
-export([http_data/5]).
-export([ws_upgrade/6]).

%% In bytes: what is more is copied on a dirty scheduler.
-define(MAX_COPIED, 16#20000).

%% In bytes of the external format: what is more is taken apart on a dirty scheduler.
-define(MAX_DECODED, 16#4000).

-spec conn_new(Owner :: pid(), gun_rs_options:reply_to() | undefined, gun_rs_native:handler(), Options :: map(),
	gun_rs_native:tls_config() | undefined) -> {ok, gun_rs_native:conn()} | {error, not_started}.
conn_new(Owner, ReplyTo, Handler, Options, Tls) ->
	case is_much([ReplyTo, Handler, Options]) of
		false -> gun_rs_native:conn_new(Owner, ReplyTo, Handler, Options, Tls);
		true -> gun_rs_native:conn_new_dirty(Owner, ReplyTo, Handler, Options, Tls)
	end.

-spec http_request(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(), gun_rs_options:reply_to(), gun_rs_native:request(),
	gun_rs_native:limits()) -> gun_rs_native:requested().
http_request(ConnPid, StreamRef, ReplyTo, Request={_, _, _, Body}, Limits)
		when is_binary(Body), byte_size(Body) > ?MAX_COPIED ->
	gun_rs_native:http_request_dirty(ConnPid, StreamRef, ReplyTo, Request, Limits);
http_request(ConnPid, StreamRef, ReplyTo, Request={Method, _, Headers, _}, Limits) ->
	case is_much([ReplyTo, Method|Headers]) of
		false -> gun_rs_native:http_request(ConnPid, StreamRef, ReplyTo, Request, Limits);
		true -> gun_rs_native:http_request_dirty(ConnPid, StreamRef, ReplyTo, Request, Limits)
	end.

-spec http_data(ConnPid :: pid(), Caller :: pid() | {receipt, term()}, StreamRef :: gun_rs_native:stream_ref() | undefined,
	fin | nofin, Data :: binary())
	-> ok | relay | no_conn | {send_queue_full, ToCaller :: tuple()}.
http_data(ConnPid, Caller, StreamRef, IsFin, Data) when byte_size(Data) > ?MAX_COPIED ->
	gun_rs_native:http_data_dirty(ConnPid, Caller, StreamRef, IsFin, Data);
http_data(ConnPid, Caller, StreamRef, IsFin, Data) ->
	gun_rs_native:http_data(ConnPid, Caller, StreamRef, IsFin, Data).

-spec ws_upgrade(ConnPid :: pid(), StreamRef :: gun_rs_native:stream_ref(), gun_rs_options:reply_to(), Target :: binary(),
	Headers :: [{binary(), binary()}], {Options :: map(), gun_rs_native:handler()} | undefined)
	-> gun_rs_native:requested().
ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options) ->
	case is_much([ReplyTo, Options|Headers]) of
		false -> gun_rs_native:ws_upgrade(ConnPid, StreamRef, ReplyTo, Path, Headers, Options);
		true -> gun_rs_native:ws_upgrade_dirty(ConnPid, StreamRef, ReplyTo, Path, Headers, Options)
	end.

%% Whether native code would be long about the term. The VM yields while it measures it.
is_much(Term) ->
	erlang:external_size(Term) > ?MAX_DECODED.

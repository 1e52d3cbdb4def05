%% @doc What `cowboy_req:get(transport, Req)' gives: a transport without a socket.
%%
%% Libraries for Cowboy 1 set options of the socket through it, and close it. The native
%% library does what the options are for.
-module(gun_rs_req_transport).

-export([socket/1]).
-export([name/0]).
-export([setopts/2]).
-export([close/1]).

-type socket() :: {?MODULE, gun_rs_native:served()}.
-export_type([socket/0]).

%% @doc The socket that a connection stands for.
-spec socket(gun_rs_native:served()) -> socket().
socket(Conn) -> {?MODULE, Conn}.

-spec name() -> gun_rs.
name() -> gun_rs.

%% @doc Does nothing: the options of the listener are those of its sockets.
-spec setopts(socket(), list()) -> ok.
setopts({?MODULE, _}, Options) when is_list(Options) -> ok.

%% @doc Ends the connection at once.
-spec close(socket()) -> ok.
close({?MODULE, Conn}) ->
	_ = gun_rs_served_io:close_with(Conn, 1000),
	ok.

%% Prices over a WebSocket that is opened again when it is lost.
%%
%%     {ok, _} = market_data:start_link("wss://example.org/prices", [<<"BTC">>], []),
%%     market_data:price(<<"BTC">>).
-module(market_data).
-behaviour(gun_rs_ws_client).

-export([start_link/3, price/1]).
-export([websocket_init/1, websocket_handle/2, websocket_info/2, websocket_down/2]).

%% TlsOpts are those of the connection, such as [{cacertfile, "root.pem"}].
-spec start_link(string(), [binary()], [term()]) -> gen_server:start_ret().
start_link(Url, Symbols, TlsOpts) ->
	%% The prices outlive the process that receives them.
	_ = ets:whereis(?MODULE) =/= undefined orelse ets:new(?MODULE, [named_table, public, {read_concurrency, true}]),
	gun_rs_ws_client:start_link({local, ?MODULE}, Url, ?MODULE, Symbols, #{
		backoff => 10000,
		open => #{
			tls_opts => TlsOpts,
			connect_timeout => 10000,
			ws_opts => #{
				keepalive => 15000,
				keepalive_tolerance => 2,
				max_message_size => 1000000,
				flow => auto
			}
		}
	}).

%% The last price, unless the WebSocket is down: an old price is worse than none.
-spec price(binary()) -> {ok, float()} | {error, unknown}.
price(Symbol) ->
	case ets:lookup(?MODULE, Symbol) of
		[{_, Price}] -> {ok, Price};
		[] -> {error, unknown}
	end.

%% The server knows nothing of an earlier connection.
websocket_init(Symbols) ->
	{[{text, ["subscribe ", Symbol]} || Symbol <- Symbols], Symbols}.

websocket_handle({text, Text}, Symbols) ->
	[Symbol, Price] = binary:split(Text, <<" ">>),
	true = ets:insert(?MODULE, {Symbol, binary_to_float(Price)}),
	{[], Symbols};
websocket_handle(_Frame, Symbols) ->
	{[], Symbols}.

websocket_info(_Message, Symbols) ->
	{[], Symbols}.

websocket_down(Reason, Symbols) ->
	true = ets:delete_all_objects(?MODULE),
	logger:warning("No prices: ~ts", [gun_rs:format_error(Reason)]),
	{reconnect, Symbols}.

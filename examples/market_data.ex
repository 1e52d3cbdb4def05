# Prices over a WebSocket that is opened again when it is lost.
#
#     {:ok, _} = MarketData.start_link("wss://example.org/prices", ["BTC"], [])
#     MarketData.price("BTC")
defmodule MarketData do
  @behaviour :gun_rs_ws_client
  require Logger

  # tls_opts are those of the connection, such as [cacertfile: "root.pem"].
  def start_link(url, symbols, tls_opts) do
    # The prices outlive the process that receives them.
    if :ets.whereis(__MODULE__) == :undefined do
      :ets.new(__MODULE__, [:named_table, :public, read_concurrency: true])
    end

    :gun_rs_ws_client.start_link({:local, __MODULE__}, url, __MODULE__, symbols, %{
      backoff: 10_000,
      open: %{
        tls_opts: tls_opts,
        connect_timeout: 10_000,
        ws_opts: %{
          keepalive: 15_000,
          keepalive_tolerance: 2,
          max_message_size: 1_000_000,
          flow: :auto
        }
      }
    })
  end

  # The last price, unless the WebSocket is down: an old price is worse than none.
  def price(symbol) do
    case :ets.lookup(__MODULE__, symbol) do
      [{_, price}] -> {:ok, price}
      [] -> {:error, :unknown}
    end
  end

  # The server knows nothing of an earlier connection.
  def websocket_init(symbols), do: {Enum.map(symbols, &{:text, "subscribe " <> &1}), symbols}

  def websocket_handle({:text, text}, symbols) do
    [symbol, price] = String.split(text, " ", parts: 2)
    :ets.insert(__MODULE__, {symbol, String.to_float(price)})
    {[], symbols}
  end

  def websocket_handle(_frame, symbols), do: {[], symbols}

  def websocket_info(_message, symbols), do: {[], symbols}

  def websocket_down(reason, symbols) do
    :ets.delete_all_objects(__MODULE__)
    Logger.warning("No prices: #{:gun_rs.format_error(reason)}")
    {:reconnect, symbols}
  end
end

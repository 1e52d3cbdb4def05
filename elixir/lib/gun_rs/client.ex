defmodule GunRs.Client do
  @moduledoc """
  A process that opens a WebSocket, runs a module of yours on it, and opens it again when it is lost.

      defmodule Prices do
        use GunRs.Client

        @impl true
        def websocket_init(prices), do: {[{:text, "subscribe"}], prices}

        @impl true
        def websocket_handle({:text, price}, prices), do: {[], [price | prices]}
        def websocket_handle(_frame, prices), do: {[], prices}
      end

      children = [{Prices, url: "wss://example.org/prices", state: [], name: Prices}]

  `use GunRs.Client` adds `child_spec/1` and every callback but `c:websocket_handle/2`: they send nothing, drop other
  messages, and reconnect. Its options are those of `child_spec/1`, such as `restart: :transient`.
  """

  alias GunRs.Options

  @type state :: term()
  @type result ::
          {[GunRs.frame()], state()} | {[GunRs.frame()], state(), :hibernate} | {:stop, state()}

  @doc "The WebSocket is open: at first, and after each reconnect."
  @callback websocket_init(state()) :: result()

  @doc "A frame has come: `{:text, text}`, `{:binary, data}`, `:close` or `{:close, code, text}`."
  @callback websocket_handle(frame :: term(), state()) :: result()

  @doc "Another message has come; a cast as `{:\"$gen_cast\", message}`."
  @callback websocket_info(message :: term(), state()) :: result()

  @doc "The connection is lost."
  @callback websocket_down(reason :: term(), state()) :: {:reconnect, state()} | {:stop, state()}

  @doc "The process ends."
  @callback terminate(reason :: term(), state()) :: term()

  @optional_callbacks websocket_init: 1, websocket_down: 2, terminate: 2

  @keys [:url, :state, :name, :open, :headers, :backoff, :retries]

  defmacro __using__(opts) do
    quote do
      @behaviour GunRs.Client

      @doc false
      def child_spec(opts) do
        default = %{
          id: Keyword.get(opts, :name, __MODULE__),
          start: {GunRs.Client, :start_link, [__MODULE__, opts]}
        }

        Supervisor.child_spec(default, unquote(Macro.escape(opts)))
      end

      @impl true
      def websocket_init(state), do: {[], state}

      @impl true
      def websocket_info(_message, state), do: {[], state}

      @impl true
      def websocket_down(_reason, state), do: {:reconnect, state}

      @impl true
      def terminate(_reason, _state), do: :ok

      defoverridable child_spec: 1,
                     websocket_init: 1,
                     websocket_info: 2,
                     websocket_down: 2,
                     terminate: 2
    end
  end

  @doc """
  Starts the process. It is there before the WebSocket is open.

    * `:url` - of the server, `ws://` or `wss://`; it must be given
    * `:state` - what the callbacks begin with, `nil` by default
    * `:name` - an atom, `{:global, term}` or `{:via, module, term}`
    * `:headers` - of the upgrade
    * `:backoff` - the longest pause between two attempts, 30000 ms by default
    * `:retries` - how often a lost connection is tried again before the process ends, 1000000 by default
    * `:open` - options of `GunRs.open/3`
  """
  @spec start_link(module(), keyword()) :: GenServer.on_start()
  def start_link(module, opts) do
    case Keyword.keys(opts) -- @keys do
      [] ->
        :ok

      [key | _] ->
        raise ArgumentError, "unknown option #{inspect(key)}; the options are #{inspect(@keys)}"
    end

    url = Keyword.fetch!(opts, :url)
    state = Keyword.get(opts, :state)
    ws_opts = opts |> Keyword.drop([:url, :state, :name]) |> Options.to_map()

    case Keyword.get(opts, :name) do
      nil ->
        :gun_rs_ws_client.start_link(url, module, state, ws_opts)

      name when is_atom(name) ->
        :gun_rs_ws_client.start_link({:local, name}, url, module, state, ws_opts)

      name ->
        :gun_rs_ws_client.start_link(name, url, module, state, ws_opts)
    end
  end

  @doc "Sends frames. While the WebSocket is not open, they are not sent."
  @spec send(GenServer.server(), GunRs.frame() | [GunRs.frame()]) :: :ok | {:error, :not_open}
  def send(client, frames), do: :gun_rs_ws_client.send(client, frames)

  @doc "Closes the WebSocket with 1000, and ends the process."
  @spec stop(GenServer.server()) :: :ok
  def stop(client), do: :gun_rs_ws_client.stop(client)
end

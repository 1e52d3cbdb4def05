defmodule GunRs.Server do
  @moduledoc """
  A server for WebSockets, and pages beside them, as a child of your supervisor.

      defmodule Echo do
        use GunRs.Server, idle_timeout: 120_000

        @impl true
        def websocket_handle({:text, text}, state), do: {[{:text, text}], state}
        def websocket_handle(_frame, state), do: {[], state}
      end

      children = [{GunRs.Server, port: 8080, routes: [{"/ws", Echo, []}]}]

  `use GunRs.Server` makes a module a WebSocket handler: it adds every callback but `websocket_handle/2`. Its options are
  those of the WebSocket. `init/2` may be written anew, to look at the request or to refuse it. Plain pages are modules
  with `@behaviour :gun_rs_handler`, which answer by `reply/4`:

      defmodule Hello do
        @behaviour :gun_rs_handler

        @impl true
        def init(req, state), do: {:ok, GunRs.Server.reply(req, 200, %{}, "Hello!"), state}
      end
  """

  use GenServer

  alias GunRs.Options

  @keys [:name, :routes, :port, :ip, :tls, :websocket, :transport, :protocol]

  defmacro __using__(opts) do
    quote do
      @behaviour :gun_rs_websocket

      @impl true
      def init(req, state),
        do: {:gun_rs_websocket, req, state, unquote(__MODULE__).websocket(unquote(opts))}

      @impl true
      def websocket_init(state), do: {[], state}

      @impl true
      def websocket_info(_message, state), do: {[], state}

      @impl true
      def terminate(_reason, _req, _state), do: :ok

      defoverridable init: 2, websocket_init: 1, websocket_info: 2, terminate: 3
    end
  end

  @doc false
  def websocket(opts), do: Options.to_map(opts)

  @doc """
  Starts a listener, which stops with the process.

    * `:routes` - paths, handlers and what they begin with, such as `{"/room/:room", Chat, []}`; it must be given. A list
      of `{host, paths}` has routes for several hosts.
    * `:port` - 0 by default, any that is free: `port/1` says which
    * `:ip` - the address to listen on
    * `:name` - of the listener, `GunRs.Server` by default
    * `:tls` - for TLS, options such as `certfile: "server.pem", keyfile: "server.key"`
    * `:websocket` - options of every WebSocket
    * `:transport`, `:protocol` - other options of `:gun_rs_server.start_clear/3`
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts) do
    case Keyword.keys(opts) -- @keys do
      [] ->
        GenServer.start_link(__MODULE__, opts)

      [key | _] ->
        raise ArgumentError, "unknown option #{inspect(key)}; the options are #{inspect(@keys)}"
    end
  end

  @doc false
  def child_spec(opts) do
    %{
      id: {__MODULE__, Keyword.get(opts, :name, __MODULE__)},
      start: {__MODULE__, :start_link, [opts]}
    }
  end

  @doc "The port of a listener."
  @spec port(name :: term()) :: :inet.port_number() | nil
  def port(name \\ __MODULE__) do
    case :gun_rs_server.get_port(name) do
      :undefined -> nil
      port -> port
    end
  end

  @doc "Sends a frame to many WebSockets, by their pids or by `{:pg, scope, group}`."
  @spec broadcast([pid()] | {:pg, atom(), term()}, GunRs.frame()) :: map()
  def broadcast(pids, frame), do: :gun_rs_server.broadcast(pids, frame)

  @doc "Answers a request, in a plain handler or in the `init/2` of any."
  @spec reply(:gun_rs_req.req(), 200..999, %{binary() => iodata()}, iodata()) :: :gun_rs_req.req()
  def reply(req, status, headers \\ %{}, body \\ ""),
    do: :gun_rs_req.reply(status, headers, body, req)

  @doc """
  A sentence for the reason of an error.

      iex> GunRs.Server.format_error(:no_cert)
      "A listener with TLS needs a certificate and its key."
  """
  @spec format_error(term()) :: String.t()
  def format_error(reason), do: reason |> :gun_rs_server.format_error() |> List.to_string()

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)
    name = Keyword.get(opts, :name, __MODULE__)

    case start(name, opts) do
      {:ok, _listener} -> {:ok, name}
      {:error, reason} -> {:stop, reason}
    end
  end

  @impl true
  def terminate(_reason, name), do: :gun_rs_server.stop_listener(name)

  defp start(name, opts) do
    case start_listener(name, opts) do
      {:error, {:already_started, _}} = error ->
        # A process that was killed has left it.
        owner = :gun_rs_server.get_env(name, __MODULE__, nil)

        if is_pid(owner) and not Process.alive?(owner) do
          _ = :gun_rs_server.stop_listener(name)
          start_listener(name, opts)
        else
          error
        end

      result ->
        result
    end
  end

  defp start_listener(name, opts) do
    socket = Keyword.take(opts, [:ip]) ++ [port: Keyword.get(opts, :port, 0)]
    transport = opts |> Keyword.get(:transport, []) |> Map.new()
    protocol = opts |> Keyword.get(:protocol, []) |> Map.new()
    env = %{:dispatch => dispatch(Keyword.fetch!(opts, :routes)), __MODULE__ => self()}

    protocol =
      case Keyword.fetch(opts, :websocket) do
        {:ok, websocket} -> Map.put(protocol, :websocket, Options.to_map(websocket))
        :error -> protocol
      end

    protocol = Map.update(protocol, :env, env, &Map.merge(Map.new(&1), env))

    case Keyword.fetch(opts, :tls) do
      {:ok, tls} ->
        :gun_rs_server.start_tls(name, socket_opts(transport, socket ++ tls), protocol)

      :error ->
        :gun_rs_server.start_clear(name, socket_opts(transport, socket), protocol)
    end
  end

  defp socket_opts(transport, opts), do: Map.update(transport, :socket_opts, opts, &(opts ++ &1))

  defp dispatch([{_host, paths} | _] = hosts) when is_list(paths),
    do: :gun_rs_router.compile(hosts)

  defp dispatch(paths), do: :gun_rs_router.compile([{:_, paths}])
end

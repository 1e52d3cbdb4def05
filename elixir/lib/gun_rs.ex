defmodule GunRs do
  @moduledoc """
  A client for HTTP and WebSocket, with gun's API and Elixir's ways: strings, keyword options, defaults.

  A connection is a process. `open/3` starts it, and it connects again when it is lost. Requests and WebSockets are
  streams of it; what comes for them is sent to the caller as messages, which `await/3` and `response/3` wait for.

  A WebSocket:

      iex> {:ok, server, port} = :gun_rs_test_server.start([:echo])
      iex> {:ok, conn} = GunRs.open("ws://localhost:\#{port}")
      iex> stream = GunRs.ws_upgrade(conn, "/echo")
      iex> {:upgrade, ["websocket"], _headers} = GunRs.await(conn, stream)
      iex> :ok = GunRs.ws_send(conn, stream, {:text, "Hello!"})
      iex> GunRs.await(conn, stream)
      {:ws, {:text, "Hello!"}}
      iex> :ok = GunRs.close(conn)
      iex> :gun_rs_test_server.stop(server)
      :ok

  For a process that runs a module of yours on a WebSocket, see `GunRs.Client`; for a server, `GunRs.Server`.

  Options are those of `:gun_rs`, as keyword lists or maps, at every depth: `ws_opts: [keepalive: 15_000]`.
  """

  alias GunRs.Options

  @type conn :: pid()
  @type stream :: :gun_rs.stream_ref()
  @type headers :: [{binary(), iodata()}] | %{binary() => iodata()}
  @type opts :: keyword() | map()
  @type frame :: :gun_rs.frame()

  @timeout 5000

  @doc """
  Opens a connection to the host of a URL, with TLS for `https` and `wss`.

      iex> {:error, reason} = GunRs.open("ftp://localhost")
      iex> is_binary(GunRs.format_error(reason))
      true
  """
  @spec open(String.t()) :: {:ok, conn()} | {:error, term()}
  def open(url), do: open(url, [])

  @doc "Opens a connection to the host of a URL with options, or to a host and a port."
  @spec open(String.t(), opts() | :inet.port_number()) :: {:ok, conn()} | {:error, term()}
  def open(host, port) when is_integer(port), do: open(host, port, [])
  def open(url, opts), do: opened(:gun_rs.open(url, Options.to_map(opts)))

  @doc """
  Opens a connection to a host and a port.

      iex> GunRs.open("localhost", 8080, retries: 3)
      {:error, {:options, {:retries, 3}}}
  """
  @spec open(String.t() | charlist() | :inet.ip_address(), :inet.port_number(), opts()) ::
          {:ok, conn()} | {:error, term()}
  def open(host, port, opts) do
    host = if is_binary(host), do: String.to_charlist(host), else: host
    opened(:gun_rs.open(host, port, Options.to_map(opts)))
  end

  defp opened({:error, :options, reason}), do: {:error, {:options, reason}}
  defp opened(result), do: result

  @doc "Waits until the connection is up, and says which protocol it speaks."
  @spec await_up(conn(), timeout()) :: {:ok, atom()} | {:error, term()}
  def await_up(conn, timeout \\ @timeout), do: :gun_rs.await_up(conn, timeout)

  @doc "Closes the connection at once."
  @spec close(conn()) :: :ok | {:error, :not_found | :simple_one_for_one}
  def close(conn), do: :gun_rs.close(conn)

  @doc "Closes the connection when its streams have ended; a WebSocket by a close frame."
  @spec shutdown(conn()) :: :ok
  def shutdown(conn), do: :gun_rs.shutdown(conn)

  @doc "What is known of the connection."
  @spec info(conn()) :: map()
  def info(conn), do: :gun_rs.info(conn)

  @doc """
  Sends a GET request. `response/3` waits for the answer.

      iex> {:ok, server, port} = :gun_rs_test_server.start({:refuse, 200, %{}, "Hello!"})
      iex> {:ok, conn} = GunRs.open("localhost", port)
      iex> stream = GunRs.get(conn, "/", [{"accept", "text/plain"}])
      iex> {:ok, %{status: 200, body: body}} = GunRs.response(conn, stream)
      iex> GunRs.close(conn)
      iex> :gun_rs_test_server.stop(server)
      iex> body
      "Hello!"
  """
  @spec get(conn(), iodata(), headers(), opts()) :: stream()
  def get(conn, path, headers \\ [], opts \\ []),
    do: :gun_rs.get(conn, path, headers, Options.to_map(opts))

  @doc "Sends a HEAD request."
  @spec head(conn(), iodata(), headers(), opts()) :: stream()
  def head(conn, path, headers \\ [], opts \\ []),
    do: :gun_rs.head(conn, path, headers, Options.to_map(opts))

  @doc "Sends an OPTIONS request."
  @spec options(conn(), iodata(), headers(), opts()) :: stream()
  def options(conn, path, headers \\ [], opts \\ []),
    do: :gun_rs.options(conn, path, headers, Options.to_map(opts))

  @doc "Sends a DELETE request."
  @spec delete(conn(), iodata(), headers(), opts()) :: stream()
  def delete(conn, path, headers \\ [], opts \\ []),
    do: :gun_rs.delete(conn, path, headers, Options.to_map(opts))

  @doc "Sends a POST request with a body."
  @spec post(conn(), iodata(), headers(), iodata(), opts()) :: stream()
  def post(conn, path, headers \\ [], body \\ "", opts \\ []),
    do: :gun_rs.post(conn, path, headers, body, Options.to_map(opts))

  @doc "Sends a PUT request with a body."
  @spec put(conn(), iodata(), headers(), iodata(), opts()) :: stream()
  def put(conn, path, headers \\ [], body \\ "", opts \\ []),
    do: :gun_rs.put(conn, path, headers, body, Options.to_map(opts))

  @doc "Sends a PATCH request with a body."
  @spec patch(conn(), iodata(), headers(), iodata(), opts()) :: stream()
  def patch(conn, path, headers \\ [], body \\ "", opts \\ []),
    do: :gun_rs.patch(conn, path, headers, body, Options.to_map(opts))

  @doc "Sends a request of any method."
  @spec request(conn(), iodata(), iodata(), headers(), iodata(), opts()) :: stream()
  def request(conn, method, path, headers \\ [], body \\ "", opts \\ []),
    do: :gun_rs.request(conn, method, path, headers, body, Options.to_map(opts))

  @doc "Sends the head of a request whose body follows by `data/4`."
  @spec headers(conn(), iodata(), iodata(), headers(), opts()) :: stream()
  def headers(conn, method, path, headers \\ [], opts \\ []),
    do: :gun_rs.headers(conn, method, path, headers, Options.to_map(opts))

  @doc "Sends a part of a body; `:fin` with the last one."
  @spec data(conn(), stream(), :fin | :nofin, iodata()) :: :ok
  def data(conn, stream, is_fin, data), do: :gun_rs.data(conn, stream, is_fin, data)

  @doc "Waits for the next message of a stream."
  @spec await(conn(), stream(), timeout()) :: :gun_rs.await_result()
  def await(conn, stream, timeout \\ @timeout), do: :gun_rs.await(conn, stream, timeout)

  @doc "Waits for the rest of a response's body."
  @spec await_body(conn(), stream(), timeout()) :: :gun_rs.await_body_result()
  def await_body(conn, stream, timeout \\ @timeout), do: :gun_rs.await_body(conn, stream, timeout)

  @doc """
  Waits for a whole response, for as long as `timeout` says for all of it. What has not come then is canceled.
  """
  @spec response(conn(), stream(), timeout()) ::
          {:ok,
           %{status: 100..999, headers: [{binary(), binary()}], body: binary(), trailers: list()}}
          | {:error, term()}
  def response(conn, stream, timeout \\ @timeout) do
    case head_of(conn, stream, deadline(timeout)) do
      {:ok, response} ->
        {:ok, response}

      error ->
        :gun_rs.cancel(conn, stream)
        :gun_rs.flush(stream)
        error
    end
  end

  defp head_of(conn, stream, deadline) do
    case :gun_rs.await(conn, stream, remaining(deadline)) do
      {:inform, _status, _headers} ->
        head_of(conn, stream, deadline)

      {:response, :fin, status, headers} ->
        {:ok, %{status: status, headers: headers, body: "", trailers: []}}

      {:response, :nofin, status, headers} ->
        case :gun_rs.await_body(conn, stream, remaining(deadline)) do
          {:ok, body} ->
            {:ok, %{status: status, headers: headers, body: body, trailers: []}}

          {:ok, body, trailers} ->
            {:ok, %{status: status, headers: headers, body: body, trailers: trailers}}

          {:error, reason} ->
            {:error, reason}
        end

      {:error, reason} ->
        {:error, reason}

      other ->
        {:error, {:unexpected, other}}
    end
  end

  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: System.monotonic_time(:millisecond) + timeout

  defp remaining(:infinity), do: :infinity
  defp remaining(deadline), do: max(0, deadline - System.monotonic_time(:millisecond))

  @doc "Asks for a WebSocket. `await/3` answers `{:upgrade, protocols, headers}`."
  @spec ws_upgrade(conn(), iodata(), headers(), opts()) :: stream()
  def ws_upgrade(conn, path \\ "/", headers \\ [], opts \\ [])
  def ws_upgrade(conn, path, headers, []), do: :gun_rs.ws_upgrade(conn, path, headers)

  def ws_upgrade(conn, path, headers, opts),
    do: :gun_rs.ws_upgrade(conn, path, headers, Options.to_map(opts))

  @doc "Sends a frame, or several."
  @spec ws_send(conn(), stream(), frame() | [frame()]) :: :ok
  def ws_send(conn, stream, frames), do: :gun_rs.ws_send(conn, stream, frames)

  @doc "Sends frames, and waits until the socket has them."
  @spec ws_send_sync(conn(), stream(), frame() | [frame()], timeout()) :: :ok | {:error, term()}
  def ws_send_sync(conn, stream, frames, timeout \\ @timeout),
    do: :gun_rs.ws_send_sync(conn, stream, frames, timeout)

  @doc "Lets that many more messages of a stream come, where it has the option `flow`."
  @spec update_flow(conn(), stream(), pos_integer()) :: :ok
  def update_flow(conn, stream, flow), do: :gun_rs.update_flow(conn, stream, flow)

  @doc "Cancels a stream: nothing more is sent for it."
  @spec cancel(conn(), stream()) :: :ok
  def cancel(conn, stream), do: :gun_rs.cancel(conn, stream)

  @doc "Removes the messages of a connection or a stream from the caller's mailbox."
  @spec flush(conn() | stream()) :: :ok
  def flush(conn_or_stream), do: :gun_rs.flush(conn_or_stream)

  @doc """
  A sentence for the reason of an error.

      iex> GunRs.format_error(:timeout) =~ "time"
      true
  """
  @spec format_error(term()) :: String.t()
  def format_error(reason), do: reason |> :gun_rs.format_error() |> IO.chardata_to_string()
end

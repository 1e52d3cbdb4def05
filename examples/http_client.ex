# Pages of one host, fetched side by side over a pool of connections.
#
#     {:ok, _} = HttpClient.start("example.org", 443, %{transport: :tls})
#     HttpClient.fetch("example.org", ["/a", "/b"])
defmodule HttpClient do
  # conn_opts are those of :gun_rs.open/3.
  def start(host, port, conn_opts) do
    :gun_rs_pool.start_pool(host, port, %{
      size: %{min: 2, max: 10},
      checkout_queue: %{max: 1000, timeout: 30_000},
      idle_timeout: 60_000,
      conn_opts: Map.put(conn_opts, :connect_timeout, 10_000)
    })
  end

  def stop(host, port), do: :gun_rs_pool.stop_pool(host, port)

  # The authority is the host, with the port unless it is 443 (or 80 without TLS). The results are in the order of the
  # paths.
  def fetch(authority, paths) do
    paths
    |> Enum.map(fn path -> {path, Task.async(fn -> fetch_one(authority, path) end)} end)
    |> Enum.map(fn {path, task} -> {path, Task.await(task, :infinity)} end)
  end

  defp fetch_one(authority, path) do
    # Half a minute for all of it, the wait for a connection too.
    req_opts = %{timeout: 30_000, checkout_call_timeout: :infinity, reply_to: :alias}

    case :gun_rs_pool.get(path, %{"host" => authority, "accept" => "*/*"}, req_opts) do
      {:async, ref} -> response(ref, :gun_rs_pool.await(ref, :infinity))
      {:error, reason, _text} -> {:error, :gun_rs.format_error(reason)}
    end
  end

  defp response(_ref, {:response, :fin, status, _headers}), do: {:ok, status, ""}

  defp response(ref, {:response, :nofin, status, _headers}) do
    case :gun_rs_pool.await_body(ref, :infinity) do
      {:ok, body} -> {:ok, status, body}
      {:ok, body, _trailers} -> {:ok, status, body}
      {:error, reason} -> {:error, :gun_rs.format_error(reason)}
    end
  end

  defp response(ref, {:inform, _status, _headers}),
    do: response(ref, :gun_rs_pool.await(ref, :infinity))

  defp response(_ref, {:error, reason}), do: {:error, :gun_rs.format_error(reason)}
end

defmodule GunRs.ServerTest do
  use ExUnit.Case, async: true

  defmodule Echo do
    use GunRs.Server, idle_timeout: 120_000, max_message_size: 100

    @impl true
    def websocket_handle({:text, "who"}, state), do: {[{:text, inspect(self())}], state}
    def websocket_handle({:text, text}, state), do: {[{:text, state <> text}], state}
    def websocket_handle(_frame, state), do: {[], state}
  end

  defmodule Hello do
    @behaviour :gun_rs_handler

    @impl true
    def init(req, state),
      do: {:ok, GunRs.Server.reply(req, 200, %{"x-state" => state}, "Hello!"), state}
  end

  @routes [{"/ws", Echo, "You said: "}, {"/", Hello, "ready"}]

  test "WebSockets and pages" do
    pid = start_supervised!({GunRs.Server, name: :pages, routes: @routes})
    port = GunRs.Server.port(:pages)
    {:ok, conn} = GunRs.open("localhost", port, retry: 0)

    assert {:ok, %{status: 200, body: "Hello!", headers: headers}} =
             GunRs.response(conn, GunRs.get(conn, "/"), 30_000)

    assert {"x-state", "ready"} in headers
    assert {:ok, %{status: 404}} = GunRs.response(conn, GunRs.get(conn, "/nowhere"), 30_000)

    stream = GunRs.ws_upgrade(conn, "/ws")
    assert {:upgrade, _, _} = GunRs.await(conn, stream, 30_000)
    GunRs.ws_send(conn, stream, {:text, "hi"})
    assert {:ws, {:text, "You said: hi"}} = GunRs.await(conn, stream, 30_000)
    assert %{sent: 1} = GunRs.Server.broadcast(:gun_rs_server.connections(:pages), {:text, "all"})
    assert {:ws, {:text, "all"}} = GunRs.await(conn, stream, 30_000)

    # The options of `use`.
    GunRs.ws_send(conn, stream, {:text, String.duplicate("x", 101)})
    assert {:ws, {:close, 1009, _}} = GunRs.await(conn, stream, 30_000)
    GunRs.close(conn)

    :ok = stop_supervised({GunRs.Server, :pages})
    refute Process.alive?(pid)
    refute Map.has_key?(:gun_rs_server.info(), :pages)
  end

  test "routes of several hosts, and TLS" do
    %{server_config: config, client_config: client} = certificates()

    start_supervised!(
      {GunRs.Server,
       name: :hosts,
       tls: Keyword.take(config, [:cert, :key]),
       routes: [{"localhost", [{"/", Hello, "here"}]}]}
    )

    {:ok, conn} =
      GunRs.open("https://localhost:#{GunRs.Server.port(:hosts)}",
        retry: 0,
        tls_opts: Keyword.take(client, [:cacerts])
      )

    assert {:ok, %{status: 200}} = GunRs.response(conn, GunRs.get(conn, "/"), 30_000)

    assert {:ok, %{status: 400}} =
             GunRs.response(conn, GunRs.get(conn, "/", %{"host" => "example.org"}), 30_000)

    GunRs.close(conn)
  end

  test "a process that is killed leaves its name to the next" do
    pid = start_supervised!({GunRs.Server, name: :killed, routes: @routes})
    Process.exit(pid, :kill)
    # The supervisor starts it again; until then the listener of the first is there.
    assert {:ok, _} = again(fn -> :gun_rs_server.get_env(:killed, GunRs.Server) end, pid)
    assert is_integer(GunRs.Server.port(:killed))
  end

  test "what cannot be started says why" do
    Process.flag(:trap_exit, true)
    start_supervised!({GunRs.Server, name: :taken, routes: @routes})

    assert {:error, {:already_started, _} = reason} =
             GunRs.Server.start_link(name: :taken, routes: @routes)

    assert GunRs.Server.format_error(reason) =~ "already"

    assert {:error, {:options, _}} =
             GunRs.Server.start_link(name: :bad, routes: @routes, websocket: [colour: 1])

    assert_raise ArgumentError, ~r/:colour/, fn -> GunRs.Server.start_link(colour: 1) end
  end

  defp again(fun, old, deadline \\ System.monotonic_time(:millisecond) + 30_000) do
    new =
      try do
        fun.()
      rescue
        _ -> old
      end

    cond do
      new != old -> {:ok, new}
      System.monotonic_time(:millisecond) > deadline -> :timeout
      true -> again(fun, old, deadline)
    end
  end

  # What public_key takes by itself is too weak for TLS.
  defp certificates do
    strong = [digest: :sha256, key: :public_key.generate_key({:rsa, 2048, 65537})]
    names = {:Extension, {2, 5, 29, 17}, false, [dNSName: ~c"localhost"]}
    chain = %{root: strong, intermediates: [], peer: strong}
    server = %{chain | peer: [{:extensions, [names]} | strong]}
    :public_key.pkix_test_data(%{server_chain: server, client_chain: chain})
  end
end

defmodule GunRsTest do
  use ExUnit.Case, async: true
  doctest GunRs
  doctest GunRs.Server

  @server :gun_rs_test_server

  defp start(script) do
    {:ok, server, port} = start_supervised({@server, script})
    {server, port}
  end

  test "keywords become maps at every depth, and lists that are options of sockets stay" do
    {server, port} = start(%{transport: :tls, scripts: [[:echo]]})

    {:ok, conn} =
      GunRs.open("localhost", port,
        transport: :tls,
        retry: 0,
        protocols: [:http],
        tls_opts: [cacerts: [@server.root(server)]],
        tcp_opts: [nodelay: true],
        http_opts: [keepalive: 10_000],
        ws_opts: [keepalive: 15_000, compress: true]
      )

    assert GunRs.await_up(conn, 30_000) == {:ok, :http}
    stream = GunRs.ws_upgrade(conn, "/", [{"x-test", "yes"}], silence_pings: false)
    assert {:upgrade, ["websocket"], _} = GunRs.await(conn, stream, 30_000)
    assert GunRs.ws_send_sync(conn, stream, [{:text, "one"}, {:binary, <<2>>}], 30_000) == :ok
    assert GunRs.await(conn, stream, 30_000) == {:ws, {:text, "one"}}
    assert GunRs.await(conn, stream, 30_000) == {:ws, {:binary, <<2>>}}
    assert [{:request, 1, %{headers: %{"x-test" => "yes"}}} | _] = @server.received(server)
    assert GunRs.shutdown(conn) == :ok
  end

  test "an option inside of a keyword is refused by name" do
    assert {:error, {:options, {:ws, {:color, :red}}} = reason} =
             GunRs.open("ws://localhost:1", ws_opts: [color: :red])

    assert GunRs.format_error(reason) =~ "color"
  end

  test "requests of every method" do
    {server, port} = start(%{scripts: [{:refuse, 200, %{"x-one" => "1"}, "Hello!"}]})
    {:ok, conn} = GunRs.open("http://localhost:#{port}", retry: 0)

    streams = [
      GunRs.get(conn, "/get"),
      GunRs.head(conn, "/head"),
      GunRs.options(conn, "/options"),
      GunRs.delete(conn, "/delete", %{"x-two" => "2"}),
      GunRs.post(conn, "/post", [], "body"),
      GunRs.put(conn, "/put", [], ["bo", "dy"]),
      GunRs.patch(conn, "/patch"),
      GunRs.request(conn, "REPORT", "/report")
    ]

    for stream <- streams do
      assert {:ok, %{status: 200, headers: headers}} = GunRs.response(conn, stream, 30_000)
      assert {"x-one", "1"} in headers
    end

    stream = GunRs.headers(conn, "POST", "/parts")
    :ok = GunRs.data(conn, stream, :nofin, "one ")
    :ok = GunRs.data(conn, stream, :fin, "two")
    assert {:ok, %{body: "Hello!", trailers: []}} = GunRs.response(conn, stream, 30_000)

    requests = for {:request, _, request} <- @server.received(server), do: request

    assert Enum.map(requests, & &1.method) ==
             ~w(GET HEAD OPTIONS DELETE POST PUT PATCH REPORT POST)

    assert Enum.map(requests, & &1.body) == ["", "", "", "", "body", "body", "", "", "one two"]
    GunRs.close(conn)
  end

  test "a response that does not come in time is an error, and leaves no message" do
    {_server, port} = start(:stall)
    {:ok, conn} = GunRs.open("localhost", port, retry: 0)
    assert {:ok, _} = GunRs.await_up(conn, 30_000)
    assert GunRs.response(conn, GunRs.get(conn, "/"), 50) == {:error, :timeout}
    GunRs.close(conn)
    assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
  end
end

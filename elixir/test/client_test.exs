defmodule GunRs.ClientTest do
  use ExUnit.Case, async: true

  @server :gun_rs_test_server

  defmodule Prices do
    use GunRs.Client, restart: :temporary

    @impl true
    def websocket_init(test), do: {[{:text, "subscribe"}], test}

    @impl true
    def websocket_handle(frame, test) do
      send(test, {:frame, frame})
      {[], test}
    end

    @impl true
    def websocket_info({:say, text}, test), do: {[{:text, text}], test}

    @impl true
    def websocket_down(reason, test) do
      send(test, {:down, reason})
      {:reconnect, test}
    end

    @impl true
    def terminate(reason, test), do: send(test, {:terminated, reason})
  end

  defmodule Silent do
    use GunRs.Client

    @impl true
    def websocket_handle(_frame, state), do: {[], state}
  end

  defp start(script) do
    {:ok, server, port} = start_supervised({@server, script})
    {server, "ws://localhost:#{port}/prices"}
  end

  test "it subscribes again when the connection is lost" do
    {server, url} =
      start(%{
        scripts: [
          [{:await, {:text, "subscribe"}}, {:send, {:text, "1"}}, :drop],
          [{:await, {:text, "subscribe"}}, {:send, {:text, "2"}}, :echo]
        ]
      })

    opts = [
      url: url,
      state: self(),
      name: __MODULE__.Reconnects,
      backoff: 10,
      open: [http_opts: [keepalive: 9000]]
    ]

    pid = start_supervised!({Prices, opts})
    assert Process.whereis(__MODULE__.Reconnects) == pid
    assert_receive {:frame, {:text, "1"}}
    assert_receive {:down, _reason}
    assert_receive {:frame, {:text, "2"}}
    send(pid, {:say, "three"})
    assert_receive {:frame, {:text, "three"}}
    assert GunRs.Client.send(pid, {:text, "four"}) == :ok
    assert_receive {:frame, {:text, "four"}}
    assert GunRs.Client.stop(pid) == :ok
    assert_receive {:terminated, :normal}
    assert {:ok, _} = @server.await(server, {:frame, 2, {:text, "four"}})

    assert {:ok, {:closed, 2, {:remote, 1000, ""}}} =
             @server.await(server, &match?({:closed, 2, _}, &1))
  end

  test "a refused upgrade ends it" do
    {_server, url} = start({:refuse, 403})
    {:ok, pid} = start_supervised({Prices, url: url, state: self()})
    monitor = Process.monitor(pid)
    assert_receive {:terminated, {:upgrade_refused, 403}}
    assert_receive {:DOWN, ^monitor, _, _, {:upgrade_refused, 403}}
  end

  test "what a module does not write is there" do
    {server, url} = start([{:send, {:text, "hi"}}, :drop])
    pid = start_supervised!({Silent, url: url, backoff: 10})
    assert {:ok, _} = @server.await(server, {:open, 2})
    send(pid, :whatever)
    assert {:ok, _} = @server.await(server, {:open, 3})
    assert Process.alive?(pid)
  end

  test "its child is as `use` says, and options are checked" do
    assert %{id: Prices, restart: :temporary} = Prices.child_spec(url: "ws://localhost")
    assert %{id: :other} = Prices.child_spec(url: "ws://localhost", name: :other)

    assert_raise ArgumentError, ~r/:colour/, fn ->
      GunRs.Client.start_link(Prices, url: "", colour: 1)
    end

    assert_raise KeyError, fn -> GunRs.Client.start_link(Prices, []) end
  end
end

# Rooms: what one says, all in the room receive, on every node of the cluster.
#
#     {:ok, _} = ChatServer.start(8080)
#
# A client opens ws://localhost:8080/room/lobby?name=ada and sends texts.
defmodule ChatServer do
  @behaviour :gun_rs_websocket

  def start(port) do
    _ = :pg.start(__MODULE__)
    dispatch = :gun_rs_router.compile([{:_, [{"/room/:room", __MODULE__, []}]}])
    transport = %{socket_opts: [port: port], max_websockets: 10_000}

    :gun_rs_server.start_clear(__MODULE__, transport, %{
      env: %{dispatch: dispatch},
      websocket: %{
        max_message_size: 4000,
        ping_interval: 30_000,
        # Whoever does not keep up loses what is new, and stays.
        slow_client: :drop_new
      }
    })
  end

  # The clients are told, by a close frame with 1001.
  def stop, do: :gun_rs_server.stop_listener(__MODULE__)

  def port, do: :gun_rs_server.get_port(__MODULE__)

  # Without a name the answer is 400.
  def init(req, _) do
    %{name: name} = :gun_rs_req.match_qs([name: :nonempty], req)
    {:gun_rs_websocket, req, {:gun_rs_req.binding(:room, req), name}}
  end

  def websocket_init({room, name} = state) do
    :ok = :pg.join(__MODULE__, room, self())
    say(room, [name, " is here."])
    {[], state}
  end

  def websocket_handle({:text, text}, {room, name} = state) do
    say(room, [name, ": ", text])
    {[], state}
  end

  def websocket_handle(_frame, state), do: {[], state}

  def websocket_info(_message, state), do: {[], state}

  def terminate(_reason, _req, {room, name}), do: say(room, [name, " has left."])
  def terminate(_reason, _req, _), do: :ok

  defp say(room, text), do: :gun_rs_server.broadcast({:pg, __MODULE__, room}, {:text, text})
end

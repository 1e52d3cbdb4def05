defmodule GunRs.Options do
  @moduledoc false

  # Those whose values gun_rs wants as maps. The others that are lists, such as tls_opts, stay lists.
  @maps [
    :cookie_opts,
    :deflate_opts,
    :http_opts,
    :http2_opts,
    :raw_opts,
    :retry_backoff,
    :reupgrade,
    :socks_opts,
    :ws_opts,
    :proxy_opts,
    :open,
    :websocket
  ]

  # Keywords as maps, those inside of them too. What is no keyword list is left for gun_rs to judge.
  @spec to_map(term()) :: term()
  def to_map(opts) when is_map(opts), do: Map.new(opts, &option/1)

  def to_map(opts) do
    if Keyword.keyword?(opts), do: opts |> Map.new() |> to_map(), else: opts
  end

  defp option({key, value}) when key in @maps, do: {key, to_map(value)}
  defp option(option), do: option
end

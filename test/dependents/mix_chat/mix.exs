# Hex is not asked for anything here, and need not be there: this knows what a requirement is, as Hex does.
unless Code.ensure_loaded?(Hex) do
  defmodule NoHex do
    @behaviour Mix.SCM

    def accepts_options(_app, opts), do: if(opts[:path] || opts[:git], do: nil, else: opts)
    def fetchable?, do: true
    def format(_opts), do: "Hex"
    def format_lock(_opts), do: nil
    def checked_out?(_opts), do: false
    def lock_status(_opts), do: :ok
    def equal?(_opts1, _opts2), do: true
    def managers(_opts), do: []
    def checkout(_opts), do: Mix.raise("Hex is not there")
    def update(_opts), do: Mix.raise("Hex is not there")
  end

  Mix.SCM.append(NoHex)
end

defmodule Chat.MixProject do
  use Mix.Project

  def project do
    [app: :chat, version: "0.1.0", deps: deps()]
  end

  def application do
    [extra_applications: [:logger]]
  end

  defp deps do
    [
      {:chat_lib, path: System.fetch_env!("CHAT_LIB")},
      {:gun, path: Path.join(System.fetch_env!("GUN_RS"), "compat/gun"), override: true}
    ]
  end
end

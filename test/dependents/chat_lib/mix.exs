defmodule ChatLib.MixProject do
  use Mix.Project

  def project do
    [app: :chat_lib, version: "1.0.0", language: :erlang, deps: [{:gun, "~> 2.1"}]]
  end

  def application do
    [extra_applications: [:gun]]
  end
end

defmodule Talker.MixProject do
  use Mix.Project

  def project do
    [app: :talker, version: "0.1.0", deps: deps()]
  end

  def application do
    [extra_applications: [:logger]]
  end

  defp deps do
    [{:gun_rs, path: System.fetch_env!("GUN_RS"), manager: :rebar3}]
  end
end

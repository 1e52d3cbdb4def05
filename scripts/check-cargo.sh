#!/bin/sh
# Stops with one sentence unless the machine has cargo, and a Rust that is new enough.
set -eu

cd "$(dirname "$0")/.."
wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

stop() {
    echo "gun_rs needs cargo (Rust $wanted or newer) to build its native library: $1, then run the command again." >&2
    exit 1
}

# Whether the version $1 is at least $2.
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t . -k 1,1n -k 2,2n | head -n 1)" = "$2" ]
}

for tool in cargo rustc; do
    command -v "$tool" >/dev/null || stop "install rustup from https://rustup.rs"
    # "rustc 1.91.0 (f8297e351 2025-10-28)", or no answer when rustup has no toolchain.
    found=$("$tool" --version 2>/dev/null | cut -d ' ' -f 2 | cut -d . -f 1,2)
    [ -n "$found" ] || stop "run 'rustup default stable', since $tool does not start"
    at_least "$found" "$wanted" || stop "run 'rustup update', since this $tool is $found"
done

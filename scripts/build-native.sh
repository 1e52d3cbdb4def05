#!/bin/sh
# Builds the native library and puts it into priv/. rebar3 runs this before it compiles, also when gun_rs is a
# dependency of another project. Cargo decides whether there is anything to build.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd -P)
sh scripts/check-cargo.sh

target=${CARGO_TARGET_DIR:-$root/target}
cargo build --release --locked --package gun_rs_bridge --target-dir "$target"

case $(uname -s) in
    Darwin) suffix=dylib ;;
    *) suffix=so ;;
esac
built=$target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}release/libgun_rs_native.$suffix
installed=priv/gun_rs_native.so

# A running VM may have the old file mapped: it must be replaced, never written into.
if ! cmp -s "$built" "$installed"; then
    mkdir -p priv
    trap 'rm -f "$installed.$$"' EXIT
    cp "$built" "$installed.$$"
    mv -f "$installed.$$" "$installed"
fi

#!/bin/sh
# Builds gun_rs and serves the chat of demo/chat, where a real browser, Chromium without a window, says a line. Fails if
# the page does not show it, or if another client does not receive it. Leaves a screenshot.
#
# usage: scripts/browser.sh [PNG]      (the file of the screenshot; _build/browser/chat.png if not given)
set -eu

cd "$(dirname "$0")/.."
dir=$PWD/_build/browser
png=${1:-$dir/chat.png}

for browser in chromium chromium-browser google-chrome ''; do
    [ -n "$browser" ] || { echo 'There is no Chromium; run: sudo apt-get install chromium' >&2; exit 1; }
    ! command -v "$browser" >/dev/null || break
done
scripts/setup.sh demo
rebar3 compile
export ERL_LIBS=$PWD/_build/default/lib

# Prints what follows $2 in the log $1, once it is there.
await() {
    waited=0
    until grep -q "$2" "$1"; do
        waited=$((waited + 1))
        [ "$waited" -le 300 ] || { cat "$1" >&2; exit 1; }
        sleep 0.1
    done
    sed -n "s/.*$2//p" "$1"
}

rm -rf "$dir"
mkdir -p "$dir"
trap 'kill $pids 2>/dev/null || true' EXIT
escript demo/chat/chat.escript 0 >"$dir/chat.log" 2>&1 &
pids=$!
# Chromium has no sandbox for root.
[ "$(id -u)" != 0 ] || set -- --no-sandbox
"$browser" --headless --remote-debugging-port=0 --user-data-dir="$dir/profile" --window-size=720,680 --no-first-run \
    --disable-gpu --disable-dev-shm-usage "$@" about:blank >"$dir/browser.log" 2>&1 &
pids="$pids $!"
chat=$(await "$dir/chat.log" 'The chat is at ')
devtools=$(await "$dir/browser.log" 'DevTools listening on ')
escript demo/chat/browser.escript "$devtools" "$chat" "$png" || { cat "$dir/chat.log" >&2; exit 1; }
echo "The screenshot is $png"

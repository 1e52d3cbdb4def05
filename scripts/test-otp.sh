#!/bin/sh
# Compiles gun_rs on another OTP than the installed one, and runs the tests that are written in Erlang there, beside the
# Cowboy of that time: see scripts/otp-root.sh.
#
# usage: scripts/test-otp.sh OTP [STEP...]      (27 or 29; the steps are those of scripts/test.sh that run Erlang, such
#                                                as eunit; none means "compile xref eunit ct compat")
#
# The native library and the test server are those of the system: only Erlang is compiled anew, into _build/on-otp27 or
# _build/on-otp29.
set -eu

cd -P "$(dirname "$0")/.."
case ${1-} in
    27 | 29) otp=$1 ;;
    *) echo "usage: make test-otp OTP=27|29" >&2; exit 1 ;;
esac
shift
[ $# -gt 0 ] || set -- compile xref eunit ct compat

scripts/setup.sh demo </dev/null
scripts/otp-root.sh "$otp" create
# Built in there, they would ask for a newer C library than the system's.
sh scripts/build-native.sh
cargo build --locked --package gun_rs_testserver

OTP_BUILD=$PWD/_build/on-otp$otp
export OTP_BUILD
# The servers need libraries that are not in there: what needs them is skipped.
for program in mosquitto etcd-server nginx tinyproxy-bin microsocks erlang-os-mon dependents; do
    mkdir -p "$OTP_BUILD/peers/$program"
done
ln -sfn /peers/lib "$OTP_BUILD/peers/lib"
exec scripts/otp-root.sh "$otp" run scripts/test.sh "$@"

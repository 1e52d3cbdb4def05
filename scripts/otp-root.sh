#!/bin/sh
# Another Erlang/OTP than the installed one, with the Cowboy and gun of its time, the tools that rebar3 and the tests
# need, and the host's Rust: the Debian that has that OTP, in _build/otp27 or _build/otp29, beside the system and never a
# part of it. It is made once. Only root may enter it.
#
#   OTP 27: Debian trixie    OTP 29: Debian sid
#
# usage: scripts/otp-root.sh OTP create
#        scripts/otp-root.sh OTP run COMMAND...    (such as erl, which finds Cowboy and gun in /peers/lib)
#
# A command runs in this folder, which has the same path in there; so have CARGO_TARGET_DIR and GUN_PATH, if set, and
# what rustup installed. OTP_BUILD, if set, names a folder that a command sees as _build.
# DEBIAN_MIRROR names a mirror to install from, if not the one that apt-get uses; without either it is debootstrap's
# own.
set -eu

cd -P "$(dirname "$0")/.."

main() {
    release=${1-}
    case $release in
        27) suite=trixie ;;
        29) suite=sid ;;
        *) usage ;;
    esac
    shift
    case ${1-} in
        create) [ $# -eq 1 ] || usage ;;
        run) [ $# -gt 1 ] || usage ;;
        *) usage ;;
    esac
    shift
    root=$PWD/_build/otp$release
    [ -d "$root" ] || scripts/setup.sh otp
    [ "$(id -u)" = 0 ] ||
        stop "Only root may make and enter the system with OTP $release; put before the command: sudo env \"PATH=\$PATH\""
    [ -d "$root" ] || create
    [ $# -eq 0 ] || enter "$@"
}

usage() {
    stop "usage: scripts/otp-root.sh 27|29 create | run COMMAND..."
}

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The folder gets its name when all is in it: an interrupted attempt is thrown away by the next.
create() {
    mirror=${DEBIAN_MIRROR:-$(system_mirror)}
    new=$root.new
    log=$root.log
    echo "Making a Debian $suite with OTP $release in $root${mirror:+, from $mirror}"
    mkdir -p _build
    rm -rf "$new"
    # What it mounts is gone when it ends, however it ends.
    unshare --mount debootstrap --variant=minbase --include="$(packages)" "$suite" "$new" ${mirror:+"$mirror"} >"$log" 2>&1 ||
        failed "debootstrap failed"
    otp=$(chroot "$new" erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
    [ "$otp" = "$release" ] || stop "Debian $suite has OTP $otp now, and no longer OTP $release."
    unpack_others >>"$log" 2>&1 || failed "The tools and the servers of the tests could not be unpacked"
    # Without the one, "localhost" is not found; without the other, gun opens no TLS connection.
    cp /etc/hosts "$new/etc/"
    mkdir -p "$new/etc/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$new/etc/ssl/certs/"
    rm -rf "$new"/var/cache/apt/* "$new"/var/lib/apt/lists/* "$log"
    mv "$new" "$root"
}

failed() {
    tail -n 20 "$log" >&2
    stop "$1; see $log"
}

# What the benchmarks need, and what scripts/setup.sh looks for before the tests.
packages() {
    printf 'erlang-base,erlang-dev,elixir,openssl,gcc,g++,libc6-dev,binutils,python3-pip,python3-websockets'
    printf ',libjs-jquery,libjs-jquery-tablesorter'
    printf ',erlang-%s' asn1 crypto dialyzer edoc eunit inets parsetools public-key runtime-tools ssl syntax-tools tools xmerl
}

# Other repositories than Debian's have other names.
system_mirror() {
    # It is apt-get that expands it.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        sed -n '\,^https*://.*/debian/*$,{p;q;}'
}

# These packages are only unpacked. An installed rabbitmq-server starts a broker; the others ask for a debugger with
# windows, and so for half a desktop. The system's apt-get knows the way to the mirror.
unpack_others() (
    mkdir -p "$new/peers/lib" && cd "$new/peers" || return
    for step in update "download erlang-common-test rebar3 rabbitmq-server"; do
        # It is one word or several.
        # shellcheck disable=SC2086
        apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$new/etc/apt/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$new/var/lib/apt/lists" \
            -o Dir::State::Status="$new/var/lib/dpkg/status" -o Dir::Cache="$new/var/cache/apt" $step || return
    done
    for package in erlang-common-test rebar3; do
        dpkg --extract "$package"_*.deb "$new" || return
    done
    dpkg --extract rabbitmq-server_*.deb rabbitmq || return
    for app in cowboy cowlib gun ranch; do
        mv rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/"$app"-[0-9]* lib/ || return
    done
    rm -rf rabbitmq ./*.deb
)

# What is mounted is seen by the command alone, and gone when it ends: nothing can be left behind, and "make clean" has
# nothing in its way.
enter() {
    # The shell in there expands them.
    # shellcheck disable=SC2016
    exec unshare --mount sh -euc '
        root=$1 project=$2
        shift 2
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        for folder in "$project" "${CARGO_TARGET_DIR:-}" "${GUN_PATH:-}" \
            "${CARGO_HOME:-$HOME/.cargo}" "${RUSTUP_HOME:-$HOME/.rustup}"; do
            [ -d "$folder" ] || continue
            folder=$(realpath "$folder")
            mkdir -p "$root$folder"
            mount --bind "$folder" "$root$folder"
        done
        [ -z "${OTP_BUILD:-}" ] || mount --bind "$OTP_BUILD" "$root$project/_build"
        exec chroot "$root" env --chdir="$project" "$@"
    ' sh "$root" "$PWD" "$@"
}

main "$@"

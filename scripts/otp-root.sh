#!/bin/sh
# Erlang/OTP 29 and gun 2.6, newer than what Debian 12 has: a Debian sid in _build/otp29, beside the system and never a
# part of it. It is made once. Only root may enter it.
#
# usage: scripts/otp29-root.sh create
#        scripts/otp29-root.sh run COMMAND...      (such as erl, which finds gun in /peers/lib)
#
# A command runs in this folder, which has the same path in there; so have CARGO_TARGET_DIR and GUN_PATH, if set.
# DEBIAN_MIRROR names a mirror to install from, if not the one that apt-get uses; without either it is debootstrap's
# own.
set -eu

cd -P "$(dirname "$0")/.."
root=$PWD/_build/otp29

main() {
    case ${1-} in
        create) [ $# -eq 1 ] || usage ;;
        run) [ $# -gt 1 ] || usage ;;
        *) usage ;;
    esac
    [ -d "$root" ] || scripts/setup.sh otp29
    [ "$(id -u)" = 0 ] ||
        stop "Only root may make and enter the system with OTP 29; put before the command: sudo env \"PATH=\$PATH\""
    [ -d "$root" ] || create
    shift
    [ $# -eq 0 ] || enter "$@"
}

usage() {
    stop "usage: scripts/otp29-root.sh create | run COMMAND..."
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
    echo "Making a Debian sid with OTP 29 in $root${mirror:+, from $mirror}"
    mkdir -p _build
    rm -rf "$new"
    # What it mounts is gone when it ends, however it ends.
    unshare --mount debootstrap --variant=minbase --include="$(packages)" sid "$new" ${mirror:+"$mirror"} >"$log" 2>&1 ||
        failed "debootstrap failed"
    otp=$(chroot "$new" erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
    [ "$otp" = 29 ] || stop "Debian sid has OTP $otp now, and no longer OTP 29."
    unpack_peers >>"$log" 2>&1 || failed "gun could not be had from Debian's package rabbitmq-server"
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

packages() {
    printf erlang-base
    printf ',erlang-%s' asn1 crypto inets public-key runtime-tools ssl syntax-tools tools
}

# Other repositories than Debian's have other names.
system_mirror() {
    # It is apt-get that expands it.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        sed -n '\,^https*://.*/debian/*$,{p;q;}'
}

# The package is only unpacked: an installed one starts a broker. The system's apt-get knows the way to the mirror.
unpack_peers() (
    mkdir -p "$new/peers/lib" && cd "$new/peers" || return
    for step in update "download rabbitmq-server"; do
        # It is one word or two.
        # shellcheck disable=SC2086
        apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$new/etc/apt/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$new/var/lib/apt/lists" \
            -o Dir::State::Status="$new/var/lib/dpkg/status" -o Dir::Cache="$new/var/cache/apt" $step || return
    done
    dpkg -x rabbitmq-server_*.deb rabbitmq || return
    for app in cowboy cowlib gun ranch; do
        mv rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/"$app"-[0-9]* lib/ || return
    done
    rm -rf rabbitmq rabbitmq-server_*.deb
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
        for folder in "$project" "${CARGO_TARGET_DIR:-}" "${GUN_PATH:-}"; do
            [ -d "$folder" ] || continue
            folder=$(realpath "$folder")
            mkdir -p "$root$folder"
            mount --bind "$folder" "$root$folder"
        done
        exec chroot "$root" env --chdir="$project" "$@"
    ' sh "$root" "$PWD" "$@"
}

main "$@"

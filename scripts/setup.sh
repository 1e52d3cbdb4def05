#!/bin/sh
# Installs what "make demo" or "make test" needs and the machine lacks, or what scripts/otp-root.sh does: with apt-get
# for root, else by telling the command. What is there already is neither installed nor downloaded again, whoever
# installed it.
#
# usage: scripts/setup.sh demo | test | otp
set -eu

cd "$(dirname "$0")/.."
peers=_build/peers

# The applications of OTP that rebar3 needs to compile, and those of the tests.
demo_apps="asn1 crypto inets parsetools public_key ssl syntax_tools tools"
test_apps="$demo_apps common_test dialyzer edoc eunit runtime_tools xmerl"

main() {
    case ${1-} in
        demo) apps=$demo_apps ;;
        test) apps=$test_apps ;;
        otp) apps= ;;
        *) stop "usage: scripts/setup.sh demo | test | otp" ;;
    esac
    sh scripts/check-cargo.sh
    missing=$(missing_packages "$1" "$apps")
    # The names are single words.
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install $missing
    if [ "$1" = test ]; then
        check_cargo_components
        have_peers || unpack_peers
        for program in mosquitto etcd-server nginx tinyproxy-bin microsocks squid dante-server nghttp2-proxy; do
            have_program "$program" || unpack_program "$program"
        done
        # The broker that carries gun and Cowboy needs it, and is started for its WebSockets.
        have_program erlang-os-mon || unpack_program erlang-os-mon
        have_program dependents || unpack_dependents
    fi
}

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null
}

# The Debian packages for what the group $1 lacks, of which $2 are the OTP applications.
missing_packages() {
    if [ "$1" = otp ]; then
        # Only root has its folder in PATH.
        have debootstrap || [ -x /usr/sbin/debootstrap ] || echo debootstrap
        [ -s /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
        return
    fi
    have erl && have escript || echo erlang-base
    for app in $(missing_apps "$2"); do
        echo "erlang-$app" | tr _ -
    done
    have rebar3 || echo rebar3
    links cc c || echo gcc libc6-dev
    if [ "$1" = test ]; then
        have mix || echo elixir
        have openssl || echo openssl
        links c++ c++ || echo g++
        python3 -m pip --version >/dev/null 2>&1 || echo python3-pip
        has_websockets python3 || has_websockets /usr/bin/python3 || echo python3-websockets
        [ -s /etc/ssl/certs/ca-certificates.crt ] || [ "$(uname -s)" != Linux ] || echo ca-certificates
        have readelf || [ "$(uname -s)" != Linux ] || echo binutils
    fi
}

missing_apps() {
    if have erl; then
        list=$(echo "$1" | tr ' ' ,)
        erl -noshell -eval "[io:format(\"~s \", [App]) || App <- [$list],
                code:where_is_file(atom_to_list(App) ++ \".app\") =:= non_existing],
            Header = filename:join(code:root_dir(), \"usr/include/erl_nif.h\"),
            filelib:is_regular(Header) orelse io:format(\"dev\"), halt()."
    else
        echo "$1 dev"
    fi
}

# Whether the Python $1 has a WebSocket client. Debian's packages are for /usr/bin/python3 alone.
has_websockets() {
    "$1" -c 'import websockets' >/dev/null 2>&1
}

# Whether the compiler $1 of the language $2 can link a program, as cargo will ask it to: a compiler without its library
# cannot.
links() {
    have "$1" || return 1
    program=$(mktemp)
    linked=no
    ! echo 'int main(void) { return 0; }' | "$1" -x "$2" -o "$program" - 2>/dev/null || linked=yes
    rm -f "$program"
    [ "$linked" = yes ]
}

install() {
    have apt-get || stop "gun_rs needs what these Debian packages hold; install it as your system does: $*"
    command="apt-get install -y --no-install-recommends $*"
    [ "$(id -u)" = 0 ] || stop "gun_rs needs some packages; run: sudo apt-get update && sudo $command"
    echo "Installing $*"
    known "$@" || apt-get update -q
    # A package list that has aged names versions that the mirror no longer has.
    install_now "$@" || { apt-get update -q && install_now "$@"; }
}

install_now() {
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null
}

# Whether the package lists have them: without lists, "apt-cache show" finds what another package only mentions.
known() {
    for package in "$@"; do
        [ -n "$(apt-cache madison "$package" 2>/dev/null)" ] || return 1
    done
}

check_cargo_components() {
    if ! cargo fmt --version || ! cargo clippy --version; then
        stop "The checks of gun_rs need rustfmt and clippy; run: rustup component add rustfmt clippy"
    fi >/dev/null 2>&1
}

# The real servers and clients of the tests, compiled, as Debian's rabbitmq-server carries them. The package is only
# unpacked: an installed one starts a broker.
have_peers() {
    for app in cowboy cowlib gun ranch; do
        set -- "$peers/lib/$app"-*/ebin/"$app.app"
        [ -f "$1" ] || return 1
    done
}

unpack_peers() {
    have apt-get || stop "The tests need Cowboy and gun in $peers/lib; unpack Debian's rabbitmq-server there."
    mkdir -p "$peers"
    have_package rabbitmq-server || download_package rabbitmq-server ||
        stop "Debian's package rabbitmq-server could not be downloaded."
    rm -rf "${peers:?}/rabbitmq" "${peers:?}/lib"
    dpkg -x "$peers"/rabbitmq-server_*.deb "$peers/rabbitmq"
    mkdir "$peers/lib"
    for app in cowboy cowlib gun ranch; do
        for found in "$peers"/rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/"$app"-[0-9]*; do
            ln -s "../${found#"$peers/"}" "$peers/lib/"
        done
    done
    have_peers || stop "Debian's package rabbitmq-server holds no cowboy, cowlib, gun and ranch as it used to."
}

# Servers of the tests: an MQTT broker that speaks WebSocket, a gRPC server, a proxy that speaks HTTP/2, and proxies that
# clients go through, by CONNECT over both versions of HTTP and by SOCKS. What is installed is started, so they are only unpacked too, with those of
# their libraries that the system lacks.
have_program() {
    [ -d "$peers/$1" ]
}

unpack_program() {
    have apt-get || stop "The tests need a program in $peers/$1; unpack Debian's $1 there."
    rm -rf "${peers:?}/$1" "$peers/$1.new"
    packages=$1 seen=' '
    while [ -n "$packages" ]; do
        for package in $packages; do
            have_package "$package" || download_package "$package" ||
                stop "Debian's package $package could not be downloaded."
            dpkg -x "$peers/${package}"_*.deb "$peers/$1.new"
            seen="$seen$package "
        done
        packages=$(missing_libraries "$packages")
    done
    mv "$peers/$1.new" "$peers/$1"
}

# Libraries that are written for the gun of today, compiled, from the rabbitmq-server of Debian sid, whatever Debian this
# is. Its lists are kept apart from those of the system. Where they can't be had, the tests of these libraries are skipped.
unpack_dependents() {
    have apt-get || stop "The tests need eetcd in $peers/dependents; unpack it there from a newer rabbitmq-server."
    new=$PWD/$peers/dependents.new
    rm -rf "$new"
    mkdir -p "$new/lists/partial" "$new/cache/archives/partial"
    echo "deb [signed-by=$(debian_keys)] $(debian_mirror) sid main" >"$new/sources.list"
    if fetch_from_sid && dpkg -x "$new"/rabbitmq-server_*.deb "$new/rabbitmq"; then
        mkdir "$new/lib"
        for app in amqp10_client amqp10_common eetcd; do
            mv "$new"/rabbitmq/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/"$app"-[0-9]* "$new/lib/" ||
                stop "Debian sid's package rabbitmq-server holds no $app as it used to."
        done
        mkdir -p "$peers/dependents" && mv "$new"/lib/* "$peers/dependents/"
    else
        echo "The libraries that use gun could not be had from Debian sid: their tests will be skipped." >&2
    fi
    rm -rf "$new"
}

# The system's apt-get knows the way to the mirror.
fetch_from_sid() (
    cd "$new" || return
    for step in update "download rabbitmq-server"; do
        # It is one word or several.
        # shellcheck disable=SC2086
        apt-get -q -o APT::Sandbox::User="$(id -un)" -o Dir::Etc::SourceList="$new/sources.list" \
            -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$new/lists" -o Dir::Cache="$new/cache" \
            -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false $step || return
    done
)

debian_mirror() {
    # It is apt-get that expands it. Other repositories than Debian's have other names; DEBIAN_MIRROR names one where there is none.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\,^https*://.*/debian/*$,{p;q;}')
    echo "${mirror:-${DEBIAN_MIRROR:-}}"
}

# The file of this name has another form in some releases.
debian_keys() {
    for keys in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        [ ! -f "$keys" ] || { echo "$keys"; return; }
    done
    stop "The tests need Debian's package debian-archive-keyring."
}

# The libraries that the packages $1 depend on, and that are neither installed nor unpacked.
missing_libraries() {
    for package in $1; do
        dpkg-deb -f "$peers/${package}"_*.deb Depends
    done | tr ',' '\n' | sed -n 's/^ *\(lib[^ (|:]*\).*/\1/p' | sort -u | while read -r library; do
        dpkg-query -W -f '${Status}' "$library" 2>/dev/null | grep -q ' installed$' && continue
        case $seen in
            *" $library "*) ;;
            *) echo "$library" ;;
        esac
    done
}

# Whether the package $1 has been downloaded.
have_package() {
    set -- "$peers/$1"_*.deb
    [ -f "$1" ]
}

download_package() {
    if ! known "$1"; then
        [ "$(id -u)" = 0 ] || stop "The tests need Debian's package lists; run: sudo apt-get update"
        apt-get update -q
    fi
    fetch_package "$1" && return
    [ "$(id -u)" = 0 ] || return 1
    apt-get update -q && fetch_package "$1"
}

# A cut download must not pass for the package. The user _apt, as which root downloads, cannot write here.
fetch_package() {
    rm -rf "$peers/download"
    mkdir -p "$peers/download"
    (cd "$peers/download" && apt-get download -q -o APT::Sandbox::User="$(id -un)" "$1") &&
        mv "$peers/download/$1"_*.deb "$peers/" &&
        rmdir "$peers/download"
}

main "$@"

//! From option maps to the engine's options. Erlang has checked them (`gun_rs_options`) and filled in every default,
//! so a map that does not fit is a fault of this project, and a `badarg`.

use std::net::IpAddr;
use std::time::Duration;

use gun_rs_engine::options::{ConnectOptions, Family, HttpVersion, TcpOptions, WsOptions};
use rustler::{Binary, Decoder, Error, NifResult, Term};

mod atoms {
    rustler::atoms! {
        any,
        authority,
        closing_timeout,
        connect_timeout,
        domain_lookup_timeout,
        family,
        host,
        http_version,
        http_1_0 = "HTTP/1.0",
        http_1_1 = "HTTP/1.1",
        inet,
        inet6,
        infinity,
        ip,
        keepalive,
        max_frame_size,
        max_message_size,
        nodelay,
        port,
        recbuf,
        send_timeout,
        silence_pings,
        sndbuf,
        subprotocols,
        tcp,
        undefined,
        ws,
    }
}

/// The options of open.
pub(crate) fn connect_options(map: Term<'_>) -> NifResult<ConnectOptions> {
    let tcp = map.map_get(atoms::tcp())?;
    Ok(ConnectOptions {
        host: text(map, atoms::host())?,
        port: get(map, atoms::port())?,
        authority: text(map, atoms::authority())?,
        connect_timeout: milliseconds(map, atoms::connect_timeout())?,
        domain_lookup_timeout: milliseconds(map, atoms::domain_lookup_timeout())?,
        tcp: TcpOptions {
            ip: unless(tcp, atoms::ip(), atoms::undefined(), |term| to_text(term)?.parse::<IpAddr>().map_err(bad))?,
            family: one_of(
                tcp,
                atoms::family(),
                &[(atoms::any(), Family::Any), (atoms::inet(), Family::Inet), (atoms::inet6(), Family::Inet6)],
            )?,
            nodelay: get(tcp, atoms::nodelay())?,
            keepalive: get(tcp, atoms::keepalive())?,
            send_buffer: unless(tcp, atoms::sndbuf(), atoms::undefined(), |term| term.decode())?,
            receive_buffer: unless(tcp, atoms::recbuf(), atoms::undefined(), |term| term.decode())?,
            send_timeout: milliseconds(tcp, atoms::send_timeout())?,
        },
        http_version: one_of(
            map,
            atoms::http_version(),
            &[(atoms::http_1_0(), HttpVersion::Http10), (atoms::http_1_1(), HttpVersion::Http11)],
        )?,
        ws: ws_options(map.map_get(atoms::ws())?)?,
    })
}

/// The options of a WebSocket.
pub(crate) fn ws_options(map: Term<'_>) -> NifResult<WsOptions> {
    Ok(WsOptions {
        closing_timeout: milliseconds(map, atoms::closing_timeout())?,
        keepalive: milliseconds(map, atoms::keepalive())?,
        max_frame_size: unless(map, atoms::max_frame_size(), atoms::infinity(), |term| term.decode())?,
        max_message_size: unless(map, atoms::max_message_size(), atoms::infinity(), |term| term.decode())?,
        silence_pings: get(map, atoms::silence_pings())?,
        subprotocols: {
            let names: Vec<Term<'_>> = get(map, atoms::subprotocols())?;
            names.into_iter().map(to_text).collect::<NifResult<_>>()?
        },
    })
}

fn get<'a, T: Decoder<'a>>(map: Term<'a>, key: rustler::Atom) -> NifResult<T> {
    map.map_get(key)?.decode()
}

fn text(map: Term<'_>, key: rustler::Atom) -> NifResult<String> {
    to_text(map.map_get(key)?)
}

fn to_text(term: Term<'_>) -> NifResult<String> {
    String::from_utf8(term.decode::<Binary<'_>>()?.to_vec()).map_err(bad)
}

/// The decoded value, or `None` for the atom that says that there is none.
fn unless<'a, T>(
    map: Term<'a>,
    key: rustler::Atom,
    none: rustler::Atom,
    decode: impl FnOnce(Term<'a>) -> NifResult<T>,
) -> NifResult<Option<T>> {
    let value = map.map_get(key)?;
    if none == value { Ok(None) } else { decode(value).map(Some) }
}

fn milliseconds(map: Term<'_>, key: rustler::Atom) -> NifResult<Option<Duration>> {
    unless(map, key, atoms::infinity(), |term| term.decode().map(Duration::from_millis))
}

fn one_of<T: Copy>(map: Term<'_>, key: rustler::Atom, values: &[(rustler::Atom, T)]) -> NifResult<T> {
    let value = map.map_get(key)?;
    values.iter().find(|(atom, _)| *atom == value).map(|(_, value)| *value).ok_or(Error::BadArg)
}

fn bad<E>(_: E) -> Error {
    Error::BadArg
}

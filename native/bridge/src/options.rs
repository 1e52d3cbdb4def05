//! From option maps to the engine's options. Erlang has checked them (`gun_rs_options`) and filled in every default,
//! so a map that does not fit is a fault of this project, and a `badarg`.

use std::net::IpAddr;
use std::time::Duration;

use gun_rs_engine::options::{ConnectOptions, Family, Flow, HttpVersion, TcpOptions, WsOptions};
use gun_rs_engine::websocket::deflate::DeflateOptions;
use rustler::{Binary, Decoder, Error, NifResult, Term};

mod atoms {
    rustler::atoms! {
        any,
        authority,
        auto,
        client_max_window_bits,
        client_no_context_takeover,
        closing_timeout,
        compress,
        connect_timeout,
        domain_lookup_timeout,
        family,
        flow,
        fragments,
        fragments_by_default,
        host,
        http_version,
        http_1_0 = "HTTP/1.0",
        http_1_1 = "HTTP/1.1",
        inet,
        inet6,
        infinity,
        ip,
        keepalive,
        keepalive_tolerance,
        level,
        max_frame_size,
        max_message_size,
        max_send_queue,
        mem_level,
        nodelay,
        port,
        recbuf,
        send_timeout,
        server_max_window_bits,
        server_no_context_takeover,
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
        ws: ws_options(map.map_get(atoms::ws())?, None)?,
    })
}

/// The options of a WebSocket; `keepalive` counts where they leave it to open's.
pub(crate) fn ws_options(map: Term<'_>, keepalive: Option<Duration>) -> NifResult<WsOptions> {
    let own_keepalive = map.map_get(atoms::keepalive())?;
    Ok(WsOptions {
        closing_timeout: milliseconds(map, atoms::closing_timeout())?,
        compress: unless(map, atoms::compress(), atoms::undefined(), deflate_options)?,
        flow: flow(map.map_get(atoms::flow())?)?,
        keepalive: if atoms::undefined() == own_keepalive { keepalive } else { milliseconds(map, atoms::keepalive())? },
        keepalive_tolerance: unless(map, atoms::keepalive_tolerance(), atoms::infinity(), |term| term.decode())?,
        max_frame_size: unless(map, atoms::max_frame_size(), atoms::infinity(), |term| term.decode())?,
        max_message_size: unless(map, atoms::max_message_size(), atoms::infinity(), |term| term.decode())?,
        max_send_queue: unless(map, atoms::max_send_queue(), atoms::infinity(), |term| term.decode())?,
        silence_pings: get(map, atoms::silence_pings())?,
        subprotocols: texts(map, atoms::subprotocols())?,
        fragments: texts(map, atoms::fragments())?,
        fragments_by_default: get(map, atoms::fragments_by_default())?,
    })
}

fn deflate_options(map: Term<'_>) -> NifResult<DeflateOptions> {
    let bits = |key| unless(map, key, atoms::undefined(), |term| term.decode());
    Ok(DeflateOptions {
        server_no_context_takeover: get(map, atoms::server_no_context_takeover())?,
        client_no_context_takeover: get(map, atoms::client_no_context_takeover())?,
        server_max_window_bits: bits(atoms::server_max_window_bits())?,
        client_max_window_bits: bits(atoms::client_max_window_bits())?,
        level: get(map, atoms::level())?,
        mem_level: get(map, atoms::mem_level())?,
    })
}

fn flow(value: Term<'_>) -> NifResult<Flow> {
    if atoms::infinity() == value {
        Ok(Flow::Unlimited)
    } else if atoms::auto() == value {
        Ok(Flow::Auto)
    } else {
        value.decode().map(Flow::Messages)
    }
}

fn texts(map: Term<'_>, key: rustler::Atom) -> NifResult<Vec<String>> {
    let texts: Vec<Term<'_>> = get(map, key)?;
    texts.into_iter().map(to_text).collect()
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

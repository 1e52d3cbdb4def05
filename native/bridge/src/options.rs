//! From option maps to the engine's options. Erlang has checked them (`gun_rs_options`) and filled in every default,
//! so a map that does not fit is a fault of this project, and a `badarg`.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use gun_rs_engine::options::{
    ConnectOptions, Endpoint, Family, Flow, HttpOptions, HttpVersion, ReupgradeOptions, Steps, TcpOptions, WsOptions,
};
use gun_rs_engine::websocket::deflate::DeflateOptions;
use rustler::{Atom, Binary, Decoder, Error, NifResult, Term};

use crate::messages::Dialect;

mod atoms {
    rustler::atoms! {
        any,
        authority,
        auto,
        bind_to_device,
        client_max_window_bits,
        client_no_context_takeover,
        closing_timeout,
        compress,
        connect_timeout,
        dialect,
        domain_lookup_timeout,
        endpoint,
        family,
        flow,
        fragments,
        fragments_by_default,
        gun_0,
        gun_1,
        gun_1_pre,
        gun_2,
        http,
        http_1_0 = "HTTP/1.0",
        http_1_1 = "HTTP/1.1",
        inet,
        inet6,
        infinity,
        ip,
        ipv6_v6only,
        keepalive,
        keepalive_tolerance,
        keepcnt,
        keepidle,
        keepintvl,
        level,
        linger,
        max_frame_size,
        max_header_block_size,
        max_headers,
        max_informs,
        max_message_size,
        max_retry_after,
        max_send_queue,
        max_trailer_block_size,
        mem_level,
        nodelay,
        not_offered,
        priority,
        queue,
        quickack,
        reconnects,
        recbuf,
        retry_statuses,
        reupgrade,
        reuseaddr,
        reuseport,
        send_timeout,
        server_max_window_bits,
        server_no_context_takeover,
        silence_pings,
        sndbuf,
        subprotocols,
        tclass,
        tcp,
        title_case_headers,
        tls_handshake_timeout,
        tos,
        ttl,
        undefined,
        unix,
        upgrade_timeout,
        user_timeout,
        version,
        ws,
    }
}

/// The options of open.
pub(crate) fn connect_options(map: Term<'_>) -> NifResult<ConnectOptions> {
    let tcp = map.map_get(atoms::tcp())?;
    Ok(ConnectOptions {
        endpoint: endpoint(map.map_get(atoms::endpoint())?)?,
        authority: text(map, atoms::authority())?,
        connect_timeout: milliseconds(map, atoms::connect_timeout())?,
        domain_lookup_timeout: milliseconds(map, atoms::domain_lookup_timeout())?,
        tls_handshake_timeout: milliseconds(map, atoms::tls_handshake_timeout())?,
        observed: Steps::NONE,
        reconnects: get(map, atoms::reconnects())?,
        tcp: TcpOptions {
            ip: unless(tcp, atoms::ip(), atoms::undefined(), |term| to_text(term)?.parse::<IpAddr>().map_err(bad))?,
            family: one_of(
                tcp,
                atoms::family(),
                &[(atoms::any(), Family::Any), (atoms::inet(), Family::Inet), (atoms::inet6(), Family::Inet6)],
            )?,
            nodelay: get(tcp, atoms::nodelay())?,
            keepalive: get(tcp, atoms::keepalive())?,
            keepalive_probes: (
                defined(tcp, atoms::keepidle())?,
                defined(tcp, atoms::keepintvl())?,
                defined(tcp, atoms::keepcnt())?,
            ),
            reuse_address: get(tcp, atoms::reuseaddr())?,
            reuse_port: get(tcp, atoms::reuseport())?,
            reset_on_close: defined(tcp, atoms::linger())?,
            priority: defined(tcp, atoms::priority())?,
            tos: defined(tcp, atoms::tos())?,
            traffic_class: defined(tcp, atoms::tclass())?,
            ttl: defined(tcp, atoms::ttl())?,
            only_v6: defined(tcp, atoms::ipv6_v6only())?,
            device: defined(tcp, atoms::bind_to_device())?.map(|name: Binary<'_>| name.to_vec()),
            user_timeout: defined(tcp, atoms::user_timeout())?.map(Duration::from_millis),
            quick_ack: defined(tcp, atoms::quickack())?,
            send_buffer: defined(tcp, atoms::sndbuf())?,
            receive_buffer: defined(tcp, atoms::recbuf())?,
            send_timeout: milliseconds(tcp, atoms::send_timeout())?,
        },
        http: http_options(map.map_get(atoms::http())?)?,
        ws: ws_options(map.map_get(atoms::ws())?, None)?,
    })
}

/// Which gun's messages are sent.
pub(crate) fn dialect(map: Term<'_>) -> NifResult<Dialect> {
    one_of(map, atoms::dialect(), &DIALECTS.map(|dialect| (dialect_name(dialect), dialect)))
}

const DIALECTS: [Dialect; 4] = [Dialect::Gun2, Dialect::Gun1, Dialect::Gun1Pre, Dialect::Gun0];

pub(crate) fn dialect_name(dialect: Dialect) -> Atom {
    match dialect {
        Dialect::Gun2 => atoms::gun_2(),
        Dialect::Gun1 => atoms::gun_1(),
        Dialect::Gun1Pre => atoms::gun_1_pre(),
        Dialect::Gun0 => atoms::gun_0(),
    }
}

/// `{tcp, Host, Port}` or `{unix, Path}`.
fn endpoint(term: Term<'_>) -> NifResult<Endpoint> {
    if let Ok((kind, host, port)) = term.decode::<(Atom, Term<'_>, u16)>() {
        return if atoms::tcp() == kind {
            Ok(Endpoint::Tcp { host: to_text(host)?, port })
        } else {
            Err(Error::BadArg)
        };
    }
    let (kind, path): (Atom, Binary<'_>) = term.decode()?;
    let path = OsStr::from_bytes(path.as_slice());
    if atoms::unix() == kind { Ok(Endpoint::Unix(path.into())) } else { Err(Error::BadArg) }
}

fn http_options(map: Term<'_>) -> NifResult<HttpOptions> {
    let size = |key| Ok(unless(map, key, atoms::infinity(), |term| term.decode())?.unwrap_or(usize::MAX));
    Ok(HttpOptions {
        version: one_of(
            map,
            atoms::version(),
            &[(atoms::http_1_0(), HttpVersion::Http10), (atoms::http_1_1(), HttpVersion::Http11)],
        )?,
        closing_timeout: milliseconds(map, atoms::closing_timeout())?,
        keepalive: milliseconds(map, atoms::keepalive())?,
        max_header_block_size: size(atoms::max_header_block_size())?,
        max_headers: get(map, atoms::max_headers())?,
        max_trailer_block_size: size(atoms::max_trailer_block_size())?,
        max_send_queue: unless(map, atoms::max_send_queue(), atoms::infinity(), |term| term.decode())?,
        max_informs: unless(map, atoms::max_informs(), atoms::infinity(), |term| term.decode())?.unwrap_or(u32::MAX),
        title_case_headers: get(map, atoms::title_case_headers())?,
    })
}

/// The flow of requests that have none of their own.
pub(crate) fn http_flow(map: Term<'_>) -> NifResult<Flow> {
    flow(map.map_get(atoms::flow())?)
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
        reupgrade: unless(map, atoms::reupgrade(), atoms::undefined(), reupgrade_options)?,
        upgrade_timeout: milliseconds(map, atoms::upgrade_timeout())?,
        silence_pings: get(map, atoms::silence_pings())?,
        subprotocols: texts(map, atoms::subprotocols())?,
        fragments: texts(map, atoms::fragments())?,
        fragments_by_default: get(map, atoms::fragments_by_default())?,
    })
}

fn reupgrade_options(map: Term<'_>) -> NifResult<ReupgradeOptions> {
    Ok(ReupgradeOptions {
        queue: get(map, atoms::queue())?,
        retry_statuses: get(map, atoms::retry_statuses())?,
        max_retry_after: milliseconds(map, atoms::max_retry_after())?.unwrap_or(Duration::MAX),
    })
}

fn deflate_options(map: Term<'_>) -> NifResult<DeflateOptions> {
    let bits = |key| unless(map, key, atoms::undefined(), |term| term.decode());
    let offers_client_window = atoms::not_offered() != map.map_get(atoms::client_max_window_bits())?;
    Ok(DeflateOptions {
        server_no_context_takeover: get(map, atoms::server_no_context_takeover())?,
        client_no_context_takeover: get(map, atoms::client_no_context_takeover())?,
        server_max_window_bits: bits(atoms::server_max_window_bits())?,
        client_max_window_bits: if offers_client_window { bits(atoms::client_max_window_bits())? } else { None },
        offers_client_window,
        level: get(map, atoms::level())?,
        mem_level: get(map, atoms::mem_level())?,
    })
}

/// How many messages of a WebSocket, or parts of a response's body, may be received.
pub(crate) fn flow(value: Term<'_>) -> NifResult<Flow> {
    if atoms::infinity() == value {
        Ok(Flow::Unlimited)
    } else if atoms::auto() == value {
        Ok(Flow::Auto)
    } else {
        value.decode().map(Flow::Messages)
    }
}

fn texts(map: Term<'_>, key: Atom) -> NifResult<Vec<String>> {
    let texts: Vec<Term<'_>> = get(map, key)?;
    texts.into_iter().map(to_text).collect()
}

pub(crate) fn get<'a, T: Decoder<'a>>(map: Term<'a>, key: Atom) -> NifResult<T> {
    map.map_get(key)?.decode()
}

fn text(map: Term<'_>, key: Atom) -> NifResult<String> {
    to_text(map.map_get(key)?)
}

pub(crate) fn to_text(term: Term<'_>) -> NifResult<String> {
    String::from_utf8(term.decode::<Binary<'_>>()?.to_vec()).map_err(bad)
}

/// The decoded value, or `None` for the atom that says that there is none.
fn unless<'a, T>(
    map: Term<'a>,
    key: Atom,
    none: Atom,
    decode: impl FnOnce(Term<'a>) -> NifResult<T>,
) -> NifResult<Option<T>> {
    let value = map.map_get(key)?;
    if none == value { Ok(None) } else { decode(value).map(Some) }
}

fn defined<'a, T: Decoder<'a>>(map: Term<'a>, key: Atom) -> NifResult<Option<T>> {
    unless(map, key, atoms::undefined(), |term| term.decode())
}

fn milliseconds(map: Term<'_>, key: Atom) -> NifResult<Option<Duration>> {
    timeout(map.map_get(key)?)
}

/// Milliseconds, or `infinity`.
pub(crate) fn timeout(value: Term<'_>) -> NifResult<Option<Duration>> {
    if atoms::infinity() == value { Ok(None) } else { value.decode().map(Duration::from_millis).map(Some) }
}

pub(crate) fn one_of<T: Copy>(map: Term<'_>, key: Atom, values: &[(Atom, T)]) -> NifResult<T> {
    let value = map.map_get(key)?;
    values.iter().find(|(atom, _)| *atom == value).map(|(_, value)| *value).ok_or(Error::BadArg)
}

fn bad<E>(_: E) -> Error {
    Error::BadArg
}

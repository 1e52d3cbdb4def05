//! The options of open.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use gun_rs_engine::options::{ConnectOptions, Endpoint, Family, Flow, HttpOptions, HttpVersion, Steps, TcpOptions};

use super::{
    Result, binary, defined, elements, flag, flag_of, flow, limit, number, number_of, one_of, text, timeout_of, value,
    ws_options,
};
use crate::dialect::Dialect;
use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

/// The options of open.
pub struct OpenOptions {
    /// For the engine.
    pub connect: ConnectOptions,
    /// Which gun's messages are sent.
    pub dialect: Dialect,
    /// The flow of requests that have none of their own.
    pub http_flow: Flow,
    /// Whether everything goes through the process behind ConnPid, which runs modules of the user's on it.
    pub processed: bool,
}

/// Reads the options of open.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn open_options<T: ReadTerm>(map: &T) -> Result<OpenOptions> {
    let http = value(map, Name::Http)?;
    Ok(OpenOptions {
        dialect: one_of(&value(map, Name::Dialect)?, &Dialect::ALL.map(|dialect| (dialect.name(), dialect)))?,
        http_flow: flow(&value(&http, Name::Flow)?)?,
        processed: flag_of(map, Name::Processed)?,
        connect: ConnectOptions {
            endpoint: endpoint(&value(map, Name::Endpoint)?)?,
            authority: text(&value(map, Name::Authority)?)?,
            connect_timeout: timeout_of(map, Name::ConnectTimeout)?,
            domain_lookup_timeout: timeout_of(map, Name::DomainLookupTimeout)?,
            tls_handshake_timeout: timeout_of(map, Name::TlsHandshakeTimeout)?,
            observed: Steps::NONE,
            reconnects: flag_of(map, Name::Reconnects)?,
            tcp: tcp_options(&value(map, Name::Tcp)?)?,
            http: http_options(&http)?,
            ws: ws_options(&value(map, Name::Ws)?, None)?,
        },
    })
}

/// `{tcp, Host, Port}` or `{unix, Path}`.
fn endpoint<T: ReadTerm>(term: &T) -> Result<Endpoint> {
    if let Ok([kind, host, port]) = elements(term) {
        return if kind.is(Name::Tcp) {
            Ok(Endpoint::Tcp { host: text(&host)?, port: number(&port)? })
        } else {
            Err(InvalidTerm)
        };
    }
    let [kind, path] = elements(term)?;
    let path = binary(&path)?;
    if kind.is(Name::Unix) { Ok(Endpoint::Unix(OsStr::from_bytes(&path).into())) } else { Err(InvalidTerm) }
}

fn tcp_options<T: ReadTerm>(map: &T) -> Result<TcpOptions> {
    let families = [(Name::Any, Family::Any), (Name::Inet, Family::Inet), (Name::Inet6, Family::Inet6)];
    Ok(TcpOptions {
        ip: defined(map, Name::Ip, |term| text(term)?.parse::<IpAddr>().map_err(|_| InvalidTerm))?,
        family: one_of(&value(map, Name::Family)?, &families)?,
        nodelay: flag_of(map, Name::Nodelay)?,
        keepalive: flag_of(map, Name::Keepalive)?,
        keepalive_probes: (
            defined(map, Name::Keepidle, number)?,
            defined(map, Name::Keepintvl, number)?,
            defined(map, Name::Keepcnt, number)?,
        ),
        reuse_address: flag_of(map, Name::Reuseaddr)?,
        reuse_port: flag_of(map, Name::Reuseport)?,
        reset_on_close: defined(map, Name::Linger, flag)?,
        priority: defined(map, Name::Priority, number)?,
        tos: defined(map, Name::Tos, number)?,
        traffic_class: defined(map, Name::Tclass, number)?,
        ttl: defined(map, Name::Ttl, number)?,
        only_v6: defined(map, Name::Ipv6V6only, flag)?,
        device: defined(map, Name::BindToDevice, binary)?,
        user_timeout: defined(map, Name::UserTimeout, number)?.map(Duration::from_millis),
        quick_ack: defined(map, Name::Quickack, flag)?,
        send_buffer: defined(map, Name::Sndbuf, number)?,
        receive_buffer: defined(map, Name::Recbuf, number)?,
        send_timeout: timeout_of(map, Name::SendTimeout)?,
    })
}

fn http_options<T: ReadTerm>(map: &T) -> Result<HttpOptions> {
    let versions = [(Name::Http10, HttpVersion::Http10), (Name::Http11, HttpVersion::Http11)];
    Ok(HttpOptions {
        version: one_of(&value(map, Name::Version)?, &versions)?,
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        keepalive: timeout_of(map, Name::Keepalive)?,
        max_header_block_size: limit(map, Name::MaxHeaderBlockSize)?.unwrap_or(usize::MAX),
        max_headers: number_of(map, Name::MaxHeaders)?,
        max_trailer_block_size: limit(map, Name::MaxTrailerBlockSize)?.unwrap_or(usize::MAX),
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        max_informs: limit(map, Name::MaxInforms)?.unwrap_or(u32::MAX),
        title_case_headers: flag_of(map, Name::TitleCaseHeaders)?,
    })
}

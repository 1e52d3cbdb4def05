//! The options of open.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use gun_rs_engine::options::{
    ConnectOptions, Endpoint, Family, First, HttpOptions, HttpVersion, RawOptions, Steps, TcpOptions,
};

use super::http2::http2_options;
use super::{
    Result, binary, defined, each, elements, flag, flag_of, flow, limit, number, number_of, one_of, text, timeout_of,
    value, ws_options,
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
    /// Whether everything goes through the process behind ConnPid, which runs modules of the user's on it.
    pub processed: bool,
}

/// Reads the options of open.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn open_options<T: ReadTerm>(map: &T) -> Result<OpenOptions> {
    Ok(OpenOptions {
        dialect: one_of(&value(map, Name::Dialect)?, &Dialect::ALL.map(|dialect| (dialect.name(), dialect)))?,
        processed: flag_of(map, Name::Processed)?,
        connect: ConnectOptions {
            endpoint: endpoint(&value(map, Name::Endpoint)?)?,
            authority: text(&value(map, Name::Authority)?)?,
            connect_timeout: timeout_of(map, Name::ConnectTimeout)?,
            domain_lookup_timeout: timeout_of(map, Name::DomainLookupTimeout)?,
            tls_handshake_timeout: timeout_of(map, Name::TlsHandshakeTimeout)?,
            observed: steps(&value(map, Name::Observed)?)?,
            first: one_of(&value(map, Name::First)?, &[(Name::Http, First::Http), (Name::Raw, First::Raw)])?,
            reconnects: flag_of(map, Name::Reconnects)?,
            tcp: tcp_options(&value(map, Name::Tcp)?)?,
            http1: flag_of(map, Name::Http1)?,
            http: http_options(&value(map, Name::Http)?)?,
            http2: defined(map, Name::Http2, http2_options)?.map(Arc::new),
            http2_inside: Arc::new(http2_options(&value(map, Name::Http2Inside)?)?),
            ws: ws_options(&value(map, Name::Ws)?, None)?,
            raw: raw_options(&value(map, Name::RawOpts)?)?,
        },
    })
}

/// The names of steps, in a list.
fn steps<T: ReadTerm>(list: &T) -> Result<Steps> {
    let steps = each(list, |name| one_of(name, &STEPS))?;
    Ok(steps.into_iter().fold(Steps::NONE, Steps::with))
}

/// Every step, by gun's name for it.
const STEPS: [(Name, Steps); 27] = [
    (Name::DomainLookupStart, Steps::DOMAIN_LOOKUP_START),
    (Name::DomainLookupEnd, Steps::DOMAIN_LOOKUP_END),
    (Name::ConnectStart, Steps::CONNECT_START),
    (Name::ConnectEnd, Steps::CONNECT_END),
    (Name::TlsHandshakeStart, Steps::TLS_HANDSHAKE_START),
    (Name::TlsHandshakeEnd, Steps::TLS_HANDSHAKE_END),
    (Name::RequestStart, Steps::REQUEST_START),
    (Name::RequestHeaders, Steps::REQUEST_HEADERS),
    (Name::RequestEnd, Steps::REQUEST_END),
    (Name::PushPromiseStart, Steps::PUSH_PROMISE_START),
    (Name::PushPromiseEnd, Steps::PUSH_PROMISE_END),
    (Name::ResponseStart, Steps::RESPONSE_START),
    (Name::ResponseInform, Steps::RESPONSE_INFORM),
    (Name::ResponseHeaders, Steps::RESPONSE_HEADERS),
    (Name::ResponseTrailers, Steps::RESPONSE_TRAILERS),
    (Name::ResponseEnd, Steps::RESPONSE_END),
    (Name::WsUpgrade, Steps::WS_UPGRADE),
    (Name::WsRecvFrameStart, Steps::WS_RECV_FRAME_START),
    (Name::WsRecvFrameHeader, Steps::WS_RECV_FRAME_HEADER),
    (Name::WsRecvFrameEnd, Steps::WS_RECV_FRAME_END),
    (Name::WsSendFrameStart, Steps::WS_SEND_FRAME_START),
    (Name::WsSendFrameEnd, Steps::WS_SEND_FRAME_END),
    (Name::ProtocolChanged, Steps::PROTOCOL_CHANGED),
    (Name::OriginChanged, Steps::ORIGIN_CHANGED),
    (Name::Cancel, Steps::CANCEL),
    (Name::StreamError, Steps::STREAM_ERROR),
    (Name::WsEnd, Steps::WS_END),
];

/// `{tcp, Host, Port}` or `{unix, Path}`.
pub(super) fn endpoint<T: ReadTerm>(term: &T) -> Result<Endpoint> {
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

pub(super) fn tcp_options<T: ReadTerm>(map: &T) -> Result<TcpOptions> {
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

pub(super) fn http_options<T: ReadTerm>(map: &T) -> Result<HttpOptions> {
    let versions = [(Name::Http10, HttpVersion::Http10), (Name::Http11, HttpVersion::Http11)];
    Ok(HttpOptions {
        version: one_of(&value(map, Name::Version)?, &versions)?,
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        flow: flow(&value(map, Name::Flow)?)?,
        keepalive: timeout_of(map, Name::Keepalive)?,
        max_header_block_size: limit(map, Name::MaxHeaderBlockSize)?.unwrap_or(usize::MAX),
        max_headers: number_of(map, Name::MaxHeaders)?,
        max_trailer_block_size: limit(map, Name::MaxTrailerBlockSize)?.unwrap_or(usize::MAX),
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        max_informs: limit(map, Name::MaxInforms)?.unwrap_or(u32::MAX),
        pipeline: limit(map, Name::Pipeline)?,
        title_case_headers: flag_of(map, Name::TitleCaseHeaders)?,
    })
}

pub(super) fn raw_options<T: ReadTerm>(map: &T) -> Result<RawOptions> {
    Ok(RawOptions { flow: flow(&value(map, Name::Flow)?)?, max_send_queue: limit(map, Name::MaxSendQueue)? })
}

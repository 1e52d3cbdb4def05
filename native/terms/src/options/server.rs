//! The options of a listener, and of what its connections are served by.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gun_rs_engine::Sink;
use gun_rs_engine::command::Tune;
use gun_rs_engine::options::{Address, Endpoint, Flow, ServeOptions, WsOptions};
use gun_rs_engine::server::ListenOptions;

use super::connect::{endpoint, tcp_options};
use super::websocket::deflate_options;
use super::{Result, defined, flag, limit, number_of, timeout, timeout_of, value};
use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

/// Reads the options of a listener.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn listen_options<T: ReadTerm>(map: &T) -> Result<ListenOptions> {
    let tcp = tcp_options(&value(map, Name::Tcp)?)?;
    let address = match endpoint(&value(map, Name::Address)?)? {
        Endpoint::Tcp { host, port } => {
            Address::Tcp(SocketAddr::new(host.parse::<IpAddr>().map_err(|_| InvalidTerm)?, port))
        }
        Endpoint::Unix(path) => Address::Unix(path),
    };
    Ok(ListenOptions {
        address,
        backlog: number_of(map, Name::Backlog)?,
        reuse_address: true,
        reuse_port: tcp.reuse_port,
        only_v6: tcp.only_v6,
        handshake_timeout: timeout_of(map, Name::HandshakeTimeout)?,
        max_connections: limit(map, Name::MaxConnections)?,
        max_per_address: limit(map, Name::MaxPerAddress)?,
        serve: serve_options(&value(map, Name::Serve)?)?,
        tcp,
    })
}

/// Reads what the connections of a listener are served by.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn serve_options<T: ReadTerm>(map: &T) -> Result<ServeOptions> {
    Ok(ServeOptions {
        request_timeout: timeout_of(map, Name::RequestTimeout)?,
        idle_timeout: timeout_of(map, Name::IdleTimeout)?,
        max_request_line: number_of(map, Name::MaxRequestLine)?,
        max_head_size: number_of(map, Name::MaxHeadSize)?,
        head_too_large: number_of(map, Name::HeadTooLarge)?,
        max_headers: number_of(map, Name::MaxHeaders)?,
        max_header_name: number_of(map, Name::MaxHeaderName)?,
        max_header_value: number_of(map, Name::MaxHeaderValue)?,
        max_keepalive: limit(map, Name::MaxKeepalive)?,
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        send_timeout: timeout_of(map, Name::SendTimeout)?,
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        linger_timeout: timeout_of(map, Name::LingerTimeout)?.unwrap_or(Duration::MAX),
    })
}

/// Reads the options of a WebSocket of a server's.
///
/// # Errors
/// [`InvalidTerm`] where an option is missing or has another type.
pub fn served_ws_options<T: ReadTerm>(map: &T) -> Result<WsOptions> {
    Ok(WsOptions {
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        compress: defined(map, Name::Compress, deflate_options)?,
        flow: Flow::Auto,
        // It is a client's.
        http1_fallback: false,
        idle_timeout: timeout_of(map, Name::IdleTimeout)?,
        keepalive: timeout_of(map, Name::Keepalive)?,
        keepalive_tolerance: limit(map, Name::KeepaliveTolerance)?,
        linger: false,
        max_frame_size: limit(map, Name::MaxFrameSize)?,
        max_message_size: limit(map, Name::MaxMessageSize)?,
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        reupgrade: None,
        upgrade_timeout: None,
        silence_pings: false,
        subprotocols: Vec::new(),
        fragments: Vec::new(),
        fragments_by_default: false,
    })
}

/// Reads what is changed of a WebSocket that is open.
///
/// # Errors
/// [`InvalidTerm`] where a value has another type.
pub fn tune<T: ReadTerm, K: Sink>(map: &T) -> Result<Tune<K>> {
    let max_frame_size = match map.get(Name::MaxFrameSize) {
        Some(_) => Some(limit(map, Name::MaxFrameSize)?),
        None => None,
    };
    Ok(Tune {
        stream: None,
        active: map.get(Name::Active).as_ref().map(flag).transpose()?,
        deflate: map.get(Name::Deflate).as_ref().map(flag).transpose()?,
        idle_timeout: map.get(Name::IdleTimeout).as_ref().map(timeout).transpose()?,
        max_frame_size,
        // In Cowboy it is that of a message, too.
        max_message_size: max_frame_size,
    })
}

//! What can be set. The values arrive checked; nothing here has a default of its own but where a test needs one.

use std::net::IpAddr;
use std::time::Duration;

use crate::websocket::deflate::DeflateOptions;

/// How to reach a server. Every duration that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// A name, or an address in its usual notation.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The value of the host header: the port left out where it is the scheme's own.
    pub authority: String,
    /// The longest time that all attempts at all addresses may take together.
    pub connect_timeout: Option<Duration>,
    /// The longest time that the name's resolution may take.
    pub domain_lookup_timeout: Option<Duration>,
    /// Options of the socket.
    pub tcp: TcpOptions,
    /// The version that requests are sent with.
    pub http_version: HttpVersion,
    /// For upgrades that bring no options of their own.
    pub ws: WsOptions,
}

/// Options of a TCP socket.
#[derive(Debug, Clone, Default)]
pub struct TcpOptions {
    /// The local address to bind.
    pub ip: Option<IpAddr>,
    /// The one family of addresses to use.
    pub family: Family,
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// `SO_KEEPALIVE`.
    pub keepalive: bool,
    /// `SO_SNDBUF` in bytes.
    pub send_buffer: Option<u32>,
    /// `SO_RCVBUF` in bytes.
    pub receive_buffer: Option<u32>,
    /// How long the peer may take nothing of what there is to send, before the connection counts as lost.
    pub send_timeout: Option<Duration>,
}

/// Which addresses of a host may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv6 and IPv4.
    #[default]
    Any,
    /// IPv4 alone.
    Inet,
    /// IPv6 alone.
    Inet6,
}

/// The version of HTTP that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0, which has no upgrade.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How one WebSocket session behaves.
#[derive(Debug, Clone)]
pub struct WsOptions {
    /// How long a close may wait for the peer's close frame; `None` is unlimited.
    pub closing_timeout: Option<Duration>,
    /// permessage-deflate, if it is to be offered.
    pub compress: Option<DeflateOptions>,
    /// How much is received before the receiver must ask for more.
    pub flow: Flow,
    /// How often a ping is sent.
    pub keepalive: Option<Duration>,
    /// How many pings may be unanswered when the next one is due; `None` is unlimited.
    pub keepalive_tolerance: Option<u32>,
    /// The most bytes of one frame's payload; `None` is unlimited.
    pub max_frame_size: Option<u64>,
    /// The most bytes of one message, after decompression; `None` is unlimited.
    pub max_message_size: Option<u64>,
    /// The most bytes that may wait to be sent; `None` is unlimited.
    pub max_send_queue: Option<usize>,
    /// Whether pings and pongs are kept from the user.
    pub silence_pings: bool,
    /// The subprotocols to offer, in order of preference.
    pub subprotocols: Vec<String>,
    /// Those among them whose messages are told frame by frame ([`crate::Message::Fragment`]).
    pub fragments: Vec<String>,
    /// Whether they are told frame by frame when the server has chosen no subprotocol.
    pub fragments_by_default: bool,
}

impl WsOptions {
    /// Whether messages are told frame by frame, now that the server has chosen this subprotocol or none.
    #[must_use]
    pub fn tells_fragments(&self, subprotocol: Option<&str>) -> bool {
        match subprotocol {
            None => self.fragments_by_default,
            Some(chosen) => self.fragments.iter().any(|name| name == chosen),
        }
    }
}

/// How much is received before the receiver must ask for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Unlimited,
    /// So many messages, until [`crate::Command::UpdateFlow`] raises the number. The messages of one read are told
    /// together, so the number may fall below zero.
    Messages(i64),
    /// As much as the receiver keeps up with: [`crate::Event::FlowCheck`] asks, [`crate::Command::FlowGrant`] answers.
    Auto,
}

impl Default for WsOptions {
    fn default() -> Self {
        Self {
            closing_timeout: Some(Duration::from_secs(15)),
            compress: None,
            flow: Flow::Unlimited,
            keepalive: None,
            keepalive_tolerance: None,
            max_frame_size: None,
            max_message_size: Some(64 << 20),
            max_send_queue: None,
            silence_pings: true,
            subprotocols: Vec::new(),
            fragments: Vec::new(),
            fragments_by_default: false,
        }
    }
}

//! What can be set. The values arrive checked; nothing here has a default of its own but where a test needs one.

mod steps;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::steps::Steps;

/// How to reach a server. Every duration that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where the server is.
    pub endpoint: Endpoint,
    /// The value of the host header: the port left out where it is the scheme's own.
    pub authority: String,
    /// The longest time that all attempts at all addresses may take together.
    pub connect_timeout: Option<Duration>,
    /// The longest time that the name's resolution may take.
    pub domain_lookup_timeout: Option<Duration>,
    /// The longest time that a TLS handshake may take.
    pub tls_handshake_timeout: Option<Duration>,
    /// The steps that the sink is given ([`crate::Sink::step`]).
    pub observed: Steps,
    /// Whether a connection may follow one that is lost: requests that come while a connection ends then wait for the next.
    pub reconnects: bool,
    /// Options of the socket.
    pub tcp: TcpOptions,
    /// What is spoken at first.
    pub first: First,
    /// Whether HTTP/1.x may be spoken.
    pub http1: bool,
    /// How HTTP/1.x is spoken.
    pub http: HttpOptions,
    /// How HTTP/2 is spoken, where it may be: where TLS has chosen it (ALPN), or where HTTP/1.x may not be spoken and TLS
    /// has chosen nothing. Connections share them.
    pub http2: Option<Arc<Http2Options>>,
    /// How it is spoken at the end of a tunnel, where nothing else is said.
    pub http2_inside: Arc<Http2Options>,
    /// For upgrades that bring no options of their own.
    pub ws: WsOptions,
    /// How bytes are carried as they are.
    pub raw: RawOptions,
}

/// What is spoken on the byte stream of a connection at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// HTTP, of the version that TLS and the options choose.
    Http,
    /// Nothing: bytes are carried as they are.
    Raw,
    /// HTTP at the end of a tunnel, which the endpoint cannot be dialled for.
    Inside,
}

/// How bytes are carried as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawOptions {
    /// How many reads may be reported before the receiver must ask for more.
    pub flow: Flow,
    /// The most bytes that may wait to be sent, with what each command counts for beside them
    /// ([`crate::command::COMMAND`]); `None` is unlimited.
    pub max_send_queue: Option<usize>,
}

impl Default for RawOptions {
    fn default() -> Self {
        Self { flow: Flow::Unlimited, max_send_queue: None }
    }
}

/// Where a server is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// At a host and a port.
    Tcp {
        /// A name, or an address in its usual notation.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a Unix domain socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The host that a server there is asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(_) => "localhost",
        }
    }
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
    /// When `SO_KEEPALIVE` sends its first probe, in seconds, how many seconds later the next ones, and how many.
    pub keepalive_probes: (Option<u32>, Option<u32>, Option<u32>),
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// Whether `SO_LINGER` lets a close reset the connection and drop what is not sent.
    pub reset_on_close: Option<bool>,
    /// `SO_PRIORITY`.
    pub priority: Option<u32>,
    /// `IP_TOS`, of IPv4.
    pub tos: Option<u32>,
    /// `IPV6_TCLASS`.
    pub traffic_class: Option<u32>,
    /// `IP_TTL`, or the hop limit of IPv6.
    pub ttl: Option<u32>,
    /// `IPV6_V6ONLY`.
    pub only_v6: Option<bool>,
    /// `SO_BINDTODEVICE`.
    pub device: Option<Vec<u8>>,
    /// `TCP_USER_TIMEOUT`.
    pub user_timeout: Option<Duration>,
    /// `TCP_QUICKACK`.
    pub quick_ack: Option<bool>,
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

/// How HTTP/1.x is spoken. Every duration that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The version that requests are sent with.
    pub version: HttpVersion,
    /// How long a shutdown may wait for the response under way.
    pub closing_timeout: Option<Duration>,
    /// How many parts of a response's body may be received, where the request does not say.
    pub flow: Flow,
    /// How often an idle connection is sent an empty line; `None` is never.
    pub keepalive: Option<Duration>,
    /// The most bytes of a response's status line and headers.
    pub max_header_block_size: usize,
    /// The most headers of a response.
    pub max_headers: u32,
    /// The most bytes of a response's trailers; not above `max_header_block_size`.
    pub max_trailer_block_size: usize,
    /// The most bytes of requests and of their bodies that may wait to be sent, with what each counts for beside them
    /// ([`crate::command::COMMAND`]); `None` is unlimited.
    pub max_send_queue: Option<usize>,
    /// The most informational responses that may come before a response; their bytes together may be as many as
    /// `max_header_block_size`.
    pub max_informs: u32,
    /// The most requests that may be under way at a time: written, and not answered yet. `None` is unlimited but for
    /// `max_send_queue`, on which all but the oldest of them count.
    pub pipeline: Option<u32>,
    /// Whether header names are sent as `Content-Type` rather than `content-type`.
    pub title_case_headers: bool,
}

/// How HTTP/2 is spoken. Every duration that is `None` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Options {
    /// How long a shutdown, or a peer that is going away, may wait for the streams under way.
    pub closing_timeout: Option<Duration>,
    /// How many parts of a response's body may be received, where the request does not say.
    pub flow: Flow,
    /// The window that the peer has to send data on the connection (RFC 9113, 6.9), in bytes.
    pub initial_connection_window_size: u32,
    /// The window that the peer has to send data on each stream, in bytes.
    pub initial_stream_window_size: u32,
    /// How often the peer is pinged; `None` is never.
    pub keepalive: Option<Duration>,
    /// How many pings may be unanswered when the next one is due; `None` is unlimited.
    pub keepalive_tolerance: Option<u32>,
    /// The most streams that the peer may push at a time; `None` is unlimited.
    pub max_concurrent_streams: Option<u32>,
    /// The size of the table that the peer compresses headers with (RFC 7541, 4.2).
    pub max_decode_table_size: u32,
    /// The most bytes of a header block that comes in several frames.
    pub max_fragmented_header_block_size: u32,
    /// The most bytes of a frame that is received.
    pub max_frame_size_received: u32,
    /// The most bytes of headers, decoded and counted as in RFC 9113, 6.5.2.
    pub max_header_list_size: u32,
    /// The most headers of a response, of a promise or of trailers.
    pub max_headers: u32,
    /// The most informational responses that may come before a response.
    pub max_informs: u32,
    /// The most bytes of requests and of their bodies that may wait to be sent, with what each counts for beside them
    /// ([`crate::command::COMMAND`]); `None` is unlimited.
    pub max_send_queue: Option<usize>,
    /// Whether [`crate::Event::Settings`] reports the peer's settings.
    pub notify_settings_changed: bool,
    /// How long the peer may take to send its first frame.
    pub preface_timeout: Option<Duration>,
    /// Whether the peer may push responses.
    pub push: bool,
    /// How long the peer may take to acknowledge our settings.
    pub settings_timeout: Option<Duration>,
    /// What happens to a stream that is one too many for the peer.
    pub too_many_streams: TooManyStreams,
}

/// What happens to a stream that is one too many for the peer (RFC 9113, 5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooManyStreams {
    /// It waits until another one has ended.
    Wait,
    /// It fails, by [`crate::event::StreamError::TooManyStreams`].
    Error,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            closing_timeout: Some(Duration::from_secs(15)),
            flow: Flow::Unlimited,
            initial_connection_window_size: 8_000_000,
            initial_stream_window_size: 8_000_000,
            keepalive: None,
            keepalive_tolerance: None,
            max_concurrent_streams: Some(100),
            max_decode_table_size: 4096,
            max_fragmented_header_block_size: 32768,
            max_frame_size_received: 16384,
            max_header_list_size: 100_000,
            max_headers: 100,
            max_informs: 100,
            max_send_queue: None,
            notify_settings_changed: false,
            preface_timeout: Some(Duration::from_secs(5)),
            push: true,
            settings_timeout: Some(Duration::from_secs(5)),
            too_many_streams: TooManyStreams::Wait,
        }
    }
}

/// What to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP; port 0 is any port that is free.
    Tcp(SocketAddr),
    /// A Unix domain socket. The file must not exist yet; it is removed when the socket is closed.
    Unix(PathBuf),
}

/// How a connection that was accepted is served. Every duration that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How long it may take from the beginning, or from the end of the last response, to the end of a request's head.
    pub request_timeout: Option<Duration>,
    /// How long the peer may send nothing of a body that is awaited, or take nothing of a response.
    pub idle_timeout: Option<Duration>,
    /// The most bytes of a request line.
    pub max_request_line: usize,
    /// The most bytes of a request's head, and of its trailers.
    pub max_head_size: usize,
    /// The status of the answer to a request whose headers are over a limit: 431, if it is none.
    pub head_too_large: u16,
    /// The most headers of a request.
    pub max_headers: u32,
    /// The most bytes of a header's name.
    pub max_header_name: usize,
    /// The most bytes of a header's value.
    pub max_header_value: usize,
    /// The most requests on one connection; `None` is unlimited.
    pub max_keepalive: Option<u32>,
    /// The most bytes of responses that may wait to be sent, with what each command counts for beside them
    /// ([`crate::command::COMMAND`]); `None` is unlimited.
    pub max_send_queue: Option<usize>,
    /// How long the peer may take nothing of what there is to send, before the connection counts as lost.
    pub send_timeout: Option<Duration>,
    /// How long a shutdown may wait for the response under way.
    pub closing_timeout: Option<Duration>,
    /// How long a connection that ends may still be read, so that the last response reaches a peer that is still sending.
    pub linger_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            version: HttpVersion::Http11,
            closing_timeout: Some(Duration::from_secs(15)),
            flow: Flow::Unlimited,
            keepalive: None,
            max_header_block_size: 100_000,
            max_headers: 512,
            max_trailer_block_size: 10_000,
            max_send_queue: None,
            max_informs: 100,
            pipeline: Some(1),
            title_case_headers: false,
        }
    }
}

/// How one WebSocket session behaves.
#[derive(Debug, Clone)]
pub struct WsOptions {
    /// How long a close may wait for the peer's close frame; `None` is unlimited.
    pub closing_timeout: Option<Duration>,
    /// permessage-deflate, if it is to be offered, or agreed to.
    pub compress: Option<DeflateOptions>,
    /// How much is received before the receiver must ask for more.
    pub flow: Flow,
    /// Whether a connection of its own is made, which speaks HTTP/1.1, where one that speaks HTTP/2 has no WebSockets.
    pub http1_fallback: bool,
    /// How often a ping is sent.
    pub keepalive: Option<Duration>,
    /// How long the peer may send nothing before the session closes; `None` is unlimited.
    pub idle_timeout: Option<Duration>,
    /// Whether the peer's answer to a close frame of ours is awaited. A shutdown awaits it in any case.
    pub linger: bool,
    /// How many pings may go by without a sign of life when the next one is due; `None` is unlimited.
    pub keepalive_tolerance: Option<u32>,
    /// The most bytes of one frame's payload; `None` is unlimited.
    pub max_frame_size: Option<u64>,
    /// The most bytes of one message, after decompression; `None` is unlimited.
    pub max_message_size: Option<u64>,
    /// The most bytes that may wait to be sent, with what each command and item counts for beside them
    /// ([`crate::command::COMMAND`], [`crate::command::ITEM`]); `None` is unlimited.
    pub max_send_queue: Option<usize>,
    /// Whether the upgrade is repeated on the next connection, and how.
    pub reupgrade: Option<ReupgradeOptions>,
    /// How long the peer may take to answer the upgrade; `None` is unlimited.
    pub upgrade_timeout: Option<Duration>,
    /// Whether pings and pongs are kept from the user, where messages are reported whole.
    pub silence_pings: bool,
    /// The subprotocols to offer, in order of preference.
    pub subprotocols: Vec<String>,
    /// Those among them whose messages are reported frame by frame ([`crate::Message::Fragment`]).
    pub fragments: Vec<String>,
    /// Whether they are reported frame by frame when the server has chosen none of them: no subprotocol, or one that only a
    /// header of the user's offered.
    pub fragments_by_default: bool,
}

impl WsOptions {
    /// Whether messages are reported frame by frame, now that the server has chosen this subprotocol or none.
    #[must_use]
    pub fn reports_fragments(&self, subprotocol: Option<&str>) -> bool {
        match subprotocol.filter(|chosen| self.subprotocols.iter().any(|name| name == chosen)) {
            None => self.fragments_by_default,
            Some(chosen) => self.fragments.iter().any(|name| name == chosen),
        }
    }
}

/// What permessage-deflate is offered with, or agreed to by a server, and how hard to compress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Have the server compress each message by itself.
    pub server_no_context_takeover: bool,
    /// Have the client compress each message by itself.
    pub client_no_context_takeover: bool,
    /// The largest window, in bits, that the server may use.
    pub server_max_window_bits: Option<u8>,
    /// The largest window, in bits, that the client may use; the server may ask for a smaller one in any case, unless that
    /// is not offered.
    pub client_max_window_bits: Option<u8>,
    /// Whether the offer lets the server ask for a smaller window of the client's. Some refuse an offer that says so.
    pub offers_client_window: bool,
    /// zlib's level, 0 to 9.
    pub level: u8,
    /// zlib's memLevel, 1 to 9.
    pub mem_level: u8,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
            offers_client_window: true,
            level: 6,
            mem_level: 8,
        }
    }
}

/// How an upgrade is repeated.
#[derive(Debug, Clone, Default)]
pub struct ReupgradeOptions {
    /// How many bytes of frames may wait for it; with 0 they are refused meanwhile.
    pub queue: usize,
    /// The status codes of refusals after which it is tried again.
    pub retry_statuses: Vec<u16>,
    /// The longest pause that a refusal may ask for.
    pub max_retry_after: Duration,
}

/// How much is received before the receiver must ask for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Unlimited,
    /// This number of messages, until [`crate::StreamCommand::UpdateFlow`] raises it. It is checked between reads and between
    /// turns, and not for each message, so that it may fall below zero.
    Messages(i64),
    /// As much as the receiver keeps up with: [`crate::Event::FlowCheck`] asks, [`crate::StreamCommand::FlowGrant`] answers.
    Auto,
}

impl Default for WsOptions {
    fn default() -> Self {
        Self {
            closing_timeout: Some(Duration::from_secs(15)),
            compress: None,
            flow: Flow::Unlimited,
            http1_fallback: false,
            keepalive: None,
            idle_timeout: None,
            linger: true,
            keepalive_tolerance: None,
            max_frame_size: None,
            max_message_size: Some(64 << 20),
            max_send_queue: None,
            reupgrade: None,
            upgrade_timeout: Some(Duration::from_secs(30)),
            silence_pings: true,
            subprotocols: Vec::new(),
            fragments: Vec::new(),
            fragments_by_default: false,
        }
    }
}

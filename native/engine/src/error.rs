//! What can go wrong, by who is to blame. The bridge turns these into Erlang terms; nothing else does.

pub mod http2;
pub mod proxy;
pub mod socks;

use std::error::Error;
use std::io;
use std::time::Duration;

use self::http2::Http2Fault;
use self::proxy::ProxyError;
pub use self::socks::SocksError;
use crate::payload::OutOfMemory;

/// An attempt to connect failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The user's configuration or the network: the name has no address, or none of the wanted family.
    #[error("the host name has no usable address")]
    NameNotFound,
    /// The resolver, which does not answer: more names wait for it than may.
    #[error("too many host names wait to be looked up")]
    ResolverBusy,
    /// The network or the server: `connect_timeout` or `domain_lookup_timeout` has passed.
    #[error("timed out")]
    Timeout,
    /// The network or the server: it closed the byte stream during the TLS handshake.
    #[error("the connection was closed during the TLS handshake")]
    Closed,
    /// The server, or the user's configuration: TLS has failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A proxy on the way.
    #[error(transparent)]
    Socks(#[from] SocksError),
    /// The proxy that every connection leads through.
    #[error(transparent)]
    Proxy(Box<ProxyError>),
    /// The network or the server: what the operating system said of the last address tried.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An alert of TLS, from either side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TlsError {
    /// The name of the alert, as OTP's `ssl` has it.
    pub alert: &'static str,
    /// What happened, in English.
    pub text: String,
}

/// The byte stream under TLS ended without a close_notify from the peer (RFC 8446, 6.1). Anybody on the way may have cut
/// it.
#[derive(Debug, thiserror::Error)]
#[error("the TLS connection was cut without a close_notify")]
pub struct Truncated;

/// Whether the error of a byte stream means that the peer has closed, and nothing worse.
pub(crate) fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof, WriteZero};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof | WriteZero)
}

/// The error of this crate that a byte stream has wrapped into an [`io::Error`].
pub(crate) fn inner<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref().and_then(|error| error.downcast_ref())
}

/// Whether the operating system says that it, or the process, has no descriptor or no memory left. A report of something
/// that failed for this reason must name the reason.
pub(crate) fn is_exhaustion(errno: i32) -> bool {
    /// `ENFILE` and `EMFILE`, which have these numbers wherever there are Unix domain sockets.
    const DESCRIPTORS: [i32; 2] = [23, 24];
    DESCRIPTORS.contains(&errno) || io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::OutOfMemory
}

/// Why a connection that was up is up no longer.
#[derive(Debug, thiserror::Error)]
pub enum DownReason {
    /// The peer, or the network, cut the byte stream.
    #[error("the connection was closed by the peer")]
    Closed,
    /// Nobody is to blame: it ended as the protocol foresees.
    #[error("the connection ended normally")]
    Normal,
    /// The server at the end of a tunnel, or the user's configuration: its TLS has failed.
    #[error(transparent)]
    Tls(TlsError),
    /// Something went wrong.
    #[error(transparent)]
    Error(#[from] ConnectionError),
}

impl From<ConnectError> for DownReason {
    /// What it means for a connection that is up that it leads no further.
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Closed => Self::Closed,
            ConnectError::Tls(error) => Self::Tls(error),
            ConnectError::Socks(error) => ConnectionError::Socks(error).into(),
            ConnectError::Proxy(error) => ConnectionError::Proxy(error).into(),
            ConnectError::Io(error) => (&error).into(),
            ConnectError::NameNotFound | ConnectError::ResolverBusy | ConnectError::Timeout => {
                ConnectionError::TunnelTimeout.into()
            }
        }
    }
}

impl From<&io::Error> for DownReason {
    /// What an error of the byte stream means for a connection that is up.
    fn from(error: &io::Error) -> Self {
        if let Some(error) = inner::<TlsError>(error) {
            ConnectionError::Tls(error.clone()).into()
        } else if inner::<Truncated>(error).is_some() {
            ConnectionError::Truncated.into()
        } else if is_cut(error) {
            Self::Closed
        } else {
            let errno = error.raw_os_error();
            ConnectionError::Io(errno.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)).into()
        }
    }
}

/// What ended a connection against the protocol's intent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The network: what the operating system said.
    #[error(transparent)]
    Io(io::Error),
    /// The peer: its alert, or what it sent is not TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The peer, or the network: the end of the byte stream came without TLS's word for it. Of HTTP alone: for a WebSocket
    /// it is [`DownReason::Closed`], and counted ([`crate::Stats::truncated`]).
    #[error("the TLS connection was cut without a close_notify")]
    Truncated,
    /// The peer, or the network: more than `keepalive_tolerance` pings are unanswered.
    #[error("the peer answers no pings")]
    KeepaliveTimeout,
    /// The peer, or the network: it sent nothing for `idle_timeout`.
    #[error("the peer sent nothing for the idle timeout")]
    IdleTimeout,
    /// The peer: it took nothing of what was to be sent for `send_timeout`.
    #[error("the peer took no data for the send timeout")]
    SendTimeout,
    /// The peer: it did not do in time what was waited for.
    #[error("{0} did not come in time")]
    Timeout(Wait),
    /// A proxy, or the server behind it: it did not shake hands in time.
    #[error("the tunnel was not up in time")]
    TunnelTimeout,
    /// A proxy on the way.
    #[error(transparent)]
    Socks(#[from] SocksError),
    /// The proxy that every connection leads through: it leads to no further one beside this.
    #[error(transparent)]
    Proxy(Box<ProxyError>),
    /// The peer: it refused an upgrade that is repeated, for the time being.
    #[error("the upgrade is refused for now, with status {}", .0.status)]
    Refused(Refusal),
    /// The peer: its answer to the upgrade is invalid.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The peer: it broke RFC 6455, or passed a limit.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The peer: it broke HTTP.
    #[error("invalid HTTP: {0}")]
    Http(String),
    /// The peer, mostly: it broke HTTP/2, passed a limit on it, or answers no pings.
    #[error(transparent)]
    Http2(#[from] Http2Fault),
    /// The peer: it sent more than a limit allows.
    #[error("limit reached: {0}")]
    LimitReached(&'static str),
    /// The caller: it ended a request's body before the length that it had announced.
    #[error("the request's body is shorter than its content-length")]
    RequestTooShort,
    /// The caller: the protocol has no ping whose answer could be reported.
    #[error("the protocol has no ping")]
    PingUnsupported,
    /// This machine.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

/// What the peer had limited time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// The answer to an upgrade.
    #[error("the answer to the upgrade")]
    Upgrade,
    /// The answer to a request.
    #[error("the response")]
    Response,
    /// The next part of a response's body.
    #[error("the next part of the body")]
    Body,
    /// All of a response, from the call on: not the peer's alone to keep.
    #[error("the end of the response")]
    Whole,
}

/// A refusal after which the upgrade is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// How long the peer wants to be left alone (RFC 9110, 10.2.3).
    pub retry_after: Duration,
}

/// The peer's 101 response does not complete the handshake (RFC 6455, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The upgrade header is missing, or is not `websocket`.
    #[error("the upgrade header is not websocket")]
    Upgrade,
    /// The connection header has no `upgrade` token.
    #[error("the connection header does not say upgrade")]
    Connection,
    /// There is no sec-websocket-accept header.
    #[error("there is no sec-websocket-accept header")]
    MissingAccept,
    /// The sec-websocket-accept header doesn't answer the key sent.
    #[error("the sec-websocket-accept header is wrong")]
    WrongAccept,
    /// An extension that nobody asked for.
    #[error("the extension {0:?} was not asked for")]
    Extension(String),
    /// A parameter of an extension that the offer does not allow, or that is missing though the offer demands it.
    #[error("the extension parameter {0:?} is not what was offered")]
    ExtensionParameter(String),
    /// A subprotocol that nobody asked for.
    #[error("the subprotocol {0:?} was not asked for")]
    Subprotocol(String),
}

/// The peer broke RFC 6455, or passed a limit on frames or messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit is set that no extension has given a meaning (5.2).
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode without meaning (5.2).
    #[error("the opcode {0} has no meaning")]
    Opcode(u8),
    /// A server must not mask (5.1).
    #[error("a frame from the server is masked")]
    Masked,
    /// A client must mask (5.1).
    #[error("a frame from the client is not masked")]
    Unmasked,
    /// The length isn't in its shortest form, or has its most significant bit set (5.2).
    #[error("a length is not encoded in the fewest bytes")]
    LengthEncoding,
    /// A control frame in fragments (5.5).
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A control frame with more than 125 bytes (5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A continuation frame without a message to continue (5.4).
    #[error("a continuation frame continues nothing")]
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before (5.4).
    #[error("a new message begins inside a fragmented one")]
    ExpectedContinuation,
    /// A text message, or a close reason, that is not UTF-8 (8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// A compressed message that cannot be decompressed (RFC 7692, 7.2.2).
    #[error("compressed data cannot be decompressed")]
    CompressedData,
    /// A close frame with a payload of one byte (5.5.1).
    #[error("a close frame has a payload of one byte")]
    ClosePayload,
    /// A close code that must not be sent (7.4).
    #[error("the close code {0} must not be sent")]
    CloseCode(u16),
    /// A frame over `max_frame_size`.
    #[error("a frame is larger than max_frame_size")]
    FrameTooBig,
    /// A message over `max_message_size`.
    #[error("a message is larger than max_message_size")]
    MessageTooBig,
}

impl ProtocolError {
    /// The code of the close frame that answers it (7.4.1).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::CompressedData => 1007,
            Self::FrameTooBig | Self::MessageTooBig => 1009,
            _ => 1002,
        }
    }
}

/// An operation that the connection's state does not allow. The caller is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// Frames, but there is no WebSocket.
    #[error(
        "This connection does not currently accept Websocket frames. It must be upgraded to Websocket first, or the \
         Websocket has been closed."
    )]
    NotWebsocket,
    /// Frames, after a close frame was sent or received.
    #[error("The Websocket is closing and accepts no more frames.")]
    Closing,
    /// Frames, but the upgrade is to be repeated first.
    #[error("The Websocket is being established anew and accepts no frames before gun_upgrade.")]
    Reconnecting,
    /// An upgrade, but the server's settings do not allow it (RFC 8441, 3).
    #[error("The server has no Websocket over HTTP/2: its SETTINGS_ENABLE_CONNECT_PROTOCOL is not 1.")]
    NoExtendedConnect,
    /// Frames without the name of a stream, but the connection has several WebSockets.
    #[error("The connection has several Websockets: the stream must be named.")]
    WhichWebsocket,
    /// Data, but the stream is a WebSocket.
    #[error("This stream only accepts Websocket frames.")]
    WebsocketStream,
    /// A request, but the connection has become a WebSocket.
    #[error("This connection only accepts Websocket frames.")]
    OnlyWebsocket,
    /// A header of the request cannot be sent: the authority, a subprotocol, or one too many.
    #[error("The headers cannot be sent: the host or a subprotocol cannot stand in one, or they are too many.")]
    InvalidHeader,
    /// Data, or a cancellation, for a stream that there is not.
    #[error("The stream cannot be found.")]
    NoStream,
    /// Data for a request whose body is complete.
    #[error("The stream has already been closed.")]
    BodyComplete,
    /// More data than the request has announced.
    #[error("The data exceeds the content-length of the request.")]
    BodyTooLong,
    /// The end of the data before the length that the request has announced.
    #[error("The data ends before the content-length of the request.")]
    BodyTooShort,
    /// A ping, but the connection is a WebSocket or is being shut down.
    #[error("The connection cannot be pinged: a Websocket is pinged with a frame, and not while it is closing.")]
    Ping,
    /// Anything but data, but the connection carries bytes as they are.
    #[error("This connection does not accept new requests to be opened nor does it accept Websocket frames.")]
    OnlyRaw,
    /// A ping, but the connection carries bytes as they are, or speaks to a proxy that has no pings.
    #[error("The connection cannot be pinged: what it speaks has no pings.")]
    NoPing,
    /// A CONNECT, but other streams are open on a connection that becomes the tunnel as a whole.
    #[error("CONNECT can only be used with HTTP/1.1 when no other streams are active.")]
    NotAlone,
    /// A stream by way of one that is no tunnel, or not yet.
    #[error("The stream is not a tunnel.")]
    NoTunnel,
    /// A stream that is to be no tunnel's, but the connection is one.
    #[error("The connection is a tunnel: its streams are named with the option tunnel.")]
    InTunnel,
    /// A CONNECT, which is no request like others.
    #[error("A tunnel is opened with connect, not with a request.")]
    Tunnel,
    /// A body without a length, but the connection speaks HTTP/1.0.
    #[error("A request body over an HTTP/1.0 connection needs a content-length.")]
    ChunkedOverHttp10,
    /// An upgrade, but the connection speaks HTTP/1.0.
    #[error("Websocket cannot be used over an HTTP/1.0 connection.")]
    UpgradeOverHttp10,
}

impl BadState {
    /// What is wrong with a stream that the connection does not lead to: by way of a tunnel, or of none.
    pub(crate) fn not_led(by_tunnel: bool) -> Self {
        if by_tunnel { Self::NoTunnel } else { Self::InTunnel }
    }
}

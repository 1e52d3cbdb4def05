//! The events that a connection reports.

pub mod step;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::error::http2::{Http2Code, Http2Fault};
use crate::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Wait};
use crate::payload::Payload;
use crate::sink::Sink;

/// The name of a protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolName {
    /// HTTP/1.x.
    Http,
    /// HTTP/2.
    Http2,
    /// WebSocket, after an upgrade of the whole connection.
    Ws,
    /// Nothing: bytes are carried as they are.
    Raw,
    /// SOCKS, with a proxy.
    Socks,
}

/// What is to follow the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing in particular.
    Nothing,
    /// The user has asked for the end, by a close frame.
    ClosedByUser,
    /// The upgrade is repeated on the next connection ([`crate::WsOptions::reupgrade`]).
    Reupgrade {
        /// Not before this time has passed: the peer has asked for it.
        after: Duration,
    },
}

/// One event. What it borrows is valid during the call alone.
pub enum Event<'a, K: Sink> {
    /// The connection is up.
    Up {
        /// What it speaks.
        protocol: ProtocolName,
        /// The socket's own address.
        local: Option<SocketAddr>,
        /// The protocol that the server has chosen in the TLS handshake, if it has chosen one (ALPN, RFC 7301).
        alpn: Option<&'a [u8]>,
    },
    /// An attempt to connect failed. The connection waits for the next command to connect.
    ConnectFailed(ConnectError),
    /// The connection is up no longer. It waits for the next command to connect.
    Down {
        /// What it spoke.
        protocol: ProtocolName,
        /// Why it ended.
        reason: &'a DownReason,
        /// The streams that ended with it.
        killed: &'a [&'a K::Stream],
        /// What is to follow.
        next: Next,
        /// Whether the peer has answered a request on it, or taken an upgrade.
        served: bool,
    },
    /// The graceful end that was asked for is reached. The task has ended.
    ShutDown,
    /// The task has panicked, and has ended: a fault of this library.
    Panicked {
        /// What it spoke, if it was up.
        protocol: Option<ProtocolName>,
        /// The panic's message.
        text: String,
        /// The WebSocket's stream, if it was one.
        killed: &'a [K::Stream],
    },
    /// The WebSocket is open.
    Upgraded {
        /// Its stream.
        stream: &'a K::Stream,
        /// The response's status code.
        status: StatusCode,
        /// The response's headers.
        headers: &'a HeaderMap,
        /// The subprotocol that the server has chosen.
        subprotocol: Option<&'a str>,
        /// Whether its messages will be reported frame by frame.
        fragments: bool,
    },
    /// A tunnel is up.
    TunnelUp {
        /// The stream that has asked for it; a connection may lead through a proxy without one.
        stream: Option<&'a K::Stream>,
        /// What is spoken at its end.
        protocol: ProtocolName,
        /// What the sink knows the destination by ([`crate::command::tunnel::Destination::label`]).
        label: &'a [u8],
        /// Whether it is on a stream of the connection, which itself leads where it has led before.
        beside: bool,
    },
    /// A tunnel that is on a stream of the connection leads nowhere any more. Whoever uses it has been told why.
    TunnelOver {
        /// The stream that has asked for it.
        stream: &'a K::Stream,
    },
    /// The connection has switched to another protocol, as a request asked for, and carries bytes as they are.
    Switched {
        /// The request's stream.
        stream: &'a K::Stream,
        /// The response's headers, whose `upgrade` names the protocol.
        headers: &'a HeaderMap,
    },
    /// An informational response; the one that answers the request is yet to come.
    Inform {
        /// The request's stream.
        stream: &'a K::Stream,
        /// The status code.
        status: StatusCode,
        /// The headers.
        headers: &'a HeaderMap,
    },
    /// A response's status and headers: to a request, or to an upgrade, which is refused by it.
    Response {
        /// The request's stream.
        stream: &'a K::Stream,
        /// Whether there is no body.
        fin: bool,
        /// The status code.
        status: StatusCode,
        /// The headers.
        headers: &'a HeaderMap,
    },
    /// A part of a response's body, or of a request's body on a connection that was accepted.
    Data {
        /// The request's stream.
        stream: &'a K::Stream,
        /// Whether it is the last part.
        fin: bool,
        /// The bytes.
        data: Bytes,
    },
    /// A response's trailers: its end.
    Trailers {
        /// The request's stream.
        stream: &'a K::Stream,
        /// The fields.
        trailers: &'a HeaderMap,
    },
    /// A WebSocket message or control frame.
    Message {
        /// The WebSocket's stream.
        stream: &'a K::Stream,
        /// What was received.
        message: Message<'a, K::Payload>,
    },
    /// A stream failed.
    StreamError {
        /// The stream.
        stream: &'a K::Stream,
        /// Why.
        error: StreamError<'a>,
    },
    /// A command names a stream that there is not.
    NoStream {
        /// What it was named.
        stream: &'a K::StreamId,
        /// Who gave the command.
        caller: &'a K::Caller,
    },
    /// A command can't be done on the stream that it names.
    Refused {
        /// What it was named.
        stream: &'a K::StreamId,
        /// Who gave the command.
        caller: &'a K::Caller,
        /// Why.
        error: BadState,
    },
    /// What is known of a stream.
    StreamInfo {
        /// Who asked.
        receipt: &'a K::Receipt,
        /// The answer.
        info: StreamInfo<'a, K>,
    },
    /// The connection failed in a way that its owner learns before `Down`.
    ConnectionError(&'a ConnectionError),
    /// HTTP/2 failed in a way that whoever has a stream learns before the streams' own errors: each receiver once.
    ConnectionFault {
        /// The streams that are open.
        streams: &'a [&'a K::Stream],
        /// What has failed.
        fault: Http2Fault,
    },
    /// The connection is about to end by a ping, as the protocol has none.
    PingEnds {
        /// What the ping was named.
        name: &'a K::StreamId,
    },
    /// The peer has answered a ping.
    PingAck {
        /// Who has asked for it.
        caller: &'a K::Caller,
        /// What it was named.
        name: &'a K::StreamId,
    },
    /// The peer's settings, after each of its SETTINGS frames, where that is wanted
    /// ([`crate::options::Http2Options::notify_settings_changed`]).
    Settings(&'a PeerSettings),
    /// The peer has said why it ends the connection (RFC 9113, 6.8).
    GoAway {
        /// Its error code.
        code: Http2Code,
        /// What it has to say beside that, which is not empty.
        debug: &'a [u8],
    },
    /// Asks the relay ([`Sink::relays`]) to answer by [`crate::Command::RelayGrant`] when it has delivered everything before this.
    RelayCheck,
    /// Asks whether the receiver keeps up, after this number of messages since the last answer.
    /// [`crate::StreamCommand::FlowGrant`] is the answer when it does.
    FlowCheck {
        /// The WebSocket's stream, or that of a response.
        stream: &'a K::Stream,
        /// The messages since the last answer.
        messages: u64,
        /// And the bytes of them.
        bytes: u64,
    },
    /// Asks whether the receiver has answered what it was sent before the peer broke the protocol, so that the answers
    /// go out before the close frame does. [`crate::StreamCommand::Settled`] is the answer when it has.
    Settle {
        /// The WebSocket's stream.
        stream: &'a K::Stream,
    },
    /// Frames have been handed to the operating system.
    Sent(&'a K::Receipt),
    /// Frames will never be sent.
    NotSent {
        /// Who waits for them.
        receipt: &'a K::Receipt,
        /// Why.
        error: NotSent<'a>,
    },
    /// A command can't be done in this state.
    BadState {
        /// The stream that it would have opened, if any.
        stream: Option<&'a K::Stream>,
        /// Who gave it.
        caller: &'a K::Caller,
        /// Why.
        error: BadState,
    },
}

/// A request on a connection that was accepted. What it borrows is valid during the call alone.
#[derive(Debug)]
pub struct ServedRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request target, as it was sent.
    pub target: &'a Uri,
    /// The version, which is HTTP/1.1 or HTTP/1.0.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body. Nothing of it is reported before [`crate::StreamCommand::UpdateFlow`] allows it.
    pub body: RequestBody,
}

/// What a request says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    None,
    /// It has this number of bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// The settings of a peer that speaks HTTP/2 (RFC 9113, 6.5.2): its own, or else what it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// `HEADER_TABLE_SIZE`.
    pub header_table_size: u32,
    /// `ENABLE_PUSH`.
    pub enable_push: bool,
    /// `MAX_CONCURRENT_STREAMS`; `None` is unlimited.
    pub max_concurrent_streams: Option<u32>,
    /// `INITIAL_WINDOW_SIZE`.
    pub initial_window_size: u32,
    /// `MAX_FRAME_SIZE`.
    pub max_frame_size: u32,
    /// `MAX_HEADER_LIST_SIZE`; `None` is unlimited.
    pub max_header_list_size: Option<u32>,
    /// `ENABLE_CONNECT_PROTOCOL` (RFC 8441, 3), once it has been sent.
    pub enable_connect_protocol: Option<bool>,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            enable_push: true,
            max_concurrent_streams: None,
            initial_window_size: 65535,
            max_frame_size: 16384,
            max_header_list_size: None,
            enable_connect_protocol: None,
        }
    }
}

/// A request that the peer makes in the user's place, and whose response it pushes (RFC 9113, 8.4). What it borrows is valid
/// during the call alone.
#[derive(Debug)]
pub struct Promise<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request's URI, with its scheme and its authority.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// What has been received and sent, from the first connection to the last, or on one stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// WebSocket frames received.
    pub frames_in: u64,
    /// Bytes of the WebSockets' streams received.
    pub bytes_in: u64,
    /// WebSocket frames sent.
    pub frames_out: u64,
    /// Bytes of the WebSockets' streams that the operating system has taken.
    pub bytes_out: u64,
    /// Bytes that wait to be sent, with [`COMMAND`](crate::command::COMMAND) for each command that waits and [`ITEM`](crate::command::ITEM) for each item.
    pub queued: u64,
    /// Bytes of messages that were compressed, by either side.
    pub uncompressed: u64,
    /// Bytes that they were compressed to.
    pub compressed: u64,
    /// How many times TLS was cut under a WebSocket without a close_notify: what the peer had to send may be incomplete. A
    /// reset is not counted.
    pub truncated: u64,
}

/// What is known of a stream.
pub enum StreamInfo<'a, K: Sink> {
    /// There is no connection, so there are no streams.
    NotConnected,
    /// There is no such stream.
    Unknown,
    /// There is.
    Stream {
        /// The stream.
        stream: &'a K::Stream,
        /// Whether its events are reported: it was not cancelled.
        running: bool,
    },
    /// There is, and it is a WebSocket.
    Websocket {
        /// The stream.
        stream: &'a K::Stream,
        /// What it has received and sent.
        stats: Stats,
    },
}

/// Why a stream failed.
#[derive(Debug, Clone, Copy)]
pub enum StreamError<'a> {
    /// The server's answer to the upgrade is invalid.
    Handshake(&'a HandshakeError),
    /// The server broke the protocol.
    Protocol(&'a ProtocolError),
    /// The connection went down under it.
    Closed(&'a DownReason),
    /// The connection is being shut down before the request had its turn.
    Closing,
    /// The connection is a WebSocket that is being closed.
    WebsocketClosing,
    /// The connection closes behind the response under way, and takes no more requests.
    ConnectionCloses,
    /// The peer did not do in time what was waited for.
    Timeout(Wait),
    /// The connection was shut down before the stream came to its end.
    ShutDown,
    /// The tunnel that it was leads nowhere any more, for this reason.
    TunnelClosed(&'a DownReason),
    /// The state does not allow it.
    BadState(BadState),
    /// The peer has reset it (RFC 9113, 6.4).
    Reset(Http2Code),
    /// It has broken HTTP/2, and was reset.
    Fault(Http2Fault),
    /// The peer is about to close the connection, and has not begun with it: it can be repeated on another one (RFC 9113,
    /// 6.8).
    GoAway(Http2Code),
    /// The peer has no room for another stream, and none is to wait
    /// ([`crate::options::TooManyStreams::Error`]).
    TooManyStreams,
}

/// Why frames will never be sent.
#[derive(Debug, Clone, Copy)]
pub enum NotSent<'a> {
    /// The state does not allow it.
    BadState(BadState),
    /// The connection went down before.
    Down(&'a DownReason),
    /// The connection was shut down before.
    ShutDown,
}

/// A message, or a control frame, as received.
pub enum Message<'a, P> {
    /// A text message: valid UTF-8.
    Text(Data<'a, P>),
    /// A binary message.
    Binary(Data<'a, P>),
    /// One data frame of a message, where messages are reported frame by frame.
    Fragment {
        /// Whether it belongs to a text message; its bytes may end within a character.
        text: bool,
        /// Whether it ends the message.
        fin: bool,
        /// Whether it begins the message.
        first: bool,
        /// Its payload, decompressed.
        data: Data<'a, P>,
    },
    /// A ping; it has been answered.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// A close frame, with its code and reason if it has them.
    Close(Option<(u16, &'a str)>),
}

impl<P: Payload> Message<'_, P> {
    /// The bytes of its payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(data) | Self::Binary(data) | Self::Fragment { data, .. } => data.bytes().len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
            Self::Close(close) => close.map_or(0, |(_, reason)| 2 + reason.len()),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The bytes of a message.
pub enum Data<'a, P> {
    /// They stand in the read buffer: to be copied.
    Borrowed(&'a [u8]),
    /// They stand in memory that the sink has provided: to be taken.
    Owned(P),
}

impl<P: Payload> Data<'_, P> {
    /// The bytes, wherever they stand.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(payload) => payload.bytes(),
        }
    }
}

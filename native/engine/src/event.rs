//! The events that a connection reports.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Wait};
use crate::payload::Payload;
use crate::sink::Sink;

/// The name of a protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolName {
    /// HTTP/1.x.
    Http,
    /// WebSocket, after an upgrade of the whole connection.
    Ws,
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
        killed: &'a [K::Stream],
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
        /// The response's headers.
        headers: &'a HeaderMap,
        /// The subprotocol that the server has chosen.
        subprotocol: Option<&'a str>,
        /// Whether its messages will be reported frame by frame.
        fragments: bool,
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
    /// A part of a response's body.
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
    /// What is known of a stream.
    StreamInfo {
        /// Who asked.
        receipt: &'a K::Receipt,
        /// The answer.
        info: StreamInfo<'a, K>,
    },
    /// The connection failed in a way that its owner learns before `Down`.
    ConnectionError(&'a ConnectionError),
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
    /// The state does not allow it.
    BadState(BadState),
}

/// Why frames will never be sent.
#[derive(Debug)]
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

//! What a connection tells.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError};
use crate::sink::Sink;

/// The protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x.
    Http,
    /// WebSocket, after an upgrade of the whole connection.
    Ws,
}

/// One event. What it borrows is valid during the call alone.
pub enum Event<'a, K: Sink> {
    /// The connection is up.
    Up {
        /// What it speaks.
        protocol: Protocol,
        /// The socket's own address.
        local: Option<SocketAddr>,
    },
    /// An attempt to connect failed. The connection waits for the next command to connect.
    ConnectFailed(ConnectError),
    /// The connection is up no longer. It waits for the next command to connect.
    Down {
        /// What it spoke.
        protocol: Protocol,
        /// Why it ended.
        reason: &'a DownReason,
        /// The streams that ended with it.
        killed: &'a [K::Stream],
    },
    /// The graceful end that was asked for is reached. The task has ended.
    ShutDown,
    /// The task has panicked, and has ended: a fault of this library.
    Panicked {
        /// What it spoke, if it was up.
        protocol: Option<Protocol>,
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
    },
    /// A response's status and headers: the upgrade was refused.
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
    /// The connection failed in a way that its owner is told of before `Down`.
    ConnectionError(&'a ConnectionError),
    /// A command can't be done in this state.
    BadState {
        /// Who gave it.
        caller: &'a K::Caller,
        /// Why.
        error: BadState,
    },
}

/// Why a stream failed.
#[derive(Debug)]
pub enum StreamError<'a> {
    /// The server's answer to the upgrade is none.
    Handshake(&'a HandshakeError),
    /// The server broke the protocol.
    Protocol(&'a ProtocolError),
    /// The connection went down under it.
    Closed(&'a DownReason),
    /// The connection is being shut down.
    Closing,
    /// The state does not allow it.
    BadState(BadState),
}

/// A message, or a control frame, as received.
pub enum Message<'a, P> {
    /// A text message: valid UTF-8.
    Text(Data<'a, P>),
    /// A binary message.
    Binary(Data<'a, P>),
    /// A ping; it has been answered.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// A close frame, with its code and reason if it has them.
    Close(Option<(u16, &'a str)>),
}

/// The bytes of a message.
pub enum Data<'a, P> {
    /// They stand in the read buffer: to be copied.
    Borrowed(&'a [u8]),
    /// They stand in memory that the sink has provided: to be taken.
    Owned(P),
}

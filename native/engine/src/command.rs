//! What a connection can be told.

use http::{HeaderName, HeaderValue, Uri};

use crate::options::WsOptions;
use crate::sink::Sink;
use crate::websocket::frame::Opcode;

/// One command. Commands are done in the order given; those that need a connection wait until there is one.
/// Every variant is small, because an idle connection's queue holds room for some of them.
pub enum Command<K: Sink> {
    /// Makes one attempt to connect: answered by `Up` or `ConnectFailed`.
    Connect,
    /// Upgrades to WebSocket: answered by `Upgraded`, `Response` or `StreamError`.
    Upgrade(Box<Upgrade<K>>),
    /// Sends frames.
    Send(Box<Outgoing<K>>),
    /// Ends the connection gracefully: answered by `ShutDown`, instead of `Down`.
    Shutdown,
    /// For the sink.
    Control(Box<K::Control>),
    /// Makes the task panic, to test what follows.
    Panic,
}

/// A request to upgrade to WebSocket.
pub struct Upgrade<K: Sink> {
    /// The stream that it opens.
    pub stream: K::Stream,
    /// Who is told when the connection can't do it at all.
    pub caller: K::Caller,
    /// The request target.
    pub target: Uri,
    /// The user's headers, in order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The session's options; those of the connection where there are none.
    pub options: Option<WsOptions>,
}

/// Frames to send, in order.
pub struct Outgoing<K: Sink> {
    /// Who is told when there is no WebSocket to send them on.
    pub caller: K::Caller,
    /// The frames.
    pub items: Vec<Item<K::Source>>,
}

/// A part of what is to be sent.
pub enum Item<B> {
    /// Whole data, ping or pong frames, encoded and masked.
    Encoded(Vec<u8>),
    /// A large message, encoded and masked piece by piece as the socket takes it.
    Large(Opcode, B),
    /// A close frame, encoded and masked. What comes after it isn't sent.
    Close(Vec<u8>),
}

impl<B: crate::sink::Source> Item<B> {
    /// The bytes that it accounts for while it waits.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Encoded(bytes) | Self::Close(bytes) => bytes.len(),
            Self::Large(_, source) => source.len(),
        }
    }

    /// Whether it accounts for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

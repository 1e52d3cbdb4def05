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
    /// Raises the number of messages that may be received ([`crate::options::Flow::Messages`]).
    UpdateFlow(i64),
    /// The receiver keeps up: the answer to [`crate::Event::FlowCheck`].
    FlowGrant,
    /// The receiver has had its chance to answer: the answer to [`crate::Event::Settle`].
    Settled,
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
    /// Who is told what becomes of them.
    pub reply: Reply<K>,
    /// The frames.
    pub items: Vec<Item<K::Source>>,
}

impl<K: Sink> Outgoing<K> {
    /// The bytes that they account for while they wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.iter().map(Item::len).sum()
    }

    /// Whether they account for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Who is told what becomes of frames.
pub enum Reply<K: Sink> {
    /// Told only when there is no WebSocket to send them on.
    Caller(K::Caller),
    /// Told when the operating system has them, or why it never will.
    Receipt(K::Receipt),
}

/// A part of what is to be sent.
pub enum Item<B> {
    /// Whole data, ping or pong frames, encoded and masked: how many, and their bytes.
    Encoded(u32, Vec<u8>),
    /// A message, to be compressed if that was agreed on. Not worth holding by reference.
    Small(Opcode, Vec<u8>),
    /// A large message, compressed if that was agreed on, encoded and masked piece by piece as the socket takes it.
    Large(Opcode, B),
    /// A close frame, encoded and masked. What comes after it isn't sent.
    Close(Vec<u8>),
}

impl<B: crate::sink::Source> Item<B> {
    /// The bytes that it accounts for while it waits.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Encoded(_, bytes) | Self::Small(_, bytes) | Self::Close(bytes) => bytes.len(),
            Self::Large(_, source) => source.len(),
        }
    }

    /// Whether it accounts for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

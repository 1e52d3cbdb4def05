//! What a connection can be told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::options::{Flow, WsOptions};
use crate::sink::Sink;
use crate::transport::tls::TlsClient;
use crate::websocket::frame::Opcode;

/// What a command that waits counts for beside the bytes that are to be sent: roughly the memory that it takes. Without
/// it, commands of no bytes would pass every limit.
pub const COMMAND: usize = 512;

/// What each item of [`Outgoing`] counts for beside its bytes.
pub const ITEM: usize = 128;

/// One command. Commands are done in the order given; those that need a connection wait until there is one.
pub enum Command<K: Sink> {
    /// Makes one attempt to connect, over TLS where there is a configuration for it: answered by `Up` or `ConnectFailed`.
    Connect(Option<Arc<TlsClient>>),
    /// Upgrades to WebSocket: answered by `Upgraded`, `Response` or `StreamError`.
    Upgrade(Box<Upgrade<K>>),
    /// Makes a request: answered by `Response` or `StreamError`.
    Request(Box<Request<K>>),
    /// Goes on with the body of a request that was begun with [`Body::Streamed`].
    Data(Box<RequestData<K>>),
    /// Nothing more of this stream is told. A request that is not sent yet never will be.
    Cancel(Box<(K::StreamId, K::Caller)>),
    /// Asks what is known of a stream: answered by `StreamInfo`.
    StreamInfo(Box<(K::StreamId, K::Receipt)>),
    /// Sends frames.
    Send(Box<Outgoing<K>>),
    /// Raises the number of messages, or of parts of a response's body, that may be received. A WebSocket's stream need
    /// not be named.
    UpdateFlow(Option<Box<K::StreamId>>, i64),
    /// The receiver of this stream keeps up: the answer to [`crate::Event::FlowCheck`].
    FlowGrant(Box<K::StreamId>),
    /// All that was to be handed on has been: the answer to [`crate::Event::RelayCheck`].
    RelayGrant,
    /// The receiver has had its chance to answer: the answer to [`crate::Event::Settle`].
    Settled,
    /// Pings the peer, where that can be told from all else: what is spoken here has no such ping. HTTP/1.1 ends by it, as
    /// in gun, with [`crate::error::ConnectionError::PingUnsupported`].
    Ping(Box<Ping<K>>),
    /// Ends the connection gracefully: answered by `ShutDown`, instead of `Down`.
    Shutdown,
    /// For the sink.
    Control(Box<K::Control>),
    /// Makes the task panic, to test what follows.
    Panic,
}

impl<K: Sink> Command<K> {
    /// What it counts for while it waits; nothing, if it has no bytes to send by its nature.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Request(request) => request.cost(),
            Self::Upgrade(upgrade) => upgrade.cost(),
            Self::Data(data) => data.cost(),
            Self::Send(outgoing) => outgoing.cost(),
            _ => 0,
        }
    }

    /// How much of its cost it needs no room for: a limit that has room for the bytes of a command, while nothing else
    /// waits, lets it pass.
    pub(crate) fn allowance(&self) -> usize {
        match self {
            Self::Send(outgoing) if !outgoing.items.is_empty() => COMMAND + ITEM,
            command => command.cost().min(COMMAND),
        }
    }
}

/// An HTTP request.
pub struct Request<K: Sink> {
    /// The stream that it opens.
    pub stream: K::Stream,
    /// Who is told when the connection can't do it at all.
    pub caller: K::Caller,
    /// The method.
    pub method: Method,
    /// The request target.
    pub target: Uri,
    /// The user's headers, in order, without those that say how long the body is.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Body,
    /// How many parts of the response's body may be received.
    pub flow: Flow,
    /// How long the peer may take to answer once it has the request; `None` is unlimited.
    pub response_timeout: Option<Duration>,
    /// How long it may take from one part of the response's body to the next; `None` is unlimited.
    pub body_timeout: Option<Duration>,
}

impl<K: Sink> Request<K> {
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        self.head_cost() + self.body.len()
    }

    /// What all but its body counts for.
    pub(crate) fn head_cost(&self) -> usize {
        COMMAND + head_len(&self.target, &self.headers)
    }
}

fn head_len(target: &Uri, headers: &[(HeaderName, HeaderValue)]) -> usize {
    let target = target.path_and_query().map_or(0, |path| path.as_str().len());
    target + headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It follows by [`Command::Data`]: so many bytes, or in chunks.
    Streamed(Option<u64>),
}

impl Body {
    /// The bytes that it counts for while the request waits.
    fn len(&self) -> usize {
        if let Self::Whole(bytes) = self { bytes.len() } else { 0 }
    }
}

/// A part of a request's body.
pub struct RequestData<K: Sink> {
    /// The request's stream.
    pub stream: K::StreamId,
    /// Who is told when there is no such stream.
    pub caller: K::Caller,
    /// The bytes.
    pub data: Bytes,
    /// Whether they are the last.
    pub fin: bool,
}

impl<K: Sink> RequestData<K> {
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        COMMAND + self.data.len()
    }
}

/// A ping.
pub struct Ping<K: Sink> {
    /// Who is told when the state allows none.
    pub caller: K::Caller,
    /// What the sink is told before the connection ends by it.
    pub name: K::Control,
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

impl<K: Sink> Upgrade<K> {
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        COMMAND + head_len(&self.target, &self.headers)
    }
}

/// Frames to send, in order.
pub struct Outgoing<K: Sink> {
    /// Who is told what becomes of them.
    pub reply: Reply<K>,
    /// The frames.
    pub items: Vec<Item<K::Source>>,
    /// In how many calls they were given: the caller is told once for each.
    pub calls: u32,
}

impl<K: Sink> Outgoing<K> {
    /// What was given in one call.
    #[must_use]
    pub fn new(reply: Reply<K>, items: Vec<Item<K::Source>>) -> Self {
        Self { reply, items, calls: 1 }
    }

    /// What they count for while they wait.
    pub(crate) fn cost(&self) -> usize {
        COMMAND + self.items.iter().map(Item::cost).sum::<usize>()
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
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        ITEM + match self {
            Self::Encoded(_, bytes) | Self::Small(_, bytes) | Self::Close(bytes) => bytes.len(),
            Self::Large(_, source) => source.len(),
        }
    }
}

//! The commands that a connection takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::error::BadState;
use crate::event::{Event, NotSent};
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
    /// What concerns a stream, or opens one.
    Stream(StreamCommand<K>),
    /// All that was to be handed on has been: the answer to [`crate::Event::RelayCheck`].
    RelayGrant,
    /// Pings the peer. HTTP/1.1 has no ping, and a WebSocket's is a frame of its own: HTTP/1.1 ends by this command, as in
    /// gun, with [`crate::error::ConnectionError::PingUnsupported`].
    Ping(Box<Ping<K>>),
    /// Ends the connection gracefully: answered by `ShutDown`, instead of `Down`.
    Shutdown,
    /// For the sink.
    Control(Box<K::Control>),
    /// Makes the task panic, to test what follows.
    Panic,
}

/// A command that concerns one stream, or opens one. The protocol that is spoken does it.
pub enum StreamCommand<K: Sink> {
    /// Upgrades to WebSocket: answered by `Upgraded`, `Response` or `StreamError`.
    Upgrade(Box<Upgrade<K>>),
    /// Makes a request: answered by `Response` or `StreamError`.
    Request(Box<Request<K>>),
    /// Goes on with the body of a request that was begun with [`Body::Streamed`].
    Data(Box<RequestData<K>>),
    /// Nothing more of this stream is reported. A request that is not sent yet never will be.
    Cancel(Box<(K::StreamId, K::Caller)>),
    /// Asks what is known of a stream: answered by `StreamInfo`.
    Info(Box<(K::StreamId, K::Receipt)>),
    /// Sends frames.
    Send(Box<Outgoing<K>>),
    /// Raises the number of messages, or of parts of a response's body, that may be received. `None` is the WebSocket that
    /// the whole connection is.
    UpdateFlow(Option<Box<K::StreamId>>, i64),
    /// The receiver of this stream keeps up: the answer to [`crate::Event::FlowCheck`].
    FlowGrant(Box<K::StreamId>),
    /// The receiver of this stream has had its chance to answer: the answer to [`crate::Event::Settle`].
    Settled(Box<K::StreamId>),
}

impl<K: Sink> From<StreamCommand<K>> for Command<K> {
    fn from(command: StreamCommand<K>) -> Self {
        Self::Stream(command)
    }
}

impl<K: Sink> Command<K> {
    /// See [`StreamCommand::cost`].
    pub(crate) fn cost(&self) -> usize {
        if let Self::Stream(command) = self { command.cost() } else { 0 }
    }

    /// See [`StreamCommand::allowance`].
    pub(crate) fn allowance(&self) -> usize {
        if let Self::Stream(command) = self { command.allowance() } else { 0 }
    }

    /// The stream whose account it is counted on, where it is not the connection's.
    pub(crate) fn counted_on(&self) -> Option<&K::StreamId> {
        if let Self::Stream(StreamCommand::Send(outgoing)) = self { outgoing.stream.as_ref() } else { None }
    }
}

impl<K: Sink> StreamCommand<K> {
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
    /// Who receives the error when the connection cannot do it at all.
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
    /// It follows by [`StreamCommand::Data`]: this number of bytes, or in chunks.
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
    /// Who receives the error when there is no such stream.
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
    /// Who receives the error when the state allows no ping.
    pub caller: K::Caller,
    /// The sink receives this before the connection ends by the ping.
    pub name: K::Control,
}

/// A request to upgrade to WebSocket.
pub struct Upgrade<K: Sink> {
    /// The stream that it opens.
    pub stream: K::Stream,
    /// Who receives the error when the connection cannot do it at all.
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
    /// The WebSocket to send them on; `None` is the one that the whole connection is, or is about to be again.
    pub stream: Option<K::StreamId>,
    /// Who receives the report on them.
    pub reply: Reply<K>,
    /// The frames.
    pub items: Vec<Item<K::Source>>,
    /// The number of calls that gave them: the caller receives an error for each.
    pub calls: u32,
}

impl<K: Sink> Outgoing<K> {
    /// What was given in one call.
    #[must_use]
    pub fn new(stream: Option<K::StreamId>, reply: Reply<K>, items: Vec<Item<K::Source>>) -> Self {
        Self { stream, reply, items, calls: 1 }
    }

    /// Reports to their sender that the state does not allow them.
    pub(crate) fn refuse(&self, sink: &mut K, error: BadState) {
        for _ in 0..self.calls {
            sink.event(match &self.reply {
                Reply::Caller(caller) => Event::BadState { stream: None, caller, error },
                Reply::Receipt(receipt) => Event::NotSent { receipt, error: NotSent::BadState(error) },
            });
        }
    }

    /// What they count for while they wait.
    pub(crate) fn cost(&self) -> usize {
        COMMAND + self.items.iter().map(Item::cost).sum::<usize>()
    }
}

/// Who receives the report on frames.
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

impl<B: crate::payload::Source> Item<B> {
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        ITEM + match self {
            Self::Encoded(_, bytes) | Self::Small(_, bytes) | Self::Close(bytes) => bytes.len(),
            Self::Large(_, source) => source.len(),
        }
    }
}

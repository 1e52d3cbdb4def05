//! The commands that a connection takes.

pub mod tunnel;

use std::borrow::Borrow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::time::Instant;

use self::tunnel::{Destination, Socks};
use crate::error::BadState;
use crate::event::{Event, NotSent};
use crate::options::{Flow, WsOptions};
use crate::sink::Sink;
use crate::transport::proxy::Proxy;
use crate::transport::tls::TlsClient;
use crate::websocket::deflate::Agreed;
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
    /// The connections that follow lead through a proxy that speaks SOCKS 5.
    Through(Arc<Socks>),
    /// The connections that follow are dialled through this proxy, and `Up` says what is spoken behind it.
    Proxy(Arc<Proxy>),
    /// What concerns a stream, or opens one.
    Stream(StreamCommand<K>),
    /// All that was to be handed on has been: the answer to [`crate::Event::RelayCheck`].
    RelayGrant,
    /// Pings the peer: answered by `PingAck`. HTTP/1.1 has no ping, and a WebSocket's is a frame of its own: HTTP/1.1 ends by
    /// this command, as in gun, with [`crate::error::ConnectionError::PingUnsupported`].
    Ping(Box<Ping<K>>),
    /// Ends the connection gracefully: answered by `ShutDown`, instead of `Down`.
    Shutdown,
    /// For the sink.
    Control(Box<K::Control>),
    /// Makes the task panic, to test what follows.
    Panic,
}

/// The fields of a header block or of trailers, in order.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

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
    /// Sends frames that other connections are sent too, on the WebSocket that the whole connection is.
    Broadcast(Arc<Frames>),
    /// Raises the number of messages, or of parts of a response's body, that may be received. `None` is the WebSocket that
    /// the whole connection is.
    UpdateFlow(Option<Box<K::StreamId>>, i64),
    /// The receiver of this stream keeps up: the answer to [`crate::Event::FlowCheck`].
    FlowGrant(Box<K::StreamId>),
    /// The receiver of this stream has had its chance to answer: the answer to [`crate::Event::Settle`].
    Settled(Box<K::StreamId>),
    /// Changes how a WebSocket behaves.
    Tune(Box<Tune<K>>),
    /// Answers a request on a connection that was accepted.
    Respond(Box<Respond<K>>),
    /// Sends an informational response before the one that answers the request.
    Inform(Box<Inform<K>>),
    /// Ends the body of a response that was begun with [`ResponseBody::Streamed`], with these trailers.
    ResponseTrailers(Box<(K::StreamId, Fields)>),
    /// Answers a request with a WebSocket: followed by `Upgraded`.
    Accept(Box<AcceptUpgrade<K>>),
    /// Ends a WebSocket with a close frame of this code, unless it is closing already; what waits to be sent leaves before
    /// it. `None` is the WebSocket that the whole connection is. A connection that speaks HTTP ends, and what is under way
    /// is cut.
    CloseWith(Box<(Option<K::StreamId>, u16)>),
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

    /// The frames that it sends, whose account is the WebSocket's, and not the connection's.
    pub(crate) fn frames(&self) -> Option<&Outgoing<K>> {
        if let Self::Stream(StreamCommand::Send(outgoing)) = self { Some(outgoing) } else { None }
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
            Self::Broadcast(frames) => COMMAND + ITEM + frames.bytes.len(),
            Self::Respond(respond) => respond.cost(),
            Self::Inform(inform) => COMMAND + headers_len(&inform.headers),
            Self::ResponseTrailers(trailers) => COMMAND + headers_len(&trailers.1),
            Self::Accept(accept) => COMMAND + headers_len(&accept.headers),
            _ => 0,
        }
    }

    /// How much of its cost it needs no room for: a limit that has room for the bytes of a command, while nothing else
    /// waits, lets it pass.
    pub(crate) fn allowance(&self) -> usize {
        match self {
            Self::Send(outgoing) if !outgoing.items.is_empty() => COMMAND + ITEM,
            Self::Broadcast(_) => COMMAND + ITEM,
            command => command.cost().min(COMMAND),
        }
    }

    /// The stream that it concerns, where it may wait for a connection.
    pub(crate) fn stream(&self) -> Option<&K::StreamId> {
        match self {
            Self::Request(request) => Some(request.stream.borrow()),
            Self::Upgrade(upgrade) => Some(upgrade.stream.borrow()),
            Self::Data(data) => Some(&data.stream),
            Self::Cancel(cancel) => Some(&cancel.0),
            Self::UpdateFlow(stream, _) => stream.as_deref(),
            _ => None,
        }
    }

    /// The stream that it names.
    pub(crate) fn named(&self) -> Option<&K::StreamId> {
        match self {
            Self::Info(asked) => Some(&asked.0),
            Self::Send(outgoing) => outgoing.stream.as_ref(),
            Self::FlowGrant(stream) | Self::Settled(stream) => Some(stream),
            Self::Tune(tune) => tune.stream.as_ref(),
            Self::CloseWith(close) => close.0.as_ref(),
            command => command.stream(),
        }
    }

    /// The request that it answers, and who answers it, where that is what it does.
    pub(crate) fn answered(&self) -> Option<(&K::StreamId, &K::Caller)> {
        match self {
            Self::Respond(respond) => Some((&respond.stream, &respond.caller)),
            Self::Inform(inform) => Some((&inform.stream, &inform.caller)),
            Self::Accept(accept) => Some((&accept.stream, &accept.caller)),
            Self::Data(data) => Some((&data.stream, &data.caller)),
            _ => None,
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
    /// How many parts of the response's body may be received: as many as the protocol's options say where there is no
    /// number.
    pub flow: Option<Flow>,
    /// How long the peer may take to answer once it has the request; `None` is unlimited.
    pub response_timeout: Option<Duration>,
    /// How long it may take from one part of the response's body to the next; `None` is unlimited.
    pub body_timeout: Option<Duration>,
    /// How long all of it may take, to the end of the response; `None` is unlimited.
    pub timeout: Option<TimeLimit>,
}

/// How long something may take, and when that is over: the time counts from the call, wherever it is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    pub(crate) limit: Duration,
    pub(crate) at: Instant,
}

impl TimeLimit {
    /// It counts from now on.
    #[must_use]
    pub fn from_now(limit: Duration) -> Self {
        Self { limit, at: Instant::now() + limit }
    }
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
    target + headers_len(headers)
}

fn headers_len(headers: &[(HeaderName, HeaderValue)]) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum Body {
    /// There is none: it is a CONNECT, and the tunnel follows: answered by `Response`, then by `TunnelUp` if it succeeds.
    Tunnel(Arc<Destination>),
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

/// A part of the body of a request, or of a response on a connection that was accepted.
pub struct RequestData<K: Sink> {
    /// The request's stream.
    pub stream: K::StreamId,
    /// Who receives the error when there is no such stream.
    pub caller: K::Caller,
    /// The bytes.
    pub data: Bytes,
    /// Whether they are the last.
    pub fin: bool,
    /// Whoever waits for it is told when the operating system has them, or why it never will; the caller is told nothing
    /// then. The engine's own servers have no such receipts.
    pub receipt: Option<K::Receipt>,
}

impl<K: Sink> RequestData<K> {
    /// Reports to whoever waits, if anybody does, that they can't be sent.
    pub(crate) fn refuse(&self, error: BadState, sink: &mut K) -> bool {
        let Some(receipt) = &self.receipt else { return false };
        sink.event(Event::NotSent { receipt, error: NotSent::BadState(error) });
        true
    }

    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        COMMAND + self.data.len()
    }
}

/// A response.
pub struct Respond<K: Sink> {
    /// The request's stream.
    pub stream: K::StreamId,
    /// Who receives the error when there is no such stream.
    pub caller: K::Caller,
    /// The status code, which must not be an informational one.
    pub status: StatusCode,
    /// The reason phrase; the status code's own where there is none, or one that no status line can have.
    pub reason: Option<Bytes>,
    /// The headers. Those that say how long the body is are the engine's own, and `date` is added if it is missing.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body. A response to HEAD, a 204 and a 304 are sent without it.
    pub body: ResponseBody,
}

impl<K: Sink> Respond<K> {
    /// What it counts for while it waits.
    pub(crate) fn cost(&self) -> usize {
        let body = if let ResponseBody::Whole(bytes) = &self.body { bytes.len() } else { 0 };
        COMMAND + headers_len(&self.headers) + body
    }
}

/// The body of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseBody {
    /// All of it.
    Whole(Bytes),
    /// It follows by [`StreamCommand::Data`]: this number of bytes, or in chunks.
    Streamed(Option<u64>),
    /// It stands in a file, and is read piece by piece.
    File {
        /// The file.
        path: PathBuf,
        /// Where in the file it begins.
        offset: u64,
        /// How many bytes there are of it.
        length: u64,
    },
}

/// An informational response.
pub struct Inform<K: Sink> {
    /// The request's stream.
    pub stream: K::StreamId,
    /// Who receives the error when there is no such stream.
    pub caller: K::Caller,
    /// The status code, which must be an informational one, and not that of a WebSocket.
    pub status: StatusCode,
    /// The headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A WebSocket as the answer to a request for it.
pub struct AcceptUpgrade<K: Sink> {
    /// The request's stream.
    pub stream: K::StreamId,
    /// Who receives the error when there is no such stream.
    pub caller: K::Caller,
    /// The key of the request.
    pub key: HeaderValue,
    /// The headers of the answer but for `connection`, `upgrade` and `sec-websocket-accept`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The session's options.
    pub options: Box<WsOptions>,
    /// What was agreed on with `sec-websocket-extensions`, among the headers.
    pub deflate: Option<Agreed>,
}

/// A ping.
pub struct Ping<K: Sink> {
    /// The tunnel at whose end the peer is, if it is one's.
    pub tunnel: Option<K::StreamId>,
    /// Who receives the error when the state allows no ping.
    pub caller: K::Caller,
    /// What names the ping in its answer, or in the end of a connection that has no pings.
    pub name: K::StreamId,
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

/// How a WebSocket is to behave from now on. What is `None` stays as it is.
pub struct Tune<K: Sink> {
    /// The WebSocket; `None` is the one that the whole connection is.
    pub stream: Option<K::StreamId>,
    /// Whether messages are received.
    pub active: Option<bool>,
    /// Whether the messages that are sent after this are compressed, if that was agreed on.
    pub deflate: Option<bool>,
    /// See [`WsOptions::idle_timeout`]: it begins anew.
    pub idle_timeout: Option<Option<Duration>>,
    /// See [`WsOptions::max_frame_size`]: it counts from the next frame on.
    pub max_frame_size: Option<Option<u64>>,
    /// See [`WsOptions::max_message_size`]: it counts from the next frame on.
    pub max_message_size: Option<Option<u64>>,
}

impl<K: Sink> Default for Tune<K> {
    fn default() -> Self {
        let (stream, active, deflate) = (None, None, None);
        Self { stream, active, deflate, idle_timeout: None, max_frame_size: None, max_message_size: None }
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

    /// The same, on a connection with several streams: the report names the one that they are for, if they name it.
    pub(crate) fn refuse_on_stream(&self, sink: &mut K, error: BadState) {
        let (Some(stream), Reply::Caller(caller)) = (&self.stream, &self.reply) else {
            return self.refuse(sink, error);
        };
        for _ in 0..self.calls {
            sink.event(Event::Refused { stream, caller, error });
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

/// Whole data, ping or pong frames, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// How many there are.
    pub count: u32,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

/// A part of what is to be sent.
pub enum Item<B> {
    /// Whole data, ping or pong frames, encoded and masked: how many, and their bytes.
    Encoded(u32, Vec<u8>),
    /// The same, where others hold them too.
    Shared(Arc<Frames>),
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
            Self::Shared(frames) => frames.bytes.len(),
            Self::Large(_, source) => source.len(),
        }
    }
}

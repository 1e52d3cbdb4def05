//! What happens on a connection beside its events, for whoever observes it.
//!
//! A sink is given the steps that [`ConnectOptions::observed`](crate::ConnectOptions) asks for. What an
//! [`Event`](super::Event) shows by itself is no step: a sink that wants to report the head of a response reports the event.

use http::{HeaderMap, Method, Uri};

use super::{Promise, Stats};
use crate::options::Steps;
use crate::sink::Sink;
use crate::transport::step::DialStep;
use crate::websocket::frame::{Header, Opcode};

/// One step. What it borrows is valid during the call alone.
pub enum Step<'a, K: Sink> {
    /// A step of a dial.
    Dial(DialStep<'a>),
    /// An upgrade to WebSocket begins: its request follows.
    Upgrade {
        /// The stream that it opens.
        stream: &'a K::Stream,
    },
    /// A request is sent, up to its headers.
    Request {
        /// Its stream.
        stream: &'a K::Stream,
        /// What is sent.
        head: RequestHead<'a>,
    },
    /// All of the request is sent.
    RequestEnd {
        /// Its stream.
        stream: &'a K::Stream,
    },
    /// The head of a response has come, informational or not, of which no event follows: the stream was cancelled.
    SilentResponse {
        /// Its stream.
        stream: &'a K::Stream,
    },
    /// All of such a response has come.
    SilentResponseEnd {
        /// Its stream.
        stream: &'a K::Stream,
    },
    /// The user has cancelled a stream.
    Cancel {
        /// The stream.
        stream: &'a K::Stream,
        /// Who has asked for it.
        caller: &'a K::Caller,
    },
    /// A response that the peer promises is refused: [`Sink::promise`] is not asked.
    PromiseRefused {
        /// The stream that it was promised on.
        parent: &'a K::Stream,
        /// The promise.
        promise: Promise<'a>,
    },
    /// The header of a frame has come.
    FrameHeader {
        /// The WebSocket's stream.
        stream: &'a K::Stream,
        /// What was agreed on.
        takeover: Option<Takeover>,
        /// The fragmented message that it comes amidst.
        before: Option<Fragmented>,
        /// The fragmented message that it belongs to, or still comes amidst.
        now: Option<Fragmented>,
        /// The header.
        header: Header,
    },
    /// All of a frame has come.
    FrameEnd {
        /// The WebSocket's stream.
        stream: &'a K::Stream,
        /// What was agreed on.
        takeover: Option<Takeover>,
        /// The code of a close frame, if it has one.
        close_code: Option<u16>,
        /// The payload, inflated and unmasked; of a close frame its reason.
        payload: &'a [u8],
    },
    /// A frame is about to be sent, or has been.
    FrameSent {
        /// The WebSocket's stream.
        stream: &'a K::Stream,
        /// What was agreed on.
        takeover: Option<Takeover>,
        /// Who sends it.
        sender: FrameSender<'a, K>,
        /// What it carries.
        opcode: Opcode,
        /// Its payload, as it was given.
        payload: &'a [u8],
        /// Whether it has been sent.
        done: bool,
    },
    /// A WebSocket is over.
    WebsocketEnd {
        /// Its stream.
        stream: &'a K::Stream,
        /// The code of the peer's close frame, if one has come that has a code.
        close_code: Option<u16>,
        /// All that it has received and sent.
        stats: Stats,
    },
}

/// The head of a request.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// What has begun it.
    pub function: Function,
    /// The method.
    pub method: &'a Method,
    /// The host that is asked, with its port where that is not the scheme's own.
    pub authority: &'a str,
    /// The target: its path and its query are what is asked for.
    pub target: &'a Uri,
    /// The headers as they are sent, without the pseudo headers of HTTP/2.
    pub headers: &'a HeaderMap,
}

/// What a request was begun by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// A request with all of its body.
    Request,
    /// A request whose body follows.
    Headers,
    /// An upgrade to WebSocket.
    WsUpgrade,
    /// A tunnel, which has no path.
    Connect,
}

/// Which end keeps its context from one compressed message to the next (RFC 7692, 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takeover {
    /// The end that sends: this one.
    pub deflate: bool,
    /// The other one.
    pub inflate: bool,
}

/// A message in fragments (RFC 6455, 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragmented {
    /// Whether the fragment at hand is its last.
    pub fin: bool,
    /// Whether it is text.
    pub text: bool,
    /// Whether it is compressed.
    pub compressed: bool,
}

/// Who sends a frame.
pub enum FrameSender<'a, K: Sink> {
    /// The user.
    Caller(&'a K::Caller),
    /// The user, who waits for it to be sent.
    Receipt(&'a K::Receipt),
    /// The session itself: it pings, it answers pings, it closes.
    Session,
}

impl<K: Sink> Step<'_, K> {
    /// What must be observed for this step to be given.
    #[must_use]
    pub fn kinds(&self) -> Steps {
        match self {
            Self::Dial(step) => step.kind(),
            Self::Upgrade { .. } => Steps::WS_UPGRADE,
            Self::Request { .. } => Steps::REQUEST_START.with(Steps::REQUEST_HEADERS),
            Self::RequestEnd { .. } => Steps::REQUEST_END,
            Self::SilentResponse { .. } => Steps::RESPONSE_START,
            Self::SilentResponseEnd { .. } => Steps::RESPONSE_END,
            Self::Cancel { .. } => Steps::CANCEL,
            Self::PromiseRefused { .. } => Steps::PUSH_PROMISE_START.with(Steps::PUSH_PROMISE_END),
            Self::FrameHeader { .. } => Steps::WS_RECV_FRAME_START.with(Steps::WS_RECV_FRAME_HEADER),
            Self::FrameEnd { .. } => Steps::WS_RECV_FRAME_END,
            Self::FrameSent { done: false, .. } => Steps::WS_SEND_FRAME_START,
            Self::FrameSent { done: true, .. } => Steps::WS_SEND_FRAME_END,
            Self::WebsocketEnd { .. } => Steps::WS_END,
        }
    }
}

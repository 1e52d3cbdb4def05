//! A sink that records: each event, free of what it borrows, so that a test can compare it.

use std::io;

use http::HeaderMap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::lossy;
use super::{INSIDE, OWNER, PROMISED_FROM, PROMISING, RELAYED, REMOTE, UNNAMED_FROM};
use crate::error::http2::Http2Code;
use crate::error::{
    BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, SocksError, Wait,
};
use crate::event::step::{Fragmented, FrameSender, Step};
use crate::event::{Data, Event, Message, NotSent, PeerSettings, Promise, ProtocolName, StreamError, StreamInfo};
use crate::sink::Sink;

/// Declares [`Told`] and what each of its variants is made of: a row for each.
macro_rules! told {
    ($([$($variant:tt)*] $event:pat => $told:expr;)*) => {
        /// An event, free of what it borrows. A stream stands first where there is one.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Told {
            $($($variant)*,)*
            /// A command to the sink, which is no event.
            Control(u32),
            /// A promise, which is no event either: its method, its URI and its headers.
            Promise(u32, String, String, Vec<(String, String)>),
            /// A step, in words.
            Step(String),
        }

        fn owned(event: Event<'_, Recorder>) -> Told {
            match event {
                $($event => $told,)*
            }
        }
    };
}

told! {
    [Up(ProtocolName)] Event::Up { protocol, .. } => Told::Up(protocol);
    [ConnectFailed(Failure)] Event::ConnectFailed(error) => Told::ConnectFailed(error.into());
    [Down(ProtocolName, Reason, Vec<u32>)]
        Event::Down { protocol, reason, killed, .. } => {
            Told::Down(protocol, reason.into(), killed.iter().map(|stream| **stream).collect())
        };
    [ShutDown] Event::ShutDown => Told::ShutDown;
    [Panicked(Option<ProtocolName>, String, Vec<u32>)]
        Event::Panicked { protocol, text, killed } => Told::Panicked(protocol, text, killed.to_vec());
    [Upgraded(u32)] Event::Upgraded { stream, .. } => Told::Upgraded(*stream);
    [TunnelUp(Option<u32>, ProtocolName, String)] Event::TunnelUp { stream, protocol, label, .. } =>
        Told::TunnelUp(stream.copied(), protocol, lossy(label));
    [TunnelOver(u32)] Event::TunnelOver { stream } => Told::TunnelOver(*stream);
    [Switched(u32)] Event::Switched { stream, .. } => Told::Switched(*stream);
    [Inform(u32, u16)] Event::Inform { stream, status, .. } => Told::Inform(*stream, status.as_u16());
    [Response(u32, Fin, u16)]
        Event::Response { stream, fin, status, .. } => Told::Response(*stream, fin.into(), status.as_u16());
    [Data(u32, Fin, String)] Event::Data { stream, fin, data } => Told::Data(*stream, fin.into(), lossy(&data));
    [Trailers(u32, Vec<(String, String)>)]
        Event::Trailers { stream, trailers } => Told::Trailers(*stream, fields(trailers));
    [NoStream(u32, u32)] Event::NoStream { stream, caller } => Told::NoStream(*stream, *caller);
    [Refused(u32, u32, BadState)]
        Event::Refused { stream, caller, error } => Told::Refused(*stream, *caller, error);
    [StreamInfo(u32, Known)] Event::StreamInfo { receipt, info } => Told::StreamInfo(*receipt, info.into());
    [Text(u32, String)] Event::Message { stream, message: Message::Text(data) } =>
        Told::Text(*stream, String::from_utf8(bytes(data)).unwrap());
    [Binary(u32, Vec<u8>)]
        Event::Message { stream, message: Message::Binary(data) } => Told::Binary(*stream, bytes(data));
    [Fragment { stream: u32, text: bool, first: bool, fin: Fin, data: Vec<u8> }]
        Event::Message { stream, message: Message::Fragment { text, fin, first, data } } =>
        Told::Fragment { stream: *stream, text, first, fin: fin.into(), data: bytes(data) };
    [Ping(u32, String)]
        Event::Message { stream, message: Message::Ping(payload) } => Told::Ping(*stream, lossy(payload));
    [Pong(u32, String)]
        Event::Message { stream, message: Message::Pong(payload) } => Told::Pong(*stream, lossy(payload));
    [Close(u32, Option<(u16, String)>)] Event::Message { stream, message: Message::Close(close) } =>
        Told::Close(*stream, close.map(|(code, reason)| (code, reason.to_owned())));
    [Handshake(u32, HandshakeError)] Event::StreamError { stream, error: StreamError::Handshake(error) } =>
        Told::Handshake(*stream, error.clone());
    [Protocol(u32, ProtocolError)] Event::StreamError { stream, error: StreamError::Protocol(error) } =>
        Told::Protocol(*stream, error.clone());
    [Closed(u32, Reason)]
        Event::StreamError { stream, error: StreamError::Closed(reason) } => Told::Closed(*stream, reason.into());
    [Closing(u32)] Event::StreamError { stream, error: StreamError::Closing } => Told::Closing(*stream);
    [CutShort(u32)] Event::StreamError { stream, error: StreamError::ShutDown } => Told::CutShort(*stream);
    [TunnelClosed(u32, Reason)] Event::StreamError { stream, error: StreamError::TunnelClosed(reason) } =>
        Told::TunnelClosed(*stream, reason.into());
    [WebsocketClosing(u32)]
        Event::StreamError { stream, error: StreamError::WebsocketClosing } => Told::WebsocketClosing(*stream);
    [ConnectionCloses(u32)]
        Event::StreamError { stream, error: StreamError::ConnectionCloses } => Told::ConnectionCloses(*stream);
    [TimedOut(u32, Wait)]
        Event::StreamError { stream, error: StreamError::Timeout(wait) } => Told::TimedOut(*stream, wait);
    [StreamBadState(u32, BadState)]
        Event::StreamError { stream, error: StreamError::BadState(error) } => Told::StreamBadState(*stream, error);
    [ConnectionError(Reason)] Event::ConnectionError(error) => Told::ConnectionError(error.into());
    [Reset(u32, Http2Code)]
        Event::StreamError { stream, error: StreamError::Reset(code) } => Told::Reset(*stream, code);
    [Fault(u32, Http2Code)]
        Event::StreamError { stream, error: StreamError::Fault(fault) } => Told::Fault(*stream, fault.code);
    [StreamGoAway(u32, Http2Code)]
        Event::StreamError { stream, error: StreamError::GoAway(code) } => Told::StreamGoAway(*stream, code);
    [TooManyStreams(u32)]
        Event::StreamError { stream, error: StreamError::TooManyStreams } => Told::TooManyStreams(*stream);
    [ConnectionFault(Vec<u32>, Http2Code)] Event::ConnectionFault { streams, fault } =>
        Told::ConnectionFault(streams.iter().map(|stream| **stream).collect(), fault.code);
    [PingEnds(u32)] Event::PingEnds { name } => Told::PingEnds(*name);
    [PingAck(u32, u32)] Event::PingAck { caller, name } => Told::PingAck(*caller, *name);
    [Settings(PeerSettings)] Event::Settings(settings) => Told::Settings(*settings);
    [GoAway(Http2Code, String)] Event::GoAway { code, debug } => Told::GoAway(code, lossy(debug));
    [FlowCheck(u32, u64)] Event::FlowCheck { stream, messages, .. } => Told::FlowCheck(*stream, messages);
    [RelayCheck] Event::RelayCheck => Told::RelayCheck;
    [Settle(u32)] Event::Settle { stream } => Told::Settle(*stream);
    [Sent(u32)] Event::Sent(receipt) => Told::Sent(*receipt);
    [NotSent(u32, Unsent)] Event::NotSent { receipt, error } => Told::NotSent(*receipt, error.into());
    [BadState(u32, BadState)] Event::BadState { caller, error, .. } => Told::BadState(*caller, error);
}

/// Whether something is the last of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fin {
    Fin,
    NoFin,
}

/// A [`StreamInfo`] that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    NotConnected,
    Nothing,
    Stream(u32, bool),
    /// With the frames that it has received, and those that it has sent.
    Websocket(u32, u64, u64),
}

/// A [`NotSent`] that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsent {
    BadState(BadState),
    Down(Reason),
    ShutDown,
}

/// A [`ConnectError`] that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    NameNotFound,
    ResolverBusy,
    Timeout,
    Closed,
    Tls(&'static str),
    Socks(SocksError),
    Proxy(String),
    Io(io::ErrorKind),
}

/// A [`DownReason`] that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    Closed,
    Normal,
    Io(io::ErrorKind),
    TunnelTls(&'static str),
    TunnelTimeout,
    Socks(SocksError),
    Proxy(String),
    Tls(&'static str),
    Truncated,
    KeepaliveTimeout,
    IdleTimeout,
    SendTimeout,
    Timeout(Wait),
    Refused(u16),
    Handshake(HandshakeError),
    Protocol(ProtocolError),
    Http,
    Http2(Http2Code),
    LimitReached,
    RequestTooShort,
    PingUnsupported,
    OutOfMemory,
}

/// A sink that passes on what it is told.
pub(crate) struct Recorder(UnboundedSender<Told>);

impl Sink for Recorder {
    type Stream = u32;
    type StreamId = u32;
    type Caller = u32;
    type Receipt = u32;
    type Control = u32;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        // A test that has seen enough listens no more.
        let _ = self.0.send(owned(event));
    }

    /// Those on [`PROMISING`] alone are taken.
    fn promise(&mut self, parent: &u32, promise: Promise<'_>) -> Option<u32> {
        if *parent != PROMISING {
            return None;
        }
        let Promise { method, uri, headers } = promise;
        let _ = self.0.send(Told::Promise(*parent, method.to_string(), uri.to_string(), fields(headers)));
        Some(PROMISED_FROM + parent)
    }

    /// A stream of a tunnel is named by the tunnel's name and its own.
    fn tunnel(stream: &u32) -> Option<u32> {
        (*stream >= INSIDE).then(|| stream / INSIDE)
    }

    fn raw(&mut self, asked: Option<&u32>, named: bool) -> Option<u32> {
        Some(asked.map_or(OWNER, |stream| if named { *stream } else { UNNAMED_FROM + stream }))
    }

    fn step(&mut self, step: Step<'_, Self>) {
        let _ = self.0.send(Told::Step(step_in_words(&step)));
    }

    fn relays(&self, stream: &u32) -> bool {
        *stream >= RELAYED
    }

    fn is_remote(&self, stream: &u32) -> bool {
        *stream >= REMOTE
    }

    fn control(&mut self, control: u32) {
        let _ = self.0.send(Told::Control(control));
    }
}

fn step_in_words(step: &Step<'_, Recorder>) -> String {
    match step {
        Step::Dial(step) => format!("{step:?}"),
        Step::Upgrade { stream } => format!("{stream} upgrade"),
        Step::Request { stream, head } => {
            format!("{stream} {:?} {} {} {}", head.function, head.method, head.authority, head.target.path())
        }
        Step::RequestEnd { stream } => format!("{stream} request end"),
        Step::SilentResponse { stream } => format!("{stream} response"),
        Step::SilentResponseEnd { stream } => format!("{stream} response end"),
        Step::Cancel { stream, caller } => format!("{stream} cancelled by {caller}"),
        Step::PromiseRefused { parent, promise } => format!("{parent} refuses {}", promise.uri),
        Step::FrameHeader { stream, before, now, header, .. } => {
            let fragmented = |message: &Option<Fragmented>| message.map(|message| message.fin);
            format!("{stream} {:?} of {}, {:?} {:?}", header.opcode, header.len, fragmented(before), fragmented(now))
        }
        Step::FrameEnd { stream, close_code, payload, .. } => {
            format!("{stream} end {close_code:?} {}", lossy(payload))
        }
        Step::FrameSent { stream, sender, opcode, payload, done, .. } => {
            let sender = match sender {
                FrameSender::Caller(caller) => format!("caller {caller}"),
                FrameSender::Receipt(receipt) => format!("receipt {receipt}"),
                FrameSender::Session => "session".to_owned(),
            };
            let verb = if *done { "sent" } else { "sends" };
            format!("{stream} {sender} {verb} {opcode:?} {}", lossy(payload))
        }
        Step::WebsocketEnd { stream, close_code, stats } => {
            format!("{stream} over {close_code:?} {} in {} out", stats.frames_in, stats.frames_out)
        }
    }
}

/// A recorder, and what it will record.
pub(crate) fn recorder() -> (Recorder, UnboundedReceiver<Told>) {
    let (sender, receiver) = unbounded_channel();
    (Recorder(sender), receiver)
}

fn bytes(data: Data<'_, Vec<u8>>) -> Vec<u8> {
    match data {
        Data::Borrowed(bytes) => bytes.to_vec(),
        Data::Owned(bytes) => bytes,
    }
}

impl From<bool> for Fin {
    fn from(fin: bool) -> Self {
        if fin { Self::Fin } else { Self::NoFin }
    }
}

impl From<&DownReason> for Reason {
    fn from(reason: &DownReason) -> Self {
        match reason {
            DownReason::Closed => Self::Closed,
            DownReason::Normal => Self::Normal,
            DownReason::Tls(error) => Self::TunnelTls(error.alert),
            DownReason::Error(error) => error.into(),
        }
    }
}

impl From<&ConnectionError> for Reason {
    fn from(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::Io(error) => Self::Io(error.kind()),
            ConnectionError::Tls(error) => Self::Tls(error.alert),
            ConnectionError::Truncated => Self::Truncated,
            ConnectionError::TunnelTimeout => Self::TunnelTimeout,
            ConnectionError::Socks(error) => Self::Socks(*error),
            ConnectionError::Proxy(error) => Self::Proxy(error.to_string()),
            ConnectionError::KeepaliveTimeout => Self::KeepaliveTimeout,
            ConnectionError::IdleTimeout => Self::IdleTimeout,
            ConnectionError::SendTimeout => Self::SendTimeout,
            ConnectionError::Timeout(wait) => Self::Timeout(*wait),
            ConnectionError::Refused(refusal) => Self::Refused(refusal.status),
            ConnectionError::Handshake(error) => Self::Handshake(error.clone()),
            ConnectionError::Protocol(error) => Self::Protocol(error.clone()),
            ConnectionError::Http(_) => Self::Http,
            ConnectionError::Http2(fault) => Self::Http2(fault.code),
            ConnectionError::LimitReached(_) => Self::LimitReached,
            ConnectionError::RequestTooShort => Self::RequestTooShort,
            ConnectionError::PingUnsupported => Self::PingUnsupported,
            ConnectionError::OutOfMemory(_) => Self::OutOfMemory,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NameNotFound => Self::NameNotFound,
            ConnectError::ResolverBusy => Self::ResolverBusy,
            ConnectError::Timeout => Self::Timeout,
            ConnectError::Closed => Self::Closed,
            ConnectError::Tls(error) => Self::Tls(error.alert),
            ConnectError::Socks(error) => Self::Socks(error),
            ConnectError::Proxy(error) => Self::Proxy(error.to_string()),
            ConnectError::Io(error) => Self::Io(error.kind()),
        }
    }
}

impl From<StreamInfo<'_, Recorder>> for Known {
    fn from(info: StreamInfo<'_, Recorder>) -> Self {
        match info {
            StreamInfo::NotConnected => Self::NotConnected,
            StreamInfo::Unknown => Self::Nothing,
            StreamInfo::Stream { stream, running } => Self::Stream(*stream, running),
            StreamInfo::Websocket { stream, stats } => Self::Websocket(*stream, stats.frames_in, stats.frames_out),
        }
    }
}

impl From<NotSent<'_>> for Unsent {
    fn from(error: NotSent<'_>) -> Self {
        match error {
            NotSent::BadState(error) => Self::BadState(error),
            NotSent::Down(reason) => Self::Down(reason.into()),
            NotSent::ShutDown => Self::ShutDown,
        }
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), lossy(value.as_bytes()))).collect()
}

//! A sink that records: each event, free of what it borrows, so that a test can compare it.

use std::io;

use http::HeaderMap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::lossy;
use super::{RELAYED, REMOTE};
use crate::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Wait};
use crate::event::{Data, Event, Message, NotSent, ProtocolName, StreamError, StreamInfo};
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
        Event::Down { protocol, reason, killed, .. } => Told::Down(protocol, reason.into(), killed.to_vec());
    [ShutDown] Event::ShutDown => Told::ShutDown;
    [Panicked(Option<ProtocolName>, String, Vec<u32>)]
        Event::Panicked { protocol, text, killed } => Told::Panicked(protocol, text, killed.to_vec());
    [Upgraded(u32)] Event::Upgraded { stream, .. } => Told::Upgraded(*stream);
    [Inform(u32, u16)] Event::Inform { stream, status, .. } => Told::Inform(*stream, status.as_u16());
    [Response(u32, Fin, u16)]
        Event::Response { stream, fin, status, .. } => Told::Response(*stream, fin.into(), status.as_u16());
    [Data(u32, Fin, String)] Event::Data { stream, fin, data } => Told::Data(*stream, fin.into(), lossy(&data));
    [Trailers(u32, Vec<(String, String)>)]
        Event::Trailers { stream, trailers } => Told::Trailers(*stream, fields(trailers));
    [NoStream(u32, u32)] Event::NoStream { stream, caller } => Told::NoStream(*stream, *caller);
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
    [WebsocketClosing(u32)]
        Event::StreamError { stream, error: StreamError::WebsocketClosing } => Told::WebsocketClosing(*stream);
    [ConnectionCloses(u32)]
        Event::StreamError { stream, error: StreamError::ConnectionCloses } => Told::ConnectionCloses(*stream);
    [TimedOut(u32, Wait)]
        Event::StreamError { stream, error: StreamError::Timeout(wait) } => Told::TimedOut(*stream, wait);
    [StreamBadState(u32, BadState)]
        Event::StreamError { stream, error: StreamError::BadState(error) } => Told::StreamBadState(*stream, error);
    [ConnectionError(Reason)] Event::ConnectionError(error) => Told::ConnectionError(error.into());
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
    Io(io::ErrorKind),
}

/// A [`DownReason`] that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    Closed,
    Normal,
    Io(io::ErrorKind),
    Tls(&'static str),
    Truncated,
    KeepaliveTimeout,
    SendTimeout,
    Timeout(Wait),
    Refused(u16),
    Handshake(HandshakeError),
    Protocol(ProtocolError),
    Http,
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
            ConnectionError::KeepaliveTimeout => Self::KeepaliveTimeout,
            ConnectionError::SendTimeout => Self::SendTimeout,
            ConnectionError::Timeout(wait) => Self::Timeout(*wait),
            ConnectionError::Refused(refusal) => Self::Refused(refusal.status),
            ConnectionError::Handshake(error) => Self::Handshake(error.clone()),
            ConnectionError::Protocol(error) => Self::Protocol(error.clone()),
            ConnectionError::Http(_) => Self::Http,
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

//! What the tests of this crate share: a sink that records, a connection on an in-memory stream, and the peer at the
//! stream's other end.

use std::io::{self, Cursor};
use std::time::Duration;

use http::{HeaderMap, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::command::{Command, Item, Outgoing, Reply, Upgrade};
use crate::connection::{Handle, QueueFull, spawn_on};
use crate::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Wait};
use crate::event::{Data, Event, Message, NotSent, Protocol, StreamError, StreamInfo};
use crate::options::{ConnectOptions, Endpoint, HttpOptions, Steps, TcpOptions, WsOptions};
use crate::sink::Sink;
use crate::transport::ByteStream;
use crate::websocket::frame::{Opcode, encode, encode_close};

/// How long a test waits for what it expects. With a paused clock it passes at once when nothing is left to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an in-memory stream holds for a test that has no wish of its own.
pub(crate) const BUFFER: usize = 64 * 1024;

/// The stream of the tests that have one alone.
pub(crate) const STREAM: u32 = 1;

/// A stream that somebody hands on what is told of, and one whose receiver is on another node besides.
pub(crate) const RELAYED: u32 = 100;
pub(crate) const REMOTE: u32 = 101;

/// Who gives the commands.
pub(crate) const CALLER: u32 = 7;

/// What a connection speaks before and after an upgrade.
pub(crate) use Protocol::{Http, Ws};

/// An event, free of what it borrows. A stream stands first where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Up(Protocol),
    ConnectFailed(Failure),
    Down(Protocol, Reason, Vec<u32>),
    ShutDown,
    Panicked(Option<Protocol>, String, Vec<u32>),
    Upgraded(u32),
    Inform(u32, u16),
    Response(u32, Fin, u16),
    Data(u32, Fin, String),
    Trailers(u32, Vec<(String, String)>),
    NoStream(u32, u32),
    StreamInfo(u32, Known),
    Text(u32, String),
    Binary(u32, Vec<u8>),
    Ping(u32, String),
    Pong(u32, String),
    Close(u32, Option<(u16, String)>),
    Fragment { stream: u32, text: bool, first: bool, fin: Fin, data: Vec<u8> },
    Handshake(u32, HandshakeError),
    Protocol(u32, ProtocolError),
    Closed(u32, Reason),
    Closing(u32),
    CutShort(u32),
    WebsocketClosing(u32),
    ConnectionCloses(u32),
    TimedOut(u32, Wait),
    StreamBadState(u32, BadState),
    ConnectionError(Reason),
    FlowCheck(u32, u64),
    RelayCheck,
    Settle(u32),
    Sent(u32),
    NotSent(u32, Unsent),
    BadState(u32, BadState),
    Control(u32),
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

fn owned(event: Event<'_, Recorder>) -> Told {
    match event {
        Event::Up { protocol, .. } => Told::Up(protocol),
        Event::ConnectFailed(error) => Told::ConnectFailed(match error {
            ConnectError::NameNotFound => Failure::NameNotFound,
            ConnectError::ResolverBusy => Failure::ResolverBusy,
            ConnectError::Timeout => Failure::Timeout,
            ConnectError::Closed => Failure::Closed,
            ConnectError::Tls(error) => Failure::Tls(error.alert),
            ConnectError::Io(error) => Failure::Io(error.kind()),
        }),
        Event::Down { protocol, reason, killed, .. } => Told::Down(protocol, reason.into(), killed.to_vec()),
        Event::ShutDown => Told::ShutDown,
        Event::Panicked { protocol, text, killed } => Told::Panicked(protocol, text, killed.to_vec()),
        Event::Upgraded { stream, .. } => Told::Upgraded(*stream),
        Event::Response { stream, fin, status, .. } => Told::Response(*stream, fin.into(), status.as_u16()),
        Event::Inform { stream, status, .. } => Told::Inform(*stream, status.as_u16()),
        Event::Trailers { stream, trailers } => {
            let trailers = trailers.iter().map(|(name, value)| (name.to_string(), lossy(value.as_bytes())));
            Told::Trailers(*stream, trailers.collect())
        }
        Event::NoStream { stream, caller } => Told::NoStream(*stream, *caller),
        Event::StreamInfo { receipt, info } => Told::StreamInfo(
            *receipt,
            match info {
                StreamInfo::NotConnected => Known::NotConnected,
                StreamInfo::Unknown => Known::Nothing,
                StreamInfo::Stream { stream, running } => Known::Stream(*stream, running),
            },
        ),
        Event::Data { stream, fin, data } => Told::Data(*stream, fin.into(), lossy(&data)),
        Event::Message { stream, message } => match message {
            Message::Text(data) => Told::Text(*stream, String::from_utf8(bytes(data)).unwrap()),
            Message::Binary(data) => Told::Binary(*stream, bytes(data)),
            Message::Fragment { text, fin, first, data } => {
                Told::Fragment { stream: *stream, text, first, fin: fin.into(), data: bytes(data) }
            }
            Message::Ping(payload) => Told::Ping(*stream, lossy(payload)),
            Message::Pong(payload) => Told::Pong(*stream, lossy(payload)),
            Message::Close(close) => Told::Close(*stream, close.map(|(code, reason)| (code, reason.to_owned()))),
        },
        Event::StreamError { stream, error } => match error {
            StreamError::Handshake(error) => Told::Handshake(*stream, error.clone()),
            StreamError::Protocol(error) => Told::Protocol(*stream, error.clone()),
            StreamError::Closed(reason) => Told::Closed(*stream, reason.into()),
            StreamError::Closing => Told::Closing(*stream),
            StreamError::WebsocketClosing => Told::WebsocketClosing(*stream),
            StreamError::ConnectionCloses => Told::ConnectionCloses(*stream),
            StreamError::Timeout(wait) => Told::TimedOut(*stream, wait),
            StreamError::ShutDown => Told::CutShort(*stream),
            StreamError::BadState(error) => Told::StreamBadState(*stream, error),
        },
        Event::ConnectionError(error) => Told::ConnectionError(error.into()),
        Event::FlowCheck { stream, messages, .. } => Told::FlowCheck(*stream, messages),
        Event::RelayCheck => Told::RelayCheck,
        Event::Settle { stream } => Told::Settle(*stream),
        Event::Sent(receipt) => Told::Sent(*receipt),
        Event::NotSent { receipt, error } => Told::NotSent(
            *receipt,
            match error {
                NotSent::BadState(error) => Unsent::BadState(error),
                NotSent::Down(reason) => Unsent::Down(reason.into()),
                NotSent::ShutDown => Unsent::ShutDown,
            },
        ),
        Event::BadState { caller, error, .. } => Told::BadState(*caller, error),
    }
}

fn bytes(data: Data<'_, Vec<u8>>) -> Vec<u8> {
    match data {
        Data::Borrowed(bytes) => bytes.to_vec(),
        Data::Owned(bytes) => bytes,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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

/// Options without a time limit on anything but the closing handshake.
pub(crate) fn options() -> ConnectOptions {
    ConnectOptions {
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 },
        authority: "localhost".into(),
        connect_timeout: None,
        domain_lookup_timeout: None,
        tls_handshake_timeout: None,
        observed: Steps::NONE,
        reconnects: true,
        tcp: TcpOptions::default(),
        http: HttpOptions::default(),
        ws: WsOptions::default(),
    }
}

/// Options with these for its WebSockets.
pub(crate) fn with_ws(ws: WsOptions) -> ConnectOptions {
    ConnectOptions { ws, ..options() }
}

/// A recorder, and what it will record.
pub(crate) fn recorder() -> (Recorder, UnboundedReceiver<Told>) {
    let (sender, receiver) = unbounded_channel();
    (Recorder(sender), receiver)
}

/// A connection that speaks HTTP, and its peer, with `buffer` bytes of room on the way in each direction.
pub(crate) fn connected(options: ConnectOptions, buffer: usize) -> (Client, Peer) {
    connected_on(options, buffer, |near| near)
}

/// The same, on what is made of its end of the stream.
fn connected_on<S: ByteStream>(
    options: ConnectOptions,
    buffer: usize,
    make: impl FnOnce(DuplexStream) -> S,
) -> (Client, Peer) {
    let (near, far) = duplex(buffer);
    let (sink, told) = recorder();
    let handle = spawn_on(&tokio::runtime::Handle::current(), make(near), options, sink);
    (Client { handle, told }, Peer { io: far, received: Vec::new() })
}

/// A connection that is a WebSocket.
pub(crate) async fn open(options: ConnectOptions, buffer: usize) -> (Client, Peer) {
    open_with(options, buffer, "").await
}

/// The same, with these header lines in the server's answer.
pub(crate) async fn open_with(options: ConnectOptions, buffer: usize, more: &str) -> (Client, Peer) {
    upgraded(connected(options, buffer), more).await
}

/// The same, on what is made of its end of the stream.
pub(crate) async fn open_on<S: ByteStream>(
    options: ConnectOptions,
    buffer: usize,
    make: impl FnOnce(DuplexStream) -> S,
) -> (Client, Peer) {
    upgraded(connected_on(options, buffer, make), "").await
}

async fn upgraded((mut client, mut peer): (Client, Peer), more: &str) -> (Client, Peer) {
    client.upgrade(STREAM);
    let request = peer.request().await;
    peer.write(switching_with(&request, more)).await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    (client, peer)
}

/// Lets everything happen that needs no time.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What a user has of a connection.
pub(crate) struct Client {
    pub(crate) handle: Handle<Recorder>,
    pub(crate) told: UnboundedReceiver<Told>,
}

impl Client {
    /// Asks for a WebSocket.
    pub(crate) fn upgrade(&self, stream: u32) {
        self.handle.send(upgrade(stream));
    }

    /// Sends these together.
    pub(crate) fn send(&self, items: Vec<Item<Vec<u8>>>) {
        self.try_send(items).expect("the queue is full");
    }

    /// Sends these together, if the queue has room for them.
    pub(crate) fn try_send(&self, items: Vec<Item<Vec<u8>>>) -> Result<(), QueueFull> {
        self.handle.try_send(Command::Send(Box::new(Outgoing::new(Reply::Caller(CALLER), items))))
    }

    /// Sends these together, and wants to be told when they are sent.
    pub(crate) fn send_for(&self, receipt: u32, items: Vec<Item<Vec<u8>>>) {
        let outgoing = Outgoing::new(Reply::Receipt(receipt), items);
        self.handle.try_send(Command::Send(Box::new(outgoing))).expect("the queue is full");
    }

    /// Says that it has answered what came before a fault.
    pub(crate) fn settled(&self) {
        self.handle.send(Command::Settled);
    }

    /// The peer has broken the protocol: the receiver has nothing to answer, the close frame goes out, and the fault is told.
    pub(crate) async fn expect_fault(&mut self, error: ProtocolError) {
        self.expect_only(&[Told::Settle(STREAM)]).await;
        self.settled();
        self.expect_only(&[Told::Protocol(STREAM, error)]).await;
    }

    /// The next event, or `None` when the task has ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        timeout(PATIENCE, self.told.recv()).await.expect("nothing was told")
    }

    /// These events come next.
    pub(crate) async fn expect(&mut self, events: &[Told]) {
        for event in events {
            assert_eq!(self.next().await.as_ref(), Some(event));
        }
    }

    /// These events come next, and nothing after them as long as nothing else is done.
    pub(crate) async fn expect_only(&mut self, events: &[Told]) {
        self.expect(events).await;
        settle().await;
        assert_eq!(self.told.try_recv().ok(), None);
    }

    /// These events come next, and then the task ends.
    pub(crate) async fn expect_end(&mut self, events: &[Told]) {
        self.expect(events).await;
        assert_eq!(self.next().await, None);
    }
}

/// The command to upgrade, with nothing of its own.
pub(crate) fn upgrade(stream: u32) -> Command<Recorder> {
    Command::Upgrade(Box::new(Upgrade {
        stream,
        caller: CALLER,
        target: Uri::from_static("/"),
        headers: Vec::new(),
        options: None,
    }))
}

/// A text frame to be sent.
pub(crate) fn text(text: &str) -> Item<Vec<u8>> {
    item(Opcode::Text, text.as_bytes())
}

/// A frame to be sent.
pub(crate) fn item(opcode: Opcode, payload: &[u8]) -> Item<Vec<u8>> {
    let mut bytes = Vec::new();
    encode(&mut bytes, opcode, payload);
    Item::Encoded(1, bytes)
}

/// A close frame to be sent.
pub(crate) fn close(code: u16, reason: &str) -> Item<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_close(&mut bytes, code, reason.as_bytes());
    Item::Close(bytes)
}

/// A whole frame of the peer's.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    fragment(opcode, true, payload)
}

/// A frame of the peer's.
pub(crate) fn fragment(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = FrameHeader { is_final: fin, opcode: opcode.into(), ..FrameHeader::default() };
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame of the peer's that begins a compressed message.
pub(crate) fn compressed(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = fragment(opcode, fin, payload);
    bytes[0] |= 0x40;
    bytes
}

/// The right answer to an upgrade request.
pub(crate) fn switching(request: &HeaderMap) -> Vec<u8> {
    switching_with(request, "")
}

/// The same, with these header lines.
pub(crate) fn switching_with(request: &HeaderMap, more: &str) -> Vec<u8> {
    let accept = derive_accept_key(request["sec-websocket-key"].as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    format!("{head}sec-websocket-accept: {accept}\r\n{more}\r\n").into_bytes()
}

/// The server at the other end.
pub(crate) struct Peer<S = DuplexStream> {
    pub(crate) io: S,
    received: Vec<u8>,
}

impl<S: crate::transport::ByteStream> Peer<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, received: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.io.write_all(bytes.as_ref())).await.expect("nothing is read").unwrap();
    }

    /// Reads some more; whether there was any.
    async fn read(&mut self) -> bool {
        timeout(PATIENCE, self.io.read_buf(&mut self.received)).await.expect("nothing was sent").unwrap() > 0
    }

    /// The headers of the next request, which has no body.
    pub(crate) async fn request(&mut self) -> HeaderMap {
        loop {
            let text = lossy(&self.received);
            if let Some(end) = text.find("\r\n\r\n") {
                self.received.drain(..end + 4);
                let lines = text[..end].lines().skip(1).filter_map(|line| line.split_once(": "));
                return lines.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            }
            assert!(self.read().await, "the request ends early");
        }
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.received.drain(..end + 2).take(end).collect::<Vec<_>>();
                return lossy(&line);
            }
            assert!(self.read().await, "the line ends early");
        }
    }

    /// Takes so many bytes, whatever they are.
    pub(crate) async fn take(&mut self, len: usize) {
        let mut bytes = vec![0; len];
        timeout(PATIENCE, self.io.read_exact(&mut bytes)).await.expect("nothing was sent").unwrap();
    }

    /// Reads an upgrade request and gives in to it.
    pub(crate) async fn accept(&mut self) {
        let request = self.request().await;
        self.write(switching(&request)).await;
    }

    /// The next frame, unmasked.
    pub(crate) async fn frame(&mut self) -> (Opcode, Vec<u8>) {
        let (compressed, opcode, payload) = self.any_frame().await;
        assert!(!compressed);
        (opcode, payload)
    }

    /// The same, with RSV1: whether it is compressed.
    pub(crate) async fn any_frame(&mut self) -> (bool, Opcode, Vec<u8>) {
        loop {
            let mut cursor = Cursor::new(&self.received[..]);
            if let Some((header, len)) = FrameHeader::parse(&mut cursor).unwrap() {
                let start = usize::try_from(cursor.position()).unwrap();
                let end = start + usize::try_from(len).unwrap();
                if self.received.len() >= end {
                    assert!(header.is_final && !header.rsv2 && !header.rsv3);
                    let key = header.mask.expect("a client masks");
                    let masked = self.received[start..end].iter().enumerate();
                    let payload = masked.map(|(n, byte)| byte ^ key[n % 4]).collect();
                    self.received.drain(..end);
                    let opcodes = [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
                    let opcode = opcodes.into_iter().find(|opcode| header.opcode == (*opcode).into());
                    return (header.rsv1, opcode.expect("a fragment"), payload);
                }
            }
            assert!(self.read().await, "no frame follows");
        }
    }

    /// This frame comes next.
    pub(crate) async fn expect(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) {
        assert_eq!(self.frame().await, (opcode, payload.as_ref().to_vec()));
    }

    /// A close frame comes next, with this code and no reason.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        self.expect(Opcode::Close, close_payload(code, "")).await;
    }

    /// Nothing comes before the end of the byte stream.
    pub(crate) async fn expect_end(&mut self) {
        while self.read().await {}
        assert_eq!(self.received, b"");
    }

    /// Nothing comes as long as nothing else is done.
    pub(crate) async fn expect_nothing(&mut self) {
        let more = timeout(Duration::from_millis(1), self.io.read_buf(&mut self.received)).await;
        assert!(more.is_err(), "{:?}", lossy(&self.received));
        assert_eq!(self.received, b"");
    }
}

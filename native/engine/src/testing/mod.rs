//! What the tests of this crate share: a sink that records, a connection on an in-memory stream, and the peer at the
//! stream's other end.

mod peer;
mod recorder;

use std::time::Duration;

use http::{HeaderMap, Uri};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::{Frame, FrameHeader};

pub(crate) use self::peer::Peer;
pub(crate) use self::recorder::{Failure, Fin, Known, Reason, Recorder, Told, Unsent, recorder};
use crate::account::QueueFull;
use crate::command::{Item, Outgoing, Reply, StreamCommand, Upgrade};
use crate::error::ProtocolError;
use crate::event::ProtocolName;
use crate::options::{ConnectOptions, Endpoint, First, HttpOptions, RawOptions, Steps, TcpOptions, WsOptions};
use crate::task::{Handle, spawn_on};
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

/// A stream on which promises are taken, and how much higher the names of what is promised on a stream are.
pub(crate) const PROMISING: u32 = 50;
pub(crate) const PROMISED_FROM: u32 = 10;

/// The stream S of the tunnel T is T * INSIDE + S.
pub(crate) const INSIDE: u32 = 60_000;

/// The owner's bytes where they are carried as they are, and how much higher the names of other streams are then.
pub(crate) const OWNER: u32 = 60;
pub(crate) const UNNAMED_FROM: u32 = 60;

/// Who gives the commands.
pub(crate) const CALLER: u32 = 7;

/// What a connection speaks before and after an upgrade.
pub(crate) use ProtocolName::{Http, Ws};

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
        first: First::Http,
        raw: RawOptions::default(),
        http2_inside: Default::default(),
        reconnects: true,
        tcp: TcpOptions::default(),
        http1: true,
        http: HttpOptions::default(),
        http2: None,
        ws: WsOptions::default(),
    }
}

/// Options with these for its WebSockets.
pub(crate) fn with_ws(ws: WsOptions) -> ConnectOptions {
    ConnectOptions { ws, ..options() }
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
    (Client { handle, told }, Peer::new(far))
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
        self.handle.try_send(StreamCommand::Send(Box::new(Outgoing::new(None, Reply::Caller(CALLER), items))))
    }

    /// Sends these together, and wants to be told when they are sent.
    pub(crate) fn send_for(&self, receipt: u32, items: Vec<Item<Vec<u8>>>) {
        let outgoing = Outgoing::new(None, Reply::Receipt(receipt), items);
        self.handle.try_send(StreamCommand::Send(Box::new(outgoing))).expect("the queue is full");
    }

    /// Says that it has answered what came before a fault.
    pub(crate) fn settled(&self) {
        self.handle.send(StreamCommand::Settled(Box::new(STREAM)));
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
pub(crate) fn upgrade(stream: u32) -> StreamCommand<Recorder> {
    StreamCommand::Upgrade(Box::new(Upgrade {
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

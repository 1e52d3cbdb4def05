//! One WebSocket on a stream, with h2 at both ends of the connection.

mod ends;
mod flow;

use std::future::poll_fn;
use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream, client, server};
use http::{Method, Request, Response, Uri};
use tokio::io::duplex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tungstenite::protocol::frame::FrameHeader;

use super::*;
use crate::command::{Item, Outgoing, Reply};
use crate::options::WsOptions;
use crate::protocol::Lender;
use crate::testing::{CALLER, Recorder, Told, recorder, settle};
use crate::websocket::frame::Opcode;
use crate::websocket::handshake::Chosen;
use crate::websocket::role::Role;

/// The stream.
const STREAM: u32 = 1;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the user has of it.
struct User {
    commands: UnboundedSender<Does>,
    told: UnboundedReceiver<Told>,
    /// What is left of it: how many bytes are still counted.
    left: JoinHandle<usize>,
}

enum Does {
    /// What h2 was given is written.
    Written,
    Command(StreamCommand<Recorder>),
    ShutDown,
    Cancel,
}

/// The server's end of the stream.
pub(crate) struct Peer {
    pub(crate) send: SendStream<Bytes>,
    pub(crate) recv: RecvStream,
    received: Vec<u8>,
}

/// How the client's end is set up.
#[derive(Clone)]
struct Setup {
    ws: WsOptions,
    /// The window that the server has.
    window: u32,
    /// The window that the client has.
    peer_window: u32,
    send_timeout: Option<Duration>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { ws: WsOptions::default(), window: 65_535, peer_window: 65_535, send_timeout: None }
    }
}

fn with(ws: WsOptions) -> Setup {
    Setup { ws, ..Setup::default() }
}

/// An open WebSocket, and a request beside it that shows whether the connection lives.
async fn open(setup: Setup) -> (User, Peer, client::SendRequest<Bytes>) {
    let (near, far) = duplex(64 * 1024);
    let server = async {
        let mut builder = server::Builder::new();
        builder.enable_connect_protocol().initial_window_size(setup.peer_window);
        let mut connection = builder.handshake::<_, Bytes>(far).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        assert_eq!(request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        let send = respond.send_response(Response::new(()), false).unwrap();
        tokio::spawn(async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).unwrap();
            }
        });
        Peer::new(send, request.into_body())
    };
    let client = async {
        let mut builder = client::Builder::new();
        builder.initial_window_size(setup.window).initial_connection_window_size(1 << 20);
        let (mut requests, mut connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
        poll_fn(|cx| {
            assert!(std::pin::Pin::new(&mut connection).poll(cx).is_pending());
            if requests.is_extended_connect_protocol_enabled() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        tokio::spawn(connection);
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from_static("http://localhost/");
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let (response, send) = requests.send_request(request, false).unwrap();
        (requests, response.await.unwrap().into_body(), send)
    };
    let (peer, (requests, recv, send)) = tokio::join!(server, client);
    (user(&setup, send, recv), peer, requests)
}

fn user(setup: &Setup, send: SendStream<Bytes>, recv: RecvStream) -> User {
    let (sink, told) = recorder();
    let (commands, mut todo) = unbounded_channel();
    let written = commands.clone();
    let mut lender = Lender::new(None, sink);
    let (options, chosen) = (&setup.ws, Chosen::default());
    let session = Session::new(STREAM, Role::Client, options, &chosen, false, &mut lender.lend());
    let mut ws = WsStream::new(session, send, recv, setup.send_timeout);
    let left = tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                Some(does) = todo.recv() => match does {
                    Does::Command(command) => {
                        let charge = match &command {
                            StreamCommand::Send(outgoing) => lender.charge(outgoing),
                            _ => Charge::default(),
                        };
                        ws.command(command, charge, &mut lender.lend());
                    }
                    Does::Written => ws.written(&mut lender.lend()),
                    Does::ShutDown => ws.shut_down(&mut lender.lend()),
                    Does::Cancel => {
                        assert_eq!(ws.cancel(&mut lender.lend()).map(|end| end.stream), Some(STREAM));
                        break;
                    }
                },
                end = poll_fn(|cx| {
                    let poll = ws.poll(&mut lender.lend(), cx);
                    if ws.awaits_write() {
                        let written = written.clone();
                        tokio::spawn(async move {
                            settle().await;
                            let _ = written.send(Does::Written);
                        });
                    }
                    poll
                }) => {
                    assert_eq!(end.stream, STREAM);
                    break;
                }
            }
        }
        lender.queued(Some(&STREAM))
    });
    User { commands, told, left }
}

impl User {
    fn command(&self, command: StreamCommand<Recorder>) {
        let _ = self.commands.send(Does::Command(command));
    }

    fn send(&self, items: Vec<Item<Vec<u8>>>) {
        self.command(StreamCommand::Send(Box::new(Outgoing::new(Some(STREAM), Reply::Caller(CALLER), items))));
    }

    fn send_for(&self, receipt: u32, items: Vec<Item<Vec<u8>>>) {
        self.command(StreamCommand::Send(Box::new(Outgoing::new(Some(STREAM), Reply::Receipt(receipt), items))));
    }

    fn update_flow(&self, messages: i64) {
        self.command(StreamCommand::UpdateFlow(Some(Box::new(STREAM)), messages));
    }

    fn settled(&self) {
        self.command(StreamCommand::Settled(Box::new(STREAM)));
    }

    fn shut_down(&self) {
        let _ = self.commands.send(Does::ShutDown);
    }

    fn cancel(&self) {
        let _ = self.commands.send(Does::Cancel);
    }

    async fn next(&mut self) -> Option<Told> {
        timeout(PATIENCE, self.told.recv()).await.expect("nothing was told")
    }

    /// These events come next.
    async fn expect(&mut self, events: &[Told]) {
        for event in events {
            assert_eq!(self.next().await.as_ref(), Some(event));
        }
    }

    /// These events come next, and nothing after them as long as nothing else is done.
    async fn expect_only(&mut self, events: &[Told]) {
        self.expect(events).await;
        settle().await;
        assert_eq!(self.told.try_recv().ok(), None);
    }

    /// These events come next, then the stream is over, and nothing is counted for it any more.
    async fn expect_end(mut self, events: &[Told]) {
        self.expect(events).await;
        assert_eq!(self.next().await, None);
        assert_eq!(self.left.await.unwrap(), 0);
    }
}

impl Peer {
    pub(crate) fn new(send: SendStream<Bytes>, recv: RecvStream) -> Self {
        Self { send, recv, received: Vec::new() }
    }

    /// Sends, as soon as there is room for it.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.send.send_data(bytes, false).unwrap();
    }

    /// How much more there is room for than has been written.
    pub(crate) async fn room(&mut self) -> usize {
        self.send.reserve_capacity(1 << 30);
        settle().await;
        let room = self.send.capacity();
        self.send.reserve_capacity(0);
        room
    }

    pub(crate) fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).unwrap();
    }

    /// Reads some more; whether there was any before the end.
    pub(crate) async fn read(&mut self) -> bool {
        let data = timeout(PATIENCE, poll_fn(|cx| self.recv.poll_data(cx))).await.expect("nothing was sent");
        let Some(data) = data else { return false };
        let data = data.unwrap();
        self.recv.flow_control().release_capacity(data.len()).unwrap();
        self.received.extend_from_slice(&data);
        true
    }

    /// The next frame, unmasked.
    pub(crate) async fn frame(&mut self) -> (Opcode, Vec<u8>) {
        loop {
            let mut cursor = Cursor::new(&self.received[..]);
            if let Some((header, len)) = FrameHeader::parse(&mut cursor).unwrap() {
                let start = usize::try_from(cursor.position()).unwrap();
                let end = start + usize::try_from(len).unwrap();
                if self.received.len() >= end {
                    let key = header.mask.expect("a client masks");
                    let masked = self.received[start..end].iter().enumerate();
                    let payload = masked.map(|(n, byte)| byte ^ key[n % 4]).collect();
                    self.received.drain(..end);
                    let opcodes = [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
                    let opcode = opcodes.into_iter().find(|opcode| header.opcode == (*opcode).into());
                    return (opcode.expect("a fragment"), payload);
                }
            }
            assert!(self.read().await, "no frame follows");
        }
    }

    pub(crate) async fn expect(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) {
        assert_eq!(self.frame().await, (opcode, payload.as_ref().to_vec()));
    }

    /// The end of the stream follows, and no reset.
    pub(crate) async fn expect_end(&mut self) {
        while self.read().await {}
        assert_eq!(self.received, b"");
    }

    /// A reset follows.
    pub(crate) async fn expect_reset(&mut self, reason: Reason) {
        let reset = timeout(PATIENCE, poll_fn(|cx| self.send.poll_reset(cx))).await.expect("no reset");
        assert_eq!(reset.unwrap(), reason);
    }
}

/// The connection still takes requests.
async fn expect_alive(requests: &mut client::SendRequest<Bytes>) {
    let request = Request::get("http://localhost/").body(()).unwrap();
    let response = requests.send_request(request, true).unwrap().0;
    assert!(timeout(PATIENCE, response).await.expect("no response").is_ok());
}

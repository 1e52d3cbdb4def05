//! Several WebSockets on a connection, and what they have to do with each other.

use std::net::SocketAddr;

use h2::Reason as H2Reason;
use h2::ext::Protocol;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::*;
use crate::command::{Command, Item, Outgoing, Reply, Upgrade};
use crate::error::{BadState, HandshakeError};
use crate::http::http2::websocket::tests::Peer;
use crate::options::{Endpoint, ReupgradeOptions, WsOptions};
use crate::task::spawn;
use crate::transport::ByteStream;
use crate::websocket::frame::Opcode;

/// A server that works by itself, and hands on its requests.
pub(super) struct Busy {
    requests: UnboundedReceiver<(HttpRequest<RecvStream>, SendResponse<Bytes>)>,
    pub(super) task: JoinHandle<()>,
}

impl Busy {
    pub(super) fn new<S: ByteStream>(mut connection: Connection<S, Bytes>) -> Self {
        let (sender, requests) = unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(Ok(request)) = connection.accept().await {
                let _ = sender.send(request);
            }
        });
        Self { requests, task }
    }

    pub(super) async fn request(&mut self) -> (HttpRequest<RecvStream>, SendResponse<Bytes>) {
        timeout(PATIENCE, self.requests.recv()).await.expect("no request").expect("the end")
    }

    /// The next request, which is for a WebSocket: the target, and the server's end of it.
    async fn accept(&mut self) -> (String, Peer) {
        let (request, mut answer) = self.request().await;
        assert_eq!(request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        let send = answer.send_response(response(200), false).unwrap();
        (request.uri().path().to_owned(), Peer::new(send, request.into_body()))
    }
}

fn with_websockets() -> Builder {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    builder
}

async fn served_websockets() -> (Client, Busy) {
    let (client, server) = served_by(http2(), &with_websockets()).await;
    (client, Busy::new(server.connection))
}

/// A connection with WebSockets of these names, and the server's end of each.
async fn with_open(streams: &[u32]) -> (Client, Busy, Vec<Peer>) {
    let (mut client, mut server) = served_websockets().await;
    let mut peers = Vec::new();
    for stream in streams {
        client.upgrade(*stream);
        peers.push(server.accept().await.1);
        client.expect(&[Told::Upgraded(*stream)]).await;
    }
    (client, server, peers)
}

impl Client {
    pub(super) fn upgrade_with(&self, stream: u32, target: &'static str, options: WsOptions) {
        let (target, options) = (Uri::from_static(target), Some(options));
        self.handle.send(StreamCommand::Upgrade(Box::new(Upgrade {
            stream,
            caller: CALLER,
            target,
            headers: Vec::new(),
            options,
        })));
    }

    pub(super) fn send_on(&self, stream: Option<u32>, items: Vec<Item<Vec<u8>>>) {
        let outgoing = Outgoing::new(stream, Reply::Caller(CALLER), items);
        self.handle.try_send(StreamCommand::Send(Box::new(outgoing))).expect("the queue is full");
    }

    pub(super) fn sync_on(&self, stream: Option<u32>, receipt: u32, items: Vec<Item<Vec<u8>>>) {
        let outgoing = Outgoing::new(stream, Reply::Receipt(receipt), items);
        self.handle.send(StreamCommand::Send(Box::new(outgoing)));
    }
}

#[tokio::test(start_paused = true)]
async fn each_has_its_own_frames_beside_requests() {
    let (mut client, mut server, mut peers) = with_open(&[1, 2]).await;
    client.send_on(Some(2), vec![text("to two")]);
    client.send_on(Some(1), vec![text("to one")]);
    peers[0].expect(Opcode::Text, "to one").await;
    peers[1].expect(Opcode::Text, "to two").await;
    peers[1].write(frame(Opcode::Text, b"from two"));
    client.expect_only(&[Told::Text(2, "from two".into())]).await;
    client.request(get(3));
    server.request().await.1.send_response(response(204), true).unwrap();
    client.expect_only(&[Told::Response(3, Fin::Fin, 204)]).await;
    client.handle.send(StreamCommand::Info(Box::new((2, 9))));
    client.expect_only(&[Told::StreamInfo(9, Known::Websocket(2, 1, 1))]).await;
    peers[0].write(frame(Opcode::Close, &close_payload(1000, "")));
    client.expect_only(&[Told::Close(1, Some((1000, String::new())))]).await;
    peers[0].expect(Opcode::Close, close_payload(1000, "")).await;
    peers[0].expect_end().await;
    client.handle.send(StreamCommand::Info(Box::new((1, 10))));
    client.expect_only(&[Told::StreamInfo(10, Known::Nothing)]).await;
    client.send_on(None, vec![text("to the only one")]);
    peers[1].expect(Opcode::Text, "to the only one").await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn frames_need_a_name_that_is_a_websockets_unless_there_is_one_alone() {
    let (mut client, mut server, _peers) = with_open(&[1, 2]).await;
    client.request(get(3));
    let _answer = server.request().await;
    for (stream, told) in [
        (None, Told::BadState(CALLER, BadState::WhichWebsocket)),
        (Some(3), Told::Refused(3, CALLER, BadState::NotWebsocket)),
        (Some(4), Told::Refused(4, CALLER, BadState::NoStream)),
    ] {
        client.send_on(stream, vec![text("never")]);
        client.expect_only(&[told]).await;
    }
    client.sync_on(Some(4), 5, vec![text("never")]);
    client.expect_only(&[Told::NotSent(5, Unsent::BadState(BadState::NoStream))]).await;
    client.sync_on(Some(2), 6, vec![text("sent")]);
    client.expect_only(&[Told::Sent(6)]).await;
    client.handle.send(body(1, "data", Fin::Fin));
    client.expect_only(&[Told::Refused(1, CALLER, BadState::WebsocketStream)]).await;
    client.handle.send(cancel(2));
    client.send_on(Some(2), vec![text("never")]);
    client.expect_only(&[Told::Refused(2, CALLER, BadState::NoStream)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn frames_before_any_websocket_are_refused() {
    let (mut client, _server) = served_websockets().await;
    client.send_on(None, vec![text("never")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_extended_connect_is_not_asked() {
    let (mut client, server) = served(http2()).await;
    let _server = Busy::new(server.connection);
    client.upgrade(1);
    client.expect_only(&[Told::StreamBadState(1, BadState::NoExtendedConnect)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_response_and_a_wrong_answer_ends_the_stream_alone() {
    let (mut client, mut server) = served_websockets().await;
    client.upgrade(1);
    let (_, mut answer) = server.request().await;
    let mut send = answer.send_response(response(403), false).unwrap();
    send.send_data("no".into(), true).unwrap();
    client.expect_only(&[Told::Response(1, Fin::NoFin, 403), data(1, Fin::Fin, "no")]).await;
    client.upgrade(2);
    let (_, mut answer) = server.request().await;
    let wrong = Response::builder().header("sec-websocket-protocol", "unasked").body(()).unwrap();
    let mut send = answer.send_response(wrong, false).unwrap();
    client.expect_only(&[Told::Handshake(2, HandshakeError::Subprotocol("unasked".into()))]).await;
    let reset = timeout(PATIENCE, std::future::poll_fn(|cx| send.poll_reset(cx))).await.expect("no reset");
    assert_eq!(reset.unwrap(), H2Reason::CANCEL);
    client.upgrade(3);
    let _peer = server.accept().await;
    client.expect_only(&[Told::Upgraded(3)]).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_up_takes_no_window_from_the_others() {
    let small = Http2Options { initial_connection_window_size: 65_535, initial_stream_window_size: 65_535, ..http2() };
    let (mut client, server) = served_by(small, &with_websockets()).await;
    let mut server = Busy::new(server.connection);
    client.upgrade_with(1, "/", WsOptions { flow: Flow::Messages(0), ..WsOptions::default() });
    let mut held = server.accept().await.1;
    client.expect(&[Told::Upgraded(1)]).await;
    for _ in 0..20 {
        held.write(frame(Opcode::Binary, &[1; 10_000]));
    }
    client.expect_only(&[]).await;
    assert_eq!(held.room().await, 0);
    client.upgrade(2);
    let mut other = server.accept().await.1;
    client.expect(&[Told::Upgraded(2)]).await;
    for _ in 0..10 {
        other.write(frame(Opcode::Binary, &[2; 60_000]));
        client.expect_only(&[Told::Binary(2, vec![2; 60_000])]).await;
    }
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(1)), 100));
    client.expect_only(&vec![Told::Binary(1, vec![1; 10_000]); 20]).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_on_one_does_not_keep_another_waiting() {
    let (mut client, _server, mut peers) = with_open(&[1, 2]).await;
    for _ in 0..200 {
        peers[0].write(frame(Opcode::Binary, &[1; 20_000]));
    }
    peers[1].write(frame(Opcode::Text, b"me too"));
    let mut before = 0;
    loop {
        match client.next().await {
            Some(Told::Binary(1, _)) => before += 1,
            Some(Told::Text(2, _)) => break,
            other => panic!("{other:?}"),
        }
    }
    // Before it goes what the server had put on the wire before, and not all that there is.
    assert!(before < 100, "{before}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_each_with_1001_and_ends_when_all_have_ended() {
    let (mut client, _server, mut peers) = with_open(&[1, 2]).await;
    client.handle.send(Command::Shutdown);
    for peer in &mut peers {
        peer.expect(Opcode::Close, close_payload(1001, "")).await;
    }
    let closed = |stream| Told::Close(stream, Some((1001, String::new())));
    peers[0].write(frame(Opcode::Close, &close_payload(1001, "")));
    client.expect_only(&[closed(1)]).await;
    peers[0].expect_end().await;
    peers[1].write(frame(Opcode::Close, &close_payload(1001, "")));
    client.expect_end(&[closed(2), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn all_end_with_the_connection() {
    let (mut client, server, peers) = with_open(&[1, 2]).await;
    client.request(get(3));
    client.expect_only(&[]).await;
    server.task.abort();
    drop((server, peers));
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect(&[closed(3), closed(1), closed(2), down(Reason::Closed, &[3, 1, 2])]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

/// What is repeated, and how many bytes may wait for it.
pub(super) fn repeated(queue: usize) -> WsOptions {
    let reupgrade = ReupgradeOptions { queue, retry_statuses: vec![503], max_retry_after: Duration::from_secs(60) };
    WsOptions { reupgrade: Some(reupgrade), ..WsOptions::default() }
}

async fn next_server(listener: &TcpListener) -> Busy {
    let io = timeout(PATIENCE, listener.accept()).await.expect("no connection").unwrap().0;
    Busy::new(with_websockets().handshake(io).await.unwrap())
}

/// A connection that can be made again, to this listener.
pub(super) fn dialing(address: SocketAddr) -> Client {
    dialing_with(address, http2())
}

pub(super) fn dialing_with(address: SocketAddr, http2: Http2Options) -> Client {
    let endpoint = Endpoint::Tcp { host: address.ip().to_string(), port: address.port() };
    let (sink, told) = recorder();
    let handle = spawn(&tokio::runtime::Handle::current(), ConnectOptions { endpoint, ..options_with(http2) }, sink);
    Client { handle, told }
}

#[tokio::test]
async fn all_that_are_to_be_repeated_are_and_what_waits_for_each_is_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = dialing(listener.local_addr().unwrap());
    client.handle.send(Command::Connect(None));
    let mut server = next_server(&listener).await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    let mut peers = Vec::new();
    for (stream, target, queue) in [(1, "/one", 1000), (2, "/two", 1000), (3, "/three", 0)] {
        client.upgrade_with(stream, target, repeated(queue));
        peers.push(server.accept().await);
        client.expect(&[Told::Upgraded(stream)]).await;
    }
    client.upgrade_with(4, "/four", WsOptions::default());
    peers.push(server.accept().await);
    client.expect(&[Told::Upgraded(4)]).await;
    server.task.abort();
    drop(server);
    client.expect(&[Told::Closed(4, Reason::Closed), down(Reason::Closed, &[4, 1, 2, 3])]).await;

    client.send_on(Some(2), vec![text("for two")]);
    client.send_on(Some(1), vec![text("for one")]);
    client.send_on(Some(3), vec![text("never")]);
    client.expect(&[Told::BadState(CALLER, BadState::Reconnecting)]).await;
    let full = Outgoing::new(Some(1), Reply::Caller(CALLER), vec![item(Opcode::Binary, &[0; 900])]);
    assert!(client.handle.try_send(StreamCommand::Send(Box::new(full))).is_err());

    client.handle.send(Command::Connect(None));
    let mut server = next_server(&listener).await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    let mut peers = Vec::new();
    for (stream, target) in [(1, "/one"), (2, "/two"), (3, "/three")] {
        let (path, peer) = server.accept().await;
        assert_eq!(path, target);
        peers.push(peer);
        client.expect(&[Told::Upgraded(stream)]).await;
    }
    peers[0].expect(Opcode::Text, "for one").await;
    peers[1].expect(Opcode::Text, "for two").await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn one_that_is_refused_for_now_ends_a_connection_that_has_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = dialing(listener.local_addr().unwrap());
    client.handle.send(Command::Connect(None));
    let mut server = next_server(&listener).await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    client.upgrade_with(1, "/", repeated(0));
    let _peer = server.accept().await;
    client.expect(&[Told::Upgraded(1)]).await;
    server.task.abort();
    drop(server);
    client.expect(&[down(Reason::Closed, &[1])]).await;
    client.handle.send(Command::Connect(None));
    let mut server = next_server(&listener).await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    server.request().await.1.send_response(response(503), true).unwrap();
    client.expect(&[down(Reason::Refused(503), &[])]).await;
    client.handle.send(Command::Connect(None));
    let mut server = next_server(&listener).await;
    client.expect(&[Told::Up(ProtocolName::Http2)]).await;
    server.request().await.1.send_response(response(404), true).unwrap();
    client.expect(&[Told::Response(1, Fin::Fin, 404)]).await;
}

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::command::tunnel::{Auth, Destination, Socks, Speaks};
use crate::command::{Body, Command, Request, RequestData, StreamCommand, TimeLimit};
use crate::error::{BadState, SocksError, Wait};
use crate::event::ProtocolName;
use crate::options::{ConnectOptions, Endpoint};
use crate::task::spawn;
use crate::testing::{
    BUFFER, CALLER, Client, Fin, INSIDE, Known, Peer, Reason, Recorder, STREAM, Told, Unsent, connected, options,
    recorder, text, upgrade,
};
use crate::websocket::frame::Opcode;

/// The tunnel of most tests, and a stream in it.
const TUNNEL: u32 = STREAM;
const INNER: u32 = TUNNEL * INSIDE + 2;

fn destination(speaks: Speaks) -> Destination {
    Destination {
        host: "origin".into(),
        port: 80,
        authority: "origin".into(),
        tls: None,
        tls_handshake_timeout: None,
        speaks,
        label: Box::from(&b"label"[..]),
    }
}

fn http1() -> Speaks {
    Speaks::Http { http1: Some(None), http2: None }
}

fn request(stream: u32, method: Method, target: &'static str, body: Body) -> StreamCommand<Recorder> {
    StreamCommand::Request(Box::new(Request {
        stream,
        caller: CALLER,
        method,
        target: Uri::from_static(target),
        headers: Vec::new(),
        body,
        flow: None,
        response_timeout: None,
        body_timeout: None,
        timeout: None,
    }))
}

fn connect(stream: u32, speaks: Speaks) -> StreamCommand<Recorder> {
    request(stream, Method::CONNECT, "origin:80", Body::Tunnel(Arc::new(destination(speaks))))
}

fn get(stream: u32) -> StreamCommand<Recorder> {
    request(stream, Method::GET, "/", Body::Whole(Bytes::new()))
}

/// A connection whose proxy has been asked for a tunnel.
async fn asked(speaks: Speaks) -> (Client, Peer, HeaderMap) {
    let (client, mut peer) = connected(options(), BUFFER);
    client.handle.send(connect(TUNNEL, speaks));
    assert_eq!(peer.line().await, "CONNECT origin:80 HTTP/1.1");
    let headers = rest_of_head(&mut peer).await;
    (client, peer, headers)
}

/// The headers of a request whose line was taken.
async fn rest_of_head(peer: &mut Peer) -> HeaderMap {
    let mut headers = HeaderMap::new();
    loop {
        let line = peer.line().await;
        let Some((name, value)) = line.split_once(": ") else { return headers };
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
}

async fn up(speaks: Speaks, protocol: ProtocolName) -> (Client, Peer) {
    let (mut client, mut peer, _) = asked(speaks).await;
    // A success has no body, whatever its length.
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(protocol)]).await;
    (client, peer)
}

fn told_up(protocol: ProtocolName) -> Told {
    Told::TunnelUp(Some(TUNNEL), protocol, "label".into())
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_leads_to_the_origins_http() {
    let (mut client, mut peer, headers) = asked(http1()).await;
    assert_eq!(headers["host"], "origin:80");
    assert_eq!(headers.get("content-length"), None);
    peer.write("HTTP/1.0 200 OK\r\n\r\n").await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(ProtocolName::Http)]).await;
    client.handle.send(get(INNER));
    assert_eq!(peer.line().await, "GET / HTTP/1.1");
    assert_eq!(rest_of_head(&mut peer).await["host"], "origin");
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200), Told::Data(INNER, Fin::Fin, "hi".into())]).await;
    client.handle.send(get(INNER + 1));
    peer.request().await;
    drop(peer);
    let closed = Told::Closed(INNER + 1, Reason::Closed);
    client.expect(&[closed, Told::Down(ProtocolName::Http, Reason::Closed, vec![INNER + 1])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_response_and_the_connection_stays() {
    let (mut client, mut peer, _) = asked(http1()).await;
    peer.write("HTTP/1.1 407 No\r\ncontent-length: 2\r\n\r\nno").await;
    client.expect(&[Told::Response(TUNNEL, Fin::NoFin, 407), Told::Data(TUNNEL, Fin::Fin, "no".into())]).await;
    client.handle.send(get(INNER));
    client.expect(&[Told::StreamBadState(INNER, BadState::NoTunnel)]).await;
    client.handle.send(get(3));
    peer.request().await;
}

#[tokio::test(start_paused = true)]
async fn streams_are_named_by_the_tunnel_they_are_in() {
    let (mut client, _peer) = up(http1(), ProtocolName::Http).await;
    client.handle.send(get(3));
    client.handle.send(get(7 * INSIDE + 1));
    client.handle.send(get(INNER * INSIDE + 1));
    client.handle.send(upgrade(4));
    client
        .expect(&[
            Told::StreamBadState(3, BadState::InTunnel),
            Told::StreamBadState(7 * INSIDE + 1, BadState::NoTunnel),
            Told::StreamBadState(INNER * INSIDE + 1, BadState::NoTunnel),
            Told::StreamBadState(4, BadState::InTunnel),
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_has_the_connection_for_itself() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(get(3));
    client.handle.send(connect(TUNNEL, http1()));
    client.expect(&[Told::StreamBadState(TUNNEL, BadState::NotAlone)]).await;
    peer.request().await;
    peer.write("HTTP/1.1 204 OK\r\n\r\n").await;
    client.expect(&[Told::Response(3, Fin::Fin, 204)]).await;
    client.handle.send(connect(TUNNEL, http1()));
    client.handle.send(get(4));
    client.handle.send(get(INNER));
    client.expect(&[Told::StreamBadState(INNER, BadState::NoTunnel)]).await;
    client.handle.send(StreamCommand::Info(Box::new((TUNNEL, 5))));
    client.expect(&[Told::StreamInfo(5, Known::Nothing)]).await;
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
    client
        .expect(&[
            Told::Response(TUNNEL, Fin::Fin, 200),
            Told::StreamBadState(4, BadState::InTunnel),
            told_up(ProtocolName::Http),
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_the_answer_are_the_tunnels_first() {
    let (mut client, mut peer, _) = asked(Speaks::Raw(None)).await;
    peer.write("HTTP/1.1 200 OK\r\n\r\nearly").await;
    client
        .expect(&[
            Told::Response(TUNNEL, Fin::Fin, 200),
            told_up(ProtocolName::Raw),
            Told::Data(TUNNEL, Fin::NoFin, "early".into()),
        ])
        .await;
    let data =
        RequestData { stream: TUNNEL, caller: CALLER, data: Bytes::from_static(b"hi"), fin: false, receipt: None };
    client.handle.try_send(StreamCommand::Data(Box::new(data))).unwrap();
    peer.take_received(b"hi").await;
    drop(peer);
    let down = Told::Down(ProtocolName::Raw, Reason::Closed, vec![TUNNEL]);
    client.expect(&[Told::Closed(TUNNEL, Reason::Closed), down]).await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_can_be_opened_in_a_tunnel_of_a_tunnel() {
    let (mut client, mut peer) = up(http1(), ProtocolName::Http).await;
    client.handle.send(connect(INNER, http1()));
    peer.request().await;
    peer.write("HTTP/1.1 201 Created\r\n\r\n").await;
    let told = Told::TunnelUp(Some(INNER), ProtocolName::Http, "label".into());
    client.expect(&[Told::Response(INNER, Fin::Fin, 201), told]).await;
    client.handle.send(get(TUNNEL * INSIDE + 9));
    client.expect(&[Told::StreamBadState(TUNNEL * INSIDE + 9, BadState::NoTunnel)]).await;
    let websocket = INNER * INSIDE + 1;
    client.handle.send(upgrade(websocket));
    peer.accept().await;
    client.expect(&[Told::Upgraded(websocket)]).await;
    client.send(vec![text("hello")]);
    peer.expect(Opcode::Text, "hello").await;
    drop(peer);
    client.expect(&[Told::Down(ProtocolName::Ws, Reason::Closed, vec![websocket])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_can_be_cancelled_before_and_after_it_is_up() {
    let (mut client, mut peer, _) = asked(http1()).await;
    client.handle.send(StreamCommand::Cancel(Box::new((TUNNEL, CALLER))));
    client.handle.send(StreamCommand::Info(Box::new((TUNNEL, 5))));
    client.expect(&[Told::StreamInfo(5, Known::Nothing)]).await;
    peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
    client.expect(&[Told::Down(ProtocolName::Http, Reason::Normal, vec![TUNNEL])]).await;

    let (mut client, mut peer) = up(http1(), ProtocolName::Http).await;
    client.handle.send(get(INNER));
    peer.request().await;
    client.handle.send(StreamCommand::Cancel(Box::new((TUNNEL, CALLER))));
    let down = Told::Down(ProtocolName::Http, Reason::Normal, vec![INNER]);
    client.expect(&[Told::Closed(INNER, Reason::Normal), down]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_tunnel_that_is_cancelled_on_its_way_ends_with_it() {
    let (mut client, mut peer) = up(Speaks::Socks(socks_proxy(http1())), ProtocolName::Socks).await;
    peer.take_received(b"\x05\x01\x00").await;
    client.handle.send(get(INNER));
    client.handle.send(StreamCommand::Cancel(Box::new((TUNNEL, CALLER))));
    let down = Told::Down(ProtocolName::Socks, Reason::Normal, vec![INNER]);
    client.expect_only(&[Told::Closed(INNER, Reason::Normal), down]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_closes_before_its_answer_takes_the_tunnel_along() {
    let (mut client, peer, _) = asked(http1()).await;
    drop(peer);
    let down = Told::Down(ProtocolName::Http, Reason::Closed, vec![TUNNEL]);
    client.expect(&[Told::Closed(TUNNEL, Reason::Closed), down]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_a_tunnel_awaits_its_response() {
    let (mut client, mut peer) = up(http1(), ProtocolName::Http).await;
    client.handle.send(get(INNER));
    peer.request().await;
    client.handle.send(Command::Shutdown);
    peer.write("HTTP/1.1 204 OK\r\n\r\n").await;
    client.expect_end(&[Told::Response(INNER, Fin::Fin, 204), Told::ShutDown]).await;
}

fn socks_proxy(speaks: Speaks) -> Arc<Socks> {
    let auth = vec![Auth::None];
    Arc::new(Socks { auth, timeout: Some(Duration::from_secs(1)), destination: Arc::new(destination(speaks)) })
}

/// A connection through a proxy that speaks SOCKS, and the proxy.
async fn through(socks: Arc<Socks>) -> (Client, Peer<tokio::net::TcpStream>, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let (sink, told) = recorder();
    let options = ConnectOptions { endpoint, ..options() };
    let client = Client { handle: spawn(&tokio::runtime::Handle::current(), options, sink), told };
    client.handle.send(Command::Through(socks));
    client.handle.send(Command::Connect(None));
    let peer = Peer::new(listener.accept().await.unwrap().0);
    (client, peer, listener)
}

/// The proxy leads to the origin.
async fn lead(peer: &mut Peer<tokio::net::TcpStream>) {
    peer.take_received(b"\x05\x01\x00").await;
    peer.write(b"\x05\x00").await;
    peer.take_received(b"\x05\x01\x00\x03\x06origin\x00\x50").await;
    peer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00").await;
}

fn socks_up(protocol: ProtocolName) -> Told {
    Told::TunnelUp(None, protocol, "label".into())
}

#[tokio::test]
async fn a_socks_proxy_leads_to_the_origin_and_what_was_asked_before_waits() {
    let (mut client, mut peer, _listener) = through(socks_proxy(http1())).await;
    client.expect(&[Told::Up(ProtocolName::Socks)]).await;
    client.handle.send(get(3));
    lead(&mut peer).await;
    client.expect(&[socks_up(ProtocolName::Http)]).await;
    assert_eq!(peer.request().await["host"], "origin");
    peer.write("HTTP/1.1 204 OK\r\n\r\n").await;
    client.expect(&[Told::Response(3, Fin::Fin, 204)]).await;
    client.handle.send(connect(TUNNEL, Speaks::Raw(None)));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(ProtocolName::Raw)]).await;
}

#[tokio::test]
async fn socks_leads_to_socks_and_from_a_tunnel() {
    let (mut client, mut peer, _listener) = through(socks_proxy(Speaks::Socks(socks_proxy(http1())))).await;
    lead(&mut peer).await;
    client.expect(&[Told::Up(ProtocolName::Socks), socks_up(ProtocolName::Socks)]).await;
    lead(&mut peer).await;
    client.expect(&[socks_up(ProtocolName::Http)]).await;

    let (mut client, mut peer) = up(Speaks::Socks(socks_proxy(Speaks::Raw(None))), ProtocolName::Socks).await;
    peer.take_received(b"\x05\x01\x00").await;
    peer.write(b"\x05\x00").await;
    peer.take_received(b"\x05\x01\x00\x03\x06origin\x00\x50").await;
    peer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00early").await;
    client.expect(&[told_up(ProtocolName::Raw), Told::Data(TUNNEL, Fin::NoFin, "early".into())]).await;
}

#[tokio::test]
async fn a_socks_proxy_that_refuses_is_named_and_what_waits_is_the_next_connections() {
    let (mut client, mut peer, listener) = through(socks_proxy(http1())).await;
    client.expect(&[Told::Up(ProtocolName::Socks)]).await;
    client.handle.send(get(3));
    peer.take_received(b"\x05\x01\x00").await;
    peer.write(b"\x05\xff").await;
    let reason = Reason::Socks(SocksError::NoAcceptableMethod);
    client.expect(&[Told::Down(ProtocolName::Socks, reason, vec![])]).await;
    client.handle.send(Command::Connect(None));
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    lead(&mut peer).await;
    client.expect(&[Told::Up(ProtocolName::Socks), socks_up(ProtocolName::Http)]).await;
    peer.request().await;
}

#[tokio::test]
async fn a_socks_proxy_that_says_nothing_is_left_in_time() {
    let (mut client, _peer, _listener) = through(socks_proxy(http1())).await;
    client
        .expect(&[Told::Up(ProtocolName::Socks), Told::Down(ProtocolName::Socks, Reason::TunnelTimeout, vec![])])
        .await;
    let (mut client, _peer, _listener) = through(socks_proxy(http1())).await;
    client.expect(&[Told::Up(ProtocolName::Socks)]).await;
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
}

/// A request that has so many seconds, and a part of its body that somebody waits for.
fn limited(client: &Client, stream: u32, seconds: u64) {
    let StreamCommand::Request(mut limited) = request(stream, Method::POST, "/", Body::Streamed(None)) else {
        unreachable!()
    };
    limited.timeout = Some(TimeLimit::from_now(Duration::from_secs(seconds)));
    client.handle.send(StreamCommand::Request(limited));
    part(client, stream);
}

fn part(client: &Client, stream: u32) {
    let (data, receipt) = (Bytes::from_static(b"part"), Some(stream));
    client.handle.send(StreamCommand::Data(Box::new(RequestData {
        stream,
        caller: CALLER,
        data,
        fin: false,
        receipt,
    })));
}

fn late(stream: u32) -> [Told; 2] {
    [Told::TimedOut(stream, Wait::Whole), Told::NotSent(stream, Unsent::BadState(BadState::NoStream))]
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_request_counts_while_the_way_is_made_and_the_way_is_made_all_the_same() {
    let socks = Arc::new(Socks { auth: vec![Auth::None], timeout: None, destination: Arc::new(destination(http1())) });
    let (mut client, mut peer) = up(Speaks::Socks(socks), ProtocolName::Socks).await;
    let began = tokio::time::Instant::now();
    limited(&client, INNER, 2);
    limited(&client, INNER + 1, 1);
    client.handle.send(get(INNER + 2));
    client.expect_only(&late(INNER + 1)).await;
    assert_eq!(began.elapsed().as_secs(), 1);
    client.expect_only(&late(INNER)).await;
    assert_eq!(began.elapsed().as_secs(), 2);
    // A request that is over is one that there is not.
    part(&client, INNER);
    client.expect_only(&late(INNER)[1..]).await;
    peer.take_received(b"\x05\x01\x00").await;
    peer.write(b"\x05\x00").await;
    peer.take_received(b"\x05\x01\x00\x03\x06origin\x00\x50").await;
    peer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00").await;
    client.expect(&[told_up(ProtocolName::Http)]).await;
    assert_eq!(peer.line().await, "GET / HTTP/1.1");
    rest_of_head(&mut peer).await;
    peer.write("HTTP/1.1 204 OK\r\n\r\n").await;
    client.expect_only(&[Told::Response(INNER + 2, Fin::Fin, 204)]).await;
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test]
async fn the_time_of_a_request_counts_on_when_the_way_has_failed() {
    let (mut client, mut peer, _listener) = through(socks_proxy(http1())).await;
    client.expect(&[Told::Up(ProtocolName::Socks)]).await;
    limited(&client, 3, 20);
    peer.take_received(b"\x05\x01\x00").await;
    peer.write(b"\x05\xff").await;
    let reason = Reason::Socks(SocksError::NoAcceptableMethod);
    client.expect(&[Told::Down(ProtocolName::Socks, reason, vec![])]).await;
    // Nothing is awaited from now on but the clock.
    tokio::time::pause();
    client.expect_only(&late(3)).await;
}

//! Tunnels on streams, and what is spoken in them.

use h2::Reason as H2Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::websockets::Busy;
use super::*;
use crate::command::Ping;
use crate::command::tunnel::{Destination, Speaks};
use crate::error::BadState;
use crate::http::http2::frames::{END_HEADERS, HEADERS};
use crate::options::RawOptions;
use crate::status::State;
use crate::websocket::frame::Opcode;

/// The tunnel of most tests, and a stream in it.
const TUNNEL: u32 = 1;
const INNER: u32 = TUNNEL * INSIDE + 2;

fn http1() -> Speaks {
    Speaks::Http { http1: Some(None), http2: None }
}

fn speaks_http2() -> Speaks {
    Speaks::Http { http1: None, http2: Some(Some(Arc::new(http2()))) }
}

fn connect(stream: u32, speaks: Speaks) -> Request<Recorder> {
    let destination = Destination {
        host: "origin".into(),
        port: 80,
        authority: "origin".into(),
        tls: None,
        tls_handshake_timeout: None,
        speaks,
        label: Box::from(&b"label"[..]),
    };
    let body = Body::Tunnel(Arc::new(destination));
    Request { target: Uri::from_static("origin:80"), ..request(stream, Method::CONNECT, body) }
}

fn told_up(stream: u32, protocol: ProtocolName) -> Told {
    Told::TunnelUp(Some(stream), protocol, "label".into())
}

fn over(stream: u32, reason: Reason) -> [Told; 2] {
    [Told::TunnelClosed(stream, reason), Told::TunnelOver(stream)]
}

async fn served_busily() -> (Client, Busy) {
    let (client, server) = served(http2()).await;
    (client, Busy::new(server.connection))
}

/// What the proxy has of a tunnel: a byte stream, and the halves of the stream that it is carried by.
fn far_end(mut send: SendStream<Bytes>, mut recv: RecvStream) -> DuplexStream {
    let (near, far) = duplex(BUFFER);
    let (mut read, mut write) = tokio::io::split(near);
    tokio::spawn(async move {
        while let Some(Ok(data)) = recv.data().await {
            let _ = recv.flow_control().release_capacity(data.len());
            write.write_all(&data).await.unwrap();
        }
        write.shutdown().await.unwrap();
    });
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        while read.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            send.send_data(Bytes::from(std::mem::take(&mut bytes)), false).unwrap();
        }
        let _ = send.send_data(Bytes::new(), true);
    });
    far
}

impl Busy {
    /// The next request is for a tunnel, and is granted: the halves of its stream.
    async fn grant(&mut self) -> (SendStream<Bytes>, RecvStream) {
        let (request, mut answer) = self.request().await;
        assert_eq!((request.method(), request.uri().to_string()), (&Method::CONNECT, "origin:80".to_owned()));
        (answer.send_response(response(200), false).unwrap(), request.into_body())
    }

    /// The same: the byte stream.
    async fn lead(&mut self) -> DuplexStream {
        let (send, recv) = self.grant().await;
        far_end(send, recv)
    }
}

async fn asked_with(speaks: Speaks) -> (Client, Busy) {
    let (client, server) = served_busily().await;
    client.request(connect(TUNNEL, speaks));
    (client, server)
}

async fn up(speaks: Speaks, protocol: ProtocolName) -> (Client, Busy, Peer) {
    let (mut client, mut server) = asked_with(speaks).await;
    let peer = Peer::new(server.lead().await);
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, protocol)]).await;
    (client, server, peer)
}

/// The connection answers requests.
async fn expect_alive(client: &mut Client, server: &mut Busy) {
    client.request(get(9));
    server.request().await.1.send_response(response(204), true).unwrap();
    client.expect(&[Told::Response(9, Fin::Fin, 204)]).await;
}

async fn expect_known(client: &mut Client, stream: u32, known: Known) {
    client.handle.send(StreamCommand::Info(Box::new((stream, 20))));
    client.expect(&[Told::StreamInfo(20, known)]).await;
}

#[tokio::test(start_paused = true)]
async fn it_leads_to_the_origins_http_beside_other_streams() {
    let (mut client, mut server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(get(INNER));
    assert_eq!(peer.line().await, "GET / HTTP/1.1");
    assert_eq!(peer.request().await.get("x"), None);
    expect_alive(&mut client, &mut server).await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200), data(INNER, Fin::Fin, "hi")]).await;
    expect_known(&mut client, TUNNEL, Known::Stream(TUNNEL, true)).await;
    expect_known(&mut client, INNER, Known::Nothing).await;
    assert_eq!(client.handle.state(), State::Http2);
    assert_eq!(client.handle.stats().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_response_and_nothing_else_changes() {
    let (mut client, mut server) = asked_with(http1()).await;
    let (request, mut answer) = server.request().await;
    let mut send = answer.send_response(response(407), false).unwrap();
    send.send_data(Bytes::from_static(b"no"), true).unwrap();
    client.expect(&[Told::Response(TUNNEL, Fin::NoFin, 407), data(TUNNEL, Fin::Fin, "no")]).await;
    assert!(timeout(PATIENCE, request.into_body().data()).await.unwrap().is_none_or(|data| data.unwrap().is_empty()));
    client.request(get(INNER));
    client.expect(&[Told::StreamBadState(INNER, BadState::NoTunnel)]).await;
    client.request(connect(3, http1()));
    let (_, mut answer) = server.request().await;
    answer.send_response(response(200), true).unwrap();
    client.expect(&[Told::Response(3, Fin::Fin, 200)]).await;
    client.request(get(3 * INSIDE + 1));
    client.expect(&[Told::StreamBadState(3 * INSIDE + 1, BadState::NoTunnel)]).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn streams_in_it_wait_for_it_to_be_up() {
    let (mut client, mut server) = asked_with(http1()).await;
    let (request, mut answer) = server.request().await;
    client.request(get(INNER));
    client.expect(&[Told::StreamBadState(INNER, BadState::NoTunnel)]).await;
    expect_known(&mut client, TUNNEL, Known::Stream(TUNNEL, true)).await;
    drop((request, answer.send_response(response(200), false).unwrap()));
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http)]).await;
    client.request(get(7 * INSIDE + 1));
    client.expect(&[Told::StreamBadState(7 * INSIDE + 1, BadState::NoTunnel)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_its_streams_and_then_itself() {
    let (mut client, mut server) = asked_with(http1()).await;
    let (mut send, mut recv) = server.grant().await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http)]).await;
    client.request(get(INNER));
    client.request(get(INNER + 1));
    assert!(timeout(PATIENCE, recv.data()).await.unwrap().unwrap().unwrap().starts_with(b"GET"));
    send.send_data(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\nfirst"), false).unwrap();
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200), data(INNER, Fin::NoFin, "first")]).await;
    send.send_reset(H2Reason::CONNECT_ERROR);
    let reset = |stream| Told::Reset(stream, Http2Code::ConnectError);
    client.expect(&[reset(INNER), reset(INNER + 1), reset(TUNNEL), Told::TunnelOver(TUNNEL)]).await;
    expect_known(&mut client, TUNNEL, Known::Nothing).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_is_the_end_of_what_is_received() {
    let (mut client, mut server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(get(INNER));
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\nto the end").await;
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200), data(INNER, Fin::NoFin, "to the end")]).await;
    peer.io.shutdown().await.unwrap();
    client.expect(&[data(INNER, Fin::Fin, "")]).await;
    client.expect(&over(TUNNEL, Reason::Closed)).await;
    peer.expect_end().await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn http_that_closes_ends_the_tunnel_alone() {
    let (mut client, mut server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(get(INNER));
    peer.request().await;
    peer.write("HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n").await;
    client.expect(&[Told::Response(INNER, Fin::Fin, 204)]).await;
    client.expect(&over(TUNNEL, Reason::Normal)).await;
    peer.expect_end().await;
    client.request(get(INNER));
    client.expect(&[Told::StreamBadState(INNER, BadState::NoTunnel)]).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn it_can_be_cancelled_before_and_after_it_is_up() {
    let (mut client, mut server) = asked_with(http1()).await;
    let (request, _answer) = server.request().await;
    client.handle.send(cancel(TUNNEL));
    let reset = timeout(PATIENCE, request.into_body().data()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(H2Reason::CANCEL));
    client.request(connect(TUNNEL, http1()));
    let (_send, mut recv) = server.grant().await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http)]).await;
    client.request(get(INNER));
    client.request(get(INNER + 1));
    timeout(PATIENCE, recv.data()).await.unwrap().unwrap().unwrap();
    client.handle.send(cancel(INNER + 1));
    client.handle.send(cancel(INNER + 5));
    client.handle.send(cancel(TUNNEL));
    client.handle.send(StreamCommand::Info(Box::new((TUNNEL, 20))));
    client.request(get(INNER + 6));
    client.expect(&[Told::NoStream(INNER + 5, CALLER)]).await;
    client.expect(&[Told::Closed(INNER, Reason::Normal), Told::TunnelOver(TUNNEL)]).await;
    client.expect(&[Told::StreamInfo(20, Known::Nothing), Told::StreamBadState(INNER + 6, BadState::NoTunnel)]).await;
    let reset = timeout(PATIENCE, recv.data()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(H2Reason::CANCEL));
    client.handle.send(cancel(TUNNEL));
    client.expect(&[Told::NoStream(TUNNEL, CALLER)]).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_ends_all_that_is_in_it() {
    let (mut client, server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(get(INNER));
    peer.request().await;
    server.task.abort();
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect(&[closed(INNER), closed(TUNNEL), Told::TunnelOver(TUNNEL)]).await;
    client.expect(&[down(Reason::Closed, &[INNER, TUNNEL])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_connection_is_told_to_whoever_has_it() {
    let (mut client, mut server) = raw::begun(http2()).await;
    client.request(connect(TUNNEL, http1()));
    server.expect(HEADERS).await;
    server.send(&[raw::head(1, &[])]).await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http)]).await;
    server.send(&[raw::frame(HEADERS, END_HEADERS, 0, raw::OK)]).await;
    let reason = Reason::Http2(Http2Code::ProtocolError);
    client.expect(&[Told::ConnectionFault(vec![TUNNEL], Http2Code::ProtocolError)]).await;
    client.expect(&[Told::Closed(TUNNEL, reason.clone()), Told::TunnelOver(TUNNEL), down(reason, &[TUNNEL])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_in_it_ends_with_it() {
    let (mut client, mut server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.upgrade(INNER);
    peer.accept().await;
    client.expect(&[Told::Upgraded(INNER)]).await;
    client.send_on(Some(INNER), vec![text("hello")]);
    peer.expect(Opcode::Text, "hello").await;
    peer.write(frame(Opcode::Text, b"hi")).await;
    client.expect(&[Told::Text(INNER, "hi".into())]).await;
    expect_known(&mut client, INNER, Known::Websocket(INNER, 1, 1)).await;
    assert_eq!(client.handle.state(), State::Http2);
    peer.write(frame(Opcode::Close, &close_payload(1000, ""))).await;
    client.expect(&[Told::Close(INNER, Some((1000, String::new())))]).await;
    peer.expect(Opcode::Close, close_payload(1000, "")).await;
    peer.expect_end().await;
    client.expect(&over(TUNNEL, Reason::Normal)).await;
    expect_alive(&mut client, &mut server).await;

    client.request(connect(3, http1()));
    let mut peer = Peer::new(server.lead().await);
    client.expect(&[Told::Response(3, Fin::Fin, 200), told_up(3, ProtocolName::Http)]).await;
    client.upgrade(3 * INSIDE + 1);
    peer.accept().await;
    client.expect(&[Told::Upgraded(3 * INSIDE + 1)]).await;
    drop(peer);
    client.expect(&[Told::Closed(3 * INSIDE + 1, Reason::Closed)]).await;
    client.expect(&over(3, Reason::Closed)).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_as_they_are_go_by_its_name() {
    let (mut client, _server, mut peer) = up(Speaks::Raw(None), ProtocolName::Raw).await;
    client.handle.send(body(TUNNEL, "hello", Fin::NoFin));
    peer.take_received(b"hello").await;
    peer.write("hi").await;
    client.expect(&[data(TUNNEL, Fin::NoFin, "hi")]).await;
    client.request(get(INNER));
    client.expect(&[Told::BadState(CALLER, BadState::OnlyRaw)]).await;
    client.handle.send(body(TUNNEL, "bye", Fin::Fin));
    peer.take_received(b"bye").await;
    peer.expect_end().await;
    peer.write("still").await;
    client.expect(&[data(TUNNEL, Fin::NoFin, "still")]).await;
    drop(peer);
    client.expect(&over(TUNNEL, Reason::Closed)).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_read_does_not_hold_up_the_others() {
    let raw = RawOptions { flow: Flow::Messages(1), ..RawOptions::default() };
    let small = Http2Options { initial_connection_window_size: 65_535, initial_stream_window_size: 65_535, ..http2() };
    let (mut client, server) = served(small).await;
    let mut server = Busy::new(server.connection);
    client.request(connect(TUNNEL, Speaks::Raw(Some(raw))));
    let (mut send, _recv) = server.grant().await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Raw)]).await;
    send.send_data(Bytes::from_static(b"a"), false).unwrap();
    client.expect(&[data(TUNNEL, Fin::NoFin, "a")]).await;
    send.send_data(Bytes::from(vec![b'b'; 100_000]), false).unwrap();
    settle().await;
    client.request(get(9));
    let mut other = server.request().await.1.send_response(response(200), false).unwrap();
    other.send_data(Bytes::from(vec![b'c'; 50_000]), true).unwrap();
    client.expect(&[Told::Response(9, Fin::NoFin, 200)]).await;
    let mut received = 0;
    while received < 50_000 {
        let Some(Told::Data(9, _, data)) = client.next().await else { panic!("no data") };
        received += data.len();
    }
    client.handle.send(StreamCommand::UpdateFlow(Some(Box::new(TUNNEL)), 1000));
    let mut received = 0;
    while received < 100_000 {
        match client.next().await {
            Some(Told::Data(TUNNEL, _, data)) => received += data.len(),
            told => assert_eq!(told, Some(data(9, Fin::Fin, ""))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn http2_in_it_leads_further_on() {
    let (mut client, mut outer) = asked_with(speaks_http2()).await;
    let far = outer.lead().await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http2)]).await;
    let mut inner = Busy::new(timeout(PATIENCE, Builder::new().handshake(far)).await.unwrap().unwrap());
    client.request(get(INNER));
    let (request, mut answer) = inner.request().await;
    assert_eq!(request.uri(), "http://origin/");
    answer.send_response(response(204), true).unwrap();
    client.expect(&[Told::Response(INNER, Fin::Fin, 204)]).await;
    let ping = Ping { tunnel: Some(TUNNEL), caller: CALLER, name: 30 };
    client.handle.send(crate::command::Command::Ping(Box::new(ping)));
    client.expect(&[Told::PingAck(CALLER, 30)]).await;
    // The next proxy.
    client.request(connect(INNER, http1()));
    let mut peer = Peer::new(inner.lead().await);
    client.expect(&[Told::Response(INNER, Fin::Fin, 200), told_up(INNER, ProtocolName::Http)]).await;
    let deep = INNER * INSIDE + 1;
    client.request(get(deep));
    peer.request().await;
    let ping = Ping { tunnel: Some(INNER), caller: CALLER, name: 31 };
    client.handle.send(crate::command::Command::Ping(Box::new(ping)));
    client.expect(&[Told::BadState(CALLER, BadState::NoPing)]).await;
    peer.write("HTTP/1.1 204 OK\r\n\r\n").await;
    client.expect(&[Told::Response(deep, Fin::Fin, 204)]).await;
    client.request(get(deep));
    peer.request().await;
    client.request(get(INNER + 1));
    let _held = inner.request().await;
    inner.task.abort();
    let closed = |stream| Told::Closed(stream, Reason::Closed);
    client.expect(&[closed(INNER + 1), closed(deep), closed(INNER), Told::TunnelOver(INNER)]).await;
    client.expect(&over(TUNNEL, Reason::Closed)).await;
    expect_alive(&mut client, &mut outer).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_it_is_told_to_all_that_http2_in_it_has() {
    let (mut client, mut outer) = asked_with(speaks_http2()).await;
    let (mut send, mut recv) = outer.grant().await;
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http2)]).await;
    client.request(get(INNER));
    timeout(PATIENCE, recv.data()).await.unwrap().unwrap().unwrap();
    send.send_reset(H2Reason::CONNECT_ERROR);
    let reset = |stream| Told::Reset(stream, Http2Code::ConnectError);
    client.expect(&[reset(INNER), reset(TUNNEL), Told::TunnelOver(TUNNEL)]).await;
    expect_alive(&mut client, &mut outer).await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_behind_it_that_speaks_http1_takes_it_over() {
    let (mut client, mut server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(connect(INNER, http1()));
    assert_eq!(peer.line().await, "CONNECT origin:80 HTTP/1.1");
    peer.request().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
    client.expect(&[Told::Response(INNER, Fin::Fin, 200), told_up(INNER, ProtocolName::Http)]).await;
    client.request(get(INNER + 1));
    client.expect(&[Told::StreamBadState(INNER + 1, BadState::NoTunnel)]).await;
    let deep = INNER * INSIDE + 1;
    client.request(get(deep));
    peer.request().await;
    client.handle.send(cancel(INNER));
    client.expect(&[Told::Closed(deep, Reason::Normal), Told::TunnelOver(INNER)]).await;
    client.expect(&over(TUNNEL, Reason::Normal)).await;
    expect_alive(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_waits_for_what_is_under_way_in_it() {
    let (mut client, _server, mut peer) = up(http1(), ProtocolName::Http).await;
    client.request(get(INNER));
    peer.request().await;
    client.handle.send(crate::command::Command::Shutdown);
    settle().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200), data(INNER, Fin::Fin, "hi")]).await;
    client.expect_end(&[Told::TunnelOver(TUNNEL), Told::ShutDown]).await;

    let limited = Http2Options { closing_timeout: Some(Duration::from_secs(1)), ..http2() };
    let (mut client, server) = served(limited).await;
    let mut server = Busy::new(server.connection);
    client.request(connect(TUNNEL, http1()));
    let mut peer = Peer::new(server.lead().await);
    client.expect(&[Told::Response(TUNNEL, Fin::Fin, 200), told_up(TUNNEL, ProtocolName::Http)]).await;
    client.request(get(INNER));
    peer.request().await;
    client.handle.send(crate::command::Command::Shutdown);
    client.expect(&[Told::CutShort(INNER), Told::CutShort(TUNNEL), Told::TunnelOver(TUNNEL)]).await;
    client.expect_end(&[Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn much_goes_both_ways_within_the_windows() {
    let (mut client, _server, mut peer) = up(http1(), ProtocolName::Http).await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
    client.request(request(INNER, Method::POST, Body::Whole(Bytes::from(sent.clone()))));
    peer.request().await;
    peer.take_received(&sent).await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
    client.expect(&[Told::Response(INNER, Fin::NoFin, 200)]).await;
    let writer = tokio::spawn({
        let sent = sent.clone();
        async move { peer.write(&sent).await }
    });
    let mut received = String::new();
    while received.len() < sent.len() {
        match client.next().await {
            Some(Told::Data(INNER, _, data)) => received += &data,
            Some(Told::FlowCheck(..)) => client.handle.send(StreamCommand::FlowGrant(Box::new(INNER))),
            Some(Told::RelayCheck) => client.handle.send(crate::command::Command::RelayGrant),
            told => panic!("{told:?}"),
        }
    }
    assert_eq!(received.as_bytes(), sent);
    writer.await.unwrap();
}

//! A connection before it is a WebSocket, and one that never becomes one.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tungstenite::handshake::derive_accept_key;

use crate::command::Command;
use crate::error::{BadState, HandshakeError};
use crate::options::{ConnectOptions, HttpOptions, HttpVersion, WsOptions};
use crate::status::State;
use crate::testing::*;
use crate::websocket::frame::Opcode;

fn down(reason: Reason, killed: &[u32]) -> Told {
    Told::Down(Http, reason, killed.to_vec())
}

/// Options with these for HTTP.
fn with_http(http: HttpOptions) -> ConnectOptions {
    ConnectOptions { http, ..options() }
}

fn data(fin: Fin, text: &str) -> Told {
    Told::Data(STREAM, fin, text.into())
}

/// Refuses an upgrade with this response, then grants the next one on the same connection.
async fn refusing(response: &str, told: &[Told]) {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    peer.write(response).await;
    client.expect_only(told).await;
    assert_eq!(client.handle.state(), State::Http);
    client.upgrade(2);
    peer.accept().await;
    client.expect_only(&[Told::Upgraded(2)]).await;
    assert_eq!(client.handle.state(), State::Ws);
    client.send(vec![text("at last")]);
    peer.expect(Opcode::Text, "at last").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_body_is_final_and_leaves_the_connection_usable() {
    refusing("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", &[Told::Response(STREAM, Fin::Fin, 403)]).await;
    refusing("HTTP/1.1 204 No Content\r\n\r\n", &[Told::Response(STREAM, Fin::Fin, 204)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_body_of_known_length_ends_with_it_and_leaves_the_connection_usable() {
    let events = [Told::Response(STREAM, Fin::NoFin, 401), data(Fin::Fin, "who?")];
    refusing("HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nwho?", &events).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_chunked_body_ends_with_its_last_chunk_and_leaves_the_connection_usable() {
    let response = "HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
    refusing(response, &[Told::Response(STREAM, Fin::NoFin, 400), data(Fin::Fin, "abc")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_chunked_body_without_a_chunk_is_an_empty_last_part() {
    let response = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    refusing(response, &[Told::Response(STREAM, Fin::NoFin, 404), data(Fin::Fin, "")]).await;
}

#[tokio::test(start_paused = true)]
async fn trailers_end_a_chunked_body() {
    let response = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let trailers = Told::Trailers(STREAM, vec![("x-trailer".into(), "1".into())]);
    refusing(response, &[Told::Response(STREAM, Fin::NoFin, 404), data(Fin::NoFin, "a"), trailers]).await;
}

#[tokio::test(start_paused = true)]
async fn an_informational_response_is_not_the_answer() {
    let response = "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    refusing(response, &[Told::Inform(STREAM, 103), Told::Response(STREAM, Fin::Fin, 403)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_with_the_connection_is_delivered_before_the_connection_is_down() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    peer.write("HTTP/1.1 500 Internal Server Error\r\n\r\nwe are ").await;
    client.expect_only(&[Told::Response(STREAM, Fin::NoFin, 500), data(Fin::NoFin, "we are ")]).await;
    peer.write("sorry").await;
    drop(peer);
    client.expect_only(&[data(Fin::NoFin, "sorry"), data(Fin::Fin, ""), down(Reason::Closed, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_came_whole_before_the_connection_was_cut_is_delivered_whole() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await;
    drop(peer);
    client.expect(&[Told::Response(STREAM, Fin::NoFin, 403), data(Fin::Fin, "no")]).await;
    client.expect_only(&[down(Reason::Normal, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_short_fails_its_stream() {
    for body in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.upgrade(STREAM);
        peer.request().await;
        peer.write(format!("HTTP/1.1 403 Forbidden\r\n{body}")).await;
        client.expect_only(&[Told::Response(STREAM, Fin::NoFin, 403), data(Fin::NoFin, "half")]).await;
        drop(peer);
        client.expect_only(&[Told::Closed(STREAM, Reason::Closed), down(Reason::Closed, &[STREAM])]).await;
    }
}

/// A 101 with the right accept value, unless `more` has another one.
fn answer(request: &HeaderMap, upgrade: &str, connection: &str, accept: Option<&str>, more: &str) -> String {
    let right = derive_accept_key(request["sec-websocket-key"].as_bytes());
    let accept = accept.map_or(format!("sec-websocket-accept: {right}\r\n"), str::to_owned);
    format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}{connection}{accept}{more}\r\n")
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_complete_the_handshake_is_told_by_name_and_ends_the_connection() {
    let (up, on) = ("upgrade: websocket\r\n", "connection: upgrade\r\n");
    let wrong = Some("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    let extension = "sec-websocket-extensions: x-snap\r\n";
    let subprotocol = "sec-websocket-protocol: other\r\n";
    let cases = [
        ("", on, None, "", HandshakeError::Upgrade),
        ("upgrade: h2c\r\n", on, None, "", HandshakeError::Upgrade),
        (up, "", None, "", HandshakeError::Connection),
        (up, "connection: close\r\n", None, "", HandshakeError::Connection),
        (up, on, Some(""), "", HandshakeError::MissingAccept),
        (up, on, wrong, "", HandshakeError::WrongAccept),
        (up, on, None, extension, HandshakeError::Extension("x-snap".into())),
        (up, on, None, subprotocol, HandshakeError::Subprotocol("other".into())),
    ];
    for (upgrade, connection, accept, more, error) in cases {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.upgrade(STREAM);
        client.upgrade(2);
        let request = peer.request().await;
        peer.write(answer(&request, upgrade, connection, accept, more)).await;
        let reason = Reason::Handshake(error.clone());
        let events = [Told::Handshake(STREAM, error), Told::Closed(2, reason.clone()), down(reason, &[STREAM, 2])];
        client.expect_only(&events).await;
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subprotocol_that_was_asked_for_is_accepted() {
    let ws = WsOptions { subprotocols: vec!["chat".into(), "other".into()], ..WsOptions::default() };
    let (mut client, mut peer) = connected(with_ws(ws), BUFFER);
    client.upgrade(STREAM);
    let request = peer.request().await;
    assert_eq!(request["sec-websocket-protocol"], "chat, other");
    let subprotocol = "sec-websocket-protocol: other\r\n";
    peer.write(answer(&request, "upgrade: WebSocket\r\n", "connection: Upgrade\r\n", None, subprotocol)).await;
    client.expect_only(&[Told::Upgraded(STREAM)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_never_ends_reaches_the_limit() {
    for line in ["x-more: and more\r\n", "x"] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.upgrade(STREAM);
        peer.request().await;
        let head = format!("HTTP/1.1 403 Forbidden\r\nx-first: {}", line.repeat(200_000));
        let write = tokio::io::AsyncWriteExt::write_all(&mut peer.io, head.as_bytes());
        write.await.expect_err("the whole of it was read");
        let events = [
            Told::ConnectionError(Reason::LimitReached),
            Told::Closed(STREAM, Reason::LimitReached),
            down(Reason::LimitReached, &[STREAM]),
        ];
        client.expect_only(&events).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_http_ends_the_connection() {
    for garbage in ["220 mail.example.org ESMTP\r\n\r\n", "\0\u{1}\u{2}\r\n\r\n", "HTTP/1.1 x\r\n\r\n"] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.upgrade(STREAM);
        peer.request().await;
        peer.write(garbage).await;
        client.expect_only(&[Told::Closed(STREAM, Reason::Http), down(Reason::Http, &[STREAM])]).await;
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_before_the_response_fails_every_stream() {
    for answer in ["", "HTTP/1.1 101 Switch"] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.upgrade(STREAM);
        client.upgrade(2);
        peer.request().await;
        peer.write(answer).await;
        drop(peer);
        let events =
            [Told::Closed(STREAM, Reason::Closed), Told::Closed(2, Reason::Closed), down(Reason::Closed, &[STREAM, 2])];
        client.expect_only(&events).await;
        assert_eq!(client.handle.state(), State::Idle);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_while_idle_is_told_as_closed() {
    let (mut client, peer) = connected(options(), BUFFER);
    settle().await;
    drop(peer);
    client.expect_only(&[down(Reason::Closed, &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_unasked_is_left_normally() {
    for unasked in ["HTTP/1.1 408 Request Timeout\r\n\r\n", "220 mail.example.org ESMTP\r\n"] {
        let (mut client, mut peer) = connected(options(), BUFFER);
        settle().await;
        peer.write(unasked).await;
        client.expect_only(&[down(Reason::Normal, &[])]).await;
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_over_http_1_0_is_refused_and_nothing_is_sent() {
    let (mut client, mut peer) =
        connected(with_http(HttpOptions { version: HttpVersion::Http10, ..HttpOptions::default() }), BUFFER);
    client.upgrade(STREAM);
    client.expect_only(&[Told::StreamBadState(STREAM, BadState::UpgradeOverHttp10)]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_waits_while_another_is_granted_is_refused() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    client.upgrade(2);
    peer.accept().await;
    client.expect_only(&[Told::BadState(CALLER, BadState::OnlyWebsocket), Told::Upgraded(STREAM)]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_waits_while_another_is_refused_is_done_next() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    client.upgrade(2);
    peer.request().await;
    peer.expect_nothing().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    peer.accept().await;
    let events = [Told::Response(STREAM, Fin::NoFin, 403), data(Fin::Fin, "no"), Told::Upgraded(2)];
    client.expect_only(&events).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_whose_subprotocol_cannot_stand_in_a_header_is_refused_alone() {
    let ws = WsOptions { subprotocols: vec!["two\r\nlines".into()], ..WsOptions::default() };
    let (mut client, mut peer) = connected(with_ws(ws), BUFFER);
    client.upgrade(STREAM);
    client.expect_only(&[Told::StreamBadState(STREAM, BadState::InvalidHeader)]).await;
    peer.expect_nothing().await;
    assert_eq!(client.handle.state(), State::Http);
}

#[tokio::test(start_paused = true)]
async fn frames_before_the_websocket_is_open_are_refused() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.send(vec![text("too early")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    client.upgrade(STREAM);
    peer.request().await;
    client.send(vec![text("too early")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_idle_ends_at_once() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::ShutDown]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaits_the_response_under_way_and_fails_what_waits_behind_it() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    client.upgrade(2);
    peer.request().await;
    client.handle.send(Command::Shutdown);
    client.expect_only(&[Told::Closing(2)]).await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nn").await;
    client.expect_only(&[Told::Response(STREAM, Fin::NoFin, 403), data(Fin::NoFin, "n")]).await;
    peer.write("o").await;
    client.expect_end(&[data(Fin::Fin, "o"), Told::ShutDown]).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_awaits_no_response_longer_than_closing_timeout() {
    let http = HttpOptions { closing_timeout: Some(Duration::from_secs(3)), ..HttpOptions::default() };
    let (mut client, mut peer) = connected(with_http(http), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    let asked = Instant::now();
    client.handle.send(Command::Shutdown);
    client.expect_end(&[Told::CutShort(STREAM), Told::ShutDown]).await;
    assert_eq!(asked.elapsed().as_secs(), 3);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_when_the_server_cuts_the_response_under_way() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    client.handle.send(Command::Shutdown);
    settle().await;
    drop(peer);
    client.expect_end(&[Told::Closed(STREAM, Reason::Closed), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_drops_the_handle_closes_the_connection() {
    let (client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    peer.request().await;
    let (handle, mut told) = (client.handle, client.told);
    drop(handle);
    assert_eq!(told.recv().await, None);
    peer.expect_end().await;
}

mod limits;
mod pipeline;
mod receipts;
mod requests;
mod steps;
mod whole;

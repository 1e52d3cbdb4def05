//! A server that breaks the protocol, or passes a limit, is told so by a close code, and the user by an event.

use std::time::Duration;

use tokio::time::Instant;

use crate::command::Command;
use crate::error::{BadState, ProtocolError};
use crate::options::{ConnectOptions, WsOptions};
use crate::status::State;
use crate::testing::*;
use crate::websocket::frame::Opcode;

/// An empty text frame with a reserved bit.
const FAULT: &[u8] = &[0xc1, 0];

/// What breaks the protocol, the error that names it, and the code that answers it.
fn faults() -> Vec<(Vec<u8>, ProtocolError, u16)> {
    let two = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    let masked = vec![0x81, 0x81, 1, 2, 3, 4, b'x' ^ 1];
    vec![
        (vec![0xc1, 0], ProtocolError::ReservedBits, 1002),
        (vec![0xa2, 0], ProtocolError::ReservedBits, 1002),
        (vec![0x83, 0], ProtocolError::Opcode(3), 1002),
        (vec![0x8b, 0], ProtocolError::Opcode(11), 1002),
        (masked, ProtocolError::Masked, 1002),
        (vec![0x81, 126, 0, 1, b'x'], ProtocolError::LengthEncoding, 1002),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::LengthEncoding, 1002),
        (vec![0x09, 0], ProtocolError::ControlFragmented, 1002),
        (frame(Opcode::Ping, &[0; 126]), ProtocolError::ControlTooLong, 1002),
        (frame(Opcode::Continuation, b"x"), ProtocolError::UnexpectedContinuation, 1002),
        (
            two(fragment(Opcode::Text, false, b"x"), frame(Opcode::Text, b"y")),
            ProtocolError::ExpectedContinuation,
            1002,
        ),
        (frame(Opcode::Text, b"\xc0\x80"), ProtocolError::InvalidUtf8, 1007),
        (fragment(Opcode::Text, false, b"\xff"), ProtocolError::InvalidUtf8, 1007),
        (
            two(fragment(Opcode::Text, false, b"\xce"), frame(Opcode::Continuation, b"")),
            ProtocolError::InvalidUtf8,
            1007,
        ),
        (frame(Opcode::Close, b"\x03"), ProtocolError::ClosePayload, 1002),
        (frame(Opcode::Close, &close_payload(1005, "")), ProtocolError::CloseCode(1005), 1002),
        (frame(Opcode::Close, &close_payload(2999, "")), ProtocolError::CloseCode(2999), 1002),
        (frame(Opcode::Close, b"\x03\xe8\xff"), ProtocolError::InvalidUtf8, 1007),
    ]
}

fn down(error: &ProtocolError) -> Told {
    Told::Down(Ws, Reason::Protocol(error.clone()), vec![STREAM])
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_told_after_what_came_before_it_and_answered_and_ends_when_the_server_closes() {
    for (bytes, error, code) in faults() {
        let (mut client, mut peer) = open(options(), BUFFER).await;
        peer.write([frame(Opcode::Text, b"before"), bytes, frame(Opcode::Text, b"after")].concat()).await;
        client.expect(&[Told::Text(STREAM, "before".into())]).await;
        client.expect_only(&[Told::Settle(STREAM)]).await;
        assert_eq!(client.handle.state(), State::Closing);
        peer.expect_nothing().await;
        client.settled();
        client.expect_only(&[Told::Protocol(STREAM, error.clone())]).await;
        peer.expect_close(code).await;
        peer.write([frame(Opcode::Text, b"later"), frame(Opcode::Close, b"")].concat()).await;
        client.expect_only(&[]).await;
        peer.expect_nothing().await;
        drop(peer);
        client.expect_only(&[down(&error)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_after_closing_timeout_if_the_server_does_not_close() {
    let limit = Duration::from_secs(3);
    let ws = WsOptions { closing_timeout: Some(limit), ..WsOptions::default() };
    for (bytes, error, code) in faults() {
        let (mut client, mut peer) = open(with_ws(ws.clone()), BUFFER).await;
        let broken = Instant::now();
        peer.write(bytes).await;
        client.expect_fault(error.clone()).await;
        client.expect(&[down(&error)]).await;
        assert_eq!(broken.elapsed().as_secs(), limit.as_secs());
        peer.expect_close(code).await;
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_after_the_answer_to_a_fault_are_refused() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(FAULT).await;
    client.expect_fault(ProtocolError::ReservedBits).await;
    client.send(vec![text("too late")]);
    client.expect_only(&[Told::BadState(CALLER, BadState::Closing)]).await;
    peer.expect_close(1002).await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_users_close_is_told_and_sends_no_second_close() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![close(1000, "")]);
    peer.expect_close(1000).await;
    peer.write(FAULT).await;
    client.expect_only(&[Told::Protocol(STREAM, ProtocolError::ReservedBits)]).await;
    peer.expect_nothing().await;
    drop(peer);
    client.expect_only(&[down(&ProtocolError::ReservedBits)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_after_a_fault_ends_as_a_shutdown() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    peer.write(FAULT).await;
    client.expect_only(&[Told::Settle(STREAM)]).await;
    client.handle.send(Command::Shutdown);
    client.settled();
    peer.expect_close(1002).await;
    peer.expect_nothing().await;
    drop(peer);
    client.expect_end(&[Told::Protocol(STREAM, ProtocolError::ReservedBits), Told::ShutDown]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_the_same_packet_as_the_101_is_told_after_it() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    peer.write([&answer[..], FAULT].concat()).await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    client.expect_fault(ProtocolError::ReservedBits).await;
    peer.expect_close(1002).await;
    drop(peer);
    client.expect_only(&[down(&ProtocolError::ReservedBits)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_byte_in_a_large_text_is_told_before_the_text_is_whole() {
    let (mut client, mut peer) = open(options(), 10_000).await;
    let mut wire = frame(Opcode::Text, &[b'x'; 1 << 20]);
    wire[500_000] = 0xff;
    peer.write(&wire[..600_000]).await;
    client.expect_only(&[Told::Settle(STREAM), Told::Protocol(STREAM, ProtocolError::InvalidUtf8)]).await;
    peer.expect_close(1007).await;
    peer.write(&wire[600_000..]).await;
    drop(peer);
    client.expect_only(&[down(&ProtocolError::InvalidUtf8)]).await;
}

/// A session with these limits gets what keeps them, then what passes them.
async fn passing(limits: WsOptions, kept: Vec<u8>, told: Told, passed: &[u8], error: ProtocolError) {
    let options: ConnectOptions = with_ws(limits);
    let (mut client, mut peer) = open(options, BUFFER).await;
    peer.write([&kept, passed].concat()).await;
    client.expect(&[told]).await;
    client.expect_fault(error.clone()).await;
    peer.expect_close(1009).await;
    drop(peer);
    client.expect_only(&[down(&error)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_over_max_frame_size_is_answered_with_1009_at_its_header() {
    let limits = WsOptions { max_frame_size: Some(100), ..WsOptions::default() };
    let kept = [fragment(Opcode::Binary, false, &[1; 100]), frame(Opcode::Continuation, &[1; 100])].concat();
    let told = Told::Binary(STREAM, vec![1; 200]);
    passing(limits, kept, told, &[0x82, 101], ProtocolError::FrameTooBig).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_over_max_message_size_is_answered_with_1009_at_the_header_that_passes_it() {
    let limits = WsOptions { max_message_size: Some(150), ..WsOptions::default() };
    let kept = frame(Opcode::Binary, &[1; 150]);
    let told = Told::Binary(STREAM, vec![1; 150]);
    let mut passed = fragment(Opcode::Binary, false, &[1; 100]);
    passed.extend([0x80, 51]);
    passing(limits, kept, told, &passed, ProtocolError::MessageTooBig).await;
}

//! Messages told frame by frame, where somebody wants them so.

use crate::error::ProtocolError;
use crate::options::DeflateOptions;
use crate::options::{Flow, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

fn by_default() -> WsOptions {
    WsOptions { fragments_by_default: true, ..WsOptions::default() }
}

fn told(text: bool, first: bool, fin: Fin, data: &[u8]) -> Told {
    Told::Fragment { stream: STREAM, text, first, fin, data: data.to_vec() }
}

#[tokio::test(start_paused = true)]
async fn each_frame_of_a_message_is_told_as_it_comes_and_a_whole_message_as_such() {
    let (mut client, mut peer) = open(with_ws(by_default()), BUFFER).await;
    peer.write(fragment(Opcode::Text, false, b"a")).await;
    client.expect_only(&[told(true, true, Fin::NoFin, b"a")]).await;
    peer.write([frame(Opcode::Ping, b"p"), fragment(Opcode::Continuation, false, b"")].concat()).await;
    // Pings are silenced where messages are told whole alone.
    client.expect_only(&[Told::Ping(STREAM, "p".into()), told(true, false, Fin::NoFin, b"")]).await;
    peer.expect(Opcode::Pong, "p").await;
    peer.write(fragment(Opcode::Continuation, true, b"c")).await;
    client.expect_only(&[told(true, false, Fin::Fin, b"c")]).await;
    peer.write([fragment(Opcode::Binary, false, &[1; 100_000]), frame(Opcode::Continuation, b"")].concat()).await;
    client.expect_only(&[told(false, true, Fin::NoFin, &[1; 100_000]), told(false, false, Fin::Fin, b"")]).await;
    peer.write([frame(Opcode::Text, b"whole"), frame(Opcode::Binary, b"whole")].concat()).await;
    client.expect_only(&[Told::Text(STREAM, "whole".into()), Told::Binary(STREAM, b"whole".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_has_its_own_bytes_though_a_character_is_cut() {
    let wire = "κόσμε \u{10ffff}".as_bytes();
    for cut in 0..=wire.len() {
        for second in cut..=wire.len() {
            let (mut client, mut peer) = open(with_ws(by_default()), BUFFER).await;
            let parts = [&wire[..cut], &wire[cut..second], &wire[second..]];
            peer.write(fragment(Opcode::Text, false, parts[0])).await;
            peer.write(fragment(Opcode::Continuation, false, parts[1])).await;
            peer.write(fragment(Opcode::Continuation, true, parts[2])).await;
            let events = [
                told(true, true, Fin::NoFin, parts[0]),
                told(true, false, Fin::NoFin, parts[1]),
                told(true, false, Fin::Fin, parts[2]),
            ];
            client.expect_only(&events).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn text_is_validated_across_frames() {
    for (frames, before) in [
        ([fragment(Opcode::Text, false, b"\xce"), frame(Opcode::Continuation, b"x")], &b"\xce"[..]),
        ([fragment(Opcode::Text, false, b"a\xce"), frame(Opcode::Continuation, b"")], b"a\xce"),
    ] {
        let (mut client, mut peer) = open(with_ws(by_default()), BUFFER).await;
        peer.write(frames.concat()).await;
        client.expect(&[told(true, true, Fin::NoFin, before)]).await;
        client.expect_fault(ProtocolError::InvalidUtf8).await;
    }
}

#[tokio::test(start_paused = true)]
async fn max_message_size_counts_what_has_been_told() {
    let ws = WsOptions { max_message_size: Some(10), ..by_default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    peer.write([fragment(Opcode::Text, false, "aaaκ".as_bytes()), frame(Opcode::Continuation, b"12345")].concat())
        .await;
    let events = [told(true, true, Fin::NoFin, "aaaκ".as_bytes()), told(true, false, Fin::Fin, b"12345")];
    client.expect_only(&events).await;
    // Four bytes, of which the last begins a character, and six more are ten; one more is too many.
    let begin = fragment(Opcode::Text, false, b"aaa\xce");
    peer.write([&begin[..], &frame(Opcode::Continuation, b"\xba23456")].concat()).await;
    client.expect(&[told(true, true, Fin::NoFin, b"aaa\xce"), told(true, false, Fin::Fin, b"\xba23456")]).await;
    peer.write([&begin[..], &[0x80, 7]].concat()).await;
    client.expect(&[told(true, true, Fin::NoFin, b"aaa\xce")]).await;
    client.expect_fault(ProtocolError::MessageTooBig).await;
}

#[tokio::test(start_paused = true)]
async fn compressed_frames_are_told_with_what_they_inflate_to() {
    let ws = WsOptions { compress: Some(DeflateOptions::default()), ..by_default() };
    let answer = "sec-websocket-extensions: permessage-deflate\r\n";
    let (mut client, mut peer) = open_with(with_ws(ws), BUFFER, answer).await;
    // "Hello" in two blocks: "H" with the end of a block, then "ello"; see RFC 7692, 7.2.3.5.
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    peer.write(compressed(Opcode::Text, false, &two[..8])).await;
    client.expect_only(&[told(true, true, Fin::NoFin, b"He")]).await;
    peer.write(fragment(Opcode::Continuation, true, &two[8..])).await;
    client.expect_only(&[told(true, false, Fin::Fin, b"llo")]).await;
    peer.write(compressed(Opcode::Text, true, &[0xf2, 0x00, 0x11, 0x00, 0x00])).await;
    client.expect_only(&[Told::Text(STREAM, "Hello".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn each_frame_that_is_told_costs_one_of_the_flow() {
    let ws = WsOptions { flow: Flow::Messages(2), ..by_default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    for bytes in [
        fragment(Opcode::Binary, false, b"1"),
        fragment(Opcode::Continuation, false, b"2"),
        fragment(Opcode::Continuation, true, b"3"),
    ] {
        peer.write(bytes).await;
        settle().await;
    }
    client.expect_only(&[told(false, true, Fin::NoFin, b"1"), told(false, false, Fin::NoFin, b"2")]).await;
}

#[tokio::test(start_paused = true)]
async fn the_subprotocol_that_the_server_chooses_decides() {
    let frames = [fragment(Opcode::Text, false, b"a"), frame(Opcode::Continuation, b"b")].concat();
    let parts = vec![told(true, true, Fin::NoFin, b"a"), told(true, false, Fin::Fin, b"b")];
    let whole = vec![Told::Text(STREAM, "ab".into())];
    let cases = [
        (false, "", &whole),
        (false, "sec-websocket-protocol: whole\r\n", &whole),
        (false, "sec-websocket-protocol: parts\r\n", &parts),
        (true, "", &parts),
        (true, "sec-websocket-protocol: whole\r\n", &whole),
        (true, "sec-websocket-protocol: parts\r\n", &parts),
    ];
    for (fragments_by_default, answer, events) in cases {
        let ws = WsOptions {
            subprotocols: vec!["whole".into(), "parts".into()],
            fragments: vec!["parts".into()],
            fragments_by_default,
            ..WsOptions::default()
        };
        let (mut client, mut peer) = open_with(with_ws(ws), BUFFER, answer).await;
        peer.write(&frames).await;
        client.expect_only(events).await;
    }
}

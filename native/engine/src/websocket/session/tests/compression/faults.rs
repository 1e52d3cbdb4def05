//! Compressed messages that break the protocol, or pass a limit.

use super::*;
use crate::error::HandshakeError;

/// The fault that these frames are, behind a message that is none.
async fn faulty(options: ConnectOptions, answer: &str, frames: Vec<u8>, error: ProtocolError, code: u16) {
    let (mut client, mut peer) = open_with(options, BUFFER, answer).await;
    peer.write([frame(Opcode::Text, b"before"), frames].concat()).await;
    client.expect(&[Told::Text(STREAM, "before".into())]).await;
    client.expect_fault(error).await;
    peer.expect_close(code).await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_frame_out_of_place_is_answered_with_1002() {
    let offer = || offering(DeflateOptions::default());
    let hello = Zlib::new(15).zip(b"Hello");
    let mut continued = fragment(Opcode::Text, false, b"x");
    continued.extend(compressed(Opcode::Continuation, true, &hello));
    for (answer, frames) in [
        ("", compressed(Opcode::Text, true, &hello)),
        (AGREED, continued),
        (AGREED, compressed(Opcode::Ping, true, b"")),
        (AGREED, compressed(Opcode::Close, true, b"")),
    ] {
        faulty(offer(), answer, frames, ProtocolError::ReservedBits, 1002).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_inflated_is_answered_with_1007() {
    let offer = || offering(DeflateOptions::default());
    let bad = ProtocolError::CompressedData;
    for frames in [
        compressed(Opcode::Binary, true, &[0xff; 10]),
        compressed(Opcode::Binary, false, &[0xff; 10]),
        // A stored block that is cut short.
        compressed(Opcode::Binary, true, &[0x00, 0x05, 0x00, 0xfb, 0xff]),
        // A distance beyond what has been received.
        compressed(Opcode::Binary, true, &[0xf2, 0x00, 0x11, 0x00, 0x00]),
    ] {
        faulty(offer(), AGREED, frames, bad.clone(), 1007).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_inflates_to_much_is_inflated_turn_by_turn() {
    const LEN: usize = 16 << 20;
    let (mut client, mut peer) = open_with(offering(DeflateOptions::default()), 1 << 20, AGREED).await;
    peer.write(compressed(Opcode::Binary, true, &Zlib::new(15).zip(&vec![7; LEN]))).await;
    let (mut inflated, mut turns) = (0, 0);
    while inflated < LEN as u64 {
        yield_now().await;
        let before = std::mem::replace(&mut inflated, client.handle.stats().uncompressed);
        assert!(inflated - before <= 2 << 20, "{} bytes in one turn", inflated - before);
        turns += 1;
    }
    assert!(turns >= 8);
    assert!(client.next().await == Some(Told::Binary(STREAM, vec![7; LEN])));
}

#[tokio::test(start_paused = true)]
async fn compressed_text_that_is_not_utf8_is_answered_with_1007_as_soon_as_it_cannot_become_it() {
    let bad = Zlib::new(15).zip(b"\xc0\x80");
    let unfinished = Zlib::new(15).zip(b"\xce");
    for frames in [
        compressed(Opcode::Text, true, &bad),
        compressed(Opcode::Text, false, &bad),
        compressed(Opcode::Text, true, &unfinished),
    ] {
        faulty(offering(DeflateOptions::default()), AGREED, frames, ProtocolError::InvalidUtf8, 1007).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_faults_in_one_frame_the_first_is_told_however_it_is_cut() {
    // Text that is not UTF-8, and behind it data that cannot be inflated.
    let wire = [0xc1, 0x0b, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0xff, 0xff, 0xff, 0x00, 0xc2, 0x16];
    for cut in 0..=wire.len() {
        let (mut client, mut peer) = agreed(AGREED).await;
        peer.write(&wire[..cut]).await;
        settle().await;
        peer.write(&wire[cut..]).await;
        client.expect_fault(ProtocolError::InvalidUtf8).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bomb_is_answered_with_1009_and_what_just_fits_is_delivered() {
    const LIMIT: usize = 1 << 20;
    let options = || {
        with_ws(WsOptions {
            compress: Some(DeflateOptions::default()),
            max_message_size: Some(LIMIT as u64),
            ..WsOptions::default()
        })
    };
    let (mut client, mut peer) = open_with(options(), BUFFER, AGREED).await;
    peer.write(compressed(Opcode::Binary, true, &Zlib::new(15).zip(&vec![0; LIMIT]))).await;
    assert!(client.next().await == Some(Told::Binary(STREAM, vec![0; LIMIT])));
    let too_big = Zlib::new(15).zip(&vec![0; LIMIT + 1]);
    let bomb = Zlib::new(15).zip(&vec![0; 20 * LIMIT]);
    let in_fragments: Vec<_> = bomb[1..].chunks(100).map(|part| fragment(Opcode::Continuation, false, part)).collect();
    for frames in [
        compressed(Opcode::Binary, true, &too_big),
        compressed(Opcode::Binary, true, &bomb),
        [compressed(Opcode::Binary, false, &bomb[..1]), in_fragments.concat()].concat(),
    ] {
        faulty(options(), AGREED, frames, ProtocolError::MessageTooBig, 1009).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_offer_does_not_allow_fails_the_upgrade() {
    let plain = Some(DeflateOptions::default());
    let demanding = Some(DeflateOptions { server_no_context_takeover: true, ..DeflateOptions::default() });
    let extension = |name: &str| HandshakeError::Extension(name.into());
    let parameter = |name: &str| HandshakeError::ExtensionParameter(name.into());
    let cases = [
        (None, "permessage-deflate", extension("permessage-deflate")),
        (plain.clone(), "permessage-deflate, permessage-deflate", extension("permessage-deflate")),
        (plain.clone(), "x-webkit-deflate-frame", extension("x-webkit-deflate-frame")),
        (plain.clone(), "permessage-deflate; server_max_window_bits=16", parameter("server_max_window_bits=16")),
        (plain, "permessage-deflate; mystery", parameter("mystery")),
        (demanding, "permessage-deflate", parameter("server_no_context_takeover")),
    ];
    for (compress, answer, error) in cases {
        let (mut client, mut peer) = connected(with_ws(WsOptions { compress, ..WsOptions::default() }), BUFFER);
        client.upgrade(STREAM);
        let request = peer.request().await;
        peer.write(switching_with(&request, &format!("sec-websocket-extensions: {answer}\r\n"))).await;
        let down = Told::Down(Http, Reason::Handshake(error.clone()), vec![STREAM]);
        client.expect_only(&[Told::Handshake(STREAM, error), down]).await;
        assert!(!client.handle.compresses(None));
        peer.expect_end().await;
    }
}

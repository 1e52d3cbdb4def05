//! permessage-deflate, against a server that uses zlib by itself.

mod faults;

use std::task::Poll;

use tokio::task::yield_now;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use crate::command::Item;
use crate::error::ProtocolError;
use crate::options::DeflateOptions;
use crate::options::{ConnectOptions, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

const AGREED: &str = "sec-websocket-extensions: permessage-deflate\r\n";

const WITHOUT_TAKEOVER: &str =
    "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The server's two contexts.
struct Zlib {
    deflate: Deflate,
    inflate: Inflate,
}

impl Zlib {
    fn new(window_bits: u8) -> Self {
        Self { deflate: Deflate::new(6, false, window_bits), inflate: Inflate::new(false, window_bits) }
    }

    /// A message's compressed payload.
    fn zip(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            // zlib flushes nothing twice.
            return vec![0];
        }
        let mut out = vec![0; message.len() + 1000];
        let before = self.deflate.total_out();
        self.deflate.compress(message, &mut out, DeflateFlush::SyncFlush).unwrap();
        out.truncate((self.deflate.total_out() - before) as usize);
        assert_eq!(out.split_off(out.len() - 4), TAIL);
        out
    }

    /// A message of which this is the compressed payload, if it is one of at most so many bytes.
    fn unzip(&mut self, payload: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; most + 100];
        let before = self.inflate.total_out();
        let payload = [payload, &TAIL].concat();
        self.inflate.decompress(&payload, &mut out, InflateFlush::SyncFlush).ok()?;
        out.truncate((self.inflate.total_out() - before) as usize);
        Some(out)
    }
}

/// Bytes that can't be compressed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn offering(deflate: DeflateOptions) -> ConnectOptions {
    with_ws(WsOptions { compress: Some(deflate), ..WsOptions::default() })
}

/// A session in which the server has answered the plain offer so.
async fn agreed(answer: &str) -> (Client, Peer) {
    let (client, peer) = open_with(offering(DeflateOptions::default()), BUFFER, answer).await;
    assert!(client.handle.compresses(None));
    (client, peer)
}

fn small(opcode: Opcode, message: &[u8]) -> Item<Vec<u8>> {
    Item::Small(opcode, message.to_vec())
}

/// This compressed message comes next.
async fn expect_zipped(peer: &mut Peer, zlib: &mut Zlib, opcode: Opcode, message: &[u8]) -> Vec<u8> {
    let (compressed, got, payload) = peer.any_frame().await;
    assert!(compressed && got == opcode);
    assert!(zlib.unzip(&payload, message.len()).as_deref() == Some(message));
    payload
}

#[tokio::test(start_paused = true)]
async fn messages_are_compressed_both_ways() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    let long = "compress me ".repeat(1000);
    client.send(vec![small(Opcode::Text, "κόσμε".as_bytes()), small(Opcode::Binary, long.as_bytes())]);
    client.send(vec![small(Opcode::Text, b""), small(Opcode::Binary, &noise(1000))]);
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, "κόσμε".as_bytes()).await;
    let payload = expect_zipped(&mut peer, &mut zlib, Opcode::Binary, long.as_bytes()).await;
    assert!(payload.len() < 100);
    assert_eq!(expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"").await, [0]);
    expect_zipped(&mut peer, &mut zlib, Opcode::Binary, &noise(1000)).await;
    for (opcode, message) in [(Opcode::Text, "κόσμε"), (Opcode::Text, &long), (Opcode::Binary, ""), (Opcode::Text, "")]
    {
        peer.write(compressed(opcode, true, &zlib.zip(message.as_bytes()))).await;
    }
    let told = [
        Told::Text(STREAM, "κόσμε".into()),
        Told::Text(STREAM, long),
        Told::Binary(STREAM, Vec::new()),
        Told::Text(STREAM, String::new()),
    ];
    client.expect_only(&told).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_compressed_goes_as_it_is_in_its_place_both_ways() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    client.send(vec![small(Opcode::Text, b"1"), text("2"), item(Opcode::Ping, b""), small(Opcode::Text, b"3")]);
    client.send(vec![close(1000, "")]);
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"1").await;
    peer.expect(Opcode::Text, "2").await;
    peer.expect(Opcode::Ping, "").await;
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"3").await;
    peer.expect_close(1000).await;
    peer.write(compressed(Opcode::Text, true, &zlib.zip(b"1"))).await;
    peer.write(frame(Opcode::Text, b"2")).await;
    peer.write(compressed(Opcode::Text, true, &zlib.zip(b"3"))).await;
    client.expect_only(&["1", "2", "3"].map(|message| Told::Text(STREAM, message.into()))).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_agreement_nothing_is_compressed() {
    let (client, mut peer) = open(offering(DeflateOptions::default()), BUFFER).await;
    assert!(!client.handle.compresses(None));
    client.send(vec![small(Opcode::Text, b"as it is"), Item::Large(Opcode::Binary, vec![0; 100_000])]);
    peer.expect(Opcode::Text, "as it is").await;
    assert!(peer.frame().await == (Opcode::Binary, vec![0; 100_000]));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_compressed_whole_and_in_its_place() {
    let (client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    let large = [noise(1 << 20), vec![0; 2 << 20], noise(100)].concat();
    client.send(vec![small(Opcode::Text, b"1"), Item::Large(Opcode::Binary, large.clone()), small(Opcode::Text, b"3")]);
    client.send(vec![Item::Large(Opcode::Text, Vec::new()), small(Opcode::Text, b"5")]);
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"1").await;
    let payload = expect_zipped(&mut peer, &mut zlib, Opcode::Binary, &large).await;
    assert!(payload.len() < 2 << 20);
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"3").await;
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"").await;
    expect_zipped(&mut peer, &mut zlib, Opcode::Text, b"5").await;
}

#[tokio::test(start_paused = true)]
async fn the_other_tasks_of_the_thread_have_their_turn_while_a_large_message_is_compressed() {
    // What it is compressed to fits into the stream, so that only the work itself can make it wait.
    const LEN: usize = 8 << 20;
    let (client, _peer) = agreed(AGREED).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![0; LEN])]);
    let other = tokio::spawn(async move {
        let mut turns = 0;
        // tokio's own way to yield is to wait until no other task is ready.
        std::future::poll_fn(|cx| {
            if client.handle.stats().uncompressed == LEN as u64 {
                return Poll::Ready(turns);
            }
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    });
    let turns = other.await.unwrap();
    assert!(turns >= 30, "{turns} turns");
}

#[tokio::test(start_paused = true)]
async fn a_large_compressed_message_is_received_whole_and_in_its_place() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    let large = [noise(1 << 20), vec![0; 2 << 20]].concat();
    let wire = [
        compressed(Opcode::Text, true, &zlib.zip(b"1")),
        compressed(Opcode::Binary, true, &zlib.zip(&large)),
        compressed(Opcode::Text, true, &zlib.zip(b"3")),
    ];
    peer.write(wire.concat()).await;
    client.expect(&[Told::Text(STREAM, "1".into())]).await;
    assert!(client.next().await == Some(Told::Binary(STREAM, large)));
    client.expect_only(&[Told::Text(STREAM, "3".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn the_contexts_are_kept_from_message_to_message() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    let message = noise(1000);
    client.send(vec![small(Opcode::Binary, &message), small(Opcode::Binary, &message)]);
    let first = expect_zipped(&mut peer, &mut zlib, Opcode::Binary, &message).await;
    let second = expect_zipped(&mut peer, &mut zlib, Opcode::Binary, &message).await;
    assert!(first.len() > 1000 && second.len() < 50);
    let both = [zlib.zip(&message), zlib.zip(&message)].map(|payload| compressed(Opcode::Binary, true, &payload));
    assert!(both[1].len() < 50);
    peer.write(both.concat()).await;
    client.expect_only(&vec![Told::Binary(STREAM, message); 2]).await;
}

#[tokio::test(start_paused = true)]
async fn without_context_takeover_each_message_stands_alone() {
    let (mut client, mut peer) = agreed(WITHOUT_TAKEOVER).await;
    let message = noise(1000);
    client.send(vec![small(Opcode::Binary, &message), Item::Large(Opcode::Binary, message.clone())]);
    for _ in 0..2 {
        expect_zipped(&mut peer, &mut Zlib::new(15), Opcode::Binary, &message).await;
    }
    for _ in 0..2 {
        peer.write(compressed(Opcode::Binary, true, &Zlib::new(15).zip(&message))).await;
    }
    client.expect_only(&vec![Told::Binary(STREAM, message.clone()); 2]).await;
    // A server that keeps its context all the same refers to what is forgotten here.
    let mut kept = Zlib::new(15);
    kept.zip(&message);
    peer.write(compressed(Opcode::Binary, true, &kept.zip(&message))).await;
    client.expect(&[Told::Settle(STREAM), Told::Protocol(STREAM, ProtocolError::CompressedData)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_wants_no_context_takeover_has_none_though_the_server_does_not_mention_it() {
    let deflate = DeflateOptions { client_no_context_takeover: true, ..DeflateOptions::default() };
    let (client, mut peer) = open_with(offering(deflate), BUFFER, AGREED).await;
    let message = noise(1000);
    client.send(vec![small(Opcode::Binary, &message), small(Opcode::Binary, &message)]);
    for _ in 0..2 {
        expect_zipped(&mut peer, &mut Zlib::new(15), Opcode::Binary, &message).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_windows_that_were_agreed_on_are_kept_to() {
    let answer = "sec-websocket-extensions: permessage-deflate; server_max_window_bits=9; client_max_window_bits=9\r\n";
    let (mut client, mut peer) = agreed(answer).await;
    let message = noise(2000).repeat(3);
    client.send(vec![small(Opcode::Binary, &message)]);
    let mut zlib = Zlib::new(9);
    let (compressed_by_us, _, payload) = peer.any_frame().await;
    assert!(compressed_by_us);
    // Piece by piece, since zlib finds what it has just put out, however small its window is.
    let mut got = Vec::new();
    for byte in [&payload[..], &TAIL].concat() {
        let mut room = [0; 1000];
        let before = zlib.inflate.total_out();
        zlib.inflate.decompress(&[byte], &mut room, InflateFlush::SyncFlush).unwrap();
        got.extend_from_slice(&room[..(zlib.inflate.total_out() - before) as usize]);
    }
    assert!(got == message);
    peer.write(compressed(Opcode::Binary, true, &zlib.zip(&message))).await;
    client.expect_only(&[Told::Binary(STREAM, message)]).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_client_window_of_8_bits_messages_are_sent_as_they_are_and_received_compressed() {
    let answer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits=8\r\n";
    let (mut client, mut peer) = open_with(offering(DeflateOptions::default()), BUFFER, answer).await;
    client.send(vec![small(Opcode::Text, b"small"), Item::Large(Opcode::Binary, vec![0; 100_000])]);
    peer.expect(Opcode::Text, "small").await;
    assert!(peer.frame().await == (Opcode::Binary, vec![0; 100_000]));
    peer.write(compressed(Opcode::Text, true, &Zlib::new(15).zip(b"Hello"))).await;
    client.expect_only(&[Told::Text(STREAM, "Hello".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_compressed_message_in_fragments_with_a_ping_between_is_one_message() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let mut zlib = Zlib::new(15);
    let payload = zlib.zip("κόσμε κόσμε".as_bytes());
    let wire = [
        compressed(Opcode::Text, false, &payload[..2]),
        frame(Opcode::Ping, b"between"),
        fragment(Opcode::Continuation, false, b""),
        fragment(Opcode::Continuation, false, &payload[2..5]),
        fragment(Opcode::Continuation, true, &payload[5..]),
        compressed(Opcode::Text, false, &zlib.zip("κόσμε".as_bytes())),
        fragment(Opcode::Continuation, true, b""),
        compressed(Opcode::Text, true, b""),
    ];
    peer.write(wire.concat()).await;
    peer.expect(Opcode::Pong, "between").await;
    let told = ["κόσμε κόσμε", "κόσμε", ""].map(|message| Told::Text(STREAM, message.into()));
    client.expect_only(&told).await;
}

#[tokio::test(start_paused = true)]
async fn compressed_messages_cut_at_any_byte_give_the_same_events() {
    let mut zlib = Zlib::new(15);
    let payload = zlib.zip("κόσμε ".repeat(50).as_bytes());
    let wire = [
        compressed(Opcode::Text, false, &payload[..7]),
        frame(Opcode::Ping, b"p"),
        fragment(Opcode::Continuation, true, &payload[7..]),
        compressed(Opcode::Binary, true, &zlib.zip(&[7; 300])),
        compressed(Opcode::Text, true, &zlib.zip(b"")),
        frame(Opcode::Close, b""),
    ]
    .concat();
    let told = [
        Told::Text(STREAM, "κόσμε ".repeat(50)),
        Told::Binary(STREAM, vec![7; 300]),
        Told::Text(STREAM, String::new()),
        Told::Close(STREAM, None),
        Told::Down(Ws, Reason::Normal, vec![STREAM]),
    ];
    for cut in 0..=wire.len() {
        let (mut client, mut peer) = agreed(AGREED).await;
        peer.write(&wire[..cut]).await;
        settle().await;
        peer.write(&wire[cut..]).await;
        client.expect_only(&told).await;
    }
    let (mut client, mut peer) = agreed(AGREED).await;
    for byte in &wire {
        peer.write([*byte]).await;
        settle().await;
    }
    client.expect_only(&told).await;
}

#[tokio::test(start_paused = true)]
async fn a_final_block_ends_neither_the_message_nor_the_stream() {
    let (mut client, mut peer) = agreed(AGREED).await;
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    peer.write(compressed(Opcode::Text, true, &[&hello[..], &hello[..], &[0]].concat())).await;
    peer.write(compressed(Opcode::Text, true, &[&hello[..], &[0]].concat())).await;
    client.expect_only(&[Told::Text(STREAM, "HelloHello".into()), Told::Text(STREAM, "Hello".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_may_end_with_its_final_block_in_whatever_frames_and_pieces() {
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut zlib = Zlib::new(15);
    let wire = [
        compressed(Opcode::Text, true, &hello),
        compressed(Opcode::Text, false, &hello),
        fragment(Opcode::Continuation, true, b""),
        compressed(Opcode::Text, false, &hello[..4]),
        frame(Opcode::Ping, b"p"),
        fragment(Opcode::Continuation, false, &[&hello[4..], &hello].concat()),
        fragment(Opcode::Continuation, true, &hello),
        compressed(Opcode::Text, false, &hello),
        fragment(Opcode::Continuation, true, &[0]),
        compressed(Opcode::Text, true, b""),
        compressed(Opcode::Text, true, &zlib.zip("κόσμε".as_bytes())),
        compressed(Opcode::Text, true, &hello),
        frame(Opcode::Close, b""),
    ]
    .concat();
    let texts = ["Hello", "Hello", "HelloHelloHello", "Hello", "", "κόσμε", "Hello"];
    let told = |stream| {
        let texts = texts.map(|text| Told::Text(stream, text.into()));
        let end = [Told::Close(stream, None), Told::Down(Ws, Reason::Normal, vec![stream])];
        texts.into_iter().chain(end).collect::<Vec<_>>()
    };
    for answer in [AGREED, WITHOUT_TAKEOVER] {
        for cut in 0..=wire.len() {
            let (mut client, mut peer) = agreed(answer).await;
            peer.write(&wire[..cut]).await;
            settle().await;
            peer.write(&wire[cut..]).await;
            client.expect_only(&told(STREAM)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_largest_size_may_end_with_its_final_block_and_leaves_its_window() {
    // The second one made with the first as zlib's dictionary.
    let first = [
        0x0b, 0xc9, 0x48, 0x55, 0x28, 0xcf, 0xcc, 0x4b, 0xc9, 0x2f, 0x57, 0xc8, 0x2c, 0x56, 0xc8, 0x4e, 0x2d, 0x28,
        0xd1, 0x03, 0x00,
    ];
    let second = [0x0b, 0xc1, 0x14, 0x02, 0x00];
    let text = "The window is kept.";
    for max in [text.len() as u64, 100] {
        let mut options = offering(DeflateOptions::default());
        options.ws.max_message_size = Some(max);
        let (mut client, mut peer) = open_with(options, BUFFER, AGREED).await;
        peer.write([compressed(Opcode::Text, true, &first), compressed(Opcode::Text, true, &second)].concat()).await;
        client.expect_only(&[Told::Text(STREAM, text.into()), Told::Text(STREAM, text.into())]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn final_blocks_without_end_are_inflated_turn_by_turn() {
    let (mut client, mut peer) = open_with(offering(DeflateOptions::default()), 1 << 20, AGREED).await;
    let filled = Zlib::new(15).zip(&vec![7; 1 << 15]);
    // Each of these goes on with a whole window.
    let nothings = [0x03, 0x00].repeat(20_000);
    let wire = [
        compressed(Opcode::Binary, true, &[&filled[..], &TAIL, &[0x03, 0x00]].concat()),
        compressed(Opcode::Binary, true, &nothings),
    ];
    peer.write(wire.concat()).await;
    let other = tokio::spawn(async move {
        let mut turns = 0;
        loop {
            tokio::select! {
                biased;
                told = client.next() => match told {
                    Some(Told::Binary(_, payload)) if payload.is_empty() => return turns,
                    told => assert!(told == Some(Told::Binary(STREAM, vec![7; 1 << 15]))),
                },
                () = yield_now() => turns += 1,
            }
        }
    });
    let turns = other.await.unwrap();
    assert!(turns >= 30, "{turns} turns");
}

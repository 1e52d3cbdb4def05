//! What goes each way is counted.

use crate::command::Item;
use crate::event::Stats;
use crate::options::DeflateOptions;
use crate::options::WsOptions;
use crate::testing::*;
use crate::websocket::frame::Opcode;

#[tokio::test(start_paused = true)]
async fn frames_and_bytes_are_counted_both_ways() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    assert_eq!(client.handle.stats(), Stats::default());
    let mut two = vec![];
    for payload in ["1", "2"] {
        crate::websocket::frame::encode(&mut two, Opcode::Text, payload.as_bytes());
    }
    client.send(vec![Item::Encoded(2, two), Item::Small(Opcode::Text, b"123".to_vec())]);
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 70_000])]);
    for _ in 0..4 {
        peer.frame().await;
    }
    peer.write([fragment(Opcode::Text, false, b"a"), frame(Opcode::Ping, b"")].concat()).await;
    peer.write([frame(Opcode::Continuation, b"b"), frame(Opcode::Binary, &[1; 20_000])].concat()).await;
    peer.expect(Opcode::Pong, "").await;
    client.expect_only(&[Told::Text(STREAM, "ab".into()), Told::Binary(STREAM, vec![1; 20_000])]).await;
    let mut stats = Stats {
        frames_in: 4,
        bytes_in: 3 + 2 + 3 + 20_004,
        frames_out: 5,
        bytes_out: 7 + 7 + 9 + 70_014 + 6,
        ..Stats::default()
    };
    assert_eq!(client.handle.stats(), stats);
    peer.write(frame(Opcode::Close, b"")).await;
    client.expect(&[Told::Close(STREAM, None), Told::Down(Ws, Reason::Normal, vec![STREAM])]).await;
    (stats.frames_in, stats.bytes_in, stats.frames_out, stats.bytes_out) = (5, 20_014, 6, 70_043 + 8);
    assert_eq!(client.handle.stats(), stats);
}

#[tokio::test(start_paused = true)]
async fn bytes_count_as_sent_once_the_stream_has_taken_them() {
    let (client, mut peer) = open(options(), 1000).await;
    client.send(vec![Item::Large(Opcode::Binary, vec![0; 5000])]);
    settle().await;
    assert_eq!(client.handle.stats().bytes_out, 1000);
    peer.frame().await;
    settle().await;
    assert_eq!(client.handle.stats().bytes_out, 5008);
}

#[tokio::test(start_paused = true)]
async fn what_came_with_the_101_is_counted() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    peer.write([answer, frame(Opcode::Text, b"early")].concat()).await;
    client.expect_only(&[Told::Upgraded(STREAM), Told::Text(STREAM, "early".into())]).await;
    let stats = client.handle.stats();
    assert_eq!((stats.frames_in, stats.bytes_in), (1, 7));
}

#[tokio::test(start_paused = true)]
async fn the_sizes_of_compressed_messages_are_counted_both_ways() {
    let ws = WsOptions { compress: Some(DeflateOptions::default()), ..WsOptions::default() };
    let answer = "sec-websocket-extensions: permessage-deflate\r\n";
    let (mut client, mut peer) = open_with(with_ws(ws), BUFFER, answer).await;
    let sizes = |client: &Client| (client.handle.stats().uncompressed, client.handle.stats().compressed);
    // "Hello", then "Hello" again with a reference to the first (RFC 7692, 7.2.3.2).
    peer.write(compressed(Opcode::Text, true, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])).await;
    peer.write(compressed(Opcode::Text, true, &[0xf2, 0x00, 0x11, 0x00, 0x00])).await;
    client.expect_only(&vec![Told::Text(STREAM, "Hello".into()); 2]).await;
    assert_eq!(sizes(&client), (10, 12));
    let mut zipped = 0;
    for item in [Item::Small(Opcode::Text, vec![b'x'; 1000]), Item::Large(Opcode::Text, vec![b'x'; 1_000_000])] {
        client.send(vec![item]);
        zipped += peer.any_frame().await.2.len() as u64;
    }
    settle().await;
    assert!(zipped < 10_000);
    assert_eq!(sizes(&client), (10 + 1_001_000, 12 + zipped));
    client.send(vec![text("as it is")]);
    peer.write(frame(Opcode::Text, b"as it is")).await;
    client.expect_only(&[Told::Text(STREAM, "as it is".into())]).await;
    assert_eq!(sizes(&client), (10 + 1_001_000, 12 + zipped));
}

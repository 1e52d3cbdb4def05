//! Messages go both ways, whole and in order, however the bytes are cut.

use std::time::Duration;

use proptest::prelude::*;

use crate::command::{Command, Item};
use crate::error::BadState;
use crate::options::WsOptions;
use crate::testing::*;
use crate::websocket::frame::Opcode;

/// Bytes of which no part looks like another.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn text_and_binary_messages_go_both_ways() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.send(vec![text("κόσμε")]);
    client.send(vec![item(Opcode::Binary, &[0, 255]), item(Opcode::Binary, b"")]);
    peer.expect(Opcode::Text, "κόσμε").await;
    peer.expect(Opcode::Binary, [0, 255]).await;
    peer.expect(Opcode::Binary, []).await;
    peer.write(frame(Opcode::Text, "κόσμε".as_bytes())).await;
    peer.write(frame(Opcode::Binary, &[0, 255])).await;
    peer.write(frame(Opcode::Text, b"")).await;
    let received =
        [Told::Text(STREAM, "κόσμε".into()), Told::Binary(STREAM, vec![0, 255]), Told::Text(STREAM, String::new())];
    client.expect_only(&received).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_sent_whole_and_in_its_place_among_small_ones() {
    let (client, mut peer) = open(options(), 10_000).await;
    let large = noise(5 << 20);
    client.send(vec![text("1"), Item::Large(Opcode::Binary, large.clone()), text("3")]);
    client.send(vec![Item::Large(Opcode::Text, vec![b'x'; 200_000])]);
    client.send(vec![text("5"), Item::Large(Opcode::Binary, Vec::new()), text("7")]);
    peer.expect(Opcode::Text, "1").await;
    assert!(peer.frame().await == (Opcode::Binary, large));
    peer.expect(Opcode::Text, "3").await;
    assert!(peer.frame().await == (Opcode::Text, vec![b'x'; 200_000]));
    peer.expect(Opcode::Text, "5").await;
    peer.expect(Opcode::Binary, []).await;
    peer.expect(Opcode::Text, "7").await;
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_received_whole_and_in_its_place_among_small_ones() {
    let (mut client, mut peer) = open(options(), 10_000).await;
    let large = noise(5 << 20);
    let (first, second) = large.split_at(3 << 20);
    let wire = [
        frame(Opcode::Text, b"1"),
        frame(Opcode::Binary, &large),
        frame(Opcode::Text, b"3"),
        fragment(Opcode::Binary, false, first),
        frame(Opcode::Ping, b"between"),
        fragment(Opcode::Continuation, true, second),
        frame(Opcode::Text, b"5"),
    ];
    peer.write(wire.concat()).await;
    client.expect(&[Told::Text(STREAM, "1".into())]).await;
    assert!(client.next().await == Some(Told::Binary(STREAM, large.clone())));
    client.expect(&[Told::Text(STREAM, "3".into())]).await;
    assert!(client.next().await == Some(Told::Binary(STREAM, large)));
    client.expect_only(&[Told::Text(STREAM, "5".into())]).await;
    peer.expect(Opcode::Pong, "between").await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_together_leave_in_order() {
    let (client, mut peer) = open(options(), 100).await;
    let numbers: Vec<_> = (0..3000).map(|n: u32| n.to_string()).collect();
    for three in numbers.chunks(3) {
        client.send(three.iter().map(|number| text(number)).collect());
    }
    for number in &numbers {
        peer.expect(Opcode::Text, number).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_can_be_read_in_one_turn_is_delivered_without_waiting_for_more() {
    let (mut client, mut peer) = open(options(), 8 << 20).await;
    peer.write(frame(Opcode::Text, &[b'x'; 10_000]).repeat(300)).await;
    client.expect_only(&vec![Told::Text(STREAM, "x".repeat(10_000)); 300]).await;
}

#[tokio::test(start_paused = true)]
async fn frames_in_the_same_packet_as_the_101_are_delivered_after_it() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    let unfinished = &frame(Opcode::Text, b"three")[..4];
    peer.write([&answer, &frame(Opcode::Text, b"1")[..], &frame(Opcode::Binary, b"2"), unfinished].concat()).await;
    let early = [Told::Upgraded(STREAM), Told::Text(STREAM, "1".into()), Told::Binary(STREAM, b"2".into())];
    client.expect_only(&early).await;
    peer.write(b"ree").await;
    client.expect_only(&[Told::Text(STREAM, "three".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_in_the_same_packet_as_the_101_is_delivered_and_answered() {
    let (mut client, mut peer) = connected(options(), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    peer.write([answer, frame(Opcode::Close, b"")].concat()).await;
    let events = [Told::Upgraded(STREAM), Told::Close(STREAM, None), Told::Down(Ws, Reason::Normal, vec![STREAM])];
    client.expect_only(&events).await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

/// What a server sends behind its 101 in the tests that cut it, and what is told of it.
fn conversation() -> (Vec<u8>, Vec<Told>) {
    let wire = [
        frame(Opcode::Text, "κόσμε".as_bytes()),
        fragment(Opcode::Text, false, "ab\u{10ffff}".as_bytes()),
        frame(Opcode::Ping, b"p"),
        fragment(Opcode::Continuation, false, b""),
        fragment(Opcode::Continuation, true, b"c"),
        frame(Opcode::Binary, &[7; 130]),
        frame(Opcode::Pong, b""),
        frame(Opcode::Close, &close_payload(1001, "bye")),
    ];
    let told = vec![
        Told::Upgraded(STREAM),
        Told::Text(STREAM, "κόσμε".into()),
        Told::Ping(STREAM, "p".into()),
        Told::Text(STREAM, "ab\u{10ffff}c".into()),
        Told::Binary(STREAM, vec![7; 130]),
        Told::Pong(STREAM, String::new()),
        Told::Close(STREAM, Some((1001, "bye".into()))),
        Told::Down(Ws, Reason::Normal, vec![STREAM]),
    ];
    (wire.concat(), told)
}

/// Sends a 101 and the conversation in pieces, each of which arrives alone.
async fn converse_in_pieces(ends_of_pieces: impl FnOnce(usize) -> Vec<usize>) {
    let ws = WsOptions { silence_pings: false, ..WsOptions::default() };
    let (mut client, mut peer) = connected(with_ws(ws), BUFFER);
    client.upgrade(STREAM);
    let mut wire = switching(&peer.request().await);
    let (frames, told) = conversation();
    wire.extend(frames);
    let mut start = 0;
    for end in ends_of_pieces(wire.len()).into_iter().chain([wire.len()]) {
        peer.write(&wire[start..end]).await;
        settle().await;
        start = end;
    }
    client.expect_only(&told).await;
    peer.expect(Opcode::Pong, "p").await;
    peer.expect_close(1000).await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_single_bytes_from_the_101_on_gives_the_same_events() {
    converse_in_pieces(|len| (0..len).collect()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_at_any_byte_from_the_101_on_gives_the_same_events() {
    let (frames, _) = conversation();
    // The 101 is as long as any other: its accept value has a fixed length.
    let len = 129 + frames.len();
    for cut in 0..=len {
        converse_in_pieces(|whole| {
            assert_eq!(whole, len);
            vec![cut]
        })
        .await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_what_the_server_sends_gives_the_same_events(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(converse_in_pieces(|len| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
            cuts.sort_unstable();
            cuts
        }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_its_payload_and_kept_from_the_user() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    let longest = [b'x'; 125];
    peer.write([frame(Opcode::Ping, b"are you there"), frame(Opcode::Pong, b"unasked")].concat()).await;
    peer.write([frame(Opcode::Ping, b""), frame(Opcode::Ping, &longest), frame(Opcode::Text, b"x")].concat()).await;
    peer.expect(Opcode::Pong, "are you there").await;
    peer.expect(Opcode::Pong, "").await;
    peer.expect(Opcode::Pong, longest).await;
    client.expect_only(&[Told::Text(STREAM, "x".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_are_shown_to_a_user_who_wants_them() {
    let ws = WsOptions { silence_pings: false, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    peer.write([frame(Opcode::Ping, b"are you there"), frame(Opcode::Pong, b"unasked")].concat()).await;
    client.expect_only(&[Told::Ping(STREAM, "are you there".into()), Told::Pong(STREAM, "unasked".into())]).await;
    peer.expect(Opcode::Pong, "are you there").await;
    peer.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_on_a_websocket_is_refused_and_harms_nothing() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.upgrade(2);
    client.handle.send(Command::Connect(None));
    client.expect_only(&[Told::BadState(CALLER, BadState::OnlyWebsocket)]).await;
    client.send(vec![text("still here")]);
    peer.expect(Opcode::Text, "still here").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_pings_and_reads_nothing_is_read_no_more_until_it_reads() {
    let (mut client, mut peer) = open(options(), 1000).await;
    let ping = frame(Opcode::Ping, &[b'p'; 125]);
    let mut sent = 0;
    let write = async {
        while sent < 100_000 {
            peer.write(&ping).await;
            sent += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), write).await.expect_err("a ping flood is read to its end");
    assert!((400..1100).contains(&sent), "{sent} pings were read");
    for _ in 0..sent {
        peer.expect(Opcode::Pong, [b'p'; 125]).await;
    }
    // The write that was given up may have left a part of a ping.
    client.expect_only(&[]).await;
}

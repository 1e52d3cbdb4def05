//! No more is received than the receiver has asked for.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use zlib_rs::{Deflate, DeflateFlush};

use crate::command::{Command, StreamCommand};
use crate::options::DeflateOptions;
use crate::options::{ConnectOptions, Flow, WsOptions};
use crate::task::spawn_on;
use crate::testing::*;
use crate::websocket::frame::Opcode;

/// For the tests with real sockets, which have a real clock.
const LIMIT: Duration = Duration::from_secs(30);

/// How many messages a receiver that is asked is given before it has answered.
const WINDOW: u32 = 4096;

fn flow(flow: Flow) -> ConnectOptions {
    with_ws(WsOptions { flow, ..WsOptions::default() })
}

fn frames(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|n| frame(Opcode::Text, n.to_string().as_bytes())).collect()
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<Told> {
    numbers.map(|n| Told::Text(STREAM, n.to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn reading_stops_after_so_many_messages_until_more_are_asked_for() {
    let (mut client, mut peer) = open(flow(Flow::Messages(2)), BUFFER).await;
    for n in 0..5 {
        peer.write(frames(n..n + 1)).await;
        settle().await;
    }
    client.expect_only(&texts(0..2)).await;
    // What waits in the stream comes in one read.
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect_only(&texts(2..5)).await;
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_one_read_come_together_and_must_be_repaid() {
    let (mut client, mut peer) = open(flow(Flow::Messages(2)), BUFFER).await;
    peer.write(frames(0..5)).await;
    client.expect_only(&texts(0..5)).await;
    peer.write(frames(5..6)).await;
    client.handle.send(StreamCommand::UpdateFlow(None, 2));
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect_only(&[]).await;
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect_only(&texts(5..6)).await;
    peer.write(frames(6..7)).await;
    client.expect_only(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_not_exhausted_adds_up() {
    let (mut client, mut peer) = open(flow(Flow::Messages(1)), BUFFER).await;
    client.handle.send(StreamCommand::UpdateFlow(None, 2));
    for n in 0..5 {
        peer.write(frames(n..n + 1)).await;
        settle().await;
    }
    client.expect_only(&texts(0..3)).await;
}

#[tokio::test(start_paused = true)]
async fn what_came_with_the_101_waits_too() {
    let (mut client, mut peer) = connected(flow(Flow::Messages(0)), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    peer.write([answer, frames(0..2)].concat()).await;
    client.expect_only(&[Told::Upgraded(STREAM)]).await;
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect_only(&texts(0..2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_in_fragments_costs_one_and_what_is_silenced_nothing() {
    let (mut client, mut peer) = open(flow(Flow::Messages(2)), BUFFER).await;
    let wire = [
        fragment(Opcode::Text, false, b"a"),
        frame(Opcode::Ping, b""),
        fragment(Opcode::Continuation, false, b"b"),
        frame(Opcode::Pong, b""),
        fragment(Opcode::Continuation, true, b"c"),
        frame(Opcode::Text, b"d"),
        frame(Opcode::Text, b"e"),
    ];
    for bytes in wire {
        peer.write(bytes).await;
        settle().await;
    }
    client.expect_only(&[Told::Text(STREAM, "abc".into()), Told::Text(STREAM, "d".into())]).await;
    client.handle.send(StreamCommand::UpdateFlow(None, 1));
    client.expect_only(&[Told::Text(STREAM, "e".into())]).await;
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_that_are_shown_cost_one_each() {
    let ws = WsOptions { flow: Flow::Messages(2), silence_pings: false, ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    for bytes in [frame(Opcode::Ping, b""), frame(Opcode::Pong, b""), frame(Opcode::Text, b"x")] {
        peer.write(bytes).await;
        settle().await;
    }
    client.expect_only(&[Told::Ping(STREAM, String::new()), Told::Pong(STREAM, String::new())]).await;
}

#[tokio::test(start_paused = true)]
async fn sending_and_closing_go_on_while_reading_is_paused() {
    let ws = WsOptions { closing_timeout: Some(3 * LIMIT / 30), flow: Flow::Messages(0), ..WsOptions::default() };
    let (mut client, mut peer) = open(with_ws(ws), BUFFER).await;
    peer.write(frames(0..1)).await;
    client.send(vec![text("still here"), close(1000, "")]);
    peer.expect(Opcode::Text, "still here").await;
    peer.expect_close(1000).await;
    client.expect_only(&[Told::Down(Ws, Reason::Normal, vec![STREAM])]).await;
}

#[tokio::test(start_paused = true)]
async fn updates_mean_nothing_where_no_number_was_set() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    client.handle.send(StreamCommand::UpdateFlow(None, -10));
    client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    peer.write(frames(0..2)).await;
    client.expect_only(&texts(0..2)).await;
}

/// A WebSocket over a real socket, after one message on which its flow is spent.
async fn exhausted() -> (Client, Peer<TcpStream>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let io = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let (sink, told) = recorder();
    let handle = spawn_on(&tokio::runtime::Handle::current(), io, flow(Flow::Messages(1)), sink);
    let mut client = Client { handle, told };
    client.upgrade(STREAM);
    peer.accept().await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    peer.write(frames(0..1)).await;
    client.expect(&texts(0..1)).await;
    (client, peer)
}

#[tokio::test]
async fn the_end_of_the_connection_is_noticed_while_the_flow_is_exhausted_and_what_came_before_is_told() {
    for last in [Vec::new(), frame(Opcode::Close, b"")] {
        let (mut client, mut peer) = exhausted().await;
        // No more than the socket holds unread: the end can't be seen behind what is not there yet.
        peer.write([frames(1..5000), last.clone()].concat()).await;
        sleep(Duration::from_millis(1500)).await;
        client.expect_only(&[]).await;
        let cut = Instant::now();
        drop(peer);
        for n in 1..5000 {
            assert_eq!(client.next().await, Some(Told::Text(STREAM, n.to_string())));
        }
        if last.is_empty() {
            client.expect(&[Told::Down(Ws, Reason::Closed, vec![STREAM])]).await;
        } else {
            client.expect(&[Told::Close(STREAM, None), Told::Down(Ws, Reason::Normal, vec![STREAM])]).await;
        }
        assert!(cut.elapsed() < LIMIT);
    }
}

#[tokio::test]
async fn a_reset_is_noticed_while_the_flow_is_exhausted() {
    let (mut client, peer) = exhausted().await;
    peer.io.set_zero_linger().unwrap();
    drop(peer);
    let down = timeout(LIMIT, client.told.recv()).await.unwrap();
    assert_eq!(down, Some(Told::Down(Ws, Reason::Closed, vec![STREAM])));
}

/// A session whose flow looks after itself, and a server that sends it so many messages in small pieces.
async fn flooded(messages: u32) -> (Client, tokio::task::JoinHandle<Peer>) {
    let (client, mut peer) = open(flow(Flow::Auto), 50).await;
    let flood = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut peer.io, &frames(0..messages)).await.unwrap();
        peer
    });
    (client, flood)
}

#[tokio::test(start_paused = true)]
async fn auto_asks_once_at_half_of_its_window_and_pauses_at_its_end_until_it_is_granted() {
    let (mut client, flood) = flooded(3 * WINDOW).await;
    for window in 0..3 {
        let (first, last) = (window * WINDOW, (window + 1) * WINDOW);
        client.expect(&texts(first..first + WINDOW / 2)).await;
        client.expect(&[Told::FlowCheck(STREAM, u64::from(WINDOW / 2))]).await;
        client.expect_only(&texts(first + WINDOW / 2..last)).await;
        sleep(LIMIT).await;
        client.expect_only(&[]).await;
        client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    }
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn auto_gives_no_more_than_its_window_of_what_one_read_brings() {
    let (mut client, mut peer) = connected(flow(Flow::Auto), BUFFER);
    client.upgrade(STREAM);
    let answer = switching(&peer.request().await);
    // Two bytes each, so that one read has several windows of them; the first ones come with the 101.
    let empty = frame(Opcode::Text, b"").repeat(3 * WINDOW as usize);
    peer.write([answer, empty.clone()].concat()).await;
    client.expect(&[Told::Upgraded(STREAM)]).await;
    peer.write([&empty, &frame(Opcode::Close, b"")[..]].concat()).await;
    let message = Told::Text(STREAM, String::new());
    for _ in 0..6 {
        client.expect(&vec![message.clone(); WINDOW as usize / 2]).await;
        client.expect(&[Told::FlowCheck(STREAM, u64::from(WINDOW / 2))]).await;
        client.expect_only(&vec![message.clone(); WINDOW as usize / 2]).await;
        client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    }
    client.expect(&[Told::Close(STREAM, None), Told::Down(Ws, Reason::Normal, vec![STREAM])]).await;
}

#[tokio::test(start_paused = true)]
async fn auto_counts_the_bytes_that_compressed_messages_inflate_to() {
    let ws = WsOptions { flow: Flow::Auto, compress: Some(DeflateOptions::default()), ..WsOptions::default() };
    let agreed = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover\r\n";
    let (mut client, mut peer) = open_with(with_ws(ws), BUFFER, agreed).await;
    // 16 messages of 1 MiB in one read.
    let mut zeros = vec![0; 1 << 12];
    let mut deflate = Deflate::new(6, false, 15);
    deflate.compress(&[0; 1 << 20], &mut zeros, DeflateFlush::SyncFlush).unwrap();
    zeros.truncate(deflate.total_out() as usize - 4);
    peer.write(compressed(Opcode::Binary, true, &zeros).repeat(16)).await;
    for _ in 0..4 {
        for event in ["message", "message", "check", "message", "message"] {
            match client.next().await {
                Some(Told::Binary(_, payload)) => assert_eq!((event, payload.len()), ("message", 1 << 20)),
                Some(Told::FlowCheck(STREAM, 2)) => assert_eq!(event, "check"),
                other => panic!("{:?}", other.is_some()),
            }
        }
        client.expect_only(&[]).await;
        client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    }
}

#[tokio::test(start_paused = true)]
async fn auto_never_pauses_for_a_receiver_that_keeps_up() {
    let (mut client, flood) = flooded(100_000).await;
    let began = Instant::now();
    let mut next = 0;
    while next < 100_000 {
        match client.next().await {
            Some(Told::FlowCheck(STREAM, messages)) => {
                let half = u64::from(WINDOW / 2);
                assert!((half..half + 100).contains(&messages), "{messages}");
                client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
            }
            told => {
                assert_eq!(told, Some(Told::Text(STREAM, next.to_string())));
                next += 1;
            }
        }
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn auto_counts_bytes_as_well_as_messages() {
    let (mut client, mut peer) = open(flow(Flow::Auto), 10_000).await;
    let large = vec![b'x'; 1 << 20];
    let flood = tokio::spawn(async move {
        for _ in 0..6 {
            peer.write(frame(Opcode::Binary, &large)).await;
        }
    });
    for event in ["message", "message", "check", "message", "message"] {
        match client.next().await {
            Some(Told::Binary(..)) => assert_eq!(event, "message"),
            Some(Told::FlowCheck(STREAM, 2)) => assert_eq!(event, "check"),
            other => panic!("{:?}", other.is_some()),
        }
    }
    settle().await;
    assert!(client.told.try_recv().is_err());
    client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    for event in ["message", "message", "check"] {
        match client.next().await {
            Some(Told::Binary(..)) => assert_eq!(event, "message"),
            Some(Told::FlowCheck(STREAM, 2)) => assert_eq!(event, "check"),
            other => panic!("{:?}", other.is_some()),
        }
    }
    flood.await.unwrap();
}

/// A session of this stream on a flow, and a peer that floods it.
async fn flooded_on(stream: u32, flow_of: Flow, messages: u32) -> (Client, tokio::task::JoinHandle<Peer>) {
    let (mut client, mut peer) = connected(flow(flow_of), BUFFER);
    client.upgrade(stream);
    peer.accept().await;
    client.expect(&[Told::Upgraded(stream)]).await;
    let flood = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut peer.io, &frames(0..messages)).await.unwrap();
        peer
    });
    (client, flood)
}

/// How many messages have been told, and what was asked, since the last call.
async fn told(client: &mut Client) -> (u32, Vec<Told>) {
    settle().await;
    let (mut messages, mut asked) = (0, Vec::new());
    while let Ok(told) = client.told.try_recv() {
        match told {
            Told::Text(..) => messages += 1,
            other => asked.push(other),
        }
    }
    (messages, asked)
}

#[tokio::test(start_paused = true)]
async fn whoever_hands_messages_on_is_waited_for_without_a_flow() {
    let (mut client, flood) = flooded_on(RELAYED, Flow::Unlimited, 1000).await;
    let mut all = 0;
    while all < 1000 {
        let (messages, asked) = told(&mut client).await;
        assert!(messages == 128 && asked == [Told::RelayCheck] || all + messages == 1000, "{messages} {asked:?}");
        all += messages;
        sleep(LIMIT).await;
        client.expect_only(&[]).await;
        // The answer for the receiver is none for him.
        client.handle.send(StreamCommand::FlowGrant(Box::new(RELAYED)));
        client.expect_only(&[]).await;
        client.handle.send(Command::RelayGrant);
    }
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_hands_messages_on_is_waited_for_beside_a_number() {
    let (mut client, flood) = flooded_on(RELAYED, Flow::Messages(200), 1000).await;
    assert_eq!(told(&mut client).await, (128, vec![Told::RelayCheck]));
    client.handle.send(StreamCommand::UpdateFlow(None, 800));
    assert_eq!(told(&mut client).await, (0, vec![]));
    for _ in 0..7 {
        client.handle.send(Command::RelayGrant);
        told(&mut client).await;
    }
    client.handle.send(StreamCommand::UpdateFlow(None, -1000));
    flood.await.unwrap().write(frames(0..1)).await;
    client.handle.send(Command::RelayGrant);
    // The number is spent, though he keeps up.
    assert_eq!(told(&mut client).await, (0, vec![]));
    client.handle.send(StreamCommand::UpdateFlow(None, 1001));
    assert_eq!(told(&mut client).await, (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_on_another_node_is_asked_too() {
    let (mut client, flood) = flooded_on(REMOTE, Flow::Unlimited, 3 * WINDOW).await;
    let mut all = 0;
    loop {
        let (messages, asked) = told(&mut client).await;
        all += messages;
        if messages == 0 {
            break;
        }
        assert!(asked.contains(&Told::RelayCheck) || all == WINDOW, "{all} {asked:?}");
        client.handle.send(Command::RelayGrant);
    }
    assert_eq!(all, WINDOW);
    client.handle.send(Command::RelayGrant);
    client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
    assert_eq!(told(&mut client).await, (0, vec![]));
    client.handle.send(StreamCommand::FlowGrant(Box::new(REMOTE)));
    assert_eq!(told(&mut client).await.0, 128);
    drop(flood);
}

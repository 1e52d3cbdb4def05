//! Single frames, where they are observed.

use crate::options::{ConnectOptions, Steps, WsOptions};
use crate::testing::*;
use crate::websocket::frame::Opcode;

fn observing(ws: WsOptions) -> ConnectOptions {
    let steps = [
        Steps::WS_RECV_FRAME_START,
        Steps::WS_RECV_FRAME_HEADER,
        Steps::WS_RECV_FRAME_END,
        Steps::WS_SEND_FRAME_START,
        Steps::WS_SEND_FRAME_END,
    ];
    let observed = steps.into_iter().fold(Steps::NONE, Steps::with);
    ConnectOptions { observed, ..with_ws(ws) }
}

fn step(text: &str) -> Told {
    Told::Step(text.into())
}

#[tokio::test(start_paused = true)]
async fn each_frame_that_comes_is_told_before_the_message_that_it_ends() {
    let (mut client, mut peer) = open(observing(WsOptions::default()), BUFFER).await;
    peer.write(frame(Opcode::Text, b"whole")).await;
    client
        .expect_only(&[step("1 Text of 5, None None"), step("1 end None whole"), Told::Text(STREAM, "whole".into())])
        .await;
    peer.write(fragment(Opcode::Text, false, b"a")).await;
    client.expect_only(&[step("1 Text of 1, None Some(false)"), step("1 end None a")]).await;
    // A silent ping is a frame all the same, and so is the pong that answers it.
    peer.write(frame(Opcode::Ping, b"p")).await;
    client
        .expect_only(&[
            step("1 Ping of 1, Some(false) Some(false)"),
            step("1 end None p"),
            step("1 session sends Pong p"),
            step("1 session sent Pong p"),
        ])
        .await;
    peer.expect(Opcode::Pong, "p").await;
    peer.write(fragment(Opcode::Continuation, true, b"bc")).await;
    client
        .expect_only(&[
            step("1 Continuation of 2, Some(false) Some(true)"),
            step("1 end None bc"),
            Told::Text(STREAM, "abc".into()),
        ])
        .await;
    peer.write(frame(Opcode::Binary, &[b'x'; 100_000])).await;
    let (payload, large) = ("x".repeat(100_000), vec![b'x'; 100_000]);
    let end = format!("1 end None {payload}");
    client.expect_only(&[step("1 Binary of 100000, None None"), step(&end), Told::Binary(STREAM, large)]).await;
}

#[tokio::test(start_paused = true)]
async fn each_frame_that_is_sent_is_told_as_it_was_given_with_its_sender_and_again_when_it_is_written() {
    let (mut client, mut peer) = open(observing(WsOptions::default()), BUFFER).await;
    client.send(vec![text("one"), text("two")]);
    let verbs = ["sends", "sent"];
    let expected = verbs.map(|verb| [format!("1 caller 7 {verb} Text one"), format!("1 caller 7 {verb} Text two")]);
    let expected: Vec<_> = expected.as_flattened().iter().map(|text| step(text)).collect();
    client.expect_only(&expected).await;
    peer.expect(Opcode::Text, "one").await;
    peer.expect(Opcode::Text, "two").await;
    peer.write(frame(Opcode::Close, &close_payload(1000, ""))).await;
    client
        .expect(&[
            step("1 Close of 2, None None"),
            step("1 end Some(1000) "),
            Told::Close(STREAM, Some((1000, String::new()))),
            step("1 session sends Close \u{3}\u{fffd}"),
            step("1 session sent Close \u{3}\u{fffd}"),
        ])
        .await;
}

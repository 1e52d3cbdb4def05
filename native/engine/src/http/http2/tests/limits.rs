//! What a server may do, how much of it, and how often.

use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf, split};

use super::raw::{Frame, OK, Raw, answer, asked, begun, fault, field, frame, head};
use super::*;
use crate::http::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};

/// What comes first, and what then comes again and again.
fn floods() -> [(Vec<Frame>, Frame); 7] {
    [
        (vec![], frame(PING, 0, 0, [0; 8])),
        (vec![], frame(SETTINGS, 0, 0, [])),
        (vec![], frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
        (vec![], frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])),
        (vec![], frame(77, 0, 0, b"what")),
        (vec![], frame(RST_STREAM, 0, 1, [0; 4])),
        (vec![head(1, &[])], frame(DATA, 0, 1, [])),
    ]
}

/// Sends a frame so often, and reads what is answered, whatever it is.
async fn send_often(mut raw: Raw, before: &[Frame], one: &Frame, count: usize) -> WriteHalf<DuplexStream> {
    raw.send(before).await;
    let (mut reader, mut writer) = split(raw.io);
    tokio::spawn(async move { reader.read_to_end(&mut Vec::new()).await });
    let some = one.bytes().repeat(100);
    for _ in 0..count / 100 {
        if writer.write_all(&some).await.is_err() {
            break;
        }
    }
    writer
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_frames_at_once_are_no_flood() {
    for (before, one) in floods() {
        let (mut client, raw) = asked(http2(), &[1]).await;
        let mut writer = send_often(raw, &before, &one, 1000).await;
        client.request(get(2));
        settle().await;
        writer.write_all(&answer(3).bytes()).await.unwrap();
        while client.next().await != Some(Told::Response(2, Fin::Fin, 200)) {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_ends_the_connection() {
    for (before, one) in floods() {
        let (mut client, raw) = asked(http2(), &[1, 2]).await;
        send_often(raw, &before, &one, 30_000).await;
        loop {
            match client.next().await {
                Some(Told::Down(_, reason, _)) => break assert_eq!(reason, Reason::Http2(Http2Code::EnhanceYourCalm)),
                Some(_) => {}
                None => panic!("{one:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_block_in_pieces_is_limited() {
    let large = field("large", &"a".repeat(100)).repeat(90);
    for (limit, ends) in [(16_384, false), (9000, true)] {
        let options = Http2Options { max_fragmented_header_block_size: limit, ..http2() };
        let (mut client, mut raw) = asked(options, &[1]).await;
        let (first, second) = large.split_at(large.len() / 2);
        let frames = [frame(HEADERS, 0, 1, [OK, first].concat()), frame(CONTINUATION, END_HEADERS, 1, second)];
        raw.send(&frames).await;
        if ends {
            client.expect_only(&fault(Http2Code::EnhanceYourCalm, &[1])).await;
            assert_eq!(raw.expect_end().await, Some(Http2Code::EnhanceYourCalm));
        } else {
            client.expect_only(&[Told::Response(1, Fin::NoFin, 200)]).await;
        }
    }
    // In one frame it is limited by the frame's size, and by its own.
    let options = Http2Options { max_fragmented_header_block_size: 9000, ..http2() };
    let (mut client, mut raw) = asked(options, &[1]).await;
    raw.send(&[frame(HEADERS, END_HEADERS, 1, [OK, &large].concat())]).await;
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_headers_are_limited_decoded_too() {
    let (mut client, mut raw) = asked(Http2Options { max_header_list_size: 5000, ..http2() }, &[1, 2]).await;
    let large = field("large", &"a".repeat(100)).repeat(60);
    raw.send(&[frame(HEADERS, END_HEADERS, 1, [OK, &large].concat())]).await;
    client.expect_only(&[Told::Fault(1, Http2Code::ProtocolError)]).await;
    let larger = field("large", &"a".repeat(100)).repeat(150);
    raw.send(&[frame(HEADERS, END_HEADERS, 3, [OK, &larger].concat())]).await;
    client.expect_only(&fault(Http2Code::EnhanceYourCalm, &[2])).await;
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_limited() {
    let (mut client, mut raw) = asked(Http2Options { max_informs: 2, ..http2() }, &[1, 2]).await;
    let inform = frame(HEADERS, END_HEADERS, 1, field(":status", "103"));
    raw.send(&[inform.clone(), inform.clone(), inform]).await;
    let told = [Told::Inform(1, 103), Told::Inform(1, 103), Told::Fault(1, Http2Code::EnhanceYourCalm)];
    client.expect_only(&told).await;
    raw.send(&[answer(3)]).await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 200)]).await;
}

#[tokio::test(start_paused = true)]
async fn small_frames_that_a_stream_holds_up_do_not_end_the_connection() {
    let (mut client, mut raw) = begun(Http2Options { flow: Flow::Messages(1), ..http2() }).await;
    client.request(get(1));
    raw.expect(HEADERS).await;
    raw.send(&[head(1, &[])]).await;
    let small = frame(DATA, 0, 1, b"a").bytes().repeat(1000);
    for _ in 0..500 {
        raw.write(&small).await;
    }
    client.expect_only(&[Told::Response(1, Fin::NoFin, 200), data(1, Fin::NoFin, "a")]).await;
    client.request(get(2));
    raw.expect(HEADERS).await;
    raw.send(&[answer(3)]).await;
    client.expect_only(&[Told::Response(2, Fin::Fin, 200)]).await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_were_reset_are_remembered_whatever_comes_on_them() {
    let (mut client, mut raw) = begun(http2()).await;
    for stream in 1..=3000 {
        client.request(get(stream));
    }
    for _ in 1..=3000 {
        raw.expect(HEADERS).await;
    }
    for stream in 1..3000 {
        client.handle.send(cancel(stream));
    }
    for _ in 1..3000 {
        raw.expect(RST_STREAM).await;
    }
    for stream in 1..3000 {
        raw.send(&[head(2 * stream - 1, &[]), frame(DATA, 0, 2 * stream - 1, "late")]).await;
    }
    raw.send(&[answer(5999)]).await;
    client.expect_only(&[Told::Response(3000, Fin::Fin, 200)]).await;
}

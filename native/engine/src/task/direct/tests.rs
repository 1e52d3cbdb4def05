//! Frames that their sender writes itself. The task runs on the test's own thread: what comes without an await in between
//! was not written by the task.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};

use super::{MOST, Pace};
use crate::error::BadState;
use crate::testing::*;
use crate::transport::ByteStream;
use crate::websocket::frame::{Opcode, encode_as};
use crate::websocket::role::Role;

fn encoded(payload: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_as(Role::Client, &mut bytes, Opcode::Text, false, payload.as_bytes());
    bytes
}

impl Client {
    /// Sends a frame as `ws_send` does.
    fn send_encoded(&self, payload: &str) {
        self.handle.try_send_frames(None, CALLER, 1, &encoded(payload)).expect("the queue is full");
    }
}

/// Whether the peer has something to read already.
fn has_come(peer: &mut Peer) -> bool {
    let mut byte = [0];
    peer.io.read_exact(&mut byte).now_or_never().is_some()
}

#[tokio::test]
async fn a_frame_is_written_by_its_sender_while_the_task_rests() {
    let (client, mut peer) = open(options(), BUFFER).await;
    settle().await;
    let before = client.handle.stats();
    client.send_encoded("hello");
    let stats = client.handle.stats();
    assert_eq!((stats.frames_out, stats.queued), (before.frames_out + 1, 0));
    assert_eq!(stats.bytes_out, before.bytes_out + encoded("hello").len() as u64);
    let (opcode, payload) = peer.frame().now_or_never().expect("nothing has come");
    assert_eq!((opcode, &payload[..]), (Opcode::Text, &b"hello"[..]));
    peer.write(frame(Opcode::Text, b"and back")).await;
    let mut client = client;
    client.expect_only(&[Told::Text(STREAM, "and back".into())]).await;
}

#[tokio::test]
async fn a_frame_is_queued_behind_what_the_task_has_not_done() {
    let (client, mut peer) = open(options(), BUFFER).await;
    settle().await;
    client.send(vec![text("first")]);
    client.send_encoded("second");
    assert!(!has_come(&mut peer));
    settle().await;
    client.send_encoded("third");
    for expected in ["first", "second", "third"] {
        peer.expect(Opcode::Text, expected).await;
    }
}

#[tokio::test]
async fn a_large_piece_and_a_closing_websocket_are_the_tasks() {
    let (mut client, mut peer) = open(options(), BUFFER).await;
    settle().await;
    let large = "x".repeat(MOST);
    client.send_encoded(&large);
    assert!(!has_come(&mut peer));
    peer.expect(Opcode::Text, &large).await;
    client.send(vec![close(1000, "")]);
    settle().await;
    client.send_encoded("too late");
    client.expect(&[Told::BadState(CALLER, BadState::Closing)]).await;
    assert_eq!(peer.frame().await.0, Opcode::Close);
}

#[tokio::test]
async fn a_connection_that_is_no_websocket_refuses_frames_as_ever() {
    let (mut client, _peer) = connected(options(), BUFFER);
    settle().await;
    client.send_encoded("early");
    client.expect_only(&[Told::BadState(CALLER, BadState::NotWebsocket)]).await;
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_left_to_the_task_in_its_order() {
    let (client, mut peer) = open(options(), 40).await;
    settle().await;
    let expected: Vec<String> = (0..20).map(|n| format!("{n:030}")).collect();
    for payload in &expected {
        client.send_encoded(payload);
    }
    assert!(client.handle.stats().queued > 0);
    for payload in &expected {
        peer.expect(Opcode::Text, payload).await;
    }
    settle().await;
    assert_eq!(client.handle.stats().queued, 0);
}

/// A stream that panics when something is written to it, once it is told to.
struct Trap(DuplexStream, Arc<AtomicBool>);

impl AsyncRead for Trap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Trap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!self.1.load(Ordering::Relaxed), "the trap");
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for Trap {}

#[tokio::test]
async fn a_panic_on_the_senders_thread_is_the_tasks() {
    let trap = Arc::new(AtomicBool::new(false));
    let (mut client, mut peer) = open_on(options(), BUFFER, |near| Trap(near, Arc::clone(&trap))).await;
    settle().await;
    trap.store(true, Ordering::Relaxed);
    client.send_encoded("hello");
    client.expect_end(&[Told::Panicked(Some(Ws), "the trap".into(), vec![STREAM])]).await;
    assert_eq!(peer.io.read(&mut [0]).await.unwrap(), 0, "its byte stream is closed");
    client.send_encoded("too late");
}

#[tokio::test]
async fn an_aborted_connection_takes_nothing_more() {
    let (client, mut peer) = open(options(), BUFFER).await;
    settle().await;
    client.handle.abort();
    settle().await;
    client.send_encoded("too late");
    assert_eq!(peer.io.read(&mut [0]).await.unwrap(), 0);
}

#[test]
fn a_burst_is_not_slow() {
    let pace = Pace::new();
    let slow = (0..1000).filter(|_| pace.is_slow()).count();
    // The thread may have to wait for others now and then.
    assert!((1..500).contains(&slow), "{slow}");
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(pace.is_slow());
}

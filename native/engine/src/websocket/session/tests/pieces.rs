//! What a read brings may come in pieces of any size, which end anywhere in a frame.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

use crate::command::StreamCommand;
use crate::options::{Flow, WsOptions};
use crate::testing::*;
use crate::transport::{ByteStream, Io};
use crate::websocket::frame::Opcode;

/// Lends what it reads in pieces of so many bytes, as TLS does record by record.
struct InPieces(DuplexStream, usize);

impl AsyncRead for InPieces {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for InPieces {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for InPieces {
    fn reads_in_place(&self) -> bool {
        false
    }

    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let mut all = Vec::new();
        let n = ready!(self.0.poll_read_pieces(wanted, cx, &mut |bytes| all.extend_from_slice(bytes)))?;
        all.chunks(self.1).for_each(take);
        Poll::Ready(Ok(n))
    }
}

/// As many frames as one read brings, of all kinds and of lengths on both sides of every limit, and what they tell.
fn conversation() -> (Vec<u8>, Vec<Told>) {
    let (mut bytes, mut told) = (Vec::new(), Vec::new());
    for (n, len) in (0..).zip([0, 1, 124, 125, 126, 127, 300, 4096, 16_383, 16_384, 20_000]) {
        let text = char::from(b'a' + n).to_string().repeat(len);
        bytes.extend(frame(Opcode::Text, text.as_bytes()));
        told.push(Told::Text(STREAM, text));
        let ping = "p".repeat(len.min(125));
        bytes.extend(frame(Opcode::Ping, ping.as_bytes()));
        told.push(Told::Ping(STREAM, ping));
        let payload = vec![n; len];
        let (begin, end) = payload.split_at(len / 3);
        bytes.extend(fragment(Opcode::Binary, false, begin));
        bytes.extend(frame(Opcode::Pong, b"pong"));
        told.push(Told::Pong(STREAM, "pong".into()));
        bytes.extend(fragment(Opcode::Continuation, true, end));
        told.push(Told::Binary(STREAM, payload));
    }
    (bytes, told)
}

async fn receive(piece: usize, ws: WsOptions) -> (Client, Peer, Vec<Told>) {
    let ws = WsOptions { silence_pings: false, ..ws };
    let (client, mut peer) = open_on(with_ws(ws), 1 << 20, |io| InPieces(io, piece)).await;
    let (bytes, told) = conversation();
    peer.write(bytes).await;
    (client, peer, told)
}

#[tokio::test(start_paused = true)]
async fn frames_are_understood_wherever_a_piece_ends() {
    for piece in (1..300).chain([4095, 4096, 4097, 16_384, 65_535]) {
        let (mut client, _peer, told) = receive(piece, WsOptions::default()).await;
        client.expect_only(&told).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_boxed_stream_lends_the_pieces_of_the_stream_in_it() {
    let ws = WsOptions { silence_pings: false, ..WsOptions::default() };
    let boxed = |io| -> Io { Box::new(InPieces(io, 7)) };
    assert!(!boxed(duplex(1).0).reads_in_place());
    let (mut client, mut peer) = open_on(with_ws(ws), 1 << 20, boxed).await;
    let (bytes, told) = conversation();
    peer.write(bytes).await;
    client.expect_only(&told).await;
}

#[tokio::test(start_paused = true)]
async fn what_must_wait_for_a_grant_waits_in_order() {
    for piece in [1, 2, 3, 7, 126, 1000, 20_000] {
        let (mut client, mut peer, told) = receive(piece, WsOptions { flow: Flow::Auto, ..WsOptions::default() }).await;
        client.expect_only(&told).await;
        let small: Vec<u8> = (0..6000).flat_map(|n: u32| frame(Opcode::Text, n.to_string().as_bytes())).collect();
        peer.write(small).await;
        let mut texts = 0;
        let mut checks = 0;
        while texts < 6000 {
            match client.next().await {
                Some(Told::Text(STREAM, text)) => {
                    assert_eq!(text, texts.to_string());
                    texts += 1;
                }
                Some(Told::FlowCheck(..)) => {
                    checks += 1;
                    settle().await;
                    client.handle.send(StreamCommand::FlowGrant(Box::new(STREAM)));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(checks > 0, "the receiver was asked");
    }
}

//! A stream of HTTP/2 as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes of room are asked for at a time.
const PIECE: usize = 64 * 1024;

/// The two directions of a stream, once its headers are exchanged.
pub(crate) struct Carrier {
    received: RecvStream,
    sent: SendStream<Bytes>,
    /// What has been received, and not been read.
    rest: Bytes,
}

impl Carrier {
    /// Of these directions.
    pub(crate) fn new(received: RecvStream, sent: SendStream<Bytes>) -> Self {
        Self { received, sent, rest: Bytes::new() }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            let Some(data) = ready!(self.received.poll_data(cx)) else { return Poll::Ready(Ok(())) };
            self.rest = data.map_err(io::Error::other)?;
            let size = self.rest.len();
            self.received.flow_control().release_capacity(size).map_err(io::Error::other)?;
        }
        let size = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..size]);
        self.rest.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.sent.reserve_capacity(data.len().min(PIECE));
        loop {
            let Some(room) = ready!(self.sent.poll_capacity(cx)) else {
                return Poll::Ready(Err(io::Error::other(h2::Error::from(Reason::STREAM_CLOSED))));
            };
            let size = room.map_err(io::Error::other)?.min(data.len());
            if size > 0 {
                let sent = self.sent.send_data(Bytes::copy_from_slice(&data[..size]), false);
                return Poll::Ready(sent.map(|()| size).map_err(io::Error::other));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sent.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}

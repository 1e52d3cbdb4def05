//! A byte stream of which some bytes were received already.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ByteStream, Io};

/// The stream on which these bytes come first.
pub(crate) fn prefixed(received: Bytes, io: Io) -> Io {
    if received.is_empty() { io } else { Box::new(Prefixed { received, io }) }
}

struct Prefixed {
    received: Bytes,
    io: Io,
}

impl ByteStream for Prefixed {
    fn reads_in_place(&self) -> bool {
        self.received.is_empty() && self.io.reads_in_place()
    }

    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if self.received.is_empty() {
            return self.io.poll_read_pieces(wanted, cx, take);
        }
        let piece = self.received.split_to(wanted.min(self.received.len()));
        if !piece.is_empty() {
            take(&piece);
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn peer_closed(&self) -> bool {
        self.io.peer_closed()
    }

    fn has_unread(&self) -> bool {
        !self.received.is_empty() || self.io.has_unread()
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io.try_write(bytes)
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let len = buf.remaining().min(self.received.len());
        buf.put_slice(self.received.get(..len).unwrap_or_default());
        self.received.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_received_comes_before_what_is_still_to_come() {
        let (near, mut far) = duplex(64);
        far.write_all(b" world").await.unwrap();
        drop(far);
        let mut io = prefixed(Bytes::from_static(b"hello"), Box::new(near));
        assert!(io.has_unread() && !io.reads_in_place());
        let mut two = [0; 2];
        io.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"he");
        let mut rest = String::new();
        io.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "llo world");
    }

    #[test]
    fn where_nothing_was_received_the_stream_is_as_it_was() {
        let (near, _far) = duplex(64);
        assert!(prefixed(Bytes::new(), Box::new(near)).reads_in_place());
    }
}

//! A stream as a byte stream, for a tunnel (RFC 9113, 8.5).
//!
//! Whatever h2 has received is taken from it at once, so that the end of the stream is seen behind it, and so that it is
//! known how much of the connection's window the tunnel holds. The peer may send more once it is read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::download::Parts;
use super::faults::{Failure, from_reason};
use crate::transport::ByteStream;

/// How long the stream of a tunnel that is over may take to be closed by the peer, before it is reset.
const LINGER: Duration = Duration::from_secs(1);

/// How much is given to h2 at once.
const WRITE_AT_ONCE: usize = 64 * 1024;

/// What is read and written.
pub(super) struct StreamIo(Arc<Mutex<Halves>>);

/// What the connection has of it.
pub(super) struct StreamEnd {
    halves: Arc<Mutex<Halves>>,
    recv: RecvStream,
}

struct Halves {
    send: SendStream<Bytes>,
    received: Parts,
    /// How many bytes were read that the peer's window lacks.
    read: usize,
    end: End,
    reader: Option<Waker>,
}

/// What may still come of the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing: it has ended its half of the stream.
    Ended,
    /// Nothing: the stream is lost, and whoever drives the connection ends the tunnel.
    Lost,
}

/// The two sides of a stream.
pub(super) fn stream_io(send: SendStream<Bytes>, recv: RecvStream) -> (StreamIo, StreamEnd) {
    let (received, end, reader) = (Parts::default(), End::Open, None);
    let halves = Arc::new(Mutex::new(Halves { send, received, read: 0, end, reader }));
    (StreamIo(Arc::clone(&halves)), StreamEnd { halves, recv })
}

/// Nobody panics while holding this lock.
fn lock(halves: &Mutex<Halves>) -> MutexGuard<'_, Halves> {
    halves.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StreamEnd {
    /// Takes what h2 has received: how the stream has failed, if it has.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let mut halves = lock(&self.halves);
        let (before, mut failure) = ((halves.received.len(), halves.end), None);
        while halves.end == End::Open {
            match self.recv.poll_data(cx) {
                // Empty frames cost the peer nothing of its window: kept, they would have no limit.
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                Poll::Ready(Some(Ok(data))) => halves.received.push(data),
                Poll::Ready(Some(Err(error))) => {
                    halves.end = End::Lost;
                    failure = Some(Failure::from(&error));
                }
                Poll::Ready(None) => halves.end = End::Ended,
                Poll::Pending => break,
            }
        }
        // It may reset the half of ours that it does not need (RFC 9113, 8.1): what it has said is whole.
        if halves.end == End::Ended
            && let Poll::Ready(Ok(reason)) = halves.send.poll_reset(cx)
            && reason != Reason::NO_ERROR
            && halves.received.is_empty()
        {
            halves.end = End::Lost;
            failure = Some(Failure::Reset(from_reason(reason)));
        }
        // Whoever is polled by this waker reads next in any case.
        if before != (halves.received.len(), halves.end)
            && let Some(reader) = halves.reader.take_if(|reader| !reader.will_wake(cx.waker()))
        {
            drop(halves);
            reader.wake();
        }
        failure
    }

    /// The peer may send as much as was read.
    pub(super) fn release(&mut self) {
        let read = std::mem::take(&mut lock(&self.halves).read);
        if read > 0 {
            // It is never more than has been received, which alone is refused.
            let _ = self.recv.flow_control().release_capacity(read);
        }
    }

    /// How many bytes wait to be read: they hold the peer back on this stream, and should not do so on others.
    pub(super) fn held_back(&self) -> usize {
        lock(&self.halves).received.len()
    }

    /// Ends our half, and awaits the end of the peer's: to drop it before would reset the stream, and the reset may overtake
    /// what stands before the end.
    pub(super) fn close(mut self) {
        let mut halves = lock(&self.halves);
        // Whoever has the other side still says its last words, and ends our half itself.
        if Arc::strong_count(&self.halves) == 1 {
            // It fails where the stream is closed already.
            let _ = halves.send.send_data(Bytes::new(), true);
        }
        let reader = halves.finish();
        let unreleased = halves.drop_received();
        drop(halves);
        if let Some(reader) = reader {
            reader.wake();
        }
        let _ = self.recv.flow_control().release_capacity(unreleased);
        if !self.recv.is_end_stream() {
            tokio::spawn(timeout(LINGER, async move {
                while let Some(Ok(data)) = poll_fn(|cx| self.recv.poll_data(cx)).await {
                    let _ = self.recv.flow_control().release_capacity(data.len());
                }
            }));
        }
    }

    /// Nobody wants the stream any more.
    pub(super) fn reset(self) {
        let mut halves = lock(&self.halves);
        halves.send.send_reset(Reason::CANCEL);
        let reader = halves.finish();
        drop(halves);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Halves {
    /// Nothing is read any more: who reads has the end.
    fn finish(&mut self) -> Option<Waker> {
        self.end = End::Ended;
        self.reader.take()
    }

    /// How many bytes the peer's window lacks for what was read, and for what nobody will read.
    fn drop_received(&mut self) -> usize {
        std::mem::take(&mut self.received).len() + std::mem::take(&mut self.read)
    }

    /// Takes what was received, up to `wanted` bytes; nothing at the end.
    fn poll_take(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Bytes> {
        if let Some(piece) = self.received.take(wanted) {
            self.read += piece.len();
            return Poll::Ready(piece);
        }
        if self.end == End::Ended {
            return Poll::Ready(Bytes::new());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives h2 as many of these bytes as the peer's window has room for.
    fn poll_give(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.end == End::Lost {
            return Poll::Pending;
        }
        let wanted = bytes.len().min(WRITE_AT_ONCE);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(wanted);
        let mut room = self.send.capacity();
        while room == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(more)) => room = more,
                Some(Err(_)) | None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let n = wanted.min(room);
        let sent = self.send.send_data(Bytes::copy_from_slice(&bytes[..n]), false);
        Poll::Ready(sent.map(|()| n).map_err(|_| io::ErrorKind::BrokenPipe.into()))
    }
}

impl ByteStream for StreamIo {
    fn reads_in_place(&self) -> bool {
        false
    }

    fn poll_read_pieces(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let piece = ready!(lock(&self.0).poll_take(wanted, cx));
        if !piece.is_empty() {
            take(&piece);
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn has_unread(&self) -> bool {
        !lock(&self.0).received.is_empty()
    }
}

impl AsyncRead for StreamIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = ready!(lock(&self.0).poll_take(buf.remaining(), cx));
        buf.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_give(bytes, cx)
    }

    /// h2 writes what it was given when the connection has its turn.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It fails where the stream is closed already.
        let _ = lock(&self.0).send.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}

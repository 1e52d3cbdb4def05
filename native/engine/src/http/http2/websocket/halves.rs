//! The two halves of a WebSocket's stream, as h2 has them.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::timeout;

/// How long the stream of a WebSocket that is over may take to be closed by the peer, before it is reset.
const LINGER: Duration = Duration::from_secs(1);

/// The two halves of a stream.
pub(super) struct Halves {
    pub(super) send: SendStream<Bytes>,
    pub(super) recv: RecvStream,
}

impl Halves {
    /// Gives h2 as many of these bytes as the peer's window has room for; `None` if the stream is closed.
    pub(super) fn poll_send(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.send.reserve_capacity(bytes.len());
        let mut room = self.send.capacity();
        while room == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(more)) => room = more,
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        let n = bytes.len().min(room);
        let sent = self.send.send_data(Bytes::copy_from_slice(&bytes[..n]), false);
        Poll::Ready(sent.is_ok().then_some(n))
    }

    /// Ends our half, and awaits the end of the peer's: to drop it before would reset the stream, and the reset may overtake
    /// what stands before the end.
    pub(super) fn close(mut self) {
        // It fails where the stream is closed already.
        let _ = self.send.send_data(Bytes::new(), true);
        if !self.recv.is_end_stream() {
            tokio::spawn(timeout(LINGER, async move {
                while let Some(Ok(data)) = poll_fn(|cx| self.recv.poll_data(cx)).await {
                    let _ = self.recv.flow_control().release_capacity(data.len());
                }
            }));
        }
    }

    /// Nobody wants the stream any more.
    pub(super) fn reset(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

//! What waits to be written: small things joined, so that several requests leave in one write, and large ones by
//! reference.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use crate::account::Charge;
use crate::transport::ByteStream;

/// How much may wait here before no more is taken: the rest waits where it is accounted for.
const MAX_STAGED: usize = 64 * 1024;

/// What is copied rather than held by reference.
const SMALL: usize = 16 * 1024;

/// How many pieces one write gathers.
const GATHERED: usize = 16;

/// What waits to be written.
pub(super) struct Writer {
    waiting: VecDeque<Staged>,
    /// How many bytes wait.
    len: usize,
    /// How many bytes have waited or wait.
    staged: u64,
    /// Whether the peer took nothing when that was last tried.
    blocked: bool,
    /// When it last took something.
    wrote_at: Instant,
}

enum Staged {
    /// Small things: from where on they are not written.
    Joined(Vec<u8>, usize),
    /// A part of a body, with what it counts for.
    Shared { bytes: Bytes, _charge: Charge },
}

impl Staged {
    fn rest(&self) -> &[u8] {
        match self {
            Self::Joined(bytes, written) => bytes.get(*written..).unwrap_or_default(),
            Self::Shared { bytes, .. } => bytes,
        }
    }
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), len: 0, staged: 0, blocked: false, wrote_at: Instant::now() }
    }

    /// Stages what is small: `write` appends it.
    pub(super) fn stage(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.waiting.back(), Some(Staged::Joined(..))) {
            self.waiting.push_back(Staged::Joined(Vec::new(), 0));
        }
        if let Some(Staged::Joined(bytes, written)) = self.waiting.back_mut() {
            // They might never come to an end.
            if *written > SMALL {
                bytes.drain(..std::mem::take(written));
            }
            let before = bytes.len();
            write(bytes);
            let len = bytes.len() - before;
            self.count(len);
        }
    }

    /// Stages a part of a body. What it counts for is given back when it is written, or copied.
    pub(super) fn stage_body(&mut self, bytes: Bytes, charge: Charge) {
        if bytes.is_empty() {
            return;
        }
        if bytes.len() <= SMALL {
            self.stage(|out| out.extend_from_slice(&bytes));
        } else {
            self.count(bytes.len());
            self.waiting.push_back(Staged::Shared { bytes, _charge: charge });
        }
    }

    fn count(&mut self, len: usize) {
        self.len += len;
        self.staged += len as u64;
    }

    /// Whether more may be staged.
    pub(super) fn has_room(&self) -> bool {
        self.len < MAX_STAGED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes have waited or wait: where what is staged next begins.
    pub(super) fn staged(&self) -> u64 {
        self.staged
    }

    /// How many bytes the peer has taken.
    pub(super) fn written(&self) -> u64 {
        self.staged - self.len as u64
    }

    /// When the peer last took something.
    pub(super) fn wrote_at(&self) -> Instant {
        self.wrote_at
    }

    /// While the peer takes nothing: how many bytes it has taken so far.
    pub(super) fn blocked_at(&self) -> Option<u64> {
        self.blocked.then(|| self.written())
    }

    /// Writes once, where anything waits: whether the peer has taken something.
    ///
    /// # Errors
    /// Those of the byte stream.
    pub(super) fn poll_write<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.len == 0 {
            return Poll::Ready(Ok(false));
        }
        let mut io = Pin::new(io);
        let poll = if io.is_write_vectored() && self.waiting.len() > 1 {
            let mut slices = [IoSlice::new(&[]); GATHERED];
            for (slice, staged) in slices.iter_mut().zip(&self.waiting) {
                *slice = IoSlice::new(staged.rest());
            }
            let used = slices.get(..self.waiting.len()).unwrap_or(&slices);
            io.as_mut().poll_write_vectored(cx, used)
        } else {
            let first = self.waiting.front().map(Staged::rest).unwrap_or_default();
            io.as_mut().poll_write(cx, first)
        };
        self.blocked = poll.is_pending();
        match ready!(poll)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => {
                self.wrote_at = Instant::now();
                self.wrote(written);
                Poll::Ready(Ok(true))
            }
        }
    }

    /// So many bytes are written.
    fn wrote(&mut self, mut written: usize) {
        self.len = self.len.saturating_sub(written);
        while let Some(first) = self.waiting.front_mut() {
            let rest = first.rest().len();
            if written < rest {
                match first {
                    Staged::Joined(_, at) => *at += written,
                    Staged::Shared { bytes, .. } => bytes.advance(written),
                }
                return;
            }
            written -= rest;
            self.waiting.pop_front();
        }
        // An idle connection holds no buffer.
        self.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_staged_leaves_in_order_however_little_is_taken_at_a_time() {
        for room in [1, 1000, 20_000, 1 << 20] {
            let (mut near, mut far) = duplex(room);
            let mut writer = Writer::new();
            let large = Bytes::from(vec![b'b'; SMALL + 1]);
            writer.stage(|out| out.extend_from_slice(b"head"));
            writer.stage_body(Bytes::from_static(b"small"), Charge::default());
            writer.stage_body(large.clone(), Charge::default());
            writer.stage(|out| out.extend_from_slice(b"end"));
            let expected = [b"headsmall", &large[..], b"end"].concat();
            assert_eq!((writer.staged(), writer.written()), (expected.len() as u64, 0));
            let mut received = Vec::new();
            while !writer.is_empty() {
                tokio::task::yield_now().await;
                let mut cx = Context::from_waker(Waker::noop());
                let blocked = writer.poll_write(&mut near, &mut cx).is_pending();
                assert_eq!(writer.blocked_at(), blocked.then(|| writer.written()));
                while received.len() as u64 != writer.written() {
                    far.read_buf(&mut received).await.unwrap();
                }
            }
            assert_eq!(received, expected);
            assert!(writer.waiting.capacity() == 0);
        }
    }

    #[test]
    fn more_waits_elsewhere_when_enough_waits_here() {
        let mut writer = Writer::new();
        writer.stage(|out| out.resize(MAX_STAGED - 1, 0));
        assert!(writer.has_room());
        writer.stage_body(Bytes::from(vec![0; 1 << 20]), Charge::default());
        assert!(!writer.has_room());
    }
}

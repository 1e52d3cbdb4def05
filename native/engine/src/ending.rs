//! The end of a connection that we close first: the last that we say, and what the peer still sends.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use crate::transport::{ByteStream, Io};
use crate::turn::end_turn;

/// How long a peer may send that nobody waits for.
const LINGER: Duration = Duration::from_secs(1);

/// Leaves a peer to whom all is written, in a task of its own.
pub(crate) fn leave(io: Io) {
    leave_with(io, Bytes::new());
}

/// Leaves a peer to whom this is still to be written, in a task of its own.
pub(crate) fn leave_with(io: Io, last: Bytes) {
    let mut ending = Ending::new(io, last, LINGER);
    tokio::spawn(poll_fn(move |cx| ending.poll(cx)));
}

/// A byte stream that is written to its end, and then read for a while: closing a socket with unread bytes resets it, and
/// the reset may overtake the last answer (RFC 9112, 9.6).
pub(crate) struct Ending {
    io: Io,
    answer: Bytes,
    is_shut: bool,
    limit: Pin<Box<Sleep>>,
}

impl Ending {
    pub(crate) fn new(io: Io, answer: Bytes, limit: Duration) -> Self {
        Self { io, answer, is_shut: false, limit: Box::pin(sleep(limit)) }
    }

    /// Goes on until the peer has closed its side, or has had its time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while !self.answer.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.answer)) {
                Ok(written @ 1..) => self.answer.advance(written),
                _ => return Poll::Ready(()),
            }
        }
        if !self.is_shut {
            let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
            self.is_shut = true;
        }
        // One read a turn: a peer that sends on and on does not keep the thread from others.
        match ready!(self.io.poll_read_pieces(usize::MAX, cx, &mut |_| ())) {
            Ok(1..) => {
                end_turn(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

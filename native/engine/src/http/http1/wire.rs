//! The byte stream below hyper, with what hyper leaves to be done on it.
//!
//! hyper takes a lone LF for the end of a header line. Whoever stands between us and the server may not, and would see
//! other headers than we do, so that one response could be made to look like two: a response's head with a bare CR or
//! LF is an error here. hyper refuses control characters in the values of headers, which gun does not: they become spaces
//! where nothing depends on them. hyper neither counts the informational responses before an answer, nor ends its turn as long as
//! more of them can be read: both are bounded here. It reads what has come before a request was sent as the response to
//! it, which no honest server means: that is an error, too. And hyper has no way to send an empty line between requests,
//! which is how gun keeps an idle connection from being forgotten.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant};

use super::head::{Head, HeadError, Limits};
use crate::transport::ByteStream;
use crate::turn::end_turn;

const EMPTY_LINE: &[u8] = b"\r\n";

/// How many bytes are received in one turn, before the other connections of the thread have theirs.
const TURN: usize = 256 * 1024;

/// What an event takes of a turn beside its bytes: to report a small part of a body takes longer than to copy it.
const EVENT: usize = 2 * 1024;

/// How often the stream is read for what came before a request. TLS has records of its own there, which are no answer.
const MAX_LOOKS: u8 = 8;

/// What the task and the byte stream share while hyper holds the byte stream.
#[derive(Debug)]
pub(crate) struct Control {
    began: Instant,
    /// When the peer last took something, in ms from then.
    wrote_after: AtomicU64,
    expecting: AtomicBool,
    /// Whether a request waits of which the stream has not taken a byte.
    unsent: AtomicBool,
    /// Whether the head of the response came whole, within its limits.
    head_fits: AtomicBool,
    /// How many bytes of an empty line are still to be sent.
    empty_line: AtomicU8,
    /// Whether the peer takes nothing at the moment.
    blocked: AtomicBool,
    written: AtomicU64,
    /// What is left of the turn.
    turn: AtomicUsize,
    /// How often hyper has wanted to read.
    reads: AtomicU64,
    /// How often it has, the end and faults included.
    done: AtomicU64,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            wrote_after: AtomicU64::new(0),
            expecting: AtomicBool::new(false),
            unsent: AtomicBool::new(false),
            head_fits: AtomicBool::new(false),
            empty_line: AtomicU8::new(0),
            blocked: AtomicBool::new(false),
            written: AtomicU64::new(0),
            turn: AtomicUsize::new(TURN),
            reads: AtomicU64::new(0),
            done: AtomicU64::new(0),
        }
    }

    /// A request is about to be sent: what comes next is a response's head.
    pub(crate) fn expect_head(&self) {
        self.expecting.store(true, Ordering::Relaxed);
        self.unsent.store(true, Ordering::Relaxed);
        self.head_fits.store(false, Ordering::Relaxed);
    }

    /// Whether the head of the response came whole, within its limits.
    pub(crate) fn head_fits(&self) -> bool {
        self.head_fits.load(Ordering::Relaxed)
    }

    /// Has an empty line sent at hyper's next flush.
    pub(crate) fn send_empty_line(&self) {
        self.empty_line.store(2, Ordering::Relaxed);
    }

    /// When the peer last took something.
    pub(crate) fn wrote_at(&self) -> Instant {
        self.began + Duration::from_millis(self.wrote_after.load(Ordering::Relaxed))
    }

    /// While the peer takes nothing: how many bytes it has taken so far.
    pub(crate) fn blocked_at(&self) -> Option<u64> {
        self.blocked.load(Ordering::Relaxed).then(|| self.written.load(Ordering::Relaxed))
    }

    /// The task is polled: its turn begins.
    pub(crate) fn begin_turn(&self) {
        self.turn.store(TURN, Ordering::Relaxed);
    }

    /// An event has been reported.
    pub(crate) fn spend_event(&self) {
        self.spend(EVENT);
    }

    fn spend(&self, bytes: usize) {
        self.turn.store(self.turn.load(Ordering::Relaxed).saturating_sub(bytes), Ordering::Relaxed);
    }

    /// How often hyper has wanted to read: it does when it has done with all that it has.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How often hyper has read, the end and faults included.
    pub(crate) fn reads_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether others have their turn before more is received.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.turn.load(Ordering::Relaxed) == 0
    }
}

/// The byte stream as hyper has it.
pub(crate) struct Wire<S> {
    io: S,
    control: Arc<Control>,
    head: Head,
    limits: Limits,
    /// What is wrong with what follows the bytes that hyper has been given.
    fault: Option<HeadError>,
    /// How often the stream may still be read before the request is written.
    looks: u8,
}

impl<S> Wire<S> {
    pub(crate) fn new(io: S, control: Arc<Control>, limits: Limits) -> Self {
        Self { io, control, head: Head::done(), limits, fault: None, looks: 0 }
    }

    pub(crate) fn into_inner(self) -> S {
        self.io
    }

    /// A request may have begun since the stream was last used.
    fn begin_request(&mut self) {
        if self.control.expecting.swap(false, Ordering::Relaxed) {
            self.head = Head::new();
            self.looks = MAX_LOOKS;
        }
    }

    /// Looks at what was received; how many bytes of it hyper may have.
    fn check(&mut self, received: &mut [u8]) -> io::Result<usize> {
        self.begin_request();
        if received.is_empty() {
            return Ok(0);
        }
        self.control.spend(received.len());
        let (good, fault) = if self.control.unsent.load(Ordering::Relaxed) {
            (0, Some(HeadError::Unasked))
        } else {
            match self.head.check(received, &self.limits) {
                Ok(()) => (received.len(), None),
                Err((at, error)) => (at, Some(error)),
            }
        };
        if self.head.is_done() && self.head.fits(&self.limits) {
            self.control.head_fits.store(true, Ordering::Relaxed);
        }
        match fault {
            Some(error) if good == 0 => Err(invalid(error)),
            // What came before the fault is delivered first.
            fault => {
                self.fault = fault;
                Ok(good)
            }
        }
    }
}

fn invalid(error: HeadError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: ByteStream> Wire<S> {
    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.control.blocked.store(result.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(written)) = result {
            self.control.written.fetch_add(written as u64, Ordering::Relaxed);
            let after = u64::try_from(self.control.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.control.wrote_after.store(after, Ordering::Relaxed);
        }
        result
    }

    /// The same for bytes of hyper's, which has nothing to write but requests.
    fn count_request(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(_)) = result {
            self.control.unsent.store(false, Ordering::Relaxed);
        }
        self.count(result)
    }

    /// Waits, before the first byte of a request is written, until what the peer has sent so far is read: the system may
    /// have bytes that the runtime has not heard of yet.
    fn poll_read_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.begin_request();
        let unread = self.control.unsent.load(Ordering::Relaxed) && self.looks > 0 && self.io.has_unread();
        if !unread {
            return Poll::Ready(());
        }
        self.looks -= 1;
        end_turn(cx);
        Poll::Pending
    }

    /// Sends what is left of an empty line; nothing else may go out before it has.
    fn poll_empty_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let left = usize::from(self.control.empty_line.load(Ordering::Relaxed));
            let Some(rest) = EMPTY_LINE.get(EMPTY_LINE.len().saturating_sub(left)..).filter(|rest| !rest.is_empty())
            else {
                return Poll::Ready(Ok(()));
            };
            let poll = Pin::new(&mut self.io).poll_write(cx, rest);
            match ready!(self.count(poll))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.control.empty_line.fetch_sub(written.min(left) as u8, Ordering::Relaxed),
            };
        }
    }
}

impl<S: ByteStream> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.control.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = this.fault.take() {
            this.control.done.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Err(invalid(error)));
        }
        if this.control.is_turn_over() {
            end_turn(cx);
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut this.io).poll_read(cx, buf));
        this.control.done.fetch_add(1, Ordering::Relaxed);
        result?;
        let good = this.check(buf.filled_mut().get_mut(before..).unwrap_or_default())?;
        buf.set_filled(before + good);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        ready!(this.poll_read_first(cx));
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count_request(poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        ready!(this.poll_read_first(cx));
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count_request(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_empty_line(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

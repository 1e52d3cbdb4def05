//! The byte stream below h2, with what h2 leaves to be done on it.
//!
//! The preface, the settings and what follows them leave in one write. Frames of our own go out between those of h2: pings,
//! several of which may be under way, and the GOAWAY of a connection whose streams run on. What the peer sends is looked at
//! before h2 has it ([`Watch`]). And a turn has an end, so that other connections of the thread have theirs.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::frames::{DATA, Frames, HEADERS, Head};
use super::ready::Ready;
use super::watch::{News, Watch};
use crate::ending::leave_with;
use crate::error::DownReason;
use crate::error::http2::Http2Fault;
use crate::transport::ByteStream;
use crate::turn::SHORT;

/// How many bytes are received in one turn, before the other connections of the thread have theirs.
const TURN: usize = 256 * 1024;

/// What an event takes of a turn beside its bytes.
const EVENT: usize = 2 * 1024;

/// What it takes to look at a stream that was woken.
const LOOK: usize = 256;

/// How many bytes wait for the first flush at most.
const HELD: usize = 64 * 1024;

/// What the task and the byte stream share while h2 holds the byte stream.
pub(super) struct Control {
    state: Mutex<State>,
}

struct State {
    news: VecDeque<News>,
    /// Frames of ours that wait for the end of the one that is being written.
    own: BytesMut,
    /// What is left of the turn.
    turn: usize,
    /// What is left of it for what is sent, which has a share of its own.
    turn_out: usize,
    written: u64,
    wrote_at: Instant,
    /// Whether the peer takes nothing at the moment.
    blocked: bool,
    /// What is wrong with what the peer has sent.
    fault: Option<Http2Fault>,
    /// How the byte stream has failed.
    broken: Option<DownReason>,
    begun: bool,
    /// Whether the peer has closed its side.
    ended: bool,
    /// What is left to say is said before the byte stream is closed.
    lingers: bool,
}

impl Control {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                news: VecDeque::new(),
                own: BytesMut::new(),
                turn: TURN,
                turn_out: TURN,
                written: 0,
                wrote_at: Instant::now(),
                blocked: false,
                fault: None,
                broken: None,
                begun: false,
                ended: false,
                lingers: false,
            }),
        }
    }

    /// Nobody panics while holding this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the peer's frames have said.
    pub(super) fn news(&self) -> Option<News> {
        self.state().news.pop_front()
    }

    /// Sends a frame of ours with h2's next flush.
    pub(super) fn send(&self, frame: &[u8]) {
        self.state().own.extend_from_slice(frame);
    }

    /// Has what is left to say said before the byte stream is closed.
    pub(super) fn linger(&self) {
        self.state().lingers = true;
    }

    /// What is wrong with what the peer has sent, if anything is.
    pub(super) fn fault(&self) -> Option<Http2Fault> {
        self.state().fault
    }

    /// How the byte stream has failed, if it has.
    pub(super) fn take_broken(&self) -> Option<DownReason> {
        self.state().broken.take()
    }

    /// Whether the peer's first frame has come.
    pub(super) fn has_begun(&self) -> bool {
        self.state().begun
    }

    /// When the peer last took something.
    pub(super) fn wrote_at(&self) -> Instant {
        self.state().wrote_at
    }

    /// While the peer takes nothing: how many bytes it has taken so far.
    pub(super) fn blocked_at(&self) -> Option<u64> {
        let state = self.state();
        state.blocked.then_some(state.written)
    }

    /// The task is polled: its turn begins.
    pub(super) fn begin_turn(&self) {
        let mut state = self.state();
        (state.turn, state.turn_out) = (TURN, TURN);
    }

    /// Whether others have their turn before more is done.
    pub(super) fn is_turn_over(&self) -> bool {
        let state = self.state();
        state.turn == 0 || state.turn_out == 0
    }

    /// An event has been reported.
    pub(super) fn spend_event(&self) {
        self.spend(EVENT);
    }

    /// A stream was looked at.
    pub(super) fn spend_look(&self) {
        self.spend(LOOK);
    }

    /// A stream has had a turn of its own.
    pub(super) fn spend_turn(&self) {
        self.spend(SHORT);
    }

    fn spend(&self, cost: usize) {
        let mut state = self.state();
        state.turn = state.turn.saturating_sub(cost);
    }
}

/// The byte stream as h2 has it.
pub(super) struct Wire<S: ByteStream> {
    /// Until it is left.
    io: Option<S>,
    control: Arc<Control>,
    ready: Arc<Ready>,
    watch: Watch,
    /// What is written.
    frames: Frames,
    /// What waits for the first flush.
    held: BytesMut,
    holds: bool,
    /// Nothing is written any more: the peer takes nothing.
    unwritable: bool,
}

impl<S: ByteStream> Wire<S> {
    pub(super) fn new(io: S, ready: Arc<Ready>, max_block: u32) -> (Self, Arc<Control>) {
        let control = Arc::new(Control::new());
        let wire = Self {
            io: Some(io),
            control: Arc::clone(&control),
            ready,
            watch: Watch::new(max_block),
            frames: Frames::default(),
            held: BytesMut::new(),
            holds: true,
            unwritable: false,
        };
        (wire, control)
    }

    fn poll_io<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        // h2 has a waker of its own that does not wake the task while it is at work.
        let task = self.ready.task();
        let Some(io) = &mut self.io else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let result = poll(Pin::new(io), &mut Context::from_waker(&task));
        if let Poll::Ready(Err(error)) = &result {
            self.control.state().broken.get_or_insert_with(|| DownReason::from(error));
        }
        result
    }

    /// Writes, as if the peer took all `len` bytes once it takes none: what it had to say before it went is still to be
    /// read, and may be why it went.
    fn poll_write_io(
        &mut self,
        len: usize,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.unwritable {
            return Poll::Ready(Ok(len));
        }
        let result = self.poll_io(write);
        if let Poll::Ready(Err(_)) = result {
            self.end_writing();
            return Poll::Ready(Ok(len));
        }
        let mut state = self.control.state();
        state.blocked = result.is_pending();
        if let Poll::Ready(Ok(written)) = result {
            state.written += written as u64;
            state.turn_out = state.turn_out.saturating_sub(written);
            state.wrote_at = Instant::now();
        }
        result
    }

    /// The connection is polled once more, to read.
    fn end_writing(&mut self) {
        self.unwritable = true;
        self.control.state().blocked = false;
        self.ready.task().wake_by_ref();
    }

    /// Writes all of what was held back at the beginning.
    fn poll_held(&mut self) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let result = self.poll_write_io(held.len(), |io, cx| io.poll_write(cx, &held));
            self.held = held;
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        if self.holds {
            (self.holds, self.held) = (false, BytesMut::new());
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the frames of ours, where a frame can begin.
    fn poll_own(&mut self) -> Poll<io::Result<()>> {
        while self.frames.at_boundary() {
            let own = std::mem::take(&mut self.control.state().own);
            if own.is_empty() {
                break;
            }
            let result = self.poll_write_io(own.len(), |io, cx| io.poll_write(cx, &own));
            let mut state = self.control.state();
            state.own = own;
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => state.own.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_own(&self) -> bool {
        !self.control.state().own.is_empty()
    }

    /// Follows what was written of h2's bytes.
    fn wrote(&mut self, bytes: &[u8]) {
        let mut requests = 0;
        self.frames.pass(bytes, |head| requests += u32::from(is_request(head)));
        self.watch.sent(requests);
    }

    /// Looks at what was received; how many bytes of it h2 may have.
    fn check(&mut self, received: &mut [u8]) -> usize {
        let mut state = self.control.state();
        state.turn = state.turn.saturating_sub(received.len());
        let news = &mut state.news;
        let result = self.watch.take(received, &mut |item| news.push_back(item));
        state.begun = self.watch.begun;
        match result {
            Ok(()) => received.len(),
            Err((good, fault)) => {
                state.fault = Some(fault);
                good
            }
        }
    }
}

fn is_request(head: &Head) -> bool {
    matches!(head.kind, DATA | HEADERS)
}

fn invalid(fault: Http2Fault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

impl<S: ByteStream> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.control.fault() {
            return Poll::Ready(Err(invalid(fault)));
        }
        if this.control.is_turn_over() {
            // The protocol sees to it that the task has its next.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match this.poll_io(|io, cx| io.poll_read(cx, buf)) {
            // It is not waited for: nothing that it is asked reaches it.
            Poll::Pending if this.unwritable => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            result => ready!(result)?,
        }
        let received = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if received.is_empty() {
            this.control.state().ended = true;
            return Poll::Ready(Ok(()));
        }
        let good = this.check(received);
        buf.set_filled(before + good);
        if good == 0
            && let Some(fault) = this.control.fault()
        {
            return Poll::Ready(Err(invalid(fault)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.holds && this.held.len() + buf.len() <= HELD {
            // The preface comes first, and is no frame.
            if !this.held.is_empty() {
                this.wrote(buf);
            }
            this.held.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_held())?;
        ready!(this.poll_own())?;
        // A frame of ours goes out behind the one under way.
        let most = if this.has_own() && this.frames.left() > 0 { this.frames.left() } else { buf.len() };
        let buf = buf.get(..most).unwrap_or(buf);
        let written = ready!(this.poll_write_io(buf.len(), |io, cx| io.poll_write(cx, buf)))?;
        this.wrote(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holds || self.has_own() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.as_mut().poll_write(cx, first);
        }
        let this = self.get_mut();
        let len = bufs.iter().map(|buf| buf.len()).sum();
        let written = ready!(this.poll_write_io(len, |io, cx| io.poll_write_vectored(cx, bufs)))?;
        let mut left = written;
        for buf in bufs {
            let taken = left.min(buf.len());
            this.wrote(buf.get(..taken).unwrap_or_default());
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held())?;
        ready!(this.poll_own())?;
        if this.unwritable {
            return Poll::Ready(Ok(()));
        }
        let result = this.poll_io(|io, cx| io.poll_flush(cx));
        if let Poll::Ready(Err(_)) = result {
            this.end_writing();
            return Poll::Ready(Ok(()));
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.get_mut().poll_io(|io, cx| io.poll_shutdown(cx))
    }
}

/// A GOAWAY must not be overtaken by the reset of a socket that is closed with unread bytes.
impl<S: ByteStream> Drop for Wire<S> {
    fn drop(&mut self) {
        let state = self.control.state();
        if self.frames.at_boundary() {
            self.held.extend_from_slice(&state.own);
        }
        let last = std::mem::take(&mut self.held).freeze();
        let lingers = state.lingers && !state.ended && state.broken.is_none();
        drop(state);
        if let Some(io) = self.io.take().filter(|_| lingers)
            && Handle::try_current().is_ok()
        {
            leave_with(Box::new(io), last);
        }
    }
}

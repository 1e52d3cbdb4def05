//! The byte stream below hyper, with what hyper leaves to be done on it.
//!
//! It follows the requests ([`Follower`]), and gives hyper one at a time: what the client sends behind it is held back
//! until the answer is on its way, so that no fault of the next request cuts the answer to this one, and the first frames
//! of a WebSocket are not taken for a request. It also sends informational responses, which hyper has no way to do.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::follow::{Fault, Follower, Limits};
use crate::transport::ByteStream;
use crate::turn::end_turn;

/// How many bytes are received in one turn, before the other connections of the thread have theirs.
const TURN: usize = 256 * 1024;

/// What an event takes of a turn beside its bytes.
const EVENT: usize = 2 * 1024;

/// What the task and the byte stream share while hyper holds the byte stream.
#[derive(Debug)]
pub(crate) struct Control {
    /// What is left of the turn.
    turn: AtomicUsize,
    /// Whether the peer takes nothing at the moment.
    blocked: AtomicBool,
    written: AtomicU64,
    /// Whether a part of a request's head has come, and the rest has not.
    in_head: AtomicBool,
    /// Whether hyper has taken the whole request, and has asked for more.
    drained: AtomicBool,
    /// Whether the next request may be given to hyper.
    resumes: AtomicBool,
    /// Whether informational responses wait to be written.
    informs: AtomicBool,
    inform: Mutex<BytesMut>,
    /// What is wrong with what the client has sent.
    fault: Mutex<Option<Fault>>,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            turn: AtomicUsize::new(TURN),
            blocked: AtomicBool::new(false),
            written: AtomicU64::new(0),
            in_head: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            resumes: AtomicBool::new(false),
            informs: AtomicBool::new(false),
            inform: Mutex::new(BytesMut::new()),
            fault: Mutex::new(None),
        }
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

    /// Whether others have their turn before more is received.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.turn.load(Ordering::Relaxed) == 0
    }

    /// While the peer takes nothing: how many bytes it has taken so far.
    pub(crate) fn blocked_at(&self) -> Option<u64> {
        self.blocked.load(Ordering::Relaxed).then(|| self.written.load(Ordering::Relaxed))
    }

    /// Whether a part of a request's head has come, and the rest has not.
    pub(crate) fn is_in_head(&self) -> bool {
        self.in_head.load(Ordering::Relaxed)
    }

    /// Whether hyper has taken the whole request, and has asked for more.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// The request under way is answered: the next one may come.
    pub(crate) fn resume(&self) {
        self.resumes.store(true, Ordering::Relaxed);
    }

    /// Has an informational response written, before what hyper writes next.
    pub(crate) fn inform(&self, response: &[u8]) {
        self.inform.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(response);
        self.informs.store(true, Ordering::Relaxed);
    }

    /// Whether informational responses wait to be written.
    pub(crate) fn is_informing(&self) -> bool {
        self.informs.load(Ordering::Relaxed)
    }

    /// What is wrong with what the client has sent.
    pub(crate) fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The byte stream as hyper has it.
pub(crate) struct Wire<S> {
    io: S,
    control: Arc<Control>,
    follower: Follower,
    /// What was received behind the request under way.
    held: Bytes,
    /// What is wrong with what follows the bytes that hyper has been given.
    fault: Option<Fault>,
}

impl<S> Wire<S> {
    pub(crate) fn new(io: S, control: Arc<Control>, limits: Limits) -> Self {
        Self { io, control, follower: Follower::new(limits), held: Bytes::new(), fault: None }
    }

    /// The byte stream, and what was received of it that hyper has not been given.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.io, self.held)
    }

    /// Follows what was received: how many bytes of it hyper may have now.
    fn follow(&mut self, received: &[u8]) -> usize {
        self.follower.follow(received).unwrap_or_else(|(good, fault)| {
            self.fault = Some(fault);
            good
        })
    }

    /// A request may be awaited since the stream was last used.
    fn resume(&mut self) {
        if self.control.resumes.swap(false, Ordering::Relaxed) && self.follower.is_done() {
            self.follower.next();
            self.control.drained.store(false, Ordering::Relaxed);
        }
    }

    fn publish(&self) {
        let in_head = self.follower.has_begun() && self.follower.awaits_head();
        self.control.in_head.store(in_head, Ordering::Relaxed);
    }

    /// Reports the fault to hyper, which ends by it.
    fn fail(&mut self, fault: Fault) -> io::Error {
        *self.control.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

impl<S: ByteStream> Wire<S> {
    /// Takes what was held back, as far as it belongs to the request under way: how many bytes.
    fn take_held(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let received = self.held.slice(..self.held.len().min(buf.remaining()));
        let good = self.follow(&received);
        buf.put_slice(&self.held.split_to(good));
        good
    }

    /// Reads from the stream, and holds back what does not belong to the request under way: how many bytes do, or nothing
    /// at the end of the stream.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Option<usize>>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let received = buf.filled().get(before..).unwrap_or_default();
        if received.is_empty() {
            return Poll::Ready(Ok(None));
        }
        self.control.spend(received.len());
        let good = self.follow(received);
        self.held = Bytes::copy_from_slice(received.get(good..).unwrap_or_default());
        buf.set_filled(before + good);
        Poll::Ready(Ok(Some(good)))
    }

    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.control.blocked.store(result.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(written)) = result {
            self.control.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        result
    }

    /// Writes the informational responses that wait. hyper flushes only what it has written as a whole, so that they never
    /// stand within a response.
    fn poll_informs(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.control.is_informing() {
            let control = Arc::clone(&self.control);
            let mut inform = control.inform.lock().unwrap_or_else(PoisonError::into_inner);
            if inform.is_empty() {
                *inform = BytesMut::new();
                control.informs.store(false, Ordering::Relaxed);
                break;
            }
            let poll = Pin::new(&mut self.io).poll_write(cx, &inform);
            match ready!(self.count(poll))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => inform.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.resume();
        if this.control.is_turn_over() {
            end_turn(cx);
            return Poll::Pending;
        }
        if this.fault.is_none() {
            this.control.drained.store(this.follower.is_done(), Ordering::Relaxed);
            // What is held back stays where it is: then nobody notices the end of the stream, either.
            if this.follower.is_done() && !this.held.is_empty() {
                return Poll::Pending;
            }
            let good = if this.held.is_empty() {
                match ready!(this.poll_receive(cx, buf))? {
                    None => return Poll::Ready(Ok(())),
                    Some(good) => good,
                }
            } else {
                this.take_held(buf)
            };
            this.publish();
            if good > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        match this.fault {
            Some(fault) => Poll::Ready(Err(this.fail(fault))),
            None => Poll::Pending,
        }
    }
}

impl<S: ByteStream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        this.count(poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.count(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_informs(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// hyper is done. The stream is closed elsewhere, or goes on as a WebSocket.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

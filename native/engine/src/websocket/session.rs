//! A WebSocket session on a byte stream: it reads and writes, keeps the timers, and closes as RFC 6455, 7 says.
//!
//! The session is one hand-written poll function rather than a handful of futures, because its parts share the
//! stream, and because an idle session must cost little: it holds no buffer and no timer that nobody asked for.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::command::{Command, Item, Outgoing};
use crate::connection::{Commands, State, Status, poll_caught};
use crate::error::{BadState, ConnectionError, DownReason, ProtocolError};
use crate::event::{Event, Message, StreamError};
use crate::options::WsOptions;
use crate::sink::Sink;
use crate::transport::{ByteStream, is_cut};
use crate::websocket::frame::Opcode;
use crate::websocket::inbound::Inbound;
use crate::websocket::outbound::Outbound;

/// The size of the read buffer, of which each I/O thread has one.
const READ_BUFFER: usize = 64 * 1024;

/// How many bytes of answers to pings may wait until reading stops.
const MAX_ANSWERS: usize = 64 * 1024;

/// How many times the stream is read in a row before the other connections of the thread have their turn.
const READS_IN_A_ROW: usize = 16;

thread_local! {
    /// What a session reads into, for the time of one read: between reads a session keeps only a frame's beginning.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How a session ended.
pub(crate) enum End {
    /// The connection is down.
    Down(DownReason),
    /// The shutdown that was asked for is done.
    ShutDown,
    /// Nobody can ask anything of it any more.
    Abandoned,
    /// The session has panicked.
    Panicked(Box<dyn Any + Send>),
}

pub(crate) struct Session<'a, S, K: Sink> {
    io: S,
    commands: &'a mut Commands<K>,
    sink: &'a mut K,
    status: &'a Status,
    stream: K::Stream,
    options: WsOptions,
    send_timeout: Option<Duration>,
    inbound: Inbound<K::Payload>,
    outbound: Outbound<K::Source>,
    /// Bytes received that are not a whole header or control frame yet, and at first what came with the 101.
    pending: Vec<u8>,
    phase: Phase,
    /// A shutdown was asked for: the end is told as `ShutDown`.
    shutdown: bool,
    /// There is no handle any more, so nobody is left to be told of an end.
    abandoned: bool,
    /// The peer takes nothing any more; what it has sent is still read.
    write_failed: bool,
    keepalive: Option<Timer>,
    /// When a close, from whatever side, has waited long enough.
    closing: Option<Timer>,
    /// When the peer has taken nothing for too long.
    stalled: Option<Timer>,
}

type Timer = Pin<Box<Sleep>>;

enum Phase {
    /// Frames go both ways.
    Open,
    /// Our close frame is sent, or about to be; the peer's is awaited (RFC 6455, 7.1.2).
    Closing,
    /// The peer's close frame has come, ours is on its way; then this is the end.
    Answering,
    /// The peer broke the protocol: our close frame is on its way, what comes is thrown away until the peer closes.
    Failing(ProtocolError),
}

impl<'a, S: ByteStream, K: Sink> Session<'a, S, K> {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        io: S,
        received: &Bytes,
        commands: &'a mut Commands<K>,
        sink: &'a mut K,
        status: &'a Status,
        stream: K::Stream,
        options: WsOptions,
        send_timeout: Option<Duration>,
    ) -> Self {
        Self {
            io,
            commands,
            sink,
            status,
            stream,
            inbound: Inbound::new(&options),
            keepalive: options.keepalive.map(timer),
            options,
            send_timeout,
            outbound: Outbound::default(),
            pending: received.to_vec(),
            phase: Phase::Open,
            shutdown: false,
            abandoned: false,
            write_failed: false,
            closing: None,
            stalled: None,
        }
    }

    /// Runs the session to its end, and gives its stream back; `shutdown` begins that end at once.
    pub(crate) async fn run(mut self, shutdown: bool) -> (End, K::Stream) {
        if shutdown {
            self.start_shutdown();
        }
        // What came with the 101 is there before anything can be awaited.
        let early = self.decode_pending();
        // A panic is caught here rather than by the task alone, because the stream must be named when it is told.
        let reason = match early {
            Some(reason) => Ok(reason),
            None => poll_fn(|cx| poll_caught(|| self.poll(cx))).await,
        };
        let end = match reason {
            Err(panic) => End::Panicked(panic),
            Ok(_) if self.abandoned => End::Abandoned,
            Ok(_) if self.shutdown => End::ShutDown,
            Ok(reason) => End::Down(reason),
        };
        (end, self.stream)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<DownReason> {
        for _ in 0..READS_IN_A_ROW {
            if let Some(reason) = self.poll_commands(cx) {
                return Poll::Ready(reason);
            }
            if let Some(reason) = self.poll_timers(cx) {
                return Poll::Ready(reason);
            }
            if let Some(reason) = self.poll_write(cx) {
                return Poll::Ready(reason);
            }
            match self.poll_read(cx) {
                Poll::Ready(Some(reason)) => return Poll::Ready(reason),
                // Something was received: it may have to be answered before the task rests.
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) -> Option<DownReason> {
        while let Poll::Ready(command) = self.commands.poll_recv(cx) {
            let Some(command) = command else {
                self.abandoned = true;
                return Some(DownReason::Normal);
            };
            match command {
                Command::Send(outgoing) => self.send(*outgoing),
                Command::Upgrade(upgrade) => self.bad_state(&upgrade.caller, BadState::OnlyWebsocket),
                Command::Shutdown => self.start_shutdown(),
                Command::Control(control) => self.sink.control(*control),
                Command::Panic => crate::connection::panic_on_command(),
                Command::Connect => {}
            }
        }
        None
    }

    fn start_shutdown(&mut self) {
        self.shutdown = true;
        if matches!(self.phase, Phase::Open) {
            self.outbound.push_close(1001);
            self.close(Phase::Closing);
        }
    }

    fn send(&mut self, outgoing: Outgoing<K>) {
        if !matches!(self.phase, Phase::Open) {
            return self.bad_state(&outgoing.caller, BadState::Closing);
        }
        for item in outgoing.items {
            let closes = matches!(item, Item::Close(_));
            self.outbound.push(item);
            if closes {
                return self.close(Phase::Closing);
            }
        }
    }

    fn bad_state(&mut self, caller: &K::Caller, error: BadState) {
        self.sink.event(Event::BadState { caller, error });
    }

    /// Enters a phase that ends the session, by its own means or by closing_timeout.
    fn close(&mut self, phase: Phase) {
        self.phase = phase;
        self.keepalive = None;
        self.closing = self.options.closing_timeout.map(timer);
        self.status.set(State::Closing);
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Option<DownReason> {
        if is_due(&mut self.closing, cx) {
            return Some(self.end_reason());
        }
        if is_due(&mut self.stalled, cx) {
            return Some(ConnectionError::SendTimeout.into());
        }
        while is_due(&mut self.keepalive, cx) {
            self.outbound.push_frame(Opcode::Ping, b"");
            self.keepalive = self.options.keepalive.map(timer);
        }
        None
    }

    /// Why the session is down when a close has run its course.
    fn end_reason(&mut self) -> DownReason {
        match std::mem::replace(&mut self.phase, Phase::Answering) {
            Phase::Failing(error) => ConnectionError::Protocol(error).into(),
            _ => DownReason::Normal,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Option<DownReason> {
        if self.write_failed {
            self.outbound.clear();
            return None;
        }
        let mut progress = false;
        match self.outbound.poll_write(&mut self.io, &mut progress, cx) {
            Poll::Ready(Ok(())) => self.stalled = None,
            Poll::Ready(Err(error)) if is_cut(&error) => {
                self.stalled = None;
                self.write_failed = true;
            }
            Poll::Ready(Err(error)) => return Some(ConnectionError::Io(error).into()),
            Poll::Pending => return self.poll_stalled(progress, cx),
        }
        if matches!(self.phase, Phase::Answering) {
            self.leave(cx);
            return Some(DownReason::Normal);
        }
        None
    }

    /// The socket takes no more for now: send_timeout runs from the last time that it took something.
    fn poll_stalled(&mut self, progress: bool, cx: &mut Context<'_>) -> Option<DownReason> {
        let timeout = self.send_timeout?;
        match &mut self.stalled {
            Some(stalled) if progress => stalled.as_mut().reset(Instant::now() + timeout),
            Some(_) => {}
            None => self.stalled = Some(timer(timeout)),
        }
        is_due(&mut self.stalled, cx).then(|| ConnectionError::SendTimeout.into())
    }

    /// Says goodbye to a peer that has had our close frame. What it still sends is taken from the socket, since
    /// closing a socket with unread bytes resets it, and the reset may overtake the close frame.
    fn leave(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        with_scratch(|scratch| {
            for _ in 0..READS_IN_A_ROW {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    _ => break,
                }
            }
        });
    }

    /// One read, and the decoding of what it brings.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<DownReason>> {
        if self.outbound.answers() > MAX_ANSWERS {
            return Poll::Pending;
        }
        let decoding = matches!(self.phase, Phase::Open | Phase::Closing);
        let read = match self.inbound.direct() {
            Ok(Some(room)) if decoding && self.pending.is_empty() => {
                let mut buffer = ReadBuf::new(room);
                let result = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
                let n = buffer.filled().len();
                result.map(|()| (n, if n > 0 { self.advance(n) } else { None }))
            }
            Ok(_) => ready!(self.poll_read_scratch(cx)),
            Err(error) => return Poll::Ready(Some(error.into())),
        };
        Poll::Ready(match read {
            Ok((0, _)) => Some(self.cut()),
            Ok((_, reason)) => reason,
            Err(error) if is_cut(&error) => Some(self.cut()),
            Err(error) => Some(ConnectionError::Io(error).into()),
        })
    }

    /// `n` bytes have been read into the payload under way.
    fn advance(&mut self, n: usize) -> Option<DownReason> {
        match self.inbound.advance(n) {
            Ok(message) => {
                if let Some(message) = message {
                    self.deliver(message);
                }
                None
            }
            Err(error) => self.fail(error),
        }
    }

    /// One read into the thread's buffer, behind what is pending, and the decoding of it.
    fn poll_read_scratch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(usize, Option<DownReason>)>> {
        with_scratch(|scratch| {
            let before = self.pending.len();
            scratch[..before].copy_from_slice(&self.pending);
            let mut buffer = ReadBuf::new(&mut scratch[before..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let n = buffer.filled().len();
            let input = &scratch[..before + n];
            let (consumed, reason) = self.decode(input);
            let rest = &input[consumed..];
            if rest.is_empty() {
                self.pending = Vec::new();
            } else {
                self.pending.clear();
                self.pending.extend_from_slice(rest);
            }
            Poll::Ready(Ok((n, reason)))
        })
    }

    /// The peer closed the byte stream.
    fn cut(&mut self) -> DownReason {
        match self.phase {
            Phase::Failing(_) | Phase::Answering => self.end_reason(),
            Phase::Open | Phase::Closing => DownReason::Closed,
        }
    }

    fn decode_pending(&mut self) -> Option<DownReason> {
        let mut pending = std::mem::take(&mut self.pending);
        let (consumed, reason) = self.decode(&pending);
        pending.drain(..consumed);
        self.pending = pending;
        reason
    }

    /// Delivers every message in `input`; how much of it is done with, and the reason if the session is over.
    fn decode(&mut self, input: &[u8]) -> (usize, Option<DownReason>) {
        let mut consumed = 0;
        while matches!(self.phase, Phase::Open | Phase::Closing) {
            match self.inbound.next(input, &mut consumed) {
                Ok(None) => return (consumed, None),
                Ok(Some(message)) => self.deliver(message),
                Err(error) => return (input.len(), self.fail(error)),
            }
        }
        // Nothing that comes after the close frame, or after a fault, means anything (RFC 6455, 5.5.1 and 7.1.7).
        (input.len(), None)
    }

    fn deliver(&mut self, message: Message<'_, K::Payload>) {
        let closes = matches!(message, Message::Close(_));
        let silent = match &message {
            Message::Ping(payload) => {
                if matches!(self.phase, Phase::Open) {
                    self.outbound.push_frame(Opcode::Pong, payload);
                }
                self.options.silence_pings
            }
            Message::Pong(_) => self.options.silence_pings,
            _ => false,
        };
        if !silent {
            self.sink.event(Event::Message { stream: &self.stream, message });
        }
        if closes {
            if matches!(self.phase, Phase::Open) {
                self.outbound.push_close(1000);
            }
            self.close(Phase::Answering);
        }
    }

    /// The peer broke the protocol: the user is told, then the peer. Anything else ends the session at once.
    fn fail(&mut self, error: ConnectionError) -> Option<DownReason> {
        let ConnectionError::Protocol(error) = error else { return Some(error.into()) };
        self.sink.event(Event::StreamError { stream: &self.stream, error: StreamError::Protocol(&error) });
        if matches!(self.phase, Phase::Open) {
            self.outbound.push_close(error.close_code());
        }
        self.close(Phase::Failing(error));
        None
    }
}

fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.is_empty() {
            scratch.resize(READ_BUFFER, 0);
        }
        f(scratch)
    })
}

fn timer(after: Duration) -> Timer {
    Box::pin(sleep_until(Instant::now() + after))
}

/// Whether the timer is set and has passed; then it is cleared. Otherwise it wakes the task when it passes.
fn is_due(timer: &mut Option<Timer>, cx: &mut Context<'_>) -> bool {
    let due = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
    if due {
        *timer = None;
    }
    due
}

#[cfg(test)]
mod tests;

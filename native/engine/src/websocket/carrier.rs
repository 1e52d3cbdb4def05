//! A WebSocket session on a byte stream that it has for itself: reading, writing, the clock, and turns.
//!
//! It is one hand-written poll function rather than a handful of futures, because its parts share the byte stream, and
//! because an idle session must cost little: it holds no buffer and no timer that nobody asked for.

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{self, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

use super::outbound::Staged;
use super::session::{EndReason, Ended, Reading, Session};
use super::timers::{Setting, Timer, Timers};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::error::is_cut;
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::{Event, StreamError, StreamInfo};
use crate::protocol::{Context, Down, Exit, Left, Protocol, Then};
use crate::sink::Sink;
use crate::status::Status;
use crate::stream::reupgrade::{Held, Reupgrade};
use crate::transport::ByteStream;
use crate::turn::{LONG, SHORT, Share, end_turn};

/// What a command takes of the sender's share of a turn.
const COMMAND_TURN: usize = 512;

/// How many times the stream is read before it is closed.
const LAST_READS: usize = 16;

/// How many commands are taken in a row before reading and writing have their turn.
const COMMANDS_IN_A_ROW: usize = 32;

/// How often a session that may not read looks whether the peer has closed.
const LOOKOUT: Duration = Duration::from_secs(1);

/// A WebSocket that a connection has become as a whole.
pub(crate) struct Carrier<S, K: Sink> {
    /// Until it has ended.
    running: Option<Running<S, K>>,
}

struct Running<S, K: Sink> {
    io: S,
    session: Session<K>,
    /// The timers that the session has asked for.
    clock: Clock,
    writing: Writing,
    /// When to look whether the peer has closed.
    lookout: Option<Alarm>,
    share: Share,
    /// What is left of the turn to send.
    turn_out: usize,
    /// To repeat the upgrade on the next connection.
    reupgrade: Option<Box<Reupgrade<K>>>,
}

/// Whether the peer takes what is sent.
enum Writing {
    /// It does, as far as is known.
    Free,
    /// It takes nothing for now: when that has been so for too long.
    Stalled(Alarm),
    /// It takes nothing any more; what it has sent is still read.
    Lost,
}

impl<S: ByteStream, K: Sink> Carrier<S, K> {
    /// Drives this session over the byte stream. `received` came with the handshake, `held` waits to be sent, and `shutdown`
    /// begins the graceful end at once.
    pub(crate) fn new(
        io: S,
        received: Bytes,
        session: Session<K>,
        reupgrade: Option<Box<Reupgrade<K>>>,
        held: Vec<Held<K>>,
        shutdown: bool,
        context: &mut Context<'_, K>,
    ) -> Self {
        let (clock, share) = (Clock::default(), Share::default());
        let (writing, turn_out) = (Writing::Free, SHORT);
        let mut running = Running { io, session, clock, writing, lookout: None, share, turn_out, reupgrade };
        running.session.receive_later(received);
        if shutdown {
            running.session.shut_down(context);
        }
        for (outgoing, charge) in held {
            running.command(StreamCommand::Send(outgoing), charge, context);
        }
        running.set_timers();
        Self { running: Some(running) }
    }
}

impl<S: ByteStream, K: Sink> Protocol<K> for Carrier<S, K> {
    fn commands_first(&self) -> usize {
        COMMANDS_IN_A_ROW
    }

    fn begin_turn(&mut self) {
        if let Some(running) = &mut self.running {
            let turn = running.share.begin();
            // To hand bytes to the socket takes less than to report them.
            running.turn_out = LONG.min(2 * turn);
            running.session.begin_turn(turn);
        }
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.command(command, charge, context);
            running.set_timers();
        }
    }

    fn sends_now(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            let Running { session, writing, .. } = running;
            session.is_open() && !session.has_unsent() && matches!(writing, Writing::Free)
        })
    }

    fn send_now(&mut self, frames: u32, bytes: &[u8], charge: Charge, status: &Status<K>) -> bool {
        self.running.as_mut().is_some_and(|running| running.send_now(frames, bytes, charge, status))
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.spend_turn(1);
        }
        context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping });
    }

    fn shut_down(&mut self, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.spend_turn(1);
            running.session.shut_down(context);
            running.set_timers();
        }
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let round = running.work(context, cx);
        // The statistics must include a message before its receiver has it.
        running.session.publish(context.status);
        match round {
            ControlFlow::Continue(then) => {
                context.then = then;
                if then == Then::Yield {
                    end_turn(cx);
                }
                Poll::Pending
            }
            ControlFlow::Break(reason) => match self.running.take() {
                Some(running) => Poll::Ready(running.end(reason, context)),
                None => Poll::Pending,
            },
        }
    }

    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        self.running.map(|running| running.session.into_stream()).into_iter().collect()
    }
}

impl<S: ByteStream, K: Sink> Running<S, K> {
    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.spend_turn(1);
        match command {
            StreamCommand::Send(outgoing) => {
                let calls = outgoing.calls;
                if !self.session.send(*outgoing, charge, context) {
                    self.spend_turn(calls);
                }
            }
            StreamCommand::UpdateFlow(_, messages) => self.session.update_flow(messages),
            StreamCommand::FlowGrant(stream) if *self.session.stream() == *stream => self.session.grant(),
            StreamCommand::Settled(stream) if *self.session.stream() == *stream => self.session.settled(context),
            StreamCommand::Upgrade(upgrade) => {
                drop(charge);
                self.refuse_request(&upgrade.stream, &upgrade.caller, context);
            }
            StreamCommand::Request(request) => {
                drop(charge);
                self.refuse_request(&request.stream, &request.caller, context);
            }
            StreamCommand::Data(data) => {
                drop(charge);
                refuse_part(&data.caller, context);
            }
            StreamCommand::Cancel(cancel) => refuse_part(&cancel.1, context),
            StreamCommand::Info(asked) => {
                let (stream, receipt) = *asked;
                let own = self.session.stream();
                let info = if *own == stream {
                    StreamInfo::Stream { stream: own, running: true }
                } else {
                    StreamInfo::Unknown
                };
                context.sink.event(Event::StreamInfo { receipt: &receipt, info });
            }
            // Answers for a stream that was there before.
            StreamCommand::FlowGrant(_) | StreamCommand::Settled(_) => {}
        }
    }

    /// Writes frames at once, while nothing else is to be written. Nothing here may need the runtime, or the sink. A write
    /// that fails fails again for the task, which knows what to do.
    fn send_now(&mut self, frames: u32, bytes: &[u8], charge: Charge, status: &Status<K>) -> bool {
        self.session.send_encoded(frames, bytes, charge);
        self.turn_out = SHORT;
        let mut cx = task::Context::from_waker(Waker::noop());
        let written = self.write_staged(&mut false, Session::stage_next, &mut cx);
        self.session.end_write(written.is_pending());
        self.session.publish(status);
        matches!(written, Poll::Ready(Ok(())))
    }

    /// So many commands are done.
    fn spend_turn(&mut self, commands: u32) {
        self.turn_out = self.turn_out.saturating_sub(COMMAND_TURN.saturating_mul(commands as usize));
    }

    fn refuse_request(&self, stream: &K::Stream, caller: &K::Caller, context: &mut Context<'_, K>) {
        context.sink.event(if self.session.is_open() {
            Event::BadState { stream: Some(stream), caller, error: BadState::OnlyWebsocket }
        } else {
            Event::StreamError { stream, error: StreamError::WebsocketClosing }
        });
    }

    fn set_timers(&mut self) {
        self.clock.set(self.session.take_timers());
    }

    /// One round: the timers, writing, one read. Then commands have their turn, if there is more to do.
    fn work(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<DownReason, Then> {
        self.poll_timers(context, cx)?;
        self.poll_write(context, cx)?;
        let received = match self.poll_read(context, cx) {
            Poll::Ready(read) => {
                read?;
                true
            }
            Poll::Pending => false,
        };
        self.set_timers();
        // What was received may have to be answered before the task rests; what is left to be written needs another turn.
        let goes_on = received || self.turn_out == 0;
        let has_turn = self.session.has_turn() && self.turn_out > 0;
        ControlFlow::Continue(match (goes_on, has_turn) {
            (true, true) => Then::GoOn,
            (true, false) => Then::Yield,
            (false, _) => Then::Rest,
        })
    }

    fn poll_timers(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        while is_due(&mut self.clock.closing, cx) {
            self.session.due(Timer::Closing, context)?;
            self.set_timers();
        }
        self.poll_stalled(cx)?;
        while is_due(&mut self.clock.keepalive, cx) {
            self.session.due(Timer::Keepalive, context)?;
            self.set_timers();
        }
        while is_due(&mut self.lookout, cx) {
            if self.io.peer_closed() {
                self.session.peer_closed();
            } else {
                self.lookout = Some(alarm(LOOKOUT));
            }
        }
        ControlFlow::Continue(())
    }

    fn poll_stalled(&mut self, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        if let Writing::Stalled(alarm) = &mut self.writing
            && alarm.as_mut().poll(cx).is_ready()
        {
            return ControlFlow::Break(ConnectionError::SendTimeout.into());
        }
        ControlFlow::Continue(())
    }

    fn poll_write(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        if let Writing::Lost = self.writing {
            self.session.drop_unsent(context);
            self.session.flushed(context);
            return ControlFlow::Continue(());
        }
        if self.session.has_unsent() {
            // What has been received need not wait for it.
            context.sink.flush();
        }
        let mut progress = false;
        let offered = self.turn_out > 0;
        let written = self.write_staged(&mut progress, |session| session.stage(context), cx);
        // A turn that the user's commands have used up says nothing about the socket.
        if offered {
            self.session.end_write(written.is_pending() && self.turn_out > 0);
        }
        match written {
            Poll::Ready(Ok(())) => {
                self.writing = Writing::Free;
                self.session.flushed(context);
            }
            Poll::Ready(Err(error)) if is_cut(&error) => {
                self.writing = Writing::Lost;
                self.session.drop_unsent(context);
            }
            Poll::Ready(Err(error)) => return ControlFlow::Break((&error).into()),
            // It is our turn that is over: the socket may well take more.
            Poll::Pending if self.turn_out == 0 && progress => self.writing = Writing::Free,
            Poll::Pending => return self.stall(progress, context, cx),
        }
        if self.session.ends_when_written() {
            self.leave(cx);
            return ControlFlow::Break(DownReason::Normal);
        }
        ControlFlow::Continue(())
    }

    /// Writes until everything is written, the socket takes no more, or the turn is over. `progress` says whether the socket
    /// took anything.
    fn write_staged(
        &mut self,
        progress: &mut bool,
        mut stage: impl FnMut(&mut Session<K>) -> io::Result<Staged>,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.turn_out == 0 {
                return Poll::Pending;
            }
            if self.session.staged().is_empty() {
                match stage(&mut self.session)? {
                    Staged::Ready => {}
                    Staged::Nothing => return Pin::new(&mut self.io).poll_flush(cx),
                    Staged::Working => {
                        *progress = true;
                        self.turn_out = 0;
                        return Poll::Pending;
                    }
                }
            }
            match ready!(Pin::new(&mut self.io).poll_write(cx, self.session.staged()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.session.wrote(n);
                    self.turn_out = self.turn_out.saturating_sub(n);
                }
            }
            *progress = true;
        }
    }

    /// The socket takes no more for now: send_timeout runs from the last time that it took something.
    fn stall(
        &mut self,
        progress: bool,
        context: &Context<'_, K>,
        cx: &mut task::Context<'_>,
    ) -> ControlFlow<DownReason> {
        let Some(timeout) = context.options.tcp.send_timeout else { return ControlFlow::Continue(()) };
        match &mut self.writing {
            Writing::Stalled(alarm) if progress => alarm.as_mut().reset(Instant::now() + timeout),
            Writing::Stalled(_) | Writing::Lost => {}
            Writing::Free => self.writing = Writing::Stalled(alarm(timeout)),
        }
        self.poll_stalled(cx)
    }

    /// Says goodbye to a peer that has had our close frame. What it still sends is taken from the socket, since
    /// closing a socket with unread bytes resets it, and the reset may overtake the close frame.
    fn leave(&mut self, cx: &mut task::Context<'_>) {
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        for _ in 0..LAST_READS {
            let Poll::Ready(Ok(1..)) = self.io.poll_read_pieces(usize::MAX, cx, &mut |_| ()) else { return };
        }
    }

    /// Receives what there is to receive, with one read at most.
    fn poll_read(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<ControlFlow<DownReason>> {
        let reading = self.session.reading(context);
        match reading {
            Reading::Nothing => return Poll::Pending,
            Reading::NothingButTheEnd => {
                if self.lookout.is_none() {
                    self.lookout = Some(alarm(LOOKOUT));
                    // A timer wakes the task only once it has been polled; this one is never due at once.
                    let _ = is_due(&mut self.lookout, cx);
                }
                return Poll::Pending;
            }
            Reading::Bytes | Reading::Kept => self.lookout = None,
        }
        if reading == Reading::Kept {
            return Poll::Ready(self.session.decode_kept(context));
        }
        self.read(context, cx)
    }

    /// One read, and the decoding of what it brings.
    fn read(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<ControlFlow<DownReason>> {
        let Self { io, session, .. } = self;
        let mut decoded = ControlFlow::Continue(());
        // A stream that lends what it has read would only copy it.
        let room = if io.reads_in_place() { session.direct() } else { Ok(None) };
        let read = match room {
            Ok(Some(room)) => {
                let mut buffer = ReadBuf::new(room);
                let result = ready!(Pin::new(io).poll_read(cx, &mut buffer));
                let n = buffer.filled().len();
                if n > 0 {
                    decoded = session.advance(n, context);
                }
                result.map(|()| n)
            }
            Ok(None) => ready!(io.poll_read_pieces(session.wanted(), cx, &mut |piece| {
                if decoded.is_continue() {
                    decoded = session.receive(piece, context);
                }
            })),
            Err(error) => return Poll::Ready(ControlFlow::Break(error.into())),
        };
        Poll::Ready(match read {
            Ok(0) => ControlFlow::Break(session.cut(DownReason::Closed, context)),
            Ok(n) => {
                session.spend_turn(n);
                decoded
            }
            Err(error) if is_cut(&error) => ControlFlow::Break(session.cut((&error).into(), context)),
            Err(error) => ControlFlow::Break((&error).into()),
        })
    }

    fn end(self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        let Ended { stream, reason } = self.session.finish(reason, context);
        let (reason, closed_by_user) = match reason {
            EndReason::ShutDown => return Exit::ShutDown,
            EndReason::Down(reason) => (reason, false),
            EndReason::ClosedByUser(reason) => (reason, true),
        };
        let (killed, reupgrade) = match self.reupgrade {
            Some(reupgrade) if !closed_by_user => (Vec::new(), Some((stream, reupgrade))),
            _ => (vec![stream], None),
        };
        let left = Left { reupgrade, ..Left::nothing() };
        Exit::Down(Box::new(Down { reason, killed, closed_by_user, served: true, left }))
    }
}

/// Refuses what belongs to a request that is not here.
fn refuse_part<K: Sink>(caller: &K::Caller, context: &mut Context<'_, K>) {
    context.sink.event(Event::BadState { stream: None, caller, error: BadState::OnlyWebsocket });
}

type Alarm = Pin<Box<Sleep>>;

/// The timers of a session, where they are set.
#[derive(Default)]
struct Clock {
    closing: Option<Alarm>,
    keepalive: Option<Alarm>,
}

impl Clock {
    fn set(&mut self, timers: Timers) {
        set(&mut self.closing, timers.closing);
        set(&mut self.keepalive, timers.keepalive);
    }
}

fn set(timer: &mut Option<Alarm>, setting: Setting) {
    match setting {
        Setting::Kept => {}
        Setting::Set(after) => *timer = Some(alarm(after)),
        Setting::Cleared => *timer = None,
    }
}

fn alarm(after: Duration) -> Alarm {
    Box::pin(sleep_until(Instant::now() + after))
}

/// Whether the timer is set and has passed; then it is cleared. Otherwise it wakes the task when it passes.
fn is_due(timer: &mut Option<Alarm>, cx: &mut task::Context<'_>) -> bool {
    let due = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
    if due {
        *timer = None;
    }
    due
}

//! A WebSocket session on a byte stream that it has for itself: reading, writing, the clock, and turns.
//!
//! It is one hand-written poll function rather than a handful of futures, because its parts share the byte stream, and
//! because an idle session must cost little: it holds no buffer and no timer that nobody asked for.

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::clock::{Alarm, Clock, alarm, is_due};
use super::outbound::Staged;
use super::session::{EndReason, Ended, Reading, Session};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::ending;
use crate::error::{BadState, ConnectionError, DownReason, is_cut};
use crate::event::{Event, StreamError, StreamInfo};
use crate::protocol::{Context, Down, Exit, Left, Lost, Protocol, Then};
use crate::sink::Sink;
use crate::stream::reupgrade::{Held, Repeated, Reupgrade};
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
    /// How long the peer may take nothing of what there is to send.
    send_timeout: Option<Duration>,
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
    /// Drives this session over the byte stream. `received` came with the handshake; the peer may take nothing of what there
    /// is to send for `send_timeout`.
    pub(crate) fn new(io: S, received: Bytes, session: Session<K>, send_timeout: Option<Duration>) -> Self {
        let (clock, share) = (Clock::default(), Share::default());
        let (writing, turn_out) = (Writing::Free, SHORT);
        let (lookout, reupgrade) = (None, None);
        let mut running = Running { io, session, clock, writing, send_timeout, lookout, share, turn_out, reupgrade };
        running.session.receive_later(received);
        running.set_timers();
        Self { running: Some(running) }
    }

    /// Takes over what HTTP has left: an upgrade to repeat, and frames that wait to be sent. `shutdown` begins the graceful
    /// end at once.
    pub(crate) fn take_over(
        &mut self,
        reupgrade: Option<Box<Reupgrade<K>>>,
        held: Vec<Held<K>>,
        shutdown: bool,
        context: &mut Context<'_, K>,
    ) {
        let Some(running) = &mut self.running else { return };
        running.reupgrade = reupgrade;
        if shutdown {
            running.session.shut_down(context);
        }
        for (outgoing, charge) in held {
            running.session.send_held(*outgoing, charge, context);
        }
        running.set_timers();
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

    fn lose(
        self: Box<Self>,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.running.map_or_else(Lost::nothing, |running| running.lose(reason, error, context))
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
            StreamCommand::Broadcast(frames) => self.session.broadcast(frames, charge),
            StreamCommand::UpdateFlow(_, messages) => self.session.update_flow(messages),
            StreamCommand::FlowGrant(stream) if *self.session.stream() == *stream => self.session.grant(),
            StreamCommand::Settled(stream) if *self.session.stream() == *stream => self.session.settled(context),
            StreamCommand::Tune(tune) if self.is_for_it(tune.stream.as_ref()) => self.session.tune(&tune),
            StreamCommand::CloseWith(close) if self.is_for_it(close.0.as_ref()) => {
                self.session.close_with(close.1, context);
            }
            StreamCommand::Upgrade(upgrade) => {
                drop(charge);
                self.refuse_request(&upgrade.stream, &upgrade.caller, context);
            }
            StreamCommand::Request(request) => {
                drop(charge);
                self.refuse_request(&request.stream, &request.caller, context);
            }
            StreamCommand::Cancel(cancel) => refuse_part(&cancel.1, context),
            StreamCommand::Info(asked) => {
                let (stream, receipt) = *asked;
                let own = self.session.stream();
                let info = if *own == stream {
                    StreamInfo::Websocket { stream: own, stats: self.session.stats(context.status) }
                } else {
                    StreamInfo::Unknown
                };
                context.sink.event(Event::StreamInfo { receipt: &receipt, info });
            }
            StreamCommand::Data(data) if data.receipt.is_some() => {
                drop(charge);
                data.refuse(BadState::OnlyWebsocket, context.sink);
            }
            // What is for a stream that was there before, and answers to requests that are not here.
            command => {
                drop(charge);
                if let Some((_, caller)) = command.answered() {
                    refuse_part(caller, context);
                }
            }
        }
    }

    /// Whether this names the session.
    fn is_for_it(&self, stream: Option<&K::StreamId>) -> bool {
        stream.is_none_or(|name| *self.session.stream() == *name)
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
        self.clock.set_for(&mut self.session);
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
            (false, _) if !self.session.awaits_answers() => Then::Rest,
            _ => Then::Yield,
        })
    }

    fn poll_timers(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        self.poll_stalled(cx)?;
        self.clock.poll(&mut self.session, context, cx)?;
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
            return self.drop_unsent(context, cx);
        }
        if self.session.has_unsent() {
            // What has been received need not wait for it.
            context.sink.flush();
        }
        let mut progress = false;
        let offered = self.turn_out > 0;
        let written = self.write_staged(&mut progress, context, cx);
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
                return self.drop_unsent(context, cx);
            }
            Poll::Ready(Err(error)) => return ControlFlow::Break((&error).into()),
            // It is our turn that is over: the socket may well take more.
            Poll::Pending if self.turn_out == 0 && progress => {
                self.writing = Writing::Free;
                return ControlFlow::Continue(());
            }
            Poll::Pending => return self.stall(progress, cx),
        }
        self.leave_if_over(cx)
    }

    /// Writes until everything is written, the socket takes no more, or the turn is over. `progress` says whether the socket
    /// took anything.
    fn write_staged(
        &mut self,
        progress: &mut bool,
        context: &mut Context<'_, K>,
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.turn_out == 0 {
                return Poll::Pending;
            }
            if self.session.staged().is_empty() {
                match self.session.stage(context)? {
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
    fn stall(&mut self, progress: bool, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        let Some(timeout) = self.send_timeout else { return ControlFlow::Continue(()) };
        match &mut self.writing {
            Writing::Stalled(alarm) if progress => alarm.as_mut().reset(Instant::now() + timeout),
            Writing::Stalled(_) | Writing::Lost => {}
            Writing::Free => self.writing = Writing::Stalled(alarm(timeout)),
        }
        self.poll_stalled(cx)
    }

    fn drop_unsent(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        self.session.drop_unsent(context);
        self.session.flushed(context);
        self.leave_if_over(cx)
    }

    /// All is written, or never will be: whether this is the end.
    fn leave_if_over(&mut self, cx: &mut task::Context<'_>) -> ControlFlow<DownReason> {
        let Some(reason) = self.session.end_when_written() else { return ControlFlow::Continue(()) };
        self.leave(cx);
        ControlFlow::Break(reason)
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
        let Self { io, session, clock, .. } = self;
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
                clock.heard();
                decoded
            }
            Err(error) if is_cut(&error) => ControlFlow::Break(session.cut((&error).into(), context)),
            Err(error) => ControlFlow::Break((&error).into()),
        })
    }

    /// See [`Protocol::lose`].
    fn lose(self, reason: DownReason, error: Option<StreamError<'_>>, context: &mut Context<'_, K>) -> Lost<K> {
        let mut lost = Lost::nothing();
        let Ended { stream, reason } = self.session.finish(reason, context);
        let repeats = matches!(reason, EndReason::Down(_));
        match self.reupgrade.filter(|_| repeats) {
            Some(reupgrade) => lost.left.repeated.push(Repeated { stream, reupgrade, was_open: true }),
            None => {
                if let Some(error) = error {
                    context.sink.event(Event::StreamError { stream: &stream, error });
                }
                lost.killed.push(stream);
            }
        }
        lost
    }

    fn end(self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        if self.session.closes_first() {
            ending::leave(Box::new(self.io));
        }
        let Ended { stream, reason } = self.session.finish(reason, context);
        let (reason, closed_by_user) = match reason {
            EndReason::ShutDown => return Exit::ShutDown,
            EndReason::Down(reason) => (reason, false),
            EndReason::ClosedByUser(reason) => (reason, true),
        };
        let (mut left, mut killed) = (Left::nothing(), Vec::new());
        match self.reupgrade {
            Some(reupgrade) if !closed_by_user => left.repeated.push(Repeated { stream, reupgrade, was_open: true }),
            _ => killed.push(stream),
        }
        Exit::Down(Box::new(Down { reason, killed, closed_by_user, served: true, left }))
    }
}

/// Refuses what belongs to a request that is not here.
fn refuse_part<K: Sink>(caller: &K::Caller, context: &mut Context<'_, K>) {
    context.sink.event(Event::BadState { stream: None, caller, error: BadState::OnlyWebsocket });
}

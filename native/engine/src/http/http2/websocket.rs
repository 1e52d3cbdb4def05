//! A WebSocket on one stream of a connection (RFC 8441): a session, what drives it over the stream's two halves, and its end.
//!
//! Whatever h2 has received is taken from it at once, so that the end of the stream is seen behind it. The peer may send more
//! once the session has decoded it and may read on: the window is what holds back a peer whose receiver does not keep up.

mod halves;

use std::future::Future;
use std::ops::ControlFlow;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::time::Instant;

use self::halves::Halves;
use crate::account::Charge;
use crate::command::StreamCommand;
use crate::error::http2::{Http2Code, Http2Fault};
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::{Event, StreamError, StreamInfo};
use crate::protocol::{Context, Then};
use crate::sink::Sink;
use crate::stream::reupgrade::Reupgrade;
use crate::turn::SHORT;
use crate::websocket::clock::{Alarm, Clock, alarm};
use crate::websocket::outbound::Staged;
use crate::websocket::session::{EndReason, Ended, Reading, Session};

/// What a DATA frame takes of a turn beside its bytes.
const FRAME: usize = 64;

/// What is said of a peer that has broken HTTP/2 on the stream.
const BROKEN: &str = "The peer broke HTTP/2 on the stream of a Websocket.";

/// A WebSocket on a stream.
pub(crate) struct WsStream<K: Sink> {
    /// Until it has ended.
    running: Option<Running<K>>,
}

struct Running<K: Sink> {
    session: Session<K>,
    /// The timers that the session has asked for.
    clock: Clock,
    halves: Halves,
    /// How many bytes have been received that the peer's window lacks.
    unreleased: usize,
    /// Nothing may be decoded for now.
    is_held_up: bool,
    peer: Peer,
    writing: Writing,
    /// How long the peer's window may have no room for what there is to send.
    send_timeout: Option<Duration>,
    /// What is left of the turn to send.
    turn_out: usize,
    /// To repeat the upgrade on the next connection.
    reupgrade: Option<Box<Reupgrade<K>>>,
}

/// What may come of the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Sends,
    /// Nothing: it has ended its half of the stream.
    HasEnded,
    /// Nothing: the connection is lost, and whoever drives that ends the stream.
    IsLost,
}

/// Whether the stream takes what is sent.
enum Writing {
    /// It does, as far as is known.
    Free,
    /// The window is closed: when that has been so for too long.
    Stalled(Option<Alarm>),
}

/// How a WebSocket ends.
enum Cause {
    /// By itself: all is written.
    Done(DownReason),
    /// The peer has ended its half of the stream.
    Ended(DownReason),
    /// It goes no further: its stream is reset.
    GivenUp(DownReason),
    /// The peer has reset the stream.
    Reset(Http2Code),
    /// The peer has broken HTTP/2 on the stream, which is reset already.
    Fault(Http2Fault),
    /// The peer is about to close the connection, and has done nothing of the stream.
    GoAway(Http2Code),
    /// Nobody wants it any more.
    Cancelled,
}

/// A WebSocket that has ended. What there is to say of that has been reported.
pub(crate) struct WsEnd<K: Sink> {
    /// Its stream, which is over.
    pub(crate) stream: K::Stream,
}

/// What a WebSocket leaves to the next connection, where its own is lost.
pub(crate) struct WsLeft<K: Sink> {
    /// Its stream.
    pub(crate) stream: K::Stream,
    /// To repeat the upgrade.
    pub(crate) reupgrade: Option<Box<Reupgrade<K>>>,
}

impl<K: Sink> WsStream<K> {
    /// Drives this session over the halves of its stream. The peer's window may have no room for what there is to send for
    /// `send_timeout`.
    pub(crate) fn new(
        session: Session<K>,
        send: SendStream<Bytes>,
        recv: RecvStream,
        send_timeout: Option<Duration>,
    ) -> Self {
        let (halves, clock, writing) = (Halves { send, recv }, Clock::default(), Writing::Free);
        let (unreleased, is_held_up, peer, turn_out, reupgrade) = (0, false, Peer::Sends, SHORT, None);
        let mut running = Running {
            session,
            clock,
            halves,
            unreleased,
            is_held_up,
            peer,
            writing,
            send_timeout,
            turn_out,
            reupgrade,
        };
        running.clock.set_for(&mut running.session);
        Self { running: Some(running) }
    }

    /// Takes over an upgrade that is repeated, and the frames that have waited for it.
    pub(crate) fn take_over(&mut self, mut reupgrade: Option<Box<Reupgrade<K>>>, context: &mut Context<'_, K>) {
        let Some(running) = &mut self.running else { return };
        let held = reupgrade.as_mut().map(|reupgrade| reupgrade.take_held()).unwrap_or_default();
        running.reupgrade = reupgrade;
        for (outgoing, charge) in held {
            running.session.send_held(*outgoing, charge, context);
        }
        running.clock.set_for(&mut running.session);
    }

    /// The stream, unless it is over.
    pub(crate) fn stream(&self) -> Option<&K::Stream> {
        self.running.as_ref().map(|running| running.session.stream())
    }

    /// How many bytes have been received that the receiver does not take for now. They hold the peer back on this stream, and
    /// should not do so on others.
    pub(crate) fn held_back(&self) -> usize {
        self.running.as_ref().filter(|running| running.is_held_up).map_or(0, |running| running.unreleased)
    }

    /// Does a command that concerns the stream. It has effect at the next poll.
    pub(crate) fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.command(command, charge, context);
            running.clock.set_for(&mut running.session);
        }
    }

    /// Begins the graceful end, with a close frame.
    pub(crate) fn shut_down(&mut self, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.session.shut_down(context);
            running.clock.set_for(&mut running.session);
        }
    }

    /// Whether somebody waits until h2 has written all that it was given ([`WsStream::written`]).
    pub(crate) fn awaits_write(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.session.awaits_leave())
    }

    /// h2 has written all that it was given. Who waited for that is told, and what follows can go.
    pub(crate) fn written(&mut self, context: &mut Context<'_, K>) {
        if let Some(running) = &mut self.running {
            running.session.has_left(context);
        }
    }

    /// One turn. What is left to be done after it is said by [`Context::then`].
    pub(crate) fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<WsEnd<K>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let round = running.work(context, cx);
        // The statistics must include a message before its receiver has it.
        running.session.publish(context.status);
        match round {
            ControlFlow::Continue(goes_on) => {
                if goes_on {
                    context.then = Then::Yield;
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            ControlFlow::Break(cause) => match self.running.take() {
                Some(running) => Poll::Ready(running.end(cause, context)),
                None => Poll::Pending,
            },
        }
    }

    /// Nobody wants the WebSocket any more, and nothing more of it is reported but the receipts.
    pub(crate) fn cancel(&mut self, context: &mut Context<'_, K>) -> Option<WsEnd<K>> {
        self.running.take().map(|running| running.end(Cause::Cancelled, context))
    }

    /// The connection is lost for this reason. `error` is what the receiver of the stream is told, unless the upgrade is to
    /// be repeated.
    pub(crate) fn lose(
        &mut self,
        reason: DownReason,
        error: StreamError<'_>,
        context: &mut Context<'_, K>,
    ) -> Option<WsLeft<K>> {
        let Running { session, reupgrade, .. } = self.running.take()?;
        let has_failed = session.has_failed();
        let Ended { stream, reason } = session.finish(reason, context);
        let repeats = matches!(reason, EndReason::Down(_));
        let reupgrade = reupgrade.filter(|_| repeats);
        if reupgrade.is_none() && !has_failed {
            context.sink.event(Event::StreamError { stream: &stream, error });
        }
        Some(WsLeft { stream, reupgrade })
    }
}

impl<K: Sink> Running<K> {
    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        match command {
            StreamCommand::Send(outgoing) => {
                self.session.send(*outgoing, charge, context);
            }
            StreamCommand::UpdateFlow(_, messages) => self.session.update_flow(messages),
            StreamCommand::FlowGrant(_) => self.session.grant(),
            StreamCommand::Settled(_) => self.session.settled(context),
            StreamCommand::Tune(tune) => self.session.tune(&tune),
            StreamCommand::CloseWith(close) => self.session.close_with(close.1, context),
            StreamCommand::Data(data) => {
                drop(charge);
                if !data.refuse(BadState::WebsocketStream, context.sink) {
                    let (stream, caller) = (&data.stream, &data.caller);
                    context.sink.event(Event::Refused { stream, caller, error: BadState::WebsocketStream });
                }
            }
            StreamCommand::Info(asked) => {
                let (stream, stats) = (self.session.stream(), self.session.stats(context.status));
                let info = StreamInfo::Websocket { stream, stats };
                context.sink.event(Event::StreamInfo { receipt: &asked.1, info });
            }
            // What opens a stream, what is for a connection as a whole, and what a server does.
            _ => {}
        }
    }

    /// The timers, what has come, and writing: whether there is more to do.
    fn work(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<Cause, bool> {
        if self.peer == Peer::IsLost {
            return ControlFlow::Continue(false);
        }
        self.session.begin_turn(SHORT);
        self.turn_out = 2 * SHORT;
        self.clock.poll(&mut self.session, context, cx).map_break(Cause::GivenUp)?;
        let mut is_set = false;
        while self.session.has_turn() && self.receive(context, cx)? {
            is_set |= self.clock.set_for(&mut self.session);
        }
        self.write(context, cx)?;
        self.end_with_peer(context)?;
        if self.clock.set_for(&mut self.session) || is_set {
            self.clock.poll(&mut self.session, context, cx).map_break(Cause::GivenUp)?;
        }
        // What was received has used up the turn, or there is more to send.
        let is_free = matches!(self.writing, Writing::Free) && !self.session.awaits_leave();
        let has_unsent = self.session.has_unsent() && is_free;
        ControlFlow::Continue(!self.session.has_turn() || has_unsent)
    }

    /// Receives what comes next: whether there was anything.
    fn receive(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<Cause, bool> {
        let reading = self.session.reading(context);
        self.is_held_up = !matches!(reading, Reading::Bytes | Reading::Kept);
        if !self.is_held_up {
            self.release();
        }
        match reading {
            Reading::Kept => {
                self.session.decode_kept(context).map_break(Cause::GivenUp)?;
                return ControlFlow::Continue(true);
            }
            _ if self.peer != Peer::Sends => return ControlFlow::Continue(false),
            Reading::Bytes | Reading::Nothing | Reading::NothingButTheEnd => {}
        }
        let Poll::Ready(data) = self.halves.recv.poll_data(cx) else { return ControlFlow::Continue(false) };
        match data {
            Some(Ok(data)) => self.data(data, reading == Reading::Bytes, context),
            Some(Err(error)) => self.fail(&error, context),
            None => {
                self.peer = Peer::HasEnded;
                self.session.peer_closed();
                ControlFlow::Continue(true)
            }
        }
    }

    /// A part of the stream has come: it is decoded, or kept until it may be.
    fn data(&mut self, data: Bytes, decodes: bool, context: &mut Context<'_, K>) -> ControlFlow<Cause, bool> {
        self.unreleased += data.len();
        self.session.spend_turn(data.len() + FRAME);
        self.clock.heard();
        if decodes {
            self.session.receive(&data, context).map_break(Cause::GivenUp)?;
        } else {
            self.session.receive_later(data);
        }
        ControlFlow::Continue(true)
    }

    /// Lets the peer send as much as has been decoded.
    fn release(&mut self) {
        let free = self.unreleased.saturating_sub(self.session.kept());
        if free > 0 {
            self.unreleased -= free;
            // It is never more than has been received, which alone is refused.
            let _ = self.halves.recv.flow_control().release_capacity(free);
        }
    }

    /// The stream has failed, or the connection, which then ends them all.
    fn fail(&mut self, error: &h2::Error, context: &mut Context<'_, K>) -> ControlFlow<Cause, bool> {
        let Some(code) = error.reason().map(|reason| Http2Code::from(u32::from(reason))) else {
            return self.lost();
        };
        if error.is_reset() && error.is_library() {
            return ControlFlow::Break(Cause::Fault(Http2Fault { code, text: BROKEN }));
        }
        if error.is_reset() {
            // Where all has been said, it is only the end.
            return ControlFlow::Break(match self.session.cut(DownReason::Closed, context) {
                DownReason::Closed => Cause::Reset(code),
                reason => Cause::Ended(reason),
            });
        }
        if error.is_go_away() && error.is_remote() {
            return ControlFlow::Break(Cause::GoAway(code));
        }
        self.lost()
    }

    fn lost(&mut self) -> ControlFlow<Cause, bool> {
        self.peer = Peer::IsLost;
        ControlFlow::Continue(false)
    }

    /// The end, if the peer has ended its half and all that came before is received. A close frame that is on its way is
    /// written first.
    fn end_with_peer(&mut self, context: &mut Context<'_, K>) -> ControlFlow<Cause> {
        let is_read = self.peer == Peer::HasEnded && self.session.reading(context) == Reading::Bytes;
        if is_read && (self.session.is_open() || !self.session.has_unsent()) {
            return ControlFlow::Break(Cause::Ended(self.session.cut(DownReason::Closed, context)));
        }
        ControlFlow::Continue(())
    }

    fn write(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> ControlFlow<Cause> {
        let mut progress = false;
        let written = self.write_staged(&mut progress, context, cx);
        self.session.end_write(written.is_pending() && self.turn_out > 0);
        match written {
            Poll::Ready(ControlFlow::Break(cause)) => return ControlFlow::Break(cause),
            Poll::Ready(ControlFlow::Continue(())) => {
                self.writing = Writing::Free;
                self.session.flushed(context);
            }
            // It is our turn that is over.
            Poll::Pending if self.turn_out == 0 => {
                self.writing = Writing::Free;
                return ControlFlow::Continue(());
            }
            Poll::Pending => return self.stall(progress, cx),
        }
        match self.session.end_when_written() {
            Some(reason) => ControlFlow::Break(Cause::Done(reason)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Writes until everything is written, the window is closed, or the turn is over. h2 is given no more than the window has
    /// room for: what it has been given counts for nothing any more.
    fn write_staged(
        &mut self,
        progress: &mut bool,
        context: &mut Context<'_, K>,
        cx: &mut task::Context<'_>,
    ) -> Poll<ControlFlow<Cause>> {
        loop {
            if self.turn_out == 0 {
                return Poll::Pending;
            }
            if self.session.staged().is_empty() {
                match self.session.stage(context) {
                    Ok(Staged::Ready) => {}
                    Ok(Staged::Nothing) => return Poll::Ready(ControlFlow::Continue(())),
                    Ok(Staged::Working) => {
                        self.turn_out = 0;
                        return Poll::Pending;
                    }
                    Err(error) => return Poll::Ready(ControlFlow::Break(Cause::GivenUp((&error).into()))),
                }
            }
            let staged = self.session.staged();
            match task::ready!(self.halves.poll_send(staged, cx)) {
                Some(n) => {
                    self.session.wrote(n);
                    self.session.is_buffered();
                    self.turn_out = self.turn_out.saturating_sub(n);
                    *progress = true;
                }
                // Why, the other half says.
                None => self.session.drop_unsent(context),
            }
        }
    }

    /// The window is closed for now: send_timeout runs from the last time that it was not.
    fn stall(&mut self, progress: bool, cx: &mut task::Context<'_>) -> ControlFlow<Cause> {
        let limit = self.send_timeout;
        match &mut self.writing {
            Writing::Stalled(Some(alarm)) if progress => {
                if let Some(limit) = limit {
                    alarm.as_mut().reset(Instant::now() + limit);
                }
            }
            Writing::Stalled(_) => {}
            Writing::Free => self.writing = Writing::Stalled(limit.map(alarm)),
        }
        if let Writing::Stalled(Some(alarm)) = &mut self.writing
            && alarm.as_mut().poll(cx).is_ready()
        {
            return ControlFlow::Break(Cause::GivenUp(ConnectionError::SendTimeout.into()));
        }
        ControlFlow::Continue(())
    }

    /// It is over: the peer learns it, and whoever receives the stream.
    fn end(self, cause: Cause, context: &mut Context<'_, K>) -> WsEnd<K> {
        let Self { session, mut halves, .. } = self;
        let is_done = matches!(cause, Cause::Done(_) | Cause::Ended(DownReason::Normal));
        let (reason, error) = match cause {
            Cause::Done(reason) | Cause::Ended(reason) => {
                halves.close();
                (reason, None)
            }
            Cause::GivenUp(reason) => {
                halves.reset();
                (reason, None)
            }
            Cause::Reset(code) => (DownReason::Closed, Some(StreamError::Reset(code))),
            Cause::Fault(fault) => (DownReason::Closed, Some(StreamError::Fault(fault))),
            Cause::GoAway(code) => (DownReason::Closed, Some(StreamError::GoAway(code))),
            Cause::Cancelled => {
                halves.reset();
                let stream = session.finish(DownReason::Normal, context).stream;
                return WsEnd { stream };
            }
        };
        let has_failed = session.has_failed();
        let Ended { stream, reason } = session.finish(reason, context);
        let error = error.or(match &reason {
            EndReason::ShutDown if !is_done => Some(StreamError::ShutDown),
            EndReason::ShutDown => None,
            EndReason::Down(reason) | EndReason::ClosedByUser(reason) => match reason {
                DownReason::Normal if is_done => None,
                DownReason::Error(ConnectionError::Protocol(_)) => None,
                reason => Some(StreamError::Closed(reason)),
            },
        });
        if let Some(error) = error.filter(|_| !has_failed) {
            context.sink.event(Event::StreamError { stream: &stream, error });
        }
        WsEnd { stream }
    }
}

#[cfg(test)]
pub(super) mod tests;

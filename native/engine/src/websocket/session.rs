//! A WebSocket session: what is received and sent, when it pings, and how it closes (RFC 6455, 7).
//!
//! It has no socket, no queue and no clock. Whoever drives it gives it what is received ([`Session::receive`]), what is to
//! be sent ([`Session::send`]) and the timers that are due ([`Session::due`]); it gives events to the sink, bytes to write
//! ([`Session::stage`], [`Session::staged`]), the timers to set ([`Session::take_timers`]), and its end. An idle session
//! costs little: it holds no buffer.

mod receipts;
mod receiving;
mod sending;
mod tuning;
mod watching;

use std::borrow::Borrow;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use self::receiving::Reader;
use super::deflate::Alone;
use super::handshake::Chosen;
use super::life::Life;
use super::outbound::{Outbound, Staged};
use super::role::Role;
use super::timers::{Setting, Timer, Timers};
use crate::error::{ConnectionError, DownReason, ProtocolError};
use crate::event::{Event, NotSent, Stats, StreamError};
use crate::options::WsOptions;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::status::{Counts, State, Status};
use crate::stream::credit::{Credit, Window};

/// How many bytes of answers to pings may wait until reading stops.
const MAX_ANSWERS: usize = 64 * 1024;

/// How much longer it takes to inflate bytes than to receive as many.
const INFLATION: usize = 2;

/// The most messages of a turn: reporting one takes longer than copying its bytes, if it is small.
const MESSAGES: usize = 128;

/// How many bytes of messages a receiver is given beyond its credit, once the peer has closed.
const MAX_DRAINED: usize = 16 * 1024 * 1024;

/// What each of these messages counts for beside its bytes: about what it takes in the receiver's mailbox.
const DRAINED_MESSAGE: usize = 256;

/// How long a close frame that answers a fault waits for the receiver to have answered what came before the fault.
const SETTLE: Duration = Duration::from_millis(50);

/// A WebSocket session.
pub struct Session<K: Sink> {
    stream: K::Stream,
    /// Whether the connection is this WebSocket, and nothing else.
    alone: bool,
    settings: Settings,
    phase: Phase,
    end_asked: EndAsked,
    reader: Reader<K::Payload>,
    outbound: Outbound<K>,
    /// What may be reported to the receiver.
    credit: Credit,
    /// Whether the peer shows life.
    life: Life,
    /// What is to be done to the timers, since that was last asked.
    timers: Timers,
    reported: bool,
    /// What has been received and sent.
    counts: Counts,
    /// That of the peer's close frame.
    close_code: Option<u16>,
    /// What has been written waits in a buffer of ours.
    buffered: bool,
    watch: Option<watching::Watch>,
}

/// What the options have set.
struct Settings {
    closing_timeout: Option<Duration>,
    keepalive: Option<Duration>,
    keepalive_tolerance: Option<u32>,
    idle_timeout: Option<Duration>,
    linger: bool,
    /// Whether messages are mostly answered at once, as a server's are.
    answers: bool,
    /// Whether messages are received.
    active: bool,
    silence_pings: bool,
    /// Whether the answers to pings of the session's own are kept from the user, as a server's are.
    silence_own_pongs: bool,
}

/// What a session is doing.
///
/// ```text
///               a close frame of the user's, or a shutdown
///        Open ---------------------------------------------> Closing
///        |  |                                                |  |
///        |  |  the peer's close frame                        |  |
///        |  +--------------------> Answering <---------------+  |
///        |                             |                        |
///        | the peer breaks             | all is written         | the peer breaks
///        | the protocol                v                        | the protocol
///        |                          the end                     |
///        v      the receiver has answered, or                   v
///     Settling ------------------------------------------> Failing
///               has had its time, or sends a close              |
///                                                               | all is written: the fault is reported
///                                                               v
///                                                            Failed
/// ```
///
/// Without `linger`, Closing and Failed are the end as soon as all is written, unless a shutdown was asked for.
///
/// From each of them the end of the byte stream, or of `closing_timeout`, leads to the end; a fault that is not reported by
/// then is reported there.
enum Phase {
    /// Frames go both ways.
    Open,
    /// Our close frame is sent, or about to be; the peer's is awaited (RFC 6455, 7.1.2).
    Closing,
    /// The peer's close frame has come, ours is on its way; then this is the end.
    Answering,
    /// The peer broke the protocol: the receiver may still answer what came before, then our close frame follows.
    Settling(ProtocolError),
    /// Our close frame that answers a fault is on its way; what comes is thrown away until the peer closes. The user learns
    /// of the fault when that frame is written, or can no longer be: the user's reaction must not come first.
    Failing(ProtocolError),
    /// It is written, and the fault is reported.
    Failed(ProtocolError),
}

/// Who has asked for the end.
enum EndAsked {
    /// Nobody.
    No,
    /// The user, by a close frame.
    ByClose,
    /// The user, by a shutdown: it is reported as such, whatever else the user sends.
    ByShutdown,
    /// We, since the peer has sent nothing for `idle_timeout`.
    ByIdleness,
}

/// What is to be received now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What the peer sends.
    Bytes,
    /// What has been received before, by [`Session::decode_kept`]; then what the peer sends.
    Kept,
    /// Nothing.
    Nothing,
    /// Nothing, until the user asks for more. Meanwhile the driver checks now and then whether the peer has
    /// closed ([`Session::peer_closed`]).
    NothingButTheEnd,
}

/// How a session has ended.
pub struct Ended<K: Sink> {
    /// Its stream.
    pub stream: K::Stream,
    /// Why.
    pub reason: EndReason,
}

/// Why a session has ended.
#[derive(Debug)]
pub enum EndReason {
    /// The shutdown that was asked for is done.
    ShutDown,
    /// For this reason, without a close frame of the user's.
    Down(DownReason),
    /// For this reason, after a close frame of the user's.
    ClosedByUser(DownReason),
}

impl<K: Sink> Session<K> {
    /// A session that has just been agreed on, at this end. `alone` says that the connection is this WebSocket and nothing
    /// else.
    pub fn new(
        stream: K::Stream,
        role: Role,
        options: &WsOptions,
        chosen: &Chosen,
        alone: bool,
        context: &mut Context<'_, K>,
    ) -> Self {
        let Chosen { subprotocol, deflate } = chosen;
        let (deflate, compresses) = (deflate.as_ref(), deflate.is_some());
        if alone {
            context.status.begin_ws(compresses, options.max_send_queue);
            context.status.close_ws(stream.borrow());
            // What was reported before the upgrade does not count.
            *context.relay = Window::for_relay();
        } else {
            let name: &K::StreamId = stream.borrow();
            context.status.open_ws(name.clone(), compresses, options.max_send_queue);
        }
        let account = (!alone).then(|| stream.borrow());
        context.status.with_account(account, |account| {
            account.set_alone(deflate.and_then(|agreed| Alone::new(role, agreed)));
        });
        let fragments = options.reports_fragments(subprotocol.as_deref());
        let settings = Settings {
            closing_timeout: options.closing_timeout,
            keepalive: options.keepalive,
            keepalive_tolerance: options.keepalive_tolerance,
            idle_timeout: options.idle_timeout,
            linger: options.linger,
            answers: role == Role::Server,
            active: true,
            // A module of the user's always receives them.
            silence_pings: options.silence_pings && !fragments,
            silence_own_pongs: role == Role::Server,
        };
        Self {
            credit: Credit::new(options.flow, context.sink.is_remote(&stream)),
            timers: Timers {
                keepalive: options.keepalive.into(),
                idle: options.idle_timeout.into(),
                ..Timers::default()
            },
            reader: Reader::new(role, options, deflate, fragments),
            outbound: Outbound::new(role, deflate),
            stream,
            alone,
            settings,
            phase: Phase::Open,
            end_asked: EndAsked::No,
            life: Life::default(),
            reported: false,
            counts: Counts::default(),
            close_code: None,
            buffered: false,
            watch: None,
        }
        .watching(role, deflate, context.observed)
    }

    /// Its stream.
    pub fn stream(&self) -> &K::Stream {
        &self.stream
    }

    /// Whether neither side has begun to close.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether the peer broke the protocol: the receiver is told of that, and of no other end.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Settling(_) | Phase::Failing(_) | Phase::Failed(_))
    }

    /// Begins a turn: so many bytes are received before others have theirs ([`Session::has_turn`]).
    pub fn begin_turn(&mut self, turn: usize) {
        self.reader.begin_turn(turn);
    }

    /// Whether the turn to receive is not over.
    pub fn has_turn(&self) -> bool {
        self.reader.has_turn()
    }

    /// Whether answers to what was reported may come while the other connections have their turn. Then they leave
    /// together, and who sends them need not wake the task.
    pub(crate) fn awaits_answers(&mut self) -> bool {
        std::mem::take(&mut self.reported) && self.settings.answers && self.is_open()
    }

    /// What is to be done to the timers, since this was last asked.
    pub fn take_timers(&mut self) -> Timers {
        std::mem::take(&mut self.timers)
    }

    /// Adds what has been received and sent to what the connection counts, and gives back the charge of what was sent. The
    /// receiver of a message, or of a receipt, must find it counted.
    pub(crate) fn publish(&mut self, status: &Status<K>) {
        self.outbound.give_back_charge();
        let (bytes_in, received) = self.reader.take_counts();
        let sent = self.outbound.take_counts();
        let counts = Counts {
            frames_in: received.frames,
            bytes_in,
            frames_out: sent.frames,
            bytes_out: sent.bytes,
            uncompressed: received.inflated + sent.deflated,
            compressed: received.compressed + sent.compressed,
        };
        self.counts.add(counts);
        status.count(counts);
    }

    /// What it has received and sent, by what was published last.
    pub(crate) fn stats(&self, status: &Status<K>) -> Stats {
        let queued = status.with_account(self.account(), |account| account.queued());
        self.counts.into_stats(queued)
    }

    /// The stream whose account its frames are counted on, where it is not the connection's.
    pub(super) fn account(&self) -> Option<&K::StreamId> {
        (!self.alone).then(|| self.stream.borrow())
    }

    /// The user's close frame is about to be sent. Frames after it are not sent.
    fn close_by_user(&mut self, context: &Context<'_, K>) {
        if let EndAsked::No = self.end_asked {
            self.end_asked = EndAsked::ByClose;
        }
        let phase = match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Settling(error) => Phase::Failing(error),
            _ => Phase::Closing,
        };
        self.close(phase, context);
    }

    /// Begins the graceful end.
    pub fn shut_down(&mut self, context: &Context<'_, K>) {
        self.end_asked = EndAsked::ByShutdown;
        if self.is_open() {
            self.outbound.push_close(1001);
            self.close(Phase::Closing, context);
        }
    }

    /// Enters a phase that ends the session, by its own means or by closing_timeout.
    fn close(&mut self, phase: Phase, context: &Context<'_, K>) {
        self.phase = phase;
        self.timers = Timers {
            closing: self.settings.closing_timeout.into(),
            keepalive: Setting::Cleared,
            idle: Setting::Cleared,
        };
        if self.alone {
            context.status.set(State::Closing);
        }
    }

    /// Allows this number of further messages.
    pub fn update_flow(&mut self, messages: i64) {
        self.credit.update(messages);
    }

    /// The receiver keeps up.
    pub fn grant(&mut self) {
        self.credit.grant();
    }

    /// The receiver has answered what came before a fault, or has had its time to: the close frame can go.
    pub fn settled(&mut self, context: &Context<'_, K>) {
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Settling(error) => {
                self.outbound.push_close_for(&error);
                self.close(Phase::Failing(error), context);
            }
            phase => self.phase = phase,
        }
    }

    /// A timer is due, and is no longer set.
    pub fn due(&mut self, timer: Timer, context: &mut Context<'_, K>) -> ControlFlow<DownReason> {
        match timer {
            // The close frame goes out, and the timer starts again.
            Timer::Closing if matches!(self.phase, Phase::Settling(_)) => self.settled(context),
            Timer::Closing => return ControlFlow::Break(self.closed()),
            Timer::Keepalive => {
                // An answer can't be seen while reading is paused, which doesn't count against the peer.
                let may_read = self.may_read(context);
                if self.life.is_over(self.settings.keepalive_tolerance, may_read) {
                    return ControlFlow::Break(ConnectionError::KeepaliveTimeout.into());
                }
                self.outbound.push_ping();
                self.life.pinged();
                self.timers.keepalive = self.settings.keepalive.into();
            }
            // What the peer sends waits until the receiver wants it, which doesn't count against the peer.
            Timer::Idle if self.credit.is_spent() || self.awaits_grant(context) => {
                self.timers.idle = self.settings.idle_timeout.into();
            }
            Timer::Idle => {
                self.end_asked = EndAsked::ByIdleness;
                self.outbound.push_close(1000);
                self.close(Phase::Closing, context);
            }
        }
        ControlFlow::Continue(())
    }

    /// Why the session is down when a close has run its course.
    fn closed(&self) -> DownReason {
        match &self.phase {
            Phase::Settling(error) | Phase::Failing(error) | Phase::Failed(error) => {
                ConnectionError::Protocol(error.clone()).into()
            }
            Phase::Open | Phase::Closing | Phase::Answering => DownReason::Normal,
        }
    }

    /// Whether there is anything to write.
    pub fn has_unsent(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// What is to be written next, as [`Session::stage`] has made it ready: empty if all of it is written.
    pub fn staged(&self) -> &[u8] {
        self.outbound.staged()
    }

    /// So many bytes of what is staged have been written.
    pub fn wrote(&mut self, n: usize) {
        self.outbound.wrote(n);
    }

    /// Prepares the next write when everything staged is written, and reports the receipts that waited for it.
    ///
    /// # Errors
    /// See [`Outbound::stage`].
    pub fn stage(&mut self, context: &mut Context<'_, K>) -> io::Result<Staged> {
        self.report_sent(context);
        self.report_own(context);
        self.outbound.stage()
    }

    /// An attempt to write is over: whether the peer takes no more for now, or there is no more.
    pub fn end_write(&mut self, blocked: bool) {
        let taken = self.outbound.end_write();
        self.life.wrote(taken, blocked);
    }

    /// All is written, and is on its way.
    pub fn flushed(&mut self, context: &mut Context<'_, K>) {
        self.report_fault(context);
    }

    /// The end, if all is written and nothing is awaited any more.
    pub fn end_when_written(&self) -> Option<DownReason> {
        let is_over = match self.phase {
            Phase::Open | Phase::Settling(_) | Phase::Failing(_) => false,
            Phase::Closing | Phase::Failed(_) => {
                !self.settings.linger && !matches!(self.end_asked, EndAsked::ByShutdown)
            }
            Phase::Answering => true,
        };
        (is_over && !self.has_unsent()).then(|| self.closed())
    }

    /// Whether it is over by a close frame of ours, which is written, and may not have reached the peer.
    pub(crate) fn closes_first(&self) -> bool {
        !matches!(self.phase, Phase::Answering) && self.end_when_written().is_some()
    }

    /// Reports the fault whose close frame is written, or never will be.
    fn report_fault(&mut self, context: &mut Context<'_, K>) {
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Failing(error) => {
                self.report(&error, context);
                self.phase = Phase::Failed(error);
            }
            phase => self.phase = phase,
        }
    }

    fn report(&self, error: &ProtocolError, context: &mut Context<'_, K>) {
        context.sink.event(Event::StreamError { stream: &self.stream, error: StreamError::Protocol(error) });
    }

    /// The session is over: what is left to report is reported.
    pub fn finish(mut self, reason: DownReason, context: &mut Context<'_, K>) -> Ended<K> {
        if let Phase::Settling(error) | Phase::Failing(error) = &self.phase {
            self.report(error, context);
        }
        let shut_down = matches!(self.end_asked, EndAsked::ByShutdown);
        let idle = matches!(self.end_asked, EndAsked::ByIdleness);
        let reason = if idle { ConnectionError::IdleTimeout.into() } else { reason };
        self.report_unsent(if shut_down { NotSent::ShutDown } else { NotSent::Down(&reason) }, context);
        self.observe_end(context);
        if !self.alone {
            context.status.close_ws(self.stream.borrow());
        }
        let reason = match self.end_asked {
            EndAsked::ByShutdown => EndReason::ShutDown,
            EndAsked::ByClose => EndReason::ClosedByUser(reason),
            EndAsked::No | EndAsked::ByIdleness => EndReason::Down(reason),
        };
        Ended { stream: self.stream, reason }
    }

    /// It is over for reasons of ours, which are reported elsewhere.
    pub fn into_stream(self) -> K::Stream {
        self.stream
    }
}

#[cfg(test)]
mod tests;

//! A WebSocket on a connection of its own, beside one that speaks HTTP/2 to a server that has none on its streams. It speaks
//! HTTP/1.1, to the same server.
//!
//! ```text
//!             dialled             the peer agrees
//!   Dialing ----------> Asking --------------------> Open
//!    ^   |                |                           |
//!    |   |                | lost                      | lost
//!    |   +---- failed ----+--------------+------------+
//!    |                                   v
//!    +------------- Resting <--- if it is to be repeated
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::Charge;
use crate::command::StreamCommand;
use crate::error::{BadState, ConnectError, ConnectionError, DownReason, Wait};
use crate::event::{Event, StreamError, StreamInfo};
use crate::http::deadline::{Alarm, alarm, is_due};
use crate::http::http1::Http1;
use crate::options::ConnectOptions;
use crate::protocol::{Context, Down, Exit, Left, Lost, Protocol, Then};
use crate::sink::Sink;
use crate::stream::reupgrade::{Held, Repeated};
use crate::stream::table::Waiting;
use crate::transport::Io;
use crate::transport::dial::{Dial, Route};

/// What the server is asked to speak (RFC 7301, 6).
const HTTP1: &[u8] = b"http/1.1";

/// How long an upgrade that is repeated waits after it was lost for the first time; it is twice as long each time after.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How the server is reached.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) options: Arc<ConnectOptions>,
    pub(super) route: Route,
}

/// A WebSocket on a connection of its own, from the dial to its end.
pub(super) struct Detour<K: Sink> {
    name: K::StreamId,
    way: Way,
    stage: Stage<K>,
    /// Whether the upgrade is repeated: then frames may wait for it.
    repeats: bool,
    /// How often in a row it was lost.
    losses: u32,
}

enum Stage<K: Sink> {
    /// It was lost, and is to be dialled again.
    Resting(Wanted<K>, Alarm),
    Dialing(Dialing<K>),
    /// HTTP/1.1 asks for the upgrade.
    Asking(Box<dyn Protocol<K>>),
    /// It is a WebSocket.
    Open(Box<dyn Protocol<K>>),
    Over,
}

/// A dial under way, and when it takes too long.
struct Dialing<K: Sink> {
    wanted: Wanted<K>,
    dial: Pin<Box<dyn Future<Output = Result<Io, ConnectError>> + Send>>,
    deadline: Option<Alarm>,
}

/// What the connection is for.
pub(super) enum Wanted<K: Sink> {
    /// An upgrade of the user's.
    First(Box<Waiting<K>>),
    /// One that is repeated.
    Again(Repeated<K>),
}

/// Why there is no connection.
enum Failure {
    Timeout,
    Reason(DownReason),
}

impl<K: Sink> Wanted<K> {
    fn stream(&self) -> &K::Stream {
        match self {
            Self::First(waiting) => &waiting.entry.name,
            Self::Again(repeated) => &repeated.stream,
        }
    }

    /// How long it may take until the peer answers.
    fn timeout(&self) -> Option<Duration> {
        match self {
            Self::First(waiting) => waiting.entry.timeouts.answer,
            Self::Again(repeated) => repeated.reupgrade.request.options.upgrade_timeout,
        }
    }

    fn into_left(self) -> Left<K> {
        let mut left = Left::nothing();
        match self {
            Self::First(waiting) => left.requests.push(*waiting),
            Self::Again(repeated) => left.repeated.push(repeated),
        }
        left
    }
}

impl<K: Sink> Dialing<K> {
    fn new(wanted: Wanted<K>, way: &Way) -> Self {
        let (options, proxy) = (Arc::clone(&way.options), way.route.proxy.clone());
        let route = Route { tls: way.route.tls.as_ref().map(|tls| tls.with_alpn(HTTP1)), proxy };
        let dial = Box::pin(async move {
            let mut dial = Dial::new(&options, &route);
            // Whoever observes the connection knows nothing of this one.
            poll_fn(|cx| dial.poll(&mut |_| (), cx)).await.map(|dialed| dialed.io)
        });
        let deadline = wanted.timeout().map(alarm);
        Self { wanted, dial, deadline }
    }

    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Io, Failure>> {
        if let Poll::Ready(result) = self.dial.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Failure::from));
        }
        if is_due(self.deadline.as_mut(), cx) { Poll::Ready(Err(Failure::Timeout)) } else { Poll::Pending }
    }

    /// How much time is left for the peer to answer.
    fn time_left(&self) -> Option<Duration> {
        self.deadline.as_ref().map(|deadline| deadline.deadline().saturating_duration_since(Instant::now()))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Timeout => Self::Timeout,
            ConnectError::Tls(error) => Self::Reason(ConnectionError::Tls(error).into()),
            ConnectError::Io(error) => Self::Reason(ConnectionError::Io(error).into()),
            ConnectError::Socks(error) => Self::Reason(ConnectionError::Socks(error).into()),
            ConnectError::Proxy(error) => Self::Reason(ConnectionError::Proxy(error).into()),
            ConnectError::NameNotFound | ConnectError::ResolverBusy | ConnectError::Closed => {
                Self::Reason(DownReason::Closed)
            }
        }
    }
}

impl<K: Sink> Detour<K> {
    pub(super) fn new(name: K::StreamId, wanted: Wanted<K>, way: Way) -> Self {
        let repeats = matches!(wanted, Wanted::Again(_));
        let stage = Stage::Dialing(Dialing::new(wanted, &way));
        Self { name, way, stage, repeats, losses: 0 }
    }

    /// Whether it is a WebSocket.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether it takes frames: those that name no stream may be for it.
    pub(super) fn takes_frames(&self) -> bool {
        self.is_open() || self.repeats
    }

    /// Does a command that concerns it, and is no cancellation. It has effect at the next poll.
    pub(super) fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        match (&mut self.stage, command) {
            (Stage::Open(protocol), command) => protocol.command(command, charge, context),
            (Stage::Asking(protocol), command @ StreamCommand::Send(_)) if self.repeats => {
                protocol.command(command, charge, context);
            }
            (Stage::Resting(Wanted::Again(repeated), _), StreamCommand::Send(outgoing)) => {
                repeated.reupgrade.hold(outgoing, charge, context.sink);
            }
            (Stage::Dialing(Dialing { wanted: Wanted::Again(repeated), .. }), StreamCommand::Send(outgoing)) => {
                repeated.reupgrade.hold(outgoing, charge, context.sink);
            }
            (_, StreamCommand::Send(outgoing)) => {
                drop(charge);
                outgoing.refuse_on_stream(context.sink, BadState::NotWebsocket);
            }
            (
                Stage::Asking(protocol),
                command @ (StreamCommand::Info(_) | StreamCommand::UpdateFlow(..) | StreamCommand::FlowGrant(_)),
            ) => protocol.command(command, charge, context),
            (Stage::Resting(wanted, _) | Stage::Dialing(Dialing { wanted, .. }), command) => {
                command_while_away(wanted, command, context);
            }
            // What a WebSocket has not lived to see.
            (Stage::Asking(_) | Stage::Over, _) => {}
        }
    }

    /// Begins the graceful end.
    pub(super) fn shut_down(&mut self, context: &mut Context<'_, K>) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Asking(mut protocol) => {
                protocol.shut_down(context);
                self.stage = Stage::Asking(protocol);
            }
            Stage::Open(mut protocol) => {
                protocol.shut_down(context);
                self.stage = Stage::Open(protocol);
            }
            Stage::Resting(wanted, _) | Stage::Dialing(Dialing { wanted, .. }) => {
                let event = Event::StreamError { stream: wanted.stream(), error: StreamError::Closing };
                context.sink.event(event);
                if let Wanted::Again(mut repeated) = wanted {
                    repeated.reupgrade.give_up(context.sink, context.status);
                }
            }
            Stage::Over => {}
        }
    }

    /// Works until there is nothing to do, or until others have their turn; ready once it is over. What there is to say of
    /// its end has been reported.
    pub(super) fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Resting(_, alarm) => {
                    ready!(alarm.as_mut().poll(cx));
                    if let Stage::Resting(wanted, _) = std::mem::replace(&mut self.stage, Stage::Over) {
                        self.stage = Stage::Dialing(Dialing::new(wanted, &self.way));
                    }
                }
                Stage::Dialing(dialing) => {
                    let result = ready!(dialing.poll(cx));
                    self.dialed(result, context);
                }
                Stage::Asking(protocol) | Stage::Open(protocol) => {
                    let exit = ready!(poll_protocol(&mut **protocol, context, cx));
                    self.exit(exit, context);
                }
                Stage::Over => return Poll::Ready(()),
            }
        }
    }

    fn dialed(&mut self, result: Result<Io, Failure>, context: &mut Context<'_, K>) {
        let Stage::Dialing(dialing) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        match result {
            Ok(io) => {
                let (options, answer) = (Arc::clone(&self.way.options), dialing.time_left());
                let left = dialing.wanted.into_left();
                self.stage = Stage::Asking(Http1::start_beside(io, options, left, (&self.name, answer), context));
            }
            Err(failure) => match (dialing.wanted, failure) {
                (Wanted::Again(repeated), Failure::Reason(reason)) => self.rest(repeated, &reason, context),
                (Wanted::Again(repeated), Failure::Timeout) => {
                    self.rest(repeated, &ConnectionError::Timeout(Wait::Upgrade).into(), context);
                }
                (Wanted::First(waiting), failure) => {
                    let error = match &failure {
                        Failure::Timeout => StreamError::Timeout(Wait::Upgrade),
                        Failure::Reason(reason) => StreamError::Closed(reason),
                    };
                    context.sink.event(Event::StreamError { stream: &waiting.entry.name, error });
                }
            },
        }
    }

    fn exit(&mut self, exit: Option<Exit<K>>, context: &mut Context<'_, K>) {
        let was_open = self.is_open();
        match exit {
            Some(Exit::Switch(next)) => {
                self.losses = 0;
                self.stage = Stage::Open(next);
            }
            Some(Exit::Down(down)) => {
                // The byte stream is closed before anybody hears of it.
                self.stage = Stage::Over;
                self.down(*down, was_open, context);
            }
            // It has asked for a WebSocket alone.
            Some(Exit::ShutDown | Exit::Through(_)) | None => self.stage = Stage::Over,
        }
    }

    /// The connection is lost, or has come to its end.
    fn down(&mut self, down: Down<K>, was_open: bool, context: &mut Context<'_, K>) {
        let Down { reason, killed, mut left, .. } = down;
        refuse_held(left.frames, context);
        if let Some(repeated) = left.repeated.pop() {
            return self.rest(repeated, &reason, context);
        }
        // Of an upgrade that was not answered HTTP/1.1 itself has told it, and of a fault the session.
        let is_told = matches!(reason, DownReason::Normal | DownReason::Error(ConnectionError::Protocol(_)));
        if was_open && !is_told {
            for stream in &killed {
                context.sink.event(Event::StreamError { stream, error: StreamError::Closed(&reason) });
            }
        }
    }

    /// It was lost for this reason, and is dialled again after a pause.
    fn rest(&mut self, repeated: Repeated<K>, reason: &DownReason, context: &mut Context<'_, K>) {
        // Before anybody hears that the WebSocket is away, and sends what is to wait for the next.
        repeated.await_next(context.status);
        if repeated.was_open {
            let event = Event::StreamError { stream: &repeated.stream, error: StreamError::Closed(reason) };
            context.sink.event(event);
        }
        let pause = match reason {
            DownReason::Error(ConnectionError::Refused(refusal)) => pause(self.losses).max(refusal.retry_after),
            _ => pause(self.losses),
        };
        self.losses = self.losses.saturating_add(1);
        self.repeats = true;
        let wanted = Wanted::Again(Repeated { was_open: false, ..repeated });
        self.stage = Stage::Resting(wanted, alarm(pause));
    }

    /// The connection that it stands beside has ended, or nobody wants it any more: see [`Protocol::lose`].
    pub(super) fn lose(
        self,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        let mut lost = Lost::nothing();
        match self.stage {
            Stage::Asking(protocol) | Stage::Open(protocol) => return protocol.lose(reason, error, context),
            Stage::Resting(wanted, _) | Stage::Dialing(Dialing { wanted, .. }) => match wanted {
                Wanted::Again(repeated) => lost.left.repeated.push(repeated),
                Wanted::First(waiting) => {
                    if let Some(error) = error {
                        context.sink.event(Event::StreamError { stream: &waiting.entry.name, error });
                    }
                    lost.killed.push(waiting.entry.name);
                }
            },
            Stage::Over => {}
        }
        lost
    }
}

/// A command other than frames while there is no connection for it.
fn command_while_away<K: Sink>(wanted: &mut Wanted<K>, command: StreamCommand<K>, context: &mut Context<'_, K>) {
    match (command, wanted) {
        (StreamCommand::Info(asked), wanted) => {
            let info = StreamInfo::Stream { stream: wanted.stream(), running: true };
            context.sink.event(Event::StreamInfo { receipt: &asked.1, info });
        }
        (StreamCommand::UpdateFlow(_, parts), Wanted::First(waiting)) => waiting.entry.credit.update(parts),
        (StreamCommand::FlowGrant(_), Wanted::First(waiting)) => waiting.entry.credit.grant(),
        // What a WebSocket has not lived to see; one that follows begins with a flow of its own.
        _ => {}
    }
}

/// Gives the protocol its turn. Nothing is its end where it has nothing left to do.
fn poll_protocol<K: Sink>(
    protocol: &mut dyn Protocol<K>,
    context: &mut Context<'_, K>,
    cx: &mut task::Context<'_>,
) -> Poll<Option<Exit<K>>> {
    protocol.begin_turn();
    loop {
        context.then = Then::Rest;
        match protocol.poll(context, cx) {
            Poll::Ready(exit) => return Poll::Ready(Some(exit)),
            Poll::Pending if context.then == Then::GoOn => {}
            Poll::Pending if context.then == Then::Rest && protocol.is_idle() => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// Frames have waited for an upgrade that is repeated no more.
pub(super) fn refuse_held<K: Sink>(frames: Vec<Held<K>>, context: &mut Context<'_, K>) {
    for (outgoing, charge) in frames {
        drop(charge);
        outgoing.refuse_on_stream(context.sink, BadState::NotWebsocket);
    }
}

/// How long it waits when it is lost once more.
fn pause(losses: u32) -> Duration {
    PAUSE.saturating_mul(1_u32.checked_shl(losses).unwrap_or(u32::MAX)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_longest() {
        let seconds: Vec<_> = [0, 1, 2, 4, 5, 31, 32, u32::MAX].into_iter().map(|n| pause(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 16, 30, 30, 30, 30]);
    }
}

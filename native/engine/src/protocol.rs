//! What the task of a connection and the protocols spoken on it have to do with each other.
//!
//! The task reads the commands and gives a protocol those that concern its streams; it polls the protocol, and does what
//! the protocol's `Exit` says. A protocol holds the byte stream and its streams, and nothing of the connection: what it
//! needs besides is lent to it for each call, as a [`Context`].

use std::sync::Arc;
use std::task::{self, Poll};

use crate::account::Charge;
use crate::command::tunnel::Destination;
use crate::command::{Outgoing, Ping, StreamCommand};
use crate::error::DownReason;
use crate::event::step::Step;
use crate::event::{Stats, StreamError};
use crate::options::{ConnectOptions, Steps};
use crate::sink::Sink;
use crate::status::Status;
use crate::stream::credit::Window;
use crate::stream::reupgrade::{Held, Repeated, Reupgrade};
use crate::stream::table::Waiting;
use crate::transport::Io;

/// What the task lends a protocol.
pub struct Context<'a, K: Sink> {
    pub(crate) sink: &'a mut K,
    /// The steps that the sink is given.
    pub(crate) observed: Steps,
    pub(crate) status: &'a Status<K>,
    /// How much may be reported through a relay that has not caught up: of all streams together.
    pub(crate) relay: &'a mut Window,
    /// What a protocol does after a poll that is pending.
    pub(crate) then: Then,
}

impl<K: Sink> Context<'_, K> {
    /// Gives the sink a step, if any of `kinds` is observed: what the step is made of costs nothing otherwise.
    #[inline]
    pub(crate) fn observe<'s>(&mut self, kinds: Steps, step: impl FnOnce() -> Step<'s, K>)
    where
        K: 's,
    {
        if self.observed.intersects(kinds) {
            self.sink.step(step());
        }
    }
}

/// What follows a poll that is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The task rests until something wakes it, or a command comes.
    Rest,
    /// The commands that wait are done, and the protocol is polled again.
    GoOn,
    /// Others have their turn first. The protocol has seen to it that the task has its next after them.
    Yield,
}

/// A protocol spoken on a connection.
pub(crate) trait Protocol<K: Sink>: Send {
    /// How many waiting commands are done before the byte stream is read.
    fn commands_first(&self) -> usize {
        0
    }

    /// The task has been woken: a new turn begins.
    fn begin_turn(&mut self) {}

    /// Does a command that concerns a stream. What it counts for is given back when `charge` is dropped. A command that ends
    /// the connection does so at the next [`Protocol::poll`].
    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>);

    /// Pings the peer.
    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>);

    /// Begins the graceful end, which is [`Exit::ShutDown`].
    fn shut_down(&mut self, context: &mut Context<'_, K>);

    /// Works until there is nothing to do, or until others have their turn.
    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>>;

    /// The streams that end with it where it has panicked.
    fn into_killed(self: Box<Self>) -> Vec<K::Stream>;

    /// Whether streams are opened on it by way of this tunnel; without one, they are the connection's own.
    fn leads(&self, tunnel: Option<&K::StreamId>) -> bool {
        tunnel.is_none()
    }

    /// The stream that it is spoken on, where that is one of several.
    fn stream(&self) -> Option<&K::Stream> {
        None
    }

    /// Whether nothing is under way, nor waits to be. What stands by itself need not know.
    fn is_idle(&self) -> bool {
        false
    }

    /// The connection that it stands beside has ended for this reason, and it with that. `error` is what the receivers of
    /// its streams are told, but for upgrades that are to be repeated. What stands by itself has nothing to tell.
    fn lose(
        self: Box<Self>,
        _reason: DownReason,
        _error: Option<StreamError<'_>>,
        _context: &mut Context<'_, K>,
    ) -> Lost<K> {
        Lost { killed: self.into_killed(), left: Left::nothing() }
    }
}

/// How a protocol has ended.
pub(crate) enum Exit<K: Sink> {
    /// The connection is down.
    Down(Box<Down<K>>),
    /// Another protocol goes on with the byte stream.
    Switch(Box<dyn Protocol<K>>),
    /// The byte stream leads on to something else.
    Through(Box<Opened<K>>),
    /// The graceful end is reached.
    ShutDown,
}

/// A byte stream that leads on to something else than the peer's HTTP.
pub(crate) struct Opened<K: Sink> {
    /// With what was received behind the answer.
    pub(crate) io: Io,
    /// The stream that has asked for it.
    pub(crate) stream: K::Stream,
    /// The options of the connection.
    pub(crate) options: Arc<ConnectOptions>,
    /// Where it leads; bytes are carried as they are where it leads nowhere.
    pub(crate) destination: Option<Arc<Destination>>,
    /// Whether the peer has answered a request.
    pub(crate) served: bool,
}

/// Goes on with what a stream has opened, beside what else the connection does: it tells all that there is to tell of its
/// end, and of the stream's.
pub(crate) type Lead<K> = fn(Opened<K>) -> Box<dyn Protocol<K>>;

/// The end of a connection.
pub(crate) struct Down<K: Sink> {
    pub(crate) reason: DownReason,
    /// The streams that ended with it.
    pub(crate) killed: Vec<K::Stream>,
    /// The user has asked for it, by a close frame.
    pub(crate) closed_by_user: bool,
    /// Whether the peer has answered a request on it, or taken an upgrade.
    pub(crate) served: bool,
    pub(crate) left: Left<K>,
}

/// What is left of a protocol that has ended with the connection that it stands beside.
pub(crate) struct Lost<K: Sink> {
    /// The streams that ended with it.
    pub(crate) killed: Vec<K::Stream>,
    pub(crate) left: Left<K>,
}

impl<K: Sink> Lost<K> {
    pub(crate) fn nothing() -> Self {
        Self { killed: Vec::new(), left: Left::nothing() }
    }
}

/// What a connection leaves to the next one.
pub(crate) struct Left<K: Sink> {
    /// Upgrades to repeat, the oldest first.
    pub(crate) repeated: Vec<Repeated<K>>,
    /// Requests that came when the connection took no more.
    pub(crate) requests: Vec<Waiting<K>>,
    /// Frames whose senders have yet to learn that there is no WebSocket.
    pub(crate) frames: Vec<Held<K>>,
    /// Commands that came before the connection could do them.
    pub(crate) commands: Vec<(StreamCommand<K>, Charge)>,
}

impl<K: Sink> Left<K> {
    pub(crate) fn nothing() -> Self {
        Self { repeated: Vec::new(), requests: Vec::new(), frames: Vec::new(), commands: Vec::new() }
    }

    /// Whether it leaves nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.repeated.is_empty() && self.requests.is_empty() && self.frames.is_empty()
    }

    /// Whether this is the stream of an upgrade to repeat.
    pub(crate) fn repeats(&self, stream: &K::StreamId) -> bool {
        self.repeated.iter().any(|repeated| repeated.stream == *stream)
    }

    /// The upgrade to repeat that frames for this stream wait for; those that name none wait for the only one.
    pub(crate) fn find(&mut self, stream: Option<&K::StreamId>) -> Option<&mut Reupgrade<K>> {
        let found = match (stream, &mut self.repeated[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(stream), repeated) => repeated.iter_mut().find(|repeated| repeated.stream == *stream),
        };
        found.map(|repeated| &mut *repeated.reupgrade)
    }
}

/// Owns what a [`Context`] lends, to drive a session without a task.
pub struct Lender<K: Sink> {
    sink: K,
    observed: Steps,
    status: Status<K>,
    relay: Window,
}

impl<K: Sink> Lender<K> {
    /// A connection on which so many bytes may wait to be sent, and where its events go.
    #[must_use]
    pub fn new(max_send_queue: Option<usize>, sink: K) -> Self {
        let status = Status::new(max_send_queue);
        Self { sink, observed: Steps::NONE, status, relay: Window::for_relay() }
    }

    /// The same, with these steps observed.
    #[must_use]
    pub fn observing(self, observed: Steps) -> Self {
        Self { observed, ..self }
    }

    /// Lends it all.
    pub fn lend(&mut self) -> Context<'_, K> {
        let Self { sink, observed, status, relay } = self;
        Context { sink, observed: *observed, status, relay, then: Then::Rest }
    }

    /// Where the events go.
    pub fn sink(&mut self) -> &mut K {
        &mut self.sink
    }

    /// Whoever hands things on has come to all that was reported: the answer to [`crate::Event::RelayCheck`].
    pub fn grant_relay(&mut self) {
        self.relay.grant();
    }

    /// Counts what these frames count for while they wait, whatever the limit.
    #[must_use]
    pub fn charge(&self, outgoing: &Outgoing<K>) -> Charge {
        self.status.with_account(outgoing.stream.as_ref(), |account| {
            account.count(outgoing.cost()).into_cost(0, account).into_charge(account)
        })
    }

    /// What has been received and sent.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.status.stats()
    }

    /// How many bytes wait to be sent on this stream, if it has an account of its own, or else on the connection itself.
    #[must_use]
    pub fn queued(&self, stream: Option<&K::StreamId>) -> usize {
        self.status.with_account(stream, |account| account.queued())
    }
}

//! What the task of a connection and the protocols spoken on it have to do with each other.
//!
//! The task reads the commands and gives a protocol those that concern its streams; it polls the protocol, and does what
//! the protocol's `Exit` says. A protocol holds the byte stream and its streams, and nothing of the connection: what it
//! needs besides is lent to it for each call, as a [`Context`].

use std::task::{self, Poll};

use crate::account::Charge;
use crate::command::{Outgoing, Ping, StreamCommand};
use crate::error::DownReason;
use crate::options::ConnectOptions;
use crate::sink::Sink;
use crate::status::{Stats, Status};
use crate::stream::credit::Window;
use crate::stream::reupgrade::{Held, Reupgrade};
use crate::stream::table::Waiting;

/// What the task lends a protocol.
pub struct Context<'a, K: Sink> {
    pub(crate) options: &'a ConnectOptions,
    pub(crate) sink: &'a mut K,
    pub(crate) status: &'a Status<K>,
    /// How much may be reported through a relay that has not caught up: of all streams together.
    pub(crate) relay: &'a mut Window,
    /// What a protocol does after a poll that is pending.
    pub(crate) then: Then,
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

    /// Whether [`Protocol::send_now`] can be called.
    fn sends_now(&self) -> bool {
        false
    }

    /// Writes encoded frames on the thread of their sender, which is not the task's: whether all is written. What is not,
    /// the task writes at its next turn.
    fn send_now(&mut self, _frames: u32, _bytes: &[u8], _charge: Charge, _status: &Status<K>) -> bool {
        false
    }

    /// Pings the peer.
    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>);

    /// Begins the graceful end, which is [`Exit::ShutDown`].
    fn shut_down(&mut self, context: &mut Context<'_, K>);

    /// Works until there is nothing to do, or until others have their turn.
    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>>;

    /// The streams that end with it where it has panicked.
    fn into_killed(self: Box<Self>) -> Vec<K::Stream>;
}

/// How a protocol has ended.
pub(crate) enum Exit<K: Sink> {
    /// The connection is down.
    Down(Box<Down<K>>),
    /// Another protocol goes on with the byte stream.
    Switch(Box<dyn Protocol<K>>),
    /// The graceful end is reached.
    ShutDown,
}

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

/// What a connection leaves to the next one.
pub(crate) struct Left<K: Sink> {
    /// An upgrade to repeat, with its stream.
    pub(crate) reupgrade: Option<(K::Stream, Box<Reupgrade<K>>)>,
    /// Requests that came when the connection took no more.
    pub(crate) requests: Vec<Waiting<K>>,
    /// Frames whose senders have yet to learn that there is no WebSocket.
    pub(crate) frames: Vec<Held<K>>,
}

impl<K: Sink> Left<K> {
    pub(crate) fn nothing() -> Self {
        Self { reupgrade: None, requests: Vec::new(), frames: Vec::new() }
    }

    /// Whether it leaves nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.reupgrade.is_none() && self.requests.is_empty() && self.frames.is_empty()
    }

    /// Whether this is the stream of the upgrade to repeat.
    pub(crate) fn repeats(&self, stream: &K::StreamId) -> bool {
        self.reupgrade.as_ref().is_some_and(|(name, _)| *name == *stream)
    }

    /// How many bytes of frames may wait for the upgrade to repeat, where any may.
    pub(crate) fn bound(&self) -> Option<usize> {
        self.reupgrade.as_ref().and_then(|(_, reupgrade)| reupgrade.bound())
    }
}

/// Owns what a [`Context`] lends, to drive a session without a task.
pub struct Lender<K: Sink> {
    options: ConnectOptions,
    sink: K,
    status: Status<K>,
    relay: Window,
}

impl<K: Sink> Lender<K> {
    /// A connection with these options, and where its events go.
    #[must_use]
    pub fn new(options: ConnectOptions, sink: K) -> Self {
        let status = Status::new(options.http.max_send_queue);
        Self { options, sink, status, relay: Window::for_relay() }
    }

    /// Lends it all.
    pub fn lend(&mut self) -> Context<'_, K> {
        let Self { options, sink, status, relay } = self;
        Context { options, sink, status, relay, then: Then::Rest }
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

//! What the task takes its commands from: the queue, and before it what was kept while there was no connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::queue::{Queued, Receiver};
use crate::command::{Command, StreamCommand};
use crate::late::{self, Kept, earlier};
use crate::protocol::Left;
use crate::sink::Sink;

/// The receiving end of a connection's queue.
pub(super) struct Commands<K: Sink> {
    receiver: Receiver<K>,
    /// Commands that came while there was no connection to do them on. They come first.
    kept: VecDeque<Queued<K>>,
    /// When the time of the first request among them is over, if any of them has a limit.
    next_limit: Option<Instant>,
}

impl<K: Sink> Commands<K> {
    pub(super) fn new(receiver: Receiver<K>) -> Self {
        Self { receiver, kept: VecDeque::new(), next_limit: None }
    }

    /// See [`Receiver::try_recv`].
    pub(super) fn try_recv(&mut self) -> Option<Queued<K>> {
        self.kept.pop_front().or_else(|| self.receiver.try_recv())
    }

    /// See [`Receiver::poll_recv`].
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Queued<K>>> {
        match self.kept.pop_front() {
            Some(queued) => Poll::Ready(Some(queued)),
            None => self.receiver.poll_recv(cx),
        }
    }

    /// The next command that is not kept.
    pub(super) async fn recv_new(&mut self) -> Option<Queued<K>> {
        poll_fn(|cx| self.receiver.poll_recv(cx)).await
    }

    /// Keeps a command for the next connection, behind those that are kept.
    pub(super) fn keep(&mut self, queued: Queued<K>) {
        self.next_limit = earlier(self.next_limit, queued.0.limit());
        self.kept.push_back(queued);
    }

    /// Whether a request of this name is kept.
    pub(super) fn has_request(&self, stream: &K::StreamId) -> bool {
        self.kept.iter().any(|(command, _)| match command {
            Command::Stream(StreamCommand::Request(request)) => request.stream == *stream,
            _ => false,
        })
    }

    /// When to call [`Commands::end_late`].
    pub(super) fn next_limit(&self) -> Option<Instant> {
        self.next_limit
    }

    /// Ends the requests whose time is over, of those that are kept and of those that a connection has left.
    pub(super) fn end_late(&mut self, left: Option<&mut Left<K>>, sink: &mut K) {
        late::end_late(left, &mut self.kept, sink);
        self.next_limit = late::limit_of_kept(&self.kept);
    }

    /// Gives commands back that came before all others that are left.
    pub(super) fn put_back(&mut self, commands: impl DoubleEndedIterator<Item = Queued<K>>) {
        for queued in commands.rev() {
            self.next_limit = earlier(self.next_limit, queued.0.limit());
            self.kept.push_front(queued);
        }
    }
}

//! What the task takes its commands from: the queue, and before it what was kept while there was no connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::direct::TaskSeat;
use super::queue::{Queued, Receiver};
use crate::sink::Sink;

/// The receiving end of a connection's queue.
pub(super) struct Commands<K: Sink> {
    receiver: Receiver<K>,
    /// Commands that came while there was no connection to do them on. They come first.
    kept: VecDeque<Queued<K>>,
}

impl<K: Sink> Commands<K> {
    pub(super) fn new(receiver: Receiver<K>) -> Self {
        Self { receiver, kept: VecDeque::new() }
    }

    /// The seat of the protocol that takes them.
    pub(super) fn seat(&self) -> TaskSeat<K> {
        TaskSeat::new(Arc::clone(self.receiver.queue()))
    }

    /// Whether all that was taken from the queue is done.
    pub(super) fn all_done(&self) -> bool {
        self.kept.is_empty() && self.receiver.has_done_all()
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
        self.kept.push_back(queued);
    }

    /// Gives commands back that came before all others that are left.
    pub(super) fn put_back(&mut self, commands: impl DoubleEndedIterator<Item = Queued<K>>) {
        for queued in commands.rev() {
            self.kept.push_front(queued);
        }
    }
}

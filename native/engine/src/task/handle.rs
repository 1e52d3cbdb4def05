//! The way to a connection's task.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::queue::Sender;
use crate::account::QueueFull;
use crate::command::Command;
use crate::sink::Sink;
use crate::status::{State, Stats, Status};

/// The way to a connection's task. When the last handle is dropped, the task ends and closes its socket.
pub struct Handle<K: Sink> {
    commands: Sender<K>,
    status: Arc<Status<K>>,
    /// Until it is aborted. Only who aborts it takes the lock.
    task: Mutex<Option<AbortHandle>>,
}

impl<K: Sink> Handle<K> {
    pub(super) fn new(commands: Sender<K>, status: Arc<Status<K>>, task: AbortHandle) -> Self {
        Self { commands, status, task: Mutex::new(Some(task)) }
    }

    /// Appends a command to the connection's queue. Without effect when the task has ended. What is to be sent is
    /// counted, and may pass the limit that [`Handle::try_send`] keeps.
    pub fn send(&self, command: impl Into<Command<K>>) {
        let command = command.into();
        let cost = command.cost();
        self.status.with_account(command.counted_on().cloned().as_ref(), |account| {
            self.commands.send(command, account.count(cost));
        });
    }

    /// The same within the limit on what may wait to be sent ([`crate::options::HttpOptions::max_send_queue`],
    /// [`crate::WsOptions::max_send_queue`]). While nothing waits, a command needs room for its bytes alone.
    ///
    /// # Errors
    /// [`QueueFull`]: nothing of it is done.
    pub fn try_send(&self, command: impl Into<Command<K>>) -> Result<(), QueueFull> {
        let command = command.into();
        let (cost, allowance) = (command.cost(), command.allowance());
        self.status.with_account(command.counted_on().cloned().as_ref(), |account| {
            let reservation = account.reserve(cost, allowance)?;
            self.commands.send(command, reservation);
            Ok(())
        })
    }

    /// The same for small data and control frames that are encoded: how many, and their bytes. `None` is the WebSocket
    /// that the whole connection is.
    ///
    /// # Errors
    /// [`QueueFull`]: none of them is sent.
    pub fn try_send_frames(
        &self,
        stream: Option<&K::StreamId>,
        caller: K::Caller,
        frames: u32,
        bytes: &[u8],
    ) -> Result<(), QueueFull> {
        self.status.with_account(stream, |account| {
            let reservation = account.reserve(bytes.len(), 0)?;
            let written = match stream {
                None => self.commands.write(frames, bytes, reservation, &self.status),
                Some(_) => Err(reservation),
            };
            if let Err(reservation) = written {
                self.commands.send_frames(stream, caller, frames, bytes, reservation);
            }
            Ok(())
        })
    }

    /// Whether messages of this WebSocket are compressed now: then they are handed over as they are
    /// ([`crate::command::Item::Small`]). What is handed over otherwise goes uncompressed.
    #[must_use]
    pub fn compresses(&self, stream: Option<&K::StreamId>) -> bool {
        self.status.with_account(stream, |account| account.compresses())
    }

    /// What has been received and sent.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.status.stats()
    }

    /// What the connection is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.status.get()
    }

    /// Ends the task at once and closes its socket, without a word to the peer. What is left of the handle keeps nothing
    /// of the task, nor of the runtime, whose descriptors each task that is kept would hold.
    pub fn abort(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

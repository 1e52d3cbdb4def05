//! The way to a connection's task.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::queue::Sender;
use crate::account::{Account, QueueFull};
use crate::command::{Command, Frames, StreamCommand};
use crate::event::Stats;
use crate::sink::Sink;
use crate::status::{State, Status};
use crate::websocket::deflate::Alone;

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
        self.prepare(&command);
        let cost = command.cost();
        self.with_account_of(command, |command, account| self.commands.send(command, account.count(cost)));
    }

    /// Runs `work` on the account that a command is counted on.
    fn with_account_of<R>(&self, command: Command<K>, work: impl FnOnce(Command<K>, &Arc<Account>) -> R) -> R {
        match command.frames().map(|frames| frames.stream.clone()) {
            Some(stream) => self.status.with_account(stream.as_ref(), |account| work(command, account)),
            None => work(command, self.status.account()),
        }
    }

    /// What is sent behind the command must be handed over as the command wants it.
    fn prepare(&self, command: &Command<K>) {
        if let Command::Stream(StreamCommand::Tune(tune)) = command
            && let Some(deflate) = tune.deflate
        {
            self.status.with_account(tune.stream.as_ref(), |account| account.switch_compression(deflate));
        }
    }

    /// The same within the limit on what may wait to be sent ([`crate::options::HttpOptions::max_send_queue`],
    /// [`crate::WsOptions::max_send_queue`]). While nothing waits, a command needs room for its bytes alone.
    ///
    /// # Errors
    /// [`QueueFull`]: nothing of it is done.
    pub fn try_send(&self, command: impl Into<Command<K>>) -> Result<(), QueueFull> {
        let command = command.into();
        self.prepare(&command);
        let (cost, allowance) = (command.cost(), command.allowance());
        self.with_account_of(command, |command, account| {
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
            self.commands.send_frames(stream, caller, frames, bytes, reservation);
            Ok(())
        })
    }

    /// The same for frames that many connections are sent, each of them a WebSocket as a whole. The connection's task
    /// writes them; whether it must be woken is the answer. To wake it is left to the caller ([`Handle::wake`]), who must do
    /// it soon, and on the thread that the tasks run on does it for many at little cost. Nobody is told if a connection is
    /// no WebSocket that they can be sent on.
    ///
    /// # Errors
    /// [`QueueFull`]: none of them is sent.
    pub fn try_broadcast(&self, frames: &Arc<Frames>) -> Result<bool, QueueFull> {
        let reservation = self.status.account().reserve(frames.bytes.len(), 0)?;
        Ok(self.commands.broadcast(frames, reservation))
    }

    /// Wakes the task, after [`Handle::try_broadcast`].
    pub fn wake(&self) {
        self.commands.wake();
    }

    /// Whether the task has ended: commands have no effect any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Whether messages of this WebSocket are compressed now: then they are handed over as they are
    /// ([`crate::command::Item::Small`]). What is handed over otherwise goes uncompressed.
    #[must_use]
    pub fn compresses(&self, stream: Option<&K::StreamId>) -> bool {
        self.status.with_account(stream, |account| account.compresses())
    }

    /// How messages of this WebSocket are compressed now, if they are and each by itself: then whole frames that are
    /// compressed so can be handed over ([`Alone::frame`]).
    #[must_use]
    pub fn compresses_alone(&self, stream: Option<&K::StreamId>) -> Option<Alone> {
        self.status.with_account(stream, |account| account.alone())
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

    /// Since when the connection is up, in ms of the system's time, if it is up.
    #[must_use]
    pub fn up_since(&self) -> Option<u64> {
        self.status.up_since()
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

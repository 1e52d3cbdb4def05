//! What a connection's task and its handle share.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use papaya::HashMap;

use crate::account::Account;
use crate::event::ProtocolName;
use crate::sink::Sink;

/// What a connection is doing. It changes before the event that reports the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It waits for the command to connect.
    Idle,
    /// It makes an attempt.
    Connecting,
    /// It speaks HTTP.
    Http,
    /// It is a WebSocket.
    Ws,
    /// It is a WebSocket in its closing handshake.
    Closing,
}

const STATES: [State; 5] = [State::Idle, State::Connecting, State::Http, State::Ws, State::Closing];

impl State {
    /// The protocol that is spoken, if the connection is up.
    pub(crate) fn protocol(self) -> Option<ProtocolName> {
        match self {
            Self::Idle | Self::Connecting => None,
            Self::Http => Some(ProtocolName::Http),
            Self::Ws | Self::Closing => Some(ProtocolName::Ws),
        }
    }
}

/// What has been received and sent, from the first connection to the last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// WebSocket frames received.
    pub frames_in: u64,
    /// Bytes of the WebSockets' streams received.
    pub bytes_in: u64,
    /// WebSocket frames sent.
    pub frames_out: u64,
    /// Bytes of the WebSockets' streams that the operating system has taken.
    pub bytes_out: u64,
    /// Bytes that wait to be sent, with [`COMMAND`](crate::command::COMMAND) for each command that waits and [`ITEM`](crate::command::ITEM) for each item.
    pub queued: u64,
    /// Bytes of messages that were compressed, by either side.
    pub uncompressed: u64,
    /// Bytes that they were compressed to.
    pub compressed: u64,
    /// How many times TLS was cut under a WebSocket without a close_notify: what the peer had to send may be incomplete. A
    /// reset is not counted.
    pub truncated: u64,
}

/// What has been counted since that was last published.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) frames_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) uncompressed: u64,
    pub(crate) compressed: u64,
}

/// What the task and its handle share.
pub(crate) struct Status<K: Sink> {
    state: AtomicU8,
    /// Of the connection itself: of its requests, or of the WebSocket that it is as a whole.
    account: Arc<Account>,
    /// Of WebSockets that share the connection with other streams. Most connections never have one.
    streams: OnceLock<Box<HashMap<K::StreamId, Arc<Account>>>>,
    frames_in: AtomicU64,
    bytes_in: AtomicU64,
    frames_out: AtomicU64,
    bytes_out: AtomicU64,
    uncompressed: AtomicU64,
    compressed: AtomicU64,
    truncated: AtomicU64,
}

impl<K: Sink> Status<K> {
    pub(crate) fn new(max_queued: Option<usize>) -> Self {
        Self {
            state: AtomicU8::new(State::Idle as u8),
            account: Arc::new(Account::new(max_queued, false)),
            streams: OnceLock::new(),
            frames_in: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            frames_out: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            uncompressed: AtomicU64::new(0),
            compressed: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(crate) fn get(&self) -> State {
        STATES.get(usize::from(self.state.load(Ordering::Acquire))).copied().unwrap_or(State::Idle)
    }

    /// The account of the connection itself.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// HTTP begins: what its senders must know.
    pub(crate) fn begin_http(&self, max_queued: Option<usize>) {
        self.account.set_compresses(false);
        self.account.limit(max_queued);
        self.set(State::Http);
    }

    /// The connection as a whole becomes a WebSocket: what its senders must know.
    pub(crate) fn begin_ws(&self, compresses: bool, max_queued: Option<usize>) {
        self.account.set_compresses(compresses);
        self.account.limit(max_queued);
        self.set(State::Ws);
    }

    /// A WebSocket opens beside other streams, with an account of its own.
    pub(crate) fn open_ws(&self, stream: K::StreamId, compresses: bool, max_queued: Option<usize>) {
        let account = Arc::new(Account::new(max_queued, compresses));
        self.streams.get_or_init(Box::default).pin().insert(stream, account);
    }

    /// It is over.
    pub(crate) fn close_ws(&self, stream: &K::StreamId) {
        if let Some(streams) = self.streams.get() {
            streams.pin().remove(stream);
        }
    }

    /// Runs `work` on the account that frames for this stream are counted on: its own, or else the connection's.
    pub(crate) fn with_account<R>(&self, stream: Option<&K::StreamId>, work: impl FnOnce(&Arc<Account>) -> R) -> R {
        if let (Some(stream), Some(streams)) = (stream, self.streams.get())
            && let Some(account) = streams.pin().get(stream)
        {
            return work(account);
        }
        work(&self.account)
    }

    /// TLS was cut under a WebSocket.
    pub(crate) fn count_truncated(&self) {
        self.truncated.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what has been counted.
    pub(crate) fn count(&self, counts: Counts) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.bytes_in, counts.bytes_in);
        add(&self.frames_in, counts.frames_in);
        add(&self.bytes_out, counts.bytes_out);
        add(&self.frames_out, counts.frames_out);
        add(&self.uncompressed, counts.uncompressed);
        add(&self.compressed, counts.compressed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let streams =
            self.streams.get().map_or(0, |streams| streams.pin().values().map(|account| account.queued()).sum());
        Stats {
            frames_in: read(&self.frames_in),
            bytes_in: read(&self.bytes_in),
            frames_out: read(&self.frames_out),
            bytes_out: read(&self.bytes_out),
            queued: (self.account.queued() + streams) as u64,
            uncompressed: read(&self.uncompressed),
            compressed: read(&self.compressed),
            truncated: read(&self.truncated),
        }
    }
}

//! What a connection's task and its handle share.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use papaya::HashMap;

use crate::account::Account;
use crate::event::{ProtocolName, Stats};
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
    /// It speaks HTTP/2, and may be several WebSockets.
    Http2,
    /// It carries bytes as they are.
    Raw,
    /// It speaks SOCKS to a proxy.
    Socks,
}

const STATES: [State; 8] =
    [State::Idle, State::Connecting, State::Http, State::Ws, State::Closing, State::Http2, State::Raw, State::Socks];

impl State {
    /// The protocol that is spoken, if the connection is up.
    pub(crate) fn protocol(self) -> Option<ProtocolName> {
        match self {
            Self::Idle | Self::Connecting => None,
            Self::Http => Some(ProtocolName::Http),
            Self::Http2 => Some(ProtocolName::Http2),
            Self::Ws | Self::Closing => Some(ProtocolName::Ws),
            Self::Raw => Some(ProtocolName::Raw),
            Self::Socks => Some(ProtocolName::Socks),
        }
    }
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

impl Counts {
    /// Adds what has been counted since.
    pub(crate) fn add(&mut self, more: Self) {
        self.frames_in += more.frames_in;
        self.bytes_in += more.bytes_in;
        self.frames_out += more.frames_out;
        self.bytes_out += more.bytes_out;
        self.uncompressed += more.uncompressed;
        self.compressed += more.compressed;
    }

    /// The same as [`Stats`], of what has an account with so many bytes on it.
    pub(crate) fn into_stats(self, queued: usize) -> Stats {
        let Self { frames_in, bytes_in, frames_out, bytes_out, uncompressed, compressed } = self;
        let queued = queued as u64;
        Stats { frames_in, bytes_in, frames_out, bytes_out, queued, uncompressed, compressed, truncated: 0 }
    }
}

/// What the task and its handle share.
pub(crate) struct Status<K: Sink> {
    state: AtomicU8,
    /// When the connection has come up, in ms of the system's time.
    up_since: AtomicU64,
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
            up_since: AtomicU64::new(0),
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

    /// Since when the connection is up, in ms of the system's time, if it is up.
    pub(crate) fn up_since(&self) -> Option<u64> {
        self.get().protocol().map(|_| self.up_since.load(Ordering::Relaxed))
    }

    /// HTTP of this version begins, or another protocol that is no WebSocket: what its senders must know.
    pub(crate) fn begin_http(&self, state: State, max_queued: Option<usize>) {
        self.account.set_compresses(false);
        self.account.limit(max_queued);
        // What begins inside a tunnel begins on a connection that is up.
        if self.get().protocol().is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.up_since.store(now.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.set(state);
    }

    /// The connection as a whole becomes a WebSocket: what its senders must know.
    pub(crate) fn begin_ws(&self, compresses: bool, max_queued: Option<usize>) {
        self.account.set_compresses(compresses);
        self.account.limit(max_queued);
        self.set(State::Ws);
    }

    /// A WebSocket opens beside other streams, with an account of its own: the one on which frames wait for it already, if
    /// there is one.
    pub(crate) fn open_ws(&self, stream: K::StreamId, compresses: bool, max_queued: Option<usize>) {
        let streams = self.streams.get_or_init(Box::default).pin();
        let account = streams.get_or_insert_with(stream, || Arc::new(Account::new(max_queued, compresses)));
        account.set_compresses(compresses);
        account.limit(max_queued);
    }

    /// It is over.
    pub(crate) fn close_ws(&self, stream: &K::StreamId) {
        if let Some(streams) = self.streams.get() {
            streams.pin().remove(stream);
        }
    }

    /// Runs `work` on the account that frames for this stream are counted on: its own, or else the connection's. Frames
    /// that name none are for the only WebSocket, where there may be streams beside it.
    pub(crate) fn with_account<R>(&self, stream: Option<&K::StreamId>, work: impl FnOnce(&Arc<Account>) -> R) -> R {
        if let Some(streams) = self.streams.get() {
            let streams = streams.pin();
            let account = match stream {
                Some(stream) => streams.get(stream),
                None if streams.len() == 1 => streams.values().next(),
                None => None,
            };
            if let Some(account) = account {
                return work(account);
            }
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

//! The connections of a listener, counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many connections a listener has accepted, and what they are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ListenerCounts {
    /// Those that are open, and no WebSockets.
    pub active: usize,
    /// Those that are WebSockets.
    pub upgraded: usize,
    /// All that were ever accepted.
    pub accepted: u64,
    /// Those among them whose TLS handshake has failed.
    pub handshake_failures: u64,
    /// Those that were closed at once, since their address had as many as it may have.
    pub refused: u64,
}

/// What a listener and its connections share.
#[derive(Debug)]
pub(super) struct Counts {
    active: AtomicUsize,
    upgraded: AtomicUsize,
    accepted: AtomicU64,
    handshake_failures: AtomicU64,
    refused: AtomicU64,
    /// How many may be active before no more are accepted.
    max_active: AtomicUsize,
    /// How many each address may have, WebSockets included.
    max_per_address: Option<usize>,
    /// How many each address has, where there is a limit.
    addresses: Mutex<HashMap<IpAddr, usize>>,
    /// Accepting may go on, or has to end.
    pub(super) changed: Notify,
}

impl Counts {
    pub(super) fn new(max_active: Option<usize>, max_per_address: Option<usize>) -> Self {
        Self {
            active: AtomicUsize::new(0),
            upgraded: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            handshake_failures: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            max_active: AtomicUsize::new(max_active.unwrap_or(usize::MAX)),
            max_per_address,
            addresses: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn get(&self) -> ListenerCounts {
        ListenerCounts {
            active: self.active.load(Ordering::Acquire),
            upgraded: self.upgraded.load(Ordering::Acquire),
            accepted: self.accepted.load(Ordering::Acquire),
            handshake_failures: self.handshake_failures.load(Ordering::Acquire),
            refused: self.refused.load(Ordering::Acquire),
        }
    }

    /// Whether no more may be accepted for now.
    pub(super) fn is_full(&self) -> bool {
        self.active.load(Ordering::Acquire) >= self.max_active.load(Ordering::Acquire)
    }

    pub(super) fn limit(&self, max_active: Option<usize>) {
        self.max_active.store(max_active.unwrap_or(usize::MAX), Ordering::Release);
        self.changed.notify_one();
    }

    /// Nobody waits for the network, nor panics, while holding this lock.
    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection of an address, if it may have one.
    fn enter_from(&self, address: IpAddr, max: usize) -> bool {
        let mut addresses = self.addresses();
        let count = addresses.entry(address).or_default();
        let may = *count < max;
        if may {
            *count += 1;
        }
        may
    }

    fn leave_from(&self, address: IpAddr) {
        let mut addresses = self.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }

    fn leave(&self) {
        let before = self.active.fetch_sub(1, Ordering::AcqRel);
        // Who accepts waits only while there are too many.
        if before >= self.max_active.load(Ordering::Acquire) {
            self.changed.notify_one();
        }
    }
}

/// One connection, as long as it is counted.
#[derive(Debug)]
pub(super) struct Ticket {
    counts: Arc<Counts>,
    upgraded: AtomicBool,
    /// Where it has come from, if the connections of an address are limited.
    address: Option<IpAddr>,
}

impl Ticket {
    /// A connection was accepted; none, if its address has as many as it may have.
    pub(super) fn new(counts: &Arc<Counts>, remote: Option<IpAddr>) -> Option<Self> {
        let limited = remote.map(|address| address.to_canonical()).zip(counts.max_per_address);
        counts.accepted.fetch_add(1, Ordering::AcqRel);
        if limited.is_some_and(|(address, max)| !counts.enter_from(address, max)) {
            counts.refused.fetch_add(1, Ordering::AcqRel);
            return None;
        }
        counts.active.fetch_add(1, Ordering::AcqRel);
        let address = limited.map(|(address, _)| address);
        Some(Self { counts: Arc::clone(counts), upgraded: AtomicBool::new(false), address })
    }

    /// It has become a WebSocket.
    pub(super) fn upgrade(&self) {
        if !self.upgraded.swap(true, Ordering::AcqRel) {
            self.counts.upgraded.fetch_add(1, Ordering::AcqRel);
            self.counts.leave();
        }
    }

    /// Its TLS handshake has failed.
    pub(super) fn fail_handshake(&self) {
        self.counts.handshake_failures.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.counts.leave_from(address);
        }
        if self.upgraded.load(Ordering::Acquire) {
            self.counts.upgraded.fetch_sub(1, Ordering::AcqRel);
        } else {
            self.counts.leave();
        }
    }
}

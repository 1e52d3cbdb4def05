//! How many streams a connection has, and who wants to know when there is one less.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rustler::{Resource, ResourceArc};
use tokio::sync::Notify;

/// The streams of one connection.
#[derive(Default)]
pub(crate) struct Load {
    /// Those that there are, with those that a lease reserves.
    open: AtomicU32,
    /// All that there have been. It wraps around: whoever compares it looks for a change.
    opened: AtomicU32,
    /// Of the pool that the connection belongs to, if it does.
    bell: OnceLock<Arc<Bell>>,
}

impl Load {
    /// How many streams there are, and how many there have been.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.open.load(Ordering::SeqCst), self.opened.load(Ordering::Relaxed))
    }

    /// The bell rings whenever a stream is over.
    pub(crate) fn belongs_to(&self, bell: &Arc<Bell>) {
        self.bell.get_or_init(|| Arc::clone(bell));
    }
}

/// Rings for the process of a pool when a caller that waits may have its turn.
#[derive(Default)]
pub(crate) struct Bell {
    /// Whether somebody waits. Who comes now queues behind them.
    pub(crate) waiting: AtomicBool,
    /// The pool is no more.
    pub(crate) over: AtomicBool,
    /// A stream may end on any thread, and only a thread of the runtime can send to a process.
    pub(crate) rung: Notify,
}

/// One stream of a connection, until it is dropped or given up.
pub(crate) struct Lease {
    load: Arc<Load>,
    held: AtomicBool,
}

impl Lease {
    /// One more, however many there are.
    pub(crate) fn new(load: &Arc<Load>) -> Self {
        load.open.fetch_add(1, Ordering::SeqCst);
        Self::counted(load)
    }

    /// One more, if there are fewer than `max`.
    pub(crate) fn try_new(load: &Arc<Load>, max: u32) -> Option<Self> {
        let more = |open: u32| if open < max { open.checked_add(1) } else { None };
        load.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Self::counted(load))
    }

    fn counted(load: &Arc<Load>) -> Self {
        load.opened.fetch_add(1, Ordering::Relaxed);
        Self { load: Arc::clone(load), held: AtomicBool::new(true) }
    }

    /// The same lease for somebody else, if it is of this connection and has not been given up.
    pub(crate) fn hand_over(&self, load: &Arc<Load>) -> Option<Self> {
        let held = Arc::ptr_eq(&self.load, load) && self.held.swap(false, Ordering::SeqCst);
        held.then(|| Self { load: Arc::clone(load), held: AtomicBool::new(true) })
    }

    /// The stream is over.
    pub(crate) fn give_up(&self) {
        if !self.held.swap(false, Ordering::SeqCst) {
            return;
        }
        self.load.open.fetch_sub(1, Ordering::SeqCst);
        if let Some(bell) = self.load.bell.get().filter(|bell| bell.waiting.load(Ordering::SeqCst)) {
            bell.rung.notify_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// A lease that a caller holds until its request takes it over. One that its caller never uses is given up when the caller
/// ends, or with the next garbage collection.
pub(crate) struct HeldLease(pub(crate) Lease);

#[rustler::resource_impl]
impl Resource for HeldLease {}

/// As Erlang holds it.
pub(crate) type LeaseTerm = ResourceArc<HeldLease>;

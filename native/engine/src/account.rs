//! What waits to be sent, and how much of it may wait.
//!
//! An [`Account`] counts the bytes that wait; a [`Charge`] is what one thing counts for. Whoever holds the thing holds its
//! charge: the bytes are given back when the charge is dropped, wherever that happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::websocket::deflate::Alone;

/// The queue has no room for this under the limit of the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be sent")]
pub struct QueueFull;

/// The bytes that wait to be sent on one connection, or on one stream of it, and what its senders must know.
#[derive(Debug)]
pub(crate) struct Account {
    queued: AtomicUsize,
    max_queued: AtomicUsize,
    /// Whether messages are compressed, so that they must be handed over as they are.
    compresses: AtomicBool,
    /// Whether they may be.
    may_compress: AtomicBool,
    /// How, where each is compressed by itself ([`Alone::to_number`]); 0 where it is not.
    alone: AtomicU32,
}

impl Account {
    pub(crate) fn new(max_queued: Option<usize>, compresses: bool) -> Self {
        Self {
            queued: AtomicUsize::new(0),
            max_queued: AtomicUsize::new(max_queued.unwrap_or(usize::MAX)),
            compresses: AtomicBool::new(compresses),
            may_compress: AtomicBool::new(compresses),
            alone: AtomicU32::new(0),
        }
    }

    /// How much may wait from now on; `None` is unlimited.
    pub(crate) fn limit(&self, max_queued: Option<usize>) {
        self.max_queued.store(max_queued.unwrap_or(usize::MAX), Ordering::Release);
    }

    /// Whether compression was agreed on: then messages are compressed.
    pub(crate) fn set_compresses(&self, compresses: bool) {
        self.may_compress.store(compresses, Ordering::Release);
        self.compresses.store(compresses, Ordering::Release);
    }

    /// Switches compression on or off, where it was agreed on.
    pub(crate) fn switch_compression(&self, on: bool) {
        self.compresses.store(on && self.may_compress.load(Ordering::Acquire), Ordering::Release);
    }

    /// How messages are compressed, where each is compressed by itself.
    pub(crate) fn set_alone(&self, alone: Option<Alone>) {
        self.alone.store(alone.map_or(0, Alone::to_number), Ordering::Release);
    }

    pub(crate) fn alone(&self) -> Option<Alone> {
        Alone::from_number(self.alone.load(Ordering::Acquire)).filter(|_| self.compresses())
    }

    pub(crate) fn compresses(&self) -> bool {
        self.compresses.load(Ordering::Acquire)
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    /// Counts these bytes, whatever the limit.
    pub(crate) fn count(self: &Arc<Self>, bytes: usize) -> Reservation<'_> {
        if bytes > 0 {
            self.queued.fetch_add(bytes, Ordering::AcqRel);
        }
        Reservation { account: self, bytes }
    }

    /// Counts these bytes within the limit, under which `allowance` of them need no room.
    ///
    /// # Errors
    /// [`QueueFull`] counts nothing.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize, allowance: usize) -> Result<Reservation<'_>, QueueFull> {
        let before = self.queued.fetch_add(bytes, Ordering::AcqRel);
        let reservation = Reservation { account: self, bytes };
        let needed = before.saturating_add(bytes.saturating_sub(allowance));
        if needed > self.max_queued.load(Ordering::Acquire) { Err(QueueFull) } else { Ok(reservation) }
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.queued.fetch_sub(bytes, Ordering::AcqRel);
        }
    }
}

/// Bytes that are counted, while nobody owns what they are counted for. It borrows the account, so that bytes that join
/// others cost no reference of their own.
#[derive(Debug)]
pub(crate) struct Reservation<'a> {
    account: &'a Arc<Account>,
    bytes: usize,
}

impl Reservation<'_> {
    /// Makes it the cost of something new, which counts for `more` bytes beside. `usual` is the account that most costs are
    /// counted on.
    pub(crate) fn into_cost(mut self, more: usize, usual: &Arc<Account>) -> Cost {
        let bytes = std::mem::take(&mut self.bytes) + more;
        if more > 0 {
            self.account.queued.fetch_add(more, Ordering::AcqRel);
        }
        if Arc::ptr_eq(self.account, usual) {
            Cost::Usual(bytes)
        } else {
            Cost::Other(Charge(Some((Arc::clone(self.account), bytes))))
        }
    }

    /// Whether this can join what the cost is for.
    pub(crate) fn fits(&self, cost: &Cost, usual: &Arc<Account>) -> bool {
        match cost {
            Cost::Usual(_) => Arc::ptr_eq(self.account, usual),
            Cost::Other(charge) => charge.0.as_ref().is_some_and(|(account, _)| Arc::ptr_eq(account, self.account)),
        }
    }

    /// Adds it to a cost that it fits.
    pub(crate) fn join(mut self, cost: &mut Cost) {
        let bytes = std::mem::take(&mut self.bytes);
        match cost {
            Cost::Usual(before) => *before += bytes,
            Cost::Other(charge) => {
                if let Some((_, before)) = &mut charge.0 {
                    *before += bytes;
                }
            }
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

/// What a command in the queue counts for. On the queue's usual account it is a number, so that a sender and the task do
/// not count references on top of the bytes; whoever takes the command out of the queue makes it a charge.
#[derive(Debug)]
pub(crate) enum Cost {
    /// Bytes on the usual account.
    Usual(usize),
    /// Bytes on another one.
    Other(Charge),
}

impl Cost {
    /// The charge, `usual` being the usual account.
    pub(crate) fn into_charge(self, usual: &Arc<Account>) -> Charge {
        match self {
            Self::Usual(0) => Charge::default(),
            Self::Usual(bytes) => Charge(Some((Arc::clone(usual), bytes))),
            Self::Other(charge) => charge,
        }
    }
}

/// What something that waits counts for, until this is dropped.
#[derive(Debug, Default)]
pub struct Charge(Option<(Arc<Account>, usize)>);

impl Charge {
    /// Takes this many of its bytes, or as many as there are, for a part of what it is for.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        match &mut self.0 {
            Some((account, left)) if bytes > 0 => {
                let bytes = bytes.min(*left);
                *left -= bytes;
                Self(Some((Arc::clone(account), bytes)))
            }
            _ => Self(None),
        }
    }

    /// Gives this many of its bytes back, or as many as there are.
    pub(crate) fn release(&mut self, bytes: usize) {
        if let Some((account, left)) = &mut self.0 {
            let bytes = bytes.min(*left);
            *left -= bytes;
            account.release(bytes);
        }
    }

    /// Counts it on this account from now on, whatever the limit.
    pub(crate) fn move_to(&mut self, account: &Arc<Account>) {
        if let Some((before, bytes)) = &mut self.0
            && !Arc::ptr_eq(before, account)
        {
            account.queued.fetch_add(*bytes, Ordering::AcqRel);
            before.release(*bytes);
            *before = Arc::clone(account);
        }
    }

    /// Adds another charge of the same account; one of another account is given back.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        match (&mut self.0, &mut other.0) {
            (Some((account, bytes)), Some((others, more))) if Arc::ptr_eq(account, others) => {
                *bytes += std::mem::take(more);
            }
            (None, others) => self.0 = others.take(),
            _ => {}
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some((account, bytes)) = &self.0 {
            account.release(*bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(max: usize) -> Arc<Account> {
        Arc::new(Account::new(Some(max), false))
    }

    fn charge(account: &Arc<Account>, bytes: usize) -> Charge {
        account.count(bytes).into_cost(0, account).into_charge(account)
    }

    #[test]
    fn what_is_dropped_is_given_back_and_what_is_split_off_counts_on() {
        let account = account(usize::MAX);
        let mut ten = charge(&account, 10);
        let part = ten.split(4);
        assert_eq!(account.queued(), 10);
        drop(ten);
        assert_eq!(account.queued(), 4);
        let mut other = charge(&account, 5);
        other.absorb(part);
        other.release(2);
        assert_eq!(account.queued(), 7);
        other.release(100);
        drop(other);
        assert_eq!(account.queued(), 0);
        assert_eq!(Charge::default().split(3).0.as_ref().map(|(_, bytes)| *bytes), None);
    }

    #[test]
    fn what_moves_to_another_account_is_counted_there_alone() {
        let (one, two) = (account(usize::MAX), account(5));
        let mut moved = charge(&one, 10);
        for _ in 0..2 {
            moved.move_to(&two);
            assert_eq!((one.queued(), two.queued()), (0, 10));
        }
        moved.absorb(charge(&two, 1));
        assert_eq!(two.queued(), 11);
        drop(moved);
        assert_eq!((one.queued(), two.queued()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counts_for_nothing() {
        let account = account(10);
        let held = account.reserve(8, 0).unwrap().into_cost(2, &account).into_charge(&account);
        assert_eq!(account.queued(), 10);
        assert!(account.reserve(1, 0).is_err());
        assert_eq!(account.queued(), 10);
        // It needs no room for what it is allowed beside.
        drop(account.reserve(5, 5).unwrap());
        drop(held);
        assert_eq!(account.queued(), 0);
        account.limit(None);
        assert!(account.reserve(1000, 0).is_ok());
    }

    #[test]
    fn what_joins_is_counted_once_and_only_on_its_own_account() {
        let (usual, other) = (account(100), account(100));
        for (account, stranger) in [(&usual, &other), (&other, &usual)] {
            let mut cost = account.count(1).into_cost(0, &usual);
            let reservation = account.reserve(3, 0).unwrap();
            assert!(reservation.fits(&cost, &usual));
            reservation.join(&mut cost);
            assert_eq!(account.queued(), 4);
            let reservation = stranger.reserve(3, 0).unwrap();
            assert!(!reservation.fits(&cost, &usual));
            drop(reservation);
            drop(cost.into_charge(&usual));
            assert_eq!((usual.queued(), other.queued()), (0, 0));
        }
    }
}

//! Who waits for a part of a body to be sent, and learns when it is, or why it never will be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::BadState;
use crate::event::{Event, NotSent};
use crate::sink::Sink;

/// The receipts that are owed on a connection.
pub(crate) struct Receipts<K: Sink> {
    next: u64,
    owed: BTreeMap<u64, K::Receipt>,
    /// Where parts end among the bytes to be written, where those are counted.
    staged: VecDeque<(u64, Ticket)>,
    ends: Arc<Ends>,
}

/// Travels with a part of a body. If it is dropped, so is the part.
pub(crate) struct Ticket {
    number: u64,
    given: bool,
    ends: Arc<Ends>,
}

/// What has become of the parts.
#[derive(Default)]
struct Ends(Mutex<Vec<(u64, End)>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was handed on for the last time: it is sent when what was handed on is.
    Given,
    Dropped,
}

impl Ends {
    /// Nobody panics while holding this lock.
    fn list(&self) -> MutexGuard<'_, Vec<(u64, End)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The last byte of the part was handed on.
    pub(crate) fn give(mut self) {
        self.given = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.ends.list().push((self.number, if self.given { End::Given } else { End::Dropped }));
    }
}

impl<K: Sink> Receipts<K> {
    pub(crate) fn new() -> Self {
        Self { next: 0, owed: BTreeMap::new(), staged: VecDeque::new(), ends: Arc::default() }
    }

    /// The ticket of a part for which this receipt is owed.
    pub(crate) fn ticket(&mut self, receipt: K::Receipt) -> Ticket {
        let number = self.next;
        self.next += 1;
        self.owed.insert(number, receipt);
        Ticket { number, given: false, ends: Arc::clone(&self.ends) }
    }

    /// The part can't be sent. The end of a body that is complete without it loses nothing.
    pub(crate) fn refuse(&mut self, ticket: Ticket, error: BadState, is_empty: bool, sink: &mut K) {
        let receipt = self.owed.remove(&ticket.number);
        drop(ticket);
        // Nobody asks what has become of it.
        self.ends.list().pop();
        let Some(receipt) = receipt else { return };
        if is_empty && matches!(error, BadState::NoStream | BadState::BodyComplete) {
            sink.event(Event::Sent(&receipt));
        } else {
            sink.event(Event::NotSent { receipt: &receipt, error: NotSent::BadState(error) });
        }
    }

    /// The part ends where so many bytes have been staged.
    pub(crate) fn stage(&mut self, end: u64, ticket: Ticket) {
        self.staged.push_back((end, ticket));
    }

    /// So many bytes are written.
    pub(crate) fn wrote(&mut self, written: u64) {
        while self.staged.front().is_some_and(|(end, _)| *end <= written) {
            if let Some((_, ticket)) = self.staged.pop_front() {
                ticket.give();
            }
        }
    }

    /// Whether none is owed.
    pub(crate) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Reports what has become of the parts. While the peer is `blocked`, what was handed on may not be sent yet.
    pub(crate) fn report(&mut self, blocked: bool, sink: &mut K) {
        if self.owed.is_empty() {
            self.ends.list().clear();
            return;
        }
        let mut list = self.ends.list();
        let ends = std::mem::take(&mut *list);
        let (ends, later): (Vec<_>, Vec<_>) = ends.into_iter().partition(|(_, end)| !blocked || *end == End::Dropped);
        *list = later;
        drop(list);
        for (number, end) in ends {
            let Some(receipt) = self.owed.remove(&number) else { continue };
            sink.event(match end {
                End::Given => Event::Sent(&receipt),
                End::Dropped => Event::NotSent { receipt: &receipt, error: NotSent::BadState(BadState::NoStream) },
            });
        }
    }

    /// The connection has ended: none of the parts will be sent on it.
    pub(crate) fn fail(&mut self, error: NotSent<'_>, sink: &mut K) {
        for receipt in std::mem::take(&mut self.owed).values() {
            sink.event(Event::NotSent { receipt, error });
        }
        self.staged.clear();
    }
}

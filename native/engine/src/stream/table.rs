//! The streams of a connection, in the order in which they were opened, and found by their names without a search.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};

use super::credit::Credit;
use super::reupgrade::UpgradeRequest;
use super::upload::{RequestBody, Upload};
use crate::account::Charge;
use crate::sink::Sink;

/// What is known of a stream, whether it waits or is under way.
pub(crate) struct Entry<K: Sink> {
    pub(crate) name: K::Stream,
    /// How many parts of the response's body may still be reported.
    pub(crate) credit: Credit,
    /// The request's body, where it comes in parts.
    pub(crate) upload: Option<Arc<Upload>>,
    pub(crate) timeouts: Timeouts,
    /// It repeats an upgrade of the connection before.
    pub(crate) repeated: bool,
    /// It was cancelled: its messages are discarded.
    pub(crate) cancelled: bool,
}

/// What a stream asks of the server, and who asks.
pub(crate) enum Ask<K: Sink> {
    Request {
        caller: K::Caller,
        method: Method,
        target: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: RequestBody,
    },
    Upgrade {
        caller: K::Caller,
        request: UpgradeRequest,
    },
    /// The upgrade of the connection before; what it asks stands in the protocol's `Reupgrade`.
    Reupgrade,
}

impl<K: Sink> Ask<K> {
    /// Who asks. A repeated upgrade has no caller.
    pub(crate) fn caller(&self) -> Option<&K::Caller> {
        match self {
            Self::Request { caller, .. } | Self::Upgrade { caller, .. } => Some(caller),
            Self::Reupgrade => None,
        }
    }
}

/// How long the peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until it answers.
    pub(crate) answer: Option<Duration>,
    /// From one part of the answer's body to the next.
    pub(crate) body: Option<Duration>,
}

/// A stream that waits for its turn: what it asks, and what all but its body counts for.
pub(crate) struct Waiting<K: Sink> {
    pub(crate) entry: Entry<K>,
    pub(crate) ask: Ask<K>,
    pub(crate) charge: Charge,
}

/// A stream's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(i64);

/// The streams that there are. `E` is what a protocol has of an exchange under way.
pub(crate) struct Streams<K: Sink, E> {
    /// In boxes, since a map allocates room for several values at once.
    waiting: BTreeMap<Place, Box<Waiting<K>>>,
    active: BTreeMap<Place, Box<(Entry<K>, E)>>,
    places: HashMap<K::StreamId, Place>,
    /// The place of the next one to come.
    next: i64,
}

impl<K: Sink, E> Streams<K, E> {
    pub(crate) fn new() -> Self {
        Self { waiting: BTreeMap::new(), active: BTreeMap::new(), places: HashMap::new(), next: 0 }
    }

    /// Whether none waits.
    pub(crate) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn push_back(&mut self, waiting: Waiting<K>) {
        let place = Place(self.next);
        self.next += 1;
        self.insert(place, waiting);
    }

    /// The stream has its turn before all that wait.
    pub(crate) fn push_front(&mut self, waiting: Waiting<K>) {
        let first = self.places.values().min().map_or(self.next, |Place(first)| *first);
        self.insert(Place(first - 1), waiting);
    }

    fn insert(&mut self, place: Place, waiting: Waiting<K>) {
        self.places.insert(waiting.entry.name.borrow().clone(), place);
        self.waiting.insert(place, Box::new(waiting));
    }

    /// The next one has its turn: it is under way once it is given back by [`Streams::activate`], or is no more.
    pub(crate) fn take_next(&mut self) -> Option<(Place, Waiting<K>)> {
        let (place, waiting) = self.waiting.pop_first()?;
        self.places.remove(waiting.entry.name.borrow());
        Some((place, *waiting))
    }

    /// A stream that was waiting is under way.
    pub(crate) fn activate(&mut self, place: Place, entry: Entry<K>, exchange: E) {
        self.places.insert(entry.name.borrow().clone(), place);
        self.active.insert(place, Box::new((entry, exchange)));
    }

    /// The oldest stream under way: the only one, where the protocol has one at a time.
    pub(crate) fn active(&self) -> Option<&(Entry<K>, E)> {
        self.active.values().next().map(Box::as_ref)
    }

    pub(crate) fn active_mut(&mut self) -> Option<&mut (Entry<K>, E)> {
        self.active.values_mut().next().map(Box::as_mut)
    }

    /// The oldest stream under way is over.
    pub(crate) fn end_active(&mut self) -> Option<(Entry<K>, E)> {
        let (_, ended) = self.active.pop_first()?;
        self.places.remove(ended.0.name.borrow());
        Some(*ended)
    }

    /// A stream under way, by its name.
    pub(crate) fn find_active(&mut self, name: &K::StreamId) -> Option<&mut (Entry<K>, E)> {
        self.active.get_mut(self.places.get(name)?).map(Box::as_mut)
    }

    /// A stream, by its name.
    pub(crate) fn get(&self, name: &K::StreamId) -> Option<&Entry<K>> {
        let place = self.places.get(name)?;
        self.waiting.get(place).map(|waiting| &waiting.entry).or_else(|| self.active.get(place).map(|active| &active.0))
    }

    pub(crate) fn get_mut(&mut self, name: &K::StreamId) -> Option<&mut Entry<K>> {
        let place = self.places.get(name)?;
        match self.waiting.get_mut(place) {
            Some(waiting) => Some(&mut waiting.entry),
            None => self.active.get_mut(place).map(|active| &mut active.0),
        }
    }

    /// Removes a stream that waits.
    pub(crate) fn remove_waiting(&mut self, name: &K::StreamId) -> Option<Waiting<K>> {
        let waiting = self.waiting.remove(self.places.get(name)?)?;
        self.places.remove(name);
        Some(*waiting)
    }

    /// Removes all that wait: they come in order.
    pub(crate) fn drain_waiting(&mut self) -> impl Iterator<Item = Waiting<K>> + use<K, E> {
        let waiting = std::mem::take(&mut self.waiting);
        for waiting in waiting.values() {
            self.places.remove(waiting.entry.name.borrow());
        }
        waiting.into_values().map(|waiting| *waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Flow;
    use crate::testing::Recorder;

    fn waiting(name: u32) -> Waiting<Recorder> {
        let entry = Entry {
            name,
            credit: Credit::new(Flow::Unlimited, false),
            upload: None,
            timeouts: Timeouts { answer: None, body: None },
            repeated: false,
            cancelled: false,
        };
        Waiting { entry, ask: Ask::Reupgrade, charge: Charge::default() }
    }

    fn names(streams: &mut Streams<Recorder, ()>) -> Vec<u32> {
        std::iter::from_fn(|| streams.take_next()).map(|(_, waiting)| waiting.entry.name).collect()
    }

    #[test]
    fn they_keep_their_order_whatever_is_taken_out() {
        let mut streams = Streams::new();
        assert!(streams.none_waits());
        (1..=5).for_each(|name| streams.push_back(waiting(name)));
        streams.push_front(waiting(9));
        assert_eq!(streams.remove_waiting(&3).map(|waiting| waiting.entry.name), Some(3));
        assert!(streams.remove_waiting(&3).is_none() && streams.get(&3).is_none());
        assert_eq!(names(&mut streams), [9, 1, 2, 4, 5]);
        assert!(streams.get(&1).is_none());
        streams.push_back(waiting(6));
        streams.push_front(waiting(7));
        assert_eq!(streams.drain_waiting().map(|waiting| waiting.entry.name).collect::<Vec<_>>(), [7, 6]);
        assert!(streams.none_waits() && streams.get_mut(&6).is_none());
    }

    #[test]
    fn many_can_be_under_way_and_each_is_found_by_its_name() {
        let mut streams = Streams::new();
        (1..=4).for_each(|name| streams.push_back(waiting(name)));
        for exchange in ["one", "two"] {
            let (place, Waiting { entry, .. }) = streams.take_next().unwrap();
            assert!(streams.get(&entry.name).is_none());
            streams.activate(place, entry, exchange);
        }
        assert_eq!(streams.find_active(&2).map(|(entry, exchange)| (entry.name, *exchange)), Some((2, "two")));
        assert!(streams.find_active(&3).is_none() && streams.remove_waiting(&2).is_none());
        assert_eq!([1, 2, 3].map(|name| streams.get(&name).unwrap().name), [1, 2, 3]);
        assert_eq!(streams.active().map(|(entry, _)| entry.name), Some(1));
        assert_eq!(streams.end_active().map(|(entry, _)| entry.name), Some(1));
        assert_eq!(streams.active_mut().map(|(entry, _)| entry.name), Some(2));
        assert_eq!(streams.drain_waiting().count(), 2);
        assert!(streams.get(&3).is_none() && streams.get(&2).is_some());
    }
}

//! The streams of a connection, in the order in which they were opened, and found by their names without a search.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};
use tokio::time::Instant;

use super::credit::Credit;
use super::reupgrade::UpgradeRequest;
use super::upload::{Upload, UploadBody};
use crate::account::Charge;
use crate::command::TimeLimit;
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

impl<K: Sink> Entry<K> {
    /// Whether somebody waits until a part of its body is sent.
    pub(crate) fn is_awaited(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.is_awaited())
    }
}

/// What a stream asks of the server, and who asks.
pub(crate) enum Ask<K: Sink> {
    Request {
        caller: K::Caller,
        method: Method,
        target: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: UploadBody,
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
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until it answers.
    pub(crate) answer: Option<Duration>,
    /// From one part of the answer's body to the next.
    pub(crate) body: Option<Duration>,
    /// Until all of the answer has come, whether the peer has taken that time or not.
    pub(crate) whole: Option<TimeLimit>,
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
    /// When those whose time is limited have to be over.
    limits: BTreeSet<(Instant, Place)>,
    /// The place of the next one to come.
    next: i64,
    /// The place of the first one that has come. Those that have ended here keep theirs elsewhere.
    first: i64,
}

impl<K: Sink, E> Streams<K, E> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            active: BTreeMap::new(),
            places: HashMap::new(),
            limits: BTreeSet::new(),
            next: 0,
            first: 0,
        }
    }

    /// Whether none waits.
    pub(crate) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn push_back(&mut self, waiting: Waiting<K>) {
        let place = self.next_place();
        self.insert(place, waiting);
    }

    /// The stream has its turn before all that wait.
    pub(crate) fn push_front(&mut self, waiting: Waiting<K>) {
        self.first -= 1;
        self.insert(Place(self.first), waiting);
    }

    fn insert(&mut self, place: Place, waiting: Waiting<K>) {
        self.place_at(place, &waiting.entry);
        self.waiting.insert(place, Box::new(waiting));
    }

    fn place_at(&mut self, place: Place, entry: &Entry<K>) {
        self.places.insert(entry.name.borrow().clone(), place);
        if let Some(whole) = entry.timeouts.whole {
            self.limits.insert((whole.at, place));
        }
    }

    fn displace(&mut self, place: Place, entry: &Entry<K>) {
        self.places.remove(entry.name.borrow());
        if let Some(whole) = entry.timeouts.whole {
            self.limits.remove(&(whole.at, place));
        }
    }

    /// When the first of the streams whose time is limited has to be over.
    pub(crate) fn next_limit(&self) -> Option<Instant> {
        self.limits.first().map(|(at, _)| *at)
    }

    /// A stream whose time is over. It is named once.
    pub(crate) fn take_late(&mut self, now: Instant) -> Option<Place> {
        let late = self.limits.first().filter(|(at, _)| *at <= now).copied()?;
        self.limits.remove(&late);
        Some(late.1)
    }

    /// The oldest stream under way has its time once more, if that was over already.
    pub(crate) fn renew_oldest(&mut self) {
        let now = Instant::now();
        let Some(mut oldest) = self.active.first_entry() else { return };
        let place = *oldest.key();
        if let Some(whole) = oldest.get_mut().0.timeouts.whole.as_mut().filter(|whole| whole.at <= now) {
            self.limits.remove(&(whole.at, place));
            *whole = TimeLimit::from_now(whole.limit);
            self.limits.insert((whole.at, place));
        }
    }

    /// The next one has its turn: it is under way once it is given back by [`Streams::activate`], or is no more.
    pub(crate) fn take_next(&mut self) -> Option<(Place, Waiting<K>)> {
        let (place, waiting) = self.waiting.pop_first()?;
        self.displace(place, &waiting.entry);
        Some((place, *waiting))
    }

    /// The first that may have its turn has it; see [`Streams::take_next`].
    pub(crate) fn take_first(&mut self, may: impl Fn(&Waiting<K>) -> bool) -> Option<(Place, Waiting<K>)> {
        let place = *self.waiting.iter().find(|(_, waiting)| may(waiting))?.0;
        let waiting = self.waiting.remove(&place)?;
        self.displace(place, &waiting.entry);
        Some((place, *waiting))
    }

    /// A place behind all others, for a stream that does not wait.
    pub(crate) fn next_place(&mut self) -> Place {
        let place = Place(self.next);
        self.next += 1;
        place
    }

    /// A stream that was waiting is under way.
    pub(crate) fn activate(&mut self, place: Place, entry: Entry<K>, exchange: E) {
        self.place_at(place, &entry);
        self.active.insert(place, Box::new((entry, exchange)));
    }

    /// The place of the oldest stream under way.
    pub(crate) fn oldest(&self) -> Option<Place> {
        self.active.keys().next().copied()
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
        let (place, ended) = self.active.pop_first()?;
        self.displace(place, &ended.0);
        Some(*ended)
    }

    /// The stream under way that has this place.
    pub(crate) fn active_at(&mut self, place: Place) -> Option<&mut (Entry<K>, E)> {
        self.active.get_mut(&place).map(Box::as_mut)
    }

    /// The stream under way that has this place is over.
    pub(crate) fn end_at(&mut self, place: Place) -> Option<(Entry<K>, E)> {
        let ended = self.active.remove(&place)?;
        self.displace(place, &ended.0);
        Some(*ended)
    }

    /// The streams under way, the oldest first.
    pub(crate) fn all_active(&self) -> impl Iterator<Item = &(Entry<K>, E)> {
        self.active.values().map(Box::as_ref)
    }

    /// The same, to be looked at.
    pub(crate) fn get_active(&self, place: Place) -> Option<&(Entry<K>, E)> {
        self.active.get(&place).map(Box::as_ref)
    }

    /// The places of the streams under way, the oldest first.
    pub(crate) fn active_places(&self) -> Vec<Place> {
        self.active.keys().copied().collect()
    }

    /// How many streams are under way.
    pub(crate) fn active_len(&self) -> usize {
        self.active.len()
    }

    /// How many streams wait.
    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// The place of a stream, by its name.
    pub(crate) fn place(&self, name: &K::StreamId) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// The streams under way but for the oldest one are over: they come in order.
    pub(crate) fn end_others(&mut self) -> impl Iterator<Item = (Entry<K>, E)> + use<K, E> {
        let mut others = std::mem::take(&mut self.active);
        if let Some((place, oldest)) = others.pop_first() {
            self.active.insert(place, oldest);
        }
        for (place, ended) in &others {
            self.displace(*place, &ended.0);
        }
        others.into_values().map(|ended| *ended)
    }

    /// The newest stream under way.
    pub(crate) fn newest(&self) -> Option<&(Entry<K>, E)> {
        self.active.values().next_back().map(Box::as_ref)
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut (Entry<K>, E)> {
        self.active.values_mut().next_back().map(Box::as_mut)
    }

    /// The next one to have its turn.
    pub(crate) fn next_waiting(&self) -> Option<&Waiting<K>> {
        self.waiting.values().next().map(Box::as_ref)
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
        self.remove_waiting_at(self.place(name)?)
    }

    /// Removes the stream that waits at this place.
    pub(crate) fn remove_waiting_at(&mut self, place: Place) -> Option<Waiting<K>> {
        let waiting = self.waiting.remove(&place)?;
        self.displace(place, &waiting.entry);
        Some(*waiting)
    }

    /// Removes all that wait: they come in order.
    pub(crate) fn drain_waiting(&mut self) -> impl Iterator<Item = Waiting<K>> + use<K, E> {
        let waiting = std::mem::take(&mut self.waiting);
        for (place, waiting) in &waiting {
            self.displace(*place, &waiting.entry);
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
            timeouts: Timeouts::default(),
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

    #[test]
    fn a_place_before_all_others_is_never_given_twice() {
        let mut streams: Streams<Recorder, ()> = Streams::new();
        let places: Vec<_> = (1..=3)
            .map(|name| {
                streams.push_front(waiting(name));
                streams.take_next().unwrap().0
            })
            .collect();
        assert!(places[0] > places[1] && places[1] > places[2]);
        assert!(streams.next_place() > places[0]);
    }

    #[test]
    fn all_but_the_oldest_can_end_at_once() {
        let mut streams = Streams::new();
        (1..=4).for_each(|name| streams.push_back(waiting(name)));
        for _ in 0..3 {
            let (place, Waiting { entry, .. }) = streams.take_next().unwrap();
            streams.activate(place, entry, ());
        }
        assert_eq!(streams.next_waiting().map(|waiting| waiting.entry.name), Some(4));
        assert_eq!((streams.active_len(), streams.newest().map(|(entry, ())| entry.name)), (3, Some(3)));
        assert_eq!(streams.end_others().map(|(entry, ())| entry.name).collect::<Vec<_>>(), [2, 3]);
        assert!(streams.get(&2).is_none() && streams.find_active(&3).is_none());
        assert_eq!(streams.newest_mut().map(|(entry, ())| entry.name), Some(1));
        assert_eq!(streams.end_others().count(), 0);
        assert_eq!(streams.end_active().map(|(entry, ())| entry.name), Some(1));
        assert_eq!(streams.end_others().count(), 0);
    }
}

//! The requests that wait for their turn, in order, and found by their streams without a search.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};

use super::upload::{RequestBody, Upload};
use crate::options::WsOptions;
use crate::sink::Sink;
use crate::websocket::credit::Credit;

/// A request that waits for its turn.
pub(crate) struct Waiting<K: Sink> {
    pub(crate) stream: K::Stream,
    pub(crate) caller: K::Caller,
    pub(crate) credit: Credit,
    pub(crate) upload: Option<Arc<Upload>>,
    pub(crate) what: What,
    pub(crate) timeouts: Timeouts,
    /// What all but its body counts for.
    pub(crate) queued: usize,
    /// It repeats an upgrade of the connection before.
    pub(crate) repeated: bool,
}

/// What waits: a request, or an upgrade.
pub(crate) enum What {
    Request { method: Method, target: Uri, headers: Vec<(HeaderName, HeaderValue)>, body: RequestBody },
    Upgrade { target: Uri, headers: Vec<(HeaderName, HeaderValue)>, options: Box<WsOptions> },
}

/// How long the peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until it answers.
    pub(crate) answer: Option<Duration>,
    /// From one part of the answer's body to the next.
    pub(crate) body: Option<Duration>,
}

/// The requests that wait.
pub(crate) struct Queue<K: Sink> {
    /// By their places in the order.
    requests: BTreeMap<i64, Waiting<K>>,
    places: HashMap<K::StreamId, i64>,
    /// The place of the next one to come.
    next: i64,
}

impl<K: Sink> Queue<K> {
    pub(crate) fn new() -> Self {
        Self { requests: BTreeMap::new(), places: HashMap::new(), next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn push_back(&mut self, request: Waiting<K>) {
        self.insert(self.next, request);
        self.next += 1;
    }

    pub(crate) fn push_front(&mut self, request: Waiting<K>) {
        let place = self.requests.first_key_value().map_or(self.next, |(first, _)| *first) - 1;
        self.insert(place, request);
    }

    fn insert(&mut self, place: i64, request: Waiting<K>) {
        self.places.insert(request.stream.borrow().clone(), place);
        self.requests.insert(place, request);
    }

    pub(crate) fn front(&self) -> Option<&Waiting<K>> {
        self.requests.first_key_value().map(|(_, request)| request)
    }

    pub(crate) fn pop_front(&mut self) -> Option<Waiting<K>> {
        let (_, request) = self.requests.pop_first()?;
        self.places.remove(request.stream.borrow());
        Some(request)
    }

    pub(crate) fn get(&self, stream: &K::StreamId) -> Option<&Waiting<K>> {
        self.requests.get(self.places.get(stream)?)
    }

    pub(crate) fn get_mut(&mut self, stream: &K::StreamId) -> Option<&mut Waiting<K>> {
        self.requests.get_mut(self.places.get(stream)?)
    }

    pub(crate) fn remove(&mut self, stream: &K::StreamId) -> Option<Waiting<K>> {
        self.requests.remove(&self.places.remove(stream)?)
    }

    /// All of them, in order; none is left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Waiting<K>> {
        self.places = HashMap::new();
        std::mem::take(&mut self.requests).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Flow;
    use crate::testing::{CALLER, Recorder};

    fn request(stream: u32) -> Waiting<Recorder> {
        let what = What::Upgrade { target: Uri::from_static("/"), headers: Vec::new(), options: Box::default() };
        let timeouts = Timeouts { answer: None, body: None };
        Waiting {
            stream,
            caller: CALLER,
            credit: Credit::new(Flow::Unlimited, false),
            upload: None,
            what,
            timeouts,
            queued: 0,
            repeated: false,
        }
    }

    fn streams(queue: &mut Queue<Recorder>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop_front()).map(|request| request.stream).collect()
    }

    #[test]
    fn they_keep_their_order_whatever_is_taken_out() {
        let mut queue = Queue::new();
        assert!(queue.is_empty() && queue.front().is_none());
        (1..=5).for_each(|stream| queue.push_back(request(stream)));
        queue.push_front(request(9));
        assert_eq!(queue.remove(&3).map(|request| request.stream), Some(3));
        assert!(queue.remove(&3).is_none() && queue.get(&3).is_none());
        assert_eq!(queue.front().map(|request| request.stream), Some(9));
        assert_eq!(streams(&mut queue), [9, 1, 2, 4, 5]);
        assert!(queue.get(&1).is_none());
        queue.push_back(request(6));
        queue.push_front(request(7));
        assert_eq!(queue.drain().map(|request| request.stream).collect::<Vec<_>>(), [7, 6]);
        assert!(queue.is_empty() && queue.get_mut(&6).is_none());
    }
}

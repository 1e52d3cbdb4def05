//! The WebSockets that stand beside the connection, since the peer has none on its streams: each on a connection of its own.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::task::{Context as TaskContext, Poll};

use super::Exchanges;
use super::detour::{Detour, Wanted, Way, refuse_held};
use super::ends::again;
use super::exchange::Wakes;
use super::ready::Stream;
use crate::account::Charge;
use crate::command::StreamCommand;
use crate::error::{BadState, DownReason};
use crate::event::step::Step;
use crate::event::{Event, StreamError};
use crate::options::{First, HttpVersion, Steps};
use crate::protocol::{Context, Left, Lost, Then};
use crate::sink::Sink;
use crate::stream::reupgrade::Repeated;
use crate::stream::table::{Ask, Entry, Place, Waiting};

/// Those of a connection.
pub(super) struct Detours<K: Sink> {
    way: Way,
    all: BTreeMap<Place, Box<Beside<K>>>,
    places: HashMap<K::StreamId, Place>,
}

struct Beside<K: Sink> {
    detour: Detour<K>,
    wakes: Wakes,
    name: K::StreamId,
}

impl<K: Sink> Detours<K> {
    /// None yet; those that come reach the server this way.
    pub(super) fn new(way: Way) -> Self {
        Self { way, all: BTreeMap::new(), places: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn contains(&self, name: &K::StreamId) -> bool {
        self.places.contains_key(name)
    }

    /// Whether there is one of this name that is a WebSocket.
    fn is_open(&self, name: &K::StreamId) -> bool {
        self.places.get(name).and_then(|place| self.all.get(place)).is_some_and(|beside| beside.detour.is_open())
    }

    /// How many take frames.
    pub(super) fn carriers(&self) -> usize {
        self.all.values().filter(|beside| beside.detour.takes_frames()).count()
    }

    /// The first that takes frames.
    fn carrier(&self) -> Option<Place> {
        self.all.iter().find(|(_, beside)| beside.detour.takes_frames()).map(|(place, _)| *place)
    }

    fn remove_at(&mut self, place: Place) -> Option<Detour<K>> {
        let beside = self.all.remove(&place)?;
        self.places.remove(&beside.name);
        Some(beside.detour)
    }

    fn drain(&mut self) -> impl Iterator<Item = Detour<K>> + use<K> {
        self.places.clear();
        std::mem::take(&mut self.all).into_values().map(|beside| beside.detour)
    }
}

impl<K: Sink> Exchanges<K> {
    /// The peer has no WebSockets on its streams: the upgrade is made on a connection of its own, where that is wanted.
    pub(super) fn make_detour(&mut self, place: Place, entry: Entry<K>, ask: Ask<K>, context: &mut Context<'_, K>) {
        let request = match &ask {
            Ask::Upgrade { request, .. } => Some(request),
            Ask::Reupgrade => self.repeated.get(entry.name.borrow()).map(|reupgrade| &reupgrade.request),
            Ask::Request { .. } => None,
        };
        // Behind a proxy there is no connection to make beside it.
        let inside = self.options.first == First::Inside;
        if inside || !request.is_some_and(|request| request.options.http1_fallback) {
            return self.refuse_upgrade(entry, BadState::NoExtendedConnect, context);
        }
        if self.options.http.version == HttpVersion::Http10 {
            return self.refuse_upgrade(entry, BadState::UpgradeOverHttp10, context);
        }
        let name: &K::StreamId = entry.name.borrow();
        let name = name.clone();
        let wanted = match self.repeated.remove(&name) {
            Some(reupgrade) => Wanted::Again(Repeated { stream: entry.name, reupgrade, was_open: false }),
            None => Wanted::First(Box::new(Waiting { entry, ask, charge: Charge::default() })),
        };
        let detour = Detour::new(name.clone(), wanted, self.detours.way.clone());
        let wakes = Wakes::new(Stream::new(&self.ready, place));
        self.detours.places.insert(name.clone(), place);
        self.detours.all.insert(place, Box::new(Beside { detour, wakes, name }));
    }

    /// Whether the stream of this name is a WebSocket, wherever.
    pub(super) fn is_websocket(&self, name: &K::StreamId) -> bool {
        self.websockets.name(name).is_some() || self.detours.is_open(name)
    }

    /// The one that a command is for, which names it, or names none and is for the only WebSocket.
    pub(super) fn detour_of(&self, name: Option<&K::StreamId>) -> Option<Place> {
        match name {
            Some(name) => self.detours.places.get(name).copied(),
            None if self.websockets.len() + self.repeated.len() > 0 || self.detours.carriers() > 1 => None,
            None => self.detours.carrier(),
        }
    }

    pub(super) fn detour_command(
        &mut self,
        place: Place,
        command: StreamCommand<K>,
        charge: Charge,
        context: &mut Context<'_, K>,
    ) {
        if let Some(beside) = self.detours.all.get_mut(&place) {
            beside.detour.command(command, charge, context);
            beside.wakes.wake();
        }
    }

    /// Whether there was such a one.
    pub(super) fn cancel_detour(
        &mut self,
        name: &K::StreamId,
        caller: &K::Caller,
        context: &mut Context<'_, K>,
    ) -> bool {
        let Some(place) = self.detours.places.get(name) else { return false };
        let Some(detour) = self.detours.remove_at(*place) else { return false };
        let Lost { killed, left } = detour.lose(DownReason::Normal, None, context);
        let repeated = left.repeated.first().map(|repeated| &repeated.stream);
        if let Some(stream) = killed.first().or(repeated) {
            context.observe(Steps::CANCEL, || Step::Cancel { stream, caller });
        }
        give_up(left, None, context);
        true
    }

    /// Does what there is to do on the one at this place, if there is one.
    pub(super) fn poll_detour(&mut self, place: Place, context: &mut Context<'_, K>) {
        let Some(beside) = self.detours.all.get_mut(&place) else { return self.poll_tunnel(place, context) };
        let (waker, was_open) = (beside.wakes.begin(), beside.detour.is_open());
        let poll = beside.detour.poll(context, &mut TaskContext::from_waker(&waker));
        if context.then == Then::Yield {
            // It is woken when others have had their turn.
            context.then = Then::Rest;
            self.control.spend_turn();
        }
        self.served |= !was_open && beside.detour.is_open();
        match poll {
            Poll::Ready(()) => drop(self.detours.remove_at(place)),
            Poll::Pending if context.relay.is_exhausted() => {
                self.held.insert(place);
            }
            Poll::Pending => {}
        }
    }

    /// Begins the graceful end of all.
    pub(super) fn shut_down_detours(&mut self, context: &mut Context<'_, K>) {
        for beside in self.detours.all.values_mut() {
            beside.detour.shut_down(context);
            beside.wakes.wake();
        }
    }

    /// The connection is over, and they are with it.
    pub(super) fn detours_down(
        &mut self,
        reason: &DownReason,
        left: &mut Left<K>,
        killed: &mut Vec<K::Stream>,
        context: &mut Context<'_, K>,
    ) {
        for detour in self.detours.drain() {
            let lost = detour.lose(again(reason), Some(StreamError::Closed(reason)), context);
            killed.extend(lost.killed);
            if self.shutdown.is_asked() {
                give_up(lost.left, Some(StreamError::Closed(reason)), context);
            } else {
                left.repeated.extend(lost.left.repeated);
                left.frames.extend(lost.left.frames);
            }
        }
    }

    /// The shutdown waits for them no longer.
    pub(super) fn cut_detours(&mut self, context: &mut Context<'_, K>) {
        for detour in self.detours.drain() {
            let lost = detour.lose(DownReason::Normal, Some(StreamError::ShutDown), context);
            give_up(lost.left, Some(StreamError::ShutDown), context);
        }
    }
}

/// What is left is not repeated: its receivers are told this, and what has waited for it is refused.
fn give_up<K: Sink>(left: Left<K>, error: Option<StreamError<'_>>, context: &mut Context<'_, K>) {
    for mut repeated in left.repeated {
        if let Some(error) = error {
            context.sink.event(Event::StreamError { stream: &repeated.stream, error });
        }
        repeated.reupgrade.give_up(context.sink, context.status);
    }
    refuse_held(left.frames, context);
}

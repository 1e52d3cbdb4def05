//! The tunnels among the streams (RFC 9113, 8.5): each leads on, by what its stream carries, beside all the others.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use h2::RecvStream;
use http::{HeaderMap, StatusCode};

use super::Exchanges;
use super::ends::again;
use super::exchange::{Wakes, headers_len};
use super::faults::Failure;
use super::ready::Stream;
use super::stream_io::{StreamEnd, stream_io};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::error::DownReason;
use crate::event::{Event, StreamError};
use crate::options::ConnectOptions;
use crate::protocol::{Context, Exit, Lead, Opened, Protocol, Then};
use crate::sink::Sink;
use crate::stream::table::Place;
use crate::transport::dial::Route;

/// What more there is to HTTP/2 on a byte stream than its options.
pub(crate) struct Means<K: Sink> {
    /// By what the byte stream was dialled.
    pub(crate) route: Route,
    /// The options of the connection, which need not be those of what is spoken at the end of a tunnel.
    pub(crate) options: Arc<ConnectOptions>,
    /// What goes on with tunnels.
    pub(crate) lead: Lead<K>,
}

/// Those of a connection.
pub(super) struct Tunnels<K: Sink> {
    means: Means<K>,
    all: BTreeMap<Place, Box<Led<K>>>,
    places: HashMap<K::StreamId, Place>,
    /// How many bytes they hold of the connection's window.
    held: usize,
}

/// A tunnel on a stream.
struct Led<K: Sink> {
    /// What it leads to.
    protocol: Box<dyn Protocol<K>>,
    stream: StreamEnd,
    wakes: Wakes,
    name: K::StreamId,
    /// How its stream has failed: what came before that has its turn first.
    failure: Option<Failure>,
    /// A command has ended it.
    cancelled: bool,
    /// How many bytes it holds of the window.
    held: usize,
}

impl<K: Sink> Tunnels<K> {
    /// None yet; those that come are gone on with by these means.
    pub(super) fn new(means: Means<K>) -> Self {
        Self { means, all: BTreeMap::new(), places: HashMap::new(), held: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The places of all, the oldest first.
    pub(super) fn places(&self) -> Vec<Place> {
        self.all.keys().copied().collect()
    }

    /// The names of all, the oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &K::Stream> {
        self.all.values().filter_map(|led| led.protocol.stream())
    }

    /// How many bytes they hold of the connection's window.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The one of this name, or else the one that the stream of this name is in.
    pub(super) fn find(&self, name: Option<&K::StreamId>) -> Option<Place> {
        let name = name.filter(|_| !self.places.is_empty())?;
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let mut outer = K::tunnel(name);
        while let Some(tunnel) = outer {
            if let Some(place) = self.places.get(&tunnel) {
                return Some(*place);
            }
            outer = K::tunnel(&tunnel);
        }
        None
    }

    /// Whether streams are opened by way of this tunnel, which is one of them, or in one of them.
    pub(super) fn lead(&self, tunnel: &K::StreamId) -> bool {
        let led = self.find(Some(tunnel)).and_then(|place| self.all.get(&place));
        led.is_some_and(|led| led.protocol.leads(Some(tunnel)))
    }

    fn remove(&mut self, place: Place) -> Option<Box<Led<K>>> {
        let led = self.all.remove(&place)?;
        self.places.remove(&led.name);
        self.held -= led.held.min(self.held);
        Some(led)
    }

    /// Looks how much the one at this place holds of the window.
    fn look_at_held(&mut self, place: Place) {
        if let Some(led) = self.all.get_mut(&place) {
            let before = std::mem::replace(&mut led.held, led.stream.held_back());
            self.held = (self.held + led.held).saturating_sub(before);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = Box<Led<K>>> + use<K> {
        self.places.clear();
        self.held = 0;
        std::mem::take(&mut self.all).into_values()
    }
}

impl<K: Sink> Led<K> {
    /// One turn; ready once it is over.
    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut TaskContext<'_>) -> Poll<()> {
        // What the end of the connection is, that says itself.
        if let Some(failure) = self.stream.take(cx).filter(|failure| *failure != Failure::Connection) {
            self.failure = Some(failure);
        }
        self.protocol.begin_turn();
        let poll = loop {
            context.then = Then::Rest;
            let poll = self.protocol.poll(context, cx);
            if poll.is_ready() || context.then != Then::GoOn {
                break poll;
            }
        };
        self.stream.release();
        match poll {
            // Whatever comes of it, it leads on by itself.
            Poll::Ready(Exit::Down(_) | Exit::ShutDown | Exit::Switch(_) | Exit::Through(_)) => Poll::Ready(()),
            Poll::Pending if context.then == Then::Rest && self.failure.is_some() && !context.relay.is_exhausted() => {
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// It is over. What came of that has been reported, unless its stream has failed.
    fn end(self, context: &mut Context<'_, K>) {
        let Self { protocol, stream, failure, cancelled, .. } = self;
        let error = match failure {
            Some(Failure::Reset(code)) => StreamError::Reset(code),
            Some(Failure::Fault(fault)) => StreamError::Fault(fault),
            Some(Failure::GoAway(code)) => StreamError::GoAway(code),
            Some(Failure::Connection) | None => {
                drop(protocol);
                return if cancelled { stream.reset() } else { stream.close() };
            }
        };
        protocol.lose(DownReason::Closed, Some(error), context);
    }
}

impl<K: Sink> Exchanges<K> {
    /// The proxy leads on to what was asked for.
    pub(super) fn opened(
        &mut self,
        place: Place,
        (status, headers): (StatusCode, HeaderMap),
        recv: RecvStream,
        context: &mut Context<'_, K>,
    ) {
        let Some((entry, mut exchange)) = self.end(place) else { return };
        let (Some(destination), Some(send)) = (exchange.tunnel.take(), exchange.take_sending()) else { return };
        let (stream, headers) = (&entry.name, &headers);
        context.sink.event(Event::Response { stream, fin: true, status, headers });
        self.reported(stream, headers_len(headers), context);
        let (io, stream) = stream_io(send, recv);
        let name: K::StreamId = entry.name.borrow().clone();
        let options = Arc::clone(&self.tunnels.means.options);
        let opened =
            Opened { io: Box::new(io), stream: entry.name, options, destination: Some(destination), served: true };
        let mut protocol = (self.tunnels.means.lead)(opened);
        if self.shutdown.is_asked() {
            protocol.shut_down(context);
        }
        let wakes = Wakes::new(Stream::new(&self.ready, place));
        let led = Led { protocol, stream, wakes, name: name.clone(), failure: None, cancelled: false, held: 0 };
        self.tunnels.places.insert(name, place);
        self.tunnels.all.insert(place, Box::new(led));
    }

    /// A command for the tunnel at this place, or for a stream in it.
    pub(super) fn tunnel_command(
        &mut self,
        place: Place,
        command: StreamCommand<K>,
        charge: Charge,
        context: &mut Context<'_, K>,
    ) {
        let Some(led) = self.tunnels.all.get_mut(&place) else { return };
        led.cancelled |= matches!(&command, StreamCommand::Cancel(cancel) if cancel.0 == led.name);
        led.protocol.command(command, charge, context);
        if led.cancelled {
            // Whoever asks next finds none.
            return self.poll_tunnel(place, context);
        }
        led.wakes.wake();
    }

    pub(super) fn tunnel_ping(&mut self, place: Place, ping: Ping<K>, context: &mut Context<'_, K>) {
        if let Some(led) = self.tunnels.all.get_mut(&place) {
            led.protocol.ping(ping, context);
            led.wakes.wake();
        }
    }

    /// Does what there is to do on the tunnel at this place, if there is one.
    pub(super) fn poll_tunnel(&mut self, place: Place, context: &mut Context<'_, K>) {
        let Some(led) = self.tunnels.all.get_mut(&place) else { return };
        let waker = led.wakes.begin();
        let poll = led.poll(context, &mut TaskContext::from_waker(&waker));
        if context.then == Then::Yield {
            // It is woken when others have had their turn.
            context.then = Then::Rest;
            self.control.spend_turn();
        }
        if context.relay.is_exhausted() {
            self.held.insert(place);
        }
        match poll {
            Poll::Ready(()) => {
                if let Some(led) = self.tunnels.remove(place) {
                    led.end(context);
                }
            }
            Poll::Pending => self.tunnels.look_at_held(place),
        }
    }

    /// Begins the graceful end of all.
    pub(super) fn shut_down_tunnels(&mut self, context: &mut Context<'_, K>) {
        for led in self.tunnels.all.values_mut() {
            led.protocol.shut_down(context);
            led.wakes.wake();
        }
    }

    /// The connection is over, and so are they. `error` is what the receivers of their streams are told.
    pub(super) fn tunnels_down(
        &mut self,
        reason: &DownReason,
        error: StreamError<'_>,
        context: &mut Context<'_, K>,
    ) -> Vec<K::Stream> {
        let mut killed = Vec::new();
        for led in self.tunnels.drain() {
            killed.extend(led.protocol.lose(again(reason), Some(error), context).killed);
        }
        killed
    }
}

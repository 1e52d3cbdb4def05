//! The WebSockets among the streams of a connection: how they begin, what is asked of them, and their end.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::task::{Context as TaskContext, Poll};

use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode};

use super::Exchanges;
use super::ends::again;
use super::exchange::Wakes;
use super::head::{self, Origin};
use super::ready::Stream;
use super::websocket::{WsLeft, WsStream};
use crate::account::Charge;
use crate::command::{Outgoing, StreamCommand};
use crate::error::{BadState, ConnectionError, DownReason, Refusal};
use crate::event::step::Step;
use crate::event::{Event, StreamError};
use crate::http::queued::entry;
use crate::options::{Steps, WsOptions};
use crate::protocol::{Context, Left, Then};
use crate::sink::Sink;
use crate::stream::reupgrade::{Held, Repeated, Reupgrade, UpgradeRequest};
use crate::stream::table::{Ask, Entry, Place, Timeouts, Waiting};
use crate::websocket::handshake::{self, Asked};
use crate::websocket::role::Role;
use crate::websocket::session::Session;

/// The largest window that there can be (RFC 9113, 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// An upgrade under way.
pub(super) struct Asking {
    asked: Asked,
    options: Box<WsOptions>,
    /// What it takes to repeat it, where that is wanted and it is not repeated already.
    request: Option<UpgradeRequest>,
}

/// The WebSockets of a connection.
pub(super) struct Websockets<K: Sink> {
    streams: BTreeMap<Place, Box<Websocket<K>>>,
    places: HashMap<K::StreamId, Place>,
    /// Those for which somebody waits until all is written.
    unwritten: Vec<Place>,
    /// How many bytes of the connection's window they hold together, since their receivers take nothing for now.
    held: usize,
}

struct Websocket<K: Sink> {
    stream: WsStream<K>,
    wakes: Wakes,
    /// See [`Websockets::held`].
    held: usize,
}

/// The extended CONNECT that asks for a WebSocket (RFC 8441, 4).
///
/// # Errors
/// The authority, the target or a subprotocol cannot stand in it, or the headers are too many.
pub(super) fn request_of_upgrade(
    origin: &Origin<'_>,
    request: UpgradeRequest,
) -> Result<(Request<()>, Asking), http::Error> {
    let repeats = request.options.reupgrade.is_some().then(|| request.clone());
    let UpgradeRequest { target, headers, options } = request;
    let hosts = headers.iter().filter(|(name, _)| name == HOST).cloned().collect();
    let (headers, asked) = handshake::connect_headers(&options, headers)?;
    let mut head = head::request(origin, Method::CONNECT, target, hosts)?;
    *head.headers_mut() = headers;
    head.extensions_mut().insert(Protocol::from_static("websocket"));
    Ok((head, Asking { asked, options, request: repeats }))
}

impl<K: Sink> Websockets<K> {
    pub(super) fn new() -> Self {
        Self { streams: BTreeMap::new(), places: HashMap::new(), unwritten: Vec::new(), held: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The name of the one that is called this.
    pub(super) fn name(&self, stream: &K::StreamId) -> Option<&K::Stream> {
        self.streams.get(self.places.get(stream)?)?.stream.stream()
    }

    /// The names of all, the oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &K::Stream> {
        self.streams.values().filter_map(|websocket| websocket.stream.stream())
    }

    /// The places of all, the oldest first.
    pub(super) fn places(&self) -> Vec<Place> {
        self.streams.keys().copied().collect()
    }

    fn insert(&mut self, name: K::StreamId, place: Place, websocket: Websocket<K>) {
        self.places.insert(name, place);
        self.streams.insert(place, Box::new(websocket));
    }

    fn find(&mut self, stream: &K::StreamId) -> Option<&mut Websocket<K>> {
        self.streams.get_mut(self.places.get(stream)?).map(Box::as_mut)
    }

    /// The only one, if there is one alone.
    fn only(&mut self) -> Option<&mut Websocket<K>> {
        let is_alone = self.streams.len() == 1;
        self.streams.values_mut().next().filter(|_| is_alone).map(Box::as_mut)
    }

    fn remove(&mut self, stream: &K::StreamId) -> Option<Box<Websocket<K>>> {
        let place = self.places.remove(stream)?;
        let websocket = self.streams.remove(&place)?;
        self.held -= websocket.held.min(self.held);
        Some(websocket)
    }

    /// Looks how much the one at this place holds of the window.
    fn look_at_held(&mut self, place: Place) {
        if let Some(websocket) = self.streams.get_mut(&place) {
            let before = std::mem::replace(&mut websocket.held, websocket.stream.held_back());
            self.held = (self.held + websocket.held).saturating_sub(before);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = Box<Websocket<K>>> + use<K> {
        self.places.clear();
        self.held = 0;
        std::mem::take(&mut self.streams).into_values()
    }
}

impl<K: Sink> Exchanges<K> {
    /// Takes over the upgrades of the connection before, to repeat them before all else.
    pub(super) fn take_over_upgrades(
        &mut self,
        repeated: Vec<Repeated<K>>,
        frames: Vec<Held<K>>,
        context: &mut Context<'_, K>,
    ) {
        for (outgoing, charge) in frames {
            drop(charge);
            outgoing.refuse_on_stream(context.sink, BadState::NotWebsocket);
        }
        for Repeated { stream, reupgrade, .. } in repeated.into_iter().rev() {
            let options = &reupgrade.request.options;
            let timeouts = Timeouts { answer: options.upgrade_timeout, ..Timeouts::default() };
            let entry = Entry { repeated: true, ..entry(stream, options.flow, timeouts, context) };
            self.repeated.insert(entry.name.borrow().clone(), reupgrade);
            self.repeat(entry);
        }
    }

    /// Asks for an upgrade again, before anything else that waits.
    pub(super) fn repeat(&mut self, entry: Entry<K>) {
        self.streams.push_front(Waiting { entry, ask: Ask::Reupgrade, charge: Charge::default() });
    }

    /// The peer refuses an upgrade that is repeated, for the time being.
    pub(super) fn postpone(&mut self, place: Place, refusal: Refusal) {
        if let Some((entry, _)) = self.reset_at(place, Reason::CANCEL) {
            self.postponed.push(entry, refusal);
        }
    }

    /// A stream ends with the connection: it is given back, unless it is an upgrade that the next one repeats. A peer that
    /// breaks HTTP/2 is not asked for it again.
    pub(super) fn keep_reupgrade(
        &mut self,
        entry: Entry<K>,
        reason: &DownReason,
        left: &mut Left<K>,
    ) -> Option<Entry<K>> {
        let is_broken = matches!(reason, DownReason::Error(ConnectionError::Http2(_)));
        if !entry.repeated || self.shutdown.is_asked() || is_broken {
            return Some(entry);
        }
        let Some(reupgrade) = self.repeated.remove(entry.name.borrow()) else { return Some(entry) };
        left.repeated.push(Repeated { stream: entry.name, reupgrade, was_open: false });
        None
    }

    /// The upgrades that are not repeated any more, now that the connection is over.
    pub(super) fn abandon_reupgrades(&mut self, left: &mut Left<K>, context: &Context<'_, K>) {
        for (_, mut reupgrade) in self.repeated.drain() {
            // The next connection reports to their senders that there is no WebSocket.
            left.frames.append(&mut reupgrade.abandon(context.status));
        }
    }

    /// A command for a WebSocket, or for no stream at all.
    pub(super) fn websocket_command(
        &mut self,
        command: StreamCommand<K>,
        charge: Charge,
        context: &mut Context<'_, K>,
    ) {
        let name = match &command {
            StreamCommand::Send(outgoing) => outgoing.stream.as_ref(),
            StreamCommand::UpdateFlow(stream, _) => stream.as_deref(),
            StreamCommand::FlowGrant(stream) | StreamCommand::Settled(stream) => Some(&**stream),
            StreamCommand::Tune(tune) => tune.stream.as_ref(),
            StreamCommand::CloseWith(close) => close.0.as_ref(),
            StreamCommand::Info(asked) => Some(&asked.0),
            // Nothing is served here.
            command => {
                drop(charge);
                if let Some((stream, caller)) = command.answered() {
                    context.sink.event(Event::NoStream { stream, caller });
                }
                return;
            }
        };
        if let Some(place) = self.detour_of(name) {
            return self.detour_command(place, command, charge, context);
        }
        let found = match name {
            Some(name) => self.websockets.find(name),
            None if self.repeated.is_empty() && self.detours.carriers() == 0 => self.websockets.only(),
            None => None,
        };
        match (found, command) {
            (Some(websocket), command) => {
                websocket.stream.command(command, charge, context);
                websocket.wakes.wake();
            }
            (None, StreamCommand::Send(outgoing)) => self.frames_for_none(outgoing, charge, context),
            (None, _) => {}
        }
    }

    /// Frames for which there is no WebSocket, or which may be for any of several. They may wait for one that is to come.
    fn frames_for_none(&mut self, outgoing: Box<Outgoing<K>>, charge: Charge, context: &mut Context<'_, K>) {
        let is_vague = self.websockets.len() + self.repeated.len() + self.detours.carriers() > 1;
        let (awaited, error) = match &outgoing.stream {
            Some(name) if self.streams.get(name).is_some() => (self.repeated.get_mut(name), BadState::NotWebsocket),
            Some(name) => (self.repeated.get_mut(name), BadState::NoStream),
            None if is_vague => (None, BadState::WhichWebsocket),
            None => (self.repeated.values_mut().next(), BadState::NotWebsocket),
        };
        if let Some(reupgrade) = awaited {
            return reupgrade.hold(outgoing, charge, context.sink);
        }
        drop(charge);
        outgoing.refuse_on_stream(context.sink, error);
    }

    /// Whether there was such a WebSocket.
    pub(super) fn cancel_websocket(
        &mut self,
        stream: &K::StreamId,
        caller: &K::Caller,
        context: &mut Context<'_, K>,
    ) -> bool {
        let Some(mut websocket) = self.websockets.remove(stream) else { return false };
        if let Some(stream) = websocket.stream.stream() {
            context.observe(Steps::CANCEL, || Step::Cancel { stream, caller });
        }
        websocket.stream.cancel(context);
        true
    }

    /// An upgrade cannot be asked for.
    pub(super) fn refuse_upgrade(&mut self, entry: Entry<K>, error: BadState, context: &mut Context<'_, K>) {
        let error = StreamError::BadState(error);
        context.sink.event(Event::StreamError { stream: &entry.name, error });
        self.give_up_reupgrade(entry.name.borrow(), context);
    }

    /// The upgrade of this stream is not repeated any more, if it was: what has waited for it is refused. Whether it waited to
    /// be asked for again.
    pub(super) fn give_up_reupgrade(&mut self, stream: &K::StreamId, context: &mut Context<'_, K>) -> bool {
        if let Some(mut reupgrade) = self.repeated.remove(stream) {
            reupgrade.give_up(context.sink, context.status);
        }
        self.postponed.remove(stream)
    }

    /// The peer has agreed to a WebSocket.
    pub(super) fn upgraded(
        &mut self,
        place: Place,
        (status, headers): (StatusCode, HeaderMap),
        recv: RecvStream,
        context: &mut Context<'_, K>,
    ) {
        let Some((entry, mut exchange)) = self.end(place) else { return };
        let (Some(asking), Some(send)) = (exchange.upgrade.take(), exchange.take_sending()) else { return };
        let Asking { asked, options, request } = asking;
        let chosen = match handshake::check_response(&asked, &headers) {
            Ok(chosen) => chosen,
            Err(error) => {
                // The stream is reset as nobody holds it any more.
                let event = Event::StreamError { stream: &entry.name, error: StreamError::Handshake(&error) };
                context.sink.event(event);
                self.give_up_reupgrade(entry.name.borrow(), context);
                return;
            }
        };
        let name: &K::StreamId = entry.name.borrow();
        let name = name.clone();
        let session = Session::new(entry.name, Role::Client, &options, &chosen, false, context);
        let subprotocol = chosen.subprotocol.as_deref();
        let fragments = options.reports_fragments(subprotocol);
        let (stream, headers) = (session.stream(), &headers);
        context.sink.event(Event::Upgraded { stream, status, headers, subprotocol, fragments });
        let mut stream = WsStream::new(session, send, recv, self.options.tcp.send_timeout);
        let repeats = |request| Box::new(Reupgrade::new(name.clone(), request));
        stream.take_over(self.repeated.remove(&name).or_else(|| request.map(repeats)), context);
        if self.shutdown.is_asked() {
            stream.shut_down(context);
        }
        let wakes = Wakes::new(Stream::new(&self.ready, place));
        self.websockets.insert(name, place, Websocket { stream, wakes, held: 0 });
    }

    /// Does what there is to do on the WebSocket at this place, if there is one.
    pub(super) fn poll_websocket(&mut self, place: Place, context: &mut Context<'_, K>) {
        let Some(websocket) = self.websockets.streams.get_mut(&place) else { return self.poll_detour(place, context) };
        let waker = websocket.wakes.begin();
        let poll = websocket.stream.poll(context, &mut TaskContext::from_waker(&waker));
        if context.then == Then::Yield {
            // It is in the list again, behind the others.
            context.then = Then::Rest;
            self.control.spend_turn();
        }
        if context.relay.is_exhausted() {
            self.held.insert(place);
        }
        if websocket.stream.awaits_write() {
            self.websockets.unwritten.push(place);
        }
        match poll {
            Poll::Ready(end) => drop(self.websockets.remove(end.stream.borrow())),
            Poll::Pending => self.websockets.look_at_held(place),
        }
    }

    /// h2 has had its turn: if the peer has taken all of it, whoever waits for that is told.
    pub(super) fn websockets_written(&mut self, context: &mut Context<'_, K>) {
        if self.websockets.unwritten.is_empty() || self.control.blocked_at().is_some() {
            return;
        }
        for place in std::mem::take(&mut self.websockets.unwritten) {
            if let Some(websocket) = self.websockets.streams.get_mut(&place) {
                websocket.stream.written(context);
                websocket.wakes.wake();
            }
        }
    }

    /// The window that the peer is to have on the connection: what single streams hold of it is made up for.
    pub(super) fn window(&self) -> u32 {
        let held = u32::try_from(self.websockets.held.saturating_add(self.unread).saturating_add(self.tunnels.held()))
            .unwrap_or(u32::MAX);
        self.http2.initial_connection_window_size.saturating_add(held).min(MAX_WINDOW)
    }

    /// Begins the graceful end of all.
    pub(super) fn shut_down_websockets(&mut self, context: &mut Context<'_, K>) {
        for websocket in self.websockets.streams.values_mut() {
            websocket.stream.shut_down(context);
            websocket.wakes.wake();
        }
    }

    /// The connection is over.
    pub(super) fn websockets_down(
        &mut self,
        (reason, error): (&DownReason, StreamError<'_>),
        left: &mut Left<K>,
        killed: &mut Vec<K::Stream>,
        context: &mut Context<'_, K>,
    ) {
        for mut websocket in self.websockets.drain() {
            let lost = websocket.stream.lose(again(reason), error, context);
            let Some(WsLeft { stream, reupgrade }) = lost else { continue };
            match reupgrade {
                Some(reupgrade) => left.repeated.push(Repeated { stream, reupgrade, was_open: true }),
                None => killed.push(stream),
            }
        }
        for entry in self.postponed.drain() {
            // There is nothing else that it could be.
            let _ = self.keep_reupgrade(entry, reason, left);
        }
    }

    /// The shutdown waits for them no longer.
    pub(super) fn cut_websockets(&mut self, context: &mut Context<'_, K>) {
        for mut websocket in self.websockets.drain() {
            websocket.stream.lose(DownReason::Normal, StreamError::ShutDown, context);
        }
    }
}

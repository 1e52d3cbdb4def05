//! How a connection that speaks HTTP/1.x ends, or becomes a WebSocket.

use std::borrow::Borrow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::Exchanges;
use super::exchange::{Asking, Exchange};
use crate::error::{BadState, ConnectionError, DownReason, Wait};
use crate::event::{Event, NotSent, StreamError};
use crate::protocol::{Context, Down, Exit, Left, Lost, Opened};
use crate::sink::Sink;
use crate::stream::reupgrade::{Repeated, Reupgrade};
use crate::stream::table::Entry;
use crate::transport::prefixed::prefixed;
use crate::transport::{ByteStream, Io};
use crate::websocket::carrier::Carrier;
use crate::websocket::handshake::Chosen;
use crate::websocket::role::Role;
use crate::websocket::session::Session;

impl<K: Sink> Exchanges<K> {
    /// No request follows those under way, and this is what the end will be. Those that wait are refused, as in gun; those
    /// that are still to come wait for the next connection.
    pub(super) fn end_with(&mut self, reason: DownReason, context: &mut Context<'_, K>) {
        self.last.get_or_insert(reason);
        if !std::mem::replace(&mut self.ending, true) {
            self.refuse_waiting(&StreamError::ConnectionCloses, context);
        }
    }

    /// The response under way is the last one: the server answers none of the requests behind it.
    pub(super) fn end_behind(&mut self, context: &mut Context<'_, K>) {
        self.last.get_or_insert(DownReason::Normal);
        self.ending = true;
        self.refuse_others(&StreamError::ConnectionCloses, context);
    }

    /// The connection is over: each stream receives an error, and `Down` names it.
    pub(super) fn down(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        self.report_part(context);
        self.receipts.fail(NotSent::Down(&reason), context.sink);
        if self.alone
            && let DownReason::Error(error @ ConnectionError::LimitReached(_)) = &reason
        {
            context.sink.event(Event::ConnectionError(error));
        }
        let mut left = Left::nothing();
        let mut killed = Vec::new();
        while let Some((entry, exchange)) = self.streams.end_active() {
            let repeats = entry.repeated && !entry.cancelled && !self.shutdown.is_asked() && is_repeated_after(&reason);
            match self.reupgrade.take_if(|_| repeats) {
                Some(reupgrade) => left.repeated.push(Repeated { stream: entry.name, reupgrade, was_open: false }),
                None => {
                    drop(exchange.charge);
                    if !exchange.told && !entry.cancelled {
                        let error = StreamError::Closed(&reason);
                        context.sink.event(Event::StreamError { stream: &entry.name, error });
                    }
                    killed.push(entry.name);
                }
            }
        }
        for waiting in self.streams.drain_waiting() {
            // A part that somebody waits for is told of as lost, and is not sent after that.
            if self.ending && !waiting.entry.is_awaited() {
                left.requests.push(waiting);
                continue;
            }
            let Entry { name, repeated, .. } = waiting.entry;
            drop(waiting.charge);
            match self.reupgrade.take_if(|_| repeated) {
                Some(reupgrade) => left.repeated.push(Repeated { stream: name, reupgrade, was_open: false }),
                None => {
                    context.sink.event(Event::StreamError { stream: &name, error: StreamError::Closed(&reason) });
                    killed.push(name);
                }
            }
        }
        if let Some(mut reupgrade) = self.reupgrade.take() {
            // The next connection reports to their senders that there is no WebSocket.
            left.frames = reupgrade.abandon(context.status);
        }
        if self.shutdown.is_asked() {
            return Exit::ShutDown;
        }
        Exit::Down(Box::new(Down { reason, killed, closed_by_user: false, served: self.served, left }))
    }

    /// The connection that it stands beside has ended, and it with that: see [`crate::protocol::Protocol::lose`].
    pub(super) fn lose(
        &mut self,
        reason: &DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.report_part(context);
        self.receipts.fail(NotSent::Down(reason), context.sink);
        let mut ended = Vec::new();
        while let Some((entry, exchange)) = self.streams.end_active() {
            ended.push((entry, exchange.told));
        }
        ended.extend(self.streams.drain_waiting().map(|waiting| (waiting.entry, false)));
        let mut lost = Lost::nothing();
        for (entry, told) in ended {
            let repeats = entry.repeated && !entry.cancelled && !self.shutdown.is_asked();
            if let Some(reupgrade) = self.reupgrade.take_if(|_| repeats) {
                lost.left.repeated.push(Repeated { stream: entry.name, reupgrade, was_open: false });
                continue;
            }
            if let Some(error) = error.filter(|_| !told && !entry.cancelled) {
                context.sink.event(Event::StreamError { stream: &entry.name, error });
            }
            lost.killed.push(entry.name);
        }
        if let Some(mut reupgrade) = self.reupgrade.take() {
            lost.left.frames = reupgrade.abandon(context.status);
        }
        lost
    }

    pub(super) fn report_timeout(&mut self, wait: Wait, context: &mut Context<'_, K>) {
        self.report_part(context);
        let Some((entry, exchange)) = self.streams.active_mut() else { return };
        exchange.told = true;
        if !entry.cancelled && !entry.repeated {
            let event = Event::StreamError { stream: &entry.name, error: StreamError::Timeout(wait) };
            context.sink.event(event);
        }
    }

    /// The shutdown waits no longer for the request under way.
    pub(super) fn cut_short(&mut self, context: &mut Context<'_, K>) -> Exit<K> {
        self.report_part(context);
        if let Some((entry, _)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) {
            let event = Event::StreamError { stream: &entry.name, error: StreamError::ShutDown };
            context.sink.event(event);
        }
        self.receipts.fail(NotSent::ShutDown, context.sink);
        Exit::ShutDown
    }

    /// The byte stream leads on to what the request under way has asked for.
    pub(super) fn opened(&mut self, io: Io, context: &mut Context<'_, K>) -> Exit<K> {
        let Some((entry, exchange)) = self.streams.end_active() else {
            return self.down(DownReason::Normal, context);
        };
        let destination = exchange.destination;
        self.give_up_reupgrade(context);
        for waiting in self.streams.drain_waiting() {
            drop(waiting.charge);
            let Some(caller) = waiting.ask.caller() else { continue };
            let stream = &waiting.entry.name;
            context.sink.event(if destination.is_some() {
                Event::StreamError { stream, error: StreamError::BadState(BadState::InTunnel) }
            } else {
                Event::BadState { stream: Some(stream), caller, error: BadState::OnlyRaw }
            });
        }
        let error = if destination.is_some() { BadState::InTunnel } else { BadState::OnlyRaw };
        self.receipts.fail(NotSent::BadState(error), context.sink);
        if self.shutdown.is_asked() {
            return Exit::ShutDown;
        }
        let io = prefixed(self.reader.take_rest(), io);
        let (stream, options, served) = (entry.name, Arc::clone(&self.options), self.served);
        Exit::Through(Box::new(Opened { io, stream, options, destination, served }))
    }

    /// The byte stream is a WebSocket now.
    pub(super) fn upgraded<S: ByteStream>(
        &mut self,
        io: S,
        (headers, chosen): (HeaderMap, Chosen),
        context: &mut Context<'_, K>,
    ) -> Exit<K> {
        let active = self.streams.end_active();
        let Some((entry, Exchange { upgrade: Some(asking), .. })) = active else {
            return self.down(DownReason::Normal, context);
        };
        let Asking { options, request, .. } = asking;
        let name: &K::StreamId = entry.name.borrow();
        let repeats = |request| Box::new(Reupgrade::new(name.clone(), request));
        let mut reupgrade = self.reupgrade.take().or_else(|| request.map(repeats));
        let held = reupgrade.as_mut().map(|reupgrade| reupgrade.take_held()).unwrap_or_default();
        for waiting in self.streams.drain_waiting() {
            drop(waiting.charge);
            if let Some(caller) = waiting.ask.caller() {
                let stream = Some(&waiting.entry.name);
                context.sink.event(Event::BadState { stream, caller, error: BadState::OnlyWebsocket });
            }
        }
        self.receipts.fail(NotSent::BadState(BadState::OnlyWebsocket), context.sink);
        let session = Session::new(entry.name, Role::Client, &options, &chosen, self.alone, context);
        let subprotocol = chosen.subprotocol.as_deref();
        let fragments = options.reports_fragments(subprotocol);
        let (stream, status, headers) = (session.stream(), StatusCode::SWITCHING_PROTOCOLS, &headers);
        context.sink.event(Event::Upgraded { stream, status, headers, subprotocol, fragments });
        let received = self.reader.take_rest();
        let shutdown = self.shutdown.is_asked();
        let mut carrier = Carrier::new(io, received, session, self.options.tcp.send_timeout);
        carrier.take_over(reupgrade, held, shutdown, context);
        Exit::Switch(Box::new(carrier))
    }
}

/// Whether an upgrade is repeated after this: a server that answers wrongly is not asked again.
fn is_repeated_after(reason: &DownReason) -> bool {
    !matches!(
        reason,
        DownReason::Error(ConnectionError::Handshake(_) | ConnectionError::Http(_) | ConnectionError::LimitReached(_))
    )
}

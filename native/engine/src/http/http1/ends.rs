//! How a connection that speaks HTTP/1.x ends, or becomes a WebSocket.

use bytes::Bytes;

use super::exchange::{Asking, Exchange, Stage};
use super::{Exchanges, Hyper};
use crate::error::{BadState, ConnectionError, DownReason, Wait};
use crate::event::{Event, StreamError};
use crate::protocol::{Context, Down, Exit, Left};
use crate::sink::Sink;
use crate::stream::reupgrade::Reupgrade;
use crate::stream::table::Entry;
use crate::transport::ByteStream;
use crate::websocket::carrier::Carrier;
use crate::websocket::role::Role;
use crate::websocket::session::Session;

impl<K: Sink> Exchanges<K> {
    /// No request follows the one under way, and this is what the end will be. Those that wait are refused, as in gun;
    /// those that are still to come wait for the next connection.
    pub(super) fn end_with(&mut self, reason: DownReason, context: &mut Context<'_, K>) {
        self.last.get_or_insert(reason);
        if !std::mem::replace(&mut self.ending, true) {
            self.refuse_waiting(&StreamError::ConnectionCloses, context);
        }
    }

    /// The connection is over: each stream receives an error, and `Down` names it.
    pub(super) fn down(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        self.report_part(context);
        if let DownReason::Error(error @ ConnectionError::LimitReached(_)) = &reason {
            context.sink.event(Event::ConnectionError(error));
        }
        let mut left = Left::nothing();
        let mut killed = Vec::new();
        if let Some((entry, _)) = self.streams.end_active() {
            let repeats = entry.repeated && !entry.cancelled && !self.shutdown.is_asked() && is_repeated_after(&reason);
            match self.reupgrade.take_if(|_| repeats) {
                Some(reupgrade) => left.reupgrade = Some((entry.name, reupgrade)),
                None => {
                    if !is_known_to_stream(&reason) && !entry.cancelled {
                        let error = StreamError::Closed(&reason);
                        context.sink.event(Event::StreamError { stream: &entry.name, error });
                    }
                    killed.push(entry.name);
                }
            }
        }
        for waiting in self.streams.drain_waiting() {
            if self.ending {
                left.requests.push(waiting);
                continue;
            }
            let Entry { name, repeated, .. } = waiting.entry;
            drop(waiting.charge);
            match self.reupgrade.take_if(|_| repeated) {
                Some(reupgrade) => left.reupgrade = Some((name, reupgrade)),
                None => {
                    context.sink.event(Event::StreamError { stream: &name, error: StreamError::Closed(&reason) });
                    killed.push(name);
                }
            }
        }
        if let Some(mut reupgrade) = self.reupgrade.take() {
            // The next connection reports to their senders that there is no WebSocket.
            left.frames = reupgrade.take_held();
        }
        if self.shutdown.is_asked() {
            return Exit::ShutDown;
        }
        Exit::Down(Box::new(Down { reason, killed, closed_by_user: false, served: self.served, left }))
    }

    pub(super) fn report_timeout(&mut self, wait: Wait, context: &mut Context<'_, K>) {
        self.report_part(context);
        let active = self.streams.active().filter(|(entry, _)| !entry.cancelled && !entry.repeated);
        if let Some((entry, _)) = active {
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
        Exit::ShutDown
    }

    /// The byte stream is a WebSocket now.
    pub(super) fn upgraded<S: ByteStream>(&mut self, dispatcher: Hyper<S>, context: &mut Context<'_, K>) -> Exit<K> {
        let parts = dispatcher.into_parts();
        let active = self.streams.end_active();
        let Some((entry, Exchange { upgrade: Some(asking), stage: Stage::Switching(headers, chosen), .. })) = active
        else {
            return self.down(DownReason::Normal, context);
        };
        let Asking { options, request, .. } = asking;
        let mut reupgrade = self.reupgrade.take().or_else(|| request.map(|request| Box::new(Reupgrade::new(request))));
        let held = reupgrade.as_mut().map(|reupgrade| reupgrade.take_held()).unwrap_or_default();
        for waiting in self.streams.drain_waiting() {
            drop(waiting.charge);
            if let Some(caller) = waiting.ask.caller() {
                let stream = Some(&waiting.entry.name);
                context.sink.event(Event::BadState { stream, caller, error: BadState::OnlyWebsocket });
            }
        }
        let session = Session::new(entry.name, Role::Client, &options, &chosen, true, context);
        let subprotocol = chosen.subprotocol.as_deref();
        let fragments = options.reports_fragments(subprotocol);
        context.sink.event(Event::Upgraded { stream: session.stream(), headers: &headers, subprotocol, fragments });
        let io = parts.io.into_inner().into_inner();
        // An empty slice of hyper's buffer would hold all of it for as long as the session lives.
        let received = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
        let shutdown = self.shutdown.is_asked();
        Exit::Switch(Box::new(Carrier::new(io, received, session, reupgrade, held, shutdown, context)))
    }
}

/// Whether a stream that is at fault itself knows it already.
fn is_known_to_stream(reason: &DownReason) -> bool {
    matches!(
        reason,
        DownReason::Error(
            ConnectionError::Handshake(_) | ConnectionError::RequestTooShort | ConnectionError::Timeout(_)
        )
    )
}

/// Whether an upgrade is repeated after this: a server that answers wrongly is not asked again.
fn is_repeated_after(reason: &DownReason) -> bool {
    !matches!(
        reason,
        DownReason::Error(ConnectionError::Handshake(_) | ConnectionError::Http(_) | ConnectionError::LimitReached(_))
    )
}

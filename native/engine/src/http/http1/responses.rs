//! What the server answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use tokio::time::Instant;

use super::exchange::{Part, Stage};
use super::headers::{headers_len, last_after, switches};
use super::reader::{Asked, Fault, Length, Piece, ResponseHead};
use super::{EVENT, Exchanges, is_held_up};
use crate::error::{ConnectionError, DownReason, Wait};
use crate::event::step::Step;
use crate::event::{Event, StreamError};
use crate::http::deadline::Deadline;
use crate::options::{HttpVersion, Steps};
use crate::protocol::Context;
use crate::sink::Sink;
use crate::websocket::handshake::{self, Chosen};

/// What has come of what was received.
pub(super) enum Taken {
    /// There may be more.
    Piece,
    /// Nothing more for now.
    Nothing,
    /// The connection is over by it.
    Over(DownReason),
    /// The handshake is complete: the byte stream is a WebSocket.
    Switch(HeaderMap, Chosen),
    /// The byte stream leads on to something else.
    Through,
}

impl From<Fault> for Taken {
    fn from(fault: Fault) -> Self {
        Self::Over(fault.into())
    }
}

impl<K: Sink> Exchanges<K> {
    /// Takes the next of what was received.
    pub(super) fn take(&mut self, context: &mut Context<'_, K>) -> Taken {
        let Some((entry, exchange)) = self.streams.active() else {
            // A peer that speaks unasked is left without a fuss, as gun does it.
            return if self.reader.is_empty() { Taken::Nothing } else { Taken::Over(DownReason::Normal) };
        };
        let relayed = context.relay.is_exhausted() && !entry.cancelled;
        if relayed || exchange.stage == Stage::Body && is_held_up(entry, context.relay) {
            self.report_part(context);
            return Taken::Nothing;
        }
        let unasked = self.writer.written() <= exchange.start || self.reader.began() < exchange.asked_at;
        if exchange.stage == Stage::Head && unasked && !self.reader.is_empty() {
            return Fault::Unasked.into();
        }
        match self.reader.next_piece() {
            Ok(Some(piece)) => self.piece(piece, context),
            Ok(None) => {
                self.report_part(context);
                Taken::Nothing
            }
            Err(fault) => {
                self.report_part(context);
                fault.into()
            }
        }
    }

    /// The server has closed its side: whether that is the end of a body.
    pub(super) fn take_end(&mut self, context: &mut Context<'_, K>) -> bool {
        self.report_part(context);
        let Some(Piece::Data { data, fin }) = self.reader.end() else { return false };
        self.data_came(data, fin, context);
        true
    }

    fn piece(&mut self, piece: Piece, context: &mut Context<'_, K>) -> Taken {
        self.turn = self.turn.saturating_sub(EVENT);
        match piece {
            Piece::Inform(status, headers) => self.inform(status, &headers, context),
            Piece::Head(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                return self.switching(head.headers, context);
            }
            Piece::Head(head) if self.succeeds(&head) => return self.tunnel_opens(&head, context),
            Piece::Head(head) => {
                if let Some(reason) = self.response(head, context) {
                    return Taken::Over(reason);
                }
            }
            Piece::Data { data, fin } => self.data_came(data, fin, context),
            Piece::Trailers(trailers) => {
                self.report_part(context);
                self.trailers(&trailers, context);
            }
        }
        Taken::Piece
    }

    fn inform(&mut self, status: StatusCode, headers: &HeaderMap, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active() else { return };
        if entry.cancelled {
            return context.observe(Steps::RESPONSE_START, || Step::SilentResponse { stream: &entry.name });
        }
        context.sink.event(Event::Inform { stream: &entry.name, status, headers });
        self.reported(headers_len(headers), context);
    }

    /// An event of `len` bytes was reported for the response under way: a relay is asked whether it keeps up.
    fn reported(&self, len: usize, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) else { return };
        if context.sink.relays(&entry.name) {
            context.relay.spend(len);
            if context.relay.ask().is_some() {
                context.sink.event(Event::RelayCheck);
            }
        }
    }

    fn response(&mut self, head: ResponseHead, context: &mut Context<'_, K>) -> Option<DownReason> {
        let (entry, exchange) = self.streams.active_mut()?;
        let retried = self.reupgrade.as_ref().filter(|_| entry.repeated && !entry.cancelled);
        if let Some(refusal) = retried.and_then(|reupgrade| reupgrade.verdict(head.status, &head.headers)) {
            return Some(ConnectionError::Refused(refusal).into());
        }
        let fin = head.length == Length::Exact(0);
        if !entry.cancelled {
            let (stream, status, headers) = (&entry.name, head.status, &head.headers);
            context.sink.event(Event::Response { stream, fin, status, headers });
        } else {
            context.observe(Steps::RESPONSE_START, || Step::SilentResponse { stream: &entry.name });
        }
        exchange.stage = Stage::Body;
        self.deadline = Deadline::new(Wait::Body, entry.timeouts.body);
        let refused = std::mem::take(&mut entry.repeated);
        (self.http10, self.served) = (head.version == Version::HTTP_10, true);
        if refused {
            self.give_up_reupgrade(context);
        }
        // A server that keeps an HTTP/1.0 connection alive says so, of whatever version it is itself.
        let version = match self.options.http.version {
            HttpVersion::Http10 => Version::HTTP_10,
            HttpVersion::Http11 => head.version,
        };
        let sized = matches!(head.length, Length::Exact(_));
        match last_after(version, &head.headers, sized) {
            Some(DownReason::Normal) => self.end_behind(context),
            // The peer decides where the body ends. As in gun, the other requests end with it.
            Some(reason) => {
                self.last.get_or_insert(reason);
            }
            None => {}
        }
        self.reported(headers_len(&head.headers), context);
        if fin {
            self.response_ends(context);
        }
        None
    }

    /// Whether the proxy has opened the tunnel that the request under way has asked for.
    fn succeeds(&self, head: &ResponseHead) -> bool {
        let asked = self.streams.active().is_some_and(|(_, exchange)| exchange.asked == Asked::Connect);
        asked && head.status.is_success()
    }

    /// What follows is the tunnel, whatever the headers say of a body.
    fn tunnel_opens(&mut self, head: &ResponseHead, context: &mut Context<'_, K>) -> Taken {
        self.served = true;
        let Some((entry, _)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) else {
            // Nobody wants the tunnel any more, and the proxy's HTTP it is not either.
            return Taken::Over(DownReason::Normal);
        };
        let (stream, status, headers) = (&entry.name, head.status, &head.headers);
        context.sink.event(Event::Response { stream, fin: true, status, headers });
        self.reported(headers_len(headers), context);
        Taken::Through
    }

    /// The server switches to another protocol.
    fn switching(&mut self, headers: HeaderMap, context: &mut Context<'_, K>) -> Taken {
        let len = headers_len(&headers);
        let Some((entry, exchange)) = self.streams.active_mut() else { return Taken::Nothing };
        let Some(asking) = &exchange.upgrade else {
            // What is left of the request would be taken for the other protocol.
            let is_sent = exchange.end.is_some_and(|end| end <= self.writer.written());
            if !is_sent || !exchange.offers.as_ref().is_some_and(|offered| switches(offered, &headers)) {
                return Fault::UnaskedSwitch.into();
            }
            if entry.cancelled {
                return Taken::Over(DownReason::Normal);
            }
            context.sink.event(Event::Switched { stream: &entry.name, headers: &headers });
            self.reported(len, context);
            return Taken::Through;
        };
        // Nobody wants the WebSocket any more, and HTTP it is not either.
        if entry.cancelled {
            return Taken::Over(DownReason::Normal);
        }
        match handshake::check_response(&asking.asked, &headers) {
            Ok(chosen) => {
                self.reported(len, context);
                Taken::Switch(headers, chosen)
            }
            Err(error) => {
                exchange.told = true;
                let event = Event::StreamError { stream: &entry.name, error: StreamError::Handshake(&error) };
                context.sink.event(event);
                Taken::Over(ConnectionError::Handshake(error).into())
            }
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active() else { return };
        if !entry.cancelled {
            context.sink.event(Event::Trailers { stream: &entry.name, trailers });
        }
        self.reported(headers_len(trailers), context);
        self.response_ends(context);
    }

    /// Takes a part of the body; it is reported when nothing more of the same read can follow.
    fn data_came(&mut self, data: Bytes, fin: bool, context: &mut Context<'_, K>) {
        if let Some(deadline) = &mut self.deadline {
            deadline.restart(Instant::now());
        }
        let len = data.len();
        let Some((entry, exchange)) = self.streams.active_mut() else { return };
        match &mut exchange.part {
            Some(part) => {
                part.append(&data);
                part.fin |= fin;
            }
            None => exchange.part = Some(Part::new(data, fin)),
        }
        if !entry.cancelled && context.sink.relays(&entry.name) {
            // The relay may have work with each chunk, so each counts. What the question is about is reported first.
            context.relay.spend(len);
            let asks = context.relay.ask().is_some();
            if asks || context.relay.is_exhausted() {
                self.report_part(context);
            }
            if asks {
                context.sink.event(Event::RelayCheck);
            }
        }
        if fin {
            self.report_part(context);
        }
    }

    /// Reports what came of the body and is not reported yet.
    pub(super) fn report_part(&mut self, context: &mut Context<'_, K>) {
        let Some((entry, exchange)) = self.streams.active_mut() else { return };
        let Some(part) = exchange.part.take() else { return };
        let fin = part.fin;
        if !entry.cancelled {
            let data = part.into_data();
            let (sink, stream, len) = (&mut *context.sink, &entry.name, data.len());
            entry.credit.spend(len);
            sink.event(Event::Data { stream, fin, data });
            if !fin && let Some((messages, bytes)) = entry.credit.ask() {
                sink.event(Event::FlowCheck { stream, messages, bytes });
            }
        }
        if fin {
            self.response_ends(context);
        }
    }

    /// The response under way is over; the next one is that of the request behind it.
    fn response_ends(&mut self, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active() else { return };
        if entry.cancelled {
            context.observe(Steps::RESPONSE_END, || Step::SilentResponseEnd { stream: &entry.name });
        }
        // A server that answers before it has the whole request may leave the rest unread.
        if entry.upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
            self.end_with(DownReason::Normal, context);
        }
        self.streams.end_active();
        self.begin_oldest();
    }
}

//! What the server answers.

use std::sync::PoisonError;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::deadline::{Deadline, alarm};
use super::exchange::{Part, Progress, Stage};
use super::faults::{TRAILERS_TOO_LARGE, down_reason};
use super::headers::{headers_len, last_after};
use super::{Exchanges, is_held_up};
use crate::error::{ConnectionError, DownReason, Wait};
use crate::event::{Event, StreamError};
use crate::options::HttpVersion;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::websocket::handshake;

impl<K: Sink> Exchanges<K> {
    /// Takes what has come of the request under way; the reason if the connection is over by it.
    pub(super) fn progress(&mut self, progress: Progress, context: &mut Context<'_, K>) -> Option<DownReason> {
        // They came before it.
        self.inform(context);
        self.control.spend_event();
        match progress {
            Progress::Data { data, fin } => self.data_came(data, fin, context),
            Progress::Whole => self.report_part(context),
            Progress::Response(Ok(response)) => {
                self.report_part(context);
                return self.response(response, context);
            }
            Progress::Trailers(trailers) => {
                self.report_part(context);
                return self.trailers(&trailers, context);
            }
            Progress::Response(Err(error)) | Progress::Failed(error) => {
                self.report_part(context);
                return Some(down_reason(&error, &self.control));
            }
        }
        None
    }

    /// Reports the informational responses that hyper has come upon.
    pub(super) fn inform(&mut self, context: &mut Context<'_, K>) {
        let informs = std::mem::take(&mut *self.informs.lock().unwrap_or_else(PoisonError::into_inner));
        for (status, headers) in &informs {
            let Some((entry, _)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) else { return };
            context.sink.event(Event::Inform { stream: &entry.name, status: *status, headers });
            self.control.spend_event();
            self.reported(headers_len(headers), context);
        }
    }

    /// An event of `len` bytes was reported for the request under way: a relay is asked whether it keeps up.
    fn reported(&self, len: usize, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) else { return };
        if context.sink.relays(&entry.name) {
            context.relay.spend(len);
            if context.relay.ask().is_some() {
                context.sink.event(Event::RelayCheck);
            }
        }
    }

    fn response(&mut self, response: http::Response<Incoming>, context: &mut Context<'_, K>) -> Option<DownReason> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switching(response.into_parts().0.headers, context);
        }
        let (entry, exchange) = self.streams.active_mut()?;
        let (head, body) = response.into_parts();
        let retried = self.reupgrade.as_ref().filter(|_| entry.repeated && !entry.cancelled);
        if let Some(refusal) = retried.and_then(|reupgrade| reupgrade.verdict(head.status, &head.headers)) {
            return Some(ConnectionError::Refused(refusal).into());
        }
        let fin = body.is_end_stream();
        let sized = fin || body.size_hint().exact().is_some();
        if !entry.cancelled {
            let (stream, status, headers) = (&entry.name, head.status, &head.headers);
            context.sink.event(Event::Response { stream, fin, status, headers });
        }
        exchange.stage = Stage::Body(body);
        self.deadline = Deadline::new(Wait::Body, entry.timeouts.body);
        let refused = std::mem::take(&mut entry.repeated);
        (self.http10, self.served) = (head.version == Version::HTTP_10, true);
        if refused {
            self.give_up_reupgrade(context);
        }
        // A server that keeps an HTTP/1.0 connection alive says so, of whatever version it is itself.
        let version = match context.options.http.version {
            HttpVersion::Http10 => Version::HTTP_10,
            HttpVersion::Http11 => head.version,
        };
        match last_after(version, &head.headers, sized) {
            Some(DownReason::Normal) => self.end_with(DownReason::Normal, context),
            // The peer decides where the body ends. As in gun, waiting requests end with it.
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

    /// The server switches to another protocol.
    fn switching(&mut self, headers: HeaderMap, context: &mut Context<'_, K>) -> Option<DownReason> {
        let len = headers_len(&headers);
        let (entry, exchange) = self.streams.active_mut()?;
        let Some(asking) = &exchange.upgrade else {
            return Some(ConnectionError::Http("nobody asked to switch protocols".into()).into());
        };
        // Nobody wants the WebSocket any more, and HTTP it is not either.
        if entry.cancelled {
            return Some(DownReason::Normal);
        }
        match handshake::check_response(&asking.asked, &headers) {
            Ok(chosen) => exchange.stage = Stage::Switching(headers, chosen),
            Err(error) => {
                let event = Event::StreamError { stream: &entry.name, error: StreamError::Handshake(&error) };
                context.sink.event(event);
                return Some(ConnectionError::Handshake(error).into());
            }
        }
        self.deadline = None;
        self.reported(len, context);
        None
    }

    fn trailers(&mut self, trailers: &HeaderMap, context: &mut Context<'_, K>) -> Option<DownReason> {
        let len = headers_len(trailers);
        if len > context.options.http.max_trailer_block_size {
            return Some(ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into());
        }
        let (entry, _) = self.streams.active()?;
        if !entry.cancelled {
            context.sink.event(Event::Trailers { stream: &entry.name, trailers });
        }
        self.reported(len, context);
        self.response_ends(context);
        None
    }

    /// Takes a part of the body; it is reported when nothing more of the same read can follow.
    fn data_came(&mut self, data: Bytes, fin: bool, context: &mut Context<'_, K>) {
        if let Some(deadline) = &mut self.deadline {
            deadline.restart(Instant::now());
        }
        let (reads, reads_done) = (self.control.reads(), self.control.reads_done());
        let (ends, len) = (data.is_empty(), data.len());
        // hyper looks for what follows a response as soon as it has found the end.
        let later = |part: &Part| {
            let later = if ends { part.reads_done != reads_done } else { part.reads != reads };
            later && !part.fin
        };
        if self.streams.active().and_then(|(_, exchange)| exchange.part.as_ref()).is_some_and(later) {
            self.report_part(context);
        }
        let Some((entry, exchange)) = self.streams.active_mut() else { return };
        match &mut exchange.part {
            Some(part) => {
                part.append(&data);
                part.fin |= fin;
            }
            None => exchange.part = Some(Part::new(data, fin, &self.control)),
        }
        let ends = fin && !is_held_up(entry, context.relay);
        let free = !entry.credit.is_held_up();
        if !entry.cancelled && context.sink.relays(&entry.name) {
            // The relay may have work with each chunk, so each counts. What the question is about is reported first.
            context.relay.spend(len);
            let asks = context.relay.ask().is_some();
            if (asks || context.relay.is_exhausted()) && free {
                self.report_part(context);
            }
            if asks {
                context.sink.event(Event::RelayCheck);
            }
        }
        if ends {
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

    fn response_ends(&mut self, context: &mut Context<'_, K>) {
        let Some((entry, _)) = self.streams.active() else { return };
        // A server that answers before it has the whole request may leave the rest unread.
        if entry.upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
            self.end_with(DownReason::Normal, context);
        }
        self.streams.end_active();
        self.deadline = None;
        self.keepalive = context.options.http.keepalive.map(alarm);
    }
}

//! What the server answers.

use std::borrow::Borrow;
use std::task::Context as TaskContext;

use bytes::Bytes;
use h2::client::PushPromise;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Instant;

use super::Exchanges;
use super::download::{Came, Download};
use super::exchange::{Exchange, Progress, Stage, Wakes, headers_len};
use super::faults::{Failure, from_reason};
use super::ready::Stream;
use crate::account::Charge;
use crate::error::Wait;
use crate::error::http2::{Http2Code, Http2Fault};
use crate::event::step::Step;
use crate::event::{Event, Promise, StreamError};
use crate::http::deadline::{Deadline, is_due};
use crate::http::queued::{entry, refuse};
use crate::options::Steps;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::credit::Window;
use crate::stream::table::{Entry, Place};

/// More headers than a response may have.
const TOO_MANY_HEADERS: Http2Fault = Http2Fault {
    code: Http2Code::EnhanceYourCalm,
    text: "The number of headers is larger than max_headers. (RFC7540 10.5.1)",
};

/// More informational responses than may come before one.
const TOO_MANY_INFORMS: Http2Fault = Http2Fault {
    code: Http2Code::EnhanceYourCalm,
    text: "The peer has sent more informational responses than max_informs.",
};

/// A response that HTTP/2 does not have.
const SWITCHING_PROTOCOLS: Http2Fault =
    Http2Fault { code: Http2Code::ProtocolError, text: "The peer has sent a 101 response. (RFC9113 8.6)" };

impl<K: Sink> Exchanges<K> {
    /// Does what there is to do on a stream that was woken.
    pub(super) fn poll_stream(&mut self, place: Place, context: &mut Context<'_, K>) {
        let Some((_, exchange)) = self.streams.active_at(place) else {
            return self.poll_websocket(place, context);
        };
        let waker = exchange.wakes.begin();
        let mut cx = TaskContext::from_waker(&waker);
        loop {
            let Some((entry, exchange)) = self.streams.active_at(place) else { return };
            let relay_waits = context.relay.is_exhausted();
            let held_up = relay_waits || entry.credit.is_held_up();
            let was_held_up = std::mem::replace(&mut exchange.held_up, held_up);
            if let Some(deadline) = &mut exchange.deadline
                && deadline.wait == Wait::Body
                && was_held_up
                && !held_up
            {
                // The peer was held back: its time for the next part begins only now.
                deadline.restart(Instant::now());
            }
            if relay_waits {
                self.held.insert(place);
            }
            let Some((entry, exchange)) = self.streams.active_at(place) else { return };
            let poll = exchange.poll(held_up, relay_waits, &mut cx);
            if exchange.has_just_sent() {
                context.observe(Steps::REQUEST_END, || Step::RequestEnd { stream: &entry.name });
            }
            let std::task::Poll::Ready(progress) = poll else { break };
            self.progress(place, progress, context);
        }
        if let Some((_, exchange)) = self.streams.active_at(place) {
            let (before, now) = exchange.look_at_held();
            self.unread = (self.unread + now).saturating_sub(before);
        }
        self.watch_deadline(place, &mut cx, context);
    }

    /// Takes what has come of a stream.
    fn progress(&mut self, place: Place, progress: Progress, context: &mut Context<'_, K>) {
        self.control.spend_event();
        match progress {
            Progress::Promise(promise) => self.promise(place, promise, context),
            Progress::Inform(inform) => self.inform(place, &inform, context),
            Progress::Response(response) => self.response(place, response, context),
            Progress::Came(Came::Data { data, fin }) => self.data_came(place, data, fin, context),
            Progress::Came(Came::Trailers(trailers)) => self.trailers(place, &trailers, context),
            Progress::Came(Came::Failed(error)) | Progress::Failed(error) => {
                self.failed(place, Failure::from(&error), context);
            }
            Progress::Reset(reason) => self.failed(place, Failure::Reset(from_reason(reason)), context),
            Progress::Over => {
                self.end(place);
            }
        }
    }

    /// An event of `len` bytes was reported: a relay is asked whether it keeps up.
    pub(super) fn reported(&self, name: &K::Stream, len: usize, context: &mut Context<'_, K>) {
        if context.sink.relays(name) {
            context.relay.spend(len);
            if context.relay.ask().is_some() {
                context.sink.event(Event::RelayCheck);
            }
        }
    }

    /// Whether there are more headers than may be, which ends the connection.
    fn has_too_many(&mut self, headers: &HeaderMap) -> bool {
        let too_many = headers.len() > self.http2.max_headers as usize;
        if too_many {
            self.fail(TOO_MANY_HEADERS);
        }
        too_many
    }

    fn inform(&mut self, place: Place, inform: &Response<()>, context: &mut Context<'_, K>) {
        if self.has_too_many(inform.headers()) {
            return self.lose(place);
        }
        let most = self.http2.max_informs;
        let Some((entry, exchange)) = self.streams.active_at(place) else { return };
        exchange.informs = exchange.informs.saturating_add(1);
        if exchange.informs > most {
            return self.failed(place, Failure::Fault(TOO_MANY_INFORMS), context);
        }
        if inform.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.failed(place, Failure::Fault(SWITCHING_PROTOCOLS), context);
        }
        let (stream, status, headers) = (&entry.name, inform.status(), inform.headers());
        context.sink.event(Event::Inform { stream, status, headers });
        let len = headers_len(headers);
        if let Some((entry, _)) = self.streams.get_active(place) {
            self.reported(&entry.name, len, context);
        }
    }

    fn response(&mut self, place: Place, response: Response<RecvStream>, context: &mut Context<'_, K>) {
        if self.has_too_many(response.headers()) {
            return self.lose(place);
        }
        self.served = true;
        let (head, recv) = response.into_parts();
        let fin = recv.is_end_stream();
        let Some((entry, exchange)) = self.streams.active_at(place) else { return };
        if exchange.upgrade.is_some() && head.status.is_success() && !fin {
            return self.upgraded(place, (head.status, head.headers), recv, context);
        }
        if exchange.tunnel.is_some() && head.status.is_success() && !fin {
            return self.opened(place, (head.status, head.headers), recv, context);
        }
        if entry.repeated {
            let reupgrade = self.repeated.get(entry.name.borrow());
            if let Some(refusal) = reupgrade.and_then(|reupgrade| reupgrade.verdict(head.status, &head.headers)) {
                return self.postpone(place, refusal);
            }
        }
        if exchange.upgrade.take().is_some() || exchange.tunnel.take().is_some() {
            exchange.end_request();
        }
        let refused = std::mem::take(&mut entry.repeated).then(|| entry.name.borrow().clone());
        let (stream, status, headers) = (&entry.name, head.status, &head.headers);
        context.sink.event(Event::Response { stream, fin, status, headers });
        exchange.deadline = Deadline::new(Wait::Body, entry.timeouts.body).filter(|_| !fin);
        exchange.stage = if fin { Stage::Answered } else { Stage::Body(Download::new(recv)) };
        if let Some(name) = refused {
            self.give_up_reupgrade(&name, context);
        }
        if let Some((entry, _)) = self.streams.get_active(place) {
            self.reported(&entry.name, headers_len(&head.headers), context);
        }
    }

    fn trailers(&mut self, place: Place, trailers: &HeaderMap, context: &mut Context<'_, K>) {
        if self.has_too_many(trailers) {
            return self.lose(place);
        }
        let Some((entry, exchange)) = self.streams.active_at(place) else { return };
        context.sink.event(Event::Trailers { stream: &entry.name, trailers });
        (exchange.stage, exchange.deadline) = (Stage::Answered, None);
        if let Some((entry, _)) = self.streams.get_active(place) {
            self.reported(&entry.name, headers_len(trailers), context);
        }
    }

    pub(super) fn data_came(&mut self, place: Place, data: Bytes, fin: bool, context: &mut Context<'_, K>) {
        let Some((entry, exchange)) = self.streams.active_at(place) else { return };
        if let Some(deadline) = &mut exchange.deadline {
            deadline.restart(Instant::now());
        }
        let len = data.len();
        entry.credit.spend(len);
        let (sink, stream) = (&mut *context.sink, &entry.name);
        sink.event(Event::Data { stream, fin, data });
        if !fin && let Some((messages, bytes)) = entry.credit.ask() {
            sink.event(Event::FlowCheck { stream, messages, bytes });
        }
        if fin {
            (exchange.stage, exchange.deadline) = (Stage::Answered, None);
        }
        if let Some((entry, _)) = self.streams.get_active(place) {
            self.reported(&entry.name, len, context);
        }
    }

    /// A response that the peer pushes, or would.
    fn promise(&mut self, place: Place, promise: PushPromise, context: &mut Context<'_, K>) {
        let (request, response) = promise.into_parts();
        self.last_pushed = self.last_pushed.max(response.stream_id().as_u32());
        if self.has_too_many(request.headers()) {
            return;
        }
        let Some((parent, exchange)) = self.streams.active_at(place) else { return };
        let uri = request.uri();
        // What it is not an authority for, it may not answer (RFC 9113, 10.1).
        let is_foreign = uri.scheme() != Some(&self.scheme) || uri.authority() != Some(&exchange.authority);
        let promise = Promise { method: request.method(), uri, headers: request.headers() };
        if is_foreign || self.shutdown.is_asked() || self.going_away {
            let refused = Steps::PUSH_PROMISE_START.with(Steps::PUSH_PROMISE_END);
            return context.observe(refused, || Step::PromiseRefused { parent: &parent.name, promise });
        }
        let Some(name) = context.sink.promise(&parent.name, promise) else { return };
        let (timeouts, flow, authority) = (parent.timeouts, parent.credit.flow(), exchange.authority.clone());
        let entry: Entry<K> = entry(name, flow, timeouts, context);
        let place = self.streams.next_place();
        let wakes = Wakes::new(Stream::new(&self.ready, place));
        let mut exchange = Exchange::pushed(wakes, response, authority);
        exchange.deadline = Deadline::new(Wait::Response, timeouts.answer);
        self.streams.activate(place, entry, exchange);
        self.pushed += 1;
    }

    /// A stream has failed.
    fn failed(&mut self, place: Place, failure: Failure, context: &mut Context<'_, K>) {
        let error = match failure {
            Failure::Reset(code) => StreamError::Reset(code),
            Failure::Fault(fault) => StreamError::Fault(fault),
            Failure::GoAway(code) => StreamError::GoAway(code),
            Failure::Connection => return self.lose(place),
        };
        let reason = if matches!(failure, Failure::Fault(_)) { Reason::PROTOCOL_ERROR } else { Reason::CANCEL };
        if let Some((entry, _)) = self.reset_at(place, reason) {
            self.give_up_reupgrade(entry.name.borrow(), context);
            context.sink.event(Event::StreamError { stream: &entry.name, error });
        }
    }

    /// A stream ends with the connection.
    fn lose(&mut self, place: Place) {
        if let Some((_, exchange)) = self.streams.active_at(place) {
            (exchange.stage, exchange.deadline) = (Stage::Lost, None);
        }
    }

    /// Resets the stream at this place, and forgets it.
    pub(super) fn reset_at(&mut self, place: Place, reason: Reason) -> Option<(Entry<K>, Exchange)> {
        let (entry, mut exchange) = self.end(place)?;
        exchange.reset(reason);
        Some((entry, exchange))
    }

    /// The stream at this place is over.
    pub(super) fn end(&mut self, place: Place) -> Option<(Entry<K>, Exchange)> {
        let ended = self.streams.end_at(place)?;
        self.pushed -= usize::from(ended.1.is_pushed()).min(self.pushed);
        self.unread -= ended.1.held().min(self.unread);
        Some(ended)
    }

    /// Ends the streams whose time is over.
    pub(super) fn end_late(&mut self, context: &mut Context<'_, K>) {
        let now = Instant::now();
        while let Some(place) = self.streams.take_late(now) {
            let error = StreamError::Timeout(Wait::Whole);
            match self.streams.get_active(place).map(|(_, exchange)| &exchange.stage) {
                // Its response has come, or ends with the connection.
                Some(Stage::Answered | Stage::Lost) => {}
                Some(_) => {
                    if let Some((entry, _)) = self.reset_at(place, Reason::CANCEL) {
                        refuse(&entry.name, error, Charge::default(), context);
                    }
                }
                None => {
                    if let Some(waiting) = self.streams.remove_waiting_at(place) {
                        refuse(&waiting.entry.name, error, waiting.charge, context);
                    }
                }
            }
        }
    }

    /// A stream has waited as long as it may, unless it isn't the peer that it has waited for.
    fn watch_deadline(&mut self, place: Place, cx: &mut TaskContext<'_>, context: &mut Context<'_, K>) {
        loop {
            let blocked_since = self.control.blocked_at().map(|_| self.control.wrote_at());
            let Some((entry, exchange)) = self.streams.active_at(place) else { return };
            let asked_at = exchange.asked_at();
            let Some(deadline) = &mut exchange.deadline else { return };
            if !is_due(Some(&mut deadline.timer), cx) {
                return;
            }
            let now = Instant::now();
            let from = match deadline.wait {
                Wait::Upgrade | Wait::Response if context.relay.is_exhausted() => now,
                // A peer that takes the request is not expected to answer it yet.
                Wait::Upgrade | Wait::Response => {
                    asked_at.map_or(now, |at| blocked_since.map_or(at, |since| since.max(at)))
                }
                Wait::Body if is_held_up(entry, context.relay) => now,
                // The whole of a response has a timer of its own.
                Wait::Body | Wait::Whole => now - deadline.limit,
            };
            if from + deadline.limit <= now {
                let wait = deadline.wait;
                if let Some((entry, _)) = self.reset_at(place, Reason::CANCEL) {
                    self.give_up_reupgrade(entry.name.borrow(), context);
                    let event = Event::StreamError { stream: &entry.name, error: StreamError::Timeout(wait) };
                    context.sink.event(event);
                }
                return;
            }
            deadline.restart(from);
        }
    }
}

/// Whether no part of the response's body is taken until those who receive it allow more.
fn is_held_up<K: Sink>(entry: &Entry<K>, relay: &Window) -> bool {
    relay.is_exhausted() || entry.credit.is_held_up()
}

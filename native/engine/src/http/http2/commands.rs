//! What the user asks of a connection that speaks HTTP/2.

use std::borrow::Borrow;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use h2::Reason;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderValue, Method, Request as HttpRequest};

use super::Exchanges;
use super::exchange::{Exchange, Wakes};
use super::head::{self, Origin};
use super::ready::Stream;
use super::upload::Sending;
use super::websockets::{Asking, request_of_upgrade};
use crate::account::Charge;
use crate::command::{Body, Ping, Request, RequestData, StreamCommand, Upgrade};
use crate::error::{BadState, Wait};
use crate::event::step::{RequestHead, Step};
use crate::event::{Event, StreamError, StreamInfo};
use crate::http::deadline::Deadline;
use crate::http::observed::observe_request;
use crate::http::queued::{entry, refuse};
use crate::options::{Steps, TooManyStreams};
use crate::protocol::{Context, Left};
use crate::sink::Sink;
use crate::stream::credit::Credit;
use crate::stream::receipts::Ticket;
use crate::stream::reupgrade::UpgradeRequest;
use crate::stream::table::{Ask, Entry, Place, Timeouts, Waiting};
use crate::stream::upload::{Upload, UploadBody};

/// The head of a request, its body, and the upgrade that it asks for.
struct Prepared {
    head: Result<HttpRequest<()>, http::Error>,
    body: UploadBody,
    upgrade: Option<Asking>,
}

impl<K: Sink> Exchanges<K> {
    /// Takes over what the connection before has left.
    pub(super) fn take_over(&mut self, left: Left<K>, context: &mut Context<'_, K>) {
        let Left { repeated, requests, frames, .. } = left;
        for waiting in requests {
            self.wait(waiting, context);
        }
        self.take_over_upgrades(repeated, frames, context);
    }

    pub(super) fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        if let Some(place) = self.tunnels.find(command.named()) {
            return self.tunnel_command(place, command, charge, context);
        }
        match command {
            StreamCommand::Request(request) => self.request(*request, charge, context),
            StreamCommand::Upgrade(upgrade) => self.upgrade(*upgrade, charge, context),
            StreamCommand::Data(data) => self.data(*data, charge, context),
            StreamCommand::Cancel(cancel) => self.cancel(&cancel.0, &cancel.1, context),
            StreamCommand::Info(asked) if !self.is_websocket(&asked.0) && !self.detours.contains(&asked.0) => {
                self.info(&asked.0, &asked.1, context)
            }
            StreamCommand::UpdateFlow(Some(stream), parts) if self.streams.get(&stream).is_some() => {
                self.with_credit(&stream, |credit| credit.update(parts));
            }
            StreamCommand::FlowGrant(stream) if self.streams.get(&stream).is_some() => {
                self.with_credit(&stream, Credit::grant);
            }
            command => self.websocket_command(command, charge, context),
        }
    }

    pub(super) fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        if let Some(place) = self.tunnels.find(ping.tunnel.as_ref()) {
            self.tunnel_ping(place, ping, context);
        } else if self.is_ending() {
            context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping });
        } else if let Some(payload) = self.pings.ask(ping, context) {
            self.send_ping(payload);
        }
    }

    fn with_credit(&mut self, stream: &K::StreamId, change: impl FnOnce(&mut Credit)) {
        if let Some(entry) = self.streams.get_mut(stream) {
            change(&mut entry.credit);
        }
        if let Some((_, exchange)) = self.streams.find_active(stream) {
            exchange.wakes.wake();
        }
    }

    fn request(&mut self, request: Request<K>, mut charge: Charge, context: &mut Context<'_, K>) {
        let Request {
            stream,
            caller,
            method,
            target,
            mut headers,
            body,
            flow,
            response_timeout,
            body_timeout,
            timeout,
        } = request;
        if method == Method::CONNECT && !matches!(body, Body::Tunnel(_)) {
            return refuse(&stream, StreamError::BadState(BadState::Tunnel), charge, context);
        }
        let is_head = method == Method::HEAD;
        let length = match &body {
            // A response to HEAD is awaited at once: no body follows.
            _ if is_head => Some(0),
            Body::Streamed(length) => *length,
            Body::Tunnel(_) => Some(0),
            Body::Whole(bytes) => Some(bytes.len() as u64),
        };
        match (&body, length) {
            (Body::Tunnel(_), _) => {}
            (_, Some(length)) => headers.push((CONTENT_LENGTH, HeaderValue::from(length))),
            // It is not sent, but for a connection that follows and speaks HTTP/1.1.
            (_, None) => headers.push((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        }
        let (body, upload) = match body {
            _ if is_head => (UploadBody::Empty, None),
            Body::Tunnel(destination) => (UploadBody::Tunnel(destination), None),
            Body::Whole(bytes) if bytes.is_empty() => (UploadBody::Empty, None),
            Body::Whole(bytes) => {
                let charge = charge.split(bytes.len());
                (UploadBody::Whole(bytes, charge), None)
            }
            Body::Streamed(length) => {
                let upload = Arc::new(Upload::new(length));
                (UploadBody::Streamed(Arc::clone(&upload)), Some(upload))
            }
        };
        let timeouts = Timeouts { answer: response_timeout, body: body_timeout, whole: timeout };
        let flow = flow.unwrap_or(self.http2.flow);
        let entry = Entry { upload, ..entry(stream, flow, timeouts, context) };
        self.wait(Waiting { entry, ask: Ask::Request { caller, method, target, headers, body }, charge }, context);
    }

    fn upgrade(&mut self, upgrade: Upgrade<K>, charge: Charge, context: &mut Context<'_, K>) {
        let Upgrade { stream, caller, target, headers, options } = upgrade;
        let options = Box::new(options.unwrap_or_else(|| self.options.ws.clone()));
        let timeouts = Timeouts { answer: options.upgrade_timeout, ..Timeouts::default() };
        let entry = entry(stream, options.flow, timeouts, context);
        let request = UpgradeRequest { target, headers, options };
        self.wait(Waiting { entry, ask: Ask::Upgrade { caller, request }, charge }, context);
    }

    pub(super) fn wait(&mut self, waiting: Waiting<K>, context: &mut Context<'_, K>) {
        let error = if self.shutdown.is_asked() || self.is_ending() && !self.options.reconnects {
            StreamError::ConnectionCloses
        } else if self.http2.too_many_streams == TooManyStreams::Error && !self.is_ending() && !self.has_room_for_all()
        {
            StreamError::TooManyStreams
        } else {
            return self.streams.push_back(waiting);
        };
        refuse(&waiting.entry.name, error, waiting.charge, context);
    }

    /// Those that wait never have their turn.
    pub(super) fn refuse_waiting(&mut self, error: &StreamError<'_>, context: &mut Context<'_, K>) {
        for waiting in self.streams.drain_waiting() {
            self.give_up_reupgrade(waiting.entry.name.borrow(), context);
            refuse(&waiting.entry.name, *error, waiting.charge, context);
        }
        for entry in self.postponed.drain() {
            self.give_up_reupgrade(entry.name.borrow(), context);
            refuse(&entry.name, *error, Charge::default(), context);
        }
    }

    fn data(&mut self, data: RequestData<K>, charge: Charge, context: &mut Context<'_, K>) {
        let RequestData { stream, caller, data, fin, receipt } = data;
        let is_empty = data.is_empty();
        let mut ticket = receipt.map(|receipt| self.receipts.ticket(receipt));
        let result = match self.streams.get(&stream).map(|entry| &entry.upload) {
            Some(Some(upload)) => upload.push_with(data, charge, fin, &mut ticket),
            // Whoever hears of it finds its room in the queue free.
            Some(None) => {
                drop(charge);
                Err(BadState::BodyComplete)
            }
            None => {
                drop(charge);
                return match ticket {
                    Some(ticket) => self.data_for_none_with(&stream, ticket, is_empty, context),
                    None => self.data_for_none(&stream, &caller, is_empty, context),
                };
            }
        };
        let Err(error) = result else { return };
        if let Some(ticket) = ticket {
            self.receipts.refuse(ticket, error, is_empty, context.sink);
            if error != BadState::BodyTooShort {
                return;
            }
        }
        if let Some(Entry { name, .. }) = self.streams.get(&stream) {
            context.sink.event(Event::StreamError { stream: name, error: StreamError::BadState(error) });
        }
        if error == BadState::BodyTooShort && !self.reset(&stream, Reason::CANCEL) {
            self.streams.remove_waiting(&stream);
        }
    }

    fn data_for_none_with(
        &mut self,
        stream: &K::StreamId,
        ticket: Ticket,
        is_empty: bool,
        context: &mut Context<'_, K>,
    ) {
        let error = if self.is_websocket(stream) {
            BadState::WebsocketStream
        } else if self.detours.contains(stream) {
            BadState::BodyComplete
        } else {
            BadState::NoStream
        };
        self.receipts.refuse(ticket, error, is_empty, context.sink);
    }

    fn data_for_none(&self, stream: &K::StreamId, caller: &K::Caller, is_empty: bool, context: &mut Context<'_, K>) {
        if self.is_websocket(stream) {
            return context.sink.event(Event::Refused { stream, caller, error: BadState::WebsocketStream });
        }
        match self.detours.contains(stream) {
            true => context.sink.event(Event::Refused { stream, caller, error: BadState::BodyComplete }),
            // The end of a body that was complete without it: nothing is lost with it.
            false if is_empty => {}
            false => context.sink.event(Event::NoStream { stream, caller }),
        }
    }

    fn cancel(&mut self, stream: &K::StreamId, caller: &K::Caller, context: &mut Context<'_, K>) {
        let found = self.cancel_request(stream, caller, context)
            || self.cancel_websocket(stream, caller, context)
            || self.cancel_detour(stream, caller, context);
        let found = self.give_up_reupgrade(stream, context) || found;
        if !found {
            context.sink.event(Event::NoStream { stream, caller });
        }
    }

    /// A stream that waits, or is under way, is reset; whether there is one.
    fn cancel_request(&mut self, stream: &K::StreamId, caller: &K::Caller, context: &mut Context<'_, K>) -> bool {
        let under_way = self.streams.place(stream).and_then(|place| self.reset_at(place, Reason::CANCEL));
        let entry = under_way.map(|(entry, _)| entry);
        let entry = entry.or_else(|| self.streams.remove_waiting(stream).map(|waiting| waiting.entry));
        if let Some(entry) = &entry {
            context.observe(Steps::CANCEL, || Step::Cancel { stream: &entry.name, caller });
        }
        entry.is_some()
    }

    /// Resets a stream under way, and forgets it; whether there is one.
    fn reset(&mut self, stream: &K::StreamId, reason: Reason) -> bool {
        let Some(place) = self.streams.place(stream) else { return false };
        self.reset_at(place, reason).is_some()
    }

    fn info(&mut self, stream: &K::StreamId, receipt: &K::Receipt, context: &mut Context<'_, K>) {
        let entry = self.streams.get(stream).or_else(|| self.postponed.get(stream));
        let info = entry.map_or(StreamInfo::Unknown, |entry| StreamInfo::Stream { stream: &entry.name, running: true });
        context.sink.event(Event::StreamInfo { receipt, info });
    }

    /// Starts as many of the streams that wait as the peer has room for.
    pub(super) fn start_waiting(&mut self, context: &mut Context<'_, K>) {
        while !self.streams.none_waits() && !self.is_ending() && self.has_room() {
            let mut cx = TaskContext::from_waker(&self.waker);
            match self.sender.poll_ready(&mut cx) {
                Poll::Ready(Ok(())) => {}
                // There are no numbers left for streams: the next connection has them.
                Poll::Ready(Err(error)) if !error.is_io() && !error.is_go_away() => return self.run_out(context),
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
            // An upgrade waits until it is known whether the peer has any.
            let knows = self.peer.is_some();
            let next = self.streams.take_first(|waiting| knows || matches!(waiting.ask, Ask::Request { .. }));
            let Some((place, waiting)) = next else { return };
            self.start(place, waiting, context);
        }
    }

    fn start(&mut self, place: Place, waiting: Waiting<K>, context: &mut Context<'_, K>) {
        let Waiting { entry, ask, charge } = waiting;
        drop(charge);
        let is_upgrade = !matches!(ask, Ask::Request { .. });
        if is_upgrade && self.peer.is_none_or(|peer| peer.enable_connect_protocol != Some(true)) {
            return self.make_detour(place, entry, ask, context);
        }
        let Some(Prepared { head, body, upgrade }) = self.prepare(entry.name.borrow(), ask) else { return };
        let tunnel = if let UploadBody::Tunnel(destination) = &body { Some(Arc::clone(destination)) } else { None };
        let started = head.ok().and_then(|head| {
            let authority = head.uri().authority().cloned()?;
            let is_whole = matches!(body, UploadBody::Empty) && upgrade.is_none();
            observe_request(&entry.name, &body, is_upgrade, context, |function| {
                let authority = head.uri().authority().map(Authority::as_str).unwrap_or_default();
                RequestHead { function, method: head.method(), authority, target: head.uri(), headers: head.headers() }
            });
            let (response, stream) = self.sender.send_request(head, is_whole).ok()?;
            Some((authority, response, Sending::new(stream, body)))
        });
        let Some((authority, response, sending)) = started else {
            let error = StreamError::BadState(BadState::InvalidHeader);
            return context.sink.event(Event::StreamError { stream: &entry.name, error });
        };
        let wait = if is_upgrade { Wait::Upgrade } else { Wait::Response };
        let wakes = Wakes::new(Stream::new(&self.ready, place));
        if sending.is_complete() {
            context.observe(Steps::REQUEST_END, || Step::RequestEnd { stream: &entry.name });
        }
        let mut exchange = Exchange::new(wakes, response, sending, authority, self.http2.push);
        (exchange.upgrade, exchange.tunnel) = (upgrade, tunnel);
        exchange.deadline = Deadline::new(wait, entry.timeouts.answer);
        self.streams.activate(place, entry, exchange);
    }

    /// What is to be sent; nothing, for the repetition of an upgrade that is repeated no more.
    fn prepare(&self, name: &K::StreamId, ask: Ask<K>) -> Option<Prepared> {
        let origin = Origin { scheme: &self.scheme, authority: &self.options.authority };
        let request = match ask {
            Ask::Request { target, headers, body: body @ UploadBody::Tunnel(_), .. } => {
                return Some(Prepared { head: head::connect(target, headers), body, upgrade: None });
            }
            Ask::Request { method, target, headers, body, .. } => {
                return Some(Prepared { head: head::request(&origin, method, target, headers), body, upgrade: None });
            }
            Ask::Upgrade { request, .. } => request,
            Ask::Reupgrade => self.repeated.get(name)?.request.clone(),
        };
        let mut upgrade = None;
        let head = request_of_upgrade(&origin, request).map(|(head, asking)| {
            upgrade = Some(asking);
            head
        });
        Some(Prepared { head, body: UploadBody::Empty, upgrade })
    }
}

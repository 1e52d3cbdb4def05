//! What the user asks of a connection that speaks HTTP/1.x.

use std::sync::{Arc, PoisonError};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::Exchanges;
use super::deadline::{Deadline, Shutdown, alarm};
use super::exchange::{Asking, Exchange, Stage};
use super::headers::{closes, request_headers};
use crate::account::Charge;
use crate::command::{Body, Outgoing, Ping, Request, RequestData, StreamCommand, Upgrade};
use crate::error::{BadState, ConnectionError, DownReason, Wait};
use crate::event::{Event, StreamError, StreamInfo};
use crate::options::{Flow, HttpVersion};
use crate::protocol::{Context, Left};
use crate::sink::Sink;
use crate::stream::credit::Credit;
use crate::stream::reupgrade::UpgradeRequest;
use crate::stream::table::{Ask, Entry, Timeouts, Waiting};
use crate::stream::upload::{RequestBody, Upload};
use crate::websocket::handshake;

/// The head of a request, its body, and the upgrade that it asks for.
struct Prepared {
    head: Result<(Method, Uri, HeaderMap), http::Error>,
    body: RequestBody,
    upgrade: Option<Asking>,
}

impl<K: Sink> Exchanges<K> {
    /// Takes over what the connection before has left. An upgrade that is repeated comes first.
    pub(super) fn take_over(&mut self, left: Left<K>, context: &mut Context<'_, K>) {
        let Left { reupgrade, requests, .. } = left;
        for waiting in requests {
            self.streams.push_back(waiting);
        }
        if let Some((name, reupgrade)) = reupgrade {
            let options = &reupgrade.request.options;
            let timeouts = Timeouts { answer: options.upgrade_timeout, body: None };
            let entry = Entry { repeated: true, ..entry(name, options.flow, timeouts, context) };
            self.streams.push_front(Waiting { entry, ask: Ask::Reupgrade, charge: Charge::default() });
            self.reupgrade = Some(reupgrade);
        }
    }

    pub(super) fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        match command {
            StreamCommand::Request(request) => self.request(*request, charge, context),
            StreamCommand::Upgrade(upgrade) => self.upgrade(*upgrade, charge, context),
            StreamCommand::Data(data) => self.data(*data, charge, context),
            StreamCommand::Cancel(cancel) => self.cancel(&cancel.0, &cancel.1, context),
            StreamCommand::Info(asked) => self.info(&asked.0, &asked.1, context),
            StreamCommand::Send(outgoing) => self.send(outgoing, charge, context),
            StreamCommand::UpdateFlow(Some(stream), parts) => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.credit.update(parts);
                }
            }
            StreamCommand::FlowGrant(stream) => {
                if let Some((entry, _)) = self.streams.find_active(&stream) {
                    entry.credit.grant();
                }
            }
            // Answers that a WebSocket has not lived to see.
            StreamCommand::UpdateFlow(None, _) | StreamCommand::Settled(_) => {}
        }
    }

    pub(super) fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        if self.shutdown.is_asked() {
            let event = Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping };
            context.sink.event(event);
        } else {
            context.sink.control(ping.name);
            self.end_by(ConnectionError::PingUnsupported.into());
        }
    }

    pub(super) fn shut_down(&mut self, context: &mut Context<'_, K>) {
        self.refuse_waiting(&StreamError::Closing, context);
        if !self.shutdown.is_asked() {
            let limit = context.options.http.closing_timeout;
            self.shutdown = limit.map_or(Shutdown::Unlimited, |limit| Shutdown::Until(alarm(limit)));
        }
    }

    /// The connection is over by a command.
    fn end_by(&mut self, reason: DownReason) {
        self.over.get_or_insert(reason);
    }

    fn request(&mut self, request: Request<K>, mut charge: Charge, context: &mut Context<'_, K>) {
        let Request { stream, caller, method, target, headers, body, flow, response_timeout, body_timeout } = request;
        let http10 = context.options.http.version == HttpVersion::Http10;
        let length = match &body {
            Body::Streamed(None) if http10 => {
                let error = StreamError::BadState(BadState::ChunkedOverHttp10);
                return refuse(&stream, error, charge, context);
            }
            Body::Streamed(None) => (TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            Body::Streamed(Some(length)) => (CONTENT_LENGTH, HeaderValue::from(*length)),
            Body::Whole(bytes) => (CONTENT_LENGTH, HeaderValue::from(bytes.len())),
        };
        let headers = std::iter::once(length).chain(headers).collect();
        let (body, upload) = match body {
            Body::Whole(bytes) => {
                let charge = charge.split(bytes.len());
                (RequestBody::Whole(bytes, charge), None)
            }
            Body::Streamed(length) => {
                let upload = Arc::new(Upload::new(length));
                (RequestBody::Streamed(Arc::clone(&upload)), Some(upload))
            }
        };
        let timeouts = Timeouts { answer: response_timeout, body: body_timeout };
        let entry = Entry { upload, ..entry(stream, flow, timeouts, context) };
        self.wait(Waiting { entry, ask: Ask::Request { caller, method, target, headers, body }, charge }, context);
    }

    fn upgrade(&mut self, upgrade: Upgrade<K>, charge: Charge, context: &mut Context<'_, K>) {
        let Upgrade { stream, caller, target, headers, options } = upgrade;
        if self.http10 || context.options.http.version == HttpVersion::Http10 {
            return refuse(&stream, StreamError::BadState(BadState::UpgradeOverHttp10), charge, context);
        }
        let options = Box::new(options.unwrap_or_else(|| context.options.ws.clone()));
        // Of a refused upgrade's answer as many parts may be reported as messages of its WebSocket.
        let timeouts = Timeouts { answer: options.upgrade_timeout, body: None };
        let entry = entry(stream, options.flow, timeouts, context);
        let request = UpgradeRequest { target, headers, options };
        self.wait(Waiting { entry, ask: Ask::Upgrade { caller, request }, charge }, context);
    }

    fn wait(&mut self, waiting: Waiting<K>, context: &mut Context<'_, K>) {
        if self.shutdown.is_asked() || self.ending && !context.options.reconnects {
            refuse(&waiting.entry.name, StreamError::ConnectionCloses, waiting.charge, context);
        } else {
            self.streams.push_back(waiting);
        }
    }

    fn send(&mut self, outgoing: Box<Outgoing<K>>, charge: Charge, context: &mut Context<'_, K>) {
        if let Some(reupgrade) = &mut self.reupgrade {
            reupgrade.hold(outgoing, charge, context.sink);
        } else {
            drop(charge);
            outgoing.refuse(context.sink, BadState::NotWebsocket);
        }
    }

    /// The upgrade is not repeated any more: what has waited for it is refused.
    pub(super) fn give_up_reupgrade(&mut self, context: &mut Context<'_, K>) {
        let Some(mut reupgrade) = self.reupgrade.take() else { return };
        context.status.account().limit(context.options.http.max_send_queue);
        for (outgoing, charge) in reupgrade.take_held() {
            drop(charge);
            outgoing.refuse(context.sink, BadState::NotWebsocket);
        }
    }

    /// Those that wait never have their turn.
    pub(super) fn refuse_waiting(&mut self, error: &StreamError<'_>, context: &mut Context<'_, K>) {
        for waiting in self.streams.drain_waiting() {
            if waiting.entry.repeated {
                self.give_up_reupgrade(context);
            }
            refuse(&waiting.entry.name, *error, waiting.charge, context);
        }
    }

    fn data(&mut self, data: RequestData<K>, charge: Charge, context: &mut Context<'_, K>) {
        let RequestData { stream, caller, data, fin } = data;
        let is_empty = data.is_empty();
        let found = self.streams.get(&stream).filter(|entry| !entry.cancelled);
        let result = match found.map(|entry| &entry.upload) {
            Some(Some(upload)) => upload.push(data, charge, fin),
            // Whoever hears of it finds its room in the queue free.
            Some(None) => {
                drop(charge);
                Err(BadState::BodyComplete)
            }
            None => {
                drop(charge);
                Err(BadState::NoStream)
            }
        };
        let Err(error) = result else { return };
        if error == BadState::BodyTooShort {
            // Nothing of the response may follow the error.
            self.report_part(context);
        }
        match self.streams.get(&stream).filter(|entry| !entry.cancelled) {
            Some(Entry { name, .. }) => {
                context.sink.event(Event::StreamError { stream: name, error: StreamError::BadState(error) });
            }
            // The end of a body that was complete without it: nothing is lost with it.
            None if is_empty => {}
            None => context.sink.event(Event::NoStream { stream: &stream, caller: &caller }),
        }
        if error != BadState::BodyTooShort {
            return;
        }
        if self.streams.find_active(&stream).is_some_and(|(entry, _)| !entry.cancelled) {
            // The server awaits bytes that won't come.
            return self.end_by(ConnectionError::RequestTooShort.into());
        }
        self.forget(&stream, context);
    }

    /// Removes a request that waits; whether there is one.
    fn forget(&mut self, stream: &K::StreamId, context: &mut Context<'_, K>) -> bool {
        let Some(waiting) = self.streams.remove_waiting(stream) else { return false };
        if waiting.entry.repeated {
            self.give_up_reupgrade(context);
        }
        true
    }

    fn cancel(&mut self, stream: &K::StreamId, caller: &K::Caller, context: &mut Context<'_, K>) {
        if let Some((entry, exchange)) = self.streams.find_active(stream) {
            entry.cancelled = true;
            let repeated = entry.repeated;
            // A server that waits for the rest of a body would never come to the next request, nor would one that has
            // switched to the WebSocket just now.
            let abandoned = entry.upload.as_ref().is_some_and(|upload| !upload.is_complete())
                || matches!(exchange.stage, Stage::Switching(..));
            if repeated {
                self.give_up_reupgrade(context);
            }
            if abandoned {
                self.end_by(DownReason::Normal);
            }
        } else if !self.forget(stream, context) {
            context.sink.event(Event::NoStream { stream, caller });
        }
    }

    fn info(&mut self, stream: &K::StreamId, receipt: &K::Receipt, context: &mut Context<'_, K>) {
        let info = self
            .streams
            .get(stream)
            .map_or(StreamInfo::Unknown, |entry| StreamInfo::Stream { stream: &entry.name, running: !entry.cancelled });
        context.sink.event(Event::StreamInfo { receipt, info });
    }

    /// Starts the next request.
    pub(super) fn start_next(&mut self, context: &mut Context<'_, K>) {
        let Some((place, Waiting { entry, ask, charge })) = self.streams.take_next() else { return };
        drop(charge);
        let options = context.options;
        let Some(Prepared { head, body, upgrade }) = self.prepare(ask, &options.authority) else { return };
        let Ok((method, target, headers)) = head else {
            let error = StreamError::BadState(BadState::InvalidHeader);
            return context.sink.event(Event::StreamError { stream: &entry.name, error });
        };
        let closes = closes(&headers);
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        if options.http.version == HttpVersion::Http10 {
            *request.version_mut() = Version::HTTP_10;
        }
        let informs = Arc::clone(&self.informs);
        hyper::ext::on_informational(&mut request, move |inform| {
            let inform = (inform.status(), inform.headers().clone());
            informs.lock().unwrap_or_else(PoisonError::into_inner).push(inform);
        });
        self.control.expect_head();
        let stage = Stage::Response(Box::pin(self.sender.send_request(request)));
        let wait = if upgrade.is_some() { Wait::Upgrade } else { Wait::Response };
        self.deadline = Deadline::new(wait, entry.timeouts.answer);
        self.streams.activate(place, entry, Exchange { upgrade, stage, part: None });
        if closes {
            self.end_with(DownReason::Normal, context);
        }
    }

    /// What is to be sent; nothing, for the repetition of an upgrade that is repeated no more.
    fn prepare(&self, ask: Ask<K>, authority: &str) -> Option<Prepared> {
        let (request, repeats) = match ask {
            Ask::Request { method, target, headers, body, .. } => {
                let head = request_headers(authority, headers).map(|headers| (method, target, headers));
                return Some(Prepared { head, body, upgrade: None });
            }
            Ask::Upgrade { request, .. } => {
                let repeats = request.options.reupgrade.is_some().then(|| request.clone());
                (request, repeats)
            }
            Ask::Reupgrade => (self.reupgrade.as_ref()?.request.clone(), None),
        };
        let UpgradeRequest { target, headers, options } = request;
        let mut upgrade = None;
        let head = handshake::request_headers(authority, &options, headers).map(|(headers, asked)| {
            upgrade = Some(Asking { asked, options, request: repeats });
            (Method::GET, target, headers)
        });
        Some(Prepared { head, body: RequestBody::Empty, upgrade })
    }
}

/// A stream that is about to wait for its turn.
fn entry<K: Sink>(name: K::Stream, flow: Flow, timeouts: Timeouts, context: &Context<'_, K>) -> Entry<K> {
    let credit = Credit::new(flow, context.sink.is_remote(&name));
    Entry { name, credit, upload: None, timeouts, repeated: false, cancelled: false }
}

/// A request never has its turn. Whoever hears of it finds its room in the queue free.
fn refuse<K: Sink>(stream: &K::Stream, error: StreamError<'_>, charge: Charge, context: &mut Context<'_, K>) {
    drop(charge);
    context.sink.event(Event::StreamError { stream, error });
}

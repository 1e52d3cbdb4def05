//! What the user asks of a connection that speaks HTTP/1.x.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::Exchanges;
use super::exchange::Exchange;
use crate::account::Charge;
use crate::command::{Body, Outgoing, Ping, Request, RequestData, StreamCommand, Upgrade};
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::step::Step;
use crate::event::{Event, StreamError, StreamInfo};
use crate::http::deadline::{Shutdown, alarm};
use crate::http::queued::{entry, refuse};
use crate::options::{HttpVersion, Steps};
use crate::protocol::{Context, Left};
use crate::sink::Sink;
use crate::stream::reupgrade::{Repeated, UpgradeRequest};
use crate::stream::table::{Ask, Entry, Timeouts, Waiting};
use crate::stream::upload::{Upload, UploadBody};

impl<K: Sink> Exchanges<K> {
    /// Takes over what the connection before has left. An upgrade that is repeated comes first.
    pub(super) fn take_over(&mut self, left: Left<K>, context: &mut Context<'_, K>) {
        let Left { repeated, requests, .. } = left;
        for waiting in requests {
            self.streams.push_back(waiting);
        }
        let mut repeated = repeated.into_iter();
        if let Some(Repeated { stream: name, reupgrade, .. }) = repeated.next() {
            let options = &reupgrade.request.options;
            let timeouts = Timeouts { answer: options.upgrade_timeout, ..Timeouts::default() };
            let entry = Entry { repeated: true, ..entry(name, options.flow, timeouts, context) };
            self.streams.push_front(Waiting { entry, ask: Ask::Reupgrade, charge: Charge::default() });
            self.reupgrade = Some(reupgrade);
        }
        // The connection becomes one WebSocket, and has no room for others.
        for other in repeated {
            other.give_up(BadState::OnlyWebsocket, context.sink, context.status);
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
            StreamCommand::CloseWith(_) => self.end_by(DownReason::Normal),
            // What a WebSocket has not lived to see.
            StreamCommand::UpdateFlow(None, _) | StreamCommand::Settled(_) | StreamCommand::Tune(_) => {}
            // Nothing is served here.
            command => {
                drop(charge);
                if let Some((stream, caller)) = command.answered() {
                    context.sink.event(Event::NoStream { stream, caller });
                }
            }
        }
    }

    pub(super) fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        if self.shutdown.is_asked() {
            let event = Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping };
            context.sink.event(event);
        } else if !self.alone {
            let event = Event::BadState { stream: None, caller: &ping.caller, error: BadState::NoPing };
            context.sink.event(event);
        } else {
            context.sink.event(Event::PingEnds { name: &ping.name });
            self.end_by(ConnectionError::PingUnsupported.into());
        }
    }

    pub(super) fn shut_down(&mut self, context: &mut Context<'_, K>) {
        // It was asked for before.
        if self.streams.active().is_none() && self.may_start() {
            self.start_next(context);
        }
        self.refuse_others(&StreamError::Closing, context);
        if !self.shutdown.is_asked() {
            let limit = self.options.http.closing_timeout;
            self.shutdown = limit.map_or(Shutdown::Unlimited, |limit| Shutdown::Until(alarm(limit)));
        }
    }

    /// The connection is over by a command.
    fn end_by(&mut self, reason: DownReason) {
        self.over.get_or_insert(reason);
    }

    fn request(&mut self, request: Request<K>, mut charge: Charge, context: &mut Context<'_, K>) {
        let Request { stream, caller, method, target, headers, body, flow, response_timeout, body_timeout, timeout } =
            request;
        let http10 = self.options.http.version == HttpVersion::Http10;
        let length = match &body {
            Body::Tunnel(_) if self.streams.active_len() > 0 || !self.streams.none_waits() => {
                return refuse(&stream, StreamError::BadState(BadState::NotAlone), charge, context);
            }
            Body::Tunnel(_) => None,
            Body::Streamed(None) if http10 => {
                let error = StreamError::BadState(BadState::ChunkedOverHttp10);
                return refuse(&stream, error, charge, context);
            }
            Body::Streamed(None) => Some((TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
            Body::Streamed(Some(length)) => Some((CONTENT_LENGTH, HeaderValue::from(*length))),
            Body::Whole(bytes) => Some((CONTENT_LENGTH, HeaderValue::from(bytes.len()))),
        };
        let headers = length.into_iter().chain(headers).collect();
        let (body, upload) = match body {
            Body::Tunnel(destination) => (UploadBody::Tunnel(destination), None),
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
        let flow = flow.unwrap_or(self.options.http.flow);
        let entry = Entry { upload, ..entry(stream, flow, timeouts, context) };
        self.wait(Waiting { entry, ask: Ask::Request { caller, method, target, headers, body }, charge }, context);
    }

    fn upgrade(&mut self, upgrade: Upgrade<K>, charge: Charge, context: &mut Context<'_, K>) {
        let Upgrade { stream, caller, target, headers, options } = upgrade;
        if self.http10 || self.options.http.version == HttpVersion::Http10 {
            return refuse(&stream, StreamError::BadState(BadState::UpgradeOverHttp10), charge, context);
        }
        let options = Box::new(options.unwrap_or_else(|| self.options.ws.clone()));
        // Of a refused upgrade's answer as many parts may be reported as messages of its WebSocket.
        let timeouts = Timeouts { answer: options.upgrade_timeout, ..Timeouts::default() };
        let entry = entry(stream, options.flow, timeouts, context);
        let request = UpgradeRequest { target, headers, options };
        self.wait(Waiting { entry, ask: Ask::Upgrade { caller, request }, charge }, context);
    }

    fn wait(&mut self, waiting: Waiting<K>, context: &mut Context<'_, K>) {
        if self.shutdown.is_asked() || self.ending && !self.options.reconnects {
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
        if let Some(mut reupgrade) = self.reupgrade.take() {
            reupgrade.give_up(context.sink, context.status);
        }
    }

    /// Those that wait never have their turn, and those behind the oldest one under way are not answered.
    pub(super) fn refuse_others(&mut self, error: &StreamError<'_>, context: &mut Context<'_, K>) {
        for (entry, exchange) in self.streams.end_others() {
            if !entry.cancelled && !exchange.told {
                refuse(&entry.name, *error, exchange.charge, context);
            }
        }
        self.refuse_waiting(error, context);
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
        let RequestData { stream, caller, data, fin, receipt } = data;
        let is_empty = data.is_empty();
        let mut ticket = receipt.map(|receipt| self.receipts.ticket(receipt));
        let found = self.streams.get(&stream).filter(|entry| !entry.cancelled);
        let result = match found.map(|entry| &entry.upload) {
            Some(Some(upload)) => upload.push_with(data, charge, fin, &mut ticket),
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
        if let Some(ticket) = ticket {
            self.receipts.refuse(ticket, error, is_empty, context.sink);
            if error != BadState::BodyTooShort {
                return;
            }
        }
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
        if let Some((_, exchange)) = self.streams.find_active(&stream).filter(|(entry, _)| !entry.cancelled) {
            exchange.told = true;
            // The server awaits bytes that won't come.
            return self.end_by(ConnectionError::RequestTooShort.into());
        }
        self.forget(&stream, context);
    }

    /// Removes a request that waits, if there is one.
    fn forget(&mut self, stream: &K::StreamId, context: &mut Context<'_, K>) -> Option<K::Stream> {
        let waiting = self.streams.remove_waiting(stream)?;
        if waiting.entry.repeated {
            self.give_up_reupgrade(context);
        }
        Some(waiting.entry.name)
    }

    fn cancel(&mut self, stream: &K::StreamId, caller: &K::Caller, context: &mut Context<'_, K>) {
        if let Some((entry, _)) = self.streams.find_active(stream) {
            entry.cancelled = true;
            let repeated = entry.repeated;
            let abandoned = is_abandoned(entry);
            context.observe(Steps::CANCEL, || Step::Cancel { stream: &entry.name, caller });
            if repeated {
                self.give_up_reupgrade(context);
            }
            if abandoned {
                // Those before it are answered.
                self.end_with(DownReason::Normal, context);
            }
        } else if let Some(name) = self.forget(stream, context) {
            context.observe(Steps::CANCEL, || Step::Cancel { stream: &name, caller });
        } else {
            context.sink.event(Event::NoStream { stream, caller });
        }
    }

    fn info(&mut self, stream: &K::StreamId, receipt: &K::Receipt, context: &mut Context<'_, K>) {
        let tunnel = |exchange: &Exchange| exchange.destination.is_some();
        let pending = self.streams.find_active(stream).is_some_and(|(_, exchange)| tunnel(exchange));
        // As in gun, nothing is known of a tunnel before it is up.
        let info = self
            .streams
            .get(stream)
            .filter(|_| !pending)
            .map_or(StreamInfo::Unknown, |entry| StreamInfo::Stream { stream: &entry.name, running: !entry.cancelled });
        context.sink.event(Event::StreamInfo { receipt, info });
    }
}

/// Whether the rest of its body won't come: the server, which waits for that, would never come to the next request.
pub(super) fn is_abandoned<K: Sink>(entry: &Entry<K>) -> bool {
    entry.cancelled && entry.upload.as_ref().is_some_and(|upload| !upload.is_complete())
}

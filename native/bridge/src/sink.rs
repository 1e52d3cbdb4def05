//! Where a connection's events go. Everything here runs on an I/O thread.

mod steps;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use gun_rs_engine::error::http2::Http2Fault;
use gun_rs_engine::error::{BadState, ConnectionError, DownReason, Wait};
use gun_rs_engine::event::step::Step;
use gun_rs_engine::event::{Next, StreamError, StreamInfo};
use gun_rs_engine::options::Steps;
use gun_rs_engine::{Event, Message, Promise, ProtocolName, Sink};
use gun_rs_terms::reports::{Down, StreamState, WebsocketInit};
use gun_rs_terms::{Messages, Name, Reports};
use http::{HeaderMap, StatusCode};
use rustler::{Atom, Env, Term};

use crate::outbox::{self, Origin};
use crate::payload::{BinaryPayload, HeldBinary, owned};
use crate::receiver::Receiver;
use crate::route::{Destination, Router};
use crate::stream::{Purpose, Stream, StreamId};
use crate::vm::{OwnedTerm, Vm, atom};

/// A command to the sink.
pub(crate) enum Control {
    /// A new owner.
    SetOwner(Receiver),
    /// The connection is about to be shut down: the atom for the cause, in the reasons of its streams.
    ShutDown(Atom),
    /// A stream of HTTP/2 was cancelled, of which no event follows.
    Cancelled(StreamId),
}

/// The sink of a connection.
pub(crate) struct BeamSink {
    origin: Arc<Origin>,
    owner: Receiver,
    router: Router,
    /// The steps that the process behind ConnPid is to hear of.
    observed: Steps,
    /// Whether the connection speaks HTTP/2, of which a stream may end in any way while the others go on.
    is_http2: bool,
    /// Messages that come with the end of the connection.
    ending: Vec<OwnedTerm>,
    /// Why it is shut down, once it is.
    shutdown_cause: Atom,
    /// The ping that the connection ends by.
    pinged_by: Option<StreamId>,
}

impl BeamSink {
    /// For a connection with this owner. With `processed`, every message goes through the process behind ConnPid, which
    /// has modules of the user's to run on them.
    pub(crate) fn new(origin: Arc<Origin>, owner: Receiver, processed: bool, observed: Steps) -> Self {
        Self {
            origin,
            owner,
            observed,
            router: Router::new(processed),
            is_http2: false,
            ending: Vec::new(),
            shutdown_cause: atom(Name::Shutdown),
            pinged_by: None,
        }
    }

    /// To the owner, or to a caller.
    fn deliver(&self, to: &Receiver, build: impl for<'a> FnOnce(&Messages<Vm<'a>>, Env<'a>) -> Term<'a>) {
        outbox::deliver(&self.origin, self.router.destination(to), build);
    }

    /// To a stream's receiver.
    fn deliver_stream(&mut self, stream: &Stream, build: impl for<'a> FnOnce(&Messages<Vm<'a>>, Term<'a>) -> Term<'a>) {
        if matches!(stream.purpose, Purpose::Owner) {
            let to = self.router.stream_destination(&self.owner);
            return outbox::deliver(&self.origin, to, |messages, env| build(messages, stream.id.get(env)));
        }
        let to = self.router.stream_destination(stream.receiver());
        outbox::deliver(&self.origin, to, |messages, env| build(messages, stream.id.get(env)));
    }

    /// Who the messages of a stream are for.
    fn receiver<'s>(&'s self, stream: &'s Stream) -> &'s Receiver {
        if matches!(stream.purpose, Purpose::Owner) { &self.owner } else { &stream.reply_to }
    }

    /// To the process behind ConnPid.
    fn report(&self, build: impl for<'a> FnOnce(Reports<Vm<'a>>, Env<'a>) -> Term<'a>) {
        outbox::send(&self.origin, &self.origin.process, |env| build(Reports::new(Vm(env)), env));
    }

    /// The end of the connection, behind what comes with it.
    fn end(&mut self, build: impl for<'a> FnOnce(Reports<Vm<'a>>, Env<'a>) -> Term<'a>) {
        for message in std::mem::take(&mut self.ending) {
            outbox::send(&self.origin, &self.origin.process, |env| message.get(env));
        }
        self.report(build);
    }

    /// Keeps a message for a user until the end is reported, since the socket is closed in between. It goes through the
    /// process behind ConnPid, which reports the end: of two senders, one may be late. Over HTTP/2, where it need not be
    /// the end of the connection, it is not kept.
    fn deliver_with_end(&mut self, to: &Receiver, build: impl for<'a> FnOnce(&Messages<Vm<'a>>, Env<'a>) -> Term<'a>) {
        if self.is_http2 {
            outbox::deliver(&self.origin, Destination::Forwarded(to), build);
            return;
        }
        let message =
            OwnedTerm::build(|env| Reports::new(Vm(env)).deliver(to.get(env), build(&self.origin.messages(env), env)));
        self.ending.push(message);
    }

    /// A module of the user's may have taken the frames of this stream: the process behind ConnPid has it.
    fn end_module(&mut self, stream: &StreamId) {
        if self.router.end_module(stream) {
            self.report(|reports, env| reports.forget(stream.get(env)));
        }
    }

    /// No message follows for this stream. The process behind ConnPid may keep something for it, where modules of the
    /// user's take part, and does not recognise the last message by itself.
    fn forget(&mut self, stream: &Stream) {
        // Where the connection is one WebSocket it ends with it.
        let had_module = self.is_http2 && self.router.end_module(&stream.id);
        if had_module || self.router.is_processed() {
            self.report(|reports, env| reports.forget(stream.id.get(env)));
        }
    }
}

impl Sink for BeamSink {
    type Stream = Stream;
    type StreamId = StreamId;
    type Caller = Receiver;
    type Receipt = OwnedTerm;
    type Control = Control;
    type Payload = BinaryPayload;
    type Source = HeldBinary;

    fn control(&mut self, control: Control) {
        match control {
            Control::SetOwner(owner) => self.owner = owner,
            Control::ShutDown(cause) => self.shutdown_cause = cause,
            Control::Cancelled(stream) => self.end_module(&stream),
        }
    }

    fn relays(&self, stream: &Stream) -> bool {
        self.router.relays(self.receiver(stream))
    }

    fn is_remote(&self, stream: &Stream) -> bool {
        self.receiver(stream).is_remote()
    }

    fn promise(&mut self, parent: &Stream, promise: Promise<'_>) -> Option<Stream> {
        self.promise_start(parent);
        let stream = parent.promised();
        let to = self.router.stream_destination(&parent.reply_to);
        outbox::deliver(&self.origin, to, |messages, env| {
            messages.push(parent.id.get(env), stream.id.get(env), &promise)
        });
        self.promise_end(parent, Some(&stream.id), &promise);
        Some(stream)
    }

    fn tunnel(stream: &StreamId) -> Option<StreamId> {
        stream.tunnel()
    }

    fn raw(&mut self, asked: Option<&Stream>, named: bool) -> Option<Stream> {
        Some(Stream::raw(&self.owner, asked, named))
    }

    fn flush(&mut self) {
        outbox::flush();
    }

    fn event(&mut self, event: Event<'_, Self>) {
        end_lease(&event);
        if self.observed == Steps::NONE { self.take(event) } else { self.take_observed(event) }
    }

    fn step(&mut self, step: Step<'_, Self>) {
        self.take_step(step);
    }
}

impl BeamSink {
    fn take(&mut self, event: Event<'_, Self>) {
        match event {
            Event::Up { protocol, local, .. } => self.up(protocol, local),
            Event::ConnectFailed(error) => self.report(|reports, _| reports.connect_failed(&error)),
            Event::Down { protocol, reason, killed, next, served } => self.down(protocol, reason, killed, next, served),
            Event::ShutDown => self.end(|reports, _| reports.shut_down()),
            Event::Panicked { protocol, text, killed } => {
                self.end(|reports, env| reports.panicked(protocol, &text, stream_refs(env, killed.iter())));
            }
            Event::Upgraded { stream, headers, subprotocol, fragments, .. } => {
                self.upgraded(stream, headers, subprotocol, fragments);
            }
            Event::TunnelUp { stream, protocol, label, beside } => self.tunnel_up(stream, protocol, label, beside),
            Event::TunnelOver { stream } => self.report(|reports, env| reports.tunnel_over(stream.id.get(env))),
            Event::Switched { stream, headers } => self.switched(stream, headers),
            Event::Inform { stream, status, headers } => {
                self.deliver_stream(stream, |messages, stream_ref| messages.inform(stream_ref, status, headers));
            }
            Event::Response { stream, fin, status, headers } => self.response(stream, fin, status, headers),
            Event::Data { stream, fin, data } => {
                self.deliver_stream(stream, |messages, stream_ref| messages.data(stream_ref, fin, &data));
            }
            Event::Trailers { stream, trailers } => {
                self.deliver_stream(stream, |messages, stream_ref| messages.trailers(stream_ref, trailers));
            }
            Event::Message { stream, message } => self.frame(stream, message),
            Event::StreamError { stream, error } => self.stream_error(stream, &error),
            Event::NoStream { stream, caller } => {
                self.deliver(caller, |messages, env| messages.no_stream(stream.get(env)));
            }
            Event::Refused { stream, caller, error } => {
                self.deliver(caller, |messages, env| messages.refused(stream.get(env), error));
            }
            Event::StreamInfo { receipt, info } => self.stream_info(receipt, &info),
            Event::ConnectionError(error) => {
                let owner = self.owner.clone();
                self.deliver_with_end(&owner, |messages, _| messages.connection_error(error));
            }
            Event::PingEnds { name } => self.pinged_by = Some(name.clone()),
            Event::PingAck { caller, name } => {
                self.deliver(caller, |messages, env| messages.ping_ack(name.get(env)));
            }
            Event::Settings(settings) => self.deliver(&self.owner, |messages, _| messages.settings_changed(settings)),
            Event::GoAway { code, debug } => self.deliver(&self.owner, |messages, _| messages.go_away(code, debug)),
            Event::ConnectionFault { streams, fault } => self.connection_fault(streams, fault),
            Event::RelayCheck => self.report(|reports, _| reports.relay_check()),
            Event::FlowCheck { stream, messages, bytes } => self.report(|reports, env| {
                reports.flow_check(stream.id.get(env), self.receiver(stream).get(env), messages, bytes)
            }),
            Event::Settle { stream } => {
                self.report(|reports, env| reports.settle(stream.id.get(env), stream.reply_to.get(env)));
            }
            Event::Sent(receipt) => self.report(|reports, env| reports.sent(receipt.get(env))),
            Event::NotSent { receipt, error } => {
                self.report(|reports, env| reports.not_sent(receipt.get(env), &error));
            }
            Event::BadState { stream, caller, error } => self.bad_state(stream, caller, error),
        }
    }
}

/// A stream that has come to its good end counts no more. One that ends by an error may end with its connection, and counts
/// until then.
fn end_lease(event: &Event<'_, BeamSink>) {
    if let Event::Response { stream, fin: true, .. }
    | Event::Data { stream, fin: true, .. }
    | Event::Trailers { stream, .. } = event
    {
        stream.give_up_lease();
    }
}

impl BeamSink {
    /// The process behind ConnPid knows it first, so that it is up for whoever hears of it from the owner.
    fn up(&mut self, protocol: ProtocolName, local: Option<SocketAddr>) {
        self.is_http2 = protocol == ProtocolName::Http2;
        self.report(|reports, _| reports.up(protocol, local));
        self.deliver(&self.owner, |messages, _| messages.up(protocol));
    }

    /// The same of a tunnel. One that is `beside` the connection leaves that what it is.
    fn tunnel_up(&mut self, stream: Option<&Stream>, protocol: ProtocolName, label: &[u8], beside: bool) {
        self.is_http2 = if beside { self.is_http2 } else { protocol == ProtocolName::Http2 };
        self.report(|reports, env| {
            // The process has made it of a term.
            let label = env.binary_to_term(label).map_or_else(|| atom(Name::Undefined).to_term(env), |(term, _)| term);
            reports.tunnel_up(stream.map(|stream| stream.id.get(env)), protocol, label, beside)
        });
        match stream {
            Some(stream) => {
                self.deliver_stream(stream, |messages, stream_ref| messages.tunnel_up(Some(stream_ref), protocol));
            }
            None => self.deliver(&self.owner, |messages, _| messages.tunnel_up(None, protocol)),
        }
    }

    /// The process behind ConnPid sends gun_down, so that nothing comes between that and its exit.
    fn down(&mut self, protocol: ProtocolName, reason: &DownReason, killed: &[&Stream], next: Next, served: bool) {
        let ping = self.pinged_by.take();
        self.end(|reports, env| {
            let ping = ping.map(|ping| ping.get(env));
            let killed = stream_refs(env, killed.iter().copied());
            reports.down(Down { protocol, reason, ping, killed, next, served })
        });
        self.router.reset();
    }

    /// Each receiver learns it once.
    fn connection_fault(&mut self, streams: &[&Stream], fault: Http2Fault) {
        let mut told = HashSet::new();
        for stream in streams {
            if told.insert(stream.receiver().external()) {
                self.deliver_with_end(stream.receiver(), |messages, _| messages.connection_fault(fault));
            }
        }
    }

    fn switched(&mut self, stream: &Stream, headers: &HeaderMap) {
        self.deliver_stream(stream, |messages, stream_ref| messages.switched(stream_ref, headers));
        self.forget(stream);
    }

    fn upgraded(&mut self, stream: &Stream, headers: &HeaderMap, subprotocol: Option<&str>, fragments: bool) {
        if let Some(follower) = stream.upgraded() {
            self.deliver(follower, |messages, env| messages.upgraded(stream.id.get(env), headers));
        }
        self.deliver_stream(stream, |messages, stream_ref| messages.upgraded(stream_ref, headers));
        self.forget(stream);
        if !fragments {
            return;
        }
        self.router.start_module(stream);
        self.report(|reports, env| {
            let options = match &stream.purpose {
                Purpose::Upgrade(options) => options.as_ref().map(|options| options.get(env)),
                Purpose::Request | Purpose::Owner => None,
            };
            let (stream, reply_to) = (stream.id.get(env), stream.reply_to.get(env));
            reports.websocket_init(WebsocketInit { stream, reply_to, subprotocol, headers, options })
        });
    }

    fn response(&mut self, stream: &Stream, fin: bool, status: StatusCode, headers: &HeaderMap) {
        if matches!(stream.purpose, Purpose::Request) {
            self.deliver_stream(stream, |messages, stream_ref| messages.response(stream_ref, fin, status, headers));
            return;
        }
        self.deliver_stream(stream, |messages, stream_ref| messages.refusal(stream_ref, fin, status, headers));
        if fin && self.origin.dialect.has_upgrade_errors() {
            self.forget(stream);
        }
    }

    fn frame(&mut self, stream: &Stream, message: Message<'_, BinaryPayload>) {
        let is_last = matches!(message, Message::Close(_));
        let to = self.router.frame_destination(stream);
        match owned(message) {
            Ok(frame) => outbox::hold(&self.origin, &stream.id, to, frame),
            Err(control) => outbox::send_frame(&self.origin, &stream.id, to, control),
        }
        if is_last && self.is_http2 {
            self.forget(stream);
        }
    }

    fn stream_error(&mut self, stream: &Stream, error: &StreamError<'_>) {
        let build = stream_error(stream, error, self.shutdown_cause, self.pinged_by.clone());
        match error {
            // The closing handshake follows, and then the end, which the process behind ConnPid reports.
            // So it does where the time of a request ends the connection; elsewhere nothing follows.
            StreamError::Protocol(_) | StreamError::Timeout(Wait::Whole) => {
                outbox::deliver(&self.origin, Destination::Forwarded(stream.receiver()), build);
            }
            StreamError::Handshake(_) | StreamError::Closed(_) | StreamError::Timeout(_) | StreamError::ShutDown => {
                self.deliver_with_end(stream.receiver(), build);
            }
            StreamError::Closing
            | StreamError::WebsocketClosing
            | StreamError::ConnectionCloses
            | StreamError::Reset(_)
            | StreamError::Fault(_)
            | StreamError::GoAway(_)
            | StreamError::TooManyStreams
            | StreamError::TunnelClosed(_)
            | StreamError::BadState(_) => {
                let to = self.router.stream_destination(stream.receiver());
                outbox::deliver(&self.origin, to, build);
            }
        }
        if ends_stream(error) {
            self.forget(stream);
        }
    }

    /// The error of a command does not name the stream that it would have opened.
    fn bad_state(&mut self, stream: Option<&Stream>, caller: &Receiver, error: BadState) {
        self.deliver(caller, |messages, _| messages.bad_state(error));
        if let Some(stream) = stream {
            self.forget(stream);
        }
    }

    fn stream_info(&self, receipt: &OwnedTerm, info: &StreamInfo<'_, Self>) {
        self.report(|reports, env| {
            let state = match info {
                StreamInfo::NotConnected => StreamState::NotConnected,
                StreamInfo::Unknown => StreamState::Unknown,
                StreamInfo::Stream { stream, running } => StreamState::Known {
                    stream: stream.id.get(env),
                    reply_to: stream.reply_to.get(env),
                    running: *running,
                },
                StreamInfo::Websocket { stream, stats } => StreamState::Websocket {
                    stream: stream.id.get(env),
                    reply_to: stream.reply_to.get(env),
                    stats: *stats,
                },
            };
            reports.stream_info(receipt.get(env), state)
        });
    }
}

/// Builds the error of a stream. `ping` is the ping that the connection ends by, if it ends by one.
fn stream_error(
    stream: &Stream,
    error: &StreamError<'_>,
    cause: Atom,
    ping: Option<StreamId>,
) -> impl for<'a> FnOnce(&Messages<Vm<'a>>, Env<'a>) -> Term<'a> {
    move |messages, env| {
        let ping = ping.map(|ping| ping.get(env));
        messages.stream_error(stream.id.get(env), error, cause.to_term(env), ping)
    }
}

/// What was broken of HTTP/2, where that has failed the stream.
fn http2_fault(error: &StreamError<'_>) -> Option<Http2Fault> {
    match error {
        StreamError::Fault(fault) | StreamError::Closed(DownReason::Error(ConnectionError::Http2(fault))) => {
            Some(*fault)
        }
        _ => None,
    }
}

/// Whether the stream ends by this: a fault in a part of its body need not end it.
fn ends_stream(error: &StreamError<'_>) -> bool {
    !matches!(error, StreamError::BadState(BadState::BodyComplete | BadState::BodyTooLong))
}

fn stream_refs<'a, 'b>(env: Env<'a>, streams: impl Iterator<Item = &'b Stream>) -> Vec<Term<'a>> {
    streams.map(|stream| stream.id.get(env)).collect()
}

//! Where a connection's events go. Everything here runs on an I/O thread.

use std::net::SocketAddr;
use std::sync::Arc;

use gun_rs_engine::error::BadState;
use gun_rs_engine::event::{StreamError, StreamInfo};
use gun_rs_engine::{Data, Event, Message, ProtocolName, Sink};
use gun_rs_terms::reports::{Down, StreamState, WebsocketInit};
use gun_rs_terms::{Messages, Name, Reports};
use http::{HeaderMap, StatusCode};
use rustler::{Atom, Env, Term};

use crate::outbox::{self, Origin};
use crate::payload::{BinaryPayload, HeldBinary};
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
    /// The connection is about to end by the ping of this name.
    PingedBy(StreamId),
}

/// The sink of a connection.
pub(crate) struct BeamSink {
    origin: Arc<Origin>,
    owner: Receiver,
    router: Router,
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
    pub(crate) fn new(origin: Arc<Origin>, owner: Receiver, processed: bool) -> Self {
        Self {
            origin,
            owner,
            router: Router::new(processed),
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
        let to = self.router.stream_destination(stream);
        outbox::deliver(&self.origin, to, |messages, env| build(messages, stream.id.get(env)));
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
    /// process behind ConnPid, which reports the end: of two senders, one may be late.
    fn deliver_with_end(&mut self, to: &Receiver, build: impl for<'a> FnOnce(&Messages<Vm<'a>>, Env<'a>) -> Term<'a>) {
        let message =
            OwnedTerm::build(|env| Reports::new(Vm(env)).deliver(to.get(env), build(&self.origin.messages(env), env)));
        self.ending.push(message);
    }

    /// No message follows for this stream. The process behind ConnPid may keep something for it, where modules of the
    /// user's take part, and does not recognise the last message by itself.
    fn forget(&self, stream: &Stream) {
        if self.router.is_processed() {
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
            Control::PingedBy(ping) => self.pinged_by = Some(ping),
        }
    }

    fn relays(&self, stream: &Stream) -> bool {
        self.router.relays(stream)
    }

    fn is_remote(&self, stream: &Stream) -> bool {
        stream.reply_to.is_remote()
    }

    fn flush(&mut self) {
        outbox::flush();
    }

    fn event(&mut self, event: Event<'_, Self>) {
        match event {
            Event::Up { protocol, local, .. } => self.up(protocol, local),
            Event::ConnectFailed(error) => self.report(|reports, _| reports.connect_failed(&error)),
            // The process behind ConnPid sends gun_down, so that nothing comes between that and its exit.
            Event::Down { protocol, reason, killed, next, served } => {
                let ping = self.pinged_by.take();
                self.end(|reports, env| {
                    let ping = ping.map(|ping| ping.get(env));
                    reports.down(Down { protocol, reason, ping, killed: stream_refs(env, killed), next, served })
                });
                self.router.reset();
            }
            Event::ShutDown => self.end(|reports, _| reports.shut_down()),
            Event::Panicked { protocol, text, killed } => {
                self.end(|reports, env| reports.panicked(protocol, &text, stream_refs(env, killed)));
            }
            Event::Upgraded { stream, headers, subprotocol, fragments } => {
                self.upgraded(stream, headers, subprotocol, fragments);
            }
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
            Event::StreamInfo { receipt, info } => self.stream_info(receipt, &info),
            Event::ConnectionError(error) => {
                let owner = self.owner.clone();
                self.deliver_with_end(&owner, |messages, _| messages.connection_error(error));
            }
            Event::RelayCheck => self.report(|reports, _| reports.relay_check()),
            Event::FlowCheck { stream, messages, bytes } => self.report(|reports, env| {
                reports.flow_check(stream.id.get(env), stream.reply_to.get(env), messages, bytes)
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

impl BeamSink {
    /// The process behind ConnPid knows it first, so that it is up for whoever hears of it from the owner.
    fn up(&self, protocol: ProtocolName, local: Option<SocketAddr>) {
        self.report(|reports, _| reports.up(protocol, local));
        self.deliver(&self.owner, |messages, _| messages.up(protocol));
    }

    fn upgraded(&mut self, stream: &Stream, headers: &HeaderMap, subprotocol: Option<&str>, fragments: bool) {
        self.deliver_stream(stream, |messages, stream_ref| messages.upgraded(stream_ref, headers));
        self.forget(stream);
        if !fragments {
            return;
        }
        self.router.start_module(stream);
        self.report(|reports, env| {
            let options = match &stream.purpose {
                Purpose::Upgrade(options) => options.as_ref().map(|options| options.get(env)),
                Purpose::Request => None,
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
        let to = self.router.frame_destination(stream);
        match owned(message) {
            Ok(frame) => outbox::hold(&self.origin, &stream.id, to, frame),
            Err(control) => outbox::send_frame(&self.origin, &stream.id, to, control),
        }
    }

    fn stream_error(&mut self, stream: &Stream, error: &StreamError<'_>) {
        let build = stream_error(stream, error, self.shutdown_cause, self.pinged_by.clone());
        match error {
            // The closing handshake follows, and then the end, which the process behind ConnPid reports.
            StreamError::Protocol(_) => {
                outbox::deliver(&self.origin, Destination::Forwarded(&stream.reply_to), build);
            }
            StreamError::Handshake(_) | StreamError::Closed(_) | StreamError::Timeout(_) | StreamError::ShutDown => {
                self.deliver_with_end(&stream.reply_to, build);
            }
            StreamError::Closing
            | StreamError::WebsocketClosing
            | StreamError::ConnectionCloses
            | StreamError::BadState(_) => {
                let to = self.router.stream_destination(stream);
                outbox::deliver(&self.origin, to, build);
            }
        }
        if ends_stream(error) {
            self.forget(stream);
        }
    }

    /// The error of a command does not name the stream that it would have opened.
    fn bad_state(&self, stream: Option<&Stream>, caller: &Receiver, error: BadState) {
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

/// Whether the stream ends by this: a fault in a part of its body need not end it.
fn ends_stream(error: &StreamError<'_>) -> bool {
    !matches!(error, StreamError::BadState(BadState::BodyComplete | BadState::BodyTooLong))
}

/// A data frame with its payload in memory of its own; or a control frame, as it is.
fn owned(message: Message<'_, BinaryPayload>) -> Result<Message<'static, BinaryPayload>, Message<'_, BinaryPayload>> {
    let own = |data| match data {
        Data::Borrowed(bytes) => Data::Owned(BinaryPayload::from(bytes)),
        Data::Owned(payload) => Data::Owned(payload),
    };
    match message {
        Message::Text(data) => Ok(Message::Text(own(data))),
        Message::Binary(data) => Ok(Message::Binary(own(data))),
        Message::Fragment { text, fin, first, data } => Ok(Message::Fragment { text, fin, first, data: own(data) }),
        control => Err(control),
    }
}

fn stream_refs<'a>(env: Env<'a>, streams: &[Stream]) -> Vec<Term<'a>> {
    streams.iter().map(|stream| stream.id.get(env)).collect()
}

//! From the engine's events to messages: the one place where a user's message is built.
//!
//! Everything here runs on an I/O thread. A message goes straight to a local pid. What is for a pid of another node,
//! or for a fun, goes to the process behind ConnPid, which hands it on: a NIF can send to local pids alone.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gun_rs_engine::error::{BadState, ConnectionError, DownReason};
use gun_rs_engine::event::{Next, StreamError, StreamInfo};
use gun_rs_engine::{Data, Event, Message, Protocol, Sink};
use http::HeaderMap;
use rustler::env::SavedTerm;
use rustler::{Atom, Encoder, Env, LocalPid, NewBinary, OwnedEnv, Term};

use crate::payload::{BinaryPayload, HeldBinary};
use crate::reasons;
use crate::stream_id::StreamId;

mod atoms {
    rustler::atoms! {
        binary,
        close,
        closed,
        closed_by_user,
        connect_failed,
        deliver,
        down,
        error,
        fin,
        flow_check,
        forget,
        fragment,
        gun_data,
        gun_error,
        gun_inform,
        gun_response,
        gun_rs_native,
        gun_trailers,
        gun_up,
        gun_upgrade,
        gun_ws,
        gun_ws_upgrade,
        http,
        nofin,
        not_connected,
        ok,
        panic,
        ping,
        ping_unsupported_by_protocol,
        pong,
        r#ref = "ref",
        relay_check,
        reply_to,
        reupgrade,
        running,
        send_queue_full,
        sent,
        settle,
        shut_down,
        shutdown,
        state,
        stopping,
        stream_info,
        text,
        undefined,
        up,
        ws,
        ws_frame,
        ws_init,
    }
}

/// How many frames of a WebSocket are sent to its user at once: if each were sent as soon as it is built, the user's
/// process would go to sleep after each, and would have to be woken for the next.
const MAX_HELD: usize = 32;

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::new(Outbox::new());
}

/// What messages are built in, and frames that wait for others to follow them. When it is not in use, it holds nothing.
struct Outbox {
    env: OwnedEnv,
    /// They are terms only when they are sent: a term that is kept costs atomic operations, which take a tenth of the
    /// time that a frame of 1 KiB takes.
    frames: Vec<Message<'static, BinaryPayload>>,
    /// What they all are of.
    of: Option<Held>,
}

/// Where frames go that are held back, all of them from one sink: to the process, for another receiver if there is one.
struct Held {
    to: LocalPid,
    elsewhere: Option<Receiver>,
    stream: StreamId,
}

impl Outbox {
    fn new() -> Self {
        Self { env: OwnedEnv::new(), frames: Vec::new(), of: None }
    }
}

/// A term kept for later, in memory of its own.
pub(crate) struct Kept {
    env: OwnedEnv,
    term: SavedTerm,
}

impl Kept {
    /// Keeps a copy of `term`.
    pub(crate) fn new(term: Term<'_>) -> Self {
        let env = OwnedEnv::new();
        let term = env.save(term);
        Self { env, term }
    }

    /// Whether it is the pid of a process, wherever that is.
    fn is_pid(&self) -> bool {
        self.env.run(|env| self.term.load(env).is_pid())
    }

    /// A copy of it in `env`.
    pub(crate) fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        self.env.run(|kept| self.term.load(kept).in_env(env))
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        self.env.run(|kept| Self::new(self.term.load(kept)))
    }
}

/// Who a message is for.
#[derive(Clone)]
pub(crate) enum Receiver {
    /// A process of this node.
    Local(LocalPid),
    /// Whatever else a `reply_to` may be: the process behind ConnPid delivers to it.
    Elsewhere(Kept),
}

impl Receiver {
    fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::Local(pid) => pid.encode(env),
            Self::Elsewhere(receiver) => receiver.get(env),
        }
    }
}

/// Those that are elsewhere are not told apart.
impl PartialEq for Receiver {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Local(one), Self::Local(other)) if one == other)
    }
}

impl From<Term<'_>> for Receiver {
    fn from(term: Term<'_>) -> Self {
        term.decode().map_or_else(|_| Self::Elsewhere(Kept::new(term)), Self::Local)
    }
}

impl Borrow<StreamId> for Stream {
    fn borrow(&self) -> &StreamId {
        &self.id
    }
}

impl PartialEq<StreamId> for Stream {
    fn eq(&self, id: &StreamId) -> bool {
        self.id == *id
    }
}

/// A stream: its reference, and who its messages are for.
pub(crate) struct Stream {
    id: StreamId,
    reply_to: Receiver,
    /// Whether it was opened to become a WebSocket.
    upgrade: bool,
    /// The user's options, where a module of the user's may take the frames.
    handler: Option<Kept>,
}

impl Stream {
    /// The stream `stream_ref`, with messages for `reply_to`.
    pub(crate) fn new(stream_ref: Term<'_>, reply_to: Term<'_>) -> Self {
        Self { id: StreamId::new(stream_ref), reply_to: reply_to.into(), upgrade: false, handler: None }
    }

    /// The same for an upgrade.
    pub(crate) fn new_upgrade(stream_ref: Term<'_>, reply_to: Term<'_>, handler: Option<Kept>) -> Self {
        Self { upgrade: true, handler, ..Self::new(stream_ref, reply_to) }
    }
}

/// A command to the sink.
pub(crate) enum Control {
    /// A new owner.
    SetOwner(Receiver),
    /// The connection is about to be shut down: the word for why, in the reasons of its streams.
    ShutDown(Atom),
    /// The connection is about to end by the ping of this name.
    PingedBy(StreamId),
}

/// Which gun's messages a connection sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// 2.x.
    Gun2,
    /// 1.2 and 1.3.
    Gun1,
    /// The pre-releases of 1.0.
    Gun1Pre,
    /// What was before.
    Gun0,
}

/// The sink of a connection: it knows ConnPid and the owner.
pub(crate) struct BeamSink {
    connection: LocalPid,
    owner: Receiver,
    dialect: Dialect,
    /// Whether a module of the user's takes the WebSocket's frames, in the process behind ConnPid.
    handled: bool,
    /// Whether everything goes through that process, because something has: what is sent straight would overtake it.
    relayed: bool,
    /// Whether everything does in any case.
    processed: bool,
    /// Messages that come with the end of the connection.
    ending: Vec<Kept>,
    /// Why it is shut down, once it is.
    shutdown_cause: Atom,
    /// The ping that the connection ends by.
    pinged_by: Option<StreamId>,
    /// Set when nothing may be told any more.
    silent: Arc<AtomicBool>,
}

impl BeamSink {
    /// For the connection of this process, and with this owner. With `processed`, every message goes through the
    /// process, which has modules of the user's to run on them.
    pub(crate) fn new(
        connection: LocalPid,
        owner: Receiver,
        dialect: Dialect,
        processed: bool,
        silent: Arc<AtomicBool>,
    ) -> Self {
        Self {
            connection,
            owner,
            dialect,
            handled: false,
            relayed: processed,
            processed,
            ending: Vec::new(),
            shutdown_cause: atoms::shutdown(),
            pinged_by: None,
            silent,
        }
    }

    /// To the owner, or to a stream's reply_to.
    fn send(&self, to: &Receiver, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        let (pid, elsewhere) = self.route(to);
        self.message(&pid, |env| addressed(env, elsewhere, build(env)));
    }

    /// The same through the process behind ConnPid: for what comes before the end of the connection, which that process
    /// reports. Of two senders, one may be late.
    fn send_by_process(&self, to: &Receiver, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        self.message(&self.connection, |env| addressed(env, Some(to), build(env)));
    }

    /// The same for what comes with the end itself. It is held until the end is reported: the socket is closed in between.
    fn send_with_end(&mut self, to: &Receiver, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        let env = OwnedEnv::new();
        let term = env.run(|own| env.save(addressed(own, Some(to), build(own))));
        self.ending.push(Kept { env, term });
    }

    /// The end of the connection, behind what comes with it.
    fn end(&mut self, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        for message in std::mem::take(&mut self.ending) {
            self.message(&self.connection, |env| message.get(env));
        }
        self.tell(build);
    }

    /// The process that a message goes to, and whom it is for if that is another.
    fn route<'r>(&self, to: &'r Receiver) -> (LocalPid, Option<&'r Receiver>) {
        match to {
            Receiver::Local(pid) if !self.relayed => (*pid, None),
            _ => (self.connection, Some(to)),
        }
    }

    /// To the process behind ConnPid.
    fn tell(&self, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        self.message(&self.connection, |env| told(env, build(env)));
    }

    /// Sends a message, behind the frames that wait.
    fn message(&self, to: &LocalPid, build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        OUTBOX.with_borrow_mut(|outbox| {
            self.send_frames(outbox);
            outbox.env.run(|env| self.send_term(to, build(env)));
            outbox.env.clear();
        });
    }

    /// Sends the frames that wait.
    fn send_frames(&self, outbox: &mut Outbox) {
        let Some(Held { to, elsewhere, stream }) = outbox.of.take() else { return };
        outbox.env.run(|env| {
            let stream_ref = stream_ref(env, &stream);
            let built = |message| addressed(env, elsewhere.as_ref(), self.ws_term(env, stream_ref, message));
            // All are built before the first is sent, which wakes the receiver.
            let messages: Vec<_> = outbox.frames.drain(..).map(built).collect();
            for message in messages {
                self.send_term(&to, message);
            }
        });
        outbox.env.clear();
    }

    /// Sends a message, unless nothing may be told any more. A receiver that has died misses nothing.
    fn send_term(&self, to: &LocalPid, message: Term<'_>) {
        if !self.silent.load(Ordering::Acquire) {
            // As a copy: the environment itself would take its own room, some 2 KB, along to the mailbox.
            let _ = message.get_env().send(to, message);
        }
    }
}

impl Sink for BeamSink {
    type Stream = Stream;
    type StreamId = StreamId;
    type Caller = Receiver;
    type Receipt = Kept;
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
        self.handled || self.relayed || matches!(stream.reply_to, Receiver::Elsewhere(_))
    }

    fn is_remote(&self, stream: &Stream) -> bool {
        match &stream.reply_to {
            Receiver::Local(_) => false,
            Receiver::Elsewhere(kept) => kept.is_pid(),
        }
    }

    fn flush(&mut self) {
        OUTBOX.with_borrow_mut(|outbox| self.send_frames(outbox));
    }

    fn event(&mut self, event: Event<'_, Self>) {
        let pid = self.connection;
        match event {
            // The process knows it first, so that it is up for who hears of it from the owner.
            Event::Up { protocol, local, .. } => {
                self.tell(|env| (atoms::up(), protocol_term(env, protocol), sockname(env, local)).encode(env));
                self.send(&self.owner, |env| (atoms::gun_up(), pid, protocol_term(env, protocol)).encode(env));
            }
            Event::ConnectFailed(error) => {
                self.tell(|env| (atoms::connect_failed(), reasons::connect_error(env, &error)).encode(env));
            }
            // The process sends gun_down, so that nothing comes between that and its exit.
            Event::Down { protocol, reason, killed, next, served } => {
                let ping = ping_at_fault(self.pinged_by.take(), reason);
                self.end(|env| {
                    let reason = ping.map_or_else(|| reasons::down_reason(env, reason), |ping| pinged_by(env, &ping));
                    let killed = stream_refs(env, killed);
                    let next = match next {
                        Next::Nothing => atoms::undefined().encode(env),
                        Next::ClosedByUser => atoms::closed_by_user().encode(env),
                        Next::Reupgrade { after } => {
                            let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                            (atoms::reupgrade(), after).encode(env)
                        }
                    };
                    (atoms::down(), protocol_term(env, protocol), reason, next, killed, served).encode(env)
                });
                // The process connects again only when it has done with all of it.
                (self.handled, self.relayed) = (false, self.processed);
            }
            Event::ShutDown => self.end(|env| atoms::shut_down().encode(env)),
            Event::Panicked { protocol, text, killed } => self.end(|env| {
                let protocol = protocol.map(|protocol| protocol_term(env, protocol));
                (atoms::panic(), protocol, reasons::panic(env, &text), stream_refs(env, killed)).encode(env)
            }),
            Event::Upgraded { stream, headers, subprotocol, fragments } => {
                let dialect = self.dialect;
                self.tell_stream(stream, |env, stream_ref| match dialect {
                    Dialect::Gun2 | Dialect::Gun1 => {
                        let protocols = vec![binary(env, b"websocket")];
                        (atoms::gun_upgrade(), pid, stream_ref, protocols, headers_term(env, headers)).encode(env)
                    }
                    Dialect::Gun1Pre => {
                        (atoms::gun_ws_upgrade(), pid, atoms::ok(), headers_term(env, headers)).encode(env)
                    }
                    Dialect::Gun0 => (atoms::gun_ws_upgrade(), pid, atoms::ok()).encode(env),
                });
                self.forget(stream);
                self.handled = fragments;
                self.relayed |= fragments;
                if fragments {
                    self.tell(|env| {
                        let subprotocol = subprotocol.map_or_else(
                            || atoms::undefined().encode(env),
                            |subprotocol| binary(env, subprotocol.as_bytes()),
                        );
                        let options = stream.handler.as_ref().map(|options| options.get(env));
                        let (stream_ref, reply_to) = (stream_ref(env, &stream.id), stream.reply_to.get(env));
                        let headers = headers_term(env, headers);
                        (atoms::ws_init(), stream_ref, reply_to, subprotocol, headers, options).encode(env)
                    });
                }
            }
            Event::Inform { stream, status, headers } => self.tell_stream(stream, |env, stream_ref| {
                (atoms::gun_inform(), pid, stream_ref, status.as_u16(), headers_term(env, headers)).encode(env)
            }),
            Event::Response { stream, fin, status, headers } => {
                let refused = stream.upgrade && self.dialect == Dialect::Gun0;
                self.tell_stream(stream, |env, stream_ref| {
                    let (fin, status, headers) = (fin_term(env, fin), status.as_u16(), headers_term(env, headers));
                    if refused {
                        (atoms::gun_ws_upgrade(), pid, atoms::error(), fin, status, headers).encode(env)
                    } else {
                        (atoms::gun_response(), pid, stream_ref, fin, status, headers).encode(env)
                    }
                });
                if refused && fin {
                    self.forget(stream);
                }
            }
            Event::Data { stream, fin, data } => self.tell_stream(stream, |env, stream_ref| {
                (atoms::gun_data(), pid, stream_ref, fin_term(env, fin), binary(env, &data)).encode(env)
            }),
            Event::Trailers { stream, trailers } => self.tell_stream(stream, |env, stream_ref| {
                (atoms::gun_trailers(), pid, stream_ref, headers_term(env, trailers)).encode(env)
            }),
            Event::NoStream { stream, caller } => self.send(caller, |env| {
                let reason = reasons::bad_state(env, BadState::NoStream);
                (atoms::gun_error(), pid, stream_ref(env, stream), reason).encode(env)
            }),
            Event::StreamInfo { receipt, info } => {
                self.tell(|env| (atoms::stream_info(), receipt.get(env), stream_info(env, &info)).encode(env));
            }
            Event::StreamError { stream, error } => self.stream_error(stream, &error),
            Event::ConnectionError(error) => {
                let owner = self.owner.clone();
                self.send_with_end(&owner, |env| {
                    (atoms::gun_error(), pid, reasons::connection_error(env, error)).encode(env)
                });
            }
            Event::RelayCheck => self.tell(|env| atoms::relay_check().encode(env)),
            Event::FlowCheck { stream, messages, bytes } => self.tell(|env| {
                let (stream_ref, reply_to) = (stream_ref(env, &stream.id), stream.reply_to.get(env));
                (atoms::flow_check(), stream_ref, reply_to, messages, bytes).encode(env)
            }),
            Event::Settle { stream } => {
                self.tell(|env| (atoms::settle(), stream_ref(env, &stream.id), stream.reply_to.get(env)).encode(env))
            }
            Event::Sent(receipt) => {
                self.tell(|env| (atoms::sent(), receipt.get(env), atoms::ok()).encode(env));
            }
            Event::NotSent { receipt, error } => self.tell(|env| {
                let error = (atoms::error(), reasons::not_sent(env, &error));
                (atoms::sent(), receipt.get(env), error).encode(env)
            }),
            Event::BadState { stream, caller, error } => {
                self.send(caller, |env| (atoms::gun_error(), pid, reasons::bad_state(env, error)).encode(env));
                // The error doesn't name the stream.
                if let Some(stream) = stream {
                    self.forget(stream);
                }
            }
            Event::Message { stream, message } => self.ws_message(stream, message),
        }
    }
}

impl BeamSink {
    fn ws_message(&mut self, stream: &Stream, message: Message<'_, BinaryPayload>) {
        self.relayed |= matches!(stream.reply_to, Receiver::Elsewhere(_));
        let (to, elsewhere) = if self.handled { (self.connection, None) } else { self.route(&stream.reply_to) };
        match owned(message) {
            Ok(frame) => self.hold(frame, || Held { to, elsewhere: elsewhere.cloned(), stream: stream.id.clone() }),
            Err(control) => {
                self.message(&to, |env| {
                    addressed(env, elsewhere, self.ws_term(env, stream_ref(env, &stream.id), control))
                });
            }
        }
    }

    /// Holds a data frame back until others have followed it.
    fn hold(&self, frame: Message<'static, BinaryPayload>, of: impl FnOnce() -> Held) {
        OUTBOX.with_borrow_mut(|outbox| {
            outbox.of.get_or_insert_with(of);
            outbox.frames.push(frame);
            if outbox.frames.len() >= MAX_HELD {
                self.send_frames(outbox);
            }
        });
    }

    /// A frame as its receiver takes it. The oldest ones did not name its stream.
    fn ws_term<'a>(&self, env: Env<'a>, stream_ref: Term<'a>, message: Message<'_, BinaryPayload>) -> Term<'a> {
        let (pid, frame) = (self.connection, frame(env, message));
        if self.handled {
            return told(env, (atoms::ws_frame(), stream_ref, frame).encode(env));
        }
        match self.dialect {
            Dialect::Gun2 | Dialect::Gun1 => (atoms::gun_ws(), pid, stream_ref, frame).encode(env),
            Dialect::Gun1Pre | Dialect::Gun0 => (atoms::gun_ws(), pid, frame).encode(env),
        }
    }

    fn stream_error(&mut self, stream: &Stream, error: &StreamError<'_>) {
        let (pid, dialect, cause) = (self.connection, self.dialect, self.shutdown_cause);
        let ping = match error {
            StreamError::Closed(reason) => ping_at_fault(self.pinged_by.clone(), reason),
            _ => None,
        };
        match error {
            // The closing handshake follows.
            StreamError::Protocol(_) => {
                self.send_by_process(&stream.reply_to, |env| {
                    gun_error(env, pid, dialect, stream_ref(env, &stream.id), error, cause)
                });
            }
            StreamError::Handshake(_) | StreamError::Closed(_) | StreamError::Timeout(_) | StreamError::ShutDown => {
                self.send_with_end(&stream.reply_to, |env| match &ping {
                    Some(ping) => {
                        let reason = (atoms::closed(), pinged_by(env, ping));
                        (atoms::gun_error(), pid, stream_ref(env, &stream.id), reason).encode(env)
                    }
                    None => gun_error(env, pid, dialect, stream_ref(env, &stream.id), error, cause),
                });
            }
            StreamError::Closing
            | StreamError::WebsocketClosing
            | StreamError::ConnectionCloses
            | StreamError::BadState(_) => {
                self.tell_stream(stream, |env, stream_ref| gun_error(env, pid, dialect, stream_ref, error, cause));
            }
        }
        if ends_stream(error) {
            self.forget(stream);
        }
    }

    /// Nothing more of this stream is told: the process may have kept something for it, where modules of the user's take
    /// part, and doesn't see it by the last message itself.
    fn forget(&self, stream: &Stream) {
        if self.processed {
            self.tell(|env| (atoms::forget(), stream_ref(env, &stream.id)).encode(env));
        }
    }

    fn tell_stream(&mut self, stream: &Stream, build: impl for<'a> FnOnce(Env<'a>, Term<'a>) -> Term<'a>) {
        self.relayed |= matches!(stream.reply_to, Receiver::Elsewhere(_));
        self.send(&stream.reply_to, |env| build(env, stream_ref(env, &stream.id)));
    }
}

/// The ping, where the connection ends by it.
fn ping_at_fault(pinged_by: Option<StreamId>, reason: &DownReason) -> Option<StreamId> {
    pinged_by.filter(|_| matches!(reason, DownReason::Error(ConnectionError::PingUnsupported)))
}

/// The reason of an end by a ping: it names the ping, as in gun.
fn pinged_by<'a>(env: Env<'a>, ping: &StreamId) -> Term<'a> {
    (atoms::error(), (atoms::ping_unsupported_by_protocol(), stream_ref(env, ping))).encode(env)
}

/// What a stream's receiver is told of its failure.
fn gun_error<'a>(
    env: Env<'a>,
    pid: LocalPid,
    dialect: Dialect,
    stream_ref: Term<'a>,
    error: &StreamError<'_>,
    shutdown_cause: Atom,
) -> Term<'a> {
    let reason = match (dialect, error) {
        (Dialect::Gun1 | Dialect::Gun1Pre | Dialect::Gun0, StreamError::Closed(DownReason::Closed)) => {
            reasons::connection_lost(env)
        }
        _ => reasons::stream_error(env, error, shutdown_cause),
    };
    (atoms::gun_error(), pid, stream_ref, reason).encode(env)
}

/// Whether the stream is over by this: what is wrong with a part of its body need not be its end.
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

fn stream_ref<'a>(env: Env<'a>, id: &StreamId) -> Term<'a> {
    // It was made of a term, so it is one.
    id.get(env).unwrap_or_else(|| atoms::undefined().encode(env))
}

/// A message as the process behind ConnPid takes it.
fn told<'a>(env: Env<'a>, message: Term<'a>) -> Term<'a> {
    (atoms::gun_rs_native(), message).encode(env)
}

/// A message on its way to `elsewhere`, if it does not go straight.
fn addressed<'a>(env: Env<'a>, elsewhere: Option<&Receiver>, message: Term<'a>) -> Term<'a> {
    match elsewhere {
        None => message,
        Some(to) => told(env, (atoms::deliver(), to.get(env), message).encode(env)),
    }
}

/// What gun's stream_info/2 answers.
fn stream_info<'a>(env: Env<'a>, info: &StreamInfo<'_, BeamSink>) -> Term<'a> {
    match info {
        StreamInfo::NotConnected => (atoms::error(), atoms::not_connected()).encode(env),
        StreamInfo::Unknown => (atoms::ok(), atoms::undefined()).encode(env),
        StreamInfo::Stream { stream, running } => {
            let state = if *running { atoms::running() } else { atoms::stopping() };
            let map = Term::map_new(env);
            let map = map.map_put(atoms::r#ref(), stream_ref(env, &stream.id));
            let map = map.and_then(|map| map.map_put(atoms::reply_to(), stream.reply_to.get(env)));
            let map = map.and_then(|map| map.map_put(atoms::state(), state));
            // It is a map that is put into.
            (atoms::ok(), map.unwrap_or_else(|_| atoms::undefined().encode(env))).encode(env)
        }
    }
}

/// The answer to what the queue has no room for, to be sent by the caller itself.
pub(crate) fn queue_full<'a>(env: Env<'a>, connection: &LocalPid, stream_ref: Term<'a>) -> Term<'a> {
    if atoms::undefined() == stream_ref {
        (atoms::gun_error(), connection, atoms::send_queue_full()).encode(env)
    } else {
        (atoms::gun_error(), connection, stream_ref, atoms::send_queue_full()).encode(env)
    }
}

fn stream_refs<'a>(env: Env<'a>, streams: &[Stream]) -> Vec<Term<'a>> {
    streams.iter().map(|stream| stream_ref(env, &stream.id)).collect()
}

fn protocol_term(env: Env<'_>, protocol: Protocol) -> Term<'_> {
    match protocol {
        Protocol::Http => atoms::http().encode(env),
        Protocol::Ws => atoms::ws().encode(env),
    }
}

fn fin_term(env: Env<'_>, fin: bool) -> Term<'_> {
    if fin { atoms::fin() } else { atoms::nofin() }.encode(env)
}

/// Header names are lowercase already; a repeated name's values stand together.
fn headers_term<'a>(env: Env<'a>, headers: &HeaderMap) -> Term<'a> {
    let headers = headers.iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| (binary(env, name.as_str().as_bytes()), binary(env, value.as_bytes()))).collect();
    headers.encode(env)
}

/// A frame in its shortest shape: an empty ping or pong, or a close without a code, is the bare atom.
fn frame<'a>(env: Env<'a>, message: Message<'_, BinaryPayload>) -> Term<'a> {
    match message {
        Message::Text(data) => (atoms::text(), data_term(env, data)).encode(env),
        Message::Binary(data) => (atoms::binary(), data_term(env, data)).encode(env),
        Message::Fragment { text, fin, data, .. } => {
            let kind = if text { atoms::text() } else { atoms::binary() };
            (atoms::fragment(), fin_term(env, fin), kind, data_term(env, data)).encode(env)
        }
        Message::Ping([]) => atoms::ping().encode(env),
        Message::Ping(payload) => (atoms::ping(), binary(env, payload)).encode(env),
        Message::Pong([]) => atoms::pong().encode(env),
        Message::Pong(payload) => (atoms::pong(), binary(env, payload)).encode(env),
        Message::Close(None) => atoms::close().encode(env),
        Message::Close(Some((code, reason))) => (atoms::close(), code, binary(env, reason.as_bytes())).encode(env),
    }
}

fn data_term<'a>(env: Env<'a>, data: Data<'_, BinaryPayload>) -> Term<'a> {
    match data {
        Data::Borrowed(bytes) => binary(env, bytes),
        Data::Owned(payload) => payload.into_term(env),
    }
}

fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    NewBinary::from_slice(env, bytes).into()
}

/// `{IpTuple, Port}`, as `inet:sockname/1` has it, or `undefined`.
fn sockname(env: Env<'_>, address: Option<SocketAddr>) -> Term<'_> {
    let Some(address) = address else { return atoms::undefined().encode(env) };
    let ip = match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            (a, b, c, d).encode(env)
        }
        IpAddr::V6(ip) => {
            let terms: Vec<_> = ip.segments().iter().map(|segment| segment.encode(env)).collect();
            rustler::types::tuple::make_tuple(env, &terms)
        }
    };
    (ip, address.port()).encode(env)
}

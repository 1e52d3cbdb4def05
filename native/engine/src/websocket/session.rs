//! A WebSocket session on a byte stream: it reads and writes, keeps the timers, and closes as RFC 6455, 7 says.
//!
//! The session is one hand-written poll function rather than a handful of futures, because its parts share the
//! stream, and because an idle session must cost little: it holds no buffer and no timer that nobody asked for.

use std::any::Any;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::command::{COMMAND, Command, Item, Outgoing, Reply};
use crate::connection::{Commands, State, Status, end_turn, poll_caught};
use crate::error::{BadState, ConnectionError, DownReason, ProtocolError, is_cut};
use crate::event::{Event, Message, NotSent, StreamError, StreamInfo};
use crate::options::WsOptions;
use crate::sink::Sink;
use crate::transport::ByteStream;
use crate::websocket::credit::{Credit, Window};
use crate::websocket::frame::MAX_CONTROL_PAYLOAD;
use crate::websocket::handshake::Chosen;
use crate::websocket::inbound::Inbound;
use crate::websocket::life::Life;
use crate::websocket::outbound::Outbound;

/// What is received and not decoded is less than a header and the payload of a control frame, unless decoding is held
/// up.
const MAX_PENDING: usize = 10 + MAX_CONTROL_PAYLOAD;

/// How many bytes of answers to pings may wait until reading stops.
const MAX_ANSWERS: usize = 64 * 1024;

/// How many bytes are received in one turn, before the other connections of the thread have theirs, and how many sent:
/// each direction has its own share, so that neither holds up the other.
const TURN: usize = 256 * 1024;

/// How many bytes are inflated in one turn, which takes longer than to receive as many.
const TURN_INFLATED: usize = 128 * 1024;

/// What a message takes of a turn beside its bytes: telling it takes longer than copying it, if it is small.
const MESSAGE: usize = 2 * 1024;

/// What a command takes of the sender's share.
const COMMAND_TURN: usize = 512;

/// How many times the stream is read before it is closed.
const LAST_READS: usize = 16;

/// How many commands are taken in a row before reading and writing have their turn.
const COMMANDS_IN_A_ROW: usize = 32;

/// How often a session that may not read looks whether the peer has closed.
const LOOKOUT: Duration = Duration::from_secs(1);

/// How many bytes of messages a receiver is given beyond its credit, once the peer has closed.
const MAX_DRAINED: usize = 16 * 1024 * 1024;

/// What each of these messages counts for beside its bytes: about what it takes in the receiver's mailbox.
const DRAINED_MESSAGE: usize = 256;

/// How long a close frame that answers a fault waits for the receiver to have answered what came before the fault.
const SETTLE: Duration = Duration::from_millis(50);

/// How a session ended.
pub(crate) enum End {
    /// The connection is down.
    Down(DownReason, ClosedByUser),
    /// The shutdown that was asked for is done.
    ShutDown,
    /// Nobody can ask anything of it any more.
    Abandoned,
    /// The session has panicked.
    Panicked(Box<dyn Any + Send>),
}

/// Whether the user has sent a close frame.
pub(crate) type ClosedByUser = bool;

/// What a session is made of.
pub(crate) struct Parts<'a, S, K: Sink> {
    pub(crate) io: S,
    /// What came with the 101.
    pub(crate) received: Bytes,
    pub(crate) commands: &'a mut Commands<K>,
    pub(crate) sink: &'a mut K,
    pub(crate) status: &'a Status,
    pub(crate) stream: K::Stream,
    pub(crate) options: WsOptions,
    pub(crate) chosen: Chosen,
    pub(crate) send_timeout: Option<Duration>,
}

pub(crate) struct Session<'a, S, K: Sink> {
    io: S,
    core: Core<'a, K>,
}

/// A session but for its stream, which lends the bytes that it has read while they are decoded.
struct Core<'a, K: Sink> {
    commands: &'a mut Commands<K>,
    sink: &'a mut K,
    status: &'a Status,
    stream: K::Stream,
    closing_timeout: Option<Duration>,
    keepalive_interval: Option<Duration>,
    keepalive_tolerance: Option<u32>,
    silence_pings: bool,
    send_timeout: Option<Duration>,
    inbound: Inbound<K::Payload>,
    outbound: Outbound<K>,
    /// What has been received and may be decoded before anything else is read: what came with the 101, what a turn left,
    /// or what a receiver that is asked whether it keeps up was not given yet.
    undecoded: BytesMut,
    /// Bytes received that are not a whole header or control frame yet.
    pending: Vec<u8>,
    bytes_received: u64,
    /// What is left of the turn to receive.
    turn: usize,
    /// And to send.
    turn_out: usize,
    phase: Phase,
    credit: Credit,
    /// What may be told to whoever hands it on, where somebody does.
    relay: Window,
    /// How many bytes of messages may still be told beyond the credit: the peer has closed, so that what it sent before
    /// is all that can follow, and its close is not known to the user before that is told.
    draining: Option<usize>,
    /// A fault that the user is told of once our close frame, which answers it, is written, or never will be: what he does
    /// about it must not come first.
    untold: Option<ProtocolError>,
    /// A shutdown was asked for: the end is told as `ShutDown`.
    shutdown: bool,
    closed_by_user: ClosedByUser,
    /// There is no handle any more, so nobody is left to be told of an end.
    abandoned: bool,
    /// The peer takes nothing any more; what it has sent is still read.
    write_failed: bool,
    keepalive: Option<Timer>,
    /// Whether the peer shows life.
    life: Life,
    /// When a close, from whatever side, has waited long enough.
    closing: Option<Timer>,
    /// When the peer has taken nothing for too long.
    stalled: Option<Timer>,
    /// When to look whether the peer has closed.
    lookout: Option<Timer>,
}

type Timer = Pin<Box<Sleep>>;

enum Phase {
    /// Frames go both ways.
    Open,
    /// Our close frame is sent, or about to be; the peer's is awaited (RFC 6455, 7.1.2).
    Closing,
    /// The peer's close frame has come, ours is on its way; then this is the end.
    Answering,
    /// The peer broke the protocol: the receiver may still answer what came before, then our close frame follows.
    Settling(ProtocolError),
    /// Our close frame that answers a fault is on its way; what comes is thrown away until the peer closes.
    Failing(ProtocolError),
}

impl<'a, S: ByteStream, K: Sink> Session<'a, S, K> {
    pub(crate) fn new(parts: Parts<'a, S, K>) -> Self {
        let Parts { io, received, commands, sink, status, stream, options, chosen, send_timeout } = parts;
        let fragments = options.tells_fragments(chosen.subprotocol.as_deref());
        let credit = Credit::new(options.flow, sink.is_remote(&stream));
        let core = Core {
            commands,
            sink,
            status,
            stream,
            inbound: Inbound::new(&options, chosen.deflate.as_ref(), fragments),
            outbound: Outbound::new(chosen.deflate.as_ref()),
            keepalive: options.keepalive.map(timer),
            credit,
            relay: Window::for_relay(),
            closing_timeout: options.closing_timeout,
            keepalive_interval: options.keepalive,
            keepalive_tolerance: options.keepalive_tolerance,
            // A module of the user's is told of them in any case.
            silence_pings: options.silence_pings && !fragments,
            send_timeout,
            bytes_received: received.len() as u64,
            undecoded: received.into(),
            pending: Vec::new(),
            turn: TURN,
            turn_out: TURN,
            phase: Phase::Open,
            draining: None,
            untold: None,
            shutdown: false,
            closed_by_user: false,
            abandoned: false,
            write_failed: false,
            life: Life::default(),
            closing: None,
            stalled: None,
            lookout: None,
        };
        Self { io, core }
    }

    /// Runs the session to its end, and gives its stream back; `shutdown` begins that end at once.
    pub(crate) async fn run(mut self: Box<Self>, shutdown: bool) -> (End, K::Stream) {
        if shutdown {
            self.core.start_shutdown();
        }
        // A panic is caught here rather than by the task alone, because the stream must be named when it is told.
        let reason = poll_fn(|cx| {
            poll_caught(|| {
                let poll = self.core.poll(&mut self.io, cx);
                // Whoever is told of a message finds it counted.
                self.core.publish();
                self.core.sink.flush();
                poll
            })
        })
        .await;
        let mut core = self.core;
        core.tell_fault();
        let reason = match reason {
            Ok(_) if core.abandoned => return (End::Abandoned, core.stream),
            Ok(reason) => reason,
            Err(panic) => return (End::Panicked(panic), core.stream),
        };
        let receipts = core.outbound.clear();
        core.publish();
        for receipt in &receipts {
            let error = if core.shutdown { NotSent::ShutDown } else { NotSent::Down(&reason) };
            core.sink.event(Event::NotSent { receipt, error });
        }
        (if core.shutdown { End::ShutDown } else { End::Down(reason, core.closed_by_user) }, core.stream)
    }
}

impl<K: Sink> Core<'_, K> {
    /// Counts what has been done, for whoever asks.
    fn publish(&mut self) {
        let (inbound, outbound) = (self.inbound.take_counts(), self.outbound.take_counts());
        self.status.count(std::mem::take(&mut self.bytes_received), inbound, outbound);
    }

    fn poll<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<DownReason> {
        (self.turn, self.turn_out) = (TURN, TURN);
        self.inbound.begin_turn(TURN_INFLATED);
        while self.turn > 0 && self.turn_out > 0 {
            self.do_commands();
            if let Some(reason) = self.poll_timers(io, cx) {
                return Poll::Ready(reason);
            }
            if let Some(reason) = self.poll_write(io, cx) {
                return Poll::Ready(reason);
            }
            match self.poll_read(io, cx) {
                Poll::Ready(Some(reason)) => return Poll::Ready(reason),
                // Something was received: it may have to be answered before the task rests.
                Poll::Ready(None) => {}
                // What is left to be written needs another turn.
                Poll::Pending if self.turn_out == 0 => {}
                // Only now do senders have to wake the task: what they have sent meanwhile leaves without that.
                Poll::Pending => match ready!(self.commands.poll_recv(cx)) {
                    Some(command) => self.command(command),
                    None => {
                        self.abandoned = true;
                        return Poll::Ready(DownReason::Normal);
                    }
                },
            }
        }
        end_turn(cx);
        Poll::Pending
    }

    fn do_commands(&mut self) {
        for _ in 0..COMMANDS_IN_A_ROW {
            let Some(command) = self.commands.try_recv() else { return };
            self.command(command);
        }
    }

    fn command(&mut self, command: Command<K>) {
        self.turn_out = self.turn_out.saturating_sub(COMMAND_TURN);
        match command {
            Command::Send(outgoing) => self.send(*outgoing),
            Command::UpdateFlow(_, messages) => self.credit.update(messages),
            Command::FlowGrant(stream) if self.stream == *stream => self.credit.grant(),
            Command::RelayGrant => self.relay.grant(),
            Command::Settled => self.settled(),
            Command::Upgrade(upgrade) => {
                self.status.release(upgrade.cost());
                self.refuse_request(&upgrade.stream, &upgrade.caller);
            }
            Command::Request(request) => {
                self.status.release(request.cost());
                self.refuse_request(&request.stream, &request.caller);
            }
            Command::Data(data) => {
                self.status.release(data.cost());
                self.refuse_part(&data.caller);
            }
            Command::Cancel(cancel) => {
                self.refuse_part(&cancel.1);
            }
            Command::StreamInfo(asked) => {
                let (stream, receipt) = *asked;
                let info = if self.stream == stream {
                    StreamInfo::Stream { stream: &self.stream, running: true }
                } else {
                    StreamInfo::Unknown
                };
                self.sink.event(Event::StreamInfo { receipt: &receipt, info });
            }
            Command::Ping(ping) => {
                self.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping });
            }
            Command::Shutdown => self.start_shutdown(),
            Command::Control(control) => self.sink.control(*control),
            Command::Panic => crate::connection::panic_on_command(),
            // The second is the answer for a response before the upgrade.
            Command::Connect(_) | Command::FlowGrant(_) => {}
        }
    }

    fn refuse_request(&mut self, stream: &K::Stream, caller: &K::Caller) {
        self.sink.event(match self.phase {
            Phase::Open => Event::BadState { stream: Some(stream), caller, error: BadState::OnlyWebsocket },
            _ => Event::StreamError { stream, error: StreamError::WebsocketClosing },
        });
    }

    /// What belongs to a request that is not here.
    fn refuse_part(&mut self, caller: &K::Caller) {
        self.sink.event(Event::BadState { stream: None, caller, error: BadState::OnlyWebsocket });
    }

    fn start_shutdown(&mut self) {
        self.shutdown = true;
        if matches!(self.phase, Phase::Open) {
            self.outbound.push_close(1001);
            self.close(Phase::Closing);
        }
    }

    fn send(&mut self, outgoing: Outgoing<K>) {
        if !matches!(self.phase, Phase::Open | Phase::Settling(_)) {
            self.status.release(outgoing.cost());
            self.turn_out = self.turn_out.saturating_sub(COMMAND_TURN * outgoing.calls as usize);
            return crate::connection::refuse(self.sink, &outgoing, BadState::Closing);
        }
        let mut items = outgoing.items.into_iter();
        for item in items.by_ref() {
            let closes = matches!(item, Item::Close(_));
            self.outbound.push(item);
            if closes {
                self.closed_by_user = true;
                let phase = std::mem::replace(&mut self.phase, Phase::Closing);
                let phase = if let Phase::Settling(error) = phase { Phase::Failing(error) } else { Phase::Closing };
                self.close(phase);
                break;
            }
        }
        self.status.release(items.map(|item| item.cost()).sum());
        match outgoing.reply {
            Reply::Receipt(receipt) => self.outbound.push_receipt(receipt),
            Reply::Caller(_) => self.status.release(COMMAND),
        }
    }

    /// Enters a phase that ends the session, by its own means or by closing_timeout.
    fn close(&mut self, phase: Phase) {
        self.phase = phase;
        self.keepalive = None;
        self.closing = self.closing_timeout.map(timer);
        self.status.set(State::Closing);
    }

    fn poll_timers<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Option<DownReason> {
        while is_due(&mut self.closing, cx) {
            if !matches!(self.phase, Phase::Settling(_)) {
                return Some(self.end_reason());
            }
            // The close frame goes out, and the timer runs anew.
            self.settled();
        }
        if is_due(&mut self.stalled, cx) {
            return Some(ConnectionError::SendTimeout.into());
        }
        while is_due(&mut self.keepalive, cx) {
            if self.is_dead() {
                return Some(ConnectionError::KeepaliveTimeout.into());
            }
            self.outbound.push_ping();
            self.keepalive = self.keepalive_interval.map(timer);
        }
        while is_due(&mut self.lookout, cx) {
            if io.peer_closed() {
                self.draining = Some(MAX_DRAINED);
            } else {
                self.lookout = Some(timer(LOOKOUT));
            }
        }
        None
    }

    /// Whether the peer has shown no life for too long; if not, the next ping is about to be sent. An answer can't be seen
    /// while reading is paused, which doesn't count against the peer.
    fn is_dead(&mut self) -> bool {
        let may_read = self.may_read();
        self.life.is_over(self.keepalive_tolerance, may_read)
    }

    /// Why the session is down when a close has run its course.
    fn end_reason(&mut self) -> DownReason {
        match std::mem::replace(&mut self.phase, Phase::Answering) {
            Phase::Failing(error) | Phase::Settling(error) => ConnectionError::Protocol(error).into(),
            _ => DownReason::Normal,
        }
    }

    fn poll_write<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Option<DownReason> {
        if self.write_failed {
            self.drop_unsent();
            if !matches!(self.phase, Phase::Settling(_)) {
                self.tell_fault();
            }
            return None;
        }
        if !self.outbound.is_empty() {
            // What has been received need not wait for it.
            self.sink.flush();
        }
        let mut progress = false;
        let mut sent = Vec::new();
        let offered = self.turn_out > 0;
        let written = self.outbound.poll_write(io, &mut self.turn_out, &mut progress, &mut sent, cx);
        // A turn that the user's commands have used up says nothing about the socket.
        if offered {
            self.life.wrote(self.outbound.take_taken(), written.is_pending() && self.turn_out > 0);
        }
        if !sent.is_empty() {
            // Whoever is told may send again, and must find the room.
            self.publish();
        }
        for receipt in &sent {
            self.sink.event(Event::Sent(receipt));
        }
        match written {
            Poll::Ready(Ok(())) => {
                self.stalled = None;
                if !matches!(self.phase, Phase::Settling(_)) {
                    self.tell_fault();
                }
            }
            Poll::Ready(Err(error)) if is_cut(&error) => {
                self.stalled = None;
                self.write_failed = true;
                self.drop_unsent();
            }
            Poll::Ready(Err(error)) => return Some((&error).into()),
            // It is our turn that is over: the socket may well take more.
            Poll::Pending if self.turn_out == 0 && progress => self.stalled = None,
            Poll::Pending => return self.poll_stalled(progress, cx),
        }
        if matches!(self.phase, Phase::Answering) {
            self.leave(io, cx);
            return Some(DownReason::Normal);
        }
        None
    }

    /// The peer takes nothing any more: what waits to be sent never will be.
    fn drop_unsent(&mut self) {
        for receipt in self.outbound.clear() {
            self.sink.event(Event::NotSent { receipt: &receipt, error: NotSent::Down(&DownReason::Closed) });
        }
    }

    /// The socket takes no more for now: send_timeout runs from the last time that it took something.
    fn poll_stalled(&mut self, progress: bool, cx: &mut Context<'_>) -> Option<DownReason> {
        let timeout = self.send_timeout?;
        match &mut self.stalled {
            Some(stalled) if progress => stalled.as_mut().reset(Instant::now() + timeout),
            Some(_) => {}
            None => self.stalled = Some(timer(timeout)),
        }
        is_due(&mut self.stalled, cx).then(|| ConnectionError::SendTimeout.into())
    }

    /// Says goodbye to a peer that has had our close frame. What it still sends is taken from the socket, since
    /// closing a socket with unread bytes resets it, and the reset may overtake the close frame.
    fn leave<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut *io).poll_shutdown(cx);
        for _ in 0..LAST_READS {
            let Poll::Ready(Ok(1..)) = io.poll_read_pieces(usize::MAX, cx, &mut |_| ()) else { return };
        }
    }

    /// Whether bytes are decoded, rather than thrown away.
    fn is_decoding(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing)
    }

    /// Whether reading is not paused.
    fn may_read(&self) -> bool {
        match self.phase {
            Phase::Open | Phase::Closing => {
                !self.awaits_grant() && (self.draining.is_some() || !self.credit.is_spent())
            }
            Phase::Settling(_) => false,
            Phase::Answering | Phase::Failing(_) => true,
        }
    }

    /// One read, and the decoding of what it brings.
    fn poll_read<S: ByteStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<Option<DownReason>> {
        if self.outbound.answers() > MAX_ANSWERS {
            return Poll::Pending;
        }
        if !self.may_read() {
            // A receiver that is asked whether it keeps up is not given more, whether the peer has closed or not.
            if self.lookout.is_none() && self.is_decoding() && !self.awaits_grant() {
                self.lookout = Some(timer(LOOKOUT));
                // A timer wakes the task only once it has been polled; this one is never due at once.
                let _ = is_due(&mut self.lookout, cx);
            }
            return Poll::Pending;
        }
        self.lookout = None;
        if !self.undecoded.is_empty() {
            return Poll::Ready(self.decode_undecoded());
        }
        // A stream that lends what it has read would only copy it.
        let direct = io.reads_in_place() && self.is_decoding() && self.pending.is_empty();
        let room = if direct { self.inbound.direct() } else { Ok(None) };
        let mut reason = None;
        let read = match room {
            Ok(Some(room)) => {
                let mut buffer = ReadBuf::new(room);
                let result = ready!(Pin::new(io).poll_read(cx, &mut buffer));
                let n = buffer.filled().len();
                if n > 0 {
                    reason = self.advance(n);
                }
                result.map(|()| n)
            }
            Ok(None) => {
                let wanted = self.inbound.appetite();
                let mut take = |piece: &[u8]| reason = reason.take().or_else(|| self.take(piece));
                ready!(io.poll_read_pieces(wanted, cx, &mut take))
            }
            Err(error) => return Poll::Ready(Some(error.into())),
        };
        Poll::Ready(match read {
            Ok(0) => Some(self.cut(DownReason::Closed)),
            Ok(n) => {
                self.life.received();
                self.bytes_received += n as u64;
                self.turn = self.turn.saturating_sub(n);
                reason
            }
            Err(error) if is_cut(&error) => Some(self.cut((&error).into())),
            Err(error) => Some((&error).into()),
        })
    }

    /// `n` bytes have been read into the payload under way.
    fn advance(&mut self, n: usize) -> Option<DownReason> {
        match self.inbound.advance(n) {
            Ok(message) => {
                if let Some(message) = message {
                    self.deliver(message);
                }
                None
            }
            Err(error) => self.fail(error),
        }
    }

    /// The peer closed the byte stream: the reason, unless the session was about to end.
    fn cut(&mut self, reason: DownReason) -> DownReason {
        match self.phase {
            Phase::Failing(_) | Phase::Settling(_) | Phase::Answering => self.end_reason(),
            // A WebSocket tells by its close frame whether all has come; whoever looks for TLS's word too finds it counted.
            Phase::Open | Phase::Closing => match reason {
                DownReason::Error(ConnectionError::Truncated) => {
                    self.status.count_truncated();
                    DownReason::Closed
                }
                reason => reason,
            },
        }
    }

    /// Decodes what was read, behind what is pending, as far as it may be decoded now.
    fn take(&mut self, piece: &[u8]) -> Option<DownReason> {
        if self.is_decoding() && self.is_held_up() {
            self.undecoded.extend_from_slice(piece);
            return None;
        }
        let mut done = 0;
        if !self.pending.is_empty() {
            // The header or control frame that has begun ends within so many bytes.
            let before = self.pending.len();
            let mut joint = std::mem::take(&mut self.pending);
            joint.extend_from_slice(&piece[..piece.len().min(MAX_PENDING)]);
            let (consumed, reason) = self.decode(&joint);
            if reason.is_some() {
                return reason;
            }
            if consumed == 0 {
                self.pending = joint;
                return None;
            }
            done = consumed - before;
        }
        let (consumed, reason) = self.decode(&piece[done..]);
        let rest = &piece[done + consumed..];
        if self.is_held_up() {
            self.undecoded = rest.into();
        } else {
            self.pending = rest.to_vec();
        }
        reason
    }

    fn decode_undecoded(&mut self) -> Option<DownReason> {
        let mut undecoded = std::mem::take(&mut self.undecoded);
        let (consumed, reason) = self.decode(&undecoded);
        if self.is_held_up() {
            undecoded.advance(consumed);
            self.undecoded = undecoded;
        } else {
            self.pending = undecoded[consumed..].to_vec();
        }
        reason
    }

    /// Whether the receiver, or whoever hands things on to it, must first show that it keeps up. It is then given nothing
    /// more, not even what one read has brought with what it was given: that may be thousands of messages, or inflate to
    /// a thousand times its size.
    fn awaits_grant(&self) -> bool {
        self.credit.awaits_grant() || self.relay.is_exhausted()
    }

    /// Whether nothing more is decoded for now.
    fn is_held_up(&self) -> bool {
        self.turn == 0 || self.awaits_grant()
    }

    /// Delivers every message in `input`, or as many as the receiver may be given; how much of it is done with, and the
    /// reason if the session is over.
    fn decode(&mut self, input: &[u8]) -> (usize, Option<DownReason>) {
        let mut consumed = 0;
        while self.is_decoding() {
            if self.draining == Some(0) {
                return (input.len(), Some(DownReason::Closed));
            }
            if self.is_held_up() {
                return (consumed, None);
            }
            let next = self.inbound.next(input, &mut consumed);
            if self.inbound.is_spent() {
                self.turn = 0;
            }
            match next {
                Ok(None) => return (consumed, None),
                Ok(Some(message)) => self.deliver(message),
                Err(error) => return (input.len(), self.fail(error)),
            }
        }
        // Nothing that comes after the close frame, or after a fault, means anything (RFC 6455, 5.5.1 and 7.1.7).
        (input.len(), None)
    }

    fn deliver(&mut self, message: Message<'_, K::Payload>) {
        let closes = matches!(message, Message::Close(_));
        let silent = match &message {
            Message::Ping(payload) => {
                if matches!(self.phase, Phase::Open) {
                    self.outbound.push_pong(payload);
                }
                self.silence_pings
            }
            Message::Pong(_) => self.silence_pings,
            _ => false,
        };
        if !silent {
            if let Some(left) = &mut self.draining {
                *left = left.saturating_sub(message.len() + DRAINED_MESSAGE);
            }
            let (len, relayed) = (message.len(), self.sink.relays(&self.stream));
            self.credit.spend(len);
            self.turn = self.turn.saturating_sub(MESSAGE);
            self.sink.event(Event::Message { stream: &self.stream, message });
            if let Some((messages, bytes)) = self.credit.ask() {
                self.sink.event(Event::FlowCheck { stream: &self.stream, messages, bytes });
            }
            if relayed {
                self.relay.spend(len);
                if self.relay.ask().is_some() {
                    self.sink.event(Event::RelayCheck);
                }
            }
        }
        if closes {
            if matches!(self.phase, Phase::Open) {
                self.outbound.push_close(1000);
            }
            self.close(Phase::Answering);
        }
    }

    /// The peer broke the protocol: it is told, then the user. Anything else ends the session at once.
    fn fail(&mut self, error: ConnectionError) -> Option<DownReason> {
        let ConnectionError::Protocol(error) = error else {
            return Some(error.into());
        };
        self.untold = Some(error.clone());
        if matches!(self.phase, Phase::Open) {
            self.close(Phase::Settling(error));
            self.closing = Some(timer(self.closing_timeout.map_or(SETTLE, |timeout| timeout.min(SETTLE))));
            self.sink.event(Event::Settle { stream: &self.stream });
        } else {
            self.close(Phase::Failing(error));
        }
        None
    }

    /// Tells the user of a fault, if that is still to be done.
    fn tell_fault(&mut self) {
        if let Some(error) = self.untold.take() {
            self.sink.event(Event::StreamError { stream: &self.stream, error: StreamError::Protocol(&error) });
        }
    }

    /// The receiver has answered what came before the fault, or has had its time to: the close frame can go.
    fn settled(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Settling(error) => {
                self.outbound.push_close(error.close_code());
                self.close(Phase::Failing(error));
            }
            phase => self.phase = phase,
        }
    }
}

fn timer(after: Duration) -> Timer {
    Box::pin(sleep_until(Instant::now() + after))
}

/// Whether the timer is set and has passed; then it is cleared. Otherwise it wakes the task when it passes.
fn is_due(timer: &mut Option<Timer>, cx: &mut Context<'_>) -> bool {
    let due = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
    if due {
        *timer = None;
    }
    due
}

#[cfg(test)]
mod tests;

//! What a session does with what it receives.

use std::ops::ControlFlow;

use bytes::{Buf, Bytes, BytesMut};

use super::super::deflate::Agreed;
use super::super::frame::MAX_CONTROL_PAYLOAD;
use super::super::inbound::{ControlPayload, Inbound, Received};
use super::super::role::Role;
use super::super::watched::Seen;
use super::{DRAINED_MESSAGE, INFLATION, MAX_ANSWERS, MAX_DRAINED, MESSAGES, Phase, Reading, SETTLE, Session, Setting};
use crate::error::{ConnectionError, DownReason};
use crate::event::{Event, Message};
use crate::options::WsOptions;
use crate::payload::Payload;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::turn::SHORT;

/// What is received and not decoded is less than a header and the payload of a control frame, unless decoding is held
/// up.
const MAX_PENDING: usize = 14 + MAX_CONTROL_PAYLOAD;

/// What has been received, up to the messages.
pub(super) struct Reader<P> {
    inbound: Inbound<P>,
    /// What has been received and may be decoded before anything else is read: what came with the 101, what a turn left,
    /// or what a receiver that is asked whether it keeps up was not given yet.
    kept: BytesMut,
    /// Bytes received that are not a whole header or control frame yet.
    pending: Vec<u8>,
    /// What is left of the turn, and what a message takes of it beside its bytes.
    turn: usize,
    message: usize,
    peer: Peer,
    bytes_received: u64,
}

/// Whether the peer sends on.
enum Peer {
    /// It may.
    Sends,
    /// It has closed, and has not said so by a close frame. What it sent before is all that can follow, and its close is not
    /// known to the user before that is reported: this number of bytes may still be reported beyond the credit.
    HasClosed { left: usize },
}

impl<P: Payload> Reader<P> {
    pub(super) fn new(role: Role, options: &WsOptions, deflate: Option<&Agreed>, fragments: bool) -> Self {
        Self {
            inbound: Inbound::new(role, options, deflate, fragments),
            kept: BytesMut::new(),
            pending: Vec::new(),
            turn: SHORT,
            message: SHORT / MESSAGES,
            peer: Peer::Sends,
            bytes_received: 0,
        }
    }

    pub(super) fn begin_turn(&mut self, turn: usize) {
        (self.turn, self.message) = (turn, turn / MESSAGES);
        self.inbound.begin_turn(turn / INFLATION);
    }

    pub(super) fn has_turn(&self) -> bool {
        self.turn > 0
    }

    /// See [`Inbound::limit`].
    pub(super) fn limit(&mut self, max_frame_size: Option<Option<u64>>, max_message_size: Option<Option<u64>>) {
        self.inbound.limit(max_frame_size, max_message_size);
    }

    pub(super) fn keep(&mut self, bytes: Bytes) {
        self.bytes_received += bytes.len() as u64;
        if self.kept.is_empty() {
            self.kept = bytes.into();
        } else {
            self.kept.extend_from_slice(&bytes);
        }
    }

    /// See [`Inbound::watch`].
    pub(super) fn watch(&mut self) {
        self.inbound.watch();
    }

    /// See [`Inbound::take_seen`].
    pub(super) fn take_seen(&mut self) -> Vec<Seen> {
        self.inbound.take_seen()
    }

    pub(super) fn take_counts(&mut self) -> (u64, Received) {
        (std::mem::take(&mut self.bytes_received), self.inbound.take_counts())
    }
}

impl<K: Sink> Session<K> {
    /// Whether bytes are decoded, rather than thrown away.
    fn is_decoding(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing)
    }

    /// Whether the receiver, or the relay to it, must first show that it keeps up. It is then given nothing
    /// more, not even what one read has brought with what it was given: that may be thousands of messages, or inflate to
    /// a thousand times its size.
    pub(super) fn awaits_grant(&self, context: &Context<'_, K>) -> bool {
        self.credit.awaits_grant() || context.relay.is_exhausted()
    }

    /// Whether nothing more is decoded for now. Where the connection is the WebSocket, the number of messages that the
    /// user has allowed is looked at between reads alone, as in gun.
    fn is_held_up(&self, context: &Context<'_, K>) -> bool {
        let is_spent = !self.alone && matches!(self.reader.peer, Peer::Sends) && self.credit.is_spent();
        self.reader.turn == 0 || is_spent || self.awaits_grant(context)
    }

    /// Whether reading is not paused.
    pub(super) fn may_read(&self, context: &Context<'_, K>) -> bool {
        match self.phase {
            Phase::Open | Phase::Closing => {
                // A close of ours is answered, whether the user wants messages or not.
                let is_paused = self.credit.is_spent() || self.is_open() && !self.settings.active;
                let has_closed = matches!(self.reader.peer, Peer::HasClosed { .. });
                (has_closed || !is_paused) && !self.awaits_grant(context)
            }
            Phase::Settling(_) => false,
            Phase::Answering | Phase::Failing(_) | Phase::Failed(_) => true,
        }
    }

    /// What is to be received now.
    pub fn reading(&self, context: &Context<'_, K>) -> Reading {
        if self.outbound.answers() > MAX_ANSWERS {
            Reading::Nothing
        } else if !self.may_read(context) {
            // A receiver that is asked whether it keeps up is not given more, whether the peer has closed or not.
            let watched = self.is_decoding() && !self.awaits_grant(context);
            if watched { Reading::NothingButTheEnd } else { Reading::Nothing }
        } else if self.reader.kept.is_empty() {
            Reading::Bytes
        } else {
            Reading::Kept
        }
    }

    /// Where to read the byte stream into while a large message is under way. [`Session::advance`] takes such a read, and
    /// nothing else does.
    ///
    /// # Errors
    /// [`ConnectionError::OutOfMemory`].
    pub fn direct(&mut self) -> Result<Option<&mut [u8]>, ConnectionError> {
        if self.is_decoding() && self.reader.pending.is_empty() { self.reader.inbound.direct() } else { Ok(None) }
    }

    /// How many bytes to give at once to [`Session::receive`]; more would be copied in vain.
    pub fn wanted(&self) -> usize {
        self.reader.inbound.wanted()
    }

    /// How many bytes have been received and are kept, since they may not be decoded yet.
    pub(crate) fn kept(&self) -> usize {
        self.reader.kept.len()
    }

    /// So many bytes of the turn are used up.
    pub fn spend_turn(&mut self, n: usize) {
        self.reader.turn = self.reader.turn.saturating_sub(n);
    }

    /// The peer is known to have closed, though what it sent before may wait to be received.
    pub fn peer_closed(&mut self) {
        if let Peer::Sends = self.reader.peer {
            self.reader.peer = Peer::HasClosed { left: MAX_DRAINED };
        }
    }

    /// The byte stream has ended: the reason, unless the session was about to end.
    pub fn cut(&mut self, reason: DownReason, context: &Context<'_, K>) -> DownReason {
        match (&self.phase, reason) {
            // A close frame shows whether everything has arrived. `stats` counts the missing close_notify for those who care.
            (Phase::Open | Phase::Closing, DownReason::Error(ConnectionError::Truncated)) => {
                context.status.count_truncated();
                DownReason::Closed
            }
            (Phase::Open | Phase::Closing, reason) => reason,
            _ => self.closed(),
        }
    }

    fn count(&mut self, n: usize) {
        self.life.received();
        self.reader.bytes_received += n as u64;
    }

    /// `n` bytes have been read into what [`Session::direct`] gave.
    pub fn advance(&mut self, n: usize, context: &mut Context<'_, K>) -> ControlFlow<DownReason> {
        self.count(n);
        let advanced = self.reader.inbound.advance(n);
        if self.watch.is_some() {
            self.report_seen(context);
        }
        match advanced {
            Ok(Some(message)) => self.deliver(message, context),
            Ok(None) => {}
            Err(error) => return self.fail(error, context),
        }
        ControlFlow::Continue(())
    }

    /// Bytes have been received: they are decoded, behind what is pending, as far as they may be decoded now.
    pub fn receive(&mut self, piece: &[u8], context: &mut Context<'_, K>) -> ControlFlow<DownReason> {
        self.count(piece.len());
        if self.is_decoding() && self.is_held_up(context) {
            self.reader.kept.extend_from_slice(piece);
            return ControlFlow::Continue(());
        }
        let mut done = 0;
        if !self.reader.pending.is_empty() {
            // The header or control frame that has begun ends within so many bytes.
            let before = self.reader.pending.len();
            let mut joint = std::mem::take(&mut self.reader.pending);
            joint.extend_from_slice(&piece[..piece.len().min(MAX_PENDING)]);
            let consumed = self.decode(&joint, context)?;
            if consumed == 0 {
                self.reader.pending = joint;
                return ControlFlow::Continue(());
            }
            done = consumed - before;
        }
        let consumed = self.decode(&piece[done..], context)?;
        let rest = &piece[done + consumed..];
        if self.is_held_up(context) {
            self.reader.kept = rest.into();
        } else {
            self.reader.pending = rest.to_vec();
        }
        ControlFlow::Continue(())
    }

    /// Decodes what has been received before, as far as it may be decoded now.
    pub fn decode_kept(&mut self, context: &mut Context<'_, K>) -> ControlFlow<DownReason> {
        let mut kept = std::mem::take(&mut self.reader.kept);
        let consumed = self.decode(&kept, context)?;
        if self.is_held_up(context) {
            kept.advance(consumed);
            self.reader.kept = kept;
        } else {
            self.reader.pending = kept[consumed..].to_vec();
        }
        ControlFlow::Continue(())
    }

    /// Delivers every message in `input`, or as many as the receiver may be given. Returns how much of it was consumed.
    fn decode(&mut self, input: &[u8], context: &mut Context<'_, K>) -> ControlFlow<DownReason, usize> {
        let mut consumed = 0;
        let mut control = ControlPayload::default();
        while self.is_decoding() {
            if let Peer::HasClosed { left: 0 } = self.reader.peer {
                return ControlFlow::Break(DownReason::Closed);
            }
            if self.is_held_up(context) {
                return ControlFlow::Continue(consumed);
            }
            let next = self.reader.inbound.next(input, &mut consumed, &mut control);
            if self.reader.inbound.is_spent() {
                self.reader.turn = 0;
            }
            if self.watch.is_some() {
                self.report_seen(context);
            }
            match next {
                Ok(None) => return ControlFlow::Continue(consumed),
                Ok(Some(message)) => self.deliver(message, context),
                Err(error) => self.fail(error, context)?,
            }
        }
        // Nothing that comes after the close frame, or after a fault, means anything (RFC 6455, 5.5.1 and 7.1.7).
        ControlFlow::Continue(input.len())
    }

    fn deliver(&mut self, message: Message<'_, K::Payload>, context: &mut Context<'_, K>) {
        let close = if let Message::Close(close) = &message { Some(close.map(|(code, _)| code)) } else { None };
        let silent = match &message {
            Message::Ping(payload) => {
                if self.is_open() {
                    self.outbound.push_pong(payload);
                }
                self.settings.silence_pings
            }
            Message::Pong(payload) => {
                let is_own = self.settings.silence_own_pongs && self.life.is_answer(payload);
                is_own || self.settings.silence_pings
            }
            _ => false,
        };
        if !silent {
            self.report_message(message, context);
        }
        if let Some(code) = close {
            self.close_code = code;
            if self.is_open() {
                self.outbound.push_close_answer(code);
            }
            self.close(Phase::Answering, context);
        }
    }

    /// What came with the handshake: it is decoded when the session has its turn.
    pub fn receive_later(&mut self, bytes: Bytes) {
        self.reader.keep(bytes);
    }

    fn report_message(&mut self, message: Message<'_, K::Payload>, context: &mut Context<'_, K>) {
        let (len, relayed) = (message.len(), context.sink.relays(&self.stream));
        if let Peer::HasClosed { left } = &mut self.reader.peer {
            *left = left.saturating_sub(len + DRAINED_MESSAGE);
        }
        self.credit.spend(len);
        self.spend_turn(self.reader.message);
        self.reported = true;
        context.sink.event(Event::Message { stream: &self.stream, message });
        if let Some((messages, bytes)) = self.credit.ask() {
            context.sink.event(Event::FlowCheck { stream: &self.stream, messages, bytes });
        }
        if relayed {
            context.relay.spend(len);
            if context.relay.ask().is_some() {
                context.sink.event(Event::RelayCheck);
            }
        }
    }

    /// The peer broke the protocol: report it to the peer, then to the user. Anything else ends the session at once.
    fn fail(&mut self, error: ConnectionError, context: &mut Context<'_, K>) -> ControlFlow<DownReason> {
        let ConnectionError::Protocol(error) = error else {
            return ControlFlow::Break(error.into());
        };
        if self.is_open() {
            self.close(Phase::Settling(error), context);
            let settle = self.settings.closing_timeout.map_or(SETTLE, |timeout| timeout.min(SETTLE));
            self.timers.closing = Setting::Set(settle);
            context.sink.event(Event::Settle { stream: &self.stream });
        } else {
            self.close(Phase::Failing(error), context);
        }
        ControlFlow::Continue(())
    }
}

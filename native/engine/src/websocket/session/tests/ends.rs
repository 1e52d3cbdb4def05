//! Two sessions against each other in memory: what both ends of these tests are made of.

use std::convert::Infallible;
use std::ops::ControlFlow;

use tungstenite::protocol::frame::FrameHeader;

use super::super::{EndReason, Ended, Reading, Session};
use crate::command::{Item, Outgoing, Reply};
use crate::error::{DownReason, ProtocolError};
use crate::event::{Data, Event, Message, StreamError};
use crate::options::{DeflateOptions, WsOptions};
use crate::protocol::Lender;
use crate::sink::Sink;
use crate::websocket::frame::{Opcode, append_masked, encode_as, encode_close_as};
use crate::websocket::handshake::Chosen;
use crate::websocket::outbound::Staged;
use crate::websocket::role::Role;

/// What a session reports, free of what it borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    Settle,
    Fault(ProtocolError),
    Sent(u32),
    NotSent(u32),
    Refused,
}

/// Keeps what it is told, each with its stream, if it has one.
#[derive(Default)]
pub(super) struct Notes(pub(super) Vec<(Option<u32>, Seen)>);

impl Sink for Notes {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = u32;
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, event: Event<'_, Self>) {
        let bytes = |data: Data<'_, Vec<u8>>| data.bytes().to_vec();
        self.0.push(match event {
            Event::Message { stream, message } => (
                Some(*stream),
                match message {
                    Message::Text(data) => Seen::Text(bytes(data)),
                    Message::Binary(data) => Seen::Binary(bytes(data)),
                    Message::Ping(payload) => Seen::Ping(payload.to_vec()),
                    Message::Pong(payload) => Seen::Pong(payload.to_vec()),
                    Message::Close(close) => Seen::Close(close.map(|(code, _)| code)),
                    Message::Fragment { .. } => panic!("nobody has asked for fragments"),
                },
            ),
            Event::Settle { stream } => (Some(*stream), Seen::Settle),
            Event::StreamError { stream, error: StreamError::Protocol(error) } => {
                (Some(*stream), Seen::Fault(error.clone()))
            }
            Event::Sent(receipt) => (None, Seen::Sent(*receipt)),
            Event::NotSent { receipt, .. } => (None, Seen::NotSent(*receipt)),
            Event::BadState { .. } => (None, Seen::Refused),
            _ => panic!("no event of a session's"),
        });
    }

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

impl Notes {
    /// What this stream has received.
    pub(super) fn of(&self, stream: u32) -> Vec<Seen> {
        self.0.iter().filter(|(of, _)| *of == Some(stream)).map(|(_, seen)| seen.clone()).collect()
    }
}

pub(super) fn lender() -> Lender<Notes> {
    Lender::new(None, Notes::default())
}

/// What both ends have agreed on: nothing, or to compress, in this way.
pub(super) fn chosen(parameters: Option<&str>) -> Chosen {
    let deflate = parameters
        .map(|parameters| DeflateOptions::default().accept(&format!("permessage-deflate{parameters}")).unwrap());
    Chosen { subprotocol: None, deflate }
}

/// One end of a WebSocket, without what it is lent.
pub(super) struct End {
    pub(super) role: Role,
    pub(super) stream: u32,
    pub(super) session: Option<Session<Notes>>,
    pub(super) ended: Option<EndReason>,
    /// What it has sent, and the other end has not received.
    pub(super) wire: Vec<u8>,
}

impl End {
    pub(super) fn new(role: Role, stream: u32, chosen: &Chosen, alone: bool, lender: &mut Lender<Notes>) -> Self {
        Self::with(&WsOptions::default(), role, stream, chosen, alone, lender)
    }

    fn with(
        options: &WsOptions,
        role: Role,
        stream: u32,
        chosen: &Chosen,
        alone: bool,
        lender: &mut Lender<Notes>,
    ) -> Self {
        let options = WsOptions { silence_pings: false, ..options.clone() };
        let session = Session::new(stream, role, &options, chosen, alone, &mut lender.lend());
        Self { role, stream, session: Some(session), ended: None, wire: Vec::new() }
    }

    /// Sends these; whether they are taken.
    pub(super) fn send(&mut self, receipt: Option<u32>, items: Vec<Item<Vec<u8>>>, lender: &mut Lender<Notes>) -> bool {
        let Some(session) = &mut self.session else { return false };
        let outgoing = Outgoing::new(Some(self.stream), receipt.map_or(Reply::Caller(()), Reply::Receipt), items);
        let charge = lender.charge(&outgoing);
        let taken = session.send(outgoing, charge, &mut lender.lend());
        session.publish(lender.lend().status);
        taken
    }

    /// Writes so many bytes, as far as there are any: whether there were.
    pub(super) fn write(&mut self, most: usize, lender: &mut Lender<Notes>) -> bool {
        let Some(session) = &mut self.session else { return false };
        let mut left = most;
        while left > 0 {
            if session.staged().is_empty() && session.stage(&mut lender.lend()).unwrap() == Staged::Nothing {
                session.flushed(&mut lender.lend());
                break;
            }
            let staged = session.staged();
            let now = staged.len().min(left);
            self.wire.extend_from_slice(&staged[..now]);
            session.wrote(now);
            session.end_write(false);
            left -= now;
        }
        session.publish(lender.lend().status);
        if let Some(reason) = session.end_when_written() {
            self.end(reason, lender);
        }
        left < most
    }

    /// Receives so many bytes of these, as far as there are any: how many.
    pub(super) fn read(&mut self, bytes: &[u8], lender: &mut Lender<Notes>) -> usize {
        let mut done = 0;
        while let Some(session) = &mut self.session {
            session.begin_turn(256 * 1024);
            let rest = &bytes[done..];
            let context = &mut lender.lend();
            let flow = match session.reading(context) {
                Reading::Kept => session.decode_kept(context),
                Reading::Bytes if !rest.is_empty() => match session.direct().unwrap() {
                    Some(room) => {
                        let now = room.len().min(rest.len());
                        room[..now].copy_from_slice(&rest[..now]);
                        done += now;
                        session.advance(now, context)
                    }
                    None => {
                        let now = session.wanted().min(rest.len());
                        done += now;
                        session.receive(&rest[..now], context)
                    }
                },
                _ => break,
            };
            if let ControlFlow::Break(reason) = flow {
                self.end(reason, lender);
            }
        }
        done
    }

    /// The other end is gone, and all that it has sent is received.
    pub(super) fn cut(&mut self, lender: &mut Lender<Notes>) {
        if let Some(session) = &mut self.session {
            let reason = session.cut(DownReason::Closed, &lender.lend());
            self.end(reason, lender);
        }
    }

    fn end(&mut self, reason: DownReason, lender: &mut Lender<Notes>) {
        if let Some(session) = self.session.take() {
            let Ended { stream, reason } = session.finish(reason, &mut lender.lend());
            assert_eq!(stream, self.stream);
            self.ended = Some(reason);
        }
    }

    /// A message that is encoded, in fragments that end at these places, with a ping between them if there are any.
    pub(super) fn fragmented(&self, opcode: Opcode, payload: &[u8], ends: &[usize], ping: &[u8]) -> Item<Vec<u8>> {
        let (mut bytes, mut frames, mut start, mut opcode) = (Vec::new(), 0, 0, opcode);
        for end in ends.iter().copied().chain([payload.len()]) {
            if start > 0 || opcode == Opcode::Continuation {
                encode_as(self.role, &mut bytes, Opcode::Ping, false, ping);
                frames += 1;
            }
            let (is_final, mask) = (frames as usize == 2 * ends.len(), self.role.next_key());
            let header = FrameHeader { is_final, opcode: opcode.into(), mask, ..FrameHeader::default() };
            header.format((end - start) as u64, &mut bytes).unwrap();
            append_masked(&mut bytes, &payload[start..end], mask, 0);
            frames += 1;
            (start, opcode) = (end, Opcode::Continuation);
        }
        Item::Encoded(frames, bytes)
    }

    /// A whole frame, encoded.
    pub(super) fn encoded(&self, opcode: Opcode, payload: &[u8]) -> Item<Vec<u8>> {
        let mut bytes = Vec::new();
        encode_as(self.role, &mut bytes, opcode, false, payload);
        Item::Encoded(1, bytes)
    }

    pub(super) fn close(&self, code: u16) -> Item<Vec<u8>> {
        let mut bytes = Vec::new();
        encode_close_as(self.role, &mut bytes, code, b"");
        Item::Close(bytes)
    }
}

/// A client and a server, each with what it is lent.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) server: End,
    pub(super) of_client: Lender<Notes>,
    pub(super) of_server: Lender<Notes>,
}

impl Pair {
    pub(super) fn new(chosen: &Chosen) -> Self {
        Self::with(chosen, &WsOptions::default())
    }

    /// The server has these options.
    pub(super) fn with(chosen: &Chosen, options: &WsOptions) -> Self {
        let (mut of_client, mut of_server) = (lender(), lender());
        let client = End::new(Role::Client, 1, chosen, true, &mut of_client);
        let server = End::with(options, Role::Server, 2, chosen, true, &mut of_server);
        Self { client, server, of_client, of_server }
    }

    /// This end, what it is lent, and the other end.
    pub(super) fn side(&mut self, role: Role) -> (&mut End, &mut Lender<Notes>, &mut End) {
        match role {
            Role::Client => (&mut self.client, &mut self.of_client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.of_server, &mut self.client),
        }
    }

    /// So many bytes of what the other end has written are received by this one: whether there were any.
    pub(super) fn read(&mut self, role: Role, most: usize) -> bool {
        let (end, lender, other) = self.side(role);
        let now = other.wire.len().min(most);
        let done = end.read(&other.wire[..now], lender);
        other.wire.drain(..done);
        if end.session.is_none() {
            other.wire.clear();
        } else if other.session.is_none() && other.wire.is_empty() {
            end.cut(lender);
        }
        done > 0
    }

    /// Lets everything happen that can.
    pub(super) fn settle(&mut self) {
        let mut goes_on = true;
        while goes_on {
            goes_on = false;
            for role in [Role::Client, Role::Server] {
                let (end, lender, _) = self.side(role);
                goes_on |= end.write(usize::MAX, lender);
                goes_on |= self.read(role, usize::MAX);
            }
        }
    }
}

//! One end of a WebSocket in memory, for the targets that drive sessions.

use std::hash::{DefaultHasher, Hasher};
use std::ops::ControlFlow;

use gun_rs_engine::error::DownReason;
use gun_rs_engine::event::{Data, Event, Message, StreamError};
use gun_rs_engine::options::DeflateOptions;
use gun_rs_engine::protocol::Lender;
use gun_rs_engine::websocket::handshake::Chosen;
use gun_rs_engine::websocket::outbound::Staged;
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::websocket::session::{EndReason, Reading, Session};
use gun_rs_engine::{Sink, WsOptions};

pub const MAX_MESSAGE: u64 = 1_000_000;

/// Writes down what it is told.
#[derive(Default)]
pub struct Notes {
    pub seen: Vec<String>,
    /// The receiver is asked whether it has answered what came before a fault.
    pub settles: bool,
}

impl Sink for Notes {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = u32;
    type Control = ();
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn control(&mut self, (): ()) {}

    fn event(&mut self, event: Event<'_, Self>) {
        let line = match event {
            Event::Message { message, .. } => show(message),
            Event::Settle { .. } => {
                assert!(!std::mem::replace(&mut self.settles, true), "there is one fault at most");
                return;
            }
            Event::StreamError { error: StreamError::Protocol(error), .. } => format!("fault {error}"),
            Event::Sent(receipt) => format!("sent {receipt}"),
            Event::NotSent { receipt, .. } => format!("not sent {receipt}"),
            Event::BadState { .. } => "refused".into(),
            _ => panic!("no event of a session's"),
        };
        self.seen.push(line);
    }
}

/// Bytes, or what they are known by where they are many.
pub fn digest(bytes: &[u8]) -> String {
    if bytes.len() < 200 {
        return format!("{bytes:?}");
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{} bytes, {:x}", bytes.len(), hasher.finish())
}

fn show(message: Message<'_, Vec<u8>>) -> String {
    let show = |data: Data<'_, Vec<u8>>| {
        assert!(data.bytes().len() as u64 <= MAX_MESSAGE);
        digest(data.bytes())
    };
    match message {
        Message::Text(data) => {
            assert!(std::str::from_utf8(data.bytes()).is_ok());
            format!("text {}", show(data))
        }
        Message::Binary(data) => format!("binary {}", show(data)),
        Message::Fragment { text, fin, first, data } => format!("fragment {text} {fin} {first} {}", show(data)),
        Message::Ping(payload) => format!("ping {payload:?}"),
        Message::Pong(payload) => format!("pong {payload:?}"),
        Message::Close(close) => format!("close {close:?}"),
    }
}

/// What both ends have agreed on.
pub fn chosen(compress: bool) -> Chosen {
    let deflate = DeflateOptions::default().accept("permessage-deflate").ok().filter(|_| compress);
    Chosen { subprotocol: None, deflate }
}

fn lender() -> Lender<Notes> {
    Lender::new(None, Notes::default())
}

pub struct End {
    pub role: Role,
    pub lender: Lender<Notes>,
    pub session: Option<Session<Notes>>,
    /// Why it has ended.
    pub ended: Option<String>,
    /// What it has written, and nobody has taken.
    pub wire: Vec<u8>,
}

impl End {
    pub fn new(role: Role, options: &WsOptions, chosen: &Chosen) -> Self {
        let mut lender = lender();
        let session = Session::new(1, role, options, chosen, true, &mut lender.lend());
        Self { role, lender, session: Some(session), ended: None, wire: Vec::new() }
    }

    /// Writes so many bytes, as far as there are any: whether there were.
    pub fn write(&mut self, most: usize) -> bool {
        let Some(session) = &mut self.session else { return false };
        let mut left = most;
        while left > 0 {
            if session.staged().is_empty() {
                match session.stage(&mut self.lender.lend()) {
                    Ok(Staged::Nothing) => {
                        session.flushed(&mut self.lender.lend());
                        break;
                    }
                    Ok(Staged::Ready | Staged::Working) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let staged = session.staged();
            let now = staged.len().min(left);
            self.wire.extend_from_slice(&staged[..now]);
            session.wrote(now);
            session.end_write(false);
            left -= now;
        }
        if let Some(reason) = session.end_when_written() {
            self.end(reason);
        }
        left < most
    }

    /// Receives these, as far as it takes them: how many. A receiver that is asked answers at once.
    pub fn read(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(session) = &mut self.session {
            session.begin_turn(256 * 1024);
            let rest = &bytes[done..];
            let context = &mut self.lender.lend();
            let flow = match session.reading(context) {
                Reading::Kept => session.decode_kept(context),
                Reading::Bytes if !rest.is_empty() => match session.direct() {
                    Ok(Some(room)) => {
                        let now = room.len().min(rest.len());
                        room[..now].copy_from_slice(&rest[..now]);
                        done += now;
                        session.advance(now, context)
                    }
                    Ok(None) => {
                        let now = session.wanted().min(rest.len());
                        done += now;
                        session.receive(&rest[..now], context)
                    }
                    Err(error) => ControlFlow::Break(error.into()),
                },
                _ => break,
            };
            if let ControlFlow::Break(reason) = flow {
                self.end(reason);
            } else if self.lender.sink().settles {
                session.settled(&self.lender.lend());
            }
        }
        done
    }

    /// The other end is gone, and all that it has sent is received.
    pub fn cut(&mut self) {
        if let Some(session) = &mut self.session {
            let reason = session.cut(DownReason::Closed, &self.lender.lend());
            self.end(reason);
        }
    }

    fn end(&mut self, reason: DownReason) {
        if let Some(session) = self.session.take() {
            let ended = session.finish(reason, &mut self.lender.lend());
            self.ended = Some(match ended.reason {
                EndReason::ShutDown => "shut down".into(),
                EndReason::Down(reason) => reason.to_string(),
                EndReason::ClosedByUser(reason) => format!("closed, {reason}"),
            });
            assert_eq!(self.lender.queued(None), 0, "what it counted for is given back");
        }
    }
}

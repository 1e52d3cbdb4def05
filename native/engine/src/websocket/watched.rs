//! The frames that have been received, for whoever observes them one by one.

use super::frame::{Header, Opcode};
use crate::event::Message;
use crate::event::step::Fragmented;
use crate::payload::Payload;

/// What has been seen of a frame.
pub(super) enum Seen {
    /// Its header, the fragmented message that it came amidst, and the one that it belongs to.
    Header(Header, Option<Fragmented>, Option<Fragmented>),
    /// All of it: the code of a close frame, and the payload.
    End(Option<u16>, Vec<u8>),
}

/// What is kept of frames between one look and the next: no more than one read has brought.
#[derive(Default)]
pub(super) struct Watched {
    seen: Vec<Seen>,
    message: Option<Fragmented>,
    /// Where in its message the frame under way begins.
    start: usize,
}

impl Watched {
    /// A frame that has come as a whole.
    pub(super) fn whole<P: Payload>(&mut self, header: &Header, message: &Message<'_, P>) {
        self.header(header);
        let (code, payload) = match message {
            Message::Text(data) | Message::Binary(data) | Message::Fragment { data, .. } => (None, data.bytes()),
            Message::Ping(payload) | Message::Pong(payload) => (None, *payload),
            Message::Close(None) => (None, &[][..]),
            Message::Close(Some((code, reason))) => (Some(*code), reason.as_bytes()),
        };
        self.seen.push(Seen::End(code, payload.to_vec()));
    }

    /// A data frame, of whose message `len` bytes have come before.
    pub(super) fn begin(&mut self, header: &Header, len: usize) {
        self.header(header);
        self.start = len;
    }

    /// It is complete: this is its message so far.
    pub(super) fn end(&mut self, message: &[u8]) {
        self.message = self.message.filter(|message| !message.fin);
        self.seen.push(Seen::End(None, message.get(self.start..).unwrap_or_default().to_vec()));
    }

    pub(super) fn take(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    fn header(&mut self, header: &Header) {
        let before = self.message;
        match (header.opcode, &mut self.message) {
            (Opcode::Continuation, Some(message)) => message.fin = header.fin,
            (Opcode::Text | Opcode::Binary, message) if !header.fin => {
                let (text, compressed) = (header.opcode == Opcode::Text, header.compressed);
                *message = Some(Fragmented { fin: false, text, compressed });
            }
            _ => {}
        }
        self.seen.push(Seen::Header(*header, before, self.message));
    }
}

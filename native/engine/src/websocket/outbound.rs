//! From messages to bytes: what is to be sent, in order, and how much of it the socket has taken.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::command::Item;
use crate::sink::Source;
use crate::websocket::frame::{Opcode, append_masked, encode, encode_close, encode_header, masking_key};

/// How many bytes are made ready for one write. Frames that wait together leave together, up to this.
const STAGE: usize = 64 * 1024;

/// The sending half of a session.
pub struct Outbound<B> {
    waiting: VecDeque<Item<B>>,
    /// The large message under way: its masking key, and how much of it has been staged.
    large: Option<([u8; 4], usize)>,
    /// What is ready for the socket, from `written` on.
    staged: Vec<u8>,
    written: usize,
    /// The bytes of pings' answers that the socket has not taken: a peer that reads nothing must not grow them.
    answers: usize,
}

impl<B> Default for Outbound<B> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), large: None, staged: Vec::new(), written: 0, answers: 0 }
    }
}

impl<B: Source> Outbound<B> {
    /// Appends what the user sends.
    pub fn push(&mut self, item: Item<B>) {
        self.waiting.push_back(item);
    }

    /// Appends a frame of our own.
    pub fn push_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode(&mut bytes, opcode, payload);
        if opcode == Opcode::Pong {
            self.answers += bytes.len();
        }
        self.push(Item::Encoded(bytes));
    }

    /// Appends a close frame of our own.
    pub fn push_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        encode_close(&mut bytes, code, b"");
        self.push(Item::Close(bytes));
    }

    /// Whether the socket has taken everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.staged.len() && self.waiting.is_empty()
    }

    /// The bytes of answers to pings that wait, at most.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// Drops what the socket has not taken.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes until everything is written, or the socket takes no more. `progress` tells whether it took anything.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        progress: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.staged.len() && !self.stage() {
                // An idle session holds no buffer.
                self.staged = Vec::new();
                self.answers = 0;
                return Pin::new(stream).poll_flush(cx);
            }
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.staged[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
            *progress = true;
        }
    }

    /// Makes the next write ready; false if there is nothing to write.
    fn stage(&mut self) -> bool {
        self.staged.clear();
        self.written = 0;
        while self.staged.len() < STAGE {
            match self.waiting.front_mut() {
                None => break,
                Some(Item::Encoded(bytes) | Item::Close(bytes)) => {
                    if self.staged.is_empty() {
                        self.staged = std::mem::take(bytes);
                    } else {
                        self.staged.extend_from_slice(bytes);
                    }
                    self.waiting.pop_front();
                }
                Some(Item::Large(opcode, source)) => {
                    let len = source.len();
                    let (key, done) = *self.large.get_or_insert_with(|| {
                        let key = masking_key();
                        encode_header(&mut self.staged, *opcode, len, key);
                        (key, 0)
                    });
                    let end = len.min(done + STAGE);
                    source.with_bytes(|bytes| append_masked(&mut self.staged, &bytes[done..end], key, done));
                    self.large = Some((key, end));
                    if end == len {
                        self.large = None;
                        self.waiting.pop_front();
                    }
                }
            }
        }
        !self.staged.is_empty()
    }
}

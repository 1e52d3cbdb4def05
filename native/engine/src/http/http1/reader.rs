//! Responses, as their bytes are received. It does no I/O: bytes go in, and what they say comes out, however they are cut.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::chunked::{Chunk, Chunked};
pub use super::fault::Fault;
use super::fields;
pub use super::fields::{Asked, Length, ResponseHead};
use super::head::Head;
pub use super::head::Limits;

/// What has come of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// An informational response; the one that answers the request is yet to come.
    Inform(StatusCode, HeaderMap),
    /// The head of the answer. If its body has no bytes, nothing follows.
    Head(ResponseHead),
    /// A part of its body.
    Data {
        /// The bytes. The last part of a body in chunks, or of one that ends where the server closes, has none.
        data: Bytes,
        /// Whether it is the last part.
        fin: bool,
    },
    /// Its trailers, and its end.
    Trailers(HeaderMap),
}

/// Reads responses, one after the other.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    /// What was received, and is not taken yet.
    buffer: BytesMut,
    /// Whether its memory is shared with what others receive.
    shared: bool,
    /// How many bytes were received at all.
    received: u64,
    /// Where the response under way has begun.
    began: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing is awaited.
    Idle,
    Head {
        head: Head,
        asked: Asked,
        /// How many bytes of the buffer were followed.
        seen: usize,
        /// From how many bytes on an incomplete head is looked at again.
        check_at: usize,
    },
    Exact(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Reader {
    /// Nothing is awaited yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (buffer, state) = (BytesMut::new(), State::Idle);
        Self { limits, buffer, shared: false, received: 0, began: 0, state }
    }

    /// The response to such a request comes next.
    pub fn expect(&mut self, asked: Asked) {
        self.began = self.received - self.buffer.len() as u64;
        self.state = State::Head { head: Head::new(), asked, seen: 0, check_at: 0 };
    }

    /// Takes what was received.
    pub fn receive(&mut self, bytes: BytesMut) {
        self.received += bytes.len() as u64;
        if self.buffer.is_empty() {
            (self.buffer, self.shared) = (bytes, true);
        } else {
            self.keep();
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// What is left stays for a while: it gets memory of its own, as it would hold that of others. An idle connection has
    /// none.
    pub(super) fn keep(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        } else if std::mem::take(&mut self.shared) {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }

    /// How many bytes were received at all.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How many had been taken when the response under way was first awaited.
    pub(super) fn began(&self) -> u64 {
        self.began
    }

    /// Whether all that was received is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What was received behind the last response.
    pub(super) fn take_rest(&mut self) -> Bytes {
        self.keep();
        std::mem::take(&mut self.buffer).freeze()
    }

    /// The next of the response under way; nothing, when more must be received first, or nothing is awaited.
    ///
    /// # Errors
    /// What is wrong with it. Nothing more comes of it then.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Fault> {
        match &mut self.state {
            State::Idle => Ok(None),
            _ if self.buffer.is_empty() => Ok(None),
            State::Head { .. } => self.next_head(),
            State::Exact(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
                *left -= len as u64;
                let fin = *left == 0;
                let data = self.buffer.split_to(len).freeze();
                if fin {
                    self.state = State::Idle;
                }
                Ok(Some(Piece::Data { data, fin }))
            }
            State::Chunked(chunked) => {
                let chunk = chunked.next(&mut self.buffer, &self.limits)?;
                Ok(chunk.map(|chunk| match chunk {
                    Chunk::Data(data) => Piece::Data { data, fin: false },
                    Chunk::End(trailers) => {
                        self.state = State::Idle;
                        if trailers.is_empty() {
                            Piece::Data { data: Bytes::new(), fin: true }
                        } else {
                            Piece::Trailers(trailers)
                        }
                    }
                }))
            }
            State::UntilClose => Ok(Some(Piece::Data { data: self.buffer.split().freeze(), fin: false })),
        }
    }

    /// The server has closed its side: the end of a body that ends so.
    pub fn end(&mut self) -> Option<Piece> {
        let State::UntilClose = self.state else { return None };
        self.state = State::Idle;
        Some(Piece::Data { data: Bytes::new(), fin: true })
    }

    fn next_head(&mut self) -> Result<Option<Piece>, Fault> {
        let State::Head { head, asked, seen, check_at } = &mut self.state else { return Ok(None) };
        let end = head.follow(self.buffer.get_mut(*seen..).unwrap_or_default(), &self.limits)?;
        let Some(end) = end else {
            *seen = self.buffer.len();
            // What cannot become a head is told at once, and not looked at again with each byte.
            if *seen >= *check_at {
                fields::check(&self.buffer, head.lines())?;
                *check_at = seen.saturating_mul(2);
            }
            return Ok(None);
        };
        let block = self.buffer.split_to(*seen + end).freeze();
        let found = fields::response(&block, head.lines(), *asked)?;
        let informational = found.status.is_informational() && found.status != StatusCode::SWITCHING_PROTOCOLS;
        if informational {
            head.go_on();
            (*seen, *check_at) = (0, 0);
            return Ok(Some(Piece::Inform(found.status, found.headers)));
        }
        self.state = match found.length {
            Length::Exact(0) => State::Idle,
            Length::Exact(length) => State::Exact(length),
            Length::Chunked => State::Chunked(Chunked::new()),
            Length::UntilClose => State::UntilClose,
        };
        Ok(Some(Piece::Head(found)))
    }
}

#[cfg(test)]
mod tests;

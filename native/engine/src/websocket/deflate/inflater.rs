//! The context that the peer's messages are decompressed with.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Agreed, MIN_ZLIB_BITS, TAIL};
use crate::error::ProtocolError;
use crate::websocket::role::Role;

/// What [`Inflater::inflate`] has done.
pub struct Inflated {
    /// How much of the input was consumed.
    pub consumed: usize,
    /// How much of the room is filled, also when a fault follows.
    pub produced: usize,
    /// Whether more of the input, if there is any, can be inflated into what is left of the room, if anything is.
    pub goes_on: bool,
    /// [`ProtocolError::CompressedData`] if it can't go on.
    pub result: Result<(), ProtocolError>,
}

/// Decompresses the messages of the peer.
pub struct Inflater {
    window_bits: u8,
    /// Whether the context is kept from one message to the next.
    keep: bool,
    /// In a box: a connection that is not compressed has no room for it.
    pub(super) context: Option<Box<Inflate>>,
    /// Whether nothing has followed a final block yet.
    ended: bool,
    /// From the first final block on, what blocks behind the next one may refer to.
    pub(super) history: Option<Vec<u8>>,
    /// How much of it was copied since this was last asked for.
    restored: usize,
}

impl Inflater {
    /// For what was agreed on, at this end.
    #[must_use]
    pub fn new(role: Role, agreed: &Agreed) -> Self {
        let (window_bits, keep) = agreed.of_sender(role.peer());
        Self {
            window_bits: window_bits.max(MIN_ZLIB_BITS),
            keep,
            context: None,
            ended: false,
            history: None,
            restored: 0,
        }
    }

    /// Inflates from `input` to `room`, which stands behind what there is of the message.
    pub fn inflate(&mut self, input: &[u8], message: &[u8], room: &mut [u8]) -> Inflated {
        let context = self.context.get_or_insert_with(|| Box::new(Inflate::new(false, self.window_bits)));
        let before = (context.total_in(), context.total_out());
        let status = context.decompress(input, room, InflateFlush::SyncFlush);
        let consumed = usize::try_from(context.total_in() - before.0).unwrap_or(usize::MAX);
        let produced = usize::try_from(context.total_out() - before.1).unwrap_or(usize::MAX);
        let ends = status == Ok(Status::StreamEnd);
        self.ended = ends || self.ended && consumed == 0;
        if ends && self.history.is_none() {
            remember(self.history.insert(Vec::new()), message, self.window_bits);
        }
        if let Some(history) = &mut self.history {
            remember(history, &room[..produced], self.window_bits);
        }
        let mut result = status.map(|_| ());
        if ends {
            // A final block ends zlib's stream, not the message, nor the ones after it (RFC 7692, 7.2.3.4). The
            // context is used again: a peer can end one with every other byte.
            context.reset(false);
            if let Some(history) = &self.history {
                let history = &history[history.len().saturating_sub(1 << self.window_bits)..];
                result = context.set_dictionary(history).map(|_| ());
                self.restored += history.len();
            }
        }
        let result = result.map_err(|_| ProtocolError::CompressedData);
        Inflated { consumed, produced, goes_on: ends || consumed > 0 || produced > 0, result }
    }

    /// The bytes that end the message, to be inflated after its own. A message whose last block is a final one should
    /// have a byte of zero behind it, which they complete to a block (RFC 7692, 7.2.3.4); without that byte there is
    /// nothing to complete, and they would be taken for the beginning of the next message's blocks.
    #[must_use]
    pub fn tail(&self) -> &'static [u8] {
        if self.ended { &[] } else { &TAIL }
    }

    /// How many bytes were copied to go on behind final blocks, since the last call.
    pub fn take_restored(&mut self) -> usize {
        std::mem::take(&mut self.restored)
    }

    /// The message is over.
    pub fn end_message(&mut self) {
        if !self.keep {
            self.context = None;
            self.history = None;
            self.ended = false;
        }
    }
}

/// Appends to what blocks may refer to, and drops what is too far back, in time.
fn remember(history: &mut Vec<u8>, bytes: &[u8], window_bits: u8) {
    let window = 1 << window_bits;
    let bytes = &bytes[bytes.len().saturating_sub(window)..];
    // It is moved once a window, and not for each message.
    if history.len() + bytes.len() > 2 * window {
        history.drain(..history.len().saturating_sub(window - bytes.len()));
    }
    history.extend_from_slice(bytes);
}

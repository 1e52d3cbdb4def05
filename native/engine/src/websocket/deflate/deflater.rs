//! The context that our messages are compressed with.

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush};

use super::{Agreed, MIN_ZLIB_BITS, TAIL};
use crate::websocket::role::Role;

/// How much room for output is made at a time, at least.
const ROOM: usize = 256;

/// Compresses our messages.
pub struct Deflater {
    config: DeflateConfig,
    /// Whether the context is kept from one message to the next.
    keep: bool,
    pub(super) context: Option<Box<Deflate>>,
}

impl Deflater {
    /// For what was agreed on, at this end. There is none for a window of 8 bits, which zlib cannot compress with: messages then go
    /// as they are, as any message may (RFC 7692, 6).
    #[must_use]
    pub fn new(role: Role, agreed: &Agreed) -> Option<Self> {
        let (bits, keep) = agreed.of_sender(role);
        (bits >= MIN_ZLIB_BITS).then(|| Self {
            config: DeflateConfig {
                window_bits: -i32::from(bits),
                level: i32::from(agreed.level),
                mem_level: i32::from(agreed.mem_level),
                ..DeflateConfig::default()
            },
            keep,
            context: None,
        })
    }

    /// Compresses a part of a message behind `out`; `end` says that it is the last part.
    ///
    /// # Errors
    /// None that a correct use of zlib can give; they are passed on all the same.
    pub fn deflate(&mut self, mut input: &[u8], out: &mut Vec<u8>, end: bool) -> Result<(), DeflateError> {
        let context = self.context.get_or_insert_with(|| Box::new(Deflate::new_with_config(self.config)));
        let flush = if end { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        loop {
            let start = out.len();
            out.resize(start + ROOM.max(input.len() / 2), 0);
            let before = (context.total_in(), context.total_out());
            let result = context.compress(input, &mut out[start..], flush);
            let consumed = usize::try_from(context.total_in() - before.0).unwrap_or(usize::MAX);
            let produced = usize::try_from(context.total_out() - before.1).unwrap_or(usize::MAX);
            let full = start + produced == out.len();
            out.truncate(start + produced);
            result?;
            input = &input[consumed..];
            // zlib has no more to say when it leaves room (its manual says so of every flush).
            if input.is_empty() && !full {
                break;
            }
        }
        if end {
            if out.ends_with(&TAIL) {
                out.truncate(out.len() - TAIL.len());
            }
            if out.is_empty() {
                // An empty message is one empty block, without its tail (RFC 7692, 7.2.3.6).
                out.push(0);
            }
            if !self.keep {
                self.context = None;
            }
        }
        Ok(())
    }
}

//! permessage-deflate (RFC 7692).
//!
//! | module | what it holds |
//! |---|---|
//! | `negotiation` | the offer, the answer, and the check of the answer |
//! | `inflater` | the context that the peer's messages are decompressed with |
//! | `deflater` | the context that ours are compressed with |
//! | `alone` | messages without a context, compressed once for many |
//!
//! A context is made at its first use. Where no context takeover was agreed on, it is given back after each message,
//! so that an idle connection holds none.

mod alone;
mod deflater;
mod inflater;
mod negotiation;

pub use alone::Alone;
pub use deflater::Deflater;
pub use inflater::{Inflated, Inflater};
pub use negotiation::Agreed;

/// What the sender leaves out at a message's end, and the receiver puts back (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// zlib's smallest window that a raw stream can be compressed with. It inflates smaller ones with it, too.
const MIN_ZLIB_BITS: u8 = 9;

#[cfg(test)]
mod tests;

//! A message under way: it is put together from what arrives, inflated, and validated.

use super::deflate::{Inflated, Inflater};
use super::frame::{Header, Opcode, mask};
use crate::error::{ConnectionError, ProtocolError};
use crate::event::{Data, Message};
use crate::payload::Payload;

/// The first piece of memory of a message whose frame announces more. It grows as the bytes arrive, so that an
/// announcement alone allocates no more than this.
pub(super) const FIRST_PIECE: usize = 1024 * 1024;

/// The least room that is made for what a compressed message inflates to.
const INFLATE_PIECE: usize = 512;

/// A message under way: `payload[..len]` has arrived, the rest of it is room.
pub(super) struct Assembly<P> {
    text: bool,
    pub(super) compressed: bool,
    /// Whether there is anything to inflate.
    pub(super) filled: bool,
    pub(super) payload: P,
    pub(super) len: usize,
    /// How much of it is known to be UTF-8, if it is text.
    valid: usize,
    /// The size of the fragments that have been reported already, where they are reported one by one.
    reported: u64,
    /// How many bytes at the payload's front have been reported with the fragment before: the beginning of a character.
    carried: usize,
    first: bool,
}

impl<P: Payload> Assembly<P> {
    /// A message of which this is the first header.
    pub(super) fn new(header: &Header) -> Self {
        Self {
            text: header.opcode == Opcode::Text,
            compressed: header.compressed,
            filled: false,
            payload: P::new(),
            len: 0,
            valid: 0,
            reported: 0,
            carried: 0,
            first: true,
        }
    }

    /// How much of the message has arrived, inflated.
    pub(super) fn size(&self) -> u64 {
        self.reported + (self.len - self.carried) as u64
    }

    /// Room for what is missing of the frame, or for the next part of it.
    pub(super) fn room(&mut self, missing: u64) -> Result<&mut [u8], ConnectionError> {
        let wanted = self.len.saturating_add(usize::try_from(missing).unwrap_or(usize::MAX));
        if self.payload.bytes().len() <= self.len {
            // At least by half, or a message in tiny fragments would be moved once for each of them.
            let half_more = self.len + self.len / 2;
            self.payload.resize(wanted.min((2 * self.len).max(FIRST_PIECE)).max(half_more))?;
        }
        let end = wanted.min(self.payload.bytes().len());
        Ok(&mut self.payload.bytes_mut()[self.len..end])
    }

    /// Appends bytes of a frame of which `missing` bytes, these included, have not arrived; they are masked if there is a
    /// key, which is that of the first of them.
    pub(super) fn append(
        &mut self,
        mut bytes: &[u8],
        mut missing: u64,
        key: Option<[u8; 4]>,
    ) -> Result<(), ConnectionError> {
        let start = self.len;
        while !bytes.is_empty() {
            let room = self.room(missing)?;
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.len += now.len();
            missing -= now.len() as u64;
            bytes = later;
        }
        if let Some(key) = key {
            mask(&mut self.payload.bytes_mut()[start..self.len], key, 0);
        }
        self.validate()
    }

    /// So many bytes have been read into [`Assembly::room`]; they are masked if there is a key.
    pub(super) fn advance(&mut self, n: usize, key: Option<[u8; 4]>) -> Result<(), ConnectionError> {
        let start = self.len;
        self.len += n;
        if let Some(key) = key {
            mask(&mut self.payload.bytes_mut()[start..self.len], key, 0);
        }
        self.validate()
    }

    /// Appends what compressed bytes inflate to, and stops at the limit rather than after it.
    pub(super) fn inflate(
        &mut self,
        mut bytes: &[u8],
        inflater: &mut Inflater,
        max: u64,
    ) -> Result<(), ConnectionError> {
        loop {
            let left = usize::try_from(max.saturating_sub(self.size())).unwrap_or(usize::MAX);
            let mut beyond = [0];
            let len = self.len;
            let (message, room) = if left == 0 {
                (&self.payload.bytes()[..len], &mut beyond[..])
            } else {
                let (message, room) = self.inflate_room(bytes.len(), left)?.split_at_mut(len);
                (&*message, room)
            };
            let size = room.len();
            let Inflated { consumed, produced, goes_on, result } = inflater.inflate(bytes, message, room);
            if left == 0 && produced > 0 {
                return Err(ProtocolError::MessageTooBig.into());
            }
            self.len += produced;
            // What came before a fault is looked at before it, so that no cut of the stream changes what is reported.
            self.validate()?;
            result?;
            bytes = &bytes[consumed..];
            if !goes_on || bytes.is_empty() && produced < size {
                return Ok(());
            }
        }
    }

    /// The message, with room behind it for what `compressed` bytes may inflate to: a guess, which doubles as it proves
    /// too small.
    fn inflate_room(&mut self, compressed: usize, left: usize) -> Result<&mut [u8], ConnectionError> {
        if self.payload.bytes().len() <= self.len {
            let more = compressed.saturating_mul(4).min(FIRST_PIECE).max(self.len).max(INFLATE_PIECE);
            self.payload.resize(self.len + more.min(left))?;
        }
        Ok(self.payload.bytes_mut())
    }

    /// Fails as soon as what has arrived can no longer begin valid UTF-8 (RFC 6455, 8.1); a character that is cut
    /// off by the end of what has arrived is looked at again with what follows.
    fn validate(&mut self) -> Result<(), ConnectionError> {
        if self.text {
            match simdutf8::compat::from_utf8(&self.payload.bytes()[self.valid..self.len]) {
                Ok(_) => self.valid = self.len,
                Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
                Err(_) => return Err(ProtocolError::InvalidUtf8.into()),
            }
        }
        Ok(())
    }

    /// What follows this fragment, which is about to be reported.
    pub(super) fn next_fragment(&self) -> Result<Self, ConnectionError> {
        let begun = if self.text { &self.payload.bytes()[self.valid..self.len] } else { &[] };
        let mut payload = P::new();
        payload.resize(begun.len())?;
        payload.bytes_mut().copy_from_slice(begun);
        Ok(Self {
            text: self.text,
            compressed: self.compressed,
            filled: self.filled,
            payload,
            len: begun.len(),
            valid: 0,
            reported: self.size(),
            carried: begun.len(),
            first: false,
        })
    }

    /// The message, or its next fragment.
    pub(super) fn finish<'a>(mut self, fin: bool) -> Result<Message<'a, P>, ConnectionError> {
        if fin && self.text && self.valid != self.len {
            return Err(ProtocolError::InvalidUtf8.into());
        }
        // Only where fragments are reported one by one is there one that ends a message and does not begin it.
        let whole = self.first && fin;
        if self.carried > 0 {
            self.payload.bytes_mut().copy_within(self.carried..self.len, 0);
        }
        self.payload.resize(self.len - self.carried)?;
        let data = Data::Owned(self.payload);
        Ok(match (whole, self.text) {
            (true, true) => Message::Text(data),
            (true, false) => Message::Binary(data),
            (false, text) => Message::Fragment { text, fin, first: self.first, data },
        })
    }
}

//! Messages that are compressed each by itself: one compression serves all who have agreed on the same.

use zlib_rs::DeflateError;

use super::{Agreed, Deflater};
use crate::websocket::frame::{Opcode, encode_as};
use crate::websocket::role::Role;

/// How messages are compressed where none has anything to do with the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alone {
    bits: u8,
    level: u8,
    mem_level: u8,
}

impl Alone {
    /// How this end compresses, if each message by itself.
    #[must_use]
    pub fn new(role: Role, agreed: &Agreed) -> Option<Self> {
        let (bits, keeps_context) = agreed.of_sender(role);
        (!keeps_context).then_some(Self { bits, level: agreed.level, mem_level: agreed.mem_level })
    }

    /// A number that stands for it, which is not 0.
    pub(crate) fn to_number(self) -> u32 {
        u32::from_be_bytes([0, self.bits, self.level, self.mem_level])
    }

    /// What a number stands for.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        let [_, bits, level, mem_level] = number.to_be_bytes();
        (number != 0).then_some(Self { bits, level, mem_level })
    }

    /// A whole frame of this end with this message, compressed; as it is, where zlib has no window that is as small.
    ///
    /// # Errors
    /// See [`Deflater::deflate`].
    pub fn frame(self, role: Role, opcode: Opcode, message: &[u8]) -> Result<Vec<u8>, DeflateError> {
        let agreed = Agreed {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: self.bits,
            client_max_window_bits: self.bits,
            level: self.level,
            mem_level: self.mem_level,
        };
        let mut frame = Vec::new();
        match Deflater::new(role, &agreed) {
            Some(mut deflater) => {
                let mut compressed = Vec::new();
                deflater.deflate(message, &mut compressed, true)?;
                encode_as(role, &mut frame, opcode, true, &compressed);
            }
            None => encode_as(role, &mut frame, opcode, false, message),
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::DeflateOptions;

    fn agreed(server_no_context_takeover: bool) -> Agreed {
        let options = DeflateOptions { server_no_context_takeover, ..DeflateOptions::default() };
        options.answer("permessage-deflate").unwrap().0
    }

    #[test]
    fn only_what_keeps_no_context_is_compressed_by_itself() {
        assert_eq!(Alone::new(Role::Server, &agreed(false)), None);
        let alone = Alone::new(Role::Server, &agreed(true)).unwrap();
        assert_eq!(Alone::from_number(alone.to_number()), Some(alone));
        assert_eq!(Alone::from_number(0), None);
    }

    #[test]
    fn the_frame_is_the_one_that_a_connection_of_its_own_would_send() {
        let agreed = agreed(true);
        let message = b"compress me, compress me, compress me".as_slice();
        let alone = Alone::new(Role::Server, &agreed).unwrap();
        let (mut compressed, mut frame) = (Vec::new(), Vec::new());
        Deflater::new(Role::Server, &agreed).unwrap().deflate(message, &mut compressed, true).unwrap();
        encode_as(Role::Server, &mut frame, Opcode::Text, true, &compressed);
        assert_eq!(alone.frame(Role::Server, Opcode::Text, message), Ok(frame));
    }
}

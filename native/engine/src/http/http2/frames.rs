//! The frames of HTTP/2 as they pass: their heads (RFC 9113, 4.1), wherever the reads and writes cut them.

use crate::error::http2::Http2Code;

/// The bytes of a frame's head.
pub(super) const HEAD: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// A type that has no meaning, so that it is ignored.
pub(super) const NO_TYPE: u8 = 0xff;

/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of HEADERS, PUSH_PROMISE and CONTINUATION.
pub(super) const END_HEADERS: u8 = 4;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    fn parse(bytes: [u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Self { len, kind, flags, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]) }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Follows a stream of frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How many bytes of the next head there are.
    have: usize,
    /// How many bytes of the payload under way are still to come.
    left: usize,
}

/// What stands next in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The bytes so far end within a head.
    Partial,
    /// A head is complete.
    Head(Head),
    /// So many bytes of a payload; whether they are the last.
    Payload(usize, bool),
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// How many bytes are known to come before the next frame begins.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The bytes of a head that are there while it is not complete.
    pub(super) fn partial(&self) -> &[u8] {
        self.head.get(..self.have).unwrap_or_default()
    }

    /// Follows these bytes, of which there is at least one, as far as the next piece; how many belong to it.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Piece) {
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            return (taken, Piece::Payload(taken, self.left == 0));
        }
        let mut taken = 0;
        for (to, from) in self.head.iter_mut().skip(self.have).zip(bytes) {
            *to = *from;
            taken += 1;
        }
        self.have += taken;
        if self.have < HEAD {
            return (taken, Piece::Partial);
        }
        let head = Head::parse(self.head);
        (self.have, self.left) = (0, head.len);
        (taken, Piece::Head(head))
    }

    /// Follows all of these bytes, which tell their heads to `note`.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut note: impl FnMut(&Head)) {
        while !bytes.is_empty() {
            let (taken, piece) = self.next(bytes);
            if let Piece::Head(head) = piece {
                note(&head);
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }
}

/// A PING with this payload.
pub(super) fn ping(payload: [u8; 8]) -> Vec<u8> {
    [&[0, 0, 8, PING, 0, 0, 0, 0, 0][..], &payload].concat()
}

/// A GOAWAY. The client has taken none of the server's streams that it would be told of.
pub(super) fn go_away(code: Http2Code, last_stream: u32) -> Vec<u8> {
    [&[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0][..], &last_stream.to_be_bytes(), &code.number().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let bytes =
            [ping([7; 8]), go_away(Http2Code::Cancel, 3), vec![0, 0, 0, DATA, END_STREAM, 0x80, 0, 0, 5]].concat();
        for size in 1..bytes.len() {
            let (mut frames, mut heads) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.pass(piece, |head| heads.push((head.kind, head.len, head.stream)));
            }
            assert_eq!(heads, [(PING, 8, 0), (GOAWAY, 8, 0), (DATA, 0, 5)]);
            assert!(frames.at_boundary());
        }
    }

    #[test]
    fn the_place_in_a_frame_is_known() {
        let mut frames = Frames::default();
        frames.pass(&ping([7; 8])[..4], |_| ());
        assert!(!frames.at_boundary() && frames.left() == 0);
        assert_eq!(frames.partial(), [0, 0, 8, PING]);
        frames.pass(&ping([7; 8])[4..12], |_| ());
        assert_eq!((frames.at_boundary(), frames.left()), (false, 5));
    }
}

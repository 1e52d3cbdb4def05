//! A body in chunks (RFC 9112, 7.1), as its bytes are received.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::fault::Fault;
use super::fields;
use super::head::{Head, Limits};

/// The most bytes that the extensions of a body's chunks may have.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// The most digits of a chunk's size: leading zeros count.
const MAX_DIGITS: u8 = 64;

/// A body under way.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// The bytes of extensions so far, of all chunks.
    extensions: usize,
}

#[derive(Debug)]
enum At {
    /// The digits of a chunk's size: how many there were, and what they have come to.
    Size {
        digits: u8,
        size: u64,
    },
    /// Space behind the digits.
    Space {
        size: u64,
    },
    /// An extension.
    Extension {
        size: u64,
    },
    /// The LF of a chunk's line.
    SizeLf {
        size: u64,
    },
    /// The data of a chunk: how much is still to come.
    Data {
        left: u64,
    },
    /// The line end behind the data.
    DataCr,
    DataLf,
    /// The trailers, and the empty line behind them: how many of the bytes that wait were looked at.
    Trailers {
        head: Head,
        seen: usize,
    },
}

/// What has come of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Data(Bytes),
    /// It is over.
    End(HeaderMap),
}

const START: At = At::Size { digits: 0, size: 0 };

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: START, extensions: 0 }
    }

    /// The next of it in what was received; nothing, when more must be received first.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn next(&mut self, received: &mut BytesMut, limits: &Limits) -> Result<Option<Chunk>, Fault> {
        loop {
            match &mut self.at {
                At::Trailers { head, seen } => return trailers(head, seen, received, limits),
                At::Data { left } => {
                    if received.is_empty() {
                        return Ok(None);
                    }
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                    *left -= len as u64;
                    if *left == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok(Some(Chunk::Data(received.split_to(len).freeze())));
                }
                _ => {}
            }
            if !self.follow(received)? {
                return Ok(None);
            }
        }
    }

    /// Follows the lines around the data; whether data, or the trailers, come next.
    fn follow(&mut self, received: &mut BytesMut) -> Result<bool, Fault> {
        let mut done = 0;
        for byte in received.iter() {
            self.take(*byte)?;
            done += 1;
            if matches!(self.at, At::Data { .. } | At::Trailers { .. }) {
                received.advance(done);
                return Ok(true);
            }
        }
        received.advance(done);
        Ok(false)
    }

    /// Takes a byte of a line.
    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        self.at = match (&self.at, byte) {
            (At::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if *digits >= MAX_DIGITS || *size > u64::MAX >> 4 {
                    return Err(Fault::ChunkTooLarge);
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                At::Size { digits: digits + 1, size: *size << 4 | u64::from(digit) }
            }
            (At::Size { digits: 0, .. }, _) => return Err(Fault::ChunkSize),
            (At::Size { size, .. } | At::Space { size }, b' ' | b'\t') => At::Space { size: *size },
            (At::Size { size, .. } | At::Space { size }, b';') => At::Extension { size: *size },
            (At::Size { size, .. } | At::Space { size } | At::Extension { size }, b'\r') => At::SizeLf { size: *size },
            (At::Size { .. } | At::Space { .. }, _) => return Err(Fault::ChunkSize),
            (At::Extension { .. }, b'\n') => return Err(Fault::ChunkEnd),
            (At::Extension { size }, _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(Fault::ChunkExtensions);
                }
                At::Extension { size: *size }
            }
            (At::SizeLf { size: 0 }, b'\n') => At::Trailers { head: Head::trailers(), seen: 0 },
            (At::SizeLf { size }, b'\n') => At::Data { left: *size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => START,
            _ => return Err(Fault::ChunkEnd),
        };
        Ok(())
    }
}

/// Follows the trailers to the empty line.
fn trailers(
    head: &mut Head,
    seen: &mut usize,
    received: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<Chunk>, Fault> {
    // The empty line is not theirs.
    let limits = Limits { bytes: limits.trailers.saturating_add(2), ..*limits };
    let new = received.get_mut(*seen..).unwrap_or_default();
    let end = head.follow(new, &limits).map_err(|fault| match fault {
        Fault::HeadTooLarge => Fault::TrailersTooLarge,
        fault => fault,
    })?;
    let Some(end) = end else {
        *seen = received.len();
        return Ok(None);
    };
    let block = received.split_to(*seen + end).freeze();
    fields::trailers(&block, head.lines()).map(|trailers| Some(Chunk::End(trailers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { informs: 0, bytes: 0, lines: 2, trailers: 30 };

    /// The body, and its trailers, in pieces of that size; or what is wrong with it.
    fn decode(wire: &str, piece: usize) -> Result<Option<(String, HeaderMap)>, Fault> {
        let (mut chunked, mut buffer, mut body) = (Chunked::new(), BytesMut::new(), Vec::new());
        for bytes in wire.as_bytes().chunks(piece) {
            buffer.extend_from_slice(bytes);
            while let Some(chunk) = chunked.next(&mut buffer, &LIMITS)? {
                match chunk {
                    Chunk::Data(data) => body.extend_from_slice(&data),
                    Chunk::End(trailers) => return Ok(Some((String::from_utf8(body).unwrap(), trailers))),
                }
            }
        }
        Ok(None)
    }

    fn decodes(wire: &str, body: &str, trailer: Option<(&str, &str)>) {
        for piece in [1, 2, 3, wire.len()] {
            let (found, trailers) = decode(wire, piece).unwrap().unwrap();
            assert_eq!(found, body);
            let fields: Vec<_> =
                trailers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
            assert_eq!(fields, Vec::from_iter(trailer));
        }
    }

    #[test]
    fn chunks_are_joined_whatever_stands_around_them() {
        decodes("0\r\n\r\n", "", None);
        decodes("5\r\nhello\r\n1;a=\"b\"\r\n!\r\n00;last\r\n\r\n", "hello!", None);
        decodes("0000A \t\r\n0123456789\r\n0\r\n\r\nrest", "0123456789", None);
        decodes("1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", "a", Some(("x-sum", "1")));
        assert_eq!(decode("5\r\nhell", 4), Ok(None));
    }

    #[test]
    fn what_is_no_chunk_is_a_fault() {
        let large = format!("{}\r\n", "f".repeat(17));
        let zeros = format!("{}5\r\n", "0".repeat(64));
        let long = format!("1;{}", "a".repeat(MAX_EXTENSIONS + 1));
        for (wire, fault) in [
            ("\r\n", Fault::ChunkSize),
            (";a\r\n", Fault::ChunkSize),
            ("5h\r\n", Fault::ChunkSize),
            ("5 5\r\n", Fault::ChunkSize),
            ("-5\r\n", Fault::ChunkSize),
            ("5\n", Fault::ChunkSize),
            ("5\rh", Fault::ChunkEnd),
            ("5;a\nb", Fault::ChunkEnd),
            ("5;a\rb", Fault::ChunkEnd),
            ("1\r\nab", Fault::ChunkEnd),
            ("1\r\na\n", Fault::ChunkEnd),
            ("1\r\na\rb", Fault::ChunkEnd),
            (&large, Fault::ChunkTooLarge),
            (&zeros, Fault::ChunkTooLarge),
            (&long, Fault::ChunkExtensions),
            ("0\r\n\r\r", Fault::BareLineEnd),
            ("0\r\na: b\n\n", Fault::BareLineEnd),
            ("0\r\na : b\r\n\r\n", Fault::Trailer),
            ("0\r\na: \u{1}\r\n\r\n", Fault::Trailer),
            ("0\r\na: b\r\n c\r\n\r\n", Fault::Trailer),
            ("0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", Fault::TrailersTooLarge),
            ("0\r\na: 123456789012345678901234567890\r\n\r\n", Fault::TrailersTooLarge),
        ] {
            for piece in [1, wire.len()] {
                assert_eq!(decode(wire, piece), Err(fault), "{wire:?}");
            }
        }
    }
}

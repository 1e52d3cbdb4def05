//! The reader of responses over HTTP/1.x, against whatever a server sends: no bytes make it panic, hang or allocate without
//! bound, and however the bytes are cut, it finds the same.
//!
//! The first byte chooses what the requests were, the second one the size of the pieces; the rest is what the server sends.
#![no_main]

use gun_rs_engine::http::http1::reader::{Asked, Length, Limits, Piece, Reader};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { informs: 3, bytes: 2000, lines: 40, trailers: 200 };

/// What was found, and whether it ended in a fault.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    responses: Vec<String>,
    /// The body under way, and how long it is to be.
    body: Vec<u8>,
    length: Option<u64>,
    faulty: bool,
}

impl Found {
    /// Whether the response is over.
    fn take(&mut self, piece: Piece) -> bool {
        match piece {
            Piece::Inform(status, headers) => {
                assert!(status.is_informational() && status.as_u16() != 101);
                self.responses.push(format!("{status} {headers:?}"));
                false
            }
            Piece::Head(head) => {
                assert!(head.headers.len() <= LIMITS.lines as usize);
                self.responses.push(format!("{head:?}"));
                self.length = if let Length::Exact(length) = head.length { Some(length) } else { None };
                self.length == Some(0)
            }
            Piece::Data { data, fin } => {
                self.body.extend_from_slice(&data);
                if fin {
                    let body = std::mem::take(&mut self.body);
                    assert!(self.length.is_none_or(|length| length == body.len() as u64));
                    self.responses.push(format!("{body:?}"));
                }
                fin
            }
            Piece::Trailers(trailers) => {
                let body = std::mem::take(&mut self.body);
                self.responses.push(format!("{body:?} {trailers:?}"));
                true
            }
        }
    }
}

fn read(kinds: u8, wire: &[u8], size: usize) -> Found {
    let mut reader = Reader::new(LIMITS);
    let (mut found, mut asked, mut awaited) = (Found::default(), 0, false);
    for bytes in wire.chunks(size.max(1)) {
        reader.receive(bytes.into());
        loop {
            if !awaited {
                if asked == 8 {
                    break;
                }
                reader.expect(match (kinds >> asked & 1, asked % 2) {
                    (0, _) => Asked::Other,
                    (_, 0) => Asked::Head,
                    _ => Asked::Connect,
                });
                (asked, awaited) = (asked + 1, true);
            }
            match reader.next_piece() {
                Ok(Some(piece)) => awaited = !found.take(piece),
                Ok(None) => break,
                Err(_) => {
                    found.faulty = true;
                    return found;
                }
            }
        }
    }
    if let Some(piece) = reader.end() {
        assert!(found.take(piece));
    }
    while let Ok(Some(piece)) = reader.next_piece() {
        panic!("{piece:?} after the end");
    }
    found
}

fuzz_target!(|input: &[u8]| {
    let [kinds, size, wire @ ..] = input else { return };
    // What can't become a head is a fault sooner or later; once the head is over, it is one for certain.
    let wire = [wire, b"\r\n\r\n"].concat();
    let whole = read(*kinds, &wire, wire.len());
    let cut = read(*kinds, &wire, usize::from(*size));
    assert_eq!(whole, cut);
});

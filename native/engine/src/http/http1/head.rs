//! The heads of responses, as their bytes are received: their line ends, and how much there is of them (RFC 9112, 2.2).
//!
//! httparse takes a lone LF for the end of a header line. Whoever stands between us and the server may not, and would see
//! other headers than we do, so that one response could be made to look like two: a head with a bare CR or LF is a fault
//! here. httparse refuses control characters in the values of headers, which gun does not: they become spaces where nothing
//! depends on them. Each byte is looked at once, however the head is cut, so that httparse need not begin again with each
//! read.

use super::fault::Fault;

/// Where the status code stands, behind `HTTP/1.1 `.
const STATUS_AT: usize = 9;

/// The headers, in lowercase, of which nothing is mended. It depends on most of them where a response ends and what
/// follows it, so that a proxy between us and the server must find the same in them. A cookie with a control character is
/// invalid (RFC 6265bis, 5.6), and must not become valid.
const KEPT: [&[u8]; 7] = [
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-connection",
    b"set-cookie",
    b"transfer-encoding",
    b"upgrade",
];

/// What the names of those that complete the handshake begin with.
const HANDSHAKE: &[u8] = b"sec-websocket-";

/// How much a server may send before its answer, in the head of it, and behind its body.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most informational responses of a request.
    pub informs: u32,
    /// The most bytes of a head, and of all informational ones of a request.
    pub bytes: usize,
    /// The most header lines of a head, or of trailers.
    pub lines: u32,
    /// The most bytes of trailers.
    pub trailers: usize,
}

/// Follows the head of a response, and of the informational responses before it.
#[derive(Debug)]
pub(super) struct Head {
    at: At,
    /// The bytes of this head.
    bytes: usize,
    /// The header lines of this head.
    lines: u32,
    name: Name,
    /// Whether control characters become spaces: not in trailers.
    mends: bool,
    /// The informational responses so far.
    informs: u32,
    /// And their bytes.
    inform_bytes: usize,
}

/// The name of the header under way, as far as it matters.
#[derive(Debug, Clone, Copy)]
struct Name {
    bytes: [u8; LONGEST],
    len: usize,
    /// It is followed by its value, which may be mended.
    mendable: bool,
}

const LONGEST: usize = b"transfer-encoding".len();

impl Name {
    const NONE: Self = Self { bytes: [0; LONGEST], len: 0, mendable: false };

    /// Takes the next byte of the line, which may be mended; what is to stand in its place.
    fn take(&mut self, byte: u8) -> u8 {
        if self.mendable {
            return mended(byte);
        }
        if byte == b':' {
            let name = self.bytes.get(..self.len);
            self.mendable = name.is_none_or(|name| !KEPT.contains(&name)) && !self.bytes.starts_with(HANDSHAKE);
        } else {
            if let Some(next) = self.bytes.get_mut(self.len) {
                *next = byte.to_ascii_lowercase();
            }
            self.len = self.len.saturating_add(1);
        }
        byte
    }
}

/// A space for a control character (RFC 9110, 5.5), except for those that are dangerous anywhere: a NUL, and what ends
/// lines. hyper refuses all of them.
fn mended(byte: u8) -> u8 {
    if byte.is_ascii_control() && !matches!(byte, b'\0' | b'\t' | b'\r' | b'\n') { b' ' } else { byte }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The status line, or the empty lines before it.
    StatusLine {
        /// How many bytes of the line there were, as far as that matters.
        len: u8,
        /// The first and the last digits of the status code.
        status: [u8; 3],
        cr: bool,
    },
    /// A line after it.
    Field { empty: bool, informational: bool, cr: bool },
    /// An informational response is over; another head follows it.
    Informed,
    /// The head is over.
    Done,
}

const STATUS_LINE: At = At::StatusLine { len: 0, status: [0; 3], cr: false };

impl Head {
    /// A response is awaited.
    pub(super) fn new() -> Self {
        Self { at: STATUS_LINE, bytes: 0, lines: 0, name: Name::NONE, mends: true, informs: 0, inform_bytes: 0 }
    }

    /// Trailers, which have no status line.
    pub(super) fn trailers() -> Self {
        Self { at: At::Field { empty: true, informational: false, cr: false }, mends: false, ..Self::new() }
    }

    /// The header lines of this head, as far as it has come.
    pub(super) fn lines(&self) -> u32 {
        self.lines
    }

    /// Follows what was received to the end of the head, and puts spaces for the control characters that gun takes and
    /// httparse does not: how many bytes belong to the head, once it is complete. Behind an informational response the next
    /// head follows.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn follow(&mut self, received: &mut [u8], limits: &Limits) -> Result<Option<usize>, Fault> {
        for (at, byte) in received.iter_mut().enumerate() {
            *byte = self.take(*byte)?;
            if self.bytes > limits.bytes || self.lines > limits.lines {
                return Err(Fault::HeadTooLarge);
            }
            match self.at {
                At::Done => return Ok(Some(at + 1)),
                At::Informed => {
                    self.inform(limits)?;
                    return Ok(Some(at + 1));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Another head follows the informational one that was complete.
    pub(super) fn go_on(&mut self) {
        if self.at == At::Informed {
            (self.at, self.bytes, self.lines) = (STATUS_LINE, 0, 0);
        }
    }

    /// Takes a byte; what is to stand in its place.
    fn take(&mut self, byte: u8) -> Result<u8, Fault> {
        let mut kept = byte;
        let (At::StatusLine { cr, .. } | At::Field { cr, .. }) = self.at else { return Ok(byte) };
        if cr != (byte == b'\n') {
            return Err(Fault::BareLineEnd);
        }
        self.bytes = self.bytes.saturating_add(1);
        match &mut self.at {
            At::StatusLine { cr, .. } | At::Field { cr, .. } if byte == b'\r' => *cr = true,
            At::StatusLine { len: 0, cr, .. } if byte == b'\n' => *cr = false,
            At::StatusLine { status, .. } if byte == b'\n' => {
                let informational = status[0] == b'1' && status != b"101";
                self.at = At::Field { empty: true, informational, cr: false };
            }
            At::StatusLine { len, status, .. } => {
                match usize::from(*len).checked_sub(STATUS_AT).map(|at| status.get_mut(at)) {
                    None => {}
                    Some(Some(digit)) => *digit = byte,
                    // The reason phrase, which no event carries.
                    Some(None) => kept = mended(byte),
                }
                *len = len.saturating_add(1);
            }
            At::Field { empty: true, informational: true, .. } if byte == b'\n' => self.at = At::Informed,
            At::Field { empty: true, .. } if byte == b'\n' => self.at = At::Done,
            At::Field { empty, cr, .. } => {
                (*empty, *cr) = (byte == b'\n', false);
                self.lines = self.lines.saturating_add(u32::from(*empty));
                if *empty {
                    self.name = Name::NONE;
                } else if self.mends {
                    kept = self.name.take(byte);
                }
            }
            At::Informed | At::Done => {}
        }
        Ok(kept)
    }

    /// The end of an informational response.
    fn inform(&mut self, limits: &Limits) -> Result<(), Fault> {
        self.informs = self.informs.saturating_add(1);
        self.inform_bytes = self.inform_bytes.saturating_add(self.bytes);
        if self.informs > limits.informs {
            return Err(Fault::TooManyInforms);
        }
        if self.inform_bytes > limits.bytes {
            return Err(Fault::InformsTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { informs: 2, bytes: 100, lines: 2, trailers: 100 };

    /// What is left of what was received once the head of the answer is done, or what is wrong with it.
    fn rest(received: &str) -> Result<&str, Fault> {
        let mut head = Head::new();
        for (at, byte) in received.bytes().enumerate() {
            if head.at == At::Done {
                return Ok(&received[at..]);
            }
            head.follow(&mut [byte], &LIMITS)?;
            head.go_on();
        }
        Ok(if head.at == At::Done { "" } else { "unfinished" })
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\n\r\nbo\ndy"), Ok("bo\ndy"));
        assert_eq!(rest("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n"), Ok("\n"));
        assert_eq!(rest("HTTP/1.1 101 Switching Protocols\r\na: b\r\n\r\n\n"), Ok("\n"));
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\n"), Ok("unfinished"));
    }

    #[test]
    fn the_head_behind_an_informational_one_is_checked_too() {
        let inform = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
        assert_eq!(rest(&format!("{inform}{inform}HTTP/1.1 200 OK\r\n\r\n\n")), Ok("\n"));
        assert_eq!(rest(&format!("{inform}HTTP/1.1 200 OK\n\r\n")), Err(Fault::BareLineEnd));
    }

    #[test]
    fn a_cr_or_an_lf_alone_is_an_error_wherever_it_stands() {
        for head in [
            "\n",
            "\rH",
            "HTTP/1.1 200 OK\n",
            "HTTP/1.1 200\r OK\r\n",
            "HTTP/1.1 200 OK\r\na: b\n",
            "HTTP/1.1 200 OK\r\na: b\rc: d\r\n",
            "HTTP/1.1 200 OK\r\n\n",
            "HTTP/1.1 200 OK\r\na: b\r\r\n",
        ] {
            assert_eq!(rest(head), Err(Fault::BareLineEnd), "{head:?}");
        }
    }

    #[test]
    fn a_control_character_becomes_a_space_where_nothing_depends_on_it() {
        let limits = Limits { informs: 2, bytes: 10_000, lines: 100, trailers: 0 };
        let spaced = |value: &str| value.replace(|c: char| c.is_ascii_control() && c != '\t' && c != '\0', " ");
        let odd = "a\u{1}b\u{7f}c\td\u{1b}[0m\0é\u{b}";
        let mended =
            ["x-one", "Set-Cookie2", "a-name-that-is-longer-than-all-that-matter", "upgrade-insecure-requests"];
        let kept = [
            "Set-Cookie",
            "Content-Length",
            "transfer-encoding",
            "CONNECTION",
            "Upgrade",
            "keep-alive",
            "proxy-connection",
        ];
        let handshake = ["sec-websocket-accept", "Sec-WebSocket-Extensions"];
        for name in mended.iter().chain(&kept).chain(&handshake) {
            let value = if mended.contains(name) { spaced(odd) } else { odd.to_owned() };
            let (status, phrase) = ("HTTP/1.1 200 O\u{1}K\r\n", "HTTP/1.1 200 O K\r\n");
            let received = format!("{status}{name}:{odd}\r\nx: {odd}\r\n\r\n{odd}");
            let expected = format!("{phrase}{name}:{value}\r\nx: {}\r\n\r\n{odd}", spaced(odd));
            for size in [1, 7, received.len()] {
                let (mut head, mut bytes) = (Head::new(), received.clone().into_bytes());
                let end = bytes.len() - odd.len();
                for piece in bytes[..end].chunks_mut(size) {
                    head.follow(piece, &limits).unwrap();
                }
                assert_eq!(head.at, At::Done);
                assert_eq!(String::from_utf8(bytes).unwrap(), expected);
            }
        }
    }

    #[test]
    fn informational_responses_are_counted_and_what_came_before_one_too_many_is_good() {
        let inform = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(rest(&format!("{inform}{inform}{answer}!")), Ok("!"));
        let received = [inform, inform, inform].concat();
        assert_eq!(rest(&received[..received.len() - 1]), Ok("unfinished"));
        assert_eq!(rest(&received), Err(Fault::TooManyInforms));
        let inform = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "a".repeat(20));
        assert_eq!(rest(&format!("{inform}{inform}")), Err(Fault::InformsTooLarge));
    }

    #[test]
    fn the_informational_responses_do_not_count_for_the_head_of_the_answer() {
        let inform = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\na: b\r\n\r\n", "a".repeat(20));
        let value = "c".repeat(70);
        assert_eq!(rest(&format!("{inform}HTTP/1.1 200 OK\r\na: {value}\r\n\r\n")), Ok(""));
        let too_large = Err(Fault::HeadTooLarge);
        assert_eq!(rest(&format!("{inform}HTTP/1.1 200 OK\r\na: {value}{value}")), too_large);
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n\r\n"), Ok(""));
        assert_eq!(rest("HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ne: f\r\n"), too_large);
    }

    #[test]
    fn trailers_are_lines_as_those_of_a_head() {
        let follow = |trailers: &str| Head::trailers().follow(&mut trailers.to_owned().into_bytes(), &LIMITS);
        assert_eq!(follow("\r\nH"), Ok(Some(2)));
        assert_eq!(follow("a: b\r\n\r\nH"), Ok(Some(8)));
        assert_eq!(follow("a: b\r\n"), Ok(None));
        assert_eq!(follow("a: b\n\n"), Err(Fault::BareLineEnd));
        assert_eq!(follow("a: b\r\nc: d\r\ne: f\r\n"), Err(Fault::HeadTooLarge));
    }
}

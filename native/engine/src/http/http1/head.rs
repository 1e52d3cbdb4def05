//! The heads of responses, as their bytes are received: their line ends, and how much there is of them (RFC 9112, 2.2).

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

/// What is wrong with what a server has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// A line of a response's head ends as only a lenient reader would end it.
    #[error("a CR or an LF stands alone in the head of the response")]
    BareLineEnd,
    /// It has come before there was a request that it could answer.
    #[error("the server has sent a response before the request")]
    Unasked,
    /// More informational responses than `max_informs`.
    #[error("more informational responses than max_informs")]
    TooManyInforms,
    /// Informational responses with more bytes than `max_header_block_size`.
    #[error("informational responses larger than max_header_block_size")]
    InformsTooLarge,
}

/// How much a server may send before its answer, and in the head of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most informational responses of a request.
    pub(crate) informs: u32,
    /// The most bytes of a head, and of all informational ones of a request.
    pub(crate) bytes: usize,
    /// The most header lines of a head.
    pub(crate) lines: u32,
}

/// Follows the head of a response, and of the informational responses before it.
#[derive(Debug)]
pub(crate) struct Head {
    at: At,
    /// The bytes of this head.
    bytes: usize,
    /// The header lines of this head.
    lines: u32,
    name: Name,
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
    /// The head is over.
    Done,
}

const STATUS_LINE: At = At::StatusLine { len: 0, status: [0; 3], cr: false };

impl Head {
    /// A response is awaited.
    pub(crate) fn new() -> Self {
        Self { at: STATUS_LINE, bytes: 0, lines: 0, name: Name::NONE, informs: 0, inform_bytes: 0 }
    }

    /// None is.
    pub(crate) fn done() -> Self {
        Self { at: At::Done, ..Self::new() }
    }

    /// Whether the head of the answer is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Whether it is within its limits, as far as it has come.
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        self.bytes <= limits.bytes && self.lines <= limits.lines
    }

    /// Follows what was received, and puts spaces for the control characters that gun takes and hyper does not.
    ///
    /// # Errors
    /// What is wrong with it, and from which byte on.
    pub(crate) fn check(&mut self, received: &mut [u8], limits: &Limits) -> Result<(), (usize, HeadError)> {
        for (at, byte) in received.iter_mut().enumerate() {
            if self.is_done() {
                break;
            }
            *byte = self.take(*byte, limits).map_err(|error| (at, error))?;
        }
        Ok(())
    }

    /// Takes a byte; what is to stand in its place.
    fn take(&mut self, byte: u8, limits: &Limits) -> Result<u8, HeadError> {
        let mut kept = byte;
        let (At::StatusLine { cr, .. } | At::Field { cr, .. }) = self.at else { return Ok(byte) };
        if cr != (byte == b'\n') {
            return Err(HeadError::BareLineEnd);
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
            At::Field { empty: true, informational: true, .. } if byte == b'\n' => self.inform(limits)?,
            At::Field { empty: true, .. } if byte == b'\n' => self.at = At::Done,
            At::Field { empty, cr, .. } => {
                (*empty, *cr) = (byte == b'\n', false);
                self.lines = self.lines.saturating_add(u32::from(*empty));
                if *empty {
                    self.name = Name::NONE;
                } else {
                    kept = self.name.take(byte);
                }
            }
            At::Done => {}
        }
        Ok(kept)
    }

    /// The end of an informational response; another head follows it.
    fn inform(&mut self, limits: &Limits) -> Result<(), HeadError> {
        self.informs = self.informs.saturating_add(1);
        self.inform_bytes = self.inform_bytes.saturating_add(self.bytes);
        if self.informs > limits.informs {
            return Err(HeadError::TooManyInforms);
        }
        if self.inform_bytes > limits.bytes {
            return Err(HeadError::InformsTooLarge);
        }
        (self.at, self.bytes, self.lines) = (STATUS_LINE, 0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { informs: 2, bytes: 100, lines: 2 };

    /// What is left of what was received once the head is done, or what is wrong with it.
    fn rest(received: &str) -> Result<&str, HeadError> {
        let mut head = Head::new();
        for (at, byte) in received.bytes().enumerate() {
            if head.is_done() {
                return Ok(&received[at..]);
            }
            head.check(&mut [byte], &LIMITS).map_err(|(_, error)| error)?;
        }
        Ok(if head.is_done() { "" } else { "unfinished" })
    }

    /// Whether the head of the answer is within the limits.
    fn fits(received: &str) -> bool {
        let mut head = Head::new();
        head.check(&mut received.to_owned().into_bytes(), &LIMITS).unwrap();
        assert!(head.is_done());
        head.fits(&LIMITS)
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
        assert_eq!(rest(&format!("{inform}HTTP/1.1 200 OK\n\r\n")), Err(HeadError::BareLineEnd));
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
            assert_eq!(rest(head), Err(HeadError::BareLineEnd), "{head:?}");
        }
    }

    #[test]
    fn a_control_character_becomes_a_space_where_nothing_depends_on_it() {
        let limits = Limits { informs: 2, bytes: 10_000, lines: 100 };
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
                for piece in bytes.chunks_mut(size) {
                    head.check(piece, &limits).unwrap();
                }
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
        let error = (received.len() - 1, HeadError::TooManyInforms);
        assert_eq!(Head::new().check(&mut received.into_bytes(), &LIMITS), Err(error));
        let inform = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "a".repeat(20));
        assert_eq!(rest(&format!("{inform}{inform}")), Err(HeadError::InformsTooLarge));
    }

    #[test]
    fn the_informational_responses_do_not_count_for_the_head_of_the_answer() {
        let inform = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\na: b\r\n\r\n", "a".repeat(20));
        let value = "c".repeat(70);
        assert!(fits(&format!("{inform}HTTP/1.1 200 OK\r\na: {value}\r\n\r\n")));
        assert!(!fits(&format!("{inform}HTTP/1.1 200 OK\r\na: {value}{value}\r\n\r\n")));
        assert!(fits("HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n\r\n"));
        assert!(!fits("HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ne: f\r\n\r\n"));
    }
}

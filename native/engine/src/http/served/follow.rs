//! Where a request ends, and whether its parts are within their limits.
//!
//! hyper parses the requests; this follows the same bytes below it, and is stricter. hyper takes a lone LF for the end of
//! a line, a length beside a transfer coding, and the same length twice. Whoever stands between us and the client may
//! not, and would see other requests than we do (RFC 9112, 11.2). It also knows where a request ends, so that hyper is
//! given the next one only when it can be answered.

use http::StatusCode;

/// The longest of the names that matter.
const LONGEST: usize = b"transfer-encoding".len();

/// How many bytes of a value are kept that says how long the body is.
const KEPT: usize = 24;

/// How many empty lines may come before a request (RFC 9112, 2.2).
const MAX_EMPTY_LINES: u8 = 5;

/// The most bytes of the line before a chunk: its size, and its extensions, which nobody wants.
const MAX_CHUNK_LINE: usize = 1024;

/// The most digits of a chunk's size.
const MAX_DIGITS: u8 = 15;

/// The limits on a request's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// On its bytes, and on those of the trailers.
    pub(crate) head: usize,
    /// On the request line.
    pub(crate) line: usize,
    /// On the number of headers.
    pub(crate) headers: u32,
    /// On the bytes of a header's name.
    pub(crate) name: usize,
    /// On the bytes of a header's value.
    pub(crate) value: usize,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// A line does not end with CR LF, or one of them stands elsewhere.
    #[error("a CR or an LF stands alone")]
    BareLineEnd,
    /// A header goes on in the next line (RFC 9112, 5.2).
    #[error("a header is folded")]
    Folded,
    /// Empty lines come instead of a request.
    #[error("too many empty lines come before the request")]
    EmptyLines,
    /// The request line is over its limit.
    #[error("the request line is too long")]
    LineTooLong,
    /// A header's name or value, their number, or all of them are over a limit.
    #[error("the headers are too large")]
    HeadTooLarge,
    /// Its length is no number, or is there twice.
    #[error("the content-length is invalid")]
    Length,
    /// Its transfer coding is not chunked, or is there twice, or beside a length.
    #[error("the transfer-encoding is invalid")]
    Coding,
    /// A chunk's size is no number, or too large, or what follows the chunk is not the end of a line.
    #[error("a chunk is invalid")]
    Chunk,
}

impl Fault {
    /// The status of the answer to it. `head_too_large` is that of headers over their limits.
    pub(crate) fn status(self, head_too_large: u16) -> StatusCode {
        match self {
            Self::LineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => {
                StatusCode::from_u16(head_too_large).unwrap_or(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Follows one request after the other.
#[derive(Debug)]
pub(crate) struct Follower {
    limits: Limits,
    at: At,
    /// The byte before was a CR, which an LF must follow.
    cr: bool,
    /// Bytes of the head, or of the trailers.
    bytes: usize,
    headers: u32,
    empty_lines: u8,
    body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The request line, or the empty lines before it, with the bytes of the line so far.
    Line(usize),
    /// A line after it.
    Field(Field),
    /// The body: so many bytes are left of it.
    Body(u64),
    /// The line before a chunk.
    Size { size: u64, digits: u8, len: usize },
    /// A chunk: so many bytes are left of it.
    Chunk(u64),
    /// The end of a chunk's last line.
    ChunkEnd,
    /// A line behind the last chunk, with its bytes so far.
    Trailer(usize),
    /// The request is over.
    End,
}

const LINE: At = At::Line(0);
const SIZE: At = At::Size { size: 0, digits: 0, len: 0 };

/// What the headers have said of the body so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Body {
    length: Option<u64>,
    chunked: bool,
}

/// A header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: [u8; LONGEST],
    name_len: usize,
    /// The bytes of the value so far, when its name is over.
    value_len: Option<usize>,
    value: [u8; KEPT],
    kept: usize,
}

const FIELD: Field = Field { name: [0; LONGEST], name_len: 0, value_len: None, value: [0; KEPT], kept: 0 };

impl Field {
    fn is_empty(&self) -> bool {
        self.name_len == 0 && self.value_len.is_none()
    }

    fn take(&mut self, byte: u8, limits: &Limits) -> Result<(), Fault> {
        match &mut self.value_len {
            None if byte == b':' => self.value_len = Some(0),
            None if self.name_len == 0 && matches!(byte, b' ' | b'\t') => return Err(Fault::Folded),
            None => {
                if let Some(next) = self.name.get_mut(self.name_len) {
                    *next = byte.to_ascii_lowercase();
                }
                self.name_len = self.name_len.saturating_add(1);
                if self.name_len > limits.name {
                    return Err(Fault::HeadTooLarge);
                }
            }
            // The spaces around a value are no part of it, but those behind it count for the limit.
            Some(0) if matches!(byte, b' ' | b'\t') => {}
            Some(len) => {
                *len = len.saturating_add(1);
                if let Some(next) = self.value.get_mut(self.kept) {
                    *next = byte;
                }
                self.kept = self.kept.saturating_add(1);
                if *len > limits.value {
                    return Err(Fault::HeadTooLarge);
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> &[u8] {
        self.name.get(..self.name_len).unwrap_or_default()
    }

    /// The value, unless it is longer than any that is valid.
    fn value(&self) -> Option<&[u8]> {
        self.value.get(..self.kept).map(<[u8]>::trim_ascii_end)
    }
}

impl Body {
    fn header(&mut self, field: &Field) -> Result<(), Fault> {
        match field.name() {
            b"content-length" => {
                let length = field.value().and_then(number).ok_or(Fault::Length)?;
                if self.chunked || self.length.replace(length).is_some() {
                    return Err(Fault::Length);
                }
            }
            b"transfer-encoding" => {
                let chunked = field.value().is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
                if !chunked || std::mem::replace(&mut self.chunked, true) || self.length.is_some() {
                    return Err(Fault::Coding);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A number in decimal, without a sign. The largest ones stand for something in hyper.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()?;
    (number <= u64::MAX / 2).then_some(number)
}

impl Follower {
    /// A request is awaited.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, at: LINE, cr: false, bytes: 0, headers: 0, empty_lines: 0, body: Body::default() }
    }

    /// The next request is awaited.
    pub(crate) fn next(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Whether the request is over.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::End
    }

    /// Whether a part of the request's head has come.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.at, At::Line(0)) || self.cr
    }

    /// Whether the request's head is still to come, in part or as a whole.
    pub(crate) fn awaits_head(&self) -> bool {
        matches!(self.at, At::Line(_) | At::Field(_))
    }

    /// Follows what was received: how many bytes of it belong to this request.
    ///
    /// # Errors
    /// What is wrong with it, and from which byte on.
    pub(crate) fn follow(&mut self, received: &[u8]) -> Result<usize, (usize, Fault)> {
        let mut at = 0;
        while let Some(byte) = received.get(at).filter(|_| !self.is_done()) {
            let left = match &mut self.at {
                At::Body(left) | At::Chunk(left) => left,
                _ => {
                    self.take(*byte).map_err(|fault| (at, fault))?;
                    at += 1;
                    continue;
                }
            };
            let rest = received.len().saturating_sub(at);
            let skipped = usize::try_from(*left).map_or(rest, |left| left.min(rest));
            *left -= skipped as u64;
            at += skipped;
            match self.at {
                At::Body(0) => self.at = At::End,
                At::Chunk(0) => self.at = At::ChunkEnd,
                _ => {}
            }
        }
        Ok(at)
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.cr != (byte == b'\n') {
            return Err(Fault::BareLineEnd);
        }
        self.cr = byte == b'\r';
        self.bytes = self.bytes.saturating_add(1);
        if self.bytes > self.limits.head {
            return Err(if let At::Line(_) = self.at { Fault::LineTooLong } else { Fault::HeadTooLarge });
        }
        match byte {
            b'\r' => Ok(()),
            b'\n' => self.line_ends(),
            _ => self.take_inside(byte),
        }
    }

    fn take_inside(&mut self, byte: u8) -> Result<(), Fault> {
        match &mut self.at {
            At::Line(len) => {
                *len = len.saturating_add(1);
                if *len > self.limits.line {
                    return Err(Fault::LineTooLong);
                }
            }
            At::Field(field) => field.take(byte, &self.limits)?,
            At::Size { size, digits, len } => {
                let digit = char::from(byte).to_digit(16).filter(|_| *len == usize::from(*digits));
                *len = len.saturating_add(1);
                match digit {
                    Some(digit) => {
                        *digits = digits.saturating_add(1);
                        *size = size.saturating_mul(16).saturating_add(digit.into());
                    }
                    None if *digits == 0 || *len == usize::from(*digits) + 1 && !b" \t;".contains(&byte) => {
                        return Err(Fault::Chunk);
                    }
                    None => {}
                }
                if *digits > MAX_DIGITS || *len > MAX_CHUNK_LINE {
                    return Err(Fault::Chunk);
                }
            }
            At::Trailer(len) => *len = len.saturating_add(1),
            At::ChunkEnd => return Err(Fault::Chunk),
            At::Body(_) | At::Chunk(_) | At::End => {}
        }
        Ok(())
    }

    fn line_ends(&mut self) -> Result<(), Fault> {
        self.at = match self.at {
            At::Line(0) if self.empty_lines == MAX_EMPTY_LINES => return Err(Fault::EmptyLines),
            At::Line(0) => {
                self.empty_lines += 1;
                self.bytes = 0;
                LINE
            }
            At::Field(field) if field.is_empty() => {
                self.bytes = 0;
                match self.body {
                    Body { chunked: true, .. } => SIZE,
                    Body { length: None | Some(0), .. } => At::End,
                    Body { length: Some(length), .. } => At::Body(length),
                }
            }
            At::Field(field) => {
                self.headers = self.headers.saturating_add(1);
                if self.headers > self.limits.headers {
                    return Err(Fault::HeadTooLarge);
                }
                self.body.header(&field)?;
                At::Field(FIELD)
            }
            At::Line(_) => At::Field(FIELD),
            At::Size { digits: 0, .. } => return Err(Fault::Chunk),
            At::Size { size: 0, .. } => At::Trailer(0),
            At::Size { size, .. } => {
                self.bytes = 0;
                At::Chunk(size)
            }
            At::ChunkEnd => SIZE,
            At::Trailer(0) => At::End,
            At::Trailer(_) => At::Trailer(0),
            at => at,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 200, line: 40, headers: 3, name: 20, value: 30 };

    /// What is left of what was received when the first request is over, or what is wrong with it; whatever the pieces.
    fn rest(received: &str) -> Result<&str, Fault> {
        let whole = Follower::new(LIMITS).follow(received.as_bytes());
        let mut follower = Follower::new(LIMITS);
        for (at, byte) in received.bytes().enumerate() {
            if follower.is_done() {
                assert_eq!(whole, Ok(at), "{received:?}");
                return Ok(&received[at..]);
            }
            if let Err((0, fault)) = follower.follow(&[byte]) {
                assert_eq!(whole, Err((at, fault)), "{received:?}");
                return Err(fault);
            }
        }
        Ok(if follower.is_done() { "" } else { "unfinished" })
    }

    #[test]
    fn a_request_ends_with_its_head_or_with_its_body() {
        let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(rest(&format!("{get}{get}")), Ok(get));
        assert_eq!(rest(&format!("\r\n\r\n{get}next")), Ok("next"));
        assert_eq!(rest("GET / HTTP/1.1\r\nhost: a\r\n"), Ok("unfinished"));
        assert_eq!(rest("POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\nhe\nlonext"), Ok("next"));
        assert_eq!(rest("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nnext"), Ok("next"));
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(rest(&format!("{chunked}0\r\n\r\nnext")), Ok("next"));
        assert_eq!(rest(&format!("{chunked}1a;a=\"b\"\r\n{}\r\n000 \r\nx: y\r\n\r\nnext", "-".repeat(26))), Ok("next"));
        assert_eq!(rest(&format!("{chunked}2\r\n\r\n\r\n0\r\n\r\nnext")), Ok("next"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_an_error() {
        for (headers, fault) in [
            ("content-length: 5\r\ncontent-length: 5\r\n\r\n", Fault::Length),
            ("content-length: 5\r\ncontent-length: 6\r\n\r\n", Fault::Length),
            ("content-length: 5, 5\r\n\r\n", Fault::Length),
            ("content-length: +5\r\n\r\n", Fault::Length),
            ("content-length: -1\r\n\r\n", Fault::Length),
            ("content-length:\r\n\r\n", Fault::Length),
            ("content-length: 99999999999999999999\r\n\r\n", Fault::Length),
            ("content-length: 18446744073709551615\r\n\r\n", Fault::Length),
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", Fault::Coding),
            ("transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", Fault::Length),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", Fault::Coding),
            ("transfer-encoding: gzip, chunked\r\n\r\n", Fault::Coding),
            ("transfer-encoding: identity\r\n\r\n", Fault::Coding),
            ("transfer-encoding: \u{b}chunked\r\n\r\n", Fault::Coding),
            ("a: b\n\r\n", Fault::BareLineEnd),
            ("a: b\rc: d\r\n\r\n", Fault::BareLineEnd),
            ("a: b\r\n c\r\n\r\n", Fault::Folded),
        ] {
            assert_eq!(rest(&format!("POST / HTTP/1.1\r\n{headers}")), Err(fault), "{headers:?}");
        }
        for line in ["\n", "GET / HTTP/1.1\n", "GET /\r HTTP/1.1\r\n"] {
            assert_eq!(rest(line), Err(Fault::BareLineEnd), "{line:?}");
        }
    }

    #[test]
    fn a_bad_chunk_is_an_error() {
        for body in ["\r\n", "g\r\n", "-1\r\n", " 1\r\n", "1x\r\n", ";a\r\n", "1\r\nab\r\n", "ffffffffffffffff\r\n"] {
            let request = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
            assert_eq!(rest(&request), Err(Fault::Chunk), "{body:?}");
        }
        for body in ["1\n", "1\r\na\n", "1\r\na\r\n0\r\n\n", "1;\ra\r\n"] {
            let request = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
            assert_eq!(rest(&request), Err(Fault::BareLineEnd), "{body:?}");
        }
        let long = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;{}", "a".repeat(2000));
        assert!(rest(&long).is_err());
    }

    #[test]
    fn each_limit_is_kept_and_its_value_allowed() {
        let line = |len: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(len - 14));
        assert_eq!((rest(&line(40)), rest(&line(41))), (Ok(""), Err(Fault::LineTooLong)));
        let header = |name: usize, value: usize| {
            format!("GET / HTTP/1.1\r\n{}:  {}\r\n\r\n", "n".repeat(name), "v".repeat(value))
        };
        assert_eq!(rest(&header(20, 30)), Ok(""));
        assert_eq!((rest(&header(21, 1)), rest(&header(1, 31))), (Err(Fault::HeadTooLarge), Err(Fault::HeadTooLarge)));
        let headers = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!((rest(&headers(3)), rest(&headers(4))), (Ok(""), Err(Fault::HeadTooLarge)));
        let head =
            format!("GET / HTTP/1.1\r\n{}\r\n", "aaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(3));
        assert_eq!(rest(&head), Ok(""));
        let mut follower = Follower::new(Limits { head: 100, ..LIMITS });
        assert!(matches!(follower.follow(head.as_bytes()), Err((100, Fault::HeadTooLarge))));
        assert_eq!(rest(&"\r\n".repeat(6)), Err(Fault::EmptyLines));
    }

    #[test]
    fn a_request_has_begun_with_its_first_byte_and_awaits_its_head_until_that_is_whole() {
        let mut follower = Follower::new(LIMITS);
        assert!(!follower.has_begun() && follower.awaits_head());
        follower.follow(b"\r\n").unwrap();
        assert!(!follower.has_begun());
        follower.follow(b"G").unwrap();
        assert!(follower.has_begun() && follower.awaits_head());
        follower.follow(b"ET / HTTP/1.1\r\ncontent-length: 1\r\n\r\n").unwrap();
        assert!(follower.has_begun() && !follower.awaits_head());
        follower.follow(b"a").unwrap();
        assert!(follower.is_done());
        follower.next();
        assert!(!follower.has_begun());
    }
}

//! What a head says, once it has come whole: httparse takes it apart, strictly.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::fault::Fault;

/// Heads with no more headers than this are parsed without an allocation.
const FEW: usize = 32;

/// The longest body whose length can be told, in bytes.
const MAX_LENGTH: u64 = u64::MAX / 2;

/// What a request was, as far as it says how its response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: the response has no body, whatever its head says.
    Head,
    /// CONNECT: no body follows if it succeeds, and no other response.
    Connect,
    /// Any other.
    Other,
}

/// What follows the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// This number of bytes, which may be none.
    Exact(u64),
    /// Chunks, and trailers perhaps.
    Chunked,
    /// All that comes until the server closes.
    UntilClose,
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// The version, which is HTTP/1.1 or HTTP/1.0.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// What follows.
    pub length: Length,
}

/// Looks at what there is of a head that is not complete.
///
/// # Errors
/// It can't become a valid one.
pub(super) fn check(begun: &[u8], lines: u32) -> Result<(), Fault> {
    with_room(lines.saturating_add(1), |room| {
        httparse::Response::new(room).parse(begun).map(|_| ()).map_err(|error| fault(error, Fault::Header))
    })
}

/// Takes a whole head apart, which has this number of header lines.
pub(super) fn response(head: &Bytes, lines: u32, asked: Asked) -> Result<ResponseHead, Fault> {
    with_room(lines, |room| {
        let mut response = httparse::Response::new(room);
        match response.parse(head) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Ok(_) => return Err(Fault::Header),
            Err(error) => return Err(fault(error, Fault::Header)),
        }
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Fault::Status)?;
        let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let headers = headers(head, response.headers, Fault::Header)?;
        let length = length(asked, status, version, &headers)?;
        Ok(ResponseHead { status, version, headers, length })
    })
}

/// Takes whole trailers apart, the empty line behind them included.
pub(super) fn trailers(block: &Bytes, lines: u32) -> Result<HeaderMap, Fault> {
    with_room(lines, |room| match httparse::parse_headers(block, room) {
        Ok(httparse::Status::Complete((len, fields))) if len == block.len() => headers(block, fields, Fault::Trailer),
        Ok(_) => Err(Fault::Trailer),
        Err(error) => Err(fault(error, Fault::Trailer)),
    })
}

/// Gives `parse` room for this number of headers.
fn with_room<'b, R>(lines: u32, parse: impl FnOnce(&mut [httparse::Header<'b>]) -> R) -> R {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut few = [httparse::EMPTY_HEADER; FEW];
    match few.get_mut(..lines) {
        Some(room) => parse(room),
        None => parse(&mut vec![httparse::EMPTY_HEADER; lines]),
    }
}

fn fault(error: httparse::Error, field: Fault) -> Fault {
    use httparse::Error;
    match error {
        Error::Version => Fault::Version,
        Error::Status => Fault::Status,
        Error::TooManyHeaders => Fault::HeadTooLarge,
        Error::HeaderName | Error::HeaderValue | Error::NewLine | Error::Token => field,
    }
}

/// The headers, whose values are parts of the block.
fn headers(block: &Bytes, fields: &[httparse::Header<'_>], fault: Fault) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::try_with_capacity(fields.len()).map_err(|_| Fault::HeadTooLarge)?;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| fault)?;
        let value = HeaderValue::from_maybe_shared(block.slice_ref(field.value)).map_err(|_| fault)?;
        headers.try_append(name, value).map_err(|_| Fault::HeadTooLarge)?;
    }
    Ok(headers)
}

/// How long the body is (RFC 9112, 6.3).
fn length(asked: Asked, status: StatusCode, version: Version, headers: &HeaderMap) -> Result<Length, Fault> {
    let without = status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if without || asked == Asked::Head || asked == Asked::Connect && status.is_success() {
        return Ok(Length::Exact(0));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return match (version, is_chunked(headers)) {
            (Version::HTTP_10, _) => Err(Fault::UnexpectedEncoding),
            (_, true) => Ok(Length::Chunked),
            (_, false) => Ok(Length::UntilClose),
        };
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return content_length(headers).map(Length::Exact);
    }
    Ok(Length::UntilClose)
}

/// Whether the last encoding is chunked.
fn is_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).into_iter().next_back().and_then(|value| value.to_str().ok());
    last.and_then(|value| value.rsplit(',').next()).is_some_and(|name| name.trim().eq_ignore_ascii_case("chunked"))
}

/// The one length that all of them name.
fn content_length(headers: &HeaderMap) -> Result<u64, Fault> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value.to_str().map_err(|_| Fault::ContentLength)?.split(',').map(str::trim) {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = match text.parse() {
                Ok(number) if is_number => number,
                Err(_) if is_number => return Err(Fault::ContentLengthTooLarge),
                _ => return Err(Fault::ContentLength),
            };
            if length.is_some_and(|length| length != number) {
                return Err(Fault::ContentLength);
            }
            length = Some(number);
        }
    }
    length.filter(|length| *length <= MAX_LENGTH).ok_or(Fault::ContentLengthTooLarge)
}

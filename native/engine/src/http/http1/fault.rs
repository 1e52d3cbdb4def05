//! What a server can do wrong in HTTP/1.x, and what it means for the connection.

use std::io;

use crate::error::{ConnectionError, DownReason, is_cut};

/// The sentences of the limits, which name the options.
const HEAD_TOO_LARGE: &str =
    "The response's header block is larger than max_header_block_size, or has more headers than max_headers.";
const TRAILERS_TOO_LARGE: &str = "The response's trailers are larger than max_trailer_block_size.";
const TOO_MANY_INFORMS: &str = "The server has sent more informational responses to the request than max_informs.";
const INFORMS_TOO_LARGE: &str =
    "The informational responses to the request are together larger than max_header_block_size.";

/// What is wrong with what a server has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line of a response's head, or of trailers, ends as only a lenient reader would end it.
    #[error("a CR or an LF stands alone in the head of the response")]
    BareLineEnd,
    /// It has come before there was a request that it could answer.
    #[error("the server has sent a response before the request")]
    Unasked,
    /// It has switched to another protocol.
    #[error("nobody asked to switch protocols")]
    UnaskedSwitch,
    /// It does not begin with the version of HTTP/1.x.
    #[error("the response does not begin with a version of HTTP/1")]
    Version,
    /// Its status line is malformed.
    #[error("the response's status line is invalid")]
    Status,
    /// A header is malformed.
    #[error("a header of the response is invalid")]
    Header,
    /// A trailer is malformed.
    #[error("a trailer of the response is invalid")]
    Trailer,
    /// A content-length is no number, or there are two that differ.
    #[error("the response's content-length is invalid, or there are two that differ")]
    ContentLength,
    /// A content-length is beyond all bounds.
    #[error("the response's content-length is larger than can be counted")]
    ContentLengthTooLarge,
    /// HTTP/1.0 knows no transfer-encoding.
    #[error("the response is of HTTP/1.0 and has a transfer-encoding")]
    UnexpectedEncoding,
    /// The line before a chunk is malformed.
    #[error("the size of a chunk is invalid")]
    ChunkSize,
    /// A chunk is larger than can be counted.
    #[error("the size of a chunk is larger than can be counted")]
    ChunkTooLarge,
    /// A line of a chunk, or its data, does not end in CR and LF.
    #[error("a chunk does not end where its size says, or its line not in CR and LF")]
    ChunkEnd,
    /// The extensions of chunks are longer than anybody needs.
    #[error("the extensions of the chunks are too long")]
    ChunkExtensions,
    /// A head over `max_header_block_size` or `max_headers`.
    #[error("{HEAD_TOO_LARGE}")]
    HeadTooLarge,
    /// Trailers over `max_trailer_block_size` or `max_headers`.
    #[error("{TRAILERS_TOO_LARGE}")]
    TrailersTooLarge,
    /// More informational responses than `max_informs`.
    #[error("{TOO_MANY_INFORMS}")]
    TooManyInforms,
    /// Informational responses with more bytes than `max_header_block_size`.
    #[error("{INFORMS_TOO_LARGE}")]
    InformsTooLarge,
}

impl Fault {
    /// The sentence of a limit.
    fn limit(self) -> Option<&'static str> {
        match self {
            Self::HeadTooLarge => Some(HEAD_TOO_LARGE),
            Self::TrailersTooLarge => Some(TRAILERS_TOO_LARGE),
            Self::TooManyInforms => Some(TOO_MANY_INFORMS),
            Self::InformsTooLarge => Some(INFORMS_TOO_LARGE),
            _ => None,
        }
    }
}

impl From<Fault> for DownReason {
    fn from(fault: Fault) -> Self {
        match fault.limit() {
            Some(sentence) => ConnectionError::LimitReached(sentence).into(),
            None => ConnectionError::Http(fault.to_string()).into(),
        }
    }
}

/// What an error of the byte stream means while nothing is awaited: then nothing is lost with a cut (RFC 9112, 9.8).
pub(super) fn idle_down_reason(error: &io::Error) -> DownReason {
    if is_cut(error) { DownReason::Closed } else { error.into() }
}

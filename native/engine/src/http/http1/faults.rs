//! What hyper's errors mean for a connection.

use std::error::Error;
use std::io;

use super::head::HeadError;
use super::wire::Control;
use crate::error::{ConnectionError, DownReason};
use crate::error::{inner, is_cut};

/// A limit's sentence, which names the option.
pub(super) const TRAILERS_TOO_LARGE: &str = "The response's trailers are larger than max_trailer_block_size.";

/// The sentence of the limit on informational responses.
const TOO_MANY_INFORMS: &str = "The server has sent more informational responses to the request than max_informs.";

/// The sentence of the limit on their size.
const INFORMS_TOO_LARGE: &str =
    "The informational responses to the request are together larger than max_header_block_size.";

/// What is wrong with a content-length that hyper cannot count.
const CONTENT_LENGTH_TOO_LARGE: &str = "the response's content-length is larger than can be counted";

/// The other one's.
const HEAD_TOO_LARGE: &str =
    "The response's header block is larger than max_header_block_size, or has more headers than max_headers.";

/// What hyper's error means for a connection with a request under way.
pub(super) fn down_reason(error: &hyper::Error, control: &Control) -> DownReason {
    if error.is_parse_too_large() && control.head_fits() {
        return ConnectionError::Http(CONTENT_LENGTH_TOO_LARGE.into()).into();
    }
    if error.is_parse_too_large() {
        return ConnectionError::LimitReached(HEAD_TOO_LARGE).into();
    }
    if error.is_parse() {
        return ConnectionError::Http(describe(error)).into();
    }
    match io_error(error) {
        // By hyper, or by what stands below it: the socket gives no such error.
        Some(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            let text = error.to_string();
            match inner(error) {
                Some(HeadError::TooManyInforms) => ConnectionError::LimitReached(TOO_MANY_INFORMS).into(),
                Some(HeadError::InformsTooLarge) => ConnectionError::LimitReached(INFORMS_TOO_LARGE).into(),
                _ if text == HYPER_TRAILERS_TOO_LARGE => ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into(),
                _ => ConnectionError::Http(text).into(),
            }
        }
        Some(error) => error.into(),
        None => DownReason::Closed,
    }
}

/// What hyper says of trailers that are larger than a header block may be.
const HYPER_TRAILERS_TOO_LARGE: &str = "chunk trailers bytes over limit";

/// The same, with none under way: a peer that speaks unasked is left without a fuss, as gun does it.
pub(super) fn idle_down_reason(error: &hyper::Error, control: &Control) -> DownReason {
    match io_error(error) {
        None if !error.is_incomplete_message() => DownReason::Normal,
        // With nothing awaited nothing is lost (RFC 9112, 9.8).
        Some(error) if is_cut(error) => DownReason::Closed,
        _ => down_reason(error, control),
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

fn describe(error: &dyn Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {source}"),
    }
}

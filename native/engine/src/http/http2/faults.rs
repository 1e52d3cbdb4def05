//! What h2's errors mean.

use h2::{Error, Reason};

use crate::error::http2::{Http2Code, Http2Fault};

/// What an error means for one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The peer has reset it.
    Reset(Http2Code),
    /// The peer has broken the protocol on it, and it was reset.
    Fault(Http2Fault),
    /// The peer has not begun with it, and will not.
    GoAway(Http2Code),
    /// The connection is over; why, it says itself.
    Connection,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let code = code(error);
        if error.is_reset() {
            if error.is_remote() { Self::Reset(code) } else { Self::Fault(stream_fault(code)) }
        } else if error.is_go_away() && error.is_remote() {
            Self::GoAway(code)
        } else {
            Self::Connection
        }
    }
}

/// The code of an error.
pub(super) fn code(error: &Error) -> Http2Code {
    error.reason().map_or(Http2Code::InternalError, from_reason)
}

pub(super) fn from_reason(reason: Reason) -> Http2Code {
    Http2Code::from(u32::from(reason))
}

/// What is wrong with a stream.
fn stream_fault(code: Http2Code) -> Http2Fault {
    let text = match code {
        Http2Code::FlowControlError => "The flow control window of the stream was exceeded. (RFC7540 6.9.1)",
        Http2Code::StreamClosed => "A frame was received on a closed stream. (RFC7540 5.1)",
        _ => "The messages of the stream are malformed. (RFC7540 8.1.2.6)",
    };
    Http2Fault { code, text }
}

/// What is wrong with a connection, as h2 has found.
pub(super) fn connection_fault(error: &Error) -> Http2Fault {
    let code = code(error);
    let text = match code {
        Http2Code::FlowControlError => "The flow control window of the connection was exceeded. (RFC7540 6.9.1)",
        Http2Code::FrameSizeError => "A frame is larger than max_frame_size_received. (RFC7540 4.2)",
        Http2Code::CompressionError => "A header block could not be decompressed. (RFC7540 4.3)",
        Http2Code::StreamClosed => "A frame was received on a closed stream. (RFC7540 5.1)",
        Http2Code::EnhanceYourCalm => "The peer sends more than the limits allow.",
        _ => "The peer has broken HTTP/2. (RFC7540 5.4.1)",
    };
    Http2Fault { code, text }
}

//! The errors of HTTP/2.

use std::fmt;

/// An error code (RFC 9113, 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Http2Code {
    NoError,
    ProtocolError,
    InternalError,
    FlowControlError,
    SettingsTimeout,
    StreamClosed,
    FrameSizeError,
    RefusedStream,
    Cancel,
    CompressionError,
    ConnectError,
    EnhanceYourCalm,
    InadequateSecurity,
    Http11Required,
    /// One that the RFC does not have.
    Unknown,
}

/// Those of the RFC, in the order of their numbers, with their names in lower case.
const CODES: [(Http2Code, &str); 14] = [
    (Http2Code::NoError, "no_error"),
    (Http2Code::ProtocolError, "protocol_error"),
    (Http2Code::InternalError, "internal_error"),
    (Http2Code::FlowControlError, "flow_control_error"),
    (Http2Code::SettingsTimeout, "settings_timeout"),
    (Http2Code::StreamClosed, "stream_closed"),
    (Http2Code::FrameSizeError, "frame_size_error"),
    (Http2Code::RefusedStream, "refused_stream"),
    (Http2Code::Cancel, "cancel"),
    (Http2Code::CompressionError, "compression_error"),
    (Http2Code::ConnectError, "connect_error"),
    (Http2Code::EnhanceYourCalm, "enhance_your_calm"),
    (Http2Code::InadequateSecurity, "inadequate_security"),
    (Http2Code::Http11Required, "http_1_1_required"),
];

impl Http2Code {
    /// The name of the code, in lower case; `unknown_error` for one that the RFC does not have.
    #[must_use]
    pub fn name(self) -> &'static str {
        CODES.iter().find(|(code, _)| *code == self).map_or("unknown_error", |(_, name)| name)
    }

    /// Its number; that of `InternalError` for one that the RFC does not have.
    #[must_use]
    pub fn number(self) -> u32 {
        let at = CODES.iter().position(|(code, _)| *code == self);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(2)
    }
}

impl From<u32> for Http2Code {
    fn from(number: u32) -> Self {
        let known = usize::try_from(number).ok().and_then(|number| CODES.get(number));
        known.map_or(Self::Unknown, |(code, _)| *code)
    }
}

impl fmt::Display for Http2Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What has gone wrong, of the connection or of one stream: the code that the peer is told, and a sentence. There are as many
/// sentences as stand in this crate: each may become an atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Http2Fault {
    /// The code.
    pub code: Http2Code,
    /// What happened, in English.
    pub text: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_name_that_the_rfc_gives_it() {
        assert_eq!(Http2Code::from(0).name(), "no_error");
        assert_eq!(Http2Code::from(8), Http2Code::Cancel);
        assert_eq!(Http2Code::from(13).to_string(), "http_1_1_required");
        assert!((0..14).all(|number| Http2Code::from(number).number() == number));
        assert_eq!([14, u32::MAX].map(|number| Http2Code::from(number).name()), ["unknown_error"; 2]);
    }
}

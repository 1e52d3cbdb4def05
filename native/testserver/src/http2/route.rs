//! What a request that is none for a WebSocket asks for.

use crate::mode::{Unknown, optional, required};

/// The most bytes of a body, and of a DATA frame, that a client can ask for.
const MOST: u64 = 1 << 40;
const MOST_OF_A_FRAME: usize = 1 << 24;

/// One way to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This number of bytes, announced.
    Bytes(u64),
    /// `n` DATA frames of `size` bytes.
    Stream { n: u64, size: usize },
    /// The body of the request.
    Echo,
    /// How long the body of the request is.
    Sink,
    /// The header fields of the request.
    Headers,
    /// A body, and trailers.
    Trailers,
    /// This number of informational responses before the answer.
    Inform(u64),
    /// This status.
    Status(u16),
    /// This number of pushes.
    Push(u64),
    /// A reset with this code, after so many bytes of a body, if there is to be one.
    Reset { code: u32, after: Option<u64> },
    /// An answer after these milliseconds, if at all.
    Slow(Option<u64>),
    /// The end of the connection: a graceful one, or one with this code.
    GoAway(Option<u32>),
    /// What the TLS handshake agreed on.
    Tls,
}

impl Route {
    /// Reads the path and the query of a request.
    ///
    /// # Errors
    ///
    /// The client's: an unknown path, or a bad parameter.
    pub(crate) fn parse(path: &str, query: &str) -> Result<Self, Unknown> {
        Ok(match path {
            "/bytes" => Self::Bytes(required(query, "n", 0, MOST)?),
            "/stream" => Self::Stream {
                n: required(query, "n", 0, u64::MAX)?,
                size: required(query, "size", 0, MOST_OF_A_FRAME)?,
            },
            "/echo" => Self::Echo,
            "/sink" => Self::Sink,
            "/headers" => Self::Headers,
            "/trailers" => Self::Trailers,
            "/inform" => Self::Inform(optional(query, "n", 0, 10_000)?.unwrap_or(1)),
            // Below 200 a response is informational, and answers nothing.
            "/status" => Self::Status(required(query, "code", 200, 999)?),
            "/push" => Self::Push(optional(query, "n", 0, 10_000)?.unwrap_or(1)),
            "/reset" => {
                Self::Reset { code: required(query, "code", 0, u32::MAX)?, after: optional(query, "after", 0, MOST)? }
            }
            "/slow" => Self::Slow(optional(query, "ms", 0, 3_600_000)?),
            "/goaway" => Self::GoAway(optional(query, "code", 0, u32::MAX)?),
            "/tls" => Self::Tls,
            _ => return Err(Unknown::Path),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_required_or_have_defaults() {
        assert_eq!(Route::parse("/stream", "size=3&n=2"), Ok(Route::Stream { n: 2, size: 3 }));
        assert_eq!(Route::parse("/reset", "code=8"), Ok(Route::Reset { code: 8, after: None }));
        assert_eq!(Route::parse("/push", ""), Ok(Route::Push(1)));
        assert_eq!(Route::parse("/bytes", ""), Err(Unknown::Parameter("the parameter n is missing".to_owned())));
        assert_eq!(Route::parse("/byte", ""), Err(Unknown::Path));
    }
}

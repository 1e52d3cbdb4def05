//! What a URL asks the server to do.

use std::fmt::Display;
use std::str::FromStr;

/// One way to serve a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Upgrade, then hold this conversation.
    Upgrade(Conversation),
    /// Upgrade with the first subprotocol offered, then echo.
    Subprotocol,
    /// Upgrade with the accept value of another key.
    BadAccept,
    /// Answer with this status and a body.
    Refuse(u16),
    /// Answer with bytes that are not HTTP.
    Garbage,
    /// Tell what the TLS handshake agreed on.
    Tls,
}

/// What to say once the connection speaks WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conversation {
    /// Send every message back.
    Echo,
    /// Send every message back, in fragments of `size` bytes.
    Fragments { size: usize },
    /// Send `n` messages of `size` bytes, when the client has sent `wait` messages.
    Flood { n: u64, size: usize, wait: u64, json: bool },
    /// Count messages.
    Sink,
    /// Send a close frame, with or without a code.
    Close(Option<u16>),
    /// Cut the connection after the first message.
    Drop,
}

/// Why a URL asks for nothing this server can do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// No mode has this path.
    Path,
    /// The parameter's value is missing or is not in its range: a sentence that names it.
    Parameter(String),
}

impl Mode {
    /// Reads the path and the query of a request's URL.
    ///
    /// # Errors
    ///
    /// The client's: an unknown path, or a bad parameter.
    pub(crate) fn parse(path: &str, query: &str) -> Result<Self, Unknown> {
        let conversation = match path {
            "/echo" => Conversation::Echo,
            "/fragments" => Conversation::Fragments { size: required(query, "size", 1, 1 << 30)? },
            "/flood" => Conversation::Flood {
                n: required(query, "n", 0, u64::MAX)?,
                size: required(query, "size", 0, 1 << 30)?,
                wait: optional(query, "wait", 0, u64::MAX)?.unwrap_or(0),
                json: optional(query, "json", 0, 1)? == Some(1),
            },
            "/sink" => Conversation::Sink,
            "/close" => Conversation::Close(optional(query, "code", 0, u16::MAX)?),
            "/drop" => Conversation::Drop,
            "/subprotocol" => return Ok(Self::Subprotocol),
            "/bad-accept" => return Ok(Self::BadAccept),
            "/garbage" => return Ok(Self::Garbage),
            "/tls" => return Ok(Self::Tls),
            // Below 200 a response is informational or an upgrade, and refuses nothing.
            "/refuse" => {
                return Ok(Self::Refuse(optional(query, "status", 200, 599)?.unwrap_or(403)));
            }
            _ => return Err(Unknown::Path),
        };
        Ok(Self::Upgrade(conversation))
    }
}

/// The value of a parameter that must be there.
///
/// # Errors
///
/// The client's: it is missing, or not in its range.
pub(crate) fn required<T>(query: &str, name: &str, low: T, high: T) -> Result<T, Unknown>
where
    T: FromStr + PartialOrd + Display,
{
    let missing = || Unknown::Parameter(format!("the parameter {name} is missing"));
    optional(query, name, low, high)?.ok_or_else(missing)
}

/// The value of a parameter that may be left out.
///
/// # Errors
///
/// The client's: it is not in its range.
pub(crate) fn optional<T>(query: &str, name: &str, low: T, high: T) -> Result<Option<T>, Unknown>
where
    T: FromStr + PartialOrd + Display,
{
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.find(|(key, _)| *key == name) else {
        return Ok(None);
    };
    match value.parse::<T>() {
        Ok(number) if low <= number && number <= high => Ok(Some(number)),
        _ => Err(Unknown::Parameter(format!("the parameter {name} must be a number from {low} to {high}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_any_order() {
        let expected = Ok(Mode::Upgrade(Conversation::Flood { n: 10, size: 4, wait: 0, json: false }));
        assert_eq!(Mode::parse("/flood", "n=10&size=4"), expected);
        assert_eq!(Mode::parse("/flood", "size=4&n=10"), expected);
        let waiting = Ok(Mode::Upgrade(Conversation::Flood { n: 10, size: 4, wait: 1, json: true }));
        assert_eq!(Mode::parse("/flood", "wait=1&json=1&size=4&n=10"), waiting);
    }

    #[test]
    fn optional_parameters_have_defaults() {
        assert_eq!(Mode::parse("/refuse", ""), Ok(Mode::Refuse(403)));
        assert_eq!(Mode::parse("/refuse", "status=503"), Ok(Mode::Refuse(503)));
        assert_eq!(Mode::parse("/close", ""), Ok(Mode::Upgrade(Conversation::Close(None))));
        assert_eq!(Mode::parse("/close", "code=4000"), Ok(Mode::Upgrade(Conversation::Close(Some(4000)))));
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let sentence = |text: &str| Err(Unknown::Parameter(text.to_owned()));
        assert_eq!(Mode::parse("/flood", "n=1"), sentence("the parameter size is missing"));
        assert_eq!(
            Mode::parse("/refuse", "status=101"),
            sentence("the parameter status must be a number from 200 to 599")
        );
        assert_eq!(Mode::parse("/close", "code=many"), sentence("the parameter code must be a number from 0 to 65535"));
    }

    #[test]
    fn an_unknown_path_is_told_apart_from_a_bad_parameter() {
        assert_eq!(Mode::parse("/ech", ""), Err(Unknown::Path));
    }
}

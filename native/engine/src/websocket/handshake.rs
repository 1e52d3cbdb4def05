//! The opening handshake (RFC 6455, 4.1): the headers that ask, and the check of the answer.

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::error::HandshakeError;

/// What was asked, to check the answer against.
#[derive(Debug)]
pub struct Asked {
    accept: String,
    subprotocols: Vec<String>,
}

/// The headers of an upgrade request, in gun's order: the handshake's own, then the user's. A host header of the
/// user's takes the place of ours; a sec-websocket-protocol header of the user's offers what it names.
///
/// # Errors
/// When a subprotocol or the authority can't stand in a header.
pub fn request_headers(
    authority: &str,
    subprotocols: &[String],
    user: Vec<(HeaderName, HeaderValue)>,
) -> Result<(HeaderMap, Asked), InvalidHeaderValue> {
    let key = generate_key();
    let mut headers = HeaderMap::with_capacity(user.len() + 6);
    headers.insert(HOST, HeaderValue::from_str(authority)?);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key)?);
    if !subprotocols.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&subprotocols.join(", "))?);
    }
    for (name, value) in user {
        if name == HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    let subprotocols = tokens(&headers, &SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
    Ok((headers, Asked { accept: derive_accept_key(key.as_bytes()), subprotocols }))
}

/// Checks the headers of a 101 response.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn check_response(asked: &Asked, headers: &HeaderMap) -> Result<(), HandshakeError> {
    if !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::Upgrade);
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(HandshakeError::Connection);
    }
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).ok_or(HandshakeError::MissingAccept)?;
    if accept.as_bytes() != asked.accept.as_bytes() {
        return Err(HandshakeError::WrongAccept);
    }
    if let Some(extension) = headers.get(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(HandshakeError::Extension(lossy(extension)));
    }
    match headers.get(SEC_WEBSOCKET_PROTOCOL) {
        Some(chosen) if !asked.subprotocols.iter().any(|name| name.as_bytes() == chosen.as_bytes()) => {
            Err(HandshakeError::Subprotocol(lossy(chosen)))
        }
        _ => Ok(()),
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The elements of a comma-separated header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(subprotocols: &[&str]) -> (HeaderMap, Asked) {
        let subprotocols: Vec<_> = subprotocols.iter().map(|name| (*name).to_owned()).collect();
        request_headers("localhost:8080", &subprotocols, Vec::new()).unwrap()
    }

    fn answer(asked: &Asked, more: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&asked.accept).unwrap());
        for (name, value) in more {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_request_has_guns_headers_in_guns_order_and_the_users_after_them() {
        let user = vec![(HeaderName::from_static("x-one"), HeaderValue::from_static("1"))];
        let (headers, _) = request_headers("localhost:8080", &["a".into(), "b".into()], user).unwrap();
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(
            names,
            [
                "host",
                "connection",
                "upgrade",
                "sec-websocket-version",
                "sec-websocket-key",
                "sec-websocket-protocol",
                "x-one"
            ]
        );
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "a, b");
    }

    #[test]
    fn a_host_header_of_the_users_replaces_ours() {
        let user = vec![(HOST, HeaderValue::from_static("example.org"))];
        let (headers, _) = request_headers("localhost", &[], user).unwrap();
        assert_eq!(headers.get_all(HOST).iter().collect::<Vec<_>>(), ["example.org"]);
    }

    #[test]
    fn a_right_answer_is_accepted_whatever_its_case() {
        let (_, asked) = asked(&["chat"]);
        assert_eq!(check_response(&asked, &answer(&asked, &[])), Ok(()));
        assert_eq!(check_response(&asked, &answer(&asked, &[("sec-websocket-protocol", "chat")])), Ok(()));
    }

    #[test]
    fn what_a_wrong_answer_breaks_is_named() {
        let (_, asked) = asked(&["chat"]);
        let cases = [
            ("upgrade", "h2c", HandshakeError::Upgrade),
            ("connection", "close", HandshakeError::Connection),
            ("sec-websocket-accept", "AAAA", HandshakeError::WrongAccept),
            ("sec-websocket-extensions", "x-snap", HandshakeError::Extension("x-snap".into())),
            ("sec-websocket-protocol", "other", HandshakeError::Subprotocol("other".into())),
        ];
        for (name, value, error) in cases {
            assert_eq!(check_response(&asked, &answer(&asked, &[(name, value)])), Err(error));
        }
        let mut headers = answer(&asked, &[]);
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        assert_eq!(check_response(&asked, &headers), Err(HandshakeError::MissingAccept));
    }
}

//! The client's half of the opening handshake (RFC 6455, 4.1): the headers that ask, and the check of the answer.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::Chosen;
use crate::error::HandshakeError;
use crate::options::DeflateOptions;
use crate::options::WsOptions;
use crate::websocket::deflate::Agreed;

/// Headers of the user's that an extended CONNECT has no room for (RFC 9113, 8.2.2): the first by its nature, the others since
/// they are for one connection.
static NOT_OVER_HTTP2: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    UPGRADE,
    TRANSFER_ENCODING,
    CONTENT_LENGTH,
    TE,
    SEC_WEBSOCKET_KEY,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What was asked, to check the answer against.
#[derive(Debug)]
pub struct Asked {
    /// The answer to the key; an extended CONNECT has none.
    accept: Option<String>,
    subprotocols: Vec<String>,
    deflate: Option<DeflateOptions>,
}

/// The headers of an upgrade request, in gun's order: the handshake's own, then the user's. A host header of the
/// user's takes the place of ours; a sec-websocket-protocol header of the user's offers what it names.
///
/// # Errors
/// When a header can't be sent: the authority or a subprotocol can't stand in one, or they are too many.
pub fn request_headers(
    authority: &str,
    options: &WsOptions,
    user: Vec<(HeaderName, HeaderValue)>,
) -> Result<(HeaderMap, Asked), http::Error> {
    let key = generate_key();
    let mut headers = HeaderMap::try_with_capacity(user.len().saturating_add(6))?;
    headers.insert(HOST, HeaderValue::from_str(authority)?);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key)?);
    let subprotocols = offer(options, &user, &mut headers)?;
    for (name, value) in user {
        if name == HOST {
            headers.insert(name, value);
        } else if name != SEC_WEBSOCKET_PROTOCOL {
            headers.try_append(name, value)?;
        }
    }
    let accept = Some(derive_accept_key(key.as_bytes()));
    Ok((headers, Asked { accept, subprotocols, deflate: options.compress.clone() }))
}

/// The headers of an extended CONNECT (RFC 8441, 5), which has no key, and nothing that concerns one connection alone: the
/// handshake's own, then the user's. Their host is left out, since `:authority` says it.
///
/// # Errors
/// When a header can't be sent: a subprotocol can't stand in one, or they are too many.
pub fn connect_headers(
    options: &WsOptions,
    user: Vec<(HeaderName, HeaderValue)>,
) -> Result<(HeaderMap, Asked), http::Error> {
    let mut headers = HeaderMap::try_with_capacity(user.len().saturating_add(3))?;
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let subprotocols = offer(options, &user, &mut headers)?;
    let named: Vec<_> =
        user.iter().filter(|(name, _)| name == CONNECTION).flat_map(|(_, value)| elements(value)).collect();
    let of_connection = |name: &HeaderName| named.iter().any(|named| name.as_str().eq_ignore_ascii_case(named));
    for (name, value) in &user {
        if name != SEC_WEBSOCKET_PROTOCOL && !NOT_OVER_HTTP2.contains(name) && !of_connection(name) {
            headers.try_append(name, value.clone())?;
        }
    }
    Ok((headers, Asked { accept: None, subprotocols, deflate: options.compress.clone() }))
}

/// Offers the subprotocols, which it returns, and the extension.
fn offer(
    options: &WsOptions,
    user: &[(HeaderName, HeaderValue)],
    headers: &mut HeaderMap,
) -> Result<Vec<String>, http::Error> {
    let subprotocols = subprotocols(options, user);
    if !subprotocols.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&subprotocols.join(", "))?);
    }
    if let Some(deflate) = &options.compress {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(&deflate.offer())?);
    }
    Ok(subprotocols)
}

/// What is offered: the subprotocols of the options, and those that the user's headers add to them.
fn subprotocols(options: &WsOptions, user: &[(HeaderName, HeaderValue)]) -> Vec<String> {
    let mut names = options.subprotocols.clone();
    let values = user.iter().filter(|(name, _)| name == SEC_WEBSOCKET_PROTOCOL).map(|(_, value)| value);
    for name in values.flat_map(elements) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Checks the headers of a 101 response, or of the 2xx that answers an extended CONNECT.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn check_response(asked: &Asked, headers: &HeaderMap) -> Result<Chosen, HandshakeError> {
    if let Some(accept) = &asked.accept {
        check_switch(accept, headers)?;
    }
    Ok(Chosen { subprotocol: check_subprotocol(asked, headers)?, deflate: check_extensions(asked, headers)? })
}

/// What a 101 response alone says.
fn check_switch(expected: &str, headers: &HeaderMap) -> Result<(), HandshakeError> {
    if !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::Upgrade);
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(HandshakeError::Connection);
    }
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).ok_or(HandshakeError::MissingAccept)?;
    if accept.as_bytes() != expected.as_bytes() {
        return Err(HandshakeError::WrongAccept);
    }
    Ok(())
}

/// One of the subprotocols asked for, or none.
fn check_subprotocol(asked: &Asked, headers: &HeaderMap) -> Result<Option<String>, HandshakeError> {
    let Some(chosen) = headers.get(SEC_WEBSOCKET_PROTOCOL) else {
        return Ok(None);
    };
    let known = asked.subprotocols.iter().find(|name| name.as_bytes() == chosen.as_bytes());
    known.map(|name| Some(name.clone())).ok_or_else(|| HandshakeError::Subprotocol(lossy(chosen)))
}

/// permessage-deflate once, if it was asked for, and nothing else.
fn check_extensions(asked: &Asked, headers: &HeaderMap) -> Result<Option<Agreed>, HandshakeError> {
    let mut agreed = None;
    for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let Ok(text) = value.to_str() else {
            return Err(HandshakeError::Extension(lossy(value)));
        };
        for extension in text.split(',').map(str::trim).filter(|extension| !extension.is_empty()) {
            match &asked.deflate {
                Some(offered) if agreed.is_none() => agreed = Some(offered.accept(extension)?),
                _ => return Err(HandshakeError::Extension(extension.to_owned())),
            }
        }
    }
    Ok(agreed)
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The elements of a comma-separated header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(elements)
}

/// The elements of a comma-separated value.
fn elements(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or("").split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(subprotocols: &[&str]) -> (HeaderMap, Asked) {
        let subprotocols = subprotocols.iter().map(|name| (*name).to_owned()).collect();
        let options = WsOptions { subprotocols, ..WsOptions::default() };
        request_headers("localhost:8080", &options, Vec::new()).unwrap()
    }

    fn answer(asked: &Asked, more: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(asked.accept.as_deref().unwrap()).unwrap());
        for (name, value) in more {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_request_has_guns_headers_in_guns_order_and_the_users_after_them() {
        let user = vec![(HeaderName::from_static("x-one"), HeaderValue::from_static("1"))];
        let options = WsOptions {
            subprotocols: vec!["a".into(), "b".into()],
            compress: Some(DeflateOptions::default()),
            ..WsOptions::default()
        };
        let (headers, _) = request_headers("localhost:8080", &options, user).unwrap();
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
                "sec-websocket-extensions",
                "x-one"
            ]
        );
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "a, b");
    }

    #[test]
    fn subprotocols_of_the_users_headers_are_offered_once_and_in_one_line() {
        let header = |value| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
        let options = WsOptions { subprotocols: vec!["a".into(), "b".into()], ..WsOptions::default() };
        for (options, user, offer) in [
            (&options, vec![header("b, c"), header("d")], "a, b, c, d"),
            (&WsOptions::default(), vec![header("c, c"), header("d")], "c, d"),
        ] {
            let (headers, asked) = request_headers("localhost", options, user).unwrap();
            assert_eq!(headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect::<Vec<_>>(), [offer]);
            let chosen = check_response(&asked, &answer(&asked, &[("sec-websocket-protocol", "c")])).unwrap();
            assert_eq!(chosen.subprotocol.as_deref(), Some("c"));
        }
    }

    #[test]
    fn a_host_header_of_the_users_replaces_ours() {
        let user = vec![(HOST, HeaderValue::from_static("example.org"))];
        let (headers, _) = request_headers("localhost", &WsOptions::default(), user).unwrap();
        assert_eq!(headers.get_all(HOST).iter().collect::<Vec<_>>(), ["example.org"]);
    }

    #[test]
    fn a_right_answer_is_accepted_whatever_its_case() {
        let (_, asked) = asked(&["chat"]);
        assert_eq!(check_response(&asked, &answer(&asked, &[])), Ok(Chosen::default()));
        let chosen = check_response(&asked, &answer(&asked, &[("sec-websocket-protocol", "chat")])).unwrap();
        assert_eq!(chosen.subprotocol.as_deref(), Some("chat"));
    }

    #[test]
    fn permessage_deflate_is_agreed_on_once_and_only_if_offered() {
        let offered = WsOptions { compress: Some(DeflateOptions::default()), ..WsOptions::default() };
        let (_, asked_deflate) = request_headers("localhost", &offered, Vec::new()).unwrap();
        let (_, asked_nothing) = asked(&[]);
        let with = |asked: &Asked, value| {
            check_response(asked, &answer(asked, &[("sec-websocket-extensions", value)]))
                .map(|chosen| chosen.deflate.is_some())
        };
        assert_eq!(with(&asked_deflate, "permessage-deflate"), Ok(true));
        let extension = |name: &str| Err(HandshakeError::Extension(name.into()));
        assert_eq!(with(&asked_nothing, "permessage-deflate"), extension("permessage-deflate"));
        assert_eq!(with(&asked_deflate, "permessage-deflate, x-snap"), extension("x-snap"));
        assert_eq!(with(&asked_deflate, "permessage-deflate, permessage-deflate"), extension("permessage-deflate"));
    }

    #[test]
    fn an_extended_connect_has_no_key_and_nothing_for_one_connection_alone() {
        let user = ["host", "connection", "x-hop", "upgrade", "te", "content-length", "keep-alive", "x-one"];
        let value = |name| if name == "connection" { "upgrade, X-Hop" } else { "1" };
        let user = user.map(|name| (HeaderName::from_static(name), HeaderValue::from_static(value(name)))).to_vec();
        let options = WsOptions {
            subprotocols: vec!["a".into(), "b".into()],
            compress: Some(DeflateOptions::default()),
            ..WsOptions::default()
        };
        let (headers, asked) = connect_headers(&options, user).unwrap();
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions", "x-one"]);
        let answer = |name, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        assert_eq!(check_response(&asked, &HeaderMap::new()), Ok(Chosen::default()));
        let chosen = check_response(&asked, &answer(SEC_WEBSOCKET_PROTOCOL, "b")).unwrap();
        assert_eq!(chosen.subprotocol.as_deref(), Some("b"));
        let chosen = check_response(&asked, &answer(SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")).unwrap();
        assert!(chosen.deflate.is_some());
        let wrong = check_response(&asked, &answer(SEC_WEBSOCKET_PROTOCOL, "c"));
        assert_eq!(wrong, Err(HandshakeError::Subprotocol("c".into())));
        let wrong = check_response(&asked, &answer(SEC_WEBSOCKET_EXTENSIONS, "x-snap"));
        assert_eq!(wrong, Err(HandshakeError::Extension("x-snap".into())));
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

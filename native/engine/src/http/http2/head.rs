//! The heads of requests.

use std::collections::HashSet;

use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Where requests go, unless they say otherwise.
pub(super) struct Origin<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) authority: &'a str,
}

/// The head of a request. A host header of the user's takes the place of the origin's authority.
///
/// # Errors
/// The authority or the target cannot stand in it, or the headers are too many.
pub(super) fn request(
    origin: &Origin<'_>,
    method: Method,
    target: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Result<Request<()>, http::Error> {
    let host = headers.iter().rev().find(|(name, _)| name == HOST).map(|(_, value)| value.as_bytes());
    let authority = Authority::try_from(host.unwrap_or(origin.authority.as_bytes()))?;
    let path = target.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(origin.scheme.clone()).authority(authority).path_and_query(path).build()?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields(headers)?;
    Ok(request)
}

/// The head of a CONNECT (RFC 9113, 8.5), which has neither a scheme nor a path, and names the destination alone.
///
/// # Errors
/// The target is no host with a port, or the headers are too many.
pub(super) fn connect(target: Uri, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Request<()>, http::Error> {
    let authority = target.into_parts().authority.map_or_else(|| Authority::try_from(""), Ok)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from(authority);
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields(headers)?;
    Ok(request)
}

/// The headers, without those that are for one connection alone (RFC 9113, 8.2.2).
fn fields(headers: Vec<(HeaderName, HeaderValue)>) -> Result<HeaderMap, http::Error> {
    let named = named_by_connection(&headers);
    let mut fields = HeaderMap::try_with_capacity(headers.len())?;
    for (name, value) in headers {
        let kept = if name == TE { value == "trailers" } else { !is_of_connection(&name) };
        if kept && !named.contains(name.as_str()) {
            fields.try_append(name, value)?;
        }
    }
    Ok(fields)
}

fn is_of_connection(name: &HeaderName) -> bool {
    [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// The names, in lower case, that the connection header says are for this connection alone. `te` speaks for itself.
fn named_by_connection(headers: &[(HeaderName, HeaderValue)]) -> HashSet<String> {
    let values = headers.iter().filter(|(name, _)| name == CONNECTION).filter_map(|(_, value)| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| name != TE.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin<'_> = Origin { scheme: &Scheme::HTTPS, authority: "localhost" };

    fn headers(fields: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(header).collect()
    }

    fn kept(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let request = request(&ORIGIN, Method::GET, Uri::from_static("/"), headers(fields)).unwrap();
        let text = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        request.headers().iter().map(text).collect()
    }

    #[test]
    fn the_host_of_the_users_is_the_authority_and_no_header() {
        let user = headers(&[("host", "example.org:81"), ("x-one", "1")]);
        let head = request(&ORIGIN, Method::GET, Uri::from_static("/a?b"), user).unwrap();
        assert_eq!(head.uri(), "https://example.org:81/a?b");
        assert_eq!(head.headers().len(), 1);
        let head = request(&ORIGIN, Method::OPTIONS, Uri::from_static("*"), Vec::new()).unwrap();
        assert_eq!((head.uri().authority().unwrap().as_str(), head.uri().path()), ("localhost", "*"));
        assert!(request(&ORIGIN, Method::GET, Uri::from_static("/"), headers(&[("host", "two words")])).is_err());
    }

    #[test]
    fn headers_of_the_connection_are_left_out_and_the_others_keep_their_order() {
        let fields = [
            ("x-one", "1"),
            ("connection", "X-Hop, te"),
            ("x-hop", "2"),
            ("te", "trailers"),
            ("keep-alive", "3"),
            ("proxy-connection", "4"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "5"),
        ];
        let left = [("x-one", "1"), ("te", "trailers"), ("content-length", "5")];
        assert_eq!(kept(&fields), left.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(kept(&[("te", "gzip")]), []);
    }
}

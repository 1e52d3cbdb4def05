//! A request's head, as its bytes are sent.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, Method, Uri};

use super::headers::keeps_alive;
use crate::options::HttpVersion;

/// What a head is made of.
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) headers: HeaderMap,
}

/// How it is spelt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling {
    /// The version that is spoken.
    pub(super) version: HttpVersion,
    /// The server has answered with HTTP/1.0: it keeps a connection alive where it is asked to.
    pub(super) asks_to_keep: bool,
    /// `Content-Type` rather than `content-type`.
    pub(super) title_case: bool,
}

impl RequestHead {
    /// Appends its bytes.
    pub(super) fn encode(&self, spelling: Spelling, out: &mut Vec<u8>) {
        let version = match spelling.version {
            HttpVersion::Http10 => " HTTP/1.0\r\n",
            HttpVersion::Http11 => " HTTP/1.1\r\n",
        };
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        push_target(&self.target, out);
        out.extend_from_slice(version.as_bytes());
        for (name, value) in &self.headers {
            push_field(name, value.as_bytes(), spelling.title_case, out);
        }
        if spelling.asks_to_keep && !keeps_alive(&self.headers) {
            push_field(&CONNECTION, b"keep-alive", spelling.title_case, out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Most targets are a path, which needs no formatting.
fn push_target(target: &Uri, out: &mut Vec<u8>) {
    match target.path_and_query() {
        Some(path) if target.scheme().is_none() && target.authority().is_none() => {
            out.extend_from_slice(path.as_str().as_bytes());
        }
        _ => out.extend_from_slice(target.to_string().as_bytes()),
    }
}

fn push_field(name: &HeaderName, value: &[u8], title_case: bool, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    if title_case {
        let mut begins_word = true;
        for byte in out.get_mut(begin..).unwrap_or_default() {
            if begins_word {
                byte.make_ascii_uppercase();
            }
            begins_word = *byte == b'-';
        }
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;

    fn encoded(target: &str, spelling: Spelling) -> String {
        let headers = HeaderMap::from_iter([
            (HOST, HeaderValue::from_static("localhost")),
            (HeaderName::from_static("x-a-long-name"), HeaderValue::from_static("1")),
        ]);
        let head = RequestHead { method: Method::GET, target: target.parse().unwrap(), headers };
        let mut out = Vec::new();
        head.encode(spelling, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_is_its_line_and_its_headers_in_the_spelling_that_is_wanted() {
        let plain = Spelling { version: HttpVersion::Http11, asks_to_keep: false, title_case: false };
        assert_eq!(encoded("/a?b", plain), "GET /a?b HTTP/1.1\r\nhost: localhost\r\nx-a-long-name: 1\r\n\r\n");
        assert!(encoded("*", plain).starts_with("GET * HTTP/1.1\r\n"));
        assert!(encoded("localhost:80", plain).starts_with("GET localhost:80 HTTP/1.1\r\n"));
        assert!(encoded("http://a/b", plain).starts_with("GET http://a/b HTTP/1.1\r\n"));
        let titled = Spelling { title_case: true, asks_to_keep: true, version: HttpVersion::Http10 };
        let expected = "GET / HTTP/1.0\r\nHost: localhost\r\nX-A-Long-Name: 1\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(encoded("/", titled), expected);
    }
}

//! The headers of requests and responses.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::error::DownReason;

/// The headers of a request, the host first; one of the user's takes the place of ours.
pub(super) fn request_headers(
    authority: &str,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Result<HeaderMap, http::Error> {
    let mut map = HeaderMap::try_with_capacity(headers.len().saturating_add(1))?;
    map.insert(HOST, HeaderValue::from_str(authority)?);
    for (name, value) in headers {
        if name == HOST {
            map.insert(name, value);
        } else {
            map.try_append(name, value)?;
        }
    }
    Ok(map)
}

/// Their bytes, as they were received: a colon, a space and a line end with each.
pub(super) fn headers_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Whether the connection header says `close`.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "close")
}

/// The protocols that a request asks to switch to.
pub(super) fn offered(headers: &HeaderMap) -> Option<Box<HeaderValue>> {
    let upgrade = headers.get(UPGRADE)?;
    has_token(headers, &CONNECTION, "upgrade").then(|| Box::new(upgrade.clone()))
}

/// Whether a response switches to one of the protocols that were offered.
pub(super) fn switches(offered: &HeaderValue, headers: &HeaderMap) -> bool {
    let Some(chosen) = headers.get(UPGRADE).and_then(|value| value.to_str().ok()) else { return false };
    let mut offered = offered.to_str().unwrap_or_default().split(',').map(str::trim);
    let chosen = chosen.trim();
    !chosen.is_empty() && offered.any(|offer| offer.eq_ignore_ascii_case(chosen))
}

/// Whether the connection header says `keep-alive`.
pub(super) fn keeps_alive(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "keep-alive")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// What the end will be, if the connection can't be used for another request after this response.
pub(super) fn last_after(version: Version, headers: &HeaderMap, sized: bool) -> Option<DownReason> {
    let coded = headers.contains_key(TRANSFER_ENCODING);
    if !sized && !has_token(headers, &TRANSFER_ENCODING, "chunked") {
        // The body ends where the peer closes.
        return Some(DownReason::Closed);
    }
    let persists = !closes(headers) && (version != Version::HTTP_10 || keeps_alive(headers));
    // Where two headers disagree on the end of the body, a proxy between us may have believed the other one
    // (RFC 9112, 6.3).
    let disagree = coded && headers.contains_key(CONTENT_LENGTH);
    (!persists || disagree).then_some(DownReason::Normal)
}

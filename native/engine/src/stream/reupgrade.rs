//! An upgrade that is repeated from one connection to the next: what is asked, what waits for it, and which refusals hold
//! for the time being only.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::account::Charge;
use crate::command::Outgoing;
use crate::error::{BadState, Refusal};
use crate::event::{Event, StreamError};
use crate::options::{ReupgradeOptions, WsOptions};
use crate::sink::Sink;
use crate::status::Status;

/// What makes up an upgrade, but for its stream and who asks for it.
#[derive(Debug, Clone)]
pub(crate) struct UpgradeRequest {
    pub(crate) target: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) options: Box<WsOptions>,
}

/// Frames that wait, with what they count for.
pub(crate) type Held<K> = (Box<Outgoing<K>>, Charge);

/// An upgrade to repeat on the next connection.
pub(crate) struct Repeated<K: Sink> {
    pub(crate) stream: K::Stream,
    pub(crate) reupgrade: Box<Reupgrade<K>>,
    /// Whether it was a WebSocket when its connection ended.
    pub(crate) was_open: bool,
}

impl<K: Sink> Repeated<K> {
    /// It is to be repeated: the frames that wait for it have an account of their own from now on.
    pub(crate) fn await_next(&self, status: &Status<K>) {
        if let Some(bound) = self.reupgrade.bound() {
            status.open_ws(self.reupgrade.stream.clone(), false, Some(bound));
        }
    }

    /// It is not repeated any more, for this reason: what has waited for it is refused.
    pub(crate) fn give_up(mut self, error: BadState, sink: &mut K, status: &Status<K>) {
        sink.event(Event::StreamError { stream: &self.stream, error: StreamError::BadState(error) });
        self.reupgrade.give_up(sink, status);
    }
}

/// An upgrade that is repeated on each connection.
pub(crate) struct Reupgrade<K: Sink> {
    stream: K::StreamId,
    pub(crate) request: UpgradeRequest,
    held: Vec<Held<K>>,
}

impl<K: Sink> Reupgrade<K> {
    /// Repeats the upgrade of this stream, with nothing that waits for it yet.
    pub(crate) fn new(stream: K::StreamId, request: UpgradeRequest) -> Self {
        Self { stream, request, held: Vec::new() }
    }

    /// How many bytes of frames may wait for it; `None` where none may.
    pub(crate) fn bound(&self) -> Option<usize> {
        self.request.options.reupgrade.as_ref().map(|reupgrade| reupgrade.queue).filter(|queue| *queue > 0)
    }

    /// Keeps frames for the WebSocket that is to come, or refuses them where none may wait.
    pub(crate) fn hold(&mut self, outgoing: Box<Outgoing<K>>, charge: Charge, sink: &mut K) {
        if self.bound().is_some() {
            self.held.push((outgoing, charge));
        } else {
            drop(charge);
            outgoing.refuse(sink, BadState::Reconnecting);
        }
    }

    /// The frames that wait: the WebSocket that has opened sends them, or they are refused.
    pub(crate) fn take_held(&mut self) -> Vec<Held<K>> {
        std::mem::take(&mut self.held)
    }

    /// It is not repeated any more: what has waited for it is refused.
    pub(crate) fn give_up(&mut self, sink: &mut K, status: &Status<K>) {
        for (outgoing, charge) in self.abandon(status) {
            drop(charge);
            outgoing.refuse(sink, BadState::NotWebsocket);
        }
    }

    /// It is not repeated any more: this has waited for it.
    pub(crate) fn abandon(&mut self, status: &Status<K>) -> Vec<Held<K>> {
        status.close_ws(&self.stream);
        self.take_held()
    }

    /// The refusal, if it is one after which the upgrade is tried again.
    pub(crate) fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
        to_retry(self.request.options.reupgrade.as_ref()?, status, headers)
    }
}

/// The refusal, if it is one after which the upgrade is tried again.
fn to_retry(options: &ReupgradeOptions, status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
    let status = status.as_u16();
    let retry_after = || retry_after(headers, SystemTime::now()).min(options.max_retry_after);
    options.retry_statuses.contains(&status).then(|| Refusal { status, retry_after: retry_after() })
}

/// What the Retry-After header asks for, in seconds or as a date: nothing if no header can be understood (RFC 9110,
/// 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Duration {
    let value = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    let until_date = || httpdate::parse_http_date(value).ok().and_then(|date| date.duration_since(now).ok());
    seconds.or_else(until_date).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ReupgradeOptions {
        ReupgradeOptions { queue: 0, retry_statuses: vec![502, 503], max_retry_after: Duration::from_secs(60) }
    }

    fn pause(value: &'static str) -> u64 {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        to_retry(&options(), StatusCode::BAD_GATEWAY, &headers).unwrap().retry_after.as_secs()
    }

    #[test]
    fn a_status_of_the_list_is_tried_again_when_the_server_says_and_within_the_limit() {
        let no_headers = HeaderMap::new();
        let refusal = Refusal { status: 503, retry_after: Duration::ZERO };
        assert_eq!(to_retry(&options(), StatusCode::SERVICE_UNAVAILABLE, &no_headers), Some(refusal));
        assert_eq!(to_retry(&options(), StatusCode::NOT_FOUND, &no_headers), None);
        assert_eq!([pause("7"), pause(" 7 "), pause("600"), pause("soon"), pause("-7")], [7, 7, 60, 0, 0]);
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), 0, "the past");
        assert_eq!(pause("Fri, 31 Dec 9999 23:59:59 GMT"), 60);
    }

    #[test]
    fn a_date_counts_from_now() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap())]);
        assert_eq!(retry_after(&headers, date - Duration::from_secs(30)), Duration::from_secs(30));
    }
}

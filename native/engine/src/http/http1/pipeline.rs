//! Which requests are under way: they are written as they come, while the responses to earlier ones are awaited.
//!
//! The wire is one: a request begins when the body of the one before it is staged whole. An upgrade, and CONNECT, have the
//! connection for themselves, as what follows the answer is HTTP no more.

use std::sync::Arc;
use std::task::{self, Poll};

use bytes::Bytes;
use http::Method;
use http::header::HOST;

use super::Exchanges;
use super::exchange::{Asking, Exchange, Stage};
use super::headers::{closes, offered, request_headers};
use super::reader::Asked;
use super::request::{RequestHead, Spelling};
use crate::account::Charge;
use crate::error::{BadState, DownReason, Wait};
use crate::event::step::{RequestHead as ObservedHead, Step};
use crate::event::{Event, StreamError};
use crate::http::deadline::{Deadline, alarm};
use crate::http::observed::observe_request;
use crate::options::{HttpVersion, Steps};
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::reupgrade::UpgradeRequest;
use crate::stream::table::{Ask, Waiting};
use crate::stream::upload::{Part, Upload, UploadBody};
use crate::websocket::handshake;

/// The end of a body in chunks (RFC 9112, 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A body that is being sent as it comes.
pub(super) struct Sending {
    upload: Arc<Upload>,
    chunked: bool,
}

/// A request that is to be sent.
struct Prepared {
    head: Result<RequestHead, http::Error>,
    body: UploadBody,
    upgrade: Option<Asking>,
}

impl<K: Sink> Exchanges<K> {
    /// Whether the next request may begin.
    pub(super) fn may_start(&self) -> bool {
        let Some(next) = self.streams.next_waiting() else { return false };
        if self.last.is_some() || self.sending.is_some() || !self.writer.has_room() {
            return false;
        }
        let under_way = self.streams.active_len();
        let Some((_, newest)) = self.streams.newest() else { return true };
        let limit = if self.speaks_http10() { Some(1) } else { self.options.http.pipeline };
        let below = limit.is_none_or(|limit| under_way < usize::try_from(limit).unwrap_or(usize::MAX));
        below
            && !is_alone(&next.ask)
            && newest.upgrade.is_none()
            && newest.offers.is_none()
            && newest.asked != Asked::Connect
    }

    fn speaks_http10(&self) -> bool {
        self.http10 || self.options.http.version == HttpVersion::Http10
    }

    /// Begins the next request.
    pub(super) fn start_next(&mut self, context: &mut Context<'_, K>) {
        let Some((place, Waiting { entry, ask, charge })) = self.streams.take_next() else { return };
        let options = Arc::clone(&self.options);
        let Some(Prepared { head, body, upgrade }) = self.prepare(ask, &options.authority) else { return };
        let unsendable = match (&head, &body) {
            (Err(_), _) => Some(BadState::InvalidHeader),
            (Ok(_), UploadBody::Streamed(upload)) if self.speaks_http10() && upload.is_chunked() => {
                Some(BadState::ChunkedOverHttp10)
            }
            _ => None,
        };
        let (Ok(head), None) = (head, unsendable) else {
            drop(charge);
            let error = StreamError::BadState(unsendable.unwrap_or(BadState::InvalidHeader));
            return context.sink.event(Event::StreamError { stream: &entry.name, error });
        };
        let asked = match head.method {
            Method::HEAD => Asked::Head,
            Method::CONNECT => Asked::Connect,
            _ => Asked::Other,
        };
        let start = self.writer.staged();
        let spelling = Spelling {
            version: if self.speaks_http10() { HttpVersion::Http10 } else { HttpVersion::Http11 },
            asks_to_keep: self.http10 && options.http.version == HttpVersion::Http11,
            title_case: options.http.title_case_headers,
        };
        self.writer.stage(|out| head.encode(spelling, out));
        observe_request(&entry.name, &body, upgrade.is_some(), context, |function| {
            let authority = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let RequestHead { method, target, headers } = &head;
            ObservedHead { function, method, authority, target, headers }
        });
        let destination =
            if let UploadBody::Tunnel(destination) = &body { Some(Arc::clone(destination)) } else { None };
        let end = self.begin_body(body).then(|| self.writer.staged());
        if end.is_some() {
            context.observe(Steps::REQUEST_END, || Step::RequestEnd { stream: &entry.name });
        }
        let (asked_at, stage, part, told) = (self.reader.received(), Stage::Head, None, false);
        let offers = offered(&head.headers).filter(|_| upgrade.is_none());
        let exchange =
            Exchange { asked, upgrade, offers, destination, start, end, asked_at, charge, stage, part, told };
        let is_oldest = self.streams.active_len() == 0;
        self.streams.activate(place, entry, exchange);
        if is_oldest {
            self.begin_oldest();
        }
        if closes(&head.headers) {
            self.last.get_or_insert(DownReason::Normal);
            if !std::mem::replace(&mut self.ending, true) {
                self.refuse_waiting(&StreamError::ConnectionCloses, context);
            }
        }
    }

    /// Stages the body, or begins with that: whether it is whole.
    fn begin_body(&mut self, body: UploadBody) -> bool {
        match body {
            UploadBody::Empty | UploadBody::Tunnel(_) => true,
            UploadBody::Whole(bytes, charge) => {
                self.writer.stage_body(bytes, charge);
                true
            }
            UploadBody::Streamed(upload) => {
                let chunked = upload.is_chunked();
                self.sending = Some(Sending { upload, chunked });
                false
            }
        }
    }

    /// Stages as much of the body under way as there is room for.
    pub(super) fn stage_body(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) {
        while let Some(Sending { upload, chunked }) = &self.sending {
            if !self.writer.has_room() {
                return;
            }
            let Poll::Ready(part) = upload.poll_part(cx) else { return };
            match (part, *chunked) {
                (Some(Part { data, ticket, .. }), chunked) => {
                    let is_last = upload.is_taken();
                    if chunked && !data.is_empty() {
                        self.writer.stage(|out| out.extend_from_slice(format!("{:X}\r\n", data.len()).as_bytes()));
                        self.writer.stage_body(data, Charge::default());
                        self.writer.stage_body(Bytes::from_static(b"\r\n"), Charge::default());
                    } else {
                        self.writer.stage_body(data, Charge::default());
                    }
                    if let Some(ticket) = ticket {
                        let end = if chunked && is_last { LAST_CHUNK.len() as u64 } else { 0 };
                        self.receipts.stage(self.writer.staged() + end, ticket);
                    }
                }
                (None, chunked) => {
                    if chunked {
                        self.writer.stage_body(Bytes::from_static(LAST_CHUNK), Charge::default());
                    }
                    self.sending = None;
                    // An answer may have come before the end of it.
                    if let Some((entry, exchange)) = self.streams.newest_mut() {
                        exchange.end.get_or_insert(self.writer.staged());
                        context.observe(Steps::REQUEST_END, || Step::RequestEnd { stream: &entry.name });
                    }
                }
            }
        }
    }

    /// The oldest request under way is another one: the next response is its own, and its time begins.
    pub(super) fn begin_oldest(&mut self) {
        let Some((entry, exchange)) = self.streams.active_mut() else {
            self.deadline = None;
            self.keepalive = self.options.http.keepalive.map(alarm);
            return;
        };
        exchange.charge = Charge::default();
        self.reader.expect(exchange.asked);
        let wait = if exchange.upgrade.is_some() { Wait::Upgrade } else { Wait::Response };
        self.deadline = Deadline::new(wait, entry.timeouts.answer);
        if entry.cancelled && entry.timeouts.whole.is_some() {
            // Its answer, which nobody wants any more, holds up those behind it no longer than that.
            self.streams.renew_oldest();
        }
        self.awaited_from = tokio::time::Instant::now();
    }

    /// The peer has taken something: it is not expected yet to answer a request of which that was a part.
    pub(super) fn wrote(&mut self, before: u64) {
        if let Some((_, exchange)) = self.streams.active()
            && exchange.end.is_none_or(|end| before < end)
        {
            self.awaited_from = self.writer.wrote_at();
        }
    }

    /// What is to be sent; nothing, for the repetition of an upgrade that is repeated no more.
    fn prepare(&self, ask: Ask<K>, authority: &str) -> Option<Prepared> {
        let (request, repeats) = match ask {
            Ask::Request { method, target, headers, body, .. } => {
                // A proxy may have no other host than its own: the target names the destination's (RFC 9110, 9.3.6).
                let target_authority = target.authority().filter(|_| method == Method::CONNECT);
                let authority = target_authority.map_or(authority, |authority| authority.as_str());
                let head = request_headers(authority, headers);
                let head = head.map(|headers| RequestHead { method, target, headers });
                return Some(Prepared { head, body, upgrade: None });
            }
            Ask::Upgrade { request, .. } => {
                let repeats = request.options.reupgrade.is_some().then(|| request.clone());
                (request, repeats)
            }
            Ask::Reupgrade => (self.reupgrade.as_ref()?.request.clone(), None),
        };
        let UpgradeRequest { target, headers, options } = request;
        let mut upgrade = None;
        let head = handshake::request_headers(authority, &options, headers).map(|(headers, asked)| {
            upgrade = Some(Asking { asked, options, request: repeats });
            RequestHead { method: Method::GET, target, headers }
        });
        Some(Prepared { head, body: UploadBody::Empty, upgrade })
    }
}

/// Whether nothing else may be under way with it.
fn is_alone<K: Sink>(ask: &Ask<K>) -> bool {
    match ask {
        Ask::Request { method, .. } => *method == Method::CONNECT,
        Ask::Upgrade { .. } | Ask::Reupgrade => true,
    }
}

//! What the client asks.

use std::task::{Context as Cx, Poll};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use hyper::body::{Body, Incoming};

use super::Served;
use super::exchange::{Asked, Exchange, Received, Stage};
use super::responses::has_connection_option;
use crate::account::Charge;
use crate::error::{ConnectionError, DownReason};
use crate::event::{Event, RequestBody, ServedRequest, StreamError};
use crate::http::deadline::alarm;
use crate::options::Flow;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::credit::Credit;

impl<K: Sink> Served<K> {
    /// Takes the request that has come.
    pub(super) fn request(&mut self, request: Request<Incoming>, context: &mut Context<'_, K>) {
        self.deadline = None;
        self.requests = self.requests.saturating_add(1);
        let (head, body) = request.into_parts();
        self.is_http10 = head.version == Version::HTTP_10;
        let is_last = self.options.max_keepalive.is_some_and(|most| self.requests >= most);
        let size = match body.size_hint().exact() {
            _ if body.is_end_stream() => RequestBody::None,
            Some(length) => RequestBody::Length(length),
            None => RequestBody::Chunked,
        };
        let refusal = refusal(&head);
        let stream = refusal.is_none().then(|| {
            let Parts { method, uri: target, version, headers, .. } = &head;
            context.sink.request(ServedRequest { method, target, version: *version, headers, body: size })
        });
        self.control.spend_event();
        let stream = stream.flatten();
        let refused = stream.is_none();
        self.exchange = Some(Exchange {
            stream,
            body: match size {
                RequestBody::None => Asked::Done,
                _ => Asked::Reported(body, Credit::new(Flow::Messages(0), false)),
            },
            expects: expects(&head.headers),
            is_head: head.method == Method::HEAD,
            closes: is_last || self.shutdown.is_asked() || is_last_of_client(&head),
            stage: Stage::Awaited,
            charge: Charge::default(),
        });
        if refused {
            self.answer(refusal.unwrap_or(StatusCode::SERVICE_UNAVAILABLE));
        }
    }

    /// The next part of the request's body that may be taken. While the client owes one, its time runs.
    pub(super) fn poll_body(&mut self, cx: &mut Cx<'_>) -> Poll<Received> {
        let Some(exchange) = &mut self.exchange else { return Poll::Pending };
        if !exchange.awaits_body() {
            self.idle = None;
            return Poll::Pending;
        }
        if let Poll::Ready(received) = exchange.poll_body(cx) {
            self.idle = None;
            return Poll::Ready(received);
        }
        if self.idle.is_none() {
            self.idle = self.options.idle_timeout.map(alarm);
        }
        Poll::Pending
    }

    /// Takes what has come of the request's body.
    pub(super) fn received(&mut self, received: Received, context: &mut Context<'_, K>) {
        let Some(exchange) = &mut self.exchange else { return };
        match received {
            Received::Data { data, fin } => {
                self.control.spend_event();
                if let Asked::Reported(_, credit) = &mut exchange.body {
                    credit.spend(data.len());
                }
                if let Some(stream) = &exchange.stream {
                    context.sink.event(Event::Data { stream, fin, data });
                }
            }
            Received::Skipped => self.unread |= exchange.closes,
            Received::Failed => {
                exchange.body = Asked::Done;
                self.body_failed(context);
            }
        }
    }

    /// The request's body is cut, or is no body.
    fn body_failed(&mut self, context: &mut Context<'_, K>) {
        let Some(fault) = self.control.fault() else { return self.cut(DownReason::Closed) };
        self.unread = true;
        let Some(exchange) = &mut self.exchange else { return };
        if !exchange.is_awaited() {
            return self.cut(ConnectionError::Http(fault.to_string()).into());
        }
        if let Some(stream) = exchange.stream.take() {
            let reason = ConnectionError::Http(fault.to_string()).into();
            context.sink.event(Event::StreamError { stream: &stream, error: StreamError::Closed(&reason) });
        }
        self.answer(fault.status(self.options.head_too_large));
    }
}

/// The status of the answer to a request that nobody is asked to serve.
fn refusal(head: &Parts) -> Option<StatusCode> {
    // The one would make the connection a tunnel, the other is none for a server that is no proxy.
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    // RFC 9112, 3.2.
    let hosts = head.headers.get_all(HOST).iter().count();
    let is_enough = hosts == 1 || hosts == 0 && head.version == Version::HTTP_10;
    (!is_enough).then_some(StatusCode::BAD_REQUEST)
}

/// Whether the client makes no request after this one (RFC 9112, 9.3).
fn is_last_of_client(head: &Parts) -> bool {
    match head.version {
        Version::HTTP_10 => !has_connection_option(&head.headers, "keep-alive"),
        _ => has_connection_option(&head.headers, "close"),
    }
}

/// Whether the client awaits a 100 before it sends the body.
fn expects(headers: &HeaderMap) -> bool {
    headers.get(http::header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

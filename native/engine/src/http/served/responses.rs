//! What is asked of a served connection: responses above all.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context as Cx, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::ext::ReasonPhrase;
use tungstenite::handshake::derive_accept_key;

use super::Served;
use super::body::{Content, FileBytes, ResponseBytes, poll_job};
use super::exchange::{Asked, Exchange, Stage};
use crate::account::Charge;
use crate::command::{AcceptUpgrade, Inform, RequestData, Respond, ResponseBody, StreamCommand};
use crate::error::{BadState, DownReason};
use crate::event::{Event, StreamError, StreamInfo};
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::upload::Upload;

impl<K: Sink> Served<K> {
    pub(super) fn do_command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        if self.exchange.as_ref().is_some_and(Exchange::is_switching) {
            // It is for the WebSocket whose 101 is not written yet.
            return self.later.push((command, charge));
        }
        match command {
            StreamCommand::Respond(respond) if self.awaits(&respond.stream) => self.respond(*respond, charge, context),
            StreamCommand::Inform(inform) if self.awaits(&inform.stream) => self.inform(*inform, context),
            StreamCommand::Accept(accept) if self.awaits(&accept.stream) => self.accept(accept),
            StreamCommand::Data(data) => self.data(*data, charge, context),
            StreamCommand::ResponseTrailers(trailers) => self.trailers(&trailers.0, trailers.1, context),
            StreamCommand::UpdateFlow(Some(stream), parts) => self.allow(&stream, parts),
            // A response that is given to its end leaves.
            StreamCommand::CloseWith(_) if self.exchange.as_ref().is_some_and(Exchange::is_answered) => {
                self.begin_shutdown();
            }
            StreamCommand::CloseWith(_) => self.cut(DownReason::Normal),
            StreamCommand::Cancel(cancel) if self.find(&cancel.0).is_some() => self.cut(DownReason::Normal),
            StreamCommand::Info(asked) => self.info(&asked.0, &asked.1, context),
            StreamCommand::Send(outgoing) => {
                drop(charge);
                outgoing.refuse(context.sink, BadState::NotWebsocket);
            }
            StreamCommand::Request(request) => refuse(&request.stream, charge, context),
            StreamCommand::Upgrade(upgrade) => refuse(&upgrade.stream, charge, context),
            command => {
                drop(charge);
                if let Some((stream, caller)) = command.answered() {
                    context.sink.event(Event::NoStream { stream, caller });
                }
            }
        }
    }

    fn find(&mut self, stream: &K::StreamId) -> Option<&mut Exchange<K>> {
        self.exchange.as_mut().filter(|exchange| exchange.is(stream))
    }

    /// Whether the request of this stream awaits its response.
    fn awaits(&mut self, stream: &K::StreamId) -> bool {
        self.find(stream).is_some_and(|exchange| exchange.is_awaited())
    }

    /// So many more parts of the request's body may be reported.
    fn allow(&mut self, stream: &K::StreamId, parts: i64) {
        if let Some(exchange) = self.find(stream)
            && let Asked::Reported(_, credit) = &mut exchange.body
        {
            exchange.expects = false;
            credit.update(parts);
        }
    }

    fn info(&mut self, stream: &K::StreamId, receipt: &K::Receipt, context: &mut Context<'_, K>) {
        let name = self.find(stream).and_then(|exchange| exchange.stream.as_ref());
        let info = name.map_or(StreamInfo::Unknown, |stream| StreamInfo::Stream { stream, running: true });
        context.sink.event(Event::StreamInfo { receipt, info });
    }

    fn inform(&mut self, inform: Inform<K>, context: &mut Context<'_, K>) {
        let Inform { stream, status, headers, .. } = inform;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return self.report(&stream, BadState::InvalidHeader, context);
        }
        // HTTP/1.0 knows none (RFC 9110, 15.2).
        if self.is_http10 {
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
        for (name, value) in &headers {
            bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        self.control.inform(&bytes);
    }

    fn report(&mut self, stream: &K::StreamId, error: BadState, context: &mut Context<'_, K>) {
        if let Some(Exchange { stream: Some(stream), .. }) = self.find(stream) {
            context.sink.event(Event::StreamError { stream, error: StreamError::BadState(error) });
        }
    }

    fn respond(&mut self, respond: Respond<K>, mut charge: Charge, context: &mut Context<'_, K>) {
        let Respond { stream, status, reason, headers, body, .. } = respond;
        if status.is_informational() {
            drop(charge);
            return self.report(&stream, BadState::InvalidHeader, context);
        }
        let Some(exchange) = &mut self.exchange else { return };
        let has_body = !exchange.is_head && !is_bodiless(status);
        let mut head = Response::new(());
        *head.status_mut() = status;
        if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
            head.extensions_mut().insert(reason);
        }
        *head.headers_mut() = response_headers(headers, status, exchange.is_head);
        let (content, upload) = match body {
            ResponseBody::Whole(bytes) if has_body => {
                exchange.charge = charge.split(bytes.len());
                (Content::Whole(bytes), None)
            }
            ResponseBody::Whole(bytes) if exchange.is_head && !is_bodiless(status) => {
                // Who knows the length without having the bytes has given it in a header.
                if !bytes.is_empty() || !head.headers().contains_key(CONTENT_LENGTH) {
                    head.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
                }
                (Content::Empty, None)
            }
            ResponseBody::File { path, offset, length } if has_body && length > 0 => {
                exchange.stage = Stage::Opening(FileBytes::open(path, offset, length), Box::new(head));
                return;
            }
            ResponseBody::Streamed(length) => {
                // Without a length, the end of the connection is the end of the body.
                exchange.closes |= self.is_http10 && length.is_none();
                let upload = Arc::new(Upload::new(length));
                if let Some(length) = length.filter(|_| !is_bodiless(status)) {
                    head.headers_mut().insert(CONTENT_LENGTH, length.into());
                }
                let content = if has_body { Content::Streamed(Arc::clone(&upload)) } else { Content::Empty };
                if !has_body {
                    upload.abandon();
                }
                (content, Some(upload))
            }
            ResponseBody::File { length, .. } if exchange.is_head && !is_bodiless(status) => {
                head.headers_mut().insert(CONTENT_LENGTH, length.into());
                (Content::Empty, None)
            }
            ResponseBody::Whole(_) | ResponseBody::File { .. } => (Content::Empty, None),
        };
        drop(charge);
        self.send(head, content, upload);
    }

    /// Gives hyper a response.
    fn send(&mut self, head: Response<()>, content: Content, upload: Option<Arc<Upload>>) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.stage = Stage::Sending(upload);
        let mut response = head.map(|()| ResponseBytes::new(content, self.desk.answered()));
        if has_connection_option(response.headers(), "close") {
            exchange.closes = true;
        } else if exchange.closes {
            response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
        }
        self.desk.respond(response);
    }

    /// Answers the request in the place of whoever would serve it; then the connection ends.
    pub(super) fn answer(&mut self, status: StatusCode) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.closes = true;
        let mut head = Response::new(());
        *head.status_mut() = status;
        self.send(head, Content::Empty, None);
    }

    /// Waits until the file is open that the response's body stands in.
    pub(super) fn poll_opening(&mut self, cx: &mut Cx<'_>) -> Poll<()> {
        let Some(Exchange { stage: Stage::Opening(job, head), .. }) = &mut self.exchange else { return Poll::Pending };
        let opened = ready!(poll_job(job, cx));
        let head = std::mem::take(&mut **head);
        match opened {
            Ok(file) => self.send(head, Content::File(file), None),
            Err(_) => self.answer(StatusCode::INTERNAL_SERVER_ERROR),
        }
        Poll::Ready(())
    }

    fn accept(&mut self, accept: Box<AcceptUpgrade<K>>) {
        let Some(exchange) = &mut self.exchange else { return };
        // What follows the head of the request must be frames.
        if !matches!(exchange.body, Asked::Done) || self.is_http10 {
            return self.answer(StatusCode::BAD_REQUEST);
        }
        let mut response = Response::new(ResponseBytes::new(Content::Empty, Arc::new(AtomicBool::new(false))));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // It consists of letters and digits.
        if let Ok(value) = HeaderValue::try_from(derive_accept_key(accept.key.as_bytes())) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, value);
        }
        let ours = [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT, CONTENT_LENGTH, TRANSFER_ENCODING];
        for (name, value) in accept.headers.iter().filter(|(name, _)| !ours.contains(name)) {
            headers.append(name, value.clone());
        }
        exchange.stage = Stage::Switching(accept);
        self.desk.respond(response);
    }

    fn data(&mut self, data: RequestData<K>, charge: Charge, context: &mut Context<'_, K>) {
        let RequestData { stream, caller, data, fin, .. } = data;
        let is_empty = data.is_empty();
        let result = match self.find(&stream).map(|exchange| &exchange.stage) {
            Some(Stage::Sending(Some(upload))) => upload.push(data, charge, fin),
            Some(Stage::Sending(None) | Stage::Opening(..)) => Err(BadState::BodyComplete),
            _ if is_empty => return,
            _ => {
                drop(charge);
                return context.sink.event(Event::NoStream { stream: &stream, caller: &caller });
            }
        };
        self.pushed(&stream, result, context);
    }

    fn trailers(
        &mut self,
        stream: &K::StreamId,
        trailers: Vec<(HeaderName, HeaderValue)>,
        context: &mut Context<'_, K>,
    ) {
        if let Some(Exchange { stage: Stage::Sending(Some(upload)), .. }) = self.find(stream) {
            let result = upload.end_with(HeaderMap::from_iter(trailers));
            self.pushed(stream, result, context);
        }
    }

    /// A body that ends too early cannot be ended otherwise than with the connection.
    fn pushed(&mut self, stream: &K::StreamId, result: Result<(), BadState>, context: &mut Context<'_, K>) {
        let Err(error) = result else { return };
        self.report(stream, error, context);
        if error == BadState::BodyTooShort {
            self.cut(DownReason::Normal);
        }
    }
}

/// Whether a response with this status has no body (RFC 9110, 6.4.1).
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The headers as hyper takes them. Those that say how long the body is stay only where it is not sent.
fn response_headers(headers: Vec<(HeaderName, HeaderValue)>, status: StatusCode, is_head: bool) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        if name == CONTENT_LENGTH {
            if is_head && !is_bodiless(status) {
                map.insert(name, value);
            }
        } else if name != TRANSFER_ENCODING {
            map.append(name, value);
        }
    }
    map
}

/// Whether these headers have this option for the connection.
pub(super) fn has_connection_option(headers: &HeaderMap, wanted: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(wanted))
}

/// No request can be made on a connection that is served.
fn refuse<K: Sink>(stream: &K::Stream, charge: Charge, context: &mut Context<'_, K>) {
    drop(charge);
    context.sink.event(Event::StreamError { stream, error: StreamError::ConnectionCloses });
}

/// A response that is written when hyper is gone.
pub(super) fn last_answer(status: StatusCode) -> Bytes {
    let reason = status.canonical_reason().unwrap_or_default();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let head = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\ncontent-length: 0\r\n", status.as_str());
    format!("{head}date: {date}\r\n\r\n").into()
}

//! The request under way, and the response to it.

use std::borrow::Borrow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Incoming};

use super::body::{FileBytes, Job};
use crate::account::Charge;
use crate::command::AcceptUpgrade;
use crate::sink::Sink;
use crate::stream::credit::Credit;
use crate::stream::upload::Upload;

/// The most bytes of a body that are skipped, so that the connection can be used for another request.
const MAX_SKIPPED: u64 = 1_000_000;

/// A request under way.
pub(super) struct Exchange<K: Sink> {
    /// Nobody serves a request that has none: the engine answers it, or whoever has served it knows that it is over.
    pub(super) stream: Option<K::Stream>,
    pub(super) body: Asked,
    /// The client awaits a 100 before it sends the body.
    pub(super) expects: bool,
    /// The request's method is HEAD.
    pub(super) is_head: bool,
    /// No request follows it.
    pub(super) closes: bool,
    pub(super) stage: Stage<K>,
    /// What the response counts for, unless it comes in parts.
    pub(super) charge: Charge,
}

/// The request's body.
pub(super) enum Asked {
    /// There is none, or it is read to its end.
    Done,
    /// It is reported as far as the credit goes.
    Reported(Incoming, Credit),
    /// Nobody wants it any more: so many bytes may be skipped.
    Skipped(Incoming, u64),
}

/// The response.
pub(super) enum Stage<K: Sink> {
    /// It is awaited.
    Awaited,
    /// The file that its body stands in is being opened.
    Opening(Job<FileBytes>, Box<Response<()>>),
    /// hyper has it, and its body may come in parts.
    Sending(Option<Arc<Upload>>),
    /// hyper has it, and a WebSocket follows.
    Switching(Box<AcceptUpgrade<K>>),
}

/// What has come of a request's body.
pub(super) enum Received {
    Data { data: Bytes, fin: bool },
    Skipped,
    Failed,
}

impl<K: Sink> Exchange<K> {
    /// Whether this is its stream.
    pub(super) fn is(&self, stream: &K::StreamId) -> bool {
        self.stream.as_ref().is_some_and(|name| Borrow::<K::StreamId>::borrow(name) == stream)
    }

    /// Whether the response is awaited.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.stage, Stage::Awaited)
    }

    /// Whether a WebSocket follows.
    pub(super) fn is_switching(&self) -> bool {
        matches!(self.stage, Stage::Switching(_))
    }

    /// Whether nothing is missing of the response, now that hyper needs nothing more of it. A response without a body may
    /// be given one all the same.
    pub(super) fn is_answered(&self) -> bool {
        match &self.stage {
            Stage::Sending(Some(upload)) => upload.is_complete(),
            Stage::Sending(None) => true,
            _ => false,
        }
    }

    /// The response is complete: what is left of the request's body is skipped, or else the connection closes. Returns
    /// whether it is skipped.
    pub(super) fn skip_body(&mut self) -> bool {
        let Asked::Reported(body, _) = std::mem::replace(&mut self.body, Asked::Done) else { return true };
        // A client that awaits a 100 need not send it at all.
        self.closes |= self.expects || body.size_hint().lower() > MAX_SKIPPED;
        if !self.closes {
            self.body = Asked::Skipped(body, MAX_SKIPPED);
        }
        !self.closes
    }

    /// The next part of the request's body that may be taken.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let (body, is_skipped) = match &mut self.body {
            Asked::Done => return Poll::Pending,
            Asked::Reported(_, credit) if credit.is_held_up() => return Poll::Pending,
            Asked::Reported(body, _) => (body, false),
            Asked::Skipped(body, _) => (body, true),
        };
        let data = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Received::Failed),
            // Trailers end the body, and are not reported.
            Poll::Ready(frame) => frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok()),
        };
        let fin = data.is_none() || body.is_end_stream();
        let data = data.unwrap_or_default();
        if is_skipped {
            self.skipped(data.len(), fin);
            return Poll::Ready(Received::Skipped);
        }
        if fin {
            self.body = Asked::Done;
        }
        Poll::Ready(Received::Data { data, fin })
    }

    fn skipped(&mut self, len: usize, fin: bool) {
        let Asked::Skipped(_, left) = &mut self.body else { return };
        match left.checked_sub(len as u64) {
            Some(rest) if !fin => *left = rest,
            Some(_) => self.body = Asked::Done,
            None => {
                self.closes = true;
                self.body = Asked::Done;
            }
        }
    }

    /// Whether the client is to send the next part of the body.
    pub(super) fn awaits_body(&self) -> bool {
        match &self.body {
            Asked::Done => false,
            Asked::Reported(_, credit) => !credit.is_held_up(),
            Asked::Skipped(..) => true,
        }
    }
}

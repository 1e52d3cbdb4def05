//! One exchange: a request under way, and its response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body as _, Incoming};

use super::wire::Control;
use crate::options::WsOptions;
use crate::stream::reupgrade::UpgradeRequest;
use crate::websocket::handshake::{Asked, Chosen};

/// What HTTP/1.1 has of a stream under way.
pub(super) struct Exchange {
    /// Where it asks for an upgrade.
    pub(super) upgrade: Option<Asking>,
    pub(super) stage: Stage,
    /// What came of the body and is not reported yet, since more of the same read may follow.
    pub(super) part: Option<Part>,
}

/// An upgrade under way.
pub(super) struct Asking {
    pub(super) asked: Asked,
    pub(super) options: Box<WsOptions>,
    /// What it takes to repeat it, where that is wanted and it is not repeated already.
    pub(super) request: Option<UpgradeRequest>,
}

pub(super) enum Stage {
    Response(ResponseFuture),
    Body(Incoming),
    /// The handshake is complete; the dispatcher has yet to let go of the byte stream.
    Switching(HeaderMap, Chosen),
}

pub(super) type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

/// What one read has brought of a body, which hyper gives chunk by chunk. As in gun, it is reported at once, and costs one
/// of the flow.
pub(super) struct Part {
    first: Bytes,
    /// The first too, once there is more than that.
    joint: BytesMut,
    /// How often hyper had wanted to read when it came, and how often it had.
    pub(super) reads: u64,
    pub(super) reads_done: u64,
    /// Whether it is the last.
    pub(super) fin: bool,
}

impl Part {
    pub(super) fn new(first: Bytes, fin: bool, control: &Control) -> Self {
        Self { first, joint: BytesMut::new(), reads: control.reads(), reads_done: control.reads_done(), fin }
    }

    /// Whether nothing more of the same read can follow.
    fn is_whole(&self, control: &Control) -> bool {
        self.fin || control.reads() != self.reads
    }

    pub(super) fn append(&mut self, data: &Bytes) {
        if data.is_empty() {
            return;
        }
        if self.joint.is_empty() {
            self.joint.extend_from_slice(&self.first);
        }
        self.joint.extend_from_slice(data);
    }

    pub(super) fn into_data(self) -> Bytes {
        if self.joint.is_empty() { self.first } else { self.joint.freeze() }
    }
}

/// What an exchange has come to.
pub(super) enum Progress {
    Response(hyper::Result<http::Response<Incoming>>),
    Data {
        data: Bytes,
        fin: bool,
    },
    /// The part of the body under way has come whole.
    Whole,
    Trailers(HeaderMap),
    Failed(hyper::Error),
}

impl Exchange {
    /// The next thing to come of it. No part of a body is taken while `held_up`: not to read on is what holds the server
    /// back, since hyper reads no further than the body is taken.
    pub(super) fn poll(&mut self, held_up: bool, control: &Control, cx: &mut Context<'_>) -> Poll<Progress> {
        match &mut self.stage {
            Stage::Response(response) => response.as_mut().poll(cx).map(Progress::Response),
            Stage::Body(_) if held_up => Poll::Pending,
            Stage::Body(body) => poll_body(body, self.part.as_ref(), control, cx),
            Stage::Switching(..) => Poll::Pending,
        }
    }
}

fn poll_body(body: &mut Incoming, part: Option<&Part>, control: &Control, cx: &mut Context<'_>) -> Poll<Progress> {
    loop {
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if part.is_some_and(|part| part.is_whole(control)) => return Poll::Ready(Progress::Whole),
            Poll::Pending => return Poll::Pending,
        };
        return Poll::Ready(match frame {
            None => Progress::Data { data: Bytes::new(), fin: true },
            Some(Err(error)) => Progress::Failed(error),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Progress::Data { data, fin: body.is_end_stream() },
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => Progress::Trailers(trailers),
                    Err(_) => continue,
                },
            },
        });
    }
}

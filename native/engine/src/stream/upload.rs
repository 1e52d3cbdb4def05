//! The body of a request, between the connection's task, which is given it, and hyper, which sends it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::account::Charge;
use crate::error::BadState;

/// The body of a request, as hyper has it. What is not sent of it is given back when it is dropped.
pub(crate) enum RequestBody {
    /// The request has no body.
    Empty,
    /// All of it is here.
    Whole(Bytes, Charge),
    /// It comes in parts.
    Streamed(Arc<Upload>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Whole(bytes, charge) => {
                *charge = Charge::default();
                Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())
            }
            Self::Streamed(upload) => match upload.poll_next(cx) {
                Poll::Ready(data) => data,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes, _) => bytes.is_empty(),
            // Even a body that turns out to have no bytes was announced, and is ended as such.
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

/// A body that comes in parts.
pub(crate) struct Upload {
    parts: Mutex<Parts>,
}

struct Parts {
    /// What is not sent yet, and what it counts for.
    parts: VecDeque<(Bytes, Charge)>,
    /// How many bytes may still be given, where that was announced.
    missing: Option<u64>,
    fin: bool,
    reader: Option<Waker>,
}

impl Upload {
    pub(crate) fn new(length: Option<u64>) -> Self {
        let parts = Parts { parts: VecDeque::new(), missing: length, fin: false, reader: None };
        Self { parts: Mutex::new(parts) }
    }

    /// Adds a part, with what it counts for.
    ///
    /// # Errors
    /// Nothing is added: the body is complete, or would be longer or shorter than announced.
    pub(crate) fn push(&self, data: Bytes, charge: Charge, fin: bool) -> Result<(), BadState> {
        let mut body = self.parts();
        if body.fin {
            return Err(BadState::BodyComplete);
        }
        if let Some(missing) = body.missing {
            let Some(left) = missing.checked_sub(data.len() as u64) else { return Err(BadState::BodyTooLong) };
            if fin && left > 0 {
                return Err(BadState::BodyTooShort);
            }
            body.missing = Some(left);
        }
        body.fin = fin;
        if !data.is_empty() {
            body.parts.push_back((data, charge));
        }
        if let Some(reader) = body.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// Whether nothing is missing of it.
    pub(crate) fn is_complete(&self) -> bool {
        let body = self.parts();
        body.fin || body.missing == Some(0)
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut body = self.parts();
        match body.parts.pop_front() {
            Some((data, _)) => Poll::Ready(Some(data)),
            None if body.fin || body.missing == Some(0) => Poll::Ready(None),
            None => {
                body.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody panics while holding this lock, and if anybody did, what is behind it would be sound.
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

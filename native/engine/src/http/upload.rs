//! The body of a request, between the connection's task, which is given it, and hyper, which sends it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::command::COMMAND;
use crate::connection::Status;
use crate::error::BadState;

/// The body of a request, as hyper has it. What is not sent of it counts no more once it is dropped.
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// All of it is here.
    Whole(Bytes, Arc<Status>),
    /// It comes in parts.
    Streamed(Arc<Upload>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Whole(bytes, status) => {
                status.release(bytes.len());
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

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Self::Whole(bytes, status) = self {
            status.release(bytes.len());
        }
    }
}

/// A body that comes in parts.
pub(crate) struct Upload {
    state: Mutex<State>,
    status: Arc<Status>,
}

struct State {
    parts: VecDeque<Bytes>,
    /// How many bytes may still be given, where that was announced.
    missing: Option<u64>,
    fin: bool,
    reader: Option<Waker>,
}

impl Upload {
    pub(crate) fn new(length: Option<u64>, status: Arc<Status>) -> Self {
        let state = State { parts: VecDeque::new(), missing: length, fin: false, reader: None };
        Self { state: Mutex::new(state), status }
    }

    /// Adds a part. It counts already, as a command and its bytes, and goes on to if it is added.
    ///
    /// # Errors
    /// Nothing is added: the body is complete, or would be longer or shorter than announced.
    pub(crate) fn push(&self, data: Bytes, fin: bool) -> Result<(), BadState> {
        let mut state = self.state();
        if state.fin {
            return Err(BadState::BodyComplete);
        }
        if let Some(missing) = state.missing {
            let Some(left) = missing.checked_sub(data.len() as u64) else { return Err(BadState::BodyTooLong) };
            if fin && left > 0 {
                return Err(BadState::BodyTooShort);
            }
            state.missing = Some(left);
        }
        state.fin = fin;
        if data.is_empty() {
            self.status.release(COMMAND);
        } else {
            state.parts.push_back(data);
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// Whether nothing is missing of it.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.state();
        state.fin || state.missing == Some(0)
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state();
        match state.parts.pop_front() {
            Some(data) => {
                self.status.release(COMMAND + data.len());
                Poll::Ready(Some(data))
            }
            None if state.fin || state.missing == Some(0) => Poll::Ready(None),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody panics while holding this lock, and if anybody did, what is behind it would be sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.status.release(state.parts.iter().map(|part| COMMAND + part.len()).sum());
    }
}

//! A body that is sent, between whoever is given it and whoever sends it: of a request, or of a response on the server's
//! side.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;

use crate::account::Charge;
use crate::command::tunnel::Destination;
use crate::error::BadState;
use crate::stream::receipts::Ticket;

/// The body of a request. What is not sent of it is given back when it is dropped.
pub(crate) enum UploadBody {
    /// The request has no body.
    Empty,
    /// It has none: it is a CONNECT.
    Tunnel(Arc<Destination>),
    /// All of it is here.
    Whole(Bytes, Charge),
    /// It comes in parts.
    Streamed(Arc<Upload>),
}

/// A body that comes in parts.
pub(crate) struct Upload {
    parts: Mutex<Parts>,
}

/// A part of a body, what it counts for, and the ticket of whoever waits until it is sent.
pub(crate) struct Part {
    pub(crate) data: Bytes,
    pub(crate) charge: Charge,
    pub(crate) ticket: Option<Ticket>,
}

struct Parts {
    /// What is not sent yet.
    parts: VecDeque<Part>,
    /// How many bytes may still be given, where that was announced.
    missing: Option<u64>,
    fin: bool,
    /// What comes behind it.
    trailers: Option<HeaderMap>,
    /// Nobody takes any more of it: what is given is dropped.
    unread: bool,
    reader: Option<Waker>,
}

impl Upload {
    pub(crate) fn new(length: Option<u64>) -> Self {
        let parts =
            Parts { parts: VecDeque::new(), missing: length, fin: false, trailers: None, unread: false, reader: None };
        Self { parts: Mutex::new(parts) }
    }

    /// Adds a part, with what it counts for.
    ///
    /// # Errors
    /// Nothing is added: the body is complete, or would be longer or shorter than announced.
    pub(crate) fn push(&self, data: Bytes, charge: Charge, fin: bool) -> Result<(), BadState> {
        self.push_with(data, charge, fin, &mut None)
    }

    /// The same, with the ticket of whoever waits until it is sent, which is taken if the part is.
    ///
    /// # Errors
    /// See [`Upload::push`].
    pub(crate) fn push_with(
        &self,
        data: Bytes,
        charge: Charge,
        fin: bool,
        ticket: &mut Option<Ticket>,
    ) -> Result<(), BadState> {
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
        let ticket = ticket.take();
        if data.is_empty() && body.missing == Some(0) && body.parts.is_empty() {
            // All of it was given before, and taken.
            if let Some(ticket) = ticket {
                ticket.give();
            }
            return Ok(());
        }
        if (!data.is_empty() || ticket.is_some()) && !body.unread {
            body.parts.push_back(Part { data, charge, ticket });
        }
        if let Some(reader) = body.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// Ends it with trailers.
    ///
    /// # Errors
    /// The body is complete, or shorter than announced.
    pub(crate) fn end_with(&self, trailers: HeaderMap) -> Result<(), BadState> {
        if self.is_complete() {
            return Err(BadState::BodyComplete);
        }
        self.parts().trailers = Some(trailers);
        self.push(Bytes::new(), Charge::default(), true)
    }

    /// What comes behind it.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.parts().trailers.take()
    }

    /// Whether somebody waits until a part is sent.
    pub(crate) fn is_awaited(&self) -> bool {
        self.parts().parts.iter().any(|part| part.ticket.is_some())
    }

    /// Nobody takes any more of it.
    pub(crate) fn abandon(&self) {
        let mut body = self.parts();
        body.unread = true;
        let parts = std::mem::take(&mut body.parts);
        drop(body);
        drop(parts);
    }

    /// Whether its length was not announced.
    pub(crate) fn is_chunked(&self) -> bool {
        self.parts().missing.is_none()
    }

    /// Whether nothing is missing of it.
    pub(crate) fn is_complete(&self) -> bool {
        let body = self.parts();
        body.fin || body.missing == Some(0)
    }

    /// The next part, until there is none.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_part(cx).map(|part| part.map(|part| part.data))
    }

    /// Whether the part that was taken last is the last one.
    pub(crate) fn is_taken(&self) -> bool {
        let body = self.parts();
        body.parts.is_empty() && (body.fin || body.missing == Some(0))
    }

    /// The next part, with what it counts for, until there is none.
    pub(crate) fn poll_part(&self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let mut body = self.parts();
        match body.parts.pop_front() {
            Some(part) => Poll::Ready(Some(part)),
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

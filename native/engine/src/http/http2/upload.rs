//! The body of a request on its way to h2, as the peer's windows allow.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use tokio::time::Instant;

use crate::account::Charge;
use crate::stream::upload::{Part, UploadBody};

/// Bytes that are sent. What they count for is given back when they are dropped, which h2 does when the last of them is
/// written.
struct Counted {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The half of a stream that is sent.
pub(super) type SendStream = h2::SendStream<Bytes>;

/// A request, or what is left of it.
pub(super) struct Sending {
    stream: SendStream,
    body: UploadBody,
    /// The part under way.
    part: Option<Part>,
    /// When h2 was given the last of it.
    done_at: Option<Instant>,
    /// Whether h2 has all of it.
    complete: bool,
}

impl Sending {
    /// A request whose head h2 has, and its body if there is one.
    pub(super) fn new(stream: SendStream, body: UploadBody) -> Self {
        let complete = matches!(body, UploadBody::Empty | UploadBody::Tunnel(_));
        Self { stream, body, part: None, done_at: complete.then(Instant::now), complete }
    }

    /// When h2 was given the last of the request.
    pub(super) fn done_at(&self) -> Option<Instant> {
        self.done_at
    }

    /// Whether h2 was given all of the request.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Resets the stream.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
        (self.body, self.part) = (UploadBody::Empty, None);
        self.done_at.get_or_insert_with(Instant::now);
    }

    /// Ends it with nothing more.
    pub(super) fn end(&mut self) {
        self.send(Bytes::new(), Charge::default(), true);
    }

    pub(super) fn into_stream(self) -> SendStream {
        self.stream
    }

    /// The code that the peer has reset the stream with, should it. A stream that has ended for another reason has none.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.stream.poll_reset(cx)
    }

    /// Gives h2 as much as it may send. It ends when nothing more can be sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.done_at.is_none() {
            let Some(Part { data, .. }) = &self.part else {
                match ready!(self.poll_part(cx)) {
                    Some(part) => self.part = Some(part),
                    None => {
                        self.send(Bytes::new(), Charge::default(), true);
                    }
                }
                continue;
            };
            let len = data.len();
            if len == 0 {
                // Somebody waits for the end of it.
                self.send_part(0);
                continue;
            }
            self.stream.reserve_capacity(len);
            let capacity = self.stream.capacity();
            if capacity == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    // What has ended the stream is told by the half that receives.
                    Some(Err(_)) | None => {
                        (self.body, self.part) = (UploadBody::Empty, None);
                        self.done_at = Some(Instant::now());
                        continue;
                    }
                }
            }
            self.send_part(capacity);
        }
        Poll::Ready(())
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        match &mut self.body {
            UploadBody::Empty | UploadBody::Tunnel(_) => Poll::Ready(None),
            UploadBody::Whole(bytes, charge) => {
                let part = Part { data: std::mem::take(bytes), charge: std::mem::take(charge), ticket: None };
                self.body = UploadBody::Empty;
                Poll::Ready(Some(part).filter(|part| !part.data.is_empty()))
            }
            UploadBody::Streamed(upload) => upload.poll_part(cx),
        }
    }

    /// Sends as much of the part under way as fits.
    fn send_part(&mut self, capacity: usize) {
        let Some(Part { data: mut bytes, mut charge, ticket }) = self.part.take() else { return };
        let rest = bytes.split_off(capacity.min(bytes.len()));
        if rest.is_empty() {
            let last = match &self.body {
                UploadBody::Empty | UploadBody::Tunnel(_) | UploadBody::Whole(..) => true,
                UploadBody::Streamed(upload) => upload.is_taken(),
            };
            let is_nothing = bytes.is_empty() && !last;
            let is_sent = is_nothing || self.send(bytes, charge, last);
            // A ticket that is dropped says that the part is not sent.
            if let Some(ticket) = ticket.filter(|_| is_sent) {
                ticket.give();
            }
            return;
        }
        let sent = charge.split(bytes.len());
        self.part = Some(Part { data: rest, charge, ticket });
        self.send(bytes, sent, false);
    }

    /// Whether the stream has taken it.
    fn send(&mut self, bytes: Bytes, charge: Charge, last: bool) -> bool {
        let bytes = if bytes.is_empty() { bytes } else { Bytes::from_owner(Counted { bytes, _charge: charge }) };
        let sent = self.stream.send_data(bytes, last);
        self.complete |= last && sent.is_ok();
        if last || sent.is_err() {
            self.done_at = Some(Instant::now());
        }
        sent.is_ok()
    }
}

//! The body of a response: it is taken from h2 as it comes, and waits here where its receiver must ask for more first. The
//! peer may send as much as its window allows; the window opens again by as much as was reported.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;

/// How many parts wait as they came. Those behind them are joined, if they are small: a part has its price beside its bytes.
const PARTS: usize = 32;

/// How large parts are that are joined.
const JOINT: usize = 4096;

/// What has come, and waits for its reader.
#[derive(Default)]
pub(super) struct Parts {
    parts: VecDeque<Bytes>,
    /// What comes behind them.
    joint: BytesMut,
    /// The bytes of all.
    len: usize,
}

impl Parts {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.joint.is_empty()
    }

    pub(super) fn push(&mut self, data: Bytes) {
        self.len = self.len.saturating_add(data.len());
        let joins = self.parts.len() >= PARTS && self.joint.len() + data.len() <= JOINT;
        if joins {
            self.joint.extend_from_slice(&data);
            return;
        }
        if !self.joint.is_empty() {
            self.parts.push_back(self.joint.split().freeze());
        }
        self.parts.push_back(data);
    }

    /// The next of it, up to `wanted` bytes.
    pub(super) fn take(&mut self, wanted: usize) -> Option<Bytes> {
        if self.parts.is_empty() && !self.joint.is_empty() {
            self.parts.push_back(self.joint.split().freeze());
        }
        let first = self.parts.front_mut()?;
        let piece = first.split_to(wanted.min(first.len()));
        if first.is_empty() {
            self.parts.pop_front();
        }
        self.len = self.len.saturating_sub(piece.len());
        Some(piece)
    }
}

/// A body under way.
pub(super) struct Download {
    recv: RecvStream,
    parts: Parts,
    end: Option<End>,
}

/// How it has ended.
enum End {
    /// With its last part.
    Fin,
    Trailers(HeaderMap),
    Failed(h2::Error),
}

/// What has come of it.
pub(super) enum Came {
    Data { data: Bytes, fin: bool },
    Trailers(HeaderMap),
    Failed(h2::Error),
}

impl Download {
    pub(super) fn new(recv: RecvStream) -> Self {
        Self { recv, parts: Parts::default(), end: None }
    }

    /// What comes next. While it is `held_up` nothing is given but what came before an error, and the error.
    pub(super) fn poll(&mut self, held_up: bool, cx: &mut Context<'_>) -> Poll<Came> {
        self.fill(cx);
        if held_up && !matches!(self.end, Some(End::Failed(_))) {
            return Poll::Pending;
        }
        self.next()
    }

    fn next(&mut self) -> Poll<Came> {
        let Some(data) = self.parts.take(usize::MAX) else {
            return match self.end.take() {
                None => Poll::Pending,
                Some(End::Fin) => Poll::Ready(Came::Data { data: Bytes::new(), fin: true }),
                Some(End::Trailers(trailers)) => Poll::Ready(Came::Trailers(trailers)),
                Some(End::Failed(error)) => Poll::Ready(Came::Failed(error)),
            };
        };
        // Where the stream has ended h2 has no window any more.
        let _ = self.recv.flow_control().release_capacity(data.len());
        let is_last = self.parts.is_empty();
        let fin = self.end.take_if(|end| is_last && matches!(end, End::Fin)).is_some();
        Poll::Ready(Came::Data { data, fin })
    }

    /// How many bytes wait, and hold the peer back from sending as many.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    fn fill(&mut self, cx: &mut Context<'_>) {
        while self.end.is_none() {
            match self.recv.poll_data(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(data))) => {
                    self.parts.push(data);
                    if self.recv.is_end_stream() {
                        self.end = Some(End::Fin);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.end = Some(End::Failed(error)),
                Poll::Ready(None) => {
                    self.end = self.poll_trailers(cx);
                    // They are there when the data have ended.
                    if self.end.is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Option<End> {
        match self.recv.poll_trailers(cx) {
            Poll::Pending => None,
            Poll::Ready(Ok(Some(trailers))) => Some(End::Trailers(trailers)),
            Poll::Ready(Ok(None)) => Some(End::Fin),
            Poll::Ready(Err(error)) => Some(End::Failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_parts_are_few_and_come_in_their_order() {
        let mut parts = Parts::default();
        for byte in (0..100_000_u32).map(|n| (n % 251) as u8) {
            parts.push(Bytes::copy_from_slice(&[byte]));
        }
        assert_eq!(parts.len(), 100_000);
        assert!(parts.parts.len() <= PARTS + 2 * (100_000 / JOINT + 1));
        let mut taken = Vec::new();
        while let Some(piece) = parts.take(7) {
            assert!(piece.len() <= 7);
            taken.extend_from_slice(&piece);
        }
        assert_eq!((parts.is_empty(), parts.len()), (true, 0));
        assert!(taken.iter().zip(0..).all(|(byte, n)| u32::from(*byte) == n % 251));
        assert_eq!(taken.len(), 100_000);
    }
}

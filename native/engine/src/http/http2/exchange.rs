//! One exchange: a request under way, and its response.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use h2::client::{PushPromise, PushPromises, PushedResponseFuture, ResponseFuture};
use h2::{Reason, RecvStream};
use http::uri::Authority;
use http::{HeaderMap, Response};
use tokio::time::Instant;

use super::download::{Came, Download};
use super::ready::Stream;
use super::upload::{SendStream, Sending};
use super::websockets::Asking;
use crate::command::tunnel::Destination;
use crate::http::deadline::Deadline;

/// What HTTP/2 has of a stream under way.
pub(super) struct Exchange {
    pub(super) wakes: Wakes,
    pub(super) stage: Stage,
    /// Where it asks for an upgrade.
    pub(super) upgrade: Option<Asking>,
    /// Where it asks for a tunnel, and where that leads.
    pub(super) tunnel: Option<Arc<Destination>>,
    /// The request; a pushed response has none that we send.
    sending: Option<Sending>,
    /// Whether it is known that all of it was sent.
    sent: bool,
    promises: Option<PushPromises>,
    pub(super) deadline: Option<Deadline>,
    /// How many informational responses have come.
    pub(super) informs: u32,
    /// Whom it was asked of.
    pub(super) authority: Authority,
    /// Whether nothing could be reported of it when that was last looked at.
    pub(super) held_up: bool,
    /// How many bytes of it waited then.
    held: usize,
    began: Instant,
}

/// What wakes an exchange.
pub(super) struct Wakes {
    stream: Arc<Stream>,
    waker: Waker,
}

impl Wakes {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self { waker: Waker::from(Arc::clone(&stream)), stream }
    }

    /// It is about to do what it has to, and is woken by this when there is more.
    pub(super) fn begin(&self) -> Waker {
        self.stream.begin();
        self.waker.clone()
    }

    /// It has something to do.
    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }
}

pub(super) enum Stage {
    Response(ResponseFuture),
    Pushed(PushedResponseFuture),
    Body(Download),
    /// The response is over; the request is not.
    Answered,
    /// It ends with the connection.
    Lost,
}

/// What an exchange has come to.
pub(super) enum Progress {
    Promise(PushPromise),
    Inform(Response<()>),
    Response(Response<RecvStream>),
    Came(Came),
    /// The response has failed before its head was there.
    Failed(h2::Error),
    /// The peer resets a stream whose response is over.
    Reset(Reason),
    /// Request and response are over.
    Over,
}

impl Exchange {
    /// A request whose head h2 has, and with which the peer may push responses.
    pub(super) fn new(
        wakes: Wakes,
        mut response: ResponseFuture,
        sending: Sending,
        authority: Authority,
        push: bool,
    ) -> Self {
        let promises = push.then(|| response.push_promises());
        Self {
            wakes,
            stage: Stage::Response(response),
            upgrade: None,
            tunnel: None,
            sent: sending.is_complete(),
            sending: Some(sending),
            promises,
            deadline: None,
            informs: 0,
            authority,
            held_up: false,
            held: 0,
            began: Instant::now(),
        }
    }

    /// A response that is pushed.
    pub(super) fn pushed(wakes: Wakes, response: PushedResponseFuture, authority: Authority) -> Self {
        Self {
            wakes,
            stage: Stage::Pushed(response),
            upgrade: None,
            tunnel: None,
            sending: None,
            sent: true,
            promises: None,
            deadline: None,
            informs: 0,
            authority,
            held_up: false,
            held: 0,
            began: Instant::now(),
        }
    }

    /// When h2 had all of the request.
    pub(super) fn asked_at(&self) -> Option<Instant> {
        self.sending.as_ref().map_or(Some(self.began), Sending::done_at)
    }

    /// Whether all of the request was sent since this was last asked, at first with the head alone.
    pub(super) fn has_just_sent(&mut self) -> bool {
        let complete = self.sending.as_ref().is_some_and(Sending::is_complete);
        complete && !std::mem::replace(&mut self.sent, true)
    }

    /// Whether it is a response that was pushed.
    pub(super) fn is_pushed(&self) -> bool {
        self.sending.is_none()
    }

    /// Ends a request that has nothing to send besides its head, and might have become something else.
    pub(super) fn end_request(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.end();
        }
    }

    /// Looks how many bytes of it wait to be told: how many they were before, and are now.
    pub(super) fn look_at_held(&mut self) -> (usize, usize) {
        let held = if let Stage::Body(body) = &self.stage { body.len() } else { 0 };
        (std::mem::replace(&mut self.held, held), held)
    }

    /// How many they were when that was last looked at.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Nobody wants it any more.
    pub(super) fn reset(&mut self, reason: Reason) {
        if let Some(sending) = &mut self.sending {
            sending.reset(reason);
        }
    }

    /// What is sent on a stream that becomes something else.
    pub(super) fn take_sending(&mut self) -> Option<SendStream> {
        self.sending.take().map(Sending::into_stream)
    }

    /// The next thing to come of it. No part of a response is taken while `held_up`, nor its head while `relay_waits`.
    pub(super) fn poll(&mut self, held_up: bool, relay_waits: bool, cx: &mut Context<'_>) -> Poll<Progress> {
        let sent = match &mut self.sending {
            Some(sending) => sending.poll(cx).is_ready(),
            None => true,
        };
        if !relay_waits && let Poll::Ready(promise) = self.poll_promise(cx) {
            return Poll::Ready(Progress::Promise(promise));
        }
        match &mut self.stage {
            Stage::Response(_) | Stage::Pushed(_) if relay_waits => Poll::Pending,
            Stage::Response(response) => match response.poll_informational(cx) {
                Poll::Ready(Some(Ok(inform))) => Poll::Ready(Progress::Inform(inform)),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Progress::Failed(error)),
                Poll::Ready(None) | Poll::Pending => poll_head(response, cx),
            },
            Stage::Pushed(response) => poll_head(response, cx),
            Stage::Body(body) => body.poll(held_up, cx).map(Progress::Came),
            Stage::Answered if sent => Poll::Ready(Progress::Over),
            Stage::Answered => self.poll_reset(cx),
            Stage::Lost => Poll::Pending,
        }
    }

    fn poll_promise(&mut self, cx: &mut Context<'_>) -> Poll<PushPromise> {
        let Some(promises) = &mut self.promises else { return Poll::Pending };
        let promise = ready!(pin!(promises.push_promise()).poll(cx));
        match promise {
            Some(Ok(promise)) => Poll::Ready(promise),
            Some(Err(_)) | None => {
                self.promises = None;
                Poll::Pending
            }
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Progress::Over) };
        match ready!(sending.poll_reset(cx)) {
            Ok(reason) => Poll::Ready(Progress::Reset(reason)),
            Err(error) => Poll::Ready(Progress::Failed(error)),
        }
    }
}

fn poll_head<F>(response: &mut F, cx: &mut Context<'_>) -> Poll<Progress>
where
    F: Future<Output = Result<Response<RecvStream>, h2::Error>> + Unpin,
{
    Poll::Ready(match ready!(Pin::new(response).poll(cx)) {
        Ok(response) => Progress::Response(response),
        Err(error) => Progress::Failed(error),
    })
}

/// The bytes of headers, as far as they count.
pub(super) fn headers_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

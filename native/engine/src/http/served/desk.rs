//! Where hyper leaves a request, and takes the response.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;

use super::body::ResponseBytes;
use super::wire::Control;

/// What the task and hyper share. hyper is polled by the task alone, and after each command: nobody has to be woken.
pub(crate) struct Desk {
    papers: Mutex<Papers>,
    control: Arc<Control>,
    /// hyper needs nothing more of the response.
    answered: Arc<AtomicBool>,
}

#[derive(Default)]
struct Papers {
    request: Option<Request<Incoming>>,
    response: Option<Response<ResponseBytes>>,
}

impl Desk {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { papers: Mutex::default(), control, answered: Arc::new(AtomicBool::new(false)) }
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request that has come.
    pub(crate) fn take_request(&self) -> Option<Request<Incoming>> {
        self.papers().request.take()
    }

    /// The response to it.
    pub(crate) fn respond(&self, response: Response<ResponseBytes>) {
        self.papers().response = Some(response);
    }

    /// What a response's body sets when hyper has done with it.
    pub(crate) fn answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.answered)
    }

    /// Whether hyper needs nothing more of the response.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}

/// hyper's side of the desk.
pub(crate) struct Counter(pub(crate) Arc<Desk>);

impl Service<Request<Incoming>> for Counter {
    type Response = Response<ResponseBytes>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let desk = Arc::clone(&self.0);
        desk.answered.store(false, Ordering::Relaxed);
        desk.papers().request = Some(request);
        Answer(desk)
    }
}

/// The response that is awaited.
pub(crate) struct Answer(Arc<Desk>);

impl Future for Answer {
    type Output = Result<Response<ResponseBytes>, Infallible>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Informational responses come before it.
        if self.0.control.is_informing() {
            return Poll::Pending;
        }
        self.0.papers().response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
    }
}

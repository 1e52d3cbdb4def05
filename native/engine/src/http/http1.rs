//! HTTP/1.x on a byte stream: requests and their responses, and the upgrade that may end it.
//!
//! hyper's dispatcher, the request under way and the command queue are polled side by side by the connection's one
//! task. hyper has one request under way at a time; the others wait their turn here, so that responses come in the
//! order of the requests, and what the server sends behind a response can't be taken for the next one.

use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection as Dispatcher, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use super::upload::{RequestBody, Upload};
use super::wire::{Control, Wire};
use crate::command::{Body, Command, Outgoing, Request, RequestData, Upgrade};
use crate::connection::{Connection, Reupgrade, Stop, UpgradeRequest, panic_on_command, refuse};
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::{Event, StreamError, StreamInfo};
use crate::options::{Flow, HttpOptions, HttpVersion, WsOptions};
use crate::sink::Sink;
use crate::transport::{ByteStream, is_cut};
use crate::websocket::handshake::{self, Asked, Chosen};

/// The most headers of a response: what a header block of the default size may reasonably hold. [`down_reason`] and the
/// documentation of [`HttpOptions`] name it.
const MAX_HEADERS: usize = 512;

/// What hyper buffers of what it has not parsed yet, unless a header block may be larger.
const READ_BUFFER: usize = 400 * 1024;

/// How the HTTP part of a connection ended.
pub(crate) enum End<S, K: Sink> {
    /// The connection is down, and these streams with it.
    Down(DownReason, Vec<K::Stream>),
    /// The task is to end.
    Stop(Stop),
    /// The byte stream is a WebSocket now.
    Upgraded(Box<Upgraded<S, K>>),
}

/// What an upgrade leaves.
pub(crate) struct Upgraded<S, K: Sink> {
    pub(crate) io: S,
    /// Bytes that came right behind the response.
    pub(crate) received: Bytes,
    pub(crate) stream: K::Stream,
    pub(crate) headers: HeaderMap,
    pub(crate) chosen: Chosen,
    pub(crate) options: WsOptions,
    /// For the next connection, if it is to be repeated.
    pub(crate) again: Option<Box<UpgradeRequest<K>>>,
    /// A shutdown was asked for while the response was awaited.
    pub(crate) shutdown: bool,
}

/// A request that waits for its turn.
struct Waiting<K: Sink> {
    stream: K::Stream,
    caller: K::Caller,
    flow: Option<i64>,
    upload: Option<Arc<Upload>>,
    what: What,
    /// The bytes that all but its body account for.
    queued: usize,
    /// It repeats an upgrade of the connection before.
    repeated: bool,
}

enum What {
    Request { method: Method, target: Uri, headers: Vec<(HeaderName, HeaderValue)>, body: RequestBody },
    Upgrade { target: Uri, headers: Vec<(HeaderName, HeaderValue)>, options: Box<WsOptions> },
}

/// An upgrade under way.
struct Asking<K: Sink> {
    asked: Asked,
    options: Box<WsOptions>,
    /// What it takes to repeat it, where that is wanted.
    again: Option<Box<UpgradeRequest<K>>>,
}

/// The request under way.
struct Active<K: Sink> {
    stream: K::Stream,
    /// Where it asks for an upgrade.
    upgrade: Option<Asking<K>>,
    /// It repeats an upgrade of the connection before.
    repeated: bool,
    stage: Stage,
    /// How many parts of the body may still be told; `None` is unlimited.
    flow: Option<i64>,
    /// The request's body, where it came in parts.
    upload: Option<Arc<Upload>>,
    /// Whether the stream was cancelled: what comes of it is thrown away.
    cancelled: bool,
}

enum Stage {
    Response(ResponseFuture),
    Body(Incoming),
    /// The handshake is complete; the dispatcher has yet to let go of the byte stream.
    Switching(HeaderMap, Chosen),
}

type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

/// What the request under way has come to.
enum Progress {
    Response(hyper::Result<http::Response<Incoming>>),
    Data { data: Bytes, fin: bool },
    Trailers(HeaderMap),
    Failed(hyper::Error),
}

/// Informational responses that hyper has parsed and that are not told yet.
type Informs = Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>;

type Timer = Pin<Box<Sleep>>;

struct Http<'a, K: Sink> {
    connection: &'a mut Connection<K>,
    sender: SendRequest<RequestBody>,
    waiting: VecDeque<Waiting<K>>,
    active: Option<Active<K>>,
    informs: Informs,
    control: Arc<Control>,
    /// Set by what the peer has sent: no request follows the one under way, and this is what the end will be.
    last: Option<DownReason>,
    /// The server speaks HTTP/1.0.
    http10: bool,
    /// Set by a shutdown: when it has waited long enough for the request under way.
    closing: Option<Option<Timer>>,
    /// When to send an empty line.
    keepalive: Option<Timer>,
    /// How many bytes the peer had taken when it took no more, and when that is too long ago.
    stalled: Option<(u64, Timer)>,
    /// Frames that wait for an upgrade that is repeated.
    held: Vec<Box<Outgoing<K>>>,
}

/// Serves the byte stream until it is down, or a WebSocket.
pub(crate) async fn serve<S: ByteStream, K: Sink>(io: S, connection: &mut Connection<K>) -> End<S, K> {
    let control = Arc::new(Control::default());
    let io = TokioIo::new(Wire::new(io, Arc::clone(&control)));
    let (sender, mut dispatcher) = match builder(&connection.options.http).handshake(io).await {
        Ok(parts) => parts,
        Err(error) => return End::Down(down_reason(&error), Vec::new()),
    };
    let keepalive = connection.options.http.keepalive.map(timer);
    let mut http = Http {
        connection,
        sender,
        waiting: VecDeque::new(),
        active: None,
        informs: Informs::default(),
        control,
        last: None,
        http10: false,
        closing: None,
        keepalive,
        stalled: None,
        held: Vec::new(),
    };
    if let Some(again) = http.connection.reupgrade.take() {
        http.repeat(*again);
    }
    let mut done: Option<hyper::Result<()>> = None;
    loop {
        if let Some(result) = &done {
            match &mut http.active {
                Some(Active { stage: Stage::Switching(..), .. }) => return http.upgraded(dispatcher),
                // What has been received of a response is there to be taken, though the connection is over. hyper may
                // leave a request unanswered whose turn came together with the end of the connection.
                Some(active) => {
                    active.flow = None;
                    let progress = pin!(progress(&mut http.active)).poll(&mut Context::from_waker(Waker::noop()));
                    let reason = match progress {
                        Poll::Ready(progress) => http.progress(progress),
                        Poll::Pending => Some(result.as_ref().map_or_else(down_reason, |()| DownReason::Closed)),
                    };
                    match reason {
                        Some(reason) => return http.down(reason),
                        None => continue,
                    }
                }
                None => {
                    let reason = http.last.take();
                    let reason = reason
                        .unwrap_or_else(|| result.as_ref().map_or_else(idle_down_reason, |()| DownReason::Closed));
                    return http.down(reason);
                }
            }
        }
        if http.active.is_none() {
            if http.closing.is_some() {
                return End::Stop(Stop::ShutDown);
            }
            if let Some(reason) = http.last.take() {
                return http.down(reason);
            }
        }
        let idle = http.active.is_none() && http.waiting.is_empty();
        let blocked = http.connection.options.tcp.send_timeout.map(|_| http.stalled.is_some());
        tokio::select! {
            biased;
            progress = progress(&mut http.active) => {
                if let Some(reason) = http.progress(progress) {
                    return http.down(reason);
                }
            }
            result = dispatch(&mut dispatcher, &http.informs, &http.control, blocked), if done.is_none() => {
                http.inform();
                done = result;
            }
            () = ready(&mut http.sender), if http.active.is_none() && !idle => http.start_next(),
            command = http.connection.commands.recv() => match command {
                Some(command) => {
                    if let Some(reason) = http.command(command) {
                        return http.down(reason);
                    }
                }
                None => return End::Stop(Stop::Abandoned),
            },
            () = expiry(http.closing.as_mut().and_then(Option::as_mut)) => return http.shut_down(),
            () = expiry(http.keepalive.as_mut()), if idle => http.keep_alive(),
            () = expiry(http.stalled.as_mut().map(|(_, timer)| timer)) => {
                if http.is_stalled() {
                    return http.down(ConnectionError::SendTimeout.into());
                }
            }
        }
        http.watch_peer();
    }
}

fn builder(options: &HttpOptions) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(MAX_HEADERS)
        .max_header_size(options.max_header_block_size)
        .max_buf_size(options.max_header_block_size.saturating_add(1).max(READ_BUFFER))
        .title_case_headers(options.title_case_headers);
    builder
}

/// Lets hyper do its work until it is done, has come upon an informational response, or the peer has begun or ceased to
/// take nothing, if that is not what it is known for.
async fn dispatch<S: ByteStream>(
    dispatcher: &mut Dispatcher<TokioIo<Wire<S>>, RequestBody>,
    informs: &Informs,
    control: &Control,
    blocked: Option<bool>,
) -> Option<hyper::Result<()>> {
    poll_fn(|cx| match dispatcher.poll_without_shutdown(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if !informs.lock().unwrap_or_else(PoisonError::into_inner).is_empty() => Poll::Ready(None),
        Poll::Pending if blocked.is_some_and(|blocked| blocked != control.blocked_at().is_some()) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// When hyper takes the next request; never, when it takes no more, for then its dispatcher is about to end.
async fn ready(sender: &mut SendRequest<RequestBody>) {
    if sender.ready().await.is_err() {
        pending().await
    }
}

fn timer(after: Duration) -> Timer {
    Box::pin(sleep_until(Instant::now() + after))
}

async fn expiry(timer: Option<&mut Timer>) {
    match timer {
        Some(timer) => timer.await,
        None => pending().await,
    }
}

/// The next thing to come of the request under way.
async fn progress<K: Sink>(active: &mut Option<Active<K>>) -> Progress {
    let Some(active) = active else { return pending().await };
    match &mut active.stage {
        Stage::Response(response) => Progress::Response(response.await),
        // Not to read on is what holds the server back: hyper reads no further than this body is taken.
        Stage::Body(_) if active.flow.is_some_and(|flow| flow <= 0) && !active.cancelled => pending().await,
        Stage::Body(body) => loop {
            match body.frame().await {
                None => return Progress::Data { data: Bytes::new(), fin: true },
                Some(Err(error)) => return Progress::Failed(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Progress::Data { data, fin: body.is_end_stream() },
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Progress::Trailers(trailers);
                        }
                    }
                },
            }
        },
        Stage::Switching(..) => pending().await,
    }
}

impl<K: Sink> Http<'_, K> {
    /// Does a command; the reason if the connection is over by it.
    fn command(&mut self, command: Command<K>) -> Option<DownReason> {
        match command {
            Command::Request(request) => self.request(*request),
            Command::Data(data) => return self.data(*data),
            Command::Cancel(cancel) => {
                let (stream, caller) = *cancel;
                return self.cancel(&stream, &caller);
            }
            Command::StreamInfo(asked) => {
                let (stream, receipt) = *asked;
                self.stream_info(&stream, &receipt);
            }
            Command::UpdateFlow(Some(stream), parts) => self.update_flow(&stream, parts),
            Command::Upgrade(upgrade) => self.upgrade(*upgrade),
            Command::Send(outgoing) => match self.repeated_upgrade() {
                Some(options) if options.reupgrade_queue().is_some() => self.held.push(outgoing),
                Some(_) => self.refuse(&outgoing, BadState::Reconnecting),
                None => self.refuse(&outgoing, BadState::NotWebsocket),
            },
            Command::Shutdown => {
                for waiting in self.waiting.drain(..) {
                    self.connection.status.release(waiting.queued);
                    let event = Event::StreamError { stream: &waiting.stream, error: StreamError::Closing };
                    self.connection.sink.event(event);
                }
                let limit = self.connection.options.http.closing_timeout;
                self.closing.get_or_insert(limit.map(timer));
            }
            Command::Control(control) => self.connection.sink.control(*control),
            Command::Panic => panic_on_command(),
            // Answers that a WebSocket has not lived to see.
            Command::Connect(_) | Command::UpdateFlow(None, _) | Command::FlowGrant | Command::Settled => {}
        }
        None
    }

    fn request(&mut self, request: Request<K>) {
        let queued = request.head_len();
        let Request { stream, caller, method, target, headers, body, flow } = request;
        let status = Arc::clone(&self.connection.status);
        let http10 = self.connection.options.http.version == HttpVersion::Http10;
        let length = match &body {
            Body::Streamed(None) if http10 => {
                status.release(queued);
                let error = StreamError::BadState(BadState::ChunkedOverHttp10);
                return self.connection.sink.event(Event::StreamError { stream: &stream, error });
            }
            Body::Streamed(None) => (TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            Body::Streamed(Some(length)) => (CONTENT_LENGTH, HeaderValue::from(*length)),
            Body::Whole(bytes) => (CONTENT_LENGTH, HeaderValue::from(bytes.len())),
        };
        let headers = std::iter::once(length).chain(headers).collect();
        let (body, upload) = match body {
            Body::Whole(bytes) => (RequestBody::Whole(bytes, status), None),
            Body::Streamed(length) => {
                let upload = Arc::new(Upload::new(length, status));
                (RequestBody::Streamed(Arc::clone(&upload)), Some(upload))
            }
        };
        let what = What::Request { method, target, headers, body };
        self.wait(Waiting { stream, caller, flow, upload, what, queued, repeated: false });
    }

    /// The upgrade of the connection before comes first.
    fn repeat(&mut self, again: Reupgrade<K>) {
        let Reupgrade { stream, request: UpgradeRequest { caller, target, headers, options } } = again;
        let flow = refusal_flow(&options);
        let what = What::Upgrade { target, headers, options: Box::new(options) };
        self.waiting.push_front(Waiting { stream, caller, flow, upload: None, what, queued: 0, repeated: true });
    }

    /// The options of the upgrade that is repeated, if one is.
    fn repeated_upgrade(&self) -> Option<&WsOptions> {
        let active = self.active.as_ref().filter(|active| active.repeated && !active.cancelled);
        let active = active.and_then(|active| active.upgrade.as_ref()).map(|upgrade| &upgrade.options);
        let waiting = self.waiting.front().filter(|waiting| waiting.repeated);
        let waiting = waiting.and_then(|waiting| match &waiting.what {
            What::Upgrade { options, .. } => Some(options),
            What::Request { .. } => None,
        });
        active.or(waiting).map(Box::as_ref)
    }

    fn refuse(&mut self, outgoing: &Outgoing<K>, error: BadState) {
        self.connection.status.release(outgoing.len());
        refuse(&mut self.connection.sink, outgoing, error);
    }

    /// The upgrade is not repeated any more: what has waited for it is refused.
    fn not_repeated(&mut self) {
        self.connection.status.limit(self.connection.options.http.max_send_queue);
        for outgoing in std::mem::take(&mut self.held) {
            self.refuse(&outgoing, BadState::NotWebsocket);
        }
    }

    fn upgrade(&mut self, upgrade: Upgrade<K>) {
        let queued = upgrade.queued();
        let Upgrade { stream, caller, target, headers, options } = upgrade;
        if self.http10 || self.connection.options.http.version == HttpVersion::Http10 {
            self.connection.status.release(queued);
            let error = StreamError::BadState(BadState::UpgradeOverHttp10);
            return self.connection.sink.event(Event::StreamError { stream: &stream, error });
        }
        let options = Box::new(options.unwrap_or_else(|| self.connection.options.ws.clone()));
        let flow = refusal_flow(&options);
        let what = What::Upgrade { target, headers, options };
        self.wait(Waiting { stream, caller, flow, upload: None, what, queued, repeated: false });
    }

    fn wait(&mut self, waiting: Waiting<K>) {
        if self.closing.is_none() {
            return self.waiting.push_back(waiting);
        }
        self.connection.status.release(waiting.queued);
        let event = Event::StreamError { stream: &waiting.stream, error: StreamError::Closing };
        self.connection.sink.event(event);
    }

    fn data(&mut self, data: RequestData<K>) -> Option<DownReason> {
        let RequestData { stream, caller, data, fin } = data;
        let len = data.len();
        let active = self.active.as_ref().filter(|active| active.stream == stream && !active.cancelled);
        let upload = match active {
            Some(active) => Some((&active.stream, &active.upload)),
            None => {
                let mut waiting = self.waiting.iter();
                waiting.find(|waiting| waiting.stream == stream).map(|waiting| (&waiting.stream, &waiting.upload))
            }
        };
        let result = match upload {
            Some((_, Some(upload))) => upload.push(data, fin),
            Some((_, None)) => Err(BadState::BodyComplete),
            None => Err(BadState::NoStream),
        };
        let Err(error) = result else { return None };
        self.connection.status.release(len);
        let sink = &mut self.connection.sink;
        match upload {
            Some((stream, _)) => sink.event(Event::StreamError { stream, error: StreamError::BadState(error) }),
            // The end of a body that was complete without it: nothing is lost with it.
            None if len == 0 => {}
            None => sink.event(Event::NoStream { stream: &stream, caller: &caller }),
        }
        if error != BadState::BodyTooShort {
            return None;
        }
        if active.is_some() {
            // The server awaits bytes that won't come.
            return Some(ConnectionError::RequestTooShort.into());
        }
        self.forget(&stream);
        None
    }

    /// Removes a request that waits; whether there is one.
    fn forget(&mut self, stream: &K::StreamId) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.stream == *stream) else { return false };
        if let Some(waiting) = self.waiting.remove(at) {
            self.connection.status.release(waiting.queued);
            if waiting.repeated {
                self.not_repeated();
            }
        }
        true
    }

    fn cancel(&mut self, stream: &K::StreamId, caller: &K::Caller) -> Option<DownReason> {
        if let Some(active) = self.active.as_mut().filter(|active| active.stream == *stream) {
            active.cancelled = true;
            let repeated = active.repeated;
            // A server that waits for the rest of a body would never come to the next request, nor would one that has
            // switched to the WebSocket just now.
            let abandoned = active.upload.as_ref().is_some_and(|upload| !upload.is_complete())
                || matches!(active.stage, Stage::Switching(..));
            if repeated {
                self.not_repeated();
            }
            return abandoned.then_some(DownReason::Normal);
        }
        if !self.forget(stream) {
            self.connection.sink.event(Event::NoStream { stream, caller });
        }
        None
    }

    fn stream_info(&mut self, stream: &K::StreamId, receipt: &K::Receipt) {
        let active = self.active.iter().map(|active| (&active.stream, !active.cancelled));
        let mut streams = active.chain(self.waiting.iter().map(|waiting| (&waiting.stream, true)));
        let found = streams.find(|(candidate, _)| **candidate == *stream);
        let info = found.map_or(StreamInfo::Unknown, |(stream, running)| StreamInfo::Stream { stream, running });
        self.connection.sink.event(Event::StreamInfo { receipt, info });
    }

    fn update_flow(&mut self, stream: &K::StreamId, parts: i64) {
        let active = self.active.iter_mut().map(|active| (&active.stream, &mut active.flow));
        let mut flows = active.chain(self.waiting.iter_mut().map(|waiting| (&waiting.stream, &mut waiting.flow)));
        if let Some((_, Some(flow))) = flows.find(|(candidate, _)| **candidate == *stream) {
            *flow = flow.saturating_add(parts);
        }
    }

    /// Starts the next request.
    fn start_next(&mut self) {
        let Some(Waiting { stream, caller, flow, upload, what, queued, repeated }) = self.waiting.pop_front() else {
            return;
        };
        self.connection.status.release(queued);
        let options = &self.connection.options;
        let (head, body, upgrade) = match what {
            What::Request { method, target, headers, body } => {
                (request_headers(&options.authority, headers).map(|headers| (method, target, headers)), body, None)
            }
            What::Upgrade { target, headers, options: ws } => {
                let again = ws.reupgrade.map(|_| {
                    let (target, headers, options) = (target.clone(), headers.clone(), (*ws).clone());
                    Box::new(UpgradeRequest { caller, target, headers, options })
                });
                match handshake::request_headers(&options.authority, &ws, headers) {
                    Ok((headers, asked)) => {
                        let asking = Asking { asked, options: ws, again };
                        (Ok((Method::GET, target, headers)), RequestBody::Empty, Some(asking))
                    }
                    Err(error) => (Err(error), RequestBody::Empty, None),
                }
            }
        };
        let Ok((method, target, headers)) = head else {
            let error = StreamError::BadState(BadState::InvalidHeader);
            return self.connection.sink.event(Event::StreamError { stream: &stream, error });
        };
        if closes(&headers) {
            self.last = Some(DownReason::Normal);
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        if options.http.version == HttpVersion::Http10 {
            *request.version_mut() = Version::HTTP_10;
        }
        let informs = Arc::clone(&self.informs);
        hyper::ext::on_informational(&mut request, move |inform| {
            let inform = (inform.status(), inform.headers().clone());
            informs.lock().unwrap_or_else(PoisonError::into_inner).push(inform);
        });
        self.control.expect_head();
        let stage = Stage::Response(Box::pin(self.sender.send_request(request)));
        self.active = Some(Active { stream, upgrade, repeated, stage, flow, upload, cancelled: false });
    }

    /// Tells of the informational responses that hyper has come upon.
    fn inform(&mut self) {
        let informs = std::mem::take(&mut *self.informs.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(active) = self.active.as_ref().filter(|active| !active.cancelled) else { return };
        for (status, headers) in &informs {
            let event = Event::Inform { stream: &active.stream, status: *status, headers };
            self.connection.sink.event(event);
        }
    }

    /// Takes what has come of the request under way; the reason if the connection is over by it.
    fn progress(&mut self, progress: Progress) -> Option<DownReason> {
        // They came before it.
        self.inform();
        let sink = &mut self.connection.sink;
        let active = self.active.as_mut()?;
        let mut tell = |event| {
            if !active.cancelled {
                sink.event(event);
            }
        };
        let stream = &active.stream;
        let fin = match progress {
            Progress::Response(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let Some(Asking { asked, .. }) = &active.upgrade else {
                    return Some(ConnectionError::Http("nobody asked to switch protocols".into()).into());
                };
                // Nobody wants the WebSocket any more, and HTTP it is not either.
                if active.cancelled {
                    return Some(DownReason::Normal);
                }
                match handshake::check_response(asked, response.headers()) {
                    Ok(chosen) => active.stage = Stage::Switching(response.into_parts().0.headers, chosen),
                    Err(error) => {
                        tell(Event::StreamError { stream, error: StreamError::Handshake(&error) });
                        return Some(ConnectionError::Handshake(error).into());
                    }
                }
                false
            }
            Progress::Response(Ok(response)) => {
                let (head, body) = response.into_parts();
                let fin = body.is_end_stream();
                tell(Event::Response { stream, fin, status: head.status, headers: &head.headers });
                self.http10 = head.version == Version::HTTP_10;
                if self.last.is_none() {
                    self.last = last_after(head.version, &head.headers, fin || body.size_hint().exact().is_some());
                }
                active.stage = Stage::Body(body);
                // A refusal.
                if std::mem::take(&mut active.repeated) {
                    self.not_repeated();
                }
                fin
            }
            Progress::Data { data, fin } => {
                active.flow = active.flow.map(|flow| flow.saturating_sub(1));
                tell(Event::Data { stream, fin, data });
                fin
            }
            Progress::Trailers(trailers) => {
                // As they were received: a colon, a space and a line end with each.
                let len: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
                if len > self.connection.options.http.max_trailer_block_size {
                    return Some(ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into());
                }
                tell(Event::Trailers { stream, trailers: &trailers });
                true
            }
            Progress::Response(Err(error)) | Progress::Failed(error) => return Some(down_reason(&error)),
        };
        let active = self.active.as_mut()?;
        if fin {
            // A server that answers before it has the whole request may leave the rest unread.
            if active.upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
                self.last.get_or_insert(DownReason::Normal);
            }
            self.active = None;
            self.keepalive = self.connection.options.http.keepalive.map(timer);
        }
        None
    }

    fn keep_alive(&mut self) {
        self.control.send_empty_line();
        self.keepalive = self.connection.options.http.keepalive.map(timer);
    }

    /// Starts the timer when the peer takes nothing more, and stops it when it does again.
    fn watch_peer(&mut self) {
        let Some(limit) = self.connection.options.tcp.send_timeout else { return };
        match self.control.blocked_at() {
            None => self.stalled = None,
            Some(written) if self.stalled.is_none() => self.stalled = Some((written, timer(limit))),
            Some(_) => {}
        }
    }

    /// The timer has expired: whether the peer has taken nothing in its time.
    fn is_stalled(&mut self) -> bool {
        let before = self.stalled.take().map(|(written, _)| written);
        before.is_some() && before == self.control.blocked_at()
    }

    /// The connection is over: its streams are told, and named.
    fn down<S>(self, reason: DownReason) -> End<S, K> {
        let shutdown = self.closing.is_some();
        let sink = &mut self.connection.sink;
        if let DownReason::Error(error @ ConnectionError::LimitReached(_)) = &reason {
            sink.event(Event::ConnectionError(error));
        }
        // A stream that is at fault itself knows it already.
        let told =
            matches!(&reason, DownReason::Error(ConnectionError::Handshake(_) | ConnectionError::RequestTooShort));
        let mut killed = Vec::new();
        // A server that answers wrongly is not asked again.
        let repeats = !matches!(
            &reason,
            DownReason::Error(
                ConnectionError::Handshake(_) | ConnectionError::Http(_) | ConnectionError::LimitReached(_)
            )
        );
        if let Some(Active { stream, cancelled, repeated, upgrade, .. }) = self.active {
            let again =
                upgrade.and_then(|asking| asking.again).filter(|_| repeated && repeats && !cancelled && !shutdown);
            if let Some(request) = again {
                self.connection.reupgrade = Some(Box::new(Reupgrade { stream, request: *request }));
            } else {
                if !told && !cancelled {
                    sink.event(Event::StreamError { stream: &stream, error: StreamError::Closed(&reason) });
                }
                killed.push(stream);
            }
        }
        for waiting in self.waiting {
            self.connection.status.release(waiting.queued);
            if let Waiting {
                stream, caller, what: What::Upgrade { target, headers, options }, repeated: true, ..
            } = waiting
            {
                let request = UpgradeRequest { caller, target, headers, options: *options };
                self.connection.reupgrade = Some(Box::new(Reupgrade { stream, request }));
                continue;
            }
            sink.event(Event::StreamError { stream: &waiting.stream, error: StreamError::Closed(&reason) });
            killed.push(waiting.stream);
        }
        // What waits for the next upgrade waits on; without one, whoever waits is told by the connection after this.
        self.connection.commands.put_back(self.held.into_iter().map(Command::Send));
        if shutdown { End::Stop(Stop::ShutDown) } else { End::Down(reason, killed) }
    }

    /// The shutdown waits no longer for the request under way.
    fn shut_down<S>(self) -> End<S, K> {
        if let Some(Active { stream, cancelled: false, .. }) = self.active {
            let event = Event::StreamError { stream: &stream, error: StreamError::ShutDown };
            self.connection.sink.event(event);
        }
        End::Stop(Stop::ShutDown)
    }

    fn upgraded<S: ByteStream>(mut self, dispatcher: Dispatcher<TokioIo<Wire<S>>, RequestBody>) -> End<S, K> {
        let parts = dispatcher.into_parts();
        let active = self.active.take();
        let Some(Active { stream, upgrade: Some(asking), stage: Stage::Switching(headers, chosen), .. }) = active
        else {
            return self.down(DownReason::Normal);
        };
        let Asking { options, again, .. } = asking;
        self.connection.commands.put_back(std::mem::take(&mut self.held).into_iter().map(Command::Send));
        for waiting in std::mem::take(&mut self.waiting) {
            self.connection.status.release(waiting.queued);
            let (stream, caller) = (Some(&waiting.stream), &waiting.caller);
            self.connection.sink.event(Event::BadState { stream, caller, error: BadState::OnlyWebsocket });
        }
        End::Upgraded(Box::new(Upgraded {
            io: parts.io.into_inner().into_inner(),
            // An empty slice of hyper's buffer would hold all of it for as long as the session lives.
            received: if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf },
            stream,
            headers,
            chosen,
            options: *options,
            again,
            shutdown: self.closing.is_some(),
        }))
    }
}

/// Of a refusal, as much is read as of the frames of a WebSocket.
fn refusal_flow(options: &WsOptions) -> Option<i64> {
    if let Flow::Messages(flow) = options.flow { Some(flow) } else { None }
}

/// The headers of a request, the host first; one of the user's takes the place of ours.
fn request_headers(authority: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Result<HeaderMap, http::Error> {
    let mut map = HeaderMap::try_with_capacity(headers.len().saturating_add(1))?;
    map.insert(HOST, HeaderValue::from_str(authority)?);
    for (name, value) in headers {
        if name == HOST {
            map.insert(name, value);
        } else {
            map.try_append(name, value)?;
        }
    }
    Ok(map)
}

/// Whether the connection header says `close`.
fn closes(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "close")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// What the end will be, if the connection can't be used for another request after this response.
fn last_after(version: Version, headers: &HeaderMap, sized: bool) -> Option<DownReason> {
    let coded = headers.contains_key(TRANSFER_ENCODING);
    if !sized && !has_token(headers, &TRANSFER_ENCODING, "chunked") {
        // The body ends where the peer closes.
        return Some(DownReason::Closed);
    }
    let persists = !closes(headers) && (version != Version::HTTP_10 || has_token(headers, &CONNECTION, "keep-alive"));
    // Where two headers disagree on the end of the body, whoever stands between us may have believed the other one
    // (RFC 9112, 6.3).
    let disagree = coded && headers.contains_key(CONTENT_LENGTH);
    (!persists || disagree).then_some(DownReason::Normal)
}

/// A limit's sentence, which names the option.
const TRAILERS_TOO_LARGE: &str = "The response's trailers are larger than max_trailer_block_size.";

/// The other one's.
const HEAD_TOO_LARGE: &str =
    "The response's header block is larger than max_header_block_size, or has more than 512 headers.";

/// What hyper's error means for a connection with a request under way.
fn down_reason(error: &hyper::Error) -> DownReason {
    if error.is_parse_too_large() {
        return ConnectionError::LimitReached(HEAD_TOO_LARGE).into();
    }
    if error.is_parse() {
        return ConnectionError::Http(describe(error)).into();
    }
    match io_error(error) {
        // By hyper, or by what stands below it: the socket gives no such error.
        Some(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            let text = error.to_string();
            if text == HYPER_TRAILERS_TOO_LARGE {
                ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into()
            } else {
                ConnectionError::Http(text).into()
            }
        }
        Some(error) => error.into(),
        None => DownReason::Closed,
    }
}

/// What hyper says of trailers that are larger than a header block may be.
const HYPER_TRAILERS_TOO_LARGE: &str = "chunk trailers bytes over limit";

/// The same, with none under way: a peer that speaks unasked is left without a fuss, as gun does it.
fn idle_down_reason(error: &hyper::Error) -> DownReason {
    match io_error(error) {
        None if !error.is_incomplete_message() => DownReason::Normal,
        // With nothing awaited nothing is lost (RFC 9112, 9.8).
        Some(error) if is_cut(error) => DownReason::Closed,
        _ => down_reason(error),
    }
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

fn describe(error: &dyn Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {source}"),
    }
}

#[cfg(test)]
mod tests;

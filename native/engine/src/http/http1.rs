//! HTTP/1.x on a byte stream: requests and their responses, and the upgrade that may end it.
//!
//! hyper's dispatcher, the request under way and the command queue are polled side by side by the connection's one
//! task. hyper has one request under way at a time; the others wait their turn here, so that responses come in the
//! order of the requests, and what the server sends behind a response can't be taken for the next one.

use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection as Dispatcher, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use super::head::{HeadError, Limits};
use super::refusal;
use super::upload::{RequestBody, Upload};
use super::waiting::{Queue, Timeouts, Waiting, What};
use super::wire::{Control, Wire};
use crate::command::{Body, Command, Outgoing, Request, RequestData, Upgrade};
use crate::connection::{Connection, Reupgrade, Stop, UpgradeRequest, panic_on_command, refuse};
use crate::error::{BadState, ConnectionError, DownReason, Refusal, Wait, inner, is_cut};
use crate::event::{Event, StreamError, StreamInfo};
use crate::options::{Flow, HttpOptions, HttpVersion, WsOptions};
use crate::sink::Sink;
use crate::transport::ByteStream;
use crate::websocket::credit::{Credit, Window};
use crate::websocket::handshake::{self, Asked, Chosen};

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
    /// How many parts of the body may still be told.
    credit: Credit,
    /// What came of the body and is not told yet, since more of the same read may follow.
    part: Option<Part>,
    /// The request's body, where it came in parts.
    upload: Option<Arc<Upload>>,
    /// How long the peer may take from one part of the response's body to the next.
    body_timeout: Option<Duration>,
    /// Whether the stream was cancelled: what comes of it is thrown away.
    cancelled: bool,
}

/// What one read has brought of a body, which hyper gives chunk by chunk. As in gun, it is told at once, and costs one of
/// the flow.
struct Part {
    first: Bytes,
    /// The first too, once there is more than that.
    joint: BytesMut,
    /// How often hyper had wanted to read when it came, and how often it had.
    reads: u64,
    reads_done: u64,
    /// Whether it is the last.
    fin: bool,
}

impl Part {
    /// Whether nothing more of the same read can follow.
    fn is_whole(&self, control: &Control) -> bool {
        self.fin || control.reads() != self.reads
    }

    fn append(&mut self, data: &Bytes) {
        if data.is_empty() {
            return;
        }
        if self.joint.is_empty() {
            self.joint.extend_from_slice(&self.first);
        }
        self.joint.extend_from_slice(data);
    }

    fn into_data(self) -> Bytes {
        if self.joint.is_empty() { self.first } else { self.joint.freeze() }
    }
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
    Data {
        data: Bytes,
        fin: bool,
    },
    /// The part of the body under way has come whole.
    Whole,
    Trailers(HeaderMap),
    Failed(hyper::Error),
}

/// Informational responses that hyper has parsed and that are not told yet.
type Informs = Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>;

type Timer = Pin<Box<Sleep>>;

/// When the request under way has waited long enough.
struct Deadline {
    wait: Wait,
    limit: Duration,
    timer: Timer,
}

impl Deadline {
    fn new(wait: Wait, limit: Option<Duration>) -> Option<Self> {
        limit.map(|limit| Self { wait, limit, timer: timer(limit) })
    }

    /// It runs anew from this moment on.
    fn restart(&mut self, from: Instant) {
        self.timer.as_mut().reset(from + self.limit);
    }
}

struct Http<'a, K: Sink> {
    connection: &'a mut Connection<K>,
    sender: SendRequest<RequestBody>,
    waiting: Queue<K>,
    active: Option<Active<K>>,
    informs: Informs,
    control: Arc<Control>,
    /// Set by what the peer has sent: no request follows the one under way, and this is what the end will be.
    last: Option<DownReason>,
    /// Whether that was set: requests that come now are for the next connection.
    ending: bool,
    /// For the request under way.
    deadline: Option<Deadline>,
    /// The server speaks HTTP/1.0.
    http10: bool,
    /// Set by a shutdown: when it has waited long enough for the request under way.
    closing: Option<Option<Timer>>,
    /// What may be told to whoever hands it on, where somebody does: of all streams together.
    relay: Window,
    /// When to send an empty line.
    keepalive: Option<Timer>,
    /// How many bytes the peer had taken when it took no more, and when that is too long ago.
    stalled: Option<(u64, Timer)>,
    /// Frames that wait for an upgrade that is repeated.
    held: Vec<Box<Outgoing<K>>>,
}

/// Serves the byte stream until it is down, or a WebSocket.
pub(crate) async fn serve<S: ByteStream, K: Sink>(io: S, connection: &mut Connection<K>) -> End<S, K> {
    let control = Arc::new(Control::new());
    let mut turns = pin!(serve_in_turns(io, connection, Arc::clone(&control)));
    poll_fn(|cx| {
        control.begin_turn();
        turns.as_mut().poll(cx)
    })
    .await
}

async fn serve_in_turns<S: ByteStream, K: Sink>(
    io: S,
    connection: &mut Connection<K>,
    control: Arc<Control>,
) -> End<S, K> {
    let io = TokioIo::new(Wire::new(io, Arc::clone(&control), limits(&connection.options.http)));
    let (sender, mut dispatcher) = match builder(&connection.options.http).handshake(io).await {
        Ok(parts) => parts,
        Err(error) => return End::Down(down_reason(&error, &control), Vec::new()),
    };
    let keepalive = connection.options.http.keepalive.map(timer);
    let waiting = connection.carried.take().map_or_else(Queue::new, |carried| *carried);
    let mut http = Http {
        connection,
        sender,
        waiting,
        active: None,
        informs: Informs::default(),
        control,
        last: None,
        ending: false,
        deadline: None,
        http10: false,
        closing: None,
        relay: Window::for_relay(),
        keepalive,
        stalled: None,
        held: Vec::new(),
    };
    if let Some(again) = http.connection.reupgrade.take() {
        http.repeat(*again);
    }
    let mut done: Option<hyper::Result<()>> = None;
    loop {
        if http.control.is_turn_over() {
            yield_now().await;
        }
        if let Some(result) = &done {
            match &mut http.active {
                Some(Active { stage: Stage::Switching(..), .. }) => return http.upgraded(dispatcher),
                // What has been received of a response is there to be taken, though the connection is over. hyper may
                // leave a request unanswered whose turn came together with the end of the connection.
                Some(active) => {
                    active.credit = Credit::new(Flow::Unlimited, false);
                    http.relay = Window::for_relay();
                    let progress = pin!(progress(&mut http.active, &http.control, false))
                        .poll(&mut Context::from_waker(Waker::noop()));
                    let reason = match progress {
                        Poll::Ready(progress) => http.progress(progress),
                        Poll::Pending => Some(match result {
                            Ok(()) => DownReason::Closed,
                            Err(error) => down_reason(error, &http.control),
                        }),
                    };
                    match reason {
                        Some(reason) => return http.down(reason),
                        None => continue,
                    }
                }
                None => {
                    let reason = http.last.take().unwrap_or_else(|| match result {
                        Ok(()) => DownReason::Closed,
                        Err(error) => idle_down_reason(error, &http.control),
                    });
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
        let active = http.active.as_ref().filter(|active| !active.is_held_up(&http.relay));
        let reads = active.and_then(|active| active.part.as_ref()).map(|part| part.reads);
        tokio::select! {
            biased;
            progress = progress(&mut http.active, &http.control, http.relay.is_exhausted()) => {
                if let Some(reason) = http.progress(progress) {
                    return http.down(reason);
                }
            }
            result = dispatch(&mut dispatcher, &http.informs, &http.control, blocked, reads), if done.is_none() => {
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
            () = expiry(http.deadline.as_mut().map(|deadline| &mut deadline.timer)) => {
                if let Some(reason) = http.timed_out() {
                    return http.down(reason);
                }
            }
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
        .max_headers(options.max_headers as usize)
        .max_header_size(options.max_header_block_size)
        .max_buf_size(options.max_header_block_size.saturating_add(1).max(READ_BUFFER))
        .title_case_headers(options.title_case_headers);
    builder
}

fn limits(options: &HttpOptions) -> Limits {
    Limits { informs: options.max_informs, bytes: options.max_header_block_size, lines: options.max_headers }
}

/// Lets hyper do its work until it is done, has come upon an informational response, wants to read for the first time
/// since a part of a body came, or the peer has begun or ceased to take nothing, if that is not what it is known for.
async fn dispatch<S: ByteStream>(
    dispatcher: &mut Dispatcher<TokioIo<Wire<S>>, RequestBody>,
    informs: &Informs,
    control: &Control,
    blocked: Option<bool>,
    reads: Option<u64>,
) -> Option<hyper::Result<()>> {
    poll_fn(|cx| match dispatcher.poll_without_shutdown(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if !informs.lock().unwrap_or_else(PoisonError::into_inner).is_empty() => Poll::Ready(None),
        Poll::Pending if reads.is_some_and(|reads| reads != control.reads()) => Poll::Ready(None),
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

/// The next thing to come of the request under way; with `held_up`, of one that is told of nothing, whoever hands things
/// on must first keep up.
async fn progress<K: Sink>(active: &mut Option<Active<K>>, control: &Control, held_up: bool) -> Progress {
    let Some(active) = active else { return pending().await };
    let part = &active.part;
    match &mut active.stage {
        _ if held_up && !active.cancelled => pending().await,
        Stage::Response(response) => Progress::Response(response.await),
        // Not to read on is what holds the server back: hyper reads no further than this body is taken.
        Stage::Body(_) if active.credit.is_held_up() && !active.cancelled => pending().await,
        Stage::Body(body) => loop {
            let frame = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending if part.as_ref().is_some_and(|part| part.is_whole(control)) => Poll::Ready(None),
                poll => poll.map(Some),
            });
            match frame.await {
                None => return Progress::Whole,
                Some(None) => return Progress::Data { data: Bytes::new(), fin: true },
                Some(Some(Err(error))) => return Progress::Failed(error),
                Some(Some(Ok(frame))) => match frame.into_data() {
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

impl<K: Sink> Active<K> {
    /// Whether no part of the response's body is taken until those who are told of it allow more.
    fn is_held_up(&self, relay: &Window) -> bool {
        !self.cancelled && (relay.is_exhausted() || self.credit.is_held_up())
    }

    /// The refusal of an upgrade that is repeated, if it is one after which the upgrade is tried again.
    fn refusal_to_retry(&self, status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
        let asking = self.upgrade.as_ref().filter(|_| self.repeated && !self.cancelled)?;
        refusal::to_retry(asking.options.reupgrade.as_ref()?, status, headers)
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
            Command::UpdateFlow(Some(stream), parts) => self.resume(|http| http.update_flow(&stream, parts)),
            Command::FlowGrant(stream) => self.resume(|http| {
                if let Some(active) = http.active.as_mut().filter(|active| active.stream == *stream) {
                    active.credit.grant();
                }
            }),
            Command::RelayGrant => self.resume(|http| http.relay.grant()),
            Command::Upgrade(upgrade) => self.upgrade(*upgrade),
            Command::Send(outgoing) => match self.repeated_upgrade() {
                Some(options) if options.reupgrade_queue().is_some() => self.held.push(outgoing),
                Some(_) => self.refuse(&outgoing, BadState::Reconnecting),
                None => self.refuse(&outgoing, BadState::NotWebsocket),
            },
            Command::Ping(ping) if self.closing.is_some() => {
                let event = Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping };
                self.connection.sink.event(event);
            }
            Command::Ping(ping) => {
                self.connection.sink.control(ping.name);
                return Some(ConnectionError::PingUnsupported.into());
            }
            Command::Shutdown => {
                for waiting in self.waiting.drain() {
                    refuse_request(self.connection, &waiting, StreamError::Closing);
                }
                let limit = self.connection.options.http.closing_timeout;
                self.closing.get_or_insert(limit.map(timer));
            }
            Command::Control(control) => self.connection.sink.control(*control),
            Command::Panic => panic_on_command(),
            // Answers that a WebSocket has not lived to see.
            Command::Connect(_) | Command::UpdateFlow(None, _) | Command::Settled => {}
        }
        None
    }

    fn request(&mut self, request: Request<K>) {
        let queued = request.head_cost();
        let Request { stream, caller, method, target, headers, body, flow, response_timeout, body_timeout } = request;
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
        let timeouts = Timeouts { answer: response_timeout, body: body_timeout };
        let credit = self.credit(flow, &stream);
        self.wait(Waiting { stream, caller, credit, upload, what, timeouts, queued, repeated: false });
    }

    /// How much of a response's body may be told: of a refused upgrade's, as many parts as messages of its WebSocket.
    fn credit(&self, flow: Flow, stream: &K::Stream) -> Credit {
        Credit::new(flow, self.connection.sink.is_remote(stream))
    }

    /// The upgrade of the connection before comes first.
    fn repeat(&mut self, again: Reupgrade<K>) {
        let Reupgrade { stream, request: UpgradeRequest { caller, target, headers, options } } = again;
        let (credit, timeouts) = (self.credit(options.flow, &stream), upgrade_timeouts(&options));
        let what = What::Upgrade { target, headers, options: Box::new(options) };
        let repeated = true;
        self.waiting.push_front(Waiting { stream, caller, credit, upload: None, what, timeouts, queued: 0, repeated });
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
        self.connection.status.release(outgoing.cost());
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
        let queued = upgrade.cost();
        let Upgrade { stream, caller, target, headers, options } = upgrade;
        if self.http10 || self.connection.options.http.version == HttpVersion::Http10 {
            self.connection.status.release(queued);
            let error = StreamError::BadState(BadState::UpgradeOverHttp10);
            return self.connection.sink.event(Event::StreamError { stream: &stream, error });
        }
        let options = Box::new(options.unwrap_or_else(|| self.connection.options.ws.clone()));
        let (credit, timeouts) = (self.credit(options.flow, &stream), upgrade_timeouts(&options));
        let what = What::Upgrade { target, headers, options };
        self.wait(Waiting { stream, caller, credit, upload: None, what, timeouts, queued, repeated: false });
    }

    fn wait(&mut self, waiting: Waiting<K>) {
        if self.closing.is_some() || self.ending && !self.connection.options.reconnects {
            refuse_request(self.connection, &waiting, StreamError::ConnectionCloses);
        } else {
            self.waiting.push_back(waiting);
        }
    }

    /// No request follows the one under way, and this is what the end will be. Those that wait are refused, as in gun;
    /// those that are still to come wait for the next connection.
    fn end_with(&mut self, reason: DownReason) {
        self.last.get_or_insert(reason);
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        for waiting in self.waiting.drain() {
            refuse_request(self.connection, &waiting, StreamError::ConnectionCloses);
        }
    }

    fn data(&mut self, data: RequestData<K>) -> Option<DownReason> {
        let cost = data.cost();
        let RequestData { stream, caller, data, fin } = data;
        let is_empty = data.is_empty();
        let result = match find(&self.active, &self.waiting, &stream) {
            Some((_, Some(upload))) => upload.push(data, fin),
            Some((_, None)) => Err(BadState::BodyComplete),
            None => Err(BadState::NoStream),
        };
        let Err(error) = result else { return None };
        self.connection.status.release(cost);
        if error == BadState::BodyTooShort {
            // Nothing of the response may follow the error.
            self.tell_part();
        }
        let sink = &mut self.connection.sink;
        match find(&self.active, &self.waiting, &stream) {
            Some((stream, _)) => sink.event(Event::StreamError { stream, error: StreamError::BadState(error) }),
            // The end of a body that was complete without it: nothing is lost with it.
            None if is_empty => {}
            None => sink.event(Event::NoStream { stream: &stream, caller: &caller }),
        }
        if error != BadState::BodyTooShort {
            return None;
        }
        if self.active.as_ref().is_some_and(|active| active.stream == stream && !active.cancelled) {
            // The server awaits bytes that won't come.
            return Some(ConnectionError::RequestTooShort.into());
        }
        self.forget(&stream);
        None
    }

    /// Removes a request that waits; whether there is one.
    fn forget(&mut self, stream: &K::StreamId) -> bool {
        let Some(waiting) = self.waiting.remove(stream) else { return false };
        self.connection.status.release(waiting.queued);
        if waiting.repeated {
            self.not_repeated();
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
        let active = self.active.as_ref().filter(|active| active.stream == *stream);
        let active = active.map(|active| (&active.stream, !active.cancelled));
        let found = active.or_else(|| self.waiting.get(stream).map(|waiting| (&waiting.stream, true)));
        let info = found.map_or(StreamInfo::Unknown, |(stream, running)| StreamInfo::Stream { stream, running });
        self.connection.sink.event(Event::StreamInfo { receipt, info });
    }

    /// Lets more be told. If nothing could be, the peer was held back, and its time for the next part of the body begins
    /// only now.
    fn resume(&mut self, allow: impl FnOnce(&mut Self)) {
        let held_up = self.active.as_ref().is_some_and(|active| active.is_held_up(&self.relay));
        allow(self);
        if held_up
            && let Some(deadline) = &mut self.deadline
            && deadline.wait == Wait::Body
        {
            deadline.restart(Instant::now());
        }
    }

    fn update_flow(&mut self, stream: &K::StreamId, parts: i64) {
        let credit = match self.active.as_mut().filter(|active| active.stream == *stream) {
            Some(active) => Some(&mut active.credit),
            None => self.waiting.get_mut(stream).map(|waiting| &mut waiting.credit),
        };
        if let Some(credit) = credit {
            credit.update(parts);
        }
    }

    /// Starts the next request.
    fn start_next(&mut self) {
        let Some(waiting) = self.waiting.pop_front() else { return };
        let Waiting { stream, caller, credit, upload, what, timeouts, queued, repeated } = waiting;
        self.connection.status.release(queued);
        let options = &self.connection.options;
        let (head, body, upgrade) = match what {
            What::Request { method, target, headers, body } => {
                (request_headers(&options.authority, headers).map(|headers| (method, target, headers)), body, None)
            }
            What::Upgrade { target, headers, options: ws } => {
                let again = ws.reupgrade.as_ref().map(|_| {
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
        let closes = closes(&headers);
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
        let wait = if upgrade.is_some() { Wait::Upgrade } else { Wait::Response };
        self.deadline = Deadline::new(wait, timeouts.answer);
        let (body_timeout, cancelled) = (timeouts.body, false);
        self.active =
            Some(Active { stream, upgrade, repeated, stage, credit, part: None, upload, body_timeout, cancelled });
        if closes {
            self.end_with(DownReason::Normal);
        }
    }

    /// Tells of the informational responses that hyper has come upon.
    fn inform(&mut self) {
        let informs = std::mem::take(&mut *self.informs.lock().unwrap_or_else(PoisonError::into_inner));
        for (status, headers) in &informs {
            let Some(active) = self.active.as_ref().filter(|active| !active.cancelled) else { return };
            let event = Event::Inform { stream: &active.stream, status: *status, headers };
            self.connection.sink.event(event);
            self.control.spend_event();
            self.told(headers_len(headers));
        }
    }

    /// Something of `len` bytes is told of the request under way: whoever hands it on is asked whether he keeps up.
    fn told(&mut self, len: usize) {
        let Some(active) = self.active.as_ref().filter(|active| !active.cancelled) else { return };
        let sink = &mut self.connection.sink;
        if sink.relays(&active.stream) {
            self.relay.spend(len);
            if self.relay.ask().is_some() {
                sink.event(Event::RelayCheck);
            }
        }
    }

    /// Takes what has come of the request under way; the reason if the connection is over by it.
    fn progress(&mut self, progress: Progress) -> Option<DownReason> {
        // They came before it.
        self.inform();
        self.control.spend_event();
        match progress {
            Progress::Data { data, fin } => {
                self.data_came(data, fin);
                return None;
            }
            Progress::Whole => {
                self.tell_part();
                return None;
            }
            _ => self.tell_part(),
        }
        let len = match &progress {
            Progress::Response(Ok(response)) => headers_len(response.headers()),
            Progress::Trailers(trailers) => headers_len(trailers),
            _ => 0,
        };
        let sink = &mut self.connection.sink;
        let active = self.active.as_mut()?;
        let mut tell = |event| {
            if !active.cancelled {
                sink.event(event);
            }
        };
        let stream = &active.stream;
        let mut last = None;
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
                    Ok(chosen) => {
                        active.stage = Stage::Switching(response.into_parts().0.headers, chosen);
                        self.deadline = None;
                    }
                    Err(error) => {
                        tell(Event::StreamError { stream, error: StreamError::Handshake(&error) });
                        return Some(ConnectionError::Handshake(error).into());
                    }
                }
                false
            }
            Progress::Response(Ok(response)) => {
                let (head, body) = response.into_parts();
                if let Some(refusal) = active.refusal_to_retry(head.status, &head.headers) {
                    return Some(ConnectionError::Refused(refusal).into());
                }
                let fin = body.is_end_stream();
                tell(Event::Response { stream, fin, status: head.status, headers: &head.headers });
                self.http10 = head.version == Version::HTTP_10;
                self.connection.served = true;
                // A server that keeps an HTTP/1.0 connection alive says so, of whatever version it is itself.
                let version = match self.connection.options.http.version {
                    HttpVersion::Http10 => Version::HTTP_10,
                    HttpVersion::Http11 => head.version,
                };
                last = last_after(version, &head.headers, fin || body.size_hint().exact().is_some());
                active.stage = Stage::Body(body);
                self.deadline = Deadline::new(Wait::Body, active.body_timeout);
                // A refusal.
                if std::mem::take(&mut active.repeated) {
                    self.not_repeated();
                }
                fin
            }
            Progress::Data { .. } | Progress::Whole => false,
            Progress::Trailers(trailers) => {
                if len > self.connection.options.http.max_trailer_block_size {
                    return Some(ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into());
                }
                tell(Event::Trailers { stream, trailers: &trailers });
                true
            }
            Progress::Response(Err(error)) | Progress::Failed(error) => {
                return Some(down_reason(&error, &self.control));
            }
        };
        match last {
            Some(DownReason::Normal) => self.end_with(DownReason::Normal),
            // The end of the body is the peer's to find; as in gun, what waits for it ends with it.
            Some(reason) => {
                self.last.get_or_insert(reason);
            }
            None => {}
        }
        self.told(len);
        if fin {
            self.response_ends();
        }
        None
    }

    /// Takes a part of the body; it is told when nothing more of the same read can follow.
    fn data_came(&mut self, data: Bytes, fin: bool) {
        if let Some(deadline) = &mut self.deadline {
            deadline.restart(Instant::now());
        }
        let (reads, reads_done) = (self.control.reads(), self.control.reads_done());
        let (ends, len) = (data.is_empty(), data.len());
        // hyper looks for what follows a response as soon as it has found the end.
        let later = |part: &Part| {
            let later = if ends { part.reads_done != reads_done } else { part.reads != reads };
            later && !part.fin
        };
        if self.active.as_ref().and_then(|active| active.part.as_ref()).is_some_and(later) {
            self.tell_part();
        }
        let Some(active) = &mut self.active else { return };
        match &mut active.part {
            Some(part) => {
                part.append(&data);
                part.fin |= fin;
            }
            None => active.part = Some(Part { first: data, joint: BytesMut::new(), reads, reads_done, fin }),
        }
        let (ends, relayed) = (fin && !active.is_held_up(&self.relay), self.connection.sink.relays(&active.stream));
        if relayed && !active.cancelled {
            // Chunk by chunk, since whoever hands them on may have work with each; what is asked about is told first.
            self.relay.spend(len);
            let asks = self.relay.ask().is_some();
            let exhausted = self.relay.is_exhausted();
            if (asks || exhausted) && self.active.as_ref().is_some_and(|active| !active.credit.is_held_up()) {
                self.tell_part();
            }
            if asks {
                self.connection.sink.event(Event::RelayCheck);
            }
        }
        if ends {
            self.tell_part();
        }
    }

    /// Tells what came of the body and is not told yet.
    fn tell_part(&mut self) {
        let Some(active) = &mut self.active else { return };
        let Some(part) = active.part.take() else { return };
        let fin = part.fin;
        if !active.cancelled {
            let data = part.into_data();
            let (sink, stream, len) = (&mut self.connection.sink, &active.stream, data.len());
            active.credit.spend(len);
            sink.event(Event::Data { stream, fin, data });
            if !fin && let Some((messages, bytes)) = active.credit.ask() {
                sink.event(Event::FlowCheck { stream, messages, bytes });
            }
        }
        if fin {
            self.response_ends();
        }
    }

    fn response_ends(&mut self) {
        let Some(active) = &self.active else { return };
        // A server that answers before it has the whole request may leave the rest unread.
        if active.upload.as_ref().is_some_and(|upload| !upload.is_complete()) {
            self.end_with(DownReason::Normal);
        }
        (self.active, self.deadline) = (None, None);
        self.keepalive = self.connection.options.http.keepalive.map(timer);
    }

    /// The request under way has waited as long as it may: the reason, unless it isn't the peer that it has waited for.
    fn timed_out(&mut self) -> Option<DownReason> {
        let (active, deadline) = (self.active.as_ref()?, self.deadline.as_mut()?);
        let now = Instant::now();
        let from = match deadline.wait {
            Wait::Upgrade | Wait::Response if self.relay.is_exhausted() && !active.cancelled => now,
            Wait::Upgrade | Wait::Response if active.upload.as_ref().is_some_and(|upload| !upload.is_complete()) => now,
            // A peer that takes the request is not expected to answer it yet.
            Wait::Upgrade | Wait::Response => self.control.wrote_at(),
            Wait::Body if active.is_held_up(&self.relay) => now,
            Wait::Body => now - deadline.limit,
        };
        if from + deadline.limit > now {
            deadline.restart(from);
            return None;
        }
        let wait = deadline.wait;
        self.deadline = None;
        self.tell_part();
        if let Some(active) = self.active.as_ref().filter(|active| !active.cancelled && !active.repeated) {
            let event = Event::StreamError { stream: &active.stream, error: StreamError::Timeout(wait) };
            self.connection.sink.event(event);
        }
        // Whatever comes now can't be told from the answer to the next request.
        Some(ConnectionError::Timeout(wait).into())
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
    fn down<S>(mut self, reason: DownReason) -> End<S, K> {
        self.tell_part();
        let shutdown = self.closing.is_some();
        let sink = &mut self.connection.sink;
        if let DownReason::Error(error @ ConnectionError::LimitReached(_)) = &reason {
            sink.event(Event::ConnectionError(error));
        }
        // A stream that is at fault itself knows it already.
        let told = matches!(
            &reason,
            DownReason::Error(
                ConnectionError::Handshake(_) | ConnectionError::RequestTooShort | ConnectionError::Timeout(_)
            )
        );
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
        let mut carried = Queue::new();
        for waiting in self.waiting.drain() {
            if self.ending {
                carried.push_back(waiting);
                continue;
            }
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
        self.connection.carried = Some(Box::new(carried)).filter(|carried| !carried.is_empty());
        // What waits for the next upgrade waits on; without one, whoever waits is told by the connection after this.
        self.connection.commands.put_back(self.held.into_iter().map(Command::Send));
        if shutdown { End::Stop(Stop::ShutDown) } else { End::Down(reason, killed) }
    }

    /// The shutdown waits no longer for the request under way.
    fn shut_down<S>(mut self) -> End<S, K> {
        self.tell_part();
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
        for waiting in self.waiting.drain() {
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

/// A stream that there is, and its request's body where it came in parts.
fn find<'a, K: Sink>(
    active: &'a Option<Active<K>>,
    waiting: &'a Queue<K>,
    stream: &K::StreamId,
) -> Option<(&'a K::Stream, &'a Option<Arc<Upload>>)> {
    match active.as_ref().filter(|active| active.stream == *stream && !active.cancelled) {
        Some(active) => Some((&active.stream, &active.upload)),
        None => waiting.get(stream).map(|waiting| (&waiting.stream, &waiting.upload)),
    }
}

/// A request never has its turn.
fn refuse_request<K: Sink>(connection: &mut Connection<K>, waiting: &Waiting<K>, error: StreamError<'_>) {
    connection.status.release(waiting.queued);
    connection.sink.event(Event::StreamError { stream: &waiting.stream, error });
}

fn upgrade_timeouts(options: &WsOptions) -> Timeouts {
    Timeouts { answer: options.upgrade_timeout, body: None }
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

/// Their bytes, as they were received: a colon, a space and a line end with each.
fn headers_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
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

/// The sentence of the limit on informational responses.
const TOO_MANY_INFORMS: &str = "The server has sent more informational responses to the request than max_informs.";

/// The sentence of the limit on their size.
const INFORMS_TOO_LARGE: &str =
    "The informational responses to the request are together larger than max_header_block_size.";

/// What is wrong with a content-length that hyper cannot count.
const CONTENT_LENGTH_TOO_LARGE: &str = "the response's content-length is larger than can be counted";

/// The other one's.
const HEAD_TOO_LARGE: &str =
    "The response's header block is larger than max_header_block_size, or has more headers than max_headers.";

/// What hyper's error means for a connection with a request under way.
fn down_reason(error: &hyper::Error, control: &Control) -> DownReason {
    if error.is_parse_too_large() && control.head_fits() {
        return ConnectionError::Http(CONTENT_LENGTH_TOO_LARGE.into()).into();
    }
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
            match inner(error) {
                Some(HeadError::TooManyInforms) => ConnectionError::LimitReached(TOO_MANY_INFORMS).into(),
                Some(HeadError::InformsTooLarge) => ConnectionError::LimitReached(INFORMS_TOO_LARGE).into(),
                _ if text == HYPER_TRAILERS_TOO_LARGE => ConnectionError::LimitReached(TRAILERS_TOO_LARGE).into(),
                _ => ConnectionError::Http(text).into(),
            }
        }
        Some(error) => error.into(),
        None => DownReason::Closed,
    }
}

/// What hyper says of trailers that are larger than a header block may be.
const HYPER_TRAILERS_TOO_LARGE: &str = "chunk trailers bytes over limit";

/// The same, with none under way: a peer that speaks unasked is left without a fuss, as gun does it.
fn idle_down_reason(error: &hyper::Error, control: &Control) -> DownReason {
    match io_error(error) {
        None if !error.is_incomplete_message() => DownReason::Normal,
        // With nothing awaited nothing is lost (RFC 9112, 9.8).
        Some(error) if is_cut(error) => DownReason::Closed,
        _ => down_reason(error, control),
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

//! HTTP/1.x on a byte stream, up to the upgrade.
//!
//! hyper's dispatcher, the request under way and the command queue are polled side by side by the connection's one
//! task. hyper has one request under way at a time; the others wait their turn here.

use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection as Dispatcher, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::command::{Command, Upgrade};
use crate::connection::{Connection, Stop, panic_on_command, refuse};
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::{Event, StreamError};
use crate::options::{HttpVersion, WsOptions};
use crate::sink::Sink;
use crate::transport::{ByteStream, is_cut};
use crate::websocket::handshake::{self, Asked, Chosen};

/// The most bytes of a response's status line and headers; gun's default.
const MAX_HEADER_BLOCK: usize = 100_000;

/// The most headers of a response: what a header block of that size may reasonably hold. [`down_reason`] names it.
const MAX_HEADERS: usize = 512;

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
    /// A shutdown was asked for while the response was awaited.
    pub(crate) shutdown: bool,
}

/// The request under way.
struct Active<K: Sink> {
    stream: K::Stream,
    asked: Asked,
    options: WsOptions,
    stage: Stage,
}

enum Stage {
    Response(ResponseFuture),
    Body(Incoming),
    /// The handshake is complete; the dispatcher has yet to let go of the byte stream.
    Switching(HeaderMap, Chosen),
}

type ResponseFuture = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// What the request under way has come to.
enum Progress {
    Response(hyper::Result<Response<Incoming>>),
    Data { data: Bytes, fin: bool },
    Failed(hyper::Error),
}

struct Http<'a, K: Sink> {
    connection: &'a mut Connection<K>,
    sender: SendRequest<Empty<Bytes>>,
    waiting: VecDeque<Box<Upgrade<K>>>,
    active: Option<Active<K>>,
    /// Set by a shutdown: when it has waited long enough for the request under way.
    closing: Option<Option<Pin<Box<Sleep>>>>,
}

/// Serves the byte stream until it is down, or a WebSocket.
pub(crate) async fn serve<S: ByteStream, K: Sink>(io: S, connection: &mut Connection<K>) -> End<S, K> {
    let mut builder = Builder::new();
    builder.max_header_size(MAX_HEADER_BLOCK).max_headers(MAX_HEADERS);
    let (sender, mut dispatcher) = match builder.handshake::<_, Empty<Bytes>>(TokioIo::new(io)).await {
        Ok(parts) => parts,
        Err(error) => return End::Down(down_reason(&error), Vec::new()),
    };
    let mut http = Http { connection, sender, waiting: VecDeque::new(), active: None, closing: None };
    let mut done: Option<hyper::Result<()>> = None;
    loop {
        if let Some(result) = &done {
            match &http.active {
                Some(Active { stage: Stage::Switching(..), .. }) => return http.upgraded(dispatcher),
                // What has been received of a response is there to be taken, though the connection is over. hyper may
                // leave a request unanswered whose turn came together with the end of the connection.
                Some(_) => {
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
                    let reason = result.as_ref().map_or_else(idle_down_reason, |()| DownReason::Closed);
                    return http.down(reason);
                }
            }
        }
        if http.active.is_none() && http.closing.is_some() {
            return End::Stop(Stop::ShutDown);
        }
        tokio::select! {
            biased;
            progress = progress(&mut http.active) => {
                if let Some(reason) = http.progress(progress) {
                    return http.down(reason);
                }
            }
            result = poll_fn(|cx| dispatcher.poll_without_shutdown(cx)), if done.is_none() => done = Some(result),
            () = ready(&mut http.sender), if http.active.is_none() && !http.waiting.is_empty() => http.start_next(),
            command = http.connection.commands.recv() => match command {
                Some(command) => http.command(command),
                None => return End::Stop(Stop::Abandoned),
            },
            () = closing_timeout(&mut http.closing) => return http.shut_down(),
        }
    }
}

/// When hyper takes the next request; never, when it takes no more, for then its dispatcher is about to end.
async fn ready(sender: &mut SendRequest<Empty<Bytes>>) {
    if sender.ready().await.is_err() {
        pending().await
    }
}

async fn closing_timeout(closing: &mut Option<Option<Pin<Box<Sleep>>>>) {
    match closing {
        Some(Some(timer)) => timer.await,
        _ => pending().await,
    }
}

/// The next thing to come of the request under way.
async fn progress<K: Sink>(active: &mut Option<Active<K>>) -> Progress {
    match active.as_mut().map(|active| &mut active.stage) {
        Some(Stage::Response(response)) => Progress::Response(response.await),
        Some(Stage::Body(body)) => loop {
            match body.frame().await {
                None => {
                    return Progress::Data { data: Bytes::new(), fin: true };
                }
                Some(Err(error)) => return Progress::Failed(error),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Progress::Data { data, fin: body.is_end_stream() };
                    }
                }
            }
        },
        Some(Stage::Switching(..)) | None => pending().await,
    }
}

impl<K: Sink> Http<'_, K> {
    fn command(&mut self, command: Command<K>) {
        match command {
            Command::Upgrade(upgrade) => self.upgrade(upgrade),
            Command::Send(outgoing) => {
                self.connection.status.release(outgoing.len());
                refuse(&mut self.connection.sink, &outgoing.reply, BadState::NotWebsocket);
            }
            Command::Shutdown => {
                for upgrade in self.waiting.drain(..) {
                    let event = Event::StreamError { stream: &upgrade.stream, error: StreamError::Closing };
                    self.connection.sink.event(event);
                }
                let limit = self.active.as_ref().and_then(|active| active.options.closing_timeout);
                let timer = |limit: Duration| Box::pin(sleep_until(Instant::now() + limit));
                self.closing.get_or_insert(limit.map(timer));
            }
            Command::Control(control) => self.connection.sink.control(*control),
            Command::Panic => panic_on_command(),
            // Answers that a WebSocket has not lived to see.
            Command::Connect | Command::UpdateFlow(_) | Command::FlowGrant | Command::Settled => {}
        }
    }

    fn upgrade(&mut self, upgrade: Box<Upgrade<K>>) {
        let error = if self.connection.options.http_version == HttpVersion::Http10 {
            StreamError::BadState(BadState::UpgradeOverHttp10)
        } else if self.closing.is_some() {
            StreamError::Closing
        } else {
            return self.waiting.push_back(upgrade);
        };
        self.connection.sink.event(Event::StreamError { stream: &upgrade.stream, error });
    }

    /// Starts the next request.
    fn start_next(&mut self) {
        let Some(upgrade) = self.waiting.pop_front() else {
            return;
        };
        let Upgrade { stream, target, headers, options, .. } = *upgrade;
        let options = options.unwrap_or_else(|| self.connection.options.ws.clone());
        let authority = &self.connection.options.authority;
        let asked = handshake::request_headers(authority, &options, headers);
        match asked {
            Ok((headers, asked)) => {
                let mut request = Request::new(Empty::new());
                *request.uri_mut() = target;
                *request.headers_mut() = headers;
                let response = Box::pin(self.sender.send_request(request));
                self.active = Some(Active { stream, asked, options, stage: Stage::Response(response) });
            }
            Err(_) => {
                let error = StreamError::BadState(BadState::InvalidHeader);
                self.connection.sink.event(Event::StreamError { stream: &stream, error });
            }
        }
    }

    /// Takes what has come of the request under way; the reason if the connection is over by it.
    fn progress(&mut self, progress: Progress) -> Option<DownReason> {
        let sink = &mut self.connection.sink;
        let active = self.active.as_mut()?;
        match progress {
            Progress::Response(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                match handshake::check_response(&active.asked, response.headers()) {
                    Ok(chosen) => active.stage = Stage::Switching(response.into_parts().0.headers, chosen),
                    Err(error) => {
                        let (stream, failed) = (&active.stream, StreamError::Handshake(&error));
                        sink.event(Event::StreamError { stream, error: failed });
                        return Some(ConnectionError::Handshake(error).into());
                    }
                }
            }
            Progress::Response(Ok(response)) => {
                let (head, body) = response.into_parts();
                let fin = body.is_end_stream();
                let stream = &active.stream;
                sink.event(Event::Response { stream, fin, status: head.status, headers: &head.headers });
                if fin {
                    self.active = None;
                } else {
                    active.stage = Stage::Body(body);
                }
            }
            Progress::Data { data, fin } => {
                sink.event(Event::Data { stream: &active.stream, fin, data });
                if fin {
                    self.active = None;
                }
            }
            Progress::Response(Err(error)) | Progress::Failed(error) => {
                return Some(down_reason(&error));
            }
        }
        None
    }

    /// The connection is over: its streams are told, and named.
    fn down<S>(self, reason: DownReason) -> End<S, K> {
        let shutdown = self.closing.is_some();
        let sink = &mut self.connection.sink;
        if let DownReason::Error(error @ ConnectionError::LimitReached(_)) = &reason {
            sink.event(Event::ConnectionError(error));
        }
        // The stream whose handshake failed knows it already.
        let told = matches!(&reason, DownReason::Error(ConnectionError::Handshake(_)));
        let mut killed = Vec::new();
        if let Some(Active { stream, .. }) = self.active {
            if !told {
                sink.event(Event::StreamError { stream: &stream, error: StreamError::Closed(&reason) });
            }
            killed.push(stream);
        }
        for upgrade in self.waiting {
            sink.event(Event::StreamError { stream: &upgrade.stream, error: StreamError::Closed(&reason) });
            killed.push(upgrade.stream);
        }
        if shutdown { End::Stop(Stop::ShutDown) } else { End::Down(reason, killed) }
    }

    /// The shutdown waits no longer for the request under way.
    fn shut_down<S>(self) -> End<S, K> {
        if let Some(Active { stream, .. }) = self.active {
            let event = Event::StreamError { stream: &stream, error: StreamError::ShutDown };
            self.connection.sink.event(event);
        }
        End::Stop(Stop::ShutDown)
    }

    fn upgraded<S: ByteStream>(mut self, dispatcher: Dispatcher<TokioIo<S>, Empty<Bytes>>) -> End<S, K> {
        let parts = dispatcher.into_parts();
        let Some(Active { stream, options, stage: Stage::Switching(headers, chosen), .. }) = self.active.take() else {
            return self.down(DownReason::Normal);
        };
        for upgrade in std::mem::take(&mut self.waiting) {
            let event = Event::BadState { caller: &upgrade.caller, error: BadState::OnlyWebsocket };
            self.connection.sink.event(event);
        }
        End::Upgraded(Box::new(Upgraded {
            io: parts.io.into_inner(),
            received: parts.read_buf,
            stream,
            headers,
            chosen,
            options,
            shutdown: self.closing.is_some(),
        }))
    }
}

/// What hyper's error means for a connection with a request under way.
fn down_reason(error: &hyper::Error) -> DownReason {
    if error.is_parse_too_large() {
        let text = "The response's header block is larger than max_header_block_size, or has more than 512 headers.";
        return ConnectionError::LimitReached(text).into();
    }
    if error.is_parse() {
        return ConnectionError::Http(describe(error)).into();
    }
    match io_error(error) {
        Some(error) if !is_cut(error) => {
            let errno = error.raw_os_error();
            ConnectionError::Io(errno.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)).into()
        }
        _ => DownReason::Closed,
    }
}

/// The same, with none under way: a peer that speaks unasked is left without a fuss, as gun does it.
fn idle_down_reason(error: &hyper::Error) -> DownReason {
    if io_error(error).is_none() && !error.is_incomplete_message() { DownReason::Normal } else { down_reason(error) }
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

//! HTTP/1.x on a connection that was accepted: requests, and the responses that they are given.
//!
//! hyper's dispatcher is polled by the connection's one task. It takes one request at a time, leaves it at the desk, and
//! finds the response there, in whatever pieces it comes.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the protocol: whose turn it is, and the timers |
//! | `requests` | what the client asks |
//! | `responses` | what it is answered |
//! | `ends` | how the connection, or HTTP on it, ends |
//! | `exchange` | the request under way |
//! | `desk` | what the task and hyper give each other |
//! | `body` | the body of a response, as hyper has it |
//! | `wire`, `follow` | the byte stream below hyper, and what is checked there |

mod body;
mod desk;
mod ends;
mod exchange;
mod follow;
mod requests;
mod responses;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use hyper::server::conn::http1::{Builder, Connection};
use hyper_util::rt::TokioIo;

use self::desk::{Counter, Desk};
use self::exchange::{Asked, Exchange};
use self::follow::Limits;
use self::wire::{Control, Wire};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::ending::Ending;
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::Event;
use crate::http::deadline::{Alarm, Shutdown, Stall, alarm, is_due};
use crate::options::ServeOptions;
use crate::protocol::{Context, Exit, Protocol, Then};
use crate::sink::Sink;
use crate::transport::Io;
use crate::turn::end_turn;

/// The least that hyper buffers.
const READ_BUFFER: usize = 16 * 1024;

/// More headers than the limit allows never come to hyper, nor a larger head.
const SPARE: usize = 2;

type Hyper = Connection<TokioIo<Wire<Io>>, Counter>;

/// HTTP/1.x on a byte stream that was accepted.
pub(crate) struct Served<K: Sink> {
    options: Arc<ServeOptions>,
    /// Until it lets go of the byte stream.
    hyper: Option<Box<Hyper>>,
    control: Arc<Control>,
    desk: Arc<Desk>,
    exchange: Option<Exchange<K>>,
    /// How many requests have come.
    requests: u32,
    /// The client speaks HTTP/1.0.
    is_http10: bool,
    /// When the next request's head must have come.
    deadline: Option<Alarm>,
    /// When the next part of a request's body must have come.
    idle: Option<Alarm>,
    stalled: Stall,
    shutdown: Shutdown,
    /// What a WebSocket is to do whose 101 is not written yet.
    later: Vec<(StreamCommand<K>, Charge)>,
    /// No request follows the last one, as was said in its response.
    finished: bool,
    /// Something that the client has sent, or still sends, is left unread.
    unread: bool,
    /// A command has ended the connection, for this reason.
    over: Option<DownReason>,
    /// The end of the byte stream, and what it is reported as.
    ending: Option<(Ending, Exit<K>)>,
    on_upgrade: Option<OnUpgrade>,
}

/// Called when the connection has become a WebSocket.
pub(crate) type OnUpgrade = Box<dyn FnOnce() + Send>;

impl<K: Sink> Served<K> {
    /// Serves this byte stream.
    pub(crate) fn start(io: Io, options: Arc<ServeOptions>, on_upgrade: OnUpgrade) -> Box<dyn Protocol<K>> {
        let control = Arc::new(Control::new());
        let desk = Arc::new(Desk::new(Arc::clone(&control)));
        let io = TokioIo::new(Wire::new(io, Arc::clone(&control), limits(&options)));
        let hyper = builder(&options).serve_connection(io, Counter(Arc::clone(&desk)));
        Box::new(Self {
            hyper: Some(Box::new(hyper)),
            control,
            desk,
            exchange: None,
            requests: 0,
            is_http10: false,
            deadline: options.request_timeout.map(alarm),
            idle: None,
            stalled: Stall::default(),
            shutdown: Shutdown::NotAsked,
            later: Vec::new(),
            finished: false,
            unread: false,
            over: None,
            ending: None,
            on_upgrade: Some(on_upgrade),
            options,
        })
    }

    /// The connection is over by a command, which cuts what is under way.
    fn cut(&mut self, reason: DownReason) {
        self.over.get_or_insert(reason);
    }

    /// No request follows the one under way.
    fn begin_shutdown(&mut self) {
        if self.shutdown.is_asked() {
            return;
        }
        self.shutdown = self.options.closing_timeout.map_or(Shutdown::Unlimited, |limit| Shutdown::Until(alarm(limit)));
        let switches = self.exchange.as_ref().is_some_and(Exchange::is_switching);
        if let Some(exchange) = &mut self.exchange {
            exchange.closes = true;
        }
        if let Some(hyper) = self.hyper.as_mut().filter(|_| !switches) {
            Pin::new(&mut **hyper).graceful_shutdown();
        }
    }

    /// One thing that is to be done, in the order of their weight.
    fn poll_once(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        if let Poll::Ready(received) = self.poll_body(cx) {
            self.received(received, context);
            return Poll::Ready(None);
        }
        if self.poll_opening(cx).is_ready() {
            return Poll::Ready(None);
        }
        let before = self.progress();
        if let Some(hyper) = &mut self.hyper
            && let Poll::Ready(result) = Pin::new(&mut **hyper).poll(cx)
        {
            return Poll::Ready(self.hyper_ended(result, context, cx));
        }
        if let Some(request) = self.desk.take_request() {
            self.request(request, context);
            return Poll::Ready(None);
        }
        if self.settle() || self.progress() != before {
            return Poll::Ready(None);
        }
        self.poll_timers(context, cx)
    }

    /// What hyper must be polled again for, where it changes.
    fn progress(&self) -> (bool, bool) {
        (self.control.is_informing(), self.control.blocked_at().is_some())
    }

    /// Ends the exchange when nothing of it is left to be done; whether anything has changed.
    fn settle(&mut self) -> bool {
        // Where the peer takes nothing, hyper may still have some of the response.
        let is_written = self.desk.is_answered() && self.control.blocked_at().is_none();
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| is_written && exchange.is_answered()) else {
            return false;
        };
        if let Asked::Reported(..) = exchange.body {
            self.unread |= !exchange.skip_body();
            return true;
        }
        // hyper does not end a body with trailers if the response is complete before they come.
        if exchange.awaits_body() && !self.control.is_drained() {
            return false;
        }
        self.end_exchange();
        self.deadline = self.options.request_timeout.map(alarm);
        self.control.resume();
        true
    }

    fn end_exchange(&mut self) {
        self.finished |= self.exchange.take().is_some_and(|exchange| exchange.closes);
        self.idle = None;
    }

    fn poll_timers(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        if is_due(self.shutdown.timer(), cx) {
            return Poll::Ready(Some(self.cut_short(context)));
        }
        if is_due(self.deadline.as_mut(), cx) {
            return Poll::Ready(self.request_timed_out(context, cx));
        }
        if is_due(self.idle.as_mut(), cx) {
            self.idle = None;
            return Poll::Ready(self.body_timed_out(context, cx));
        }
        if self.stalled.is_due(cx) {
            let is_stalled = self.stalled.end(self.control.blocked_at());
            return Poll::Ready(is_stalled.then(|| self.down(ConnectionError::SendTimeout.into(), context)));
        }
        Poll::Pending
    }

    /// Looks whether the peer takes what is sent.
    fn watch_peer(&mut self) {
        let limit = [self.options.send_timeout, self.options.idle_timeout].into_iter().flatten().min();
        self.stalled.watch(limit, self.control.blocked_at());
    }
}

impl<K: Sink> Protocol<K> for Served<K> {
    fn begin_turn(&mut self) {
        self.control.begin_turn();
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.do_command(command, charge, context);
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping });
    }

    fn shut_down(&mut self, _context: &mut Context<'_, K>) {
        self.begin_shutdown();
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        loop {
            if let Some(reason) = self.over.take() {
                return Poll::Ready(self.down(reason, context));
            }
            if let Some((ending, _)) = &mut self.ending {
                task::ready!(ending.poll(cx));
                if let Some((_, exit)) = self.ending.take() {
                    return Poll::Ready(if self.shutdown.is_asked() { Exit::ShutDown } else { exit });
                }
            }
            if self.shutdown.is_asked()
                && self.exchange.is_none()
                && let Some((io, received)) = self.take_io()
            {
                match self.finish(io, &received, Exit::ShutDown, cx) {
                    Some(exit) => return Poll::Ready(exit),
                    None => continue,
                }
            }
            self.watch_peer();
            if self.control.is_turn_over() {
                end_turn(cx);
                context.then = Then::Yield;
                return Poll::Pending;
            }
            match self.poll_once(context, cx) {
                Poll::Ready(Some(exit)) => return Poll::Ready(exit),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        self.exchange.and_then(|exchange| exchange.stream).into_iter().collect()
    }
}

fn builder(options: &ServeOptions) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(options.max_headers as usize + SPARE)
        .max_buf_size(options.max_head_size.saturating_add(SPARE).max(READ_BUFFER))
        .header_read_timeout(None);
    builder
}

fn limits(options: &ServeOptions) -> Limits {
    Limits {
        head: options.max_head_size,
        line: options.max_request_line,
        headers: options.max_headers,
        name: options.max_header_name,
        value: options.max_header_value,
    }
}

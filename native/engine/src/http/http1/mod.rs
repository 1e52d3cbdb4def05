//! HTTP/1.x on a byte stream: requests and their responses, and the upgrade that may end it.
//!
//! hyper's dispatcher and the request under way are polled side by side by the connection's one task. hyper has one
//! request under way at a time; the others wait their turn here, so that responses come in the order of the requests, and
//! what the server sends behind a response can't be taken for the next one.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the protocol: whose turn it is, and what follows the end of the byte stream |
//! | `commands` | what the user asks |
//! | `responses` | what the server answers |
//! | `ends` | how the connection, or HTTP on it, ends |
//! | `exchange` | the request under way |
//! | `deadline` | the timers |
//! | `headers`, `faults` | the headers of requests and responses; what hyper's errors mean |
//! | `wire`, `head` | the byte stream below hyper, and what is checked there |

mod commands;
mod deadline;
mod ends;
mod exchange;
mod faults;
mod head;
mod headers;
mod responses;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};

use http::{HeaderMap, StatusCode};
use hyper::client::conn::http1::{Builder, Connection as Dispatcher, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use self::deadline::{Alarm, Deadline, Shutdown, alarm, is_due};
use self::exchange::{Exchange, Stage};
use self::faults::{down_reason, idle_down_reason};
use self::head::Limits;
use self::wire::{Control, Wire};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::error::{ConnectionError, DownReason, Wait};
use crate::options::{Flow, HttpOptions};
use crate::protocol::{Context, Down, Exit, Left, Protocol, Then};
use crate::sink::Sink;
use crate::stream::credit::{Credit, Window};
use crate::stream::reupgrade::Reupgrade;
use crate::stream::table::{Entry, Streams};
use crate::stream::upload::RequestBody;
use crate::transport::ByteStream;
use crate::turn::end_turn;

/// What hyper buffers of what it has not parsed yet, unless a header block may be larger.
const READ_BUFFER: usize = 400 * 1024;

/// Informational responses that hyper has parsed and that are not reported yet.
type Informs = Arc<Mutex<Vec<(StatusCode, HeaderMap)>>>;

type Hyper<S> = Dispatcher<TokioIo<Wire<S>>, RequestBody>;

/// HTTP/1.x on this byte stream.
pub(crate) struct Http1<S: ByteStream, K: Sink> {
    /// Until it lets go of the byte stream.
    dispatcher: Option<Hyper<S>>,
    /// How the dispatcher has ended.
    done: Option<hyper::Result<()>>,
    exchanges: Exchanges<K>,
}

/// All of it but the byte stream.
struct Exchanges<K: Sink> {
    sender: SendRequest<RequestBody>,
    streams: Streams<K, Exchange>,
    /// The upgrade of the connection before, while it is being repeated.
    reupgrade: Option<Box<Reupgrade<K>>>,
    informs: Informs,
    control: Arc<Control>,
    /// A command has ended the connection, for this reason.
    over: Option<DownReason>,
    /// Set by what the peer has sent: no request follows the one under way, and this is what the end will be.
    last: Option<DownReason>,
    /// Requests that come now are for the next connection.
    ending: bool,
    /// For the request under way.
    deadline: Option<Deadline>,
    /// Whether nothing could be reported of the request under way when that was last looked at.
    held_up: bool,
    /// The server speaks HTTP/1.0.
    http10: bool,
    /// The server has answered a request.
    served: bool,
    shutdown: Shutdown,
    /// When to send an empty line.
    keepalive: Option<Alarm>,
    /// How many bytes the peer had taken when it took no more, and when that is too long ago.
    stalled: Option<(u64, Alarm)>,
}

impl<S: ByteStream, K: Sink> Http1<S, K> {
    /// Begins to speak on the byte stream, with what the connection before has left.
    pub(crate) async fn start(
        io: S,
        left: Left<K>,
        context: &mut Context<'_, K>,
    ) -> Result<Box<dyn Protocol<K>>, Box<Down<K>>> {
        let options = &context.options.http;
        let control = Arc::new(Control::new());
        let io = TokioIo::new(Wire::new(io, Arc::clone(&control), limits(options)));
        let (sender, dispatcher) = match builder(options).handshake(io).await {
            Ok(parts) => parts,
            Err(error) => {
                let reason = down_reason(&error, &control);
                return Err(Box::new(Down { reason, killed: Vec::new(), closed_by_user: false, served: false, left }));
            }
        };
        let mut exchanges = Exchanges {
            sender,
            streams: Streams::new(),
            reupgrade: None,
            informs: Informs::default(),
            control,
            over: None,
            last: None,
            ending: false,
            deadline: None,
            held_up: false,
            http10: false,
            served: false,
            shutdown: Shutdown::NotAsked,
            keepalive: options.keepalive.map(alarm),
            stalled: None,
        };
        exchanges.take_over(left, context);
        Ok(Box::new(Self { dispatcher: Some(dispatcher), done: None, exchanges }))
    }

    /// Lets hyper do its work until it is done, has come upon an informational response, wants to read for the first time
    /// since a part of a body came, or the peer has begun or ceased to take nothing, if that is not what it is known for.
    fn poll_dispatcher(&mut self, context: &Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<()> {
        let Some(dispatcher) = self.dispatcher.as_mut().filter(|_| self.done.is_none()) else { return Poll::Pending };
        if let Poll::Ready(result) = dispatcher.poll_without_shutdown(cx) {
            self.done = Some(result);
            return Poll::Ready(());
        }
        let exchanges = &self.exchanges;
        let (control, informs) = (&exchanges.control, &exchanges.informs);
        let active = exchanges.streams.active().filter(|(entry, _)| !is_held_up(entry, context.relay));
        let reads = active.and_then(|(_, exchange)| exchange.part.as_ref()).map(|part| part.reads);
        let blocked = context.options.tcp.send_timeout.map(|_| exchanges.stalled.is_some());
        if !informs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            || reads.is_some_and(|reads| reads != control.reads())
            || blocked.is_some_and(|blocked| blocked != control.blocked_at().is_some())
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// The dispatcher has ended: whether HTTP on the connection has, too.
    fn after_dispatcher(&mut self, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        let result = self.done.as_ref()?;
        let exchanges = &mut self.exchanges;
        let Some((entry, exchange)) = exchanges.streams.active_mut() else {
            let reason = exchanges.last.take().unwrap_or_else(|| match result {
                Ok(()) => DownReason::Closed,
                Err(error) => idle_down_reason(error, &exchanges.control),
            });
            return Some(exchanges.down(reason, context));
        };
        if let Stage::Switching(..) = exchange.stage {
            let dispatcher = self.dispatcher.take()?;
            return Some(exchanges.upgraded(dispatcher, context));
        }
        // What has been received of a response is there to be taken, though the connection is over. hyper may leave a
        // request unanswered whose turn came together with the end of the connection.
        entry.credit = Credit::new(Flow::Unlimited, false);
        *context.relay = Window::for_relay();
        let progress = exchange.poll(false, &exchanges.control, &mut task::Context::from_waker(Waker::noop()));
        let reason = match progress {
            Poll::Ready(progress) => exchanges.progress(progress, context),
            Poll::Pending => Some(match result {
                Ok(()) => DownReason::Closed,
                Err(error) => down_reason(error, &exchanges.control),
            }),
        };
        reason.map(|reason| exchanges.down(reason, context))
    }

    /// One thing that is to be done, in the order of their weight.
    fn poll_once(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        if let Poll::Ready(progress) = self.exchanges.poll_progress(context, cx) {
            let reason = self.exchanges.progress(progress, context);
            return Poll::Ready(reason.map(|reason| self.exchanges.down(reason, context)));
        }
        if self.poll_dispatcher(context, cx).is_ready() {
            self.exchanges.inform(context);
            return Poll::Ready(None);
        }
        self.exchanges.poll_waiting(context, cx)
    }
}

impl<S: ByteStream, K: Sink> Protocol<K> for Http1<S, K> {
    fn begin_turn(&mut self) {
        self.exchanges.control.begin_turn();
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.exchanges.command(command, charge, context);
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        self.exchanges.ping(ping, context);
    }

    fn shut_down(&mut self, context: &mut Context<'_, K>) {
        self.exchanges.shut_down(context);
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        loop {
            if let Some(reason) = self.exchanges.over.take() {
                return Poll::Ready(self.exchanges.down(reason, context));
            }
            self.exchanges.watch_peer(context);
            self.exchanges.watch_receiver(context);
            if self.exchanges.control.is_turn_over() {
                end_turn(cx);
                context.then = Then::Yield;
                return Poll::Pending;
            }
            let exit = match self.done {
                Some(_) => self.after_dispatcher(context),
                None => self.exchanges.idle_end(context),
            };
            match exit {
                Some(exit) => return Poll::Ready(exit),
                None if self.done.is_some() => continue,
                None => {}
            }
            match self.poll_once(context, cx) {
                Poll::Ready(Some(exit)) => return Poll::Ready(exit),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// None is named, as it was not known which of them was at fault.
    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        Vec::new()
    }
}

impl<K: Sink> Exchanges<K> {
    fn poll_progress(&mut self, context: &Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<exchange::Progress> {
        let Some((entry, exchange)) = self.streams.active_mut() else { return Poll::Pending };
        if context.relay.is_exhausted() && !entry.cancelled {
            return Poll::Pending;
        }
        exchange.poll(entry.credit.is_held_up() && !entry.cancelled, &self.control, cx)
    }

    /// What is done while nothing comes: the next request has its turn, or a timer has passed.
    fn poll_waiting(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        let idle = self.streams.active().is_none();
        // hyper takes no more when its dispatcher is about to end.
        if idle && !self.streams.none_waits() && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))) {
            self.start_next(context);
            return Poll::Ready(None);
        }
        if is_due(self.shutdown.timer(), cx) {
            return Poll::Ready(Some(self.cut_short(context)));
        }
        if idle && self.streams.none_waits() && is_due(self.keepalive.as_mut(), cx) {
            self.control.send_empty_line();
            self.keepalive = context.options.http.keepalive.map(alarm);
            return Poll::Ready(None);
        }
        if is_due(self.deadline.as_mut().map(|deadline| &mut deadline.timer), cx) {
            let reason = self.timed_out(context);
            return Poll::Ready(reason.map(|reason| self.down(reason, context)));
        }
        if is_due(self.stalled.as_mut().map(|(_, timer)| timer), cx) {
            let stalled = self.is_stalled().then(|| self.down(ConnectionError::SendTimeout.into(), context));
            return Poll::Ready(stalled);
        }
        Poll::Pending
    }

    /// Whether the connection is to end now that nothing is under way.
    fn idle_end(&mut self, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        if self.streams.active().is_some() {
            return None;
        }
        if self.shutdown.is_asked() {
            return Some(Exit::ShutDown);
        }
        let reason = self.last.take()?;
        Some(self.down(reason, context))
    }

    /// The request under way has waited as long as it may: the reason, unless it isn't the peer that it has waited for.
    fn timed_out(&mut self, context: &mut Context<'_, K>) -> Option<DownReason> {
        let (entry, _) = self.streams.active()?;
        let deadline = self.deadline.as_mut()?;
        let now = Instant::now();
        let from = match deadline.wait {
            Wait::Upgrade | Wait::Response if context.relay.is_exhausted() && !entry.cancelled => now,
            Wait::Upgrade | Wait::Response if entry.upload.as_ref().is_some_and(|upload| !upload.is_complete()) => now,
            // A peer that takes the request is not expected to answer it yet.
            Wait::Upgrade | Wait::Response => self.control.wrote_at(),
            Wait::Body if is_held_up(entry, context.relay) => now,
            Wait::Body => now - deadline.limit,
        };
        if from + deadline.limit > now {
            deadline.restart(from);
            return None;
        }
        let wait = deadline.wait;
        self.deadline = None;
        self.report_timeout(wait, context);
        // What comes now cannot be distinguished from the answer to the next request.
        Some(ConnectionError::Timeout(wait).into())
    }

    /// Starts the timer when the peer takes nothing more, and stops it when it does again.
    fn watch_peer(&mut self, context: &Context<'_, K>) {
        let Some(limit) = context.options.tcp.send_timeout else { return };
        match self.control.blocked_at() {
            None => self.stalled = None,
            Some(written) if self.stalled.is_none() => self.stalled = Some((written, alarm(limit))),
            Some(_) => {}
        }
    }

    /// Where nothing could be reported and now it can, the peer was held back: its time for the next part of the body begins
    /// only now.
    fn watch_receiver(&mut self, context: &Context<'_, K>) {
        let held_up = self.streams.active().is_some_and(|(entry, _)| is_held_up(entry, context.relay));
        let cancelled = self.streams.active().is_some_and(|(entry, _)| entry.cancelled);
        if std::mem::replace(&mut self.held_up, held_up)
            && !held_up
            && !cancelled
            && let Some(deadline) = &mut self.deadline
            && deadline.wait == Wait::Body
        {
            deadline.restart(Instant::now());
        }
    }

    /// The timer has expired: whether the peer has taken nothing in its time.
    fn is_stalled(&mut self) -> bool {
        let before = self.stalled.take().map(|(written, _)| written);
        before.is_some() && before == self.control.blocked_at()
    }
}

/// Whether no part of the response's body is taken until those who receive it allow more.
fn is_held_up<K: Sink>(entry: &Entry<K>, relay: &Window) -> bool {
    !entry.cancelled && (relay.is_exhausted() || entry.credit.is_held_up())
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

#[cfg(test)]
mod tests;

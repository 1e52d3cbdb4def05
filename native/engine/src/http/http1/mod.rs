//! HTTP/1.x on a byte stream: requests and their responses, and the upgrade that may end it.
//!
//! Requests are written as they come, and their responses come in the same order. The byte stream, what waits to be written
//! and what was received are looked at by the connection's one task.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the protocol: what is done next, and what follows the end of the byte stream |
//! | `commands` | what the user asks |
//! | `pipeline` | which requests are under way |
//! | `responses` | what the server answers |
//! | `ends` | how the connection, or HTTP on it, ends |
//! | `exchange` | a request under way |
//! | `waiting` | the timers |
//! | [`reader`] | bytes become responses, without I/O; below it `head`, `fields`, `chunked`, `fault` |
//! | `request`, `writer` | requests become bytes; the bytes that wait to be written |
//! | `block`, `headers` | a read; what the headers of requests and responses say |

mod block;
mod chunked;
mod commands;
mod ends;
mod exchange;
mod fault;
mod fields;
mod head;
mod headers;
mod pipeline;
pub mod reader;
mod request;
mod responses;
mod waiting;
mod writer;

use std::io;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use tokio::time::Instant;

use self::commands::is_abandoned;
use self::exchange::Exchange;
use self::fault::idle_down_reason;
use self::pipeline::Sending;
use self::reader::{Fault, Limits, Reader};
use self::responses::Taken;
use self::writer::Writer;
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::error::DownReason;
use crate::event::StreamError;
use crate::http::deadline::{Alarm, Deadline, Earliest, Shutdown, Stall, alarm};
use crate::options::{ConnectOptions, HttpOptions};
use crate::protocol::{Context, Exit, Left, Lost, Protocol, Then};
use crate::sink::Sink;
use crate::stream::credit::Window;
use crate::stream::receipts::Receipts;
use crate::stream::reupgrade::Reupgrade;
use crate::stream::table::{Entry, Streams};
use crate::transport::ByteStream;
use crate::turn::{Share, end_turn};

/// How many waiting commands of a turn are done before the byte stream is looked at: the requests among them leave
/// together.
const COMMANDS_IN_A_ROW: usize = 512;

/// What an event takes of a turn beside its bytes: to report a small part of a body takes longer than to copy it.
const EVENT: usize = 256;

/// How often the stream is read for what came before a request. TLS has records of its own there, which are no answer.
const MAX_LOOKS: u8 = 8;

/// HTTP/1.x on this byte stream.
pub(crate) struct Http1<S: ByteStream, K: Sink> {
    /// Until it is a WebSocket's.
    io: Option<S>,
    /// Nothing is written any more, for this reason.
    unwritable: Option<io::Error>,
    /// How often the stream is still read before the next request is written, where none is under way.
    looks: u8,
    /// How many more commands of the turn are done in a row.
    in_a_row: usize,
    share: Share,
    exchanges: Exchanges<K>,
}

/// All of it but the byte stream.
struct Exchanges<K: Sink> {
    options: Arc<ConnectOptions>,
    /// Whether the connection is this byte stream, which does not stand beside another one.
    alone: bool,
    streams: Streams<K, Exchange>,
    reader: Reader,
    writer: Writer,
    /// The body under way, where it comes in parts.
    sending: Option<Sending>,
    /// Whoever waits until a part of a body is sent.
    receipts: Receipts<K>,
    /// The upgrade of the connection before, while it is being repeated.
    reupgrade: Option<Box<Reupgrade<K>>>,
    /// A command has ended the connection, for this reason.
    over: Option<DownReason>,
    /// No request follows those under way, and this is what the end will be.
    last: Option<DownReason>,
    /// Requests that come now are for the next connection.
    ending: bool,
    /// For the oldest request under way.
    deadline: Option<Deadline>,
    /// For all whose time is limited.
    earliest: Earliest,
    /// Since when its answer is awaited.
    awaited_from: Instant,
    /// Whether nothing could be reported of it when that was last looked at.
    held_up: bool,
    /// The server speaks HTTP/1.0.
    http10: bool,
    /// The server has answered a request.
    served: bool,
    shutdown: Shutdown,
    /// When to send an empty line.
    keepalive: Option<Alarm>,
    stalled: Stall,
    /// What is left of the turn.
    turn: usize,
}

/// What a look at the byte stream has come to.
enum Look {
    /// Something was done.
    Done,
    /// The connection is over.
    Over(DownReason),
    /// Nothing can be done for now.
    Nothing,
}

impl<S: ByteStream, K: Sink> Http1<S, K> {
    /// Begins to speak on the byte stream, with what the connection before has left. The connection is this byte stream, if
    /// it is `alone`, and else stands beside it.
    pub(crate) fn start(
        io: S,
        options: Arc<ConnectOptions>,
        alone: bool,
        left: Left<K>,
        context: &mut Context<'_, K>,
    ) -> Box<dyn Protocol<K>> {
        Box::new(Self::new(io, options, alone, left, context))
    }

    /// The same beside the byte stream that the connection is, for the upgrade of this name: it is all that is left, and has
    /// as much time to be answered.
    pub(crate) fn start_beside(
        io: S,
        options: Arc<ConnectOptions>,
        left: Left<K>,
        (name, answer): (&K::StreamId, Option<Duration>),
        context: &mut Context<'_, K>,
    ) -> Box<dyn Protocol<K>> {
        let mut http1 = Self::new(io, options, false, left, context);
        if let Some(entry) = http1.exchanges.streams.get_mut(name) {
            entry.timeouts.answer = answer;
        }
        Box::new(http1)
    }

    fn new(io: S, options: Arc<ConnectOptions>, alone: bool, left: Left<K>, context: &mut Context<'_, K>) -> Self {
        let http = &options.http;
        let mut exchanges = Exchanges {
            alone,
            streams: Streams::new(),
            reader: Reader::new(limits(http)),
            writer: Writer::new(),
            sending: None,
            receipts: Receipts::new(),
            reupgrade: None,
            over: None,
            last: None,
            ending: false,
            deadline: None,
            earliest: Earliest::default(),
            awaited_from: Instant::now(),
            held_up: false,
            http10: false,
            served: false,
            shutdown: Shutdown::NotAsked,
            keepalive: http.keepalive.map(alarm),
            stalled: Stall::default(),
            turn: 0,
            options,
        };
        exchanges.take_over(left, context);
        let (io, share) = (Some(io), Share::default());
        Self { io, unwritable: None, looks: MAX_LOOKS, in_a_row: 0, share, exchanges }
    }

    /// Takes the next of what was received.
    fn take(&mut self, context: &mut Context<'_, K>) -> Poll<Option<Exit<K>>> {
        match self.exchanges.take(context) {
            Taken::Nothing => Poll::Pending,
            Taken::Piece => Poll::Ready(None),
            Taken::Over(reason) => Poll::Ready(Some(self.exchanges.down(reason, context))),
            Taken::Through => Poll::Ready(match self.io.take() {
                Some(io) => Some(self.exchanges.opened(io.boxed(), context)),
                None => Some(self.exchanges.down(DownReason::Closed, context)),
            }),
            Taken::Switch(headers, chosen) => Poll::Ready(match self.io.take() {
                Some(io) => Some(self.exchanges.upgraded(io, (headers, chosen), context)),
                None => Some(self.exchanges.down(DownReason::Closed, context)),
            }),
        }
    }

    /// Begins what may begin, and writes as much as the peer takes.
    fn write(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Look {
        let Some(io) = self.io.as_mut().filter(|_| self.unwritable.is_none()) else { return Look::Nothing };
        let exchanges = &mut self.exchanges;
        loop {
            exchanges.stage_body(context, cx);
            while exchanges.may_start() {
                if exchanges.is_quiet() && self.looks > 0 {
                    return Look::Nothing;
                }
                self.looks = MAX_LOOKS;
                exchanges.start_next(context);
                exchanges.stage_body(context, cx);
            }
            let before = exchanges.writer.written();
            match exchanges.writer.poll_write(io, cx) {
                Poll::Ready(Ok(true)) => exchanges.wrote(before),
                Poll::Ready(Ok(false)) | Poll::Pending => return Look::Nothing,
                Poll::Ready(Err(error)) => {
                    // What the peer has answered before is there to be read.
                    self.unwritable = Some(error);
                    return Look::Done;
                }
            }
        }
    }

    /// Reads once, unless those who receive what was read must allow it first.
    fn read(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Look {
        let Some(io) = &mut self.io else { return Look::Over(DownReason::Closed) };
        let exchanges = &mut self.exchanges;
        if exchanges.is_held_up(context.relay) {
            return self.unwritable.take().map_or(Look::Nothing, |error| Look::Over((&error).into()));
        }
        match block::poll_read(io, exchanges.turn, cx) {
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                if exchanges.take_end(context) {
                    return Look::Over(exchanges.last.take().unwrap_or(DownReason::Closed));
                }
                let idle = exchanges.streams.active().is_none();
                let last = exchanges.last.take_if(|_| idle);
                Look::Over(last.unwrap_or(DownReason::Closed))
            }
            Poll::Ready(Ok(_)) if exchanges.is_quiet() && exchanges.may_start() => Look::Over(Fault::Unasked.into()),
            Poll::Ready(Ok(bytes)) => {
                exchanges.turn = exchanges.turn.saturating_sub(bytes.len());
                exchanges.reader.receive(bytes);
                Look::Done
            }
            Poll::Ready(Err(error)) if exchanges.streams.active().is_none() => Look::Over(idle_down_reason(&error)),
            Poll::Ready(Err(error)) => Look::Over((&error).into()),
            Poll::Pending => self.unwritable.take().map_or(Look::Nothing, |error| Look::Over((&error).into())),
        }
    }

    /// Nothing was there to be read: whether a request that is about to be written must still wait. The system may have
    /// bytes that the runtime has not heard of yet.
    fn looks_again(&mut self) -> bool {
        if self.exchanges.may_start() && self.exchanges.is_quiet() && self.looks > 0 {
            let unread = self.io.as_ref().is_some_and(ByteStream::has_unread);
            self.looks = if unread { self.looks - 1 } else { 0 };
            return true;
        }
        false
    }
}

impl<S: ByteStream, K: Sink> Protocol<K> for Http1<S, K> {
    fn commands_first(&self) -> usize {
        self.in_a_row
    }

    fn begin_turn(&mut self) {
        self.in_a_row = COMMANDS_IN_A_ROW;
        self.exchanges.turn = self.share.begin();
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.in_a_row = self.in_a_row.saturating_sub(1);
        if let StreamCommand::Send(outgoing) = &command {
            // They are refused, each by an event, and may be many.
            let calls = usize::try_from(outgoing.calls).unwrap_or(usize::MAX);
            self.exchanges.turn = self.exchanges.turn.saturating_sub(calls.saturating_mul(EVENT));
            self.in_a_row = 0;
        }
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
            self.exchanges.watch_peer();
            self.exchanges.watch_receiver(context);
            if self.exchanges.turn == 0 {
                // A peer that uses up each turn leaves none for the timers.
                if let Some(exit) = self.exchanges.end_late(context) {
                    return Poll::Ready(exit);
                }
                end_turn(cx);
                context.then = Then::Yield;
                return Poll::Pending;
            }
            if let Some(exit) = self.exchanges.idle_end(context) {
                return Poll::Ready(exit);
            }
            match self.take(context) {
                Poll::Ready(Some(exit)) => return Poll::Ready(exit),
                Poll::Ready(None) => continue,
                Poll::Pending => {
                    self.exchanges.reader.keep();
                    self.exchanges.watch_receiver(context);
                }
            }
            // What is late already is not begun: its connection would end with it.
            if self.exchanges.may_start()
                && let Some(exit) = self.exchanges.end_late(context)
            {
                return Poll::Ready(exit);
            }
            let wrote = self.write(context, cx);
            self.exchanges.report_sent(context);
            let look = match wrote {
                Look::Nothing => self.read(context, cx),
                look => look,
            };
            match look {
                Look::Over(reason) => return Poll::Ready(self.exchanges.down(reason, context)),
                Look::Done => continue,
                Look::Nothing if self.looks_again() => {
                    if self.looks == 0 {
                        continue;
                    }
                    end_turn(cx);
                    context.then = Then::Yield;
                    return Poll::Pending;
                }
                Look::Nothing => {}
            }
            match self.exchanges.poll_timers(context, cx) {
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

    fn is_idle(&self) -> bool {
        self.exchanges.is_quiet() && self.exchanges.streams.none_waits()
    }

    fn lose(
        mut self: Box<Self>,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.exchanges.lose(&reason, error, context)
    }
}

impl<K: Sink> Exchanges<K> {
    /// Whether nothing is under way, nor waits to be written.
    fn is_quiet(&self) -> bool {
        self.streams.active().is_none() && self.writer.is_empty()
    }

    /// Whether the connection is to end now that nothing is under way that can come to an end.
    fn idle_end(&mut self, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        match self.streams.active() {
            Some((entry, _)) if is_abandoned(entry) => return Some(self.down(DownReason::Normal, context)),
            Some(_) => return None,
            None => {}
        }
        if self.shutdown.is_asked() {
            return Some(Exit::ShutDown);
        }
        let reason = self.last.take()?;
        Some(self.down(reason, context))
    }

    /// Reports to those who wait which parts of bodies are sent.
    fn report_sent(&mut self, context: &mut Context<'_, K>) {
        if !self.receipts.is_empty() {
            self.receipts.wrote(self.writer.written());
            self.receipts.report(false, context.sink);
        }
    }

    /// Whether nothing of what is received could be reported.
    fn is_held_up(&self, relay: &Window) -> bool {
        let Some((entry, exchange)) = self.streams.active().filter(|(entry, _)| !entry.cancelled) else { return false };
        relay.is_exhausted() || exchange.stage == exchange::Stage::Body && entry.credit.is_held_up()
    }
}

/// Whether no part of the response's body is taken until those who receive it allow more.
fn is_held_up<K: Sink>(entry: &Entry<K>, relay: &Window) -> bool {
    !entry.cancelled && (relay.is_exhausted() || entry.credit.is_held_up())
}

fn limits(options: &HttpOptions) -> Limits {
    let (bytes, trailers) = (options.max_header_block_size, options.max_trailer_block_size);
    Limits { informs: options.max_informs, bytes, lines: options.max_headers, trailers }
}

#[cfg(test)]
mod tests;

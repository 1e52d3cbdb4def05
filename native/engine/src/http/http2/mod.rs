//! HTTP/2 on a byte stream (RFC 9113): many requests side by side, and WebSockets among them (RFC 8441).
//!
//! h2 speaks the protocol; its connection and its streams are polled by the connection's one task. A stream that h2 wakes
//! is noted in a list, so that a turn costs what there is to do, however many streams there are.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the protocol: what is done in a turn |
//! | `commands` | what the user asks |
//! | `responses` | what the server answers |
//! | `websockets`, `websocket` | the WebSockets among the streams; one of them |
//! | `tunnels`, `stream_io` | the tunnels among the streams; a stream as a byte stream |
//! | `detours`, `detour` | WebSockets on connections of their own, where the peer has none on its streams; one of them |
//! | `ends` | how the connection ends |
//! | `postponed` | upgrades that are repeated, and refused for now |
//! | `pings` | pings, and whether the peer lives |
//! | `exchange`, `upload`, `download` | a request under way, its body, and that of its response |
//! | `head`, `faults` | the heads of requests; what h2's errors mean |
//! | `ready` | which streams have something to do |
//! | `wire`, `watch`, `frames` | the byte stream below h2, and what its frames say |

mod commands;
mod detour;
mod detours;
mod download;
mod ends;
mod exchange;
mod faults;
mod frames;
mod head;
mod pings;
mod postponed;
mod ready;
mod responses;
mod stream_io;
mod tunnels;
mod upload;
mod watch;
pub(crate) mod websocket;
mod websockets;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::uri::Scheme;

use self::detour::Way;
use self::detours::Detours;
use self::exchange::Exchange;
use self::pings::Pings;
use self::postponed::Postponed;
use self::ready::Ready;
pub(crate) use self::tunnels::Means;
use self::tunnels::Tunnels;
use self::websockets::Websockets;
use self::wire::{Control, Wire};
use crate::account::Charge;
use crate::command::{Ping, StreamCommand};
use crate::error::http2::{Http2Code, Http2Fault};
use crate::error::{ConnectionError, DownReason};
use crate::event::{PeerSettings, StreamError};
use crate::http::deadline::{Alarm, Earliest, Shutdown, Stall, alarm, is_due};
use crate::options::{ConnectOptions, Http2Options};
use crate::protocol::{Context, Down, Exit, Left, Lost, Protocol, Then};
use crate::sink::Sink;
use crate::stream::receipts::Receipts;
use crate::stream::reupgrade::Reupgrade;
use crate::stream::table::{Place, Streams};
use crate::transport::ByteStream;
use crate::turn::end_turn;

/// How many streams that were reset are remembered, so that what the peer had sent on them is ignored.
const RESET_STREAMS: usize = 10_000;

/// For how long.
const RESET_FOR: std::time::Duration = std::time::Duration::from_secs(30);

/// How often the peer may break the protocol on a stream in the life of a connection.
const STREAM_FAULTS: usize = 10_000;

/// How much small DATA frames may count for that wait to be read, for each byte of the connection's window. h2 counts 256
/// bytes for each of them: a stream that is held up must not end the connection while the peer keeps to its windows.
const SMALL_FRAMES: usize = 32;

/// How many commands are taken in a row before the byte stream has its turn: a peer that uses up each turn must not keep the
/// user from being heard.
const COMMANDS_IN_A_ROW: usize = 32;

/// The headers have this table in any case (RFC 9113, 6.5.2).
const DEFAULT_TABLE_SIZE: u32 = 4096;

/// The frames have this size in any case.
const DEFAULT_FRAME_SIZE: u32 = 16_384;

const NO_PREFACE: Http2Fault = Http2Fault {
    code: Http2Code::ProtocolError,
    text: "The preface was not received in a reasonable amount of time. (RFC7540 3.5)",
};

const NO_ACKNOWLEDGEMENT: Http2Fault = Http2Fault {
    code: Http2Code::SettingsTimeout,
    text: "The SETTINGS ack was not received within the configured time. (RFC7540 6.5.3)",
};

const NO_PONGS: Http2Fault = Http2Fault {
    code: Http2Code::NoError,
    text: "The number of unacknowledged pings exceed the configured tolerance value.",
};

/// HTTP/2 on this byte stream.
pub(crate) struct Http2<S: ByteStream, K: Sink> {
    connection: Connection<Wire<S>, Bytes>,
    exchanges: Exchanges<K>,
    /// The window that the peer is to have on the connection.
    window: u32,
}

/// All of it but the byte stream.
struct Exchanges<K: Sink> {
    options: Arc<ConnectOptions>,
    http2: Arc<Http2Options>,
    scheme: Scheme,
    sender: SendRequest<Bytes>,
    streams: Streams<K, Exchange>,
    websockets: Websockets<K>,
    tunnels: Tunnels<K>,
    detours: Detours<K>,
    /// The upgrades of the connection before, while they are being repeated.
    repeated: HashMap<K::StreamId, Box<Reupgrade<K>>>,
    /// Those of them that the peer has refused for now.
    postponed: Postponed<K>,
    ready: Arc<Ready>,
    /// Wakes h2's connection.
    waker: Waker,
    control: Arc<Control>,
    /// The peer's settings, once there are any.
    peer: Option<PeerSettings>,
    /// How many of the streams under way were pushed.
    pushed: usize,
    /// The highest number of a stream that was pushed.
    last_pushed: u32,
    /// How many bytes of responses wait to be told.
    unread: usize,
    /// Streams that a relay holds up.
    held: BTreeSet<Place>,
    pings: Pings<K>,
    /// The connection has ended, for this reason.
    over: Option<DownReason>,
    /// The peer takes no more streams.
    going_away: bool,
    /// How long those under way may still take then.
    closing: Option<Alarm>,
    shutdown: Shutdown,
    /// The peer has yet to hear of the shutdown: it would close the connection, beside which others still stand.
    owes_goodbye: bool,
    /// When the peer should have begun to speak.
    silent: Option<Alarm>,
    /// When it should have acknowledged our settings.
    unacknowledged: Option<Alarm>,
    /// The server has answered a request.
    served: bool,
    stalled: Stall,
    /// Whoever waits until a part of a body is sent.
    receipts: Receipts<K>,
    /// For the streams whose time is limited.
    earliest: Earliest,
}

/// A byte stream on which the preface and our settings are on their way.
pub(crate) struct Greeted<S: ByteStream> {
    connection: Connection<Wire<S>, Bytes>,
    sender: SendRequest<Bytes>,
    ready: Arc<Ready>,
    control: Arc<Control>,
    http2: Arc<Http2Options>,
}

/// Sends the preface and our settings.
///
/// # Errors
/// Why the byte stream has not taken them.
pub(crate) async fn greet<S: ByteStream>(io: S, http2: Arc<Http2Options>) -> Result<Greeted<S>, DownReason> {
    let ready = Ready::new();
    let (wire, control) = Wire::new(io, Arc::clone(&ready), http2.max_fragmented_header_block_size);
    match builder(&http2).handshake(wire).await {
        Ok((sender, connection)) => Ok(Greeted { connection, sender, ready, control, http2 }),
        Err(_) => Err(control.take_broken().unwrap_or(DownReason::Closed)),
    }
}

impl<S: ByteStream, K: Sink> Http2<S, K> {
    /// Begins to speak on the byte stream, with what the connection before has left.
    pub(crate) async fn start(
        io: S,
        options: Arc<ConnectOptions>,
        http2: Arc<Http2Options>,
        means: Means<K>,
        left: Left<K>,
        context: &mut Context<'_, K>,
    ) -> Result<Box<dyn Protocol<K>>, Box<Down<K>>> {
        match greet(io, http2).await {
            Ok(greeted) => Ok(Self::begin(greeted, options, means, left, context)),
            Err(reason) => {
                Err(Box::new(Down { reason, killed: Vec::new(), closed_by_user: false, served: false, left }))
            }
        }
    }

    /// The same once the peer has been greeted.
    pub(crate) fn begin(
        greeted: Greeted<S>,
        options: Arc<ConnectOptions>,
        means: Means<K>,
        left: Left<K>,
        context: &mut Context<'_, K>,
    ) -> Box<dyn Protocol<K>> {
        let Greeted { connection, sender, ready, control, http2 } = greeted;
        let route = means.route.clone();
        let mut exchanges = Exchanges {
            scheme: if route.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP },
            sender,
            streams: Streams::new(),
            websockets: Websockets::new(),
            tunnels: Tunnels::new(means),
            detours: Detours::new(Way { options: Arc::clone(&options), route }),
            repeated: HashMap::new(),
            postponed: Postponed::new(),
            waker: Waker::from(Arc::clone(&ready)),
            ready,
            control,
            peer: None,
            pushed: 0,
            last_pushed: 0,
            unread: 0,
            held: BTreeSet::new(),
            pings: Pings::new(http2.keepalive, http2.keepalive_tolerance),
            over: None,
            going_away: false,
            closing: None,
            shutdown: Shutdown::NotAsked,
            owes_goodbye: false,
            silent: http2.preface_timeout.map(alarm),
            unacknowledged: http2.settings_timeout.map(alarm),
            served: false,
            stalled: Stall::default(),
            receipts: Receipts::new(),
            earliest: Earliest::default(),
            options,
            http2,
        };
        exchanges.take_over(left, context);
        let window = exchanges.window();
        Box::new(Self { connection, exchanges, window })
    }

    /// Lets h2 do its work.
    fn poll_connection(&mut self) -> Poll<Result<(), h2::Error>> {
        self.exchanges.ready.begin_connection();
        Pin::new(&mut self.connection).poll(&mut task::Context::from_waker(&self.exchanges.waker))
    }

    /// What a stream holds of the window, as its receiver takes nothing for now, is not held against the others.
    fn open_window(&mut self) {
        let window = self.exchanges.window();
        if self.window != window {
            self.window = window;
            self.connection.set_target_window_size(window);
        }
    }

    /// Works until there is nothing to do, or until others have their turn.
    fn work(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        loop {
            if let Some(reason) = self.exchanges.over.take() {
                return Poll::Ready(self.exchanges.down(reason, context));
            }
            self.exchanges.poll_streams(context);
            if self.exchanges.over.is_some() {
                continue;
            }
            self.open_window();
            let ended = self.poll_connection();
            self.exchanges.take_news(context);
            self.exchanges.websockets_written(context);
            self.exchanges.report_sent(context);
            if let Poll::Ready(result) = ended {
                self.exchanges.report_left(context);
                let reason = self.exchanges.end_reason(result, context);
                return Poll::Ready(self.exchanges.down(reason, context));
            }
            self.exchanges.start_waiting(context);
            if let Some(exit) = self.exchanges.idle_end(context) {
                return Poll::Ready(exit);
            }
            if let Poll::Ready(exit) = self.exchanges.poll_timers(context, cx) {
                match exit {
                    Some(exit) => return Poll::Ready(exit),
                    None => continue,
                }
            }
            if self.exchanges.control.is_turn_over() {
                end_turn(cx);
                context.then = Then::Yield;
                return Poll::Pending;
            }
            if self.exchanges.ready.rest() {
                return Poll::Pending;
            }
        }
    }
}

impl<S: ByteStream, K: Sink> Protocol<K> for Http2<S, K> {
    fn commands_first(&self) -> usize {
        COMMANDS_IN_A_ROW
    }

    fn begin_turn(&mut self) {
        self.exchanges.control.begin_turn();
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.exchanges.ready.begin_command();
        self.exchanges.command(command, charge, context);
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        self.exchanges.ready.begin_command();
        self.exchanges.ping(ping, context);
    }

    fn shut_down(&mut self, context: &mut Context<'_, K>) {
        self.exchanges.ready.begin_command();
        self.exchanges.shut_down(context);
    }

    fn leads(&self, tunnel: Option<&K::StreamId>) -> bool {
        tunnel.is_none_or(|tunnel| self.exchanges.tunnels.lead(tunnel))
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        self.exchanges.ready.begin(cx);
        let poll = self.work(context, cx);
        self.exchanges.ready.leave();
        poll
    }

    /// None is named, as it was not known which of them was at fault. h2 panics anew when what it has panicked in is dropped.
    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self)));
        Vec::new()
    }

    fn lose(
        mut self: Box<Self>,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.exchanges.lose_all(reason, error, context)
    }
}

impl<K: Sink> Exchanges<K> {
    /// Does what there is to do on the streams that were woken.
    fn poll_streams(&mut self, context: &mut Context<'_, K>) {
        if !context.relay.is_exhausted() {
            for place in std::mem::take(&mut self.held) {
                self.poll_stream(place, context);
            }
        }
        while self.over.is_none() && !self.control.is_turn_over() {
            let Some(place) = self.ready.next() else { return };
            self.control.spend_look();
            self.poll_stream(place, context);
        }
    }

    /// The timers of the connection.
    fn poll_timers(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        self.watch_peer();
        if self.control.has_begun() {
            self.silent = None;
        }
        if is_due(self.shutdown.timer(), cx) || is_due(self.closing.as_mut(), cx) {
            return Poll::Ready(Some(self.cut_short(context)));
        }
        while let Some(entry) = self.postponed.due(cx) {
            self.repeat(entry);
        }
        if self.earliest.is_due(self.streams.next_limit(), cx) {
            self.end_late(context);
            return Poll::Ready(None);
        }
        if is_due(self.silent.as_mut(), cx) {
            self.fail(NO_PREFACE);
            return Poll::Ready(None);
        }
        if is_due(self.unacknowledged.as_mut(), cx) {
            self.fail(NO_ACKNOWLEDGEMENT);
            return Poll::Ready(None);
        }
        if is_due(self.pings.due.as_mut(), cx) {
            match self.pings.probe() {
                Some(payload) => self.send_ping(payload),
                None => self.fail(NO_PONGS),
            }
            return Poll::Ready(None);
        }
        if self.stalled.is_due(cx) {
            let stalled = self
                .stalled
                .end(self.control.blocked_at())
                .then(|| self.down(ConnectionError::SendTimeout.into(), context));
            return Poll::Ready(stalled);
        }
        Poll::Pending
    }

    /// h2 has had its turn: what it was given before is sent, unless the peer takes no more.
    fn report_sent(&mut self, context: &mut Context<'_, K>) {
        if !self.receipts.is_empty() {
            self.receipts.report(self.control.blocked_at().is_some(), context.sink);
        }
    }

    fn send_ping(&self, payload: [u8; 8]) {
        self.control.send(&frames::ping(payload));
        self.waker.wake_by_ref();
    }

    /// Whether no new stream can be begun.
    fn is_ending(&self) -> bool {
        self.going_away || self.over.is_some() || self.shutdown.is_asked()
    }

    /// How many streams the peer has room for.
    fn room(&self) -> usize {
        let most = self.peer.and_then(|peer| peer.max_concurrent_streams).map_or(usize::MAX, |most| most as usize);
        most.saturating_sub(self.streams.active_len() + self.websockets.len() + self.tunnels.len() - self.pushed)
    }

    /// Whether the peer has room for another stream.
    fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Whether it has, with those that are to be begun before.
    fn has_room_for_all(&self) -> bool {
        self.room() > self.streams.waiting_len()
    }

    /// Looks whether the peer takes what is sent.
    fn watch_peer(&mut self) {
        self.stalled.watch(self.options.tcp.send_timeout, self.control.blocked_at());
    }
}

fn builder(options: &Http2Options) -> Builder {
    let mut builder = Builder::new();
    let window = options.initial_connection_window_size;
    builder
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(window)
        .max_header_list_size(options.max_header_list_size)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .reset_stream_duration(RESET_FOR)
        .max_local_error_reset_streams(Some(STREAM_FAULTS))
        .data_frame_budget((window as usize).saturating_mul(SMALL_FRAMES));
    if let Some(most) = options.max_concurrent_streams {
        builder.max_concurrent_streams(most);
    }
    if !options.push {
        builder.enable_push(false);
    }
    if options.max_decode_table_size != DEFAULT_TABLE_SIZE {
        builder.header_table_size(options.max_decode_table_size);
    }
    if options.max_frame_size_received != DEFAULT_FRAME_SIZE {
        builder.max_frame_size(options.max_frame_size_received);
    }
    builder
}

#[cfg(test)]
mod tests;

//! Where a byte stream leads: what is spoken on it once its first protocol has given it up.
//!
//! A proxy that speaks HTTP/1.1 gives up its whole connection for a tunnel (RFC 9110, 9.3.6), and so does one that speaks
//! SOCKS. [`Tunnel`] stands in the place of the connection's protocol then. It makes the way on: TLS with the destination,
//! SOCKS if that is another proxy; and it lends itself to what is spoken at the end. A tunnel inside of another one takes its
//! place, with all their names.
//!
//! A proxy that speaks HTTP/2 gives up a stream alone. A `Tunnel` stands beside the connection then, and does the same on
//! that stream: it says nothing of the connection, and tells by itself that its streams end, and that it does.
//!
//! ```text
//!          +---- the destination is a SOCKS proxy ----+
//!          v                                          |
//!     Negotiate --> Shake (TLS) --> Greet (HTTP/2) --> Spoken
//! ```

mod ends;
mod way;

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{self, Poll};

use tokio::time::Instant;

use self::way::{Reached, Stage, Step};
use crate::account::Charge;
use crate::command::tunnel::{Destination, Socks, Speaks};
use crate::command::{Ping, StreamCommand};
use crate::error::{BadState, DownReason};
use crate::event::{Event, ProtocolName, StreamError, StreamInfo};
use crate::http::deadline::Earliest;
use crate::http::http1::Http1;
use crate::http::http2::{Greeted, Http2, Means};
use crate::late::{self, Kept, earlier, limit_of_kept, limit_of_left};
use crate::options::{ConnectOptions, Endpoint, First};
use crate::protocol::{Context, Down, Exit, Left, Lost, Opened, Protocol, Then};
use crate::raw::Raw;
use crate::sink::Sink;
use crate::status::State;
use crate::transport::Io;

/// What goes on with a byte stream, or how the connection ends.
pub(crate) type Begun<K> = Result<Box<dyn Protocol<K>>, Box<Down<K>>>;

/// Goes on with what a protocol has opened.
pub(crate) fn begin<K: Sink>(opened: Opened<K>, context: &mut Context<'_, K>) -> Begun<K> {
    let Opened { io, stream, options, destination, served } = opened;
    let Some(destination) = destination else { return raw(io, Some(&stream), &options, context) };
    let mut tunnel = Tunnel::new(options, Left::nothing(), served);
    tunnel.layers.push(stream);
    tunnel.lead(io, destination);
    Ok(Box::new(tunnel))
}

/// Goes on with what a stream of HTTP/2 has opened.
pub(crate) fn beside<K: Sink>(opened: Opened<K>) -> Box<dyn Protocol<K>> {
    let Opened { io, stream, options, destination, served } = opened;
    let mut tunnel = Tunnel::new(options, Left::nothing(), served);
    tunnel.beside = true;
    tunnel.layers.push(stream);
    if let Some(destination) = destination {
        tunnel.lead(io, destination);
    }
    Box::new(tunnel)
}

/// Leads through a proxy that speaks SOCKS.
pub(crate) fn socks<K: Sink>(
    io: Io,
    socks: Arc<Socks>,
    options: Arc<ConnectOptions>,
    left: Left<K>,
) -> Box<dyn Protocol<K>> {
    let mut tunnel = Tunnel::new(options, left, false);
    tunnel.told = true;
    tunnel.stage = Stage::negotiate(io, socks);
    Box::new(tunnel)
}

/// Carries bytes as they are: the owner's, or those of the stream that has asked for it.
pub(crate) fn raw<K: Sink>(
    io: Io,
    asked: Option<&K::Stream>,
    options: &ConnectOptions,
    context: &mut Context<'_, K>,
) -> Begun<K> {
    let Some(stream) = context.sink.raw(asked, false) else {
        return Err(Box::new(down(DownReason::Normal, Vec::new(), false)));
    };
    context.status.begin_http(State::Raw, options.raw.max_send_queue);
    Ok(Raw::start(io, stream, options.raw, options.tcp.send_timeout, context))
}

/// The command, unless it opens a stream by way of another tunnel than the protocol's.
pub(crate) fn led<K: Sink>(
    command: StreamCommand<K>,
    protocol: &dyn Protocol<K>,
    context: &mut Context<'_, K>,
) -> Option<StreamCommand<K>> {
    let stream = match &command {
        StreamCommand::Request(request) => &request.stream,
        StreamCommand::Upgrade(upgrade) => &upgrade.stream,
        _ => return Some(command),
    };
    let tunnel = K::tunnel(stream.borrow());
    if protocol.leads(tunnel.as_ref()) {
        return Some(command);
    }
    let error = StreamError::BadState(BadState::not_led(tunnel.is_some()));
    context.sink.event(Event::StreamError { stream, error });
    None
}

fn down<K: Sink>(reason: DownReason, killed: Vec<K::Stream>, served: bool) -> Down<K> {
    Down { reason, killed, closed_by_user: false, served, left: Left::nothing() }
}

/// A connection that leads through proxies.
struct Tunnel<K: Sink> {
    /// The options of the connection.
    options: Arc<ConnectOptions>,
    /// The tunnels that have names, the outermost first.
    layers: Vec<K::Stream>,
    /// It is on a stream of HTTP/2, beside what else the connection does.
    beside: bool,
    /// What is spoken at the end is what HTTP has become there, which does not tell its streams of its end.
    switched: bool,
    stage: Stage<K>,
    /// Whether the innermost of them was told to be up: its streams may be opened.
    told: bool,
    /// What came before there was anybody to do it.
    kept: VecDeque<(StreamCommand<K>, Charge)>,
    /// What the connection before has left for the one at the end.
    left: Option<Left<K>>,
    /// When the time of the first request among all that is over, and its timer.
    limit: Option<Instant>,
    earliest: Earliest,
    /// A command ends the connection, in this way.
    over: Option<Over<K>>,
    /// Whether a peer on the way has answered a request.
    served: bool,
    /// The end carries bytes as they are, by the tunnel's name.
    is_raw: bool,
}

/// How a command ends the connection.
enum Over<K: Sink> {
    /// The user has cancelled this tunnel, or what it leads to is to end at once.
    Cancelled(Option<K::StreamId>),
    ShutDown,
}

impl<K: Sink> Tunnel<K> {
    fn new(options: Arc<ConnectOptions>, left: Left<K>, served: bool) -> Self {
        Self {
            options,
            layers: Vec::new(),
            beside: false,
            switched: false,
            stage: Stage::Over,
            told: false,
            kept: VecDeque::new(),
            limit: limit_of_left(&left),
            earliest: Earliest::default(),
            left: Some(left),
            over: None,
            served,
            is_raw: false,
        }
    }

    /// The byte stream leads to the destination of a CONNECT.
    fn lead(&mut self, io: Io, destination: Arc<Destination>) {
        self.told = false;
        self.stage = Stage::shake(io, destination);
    }

    /// The byte stream is the destination's: what is spoken there begins.
    fn arrive(&mut self, reached: Reached, context: &mut Context<'_, K>) -> Result<(), DownReason> {
        let Reached { io, alpn, destination } = reached;
        let options = self.options_of(&destination);
        match &destination.speaks {
            Speaks::Socks(socks) => {
                if !self.beside {
                    context.status.set(State::Socks);
                }
                self.up(ProtocolName::Socks, &destination, context);
                self.stage = Stage::negotiate(io, Arc::clone(socks));
            }
            Speaks::Raw(raw) => {
                let raw = raw.unwrap_or(options.raw);
                let stream = context.sink.raw(self.layers.last(), true).ok_or(DownReason::Normal)?;
                self.begin_state(State::Raw, raw.max_send_queue, context);
                self.up(ProtocolName::Raw, &destination, context);
                self.is_raw = true;
                let raw = Raw::start(io, stream, raw, options.tcp.send_timeout, context);
                self.begin_end(raw, context);
            }
            Speaks::Http { .. } => {
                let may = alpn.as_deref() == Some(b"h2") || !options.http1;
                if let Some(http2) = options.http2.clone().filter(|_| may) {
                    self.stage = Stage::greet(io, http2, Arc::new(options), destination);
                    return Ok(());
                }
                self.begin_state(State::Http, options.http.max_send_queue, context);
                self.up(ProtocolName::Http, &destination, context);
                let left = self.left.take().unwrap_or_else(Left::nothing);
                let http1 = Http1::start(io, Arc::new(options), !self.beside, left, context);
                self.begin_end(http1, context);
            }
        }
        Ok(())
    }

    /// The peer at the end has been greeted: HTTP/2 begins.
    fn greeted(
        &mut self,
        greeted: Greeted<Io>,
        options: Arc<ConnectOptions>,
        destination: &Destination,
        context: &mut Context<'_, K>,
    ) {
        let max_send_queue = options.http2.as_ref().and_then(|http2| http2.max_send_queue);
        self.begin_state(State::Http2, max_send_queue, context);
        self.up(ProtocolName::Http2, destination, context);
        let left = self.left.take().unwrap_or_else(Left::nothing);
        let route = destination.tls.clone().into();
        let means = Means { route, options: Arc::clone(&self.options), lead: beside };
        let http2 = Http2::begin(greeted, options, means, left, context);
        self.begin_end(http2, context);
    }

    fn up(&mut self, protocol: ProtocolName, destination: &Destination, context: &mut Context<'_, K>) {
        self.told = true;
        let (stream, label, beside) = (self.layers.last(), &destination.label[..], self.beside);
        context.sink.event(Event::TunnelUp { stream, protocol, label, beside });
    }

    /// The connection is what is spoken at the end.
    fn begin_state(&self, state: State, max_send_queue: Option<usize>, context: &Context<'_, K>) {
        if !self.beside {
            context.status.begin_http(state, max_send_queue);
        }
    }

    /// This is spoken at the end, and does what was kept for it.
    fn begin_end(&mut self, mut protocol: Box<dyn Protocol<K>>, context: &mut Context<'_, K>) {
        protocol.begin_turn();
        for (command, charge) in std::mem::take(&mut self.kept) {
            protocol.command(command, charge, context);
        }
        self.stage = Stage::Spoken(protocol);
    }

    /// The connection's options, for what is spoken at the end.
    fn options_of(&self, destination: &Destination) -> ConnectOptions {
        let base = &*self.options;
        let mut options = ConnectOptions {
            endpoint: Endpoint::Tcp { host: destination.host.clone(), port: destination.port },
            authority: destination.authority.clone(),
            // What waits in a tunnel that has a name dies with that.
            reconnects: base.reconnects && self.layers.is_empty(),
            first: First::Inside,
            ..base.clone()
        };
        if let Speaks::Http { http1, http2 } = &destination.speaks {
            options.http1 = http1.is_some();
            if let Some(Some(http)) = http1 {
                options.http = http.clone();
            }
            options.http2 = http2.as_ref().map(|http2| http2.clone().unwrap_or_else(|| Arc::clone(&base.http2_inside)));
        }
        options
    }

    /// Ends the requests whose time is over before there is anybody to make them. Whoever is there has timers of its own.
    fn end_late(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) {
        while !matches!(self.stage, Stage::Spoken(_)) && self.earliest.is_due(self.limit, cx) {
            late::end_late(self.left.as_mut(), &mut self.kept, context.sink);
            self.limit = earlier(self.left.as_ref().and_then(limit_of_left), limit_of_kept(&self.kept));
        }
    }

    /// Whether a request of this name waits.
    fn awaits(&self, stream: &K::StreamId) -> bool {
        let is_request = |command: &StreamCommand<K>| match command {
            StreamCommand::Request(request) => request.stream.borrow() == stream,
            _ => false,
        };
        let left = self.left.iter().flat_map(|left| &left.requests);
        left.map(|waiting| waiting.entry.name.borrow()).any(|name: &K::StreamId| name == stream)
            || self.kept.iter().any(|(command, _)| is_request(command))
    }

    /// Goes on as far as it can: how the connection ends, if it does.
    fn step(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<Exit<K>>> {
        match std::task::ready!(self.stage.poll(context, cx)) {
            Step::Arrived(reached) => {
                let arrived = self.arrive(reached, context);
                Poll::Ready(arrived.err().map(|reason| self.failed(reason, context)))
            }
            Step::Greeted { greeted, options, destination } => {
                self.greeted(*greeted, options, &destination, context);
                Poll::Ready(None)
            }
            Step::Failed(reason) => Poll::Ready(Some(self.failed(reason, context))),
            Step::Exit(Exit::Switch(next)) => {
                self.switched = true;
                self.stage = Stage::Spoken(next);
                Poll::Ready(None)
            }
            Step::Exit(Exit::Through(opened)) => Poll::Ready(self.through(*opened, context)),
            Step::Exit(Exit::Down(down)) => Poll::Ready(Some(self.ended(down, context))),
            Step::Exit(Exit::ShutDown) => Poll::Ready(Some(self.has_shut_down(context))),
        }
    }

    /// The end leads on.
    fn through(&mut self, opened: Opened<K>, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        let Opened { io, stream, options, destination, served } = opened;
        self.served |= served;
        match destination {
            Some(destination) => {
                self.layers.push(stream);
                self.lead(io, destination);
                None
            }
            None if self.beside => self.carry(io, stream, &options, context),
            None => match raw(io, Some(&stream), &options, context) {
                Ok(protocol) => {
                    self.stage = Stage::Spoken(protocol);
                    None
                }
                Err(down) => Some(Exit::Down(down)),
            },
        }
    }

    /// A request in a tunnel on a stream has switched to raw, which is known by the name of that request.
    fn carry(
        &mut self,
        io: Io,
        stream: K::Stream,
        options: &ConnectOptions,
        context: &mut Context<'_, K>,
    ) -> Option<Exit<K>> {
        let raw = context.sink.raw(Some(&stream), true);
        self.layers.push(stream);
        match raw {
            Some(raw) => {
                self.stage = Stage::Spoken(Raw::start(io, raw, options.raw, options.tcp.send_timeout, context));
                None
            }
            None => Some(self.failed(DownReason::Normal, context)),
        }
    }
}

impl<K: Sink> Protocol<K> for Tunnel<K> {
    fn commands_first(&self) -> usize {
        if let Stage::Spoken(protocol) = &self.stage { protocol.commands_first() } else { 0 }
    }

    fn begin_turn(&mut self) {
        if let Stage::Spoken(protocol) = &mut self.stage {
            protocol.begin_turn();
        }
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        let command = match command {
            StreamCommand::Cancel(cancel) if self.is_tunnel(&cancel.0) => return self.cancel(*cancel, context),
            StreamCommand::Info(asked) if self.beside && self.is_tunnel(&asked.0) => {
                return self.info(&asked.0, &asked.1, context);
            }
            command => command,
        };
        if let Stage::Spoken(protocol) = &mut self.stage {
            return protocol.command(command, charge, context);
        }
        match command {
            StreamCommand::Info(asked) => {
                let info = StreamInfo::Unknown;
                context.sink.event(Event::StreamInfo { receipt: &asked.1, info });
            }
            StreamCommand::CloseWith(_) => self.over = Some(Over::Cancelled(None)),
            StreamCommand::Data(data) if data.receipt.is_some() && !self.awaits(&data.stream) => {
                drop(charge);
                data.refuse(BadState::NoStream, context.sink);
            }
            command => {
                self.limit = earlier(self.limit, command.limit());
                self.kept.push_back((command, charge));
            }
        }
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        match &mut self.stage {
            Stage::Spoken(protocol) => protocol.ping(ping, context),
            _ => context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::NoPing }),
        }
    }

    fn shut_down(&mut self, context: &mut Context<'_, K>) {
        match &mut self.stage {
            Stage::Spoken(protocol) => protocol.shut_down(context),
            _ => self.over = Some(Over::ShutDown),
        }
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        loop {
            match self.over.take() {
                Some(Over::ShutDown) => return Poll::Ready(self.has_shut_down(context)),
                Some(Over::Cancelled(tunnel)) => return Poll::Ready(self.cancelled(tunnel.as_ref(), context)),
                None => {}
            }
            context.then = Then::Rest;
            self.end_late(context, cx);
            match self.step(context, cx) {
                Poll::Ready(Some(exit)) => return Poll::Ready(exit),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        match self.stage {
            Stage::Spoken(protocol) => protocol.into_killed(),
            _ => self.layers.into_iter().next_back().into_iter().collect(),
        }
    }

    fn leads(&self, tunnel: Option<&K::StreamId>) -> bool {
        match (self.layers.last(), tunnel, &self.stage) {
            (Some(innermost), Some(tunnel), _) if innermost == tunnel => self.told,
            (None, None, _) => self.told,
            // What is spoken at the end may lead further on its streams.
            (_, Some(tunnel), Stage::Spoken(protocol)) => protocol.leads(Some(tunnel)),
            _ => false,
        }
    }

    fn stream(&self) -> Option<&K::Stream> {
        self.layers.first().filter(|_| self.beside)
    }

    fn lose(
        self: Box<Self>,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.lose_all(reason, error, context)
    }
}

#[cfg(test)]
mod tests;

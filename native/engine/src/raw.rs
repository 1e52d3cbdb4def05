//! A connection that carries bytes as they are, in both directions: the user speaks whatever the peer speaks.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::account::Charge;
use crate::command::{Ping, RequestData, StreamCommand};
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::{Event, NotSent, StreamError};
use crate::http::deadline::Stall;
use crate::options::RawOptions;
use crate::protocol::{Context, Down, Exit, Left, Lost, Protocol, Then};
use crate::sink::Sink;
use crate::stream::credit::Credit;
use crate::stream::receipts::Receipts;
use crate::transport::{ByteStream, Io};
use crate::turn::{Share, end_turn};

/// How many commands are done in a row before the byte stream is looked at: what they send leaves together.
const COMMANDS_IN_A_ROW: usize = 512;

/// Bytes as they are, on this byte stream.
pub(crate) struct Raw<K: Sink> {
    io: Io,
    /// What the bytes belong to.
    stream: K::Stream,
    credit: Credit,
    /// What is not written yet, with what it counts for.
    waiting: VecDeque<(Bytes, Charge)>,
    receipts: Receipts<K>,
    /// How many bytes there were to be written, and how many are.
    staged: u64,
    written: u64,
    /// Whether the peer took nothing when that was last tried.
    blocked: bool,
    end: End,
    /// Nothing is written any more, for this reason.
    unwritable: Option<io::Error>,
    send_timeout: Option<Duration>,
    stalled: Stall,
    /// A command ends the connection, in this way.
    over: Option<Over>,
    /// The peer has sent something.
    served: bool,
    /// How many more commands of the turn are done in a row.
    in_a_row: usize,
    share: Share,
    /// What is left of the turn.
    turn: usize,
}

/// How far the end of what is sent has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// Nothing more comes; the peer is yet to hear of it.
    Asked,
    /// The peer has been told.
    Told,
}

/// How a command ends the connection.
enum Over {
    Down(DownReason),
    ShutDown,
}

impl<K: Sink> Raw<K> {
    /// Begins on the byte stream, for the stream that what is received belongs to.
    pub(crate) fn start(
        io: Io,
        stream: K::Stream,
        options: RawOptions,
        send_timeout: Option<Duration>,
        context: &Context<'_, K>,
    ) -> Box<dyn Protocol<K>> {
        let credit = Credit::new(options.flow, context.sink.is_remote(&stream));
        Box::new(Self {
            io,
            stream,
            credit,
            waiting: VecDeque::new(),
            receipts: Receipts::new(),
            staged: 0,
            written: 0,
            blocked: false,
            end: End::Open,
            unwritable: None,
            send_timeout,
            stalled: Stall::default(),
            over: None,
            served: false,
            in_a_row: 0,
            share: Share::default(),
            turn: 0,
        })
    }

    fn data(&mut self, data: RequestData<K>, charge: Charge, context: &mut Context<'_, K>) {
        let RequestData { stream, caller, data, fin, receipt } = data;
        let ticket = receipt.map(|receipt| self.receipts.ticket(receipt));
        let error = match self.end {
            _ if self.stream != stream => Some(BadState::NoStream),
            End::Open => None,
            End::Asked | End::Told => Some(BadState::BodyComplete),
        };
        if let Some(error) = error {
            drop(charge);
            return match ticket {
                Some(ticket) => self.receipts.refuse(ticket, error, data.is_empty(), context.sink),
                None if error == BadState::NoStream => {
                    context.sink.event(Event::NoStream { stream: &stream, caller: &caller });
                }
                None => context.sink.event(Event::Refused { stream: &stream, caller: &caller, error }),
            };
        }
        self.staged += data.len() as u64;
        if let Some(ticket) = ticket {
            self.receipts.stage(self.staged, ticket);
        }
        if !data.is_empty() {
            self.waiting.push_back((data, charge));
        }
        if fin {
            self.end = End::Asked;
        }
    }

    /// Writes as much as the peer takes, then the end if that has come.
    fn write(&mut self, cx: &mut task::Context<'_>) {
        if self.unwritable.is_some() {
            return;
        }
        self.blocked = false;
        while let Some((bytes, _)) = self.waiting.front_mut() {
            match Pin::new(&mut self.io).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return self.cannot_write(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(len)) => {
                    self.written += len as u64;
                    if len >= bytes.len() {
                        self.waiting.pop_front();
                    } else {
                        bytes.advance(len);
                    }
                }
                Poll::Ready(Err(error)) => return self.cannot_write(error),
                Poll::Pending => {
                    self.blocked = true;
                    return;
                }
            }
        }
        // An idle connection holds no buffer.
        self.waiting = VecDeque::new();
        if self.end != End::Asked {
            return;
        }
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => self.end = End::Told,
            Poll::Ready(Err(error)) => self.cannot_write(error),
            Poll::Pending => self.blocked = true,
        }
    }

    /// What the peer has sent before is there to be read.
    fn cannot_write(&mut self, error: io::Error) {
        self.waiting = VecDeque::new();
        self.unwritable = Some(error);
    }

    /// Reads once, unless the receiver must allow it first: the end of the connection, if that has come.
    fn read(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Option<DownReason>> {
        let relayed = context.sink.relays(&self.stream);
        if self.credit.is_held_up() || relayed && context.relay.is_exhausted() {
            return self.cannot_go_on();
        }
        let mut received = Vec::new();
        let wanted = self.turn;
        match self.io.poll_read_pieces(wanted, cx, &mut |piece| received.extend_from_slice(piece)) {
            Poll::Ready(Ok(0)) => Poll::Ready(Some(DownReason::Closed)),
            Poll::Ready(Ok(_)) => {
                self.received(received, relayed, context);
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some((&error).into())),
            Poll::Pending => self.cannot_go_on(),
        }
    }

    /// Nothing is received for now: a connection on which nothing can be sent either is over.
    fn cannot_go_on(&mut self) -> Poll<Option<DownReason>> {
        match self.unwritable.take() {
            Some(error) => Poll::Ready(Some((&error).into())),
            None => Poll::Pending,
        }
    }

    fn received(&mut self, received: Vec<u8>, relayed: bool, context: &mut Context<'_, K>) {
        let len = received.len();
        self.served = true;
        self.turn = self.turn.saturating_sub(len.max(1));
        self.credit.spend(len);
        let stream = &self.stream;
        context.sink.event(Event::Data { stream, fin: false, data: received.into() });
        if let Some((messages, bytes)) = self.credit.ask() {
            context.sink.event(Event::FlowCheck { stream, messages, bytes });
        }
        if relayed {
            context.relay.spend(len);
            if context.relay.ask().is_some() {
                context.sink.event(Event::RelayCheck);
            }
        }
    }

    /// Reports to those who wait which parts are sent.
    fn report_sent(&mut self, context: &mut Context<'_, K>) {
        if !self.receipts.is_empty() {
            self.receipts.wrote(self.written);
            self.receipts.report(false, context.sink);
        }
    }

    fn down(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        self.receipts.fail(NotSent::Down(&reason), context.sink);
        let (killed, left) = (Vec::new(), Left::nothing());
        Exit::Down(Box::new(Down { reason, killed, closed_by_user: false, served: self.served, left }))
    }
}

impl<K: Sink> Protocol<K> for Raw<K> {
    fn commands_first(&self) -> usize {
        self.in_a_row
    }

    fn begin_turn(&mut self) {
        self.in_a_row = COMMANDS_IN_A_ROW;
        self.turn = self.share.begin();
    }

    fn command(&mut self, command: StreamCommand<K>, charge: Charge, context: &mut Context<'_, K>) {
        self.in_a_row = self.in_a_row.saturating_sub(1);
        match command {
            StreamCommand::Data(data) => self.data(*data, charge, context),
            StreamCommand::UpdateFlow(_, parts) => self.credit.update(parts),
            StreamCommand::FlowGrant(stream) if self.stream == *stream => self.credit.grant(),
            StreamCommand::CloseWith(_) => self.over = Some(Over::Down(DownReason::Normal)),
            command => {
                drop(charge);
                refuse(command, context.sink, BadState::OnlyRaw);
            }
        }
    }

    fn ping(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) {
        context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::NoPing });
    }

    fn shut_down(&mut self, _context: &mut Context<'_, K>) {
        self.over = Some(Over::ShutDown);
    }

    fn poll(&mut self, context: &mut Context<'_, K>, cx: &mut task::Context<'_>) -> Poll<Exit<K>> {
        loop {
            match self.over.take() {
                Some(Over::Down(reason)) => return Poll::Ready(self.down(reason, context)),
                Some(Over::ShutDown) => {
                    self.receipts.fail(NotSent::ShutDown, context.sink);
                    return Poll::Ready(Exit::ShutDown);
                }
                None => {}
            }
            if self.turn == 0 {
                end_turn(cx);
                context.then = Then::Yield;
                return Poll::Pending;
            }
            self.write(cx);
            self.report_sent(context);
            match self.read(context, cx) {
                Poll::Ready(Some(reason)) => return Poll::Ready(self.down(reason, context)),
                Poll::Ready(None) => continue,
                Poll::Pending => {}
            }
            let blocked_at = self.blocked.then_some(self.written);
            self.stalled.watch(self.send_timeout, blocked_at);
            if !self.stalled.is_due(cx) {
                return Poll::Pending;
            }
            if self.stalled.end(blocked_at) {
                return Poll::Ready(self.down(ConnectionError::SendTimeout.into(), context));
            }
        }
    }

    fn into_killed(self: Box<Self>) -> Vec<K::Stream> {
        Vec::new()
    }

    fn lose(
        mut self: Box<Self>,
        reason: DownReason,
        _error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.receipts.fail(NotSent::Down(&reason), context.sink);
        Lost::nothing()
    }
}

/// Does nothing of a command that needs a protocol with streams of its own, and says so where somebody is told.
pub(crate) fn refuse<K: Sink>(command: StreamCommand<K>, sink: &mut K, error: BadState) {
    match command {
        StreamCommand::Request(request) => {
            sink.event(Event::BadState { stream: Some(&request.stream), caller: &request.caller, error });
        }
        StreamCommand::Upgrade(upgrade) => {
            sink.event(Event::BadState { stream: Some(&upgrade.stream), caller: &upgrade.caller, error });
        }
        StreamCommand::Data(data) => match &data.receipt {
            Some(receipt) => sink.event(Event::NotSent { receipt, error: NotSent::BadState(BadState::NoStream) }),
            None => sink.event(Event::NoStream { stream: &data.stream, caller: &data.caller }),
        },
        StreamCommand::Cancel(cancel) => sink.event(Event::NoStream { stream: &cancel.0, caller: &cancel.1 }),
        StreamCommand::Info(asked) => {
            let info = crate::event::StreamInfo::Unknown;
            sink.event(Event::StreamInfo { receipt: &asked.1, info });
        }
        StreamCommand::Send(outgoing) => outgoing.refuse(sink, error),
        StreamCommand::Respond(_)
        | StreamCommand::Inform(_)
        | StreamCommand::ResponseTrailers(_)
        | StreamCommand::Accept(_) => {
            if let Some((stream, caller)) = command.answered() {
                sink.event(Event::NoStream { stream, caller });
            }
        }
        // What a stream has not lived to see.
        StreamCommand::Broadcast(_)
        | StreamCommand::UpdateFlow(..)
        | StreamCommand::FlowGrant(_)
        | StreamCommand::Settled(_)
        | StreamCommand::Tune(_)
        | StreamCommand::CloseWith(_) => {}
    }
}

#[cfg(test)]
mod tests;

//! How a tunnel ends: with the connection that it is, or beside one that goes on.

use super::way::Stage;
use super::{Over, Tunnel, down};
use crate::command::StreamCommand;
use crate::error::{BadState, ConnectionError, DownReason};
use crate::event::step::Step;
use crate::event::{Event, StreamError, StreamInfo};
use crate::options::Steps;
use crate::protocol::{Context, Down, Exit, Left, Lost};
use crate::sink::Sink;

impl<K: Sink> Tunnel<K> {
    /// The way on could not be made.
    pub(super) fn failed(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        let mut down = down(reason, Vec::new(), self.served);
        if self.beside {
            self.leave(StreamError::Closed(&down.reason), &mut down.killed, context);
            self.close(Some(StreamError::TunnelClosed(&down.reason)), None, &mut down.killed, context);
            return Exit::Down(Box::new(down));
        }
        match self.layers.pop() {
            Some(tunnel) => {
                let error = StreamError::Closed(&down.reason);
                context.sink.event(Event::StreamError { stream: &tunnel, error });
                down.killed.push(tunnel);
                self.leave(error, &mut down.killed, context);
            }
            None => self.leave_to_next(&mut down),
        }
        Exit::Down(Box::new(down))
    }

    /// What is spoken at the end has ended, and the connection with it, or the stream.
    pub(super) fn ended(&mut self, mut down: Box<Down<K>>, context: &mut Context<'_, K>) -> Exit<K> {
        down.served |= self.served;
        if self.layers.is_empty() {
            return Exit::Down(down);
        }
        let Down { reason, killed, left, .. } = &mut *down;
        let error = StreamError::Closed(reason);
        give_up(left, error, killed, context);
        if self.beside {
            // Of a fault the session has told it.
            let is_told = matches!(reason, DownReason::Normal | DownReason::Error(ConnectionError::Protocol(_)));
            for stream in killed.iter().filter(|_| self.switched && !is_told) {
                context.sink.event(Event::StreamError { stream, error });
            }
            self.close(Some(StreamError::TunnelClosed(reason)), None, killed, context);
        } else if let Some(tunnel) = self.layers.pop().filter(|_| self.is_raw) {
            context.sink.event(Event::StreamError { stream: &tunnel, error });
            killed.push(tunnel);
        }
        Exit::Down(down)
    }

    /// The graceful end is reached.
    pub(super) fn has_shut_down(&mut self, context: &mut Context<'_, K>) -> Exit<K> {
        if self.beside {
            self.leave(StreamError::Closing, &mut Vec::new(), context);
            self.close(None, None, &mut Vec::new(), context);
        }
        Exit::ShutDown
    }

    /// The user cancels a tunnel.
    pub(super) fn cancel(&mut self, (name, caller): (K::StreamId, K::Caller), context: &mut Context<'_, K>) {
        if self.beside
            && let Some(stream) = self.layers.iter().find(|tunnel| **tunnel == name)
        {
            context.observe(Steps::CANCEL, || Step::Cancel { stream, caller: &caller });
        }
        self.over = Some(Over::Cancelled(Some(name)));
    }

    /// The user has cancelled a tunnel, and with it all that it leads to.
    pub(super) fn cancelled(&mut self, tunnel: Option<&K::StreamId>, context: &mut Context<'_, K>) -> Exit<K> {
        let mut down = down(DownReason::Normal, Vec::new(), self.served);
        let error = StreamError::Closed(&down.reason);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Spoken(protocol) => {
                let mut lost = protocol.lose(DownReason::Normal, Some(error), context);
                down.killed = lost.killed;
                give_up(&mut lost.left, error, &mut down.killed, context);
                down.left = lost.left;
            }
            _ if self.beside => self.leave(error, &mut down.killed, context),
            // Its error would be for whoever has cancelled it.
            _ if self.layers.pop().is_some() => self.leave(error, &mut down.killed, context),
            _ => self.leave_to_next(&mut down),
        }
        if self.beside {
            self.close(Some(StreamError::TunnelClosed(&down.reason)), tunnel, &mut down.killed, context);
        }
        Exit::Down(Box::new(down))
    }

    /// The connection that it stands beside has ended, or the stream of that: see [`crate::protocol::Protocol::lose`].
    pub(super) fn lose_all(
        mut self,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        let mut lost = Lost::nothing();
        let told = error.unwrap_or(StreamError::Closed(&DownReason::Closed));
        if let Stage::Spoken(protocol) = std::mem::replace(&mut self.stage, Stage::Over) {
            let mut inner = protocol.lose(reason, error, context);
            lost.killed = inner.killed;
            give_up(&mut inner.left, told, &mut lost.killed, context);
        }
        self.leave(told, &mut lost.killed, context);
        self.close(error, None, &mut lost.killed, context);
        lost
    }

    /// What is known of the stream of a tunnel.
    pub(super) fn info(&self, name: &K::StreamId, receipt: &K::Receipt, context: &mut Context<'_, K>) {
        let stream = self.layers.iter().find(|tunnel| *tunnel == name);
        let info = stream.map_or(StreamInfo::Unknown, |stream| StreamInfo::Stream { stream, running: true });
        context.sink.event(Event::StreamInfo { receipt, info });
    }

    /// Ends the tunnels that have names, the innermost first. Of the one that was `cancelled`, whoever did that knows.
    fn close(
        &mut self,
        error: Option<StreamError<'_>>,
        cancelled: Option<&K::StreamId>,
        killed: &mut Vec<K::Stream>,
        context: &mut Context<'_, K>,
    ) {
        while let Some(stream) = self.layers.pop() {
            if let Some(error) = error.filter(|_| cancelled.is_none_or(|cancelled| stream != *cancelled)) {
                context.sink.event(Event::StreamError { stream: &stream, error });
            }
            context.sink.event(Event::TunnelOver { stream: &stream });
            killed.push(stream);
        }
    }

    /// Where the tunnel has no name, what waits is the next connection's.
    fn leave_to_next(&mut self, down: &mut Down<K>) {
        down.left = self.left.take().unwrap_or_else(Left::nothing);
        down.left.commands = std::mem::take(&mut self.kept).into();
    }

    /// Where it has one, that ends here.
    fn leave(&mut self, error: StreamError<'_>, killed: &mut Vec<K::Stream>, context: &mut Context<'_, K>) {
        for (command, charge) in std::mem::take(&mut self.kept) {
            drop(charge);
            let stream = match command {
                StreamCommand::Request(request) => request.stream,
                StreamCommand::Upgrade(upgrade) => upgrade.stream,
                command => {
                    crate::raw::refuse(command, context.sink, BadState::NoTunnel);
                    continue;
                }
            };
            context.sink.event(Event::StreamError { stream: &stream, error });
            killed.push(stream);
        }
    }

    pub(super) fn is_tunnel(&self, stream: &K::StreamId) -> bool {
        self.layers.iter().any(|tunnel| tunnel == stream)
    }
}

/// The tunnel is not made again: nothing of it waits for the next connection.
fn give_up<K: Sink>(
    left: &mut Left<K>,
    error: StreamError<'_>,
    killed: &mut Vec<K::Stream>,
    context: &mut Context<'_, K>,
) {
    for repeated in std::mem::take(&mut left.repeated) {
        repeated.give_up(BadState::NoTunnel, context.sink, context.status);
    }
    for waiting in std::mem::take(&mut left.requests) {
        drop(waiting.charge);
        context.sink.event(Event::StreamError { stream: &waiting.entry.name, error });
        killed.push(waiting.entry.name);
    }
}

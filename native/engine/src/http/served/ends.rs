//! How a served connection ends, or becomes a WebSocket.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::Context as Cx;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::io::AsyncWrite;

use super::exchange::{Exchange, Stage};
use super::responses::last_answer;
use super::{Ending, Served};
use crate::command::{AcceptUpgrade, StreamCommand};
use crate::error::{BadState, ConnectionError, DownReason, Wait};
use crate::event::{Event, StreamError};
use crate::protocol::{Context, Down, Exit, Left, Protocol};
use crate::sink::Sink;
use crate::transport::{ByteStream, Io};
use crate::websocket::carrier::Carrier;
use crate::websocket::handshake::Chosen;
use crate::websocket::role::Role;
use crate::websocket::session::Session;

impl<K: Sink> Served<K> {
    /// hyper has let go of the byte stream.
    pub(super) fn hyper_ended(
        &mut self,
        result: hyper::Result<()>,
        context: &mut Context<'_, K>,
        cx: &mut Cx<'_>,
    ) -> Option<Exit<K>> {
        let (io, received) = self.take_io()?;
        if result.is_ok() && self.exchange.as_ref().is_some_and(Exchange::is_switching) {
            return Some(self.upgraded(io, received, context));
        }
        if result.is_ok() && self.desk.is_answered() && self.exchange.as_ref().is_some_and(Exchange::is_answered) {
            self.end_exchange();
        }
        // A fault of the next request, and not one of the body under way, which is answered already.
        let fault = self.control.fault().filter(|_| self.exchange.is_none() && !self.unread);
        let (reason, answer) = match (&result, fault) {
            (_, Some(fault)) => {
                let status = fault.status(self.options.head_too_large);
                (ConnectionError::Http(fault.to_string()).into(), Some(last_answer(status)))
            }
            (Ok(()), None) if self.finished || self.unread => {
                let exit = self.down(DownReason::Normal, context);
                return self.finish(io, &received, exit, cx);
            }
            (Ok(()), None) => (DownReason::Closed, None),
            // hyper has answered it.
            (Err(error), None) if error.is_parse() => {
                (ConnectionError::Http(error.to_string()).into(), Some(Bytes::new()))
            }
            (Err(error), None) => (io_reason(error), None),
        };
        let exit = self.down(reason, context);
        self.end(io, answer, exit, cx)
    }

    pub(super) fn take_io(&mut self) -> Option<(Io, Bytes)> {
        let parts = self.hyper.take()?.into_parts();
        let (io, held) = parts.io.into_inner().into_parts();
        let received = match (parts.read_buf.is_empty(), held.is_empty()) {
            // An empty slice of a buffer would hold all of it for as long as the session lives.
            (true, true) => Bytes::new(),
            (true, false) => held,
            (false, true) => parts.read_buf,
            (false, false) => [&parts.read_buf[..], &held[..]].concat().into(),
        };
        Some((io, received))
    }

    /// Ends the byte stream behind the last response.
    pub(super) fn finish(&mut self, io: Io, received: &Bytes, exit: Exit<K>, cx: &mut Cx<'_>) -> Option<Exit<K>> {
        let unread = self.unread || !received.is_empty() || io.has_unread();
        self.end(io, unread.then(Bytes::new), exit, cx)
    }

    /// Ends the byte stream: after an answer it is read for a while.
    fn end(&mut self, mut io: Io, answer: Option<Bytes>, exit: Exit<K>, cx: &mut Cx<'_>) -> Option<Exit<K>> {
        match answer {
            Some(answer) => {
                self.ending = Some((Ending::new(io, answer, self.options.linger_timeout), exit));
                None
            }
            None => {
                let _ = Pin::new(&mut io).poll_shutdown(cx);
                Some(exit)
            }
        }
    }

    /// No request has come in time. A client that has begun with one is told.
    pub(super) fn request_timed_out(&mut self, context: &mut Context<'_, K>, cx: &mut Cx<'_>) -> Option<Exit<K>> {
        self.deadline = None;
        let (io, _) = self.take_io()?;
        let answer = self.control.is_in_head().then(|| last_answer(StatusCode::REQUEST_TIMEOUT));
        let exit = self.down(DownReason::Normal, context);
        self.end(io, answer, exit, cx)
    }

    /// The client has sent nothing of the body that is awaited.
    pub(super) fn body_timed_out(&mut self, context: &mut Context<'_, K>, cx: &mut Cx<'_>) -> Option<Exit<K>> {
        let (io, _) = self.take_io()?;
        let awaited = self.exchange.as_ref().is_some_and(Exchange::is_awaited);
        if let Some(stream) = self.exchange.take().and_then(|exchange| exchange.stream.filter(|_| awaited)) {
            context.sink.event(Event::StreamError { stream: &stream, error: StreamError::Timeout(Wait::Body) });
        }
        let answer = awaited.then(|| last_answer(StatusCode::REQUEST_TIMEOUT));
        let exit = self.down(ConnectionError::Timeout(Wait::Body).into(), context);
        self.end(io, answer, exit, cx)
    }

    /// The shutdown waits no longer for the response under way.
    pub(super) fn cut_short(&mut self, context: &mut Context<'_, K>) -> Exit<K> {
        if let Some(Exchange { stream: Some(stream), .. }) = self.exchange.take() {
            context.sink.event(Event::StreamError { stream: &stream, error: StreamError::ShutDown });
        }
        Exit::ShutDown
    }

    /// The connection is over. Whoever serves a request that is not answered learns it, unless nobody is there any more.
    pub(super) fn down(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        let stream = self.exchange.take().and_then(|exchange| exchange.stream);
        if let Some(stream) = stream.as_ref().filter(|_| !matches!(reason, DownReason::Normal)) {
            context.sink.event(Event::StreamError { stream, error: StreamError::Closed(&reason) });
        }
        for (command, charge) in std::mem::take(&mut self.later) {
            drop(charge);
            if let StreamCommand::Send(outgoing) = command {
                outgoing.refuse(context.sink, BadState::NotWebsocket);
            }
        }
        if self.shutdown.is_asked() {
            return Exit::ShutDown;
        }
        let (killed, served) = (stream.into_iter().collect(), self.requests > 0);
        Exit::Down(Box::new(Down { reason, killed, closed_by_user: false, served, left: Left::nothing() }))
    }

    /// The byte stream is a WebSocket now.
    fn upgraded(&mut self, io: Io, received: Bytes, context: &mut Context<'_, K>) -> Exit<K> {
        let Some(Exchange { stream: Some(stream), stage: Stage::Switching(accept), .. }) = self.exchange.take() else {
            return self.down(DownReason::Normal, context);
        };
        let AcceptUpgrade { options, deflate, .. } = *accept;
        if let Some(on_upgrade) = self.on_upgrade.take() {
            on_upgrade();
        }
        let chosen = Chosen { subprotocol: None, deflate };
        let session = Session::new(stream, Role::Server, &options, &chosen, true, context);
        let (stream, status, headers) = (session.stream(), StatusCode::SWITCHING_PROTOCOLS, &HeaderMap::new());
        context.sink.event(Event::Upgraded { stream, status, headers, subprotocol: None, fragments: false });
        let mut carrier = Carrier::new(io, received, session, self.options.send_timeout);
        carrier.take_over(None, Vec::new(), false, context);
        for (command, charge) in std::mem::take(&mut self.later) {
            carrier.command(command, charge, context);
        }
        if self.shutdown.is_asked() {
            carrier.shut_down(context);
        }
        Exit::Switch(Box::new(carrier))
    }
}

/// What an error of hyper's means that is not the client's fault in HTTP.
fn io_reason(error: &hyper::Error) -> DownReason {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.map_or(DownReason::Closed, DownReason::from)
}

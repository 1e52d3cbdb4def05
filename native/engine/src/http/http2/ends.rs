//! How a connection that speaks HTTP/2 ends.

use super::Exchanges;
use super::faults::connection_fault;
use super::frames::go_away;
use super::watch::News;
use crate::error::http2::{Http2Code, Http2Fault};
use crate::error::{ConnectionError, DownReason};
use crate::event::{Event, NotSent, StreamError};
use crate::http::deadline::{Shutdown, alarm};
use crate::options::Flow;
use crate::protocol::{Context, Down, Exit, Left, Lost};
use crate::sink::Sink;
use crate::stream::credit::{Credit, Window};

impl<K: Sink> Exchanges<K> {
    /// Takes what the peer's frames have said.
    pub(super) fn take_news(&mut self, context: &mut Context<'_, K>) {
        while let Some(news) = self.control.news() {
            match news {
                News::Settings(settings) => {
                    self.peer = Some(settings);
                    if self.http2.notify_settings_changed {
                        context.sink.event(Event::Settings(&settings));
                    }
                }
                News::Acknowledged => self.unacknowledged = None,
                News::Pong(payload) => self.pings.answered(payload, context),
                News::GoAway { code, debug } => {
                    if !debug.is_empty() {
                        context.sink.event(Event::GoAway { code, debug: &debug });
                    }
                    self.begin_closing(context);
                }
            }
        }
    }

    /// No new streams on this connection; it ends when those under way have ended.
    fn begin_closing(&mut self, context: &mut Context<'_, K>) {
        if std::mem::replace(&mut self.going_away, true) {
            return;
        }
        self.pings.stop();
        if !self.shutdown.is_asked() {
            self.say_goodbye(Http2Code::NoError);
            self.closing = self.http2.closing_timeout.map(alarm);
        }
        if !self.options.reconnects {
            self.refuse_waiting(&StreamError::ConnectionCloses, context);
        }
    }

    /// There are no numbers left for streams.
    pub(super) fn run_out(&mut self, context: &mut Context<'_, K>) {
        self.begin_closing(context);
    }

    /// Tells the peer that the connection ends, and why.
    fn say_goodbye(&mut self, code: Http2Code) {
        self.control.send(&go_away(code, self.last_pushed));
        // It leaves with h2's next flush.
        self.waker.wake_by_ref();
    }

    /// Whether the peer hears only now of the shutdown.
    fn settle_goodbye(&mut self) -> bool {
        let owed = std::mem::take(&mut self.owes_goodbye);
        if owed {
            self.say_goodbye(Http2Code::NoError);
            self.waker.wake_by_ref();
        }
        owed
    }

    /// The connection ends by a fault that h2 does not know.
    pub(super) fn fail(&mut self, fault: Http2Fault) {
        if self.over.is_none() {
            self.say_goodbye(fault.code);
            self.over = Some(ConnectionError::Http2(fault).into());
        }
    }

    pub(super) fn shut_down(&mut self, context: &mut Context<'_, K>) {
        // What was asked for before has its turn, if there is room.
        self.start_waiting(context);
        self.refuse_waiting(&StreamError::Closing, context);
        if self.shutdown.is_asked() {
            return;
        }
        let limit = self.http2.closing_timeout;
        self.shutdown = limit.map_or(Shutdown::Unlimited, |limit| Shutdown::Until(alarm(limit)));
        self.closing = None;
        self.pings.stop();
        self.owes_goodbye = !self.going_away;
        if self.detours.is_empty() {
            self.settle_goodbye();
        }
        self.shut_down_websockets(context);
        self.shut_down_detours(context);
        self.shut_down_tunnels(context);
    }

    /// Why h2 has ended.
    pub(super) fn end_reason(&mut self, result: Result<(), h2::Error>, context: &Context<'_, K>) -> DownReason {
        if let Some(fault) = self.control.fault() {
            self.say_goodbye(fault.code);
            return ConnectionError::Http2(fault).into();
        }
        match self.control.take_broken() {
            None => {}
            // Nothing is missing, whatever the end looks like that the peer has told of.
            Some(DownReason::Closed | DownReason::Error(ConnectionError::Io(_) | ConnectionError::Truncated))
                if self.going_away && self.is_idle() =>
            {
                return DownReason::Normal;
            }
            // A frame says how long it is: there is no end that could be taken for another one.
            Some(DownReason::Error(ConnectionError::Truncated)) => {
                if self.websockets.len() > 0 {
                    context.status.count_truncated();
                }
                return DownReason::Closed;
            }
            Some(reason) => return reason,
        }
        match result {
            Err(error) if error.is_go_away() && error.is_library() => {
                ConnectionError::Http2(connection_fault(&error)).into()
            }
            // The peer has said that it goes away, or has closed: a frame that is cut is no other end.
            _ if self.going_away && self.is_idle() => DownReason::Normal,
            Ok(()) | Err(_) => DownReason::Closed,
        }
    }

    /// Whether no stream is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.active_len() == 0 && self.websockets.len() == 0 && self.tunnels.len() == 0
    }

    /// Whether the connection is to end now that nothing is under way.
    pub(super) fn idle_end(&mut self, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        if !self.is_idle() || !self.detours.is_empty() || self.ready.has_streams() {
            return None;
        }
        if self.shutdown.is_asked() {
            if self.settle_goodbye() {
                return None;
            }
            self.control.linger();
            return Some(Exit::ShutDown);
        }
        if self.going_away {
            return Some(self.down(DownReason::Normal, context));
        }
        let refusal = self.postponed.longest().filter(|_| self.streams.none_waits())?;
        Some(self.down(ConnectionError::Refused(refusal).into(), context))
    }

    /// The connection is over: each stream receives an error, and `Down` names it.
    pub(super) fn down(&mut self, reason: DownReason, context: &mut Context<'_, K>) -> Exit<K> {
        self.down_with(reason, None, context)
    }

    /// The same, with the error that each receives, if it is another one than the reason.
    fn down_with(
        &mut self,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Exit<K> {
        let error = error.unwrap_or(StreamError::Closed(&reason));
        self.control.linger();
        self.report_left(context);
        self.receipts.fail(NotSent::Down(&reason), context.sink);
        if let DownReason::Error(ConnectionError::Http2(fault)) = &reason {
            let active = self.streams.all_active().map(|(entry, _)| &entry.name);
            let streams: Vec<_> = active.chain(self.websockets.names()).chain(self.tunnels.names()).collect();
            if !streams.is_empty() {
                context.sink.event(Event::ConnectionFault { streams: &streams, fault: *fault });
            }
        }
        let mut left = Left::nothing();
        let mut killed = Vec::new();
        while let Some((entry, _)) = self.streams.end_active() {
            let Some(entry) = self.keep_reupgrade(entry, &reason, &mut left) else { continue };
            context.sink.event(Event::StreamError { stream: &entry.name, error });
            killed.push(entry.name);
        }
        self.websockets_down((&reason, error), &mut left, &mut killed, context);
        killed.extend(self.tunnels_down(&reason, error, context));
        self.detours_down(&reason, &mut left, &mut killed, context);
        for mut waiting in self.streams.drain_waiting() {
            let Some(entry) = self.keep_reupgrade(waiting.entry, &reason, &mut left) else { continue };
            waiting.entry = entry;
            // A part that somebody waits for is told of as lost, and is not sent after that.
            let is_kept = self.going_away && self.options.reconnects && !waiting.entry.is_awaited();
            if is_kept && !self.shutdown.is_asked() {
                left.requests.push(waiting);
                continue;
            }
            drop(waiting.charge);
            context.sink.event(Event::StreamError { stream: &waiting.entry.name, error });
            killed.push(waiting.entry.name);
        }
        self.abandon_reupgrades(&mut left, context);
        if self.shutdown.is_asked() {
            return Exit::ShutDown;
        }
        Exit::Down(Box::new(Down { reason, killed, closed_by_user: false, served: self.served, left }))
    }

    /// The way that it is spoken on has ended, and it with that: see [`crate::protocol::Protocol::lose`].
    pub(super) fn lose_all(
        &mut self,
        reason: DownReason,
        error: Option<StreamError<'_>>,
        context: &mut Context<'_, K>,
    ) -> Lost<K> {
        self.shutdown = Shutdown::NotAsked;
        match self.down_with(reason, error, context) {
            Exit::Down(down) => Lost { killed: down.killed, left: down.left },
            _ => Lost::nothing(),
        }
    }

    /// What has been received is there to be taken, though the connection is over.
    pub(super) fn report_left(&mut self, context: &mut Context<'_, K>) {
        for place in self.streams.active_places() {
            *context.relay = Window::for_relay();
            if let Some((entry, _)) = self.streams.active_at(place) {
                entry.credit = Credit::new(Flow::Unlimited, false);
            }
            self.poll_stream(place, context);
        }
        for place in self.websockets.places().into_iter().chain(self.tunnels.places()) {
            self.poll_stream(place, context);
        }
    }

    /// The shutdown, or the end that the peer has asked for, waits no longer for the streams under way.
    pub(super) fn cut_short(&mut self, context: &mut Context<'_, K>) -> Exit<K> {
        if !self.shutdown.is_asked() {
            return self.down(DownReason::Normal, context);
        }
        self.settle_goodbye();
        self.control.linger();
        self.report_left(context);
        while let Some((entry, _)) = self.streams.end_active() {
            context.sink.event(Event::StreamError { stream: &entry.name, error: StreamError::ShutDown });
        }
        self.receipts.fail(NotSent::ShutDown, context.sink);
        self.cut_websockets(context);
        self.cut_detours(context);
        self.tunnels_down(&DownReason::Normal, StreamError::ShutDown, context);
        Exit::ShutDown
    }
}

/// The reason once more, for a WebSocket that ends with the connection.
pub(super) fn again(reason: &DownReason) -> DownReason {
    let DownReason::Error(error) = reason else {
        return if matches!(reason, DownReason::Normal) { DownReason::Normal } else { DownReason::Closed };
    };
    match error {
        ConnectionError::Io(error) => DownReason::from(error),
        ConnectionError::Tls(error) => ConnectionError::Tls(error.clone()).into(),
        ConnectionError::Truncated => ConnectionError::Truncated.into(),
        ConnectionError::SendTimeout => ConnectionError::SendTimeout.into(),
        ConnectionError::Http2(fault) => ConnectionError::Http2(*fault).into(),
        _ => DownReason::Closed,
    }
}

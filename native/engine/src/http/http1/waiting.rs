//! The timers: how long the peer may take, and what is done when it takes longer.

use std::task::{self, Poll};

use tokio::time::Instant;

use super::commands::is_abandoned;
use super::{Exchanges, is_held_up};
use crate::error::{ConnectionError, DownReason, Wait};
use crate::event::StreamError;
use crate::http::deadline::{alarm, is_due};
use crate::http::queued::refuse;
use crate::protocol::{Context, Exit};
use crate::sink::Sink;

impl<K: Sink> Exchanges<K> {
    /// What is done while nothing comes, once a timer has passed.
    pub(super) fn poll_timers(
        &mut self,
        context: &mut Context<'_, K>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Exit<K>>> {
        if is_due(self.shutdown.timer(), cx) {
            return Poll::Ready(Some(self.cut_short(context)));
        }
        if self.is_quiet() && self.streams.none_waits() && is_due(self.keepalive.as_mut(), cx) {
            self.writer.stage(|out| out.extend_from_slice(b"\r\n"));
            self.keepalive = self.options.http.keepalive.map(alarm);
            return Poll::Ready(None);
        }
        if self.earliest.is_due(self.streams.next_limit(), cx) {
            return Poll::Ready(self.end_late(context));
        }
        if is_due(self.deadline.as_mut().map(|deadline| &mut deadline.timer), cx) {
            let reason = self.timed_out(context);
            return Poll::Ready(reason.map(|reason| self.down(reason, context)));
        }
        if self.stalled.is_due(cx) {
            let stalled = self
                .stalled
                .end(self.writer.blocked_at())
                .then(|| self.down(ConnectionError::SendTimeout.into(), context));
            return Poll::Ready(stalled);
        }
        Poll::Pending
    }

    /// The oldest request has waited as long as it may: the reason, unless it isn't the peer that it has waited for.
    fn timed_out(&mut self, context: &mut Context<'_, K>) -> Option<DownReason> {
        let (entry, _) = self.streams.active()?;
        let deadline = self.deadline.as_mut()?;
        let now = Instant::now();
        let from = match deadline.wait {
            Wait::Upgrade | Wait::Response if context.relay.is_exhausted() && !entry.cancelled => now,
            Wait::Upgrade | Wait::Response if entry.upload.as_ref().is_some_and(|upload| !upload.is_complete()) => now,
            // A peer that takes the request is not expected to answer it yet.
            Wait::Upgrade | Wait::Response => self.awaited_from,
            Wait::Body if is_held_up(entry, context.relay) => now,
            // The whole of a response has a timer of its own.
            Wait::Body | Wait::Whole => now - deadline.limit,
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

    /// Ends the requests whose time is over. If the oldest under way is one of them, the connection ends too: what comes
    /// now cannot be distinguished from the answer to the next one. The answers to those behind it are thrown away.
    pub(super) fn end_late(&mut self, context: &mut Context<'_, K>) -> Option<Exit<K>> {
        self.streams.next_limit()?;
        let now = Instant::now();
        while let Some(place) = self.streams.take_late(now) {
            if self.streams.oldest() == Some(place) {
                self.deadline = None;
                self.report_timeout(Wait::Whole, context);
                return Some(self.down(ConnectionError::Timeout(Wait::Whole).into(), context));
            }
            let error = StreamError::Timeout(Wait::Whole);
            if let Some((entry, exchange)) = self.streams.active_at(place) {
                if std::mem::replace(&mut entry.cancelled, true) {
                    continue;
                }
                let abandoned = is_abandoned(entry);
                refuse(&entry.name, error, std::mem::take(&mut exchange.charge), context);
                if abandoned {
                    self.end_with(DownReason::Normal, context);
                }
            } else if let Some(waiting) = self.streams.remove_waiting_at(place) {
                refuse(&waiting.entry.name, error, waiting.charge, context);
            }
        }
        None
    }

    /// Looks whether the peer takes what is sent.
    pub(super) fn watch_peer(&mut self) {
        self.stalled.watch(self.options.tcp.send_timeout, self.writer.blocked_at());
    }

    /// Where nothing could be reported and now it can, the peer was held back: its time for the next part of the body begins
    /// only now.
    pub(super) fn watch_receiver(&mut self, context: &Context<'_, K>) {
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
}

//! The timers of a connection that speaks HTTP.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Wait;

pub(crate) type Alarm = Pin<Box<Sleep>>;

pub(crate) fn alarm(after: Duration) -> Alarm {
    alarm_at(Instant::now() + after)
}

pub(crate) fn alarm_at(at: Instant) -> Alarm {
    Box::pin(sleep_until(at))
}

/// Whether the timer is set and has passed. Otherwise it wakes the task when it passes.
pub(crate) fn is_due(timer: Option<&mut Alarm>, cx: &mut Context<'_>) -> bool {
    timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
}

/// When the request under way has waited long enough.
pub(crate) struct Deadline {
    pub(crate) wait: Wait,
    pub(crate) limit: Duration,
    pub(crate) timer: Alarm,
}

impl Deadline {
    pub(crate) fn new(wait: Wait, limit: Option<Duration>) -> Option<Self> {
        limit.map(|limit| Self { wait, limit, timer: alarm(limit) })
    }

    /// It starts again at this moment.
    pub(crate) fn restart(&mut self, from: Instant) {
        self.timer.as_mut().reset(from + self.limit);
    }
}

/// One timer for the first of many moments, which may change with each look.
#[derive(Default)]
pub(crate) struct Earliest(Option<Alarm>);

impl Earliest {
    /// Whether this moment is there. Otherwise it wakes the task when it is, or sooner: to set the timer anew with each
    /// stream that begins and ends would cost more than a look in vain.
    pub(crate) fn is_due(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(next) = next else { return false };
        let alarm = self.0.get_or_insert_with(|| alarm_at(next));
        if alarm.deadline() > next {
            alarm.as_mut().reset(next);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= next {
                self.0 = None;
                return true;
            }
            alarm.as_mut().reset(next);
        }
        false
    }
}

/// How many bytes the peer had taken when it took no more, and when that is too long ago.
#[derive(Default)]
pub(crate) struct Stall(Option<(u64, Alarm)>);

impl Stall {
    /// Starts the timer when the peer takes nothing more, and stops it when it does again. `blocked_at` is how many bytes it
    /// has taken, while it takes nothing.
    pub(crate) fn watch(&mut self, limit: Option<Duration>, blocked_at: Option<u64>) {
        let Some(limit) = limit else { return };
        match blocked_at {
            None => self.0 = None,
            Some(written) if self.0.is_none() => self.0 = Some((written, alarm(limit))),
            Some(_) => {}
        }
    }

    /// See [`is_due`].
    pub(crate) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        is_due(self.0.as_mut().map(|(_, timer)| timer), cx)
    }

    /// The timer has expired: whether the peer has taken nothing in its time.
    pub(crate) fn end(&mut self, blocked_at: Option<u64>) -> bool {
        let before = self.0.take().map(|(written, _)| written);
        before.is_some() && before == blocked_at
    }
}

/// Whether a shutdown was asked for, and how long it may wait for the request under way.
pub(crate) enum Shutdown {
    NotAsked,
    Unlimited,
    Until(Alarm),
}

impl Shutdown {
    pub(crate) fn is_asked(&self) -> bool {
        !matches!(self, Self::NotAsked)
    }

    pub(crate) fn timer(&mut self) -> Option<&mut Alarm> {
        if let Self::Until(timer) = self { Some(timer) } else { None }
    }
}

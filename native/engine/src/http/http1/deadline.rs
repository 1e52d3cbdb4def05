//! The timers of a connection that speaks HTTP.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Wait;

pub(super) type Alarm = Pin<Box<Sleep>>;

pub(super) fn alarm(after: Duration) -> Alarm {
    Box::pin(sleep_until(Instant::now() + after))
}

/// Whether the timer is set and has passed. Otherwise it wakes the task when it passes.
pub(super) fn is_due(timer: Option<&mut Alarm>, cx: &mut Context<'_>) -> bool {
    timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
}

/// When the request under way has waited long enough.
pub(super) struct Deadline {
    pub(super) wait: Wait,
    pub(super) limit: Duration,
    pub(super) timer: Alarm,
}

impl Deadline {
    pub(super) fn new(wait: Wait, limit: Option<Duration>) -> Option<Self> {
        limit.map(|limit| Self { wait, limit, timer: alarm(limit) })
    }

    /// It starts again at this moment.
    pub(super) fn restart(&mut self, from: Instant) {
        self.timer.as_mut().reset(from + self.limit);
    }
}

/// Whether a shutdown was asked for, and how long it may wait for the request under way.
pub(super) enum Shutdown {
    NotAsked,
    Unlimited,
    Until(Alarm),
}

impl Shutdown {
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self, Self::NotAsked)
    }

    pub(super) fn timer(&mut self) -> Option<&mut Alarm> {
        if let Self::Until(timer) = self { Some(timer) } else { None }
    }
}

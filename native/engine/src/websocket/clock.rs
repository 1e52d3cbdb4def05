//! The timers of a session, on the runtime's clock.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::session::Session;
use super::timers::{Setting, Timer, Timers};
use crate::error::DownReason;
use crate::protocol::Context;
use crate::sink::Sink;

/// Wakes the task when it is due.
pub(crate) type Alarm = Pin<Box<Sleep>>;

/// An alarm that is due after this time.
pub(crate) fn alarm(after: Duration) -> Alarm {
    Box::pin(sleep_until(Instant::now() + after))
}

/// Whether the timer is set and has passed; then it is cleared. Otherwise it wakes the task when it passes.
pub(crate) fn is_due(timer: &mut Option<Alarm>, cx: &mut task::Context<'_>) -> bool {
    let due = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
    if due {
        *timer = None;
    }
    due
}

/// The timers of a session, where they are set.
#[derive(Default)]
pub(crate) struct Clock {
    closing: Option<Alarm>,
    keepalive: Option<Alarm>,
    /// In a box, since most connections have none.
    idle: Option<Box<Idle>>,
}

/// The timer that each read restarts. It is looked at when it is due, and not set anew by each read.
struct Idle {
    alarm: Alarm,
    limit: Duration,
    /// When the peer was last heard.
    heard: Instant,
}

impl Clock {
    fn set(&mut self, timers: Timers) {
        set(&mut self.closing, timers.closing, alarm);
        set(&mut self.keepalive, timers.keepalive, alarm);
        set(&mut self.idle, timers.idle, |limit| Box::new(Idle { alarm: alarm(limit), limit, heard: Instant::now() }));
    }

    /// Sets the timers that the session asks for; whether there are any. They wake the task only once [`Clock::poll`] has
    /// looked at them.
    pub(crate) fn set_for<K: Sink>(&mut self, session: &mut Session<K>) -> bool {
        let timers = session.take_timers();
        let sets = [&timers.closing, &timers.keepalive, &timers.idle].into_iter().any(|s| matches!(s, Setting::Set(_)));
        self.set(timers);
        sets
    }

    /// Tells the session which timers are due.
    pub(crate) fn poll<K: Sink>(
        &mut self,
        session: &mut Session<K>,
        context: &mut Context<'_, K>,
        cx: &mut task::Context<'_>,
    ) -> ControlFlow<DownReason> {
        // It may begin the close.
        while self.is_idle(cx) {
            session.due(Timer::Idle, context)?;
            self.set_for(session);
        }
        while is_due(&mut self.closing, cx) {
            session.due(Timer::Closing, context)?;
            self.set_for(session);
        }
        while is_due(&mut self.keepalive, cx) {
            session.due(Timer::Keepalive, context)?;
            self.set_for(session);
        }
        ControlFlow::Continue(())
    }

    /// The peer has sent something.
    pub(crate) fn heard(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.heard = Instant::now();
        }
    }

    /// Whether the peer was not heard for too long; then the timer is cleared. Otherwise it wakes the task in time.
    fn is_idle(&mut self, cx: &mut task::Context<'_>) -> bool {
        let Some(idle) = &mut self.idle else { return false };
        while idle.alarm.as_mut().poll(cx).is_ready() {
            let end = idle.heard + idle.limit;
            if end <= idle.alarm.deadline() {
                self.idle = None;
                return true;
            }
            idle.alarm.as_mut().reset(end);
        }
        false
    }
}

fn set<T>(timer: &mut Option<T>, setting: Setting, make: impl FnOnce(Duration) -> T) {
    match setting {
        Setting::Kept => {}
        Setting::Set(after) => *timer = Some(make(after)),
        Setting::Cleared => *timer = None,
    }
}

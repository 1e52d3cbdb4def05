//! Frames that their sender writes itself, while the task rests: a round trip then costs one wake-up less.
//!
//! Whoever polls the protocol has taken its seat: mostly the task, but a sender that finds the task at rest, and nothing
//! queued, may take it for one small write. What the socket does not take at once is left to the task. In a burst all but
//! the first frames go to the queue, where they join: a write for each would take longer than the rest of the send.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use super::queue::{Queue, Sender};
use super::seat::{Taken, no_call};
use crate::account::Reservation;
use crate::protocol::Protocol;
use crate::sink::Sink;
use crate::status::Status;
use crate::turn;

/// How many bytes a sender writes itself at most.
const MOST: usize = 16 * 1024;

/// How long nothing was sent before that, in nanoseconds.
const PAUSE: u64 = 50_000;

/// A protocol in its seat.
pub(super) struct Seated<K: Sink> {
    protocol: Box<dyn Protocol<K>>,
    /// Whether the task has nothing to do before a command comes, or the peer sends something.
    rests: bool,
    /// A sender's panic, which is the task's.
    panic: Option<Box<dyn Any + Send>>,
}

impl<K: Sink> Seated<K> {
    /// The task's turn begins.
    pub(super) fn begin_turn(&mut self) -> &mut dyn Protocol<K> {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        self.rests = false;
        turn::count();
        self.protocol.begin_turn();
        &mut *self.protocol
    }

    /// The task's turn is over; `rests` says whether the task has nothing to do.
    pub(super) fn end_turn(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// See [`Protocol::into_killed`].
    pub(super) fn into_killed(self) -> Vec<K::Stream> {
        self.protocol.into_killed()
    }
}

/// The seat of a connection's protocol, for the task. When this is dropped, the protocol is, too.
pub(super) struct TaskSeat<K: Sink>(Arc<Queue<K>>);

impl<K: Sink> TaskSeat<K> {
    pub(super) fn new(queue: Arc<Queue<K>>) -> Self {
        Self(queue)
    }

    /// Puts a protocol into the seat.
    pub(super) async fn put(&self, protocol: Box<dyn Protocol<K>>) {
        let mut seated = Some(Seated { protocol, rests: false, panic: None });
        let put = poll_fn(|cx| match self.take(cx) {
            Some(mut taken) => Poll::Ready(taken.replace(seated.take())),
            None => Poll::Pending,
        });
        drop(put.await);
    }

    /// Takes the seat; or the task is woken when it is free.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> Option<Taken<'_, Seated<K>, fn()>> {
        let Queue { seat, task, .. } = &*self.0;
        // To register a waker costs more than to find the seat free, as it nearly always is.
        if let Some(taken) = seat.take(no_call as fn()) {
            return Some(taken);
        }
        task.register(cx.waker());
        seat.take_for_task()
    }
}

impl<K: Sink> Drop for TaskSeat<K> {
    /// A sender that is just writing drops the protocol.
    fn drop(&mut self) {
        drop(self.0.seat.clear());
    }
}

/// When a sender last sent without a task at work.
pub(super) struct Pace(AtomicU64);

impl Pace {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether nothing was sent in the pause before this.
    fn is_slow(&self) -> bool {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        // It is never 0, which stands for "never".
        let now = u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(PAUSE);
        let last = self.0.swap(now, Ordering::Relaxed);
        now.saturating_sub(last) >= PAUSE
    }
}

impl<K: Sink> Sender<K> {
    /// Writes encoded frames at once, if the task rests and nothing was sent just before. Otherwise it gives the
    /// reservation back.
    pub(super) fn write<'a>(
        &self,
        frames: u32,
        bytes: &[u8],
        reservation: Reservation<'a>,
        status: &Status<K>,
    ) -> Result<(), Reservation<'a>> {
        let queue = self.queue();
        // A task that is awake takes what is queued together.
        if bytes.len() > MOST || queue.is_woken() || !queue.pace.is_slow() {
            return Err(reservation);
        }
        let Some(mut taken) = queue.seat.take(|| queue.task.wake()) else { return Err(reservation) };
        let Some(seated) = taken.thing().filter(|seated| seated.rests && seated.protocol.sends_now()) else {
            return Err(reservation);
        };
        if !queue.is_empty() {
            return Err(reservation);
        }
        let charge = reservation.into_cost(0, queue.account()).into_charge(queue.account());
        let sent = catch_unwind(AssertUnwindSafe(|| seated.protocol.send_now(frames, bytes, charge, status)));
        let is_done = sent.unwrap_or_else(|panic| {
            seated.panic = Some(panic);
            false
        });
        if !is_done {
            seated.rests = false;
            drop(taken);
            queue.wake();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Which streams have something to do, so that a turn costs as much as there is to do, and not as much as there are
//! streams.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::stream::table::Place;

/// What was woken on a connection.
pub(super) struct Ready {
    state: Mutex<State>,
}

struct State {
    streams: VecDeque<Place>,
    /// Whether h2 has something to send, or has become able to.
    connection: bool,
    /// The task is at work, and looks here before it rests: nobody need wake it.
    working: bool,
    task: Waker,
}

/// Wakes one stream.
pub(super) struct Stream {
    ready: Arc<Ready>,
    place: Place,
    /// Whether it is in the list.
    noted: AtomicBool,
}

impl Ready {
    pub(super) fn new() -> Arc<Self> {
        let task = Waker::noop().clone();
        Arc::new(Self { state: Mutex::new(State { streams: VecDeque::new(), connection: true, working: false, task }) })
    }

    /// The task is at work.
    pub(super) fn begin(&self, cx: &Context<'_>) {
        let mut state = self.state();
        state.working = true;
        if !state.task.will_wake(cx.waker()) {
            state.task = cx.waker().clone();
        }
    }

    /// The task does a command, and polls the protocol after it.
    pub(super) fn begin_command(&self) {
        self.state().working = true;
    }

    /// Whether there is nothing to do: then the task is woken when there is.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.state();
        let rests = state.streams.is_empty() && !state.connection;
        state.working &= !rests;
        rests
    }

    /// The task goes away, though there may be something to do, and comes back by itself.
    pub(super) fn leave(&self) {
        self.state().working = false;
    }

    /// What wakes the task itself.
    pub(super) fn task(&self) -> Waker {
        self.state().task.clone()
    }

    /// The next stream.
    pub(super) fn next(&self) -> Option<Place> {
        self.state().streams.pop_front()
    }

    /// Whether a stream has something to do.
    pub(super) fn has_streams(&self) -> bool {
        !self.state().streams.is_empty()
    }

    /// h2 is about to do what it has to.
    pub(super) fn begin_connection(&self) {
        self.state().connection = false;
    }

    fn note(&self, note: impl FnOnce(&mut State)) {
        let mut state = self.state();
        note(&mut state);
        if !state.working {
            let task = state.task.clone();
            drop(state);
            task.wake();
        }
    }

    /// Nobody panics while holding this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For h2's connection.
impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.note(|state| state.connection = true);
    }
}

impl Stream {
    /// A stream that has something to do already.
    pub(super) fn new(ready: &Arc<Ready>, place: Place) -> Arc<Self> {
        let stream = Arc::new(Self { ready: Arc::clone(ready), place, noted: AtomicBool::new(false) });
        stream.wake_by_ref();
        stream
    }

    /// It is about to do what it has to.
    pub(super) fn begin(&self) {
        self.noted.store(false, Ordering::Release);
    }
}

impl Wake for Stream {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.noted.swap(true, Ordering::AcqRel) {
            self.ready.note(|state| state.streams.push_back(self.place));
        }
    }
}

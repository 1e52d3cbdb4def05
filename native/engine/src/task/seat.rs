//! Who has a thing in hand: its task, or for a moment somebody else.
//!
//! Neither waits for the other. Somebody else goes away where the seat is taken; the task leaves word there, and is called
//! when the seat is free. What the task would drop while it is in other hands, they drop.

use super::sync::{AtomicU8, Mutex, MutexGuard, Ordering, PoisonError};

/// Nobody has it in hand.
const FREE: u8 = 0;
/// Somebody has it in hand.
const TAKEN: u8 = 1;
/// And the task is to be called when the seat is free.
const AWAITED: u8 = 2;
/// And the thing is to be dropped.
const CLEARED: u8 = 4;

/// A thing that its task shares with others.
pub(crate) struct Seat<T> {
    state: AtomicU8,
    /// Who has changed the state to `TAKEN` is alone with it: the lock is always free.
    thing: Mutex<Option<T>>,
}

/// The thing in hand. When this is dropped, the seat is free again.
pub(crate) struct Taken<'a, T, C: Fn()> {
    seat: &'a Seat<T>,
    thing: Option<MutexGuard<'a, Option<T>>>,
    /// Calls the task.
    call: C,
}

impl<T> Seat<T> {
    /// Nothing is there yet.
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(FREE), thing: Mutex::new(None) }
    }

    /// Takes the seat for a moment, if it is free. `call` calls the task, should it leave word meanwhile.
    pub(crate) fn take<C: Fn()>(&self, call: C) -> Option<Taken<'_, T, C>> {
        self.change(FREE, TAKEN).ok()?;
        Some(Taken { seat: self, thing: Some(self.lock()), call })
    }

    /// Takes the seat for the task. If it is taken, the task is called when it is free: how must be known before this.
    pub(crate) fn take_for_task(&self) -> Option<Taken<'_, T, fn()>> {
        self.take_or_leave(AWAITED)
    }

    /// Takes the thing away, for the task. Whoever has it in hand drops it.
    pub(crate) fn clear(&self) -> Option<T> {
        self.take_or_leave(CLEARED)?.replace(None)
    }

    /// Takes the seat, or leaves this word with whoever has it.
    fn take_or_leave(&self, word: u8) -> Option<Taken<'_, T, fn()>> {
        let mut state = FREE;
        loop {
            let next = if state == FREE { TAKEN } else { state | word };
            match self.change(state, next) {
                Ok(FREE) => return Some(Taken { seat: self, thing: Some(self.lock()), call: no_call }),
                Ok(_) => return None,
                Err(other) => state = other,
            }
        }
    }

    fn change(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.thing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the task, which nobody has to call.
pub(crate) fn no_call() {}

impl<T, C: Fn()> Taken<'_, T, C> {
    /// The thing, if there is one.
    pub(crate) fn thing(&mut self) -> Option<&mut T> {
        self.thing.as_mut().and_then(|thing| thing.as_mut())
    }

    /// Puts this in the place of the thing that is there.
    pub(crate) fn replace(&mut self, thing: Option<T>) -> Option<T> {
        self.thing.as_mut().and_then(|place| std::mem::replace(&mut **place, thing))
    }
}

impl<T, C: Fn()> Drop for Taken<'_, T, C> {
    fn drop(&mut self) {
        let mut state = TAKEN;
        loop {
            let next = if state & CLEARED != 0 {
                drop(self.replace(None));
                state & !CLEARED
            } else {
                // The lock is free before the seat is.
                self.thing = None;
                FREE
            };
            match self.seat.change(state, next) {
                Ok(_) if next != FREE => {
                    state = next;
                    self.thing.get_or_insert_with(|| self.seat.lock());
                }
                Ok(AWAITED..) => return (self.call)(),
                Ok(_) => return,
                Err(other) => {
                    state = other;
                    self.thing.get_or_insert_with(|| self.seat.lock());
                }
            }
        }
    }
}

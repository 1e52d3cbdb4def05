//! The seat of `task/seat.rs`, in every order in which its task and another thread can come to it.

mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/task/seat.rs"]
mod seat;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use self::seat::{Seat, no_call};

/// Counts how often it has been dropped.
struct Thing(Arc<AtomicUsize>);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn seat() -> (Arc<Seat<Thing>>, Arc<AtomicUsize>) {
    let (seat, dropped) = (Arc::new(Seat::new()), Arc::new(AtomicUsize::new(0)));
    if let Some(mut taken) = seat.take(no_call) {
        taken.replace(Some(Thing(Arc::clone(&dropped))));
    }
    (seat, dropped)
}

/// Another thread takes the seat for a moment; it returns whether it had the thing in hand.
fn sender(seat: &Arc<Seat<Thing>>, called: &Arc<AtomicUsize>) -> thread::JoinHandle<bool> {
    let (seat, called) = (Arc::clone(seat), Arc::clone(called));
    thread::spawn(move || {
        let taken = seat.take(|| {
            called.fetch_add(1, Ordering::Release);
        });
        taken.is_some_and(|mut taken| taken.thing().is_some())
    })
}

#[test]
fn a_task_that_finds_the_seat_taken_is_called() {
    loom::model(|| {
        let ((seat, dropped), called) = (seat(), Arc::new(AtomicUsize::new(0)));
        let sender = sender(&seat, &called);
        let had = match seat.take_for_task() {
            Some(mut taken) => taken.thing().is_some(),
            None => false,
        };
        sender.join().unwrap();
        let calls = called.load(Ordering::Acquire);
        assert_eq!((had, calls), (calls == 0, usize::from(!had)));
        assert!(seat.take_for_task().unwrap().thing().is_some(), "the seat is free when all have gone");
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn what_the_task_clears_is_dropped_once_whoever_has_it_and_the_seat_is_free_again() {
    loom::model(|| {
        let ((seat, dropped), called) = (seat(), Arc::new(AtomicUsize::new(0)));
        let sender = sender(&seat, &called);
        drop(seat.clear());
        // The next connection may come at once.
        let next = seat.take_for_task().map(|mut taken| taken.replace(Some(Thing(Arc::clone(&dropped)))).is_none());
        sender.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        let calls = called.load(Ordering::Acquire);
        assert_eq!((next, calls), if calls == 0 { (Some(true), 0) } else { (None, 1) });
        assert_eq!(seat.take_for_task().unwrap().thing().is_some(), next.is_some());
    });
}

#[test]
fn two_senders_and_the_task_never_have_it_at_the_same_time() {
    loom::model(|| {
        let ((seat, dropped), called) = (seat(), Arc::new(AtomicUsize::new(0)));
        let senders = [sender(&seat, &called), sender(&seat, &called)];
        let had = seat.take_for_task().is_some();
        senders.into_iter().for_each(|sender| drop(sender.join()));
        assert_eq!(called.load(Ordering::Acquire), usize::from(!had));
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    });
}

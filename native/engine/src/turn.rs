//! Turns: how the connections of an I/O thread share it.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

/// How many bytes a connection receives in one turn while others of its thread have work, too. What it sends has a share of
/// its own, so that neither direction holds up the other.
pub(crate) const SHORT: usize = 64 * 1024;

/// The same while it is alone: a turn has its price, some system calls.
pub(crate) const LONG: usize = 256 * 1024;

/// After how many turns without another connection's a connection is alone.
const ALONE: u32 = 100;

thread_local! {
    /// How many turns this thread has given.
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// Lets the other connections of the thread have their turn, and the task its next after them. A wake-up would not do:
/// the runtime serves tasks that are awake for a while before it looks at the sockets of the others.
pub(crate) fn end_turn(cx: &mut Context<'_>) {
    let _ = pin!(yield_now()).poll(cx);
}

/// Counts a turn of this thread.
pub(crate) fn count() {
    TURNS.set(TURNS.get().wrapping_add(1));
}

/// What one connection knows of its turns.
#[derive(Debug, Default)]
pub(crate) struct Share {
    last: u64,
    /// How many turns have come one after the other.
    row: u32,
}

impl Share {
    /// A turn begins, which is counted: how long it may be.
    pub(crate) fn begin(&mut self) -> usize {
        let now = TURNS.get();
        let follows = now == self.last.wrapping_add(1);
        self.last = now;
        self.row = if follows { self.row.saturating_add(1) } else { 0 };
        if self.row < ALONE { SHORT } else { LONG }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_long_only_while_a_connection_is_alone() {
        let (mut flood, mut other) = (Share::default(), Share::default());
        let turn = |share: &mut Share| {
            count();
            share.begin()
        };
        turn(&mut other);
        let row: Vec<_> = (0..=ALONE).map(|_| turn(&mut flood)).collect();
        assert!(row[..ALONE as usize].iter().all(|turn| *turn == SHORT));
        assert_eq!(row[ALONE as usize], LONG);
        assert_eq!(turn(&mut flood), LONG);
        assert_eq!((turn(&mut other), turn(&mut flood)), (SHORT, SHORT));
    }
}

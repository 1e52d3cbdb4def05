//! Turns: how the connections of an I/O thread share it.

use std::future::Future;
use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

/// Lets the other connections of the thread have their turn, and the task its next after them. A wake-up would not do:
/// the runtime serves tasks that are awake for a while before it looks at the sockets of the others.
pub(crate) fn end_turn(cx: &mut Context<'_>) {
    let _ = pin!(yield_now()).poll(cx);
}

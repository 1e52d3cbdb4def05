//! Accepting: one task takes the connections of a listener, and starts the task of each.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::counts::Ticket;
use super::{Accept, Shared, connection};
use crate::transport::listen::Accepted;

/// How long nothing is accepted after an error that is not one connection's.
const PAUSE: Duration = Duration::from_millis(100);

/// After how many connections the others of the thread have their turn.
const IN_A_ROW: u32 = 32;

/// What accepting has come to.
enum Next {
    Accepted(Accepted),
    Failed(io::Error),
    /// Something has changed: whether to accept must be looked at again.
    Changed,
}

/// Accepts until the listener is closed.
pub(super) async fn accept_all<A: Accept>(shared: Arc<Shared>, accept: Arc<A>, runtimes: Vec<Handle>) {
    let (mut failing, mut row) = (false, 0_u32);
    while !shared.is_closed() {
        match next(&shared).await {
            Next::Accepted(accepted) => {
                if std::mem::take(&mut failing) {
                    accept.accept_recovered();
                }
                let fewest = runtimes.iter().min_by_key(|runtime| runtime.metrics().num_alive_tasks());
                let ticket = Ticket::new(&shared.counts, accepted.remote().map(|remote| remote.ip()));
                if let (Some(runtime), Some(ticket)) = (fewest, ticket) {
                    connection::start(runtime, accepted, &shared, Arc::clone(&accept), ticket);
                }
            }
            Next::Failed(error) if is_of_one_connection(&error) => {}
            // Whatever it is: to try again at once would only fail again, and again.
            Next::Failed(error) => {
                if !std::mem::replace(&mut failing, true) {
                    accept.accept_failed(&error);
                }
                sleep(PAUSE).await;
            }
            Next::Changed => {}
        }
        row = row.wrapping_add(1);
        if row.is_multiple_of(IN_A_ROW) {
            yield_now().await;
        }
    }
}

/// The next connection, unless there are enough, or the listener is suspended.
async fn next(shared: &Shared) -> Next {
    tokio::select! {
        biased;
        () = shared.counts.changed.notified() => Next::Changed,
        result = poll_fn(|cx| poll_accept(shared, cx)) => result.map_or_else(Next::Failed, Next::Accepted),
    }
}

fn poll_accept(shared: &Shared, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
    if shared.counts.is_full() {
        return Poll::Pending;
    }
    let state = shared.state();
    state.socket.as_ref().map_or(Poll::Pending, |socket| socket.poll_accept(cx))
}

/// Whether the error is that of a connection that ended while it waited, so that the next one can be accepted. See
/// accept(2): Linux reports the errors of the new socket's network here.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | WouldBlock
    )
}

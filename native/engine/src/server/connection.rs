//! One connection that was accepted: from its socket to the task that serves it.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle as Runtime;

use super::counts::Ticket;
use super::{Accept, Peer, Shared, Times};
use crate::http::served::Served;
use crate::task::serve;
use crate::transport::listen::Accepted;
use crate::transport::{Io, tls};

/// Starts the task of a connection.
pub(super) fn start<A: Accept>(
    runtime: &Runtime,
    accepted: Accepted,
    shared: &Arc<Shared>,
    accept: Arc<A>,
    ticket: Ticket,
) {
    let (shared, ticket) = (Arc::clone(shared), Arc::new(ticket));
    let (options, end) = (shared.serve(), Arc::clone(&ticket));
    let (max_send_queue, at) = (options.max_send_queue, Instant::now());
    let opening = Box::pin({
        let ticket = Arc::clone(&ticket);
        async move { open(accepted, at, &shared, &ticket).await }
    });
    let begin = move |(io, peer), handle| {
        let sink = accept.connection(handle, peer);
        (sink, Served::start(io, options, Box::new(move || ticket.upgrade())))
    };
    serve(runtime, max_send_queue, opening, begin, end);
}

/// The byte stream, and who is at its other end; nothing if the client is gone, or its TLS handshake fails.
async fn open(accepted: Accepted, at: Instant, shared: &Shared, ticket: &Ticket) -> Option<(Io, Peer)> {
    let (remote, begun) = (accepted.remote(), Instant::now());
    let (io, local) = accepted.into_stream(&shared.tcp).ok()?;
    let peer = |tls| Peer { remote, local, tls, times: Times { accepted: at, begun, up: Instant::now() } };
    let Some(server) = shared.tls() else { return Some((io, peer(None))) };
    match tls::accept(io, &server, shared.handshake_timeout).await {
        Ok((io, client)) => Some((Box::new(io), peer(Some(client)))),
        Err(_) => {
            ticket.fail_handshake();
            None
        }
    }
}

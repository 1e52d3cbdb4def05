//! One connection that was accepted: from its socket to the task that serves it.

use std::sync::Arc;

use tokio::runtime::Handle as Runtime;

use super::counts::Ticket;
use super::{Accept, Peer, Shared};
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
    let max_send_queue = options.max_send_queue;
    let opening = Box::pin({
        let ticket = Arc::clone(&ticket);
        async move { open(accepted, &shared, &ticket).await }
    });
    let begin = move |(io, peer), handle| {
        let sink = accept.connection(handle, peer);
        (sink, Served::start(io, options, Box::new(move || ticket.upgrade())))
    };
    serve(runtime, max_send_queue, opening, begin, end);
}

/// The byte stream, and who is at its other end; nothing if the client is gone, or its TLS handshake fails.
async fn open(accepted: Accepted, shared: &Shared, ticket: &Ticket) -> Option<(Io, Peer)> {
    let remote = accepted.remote();
    let (io, local) = accepted.into_stream(&shared.tcp).ok()?;
    let Some(server) = shared.tls() else { return Some((io, Peer { remote, local, tls: None })) };
    match tls::accept(io, &server, shared.handshake_timeout).await {
        Ok((io, client)) => Some((Box::new(io), Peer { remote, local, tls: Some(client) })),
        Err(_) => {
            ticket.fail_handshake();
            None
        }
    }
}

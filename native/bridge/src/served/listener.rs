//! A listener, as Erlang has it.

use std::io;

use gun_rs_engine::Handle;
use gun_rs_engine::server::{Accept, Listener, Peer};
use gun_rs_terms::Served as Events;
use rustler::{LocalPid, Resource};

use super::sink::ServedSink;
use crate::outbox;
use crate::vm::Vm;

/// A listener. It is closed when nobody has it any more.
pub(crate) struct ListenerRef(pub(crate) Listener);

#[rustler::resource_impl]
impl Resource for ListenerRef {}

/// What becomes of what a listener accepts.
pub(crate) struct Acceptor {
    /// The process that it becomes known to.
    pub(crate) listener: LocalPid,
    /// The first of those that have been in its place.
    pub(crate) first: LocalPid,
    /// The number of the I/O thread that it is called on.
    pub(crate) thread: fn() -> usize,
}

impl Accept for Acceptor {
    type Sink = ServedSink;

    fn connection(&self, handle: Handle<ServedSink>, peer: Peer) -> ServedSink {
        ServedSink::new(handle, self, peer)
    }

    fn accept_failed(&self, error: &io::Error) {
        outbox::send_served(&self.listener, |env| Events::new(Vm(env)).accept_failed(Some(error)));
    }

    fn accept_recovered(&self) {
        outbox::send_served(&self.listener, |env| Events::new(Vm(env)).accept_failed(None));
    }
}

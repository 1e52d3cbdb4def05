//! From a ConnPid to its connection.
//!
//! Every NIF that a user's process calls goes through here, so a pid that is no connection, or is one no more, finds
//! nothing and does nothing. An entry lives as long as its process: the VM itself tells of its death.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

use gun_rs_engine::Handle;
use rustler::{Env, LocalPid, Monitor, Resource, ResourceArc};

use crate::messages::{BeamSink, Kept};

/// A connection, as the process behind its ConnPid holds it.
pub(crate) struct Connection {
    /// The way to its task.
    pub(crate) handle: Handle<BeamSink>,
    /// Who upgrades without options of their own are answered to, if open said so. Only NIFs take the lock.
    pub(crate) reply_to: Option<Mutex<Kept>>,
}

#[rustler::resource_impl]
impl Resource for Connection {
    const IMPLEMENTS_DOWN: bool = true;

    /// The process has died, however it died: its socket is closed.
    fn down<'a>(&'a self, _env: Env<'a>, pid: LocalPid, _monitor: Monitor) {
        self.handle.abort();
        remove(&pid);
    }
}

type Connections = HashMap<LocalPid, ResourceArc<Connection>>;

/// Only NIFs and the VM's callbacks take the lock, never I/O, and nobody keeps it for longer than a look-up.
static CONNECTIONS: LazyLock<RwLock<Connections>> = LazyLock::new(RwLock::default);

/// Enters a connection.
pub(crate) fn insert(pid: LocalPid, connection: ResourceArc<Connection>) {
    CONNECTIONS.write().unwrap_or_else(PoisonError::into_inner).insert(pid, connection);
}

/// Runs `f` on the connection behind `pid`, if it is one.
pub(crate) fn with<R>(pid: &LocalPid, f: impl FnOnce(&Connection) -> R) -> Option<R> {
    let connections = CONNECTIONS.read().unwrap_or_else(PoisonError::into_inner);
    connections.get(pid).map(|connection| f(connection))
}

/// How many connections there are.
pub(crate) fn len() -> usize {
    CONNECTIONS.read().unwrap_or_else(PoisonError::into_inner).len()
}

fn remove(pid: &LocalPid) {
    // The resource is dropped outside of the lock.
    let removed = CONNECTIONS.write().unwrap_or_else(PoisonError::into_inner).remove(pid);
    drop(removed);
}

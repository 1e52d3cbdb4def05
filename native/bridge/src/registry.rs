//! From a ConnPid to its connection.
//!
//! Every NIF that a user's process calls goes through here, so a pid that is no connection, or is one no more, finds
//! nothing and does nothing. An entry lives as long as its process: the VM itself reports its death.

use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gun_rs_engine::Handle;
use papaya::HashMap;
use rustler::{Decoder, Env, Error, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term};
use seize::Collector;

use crate::lease::Load;
use crate::outbox::Origin;
use crate::receiver::Receiver;
use crate::sink::BeamSink;
use crate::vm::OwnedTerm;

/// A connection, as the process behind its ConnPid holds it.
pub(crate) struct Connection {
    /// The way to its task.
    pub(crate) handle: Handle<BeamSink>,
    /// What its messages have in common.
    pub(crate) origin: Arc<Origin>,
    /// Whether requests go through the process, which has something to add to them.
    pub(crate) processed: bool,
    /// Its streams.
    pub(crate) load: Arc<Load>,
    /// What it is a connection to, in the external term format.
    pub(crate) about: Box<[u8]>,
    /// As it was last set. Only NIFs take the lock.
    pub(crate) owner: Mutex<Receiver>,
    /// For upgrades without options of their own. Only NIFs take the lock.
    pub(crate) ws_opts: Mutex<WsOptsOfOpen>,
}

/// The connection of the process that calls. A module that is deleted, purged and loaded again has new types of
/// resources, which do not take the old ones; the entry of the process is still here, since the library stays mapped.
pub(crate) struct OwnConnection(ResourceArc<Connection>);

impl Decoder<'_> for OwnConnection {
    fn decode(term: Term<'_>) -> NifResult<Self> {
        let connection = term.decode().ok().or_else(|| get(&term.get_env().pid()));
        connection.map(Self).ok_or(Error::RaiseAtom("native_reloaded"))
    }
}

impl Deref for OwnConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// What open's ws_opts say that the engine need not know.
pub(crate) struct WsOptsOfOpen {
    /// Who is answered to, if it isn't the caller.
    pub(crate) reply_to: Option<OwnedTerm>,
    /// What a module of the user's is started with, where one may be.
    pub(crate) handler: Option<OwnedTerm>,
    /// The keepalive of upgrades whose own options have none: in gun open's is the only one.
    pub(crate) keepalive: Option<Duration>,
}

#[rustler::resource_impl]
impl Resource for Connection {
    const IMPLEMENTS_DOWN: bool = true;

    /// The process has died, however it died: its socket is closed.
    fn down<'a>(&'a self, _env: Env<'a>, pid: LocalPid, _monitor: Monitor) {
        self.end(&pid);
    }
}

impl Connection {
    /// Closes the socket, and lets nothing more come from or go to the process.
    pub(crate) fn end(&self, pid: &LocalPid) {
        self.origin.silence();
        self.handle.abort();
        remove(pid);
    }
}

/// Looked up without a lock, so that no sender waits for one that opens or closes connections.
static CONNECTIONS: LazyLock<HashMap<LocalPid, ResourceArc<Connection>, BuildHasherDefault<PidHasher>>> =
    LazyLock::new(|| {
        // What is removed is given free at once, if no other thread is in the map just then; else with what the same
        // thread removes next.
        HashMap::builder().hasher(BuildHasherDefault::default()).collector(Collector::new().batch_size(1)).build()
    });

/// A pid comes hashed by the VM.
#[derive(Default)]
struct PidHasher(u64);

impl Hasher for PidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // Where the VM's hash has 32 bits, the upper ones would be the same for all.
        self.0 = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Enters a connection.
pub(crate) fn insert(pid: LocalPid, connection: ResourceArc<Connection>) {
    CONNECTIONS.pin().insert(pid, connection);
}

/// The connection behind `pid`, if it is one.
pub(crate) fn get(pid: &LocalPid) -> Option<ResourceArc<Connection>> {
    CONNECTIONS.pin().get(pid).cloned()
}

/// All connections, and the processes behind them.
pub(crate) fn all() -> Vec<(LocalPid, ResourceArc<Connection>)> {
    CONNECTIONS.pin().iter().map(|(pid, connection)| (*pid, connection.clone())).collect()
}

/// How many connections there are.
pub(crate) fn len() -> usize {
    CONNECTIONS.len()
}

fn remove(pid: &LocalPid) {
    CONNECTIONS.pin().remove(pid);
}

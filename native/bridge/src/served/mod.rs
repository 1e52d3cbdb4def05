//! The connections that listeners accept.
//!
//! | module | what it holds |
//! |---|---|
//! | [`listener`] | a listener, as Erlang has it, and what it does with what it accepts |
//! | [`owner`] | the process of a connection, and what waits for it |
//! | [`sink`] | from the events of a connection to messages to its process |

pub(crate) mod listener;
pub(crate) mod owner;
pub(crate) mod sink;

use std::sync::{Arc, LazyLock};

use gun_rs_engine::{Handle, State, StreamCommand};
use papaya::HashMap;
use rustler::{Env, LocalPid, Resource};

use self::owner::Owner;
use self::sink::ServedSink;

/// A connection.
pub(crate) struct Served {
    /// The way to its task.
    pub(crate) handle: Handle<ServedSink>,
    /// The process of the listener that has accepted it.
    pub(crate) listener: LocalPid,
    /// The first of the listeners that have been in this one's place.
    pub(crate) first: LocalPid,
    /// Its own process.
    pub(crate) owner: Owner,
    /// The number of the I/O thread that its task is on.
    pub(crate) thread: usize,
}

impl Served {
    /// Whether it is a WebSocket that frames can be sent on.
    pub(crate) fn is_websocket(&self) -> bool {
        self.handle.state() == State::Ws
    }

    /// Its process is gone, or wants it closed: with this code, where it is a WebSocket.
    pub(crate) fn close_with(&self, code: u16) {
        self.handle.send(StreamCommand::CloseWith(Box::new((None, code))));
    }
}

/// A connection, as its process and its listener hold it.
pub(crate) struct ServedConn(pub(crate) Arc<Served>);

#[rustler::resource_impl]
impl Resource for ServedConn {}

/// Nobody has it any more. Without effect where the connection is closed already.
impl Drop for ServedConn {
    fn drop(&mut self) {
        self.0.close_with(1011);
    }
}

/// From the process of a connection to the connection, for those who have the pid alone.
static SERVED: LazyLock<HashMap<LocalPid, Arc<Served>>> = LazyLock::new(HashMap::default);

/// Makes the caller the connection's process, unless the connection is over.
pub(crate) fn own(served: &Arc<Served>, env: Env<'_>) -> bool {
    served.owner.own(env, || {
        SERVED.pin().insert(env.pid(), Arc::clone(served));
    })
}

/// The connection is over.
fn over(served: &Served) {
    if let Some(pid) = served.owner.over() {
        SERVED.pin().remove(&pid);
    }
}

/// The processes of the connections that this listener has accepted, and those that have come into its place.
pub(crate) fn accepted_by(first: &LocalPid) -> Vec<LocalPid> {
    SERVED.pin().iter().filter(|(_, served)| served.first == *first).map(|(pid, _)| *pid).collect()
}

/// The connection of this process.
pub(crate) fn get(pid: &LocalPid) -> Option<Arc<Served>> {
    SERVED.pin().get(pid).cloned()
}

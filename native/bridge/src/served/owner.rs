//! The process of a connection, and what waits for it until there is one.
//!
//! The connection's task sends to it; the process itself says that it is there, on a scheduler. Neither may miss the
//! other: what is told before is kept, and is sent first.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustler::{Env, LocalPid};

use crate::vm::OwnedTerm;

/// The process of a connection.
#[derive(Default)]
pub(crate) struct Owner {
    pid: OnceLock<LocalPid>,
    waiting: Mutex<Waiting>,
}

/// What is known while there is no process. The lock is taken twice in a connection's life but for what is told before
/// there is a process, and nobody waits for anything who holds it.
#[derive(Default)]
struct Waiting {
    messages: Vec<OwnedTerm>,
    /// The connection is over.
    over: bool,
}

impl Owner {
    /// The process, once there is one.
    pub(crate) fn get(&self) -> Option<&LocalPid> {
        self.pid.get()
    }

    /// Keeps a message for the process; gives it back where there is one now, which has all that came before.
    pub(crate) fn keep(&self, message: OwnedTerm) -> Option<(&LocalPid, OwnedTerm)> {
        let mut waiting = self.waiting();
        match self.pid.get() {
            Some(pid) => Some((pid, message)),
            None => {
                waiting.messages.push(message);
                None
            }
        }
    }

    /// Makes the caller the process, and sends to it what waits, unless the connection is over.
    pub(crate) fn own(&self, env: Env<'_>, then: impl FnOnce()) -> bool {
        let pid = env.pid();
        let mut waiting = self.waiting();
        if waiting.over || self.pid.get().is_some() {
            return false;
        }
        for message in std::mem::take(&mut waiting.messages) {
            // It is the caller, so it is alive.
            let _ = env.send(&pid, message.get(env));
        }
        then();
        self.pid.set(pid).is_ok()
    }

    /// The connection is over: the process, if there is one. There will be none if there is none yet.
    pub(crate) fn over(&self) -> Option<LocalPid> {
        self.waiting().over = true;
        self.pid.get().copied()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

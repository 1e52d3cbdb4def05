//! Who a message is for.

use rustler::{Encoder, Env, LocalPid, OwnedEnv, Term};

use crate::vm::OwnedTerm;

/// Who a message is for.
#[derive(Clone)]
pub(crate) enum Receiver {
    /// A process of this node.
    Local(LocalPid),
    /// Whatever else a `reply_to` may be: the process behind ConnPid delivers to it.
    Elsewhere(OwnedTerm),
}

impl Receiver {
    /// The pid, the fun, or what names them.
    pub(crate) fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::Local(pid) => pid.encode(env),
            Self::Elsewhere(receiver) => receiver.get(env),
        }
    }

    /// What it is in the external term format: the same for the same receiver.
    pub(crate) fn external(&self) -> Vec<u8> {
        OwnedEnv::new().run(|env| self.get(env).to_binary().to_vec())
    }

    /// Whether it is a process of another node.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Elsewhere(receiver) => receiver.is_pid(),
        }
    }

    /// Whether the process behind ConnPid delivers to it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_))
    }
}

/// Those that are elsewhere are not compared: none equals another.
impl PartialEq for Receiver {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Local(one), Self::Local(other)) if one == other)
    }
}

impl From<Term<'_>> for Receiver {
    fn from(term: Term<'_>) -> Self {
        term.decode().map_or_else(|_| Self::Elsewhere(OwnedTerm::new(term)), Self::Local)
    }
}

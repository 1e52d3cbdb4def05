//! The commands that wait for a task.

use crate::account::Cost;
use crate::command::Command;
use crate::sink::Sink;

/// A command, and what it counts for.
pub(super) type Costed<K> = (Command<K>, Cost);

/// Commands in the order in which they were sent. One takes no memory of its own: a broadcast leaves one for each of many
/// connections, and memory that another thread gives back costs more than the rest of it.
pub(super) struct Batch<K: Sink> {
    first: Option<Costed<K>>,
    /// Those behind it. There are none where it is missing.
    rest: Vec<Costed<K>>,
}

impl<K: Sink> Batch<K> {
    pub(super) fn push(&mut self, command: Costed<K>) {
        match self.first {
            None => self.first = Some(command),
            Some(_) => self.rest.push(command),
        }
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Costed<K>> {
        self.rest.last_mut().or(self.first.as_mut())
    }

    /// The first command, and those behind it.
    pub(super) fn into_parts(self) -> (Option<Costed<K>>, std::vec::IntoIter<Costed<K>>) {
        (self.first, self.rest.into_iter())
    }
}

impl<K: Sink> Default for Batch<K> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

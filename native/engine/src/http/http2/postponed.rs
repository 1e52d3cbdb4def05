//! Upgrades that are repeated, and that the peer has refused for the time being: they are asked for again while the connection
//! has something else under way. If it has nothing, the refusal ends it, as it ends a connection that speaks HTTP/1.1.

use std::task::Context;
use std::time::Duration;

use crate::error::Refusal;
use crate::http::deadline::{Alarm, alarm, is_due};
use crate::sink::Sink;
use crate::stream::table::Entry;

/// The shortest pause before it is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// The upgrades that wait to be asked for again.
pub(super) struct Postponed<K: Sink>(Vec<(Entry<K>, Refusal, Alarm)>);

impl<K: Sink> Postponed<K> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, entry: Entry<K>, refusal: Refusal) {
        self.0.push((entry, refusal, alarm(refusal.retry_after.max(PAUSE))));
    }

    /// One whose time has come.
    pub(super) fn due(&mut self, cx: &mut Context<'_>) -> Option<Entry<K>> {
        let due = self.0.iter_mut().position(|(_, _, alarm)| is_due(Some(alarm), cx))?;
        Some(self.0.swap_remove(due).0)
    }

    /// The refusal that asks for the longest pause.
    pub(super) fn longest(&self) -> Option<Refusal> {
        self.0.iter().map(|(_, refusal, _)| *refusal).max_by_key(|refusal| refusal.retry_after)
    }

    /// The one with this name is not asked for again; whether there was one.
    pub(super) fn remove(&mut self, name: &K::StreamId) -> bool {
        let before = self.0.len();
        self.0.retain(|(entry, ..)| entry.name != *name);
        self.0.len() < before
    }

    /// Takes all of them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Entry<K>> + use<K> {
        std::mem::take(&mut self.0).into_iter().map(|(entry, ..)| entry)
    }

    /// Their streams.
    pub(super) fn get(&self, name: &K::StreamId) -> Option<&Entry<K>> {
        self.0.iter().map(|(entry, ..)| entry).find(|entry| entry.name == *name)
    }
}

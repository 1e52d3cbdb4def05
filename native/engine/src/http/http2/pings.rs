//! Pings: those that the user asks for, and those that show whether the peer lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::command::Ping;
use crate::error::BadState;
use crate::event::Event;
use crate::http::deadline::{Alarm, alarm};
use crate::protocol::Context;
use crate::sink::Sink;

/// How many pings of the user's may be unanswered.
const MOST: usize = 1024;

pub(super) struct Pings<K: Sink> {
    /// The number of the next one, which is its payload.
    next: u64,
    /// Who waits for an answer.
    asked: BTreeMap<u64, Ping<K>>,
    /// The unanswered ones that were sent to see whether the peer lives.
    probes: BTreeSet<u64>,
    every: Option<Duration>,
    tolerance: Option<u32>,
    pub(super) due: Option<Alarm>,
}

impl<K: Sink> Pings<K> {
    pub(super) fn new(every: Option<Duration>, tolerance: Option<u32>) -> Self {
        let (asked, probes) = (BTreeMap::new(), BTreeSet::new());
        Self { next: 0, asked, probes, every, tolerance, due: every.map(alarm) }
    }

    /// What is to be sent for a ping that the user asks for.
    pub(super) fn ask(&mut self, ping: Ping<K>, context: &mut Context<'_, K>) -> Option<[u8; 8]> {
        if self.asked.len() >= MOST {
            context.sink.event(Event::BadState { stream: None, caller: &ping.caller, error: BadState::Ping });
            return None;
        }
        let number = self.number();
        self.asked.insert(number, ping);
        Some(number.to_be_bytes())
    }

    /// It is time to see whether the peer lives: what is to be sent, unless it has left too many unanswered.
    pub(super) fn probe(&mut self) -> Option<[u8; 8]> {
        self.due = self.every.map(alarm);
        let unanswered = u32::try_from(self.probes.len()).unwrap_or(u32::MAX);
        if self.tolerance.is_some_and(|tolerance| unanswered >= tolerance) {
            return None;
        }
        let number = self.number();
        if self.tolerance.is_some() {
            self.probes.insert(number);
        }
        Some(number.to_be_bytes())
    }

    /// No more of those are sent.
    pub(super) fn stop(&mut self) {
        (self.every, self.due) = (None, None);
    }

    /// The peer has answered a ping. What nobody has asked for is ignored.
    pub(super) fn answered(&mut self, payload: [u8; 8], context: &mut Context<'_, K>) {
        let number = u64::from_be_bytes(payload);
        self.probes.remove(&number);
        if let Some(Ping { caller, name, .. }) = self.asked.remove(&number) {
            context.sink.event(Event::PingAck { caller: &caller, name: &name });
        }
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

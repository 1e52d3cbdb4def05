//! Requests whose time is over before there is anybody to make them.

use std::borrow::Borrow;
use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;

use crate::account::Charge;
use crate::command::{Command, StreamCommand};
use crate::error::{BadState, Wait};
use crate::event::{Event, StreamError};
use crate::protocol::Left;
use crate::sink::Sink;

/// A command that is kept until it can be done.
pub(crate) trait Kept<K: Sink> {
    fn on_stream(&self) -> Option<&StreamCommand<K>>;

    fn into_on_stream(self) -> Option<StreamCommand<K>>;

    /// When the time of the request is over, if it is one that has a limit.
    fn limit(&self) -> Option<Instant> {
        match self.on_stream()? {
            StreamCommand::Request(request) => request.timeout.map(|timeout| timeout.at),
            _ => None,
        }
    }

    /// The stream that it concerns.
    fn stream(&self) -> Option<&K::StreamId> {
        self.on_stream()?.stream()
    }
}

impl<K: Sink> Kept<K> for StreamCommand<K> {
    fn on_stream(&self) -> Option<&StreamCommand<K>> {
        Some(self)
    }

    fn into_on_stream(self) -> Option<StreamCommand<K>> {
        Some(self)
    }
}

impl<K: Sink> Kept<K> for Command<K> {
    fn on_stream(&self) -> Option<&StreamCommand<K>> {
        if let Command::Stream(command) = self { Some(command) } else { None }
    }

    fn into_on_stream(self) -> Option<StreamCommand<K>> {
        if let Command::Stream(command) = self { Some(command) } else { None }
    }
}

/// The earlier of two moments, where there are any.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// When the time of the first request that is kept is over.
pub(crate) fn limit_of_kept<K: Sink, C: Kept<K>>(kept: &VecDeque<(C, Charge)>) -> Option<Instant> {
    kept.iter().filter_map(|(command, _)| command.limit()).min()
}

/// When the time of the first request that a connection has left is over.
pub(crate) fn limit_of_left<K: Sink>(left: &Left<K>) -> Option<Instant> {
    left.requests.iter().filter_map(|waiting| waiting.entry.timeouts.whole).map(|whole| whole.at).min()
}

/// Ends the requests whose time is over, with all that is kept for them. Nobody is told of one that is cancelled by now, but
/// whoever waits for a part of its body to be sent learns that it won't be.
pub(crate) fn end_late<K: Sink, C: Kept<K>>(
    left: Option<&mut Left<K>>,
    kept: &mut VecDeque<(C, Charge)>,
    sink: &mut K,
) {
    let now = Instant::now();
    let is_late = |at: Instant| at <= now;
    let left = left.map_or_else(Vec::new, |left| {
        let late = left.requests.extract_if(.., |waiting| waiting.entry.timeouts.whole.is_some_and(|w| is_late(w.at)));
        late.collect()
    });
    let mut streams: HashSet<K::StreamId> = left.iter().map(|waiting| waiting.entry.name.borrow().clone()).collect();
    let late = kept.iter().filter(|(command, _)| command.limit().is_some_and(is_late));
    streams.extend(late.filter_map(|(command, _)| command.stream().cloned()));
    if streams.is_empty() {
        return;
    }
    let (mut ended, mut cancelled) = (Vec::new(), HashSet::new());
    for (command, charge) in std::mem::take(kept) {
        if command.stream().is_none_or(|stream| !streams.contains(stream)) {
            kept.push_back((command, charge));
            continue;
        }
        match command.into_on_stream() {
            Some(StreamCommand::Cancel(cancel)) => drop(cancelled.insert(cancel.0)),
            Some(command) => ended.push((command, charge)),
            None => {}
        }
    }
    let error = StreamError::Timeout(Wait::Whole);
    for waiting in left {
        drop(waiting.charge);
        if !cancelled.contains(waiting.entry.name.borrow()) {
            sink.event(Event::StreamError { stream: &waiting.entry.name, error });
        }
    }
    for (command, charge) in ended {
        drop(charge);
        match command {
            StreamCommand::Request(request) if !cancelled.contains(request.stream.borrow()) => {
                sink.event(Event::StreamError { stream: &request.stream, error });
            }
            StreamCommand::Data(data) => drop(data.refuse(BadState::NoStream, sink)),
            // Nobody is to be told of the others.
            _ => {}
        }
    }
}

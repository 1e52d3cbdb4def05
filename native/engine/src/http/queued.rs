//! What the versions of HTTP have in common of streams that wait for their turn.

use crate::account::Charge;
use crate::event::{Event, StreamError};
use crate::options::Flow;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::credit::Credit;
use crate::stream::table::{Entry, Timeouts};

/// A stream that is about to wait for its turn.
pub(crate) fn entry<K: Sink>(name: K::Stream, flow: Flow, timeouts: Timeouts, context: &Context<'_, K>) -> Entry<K> {
    let credit = Credit::new(flow, context.sink.is_remote(&name));
    Entry { name, credit, upload: None, timeouts, repeated: false, cancelled: false }
}

/// A request never has its turn. Whoever hears of it finds its room in the queue free.
pub(crate) fn refuse<K: Sink>(
    stream: &K::Stream,
    error: StreamError<'_>,
    charge: Charge,
    context: &mut Context<'_, K>,
) {
    drop(charge);
    context.sink.event(Event::StreamError { stream, error });
}

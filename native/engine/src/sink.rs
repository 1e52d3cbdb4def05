//! What an embedder of the engine provides.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::event::Event;
use crate::payload::{Payload, Source};
use crate::transport::step::Step;

/// Where a connection's events go, and where its payloads live.
///
/// All methods are called from the connection's task, on an I/O thread: they must not block.
pub trait Sink: Sized + Send + 'static {
    /// Names one stream (one request, one WebSocket session) to the user.
    type Stream: PartialEq<Self::StreamId> + Borrow<Self::StreamId> + Send + 'static;
    /// Names the stream that a command is for, which may be none that there is.
    type StreamId: Clone + Eq + Hash + Send + Sync + 'static;
    /// Names who gave a command, for an error that belongs to no stream. What equal callers send may be put together.
    type Caller: PartialEq + Send + 'static;
    /// Names who waits until frames have been sent, or for what is known of a stream.
    type Receipt: Send + 'static;
    /// A command to the sink itself, which travels through the connection's queue to keep its place among the others.
    type Control: Send + 'static;
    /// The memory that a received message is assembled in.
    type Payload: Payload;
    /// A payload to be sent that is held by reference rather than copied.
    type Source: Source;

    /// Takes one event. A message of a WebSocket may be held back until [`Sink::flush`].
    fn event(&mut self, event: Event<'_, Self>);

    /// Deliver now what was held back: the connection's task rests, or others have their turn. After a panic it is
    /// [`Event::Panicked`] that comes instead.
    fn flush(&mut self) {}

    /// Takes one step of an attempt to connect: only those in [`crate::ConnectOptions::observed`] are given. A sink that
    /// observes none need not have this.
    fn step(&mut self, _step: Step<'_>) {}

    /// Whether a relay delivers this stream's events. [`Event::RelayCheck`] asks the relay whether it keeps up.
    fn relays(&self, _stream: &Self::Stream) -> bool {
        false
    }

    /// Whether the stream's receiver is where what it does not take piles up on the way. It is then asked whether it keeps
    /// up, by [`Event::FlowCheck`], whatever the flow.
    fn is_remote(&self, _stream: &Self::Stream) -> bool {
        false
    }

    /// Takes a command that was meant for the sink ([`crate::Command::Control`]).
    fn control(&mut self, control: Self::Control);
}

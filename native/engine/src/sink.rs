//! What an embedder of the engine provides.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::event::step::Step;
use crate::event::{Event, Promise, ServedRequest};
use crate::payload::{Payload, Source};

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

    /// Takes a request on a connection that was accepted, and names its stream. `None` refuses it: the client gets status
    /// 503, and the connection ends. A sink of connections that are made need not have this.
    fn request(&mut self, _request: ServedRequest<'_>) -> Option<Self::Stream> {
        None
    }

    /// Takes a request whose response the peer pushes, and names its stream: its events are those of any other. `None`
    /// refuses it. `parent` is the stream that it was promised on.
    fn promise(&mut self, _parent: &Self::Stream, _promise: Promise<'_>) -> Option<Self::Stream> {
        None
    }

    /// The name of the tunnel by way of which a stream of this name is opened; `None` where it is none's.
    fn tunnel(_stream: &Self::StreamId) -> Option<Self::StreamId> {
        None
    }

    /// Names the stream of bytes that are carried as they are. Without `asked` they are the owner's; otherwise they go where
    /// the messages of that stream go, by its name, or where they are not `named`, by none. `None` refuses it: the
    /// connection ends. A sink of connections that never carry such bytes need not have this.
    fn raw(&mut self, _asked: Option<&Self::Stream>, _named: bool) -> Option<Self::Stream> {
        None
    }

    /// Takes one step: only those in [`crate::ConnectOptions::observed`] are given, in order with the events. A sink that
    /// observes none need not have this.
    fn step(&mut self, _step: Step<'_, Self>) {}

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

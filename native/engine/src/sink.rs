//! What an embedder of the engine provides.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::event::Event;
use crate::transport::step::Step;

/// Where a connection's events go, and where its payloads live.
///
/// All methods are called from the connection's task, on an I/O thread: they must not block.
pub trait Sink: Sized + Send + 'static {
    /// Names one stream (one request, one WebSocket session) to the user.
    type Stream: PartialEq<Self::StreamId> + Borrow<Self::StreamId> + Send + 'static;
    /// Names the stream that a command is for, which may be none that there is.
    type StreamId: Clone + Eq + Hash + Send + 'static;
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

    /// What was held back is to be told now: the connection's task rests, or others have their turn. After a panic it is
    /// [`Event::Panicked`] that comes instead.
    fn flush(&mut self) {}

    /// Takes one step of an attempt to connect: only those in [`crate::ConnectOptions::observed`] are given. A sink that
    /// observes none need not have this.
    fn step(&mut self, _step: Step<'_>) {}

    /// Whether somebody hands on what is told of this stream. He is asked by [`Event::RelayCheck`] whether he keeps up.
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

/// The allocator had no room for a payload of this many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a payload of {0} bytes")]
pub struct OutOfMemory(pub usize);

/// Growable memory for one received message. The socket is read into it directly when a message is large.
pub trait Payload: Sized + Send + 'static {
    /// An empty payload; it allocates nothing worth mentioning.
    fn new() -> Self;

    /// Makes the payload `len` bytes long, keeping the bytes that fit. What is added has any value.
    ///
    /// # Errors
    /// [`OutOfMemory`] leaves the payload as it was.
    fn resize(&mut self, len: usize) -> Result<(), OutOfMemory>;

    /// All its bytes.
    fn bytes(&self) -> &[u8];

    /// All its bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// A large payload to be sent, read piece by piece as the socket takes it.
pub trait Source: Send + 'static {
    /// Its length in bytes.
    fn len(&self) -> usize;

    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `f` on all its bytes.
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R;
}

impl Payload for Vec<u8> {
    fn new() -> Self {
        Vec::new()
    }

    fn resize(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            self.try_reserve_exact(len - self.len()).map_err(|_| OutOfMemory(len))?;
        }
        self.resize(len, 0);
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}

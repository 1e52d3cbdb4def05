//! The memory of messages: what they are received into, and what they are sent from.

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

//! Bytes that rustls encodes or encrypts, on their way to the stream below.

use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};

use super::side::Side;

/// Bytes to be written. The buffer is longer than the part in use, so that it need not be cleared each time.
#[derive(Default)]
pub(super) struct Output {
    buffer: Vec<u8>,
    used: usize,
}

impl Output {
    pub(super) const fn new() -> Self {
        Self { buffer: Vec::new(), used: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Appends what `write` puts into the room that it is given. If it asks for more room, it gets it and is called
    /// again.
    ///
    /// # Errors
    /// Those of `write` that do not ask for room.
    fn append<E>(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
        required: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), E> {
        loop {
            match write(&mut self.buffer[self.used..]) {
                Ok(written) => {
                    self.used += written;
                    return Ok(());
                }
                Err(error) => match required(&error) {
                    Some(size) => self.buffer.resize(self.used + size, 0),
                    None => return Err(error),
                },
            }
        }
    }

    /// Appends a message of rustls's own, as part of a handshake.
    pub(super) fn encode<D>(&mut self, mut data: EncodeTlsData<'_, D>) {
        let required = |error: &EncodeError| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        };
        // It is encoded once, so that this cannot fail.
        let _ = self.append(|room| data.encode(room), required);
    }

    /// Appends rustls's last messages after a fault of the peer's: nothing is received any more.
    pub(super) fn encode_last(&mut self, side: &mut impl Side) {
        while side.common().wants_write() {
            match side.process(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => self.encode(data),
                _ => return,
            }
        }
    }

    /// Appends what `write` encrypts.
    ///
    /// # Errors
    /// The connection's keys must not be used any more.
    pub(super) fn encrypt<D>(
        &mut self,
        traffic: &mut WriteTraffic<'_, D>,
        mut write: impl FnMut(&mut WriteTraffic<'_, D>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), EncryptError> {
        let required = |error: &EncryptError| match error {
            EncryptError::InsufficientSize(size) => Some(size.required_size),
            EncryptError::EncryptExhausted => None,
        };
        self.append(|room| write(traffic, room), required)
    }
}

//! Erlang binaries as the engine's payloads.

use gun_rs_engine::{Data, Message, OutOfMemory, Payload, Source};
use rustler::env::SavedTerm;
use rustler::{Binary, Env, NewBinary, OwnedBinary, OwnedEnv, Term};

/// What the VM allocates without asking whether there is room for it.
const SMALL: usize = 1024 * 1024;

/// What fits into a term itself needs no binary of its own.
const IN_TERM: usize = 64;

/// The bytes of a message.
pub(crate) enum BinaryPayload {
    /// So many of these.
    InTerm(usize, [u8; IN_TERM]),
    /// In the binary that will carry them.
    Binary(OwnedBinary),
}

impl BinaryPayload {
    /// The binary, as a term.
    pub(crate) fn into_term(self, env: Env<'_>) -> Term<'_> {
        match self {
            Self::Binary(binary) if binary.len() > IN_TERM => binary.release(env).into(),
            payload => NewBinary::from_slice(env, payload.bytes()).into(),
        }
    }
}

impl From<&[u8]> for BinaryPayload {
    /// A copy of what has been read at once, for which there is room.
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > IN_TERM {
            return Self::Binary(OwnedBinary::from_slice(bytes));
        }
        let mut payload = Self::InTerm(bytes.len(), [0; IN_TERM]);
        payload.bytes_mut().copy_from_slice(bytes);
        payload
    }
}

impl Payload for BinaryPayload {
    fn new() -> Self {
        Self::InTerm(0, [0; IN_TERM])
    }

    fn resize(&mut self, len: usize) -> Result<(), OutOfMemory> {
        match self {
            Self::InTerm(used, _) if len <= IN_TERM => *used = len,
            Self::InTerm(used, bytes) => {
                let mut binary = OwnedBinary::new(len.min(SMALL));
                // Unlike the first allocation, a reallocation may fail without taking the VM down.
                if len > SMALL && !binary.realloc(len) {
                    return Err(OutOfMemory(len));
                }
                binary[..*used].copy_from_slice(&bytes[..*used]);
                *self = Self::Binary(binary);
            }
            Self::Binary(binary) => {
                if binary.len() != len && !binary.realloc(len) {
                    return Err(OutOfMemory(len));
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::InTerm(used, bytes) => &bytes[..*used],
            Self::Binary(binary) => binary,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::InTerm(used, bytes) => &mut bytes[..*used],
            Self::Binary(binary) => binary,
        }
    }
}

/// A binary of the user's, held by reference until it is sent. Its first byte stands at a byte boundary: the VM copies
/// the whole of any other binary each time that it is looked at, and keeps every copy as long as the environment.
pub(crate) struct HeldBinary {
    env: OwnedEnv,
    term: SavedTerm,
    len: usize,
}

impl HeldBinary {
    /// Holds `binary`, or a copy of it if it is not aligned.
    pub(crate) fn new(binary: &Binary<'_>, aligned: bool) -> Self {
        let env = OwnedEnv::new();
        let term = if aligned {
            env.save(*binary)
        } else {
            let copy = OwnedBinary::from_slice(binary);
            env.run(|own| env.save(copy.release(own)))
        };
        Self { env, term, len: binary.len() }
    }
}

/// Whether the VM looks at the binary where it stands, rather than at a copy. It does so for all parts of a binary or
/// for none, so that a small part, of which a copy costs nothing, shows it.
pub(crate) fn is_aligned(binary: &Binary<'_>) -> bool {
    let part = binary.make_subbinary(0, binary.len().min(IN_TERM + 1));
    let part = part.and_then(|part| Binary::from_term(part.into()));
    part.is_ok_and(|part| part.as_ptr() == binary.as_ptr())
}

impl Source for HeldBinary {
    fn len(&self) -> usize {
        self.len
    }

    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        self.env.run(|env| {
            // What was saved is a binary, so this does not fail.
            let binary = self.term.load(env).decode::<Binary<'_>>();
            f(binary.as_ref().map_or(&[], Binary::as_slice))
        })
    }
}

/// A data frame with its payload in memory of its own; or a control frame, as it is.
pub(crate) fn owned(
    message: Message<'_, BinaryPayload>,
) -> Result<Message<'static, BinaryPayload>, Message<'_, BinaryPayload>> {
    let own = |data| match data {
        Data::Borrowed(bytes) => Data::Owned(BinaryPayload::from(bytes)),
        Data::Owned(payload) => Data::Owned(payload),
    };
    match message {
        Message::Text(data) => Ok(Message::Text(own(data))),
        Message::Binary(data) => Ok(Message::Binary(own(data))),
        Message::Fragment { text, fin, first, data } => Ok(Message::Fragment { text, fin, first, data: own(data) }),
        control => Err(control),
    }
}

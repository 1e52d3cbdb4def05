//! Erlang binaries as the engine's payloads.

use gun_rs_engine::{OutOfMemory, Payload, Source};
use rustler::env::SavedTerm;
use rustler::{Binary, Env, OwnedBinary, OwnedEnv, Term};

/// What the VM allocates without asking whether there is room for it.
const SMALL: usize = 1024 * 1024;

/// A message under way, in the binary that will carry it.
pub(crate) struct BinaryPayload(Option<OwnedBinary>);

impl BinaryPayload {
    /// The binary, as a term.
    pub(crate) fn into_term(self, env: Env<'_>) -> Term<'_> {
        match self.0 {
            // What fits into the message itself needs no binary of its own.
            Some(binary) if binary.len() > 64 => binary.release(env).into(),
            Some(binary) => rustler::NewBinary::from_slice(env, &binary).into(),
            None => rustler::NewBinary::new(env, 0).into(),
        }
    }
}

impl Payload for BinaryPayload {
    fn new() -> Self {
        Self(None)
    }

    fn resize(&mut self, len: usize) -> Result<(), OutOfMemory> {
        match &mut self.0 {
            None if len == 0 => {}
            Some(binary) if binary.len() == len => {}
            None if len <= SMALL => self.0 = Some(OwnedBinary::new(len)),
            binary => {
                // Unlike the first allocation, a reallocation may fail without taking the VM down.
                if !binary.get_or_insert_with(|| OwnedBinary::new(0)).realloc(len) {
                    return Err(OutOfMemory(len));
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], OwnedBinary::as_slice)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], OwnedBinary::as_mut_slice)
    }
}

/// A binary of the user's, held by reference until it is sent.
pub(crate) struct HeldBinary {
    env: OwnedEnv,
    term: SavedTerm,
    len: usize,
}

impl HeldBinary {
    /// Holds `binary`.
    pub(crate) fn new(binary: &Binary<'_>) -> Self {
        let env = OwnedEnv::new();
        let term = env.save(*binary);
        Self { env, term, len: binary.len() }
    }
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

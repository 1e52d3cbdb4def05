//! The terms of the VM, as `gun_rs_terms` builds and reads them.

use std::sync::LazyLock;

use gun_rs_terms::{InvalidTerm, Name, ReadTerm, Terms};
use rustler::env::SavedTerm;
use rustler::types::atom;
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Atom, Binary, Encoder, Env, Error, NewBinary, OwnedEnv, Term};

use crate::payload::BinaryPayload;

/// The atoms of the contract, each at its name's place.
static ATOMS: LazyLock<[Atom; Name::ALL.len()]> = LazyLock::new(|| {
    let env = OwnedEnv::new();
    Name::ALL.map(|name| env.run(|env| make_atom(env, name.text())))
});

/// The atom of this name.
#[inline]
pub(crate) fn atom(name: Name) -> Atom {
    ATOMS[name as usize]
}

/// The names that there are can all be atoms; `error` stands for one that could not.
fn make_atom(env: Env<'_>, text: &str) -> Atom {
    Atom::from_str(env, text).unwrap_or_else(|_| atom::error())
}

/// Builds terms in an environment.
#[derive(Clone, Copy)]
pub(crate) struct Vm<'a>(pub(crate) Env<'a>);

impl<'a> Terms for Vm<'a> {
    type Term = Term<'a>;
    type Payload = BinaryPayload;

    #[inline]
    fn name(self, name: Name) -> Term<'a> {
        atom(name).to_term(self.0)
    }

    fn atom(self, text: &'static str) -> Term<'a> {
        make_atom(self.0, text).to_term(self.0)
    }

    #[inline]
    fn integer(self, value: u64) -> Term<'a> {
        value.encode(self.0)
    }

    #[inline]
    fn binary(self, bytes: &[u8]) -> Term<'a> {
        NewBinary::from_slice(self.0, bytes).into()
    }

    #[inline]
    fn payload(self, payload: BinaryPayload) -> Term<'a> {
        payload.into_term(self.0)
    }

    /// The most frequent sizes need no memory of their own on the way.
    #[inline]
    fn tuple<const N: usize>(self, elements: [Term<'a>; N]) -> Term<'a> {
        match elements.as_slice() {
            [a, b] => (a, b).encode(self.0),
            [a, b, c] => (a, b, c).encode(self.0),
            [a, b, c, d] => (a, b, c, d).encode(self.0),
            elements => make_tuple(self.0, elements),
        }
    }

    fn list(self, elements: Vec<Term<'a>>) -> Term<'a> {
        elements.encode(self.0)
    }

    fn map<const N: usize>(self, pairs: [(Name, Term<'a>); N]) -> Term<'a> {
        // A map has no key twice here, which is all that could fail.
        let pairs = pairs.map(|(key, value)| (atom(key), value));
        Term::map_from_pairs(self.0, &pairs).unwrap_or_else(|_| Term::map_new(self.0))
    }
}

/// Reads a term of the VM.
#[derive(Clone, Copy)]
pub(crate) struct VmTerm<'a>(pub(crate) Term<'a>);

impl ReadTerm for VmTerm<'_> {
    fn get(&self, key: Name) -> Option<Self> {
        self.0.map_get(atom(key)).ok().map(Self)
    }

    fn is(&self, name: Name) -> bool {
        atom(name) == self.0
    }

    fn unsigned(&self) -> Option<u64> {
        self.0.decode().ok()
    }

    fn signed(&self) -> Option<i64> {
        self.0.decode().ok()
    }

    fn atom(&self) -> Option<String> {
        self.0.atom_to_string().ok()
    }

    fn binary(&self) -> Option<Vec<u8>> {
        self.0.decode::<Binary<'_>>().ok().map(|binary| binary.to_vec())
    }

    fn list(&self) -> Option<Vec<Self>> {
        let elements = self.0.decode::<Vec<Term<'_>>>().ok()?;
        Some(elements.into_iter().map(Self).collect())
    }

    fn tuple(&self) -> Option<Vec<Self>> {
        let elements = get_tuple(self.0).ok()?;
        Some(elements.into_iter().map(Self).collect())
    }
}

/// What a NIF raises for a term that does not have the expected shape.
pub(crate) fn badarg(_: InvalidTerm) -> Error {
    Error::BadArg
}

/// A term kept for later, in memory of its own.
pub(crate) struct OwnedTerm {
    env: OwnedEnv,
    term: SavedTerm,
}

impl OwnedTerm {
    /// A copy of `term`.
    pub(crate) fn new(term: Term<'_>) -> Self {
        Self::build(|env| term.in_env(env))
    }

    /// A copy of `term`, unless it is `undefined`.
    pub(crate) fn defined(term: Term<'_>) -> Option<Self> {
        (atom(Name::Undefined) != term).then(|| Self::new(term))
    }

    /// A term that is built where it stays.
    pub(crate) fn build(build: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) -> Self {
        let env = OwnedEnv::new();
        let term = env.run(|own| env.save(build(own)));
        Self { env, term }
    }

    /// Whether it is the pid of a process, wherever that is.
    pub(crate) fn is_pid(&self) -> bool {
        self.env.run(|env| self.term.load(env).is_pid())
    }

    /// A copy of it in `env`.
    pub(crate) fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        self.env.run(|own| self.term.load(own).in_env(env))
    }
}

impl Clone for OwnedTerm {
    fn clone(&self) -> Self {
        Self::build(|env| self.get(env))
    }
}

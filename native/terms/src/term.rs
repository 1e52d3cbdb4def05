//! What the rest of this crate needs to know of terms.

use gun_rs_engine::Payload;

use crate::name::Name;

/// Builds terms from the inside out: a tuple is made of terms that have been made before.
///
/// It is a handle that is passed by value: an environment of the VM, or nothing at all where terms are plain values.
pub trait Terms: Copy {
    /// A term.
    type Term: Clone;
    /// The memory that the engine receives messages into.
    type Payload: Payload;

    /// One of the atoms that the contract has.
    fn name(self, name: Name) -> Self::Term;

    /// Another atom, such as the name of an alert or of an error of the operating system.
    fn atom(self, text: &'static str) -> Self::Term;

    /// An integer.
    fn integer(self, value: u64) -> Self::Term;

    /// A binary with a copy of these bytes.
    fn binary(self, bytes: &[u8]) -> Self::Term;

    /// A binary with the bytes of `payload`, whose memory becomes the binary's where that is possible.
    fn payload(self, payload: Self::Payload) -> Self::Term;

    /// A tuple.
    fn tuple<const N: usize>(self, elements: [Self::Term; N]) -> Self::Term;

    /// A proper list.
    fn list(self, elements: Vec<Self::Term>) -> Self::Term;

    /// A map whose keys are atoms. No key stands in it twice.
    fn map<const N: usize>(self, pairs: [(Name, Self::Term); N]) -> Self::Term;

    /// A text for a person: an Erlang string, as gun's are.
    fn string(self, text: &str) -> Self::Term {
        self.list(text.chars().map(|character| self.integer(u32::from(character).into())).collect())
    }

    /// `true` or `false`.
    fn boolean(self, value: bool) -> Self::Term {
        self.name(if value { Name::True } else { Name::False })
    }

    /// The term, or `undefined` where there is none.
    fn optional(self, term: Option<Self::Term>) -> Self::Term {
        term.unwrap_or_else(|| self.name(Name::Undefined))
    }

    /// A pair of an atom and a term.
    fn tagged(self, name: Name, term: Self::Term) -> Self::Term {
        self.tuple([self.name(name), term])
    }
}

/// Reads a term that Erlang has given. Each method answers `None` for a term of another type.
pub trait ReadTerm: Clone {
    /// The value of this key of a map.
    fn get(&self, key: Name) -> Option<Self>;

    /// Whether it is this atom.
    fn is(&self, name: Name) -> bool;

    /// An integer that is not negative.
    fn unsigned(&self) -> Option<u64>;

    /// An integer.
    fn signed(&self) -> Option<i64>;

    /// The text of an atom.
    fn atom(&self) -> Option<String>;

    /// The bytes of a binary.
    fn binary(&self) -> Option<Vec<u8>>;

    /// The elements of a proper list.
    fn list(&self) -> Option<Vec<Self>>;

    /// The elements of a tuple.
    fn tuple(&self) -> Option<Vec<Self>>;
}

/// A term does not have the shape that it is read by. Erlang checks what users give, so this is a fault of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a term does not have the expected shape")]
pub struct InvalidTerm;

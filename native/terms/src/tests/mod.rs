//! Terms as plain values, which are compared by how Erlang would write them.

use std::fmt::{self, Display, Formatter};

use gun_rs_engine::Payload;

use crate::{Name, ReadTerm, Terms};

mod messages;
mod options;
mod reasons;
mod reports;

/// A term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plain {
    Atom(String),
    Integer(i64),
    Binary(Vec<u8>),
    Tuple(Vec<Self>),
    List(Vec<Self>),
    Map(Vec<(Name, Self)>),
}

/// Builds plain terms.
#[derive(Clone, Copy)]
pub(super) struct PlainTerms;

impl Terms for PlainTerms {
    type Term = Plain;
    type Payload = Vec<u8>;

    fn name(self, name: Name) -> Plain {
        atom(name.text())
    }

    fn atom(self, text: &'static str) -> Plain {
        atom(text)
    }

    fn integer(self, value: u64) -> Plain {
        Plain::Integer(value.try_into().unwrap())
    }

    fn binary(self, bytes: &[u8]) -> Plain {
        Plain::Binary(bytes.to_vec())
    }

    fn payload(self, payload: Vec<u8>) -> Plain {
        self.binary(payload.bytes())
    }

    fn tuple<const N: usize>(self, elements: [Plain; N]) -> Plain {
        tuple(elements)
    }

    fn list(self, elements: Vec<Plain>) -> Plain {
        Plain::List(elements)
    }

    fn map<const N: usize>(self, pairs: [(Name, Plain); N]) -> Plain {
        Plain::Map(pairs.into())
    }
}

impl ReadTerm for Plain {
    fn get(&self, key: Name) -> Option<Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn is(&self, name: Name) -> bool {
        *self == atom(name.text())
    }

    fn unsigned(&self) -> Option<u64> {
        self.signed().and_then(|value| value.try_into().ok())
    }

    fn signed(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    fn atom(&self) -> Option<String> {
        if let Self::Atom(text) = self { Some(text.clone()) } else { None }
    }

    fn binary(&self) -> Option<Vec<u8>> {
        if let Self::Binary(bytes) = self { Some(bytes.clone()) } else { None }
    }

    fn list(&self) -> Option<Vec<Self>> {
        if let Self::List(elements) = self { Some(elements.clone()) } else { None }
    }

    fn tuple(&self) -> Option<Vec<Self>> {
        if let Self::Tuple(elements) = self { Some(elements.clone()) } else { None }
    }
}

/// As Erlang writes it; a list of characters is a string.
impl Display for Plain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(text) => f.write_str(text),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Binary(bytes) => write!(f, "<<\"{}\">>", String::from_utf8_lossy(bytes)),
            Self::Tuple(elements) => write!(f, "{{{}}}", separated(elements)),
            Self::List(elements) => match string(elements) {
                Some(text) => write!(f, "{text:?}"),
                None => write!(f, "[{}]", separated(elements)),
            },
            Self::Map(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{} => {value}", key.text())).collect();
                write!(f, "#{{{}}}", pairs.join(", "))
            }
        }
    }
}

fn separated(elements: &[Plain]) -> String {
    elements.iter().map(Plain::to_string).collect::<Vec<_>>().join(", ")
}

fn string(elements: &[Plain]) -> Option<String> {
    let character = |term: &Plain| char::from_u32(term.signed()?.try_into().ok()?).filter(|c| !c.is_control());
    elements.iter().map(character).collect::<Option<String>>().filter(|text| !text.is_empty())
}

pub(super) fn atom(text: &str) -> Plain {
    Plain::Atom(text.into())
}

pub(super) fn binary(bytes: &str) -> Plain {
    Plain::Binary(bytes.into())
}

pub(super) fn tuple<const N: usize>(elements: [Plain; N]) -> Plain {
    Plain::Tuple(elements.into())
}

pub(super) fn list<const N: usize>(elements: [Plain; N]) -> Plain {
    Plain::List(elements.into())
}

#[test]
fn every_name_stands_at_its_place_and_has_a_text_of_its_own() {
    for (place, name) in Name::ALL.into_iter().enumerate() {
        assert_eq!(name as usize, place);
        assert!(Name::ALL[..place].iter().all(|other| other.text() != name.text()), "{name:?}");
    }
}

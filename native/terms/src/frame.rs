//! A received frame as a term.

use gun_rs_engine::{Data, Message};

use crate::name::Name;
use crate::term::Terms;

/// A frame in its shortest shape: an empty ping or pong, or a close without a code, is the bare atom.
#[inline]
pub(crate) fn frame<T: Terms>(terms: T, message: Message<'_, T::Payload>) -> T::Term {
    match message {
        Message::Text(data) => terms.tagged(Name::Text, data_term(terms, data)),
        Message::Binary(data) => terms.tagged(Name::Binary, data_term(terms, data)),
        Message::Fragment { text, fin, data, .. } => terms.tuple([
            terms.name(Name::Fragment),
            terms.name(fin_name(fin)),
            terms.name(if text { Name::Text } else { Name::Binary }),
            data_term(terms, data),
        ]),
        Message::Ping(payload) => control(terms, Name::Ping, payload),
        Message::Pong(payload) => control(terms, Name::Pong, payload),
        Message::Close(None) => terms.name(Name::Close),
        Message::Close(Some((code, reason))) => {
            terms.tuple([terms.name(Name::Close), terms.integer(code.into()), terms.binary(reason.as_bytes())])
        }
    }
}

/// Whether something is the last of its kind.
pub(crate) fn fin_name(fin: bool) -> Name {
    if fin { Name::Fin } else { Name::Nofin }
}

fn control<T: Terms>(terms: T, name: Name, payload: &[u8]) -> T::Term {
    if payload.is_empty() { terms.name(name) } else { terms.tagged(name, terms.binary(payload)) }
}

#[inline]
fn data_term<T: Terms>(terms: T, data: Data<'_, T::Payload>) -> T::Term {
    match data {
        Data::Borrowed(bytes) => terms.binary(bytes),
        Data::Owned(payload) => terms.payload(payload),
    }
}

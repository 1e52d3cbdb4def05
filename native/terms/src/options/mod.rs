//! From maps of options to the engine's options. Erlang has checked the values (`gun_rs_options`) and has filled in
//! every default.

mod connect;
mod http2;
mod proxy;
mod server;
mod tls;
mod tunnel;
mod websocket;

use std::time::Duration;

use gun_rs_engine::options::Flow;

pub use connect::{OpenOptions, open_options};
pub use proxy::proxy;
pub use server::{listen_options, serve_options, served_ws_options, tune};
pub use tls::{tls_options, tls_server_options};
pub use tunnel::{destination, socks};
pub use websocket::ws_options;

use crate::name::Name;
use crate::term::{InvalidTerm, ReadTerm};

type Result<R> = std::result::Result<R, InvalidTerm>;

/// How many messages of a WebSocket, or parts of a response's body, may be received.
///
/// # Errors
/// [`InvalidTerm`] for anything but `infinity`, `auto` and a number.
pub fn flow<T: ReadTerm>(term: &T) -> Result<Flow> {
    if term.is(Name::Infinity) {
        Ok(Flow::Unlimited)
    } else if term.is(Name::Auto) {
        Ok(Flow::Auto)
    } else {
        term.signed().map(Flow::Messages).ok_or(InvalidTerm)
    }
}

/// Milliseconds, or `infinity`.
///
/// # Errors
/// [`InvalidTerm`] for anything else.
pub fn timeout<T: ReadTerm>(term: &T) -> Result<Option<Duration>> {
    unless(term, Name::Infinity, |term| term.unsigned().map(Duration::from_millis).ok_or(InvalidTerm))
}

fn value<T: ReadTerm>(map: &T, key: Name) -> Result<T> {
    map.get(key).ok_or(InvalidTerm)
}

/// What is read of the term, or `None` for the atom that stands for nothing.
fn unless<T: ReadTerm, R>(term: &T, nothing: Name, read: impl FnOnce(&T) -> Result<R>) -> Result<Option<R>> {
    if term.is(nothing) { Ok(None) } else { read(term).map(Some) }
}

/// What is read of an option, unless it is `undefined`.
fn defined<T: ReadTerm, R>(map: &T, key: Name, read: impl FnOnce(&T) -> Result<R>) -> Result<Option<R>> {
    unless(&value(map, key)?, Name::Undefined, read)
}

/// A number, unless the option is `infinity`.
fn limit<T: ReadTerm, N: TryFrom<u64>>(map: &T, key: Name) -> Result<Option<N>> {
    unless(&value(map, key)?, Name::Infinity, number)
}

fn number<T: ReadTerm, N: TryFrom<u64>>(term: &T) -> Result<N> {
    term.unsigned().and_then(|number| N::try_from(number).ok()).ok_or(InvalidTerm)
}

fn number_of<T: ReadTerm, N: TryFrom<u64>>(map: &T, key: Name) -> Result<N> {
    number(&value(map, key)?)
}

fn flag<T: ReadTerm>(term: &T) -> Result<bool> {
    match term.is(Name::True) {
        true => Ok(true),
        false if term.is(Name::False) => Ok(false),
        false => Err(InvalidTerm),
    }
}

fn flag_of<T: ReadTerm>(map: &T, key: Name) -> Result<bool> {
    flag(&value(map, key)?)
}

fn timeout_of<T: ReadTerm>(map: &T, key: Name) -> Result<Option<Duration>> {
    timeout(&value(map, key)?)
}

fn binary<T: ReadTerm>(term: &T) -> Result<Vec<u8>> {
    term.binary().ok_or(InvalidTerm)
}

fn text<T: ReadTerm>(term: &T) -> Result<String> {
    String::from_utf8(binary(term)?).map_err(|_| InvalidTerm)
}

/// What is read of each element of a list.
fn each<T: ReadTerm, R>(list: &T, read: impl FnMut(&T) -> Result<R>) -> Result<Vec<R>> {
    list.list().ok_or(InvalidTerm)?.iter().map(read).collect()
}

fn each_of<T: ReadTerm, R>(map: &T, key: Name, read: impl FnMut(&T) -> Result<R>) -> Result<Vec<R>> {
    each(&value(map, key)?, read)
}

/// The elements of a tuple of this size.
fn elements<T: ReadTerm, const N: usize>(term: &T) -> Result<[T; N]> {
    term.tuple().and_then(|elements| elements.try_into().ok()).ok_or(InvalidTerm)
}

/// What the atom stands for.
fn one_of<T: ReadTerm, R: Copy>(term: &T, values: &[(Name, R)]) -> Result<R> {
    values.iter().find(|(name, _)| term.is(*name)).map(|(_, value)| *value).ok_or(InvalidTerm)
}

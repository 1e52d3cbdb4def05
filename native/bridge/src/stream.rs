//! Streams, and the references that name them.

use std::borrow::Borrow;

use gun_rs_terms::Name;
use rustler::{Encoder, Env, Term};

use crate::receiver::Receiver;
use crate::vm::{OwnedTerm, atom};

/// A stream, and who its messages are for.
pub(crate) struct Stream {
    /// Its name.
    pub(crate) id: StreamId,
    /// Who its messages are for.
    pub(crate) reply_to: Receiver,
    /// What it was opened for.
    pub(crate) purpose: Purpose,
}

/// What a stream was opened for.
pub(crate) enum Purpose {
    /// A request.
    Request,
    /// An upgrade to WebSocket. Where a module of the user's may take the frames, it is started with these options.
    Upgrade(Option<OwnedTerm>),
}

impl Stream {
    /// The stream `stream_ref`, with messages for `reply_to`.
    pub(crate) fn new(stream_ref: Term<'_>, reply_to: Term<'_>, purpose: Purpose) -> Self {
        Self { id: StreamId::new(stream_ref), reply_to: reply_to.into(), purpose }
    }
}

impl Borrow<StreamId> for Stream {
    fn borrow(&self) -> &StreamId {
        &self.id
    }
}

impl PartialEq<StreamId> for Stream {
    fn eq(&self, id: &StreamId) -> bool {
        self.id == *id
    }
}

/// The reference that names a stream, without an environment of the VM, which takes some 1 KB. A reference of this node
/// is stored without the node's name: the node may be given another name, and a reference with the old one would belong
/// to a node that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StreamId {
    /// In the external term format; of a reference of this node, what is the reference's own.
    bytes: Box<[u8]>,
    local: bool,
}

/// The external term format of a reference: a version, a tag, the number of words of its own, the node's name and
/// creation, and then these words.
const TAG: usize = 1;
const WORDS: usize = 2;
const NODE: usize = 4;
const NEWER_REFERENCE: u8 = 90;

impl StreamId {
    /// The name that `stream_ref` is.
    pub(crate) fn new(stream_ref: Term<'_>) -> Self {
        let bytes = external(stream_ref);
        let ours = external(stream_ref.get_env().make_ref().encode(stream_ref.get_env()));
        match (split(&bytes), split(&ours)) {
            (Some((node, own)), Some((our_node, _))) if node == our_node => Self { bytes: own.into(), local: true },
            _ => Self { bytes: bytes.into(), local: false },
        }
    }

    /// The reference.
    pub(crate) fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        // It was made of a term, so it is one.
        self.decode(env).unwrap_or_else(|| atom(Name::Undefined).to_term(env))
    }

    fn decode<'a>(&self, env: Env<'a>) -> Option<Term<'a>> {
        let whole = if self.local {
            let ours = external(env.make_ref().encode(env));
            let (node, _) = split(&ours)?;
            let words = u16::try_from(self.bytes.len() / 4).ok()?.to_be_bytes();
            [&ours[..WORDS], &words, node, &self.bytes].concat()
        } else {
            self.bytes.to_vec()
        };
        env.binary_to_term(&whole).map(|(term, _)| term)
    }
}

fn external(term: Term<'_>) -> Vec<u8> {
    term.to_binary().as_slice().to_vec()
}

/// The node, with its creation, and the words.
fn split(reference: &[u8]) -> Option<(&[u8], &[u8])> {
    if *reference.get(TAG)? != NEWER_REFERENCE {
        return None;
    }
    let words: [u8; 2] = reference.get(WORDS..NODE)?.try_into().ok()?;
    reference
        .get(NODE..)?
        .split_at_checked(reference.len().checked_sub(NODE + 4 * usize::from(u16::from_be_bytes(words)))?)
}

//! Streams, and the references that name them.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicBool, Ordering};

use gun_rs_terms::Name;
use rustler::{Encoder, Env, OwnedEnv, Term};

use crate::lease::Lease;
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
    /// It counts as one of its connection's, unless the server has opened it.
    lease: Option<Lease>,
    /// Who is told what becomes of the upgrade, until it is done.
    follower: Option<Follower>,
}

/// A process that follows the redirects of an upgrade.
struct Follower {
    process: Receiver,
    is_done: AtomicBool,
}

/// What a stream was opened for.
pub(crate) enum Purpose {
    /// A request.
    Request,
    /// Bytes that are carried as they are, for whoever is the owner.
    Owner,
    /// An upgrade to WebSocket. Where a module of the user's may take the frames, it is started with these options.
    Upgrade(Option<OwnedTerm>),
}

impl Stream {
    /// The stream `stream_ref`, with messages for `reply_to`.
    pub(crate) fn new(stream_ref: Term<'_>, reply_to: Term<'_>, purpose: Purpose) -> Self {
        Self { id: StreamId::new(stream_ref), reply_to: reply_to.into(), purpose, lease: None, follower: None }
    }

    /// Bytes that are carried as they are: the owner's, or those of the stream that has asked for it, by its name or by none.
    pub(crate) fn raw(owner: &Receiver, asked: Option<&Self>, named: bool) -> Self {
        let id = match asked.filter(|_| named) {
            Some(asked) => asked.id.clone(),
            None => OwnedEnv::new().run(|env| StreamId::new(atom(Name::Undefined).to_term(env))),
        };
        let (reply_to, purpose) = match asked {
            Some(asked) => (asked.reply_to.clone(), Purpose::Request),
            None => (owner.clone(), Purpose::Owner),
        };
        Self { id, reply_to, purpose, lease: None, follower: None }
    }

    /// The same stream, an upgrade whose refusals and errors are for this process until it is done.
    pub(crate) fn followed_by(self, process: Receiver) -> Self {
        Self { follower: Some(Follower { process, is_done: AtomicBool::new(false) }), ..self }
    }

    /// The upgrade is done: all that follows is the user's. Answers who followed its redirects, if somebody did.
    pub(crate) fn upgraded(&self) -> Option<&Receiver> {
        let follower = self.follower.as_ref()?;
        (!follower.is_done.swap(true, Ordering::Relaxed)).then_some(&follower.process)
    }

    /// Who is sent the responses and errors of the stream.
    pub(crate) fn receiver(&self) -> &Receiver {
        match &self.follower {
            Some(follower) if !follower.is_done.load(Ordering::Relaxed) => &follower.process,
            Some(_) | None => &self.reply_to,
        }
    }

    /// The same stream, counted as one of its connection's.
    pub(crate) fn leased(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// It is over, and counts no more, before whoever hears of it opens the next.
    pub(crate) fn give_up_lease(&self) {
        if let Some(lease) = &self.lease {
            lease.give_up();
        }
    }

    /// A new stream of a response that is pushed, whose messages go where those of this one go.
    pub(crate) fn promised(&self) -> Self {
        let id = OwnedEnv::new().run(|env| StreamId::new(env.make_ref().encode(env)));
        Self { id, reply_to: self.reply_to.clone(), purpose: Purpose::Request, lease: None, follower: None }
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

/// The references that name a stream, without an environment of the VM, which takes some 1 KB. A reference of this node
/// is stored without the node's name: the node may be given another name, and a reference with the old one would belong
/// to a node that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StreamId {
    bytes: Box<[u8]>,
    kind: Kind,
}

/// What the bytes of a name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// What is a reference's own, of one of this node.
    Local,
    /// The external term format: a reference of another node, or what is none.
    External,
    /// Of a stream in tunnels: the references of those, the outermost first, then its own. Before the bytes of each stand
    /// whether they are local, and their number in two bytes.
    List,
}

/// The external term format of a reference: a version, a tag, the number of words of its own, the node's name and
/// creation, and then these words.
const TAG: usize = 1;
const WORDS: usize = 2;
const NODE: usize = 4;
const NEWER_REFERENCE: u8 = 90;

/// What stands before the bytes of each reference in a list.
const PART_HEAD: usize = 3;

impl StreamId {
    /// The name that `stream_ref` is.
    pub(crate) fn new(stream_ref: Term<'_>) -> Self {
        if let Some(list) = Self::of_list(stream_ref) {
            return list;
        }
        let bytes = external(stream_ref);
        let ours = external(stream_ref.get_env().make_ref().encode(stream_ref.get_env()));
        match (split(&bytes), split(&ours)) {
            (Some((node, own)), Some((our_node, _))) if node == our_node => {
                Self { bytes: own.into(), kind: Kind::Local }
            }
            _ => Self { bytes: bytes.into(), kind: Kind::External },
        }
    }

    fn of_list(stream_ref: Term<'_>) -> Option<Self> {
        let list: Vec<Term<'_>> = stream_ref.is_list().then(|| stream_ref.decode().ok())??;
        let mut bytes = Vec::new();
        for part in list {
            if part.is_list() {
                return None;
            }
            let Self { bytes: part, kind } = Self::new(part);
            bytes.push(u8::from(kind == Kind::Local));
            bytes.extend(u16::try_from(part.len()).ok()?.to_be_bytes());
            bytes.extend(&part);
        }
        Some(Self { bytes: bytes.into(), kind: Kind::List })
    }

    /// The name of the tunnel that the stream is in.
    pub(crate) fn tunnel(&self) -> Option<Self> {
        if self.kind != Kind::List {
            return None;
        }
        let (mut first, mut count, mut last) = (None, 0, 0);
        for (start, part) in self.parts() {
            first.get_or_insert(part);
            (count, last) = (count + 1, start);
        }
        match count {
            0 | 1 => None,
            2 => first,
            _ => Some(Self { bytes: self.bytes.get(..last)?.into(), kind: Kind::List }),
        }
    }

    /// The references of a list, and where each of them begins.
    fn parts(&self) -> impl Iterator<Item = (usize, Self)> + use<'_> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at;
            let [local, high, low] = *self.bytes.get(start..start + PART_HEAD)? else { return None };
            let kind = if local == 1 { Kind::Local } else { Kind::External };
            let begin = start + PART_HEAD;
            at = begin + usize::from(u16::from_be_bytes([high, low]));
            Some((start, Self { bytes: self.bytes.get(begin..at)?.into(), kind }))
        })
    }

    /// The reference, or the list of them.
    pub(crate) fn get<'a>(&self, env: Env<'a>) -> Term<'a> {
        if self.kind == Kind::List {
            return self.parts().map(|(_, part)| part.get(env)).collect::<Vec<_>>().encode(env);
        }
        // It was made of a term, so it is one.
        self.decode(env).unwrap_or_else(|| atom(Name::Undefined).to_term(env))
    }

    fn decode<'a>(&self, env: Env<'a>) -> Option<Term<'a>> {
        let whole = if self.kind == Kind::Local {
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

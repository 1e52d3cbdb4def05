//! From messages to bytes: what is to be sent, in order, and how much of it has been taken.

use std::collections::VecDeque;
use std::io;

use super::deflate::{Agreed, Deflater};
use super::frame::{Opcode, append_masked, encode_as, encode_close_as, encode_header};
use super::role::Role;
use crate::account::Charge;
use crate::command::{COMMAND, Item, Reply};
use crate::error::ProtocolError;
use crate::payload::Source;
use crate::sink::Sink;

/// How many bytes are made ready for one write. Frames that wait together leave together, up to this.
const STAGE: usize = 64 * 1024;

/// How many large messages that have been written are given back together, and how many bytes of them at most. Giving
/// one back wakes its sender, which may be asleep.
const MAX_RETIRED: usize = 32;
const MAX_RETIRED_BYTES: usize = 1024 * 1024;

/// How many bytes of a message are compressed before other connections of the thread have their turn.
const DEFLATE_AT_ONCE: usize = 32 * 1024;

/// The sending half of a session.
pub struct Outbound<K: Sink> {
    role: Role,
    waiting: VecDeque<Unsent<K>>,
    /// Pings and pongs of our own, encoded. They go out ahead of what waits, as soon as a frame ends.
    own: Vec<u8>,
    own_frames: u64,
    deflater: Option<Deflater>,
    /// Whether what is pushed is to be compressed, where there is a deflater.
    deflates: bool,
    front: Front,
    /// How many bytes have been compressed in this turn.
    deflated_now: usize,
    /// What is ready to be written, from `written` on.
    staged: Vec<u8>,
    written: usize,
    /// What `staged` counts for.
    staged_cost: usize,
    /// What all that waits or is staged counts for.
    charge: Charge,
    /// How much of the charge is due to be given back: together, since each time costs the senders their cache line.
    released: usize,
    /// Whether there is anything of the user's in it.
    staged_data: bool,
    /// Where a ping of our own is on its way.
    ping: Ping,
    /// What has been taken since that was last asked.
    taken: Taken,
    /// The bytes of pings' answers that have not been taken: a peer that reads nothing must not grow them.
    answers: usize,
    /// Large messages that are staged to their end, and not given back yet.
    retired: Vec<Item<K::Source>>,
    retired_bytes: usize,
    counts: Sent,
    /// Frames of our own that have been pushed since that was last asked, where they are observed.
    watched: Option<Vec<(Opcode, Vec<u8>)>>,
}

/// What has been sent since the counts were last taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Frames, control frames included.
    pub frames: u64,
    /// Bytes that have been taken.
    pub bytes: u64,
    /// Bytes of payloads that were compressed.
    pub deflated: u64,
    /// Bytes that they were compressed to.
    pub compressed: u64,
}

/// What waits, with what it counts for.
enum Unsent<K: Sink> {
    /// To be sent, compressed or not.
    Item(Item<K::Source>, usize, bool),
    /// To be reported once everything before it has been sent. It counts for a command.
    Receipt(Written<K>),
}

/// What has been written, for whoever waits for that.
pub(crate) struct Written<K: Sink> {
    /// Who has sent it.
    pub(crate) reply: Reply<K>,
    /// What it was, where frames are observed.
    pub(crate) frames: Vec<(Opcode, Vec<u8>)>,
}

/// How far a large message in front has come.
enum Front {
    /// Nothing of it has been touched.
    Untouched,
    /// Its header and this many of its bytes are staged, masked with this key if it is masked.
    Begun { key: Option<[u8; 4]>, done: usize },
    /// This many of its bytes have been compressed, to these.
    Compressing { done: usize, compressed: Vec<u8> },
}

/// What has been taken of what was written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Any bytes.
    pub any: bool,
    /// Bytes that are not pings and pongs of our own alone.
    pub data: bool,
}

/// Where a ping of our own is.
enum Ping {
    /// There is none, or it has been taken.
    Written,
    Unsent,
    /// It ends at this byte of what is staged.
    Staged(usize),
}

/// What [`Outbound::stage`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// There is something to write.
    Ready,
    /// There is nothing to write.
    Nothing,
    /// There will be, but others have their turn first.
    Working,
}

impl<K: Sink> Outbound<K> {
    /// Nothing to send yet, from this end.
    #[must_use]
    pub fn new(role: Role, deflate: Option<&Agreed>) -> Self {
        Self {
            role,
            waiting: VecDeque::new(),
            own: Vec::new(),
            own_frames: 0,
            deflater: deflate.and_then(|agreed| Deflater::new(role, agreed)),
            deflates: true,
            front: Front::Untouched,
            deflated_now: 0,
            staged: Vec::new(),
            written: 0,
            staged_cost: 0,
            charge: Charge::default(),
            released: 0,
            staged_data: false,
            ping: Ping::Written,
            taken: Taken::default(),
            answers: 0,
            retired: Vec::new(),
            retired_bytes: 0,
            counts: Sent::default(),
            watched: None,
        }
    }

    /// Takes on the charge of what is about to be pushed.
    pub fn charge(&mut self, charge: Charge) {
        self.charge.absorb(charge);
    }

    /// This much of the charge is for nothing any more.
    pub fn release(&mut self, cost: usize) {
        self.released += cost;
    }

    /// Gives back what is due of the charge.
    pub fn give_back_charge(&mut self) {
        if self.released > 0 {
            self.charge.release(std::mem::take(&mut self.released));
        }
    }

    /// Appends what the user sends, with what it counts for.
    pub fn push(&mut self, item: Item<K::Source>, cost: usize) {
        let compressed = self.deflates && self.deflater.is_some() && matches!(item, Item::Small(..) | Item::Large(..));
        self.waiting.push_back(Unsent::Item(item, cost, compressed));
    }

    /// Whether what is pushed from now on is compressed, if that was agreed on.
    pub fn set_deflates(&mut self, deflates: bool) {
        self.deflates = deflates;
    }

    /// Appends a receipt for everything before it. It counts for a command.
    pub(crate) fn push_receipt(&mut self, written: Written<K>) {
        self.waiting.push_back(Unsent::Receipt(written));
    }

    /// Sends a ping of our own, unless the one before it has not been written yet.
    pub fn push_ping(&mut self) {
        if let Ping::Written = self.ping {
            encode_as(self.role, &mut self.own, Opcode::Ping, false, b"");
            self.own_frames += 1;
            self.watch_own(Opcode::Ping, b"");
            self.ping = Ping::Unsent;
        }
    }

    /// Answers a ping.
    pub fn push_pong(&mut self, payload: &[u8]) {
        let before = self.own.len();
        encode_as(self.role, &mut self.own, Opcode::Pong, false, payload);
        self.own_frames += 1;
        self.watch_own(Opcode::Pong, payload);
        self.answers += self.own.len() - before;
    }

    /// Appends a close frame of our own, behind what waits: nothing follows it.
    pub fn push_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        encode_close_as(self.role, &mut bytes, code, b"");
        self.watch_own(Opcode::Close, &code.to_be_bytes());
        self.push(Item::Close(bytes), 0);
    }

    /// The same, to answer the peer's close frame with this code or none. A server echoes it (RFC 6455, 5.5.1), as Cowboy
    /// does; gun answers with 1000.
    pub fn push_close_answer(&mut self, code: Option<u16>) {
        match (self.role, code) {
            (Role::Client, _) => self.push_close(1000),
            (Role::Server, Some(code)) => self.push_close(code),
            (Role::Server, None) => {
                let mut bytes = Vec::new();
                encode_as(self.role, &mut bytes, Opcode::Close, false, b"");
                self.watch_own(Opcode::Close, b"");
                self.push(Item::Close(bytes), 0);
            }
        }
    }

    /// The same, to answer a fault of the peer's.
    pub fn push_close_for(&mut self, error: &ProtocolError) {
        self.push_close(match (self.role, error) {
            // It is no text: gun calls it so, and Cowboy does not.
            (Role::Server, ProtocolError::CompressedData) => 1002,
            _ => error.close_code(),
        });
    }

    /// From now on frames of our own are kept for [`Outbound::take_own`].
    pub(super) fn watch(&mut self) {
        self.watched = Some(Vec::new());
    }

    fn watch_own(&mut self, opcode: Opcode, payload: &[u8]) {
        if let Some(watched) = &mut self.watched {
            watched.push((opcode, payload.to_vec()));
        }
    }

    /// The frames of our own that have been pushed since the last call, if they are watched.
    pub(super) fn take_own(&mut self) -> Vec<(Opcode, Vec<u8>)> {
        self.watched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether everything has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.staged().is_empty() && self.waiting.is_empty() && self.own.is_empty()
    }

    /// The bytes of answers to pings that wait.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// What has been sent since the last call.
    pub fn take_counts(&mut self) -> Sent {
        std::mem::take(&mut self.counts)
    }

    /// The attempt to write is over: what has been taken since the one before.
    pub fn end_write(&mut self) -> Taken {
        self.deflated_now = 0;
        std::mem::take(&mut self.taken)
    }

    /// Drops what has not been taken; those who wait for it are returned.
    pub fn clear(&mut self) -> Vec<K::Receipt> {
        let mut receipts = Vec::new();
        for waiting in self.waiting.drain(..) {
            if let Unsent::Receipt(Written { reply: Reply::Receipt(receipt), .. }) = waiting {
                receipts.push(receipt);
            }
        }
        (self.staged, self.staged_cost, self.written) = (Vec::new(), 0, 0);
        (self.charge, self.released) = (Charge::default(), 0);
        (self.own, self.own_frames, self.answers) = (Vec::new(), 0, 0);
        self.ping = Ping::Written;
        self.front = Front::Untouched;
        self.give_back();
        receipts
    }

    /// What is to be written next: empty if nothing is staged.
    #[must_use]
    pub fn staged(&self) -> &[u8] {
        self.staged.get(self.written..).unwrap_or_default()
    }

    /// So many bytes of what is staged have been taken.
    pub fn wrote(&mut self, n: usize) {
        self.written += n;
        self.counts.bytes += n as u64;
        self.taken = Taken { any: true, data: self.taken.data || self.staged_data };
        if let Ping::Staged(end) = self.ping
            && self.written >= end
        {
            self.ping = Ping::Written;
        }
    }

    /// Whether somebody waits for what has been taken, and nothing else.
    pub(crate) fn is_at_receipt(&self) -> bool {
        self.staged().is_empty() && matches!(self.waiting.front(), Some(Unsent::Receipt(_)))
    }

    /// Who waits for what has been taken, and nothing else: once for each.
    pub(crate) fn next_sent(&mut self) -> Option<Written<K>> {
        if !self.staged().is_empty() {
            return None;
        }
        // Its sender may send again at once, and must find the room.
        self.released += std::mem::take(&mut self.staged_cost);
        if !matches!(self.waiting.front(), Some(Unsent::Receipt(_))) {
            return None;
        }
        match self.waiting.pop_front() {
            Some(Unsent::Receipt(written)) => {
                self.released += COMMAND;
                Some(written)
            }
            _ => None,
        }
    }

    /// Makes the next write ready, when all that was staged has been taken.
    ///
    /// # Errors
    /// Those of zlib, which refuses nothing that is asked of it here; if it did, the connection would be of no more use.
    pub fn stage(&mut self) -> io::Result<Staged> {
        self.staged.clear();
        self.released += std::mem::take(&mut self.staged_cost);
        self.written = 0;
        self.staged_data = false;
        while self.staged.len() < STAGE {
            if !matches!(self.front, Front::Begun { .. }) {
                self.stage_own();
            }
            let Some(Unsent::Item(_, _, compressed)) = self.waiting.front() else { break };
            self.staged_data = true;
            if self.deflated_now >= DEFLATE_AT_ONCE && *compressed {
                return Ok(if self.staged.is_empty() { Staged::Working } else { Staged::Ready });
            }
            let Some(Unsent::Item(mut item, mut cost, compressed)) = self.waiting.pop_front() else { break };
            if self.stage_item(&mut item, &mut cost, compressed)? {
                self.staged_cost += cost;
                self.counts.frames += frames_in(&item);
                self.retire(item);
            } else {
                self.waiting.push_front(Unsent::Item(item, cost, compressed));
            }
        }
        if !self.staged.is_empty() {
            return Ok(Staged::Ready);
        }
        // An idle session holds no buffer.
        self.staged = Vec::new();
        self.give_back();
        Ok(Staged::Nothing)
    }

    /// Stages the item in front, or the next part of it: whether that was the last one.
    fn stage_item(&mut self, item: &mut Item<K::Source>, cost: &mut usize, compressed: bool) -> io::Result<bool> {
        match item {
            Item::Encoded(_, bytes) | Item::Close(bytes) if self.staged.is_empty() => {
                self.staged = std::mem::take(bytes);
                Ok(true)
            }
            Item::Encoded(_, bytes) | Item::Close(bytes) => {
                self.staged.extend_from_slice(bytes);
                Ok(true)
            }
            Item::Shared(frames) => {
                self.staged.extend_from_slice(&frames.bytes);
                Ok(true)
            }
            Item::Small(opcode, bytes) if compressed => self.compress(*opcode, bytes, usize::MAX),
            Item::Small(opcode, bytes) => {
                encode_as(self.role, &mut self.staged, *opcode, false, bytes);
                Ok(true)
            }
            Item::Large(opcode, source) if compressed => {
                source.with_bytes(|bytes| self.compress(*opcode, bytes, DEFLATE_AT_ONCE))
            }
            Item::Large(opcode, source) => Ok(self.stage_part(*opcode, source, cost)),
        }
    }

    /// Compresses the next part of a message, at most `at_once` bytes, and stages the message once all of it is compressed.
    fn compress(&mut self, opcode: Opcode, message: &[u8], at_once: usize) -> io::Result<bool> {
        let Some(deflater) = &mut self.deflater else { return Ok(true) };
        let (done, mut compressed) = match std::mem::replace(&mut self.front, Front::Untouched) {
            Front::Compressing { done, compressed } => (done, compressed),
            Front::Untouched | Front::Begun { .. } => (0, Vec::new()),
        };
        let end = message.len().min(done.saturating_add(at_once));
        let last = end == message.len();
        let result = deflater.deflate(&message[done..end], &mut compressed, last);
        result.map_err(|error| io::Error::other(error.as_str()))?;
        self.deflated_now += end - done;
        if !last {
            self.front = Front::Compressing { done: end, compressed };
            return Ok(false);
        }
        self.counts.deflated += message.len() as u64;
        self.counts.compressed += compressed.len() as u64;
        encode_as(self.role, &mut self.staged, opcode, true, &compressed);
        Ok(true)
    }

    /// Stages the next part of a large message. It is given free part by part, as it is written.
    fn stage_part(&mut self, opcode: Opcode, source: &K::Source, cost: &mut usize) -> bool {
        let len = source.len();
        let (key, done) = match self.front {
            Front::Begun { key, done } => (key, done),
            Front::Untouched | Front::Compressing { .. } => {
                let key = self.role.next_key();
                encode_header(&mut self.staged, opcode, false, len, key);
                (key, 0)
            }
        };
        let end = len.min(done + STAGE);
        let staged = &mut self.staged;
        source.with_bytes(|bytes| append_masked(staged, &bytes[done..end], key, done));
        self.staged_cost += end - done;
        *cost -= end - done;
        self.front = if end < len { Front::Begun { key, done: end } } else { Front::Untouched };
        end == len
    }

    /// No frame has begun that is not staged to its end: ours have their turn.
    fn stage_own(&mut self) {
        if self.own.is_empty() {
            return;
        }
        if self.staged.is_empty() {
            self.staged = std::mem::take(&mut self.own);
        } else {
            self.staged.append(&mut self.own);
        }
        self.counts.frames += std::mem::take(&mut self.own_frames);
        self.answers = 0;
        if let Ping::Unsent = self.ping {
            self.ping = Ping::Staged(self.staged.len());
        }
    }

    /// A message is staged to its end: nothing of it is read any more.
    fn retire(&mut self, item: Item<K::Source>) {
        if let Item::Large(_, source) = &item {
            self.retired_bytes += source.len();
            self.retired.push(item);
            if self.retired.len() >= MAX_RETIRED || self.retired_bytes >= MAX_RETIRED_BYTES {
                self.give_back();
            }
        }
    }

    fn give_back(&mut self) {
        (self.retired, self.retired_bytes) = (Vec::new(), 0);
    }
}

/// How many frames an item becomes.
fn frames_in<B>(item: &Item<B>) -> u64 {
    match item {
        Item::Encoded(frames, _) => u64::from(*frames),
        Item::Shared(frames) => u64::from(frames.count),
        Item::Small(..) | Item::Large(..) | Item::Close(_) => 1,
    }
}

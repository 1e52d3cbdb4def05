//! From messages to bytes: what is to be sent, in order, and how much of it the socket has taken.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::command::{COMMAND, Item};
use crate::sink::{Sink, Source};
use crate::websocket::deflate::{Agreed, Deflater};
use crate::websocket::frame::{
    Opcode, append_masked, encode, encode_close, encode_compressed, encode_header, masking_key,
};

/// How many bytes are made ready for one write. Frames that wait together leave together, up to this.
const STAGE: usize = 64 * 1024;

/// How many large messages that have been written are given back together, and how many bytes of them at most. Giving
/// one back wakes whoever gave it, and he may be asleep.
const MAX_RETIRED: usize = 32;
const MAX_RETIRED_BYTES: usize = 1024 * 1024;

/// How many bytes of a message are compressed before other connections of the thread have their turn.
const DEFLATE_AT_ONCE: usize = 32 * 1024;

/// The sending half of a session.
pub struct Outbound<K: Sink> {
    waiting: VecDeque<Waiting<K>>,
    /// Pings and pongs of our own, encoded. They go out ahead of what waits, as soon as a frame ends.
    own: Vec<u8>,
    own_frames: u64,
    deflater: Option<Deflater>,
    /// How much of the large message in front has been staged or compressed.
    done: usize,
    /// The masking key of the large message in front, once its header has been staged.
    key: Option<[u8; 4]>,
    /// How many bytes have been compressed in this turn.
    deflated_now: usize,
    /// What the large message in front has been compressed to so far.
    compressed: Vec<u8>,
    /// What is ready for the socket, from `written` on.
    staged: Vec<u8>,
    written: usize,
    /// What `staged` counts for.
    staged_cost: usize,
    /// Whether there is anything of the user's in it.
    staged_data: bool,
    /// Where a ping of our own is on its way to the socket.
    ping: Ping,
    /// What the socket has taken since that was last asked.
    taken: Taken,
    /// The bytes of pings' answers that the socket has not taken: a peer that reads nothing must not grow them.
    answers: usize,
    /// Large messages that are staged to their end, and not given back yet.
    retired: Vec<Item<K::Source>>,
    retired_bytes: usize,
    counts: Counts,
}

/// What has been sent since the counts were last taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Frames, control frames included.
    pub frames: u64,
    /// Bytes that the socket has taken.
    pub bytes: u64,
    /// Bytes of payloads that were compressed.
    pub deflated: u64,
    /// Bytes that they were compressed to.
    pub compressed: u64,
    /// What was counted when it was queued and is not any more.
    pub released: usize,
}

enum Waiting<K: Sink> {
    /// To be sent.
    Item {
        item: Item<K::Source>,
        /// What it counts for.
        cost: usize,
    },
    /// To be told once everything before it has been sent. It counts for a command.
    Receipt(K::Receipt),
}

/// What the socket has taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Any bytes.
    pub any: bool,
    /// Bytes that are not pings and pongs of our own alone.
    pub data: bool,
}

/// Where a ping of our own is.
enum Ping {
    /// There is none, or the socket has it.
    Written,
    Waiting,
    /// It ends at this byte of what is staged.
    Staged(usize),
}

/// What [`Outbound::stage`] has come to.
enum Staged {
    /// There is something to write.
    Ready,
    /// There is nothing to write.
    Nothing,
    /// There will be, but others have their turn first.
    Working,
}

impl<K: Sink> Outbound<K> {
    /// Nothing to send yet.
    #[must_use]
    pub fn new(deflate: Option<&Agreed>) -> Self {
        Self {
            waiting: VecDeque::new(),
            own: Vec::new(),
            own_frames: 0,
            deflater: deflate.and_then(Deflater::new),
            done: 0,
            key: None,
            deflated_now: 0,
            compressed: Vec::new(),
            staged: Vec::new(),
            written: 0,
            staged_cost: 0,
            staged_data: false,
            ping: Ping::Written,
            taken: Taken::default(),
            answers: 0,
            retired: Vec::new(),
            retired_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Appends what the user sends.
    pub fn push(&mut self, item: Item<K::Source>) {
        let cost = item.cost();
        self.waiting.push_back(Waiting::Item { item, cost });
    }

    /// Appends somebody to be told once everything so far has been sent.
    pub fn push_receipt(&mut self, receipt: K::Receipt) {
        self.waiting.push_back(Waiting::Receipt(receipt));
    }

    /// Sends a ping of our own, unless the one before it has not been written yet.
    pub fn push_ping(&mut self) {
        if let Ping::Written = self.ping {
            encode(&mut self.own, Opcode::Ping, b"");
            self.own_frames += 1;
            self.ping = Ping::Waiting;
        }
    }

    /// Answers a ping.
    pub fn push_pong(&mut self, payload: &[u8]) {
        let before = self.own.len();
        encode(&mut self.own, Opcode::Pong, payload);
        self.own_frames += 1;
        self.answers += self.own.len() - before;
    }

    /// What the socket has taken since the last call.
    pub fn take_taken(&mut self) -> Taken {
        std::mem::take(&mut self.taken)
    }

    /// Appends a close frame of our own, behind what waits: nothing follows it.
    pub fn push_close(&mut self, code: u16) {
        let mut bytes = Vec::new();
        encode_close(&mut bytes, code, b"");
        self.waiting.push_back(Waiting::Item { item: Item::Close(bytes), cost: 0 });
    }

    /// Whether the socket has taken everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.staged.len() && self.waiting.is_empty() && self.own.is_empty()
    }

    /// The bytes of answers to pings that wait.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// What has been sent since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Drops what the socket has not taken; those who wait for it are returned.
    pub fn clear(&mut self) -> Vec<K::Receipt> {
        let mut receipts = Vec::new();
        self.counts.released += std::mem::take(&mut self.staged_cost);
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Item { cost, .. } => self.counts.released += cost,
                Waiting::Receipt(receipt) => {
                    self.counts.released += COMMAND;
                    receipts.push(receipt);
                }
            }
        }
        self.staged = Vec::new();
        self.compressed = Vec::new();
        self.own = Vec::new();
        self.own_frames = 0;
        self.ping = Ping::Written;
        self.give_back();
        (self.written, self.done, self.key, self.answers) = (0, 0, None, 0);
        receipts
    }

    /// Writes until everything is written, the socket takes no more, or the turn is over, of which so many bytes are
    /// left. `progress` tells whether the socket took anything; `sent` gets those who wait for what it took.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        turn: &mut usize,
        progress: &mut bool,
        sent: &mut Vec<K::Receipt>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.deflated_now = 0;
        loop {
            if *turn == 0 {
                return Poll::Pending;
            }
            if self.written == self.staged.len() {
                self.counts.released += std::mem::take(&mut self.staged_cost);
                // What has been sent may be what somebody waits for.
                while let Some(Waiting::Receipt(_)) = self.waiting.front() {
                    if let Some(Waiting::Receipt(receipt)) = self.waiting.pop_front() {
                        self.counts.released += COMMAND;
                        sent.push(receipt);
                    }
                }
                match self.stage()? {
                    Staged::Ready => {}
                    Staged::Nothing => {
                        // An idle session holds no buffer.
                        self.staged = Vec::new();
                        self.give_back();
                        return Pin::new(stream).poll_flush(cx);
                    }
                    Staged::Working => {
                        *progress = true;
                        *turn = 0;
                        return Poll::Pending;
                    }
                }
            }
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.staged[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.written += n;
                    self.counts.bytes += n as u64;
                    self.taken = Taken { any: true, data: self.taken.data || self.staged_data };
                    if let Ping::Staged(end) = self.ping
                        && self.written >= end
                    {
                        self.ping = Ping::Written;
                    }
                    *turn = turn.saturating_sub(n);
                }
            }
            *progress = true;
        }
    }

    /// Makes the next write ready.
    fn stage(&mut self) -> io::Result<Staged> {
        self.staged.clear();
        self.written = 0;
        self.staged_data = false;
        while self.staged.len() < STAGE {
            if self.key.is_none() {
                self.stage_own();
            }
            let Some(Waiting::Item { item, cost, .. }) = self.waiting.front_mut() else {
                break;
            };
            self.staged_data = true;
            let compressible = matches!(item, Item::Small(..) | Item::Large(..)) && self.deflater.is_some();
            if compressible && self.deflated_now >= DEFLATE_AT_ONCE {
                return Ok(if self.staged.is_empty() { Staged::Working } else { Staged::Ready });
            }
            match (item, &mut self.deflater) {
                (Item::Encoded(_, bytes) | Item::Close(bytes), _) if self.staged.is_empty() => {
                    self.staged = std::mem::take(bytes);
                }
                (Item::Encoded(_, bytes) | Item::Close(bytes), _) => self.staged.extend_from_slice(bytes),
                (Item::Small(opcode, bytes), None) => encode(&mut self.staged, *opcode, bytes),
                (Item::Small(opcode, bytes), Some(deflater)) => {
                    let mut compressed = Vec::new();
                    self.deflated_now += bytes.len();
                    deflater.deflate(bytes, &mut compressed, true).map_err(to_io)?;
                    self.counts.deflated += bytes.len() as u64;
                    self.counts.compressed += compressed.len() as u64;
                    encode_compressed(&mut self.staged, *opcode, &compressed);
                }
                (Item::Large(opcode, source), Some(deflater)) => {
                    let len = source.len();
                    let end = len.min(self.done + DEFLATE_AT_ONCE);
                    let (done, compressed) = (self.done, &mut self.compressed);
                    source
                        .with_bytes(|bytes| deflater.deflate(&bytes[done..end], compressed, end == len))
                        .map_err(to_io)?;
                    self.deflated_now += end - done;
                    self.done = end;
                    if end < len {
                        continue;
                    }
                    let compressed = std::mem::take(&mut self.compressed);
                    self.counts.deflated += len as u64;
                    self.counts.compressed += compressed.len() as u64;
                    self.done = 0;
                    encode_compressed(&mut self.staged, *opcode, &compressed);
                }
                (Item::Large(opcode, source), None) => {
                    let len = source.len();
                    let staged = &mut self.staged;
                    let key = *self.key.get_or_insert_with(|| {
                        let key = masking_key();
                        encode_header(staged, *opcode, false, len, key);
                        key
                    });
                    let (done, end) = (self.done, len.min(self.done + STAGE));
                    source.with_bytes(|bytes| append_masked(staged, &bytes[done..end], key, done));
                    // A large message is given free piece by piece, as it is written.
                    let piece = end - done;
                    self.staged_cost += piece;
                    *cost -= piece;
                    self.done = end;
                    if end < len {
                        continue;
                    }
                    self.done = 0;
                    self.key = None;
                }
            }
            if let Some(Waiting::Item { item, cost }) = self.waiting.pop_front() {
                self.staged_cost += cost;
                self.counts.frames += if let Item::Encoded(frames, _) = item { u64::from(frames) } else { 1 };
                self.retire(item);
            }
        }
        Ok(if self.staged.is_empty() { Staged::Nothing } else { Staged::Ready })
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
        if let Ping::Waiting = self.ping {
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

/// zlib refuses nothing that is asked of it here; if it did, the connection would be of no more use.
fn to_io(error: zlib_rs::DeflateError) -> io::Error {
    io::Error::other(error.as_str())
}

//! From the frames that users send to what the engine sends.
//!
//! Small frames are masked and copied here, on the caller's scheduler; a large payload is held by reference and masked
//! by the I/O thread. What one call may do is bounded, since a NIF must not keep a scheduler for long: a call that
//! would do more is refused before it has done anything, and made again on a dirty scheduler.

use std::cell::RefCell;

use gun_rs_engine::command::Item;
use gun_rs_engine::websocket::frame::{
    MAX_CLOSE_REASON, MAX_CONTROL_PAYLOAD, Opcode, encode_as, encode_close_as, is_valid_close_code, parse_close,
};
use gun_rs_engine::websocket::role::Role;
use rustler::{Atom, Binary, Term};

use crate::payload::{HeldBinary, is_aligned};

/// A payload of this many bytes is held by reference rather than copied.
const LARGE: usize = 64 * 1024;

/// The most bytes that a call on a normal scheduler copies: about 20 microseconds' worth.
const MAX_COPIED: usize = 128 * 1024;

/// The most frames that a call on a normal scheduler takes.
const MAX_FRAMES: usize = 500;

/// How many small frames a payload held by reference counts for: it takes an environment of its own.
const HELD_FRAMES: usize = 20;

/// The most memory that a scheduler keeps to encode frames in.
const MAX_KEPT: usize = 2 * MAX_COPIED;

thread_local! {
    /// What small frames are encoded in, before the connection's queue has them.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

mod atoms {
    rustler::atoms! {
        binary,
        close,
        ping,
        pong,
        text,
    }
}

/// Why frames were not taken.
pub(crate) enum Refused<'a> {
    /// This frame is invalid.
    Invalid(Term<'a>, &'static str),
    /// Some payload is iodata and no binary: flatten it and call again.
    Iodata,
    /// Too much for a normal scheduler: call again on a dirty one.
    TooMuch,
}

/// Which scheduler the call is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheduler {
    /// A normal one: the call must be short.
    Normal,
    /// A dirty one.
    Dirty,
}

/// What is to be sent.
pub(crate) enum Encoded<'a> {
    /// Small frames alone: how many, and their bytes.
    Frames(u32, &'a [u8]),
    /// Whatever else there may be.
    Items(Vec<Item<HeldBinary>>),
}

impl Encoded<'_> {
    /// The same, with memory of its own.
    pub(crate) fn into_items(self) -> Vec<Item<HeldBinary>> {
        match self {
            Self::Frames(0, _) => Vec::new(),
            Self::Frames(frames, bytes) => vec![Item::Encoded(frames, bytes.to_vec())],
            Self::Items(items) => items,
        }
    }
}

struct Encoder<'b> {
    role: Role,
    scheduler: Scheduler,
    /// Whether messages are handed over as they are, to be compressed.
    compresses: bool,
    items: Vec<Item<HeldBinary>>,
    /// Small frames that stand next to each other go as one.
    bytes: &'b mut Vec<u8>,
    frames: u32,
    copied: usize,
    count: usize,
}

/// Encodes one frame of this end, or a list of them, and hands them to `then`; messages that are to be compressed are only copied.
/// What stands behind a close frame is not looked at: it would not be sent.
pub(crate) fn encode_frames<'a, R>(
    role: Role,
    frames: Term<'a>,
    scheduler: Scheduler,
    compresses: bool,
    then: impl FnOnce(Encoded<'_>) -> R,
) -> Result<R, Refused<'a>> {
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        let mut encoder =
            Encoder { role, scheduler, compresses, items: Vec::new(), bytes, frames: 0, copied: 0, count: 0 };
        let result = encoder.push_all(frames).map(|()| then(encoder.finish()));
        if bytes.capacity() > MAX_KEPT {
            *bytes = Vec::new();
        }
        result
    })
}

#[derive(PartialEq, Eq)]
enum Pushed {
    Frame,
    Close,
}

impl<'b> Encoder<'b> {
    fn push_all<'a>(&mut self, frames: Term<'a>) -> Result<(), Refused<'a>> {
        if !frames.is_list() {
            return self.push(frames).map(|_| ());
        }
        let mut rest = frames;
        while !rest.is_empty_list() {
            let (frame, tail) = rest
                .list_get_cell()
                .map_err(|_| Refused::Invalid(frames, "The list of frames is not a proper list."))?;
            self.count += 1;
            if self.scheduler == Scheduler::Normal && self.count > MAX_FRAMES {
                return Err(Refused::TooMuch);
            }
            if self.push(frame)? == Pushed::Close {
                return Ok(());
            }
            rest = tail;
        }
        Ok(())
    }

    fn finish(mut self) -> Encoded<'b> {
        if self.items.is_empty() {
            return Encoded::Frames(self.frames, self.bytes);
        }
        self.flush();
        Encoded::Items(self.items)
    }

    fn push<'a>(&mut self, frame: Term<'a>) -> Result<Pushed, Refused<'a>> {
        let invalid = |text| Refused::Invalid(frame, text);
        if let Ok((kind, payload)) = frame.decode() {
            return self.push_pair(frame, kind, payload);
        }
        if let Ok((kind, code, reason)) = frame.decode::<(Term<'a>, _, _)>()
            && atoms::close() == kind
        {
            return self.push_close(frame, code, reason);
        }
        match () {
            () if atoms::close() == frame => {
                self.close(&[]);
                Ok(Pushed::Close)
            }
            () if atoms::ping() == frame => self.copy(Opcode::Ping, &[]),
            () if atoms::pong() == frame => self.copy(Opcode::Pong, &[]),
            () => Err(invalid(SHAPE)),
        }
    }

    fn push_pair<'a>(&mut self, frame: Term<'a>, kind: Term<'a>, payload: Term<'a>) -> Result<Pushed, Refused<'a>> {
        let invalid = |text| Refused::Invalid(frame, text);
        let kinds: [(Atom, Opcode); 5] = [
            (atoms::text(), Opcode::Text),
            (atoms::binary(), Opcode::Binary),
            (atoms::ping(), Opcode::Ping),
            (atoms::pong(), Opcode::Pong),
            (atoms::close(), Opcode::Close),
        ];
        let opcode = kinds.iter().find(|(atom, _)| *atom == kind).ok_or_else(|| invalid(SHAPE))?.1;
        let payload = binary(payload).map_err(|()| iodata(frame, payload))?;
        match opcode {
            Opcode::Text | Opcode::Binary if payload.len() >= LARGE => {
                let aligned = is_aligned(&payload);
                if !aligned {
                    self.count_copied(payload.len())?;
                }
                self.count += HELD_FRAMES;
                self.flush();
                self.items.push(Item::Large(opcode, HeldBinary::new(&payload, aligned)));
                Ok(Pushed::Frame)
            }
            Opcode::Text | Opcode::Binary => self.copy(opcode, &payload),
            _ if payload.len() > MAX_CONTROL_PAYLOAD => {
                Err(invalid("The payload of a control frame is longer than 125 bytes."))
            }
            Opcode::Close => {
                parse_close(&payload)
                    .map_err(|_| invalid("The payload of a close frame is not a valid code and a reason in UTF-8."))?;
                self.close(&payload);
                Ok(Pushed::Close)
            }
            _ => self.copy(opcode, &payload),
        }
    }

    fn push_close<'a>(&mut self, frame: Term<'a>, code: Term<'a>, reason: Term<'a>) -> Result<Pushed, Refused<'a>> {
        let invalid = |text| Refused::Invalid(frame, text);
        // A u32 first: a decoder of u16 takes what it is given modulo 2^16.
        let code = code.decode::<u32>().ok().and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| is_valid_close_code(*code));
        let code = code.ok_or_else(|| invalid("The close code is not one that an endpoint may send."))?;
        let reason = binary(reason).map_err(|()| iodata(frame, reason))?;
        if reason.len() > MAX_CLOSE_REASON {
            return Err(invalid("The reason of a close frame is longer than 123 bytes."));
        }
        if std::str::from_utf8(&reason).is_err() {
            return Err(invalid("The reason of a close frame is not UTF-8."));
        }
        self.flush();
        let mut bytes = Vec::new();
        encode_close_as(self.role, &mut bytes, code, &reason);
        self.items.push(Item::Close(bytes));
        Ok(Pushed::Close)
    }

    fn copy<'a>(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Pushed, Refused<'a>> {
        self.count_copied(payload.len())?;
        if self.compresses && matches!(opcode, Opcode::Text | Opcode::Binary) {
            self.flush();
            self.items.push(Item::Small(opcode, payload.to_vec()));
        } else {
            encode_as(self.role, self.bytes, opcode, false, payload);
            self.frames += 1;
        }
        Ok(Pushed::Frame)
    }

    fn count_copied<'a>(&mut self, bytes: usize) -> Result<(), Refused<'a>> {
        self.copied += bytes;
        if self.scheduler == Scheduler::Normal && self.copied > MAX_COPIED { Err(Refused::TooMuch) } else { Ok(()) }
    }

    fn close(&mut self, payload: &[u8]) {
        self.flush();
        let mut bytes = Vec::new();
        encode_as(self.role, &mut bytes, Opcode::Close, false, payload);
        self.items.push(Item::Close(bytes));
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let frames = std::mem::take(&mut self.frames);
            self.items.push(Item::Encoded(frames, self.bytes.clone()));
            self.bytes.clear();
        }
    }
}

const SHAPE: &str =
    "A frame is close, ping, pong, {text | binary | close | ping | pong, iodata()} or {close, Code, iodata()}.";

fn binary(term: Term<'_>) -> Result<Binary<'_>, ()> {
    if term.is_binary() { Binary::from_term(term).map_err(|_| ()) } else { Err(()) }
}

/// What to answer for a payload that is no binary: a list may be iodata, the rest is not.
fn iodata<'a>(frame: Term<'a>, payload: Term<'a>) -> Refused<'a> {
    if payload.is_list() || payload.is_empty_list() {
        Refused::Iodata
    } else {
        Refused::Invalid(frame, "The payload is not iodata.")
    }
}

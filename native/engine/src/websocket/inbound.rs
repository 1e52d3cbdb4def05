//! From bytes to messages: frames are parsed and unmasked, fragments joined, messages inflated, text validated as it
//! arrives, limits kept.
//!
//! A whole message that stands in the caller's read buffer, unmasked, is handed out as it stands. Any other is assembled in
//! a [`Payload`]; while a large frame is under way, the caller reads the socket into that payload directly
//! ([`Inbound::direct`]), so that nothing is copied twice.

use super::assembly::Assembly;
use super::deflate::{Agreed, Inflater};
use super::frame::{Header, MAX_CONTROL_PAYLOAD, Opcode, mask, parse_close};
use super::role::Role;
use super::watched::{Seen, Watched};
use crate::error::{ConnectionError, ProtocolError};
use crate::event::{Data, Message};
use crate::options::WsOptions;
use crate::payload::Payload;

/// How much of a frame must be missing for the socket to be read into the payload directly. Below it, one read into
/// the caller's buffer, which may bring the next frames too, costs less than a read of its own.
const DIRECT_MIN: u64 = 16 * 1024;

/// How much is read at once where a large frame is expected, since the last one was large: enough for its header. What
/// comes with the header is copied; the rest is read into the payload directly.
const BEFORE_LARGE: usize = 4 * 1024;

/// How many compressed bytes are inflated between two checks of the turn. They inflate to a megabyte at most.
const INFLATE_AT_ONCE: usize = 1024;

/// Where the payload of a masked control frame is unmasked: it is lent for the time of one message.
pub struct ControlPayload([u8; MAX_CONTROL_PAYLOAD]);

impl Default for ControlPayload {
    fn default() -> Self {
        Self([0; MAX_CONTROL_PAYLOAD])
    }
}

impl ControlPayload {
    /// The payload of a control frame, unmasked.
    fn unmask<'a>(&'a mut self, payload: &'a [u8], key: Option<[u8; 4]>) -> &'a [u8] {
        match (key, self.0.get_mut(..payload.len())) {
            (Some(key), Some(room)) => {
                room.copy_from_slice(payload);
                mask(room, key, 0);
                room
            }
            _ => payload,
        }
    }
}

/// The receiving half of a session.
pub struct Inbound<P> {
    role: Role,
    max_frame_size: u64,
    max_message_size: u64,
    inflater: Option<Inflater>,
    /// Whether the fragments of a message are reported one by one.
    fragments: bool,
    /// The message under way; it stays here between its fragments.
    message: Option<Assembly<P>>,
    /// What is missing of the data frame under way, if there is one.
    frame: Option<Rest>,
    /// Whether the last data frame was large enough to be read into directly.
    large: bool,
    /// How many bytes may be inflated in this turn.
    inflatable: usize,
    counts: Received,
    /// Where the frames are observed.
    watched: Option<Box<Watched>>,
}

/// What has been received since the counts were last taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Frames, control frames included.
    pub frames: u64,
    /// Bytes of compressed payloads.
    pub compressed: u64,
    /// Bytes that they inflated to.
    pub inflated: u64,
}

/// What is missing of a frame.
struct Rest {
    len: u64,
    fin: bool,
    /// What it is masked with, from its next byte on.
    key: Option<[u8; 4]>,
}

impl Rest {
    /// So many more bytes have arrived: what they are masked with.
    fn take(&mut self, n: usize) -> Option<[u8; 4]> {
        self.len = self.len.saturating_sub(n as u64);
        let key = self.key;
        if let Some(key) = &mut self.key {
            key.rotate_left(n % 4);
        }
        key
    }
}

impl<P: Payload> Inbound<P> {
    /// Nothing received yet, at this end.
    #[must_use]
    pub fn new(role: Role, options: &WsOptions, deflate: Option<&Agreed>, fragments: bool) -> Self {
        Self {
            role,
            max_frame_size: options.max_frame_size.unwrap_or(u64::MAX),
            max_message_size: options.max_message_size.unwrap_or(u64::MAX),
            inflater: deflate.map(|agreed| Inflater::new(role, agreed)),
            fragments,
            message: None,
            frame: None,
            large: false,
            inflatable: usize::MAX,
            counts: Received::default(),
            watched: None,
        }
    }

    /// Begins a turn that inflates about this many bytes at most. Without a turn there is no such limit.
    pub fn begin_turn(&mut self, inflatable: usize) {
        self.inflatable = inflatable;
    }

    /// How large the frames and messages may be from the next header on; `None` leaves a limit as it is.
    pub fn limit(&mut self, max_frame_size: Option<Option<u64>>, max_message_size: Option<Option<u64>>) {
        let limits = [(max_frame_size, &mut self.max_frame_size), (max_message_size, &mut self.max_message_size)];
        for (wanted, limit) in limits {
            if let Some(wanted) = wanted {
                *limit = wanted.unwrap_or(u64::MAX);
            }
        }
    }

    /// Whether the turn's limit is reached: then [`Inbound::next`] inflates no more, though it is given enough.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.inflatable == 0
    }

    /// The next message or control frame, with `*consumed` moved past the bytes of `input` that are done with, or
    /// `None` when more bytes are needed: what is not consumed then is less than a header and a control frame's
    /// payload, and must be given again with what follows it. Also `None` when the turn is over.
    ///
    /// # Errors
    /// What the peer broke, or [`ConnectionError::OutOfMemory`].
    pub fn next<'a>(
        &mut self,
        input: &'a [u8],
        consumed: &mut usize,
        control: &'a mut ControlPayload,
    ) -> Result<Option<Message<'a, P>>, ConnectionError> {
        loop {
            let rest = input.get(*consumed..).unwrap_or_default();
            if self.frame.is_some() {
                let (taken, message) = self.continue_frame(rest)?;
                *consumed += taken;
                if message.is_some() {
                    return Ok(message);
                }
                if taken == rest.len() && self.frame.is_some() || self.is_held_up() {
                    return Ok(None);
                }
                continue;
            }
            let Some((header, size)) = Header::parse(self.role, rest)? else {
                return Ok(None);
            };
            let body = &rest[size..];
            let whole = usize::try_from(header.len).ok().and_then(|len| body.get(..len));
            let message = match (header.opcode, whole) {
                (Opcode::Close | Opcode::Ping | Opcode::Pong, None) => return Ok(None),
                (Opcode::Close, Some(payload)) => Message::Close(parse_close(control.unmask(payload, header.key))?),
                (Opcode::Ping, Some(payload)) => Message::Ping(control.unmask(payload, header.key)),
                (Opcode::Pong, Some(payload)) => Message::Pong(control.unmask(payload, header.key)),
                (_, whole) => {
                    self.check_data(&header)?;
                    match whole {
                        Some(payload) if is_message(&header) => whole_message(header.opcode, payload)?,
                        _ => {
                            self.counts.frames += 1;
                            *consumed += size;
                            let message = self.message.get_or_insert_with(|| Assembly::new(&header));
                            if let Some(watched) = &mut self.watched {
                                watched.begin(&header, message.len);
                            }
                            self.frame = Some(Rest { len: header.len, fin: header.fin, key: header.key });
                            continue;
                        }
                    }
                }
            };
            if let Some(watched) = &mut self.watched {
                watched.whole(&header, &message);
            }
            self.counts.frames += 1;
            *consumed += size + whole.map_or(0, <[u8]>::len);
            return Ok(Some(message));
        }
    }

    /// Whether the frame under way must wait for another turn. One that has all its bytes never does: nothing would follow
    /// that could end it.
    fn is_held_up(&self) -> bool {
        let waits = self.frame.as_ref().is_some_and(|frame| frame.len > 0);
        self.inflatable == 0 && waits && is_compressed(&self.message)
    }

    /// Takes what there is of the frame under way: how many bytes, and the message or fragment that they end.
    fn continue_frame<'a>(&mut self, bytes: &[u8]) -> Result<(usize, Option<Message<'a, P>>), ConnectionError> {
        if self.is_held_up() {
            return Ok((0, None));
        }
        let most = if is_compressed(&self.message) { INFLATE_AT_ONCE } else { usize::MAX };
        let Some(frame) = &mut self.frame else { return Ok((0, None)) };
        let missing = frame.len;
        let take = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX)).min(most);
        let key = frame.take(take);
        let done = frame.len == 0;
        self.append(&bytes[..take], missing, key)?;
        Ok((take, if done { self.frame_end()? } else { None }))
    }

    /// Where to read the byte stream into while a large frame is under way. [`Inbound::advance`] takes such a read, and
    /// nothing else does.
    ///
    /// # Errors
    /// [`ConnectionError::OutOfMemory`].
    pub fn direct(&mut self) -> Result<Option<&mut [u8]>, ConnectionError> {
        match (&mut self.message, &self.frame) {
            (Some(message), Some(frame)) if frame.len >= DIRECT_MIN && !message.compressed => {
                Ok(Some(message.room(frame.len)?))
            }
            _ => Ok(None),
        }
    }

    /// How many bytes to give at once to [`Inbound::next`]; more would be copied in vain.
    #[must_use]
    pub fn wanted(&self) -> usize {
        if self.large {
            let missing = self.frame.as_ref().map_or(0, |frame| frame.len);
            usize::try_from(missing).unwrap_or(usize::MAX).saturating_add(BEFORE_LARGE)
        } else {
            usize::MAX
        }
    }

    /// `n` bytes have been read into what [`Inbound::direct`] gave. If that ends the message, here it is.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`].
    pub fn advance(&mut self, n: usize) -> Result<Option<Message<'static, P>>, ConnectionError> {
        let (Some(message), Some(frame)) = (&mut self.message, &mut self.frame) else {
            return Ok(None);
        };
        let key = frame.take(n);
        message.advance(n, key)?;
        if frame.len > 0 { Ok(None) } else { self.frame_end() }
    }

    /// What has been received since the last call.
    pub fn take_counts(&mut self) -> Received {
        std::mem::take(&mut self.counts)
    }

    /// From now on the frames are kept for [`Inbound::take_seen`].
    pub(super) fn watch(&mut self) {
        self.watched = Some(Box::default());
    }

    /// The frames that have been received since the last call, if they are watched.
    pub(super) fn take_seen(&mut self) -> Vec<Seen> {
        self.watched.as_mut().map(|watched| watched.take()).unwrap_or_default()
    }

    fn watch_end(&mut self) {
        if let (Some(watched), Some(message)) = (&mut self.watched, &self.message) {
            watched.end(message.payload.bytes().get(..message.len).unwrap_or_default());
        }
    }

    /// Checks a data frame's header against the limits and against the message under way.
    fn check_data(&mut self, header: &Header) -> Result<(), ProtocolError> {
        match (&self.message, header.opcode) {
            (None, Opcode::Continuation) => return Err(ProtocolError::UnexpectedContinuation),
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(ProtocolError::ExpectedContinuation);
            }
            _ => {}
        }
        if header.compressed && (self.inflater.is_none() || header.opcode == Opcode::Continuation) {
            return Err(ProtocolError::ReservedBits);
        }
        if header.len > self.max_frame_size {
            return Err(ProtocolError::FrameTooBig);
        }
        // What a compressed message comes to is known only when it is inflated.
        let compressed = header.compressed || is_compressed(&self.message);
        let before = self.message.as_ref().map_or(0, Assembly::size);
        if !compressed && before.saturating_add(header.len) > self.max_message_size {
            return Err(ProtocolError::MessageTooBig);
        }
        self.large = header.len >= DIRECT_MIN && !compressed;
        Ok(())
    }

    /// Takes bytes of the frame under way, of which `missing` bytes, these included, have not arrived before.
    fn append(&mut self, bytes: &[u8], missing: u64, key: Option<[u8; 4]>) -> Result<(), ConnectionError> {
        match (&mut self.message, &mut self.inflater) {
            (Some(message), Some(_)) if message.compressed => match key {
                None => self.inflate(bytes),
                Some(key) => {
                    let mut unmasked = [0; INFLATE_AT_ONCE];
                    let unmasked = &mut unmasked[..bytes.len()];
                    unmasked.copy_from_slice(bytes);
                    mask(unmasked, key, 0);
                    self.inflate(unmasked)
                }
            },
            (Some(message), _) => message.append(bytes, missing, key),
            (None, _) => Ok(()),
        }
    }

    /// Takes unmasked bytes of the compressed message under way.
    fn inflate(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater) else {
            return Ok(());
        };
        let before = message.len;
        message.filled |= !bytes.is_empty();
        self.counts.compressed += bytes.len() as u64;
        message.inflate(bytes, inflater, self.max_message_size)?;
        self.counts.inflated += (message.len - before) as u64;
        let work = message.len - before + inflater.take_restored();
        self.inflatable = self.inflatable.saturating_sub(work);
        Ok(())
    }

    /// The frame under way has all its bytes. If there is something to report, here it is.
    fn frame_end<'a>(&mut self) -> Result<Option<Message<'a, P>>, ConnectionError> {
        let fin = self.frame.take().is_some_and(|frame| frame.fin);
        if !fin && !self.fragments {
            self.watch_end();
            return Ok(None);
        }
        if let Some(message) = self.message.as_ref().filter(|message| fin && message.compressed) {
            // An empty message should be one byte of zero (RFC 7692, 7.2.3.6). Cowboy sends none, unless it is its
            // first: the tail alone would then be taken for the beginning of a block, and spoil the next message.
            let tail = self.inflater.as_ref().filter(|_| message.filled).map_or(&[][..], Inflater::tail);
            if !tail.is_empty() {
                self.inflate(tail)?;
                self.counts.compressed -= tail.len() as u64;
            }
            if let Some(inflater) = &mut self.inflater {
                inflater.end_message();
            }
        }
        self.watch_end();
        let Some(message) = self.message.take() else {
            return Ok(None);
        };
        if !fin {
            self.message = Some(message.next_fragment()?);
        }
        message.finish(fin).map(Some)
    }
}

fn is_compressed<P>(message: &Option<Assembly<P>>) -> bool {
    message.as_ref().is_some_and(|message| message.compressed)
}

/// Whether the frame is a message as it stands, so that nothing has to be done to its payload.
fn is_message(header: &Header) -> bool {
    header.fin && header.opcode != Opcode::Continuation && !header.compressed && header.key.is_none()
}

fn whole_message<P>(opcode: Opcode, payload: &[u8]) -> Result<Message<'_, P>, ProtocolError> {
    if opcode == Opcode::Text {
        simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Message::Text(Data::Borrowed(payload)))
    } else {
        Ok(Message::Binary(Data::Borrowed(payload)))
    }
}

#[cfg(test)]
mod tests;

//! From bytes to messages: frames are parsed, fragments joined, messages inflated, text validated as it arrives,
//! limits kept.
//!
//! A whole message that stands in the caller's read buffer is handed out as it stands. Any other is assembled in a
//! [`Payload`]; while a large frame is under way, the caller reads the socket into that payload directly
//! ([`Inbound::direct`]), so that nothing is copied twice.

use crate::error::{ConnectionError, ProtocolError};
use crate::event::{Data, Message};
use crate::options::WsOptions;
use crate::sink::Payload;
use crate::websocket::deflate::{Agreed, Inflater, Step};
use crate::websocket::frame::{Header, Opcode, parse_close};

/// How much of a frame must be missing for the socket to be read into the payload directly. Below it, one read into
/// the caller's buffer, which may bring the next frames too, costs less than a read of its own.
const DIRECT_MIN: u64 = 16 * 1024;

/// How much is read at once where a large frame is expected, since the last one was large: enough for its header. What
/// comes with the header is copied; the rest is read into the payload directly.
const BEFORE_LARGE: usize = 4 * 1024;

/// The first piece of memory of a message whose frame announces more. It grows as the bytes arrive, so that an
/// announcement alone allocates no more than this.
const FIRST_PIECE: usize = 1024 * 1024;

/// How many compressed bytes are inflated before it is looked whether that was enough for a turn: a megabyte at most
/// comes of them.
const INFLATE_AT_ONCE: usize = 1024;

/// The least room that is made for what a compressed message inflates to.
const INFLATE_PIECE: usize = 512;

/// The receiving half of a session.
pub struct Inbound<P> {
    max_frame_size: u64,
    max_message_size: u64,
    inflater: Option<Inflater>,
    /// Whether the fragments of a message are told one by one.
    fragments: bool,
    /// The message under way; it stays here between its fragments.
    message: Option<Assembly<P>>,
    /// What is missing of the data frame under way, if there is one.
    frame: Option<Rest>,
    /// Whether the last data frame was large enough to be read into directly.
    large: bool,
    /// How many bytes may be inflated in this turn.
    inflatable: usize,
    counts: Counts,
}

/// What has been received since the counts were last taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Frames, control frames included.
    pub frames: u64,
    /// Bytes of compressed payloads.
    pub compressed: u64,
    /// Bytes that they inflated to.
    pub inflated: u64,
}

struct Rest {
    len: u64,
    fin: bool,
}

/// A message under way: `payload[..len]` has arrived, the rest of it is room.
struct Assembly<P> {
    text: bool,
    compressed: bool,
    /// Whether there is anything to inflate.
    filled: bool,
    payload: P,
    len: usize,
    /// How much of it is known to be UTF-8, if it is text.
    valid: usize,
    /// The size of the fragments that have been told already, where they are told one by one.
    told: u64,
    /// How many bytes at the payload's front have been told with the fragment before: the beginning of a character.
    carried: usize,
    first: bool,
}

impl<P: Payload> Inbound<P> {
    /// Nothing received yet.
    #[must_use]
    pub fn new(options: &WsOptions, deflate: Option<&Agreed>, fragments: bool) -> Self {
        Self {
            max_frame_size: options.max_frame_size.unwrap_or(u64::MAX),
            max_message_size: options.max_message_size.unwrap_or(u64::MAX),
            inflater: deflate.map(Inflater::new),
            fragments,
            message: None,
            frame: None,
            large: false,
            inflatable: usize::MAX,
            counts: Counts::default(),
        }
    }

    /// Begins a turn in which no more than about so many bytes are inflated; else there is no such limit.
    pub fn begin_turn(&mut self, inflatable: usize) {
        self.inflatable = inflatable;
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
    ) -> Result<Option<Message<'a, P>>, ConnectionError> {
        loop {
            let rest = input.get(*consumed..).unwrap_or_default();
            if let Some(frame) = &mut self.frame {
                let compressed = is_compressed(&self.message);
                if compressed && self.inflatable == 0 {
                    return Ok(None);
                }
                let most = if compressed { INFLATE_AT_ONCE } else { usize::MAX };
                let take = rest.len().min(usize::try_from(frame.len).unwrap_or(usize::MAX)).min(most);
                let missing = frame.len;
                frame.len -= take as u64;
                let done = frame.len == 0;
                *consumed += take;
                self.append(&rest[..take], missing)?;
                if !done {
                    if take < rest.len() {
                        continue;
                    }
                    return Ok(None);
                }
                if let Some(message) = self.frame_end()? {
                    return Ok(Some(message));
                }
                continue;
            }
            let Some((header, size)) = Header::parse(rest)? else {
                return Ok(None);
            };
            let body = &rest[size..];
            let whole = usize::try_from(header.len).ok().and_then(|len| body.get(..len));
            let message = match (header.opcode, whole) {
                (Opcode::Close | Opcode::Ping | Opcode::Pong, None) => return Ok(None),
                (Opcode::Close, Some(payload)) => Message::Close(parse_close(payload)?),
                (Opcode::Ping, Some(payload)) => Message::Ping(payload),
                (Opcode::Pong, Some(payload)) => Message::Pong(payload),
                (opcode, whole) => {
                    self.frame_start(&header)?;
                    let compressed = header.compressed || is_compressed(&self.message);
                    self.large = header.len >= DIRECT_MIN && !compressed;
                    match whole {
                        Some(payload) if header.fin && opcode != Opcode::Continuation && !header.compressed => {
                            whole_message(opcode, payload)?
                        }
                        _ => {
                            self.counts.frames += 1;
                            *consumed += size;
                            self.data_start(&header);
                            continue;
                        }
                    }
                }
            };
            self.counts.frames += 1;
            *consumed += size + whole.map_or(0, <[u8]>::len);
            return Ok(Some(message));
        }
    }

    /// Where to read the socket into, while a large frame is under way: what is read there is told by
    /// [`Inbound::advance`] and given to nothing else.
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
    pub fn appetite(&self) -> usize {
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
        message.len += n;
        frame.len = frame.len.saturating_sub(n as u64);
        message.validate()?;
        if frame.len > 0 { Ok(None) } else { self.frame_end() }
    }

    /// Whether a frame has begun and not ended: nothing else can arrive before its end.
    #[must_use]
    pub fn in_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// What has been received since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Checks a data frame's header against the limits and against the message under way.
    fn frame_start(&self, header: &Header) -> Result<(), ProtocolError> {
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
        Ok(())
    }

    fn data_start(&mut self, header: &Header) {
        self.message.get_or_insert_with(|| Assembly {
            text: header.opcode == Opcode::Text,
            compressed: header.compressed,
            filled: false,
            payload: P::new(),
            len: 0,
            valid: 0,
            told: 0,
            carried: 0,
            first: true,
        });
        self.frame = Some(Rest { len: header.len, fin: header.fin });
    }

    /// Takes bytes of the frame under way, of which `missing` bytes, these included, have not arrived before.
    fn append(&mut self, bytes: &[u8], missing: u64) -> Result<(), ConnectionError> {
        match (&mut self.message, &mut self.inflater) {
            (Some(message), Some(inflater)) if message.compressed => {
                let before = message.len;
                message.filled |= !bytes.is_empty();
                self.counts.compressed += bytes.len() as u64;
                message.inflate(bytes, inflater, self.max_message_size)?;
                self.counts.inflated += (message.len - before) as u64;
                let work = message.len - before + inflater.take_restored();
                self.inflatable = self.inflatable.saturating_sub(work);
                Ok(())
            }
            (Some(message), _) => message.append(bytes, missing),
            (None, _) => Ok(()),
        }
    }

    /// The frame under way has all its bytes. If there is something to tell, here it is.
    fn frame_end<'a>(&mut self) -> Result<Option<Message<'a, P>>, ConnectionError> {
        let fin = self.frame.take().is_some_and(|frame| frame.fin);
        if !fin && !self.fragments {
            return Ok(None);
        }
        if let Some(message) = self.message.as_ref().filter(|message| fin && message.compressed) {
            // An empty message should be one byte of zero (RFC 7692, 7.2.3.6). Cowboy sends none, unless it is its
            // first: the tail alone would then be taken for the beginning of a block, and spoil the next message.
            let tail = self.inflater.as_ref().filter(|_| message.filled).map_or(&[][..], Inflater::tail);
            if !tail.is_empty() {
                self.append(tail, 0)?;
                self.counts.compressed -= tail.len() as u64;
            }
            if let Some(inflater) = &mut self.inflater {
                inflater.end_message();
            }
        }
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

fn whole_message<P>(opcode: Opcode, payload: &[u8]) -> Result<Message<'_, P>, ProtocolError> {
    if opcode == Opcode::Text {
        simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Message::Text(Data::Borrowed(payload)))
    } else {
        Ok(Message::Binary(Data::Borrowed(payload)))
    }
}

impl<P: Payload> Assembly<P> {
    /// How much of the message has arrived, inflated.
    fn size(&self) -> u64 {
        self.told + (self.len - self.carried) as u64
    }

    /// Room for what is missing of the frame, or for the next part of it.
    fn room(&mut self, missing: u64) -> Result<&mut [u8], ConnectionError> {
        let wanted = self.len.saturating_add(usize::try_from(missing).unwrap_or(usize::MAX));
        if self.payload.bytes().len() <= self.len {
            // At least by half, or a message in tiny fragments would be moved once for each of them.
            let half_more = self.len + self.len / 2;
            self.payload.resize(wanted.min((2 * self.len).max(FIRST_PIECE)).max(half_more))?;
        }
        let end = wanted.min(self.payload.bytes().len());
        Ok(&mut self.payload.bytes_mut()[self.len..end])
    }

    /// Appends bytes of a frame of which `missing` bytes, these included, have not arrived.
    fn append(&mut self, mut bytes: &[u8], missing: u64) -> Result<(), ConnectionError> {
        let mut missing = missing;
        while !bytes.is_empty() {
            let room = self.room(missing)?;
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.len += now.len();
            missing -= now.len() as u64;
            bytes = later;
        }
        self.validate()
    }

    /// Appends what compressed bytes inflate to, and stops at the limit rather than after it.
    fn inflate(&mut self, mut bytes: &[u8], inflater: &mut Inflater, max: u64) -> Result<(), ConnectionError> {
        loop {
            let left = usize::try_from(max.saturating_sub(self.size())).unwrap_or(usize::MAX);
            let mut beyond = [0];
            let len = self.len;
            let (message, room) = if left == 0 {
                (&self.payload.bytes()[..len], &mut beyond[..])
            } else {
                let (message, room) = self.inflate_room(bytes.len(), left)?.split_at_mut(len);
                (&*message, room)
            };
            let size = room.len();
            let Step { consumed, produced, goes_on, result } = inflater.inflate(bytes, message, room);
            if left == 0 && produced > 0 {
                return Err(ProtocolError::MessageTooBig.into());
            }
            self.len += produced;
            // What came before a fault is looked at before it, so that no cut of the stream changes what is told.
            self.validate()?;
            result?;
            bytes = &bytes[consumed..];
            if !goes_on || bytes.is_empty() && produced < size {
                return Ok(());
            }
        }
    }

    /// The message, with room behind it for what `compressed` bytes may inflate to: a guess, which doubles as it proves
    /// too small.
    fn inflate_room(&mut self, compressed: usize, left: usize) -> Result<&mut [u8], ConnectionError> {
        if self.payload.bytes().len() <= self.len {
            let more = compressed.saturating_mul(4).min(FIRST_PIECE).max(self.len).max(INFLATE_PIECE);
            self.payload.resize(self.len + more.min(left))?;
        }
        Ok(self.payload.bytes_mut())
    }

    /// Fails as soon as what has arrived can no longer begin valid UTF-8 (RFC 6455, 8.1); a character that is cut
    /// off by the end of what has arrived is looked at again with what follows.
    fn validate(&mut self) -> Result<(), ConnectionError> {
        if self.text {
            match simdutf8::compat::from_utf8(&self.payload.bytes()[self.valid..self.len]) {
                Ok(_) => self.valid = self.len,
                Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
                Err(_) => return Err(ProtocolError::InvalidUtf8.into()),
            }
        }
        Ok(())
    }

    /// What follows this fragment, which is about to be told.
    fn next_fragment(&self) -> Result<Self, ConnectionError> {
        let begun = if self.text { &self.payload.bytes()[self.valid..self.len] } else { &[] };
        let mut payload = P::new();
        payload.resize(begun.len())?;
        payload.bytes_mut().copy_from_slice(begun);
        Ok(Self {
            text: self.text,
            compressed: self.compressed,
            filled: self.filled,
            payload,
            len: begun.len(),
            valid: 0,
            told: self.size(),
            carried: begun.len(),
            first: false,
        })
    }

    /// The message, or its next fragment.
    fn finish<'a>(mut self, fin: bool) -> Result<Message<'a, P>, ConnectionError> {
        if fin && self.text && self.valid != self.len {
            return Err(ProtocolError::InvalidUtf8.into());
        }
        // Only where fragments are told one by one is there one that ends a message and does not begin it.
        let whole = self.first && fin;
        if self.carried > 0 {
            self.payload.bytes_mut().copy_within(self.carried..self.len, 0);
        }
        self.payload.resize(self.len - self.carried)?;
        let data = Data::Owned(self.payload);
        Ok(match (whole, self.text) {
            (true, true) => Message::Text(data),
            (true, false) => Message::Binary(data),
            (false, text) => Message::Fragment { text, fin, first: self.first, data },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::deflate::{DeflateOptions, Deflater};
    use proptest::prelude::*;
    use tungstenite::protocol::frame::coding::{Data as DataCode, OpCode};
    use tungstenite::protocol::frame::{Frame, FrameHeader};

    /// A message, free of its buffers.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Got {
        Text(Vec<u8>),
        Binary(Vec<u8>),
        Ping(Vec<u8>),
        Pong(Vec<u8>),
        Close(Option<(u16, String)>),
    }

    fn own(message: Message<'_, Vec<u8>>) -> Got {
        let bytes = |data| match data {
            Data::Borrowed(bytes) => Vec::from(bytes),
            Data::Owned(bytes) => bytes,
        };
        match message {
            Message::Text(data) => Got::Text(bytes(data)),
            Message::Binary(data) => Got::Binary(bytes(data)),
            Message::Fragment { .. } => unreachable!("only where they are asked for"),
            Message::Ping(payload) => Got::Ping(payload.into()),
            Message::Pong(payload) => Got::Pong(payload.into()),
            Message::Close(close) => Got::Close(close.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }

    /// Feeds the pieces as a session does: leftovers are given again, large frames are read into directly.
    fn receive(options: &WsOptions, pieces: &[&[u8]]) -> (Vec<Got>, Option<ConnectionError>) {
        let mut inbound = Inbound::<Vec<u8>>::new(options, None, false);
        let mut got = Vec::new();
        let mut pending = Vec::new();
        for piece in pieces {
            let mut piece = *piece;
            while let Ok(Some(room)) = inbound.direct() {
                let n = room.len().min(piece.len());
                if n == 0 {
                    break;
                }
                room[..n].copy_from_slice(&piece[..n]);
                piece = &piece[n..];
                match inbound.advance(n) {
                    Ok(message) => got.extend(message.map(own)),
                    Err(error) => return (got, Some(error)),
                }
            }
            pending.extend_from_slice(piece);
            let mut consumed = 0;
            loop {
                match inbound.next(&pending, &mut consumed) {
                    Ok(Some(message)) => got.push(own(message)),
                    Ok(None) => break,
                    Err(error) => return (got, Some(error)),
                }
            }
            pending.drain(..consumed);
            assert!(pending.len() < 10 + 125, "no more than a header and a control payload waits");
        }
        (got, None)
    }

    fn frame(out: &mut Vec<u8>, opcode: OpCode, fin: bool, payload: &[u8]) {
        let header = FrameHeader { is_final: fin, opcode, ..FrameHeader::default() };
        Frame::from_payload(header, payload.to_vec().into()).format(out).unwrap();
    }

    fn protocol_error(pieces: &[&[u8]]) -> ProtocolError {
        match receive(&WsOptions::default(), pieces).1 {
            Some(ConnectionError::Protocol(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Messages, some of them in fragments with control frames between, and what a server would send for them.
    fn conversations() -> impl Strategy<Value = (Vec<Got>, Vec<u8>)> {
        let payload = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..200),
            1 => prop::collection::vec(any::<u8>(), 60_000..70_000),
        ];
        let message = prop_oneof![
            3 => payload.prop_map(Got::Binary),
            3 => "\\PC{0,60}".prop_map(|text| Got::Text(text.into_bytes())),
            1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Got::Ping),
            1 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Got::Pong),
        ];
        let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
        prop::collection::vec((message, cuts, any::<bool>()), 0..8).prop_map(|messages| {
            let mut expected = Vec::new();
            let mut wire = Vec::new();
            for (message, cuts, ping_between) in messages {
                let (payload, opcode) = match &message {
                    Got::Text(payload) => (payload, DataCode::Text),
                    Got::Binary(payload) => (payload, DataCode::Binary),
                    Got::Ping(payload) => {
                        wire.extend(encode_unmasked(9, payload));
                        expected.push(message);
                        continue;
                    }
                    Got::Pong(payload) => {
                        wire.extend(encode_unmasked(10, payload));
                        expected.push(message);
                        continue;
                    }
                    Got::Close(_) => continue,
                };
                let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                cuts.sort_unstable();
                let mut opcode = OpCode::Data(opcode);
                let mut start = 0;
                for cut in cuts {
                    frame(&mut wire, opcode, false, &payload[start..cut]);
                    if ping_between {
                        wire.extend(encode_unmasked(9, b"between"));
                        expected.push(Got::Ping(b"between".into()));
                    }
                    opcode = OpCode::Data(DataCode::Continue);
                    start = cut;
                }
                frame(&mut wire, opcode, true, &payload[start..]);
                expected.push(message);
            }
            (expected, wire)
        })
    }

    fn encode_unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode, payload.len() as u8];
        frame.extend_from_slice(payload);
        frame
    }

    proptest! {
        #[test]
        fn any_split_of_a_valid_stream_gives_the_same_messages(
            (expected, wire) in conversations(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|ends| &wire[ends[0]..ends[1]]).collect();
            let (got, error) = receive(&WsOptions::default(), &pieces);
            prop_assert!(error.is_none());
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            let _ = receive(&WsOptions::default(), &pieces);
        }
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_messages() {
        let text = "κόσμε \u{10ffff}".as_bytes();
        let mut wire = Vec::new();
        frame(&mut wire, OpCode::Data(DataCode::Text), false, &text[..3]);
        wire.extend(encode_unmasked(9, b"p"));
        frame(&mut wire, OpCode::Data(DataCode::Continue), true, &text[3..]);
        frame(&mut wire, OpCode::Data(DataCode::Binary), true, &[7; 300]);
        wire.extend(encode_unmasked(8, b"\x03\xe8bye"));
        let bytes: Vec<_> = wire.chunks(1).collect();
        let (got, error) = receive(&WsOptions::default(), &bytes);
        assert!(error.is_none());
        assert_eq!(
            got,
            [
                Got::Ping(b"p".into()),
                Got::Text(text.into()),
                Got::Binary(vec![7; 300]),
                Got::Close(Some((1000, "bye".into())))
            ]
        );
    }

    #[test]
    fn text_fails_at_the_first_byte_that_cannot_be_utf8() {
        // A frame of ten bytes, of which the third is wrong, and no more than that third has arrived.
        assert_eq!(protocol_error(&[&[0x81, 10, b'a', b'b', 0xff]]), ProtocolError::InvalidUtf8);
        // 0xf4 0x90 begins a code point above U+10FFFF, also when a read ends between the two.
        assert_eq!(protocol_error(&[&[0x81, 10, 0xf4], &[0x90]]), ProtocolError::InvalidUtf8);
        // A character that the message's end cuts off.
        assert_eq!(protocol_error(&[&[0x01, 1, 0xce], &[0x80, 0]]), ProtocolError::InvalidUtf8);
    }

    #[test]
    fn fragments_out_of_place_are_named() {
        assert_eq!(protocol_error(&[&[0x80, 0]]), ProtocolError::UnexpectedContinuation);
        assert_eq!(protocol_error(&[&[0x01, 0, 0x81, 0]]), ProtocolError::ExpectedContinuation);
    }

    #[test]
    fn limits_hold_for_frames_and_for_the_message_they_make() {
        let options = WsOptions { max_frame_size: Some(100), max_message_size: Some(150), ..WsOptions::default() };
        let mut wire = Vec::new();
        frame(&mut wire, OpCode::Data(DataCode::Binary), true, &[0; 100]);
        assert!(receive(&options, &[&wire]).1.is_none());
        let error = |pieces: &[&[u8]]| format!("{:?}", receive(&options, pieces).1);
        assert_eq!(error(&[&[0x82, 101]]), "Some(Protocol(FrameTooBig))");
        frame(&mut wire, OpCode::Data(DataCode::Binary), false, &[0; 100]);
        wire.extend([0x80, 51]);
        assert_eq!(error(&[&wire]), "Some(Protocol(MessageTooBig))");
    }

    #[test]
    fn a_frame_that_announces_everything_allocates_one_piece() {
        let options = WsOptions { max_message_size: None, ..WsOptions::default() };
        let mut inbound = Inbound::<Vec<u8>>::new(&options, None, false);
        let announced = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(inbound.next(&announced, &mut 0).unwrap().is_none());
        assert_eq!(inbound.direct().unwrap().unwrap().len(), FIRST_PIECE);
    }

    fn compressed(messages: &[(&[u8], bool)]) -> Vec<u8> {
        let options = DeflateOptions::default();
        let mut deflater = Deflater::new(&options.accept("permessage-deflate").unwrap()).unwrap();
        let mut wire = Vec::new();
        for (message, text) in messages {
            let mut payload = Vec::new();
            deflater.deflate(message, &mut payload, true).unwrap();
            let opcode = OpCode::Data(if *text { DataCode::Text } else { DataCode::Binary });
            let header = FrameHeader { rsv1: true, opcode, ..FrameHeader::default() };
            Frame::from_payload(header, payload.into()).format(&mut wire).unwrap();
        }
        wire
    }

    fn inflating(max_message_size: u64, fragments: bool) -> Inbound<Vec<u8>> {
        let options = WsOptions { max_message_size: Some(max_message_size), ..WsOptions::default() };
        let agreed = DeflateOptions::default().accept("permessage-deflate").unwrap();
        Inbound::new(&options, Some(&agreed), fragments)
    }

    #[test]
    fn compressed_messages_are_inflated_whatever_pieces_they_come_in() {
        let long = "κόσμε ".repeat(10_000).into_bytes();
        let wire = compressed(&[(b"Hello", true), (&long, true), (b"", true), (b"Hello", false)]);
        for size in [1, 2, 7, wire.len()] {
            let mut inbound = inflating(1 << 20, false);
            let mut got = Vec::new();
            let mut pending = Vec::new();
            for piece in wire.chunks(size) {
                pending.extend_from_slice(piece);
                let mut consumed = 0;
                while let Some(message) = inbound.next(&pending, &mut consumed).unwrap() {
                    got.push(own(message));
                }
                pending.drain(..consumed);
            }
            assert_eq!(
                got,
                [
                    Got::Text(b"Hello".into()),
                    Got::Text(long.clone()),
                    Got::Text(Vec::new()),
                    Got::Binary(b"Hello".into())
                ]
            );
            let counts = inbound.take_counts();
            assert_eq!((counts.frames, counts.inflated), (4, long.len() as u64 + 10));
            assert!(counts.compressed < 1000);
        }
    }

    #[test]
    fn a_compressed_message_of_no_bytes_is_empty_and_spoils_nothing_after_it() {
        let around = compressed(&[(b"Hello", true), (b"Hello", true)]);
        let (before, after) = around.split_at(2 + usize::from(around[1]));
        for empty in [&[0xc1, 0][..], &[0x41, 0, 0x00, 0, 0x80, 0]] {
            let wire = [before, empty, empty, after].concat();
            let mut inbound = inflating(1000, false);
            let mut consumed = 0;
            let got = [(); 4].map(|()| inbound.next(&wire, &mut consumed).unwrap().map(own));
            let (hello, nothing) = (Some(Got::Text(b"Hello".into())), Some(Got::Text(Vec::new())));
            assert_eq!(got, [hello.clone(), nothing.clone(), nothing, hello]);
            assert_eq!(inbound.take_counts().inflated, 10);
        }
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_limit() {
        let wire = compressed(&[(&vec![0; 10 << 20], false)]);
        let exact = inflating(10 << 20, false).next(&wire, &mut 0).map(|message| message.map(own));
        assert_eq!(exact.unwrap(), Some(Got::Binary(vec![0; 10 << 20])));
        let mut inbound = inflating(1 << 20, false);
        let Err(ConnectionError::Protocol(error)) = inbound.next(&wire, &mut 0) else { panic!("it passed") };
        assert_eq!(error, ProtocolError::MessageTooBig);
        let held = inbound.message.as_ref().map(|message| message.payload.len());
        assert_eq!(held, Some(1 << 20));
    }

    #[test]
    fn compressed_bits_need_an_agreement_and_stand_on_first_frames_alone() {
        assert_eq!(protocol_error(&[&[0xc1, 0]]), ProtocolError::ReservedBits);
        let mut inbound = inflating(1000, false);
        let Err(ConnectionError::Protocol(error)) = inbound.next(&[0x41, 1, 0, 0xc0, 0], &mut 0) else {
            panic!("it passed")
        };
        assert_eq!(error, ProtocolError::ReservedBits);
    }

    #[test]
    fn fragments_can_be_told_one_by_one_with_their_own_bytes() {
        let mut wire = Vec::new();
        let text = "aκb".as_bytes();
        frame(&mut wire, OpCode::Data(DataCode::Text), false, &text[..2]);
        frame(&mut wire, OpCode::Data(DataCode::Continue), false, &text[2..3]);
        frame(&mut wire, OpCode::Data(DataCode::Continue), true, &text[3..]);
        frame(&mut wire, OpCode::Data(DataCode::Binary), true, b"whole");
        let mut inbound = Inbound::<Vec<u8>>::new(&WsOptions::default(), None, true);
        let mut consumed = 0;
        let mut got = Vec::new();
        while let Some(message) = inbound.next(&wire, &mut consumed).unwrap() {
            got.push(match message {
                Message::Fragment { text: true, fin, first, data: Data::Owned(data) } => (first, fin, data),
                message => (true, true, format!("{:?}", own(message)).into_bytes()),
            });
        }
        assert_eq!(
            got,
            [
                (true, false, text[..2].to_vec()),
                (false, false, text[2..3].to_vec()),
                (false, true, text[3..].to_vec()),
                (true, true, format!("{:?}", Got::Binary(b"whole".into())).into_bytes()),
            ]
        );
    }

    #[test]
    fn text_told_in_fragments_is_validated_across_them() {
        let mut inbound = Inbound::<Vec<u8>>::new(&WsOptions::default(), None, true);
        let mut consumed = 0;
        let wire = [0x01, 2, b'a', 0xce, 0x80, 1, b'b'];
        assert!(inbound.next(&wire, &mut consumed).unwrap().is_some());
        assert!(matches!(
            inbound.next(&wire, &mut consumed),
            Err(ConnectionError::Protocol(ProtocolError::InvalidUtf8))
        ));
    }
}

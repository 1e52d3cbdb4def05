//! permessage-deflate (RFC 7692): the offer, the check of the answer, and the two contexts.
//!
//! A context is made at its first use. Where no context takeover was agreed on, it is given back after each message,
//! so that an idle connection holds none.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use crate::error::{HandshakeError, ProtocolError};

/// The extension's name.
const NAME: &str = "permessage-deflate";

/// What the sender leaves out at a message's end, and the receiver puts back (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// zlib's smallest window that a raw stream can be compressed with. It inflates smaller ones with it, too.
const MIN_ZLIB_BITS: u8 = 9;

/// The largest window, and the one that counts where none was agreed on.
const MAX_BITS: u8 = 15;

/// What is offered, and how hard to compress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeflateOptions {
    /// Ask the server to compress each message by itself.
    pub server_no_context_takeover: bool,
    /// Tell the server that each message will be compressed by itself.
    pub client_no_context_takeover: bool,
    /// The largest window, in bits, that the server may use.
    pub server_max_window_bits: Option<u8>,
    /// The largest window, in bits, that we will use; the server may ask for a smaller one in any case, unless that is
    /// not offered.
    pub client_max_window_bits: Option<u8>,
    /// Whether the server may ask for a smaller window of ours. Some refuse an offer that says so.
    pub offers_client_window: bool,
    /// zlib's level, 0 to 9.
    pub level: u8,
    /// zlib's memLevel, 1 to 9.
    pub mem_level: u8,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
            offers_client_window: true,
            level: 6,
            mem_level: 8,
        }
    }
}

/// What was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// We do.
    pub client_no_context_takeover: bool,
    /// The server's window, in bits.
    pub server_max_window_bits: u8,
    /// Our window, in bits.
    pub client_max_window_bits: u8,
    level: u8,
    mem_level: u8,
}

impl DeflateOptions {
    /// The value of the sec-websocket-extensions header.
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = String::from(NAME);
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            offer.push_str(&format!("; server_max_window_bits={bits}"));
        }
        if self.offers_client_window {
            offer.push_str("; client_max_window_bits");
            if let Some(bits) = self.client_max_window_bits {
                offer.push_str(&format!("={bits}"));
            }
        }
        offer
    }

    /// Reads one extension of the answer (RFC 7692, 7.1).
    ///
    /// # Errors
    /// An extension or a parameter that the offer does not allow, or that is missing where the offer demands it.
    pub fn accept(&self, answer: &str) -> Result<Agreed, HandshakeError> {
        let mut parts = answer.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return Err(HandshakeError::Extension(answer.to_owned()));
        }
        let mut found = Parameters::default();
        for parameter in parts {
            found.read(parameter).map_err(|()| HandshakeError::ExtensionParameter(parameter.to_owned()))?;
        }
        let refuse = |name: &str| Err(HandshakeError::ExtensionParameter(name.to_owned()));
        // A server that accepts an offer with one of these must say so (RFC 7692, 7.1.1.1 and 7.1.2.1).
        if self.server_no_context_takeover && !found.server_no_context_takeover {
            return refuse("server_no_context_takeover");
        }
        let server_bits = found.server_max_window_bits.unwrap_or(MAX_BITS);
        if self.server_max_window_bits.is_some_and(|most| server_bits > most) {
            return refuse("server_max_window_bits");
        }
        // It may not ask for what it was not offered (RFC 7692, 7.1.2.2).
        if !self.offers_client_window && found.client_max_window_bits.is_some() {
            return refuse("client_max_window_bits");
        }
        // A value of ours is a hint: the server may answer with a greater one, or with none, and we keep to ours in any
        // case (RFC 7692, 7.1.2.2).
        let client_bits =
            found.client_max_window_bits.unwrap_or(MAX_BITS).min(self.client_max_window_bits.unwrap_or(MAX_BITS));
        Ok(Agreed {
            server_no_context_takeover: found.server_no_context_takeover,
            // The server may ask for it, and we may do it without being asked.
            client_no_context_takeover: found.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            level: self.level,
            mem_level: self.mem_level,
        })
    }
}

#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Parameters {
    /// One parameter: known, once, and with a value or without as it must be.
    fn read(&mut self, parameter: &str) -> Result<(), ()> {
        let (name, value) = match parameter.split_once('=') {
            None => (parameter, None),
            Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start()))),
        };
        let flag = |flag: &mut bool| {
            let first = !std::mem::replace(flag, true);
            if first && value.is_none() { Ok(()) } else { Err(()) }
        };
        let bits = |bits: &mut Option<u8>| match (value.and_then(window_bits), &bits) {
            (Some(value), None) => {
                *bits = Some(value);
                Ok(())
            }
            _ => Err(()),
        };
        match name {
            "server_no_context_takeover" => flag(&mut self.server_no_context_takeover),
            "client_no_context_takeover" => flag(&mut self.client_no_context_takeover),
            "server_max_window_bits" => bits(&mut self.server_max_window_bits),
            "client_max_window_bits" => bits(&mut self.client_max_window_bits),
            _ => Err(()),
        }
    }
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// 8 to 15, in decimal and without leading zeros (RFC 7692, 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" | "9" => value.parse().ok(),
        _ if value.len() == 2 && value.starts_with('1') => value.parse().ok().filter(|bits| *bits <= MAX_BITS),
        _ => None,
    }
}

/// What [`Inflater::inflate`] has done.
pub struct Step {
    /// How much of the input is done with.
    pub consumed: usize,
    /// How much of the room is filled, also when a fault follows.
    pub produced: usize,
    /// Whether more of the input, if there is any, can be inflated into what is left of the room, if anything is.
    pub goes_on: bool,
    /// [`ProtocolError::CompressedData`] if it can't go on.
    pub result: Result<(), ProtocolError>,
}

/// Decompresses the messages of the peer.
pub struct Inflater {
    window_bits: u8,
    keep: bool,
    /// In a box: a connection that is not compressed has no room for it.
    context: Option<Box<Inflate>>,
    /// Whether nothing has followed a final block yet.
    ended: bool,
    /// From the first final block on, what blocks behind the next one may refer to.
    history: Option<Vec<u8>>,
    /// How much of it was copied since this was last asked for.
    restored: usize,
}

impl Inflater {
    /// For what was agreed on.
    #[must_use]
    pub fn new(agreed: &Agreed) -> Self {
        Self {
            window_bits: agreed.server_max_window_bits.max(MIN_ZLIB_BITS),
            keep: !agreed.server_no_context_takeover,
            context: None,
            ended: false,
            history: None,
            restored: 0,
        }
    }

    /// Inflates from `input` to `room`, which stands behind what there is of the message.
    pub fn inflate(&mut self, input: &[u8], message: &[u8], room: &mut [u8]) -> Step {
        let context = self.context.get_or_insert_with(|| Box::new(Inflate::new(false, self.window_bits)));
        let before = (context.total_in(), context.total_out());
        let status = context.decompress(input, room, InflateFlush::SyncFlush);
        let consumed = usize::try_from(context.total_in() - before.0).unwrap_or(usize::MAX);
        let produced = usize::try_from(context.total_out() - before.1).unwrap_or(usize::MAX);
        let ends = status == Ok(Status::StreamEnd);
        self.ended = ends || self.ended && consumed == 0;
        if ends && self.history.is_none() {
            remember(self.history.insert(Vec::new()), message, self.window_bits);
        }
        if let Some(history) = &mut self.history {
            remember(history, &room[..produced], self.window_bits);
        }
        let mut result = status.map(|_| ());
        if ends {
            // A final block ends zlib's stream, not the message, nor the ones after it (RFC 7692, 7.2.3.4). The
            // context is used again: a peer can end one with every other byte.
            context.reset(false);
            if let Some(history) = &self.history {
                let history = &history[history.len().saturating_sub(1 << self.window_bits)..];
                result = context.set_dictionary(history).map(|_| ());
                self.restored += history.len();
            }
        }
        let result = result.map_err(|_| ProtocolError::CompressedData);
        Step { consumed, produced, goes_on: ends || consumed > 0 || produced > 0, result }
    }

    /// The bytes that end the message, to be inflated after its own. A message whose last block is a final one should
    /// have a byte of zero behind it, which they complete to a block (RFC 7692, 7.2.3.4); without that byte there is
    /// nothing to complete, and they would be taken for the beginning of the next message's blocks.
    #[must_use]
    pub fn tail(&self) -> &'static [u8] {
        if self.ended { &[] } else { &TAIL }
    }

    /// How many bytes were copied to go on behind final blocks, since the last call.
    pub fn take_restored(&mut self) -> usize {
        std::mem::take(&mut self.restored)
    }

    /// The message is over.
    pub fn end_message(&mut self) {
        if !self.keep {
            self.context = None;
            self.history = None;
            self.ended = false;
        }
    }
}

/// Appends to what blocks may refer to, and drops what is too far back, in time.
fn remember(history: &mut Vec<u8>, bytes: &[u8], window_bits: u8) {
    let window = 1 << window_bits;
    let bytes = &bytes[bytes.len().saturating_sub(window)..];
    // It is moved once a window, and not for each message.
    if history.len() + bytes.len() > 2 * window {
        history.drain(..history.len().saturating_sub(window - bytes.len()));
    }
    history.extend_from_slice(bytes);
}

/// Compresses our messages.
pub struct Deflater {
    config: DeflateConfig,
    keep: bool,
    context: Option<Box<Deflate>>,
}

/// How much room for output is made at a time, at least.
const ROOM: usize = 256;

impl Deflater {
    /// For what was agreed on. There is none for a window of 8 bits, which zlib cannot compress with: messages then go
    /// as they are, as any message may (RFC 7692, 6).
    #[must_use]
    pub fn new(agreed: &Agreed) -> Option<Self> {
        let bits = agreed.client_max_window_bits;
        (bits >= MIN_ZLIB_BITS).then(|| Self {
            config: DeflateConfig {
                window_bits: -i32::from(bits),
                level: i32::from(agreed.level),
                mem_level: i32::from(agreed.mem_level),
                ..DeflateConfig::default()
            },
            keep: !agreed.client_no_context_takeover,
            context: None,
        })
    }

    /// Compresses a part of a message behind `out`; `end` says that it is the last part.
    ///
    /// # Errors
    /// None that a correct use of zlib can give; they are passed on all the same.
    pub fn deflate(&mut self, mut input: &[u8], out: &mut Vec<u8>, end: bool) -> Result<(), zlib_rs::DeflateError> {
        let context = self.context.get_or_insert_with(|| Box::new(Deflate::new_with_config(self.config)));
        let flush = if end { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        loop {
            let start = out.len();
            out.resize(start + ROOM.max(input.len() / 2), 0);
            let before = (context.total_in(), context.total_out());
            let result = context.compress(input, &mut out[start..], flush);
            let consumed = usize::try_from(context.total_in() - before.0).unwrap_or(usize::MAX);
            let produced = usize::try_from(context.total_out() - before.1).unwrap_or(usize::MAX);
            let full = start + produced == out.len();
            out.truncate(start + produced);
            result?;
            input = &input[consumed..];
            // zlib has no more to say when it leaves room (its manual says so of every flush).
            if input.is_empty() && !full {
                break;
            }
        }
        if end {
            if out.ends_with(&TAIL) {
                out.truncate(out.len() - TAIL.len());
            }
            if out.is_empty() {
                // An empty message is one empty block, without its tail (RFC 7692, 7.2.3.6).
                out.push(0);
            }
            if !self.keep {
                self.context = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agreed(server_bits: u8, client_bits: u8, no_takeover: bool) -> Agreed {
        Agreed {
            server_no_context_takeover: no_takeover,
            client_no_context_takeover: no_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
            level: 6,
            mem_level: 8,
        }
    }

    fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        deflater.deflate(message, &mut out, true).unwrap();
        out
    }

    fn inflate_into(inflater: &mut Inflater, mut input: &[u8], message: &mut Vec<u8>) -> Result<(), ProtocolError> {
        loop {
            let from = message.len();
            message.resize(from + 1000, 0);
            let (before, room) = message.split_at_mut(from);
            let Step { consumed, produced, goes_on, result } = inflater.inflate(input, before, room);
            message.truncate(from + produced);
            result?;
            input = &input[consumed..];
            if !goes_on || input.is_empty() && produced < 1000 {
                return Ok(());
            }
        }
    }

    fn inflate(inflater: &mut Inflater, compressed: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut message = Vec::new();
        inflate_into(inflater, compressed, &mut message)?;
        let tail = inflater.tail();
        inflate_into(inflater, tail, &mut message)?;
        inflater.end_message();
        Ok(message)
    }

    #[test]
    fn the_offer_names_what_is_asked_for() {
        assert_eq!(DeflateOptions::default().offer(), "permessage-deflate; client_max_window_bits");
        let all = DeflateOptions {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(11),
            ..DeflateOptions::default()
        };
        assert_eq!(
            all.offer(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=11"
        );
    }

    #[test]
    fn the_answer_may_narrow_what_was_offered() {
        let offered = DeflateOptions::default();
        assert_eq!(offered.accept("permessage-deflate"), Ok(agreed(15, 15, false)));
        assert_eq!(
            offered.accept(
                "permessage-deflate; server_no_context_takeover;client_no_context_takeover ; \
                 server_max_window_bits=9; client_max_window_bits=\"10\""
            ),
            Ok(agreed(9, 10, true))
        );
        let unasked = DeflateOptions { offers_client_window: false, ..DeflateOptions::default() };
        assert_eq!(unasked.offer(), "permessage-deflate");
        assert!(unasked.accept("permessage-deflate; server_no_context_takeover").is_ok());
        assert_eq!(
            unasked.accept("permessage-deflate; client_max_window_bits=15"),
            Err(HandshakeError::ExtensionParameter("client_max_window_bits".into()))
        );
        let offered = DeflateOptions { client_max_window_bits: Some(12), ..DeflateOptions::default() };
        let kept = |answer: &str| offered.accept(answer).map(|agreed| agreed.client_max_window_bits);
        assert_eq!(kept("permessage-deflate"), Ok(12));
        assert_eq!(kept("permessage-deflate; client_max_window_bits=11"), Ok(11));
        assert_eq!(kept("permessage-deflate; client_max_window_bits=15"), Ok(12));
    }

    #[test]
    fn an_answer_that_the_offer_does_not_allow_is_refused_by_name() {
        let parameter = |name: &str| Err(HandshakeError::ExtensionParameter(name.into()));
        let plain = DeflateOptions::default();
        for bad in [
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "client_max_window_bits",
            "client_max_window_bits=0",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "unheard_of",
            "",
        ] {
            assert_eq!(plain.accept(&format!("permessage-deflate; {bad}")), parameter(bad), "{bad}");
        }
        assert_eq!(
            plain.accept("permessage-deflate; client_max_window_bits=9; client_max_window_bits=9"),
            parameter("client_max_window_bits=9")
        );
        assert_eq!(plain.accept("x-webkit"), Err(HandshakeError::Extension("x-webkit".into())));
        let demanding = DeflateOptions {
            server_no_context_takeover: true,
            server_max_window_bits: Some(10),
            ..DeflateOptions::default()
        };
        assert_eq!(demanding.accept("permessage-deflate"), parameter("server_no_context_takeover"));
        assert_eq!(
            demanding.accept("permessage-deflate; server_no_context_takeover"),
            parameter("server_max_window_bits")
        );
        assert_eq!(
            demanding.accept("permessage-deflate; server_no_context_takeover; server_max_window_bits=11"),
            parameter("server_max_window_bits")
        );
    }

    #[test]
    fn the_examples_of_rfc_7692_are_inflated() {
        let mut inflater = Inflater::new(&agreed(15, 15, false));
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&mut inflater, &hello).unwrap(), b"Hello");
        // The second message refers to the first.
        assert_eq!(inflate(&mut inflater, &[0xf2, 0x00, 0x11, 0x00, 0x00]).unwrap(), b"Hello");
        // A stored block, a final block, and two blocks in one message.
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflate(&mut inflater, &stored).unwrap(), b"Hello");
        let last_block = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&mut inflater, &last_block).unwrap(), b"Hello");
        let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&mut inflater, &two).unwrap(), b"Hello");
        assert_eq!(inflate(&mut inflater, &[0]).unwrap(), b"");
    }

    /// What zlib 1.2.13 ends its streams with (`Z_FINISH`), as `deflateRawSync` of Node.js does.
    const FINAL_HELLO: [u8; 7] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const FINAL_STORED_HELLO: [u8; 10] = [0x01, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    const FINAL_NOTHING: [u8; 2] = [0x03, 0x00];
    const NOT_FINAL_HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

    #[test]
    fn whatever_stands_behind_a_final_block_the_next_message_is_inflated() {
        let (hello, stored, nothing) = (&FINAL_HELLO[..], &FINAL_STORED_HELLO[..], &FINAL_NOTHING[..]);
        let messages: [(&[&[u8]], &[u8]); 9] = [
            (&[hello], b"Hello"),
            (&[hello, &[0]], b"Hello"),
            (&[stored], b"Hello"),
            (&[stored, &[0]], b"Hello"),
            (&[nothing], b""),
            (&[nothing, nothing, hello], b"Hello"),
            (&[hello, &NOT_FINAL_HELLO], b"HelloHello"),
            (&[hello, &[0, 0, 0, 0xff, 0xff], stored], b"HelloHello"),
            (&[&NOT_FINAL_HELLO], b"Hello"),
        ];
        for no_takeover in [false, true] {
            for (first, (before, expected)) in messages.iter().enumerate() {
                let mut inflater = Inflater::new(&agreed(15, 15, no_takeover));
                assert_eq!(inflate(&mut inflater, &before.concat()).as_deref(), Ok(*expected), "{first}");
                for (second, (after, expected)) in messages.iter().enumerate() {
                    let got = inflate(&mut inflater, &after.concat());
                    assert_eq!(got.as_deref(), Ok(*expected), "{second} after {first}");
                }
            }
        }
    }

    #[test]
    fn a_final_block_leaves_the_window_to_the_messages_behind_it() {
        // Each made with the messages before it as zlib's dictionary.
        let first = [
            0x0b, 0xc9, 0x48, 0x55, 0x28, 0xcf, 0xcc, 0x4b, 0xc9, 0x2f, 0x57, 0xc8, 0x2c, 0x56, 0xc8, 0x4e, 0x2d, 0x28,
            0xd1, 0x03, 0x00,
        ];
        let second = [0x0b, 0xc1, 0x14, 0x52, 0xc0, 0x22, 0x06, 0x00];
        let third = [0xc3, 0x22, 0x04, 0x00];
        let once = b"The window is kept.";
        let twice = b"The window is kept. The window is kept.";
        let mut inflater = Inflater::new(&agreed(15, 15, false));
        for (compressed, message) in [(&first[..], &once[..]), (&second, twice), (&third, once)] {
            assert_eq!(inflate(&mut inflater, compressed).as_deref(), Ok(message));
        }
        assert_eq!(inflater.take_restored(), 4 * once.len() + 2 * twice.len());
        // Within one message also where each message stands alone, but not from one to the next.
        let mut inflater = Inflater::new(&agreed(15, 15, true));
        let both = [&once[..], twice].concat();
        assert_eq!(inflate(&mut inflater, &[&first[..], &second].concat()), Ok(both));
        assert_eq!(inflate(&mut inflater, &second), Err(ProtocolError::CompressedData));
    }

    #[test]
    fn of_what_is_kept_behind_final_blocks_there_are_two_windows_at_most() {
        let mut inflater = Inflater::new(&agreed(9, 9, false));
        for _ in 0..300 {
            assert_eq!(inflate(&mut inflater, &FINAL_HELLO).as_deref(), Ok(&b"Hello"[..]));
        }
        assert!(inflater.history.is_some_and(|history| (512..=1024).contains(&history.len())));
    }

    #[test]
    fn an_empty_message_is_one_byte_also_after_another() {
        let mut deflater = Deflater::new(&agreed(15, 15, false)).unwrap();
        assert_eq!(deflate(&mut deflater, b""), [0]);
        deflate(&mut deflater, b"Hello");
        assert_eq!(deflate(&mut deflater, b""), [0]);
    }

    #[test]
    fn contexts_are_made_at_the_first_use_and_given_back_without_takeover() {
        for no_takeover in [false, true] {
            let agreed = agreed(15, 15, no_takeover);
            let (mut deflater, mut inflater) = (Deflater::new(&agreed).unwrap(), Inflater::new(&agreed));
            assert!(deflater.context.is_none() && inflater.context.is_none());
            let compressed = deflate(&mut deflater, b"Hello");
            inflate(&mut inflater, &compressed).unwrap();
            assert_eq!(deflater.context.is_none(), no_takeover);
            assert_eq!(inflater.context.is_none(), no_takeover);
        }
    }

    #[test]
    fn bytes_that_are_no_deflate_stream_are_an_error() {
        let mut inflater = Inflater::new(&agreed(15, 15, false));
        assert_eq!(inflate(&mut inflater, &[0xff; 20]), Err(ProtocolError::CompressedData));
    }

    #[test]
    fn a_window_of_8_bits_means_no_compression() {
        assert!(Deflater::new(&agreed(15, 8, false)).is_none());
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates_to_itself(
            messages in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..2000),
                    prop::collection::vec(b'a'..b'd', 0..20_000),
                ],
                0..6,
            ),
            cut in any::<prop::sample::Index>(),
            bits in 9..=15u8,
            no_takeover: bool,
        ) {
            let agreed = agreed(bits, bits, no_takeover);
            let (mut deflater, mut inflater) = (Deflater::new(&agreed).unwrap(), Inflater::new(&agreed));
            for message in messages {
                let at = cut.index(message.len() + 1);
                let mut compressed = Vec::new();
                deflater.deflate(&message[..at], &mut compressed, false).unwrap();
                deflater.deflate(&message[at..], &mut compressed, true).unwrap();
                prop_assert!(!compressed.is_empty());
                prop_assert_eq!(inflate(&mut inflater, &compressed).unwrap(), message);
            }
        }

        #[test]
        fn no_bytes_make_the_inflater_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = inflate(&mut Inflater::new(&agreed(15, 15, false)), &input);
        }

        #[test]
        fn no_answer_makes_the_parser_panic(answer in "\\PC{0,60}") {
            let _ = DeflateOptions::default().accept(&answer);
            let _ = DeflateOptions::default().accept(&format!("permessage-deflate;{answer}"));
        }
    }
}

//! One frame (RFC 6455, 5). The header codec is tungstenite's; what it leaves open is checked here.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::role::Role;
use crate::error::ProtocolError;

/// The most bytes of a control frame's payload (RFC 6455, 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The most bytes of a close frame's reason: its payload less the code.
pub const MAX_CLOSE_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// The longest header: that of a masked frame.
pub const MAX_HEADER: usize = 14;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// A close frame.
    Close,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

impl Opcode {
    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl From<Opcode> for OpCode {
    fn from(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Continuation => Self::Data(Data::Continue),
            Opcode::Text => Self::Data(Data::Text),
            Opcode::Binary => Self::Data(Data::Binary),
            Opcode::Close => Self::Control(Control::Close),
            Opcode::Ping => Self::Control(Control::Ping),
            Opcode::Pong => Self::Control(Control::Pong),
        }
    }
}

/// The header of a frame that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame carries.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub fin: bool,
    /// RSV1: whether it begins a compressed message (RFC 7692, 6).
    pub compressed: bool,
    /// Its payload's length in bytes.
    pub len: u64,
    /// What its payload is masked with: the frames of a client are, and no others.
    pub key: Option<[u8; 4]>,
}

impl Header {
    /// Reads a header that this end has received from the front of `input`: the header and its own length, or `None` when
    /// it isn't all there.
    ///
    /// # Errors
    /// What the header breaks of RFC 6455, 5.
    pub fn parse(role: Role, input: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let mut cursor = Cursor::new(input);
        let (header, len) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            // The one error that tungstenite's parser has is the opcode.
            Err(_) => {
                return Err(ProtocolError::Opcode(input.first().map_or(0, |byte| byte & 0x0f)));
            }
        };
        let size = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        if header.rsv2 || header.rsv3 {
            return Err(ProtocolError::ReservedBits);
        }
        role.check_key(header.mask)?;
        if size != header.len(len) || len > i64::MAX as u64 {
            return Err(ProtocolError::LengthEncoding);
        }
        let opcode = match header.opcode {
            OpCode::Data(Data::Continue) => Opcode::Continuation,
            OpCode::Data(Data::Text) => Opcode::Text,
            OpCode::Data(Data::Binary) => Opcode::Binary,
            OpCode::Control(Control::Close) => Opcode::Close,
            OpCode::Control(Control::Ping) => Opcode::Ping,
            OpCode::Control(Control::Pong) => Opcode::Pong,
            OpCode::Data(Data::Reserved(n)) | OpCode::Control(Control::Reserved(n)) => {
                return Err(ProtocolError::Opcode(n));
            }
        };
        if opcode.is_control() {
            if header.rsv1 {
                return Err(ProtocolError::ReservedBits);
            }
            if !header.is_final {
                return Err(ProtocolError::ControlFragmented);
            }
            if len > MAX_CONTROL_PAYLOAD as u64 {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        Ok(Some((Self { opcode, fin: header.is_final, compressed: header.rsv1, len, key: header.mask }, size)))
    }
}

/// The parsed payload of a close frame: a code and a reason, or neither.
///
/// # Errors
/// A payload of one byte, a code that must not be sent, a reason that isn't UTF-8 (RFC 6455, 5.5.1 and 7.4).
pub fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(ProtocolError::ClosePayload),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_valid_close_code(code) {
        return Err(ProtocolError::CloseCode(code));
    }
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Some((code, reason)))
}

/// Whether a close frame may carry this code: those of RFC 6455, 7.4.1 but the ones that stand for the absence of a
/// close frame, those that IANA has registered since (1012 to 1014), and the ranges of libraries and applications.
#[must_use]
pub fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends the header of a final frame with this masking key, if it has one.
pub fn encode_header(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, len: usize, key: Option<[u8; 4]>) {
    let header =
        FrameHeader { is_final: true, rsv1: compressed, opcode: opcode.into(), mask: key, ..FrameHeader::default() };
    // Writing to a Vec does not fail.
    let _ = header.format(len as u64, out);
}

/// Appends a whole frame of a client.
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    encode_as(Role::Client, out, opcode, false, payload);
}

/// Appends a whole frame of this end.
pub fn encode_as(role: Role, out: &mut Vec<u8>, opcode: Opcode, compressed: bool, payload: &[u8]) {
    let key = role.next_key();
    out.reserve(MAX_HEADER + payload.len());
    encode_header(out, opcode, compressed, payload.len(), key);
    append_masked(out, payload, key, 0);
}

/// Appends a whole close frame of a client.
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &[u8]) {
    encode_close_as(Role::Client, out, code, reason);
}

/// Appends a whole close frame of this end.
pub fn encode_close_as(role: Role, out: &mut Vec<u8>, code: u16, reason: &[u8]) {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason);
    encode_as(role, out, Opcode::Close, false, &payload);
}

/// Appends `bytes`, masked if there is a key; `offset` is their place in the frame's payload.
pub fn append_masked(out: &mut Vec<u8>, bytes: &[u8], key: Option<[u8; 4]>, offset: usize) {
    let start = out.len();
    out.extend_from_slice(bytes);
    if let Some(key) = key {
        mask(&mut out[start..], key, offset);
    }
}

/// Masks in place, or unmasks, eight bytes at a time; `offset` is the place of the first byte in the frame's payload.
pub fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let at = |n: usize| key[(offset + n) % 4];
    let word = u64::from_ne_bytes([at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (n, byte) in rest.iter_mut().enumerate() {
        *byte ^= at(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tungstenite::protocol::frame::FrameSocket;

    fn opcodes() -> impl Strategy<Value = Opcode> {
        prop::sample::select(vec![Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong])
    }

    proptest! {
        #[test]
        fn tungstenites_frame_reader_reads_back_what_is_encoded(
            opcode in opcodes(),
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                prop::collection::vec(any::<u8>(), 65_500..65_600),
            ],
        ) {
            let mut wire = Vec::new();
            encode(&mut wire, opcode, &payload);
            let mut reader = FrameSocket::new(Cursor::new(wire));
            let frame = reader.read(None).unwrap().unwrap();
            prop_assert!(frame.header().is_final);
            prop_assert_eq!(frame.header().opcode, opcode.into());
            let key = frame.header().mask.unwrap();
            let unmasked: Vec<u8> =
                frame.payload().iter().enumerate().map(|(n, byte)| byte ^ key[n % 4]).collect();
            prop_assert_eq!(unmasked, payload);
            prop_assert!(reader.read(None).unwrap().is_none());
        }

        #[test]
        fn masking_in_pieces_is_masking_the_whole(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            cut in any::<prop::sample::Index>(),
            key in any::<[u8; 4]>(),
        ) {
            let at = cut.index(payload.len() + 1);
            let mut whole = Vec::new();
            append_masked(&mut whole, &payload, Some(key), 0);
            let mut pieces = Vec::new();
            append_masked(&mut pieces, &payload[..at], Some(key), 0);
            append_masked(&mut pieces, &payload[at..], Some(key), at);
            let byte_by_byte: Vec<u8> = payload.iter().enumerate().map(|(n, byte)| byte ^ key[n % 4]).collect();
            prop_assert_eq!(&whole, &byte_by_byte);
            prop_assert_eq!(&pieces, &byte_by_byte);
        }

        #[test]
        fn a_header_is_read_only_when_it_is_whole(
            opcode in prop::sample::select(vec![OpCode::Data(Data::Text), OpCode::Data(Data::Binary)]),
            fin: bool,
            len in prop_oneof![0u64..200, 65_000u64..66_000, any::<u64>().prop_map(|n| n >> 1)],
        ) {
            let mut wire = Vec::new();
            let header = FrameHeader { is_final: fin, opcode, ..FrameHeader::default() };
            header.format(len, &mut wire).unwrap();
            for cut in 0..wire.len() {
                prop_assert_eq!(Header::parse(Role::Client, &wire[..cut]), Ok(None));
            }
            let (parsed, size) = Header::parse(Role::Client, &wire).unwrap().unwrap();
            prop_assert_eq!(size, wire.len());
            prop_assert_eq!((OpCode::from(parsed.opcode), parsed.fin, parsed.len), (opcode, fin, len));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(input in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Header::parse(Role::Client, &input);
            let _ = parse_close(&input);
        }
    }

    #[test]
    fn what_a_header_breaks_is_named() {
        let cases: [(&[u8], ProtocolError); 11] = [
            (&[0xc9, 0], ProtocolError::ReservedBits),
            (&[0xa1, 0], ProtocolError::ReservedBits),
            (&[0x91, 0], ProtocolError::ReservedBits),
            (&[0x83, 0], ProtocolError::Opcode(3)),
            (&[0x8f, 0], ProtocolError::Opcode(15)),
            (&[0x81, 0x80, 1, 2, 3, 4], ProtocolError::Masked),
            (&[0x81, 126, 0, 125], ProtocolError::LengthEncoding),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], ProtocolError::LengthEncoding),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::LengthEncoding),
            (&[0x09, 0], ProtocolError::ControlFragmented),
            (&[0x89, 126, 0, 126], ProtocolError::ControlTooLong),
        ];
        for (bytes, error) in cases {
            assert_eq!(Header::parse(Role::Client, bytes), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn a_close_payload_is_empty_or_a_valid_code_and_utf8() {
        assert_eq!(parse_close(&[]), Ok(None));
        assert_eq!(parse_close(&[3]), Err(ProtocolError::ClosePayload));
        assert_eq!(parse_close(b"\x03\xe8bye"), Ok(Some((1000, "bye"))));
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
        for code in 0..=u16::MAX {
            let parsed = parse_close(&code.to_be_bytes()).is_ok();
            let allowed =
                (1000..1015).contains(&code) && !(1004..=1006).contains(&code) || (3000..5000).contains(&code);
            assert_eq!(parsed, allowed, "{code}");
        }
    }
}

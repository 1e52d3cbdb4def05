use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{Data as DataCode, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;
use crate::event::Data;
use crate::options::DeflateOptions;
use crate::websocket::assembly::FIRST_PIECE;
use crate::websocket::deflate::Deflater;

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
    let mut inbound = Inbound::<Vec<u8>>::new(Role::Client, options, None, false);
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
            match inbound.next(&pending, &mut consumed, &mut ControlPayload::default()) {
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
    let mut inbound = Inbound::<Vec<u8>>::new(Role::Client, &options, None, false);
    let announced = [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(inbound.next(&announced, &mut 0, &mut ControlPayload::default()).unwrap().is_none());
    assert_eq!(inbound.direct().unwrap().unwrap().len(), FIRST_PIECE);
}

fn compressed(messages: &[(&[u8], bool)]) -> Vec<u8> {
    let options = DeflateOptions::default();
    let mut deflater = Deflater::new(Role::Server, &options.accept("permessage-deflate").unwrap()).unwrap();
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
    Inbound::new(Role::Client, &options, Some(&agreed), fragments)
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
            while let Some(message) = inbound.next(&pending, &mut consumed, &mut ControlPayload::default()).unwrap() {
                got.push(own(message));
            }
            pending.drain(..consumed);
        }
        assert_eq!(
            got,
            [Got::Text(b"Hello".into()), Got::Text(long.clone()), Got::Text(Vec::new()), Got::Binary(b"Hello".into())]
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
        let got =
            [(); 4].map(|()| inbound.next(&wire, &mut consumed, &mut ControlPayload::default()).unwrap().map(own));
        let (hello, nothing) = (Some(Got::Text(b"Hello".into())), Some(Got::Text(Vec::new())));
        assert_eq!(got, [hello.clone(), nothing.clone(), nothing, hello]);
        assert_eq!(inbound.take_counts().inflated, 10);
    }
}

#[test]
fn an_empty_frame_ends_its_message_though_the_turn_is_over() {
    let text = vec![b'x'; 5000];
    let mut wire = compressed(&[(&text, true)]);
    // As a last fragment without a byte follows: nothing would come behind it that could end the message.
    wire[0] &= 0x7f;
    wire.extend([0x80, 0]);
    let mut inbound = inflating(1 << 20, false);
    inbound.begin_turn(1);
    let mut consumed = 0;
    let got = inbound.next(&wire, &mut consumed, &mut ControlPayload::default()).unwrap().map(own);
    assert!(inbound.is_spent());
    assert_eq!((got, consumed), (Some(Got::Text(text)), wire.len()));
}

#[test]
fn a_bomb_is_cut_off_at_the_limit() {
    let wire = compressed(&[(&vec![0; 10 << 20], false)]);
    let exact =
        inflating(10 << 20, false).next(&wire, &mut 0, &mut ControlPayload::default()).map(|message| message.map(own));
    assert_eq!(exact.unwrap(), Some(Got::Binary(vec![0; 10 << 20])));
    let mut inbound = inflating(1 << 20, false);
    let Err(ConnectionError::Protocol(error)) = inbound.next(&wire, &mut 0, &mut ControlPayload::default()) else {
        panic!("it passed")
    };
    assert_eq!(error, ProtocolError::MessageTooBig);
    let held = inbound.message.as_ref().map(|message| message.payload.len());
    assert_eq!(held, Some(1 << 20));
}

#[test]
fn compressed_bits_need_an_agreement_and_stand_on_first_frames_alone() {
    assert_eq!(protocol_error(&[&[0xc1, 0]]), ProtocolError::ReservedBits);
    let mut inbound = inflating(1000, false);
    let Err(ConnectionError::Protocol(error)) =
        inbound.next(&[0x41, 1, 0, 0xc0, 0], &mut 0, &mut ControlPayload::default())
    else {
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
    let mut inbound = Inbound::<Vec<u8>>::new(Role::Client, &WsOptions::default(), None, true);
    let mut consumed = 0;
    let mut got = Vec::new();
    while let Some(message) = inbound.next(&wire, &mut consumed, &mut ControlPayload::default()).unwrap() {
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
    let mut inbound = Inbound::<Vec<u8>>::new(Role::Client, &WsOptions::default(), None, true);
    let mut consumed = 0;
    let wire = [0x01, 2, b'a', 0xce, 0x80, 1, b'b'];
    assert!(inbound.next(&wire, &mut consumed, &mut ControlPayload::default()).unwrap().is_some());
    assert!(matches!(
        inbound.next(&wire, &mut consumed, &mut ControlPayload::default()),
        Err(ConnectionError::Protocol(ProtocolError::InvalidUtf8))
    ));
}

use crate::options::DeflateOptions;
use proptest::prelude::*;

use super::*;
use crate::error::{HandshakeError, ProtocolError};
use crate::websocket::role::Role;

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
        let Inflated { consumed, produced, goes_on, result } = inflater.inflate(input, before, room);
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
    assert_eq!(demanding.accept("permessage-deflate; server_no_context_takeover"), parameter("server_max_window_bits"));
    assert_eq!(
        demanding.accept("permessage-deflate; server_no_context_takeover; server_max_window_bits=11"),
        parameter("server_max_window_bits")
    );
}

#[test]
fn the_examples_of_rfc_7692_are_inflated() {
    let mut inflater = Inflater::new(Role::Client, &agreed(15, 15, false));
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
            let mut inflater = Inflater::new(Role::Client, &agreed(15, 15, no_takeover));
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
    let mut inflater = Inflater::new(Role::Client, &agreed(15, 15, false));
    for (compressed, message) in [(&first[..], &once[..]), (&second, twice), (&third, once)] {
        assert_eq!(inflate(&mut inflater, compressed).as_deref(), Ok(message));
    }
    assert_eq!(inflater.take_restored(), 4 * once.len() + 2 * twice.len());
    // Within one message also where each message stands alone, but not from one to the next.
    let mut inflater = Inflater::new(Role::Client, &agreed(15, 15, true));
    let both = [&once[..], twice].concat();
    assert_eq!(inflate(&mut inflater, &[&first[..], &second].concat()), Ok(both));
    assert_eq!(inflate(&mut inflater, &second), Err(ProtocolError::CompressedData));
}

#[test]
fn of_what_is_kept_behind_final_blocks_there_are_two_windows_at_most() {
    let mut inflater = Inflater::new(Role::Client, &agreed(9, 9, false));
    for _ in 0..300 {
        assert_eq!(inflate(&mut inflater, &FINAL_HELLO).as_deref(), Ok(&b"Hello"[..]));
    }
    assert!(inflater.history.is_some_and(|history| (512..=1024).contains(&history.len())));
}

#[test]
fn an_empty_message_is_one_byte_also_after_another() {
    let mut deflater = Deflater::new(Role::Client, &agreed(15, 15, false)).unwrap();
    assert_eq!(deflate(&mut deflater, b""), [0]);
    deflate(&mut deflater, b"Hello");
    assert_eq!(deflate(&mut deflater, b""), [0]);
}

#[test]
fn contexts_are_made_at_the_first_use_and_given_back_without_takeover() {
    for no_takeover in [false, true] {
        let agreed = agreed(15, 15, no_takeover);
        let (mut deflater, mut inflater) =
            (Deflater::new(Role::Client, &agreed).unwrap(), Inflater::new(Role::Client, &agreed));
        assert!(deflater.context.is_none() && inflater.context.is_none());
        let compressed = deflate(&mut deflater, b"Hello");
        inflate(&mut inflater, &compressed).unwrap();
        assert_eq!(deflater.context.is_none(), no_takeover);
        assert_eq!(inflater.context.is_none(), no_takeover);
    }
}

#[test]
fn bytes_that_are_no_deflate_stream_are_an_error() {
    let mut inflater = Inflater::new(Role::Client, &agreed(15, 15, false));
    assert_eq!(inflate(&mut inflater, &[0xff; 20]), Err(ProtocolError::CompressedData));
}

#[test]
fn a_window_of_8_bits_means_no_compression() {
    assert!(Deflater::new(Role::Client, &agreed(15, 8, false)).is_none());
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
        let (mut deflater, mut inflater) = (Deflater::new(Role::Client, &agreed).unwrap(), Inflater::new(Role::Client, &agreed));
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
        let _ = inflate(&mut Inflater::new(Role::Client, &agreed(15, 15, false)), &input);
    }

    #[test]
    fn no_answer_makes_the_parser_panic(answer in "\\PC{0,60}") {
        let _ = DeflateOptions::default().accept(&answer);
        let _ = DeflateOptions::default().accept(&format!("permessage-deflate;{answer}"));
    }
}

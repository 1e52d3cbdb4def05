//! permessage-deflate: no answer makes the negotiation panic, no bytes make the inflater panic, and what is deflated
//! inflates to itself, in whatever pieces and windows.
#![no_main]

use gun_rs_engine::options::DeflateOptions;
use gun_rs_engine::websocket::deflate::{Agreed, Deflater, Inflated, Inflater};
use gun_rs_engine::websocket::role::Role;
use libfuzzer_sys::fuzz_target;

/// Inflates a part of a message behind what there is of it, or as much of it as a bomb may have.
fn inflate_into(inflater: &mut Inflater, mut input: &[u8], message: &mut Vec<u8>, limit: usize) -> Option<()> {
    const ROOM: usize = 777;
    loop {
        let from = message.len();
        message.resize(from + ROOM, 0);
        let (before, room) = message.split_at_mut(from);
        let Inflated { consumed, produced, goes_on, result } = inflater.inflate(input, before, room);
        message.truncate(from + produced);
        result.ok()?;
        input = &input[consumed..];
        if message.len() > limit {
            return None;
        }
        if !goes_on || input.is_empty() && produced < ROOM {
            return Some(());
        }
    }
}

fn inflate(inflater: &mut Inflater, compressed: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    inflate_into(inflater, compressed, &mut message, limit)?;
    let tail = inflater.tail();
    inflate_into(inflater, tail, &mut message, limit)?;
    inflater.end_message();
    Some(message)
}

fn agreed(flags: u8) -> Option<Agreed> {
    let takeover = if flags & 1 == 0 { "" } else { "; server_no_context_takeover; client_no_context_takeover" };
    let bits = 9 + (flags >> 1) % 7;
    DeflateOptions { level: (flags >> 4) % 10, mem_level: 1 + (flags >> 2) % 9, ..DeflateOptions::default() }
        .accept(&format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}{takeover}"))
        .ok()
}

fuzz_target!(|input: &[u8]| {
    let [flags, cut, rest @ ..] = input else { return };
    if let Ok(answer) = std::str::from_utf8(rest) {
        let _ = DeflateOptions::default().accept(answer);
        let _ = DeflateOptions::default().accept(&format!("permessage-deflate; {answer}"));
    }
    let Some(agreed) = agreed(*flags) else { panic!("an answer within the offer is accepted") };
    // Whatever the peer sends.
    let mut hostile = Inflater::new(Role::Client, &agreed);
    for message in rest.chunks(usize::from(*cut) + 1) {
        let _ = inflate(&mut hostile, message, 1_000_000);
    }
    // What we send.
    let Some(mut deflater) = Deflater::new(Role::Client, &agreed) else { panic!("nine bits and more are compressed") };
    let mut inflater = Inflater::new(Role::Server, &agreed);
    for message in rest.chunks(usize::from(*cut) * 7 + 1) {
        let (first, second) = message.split_at(message.len() / 3);
        let mut compressed = Vec::new();
        assert!(deflater.deflate(first, &mut compressed, false).is_ok());
        assert!(deflater.deflate(second, &mut compressed, true).is_ok());
        assert_eq!(inflate(&mut inflater, &compressed, usize::MAX).as_deref(), Some(message));
    }
});

//! A whole session, of a client or of a server, against whatever the peer sends: no bytes make it panic, hang or allocate
//! without bound, and however the bytes are cut, it reports the same, sends the same frames and ends the same way. What it
//! sends is read back by tungstenite.
//!
//! The first byte chooses the options and the role, the second one the size of the pieces; the rest is what the peer sends.
#![no_main]

use std::io::Cursor;

use gun_rs_engine::WsOptions;
use gun_rs_engine::websocket::role::Role;
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::frame::FrameSocket;

mod ends;

use ends::{End, MAX_MESSAGE, chosen};

/// What a session has done: reported, sent, and how it has ended.
type Done = (Vec<String>, Vec<String>, Option<String>);

/// The frames that it has sent, unmasked.
fn frames(role: Role, wire: Vec<u8>) -> Vec<String> {
    let mut socket = FrameSocket::new(Cursor::new(wire));
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = socket.read(None) {
        let header = frame.header();
        assert!(header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3);
        assert_eq!(header.mask.is_some(), role == Role::Client, "a client masks, and no server does");
        let key = header.mask.unwrap_or_default();
        let payload: Vec<_> = frame.payload().iter().enumerate().map(|(n, byte)| byte ^ key[n % 4]).collect();
        frames.push(format!("{:?} {payload:?}", header.opcode));
    }
    assert!(socket.into_inner().1.is_empty(), "what it sends ends with a frame");
    frames
}

fn receive(flags: u8, wire: &[u8], piece: usize) -> Done {
    let role = if flags & 8 == 0 { Role::Client } else { Role::Server };
    let options = WsOptions {
        max_message_size: Some(MAX_MESSAGE / 10),
        max_frame_size: (flags & 4 != 0).then_some(1000),
        fragments_by_default: flags & 2 != 0,
        silence_pings: false,
        ..WsOptions::default()
    };
    let mut end = End::new(role, &options, &chosen(flags & 1 != 0));
    for mut bytes in wire.chunks(piece.max(1)) {
        while !bytes.is_empty() && end.session.is_some() {
            let done = end.read(bytes);
            let wrote = end.write(usize::MAX);
            assert!(done > 0 || wrote || end.session.is_none(), "it takes nothing, and sends nothing");
            bytes = &bytes[done..];
        }
    }
    end.write(usize::MAX);
    end.cut();
    let sent = frames(end.role, std::mem::take(&mut end.wire));
    (std::mem::take(&mut end.lender.sink().seen), sent, end.ended)
}

fuzz_target!(|input: &[u8]| {
    let [flags, piece, wire @ ..] = input else { return };
    let whole = receive(*flags, wire, wire.len());
    let cut = receive(*flags, wire, usize::from(*piece));
    assert_eq!(whole, cut);
});

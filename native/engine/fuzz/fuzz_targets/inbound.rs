//! The frame decoder and the assembly of messages: no bytes make it panic or allocate without bound, and however the
//! bytes are cut, the same messages and the same error come out.
//!
//! The first byte chooses the options, the second one the size of the pieces; the rest is what the peer sends.
#![no_main]

use gun_rs_engine::WsOptions;
use gun_rs_engine::event::{Data, Message};
use gun_rs_engine::websocket::deflate::DeflateOptions;
use gun_rs_engine::websocket::inbound::Inbound;
use libfuzzer_sys::fuzz_target;

const MAX_MESSAGE: u64 = 100_000;

fn own(message: Message<'_, Vec<u8>>) -> String {
    let show = |data: Data<'_, Vec<u8>>| {
        assert!(data.bytes().len() as u64 <= MAX_MESSAGE);
        format!("{:?}", data.bytes())
    };
    match message {
        Message::Text(data) => {
            assert!(std::str::from_utf8(data.bytes()).is_ok());
            format!("text {}", show(data))
        }
        Message::Binary(data) => format!("binary {}", show(data)),
        Message::Fragment { text, fin, first, data } => format!("fragment {text} {fin} {first} {}", show(data)),
        Message::Ping(payload) => format!("ping {payload:?}"),
        Message::Pong(payload) => format!("pong {payload:?}"),
        Message::Close(close) => format!("close {close:?}"),
    }
}

/// As a session does it: leftovers are given again, large frames are read into directly.
fn receive(inbound: &mut Inbound<Vec<u8>>, wire: &[u8], piece: usize) -> Vec<String> {
    let mut told = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    for mut bytes in wire.chunks(piece.max(1)) {
        while pending.is_empty() && !bytes.is_empty() {
            let room = match inbound.direct() {
                Ok(Some(room)) => room,
                Ok(None) => break,
                Err(error) => {
                    told.push(error.to_string());
                    return told;
                }
            };
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            match inbound.advance(n) {
                Ok(message) => told.extend(message.map(own)),
                Err(error) => {
                    told.push(error.to_string());
                    return told;
                }
            }
        }
        pending.extend_from_slice(bytes);
        let mut consumed = 0;
        loop {
            match inbound.next(&pending, &mut consumed) {
                Ok(Some(message)) => told.push(own(message)),
                Ok(None) => break,
                Err(error) => {
                    told.push(error.to_string());
                    return told;
                }
            }
        }
        pending.drain(..consumed);
        assert!(pending.len() < 139, "no more than a header and a control payload waits");
    }
    told
}

fuzz_target!(|input: &[u8]| {
    let [flags, piece, wire @ ..] = input else { return };
    let options = WsOptions {
        max_message_size: Some(MAX_MESSAGE),
        max_frame_size: (flags & 4 != 0).then_some(1000),
        ..WsOptions::default()
    };
    let deflate = DeflateOptions::default().accept("permessage-deflate").ok();
    let new = || Inbound::new(&options, deflate.as_ref().filter(|_| flags & 1 != 0), flags & 2 != 0);
    let whole = receive(&mut new(), wire, wire.len());
    let cut = receive(&mut new(), wire, usize::from(*piece));
    assert_eq!(whole, cut);
});

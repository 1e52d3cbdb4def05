//! A client's session against a server's: whatever both send, and however the bytes between them are cut, each receives
//! what the other has sent, in order, whoever waits is told, and both end.
//!
//! The first byte says whether they compress, and whether the server lingers; the rest is what they do, step by step.
#![no_main]

use gun_rs_engine::WsOptions;
use gun_rs_engine::command::{Item, Outgoing, Reply, Tune};
use gun_rs_engine::websocket::frame::{Opcode, encode_as, encode_close_as};
use gun_rs_engine::websocket::role::Role;
use libfuzzer_sys::fuzz_target;

mod ends;

use ends::{End, MAX_MESSAGE, chosen, digest};

struct Pair {
    ends: [End; 2],
    /// What each has sent.
    sent: [Vec<String>; 2],
    /// Who waits for that.
    receipts: [u32; 2],
}

impl Pair {
    /// Sends an item; `shown` is what the other end is to report of it.
    fn send(&mut self, n: usize, item: Item<Vec<u8>>, shown: Option<String>) {
        let end = &mut self.ends[n];
        let Some(session) = &mut end.session else { return };
        let outgoing = Outgoing::new(None, Reply::Receipt(self.receipts[n]), vec![item]);
        let charge = end.lender.charge(&outgoing);
        if session.send(outgoing, charge, &mut end.lender.lend()) {
            self.sent[n].extend(shown);
            self.receipts[n] += 1;
        }
    }

    fn message(&mut self, n: usize, kind: u8, payload: Vec<u8>) {
        let text = std::str::from_utf8(&payload).is_ok();
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        let shown = format!("{} {}", if text { "text" } else { "binary" }, digest(&payload));
        let item = match kind {
            0 => self.encoded(n, opcode, &payload),
            1 => Item::Small(opcode, payload),
            _ => Item::Large(opcode, payload),
        };
        self.send(n, item, Some(shown));
    }

    fn encoded(&self, n: usize, opcode: Opcode, payload: &[u8]) -> Item<Vec<u8>> {
        let mut bytes = Vec::new();
        encode_as(self.ends[n].role, &mut bytes, opcode, false, payload);
        Item::Encoded(1, bytes)
    }

    fn close(&mut self, n: usize) {
        let mut bytes = Vec::new();
        encode_close_as(self.ends[n].role, &mut bytes, 1000, b"bye");
        self.send(n, Item::Close(bytes), None);
    }

    /// What this end sends is compressed from now on, or not.
    fn deflate(&mut self, n: usize, on: bool) {
        if let Some(session) = &mut self.ends[n].session {
            session.tune(&Tune { deflate: Some(on), ..Tune::default() });
        }
    }

    /// This end receives so many bytes of what the other has written: whether there were any.
    fn read(&mut self, n: usize, most: usize) -> bool {
        let [client, server] = &mut self.ends;
        let (end, other) = if n == 0 { (client, server) } else { (server, client) };
        let now = other.wire.len().min(most);
        let done = end.read(&other.wire[..now]);
        other.wire.drain(..done);
        if end.session.is_none() {
            other.wire.clear();
        } else if other.session.is_none() && other.wire.is_empty() {
            end.cut();
        }
        done > 0
    }

    fn step<'a>(&mut self, step: u8, mut rest: &'a [u8]) -> &'a [u8] {
        let n = usize::from(step >> 7);
        let size = usize::from(step >> 3 & 15);
        match step & 7 {
            kind @ 0..=2 => {
                let payload;
                (payload, rest) = rest.split_at(size.min(rest.len()));
                // Now and then a message of many kilobytes.
                let repeated = if step & 7 == 2 { payload.repeat(10_000) } else { payload.to_vec() };
                self.message(n, kind, repeated);
            }
            3 => {
                let payload;
                (payload, rest) = rest.split_at(size.min(rest.len()));
                let ping = self.encoded(n, Opcode::Ping, payload);
                self.send(n, ping, Some(format!("ping {payload:?}")));
            }
            4 => {
                self.ends[n].write(size + 1);
            }
            5 => {
                self.ends[n].write(usize::MAX);
                self.read(1 - n, size * size * 100);
            }
            6 => {
                self.read(n, size + 1);
            }
            _ if size == 15 => self.close(n),
            _ if size < 2 => self.deflate(n, size == 1),
            _ => {}
        }
        rest
    }

    /// Lets everything happen that can.
    fn settle(&mut self) {
        let mut goes_on = true;
        while goes_on {
            goes_on = false;
            for n in 0..2 {
                goes_on |= self.ends[n].write(usize::MAX);
                goes_on |= self.read(n, usize::MAX);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [flags, rest @ ..] = input else { return };
    let options = WsOptions { silence_pings: false, max_message_size: Some(MAX_MESSAGE), ..WsOptions::default() };
    let agreed = chosen(flags & 1 != 0);
    let linger = flags & 4 == 0;
    let ends = [(Role::Client, true), (Role::Server, linger)]
        .map(|(role, linger)| End::new(role, &WsOptions { linger, ..options.clone() }, &agreed));
    let mut pair = Pair { ends, sent: Default::default(), receipts: [0; 2] };
    let mut rest = rest;
    while let [step, behind @ ..] = rest {
        rest = pair.step(*step, behind);
    }
    pair.close(usize::from(flags >> 1 & 1));
    pair.settle();
    for n in 0..2 {
        let end = &mut pair.ends[n];
        assert!(end.ended.as_deref().is_some_and(|ended| ended.ends_with("the connection ended normally")));
        let seen = std::mem::take(&mut end.lender.sink().seen);
        let (told, received): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|line| line.starts_with("sent ") || line.starts_with("not sent "));
        let sent: Vec<_> = told.into_iter().filter(|line| line.starts_with("sent ")).collect();
        assert!(sent.iter().enumerate().all(|(receipt, line)| *line == format!("sent {receipt}")));
        // A server that does not linger may leave before it has what the client sends.
        assert!(sent.len() == pair.receipts[n] as usize || n == 0 && !linger);
        let is_message = |line: &String| !line.starts_with("pong ") && !line.starts_with("close ");
        let messages: Vec<_> = received.into_iter().filter(is_message).collect();
        let all = &pair.sent[1 - n];
        assert!(all.starts_with(&messages) && (all.len() == messages.len() || n == 1 && !linger));
    }
});

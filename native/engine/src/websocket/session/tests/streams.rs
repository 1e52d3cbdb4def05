//! Two WebSockets on one connection, with one sink: their frames, events and accounts never mix.

use proptest::prelude::*;

use super::ends::*;
use crate::command::{COMMAND, ITEM, Item};
use crate::status::State;
use crate::websocket::frame::Opcode;
use crate::websocket::outbound::Staged;
use crate::websocket::role::Role;

/// Two clients with one sink, and the servers at their other ends.
struct Streams {
    clients: [End; 2],
    lender: crate::protocol::Lender<Notes>,
    servers: [(End, crate::protocol::Lender<Notes>); 2],
}

impl Streams {
    /// The second one compresses.
    fn new() -> Self {
        let mut of_clients = lender();
        let agreed = [chosen(None), chosen(Some(""))];
        let clients = [1, 2].map(|n| End::new(Role::Client, n, &agreed[n as usize - 1], false, &mut of_clients));
        let servers = [1, 2].map(|n| {
            let mut lender = lender();
            (End::new(Role::Server, n, &agreed[n as usize - 1], true, &mut lender), lender)
        });
        Self { clients, lender: of_clients, servers }
    }

    /// Moves so many bytes on one stream, in each direction.
    fn exchange(&mut self, n: usize, most: usize) -> bool {
        let (client, (server, of_server)) = (&mut self.clients[n], &mut self.servers[n]);
        let mut moved = client.write(most, &mut self.lender) | server.write(most, of_server);
        let done = server.read(&client.wire, of_server);
        client.wire.drain(..done);
        moved |= done > 0;
        let done = client.read(&server.wire, &mut self.lender);
        server.wire.drain(..done);
        moved | (done > 0)
    }

    fn queued(&self) -> [usize; 2] {
        [1, 2].map(|stream| self.lender.queued(Some(&stream)))
    }
}

#[test]
fn what_waits_on_one_stream_counts_on_its_own_account_and_ends_with_it() {
    let mut streams = Streams::new();
    assert_eq!(streams.lender.lend().status.get(), State::Idle, "the connection is no WebSocket");
    assert!(!streams.lender.lend().status.with_account(Some(&1), |account| account.compresses()));
    assert!(streams.lender.lend().status.with_account(Some(&2), |account| account.compresses()));
    let Streams { clients: [one, two], lender, .. } = &mut streams;
    one.send(None, vec![Item::Large(Opcode::Binary, vec![1; 1000])], lender);
    two.send(Some(7), vec![Item::Small(Opcode::Binary, vec![2; 10])], lender);
    assert_eq!(streams.queued(), [ITEM + 1000, COMMAND + ITEM + 10]);
    assert_eq!(streams.lender.queued(None), 0);
    while streams.exchange(1, usize::MAX) {}
    assert_eq!(streams.queued(), [ITEM + 1000, 0]);
    assert_eq!(streams.lender.sink().0, [(None, Seen::Sent(7))]);
    // One of them closes, and the other goes on.
    let close = streams.clients[1].close(1000);
    streams.clients[1].send(None, vec![close], &mut streams.lender);
    while streams.exchange(1, usize::MAX) {}
    assert!(streams.clients[1].ended.is_some() && streams.clients[0].ended.is_none());
    assert_eq!(streams.lender.lend().status.get(), State::Idle, "the connection does not close");
    while streams.exchange(0, usize::MAX) {}
    assert_eq!(streams.queued(), [0, 0]);
    assert_eq!(streams.servers[0].1.sink().of(1), [Seen::Binary(vec![1; 1000])]);
    assert_eq!(streams.servers[1].1.sink().of(2), [Seen::Binary(vec![2; 10]), Seen::Close(Some(1000))]);
    assert_eq!(streams.lender.sink().of(1), []);
    assert_eq!(streams.lender.sink().of(2), [Seen::Close(Some(1000))]);
}

proptest! {
    #[test]
    fn however_they_are_interleaved_each_stream_has_its_own(
        steps in prop::collection::vec((0..2usize, 0..4u8, 0..3000usize), 0..60),
    ) {
        let mut streams = Streams::new();
        let (mut sent, mut answered) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
        for (n, what, size) in steps {
            let payload = vec![n as u8; size];
            let (client, (server, of_server)) = (&mut streams.clients[n], &mut streams.servers[n]);
            match what {
                0 => {
                    client.send(None, vec![Item::Small(Opcode::Binary, payload.clone())], &mut streams.lender);
                    sent[n].push(Seen::Binary(payload));
                }
                1 => {
                    server.send(None, vec![Item::Large(Opcode::Binary, payload.clone())], of_server);
                    answered[n].push(Seen::Binary(payload));
                }
                _ => {
                    let before = streams.queued()[1 - n];
                    streams.exchange(n, size);
                    prop_assert_eq!(streams.queued()[1 - n], before);
                }
            }
        }
        for n in [1, 0, 1] {
            while streams.exchange(n, usize::MAX) {}
        }
        for n in 0..2 {
            let stream = n as u32 + 1;
            prop_assert_eq!(&streams.lender.sink().of(stream), &answered[n]);
            prop_assert_eq!(&streams.servers[n].1.sink().of(stream), &sent[n]);
        }
        prop_assert_eq!(streams.queued(), [0, 0]);
    }
}

#[test]
fn a_receipt_is_reported_when_the_room_of_what_was_sent_is_free() {
    let mut lender = lender();
    let mut end = End::new(Role::Client, 1, &chosen(None), false, &mut lender);
    end.send(Some(7), vec![Item::Small(Opcode::Binary, vec![2; 10])], &mut lender);
    end.send(Some(8), vec![], &mut lender);
    assert_eq!(lender.queued(Some(&1)), 2 * COMMAND + ITEM + 10);
    let session = end.session.as_mut().unwrap();
    assert_eq!(session.stage(&mut lender.lend()).unwrap(), Staged::Ready);
    let written = session.staged().len();
    session.wrote(written);
    assert_eq!(lender.sink().0, []);
    // Nothing but the report itself gives back, and all of it does.
    assert_eq!(session.stage(&mut lender.lend()).unwrap(), Staged::Nothing);
    assert_eq!(lender.sink().0, [(None, Seen::Sent(7)), (None, Seen::Sent(8))]);
    assert_eq!(lender.queued(Some(&1)), 0);
}

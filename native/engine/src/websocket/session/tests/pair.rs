//! A client's session against a server's: whatever is sent, and however the bytes between them are cut, each end receives
//! what the other has sent, in order.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::EndReason;
use super::ends::*;
use crate::command::{Item, Tune};
use crate::error::{DownReason, ProtocolError};
use crate::options::WsOptions;
use crate::websocket::frame::{Opcode, encode_as};
use crate::websocket::role::Role;

/// What one end does.
#[derive(Debug, Clone)]
enum Step {
    Send { how: How, text: bool, payload: Vec<u8>, cuts: Vec<Index>, receipt: bool },
    Ping(Vec<u8>),
    Write(usize),
    Read(usize),
    Deflate(bool),
    Close,
}

/// How a message is handed over.
#[derive(Debug, Clone, Copy)]
enum How {
    Encoded,
    Fragmented,
    Small,
    Large,
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "\\PC{0,60}".prop_map(String::into_bytes),
        2 => (0..2000usize).prop_map(|n| "κόσμε".repeat(n / 10 + 1).into_bytes()),
        1 => (60_000..200_000usize).prop_map(|n| "compress me ".repeat(n / 12).into_bytes()),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let how = prop::sample::select(vec![How::Encoded, How::Fragmented, How::Small, How::Large]);
    let cuts = prop::collection::vec(any::<Index>(), 0..4);
    let sizes = || prop_oneof![3 => 0..20usize, 2 => 0..2000usize, 1 => 0..200_000usize];
    prop_oneof![
        12 => (how, any::<bool>(), payloads(), cuts, any::<bool>())
            .prop_map(|(how, text, payload, cuts, receipt)| Step::Send { how, text, payload, cuts, receipt }),
        2 => prop::collection::vec(any::<u8>(), 0..=125).prop_map(Step::Ping),
        8 => sizes().prop_map(Step::Write),
        8 => sizes().prop_map(Step::Read),
        2 => any::<bool>().prop_map(Step::Deflate),
        1 => Just(Step::Close),
    ]
}

/// What one end has sent, and what it must be told of that.
#[derive(Default)]
struct Sent {
    messages: Vec<Seen>,
    receipts: Vec<u32>,
    closed: bool,
}

/// Does one step; what is sent by it is expected at the other end.
fn step(pair: &mut Pair, role: Role, step: Step, sent: &mut Sent) {
    let (end, lender, _) = pair.side(role);
    match step {
        Step::Send { how, text, payload, cuts, receipt } => {
            let opcode = if text { Opcode::Text } else { Opcode::Binary };
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            ends.sort_unstable();
            let pings = if let How::Fragmented = how { ends.len() } else { 0 };
            let item = match how {
                How::Encoded => end.encoded(opcode, &payload),
                How::Fragmented => end.fragmented(opcode, &payload, &ends, b"between"),
                How::Small => Item::Small(opcode, payload.clone()),
                How::Large => Item::Large(opcode, payload.clone()),
            };
            let number = sent.receipts.len() as u32;
            if end.send(receipt.then_some(number), vec![item], lender) {
                sent.messages.extend(std::iter::repeat_n(Seen::Ping(b"between".into()), pings));
                sent.messages.push(if text { Seen::Text(payload) } else { Seen::Binary(payload) });
                sent.receipts.extend(receipt.then_some(number));
            }
        }
        Step::Ping(payload) => {
            let item = end.encoded(Opcode::Ping, &payload);
            if end.send(None, vec![item], lender) {
                sent.messages.push(Seen::Ping(payload));
            }
        }
        Step::Write(most) => {
            end.write(most, lender);
        }
        Step::Read(most) => {
            pair.read(role, most);
        }
        Step::Deflate(on) => {
            if let Some(session) = &mut end.session {
                session.tune(&Tune { deflate: Some(on), ..Tune::default() });
            }
        }
        Step::Close => {
            // What stands behind it is not sent.
            let items = vec![end.close(1000), end.encoded(Opcode::Text, b"never")];
            sent.closed |= end.send(None, items, lender);
        }
    }
}

/// Every message and ping, in order, and the pongs.
fn apart(seen: Vec<Seen>) -> (Vec<Seen>, Vec<Vec<u8>>) {
    let (mut messages, mut pongs) = (Vec::new(), Vec::new());
    for seen in seen {
        match seen {
            Seen::Pong(payload) => pongs.push(payload),
            Seen::Close(_) => {}
            seen => messages.push(seen),
        }
    }
    (messages, pongs)
}

/// What one end has sent and what it was told of that, against what the other has received. Where that one was `left`, the
/// other does not await what it sent last.
fn check(pair: &mut Pair, role: Role, sent: &Sent, left: bool) {
    let (end, lender, other) = pair.side(role);
    let told: Vec<_> = lender.sink().0.iter().filter(|(_, seen)| matches!(seen, Seen::Sent(_))).collect();
    assert!(left || told.len() == sent.receipts.len());
    let expected: Vec<_> = sent.receipts.iter().map(|number| (None, Seen::Sent(*number))).collect();
    assert!(told.iter().copied().eq(expected.iter().take(told.len())));
    let (_, pongs) = apart(lender.sink().of(end.stream));
    let pings = sent.messages.iter().filter_map(|sent| if let Seen::Ping(ping) = sent { Some(ping) } else { None });
    assert!(pings.take(pongs.len()).eq(pongs.iter()), "pings are answered in order");
    assert_eq!(lender.queued(None), 0);
    assert!(match &end.ended {
        Some(EndReason::ClosedByUser(DownReason::Normal)) => sent.closed,
        Some(EndReason::Down(DownReason::Normal)) => !sent.closed,
        other => panic!("{other:?}"),
    });
    let (stream, other) = (other.stream, role.peer());
    let (received, _) = apart(pair.side(other).1.sink().of(stream));
    let expected = if left { sent.messages.get(..received.len()) } else { Some(&sent.messages[..]) };
    assert!(Some(&received[..]) == expected, "{received:?} is not {:?}", sent.messages);
}

proptest! {
    #[test]
    fn each_end_receives_what_the_other_has_sent_and_both_end(
        steps in prop::collection::vec((any::<bool>(), steps()), 0..40),
        compression in prop::sample::select(vec![
            None,
            Some(""),
            Some("; server_no_context_takeover; client_max_window_bits=9"),
            Some("; client_no_context_takeover; server_max_window_bits=10"),
            Some("; client_max_window_bits=8"),
        ]),
        closes_first: bool,
        linger: bool,
    ) {
        let mut pair = Pair::with(&chosen(compression), &WsOptions { linger, ..WsOptions::default() });
        let (mut of_client, mut of_server) = (Sent::default(), Sent::default());
        for (by_client, done) in steps {
            let (role, sent) =
                if by_client { (Role::Client, &mut of_client) } else { (Role::Server, &mut of_server) };
            step(&mut pair, role, done, sent);
        }
        let (role, sent) = if closes_first { (Role::Client, &mut of_client) } else { (Role::Server, &mut of_server) };
        step(&mut pair, role, Step::Close, sent);
        pair.settle();
        check(&mut pair, Role::Client, &of_client, !linger && of_server.closed);
        check(&mut pair, Role::Server, &of_server, false);
    }

    #[test]
    fn a_session_that_is_dropped_gives_back_what_it_counts_for(
        steps in prop::collection::vec(steps(), 0..20),
        compresses: bool,
    ) {
        let mut pair = Pair::new(&chosen(compresses.then_some("")));
        for done in steps {
            step(&mut pair, Role::Client, done, &mut Sent::default());
        }
        pair.client.session = None;
        prop_assert_eq!(pair.of_client.queued(None), 0);
    }

    #[test]
    fn no_bytes_make_either_end_panic_and_each_reports_one_fault_at_most(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        client: bool,
        compresses: bool,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut pair = Pair::new(&chosen(compresses.then_some("")));
        let (end, lender, _) = pair.side(role);
        for piece in pieces {
            end.read(&piece, lender);
            end.write(usize::MAX, lender);
            if let Some(session) = &mut end.session {
                session.settled(&lender.lend());
            }
        }
        end.write(usize::MAX, lender);
        end.cut(lender);
        let seen = lender.sink().of(end.stream);
        prop_assert!(seen.iter().filter(|seen| matches!(seen, Seen::Fault(_))).count() <= 1);
    }
}

/// A session that has written the first of two messages to its last byte, and has not been asked for more.
fn written() -> Pair {
    let mut pair = Pair::new(&chosen(None));
    let (client, lender, _) = pair.side(Role::Client);
    for receipt in 1..=2 {
        let item = client.encoded(Opcode::Text, b"twelve bytes");
        client.send(Some(receipt), vec![item], lender);
        if receipt == 1 {
            client.write(2 + 4 + 12, lender);
        }
    }
    assert_eq!(lender.sink().0, []);
    pair
}

#[test]
fn what_has_been_written_when_the_session_ends_is_reported_as_sent() {
    let mut pair = written();
    pair.client.cut(&mut pair.of_client);
    assert_eq!(pair.of_client.sink().0, [(None, Seen::Sent(1)), (None, Seen::NotSent(2))]);
    assert_eq!(pair.of_client.queued(None), 0);
}

#[test]
fn what_has_been_written_when_the_peer_takes_no_more_is_reported_as_sent() {
    let mut pair = written();
    pair.client.session.as_mut().unwrap().drop_unsent(&mut pair.of_client.lend());
    assert_eq!(pair.of_client.sink().0, [(None, Seen::Sent(1)), (None, Seen::NotSent(2))]);
    assert_eq!(pair.of_client.queued(None), 0);
}

#[test]
fn a_session_whose_answer_to_a_close_is_not_written_to_its_end_goes_on() {
    let mut pair = Pair::new(&chosen(None));
    let (server, lender, _) = pair.side(Role::Server);
    server.read(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0], lender);
    for _ in 0..2 {
        server.write(3, lender);
    }
    assert!(server.ended.is_some());
    assert_eq!(server.wire, [0x88, 2, 0x0f, 0xa0]);
}

#[test]
fn a_server_echoes_the_code_of_a_close_and_a_client_answers_with_1000() {
    for code in [None, Some(4000), Some(1001)] {
        for (role, answer) in [(Role::Client, Some(1000)), (Role::Server, code)] {
            let mut pair = Pair::new(&chosen(None));
            let (peer, lender, _) = pair.side(role.peer());
            let mut empty = Vec::new();
            encode_as(peer.role, &mut empty, Opcode::Close, false, b"");
            let close = code.map_or(Item::Close(empty), |code| peer.close(code));
            peer.send(None, vec![close], lender);
            pair.settle();
            let (peer, lender, end) = pair.side(role.peer());
            assert!(peer.ended.is_some() && end.ended.is_some());
            assert_eq!(lender.sink().of(peer.stream), [Seen::Close(answer)]);
        }
    }
}

#[test]
fn a_mask_where_there_must_be_none_and_none_where_there_must_be_one_are_faults() {
    let frames = [(Role::Client, &[0x81, 0x81, 1, 2, 3, 4, 0][..]), (Role::Server, &[0x81, 1, b'a'])];
    for ((role, frame), error) in frames.into_iter().zip([ProtocolError::Masked, ProtocolError::Unmasked]) {
        let mut pair = Pair::new(&chosen(None));
        let (end, lender, _) = pair.side(role);
        end.read(frame, lender);
        assert_eq!(lender.sink().of(end.stream), [Seen::Settle]);
        end.session.as_mut().unwrap().settled(&lender.lend());
        pair.settle();
        let (end, lender, other) = pair.side(role);
        assert_eq!(lender.sink().of(end.stream), [Seen::Settle, Seen::Fault(error)]);
        assert!(end.ended.is_some() && other.ended.is_some());
        let (other, lender, _) = pair.side(role.peer());
        assert_eq!(lender.sink().of(other.stream), [Seen::Close(Some(1002))]);
    }
}

#[test]
fn a_server_calls_bad_compressed_data_a_fault_of_the_protocol_and_a_client_calls_it_bad_data() {
    for (role, code) in [(Role::Client, 1007), (Role::Server, 1002)] {
        let mut pair = Pair::new(&chosen(Some("")));
        let (peer, lender, _) = pair.side(role.peer());
        let mut frame = Vec::new();
        encode_as(peer.role, &mut frame, Opcode::Binary, true, &[0xff; 4]);
        peer.send(None, vec![Item::Encoded(1, frame)], lender);
        pair.settle();
        let (end, lender, _) = pair.side(role);
        end.session.as_mut().unwrap().settled(&lender.lend());
        pair.settle();
        let (peer, lender, _) = pair.side(role.peer());
        assert_eq!(lender.sink().of(peer.stream), [Seen::Close(Some(code))]);
    }
}

#[test]
fn masked_text_is_validated_as_it_arrives_also_in_a_large_frame() {
    let mut pair = Pair::new(&chosen(None));
    let mut text = vec![b'x'; 100_000];
    text[50_000] = 0xff;
    let (client, lender, _) = pair.side(Role::Client);
    client.send(None, vec![Item::Large(Opcode::Text, text)], lender);
    client.write(usize::MAX, lender);
    pair.read(Role::Server, 50_000);
    assert_eq!(pair.of_server.sink().of(2), []);
    pair.read(Role::Server, 100);
    assert_eq!(pair.of_server.sink().of(2), [Seen::Settle]);
    pair.server.session.as_mut().unwrap().settled(&pair.of_server.lend());
    pair.settle();
    assert_eq!(pair.of_server.sink().of(2), [Seen::Settle, Seen::Fault(ProtocolError::InvalidUtf8)]);
    assert_eq!(pair.of_client.sink().of(1), [Seen::Close(Some(1007))]);
}

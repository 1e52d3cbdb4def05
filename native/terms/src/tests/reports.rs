//! The shape of each report to the process behind ConnPid.

use std::time::Duration;

use gun_rs_engine::error::{BadState, ConnectError, ConnectionError, DownReason};
use gun_rs_engine::event::step::{Fragmented, Takeover};
use gun_rs_engine::event::{Next, NotSent};
use gun_rs_engine::transport::step::DialStep;
use gun_rs_engine::websocket::frame::{Header, Opcode};
use gun_rs_engine::{Data, Message, ProtocolName, Stats};
use http::HeaderMap;

use super::{Plain, PlainTerms, atom};
use crate::reports::{Down, End, Stepping, StreamState, WebsocketInit};
use crate::{Name, Reports};

fn reports() -> Reports<PlainTerms> {
    Reports::new(PlainTerms)
}

/// That the event in `{gun_rs_native, Event}` is this one.
fn check(report: Plain, event: &str) {
    assert_eq!(report.to_string(), format!("{{gun_rs_native, {event}}}"));
}

#[test]
fn a_connection_comes_up_or_does_not() {
    check(reports().up(ProtocolName::Http, None), "{up, http, undefined}");
    let v4 = "127.0.0.1:8080".parse().unwrap();
    check(reports().up(ProtocolName::Http, Some(v4)), "{up, http, {{127, 0, 0, 1}, 8080}}");
    check(reports().up(ProtocolName::Http2, Some(v4)), "{up, http2, {{127, 0, 0, 1}, 8080}}");
    let v6 = "[2001:db8::1]:443".parse().unwrap();
    check(reports().up(ProtocolName::Ws, Some(v6)), "{up, ws, {{8193, 3512, 0, 0, 0, 0, 0, 1}, 443}}");
    check(reports().connect_failed(&ConnectError::Timeout), "{connect_failed, timeout}");
}

#[test]
fn a_connection_goes_down() {
    let nexts = [
        (Next::Nothing, "undefined"),
        (Next::ClosedByUser, "closed_by_user"),
        (Next::Reupgrade { after: Duration::from_millis(1500) }, "{reupgrade, 1500}"),
    ];
    for (next, term) in nexts {
        let (killed, reason) = (vec![atom("A"), atom("B")], &DownReason::Closed);
        let down = Down { protocol: ProtocolName::Ws, reason, ping: None, killed, next, served: true };
        check(reports().down(down), &format!("{{down, ws, closed, {term}, [A, B], true}}"));
    }
}

#[test]
fn the_ping_that_ends_a_connection_is_named_and_no_other() {
    let unsupported = DownReason::from(ConnectionError::PingUnsupported);
    let down = |reason| Down {
        protocol: ProtocolName::Http,
        reason,
        ping: Some(atom("Ping")),
        killed: Vec::new(),
        next: Next::Nothing,
        served: false,
    };
    check(
        reports().down(down(&unsupported)),
        "{down, http, {error, {ping_unsupported_by_protocol, Ping}}, undefined, [], false}",
    );
    check(reports().down(down(&DownReason::Normal)), "{down, http, normal, undefined, [], false}");
}

#[test]
fn a_connection_ends() {
    check(reports().shut_down(), "shut_down");
    check(reports().panicked(Some(ProtocolName::Ws), "why", vec![atom("Ref")]), "{panic, ws, {panic, \"why\"}, [Ref]}");
    check(reports().panicked(None, "why", Vec::new()), "{panic, undefined, {panic, \"why\"}, []}");
}

#[test]
fn a_module_takes_the_frames_of_a_websocket() {
    let headers = HeaderMap::new();
    let init = |subprotocol, options| WebsocketInit {
        stream: atom("Ref"),
        reply_to: atom("ReplyTo"),
        subprotocol,
        headers: &headers,
        options,
    };
    check(
        reports().websocket_init(init(Some("mqtt"), Some(atom("Opts")))),
        "{ws_init, Ref, ReplyTo, <<\"mqtt\">>, [], Opts}",
    );
    check(reports().websocket_init(init(None, None)), "{ws_init, Ref, ReplyTo, undefined, [], undefined}");
    let fragment = Message::Fragment { text: true, fin: false, first: true, data: Data::Borrowed(b"hi") };
    check(reports().frame(atom("Ref"), fragment), "{ws_frame, Ref, {fragment, nofin, text, <<\"hi\">>}}");
    let last = Message::Fragment { text: false, fin: true, first: false, data: Data::Owned(b"hi".to_vec()) };
    check(reports().frame(atom("Ref"), last), "{ws_frame, Ref, {fragment, fin, binary, <<\"hi\">>}}");
    check(reports().frame(atom("Ref"), Message::Close(None)), "{ws_frame, Ref, close}");
}

#[test]
fn a_message_is_forwarded_and_a_stream_forgotten() {
    check(reports().deliver(atom("ReplyTo"), atom("Message")), "{deliver, ReplyTo, Message}");
    check(reports().forget(atom("Ref")), "{forget, Ref}");
}

#[test]
fn questions() {
    check(reports().relay_check(), "relay_check");
    check(reports().flow_check(atom("Ref"), atom("ReplyTo"), 64, 1024), "{flow_check, Ref, ReplyTo, 64, 1024}");
    check(reports().settle(atom("Ref"), atom("ReplyTo")), "{settle, Ref, ReplyTo}");
}

#[test]
fn answers() {
    check(reports().sent(atom("From")), "{sent, From, ok}");
    let closing = NotSent::BadState(BadState::Closing);
    check(
        reports().not_sent(atom("From"), &closing),
        "{sent, From, {error, {badstate, \"The Websocket is closing and accepts no more frames.\"}}}",
    );
    let states = [
        (StreamState::NotConnected, "{error, not_connected}"),
        (StreamState::Unknown, "{ok, undefined}"),
        (known(true), "{ok, #{ref => Ref, reply_to => ReplyTo, state => running}}"),
        (known(false), "{ok, #{ref => Ref, reply_to => ReplyTo, state => stopping}}"),
        (
            StreamState::Websocket { stream: atom("Ref"), reply_to: atom("ReplyTo"), stats: stats() },
            "{ok, #{ref => Ref, reply_to => ReplyTo, state => running, stats => #{frames_in => 1, bytes_in => 2, \
             frames_out => 3, bytes_out => 4, send_queue => 5, uncompressed => 6, compressed => 7}}}",
        ),
    ];
    for (state, term) in states {
        check(reports().stream_info(atom("From"), state), &format!("{{stream_info, From, {term}}}"));
    }
}

fn stats() -> Stats {
    let (frames_in, bytes_in, frames_out, bytes_out) = (1, 2, 3, 4);
    Stats { frames_in, bytes_in, frames_out, bytes_out, queued: 5, uncompressed: 6, compressed: 7, truncated: 8 }
}

fn known(running: bool) -> StreamState<Plain> {
    StreamState::Known { stream: atom("Ref"), reply_to: atom("ReplyTo"), running }
}

#[test]
fn steps_have_the_names_and_keys_of_guns_events() {
    let stream = || Stepping { stream: atom("Ref"), reply_to: atom("Pid") };
    check(
        reports().stream_step(Name::RequestEnd, stream()),
        "{step, request_end, #{stream_ref => Ref, reply_to => Pid}}",
    );
    let lookup = DialStep::DomainLookupStart { host: "localhost", port: 80 };
    check(reports().dial_step(&lookup), "{step, domain_lookup_start, #{host => <<\"localhost\">>, port => 80}}");
    let failed = DialStep::ConnectEnd(Err(&ConnectError::Timeout));
    check(reports().dial_step(&failed), "{step, connect_end, #{error => timeout}}");
    check(
        reports().cancel_step(stream(), End::Remote, "refused_stream"),
        "{step, cancel, #{stream_ref => Ref, reply_to => Pid, endpoint => remote, reason => refused_stream}}",
    );
    let takeover = Some(Takeover { deflate: true, inflate: false });
    let now = Some(Fragmented { fin: false, text: true, compressed: true });
    let header = Header { opcode: Opcode::Text, fin: false, compressed: true, len: 5, key: None };
    check(
        reports().frame_header_step(stream(), takeover, now, &header),
        "{step, ws_recv_frame_header, #{stream_ref => Ref, reply_to => Pid, frag_state => {nofin, text, 4}, extensions => \
         #{deflate_takeover => takeover, inflate_takeover => no_takeover}, type => fragment, rsv => 4, len => 5, mask_key \
         => undefined}}",
    );
    check(
        reports().frame_sent_step(Name::WsSendFrameEnd, stream(), None, Opcode::Close, b"\x03\xe8Bye"),
        "{step, ws_send_frame_end, #{stream_ref => Ref, reply_to => Pid, extensions => #{}, frame => {close, 1000, \
         <<\"Bye\">>}}}",
    );
}

//! The shape of each report to the process behind ConnPid.

use std::time::Duration;

use gun_rs_engine::error::{BadState, ConnectError, ConnectionError, DownReason};
use gun_rs_engine::event::{Next, NotSent};
use gun_rs_engine::{Data, Message, ProtocolName};
use http::HeaderMap;

use super::{Plain, PlainTerms, atom};
use crate::Reports;
use crate::reports::{Down, StreamState, WebsocketInit};

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
    ];
    for (state, term) in states {
        check(reports().stream_info(atom("From"), state), &format!("{{stream_info, From, {term}}}"));
    }
}

fn known(running: bool) -> StreamState<Plain> {
    StreamState::Known { stream: atom("Ref"), reply_to: atom("ReplyTo"), running }
}

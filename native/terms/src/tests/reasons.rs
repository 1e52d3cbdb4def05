//! The shape of each reason.

use std::io;
use std::time::Duration;

use gun_rs_engine::OutOfMemory;
use gun_rs_engine::error::http2::{Http2Code, Http2Fault};
use gun_rs_engine::error::proxy::ProxyError;
use gun_rs_engine::error::{
    BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Refusal, SocksError, Wait,
};
use gun_rs_engine::event::{NotSent, StreamError};
use gun_rs_engine::transport::tls::TlsError;

use super::{Plain, PlainTerms, atom};
use crate::reasons;

fn check<E>(rows: impl IntoIterator<Item = (E, &'static str)>, reason: impl Fn(&E) -> Plain) {
    for (error, expected) in rows {
        assert_eq!(reason(&error).to_string(), expected);
    }
}

fn alert() -> TlsError {
    TlsError { alert: "unknown_ca", text: "no".into() }
}

fn fault() -> Http2Fault {
    Http2Fault { code: Http2Code::ProtocolError, text: "Bad frame." }
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

#[test]
fn errors_of_attempts_to_connect() {
    let rows = [
        (ConnectError::NameNotFound, "nxdomain"),
        (ConnectError::ResolverBusy, "resolver_busy"),
        (ConnectError::Timeout, "timeout"),
        (ConnectError::Closed, "closed"),
        (ConnectError::Tls(alert()), "{tls_alert, {unknown_ca, \"no\"}}"),
        (ConnectError::Io(errno(libc::ECONNREFUSED)), "econnrefused"),
        (ProxyError::Connect(ConnectError::NameNotFound).into(), "{proxy, nxdomain}"),
        (ProxyError::Connect(ConnectError::Tls(alert())).into(), "{proxy, {tls_alert, {unknown_ca, \"no\"}}}"),
        (
            ProxyError::Connect(SocksError::NotAllowed.into()).into(),
            "{proxy, {socks5, connection_not_allowed_by_ruleset}}",
        ),
        (ProxyError::Status(407).into(), "{proxy, {status, 407}}"),
        (ProxyError::InvalidResponse.into(), "{proxy, invalid_response}"),
        (ProxyError::ResponseTooLarge.into(), "{proxy, response_too_large}"),
    ];
    check(rows, |error| reasons::connect_error(PlainTerms, error));
}

#[test]
fn errors_of_connections() {
    let refusal = Refusal { status: 503, retry_after: Duration::ZERO };
    let rows = [
        (ConnectionError::Io(errno(libc::EHOSTUNREACH)), "ehostunreach"),
        (ConnectionError::Tls(alert()), "{tls_alert, {unknown_ca, \"no\"}}"),
        (ConnectionError::Truncated, "truncated"),
        (ConnectionError::KeepaliveTimeout, "keepalive_timeout"),
        (ConnectionError::IdleTimeout, "idle_timeout"),
        (ConnectionError::SendTimeout, "timeout"),
        (ConnectionError::Timeout(Wait::Upgrade), "{timeout, upgrade}"),
        (ConnectionError::Timeout(Wait::Response), "{timeout, response}"),
        (ConnectionError::Timeout(Wait::Body), "{timeout, body}"),
        (ConnectionError::Refused(refusal), "{upgrade_refused, 503}"),
        (ConnectionError::Handshake(HandshakeError::Upgrade), "{ws_handshake, not_upgrade}"),
        (ConnectionError::Protocol(ProtocolError::Masked), "{ws_protocol, masked}"),
        (ConnectionError::Http("bad".into()), "{http_protocol, \"bad\"}"),
        (ConnectionError::Http2(fault()), "{connection_error, protocol_error, Bad frame.}"),
        (ConnectionError::LimitReached("full"), "{connection_error, limit_reached, \"full\"}"),
        (ConnectionError::RequestTooShort, "request_too_short"),
        (ConnectionError::PingUnsupported, "ping_unsupported_by_protocol"),
        (ConnectionError::Proxy(Box::new(ProxyError::Status(403))), "{proxy, {status, 403}}"),
        (ConnectionError::OutOfMemory(OutOfMemory(1)), "enomem"),
    ];
    check(rows, |error| reasons::connection_error(PlainTerms, error));
}

#[test]
fn handshakes() {
    let rows = [
        (HandshakeError::Upgrade, "not_upgrade"),
        (HandshakeError::Connection, "connection"),
        (HandshakeError::MissingAccept, "missing_accept"),
        (HandshakeError::WrongAccept, "wrong_accept"),
        (HandshakeError::Extension("x".into()), "{extension, <<\"x\">>}"),
        (HandshakeError::ExtensionParameter("y".into()), "{extension_parameter, <<\"y\">>}"),
        (HandshakeError::Subprotocol("z".into()), "{subprotocol, <<\"z\">>}"),
    ];
    for (error, fault) in rows {
        let reason = reasons::connection_error(PlainTerms, &ConnectionError::Handshake(error));
        assert_eq!(reason.to_string(), format!("{{ws_handshake, {fault}}}"));
    }
}

#[test]
fn faults_in_the_protocol() {
    let rows = [
        (ProtocolError::ReservedBits, "reserved_bits"),
        (ProtocolError::Opcode(3), "{opcode, 3}"),
        (ProtocolError::Masked, "masked"),
        (ProtocolError::Unmasked, "unmasked"),
        (ProtocolError::LengthEncoding, "length_encoding"),
        (ProtocolError::ControlFragmented, "control_fragmented"),
        (ProtocolError::ControlTooLong, "control_too_long"),
        (ProtocolError::UnexpectedContinuation, "unexpected_continuation"),
        (ProtocolError::ExpectedContinuation, "expected_continuation"),
        (ProtocolError::InvalidUtf8, "invalid_utf8"),
        (ProtocolError::CompressedData, "compressed_data"),
        (ProtocolError::ClosePayload, "close_payload"),
        (ProtocolError::CloseCode(1005), "{close_code, 1005}"),
        (ProtocolError::FrameTooBig, "frame_too_big"),
        (ProtocolError::MessageTooBig, "message_too_big"),
    ];
    for (error, fault) in rows {
        let reason = reasons::connection_error(PlainTerms, &ConnectionError::Protocol(error));
        assert_eq!(reason.to_string(), format!("{{ws_protocol, {fault}}}"));
    }
}

#[test]
fn ends_of_connections() {
    let rows = [
        (DownReason::Closed, "closed"),
        (DownReason::Normal, "normal"),
        (ConnectionError::KeepaliveTimeout.into(), "{error, keepalive_timeout}"),
        (ConnectionError::PingUnsupported.into(), "{error, ping_unsupported_by_protocol}"),
    ];
    check(rows, |reason| reasons::down_reason(PlainTerms, reason, None));
}

#[test]
fn errors_of_streams() {
    let (closed, failed) = (DownReason::Closed, DownReason::from(ConnectionError::Truncated));
    let broken = DownReason::from(ConnectionError::Http2(fault()));
    let (handshake, protocol) = (HandshakeError::WrongAccept, ProtocolError::Masked);
    let rows = [
        (StreamError::Handshake(&handshake), "{ws_handshake, wrong_accept}"),
        (StreamError::Protocol(&protocol), "{ws_protocol, masked}"),
        (StreamError::Closed(&closed), "closed"),
        (StreamError::Closed(&failed), "{closed, {error, truncated}}"),
        (StreamError::Closed(&broken), "{closed, {error, {connection_error, protocol_error, Bad frame.}}}"),
        (StreamError::Timeout(Wait::Response), "{timeout, response}"),
        (StreamError::Reset(Http2Code::from(99)), "{stream_error, unknown_error, Stream reset by server.}"),
        (StreamError::Fault(fault()), "{stream_error, protocol_error, Bad frame.}"),
        (StreamError::TooManyStreams, "{stream_error, too_many_streams, Maximum concurrency limit has been reached.}"),
        (
            StreamError::GoAway(Http2Code::NoError),
            "{goaway, no_error, The connection is going away. The request can be repeated.}",
        ),
        (StreamError::Closing, "{closing, owner_down}"),
        (StreamError::WebsocketClosing, "closing"),
        (StreamError::ConnectionCloses, "closing"),
        (StreamError::ShutDown, "{closed, owner_down}"),
        (StreamError::BadState(BadState::BodyComplete), "{badstate, \"The stream has already been closed.\"}"),
    ];
    check(rows, |error| reasons::stream_error(PlainTerms, error, atom("owner_down"), Some(atom("Ping"))));
}

#[test]
fn a_stream_that_ends_by_a_ping_names_it() {
    let reason = DownReason::from(ConnectionError::PingUnsupported);
    let error = StreamError::Closed(&reason);
    let reason = reasons::stream_error(PlainTerms, &error, atom("shutdown"), Some(atom("Ping")));
    assert_eq!(reason.to_string(), "{closed, {error, {ping_unsupported_by_protocol, Ping}}}");
}

#[test]
fn frames_that_are_not_sent() {
    let (closed, normal) = (DownReason::Closed, DownReason::Normal);
    let rows = [
        (NotSent::BadState(BadState::NoStream), "{badstate, \"The stream cannot be found.\"}"),
        (NotSent::Down(&closed), "closed"),
        (NotSent::Down(&normal), "{closed, normal}"),
        (NotSent::ShutDown, "{closing, shutdown}"),
    ];
    check(rows, |error| reasons::not_sent(PlainTerms, error));
}

#[test]
fn errors_of_the_operating_system() {
    let rows = [
        (errno(libc::ENOENT), "enoent"),
        (errno(libc::ETIMEDOUT), "etimedout"),
        (errno(100_000), "{posix, 100000}"),
        (io::ErrorKind::TimedOut.into(), "etimedout"),
        (io::ErrorKind::UnexpectedEof.into(), "econnreset"),
        (io::ErrorKind::ConnectionReset.into(), "econnreset"),
        (io::ErrorKind::BrokenPipe.into(), "epipe"),
        (io::ErrorKind::WriteZero.into(), "epipe"),
        (io::ErrorKind::Other.into(), "eio"),
    ];
    check(rows, |error| reasons::posix(PlainTerms, error));
}

#[test]
fn a_panic_has_its_text() {
    assert_eq!(reasons::panic(PlainTerms, "über").to_string(), "{panic, \"über\"}");
}

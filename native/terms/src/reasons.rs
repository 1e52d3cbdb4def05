//! From the engine's errors to the reasons that users are given. Every reason gets its shape here.

use gun_rs_engine::error::proxy::ProxyError;
use gun_rs_engine::error::{
    BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, SocksError, Wait,
};
use gun_rs_engine::event::{NotSent, StreamError};
use gun_rs_engine::transport::tls::TlsError;

use crate::name::Name;
pub use crate::posix::posix;
use crate::term::Terms;

/// Why an attempt to connect failed: a POSIX atom, `nxdomain`, `resolver_busy`, `timeout`, `closed`,
/// `{tls_alert, {Name, Text}}` or `{proxy, Reason}`.
pub fn connect_error<T: Terms>(terms: T, error: &ConnectError) -> T::Term {
    match error {
        ConnectError::NameNotFound => terms.name(Name::Nxdomain),
        ConnectError::ResolverBusy => terms.name(Name::ResolverBusy),
        ConnectError::Timeout => terms.name(Name::Timeout),
        ConnectError::Closed => terms.name(Name::Closed),
        ConnectError::Tls(error) => tls_alert(terms, error),
        ConnectError::Socks(error) => socks_error(terms, *error),
        ConnectError::Proxy(error) => proxy_error(terms, error),
        ConnectError::Io(error) => posix(terms, error),
    }
}

/// Why a connection is down: `closed`, `normal` or `{error, Reason}`. Where a ping has ended the connection, the reason
/// names the ping, as in gun.
pub fn down_reason<T: Terms>(terms: T, reason: &DownReason, ping: Option<T::Term>) -> T::Term {
    match (reason, ping) {
        (DownReason::Closed, _) => terms.name(Name::Closed),
        (DownReason::Normal, _) => terms.name(Name::Normal),
        // As in gun it stands alone where the connection was up before.
        (DownReason::Tls(error), _) => tls_alert(terms, error),
        (DownReason::Error(ConnectionError::PingUnsupported), Some(ping)) => {
            terms.tagged(Name::Error, terms.tagged(Name::PingUnsupportedByProtocol, ping))
        }
        (DownReason::Error(error), _) => terms.tagged(Name::Error, connection_error(terms, error)),
    }
}

/// What ended a connection.
pub fn connection_error<T: Terms>(terms: T, error: &ConnectionError) -> T::Term {
    match error {
        ConnectionError::Io(error) => posix(terms, error),
        ConnectionError::Tls(error) => tls_alert(terms, error),
        ConnectionError::Truncated => terms.name(Name::Truncated),
        ConnectionError::KeepaliveTimeout => terms.name(Name::KeepaliveTimeout),
        ConnectionError::IdleTimeout => terms.name(Name::IdleTimeout),
        ConnectionError::SendTimeout | ConnectionError::TunnelTimeout => terms.name(Name::Timeout),
        ConnectionError::Socks(error) => socks_error(terms, *error),
        ConnectionError::Proxy(error) => proxy_error(terms, error),
        ConnectionError::Timeout(wait) => timeout(terms, *wait),
        ConnectionError::Refused(refusal) => terms.tagged(Name::UpgradeRefused, terms.integer(refusal.status.into())),
        ConnectionError::Handshake(error) => handshake_error(terms, error),
        ConnectionError::Protocol(error) => protocol_error(terms, error),
        ConnectionError::Http(text) => terms.tagged(Name::HttpProtocol, terms.string(text)),
        ConnectionError::Http2(fault) => {
            terms.tuple([terms.name(Name::ConnectionError), terms.atom(fault.code.name()), terms.atom(fault.text)])
        }
        ConnectionError::LimitReached(text) => {
            terms.tuple([terms.name(Name::ConnectionError), terms.name(Name::LimitReached), terms.string(text)])
        }
        ConnectionError::RequestTooShort => terms.name(Name::RequestTooShort),
        ConnectionError::PingUnsupported => terms.name(Name::PingUnsupportedByProtocol),
        ConnectionError::OutOfMemory(_) => terms.name(Name::Enomem),
    }
}

/// Why a stream failed. `shutdown_cause` is the atom for the cause of a shutdown, and `ping` the ping that has ended the
/// connection, if one has.
pub fn stream_error<T: Terms>(
    terms: T,
    error: &StreamError<'_>,
    shutdown_cause: T::Term,
    ping: Option<T::Term>,
) -> T::Term {
    match error {
        StreamError::Handshake(error) => handshake_error(terms, error),
        StreamError::Protocol(error) => protocol_error(terms, error),
        StreamError::Closed(reason) => closed(terms, reason, ping),
        StreamError::Timeout(wait) => timeout(terms, *wait),
        StreamError::WebsocketClosing | StreamError::ConnectionCloses => terms.name(Name::Closing),
        StreamError::ShutDown => terms.tagged(Name::Closed, shutdown_cause),
        StreamError::Closing => terms.tagged(Name::Closing, shutdown_cause),
        StreamError::BadState(error) => bad_state(terms, *error),
        StreamError::Reset(code) => http2_stream_error(terms, code.name(), "Stream reset by server."),
        StreamError::Fault(fault) => http2_stream_error(terms, fault.code.name(), fault.text),
        StreamError::TooManyStreams => {
            http2_stream_error(terms, Name::TooManyStreams.text(), "Maximum concurrency limit has been reached.")
        }
        StreamError::TunnelClosed(reason) => terms.tuple([
            terms.name(Name::StreamError),
            down_reason(terms, reason, ping),
            terms.atom("Tunnel closed unexpectedly."),
        ]),
        StreamError::GoAway(code) => terms.tuple([
            terms.name(Name::Goaway),
            terms.atom(code.name()),
            terms.atom("The connection is going away. The request can be repeated."),
        ]),
    }
}

/// `{stream_error, Code, Text}`, the text an atom, as in gun.
fn http2_stream_error<T: Terms>(terms: T, code: &'static str, text: &'static str) -> T::Term {
    terms.tuple([terms.name(Name::StreamError), terms.atom(code), terms.atom(text)])
}

/// The end of a stream with its connection, as gun 1 has it.
pub(crate) fn connection_lost<T: Terms>(terms: T) -> T::Term {
    terms.tagged(Name::Closed, terms.string("The connection was lost."))
}

/// Why frames will never be sent.
pub fn not_sent<T: Terms>(terms: T, error: &NotSent<'_>) -> T::Term {
    match error {
        NotSent::BadState(error) => bad_state(terms, *error),
        NotSent::Down(reason) => closed(terms, reason, None),
        NotSent::ShutDown => terms.tagged(Name::Closing, terms.name(Name::Shutdown)),
    }
}

/// An operation that the state does not allow: `{badstate, Text}`.
pub fn bad_state<T: Terms>(terms: T, error: BadState) -> T::Term {
    terms.tagged(Name::Badstate, terms.string(&error.to_string()))
}

/// A panic in this library: `{panic, Text}`.
pub fn panic<T: Terms>(terms: T, text: &str) -> T::Term {
    terms.tagged(Name::Panic, terms.string(text))
}

/// `closed`, or with the reason of the connection's end where that is not just the end of the byte stream.
fn closed<T: Terms>(terms: T, reason: &DownReason, ping: Option<T::Term>) -> T::Term {
    match reason {
        DownReason::Closed => terms.name(Name::Closed),
        reason => terms.tagged(Name::Closed, down_reason(terms, reason, ping)),
    }
}

fn timeout<T: Terms>(terms: T, wait: Wait) -> T::Term {
    let wait = match wait {
        Wait::Upgrade => Name::Upgrade,
        Wait::Response => Name::Response,
        Wait::Body => Name::Body,
        Wait::Whole => return terms.name(Name::Timeout),
    };
    terms.tagged(Name::Timeout, terms.name(wait))
}

fn handshake_error<T: Terms>(terms: T, error: &HandshakeError) -> T::Term {
    let with_value = |name, value: &str| terms.tagged(name, terms.binary(value.as_bytes()));
    let fault = match error {
        HandshakeError::Upgrade => terms.name(Name::NotUpgrade),
        HandshakeError::Connection => terms.name(Name::Connection),
        HandshakeError::MissingAccept => terms.name(Name::MissingAccept),
        HandshakeError::WrongAccept => terms.name(Name::WrongAccept),
        HandshakeError::Extension(value) => with_value(Name::Extension, value),
        HandshakeError::ExtensionParameter(value) => with_value(Name::ExtensionParameter, value),
        HandshakeError::Subprotocol(value) => with_value(Name::Subprotocol, value),
    };
    terms.tagged(Name::WsHandshake, fault)
}

fn protocol_error<T: Terms>(terms: T, error: &ProtocolError) -> T::Term {
    let fault = match error {
        ProtocolError::ReservedBits => terms.name(Name::ReservedBits),
        ProtocolError::Opcode(opcode) => terms.tagged(Name::Opcode, terms.integer((*opcode).into())),
        ProtocolError::CloseCode(code) => terms.tagged(Name::CloseCode, terms.integer((*code).into())),
        ProtocolError::Masked => terms.name(Name::Masked),
        ProtocolError::Unmasked => terms.name(Name::Unmasked),
        ProtocolError::LengthEncoding => terms.name(Name::LengthEncoding),
        ProtocolError::ControlFragmented => terms.name(Name::ControlFragmented),
        ProtocolError::ControlTooLong => terms.name(Name::ControlTooLong),
        ProtocolError::UnexpectedContinuation => terms.name(Name::UnexpectedContinuation),
        ProtocolError::ExpectedContinuation => terms.name(Name::ExpectedContinuation),
        ProtocolError::InvalidUtf8 => terms.name(Name::InvalidUtf8),
        ProtocolError::CompressedData => terms.name(Name::CompressedData),
        ProtocolError::ClosePayload => terms.name(Name::ClosePayload),
        ProtocolError::FrameTooBig => terms.name(Name::FrameTooBig),
        ProtocolError::MessageTooBig => terms.name(Name::MessageTooBig),
    };
    terms.tagged(Name::WsProtocol, fault)
}

/// `{socks5, Reason}`, as in gun.
fn socks_error<T: Terms>(terms: T, error: SocksError) -> T::Term {
    let reason = match error {
        SocksError::GeneralFailure => terms.name(Name::GeneralSocksServerFailure),
        SocksError::NotAllowed => terms.name(Name::ConnectionNotAllowedByRuleset),
        SocksError::NetworkUnreachable => terms.name(Name::NetworkUnreachable),
        SocksError::HostUnreachable => terms.name(Name::HostUnreachable),
        SocksError::ConnectionRefused => terms.name(Name::ConnectionRefused),
        SocksError::TtlExpired => terms.name(Name::TtlExpired),
        SocksError::CommandNotSupported => terms.name(Name::CommandNotSupported),
        SocksError::AddressTypeNotSupported => terms.name(Name::AddressTypeNotSupported),
        SocksError::Unknown(number) => terms.tagged(Name::UnknownError, terms.integer(number.into())),
        SocksError::AuthFailure => terms.name(Name::UsernamePasswordAuthFailure),
        SocksError::NoAcceptableMethod => terms.name(Name::NoAcceptableMethod),
        SocksError::InvalidReply => terms.name(Name::InvalidReply),
    };
    terms.tagged(Name::Socks5, reason)
}

/// `{proxy, Reason}`: why an attempt to connect to the proxy failed, `{status, Status}`, `invalid_response` or
/// `response_too_large`.
fn proxy_error<T: Terms>(terms: T, error: &ProxyError) -> T::Term {
    let reason = match error {
        ProxyError::Connect(error) => connect_error(terms, error),
        ProxyError::Status(status) => terms.tagged(Name::Status, terms.integer((*status).into())),
        ProxyError::InvalidResponse => terms.name(Name::InvalidResponse),
        ProxyError::ResponseTooLarge => terms.name(Name::ResponseTooLarge),
    };
    terms.tagged(Name::Proxy, reason)
}

/// `{tls_alert, {Name, Text}}`, as OTP's ssl has it.
fn tls_alert<T: Terms>(terms: T, error: &TlsError) -> T::Term {
    terms.tagged(Name::TlsAlert, terms.tuple([terms.atom(error.alert), terms.string(&error.text)]))
}

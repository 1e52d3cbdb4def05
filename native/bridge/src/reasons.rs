//! From the engine's errors to the terms of the contract. The one place where a reason gets its shape.

use std::io;

use gun_rs_engine::error::{BadState, ConnectError, ConnectionError, DownReason, HandshakeError, ProtocolError, Wait};
use gun_rs_engine::event::{NotSent, StreamError};
use gun_rs_engine::transport::tls::TlsError;
use rustler::{Atom, Encoder, Env, NewBinary, Term};

mod atoms {
    rustler::atoms! {
        badstate,
        body,
        close_code,
        close_payload,
        closed,
        closing,
        compressed_data,
        connection,
        connection_error,
        control_fragmented,
        control_too_long,
        enomem,
        error,
        expected_continuation,
        extension,
        extension_parameter,
        frame_too_big,
        http_protocol,
        invalid_utf8,
        keepalive_timeout,
        length_encoding,
        limit_reached,
        masked,
        message_too_big,
        missing_accept,
        normal,
        not_upgrade,
        nxdomain,
        opcode,
        panic,
        ping_unsupported_by_protocol,
        posix,
        request_too_short,
        reserved_bits,
        response,
        resolver_busy,
        shutdown,
        subprotocol,
        timeout,
        tls_alert,
        truncated,
        unexpected_continuation,
        upgrade,
        upgrade_refused,
        ws_handshake,
        ws_protocol,
        wrong_accept,
    }
}

/// Why an attempt to connect failed: a POSIX atom, `nxdomain`, `resolver_busy`, `timeout`, `closed` or
/// `{tls_alert, {Name, Text}}`.
pub(crate) fn connect_error<'a>(env: Env<'a>, error: &ConnectError) -> Term<'a> {
    match error {
        ConnectError::NameNotFound => atoms::nxdomain().encode(env),
        ConnectError::ResolverBusy => atoms::resolver_busy().encode(env),
        ConnectError::Timeout => atoms::timeout().encode(env),
        ConnectError::Closed => atoms::closed().encode(env),
        ConnectError::Tls(error) => tls_alert(env, error),
        ConnectError::Io(error) => posix(env, error),
    }
}

/// Why a connection is down: `closed`, `normal` or `{error, Reason}`.
pub(crate) fn down_reason<'a>(env: Env<'a>, reason: &DownReason) -> Term<'a> {
    match reason {
        DownReason::Closed => atoms::closed().encode(env),
        DownReason::Normal => atoms::normal().encode(env),
        DownReason::Error(error) => (atoms::error(), connection_error(env, error)).encode(env),
    }
}

/// What ended a connection.
pub(crate) fn connection_error<'a>(env: Env<'a>, error: &ConnectionError) -> Term<'a> {
    match error {
        ConnectionError::Io(error) => posix(env, error),
        ConnectionError::Tls(error) => tls_alert(env, error),
        ConnectionError::Truncated => atoms::truncated().encode(env),
        ConnectionError::KeepaliveTimeout => atoms::keepalive_timeout().encode(env),
        ConnectionError::SendTimeout => atoms::timeout().encode(env),
        ConnectionError::Timeout(wait) => timed_out(env, *wait),
        ConnectionError::Refused(refusal) => (atoms::upgrade_refused(), refusal.status).encode(env),
        ConnectionError::Handshake(error) => handshake_error(env, error),
        ConnectionError::Protocol(error) => protocol_error(env, error),
        ConnectionError::Http(text) => (atoms::http_protocol(), string(env, text)).encode(env),
        ConnectionError::LimitReached(text) => {
            (atoms::connection_error(), atoms::limit_reached(), string(env, text)).encode(env)
        }
        ConnectionError::RequestTooShort => atoms::request_too_short().encode(env),
        ConnectionError::PingUnsupported => atoms::ping_unsupported_by_protocol().encode(env),
        ConnectionError::OutOfMemory(_) => atoms::enomem().encode(env),
    }
}

/// Why a stream failed; where that is a shutdown, with the word for its cause.
pub(crate) fn stream_error<'a>(env: Env<'a>, error: &StreamError<'_>, shutdown_cause: Atom) -> Term<'a> {
    match error {
        StreamError::Handshake(error) => handshake_error(env, error),
        StreamError::Protocol(error) => protocol_error(env, error),
        StreamError::Closed(DownReason::Closed) => atoms::closed().encode(env),
        StreamError::Closed(reason) => (atoms::closed(), down_reason(env, reason)).encode(env),
        StreamError::Timeout(wait) => timed_out(env, *wait),
        StreamError::WebsocketClosing | StreamError::ConnectionCloses => atoms::closing().encode(env),
        StreamError::ShutDown => (atoms::closed(), shutdown_cause).encode(env),
        StreamError::Closing => (atoms::closing(), shutdown_cause).encode(env),
        StreamError::BadState(error) => bad_state(env, *error),
    }
}

fn timed_out(env: Env<'_>, wait: Wait) -> Term<'_> {
    let wait = match wait {
        Wait::Upgrade => atoms::upgrade(),
        Wait::Response => atoms::response(),
        Wait::Body => atoms::body(),
    };
    (atoms::timeout(), wait).encode(env)
}

/// The end of a stream with its connection, as gun 1 has it.
pub(crate) fn connection_lost(env: Env<'_>) -> Term<'_> {
    (atoms::closed(), string(env, "The connection was lost.")).encode(env)
}

/// Why frames will never be sent.
pub(crate) fn not_sent<'a>(env: Env<'a>, error: &NotSent<'_>) -> Term<'a> {
    match error {
        NotSent::BadState(error) => bad_state(env, *error),
        NotSent::Down(DownReason::Closed) => atoms::closed().encode(env),
        NotSent::Down(reason) => (atoms::closed(), down_reason(env, reason)).encode(env),
        NotSent::ShutDown => (atoms::closing(), atoms::shutdown()).encode(env),
    }
}

/// An operation that the state does not allow: `{badstate, Text}`.
pub(crate) fn bad_state(env: Env<'_>, error: BadState) -> Term<'_> {
    (atoms::badstate(), string(env, &error.to_string())).encode(env)
}

/// A panic of ours, or the end by one: `{panic, Text}`.
pub(crate) fn panic<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    (atoms::panic(), string(env, text)).encode(env)
}

fn handshake_error<'a>(env: Env<'a>, error: &HandshakeError) -> Term<'a> {
    let what = match error {
        HandshakeError::Upgrade => atoms::not_upgrade().encode(env),
        HandshakeError::Connection => atoms::connection().encode(env),
        HandshakeError::MissingAccept => atoms::missing_accept().encode(env),
        HandshakeError::WrongAccept => atoms::wrong_accept().encode(env),
        HandshakeError::Extension(value) => (atoms::extension(), binary(env, value)).encode(env),
        HandshakeError::ExtensionParameter(value) => (atoms::extension_parameter(), binary(env, value)).encode(env),
        HandshakeError::Subprotocol(value) => (atoms::subprotocol(), binary(env, value)).encode(env),
    };
    (atoms::ws_handshake(), what).encode(env)
}

fn protocol_error<'a>(env: Env<'a>, error: &ProtocolError) -> Term<'a> {
    let what = match error {
        ProtocolError::ReservedBits => atoms::reserved_bits(),
        ProtocolError::Opcode(opcode) => {
            return (atoms::ws_protocol(), (atoms::opcode(), *opcode)).encode(env);
        }
        ProtocolError::CloseCode(code) => {
            return (atoms::ws_protocol(), (atoms::close_code(), *code)).encode(env);
        }
        ProtocolError::Masked => atoms::masked(),
        ProtocolError::LengthEncoding => atoms::length_encoding(),
        ProtocolError::ControlFragmented => atoms::control_fragmented(),
        ProtocolError::ControlTooLong => atoms::control_too_long(),
        ProtocolError::UnexpectedContinuation => atoms::unexpected_continuation(),
        ProtocolError::ExpectedContinuation => atoms::expected_continuation(),
        ProtocolError::InvalidUtf8 => atoms::invalid_utf8(),
        ProtocolError::CompressedData => atoms::compressed_data(),
        ProtocolError::ClosePayload => atoms::close_payload(),
        ProtocolError::FrameTooBig => atoms::frame_too_big(),
        ProtocolError::MessageTooBig => atoms::message_too_big(),
    };
    (atoms::ws_protocol(), what).encode(env)
}

/// `{tls_alert, {Name, Text}}`, as OTP's ssl has it.
fn tls_alert<'a>(env: Env<'a>, error: &TlsError) -> Term<'a> {
    let name = Atom::from_str(env, error.alert).map_or_else(|_| atoms::error().encode(env), |name| name.encode(env));
    (atoms::tls_alert(), (name, string(env, &error.text))).encode(env)
}

/// A text for a person: an Erlang string, as gun's are.
pub(crate) fn string<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    text.chars().map(u32::from).collect::<Vec<_>>().encode(env)
}

fn binary<'a>(env: Env<'a>, text: &str) -> Term<'a> {
    NewBinary::from_slice(env, text.as_bytes()).into()
}

/// The POSIX atom of an error of the operating system, as `inet` has them; `{posix, Number}` for one that is not here.
pub(crate) fn posix<'a>(env: Env<'a>, error: &io::Error) -> Term<'a> {
    let name = match error.raw_os_error() {
        Some(libc::EACCES) => "eacces",
        Some(libc::EADDRINUSE) => "eaddrinuse",
        Some(libc::EADDRNOTAVAIL) => "eaddrnotavail",
        Some(libc::EAFNOSUPPORT) => "eafnosupport",
        Some(libc::EAGAIN) => "eagain",
        Some(libc::EALREADY) => "ealready",
        Some(libc::EBADF) => "ebadf",
        Some(libc::EBUSY) => "ebusy",
        Some(libc::ECONNABORTED) => "econnaborted",
        Some(libc::ECONNREFUSED) => "econnrefused",
        Some(libc::ECONNRESET) => "econnreset",
        Some(libc::EDESTADDRREQ) => "edestaddrreq",
        Some(libc::EFAULT) => "efault",
        Some(libc::EHOSTDOWN) => "ehostdown",
        Some(libc::EHOSTUNREACH) => "ehostunreach",
        Some(libc::EINPROGRESS) => "einprogress",
        Some(libc::EINTR) => "eintr",
        Some(libc::EINVAL) => "einval",
        Some(libc::EIO) => "eio",
        Some(libc::EISCONN) => "eisconn",
        Some(libc::EISDIR) => "eisdir",
        Some(libc::ELOOP) => "eloop",
        Some(libc::EMFILE) => "emfile",
        Some(libc::EMSGSIZE) => "emsgsize",
        Some(libc::ENAMETOOLONG) => "enametoolong",
        Some(libc::ENETDOWN) => "enetdown",
        Some(libc::ENETRESET) => "enetreset",
        Some(libc::ENETUNREACH) => "enetunreach",
        Some(libc::ENFILE) => "enfile",
        Some(libc::ENOBUFS) => "enobufs",
        Some(libc::ENODEV) => "enodev",
        Some(libc::ENOENT) => "enoent",
        Some(libc::ENOMEM) => "enomem",
        Some(libc::ENOPROTOOPT) => "enoprotoopt",
        Some(libc::ENOSPC) => "enospc",
        Some(libc::ENOSYS) => "enosys",
        Some(libc::ENOTCONN) => "enotconn",
        Some(libc::ENOTDIR) => "enotdir",
        Some(libc::ENOTSOCK) => "enotsock",
        Some(libc::ENXIO) => "enxio",
        Some(libc::EOPNOTSUPP) => "eopnotsupp",
        Some(libc::EPERM) => "eperm",
        Some(libc::EPFNOSUPPORT) => "epfnosupport",
        Some(libc::EPIPE) => "epipe",
        Some(libc::EPROTO) => "eproto",
        Some(libc::EPROTONOSUPPORT) => "eprotonosupport",
        Some(libc::EPROTOTYPE) => "eprototype",
        Some(libc::EROFS) => "erofs",
        Some(libc::ESHUTDOWN) => "eshutdown",
        Some(libc::ESOCKTNOSUPPORT) => "esocktnosupport",
        Some(libc::ESTALE) => "estale",
        Some(libc::ETIMEDOUT) => "etimedout",
        Some(libc::ETOOMANYREFS) => "etoomanyrefs",
        Some(number) => return (atoms::posix(), number).encode(env),
        None => match error.kind() {
            io::ErrorKind::TimedOut => "etimedout",
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "econnreset",
            io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero => "epipe",
            _ => "eio",
        },
    };
    Atom::from_str(env, name).map_or_else(|_| atoms::closed().encode(env), |atom| atom.encode(env))
}

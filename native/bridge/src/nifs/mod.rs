//! What Erlang calls (`gun_rs_native`). Every NIF decodes, enqueues and returns; none waits for I/O.

mod broadcast;
mod connection;
mod pool;
mod request;
mod runtime;
mod served;
mod server;
mod websocket;

use std::sync::Arc;

use gun_rs_engine::QueueFull;
use gun_rs_engine::transport::tls::TlsClient;
use gun_rs_terms::{Dialect, InvalidTerm, Messages, Terms};
use http::{HeaderName, HeaderValue, Uri};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, ResourceArc, Term};

use crate::frames::Refused;
use crate::registry::{self, Connection};
use crate::tls;
use crate::vm::{Vm, VmTerm};

mod atoms {
    rustler::atoms! {
        about,
        accepted,
        active,
        bytes_in,
        bytes_out,
        closing,
        compressed,
        connecting,
        connections,
        error,
        file,
        fin,
        follower,
        frames_in,
        frames_out,
        full,
        gone,
        gun_rs_native,
        handshake_failures,
        http,
        http2,
        idle,
        infinity,
        invalid,
        iodata,
        invalid_header,
        invalid_method,
        invalid_target,
        no_conn,
        not_started,
        ok,
        proxy,
        raw,
        refused,
        receipt,
        relay,
        remote,
        send_queue,
        send_queue_full,
        socks,
        stream,
        stream_over,
        streamed,
        tasks,
        too_much,
        truncated,
        tunnel,
        uncompressed,
        undefined,
        upgraded,
        waiting,
        ws,
    }
}

/// The connection behind `pid`, for a command that modules of the user's may have something to add to. Otherwise what to
/// answer: `no_conn`, or `relay` where the process behind the connection must give the command.
fn connection_for(env: Env<'_>, pid: LocalPid) -> Result<ResourceArc<Connection>, Atom> {
    match registry::get(&pid) {
        None => Err(atoms::no_conn()),
        Some(connection) if connection.processed && env.pid() != pid => Err(atoms::relay()),
        Some(connection) => Ok(connection),
    }
}

/// A configuration of TLS within other options.
fn find_tls(config: &VmTerm<'_>) -> Result<Arc<TlsClient>, InvalidTerm> {
    tls::client(config.0).map_err(|_| InvalidTerm)
}

/// What stands before a request's body.
type Head = (Uri, Vec<(HeaderName, HeaderValue)>);

/// Headers as Erlang gives them.
type HeaderTerms<'a> = Vec<(Binary<'a>, Binary<'a>)>;

/// The head, or what is wrong with it.
fn head<'a>(env: Env<'a>, target: Binary<'a>, headers: HeaderTerms<'a>) -> Result<Head, Term<'a>> {
    let Ok(target) = Uri::try_from(target.as_slice()) else {
        return Err((atoms::error(), atoms::invalid_target()).encode(env));
    };
    Ok((target, parse_headers(env, headers)?))
}

/// The headers, or which one is invalid.
fn parse_headers<'a>(env: Env<'a>, headers: HeaderTerms<'a>) -> Result<Vec<(HeaderName, HeaderValue)>, Term<'a>> {
    let mut parsed = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let header = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value));
        let (Ok(header_name), Ok(header_value)) = header else {
            return Err((atoms::error(), (atoms::invalid_header(), name)).encode(env));
        };
        parsed.push((header_name, header_value));
    }
    Ok(parsed)
}

/// The answer to frames that are not taken.
fn refused_term<'a>(env: Env<'a>, refused: Refused<'a>) -> Term<'a> {
    match refused {
        Refused::Invalid(frame, text) => (atoms::invalid(), frame, Vm(env).string(text)).encode(env),
        Refused::Iodata => atoms::iodata().encode(env),
        Refused::TooMuch => atoms::too_much().encode(env),
    }
}

/// The answer to a command that opens a stream. Only the NIF knows who is sent the error of a full queue.
fn opened<'a>(
    env: Env<'a>,
    sent: Result<(), QueueFull>,
    (pid, dialect): (LocalPid, Dialect),
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
) -> Term<'a> {
    match sent {
        Ok(()) => atoms::ok().encode(env),
        Err(QueueFull) => (atoms::send_queue_full(), queue_full(env, pid, dialect, stream_ref), reply_to).encode(env),
    }
}

/// The message about what the queue has no room for, for the caller to send.
fn queue_full<'a>(env: Env<'a>, pid: LocalPid, dialect: Dialect, stream_ref: Term<'a>) -> Term<'a> {
    let stream = (atoms::undefined() != stream_ref).then_some(stream_ref);
    Messages::new(Vm(env), dialect, pid.encode(env)).queue_full(stream)
}

//! What Erlang calls (`gun_rs_native`). Every NIF decodes, enqueues and returns; none waits for I/O.

mod connection;
mod request;
mod runtime;
mod websocket;

use gun_rs_engine::QueueFull;
use gun_rs_terms::{Dialect, Messages};
use http::{HeaderName, HeaderValue, Uri};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, ResourceArc, Term};

use crate::registry::{self, Connection};
use crate::vm::Vm;

mod atoms {
    rustler::atoms! {
        bytes_in,
        bytes_out,
        closing,
        compressed,
        connecting,
        connections,
        error,
        fin,
        frames_in,
        frames_out,
        http,
        idle,
        invalid,
        iodata,
        invalid_header,
        invalid_method,
        invalid_target,
        no_conn,
        not_started,
        ok,
        relay,
        remote,
        send_queue,
        send_queue_full,
        streamed,
        tasks,
        too_much,
        truncated,
        uncompressed,
        undefined,
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

/// What stands before a request's body.
type Head = (Uri, Vec<(HeaderName, HeaderValue)>);

/// Headers as Erlang gives them.
type HeaderTerms<'a> = Vec<(Binary<'a>, Binary<'a>)>;

/// The head, or what is wrong with it.
fn head<'a>(env: Env<'a>, target: Binary<'a>, headers: HeaderTerms<'a>) -> Result<Head, Term<'a>> {
    let Ok(target) = Uri::try_from(target.as_slice()) else {
        return Err((atoms::error(), atoms::invalid_target()).encode(env));
    };
    let mut parsed = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let header = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value));
        let (Ok(header_name), Ok(header_value)) = header else {
            return Err((atoms::error(), (atoms::invalid_header(), name)).encode(env));
        };
        parsed.push((header_name, header_value));
    }
    Ok((target, parsed))
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

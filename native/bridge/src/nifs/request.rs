//! Requests and their bodies.

use bytes::Bytes;
use gun_rs_engine::QueueFull;
use gun_rs_engine::{Body, Request, RequestData, StreamCommand};
use gun_rs_terms::options;
use http::Method;
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, Term};

use super::{HeaderTerms, atoms, connection_for, head, opened, queue_full};
use crate::receiver::Receiver;
use crate::stream::{Purpose, Stream, StreamId};
use crate::vm::{VmTerm, badarg};

/// Makes a request of `{Method, Target, Headers, Body}`, with the limits `{Flow, ResponseTimeout, BodyTimeout}`. The body
/// is a binary, or `{streamed, Length}` if it is to follow; no length is `undefined`.
#[rustler::nif]
fn http_request<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    request: RequestTerm<'a>,
    limits: LimitsTerm<'a>,
) -> NifResult<Term<'a>> {
    make_request(env, pid, stream_ref, reply_to, request, limits)
}

/// The same for headers and a body that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn http_request_dirty<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    request: RequestTerm<'a>,
    limits: LimitsTerm<'a>,
) -> NifResult<Term<'a>> {
    make_request(env, pid, stream_ref, reply_to, request, limits)
}

type LimitsTerm<'a> = (Term<'a>, Term<'a>, Term<'a>);

type RequestTerm<'a> = (Binary<'a>, Binary<'a>, HeaderTerms<'a>, Term<'a>);

fn make_request<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    (method, target, headers, body): RequestTerm<'a>,
    (flow, response_timeout, body_timeout): LimitsTerm<'a>,
) -> NifResult<Term<'a>> {
    let Ok(method) = Method::from_bytes(method.as_slice()) else {
        return Ok((atoms::error(), atoms::invalid_method()).encode(env));
    };
    let (target, headers) = match head(env, target, headers) {
        Ok(head) => head,
        Err(error) => return Ok(error),
    };
    let connection = match connection_for(env, pid) {
        Ok(connection) => connection,
        Err(answer) => return Ok(answer.encode(env)),
    };
    let request = StreamCommand::Request(Box::new(Request {
        stream: Stream::new(stream_ref, reply_to, Purpose::Request),
        caller: Receiver::from(reply_to),
        method,
        target,
        headers,
        body: request_body(body)?,
        flow: if atoms::undefined() == flow {
            connection.flow
        } else {
            options::flow(&VmTerm(flow)).map_err(badarg)?
        },
        response_timeout: options::timeout(&VmTerm(response_timeout)).map_err(badarg)?,
        body_timeout: options::timeout(&VmTerm(body_timeout)).map_err(badarg)?,
    }));
    let sent = connection.handle.try_send(request);
    Ok(opened(env, sent, (pid, connection.origin.dialect), stream_ref, reply_to))
}

fn request_body(body: Term<'_>) -> NifResult<Body> {
    if let Ok(whole) = body.decode::<Binary<'_>>() {
        return Ok(Body::Whole(Bytes::copy_from_slice(whole.as_slice())));
    }
    let (streamed, length): (Atom, Term<'_>) = body.decode()?;
    if atoms::streamed() != streamed {
        return Err(Error::BadArg);
    }
    Ok(Body::Streamed(if atoms::undefined() == length { None } else { Some(length.decode()?) }))
}

/// Continues the body of a request. `caller` is sent an error where there is no body to continue.
#[rustler::nif]
fn http_data<'a>(
    env: Env<'a>,
    pid: LocalPid,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    fin: Atom,
    data: Binary<'a>,
) -> Term<'a> {
    send_data(env, pid, caller, stream_ref, fin, data)
}

/// The same for data that is too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn http_data_dirty<'a>(
    env: Env<'a>,
    pid: LocalPid,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    fin: Atom,
    data: Binary<'a>,
) -> Term<'a> {
    send_data(env, pid, caller, stream_ref, fin, data)
}

fn send_data<'a>(
    env: Env<'a>,
    pid: LocalPid,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    fin: Atom,
    data: Binary<'a>,
) -> Term<'a> {
    let connection = match connection_for(env, pid) {
        Ok(connection) => connection,
        Err(answer) => return answer.encode(env),
    };
    let data = StreamCommand::Data(Box::new(RequestData {
        stream: StreamId::new(stream_ref),
        caller: caller.into(),
        data: Bytes::copy_from_slice(data.as_slice()),
        fin: atoms::fin() == fin,
    }));
    match connection.handle.try_send(data) {
        Ok(()) => atoms::ok().encode(env),
        Err(QueueFull) => {
            (atoms::send_queue_full(), queue_full(env, pid, connection.origin.dialect, stream_ref)).encode(env)
        }
    }
}

/// Cancels a stream: no further message is sent for it.
#[rustler::nif]
fn http_cancel(env: Env<'_>, pid: LocalPid, caller: Term<'_>, stream_ref: Term<'_>) -> Atom {
    let connection = match connection_for(env, pid) {
        Ok(connection) => connection,
        Err(answer) => return answer,
    };
    connection.handle.send(StreamCommand::Cancel(Box::new((StreamId::new(stream_ref), caller.into()))));
    atoms::ok()
}

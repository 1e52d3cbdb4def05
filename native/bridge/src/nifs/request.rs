//! Requests and their bodies.

use std::sync::Arc;

use bytes::Bytes;
use gun_rs_engine::QueueFull;
use gun_rs_engine::command::TimeLimit;
use gun_rs_engine::options::Flow;
use gun_rs_engine::{Body, Command, Request, RequestData, State, StreamCommand};
use gun_rs_terms::options;
use http::Method;
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, LocalPid, NifResult, Term};

use super::{HeaderTerms, atoms, connection_for, find_tls, head, opened, queue_full};
use crate::lease::{Lease, LeaseTerm};
use crate::receiver::Receiver;
use crate::sink::Control;
use crate::stream::{Purpose, Stream, StreamId};
use crate::vm::{OwnedTerm, VmTerm, badarg};

/// Makes a request of `{Method, Target, Headers, Body}`, with the limits `{Flow, ResponseTimeout, BodyTimeout}`, or with
/// those and the timeout of the whole, and then with the lease of a pool, which the stream takes over. The body is a binary,
/// or `{streamed, Length}` if it is to follow; no length is `undefined`. With `{tunnel, Destination}` the request is a CONNECT.
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

/// The limits, and the lease if there is one. A node with 0.3.0 knows three of them, and sends as many.
struct LimitsTerm<'a> {
    flow: Term<'a>,
    response: Term<'a>,
    body: Term<'a>,
    whole: Option<Term<'a>>,
    lease: Option<LeaseTerm>,
}

impl<'a> Decoder<'a> for LimitsTerm<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if let Ok((flow, response, body)) = term.decode() {
            return Ok(Self { flow, response, body, whole: None, lease: None });
        }
        if let Ok((flow, response, body, whole)) = term.decode() {
            return Ok(Self { flow, response, body, whole: Some(whole), lease: None });
        }
        let (flow, response, body, whole, lease) = term.decode()?;
        Ok(Self { flow, response, body, whole: Some(whole), lease: Some(lease) })
    }
}

type RequestTerm<'a> = (Binary<'a>, Binary<'a>, HeaderTerms<'a>, Term<'a>);

fn make_request<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    (method, target, headers, body): RequestTerm<'a>,
    limits: LimitsTerm<'a>,
) -> NifResult<Term<'a>> {
    // The time that the call itself takes counts.
    let timeout = limits.whole.map_or(Ok(None), |whole| options::timeout(&VmTerm(whole))).map_err(badarg)?;
    let timeout = timeout.map(TimeLimit::from_now);
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
    let load = &connection.load;
    let lease = limits.lease.and_then(|lease| lease.0.hand_over(load)).unwrap_or_else(|| Lease::new(load));
    let request = StreamCommand::Request(Box::new(Request {
        stream: Stream::new(stream_ref, reply_to, Purpose::Request).leased(lease),
        caller: Receiver::from(reply_to),
        method,
        target,
        headers,
        body: request_body(body)?,
        flow: flow_of(limits.flow)?,
        response_timeout: options::timeout(&VmTerm(limits.response)).map_err(badarg)?,
        body_timeout: options::timeout(&VmTerm(limits.body)).map_err(badarg)?,
        timeout,
    }));
    let sent = connection.handle.try_send(request);
    Ok(opened(env, sent, (pid, connection.origin.dialect), stream_ref, reply_to))
}

fn flow_of(flow: Term<'_>) -> NifResult<Option<Flow>> {
    if atoms::undefined() == flow { Ok(None) } else { options::flow(&VmTerm(flow)).map(Some).map_err(badarg) }
}

fn request_body(body: Term<'_>) -> NifResult<Body> {
    if let Ok(whole) = body.decode::<Binary<'_>>() {
        return Ok(Body::Whole(Bytes::copy_from_slice(whole.as_slice())));
    }
    let (streamed, length): (Atom, Term<'_>) = body.decode()?;
    if atoms::tunnel() == streamed {
        let destination = options::destination(&VmTerm(length), &find_tls).map_err(badarg)?;
        return Ok(Body::Tunnel(Arc::new(destination)));
    }
    if atoms::streamed() != streamed {
        return Err(Error::BadArg);
    }
    Ok(Body::Streamed(if atoms::undefined() == length { None } else { Some(length.decode()?) }))
}

/// Continues the body of a request. `caller` is sent an error where there is no body to continue. It may be `{receipt,
/// Receipt}`: then the process behind the connection gets the receipt back when the operating system has the data.
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
    // The process behind the connection waits for it in the name of whoever the receipt is for.
    let receipt = caller.decode::<(Atom, Term<'_>)>().ok().filter(|(tag, _)| atoms::receipt() == *tag);
    let data = StreamCommand::Data(Box::new(RequestData {
        stream: StreamId::new(stream_ref),
        caller: caller.into(),
        data: Bytes::copy_from_slice(data.as_slice()),
        fin: atoms::fin() == fin,
        receipt: receipt.map(|(_, receipt)| OwnedTerm::new(receipt)),
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
    let stream = StreamId::new(stream_ref);
    let is_http2 = connection.handle.state() == State::Http2;
    connection.handle.send(StreamCommand::Cancel(Box::new((stream.clone(), caller.into()))));
    if is_http2 {
        connection.handle.send(Command::Control(Box::new(Control::Cancelled(stream))));
    }
    atoms::ok()
}

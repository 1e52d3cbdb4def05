//! The connections that listeners have accepted, for their processes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use gun_rs_engine::command::{Item, Reply};
use gun_rs_engine::websocket::handshake::server::negotiate;
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::{
    AcceptUpgrade, Command, Inform, Outgoing, QueueFull, RequestData, Respond, ResponseBody, StreamCommand,
};
use gun_rs_terms::options::{served_ws_options, tune};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderValue, StatusCode};
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, ResourceArc, Term};

use super::connection::stats_map;
use super::{HeaderTerms, atoms, parse_headers};
use crate::frames::{Encoded, Scheduler, encode_frames};
use crate::payload::HeldBinary;
use crate::served::sink::ServedSink;
use crate::served::{self, Served, ServedConn};
use crate::vm::{VmTerm, badarg};

type Conn = ResourceArc<ServedConn>;

/// Makes the caller the connection's process.
#[rustler::nif]
fn served_own(env: Env<'_>, conn: Conn) -> Atom {
    if served::own(&conn.0, env) { atoms::ok() } else { atoms::gone() }
}

/// The processes of the connections that a listener has accepted, and those that have come into its place.
#[rustler::nif(schedule = "DirtyCpu")]
fn served_pids(first: LocalPid) -> Vec<LocalPid> {
    served::accepted_by(&first)
}

/// Answers a request. What follows of the body comes by `served_data`.
#[rustler::nif]
fn served_respond<'a>(
    env: Env<'a>,
    conn: Conn,
    id: u64,
    status: u16,
    reason: Binary<'a>,
    headers: HeaderTerms<'a>,
    body: Term<'a>,
) -> NifResult<Term<'a>> {
    respond(env, &conn.0, id, (status, reason), headers, body)
}

/// The same for a body that is too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn served_respond_dirty<'a>(
    env: Env<'a>,
    conn: Conn,
    id: u64,
    status: u16,
    reason: Binary<'a>,
    headers: HeaderTerms<'a>,
    body: Term<'a>,
) -> NifResult<Term<'a>> {
    respond(env, &conn.0, id, (status, reason), headers, body)
}

fn respond<'a>(
    env: Env<'a>,
    served: &Served,
    id: u64,
    (status, reason): (u16, Binary<'a>),
    headers: HeaderTerms<'a>,
    body: Term<'a>,
) -> NifResult<Term<'a>> {
    let headers = match parse_headers(env, headers) {
        Ok(headers) => headers,
        Err(error) => return Ok(error),
    };
    let status = StatusCode::from_u16(status).map_err(|_| Error::BadArg)?;
    let reason = (!reason.is_empty()).then(|| reason.to_vec().into());
    let body = response_body(body)?;
    let respond = Respond { stream: id, caller: (), status, reason, headers, body };
    Ok(sent(served, StreamCommand::Respond(Box::new(respond))).encode(env))
}

/// A binary, `{stream, Length | undefined}` or `{file, Path, Offset, Length}`.
fn response_body(body: Term<'_>) -> NifResult<ResponseBody> {
    if let Ok(bytes) = body.decode::<Binary<'_>>() {
        return Ok(ResponseBody::Whole(bytes.to_vec().into()));
    }
    if let Ok((kind, length)) = body.decode::<(Atom, Term<'_>)>()
        && kind == atoms::stream()
    {
        let length = if atoms::undefined() == length { None } else { Some(length.decode()?) };
        return Ok(ResponseBody::Streamed(length));
    }
    let (kind, path, offset, length): (Atom, Binary<'_>, u64, u64) = body.decode()?;
    if kind != atoms::file() {
        return Err(Error::BadArg);
    }
    let path = PathBuf::from(OsStr::from_bytes(&path));
    Ok(ResponseBody::File { path, offset, length })
}

/// Goes on with a response's body.
#[rustler::nif]
fn served_data(conn: Conn, id: u64, fin: Atom, data: Binary<'_>) -> Atom {
    send_data(&conn.0, id, fin, data)
}

/// The same for data that is too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn served_data_dirty(conn: Conn, id: u64, fin: Atom, data: Binary<'_>) -> Atom {
    send_data(&conn.0, id, fin, data)
}

fn send_data(served: &Served, id: u64, fin: Atom, data: Binary<'_>) -> Atom {
    let data =
        RequestData { stream: id, caller: (), data: data.to_vec().into(), fin: fin == atoms::fin(), receipt: None };
    sent(served, StreamCommand::Data(Box::new(data)))
}

/// An informational response.
#[rustler::nif]
fn served_inform<'a>(env: Env<'a>, conn: Conn, id: u64, status: u16, headers: HeaderTerms<'a>) -> NifResult<Term<'a>> {
    let headers = match parse_headers(env, headers) {
        Ok(headers) => headers,
        Err(error) => return Ok(error),
    };
    let status = StatusCode::from_u16(status).map_err(|_| Error::BadArg)?;
    let inform = Inform { stream: id, caller: (), status, headers };
    Ok(sent(&conn.0, StreamCommand::Inform(Box::new(inform))).encode(env))
}

/// The end of a response's body.
#[rustler::nif]
fn served_trailers<'a>(env: Env<'a>, conn: Conn, id: u64, headers: HeaderTerms<'a>) -> Term<'a> {
    match parse_headers(env, headers) {
        Ok(headers) => sent(&conn.0, StreamCommand::ResponseTrailers(Box::new((id, headers)))).encode(env),
        Err(error) => error,
    }
}

/// So many more parts of a request's body may come.
#[rustler::nif]
fn served_read(conn: Conn, id: u64, parts: i64) -> Atom {
    sent(&conn.0, StreamCommand::UpdateFlow(Some(Box::new(id)), parts))
}

/// Answers by 101, with what is agreed on of the extensions that the client offers.
#[rustler::nif]
fn served_accept<'a>(
    env: Env<'a>,
    conn: Conn,
    id: u64,
    key: Binary<'a>,
    headers: HeaderTerms<'a>,
    options: Term<'a>,
    offers: Term<'a>,
) -> NifResult<Term<'a>> {
    let mut headers = match parse_headers(env, headers) {
        Ok(headers) => headers,
        Err(error) => return Ok(error),
    };
    let options = served_ws_options(&VmTerm(options)).map_err(badarg)?;
    let offers = offers.decode::<Binary<'_>>().ok();
    let offers = offers.as_ref().and_then(|offers| std::str::from_utf8(offers).ok());
    let agreed = match (&options.compress, offers) {
        (Some(deflate), Some(offers)) => negotiate(offers, deflate),
        _ => None,
    };
    let deflate = agreed.and_then(|(agreed, answer)| {
        headers.push((SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(&answer).ok()?));
        Some(agreed)
    });
    let key = HeaderValue::from_bytes(&key).map_err(|_| Error::BadArg)?;
    let accept = AcceptUpgrade { stream: id, caller: (), key, headers, options: Box::new(options), deflate };
    Ok(sent(&conn.0, StreamCommand::Accept(Box::new(accept))).encode(env))
}

/// Sends frames of the WebSocket that the connection is.
#[rustler::nif]
fn served_ws_send<'a>(env: Env<'a>, conn: Conn, frames: Term<'a>) -> Term<'a> {
    ws_send(env, &conn.0, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn served_ws_send_dirty<'a>(env: Env<'a>, conn: Conn, frames: Term<'a>) -> Term<'a> {
    ws_send(env, &conn.0, frames, Scheduler::Dirty)
}

fn ws_send<'a>(env: Env<'a>, served: &Served, frames: Term<'a>, scheduler: Scheduler) -> Term<'a> {
    let compresses = served.handle.compresses(None);
    let result = encode_frames(Role::Server, frames, scheduler, compresses, |encoded| match encoded {
        Encoded::Frames(frames @ 1.., bytes) => served.handle.try_send_frames(None, (), frames, bytes),
        encoded => served.handle.try_send(outgoing(encoded.into_items())),
    });
    match result {
        Ok(Ok(())) => atoms::ok().encode(env),
        Ok(Err(QueueFull)) => atoms::send_queue_full().encode(env),
        Err(refused) => super::refused_term(env, refused),
    }
}

pub(super) fn outgoing(items: Vec<Item<HeldBinary>>) -> StreamCommand<ServedSink> {
    StreamCommand::Send(Box::new(Outgoing::new(None, Reply::Caller(()), items)))
}

/// Changes a WebSocket that is open.
#[rustler::nif]
fn served_ws_tune(conn: Conn, options: Term<'_>) -> NifResult<Atom> {
    Ok(sent(&conn.0, StreamCommand::Tune(Box::new(tune(&VmTerm(options)).map_err(badarg)?))))
}

/// The process keeps up.
#[rustler::nif]
fn served_flow_grant(conn: Conn, id: u64) -> Atom {
    conn.0.handle.send(StreamCommand::FlowGrant(Box::new(id)));
    atoms::ok()
}

/// The process has answered what came before a fault.
#[rustler::nif]
fn served_settled(conn: Conn, id: u64) -> Atom {
    conn.0.handle.send(StreamCommand::Settled(Box::new(id)));
    atoms::ok()
}

/// Closes the connection: a WebSocket with this code.
#[rustler::nif]
fn served_close_with(conn: Conn, code: u16) -> Atom {
    conn.0.close_with(code);
    atoms::ok()
}

/// Begins the graceful end.
#[rustler::nif]
fn served_shutdown(conn: Conn) -> Atom {
    conn.0.handle.send(Command::Shutdown);
    atoms::ok()
}

/// How much the connection of this process has received and sent.
#[rustler::nif]
fn served_stats<'a>(env: Env<'a>, served: Term<'a>) -> NifResult<Term<'a>> {
    if let Ok(served) = served.decode::<ResourceArc<ServedConn>>() {
        return stats_map(env, served.0.handle.stats());
    }
    match served::get(&served.decode()?) {
        Some(served) => stats_map(env, served.handle.stats()),
        None => Ok(atoms::gone().encode(env)),
    }
}

fn sent(served: &Served, command: StreamCommand<ServedSink>) -> Atom {
    if served.handle.has_ended() {
        return atoms::gone();
    }
    match served.handle.try_send(command) {
        Ok(()) => atoms::ok(),
        Err(QueueFull) => atoms::send_queue_full(),
    }
}

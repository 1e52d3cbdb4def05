//! Upgrades, and the frames of WebSockets.

use std::sync::PoisonError;

use gun_rs_engine::QueueFull;
use gun_rs_engine::command::Reply;
use gun_rs_engine::websocket::role::Role;
use gun_rs_engine::{Outgoing, State, StreamCommand, Upgrade};
use gun_rs_terms::options::ws_options;
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, Term};

use super::{HeaderTerms, atoms, connection_for, head, opened, queue_full, refused_term};
use crate::frames::{Encoded, Scheduler, encode_frames};
use crate::lease::Lease;
use crate::receiver::Receiver;
use crate::registry::{self, Connection, OwnConnection};
use crate::stream::{Purpose, Stream, StreamId};
use crate::vm::{OwnedTerm, VmTerm, badarg};

#[rustler::nif]
fn ws_upgrade<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    target: Binary<'a>,
    headers: HeaderTerms<'a>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    upgrade(env, pid, stream_ref, reply_to, target, headers, options)
}

/// The same for headers and options that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_upgrade_dirty<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    target: Binary<'a>,
    headers: HeaderTerms<'a>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    upgrade(env, pid, stream_ref, reply_to, target, headers, options)
}

fn upgrade<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    target: Binary<'a>,
    headers: HeaderTerms<'a>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let (target, headers) = match head(env, target, headers) {
        Ok(head) => head,
        Err(error) => return Ok(error),
    };
    let connection = match connection_for(env, pid) {
        Ok(connection) => connection,
        Err(answer) => return Ok(answer.encode(env)),
    };
    let of_open = connection.ws_opts.lock().unwrap_or_else(PoisonError::into_inner);
    let (options, reply_to, handler, follower) = if atoms::undefined() == options {
        let reply_to = of_open.reply_to.as_ref().map_or(reply_to, |term| term.get(env));
        (None, reply_to, of_open.handler.clone(), None)
    } else {
        let (options, handler): (Term<'_>, Term<'_>) = options.decode()?;
        let follower = options.map_get(atoms::follower()).ok();
        let options = ws_options(&VmTerm(options), of_open.keepalive).map_err(badarg)?;
        (Some(options), reply_to, OwnedTerm::defined(handler), follower)
    };
    drop(of_open);
    let stream = Stream::new(stream_ref, reply_to, Purpose::Upgrade(handler)).leased(Lease::new(&connection.load));
    let stream = match follower {
        Some(follower) => stream.followed_by(Receiver::from(follower)),
        None => stream,
    };
    let caller = follower.unwrap_or(reply_to);
    let upgrade =
        StreamCommand::Upgrade(Box::new(Upgrade { stream, caller: Receiver::from(caller), target, headers, options }));
    let sent = connection.handle.try_send(upgrade);
    Ok(opened(env, sent, (pid, connection.origin.dialect), stream_ref, caller))
}

#[rustler::nif]
fn ws_settled(connection: OwnConnection, stream_ref: Term<'_>) -> Atom {
    connection.handle.send(StreamCommand::Settled(Box::new(StreamId::new(stream_ref))));
    atoms::ok()
}

/// Sends frames. `caller` is sent an error where there is no WebSocket to send them on.
#[rustler::nif]
fn ws_send<'a>(
    env: Env<'a>,
    pid: Term<'a>,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
) -> NifResult<Term<'a>> {
    send(env, pid, caller, stream_ref, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_send_dirty<'a>(
    env: Env<'a>,
    pid: Term<'a>,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
) -> NifResult<Term<'a>> {
    send(env, pid, caller, stream_ref, frames, Scheduler::Dirty)
}

/// Sends frames for the process behind the connection, which gets its `receipt` back when the operating system has them.
#[rustler::nif]
fn ws_send_receipt<'a>(
    env: Env<'a>,
    connection: OwnConnection,
    receipt: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
) -> Term<'a> {
    send_receipt(env, &connection, receipt, stream_ref, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_send_receipt_dirty<'a>(
    env: Env<'a>,
    connection: OwnConnection,
    receipt: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
) -> Term<'a> {
    send_receipt(env, &connection, receipt, stream_ref, frames, Scheduler::Dirty)
}

fn send_receipt<'a>(
    env: Env<'a>,
    connection: &Connection,
    receipt: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
    scheduler: Scheduler,
) -> Term<'a> {
    let stream = named_stream(connection, stream_ref);
    let compresses = connection.handle.compresses(stream.as_ref());
    let sent = encode_frames(Role::Client, frames, scheduler, compresses, |encoded| {
        let outgoing = Outgoing::new(stream.clone(), Reply::Receipt(OwnedTerm::new(receipt)), encoded.into_items());
        connection.handle.try_send(StreamCommand::Send(Box::new(outgoing)))
    });
    match sent {
        Ok(Ok(())) => atoms::ok().encode(env),
        Ok(Err(QueueFull)) => atoms::send_queue_full().encode(env),
        Err(refused) => refused_term(env, refused),
    }
}

/// Answers as ws_send would, and sends nothing: for frames that another process will send.
#[rustler::nif]
fn ws_check<'a>(env: Env<'a>, frames: Term<'a>) -> Term<'a> {
    check(env, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_check_dirty<'a>(env: Env<'a>, frames: Term<'a>) -> Term<'a> {
    check(env, frames, Scheduler::Dirty)
}

fn check<'a>(env: Env<'a>, frames: Term<'a>, scheduler: Scheduler) -> Term<'a> {
    let checked = encode_frames(Role::Client, frames, scheduler, false, |_| atoms::ok().encode(env));
    checked.unwrap_or_else(|refused| refused_term(env, refused))
}

fn send<'a>(
    env: Env<'a>,
    pid: Term<'a>,
    caller: Term<'a>,
    stream_ref: Term<'a>,
    frames: Term<'a>,
    scheduler: Scheduler,
) -> NifResult<Term<'a>> {
    let Ok(local) = pid.decode::<LocalPid>() else {
        return if pid.is_pid() { Ok(atoms::remote().encode(env)) } else { Err(Error::BadArg) };
    };
    let connection = registry::get(&local);
    let stream = connection.as_ref().and_then(|connection| named_stream(connection, stream_ref));
    let stream = stream.as_ref();
    let compresses = connection.as_ref().is_some_and(|connection| connection.handle.compresses(stream));
    // Malformed frames are reported first, whether or not there is a connection.
    let sent = encode_frames(Role::Client, frames, scheduler, compresses, |encoded| {
        let connection = connection?;
        let caller = Receiver::from(caller);
        let queued = match encoded {
            Encoded::Frames(frames @ 1.., bytes) => connection.handle.try_send_frames(stream, caller, frames, bytes),
            encoded => {
                let outgoing = Outgoing::new(stream.cloned(), Reply::Caller(caller), encoded.into_items());
                connection.handle.try_send(StreamCommand::Send(Box::new(outgoing)))
            }
        };
        Some(queued.map_err(|QueueFull| queue_full(env, local, connection.origin.dialect, stream_ref)))
    });
    Ok(match sent {
        Ok(None) => atoms::no_conn().encode(env),
        Ok(Some(Ok(()))) => atoms::ok().encode(env),
        Ok(Some(Err(message))) => (atoms::send_queue_full(), message).encode(env),
        Err(refused) => refused_term(env, refused),
    })
}

/// The WebSocket that frames are for, where the connection may have several. Where the whole connection is one WebSocket
/// the name is not looked at, as in gun: to keep it would take longer than all the rest.
fn named_stream(connection: &Connection, stream_ref: Term<'_>) -> Option<StreamId> {
    match connection.handle.state() {
        State::Ws | State::Closing => None,
        State::Idle | State::Connecting | State::Http | State::Http2 | State::Raw | State::Socks => {
            (stream_ref.is_ref() || stream_ref.is_list()).then(|| StreamId::new(stream_ref))
        }
    }
}

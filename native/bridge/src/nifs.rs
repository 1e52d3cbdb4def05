//! What Erlang calls (`gun_rs_native`). Every NIF decodes, enqueues and returns; none waits for I/O.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gun_rs_engine::command::Reply;
use gun_rs_engine::connection::QueueFull;
use gun_rs_engine::{Command, Outgoing, State, Upgrade};
use http::{HeaderName, HeaderValue, Uri};
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, ResourceArc, Term};

use crate::frames::{Refused, Scheduler, encode_frames};
use crate::messages::{BeamSink, Kept, Receiver, SetOwner, Stream};
use crate::registry::{Connection, WsOptsOfOpen};
use crate::{messages, options, reasons, registry, runtime};

mod atoms {
    rustler::atoms! {
        bytes_in,
        bytes_out,
        closing,
        compressed,
        connecting,
        connections,
        error,
        frames_in,
        frames_out,
        http,
        idle,
        invalid,
        iodata,
        invalid_header,
        invalid_target,
        not_started,
        ok,
        remote,
        send_queue,
        send_queue_full,
        tasks,
        too_much,
        uncompressed,
        undefined,
        ws,
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn runtime_start(env: Env<'_>, threads: usize) -> Term<'_> {
    match runtime::start(threads) {
        Ok(()) => atoms::ok().encode(env),
        Err(error) => (atoms::error(), reasons::string(env, &error.to_string())).encode(env),
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn runtime_stop(timeout: u64) -> Atom {
    runtime::stop(Duration::from_millis(timeout));
    atoms::ok()
}

#[rustler::nif]
fn runtime_is_running() -> bool {
    runtime::handle().is_some()
}

/// What there is, for tests and for the curious: nothing may be left when all connections are closed.
#[rustler::nif]
fn stats<'a>(env: Env<'a>) -> NifResult<Term<'a>> {
    let tasks = runtime::handle().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
    Term::map_from_pairs(env, &[(atoms::connections(), registry::len()), (atoms::tasks(), tasks)])
}

/// Makes the caller the process behind a new connection.
#[rustler::nif]
fn conn_new<'a>(
    env: Env<'a>,
    owner: Term<'a>,
    reply_to: Term<'a>,
    handler: Term<'a>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let options = options::connect_options(options)?;
    let ws_opts = Mutex::new(WsOptsOfOpen {
        reply_to: (atoms::undefined() != reply_to).then(|| Kept::new(reply_to)),
        handler: Kept::new(handler),
        keepalive: options.ws.keepalive,
    });
    let Some(runtime) = runtime::handle() else {
        return Ok((atoms::error(), atoms::not_started()).encode(env));
    };
    let pid = env.pid();
    let silent = Arc::new(AtomicBool::new(false));
    let sink = BeamSink::new(pid, Receiver::from(owner), Arc::clone(&silent));
    let connection =
        ResourceArc::new(Connection { handle: gun_rs_engine::spawn(&runtime, options, sink), silent, ws_opts });
    // The caller is alive, for it is running this.
    if env.monitor(&connection, &pid).is_none() {
        connection.handle.abort();
        return Err(Error::BadArg);
    }
    registry::insert(pid, connection.clone());
    Ok((atoms::ok(), connection).encode(env))
}

#[rustler::nif]
fn conn_connect(connection: ResourceArc<Connection>) -> Atom {
    connection.handle.send(Command::Connect);
    atoms::ok()
}

#[rustler::nif]
fn conn_shutdown(connection: ResourceArc<Connection>) -> Atom {
    connection.handle.send(Command::Shutdown);
    atoms::ok()
}

#[rustler::nif]
fn conn_set_owner(connection: ResourceArc<Connection>, owner: Term<'_>) -> Atom {
    connection.handle.send(Command::Control(Box::new(SetOwner(owner.into()))));
    atoms::ok()
}

#[rustler::nif]
fn conn_state(connection: ResourceArc<Connection>) -> Atom {
    match connection.handle.state() {
        State::Idle => atoms::idle(),
        State::Connecting => atoms::connecting(),
        State::Http => atoms::http(),
        State::Ws => atoms::ws(),
        State::Closing => atoms::closing(),
    }
}

/// After close/1: no message of the connection begins any more.
#[rustler::nif]
fn conn_silence(pid: LocalPid) -> Atom {
    if let Some(connection) = registry::get(&pid) {
        connection.silence();
    }
    atoms::ok()
}

/// What has been received and sent, as `{Key, Value}` pairs.
#[rustler::nif]
fn conn_stats(env: Env<'_>, connection: ResourceArc<Connection>) -> NifResult<Term<'_>> {
    let stats = connection.handle.stats();
    let pairs = [
        (atoms::frames_in(), stats.frames_in),
        (atoms::bytes_in(), stats.bytes_in),
        (atoms::frames_out(), stats.frames_out),
        (atoms::bytes_out(), stats.bytes_out),
        (atoms::send_queue(), stats.queued),
        (atoms::uncompressed(), stats.uncompressed),
        (atoms::compressed(), stats.compressed),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// Whether the pid is a connection of this node.
#[rustler::nif]
fn is_conn(pid: Term<'_>) -> bool {
    pid.decode().ok().and_then(|pid: LocalPid| registry::get(&pid)).is_some()
}

#[rustler::nif]
fn debug_panic(pid: LocalPid) -> Atom {
    if let Some(connection) = registry::get(&pid) {
        connection.handle.send(Command::Panic);
    }
    atoms::ok()
}

#[rustler::nif]
fn ws_upgrade<'a>(
    env: Env<'a>,
    pid: LocalPid,
    stream_ref: Term<'a>,
    reply_to: Term<'a>,
    target: Binary<'a>,
    headers: Vec<(Binary<'a>, Binary<'a>)>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let Ok(target) = Uri::try_from(target.as_slice()) else {
        return Ok((atoms::error(), atoms::invalid_target()).encode(env));
    };
    let mut parsed = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let header = (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value));
        let (Ok(header_name), Ok(header_value)) = header else {
            return Ok((atoms::error(), (atoms::invalid_header(), name)).encode(env));
        };
        parsed.push((header_name, header_value));
    }
    let Some(connection) = registry::get(&pid) else { return Ok(atoms::ok().encode(env)) };
    let of_open = connection.ws_opts.lock().unwrap_or_else(PoisonError::into_inner);
    let (options, reply_to, handler) = if atoms::undefined() == options {
        (None, of_open.reply_to.as_ref().map_or(reply_to, |kept| kept.get(env)), of_open.handler.get(env))
    } else {
        let (options, handler): (Term<'_>, Term<'_>) = options.decode()?;
        (Some(options::ws_options(options, of_open.keepalive)?), reply_to, handler)
    };
    drop(of_open);
    let handler = (atoms::undefined() != handler).then(|| Kept::new(handler));
    connection.handle.send(Command::Upgrade(Box::new(Upgrade {
        stream: Stream::new(stream_ref, reply_to, handler),
        caller: Receiver::from(reply_to),
        target,
        headers: parsed,
        options,
    })));
    Ok(atoms::ok().encode(env))
}

#[rustler::nif]
fn ws_update_flow(pid: LocalPid, messages: i64) -> Atom {
    if let Some(connection) = registry::get(&pid) {
        connection.handle.send(Command::UpdateFlow(messages));
    }
    atoms::ok()
}

#[rustler::nif]
fn ws_flow_grant(connection: ResourceArc<Connection>) -> Atom {
    connection.handle.send(Command::FlowGrant);
    atoms::ok()
}

#[rustler::nif]
fn ws_settled(connection: ResourceArc<Connection>) -> Atom {
    connection.handle.send(Command::Settled);
    atoms::ok()
}

/// Sends frames; `caller` is told when there is no WebSocket to send them on.
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

/// Sends frames, and tells the process behind the connection when the operating system has them: its `receipt` comes
/// back to it.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_send_receipt<'a>(
    env: Env<'a>,
    connection: ResourceArc<Connection>,
    receipt: Term<'a>,
    frames: Term<'a>,
) -> Term<'a> {
    match encode_frames(frames, Scheduler::Dirty, connection.handle.compresses()) {
        Err(refused) => refused_term(env, refused),
        Ok(items) => {
            let outgoing = Outgoing { reply: Reply::Receipt(Kept::new(receipt)), items };
            match connection.handle.send_frames(outgoing) {
                Ok(()) => atoms::ok().encode(env),
                Err(QueueFull) => atoms::send_queue_full().encode(env),
            }
        }
    }
}

/// Answers as ws_send would, and sends nothing: for frames that are to be sent from another node.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_check<'a>(env: Env<'a>, frames: Term<'a>) -> Term<'a> {
    let checked = encode_frames(frames, Scheduler::Dirty, false);
    checked.map_or_else(|refused| refused_term(env, refused), |_| atoms::ok().encode(env))
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
    // Without a connection it is a cast to nobody, in gun's terms.
    let Some(connection) = registry::get(&local) else { return Ok(atoms::ok().encode(env)) };
    let items = match encode_frames(frames, scheduler, connection.handle.compresses()) {
        Ok(items) => items,
        Err(refused) => return Ok(refused_term(env, refused)),
    };
    let reply = Reply::Caller(Receiver::from(caller));
    Ok(match connection.handle.send_frames(Outgoing { reply, items }) {
        Ok(()) => atoms::ok().encode(env),
        Err(QueueFull) => (atoms::send_queue_full(), messages::queue_full(env, &local, stream_ref)).encode(env),
    })
}

fn refused_term<'a>(env: Env<'a>, refused: Refused<'a>) -> Term<'a> {
    match refused {
        Refused::Invalid(frame, text) => (atoms::invalid(), frame, reasons::string(env, text)).encode(env),
        Refused::Iodata => atoms::iodata().encode(env),
        Refused::TooMuch => atoms::too_much().encode(env),
    }
}

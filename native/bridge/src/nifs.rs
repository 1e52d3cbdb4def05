//! What Erlang calls (`gun_rs_native`). Every NIF decodes, enqueues and returns; none waits for I/O.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gun_rs_engine::{Command, Outgoing, State, Upgrade};
use http::{HeaderName, HeaderValue, Uri};
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, ResourceArc, Term};

use crate::frames::{Refused, Scheduler, encode_frames};
use crate::messages::{BeamSink, Kept, Receiver, SetOwner, Stream};
use crate::registry::Connection;
use crate::{options, reasons, registry, runtime};

mod atoms {
    rustler::atoms! {
        closing,
        connecting,
        connections,
        error,
        http,
        idle,
        invalid,
        iodata,
        invalid_header,
        invalid_target,
        not_started,
        ok,
        remote,
        tasks,
        too_much,
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
fn conn_new<'a>(env: Env<'a>, owner: Term<'a>, reply_to: Term<'a>, options: Term<'a>) -> NifResult<Term<'a>> {
    let reply_to = if atoms::undefined() == reply_to { None } else { Some(Mutex::new(Kept::new(reply_to))) };
    let options = options::connect_options(options)?;
    let Some(runtime) = runtime::handle() else {
        return Ok((atoms::error(), atoms::not_started()).encode(env));
    };
    let pid = env.pid();
    let sink = BeamSink::new(pid, Receiver::from(owner));
    let connection = ResourceArc::new(Connection { handle: gun_rs_engine::spawn(&runtime, options, sink), reply_to });
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

/// Whether the pid is a connection of this node.
#[rustler::nif]
fn is_conn(pid: Term<'_>) -> bool {
    pid.decode().ok().and_then(|pid: LocalPid| registry::with(&pid, |_| ())).is_some()
}

#[rustler::nif]
fn debug_panic(pid: LocalPid) -> Atom {
    registry::with(&pid, |connection| connection.handle.send(Command::Panic));
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
    let of_open = atoms::undefined() == options;
    let options = if of_open { None } else { Some(options::ws_options(options)?) };
    registry::with(&pid, |connection| {
        let reply_to = match &connection.reply_to {
            Some(kept) if of_open => kept.lock().unwrap_or_else(PoisonError::into_inner).get(env),
            _ => reply_to,
        };
        connection.handle.send(Command::Upgrade(Box::new(Upgrade {
            stream: Stream::new(stream_ref, reply_to),
            caller: Receiver::from(reply_to),
            target,
            headers: parsed,
            options,
        })));
    });
    Ok(atoms::ok().encode(env))
}

/// Sends frames; `caller` is told when there is no WebSocket to send them on.
#[rustler::nif]
fn ws_send<'a>(env: Env<'a>, pid: Term<'a>, caller: Term<'a>, frames: Term<'a>) -> NifResult<Term<'a>> {
    send(env, pid, caller, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_send_dirty<'a>(env: Env<'a>, pid: Term<'a>, caller: Term<'a>, frames: Term<'a>) -> NifResult<Term<'a>> {
    send(env, pid, caller, frames, Scheduler::Dirty)
}

/// Answers as ws_send would, and sends nothing: for frames that are to be sent from another node.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_check<'a>(env: Env<'a>, frames: Term<'a>) -> Term<'a> {
    encode_frames(frames, Scheduler::Dirty)
        .map_or_else(|refused| refused_term(env, refused), |_| atoms::ok().encode(env))
}

fn send<'a>(
    env: Env<'a>,
    pid: Term<'a>,
    caller: Term<'a>,
    frames: Term<'a>,
    scheduler: Scheduler,
) -> NifResult<Term<'a>> {
    let Ok(local) = pid.decode::<LocalPid>() else {
        return if pid.is_pid() { Ok(atoms::remote().encode(env)) } else { Err(Error::BadArg) };
    };
    let sent = registry::with(&local, |connection| {
        let items = encode_frames(frames, scheduler)?;
        if !items.is_empty() {
            connection.handle.send(Command::Send(Box::new(Outgoing { caller: Receiver::from(caller), items })));
        }
        Ok(())
    });
    Ok(match sent {
        Some(Err(refused)) => refused_term(env, refused),
        // A cast to nobody, in gun's terms.
        Some(Ok(())) | None => atoms::ok().encode(env),
    })
}

fn refused_term<'a>(env: Env<'a>, refused: Refused<'a>) -> Term<'a> {
    match refused {
        Refused::Invalid(frame, text) => (atoms::invalid(), frame, reasons::string(env, text)).encode(env),
        Refused::Iodata => atoms::iodata().encode(env),
        Refused::TooMuch => atoms::too_much().encode(env),
    }
}

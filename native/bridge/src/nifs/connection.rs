//! A connection's life, and what is known of it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use gun_rs_engine::command::Ping;
use gun_rs_engine::transport::tls::TlsClient;
use gun_rs_engine::{Command, Http2Options, State, Stats, StreamCommand};
use gun_rs_terms::options::{self, open_options};
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NewBinary, NifResult, ResourceArc, Term};

use super::{atoms, find_tls};
use crate::lease::Load;
use crate::outbox::Origin;
use crate::receiver::Receiver;
use crate::registry::{self, Connection, OwnConnection, WsOptsOfOpen};
use crate::sink::{BeamSink, Control};
use crate::stream::StreamId;
use crate::vm::{OwnedTerm, VmTerm, atom, badarg};
use crate::{runtime, tls};

/// Makes the caller the process behind a new connection, which connects at once.
#[rustler::nif]
fn conn_new<'a>(
    env: Env<'a>,
    owner: Term<'a>,
    reply_to: Term<'a>,
    handler: Term<'a>,
    options: Term<'a>,
    tls: Term<'a>,
) -> NifResult<Term<'a>> {
    new_connection(env, owner, reply_to, handler, options, tls)
}

/// The same for terms that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn conn_new_dirty<'a>(
    env: Env<'a>,
    owner: Term<'a>,
    reply_to: Term<'a>,
    handler: Term<'a>,
    options: Term<'a>,
    tls: Term<'a>,
) -> NifResult<Term<'a>> {
    new_connection(env, owner, reply_to, handler, options, tls)
}

fn new_connection<'a>(
    env: Env<'a>,
    owner: Term<'a>,
    reply_to: Term<'a>,
    handler: Term<'a>,
    options: Term<'a>,
    tls: Term<'a>,
) -> NifResult<Term<'a>> {
    let tls = tls_client(tls)?;
    let socks = options.map_get(atoms::socks()).map_err(|_| Error::BadArg)?;
    let socks =
        if atoms::undefined() == socks { Ok(None) } else { options::socks(&VmTerm(socks), &find_tls).map(Some) };
    let proxy = options.map_get(atoms::proxy()).map_err(|_| Error::BadArg)?;
    let proxy =
        if atoms::undefined() == proxy { Ok(None) } else { options::proxy(&VmTerm(proxy), &find_tls).map(Some) };
    let about = options.map_get(atoms::about())?.decode::<Binary<'_>>()?.as_slice().into();
    let mut options = open_options(&VmTerm(options)).map_err(badarg)?;
    options.connect.http2_inside = shared(options.connect.http2_inside);
    options.connect.http2 = options.connect.http2.map(shared);
    let (socks, proxy) = (socks.map_err(badarg)?, proxy.map_err(badarg)?);
    let ws_opts = Mutex::new(WsOptsOfOpen {
        reply_to: OwnedTerm::defined(reply_to),
        handler: OwnedTerm::defined(handler),
        keepalive: options.connect.ws.keepalive,
    });
    let Some(runtime) = runtime::place() else {
        return Ok((atoms::error(), atoms::not_started()).encode(env));
    };
    let pid = env.pid();
    let origin = Arc::new(Origin::new(pid, options.dialect));
    let observed = options.connect.observed;
    let sink = BeamSink::new(Arc::clone(&origin), Receiver::from(owner), options.processed, observed);
    let handle = gun_rs_engine::spawn(&runtime, options.connect, sink);
    let processed = options.processed;
    let load = Arc::new(Load::default());
    let owner = Mutex::new(owner.into());
    let connection = ResourceArc::new(Connection { handle, origin, processed, load, about, owner, ws_opts });
    // The caller is alive, for it is running this.
    if env.monitor(&connection, &pid).is_none() {
        connection.handle.abort();
        return Err(Error::BadArg);
    }
    registry::insert(pid, connection.clone());
    if let Some(socks) = socks {
        connection.handle.send(Command::Through(Arc::new(socks)));
    }
    if let Some(proxy) = proxy {
        connection.handle.send(Command::Proxy(Arc::new(proxy)));
    }
    // The task is hardly awake yet: it is not woken twice.
    connection.handle.send(Command::Connect(tls));
    Ok((atoms::ok(), connection).encode(env))
}

/// The same options, in memory that connections with equal ones share: most programs open all of theirs alike.
fn shared(options: Arc<Http2Options>) -> Arc<Http2Options> {
    static LAST: Mutex<Weak<Http2Options>> = Mutex::new(Weak::new());
    // Only NIFs take the lock.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match last.upgrade() {
        Some(known) if known == options => known,
        _ => {
            *last = Arc::downgrade(&options);
            options
        }
    }
}

/// Over TLS with this configuration; `undefined` is without TLS.
#[rustler::nif]
fn conn_connect(connection: OwnConnection, tls: Term<'_>) -> NifResult<Atom> {
    connection.handle.send(Command::Connect(tls_client(tls)?));
    Ok(atoms::ok())
}

fn tls_client(tls: Term<'_>) -> NifResult<Option<Arc<TlsClient>>> {
    if atoms::undefined() == tls { Ok(None) } else { tls::client(tls).map(Some) }
}

#[rustler::nif]
fn conn_shutdown(connection: OwnConnection, cause: Atom) -> Atom {
    connection.handle.send(Command::Control(Box::new(Control::ShutDown(cause))));
    connection.handle.send(Command::Shutdown);
    atoms::ok()
}

#[rustler::nif]
fn conn_set_owner(connection: OwnConnection, owner: Term<'_>) -> Atom {
    *connection.owner.lock().unwrap_or_else(PoisonError::into_inner) = owner.into();
    connection.handle.send(Command::Control(Box::new(Control::SetOwner(owner.into()))));
    atoms::ok()
}

#[rustler::nif]
fn conn_state(connection: OwnConnection) -> Atom {
    state_atom(connection.handle.state())
}

fn state_atom(state: State) -> Atom {
    match state {
        State::Idle => atoms::idle(),
        State::Connecting => atoms::connecting(),
        State::Http => atoms::http(),
        State::Http2 => atoms::http2(),
        State::Ws => atoms::ws(),
        State::Closing => atoms::closing(),
        State::Raw => atoms::raw(),
        State::Socks => atoms::socks(),
    }
}

/// The caller, which is the process behind the connection, is about to end: nobody finds the connection any more.
#[rustler::nif]
fn conn_end(env: Env<'_>, connection: ResourceArc<Connection>) -> Atom {
    connection.end(&env.pid());
    atoms::ok()
}

/// After close/1: no message of the connection begins any more.
#[rustler::nif]
fn conn_silence(pid: LocalPid) -> Atom {
    if let Some(connection) = registry::get(&pid) {
        connection.origin.silence();
    }
    atoms::ok()
}

/// How much has been received and sent.
#[rustler::nif]
fn conn_stats(env: Env<'_>, connection: OwnConnection) -> NifResult<Term<'_>> {
    stats_map(env, connection.handle.stats())
}

/// What is known of a connection, as a map.
pub(super) fn stats_map(env: Env<'_>, stats: Stats) -> NifResult<Term<'_>> {
    let pairs = [
        (atoms::frames_in(), stats.frames_in),
        (atoms::bytes_in(), stats.bytes_in),
        (atoms::frames_out(), stats.frames_out),
        (atoms::bytes_out(), stats.bytes_out),
        (atoms::send_queue(), stats.queued),
        (atoms::uncompressed(), stats.uncompressed),
        (atoms::compressed(), stats.compressed),
        (atoms::truncated(), stats.truncated),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// What is known of every connection without asking the process behind it. There may be many of them.
#[rustler::nif(schedule = "DirtyCpu")]
fn conn_list(env: Env<'_>) -> Vec<Term<'_>> {
    registry::all().into_iter().map(|(pid, connection)| summary(env, pid, &connection)).collect()
}

fn summary<'a>(env: Env<'a>, pid: LocalPid, connection: &Connection) -> Term<'a> {
    let handle = &connection.handle;
    let state = state_atom(handle.state());
    let since = handle.up_since().map_or_else(|| atoms::undefined().encode(env), |since| since.encode(env));
    let owner = connection.owner.lock().unwrap_or_else(PoisonError::into_inner).get(env);
    let about = NewBinary::from_slice(env, &connection.about);
    (pid, state, since, handle.stats().queued, owner, Term::from(about)).encode(env)
}

/// Whether the pid is a connection of this node.
#[rustler::nif]
fn is_conn(pid: Term<'_>) -> bool {
    pid.decode().ok().and_then(|pid: LocalPid| registry::get(&pid)).is_some()
}

/// Its dialect; `undefined` where it is no connection of this node.
#[rustler::nif]
fn conn_dialect(pid: LocalPid) -> Atom {
    registry::get(&pid).map_or_else(atoms::undefined, |connection| atom(connection.origin.dialect.name()))
}

#[rustler::nif]
fn debug_panic(pid: LocalPid) -> Atom {
    if let Some(connection) = registry::get(&pid) {
        connection.handle.send(Command::Panic);
    }
    atoms::ok()
}

/// Asks what is known of a stream: the answer comes back to the process with the `receipt`.
#[rustler::nif]
fn stream_info(connection: OwnConnection, receipt: Term<'_>, stream_ref: Term<'_>) -> Atom {
    connection.handle.send(StreamCommand::Info(Box::new((StreamId::new(stream_ref), OwnedTerm::new(receipt)))));
    atoms::ok()
}

/// Pings the peer by this reference: the one at the end of a tunnel, or `undefined`. `reply_to` is sent an error where the
/// state allows no ping.
#[rustler::nif]
fn conn_ping(connection: OwnConnection, reply_to: Term<'_>, ping_ref: Term<'_>, tunnel: Term<'_>) -> Atom {
    let tunnel = (atoms::undefined() != tunnel).then(|| StreamId::new(tunnel));
    let ping = Ping { tunnel, caller: reply_to.into(), name: StreamId::new(ping_ref) };
    connection.handle.send(Command::Ping(Box::new(ping)));
    atoms::ok()
}

/// Raises what may be received of a stream; the stream of a WebSocket may be `undefined`.
#[rustler::nif]
fn update_flow(pid: LocalPid, stream_ref: Term<'_>, flow: i64) -> Atom {
    let Some(connection) = registry::get(&pid) else { return atoms::no_conn() };
    let stream = (atoms::undefined() != stream_ref).then(|| Box::new(StreamId::new(stream_ref)));
    connection.handle.send(StreamCommand::UpdateFlow(stream, flow));
    atoms::ok()
}

#[rustler::nif]
fn flow_grant(connection: OwnConnection, stream_ref: Term<'_>) -> Atom {
    connection.handle.send(StreamCommand::FlowGrant(Box::new(StreamId::new(stream_ref))));
    atoms::ok()
}

#[rustler::nif]
fn relay_grant(connection: OwnConnection) -> Atom {
    connection.handle.send(Command::RelayGrant);
    atoms::ok()
}

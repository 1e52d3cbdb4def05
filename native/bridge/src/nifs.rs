//! What Erlang calls (`gun_rs_native`). Every NIF decodes, enqueues and returns; none waits for I/O.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gun_rs_engine::command::{Ping, Reply};
use gun_rs_engine::connection::QueueFull;
use gun_rs_engine::transport::tls::TlsClient;
use gun_rs_engine::{Body, Command, Outgoing, Request, RequestData, State, Upgrade};
use http::{HeaderName, HeaderValue, Method, Uri};
use rustler::{Atom, Binary, Encoder, Env, Error, LocalPid, NifResult, ResourceArc, Term};

use crate::frames::{Encoded, Refused, Scheduler, encode_frames};
use crate::messages::{BeamSink, Control, Kept, Receiver, Stream};
use crate::registry::{Connection, Own, WsOptsOfOpen};
use crate::stream_id::StreamId;
use crate::{messages, options, reasons, registry, runtime, tls};

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
        processed,
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
    runtime::is_running()
}

/// What there is, for tests and for the curious: nothing may be left when all connections are closed.
#[rustler::nif]
fn stats<'a>(env: Env<'a>) -> NifResult<Term<'a>> {
    Term::map_from_pairs(env, &[(atoms::connections(), registry::len()), (atoms::tasks(), runtime::tasks())])
}

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
    let processed = options.map_get(atoms::processed())?.decode()?;
    let dialect = options::dialect(options)?;
    let flow = options::http_flow(options.map_get(atoms::http())?)?;
    let options = options::connect_options(options)?;
    let ws_opts = Mutex::new(WsOptsOfOpen {
        reply_to: (atoms::undefined() != reply_to).then(|| Kept::new(reply_to)),
        handler: (atoms::undefined() != handler).then(|| Kept::new(handler)),
        keepalive: options.ws.keepalive,
    });
    let Some(runtime) = runtime::place() else {
        return Ok((atoms::error(), atoms::not_started()).encode(env));
    };
    let pid = env.pid();
    let silent = Arc::new(AtomicBool::new(false));
    let sink = BeamSink::new(pid, Receiver::from(owner), dialect, processed, Arc::clone(&silent));
    let handle = gun_rs_engine::spawn(&runtime, options, sink);
    let connection = ResourceArc::new(Connection { handle, silent, dialect, processed, flow, ws_opts });
    // The caller is alive, for it is running this.
    if env.monitor(&connection, &pid).is_none() {
        connection.handle.abort();
        return Err(Error::BadArg);
    }
    registry::insert(pid, connection.clone());
    // The task is hardly awake yet: it is not woken twice.
    connection.handle.send(Command::Connect(tls));
    Ok((atoms::ok(), connection).encode(env))
}

/// Over TLS with this configuration; `undefined` is without TLS.
#[rustler::nif]
fn conn_connect(connection: Own, tls: Term<'_>) -> NifResult<Atom> {
    connection.handle.send(Command::Connect(tls_client(tls)?));
    Ok(atoms::ok())
}

fn tls_client(tls: Term<'_>) -> NifResult<Option<Arc<TlsClient>>> {
    if atoms::undefined() == tls { Ok(None) } else { tls::client(tls).map(Some) }
}

#[rustler::nif]
fn conn_shutdown(connection: Own, cause: Atom) -> Atom {
    connection.handle.send(Command::Control(Box::new(Control::ShutDown(cause))));
    connection.handle.send(Command::Shutdown);
    atoms::ok()
}

#[rustler::nif]
fn conn_set_owner(connection: Own, owner: Term<'_>) -> Atom {
    connection.handle.send(Command::Control(Box::new(Control::SetOwner(owner.into()))));
    atoms::ok()
}

#[rustler::nif]
fn conn_state(connection: Own) -> Atom {
    match connection.handle.state() {
        State::Idle => atoms::idle(),
        State::Connecting => atoms::connecting(),
        State::Http => atoms::http(),
        State::Ws => atoms::ws(),
        State::Closing => atoms::closing(),
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
        connection.silence();
    }
    atoms::ok()
}

/// What has been received and sent, as `{Key, Value}` pairs.
#[rustler::nif]
fn conn_stats(env: Env<'_>, connection: Own) -> NifResult<Term<'_>> {
    let stats = connection.handle.stats();
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

/// Whether the pid is a connection of this node.
#[rustler::nif]
fn is_conn(pid: Term<'_>) -> bool {
    pid.decode().ok().and_then(|pid: LocalPid| registry::get(&pid)).is_some()
}

/// Its dialect; `undefined` where it is no connection of this node.
#[rustler::nif]
fn conn_dialect(pid: LocalPid) -> Atom {
    registry::get(&pid).map_or_else(atoms::undefined, |connection| options::dialect_name(connection.dialect))
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
    headers: Vec<(Binary<'a>, Binary<'a>)>,
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
    headers: Vec<(Binary<'a>, Binary<'a>)>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let (target, headers) = match head(env, target, headers) {
        Ok(head) => head,
        Err(error) => return Ok(error),
    };
    let Some(connection) = registry::get(&pid) else { return Ok(atoms::no_conn().encode(env)) };
    if connection.processed && env.pid() != pid {
        return Ok(atoms::relay().encode(env));
    }
    let of_open = connection.ws_opts.lock().unwrap_or_else(PoisonError::into_inner);
    let (options, reply_to, handler) = if atoms::undefined() == options {
        let handler = of_open.handler.as_ref().map_or_else(|| atoms::undefined().encode(env), |kept| kept.get(env));
        (None, of_open.reply_to.as_ref().map_or(reply_to, |kept| kept.get(env)), handler)
    } else {
        let (options, handler): (Term<'_>, Term<'_>) = options.decode()?;
        (Some(options::ws_options(options, of_open.keepalive)?), reply_to, handler)
    };
    drop(of_open);
    let handler = (atoms::undefined() != handler).then(|| Kept::new(handler));
    let upgrade = Command::Upgrade(Box::new(Upgrade {
        stream: Stream::new_upgrade(stream_ref, reply_to, handler),
        caller: Receiver::from(reply_to),
        target,
        headers,
        options,
    }));
    Ok(match connection.handle.try_send(upgrade) {
        Ok(()) => atoms::ok().encode(env),
        // Who is to be told is known here alone.
        Err(QueueFull) => (atoms::send_queue_full(), messages::queue_full(env, &pid, stream_ref), reply_to).encode(env),
    })
}

/// What stands before a request's body, or what is wrong with it.
fn head<'a>(
    env: Env<'a>,
    target: Binary<'a>,
    headers: Vec<(Binary<'a>, Binary<'a>)>,
) -> Result<(Uri, Vec<(HeaderName, HeaderValue)>), Term<'a>> {
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

type RequestTerm<'a> = (Binary<'a>, Binary<'a>, Vec<(Binary<'a>, Binary<'a>)>, Term<'a>);

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
    let Some(connection) = registry::get(&pid) else { return Ok(atoms::no_conn().encode(env)) };
    if connection.processed && env.pid() != pid {
        return Ok(atoms::relay().encode(env));
    }
    let request = Command::Request(Box::new(Request {
        stream: Stream::new(stream_ref, reply_to),
        caller: Receiver::from(reply_to),
        method,
        target,
        headers,
        body: request_body(body)?,
        flow: if atoms::undefined() == flow { connection.flow } else { options::flow(flow)? },
        response_timeout: options::timeout(response_timeout)?,
        body_timeout: options::timeout(body_timeout)?,
    }));
    Ok(match connection.handle.try_send(request) {
        Ok(()) => atoms::ok().encode(env),
        Err(QueueFull) => (atoms::send_queue_full(), messages::queue_full(env, &pid, stream_ref), reply_to).encode(env),
    })
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

/// Goes on with the body of a request; `caller` is told when there is none to go on with.
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
    let Some(connection) = registry::get(&pid) else { return atoms::no_conn().encode(env) };
    if connection.processed && env.pid() != pid {
        return atoms::relay().encode(env);
    }
    let data = Command::Data(Box::new(RequestData {
        stream: StreamId::new(stream_ref),
        caller: caller.into(),
        data: Bytes::copy_from_slice(data.as_slice()),
        fin: atoms::fin() == fin,
    }));
    match connection.handle.try_send(data) {
        Ok(()) => atoms::ok().encode(env),
        Err(QueueFull) => (atoms::send_queue_full(), messages::queue_full(env, &pid, stream_ref)).encode(env),
    }
}

/// Lets nothing more be told of a stream.
#[rustler::nif]
fn http_cancel(env: Env<'_>, pid: LocalPid, caller: Term<'_>, stream_ref: Term<'_>) -> Atom {
    let Some(connection) = registry::get(&pid) else { return atoms::no_conn() };
    if connection.processed && env.pid() != pid {
        return atoms::relay();
    }
    connection.handle.send(Command::Cancel(Box::new((StreamId::new(stream_ref), caller.into()))));
    atoms::ok()
}

/// Asks what is known of a stream: the answer comes back to the process with the `receipt`.
#[rustler::nif]
fn stream_info(connection: Own, receipt: Term<'_>, stream_ref: Term<'_>) -> Atom {
    connection.handle.send(Command::StreamInfo(Box::new((StreamId::new(stream_ref), Kept::new(receipt)))));
    atoms::ok()
}

/// Pings the peer by this reference; `reply_to` is told where the state allows no ping.
#[rustler::nif]
fn conn_ping(connection: Own, reply_to: Term<'_>, ping_ref: Term<'_>) -> Atom {
    let name = Control::PingedBy(StreamId::new(ping_ref));
    connection.handle.send(Command::Ping(Box::new(Ping { caller: reply_to.into(), name })));
    atoms::ok()
}

/// Raises what may be received of a stream; the stream of a WebSocket may be `undefined`.
#[rustler::nif]
fn update_flow(pid: LocalPid, stream_ref: Term<'_>, flow: i64) -> Atom {
    let Some(connection) = registry::get(&pid) else { return atoms::no_conn() };
    let stream = (atoms::undefined() != stream_ref).then(|| Box::new(StreamId::new(stream_ref)));
    connection.handle.send(Command::UpdateFlow(stream, flow));
    atoms::ok()
}

#[rustler::nif]
fn flow_grant(connection: Own, stream_ref: Term<'_>) -> Atom {
    connection.handle.send(Command::FlowGrant(Box::new(StreamId::new(stream_ref))));
    atoms::ok()
}

#[rustler::nif]
fn relay_grant(connection: Own) -> Atom {
    connection.handle.send(Command::RelayGrant);
    atoms::ok()
}

#[rustler::nif]
fn ws_settled(connection: Own, _stream_ref: Term<'_>) -> Atom {
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
#[rustler::nif]
fn ws_send_receipt<'a>(env: Env<'a>, connection: Own, receipt: Term<'a>, frames: Term<'a>) -> Term<'a> {
    send_receipt(env, &connection, receipt, frames, Scheduler::Normal)
}

/// The same for frames that are too much for a normal scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn ws_send_receipt_dirty<'a>(env: Env<'a>, connection: Own, receipt: Term<'a>, frames: Term<'a>) -> Term<'a> {
    send_receipt(env, &connection, receipt, frames, Scheduler::Dirty)
}

fn send_receipt<'a>(
    env: Env<'a>,
    connection: &Connection,
    receipt: Term<'a>,
    frames: Term<'a>,
    scheduler: Scheduler,
) -> Term<'a> {
    let sent = encode_frames(frames, scheduler, connection.handle.compresses(), |encoded| {
        let outgoing = Outgoing::new(Reply::Receipt(Kept::new(receipt)), encoded.into_items());
        connection.handle.try_send(Command::Send(Box::new(outgoing)))
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
    let checked = encode_frames(frames, scheduler, false, |_| atoms::ok().encode(env));
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
    let compresses = connection.as_ref().is_some_and(|connection| connection.handle.compresses());
    // Malformed frames are told of first, whether or not there is a connection.
    let sent = encode_frames(frames, scheduler, compresses, |encoded| {
        let connection = connection?;
        let caller = Receiver::from(caller);
        Some(match encoded {
            Encoded::Frames(frames @ 1.., bytes) => connection.handle.try_send_frames(caller, frames, bytes),
            encoded => {
                let outgoing = Outgoing::new(Reply::Caller(caller), encoded.into_items());
                connection.handle.try_send(Command::Send(Box::new(outgoing)))
            }
        })
    });
    Ok(match sent {
        Ok(None) => atoms::no_conn().encode(env),
        Ok(Some(Ok(()))) => atoms::ok().encode(env),
        Ok(Some(Err(QueueFull))) => {
            (atoms::send_queue_full(), messages::queue_full(env, &local, stream_ref)).encode(env)
        }
        Err(refused) => refused_term(env, refused),
    })
}

fn refused_term<'a>(env: Env<'a>, refused: Refused<'a>) -> Term<'a> {
    match refused {
        Refused::Invalid(frame, text) => (atoms::invalid(), frame, reasons::string(env, text)).encode(env),
        Refused::Iodata => atoms::iodata().encode(env),
        Refused::TooMuch => atoms::too_much().encode(env),
    }
}
